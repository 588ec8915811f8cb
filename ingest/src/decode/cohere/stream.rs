//! A stream of Cohere's chat events, put together again.

use std::collections::BTreeMap;

use daybook_ledger::Feature;
use serde::Deserialize;

use super::{Concluded, Counted, is_failure, read};
use crate::decode::DecodeError;
use crate::decode::capture::Failure;
use crate::decode::captured::Captured;
use crate::decode::messages::{Messages, is_string, shape};
use crate::decode::openai::chat_stream::join;
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::{Json, Source};

#[derive(Default, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    /// Version 1's word for it.
    event_type: Option<Text<'a>>,
    id: Option<Text<'a>>,
    index: Option<Count>,
    delta: Option<Json<'a>>,
    text: Option<Json<'a>>,
    response: Option<Json<'a>>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Option<Json<'a>>,
    finish_reason: Option<Text<'a>>,
    usage: Option<Json<'a>>,
    error: Option<Json<'a>>,
}

#[derive(Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<Json<'a>>,
    tool_plan: Option<Json<'a>>,
    tool_calls: Option<Json<'a>>,
    citations: Option<Json<'a>>,
}

/// A piece of content, or of a tool call.
#[derive(Default, Deserialize)]
struct Piece<'a> {
    #[serde(borrow)]
    text: Option<Json<'a>>,
    thinking: Option<Json<'a>>,
    id: Option<Json<'a>>,
    function: Option<Json<'a>>,
    name: Option<Json<'a>>,
    arguments: Option<Json<'a>>,
}

#[derive(Default)]
struct ToolCall<'a> {
    id: Option<Json<'a>>,
    name: Option<Json<'a>>,
    arguments: Vec<Json<'a>>,
}

/// What the events so far add up to.
#[derive(Default)]
pub(crate) struct ChatEvents<'a> {
    id: Option<Text<'a>>,
    plan: Vec<Json<'a>>,
    thinking: Vec<Json<'a>>,
    text: Vec<Json<'a>>,
    calls: BTreeMap<i64, ToolCall<'a>>,
    cited: bool,
    ended: bool,
    finish_reason: Option<Text<'a>>,
    usage: Option<Json<'a>>,
    error: Option<Json<'a>>,
    /// Version 1 repeats the whole answer at the end.
    whole: Option<Json<'a>>,
}

impl<'a> ChatEvents<'a> {
    /// Reads the events in order.
    pub(crate) fn read(source: &Source<'a>, stream: Json<'a>) -> Result<Self, DecodeError> {
        let mut events = Self::default();
        for json in source.elements(stream)? {
            if json.get().starts_with('{') {
                events.take(source.object(json)?, source)?;
            }
        }
        Ok(events)
    }

    fn take(&mut self, event: Event<'a>, source: &Source<'a>) -> Result<(), DecodeError> {
        let delta = match event.delta {
            Some(delta) => source.object::<Delta<'a>>(delta)?,
            None => Delta::default(),
        };
        let said = delta.message.and_then(shape::<Said<'a>>).unwrap_or_default();
        let is_text = |json: &Json<'a>| is_string(json);
        let index = count(event.index).unwrap_or(0);
        match event.kind.or(event.event_type).as_ref().map_or("", |kind| kind.0.as_ref()) {
            "message-start" => self.id = event.id.or(self.id.take()),
            "content-start" | "content-delta" => {
                let piece = said.content.and_then(shape::<Piece<'a>>).unwrap_or_default();
                self.text.extend(piece.text.filter(is_text));
                self.thinking.extend(piece.thinking.filter(is_text));
            }
            "tool-plan-delta" => self.plan.extend(said.tool_plan.filter(is_text)),
            "tool-call-start" | "tool-call-delta" => self.add_call(index, said.tool_calls),
            "citation-start" => self.cited |= said.citations.is_some(),
            "text-generation" => self.text.extend(event.text.filter(is_text)),
            "message-end" => {
                self.id = self.id.take().or(event.id);
                self.finish_reason = delta.finish_reason;
                (self.usage, self.error, self.ended) = (delta.usage, delta.error, true);
            }
            "stream-end" => (self.whole, self.ended) = (event.response, true),
            _ => {}
        }
        Ok(())
    }

    fn add_call(&mut self, index: i64, calls: Option<Json<'a>>) {
        let Some(piece) = calls.and_then(shape::<Piece<'a>>) else { return };
        let function = piece.function.and_then(shape::<Piece<'a>>).unwrap_or_default();
        let call = self.calls.entry(index).or_default();
        call.id = call.id.or(piece.id);
        call.name = call.name.or(function.name);
        call.arguments.extend(function.arguments.filter(|arguments| is_string(arguments)));
    }

    /// The whole answer, written to `output`.
    pub(crate) fn conclude(
        self,
        captured: &Captured<'_, 'a>,
        output: &mut Messages,
    ) -> Result<Concluded<'a>, DecodeError> {
        if let Some(whole) = self.whole {
            return read(captured, whole, output);
        }
        self.write(output);
        let mut concluded = Concluded::default();
        if let Some(usage) = self.usage {
            concluded.counted = captured.source.object::<Counted<'a>>(usage)?;
        }
        let reason = present(self.finish_reason);
        let failure = match self.error {
            Some(error) => Some(captured.failure(error, None)?),
            None => is_failure(reason.as_deref()).then(Failure::default),
        };
        concluded.outcome.id = present(self.id);
        concluded.outcome.finished = self.ended && failure.is_none();
        concluded.outcome.finish_reason = reason;
        concluded.outcome.failure = failure;
        Ok(concluded)
    }

    fn write(&self, output: &mut Messages) {
        output.features.insert_if(self.cited, Feature::Citations);
        output.features.insert_if(!self.calls.is_empty(), Feature::ToolCalling);
        let reason = self.finish_reason.as_ref().map(|reason| reason.0.as_ref());
        let write = output.writer.is_on();
        output.message("assistant", reason, |output| {
            for (kind, pieces) in [("reasoning", &self.plan), ("reasoning", &self.thinking), ("text", &self.text)] {
                if let Some(text) = join(write, pieces) {
                    output.typed_json(kind, &text);
                }
            }
            for call in self.calls.values() {
                let arguments = join(write, &call.arguments);
                output.tool_call(call.id, call.name, arguments.as_deref());
            }
        });
    }
}
