//! What can keep a receiver from starting, or stop it.

use daybook_ledger::{Kind, Report};

/// Errors of a receiver. What a single request is refused for is a [`Refusal`](super::Refusal).
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen { listen: String, source: std::io::Error },
    /// Other machines could send without a token.
    #[error("{listen} can be reached from other machines, and no token is set")]
    Open { listen: String },
    /// A token cannot be one.
    #[error("token {number} in {origin} {reason}")]
    Token { origin: String, number: usize, reason: &'static str },
    /// Nowhere to put events.
    #[error("no topic is named for any path")]
    NoTopic,
    /// The producer is beyond repair.
    #[error("the Kafka producer failed for good: {reason}")]
    Producer { reason: String },
    /// Kafka failed.
    #[error(transparent)]
    Kafka(#[from] crate::Error),
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] =
        &["RECEIVE-001", "RECEIVE-002", "RECEIVE-003", "RECEIVE-004", "RECEIVE-005"];
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "RECEIVE-001",
            Self::Open { .. } => "RECEIVE-002",
            Self::Token { .. } => "RECEIVE-003",
            Self::NoTopic => "RECEIVE-004",
            Self::Producer { .. } => "RECEIVE-005",
            Self::Kafka(error) => error.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Listen { .. } | Self::Open { .. } | Self::Token { .. } | Self::NoTopic => Kind::Usage,
            Self::Producer { .. } => Kind::Unavailable,
            Self::Kafka(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Listen { .. } => "is it in use? name another address with --listen".into(),
            Self::Open { .. } => {
                "put tokens into a file (--token-file) or DAYBOOK_RECEIVE_TOKENS, listen on 127.0.0.1, or, if the \
                 network itself keeps others out, say --insecure"
                    .into()
            }
            Self::Token { .. } => {
                "one token per line, at least 16 printable characters; `openssl rand -hex 32` makes one".into()
            }
            Self::NoTopic => "use --topic, or `topics` under [receive] in daybook.toml".into(),
            Self::Producer { .. } => {
                "nothing that was acknowledged is lost, senders have the rest; start the receiver again".into()
            }
            Self::Kafka(error) => return error.hint(),
        })
    }
}
