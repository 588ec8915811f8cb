//! CloudEvents over HTTP, carried on as CloudEvents over Kafka: both in structured or binary mode.

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use super::message::Message;

/// Media type of one event in JSON.
const STRUCTURED: &str = "application/cloudevents+json";
/// Media type of an array of events in JSON.
const BATCH: &str = "application/cloudevents-batch+json";

/// How a request carries events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Attributes in headers, data in the body.
    Binary,
    /// Whole events in the body.
    Structured,
    /// No CloudEvents.
    Plain,
}

impl Mode {
    /// The mode that the headers show (HTTP protocol binding 1.0, section 3).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match media_type(headers).as_str() {
            STRUCTURED | BATCH => Self::Structured,
            _ if headers.contains_key("ce-specversion") || headers.contains_key("ce-id") => Self::Binary,
            _ => Self::Plain,
        }
    }
}

/// The media type of a request's body, in lower case, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The Kafka header that marks each event of a structured request or batch.
pub(super) fn structured_header() -> (String, String) {
    ("content-type".to_owned(), format!("{STRUCTURED}; charset=UTF-8"))
}

/// The message of an event in binary mode: `ce-` headers become `ce_` headers, the body is the value.
pub(super) fn binary(headers: &HeaderMap, body: Bytes, key: Option<&str>, stated: &[(String, String)]) -> Message {
    let mut carried: Vec<(String, String)> = stated.to_vec();
    if let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        carried.push(("content-type".to_owned(), content_type.to_owned()));
    }
    let mut named = [None, None];
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let value = attribute_value(value.as_bytes());
        match attribute {
            "partitionkey" => named[0] = Some(value.clone()),
            "id" => named[1] = Some(value.clone()),
            _ => {}
        }
        carried.push((format!("ce_{attribute}"), value));
    }
    let [partition_key, id] = named;
    let key = key.map(str::to_owned).or(partition_key).or(id);
    Message { key, headers: carried, value: body, doubt: None, items: 1 }
}

/// A header's value as the attribute's text: quotes undone, then percent-encoding (HTTP binding, section 3.1.3.2).
fn attribute_value(value: &[u8]) -> String {
    let unquoted = match value {
        [b'"', inner @ .., b'"'] => unescape(inner),
        plain => plain.to_vec(),
    };
    String::from_utf8_lossy(&percent_decode(&unquoted)).into_owned()
}

fn unescape(quoted: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        out.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    out
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, after)) = rest.split_first() {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_mode_is_in_the_headers() {
        let mode = |all: &[(&'static str, &'static str)]| Mode::of(&headers(all));
        assert_eq!(mode(&[("content-type", "Application/CloudEvents+JSON; charset=utf-8")]), Mode::Structured);
        assert_eq!(mode(&[("content-type", BATCH)]), Mode::Structured);
        assert_eq!(mode(&[("content-type", "application/json"), ("ce-specversion", "1.0")]), Mode::Binary);
        assert_eq!(mode(&[("content-type", "application/json")]), Mode::Plain);
        // Attributes may be repeated beside a structured event; the body counts.
        assert_eq!(mode(&[("content-type", STRUCTURED), ("ce-specversion", "1.0")]), Mode::Structured);
    }

    #[test]
    fn attributes_become_kafka_headers_in_utf8() {
        let sent = headers(&[
            ("ce-specversion", "1.0"),
            ("CE-ID", "a-1"),
            ("ce-source", "/gateway%20one"),
            ("ce-subject", "\"Euro \\\"%E2%82%AC%F0%9F%98%80\\\"\""),
            ("ce-odd", "100%zz%4"),
            ("content-type", "application/json"),
            ("authorization", "Bearer secret"),
        ]);
        let message = binary(&sent, Bytes::from_static(b"{}"), None, &[]);
        let header = |name: &str| message.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(header("ce_source"), Some("/gateway one"));
        assert_eq!(header("ce_subject"), Some("Euro \"\u{20ac}\u{1f600}\""));
        assert_eq!(header("ce_odd"), Some("100%zz%4"));
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header("authorization"), None);
        assert_eq!(message.key.as_deref(), Some("a-1"));
    }

    #[test]
    fn the_partition_key_beats_the_id() {
        let sent = headers(&[("ce-id", "a-1"), ("ce-partitionkey", "call-7")]);
        assert_eq!(binary(&sent, Bytes::new(), None, &[]).key.as_deref(), Some("call-7"));
        assert_eq!(binary(&sent, Bytes::new(), Some("given"), &[]).key.as_deref(), Some("given"));
    }
}
