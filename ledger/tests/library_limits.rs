//! What delta-rs 1.1, `object_store` 0.13, Parquet and DataFusion 55 do *not* protect a ledger from.
//!
//! Each test uses a library as any program might and shows one way in which numbers get lost, doubled or changed without
//! an error. Its doc says why that matters here and which code of ours stands against it. None of them is a wish: a test
//! that fails says that an upgrade changed the library, for better or worse. Look at the guard it names, then at the test.
//!
//! Left out, because a test could not show it: that `LocalFileSystem` syncs nothing. Only a power loss or the kernel sees
//! that; [`a_local_store_cannot_be_told_to_sync`] notices at least when the setting arrives.
#![expect(clippy::unwrap_used, reason = "test code; the helpers at the foot are outside the tests")]

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use datafusion::prelude::{SessionConfig, SessionContext};
use daybook_ledger::schema::{QUARANTINE, QuarantineBuilder};
use daybook_ledger::testing::{Call, Fault, FaultyStore};
use daybook_ledger::{
    Commit, CommitOutcome, Error, Ledger, NextOffset, PositionChange, Root, TableVersion, Tokens, Usd, file,
};
use deltalake::kernel::transaction::{CommitBuilder, CommitConflictError, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add, DataType, PrimitiveType, Transaction};
use deltalake::logstore::{StorageConfig, default_logstore};
use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest as _, Sha256};
use tokio::sync::Barrier;
use url::Url;

/// Two optimizes that start from one snapshot both succeed, and every row is there twice.
///
/// The conflict checker ignores files that were removed without a change of data, so the second does not notice that its
/// input is gone. Every sum over the table doubles, silently.
///
/// Guard: Daybook never calls `optimize`; its own compaction is a commit without the library's retries, tried only on a
/// snapshot in which every input is live (`Table::try_maintain`, `ledger/src/table/rewrite.rs`). If this test fails, the
/// library refuses the second: a scheduled `optimize` by another program is then no longer a danger, say so in the docs.
#[tokio::test]
async fn two_optimizes_of_one_snapshot_double_every_row() {
    let table = two_files(memory(), &[]).await;
    table.clone().optimize().await.unwrap();
    table.clone().optimize().await.unwrap();
    assert_eq!(ids(&table).await, [0, 0, 1, 1, 2, 2, 3, 3]);
}

