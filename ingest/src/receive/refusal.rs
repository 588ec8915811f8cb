//! Why a request is not answered with success, and how each protocol says so.

use axum::http::StatusCode;

use super::settings::BusyStatus;

/// A request, or one event of it, that is not in Kafka. The sender is told with the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Refusal {
    /// No token, or none of ours.
    #[error("no valid bearer token")]
    Unauthorized,
    /// Nothing is there.
    #[error("nothing is at {path}")]
    NotFound { path: String },
    /// The path takes another method.
    #[error("{path} takes {allowed}")]
    Method { path: String, allowed: &'static str },
    /// The path has no topic.
    #[error("no topic is configured for {path}")]
    NoTopic { path: &'static str },
    /// More than one request may hold.
    #[error("the body has more than {bytes_max} bytes{}", if *.unpacked { " when unpacked" } else { "" })]
    BodyTooLarge { bytes_max: usize, unpacked: bool },
    /// More events than one request may hold.
    #[error("the request has more than {events_max} events")]
    TooManyEvents { events_max: usize },
    /// An event does not fit into a Kafka message.
    #[error("{bytes} bytes do not fit into a Kafka message of {bytes_max}")]
    EventTooLarge { bytes: usize, bytes_max: usize },
    /// The topic takes smaller messages than we do.
    #[error("topic `{topic}` does not take a message of {bytes} bytes")]
    TopicRefused { topic: String, bytes: usize },
    /// A compression that is not known.
    #[error("content encoding `{encoding}` is not known")]
    Encoding { encoding: String },
    /// A content type that the path does not take.
    #[error("content type `{content_type}` is not OTLP")]
    ContentType { content_type: String },
    /// The body cannot be unpacked, or ended early.
    #[error("the body cannot be read: {reason}")]
    Unreadable { reason: String },
    /// No event at all.
    #[error("the body is empty")]
    Empty,
    /// Not JSON.
    #[error("not JSON at line {line}, column {column}: {reason}")]
    NotJson { line: usize, column: usize, reason: String },
    /// JSON that no event can be.
    #[error("an event is a JSON object, not {found}")]
    NotAnObject { found: &'static str },
    /// Not what the path is for.
    #[error("not OTLP: {reason}")]
    NotOtlp { reason: String },
    /// A format that does not exist.
    #[error("unknown format `{given}`")]
    UnknownFormat { given: String, hint: String },
    /// The body took too long.
    #[error("the body did not arrive within {timeout_ms} ms")]
    Slow { timeout_ms: u128 },
    /// As many bytes are on their way as may be.
    #[error("too many bytes are waiting for Kafka")]
    Busy,
    /// Kafka does not keep up.
    #[error("Kafka has not acknowledged anything for {waited_ms} ms")]
    KafkaSlow { waited_ms: u128 },
    /// Kafka did not take it.
    #[error("Kafka did not acknowledge: {reason}")]
    NotAcknowledged { reason: String },
}

impl Refusal {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "RECEIVE-101",
        "RECEIVE-102",
        "RECEIVE-103",
        "RECEIVE-104",
        "RECEIVE-105",
        "RECEIVE-106",
        "RECEIVE-107",
        "RECEIVE-108",
        "RECEIVE-109",
        "RECEIVE-110",
        "RECEIVE-111",
        "RECEIVE-112",
        "RECEIVE-113",
        "RECEIVE-114",
    ];

    /// The code, stable for ever.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "RECEIVE-101",
            Self::NotFound { .. } | Self::Method { .. } | Self::NoTopic { .. } => "RECEIVE-102",
            Self::BodyTooLarge { .. } => "RECEIVE-103",
            Self::TooManyEvents { .. } => "RECEIVE-104",
            Self::EventTooLarge { .. } | Self::TopicRefused { .. } => "RECEIVE-105",
            Self::Encoding { .. } | Self::ContentType { .. } => "RECEIVE-106",
            Self::Unreadable { .. } => "RECEIVE-107",
            Self::Empty | Self::NotJson { .. } | Self::NotAnObject { .. } => "RECEIVE-108",
            Self::NotOtlp { .. } => "RECEIVE-109",
            Self::UnknownFormat { .. } => "RECEIVE-110",
            Self::Slow { .. } => "RECEIVE-111",
            Self::Busy => "RECEIVE-112",
            Self::KafkaSlow { .. } => "RECEIVE-113",
            Self::NotAcknowledged { .. } => "RECEIVE-114",
        }
    }

    /// The HTTP status.
    pub(super) const fn status(&self, busy: BusyStatus) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound { .. } | Self::NoTopic { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. }
            | Self::TooManyEvents { .. }
            | Self::EventTooLarge { .. }
            | Self::TopicRefused { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding { .. } | Self::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable { .. }
            | Self::Empty
            | Self::NotJson { .. }
            | Self::NotAnObject { .. }
            | Self::NotOtlp { .. }
            | Self::UnknownFormat { .. } => StatusCode::BAD_REQUEST,
            Self::Busy | Self::KafkaSlow { .. } => match busy {
                BusyStatus::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
                BusyStatus::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            },
            // Not 408, which senders of OTLP may not send again after.
            Self::Slow { .. } | Self::NotAcknowledged { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code of gRPC, which OTLP's `Status` carries.
    pub(super) const fn grpc_code(&self) -> u8 {
        match self {
            Self::Unauthorized => 16,
            Self::NotFound { .. } | Self::Method { .. } | Self::NoTopic { .. } => 5,
            Self::Busy | Self::KafkaSlow { .. } => 8,
            Self::NotAcknowledged { .. } => 14,
            Self::Slow { .. } => 4,
            _ => 3,
        }
    }

    /// Seconds after which sending again makes sense; `None` if it never does.
    pub(super) const fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Busy | Self::Slow { .. } => Some(1),
            Self::KafkaSlow { .. } | Self::NotAcknowledged { .. } => Some(5),
            _ => None,
        }
    }

    /// What to do.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Unauthorized => "send `Authorization: Bearer <token>` with a token of this receiver".into(),
            Self::NotFound { .. } | Self::Method { .. } => {
                "POST to /v1/events (CloudEvents, JSON, NDJSON), /v1/traces or /v1/logs (OTLP); GET /healthz/live, \
                 /healthz/ready or /metrics"
                    .into()
            }
            Self::NoTopic { .. } => "name one with --topic, or under [receive.topics]".into(),
            Self::BodyTooLarge { .. } => "send smaller batches, or raise receive.body_bytes_max".into(),
            Self::TooManyEvents { .. } => {
                "send smaller batches; for /v1/events, receive.events_max can be raised".into()
            }
            Self::EventTooLarge { .. } => {
                "raise receive.message_bytes_max, and max.message.bytes of the topic with it".into()
            }
            Self::TopicRefused { .. } => "raise max.message.bytes of the topic".into(),
            Self::Encoding { .. } => "gzip, deflate and zstd are known, or send the body as it is".into(),
            Self::ContentType { .. } => "send application/json or application/x-protobuf".into(),
            Self::Unreadable { .. } => "the connection or the compression broke; send it again".into(),
            Self::Empty | Self::NotJson { .. } | Self::NotAnObject { .. } => {
                "send one JSON object, an array of them, or one per line".into()
            }
            Self::NotOtlp { .. } => "events other than OTLP go to /v1/events".into(),
            Self::UnknownFormat { hint, .. } => hint.clone(),
            Self::Slow { .. } => "send it again, or raise receive.timeout_ms".into(),
            Self::Busy | Self::KafkaSlow { .. } | Self::NotAcknowledged { .. } => {
                "send the request again later; what is in Kafka already is recognised in the ledger".into()
            }
        }
    }
}
