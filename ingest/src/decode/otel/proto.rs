//! OTLP in protobuf, which is what the Collector's Kafka exporter writes unless told otherwise.
//!
//! The same batches as in JSON, and the same meaning: `otel_call` reads the attributes of both. Nothing in a message says
//! whether it holds traces, logs or metrics; their records differ in the types of their first fields.

use std::borrow::Cow;

use daybook_ledger::Entry;

use super::call::Attributed;
use super::proto_value::{ProtoValue, attribute};
use super::protobuf::{Message, Wire};
use super::record::{CALL_EVENT, Frame, Sender};
use super::value::AttributeValue as _;
use crate::decode::{DecodeError, DecodeOptions};

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u64 = 1;
/// `STATUS_CODE_ERROR`.
const FAILED: u64 = 2;

/// Whether `value` looks like an export batch: nothing but resources with their scopes.
///
/// JSON never does: its first byte is no field of a batch, and a line break before it would be a field's tag but then
/// takes the brace for a length that does not fit.
pub(crate) fn looks_like(value: &[u8]) -> bool {
    let message = Message::new(value);
    let mut scopes = 0;
    let is_resource = |field| match field {
        Ok((1, Wire::Bytes(resource))) => message.fields(resource).all(|field| match field {
            Ok((number @ 1..=3, Wire::Bytes(_))) => {
                scopes += usize::from(number == 2);
                true
            }
            _ => false,
        }),
        _ => false,
    };
    message.fields(value).all(is_resource) && scopes > 0
}

/// Decodes one export batch into its model calls, in order.
pub(crate) fn decode<'a>(value: &'a [u8], options: &DecodeOptions) -> Result<Vec<Entry<'a>>, DecodeError> {
    let message = Message::new(value);
    let mut entries = Vec::new();
    for resource in messages(message, value, 1) {
        read_resource(message, resource?, options, &mut entries)?;
    }
    Ok(entries)
}

