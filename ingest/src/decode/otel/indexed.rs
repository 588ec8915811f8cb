//! Messages that attributes spell out one by one: `gen_ai.prompt.0.content` of OpenLLMetry,
//! `llm.input_messages.0.message.content` of OpenInference.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::value::{AttributeValue, Plain};
use crate::decode::DecodeError;
use crate::decode::writer::Writer;

type Word<'a> = Option<Cow<'a, str>>;

/// The messages of both directions by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Spelt<'a> {
    pub input: Conversation<'a>,
    pub output: Conversation<'a>,
}

/// Messages in order, whatever order their attributes came in.
#[derive(Debug, Default)]
pub(crate) struct Conversation<'a>(BTreeMap<u32, Message<'a>>);

#[derive(Debug, Default)]
struct Message<'a> {
    role: Word<'a>,
    content: Option<Plain<'a>>,
    texts: BTreeMap<u32, Word<'a>>,
    finish_reason: Word<'a>,
    call_id: Word<'a>,
    calls: BTreeMap<u32, Call<'a>>,
}

#[derive(Debug, Default)]
struct Call<'a> {
    id: Word<'a>,
    name: Word<'a>,
    arguments: Word<'a>,
}

const INPUT: [&str; 3] = ["gen_ai.prompt.", "llm.input_messages.", "llm.prompts."];
const OUTPUT: [&str; 3] = ["gen_ai.completion.", "llm.output_messages.", "llm.completions."];

/// `3.rest` as 3 and `rest`.
fn numbered(key: &str) -> Option<(u32, &str)> {
    let (number, rest) = key.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

impl<'a> Spelt<'a> {
    /// Takes the attribute in, if it is a piece of a message; whether it is.
    pub(crate) fn take(&mut self, key: &str, value: &impl AttributeValue<'a>) -> Result<bool, DecodeError> {
        let piece = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| numbered(key.strip_prefix(prefix)?));
        let (messages, (number, field)) = match (piece(&INPUT), piece(&OUTPUT)) {
            (Some(piece), _) => (&mut self.input, piece),
            (None, Some(piece)) => (&mut self.output, piece),
            (None, None) => return Ok(false),
        };
        let message = messages.0.entry(number).or_default();
        message.take(field.strip_prefix("message.").unwrap_or(field), value)?;
        Ok(true)
    }
}

impl<'a> Message<'a> {
    fn take(&mut self, field: &str, value: &impl AttributeValue<'a>) -> Result<(), DecodeError> {
        match field {
            "role" => self.role = value.text()?,
            "content" => self.content = Some(value.plain()?),
            "finish_reason" => self.finish_reason = value.text()?,
            "tool_call_id" => self.call_id = value.text()?,
            _ => {
                if let Some((number, field)) = field.strip_prefix("tool_calls.").and_then(numbered) {
                    let call = self.calls.entry(number).or_default();
                    match field.strip_prefix("tool_call.").unwrap_or(field) {
                        "id" => call.id = value.text()?,
                        "name" | "function.name" => call.name = value.text()?,
                        "arguments" | "function.arguments" => call.arguments = value.text()?,
                        _ => {}
                    }
                } else if let Some((number, "message_content.text")) =
                    field.strip_prefix("contents.").and_then(numbered)
                {
                    self.texts.insert(number, value.text()?);
                }
            }
        }
        Ok(())
    }

    /// The message as OpenAI writes it, which the readers of messages know.
    fn write(&self, writer: &mut Writer) {
        let text = |writer: &mut Writer, key: &str, text: &Word<'_>| {
            if let Some(text) = text {
                writer.key(key);
                writer.string(text);
            }
        };
        writer.open('{');
        text(writer, "role", &self.role);
        match &self.content {
            Some(Plain::Json(json)) => {
                writer.key("content");
                writer.json(json);
            }
            // A list of parts may have been packed into the text.
            Some(Plain::Text(said)) if said.starts_with('[') && super::call::raw(said).is_some() => {
                writer.key("content");
                writer.json(said);
            }
            Some(Plain::Text(said)) => {
                writer.key("content");
                writer.string(said);
            }
            None if !self.texts.is_empty() => {
                writer.key("content");
                writer.open('[');
                self.texts.values().flatten().for_each(|text| writer.string(text));
                writer.close(']');
            }
            None => {}
        }
        text(writer, "tool_call_id", &self.call_id);
        if !self.calls.is_empty() {
            writer.key("tool_calls");
            writer.open('[');
            for call in self.calls.values() {
                writer.open('{');
                text(writer, "id", &call.id);
                text(writer, "name", &call.name);
                text(writer, "arguments", &call.arguments);
                writer.close('}');
            }
            writer.close(']');
        }
        text(writer, "finish_reason", &self.finish_reason);
        writer.close('}');
    }
}

impl<'a> Conversation<'a> {
    /// The messages as JSON; `None` if there are none.
    pub(crate) fn json(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut writer = Writer::new(true);
        writer.open('[');
        self.0.values().for_each(|message| message.write(&mut writer));
        writer.close(']');
        Some(writer.into_text())
    }

    /// Why the first message ended.
    pub(crate) fn finish_reason(&mut self) -> Word<'a> {
        self.0.values_mut().next()?.finish_reason.clone()
    }
}
