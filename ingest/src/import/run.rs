//! Runs an import: threads that read, and the loop that takes what they read to its destination.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use daybook_ledger::price::Book;
use daybook_ledger::{Clock, Ledger};
use tokio::runtime::Handle;

use super::dry::{Dry, Preview};
use super::entries::Entries;
use super::lineage::Known;
use super::queue::{Budget, Queue};
use super::reader::{Chunk, Ending, Event, Shared, read_files};
use super::sink::Sink;
use super::{ImportSettings, Summary, Watch};
use crate::Error;
use crate::billing::{count_bills, import_bills, take_bills};
use crate::core::{FileRecord, Rules};
use crate::driver::Control;
use crate::partition::{Partition, Positions};
use crate::quarantine::FILE_HEADER;
use crate::source::file::{Found, Input, find};

/// How long to wait for records: replies and ticks are looked at in between.
const WAIT: Duration = Duration::from_millis(20);
/// Bytes of records between the threads.
const BUDGET_BYTES: usize = 32 << 20;
/// Files whose last records wait for a commit; with more, the positions of one commit become many.
const WAITING_MAX: usize = 256;

/// Imports every file that the addresses name.
///
/// # Errors
/// The ledger's; whatever is reported, everything committed stands and the next run goes on there. Files that cannot be
/// read are in [`Summary::faults`].
pub async fn run(
    settings: ImportSettings,
    ledger: Ledger,
    prices: Arc<Book>,
    clock: Arc<dyn Clock>,
    control: Control,
    watch: Box<dyn Watch>,
) -> Result<Summary, Error> {
    let rules = Rules {
        limits: settings.limits,
        capture: settings.capture,
        formats: BTreeMap::new(),
        prices,
        worker: rand::random(),
    };
    let account = settings.account.clone();
    let (entries, files) = Entries::open(ledger.clone(), rules, Arc::clone(&clock)).await?;
    let now = clock.now();
    let (mut summary, bills) = drive(settings, Box::new(entries), Known::new(files), clock, control, watch).await?;
    if !summary.stopped {
        summary.bills = Box::pin(import_bills(bills, ledger, account, now)).await?;
    }
    Ok(summary)
}

/// Reads and decodes what [`run`] would, and counts. With a ledger, records that are imported already are left out.
///
/// # Errors
/// As [`run`].
pub async fn preview(
    settings: ImportSettings,
    ledger: Option<Ledger>,
    clock: Arc<dyn Clock>,
    control: Control,
    watch: Box<dyn Watch>,
) -> Result<(Summary, Preview), Error> {
    let files = match ledger {
        Some(ledger) => crate::writer::Writer::open_for_files(ledger).await?.files(),
        None => Vec::new(),
    };
    let dry = Dry::default();
    let preview = Arc::clone(&dry.preview);
    let (mut summary, bills) = drive(settings, Box::new(dry), Known::new(files), clock, control, watch).await?;
    summary.bills = Box::pin(count_bills(bills)).await;
    let preview = preview.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((summary, preview))
}

