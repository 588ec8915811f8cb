//! `decode_to_parquet FILE.jsonl OUT_DIR [--bodies] [--threads N]`: how fast is a worker when Kafka is not the limit?
//!
//! One message a line takes the product's own path into a new ledger at OUT_DIR: decode, check, price, dedup, batches at
//! the default limits, synced Parquet files, Delta commits; as in a worker, one batch fills while the last is written.
//! With `--threads N` the file is read as N partitions by N workers on one ledger. Prints one JSON line; `seconds` is
//! from the first byte read to the last commit. `run.py` runs it beside the peer. Without arguments, as under a plain
//! `cargo bench`, it does nothing.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc as reply};
use std::time::Instant;

use clap::Parser;
use daybook_ingest::core::{Core, Effect, Input, Message, Rules};
use daybook_ingest::writer::{Writer, Written};
use daybook_ingest::{Capture, ClosedBatch, Error as IngestError, FlushLimits, Partition, Positions, Totals};
use daybook_ledger::price::Book;
use daybook_ledger::{Clock as _, Ledger, SystemClock};
use serde_json::json;
use tokio::sync::mpsc;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const TOPIC: &str = "events";
const READ_BYTES: usize = 1 << 20;
/// As in a worker, replies and the clock are looked at once in so many messages.
const MESSAGES_PER_ROUND: i64 = 512;

/// Errors cross threads on their way to `main`.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reads a file of events into a new ledger and says how long that took.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(required_unless_present = "bench")]
    file: Option<PathBuf>,
    #[arg(required_unless_present = "bench")]
    out_dir: Option<String>,
    /// Keep prompts and answers.
    #[arg(long)]
    bodies: bool,
    /// Workers; with one, FILE may be a pipe.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let (Some(file), Some(out_dir)) = (arguments.file, arguments.out_dir) else { return Ok(()) };
    let ledger = Ledger::open_or_create(&out_dir).await?;
    let prices = Arc::new(Book::default_sheet()?);
    let capture = if arguments.bodies { Capture::Full } else { Capture::Off };

    let started = Instant::now();
    let mut workers = Vec::new();
    for (number, range) in (0_u16..).zip(lines_in_parts(&file, arguments.threads)?) {
        let rules = Rules {
            limits: FlushLimits::default(),
            capture,
            formats: BTreeMap::new(),
            prices: Arc::clone(&prices),
            worker: u64::from(number),
        };
        let partition = Partition { topic: TOPIC.into(), number: i32::from(number) };
        workers.push(tokio::spawn(ingest(ledger.clone(), rules, partition, file.clone(), range)));
    }
    let mut bytes = 0;
    let mut totals = Totals::default();
    for worker in workers {
        let (read, of_worker) = worker.await??;
        bytes += read;
        totals.messages += of_worker.messages;
        totals.entries += of_worker.entries;
        totals.duplicates += of_worker.duplicates;
        totals.quarantined += of_worker.quarantined;
        totals.commits += of_worker.commits;
    }
    let figures = json!({
        "events": totals.messages,
        "bytes": bytes,
        "seconds": started.elapsed().as_secs_f64(),
        "entries": totals.entries,
        "duplicates": totals.duplicates,
        "quarantined": totals.quarantined,
        "commits": totals.commits,
    });
    println!("{figures}");
    Ok(())
}

/// Cuts the file into `parts` stretches of about the same length, each from the start of a line.
fn lines_in_parts(path: &Path, parts: u16) -> io::Result<Vec<Range<u64>>> {
    let mut file = File::open(path)?;
    let length = if parts == 1 { u64::MAX } else { file.metadata()?.len() };
    let mut ranges = Vec::new();
    let mut start = 0;
    for part in 1..=u64::from(parts) {
        let end = if part == u64::from(parts) {
            length
        } else {
            let middle = length / u64::from(parts) * part;
            file.seek(SeekFrom::Start(middle))?;
            middle + BufReader::new(&file).skip_until(b'\n')? as u64
        };
        ranges.push(start..end);
        start = end;
    }
    Ok(ranges)
}

/// One worker, one partition: a thread that reads and decodes, a task that writes.
async fn ingest(
    ledger: Ledger,
    rules: Rules,
    partition: Partition,
    file: PathBuf,
    range: Range<u64>,
) -> Result<(u64, Totals), Failure> {
    let mut writer = Writer::open(ledger, "file".into()).await?;
    let positions = writer.load_positions(std::slice::from_ref(&partition)).await?;
    let (batches, mut batches_in) = mpsc::channel::<Box<ClosedBatch>>(1);
    let (replies, replies_in) = reply::channel();
    let writing = tokio::spawn(async move {
        while let Some(batch) = batches_in.recv().await {
            let written = writer.write(&batch).await;
            drop(batch);
            if replies.send(written).is_err() {
                return;
            }
        }
    });
    let reading = tokio::task::spawn_blocking(move || {
        let mut worker = Worker { core: Core::new(rules), batches, replies: replies_in, paused: false, stopped: false };
        let read = worker.read(&file, range, &partition, positions)?;
        Ok::<_, Failure>((read, worker.core.totals().clone()))
    });
    let done = reading.await?;
    writing.await?;
    done
}

struct Worker {
    core: Core,
    batches: mpsc::Sender<Box<ClosedBatch>>,
    replies: reply::Receiver<Result<Written, IngestError>>,
    paused: bool,
    stopped: bool,
}

impl Worker {
    /// Reads every line of `range` and returns once all of them are committed; answers the bytes read.
    fn read(
        &mut self,
        path: &Path,
        range: Range<u64>,
        partition: &Partition,
        positions: Vec<(Partition, Positions)>,
    ) -> Result<u64, Failure> {
        self.feed(Input::Assigned(positions))?;
        let mut file = File::open(path)?;
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        let mut lines = BufReader::with_capacity(READ_BYTES, file.take(range.end - range.start));
        let (mut bytes, mut line) = (0, Vec::new());
        for offset in 0.. {
            line.clear();
            bytes += lines.read_until(b'\n', &mut line)? as u64;
            if line.is_empty() {
                break;
            }
            let message = Message {
                topic: &partition.topic,
                partition: partition.number,
                offset,
                timestamp: None,
                key: None,
                value: Some(line.strip_suffix(b"\n").unwrap_or(&line)),
                headers: &[],
            };
            self.feed(Input::Message(message))?;
            if offset % MESSAGES_PER_ROUND == 0 {
                while let Ok(written) = self.replies.try_recv() {
                    self.feed(Input::Written(written?))?;
                }
                self.feed(Input::Tick)?;
            }
            while self.paused {
                self.take_reply()?;
            }
        }
        self.feed(Input::Drain)?;
        while !self.stopped {
            self.take_reply()?;
        }
        Ok(bytes)
    }

    fn take_reply(&mut self) -> Result<(), Failure> {
        let written = self.replies.recv()??;
        self.feed(Input::Written(written))
    }

    fn feed(&mut self, input: Input<'_>) -> Result<(), Failure> {
        let mut effects = Vec::new();
        self.core.on(SystemClock.now(), input, &mut effects)?;
        for effect in effects {
            match effect {
                Effect::Write(batch) => self.batches.try_send(batch)?,
                Effect::Pause => self.paused = true,
                Effect::Resume => self.paused = false,
                Effect::Stop => self.stopped = true,
                Effect::CommitOffsets(_) => {}
                Effect::Restart(_) => return Err("another writer owns this partition: is OUT_DIR a new folder?".into()),
            }
        }
        Ok(())
    }
}
