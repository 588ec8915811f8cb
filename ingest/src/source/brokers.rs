//! What brokers tell without a group: their id, topics, and how far each partition reaches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
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
    /// End offset of every partition of every topic that is read.
    pub(crate) ends: BTreeMap<Partition, i64>,
}

impl Brokers {
    /// A client for the brokers of `settings`; no I/O yet.
    ///
    /// # Errors
    /// [`Error::KafkaSetting`].
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let consumer = config(settings)?.create_with_context(Quiet).map_err(setting_error)?;
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
        self.ask(|consumer| consumer.fetch_watermarks(&partition.topic, partition.number, CONNECT_TIMEOUT))
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

/// Contacts the brokers: they answer, the topics exist.
///
/// # Errors
/// [`Error::BrokerUnavailable`], [`Error::NoSuchTopic`], [`Error::KafkaSetting`].
pub(crate) fn look_up_cluster(settings: &Settings) -> Result<Cluster, Error> {
    let brokers = Brokers::new(settings)?;
    let metadata = brokers.metadata()?;
    let mut ends = BTreeMap::new();
    for name in settings.topics.iter().filter(|name| !name.starts_with('^')) {
        for partition in partitions_of(&metadata, name)? {
            let end = if settings.until_end { brokers.watermarks(&partition)?.1 } else { 0 };
            ends.insert(partition, end);
        }
    }
    Ok(Cluster { id: brokers.cluster_name(settings), ends })
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
