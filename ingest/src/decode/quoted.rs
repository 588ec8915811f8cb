//! JSON that some senders put into a string: bodies, metadata, tags.

use serde_json::value::RawValue;

use super::messages::is_string;
use super::scalar::Text;
use super::source::{Json, nests_too_deep};

/// A JSON value, taken out of the string it came in if it came in one.
#[derive(Debug)]
pub(super) enum Quoted<'a> {
    /// It stood there as JSON.
    Bare(Json<'a>),
    /// It was the text of a string.
    Unquoted(Box<RawValue>),
}

impl<'a> Quoted<'a> {
    /// Reads `json`. `None` if it is text that holds no array or object, as text that was cut short does.
    pub(super) fn read(json: Json<'a>) -> Option<Self> {
        if !is_string(json) {
            return Some(Self::Bare(json));
        }
        let text = serde_json::from_str::<Text<'_>>(json.get()).ok()?.0;
        let inner = text.trim();
        if !inner.starts_with(['{', '[']) || nests_too_deep(inner) {
            return None;
        }
        RawValue::from_string(inner.to_owned()).ok().map(Self::Unquoted)
    }

    /// The value.
    pub(super) fn json(&self) -> Json<'_> {
        match self {
            Self::Bare(json) => json,
            Self::Unquoted(json) => json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<String> {
        let json: Json<'_> = serde_json::from_str(json).unwrap();
        Quoted::read(json).map(|quoted| quoted.json().get().to_owned())
    }

    #[test]
    fn a_value_is_the_same_inside_and_outside_of_a_string() {
        assert_eq!(read(r#"{"a":1}"#).unwrap(), r#"{"a":1}"#);
        assert_eq!(read(r#"" {\"a\":\"\\u017e\"} ""#).unwrap(), r#"{"a":"\u017e"}"#);
        assert_eq!(read("\"[1]\"").unwrap(), "[1]");
    }

    #[test]
    fn text_cut_short_or_nested_too_deep_holds_nothing() {
        for text in ["\"\"", "\"plain\"", r#""{\"a\":""#, r#""{\"a\":1} x""#] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("\"{}{}\"", "[".repeat(65), "]".repeat(65))), None);
    }
}
