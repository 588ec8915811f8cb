//! Sixteen weeks of a company with planted facts: a level, a drift, an odd day, caches and batches used and not, a model too
//! dear for its work, a tie that begins on a known day.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::price::{Book, Sheet};
use daybook_ledger::testing::{append, append_priced, call};
use daybook_ledger::{Body, Date, Entry, Feature, Instant, Ledger, Usd};
use daybook_queries::registry::{File, Registry};
use daybook_queries::report::{GateOptions, audit, calendar, gate, portability};
use daybook_queries::{RegistryChoice, ReplayOptions, Session, SessionOptions, replay_set};
use serde_json::Value;

use crate::fixture;

/// The last day of the ledger, a Friday.
const LAST_DAY: &str = "2026-11-20";
const DAYS: i32 = 113;

const WORKLOADS: &str = "
[[workload]]
name = 'steady'
owner = 'ana'
[[workload.rule]]
team = 'steady'
[[workload]]
name = 'growing'
[[workload.rule]]
team = 'growing'
[[workload]]
name = 'routed'
[[workload.rule]]
team = 'routed'
";

const CONTRACTS: &str = "
[[contract]]
name = 'openai-2026'
vendor = 'OpenAI, Inc.'
providers = 'openai'
starts_on = 2026-01-01
ends_on = 2026-12-31
renewal = 'automatic'
notice_days = 30
retrieval_days = 30
[[contract.commitment]]
name = 'autumn'
usd = 200
starts_on = 2026-10-01
ends_on = 2026-12-31
shortfall = 'billed'
[[contract.commitment]]
name = 'winter'
usd = 100
starts_on = 2026-12-01
ends_on = 2026-12-31
shortfall = 'forfeited'
[[contract.clause]]
kind = 'data_portability'
days = 30
[[contract.clause]]
kind = 'price_review'
days = 60
[[contract.clause]]
kind = 'escrow'
due_on = 2026-11-30
";

/// The registry of this company, with these contracts.
fn registry(contracts: &str) -> Registry {
    let file = |name: &str, text: &str| File { name: name.into(), text: text.into() };
    Registry::read("", vec![file("workloads.toml", WORKLOADS), file("contracts.toml", contracts)]).unwrap()
}

/// `steady` costs a dollar a day; `growing` a tenth more a day each week, counted from the week that ends the day before the
/// last: 0.70 a week. On 2026-11-10 a key called `loop` makes 30 calls more of half a dollar.
pub(crate) async fn ledger() -> Ledger {
    let ledger = fixture::empty().await;
    let last = Date::parse(LAST_DAY).unwrap().days();
    let days: Vec<_> = (0..DAYS).rev().map(|back| (back, Date::from_days(last - back).to_string())).collect();
    let ids: Vec<_> = days.iter().map(|(back, day)| (*back, format!("s{back}"), format!("g{back}"), day)).collect();
    let mut entries = Vec::new();
    for (back, steady, growing, day) in &ids {
        let week = (back - 1).max(0) / 7;
        let one = call(steady, "openai", "gpt-5", "steady", &format!("{day}T09:00:00Z"), (1_000, 100));
        let mut other =
            call(growing, "anthropic", "claude-sonnet-5", "growing", &format!("{day}T10:00:00Z"), (1_000, 100));
        // From 2026-10-20 on it leans on tools.
        other.features.insert_if(*back <= 31, Feature::ToolCalling);
        other.api_key_alias = Some(if *back <= 31 { "agent" } else { "script" }.into());
        entries.push((one, Some(Usd::from_pico(1_000_000_000_000))));
        entries.push((other, Some(Usd::from_pico(100_000_000_000 * i128::from(20 - week)))));
    }
    append(&ledger, "days", &entries).await;
    let loops: Vec<_> = (0..30).map(|at| format!("loop{at}")).collect();
    let looping = loops.iter().map(|id| {
        let mut entry = call(id, "openai", "gpt-5", "steady", "2026-11-10T12:00:00Z", (1_000, 100));
        entry.api_key_alias = Some("loop".into());
        (entry, fixture::usd("0.5"))
    });
    append(&ledger, "loop", &looping.collect::<Vec<_>>()).await;
    append(&ledger, "routed", &routed()).await;
    ledger
}

