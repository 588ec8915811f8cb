//! Runs the [`Core`]'s effects on Kafka, tokio and the ledger.
//!
//! One thread polls and feeds the core; one task writes. Rebalances and heartbeats therefore go on while the ledger is
//! slow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daybook_ledger::price::Book;
use daybook_ledger::{Clock, Instant, Ledger, NextOffset};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};

use crate::core::{Core, Effect, Input, Message, Rules};
use crate::ends::Ends;
use crate::group::Group;
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::partition::{Partition, Positions};
use crate::settings::{OnGap, Settings};
use crate::source::brokers::{Brokers, look_up_cluster};
use crate::source::kafka::{Change, Fault, Gap, Places, Source};
use crate::stall::{self, Stalls};
use crate::writer::{LookUp, Writer, Written};
use crate::writing::Writing;
use crate::{Error, Totals};

/// How long one poll waits when nothing comes, and how long messages are read in a row: replies and ticks are looked at in
/// between.
const POLL: Duration = Duration::from_millis(20);

/// One that is fenced again so soon after it joined anew has a rival.
const RIVAL_MS: i64 = 60_000;

/// How long a worker that is done waits for the group to take the last offsets, so that its lag reads zero.
const FAREWELL_MS: i64 = 10_000;

/// What the outside may tell a running worker, and read of it.
#[derive(Clone, Debug, Default)]
pub struct Control {
    drain: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Control {
    /// Finishes: what was read is written, then [`run`] returns.
    pub fn drain(&self) {
        self.drain.store(true, Ordering::Relaxed);
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.load(Ordering::Relaxed)
    }
}

/// Whether [`run`] could start: librdkafka takes the settings, the brokers answer, the topics exist.
///
/// # Errors
/// [`Error::KafkaSetting`], [`Error::BrokerUnavailable`], [`Error::NoSuchTopic`].
pub async fn check(settings: &Settings) -> Result<(), Error> {
    let settings = settings.clone();
    blocking(move || look_up_cluster(&settings)).await?.map(drop)
}

/// Ingests until told to stop, or until the end offsets seen at the start.
///
/// `on_commit` is called after every commit with the totals so far.
///
/// # Errors
/// See [`Error`]; whatever is reported, everything committed stands and everything else is read again next time.
pub async fn run(
    settings: Settings,
    ledger: Ledger,
    prices: Arc<Book>,
    clock: Arc<dyn Clock>,
    control: Control,
    on_commit: impl FnMut(&Totals) + Send + 'static,
) -> Result<Totals, Error> {
    let lookup = settings.clone();
    let cluster = blocking(move || look_up_cluster(&lookup)).await??;
    tracing::info!(cluster = cluster.id, topics = ?settings.topics, group = settings.group, ledger = %ledger.root().url, "ingest starts");
    let metrics = Arc::clone(control.metrics());
    let observer = match settings.metrics_listen {
        Some(listen) => Some(Observer::start(listen, &settings, ledger.clone(), &metrics, &clock).await?),
        None => None,
    };
    let writer = Writer::open(ledger.clone(), cluster.id.clone()).await?.observed_by(Arc::clone(&metrics));
    let look_up = LookUp::new(ledger, cluster.id, Arc::clone(&metrics));
    let (writing, written) = Writing::start(writer);

    let rules = Rules {
        limits: settings.limits,
        capture: settings.capture,
        formats: settings.formats.clone(),
        prices,
        worker: rand::random(),
    };
    let places = LedgerPlaces { runtime: tokio::runtime::Handle::current(), look_up };
    let totals = blocking(move || {
        let places: Arc<dyn Places> = Arc::new(places);
        let source = Source::subscribe(&settings, Arc::clone(&places))?;
        let ends = settings.until_end.then(|| Ends::new(cluster.logs));
        let mut worker = Worker {
            core: Core::new(rules),
            group: Group::default(),
            places,
            source,
            rejoined_at: None,
            stalls: Stalls::new(settings.silence_max),
            writing,
            clock,
            ends,
            settings,
            control,
            metrics,
            on_commit: Box::new(on_commit),
            stopped_at: None,
        };
        worker.run()?;
        Ok::<_, Error>(worker.core.totals().clone())
    })
    .await?;
    drop(observer);
    // The worker is gone, and with it the channel: the writing task has ended or ends now.
    written.await.map_err(|error| Error::Internal { found: error.to_string() })?;
    totals
}

/// Looks positions up off the runtime.
struct LedgerPlaces {
    runtime: tokio::runtime::Handle,
    look_up: LookUp,
}

impl Places for LedgerPlaces {
    fn look_up(&self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        self.runtime.block_on(self.look_up.load(partitions))
    }

