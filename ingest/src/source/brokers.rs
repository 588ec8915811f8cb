//! What brokers tell without a group: their id, topics, and how far each partition reaches.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaErrorCode;
use strsim::damerau_levenshtein;

use super::kafka::{config, setting_error};
use crate::Error;
use crate::partition::Partition;
use crate::settings::Settings;

/// How long the first contact with a broker may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The context of a client whose errors are returned, so the log stays quiet.
#[derive(Debug)]
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }
}

impl ConsumerContext for Quiet {}

/// A client that asks and does not read.
pub(crate) struct Brokers {
    consumer: BaseConsumer<Quiet>,
    addresses: String,
}

/// What the brokers say before reading starts.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    /// The offsets of every partition of every topic that is read.
    pub(crate) logs: BTreeMap<Partition, Range<i64>>,
}

impl Brokers {
    /// A client for the brokers of `settings`; no I/O yet.
    ///
    /// # Errors
    /// [`Error::KafkaSetting`].
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let mut config = config(settings)?;
        // A follower that lags behind would tell of an end too early.
        config.remove("client.rack");
        let consumer = config.create_with_context(Quiet).map_err(setting_error)?;
        Ok(Self { consumer, addresses: settings.brokers.clone() })
    }

    /// Every topic and broker there is. Asking for a topic by name would make it where brokers create topics by themselves.
    ///
    /// # Errors
    /// [`Error::BrokerUnavailable`].
    pub(crate) fn metadata(&self) -> Result<Metadata, Error> {
        self.ask(|consumer| consumer.fetch_metadata(None, CONNECT_TIMEOUT))
    }

    /// The cluster's name in the ledger's positions: as set, else its id.
    pub(crate) fn cluster_name(&self, settings: &Settings) -> String {
        let id = || self.consumer.client().fetch_cluster_id(CONNECT_TIMEOUT);
        settings.cluster.clone().or_else(id).unwrap_or_else(|| "kafka".into())
    }

    /// The first offset there is and the one after the last.
    ///
    /// # Errors
    /// [`Error::BrokerUnavailable`].
    pub(crate) fn watermarks(&self, partition: &Partition) -> Result<(i64, i64), Error> {
        let watermarks = self.ask(|consumer| watermarks(consumer, std::slice::from_ref(partition)))?;
        watermarks.first().copied().ok_or_else(|| Error::Internal { found: format!("no watermarks of {partition}") })
    }

    /// Whether a message of `partition` is at one of `offsets`; markers of transactions are none.
    ///
    /// # Errors
    /// [`Error::BrokerUnavailable`].
    pub(crate) fn has_message(&self, partition: &Partition, offsets: Range<i64>) -> Result<bool, Error> {
        self.ask(|consumer| {
            let mut place = TopicPartitionList::new();
            place.add_partition_offset(&partition.topic, partition.number, Offset::Offset(offsets.start))?;
            consumer.assign(&place)?;
            let until = Instant::now() + CONNECT_TIMEOUT;
            while Instant::now() < until {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => return Ok(message.offset() < offsets.end),
                    Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
                    // librdkafka recovers, or time is up.
                    Some(Err(_)) | None => {}
                }
            }
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
        })
    }

    fn ask<T>(&self, question: impl FnOnce(&BaseConsumer<Quiet>) -> Result<T, KafkaError>) -> Result<T, Error> {
        let began = Instant::now();
        question(&self.consumer).map_err(|source| Error::BrokerUnavailable {
            brokers: self.addresses.clone(),
            elapsed_s: began.elapsed().as_secs(),
            source,
        })
    }
}

/// The first offset there is and the one after the last, of each of `partitions`.
///
/// Not by `fetch_watermarks`, which takes a log for an empty one when the first of its two questions is refused.
pub(crate) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[Partition],
) -> Result<Vec<(i64, i64)>, KafkaError> {
    let ask = |place: Offset| {
        let mut places = TopicPartitionList::new();
        for partition in partitions {
            places.add_partition_offset(&partition.topic, partition.number, place)?;
        }
        let told = consumer.offsets_for_times(places, CONNECT_TIMEOUT)?;
        let offset = |element: &TopicPartitionListElem<'_>| match (element.error(), element.offset()) {
            (Ok(()), Offset::Offset(offset)) => Ok(offset),
            (Err(error), _) => Err(error),
            (Ok(()), _) => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset)),
        };
        told.elements().iter().map(offset).collect::<Result<Vec<_>, _>>()
    };
    match partitions.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(ask(Offset::Beginning)?.into_iter().zip(ask(Offset::End)?).collect()),
    }
}

/// Contacts the brokers: they answer, the topics exist.
///
/// # Errors
/// [`Error::BrokerUnavailable`], [`Error::NoSuchTopic`], [`Error::KafkaSetting`].
pub(crate) fn look_up_cluster(settings: &Settings) -> Result<Cluster, Error> {
    let brokers = Brokers::new(settings)?;
    let metadata = brokers.metadata()?;
    let mut logs = BTreeMap::new();
    for name in settings.topics.iter().filter(|name| !name.starts_with('^')) {
        for partition in partitions_of(&metadata, name)? {
            let (low, high) = if settings.until_end { brokers.watermarks(&partition)? } else { (0, 0) };
            logs.insert(partition, low..high);
        }
    }
    Ok(Cluster { id: brokers.cluster_name(settings), logs })
}

/// The partitions of the topic called `name`.
///
/// # Errors
/// [`Error::NoSuchTopic`].
pub(crate) fn partitions_of(metadata: &Metadata, name: &str) -> Result<Vec<Partition>, Error> {
    let topics = metadata.topics();
    let Some(topic) = topics.iter().find(|topic| topic.name() == name && topic.error().is_none()) else {
        let known: Vec<&str> = topics.iter().map(|topic| topic.name()).collect();
        return Err(Error::NoSuchTopic { topic: name.into(), nearest: nearest(name, &known) });
    };
    let shared: Arc<str> = name.into();
    let numbers = topic.partitions().iter().map(|partition| partition.id());
    Ok(numbers.map(|number| Partition { topic: Arc::clone(&shared), number }).collect())
}

pub(crate) fn nearest(name: &str, known: &[&str]) -> Option<String> {
    let close = known.iter().map(|other| (damerau_levenshtein(name, other), other));
    close.filter(|(distance, _)| *distance <= 3).min().map(|(_, other)| (*other).to_owned())
}
