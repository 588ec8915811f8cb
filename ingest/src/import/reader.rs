//! Reads files on threads of their own: finds out which file each is, and hands over the records the ledger lacks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use daybook_ledger::{Clock, Instant, NextOffset};
use tokio::runtime::Handle;

use super::lineage::{Chain, Known};
use super::queue::{Budget, Queue};
use crate::core::Opening;
use crate::decode::Format;
use crate::partition::{Mark, Partition, Positions};
use crate::source::file::{Container, Fault, Input, Record, Records, Refusal, Spot, open};

/// Bytes and records handed over at once.
const CHUNK_BYTES: usize = 512 << 10;
const CHUNK_RECORDS: usize = 2_048;

/// What every reading thread works with.
pub(crate) struct Shared {
    pub(crate) inputs: Vec<Input>,
    pub(crate) known: Known,
    pub(crate) queue: Queue,
    pub(crate) budget: Budget,
    pub(crate) stop: AtomicBool,
    pub(crate) from_start: bool,
    pub(crate) format: Option<Format>,
    pub(crate) bytes_read: Arc<AtomicU64>,
    pub(crate) runtime: Handle,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a reading thread tells.
pub(crate) enum Event {
    /// A file has records that the ledger lacks.
    Opened { file: usize, epoch: u64, opening: Opening },
    /// Some of them.
    Chunk(Chunk),
    /// A file is read.
    Ended { file: usize, ending: Ending },
}

/// How reading a file ended.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// The file as a partition, if it has a record.
    pub(crate) partition: Option<Partition>,
    /// Of its partition when reading began.
    pub(crate) epoch: u64,
    pub(crate) container: Option<Container>,
    /// Records handed over.
    pub(crate) records: u64,
    /// Records before those, which an earlier import accounted for.
    pub(crate) known: u64,
    /// It begins like a file that was imported, and goes on differently.
    pub(crate) changed: bool,
    /// Another import overtook this one: to be read again.
    pub(crate) stale: bool,
    /// Told to stop before its end.
    pub(crate) stopped: bool,
    pub(crate) fault: Option<Fault>,
}

/// Records on their way.
pub(crate) struct Chunk {
    pub(crate) partition: Partition,
    pub(crate) epoch: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) records: Vec<About>,
}

/// A record of a chunk.
pub(crate) struct About {
    /// Where its bytes end in the chunk.
    pub(crate) end: usize,
    pub(crate) offset: i64,
    pub(crate) digest: i64,
    pub(crate) spot: Spot,
    pub(crate) timestamp: Option<Instant>,
    pub(crate) refused: Option<Refusal>,
}

/// Ends the other threads with one that panics: they would wait for its file to be read.
struct Guard<'s>(&'s Shared);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.budget.close();
            self.0.queue.close();
        }
    }
}

/// Reads files until there are none.
pub(crate) fn read_files(shared: &Shared, events: &SyncSender<Event>) {
    let _guard = Guard(shared);
    while let Some(file) = shared.queue.next() {
        let Some(input) = shared.inputs.get(file) else { continue };
        let mut ending = Ending::default();
        let mut reader = Reader { shared, events, file, input };
        ending.fault = reader.read(&mut ending).err();
        if events.send(Event::Ended { file, ending }).is_err() {
            return;
        }
    }
}

struct Reader<'s> {
    shared: &'s Shared,
    events: &'s SyncSender<Event>,
    file: usize,
    input: &'s Input,
}

/// A file as a chain of records.
struct Reading {
    container: Container,
    records: Box<dyn Records>,
    chain: Chain,
    count: i64,
}

impl Reading {
    fn open(input: &Input, shared: &Shared) -> Result<Self, Fault> {
        let opened = open(input, &shared.runtime, &shared.bytes_read)?;
        Ok(Self { container: opened.container, records: opened.records, chain: Chain::default(), count: 0 })
    }

    /// The next record; the chain then has it.
    fn next(&mut self) -> Result<Option<Record<'_>>, Fault> {
        let record = self.records.next_record()?;
        if let Some(record) = &record {
            self.chain = self.chain.then(&record.value);
            self.count += 1;
        }
        Ok(record)
    }
}

/// Which file it is.
struct Resolved {
    number: i32,
    positions: Positions,
    changed: bool,
}

impl Reader<'_> {
    fn read(&mut self, ending: &mut Ending) -> Result<(), Fault> {
        let mut reading = Reading::open(self.input, self.shared)?;
        ending.container = Some(reading.container);
        let Some(first) = reading.next()? else { return Ok(()) };
        let first = (first.value.into_owned(), first.spot, first.timestamp, first.refused);
        let known = &self.shared.known;
        let lease = known.lease(reading.chain.name());
        let (family, epochs) = known.family(&lease.name);
        let resolved = resolve(&mut reading, &family)?;
        let epoch = epochs.get(&resolved.number).copied().unwrap_or_default();
        let partition = Partition { topic: Arc::clone(&lease.name), number: resolved.number };
        ending.partition = Some(partition.clone());
        ending.epoch = epoch;
        ending.changed = resolved.changed;
        let from = match self.shared.from_start {
            true => 0,
            false => resolved.positions.usage.map_or(0, |position| position.0),
        };
        ending.known = from.unsigned_abs();
        let opening = self.opening(partition.clone(), &resolved, &family, from);
        let mut delivery = Delivery {
            reader: self,
            read_at: opening.read_at.micros(),
            epoch,
            opening: Some(opening),
            chunk: Chunk { partition, epoch, data: Vec::new(), records: Vec::new() },
            ending,
        };
        if from == 0 && reading.count == 1 {
            let (value, spot, timestamp, refused) = first;
            delivery.push(1, reading.chain, Record { value: value.into(), spot, timestamp, refused });
        } else {
            drop(first);
            if reading.count != from {
                reading = Reading::open(self.input, self.shared)?;
            }
        }
        delivery.deliver(&mut reading, from, resolved.positions)
    }

    fn opening(
        &self,
        partition: Partition,
        resolved: &Resolved,
        family: &BTreeMap<i32, Positions>,
        from: i64,
    ) -> Opening {
        // Copies of a file, changed or not, date events without a time alike, so that each stays one entry.
        let first_read = resolved.positions.mark.or_else(|| family.values().find_map(|positions| positions.mark));
        let written = self.input.modified.filter(|at| at.is_sane());
        let read_at = first_read.map(|mark| Instant::from_micros(mark.read_at)).or(written);
        Opening {
            partition,
            positions: resolved.positions,
            from,
            name: self.input.name.as_str().into(),
            format: self.shared.format,
            read_at: read_at.unwrap_or_else(|| self.shared.clock.now()),
        }
    }
}

