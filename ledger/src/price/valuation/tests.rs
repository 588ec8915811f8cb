//! Valuations of small ledgers.

use super::*;
use crate::price::{Call, PastCalls};
use crate::row::{Cost, Origin, Row};
use crate::schema::UsageBuilder;
use crate::{Entry, Feature, Operation, Root, Tokens};

const HEADER: &str = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";

fn sheet(lines: &str) -> Book {
    Book::read_csv(format!("{HEADER}{lines}").as_bytes(), "test").unwrap()
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn entry<'a>(id: &'a str, model: &'a str, at: &str) -> Entry<'a> {
    let mut entry = Entry::new("test", Operation::Chat, id.as_bytes());
    entry.event_id = Some(id.into());
    entry.provider = Some("p".into());
    entry.response_model = Some(model.into());
    entry.started_at = Instant::parse(at);
    entry.tokens = Tokens { input: Some(1_000_000), output: Some(1_000_000), ..Tokens::default() };
    entry
}

/// Appends entries at the prices of `book`, as ingest does.
async fn append(ledger: &Ledger, book: &Book, batch_id: &str, entries: &[Entry<'_>]) {
    append_to(ledger.usage(), book, batch_id, entries).await;
}

async fn append_to(table: &Table, book: &Book, batch_id: &str, entries: &[Entry<'_>]) {
    let mut usage = UsageBuilder::default();
    for (offset, entry) in (0_i64..).zip(entries) {
        let (buckets, at) = (entry.tokens.buckets(), entry.started_at.unwrap());
        let rated = book.price(&Call::of(entry, &buckets, at));
        usage.push(&Row {
            entry,
            id: entry.id(),
            started_at: at,
            buckets: &buckets,
            cost: Cost { list_cost: rated.list_cost, price_id: rated.price_id, price_status: rated.status.as_str() },
            content_sha256: None,
            origin: Origin {
                topic: "t",
                partition: 0,
                offset,
                batch_id,
                batch_index: offset,
                ingested_at: Instant::from_micros(offset),
            },
        });
    }
    let batch = usage.finish().unwrap();
    let keep: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap()).collect();
    let mut files = Vec::new();
    for (index, encoded) in file::encode(table.spec(), &batch, &keep).unwrap().iter().enumerate() {
        files.push(table.store_file(encoded, batch_id, index).await.unwrap());
    }
    let commit = Commit { batch_id: batch_id.into(), files, positions: Vec::new(), counts: Vec::new() };
    let mut snapshot = table.load(None).await.unwrap();
    assert!(matches!(table.try_commit(&mut snapshot, &commit).await, Ok(CommitOutcome::Committed { .. })));
}

fn valuation(name: &str) -> Valuation<'_> {
    Valuation { name, from: None, to: None, created_at: Instant::from_micros(1_795_200_000_000_000) }
}

/// (valuation, entry id, cost) of every row, sorted.
async fn rows(ledger: &Ledger) -> Vec<(String, EntryId, Option<Usd>)> {
    use arrow::array::{Array as _, AsArray as _};
    let table = ledger.valuations();
    let mut rows = Vec::new();
    for data_file in table.load(None).await.unwrap().files() {
        for batch in table.load_batches(&data_file).await.unwrap() {
            let ids = batch.column_by_name("entry_id").unwrap().as_binary::<i32>();
            let names = batch.column_by_name("valuation").unwrap().as_string::<i32>();
            let costs = batch.column_by_name("list_cost").unwrap();
            let costs = costs.as_primitive::<arrow::datatypes::Decimal128Type>();
            rows.extend((0..batch.num_rows()).map(|at| {
                let cost = costs.is_valid(at).then(|| Usd::from_pico(costs.value(at)));
                (names.value(at).to_owned(), EntryId::from_slice(ids.value(at)).unwrap(), cost)
            }));
        }
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn a_valuation_prices_every_entry_and_moves_nothing_else() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let old = sheet("p,m,2026-01-01,,input,1,x\np,m,2026-01-01,,output,2,x\n");
    append(&ledger, &old, "b1", &[entry("a", "m", "2026-11-19T10:00:00Z"), entry("b", "n", "2026-11-20T10:00:00Z")])
        .await;
    let before = ledger.usage().load(None).await.unwrap();

    let new = sheet("p,m,2026-01-01,,input,3,x\np,m,2026-01-01,,output,4,x\n");
    let valued = new.value(&ledger, &valuation("spring")).await.unwrap();
    assert_eq!((valued.entries, valued.already), (2, 0));
    assert_eq!((valued.list_cost, valued.recorded_cost), (usd("7"), usd("3")));
    assert_eq!(valued.by_status, BTreeMap::from([(PriceStatus::Priced, 1), (PriceStatus::UnknownModel, 1)]));
    let mut expected = vec![
        ("spring".to_owned(), EntryId::derive("test", b"a"), Some(usd("7"))),
        ("spring".to_owned(), EntryId::derive("test", b"b"), None),
    ];
    expected.sort();
    assert_eq!(rows(&ledger).await, expected);
    let after = ledger.usage().load(None).await.unwrap();
    assert_eq!((after.version(), after.files()), (before.version(), before.files()), "usage is as it was");
}

#[tokio::test]
async fn a_valuation_made_again_adds_only_what_came_since() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = sheet("p,m,2026-01-01,,input,1,x\np,m,2026-01-01,,output,2,x\n");
    append(&ledger, &book, "b1", &[entry("a", "m", "2026-11-19T10:00:00Z"), entry("b", "m", "2026-11-20T10:00:00Z")])
        .await;
    let first = Valuation { to: Date::parse("2026-11-20"), ..valuation("v") };
    assert_eq!(book.value(&ledger, &first).await.unwrap().entries, 1);
    let version = ledger.valuations().load(None).await.unwrap().version();
    let again = book.value(&ledger, &first).await.unwrap();
    assert_eq!((again.entries, again.already), (0, 1));
    assert_eq!(ledger.valuations().load(None).await.unwrap().version(), version, "nothing was committed");

    append(&ledger, &book, "b2", &[entry("c", "m", "2026-11-19T11:00:00Z")]).await;
    let rest = book.value(&ledger, &valuation("v")).await.unwrap();
    assert_eq!((rest.entries, rest.already), (2, 1));
    let ids: BTreeSet<_> = rows(&ledger).await.into_iter().map(|(_, id, _)| id).collect();
    assert_eq!((ids.len(), rows(&ledger).await.len()), (3, 3));
}

#[tokio::test]
async fn a_name_stands_for_one_set_of_prices() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = sheet("p,m,2026-01-01,,input,1,x\n");
    append(&ledger, &book, "b1", &[entry("a", "m", "2026-11-19T10:00:00Z")]).await;
    book.value(&ledger, &valuation("v")).await.unwrap();
    let other = sheet("p,m,2026-01-01,,input,2,x\n");
    let error = other.value(&ledger, &valuation("v")).await.unwrap_err();
    assert!(matches!(&error, Error::OtherPrices { name, .. } if name == "v"), "{error}");
    assert_eq!(other.value(&ledger, &valuation("w")).await.unwrap().entries, 1);
    for name in ["", "recorded", "With Blank", "x".repeat(65).as_str()] {
        assert!(matches!(book.value(&ledger, &valuation(name)).await, Err(Error::NotAValuationName { .. })), "{name}");
    }
}

