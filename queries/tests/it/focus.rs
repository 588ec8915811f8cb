//! The ledger as a bill.

use std::collections::BTreeMap;

use daybook_ledger::price::{Book, Sheet};
use daybook_ledger::testing::{append, append_priced, call, correct_priced};
use daybook_ledger::{Date, Entry, Feature, Instant, Ledger, Operation, Status, Tokens, Usd};
use daybook_queries::focus::{Dataset, Focus, FocusOptions, FocusVersion, focus};
use daybook_queries::registry::Registry;
use daybook_queries::{Format, RegistryChoice, Session, SessionOptions};
use serde_json::Value;

use crate::fixture::empty;

const SHEET: &str = "\
provider,model,effective_from,effective_to,unit,usd_per_million,source
openai,gpt-5.4,2026-01-01,,input,2.5,x
openai,gpt-5.4,2026-01-01,,cache_read,0.25,x
openai,gpt-5.4,2026-01-01,,output,15,x
openai,gpt-5.4,2026-01-01,,batch_input,1.25,x
openai,gpt-5.4,2026-01-01,,batch_output,7.5,x
openai,whisper-1,2026-01-01,,audio_second,100,x
mistral,fine,2026-01-01,,input,0.12345678,x
mistral,fine,2026-01-01,,output,0.00000007,x
anthropic,claude-opus-5,2026-01-01,,input,5,x
anthropic,claude-opus-5,2026-01-01,,output,25,x
anthropic,claude-opus-5,2026-01-01,,web_search_query_medium,10000,x
anthropic,claude-opus-*,2026-11-01,,discount_percent,12.5,x
";

async fn book(ledger: &Ledger, csv: &str, imported_at: i64) -> Book {
    let sheet = Sheet { name: "test", bytes: csv.as_bytes(), imported_at: Instant::from_micros(imported_at) };
    Book::read_csv(csv.as_bytes(), "test").unwrap().store(ledger, sheet).await.unwrap();
    Book::load(ledger).await.unwrap()
}

async fn session(ledger: &Ledger, registry: RegistryChoice) -> Session {
    let options = SessionOptions { target_partitions: 1, registry, ..SessionOptions::default() };
    Session::open(ledger, options).await.unwrap()
}

const OPTIONS: FocusOptions =
    FocusOptions { version: FocusVersion::V1_4, dataset: Dataset::CostAndUsage, from: None, to: None };

async fn written(ledger: &Ledger, options: FocusOptions, registry: RegistryChoice) -> (Vec<Value>, Focus) {
    let session = session(ledger, registry).await;
    let books = Book::load_history(ledger).await.unwrap();
    let mut out = Vec::new();
    let focus = Box::pin(focus(&session, &books, &options, Format::Ndjson, &mut out)).await.unwrap();
    (String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect(), focus)
}

async fn charges(ledger: &Ledger) -> (Vec<Value>, Focus) {
    Box::pin(written(ledger, OPTIONS, RegistryChoice::Newest)).await
}

/// A decimal as a whole number of its last place.
fn whole(value: &Value) -> i128 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or("-")
}

const IDS: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];

/// One of everything that is metered or priced in a way of its own.
fn entries<'a>() -> Vec<Entry<'a>> {
    let of = |at: usize, provider: &'a str, model: &'a str, day: &str, tokens| {
        call(IDS[at], provider, model, "search", &format!("{day}T0{}:00:00Z", at % 10), tokens)
    };
    let mut entries = vec![
        of(0, "openai", "gpt-5.4", "2026-11-18", (1_003, 201)),
        of(1, "openai", "gpt-5.4", "2026-11-18", (50_000, 900)),
        of(2, "openai", "gpt-5.4", "2026-11-18", (7_001, 3)),
        of(3, "openai", "gpt-5.4", "2026-11-18", (2_000, 100)),
        of(4, "openai", "whisper-1", "2026-11-18", (0, 0)),
        of(5, "mistral", "fine", "2026-11-18", (1, 1)),
        of(6, "mistral", "fine", "2026-11-18", (3, 5)),
        of(7, "anthropic", "claude-opus-5", "2026-10-31", (1_000, 10)),
        of(8, "anthropic", "claude-opus-5", "2026-11-18", (1_000, 10)),
    ];
    entries[1].tokens.cache_read = Some(48_000);
    entries[2].region = Some("eu".into());
    entries[3].features.insert(Feature::Batch);
    entries[4].operation = Some(Operation::Transcription);
    entries[4].tokens = Tokens::default();
    entries[4].meters = vec![("input_seconds", Usd::parse("12.345").unwrap())];
    entries[8].meters = vec![("web_search_requests", Usd::parse("2").unwrap())];
    entries
}

