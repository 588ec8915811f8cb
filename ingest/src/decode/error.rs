//! Why an event cannot be read.

use std::fmt;

use super::Format;

/// Where in an event something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// JSON path from the root, `$.usage.prompt_tokens`.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// Byte offset from the start of the event, from 0.
    pub offset: usize,
}

impl Place {
    /// Moves the place from a part to the whole.
    fn shift(&mut self, path: &str, before: &[u8]) {
        if self.line == 1 {
            let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.column += before.len() - line_start;
        }
        self.line += before.iter().filter(|byte| **byte == b'\n').count();
        self.offset += before.len();
        self.path.insert_str(1, path);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (line {}, column {}, byte {})", self.path, self.line, self.column, self.offset)
    }
}

/// An event that cannot become entries. It goes to quarantine with its bytes; nothing of it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No byte, or white space alone.
    #[error("the event is empty")]
    Empty,
    /// Not text.
    #[error("not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The first byte that is not UTF-8.
        offset: usize,
    },
    /// Text that is not one JSON value.
    #[error("not JSON at {place}: {reason}")]
    NotJson {
        /// Where reading stopped.
        place: Place,
        /// What was wrong there.
        reason: String,
    },
    /// Arrays and objects nested past any event's need.
    #[error("nested deeper than {levels_max} levels at byte {offset}")]
    TooDeep {
        /// The bracket that goes too deep.
        offset: usize,
        /// The limit.
        levels_max: usize,
    },
    /// JSON, but not an object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// The kind of value found.
        found: &'static str,
    },
    /// An object of no format known here.
    #[error("no known format has the keys {keys}")]
    UnknownFormat {
        /// The first keys of the object.
        keys: String,
    },
    /// A format name that does not exist.
    #[error("unknown format `{given}`")]
    UnknownFormatName {
        /// What was given.
        given: String,
        /// The closest name.
        nearest: Option<Format>,
    },
    /// A capture of an API that has no decoder.
    #[error("no decoder for captures of `{api}`")]
    UnsupportedApi {
        /// The capture's `api`.
        api: String,
    },
    /// The event lacks what every event of the stated format has.
    #[error("not an event of format {format}: it has no {missing}")]
    WrongFormat {
        /// The stated format.
        format: Format,
        /// What is missing.
        missing: &'static str,
        /// The format it looks like.
        looks_like: Option<Format>,
    },
    /// A field whose value cannot be what it has to be.
    #[error("bad value at {place}: {reason}")]
    BadValue {
        /// The field.
        place: Place,
        /// What was found and what was expected.
        reason: String,
    },
    /// Bytes that were said to be protobuf and are not.
    #[error("not protobuf at byte {offset}: {reason}")]
    NotProtobuf {
        /// The first byte of the field that cannot be read.
        offset: usize,
        /// What was wrong there.
        reason: String,
    },
    /// The same key twice in one object: which one counts is unknown.
    #[error("key repeated at {place}")]
    DuplicateKey {
        /// The second key.
        place: Place,
    },
}