/// Of the commit properties given to it, `optimize` keeps the metadata; the application transaction and `max_retries(0)`
/// are dropped.
///
/// They are what would stop the second of two optimizes, so a caller cannot guard against the test above.
///
/// Guard: as above, Daybook never calls it. If this test fails, see whether properties alone now make an `optimize` safe.
#[tokio::test]
async fn optimize_drops_the_transaction_and_the_retry_limit() {
    let table = two_files(memory(), &[]).await;
    write(&table, 4..6).await.unwrap();
    let properties = CommitProperties::default()
        .with_metadata([("note".to_owned(), "kept".into())])
        .with_application_transaction(Transaction::new("maintenance", 1))
        .with_max_retries(0);
    let (optimized, _) = table.clone().optimize().with_commit_properties(properties).await.unwrap();
    assert_eq!(
        (table.version(), optimized.version()),
        (Some(2), Some(4)),
        "`max_retries(0)` has refused a stale snapshot"
    );

    let committed = log_entry(&table, 4).await;
    assert!(committed.contains(r#""note":"kept""#), "{committed}");
    assert!(!committed.contains(r#""txn""#), "{committed}");
}

/// A commit can land and still be reported as an error; a writer that simply tries again writes its rows twice.
///
/// Any lost reply does it: a timeout, a connection cut after the bucket applied the put.
///
/// Guard: `Table::try_commit` takes every error as "unknown" and looks for its batch id in the log (`resolve_outcome`,
/// `ledger/src/table/commit.rs`). If this test fails, `resolve_outcome` may have become simpler, not unnecessary.
#[tokio::test]
async fn a_commit_that_landed_can_report_an_error_and_a_retry_doubles_its_rows() {
    let store = FaultyStore::memory();
    let table = new_table(store.clone(), &[]).await;
    store.fail_once(Call::Put, ".json", Fault::LoseReply);
    write(&table, 0..2).await.unwrap_err();
    assert_eq!(ids(&table).await, [0, 1], "it landed");

    write(&table, 0..2).await.unwrap();
    assert_eq!(ids(&table).await, [0, 0, 1, 1]);
}

/// When the store's own retry finds the object its first attempt made, delta-rs believes that a rival won the version and
/// commits the same files again at the next one.
///
/// `object_store` retries a put that got a 5xx or no reply even if it is conditional. Readers see the files once, because
/// they have one path; change feeds, history and everything that counts rows per commit see them twice.
///
/// Guard: `quiet` sets `max_retries(0)` and `resolve_outcome` finds the batch id (`ledger/src/table/commit.rs`). If this test
/// fails, the library recognises its own commit: keep the guard, other writers of the table may not.
#[tokio::test]
async fn a_retry_inside_the_store_makes_delta_rs_commit_the_same_files_twice() {
    let store = FaultyStore::memory();
    let table = new_table(store.clone(), &[]).await;
    store.fail_once(Call::Put, ".json", Fault::FindItself);
    let version = commit(&table, CommitProperties::default(), "a.parquet").await.unwrap();
    assert_eq!(version, 2);
    for version in [1, 2] {
        assert!(log_entry(&table, version).await.contains("a.parquet"), "version {version}");
    }
}

/// With an application transaction, the same accident is a conflict with oneself: an error although the commit landed.
///
/// Guard: as for [`a_commit_that_landed_can_report_an_error_and_a_retry_doubles_its_rows`].
#[tokio::test]
async fn a_retry_inside_the_store_makes_a_commit_conflict_with_itself() {
    let store = FaultyStore::memory();
    let table = new_table(store.clone(), &[]).await;
    store.fail_once(Call::Put, ".json", Fault::FindItself);
    let properties = CommitProperties::default().with_application_transaction(Transaction::new("p0", 5));
    let error = commit(&table, properties, "a.parquet").await.unwrap_err();
    let conflict = TransactionError::CommitConflict(CommitConflictError::ConcurrentTransaction);
    assert_eq!(error.to_string(), DeltaTableError::from(conflict).to_string());
    assert_eq!(position(&table, "p0").await, Some(5), "it landed");
}

/// A checkpoint that cannot be written fails the commit before it, which landed.
///
/// Guard: `quiet` turns the hook off (`ledger/src/table/commit.rs`), and `checkpoint_if_due` reports a failed checkpoint
/// and forgets it (`ledger/src/table/checkpoint.rs`). If this test fails, hooks no longer decide about a commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_fails_the_commit_that_landed() {
    let store = FaultyStore::memory();
    let table = new_table(store.clone(), &[("delta.checkpointInterval", "1")]).await;
    store.fail_always(Call::Put, ".checkpoint.", Fault::Refuse);
    commit(&table, CommitProperties::default(), "a.parquet").await.unwrap_err();
    assert_eq!(reload(&table).await.version(), Some(1), "it landed");
}

/// Our guard for the tests above: whatever became of the reply, a batch lands once and is reported as committed.
///
/// Not about a library: if this test fails, `Table::try_commit` is broken.
#[tokio::test]
async fn a_lost_reply_is_settled_by_reading_the_log() {
    for fault in [Fault::LoseReply, Fault::FindItself] {
        let store = FaultyStore::memory();
        let root = store.root();
        let ledger = Ledger::create_at(root).await.unwrap();
        let table = ledger.usage();
        let mut snapshot = table.load(None).await.unwrap();
        table.load_position(&mut snapshot, "p0").await.unwrap();
        let positions = vec![PositionChange { app_id: "p0".into(), from: None, to: NextOffset(5) }];
        let batch = Commit { batch_id: "b1".into(), files: Vec::new(), positions, counts: Vec::new() };

        store.fail_once(Call::Put, ".json", fault);
        let outcome = table.try_commit(&mut snapshot, &batch).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { version: TableVersion(1) }), "{outcome:?}");
        assert_eq!(table.load(None).await.unwrap().version(), TableVersion(1));
    }
}

/// An application transaction that goes back, or stays, is accepted on a fresh snapshot; the newest entry counts.
///
/// The version is a Kafka position here: a worker that replays a batch after a restart would add its rows again and move
/// the position back, and the rows after it would come a third time.
///
/// Guard: `fenced` (`ledger/src/table/commit.rs`) compares the position in the snapshot with the one the batch starts
/// from. If this test fails, the library checks it too; ours also refuses gaps, so keep it.
#[tokio::test]
async fn a_transaction_version_may_repeat_or_go_back() {
    let table = new_table(memory(), &[]).await;
    for (version, path) in [(5, "a.parquet"), (5, "b.parquet"), (3, "c.parquet")] {
        let properties = CommitProperties::default().with_application_transaction(Transaction::new("p0", version));
        commit(&reload(&table).await, properties, path).await.unwrap();
        assert_eq!(position(&table, "p0").await, Some(version));
    }
    assert_eq!(reload(&table).await.snapshot().unwrap().log_data().num_files(), 3);
}

/// By default a commit on a stale snapshot is moved to the newest version; with `max_retries(0)` it is refused.
///
/// A comparison of positions says nothing about a snapshot that the commit was not built on.
///
/// Guard: `quiet` sets `max_retries(0)` (`ledger/src/table/commit.rs`). If this test fails in its second half, that guard
/// is gone: nothing else keeps two workers from adding the same messages.
#[tokio::test]
async fn a_stale_snapshot_is_refused_only_without_retries() {
    let stale = new_table(memory(), &[]).await;
    commit(&stale, CommitProperties::default(), "a.parquet").await.unwrap();
    assert_eq!(commit(&stale, CommitProperties::default(), "b.parquet").await.unwrap(), 2);

    let error = commit(&stale, CommitProperties::default().with_max_retries(0), "c.parquet").await.unwrap_err();
    let refused = matches!(&error, DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(0) });
    assert!(refused, "{error:?}");
    assert_eq!(reload(&stale).await.version(), Some(2));
}

