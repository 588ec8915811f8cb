//! What an event says that no column has.

use std::borrow::Cow;

use super::object::Unknown;
use super::writer::{Writer, push_string};

/// A longer value is left to the event's bytes: beside numbers there is no room for prompts.
const VALUE_BYTES_MAX: usize = 256;
/// More members than any version of any source adds; what is beyond is hostile or a mistake.
const MEMBERS_MAX: usize = 64;

/// Collects the members of `Entry::extra`: flat, each under its path in the event (`usage.new_tokens`).
#[derive(Clone, Debug, Default)]
pub(super) struct Extra<'a> {
    members: Vec<(String, Cow<'a, str>)>,
}

impl<'a> Extra<'a> {
    /// The members of the object at `path`; the empty path is the event itself.
    pub(super) fn add(&mut self, path: &str, unknown: &Unknown<'a>) {
        for (key, value) in unknown.iter() {
            let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            self.member(path, value.get());
        }
    }

    /// One member: its path and its value as JSON. A later value replaces an earlier one, as in a stream.
    pub(super) fn member(&mut self, path: String, json: &'a str) {
        self.put(path, Cow::Borrowed(json));
    }

    fn put(&mut self, path: String, json: Cow<'a, str>) {
        let value = match json.len() {
            0..=VALUE_BYTES_MAX => json,
            length => Cow::Owned(format!("{{\"omitted_bytes\":{length}}}")),
        };
        let is_full = self.members.len() >= MEMBERS_MAX;
        match self.members.iter_mut().find(|(known, _)| *known == path) {
            Some(member) => member.1 = value,
            None if is_full => {}
            None => self.members.push((path, value)),
        }
    }

    /// The same with a copy of the value, for JSON that stood inside of a string.
    pub(super) fn copy(&mut self, path: String, json: &str) {
        self.put(path, Cow::Owned(json.to_owned()));
    }

    /// Takes copies of what `other` collected.
    pub(super) fn absorb(&mut self, other: Extra<'_>) {
        for (path, value) in other.members {
            self.put(path, Cow::Owned(value.into_owned()));
        }
    }

    /// Leaves out `keys` of the object at `path`, which were read apart.
    pub(super) fn forget(&mut self, path: &str, keys: &[&str]) {
        let key_of = |member: &str| Some(member.strip_prefix(path)?.strip_prefix('.')?.to_owned());
        self.members.retain(|(member, _)| key_of(member).is_none_or(|key| !keys.contains(&key.as_str())));
    }

    /// Adds what `other` collected later.
    pub(super) fn merge(&mut self, other: Self) {
        other.members.into_iter().for_each(|(path, value)| self.put(path, value));
    }

    /// The JSON object; `None` if nothing was collected.
    pub(super) fn into_json(self) -> Option<Cow<'a, str>> {
        if self.members.is_empty() {
            return None;
        }
        let mut writer = Writer::new(true);
        writer.open('{');
        let mut quoted = String::new();
        for (path, json) in &self.members {
            quoted.clear();
            push_string(&mut quoted, path);
            writer.member(&quoted, json);
        }
        writer.close('}');
        Some(Cow::Owned(writer.into_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_flat_later_ones_win_and_long_ones_are_left_to_the_bytes() {
        let long = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX - 1));
        let mut extra = Extra::default();
        extra.member("usage.new".to_owned(), "1");
        extra.member("a\"b".to_owned(), "[2]");
        extra.member("usage.new".to_owned(), "3.0");
        extra.member("long".to_owned(), &long);
        let json = extra.into_json().unwrap();
        assert_eq!(json, "{\"usage.new\":3.0,\"a\\\"b\":[2],\"long\":{\"omitted_bytes\":257}}");
        assert_eq!(Extra::default().into_json(), None);
    }

    #[test]
    fn endless_members_are_not_kept() {
        let mut extra = Extra::default();
        (0..100_000).for_each(|at| extra.member(at.to_string(), "1"));
        assert_eq!(extra.members.len(), MEMBERS_MAX);
    }
}
