//! How fast does an event become an entry? One answer per format, with and without prompt and answer, and beside them what
//! reading the same events into `serde_json::Value` takes, before anything is done with it.
//!
//! The events are the fixtures of `tests/fixtures/events`, minified as senders write them, their longest text drawn out
//! until an event has the 2 KB of a usual call, and held in memory: no broker, no disk, no pricing. One thread:
//!
//! ```sh
//! cargo bench --bench decode
//! ```
#![expect(clippy::unwrap_used, reason = "a bench whose fixtures are broken has no answer to give")]

use std::fs;
use std::path::{Path, PathBuf};

use daybook_ingest::decode::{DecodeOptions, Format, decode};
use daybook_ingest::event::Event;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box, black_box_drop};
use serde_json::Value;

fn main() {
    divan::main();
}

/// What most ledgers keep of a call: numbers and features, no body.
#[divan::bench(args = Format::ALL)]
fn usage(bencher: Bencher<'_, '_>, format: &Format) {
    decode_fixtures(bencher, *format, DecodeOptions { bodies: false });
}

/// With prompt and answer.
#[divan::bench(args = Format::ALL)]
fn bodies(bencher: Bencher<'_, '_>, format: &Format) {
    decode_fixtures(bencher, *format, DecodeOptions { bodies: true });
}

/// The peer: where a decoder over values would begin.
#[divan::bench(args = Format::ALL)]
fn value(bencher: Bencher<'_, '_>, format: &Format) {
    let events = fixtures(*format);
    let bytes: usize = events.iter().map(Vec::len).sum();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            black_box_drop(serde_json::from_slice::<Value>(black_box(event)).unwrap());
        }
    });
}

/// Both throughputs from one run: bytes tell how close to the parser we are, events what a worker can take.
fn decode_fixtures(bencher: Bencher<'_, '_>, format: Format, options: DecodeOptions) {
    let events = fixtures(format);
    let bytes: usize = events.iter().map(Vec::len).sum();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            decode(&Event::of(black_box(event)), Some(format), &options, &mut black_box_drop).unwrap();
        }
    });
}

/// A usual event's length in bytes.
const EVENT_BYTES: usize = 2_048;

/// Every event of `format`, without the line breaks and blanks that make fixtures readable, as long as usual events.
fn fixtures(format: Format) -> Vec<Vec<u8>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events")).join(format.as_str());
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != "expected.json"));
    files.sort();
    files.iter().map(|file| usual(serde_json::from_slice(&fs::read(file).unwrap()).unwrap())).collect()
}

/// The event with its longest text, mostly a prompt, drawn out.
fn usual(mut event: Value) -> Vec<u8> {
    let missing = EVENT_BYTES.saturating_sub(event.to_string().len());
    if let Some(text) = longest_text(&mut event) {
        text.push_str(&" and so on".repeat(missing / 10));
    }
    event.to_string().into_bytes()
}

/// The longest string of several words: ids and encoded bytes are of one.
fn longest_text(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => text.contains(' ').then_some(text),
        Value::Array(items) => items.iter_mut().filter_map(longest_text).max_by_key(|text| text.len()),
        Value::Object(members) => members.values_mut().filter_map(longest_text).max_by_key(|text| text.len()),
        _ => None,
    }
}
