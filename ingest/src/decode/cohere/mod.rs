//! Cohere in its own words: chat, embeddings, documents put in order and classified.

pub(super) mod stream;

use daybook_ledger::{Entry, Feature, Operation, Tokens, UsageSource, Usd};
use serde::Deserialize;

use self::stream::ChatEvents;
use crate::decode::DecodeError;
use crate::decode::about::About;
use crate::decode::capture::{Failure, Outcome};
use crate::decode::captured::{Answer, Captured};
use crate::decode::dialect::Endpoint;
use crate::decode::extra::Extra;
use crate::decode::messages::{Messages, elements, is_string, shape};
use crate::decode::object::object;
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::Json;

pub(crate) const ABOUT: About = About {
    format: "cohere",
    title: "Cohere",
    what: "A captured call of chat, embed, rerank or classify, version 2 or 1, or of the OpenAI-compatible API.",
    recognised_by: "`capture.api` begins with `cohere`, or `billed_units` stand in `usage` or `meta`; what a bare answer holds (`embeddings`, `results`, `classifications`) tells the call.",
    identity: "the answer's `id`, else the capture's `request_id`.",
    stream: "`message-end` (version 1: `stream-end`).",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`tokens`: what the model read and wrote, with the preamble nobody sees. For embeddings, where only `billed_units` stand, those and `image_tokens`",
        ),
        ("cache_read_input_tokens", "`cached_tokens`"),
        ("input_image_tokens", "`billed_units.image_tokens` of embeddings"),
        (
            "meters",
            "`billed_units`, which are what is charged: `billed_input_tokens`, `billed_output_tokens`, `billed_image_tokens`, `search_units`, `classifications`, `input_images`",
        ),
        ("request_model", "the request's: no answer names its model"),
        ("error_type", "the HTTP status: an error has no code"),
    ],
    cannot_say: &["The model that served, where the request named an alias.", "Reasoning tokens."],
};

object! {
    /// An answer, or the error that came instead.
    pub(crate) struct Reply<'a> {
        id: Text<'a> = "id" | "response_id",
        message: Json<'a> = "message",
        /// Version 1's text, and its tools.
        text: Json<'a> = "text",
        tool_calls: Json<'a> = "tool_calls",
        citations: Json<'a> = "citations",
        generations: Json<'a> = "generations",
        finish_reason: Text<'a> = "finish_reason",
        usage: Counted<'a> = "usage",
        meta: Counted<'a> = "meta",
        results: Json<'a> = "results",
        error: Json<'a> = "error",
    }
    // Vectors and texts sent; version 1 repeats the conversation.
    ignoring ["embeddings", "texts", "images", "inputs", "response_type", "chat_history", "prompt", "classifications",
        "generation_id", "is_finished", "event_type", "type", "logprobs"]
}

object! {
    /// Both of Cohere's counts.
    pub(crate) struct Counted<'a> {
        billed_units: Box<Billed<'a>> = "billed_units",
        tokens: Box<Processed<'a>> = "tokens",
        cached_tokens: Count = "cached_tokens",
    }
    ignoring ["api_version", "warnings"]
}

object! {
    /// What is charged.
    struct Billed<'a> {
        input_tokens: Json<'a> = "input_tokens",
        output_tokens: Json<'a> = "output_tokens",
        search_units: Json<'a> = "search_units",
        classifications: Json<'a> = "classifications",
        images: Json<'a> = "images",
        image_tokens: Json<'a> = "image_tokens",
    }
}

object! {
    /// What the model read and wrote.
    struct Processed<'a> {
        input_tokens: Count = "input_tokens",
        output_tokens: Count = "output_tokens",
        image_tokens: Count = "image_tokens",
    }
}

/// What came back, however it came.
#[derive(Default)]
pub(crate) struct Concluded<'a> {
    pub(crate) outcome: Outcome<'a>,
    pub(crate) counted: Counted<'a>,
}

/// Decodes one captured call.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>, endpoint: Endpoint) -> Result<Entry<'a>, DecodeError> {
    let (request, mut input, mut output) = captured.asked()?;
    note_given(&captured, &mut input);
    let concluded = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => ChatEvents::read(captured.source, stream)?.conclude(&captured, &mut output)?,
        (Some(response), None) => read(&captured, response, &mut output)?,
        (None, None) => Concluded::default(),
    };
    let operation = operation(&captured, endpoint);
    let Concluded { mut outcome, counted } = concluded;
    outcome.tokens = counted.tokens(operation)?;
    counted.note_unknown(&mut outcome.extra);
    let meters = counted.meters(&captured)?;
    let answer = Answer { outcome, meters, ..Answer::default() };
    let mut entry = captured.conclude(operation, (request, input, output), answer)?;
    if matches!(entry.status, daybook_ledger::Status::Error) && entry.tokens.is_absent() && entry.meters.is_empty() {
        entry.usage_source = UsageSource::Absent;
    }
    Ok(entry)
}

/// What kind of call it was. Classifying is none of the ledger's kinds.
fn operation(captured: &Captured<'_, '_>, endpoint: Endpoint) -> Option<Operation> {
    let capture = captured.envelope.capture.as_ref();
    let says = |word: &str| {
        let texts = capture.map(|capture| [capture.endpoint.as_ref(), capture.api.as_ref()]);
        texts.is_some_and(|texts| texts.into_iter().flatten().any(|text| text.0.ends_with(word)))
    };
    let classified = captured.envelope.response.is_some_and(has_classes);
    match endpoint {
        _ if says("classify") || classified => None,
        Endpoint::Embeddings => Some(Operation::Embeddings),
        Endpoint::Rerank => Some(Operation::Rerank),
        // Version 1 of chat answers with a `text` too.
        Endpoint::Transcription if says("transcriptions") => Some(Operation::Transcription),
        _ => Some(Operation::Chat),
    }
}