/// Finds the file among those that begin with the same record: the one whose records it has, all of them, and the
/// longest if there are several. `reading` has taken the first record, and ends where the last candidate did.
///
/// # Errors
/// [`Fault::Unreadable`]: a store that is well again later would have it taken for another file.
fn resolve(reading: &mut Reading, family: &BTreeMap<i32, Positions>) -> Result<Resolved, Fault> {
    let longest = family.values().filter_map(|positions| positions.usage).max();
    let mut found = None;
    loop {
        let here = |positions: &Positions| {
            positions.usage == Some(NextOffset(reading.count))
                && positions.mark.is_some_and(|mark| mark.digest == reading.chain.number())
        };
        found = family.iter().find(|(_, positions)| here(positions)).or(found);
        let goes_on = longest.is_some_and(|longest| reading.count < longest.0);
        if !goes_on {
            break;
        }
        match reading.next() {
            Ok(Some(_)) => {}
            Err(fault @ Fault::Unreadable { .. }) => return Err(fault),
            // Damage is there again when the records are read for good.
            Ok(None) | Err(_) => break,
        }
    }
    Ok(match found {
        Some((number, positions)) => Resolved { number: *number, positions: *positions, changed: false },
        None => Resolved {
            number: family.keys().max().map_or(0, |last| last + 1),
            positions: Positions::default(),
            changed: !family.is_empty(),
        },
    })
}

/// Hands records over, in chunks.
struct Delivery<'d, 's> {
    reader: &'d Reader<'s>,
    epoch: u64,
    /// The time of events that have none.
    read_at: i64,
    /// Not told yet: a file without news is never opened.
    opening: Option<Opening>,
    chunk: Chunk,
    ending: &'d mut Ending,
}

impl Delivery<'_, '_> {
    fn deliver(mut self, reading: &mut Reading, from: i64, positions: Positions) -> Result<(), Fault> {
        let delivered = self.deliver_records(reading, from);
        self.send();
        if !self.ending.stale && !self.ending.stopped && self.ending.records > 0 {
            let mark = Some(Mark { digest: reading.chain.number(), read_at: self.read_at });
            let end = NextOffset(reading.count);
            // What was read again changes nothing; what is new is known from now on, for copies of the file.
            if positions.usage < Some(end) {
                let positions = Positions { usage: Some(end), mark, ..positions };
                self.reader.shared.known.advance(&self.chunk.partition, positions, self.epoch);
            }
        }
        delivered
    }

    fn deliver_records(&mut self, reading: &mut Reading, from: i64) -> Result<(), Fault> {
        loop {
            if self.ending.stale || self.ending.stopped {
                return Ok(());
            }
            if let Some(record) = reading.records.next_record()? {
                reading.chain = reading.chain.then(&record.value);
                reading.count += 1;
                if reading.count > from {
                    self.push(reading.count, reading.chain, record);
                }
            } else {
                return Ok(());
            }
        }
    }

    fn push(&mut self, count: i64, chain: Chain, record: Record<'_>) {
        self.chunk.data.extend_from_slice(&record.value);
        self.chunk.records.push(About {
            end: self.chunk.data.len(),
            offset: count - 1,
            digest: chain.number(),
            spot: record.spot,
            timestamp: record.timestamp,
            refused: record.refused,
        });
        self.ending.records += 1;
        if self.chunk.data.len() >= CHUNK_BYTES || self.chunk.records.len() >= CHUNK_RECORDS {
            self.send();
        }
    }

    /// Sends what there is, unless another import overtook this one or everything stops.
    fn send(&mut self) {
        let shared = self.reader.shared;
        if self.chunk.records.is_empty() {
            return;
        }
        if shared.known.epoch(&self.chunk.partition) != self.epoch {
            self.ending.stale = true;
            return;
        }
        let data = std::mem::take(&mut self.chunk.data);
        let records = std::mem::take(&mut self.chunk.records);
        let partition = self.chunk.partition.clone();
        let may_go = shared.budget.take(data.len()) && !shared.stop.load(Ordering::Relaxed);
        if !may_go {
            self.ending.stopped = true;
            return;
        }
        let file = self.reader.file;
        let opened = self.opening.take().map(|opening| Event::Opened { file, epoch: self.epoch, opening });
        let chunk = Event::Chunk(Chunk { partition, epoch: self.epoch, data, records });
        for event in opened.into_iter().chain([chunk]) {
            // Nobody takes records any more.
            self.ending.stopped |= self.reader.events.send(event).is_err();
        }
    }
}
