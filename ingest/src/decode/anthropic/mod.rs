//! Anthropic Messages: an answer in one piece, as a stream of events, or as a line of a batch's results.

pub(super) mod stream;
pub(super) mod usage;

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation};
use serde::Deserialize;

use self::stream::MessageStream;
use self::usage::Usage;
use crate::decode::about::About;
use crate::decode::capture::{Call, Capture, Envelope, Failure, Outcome, add_features, note_modalities};
use crate::decode::extra::Extra;
use crate::decode::messages::Messages;
use crate::decode::object::object;
use crate::decode::request::{Request, both_directions};
use crate::decode::scalar::{Object, Text, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "anthropic",
    title: "Anthropic Messages",
    what: "A captured call, a bare message, or a line of a batch's results.",
    recognised_by: "`capture.api` is `anthropic.messages`, `type` is `message`, or `custom_id` beside `result`.",
    identity: "the message's `id`; of a batch line that failed, its `custom_id`.",
    stream: "`message_start` and the cumulative `message_delta`s, merged field by field; the last that says something wins, nothing is added up.",
    columns: &[
        (
            "input_tokens",
            "`input_tokens` + `cache_read_input_tokens` + `cache_creation_input_tokens`: Anthropic's `input_tokens` leaves the cache out",
        ),
        ("cache_read_input_tokens", "`cache_read_input_tokens`"),
        (
            "cache_write_5m_input_tokens, cache_write_1h_input_tokens",
            "`cache_creation.ephemeral_5m_input_tokens`, `.ephemeral_1h_input_tokens`; without the split the lifetime is unstated, and priced as 5 minutes",
        ),
        ("output_tokens", "`output_tokens`, which holds the thinking"),
        ("reasoning_tokens", "`output_tokens_details.thinking_tokens`"),
        (
            "input_tokens, output_tokens",
            "with `iterations` (compaction, advisor, fallback): the sum of all passes, which the top level leaves out",
        ),
        ("region", "the host's, else `inference_geo`"),
        ("service_tier", "`service_tier`; `fast` where `speed` says so"),
        (
            "meters",
            "`other_model_tokens`: those of `iterations` whose `model` is another (advisor, fallback); such a call stays unpriced, its model being two",
        ),
        ("meters", "`server_tool_use`: `web_search_requests`, `web_fetch_requests`, ..."),
    ],
    cannot_say: &["A total of its own: the counts can be checked only against each other."],
};

object! {
    /// The message object, or the error that came instead.
    pub(crate) struct Message<'a> {
        kind: Text<'a> = "type",
        pub id: Text<'a> = "id",
        pub model: Text<'a> = "model",
        pub content: Json<'a> = "content",
        pub stop_reason: Text<'a> = "stop_reason",
        pub usage: Usage<'a> = "usage",
        error: Json<'a> = "error",
        container: Json<'a> = "container",
    }
    ignoring ["role", "stop_sequence", "request_id", "amazon-bedrock-invocationMetrics"]
}

/// What came back, however it came.
#[derive(Debug, Default)]
pub(crate) struct Answer<'a> {
    pub outcome: Outcome<'a>,
    pub usage: Option<Usage<'a>>,
}

/// Decodes one captured call or one line of a batch's results.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let line: BatchLine<'a> = source.parse(source.text())?;
    if let Some(result) = line.result {
        return decode_line(source, raw, options, (present(line.custom_id), result.0));
    }
    decode_of("anthropic", source, raw, options)
}

/// Decodes one call at `provider`, unless its endpoint is of another.
pub(crate) fn decode_of<'a>(
    provider: &'static str,
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let envelope = Envelope::read(source, Format::AnthropicMessages, "message")?;
    let mut request: Request<'a> = match envelope.request {
        Some(request) => source.object(request)?,
        None => Request::default(),
    };
    let (mut input, mut output) = both_directions(options.bodies);
    request.say(&mut input);
    let pending = envelope.is_pending();
    let mut answer = match (envelope.response, envelope.stream) {
        (_, Some(stream)) => MessageStream::read(source, stream)?.answer(source, &mut output)?,
        (Some(response), None) => read_message(source, response, &mut output)?,
        (None, None) => Answer::default(),
    };
    answer.outcome.pending = pending;
    answer.outcome.extra.add("", &envelope.unknown);
    let capture = envelope.capture;
    let provider = if capture.as_ref().is_some_and(Capture::is_of_vertex) { "vertex_ai" } else { provider };
    let mut entry = entry((source, raw, provider), (capture, &mut request, answer))?;
    let streamed = envelope.stream.is_some();
    entry.streamed = if streamed { Some(true) } else { entry.streamed.or(envelope.request.map(|_| false)) };
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    if options.bodies {
        entry.body = request.body(envelope.request, input, output);
    }
    Ok(entry)
}