    fn begin_at(&self, starts: &[(Partition, NextOffset)]) -> Result<Vec<(Partition, Positions)>, Error> {
        self.runtime.block_on(self.look_up.begin_at(starts))
    }
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal { found: error.to_string() })
}

struct Worker {
    core: Core,
    group: Group,
    places: Arc<dyn Places>,
    source: Source,
    rejoined_at: Option<Instant>,
    stalls: Stalls,
    writing: Writing,
    clock: Arc<dyn Clock>,
    /// Where to stop, if anywhere.
    ends: Option<Ends>,
    settings: Settings,
    control: Control,
    metrics: Arc<Metrics>,
    on_commit: Box<dyn FnMut(&Totals) + Send>,
    stopped_at: Option<Instant>,
}

impl Worker {
    fn run(&mut self) -> Result<(), Error> {
        let mut draining = false;
        while !self.may_leave() {
            let began = std::time::Instant::now();
            while self.poll()? && began.elapsed() < POLL {}
            self.take_replies()?;
            self.feed(Input::Tick)?;
            self.metrics.turned(self.clock.now(), self.core.uncommitted_since(), self.core.waiting_bytes());
            let at_end = self.is_at_end()?;
            // A batch given up to another worker is read again, so the end counts only once everything is written.
            if at_end && !self.core.is_idle() {
                self.feed(Input::Flush)?;
            } else if !draining && (at_end || self.control.is_draining()) {
                draining = true;
                self.metrics.stopping();
                self.feed(Input::Drain)?;
            }
            if !draining {
                self.end_stall()?;
            }
        }
        self.source.leave();
        Ok(())
    }

    /// Whether everything is written, and the group knows it or does not listen.
    fn may_leave(&self) -> bool {
        let Some(stopped_at) = self.stopped_at else { return false };
        let is_told = self.group.is_told();
        let waits = (0..FAREWELL_MS).contains(&self.clock.now().millis_since(stopped_at));
        if !is_told && !waits {
            tracing::warn!("the group did not take the last offsets: lag monitors lag until a worker starts");
        }
        is_told || !waits
    }

    /// Takes in one message or change of the assignment; false when nothing came.
    fn poll(&mut self) -> Result<bool, Error> {
        let polled = self.source.poll(POLL);
        let mut changes = Vec::new();
        while let Some(change) = self.source.next_change() {
            changes.push(change);
        }
        let now = self.clock.now();
        let mut effects = Vec::new();
        for change in changes {
            let input = match change {
                Change::Assigned(positions) => {
                    self.refuse_beyond_end(&positions)?;
                    self.metrics.assigned(positions.iter().map(|(partition, at)| (partition.clone(), at.usage)));
                    Input::Assigned(positions)
                }
                Change::Revoked(partitions) => {
                    self.metrics.revoked(&partitions);
                    self.group.revoked(&partitions);
                    Input::Revoked(partitions)
                }
                Change::Told(offsets) => {
                    self.group.took(offsets);
                    continue;
                }
                Change::Refused => {
                    self.metrics.refused_offsets();
                    continue;
                }
                Change::Failed(error) => return Err(error),
            };
            self.core.on(now, input, &mut effects)?;
        }
        let came = polled.is_some();
        match polled {
            Some(Ok(message)) => {
                self.metrics.read(message.payload_len());
                read(&mut self.core, now, &message, &mut effects)?;
            }
            Some(Err(KafkaError::PartitionEOF(number))) => {
                if let Some(ends) = &mut self.ends {
                    ends.reached(number);
                }
            }
            Some(Err(error)) => {
                self.carry_out(std::mem::take(&mut effects))?;
                match Source::fault(error) {
                    Some(Fault::Fatal(error)) => return Err(error),
                    Some(Fault::Fenced(error)) => self.rejoin(error)?,
                    Some(Fault::OutOfRange(error)) => self.cross_gaps(error)?,
                    None => {}
                }
            }
            None => {}
        }
        self.carry_out(effects)?;
        Ok(came)
    }

