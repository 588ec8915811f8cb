//! Kafka: one consumer on a thread of its own, so that polling never waits for the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daybook_ledger::NextOffset;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use crate::Error;
use crate::partition::{Partition, Positions};
use crate::settings::{Settings, Start};
use crate::source::brokers::watermarks;

/// Settings the exactly-once protocol depends on; a passthrough may not change them.
const RESERVED: &[(&str, &str)] = &[
    // Tells the group what `store_offsets` was given and nothing else, again and again until the group takes it.
    ("enable.auto.commit", "true"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // An eager one has no way to read one partition again and leave the others alone.
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("group.id", ""),
    ("bootstrap.servers", ""),
];

/// Bytes of the largest response, and so of the largest message.
pub(crate) const RECEIVE_BYTES_MAX: i64 = 1_000_000_000;

/// How long a broker may take to answer a fetch that is on its way: `fetch.wait.max.ms`, and some.
const IN_FLIGHT: Duration = Duration::from_millis(250);

impl From<Gap> for Error {
    fn from(Gap { partition, position, low, high }: Gap) -> Self {
        Self::Gap { partition, position, low, high }
    }
}

/// The ledger's positions, as a rebalance asks for them on the polling thread.
pub(crate) trait Places: Send + Sync {
    /// Where the ledger stands in `partitions`.
    fn look_up(&self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error>;
    /// Records where reading begins in partitions the ledger does not know; where it stands in them then.
    fn begin_at(&self, starts: &[(Partition, NextOffset)]) -> Result<Vec<(Partition, Positions)>, Error>;
}

/// What a rebalance changed and the group answered, in order.
#[derive(Debug)]
pub(crate) enum Change {
    Assigned(Vec<(Partition, Positions)>),
    Revoked(Vec<Partition>),
    /// The group took these offsets.
    Told(Vec<(Partition, NextOffset)>),
    /// The group did not take offsets; it is told again.
    Refused,
    Failed(Error),
}

/// The consumer's context: assigns partitions at the ledger's positions.
pub(crate) struct Context {
    places: Arc<dyn Places>,
    start: Start,
    changes: Mutex<VecDeque<Change>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Context {
    fn changes(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let change = self.try_assign(consumer, partitions).map_or_else(Change::Failed, Change::Assigned);
        self.changes().push_back(change);
    }

    /// Looks the positions up before the partitions are assigned: seeking afterwards would let messages through from
    /// wherever librdkafka started.
    fn try_assign(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> Result<Vec<(Partition, Positions)>, Error> {
        let failed = |source| Error::Kafka { action: "take partitions", source };
        let mut positions = self.places.look_up(&partitions_of(partitions))?;
        // The end of a partition moves: what it was is in the ledger before anything is read, so that no restart, and no
        // other worker, takes a later one for it and leaves out what came in between.
        if self.start == Start::Latest {
            let (unknown, known): (Vec<_>, _) = positions.into_iter().partition(|(_, at)| at.usage.is_none());
            let unknown: Vec<_> = unknown.into_iter().map(|(partition, _)| partition).collect();
            let ends = watermarks(consumer, &unknown).map_err(failed)?.into_iter().map(|(_, end)| NextOffset(end));
            positions = known;
            positions.extend(self.places.begin_at(&unknown.into_iter().zip(ends).collect::<Vec<_>>())?);
        }
        // A pause outlives the assignment it was made in, and is lifted only from what is owned then.
        consumer.resume(partitions).and_then(|()| start_at(consumer, &positions)).map_err(failed)?;
        Ok(positions)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        self.changes().push_back(Change::Revoked(partitions_of(partitions)));
        if let Err(error) = consumer.incremental_unassign(partitions) {
            tracing::warn!(%error, "releasing partitions failed, the group will time them out");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            // It asks for the same batch for ever, and nothing else says why its partition stands still.
            Some(Code::BadMessage | Code::BadCompression | Code::NotImplemented) => {
                tracing::warn!(target: "librdkafka", %error, reason, "a batch in Kafka's log cannot be read");
            }
            _ => tracing::debug!(target: "librdkafka", %error, reason, "client error"),
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => self.revoke(consumer, partitions),
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, offsets: &TopicPartitionList) {
        let (taken, refused): (Vec<_>, Vec<_>) =
            offsets.elements().into_iter().partition(|element| element.error().is_ok());
        let refusals = refused.iter().map(|element| element.error());
        if let Some(error) = refusals.chain([result]).find_map(Result::err) {
            tracing::debug!(%error, "the group did not take offsets, it is told again");
            self.changes().push_back(Change::Refused);
        }
        let taken = taken.into_iter().filter_map(|element| {
            let Offset::Offset(offset) = element.offset() else { return None };
            Some((Partition { topic: element.topic().into(), number: element.partition() }, NextOffset(offset)))
        });
        self.changes().push_back(Change::Told(taken.collect()));
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<Partition> {
    let mut topics: BTreeMap<String, Arc<str>> = BTreeMap::new();
    let mut topic = |name: &str| Arc::clone(topics.entry(name.into()).or_insert_with(|| name.into()));
    list.elements()
        .iter()
        .map(|element| Partition { topic: topic(element.topic()), number: element.partition() })
        .collect()
}

fn start_at(consumer: &BaseConsumer<Context>, positions: &[(Partition, Positions)]) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, positions) in positions {
        let offset = positions.usage.map_or(Offset::Beginning, |NextOffset(offset)| Offset::Offset(offset));
        list.add_partition_offset(&partition.topic, partition.number, offset)?;
    }
    consumer.incremental_assign(&list)
}

/// A connected consumer.
pub(crate) struct Source {
    consumer: BaseConsumer<Context>,
}

impl Drop for Source {
    /// Fetching ends before librdkafka does: an answer that a position is not there, come in the midst of its end, locks it
    /// up for good.
    fn drop(&mut self) {
        let Ok(owned) = self.consumer.assignment() else { return };
        if owned.count() > 0 && self.consumer.pause(&owned).is_ok() {
            let until = Instant::now() + IN_FLIGHT;
            while Instant::now() < until {
                drop(self.consumer.poll(IN_FLIGHT / 10));
            }
        }
    }
}

/// What polling reported and librdkafka does not recover from by itself.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A position is not in Kafka's log; which one, [`Source::gaps`] finds out.
    OutOfRange(KafkaError),
    /// The group says that another worker has this one's place, and this consumer reads no more.
    Fenced(KafkaError),
    /// Nothing more can be read.
    Fatal(Error),
}

/// A place in the ledger that Kafka no longer has, or does not have yet.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) partition: Partition,
    pub(crate) position: i64,
    pub(crate) low: i64,
    pub(crate) high: i64,
}

pub(crate) fn config(settings: &Settings) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("client.id", "daybook"),
        ("isolation.level", "read_committed"),
        ("check.crcs", "true"),
        ("fetch.min.bytes", "1"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.message.max.bytes", "2097152"),
        // A response is unpacked whole, to several times its size.
        ("fetch.max.bytes", "8388608"),
        ("queued.max.messages.kbytes", "32768"),
        // A full queue is worked off in less than the second that librdkafka waits before it fetches again.
        ("fetch.queue.backoff.ms", "50"),
        ("socket.connection.setup.timeout.ms", "10000"),
        ("auto.commit.interval.ms", "250"),
    ] {
        config.set(key, value);
    }
    for (key, value) in RESERVED {
        config.set(*key, *value);
    }
    // The largest message of a topic comes alone in its response, whatever the limits above.
    config.set("receive.message.max.bytes", RECEIVE_BYTES_MAX.to_string());
    config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group);
    if let Some(instance_id) = &settings.instance_id {
        config.set("group.instance.id", instance_id).set("client.id", format!("daybook-{instance_id}"));
    }
    for (key, value) in &settings.librdkafka {
        if RESERVED.iter().any(|(reserved, _)| reserved == key) {
            let reason = "exactly-once delivery depends on it, so it cannot be changed".into();
            return Err(Error::KafkaSetting { key: key.clone(), reason });
        }
        config.set(key, value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

pub(crate) fn setting_error(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, reason, key, _) => Error::KafkaSetting { key, reason },
        other => Error::KafkaSetting { key: "librdkafka".into(), reason: other.to_string() },
    }
}

impl Source {
    /// Joins the group. `places` is asked on the polling thread, while a rebalance waits.
    ///
    /// # Errors
    /// [`Error::KafkaSetting`], [`Error::Kafka`].
    pub(crate) fn subscribe(settings: &Settings, places: Arc<dyn Places>) -> Result<Self, Error> {
        let context = Context { places, start: settings.start, changes: Mutex::default() };
        let consumer: BaseConsumer<Context> = config(settings)?.create_with_context(context).map_err(setting_error)?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|source| Error::Kafka { action: "subscribe", source })?;
        Ok(Self { consumer })
    }

    /// One message or event, or nothing within `wait`.
    pub(crate) fn poll(&self, wait: Duration) -> Option<Result<BorrowedMessage<'_>, KafkaError>> {
        self.consumer.poll(wait)
    }

    /// Leaves the group, so that others take over at once.
    pub(crate) fn leave(&self) {
        self.consumer.unsubscribe();
    }

    /// The next change of the assignment that was not taken in yet.
    pub(crate) fn next_change(&self) -> Option<Change> {
        self.consumer.context().changes().pop_front()
    }

    /// What the group is told from now on of partitions that are owned; [`Change::Told`] follows once it knows.
    pub(crate) fn store_offsets(&self, offsets: &[(Partition, NextOffset)]) {
        let mut list = TopicPartitionList::new();
        let listed = offsets.iter().try_for_each(|(partition, offset)| {
            list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(offset.0))
        });
        if let Err(error) = listed.and_then(|()| self.consumer.store_offsets(&list)) {
            tracing::debug!(%error, "the group is not told of partitions that went to another worker");
        }
    }

    /// Reads partitions again from other positions, by giving them back and taking them anew.
    pub(crate) fn restart(&self, positions: &[(Partition, Positions)]) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "read partitions again", source };
        let mut list = TopicPartitionList::new();
        for (partition, _) in positions {
            list.add_partition(&partition.topic, partition.number);
        }
        self.consumer.incremental_unassign(&list).map_err(failed)?;
        start_at(&self.consumer, positions).map_err(failed)
    }

    pub(crate) fn pause(&self) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "pause", source };
        let owned = self.consumer.assignment().map_err(failed)?;
        self.consumer.pause(&owned).map_err(failed)
    }

    pub(crate) fn resume(&self) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "resume", source };
        let owned = self.consumer.assignment().map_err(failed)?;
        self.consumer.resume(&owned).map_err(failed)
    }

    /// Sorts what polling reported: `None` is noise that librdkafka recovers from by itself.
    pub(crate) fn fault(error: KafkaError) -> Option<Fault> {
        use RDKafkaErrorCode as Code;
        let fatal = |source| Some(Fault::Fatal(Error::Kafka { action: "read", source }));
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Some(Fault::OutOfRange(error)),
            Some(Code::FencedInstanceId) => Some(Fault::Fenced(error)),
            Some(
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::Authentication
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic,
            ) => fatal(error),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => fatal(error),
            _ => {
                tracing::debug!(%error, "consumer error, librdkafka goes on");
                None
            }
        }
    }

    /// The partitions of `stands` whose place Kafka no longer has, or does not have yet.
    ///
    /// # Errors
    /// The brokers do not tell of all of them.
    pub(crate) fn gaps(&self, stands: &[(Partition, i64)]) -> Result<Vec<Gap>, KafkaError> {
        let partitions: Vec<_> = stands.iter().map(|(partition, _)| partition.clone()).collect();
        let watermarks = watermarks(&self.consumer, &partitions)?;
        let gaps = stands.iter().zip(watermarks).map(|((partition, position), (low, high))| Gap {
            partition: partition.clone(),
            position: *position,
            low,
            high,
        });
        Ok(gaps.filter(|gap| !(gap.low..=gap.high).contains(&gap.position)).collect())
    }
}

#[cfg(test)]
mod tests;
