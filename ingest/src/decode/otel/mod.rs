//! OpenTelemetry GenAI spans and log events in OTLP JSON, as the Collector's Kafka exporter writes them.
//!
//! One message is one export batch: many spans of many resources, of which only model calls become entries. Spans of
//! agents and workflows repeat their children's usage and do not count; metrics are aggregates and never entries.

pub(super) mod call;
pub(super) mod indexed;
pub(super) mod proto;
pub(super) mod proto_value;
pub(super) mod protobuf;
pub(super) mod record;
pub(super) mod value;

use std::borrow::Cow;

use daybook_ledger::Entry;
use serde::Deserialize;

use self::call::Attributed;
use self::record::{CALL_EVENT, Frame, Sender};
use self::value::{Attribute, AttributeValue as _, Attributes, JsonValue};
use crate::decode::about::About;
use crate::decode::scalar::{Count, Object, Text, count, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "otel-genai",
    title: "OpenTelemetry GenAI",
    what: "An OTLP export batch of spans or log events, in JSON or protobuf. Only model calls become entries: spans of agents and workflows repeat their children's usage, metrics are aggregates.",
    recognised_by: "`resourceSpans`, `resourceLogs` or `resourceMetrics`; the content type `application/x-protobuf`, or bytes that read as a batch in protobuf.",
    identity: "`gen_ai.response.id`, else trace and span id.",
    stream: "one span a call, already merged.",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`gen_ai.usage.input_tokens`, `.output_tokens`, or the older `.prompt_tokens`, `.completion_tokens`; `llm.token_count.*` of OpenInference",
        ),
        ("cache_read_input_tokens", "`gen_ai.usage.cache_read.input_tokens` and older names"),
        (
            "cache_write_input_tokens",
            "`gen_ai.usage.cache_write.input_tokens` (older: `cache_creation`); its lifetime is not told",
        ),
        ("reasoning_tokens", "`gen_ai.usage.reasoning.output_tokens`"),
        (
            "input_tokens",
            "of Anthropic instrumentations whose parts exceed it: with the parts added, because they report it without the cache",
        ),
        (
            "provider",
            "a known host in `server.address`, else `gen_ai.provider.name`, older `gen_ai.system`, `llm.provider`",
        ),
        (
            "operation",
            "`gen_ai.operation.name`, else `llm.request.type`, `openinference.span.kind` or the inner spans of Vercel's AI SDK; without any of them a client span with provider and model",
        ),
        ("extra", "counts in `gen_ai.usage.*` under names not known here"),
        ("workload_hint, environment", "`service.name`, `deployment.environment.name` of the resource"),
        ("status, error_type", "the span's status and `error.type`, else the recorded exception"),
    ],
    cannot_say: &["Lifetimes of cache writes, and the cost: the conventions have no attribute for either."],
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    #[serde(borrow)]
    resource_spans: Option<Vec<Object<ResourceSpans<'a>>>>,
    resource_logs: Option<Vec<Object<ResourceLogs<'a>>>>,
    resource_metrics: Option<Json<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    #[serde(borrow)]
    resource: Option<Object<Resource<'a>>>,
    scope_spans: Option<Vec<Object<ScopeSpans<'a>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Option<Object<Resource<'a>>>,
    scope_logs: Option<Vec<Object<ScopeLogs<'a>>>>,
}

#[derive(Deserialize)]
struct ScopeSpans<'a> {
    #[serde(borrow)]
    spans: Option<Vec<Json<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    log_records: Option<Vec<Json<'a>>>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Option<Attributes<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    span_id: Option<Text<'a>>,
    kind: Option<Json<'a>>,
    start_time_unix_nano: Option<Count>,
    end_time_unix_nano: Option<Count>,
    attributes: Option<Attributes<'a>>,
    events: Option<Json<'a>>,
    status: Option<Object<SpanStatus<'a>>>,
}

#[derive(Deserialize)]
struct SpanStatus<'a> {
    #[serde(borrow)]
    code: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct SpanEvent<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    attributes: Option<Attributes<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    span_id: Option<Text<'a>>,
    time_unix_nano: Option<Count>,
    observed_time_unix_nano: Option<Count>,
    event_name: Option<Text<'a>>,
    attributes: Option<Attributes<'a>>,
    body: Option<Json<'a>>,
}

/// A log body that holds attributes, as events did before they had attributes of their own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogBody<'a> {
    #[serde(borrow)]
    kvlist_value: Option<Object<KeyValues<'a>>>,
}

#[derive(Deserialize)]
struct KeyValues<'a> {
    #[serde(borrow)]
    values: Option<Attributes<'a>>,
}

/// `SPAN_KIND_INTERNAL`, as number or name.
const INTERNAL: [&str; 2] = ["1", "\"SPAN_KIND_INTERNAL\""];
/// `STATUS_CODE_ERROR`, as number or name.
const FAILED: [&str; 2] = ["2", "\"STATUS_CODE_ERROR\""];

