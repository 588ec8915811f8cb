//! OpenAI Responses: a response object, or the stream of events that builds it.

use daybook_ledger::{Entry, Feature, Operation, Usd};
use serde::Deserialize;

use super::responses_stream::ResponseStream;
use super::usage::{Usage, meter};
use crate::decode::DecodeError;
use crate::decode::about::About;
use crate::decode::capture::{Failure, Outcome, note_modalities};
use crate::decode::captured::{Answer as Concluded, Captured};
use crate::decode::dialect::is_response_state;
use crate::decode::messages::{Messages, elements, shape};
use crate::decode::object::object;
use crate::decode::request::{Request, both_directions};
use crate::decode::scalar::{Object, Text, present};
use crate::decode::source::Json;

pub(crate) const ABOUT: About = About {
    format: "openai-responses",
    title: "OpenAI Responses",
    what: "A captured call, or a bare response object, a polled background response among them.",
    recognised_by: "`capture.api` is `openai.responses` or `azure.responses`, `object` is `response`, or `type` is an event that holds one (`response.completed`, `response.queued`, ...).",
    identity: "the response's `id`: polls of one background response collapse to the one that ended.",
    stream: "the response object of `response.completed`, `.incomplete` or `.failed`; a stream without any of them is incomplete and has no counts.",
    columns: &[
        ("input_tokens, output_tokens", "`usage.input_tokens`, `usage.output_tokens`"),
        ("cache_read_input_tokens", "`input_tokens_details.cached_tokens`, a part of the input"),
        (
            "cache_write_30m_input_tokens, cache_write_12h_input_tokens",
            "`input_tokens_details.cache_write_tokens`, by `prompt_cache_options.ttl`",
        ),
        ("reasoning_tokens", "`output_tokens_details.reasoning_tokens`, a part of the output"),
        (
            "meters",
            "one each for the hosted calls in `output`: `web_search_requests` (searches; not the pages opened, or looked \
             through, of what they found), ...",
        ),
        ("status", "`status`: `failed` is an error though HTTP said 200; `incomplete` for length is a success"),
        ("session_id", "`conversation`"),
    ],
    cannot_say: &["What a response costs that ended without `usage`: cancelled and failed ones."],
};

object! {
    /// The response object.
    pub(crate) struct Response<'a> {
        object: Text<'a> = "object",
        id: Text<'a> = "id",
        status: Text<'a> = "status",
        model: Text<'a> = "model",
        created_at: Json<'a> = "created_at",
        completed_at: Json<'a> = "completed_at",
        error: Json<'a> = "error",
        /// Stands beside an error that is only a sentence (xAI).
        code: Text<'a> = "code",
        incomplete_details: Object<IncompleteDetails<'a>> = "incomplete_details",
        pub(crate) output: Json<'a> = "output",
        service_tier: Text<'a> = "service_tier",
        usage: Usage<'a> = "usage",
        prompt_cache_options: Object<CacheOptions<'a>> = "prompt_cache_options",
    }
    // What it repeats of the request, which `Request` reads; `output_text` is a convenience of SDKs.
    ignoring [
        "background", "conversation", "frequency_penalty", "include", "instructions", "logprobs",
        "max_output_tokens", "max_tool_calls", "metadata", "moderation", "output_text", "parallel_tool_calls",
        "presence_penalty", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention",
        "reasoning", "safety_identifier", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs",
        "top_p", "truncation", "user",
    ]
}

#[derive(Debug, Deserialize)]
struct IncompleteDetails<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct CacheOptions<'a> {
    #[serde(borrow)]
    ttl: Option<Text<'a>>,
}

/// What came back, however it came.
#[derive(Debug, Default)]
pub(crate) struct Answer<'a> {
    /// The last state of the response object.
    pub response: Option<Json<'a>>,
    /// Items of its output that the object itself does not hold (a stream that was cut).
    pub items: Vec<Json<'a>>,
    /// Text of items that never ended, as JSON strings with their kind.
    pub loose: Vec<(&'static str, String)>,
    /// An error outside of the object.
    pub error: Option<Json<'a>>,
    /// A stream ended without its last event.
    pub cut: bool,
    /// One event of a stream came alone.
    pub alone: bool,
}

/// Decodes one captured call.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let source = captured.source;
    let mut answer = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => ResponseStream::read(source, stream)?.answer(captured.bodies),
        (Some(event), None) if is_event(event) => ResponseStream::state(source, event)?,
        (response, None) => Answer { response, ..Answer::default() },
    };
    let response: Response<'a> = match answer.response {
        Some(response) => source.object(response)?,
        None => Response::default(),
    };
    // A background response arrives long after its request: what it repeats of the request stands in for it.
    let request: Request<'a> = match (captured.envelope.request, answer.response) {
        (None, Some(response)) => source.object::<Request<'a>>(response)?.echoed(),
        _ => captured.request()?,
    };
    let (mut input, mut output) = both_directions(captured.bodies);
    if captured.envelope.request.is_some() {
        request.say(&mut input);
    }
    let items = items(&response, &mut answer);
    write_items(&items, &answer, &response, &mut output);

    let mut outcome = outcome(&captured, &response, &answer)?;
    outcome.extra.add("", &response.unknown);
    let mut meters = Vec::new();
    count_hosted_calls(&items, &mut meters);
    let ttl = response.prompt_cache_options.and_then(|options| present(options.0.ttl));
    let (created, completed) = (source.instant(response.created_at)?, source.instant(response.completed_at)?);
    let answer =
        Concluded { outcome, usage: response.usage, cache_ttl: ttl, streamed: answer.alone, ..Concluded::default() };
    // Events of live sessions have the same names until the answer is done.
    let is_live = response.object.as_ref().is_some_and(|object| object.0 == "realtime.response");
    let operation = if is_live { Operation::Realtime } else { Operation::Responses };
    let mut entry = captured.conclude(operation, (request, input, output), answer)?;
    // Who counts the calls of tools in `usage` lists them in `output` too.
    entry.features.insert_if(is_live, Feature::Realtime);
    meters.retain(|(name, _)| !entry.meters.iter().any(|(counted, _)| counted == name));
    entry.meters.extend(meters);
    note_modalities(&mut entry);
    entry.started_at = entry.started_at.or(created);
    entry.completed_at = entry.completed_at.or(completed);
    let whole = created.zip(completed).map(|(created, completed)| completed.millis_since(created));
    entry.latency_ms = entry.latency_ms.or(whole);
    Ok(entry)
}

