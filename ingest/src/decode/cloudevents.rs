//! CloudEvents 1.0: an envelope around an event of any other format, in the message (structured mode) or in its headers
//! (binary mode).
//!
//! `source` and `id` of the envelope are the entry's identity: a sender that repeats an event repeats them. What is
//! inside is decoded as if it had come alone; attributes that no column holds go to `extra`.

use std::borrow::Cow;

use daybook_ledger::{Entry, Instant};
use serde::Deserialize;

use super::about::About;
use super::error::Place;
use super::messages::is_string;
use super::request::{members, tag};
use super::scalar::Text;
use super::source::{Json, Source};
use super::writer::Writer;
use super::{DecodeError, DecodeOptions, Format, base64, decode_value};
use crate::event::Event;

pub(super) const ABOUT: About = About {
    format: "cloudevents",
    title: "CloudEvents 1.0",
    what: "An envelope around an event of any other format, in the value (structured mode, also a batch) or in Kafka headers `ce_*` (binary mode). What is inside is read as if it had come alone.",
    recognised_by: "a content type `application/cloudevents*` or a header `ce_specversion`; without headers, `specversion`. The format inside is that of `datacontenttype` `application/vnd.daybook.<format>+json` or a word of `dataschema` or `type` that is a format's name, else what the data looks like.",
    identity: "`source` and `id` of the envelope; of several calls in one envelope, with their place in it.",
    stream: "",
    columns: &[
        ("source", "`source`"),
        ("started_at", "the call's own time, else `time`"),
        ("trace_id", "the call's own, else that of `traceparent`"),
        ("extra", "under `cloudevents`: `id`, `type`, `subject` and every other attribute"),
    ],
    cannot_say: &[
        "Anything without data: a message without value is a tombstone, an envelope without data is refused.",
    ],
};

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Where the envelope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The value is the envelope.
    Structured,
    /// The value is a list of envelopes.
    Batch,
    /// The headers are the envelope, the value is the data.
    Binary,
}

impl Mode {
    /// What the headers say; `None` if they do not speak of CloudEvents.
    pub(super) fn of<'h>(header: impl Fn(&str) -> Option<&'h str>) -> Option<Self> {
        let content_type = header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
        if content_type.starts_with("application/cloudevents-batch") {
            Some(Self::Batch)
        } else if content_type.starts_with("application/cloudevents") {
            Some(Self::Structured)
        } else {
            header("ce_specversion").or_else(|| header("ce-specversion")).map(|_| Self::Binary)
        }
    }
}

/// How to read what is inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside<'o> {
    /// The format that was stated for it.
    pub format: Option<Format>,
    /// It is inside of an envelope, where no other may be.
    pub enveloped: bool,
    pub options: &'o DecodeOptions,
}

/// Decodes a message whose headers speak of CloudEvents.
pub(super) fn decode_message<'a>(
    event: &Event<'a>,
    mode: Mode,
    inside: Inside<'_>,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    if mode != Mode::Binary {
        return decode_text(event.value, mode, inside);
    }
    let mut headers = Vec::with_capacity(event.headers.len());
    for (name, value) in event.headers {
        let Ok(value) = std::str::from_utf8(value) else { return Err(bad_attribute(name, "not UTF-8")) };
        headers.push((Cow::Borrowed(*name), Cow::Borrowed(value)));
    }
    decode_binary(headers, event.value, inside)
}

/// Decodes text that is an envelope, a list of them, or a whole Kafka record with its headers.
fn decode_text<'a>(value: &'a [u8], mode: Mode, inside: Inside<'_>) -> Result<Vec<Entry<'a>>, DecodeError> {
    match mode {
        Mode::Batch => {
            let (list, before) = Source::list(value)?;
            let mut entries = Vec::new();
            for event in list {
                let start = event.get().as_ptr().addr() - before.as_ptr().addr();
                let source = Source::new(event.get().as_bytes())?;
                let read = decode(&source, event.get().as_bytes(), inside);
                entries.extend(read.map_err(|error| error.within("", before.as_bytes().get(..start)))?);
            }
            Ok(entries)
        }
        Mode::Structured | Mode::Binary => decode(&Source::new(value)?, value, inside),
    }
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    kafka_record: Option<Json<'a>>,
}

/// Decodes `source`, whose bytes are `raw`: an envelope, or a whole Kafka record.
pub(super) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    inside: Inside<'_>,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    match source.parse::<Outer<'a>>(source.text())?.kafka_record {
        Some(record) => decode_record(source, record, inside),
        None => decode_structured(source, raw, inside),
    }
}

