//! How fast does an event become an entry? One answer per format, with and without prompt and answer.
//!
//! The events are the fixtures of `tests/fixtures/events`, minified as senders write them and held in memory: no broker,
//! no disk, no pricing. To compare a change with `main`:
//!
//! ```sh
//! git switch main && cargo bench --bench decode -- --save-baseline main
//! git switch -     && cargo bench --bench decode -- --baseline main
//! ```
#![expect(clippy::unwrap_used, reason = "a bench whose fixtures are broken has no answer to give")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput};
use daybook_ingest::decode::{DecodeOptions, Format, decode};
use daybook_ingest::event::Event;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for format in Format::ALL {
        decode_fixtures(&mut criterion, *format);
    }
    criterion.final_summary();
}

/// Both throughputs from one run: bytes tell how close to the parser we are, events what a worker can take.
fn decode_fixtures(criterion: &mut Criterion, format: Format) {
    let events = fixtures(format);
    let bytes = events.iter().map(|event| event.len() as u64).sum();
    let mut group = criterion.benchmark_group(format!("decode/{format}"));
    group.throughput(Throughput::ElementsAndBytes { elements: events.len() as u64, bytes });
    for (name, bodies) in [("usage", false), ("bodies", true)] {
        let options = DecodeOptions { bodies };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for event in &events {
                    let mut sink = |entry| drop(black_box(entry));
                    black_box(decode(&Event::of(event), Some(format), &options, &mut sink)).unwrap();
                }
            });
        });
    }
    group.finish();
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
