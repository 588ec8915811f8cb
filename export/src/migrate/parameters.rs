//! Request parameters in a destination's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use daybook_ledger::neutral::{Function, Json, Tools};
use serde_json::value::RawValue;

use super::conversation::Conversation;
use super::loss::Notes;

/// Parameters by the destination's word.
pub(super) type Words<'a> = BTreeMap<&'static str, Cow<'a, RawValue>>;

/// The neutral word for the schema of an answer.
const SCHEMA: &str = "output_schema";

/// The parameters that have one of `words` (neutral, the destination's); the others are lost, but for the answer's schema.
pub(super) fn translate<'a>(
    conversation: &Conversation<'a>,
    words: &[(&'static str, &'static str)],
    notes: &mut Notes,
) -> Words<'a> {
    let mut translated = Words::new();
    for (word, value) in &conversation.parameters.known {
        match words.iter().find(|(neutral, _)| neutral == word) {
            Some((_, theirs)) => drop(translated.insert(theirs, value.clone())),
            None if *word == SCHEMA => {}
            None => notes.lost(format!("parameter {word}")),
        }
    }
    conversation.parameters.others.iter().for_each(|name| notes.lost(format!("parameter {name}")));
    translated
}

/// The schema the answer was to have.
pub(super) fn schema<'c>(conversation: &'c Conversation<'_>) -> Option<Json<'c>> {
    conversation.parameters.known.get(SCHEMA).map(AsRef::as_ref)
}

/// Parameters have no place in a conversation to learn from.
pub(super) fn lose_all(conversation: &Conversation<'_>, notes: &mut Notes) {
    let known = conversation.parameters.known.keys().copied();
    for name in known.chain(conversation.parameters.others.iter().map(String::as_str)) {
        notes.lost(format!("parameter {name}"));
    }
}

/// The functions offered; tools that run at one vendor only are lost.
pub(super) fn functions<'c, 'a>(tools: &'c Tools<'a>, notes: &mut Notes) -> &'c [Function<'a>] {
    tools.others.iter().for_each(|name| notes.lost(name.clone()));
    &tools.functions
}

/// The schema of a function's arguments; one without any takes an empty object.
pub(super) fn schema_of<'a>(function: &Function<'a>, notes: &mut Notes) -> Cow<'a, RawValue> {
    let schema = function.parameters.filter(|schema| schema.get().starts_with('{'));
    let empty = || RawValue::from_string(r#"{"type":"object","properties":{}}"#.into()).unwrap_or_default();
    schema.map_or_else(
        || {
            notes.filled("schema of a function");
            Cow::Owned(empty())
        },
        Cow::Borrowed,
    )
}
