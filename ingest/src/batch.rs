//! A batch: the rows of one commit and the ranges of messages they come from.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use daybook_ledger::schema::{ContentBuilder, QuarantineBuilder, UsageBuilder};
use daybook_ledger::{Entry, EntryId, Finality, Instant, NextOffset, Row, Status, content_partial};

use crate::Error;
use crate::partition::{Mark, Partition, Positions};

/// Uses bytes of an id as its hash: ids are SHA-256 output already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The day of a call beside its id: ids may start again each day.
    fn write_i32(&mut self, day: i32) {
        self.0 = self.0.wrapping_add(u64::from(day.cast_unsigned()).wrapping_mul(ODD));
    }
}

/// 2⁶⁴ divided by the golden ratio: days that follow one another differ in the high bits too.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A map keyed by entry ids.
pub(crate) type IdMap<V> = HashMap<EntryId, V, BuildHasherDefault<IdHasher>>;

/// A call: an id on a day.
type Call = (EntryId, i32);

/// A map keyed by calls.
type CallMap<V> = HashMap<Call, V, BuildHasherDefault<IdHasher>>;

/// A stretch of one partition that the batch accounts for, message by message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where the tables stood before the batch.
    pub from: Positions,
    /// The position after the batch.
    pub to: NextOffset,
    /// Of a file: what its records up to `to` were.
    pub mark: Option<Mark>,
    /// Messages read.
    pub messages: u64,
    /// Entries they held.
    pub decoded: u64,
    /// Messages set aside.
    pub quarantined: u64,
    /// Messages that hold no model call (tombstones, spans of other kinds).
    pub empty: u64,
}

/// What is known of a row besides its columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowMeta {
    pub(crate) id: EntryId,
    pub(crate) day: i32,
    pub(crate) partition: usize,
    pub(crate) richness: u8,
    /// What of the richness a correction is decided by.
    pub(crate) completeness: u8,
    /// False while a richer event is there, or one as rich of another partition, and once its partition went to another worker.
    pub(crate) alive: bool,
    /// Whether its partition went.
    gone: bool,
}

impl RowMeta {
    const fn call(&self) -> Call {
        (self.id, self.day)
    }
}

/// What is known of a row of the content batch besides its columns. It stands apart from the call's row, which may be of another
/// event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyMeta {
    pub(crate) id: EntryId,
    pub(crate) day: i32,
    pub(crate) partition: usize,
    /// Of the event that brought it.
    pub(crate) finality: Finality,
    pub(crate) completeness: u8,
    /// False while an event is there that is as final and tells more, or one of another partition that tells as much, and once
    /// its partition went to another worker.
    pub(crate) alive: bool,
    /// Whether its partition went.
    gone: bool,
}

impl BodyMeta {
    const fn call(&self) -> Call {
        (self.id, self.day)
    }
}

/// The place of a body that is so final among those of its call.
fn place_of(said: &mut [Option<usize>; 3], finality: Finality) -> &mut Option<usize> {
    let [pending, cut_short, last] = said;
    match finality {
        Finality::Pending => pending,
        Finality::CutShort => cut_short,
        Finality::Final => last,
    }
}

/// A message set aside.
#[derive(Clone, Debug)]
pub(crate) struct QuarantineMeta {
    pub(crate) partition: usize,
    pub(crate) offset: i64,
    pub(crate) alive: bool,
}

/// The batch being filled.
#[derive(Debug, Default)]
pub(crate) struct OpenBatch {
    pub(crate) id: Arc<str>,
    pub(crate) opened_at: Option<Instant>,
    usage: UsageBuilder,
    content: ContentBuilder,
    quarantine: QuarantineBuilder,
    rows: Vec<RowMeta>,
    bodies: Vec<BodyMeta>,
    statuses: Vec<Status>,
    quarantined: Vec<QuarantineMeta>,
    partitions: Vec<Partition>,
    ranges: BTreeMap<usize, Range>,
    /// The place of each call among the rows.
    seen: CallMap<usize>,
    /// The places of its bodies, by how final they are.
    said: CallMap<[Option<usize>; 3]>,
    /// Bytes of tags and headers, of which the builders of maps do not tell.
    map_bytes: usize,
    /// Index of the partition of the last message: the next one is often of the same.
    last: usize,
}