/// A commit writes checkpoints and deletes expired log entries, unless the table and the commit say otherwise.
///
/// An auditor needs every entry of the log: it holds the batch ids, the counts and the digests of the files. Both hooks
/// can also fail a commit that landed.
///
/// Guard: `quiet` turns both off for our commits (`ledger/src/table/commit.rs`), `delta.enableExpiredLogCleanup=false`
/// and ten years of `delta.logRetentionDuration` for those of others (`Table::creation`, `ledger/src/table/mod.rs`). If
/// this test fails, the defaults changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_deletes_the_expired_log_by_default() {
    let expired = [("delta.checkpointInterval", "2"), ("delta.logRetentionDuration", "interval 0 seconds")];
    let quiet = CommitProperties::default().with_create_checkpoint(false).with_cleanup_expired_logs(Some(false));
    for (properties, log) in [(CommitProperties::default(), (true, false)), (quiet, (false, true))] {
        let store = memory();
        let table = new_table(Arc::clone(&store), &expired).await;
        for path in ["a.parquet", "b.parquet", "c.parquet"] {
            // Expiry is strict and in milliseconds.
            tokio::time::sleep(Duration::from_millis(5)).await;
            commit(&reload(&table).await, properties.clone(), path).await.unwrap();
        }
        let exists = async |name: &str| store.head(&Path::from(format!("_delta_log/{name}"))).await.is_ok();
        let found =
            (exists("00000000000000000003.checkpoint.parquet").await, exists("00000000000000000000.json").await);
        assert_eq!(found, log, "(checkpoint, first entry)");
    }
}

/// `object_store` 0.13 has no setting that makes the local store sync what it writes; 0.14 brings `with_fsync`.
///
/// Without a sync a commit is reported, Kafka's offset moves on, and a power loss leaves an empty file under the commit's
/// name. That nothing is synced can be read in its module `local` (no `sync_all` in it), not observed by a test.
///
/// Guard: `DurableFolder` (`ledger/src/store.rs`) syncs file and folder itself. If this test fails, the setting is there:
/// `DurableFolder` can become a call of it.
#[test]
fn a_local_store_cannot_be_told_to_sync() {
    /// A method of the type itself goes before one of a trait, so this one is called while there is no other.
    trait WithoutFsync: Sized {
        fn with_fsync(self, _: bool) -> Absent {
            Absent
        }
    }
    struct Absent;
    impl WithoutFsync for LocalFileSystem {}

    let found = std::any::type_name_of_val(&LocalFileSystem::new().with_fsync(true));
    assert_eq!(found, std::any::type_name::<Absent>(), "LocalFileSystem::with_fsync has arrived");
}

