//! A stream of Chat Completions chunks, put together again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use daybook_ledger::Feature;
use serde::Deserialize;

use super::chat::{Choice, Completion, delta, is_cut, is_failure, keep, note_executed_tools};
use super::usage::Usage;
use crate::decode::DecodeError;
use crate::decode::capture::Outcome;
use crate::decode::captured::{Answer, Captured};
use crate::decode::messages::{Direction, Messages, elements, is_string, shape};
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::Json;

/// What the chunks so far add up to.
#[derive(Debug)]
pub(crate) struct ChatStream<'a> {
    outcome: Outcome<'a>,
    usage: Option<Usage<'a>>,
    created: Option<Json<'a>>,
    /// The last chunk of a stream that was asked for usage has usage and no choice.
    closed: bool,
    /// What the chunks show besides what they say.
    seen: Messages,
    choices: BTreeMap<i64, Spoken<'a>>,
}

impl Default for ChatStream<'_> {
    fn default() -> Self {
        Self {
            outcome: Outcome::default(),
            usage: None,
            created: None,
            closed: false,
            seen: Messages::new(Direction::Output, false),
            choices: BTreeMap::new(),
        }
    }
}

/// One choice: the pieces of its strings, still quoted.
#[derive(Debug, Default)]
struct Spoken<'a> {
    reasoning: Vec<Json<'a>>,
    content: Vec<Json<'a>>,
    parts: Vec<Json<'a>>,
    refusal: Vec<Json<'a>>,
    sound: Vec<Sound<'a>>,
    calls: BTreeMap<i64, ToolCall<'a>>,
    finish_reason: Option<Cow<'a, str>>,
    cited: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Sound<'a> {
    #[serde(borrow)]
    id: Option<Json<'a>>,
    data: Option<Json<'a>>,
    transcript: Option<Json<'a>>,
}

#[derive(Debug, Default)]
struct ToolCall<'a> {
    id: Option<Json<'a>>,
    name: Option<Json<'a>>,
    arguments: Vec<Json<'a>>,
}

#[derive(Deserialize)]
struct CallPiece<'a> {
    index: Option<Count>,
    #[serde(borrow)]
    id: Option<Json<'a>>,
    function: Option<Json<'a>>,
    custom: Option<Json<'a>>,
    name: Option<Json<'a>>,
    arguments: Option<Json<'a>>,
    input: Option<Json<'a>>,
}

impl<'a> ChatStream<'a> {
    /// Reads the chunks in order. Elements that are no object (`"[DONE]"`) end nothing and say nothing.
    pub(crate) fn read(captured: &Captured<'_, 'a>, stream: Json<'a>) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        for chunk in captured.source.elements(stream)? {
            if chunk.get().starts_with('{') {
                read.take(captured, captured.source.object(chunk)?)?;
            }
        }
        Ok(read)
    }

    /// A chunk that came alone: what it says of the call it is part of.
    pub(crate) fn of_chunk(captured: &Captured<'_, 'a>, chunk: Completion<'a>) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        read.take(captured, chunk)?;
        Ok(read)
    }

    fn take(&mut self, captured: &Captured<'_, 'a>, mut chunk: Completion<'a>) -> Result<(), DecodeError> {
        self.outcome.extra.merge(chunk.extra());
        chunk.note_features(&mut self.seen);
        let usage = chunk.take_usage();
        let error = chunk.error();
        keep(&mut self.outcome.id, chunk.id);
        keep(&mut self.outcome.model, chunk.model);
        keep(&mut self.outcome.service_tier, chunk.service_tier);
        self.created = chunk.created.filter(|created| created.get() != "0").or(self.created);
        let choices = chunk.choices.unwrap_or_default();
        if let Some(usage) = usage.filter(|usage| self.usage.is_none() || usage.says_something()) {
            // Running totals on every chunk: the last one counts.
            self.usage = Some(usage);
            self.closed |= choices.is_empty();
        }
        if let Some(error) = error.or(choices.iter().find_map(|choice| choice.error)) {
            self.outcome.failure = Some(captured.failure(error, present(chunk.code))?);
        }
        choices.into_iter().for_each(|choice| self.add(choice));
        Ok(())
    }

    fn add(&mut self, choice: Choice<'a>) {
        let spoken = self.choices.entry(count(choice.index).unwrap_or(0)).or_default();
        if let Some(reason) = present(choice.finish_reason) {
            if is_failure(Some(&reason)) {
                self.outcome.failure.get_or_insert_default();
            }
            spoken.finish_reason = Some(reason);
        }
        spoken.content.extend(choice.text.filter(|text| is_string(text)));
        let Some(json) = choice.delta.or(choice.message) else { return };
        note_executed_tools(json, &mut self.seen);
        let delta = delta(json);
        let is_text = |json: &Json<'a>| is_string(json);
        spoken.reasoning.extend(delta.reasoning_content.or(delta.reasoning).filter(is_text));
        spoken.refusal.extend(delta.refusal.filter(is_text));
        spoken.cited |= delta.is_cited();
        match delta.content {
            Some(content) if is_string(content) => spoken.content.push(content),
            Some(content) => elements(content).into_iter().for_each(|part| spoken.add_part(part)),
            None => {}
        }
        spoken.sound.extend(delta.audio.and_then(shape::<Sound<'a>>));
        delta.tool_calls.into_iter().flat_map(elements).for_each(|call| spoken.add_call(call));
    }

    /// The whole answer, its choices written to `output`.
    pub(crate) fn answer(mut self, output: &mut Messages) -> Answer<'a> {
        let all_ended = !self.choices.is_empty() && self.choices.values().all(|spoken| spoken.finish_reason.is_some());
        let cut = self.choices.values().any(|spoken| is_cut(spoken.finish_reason.as_deref()));
        self.outcome.finished = (all_ended || self.closed) && !cut;
        self.seen.features.iter().for_each(|feature| output.features.insert(feature));
        output.features.insert_if(self.choices.len() > 1, Feature::MultipleChoices);
        self.choices.values().for_each(|spoken| spoken.write(output));
        self.outcome.finish_reason = self.choices.into_values().next().and_then(|spoken| spoken.finish_reason);
        Answer { outcome: self.outcome, usage: self.usage, created: self.created, streamed: true, ..Answer::default() }
    }
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    text: Option<Json<'a>>,
    thinking: Option<Json<'a>>,
}

