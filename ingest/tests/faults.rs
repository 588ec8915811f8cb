//! A worker on a store that fails at any call, or that is killed there: every call is in the ledger once, with its body, a
//! fuller event is its correction, a poison message is in quarantine once and is replayed once. Maintenance and erasure
//! change none of that.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::panic,
    reason = "test code outside test functions"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use daybook_ingest::core::{Core, Effect, Input, Message, Rules};
use daybook_ingest::decode::Format;
use daybook_ingest::driver::Control;
use daybook_ingest::quarantine::{ReplaySettings, Replayed};
use daybook_ingest::writer::{Backoff, Writer, Written};
use daybook_ingest::{Capture, ClosedBatch, Error, FlushLimits, Partition, quarantine};
use daybook_ledger::maintenance::{Keep, Run, Settings, Wanted, erase, maintain};
use daybook_ledger::price::Book;
use daybook_ledger::testing::{self, Call, Fault, FaultyStore};
use daybook_ledger::{Date, EntryId, Instant, Ledger, NextOffset, Root, SystemClock, Table};
use futures::StreamExt as _;
use object_store::ObjectStore;
use object_store::memory::InMemory;

/// Objects that a batch of every table puts: a file and a commit each.
const CHANGES: u64 = 10;
const ONCE: Backoff = Backoff { attempts_max: 1, pause_ms: 0, pause_ms_max: 0 };
const NOW: Instant = Instant::from_micros(1_795_200_000_000_000);

fn partition(number: i32) -> Partition {
    Partition { topic: "calls".into(), number }
}

/// The events of partition 0: a call without its counts, and one that is not answered yet.
fn early() -> Vec<Vec<u8>> {
    vec![event(0, ""), observation("p", "null", "{}")]
}

/// The events of partition 1: what is missing of these, other calls, one of them twice, one without an end, a poison message.
fn later() -> Vec<Vec<u8>> {
    let usage = |id: i64| format!(r#""prompt_tokens":{id},"completion_tokens":1,"total_tokens":{},"#, id + 1);
    let mut events: Vec<_> = (0..4).map(|id| event(id, &usage(id))).collect();
    events.push(event(2, &usage(2)));
    events.push(b"{poison".to_vec());
    events.push(observation("p", r#""so""#, r#"{"input":9,"output":1,"total":10}"#));
    events.push(observation("q", "null", "{}"));
    events
}

fn observation(id: &str, output: &str, usage: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"call-{id}","traceId":"t","type":"GENERATION","startTime":"2026-11-20T12:00:00Z","endTime":null,
        "model":"gpt-4o","input":"said in call {id}","output":{output},"usageDetails":{usage}}}"#
    )
    .into_bytes()
}

