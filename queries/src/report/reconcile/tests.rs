//! Ledgers and bills of the same calls with one thing planted between them: each is found, named, and in exact dollars.

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type};
use daybook_ledger::price::Call;
use daybook_ledger::testing::{append, bill, call};
use daybook_ledger::{BillingLine, BillingReport, ChargeCategory, Entry, Feature, Instant, Ledger, Root};
use proptest::prelude::*;

use super::load::{Billed, Calls};
use super::rates::FINE;
use super::*;
use crate::SessionOptions;

const PROVIDER: &str = "anthropic";
const MODEL: &str = "claude-sonnet-5";
/// What the default sheet asks for a token, in 10⁻¹² dollars, by meter; batch is half of it.
const RATES: [(&str, i128); 5] = [
    ("input", 2_000_000),
    ("cache_read", 200_000),
    ("cache_write_5m", 2_500_000),
    ("cache_write_1h", 4_000_000),
    ("output", 10_000_000),
];

/// One call, as the provider sees it: counts in the order of [`RATES`].
#[derive(Clone, Debug)]
struct Made {
    id: String,
    at: &'static str,
    counts: [i64; 5],
    batch: bool,
}

impl Made {
    fn cost(&self) -> i128 {
        let full: i128 = self.counts.iter().zip(RATES).map(|(count, (_, rate))| i128::from(*count) * rate).sum();
        if self.batch { full / 2 } else { full }
    }

    fn entry(&self) -> Entry<'_> {
        let [input, read, write_5m, write_1h, output] = self.counts;
        let mut entry = call(&self.id, PROVIDER, MODEL, "team", self.at, (input + read + write_5m + write_1h, output));
        entry.tokens.cache_read = Some(read);
        entry.tokens.cache_write = Some(write_5m + write_1h);
        entry.tokens.cache_write_5m = Some(write_5m);
        entry.tokens.cache_write_1h = Some(write_1h);
        entry.features.insert_if(self.batch, Feature::Batch);
        entry
    }

    fn recorded(&self) -> (Entry<'_>, Option<Usd>) {
        (self.entry(), Some(Usd::from_pico(self.cost())))
    }
}

/// Three days of calls, some near midnight.
fn made() -> Vec<Made> {
    let times = [
        "2026-11-18T03:00:00Z",
        "2026-11-18T12:00:00Z",
        "2026-11-18T23:59:50Z",
        "2026-11-19T04:30:00Z",
        "2026-11-19T12:00:00Z",
        "2026-11-19T23:30:00Z",
        "2026-11-20T05:00:00Z",
        "2026-11-20T12:00:00Z",
    ];
    let call = |(at, time): (i64, &'static str)| Made {
        id: format!("call-{at}"),
        at: time,
        counts: [1_000 + at * 37, 5_000 + at * 11, 300 + at, 70 + at * 3, 900 + at * 101],
        batch: false,
    };
    (0..).zip(times).map(call).collect()
}

