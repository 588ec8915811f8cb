//! The worker as a state machine without I/O: messages, assignments, replies and ticks in; effects out.
//!
//! The same code runs under [`driver`](crate::driver) and in tests that choose every interleaving. What a crash leaves
//! between any two effects is safe by construction: nothing of a batch counts until one commit holds its rows and its
//! positions, and reading always starts at the positions of the ledger.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_ledger::price::{Book, Call};
use daybook_ledger::{Cost, Entry, Instant, NextOffset, Origin, Row};

use crate::batch::{ClosedBatch, Envelope, OpenBatch, Range, Reason, beyond_cap};
use crate::decode::{self, DecodeError, DecodeOptions, Format};
use crate::event::Event;
use crate::partition::{Mark, Partition, Positions};
use crate::settings::{Capture, FlushLimits};
use crate::writer::Written;
use crate::{Error, Totals};

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A message arrived.
    Message(Message<'a>),
    /// Partitions are ours now, with what the ledger says of them.
    Assigned(Vec<(Partition, Positions)>),
    /// A file is about to be read.
    Opened(Opening),
    /// A record of a file arrived.
    Record(FileRecord<'a>),
    /// A message that was set aside is read again, to be written as another of the partition given.
    Replayed(&'a Partition, Message<'a>, Option<Format>),
    /// Partitions are not ours any more.
    Revoked(Vec<Partition>),
    /// Kafka has nothing of a partition before this offset any more, and reading goes on there.
    Missed(Partition, NextOffset),
    /// The ledger answered the last [`Effect::Write`].
    Written(Written),
    /// Time passed.
    Tick,
    /// Write what there is, without waiting for a limit.
    Flush,
    /// Finish: write what there is, then stop.
    Drain,
}

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Write this batch; answer with [`Input::Written`].
    Write(Box<ClosedBatch>),
    /// Tell Kafka's group where the ledger stands in partitions that are owned, for lag monitors.
    CommitOffsets(Vec<(Partition, NextOffset)>),
    /// Read these partitions again from these positions.
    Restart(Vec<(Partition, Positions)>),
    /// Stop fetching; keep polling.
    Pause,
    /// Fetch again.
    Resume,
    /// Everything is written; stop.
    Stop,
}

/// A message as Kafka delivered it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The message's own time.
    pub timestamp: Option<Instant>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// A file that is about to be read: a partition whose offsets are the numbers of its records.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The file by what it holds.
    pub partition: Partition,
    /// What the ledger says of it.
    pub positions: Positions,
    /// The first record that will come; before the position if the file is read again.
    pub from: i64,
    /// The name its rows carry.
    pub name: Arc<str>,
    /// Its events' format, if it is given.
    pub format: Option<Format>,
    /// The time of events that have none.
    pub read_at: Instant,
}

/// A record of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRecord<'a> {
    /// The file.
    pub partition: &'a Partition,
    /// The record's number, from 0.
    pub offset: i64,
    /// 63 bits of the digest over all records up to and with this one.
    pub digest: i64,
    /// The event.
    pub value: &'a [u8],
    /// Line and byte, as headers of a row in quarantine.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The time its container gives it.
    pub timestamp: Option<Instant>,
    /// Code and message, if its container shows that it cannot be an event.
    pub refused: Option<(&'a str, &'a str)>,
}

/// What the core needs to know to turn messages into rows.
#[derive(Clone, Debug)]
pub struct Rules {
    /// When a batch is full.
    pub limits: FlushLimits,
    /// What becomes of bodies.
    pub capture: Capture,
    /// The format of topics that have one; others are sniffed.
    pub formats: BTreeMap<String, Format>,
    /// The prices in force.
    pub prices: Arc<Book>,
    /// Told apart from every other worker's: batch ids start with it.
    pub worker: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Where the tables will stand when everything closed so far has landed.
    positions: Positions,
    /// The next offset to read; `None` until the first message.
    next: Option<i64>,
    /// If it is a file.
    file: Option<FileSlot>,
}

#[derive(Clone, Debug)]
struct FileSlot {
    name: Arc<str>,
    format: Option<Format>,
    read_at: Instant,
    /// Records before this one are accounted for in the ledger, and are read again for what can be made of them now.
    known_below: i64,
}

