//! Chat Completions of OpenAI and of every vendor that speaks them: an answer in one piece or as a stream of chunks.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation};

use super::chat_stream::ChatStream;
use super::usage::Usage;
use crate::decode::DecodeError;
use crate::decode::about::About;
use crate::decode::capture::{Failure, Outcome};
use crate::decode::captured::{Answer, Captured};
use crate::decode::extra::Extra;
use crate::decode::messages::{Item, Messages, elements, shape};
use crate::decode::object::object;
use crate::decode::parts::hosted;
use crate::decode::request::members;
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::Json;

pub(crate) const ABOUT: About = About {
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
    pub(crate) struct Completion<'a> {
        pub id: Text<'a> = "id",
        pub object: Text<'a> = "object",
        pub model: Text<'a> = "model",
        pub created: Json<'a> = "created",
        pub choices: Vec<Choice<'a>> = "choices",
        pub usage: Usage<'a> = "usage",
        pub service_tier: Text<'a> = "service_tier",
        pub error: Json<'a> = "error",
        /// Stands beside an error that is only a sentence (xAI).
        pub code: Text<'a> = "code",
        pub moderation: Json<'a> = "moderation",
        /// Azure's filters on the prompt.
        pub prompt_filter_results: Json<'a> = "prompt_filter_results" | "prompt_annotations",
        /// Groq's part of a chunk.
        pub x_groq: Box<XGroq<'a>> = "x_groq",
        /// vLLM's log probabilities of the prompt.
        pub prompt_logprobs: Json<'a> = "prompt_logprobs",
        pub citations: Json<'a> = "citations",
        pub search_results: Json<'a> = "search_results",
    }
    // Padding against traffic analysis says nothing.
    ignoring ["obfuscation"]
}

object! {
    /// What Groq says of a call, in its first and last chunk.
    pub(crate) struct XGroq<'a> {
        pub usage: Usage<'a> = "usage",
        pub error: Json<'a> = "error",
    }
}

object! {
    /// One answer of several, or what a chunk adds to it.
    pub(crate) struct Choice<'a> {
        pub index: Count = "index",
        pub message: Json<'a> = "message",
        /// Mistral's answer in several messages, when its tools ran in between.
        pub messages: Json<'a> = "messages",
        pub delta: Json<'a> = "delta",
        /// The older Completions API answers with text.
        pub text: Json<'a> = "text",
        pub finish_reason: Text<'a> = "finish_reason",
        pub logprobs: Json<'a> = "logprobs",
        pub error: Json<'a> = "error",
        /// Azure's filters on the answer.
        pub content_filter_results: Json<'a> = "content_filter_results",
    }
}

/// Decodes one captured call.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let (request, input, mut output) = captured.asked()?;
    let answer = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => ChatStream::read(&captured, stream)?.answer(&mut output),
        (Some(response), None) => read(&captured, response, &mut output)?,
        (None, None) => Answer::default(),
    };
    captured.conclude(Operation::Chat, (request, input, output), answer)
}

/// Reads an answer in one piece, or the one chunk that is there.
fn read<'a>(captured: &Captured<'_, 'a>, response: Json<'a>, output: &mut Messages) -> Result<Answer<'a>, DecodeError> {
    let mut completion: Completion<'a> = captured.source.object(response)?;
    match completion.object.as_ref().map(|object| object.0.as_ref()) {
        Some("chat.completion.chunk") => return Ok(ChatStream::of_chunk(captured, completion)?.answer(output)),
        // Some servers send the error's members without the object around them.
        Some("error") => completion.error = Some(response),
        _ => {}
    }
    let extra = completion.extra();
    completion.note_features(output);
    let (usage, error) = (completion.take_usage(), completion.error());
    let mut choices = completion.choices.unwrap_or_default();
    choices.sort_by_key(|choice| count(choice.index));
    output.features.insert_if(choices.len() > 1, Feature::MultipleChoices);
    choices.iter().for_each(|choice| write_choice(choice, output));
    let error = error.or(choices.iter().find_map(|choice| choice.error));
    let reason = |choice: &Choice<'a>| choice.finish_reason.as_ref().map(|reason| reason.0.clone());
    let failure = match error {
        Some(error) => Some(captured.failure(error, present(completion.code))?),
        None => choices.iter().any(|choice| is_failure(reason(choice).as_deref())).then(Failure::default),
    };
    let cut = choices.iter().any(|choice| is_cut(reason(choice).as_deref()));
    let outcome = Outcome {
        id: present(completion.id),
        model: present(completion.model),
        service_tier: present(completion.service_tier),
        finished: !cut && (!choices.is_empty() || usage.is_some()),
        finish_reason: choices.into_iter().next().and_then(|choice| present(choice.finish_reason)),
        failure,
        extra,
        ..Outcome::default()
    };
    Ok(Answer { outcome, usage, created: completion.created, ..Answer::default() })
}

/// Whether an answer that ended for `reason` failed.
pub(crate) fn is_failure(reason: Option<&str>) -> bool {
    reason == Some("error")
}