fn instant(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn line(day: &str, meter: &'static str, tokens: i64, pico: i128) -> BillingLine {
    let start = instant(&format!("{day}T00:00:00Z"));
    let mut line = BillingLine::new(
        "anthropic-admin",
        BillingReport::Cost,
        PROVIDER,
        (start, Instant::from_micros(start.micros() + 86_400_000_000)),
    );
    line.model = Some(MODEL.into());
    line.line_item = Some(format!("{MODEL} {meter}"));
    line.meter = Some(meter);
    line.metered_tokens = Some(tokens);
    line.billed_cost = Some(Usd::from_pico(pico));
    line.currency = Some("USD".into());
    line
}

/// The bill for `made`: a line per day and meter, at `per_mille` of the rates.
fn billed(made: &[Made], day_of: impl Fn(&Made) -> String, per_mille: impl Fn(&str) -> i128) -> Vec<BillingLine> {
    let mut sums: BTreeMap<(String, usize), (i64, i128)> = BTreeMap::new();
    for one in made {
        for (at, (count, (meter, rate))) in one.counts.iter().zip(RATES).enumerate() {
            let sum = sums.entry((day_of(one), at)).or_default();
            sum.0 += count;
            let cost = i128::from(*count) * rate * per_mille(meter) / 1_000;
            sum.1 += if one.batch { cost / 2 } else { cost };
        }
    }
    sums.into_iter().map(|((day, at), (tokens, cost))| line(&day, RATES[at].0, tokens, cost)).collect()
}

fn utc_day(made: &Made) -> String {
    instant(made.at).date().to_string()
}

fn plain_bill(made: &[Made]) -> Vec<BillingLine> {
    billed(made, utc_day, |_| 1_000)
}

/// A row of the report with a cause: day, cause, 10⁻¹² dollars, detail.
type Found = (String, String, i128, String);

struct Outcome {
    found: Vec<Found>,
    differences: Vec<Option<i128>>,
    reconciled: Reconciled,
}

async fn run(
    entries: &[(Entry<'_>, Option<Usd>)],
    lines: &[BillingLine],
    change: impl FnOnce(&mut ReconcileOptions),
) -> Outcome {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    append(&ledger, "u", entries).await;
    bill(&ledger, "b", lines).await;
    let session = Session::open(&ledger, SessionOptions::default()).await.unwrap();
    let mut options = ReconcileOptions {
        from: None,
        to: None,
        provider: None,
        by: vec![By::Model, By::Day],
        tolerance: Tolerance::default(),
    };
    change(&mut options);
    let mut reconciled = reconcile(&session, &BOOK, &options).await.unwrap();
    let (mut found, mut differences) = (Vec::new(), Vec::new());
    while let Some(batch) = reconciled.rows.next().await.unwrap() {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let text = |name: &str| cast(column(name), &DataType::Utf8).unwrap();
        let (causes, details) = (text("cause"), text("detail"));
        let (amounts, sums) =
            (column("amount").as_primitive::<Decimal128Type>(), column("difference").as_primitive::<Decimal128Type>());
        let (mut explained, mut difference) = (0, 0);
        for at in 0..batch.num_rows() {
            let day = batch.column_by_name("day").map(|days| days.as_primitive::<Date32Type>().value(at));
            let day = day.map(|day| Date::from_days(day).to_string()).unwrap_or_default();
            if causes.is_null(at) {
                assert_eq!(explained, difference, "causes sum to the difference");
                differences.push(sums.is_valid(at).then(|| sums.value(at)));
                (explained, difference) = (0, sums.value(at));
            } else {
                explained += amounts.value(at);
                let text = |array: &ArrayRef| {
                    if array.is_null(at) { String::new() } else { array.as_string::<i32>().value(at).to_owned() }
                };
                found.push((day, text(&causes), amounts.value(at), text(&details)));
            }
        }
        assert_eq!(explained, difference, "causes sum to the difference");
    }
    Outcome { found, differences, reconciled }
}

async fn compare(recorded: &[Made], lines: &[BillingLine]) -> Outcome {
    let entries: Vec<_> = recorded.iter().map(Made::recorded).collect();
    run(&entries, lines, |_| {}).await
}

fn found(day: &str, cause: Cause, amount: i128, detail: &str) -> Found {
    (day.into(), cause.as_str().into(), amount, detail.into())
}

#[tokio::test]
async fn a_bill_for_what_the_ledger_has_leaves_nothing_to_explain() {
    let made = made();
    let outcome = compare(&made, &plain_bill(&made)).await;
    assert_eq!(outcome.found, []);
    assert_eq!(outcome.differences, [Some(0); 3]);
    assert!(outcome.reconciled.is_within && outcome.reconciled.notes.is_empty());
    let total: i128 = made.iter().map(Made::cost).sum();
    assert_eq!(
        (outcome.reconciled.list_cost, outcome.reconciled.billed_cost),
        (Usd::from_pico(total), Usd::from_pico(total))
    );
}

#[tokio::test]
async fn calls_the_ledger_lost_are_missing_with_their_dollars() {
    let made = made();
    let (lost, kept): (Vec<_>, Vec<_>) = made.iter().cloned().partition(|one| one.id == "call-4");
    let outcome = compare(&kept, &plain_bill(&made)).await;
    let detail = "the bill counts more tokens than the ledger";
    assert_eq!(outcome.found, [found("2026-11-19", Cause::MissingCalls, lost[0].cost(), detail)]);
    assert!(!outcome.reconciled.is_within && outcome.reconciled.beyond == 1);
    // A whole day.
    let kept: Vec<_> = made.iter().filter(|one| !one.at.starts_with("2026-11-19")).cloned().collect();
    let lost: i128 = made.iter().filter(|one| one.at.starts_with("2026-11-19")).map(Made::cost).sum();
    let outcome = compare(&kept, &plain_bill(&made)).await;
    let detail = "the ledger has no call of it that day";
    assert_eq!(outcome.found, [found("2026-11-19", Cause::MissingCalls, lost, detail)]);
}

#[tokio::test]
async fn calls_that_nobody_billed_are_missing_on_the_bill() {
    let made = made();
    let (free, kept): (Vec<_>, Vec<_>) = made.iter().cloned().partition(|one| one.id == "call-1");
    let outcome = compare(&made, &plain_bill(&kept)).await;
    let detail = "the ledger counts more tokens than the bill";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::MissingOnBill, -free[0].cost(), detail)]);
    let kept: Vec<_> = made.iter().filter(|one| !one.at.starts_with("2026-11-19")).cloned().collect();
    let free: i128 = made.iter().filter(|one| one.at.starts_with("2026-11-19")).map(Made::cost).sum();
    let outcome = compare(&made, &plain_bill(&kept)).await;
    let detail = "the bill has no line for 3 calls of that day";
    assert_eq!(outcome.found, [found("2026-11-19", Cause::MissingOnBill, -free, detail)]);
}

