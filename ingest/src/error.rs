//! What can stop a worker.

use daybook_ledger::{Error as LedgerError, Kind, Report};
use rdkafka::error::KafkaError;

use crate::partition::Partition;

/// Errors of ingest. Whatever is reported: what was committed stands, everything else is read again next time.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// No broker answered.
    #[error("no broker of {brokers} answered within {elapsed_s} s")]
    BrokerUnavailable { brokers: String, elapsed_s: u64, source: KafkaError },
    /// A topic does not exist.
    #[error("topic `{topic}` does not exist{}", nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    NoSuchTopic { topic: String, nearest: Option<String> },
    /// A setting of librdkafka is refused.
    #[error("librdkafka setting `{key}`: {reason}")]
    KafkaSetting { key: String, reason: String },
    /// The ledger's position is not in Kafka's log.
    #[error("the ledger stands at {partition}@{position}, but Kafka has {low} to {high}")]
    Gap { partition: Partition, position: i64, low: i64, high: i64 },
    /// Kafka failed in a way that does not pass by itself.
    #[error("Kafka failed to {action}")]
    Kafka { action: &'static str, source: KafkaError },
    /// The ledger did not take a batch, however often it was tried.
    #[error("batch {batch} could not be written, {attempts} attempts in {elapsed_s} s")]
    GaveUp { batch: String, attempts: u32, elapsed_s: u64, source: Box<Self> },
    /// The address for metrics cannot be listened on.
    #[error("cannot listen on {listen} for metrics")]
    Listen { listen: String, source: std::io::Error },
    /// Another worker took this one's place in the group.
    #[error("another worker of the group has the instance id `{instance_id}` too")]
    InstanceTaken { instance_id: String, source: KafkaError },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] daybook_ledger::Error),
    /// An invariant does not hold.
    #[error("internal: {found}")]
    Internal { found: String },
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "INGEST-001",
        "INGEST-002",
        "INGEST-003",
        "INGEST-004",
        "INGEST-005",
        "INGEST-006",
        "INGEST-007",
        "INGEST-008",
        "INGEST-099",
        crate::core::BEYOND_CAP,
        crate::core::MISSED,
    ];

    /// Whether asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            // Maintenance put its rows elsewhere, or collected files of a batch that waited for days.
            Self::Ledger(LedgerError::FileGone { .. }) => true,
            Self::Ledger(error) => error.kind() == Kind::Unavailable,
            _ => false,
        }
    }
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::BrokerUnavailable { .. } => "INGEST-001",
            Self::NoSuchTopic { .. } => "INGEST-002",
            Self::KafkaSetting { .. } => "INGEST-003",
            Self::Gap { .. } => "INGEST-004",
            Self::Kafka { .. } => "INGEST-005",
            Self::GaveUp { .. } => "INGEST-006",
            Self::Listen { .. } => "INGEST-007",
            Self::InstanceTaken { .. } => "INGEST-008",
            Self::Ledger(error) => error.code(),
            Self::Internal { .. } => "INGEST-099",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::BrokerUnavailable { .. } | Self::Kafka { .. } => Kind::Unavailable,
            Self::NoSuchTopic { .. } | Self::KafkaSetting { .. } | Self::Listen { .. } => Kind::Usage,
            Self::Gap { .. } | Self::InstanceTaken { .. } => Kind::Conflict,
            Self::GaveUp { source, .. } => source.kind(),
            Self::Ledger(error) => error.kind(),
            Self::Internal { .. } => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BrokerUnavailable { .. } => "check --brokers (KAFKA_BROKERS) and the network, then run the command again".into(),
            Self::NoSuchTopic { .. } => "create the topic or correct --topic (KAFKA_TOPIC)".into(),
            Self::KafkaSetting { .. } => "see librdkafka's CONFIGURATION.md for names and values of -X".into(),
            Self::Gap { position, low, .. } if position < low => {
                "Kafka removed messages before they were ingested; nothing was doubled. Restore them, or say \
                 --on-gap continue: the range is recorded in `quarantine`, and reading goes on after it"
                    .into()
            }
            Self::Gap { .. } => {
                "the topic was recreated or restored from an older copy: read it under another --cluster name, so that \
                 its offsets are not taken for the old ones"
                    .into()
            }
            Self::Kafka { .. } => "check the broker's log and the rights of this user; the worker can be started again".into(),
            Self::GaveUp { .. } => {
                "the batch counts wholly or not at all, and what was committed before it stands; when the store answers \
                 again, start the worker again"
                    .into()
            }
            Self::Listen { .. } => "is it in use? name another address with --metrics-listen".into(),
            Self::InstanceTaken { .. } => "give each worker an --instance-id of its own, or none".into(),
            Self::Ledger(error) => return error.hint(),
            Self::Internal { .. } => "this is a bug of Daybook: please report it with this message".into(),
        })
    }
}
