//! Reports made of published queries, on the planted company.

use std::sync::Arc;

use daybook_ledger::price::Book;
use daybook_ledger::testing::{append, call};
use daybook_ledger::{Date, Evidence, EvidenceKind, Instant, Report as _, Usd};
use daybook_queries::registry::{ClauseKind, File, ModelRef, Registry};
use daybook_queries::report::{
    Dimension, GateOptions, Grain, Section, SpendOptions, contracts, gate, gate_is_open, lockin, re_embedding,
    render_sections, spend, why,
};
use daybook_queries::{Format, RegistryChoice, Session, SessionOptions};
use serde_json::Value;

use crate::{fixture, portfolio};

async fn open(registry: Registry) -> Session {
    let registry = RegistryChoice::Given(Arc::new(registry));
    Session::open(&portfolio::ledger().await, SessionOptions { registry, ..fixture::options() }).await.unwrap()
}

async fn text(session: &Session, sections: &[Section], format: Format) -> String {
    let mut out = Vec::new();
    render_sections(session, sections, format, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn json(session: &Session, sections: &[Section]) -> Value {
    serde_json::from_str(&text(session, sections, Format::Json).await).unwrap()
}

/// The registry of the portfolio with a `features.toml` of its own.
fn with_features(features: &str) -> Registry {
    let mut files = portfolio::registry().files().to_vec();
    files.push(File { name: "features.toml".into(), text: features.into() });
    Registry::read("", files).unwrap()
}

#[tokio::test]
async fn the_report_holds_every_planted_tie_in_its_own_table() {
    let report = json(&open(portfolio::registry()).await, &lockin()).await;
    let segments: Vec<_> =
        report["segments"].as_array().unwrap().iter().map(|row| (&row["segment"], &row["calls"])).collect();
    assert_eq!(
        format!("{segments:?}"),
        r#"[(String("locked_in"), Number(9)), (String("movable"), Number(5)), (String("portable"), Number(239))]"#
    );
    assert_eq!(report["segments"][0]["list_cost"], "4.900005000000");
    assert_eq!(report["workloads"][0]["workload"], "threads");
    assert_eq!(report["workloads"][0]["because"], "hosted_state");
    assert_eq!(report["workloads"][0]["agrees"], false);
    assert_eq!(report["embeddings"][0]["input_tokens"], 5000);
    assert_eq!(report["fine_tuned_models"][0]["model"], "ft:gpt-4.1:acme");
    assert_eq!(report["hosted_state"][0]["first_day"], "2026-10-05");
    assert_eq!(report["commitments"][0]["remaining"], "-4.000005000000");
    assert_eq!(report["capacity"].as_array().unwrap().len(), 0);
    assert_eq!(report["made_from"]["registry_version"], Value::Null);
}

#[tokio::test]
async fn a_changed_rule_changes_the_segment_it_decides_and_no_other() {
    let segment = |report: &Value, name: &str| {
        let rows = report["workloads"].as_array().unwrap();
        rows.iter().find(|row| row["workload"] == name).unwrap()["segment"].as_str().unwrap().to_owned()
    };
    let rule = "[[feature]]\nname = 'tool_calling'\nform = 'proprietary_api'\nsegment = 'SEGMENT'\nshare_min = SHARE\n\
                effort_days = 1\nreason = 'ours'\nmoving = 'ours'\n";
    for (changed, share, expected) in
        [("locked_in", "0.3", "locked_in"), ("movable", "0.357143", "movable"), ("movable", "0.357144", "portable")]
    {
        let features = rule.replace("SEGMENT", changed).replace("SHARE", share);
        let report = json(&open(with_features(&features)).await, &lockin()).await;
        assert_eq!(segment(&report, "tools"), expected, "{changed} from {share}");
        assert_eq!(segment(&report, "threads"), "locked_in");
        assert_eq!(segment(&report, "chat"), "portable");
    }
}

#[tokio::test]
async fn why_names_the_rules_counts_and_a_call_for_each() {
    let session = open(portfolio::registry()).await;
    let report = json(&session, &why(&session, "tools").unwrap()).await;
    assert_eq!(report["verdict"][0]["segment"], "movable");
    let rules = report["rules"].as_array().unwrap();
    assert_eq!(
        (&rules[0]["feature"], &rules[0]["calls"], &rules[0]["list_cost"]),
        (&"tool_calling".into(), &5.into(), &"1.000000000000".into())
    );
    let sample = rules[0]["sample"].as_str().unwrap();
    let sql = format!(
        "SELECT array_has(features, 'tool_calling') AS yes FROM usage WHERE entry_id = decode('{sample}', 'hex')"
    );
    let found = json(&session, &[Section::new("found", "", "", sql)]).await;
    assert_eq!(found["found"][0]["yes"], true);
    assert_eq!(report["assignment"][0]["conditions"], "team = tools");
    assert_eq!(report["providers"][1]["provider"], "bedrock");
    let error = why(&session, "tool").unwrap_err();
    assert_eq!(error.to_string(), "unknown workload `tool`; did you mean `tools`?");
}

#[tokio::test]
async fn embedding_again_costs_the_recorded_tokens_at_the_price_named() {
    let session = open(portfolio::registry()).await;
    let sheet = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n\
                 acme,embed-1,2026-01-01,2026-11-01,input,0.5,contract\nacme,embed-1,2026-11-01,,input,0.123457,contract\n";
    let book = Book::read_csv(sheet.as_bytes(), "sheet").unwrap();
    let model = |model: &str| ModelRef { provider: "acme".into(), model: model.into() };
    let at = Instant::parse("2026-11-20T09:00:00Z").unwrap();
    let report = json(&session, &[re_embedding(&book, &model("embed-1"), at).unwrap()]).await;
    let row = &report["re_embedding"][0];
    assert_eq!((&row["input_tokens"], &row["cost"]), (&5000.into(), &"0.000617285000".into()));
    let error = re_embedding(&book, &model("embed-2"), at).unwrap_err();
    assert_eq!(error.to_string(), "there is no price for `acme/embed-2`: unknown_model");
}

#[tokio::test]
async fn contracts_say_what_is_due() {
    let session = open(portfolio::registry()).await;
    // The gate is 2026-08-03, notice 2026-12-01, the end 2026-12-31.
    for (on, due) in [
        ("2026-08-02", "open"),
        ("2026-08-03", "decide"),
        ("2026-12-01", "decide"),
        ("2026-12-02", "notice passed"),
        ("2027-01-01", "ended"),
    ] {
        let report = json(&session, &contracts(Date::parse(on).unwrap())).await;
        assert_eq!(report["calendar"][0]["due"], due, "{on}");
    }
    let report = json(&session, &contracts(Date::parse("2026-11-21").unwrap())).await;
    assert_eq!(report["calendar"][0]["days_to_notice"], 10);
    assert_eq!(report["spend"][0]["list_cost"], "14.000005000000");
}

#[tokio::test]
async fn the_gate_names_each_reason_and_opens_when_none_is_left() {
    let session = open(portfolio::registry()).await;
    let part = |text: &str| Usd::parse(text).unwrap();
    let strict = GateOptions {
        contract: "openai-2026".into(),
        on: Date::parse("2026-11-20").unwrap(),
        concentration_max: part("0.5"),
        unpriced_max: part("0.001"),
        unassigned_max: part("0"),
        unattributed_max: part("0.02"),
        export_days_max: 90,
        clauses: vec![ClauseKind::Escrow, ClauseKind::DataPortability],
    };
    let checks = gate(&session, &strict).unwrap();
    let report = json(&session, std::slice::from_ref(&checks)).await;
    let found = |name: &str| {
        let rows = report["gate"].as_array().unwrap();
        let row = rows.iter().find(|row| row["check"] == name).unwrap();
        (row["passed"].as_bool().unwrap(), row["found"].as_str().unwrap().to_owned())
    };
    assert_eq!(found("gate_day"), (false, "2026-08-03".into()));
    assert_eq!(found("calls"), (true, "233".into()));
    assert_eq!(found("concentration"), (false, "0.778643".into()));
    assert_eq!(found("unpriced"), (false, "0.004292".into()));
    assert_eq!(found("unassigned"), (true, "0.000000".into()));
    // The six calls of `threads` name no team.
    assert_eq!(found("unattributed"), (false, "0.025751".into()));
    assert_eq!(found("export"), (false, "never".into()));
    assert_eq!(found("options"), (false, "chat stale, rare never".into()));
    assert_eq!(found("declared"), (false, "threads is locked_in".into()));
    assert_eq!(found("clauses"), (false, "missing data_portability, escrow".into()));
    let over = "autumn ends 4.00 dollars over on 2026-12-31 (4.00 to 10.44), used up already";
    assert_eq!(found("commitments"), (false, over.into()));
    assert!(!gate_is_open(&session, &checks).await.unwrap());

    let error = gate(&session, &GateOptions { contract: "openai-2027".into(), ..strict }).unwrap_err();
    assert_eq!(error.to_string(), "unknown contract `openai-2027`; did you mean `openai-2026`?");
}

#[tokio::test]
async fn a_gate_with_nothing_against_it_is_open() {
    let ledger = fixture::empty().await;
    let (entry, other) = (
        call("a", "openai", "gpt-5", "chat", "2026-02-20T09:00:00Z", (10, 1)),
        call("b", "mistral", "mistral-small-2603", "chat", "2026-02-20T09:00:00Z", (10, 1)),
    );
    let third = call("c", "openai", "gpt-5", "chat", "2026-02-20T09:00:00Z", (10, 1));
    let cost = fixture::usd("0.1");
    append(&ledger, "b", &[(entry, cost), (other, cost), (third, cost)]).await;
    // Ninety days before the day asked on; for another contract it says nothing about this one.
    let rehearsed = |contract: &str, day: &str| Evidence {
        contract: Some(contract.into()),
        ..Evidence::new(EvidenceKind::Rehearsal, Date::parse(day).unwrap())
    };
    let facts = [rehearsed("openai-2026", "2025-12-01"), rehearsed("other", "2026-02-01")];
    ledger.record(&facts, Instant::parse("2026-03-01T00:00:00Z").unwrap()).await.unwrap();
    let registry = RegistryChoice::Given(Arc::new(portfolio::registry()));
    let session = Session::open(&ledger, SessionOptions { registry, ..fixture::options() }).await.unwrap();
    let limits = |concentration: &str| GateOptions {
        contract: "openai-2026".into(),
        on: Date::parse("2026-03-01").unwrap(),
        concentration_max: Usd::parse(concentration).unwrap(),
        unpriced_max: Usd::ZERO,
        unassigned_max: Usd::ZERO,
        unattributed_max: Usd::ZERO,
        export_days_max: 90,
        clauses: vec![],
    };
    for (concentration, days, open) in [("0.666667", 90, true), ("0.666666", 90, false), ("0.666667", 89, false)] {
        let options = GateOptions { export_days_max: days, ..limits(concentration) };
        let checks = gate(&session, &options).unwrap();
        let text = text(&session, std::slice::from_ref(&checks), Format::Table).await;
        assert_eq!(gate_is_open(&session, &checks).await.unwrap(), open, "{text}");
    }
}

#[tokio::test]
async fn spend_follows_the_zone_and_its_window_is_half_open() {
    let options = SessionOptions { time_zone: "Europe/Berlin".into(), ..fixture::options() };
    let session = Session::open(&fixture::clock_changes().await, options).await.unwrap();
    let day = |text: &str| Date::parse(text);
    let by_day = SpendOptions { by: vec![], grain: Some(Grain::Day), from: day("2026-03-29"), to: day("2026-03-30") };
    let report = json(&session, &[spend(&by_day)]).await;
    assert_eq!(report["spend"].as_array().unwrap().len(), 1);
    assert_eq!((&report["spend"][0]["day"], &report["spend"][0]["calls"]), (&"2026-03-29".into(), &23.into()));
    // The first two hours of the 24th in Berlin are the 23rd in UTC, where the ledger has no calls.
    let by_team =
        SpendOptions { by: vec![Dimension::Team], from: day("2026-10-24"), to: day("2026-10-26"), grain: None };
    let report = json(&session, &[spend(&by_team)]).await;
    assert_eq!((&report["spend"][0]["team"], &report["spend"][0]["calls"]), (&"search".into(), &47.into()));
    assert_eq!(report["spend"][0]["list_cost"], "0.470000000000");
    for by in Dimension::ALL {
        let options = SpendOptions { by: vec![*by], grain: Some(Grain::Month), ..SpendOptions::default() };
        json(&session, &[spend(&options)]).await;
    }
}

#[tokio::test]
async fn a_day_of_a_zone_begins_where_its_clocks_have_no_midnight_or_two() {
    let ledger = fixture::empty().await;
    // In Santiago the 6th of September begins at 01:00, which is 04:00 in UTC; in the Azores the 25th of October has two
    // hours from midnight to one.
    let at = [
        "2026-09-06T03:59:59Z",
        "2026-09-06T04:00:00Z",
        "2026-09-07T02:59:59Z",
        "2026-09-07T03:00:00Z",
        "2026-10-24T23:59:59Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:30:00Z",
        "2026-10-26T00:59:59Z",
        "2026-10-26T01:00:00Z",
    ];
    let calls = at.map(|at| (call(at, "openai", "gpt-5", "search", at, (1, 1)), fixture::usd("0.01")));
    append(&ledger, "b", &calls).await;
    for (zone, from, to, expected) in
        [("America/Santiago", "2026-09-06", "2026-09-07", 2), ("Atlantic/Azores", "2026-10-25", "2026-10-26", 3)]
    {
        let options = SessionOptions { time_zone: zone.into(), ..fixture::options() };
        let session = Session::open(&ledger, options).await.unwrap();
        let options = SpendOptions { from: Date::parse(from), to: Date::parse(to), ..SpendOptions::default() };
        let report = json(&session, &[spend(&options)]).await;
        assert_eq!(report["spend"][0]["calls"], expected, "{zone}");
    }
    let session = fixture::open(&ledger).await;
    let by = vec![Dimension::Team, Dimension::Model, Dimension::Team];
    let report = json(&session, &[spend(&SpendOptions { by, ..SpendOptions::default() })]).await;
    let row = &report["spend"][0];
    assert_eq!((&row["team"], &row["model"], &row["calls"]), (&"search".into(), &"gpt-5".into(), &9.into()));
}

#[tokio::test]
async fn several_tables_are_text_or_json_and_nothing_else() {
    let session = open(portfolio::registry()).await;
    let sections = contracts(Date::parse("2026-11-21").unwrap());
    let markdown = text(&session, &sections, Format::Markdown).await;
    let expected = "## Clauses\n\nMissing is what was refused or is not listed.\n\n| contract | held | missing |\n| --- | --- | --- |\n| openai-2026 |  | api_compatibility, ";
    assert!(markdown.contains(expected), "{markdown}");
    assert!(
        markdown.starts_with("Made from version 12 of `usage` and a registry that is not in the ledger.\n"),
        "{markdown}"
    );
    let mut out = Vec::new();
    let error = render_sections(&session, &sections, Format::Csv, &mut out).await.unwrap_err();
    assert_eq!(error.to_string(), "a report of several tables cannot be written as csv, which holds one");
    assert!(error.hint().unwrap().starts_with("choose one with --only: there are `calendar`, ") && out.is_empty());
    let csv = text(&session, &sections[5..], Format::Csv).await;
    assert!(csv.starts_with("contract,held,missing\nopenai-2026,,"), "{csv}");
}
