//! What a span or a log record of either encoding says besides its attributes.

use std::borrow::Cow;

use daybook_ledger::{Entry, Instant, Operation};

use super::value::AttributeValue;
use crate::decode::DecodeError;

/// The log event that tells a whole call. Other events tell a message each, without usage.
pub(crate) const CALL_EVENT: &str = "gen_ai.client.inference.operation.details";

/// Who sent the spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender<'a> {
    service: Option<Cow<'a, str>>,
    environment: Option<Cow<'a, str>>,
}

impl<'a> Sender<'a> {
    /// Takes in one attribute of the resource.
    pub(crate) fn take(&mut self, key: &str, value: &impl AttributeValue<'a>) -> Result<(), DecodeError> {
        match key {
            "service.name" => self.service = value.text()?,
            "deployment.environment.name" => self.environment = value.text()?.or(self.environment.take()),
            "deployment.environment" => self.environment = self.environment.take().or(value.text()?),
            _ => {}
        }
        Ok(())
    }
}

/// Ids in lower-case hex, and times in nanoseconds since 1970.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub raw: &'a [u8],
    pub trace_id: Option<Cow<'a, str>>,
    pub span_id: Option<Cow<'a, str>>,
    pub start: Option<i64>,
    pub end: Option<i64>,
}

impl<'a> Frame<'a> {
    /// The entry as far as this tells it. The response's own id, if there is one, comes later.
    pub(crate) fn entry(self, operation: Operation, sender: &Sender<'a>) -> Entry<'a> {
        let mut entry = Entry::new("otel", operation, self.raw);
        let set = |nanos: Option<i64>| nanos.filter(|nanos| *nanos != 0);
        let instant = |nanos: i64| Instant::from_micros(nanos.div_euclid(1_000));
        let (start, end) = (set(self.start), set(self.end));
        entry.started_at = start.map(instant);
        entry.completed_at = end.map(instant);
        entry.latency_ms = start
            .zip(end)
            .map(|(start, end)| end.saturating_sub(start).saturating_add(500_000).div_euclid(1_000_000))
            .filter(|millis| *millis >= 0);
        let ids = self.trace_id.as_ref().zip(self.span_id.as_ref());
        entry.event_id = ids.map(|(trace, span)| Cow::Owned(format!("{trace}/{span}")));
        entry.trace_id = self.trace_id;
        entry.workload_hint = sender.service.clone();
        entry.environment = sender.environment.clone();
        entry
    }
}
