//! Imports of files into one ledger: a fault at every write, killed before and after it, run again, run side by side, of copies, of files
//! that grew or changed. Whatever happens, every call is in the ledger once, and every bad record in quarantine once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "test code outside test functions"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use daybook_ingest::decode::Format;
use daybook_ingest::driver::Control;
use daybook_ingest::import::{ImportSettings, Summary, Watch, preview, run};
use daybook_ingest::{Capture, Error, FlushLimits, Totals};
use daybook_ledger::price::Book;
use daybook_ledger::testing::{Fault, FaultyStore};
use daybook_ledger::{FixedClock, Instant, Ledger, Root, Table};

struct Quiet;

impl Watch for Quiet {
    fn start(&mut self, _files: u64, _bytes: u64) {}
    fn advance(&mut self, _bytes: u64, _totals: &Totals) {}
    fn notice(&mut self, _text: &str) {}
}

fn event(id: usize) -> String {
    format!(
        r#"{{"id":"call-{id}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o","startTime":1795170000.0,"endTime":1795170001.0,"prompt_tokens":{id},"completion_tokens":1,"total_tokens":{},"response_cost":0.5,"messages":[{{"role":"user","content":"call {id}"}}],"metadata":{{}}}}"#,
        id + 1
    )
}

/// A captured answer that names no time of its own.
fn timeless(id: usize) -> String {
    format!(
        r#"{{"id":"msg_{id}","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{{"type":"text","text":"x"}}],"stop_reason":"end_turn","usage":{{"input_tokens":{id},"output_tokens":1}}}}"#
    )
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| event(id) + "\n").collect()
}

fn settings(folder: &Path, names: &[&str]) -> ImportSettings {
    ImportSettings {
        addresses: names.iter().map(|name| folder.join(name).display().to_string()).collect(),
        format: None,
        limits: FlushLimits { rows_max: 64, bytes_max: 1 << 30, interval_ms: 3_600_000 },
        capture: Capture::Full,
        jobs: 2,
        from_start: false,
        account: None,
    }
}

async fn import(ledger: &Ledger, settings: ImportSettings) -> Result<Summary, Error> {
    let prices = Arc::new(Book::default_sheet().unwrap());
    let clock = Arc::new(FixedClock(Instant::from_micros(1_795_200_000_000_000)));
    run(settings, ledger.clone(), prices, clock, Control::default(), Box::new(Quiet)).await
}

async fn import_all(ledger: &Ledger, folder: &Path, names: &[&str]) -> Summary {
    import(ledger, settings(folder, names)).await.unwrap()
}

async fn rows(table: &Table) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in table.load(None).await.unwrap().files() {
        batches.extend(table.load_batches(&file).await.unwrap());
    }
    batches
}