/// A batch on its way to the ledger.
#[derive(Debug)]
pub struct ClosedBatch {
    /// Identifies the batch in the log and in the names of its files.
    pub id: Arc<str>,
    pub(crate) usage: RecordBatch,
    pub(crate) content: RecordBatch,
    /// The same rows, as bodies of events before the end of their calls.
    pub(crate) content_partial: RecordBatch,
    pub(crate) quarantine: RecordBatch,
    pub(crate) rows: Vec<RowMeta>,
    pub(crate) bodies: Vec<BodyMeta>,
    pub(crate) quarantined: Vec<QuarantineMeta>,
    /// What it accounts for.
    pub ranges: Vec<(Partition, Range)>,
    pub(crate) opened_at: Option<Instant>,
    /// The place among `ranges` of that of each partition, by its number.
    pub(crate) range_of: Vec<Option<usize>>,
}

/// A message of a batch, as far as quarantine needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Option<Instant>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
}

/// Why a message is set aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) format: Option<&'a str>,
}

impl OpenBatch {
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self { id, ..Self::default() }
    }

    /// Rows so far, those replaced included.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len() + self.quarantined.len()
    }

    /// Bytes held so far, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.usage.bytes()
            + self.content.bytes()
            + self.quarantine.bytes()
            + self.map_bytes
            + (self.rows.len() + self.bodies.len()) * 64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether it accounts for messages of `partition`.
    pub(crate) fn holds(&self, partition: &Partition) -> bool {
        let index = self.partitions.iter().position(|known| known == partition);
        index.is_some_and(|index| self.ranges.contains_key(&index))
    }

    /// Accounts for the message at `offset`, whose partition stood at `from` when the batch had nothing of it yet.
    pub(crate) fn open_range(&mut self, partition: &Partition, from: Positions, offset: i64, now: Instant) -> usize {
        self.opened_at.get_or_insert(now);
        let index = self.index_of(partition);
        // A file read again from its start moves no position back.
        let to = NextOffset(offset + 1).max(from.usage.unwrap_or(NextOffset(0)));
        let empty = Range { from, to, mark: from.mark, messages: 0, decoded: 0, quarantined: 0, empty: 0 };
        let range = self.ranges.entry(index).or_insert(empty);
        range.to = range.to.max(to);
        range.messages += 1;
        index
    }

    fn index_of(&mut self, partition: &Partition) -> usize {
        if self.partitions.get(self.last) != Some(partition) {
            self.last = self.partitions.iter().position(|known| known == partition).unwrap_or_else(|| {
                self.partitions.push(partition.clone());
                self.partitions.len() - 1
            });
        }
        self.last
    }

    /// Remembers what the records of a file were up to the one at `offset`.
    pub(crate) fn mark(&mut self, partition: usize, offset: i64, mark: Mark) {
        if let Some(range) = self.ranges.get_mut(&partition)
            && range.to == NextOffset(offset + 1)
        {
            range.mark = Some(mark);
        }
    }

    /// Adds one entry, or counts it as a duplicate of one that tells as much.
    pub(crate) fn push(&mut self, partition: usize, row: &Row<'_>, keep_body: bool) {
        if let Some(range) = self.ranges.get_mut(&partition) {
            range.decoded += 1;
        }
        if keep_body && row.content_sha256.is_some() {
            self.push_body(partition, row);
        }
        let richness = row.entry.richness();
        let day = row.started_at.date().days();
        let mut alive = true;
        if let Some(known) = self.seen.get(&(row.id, day)).and_then(|at| self.rows.get_mut(*at)) {
            match known.richness < richness {
                true => known.alive = false,
                false if known.partition == partition => return,
                // It stands in should the other's partition go to another worker.
                false => alive = false,
            }
        }
        self.usage.push(row);
        self.map_bytes += row.entry.tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if alive {
            self.seen.insert((row.id, day), self.rows.len());
        }
        let completeness = row.entry.completeness();
        self.rows.push(RowMeta { id: row.id, day, partition, richness, completeness, alive, gone: false });
    }

    /// Adds what was said, unless the batch has it of an event as final. What an event before the end says stays beside what the end
    /// does: it may be of another partition, which alone is lost to another worker.
    fn push_body(&mut self, partition: usize, row: &Row<'_>) {
        let (finality, completeness) = (row.entry.status.finality(), row.entry.completeness());
        let day = row.started_at.date().days();
        let said = self.said.entry((row.id, day)).or_default();
        let [_, cut_short, last] = *said;
        let more_final = match finality {
            Finality::Pending => cut_short.or(last),
            Finality::CutShort => last,
            Finality::Final => None,
        };
        let place = place_of(said, finality);
        let tells_as_much = |at: &usize| self.bodies.get(*at).is_some_and(|known| known.completeness >= completeness);
        let better = more_final.or_else(|| place.filter(tells_as_much));
        match better.and_then(|at| self.bodies.get(at)) {
            Some(better) if better.partition == partition => return,
            // It stands in should the other's partition go to another worker.
            Some(_) => {}
            None => {
                place.and_then(|at| self.bodies.get_mut(at)).into_iter().for_each(|known| known.alive = false);
                *place = Some(self.bodies.len());
            }
        }
        let alive = better.is_none();
        self.bodies.push(BodyMeta { id: row.id, day, partition, finality, completeness, alive, gone: false });
        self.statuses.push(row.entry.status);
        self.content.push(row);
    }

    /// Counts a message without a model call.
    pub(crate) fn push_empty(&mut self, partition: usize) {
        if let Some(range) = self.ranges.get_mut(&partition) {
            range.empty += 1;
        }
    }

    /// Counts a record that an earlier import accounted for already.
    pub(crate) fn push_known(&mut self, partition: usize) {
        if let Some(range) = self.ranges.get_mut(&partition) {
            range.decoded += 1;
        }
    }

    /// Sets a message aside, whole.
    pub(crate) fn quarantine(&mut self, partition: usize, message: &Envelope<'_>, reason: Reason<'_>, now: Instant) {
        if let Some(range) = self.ranges.get_mut(&partition) {
            range.quarantined += 1;
        }
        let columns = &mut self.quarantine;
        columns.event_date.append_value(message.timestamp.unwrap_or(now).date().days());
        columns.batch_id.append_value(&self.id);
        columns.quarantined_at.append_value(now.micros());
        columns.topic.append_value(message.topic);
        columns.kafka_partition.append_value(message.partition);
        columns.kafka_offset.append_value(message.offset);
        columns.kafka_timestamp.append_option(message.timestamp.map(Instant::micros));
        columns.key.append_option(message.key);
        columns.value.append_value(message.value);
        for (name, value) in message.headers {
            columns.headers.keys().append_value(name);
            columns.headers.values().append_value(value);
            self.map_bytes += name.len() + value.len();
        }
        let closed = columns.headers.append(true);
        debug_assert!(closed.is_ok(), "a header has a name and a value");
        columns.format.append_option(reason.format);
        columns.error_code.append_value(reason.code);
        columns.error_message.append_value(reason.message);
        self.quarantined.push(QuarantineMeta { partition, offset: message.offset, alive: true });
    }

    /// Forgets everything of `partitions`: another worker reads those messages now.
    pub(crate) fn drop_partitions(&mut self, partitions: &[Partition]) {
        let dropped: Vec<usize> = (0..self.partitions.len())
            .filter(|index| self.partitions.get(*index).is_some_and(|known| partitions.contains(known)))
            .collect();
        self.ranges.retain(|index, _| !dropped.contains(index));
        self.drop_rows(&dropped);
        self.drop_bodies(&dropped);
        for row in self.quarantined.iter_mut().filter(|row| dropped.contains(&row.partition)) {
            row.alive = false;
        }
        if self.ranges.is_empty() {
            *self = Self::new(Arc::clone(&self.id));
        }
    }

    /// Of a call that other partitions tell of too, the richest of these stands in.
    fn drop_rows(&mut self, dropped: &[usize]) {
        let mut richest: CallMap<Option<(u8, usize)>> = CallMap::default();
        for (at, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| dropped.contains(&row.partition)) {
            (row.alive, row.gone) = (false, true);
            // The call may meanwhile have a row of another partition.
            if self.seen.get(&row.call()) == Some(&at) {
                self.seen.remove(&row.call());
                richest.insert(row.call(), None);
            }
        }
        for (at, row) in self.rows.iter().enumerate().filter(|(_, row)| !row.gone) {
            if let Some(known) = richest.get_mut(&row.call())
                && known.is_none_or(|(richness, _)| richness < row.richness)
            {
                *known = Some((row.richness, at));
            }
        }
        for (call, at) in richest.into_iter().filter_map(|(call, known)| Some((call, known?.1))) {
            self.rows.get_mut(at).into_iter().for_each(|row| row.alive = true);
            self.seen.insert(call, at);
        }
    }

    /// Likewise of what was said.
    fn drop_bodies(&mut self, dropped: &[usize]) {
        let mut bereft: CallMap<()> = CallMap::default();
        for (at, body) in self.bodies.iter_mut().enumerate().filter(|(_, body)| dropped.contains(&body.partition)) {
            (body.alive, body.gone) = (false, true);
            let places = self.said.get_mut(&body.call()).into_iter().flatten();
            for place in places.filter(|place| **place == Some(at)) {
                *place = None;
                bereft.insert(body.call(), ());
            }
        }
        for at in 0..self.bodies.len() {
            let Some(body) = self.bodies.get(at).filter(|body| !body.gone && bereft.contains_key(&body.call())) else {
                continue;
            };
            let (finality, completeness) = (body.finality, body.completeness);
            let place = place_of(self.said.entry(body.call()).or_default(), finality);
            let known = place.and_then(|known| self.bodies.get(known));
            if known.is_none_or(|known| known.completeness < completeness) {
                place.and_then(|known| self.bodies.get_mut(known)).into_iter().for_each(|known| known.alive = false);
                *place = Some(at);
                self.bodies.get_mut(at).into_iter().for_each(|body| body.alive = true);
            }
        }
    }

    /// Closes the batch.
    pub(crate) fn close(mut self) -> Result<ClosedBatch, Error> {
        let mut range_of = vec![None; self.partitions.len()];
        for (at, index) in self.ranges.keys().enumerate() {
            range_of.get_mut(*index).into_iter().for_each(|place| *place = Some(at));
        }
        let named = |(index, range): (usize, Range)| Some((self.partitions.get(index)?.clone(), range));
        let content = self.content.finish()?;
        Ok(ClosedBatch {
            usage: self.usage.finish()?,
            content_partial: content_partial(&content, &self.statuses)?,
            content,
            quarantine: self.quarantine.finish()?,
            ranges: self.ranges.into_iter().filter_map(named).collect(),
            range_of,
            opened_at: self.opened_at,
            id: self.id,
            rows: self.rows,
            bodies: self.bodies,
            quarantined: self.quarantined,
        })
    }
}

