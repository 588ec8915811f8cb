//! `daybook decode`: what the ledger would record of a file of events.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use clap::Args;
use daybook_ingest::decode::{DecodeError, DecodeOptions, Format, decode, output_text, prompt_text};
use daybook_ingest::event::Event;
use daybook_ledger::price::{Book, Call};
use daybook_ledger::schema::UsageBuilder;
use daybook_ledger::{Clock as _, Cost, Entry, Kind, Origin, Row, SystemClock};

use crate::commands::args::parse_event_format;
use crate::exit;
use crate::failure::Failure;
use crate::output;

/// One event may be this large; Kafka's default limit is 1 MiB.
const EVENT_BYTES_MAX: u64 = 256 << 20;

/// Columns that say where a message was read; a file has no such place.
const COORDINATES: &[&str] = &["topic", "kafka_partition", "kafka_offset", "batch_id", "batch_index", "ingested_at"];

/// Flags of `daybook decode`.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The events' format; without it each event is recognised by its shape.
    #[arg(short, long, value_name = "FORMAT", visible_alias = "as", value_parser = parse_event_format)]
    format: Option<Format>,
    /// A file of one event, or of one event a line; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: String,
}

/// Prints one JSON object per entry. What cannot be decoded is reported with its line, and the rest goes on.
pub(crate) fn run(args: &DecodeArgs) -> Result<ExitCode, Failure> {
    let input: Box<dyn Read> = match args.file.as_str() {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(File::open(path).map_err(|error| Failure::file(path, "read", error))?),
    };
    let prices = Book::default_sheet()?;
    let mut out = BufWriter::new(output::data().lock());
    let mut failed = false;
    for_each_event(&args.file, BufReader::with_capacity(1 << 20, input), |line, value| {
        match render(args.format, &prices, value, &mut out) {
            Ok(()) => Ok(()),
            Err(Rejected::Decode(error)) => {
                failed = true;
                let message = format!("{}:{line}: {error}", args.file);
                output::tell_failure(&Failure::plain(error.code(), Kind::Refused, message, Some(error.hint())));
                Ok(())
            }
            Err(Rejected::Output(ArrowError::IoError(_, error))) => Err(Failure::unprintable(error)),
            Err(Rejected::Output(error)) => Err(Failure::unprintable(std::io::Error::other(error))),
        }
    })?;
    out.flush().map_err(Failure::unprintable)?;
    Ok(if failed { ExitCode::from(exit::code(Kind::Refused)) } else { ExitCode::SUCCESS })
}

/// Calls `each` for every line that is a whole JSON value, or once for the whole input if its first line is not.
fn for_each_event(
    name: &str,
    mut input: impl BufRead,
    mut each: impl FnMut(usize, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut read = |buffer: &mut Vec<u8>, whole: bool| -> Result<usize, Failure> {
        let mut bounded = input.by_ref().take(EVENT_BYTES_MAX + 1 - buffer.len() as u64);
        let count = if whole { bounded.read_to_end(buffer) } else { bounded.read_until(b'\n', buffer) };
        let count = count.map_err(|error| Failure::file(name, "read", error))?;
        if buffer.len() as u64 > EVENT_BYTES_MAX {
            let message = format!("{name} holds an event of more than {EVENT_BYTES_MAX} bytes");
            return Err(Failure::plain(
                "CLI-007",
                Kind::Refused,
                message,
                Some("split the file into one event a line".into()),
            ));
        }
        Ok(count)
    };
    let mut buffer = Vec::new();
    read(&mut buffer, false)?;
    let first_is_whole = serde_json::from_slice::<serde::de::IgnoredAny>(&buffer).is_ok();
    if !first_is_whole {
        read(&mut buffer, true)?;
        return each(1, &buffer);
    }
    let mut line = 1;
    loop {
        if !buffer.trim_ascii().is_empty() {
            each(line, &buffer)?;
        }
        buffer.clear();
        line += 1;
        if read(&mut buffer, false)? == 0 {
            return Ok(());
        }
    }
}

enum Rejected {
    Decode(DecodeError),
    Output(ArrowError),
}

fn render(format: Option<Format>, prices: &Book, value: &[u8], out: &mut impl Write) -> Result<(), Rejected> {
    let event = Event { value, headers: &[], timestamp: None };
    let mut entries = Vec::new();
    decode(&event, format, &DecodeOptions { bodies: true }, &mut |entry| entries.push(entry))
        .map_err(Rejected::Decode)?;
    if entries.is_empty() {
        return Ok(());
    }
    let batch = record_batch(prices, &entries).map_err(Rejected::Output)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out);
    writer.write(&batch).and_then(|()| writer.finish()).map_err(Rejected::Output)
}