async fn company() -> Ledger {
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    append_priced(&ledger, "b1", &book, &entries()).await;
    ledger
}

#[tokio::test]
async fn each_cost_is_price_times_quantity_and_all_of_them_add_up_to_what_was_recorded() {
    let ledger = company().await;
    let (rows, focus) = charges(&ledger).await;
    assert_eq!((focus.rows, focus.calls, focus.unexplained), (rows.len() as u64, 9, 0));
    let mut sums: BTreeMap<(String, String), i128> = BTreeMap::new();
    for row in &rows {
        if text(row, "ChargeCategory") == "Usage" {
            let times = |price: &str| whole(&row[price]) * whole(&row["PricingQuantity"]);
            assert_eq!(whole(&row["ListCost"]), times("ListUnitPrice"), "{row}");
            assert_eq!(whole(&row["ContractedCost"]), times("ContractedUnitPrice"), "{row}");
        }
        let key = (text(row, "x_ModelId").to_owned(), text(row, "ChargePeriodStart").to_owned());
        *sums.entry(key).or_default() += whole(&row["BilledCost"]);
    }
    let session = session(&ledger, RegistryChoice::Newest).await;
    let sql = "SELECT response_model, event_date, sum(list_cost) FROM usage GROUP BY 1, 2";
    let mut recorded = Vec::new();
    daybook_queries::render(session.run(sql).await.unwrap(), Format::Csv, Default::default(), &mut recorded)
        .await
        .unwrap();
    for line in String::from_utf8(recorded).unwrap().lines().skip(1) {
        let [model, day, cost] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let found = sums.remove(&(model.to_owned(), format!("{day}T00:00:00Z")));
        assert_eq!(found, Some(Usd::parse(cost).unwrap().pico() * 1_000_000), "{line}");
    }
    assert!(sums.is_empty());
    let adjusted: Vec<_> = rows.iter().filter(|row| text(row, "ChargeCategory") == "Adjustment").collect();
    assert_eq!(
        adjusted.iter().map(|row| text(row, "x_ModelId")).collect::<Vec<_>>(),
        ["fine"],
        "two calls, each rounded"
    );
}