/// A byte that flips in a data file is read as another value, without an error.
///
/// parquet-rs writes no page checksums, so no reader could notice; here a token count or a cost would change. The file is
/// one of ours: compression does not notice either.
///
/// Guard: `file::encode` (`ledger/src/file/mod.rs`) takes the SHA-256 of each file, `Table::store_file` keeps it in the
/// commit. If this test fails, Parquet pages carry checksums: readers of other tools are then protected too.
#[tokio::test]
async fn a_flipped_byte_is_read_without_an_error_and_changes_the_digest() {
    let rows = quarantined(&["one", "two", "three"]);
    let whole = file::encode(&QUARANTINE, &rows, &[0, 1, 2]).unwrap().remove(0);
    let truth = read_parquet(whole.bytes.clone()).unwrap();
    let flipped = (4..whole.bytes.len())
        .map(|at| {
            let mut bytes = whole.bytes.to_vec();
            bytes[at] ^= 1;
            Bytes::from(bytes)
        })
        .find(|bytes| {
            read_parquet(bytes.clone())
                .is_ok_and(|rows| rows.iter().map(RecordBatch::num_rows).eq([3]) && rows != truth)
        });
    let flipped = flipped.expect("a flip that changes rows without an error");
    assert_ne!(file::hex(&Sha256::digest(&flipped)), whole.sha256);

    // Reading through the ledger is no different: the digest has to be checked, it does not check itself.
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let table = ledger.quarantine();
    let mut snapshot = table.load(None).await.unwrap();
    let files = vec![table.store_file(&whole, "b1", 0).await.unwrap()];
    let batch = Commit { batch_id: "b1".into(), files, positions: Vec::new(), counts: Vec::new() };
    assert!(matches!(table.try_commit(&mut snapshot, &batch).await.unwrap(), CommitOutcome::Committed { .. }));
    let stored = &snapshot.files()[0];
    assert_eq!(table.load_batches(stored).await.unwrap(), truth);
    table.store().put(&Path::from(stored.path.as_str()), flipped.into()).await.unwrap();
    assert_ne!(table.load_batches(stored).await.unwrap(), truth);
    assert_eq!(stored.sha256.as_ref(), Some(&whole.sha256));
}

/// `delta.appendOnly` refuses to delete and to overwrite rows, but restores an older version, which loses the newer rows.
///
/// Guard: the property is set for other programs (`Table::creation`, `ledger/src/table/mod.rs`) but proves nothing; Daybook
/// itself takes a file from view only for others with the same rows (`ledger/src/table/rewrite.rs`). If this test fails in
/// its second half, the property has become worth more.
#[tokio::test]
async fn an_append_only_table_refuses_to_delete_but_not_to_restore() {
    let table = two_files(memory(), APPEND_ONLY).await;
    let error = table.clone().delete().await.unwrap_err();
    assert!(error.to_string().contains("append-only"), "{error}");
    let overwrite = table.clone().write([batch(7..8)]).with_save_mode(SaveMode::Overwrite).await;
    assert!(overwrite.unwrap_err().to_string().contains("append-only"));

    table.clone().restore().with_version_to_restore(1).await.unwrap();
    assert_eq!(ids(&table).await, [0, 1]);
}