/// Of `routed`, on the day before the last: 25 calls to each of two models, one of five times the price; two with a cached
/// prefix, one without; one in a batch.
fn routed<'a>() -> Vec<(Entry<'a>, Option<Usd>)> {
    const IDS: [&str; 25] = [
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "r16",
        "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24",
    ];
    const CHEAP: [&str; 25] = [
        "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q9", "q10", "q11", "q12", "q13", "q14", "q15", "q16",
        "q17", "q18", "q19", "q20", "q21", "q22", "q23", "q24",
    ];
    let at = "2026-11-19T09:00:00Z";
    let of = |id: &'a str, model: &'a str| {
        let mut entry = call(id, "openai", model, "routed", at, (400, 100));
        entry.streamed = Some(true);
        entry
    };
    let mut entries: Vec<_> = IDS.into_iter().map(|id| (of(id, "gpt-5"), fixture::usd("0.0015"))).collect();
    entries.extend(CHEAP.into_iter().map(|id| (of(id, "gpt-5-mini"), fixture::usd("0.0003"))));
    for (id, read) in [("c0", 8_000), ("c1", 4_000), ("c2", 0)] {
        let mut entry = call(id, "openai", "gpt-5", "routed", at, (10_000, 100));
        entry.tokens.cache_read = Some(read);
        entry.streamed = Some(false);
        entries.push((entry, fixture::usd("0.01")));
    }
    let mut batched = call("b0", "openai", "gpt-5", "routed", at, (1_000_000, 100_000));
    batched.features.insert(Feature::Batch);
    entries.push((batched, fixture::usd("1.125")));
    entries
}

pub(crate) fn options() -> SessionOptions {
    of(CONTRACTS)
}

fn of(contracts: &str) -> SessionOptions {
    SessionOptions { registry: RegistryChoice::Given(Arc::new(registry(contracts))), ..fixture::options() }
}

#[tokio::test]
async fn the_calendar_is_stable_and_names_every_deadline() {
    let session = Session::open(&fixture::empty().await, options()).await.unwrap();
    let on = |day: &str| Date::parse(day).unwrap();
    let text = calendar(&session, on("2026-11-20")).await.unwrap();
    let unfolded = text.replace("\r\n ", "");
    let lines: Vec<_> = unfolded.split("\r\n").collect();
    let starts: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("DTSTART;VALUE=DATE:")).collect();
    // Gate, price review, escrow, notice, then what ends with the year, then 30 days after it.
    let days =
        ["20260803", "20261101", "20261130", "20261201", "20261231", "20261231", "20261231", "20270130", "20270130"];
    assert_eq!(starts, days);
    assert!(lines.contains(&"SUMMARY:Last day of the commitment\\; what is not used is billed: openai-2026\\, autumn"));
    assert!(lines.contains(&"DESCRIPTION:Last day to give notice\\nContract: openai-2026\\nVendor: OpenAI\\, Inc."));
    let uids =
        |text: &str| text.split("\r\n").filter(|line| line.starts_with("UID:")).map(String::from).collect::<Vec<_>>();
    let mut unique = uids(&text);
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), days.len());
    assert_eq!(uids(&text), uids(&calendar(&session, on("2026-11-21")).await.unwrap()));
    assert_eq!(text, calendar(&session, on("2026-11-20")).await.unwrap());
}