#[tokio::test]
async fn a_meter_a_tier_a_region_and_a_discount_are_told_apart() {
    let (rows, _) = charges(&company().await).await;
    let shown = rows.iter().filter(|row| text(row, "ChargeCategory") == "Usage").map(|row| {
        [
            "SkuPriceId",
            "SkuMeter",
            "PricingQuantity",
            "PricingUnit",
            "ListUnitPrice",
            "ContractedUnitPrice",
            "PricingCategory",
        ]
        .map(|column| text(row, column))
        .join(" ")
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    let expected = [
        "anthropic/claude-opus-5/input Input Tokens 0.001000 1000000 Tokens 5.000000000000 4.375000000000 Standard",
        "anthropic/claude-opus-5/input Input Tokens 0.001000 1000000 Tokens 5.000000000000 5.000000000000 Standard",
        "anthropic/claude-opus-5/output Output Tokens 0.000010 1000000 Tokens 25.000000000000 21.875000000000 Standard",
        "anthropic/claude-opus-5/output Output Tokens 0.000010 1000000 Tokens 25.000000000000 25.000000000000 Standard",
        "anthropic/claude-opus-5/web_search_query_medium Web Searches 2.000000 Requests 0.010000000000 0.008750000000 Standard",
        "mistral/fine/input Input Tokens 0.000004 1000000 Tokens 0.123456780000 0.123456780000 Standard",
        "mistral/fine/output Output Tokens 0.000006 1000000 Tokens 0.000000070000 0.000000070000 Standard",
        "openai/gpt-5.4/batch_input Input Tokens 0.002000 1000000 Tokens 1.250000000000 1.250000000000 Other",
        "openai/gpt-5.4/batch_output Output Tokens 0.000100 1000000 Tokens 7.500000000000 7.500000000000 Other",
        "openai/gpt-5.4/cache_read Input Tokens 0.048000 1000000 Tokens 0.250000000000 0.250000000000 Standard",
        "openai/gpt-5.4/input Input Tokens 0.003003 1000000 Tokens 2.500000000000 2.500000000000 Standard",
        "openai/gpt-5.4/input*1.1 Input Tokens 0.007001 1000000 Tokens 2.750000000000 2.750000000000 Standard",
        "openai/gpt-5.4/output Output Tokens 0.001101 1000000 Tokens 15.000000000000 15.000000000000 Standard",
        "openai/gpt-5.4/output*1.1 Output Tokens 0.000003 1000000 Tokens 16.500000000000 16.500000000000 Standard",
        "openai/whisper-1/audio_second Audio Seconds 12.345000 Seconds 0.000100000000 0.000100000000 Standard",
    ];
    assert_eq!(shown, expected);
    let cached = rows.iter().find(|row| text(row, "SkuPriceId") == "openai/gpt-5.4/cache_read").unwrap();
    assert_eq!(
        text(cached, "SkuPriceDetails"),
        r#"{"x_Meter":"cache_read","x_ModelDeveloper":"OpenAI","x_ModelFamily":"gpt-5","x_ModelId":"gpt-5.4","x_ServiceTier":"standard","x_TokenCacheAction":"Read","x_TokenDirection":"Input"}"#
    );
}

#[tokio::test]
async fn a_version_has_the_columns_of_its_specification_and_then_ours() {
    let ledger = company().await;
    let mut columns = BTreeMap::new();
    for version in FocusVersion::ALL {
        let options = FocusOptions { version: *version, ..OPTIONS };
        let (rows, _) = Box::pin(written(&ledger, options, RegistryChoice::Newest)).await;
        let names: Vec<String> = rows[0].as_object().unwrap().keys().cloned().collect();
        let specified = names.iter().filter(|name| !name.starts_with("x_")).count();
        columns.insert(version.as_str(), (specified, names.contains(&"ProviderName".to_owned())));
    }
    assert_eq!(columns, BTreeMap::from([("1.2", (57, true)), ("1.4", (65, false))]));
    let promises = FocusOptions { dataset: Dataset::ContractCommitment, ..OPTIONS };
    let (rows, _) = Box::pin(written(&ledger, promises, contracts())).await;
    assert_eq!(rows[0].as_object().unwrap().len(), 30);
}

#[tokio::test]
async fn what_has_no_price_is_in_no_row_and_counted() {
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    let priced = call("a", "openai", "gpt-5.4", "t", "2026-11-18T08:00:00Z", (1_000, 1));
    let unknown = call("b", "openai", "gpt-99", "t", "2026-11-18T08:00:00Z", (1_000, 1));
    let mut hit = call("c", "openai", "gpt-5.4", "t", "2026-11-18T08:00:00Z", (1_000, 1));
    hit.gateway_cache_hit = Some(true);
    append_priced(&ledger, "b1", &book, &[priced, unknown, hit]).await;
    let (rows, focus) = charges(&ledger).await;
    assert!(rows.iter().all(|row| text(row, "x_ModelId") == "gpt-5.4" && whole(&row["BilledCost"]) > 0), "{rows:?}");
    let unpriced = BTreeMap::from([(("openai".into(), "gpt-99".into(), "unknown_model".into()), 1)]);
    assert_eq!((focus.calls, focus.gateway_cache, &focus.unpriced), (1, 1, &unpriced));

    let session = session(&ledger, RegistryChoice::Newest).await;
    let metadata = OPTIONS.metadata(&session, &focus);
    assert_eq!(metadata["x_Daybook"]["CallsWithoutPrice"][0]["PriceStatus"], "unknown_model");
    assert_eq!(metadata["Schema"]["ColumnDefinition"].as_array().unwrap().len(), 65 + 10);
}

#[tokio::test]
async fn charges_keep_the_prices_of_their_time_whatever_was_imported_since() {
    let ledger = company().await;
    let before = charges(&ledger).await;
    let dearer = SHEET.replace(",2.5,x", ",9,x").replace(",100,x", ",700,x");
    book(&ledger, &dearer, 2).await;
    assert_eq!(charges(&ledger).await, before);
}

#[tokio::test]
async fn a_cost_at_prices_nobody_has_is_kept_without_a_unit_price() {
    let ledger = empty().await;
    let cost = Usd::parse("0.5").unwrap();
    let foreign = call("a", "openai", "gpt-5.4", "t", "2026-11-18T08:00:00Z", (1_000, 1));
    append(&ledger, "b1", &[(foreign, Some(cost))]).await;
    let (rows, focus) = charges(&ledger).await;
    assert_eq!((rows.len(), focus.unexplained), (1, 1));
    assert_eq!(
        (text(&rows[0], "ChargeCategory"), whole(&rows[0]["BilledCost"])),
        ("Adjustment", cost.pico() * 1_000_000)
    );
    assert!(rows[0]["ListUnitPrice"].is_null());
}

#[tokio::test]
async fn a_correction_after_the_end_of_its_month_leaves_that_month_as_it_was() {
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    let of = |id: &'static str, day: &str, tokens| {
        let mut entry = call(id, "openai", "gpt-5.4", "t", &format!("{day}T08:00:00Z"), tokens);
        entry.status = Status::Incomplete;
        entry
    };
    let october = of("late", "2026-10-20", (1_000_000, 0));
    let november = of("soon", "2026-11-18", (1_000_000, 0));
    append_priced(&ledger, "b1", &book, &[october.clone(), november.clone()]).await;
    let known = |entry: &Entry<'static>, status, output| {
        let mut entry = entry.clone();
        entry.status = status;
        entry.tokens.output = Some(output);
        entry
    };
    let correct = async |batch: &str, day: &str, entries: &[Entry<'_>]| {
        let at = Instant::parse(&format!("{day}T12:00:00Z")).unwrap();
        correct_priced(&ledger, batch, at, &book, entries).await;
    };
    let longer = known(&october, Status::Incomplete, 100_000);
    correct("c1", "2026-11-20", &[longer, known(&november, Status::Success, 100_000)]).await;
    let first = shown(&ledger, OPTIONS).await;
    let october_shown = "2026-10-20T00:00:00Z";
    let november_shown = "2026-11-18T00:00:00Z 2026-11-01T00:00:00Z -";
    let of_november = [
        format!("{october_shown} 2026-11-01T00:00:00Z Correction Output Tokens 0.100000 1.500000000000000000"),
        format!("{november_shown} Input Tokens 1.000000 2.500000000000000000"),
        format!("{november_shown} Output Tokens 0.100000 1.500000000000000000"),
    ];
    let of_october = format!("{october_shown} 2026-10-01T00:00:00Z - Input Tokens 1.000000 2.500000000000000000");
    let mut expected = vec![of_october.clone()];
    expected.extend(of_november.clone());
    assert_eq!(first, expected);

    // What is better known in December changes neither of the months that were handed on.
    correct("c2", "2026-12-05", &[known(&october, Status::Success, 300_000)]).await;
    let of_december =
        format!("{october_shown} 2026-12-01T00:00:00Z Correction Output Tokens 0.200000 3.000000000000000000");
    let month = |from: &str, to: &str| FocusOptions { from: Date::parse(from), to: Date::parse(to), ..OPTIONS };
    assert_eq!(shown(&ledger, month("2026-10-01", "2026-11-01")).await, [of_october]);
    assert_eq!(shown(&ledger, month("2026-11-01", "2026-12-01")).await, of_november);
    expected.insert(2, of_december);
    assert_eq!(shown(&ledger, month("2026-12-01", "2027-01-01")).await, expected[2..3]);
    assert!(shown(&ledger, month("2027-01-01", "2027-02-01")).await.is_empty());
    assert_eq!(shown(&ledger, OPTIONS).await, expected);
    // A day of November on which nothing was called is that of the correction all the same.
    assert_eq!(shown(&ledger, month("2026-11-20", "2026-11-21")).await, expected[1..2]);
    assert_eq!(charges(&ledger).await.1.calls, 2);
}