#[tokio::test]
async fn calls_billed_a_day_later_are_a_boundary() {
    let made = made();
    let late = |one: &Made| if one.id == "call-2" { "2026-11-19".to_owned() } else { utc_day(one) };
    let outcome = compare(&made, &billed(&made, late, |_| 1_000)).await;
    let cost = made[2].cost();
    let detail = "moved between 2026-11-18 and 2026-11-19: these days cancel";
    let moved = |day, amount| found(day, Cause::Boundary, amount, detail);
    assert_eq!(outcome.found, [moved("2026-11-18", -cost), moved("2026-11-19", cost)]);
    // By provider the two cancel, and nothing is beyond the tolerance.
    let entries: Vec<_> = made.iter().map(Made::recorded).collect();
    let outcome = run(&entries, &billed(&made, late, |_| 1_000), |options| options.by = vec![By::Provider]).await;
    assert!(outcome.reconciled.is_within && outcome.found.is_empty());
}

#[tokio::test]
async fn a_bill_in_another_time_zone_is_a_boundary() {
    let made = made();
    // Days that begin at 05:00 UTC, as those of New York do in winter.
    let local = |one: &Made| Instant::from_micros(instant(one.at).micros() - 5 * 3_600_000_000).date().to_string();
    let lines: Vec<_> = billed(&made, local, |_| 1_000)
        .into_iter()
        .filter(|line| (instant("2026-11-18T00:00:00Z")..instant("2026-11-20T00:00:00Z")).contains(&line.period_start))
        .collect();
    let outcome = compare(&made, &lines).await;
    let detail = "the bill's days begin at 05:00 UTC (-5 h)";
    let (first, second) = (made[0].cost(), made[3].cost());
    let moved = |day, amount| found(day, Cause::Boundary, amount, detail);
    assert_eq!(outcome.found, [moved("2026-11-18", second - first), moved("2026-11-19", -second)]);
}

#[tokio::test]
async fn a_zone_is_shown_by_what_is_billed_and_is_that_of_every_model() {
    let made = made();
    let noon = &made[1..2];
    let of = |id: &'static str, at: &str, millions: i64| {
        let cost = Usd::from_pico(5_000_000_000_000 * i128::from(millions));
        (call(id, PROVIDER, "claude-opus-5", "team", at, (1_000_000 * millions, 0)), Some(cost))
    };
    // Nobody billed the model: days that begin at 11:00 would have none of its calls.
    let entries = [noon[0].recorded(), of("x", "2026-11-18T10:00:00Z", 1)];
    let outcome = run(&entries, &plain_bill(noon), |_| {}).await;
    let detail = "the bill has no line for 1 calls of that day";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::MissingOnBill, -5_000_000_000_000, detail)]);
    // One call of it is billed: days that begin at 23:00 would have that one, but none of the other model's last.
    let day = &made[1..3];
    let mut entries = vec![of("x", "2026-11-18T10:00:00Z", 1), of("y", "2026-11-18T23:30:00Z", 2)];
    entries.extend(day.iter().map(Made::recorded));
    let mut lines = plain_bill(day);
    lines.push(BillingLine {
        model: Some("claude-opus-5".into()),
        ..line("2026-11-18", "input", 1_000_000, 5_000_000_000_000)
    });
    let outcome = run(&entries, &lines, |_| {}).await;
    let detail = "the ledger counts more tokens than the bill";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::MissingOnBill, -10_000_000_000_000, detail)]);
}