impl<'a> Spoken<'a> {
    /// A piece of content that says what it is: text and thinking go on where they stopped, anything else is a part.
    fn add_part(&mut self, part: Json<'a>) {
        let piece = if is_string(part) { None } else { shape::<Piece<'a>>(part) };
        match piece {
            None if is_string(part) => self.content.push(part),
            Some(Piece { kind: Some(kind), text: Some(text), .. }) if kind.0 == "text" && is_string(text) => {
                self.content.push(text);
            }
            Some(Piece { thinking: Some(thinking), .. }) if is_string(thinking) => self.reasoning.push(thinking),
            Some(Piece { thinking: Some(thinking), .. }) => {
                let texts = elements(thinking).into_iter().filter_map(|inner| shape::<Piece<'a>>(inner)?.text);
                self.reasoning.extend(texts.filter(|text| is_string(text)));
            }
            _ => self.parts.push(part),
        }
    }

    fn add_call(&mut self, piece: Json<'a>) {
        let Some(piece) = shape::<CallPiece<'a>>(piece) else { return };
        // A piece without an index belongs to the last call, unless it opens one with an id.
        let last = self.calls.keys().next_back().copied();
        let next = last.map_or(0, |last| last + i64::from(piece.id.is_some()));
        let call = self.calls.entry(count(piece.index).unwrap_or(next)).or_default();
        let inner = piece.function.or(piece.custom).and_then(shape::<CallPiece<'a>>);
        let inner_name = inner.as_ref().and_then(|inner| inner.name);
        let inner_arguments = inner.as_ref().and_then(|inner| inner.arguments.or(inner.input));
        call.id = call.id.or(piece.id);
        call.name = call.name.or(piece.name).or(inner_name);
        call.arguments.extend(piece.arguments.or(piece.input).or(inner_arguments));
    }

    fn write(&self, output: &mut Messages) {
        output.message("assistant", self.finish_reason.as_deref(), |output| {
            if let Some(reasoning) = join(output.writer.is_on(), &self.reasoning) {
                output.typed_json("reasoning", &reasoning);
            }
            if let Some(content) = join(output.writer.is_on(), &self.content) {
                output.typed_json("text", &content);
            }
            self.parts.iter().for_each(|part| output.part(part));
            if let Some(refusal) = join(output.writer.is_on(), &self.refusal) {
                output.typed_json("refusal", &refusal);
            }
            self.write_sound(output);
            for call in self.calls.values() {
                let arguments = join(output.writer.is_on(), &call.arguments);
                output.features.insert(Feature::ToolCalling);
                output.tool_call(call.id, call.name, arguments.as_deref());
            }
            output.features.insert_if(self.cited, Feature::Citations);
        });
    }

    fn write_sound(&self, output: &mut Messages) {
        if self.sound.is_empty() {
            return;
        }
        output.features.insert(Feature::AudioOutput);
        let pieces =
            |piece: fn(&Sound<'a>) -> Option<Json<'a>>| self.sound.iter().filter_map(piece).collect::<Vec<_>>();
        let data = join(output.writer.is_on(), &pieces(|sound| sound.data));
        let transcript = join(output.writer.is_on(), &pieces(|sound| sound.transcript));
        output.begin(if data.is_some() { "blob" } else { "file" });
        output.member_text("modality", "audio");
        match data {
            Some(data) => output.member_json("content", &data),
            None => output.member("file_id", self.sound.iter().find_map(|sound| sound.id)),
        }
        if let Some(transcript) = transcript {
            output.member_json("transcript", &transcript);
        }
        output.end();
    }
}

/// One JSON string of the pieces of it; `None` without pieces or where nothing is written. A piece that is no string is
/// left out.
pub(crate) fn join(write: bool, pieces: &[Json<'_>]) -> Option<String> {
    if pieces.is_empty() || !write {
        return None;
    }
    let mut whole = String::with_capacity(2 + pieces.iter().map(|piece| piece.get().len()).sum::<usize>());
    whole.push('"');
    for piece in pieces {
        whole.push_str(piece.get().strip_prefix('"').and_then(|piece| piece.strip_suffix('"')).unwrap_or_default());
    }
    whole.push('"');
    Some(whole)
}
