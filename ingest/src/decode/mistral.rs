//! Mistral's endpoints that are not Chat Completions: conversations with hosted agents and tools, and pages read.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::DecodeError;
use super::about::About;
use super::capture::{Failure, Outcome};
use super::captured::{Answer, Captured};
use super::extra::Extra;
use super::messages::{Messages, elements, is_string, shape};
use super::object::object;
use super::openai::usage::{Usage, meter};
use super::request::members;
use super::scalar::{Count, Text, count, present};
use super::source::Json;

pub(super) const ABOUT: About = About {
    format: "mistral",
    title: "Mistral",
    what: "A captured call of chat, FIM, agents, conversations, embeddings, transcription or OCR.",
    recognised_by: "`capture.api` begins with `mistral`, `object` is `conversation.response`, `pages` stand beside `usage_info`, or the model of a bare answer is one of Mistral's by its name (`mistral-`, `codestral-`, ...).",
    identity: "the answer's `id`, in a conversation that of its last output, else the capture's `request_id`.",
    stream: "`usage` of the last chunk, which still has its choice; of conversations, that of `conversation.response.done`.",
    columns: &[
        ("input_tokens", "`usage.prompt_tokens`, and `connector_tokens` where `total_tokens` counts them beside it"),
        ("cache_read_input_tokens", "`prompt_tokens_details.cached_tokens`, else `num_cached_tokens`"),
        ("output_tokens", "`usage.completion_tokens`"),
        (
            "meters",
            "`audio_seconds` from `prompt_audio_seconds`; `pages` from `usage_info.pages_processed`; `input_tool_use_tokens` from `connector_tokens`",
        ),
        ("features", "connectors that ran: web search, code, libraries; agents and conversations are hosted state"),
        ("session_id", "`conversation_id`"),
    ],
    cannot_say: &["Reasoning tokens: thinking is in the answer, but not counted apart."],
};

object! {
    /// An answer of a conversation: everything that happened in it since the last.
    struct Conversation<'a> {
        conversation_id: Text<'a> = "conversation_id",
        id: Text<'a> = "id",
        object: Text<'a> = "object",
        outputs: Json<'a> = "outputs",
        usage: Usage<'a> = "usage",
        error: Json<'a> = "error",
    }
    ignoring ["guardrails"]
}

/// Something that happened in a conversation.
#[derive(Deserialize)]
struct Happened<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    id: Option<Text<'a>>,
    model: Option<Text<'a>>,
    name: Option<Json<'a>>,
    content: Option<Json<'a>>,
    arguments: Option<Json<'a>>,
    tool_call_id: Option<Json<'a>>,
    // Of events of a stream.
    conversation_id: Option<Text<'a>>,
    usage: Option<Json<'a>>,
    output_index: Option<Count>,
}

/// Decodes one captured step of a conversation.
pub(super) fn decode_conversation<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let (request, input, mut output) = captured.asked()?;
    let (answer, conversation) = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => stream_answer(&captured, stream, &mut output)?,
        (Some(response), None) => whole_answer(&captured, response, &mut output)?,
        (None, None) => Default::default(),
    };
    let connectors = answer.usage.as_ref().and_then(Usage::connectors);
    let called = connectors.map(members).unwrap_or_default().into_iter();
    let called = called.map(|(name, calls)| Ok((name, captured.source.parse::<Option<Count>>(calls.get())?)));
    let called = called.collect::<Result<Vec<_>, DecodeError>>()?;
    let mut entry = captured.conclude(Operation::Chat, (request, input, output), answer)?;
    entry.session_id = entry.session_id.or(conversation);
    entry.features.insert(Feature::HostedState);
    for (name, calls) in called {
        note_connector(&mut entry, &name, count(calls));
    }
    Ok(entry)
}

/// A tool of Mistral's that ran, and how often.
fn note_connector(entry: &mut Entry<'_>, name: &str, calls: Option<i64>) {
    let (meter_name, feature) = match name {
        "web_search" | "web_search_premium" => ("web_search_requests", Feature::WebSearch),
        "code_interpreter" => ("code_interpreter_calls", Feature::CodeExecution),
        "image_generation" => ("images", Feature::ImageOutput),
        "document_library" => ("file_search_requests", Feature::HostedVectorStore),
        _ => ("connector_calls", Feature::RemoteMcp),
    };
    entry.features.insert(feature);
    meter(&mut entry.meters, meter_name, calls);
}

/// An answer, and the id of its conversation, which all answers in it have.
type Said<'a> = (Answer<'a>, Option<Cow<'a, str>>);

