//! Ledgers with known rows.

use daybook_ledger::testing::{append, bill, call, quarantine, replace};
use daybook_ledger::{
    BillingLine, BillingReport, Date, Entry, Evidence, EvidenceKind, Feature, Instant, Ledger, Root, Score, Status,
    UsageSource, Usd,
};
use daybook_queries::{Session, SessionOptions};

pub(crate) fn usd(text: &str) -> Option<Usd> {
    Some(Usd::parse(text).unwrap())
}

/// Two threads and little memory, as in a small container.
pub(crate) fn options() -> SessionOptions {
    SessionOptions { target_partitions: 2, memory_bytes_max: 64 << 20, ..SessionOptions::default() }
}

pub(crate) async fn empty() -> Ledger {
    Ledger::create_at(Root::memory()).await.unwrap()
}

pub(crate) async fn open(ledger: &Ledger) -> Session {
    Session::open(ledger, options()).await.unwrap()
}

/// A small company's three days: two teams, three providers, and one of everything that can be unknown.
pub(crate) async fn company() -> Ledger {
    let ledger = empty().await;
    append(&ledger, "b1", &first_day()).await;
    append(&ledger, "b2", &second_day()).await;
    append(&ledger, "b3", &third_day()).await;
    quarantine(&ledger, "q1", 100, b"not json").await;
    ledger
}

fn first_day<'a>() -> Vec<(Entry<'a>, Option<Usd>)> {
    let mut tools = call("a1", "openai", "gpt-5", "search", "2026-11-18T08:00:00.123456Z", (1_000, 200));
    tools.features.insert(Feature::ToolCalling);
    tools.features.insert(Feature::StructuredOutput);
    tools.reported_cost = usd("0.0031");
    tools.reported_currency = Some("USD");
    let plain = call("a2", "openai", "gpt-5", "search", "2026-11-18T09:00:00Z", (2_000, 300));
    let mut cached = call("a3", "anthropic", "claude-sonnet-5", "support", "2026-11-18T10:00:00Z", (50_000, 900));
    cached.tokens.cache_read = Some(48_000);
    cached.features.insert(Feature::PromptCacheControl);
    vec![(tools, usd("0.003")), (plain, usd("0.000000000001")), (cached, usd("0.0333"))]
}

fn second_day<'a>() -> Vec<(Entry<'a>, Option<Usd>)> {
    let mut failed = call("b1", "openai", "gpt-5", "search", "2026-11-19T08:00:00Z", (10, 0));
    failed.status = Status::Error;
    failed.error_type = Some("rate_limit_exceeded".into());
    let unknown = call("b2", "selfhosted", "llama-tuned", "search", "2026-11-19T09:00:00Z", (700, 70));
    let mut absent = call("b3", "openai", "gpt-5", "support", "2026-11-19T10:00:00Z", (0, 0));
    absent.tokens = Default::default();
    absent.usage_source = UsageSource::Absent;
    absent.reported_cost = usd("0.5");
    absent.reported_currency = Some("USD");
    vec![(failed, usd("0.00001")), (unknown, None), (absent, None)]
}

fn third_day<'a>() -> Vec<(Entry<'a>, Option<Usd>)> {
    let mut orphan = call("c1", "anthropic", "claude-sonnet-5", "", "2026-11-20T23:30:00Z", (100, 10));
    orphan.team = None;
    orphan.api_key_alias = Some("ci".into());
    orphan.features.insert(Feature::PromptCacheControl);
    let mut cut = call("c2", "openai", "gpt-5", "support", "2026-11-20T12:00:00Z", (100, 5));
    cut.status = Status::Incomplete;
    cut.usage_source = UsageSource::Estimated;
    let mut wrong = call("c3", "openai", "gpt-5", "support", "2026-11-20T12:00:01Z", (100, 5));
    wrong.tokens.reasoning = Some(6);
    wrong.tags = vec![("cost centre".into(), "42".into())];
    vec![(orphan, usd("0.001")), (cut, usd("0.002")), (wrong, usd("0.0005"))]
}

