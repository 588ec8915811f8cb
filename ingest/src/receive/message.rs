//! One Kafka message to be.

use axum::body::Bytes;

use super::refusal::Refusal;

/// A message: what `ingest` will read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Keeps the events of one call in one partition; none spreads them.
    pub(super) key: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) value: Bytes,
    /// Why `ingest` will put it into quarantine, if that is known already.
    pub(super) doubt: Option<Refusal>,
    /// Spans or log records in it; 1 for other events.
    pub(super) items: usize,
}

impl Message {
    /// What it weighs in Kafka, beside a few bytes of framing.
    pub(super) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.value.len() + self.key.as_ref().map_or(0, String::len) + headers
    }
}
