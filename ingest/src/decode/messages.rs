//! Messages of every dialect as OpenTelemetry GenAI message JSON, and what they show of the features used.
//!
//! One walk does both; without bodies nothing is written. A shape not known here is copied as it is: a generic part.
//! See OpenTelemetry `gen-ai-input-messages.json` and `gen-ai-output-messages.json`.

use daybook_ledger::{Feature, Features};
use serde::Deserialize;

use super::parts::{Part, PartKind};
use super::scalar::{Object, Text};
use super::source::Json;
use super::writer::Writer;

/// Whether messages went to the model or came from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Input,
    Output,
}

/// Collects the messages of one direction.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) writer: Writer,
    pub(super) features: Features,
    pub(super) direction: Direction,
    /// JSON of the text a gateway writes over what must not be seen.
    redaction: Option<&'static str>,
    /// Parts of the open message, and how many were left out as redacted.
    pub(super) parts: usize,
    redacted: usize,
}

/// A message of any dialect, or an item of a Responses conversation.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    role: Option<Text<'a>>,
    pub(super) content: Option<Json<'a>>,
    parts: Option<Json<'a>>,
    name: Option<Json<'a>>,
    pub(super) refusal: Option<Json<'a>>,
    pub(super) audio: Option<Json<'a>>,
    images: Option<Json<'a>>,
    pub(super) tool_calls: Option<Json<'a>>,
    function_call: Option<Json<'a>>,
    tool_call_id: Option<Json<'a>>,
    pub(super) reasoning_content: Option<Json<'a>>,
    pub(super) reasoning: Option<Json<'a>>,
    /// Ollama's word for reasoning, and what Cohere plans to do with its tools.
    thinking: Option<Json<'a>>,
    tool_plan: Option<Json<'a>>,
    /// OpenRouter's reasoning in parts, beside its text.
    reasoning_details: Option<Json<'a>>,
    /// What Cohere's older conversations have as content.
    message: Option<Json<'a>>,
    thinking_blocks: Option<Json<'a>>,
    citations: Option<Json<'a>>,
    annotations: Option<Json<'a>>,
    finish_reason: Option<Json<'a>>,
    cache_control: Option<Json<'a>>,
}

impl Item<'_> {
    /// The annotations, if the message cites something.
    pub(super) fn is_cited(&self) -> bool {
        [self.annotations, self.citations].into_iter().flatten().any(|list| list.get() != "[]")
    }
}

/// The object `json` as `T`, or `None` where it has another shape.
pub(super) fn shape<'j, T: Deserialize<'j>>(json: Json<'j>) -> Option<T> {
    serde_json::from_str::<Object<T>>(json.get()).ok().map(|object| object.0)
}

