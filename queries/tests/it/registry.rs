//! The registry: versions in the ledger, and rules that say the same in Rust and in SQL.

use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::testing::{append, at_every_call, call};
use daybook_ledger::{EntryId, Instant, Ledger, Operation, Root};
use daybook_queries::registry::{File, Imported, Registry, RegistryVersion, explain};
use daybook_queries::{AsOf, Error, RegistryChoice, Session, SessionOptions};
use object_store::memory::InMemory;
use proptest::prelude::*;

use crate::fixture;

/// The registry of the company of `fixture.rs`.
pub(crate) fn company() -> Registry {
    Registry::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry")).unwrap()
}

fn workloads(text: &str) -> Registry {
    Registry::read("", vec![File { name: "workloads.toml".into(), text: text.into() }]).unwrap()
}

fn one_workload(name: &str) -> Registry {
    workloads(&format!("[[workload]]\nname = '{name}'\n[[workload.rule]]\nteam = 'search'\n"))
}

async fn open(ledger: &Ledger, registry: RegistryChoice) -> Result<Session, Error> {
    Session::open(ledger, SessionOptions { registry, ..fixture::options() }).await
}

/// The values of the one column of `sql`.
async fn texts(session: &Session, sql: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    for batch in session.run(sql).await.unwrap().collect().await.unwrap() {
        let column = cast(batch.column(0), &DataType::Utf8).unwrap();
        values.extend(column.as_string::<i32>().iter().map(|value| value.map(String::from)));
    }
    values
}

async fn plan_of(session: &Session, sql: &str) -> String {
    let plan = session.run(&format!("EXPLAIN {sql}")).await.unwrap();
    format!("{:?}", plan.collect().await.unwrap())
}

#[tokio::test]
async fn every_import_is_a_version_and_old_versions_stay() {
    let ledger = fixture::company().await;
    let at = Instant::from_micros;
    assert_eq!(one_workload("a").store(&ledger, at(1)).await.unwrap(), Imported::New(RegistryVersion(1)));
    assert_eq!(one_workload("a").store(&ledger, at(2)).await.unwrap(), Imported::Unchanged(RegistryVersion(1)));
    assert_eq!(one_workload("b").store(&ledger, at(3)).await.unwrap(), Imported::New(RegistryVersion(2)));
    let newest = open(&ledger, RegistryChoice::Newest).await.unwrap();
    assert_eq!(newest.registry_version(), Some(RegistryVersion(2)));
    let sql = "SELECT DISTINCT workload FROM calls WHERE team = 'search'";
    assert_eq!(texts(&newest, sql).await, [Some("b".into())]);
    let first = open(&ledger, RegistryChoice::Version(RegistryVersion(1))).await.unwrap();
    assert_eq!(texts(&first, sql).await, [Some("a".into())]);
    let error = open(&ledger, RegistryChoice::Version(RegistryVersion(3))).await.unwrap_err();
    assert_eq!(error.to_string(), "the ledger has no registry version 3");
    assert_eq!(texts(&newest, "SELECT file FROM registry").await.len(), 2);
}