/// The columns of `usage`, then the texts.
fn record_batch(prices: &Book, entries: &[Entry<'_>]) -> Result<RecordBatch, ArrowError> {
    let now = SystemClock.now();
    let mut builder = UsageBuilder::default();
    for entry in entries {
        let started_at = entry.started_at.unwrap_or(now);
        let buckets = entry.tokens.buckets();
        let rated = prices.price(&Call::of(entry, &buckets, started_at));
        builder.push(&Row {
            entry,
            id: entry.id(),
            started_at,
            buckets: &buckets,
            cost: Cost { list_cost: rated.list_cost, price_id: rated.price_id, price_status: rated.status.as_str() },
            content_sha256: entry.content_sha256(),
            origin: Origin { topic: "", partition: 0, offset: 0, batch_id: "", batch_index: 0, ingested_at: now },
        });
    }
    let batch = builder.finish().map_err(|error| ArrowError::ExternalError(error.into()))?;
    let texts = |text: fn(&str) -> Option<String>, messages: fn(&Entry<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(entries.iter().map(|entry| messages(entry).and_then(|json| text(&json))).collect::<StringArray>())
    };
    let input = |entry: &Entry<'_>| Some(entry.body.as_ref()?.input_messages.as_deref()?.to_owned());
    let output = |entry: &Entry<'_>| Some(entry.body.as_ref()?.output_messages.as_deref()?.to_owned());
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let unknown = COORDINATES.contains(&field.name().as_str())
            || (field.name() == "started_at" || field.name() == "event_date")
                && entries.iter().all(|e| e.started_at.is_none());
        let column = exact(column)?;
        fields.push(Arc::new(Field::new(field.name(), column.data_type().clone(), true)));
        columns.push(if unknown { new_null_array(column.data_type(), column.len()) } else { column });
    }
    for (name, column) in [("prompt_text", texts(prompt_text, input)), ("output_text", texts(output_text, output))] {
        fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Amounts as text: a reader of JSON numbers would make binary floats of them.
fn exact(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Decimal128(..) => cast(column, &DataType::Utf8),
        DataType::Map(entries, sorted) if has_decimals(entries) => {
            let text = Fields::from(vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Utf8, false),
            ]);
            let entries = Field::new(entries.name(), DataType::Struct(text), false);
            cast(column, &DataType::Map(Arc::new(entries), *sorted))
        }
        _ => Ok(Arc::clone(column)),
    }
}

fn has_decimals(entries: &Field) -> bool {
    matches!(entries.data_type(), DataType::Struct(fields) if fields.iter().any(|f| f.data_type().is_decimal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(input: &str) -> Vec<(usize, String)> {
        let mut events = Vec::new();
        for_each_event("x", input.as_bytes(), |line, value| {
            events.push((line, String::from_utf8_lossy(value).trim().to_owned()));
            Ok(())
        })
        .unwrap();
        events
    }

    #[test]
    fn a_file_is_one_event_or_one_a_line() {
        assert_eq!(events("{\"a\":\n1}\n"), [(1, "{\"a\":\n1}".into())]);
        assert_eq!(events("{\"a\":1}\n\n{\"b\":2}"), [(1, "{\"a\":1}".into()), (3, "{\"b\":2}".into())]);
        assert_eq!(events("garbage\n{}"), [(1, "garbage\n{}".into())]);
        assert_eq!(events(""), [(1, String::new())]);
    }
}