#[tokio::test]
async fn a_line_for_several_days_is_compared_with_the_calls_of_all_of_them() {
    let made = made();
    let period = |made: &[Made]| -> Vec<BillingLine> {
        let (start, end) = (instant("2026-11-18T00:00:00Z"), instant("2026-11-21T00:00:00Z"));
        let lines = billed(made, |_| "2026-11-18".to_owned(), |_| 1_000).into_iter();
        lines.map(|line| BillingLine { period_start: start, period_end: end, ..line }).collect()
    };
    let outcome = compare(&made, &period(&made)).await;
    assert_eq!((outcome.found, outcome.differences), (vec![], vec![Some(0)]));
    let days = ["2026-11-18", "2026-11-20"].map(|day| Date::parse(day).unwrap());
    assert_eq!(outcome.reconciled.windows[PROVIDER], days.into());
    let kept: Vec<_> = made.iter().filter(|one| one.id != "call-4").cloned().collect();
    let outcome = compare(&kept, &period(&made)).await;
    let detail = "the bill counts more tokens than the ledger";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::MissingCalls, made[4].cost(), detail)]);
}

#[tokio::test]
async fn a_rate_that_changed_is_a_price_with_both_rates() {
    let made = made();
    let dearer = |meter: &str| if meter == "cache_read" { 1_500 } else { 1_000 };
    let day: Vec<_> = made.iter().filter(|one| one.at.starts_with("2026-11-18")).cloned().collect();
    let outcome = compare(&day, &billed(&day, utc_day, dearer)).await;
    let over: i128 = day.iter().map(|one| i128::from(one.counts[1]) * 100_000).sum();
    let detail = "cache_read: 0.3 per million billed, 0.2 listed";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::Price, over, detail)]);
}

#[tokio::test]
async fn the_same_share_off_every_rate_is_a_discount() {
    let made = made();
    let day: Vec<_> = made.iter().filter(|one| one.at.starts_with("2026-11-18")).cloned().collect();
    let outcome = compare(&day, &billed(&day, utc_day, |_| 875)).await;
    let cost: i128 = day.iter().map(Made::cost).sum();
    let detail = "every rate is 12.5 % below list";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::Discount, -cost / 8, detail)]);
}

#[tokio::test]
async fn batch_rates_for_calls_recorded_as_standard_are_a_tier() {
    let mut made = made();
    made.truncate(2);
    // No rate of the default sheet for an hour in a batch is listed; it is half like the others.
    let outcome = compare(&made, &billed(&made, utc_day, |_| 500)).await;
    let cost: i128 = made.iter().map(Made::cost).sum();
    let detail = "billed at batch rates; the ledger has standard";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::Tier, -cost / 2, detail)]);
}

#[tokio::test]
async fn prices_that_came_after_the_calls_are_told() {
    let mut made = made();
    made.truncate(2);
    let halved = |one: &Made| Some(Usd::from_pico(one.cost() / 2));
    let entries: Vec<_> = made.iter().map(|one| (one.entry(), halved(one))).collect();
    let outcome = run(&entries, &plain_bill(&made), |_| {}).await;
    let cost: i128 = made.iter().map(Made::cost).sum();
    let detail = "billed at the prices in force now; the calls were recorded at others (`daybook reprice`)";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::Price, cost / 2, detail)]);
}

#[tokio::test]
async fn tiers_that_a_bill_tells_are_compared() {
    let mut made = made();
    made.truncate(2);
    let cost = made[1].cost();
    let mut lines = plain_bill(&made[..1]);
    made[1].batch = true;
    for line in plain_bill(&made[1..2]) {
        lines.push(BillingLine { batch: Some(true), service_tier: Some("batch".into()), ..line });
    }
    made[1].batch = false;
    let outcome = compare(&made, &lines).await;
    let detail = "tiers on the bill: batch, standard; in the ledger: standard";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::Tier, -cost / 2, detail)]);
}

#[tokio::test]
async fn the_rates_of_before_a_price_change_are_told() {
    let mut made = made();
    made.truncate(2);
    let before = [3_000_000, 300_000, 3_750_000, 6_000_000, 15_000_000];
    let lines: Vec<_> = (0..5)
        .map(|at| {
            let tokens: i64 = made.iter().map(|one| one.counts[at]).sum();
            line("2026-11-18", RATES[at].0, tokens, i128::from(tokens) * before[at])
        })
        .collect();
    let day = "2026-07-01";
    let moved: Vec<Made> = made.iter().map(|one| Made { at: "2026-07-01T12:00:00Z", ..one.clone() }).collect();
    let lines: Vec<_> = lines
        .into_iter()
        .map(|line| {
            let start = instant("2026-07-01T00:00:00Z");
            BillingLine {
                period_start: start,
                period_end: Instant::from_micros(start.micros() + 86_400_000_000),
                ..line
            }
        })
        .collect();
    let outcome = compare(&moved, &lines).await;
    let cost: i128 = made.iter().map(Made::cost).sum();
    let detail = "billed at the rates in force until 2026-07-01";
    assert_eq!(outcome.found, [found(day, Cause::Price, cost / 2, detail)]);
}