/// `delta.appendOnly` lets `optimize` replace files and `vacuum` delete them at once: older versions are then unreadable.
///
/// A bundle names the version it was taken from; after this it cannot be checked again.
///
/// Guard: Daybook calls neither; `delta.deletedFileRetentionDuration` of 30 days (`Table::creation`,
/// `ledger/src/table/mod.rs`) makes other programs ask for it by hand. If this test fails, the property has become worth
/// more.
#[tokio::test]
async fn an_append_only_table_can_be_vacuumed_until_its_history_is_gone() {
    let table = two_files(memory(), APPEND_ONLY).await;
    let (optimized, _) = table.clone().optimize().await.unwrap();
    assert_eq!(scan(&table).await.unwrap(), [0, 1, 2, 3], "version 2 before");
    // A file counts as old from the millisecond after its removal.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let vacuum = optimized.vacuum().with_retention_period(chrono::Duration::zero());
    let (_, done) = vacuum.with_enforce_retention_duration(false).await.unwrap();
    assert_eq!(done.files_deleted.len(), 2);
    assert_eq!(ids(&table).await, [0, 1, 2, 3]);
    assert!(scan(&table).await.is_err(), "version 2 can still be read");
}

/// `delta.appendOnly` can be switched off by a commit, after which rows can be deleted.
///
/// Guard: none in the table. What a ledger held is proven from outside: a bundle's digests and row counts. If this test
/// fails, the property has become worth more.
#[tokio::test]
async fn an_append_only_table_can_be_told_not_to_be() {
    let table = two_files(memory(), APPEND_ONLY).await;
    let off = HashMap::from([("delta.appendOnly".to_owned(), "false".to_owned())]);
    let table = table.set_tbl_properties().with_properties(off).await.unwrap();
    table.clone().delete().await.unwrap();
    assert!(ids(&table).await.is_empty());
}