/// A call every hour on the days around the four clock changes of 2026 in Berlin and New York.
pub(crate) async fn clock_changes() -> Ledger {
    let ledger = empty().await;
    for (batch, days) in [
        ("spring-us", ["2026-03-07", "2026-03-08", "2026-03-09"]),
        ("spring-eu", ["2026-03-28", "2026-03-29", "2026-03-30"]),
        ("autumn-eu", ["2026-10-24", "2026-10-25", "2026-10-26"]),
        ("autumn-us", ["2026-10-31", "2026-11-01", "2026-11-02"]),
    ] {
        let hours = days.iter().flat_map(|day| (0..24).map(move |hour| format!("{day}T{hour:02}:00:00Z")));
        let hours: Vec<String> = hours.collect();
        let calls = hours.iter().map(|at| (call(at, "openai", "gpt-5", "search", at, (1, 1)), usd("0.01")));
        append(&ledger, batch, &calls.collect::<Vec<_>>()).await;
    }
    ledger
}

/// The same company, which rehearsed leaving and exported, for one contract and otherwise.
pub(crate) async fn rehearsed_company() -> Ledger {
    let ledger = company().await;
    let fact = |kind, day: &str, contract: Option<&str>, scores: &[(&str, &str)]| Evidence {
        contract: contract.map(String::from),
        scores: scores.iter().map(|(name, score)| ((*name).into(), Score::parse(score).unwrap())).collect(),
        ..Evidence::new(kind, Date::parse(day).unwrap())
    };
    let (rehearsal, export, openai) = (EvidenceKind::Rehearsal, EvidenceKind::Export, Some("openai-2026"));
    let slow = [("predicted_s", "2592001"), ("took_s", "60.5"), ("predicted_rows", "9"), ("predicted_bytes", "900")];
    let fast = [("predicted_s", "3600.25"), ("took_s", "60"), ("written_bytes", "90"), ("rows", "1")];
    let late = [("rows", "8"), ("bytes", "800"), ("days_taken", "31"), ("days_granted", "30")];
    let of_anthropic = Evidence { provider: Some("anthropic".into()), ..fact(export, "2026-11-19", None, &[]) };
    let of_openai = Evidence { provider: Some("openai".into()), ..fact(rehearsal, "2026-11-13", None, &[]) };
    let of_a_workload = Evidence { workload: Some("search".into()), ..fact(export, "2026-11-18", None, &[]) };
    let facts = [
        fact(rehearsal, "2026-11-10", openai, &slow),
        fact(rehearsal, "2026-11-12", openai, &fast),
        fact(rehearsal, "2026-11-11", openai, &slow),
        fact(export, "2026-11-14", None, &[]),
        fact(export, "2026-11-15", openai, &late),
        of_anthropic,
        of_openai,
        of_a_workload,
    ];
    ledger.record(&facts, Instant::parse("2026-11-20T12:00:00Z").unwrap()).await.unwrap();
    ledger
}

/// A company whose bills are in the ledger too: a line that was replaced, one report in three groupings, a credit.
pub(crate) async fn billed_company() -> Ledger {
    let ledger = company().await;
    let cost = |pico: i128, item: &str| {
        let mut line = line("2026-11-18T00:00:00Z", 86_400, BillingReport::Cost);
        (line.line_item, line.billed_cost, line.currency) =
            (Some(item.into()), Some(Usd::from_pico(pico)), Some("USD".into()));
        line
    };
    let usage = |shape: &str, seconds: i64, model: Option<&str>, input: i64| {
        let mut line = line("2026-11-18T00:00:00Z", seconds, BillingReport::Usage);
        (line.shape, line.service, line.model) =
            (Some(shape.into()), Some("completions".into()), model.map(String::from));
        line.tokens.input = Some(input);
        line
    };
    bill(&ledger, "m1", &[cost(3_100_000_000, "gpt-5, input"), cost(-1, "credit"), usage("1d", 86_400, None, 3_000)])
        .await;
    bill(&ledger, "m2", &[usage("1d by model", 86_400, Some("gpt-5"), 3_000), usage("1h", 3_600, None, 1_000)]).await;
    replace(&ledger, "m3", &cost(3_100_000_000, "gpt-5, input"), &cost(3_200_000_000, "gpt-5, input")).await;
    ledger
}

fn line(start: &str, seconds: i64, report: BillingReport) -> BillingLine {
    let start = Instant::parse(start).unwrap();
    let end = Instant::from_micros(start.micros() + seconds * 1_000_000);
    BillingLine::new("openai-admin", report, "openai", (start, end))
}