#[tokio::test]
async fn cached_reads_that_the_ledger_counts_twice_are_semantics() {
    let made = made();
    let mut entries: Vec<_> = made.iter().map(Made::recorded).collect();
    let mut over = BTreeMap::<String, i128>::new();
    for ((entry, cost), one) in entries.iter_mut().zip(&made) {
        entry.tokens.input = entry.tokens.input.map(|input| input + one.counts[1]);
        let extra = i128::from(one.counts[1]) * RATES[0].1;
        *cost = cost.map(|cost| cost + Usd::from_pico(extra));
        *over.entry(utc_day(one)).or_default() += extra;
    }
    let outcome = run(&entries, &plain_bill(&made), |_| {}).await;
    let detail = "the ledger's fresh input holds the cached reads too: they count twice";
    let expected: Vec<_> =
        over.iter().map(|(day, amount)| found(day, Cause::TokenSemantics, -amount, detail)).collect();
    assert_eq!(outcome.found, expected);
}

#[tokio::test]
async fn calls_without_a_price_are_unpriced_not_missing() {
    let made = made();
    let mut entries: Vec<_> = made.iter().map(Made::recorded).collect();
    entries[1].1 = None;
    let outcome = run(&entries, &plain_bill(&made), |_| {}).await;
    let detail = "1 calls without a price, at the rates of the others";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::Unpriced, made[1].cost(), detail)]);
}

#[tokio::test]
async fn lines_that_are_not_usage_are_causes_by_themselves() {
    let mut made = made();
    made.truncate(2);
    let charge = |category, amount: i128, item: &str| BillingLine {
        charge_category: category,
        line_item: Some(item.into()),
        metered_tokens: None,
        model: None,
        meter: None,
        ..line("2026-11-18", "input", 0, amount)
    };
    let mut lines = plain_bill(&made);
    lines.push(charge(ChargeCategory::Credit, -500_000_000_000, "Promotional credit"));
    lines.push(charge(ChargeCategory::Tax, 190_000_000_000, "VAT"));
    lines.push(charge(ChargeCategory::Purchase, 7_000_000_000_000, "Monthly minimum"));
    lines.push(BillingLine { correction: true, ..charge(ChargeCategory::Usage, -1, "Correction of October") });
    let outcome = compare(&made, &lines).await;
    let day = "2026-11-18";
    assert_eq!(
        outcome.found,
        [
            found(day, Cause::Credit, -500_000_000_000, "Promotional credit"),
            found(day, Cause::Tax, 190_000_000_000, "VAT"),
            found(day, Cause::Commitment, 7_000_000_000_000, "Monthly minimum"),
            found(day, Cause::Correction, -1, "Correction of October"),
        ]
    );
}

#[tokio::test]
async fn names_on_a_bill_that_mean_no_model_stay_as_billed() {
    let mut made = made();
    made.truncate(2);
    let mut lines = plain_bill(&made);
    lines.push(BillingLine {
        model: None,
        line_item: Some("Novel thing".into()),
        meter: None,
        metered_tokens: None,
        ..line("2026-11-18", "input", 0, 5)
    });
    let entries: Vec<_> = made.iter().map(Made::recorded).collect();
    let outcome = run(&entries, &lines, |options| options.by = vec![By::Provider, By::Model]).await;
    assert_eq!(outcome.found, [found("", Cause::UnmappedModel, 5, "no model is known by the name on the bill")]);
    // Spelt otherwise it is the same model.
    let dated: Vec<_> = plain_bill(&made)
        .into_iter()
        .map(|line| BillingLine { model: Some("claude-sonnet-5-20260630".into()), ..line })
        .collect();
    assert_eq!(compare(&made, &dated).await.found, []);
}