/// The messages in field `number` of `part`. What else is in it is of no interest, but has to be readable.
fn messages<'a>(
    message: Message<'a>,
    part: &'a [u8],
    number: u32,
) -> impl Iterator<Item = Result<&'a [u8], DecodeError>> {
    message.fields(part).filter_map(move |field| match field {
        Ok((found, Wire::Bytes(inner))) if found == number => Some(Ok(inner)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

fn read_resource<'a>(
    message: Message<'a>,
    resource: &'a [u8],
    options: &DecodeOptions,
    entries: &mut Vec<Entry<'a>>,
) -> Result<(), DecodeError> {
    // The resource may stand behind its scopes.
    let mut sender = Sender::default();
    for description in messages(message, resource, 1) {
        for part in messages(message, description?, 1) {
            let value = attribute(message, part?)?;
            sender.take(value.key, &value)?;
        }
    }
    for scope in messages(message, resource, 2) {
        for record in messages(message, scope?, 2) {
            entries.extend(Record::read(message, record?)?.entry(&sender, options)?);
        }
    }
    Ok(())
}

/// A span or a log record, told apart by the types of its fields.
#[derive(Debug)]
struct Record<'a> {
    message: Message<'a>,
    raw: &'a [u8],
    is_span: bool,
    is_log: bool,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    start: Option<u64>,
    end: Option<u64>,
    observed: Option<u64>,
    internal: bool,
    failed: bool,
    event_name: &'a [u8],
    attributes: Vec<&'a [u8]>,
    /// Of a span its events; of a log record its body.
    events: Vec<&'a [u8]>,
    body: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    fn read(message: Message<'a>, raw: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Vec::with_capacity(16);
        for field in message.fields(raw) {
            fields.push(field?);
        }
        let any = |test: fn(&(u32, Wire<'_>)) -> bool| fields.iter().any(test);
        // `LogRecord` begins with a time, a severity number, and has its attributes in field 6.
        let is_log =
            any(|field| matches!(field, (1 | 11, Wire::Fixed64(_)) | (2, Wire::Varint(_)) | (6, Wire::Bytes(_))));
        // `Span` begins with ids of 16 and 8 bytes and has its times in fields 7 and 8; `Metric` has neither.
        let ids = any(|field| matches!(field, (1, Wire::Bytes(id)) if id.len() == 16))
            && any(|field| matches!(field, (2, Wire::Bytes(id)) if id.len() == 8));
        let is_span = !is_log && (ids || any(|field| matches!(field, (7 | 8, Wire::Fixed64(_)))));
        let mut record = Self {
            message,
            raw,
            is_span,
            is_log,
            trace_id: &[],
            span_id: &[],
            start: None,
            end: None,
            observed: None,
            internal: false,
            failed: false,
            event_name: &[],
            attributes: Vec::new(),
            events: Vec::new(),
            body: None,
        };
        for field in fields {
            if is_span {
                record.take_of_span(field)?;
            } else if is_log {
                record.take_of_log(field);
            }
        }
        Ok(record)
    }

    fn take_of_span(&mut self, field: (u32, Wire<'a>)) -> Result<(), DecodeError> {
        match field {
            (1, Wire::Bytes(id)) => self.trace_id = id,
            (2, Wire::Bytes(id)) => self.span_id = id,
            (6, Wire::Varint(kind)) => self.internal = kind == INTERNAL,
            (7, Wire::Fixed64(nanos)) => self.start = Some(nanos),
            (8, Wire::Fixed64(nanos)) => self.end = Some(nanos),
            (9, Wire::Bytes(part)) => self.attributes.push(part),
            (11, Wire::Bytes(event)) => self.events.push(event),
            (15, Wire::Bytes(status)) => {
                for field in self.message.fields(status) {
                    self.failed |= field? == (3, Wire::Varint(FAILED));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_of_log(&mut self, field: (u32, Wire<'a>)) {
        match field {
            (1, Wire::Fixed64(nanos)) => self.start = Some(nanos),
            (11, Wire::Fixed64(nanos)) => self.observed = Some(nanos),
            (5, Wire::Bytes(body)) => self.body = Some(body),
            (6, Wire::Bytes(part)) => self.attributes.push(part),
            (9, Wire::Bytes(id)) => self.trace_id = id,
            (10, Wire::Bytes(id)) => self.span_id = id,
            (12, Wire::Bytes(name)) => self.event_name = name,
            _ => {}
        }
    }

    fn entry(mut self, sender: &Sender<'a>, options: &DecodeOptions) -> Result<Option<Entry<'a>>, DecodeError> {
        if !self.is_span && !self.is_log {
            return Ok(None);
        }
        if let Some(part) = self.body {
            self.attributes.extend(ProtoValue { message: self.message, key: "body", part }.members()?);
        }
        let mut values = Vec::with_capacity(self.attributes.len());
        for part in &self.attributes {
            values.push(attribute(self.message, part)?);
        }
        let call = Attributed::read(values.iter().map(|value| (value.key, *value)))?;
        if self.is_log {
            let stated = self.message.text(self.event_name)?;
            let name = Some(stated).filter(|name| !name.is_empty()).or(call.event_name());
            if name != Some(CALL_EVENT) {
                return Ok(None);
            }
        }
        let Some(operation) = call.operation(self.internal) else { return Ok(None) };
        let exception = if self.failed { self.exception()? } else { None };
        let failed = self.failed;
        let mut entry = self.frame().entry(operation, sender);
        call.fill(&mut entry, failed, exception, options)?;
        Ok(Some(entry))
    }

    /// When a call began a log event does not say: it is written when the answer is there.
    fn frame(self) -> Frame<'a> {
        let nanos = |nanos: Option<u64>| nanos.and_then(|nanos| i64::try_from(nanos).ok());
        let start = nanos(self.start).filter(|nanos| *nanos != 0);
        Frame {
            raw: self.raw,
            trace_id: hex(self.trace_id),
            span_id: hex(self.span_id),
            start: start.or(nanos(self.observed)),
            end: nanos(self.end),
        }
    }

    /// The type of the exception a span recorded.
    fn exception(&self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        for event in &self.events {
            let mut named = false;
            for name in messages(self.message, event, 2) {
                named |= name? == b"exception";
            }
            for part in messages(self.message, event, 3) {
                let value = attribute(self.message, part?)?;
                if named && value.key == "exception.type" {
                    return value.text();
                }
            }
        }
        Ok(None)
    }
}

/// An id in lower-case hex; one of zeros is none.
fn hex(id: &[u8]) -> Option<Cow<'static, str>> {
    if id.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut text = String::with_capacity(id.len() * 2);
    for byte in id {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(nibble.into(), 16).unwrap_or('0')));
    }
    Some(Cow::Owned(text))
}