    /// Joins the group anew after it said that another worker has this one's instance id. So it says too where there is no
    /// other: librdkafka forgets who it was in the group when brokers are away for longer than the session, and then tells
    /// offsets that it had kept for their return. A rival that is there takes the place again at once.
    fn rejoin(&mut self, error: KafkaError) -> Result<(), Error> {
        let now = self.clock.now();
        if self.rejoined_at.is_some_and(|at| (0..RIVAL_MS).contains(&now.millis_since(at))) {
            let by_library = || self.settings.librdkafka.get("group.instance.id");
            let instance_id = self.settings.instance_id.as_ref().or_else(by_library).cloned().unwrap_or_default();
            return Err(Error::InstanceTaken { instance_id, source: error });
        }
        tracing::warn!(%error, "the group has another worker in this one's place, it joins anew");
        self.rejoined_at = Some(now);
        self.join_anew()
    }

    /// Joins the group anew if nothing comes of a partition that has more.
    fn end_stall(&mut self) -> Result<(), Error> {
        let ask = |places| stall::ask(self.settings.clone(), places);
        let Some(partition) = self.stalls.look(std::time::Instant::now(), &self.core, ask) else { return Ok(()) };
        let (next, silence_s) = (self.core.next_offset(&partition), self.settings.silence_max.as_secs());
        tracing::warn!(%partition, next, silence_s, "nothing comes of a partition that has more, the worker joins anew");
        self.join_anew()
    }

    fn join_anew(&mut self) -> Result<(), Error> {
        self.metrics.joined_anew();
        self.stalls.clear();
        let owned: Vec<_> = self.core.owned().cloned().collect();
        self.metrics.revoked(&owned);
        self.group.revoked(&owned);
        self.feed(Input::Revoked(owned))?;
        self.source = Source::subscribe(&self.settings, Arc::clone(&self.places))?;
        Ok(())
    }

    /// A topic made anew ends before the ledger's position: that end was not reached by reading up to it.
    fn refuse_beyond_end(&self, positions: &[(Partition, Positions)]) -> Result<(), Error> {
        let Some(ends) = &self.ends else { return Ok(()) };
        let beyond = positions.iter().filter_map(|(partition, at)| {
            let position = at.usage?.0;
            ends.of(partition).is_some_and(|end| position > end).then(|| (partition.clone(), position))
        });
        // Another worker may have read on since the ends were looked up.
        let gaps = self.source.gaps(&beyond.collect::<Vec<_>>());
        let gaps = gaps.map_err(|source| Error::Kafka { action: "tell how far partitions reach", source })?;
        gaps.into_iter().next().map_or(Ok(()), |gap| Err(gap.into()))
    }

    /// Messages are gone before they were read: records that and reads on after them, if that is wanted.
    fn cross_gaps(&mut self, error: KafkaError) -> Result<(), Error> {
        let on_gap = self.settings.on_gap;
        let stands = self.core.owned().filter_map(|p| Some((p.clone(), self.core.next_offset(p)?)));
        let gaps = self.source.gaps(&stands.collect::<Vec<_>>()).unwrap_or_else(|error| {
            tracing::warn!(%error, "the brokers do not tell how far partitions reach, they are asked again");
            Vec::new()
        });
        match (gaps.is_empty(), on_gap) {
            (true, OnGap::Stop) => return Err(Error::Kafka { action: "read", source: error }),
            (true, OnGap::Continue) => {
                tracing::warn!(%error, "Kafka does not have what was asked for, every partition is read again from its place");
                return self.restart_all();
            }
            _ => {}
        }
        for gap in gaps {
            // Offsets that go back are those of another topic of the same name.
            if on_gap == OnGap::Stop || gap.position > gap.low {
                return Err(gap.into());
            }
            let Gap { partition, position, low, .. } = gap;
            tracing::error!(%partition, position, low, "messages were removed from Kafka before they were read; reading goes on after them");
            self.metrics.missed(u64::try_from(low - position).unwrap_or(0));
            self.feed(Input::Missed(partition.clone(), NextOffset(low)))?;
            let after = Positions { usage: Some(NextOffset(low)), ..Positions::default() };
            self.restart(&[(partition, after)])?;
        }
        Ok(())
    }