fn whole_answer<'a>(
    captured: &Captured<'_, 'a>,
    response: Json<'a>,
    output: &mut Messages,
) -> Result<Said<'a>, DecodeError> {
    let conversation: Conversation<'a> = captured.source.object(response)?;
    let is_error = conversation.object.as_ref().is_some_and(|object| object.0 == "error");
    let error = conversation.error.or(is_error.then_some(response));
    let mut extra = Extra::default();
    extra.add("", &conversation.unknown);
    let mut outcome = Outcome {
        id: present(conversation.id),
        finished: conversation.outputs.is_some(),
        failure: error.map(|error| captured.failure(error, None)).transpose()?,
        extra,
        ..Outcome::default()
    };
    for item in conversation.outputs.into_iter().flat_map(elements) {
        if let Some(happened) = shape::<Happened<'a>>(item) {
            say(&happened, &mut outcome, output);
        }
    }
    let answer = Answer { outcome, usage: conversation.usage, ..Answer::default() };
    Ok((answer, present(conversation.conversation_id)))
}

/// Writes what one item says. The answer has no id of its own, and its last item no other answer.
fn say<'a>(happened: &Happened<'a>, outcome: &mut Outcome<'a>, output: &mut Messages) {
    outcome.id = present(happened.id.clone()).or(outcome.id.take());
    outcome.model = present(happened.model.clone()).or(outcome.model.take());
    match happened.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
        "message.output" => {
            if let Some(content) = happened.content {
                output.message("assistant", None, |output| output.content(content));
            }
        }
        "function.call" => {
            output.features.insert(Feature::ToolCalling);
            output.message("assistant", None, |output| {
                output.tool_call(happened.tool_call_id, happened.name, happened.arguments.map(RawValue::get));
            });
        }
        _ => {}
    }
}

/// A conversation as it happened: pieces of messages by the place they have in the answer.
fn stream_answer<'a>(
    captured: &Captured<'_, 'a>,
    stream: Json<'a>,
    output: &mut Messages,
) -> Result<Said<'a>, DecodeError> {
    let (mut answer, mut conversation) = Said::default();
    let (mut open, mut pieces): (Option<i64>, Vec<Json<'a>>) = (None, Vec::new());
    for json in captured.source.elements(stream)? {
        if !json.get().starts_with('{') {
            continue;
        }
        let event: Happened<'a> = captured.source.object(json)?;
        let kind = event.kind.as_ref().map_or("", |kind| kind.0.as_ref());
        match kind {
            "message.output.delta" => {
                let index = count(event.output_index);
                if open != index {
                    flush(&mut pieces, output);
                    open = index;
                }
                answer.outcome.id = present(event.id).or(answer.outcome.id);
                answer.outcome.model = present(event.model).or(answer.outcome.model);
                pieces.extend(event.content.and_then(piece));
            }
            "function.call.delta" => {
                flush(&mut pieces, output);
                let whole = Happened { kind: Some(Text("function.call".into())), ..event };
                say(&whole, &mut answer.outcome, output);
            }
            "conversation.response.started" => conversation = present(event.conversation_id),
            "conversation.response.done" => {
                answer.usage = event.usage.map(|usage| captured.source.object(usage)).transpose()?;
                answer.outcome.finished = true;
            }
            "conversation.response.error" => answer.outcome.failure = Some(Failure::read(captured.source, json)?),
            _ => {}
        }
    }
    flush(&mut pieces, output);
    Ok((answer, conversation))
}

/// The text of a delta: a string, or a chunk that holds one.
fn piece(content: Json<'_>) -> Option<Json<'_>> {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        text: Option<Json<'a>>,
    }
    let text = if is_string(content) { content } else { shape::<Chunk<'_>>(content)?.text? };
    Some(text).filter(|text| is_string(text))
}

fn flush(pieces: &mut Vec<Json<'_>>, output: &mut Messages) {
    if let Some(text) = super::openai::chat_stream::join(output.writer.is_on(), pieces) {
        output.message("assistant", None, |output| output.typed_json("text", &text));
    }
    pieces.clear();
}

/// Decodes pages that were read: billed by the page.
pub(super) fn decode_ocr<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    #[derive(Deserialize)]
    struct Info {
        pages_processed: Option<Count>,
    }
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        markdown: Option<Json<'a>>,
    }
    let (request, mut input, mut output) = captured.asked()?;
    let answer = match captured.envelope.response {
        Some(response) => {
            let (mut answer, plain) = captured.plain(response, |plain| plain.pages.is_some())?;
            let info = plain.usage_info.map(|info| captured.source.object::<Info>(info)).transpose()?;
            meter(&mut answer.meters, "pages", info.and_then(|info| count(info.pages_processed)));
            if let Some(info) = plain.usage_info {
                answer.outcome.extra.member("usage_info".to_owned(), info.get());
            }
            let pages = plain.pages.map(elements).unwrap_or_default();
            let texts = pages.into_iter().filter_map(|page| shape::<Page<'a>>(page)?.markdown).collect::<Vec<_>>();
            if !texts.is_empty() {
                output.message("assistant", None, |output| texts.into_iter().for_each(|text| output.text(text)));
            }
            answer
        }
        None => Answer::default(),
    };
    input.features.insert(Feature::DocumentInput);
    captured.conclude(Operation::Ocr, (request, input, output), answer)
}
