//! Whatever call of the store fails, and however: an append ends exact, its rows and its position once; so does a command
//! that is given again.
#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    clippy::panic,
    reason = "test code; the helpers at the foot are outside the tests"
)]

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use daybook_ledger::price::{Book, Sheet, Valuation};
use daybook_ledger::schema::{QUARANTINE, QuarantineBuilder};
use daybook_ledger::testing::{self, Fault, FaultyStore, at_every_call, call};
use daybook_ledger::{
    Commit, CommitOutcome, Date, Error, Evidence, EvidenceKind, Instant, Ledger, NextOffset, PositionChange, Root,
    Table, file,
};
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

const SHEET: &str = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n\
    acme,m,2026-01-01,,input,7,contract\n";

/// Commands that add rows in one commit. None of them remembers where it was: the ledger tells.
#[derive(Clone, Copy, Debug)]
enum Command {
    Record,
    ImportPrices,
    Reprice,
}

impl Command {
    async fn run(self, ledger: &Ledger, at: i64) -> Result<(), Box<dyn std::error::Error>> {
        let now = Instant::from_micros(1_795_200_000_000_000 + at);
        let book = Book::read_csv(SHEET.as_bytes(), "contract")?;
        match self {
            Self::Record => {
                let kinds = [EvidenceKind::Audit, EvidenceKind::Export];
                let fact = |kind| Evidence::new(kind, Date::parse("2026-11-20").unwrap());
                let facts = kinds.map(|kind| Evidence { note: Some("found".into()), ..fact(kind) });
                ledger.record(&facts, now).await?;
            }
            Self::ImportPrices => {
                book.store(ledger, Sheet { name: "contract", bytes: SHEET.as_bytes(), imported_at: now }).await?;
            }
            Self::Reprice => {
                book.value(ledger, &Valuation { name: "contract", from: None, to: None, created_at: now }).await?;
            }
        }
        Ok(())
    }

    /// What is in the ledger once it ran, however often.
    async fn check(self, ledger: &Ledger, struck: &[String]) {
        let told = match self {
            Self::Record => ids(ledger.evidence()).await,
            Self::Reprice => ids(ledger.valuations()).await,
            // A sheet that is there twice says the same twice.
            Self::ImportPrices => {
                let book = Book::load(ledger).await.unwrap();
                book.rows().filter(|row| row.provider == "acme").map(|row| row.model.clone().into_bytes()).collect()
            }
        };
        let expected = match self {
            Self::Record => 2,
            Self::ImportPrices => 1,
            Self::Reprice => 3,
        };
        let mut once = told.clone();
        once.dedup();
        assert_eq!((told.len(), once.len()), (expected, expected), "{self:?} {struck:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_under_a_fault_at_every_call_and_given_again_is_done_once() {
    let memory = Arc::new(InMemory::new());
    let ledger = Ledger::create_at(Root { store: Arc::clone(&memory) as _, ..Root::memory() }).await.unwrap();
    let made = |id| (call(id, "acme", "m", "red", "2026-11-20T10:00:00Z", (5, 1)), None);
    testing::append(&ledger, "b1", &["a", "b", "c"].map(made)).await;
    let base = memory.fork();
    for command in [Command::Record, Command::ImportPrices, Command::Reprice] {
        at_every_call(
            &base,
            async |store| {
                let Ok(ledger) = Ledger::create_at(store.root()).await else { return };
                command.run(&ledger, 1).await.ok();
            },
            async |ledger, struck| {
                command.run(&ledger, 2).await.unwrap();
                command.check(&ledger, &struck).await;
            },
        )
        .await;
    }
}

/// The entries the rows of `table` are about, sorted.
async fn ids(table: &Table) -> Vec<Vec<u8>> {
    let mut ids = Vec::new();
    for file in table.load(None).await.unwrap().files() {
        ids.extend(table.load_entry_ids(&file).await.unwrap().into_iter().map(|id| id.0.to_vec()));
    }
    ids.sort_unstable();
    ids
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