impl Slot {
    const fn at(positions: Positions) -> Self {
        Self { positions, next: None, file: None }
    }

    /// The next offset to read, if its place is known.
    fn next_offset(&self) -> Option<i64> {
        self.next.or(self.positions.usage.map(|position| position.0))
    }
}

/// What is known of the batch that is being written.
#[derive(Debug)]
struct InFlight {
    ranges: Vec<(Partition, Range)>,
    opened_at: Option<Instant>,
}

/// The state machine. One batch fills while at most one is being written.
#[derive(Debug)]
pub struct Core {
    rules: Rules,
    slots: BTreeMap<Partition, Slot>,
    /// The partition of the last message: the next one is often of the same.
    last: Option<Partition>,
    open: OpenBatch,
    in_flight: Option<InFlight>,
    batches: u32,
    /// Bytes of messages since the open batch was measured.
    unmeasured: usize,
    paused: bool,
    draining: bool,
    totals: Totals,
}

impl Core {
    /// A worker that owns nothing yet.
    pub fn new(rules: Rules) -> Self {
        let mut core = Self {
            rules,
            slots: BTreeMap::new(),
            last: None,
            open: OpenBatch::default(),
            in_flight: None,
            batches: 0,
            unmeasured: 0,
            paused: false,
            draining: false,
            totals: Totals::default(),
        };
        core.open = core.next_batch();
        core
    }