#[tokio::test]
async fn the_gate_judges_commitments_by_where_they_end() {
    let commitment = |name: &str, usd: &str, shortfall: &str| {
        format!(
            "[[contract.commitment]]\nname = '{name}'\nusd = {usd}\nstarts_on = 2026-10-01\nends_on = 2026-12-31\n\
             shortfall = '{shortfall}'\n"
        )
    };
    let others = [
        ("met", "109.95", "billed"),
        ("over", "99", "billed"),
        ("rolls", "200", "rolls_over"),
        ("spent", "50", "billed"),
    ];
    let others = others.map(|(name, usd, shortfall)| commitment(name, usd, shortfall)).concat();
    let options = SessionOptions { memory_bytes_max: 512 << 20, ..of(&format!("{CONTRACTS}{others}")) };
    let session = Session::open(&ledger().await, options).await.unwrap();
    let checks = gate(&session, &GateOptions::usual("openai-2026", Date::parse(LAST_DAY).unwrap())).unwrap();
    let row = "max(passed::varchar || ' ' || found) FILTER (WHERE \"check\" = 'commitments')";
    let rows = session.run(&format!("SELECT {row} FROM ({})", checks.sql)).await.unwrap().collect().await.unwrap();
    let found = cast(rows[0].column(0), &DataType::Utf8).unwrap();
    // `met` ends between its low and its middle; `winter` has not begun.
    let expected = "false autumn ends 90.04 dollars short on 2026-12-31 (80.38 to 99.71), which are billed; \
                    over ends 10.96 dollars over on 2026-12-31 (1.29 to 20.62), used up on 2026-12-21; \
                    rolls ends 90.04 dollars short on 2026-12-31 (80.38 to 99.71), which roll over; \
                    spent ends 59.96 dollars over on 2026-12-31 (50.29 to 69.62), used up already";
    assert_eq!(found.as_string::<i32>().value(0), expected);
}

/// The value of the one row and column of `sql`.
async fn value(session: &Session, sql: &str) -> String {
    let rows = session.run(sql).await.unwrap().collect().await.unwrap();
    cast(rows[0].column(0), &DataType::Utf8).unwrap().as_string::<i32>().value(0).to_owned()
}

#[tokio::test]
async fn four_weeks_without_a_price_are_projected_to_nothing_at_all() {
    let ledger = fixture::empty().await;
    let last = Date::parse(LAST_DAY).unwrap().days();
    let days: Vec<_> =
        (0..57).map(|back| (back, format!("u{back}"), Date::from_days(last - back).to_string())).collect();
    let entries = days.iter().map(|(back, id, day)| {
        let one = call(id, "openai", "gpt-5", "steady", &format!("{day}T09:00:00Z"), (1_000, 100));
        (one, (*back > 28).then(|| Usd::from_pico(10_000_000_000_000)))
    });
    append(&ledger, "days", &entries.collect::<Vec<_>>()).await;
    let session = Session::open(&ledger, options()).await.unwrap();
    let line = "SELECT concat_ws(' ', weekly, drift, noise, coalesce(recent::varchar, 'none')) FROM trends WHERE dimension = 'total'";
    assert_eq!(value(&session, line).await, "70.000000000000 0.000000000000 0.000000000000 none");
    let known = "SELECT count(low) + count(middle) + count(high) FROM ";
    assert_eq!(value(&session, &format!("{known} forecast")).await, "0");
    assert_eq!(value(&session, &format!("{known} burn_down")).await, "0");
}

#[tokio::test]
async fn a_provider_that_calls_without_a_name_may_have_gone_to_is_no_second_one() {
    let ids: Vec<_> = (0..18).map(|at| format!("n{at}")).collect();
    let entries = ids.iter().enumerate().map(|(at, id)| {
        let mut one = call(id, "openai", "m", "steady", "2026-11-19T09:00:00Z", (10, 1));
        match at {
            0..10 => one.provider = None,
            10..15 => {}
            _ => one.provider = Some("mistral".into()),
        }
        (one, None)
    });
    let entries: Vec<_> = entries.collect();
    for (calls, option) in [(15, "never"), (18, "fresh mistral")] {
        let ledger = fixture::empty().await;
        append(&ledger, "b", &entries[..calls]).await;
        let session = Session::open(&ledger, options()).await.unwrap();
        let lockin = "SELECT concat_ws(' ', option, second_provider) FROM lockin WHERE workload = 'steady'";
        assert_eq!(value(&session, lockin).await, option);
        let monthly = "SELECT option FROM portability_by_month WHERE workload = 'steady'";
        assert_eq!(value(&session, monthly).await, option.split(' ').next().unwrap());
    }
}

