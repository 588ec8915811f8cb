//! JSON written piece by piece, copying what is already JSON.

use std::fmt::Write as _;

/// A growing JSON text, or nothing at all when `on` is false.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
    on: bool,
}

impl Writer {
    pub(super) const fn new(on: bool) -> Self {
        Self { text: String::new(), on }
    }

    /// Whether anything is written.
    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    /// Opens an array or object as the next value.
    pub(super) fn open(&mut self, bracket: char) {
        self.separate();
        self.push(bracket);
    }

    /// Closes it.
    pub(super) fn close(&mut self, bracket: char) {
        self.push(bracket);
    }

    /// The key of the next value; `key` needs no escape.
    pub(super) fn key(&mut self, key: &str) {
        self.separate();
        if self.on {
            self.text.push('"');
            self.text.push_str(key);
            self.text.push_str("\":");
        }
    }

    /// A member: its key as a JSON string, its value as JSON.
    pub(super) fn member(&mut self, quoted_key: &str, json: &str) {
        self.json(quoted_key);
        if self.on {
            self.text.push(':');
        }
        self.json(json);
    }

    /// A value that is JSON already.
    pub(super) fn json(&mut self, json: &str) {
        self.separate();
        if self.on {
            self.text.push_str(json);
        }
    }

    /// A string value.
    pub(super) fn string(&mut self, text: &str) {
        self.separate();
        if self.on {
            push_string(&mut self.text, text);
        }
    }

    /// Stops writing until [`Writer::resume`] is given what this returns.
    pub(super) const fn pause(&mut self) -> bool {
        std::mem::replace(&mut self.on, false)
    }

    /// Writes again, if it did before.
    pub(super) const fn resume(&mut self, was_on: bool) {
        self.on = was_on;
    }

    /// Where writing stands, to come back to.
    pub(super) fn mark(&self) -> usize {
        self.text.len()
    }

    /// Takes back what was written since `mark`.
    pub(super) fn back_to(&mut self, mark: usize) {
        self.text.truncate(mark);
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn push(&mut self, bracket: char) {
        if self.on {
            self.text.push(bracket);
        }
    }

    /// A comma, unless the next value is the first of its array or object, or follows its key.
    fn separate(&mut self) {
        if self.on && !self.text.is_empty() && !self.text.ends_with(['[', '{', ':']) {
            self.text.push(',');
        }
    }
}

/// Appends `text` as a JSON string.
pub(super) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            // Writing to a String cannot fail.
            '\0'..'\u{20}' => drop(write!(json, "\\u{:04x}", u32::from(character))),
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut writer = Writer::new(true);
        writer.open('[');
        writer.open('{');
        writer.key("a");
        writer.string("\u{1}\"\\\n\t\r [");
        writer.key("b");
        writer.open('[');
        writer.close(']');
        writer.key("c");
        writer.json("[1]");
        writer.close('}');
        writer.json("2");
        writer.close(']');
        let text = writer.into_text();
        assert_eq!(text, "[{\"a\":\"\\u0001\\\"\\\\\\n\\t\\r [\",\"b\":[],\"c\":[1]},2]");
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
    }

    #[test]
    fn a_writer_that_is_off_stays_empty() {
        let mut writer = Writer::new(false);
        writer.open('[');
        writer.string("x");
        writer.close(']');
        assert_eq!(writer.into_text(), "");
    }
}