/// Decodes one export batch into its model calls, in order.
pub(crate) fn decode<'a>(source: &Source<'a>, options: &DecodeOptions) -> Result<Vec<Entry<'a>>, DecodeError> {
    let export: Export<'a> = source.parse(source.text())?;
    if export.resource_spans.is_none() && export.resource_logs.is_none() && export.resource_metrics.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::OtelGenAi);
        let missing = "`resourceSpans` or `resourceLogs`";
        return Err(DecodeError::WrongFormat { format: Format::OtelGenAi, missing, looks_like });
    }
    let mut entries = Vec::new();
    for Object(resource) in export.resource_spans.into_iter().flatten() {
        let sender = sender(source, resource.resource)?;
        let scopes = resource.scope_spans.into_iter().flatten();
        for span in scopes.flat_map(|scope| scope.0.spans.unwrap_or_default()) {
            entries.extend(read_span(source, span, &sender, options)?);
        }
    }
    for Object(resource) in export.resource_logs.into_iter().flatten() {
        let sender = sender(source, resource.resource)?;
        let scopes = resource.scope_logs.into_iter().flatten();
        for record in scopes.flat_map(|scope| scope.0.log_records.unwrap_or_default()) {
            entries.extend(read_record(source, record, &sender, options)?);
        }
    }
    Ok(entries)
}

fn sender<'a>(source: &Source<'a>, resource: Option<Object<Resource<'a>>>) -> Result<Sender<'a>, DecodeError> {
    let mut sender = Sender::default();
    let attributes = resource.and_then(|resource| resource.0.attributes).unwrap_or_default();
    for (key, value) in values(source, &attributes) {
        sender.take(key, &value)?;
    }
    Ok(sender)
}

/// The attributes that have a key and a value.
fn values<'v, 's, 'a>(
    source: &'s Source<'a>,
    attributes: &'v [Object<Attribute<'a>>],
) -> impl Iterator<Item = (&'v str, JsonValue<'s, 'a>)> + Clone {
    attributes.iter().filter_map(|Object(attribute)| {
        let (key, value) = (attribute.key.as_ref()?, attribute.value?);
        Some((key.0.as_ref(), JsonValue::new(source, value)))
    })
}

fn read_span<'a>(
    source: &Source<'a>,
    json: Json<'a>,
    sender: &Sender<'a>,
    options: &DecodeOptions,
) -> Result<Option<Entry<'a>>, DecodeError> {
    let span: Span<'a> = source.object(json)?;
    let call = Attributed::read(values(source, &span.attributes.unwrap_or_default()))?;
    let internal = span.kind.is_some_and(|kind| INTERNAL.contains(&kind.get()));
    let Some(operation) = call.operation(internal) else { return Ok(None) };
    let frame = Frame {
        raw: json.get().as_bytes(),
        trace_id: lower_case(span.trace_id),
        span_id: lower_case(span.span_id),
        start: count(span.start_time_unix_nano),
        end: count(span.end_time_unix_nano),
    };
    let mut entry = frame.entry(operation, sender);
    let failed = span.status.and_then(|status| status.0.code).is_some_and(|code| FAILED.contains(&code.get()));
    let exception = match span.events.filter(|_| failed) {
        Some(events) => exception(source, events)?,
        None => None,
    };
    call.fill(&mut entry, failed, exception, options)?;
    Ok(Some(entry))
}

/// The type of the exception a span recorded.
fn exception<'a>(source: &Source<'a>, events: Json<'a>) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let events: Vec<Object<SpanEvent<'a>>> = source.parse(events.get())?;
    let exceptions = events.into_iter().filter(|event| event.0.name.as_ref().is_some_and(|name| name.0 == "exception"));
    for Object(exception) in exceptions {
        let attributes = exception.attributes.unwrap_or_default();
        if let Some((_, value)) = values(source, &attributes).find(|(key, _)| *key == "exception.type") {
            return value.text();
        }
    }
    Ok(None)
}

fn read_record<'a>(
    source: &Source<'a>,
    json: Json<'a>,
    sender: &Sender<'a>,
    options: &DecodeOptions,
) -> Result<Option<Entry<'a>>, DecodeError> {
    let record: LogRecord<'a> = source.object(json)?;
    let mut attributes = record.attributes.unwrap_or_default();
    if let Some(body) = record.body.filter(|body| body.get().contains("kvlistValue")) {
        let values = source.object::<LogBody<'a>>(body)?.kvlist_value.and_then(|list| list.0.values);
        attributes.extend(values.unwrap_or_default());
    }
    let call = Attributed::read(values(source, &attributes))?;
    let name = present(record.event_name);
    if name.as_deref().or(call.event_name()) != Some(CALL_EVENT) {
        return Ok(None);
    }
    let Some(operation) = call.operation(false) else { return Ok(None) };
    let set = |nanos| count(nanos).filter(|nanos| *nanos != 0);
    let frame = Frame {
        raw: json.get().as_bytes(),
        trace_id: lower_case(record.trace_id),
        span_id: lower_case(record.span_id),
        // The event is written when the answer is there; when the call began it does not say.
        start: set(record.time_unix_nano).or(set(record.observed_time_unix_nano)),
        end: None,
    };
    let mut entry = frame.entry(operation, sender);
    call.fill(&mut entry, false, None, options)?;
    Ok(Some(entry))
}

/// Ids are hex in any letter case: they are one in lower case. One of zeros is none.
fn lower_case(id: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    let id = present(id).filter(|id| id.bytes().any(|byte| byte != b'0'))?;
    let upper = id.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if upper { Cow::Owned(id.to_ascii_lowercase()) } else { id })
}
