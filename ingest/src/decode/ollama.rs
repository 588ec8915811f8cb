//! Ollama in its own words: one object, or a line for each piece and a last one with the counts.

use daybook_ledger::{Entry, Feature, Operation, Tokens};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::DecodeError;
use super::about::About;
use super::capture::{Outcome, after};
use super::captured::{Answer, Captured};
use super::dialect::Endpoint;
use super::extra::Extra;
use super::messages::{Messages, elements, is_string, shape};
use super::object::object;
use super::openai::chat_stream::join;
use super::scalar::{Count, Flag, Text, count, flag, present};
use super::source::Json;

pub(super) const ABOUT: About = About {
    format: "ollama",
    title: "Ollama",
    what: "A captured call of `/api/chat`, `/api/generate`, `/api/embed` or of the OpenAI-compatible `/v1`, or a bare last line. A bare line that is not the last holds no call.",
    recognised_by: "`capture.api` begins with `ollama`, the endpoint is on port 11434, `done` and `created_at` stand beside `model`, or `total_duration` beside `embeddings`.",
    identity: "the capture's `request_id`, else the bytes of the event: Ollama gives its answers no id.",
    stream: "the line with `done: true`.",
    columns: &[
        ("input_tokens", "`prompt_eval_count`"),
        ("output_tokens", "`eval_count`; 0 for embeddings"),
        ("latency_ms", "`total_duration`, which is in nanoseconds, else the capture's"),
        ("error_type", "`error`, a sentence: there is no code"),
        ("extra", "`load_duration`, `prompt_eval_duration`, `eval_duration`, `remote_model`, `remote_host`"),
    ],
    cannot_say: &[
        "Whether an absent `prompt_eval_count` is zero: counts of zero are left out, and so is that of a prompt still in memory.",
        "What was read from the cache, and what of the answer was thinking.",
    ],
};

object! {
    /// An answer, or one line of it.
    struct Line<'a> {
        model: Text<'a> = "model",
        created_at: Json<'a> = "created_at",
        message: Json<'a> = "message",
        response: Json<'a> = "response",
        thinking: Json<'a> = "thinking",
        done: Flag = "done",
        done_reason: Text<'a> = "done_reason",
        total_duration: Json<'a> = "total_duration",
        prompt_eval_count: Count = "prompt_eval_count",
        eval_count: Count = "eval_count",
        embeddings: IgnoredAny = "embeddings" | "embedding",
        logprobs: IgnoredAny = "logprobs",
        error: Json<'a> = "error",
    }
    // The tokens of the conversation so far, for the next call.
    ignoring ["context"]
}

/// What a message adds to the answer.
#[derive(Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<Json<'a>>,
    thinking: Option<Json<'a>>,
    tool_calls: Option<Json<'a>>,
}

/// What the lines say, put together.
#[derive(Default)]
struct Spoken<'a> {
    thinking: Vec<Json<'a>>,
    content: Vec<Json<'a>>,
    calls: Vec<Json<'a>>,
    last: Line<'a>,
    lines: usize,
}

/// Decodes one captured call, or a bare last line.
pub(super) fn decode<'a>(captured: Captured<'_, 'a>, endpoint: Endpoint) -> Result<Option<Entry<'a>>, DecodeError> {
    let source = captured.source;
    let lines = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => source.elements(stream)?,
        (response, None) => response.into_iter().collect(),
    };
    let mut spoken = Spoken::default();
    for line in lines {
        if line.get().starts_with('{') {
            spoken.take(source.object(line)?);
        }
    }
    let is_piece = captured.envelope.capture.is_none() && flag(spoken.last.done) == Some(false);
    if is_piece || spoken.only_loaded() {
        return Ok(None);
    }
    let (request, mut input, mut output) = captured.asked()?;
    note_images(&captured, &mut input);
    spoken.write(&mut output);
    let whole = source.decimal(spoken.last.total_duration)?;
    let embeds = endpoint == Endpoint::Embeddings || spoken.last.embeddings.is_some();
    let operation = if embeds { Operation::Embeddings } else { Operation::Chat };
    let answer = spoken.answer(&captured, embeds)?;
    let ended = source.instant(answer.created)?;
    let bare = captured.envelope.capture.is_none();
    let mut entry = captured.conclude(operation, (request, input, output), answer)?;
    if let Some(nanoseconds) = whole {
        // Rounded to whole milliseconds, halves up.
        let millis = (nanoseconds.pico() / 1_000_000_000_000 + 500_000).div_euclid(1_000_000);
        entry.latency_ms = i64::try_from(millis).ok();
    }
    if bare {
        // `created_at` of the last line is when it was written: the end.
        entry.started_at = ended.zip(entry.latency_ms).and_then(|(end, millis)| after(end, -millis)).or(ended);
    }
    entry.completed_at = entry.started_at.zip(entry.latency_ms).and_then(|(start, millis)| after(start, millis));
    Ok(Some(entry))
}