async fn drive(
    settings: ImportSettings,
    sink: Box<dyn Sink>,
    known: Known,
    clock: Arc<dyn Clock>,
    control: Control,
    mut watch: Box<dyn Watch>,
) -> Result<(Summary, Vec<Input>), Error> {
    let began = clock.now();
    let Found { mut inputs, faults } = find(&settings.addresses).await;
    // Who states a format means events.
    let bills = if settings.format.is_none() { take_bills(&mut inputs).await } else { Vec::new() };
    watch.start(inputs.len() as u64, inputs.iter().map(|input| input.size).sum());
    let queue = Queue::default();
    (0..inputs.len()).for_each(|file| queue.push(file));
    let shared = Arc::new(Shared {
        known,
        queue,
        budget: Budget::new(BUDGET_BYTES),
        stop: AtomicBool::new(false),
        from_start: settings.from_start,
        format: settings.format,
        bytes_read: Arc::new(AtomicU64::new(0)),
        runtime: Handle::current(),
        clock: Arc::clone(&clock),
        inputs,
    });
    let summary = Summary { files: shared.inputs.len() as u64, faults, ..Summary::default() };
    let work = tokio::task::spawn_blocking(move || {
        let (events, events_in) = sync_channel(2 * settings.jobs);
        let readers: Vec<_> = (0..settings.jobs.min(shared.inputs.len()).max(1))
            .map(|_| {
                let (shared, events) = (Arc::clone(&shared), events.clone());
                std::thread::spawn(move || read_files(&shared, &events))
            })
            .collect();
        drop(events);
        let mut driver = Driver {
            unread: shared.inputs.len(),
            shared: Arc::clone(&shared),
            sink,
            control,
            watch,
            waiting: BTreeMap::new(),
            summary,
        };
        let outcome = driver.run(events_in);
        shared.stop.store(true, Ordering::Relaxed);
        shared.queue.close();
        shared.budget.close();
        let panicked = readers.into_iter().map(std::thread::JoinHandle::join).any(|joined| joined.is_err());
        outcome?;
        match panicked {
            true => Err(Error::Internal { found: "a reading thread panicked".into() }),
            false => Ok(driver.finish()),
        }
    });
    let mut summary = work.await.map_err(|error| Error::Internal { found: error.to_string() })??;
    let millis = clock.now().millis_since(began);
    summary.elapsed = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    Ok((summary, bills))
}

/// A file, or copies of one, of which something may not be in the ledger yet.
#[derive(Debug, Default)]
struct Waiting {
    files: BTreeSet<usize>,
    reading: BTreeSet<usize>,
}

struct Driver {
    shared: Arc<Shared>,
    sink: Box<dyn Sink>,
    control: Control,
    watch: Box<dyn Watch>,
    /// Files not read to their end yet.
    unread: usize,
    waiting: BTreeMap<Partition, Waiting>,
    summary: Summary,
}

impl Driver {
    fn run(&mut self, events: Receiver<Event>) -> Result<(), Error> {
        let mut commits = 0;
        loop {
            if self.control.is_draining() && !self.summary.stopped {
                self.summary.stopped = true;
                self.shared.stop.store(true, Ordering::Relaxed);
                self.shared.budget.close();
                self.shared.queue.close();
            }
            let mut ended = false;
            match self.sink.is_ready().then(|| events.recv_timeout(WAIT)) {
                None => std::thread::sleep(WAIT),
                Some(Err(RecvTimeoutError::Timeout)) => {}
                // Every reading thread is gone, which happens when all stops.
                Some(Err(RecvTimeoutError::Disconnected)) => {
                    (self.unread, ended) = (0, true);
                    self.waiting.values_mut().for_each(|waiting| waiting.reading.clear());
                    std::thread::sleep(WAIT);
                }
                Some(Ok(event)) => ended = self.take(event)?,
            }
            let read: usize = self.waiting.values().filter(|waiting| waiting.reading.is_empty()).count();
            let flush = self.unread == 0 || read >= WAITING_MAX;
            for (partition, positions) in self.sink.turn(flush)? {
                self.read_again(partition, positions)?;
            }
            let now = self.sink.totals().commits;
            if ended || now != commits {
                commits = now;
                self.close_landed()?;
                self.watch_progress();
            }
            if self.unread == 0 && self.waiting.is_empty() && self.sink.is_idle() {
                return Ok(());
            }
        }
    }

    /// Takes in what a thread tells; true when a file ended.
    fn take(&mut self, event: Event) -> Result<bool, Error> {
        match event {
            Event::Opened { file, epoch, opening } => {
                if self.is_current(&opening.partition, epoch) {
                    let waiting = self.waiting.entry(opening.partition.clone()).or_default();
                    waiting.files.insert(file);
                    waiting.reading.insert(file);
                    self.sink.open(opening)?;
                }
                Ok(false)
            }
            Event::Chunk(chunk) => {
                let bytes = chunk.data.len();
                let taken = self.take_chunk(&chunk);
                self.shared.budget.give_back(bytes);
                self.watch_progress();
                taken.map(|()| false)
            }
            Event::Ended { file, ending } => {
                self.end(file, ending);
                Ok(true)
            }
        }
    }