#[tokio::test]
async fn two_imports_at_once_are_two_versions() {
    let ledger = fixture::empty().await;
    let (a, b) = (one_workload("a"), one_workload("b"));
    let (a, b) = tokio::join!(a.store(&ledger, Instant::from_micros(1)), b.store(&ledger, Instant::from_micros(1)));
    let mut versions = [a.unwrap(), b.unwrap()].map(|imported| match imported {
        Imported::New(version) => version.0,
        Imported::Unchanged(_) => 0,
    });
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_killed_at_any_call_and_run_again_is_one_version() {
    let store = Arc::new(InMemory::new());
    Ledger::create_at(Root { store: Arc::clone(&store) as _, ..Root::memory() }).await.unwrap();
    at_every_call(
        &store.fork(),
        async |store| {
            let Ok(ledger) = Ledger::create_at(store.root()).await else { return };
            one_workload("a").store(&ledger, Instant::from_micros(1)).await.ok();
        },
        async |ledger, struck| {
            let again = one_workload("a").store(&ledger, Instant::from_micros(2)).await.unwrap();
            let (Imported::New(first) | Imported::Unchanged(first)) = again;
            assert_eq!(first, RegistryVersion(1), "{struck:?}");
            let (stored, version) = Registry::load(&ledger, None).await.unwrap();
            assert_eq!(version, Some(RegistryVersion(1)), "{struck:?}");
            assert_eq!(stored.workloads, one_workload("a").workloads, "{struck:?}");
            assert_eq!(ledger.registry().load(None).await.unwrap().rows(), 1, "{struck:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn an_old_state_of_the_ledger_has_the_registry_of_its_time() {
    let ledger = fixture::company().await;
    let before = ledger.usage().load(None).await.unwrap().version();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(
        one_workload("a").store(&ledger, Instant::from_micros(1)).await.unwrap(),
        Imported::New(RegistryVersion(1))
    );
    let options = SessionOptions { as_of: Some(AsOf::Version(before)), ..fixture::options() };
    let session = Session::open(&ledger, options).await.unwrap();
    assert_eq!(session.registry_version(), None);
    assert_eq!(texts(&session, "SELECT DISTINCT workload FROM calls").await, [None]);
}

#[tokio::test]
async fn an_entry_is_explained_rule_by_rule() {
    let ledger = fixture::company().await;
    let session = open(&ledger, RegistryChoice::Given(Arc::new(company()))).await.unwrap();
    let ids = texts(&session, "SELECT encode(entry_id, 'hex') FROM usage WHERE reported_cost = 0.5").await;
    let explanation = explain(&session, EntryId::parse(ids[0].as_deref().unwrap()).unwrap()).await.unwrap().to_string();
    let lines: Vec<_> = explanation.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "  team = support",
            "  operation = chat",
            "  provider = openai",
            "  model = gpt-5",
            "rules",
            "  1 search (line 12): team = search: no, team is support",
            "  2 costed (line 19): team = support and tags.cost centre = 42 or 43: no, the call says no tags.cost centre",
            "  3 support (line 27): team = supp* and operation = chat: holds",
            "workload: support",
            "owner: none",
            "contract: openai-2026",
            "model family: gpt-5",
        ]
    );
    let error = explain(&session, EntryId([0; 16])).await.unwrap_err();
    assert_eq!(error.to_string(), "the ledger has no entry `00000000000000000000000000000000`");
}

#[tokio::test]
async fn only_columns_that_rules_speak_of_are_read() {
    let ledger = fixture::company().await;
    let session = open(&ledger, RegistryChoice::Given(Arc::new(one_workload("a")))).await.unwrap();
    let plan = plan_of(&session, "SELECT workload, count(*) FROM calls GROUP BY 1").await;
    assert!(plan.contains("projection=[team]") && !plan.contains("workload("), "{plan}");
}

/// Facts and patterns over so few letters that they often meet.
fn fact() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[ab_%]{0,3}")
}

fn pattern() -> impl Strategy<Value = String> {
    "[ab_%*]{1,4}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn rules_decide_the_same_in_sql_as_in_the_explanation(
        calls in proptest::collection::vec((fact(), fact(), fact()), 8),
        rules in proptest::collection::vec((proptest::option::of(pattern()), pattern(), proptest::option::of(pattern())), 1..9),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Box::pin(async {
            let ledger = fixture::empty().await;
            let ids: Vec<_> = (0..calls.len()).map(|at| format!("c{at}")).collect();
            let entries = ids.iter().zip(&calls).map(|(id, (team, model, tag))| {
                let mut entry = call(id, "p", "m", "", "2026-11-20T09:00:00Z", (1, 1));
                entry.team = team.as_deref().map(Into::into);
                entry.response_model = model.as_deref().map(Into::into);
                entry.request_model = None;
                entry.tags = tag.iter().map(|tag| ("t".into(), tag.as_str().into())).collect();
                entry.tags.push(("u".into(), "a".into()));
                entry.operation = Some(Operation::Chat);
                (entry, None)
            });
            append(&ledger, "b", &entries.collect::<Vec<_>>()).await;
            let text: String = rules.iter().enumerate().map(|(at, (team, model, tag))| {
                let line = |key: &str, value: &Option<String>| {
                    value.as_ref().map(|value| format!("{key} = '{value}'\n")).unwrap_or_default()
                };
                // Two equal rules would be a fault: the provider makes each its own.
                let provider = format!("provider = ['p', 'p{at}']\n");
                format!("[[workload]]\nname = 'w{at}'\n[[workload.rule]]\n{provider}model = '{model}'\n{}{}",
                    line("team", team), line("tags.t", tag))
            }).collect();
            let session = open(&ledger, RegistryChoice::Given(Arc::new(workloads(&text)))).await.unwrap();
            for id in texts(&session, "SELECT encode(entry_id, 'hex') FROM usage").await.into_iter().flatten() {
                let explained = explain(&session, EntryId::parse(&id).unwrap()).await.unwrap();
                let decided = explained.trials.iter().find(|trial| trial.failed.is_none());
                let decided = decided.map(|trial| trial.workload.clone());
                assert_eq!(explained.resolved[0].1, decided, "{explained}");
            }
        }));
    }
}
