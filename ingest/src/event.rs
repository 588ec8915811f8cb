//! One message as a source delivered it.

use daybook_ledger::Instant;

/// A message before it is understood: bytes, headers and the broker's time.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The message's value.
    pub value: &'a [u8],
    /// The message's headers in order, names as sent.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The broker's time of the message.
    pub timestamp: Option<Instant>,
}

impl<'a> Event<'a> {
    /// A message without headers or time: a line of a file.
    pub const fn of(value: &'a [u8]) -> Self {
        Self { value, headers: &[], timestamp: None }
    }

    /// The text of the first header called `name` in any letter case; `None` if there is none or it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_match_in_any_letter_case() {
        let headers: [(&str, &[u8]); 2] = [("Content-Type", b"application/json"), ("x", b"\xff")];
        let event = Event { value: b"", headers: &headers, timestamp: None };
        assert_eq!(event.header("content-type"), Some("application/json"));
        assert_eq!(event.header("x"), None);
        assert_eq!(event.header("y"), None);
    }
}
