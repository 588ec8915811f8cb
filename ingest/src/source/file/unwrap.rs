//! Objects that hold many events: pages of admin APIs, CloudTrail's `Records`, CloudWatch's `logEvents`, a trace of Langfuse's.

use std::borrow::Cow;
use std::fmt;

use daybook_ledger::Instant;
use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::window::Window;
use super::{Record, Spot};
use crate::decode::{Format, sniff};

/// Keys under which wrappers keep their events.
const LISTS: &[&str] =
    &["Records", "records", "logEvents", "events", "data", "items", "results", "logs", "value", "observations"];
/// What a trace of Langfuse's says of its observations, which do not repeat it.
const OF_A_TRACE: &[&str] = &["userId", "sessionId", "tags"];
/// First keys of wrappers. Others are looked for in the first record of a file only: nearly every record is an event,
/// and reading its keys twice would be felt.
const FIRST_KEYS: &[&[u8]] = &[
    b"Records",
    b"records",
    b"logEvents",
    b"messageType",
    b"events",
    b"data",
    b"items",
    b"results",
    b"logs",
    b"value",
];

/// Takes wrappers apart; what is an event itself stays whole.
#[derive(Debug)]
pub(crate) struct Unwrap {
    look_closely: bool,
    is_first: bool,
}

impl Default for Unwrap {
    fn default() -> Self {
        Self { look_closely: true, is_first: true }
    }
}

/// A record within the text at the start of a window.
#[derive(Debug)]
pub(crate) struct Part {
    at: usize,
    value: Value,
    timestamp: Option<Instant>,
}

#[derive(Debug)]
enum Value {
    /// As it stands: so many bytes.
    Here(usize),
    /// Another text than stands there.
    Made(String),
}

impl Part {
    const fn here(at: usize, length: usize) -> Self {
        Self { at, value: Value::Here(length), timestamp: None }
    }

    /// The record it is, in `window`, whose text starts as it did when the part was found.
    pub(crate) fn record(self, window: &Window) -> Record<'_> {
        let spot: Spot = window.spot_at(self.at);
        let value = match self.value {
            Value::Here(length) => Cow::Borrowed(window.text().get(self.at..self.at + length).unwrap_or_default()),
            Value::Made(text) => Cow::Owned(text.into_bytes()),
        };
        Record { value, spot, timestamp: self.timestamp, refused: None }
    }
}

impl Unwrap {
    /// The records of `text`: itself, or what it wraps; none for a message that announces none.
    pub(crate) fn parts(&mut self, text: &[u8]) -> Vec<Part> {
        let whole = || vec![Part::here(0, text.len())];
        let is_first = std::mem::take(&mut self.is_first);
        if !(self.look_closely || first_key(text).is_some_and(|key| FIRST_KEYS.contains(&key))) {
            return whole();
        }
        let wrapped = std::str::from_utf8(text).ok().and_then(wrapped);
        if is_first {
            self.look_closely = wrapped.is_some();
        }
        wrapped.unwrap_or_else(whole)
    }
}

/// The first key of an object, unread.
fn first_key(text: &[u8]) -> Option<&[u8]> {
    let inner = text.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    inner.get(..memchr::memchr(b'"', inner)?)
}

/// What `text` wraps, if it is a wrapper.
fn wrapped(text: &str) -> Option<Vec<Part>> {
    if sniff(text).is_some() {
        return None;
    }
    let outer: Outer<'_> = serde_json::from_str(text).ok()?;
    if outer.is_event {
        return None;
    }
    if outer.is_control {
        return Some(Vec::new());
    }
    if let Some(part) = outer.message.and_then(|message| log_event(text, message, outer.timestamp)) {
        return Some(vec![part]);
    }
    let trace = outer.trace();
    let elements = outer.list?;
    let known = |element: &&RawValue| sniff(element.get()).is_some() || as_log_event(text, element).is_some();
    if !elements.iter().any(known) {
        return None;
    }
    let part = |element: &RawValue| {
        let (at, length) = (offset_in(text, element.get()), element.get().len());
        let made = || Some(Part { at, value: Value::Made(observation(element, &trace)?), timestamp: None });
        as_log_event(text, element).or_else(made).unwrap_or_else(|| Part::here(at, length))
    };
    Some(elements.into_iter().map(part).collect())
}