/// Whether the vendor ran out of something and broke the answer off: DeepSeek has a word for it.
pub(crate) fn is_cut(reason: Option<&str>) -> bool {
    reason == Some("insufficient_system_resource")
}

impl<'a> Completion<'a> {
    /// The usage, wherever this vendor puts it. Groq sends it twice where a stream is asked for it.
    pub(crate) fn take_usage(&mut self) -> Option<Usage<'a>> {
        let of_groq = self.x_groq.as_mut().and_then(|groq| groq.usage.take());
        self.usage.take().or(of_groq)
    }

    /// The error outside of the choices.
    pub(crate) fn error(&self) -> Option<Json<'a>> {
        self.error.or_else(|| self.x_groq.as_ref()?.error)
    }

    /// What of it no column has.
    pub(crate) fn extra(&self) -> Extra<'a> {
        let mut extra = Extra::default();
        extra.add("", &self.unknown);
        if let Some(groq) = &self.x_groq {
            extra.add("x_groq", &groq.unknown);
        }
        if let Some(choice) = self.choices.as_ref().and_then(|choices| choices.first()) {
            extra.add("choices.0", &choice.unknown);
        }
        extra
    }

    /// What the answer, its messages aside, shows of what the call leaned on.
    pub(crate) fn note_features(&self, output: &mut Messages) {
        let choices = || self.choices.iter().flatten();
        let filters = self.prompt_filter_results.into_iter().flat_map(elements).filter_map(prompt_filters);
        let filters = filters.chain(choices().filter_map(|choice| choice.content_filter_results));
        let filtered = filters.into_iter().any(acted);
        output.features.insert_if(self.moderation.is_some() || filtered, Feature::Guardrails);
        let logprobs = choices().any(|choice| choice.logprobs.is_some()) || self.prompt_logprobs.is_some();
        output.features.insert_if(logprobs, Feature::Logprobs);
        let sources = [self.citations, self.search_results].into_iter().flatten();
        output.features.insert_if(sources.into_iter().any(|list| !elements(list).is_empty()), Feature::Citations);
    }
}

#[derive(serde::Deserialize)]
struct PromptFilter<'a> {
    #[serde(borrow)]
    content_filter_results: Option<Json<'a>>,
}

fn prompt_filters(result: Json<'_>) -> Option<Json<'_>> {
    shape::<PromptFilter<'_>>(result)?.content_filter_results
}

/// Whether a filter of Azure's did more than look: every call passes through them.
fn acted(filters: Json<'_>) -> bool {
    #[derive(serde::Deserialize)]
    struct Filter {
        filtered: Option<bool>,
        detected: Option<bool>,
    }
    members(filters).into_iter().any(|(_, filter)| {
        shape::<Filter>(filter).is_some_and(|filter| filter.filtered == Some(true) || filter.detected == Some(true))
    })
}

/// Writes one answer.
pub(crate) fn write_choice(choice: &Choice<'_>, output: &mut Messages) {
    let reason = choice.finish_reason.as_ref().map(|reason| reason.0.as_ref());
    match (choice.message, choice.messages, choice.text) {
        (Some(message), _, _) => {
            note_executed_tools(message, output);
            output.item(message, reason);
        }
        (None, Some(messages), _) => elements(messages).into_iter().for_each(|message| output.item(message, reason)),
        (None, None, Some(text)) => output.message("assistant", reason, |output| output.text(text)),
        (None, None, None) => {}
    }
}

/// Tools that ran at the vendor before it answered, as Groq's compound systems list them.
pub(crate) fn note_executed_tools(message: Json<'_>, output: &mut Messages) {
    #[derive(serde::Deserialize)]
    struct Executed<'a> {
        #[serde(borrow)]
        executed_tools: Option<Json<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Tool<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Text<'a>>,
    }
    if !message.get().contains("\"executed_tools\"") {
        return;
    }
    let tools = shape::<Executed<'_>>(message).and_then(|executed| executed.executed_tools);
    for tool in tools.into_iter().flat_map(elements) {
        let kind = shape::<Tool<'_>>(tool).and_then(|tool| tool.kind);
        let feature = kind.and_then(|kind| match kind.0.as_ref() {
            "search" | "visit" | "browser_search" => Some(Feature::WebSearch),
            "python" => Some(Feature::CodeExecution),
            "browser_automation" => Some(Feature::ComputerUse),
            kind => hosted(kind),
        });
        feature.into_iter().for_each(|feature| output.features.insert(feature));
    }
}

/// The parts of a chunk's `delta` that are not text.
pub(crate) fn delta(json: Json<'_>) -> Item<'_> {
    shape(json).unwrap_or_default()
}

/// A later chunk's value wins over an earlier one, unless it says nothing: Azure's first chunk has an empty id and model.
pub(crate) fn keep<'a>(last: &mut Option<Cow<'a, str>>, next: Option<Text<'a>>) {
    if let Some(next) = present(next) {
        *last = Some(next);
    }
}
