//! The events of an Anthropic Messages stream, put together again.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::usage::Usage;
use super::{Answer, Message};
use crate::decode::DecodeError;
use crate::decode::capture::{Failure, Outcome};
use crate::decode::messages::{Messages, elements, shape};
use crate::decode::openai::chat::keep;
use crate::decode::openai::chat_stream::join;
use crate::decode::scalar::{Count, Text, count};
use crate::decode::source::{Json, Source, nests_too_deep};

#[derive(Debug, Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    index: Option<Count>,
    message: Option<Message<'a>>,
    content_block: Option<Json<'a>>,
    delta: Option<Json<'a>>,
    usage: Option<Usage<'a>>,
    error: Option<Json<'a>>,
}

/// What a `delta` adds: to a block, or to the message itself.
#[derive(Debug, Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<Json<'a>>,
    thinking: Option<Json<'a>>,
    signature: Option<Json<'a>>,
    partial_json: Option<Json<'a>>,
    citation: Option<Json<'a>>,
    stop_reason: Option<Text<'a>>,
}

/// One block of content: how it began, and the pieces that followed.
#[derive(Debug, Default)]
struct Block<'a> {
    start: Option<Json<'a>>,
    text: Vec<Json<'a>>,
    thinking: Vec<Json<'a>>,
    signature: Option<Json<'a>>,
    input: Vec<Json<'a>>,
    citations: Vec<Json<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct BlockStart<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    id: Option<Json<'a>>,
    name: Option<Json<'a>>,
    text: Option<Json<'a>>,
}

/// What the events so far add up to.
#[derive(Debug, Default)]
pub(crate) struct MessageStream<'a> {
    outcome: Outcome<'a>,
    usage: Option<Usage<'a>>,
    error: Option<Json<'a>>,
    blocks: BTreeMap<i64, Block<'a>>,
}

impl<'a> MessageStream<'a> {
    /// Reads the events in order.
    pub(crate) fn read(source: &Source<'a>, stream: Json<'a>) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        for event in source.elements(stream)? {
            if event.get().starts_with('{') {
                read.take(source, event, source.object(event)?)?;
            }
        }
        Ok(read)
    }

    fn take(&mut self, source: &Source<'a>, json: Json<'a>, event: StreamEvent<'a>) -> Result<(), DecodeError> {
        let index = count(event.index).unwrap_or(0);
        match event.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
            "message_start" => self.start(event.message),
            "content_block_start" => self.blocks.entry(index).or_default().start = event.content_block,
            "content_block_delta" => {
                let block = self.blocks.entry(index).or_default();
                event.delta.and_then(shape::<Delta<'a>>).into_iter().for_each(|delta| block.add(delta));
            }
            "message_delta" => {
                let delta = event.delta.map(|delta| source.object::<Delta<'a>>(delta)).transpose()?.unwrap_or_default();
                keep(&mut self.outcome.finish_reason, delta.stop_reason);
                self.add_usage(event.usage);
            }
            "message_stop" => self.outcome.finished = true,
            "error" => self.error = event.error.and(Some(json)).or(self.error),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: Option<Message<'a>>) {
        let Some(message) = message else { return };
        self.outcome.extra.add("response", &message.unknown);
        keep(&mut self.outcome.id, message.id);
        keep(&mut self.outcome.model, message.model);
        keep(&mut self.outcome.finish_reason, message.stop_reason);
        self.add_usage(message.usage);
        for (index, block) in (0..).zip(message.content.map(elements).unwrap_or_default()) {
            self.blocks.entry(index).or_default().start = Some(block);
        }
    }

    fn add_usage(&mut self, usage: Option<Usage<'a>>) {
        if let Some(usage) = usage {
            self.usage.get_or_insert_default().merge(usage);
        }
    }

    /// The whole answer, its blocks written to `output`.
    pub(crate) fn answer(mut self, source: &Source<'a>, output: &mut Messages) -> Result<Answer<'a>, DecodeError> {
        if let Some(error) = self.error {
            self.outcome.failure = Some(Failure::read(source, error)?);
        }
        // The last counts come with the stop reason; `message_stop` adds nothing to them.
        self.outcome.finished |= self.outcome.finish_reason.is_some();
        if !self.blocks.is_empty() {
            let reason = self.outcome.finish_reason.clone();
            output.message("assistant", reason.as_deref(), |output| {
                self.blocks.values().for_each(|block| block.write(output));
            });
        }
        Ok(Answer { outcome: self.outcome, usage: self.usage })
    }
}

impl<'a> Block<'a> {
    fn add(&mut self, delta: Delta<'a>) {
        self.text.extend(delta.text);
        self.thinking.extend(delta.thinking);
        self.input.extend(delta.partial_json);
        self.citations.extend(delta.citation);
        self.signature = delta.signature.or(self.signature);
    }

    fn write(&self, output: &mut Messages) {
        let Some(start) = self.start.or(self.text.first().copied()) else { return };
        let begun = shape::<BlockStart<'_>>(start).unwrap_or_default();
        let kind = begun.kind.as_ref().map_or("text", |kind| kind.0.as_ref());
        match kind {
            "text" if self.citations.is_empty() => {
                let pieces = begun.text.into_iter().chain(self.text.iter().copied()).collect::<Vec<_>>();
                join(output.writer.is_on(), &pieces).into_iter().for_each(|text| output.typed_json("text", &text));
            }
            // Written as one block, so that a part is read in one way only.
            _ if self.is_whole() => output.part(start),
            _ => self.write_whole(kind, &begun, output),
        }
    }

    /// The block needs nothing that came after its start.
    fn is_whole(&self) -> bool {
        self.text.is_empty() && self.thinking.is_empty() && self.input.is_empty() && self.citations.is_empty()
    }

    /// Builds the block as it would stand in an answer that was not streamed.
    fn write_whole(&self, kind: &str, begun: &BlockStart<'_>, output: &mut Messages) {
        let mut whole = crate::decode::writer::Writer::new(true);
        whole.open('{');
        whole.key("type");
        whole.string(kind);
        let texts = begun.text.into_iter().chain(self.text.iter().copied()).collect::<Vec<_>>();
        let input = join(true, &self.input).map(|input| unquoted_input(&input));
        let citations = (!self.citations.is_empty())
            .then(|| format!("[{}]", self.citations.iter().map(|one| one.get()).collect::<Vec<_>>().join(",")));
        for (key, value) in [
            ("id", begun.id.map(|id| id.get().to_owned())),
            ("name", begun.name.map(|name| name.get().to_owned())),
            ("text", join(true, &texts)),
            ("thinking", join(true, &self.thinking)),
            ("signature", self.signature.map(|signature| signature.get().to_owned())),
            ("input", input),
            ("citations", citations),
        ] {
            if let Some(value) = value {
                whole.key(key);
                whole.json(&value);
            }
        }
        whole.close('}');
        let whole = whole.into_text();
        if let Ok(block) = serde_json::from_str::<Json<'_>>(&whole) {
            output.part(block);
        }
    }
}

/// A tool's input arrives as pieces of JSON text; what was cut off in the middle stays text.
pub(crate) fn unquoted_input(quoted: &str) -> String {
    let text = serde_json::from_str::<Text<'_>>(quoted).map(|text| text.0.into_owned()).unwrap_or_default();
    match text.as_str() {
        "" => "{}".to_owned(),
        json if !nests_too_deep(json) && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() => text,
        _ => quoted.to_owned(),
    }
}