/// An observation with what its `trace` says of it, if it does not say so itself.
fn observation(element: &RawValue, trace: &[(&str, &RawValue)]) -> Option<String> {
    if trace.is_empty() || sniff(element.get()) != Some(Format::Langfuse) {
        return None;
    }
    let own: Outer<'_> = serde_json::from_str(element.get()).ok()?;
    let is_missing = |(key, _): &&(&str, &RawValue)| !own.of_a_trace.iter().any(|(own, _)| own == key);
    let missing = trace.iter().filter(is_missing).fold(String::new(), |members, (key, value)| {
        // The keys are words of ours.
        format!("{members},\"{key}\":{value}")
    });
    // At the end: a key that is there with null before is no second one.
    let open = element.get().strip_suffix('}')?;
    (!missing.is_empty()).then(|| format!("{open}{missing}}}"))
}

/// A log service's envelope around one line: `{"timestamp": 1795170000000, "message": "{...}"}`.
fn as_log_event(text: &str, element: &RawValue) -> Option<Part> {
    let outer: Outer<'_> = serde_json::from_str(element.get()).ok()?;
    log_event(text, outer.message?, outer.timestamp)
}

fn log_event(text: &str, message: &RawValue, timestamp: Option<i64>) -> Option<Part> {
    let inner: String = serde_json::from_str(message.get()).ok()?;
    if !inner.trim_start().starts_with('{') {
        return None;
    }
    let at = offset_in(text, message.get());
    let timestamp = timestamp.and_then(Instant::from_millis).filter(|at| at.is_sane());
    Some(Part { at, value: Value::Made(inner), timestamp })
}

