//! How fast does an event become an entry? One answer per format, with and without prompt and answer.
//!
//! The events are the fixtures of `tests/fixtures/events`, minified as senders write them and held in memory: no broker,
//! no disk, no pricing. One thread:
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

/// Every event of `format`, without the line breaks and blanks that make fixtures readable.
fn fixtures(format: Format) -> Vec<Vec<u8>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events")).join(format.as_str());
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != "expected.json"));
    files.sort();
    let minified = |file: &PathBuf| {
        let event: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        serde_json::to_vec(&event).unwrap()
    };
    files.iter().map(minified).collect()
}