impl ClosedBatch {
    /// The sum of `count` over all ranges.
    pub(crate) fn total(&self, count: impl Fn(&Range) -> u64) -> u64 {
        self.ranges.iter().map(|(_, range)| count(range)).sum()
    }

    /// Messages set aside, by error code.
    pub(crate) fn quarantined_by_code(&self) -> BTreeMap<String, u64> {
        let mut by_code = BTreeMap::new();
        let column = self.quarantine.column_by_name("error_code");
        let words = column.and_then(|codes| codes.as_dictionary_opt::<Int32Type>()?.downcast_dict::<StringArray>());
        let codes = words.into_iter().flatten().zip(&self.quarantined).filter(|(_, row)| row.alive);
        for code in codes.filter_map(|(code, _)| code) {
            *by_code.entry(code.to_owned()).or_default() += 1;
        }
        by_code
    }

    /// How many of the rows `keep` of `usage` have no price.
    pub(crate) fn unpriced(&self, keep: &[u32]) -> u64 {
        let Some(costs) = self.usage.column_by_name("list_cost") else { return 0 };
        keep.iter().filter(|at| costs.is_null(**at as usize)).count() as u64
    }
}

/// The cap of one event, so that no sum over the ledger can wrap.
pub(crate) fn beyond_cap(entry: &Entry<'_>) -> bool {
    let tokens = entry.tokens.counts().into_iter().flatten().any(|count| count.unsigned_abs() > TOKENS_MAX);
    let cost = entry.reported_cost.is_some_and(|cost| cost.pico().unsigned_abs() > PICO_MAX);
    let meters = entry.meters.iter().any(|(_, quantity)| quantity.pico().unsigned_abs() > PICO_MAX * 1_000);
    tokens || cost || meters
}

const TOKENS_MAX: u64 = daybook_ledger::Tokens::EVENT_MAX.unsigned_abs();
const PICO_MAX: u128 = daybook_ledger::Usd::EVENT_MAX.pico().unsigned_abs();