#[tokio::test]
async fn amounts_rounded_to_cents_are_rounding() {
    let mut made = made();
    made.truncate(2);
    for one in &mut made {
        one.counts = one.counts.map(|count| count * 1_000);
    }
    let exact = plain_bill(&made);
    let cent = 10_000_000_000;
    let rounded: Vec<_> = exact
        .iter()
        .map(|line| {
            let pico = line.billed_cost.unwrap().pico();
            BillingLine { billed_cost: Some(Usd::from_pico((pico + cent / 2) / cent * cent)), ..line.clone() }
        })
        .collect();
    let outcome = compare(&made, &rounded).await;
    assert_eq!(outcome.found.len(), 1, "{:?}", outcome.found);
    assert_eq!(
        (outcome.found[0].1.as_str(), outcome.found[0].3.as_str()),
        ("rounding", "the bill's amounts have 2 places")
    );
}

#[tokio::test]
async fn a_usage_report_without_a_bill_is_valued_at_list_rates() {
    let made = made();
    let usage = |one: &Made| {
        let [input, read, write_5m, write_1h, output] = one.counts;
        let mut line = line(&utc_day(one), "input", 0, 0);
        (line.report, line.shape, line.service) =
            (BillingReport::Usage, Some("1d by model".into()), Some("messages".into()));
        (line.meter, line.metered_tokens, line.billed_cost, line.currency) = (None, None, None, None);
        line.line_item = Some(one.id.clone());
        line.tokens.input = Some(input + read + write_5m + write_1h);
        line.tokens.cache_read = Some(read);
        line.tokens.cache_write = Some(write_5m + write_1h);
        line.tokens.cache_write_5m = Some(write_5m);
        line.tokens.cache_write_1h = Some(write_1h);
        line.tokens.output = Some(output);
        line
    };
    let lines: Vec<_> = made.iter().map(usage).collect();
    let kept: Vec<_> = made.iter().filter(|one| one.id != "call-4").cloned().collect();
    let outcome = compare(&kept, &lines).await;
    let detail = "the bill counts more tokens than the ledger";
    assert_eq!(outcome.found, [found("2026-11-19", Cause::MissingCalls, made[4].cost(), detail)]);
}

/// Ten ordinary calls and eleven in a batch, and one far longer, which costs more per token.
fn of_many_rates() -> Vec<(Entry<'static>, Option<Usd>)> {
    const IDS: [&str; 22] =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v"];
    let priced = IDS.into_iter().enumerate().map(|(at, id)| {
        let input = if at == 21 { 300_000 } else { 100_000 };
        let mut entry = call(id, "openai", "gpt-5.4", "team", "2026-11-18T10:00:00Z", (input, 10_000));
        entry.features.insert_if((10..21).contains(&at), Feature::Batch);
        let (buckets, at) = (entry.tokens.buckets(), entry.started_at.unwrap());
        let cost = BOOK.price(&Call::of(&entry, &buckets, at)).list_cost;
        (entry, cost)
    });
    priced.collect()
}

fn usage_line(batch: bool, requests: i64, (input, output): (i64, i64)) -> BillingLine {
    let period = (instant("2026-11-18T00:00:00Z"), instant("2026-11-19T00:00:00Z"));
    let mut line = BillingLine::new("openai-admin", BillingReport::Usage, "openai", period);
    (line.model, line.batch, line.service) = (Some("gpt-5.4".into()), Some(batch), Some("completions".into()));
    (line.requests, line.tokens.input, line.tokens.output) = (Some(requests), Some(input), Some(output));
    line
}

#[tokio::test]
async fn counts_that_differ_and_have_no_rate_are_beyond_any_tolerance() {
    let line = BillingLine { model: Some("gpt-9-unheard".into()), ..usage_line(false, 3, (1_000_000, 100_000)) };
    let outcome = run(&[], std::slice::from_ref(&line), |_| {}).await;
    assert_eq!((outcome.found, outcome.differences), (vec![], vec![None]));
    assert!(!outcome.reconciled.is_within && outcome.reconciled.beyond == 1);
    // A bill for all models together says what they cost, also that one.
    let period = (instant("2026-11-18T00:00:00Z"), instant("2026-11-19T00:00:00Z"));
    let mut bill = BillingLine::new("openai-admin", BillingReport::Cost, "openai", period);
    (bill.billed_cost, bill.currency) = (Some(Usd::from_pico(5_000_000_000_000)), Some("USD".into()));
    let outcome = run(&[], &[line, bill], |options| options.by = vec![By::Provider]).await;
    assert_eq!(outcome.differences, [Some(5_000_000_000_000)]);
}