#[tokio::test]
async fn a_valuation_that_someone_else_adds_to_is_not_added_to_twice() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = sheet("p,m,2026-01-01,,input,1,x\n");
    append(&ledger, &book, "b1", &[entry("a", "m", "2026-11-19T10:00:00Z")]).await;
    let table = ledger.valuations();
    let mut stale = table.load(None).await.unwrap();
    book.value(&ledger, &valuation("v")).await.unwrap();
    let positions = vec![PositionChange { app_id: "valuation/v".into(), from: None, to: NextOffset(1) }];
    let commit = Commit { batch_id: "late".into(), files: Vec::new(), positions, counts: Vec::new() };
    let error = commit_once(table, &mut stale, &commit, "v").await.unwrap_err();
    assert_eq!(error.to_string(), "valuation `v` was added to by someone else at the same time");
}

#[tokio::test]
async fn a_stored_call_is_priced_as_the_entry_was() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = Book::default_sheet().unwrap();
    let at = "2026-11-20T09:30:00Z";
    let with = |id: &'static str, provider: &'static str, model: &'static str, change: &dyn Fn(&mut Entry<'_>)| {
        let mut entry = entry(id, model, at);
        entry.provider = Some(provider.into());
        entry.tokens = Tokens { input: Some(20_000), output: Some(500), ..Tokens::default() };
        change(&mut entry);
        entry
    };
    let entries = [
        with("cache", "anthropic", "claude-opus-5", &|entry| {
            entry.tokens.cache_read = Some(9_000);
            entry.tokens.cache_write = Some(700);
            entry.tokens.cache_write_5m = Some(300);
            entry.tokens.cache_write_1h = Some(400);
            entry.tokens.reasoning = Some(100);
            entry.meters = vec![("web_search_requests", usd("2")), ("web_fetch_requests", usd("1"))];
            entry.region = Some("us".into());
        }),
        with("batch", "openai", "gpt-4o", &|entry| entry.features.insert(Feature::Batch)),
        with("priority", "openai", "gpt-6-sol", &|entry| entry.service_tier = Some("priority".into())),
        with("hit", "openai", "gpt-4o", &|entry| entry.gateway_cache_hit = Some(true)),
        with("total", "openai", "gpt-4o", &|entry| entry.tokens.total = Some(7)),
        with("parts", "openai", "gpt-4o", &|entry| entry.tokens.cache_read = Some(30_000)),
        with("azure", "azure", "gpt-4o", &|entry| {
            entry.response_model = None;
            entry.request_model = Some("our-deployment".into());
        }),
        with("half", "openai", "gpt-4o", &|entry| entry.tokens.output = None),
        with("what", "openai", "gpt-4o", &|entry| entry.operation = None),
        with("unknown", "openai", "gpt-4o", &|entry| entry.meters = vec![("tea_cups", usd("0.5"))]),
        with("sound", "openai", "whisper-1", &|entry| {
            entry.operation = Some(Operation::Transcription);
            entry.tokens = Tokens::default();
            entry.meters = vec![("input_seconds", usd("12.345"))];
        }),
    ];
    append(&ledger, &book, "b", &entries).await;
    let mut seen = 0;
    for data_file in ledger.usage().load(None).await.unwrap().files() {
        for batch in ledger.usage().load_batches(&data_file).await.unwrap() {
            for past in PastCalls::new(&batch).unwrap().iter() {
                let rated = book.price(&past.call());
                let found = (rated.list_cost, rated.price_id, Some(rated.status.as_str()));
                assert_eq!(found, (past.list_cost, past.price_id, past.price_status), "{past:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, entries.len());
    let valued = book.value(&ledger, &valuation("same")).await.unwrap();
    assert_eq!(valued.list_cost, valued.recorded_cost);
}

#[tokio::test]
async fn an_hour_of_capacity_is_spread_over_its_calls_to_the_last_digit() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = sheet("p,ours*,2026-11-19,,capacity_hour,10,contract\np,m,2026-01-01,,input,1,x\n");
    let provisioned = |id, at| {
        // The answer names the model that the deployment is of.
        let mut entry = entry(id, if id == "b" { "gpt-4o-2024-11-20" } else { "ours-east" }, at);
        entry.request_model = Some("ours-east".into());
        entry.features.insert(Feature::ProvisionedCapacity);
        entry
    };
    let calls = [
        provisioned("a", "2026-11-19T10:00:00Z"),
        provisioned("b", "2026-11-19T10:30:00Z"),
        provisioned("c", "2026-11-19T10:59:59.999999Z"),
        provisioned("d", "2026-11-19T11:00:00Z"),
    ];
    append(&ledger, &book, "b1", &calls).await;
    let early = Valuation { created_at: Instant::parse("2026-11-19T11:30:00Z").unwrap(), ..valuation("early") };
    let early = book.value(&ledger, &early).await.unwrap();
    assert_eq!(early.idle.values().next().map(|idle| idle.hours), Some(10), "hours to come are not paid for nothing");
    let valued = book.value(&ledger, &valuation("v")).await.unwrap();
    assert_eq!(valued.by_status, BTreeMap::from([(PriceStatus::CapacityShare, 4)]));
    assert_eq!((valued.list_cost, valued.recorded_cost), (usd("20"), Usd::ZERO));
    let costs = rows(&ledger).await.into_iter().filter_map(|(name, _, cost)| cost.filter(|_| name == "v"));
    let mut costs: Vec<_> = costs.collect();
    costs.sort_unstable();
    assert_eq!(costs, [usd("3.333333333333"), usd("3.333333333333"), usd("3.333333333334"), usd("10")]);
    let idle = BTreeMap::from([("p/ours*@2026-11-19".to_owned(), Idle { hours: 22, cost: usd("220") })]);
    assert_eq!(valued.idle, idle, "22 hours of the one day were paid for nothing");

    append(
        &ledger,
        &book,
        "b2",
        &[provisioned("late", "2026-11-19T11:01:00Z"), provisioned("e", "2026-11-19T12:00:00Z")],
    )
    .await;
    let more = book.value(&ledger, &valuation("v")).await.unwrap();
    assert_eq!(more.list_cost, usd("10"), "the hour of the late call was spread already, that of e was not");
    assert_eq!(more.idle.values().next().map(|idle| idle.hours), Some(21));
}

#[tokio::test]
async fn capacity_nobody_priced_stays_unpriced() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = sheet("p,other,2026-11-19,,capacity_hour,10,contract\np,ours,2026-01-01,,input,1,x\n");
    let mut call = entry("a", "ours", "2026-11-19T10:00:00Z");
    call.service_tier = Some("PROVISIONED_THROUGHPUT".into());
    append(&ledger, &book, "b1", &[call]).await;
    let valued = book.value(&ledger, &valuation("v")).await.unwrap();
    assert_eq!(valued.by_status, BTreeMap::from([(PriceStatus::Provisioned, 1)]));
    assert_eq!(rows(&ledger).await[0].2, None);
}

#[tokio::test]
async fn the_fullest_correction_of_a_call_is_what_is_valued() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let book = sheet("p,m,2026-01-01,,input,1,x\np,m,2026-01-01,,output,2,x\n");
    let call = |id, status, tokens| {
        let mut entry = entry(id, "m", "2026-11-19T10:00:00Z");
        (entry.status, entry.tokens) = (status, tokens);
        entry
    };
    let counts = |input| Tokens { input: Some(input), output: Some(0), ..Tokens::default() };
    let pending = call("a", crate::Status::Pending, Tokens::default());
    append(&ledger, &book, "b1", &[pending, call("b", crate::Status::Success, counts(5_000_000))]).await;
    let corrections = [
        call("a", crate::Status::Incomplete, counts(1_000_000)),
        call("a", crate::Status::Success, counts(3_000_000)),
        call("a", crate::Status::Success, Tokens::default()),
    ];
    append_to(ledger.corrections(), &book, "c1", &corrections).await;
    let valued = book.value(&ledger, &valuation("v")).await.unwrap();
    assert_eq!((valued.entries, valued.list_cost), (2, usd("8")), "each call once, 3 for a and 5 for b");
    let coverage = book.coverage(&ledger).await.unwrap();
    assert_eq!((coverage.calls, coverage.unpriced.len(), coverage.recorded_unpriced), (2, 0, 0));
}