fn has_classes(response: Json<'_>) -> bool {
    #[derive(Deserialize)]
    struct Classified {
        classifications: Option<serde::de::IgnoredAny>,
    }
    shape::<Classified>(response).is_some_and(|answer| answer.classifications.is_some())
}

/// What a request gives along besides what it says.
fn note_given(captured: &Captured<'_, '_>, input: &mut Messages) {
    #[derive(Deserialize)]
    struct Given<'a> {
        #[serde(borrow)]
        images: Option<Json<'a>>,
    }
    let given = captured.envelope.request.and_then(shape::<Given<'_>>).and_then(|given| given.images);
    input.features.insert_if(given.is_some_and(|images| !elements(images).is_empty()), Feature::VisionInput);
}

/// Reads an answer in one piece.
pub(crate) fn read<'a>(
    captured: &Captured<'_, 'a>,
    response: Json<'a>,
    output: &mut Messages,
) -> Result<Concluded<'a>, DecodeError> {
    let mut reply: Reply<'a> = captured.source.object(response)?;
    let reason = present(reply.finish_reason.take());
    // An error is a sentence where an answer has its message.
    let sentence = reply.message.is_some_and(is_string);
    let failure = match reply.error {
        Some(error) => Some(captured.failure(error, None)?),
        None => (sentence || is_failure(reason.as_deref())).then(Failure::default),
    };
    if !sentence {
        write(&reply, reason.as_deref(), output);
    }
    let mut extra = Extra::default();
    extra.add("", &reply.unknown);
    let outcome = Outcome {
        id: present(reply.id.take()),
        finished: failure.is_none(),
        finish_reason: reason,
        failure,
        extra,
        ..Outcome::default()
    };
    Ok(Concluded { outcome, counted: reply.usage.or(reply.meta).unwrap_or_default() })
}

/// Whether an answer that ended for `reason` failed.
pub(crate) fn is_failure(reason: Option<&str>) -> bool {
    matches!(reason, Some("ERROR" | "TIMEOUT" | "NETWORK_ERROR"))
}

fn write(reply: &Reply<'_>, reason: Option<&str>, output: &mut Messages) {
    if let Some(message) = reply.message {
        output.item(message, reason);
    }
    if reply.text.is_some() || reply.tool_calls.is_some() {
        output.message("assistant", reason, |output| {
            reply.text.into_iter().for_each(|text| output.content(text));
            reply.tool_calls.into_iter().flat_map(elements).for_each(|call| output.part(call));
        });
        output.features.insert_if(reply.tool_calls.is_some(), Feature::ToolCalling);
    }
    for generation in reply.generations.into_iter().flat_map(elements) {
        output.item(generation, reason);
    }
    let cited = reply.citations.is_some_and(|citations| !elements(citations).is_empty());
    output.features.insert_if(cited, Feature::Citations);
}

impl<'a> Counted<'a> {
    /// The counts of what the model read and wrote.
    fn tokens(&self, operation: Option<Operation>) -> Result<Tokens, DecodeError> {
        let (tokens, billed) = (self.tokens.as_deref(), self.billed_units.as_deref());
        let mut counts = Tokens {
            input: tokens.and_then(|tokens| count(tokens.input_tokens)),
            cache_read: count(self.cached_tokens),
            output: tokens.and_then(|tokens| count(tokens.output_tokens)),
            input_image: tokens.and_then(|tokens| count(tokens.image_tokens)),
            ..Tokens::default()
        };
        let whole = |json: Option<Json<'a>>| json.and_then(|json| serde_json::from_str::<Count>(json.get()).ok()?.0);
        if let (Some(billed), true) = (billed, operation == Some(Operation::Embeddings)) {
            // Of vectors everything that is read is billed; often nothing else is said.
            let images = whole(billed.image_tokens);
            counts.input_image = counts.input_image.or(images);
            counts.input =
                counts.input.or_else(|| crate::decode::openai::usage::sum(&[whole(billed.input_tokens), images]));
        }
        Ok(counts)
    }

    /// What is charged. These counts are decimals, and may have a fraction.
    fn meters(&self, captured: &Captured<'_, 'a>) -> Result<Vec<(&'static str, Usd)>, DecodeError> {
        let mut meters = Vec::new();
        let Some(billed) = &self.billed_units else { return Ok(meters) };
        for (name, quantity) in [
            ("billed_input_tokens", billed.input_tokens),
            ("billed_output_tokens", billed.output_tokens),
            ("billed_image_tokens", billed.image_tokens),
            ("search_units", billed.search_units),
            ("classifications", billed.classifications),
            ("input_images", billed.images),
        ] {
            let quantity = captured.source.decimal(quantity)?;
            meters.extend(quantity.filter(|quantity| *quantity != Usd::ZERO).map(|quantity| (name, quantity)));
        }
        Ok(meters)
    }

    fn note_unknown(&self, extra: &mut Extra<'a>) {
        extra.add("usage", &self.unknown);
        if let Some(billed) = &self.billed_units {
            extra.add("usage.billed_units", &billed.unknown);
        }
        if let Some(tokens) = &self.tokens {
            extra.add("usage.tokens", &tokens.unknown);
        }
    }
}