/// When, in which billing period, what of what and for how much: each charge, in order.
async fn shown(ledger: &Ledger, options: FocusOptions) -> Vec<String> {
    let (rows, _) = Box::pin(written(ledger, options, RegistryChoice::Newest)).await;
    let parts = ["ChargePeriodStart", "BillingPeriodStart", "ChargeClass", "SkuMeter", "PricingQuantity", "BilledCost"];
    let mut shown: Vec<_> = rows.iter().map(|row| parts.map(|column| text(row, column)).join(" ")).collect();
    shown.sort();
    shown
}

/// A registry that has these contracts and nothing else.
fn registry(contracts: &str) -> RegistryChoice {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("contracts.toml"), contracts).unwrap();
    RegistryChoice::Given(Registry::read_folder(folder.path()).unwrap().into())
}

fn contracts() -> RegistryChoice {
    registry(
        r#"
        [[contract]]
        name = "openai-2026"
        vendor = "OpenAI"
        providers = "openai"
        starts_on = 2026-01-01
        ends_on = 2026-12-31
        [[contract.commitment]]
        name = "met"
        usd = 4
        starts_on = 2026-10-01
        ends_on = 2026-10-31
        shortfall = "billed"
        [[contract.commitment]]
        name = "missed"
        usd = 10.5
        starts_on = 2026-11-01
        ends_on = 2026-11-19
        shortfall = "billed"
    "#,
    )
}

