//! How long does a worker need from 10,000 events in memory to their commit in the ledger?
//!
//! LiteLLM events take the whole path of a worker without Kafka: decode, check, price, dedup, Parquet, commit. `memory`
//! is the work alone; `folder` adds the files, synced before each commit.
//!
//! ```sh
//! cargo bench --bench append
//! ```
#![expect(clippy::unwrap_used, reason = "a bench that cannot append has no answer to give")]

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_ingest::core::{Core, Effect, Input, Message, Rules};
use daybook_ingest::writer::Writer;
use daybook_ingest::{Capture, FlushLimits, Partition};
use daybook_ledger::price::Book;
use daybook_ledger::{Instant, Ledger, Root};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const EVENTS: usize = 10_000;
const NOW: Instant = Instant::from_micros(1_795_200_000_000_000);

fn main() {
    divan::main();
}

#[divan::bench(args = [Capture::Off, Capture::Full], sample_count = 10, sample_size = 1)]
fn memory(bencher: Bencher<'_, '_>, capture: Capture) {
    let bench = Bench::new();
    let new = || bench.runtime.block_on(Ledger::create_at(Root::memory())).unwrap();
    bench.count(bencher).with_inputs(new).bench_local_values(|ledger| bench.append(ledger, capture));
}

#[divan::bench(args = [Capture::Off, Capture::Full], sample_count = 10, sample_size = 1)]
fn folder(bencher: Bencher<'_, '_>, capture: Capture) {
    let bench = Bench::new();
    let new = || {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path().to_str().unwrap(), true).unwrap();
        (bench.runtime.block_on(Ledger::create_at(root)).unwrap(), folder)
    };
    // The folder is given back, so that removing it is not part of the time.
    bench.count(bencher).with_inputs(new).bench_local_values(|(ledger, folder): (Ledger, TempDir)| {
        bench.append(ledger, capture);
        folder
    });
}

struct Bench {
    runtime: Runtime,
    prices: Arc<Book>,
    events: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        Self { runtime: Runtime::new().unwrap(), prices: Arc::new(Book::default_sheet().unwrap()), events: events() }
    }

    fn count<'a, 'b>(&self, bencher: Bencher<'a, 'b>) -> Bencher<'a, 'b> {
        let bytes: usize = self.events.iter().map(Vec::len).sum();
        bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(EVENTS))
    }

    fn append(&self, ledger: Ledger, capture: Capture) {
        let rules = Rules {
            limits: FlushLimits::default(),
            capture,
            formats: BTreeMap::new(),
            prices: Arc::clone(&self.prices),
            worker: 1,
        };
        let entries = self.runtime.block_on(append(ledger, rules, &self.events));
        assert_eq!(entries, EVENTS as u64, "every event is an entry");
    }
}

/// Reads `events` as one partition and answers how many entries were committed.
async fn append(ledger: Ledger, rules: Rules, events: &[Vec<u8>]) -> u64 {
    let mut writer = Writer::open(ledger, "bench".into()).await.unwrap();
    let mut core = Core::new(rules);
    let partition = Partition { topic: "calls".into(), number: 0 };
    let positions = writer.load_positions(&[partition]).await.unwrap();
    let mut effects = Vec::new();
    core.on(NOW, Input::Assigned(positions), &mut effects).unwrap();
    for (offset, value) in (0..).zip(events) {
        let message = Message {
            topic: "calls",
            partition: 0,
            offset,
            timestamp: None,
            key: None,
            value: Some(value),
            headers: &[],
        };
        core.on(NOW, Input::Message(message), &mut effects).unwrap();
    }
    core.on(NOW, Input::Drain, &mut effects).unwrap();
    while !effects.is_empty() {
        for effect in std::mem::take(&mut effects) {
            if let Effect::Write(batch) = effect {
                let written = writer.write(&batch).await.unwrap();
                core.on(NOW, Input::Written(written), &mut effects).unwrap();
            }
        }
    }
    core.totals().entries
}

/// A fixture over and over, each time another call.
fn events() -> Vec<Vec<u8>> {
    let fixture = include_str!("../tests/fixtures/events/litellm-standard/anthropic-cache.json");
    let mut event: serde_json::Value = serde_json::from_str(fixture).unwrap();
    let mut numbered = |number: usize| {
        let members = event.as_object_mut().unwrap();
        members.insert("id".into(), format!("msg_{number:08}").into());
        members.insert("trace_id".into(), format!("trace-{:08}", number / 3).into());
        members.insert("end_user".into(), format!("user-{}", number % 977).into());
        serde_json::to_vec(&event).unwrap()
    };
    (0..EVENTS).map(&mut numbered).collect()
}