/// Where `part`, a slice of `text`, starts in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The keys of an object that tell a wrapper.
#[derive(Debug, Default)]
struct Outer<'a> {
    list: Option<Vec<&'a RawValue>>,
    message: Option<&'a RawValue>,
    timestamp: Option<i64>,
    is_control: bool,
    is_event: bool,
    is_trace: bool,
    /// Where the trace stands beside its observations.
    beside: Option<&'a RawValue>,
    of_a_trace: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> Outer<'a> {
    /// What a trace says of its observations.
    fn trace(&self) -> Vec<(&'static str, &'a RawValue)> {
        // What is no object says nothing: exports have an id there, too.
        let beside = || serde_json::from_str::<Outer<'a>>(self.beside?.get()).ok();
        match (self.is_trace, self.of_a_trace.is_empty()) {
            (false, _) => Vec::new(),
            (true, false) => self.of_a_trace.clone(),
            (true, true) => beside().map(|trace| trace.of_a_trace).unwrap_or_default(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Outer<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Outer<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outer<'de>, A::Error> {
                let mut outer = Outer::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let value: &'de RawValue = map.next_value()?;
                    match key.as_ref() {
                        "message" if value.get().starts_with('"') => outer.message = Some(value),
                        "timestamp" => outer.timestamp = value.get().parse().ok(),
                        // A capture or a CloudEvent is one event, whatever its parts are called.
                        "capture" | "specversion" => outer.is_event = true,
                        "trace" => outer.beside = Some(value),
                        "messageType" => outer.is_control = value.get() == "\"CONTROL_MESSAGE\"",
                        key if outer.list.is_none() && LISTS.contains(&key) => {
                            outer.list = serde_json::from_str::<List<'de>>(value.get()).ok().map(|list| list.0);
                            outer.is_trace = outer.list.is_some() && key == "observations";
                        }
                        key if value.get() != "null" => {
                            let known = OF_A_TRACE.iter().find(|known| **known == key);
                            outer.of_a_trace.extend(known.map(|key| (*key, value)));
                        }
                        _ => {}
                    }
                }
                Ok(outer)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// An array of objects.
struct List<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element::<&'de RawValue>()? {
                    if !element.get().starts_with('{') {
                        return Err(serde::de::Error::custom("not an object"));
                    }
                    list.push(element);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, Records as _, lines::Lines};
    use super::*;

    fn split(text: &str) -> Result<Vec<String>, Fault> {
        let source = Box::new(std::io::Cursor::new(text.to_owned()));
        let mut lines = Lines::new(Window::new(source, "x", None, 1 << 20));
        let mut found = Vec::new();
        while let Some(record) = lines.next_record()? {
            found.push(String::from_utf8_lossy(&record.value).into_owned());
        }
        Ok(found)
    }

    const EVENT: &str = r#"{"object":"chat.completion","id":"a"}"#;

    #[test]
    fn wrappers_fall_apart_into_events() {
        for key in LISTS {
            let line = format!("{{\"{key}\":[{EVENT},{{\"bad\":1}},{EVENT}]}}");
            assert_eq!(split(&line).unwrap(), [EVENT, "{\"bad\":1}", EVENT], "{key}");
        }
    }

    #[test]
    fn log_events_give_the_text_of_their_message() {
        let message = serde_json::to_string(EVENT).unwrap();
        let envelope = format!("{{\"id\":\"1\",\"timestamp\":1795170000000,\"message\":{message}}}");
        let line = format!("{{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"1\",\"logEvents\":[{envelope}]}}");
        assert_eq!(split(&line).unwrap(), [EVENT]);
        assert_eq!(split(&envelope).unwrap(), [EVENT]);
        assert_eq!(split("{\"messageType\":\"CONTROL_MESSAGE\",\"logEvents\":[]}").unwrap(), [""; 0]);
    }

    #[test]
    fn a_log_event_dated_beyond_reason_has_no_date() {
        for (stamp, micros) in [(1_795_170_000_000_i64, Some(1_795_170_000_000_000)), (1_795_170_000_000_000, None)] {
            let line = format!("{{\"timestamp\":{stamp},\"message\":\"{{}}\"}}");
            let part = as_log_event(&line, serde_json::from_str(&line).unwrap()).unwrap();
            assert_eq!(part.timestamp.map(Instant::micros), micros);
        }
    }

    #[test]
    fn an_observation_has_what_its_trace_says_of_it() {
        let about = r#""userId":"ann","sessionId":"s1","tags":["a:b"],"name":"chat""#;
        let list = r#""observations":[{"id":"1","usageDetails":{}},{"id":"2","userId":null,"tags":[],"usageDetails":{}},{"id":"3"}]"#;
        let carried = [
            r#"{"id":"1","usageDetails":{},"userId":"ann","sessionId":"s1","tags":["a:b"]}"#,
            r#"{"id":"2","userId":null,"tags":[],"usageDetails":{},"userId":"ann","sessionId":"s1"}"#,
            r#"{"id":"3"}"#,
        ];
        for trace in [
            format!("{{\"id\":\"t\",{about},{list}}}"),
            format!("{{{list},{about}}}"),
            format!("{{\"trace\":{{{about}}},{list}}}"),
        ] {
            assert_eq!(split(&trace).unwrap(), carried, "{trace}");
        }
        let page = format!("{{\"userId\":\"ann\",\"data\":[{EVENT}]}}");
        assert_eq!(split(&page).unwrap(), [EVENT]);
    }

    #[test]
    fn an_event_that_has_a_list_stays_whole() {
        for whole in [
            r#"{"capture":{"api":"openai.embeddings"},"data":[{"object":"chat.completion"}]}"#,
            r#"{"object":"list","data":[{"object":"embedding","embedding":[0.1]}],"model":"m"}"#,
            r#"{"object":"page","data":[{"object":"bucket","results":[]}]}"#,
            r#"{"data":[1,2]}"#,
            r#"{"data":[]}"#,
            "{broken",
        ] {
            assert_eq!(split(&format!("{whole}\n")).unwrap(), [whole]);
        }
    }
}