fn event(id: i64, usage: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"call-{id}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o",
        "startTime":1795170000.0,"endTime":1795170001.0,{usage}
        "response_cost":0.5,"messages":[{{"role":"user","content":"said in call {id}"}}],"metadata":{{}}}}"#
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_under_a_fault_at_every_call_ends_exact() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let base = base(&book).await;
    let calls = {
        let store = FaultyStore::over(Arc::new(base.fork()));
        store.fail_at_change(CHANGES, Fault::Die);
        ingest(&store, 1, &later(), &book, 1).await.unwrap();
        assert!(store.struck().is_empty(), "a batch makes more than {CHANGES} changes");
        assert_exact(&store).await;
        store.calls()
    };
    // Together: a worker whose store does not answer waits before it asks again.
    let runs = failing_stores(&base, calls, 3).map(|store| {
        let book = &book;
        async move {
            let log = later();
            for process in 10..16 {
                let done = tokio::select! {
                    done = ingest(&store, 1, &log, book, process) => done.is_ok(),
                    () = store.death() => false,
                };
                if done {
                    break;
                }
                store.heal();
            }
            assert_exact(&store).await;
        }
    });
    futures::stream::iter(runs).buffer_unordered(128).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_while_its_tables_are_maintained_and_takes_no_call_twice() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::over(Arc::new(base(&book).await));
    ingest(&store, 1, &later(), &book, 1).await.unwrap();
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let mut worker = Writer::open(ledger.clone(), "c".into()).await.unwrap();
    worker.load_positions(&[partition(2)]).await.unwrap();
    let at_once = Settings {
        keep: Keep { unnamed: std::time::Duration::ZERO, superseded: std::time::Duration::ZERO },
        ..Settings::default()
    };
    let done = maintain(&ledger, &[], &at_once, &Run::new("m", &SystemClock, false)).await.unwrap();
    assert!(done.iter().any(|done| done.files_deleted > 0), "{done:?}");
    // A worker that was there before, and one that comes after: both know every call.
    write(&mut worker, 2, &later(), &book, 2).await.unwrap();
    ingest(&store, 3, &later(), &book, 3).await.unwrap();
    assert_eq!(count(ledger.usage(), "raw").await.0, 6);
    assert_eq!(count(ledger.content(), "raw").await, (5, 5));
    assert_eq!(count(ledger.content_partial(), "raw").await, (2, 2));
    assert_eq!(count(ledger.corrections(), "raw").await.0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_went_after_a_batch_came_half_way_are_recorded_as_lost() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::memory();
    // Its first message is poison: what stands for those that went has the same offset.
    let log: Vec<_> = [b"{poison".to_vec()].into_iter().chain(later()).collect();
    let (ledger, mut worker) = half_way(&store, &log, &book).await;

    let batch = without_first(&mut worker, 5, &book, 2).await;
    // The second attempt finds that the first came half way again.
    store.fail_always(Call::Put, "usage/_delta_log", Fault::Refuse);
    worker.write(&batch).await.unwrap_err();
    let mut worker = Writer::open(ledger.clone(), "c".into()).await.unwrap().with_backoff(ONCE);
    worker.write(&batch).await.unwrap_err();
    assert_eq!(count(ledger.quarantine(), "value").await, (3, 3), "two poison messages, and what is gone");
    store.heal();
    let mut worker = Writer::open(ledger.clone(), "c".into()).await.unwrap();
    let batch = without_first(&mut worker, 8, &book, 3).await;
    assert!(matches!(worker.write(&batch).await.unwrap(), Written::Committed(counts) if counts.quarantined == 1));
    write(&mut worker, 1, &log, &book, 4).await.unwrap();
    assert_eq!(count(ledger.quarantine(), "value").await, (4, 4), "more is gone than was known at first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_read_in_another_format_after_a_batch_came_half_way_is_somewhere() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::memory();
    let (ledger, _) = half_way(&store, &later(), &book).await;
    // Its poison is in quarantine, and its calls are not in the ledger; now the topic has a format that none of them is of.
    let mut worker = Writer::open(ledger.clone(), "c".into()).await.unwrap();
    let formats = BTreeMap::from([(partition(1).topic.to_string(), Format::OtelGenAi)]);
    write_as(&mut worker, 1, &later(), &book, 2, &formats).await.unwrap();
    assert_eq!(count(ledger.usage(), "raw").await.0, 0);
    assert_eq!(count(ledger.quarantine(), "value").await, (later().len(), later().len()), "each message once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_set_aside_though_another_cluster_has_one_at_its_place() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::memory();
    let (ledger, mut worker) = half_way(&store, &later(), &book).await;
    let other: Vec<_> = later().into_iter().rev().chain([b"{other poison".to_vec()]).collect();
    let mut elsewhere = Writer::open(ledger.clone(), "d".into()).await.unwrap();
    write(&mut elsewhere, 1, &other, &book, 2).await.unwrap();
    assert_eq!(count(ledger.quarantine(), "value").await, (3, 3), "one of the first, two of the other");
    // Now one is poison that the other cluster has at this place, and one that was not.
    let formats = BTreeMap::from([(partition(1).topic.to_string(), Format::OtelGenAi)]);
    write_as(&mut worker, 1, &later(), &book, 3, &formats).await.unwrap();
    assert_eq!(count(ledger.quarantine(), "value").await, (2 + later().len(), 2 + later().len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_overtaken_sets_nothing_aside() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::memory();
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let log: Vec<_> = later().into_iter().filter(|event| event != b"{poison").collect();
    let mut late = Writer::open(ledger.clone(), "c".into()).await.unwrap();
    // It reads every message otherwise than the worker that is faster, which has nothing to set aside.
    let formats = BTreeMap::from([(partition(1).topic.to_string(), Format::OtelGenAi)]);
    let batch = batch_of(&mut late, 1, &log, &book, 1, &formats).await.unwrap().unwrap();
    ingest(&store, 1, &log, &book, 2).await.unwrap();
    assert!(matches!(late.write(&batch).await.unwrap(), Written::Fenced(_)));
    assert_eq!(count(ledger.quarantine(), "value").await, (0, 0));
    assert_eq!(count(ledger.usage(), "raw").await.0, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_message_in_quarantine_is_listed_and_not_replayed() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::over(Arc::new(base(&book).await));
    ingest(&store, 1, &later(), &book, 11).await.unwrap();
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let wanted = Wanted::Before(Date::parse("2100-01-01").unwrap());
    erase(&ledger, &wanted, 1 << 20, &Run::new("e", &SystemClock, false)).await.unwrap();
    assert_eq!(count(ledger.quarantine(), "value").await, (1, 0));
    let found = quarantine::find(&ledger, &quarantine::Filter::default()).await.unwrap();
    assert_eq!((found.len(), found[0].message.as_str()), (1, "its bytes were erased"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_again_does_not_bring_back_what_was_erased() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let store = FaultyStore::over(Arc::new(base(&book).await));
    ingest(&store, 1, &later(), &book, 1).await.unwrap();
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let id = EntryId::derive("litellm", b"call-1");
    let wanted = Wanted::Entries(vec![id]);
    let erased = erase(&ledger, &wanted, 1 << 20, &Run::new("e", &SystemClock, false)).await.unwrap();
    assert_eq!(erased.tables[0].rows_erased, 1);
    ingest(&store, 2, &later(), &book, 2).await.unwrap();
    assert_eq!(count(ledger.usage(), "raw").await.0, 6);
    assert_eq!(count(ledger.content(), "raw").await, (5, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_under_a_fault_at_every_call_reads_each_message_once() {
    let book = Arc::new(Book::default_sheet().unwrap());
    let memory = Arc::new(base(&book).await);
    let ledger = Ledger::create_at(Root { store: Arc::clone(&memory) as _, ..Root::memory() }).await.unwrap();
    // One of them is in the ledger by another event, which this one completes.
    let waiting: Vec<_> = later().into_iter().take(4).collect();
    for (offset, value) in (900..).zip(&waiting) {
        testing::quarantine(&ledger, &format!("q{offset}"), offset, value).await;
    }
    let base = memory.fork();
    let calls = {
        let store = FaultyStore::over(Arc::new(base.fork()));
        store.fail_at_change(CHANGES, Fault::Die);
        let done = replay(&store, &book, false).await.unwrap();
        assert_eq!((done.messages, done.known, done.refused.len()), (4, 0, 0));
        assert!(store.struck().is_empty(), "a replay makes more than {CHANGES} changes");
        let calls = store.calls();
        check_replayed(&store, &book).await;
        calls
    };
    let runs = failing_stores(&base, calls, 5).map(|store| {
        let book = &book;
        async move {
            for _ in 0..6 {
                let done = tokio::select! {
                    done = replay(&store, book, false) => done.is_ok(),
                    () = store.death() => false,
                };
                if done {
                    break;
                }
                store.heal();
            }
            check_replayed(&store, book).await;
        }
    });
    futures::stream::iter(runs).buffer_unordered(128).collect::<Vec<()>>().await;
}

async fn replay(store: &FaultyStore, book: &Arc<Book>, dry_run: bool) -> Result<Replayed, Error> {
    let ledger = Ledger::create_at(store.root()).await?;
    let settings = ReplaySettings { dry_run, ..ReplaySettings::default() };
    quarantine::replay(settings, &ledger, Arc::clone(book), Arc::new(SystemClock), Control::default()).await
}

/// Every waiting message is known to be read, and what it says is in the ledger once.
async fn check_replayed(store: &FaultyStore, book: &Arc<Book>) {
    store.heal();
    let struck = store.struck();
    let left = replay(store, book, true).await.unwrap();
    assert_eq!((left.known, left.messages), (4, 0), "{struck:?}");
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    assert_eq!(count(ledger.usage(), "raw").await.0, 5, "{struck:?}");
    assert_eq!(count(ledger.content(), "raw").await, (4, 4), "{struck:?}");
    assert_eq!(count(ledger.corrections(), "raw").await.0, 1, "{struck:?}");
}

/// Stores that each have what `base` has and fail once: at every change in every way, at every `step`th of `calls` by a refusal.
fn failing_stores(base: &InMemory, calls: u64, step: usize) -> impl Iterator<Item = FaultyStore> {
    let faults =
        [Fault::Refuse, Fault::LoseReply, Fault::FindItself, Fault::ArriveLate(2), Fault::Die, Fault::DieAfter];
    let store = || FaultyStore::over(Arc::new(base.fork()));
    let changes = faults.into_iter().flat_map(|fault| (0..CHANGES).map(move |at| (at, fault.clone())));
    let changes = changes.map(move |(at, fault)| {
        let store = store();
        store.fail_at_change(at, fault);
        store
    });
    let reads = (0..calls).step_by(step).map(move |at| {
        let store = store();
        store.fail_at(at, Fault::Refuse);
        store
    });
    changes.chain(reads)
}

/// A ledger that has read partition 0.
async fn base(book: &Arc<Book>) -> InMemory {
    let memory = Arc::new(InMemory::new());
    let store = FaultyStore::over(Arc::clone(&memory) as Arc<dyn ObjectStore>);
    ingest(&store, 0, &early(), book, 0).await.unwrap();
    memory.fork()
}

/// A ledger with all of a batch but its entries, and the worker that failed at these.
async fn half_way(store: &FaultyStore, log: &[Vec<u8>], book: &Arc<Book>) -> (Ledger, Writer) {
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let mut worker = Writer::open(ledger.clone(), "c".into()).await.unwrap().with_backoff(ONCE);
    store.fail_always(Call::Put, "usage/_delta_log", Fault::Refuse);
    write(&mut worker, 1, log, book, 1).await.unwrap_err();
    store.heal();
    (ledger, worker)
}

/// The batch of a worker that finds the messages `below` an offset gone.
async fn without_first(writer: &mut Writer, below: i64, book: &Arc<Book>, worker: u64) -> Box<ClosedBatch> {
    let positions = writer.load_positions(&[partition(1)]).await.unwrap();
    assert_eq!((positions[0].1.usage, positions[0].1.quarantine), (None, Some(NextOffset(9))));
    let mut core = core(book, worker);
    let mut effects = Vec::new();
    for input in [Input::Assigned(positions), Input::Missed(partition(1), NextOffset(below)), Input::Flush] {
        core.on(NOW, input, &mut effects).unwrap();
    }
    effects.into_iter().find_map(written).unwrap()
}

/// One process: it starts where the ledger stands in the partition and reads to its end.
async fn ingest(store: &FaultyStore, number: i32, log: &[Vec<u8>], book: &Arc<Book>, worker: u64) -> Result<(), Error> {
    let ledger = Ledger::create_at(store.root()).await?;
    let mut writer = Writer::open(ledger, "c".into()).await?;
    write(&mut writer, number, log, book, worker).await
}

async fn write(writer: &mut Writer, number: i32, log: &[Vec<u8>], book: &Arc<Book>, worker: u64) -> Result<(), Error> {
    write_as(writer, number, log, book, worker, &BTreeMap::new()).await
}

async fn write_as(
    writer: &mut Writer,
    number: i32,
    log: &[Vec<u8>],
    book: &Arc<Book>,
    worker: u64,
    formats: &BTreeMap<String, Format>,
) -> Result<(), Error> {
    for round in 0..8 {
        let Some(batch) = batch_of(writer, number, log, book, worker << 8 | round, formats).await? else {
            return Ok(());
        };
        if let Written::Committed(_) = writer.write(&batch).await? {
            return Ok(());
        }
    }
    panic!("the batch never lands")
}

/// What a worker reads of `log` from where the ledger stands; nothing if it stands at the end.
async fn batch_of(
    writer: &mut Writer,
    number: i32,
    log: &[Vec<u8>],
    book: &Arc<Book>,
    worker: u64,
    formats: &BTreeMap<String, Format>,
) -> Result<Option<Box<ClosedBatch>>, Error> {
    let partition = partition(number);
    let positions = writer.load_positions(std::slice::from_ref(&partition)).await?;
    let next = positions[0].1.usage.map_or(0, |position| usize::try_from(position.0).unwrap());
    let (limits, prices) = (FlushLimits::default(), Arc::clone(book));
    let mut core = Core::new(Rules { limits, capture: Capture::Full, formats: formats.clone(), prices, worker });
    let mut effects = Vec::new();
    core.on(NOW, Input::Assigned(positions), &mut effects)?;
    for (offset, value) in (0..).zip(log).skip(next) {
        let message = Message {
            topic: &partition.topic,
            partition: number,
            offset,
            timestamp: Some(NOW),
            key: None,
            value: Some(value),
            headers: &[],
        };
        core.on(NOW, Input::Message(message), &mut effects)?;
    }
    core.on(NOW, Input::Flush, &mut effects)?;
    Ok(effects.into_iter().find_map(written))
}

fn core(book: &Arc<Book>, worker: u64) -> Core {
    let (limits, prices) = (FlushLimits::default(), Arc::clone(book));
    Core::new(Rules { limits, capture: Capture::Full, formats: BTreeMap::new(), prices, worker })
}

fn written(effect: Effect) -> Option<Box<ClosedBatch>> {
    if let Effect::Write(batch) = effect { Some(batch) } else { None }
}

async fn assert_exact(store: &FaultyStore) {
    store.heal();
    let root = Root { store: Arc::clone(store.inner()), ..Root::memory() };
    let ledger = Ledger::create_at(root).await.unwrap();
    let struck = store.struck();
    assert_eq!(count(ledger.usage(), "raw").await.0, 6, "{struck:?}");
    assert_eq!(count(ledger.content(), "raw").await, (5, 5), "{struck:?}");
    assert_eq!(count(ledger.content_partial(), "raw").await, (2, 2), "{struck:?}");
    assert_eq!(count(ledger.corrections(), "raw").await.0, 2, "{struck:?}");
    assert_eq!(count(ledger.quarantine(), "value").await, (1, 1), "{struck:?}");
    let mut snapshot = ledger.usage().load(None).await.unwrap();
    let position = ledger.usage().load_position(&mut snapshot, &partition(1).app_id("c")).await.unwrap();
    assert_eq!(position.map(|position| position.0), Some(8), "{struck:?}");
}

/// Rows of a table, none of them about an entry that another row is about; and how many of them have a `body`.
async fn count(table: &Table, body: &str) -> (usize, usize) {
    let (mut rows, mut bodies) = (0, 0);
    let mut ids = Vec::new();
    for file in table.load(None).await.unwrap().files() {
        for batch in table.load_batches(&file).await.unwrap() {
            rows += batch.num_rows();
            bodies += batch.column_by_name(body).map_or(0, |body| body.len() - body.null_count());
            if let Some(column) = batch.column_by_name("entry_id") {
                ids.extend(column.as_binary::<i32>().iter().map(|id| id.unwrap().to_vec()));
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an entry is there twice");
    (rows, bodies)
}
