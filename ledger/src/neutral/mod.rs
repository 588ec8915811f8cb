//! What a row of `content` says, in words of no vendor: messages, parameters and tools, whichever dialect said them.
//!
//! Values are borrowed from the row and stay as they were written, to the byte; only their names become neutral.

mod message;
mod parameters;
mod tools;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub use self::message::{Media, Message, Part, Place, messages};
pub use self::parameters::Parameters;
pub use self::tools::{Function, Tools};

/// JSON as its source wrote it.
pub type Json<'a> = &'a RawValue;

/// The members of `json`, without those that are null; none if it is no object.
fn members(json: Json<'_>) -> BTreeMap<Cow<'_, str>, Json<'_>> {
    let members: BTreeMap<_, Json<'_>> = serde_json::from_str(json.get()).unwrap_or_default();
    members.into_iter().filter(|(_, value)| value.get() != "null").collect()
}

/// The elements of `json`; none if it is no array.
pub fn elements(json: Json<'_>) -> Vec<Json<'_>> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// The text of a JSON string; `None` of anything else, and of text that is no Unicode.
pub fn text(json: Json<'_>) -> Option<Cow<'_, str>> {
    let inner = json.get().strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        false => Some(Cow::Borrowed(inner)),
        true => serde_json::from_str(json.get()).ok().map(Cow::Owned),
    }
}

/// The JSON object that `json` is, or holds as text.
pub fn object(json: Json<'_>) -> Option<Cow<'_, str>> {
    let held = match json.get().starts_with('"') {
        true => text(json)?,
        false => Cow::Borrowed(json.get()),
    };
    let is_object = held.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(&held).is_ok();
    is_object.then_some(held)
}