/// `{"headers": {...}, "value": ...}`: a message with what stood beside it, as tools print them.
fn decode_record<'a>(source: &Source<'a>, record: Json<'a>, inside: Inside<'_>) -> Result<Vec<Entry<'a>>, DecodeError> {
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        headers: Option<Json<'a>>,
        value: Option<Json<'a>>,
    }
    let read: Record<'a> = source.object(record)?;
    let headers = attributes(read.headers.map(members).unwrap_or_default());
    let Some(value) = read.value else {
        // A value of null is a tombstone.
        let there = members(record).iter().any(|(key, _)| key == "value");
        return if there { Ok(Vec::new()) } else { Err(missing(source, "`value`")) };
    };
    let mode = Mode::of(|name| find(&headers, name));
    let content_type = find(&headers, "content-type").unwrap_or_default().to_owned();
    let text = if is_string(value) { source.string(value)? } else { Cow::Borrowed(value.get()) };
    let decode = |bytes: Cow<'a, [u8]>| match (mode, bytes) {
        (Some(Mode::Binary), Cow::Borrowed(bytes)) => decode_binary(headers, bytes, inside),
        (Some(mode), Cow::Borrowed(bytes)) => decode_text(bytes, mode, inside),
        (None, Cow::Borrowed(bytes)) => decode_inside(Cow::Borrowed(bytes), bytes, &content_type, inside),
        (Some(Mode::Binary), Cow::Owned(bytes)) => {
            let entries = decode_binary(headers, &bytes, inside)?;
            Ok(entries.into_iter().map(|entry| entry.into_owned(value.get().as_bytes())).collect())
        }
        (Some(mode), Cow::Owned(bytes)) => {
            let entries = decode_text(&bytes, mode, inside)?;
            Ok(entries.into_iter().map(|entry| entry.into_owned(value.get().as_bytes())).collect())
        }
        (None, Cow::Owned(bytes)) => decode_inside(Cow::Owned(bytes), value.get().as_bytes(), &content_type, inside),
    };
    decode(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

fn decode_structured<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    inside: Inside<'_>,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        data: Option<Json<'a>>,
        data_base64: Option<Text<'a>>,
    }
    let data: Data<'a> = source.parse(source.text())?;
    let mut all = members(source.parse(source.text())?);
    all.retain(|(key, _)| key != "data" && key != "data_base64");
    let envelope = Envelope::new(attributes(all), |what| missing(source, what))?;
    let content_type = envelope.find("datacontenttype").unwrap_or_default();
    let entries = match (data.data, data.data_base64) {
        (Some(data), Some(_)) => {
            return Err(source.bad_value(data, "both `data` and `data_base64` are there: which one counts?".to_owned()));
        }
        (None, Some(text)) => {
            let bytes = base64::decode(&text.0).ok_or_else(|| bad_attribute("data_base64", "not base64"))?;
            envelope.decode(Cow::Owned(bytes), raw, content_type, inside)?
        }
        (Some(data), None) if is_string(data) => {
            let text = source.string(data)?.into_owned();
            envelope.decode(Cow::Owned(text.into_bytes()), raw, content_type, inside)?
        }
        (Some(data), None) => {
            let before = source.text().as_bytes().get(..data.get().as_ptr().addr() - source.text().as_ptr().addr());
            let read = envelope.decode(Cow::Borrowed(data.get().as_bytes()), raw, content_type, inside);
            read.map_err(|error| error.within(".data", before))?
        }
        (None, None) => return Err(missing(source, "`data`")),
    };
    envelope.stamp(entries)
}

fn decode_binary<'a>(
    headers: Vec<Pair<'a>>,
    value: &'a [u8],
    inside: Inside<'_>,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    let content_type = find(&headers, "content-type").unwrap_or_default().to_owned();
    let attributes = headers.into_iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("ce_").or_else(|| name.strip_prefix("ce-"))?;
        Some((Cow::Owned(name.to_owned()), value))
    });
    let envelope = Envelope::new(attributes.collect(), |what| DecodeError::WrongFormat {
        format: Format::CloudEvents,
        missing: what,
        looks_like: None,
    })?;
    let entries = envelope.decode(Cow::Borrowed(value), value, &content_type, inside)?;
    envelope.stamp(entries)
}

/// The attributes of one event.
struct Envelope<'a> {
    attributes: Vec<Pair<'a>>,
    source: Cow<'a, str>,
    id: Cow<'a, str>,
}