#[tokio::test]
async fn counts_that_agree_come_to_the_ledgers_cost_whatever_rates_it_is_made_of() {
    let entries = of_many_rates();
    let total: i128 = entries.iter().map(|(_, cost)| cost.unwrap().pico()).sum();
    // 0.25 + 0.15 a call, half of it in a batch; 1.5 + 0.225 for the long one.
    assert_eq!(total, 7_925_000_000_000);
    let told = [usage_line(false, 11, (1_300_000, 110_000)), usage_line(true, 11, (1_100_000, 110_000))];
    let lumped = [usage_line(false, 22, (2_400_000, 220_000))];
    for lines in [told.as_slice(), lumped.as_slice()] {
        let outcome = run(&entries, lines, |_| {}).await;
        assert_eq!((outcome.found, outcome.differences), (vec![], vec![Some(0)]));
        assert_eq!(outcome.reconciled.billed_cost, Usd::from_pico(total));
    }
}

#[tokio::test]
async fn what_differs_in_a_tier_is_valued_at_what_its_calls_cost() {
    let mut entries = of_many_rates();
    // Without the long call there is one rate a tier. One batched call is missing.
    entries.truncate(20);
    let lines = [usage_line(false, 10, (1_000_000, 100_000)), usage_line(true, 11, (1_100_000, 110_000))];
    let outcome = run(&entries, &lines, |_| {}).await;
    let detail = "21 requests on the bill, 20 calls in the ledger";
    assert_eq!(outcome.found, [found("2026-11-18", Cause::MissingCalls, 200_000_000_000, detail)]);
}

#[tokio::test]
async fn a_bill_in_another_currency_does_not_drive_out_one_in_dollars() {
    let mut made = made();
    made.truncate(2);
    let dollars = plain_bill(&made).into_iter().map(|line| BillingLine { source: "focus", ..line });
    let euros = plain_bill(&made).into_iter().map(|line| BillingLine { currency: Some("EUR".into()), ..line });
    let outcome = compare(&made, &dollars.chain(euros).collect::<Vec<_>>()).await;
    assert_eq!((outcome.found, outcome.differences), (vec![], vec![Some(0)]));
    let note = "anthropic-admin bills 0.027 EUR for anthropic: other currencies are not compared";
    assert_eq!(outcome.reconciled.notes, [note]);
}

#[tokio::test]
async fn other_currencies_second_bills_and_providers_without_one_are_noted_not_added() {
    let mut made = made();
    made.truncate(2);
    let mut lines = plain_bill(&made);
    lines.push(BillingLine { currency: Some("EUR".into()), ..line("2026-11-18", "output", 1, 9_000_000_000_000) });
    lines.push(BillingLine { source: "focus", ..line("2026-11-18", "output", 1, 3_000_000_000_000) });
    let mut entries: Vec<_> = made.iter().map(Made::recorded).collect();
    entries.push((call("x", "openai", "gpt-5", "team", "2026-11-18T01:00:00Z", (1, 1)), Some(Usd::from_pico(11))));
    let outcome = run(&entries, &lines, |_| {}).await;
    assert_eq!(outcome.found, []);
    assert_eq!(
        outcome.reconciled.notes,
        [
            "anthropic-admin bills 9.00 EUR for anthropic: other currencies are not compared",
            "focus bills 3.00 USD for anthropic that another source bills too: it is left out",
            "openai has no bill; left out: 1 call, 0.000000000011 USD",
        ]
    );
}

#[tokio::test]
async fn the_tolerance_is_an_amount_or_a_share_of_each_line() {
    let made = made();
    let kept: Vec<_> = made.iter().filter(|one| one.id != "call-4").cloned().collect();
    let entries: Vec<_> = kept.iter().map(Made::recorded).collect();
    let lines = plain_bill(&made);
    for (tolerance, by, is_within) in [
        ("0", vec![By::Provider], false),
        ("1", vec![By::Provider], true),
        ("50%", vec![By::Day], true),
        ("5%", vec![By::Day], false),
    ] {
        let outcome = run(&entries, &lines, |options| {
            (options.tolerance, options.by) = (tolerance.parse().unwrap(), by);
        });
        assert_eq!(outcome.await.reconciled.is_within, is_within, "{tolerance}");
    }
    for text in ["", "-1", "much", "%"] {
        assert!(text.parse::<Tolerance>().is_err(), "{text}");
    }
}

