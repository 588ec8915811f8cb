//! Kafka: one consumer on a thread of its own, so that polling never waits for the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use daybook_ledger::NextOffset;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use strsim::damerau_levenshtein;

use crate::Error;
use crate::partition::{Partition, Positions};
use crate::settings::{Settings, Start};

/// How long the first contact with a broker may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Settings the exactly-once protocol depends on; a passthrough may not change them.
const RESERVED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("group.id", ""),
    ("bootstrap.servers", ""),
];

/// Where to look positions up during a rebalance.
pub(crate) type LookUp = dyn Fn(&[Partition]) -> Result<Vec<(Partition, Positions)>, Error> + Send + Sync;

/// What a rebalance changed, in order.
#[derive(Debug)]
pub(crate) enum Change {
    Assigned(Vec<(Partition, Positions)>),
    Revoked(Vec<Partition>),
    Failed(Error),
}

/// The consumer's context: assigns partitions at the ledger's positions.
pub(crate) struct Context {
    look_up: Box<LookUp>,
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

    /// Looks the positions up before the partitions are assigned: seeking afterwards would let messages through from
    /// wherever librdkafka started.
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let change = match (self.look_up)(&partitions_of(partitions)) {
            Ok(positions) => match start_at(consumer, &positions, self.start) {
                Ok(()) => Change::Assigned(positions),
                Err(source) => Change::Failed(Error::Kafka { action: "take partitions", source }),
            },
            Err(error) => Change::Failed(error),
        };
        self.changes().push_back(change);
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        self.changes().push_back(Change::Revoked(partitions_of(partitions)));
        let released = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        };
        if let Err(error) = released {
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
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }
}

/// The context of the first contact: whatever goes wrong is in the error returned, so the log stays quiet.
#[derive(Debug)]
struct FirstContact;

impl ClientContext for FirstContact {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }
}

impl ConsumerContext for FirstContact {}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => self.revoke(consumer, partitions),
        }
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

fn start_at(
    consumer: &BaseConsumer<Context>,
    positions: &[(Partition, Positions)],
    start: Start,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, positions) in positions {
        let offset = match (positions.usage, start) {
            (Some(NextOffset(offset)), _) => Offset::Offset(offset),
            (None, Start::Earliest) => Offset::Beginning,
            (None, Start::Latest) => Offset::End,
        };
        list.add_partition_offset(&partition.topic, partition.number, offset)?;
    }
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(&list),
        _ => consumer.assign(&list),
    }
}

/// A connected consumer.
pub(crate) struct Source {
    consumer: BaseConsumer<Context>,
    start: Start,
}

/// What the brokers say before reading starts.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    /// End offset of every partition of every topic that is read.
    pub(crate) ends: BTreeMap<Partition, i64>,
}

/// Contacts the brokers: they answer, the topics exist.
///
/// # Errors
/// [`Error::BrokerUnavailable`], [`Error::NoSuchTopic`], [`Error::KafkaSetting`].
pub(crate) fn look_up_cluster(settings: &Settings) -> Result<Cluster, Error> {
    let began = Instant::now();
    let consumer: BaseConsumer<FirstContact> =
        config(settings)?.create_with_context(FirstContact).map_err(setting_error)?;
    let unavailable = |source| Error::BrokerUnavailable {
        brokers: settings.brokers.clone(),
        elapsed_s: began.elapsed().as_secs(),
        source,
    };
    let metadata = consumer.client().fetch_metadata(None, CONNECT_TIMEOUT).map_err(unavailable)?;
    let known: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
    let mut ends = BTreeMap::new();
    for name in settings.topics.iter().filter(|name| !name.starts_with('^')) {
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none()) else {
            return Err(Error::NoSuchTopic { topic: name.clone(), nearest: nearest(name, &known) });
        };
        let shared: Arc<str> = name.as_str().into();
        for partition in topic.partitions() {
            let end = match settings.until_end {
                true => consumer.fetch_watermarks(name, partition.id(), CONNECT_TIMEOUT).map_err(unavailable)?.1,
                false => 0,
            };
            ends.insert(Partition { topic: Arc::clone(&shared), number: partition.id() }, end);
        }
    }
    let id = settings.cluster.clone().or_else(|| consumer.client().fetch_cluster_id(CONNECT_TIMEOUT));
    Ok(Cluster { id: id.unwrap_or_else(|| "kafka".into()), ends })
}

