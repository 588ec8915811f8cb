//! The events of a Responses stream: the last state of the response, and what a cut stream left of its output.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::chat_stream::join;
use super::responses::Answer;
use crate::decode::DecodeError;
use crate::decode::scalar::{Count, Text, count};
use crate::decode::source::{Json, Source};

#[derive(Debug, Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    response: Option<Json<'a>>,
    output_index: Option<Count>,
    content_index: Option<Count>,
    item: Option<Json<'a>>,
    delta: Option<Json<'a>>,
}

/// What the events so far add up to.
#[derive(Debug, Default)]
pub(crate) struct ResponseStream<'a> {
    response: Option<Json<'a>>,
    error: Option<Json<'a>>,
    ended: bool,
    items: BTreeMap<i64, Json<'a>>,
    /// Pieces of texts by item and content; an item that ends replaces them.
    texts: BTreeMap<(i64, i64), (&'static str, Vec<Json<'a>>)>,
}

impl<'a> ResponseStream<'a> {
    /// Reads the events in order.
    pub(crate) fn read(source: &Source<'a>, stream: Json<'a>) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        for event in source.elements(stream)? {
            if event.get().starts_with('{') {
                read.take(event, source.object(event)?);
            }
        }
        Ok(read)
    }

    /// The state one event holds, which came alone: what followed is not known, but nothing was cut.
    pub(crate) fn state(source: &Source<'a>, event: Json<'a>) -> Result<Answer<'a>, DecodeError> {
        let StreamEvent { response, .. } = source.object(event)?;
        Ok(Answer { response, alone: true, ..Answer::default() })
    }

    fn take(&mut self, json: Json<'a>, event: StreamEvent<'a>) {
        let index = count(event.output_index).unwrap_or(0);
        let part = (index, count(event.content_index).unwrap_or(0));
        match event.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
            "error" => self.error = Some(json),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.response = event.response.or(self.response);
                self.ended = true;
            }
            "response.output_item.done" => {
                self.items.extend(event.item.map(|item| (index, item)));
                self.texts.retain(|(item, _), _| *item != index);
            }
            "response.output_text.delta" => self.add("text", part, event.delta),
            "response.refusal.delta" => self.add("refusal", part, event.delta),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.add("reasoning", part, event.delta);
            }
            // created, in_progress, queued: each holds the object as it then was.
            _ => self.response = event.response.or(self.response),
        }
    }

    fn add(&mut self, kind: &'static str, part: (i64, i64), delta: Option<Json<'a>>) {
        self.texts.entry(part).or_insert((kind, Vec::new())).1.extend(delta);
    }

    /// What came back.
    pub(crate) fn answer(self, write: bool) -> Answer<'a> {
        let loose = self.texts.into_values().filter_map(|(kind, pieces)| Some((kind, join(write, &pieces)?))).collect();
        Answer {
            response: self.response,
            items: self.items.into_values().collect(),
            loose,
            error: self.error,
            cut: !self.ended,
            alone: false,
        }
    }
}