    /// What was written so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether everything read is in the ledger.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.open.is_empty()
    }

    /// The partitions owned.
    pub fn owned(&self) -> impl Iterator<Item = &Partition> {
        self.slots.keys()
    }

    /// Whether something of `partition` is read and not in the ledger yet.
    pub fn holds(&self, partition: &Partition) -> bool {
        let in_flight = self.in_flight.iter().flat_map(|batch| &batch.ranges).any(|(other, _)| other == partition);
        in_flight || self.open.holds(partition)
    }

    /// Whether nothing is to be fetched because the ledger is slower than Kafka.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Since when the oldest message that is not in the ledger yet waits.
    pub fn uncommitted_since(&self) -> Option<Instant> {
        self.in_flight.as_ref().map_or(self.open.opened_at, |batch| batch.opened_at)
    }

    /// Bytes of rows that wait for their commit to begin, roughly.
    pub fn waiting_bytes(&self) -> usize {
        self.open.bytes()
    }

    /// Where the tables will stand in `partition` when everything closed so far has landed, if it is owned.
    pub fn positions(&self, partition: &Partition) -> Option<Positions> {
        self.slots.get(partition).map(|slot| slot.positions)
    }

    /// The next offset to read of `partition`, if it is owned and its place is known.
    pub fn next_offset(&self, partition: &Partition) -> Option<i64> {
        self.slots.get(partition)?.next_offset()
    }

    /// Takes `input` in at `now` and says what to do.
    ///
    /// # Errors
    /// Only broken invariants.
    pub fn on(&mut self, now: Instant, input: Input<'_>, effects: &mut Vec<Effect>) -> Result<(), Error> {
        match input {
            Input::Message(message) => {
                self.read(now, &message);
                self.close_if_full(message.value.map_or(0, <[u8]>::len), effects)
            }
            Input::Opened(opening) => {
                self.open_file(opening);
                Ok(())
            }
            Input::Record(record) => {
                self.read_record(now, &record);
                self.close_if_full(record.value.len(), effects)
            }
            Input::Replayed(partition, message, format) => {
                self.replay(now, partition, &message, format);
                self.close_if_full(message.value.map_or(0, <[u8]>::len), effects)
            }
            Input::Assigned(partitions) => {
                // A worker that died may have written what it never told the group.
                effects.push(Effect::CommitOffsets(stands(&partitions)));
                for (partition, positions) in partitions {
                    self.open.drop_partitions(std::slice::from_ref(&partition));
                    self.slots.insert(partition, Slot::at(positions));
                }
                // What is new is fetched at once, whatever was paused before.
                if self.paused {
                    effects.push(Effect::Pause);
                }
                Ok(())
            }
            Input::Missed(partition, to) => {
                self.miss(&partition, to, now);
                Ok(())
            }
            Input::Revoked(partitions) => {
                self.slots.retain(|partition, _| !partitions.contains(partition));
                self.open.drop_partitions(&partitions);
                self.stop_if_drained(effects);
                Ok(())
            }
            Input::Written(written) => self.on_written(now, written, effects),
            Input::Tick => {
                // A clock that was set back must not hold a batch until it has caught up.
                let is_due = |at: Instant| now < at || now.millis_since(at) >= self.rules.limits.interval_ms;
                let due = self.open.opened_at.is_some_and(is_due);
                if due { self.flush(effects) } else { Ok(()) }
            }
            Input::Flush => self.flush(effects),
            Input::Drain => {
                self.draining = true;
                self.flush(effects)?;
                self.stop_if_drained(effects);
                Ok(())
            }
        }
    }

    fn close_if_full(&mut self, length: usize, effects: &mut Vec<Effect>) -> Result<(), Error> {
        /// Sizes of columns are added up after so many bytes or rows, not for every message.
        const MEASURE_BYTES: usize = 1 << 20;
        self.unmeasured += length;
        if self.unmeasured < MEASURE_BYTES && !self.open.rows().is_multiple_of(64) {
            return Ok(());
        }
        self.unmeasured = 0;
        if self.is_full() { self.close_or_pause(effects) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.open.rows() >= self.rules.limits.rows_max || self.open.bytes() >= self.rules.limits.bytes_max
    }

    fn next_batch(&mut self) -> OpenBatch {
        self.batches += 1;
        OpenBatch::new(format!("{:016x}-{:08x}", self.rules.worker, self.batches).into())
    }

    fn flush(&mut self, effects: &mut Vec<Effect>) -> Result<(), Error> {
        if self.in_flight.is_none() && !self.open.is_empty() { self.close(effects) } else { Ok(()) }
    }

    fn close_or_pause(&mut self, effects: &mut Vec<Effect>) -> Result<(), Error> {
        if self.in_flight.is_none() {
            return self.close(effects);
        }
        if !self.paused {
            self.paused = true;
            effects.push(Effect::Pause);
        }
        Ok(())
    }

    fn close(&mut self, effects: &mut Vec<Effect>) -> Result<(), Error> {
        let next = self.next_batch();
        let batch = std::mem::replace(&mut self.open, next).close()?;
        for (partition, range) in &batch.ranges {
            if let Some(slot) = self.slots.get_mut(partition) {
                slot.positions.usage = Some(range.to);
                slot.positions.mark = range.mark;
                if range.quarantined > 0 {
                    slot.positions.quarantine = slot.positions.quarantine.max(Some(range.to));
                }
            }
        }
        self.in_flight = Some(InFlight { ranges: batch.ranges.clone(), opened_at: batch.opened_at });
        effects.push(Effect::Write(Box::new(batch)));
        Ok(())
    }

    fn on_written(&mut self, now: Instant, written: Written, effects: &mut Vec<Effect>) -> Result<(), Error> {
        let ranges = self.in_flight.take().map(|batch| batch.ranges).unwrap_or_default();
        match written {
            // The simulation has to notice this.
            Written::Fenced(_) if cfg!(feature = "canary") => {}
            Written::Committed(counts) => {
                self.totals.add(&counts, now);
                let owned = ranges.into_iter().filter(|(partition, _)| self.slots.contains_key(partition));
                effects.push(Effect::CommitOffsets(owned.map(|(partition, range)| (partition, range.to)).collect()));
            }
            Written::Fenced(positions) => {
                self.totals.fenced_batches += 1;
                let mine: Vec<_> = positions.into_iter().filter(|(p, _)| self.slots.contains_key(p)).collect();
                let partitions: Vec<_> = mine.iter().map(|(partition, _)| partition.clone()).collect();
                self.open.drop_partitions(&partitions);
                for (partition, positions) in &mine {
                    self.slots.insert(partition.clone(), Slot::at(*positions));
                }
                // Whoever wrote them does not own them any more.
                effects.push(Effect::CommitOffsets(stands(&mine)));
                effects.push(Effect::Restart(mine));
            }
        }
        if self.paused {
            self.paused = false;
            effects.push(Effect::Resume);
        }
        if !self.open.is_empty() && (self.draining || self.is_full()) {
            self.close(effects)?;
        }
        self.stop_if_drained(effects);
        Ok(())
    }

    fn stop_if_drained(&self, effects: &mut Vec<Effect>) {
        if self.draining && self.is_idle() {
            effects.push(Effect::Stop);
        }
    }

    fn read(&mut self, now: Instant, message: &Message<'_>) {
        let is_its = |p: &Partition| p.number == message.partition && &*p.topic == message.topic;
        if !self.last.as_ref().is_some_and(is_its) {
            self.last = self.slots.keys().find(|partition| is_its(partition)).cloned();
        }
        let Some(partition) = &self.last else { return };
        let Some(slot) = self.slots.get_mut(partition) else { return };
        // Kafka may deliver what was queued before a restart or a revoke: only what comes next is read.
        if self.draining || slot.next_offset().is_some_and(|expected| message.offset < expected) {
            return;
        }
        slot.next = Some(message.offset + 1);
        let index = self.open.open_range(partition, slot.positions, message.offset, now);
        let format = self.rules.formats.get(message.topic).copied();
        self.take(index, message, format, false, now);
    }

    fn replay(&mut self, now: Instant, partition: &Partition, message: &Message<'_>, format: Option<Format>) {
        let Some(slot) = self.slots.get_mut(partition) else { return };
        let offset = slot.next_offset().unwrap_or(0);
        slot.next = Some(offset + 1);
        let index = self.open.open_range(partition, slot.positions, offset, now);
        self.take(index, message, format, true, now);
    }

    /// Records that messages up to `to` are gone, as one message set aside in their place.
    fn miss(&mut self, partition: &Partition, to: NextOffset, now: Instant) {
        let Some(slot) = self.slots.get_mut(partition) else { return };
        let from = slot.next_offset().unwrap_or(0);
        if to.0 <= from {
            return;
        }
        slot.next = Some(to.0);
        let index = self.open.open_range(partition, slot.positions, to.0 - 1, now);
        let text = format!("messages {from} to {} were removed from Kafka before they were read", to.0 - 1);
        let message = Message {
            topic: &partition.topic,
            partition: partition.number,
            offset: from,
            timestamp: None,
            key: None,
            value: None,
            headers: &[],
        };
        self.set_aside(index, &message, Reason { code: MISSED, message: &text, format: None }, false, now);
    }

    fn open_file(&mut self, opening: Opening) {
        let Opening { partition, positions, from, name, format, read_at } = opening;
        // A copy that goes on where another one ended finds the slot as the batches closed so far leave it.
        let slot = self.slots.entry(partition).or_insert(Slot::at(positions));
        let known_below = positions.usage.map_or(0, |position| position.0);
        let read_at = positions.mark.map_or(read_at, |mark| Instant::from_micros(mark.read_at));
        slot.next = Some(from);
        slot.file = Some(FileSlot { name, format, read_at, known_below });
    }

    fn read_record(&mut self, now: Instant, record: &FileRecord<'_>) {
        let FileRecord { partition, offset, digest, value, headers, timestamp, refused } = *record;
        let Some(slot) = self.slots.get_mut(partition) else { return };
        let (Some(next), Some(file)) = (slot.next, slot.file.clone()) else { return };
        if self.draining || offset < next {
            return;
        }
        slot.next = Some(offset + 1);
        let index = self.open.open_range(partition, slot.positions, offset, now);
        self.open.mark(index, offset, Mark { digest, read_at: file.read_at.micros() });
        let message = Message {
            topic: &file.name,
            partition: partition.number,
            offset,
            timestamp: timestamp.or(Some(file.read_at)),
            key: None,
            value: Some(value),
            headers,
        };
        let is_known = offset < file.known_below;
        match refused {
            Some((code, text)) => {
                let reason = Reason { code, message: text, format: file.format.map(Format::as_str) };
                self.set_aside(index, &message, reason, is_known, now);
            }
            None => self.take(index, &message, file.format, is_known, now),
        }
    }

    /// Decodes `message`; `is_known`: it is accounted for already, and only what is new in it counts.
    fn take(&mut self, index: usize, message: &Message<'_>, format: Option<Format>, is_known: bool, now: Instant) {
        let mut entries = Vec::new();
        let options = DecodeOptions { bodies: self.rules.capture != Capture::Off };
        match decode_all(message, format, &options, &mut entries) {
            Ok(()) if entries.is_empty() => self.open.push_empty(index),
            Ok(()) => entries.iter().for_each(|entry| self.push(index, message, entry, now)),
            Err(Undecodable { code, message: text }) => {
                let reason = Reason { code, message: &text, format: format.map(Format::as_str) };
                self.set_aside(index, message, reason, is_known, now);
            }
        }
    }

    fn set_aside(&mut self, index: usize, message: &Message<'_>, reason: Reason<'_>, is_known: bool, now: Instant) {
        if is_known {
            return self.open.push_known(index);
        }
        let envelope = Envelope {
            topic: message.topic,
            partition: message.partition,
            offset: message.offset,
            timestamp: message.timestamp,
            key: message.key,
            value: message.value.unwrap_or_default(),
            headers: message.headers,
        };
        self.open.quarantine(index, &envelope, reason, now);
    }

    fn push(&mut self, index: usize, message: &Message<'_>, entry: &Entry<'_>, now: Instant) {
        let started_at = entry.started_at.filter(|at| at.is_sane()).or(message.timestamp).unwrap_or(now);
        let buckets = entry.tokens.buckets();
        let rated = self.rules.prices.price(&Call::of(entry, &buckets, started_at));
        let batch_id = Arc::clone(&self.open.id);
        let content_sha256 = entry.content_sha256();
        let row = Row {
            entry,
            id: entry.id(),
            started_at,
            buckets: &buckets,
            cost: Cost { list_cost: rated.list_cost, price_id: rated.price_id, price_status: rated.status.as_str() },
            content_sha256,
            origin: Origin {
                topic: message.topic,
                partition: message.partition,
                offset: message.offset,
                batch_id: &batch_id,
                batch_index: i64::try_from(self.open.rows()).unwrap_or(i64::MAX),
                ingested_at: now,
            },
        };
        self.open.push(index, &row, self.rules.capture == Capture::Full);
    }
}