/// Whether it is an event of a stream, which holds the object as it then was.
fn is_event(json: Json<'_>) -> bool {
    shape::<OutputItem<'_>>(json).and_then(|event| event.kind).is_some_and(|kind| is_response_state(&kind.0))
}

/// The items of the output: the object's own, or those a cut stream left.
fn items<'a>(response: &Response<'a>, answer: &mut Answer<'a>) -> Vec<Json<'a>> {
    let own = response.output.map(elements).unwrap_or_default();
    if own.is_empty() {
        return std::mem::take(&mut answer.items);
    }
    answer.loose.clear();
    own
}

fn write_items<'a>(items: &[Json<'a>], answer: &Answer<'a>, response: &Response<'a>, output: &mut Messages) {
    if items.is_empty() && answer.loose.is_empty() {
        return;
    }
    let reason = response.incomplete_details.as_ref().and_then(|details| details.0.reason.as_ref());
    output.message("assistant", reason.map(|reason| reason.0.as_ref()), |output| {
        items.iter().for_each(|item| output.answer_item(item));
        answer.loose.iter().for_each(|(kind, text)| output.typed_json(kind, text));
    });
}

#[derive(Deserialize)]
struct OutputItem<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    action: Option<Json<'a>>,
}

fn outcome<'a>(
    captured: &Captured<'_, 'a>,
    response: &Response<'a>,
    answer: &Answer<'a>,
) -> Result<Outcome<'a>, DecodeError> {
    let text = |field: &Option<Text<'a>>| present(field.clone());
    let status = response.status.as_ref().map_or("", |status| status.0.as_ref());
    let reason = response.incomplete_details.as_ref().and_then(|details| text(&details.0.reason));
    let failure = match answer.error.or(response.error) {
        Some(error) => Some(captured.failure(error, text(&response.code))?),
        None => (status == "failed").then(Failure::default),
    };
    let finished = match status {
        "completed" => true,
        // A length limit is a success; what else cuts a response short leaves its counts a floor.
        "incomplete" => matches!(reason.as_deref(), Some("max_output_tokens")),
        "" => response.usage.is_some(),
        _ => false,
    };
    Ok(Outcome {
        id: text(&response.id),
        model: text(&response.model),
        service_tier: text(&response.service_tier),
        finish_reason: reason,
        failure,
        pending: matches!(status, "queued" | "in_progress") && !answer.cut,
        finished: finished && !answer.cut,
        ..Outcome::default()
    })
}

/// Hosted tools are billed by the call, apart from tokens. Of a web search only the searching is: not opening a page it found,
/// nor looking for something in that.
fn count_hosted_calls(items: &[Json<'_>], meters: &mut Vec<(&'static str, Usd)>) {
    let is_billed = |item: &OutputItem<'_>| {
        let action = item.action.and_then(|action| shape::<OutputItem<'_>>(action)?.kind);
        action.is_none_or(|action| !matches!(action.0.as_ref(), "open_page" | "find_in_page"))
    };
    let items = items.iter().filter_map(|item| shape::<OutputItem<'_>>(item)).filter(is_billed);
    let kinds = items.filter_map(|item| item.kind).collect::<Vec<_>>();
    for (kind, name) in [
        ("web_search_call", "web_search_requests"),
        ("file_search_call", "file_search_requests"),
        ("code_interpreter_call", "code_interpreter_calls"),
        ("image_generation_call", "images"),
        ("mcp_call", "mcp_calls"),
    ] {
        let calls = kinds.iter().filter(|found| found.0 == kind).count();
        meter(meters, name, i64::try_from(calls).ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosted_calls_are_counted_by_kind() {
        let items = elements(
            serde_json::from_str(
                r#"[{"type":"web_search_call"},{"type":"mcp_call"},{"type":"web_search_call","action":{"type":"search","query":"x"}},
                    {"type":"web_search_call","action":{"type":"open_page","url":"x"}},{"type":"message"},7,
                    {"type":"web_search_call","action":{"type":"find_in_page","pattern":"x"}}]"#,
            )
            .unwrap(),
        );
        let mut meters = Vec::new();
        count_hosted_calls(&items, &mut meters);
        let two = Usd::parse("2").unwrap();
        assert_eq!(meters, [("web_search_requests", two), ("mcp_calls", Usd::parse("1").unwrap())]);
    }
}
