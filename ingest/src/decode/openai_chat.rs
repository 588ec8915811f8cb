//! OpenAI Chat Completions: an answer in one piece or as a stream of chunks.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation, Tokens};
use serde::Deserialize;

use super::about::About;
use super::capture::{Call, Envelope, Failure, Outcome, add_features, note_modalities};
use super::chat_stream::ChatStream;
use super::extra::Extra;
use super::messages::{Item, Messages, shape};
use super::object::object;
use super::request::{Request, both_directions};
use super::scalar::{Count, Object, Text, count, present};
use super::source::{Json, Source};
use super::usage::{Usage, openai_lifetime};
use super::{DecodeError, DecodeOptions, Format};

pub(super) const ABOUT: About = About {
    format: "openai-chat",
    title: "OpenAI Chat Completions",
    what: "A captured call, or a bare `chat.completion`.",
    recognised_by: "`capture.api` is `openai.chat.completions` or `azure.chat.completions`, or `object` is `chat.completion`.",
    identity: "the answer's `id`, else the capture's `request_id`.",
    stream: "`usage` of the last chunk that has one; it comes only if `stream_options.include_usage` asked for it. Chunks are never added up.",
    columns: &[
        ("input_tokens", "`usage.prompt_tokens`"),
        ("cache_read_input_tokens", "`prompt_tokens_details.cached_tokens`, a part of the input"),
        (
            "cache_write_30m_input_tokens, cache_write_12h_input_tokens",
            "`prompt_tokens_details.cache_write_tokens`, by `prompt_cache_options.ttl` of the request (30 minutes unless it says `12h`); of other vendors in this dialect the lifetime is not known",
        ),
        ("input_audio_tokens, input_image_tokens", "`prompt_tokens_details`, less what was read from the cache"),
        ("output_tokens", "`usage.completion_tokens`, all choices together"),
        ("reasoning_tokens, output_audio_tokens", "`completion_tokens_details`, parts of the output"),
        ("usage_check", "`usage.total_tokens` against input and output; every part against its whole"),
        (
            "response_model, request_model",
            "`model` of the answer and of the request; at Azure the deployment the URL names",
        ),
        ("service_tier", "the answer's: the tier that served, not the one asked for"),
        ("latency_ms, ttft_ms, started_at", "the capture's; without one, `created`"),
    ],
    cannot_say: &["Who called, beyond `user`, `safety_identifier` and `metadata`: the envelope has no team or key."],
};

object! {
    /// A `chat.completion`, or one chunk of a stream of them.
    pub(super) struct Completion<'a> {
        pub id: Text<'a> = "id",
        pub object: Text<'a> = "object",
        pub model: Text<'a> = "model",
        pub created: Json<'a> = "created",
        pub choices: Vec<Object<Choice<'a>>> = "choices",
        pub usage: Usage<'a> = "usage",
        pub service_tier: Text<'a> = "service_tier",
        pub error: Json<'a> = "error",
        pub moderation: Json<'a> = "moderation",
    }
    // Padding against traffic analysis says nothing.
    ignoring ["obfuscation"]
}

/// One answer of several, or what a chunk adds to it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice<'a> {
    pub index: Option<Count>,
    #[serde(borrow)]
    pub message: Option<Json<'a>>,
    pub delta: Option<Json<'a>>,
    /// The older Completions API answers with text.
    pub text: Option<Json<'a>>,
    pub finish_reason: Option<Text<'a>>,
    pub logprobs: Option<Json<'a>>,
    pub error: Option<Json<'a>>,
}

