//! The `response` of a LiteLLM payload: a chat completion, a Responses object, an Anthropic message or nothing of use.

use std::borrow::Cow;

use serde::Deserialize;

use crate::decode::messages::{Messages, elements, shape};
use crate::decode::openai::chat::{Choice, write_choice};
use crate::decode::scalar::{Text, count, present};
use crate::decode::source::Json;

/// What LiteLLM kept of the answer. It is what a callback saw, so any shape is possible and none is an error.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Reply<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    service_tier: Option<Text<'a>>,
    choices: Option<Vec<Choice<'a>>>,
    output: Option<Json<'a>>,
    content: Option<Json<'a>>,
    stop_reason: Option<Text<'a>>,
    incomplete_details: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct IncompleteDetails<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

impl<'a> Reply<'a> {
    /// Reads `response`; text and other shapes say nothing.
    pub(crate) fn read(response: Json<'a>) -> Self {
        let mut reply = shape::<Self>(response).unwrap_or_default();
        if let Some(choices) = &mut reply.choices {
            choices.sort_by_key(|choice| count(choice.index));
        }
        reply
    }

    /// The model's own name for itself.
    pub(crate) fn model(&mut self) -> Option<Cow<'a, str>> {
        present(self.model.take())
    }

    /// The tier that served.
    pub(crate) fn service_tier(&mut self) -> Option<Cow<'a, str>> {
        present(self.service_tier.take())
    }

    /// Why the first choice ended.
    pub(crate) fn finish_reason(&mut self) -> Option<Cow<'a, str>> {
        let first = self.choices.as_mut().and_then(|choices| choices.first_mut());
        let reason = first.and_then(|choice| present(choice.finish_reason.clone()));
        let stop = || present(self.stop_reason.clone());
        let incomplete = || present(self.incomplete_details.and_then(shape::<IncompleteDetails<'a>>)?.reason);
        reason.or_else(stop).or_else(incomplete)
    }

    /// Walks what the answer says.
    pub(crate) fn say(&self, output: &mut Messages) {
        let reason = self.stop_reason.as_ref().map(|reason| reason.0.as_ref());
        for choice in self.choices.iter().flatten() {
            write_choice(choice, output);
        }
        if let Some(items) = self.output {
            output.message("assistant", None, |output| {
                elements(items).into_iter().for_each(|item| output.answer_item(item))
            });
        }
        if let Some(content) = self.content {
            output.message("assistant", reason, |output| output.content(content));
        }
        let several = self.choices.as_ref().is_some_and(|choices| choices.len() > 1);
        output.features.insert_if(several, daybook_ledger::Feature::MultipleChoices);
    }
}
