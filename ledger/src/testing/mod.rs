//! For the tests of all crates: ledgers with known rows, without Kafka; a store that fails. Feature `testing`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::missing_panics_doc, reason = "test code")]

mod every_call;
mod faulty_store;
mod turns;

use arrow::array::RecordBatch;

pub use self::every_call::at_every_call;
pub use self::faulty_store::{Call, Fault, FaultyStore};
use crate::billing::{BillingLine, BillingOrigin};
use crate::price::{self, Book};
use crate::row::{Cost, Origin, Row};
use crate::schema::{BillingBuilder, ContentBuilder, QuarantineBuilder, UsageBuilder};
use crate::{
    Commit, CommitOutcome, Date, Entry, EntryId, Instant, Ledger, Operation, Table, Tokens, UsageSource, Usd,
    content_partial, file,
};

/// When rows were made, if nothing else is said: on 2026-11-20.
const INGESTED_AT: Instant = Instant::from_micros(1_795_200_000_000_000);

/// Appends `entries` as one batch to `usage`, and their bodies to `content`; costs are as given, `None` is unpriced.
pub async fn append(ledger: &Ledger, batch_id: &str, entries: &[(Entry<'_>, Option<Usd>)]) {
    let (usage, content) = rows(batch_id, entries);
    commit(ledger.content(), batch_id, &content).await;
    commit(ledger.usage(), batch_id, &usage).await;
}

/// Appends the bodies of `entries`, all of which have one, to `content_partial`.
pub async fn append_partial(ledger: &Ledger, batch_id: &str, entries: &[(Entry<'_>, Option<Usd>)]) {
    let statuses: Vec<_> = entries.iter().map(|(entry, _)| entry.status).collect();
    let partial = content_partial(&rows(batch_id, entries).1, &statuses).unwrap();
    commit(ledger.content_partial(), batch_id, &partial).await;
}

/// Appends `entries` as one batch to `usage`, priced by `book`.
pub async fn append_priced(ledger: &Ledger, batch_id: &str, book: &Book, entries: &[Entry<'_>]) {
    commit(ledger.usage(), batch_id, &priced_rows(batch_id, INGESTED_AT, book, entries)).await;
}

/// Appends `entries` as one batch to `corrections`.
pub async fn correct(ledger: &Ledger, batch_id: &str, entries: &[(Entry<'_>, Option<Usd>)]) {
    commit(ledger.corrections(), batch_id, &rows(batch_id, entries).0).await;
}

/// Appends `entries`, known since `ingested_at`, as one batch to `corrections`, priced by `book`.
pub async fn correct_priced(ledger: &Ledger, batch_id: &str, ingested_at: Instant, book: &Book, entries: &[Entry<'_>]) {
    commit(ledger.corrections(), batch_id, &priced_rows(batch_id, ingested_at, book, entries)).await;
}

fn priced_rows(batch_id: &str, ingested_at: Instant, book: &Book, entries: &[Entry<'_>]) -> RecordBatch {
    let cost = |entry: &Entry<'_>| {
        let buckets = entry.tokens.buckets();
        let rated = book.price(&price::Call::of(entry, &buckets, entry.started_at.unwrap()));
        (rated.list_cost, rated.price_id.map(String::from), rated.status.as_str())
    };
    built(batch_id, ingested_at, entries.iter().map(|entry| (entry, cost(entry)))).0
}

/// The rows of `usage` and of `content`.
pub fn rows(batch_id: &str, entries: &[(Entry<'_>, Option<Usd>)]) -> (RecordBatch, RecordBatch) {
    let cost = |list_cost: &Option<Usd>| {
        let status = if list_cost.is_some() { "priced" } else { "unknown_model" };
        (*list_cost, list_cost.map(|_| "sheet/test@2026-01-01".to_owned()), status)
    };
    built(batch_id, INGESTED_AT, entries.iter().map(|(entry, list_cost)| (entry, cost(list_cost))))
}

/// The rows of `usage` and of `content`, each with cost, price id and status.
fn built<'a>(
    batch_id: &str,
    ingested_at: Instant,
    entries: impl Iterator<Item = (&'a Entry<'a>, (Option<Usd>, Option<String>, &'static str))>,
) -> (RecordBatch, RecordBatch) {
    let mut usage = UsageBuilder::default();
    let mut content = ContentBuilder::default();
    for (offset, (entry, (list_cost, price_id, price_status))) in (0_i64..).zip(entries) {
        let row = Row {
            entry,
            id: entry.id(),
            started_at: entry.started_at.unwrap(),
            buckets: &entry.tokens.buckets(),
            cost: Cost { list_cost, price_id: price_id.as_deref(), price_status },
            content_sha256: entry.content_sha256(),
            origin: Origin { topic: "ai-usage", partition: 0, offset, batch_id, batch_index: offset, ingested_at },
        };
        usage.push(&row);
        content.push(&row);
    }
    (usage.finish().unwrap(), content.finish().unwrap())
}

/// Puts one message into `quarantine`.
pub async fn quarantine(ledger: &Ledger, batch_id: &str, offset: i64, value: &[u8]) {
    quarantine_of(ledger, batch_id, INGESTED_AT.date(), offset, value).await;
}

/// Puts one message of the day `date` into `quarantine`.
pub async fn quarantine_of(ledger: &Ledger, batch_id: &str, date: Date, offset: i64, value: &[u8]) {
    let mut builder = QuarantineBuilder::default();
    builder.event_date.append_value(date.days());
    builder.batch_id.append_value(batch_id);
    builder.quarantined_at.append_value(INGESTED_AT.micros());
    builder.topic.append_value("ai-usage");
    builder.kafka_partition.append_value(0);
    builder.kafka_offset.append_value(offset);
    builder.kafka_timestamp.append_null();
    builder.key.append_null();
    builder.value.append_value(value);
    builder.headers.append(true).unwrap();
    builder.format.append_null();
    builder.error_code.append_value("DECODE-002");
    builder.error_message.append_value("not JSON");
    commit(ledger.quarantine(), batch_id, &builder.finish().unwrap()).await;
}

/// Appends `lines` as one file of a bill to `billing`; nothing is known of lines before. Imported at the number in the
/// batch's id, in seconds.
pub async fn bill(ledger: &Ledger, batch_id: &str, lines: &[BillingLine]) {
    let rows: Vec<_> = lines.iter().map(|line| (line, None)).collect();
    add_bill(ledger, batch_id, &rows).await;
}

/// Appends `newer` in place of `older`, which is there.
pub async fn replace(ledger: &Ledger, batch_id: &str, older: &BillingLine, newer: &BillingLine) {
    add_bill(ledger, batch_id, &[(newer, Some(older.entry_id(older.line_id())))]).await;
}

async fn add_bill(ledger: &Ledger, batch_id: &str, rows: &[(&BillingLine, Option<EntryId>)]) {
    let seconds: i64 = batch_id.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    let mut builder = BillingBuilder::default();
    for (line, supersedes) in rows {
        let line_id = line.line_id();
        let origin = BillingOrigin {
            line_id,
            entry_id: line.entry_id(line_id),
            supersedes: *supersedes,
            file: "bill.csv",
            file_sha256: "00",
            batch_id,
            imported_at: Instant::from_micros(1_795_200_000_000_000 + seconds * 1_000_000),
        };
        builder.push(line, &origin);
    }
    commit(ledger.billing(), batch_id, &builder.finish().unwrap()).await;
}

async fn commit(table: &Table, batch_id: &str, batch: &RecordBatch) {
    let keep: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap()).collect();
    let mut files = Vec::new();
    for (index, file) in file::encode(table.spec(), batch, &keep).unwrap().iter().enumerate() {
        files.push(table.store_file(file, batch_id, index).await.unwrap());
    }
    let mut snapshot = table.load(None).await.unwrap();
    let commit = Commit { batch_id: batch_id.into(), files, positions: Vec::new(), counts: Vec::new() };
    let outcome = table.try_commit(&mut snapshot, &commit).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

/// A successful chat call: `input` and `output` tokens by `model` of `provider` for `team` at `started_at` (RFC 3339).
pub fn call<'a>(
    id: &'a str,
    provider: &'a str,
    model: &'a str,
    team: &'a str,
    started_at: &str,
    (input, output): (i64, i64),
) -> Entry<'a> {
    let mut entry = Entry::new("test", Operation::Chat, id.as_bytes());
    entry.event_id = Some(id.into());
    entry.provider = Some(provider.into());
    entry.request_model = Some(model.into());
    entry.response_model = Some(model.into());
    entry.team = Some(team.into());
    entry.started_at = Instant::parse(started_at);
    entry.tokens = Tokens { input: Some(input), output: Some(output), ..Tokens::default() };
    entry.usage_source = UsageSource::Provider;
    entry.latency_ms = Some(1_000);
    entry
}