/// Decodes one captured call.
pub(super) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let envelope = Envelope::read(source, Format::OpenAiChat, "chat.completion")?;
    let mut request: Request<'a> = match envelope.request {
        Some(request) => source.object(request)?,
        None => Request::default(),
    };
    let (mut input, mut output) = both_directions(options.bodies);
    request.say(&mut input);
    let answer = match (envelope.response, envelope.stream) {
        (_, Some(stream)) => ChatStream::read(source, stream)?.answer(&mut output),
        (Some(response), None) => Answer::read(source, response, &mut output)?,
        (None, None) => Answer::default(),
    };
    let Answer { mut outcome, usage, created } = answer;
    outcome.pending = envelope.is_pending();
    outcome.extra.add("", &envelope.unknown);
    if let Some(usage) = &usage {
        outcome.tokens = usage.tokens();
        usage.note_unknown("usage", &mut outcome.extra);
    }

    let call = Call { source, raw, family: "openai", operation: Operation::Chat, provider: "openai" };
    let mut entry = call.entry(envelope.capture, &mut request, outcome)?;
    openai_lifetime(&mut entry, request.cache_ttl().as_deref());
    if envelope.stream.is_some() {
        entry.streamed = Some(true);
    } else if envelope.request.is_some() {
        entry.streamed = entry.streamed.or(Some(false));
    }
    if entry.started_at.is_none() {
        entry.started_at = source.instant(created)?;
    }
    if let Some(usage) = usage.filter(|_| entry.tokens != Tokens::default()) {
        usage.meters(&mut entry.meters);
    }
    note_modalities(&mut entry);
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    if options.bodies {
        entry.body = request.body(envelope.request, input, output);
    }
    Ok(entry)
}

/// What an answer says, however it came.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub outcome: Outcome<'a>,
    pub usage: Option<Usage<'a>>,
    pub created: Option<Json<'a>>,
}

impl<'a> Answer<'a> {
    fn read(source: &Source<'a>, response: Json<'a>, output: &mut Messages) -> Result<Self, DecodeError> {
        let completion: Completion<'a> = source.object(response)?;
        let error = match completion.object.as_ref().map(|object| object.0.as_ref()) {
            // Some servers send the error's members without the object around them.
            Some("error") => Some(response),
            _ => completion.error,
        };
        let mut choices = completion.choices.unwrap_or_default().into_iter().map(|choice| choice.0).collect::<Vec<_>>();
        choices.sort_by_key(|choice| count(choice.index));
        let error = error.or(choices.iter().find_map(|choice| choice.error));
        output.features.insert_if(choices.len() > 1, Feature::MultipleChoices);
        output.features.insert_if(completion.moderation.is_some(), Feature::Guardrails);
        output.features.insert_if(choices.iter().any(|choice| choice.logprobs.is_some()), Feature::Logprobs);
        let finished = !choices.is_empty() || completion.usage.is_some();
        choices.iter().for_each(|choice| write_choice(choice, output));
        let ends_in_error =
            choices.iter().any(|choice| choice.finish_reason.as_ref().is_some_and(|why| why.0 == "error"));
        let failure = match error {
            Some(error) => Some(Failure::read(source, error)?),
            None => ends_in_error.then(Failure::default),
        };
        let mut extra = Extra::default();
        extra.add("", &completion.unknown);
        let outcome = Outcome {
            extra,
            id: present(completion.id),
            model: present(completion.model),
            service_tier: present(completion.service_tier),
            finish_reason: choices.into_iter().next().and_then(|choice| present(choice.finish_reason)),
            failure,
            finished,
            ..Outcome::default()
        };
        Ok(Self { outcome, usage: completion.usage, created: completion.created })
    }
}

/// Writes one answer.
pub(super) fn write_choice(choice: &Choice<'_>, output: &mut Messages) {
    let reason = choice.finish_reason.as_ref().map(|reason| reason.0.as_ref());
    match (choice.message, choice.text) {
        (Some(message), _) => output.item(message, reason),
        (None, Some(text)) => output.message("assistant", reason, |output| output.text(text)),
        (None, None) => {}
    }
}

/// The parts of a chunk's `delta` that are not text.
pub(super) fn delta(json: Json<'_>) -> Item<'_> {
    shape(json).unwrap_or_default()
}

/// A later chunk's value wins over an earlier one, unless it says nothing: Azure's first chunk has an empty id and model.
pub(super) fn keep<'a>(last: &mut Option<Cow<'a, str>>, next: Option<Text<'a>>) {
    if let Some(next) = present(next) {
        *last = Some(next);
    }
}