#[tokio::test]
async fn a_cache_that_gave_more_than_was_asked_is_left_out() {
    let ledger = fixture::empty().await;
    let of = |id: &'static str, model: &'static str, read| {
        let mut one = call(id, "openai", model, "steady", "2026-11-19T09:00:00Z", (2, 1));
        one.tokens.cache_read = Some(read);
        (one, None)
    };
    append(&ledger, "b", &[of("a", "proxied", 18_000), of("b", "plain", 1)]).await;
    let session = Session::open(&ledger, options()).await.unwrap();
    assert_eq!(
        value(&session, "SELECT string_agg(model || ' ' || read_share, ', ') FROM cache_use").await,
        "plain 0.500000"
    );
}

/// Every day costs a dollar less than the one before, 16 on the last: in sixteen days nothing, and not less.
#[tokio::test]
async fn spend_that_falls_to_nothing_stays_there() {
    let ledger = fixture::empty().await;
    let last = Date::parse(LAST_DAY).unwrap().days();
    let days: Vec<_> =
        (0..85).map(|back| (back, format!("f{back}"), Date::from_days(last - back).to_string())).collect();
    let entries = days.iter().map(|(back, id, day)| {
        let one = call(id, "openai", "gpt-5", "steady", &format!("{day}T09:00:00Z"), (1_000, 100));
        (one, Some(Usd::from_pico(1_000_000_000_000 * i128::from(16 + back))))
    });
    append(&ledger, "days", &entries.collect::<Vec<_>>()).await;
    let contract = "[[contract]]\nname = 'c'\nvendor = 'o'\nproviders = 'openai'\nstarts_on = 2026-06-01\nends_on = 2027-05-23\n\
                    [[contract.commitment]]\nname = 'year'\nusd = 20000\nstarts_on = 2026-06-01\nends_on = 2027-05-23\n\
                    shortfall = 'billed'\n";
    let session = Session::open(&ledger, of(contract)).await.unwrap();
    // The line comes to 15 + 14 + ... + 1, 213.50 a week to 5,612, over 184 days; half of both on 4,930 used.
    let found = rows(&session, "SELECT projected_days, middle FROM burn_down").await;
    assert_eq!(found, ["184 7796.000000000000"]);
    let forecast = "SELECT month, middle FROM forecast WHERE dimension = 'total' AND month BETWEEN DATE '2026-12-01' AND DATE '2027-01-31'";
    let found = rows(&session, &format!("{forecast} ORDER BY month")).await;
    assert_eq!(found, ["2026-12-01 480.250000000000", "2027-01-01 472.750000000000"]);
}

#[tokio::test]
async fn portability_names_the_change_that_cost_it_and_who_began() {
    let session = Session::open(&ledger().await, options()).await.unwrap();
    let sections = portability(&session, Some("growing")).unwrap();
    let sql = format!(
        "SELECT concat_ws(' ', workload, first_day, feature, segment_before, segment, first_key, calls) FROM ({})",
        sections[0].sql
    );
    let rows = session.run(&sql).await.unwrap().collect().await.unwrap();
    let text = cast(rows[0].column(0), &DataType::Utf8).unwrap();
    assert_eq!(text.len(), 1);
    assert_eq!(text.as_string::<i32>().value(0), "growing 2026-10-20 tool_calling portable movable agent 32");
    let error = portability(&session, Some("grow")).unwrap_err();
    assert_eq!(error.to_string(), "unknown workload `grow`");
}

