//! What a worker can be told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::decode::Format;

/// When a batch is written: whichever limit is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushLimits {
    /// Rows per commit, 1 to 10_000_000.
    pub rows_max: usize,
    /// Bytes held in columns per commit, 1 MiB to 1 GiB: with the largest message there is, a column stays below the 2 GiB it can
    /// hold.
    pub bytes_max: usize,
    /// Milliseconds from a batch's first message to its commit, 100 to 3_600_000.
    pub interval_ms: i64,
}

impl Default for FlushLimits {
    fn default() -> Self {
        Self { rows_max: 1_000_000, bytes_max: 128 << 20, interval_ms: 10_000 }
    }
}

/// What becomes of prompts and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capture {
    /// Kept whole in `content`.
    #[default]
    Full,
    /// Only their SHA-256 and length are kept.
    Digest,
    /// Nothing is kept.
    Off,
}

impl Capture {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Full, Self::Digest, Self::Off];

    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Digest => "digest",
            Self::Off => "off",
        }
    }
}

/// Where to start in a partition the ledger knows nothing of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message Kafka still has.
    #[default]
    Earliest,
    /// At messages produced from now on.
    Latest,
}

impl Start {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Earliest, Self::Latest];

    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
        }
    }
}

/// What to do where Kafka removed messages before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnGap {
    /// Stop, so that somebody decides.
    #[default]
    Stop,
    /// Record the lost range in `quarantine` and read on after it.
    Continue,
}

impl OnGap {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::Stop, Self::Continue];

    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Continue => "continue",
        }
    }
}

/// [`Settings::silence_max`] where a worker serves: no fetch takes so long.
pub const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Everything a worker is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Topics to read.
    pub topics: Vec<String>,
    /// Format of topics that have one.
    pub formats: BTreeMap<String, Format>,
    /// Consumer group.
    pub group: String,
    /// This worker's name in the group, kept over restarts (`group.instance.id`).
    pub instance_id: Option<String>,
    /// Name of the cluster in the ledger's positions; Kafka's cluster id if absent.
    pub cluster: Option<String>,
    /// When to write.
    pub limits: FlushLimits,
    /// What becomes of bodies.
    pub capture: Capture,
    /// Where to start without a position.
    pub start: Start,
    /// What to do where messages are gone.
    pub on_gap: OnGap,
    /// Where health and metrics are served, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How long nothing may come of a partition before brokers are asked whether they have more of it.
    pub silence_max: Duration,
    /// Stop at the end offsets seen at the start.
    pub until_end: bool,
    /// Further settings of librdkafka, by its own names.
    pub librdkafka: BTreeMap<String, String>,
}