    fn is_current(&self, partition: &Partition, epoch: u64) -> bool {
        self.shared.known.epoch(partition) == epoch
    }

    fn take_chunk(&mut self, chunk: &Chunk) -> Result<(), Error> {
        if !self.is_current(&chunk.partition, chunk.epoch) {
            return Ok(());
        }
        let file = chunk.partition.to_string();
        let mut start = 0;
        for about in &chunk.records {
            let value = chunk.data.get(start..about.end).unwrap_or_default();
            start = about.end;
            let (line, byte) = (about.spot.line.to_string(), about.spot.byte.map(|byte| byte.to_string()));
            let mut headers: Vec<(&str, &[u8])> = vec![("daybook-line", line.as_bytes())];
            headers.extend(byte.as_ref().map(|byte| ("daybook-byte", byte.as_bytes())));
            headers.push((FILE_HEADER, file.as_bytes()));
            self.sink.take(FileRecord {
                partition: &chunk.partition,
                offset: about.offset,
                digest: about.digest,
                value,
                headers: &headers,
                timestamp: about.timestamp,
                refused: about.refused.as_ref().map(|refused| (refused.code, refused.message.as_str())),
            })?;
        }
        Ok(())
    }

    fn end(&mut self, file: usize, ending: Ending) {
        let mut overtaken = ending.stale;
        if let Some(partition) = ending.partition {
            overtaken |= ending.records > 0 && !self.is_current(&partition, ending.epoch);
            if let Some(waiting) = self.waiting.get_mut(&partition) {
                waiting.reading.remove(&file);
            }
        }
        if overtaken && !self.summary.stopped {
            return self.shared.queue.push(file);
        }
        self.unread = self.unread.saturating_sub(1);
        self.summary.records_known += ending.known;
        self.summary.files_known += u64::from(ending.records == 0 && ending.known > 0);
        self.summary.faults.extend(ending.fault);
        if let Some(container) = ending.container {
            *self.summary.containers.entry(container).or_default() += 1;
        }
        if ending.changed
            && let Some(input) = self.shared.inputs.get(file)
        {
            self.watch.notice(&format!(
                "{} begins like a file that was imported and goes on differently: all of it is read, calls that are in the \
                 ledger count as duplicates",
                input.name
            ));
        }
    }

    /// Another import was faster with a file: what is not in the ledger is forgotten, and its copies are read again.
    fn read_again(&mut self, partition: Partition, positions: Positions) -> Result<(), Error> {
        self.shared.known.overtaken(&partition, positions);
        self.sink.close(&partition)?;
        let waiting = self.waiting.remove(&partition).unwrap_or_default();
        // Those still being read notice by themselves.
        for file in waiting.files.difference(&waiting.reading) {
            self.unread += 1;
            self.shared.queue.push(*file);
        }
        Ok(())
    }

    /// Forgets files that are read and in the ledger.
    fn close_landed(&mut self) -> Result<(), Error> {
        let landed = |(partition, waiting): (&Partition, &Waiting)| {
            (waiting.reading.is_empty() && !self.sink.holds(partition)).then(|| partition.clone())
        };
        let landed: Vec<_> = self.waiting.iter().filter_map(landed).collect();
        for partition in landed {
            let known = &self.shared.known;
            if let Some(positions) = self.sink.positions(&partition) {
                known.advance(&partition, positions, known.epoch(&partition));
            }
            self.sink.close(&partition)?;
            self.waiting.remove(&partition);
        }
        Ok(())
    }

    fn watch_progress(&mut self) {
        let bytes = self.shared.bytes_read.load(Ordering::Relaxed);
        self.watch.advance(bytes, &self.sink.totals());
    }

    fn finish(mut self) -> Summary {
        self.watch_progress();
        self.summary.bytes = self.shared.bytes_read.load(Ordering::Relaxed);
        self.summary.totals = self.sink.totals();
        self.summary
    }
}
