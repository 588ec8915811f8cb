//! Cuts JSON text into events: one object, an array of them, one per line, or one after the other.

use std::borrow::Cow;
use std::fmt;

use axum::body::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::message::Message;
use super::refusal::Refusal;

/// One event's bytes; if it cannot be one, why.
#[derive(Debug, PartialEq, Eq)]
struct Piece<'a> {
    text: &'a [u8],
    doubt: Option<Refusal>,
}

/// The events in `body`, each under `headers`.
///
/// Where a line of several is broken, it becomes a message too, and ends in quarantine with its bytes: refusing the
/// request would lose its neighbours with every sender that gives up on a 400. A body without any event is refused.
///
/// # Errors
/// [`Refusal::Empty`], [`Refusal::NotJson`], [`Refusal::NotAnObject`], [`Refusal::TooManyEvents`].
pub(super) fn cut(
    body: &Bytes,
    headers: &[(String, String)],
    key: Option<&str>,
    events_max: usize,
) -> Result<Vec<Message>, Refusal> {
    let pieces = pieces(body, events_max)?;
    let message = |piece: Piece<'_>| Message {
        key: key.map(str::to_owned).or_else(|| call_of(piece.text)),
        headers: headers.to_vec(),
        value: body.slice_ref(piece.text),
        doubt: piece.doubt,
        items: 1,
    };
    Ok(pieces.into_iter().map(message).collect())
}

fn pieces(body: &[u8], events_max: usize) -> Result<Vec<Piece<'_>>, Refusal> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if text.trim_ascii().is_empty() {
        return Err(Refusal::Empty);
    }
    let pieces = match whole(text, events_max) {
        Ok(pieces) => pieces,
        // Lines are independent of each other if the first one is an event by itself.
        Err(error) => match lines(text, events_max)? {
            Some(pieces) => pieces,
            None => return Err(error),
        },
    };
    match pieces.iter().all(|piece| piece.doubt.is_some()).then(|| pieces.first().and_then(|piece| piece.doubt.clone()))
    {
        Some(Some(doubt)) => Err(doubt),
        _ => Ok(pieces),
    }
}

/// The text as JSON values one after the other, arrays as their elements.
fn whole(text: &[u8], events_max: usize) -> Result<Vec<Piece<'_>>, Refusal> {
    let mut pieces = Vec::new();
    for value in serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>() {
        let value = value.map_err(|error| not_json(&error))?;
        match value.get().as_bytes().first() {
            Some(b'[') => elements(value, &mut pieces, events_max)?,
            _ => pieces.push(piece(value)),
        }
        if pieces.len() > events_max {
            return Err(Refusal::TooManyEvents { events_max });
        }
    }
    Ok(pieces)
}

/// Adds the elements of an array; stops at one too many.
fn elements<'a>(array: &'a RawValue, pieces: &mut Vec<Piece<'a>>, events_max: usize) -> Result<(), Refusal> {
    struct Elements<'p, 'a> {
        pieces: &'p mut Vec<Piece<'a>>,
        events_max: usize,
    }
    impl<'de> Visitor<'de> for Elements<'_, 'de> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
            while let Some(value) = array.next_element::<&'de RawValue>()? {
                if self.pieces.len() > self.events_max {
                    while array.next_element::<IgnoredAny>()?.is_some() {}
                    break;
                }
                self.pieces.push(piece(value));
            }
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(array.get());
    reader.deserialize_seq(Elements { pieces, events_max }).map_err(|error| not_json(&error))
}

/// The text line by line, if its first line is an event.
fn lines(text: &[u8], events_max: usize) -> Result<Option<Vec<Piece<'_>>>, Refusal> {
    let mut pieces = Vec::new();
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice::<&RawValue>(line) {
            Ok(value) => pieces.push(piece(value)),
            Err(_) if pieces.is_empty() => return Ok(None),
            Err(error) => pieces.push(Piece { text: line, doubt: Some(at_line(not_json(&error), index + 1)) }),
        }
        if pieces.len() > events_max {
            return Err(Refusal::TooManyEvents { events_max });
        }
    }
    Ok(Some(pieces).filter(|pieces| pieces.first().is_some_and(|first| first.doubt.is_none())))
}

fn piece(value: &RawValue) -> Piece<'_> {
    let found = match value.get().as_bytes().first() {
        Some(b'{') => return Piece { text: value.get().as_bytes(), doubt: None },
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Piece { text: value.get().as_bytes(), doubt: Some(Refusal::NotAnObject { found }) }
}

pub(super) fn not_json(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
    Refusal::NotJson { line: error.line(), column: error.column(), reason }
}

fn at_line(refusal: Refusal, line: usize) -> Refusal {
    match refusal {
        Refusal::NotJson { column, reason, .. } => Refusal::NotJson { line, column, reason },
        other => other,
    }
}

/// What the event says its call is, so that all events of it go to one partition: the first of these that is there.
fn call_of(event: &[u8]) -> Option<String> {
    let keys = serde_json::from_slice::<Keys<'_>>(event).ok()?;
    let found = keys.partition_key.or(keys.id).or(keys.litellm_call_id).or(keys.request_id).or(keys.captured);
    found.map(Cow::into_owned).filter(|key| !key.is_empty())
}