/// `{"custom_id": ..., "result": {"type": "succeeded" | "errored" | "canceled" | "expired", ...}}`.
#[derive(Debug, Deserialize)]
struct BatchLine<'a> {
    #[serde(borrow)]
    custom_id: Option<Text<'a>>,
    result: Option<Object<BatchResult<'a>>>,
}

#[derive(Debug, Deserialize)]
struct BatchResult<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    message: Option<Json<'a>>,
    error: Option<Json<'a>>,
}

fn decode_line<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
    (custom_id, result): (Option<Cow<'a, str>>, BatchResult<'a>),
) -> Result<Entry<'a>, DecodeError> {
    let mut entry = line_entry((source, raw, "anthropic"), options.bodies, None, |output| {
        if let Some(message) = result.message {
            return read_message(source, message, output);
        }
        let mut failure = result.error.map(|error| Failure::read(source, error)).transpose()?.unwrap_or_default();
        // Without an error, how the line ended is the word for it: `canceled`, `expired`.
        failure.word = failure.word.or(present(result.kind));
        Ok(Answer { outcome: Outcome { failure: Some(failure), ..Outcome::default() }, usage: None })
    })?;
    entry.event_id = entry.event_id.or(custom_id);
    Ok(entry)
}

/// Decodes the message of a line of a batch that Vertex AI ran.
pub(crate) fn decode_vertex_line<'a>(
    (source, raw): (&Source<'a>, &'a [u8]),
    bodies: bool,
    (request, message): (Option<Json<'a>>, Json<'a>),
) -> Result<Entry<'a>, DecodeError> {
    let answer = |output: &mut Messages| read_message(source, message, output);
    line_entry((source, raw, "vertex_ai"), bodies, request, answer)
}

fn line_entry<'a>(
    (source, raw, provider): (&Source<'a>, &'a [u8], &'static str),
    bodies: bool,
    json: Option<Json<'a>>,
    read: impl FnOnce(&mut Messages) -> Result<Answer<'a>, DecodeError>,
) -> Result<Entry<'a>, DecodeError> {
    let (mut input, mut output) = both_directions(bodies);
    let mut request: Request<'a> = json.map_or_else(|| Ok(Request::default()), |request| source.object(request))?;
    request.say(&mut input);
    let answer = read(&mut output)?;
    let mut entry = entry((source, raw, provider), (None, &mut request, answer))?;
    entry.features.insert(Feature::Batch);
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    if bodies {
        entry.body = request.body(json, input, output);
    }
    Ok(entry)
}

pub(crate) fn read_message<'a>(
    source: &Source<'a>,
    json: Json<'a>,
    output: &mut Messages,
) -> Result<Answer<'a>, DecodeError> {
    let message: Message<'a> = source.object(json)?;
    let is_error = message.kind.as_ref().is_some_and(|kind| kind.0 == "error");
    let failure = (is_error || message.error.is_some()).then(|| Failure::read(source, json)).transpose()?;
    let stop_reason = present(message.stop_reason);
    if let Some(content) = message.content.filter(|content| content.get() != "[]") {
        output.message("assistant", stop_reason.as_deref(), |output| output.content(content));
    }
    output.features.insert_if(message.container.is_some(), Feature::CodeExecution);
    let mut extra = Extra::default();
    extra.add("response", &message.unknown);
    let outcome = Outcome {
        extra,
        id: present(message.id),
        model: present(message.model),
        finished: message.content.is_some() || message.usage.is_some(),
        finish_reason: stop_reason,
        failure,
        ..Outcome::default()
    };
    Ok(Answer { outcome, usage: message.usage })
}

fn entry<'a>(
    (source, raw, provider): (&Source<'a>, &'a [u8], &'static str),
    (capture, request, answer): (Option<Capture<'a>>, &mut Request<'a>, Answer<'a>),
) -> Result<Entry<'a>, DecodeError> {
    let Answer { mut outcome, usage } = answer;
    let mut usage = usage.unwrap_or_default();
    outcome.tokens = usage.tokens();
    outcome.service_tier = usage.service_tier();
    usage.note_unknown(&mut outcome.extra);
    let call = Call {
        source,
        raw,
        family: "anthropic",
        operation: Some(Operation::Chat),
        provider,
        certain: provider != "anthropic",
    };
    let mut entry = call.entry(capture, request, outcome)?;
    let served = entry.model().map(str::to_owned);
    usage.meters(served.as_deref(), &mut entry.meters);
    // Where inference ran decides the price; a host's region is the more exact word.
    entry.region = entry.region.or(usage.inference_geo());
    note_modalities(&mut entry);
    Ok(entry)
}
