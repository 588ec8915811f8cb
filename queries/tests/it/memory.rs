//! Reports and the gate do with little memory.

use std::sync::Arc;

use daybook_ledger::testing::{append, call};
use daybook_ledger::{Date, Entry, Feature, Ledger, Status};
use daybook_queries::report::{
    GateOptions, Report, SpendOptions, anomalies, audit, contracts, exit_readiness, forecast, gate, gate_is_open,
    lockin, portability, render_report, savings, spend, why,
};
use daybook_queries::{Format, RegistryChoice, Session, SessionOptions};

use crate::{fixture, portfolio};

const CONTRACT: &str = "openai-2026";
const DAYS: usize = 60;
const CALLS_A_DAY: usize = 50;

/// Team, provider and model of workloads of `portfolio`, and of none.
const TRAFFIC: [(&str, &str, &str); 6] = [
    ("chat", "openai", "gpt-5"),
    ("chat", "mistral", "mistral-small-2603"),
    ("tools", "anthropic", "claude-sonnet-5"),
    ("rare", "openai", "gpt-5"),
    ("tuned", "openai", "ft:gpt-4.1:acme"),
    ("nobody", "xai", "grok-9-beta"),
];

/// Two months of a company, a file a day.
async fn ledger() -> Ledger {
    let ledger = fixture::empty().await;
    let ids: Vec<_> = (0..DAYS * CALLS_A_DAY).map(|at| (at, format!("c{at}"), started_at(at))).collect();
    let entries: Vec<_> =
        ids.iter().map(|(at, id, started_at)| (entry(*at, id, started_at), fixture::usd("0.01"))).collect();
    append(&ledger, "b", &entries).await;
    ledger
}

fn started_at(at: usize) -> String {
    let (day, minute) = (at / CALLS_A_DAY, at % CALLS_A_DAY);
    format!("2026-{:02}-{:02}T09:{minute:02}:00Z", 10 + day / 30, 1 + day % 30)
}

fn entry<'a>(at: usize, id: &'a str, started_at: &str) -> Entry<'a> {
    let (team, provider, model) = TRAFFIC[at % TRAFFIC.len()];
    let mut entry = call(id, provider, model, team, started_at, (1_000, 100));
    entry.latency_ms = Some(i64::try_from(at % 997).unwrap());
    entry.trace_id = Some(format!("t{}", at / 2).into());
    entry.features.insert_if(at.is_multiple_of(5), Feature::ToolCalling);
    if at % 50 == 7 {
        entry.status = Status::Error;
        entry.error_type = Some("overloaded".into());
    }
    entry
}

/// All but the brief, whose widest query sorts too many small things at once for so little.
fn reports(session: &Session, on: Date) -> Vec<Report> {
    let of = |title, sections| Report::of(title, Some(on), sections);
    vec![
        of("lockin", lockin()),
        of("why", why(session, "chat").unwrap()),
        of("portability", portability(session, None).unwrap()),
        of("contracts", contracts(on)),
        of("exit-readiness", exit_readiness(session, Some(CONTRACT), on).unwrap()),
        of("forecast", forecast()),
        of("anomalies", vec![anomalies()]),
        of("savings", savings()),
        of("spend", vec![spend(&SpendOptions::default())]),
        audit(session.registry(), on),
    ]
}

#[tokio::test]
async fn reports_and_the_gate_run_in_64_mb() {
    let on = Date::parse("2026-11-30").unwrap();
    let registry = RegistryChoice::Given(Arc::new(portfolio::registry()));
    let options = SessionOptions { registry, memory_bytes_max: 64 << 20, ..fixture::options() };
    let ledger = ledger().await;
    let opened = async || Session::open(&ledger, options.clone()).await.unwrap();
    let session = opened().await;
    let checks = gate(&session, &GateOptions::usual(CONTRACT, on)).unwrap();
    assert!(!gate_is_open(&session, &checks).await.unwrap());
    for report in reports(&session, on) {
        // Each as a command of its own: a session keeps what its reports read often.
        let session = opened().await;
        let written = render_report(&session, &report, Format::Html, usize::MAX, &mut Vec::new()).await;
        assert!(written.is_ok(), "{}: {written:?}", report.title);
    }
}
