//! What holds after every schedule.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use daybook_ingest::Partition;
use daybook_ledger::{DataFile, Ledger, LogEntry, Table, TableVersion, file};

use crate::seen::Seen;
use crate::sent::{self, Sent, is_poison};

/// A table as its log and its files tell, read without the Delta library.
struct Read {
    log: Vec<LogEntry>,
    live: BTreeMap<String, DataFile>,
    rows: Vec<RecordBatch>,
}

/// Every call once, with its body and what its richest event tells; every message accounted for once; every message that
/// cannot be read in quarantine once, and those that can resolved once; every live file whole.
pub(crate) async fn check(ledger: &Ledger, sent: &Sent, seen: &mut Seen) {
    let usage = read(ledger.usage(), seen).await;
    let ids = texts(&usage.rows, "event_id");
    assert_eq!(as_set(&ids), sent.calls.keys().cloned().collect::<BTreeSet<_>>(), "a call is lost or invented");
    assert_eq!(ids.len(), sent.calls.len(), "a call is doubled");
    let corrections = read(ledger.corrections(), seen).await;
    check_usage(&usage.rows, &corrections.rows, sent);
    seen.note_times("ledger: a correction", count(&corrections.rows));

    let partial = read(ledger.content_partial(), seen).await;
    check_bodies(&read(ledger.content(), seen).await.rows, &partial.rows, sent);
    seen.note_times("ledger: a body before the end", count(&partial.rows));

    let aside = places(&read(ledger.quarantine(), seen).await.rows);
    assert_eq!(aside, sent.aside.iter().cloned().collect::<Vec<_>>(), "quarantine");
    seen.note_times("ledger: quarantine", aside.len());
    let readable = sent.aside.iter().filter(|place| !is_poison(sent.value(place)));
    let resolved = places(&read(ledger.resolutions(), seen).await.rows);
    assert_eq!(resolved, readable.cloned().collect::<Vec<_>>(), "resolutions");
    seen.note_times("ledger: a resolution", resolved.len());
    check_log(&usage.log, sent);
}

/// Kafka's group was told, in the end, of everything that is read.
pub(crate) fn check_group(offsets: &BTreeMap<Partition, i64>, sent: &Sent) {
    for (partition, log) in &sent.logs {
        assert_eq!(offsets.get(partition).copied(), end_of(log), "what the group knows of {partition}");
    }
}

/// What the Delta library tells of `usage` is what its log says.
pub(crate) async fn check_snapshot(ledger: &Ledger, sent: &Sent) {
    let table = ledger.usage();
    let mut snapshot = table.load(None).await.unwrap();
    let files: BTreeSet<_> = snapshot.files().into_iter().map(|file| file.path).collect();
    assert_eq!(files, read(table, &mut Seen::default()).await.live.into_keys().collect(), "live files");
    for (partition, log) in &sent.logs {
        let position = table.load_position(&mut snapshot, &partition.app_id("sim")).await.unwrap();
        assert_eq!(position.map(|position| position.0), end_of(log), "the position of {partition}");
    }
}

fn check_usage(usage: &[RecordBatch], corrections: &[RecordBatch], sent: &Sent) {
    let known = tokens(usage);
    let corrected = tokens(corrections);
    let rows = count(corrections);
    assert_eq!(corrected.len(), rows, "a correction is doubled or tells nothing");
    assert!(corrected.keys().all(|id| !known.contains_key(id)), "a complete entry was corrected");
    let told: BTreeMap<String, i64> = known.into_iter().chain(corrected).collect();
    let sums = sent.calls.iter().filter_map(|(id, tokens)| Some((id.clone(), (*tokens)?)));
    assert_eq!(told, sums.collect::<BTreeMap<_, _>>(), "what the richest events tell");
}

/// Of each call the body of an end if one has it, else that of its start; each once.
fn check_bodies(content: &[RecordBatch], partial: &[RecordBatch], sent: &Sent) {
    let said = |text: Vec<u8>| String::from_utf8(text).unwrap();
    let (mut whole, mut before) = (Vec::new(), Vec::new());
    for (name, tokens) in &sent.calls {
        let id: i64 = name.strip_prefix("call-").unwrap().parse().unwrap();
        match tokens {
            _ if !sent::is_pending_first(id) => whole.push(format!("call {id}")),
            Some(_) if !sent::is_silent(id) => whole.push(said(sent::end(id))),
            _ if sent.has(&sent::start(id)) => before.push(said(sent::start(id))),
            _ => {}
        }
    }
    // Of two reports of an end either will do: both say the same.
    let said_in = |raw: String| match raw.split_once(r#""content":""#) {
        Some((_, said)) => said.split('"').next().unwrap().to_owned(),
        None => raw,
    };
    let mut found: Vec<_> = texts(content, "raw").into_iter().map(said_in).collect();
    found.sort_unstable();
    whole.sort_unstable();
    assert_eq!(found, whole, "a body is lost, doubled or another's");
    let partial = texts(partial, "raw");
    assert_eq!(as_set(&partial).len(), partial.len(), "a body before the end is doubled");
    assert!(before.iter().all(|raw| partial.contains(raw)), "a body before the end is lost");
}