/// `vacuum` in full mode takes a file that was stored for a commit still to come for garbage.
///
/// A file is stored before its commit names it. Deleted in between, the commit would name a file that is not there.
///
/// Guard: the time from `Table::store_file` (`ledger/src/table/commit.rs`) to the commit is seconds,
/// `delta.deletedFileRetentionDuration` is 30 days (`Table::creation`, `ledger/src/table/mod.rs`). If this test fails,
/// `vacuum` got another idea of what is garbage.
#[tokio::test]
async fn a_full_vacuum_lists_a_file_whose_commit_is_still_to_come() {
    let store = memory();
    let table = two_files(Arc::clone(&store), &[]).await;
    store.put(&Path::from("stored-not-committed.parquet"), "rows".into()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let vacuum = table.vacuum().with_mode(VacuumMode::Full).with_dry_run(true);
    let vacuum = vacuum.with_retention_period(chrono::Duration::zero()).with_enforce_retention_duration(false);
    let (_, plan) = vacuum.await.unwrap();
    assert_eq!(plan.files_deleted, ["stored-not-committed.parquet"]);
}

/// On a store whose conditional put checks first and writes then, two commits both win one version; one is lost.
///
/// `object_store` and delta-rs trust the store. S3-compatible servers exist that do this.
///
/// Guard: `Root::check_put_if_absent` (`ledger/src/store.rs`), which `Ledger::create_at` runs before it makes a ledger;
/// see the next test. If this test fails, the library checks it too.
#[tokio::test]
async fn a_store_that_is_not_atomic_loses_a_commit_without_an_error() {
    let store = FaultyStore::memory();
    let table = new_table(store.clone(), &[]).await;
    store.fail_always(Call::Put, "", Fault::CheckThenWrite(Arc::new(Barrier::new(2))));
    let (one, two) = tokio::join!(
        commit(&table, CommitProperties::default(), "a.parquet"),
        commit(&table, CommitProperties::default(), "b.parquet"),
    );
    assert_eq!((one.unwrap(), two.unwrap()), (1, 1));
    assert_eq!(reload(&table).await.snapshot().unwrap().log_data().num_files(), 1);
}

/// Our guard for the test above: such a store is refused before a ledger is made on it.
///
/// Not about a library: if this test fails, `Root::check_put_if_absent` is broken.
#[tokio::test]
async fn a_store_that_is_not_atomic_is_refused() {
    let store = FaultyStore::memory();
    store.fail_always(Call::Put, "", Fault::CheckThenWrite(Arc::new(Barrier::new(8))));
    let root = store.root();
    let refused = root.check_put_if_absent("race", 8).await;
    assert!(matches!(refused, Err(Error::NotAtomic { winners: 8, racers: 8, .. })), "{refused:?}");

    let refused = Ledger::create_at(root).await;
    assert!(matches!(refused, Err(Error::NotAtomic { .. })), "{refused:?}");
    assert!(store.inner().list(None).try_collect::<Vec<_>>().await.unwrap().is_empty(), "nothing is left behind");
}

/// `SUM` wraps on overflow, of integers and of decimals, without an error.
///
/// A wrapped total is a plausible number with the wrong sign or size.
///
/// Guard: `Tokens::EVENT_MAX` (`ledger/src/entry.rs`) and `Usd::EVENT_MAX` (`ledger/src/money.rs`) cap one event, so that
/// more events than a ledger can hold are needed. If this test fails, `SUM` refuses: the caps remain as a check of what is
/// plausible.
#[tokio::test]
async fn a_sum_wraps_without_an_error() {
    let integers = format!("SELECT sum(n) FROM (VALUES ({}), (1)) AS t(n)", i64::MAX);
    assert_eq!(query(&integers).await.unwrap(), i64::MIN.to_string());
    const { assert!(i64::MAX / Tokens::EVENT_MAX > 90_000_000_000, "events that can be summed") };

    let decimals = format!("SELECT sum(n) < 0 FROM (VALUES ({LARGEST}), ({LARGEST})) AS t(n)");
    assert_eq!(query(&decimals).await.unwrap(), "true");
    assert!(
        10_i128.pow(38) / Usd::EVENT_MAX.pico() >= 10_i128.pow(20),
        "events of the largest size that can be summed"
    );
}

/// Arithmetic on integers wraps as well; on decimals it is refused.
///
/// Guard: as above; money is decimal. If this test fails in its first half, integers have become safe.
#[tokio::test]
async fn arithmetic_wraps_integers_and_refuses_decimals() {
    let integers = format!("SELECT n + 1 FROM (VALUES ({})) AS t(n)", i64::MAX);
    assert_eq!(query(&integers).await.unwrap(), i64::MIN.to_string());
    let decimals = query(&format!("SELECT n + n FROM (VALUES ({LARGEST})) AS t(n)")).await;
    assert!(decimals.unwrap_err().to_string().contains("overflow"));
}

/// A decimal of more digits than its type has is printed without the last ones, as a smaller number.
///
/// A sum gets there before it wraps: twice 6 * 10^37 is printed as 1.2 * 10^37, and is that once cast to text.
///
/// Guard: as above. If this test fails, such a number is printed whole or refused.
#[tokio::test]
async fn a_decimal_of_too_many_digits_is_printed_without_the_last() {
    let large = format!("'6{}'::decimal(38, 0)", "0".repeat(37));
    for sum in ["sum(n)", "sum(n)::text"] {
        let printed = query(&format!("SELECT {sum} FROM (VALUES ({large}), ({large})) AS t(n)")).await.unwrap();
        assert_eq!(printed, format!("12{}", "0".repeat(36)), "{sum}");
    }
}

/// A literal such as `0.1` is a binary fraction unless a setting says otherwise.
///
/// `list_cost * 1.1` would turn exact dollars into approximate ones.
///
/// Guard: Daybook's session sets `sql_parser.parse_float_as_decimal` (`queries/src/session.rs`). If this test fails, decimals have become the
/// default.
#[tokio::test]
async fn a_literal_with_a_point_is_binary_unless_told_otherwise() {
    let sum = "SELECT 0.1 + 0.2";
    assert_eq!(query(sum).await.unwrap(), "0.30000000000000004");
    let exact = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    assert_eq!(query_in(&SessionContext::new_with_config(exact), sum).await.unwrap(), "0.3");
}

/// The largest number of 38 digits, in SQL.
const LARGEST: &str = "'99999999999999999999999999999999999999'::decimal(38, 0)";

const APPEND_ONLY: &[(&str, &str)] = &[("delta.appendOnly", "true")];

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

/// An empty table of one column, `id`, at the root of `store`.
async fn new_table(store: impl ObjectStore, properties: &[(&str, &str)]) -> DeltaTable {
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let url = Url::parse("memory:///").unwrap();
    let log = default_logstore(Arc::clone(&store), store, &url, &StorageConfig::default());
    let create = DeltaTable::new(log).create().with_column("id", DataType::Primitive(PrimitiveType::Long), false, None);
    create.with_configuration(properties.iter().map(|(name, value)| (*name, Some(*value)))).await.unwrap()
}

/// A table at version 2, with the rows 0 and 1 in one file and 2 and 3 in another.
async fn two_files(store: Arc<dyn ObjectStore>, properties: &[(&str, &str)]) -> DeltaTable {
    let table = new_table(store, properties).await;
    let table = write(&table, 0..2).await.unwrap();
    write(&table, 2..4).await.unwrap()
}

async fn write(table: &DeltaTable, ids: Range<i64>) -> Result<DeltaTable, DeltaTableError> {
    table.clone().write([batch(ids)]).await
}

fn batch(ids: Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from_iter_values(ids)) as _)]).unwrap()
}

