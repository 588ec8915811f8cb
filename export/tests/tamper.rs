//! Somebody who can write the whole ledger, digests and commits included, alters it after it was sealed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code; the helpers at the foot are outside the tests"
)]

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Date32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};

use daybook_export::verify::{self, Trust, Verdict};
use daybook_export::{Progress, Silent};
use daybook_ledger::maintenance::{Run, Settings, Wanted, erase, maintain};
use daybook_ledger::schema::USAGE;
use daybook_ledger::seal::{Request, Sealed, SigningKey, seal};
use daybook_ledger::testing::{self, append, call};
use daybook_ledger::{
    Body, Commit, CommitOutcome, DataFile, Date, Ledger, Root, SystemClock, Table, TableVersion, Usd, file,
};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use tokio::runtime::Handle;

#[tokio::test]
async fn an_altered_row_is_named_whatever_else_was_made_to_fit() {
    let ledger = sealed().await;
    let entry = rewrite(&ledger, |rows| with_tokens(&rows, 999)).await;
    let found = differences(&ledger).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with(&format!("usage version 1: entry {entry} is not what was sealed as leaf ")),
        "{found:?}"
    );
    assert!(found[1].starts_with("usage version 1: its log entry is not what was sealed as leaf "), "{found:?}");
}

#[tokio::test]
async fn a_row_taken_out_or_put_in_is_named() {
    let ledger = sealed().await;
    rewrite(&ledger, |rows| rows.slice(1, rows.num_rows() - 1)).await;
    let found = differences(&ledger).await;
    assert!(
        found.iter().any(|found| found.starts_with("usage version 1: a row that was sealed as leaf ")),
        "{found:?}"
    );

    let ledger = sealed().await;
    let entry = rewrite(&ledger, |rows| concat_batches(&rows.schema(), [&rows, &rows.slice(0, 1)]).unwrap()).await;
    let found = differences(&ledger).await;
    assert!(found.contains(&format!("usage version 1: entry {entry} is there more than once")), "{found:?}");

    let ledger = sealed().await;
    let more =
        |rows: RecordBatch| concat_batches(&rows.schema(), [&rows, &with_tokens(&rows.slice(0, 1), 998)]).unwrap();
    let entry = rewrite(&ledger, more).await;
    let found = differences(&ledger).await;
    assert!(found.contains(&format!("usage version 1: entry {entry} is not among what was sealed")), "{found:?}");
}

#[tokio::test]
async fn rows_that_came_after_the_seal_are_counted_and_no_difference() {
    let ledger = sealed().await;
    add(&ledger, 2, 7).await;
    let verdict = verify(&ledger).await;
    assert!(verdict.is_whole(), "{:?}", verdict.differences);
    assert_eq!(verdict.seal.map(|seal| (seal.checkpoints, seal.rows_since)), Some((1, 7)));
}

/// A worker that loses the race for `usage` corrects again, in the same batch.
#[tokio::test]
async fn what_a_sealed_batch_brought_since_is_no_difference_when_it_is_compacted() {
    let ledger = ledger().await;
    add(&ledger, 1, 2).await;
    correct(&ledger, "b1", 0, "1-0").await;
    seal_now(&ledger).await;
    correct(&ledger, "b1", 1, "1-1").await;
    let done = maintain(&ledger, &["corrections"], &Settings::default(), &Run::new("m", &SystemClock, false)).await;
    assert_eq!(done.unwrap()[0].compacted.files_after, 1);
    let verdict = verify(&ledger).await;
    assert!(verdict.is_whole(), "{:?}", verdict.differences);
    assert_eq!(verdict.seal.map(|seal| seal.rows_since), Some(1));
}

/// Erases a day's bodies once files are about to be read.
struct Erasing<'a> {
    ledger: &'a Ledger,
    notices: Vec<String>,
}