impl DecodeError {
    /// Every code, in order.
    pub const CODES: &'static [&'static str] = &[
        "DECODE-001",
        "DECODE-002",
        "DECODE-003",
        "DECODE-004",
        "DECODE-005",
        "DECODE-006",
        "DECODE-007",
        "DECODE-008",
        "DECODE-009",
        "DECODE-010",
        "DECODE-011",
        "DECODE-012",
    ];

    /// The same error in a part at `path` of a whole, in which `before` precedes the part.
    #[must_use]
    pub(super) fn within(mut self, path: &str, before: Option<&[u8]>) -> Self {
        let before = before.unwrap_or_default();
        match &mut self {
            Self::NotJson { place, .. } | Self::BadValue { place, .. } | Self::DuplicateKey { place } => {
                place.shift(path, before);
            }
            Self::NotUtf8 { offset } | Self::TooDeep { offset, .. } | Self::NotProtobuf { offset, .. } => {
                *offset += before.len();
            }
            _ => {}
        }
        self
    }

    /// The code, stable for ever.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "DECODE-001",
            Self::NotUtf8 { .. } => "DECODE-002",
            Self::NotJson { .. } => "DECODE-003",
            Self::TooDeep { .. } => "DECODE-004",
            Self::NotAnObject { .. } => "DECODE-005",
            Self::UnknownFormat { .. } => "DECODE-006",
            Self::UnknownFormatName { .. } => "DECODE-007",
            Self::UnsupportedApi { .. } => "DECODE-008",
            Self::WrongFormat { .. } => "DECODE-009",
            Self::BadValue { .. } => "DECODE-010",
            Self::DuplicateKey { .. } => "DECODE-011",
            Self::NotProtobuf { .. } => "DECODE-012",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "a message without value is a tombstone or a broken sender; nothing to record".to_owned(),
            Self::NotUtf8 { .. } => {
                "events are JSON text, or OTLP in protobuf; is the message compressed, or its topic's format another?"
                    .to_owned()
            }
            Self::NotJson { .. } => {
                "one message holds one JSON value; was it cut short or followed by more?".to_owned()
            }
            Self::TooDeep { .. } => "no event of a known format nests like this; look at the sender".to_owned(),
            Self::NotAnObject { .. } => "one message holds one event, or a list of them".to_owned(),
            Self::UnknownFormat { .. } | Self::UnsupportedApi { .. } => {
                format!("known formats are {}; set the topic's format if the event is one of them", Format::names())
            }
            Self::UnknownFormatName { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`? known formats are {}", Format::names())
            }
            Self::UnknownFormatName { nearest: None, .. } => format!("known formats are {}", Format::names()),
            Self::WrongFormat { looks_like: Some(format), .. } => {
                format!("it looks like {format}; correct the topic's format or the message's `daybook-format` header")
            }
            Self::WrongFormat { looks_like: None, .. } => {
                "correct the topic's format or the message's `daybook-format` header".to_owned()
            }
            Self::BadValue { .. } => {
                "correct the sender; the message is kept and can be replayed from quarantine".to_owned()
            }
            Self::NotProtobuf { .. } => {
                "was the batch cut short? for OTLP in JSON the content type is `application/json`".to_owned()
            }
            Self::DuplicateKey { .. } => "which value counts is unknown; correct the sender".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<DecodeError> {
        let place = Place { path: "$.usage.prompt_tokens".to_owned(), line: 1, column: 9, offset: 8 };
        vec![
            DecodeError::Empty,
            DecodeError::NotUtf8 { offset: 3 },
            DecodeError::NotJson { place: place.clone(), reason: "EOF while parsing an object".to_owned() },
            DecodeError::TooDeep { offset: 128, levels_max: 127 },
            DecodeError::NotAnObject { found: "an array" },
            DecodeError::UnknownFormat { keys: "`a`, `b`".to_owned() },
            DecodeError::UnknownFormatName { given: "openai".to_owned(), nearest: Some(Format::OpenAiChat) },
            DecodeError::UnsupportedApi { api: "ollama".to_owned() },
            DecodeError::WrongFormat { format: Format::LiteLlm, missing: "`call_type`", looks_like: None },
            DecodeError::BadValue { place: place.clone(), reason: "invalid type: map, expected a count".to_owned() },
            DecodeError::DuplicateKey { place },
            DecodeError::NotProtobuf { offset: 4, reason: "unexpected end of buffer".to_owned() },
        ]
    }

    #[test]
    fn every_error_has_its_own_code() {
        let codes = one_of_each().iter().map(DecodeError::code).collect::<Vec<_>>();
        assert_eq!(codes, DecodeError::CODES);
    }

    #[test]
    fn messages_are_lower_case_say_where_and_have_no_stop() {
        for error in one_of_each() {
            let text = error.to_string();
            assert!(!text.starts_with(char::is_uppercase) && !text.ends_with('.'), "{text}");
            assert!(!error.hint().is_empty() && !error.hint().ends_with('.'), "{text}");
        }
        let repeated = one_of_each().into_iter().find(|error| error.code() == "DECODE-011");
        assert_eq!(repeated.unwrap().to_string(), "key repeated at $.usage.prompt_tokens (line 1, column 9, byte 8)");
    }
}
