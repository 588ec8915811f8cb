//! Rules that are decided once for calls that are alike decide what they would for each.

use std::sync::Arc;

use daybook_ledger::Ledger;
use daybook_ledger::testing::{append, call};
use daybook_queries::registry::{File, Registry};
use daybook_queries::{RegistryChoice, Session, SessionOptions};

use crate::fixture;

const APPS: [&str; 4] = ["search", "chat", "batch", "lab"];

/// A workload for each app, by its exact name.
fn registry() -> Registry {
    let workload = |app: &str| {
        format!("[[workload]]\nname = 'of {app}'\n[[workload.rule]]\nprovider = 'openai'\ntags.app = '{app}'\n")
    };
    Registry::read("", vec![File { name: "workloads.toml".into(), text: APPS.map(workload).concat() }]).unwrap()
}

/// Ten calls each of three apps, and of what names none: an empty tag, another case, another tag, no tag; twice one of no rule's
/// provider.
async fn ledger() -> Ledger {
    let ledger = fixture::empty().await;
    let tags: [&[(&str, &str)]; 8] = [
        &[("app", "search")],
        &[("app", "chat"), ("tier", "gold")],
        &[("tier", "gold"), ("app", "lab")],
        &[("app", "")],
        &[("app", "Search")],
        &[("tier", "search")],
        &[],
        &[("app", "search")],
    ];
    let ids: Vec<_> = (0..10 * tags.len()).map(|at| format!("a{at}")).collect();
    let entries = ids.iter().enumerate().map(|(at, id)| {
        let kind = at % tags.len();
        let provider = if kind == 7 { "azure" } else { "openai" };
        let team = if at.is_multiple_of(2) { "a" } else { "b" };
        let mut entry = call(id, provider, "gpt-5", team, "2026-11-20T09:00:00Z", (10, 1));
        entry.tags = tags[kind].iter().map(|(tag, value)| ((*tag).into(), (*value).into())).collect();
        (entry, None)
    });
    append(&ledger, "b", &entries.collect::<Vec<_>>()).await;
    ledger
}

async fn text(session: &Session, sql: &str) -> String {
    let batches = session.run(sql).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn a_tag_that_must_equal_a_word_is_decided_once() {
    let registry = RegistryChoice::Given(Arc::new(registry()));
    let session = Session::open(&ledger().await, SessionOptions { registry, ..fixture::options() }).await.unwrap();

    let plan = text(&session, "EXPLAIN SELECT workload, count(*) FROM calls GROUP BY workload").await;
    assert!(plan.contains("decide_once(") && !plan.contains("CASE"), "{plan}");

    let by_workload =
        "SELECT coalesce(workload, '-') || ' ' || count(*) AS calls FROM calls GROUP BY workload ORDER BY 1";
    assert_eq!(
        text(&session, by_workload).await,
        "+--------------+\n| calls        |\n+--------------+\n| - 50         |\n| of chat 10   |\n| of lab 10    |\n\
         | of search 10 |\n+--------------+"
    );
    let with_totals = "SELECT concat_ws(' ', workload, team, count(*)) AS calls FROM calls WHERE workload <> 'of lab' \
                       GROUP BY ROLLUP (workload, team) ORDER BY 1";
    assert_eq!(
        text(&session, with_totals).await,
        "+----------------+\n| calls          |\n+----------------+\n| 20             |\n| of chat 10     |\n| of chat b 10   |\n\
         | of search 10   |\n| of search a 10 |\n+----------------+"
    );
    assert!(text(&session, "SELECT count(*) FROM calls WHERE workload = 'of lab'").await.contains("| 10       |"));
}