/// Positions only grow, end where the partitions end, and the batches account for each message once.
fn check_log(log: &[LogEntry], sent: &Sent) {
    let mut at: BTreeMap<&str, i64> = BTreeMap::new();
    let mut messages = 0;
    for entry in log {
        let replayed = entry.positions.iter().any(|(id, _)| id.starts_with("ledger/quarantine/"));
        let from_file = entry.positions.iter().any(|(id, _)| id.starts_with("ledger/files/"));
        let count = entry.info.get("daybook.messages").and_then(serde_json::Value::as_u64);
        // A file may be read again from its start.
        messages += count.filter(|_| !replayed && !from_file).unwrap_or(0);
        let stands = entry.positions.iter().filter(|(id, _)| id.ends_with(|last: char| last.is_ascii_digit()));
        for (app_id, position) in stands {
            let before = at.insert(app_id, position.0);
            let grew = before < Some(position.0) || (from_file && before == Some(position.0));
            assert!(grew, "{app_id} went from {before:?} to {position:?}");
        }
    }
    let sent_messages: usize = sent.logs.values().map(Vec::len).sum();
    assert_eq!(messages, sent_messages as u64, "messages accounted for");
    for (partition, log) in &sent.logs {
        assert_eq!(at.get(&*partition.app_id("sim")).copied(), end_of(log), "the position of {partition}");
    }
    let read = at.get(&*sent::file().app_id("files")).copied();
    assert_eq!(read.unwrap_or(0), sent.file.len() as i64, "the position of the file");
}

/// The position after the last message of `log`.
fn end_of(log: &sent::Log) -> Option<i64> {
    log.last().map(|(offset, _)| offset + 1)
}

/// Reads `table` to the newest version; the bytes of its live files are those of their commits.
async fn read(table: &Table, seen: &mut Seen) -> Read {
    let mut read = Read { log: Vec::new(), live: BTreeMap::new(), rows: Vec::new() };
    while let Some(entry) = table.load_log_entry(TableVersion(read.log.len() as u64)).await.unwrap() {
        entry.removes.iter().for_each(|path| assert!(read.live.remove(path).is_some(), "{path} was not live"));
        read.live.extend(entry.adds.iter().map(|file| (file.path.clone(), file.clone())));
        match entry.maintenance.as_deref() {
            Some("compact") => seen.note("ledger: a compaction"),
            Some("collect") => seen.note("ledger: a collection"),
            _ => {}
        }
        read.log.push(entry);
    }
    for file in read.live.values() {
        let bytes = table.load_whole(file).await.unwrap();
        read.rows.extend(file::read(table.spec(), bytes).unwrap().map(Result::unwrap));
    }
    read
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The input tokens of the calls that know them.
fn tokens(batches: &[RecordBatch]) -> BTreeMap<String, i64> {
    let column =
        |batch: &RecordBatch| batch.column_by_name("input_tokens").unwrap().as_primitive::<Int64Type>().clone();
    let tokens: Vec<_> = batches.iter().flat_map(|batch| column(batch).iter().collect::<Vec<_>>()).collect();
    texts(batches, "event_id").into_iter().zip(tokens).filter_map(|(id, tokens)| Some((id, tokens?))).collect()
}

/// Topic, partition and offset of messages, in order.
fn places(batches: &[RecordBatch]) -> Vec<(String, i32, i64)> {
    let topics = texts(batches, "topic");
    let numbers = batches.iter().flat_map(|batch| {
        let partitions = batch.column_by_name("kafka_partition").unwrap().as_primitive::<Int32Type>().values();
        let offsets = batch.column_by_name("kafka_offset").unwrap().as_primitive::<Int64Type>().values();
        partitions.iter().copied().zip(offsets.iter().copied())
    });
    let mut places: Vec<_> = topics.into_iter().zip(numbers).map(|(topic, (p, offset))| (topic, p, offset)).collect();
    places.sort_unstable();
    places
}

/// A column as text.
fn texts(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let column = |batch: &RecordBatch| -> Vec<String> {
        let column = batch.column_by_name(name).unwrap();
        if name == "raw" {
            let bytes = column.as_binary::<i32>().iter().map(|raw| raw.unwrap().to_vec());
            return bytes.map(|raw| String::from_utf8(raw).unwrap()).collect();
        }
        let text = cast(column, &DataType::Utf8).unwrap();
        text.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
    };
    batches.iter().flat_map(column).collect()
}

fn as_set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().cloned().collect()
}
