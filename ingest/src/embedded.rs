//! Kafka inside this process, for the demo and for tests: librdkafka's mock cluster behind the real wire protocol.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr};

use crate::Error;

/// A cluster of one broker. A partition keeps its last 5 MB, so producers must not run ahead of readers.
pub struct EmbeddedKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl std::fmt::Debug for EmbeddedKafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedKafka").field("brokers", &self.brokers()).finish()
    }
}

/// Sends to an [`EmbeddedKafka`].
pub struct EmbeddedProducer {
    producer: BaseProducer,
    topic: String,
}

impl std::fmt::Debug for EmbeddedProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedProducer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl EmbeddedKafka {
    /// Starts the cluster with one topic.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn start(topic: &str, partitions: i32) -> Result<Self, Error> {
        let failed = |source| Error::Kafka { action: "start the embedded cluster", source };
        let cluster = MockCluster::new(1).map_err(failed)?;
        cluster.create_topic(topic, partitions, 1).map_err(failed)?;
        Ok(Self { cluster })
    }

    /// One more topic.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "create a topic", source };
        self.cluster.create_topic(topic, partitions, 1).map_err(failed)
    }

    /// Makes every answer of the broker take this long.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn set_round_trip(&self, delay: Duration) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "delay the broker", source };
        self.cluster.broker_round_trip_time(-1, delay).map_err(failed)
    }

    /// Takes the broker away, or brings it back with what it has.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn set_reachable(&self, reachable: bool) -> Result<(), Error> {
        let failed = |source| Error::Kafka { action: "change the broker", source };
        if reachable { self.cluster.broker_up(-1) } else { self.cluster.broker_down(-1) }.map_err(failed)
    }

    /// Makes the broker refuse the next produce requests as too large for their topic.
    pub fn refuse_size_of_next(&self, requests: usize) {
        let errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; requests];
        self.cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    }

    /// Makes the group refuse offsets the next times it is told some, as it does in the midst of a rebalance.
    pub fn refuse_next_offsets(&self, times: usize) {
        let errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; times];
        self.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &errors);
    }

    /// Makes the broker refuse, the next time it is asked, to tell where a partition begins or ends.
    pub fn refuse_next_watermark(&self) {
        let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION];
        self.cluster.request_errors(RDKafkaApiKey::ListOffsets, &errors);
    }

    /// Makes the group tell a static member, at its next heartbeats, that another one took its place.
    pub fn fence_next_heartbeats(&self, times: usize) {
        let errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID; times];
        self.cluster.request_errors(RDKafkaApiKey::Heartbeat, &errors);
    }

    /// Makes the broker refuse the next fetch, which its reader tries again after `fetch.error.backoff.ms`.
    pub fn refuse_next_fetch(&self) {
        let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION];
        self.cluster.request_errors(RDKafkaApiKey::Fetch, &errors);
    }

    /// The broker answers, and takes no message for as long as any test.
    #[cfg(test)]
    pub(crate) fn refuse_messages(&self) {
        let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2_000];
        self.cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    }

    /// `host:port` to connect to.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// A producer for `topic`.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn producer(&self, topic: &str) -> Result<EmbeddedProducer, Error> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .set("linger.ms", "5")
            .create()
            .map_err(|source| Error::Kafka { action: "make a producer", source })?;
        Ok(EmbeddedProducer { producer, topic: topic.into() })
    }
}

impl EmbeddedProducer {
    /// Queues one message.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn send(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.queue(BaseRecord::to(&self.topic).key(key).payload(value))
    }

    /// Queues a message without a value, which tells a compacted topic to forget `key`.
    ///
    /// # Errors
    /// [`Error::Kafka`].
    pub fn send_tombstone(&self, key: &str) -> Result<(), Error> {
        self.queue(BaseRecord::to(&self.topic).key(key))
    }

    fn queue(&self, mut record: BaseRecord<'_, str, [u8]>) -> Result<(), Error> {
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((source, unsent)) if source.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(Duration::from_millis(10));
                    record = unsent;
                }
                Err((source, _)) => return Err(Error::Kafka { action: "send", source }),
            }
        }
    }

    /// Waits until the cluster has everything.
    ///
    /// # Errors
    /// [`Error::Kafka`] after 30 s.
    pub fn flush(&self) -> Result<(), Error> {
        self.producer.flush(Duration::from_secs(30)).map_err(|source| Error::Kafka { action: "send", source })
    }
}