/// Ten calls with a prompt each, one without.
async fn spoken() -> Ledger {
    let ledger = fixture::empty().await;
    let ids: Vec<_> = (0..11).map(|at| format!("p{at}")).collect();
    let entries = ids.iter().enumerate().map(|(at, id)| {
        let mut entry = call(id, "openai", "gpt-5", "steady", "2026-11-20T09:00:00Z", (10, 1));
        entry.body = (at < 10).then(|| Body {
            input_messages: Some(format!(r#"[{{"role":"user","parts":[{{"type":"text","content":"{id}"}}]}}]"#).into()),
            output_messages: Some("[]".into()),
            tool_definitions: Some(r#"[{"name":"f","input_schema":{}},{"type":"web_search"}]"#.into()),
            request_parameters: Some(r#"{"model":"gpt-5","max_completion_tokens":9,"logprobs":true}"#.into()),
        });
        (entry, fixture::usd("0.1"))
    });
    append(&ledger, "b", &entries.collect::<Vec<_>>()).await;
    ledger
}

#[tokio::test]
async fn a_replay_set_is_the_same_for_the_same_seed_and_speaks_no_dialect() {
    let session = Session::open(&spoken().await, options()).await.unwrap();
    let draw = async |sample: u32, seed: u64| {
        let mut out = Vec::new();
        let options = ReplayOptions { workload: "steady".into(), sample, seed };
        let replayed = replay_set(&session, &options, &mut out).await.unwrap();
        assert_eq!((replayed.prompts, replayed.offered, replayed.without_prompt), (u64::from(sample.min(10)), 10, 1));
        String::from_utf8(out).unwrap()
    };
    let (first, other) = (draw(4, 1).await, draw(4, 2).await);
    assert_eq!(first, draw(4, 1).await);
    assert_ne!(first, other);
    assert!(draw(10, 1).await.starts_with(&first), "a larger set begins with the smaller one");
    assert_eq!(draw(200, 1).await.lines().count(), 10);
    let line: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let entry = line["recorded"]["entry_id"].as_str().unwrap();
    assert_eq!(line["custom_id"], format!("steady-{entry}"));
    assert_eq!(line["input_messages"][0]["role"], "user");
    assert_eq!(line["request_parameters"], serde_json::json!({"max_tokens": 9}));
    assert_eq!(line["tool_definitions"][0]["name"], "f");
    assert_eq!(line["left_out"], serde_json::json!(["logprobs", "tool web_search"]));
    assert_eq!(line["recorded"]["list_cost"], "0.100000000000");

    let nothing = ReplayOptions { workload: "routed".into(), sample: 1, seed: 0 };
    let error = replay_set(&session, &nothing, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "no prompt of workload `routed` is kept, of 0 conversation turns that succeeded");
}

#[tokio::test]
async fn a_calendar_without_contracts_is_empty_and_valid() {
    let session = Session::open(&fixture::empty().await, fixture::options()).await.unwrap();
    let text = calendar(&session, Instant::from_micros(0).date()).await.unwrap();
    assert!(!text.contains("VEVENT") && text.ends_with("END:VCALENDAR\r\n"), "{text}");
}

/// The rows of a query, cell by cell.
async fn rows(session: &Session, sql: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in session.run(sql).await.unwrap().collect().await.unwrap() {
        let columns: Vec<_> = batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
        let cell = |column: &arrow::array::ArrayRef, row: usize| {
            let column = column.as_string::<i32>();
            if column.is_valid(row) { column.value(row).to_owned() } else { "-".to_owned() }
        };
        let row = |row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" ");
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}

/// A call a day from 2026-08-01 on, the first for a dollar, each for ten cents more than the one before.
async fn rising(days: i32) -> Ledger {
    let ledger = fixture::empty().await;
    let first = Date::parse("2026-08-01").unwrap().days();
    let days: Vec<_> = (0..days).map(|at| (at, Date::from_days(first + at).to_string())).collect();
    let calls = days.iter().map(|(at, day)| {
        let cost = Usd::from_pico(1_000_000_000_000 + 100_000_000_000 * i128::from(*at));
        (call(day, "acme", "m1", "t", &format!("{day}T12:00:00Z"), (1, 1)), Some(cost))
    });
    append(&ledger, "b", &calls.collect::<Vec<_>>()).await;
    ledger
}

const RISING: &str = "
[[contract]]
name = 'c'
vendor = 'Acme'
providers = 'acme'
starts_on = 2026-01-01
ends_on = 2026-12-31
[[contract.commitment]]
name = 'autumn'
usd = 1000
starts_on = 2026-10-01
ends_on = 2026-12-31
shortfall = 'billed'
[[contract.commitment]]
name = 'beyond'
usd = 4000
starts_on = 2026-10-01
ends_on = 2027-09-30
shortfall = 'billed'
[[contract.commitment]]
name = 'december'
usd = 400
starts_on = 2026-12-01
ends_on = 2026-12-31
shortfall = 'billed'
";

#[tokio::test]
async fn a_line_goes_on_as_the_days_do_and_no_longer_than_the_contract() {
    // Up to 2026-11-15, which is 11.60: the days after it are 11.70, 11.80 and so on.
    let session = Session::open(&rising(107).await, of(RISING)).await.unwrap();
    let forecast = "SELECT month, projected_days, high FROM forecast WHERE dimension = ";
    let total = rows(&session, &format!("{forecast}'total' ORDER BY month")).await;
    let months = [
        "2026-11-01 15 349.500000000000",
        "2026-12-01 31 455.700000000000",
        "2027-01-01 31 551.800000000000",
        "2027-02-01 28 581.000000000000",
        "2027-03-01 31 734.700000000000",
    ];
    assert_eq!(total, months);
    let contract = rows(&session, &format!("{forecast}'contract' AND month > DATE '2026-11-30' ORDER BY month")).await;
    assert_eq!(contract[0], months[1]);
    assert_eq!(
        contract[1..],
        ["2027-01-01", "2027-02-01", "2027-03-01"].map(|month| format!("{month} 0 0.000000000000"))
    );
    let sql = "SELECT commitment, projected_days, high, shortfall_low FROM burn_down ORDER BY commitment";
    let ends = [
        "autumn 46 1071.800000000000 0.000000000000",
        "beyond 46 1071.800000000000 2928.200000000000",
        "december 31 455.700000000000 0.000000000000",
    ];
    assert_eq!(rows(&session, sql).await, ends);
    // After the contract's end, what was used is what will have been.
    let session = Session::open(&rising(199).await, of(RISING)).await.unwrap();
    let ends = ["autumn 0 1071.800000000000 0.000000000000", "beyond 0 1071.800000000000 2928.200000000000"];
    assert_eq!(rows(&session, sql).await[..2], ends);
}

#[tokio::test]
async fn calls_without_a_price_are_counted_in_the_weeks_that_count() {
    let ledger = rising(40).await;
    let unpriced =
        [("u1", "2026-08-01"), ("u2", "2026-08-04"), ("u3", "2026-08-05"), ("u4", "2026-09-08"), ("u5", "2026-09-09")];
    let calls = unpriced.map(|(id, day)| (call(id, "acme", "m2", "t", &format!("{day}T13:00:00Z"), (1, 1)), None));
    append(&ledger, "u", &calls).await;
    let session = fixture::open(&ledger).await;
    // Five weeks, up to the day before the last: from the 5th of August to the 8th of September.
    let found = rows(&session, "SELECT weeks, unpriced_calls FROM trends WHERE dimension = 'total'").await;
    assert_eq!(found, ["5 2"]);
}

#[tokio::test]
async fn the_months_of_an_audit_end_on_its_day() {
    let session = Session::open(&rising(107).await, of(RISING)).await.unwrap();
    let months = async |on: &str| {
        let report = audit(session.registry(), Date::parse(on).unwrap());
        let months = report.sections().find(|section| section.name == "months").unwrap();
        rows(&session, &format!("SELECT month, calls, spent, whole_month, low FROM ({})", months.sql)).await
    };
    let august = "2026-08-01 31 77.500000000000 77.500000000000";
    assert_eq!(
        months("2026-09-20").await,
        [format!("{august} 77.500000000000"), "2026-09-01 20 101.000000000000 - -".to_owned()],
        "nothing of after that day, and no hindsight"
    );
    assert_eq!(months("2026-11-15").await.len(), 8);
}

#[tokio::test]
async fn routing_prices_each_call_by_its_own_length_and_lifetimes() {
    const SHEET: &str = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n\
        acme,big,2026-01-01,,input,1,x\n\
        acme,big,2026-01-01,,output,2,x\n\
        acme,big,2026-01-01,,input_above_100k,2,x\n\
        acme,big,2026-01-01,,cache_write_5m,1,x\n\
        acme,big,2026-01-01,,cache_write_1h,4,x\n\
        acme,small,2026-01-01,,input,1.5,x\n\
        acme,small,2026-01-01,,output,2,x\n\
        acme,small,2026-01-01,,cache_write_5m,1,x\n\
        acme,small,2026-01-01,,cache_write_1h,1.5,x\n";
    let ledger = fixture::empty().await;
    let sheet = Sheet { name: "test", bytes: SHEET.as_bytes(), imported_at: Instant::from_micros(1) };
    Book::read_csv(SHEET.as_bytes(), "test").unwrap().store(&ledger, sheet).await.unwrap();
    let book = Book::load(&ledger).await.unwrap();
    let ids: Vec<_> = (0..100).map(|at| format!("r{at}")).collect();
    let of = |at: usize, model: &'static str, team: &'static str, input: i64| {
        call(&ids[at], "acme", model, team, "2026-11-10T10:00:00Z", (input, 0))
    };
    // Thirty of 70,000 tokens and one of 120,000 are cheaper where they are. One that writes for an hour is not.
    let mut entries: Vec<_> =
        (0..31).map(|at| of(at, "big", "steady", if at < 30 { 70_000 } else { 120_000 })).collect();
    entries.extend((31..51).map(|at| of(at, "small", "steady", 70_000)));
    entries.push(of(51, "big", "growing", 70_000));
    entries.extend((52..72).map(|at| of(at, "small", "growing", 70_000)));
    for entry in &mut entries[51..72] {
        entry.tokens.cache_write = entry.tokens.input;
        entry.tokens.cache_write_1h = entry.tokens.input;
    }
    append_priced(&ledger, "b", &book, &entries).await;
    let session = Session::open(&ledger, options()).await.unwrap();
    let sql = "SELECT workload, list_cost, lower_calls, cost_here, cost_there FROM routing WHERE model = 'big' ORDER BY workload";
    let expected = ["growing 0.280000000000 1 0.280000000000 0.105000000000", "steady 2.340000000000 0 - -"];
    assert_eq!(rows(&session, sql).await, expected);
}

#[tokio::test]
async fn a_batch_saves_on_cache_writes_by_their_lifetime() {
    let ledger = fixture::empty().await;
    let mut entry = call("a", "anthropic", "claude-opus-5", "t", "2026-11-10T10:00:00Z", (100_000, 1_000));
    entry.tokens.cache_write = Some(100_000);
    entry.tokens.cache_write_1h = Some(100_000);
    entry.streamed = Some(false);
    append(&ledger, "b", &[(entry, fixture::usd("1.025"))]).await;
    let session = fixture::open(&ledger).await;
    let found = rows(&session, "SELECT eligible_list_cost, missed_max FROM batch_savings").await;
    assert_eq!(found, ["1.025000000000 0.512500000000"]);
}