impl<'a> Envelope<'a> {
    /// Checks that what every event has is there.
    fn new(attributes: Vec<Pair<'a>>, missing: impl Fn(&'static str) -> DecodeError) -> Result<Self, DecodeError> {
        let own = |name: &str| attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match own("specversion") {
            Some(version) if version.starts_with("1.") || version == "1" => {}
            Some(version) => {
                let version = version.chars().take(20).collect::<String>();
                return Err(bad_attribute("specversion", &format!("expected version 1.0, found `{version}`")));
            }
            None => return Err(missing("`specversion`")),
        }
        let source = own("source").ok_or_else(|| missing("`source`"))?;
        let id = own("id").ok_or_else(|| missing("`id`"))?;
        own("type").ok_or_else(|| missing("`type`"))?;
        Ok(Self { attributes, source, id })
    }

    fn find(&self, name: &str) -> Option<&str> {
        find(&self.attributes, name)
    }

    /// Decodes the data. A word of `dataschema` or `type` that is a format's name is tried first; it is the sender's own,
    /// so what the data looks like has the last say.
    fn decode(
        &self,
        data: Cow<'a, [u8]>,
        raw: &'a [u8],
        content_type: &str,
        inside: Inside<'_>,
    ) -> Result<Vec<Entry<'a>>, DecodeError> {
        let words = ["dataschema", "type"].into_iter().filter_map(|name| self.find(name));
        let mut words = words.flat_map(|text| text.split(['.', '/', ':', '#', '?', '=']));
        let hint = words.find_map(Format::named).filter(|hint| *hint != Format::CloudEvents);
        let within = Inside { enveloped: true, ..inside };
        if let (None, Some(hint)) = (inside.format, hint) {
            let format = Some(hint);
            match decode_inside(data.clone(), raw, content_type, Inside { format, ..within }) {
                Err(DecodeError::WrongFormat { .. }) => {}
                read => return read,
            }
        }
        decode_inside(data, raw, content_type, within)
    }

    /// Writes the envelope's attributes into the entries. Several calls in one event are told apart by their order.
    fn stamp(&self, entries: Vec<Entry<'a>>) -> Result<Vec<Entry<'a>>, DecodeError> {
        let time = match self.find("time") {
            Some(time) => Some(Instant::parse(time.trim()).ok_or_else(|| bad_attribute("time", "expected RFC 3339"))?),
            None => None,
        };
        // `00-<trace id>-<span id>-<flags>`, of the distributed tracing extension.
        let trace_id = self.find("traceparent").and_then(|text| text.split('-').nth(1));
        let stamp = |(index, mut entry): (usize, Entry<'a>)| {
            entry.source = self.source.clone();
            entry.dedup_id =
                Some(if index == 0 { self.id.clone() } else { Cow::Owned(format!("{}#{index}", self.id)) });
            entry.started_at = entry.started_at.or(time);
            entry.trace_id = entry.trace_id.take().or_else(|| trace_id.map(|id| Cow::Owned(id.to_ascii_lowercase())));
            entry.extra = Some(Cow::Owned(self.extra(entry.extra.take())));
            entry
        };
        Ok(entries.into_iter().enumerate().map(stamp).collect())
    }

    /// `inner` with the attributes that no column holds.
    fn extra(&self, inner: Option<Cow<'_, str>>) -> String {
        const HELD: [&str; 5] = ["specversion", "source", "time", "datacontenttype", "traceparent"];
        let mut writer = Writer::new(true);
        writer.open('{');
        if let Some(inside) = inner.as_deref().and_then(|inner| inner.strip_prefix('{')?.strip_suffix('}')) {
            writer.json(inside);
        }
        writer.key("cloudevents");
        writer.open('{');
        for (name, value) in self.attributes.iter().filter(|(name, _)| !HELD.contains(&name.as_ref())) {
            let mut quoted = String::with_capacity(name.len() + 2);
            super::writer::push_string(&mut quoted, name);
            let mut text = String::with_capacity(value.len() + 2);
            super::writer::push_string(&mut text, value);
            writer.member(&quoted, &text);
        }
        writer.close('}');
        writer.close('}');
        writer.into_text()
    }
}

/// Decodes what is inside of an envelope, `raw` being the bytes as received. Bytes that had to be unpacked do not outlive
/// this, so the entries then own what they say.
fn decode_inside<'a>(
    data: Cow<'a, [u8]>,
    raw: &'a [u8],
    content_type: &str,
    inside: Inside<'_>,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    let mut entries = Vec::new();
    match data {
        Cow::Borrowed(data) => {
            decode_value(data, content_type, inside, &mut |entry| entries.push(entry))?;
        }
        Cow::Owned(data) => {
            let sink = &mut |entry: Entry<'_>| entries.push(entry.into_owned(raw));
            decode_value(&data, content_type, inside, sink)?;
        }
    }
    // One call is the whole message; of several each has its own part.
    if let [entry] = entries.as_mut_slice() {
        entry.raw = raw;
    }
    Ok(entries)
}

/// Attributes as text; null is one that is not set.
fn attributes<'a>(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Vec<Pair<'a>> {
    members.into_iter().filter_map(|(name, value)| Some((name, tag(value)?))).collect()
}

/// The first attribute called `name` in any letter case; an empty one says nothing.
fn find<'p>(pairs: &'p [Pair<'_>], name: &str) -> Option<&'p str> {
    let (_, value) = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.as_ref()).filter(|value| !value.is_empty())
}

fn missing(source: &Source<'_>, missing: &'static str) -> DecodeError {
    let looks_like = super::sniff(source.text()).filter(|format| *format != Format::CloudEvents);
    DecodeError::WrongFormat { format: Format::CloudEvents, missing, looks_like }
}

fn bad_attribute(name: &str, reason: &str) -> DecodeError {
    let place = Place { path: format!("$.{name}"), line: 1, column: 1, offset: 0 };
    DecodeError::BadValue { place, reason: reason.to_owned() }
}