/// Commits a file of that name, which need not be there, on the snapshot `table` has.
async fn commit(table: &DeltaTable, properties: CommitProperties, path: &str) -> Result<u64, DeltaTableError> {
    let add = serde_json::json!({
        "path": path, "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": true
    });
    let add: Add = serde_json::from_value(add).unwrap();
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    let commit = CommitBuilder::from(properties).with_actions(vec![Action::Add(add)]);
    let done = commit.build(Some(table.snapshot().unwrap()), table.log_store(), operation).await?;
    Ok(done.version())
}

/// `table` at its newest version.
async fn reload(table: &DeltaTable) -> DeltaTable {
    let mut table = DeltaTable::new(table.log_store());
    table.load().await.unwrap();
    table
}

/// The ids in the newest version, in order.
async fn ids(table: &DeltaTable) -> Vec<i64> {
    scan(&reload(table).await).await.unwrap()
}

/// The ids in the version `table` is at, in order.
async fn scan(table: &DeltaTable) -> Result<Vec<i64>, Box<dyn std::error::Error>> {
    let (_, rows) = table.scan_table().await?;
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let columns = batches.iter().filter_map(|batch| batch.columns().first()?.as_primitive_opt::<Int64Type>());
    let mut ids: Vec<i64> = columns.flat_map(|column| column.values().iter().copied()).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The version of `app_id`'s last transaction.
async fn position(table: &DeltaTable, app_id: &str) -> Option<i64> {
    let table = reload(table).await;
    table.snapshot().unwrap().transaction_version(table.log_store().as_ref(), app_id).await.unwrap()
}

async fn log_entry(table: &DeltaTable, version: u64) -> String {
    let entry = table.log_store().read_commit_entry(version).await.unwrap().unwrap();
    String::from_utf8(entry.to_vec()).unwrap()
}

fn quarantined(values: &[&str]) -> RecordBatch {
    let mut builder = QuarantineBuilder::default();
    for (offset, value) in (0..).zip(values) {
        builder.event_date.append_value(20_000);
        builder.batch_id.append_value("b1");
        builder.quarantined_at.append_value(1_795_170_000_000_000);
        builder.topic.append_value("ai-usage");
        builder.kafka_partition.append_value(0);
        builder.kafka_offset.append_value(offset);
        builder.kafka_timestamp.append_null();
        builder.key.append_null();
        builder.value.append_value(value);
        builder.headers.append(true).unwrap();
        builder.format.append_null();
        builder.error_code.append_value("DECODE-001");
        builder.error_message.append_value("not JSON");
    }
    builder.finish().unwrap()
}

fn read_parquet(bytes: Bytes) -> Result<Vec<RecordBatch>, Box<dyn std::error::Error>> {
    Ok(ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?.collect::<Result<_, _>>()?)
}

/// The answer to `sql` in a session with DataFusion's defaults.
async fn query(sql: &str) -> datafusion::error::Result<String> {
    query_in(&SessionContext::new(), sql).await
}

/// The first value of the first row, as text.
async fn query_in(session: &SessionContext, sql: &str) -> datafusion::error::Result<String> {
    let batches = session.sql(sql).await?.collect().await?;
    let batch = batches.first().unwrap();
    Ok(array_value_to_string(batch.column(0), 0)?)
}