/// Pictures stand apart from the prompt of `/api/generate`.
fn note_images(captured: &Captured<'_, '_>, input: &mut Messages) {
    #[derive(Deserialize)]
    struct Given<'a> {
        #[serde(borrow)]
        images: Option<Json<'a>>,
    }
    let given = captured.envelope.request.and_then(shape::<Given<'_>>).and_then(|given| given.images);
    input.features.insert_if(given.is_some_and(|images| !elements(images).is_empty()), Feature::VisionInput);
}

impl<'a> Spoken<'a> {
    fn take(&mut self, line: Line<'a>) {
        let message = line.message.and_then(shape::<Said<'a>>).unwrap_or_default();
        let text = |json: &Json<'a>| is_string(json);
        self.thinking.extend(message.thinking.or(line.thinking).filter(text));
        self.content.extend(message.content.or(line.response).filter(text));
        self.calls.extend(message.tool_calls.into_iter().flat_map(elements));
        // An error ends a stream; what came before it stays.
        let model = self.last.model.take();
        self.last = line;
        self.last.model = self.last.model.take().or(model);
        self.lines += 1;
    }

    /// Whether the call did nothing but bring a model into memory, or take it out.
    fn only_loaded(&self) -> bool {
        let reason = self.last.done_reason.as_ref().map(|reason| reason.0.as_ref());
        matches!(reason, Some("load" | "unload")) && count(self.last.eval_count).is_none()
    }

    fn write(&self, output: &mut Messages) {
        output.features.insert_if(self.last.logprobs.is_some(), Feature::Logprobs);
        output.features.insert_if(!self.calls.is_empty(), Feature::ToolCalling);
        if self.content.is_empty() && self.calls.is_empty() && self.thinking.is_empty() {
            return;
        }
        let reason = self.last.done_reason.as_ref().map(|reason| reason.0.as_ref());
        let write = output.writer.is_on();
        output.message("assistant", reason, |output| {
            for (kind, pieces) in [("reasoning", &self.thinking), ("text", &self.content)] {
                if let Some(text) = join(write, pieces).filter(|text| text != "\"\"") {
                    output.typed_json(kind, &text);
                }
            }
            self.calls.iter().for_each(|call| output.function_call(call));
        });
    }

    fn answer(mut self, captured: &Captured<'_, 'a>, embeds: bool) -> Result<Answer<'a>, DecodeError> {
        let failure = match self.last.error {
            Some(error) => Some(captured.failure(error, None)?),
            None => None,
        };
        let mut extra = Extra::default();
        extra.add("", &self.last.unknown);
        let outcome = Outcome {
            model: present(self.last.model.take()),
            finish_reason: present(self.last.done_reason.take()),
            finished: failure.is_none() && (flag(self.last.done) == Some(true) || embeds && self.lines > 0),
            failure,
            extra,
            tokens: Tokens {
                input: count(self.last.prompt_eval_count),
                output: count(self.last.eval_count),
                ..Tokens::default()
            },
            ..Outcome::default()
        };
        Ok(Answer { outcome, created: self.last.created_at, ..Answer::default() })
    }
}