/// The elements of `json`; none if it is no array.
pub(super) fn elements(json: Json<'_>) -> Vec<Json<'_>> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// Whether `json` is a string.
pub(super) fn is_string(json: Json<'_>) -> bool {
    json.get().starts_with('"')
}

impl Messages {
    /// Collects messages; writes them only if `write`.
    pub(super) fn new(direction: Direction, write: bool) -> Self {
        let mut writer = Writer::new(write);
        writer.open('[');
        Self { writer, features: Features::default(), direction, redaction: None, parts: 0, redacted: 0 }
    }

    /// Leaves out text that is exactly `redaction`, a JSON string.
    pub(super) const fn redacted_as(mut self, redaction: &'static str) -> Self {
        self.redaction = Some(redaction);
        self
    }

    /// The messages as a JSON array, `None` if there are none or they were not to be written.
    pub(super) fn finish(mut self) -> Option<String> {
        self.writer.close(']');
        Some(self.writer.into_text()).filter(|text| text.len() > 2)
    }

    /// Writes one message around what `parts` writes.
    pub(super) fn message(&mut self, role: &str, finish_reason: Option<&str>, parts: impl FnOnce(&mut Self)) {
        self.named_message((role, None), finish_reason, parts);
    }

    /// The same with the name of who speaks. A message of which only redacted text was known is left out.
    fn named_message(
        &mut self,
        (role, name): (&str, Option<Json<'_>>),
        finish_reason: Option<&str>,
        parts: impl FnOnce(&mut Self),
    ) {
        let mark = self.writer.mark();
        (self.parts, self.redacted) = (0, 0);
        self.writer.open('{');
        self.member_text("role", role);
        self.member("name", name);
        self.writer.key("parts");
        self.writer.open('[');
        parts(self);
        self.writer.close(']');
        if let Some(reason) = finish_reason {
            self.member_text("finish_reason", reason);
        }
        self.writer.close('}');
        if self.redacted > 0 && self.parts == 0 {
            self.writer.back_to(mark);
        }
    }

    /// System text that stands apart from the messages: a string or a list of parts.
    pub(super) fn system(&mut self, json: Option<Json<'_>>) {
        if let Some(json) = json {
            self.message("system", None, |messages| messages.content(json));
        }
    }

    /// Everything a request says: text, one message, or a list of them. Token ids hold no text.
    pub(super) fn list(&mut self, json: Option<Json<'_>>) {
        let Some(json) = json else { return };
        match json.get().as_bytes().first() {
            Some(b'[') => elements(json).into_iter().for_each(|item| self.item(item, None)),
            _ => self.item(json, None),
        }
    }

    /// One message or item; without a role of its own it is the user's or, as output, the assistant's.
    pub(super) fn item(&mut self, json: Json<'_>, finish_reason: Option<&str>) {
        if is_string(json) {
            self.message(self.default_role(), finish_reason, |messages| messages.text(json));
        } else if json.get().starts_with('{') && json.get() != "{}" {
            match shape::<Item<'_>>(json) {
                Some(item) => self.read_item(json, &item, finish_reason),
                None => self.message(self.default_role(), finish_reason, |messages| messages.copy(json)),
            }
        }
    }

    fn read_item(&mut self, json: Json<'_>, item: &Item<'_>, finish_reason: Option<&str>) {
        let kind = item.kind.as_ref().map(|kind| kind.0.as_ref());
        let own_reason = item.finish_reason.and_then(|reason| serde_json::from_str::<Text<'_>>(reason.get()).ok());
        let finish_reason = finish_reason.or(own_reason.as_ref().map(|reason| reason.0.as_ref()));
        let says_something =
            item.content.or(item.message).is_some() || item.parts.is_some() || item.tool_calls.is_some();
        if item.role.is_some() || says_something && matches!(kind, None | Some("message")) {
            let role = item.role.as_ref().map_or(self.default_role(), |role| role.0.as_ref());
            self.named_message((role, item.name), finish_reason, |messages| messages.spoken(role, item));
        } else {
            let role = match kind {
                Some(kind) if kind.ends_with("_output") => "tool",
                Some(kind) if kind.ends_with("_call") || kind.starts_with("mcp_") || kind == "reasoning" => "assistant",
                _ => self.default_role(),
            };
            self.message(role, finish_reason, |messages| messages.part(json));
        }
    }

    /// One item of a Responses answer, inside of the one message they all are.
    pub(super) fn answer_item(&mut self, json: Json<'_>) {
        match shape::<Item<'_>>(json) {
            Some(Item { kind: Some(kind), content: Some(content), .. }) if kind.0 == "message" => self.content(content),
            _ => self.part(json),
        }
    }

    /// The parts of a message with a role.
    fn spoken(&mut self, role: &str, item: &Item<'_>) {
        self.features.insert_if(item.cache_control.is_some(), Feature::PromptCacheControl);
        self.reasoning(item);
        if let Some(parts) = item.parts {
            self.content(parts);
        }
        match item.content.or(item.message) {
            Some(content) if matches!(role, "tool" | "function") => {
                self.tool_result(item.tool_call_id.or(item.name), content);
            }
            Some(content) => self.content(content),
            None => {}
        }
        if let Some(refusal) = item.refusal.filter(|refusal| is_string(refusal)) {
            self.typed("refusal", refusal);
        }
        for image in item.images.into_iter().flat_map(elements) {
            if is_string(image) { self.bare_image(image) } else { self.part(image) }
        }
        if let Some(audio) = item.audio {
            self.audio(audio, None);
        }
        for call in item.tool_calls.into_iter().flat_map(elements) {
            self.function_call(call);
        }
        if let Some(call) = item.function_call {
            self.function_call(call);
        }
        self.features.insert_if(self.direction == Direction::Output && item.is_cited(), Feature::Citations);
    }

    fn reasoning(&mut self, item: &Item<'_>) {
        let blocks = item.thinking_blocks.map(elements).unwrap_or_default();
        let text = item.reasoning_content.or(item.reasoning).or(item.thinking).or(item.tool_plan);
        match text.filter(|text| is_string(text) && blocks.is_empty()) {
            Some(text) => self.typed("reasoning", text),
            None if blocks.is_empty() => {
                item.reasoning_details.into_iter().flat_map(elements).for_each(|detail| self.part(detail));
            }
            None => blocks.into_iter().for_each(|block| self.part(block)),
        }
    }

    /// Content in any form: a string, a part, or a list of parts.
    pub(super) fn content(&mut self, json: Json<'_>) {
        match json.get().as_bytes().first() {
            Some(b'"') => self.text(json),
            Some(b'[') => elements(json).into_iter().for_each(|part| self.part_or_text(part)),
            Some(b'{') => self.part(json),
            _ => {}
        }
    }

    fn part_or_text(&mut self, json: Json<'_>) {
        if is_string(json) { self.text(json) } else { self.part(json) }
    }

    /// What a tool gave back, in a message of its own. Its text stays a list of text parts: it is the message's text.
    fn tool_result(&mut self, id: Option<Json<'_>>, content: Json<'_>) {
        let (mark, parts, redacted) = (self.writer.mark(), self.parts, self.redacted);
        self.begin("tool_call_response");
        self.member("id", id);
        self.writer.key("response");
        self.writer.open('[');
        self.content(content);
        self.writer.close(']');
        self.end();
        if self.redacted > redacted {
            self.writer.back_to(mark);
            self.parts = parts;
        }
    }

    /// One part in any dialect.
    pub(super) fn part(&mut self, json: Json<'_>) {
        match shape::<Part<'_>>(json) {
            Some(part) => self.read_part(json, &part, PartKind::of(&part)),
            // A member of Converse's may share the name of another's, and not its type.
            None if self.converse_block(json) => {}
            None => self.copy(json),
        }
    }

    /// A text part, unless the text was redacted.
    pub(super) fn text(&mut self, json: Json<'_>) {
        if self.redaction == Some(json.get()) {
            self.redacted += 1;
        } else {
            self.typed("text", json);
        }
    }

    /// A part of nothing but a type and its content.
    pub(super) fn typed(&mut self, kind: &str, content: Json<'_>) {
        self.typed_json(kind, content.get());
    }

    /// A part of nothing but a type and its content, which is JSON.
    pub(super) fn typed_json(&mut self, kind: &str, content: &str) {
        self.begin(kind);
        self.writer.key("content");
        self.writer.json(content);
        self.end();
    }

    /// A part as the source wrote it.
    pub(super) fn copy(&mut self, json: Json<'_>) {
        self.parts += 1;
        self.writer.json(json.get());
    }

    /// Opens a part of type `kind`.
    pub(super) fn begin(&mut self, kind: &str) {
        self.parts += 1;
        self.writer.open('{');
        self.writer.key("type");
        self.writer.string(kind);
    }

    /// Closes it.
    pub(super) fn end(&mut self) {
        self.writer.close('}');
    }

    /// A member of the open part, if it is known.
    pub(super) fn member(&mut self, key: &str, value: Option<Json<'_>>) {
        if let Some(value) = value {
            self.writer.key(key);
            self.writer.json(value.get());
        }
    }

    /// A member of the open part that is plain text.
    pub(super) fn member_text(&mut self, key: &str, text: &str) {
        self.writer.key(key);
        self.writer.string(text);
    }

    /// A member of the open part that is JSON.
    pub(super) fn member_json(&mut self, key: &str, json: &str) {
        self.writer.key(key);
        self.writer.json(json);
    }

    const fn default_role(&self) -> &'static str {
        match self.direction {
            Direction::Input => "user",
            Direction::Output => "assistant",
        }
    }
}