#[tokio::test]
async fn a_commitment_is_drawn_down_and_its_rest_is_unused() {
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    let of =
        |id: &'static str, day: &str| call(id, "openai", "gpt-5.4", "t", &format!("{day}T08:00:00Z"), (1_000_000, 0));
    let calls = [of("a", "2026-10-01"), of("b", "2026-10-02"), of("c", "2026-10-03"), of("d", "2026-11-19")];
    append_priced(&ledger, "b1", &book, &calls).await;
    let (rows, _) = Box::pin(written(&ledger, OPTIONS, contracts())).await;
    let shown = rows.iter().map(|row| {
        let parts = [
            "CommitmentDiscountId",
            "CommitmentDiscountStatus",
            "CommitmentDiscountQuantity",
            "BilledCost",
            "ListCost",
            "ConsumedQuantity",
        ];
        parts.map(|column| text(row, column)).join(" ").replace("000000000000000000", "0")
    });
    let expected = [
        "openai-2026/met Used 2.500000000000000000 2.500000000000000000 2.500000000000000000 1000000.000000",
        "openai-2026/met Used 1.500000000000000000 2.500000000000000000 2.500000000000000000 1000000.000000",
        "- - - 2.500000000000000000 2.500000000000000000 1000000.000000",
        "openai-2026/missed Used 2.500000000000000000 2.500000000000000000 2.500000000000000000 1000000.000000",
        "openai-2026/missed Unused 8.0 8.0 0.0 -",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected.map(|line| line.replace("000000000000000000", "0")));
    assert_eq!(
        text(&rows[1], "ContractApplied"),
        r#"{"Elements":[{"ContractId":"openai-2026","ContractCommitmentId":"openai-2026/met","ContractCommitmentAppliedCost":1.500000000000000000}]}"#
    );
    // What came before the first day is drawn down all the same.
    let later = FocusOptions { from: Date::parse("2026-10-02"), ..OPTIONS };
    let (rows, _) = Box::pin(written(&ledger, later, contracts())).await;
    assert_eq!(whole(&rows[0]["CommitmentDiscountQuantity"]), 1_500_000_000_000_000_000);
}