pub(crate) fn nearest(name: &str, known: &[&str]) -> Option<String> {
    let close = known.iter().map(|other| (damerau_levenshtein(name, other), other));
    close.filter(|(distance, _)| *distance <= 3).min().map(|(_, other)| (*other).to_owned())
}

fn config(settings: &Settings) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("client.id", "daybook"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("isolation.level", "read_committed"),
        ("check.crcs", "true"),
        ("fetch.min.bytes", "1"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.message.max.bytes", "8388608"),
        ("fetch.max.bytes", "67108864"),
        ("receive.message.max.bytes", "100000000"),
        ("queued.max.messages.kbytes", "65536"),
        ("socket.connection.setup.timeout.ms", "10000"),
    ] {
        config.set(key, value);
    }
    for (key, value) in RESERVED {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group);
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
    /// Joins the group. Positions are looked up by `look_up`, on this thread, while a rebalance waits.
    ///
    /// # Errors
    /// [`Error::KafkaSetting`], [`Error::Kafka`].
    pub(crate) fn subscribe(settings: &Settings, look_up: Box<LookUp>) -> Result<Self, Error> {
        let context = Context { look_up, start: settings.start, changes: Mutex::default() };
        let consumer: BaseConsumer<Context> = config(settings)?.create_with_context(context).map_err(setting_error)?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|source| Error::Kafka { action: "subscribe", source })?;
        Ok(Self { consumer, start: settings.start })
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

    /// Tells the group where the ledger stands. The ledger is the record; this is for lag monitors, so a failure is
    /// only noted.
    pub(crate) fn commit_offsets(&self, offsets: &[(Partition, NextOffset)], mode: CommitMode) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            if list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(offset.0)).is_err() {
                return;
            }
        }
        if let Err(error) = self.consumer.commit(&list, mode) {
            tracing::warn!(%error, "group offsets not committed, lag monitors lag; the ledger is not affected");
        }
    }

    /// Reads partitions again from other positions, by giving them back and taking them anew.
    pub(crate) fn restart(&self, positions: &[(Partition, Positions)]) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "read partitions again", source };
        let mut list = TopicPartitionList::new();
        for (partition, _) in positions {
            list.add_partition(&partition.topic, partition.number);
        }
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_unassign(&list).map_err(failed)?,
            _ => self.consumer.unassign().map_err(failed)?,
        }
        start_at(&self.consumer, positions, self.start).map_err(failed)
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
    pub(crate) fn fault(&self, error: KafkaError, stands: &[(Partition, i64)]) -> Option<Error> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                Some(self.find_gap(stands).unwrap_or(Error::Kafka { action: "read", source: error }))
            }
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic,
            ) => Some(Error::Kafka { action: "read", source: error }),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Some(Error::Kafka { action: "read", source: error })
            }
            _ => {
                tracing::debug!(%error, "consumer error, librdkafka goes on");
                None
            }
        }
    }

    /// The partition whose place in the ledger Kafka no longer has, or does not have yet.
    fn find_gap(&self, stands: &[(Partition, i64)]) -> Option<Error> {
        stands.iter().find_map(|(partition, position)| {
            let (low, high) =
                self.consumer.fetch_watermarks(&partition.topic, partition.number, CONNECT_TIMEOUT).ok()?;
            (!(low..=high).contains(position)).then(|| Error::Gap {
                partition: partition.clone(),
                position: *position,
                low,
                high,
            })
        })
    }
}
