use arrow::array::{DictionaryArray, RecordBatch};
use arrow::datatypes::Int32Type;

use super::*;
use crate::schema::{QUARANTINE, QuarantineBuilder, USAGE};
use crate::{Date, Ledger, NextOffset, Root, file, testing};

async fn ledger() -> Ledger {
    Ledger::create_at(Root::memory()).await.unwrap()
}

async fn commit(table: &Table, batch_id: &str, rows: i64, from: Option<i64>, to: i64) -> Commit {
    let mut builder = QuarantineBuilder::default();
    for offset in 0..rows {
        builder.event_date.append_value(20_000);
        builder.batch_id.append_value(batch_id);
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
    let keep: Vec<u32> = (0..u32::try_from(rows).unwrap()).collect();
    let mut files = Vec::new();
    for (index, file) in file::encode(&QUARANTINE, &builder.finish().unwrap(), &keep).unwrap().iter().enumerate() {
        files.push(table.store_file(file, batch_id, index).await.unwrap());
    }
    let positions = vec![PositionChange { app_id: APP.into(), from: from.map(NextOffset), to: NextOffset(to) }];
    Commit { batch_id: batch_id.into(), files, positions, counts: Vec::new() }
}

const APP: &str = "ledger/c/t/0";

#[tokio::test]
async fn a_snapshot_far_behind_catches_up_with_every_version() {
    let ledger = ledger().await;
    let table = ledger.quarantine();
    let (mut behind, mut writer) = (table.load(None).await.unwrap(), table.load(None).await.unwrap());
    for at in 0..100 {
        let batch = commit(table, &format!("b{at}"), 1, (at > 0).then_some(at), at + 1).await;
        assert!(matches!(table.try_commit(&mut writer, &batch).await.unwrap(), CommitOutcome::Committed { .. }));
    }
    let came = table.refresh(&mut behind).await.unwrap();
    assert_eq!(came.iter().map(|(_, version)| version.0).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(
        (behind.version(), behind.news().len(), behind.position(APP)),
        (writer.version(), 100, Some(NextOffset(100)))
    );
    assert!(table.refresh(&mut behind).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_and_positions_land_in_one_commit() {
    let ledger = ledger().await;
    let table = ledger.quarantine();
    let mut snapshot = table.load(None).await.unwrap();
    assert_eq!(table.load_position(&mut snapshot, APP).await.unwrap(), None);

    let batch = commit(table, "b1", 3, None, 3).await;
    assert!(matches!(table.try_commit(&mut snapshot, &batch).await.unwrap(), CommitOutcome::Committed { .. }));

    let mut fresh = table.load(None).await.unwrap();
    assert_eq!(table.load_position(&mut fresh, APP).await.unwrap(), Some(NextOffset(3)));
    let files = fresh.files();
    assert_eq!(files.len(), 1);
    assert_eq!((files[0].rows, files[0].date, files[0].batch_id.as_deref()), (3, Date::from_days(20_000), Some("b1")));
    assert_eq!(files[0].sha256.as_ref().map(String::len), Some(64));
}

#[tokio::test]
async fn a_batch_whose_positions_moved_is_fenced() {
    let ledger = ledger().await;
    let table = ledger.quarantine();
    let mut ours = table.load(None).await.unwrap();
    let mut theirs = table.load(None).await.unwrap();
    table.load_position(&mut ours, APP).await.unwrap();
    table.load_position(&mut theirs, APP).await.unwrap();
    let first = commit(table, "theirs", 1, None, 1).await;
    assert!(matches!(table.try_commit(&mut theirs, &first).await.unwrap(), CommitOutcome::Committed { .. }));

    let second = commit(table, "ours", 1, None, 1).await;
    let outcome = table.try_commit(&mut ours, &second).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Fenced { app_ids } if app_ids == [APP]));
    assert_eq!(table.load(None).await.unwrap().files().len(), 1);
}

#[tokio::test]
async fn a_lost_race_tells_what_the_winner_added() {
    let ledger = ledger().await;
    let table = ledger.quarantine();
    let mut ours = table.load(None).await.unwrap();
    let mut theirs = table.load(None).await.unwrap();
    let mut first = commit(table, "theirs", 2, None, 1).await;
    first.positions.clear();
    assert!(matches!(table.try_commit(&mut theirs, &first).await.unwrap(), CommitOutcome::Committed { .. }));

    let second = commit(table, "ours", 1, None, 1).await;
    table.load_position(&mut ours, APP).await.unwrap();
    assert!(matches!(table.try_commit(&mut ours, &second).await.unwrap(), CommitOutcome::Lost));
    let news: Vec<_> = ours.news().iter().map(|file| (file.batch_id.as_deref(), file.rows)).collect();
    assert_eq!(news, [(Some("theirs"), 2)]);
    assert!(matches!(table.try_commit(&mut ours, &second).await.unwrap(), CommitOutcome::Committed { .. }));
}

#[tokio::test]
async fn a_commit_that_landed_unseen_is_recognised() {
    let ledger = ledger().await;
    let table = ledger.quarantine();
    let mut stale = table.load(None).await.unwrap();
    table.load_position(&mut stale, APP).await.unwrap();
    let batch = commit(table, "b1", 1, None, 1).await;
    let mut landed = stale.clone();
    assert!(matches!(table.try_commit(&mut landed, &batch).await.unwrap(), CommitOutcome::Committed { .. }));

    // The reply was lost: the writer only knows the state before, and tries the same batch again.
    let again = table.try_commit(&mut stale, &batch).await.unwrap();
    assert!(matches!(again, CommitOutcome::Committed { version: TableVersion(1) }));
    assert_eq!(table.load(None).await.unwrap().version(), TableVersion(1));
}

#[tokio::test]
async fn versions_that_do_not_exist_are_named() {
    let ledger = ledger().await;
    let error = ledger.usage().load(Some(TableVersion(7))).await.unwrap_err();
    assert_eq!(error.to_string(), "table usage of memory:///ledger/ has no version 7; its last is 0");
}

#[tokio::test]
async fn creating_twice_changes_nothing() {
    let root = Root::memory();
    Ledger::create_at(root.clone()).await.unwrap();
    let ledger = Ledger::create_at(root).await.unwrap();
    for table in ledger.tables() {
        assert_eq!(table.load(None).await.unwrap().version(), TableVersion(0), "{}", table.spec().name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_cut_short_is_named_and_the_table_reads_without_it() {
    let ledger = ledger().await;
    let table = ledger.quarantine();
    let mut snapshot = table.load(None).await.unwrap();
    let batch = commit(table, "b1", 3, None, 3).await;
    assert!(matches!(table.try_commit(&mut snapshot, &batch).await.unwrap(), CommitOutcome::Committed { .. }));
    table.write_checkpoint(snapshot.version()).await.unwrap();

    let path = Table::checkpoint_path(snapshot.version());
    let whole = table.store().get(&path).await.unwrap().bytes().await.unwrap();
    table.store().put(&path, whole.slice(..whole.len() / 2).into()).await.unwrap();
    // Another process, which knows nothing of the table yet.
    let table = &Table::new(ledger.root(), table.spec()).unwrap();
    for at in [None, Some(snapshot.version())] {
        let error = table.load(at).await.unwrap_err();
        assert!(
            matches!(&error, Error::DamagedCheckpoint { path: named, .. } if named.ends_with(path.as_ref())),
            "{error:?}"
        );
    }
    table.store().delete(&path).await.unwrap();
    assert!(matches!(table.load(None).await, Err(Error::DamagedCheckpoint { .. })), "the hint names it");
    table.store().delete(&Path::from("_delta_log/_last_checkpoint")).await.unwrap();
    assert_eq!(table.load(None).await.unwrap().files().len(), 1);
}

#[tokio::test]
async fn a_call_whose_status_only_a_later_version_knows_is_known() {
    let ledger = ledger().await;
    let entry = testing::call("a", "openai", "gpt-4o", "red", "2026-11-20T10:00:00Z", (5, 1));
    let (rows, _) = testing::rows("b1", &[(entry.clone(), None)]);
    let mut columns = rows.columns().to_vec();
    let status: DictionaryArray<Int32Type> = [Some("paused")].into_iter().collect();
    columns[rows.schema().index_of("status").unwrap()] = Arc::new(status);
    let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    let table = ledger.usage();
    let file = table.store_file(&file::encode(&USAGE, &rows, &[0]).unwrap()[0], "b1", 0).await.unwrap();
    let batch = Commit { batch_id: "b1".into(), files: vec![file], positions: Vec::new(), counts: Vec::new() };
    let mut snapshot = table.load(None).await.unwrap();
    assert!(matches!(table.try_commit(&mut snapshot, &batch).await.unwrap(), CommitOutcome::Committed { .. }));
    assert_eq!(table.load_completeness(&snapshot.files()[0]).await.unwrap(), [(entry.id(), 0)]);
}
