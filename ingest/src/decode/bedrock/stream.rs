//! The events of a Converse stream, put together again.

use std::collections::BTreeMap;

use super::reply::{Converse, Reply};
use crate::decode::DecodeError;
use crate::decode::anthropic::stream::unquoted_input;
use crate::decode::capture::Failure;
use crate::decode::messages::{Messages, shape};
use crate::decode::object::object;
use crate::decode::openai::chat_stream::join;
use crate::decode::request::members;
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::{Json, Source};

object! {
    struct Event<'a> {
        block_start: BlockEvent<'a> = "contentBlockStart",
        block_delta: BlockEvent<'a> = "contentBlockDelta",
        stop: Stop<'a> = "messageStop",
        metadata: Json<'a> = "metadata",
        metrics: Json<'a> = "amazon-bedrock-invocationMetrics",
    }
    ignoring ["messageStart", "contentBlockStop"]
}

object! {
    struct BlockEvent<'a> {
        index: Count = "contentBlockIndex",
        start: Json<'a> = "start",
        delta: Delta<'a> = "delta",
    }
}

object! {
    struct Delta<'a> {
        text: Json<'a> = "text",
        tool: Input<'a> = "toolUse",
        reasoning: Reasoning<'a> = "reasoningContent",
        citation: Json<'a> = "citation",
    }
}

object! {
    struct Input<'a> {
        input: Json<'a> = "input",
    }
}

object! {
    struct Reasoning<'a> {
        text: Json<'a> = "text",
    }
}

object! {
    struct Start<'a> {
        tool: Tool<'a> = "toolUse",
    }
}

object! {
    struct Tool<'a> {
        id: Json<'a> = "toolUseId",
        name: Json<'a> = "name",
    }
}

object! {
    struct Stop<'a> {
        reason: Text<'a> = "stopReason",
        fields: Json<'a> = "additionalModelResponseFields",
    }
}

/// One block as its pieces add up.
#[derive(Default)]
struct Block<'a> {
    start: Option<Json<'a>>,
    text: Vec<Json<'a>>,
    input: Vec<Json<'a>>,
    reasoning: Vec<Json<'a>>,
    cited: bool,
}

/// Whether `event` is one of a Converse stream.
pub(crate) fn is_event(event: Json<'_>) -> bool {
    const NAMES: [&str; 6] =
        ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];
    members(event).iter().any(|(key, _)| NAMES.contains(&key.as_ref()) || is_exception(key))
}

/// `throttlingException`, `modelStreamErrorException`, ...: errors come as events.
fn is_exception(key: &str) -> bool {
    key.ends_with("Exception")
}

/// Reads the events in order and writes the answer to `output`.
pub(crate) fn read<'a>(
    source: &Source<'a>,
    events: &[Json<'a>],
    output: &mut Messages,
) -> Result<Reply<'a>, DecodeError> {
    let mut reply = Reply::default();
    let mut blocks: BTreeMap<i64, Block<'a>> = BTreeMap::new();
    for json in events {
        let event: Event<'a> = source.object(json)?;
        if let Some((key, _)) = event.unknown.iter().find(|(key, _)| is_exception(key)) {
            reply.failure = Some(Failure { word: Some(exception_word(key).into()), ..Failure::default() });
        }
        if let Some(start) = event.block_start {
            blocks.entry(count(start.index).unwrap_or(0)).or_default().start = start.start;
        }
        if let Some(piece) = event.block_delta {
            blocks.entry(count(piece.index).unwrap_or(0)).or_default().add(piece.delta.unwrap_or_default());
        }
        if let Some(stop) = event.stop {
            reply.finish_reason = present(stop.reason);
            reply.finished = true;
            reply.note_fields(stop.fields);
        }
        if let Some(metadata) = event.metadata {
            reply.take(source.object::<Converse<'a>>(metadata)?);
        }
        if let Some(metrics) = event.metrics {
            reply.take_metrics(source, metrics)?;
        }
    }
    let reason = reply.finish_reason.clone();
    if !blocks.is_empty() {
        output.message("assistant", reason.as_deref(), |output| {
            blocks.values().for_each(|block| block.write(output));
        });
    }
    Ok(reply)
}

/// `throttlingException` is `ThrottlingException` where it is not an event.
fn exception_word(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

impl<'a> Block<'a> {
    fn add(&mut self, delta: Delta<'a>) {
        self.text.extend(delta.text);
        self.input.extend(delta.tool.and_then(|tool| tool.input));
        self.reasoning.extend(delta.reasoning.and_then(|reasoning| reasoning.text));
        self.cited |= delta.citation.is_some();
    }

    fn write(&self, output: &mut Messages) {
        use daybook_ledger::Feature;
        output.features.insert_if(self.cited, Feature::Citations);
        let write = output.writer.is_on();
        if let Some(tool) = self.start.and_then(shape::<Start<'_>>).and_then(|start| start.tool) {
            output.features.insert(Feature::ToolCalling);
            let input = join(true, &self.input).map_or_else(|| "{}".to_owned(), |input| unquoted_input(&input));
            return output.tool_call(tool.id, tool.name, Some(&input));
        }
        for (kind, pieces) in [("reasoning", &self.reasoning), ("text", &self.text)] {
            join(write, pieces).into_iter().for_each(|text| output.typed_json(kind, &text));
        }
    }
}