#[tokio::test]
async fn what_is_known_later_changes_no_commitment_and_no_count_of_a_month_that_ended() {
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    let of = |id: &'static str, status, tokens| {
        let mut entry = call(id, "openai", "gpt-5.4", "t", "2026-10-20T08:00:00Z", tokens);
        entry.status = status;
        entry
    };
    let mut pending = of("unpriced", Status::Pending, (0, 0));
    pending.tokens = Tokens::default();
    // The ledger knows that October is over, by a call of November.
    let after = call("after", "openai", "gpt-5.4", "t", "2026-11-19T08:00:00Z", (1_000_000, 0));
    append_priced(&ledger, "b1", &book, &[of("late", Status::Incomplete, (1_000_000, 0)), pending, after]).await;
    let october = FocusOptions { from: Date::parse("2026-10-01"), to: Date::parse("2026-11-01"), ..OPTIONS };
    let before = Box::pin(written(&ledger, october, contracts())).await;
    let quantities = |rows: &[Value]| -> Vec<i128> {
        rows.iter()
            .map(|row| {
                row["CommitmentDiscountQuantity"].as_str().map_or(0, |_| whole(&row["CommitmentDiscountQuantity"]))
            })
            .collect()
    };
    assert_eq!(
        quantities(&before.0),
        [2_500_000_000_000_000_000, 1_500_000_000_000_000_000],
        "used, and the rest of 4"
    );

    let at = Instant::parse("2026-11-20T12:00:00Z").unwrap();
    let known = [of("late", Status::Success, (1_000_000, 100_000)), of("unpriced", Status::Success, (400_000, 0))];
    correct_priced(&ledger, "c1", at, &book, &known).await;
    assert_eq!(Box::pin(written(&ledger, october, contracts())).await, before);
    let november = FocusOptions { from: Date::parse("2026-11-01"), to: Date::parse("2026-12-01"), ..OPTIONS };
    let (rows, focus) = Box::pin(written(&ledger, november, contracts())).await;
    let corrections = rows.iter().filter(|row| text(row, "ChargeClass") == "Correction");
    assert_eq!(quantities(&corrections.cloned().collect::<Vec<_>>()), [0, 0], "none draws anything down");
    let metadata = november.metadata(&session(&ledger, contracts()).await, &focus);
    let calls = |key: &str| {
        metadata["x_Daybook"][key].as_array().unwrap().iter().map(|row| row["Calls"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((calls("CallsWithoutPrice"), calls("CallsWithoutPriceCorrected")), (vec![], vec![1.into()]));
}

#[tokio::test]
async fn commitments_that_run_at_once_are_drawn_down_one_after_the_other() {
    let overlapping = registry(
        r#"
        [[contract]]
        name = "c"
        vendor = "OpenAI"
        providers = "openai"
        starts_on = 2026-01-01
        ends_on = 2026-12-31
        [[contract.commitment]]
        name = "A"
        usd = 10
        starts_on = 2026-10-01
        ends_on = 2026-10-31
        shortfall = "billed"
        [[contract.commitment]]
        name = "B"
        usd = 20
        starts_on = 2026-10-01
        ends_on = 2026-10-31
        shortfall = "billed"
    "#,
    );
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    let of = |id: &'static str, day: &str, tokens: i64| {
        call(id, "openai", "gpt-5.4", "t", &format!("{day}T08:00:00Z"), (tokens, 0))
    };
    // 6, 8 and 1 dollars, at 2.5 per million.
    let calls = [of("a", "2026-10-01", 2_400_000), of("b", "2026-10-10", 3_200_000), of("c", "2026-10-31", 400_000)];
    let november = of("d", "2026-11-01", 1);
    append_priced(&ledger, "b1", &book, &[calls.as_slice(), &[november]].concat()).await;
    let shown = async |from: Option<Date>| {
        let options = FocusOptions { from, to: Date::parse("2026-11-01"), ..OPTIONS };
        let (rows, _) = Box::pin(written(&ledger, options, overlapping.clone())).await;
        let columns = ["CommitmentDiscountId", "CommitmentDiscountStatus", "CommitmentDiscountQuantity", "BilledCost"];
        let row = |row: &Value| {
            let cells = columns.map(|column| text(row, column).replace(".000000000000000000", "")).join(" ");
            format!("{cells} {}", row["x_Calls"])
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let expected = ["c/A Used 6 6 1", "c/A Used 4 4 null", "c/B Used 4 4 1", "c/B Used 1 1 1", "c/B Unused 15 15 null"];
    assert_eq!(shown(None).await, expected);
    assert_eq!(shown(Date::parse("2026-10-31")).await, expected[3..], "what came before is drawn down all the same");
}

fn capacity() -> RegistryChoice {
    registry(
        r#"
        [[contract]]
        name = "openai-2026"
        vendor = "OpenAI"
        providers = "openai"
        starts_on = 2026-01-01
        ends_on = 2026-12-31
        [[contract.capacity]]
        model = "gpt-5.4*"
        units = 3
        usd_per_unit_hour = 1.25
        starts_on = 2026-11-18
        ends_on = 2026-12-31
    "#,
    )
}

#[tokio::test]
async fn capacity_is_charged_for_every_hour_and_those_without_a_call_are_unused() {
    let ledger = empty().await;
    let book = book(&ledger, SHEET, 1).await;
    let of = |id: &'static str, model: &'static str, at: &str| {
        let mut entry = call(id, "openai", model, "t", at, (1_000, 10));
        entry.features.insert(Feature::ProvisionedCapacity);
        entry
    };
    let calls = [
        of("a", "gpt-5.4", "2026-11-18T08:00:00Z"),
        of("b", "gpt-5.4", "2026-11-18T08:59:59Z"),
        of("c", "gpt-5.4", "2026-11-18T09:00:00Z"),
        call("d", "openai", "gpt-5.4", "t", "2026-11-19T08:00:00Z", (1_000_000, 0)),
    ];
    append_priced(&ledger, "b1", &book, &calls).await;
    let (rows, focus) = Box::pin(written(&ledger, OPTIONS, capacity())).await;
    assert_eq!((focus.calls, focus.unpriced.values().sum::<i64>()), (1, 3));
    let capacity = rows.iter().filter(|row| text(row, "SkuMeter") == "Provisioned Capacity");
    let shown = capacity.map(|row| {
        assert_eq!(whole(&row["ListCost"]), whole(&row["ListUnitPrice"]) * whole(&row["PricingQuantity"]));
        let parts =
            ["ChargePeriodStart", "CommitmentDiscountStatus", "PricingQuantity", "ConsumedQuantity", "BilledCost"];
        format!("{} {}", parts.map(|column| text(row, column)).join(" "), row["x_Calls"])
    });
    let expected = [
        "2026-11-18T00:00:00Z Used 6.000000 6.000000 7.500000000000000000 3",
        "2026-11-18T00:00:00Z Unused 66.000000 - 82.500000000000000000 null",
        "2026-11-19T00:00:00Z Unused 72.000000 - 90.000000000000000000 null",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected, "up to the last day of the ledger");
    let day = FocusOptions { from: Date::parse("2026-11-19"), to: Date::parse("2026-11-20"), ..OPTIONS };
    let (rows, _) = Box::pin(written(&ledger, day, self::capacity())).await;
    assert_eq!(rows.iter().filter(|row| text(row, "SkuMeter") == "Provisioned Capacity").count(), 1);
}

#[tokio::test]
async fn commitments_are_a_dataset_of_their_own() {
    let options = FocusOptions { dataset: Dataset::ContractCommitment, ..OPTIONS };
    let (rows, _) = Box::pin(written(&company().await, options, contracts())).await;
    let shown = rows.iter().map(|row| {
        [
            "ContractCommitmentId",
            "ContractCommitmentLifecycleStatus",
            "ContractCommitmentDurationType",
            "ContractCommitmentPeriodEnd",
        ]
        .map(|column| text(row, column))
        .join(" ")
    });
    let expected = [
        "openai-2026/met Expired 1 Month 2026-11-01T00:00:00Z",
        "openai-2026/missed Active 19 Days 2026-11-20T00:00:00Z",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_same_ledger_gives_the_same_bytes() {
    let ledger = company().await;
    let books = Book::load_history(&ledger).await.unwrap();
    let mut files = Vec::new();
    for _ in 0..2 {
        let session = session(&ledger, RegistryChoice::Newest).await;
        let mut out = Vec::new();
        Box::pin(focus(&session, &books, &OPTIONS, Format::Parquet, &mut out)).await.unwrap();
        files.push(out);
    }
    assert!(files[0] == files[1] && files[0].len() > 1_000);
}

#[tokio::test]
async fn an_empty_ledger_gives_a_file_without_rows() {
    let (rows, focus) = charges(&empty().await).await;
    assert_eq!((rows.len(), focus), (0, Focus::default()));
}