impl Progress for Erasing<'_> {
    fn start(&mut self, _bytes: u64) {
        if self.notices.is_empty() {
            let wanted = Wanted::Before(Date::parse("2026-11-21").unwrap());
            let erased = async || erase(self.ledger, &wanted, 128 << 20, &Run::new("e", &SystemClock, false)).await;
            tokio::task::block_in_place(|| Handle::current().block_on(erased())).unwrap();
        }
    }

    fn advance(&mut self, _bytes: u64) {}

    fn notice(&mut self, text: &str) {
        self.notices.push(text.into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_ends_meanwhile_is_no_difference() {
    let ledger = ledger().await;
    let mut entry = call("said", "openai", "gpt-5", "red", "2026-11-20T09:00:00Z", (10, 5));
    entry.body = Some(Body { input_messages: Some("[]".into()), ..Body::default() });
    append(&ledger, "b1", &[(entry, None)]).await;
    seal_now(&ledger).await;
    let mut erasing = Erasing { ledger: &ledger, notices: Vec::new() };
    let verdict = verify::ledger(&ledger, &Trust::default(), &mut erasing).await.unwrap();
    assert!(verdict.is_whole(), "{:?}", verdict.differences);
    assert_eq!(erasing.notices.len(), 1, "{:?}", erasing.notices);
}

/// Queries leave out files by the bounds that a snapshot has of them, which it takes from the newest checkpoint.
#[tokio::test]
async fn other_bounds_in_a_delta_checkpoint_are_named() {
    let ledger = sealed().await;
    let table = ledger.usage();
    table.write_checkpoint(TableVersion(1)).await.unwrap();
    assert!(differences(&ledger).await.is_empty());

    let path = Path::from("_delta_log/00000000000000000001.checkpoint.parquet");
    let bytes = table.store().get(&path).await.unwrap().bytes().await.unwrap();
    let batches = ParquetRecordBatchReader::try_new(bytes, 1_024).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let mut written = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut written, batches[0].schema(), None).unwrap();
    for batch in &batches {
        writer.write(&with_bounds(batch, "openai", "nobody")).unwrap();
    }
    writer.close().unwrap();
    table.store().put(&path, written.into()).await.unwrap();
    let found = differences(&ledger.anew().unwrap()).await;
    let told = |place: &str| found.iter().any(|found| found.starts_with(&format!("{place}: what it says of ")));
    assert!(told("usage/_delta_log/00000000000000000001.checkpoint.parquet"), "{found:?}");
    assert!(told("usage/_delta_log"), "a snapshot has them too: {found:?}");
}

/// A batch of a checkpoint with other words in the statistics of its files.
fn with_bounds(batch: &RecordBatch, from: &str, to: &str) -> RecordBatch {
    let at = batch.schema().index_of("add").unwrap();
    let (fields, mut columns, nulls) = batch.column(at).as_struct().clone().into_parts();
    let stats = fields.find("stats").unwrap().0;
    let texts = columns[stats].as_string::<i32>().iter().map(|text| text.map(|text| text.replace(from, to)));
    columns[stats] = Arc::new(texts.collect::<StringArray>());
    let mut all = batch.columns().to_vec();
    all[at] = Arc::new(StructArray::new(fields, columns, nulls));
    RecordBatch::try_new(batch.schema(), all).unwrap()
}

async fn ledger() -> Ledger {
    Ledger::create_at(Root::memory()).await.unwrap()
}

/// A ledger with 40 rows, sealed.
async fn sealed() -> Ledger {
    let ledger = ledger().await;
    add(&ledger, 1, 40).await;
    seal_now(&ledger).await;
    ledger
}

async fn seal_now(ledger: &Ledger) -> Sealed {
    let key = SigningKey::new("example.com/ledger", [7; 32]).unwrap();
    let request = Request { key: &key, earlier_key: None, last_signed: None, fresh_secret: &[9; 32] };
    seal(ledger, &request).await.unwrap()
}

async fn add(ledger: &Ledger, number: usize, rows: usize) {
    let ids: Vec<String> = (0..rows).map(|row| format!("{number}-{row}")).collect();
    let entry = |id| call(id, "openai", "gpt-5", "red", "2026-11-20T09:00:00Z", (10, 5));
    let entries: Vec<_> = ids.iter().map(|id| (entry(id.as_str()), Some(Usd::from_pico(17)))).collect();
    append(ledger, &format!("b{number}"), &entries).await;
}

/// File `number` of a batch, committed alone.
async fn correct(ledger: &Ledger, batch_id: &str, number: usize, id: &str) {
    let entry = call(id, "openai", "gpt-5", "red", "2026-11-20T09:00:00Z", (10, 7));
    let (rows, _) = testing::rows(batch_id, &[(entry, Some(Usd::from_pico(18)))]);
    let table = ledger.corrections();
    let encoded = file::encode(table.spec(), &rows, &[0]).unwrap();
    let files = vec![table.store_file(&encoded[0], batch_id, number).await.unwrap()];
    let commit = Commit { batch_id: batch_id.into(), files, positions: Vec::new(), counts: Vec::new() };
    let outcome = table.try_commit(&mut table.load(None).await.unwrap(), &commit).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
}

async fn verify(ledger: &Ledger) -> Verdict {
    let trust = Trust { keys: Vec::new(), nonce: [3; 32] };
    verify::ledger(ledger, &trust, &mut Silent).await.unwrap()
}

async fn differences(ledger: &Ledger) -> Vec<String> {
    verify(ledger).await.differences.iter().map(ToString::to_string).collect()
}

fn log_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

/// Alters the rows of version 1 of `usage`, and its file's digest, length and statistics in the commit; answers the first
/// entry of the altered file.
async fn rewrite(ledger: &Ledger, alter: impl FnOnce(RecordBatch) -> RecordBatch) -> String {
    let table = ledger.usage();
    let file = table.load(None).await.unwrap().files().remove(0);
    let batches = table.load_batches(&file).await.unwrap();
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    let entry = file::hex(entry_of(&rows));
    let rows = with_day(&alter(rows), &file);
    let keep: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap()).collect();
    let encoded = file::encode(&USAGE, &rows, &keep).unwrap().remove(0);
    table.store().put(&Path::from(file.path.as_str()), encoded.bytes.clone().into()).await.unwrap();
    patch(table, &file, &encoded).await;
    entry
}