    fn take_replies(&mut self) -> Result<(), Error> {
        while let Some(written) = self.writing.reply()? {
            let counts = if let Written::Committed(counts) = &written { Some(*counts) } else { None };
            self.feed(Input::Written(written))?;
            if let Some(counts) = counts {
                self.metrics.committed(&counts, self.clock.now());
                (self.on_commit)(self.core.totals());
            }
        }
        Ok(())
    }

    fn feed(&mut self, input: Input<'_>) -> Result<(), Error> {
        let mut effects = Vec::new();
        self.core.on(self.clock.now(), input, &mut effects)?;
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), Error> {
        for effect in effects {
            match effect {
                Effect::Write(batch) => self.writing.hand_over(batch)?,
                Effect::CommitOffsets(offsets) => {
                    self.metrics.moved(&offsets);
                    self.group.moved(offsets);
                    self.source.store_offsets(&self.group.stands());
                }
                Effect::Restart(positions) => self.restart(&positions)?,
                Effect::Pause => {
                    self.metrics.paused(true);
                    self.source.pause()?;
                }
                Effect::Resume => {
                    self.metrics.paused(false);
                    self.source.resume()?;
                }
                Effect::Stop => self.stopped_at = self.stopped_at.or_else(|| Some(self.clock.now())),
            }
        }
        Ok(())
    }

    fn restart(&self, positions: &[(Partition, Positions)]) -> Result<(), Error> {
        self.source.restart(positions)?;
        // Giving partitions back made librdkafka forget what is to be told of them.
        self.source.store_offsets(&self.group.stands());
        Ok(())
    }

    /// A partition whose place is not there is not fetched any more, and which one that is, nobody tells: it was crossed
    /// with another one already, or is reported again.
    fn restart_all(&self) -> Result<(), Error> {
        let stands = self.core.owned().map(|partition| {
            let usage = self.core.next_offset(partition).map(NextOffset);
            (partition.clone(), Positions { usage, ..Positions::default() })
        });
        self.restart(&stands.collect::<Vec<_>>())
    }

    /// Whether everything that was there at the start is read.
    fn is_at_end(&mut self) -> Result<bool, Error> {
        let Some(ends) = &mut self.ends else { return Ok(false) };
        ends.are_reached(&self.core, |partition, left| Brokers::new(&self.settings)?.has_message(partition, left))
    }
}

/// The headers whose names are UTF-8, as those of every header that means something to us are: rdkafka panics on others, and a
/// message must not end the worker.
fn readable(headers: &impl Headers) -> Vec<(&str, &[u8])> {
    let read = |at| match catch_unwind(AssertUnwindSafe(|| headers.try_get(at))) {
        Ok(header) => header.map(|header| (header.key, header.value.unwrap_or_default())),
        Err(_) => {
            tracing::warn!("the name of a message's header is not UTF-8, the message is read without it");
            None
        }
    };
    (0..headers.count()).filter_map(read).collect()
}

fn read(core: &mut Core, now: Instant, message: &BorrowedMessage<'_>, effects: &mut Vec<Effect>) -> Result<(), Error> {
    let headers = message.headers().map(readable).unwrap_or_default();
    let input = Input::Message(Message {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().and_then(Instant::from_millis).filter(|at| at.is_sane()),
        key: message.key(),
        value: message.payload(),
        headers: &headers,
    });
    core.on(now, input, effects)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Header;

    use super::*;

    struct Named(&'static [&'static [u8]]);

    impl Headers for Named {
        fn count(&self) -> usize {
            self.0.len()
        }

        /// As rdkafka reads it.
        fn try_get(&self, at: usize) -> Option<Header<'_, &[u8]>> {
            let name = self.0.get(at)?;
            Some(Header { key: std::str::from_utf8(name).unwrap(), value: Some(b"v") })
        }
    }

    #[test]
    fn a_header_whose_name_is_not_utf8_costs_no_other() {
        let headers = Named(&[b"content-type", b"\xe9t\xe9", b"ce_id"]);
        assert_eq!(readable(&headers), [("content-type", b"v".as_slice()), ("ce_id", b"v")]);
    }
}
