//! What a receiver can be told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::token::Tokens;
use crate::decode::Format;

/// The paths that take events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// `/v1/events`: CloudEvents, JSON, NDJSON, LiteLLM's generic API callback.
    Events,
    /// `/v1/traces`: OTLP spans.
    Traces,
    /// `/v1/logs`: OTLP log records.
    Logs,
}

impl Path {
    /// Every path.
    pub const ALL: &'static [Self] = &[Self::Events, Self::Traces, Self::Logs];

    /// Its name in settings and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// The path of a URL.
    pub const fn url(self) -> &'static str {
        match self {
            Self::Events => "/v1/events",
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }
}

/// Where events go: the topic of their stated format, else of their path, else the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// For what no other topic is named.
    pub default: Option<String>,
    /// By path.
    pub paths: BTreeMap<Path, String>,
    /// By format, for senders that state one.
    pub formats: BTreeMap<&'static str, String>,
}

impl Topics {
    /// The topic of an event, if there is one.
    pub(super) fn of(&self, path: Path, format: Option<Format>) -> Option<&str> {
        let by_format = format.and_then(|format| self.formats.get(format.as_str()));
        by_format.or_else(|| self.paths.get(&path)).or(self.default.as_ref()).map(String::as_str)
    }

    /// Every topic, once.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        let named = self.default.iter().chain(self.paths.values()).chain(self.formats.values());
        named.map(String::as_str).collect()
    }
}

/// How "not now" is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BusyStatus {
    /// 429, which OTLP and most senders retry.
    #[default]
    TooManyRequests,
    /// 503, for senders that retry server errors only, such as LiteLLM.
    ServiceUnavailable,
}

impl BusyStatus {
    /// Every value.
    pub const ALL: &'static [Self] = &[Self::TooManyRequests, Self::ServiceUnavailable];

    /// The number in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooManyRequests => "429",
            Self::ServiceUnavailable => "503",
        }
    }
}

/// What a receiver takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body, as sent and unpacked, 1 KiB to 1 GiB.
    pub body_bytes_max: usize,
    /// Events of one request, 1 to 1_000_000.
    pub events_max: usize,
    /// Bytes of one Kafka message, 1 KiB to 1 GiB; the topics' `max.message.bytes` has to allow it.
    pub message_bytes_max: usize,
    /// Bytes of all requests that are not answered yet, 1 MiB to 64 GiB; librdkafka holds as much again at most.
    pub in_flight_bytes_max: usize,
    /// Connections at a time, 1 to 100_000; further ones wait.
    pub connections_max: usize,
    /// From a request's first byte to its answer, 1 s to 10 min.
    pub timeout: Duration,
    /// Without an acknowledgement for this long new requests are turned away, 100 ms to 10 min.
    pub slow_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            events_max: 10_000,
            message_bytes_max: 1_000_000,
            in_flight_bytes_max: 256 << 20,
            connections_max: 1024,
            timeout: Duration::from_secs(25),
            slow_after: Duration::from_secs(5),
        }
    }
}

/// Everything a receiver is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may send; with none, everyone who can connect.
    pub tokens: Tokens,
    /// Listen to other machines without a token.
    pub insecure: bool,
    /// Where events go.
    pub topics: Topics,
    /// What is taken on.
    pub limits: Limits,
    /// How "not now" is said.
    pub busy_status: BusyStatus,
    /// Further settings of librdkafka, by its own names.
    pub librdkafka: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_topic_wins() {
        let topics = Topics {
            default: Some("all".into()),
            paths: BTreeMap::from([(Path::Traces, "spans".into())]),
            formats: BTreeMap::from([("litellm-standard", "litellm".into())]),
        };
        assert_eq!(topics.of(Path::Events, None), Some("all"));
        assert_eq!(topics.of(Path::Traces, None), Some("spans"));
        assert_eq!(topics.of(Path::Traces, Some(Format::LiteLlm)), Some("litellm"));
        assert_eq!(topics.of(Path::Logs, Some(Format::OtelGenAi)), Some("all"));
        assert_eq!(Topics { default: None, ..topics }.of(Path::Events, None), None);
    }
}