fn words(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let column = |batch: &RecordBatch| {
        let column =
            arrow::compute::cast(batch.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().map(|value| value.unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

/// Every call once, with its body; returns the ids.
async fn check_calls(ledger: &Ledger, expected: BTreeSet<String>, note: &str) {
    let usage = rows(ledger.usage()).await;
    let ids = words(&usage, "event_id");
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), expected, "{note}: calls");
    assert_eq!(ids.len(), expected.len(), "{note}: a call is doubled");
    let bodies: usize = rows(ledger.content()).await.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(bodies, expected.len(), "{note}: bodies");
}

fn calls(ids: std::ops::Range<usize>) -> BTreeSet<String> {
    ids.map(|id| format!("call-{id}")).collect()
}

/// File and record number of every row of quarantine.
async fn quarantined(ledger: &Ledger) -> Vec<(String, i64)> {
    let batches = rows(ledger.quarantine()).await;
    let numbers = batches
        .iter()
        .flat_map(|batch| batch.column_by_name("kafka_offset").unwrap().as_primitive::<Int64Type>().values().to_vec());
    let names = words(&batches, "topic").into_iter().map(|name| name.rsplit('/').next().unwrap().to_owned());
    let mut rows: Vec<_> = names.zip(numbers).collect();
    rows.sort();
    rows
}

/// Three files with 300 calls, some twice, and three bad records.
fn write_files(folder: &Path) -> [&'static str; 3] {
    let mut first: Vec<String> = (0..150).map(event).collect();
    first[70] = "{poison".into();
    first.push(event(70));
    std::fs::write(folder.join("a.jsonl"), first.join("\n") + "\n").unwrap();
    let second: Vec<String> = (140..220).map(event).chain(["{\"unknown\":1}".into()]).collect();
    std::fs::write(folder.join("b.json"), format!("[{}]", second.join(",\n"))).unwrap();
    let third = zstd::encode_all((lines(220..300) + "{poison\n").as_bytes(), 1).unwrap();
    std::fs::write(folder.join("c.zst"), third).unwrap();
    ["a.jsonl", "b.json", "c.zst"]
}

fn poison() -> Vec<(String, i64)> {
    vec![("a.jsonl".into(), 70), ("b.json".into(), 80), ("c.zst".into(), 80)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_under_a_fault_at_every_write_ends_exact() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_files(folder.path());
    let faults =
        [Fault::Die, Fault::DieAfter, Fault::Refuse, Fault::LoseReply, Fault::FindItself, Fault::ArriveLate(2)];
    // Together: an import whose store does not answer waits before it asks again.
    let kinds = faults.into_iter().map(|fault| {
        let (folder, names) = (folder.path(), &names);
        async move {
            for at in 0.. {
                let store = FaultyStore::memory();
                let healthy = Ledger::create_at(store.root()).await.unwrap();
                store.fail_at_change(at, fault.clone());
                let done = tokio::select! {
                    done = import(&healthy, settings(folder, names)) => done.is_ok(),
                    () = store.death() => false,
                };
                let struck = store.struck();
                store.heal();
                // Another process finds what it left; what was on its way arrives meanwhile.
                let ledger = Ledger::create_at(store.root()).await.unwrap();
                let summary = import_all(&ledger, folder, names).await;
                assert!(summary.faults.is_empty(), "{struck:?}");
                check_calls(&ledger, calls(0..300), &format!("{struck:?}")).await;
                assert_eq!(quarantined(&ledger).await, poison(), "{struck:?}");
                if struck.is_empty() {
                    assert!(done && at > 10, "{fault:?} has met {at} writes only");
                    break;
                }
            }
        }
    });
    futures::future::join_all(kinds).await;
}

/// As the ledger does not know the file after such a death, and another format makes something else of its records. It may have
/// another name by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_died_in_its_only_batch_is_finished_whatever_its_records_are_read_as() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "b.jsonl"] {
        std::fs::write(folder.path().join(name), format!("{{poison\n{}", lines(0..10))).unwrap();
    }
    for (format, name) in [(None, "a.jsonl"), (None, "b.jsonl"), (Some(Format::OtelGenAi), "b.jsonl")] {
        let whole = |name| ImportSettings { limits: FlushLimits::default(), ..settings(folder.path(), &[name]) };
        for at in 0.. {
            let store = FaultyStore::memory();
            let ledger = Ledger::create_at(store.root()).await.unwrap();
            store.fail_at_change(at, Fault::DieAfter);
            let died = tokio::select! {
                done = import(&ledger, whole("a.jsonl")) => done.is_err(),
                () = store.death() => true,
            };
            let struck = store.struck();
            store.heal();
            let ledger = Ledger::create_at(store.root()).await.unwrap();
            let again = import(&ledger, ImportSettings { format, ..whole(name) });
            let summary = tokio::time::timeout(Duration::from_secs(60), again).await.expect("it ends").unwrap();
            assert!(summary.faults.is_empty(), "{struck:?}");
            let calls_found: usize = rows(ledger.usage()).await.iter().map(RecordBatch::num_rows).sum();
            let aside = quarantined(&ledger).await;
            assert_eq!(calls_found + aside.len(), 11, "{format:?}, {name}, {struck:?}");
            if format.is_none() {
                check_calls(&ledger, calls(0..10), &format!("{struck:?}")).await;
                assert!(aside.len() == 1 && aside[0].1 == 0, "{struck:?}: {aside:?}");
            }
            if !died {
                assert!(at > 5, "an import makes more than {at} writes");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_side_by_side_add_every_call_once() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_files(folder.path());
    for _ in 0..5 {
        let ledger = Ledger::create_at(Root::memory()).await.unwrap();
        let all = [(); 3].map(|()| import_all(&ledger, folder.path(), &names));
        futures::future::join_all(all).await;
        check_calls(&ledger, calls(0..300), "side by side").await;
        assert_eq!(quarantined(&ledger).await, poison());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_known_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_files(folder.path());
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let first = import_all(&ledger, folder.path(), &names).await;
    assert_eq!((first.totals.messages, first.totals.entries, first.totals.quarantined), (313, 300, 3));
    assert_eq!((first.totals.duplicates, first.records_known, first.files_known), (10, 0, 0));
    let version = ledger.usage().load(None).await.unwrap().version();

    // Under another name, unpacked, and twice in one run: nothing, not even a commit.
    let copy = folder.path().join("copy.jsonl");
    std::fs::copy(folder.path().join("a.jsonl"), &copy).unwrap();
    let text = zstd::decode_all(std::fs::File::open(folder.path().join("c.zst")).unwrap()).unwrap();
    std::fs::write(folder.path().join("plain"), text).unwrap();
    let again = import_all(&ledger, folder.path(), &["copy.jsonl", "plain", "b.json", "a.jsonl"]).await;
    assert_eq!((again.totals.messages, again.records_known, again.files_known), (0, 151 + 81 + 81 + 151, 4));
    assert_eq!(ledger.usage().load(None).await.unwrap().version(), version);

    // Grown: read on.
    let grown = std::fs::read_to_string(&copy).unwrap() + &lines(300..310);
    std::fs::write(&copy, grown).unwrap();
    let more = import_all(&ledger, folder.path(), &["copy.jsonl"]).await;
    assert_eq!((more.totals.messages, more.totals.entries, more.records_known), (10, 10, 151));
    check_calls(&ledger, calls(0..310), "grown").await;
    assert_eq!(quarantined(&ledger).await, poison());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_read_whole_and_its_calls_are_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    std::fs::write(folder.path().join("a.jsonl"), lines(0..100)).unwrap();
    import_all(&ledger, folder.path(), &["a.jsonl"]).await;
    std::fs::write(folder.path().join("a.jsonl"), lines(0..50) + &event(1_000) + "\n" + &lines(51..110)).unwrap();
    let changed = import_all(&ledger, folder.path(), &["a.jsonl"]).await;
    assert_eq!((changed.totals.entries, changed.totals.duplicates, changed.records_known), (11, 99, 0));
    let again = import_all(&ledger, folder.path(), &["a.jsonl"]).await;
    assert_eq!((again.totals.messages, again.records_known), (0, 110), "the changed file is known now");
    // Shorter than it was: also another file.
    std::fs::write(folder.path().join("a.jsonl"), lines(0..20)).unwrap();
    let shorter = import_all(&ledger, folder.path(), &["a.jsonl"]).await;
    assert_eq!((shorter.totals.entries, shorter.totals.duplicates), (0, 20));
    let expected = calls(0..110).into_iter().chain(["call-1000".into()]).collect();
    check_calls(&ledger, expected, "changed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_from_the_start_adds_nothing_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_files(folder.path());
    std::fs::write(folder.path().join("t.jsonl"), (0..5).map(|id| timeless(id) + "\n").collect::<String>()).unwrap();
    let names = [names[0], names[1], names[2], "t.jsonl"];
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    import_all(&ledger, folder.path(), &names).await;
    // Events without a time keep the day they were first read on, whenever the file was written.
    let written = std::fs::File::options().append(true).open(folder.path().join("t.jsonl")).unwrap();
    written.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    let again = ImportSettings { from_start: true, ..settings(folder.path(), &names) };
    for _ in 0..2 {
        let summary = import(&ledger, again.clone()).await.unwrap();
        assert_eq!((summary.totals.messages, summary.totals.entries), (318, 0));
        assert_eq!((summary.totals.duplicates, summary.totals.quarantined), (318, 0));
    }
    let expected = calls(0..300).into_iter().chain((0..5).map(|id| format!("msg_{id}"))).collect();
    check_calls(&ledger, expected, "from the start").await;
    assert_eq!(quarantined(&ledger).await, poison());
    let known = import_all(&ledger, folder.path(), &names).await;
    assert_eq!((known.totals.messages, known.records_known), (0, 318), "positions are where they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("cut.jsonl", &(lines(0..10) + "{\"id\":"));
    write("notes.txt", "not a table, not JSON\n");
    write("whole.jsonl", &lines(10..20));
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let summary = import_all(&ledger, folder.path(), &["."]).await;
    let mut codes: Vec<_> = summary.faults.iter().map(daybook_ledger::Report::code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["IMPORT-004", "IMPORT-007"]);
    check_calls(&ledger, calls(0..20), "beside bad files").await;
    // The writer finishes its line: the rest is added.
    write("cut.jsonl", &lines(0..11).replace("call-10\"", "call-99\""));
    let summary = import_all(&ledger, folder.path(), &["cut.jsonl"]).await;
    assert_eq!((summary.totals.messages, summary.records_known, summary.faults.len()), (1, 10, 0));
    let missing = import_all(&ledger, folder.path(), &["none", "*.none", "whole.jsonl"]).await;
    let codes: Vec<_> = missing.faults.iter().map(daybook_ledger::Report::code).collect();
    assert_eq!((codes, missing.records_known), (vec!["IMPORT-001", "IMPORT-001"], 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_counts_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_files(folder.path());
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let clock = || Arc::new(FixedClock(Instant::from_micros(1_795_200_000_000_000)));
    let look = |ledger| preview(settings(folder.path(), &names), ledger, clock(), Control::default(), Box::new(Quiet));
    let (summary, found) = look(None).await.unwrap();
    assert_eq!((summary.totals.messages, summary.totals.entries, summary.totals.quarantined), (313, 310, 3));
    assert_eq!(
        found.formats.iter().map(|(name, count)| (*name, *count)).collect::<Vec<_>>(),
        [("litellm-standard", 310)]
    );
    assert_eq!(found.problems.len(), 3);
    assert!(found.problems.iter().any(|p| p.place.ends_with("a.jsonl:71") && p.code == "DECODE-003"), "{found:?}");
    import_all(&ledger, folder.path(), &["b.json"]).await;
    let version = ledger.usage().load(None).await.unwrap().version();
    let (summary, _) = look(Some(ledger.clone())).await.unwrap();
    assert_eq!((summary.totals.messages, summary.records_known), (232, 81));
    assert_eq!(ledger.usage().load(None).await.unwrap().version(), version);
}