/// The members that name a call. Everything else, and a value that is no text, is passed over.
#[derive(Default)]
struct Keys<'a> {
    /// CloudEvents' partitioning extension.
    partition_key: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    litellm_call_id: Option<Cow<'a, str>>,
    request_id: Option<Cow<'a, str>>,
    /// `capture.request_id`.
    captured: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<'de>, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let slot = match key.as_ref() {
                "partitionkey" => &mut keys.partition_key,
                "id" => &mut keys.id,
                "litellm_call_id" => &mut keys.litellm_call_id,
                "request_id" | "requestId" => &mut keys.request_id,
                "capture" => {
                    let capture = map.next_value::<&'de RawValue>()?;
                    keys.captured =
                        serde_json::from_str::<Keys<'de>>(capture.get()).ok().and_then(|keys| keys.request_id);
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<&'de RawValue>()?;
            *slot = serde_json::from_str::<String>(value.get()).ok().map(Cow::Owned);
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_text(text: &str) -> Result<Vec<Message>, Refusal> {
        cut(&Bytes::copy_from_slice(text.as_bytes()), &[], None, 4)
    }

    fn values(text: &str) -> Vec<String> {
        let messages = cut_text(text).unwrap();
        messages.iter().map(|message| String::from_utf8(message.value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn one_object_an_array_lines_and_a_sequence_are_cut_alike() {
        assert_eq!(values("\u{feff} {\"a\": 1} "), ["{\"a\": 1}"]);
        let both = ["{\"a\":1}", "{\"b\":[2]}"];
        for text in [
            "[{\"a\":1},{\"b\":[2]}]",
            " [ {\"a\":1} ,\n{\"b\":[2]} ]\n",
            "{\"a\":1}\n{\"b\":[2]}",
            "{\"a\":1}\r\n\r\n{\"b\":[2]}\r\n",
            "{\"a\":1}{\"b\":[2]}",
            "[{\"a\":1}]\n[{\"b\":[2]}]",
        ] {
            assert_eq!(values(text), both, "{text}");
        }
        assert_eq!(values("[]"), [""; 0]);
    }

    #[test]
    fn a_broken_line_does_not_take_its_neighbours_with_it() {
        let messages = cut_text("{\"a\":1}\n{\"b\":\n{\"c\":3}\n").unwrap();
        let doubts: Vec<_> = messages.iter().map(|message| message.doubt.as_ref().map(Refusal::code)).collect();
        assert_eq!(doubts, [None, Some("RECEIVE-108"), None]);
        assert!(matches!(messages[1].doubt, Some(Refusal::NotJson { line: 2, .. })), "{messages:?}");
        assert_eq!(messages[1].value, "{\"b\":", "kept as it came");
        let messages = cut_text("[{\"a\":1}, 7]").unwrap();
        assert_eq!(messages[1].doubt, Some(Refusal::NotAnObject { found: "a number" }));
        let mut bytes = b"{\"a\":1}\n{\"b\":\"\xff\"}".to_vec();
        let messages = cut(&Bytes::copy_from_slice(&bytes), &[], None, 4).unwrap();
        assert!(messages[0].doubt.is_none() && messages[1].doubt.is_some());
        bytes.remove(0);
        assert!(cut(&Bytes::copy_from_slice(&bytes), &[], None, 4).is_err());
    }

    #[test]
    fn what_holds_no_event_is_refused_with_its_place() {
        let code = |text: &str| cut_text(text).unwrap_err().to_string();
        assert_eq!(code(" \n"), "the body is empty");
        assert_eq!(code("{\"a\":1"), "not JSON at line 1, column 6: EOF while parsing an object");
        assert_eq!(code("[{\"a\":1},\n{\"b\":2}"), "not JSON at line 2, column 7: EOF while parsing a list");
        assert_eq!(code("hello"), "not JSON at line 1, column 1: expected value");
        assert_eq!(code("\"hello\""), "an event is a JSON object, not a string");
        assert_eq!(code("[1, 2]"), "an event is a JSON object, not a number");
        assert_eq!(code("null"), "an event is a JSON object, not null");
    }

    #[test]
    fn one_event_too_many_is_refused() {
        let array = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
        let lines = |n: usize| format!("{}\n{{", vec!["{}"; n - 1].join("\n"));
        assert_eq!(cut_text(&array(4)).unwrap().len(), 4);
        assert_eq!(cut_text(&lines(4)).unwrap().len(), 4);
        for text in [array(5), array(50), "{}".repeat(5), lines(5)] {
            assert_eq!(cut_text(&text).unwrap_err(), Refusal::TooManyEvents { events_max: 4 }, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let message = cut_text(&deep).unwrap().remove(0);
        assert_eq!(message.value.len(), deep.len(), "ingest will put it into quarantine, with its bytes");
        assert!(cut_text(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn the_key_is_what_names_the_call() {
        let key = |text: &str| cut_text(text).unwrap().remove(0).key;
        assert_eq!(key(r#"{"litellm_call_id":"c","id":"i","id":"j"}"#).as_deref(), Some("j"));
        assert_eq!(key(r#"{"x":{"id":"no"},"litellm_call_id":"c","id":null}"#).as_deref(), Some("c"));
        assert_eq!(key(r#"{"id":"i","partitionkey":"p"}"#).as_deref(), Some("p"));
        assert_eq!(key(r#"{"requestId":"a\u0062"}"#).as_deref(), Some("ab"));
        assert_eq!(key(r#"{"capture":{"request_id":"r"},"response":{"id":"no"}}"#).as_deref(), Some("r"));
        assert_eq!(key(r#"{"id":7,"capture":[]}"#), None);
        let given = cut(&Bytes::from_static(b"[{\"id\":\"i\"},{}]"), &[], Some("given"), 4).unwrap();
        assert!(given.iter().all(|message| message.key.as_deref() == Some("given")));
    }
}
