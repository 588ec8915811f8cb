//! Whatever call of the store fails, and however: an append ends exact, its rows and its position once.
#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    clippy::panic,
    reason = "test code; the helpers at the foot are outside the tests"
)]

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use daybook_ledger::schema::{QUARANTINE, QuarantineBuilder};
use daybook_ledger::testing::{Fault, FaultyStore};
use daybook_ledger::{Commit, CommitOutcome, Error, Ledger, NextOffset, PositionChange, Root, file};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

const APP: &str = "ledger/c/t/0";
const ROWS: i64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_under_a_fault_at_every_call_ends_exact() {
    let empty = ledger_in_memory().await;
    for fault in [
        Fault::Refuse,
        Fault::LoseReply,
        Fault::FindItself,
        Fault::ArriveLate(1),
        Fault::ArriveLate(6),
        Fault::Tear,
        Fault::Die,
        Fault::DieAfter,
    ] {
        for call in 0.. {
            let store = FaultyStore::over(Arc::new(empty.fork()));
            store.fail_at(call, fault.clone());
            append(&store, 1).await;
            assert_exact(&store, 1).await;
            if store.struck().is_empty() && store.calls() <= call {
                assert!(call > 10, "{fault:?} has met {call} calls only");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_under_faults_by_seed_end_exact() {
    let empty = ledger_in_memory().await;
    for seed in 0..20 {
        let store = FaultyStore::over(Arc::new(empty.fork()));
        store.fail_by_seed(seed, 60);
        for batch in 1..=4 {
            append(&store, batch).await;
        }
        println!("seed={seed} {:?}", store.struck());
        assert_exact(&store, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_reading_breaks_off_is_not_called_damaged() {
    let written = FaultyStore::over(Arc::new(ledger_in_memory().await));
    append(&written, 1).await;
    for call in 0.. {
        let store = FaultyStore::over(Arc::clone(written.inner()));
        let ledger = Ledger::create_at(store.root()).await.unwrap();
        store.fail_at(call, Fault::Tear);
        if let Err(error) = read_position(&ledger).await {
            assert!(matches!(error, Error::StoreUnavailable { .. }), "{error:?} after {:?}", store.struck());
        }
        if store.struck().is_empty() {
            assert!(call > 3, "{call} calls only");
            return;
        }
    }
}

async fn read_position(ledger: &Ledger) -> Result<Option<NextOffset>, Error> {
    let mut snapshot = ledger.quarantine().load(None).await?;
    ledger.quarantine().load_position(&mut snapshot, APP).await
}

#[tokio::test]
async fn a_file_that_is_collected_while_its_writer_sleeps_is_to_be_stored_anew() {
    let store = FaultyStore::over(Arc::new(ledger_in_memory().await));
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let files = encoded(0);
    let mut storing = Box::pin(ledger.quarantine().store_file(files.first().unwrap(), "b", 0));
    assert!(store.advance(&mut storing, 1).await.is_none(), "it is put and not looked at");
    store.inner().delete(&Path::from("ledger/quarantine/event_date=2024-10-04/b-0000.parquet")).await.unwrap();
    let stored = store.advance(&mut storing, 1).await.unwrap();
    assert!(matches!(stored, Err(Error::FileGone { .. })), "{stored:?}");
}

/// A worker that is started again until the ledger stands where its `batch` ends. Of each process every second is a new
/// one, with another batch id; the others try the same batch again, as a worker does whose store did not answer.
async fn append(store: &FaultyStore, batch: i64) {
    for attempt in 0..50 {
        match try_append(store, batch, attempt).await {
            Ok(true) => return,
            Ok(false) => {}
            // Only a process that is started again finds a store that answers.
            Err(_) if attempt % 4 == 3 => store.heal(),
            Err(_) => {}
        }
    }
    panic!("the append never ends: {:?}", store.struck());
}

/// Whether the ledger stands at the end of `batch`.
async fn try_append(store: &FaultyStore, batch: i64, attempt: usize) -> Result<bool, Error> {
    let ledger = Ledger::create_at(store.root()).await?;
    let table = ledger.quarantine();
    let mut snapshot = table.load(None).await?;
    let from = table.load_position(&mut snapshot, APP).await?;
    if from == Some(NextOffset(batch * ROWS)) {
        return Ok(true);
    }
    let batch_id = format!("b{batch}-{}", attempt / 2);
    let mut files = Vec::new();
    for (number, file) in encoded((batch - 1) * ROWS).iter().enumerate() {
        files.push(table.store_file(file, &batch_id, attempt * 10 + number).await?);
    }
    let positions = vec![PositionChange { app_id: APP.into(), from, to: NextOffset(batch * ROWS) }];
    let commit = Commit { batch_id, files, positions, counts: Vec::new() };
    Ok(matches!(table.try_commit(&mut snapshot, &commit).await?, CommitOutcome::Committed { .. }))
}

/// Every message of `batches` batches is in the table once, when everything that was on its way has arrived.
async fn assert_exact(store: &FaultyStore, batches: i64) {
    store.heal();
    for _ in 0..20 {
        store.head(&Path::from("nothing")).await.unwrap_err();
    }
    let root = Root { store: Arc::clone(store.inner()), ..Root::memory() };
    let ledger = Ledger::create_at(root).await.unwrap();
    let table = ledger.quarantine();
    let mut snapshot = table.load(None).await.unwrap();
    let mut offsets = Vec::new();
    for file in snapshot.files() {
        for batch in table.load_batches(&file).await.unwrap() {
            let column = batch.column_by_name("kafka_offset").unwrap();
            offsets.extend(column.as_primitive::<Int64Type>().values().iter().copied());
        }
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..batches * ROWS).collect::<Vec<_>>(), "{:?}", store.struck());
    let position = table.load_position(&mut snapshot, APP).await.unwrap();
    assert_eq!(position, Some(NextOffset(batches * ROWS)), "{:?}", store.struck());
}

async fn ledger_in_memory() -> InMemory {
    let store = Arc::new(InMemory::new());
    let root = Root { store: Arc::clone(&store) as Arc<dyn ObjectStore>, ..Root::memory() };
    Ledger::create_at(root).await.unwrap();
    store.fork()
}

fn encoded(first: i64) -> Vec<file::EncodedFile> {
    let mut builder = QuarantineBuilder::default();
    for offset in first..first + ROWS {
        builder.event_date.append_value(20_000);
        builder.batch_id.append_value("b");
        builder.quarantined_at.append_value(1_795_170_000_000_000);
        builder.topic.append_value("t");
        builder.kafka_partition.append_value(0);
        builder.kafka_offset.append_value(offset);
        builder.kafka_timestamp.append_null();
        builder.key.append_null();
        builder.value.append_value(b"x");
        builder.headers.append(true).unwrap();
        builder.format.append_null();
        builder.error_code.append_value("DECODE-001");
        builder.error_message.append_value("x");
    }
    file::encode(&QUARANTINE, &builder.finish().unwrap(), &[0, 1, 2]).unwrap()
}