fn calls_of(seed: &(u8, u8, u16, u16, bool)) -> Calls {
    let (day, model, input, output, priced) = *seed;
    let mut counts = [0; FINE.len()];
    (counts[0], counts[1], counts[9]) = (i128::from(input), i128::from(input) / 3, i128::from(output));
    Calls {
        provider: Some(PROVIDER.into()),
        model: Some([MODEL, "claude-haiku-4-5-20251001", "nobody-knows"][usize::from(model % 3)].into()),
        at: Instant::from_micros(((20_776 + i64::from(day % 4)) * 24 + i64::from(day % 24)) * 3_600_000_000),
        tier: (day % 5 == 0).then(|| "batch".into()),
        batch: day % 5 == 0,
        region: None,
        priced,
        calls: 1 + i64::from(day % 3),
        input_max: i64::from(input),
        counts,
        list_cost: if priced { i128::from(input) * 2_000_001 + i128::from(output) * 9_999_999 } else { 0 },
    }
}

fn billed_of(seed: &(u8, u8, u16, i32, u8)) -> Billed {
    let (day, model, tokens, cost, kind) = *seed;
    Billed {
        provider: Some(PROVIDER.into()),
        source: ["anthropic-admin", "focus"][usize::from(kind % 9 == 0)].into(),
        is_cost: kind % 4 != 0,
        day: Date::from_days(20_776 + i32::from(day % 4)),
        days: if kind % 10 == 3 { 3 } else { 1 },
        model: [Some(MODEL), Some("claude-haiku-4-5"), None, Some("nobody-knows")][usize::from(model % 4)]
            .map(String::from),
        line_item: (kind % 3 != 0).then(|| "item".into()),
        meter: [Some("input"), Some("output"), Some("cache_read"), None, Some("web_search")][usize::from(kind % 5)]
            .map(String::from),
        tier: (kind % 7 == 0).then(|| "batch".into()),
        batch: Some(kind % 7 == 0),
        category: ["usage", "usage", "usage", "credit", "tax", "purchase"][usize::from(kind % 6)].into(),
        correction: kind % 11 == 0,
        currency: Some(["USD", "EUR"][usize::from(kind % 13 == 0)].into()),
        lines: 1,
        requests: (kind % 2 == 0).then_some(3),
        counts: [
            Some(i128::from(tokens)),
            Some(i128::from(tokens) / 4),
            None,
            None,
            None,
            Some(i128::from(tokens) / 2),
            None,
        ],
        metered_tokens: (kind % 2 == 0).then_some(i128::from(tokens)),
        cost: i128::from(cost) * 1_000_003,
    }
}

static BOOK: std::sync::LazyLock<Book> = std::sync::LazyLock::new(|| Book::default_sheet().unwrap());

proptest! {
    #[test]
    fn causes_sum_exactly_to_every_difference(
        calls in prop::collection::vec(any::<(u8, u8, u16, u16, bool)>(), 0..24),
        bills in prop::collection::vec(any::<(u8, u8, u16, i32, u8)>(), 0..24),
    ) {
        let book = &*BOOK;
        let calls: Vec<Calls> = calls.iter().map(calls_of).collect();
        let bills: Vec<Billed> = bills.iter().map(billed_of).collect();
        let compared: i128 = calls.iter().map(|group| group.list_cost).sum();
        let in_dollars = bills.iter().filter(|line| line.is_cost).map(|line| line.cost).sum::<i128>();
        let asked = (Some(Date::from_days(20_776)), Some(Date::from_days(20_782)));
        let cells::Compared { timelines, notes, .. } = cells::build(calls, bills.clone(), book, asked);
        for by in [vec![], vec![By::Provider], vec![By::Day], By::ALL.to_vec()] {
            let lines = lines(&timelines, book, &by);
            for line in lines.values() {
                let explained: i128 = line.causes.values().map(|(amount, _)| amount).sum();
                prop_assert_eq!(explained, line.difference());
            }
            // Nothing is lost or invented on the way into the cells either; calls without a comparable bill are in a note.
            let unbilled: i128 = notes.iter().map(|note| match note {
                Note::NoBill { list_cost, .. } => *list_cost,
                Note::OtherCurrency { .. } | Note::BilledTwice { .. } => 0,
            }).sum();
            prop_assert_eq!(lines.values().map(|line| line.list_cost).sum::<i128>() + unbilled, compared);
            let noted: i128 = notes.iter().map(|note| match note {
                Note::OtherCurrency { cost, .. } | Note::BilledTwice { cost, .. } => *cost,
                Note::NoBill { .. } => 0,
            }).sum();
            if timelines.values().all(|timeline| timeline.days.values().all(|cell| !cell.bill.is_valued)) {
                prop_assert_eq!(lines.values().map(|line| line.billed_cost).sum::<i128>() + noted, in_dollars);
            }
        }
    }
}
