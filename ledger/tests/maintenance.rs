//! Maintenance beside writers, beside other maintainers, under faults and killed at any call: no row is lost or doubled.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::panic,
    reason = "test code; the helpers at the foot are outside the tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Decimal128Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use daybook_ledger::maintenance::{Erased, Keep, Maintained, Run, Settings, Wanted, erase, maintain};
use daybook_ledger::schema::{self, CONTENT, CONTENT_PARTIAL, QUARANTINE, USAGE};
use daybook_ledger::testing::{self, FaultyStore, at_every_call, call};
use daybook_ledger::{
    Body, Commit, CommitOutcome, Date, Entry, Error, FixedClock, Instant, Ledger, NextOffset, PositionChange, Root,
    Table, TableVersion, Usd, file,
};
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;

/// Everything may go at once.
const AT_ONCE: Settings = Settings {
    target_bytes: 128 << 20,
    keep: Keep { unnamed: Duration::ZERO, superseded: Duration::ZERO },
    content_days: None,
    quarantine_days: None,
};
/// Said in calls of `bob`, in every column of a body.
const SECRET: &str = "the-secret-of-bob";
#[tokio::test]
async fn a_question_for_the_time_that_another_run_collected_is_asked_again() {
    let (base, _) = in_memory().await;
    let store = FaultyStore::over(Arc::clone(&base) as Arc<dyn ObjectStore>);
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    append(&ledger, 0..12).await;
    let (clock, question) = (clock(), Path::from("ledger/usage/_time-a"));
    let run = Run::new("a", &clock, false);
    let mut running = Box::pin(maintain(&ledger, &["usage"], &AT_ONCE, &run));
    while base.head(&question).await.is_err() {
        assert!(store.advance(&mut running, 1).await.is_none(), "it never asks");
    }
    base.delete(&question).await.unwrap();
    store.advance(&mut running, u64::MAX).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_keeps_every_row_and_position() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..12).await;
    move_position(ledger.usage(), 7).await;
    let before = contents(&ledger).await;
    let files = ledger.usage().load(None).await.unwrap().files().len();

    let done = run(&ledger, &["usage", "content"], &Settings::default(), "a").await.unwrap();
    let usage = done.iter().find(|done| done.table == "usage").unwrap();
    assert_eq!((usage.compacted.files_before, usage.compacted.files_after), (files as u64, 2), "a file a day");
    assert_eq!((usage.compacted.rows, usage.compacted.duplicates), (12, 0));
    assert_eq!(contents(&ledger).await, before);

    let mut snapshot = ledger.usage().load(None).await.unwrap();
    assert_eq!(snapshot.files().len(), 2);
    let position = ledger.usage().load_position(&mut snapshot, "ledger/c/t/0").await.unwrap();
    assert_eq!(position, Some(NextOffset(7)));
    let statistics: serde_json::Value =
        serde_json::from_str(snapshot.files()[0].statistics.as_deref().unwrap()).unwrap();
    assert_eq!(statistics["numRecords"], 6);
    assert_eq!(statistics["minValues"]["team"], "red");
    assert_eq!(
        statistics["maxValues"]["input_tokens"].as_i64().unwrap() % 2,
        statistics["minValues"]["input_tokens"].as_i64().unwrap() % 2
    );

    let again = run(&ledger, &["usage", "content"], &Settings::default(), "b").await.unwrap();
    assert!(again.iter().all(|done| done.compacted.commits == 0), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_file_is_sorted_and_its_rows_are_in_its_commit() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..8).await;
    run(&ledger, &["usage"], &Settings::default(), "a").await.unwrap();
    let table = ledger.usage();
    let snapshot = table.load(None).await.unwrap();
    for file in snapshot.files() {
        let batches = table.load_batches(&file).await.unwrap();
        let teams: Vec<String> = batches
            .iter()
            .flat_map(|batch| batch.column_by_name("team").unwrap().as_string::<i32>().iter())
            .map(|team| team.unwrap().to_owned())
            .collect();
        assert!(teams.is_sorted(), "{teams:?}");
        let stored = table.load_whole(&file).await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(stored).unwrap();
        let columns = reader.metadata().row_group(0).columns();
        assert!(columns.iter().all(|column| column.compression() == Compression::UNCOMPRESSED), "four calls are small");
    }
    let entry = table.load_log_entry(snapshot.version()).await.unwrap().unwrap();
    assert_eq!(entry.maintenance.as_deref(), Some("compact"));
    assert!(!entry.changes_data, "readers of changes get no row twice");
    assert_eq!(entry.info["daybook.rows"], 4);
    assert!(entry.info["daybook.rows_digest"].as_str().unwrap().starts_with("arrow-row-1:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_be_done_and_changes_nothing() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..6).await;
    store_orphan(&ledger).await;
    let before = objects(&*store).await;
    let done = maintain(&ledger, &[], &AT_ONCE, &Run::new("a", &clock(), true)).await.unwrap();
    let usage = done.iter().find(|done| done.table == "usage").unwrap();
    assert_eq!((usage.compacted.commits, usage.compacted.files_before, usage.files_deleted), (2, 6, 1));
    assert_eq!(objects(&*store).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_maintainers_and_writers_at_once_lose_and_double_nothing() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..6).await;
    let writer = |first: usize| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for at in 0..5 {
                append_racing(&ledger, first + at).await;
            }
        })
    };
    let maintainer = |name: &'static str| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                run(&ledger, &["usage"], &AT_ONCE, &format!("{name}{round}")).await.unwrap();
            }
        })
    };
    let tasks = [writer(100), writer(200), maintainer("a"), maintainer("b"), maintainer("c")];
    for task in tasks {
        task.await.unwrap();
    }
    let expected: BTreeSet<String> = (0..6).chain(100..105).chain(200..205).map(|at| format!("call-{at}")).collect();
    let ids = event_ids(ledger.usage()).await;
    assert_eq!(ids.len(), expected.len(), "{ids:?}");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_killed_at_any_call_and_run_again_is_exact() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..4).await;
    store_orphan(&ledger).await;
    let before = contents(&ledger).await;
    let base = store.fork();
    at_every_call(
        &base,
        async |store| {
            let Ok(ledger) = Ledger::create_at(store.root()).await else { return };
            run(&ledger, &["usage"], &AT_ONCE, "killed").await.ok();
        },
        async |ledger, struck| {
            run(&ledger, &["usage"], &AT_ONCE, "again").await.unwrap();
            assert_eq!(contents(&ledger).await, before, "{struck:?}");
            let snapshot = ledger.usage().load(None).await.unwrap();
            assert_eq!(snapshot.files().len(), 2, "{struck:?}");
            let objects = data_files(&ledger, "usage").await;
            assert_eq!(objects.len(), 2, "no orphan stays: {objects:?} {struck:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_under_faults_by_seed_beside_writers_is_exact() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..4).await;
    for seed in 0..12 {
        let store = FaultyStore::over(Arc::new(store.fork()));
        store.fail_by_seed(seed, 40);
        for round in 0..4 {
            if let Ok(ledger) = Ledger::create_at(store.root()).await {
                run(&ledger, &["usage"], &AT_ONCE, &format!("s{seed}-{round}")).await.ok();
            }
            append_until_there(&store, 10 + round).await;
        }
        store.heal();
        let ledger = Ledger::create_at(store.root()).await.unwrap();
        let ids = event_ids(ledger.usage()).await;
        let expected: Vec<String> =
            (0..4).chain(10..14).map(|at| format!("call-{at}")).collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(ids, expected, "seed={seed} {:?}", store.struck());
    }
}

/// A writer whose files lay around for so long that they were collected must not make a commit that names them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_files_were_collected_is_refused_and_can_be_written_again() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..2).await;
    let table = ledger.usage();
    let mut slow = table.load(None).await.unwrap();
    let (batch, _) = testing::rows("slow", &[entry(50)]);
    let encoded = file::encode(table.spec(), &batch, &[0]).unwrap();
    let files = vec![table.store_file(&encoded[0], "slow", 0).await.unwrap()];
    let commit = Commit { batch_id: "slow".into(), files, positions: Vec::new(), counts: Vec::new() };

    run(&ledger, &["usage"], &AT_ONCE, "a").await.unwrap();
    let refused = table.try_commit(&mut slow, &commit).await.unwrap_err();
    assert!(matches!(refused, Error::FileGone { .. }), "{refused:?}");

    let files = vec![table.store_file(&encoded[0], "slow", 1).await.unwrap()];
    let commit = Commit { files, ..commit };
    assert!(matches!(table.try_commit(&mut slow, &commit).await.unwrap(), CommitOutcome::Committed { .. }));
    assert_eq!(event_ids(table).await, ["call-0", "call-1", "call-50"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_stay_for_as_long_as_is_said() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..6).await;
    store_orphan(&ledger).await;
    let settings = |unnamed, superseded| Settings { keep: Keep { unnamed, superseded }, ..AT_ONCE };
    let hour = Duration::from_secs(3600);
    run(&ledger, &["usage"], &settings(hour, hour), "a").await.unwrap();
    assert_eq!(data_files(&ledger, "usage").await.len(), 2 + 6 + 1, "new ones, old ones, the orphan");
    let old = ledger.usage().load(Some(TableVersion(6))).await.unwrap();
    assert_eq!(ledger.usage().load_batches(&old.files()[0]).await.unwrap()[0].num_rows(), 1);

    run(&ledger, &["usage"], &settings(Duration::ZERO, hour), "b").await.unwrap();
    assert_eq!(data_files(&ledger, "usage").await.len(), 2 + 6);
    run(&ledger, &["usage"], &settings(Duration::ZERO, Duration::ZERO), "c").await.unwrap();
    assert_eq!(data_files(&ledger, "usage").await.len(), 2);
    let gone = ledger.usage().load_batches(&old.files()[0]).await.unwrap_err();
    assert!(matches!(gone, Error::FileGone { .. }), "{gone:?}");
}

/// A clock that runs ahead must not make files look old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_years_ahead_deletes_nothing() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..6).await;
    store_orphan(&ledger).await;
    let ahead = FixedClock(Instant::parse("2099-01-01T00:00:00Z").unwrap());
    maintain(&ledger, &["usage"], &Settings::default(), &Run::new("a", &ahead, false)).await.unwrap();
    assert_eq!(data_files(&ledger, "usage").await.len(), 2 + 6 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_there_twice_is_kept_and_counted() {
    let (_, ledger) = in_memory().await;
    testing::append(&ledger, "b1", &[entry(1)]).await;
    testing::append(&ledger, "b2", &[entry(1)]).await;
    let done = run(&ledger, &["usage"], &Settings::default(), "a").await.unwrap();
    assert_eq!((done[0].compacted.rows, done[0].compacted.duplicates), (2, 1));
    assert_eq!(event_ids(ledger.usage()).await, ["call-1", "call-1"]);
}

/// A flipped byte must not become part of a new file with a digest of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_not_compacted() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..4).await;
    let table = ledger.usage();
    let file = table.load(None).await.unwrap().files().remove(0);
    let path = Path::from(file.path.as_str());
    let mut bytes = table.store().get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    table.store().put(&path, bytes.into()).await.unwrap();
    let refused = run(&ledger, &["usage"], &Settings::default(), "a").await.unwrap_err();
    assert!(matches!(refused, Error::DamagedFile { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_written_and_old_ones_go_but_the_log_stays() {
    let (store, ledger) = in_memory().await;
    for round in 0..5 {
        append(&ledger, round * 10..round * 10 + 10).await;
        run(&ledger, &["usage"], &Settings::default(), &format!("r{round}")).await.unwrap();
    }
    let all = objects(&*store).await;
    let checkpoints =
        all.keys().filter(|path| path.contains("usage/") && path.ends_with(".checkpoint.parquet")).count();
    assert_eq!(checkpoints, 3);
    let version = ledger.usage().load(None).await.unwrap().version().0;
    let commits = all.keys().filter(|path| path.contains("usage/_delta_log/") && path.ends_with(".json")).count();
    assert_eq!(commits as u64, version + 1, "every version of the log");
    let mut snapshot = ledger.usage().load(None).await.unwrap();
    move_position(ledger.usage(), 9).await;
    ledger.usage().refresh(&mut snapshot).await.unwrap();
    ledger.usage().load_all_positions(&mut snapshot).await.unwrap();
    assert_eq!(snapshot.position("ledger/c/t/0"), Some(NextOffset(9)));

    // An older state has the positions of its time, although the newest checkpoint is after it.
    append(&ledger, 50..60).await;
    run(&ledger, &["usage"], &Settings::default(), "later").await.unwrap();
    assert!(ledger.usage().last_checkpoint().await.unwrap() > Some(TableVersion(version + 1)));
    for (at, expected) in [(version, None), (version + 1, Some(NextOffset(9)))] {
        let mut old = ledger.usage().load(Some(TableVersion(at))).await.unwrap();
        let found = ledger.usage().load_position(&mut old, "ledger/c/t/0").await.unwrap();
        assert_eq!(found, expected, "at version {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_body_is_nowhere_and_numbers_stay() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..8).await;
    // Files of older versions, of lost batches and compacted ones hold the body too.
    run(&ledger, &["content"], &Settings::default(), "a").await.unwrap();
    append(&ledger, 8..12).await;
    store_orphan(&ledger).await;
    testing::quarantine(&ledger, "q1", 900, format!(r#"{{"user":"bob","text":"{SECRET}"#).as_bytes()).await;
    testing::quarantine(&ledger, "q2", 901, br#"{"user":"bobby"#).await;
    testing::quarantine(&ledger, "q3", 902, format!(r#"{{"user":"b\u006Fb","text":"{SECRET}"#).as_bytes()).await;
    // The event of a call, from a file that had another name when it could not be read.
    testing::quarantine(&ledger, "q4", 903, entry(2).0.raw).await;
    let usage = objects_of(&store, "usage").await;
    assert!(traces(&*store).await > 8);

    let erased = erase_bob(&ledger, "e1", false).await.unwrap();
    assert_eq!(erased.entries, Some(6));
    let rows: Vec<_> = erased.tables.iter().map(|table| (table.table, table.rows_erased)).collect();
    assert_eq!(rows, [("content", 6), ("content_partial", 0), ("quarantine", 3)]);
    assert_eq!(traces(&*store).await, 0);
    assert_eq!(objects_of(&store, "usage").await, usage, "counts and costs are untouched");
    assert_eq!(bodies(&ledger).await, (12, 6), "rows stay, bodies of others too");
    assert_eq!(ledger.evidence().load(None).await.unwrap().rows(), 1);
    let evidence = dump(&store, "evidence").await;
    assert!(!evidence.contains("bob"), "the name of a subject is not written down");
    assert!(evidence.contains(r#""objects_deleted":0"#), "nothing was deleted when it was written: {evidence}");

    let again = erase_bob(&ledger, "e2", false).await.unwrap();
    assert_eq!(again.entries_sha256, erased.entries_sha256);
    assert!(again.tables.iter().all(|table| table.rows_erased == 0 && table.objects_found == 0), "{again:?}");
}

/// Of a batch that was lost after its bodies were committed and before its calls were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_whose_call_is_in_no_table_is_erased_by_whom_it_names_or_by_its_id() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..2).await;
    let half = |at: usize, user: &str| {
        let (mut call, cost) = entry(at);
        call.raw = format!(r#"{{"user":"{user}","text":"{SECRET} {at}"}}"#).leak().as_bytes();
        (call, cost)
    };
    let lost = [half(4, "bob"), half(6, "eve"), half(8, "eve")];
    let (_, content) = testing::rows("lost", &lost);
    let encoded = file::encode(&CONTENT, &content, &[0, 1, 2]).unwrap();
    let files = vec![ledger.content().store_file(&encoded[0], "lost", 0).await.unwrap()];
    let mut snapshot = ledger.content().load(None).await.unwrap();
    let commit = Commit { batch_id: "lost".into(), files, positions: Vec::new(), counts: Vec::new() };
    let outcome = ledger.content().try_commit(&mut snapshot, &commit).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));

    let erased = erase_bob(&ledger, "e1", false).await.unwrap();
    assert_eq!((erased.entries, erased.tables[0].rows_erased), (Some(1), 2), "one of them is no entry");
    let wanted = Wanted::Entries(vec![lost[1].0.id()]);
    let erased = erase(&ledger, &wanted, 1 << 20, &Run::new("e2", &SYSTEM, false)).await.unwrap();
    assert_eq!((erased.entries, erased.tables[0].rows_erased), (Some(1), 1));
    assert_eq!(bodies(&ledger).await, (5, 2));
    let text = dump(&store, "content").await;
    let traces = [0, 4, 6].map(|at| text.contains(&format!("{SECRET} {at}")));
    assert!(traces == [false; 3] && text.contains(&format!("{SECRET} 8")), "{traces:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_can_be_looked_at_first() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..8).await;
    let before = objects(&*store).await;
    let planned = erase_bob(&ledger, "e1", true).await.unwrap();
    assert_eq!((planned.tables[0].rows_erased, planned.tables[0].files_rewritten), (4, 4));
    assert_eq!(objects(&*store).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_killed_at_any_call_and_asked_for_again_leaves_no_trace() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..4).await;
    testing::quarantine(&ledger, "q1", 900, format!(r#"{{"user":"bob","text":"{SECRET}"#).as_bytes()).await;
    run(&ledger, &["content"], &Settings::default(), "a").await.unwrap();
    let usage = event_ids(ledger.usage()).await;
    let base = store.fork();
    at_every_call(
        &base,
        async |store| {
            let Ok(ledger) = Ledger::create_at(store.root()).await else { return };
            erase_bob(&ledger, "killed", false).await.ok();
        },
        async |ledger, struck| {
            erase_bob(&ledger, "again", false).await.unwrap();
            assert_eq!(bodies(&ledger).await, (4, 2), "{struck:?}");
            assert_eq!(event_ids(ledger.usage()).await, usage, "{struck:?}");
            assert_eq!(traces(&*ledger.root().store).await, 0, "{struck:?}");
            assert!(ledger.evidence().load(None).await.unwrap().rows() > 0, "nothing tells of it: {struck:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_in_the_midst_of_a_compaction_leaves_no_trace() {
    let (base, ledger) = in_memory().await;
    append(&ledger, 0..4).await;
    for calls in 0.. {
        let base = Arc::new(base.fork());
        let store = FaultyStore::over(Arc::clone(&base) as Arc<dyn ObjectStore>);
        let slow = Ledger::create_at(store.root()).await.unwrap();
        let root = Root { store: Arc::clone(&base) as Arc<dyn ObjectStore>, ..Root::memory() };
        let (clock, quick) = (clock(), Ledger::create_at(root).await.unwrap());
        let (settings, run) = (Settings::default(), Run::new("a", &clock, false));
        let mut running = Box::pin(maintain(&slow, &["content"], &settings, &run));
        let ended = store.advance(&mut running, calls).await;
        erase_bob(&quick, "e", false).await.unwrap();
        if ended.is_none() {
            store.advance(&mut running, u64::MAX).await.unwrap().unwrap();
        }
        assert_eq!(traces(&*base).await, 0, "after {calls} calls of the compaction");
        if ended.is_some() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_not_there_is_named_and_nothing_is_erased() {
    let (_, ledger) = in_memory().await;
    append(&ledger, 0..4).await;
    let known = entry(1).0.id();
    let unknown = entry(77).0.id();
    let run = |id| Run::new(id, &SYSTEM, false);
    let error = erase(&ledger, &Wanted::Entries(vec![known, unknown]), 1 << 20, &run("a")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the ledger has no entry {unknown}"));
    assert_eq!(bodies(&ledger).await, (4, 4));
    let erased = erase(&ledger, &Wanted::Entries(vec![known]), 1 << 20, &run("b")).await.unwrap();
    assert_eq!((erased.entries, erased.tables[0].rows_erased), (Some(1), 1));
    assert_eq!(bodies(&ledger).await, (4, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_older_than_allowed_lose_what_was_said_once() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..8).await;
    let clock = FixedClock(Instant::parse("2026-11-21T12:00:00Z").unwrap());
    let settings = Settings { content_days: Some(1), ..Settings::default() };
    let done = maintain(&ledger, &["content"], &settings, &Run::new("a", &clock, false)).await.unwrap();
    assert_eq!(done[0].retired_rows, 4, "the bodies of 2026-11-19");
    assert_eq!(bodies(&ledger).await, (8, 4));
    let text = dump(&store, "content").await;
    assert!(!text.contains("call-0 ") && text.contains("call-1 "), "even calls were on the 19th");
    let again = maintain(&ledger, &["content"], &settings, &Run::new("b", &clock, false)).await.unwrap();
    assert_eq!((again[0].retired_rows, again[0].compacted.commits), (0, 0));
    assert_eq!(ledger.evidence().load(None).await.unwrap().rows(), 1, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_set_aside_late_keeps_its_bytes_as_long_as_any() {
    let (_, ledger) = in_memory().await;
    let old = Date::parse("2026-08-01").unwrap();
    testing::quarantine_of(&ledger, "q1", old, 900, b"of a summer long gone, set aside on 2026-11-20").await;
    let settings = Settings { quarantine_days: Some(30), ..Settings::default() };
    for (now, retired) in [("2026-11-21T12:00:00Z", 0), ("2026-12-20T12:00:00Z", 0), ("2026-12-21T12:00:00Z", 1)] {
        let clock = FixedClock(Instant::parse(now).unwrap());
        let run = Run::new(now, &clock, false);
        let done = maintain(&ledger, &["quarantine"], &settings, &run).await.unwrap();
        assert_eq!(done[0].retired_rows, retired, "{now}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_killed_at_any_call_and_run_again_leaves_no_body_that_is_too_old() {
    let (store, ledger) = in_memory().await;
    append(&ledger, 0..2).await;
    let usage = event_ids(ledger.usage()).await;
    let base = store.fork();
    let clock = FixedClock(Instant::parse("2026-11-21T12:00:00Z").unwrap());
    let settings = Settings { content_days: Some(1), ..Settings::default() };
    let retire =
        async |ledger: &Ledger, id: &str| maintain(ledger, &["content"], &settings, &Run::new(id, &clock, false)).await;
    at_every_call(
        &base,
        async |store| {
            let Ok(ledger) = Ledger::create_at(store.root()).await else { return };
            retire(&ledger, "killed").await.ok();
        },
        async |ledger, struck| {
            retire(&ledger, "again").await.unwrap();
            assert_eq!(bodies(&ledger).await, (2, 1), "{struck:?}");
            assert_eq!(event_ids(ledger.usage()).await, usage, "{struck:?}");
            assert_eq!(traces(&*ledger.root().store).await, 0, "{struck:?}");
            assert!(ledger.evidence().load(None).await.unwrap().rows() > 0, "nothing tells of it: {struck:?}");
        },
    )
    .await;
}

static SYSTEM: daybook_ledger::SystemClock = daybook_ledger::SystemClock;

fn clock() -> impl daybook_ledger::Clock {
    daybook_ledger::SystemClock
}

async fn in_memory() -> (Arc<InMemory>, Ledger) {
    let store = Arc::new(InMemory::new());
    let root = Root { store: Arc::clone(&store) as Arc<dyn ObjectStore>, ..Root::memory() };
    (store, Ledger::create_at(root).await.unwrap())
}

async fn run(ledger: &Ledger, tables: &[&str], settings: &Settings, id: &str) -> Result<Vec<Maintained>, Error> {
    maintain(ledger, tables, settings, &Run::new(id, &clock(), false)).await
}

async fn erase_bob(ledger: &Ledger, id: &str, dry_run: bool) -> Result<Erased, Error> {
    erase(ledger, &Wanted::Subject("bob".into()), 128 << 20, &Run::new(id, &SYSTEM, dry_run)).await
}

/// Call number `at`: even ones on the 19th by `bob`, whose bodies hold the secret; odd ones on the 20th by others.
fn entry(at: usize) -> (Entry<'static>, Option<Usd>) {
    let id: &'static str = format!("call-{at}").leak();
    let day = if at.is_multiple_of(2) { "2026-11-19" } else { "2026-11-20" };
    let team = if at % 4 < 2 { "red" } else { "sea" };
    let mut entry = call(id, "openai", "gpt-4o", team, &format!("{day}T10:00:00Z"), (i64::try_from(at).unwrap(), 1));
    let said: &'static str = match at % 2 {
        0 => format!("{id} {SECRET}").leak(),
        _ => format!("{id} nothing").leak(),
    };
    entry.end_user = Some(if at.is_multiple_of(2) { "bob" } else { "eve" }.into());
    entry.raw = said.as_bytes();
    entry.body = Some(Body {
        input_messages: Some(format!(r#"[{{"in":"{said}"}}]"#).into()),
        output_messages: Some(format!(r#"[{{"out":"{said}"}}]"#).into()),
        tool_definitions: Some(format!(r#"[{{"tool":"{said}"}}]"#).into()),
        request_parameters: Some(format!(r#"{{"parameter":"{said}"}}"#).into()),
    });
    (entry, Some(Usd::parse("0.25").unwrap()))
}

/// One batch a call.
async fn append(ledger: &Ledger, calls: std::ops::Range<usize>) {
    for at in calls {
        testing::append(ledger, &format!("b{at}"), &[entry(at)]).await;
    }
}

/// As a writer does it that others race with.
async fn append_racing(ledger: &Ledger, at: usize) {
    let table = ledger.usage();
    let batch_id = format!("b{at}");
    let (batch, _) = testing::rows(&batch_id, &[entry(at)]);
    let mut snapshot = table.load(None).await.unwrap();
    for attempt in 0.. {
        let encoded = file::encode(&USAGE, &batch, &[0]).unwrap();
        let files = vec![table.store_file(&encoded[0], &batch_id, attempt).await.unwrap()];
        let commit = Commit { batch_id: batch_id.clone(), files, positions: Vec::new(), counts: Vec::new() };
        for _ in 0..3 {
            match table.try_commit(&mut snapshot, &commit).await {
                Ok(CommitOutcome::Committed { .. }) => return,
                Ok(_) => {}
                Err(Error::FileGone { .. }) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// As a worker does it that is started again until its position is in the ledger.
async fn append_until_there(store: &FaultyStore, at: usize) {
    let app_id = format!("ledger/c/t/{at}");
    for attempt in 0..100 {
        let outcome: Result<bool, Error> = async {
            let ledger = Ledger::create_at(store.root()).await?;
            let table = ledger.usage();
            let mut snapshot = table.load(None).await?;
            if table.load_position(&mut snapshot, &app_id).await?.is_some() {
                return Ok(true);
            }
            let batch_id = format!("b{at}-{attempt}");
            let (batch, _) = testing::rows(&batch_id, &[entry(at)]);
            let encoded = file::encode(&USAGE, &batch, &[0]).unwrap();
            let files = vec![table.store_file(&encoded[0], &batch_id, 0).await?];
            let positions = vec![PositionChange { app_id: app_id.clone(), from: None, to: NextOffset(1) }];
            let commit = Commit { batch_id, files, positions, counts: Vec::new() };
            Ok(matches!(table.try_commit(&mut snapshot, &commit).await?, CommitOutcome::Committed { .. }))
        }
        .await;
        if outcome.unwrap_or(false) {
            return;
        }
    }
    panic!("never there: {:?}", store.struck());
}

async fn move_position(table: &Table, to: i64) {
    let mut snapshot = table.load(None).await.unwrap();
    let positions = vec![PositionChange { app_id: "ledger/c/t/0".into(), from: None, to: NextOffset(to) }];
    let commit = Commit { batch_id: format!("p{to}"), files: Vec::new(), positions, counts: Vec::new() };
    assert!(matches!(table.try_commit(&mut snapshot, &commit).await.unwrap(), CommitOutcome::Committed { .. }));
}

/// A file of a batch that was lost, in `usage` and in `content`.
async fn store_orphan(ledger: &Ledger) {
    let (usage, content) = testing::rows("lost", &[entry(40)]);
    for (table, batch) in [(ledger.usage(), usage), (ledger.content(), content)] {
        let encoded = file::encode(table.spec(), &batch, &[0]).unwrap();
        table.store_file(&encoded[0], "lost", 0).await.unwrap();
    }
}

/// Every row of `usage` and `content`, as text, sorted.
async fn contents(ledger: &Ledger) -> Vec<String> {
    let mut rows = Vec::new();
    for table in [ledger.usage(), ledger.content()] {
        for file in table.load(None).await.unwrap().files() {
            for batch in table.load_batches(&file).await.unwrap() {
                let options = FormatOptions::default().with_null("null");
                let columns: Vec<_> =
                    batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
                let row = |at| columns.iter().map(|column| column.value(at).to_string()).collect::<Vec<_>>().join("|");
                rows.extend((0..batch.num_rows()).map(|at| format!("{} {} {}", table.spec().name, file.date, row(at))));
            }
        }
    }
    rows.sort_unstable();
    rows
}

async fn event_ids(table: &Table) -> Vec<String> {
    let mut ids = Vec::new();
    for file in table.load(None).await.unwrap().files() {
        for batch in table.load_batches(&file).await.unwrap() {
            let costs = batch.column_by_name("list_cost").unwrap().as_primitive::<Decimal128Type>().clone();
            assert!(costs.iter().all(|cost| cost == Some(Usd::parse("0.25").unwrap().pico())));
            assert!(batch.column_by_name("input_tokens").unwrap().as_primitive::<Int64Type>().null_count() == 0);
            let names = batch.column_by_name("event_id").unwrap().as_string::<i32>().clone();
            ids.extend(names.iter().map(|name| name.unwrap().to_owned()));
        }
    }
    ids.sort_unstable();
    ids
}

/// Rows of `content`, and how many of them have a body.
async fn bodies(ledger: &Ledger) -> (usize, usize) {
    let (mut rows, mut bodies) = (0, 0);
    for file in ledger.content().load(None).await.unwrap().files() {
        for batch in ledger.content().load_batches(&file).await.unwrap() {
            let raw = batch.column_by_name("raw").unwrap();
            rows += batch.num_rows();
            bodies += batch.num_rows() - raw.null_count();
        }
    }
    (rows, bodies)
}

async fn objects(store: &dyn ObjectStore) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for object in store.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        objects.insert(object.location.to_string(), bytes.to_vec());
    }
    objects
}

async fn objects_of(store: &Arc<InMemory>, table: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = format!("ledger/{table}/");
    objects(&**store).await.into_iter().filter(|(path, _)| path.starts_with(&folder)).collect()
}

async fn data_files(ledger: &Ledger, table: &str) -> Vec<String> {
    let folder = format!("ledger/{table}/event_date=");
    objects(&*ledger.root().store).await.into_keys().filter(|path| path.starts_with(&folder)).collect()
}

/// Everything in the objects of a table, decompressed, as text.
async fn dump(store: &Arc<InMemory>, table: &str) -> String {
    objects_of(store, table).await.iter().map(|(path, bytes)| text_of(path, bytes)).collect()
}

fn text_of(path: &str, bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if path.ends_with(".parquet")
        && let Ok(builder) = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes))
    {
        for batch in builder.build().unwrap().map(Result::unwrap) {
            for column in batch.columns() {
                if let Some(values) = column.as_binary_opt::<i32>() {
                    values.iter().flatten().for_each(|value| text += &String::from_utf8_lossy(value));
                } else {
                    let format = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
                    (0..column.len()).for_each(|at| text += &format.value(at).to_string());
                }
            }
        }
    }
    text
}

/// How often the secret is found in any object, as stored or decompressed.
async fn traces(store: &dyn ObjectStore) -> usize {
    let objects = objects(store).await;
    objects.iter().map(|(path, bytes)| text_of(path, bytes).matches(SECRET).count()).sum()
}

#[test]
fn every_column_of_content_beyond_its_identity_may_hold_what_was_said() {
    let said = |table: &schema::Table| table.said().collect::<BTreeSet<_>>();
    let identity = ["entry_id", "event_date", "batch_id", "content_sha256"];
    let others = CONTENT.columns.iter().map(|column| column.name).filter(|name| !identity.contains(name));
    assert_eq!(said(&CONTENT), others.collect());
    assert_eq!(said(&CONTENT_PARTIAL), said(&CONTENT));
    assert_eq!(said(&QUARANTINE), BTreeSet::from(["error_message", "headers", "key", "value"]));
    let rest = schema::Table::ALL.iter().filter(|table| !table.is_of_bodies() && table.name != QUARANTINE.name);
    assert!(rest.flat_map(|table| table.said()).next().is_none(), "an erasure reaches no other table");
}