/// Why a message cannot become entries.
struct Undecodable {
    code: &'static str,
    message: Cow<'static, str>,
}

/// Where `usage` stands.
fn stands(partitions: &[(Partition, Positions)]) -> Vec<(Partition, NextOffset)> {
    partitions.iter().filter_map(|(partition, at)| Some((partition.clone(), at.usage?))).collect()
}

/// The entries of `message`; a tombstone has none.
fn decode_all<'a>(
    message: &Message<'a>,
    format: Option<Format>,
    options: &DecodeOptions,
    entries: &mut Vec<Entry<'a>>,
) -> Result<(), Undecodable> {
    let Some(value) = message.value else { return Ok(()) };
    let event = Event { value, headers: message.headers, timestamp: message.timestamp };
    let decoded = decode::decode(&event, format, options, &mut |entry| entries.push(entry));
    decoded.map_err(|error| Undecodable { code: DecodeError::code(&error), message: error.to_string().into() })?;
    match entries.iter().any(beyond_cap) {
        true => Err(Undecodable { code: BEYOND_CAP, message: BEYOND_CAP_MESSAGE.into() }),
        false => Ok(()),
    }
}

/// How many entries `message` holds; the code of what is wrong with it if it cannot be read.
pub(crate) fn count_entries(message: &Message<'_>, format: Option<Format>) -> Result<u64, &'static str> {
    let mut entries = Vec::new();
    let decoded = decode_all(message, format, &DecodeOptions { bodies: false }, &mut entries);
    decoded.map(|()| entries.len() as u64).map_err(|error| error.code)
}

/// Error code of the row that stands for messages which Kafka removed before they were read.
pub const MISSED: &str = "INGEST-102";
/// Error code of events that no sane call can be.
pub const BEYOND_CAP: &str = "INGEST-101";
const BEYOND_CAP_MESSAGE: &str =
    "a count is beyond 100,000,000 tokens or an amount beyond 1,000,000 dollars for one call";

#[cfg(test)]
mod tests;