async fn patch(table: &Table, file: &DataFile, encoded: &file::EncodedFile) {
    let path = log_path(1);
    let text = table.store().get(&path).await.unwrap().bytes().await.unwrap();
    let mut lines = Vec::new();
    for line in std::str::from_utf8(&text).unwrap().lines() {
        let mut action: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(add) = action.get_mut("add").filter(|add| add["path"] == *file.path) {
            add["size"] = encoded.bytes.len().into();
            add["stats"] = encoded.statistics.clone().into();
            add["tags"]["daybook.sha256"] = encoded.sha256.clone().into();
        }
        lines.push(action.to_string());
    }
    table.store().put(&path, lines.join("\n").into()).await.unwrap();
}

fn entry_of(rows: &RecordBatch) -> &[u8] {
    rows.column_by_name("entry_id").unwrap().as_binary::<i32>().value(0)
}

/// The first row with other input tokens.
fn with_tokens(rows: &RecordBatch, tokens: i64) -> RecordBatch {
    let at = rows.schema().index_of("input_tokens").unwrap();
    let mut columns = rows.columns().to_vec();
    let values = (0..rows.num_rows()).map(|row| if row == 0 { tokens } else { 10 });
    columns[at] = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

/// With the column that Delta keeps in the log.
fn with_day(rows: &RecordBatch, file: &DataFile) -> RecordBatch {
    let days: ArrayRef = Arc::new(Date32Array::from_value(file.date.days(), rows.num_rows()));
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("event_date", DataType::Date32, true)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), [rows.columns(), &[days]].concat()).unwrap()
}
