//! Reading messages of `quarantine` after all.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_ledger::price::Book;
use daybook_ledger::{Clock, Ledger};
use futures::TryStreamExt as _;

use super::message::{Filter, Quarantined, files, messages, stream};
use super::record::{Record, Resolution, Resolved};
use crate::Error;
use crate::batch::ClosedBatch;
use crate::core::{self, Core, Effect, Input, Message, Rules};
use crate::decode::Format;
use crate::driver::Control;
use crate::partition::Partition;
use crate::settings::{Capture, FlushLimits};
use crate::writer::{Writer, Written};

/// Stands for a Kafka cluster's name in the position of replays.
const CLUSTER: &str = "quarantine";

/// Everything a replay is told.
#[derive(Clone, Debug, Default)]
pub struct ReplaySettings {
    /// Which messages.
    pub filter: Filter,
    /// Read every message as this format.
    pub format: Option<Format>,
    /// Else, formats by topic; other messages are recognised by header and shape.
    pub formats: BTreeMap<String, Format>,
    /// When to write.
    pub limits: FlushLimits,
    /// What becomes of bodies.
    pub capture: Capture,
    /// Read and count, write nothing.
    pub dry_run: bool,
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Messages that were read before.
    pub known: u64,
    /// Messages read now.
    pub messages: u64,
    /// Calls they hold.
    pub calls: u64,
    /// Entries appended for them; the other calls are in the ledger by another event.
    pub entries: u64,
    /// Messages that still cannot be read, by error code.
    pub refused: BTreeMap<String, u64>,
    /// Told to stop before the end.
    pub stopped: bool,
}

/// Reads the messages that `settings` name and were not read yet, each exactly once.
///
/// # Errors
/// The ledger's; what was committed stands, and the next replay goes on there.
pub async fn replay(
    settings: ReplaySettings,
    ledger: &Ledger,
    prices: Arc<Book>,
    clock: Arc<dyn Clock>,
    control: Control,
) -> Result<Replayed, Error> {
    let mut done = Replayed::default();
    loop {
        let start = Run::start(&settings, ledger, Arc::clone(&prices), &clock, &mut done);
        let mut run = Box::pin(start).await?;
        match Box::pin(run.read_all(&control)).await? {
            Outcome::Finished => return Ok(done),
            // Another replay was faster: what it left is looked at afresh.
            Outcome::Overtaken => done.refused.clear(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Finished,
    Overtaken,
}

struct Run<'r> {
    settings: &'r ReplaySettings,
    ledger: &'r Ledger,
    clock: &'r Arc<dyn Clock>,
    partition: Partition,
    core: Core,
    writer: Writer,
    record: Record,
    /// Messages of the batch that fills.
    waiting: Vec<Resolution>,
    done: &'r mut Replayed,
}

impl<'r> Run<'r> {
    async fn start(
        settings: &'r ReplaySettings,
        ledger: &'r Ledger,
        prices: Arc<Book>,
        clock: &'r Arc<dyn Clock>,
        done: &'r mut Replayed,
    ) -> Result<Self, Error> {
        let partition = Partition { topic: "replay".into(), number: 0 };
        let mut writer = Writer::open(ledger.clone(), CLUSTER.into()).await?;
        let positions = writer.load_positions(std::slice::from_ref(&partition)).await?;
        let rules = Rules {
            limits: settings.limits,
            capture: settings.capture,
            formats: BTreeMap::new(),
            prices,
            worker: rand::random(),
        };
        let mut core = Core::new(rules);
        // Nobody is told of its position.
        core.on(clock.now(), Input::Assigned(positions), &mut Vec::new())?;
        let record = Record::load(ledger).await?;
        Ok(Self { settings, ledger, clock, partition, core, writer, record, waiting: Vec::new(), done })
    }

    async fn read_all(&mut self, control: &Control) -> Result<Outcome, Error> {
        let table = self.ledger.quarantine();
        self.done.known = 0;
        for file in files(&table.load(None).await?) {
            let mut batches = std::pin::pin!(stream(table, &file).await?);
            while let Some(batch) = batches.try_next().await? {
                for message in messages(&batch, file.date)? {
                    if !self.settings.filter.takes(&message) {
                        continue;
                    }
                    if self.read(&message).await? == Outcome::Overtaken {
                        return Ok(Outcome::Overtaken);
                    }
                }
                if control.is_draining() {
                    self.done.stopped = true;
                    return self.feed(Input::Flush).await;
                }
            }
        }
        self.feed(Input::Flush).await
    }

    async fn read(&mut self, message: &Quarantined) -> Result<Outcome, Error> {
        // Nothing is left to read of a message that was erased.
        if message.value.is_empty() {
            return Ok(Outcome::Finished);
        }
        if self.record.has(message) {
            self.done.known += 1;
            return Ok(Outcome::Finished);
        }
        let format = self.settings.format.or_else(|| self.settings.formats.get(&message.at.topic).copied());
        let headers: Vec<(&str, &[u8])> =
            message.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let again = Message {
            topic: &message.at.topic,
            partition: message.at.partition,
            offset: message.at.offset,
            // Whenever it is read again, a call without a time of its own must fall on the same day.
            timestamp: message.timestamp.or(Some(message.quarantined_at)),
            key: message.key.as_deref(),
            value: Some(&message.value),
            headers: &headers,
        };
        let entries = match core::count_entries(&again, format) {
            Ok(entries) => entries,
            Err(code) => {
                *self.done.refused.entry(code.to_owned()).or_default() += 1;
                return Ok(Outcome::Finished);
            }
        };
        if self.settings.dry_run {
            self.done.messages += 1;
            self.done.calls += entries;
            return Ok(Outcome::Finished);
        }
        let entries_known = i64::try_from(entries).unwrap_or(i64::MAX);
        self.waiting.push(Resolution { message: Resolved::of(message), format, entries: entries_known });
        let partition = self.partition.clone();
        self.feed(Input::Replayed(&partition, again, format)).await
    }

    async fn feed(&mut self, input: Input<'_>) -> Result<Outcome, Error> {
        let mut effects = Vec::new();
        self.core.on(self.clock.now(), input, &mut effects)?;
        for effect in effects {
            if let Effect::Write(batch) = effect
                && self.write(&batch).await? == Outcome::Overtaken
            {
                return Ok(Outcome::Overtaken);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Entries first, then the record that their messages are read.
    async fn write(&mut self, batch: &ClosedBatch) -> Result<Outcome, Error> {
        let written = self.writer.write(batch).await?;
        let Written::Committed(counts) = written else { return Ok(Outcome::Overtaken) };
        let waiting = std::mem::take(&mut self.waiting);
        self.done.messages += waiting.len() as u64;
        self.done.calls += waiting.iter().map(|resolution| resolution.entries.unsigned_abs()).sum::<u64>();
        self.done.entries += counts.entries;
        self.record.add(&batch.id, waiting, self.clock.now()).await?;
        self.core.on(self.clock.now(), Input::Written(written), &mut Vec::new())?;
        Ok(Outcome::Finished)
    }
}
