//! The text of one event: parsing parts of it, and saying where a part is.

use std::borrow::Cow;

use daybook_ledger::{Instant, Usd};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{DecodeError, Place};
use super::request::members;
use super::scalar::Text;

/// A part of an event, unread.
pub(super) type Json<'a> = &'a RawValue;

/// Arrays and objects may nest this deep, as in `serde_json`.
const LEVELS_MAX: usize = 127;

/// One event's text. Every part that is parsed is a slice of it, so an error in a part has a place in the whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The whole message.
    whole: &'a str,
    /// The event in it: all of it, or one element of a list.
    text: &'a str,
}

impl<'a> Source<'a> {
    /// The text of an event: UTF-8, not blank, an object, not nested too deep.
    pub(super) fn new(value: &'a [u8]) -> Result<Self, DecodeError> {
        let source = Self::any(value)?;
        source.of(source.whole)
    }

    /// The events of a message: one object, or a list of them, which senders that batch write.
    pub(super) fn events(value: &'a [u8]) -> Result<Vec<Self>, DecodeError> {
        let source = Self::any(value)?;
        if !source.whole.trim_start().starts_with('[') {
            return Ok(vec![source.of(source.whole)?]);
        }
        let events: Vec<Json<'a>> = source.parse(source.whole)?;
        events.into_iter().map(|event| source.of(event.get())).collect()
    }

    /// The rows of a page, as an API answers a question for logs: `{"data": [...], ...}` or `{"result": [...], ...}`.
    pub(super) fn page(&self) -> Option<Vec<Self>> {
        let members = members(serde_json::from_str(self.text).ok()?);
        let (_, rows) = members.into_iter().find(|(key, _)| key == "data" || key == "result")?;
        let rows: Vec<Json<'a>> = serde_json::from_str(rows.get()).ok()?;
        rows.into_iter().map(|row| self.of(row.get()).ok()).collect()
    }

    /// The elements of an event that is a list, and the text they are slices of.
    pub(super) fn list(value: &'a [u8]) -> Result<(Vec<Json<'a>>, &'a str), DecodeError> {
        let source = Self::any(value)?;
        source.parse(source.whole).map(|list| (list, source.whole))
    }

    /// Text of any JSON value.
    fn any(value: &'a [u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(value).map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_start_matches([' ', '\t', '\r', '\n']).is_empty() {
            return Err(DecodeError::Empty);
        }
        match past_level(text.as_bytes(), LEVELS_MAX) {
            Some(offset) => Err(DecodeError::TooDeep { offset, levels_max: LEVELS_MAX }),
            None => Ok(Self { whole: text, text }),
        }
    }

    /// The event that `part` of the message is.
    fn of(&self, part: &'a str) -> Result<Self, DecodeError> {
        let source = Self { whole: self.whole, text: part };
        match part.trim_start_matches([' ', '\t', '\r', '\n']).as_bytes().first() {
            Some(b'{') => Ok(source),
            _ => source.parse::<Json<'_>>(part).and_then(|json| Err(DecodeError::NotAnObject { found: kind(json) })),
        }
    }

    /// The text of the event.
    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    /// Reads `part`, a slice of this text, as `T`.
    pub(super) fn parse<T: Deserialize<'a>>(&self, part: &'a str) -> Result<T, DecodeError> {
        serde_json::from_str(part).map_err(|error| self.explain(part, &error))
    }

    /// Reads the object `part`; an array does not pass for one.
    pub(super) fn object<T: Deserialize<'a>>(&self, part: Json<'a>) -> Result<T, DecodeError> {
        match part.get().as_bytes().first() {
            Some(b'{') => self.parse(part.get()),
            _ => Err(self.bad_value(part, format!("expected an object, found {}", kind(part)))),
        }
    }

    /// The elements of the array `part`.
    pub(super) fn elements(&self, part: Json<'a>) -> Result<Vec<Json<'a>>, DecodeError> {
        self.parse(part.get())
    }

    /// The string `part`.
    pub(super) fn string(&self, part: Json<'a>) -> Result<Cow<'a, str>, DecodeError> {
        self.parse::<Text<'a>>(part.get()).map(|text| text.0)
    }

    /// A number's text as written, digits and all; it may be quoted. Empty text says nothing.
    fn number(&self, part: Option<Json<'a>>) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(part) = part else { return Ok(None) };
        let text = match part.get().as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Cow::Borrowed(part.get()),
            _ => self.string(part)?,
        };
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    /// An exact decimal number.
    pub(super) fn decimal(&self, part: Option<Json<'a>>) -> Result<Option<Usd>, DecodeError> {
        match (part, self.number(part)?) {
            (Some(part), Some(text)) => {
                Usd::parse(&text).map(Some).map_err(|error| self.bad_value(part, error.to_string()))
            }
            _ => Ok(None),
        }
    }

    /// Whole milliseconds from a decimal number of them, rounded.
    pub(super) fn millis(&self, part: Option<Json<'a>>) -> Result<Option<i64>, DecodeError> {
        let Some(exact) = self.decimal(part)? else { return Ok(None) };
        Ok(i64::try_from((exact.pico() + HALF).div_euclid(2 * HALF)).ok())
    }

    /// An instant: seconds since 1970 as number or text, or RFC 3339. Zero says nothing.
    pub(super) fn instant(&self, part: Option<Json<'a>>) -> Result<Option<Instant>, DecodeError> {
        let (Some(part), Some(text)) = (part, self.number(part)?) else { return Ok(None) };
        let plain = micros(&text).map(Instant::from_micros).or_else(|| Instant::parse(text.trim()));
        match plain.or_else(|| Instant::from_seconds_text(&text)) {
            Some(instant) => Ok(Some(instant).filter(|instant| instant.micros() != 0)),
            None => {
                Err(self.bad_value(part, "expected seconds since 1970 or an RFC 3339 time with its zone".to_owned()))
            }
        }
    }

    /// The same where text without a zone, and with a space for the `T`, is UTC by the sender's convention.
    pub(super) fn utc_instant(&self, part: Option<Json<'a>>) -> Result<Option<Instant>, DecodeError> {
        let zoneless = part.filter(|part| part.get().starts_with('"')).map(|part| self.string(part)).transpose()?;
        let parsed = zoneless.and_then(|text| utc(text.trim()));
        parsed.map_or_else(|| self.instant(part), |instant| Ok(Some(instant)))
    }

    /// An instant as a number since 1970 of seconds, milliseconds or microseconds, told apart by size; or as text.
    pub(super) fn epoch(&self, part: Option<Json<'a>>) -> Result<Option<Instant>, DecodeError> {
        let plain = part.map(|part| part.get().trim_matches('"'));
        match plain.filter(|text| text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains([':', 'T']))
        {
            Some(_) => Ok(self.decimal(part)?.and_then(since_1970)),
            None => self.utc_instant(part),
        }
    }

    /// A count that may be written as a float; one with a fraction is no count and is left out.
    pub(super) fn units(&self, part: Option<Json<'a>>) -> Result<Option<i64>, DecodeError> {
        let exact = self.decimal(part)?.map(Usd::pico).filter(|pico| pico % (2 * HALF) == 0);
        Ok(exact.and_then(|pico| i64::try_from(pico / (2 * HALF)).ok()))
    }

    /// An amount of cents as dollars, every digit kept.
    pub(super) fn cents(&self, part: Option<Json<'a>>) -> Result<Option<Usd>, DecodeError> {
        let (Some(part), Some(text)) = (part, self.number(part)?) else { return Ok(None) };
        let text = text.trim();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent = exponent.parse::<i32>().map_err(|_| self.bad_value(part, "expected an amount".to_owned()))?;
        let dollars = format!("{mantissa}e{}", exponent.saturating_sub(2));
        Usd::parse(&dollars).map(Some).map_err(|error| self.bad_value(part, error.to_string()))
    }

    /// Whole milliseconds from a decimal number of seconds, rounded.
    pub(super) fn seconds_as_millis(&self, part: Option<Json<'a>>) -> Result<Option<i64>, DecodeError> {
        let pico = self.decimal(part)?.map(Usd::pico);
        Ok(pico.and_then(|pico| i64::try_from(pico.saturating_add(500_000_000).div_euclid(1_000_000_000)).ok()))
    }

    /// A value of the right JSON type that cannot be right.
    pub(super) fn bad_value(&self, part: Json<'_>, reason: String) -> DecodeError {
        DecodeError::BadValue { place: self.place(self.offset_of(part.get()) + part.get().len()), reason }
    }

    /// The same of the event's own member `name`, where the value itself is gone.
    pub(super) fn bad_member(&self, name: &str, reason: &str) -> DecodeError {
        let place = Place { path: format!("$.{name}"), line: 1, column: 1, offset: 0 };
        DecodeError::BadValue { place, reason: reason.to_owned() }
    }

    /// The error of `serde_json` while reading `part`, placed in the whole text.
    fn explain(&self, part: &str, error: &serde_json::Error) -> DecodeError {
        let lines = part.split_inclusive('\n').take(error.line().saturating_sub(1));
        let local = lines.map(str::len).sum::<usize>() + error.column();
        let place = self.place(self.offset_of(part) + local.min(part.len()));
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
        if !error.is_data() {
            DecodeError::NotJson { place, reason }
        } else if reason.starts_with("duplicate field") {
            DecodeError::DuplicateKey { place }
        } else {
            DecodeError::BadValue { place, reason }
        }
    }

    /// Where `part` starts in the text; 0 if it is no slice of it.
    fn offset_of(&self, part: &str) -> usize {
        let offset = part.as_ptr().addr().wrapping_sub(self.whole.as_ptr().addr());
        if offset <= self.whole.len() { offset } else { 0 }
    }

    /// The place of the value or key that ends just before byte `end`.
    fn place(&self, end: usize) -> Place {
        let offset = end.saturating_sub(1).min(self.whole.len());
        let before = self.whole.as_bytes().get(..offset).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Place {
            path: path_at(self.whole.as_bytes(), end),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + offset - line_start,
            offset,
        }
    }
}

/// A time written without a zone, as UTC; `None` for text with a zone or that is no time.
fn utc(text: &str) -> Option<Instant> {
    let (date, time) = text.split_once(['T', ' ']).filter(|(date, _)| date.len() == 10)?;
    let has_zone = time.contains(['Z', 'z', '+', '-', ' ']);
    (!has_zone).then(|| Instant::parse(&format!("{date}T{time}Z")))?
}

/// Seconds, milliseconds or microseconds since 1970, as the size tells: calls are of the years after 2015.
fn since_1970(number: Usd) -> Option<Instant> {
    const UNIT: i128 = 1_000_000_000_000;
    let micros = match number.pico() / UNIT {
        0 => return None,
        ..=99_999_999_999 => number.pico() / 1_000_000,
        100_000_000_000..=99_999_999_999_999 => number.pico() / 1_000_000_000,
        _ => number.pico() / UNIT,
    };
    i64::try_from(micros).ok().map(Instant::from_micros)
}

/// One half, as a raw decimal.
const HALF: i128 = 500_000_000_000;

/// Microseconds of plain seconds (`1795170000.25`); `None` where an exponent, a sign or more digits need the exact way.
fn micros(seconds: &str) -> Option<i64> {
    let (mut number, mut digits, mut places) = (0_i64, 0, None);
    for byte in seconds.bytes() {
        match byte {
            b'0'..=b'9' => {
                number = number * 10 + i64::from(byte - b'0');
                digits += 1;
                places = places.map(|places: u32| places + 1);
            }
            b'.' if places.is_none() && digits > 0 => places = Some(0),
            _ => return None,
        }
        if digits > 17 {
            return None;
        }
    }
    let missing = 6_u32.checked_sub(places.unwrap_or(0))?;
    number.checked_mul(10_i64.pow(missing)).filter(|_| digits > 0)
}

/// What kind of JSON value `json` is.
fn kind(json: &RawValue) -> &'static str {
    match json.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// JSON inside a string becomes a part of other JSON, so it may nest only half as deep.
const EMBEDDED_LEVELS_MAX: usize = 64;

/// Whether JSON that was inside a string nests too deep to be taken out of it.
pub(super) fn nests_too_deep(json: &str) -> bool {
    past_level(json.as_bytes(), EMBEDDED_LEVELS_MAX).is_some()
}

/// The first bracket past level `levels_max`.
fn past_level(text: &[u8], levels_max: usize) -> Option<usize> {
    // Counting is vectorised and almost always enough; only bracket-rich events are walked.
    let brackets: usize = text.chunks(128).map(|chunk| usize::from(count_brackets(chunk))).sum();
    if brackets <= levels_max {
        return None;
    }
    let (mut at, mut level) = (0, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => {
                level += 1;
                if level > levels_max {
                    return Some(at);
                }
            }
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// How many bytes of at most 255 are opening brackets; a byte-wide sum, which is what makes it vectorise.
fn count_brackets(chunk: &[u8]) -> u8 {
    chunk.iter().map(|byte| u8::from(*byte == b'{' || *byte == b'[')).fold(0, u8::wrapping_add)
}

/// The closing quote of the string that opens at `start`, or the end of the text.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// One array or object on the way to a place.
enum Level<'t> {
    Object { key: Option<&'t [u8]>, key_is_next: bool },
    Array { index: usize },
}

/// The JSON path of what ends just before byte `end`.
fn path_at(text: &[u8], end: usize) -> String {
    let text = text.get(..end).unwrap_or(text);
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let close = string_end(text, at);
                if let Some(Level::Object { key, key_is_next: next @ true }) = levels.last_mut() {
                    *key = text.get(at + 1..close);
                    *next = false;
                }
                at = close;
            }
            b'{' => levels.push(Level::Object { key: None, key_is_next: true }),
            b'[' => levels.push(Level::Array { index: 0 }),
            b'}' | b']' => drop(levels.pop()),
            b',' => match levels.last_mut() {
                Some(Level::Object { key_is_next, .. }) => *key_is_next = true,
                Some(Level::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    levels.iter().fold("$".to_owned(), |path, level| match level {
        Level::Object { key: Some(key), .. } => format!("{path}.{}", String::from_utf8_lossy(key)),
        Level::Object { key: None, .. } => path,
        Level::Array { index } => format!("{path}[{index}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::scalar::Count;
    use super::*;

    fn source(text: &str) -> Source<'_> {
        Source::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn blank_deep_and_other_values_are_refused() {
        let code = |text: &str| Source::new(text.as_bytes()).map_err(|error| error.code()).err();
        assert_eq!(code(""), Some("DECODE-001"));
        assert_eq!(code(" \r\n\t"), Some("DECODE-001"));
        assert_eq!(code("[1]"), Some("DECODE-005"));
        assert_eq!(code("nul"), Some("DECODE-003"));
        assert_eq!(code("\u{feff}{}"), None);
        assert_eq!(Source::new(b"{\"a\":\"\xff\"}").unwrap_err(), DecodeError::NotUtf8 { offset: 6 });
    }

    #[test]
    fn one_level_past_the_limit_is_too_deep_and_brackets_in_text_do_not_count() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(Source::new(nested(127).as_bytes()).is_ok());
        let error = Source::new(nested(128).as_bytes()).unwrap_err();
        assert_eq!(error, DecodeError::TooDeep { offset: 127 * 5, levels_max: 127 });
        let quoted = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(10_000));
        assert!(Source::new(quoted.as_bytes()).is_ok());
        assert_eq!(Source::new("[".repeat(10_000).as_bytes()).unwrap_err().code(), "DECODE-004");
    }

    #[test]
    fn an_error_names_the_path_of_the_value() {
        #[derive(Debug, Deserialize)]
        struct Outer {
            #[serde(rename = "list")]
            _list: Vec<Inner>,
        }
        #[derive(Debug, Deserialize)]
        struct Inner {
            #[serde(rename = "n")]
            _n: Option<Count>,
        }
        let error = |text: &str| source(text).parse::<Outer>(source(text).text()).unwrap_err();
        let place = |error: DecodeError| match error {
            DecodeError::BadValue { place, .. } | DecodeError::DuplicateKey { place } => place,
            error => panic!("{error}"),
        };
        let found = place(error("{\"list\":[{\"n\":1},\n {\"n\":\"many\"}]}"));
        assert_eq!((found.path.as_str(), found.line, found.column), ("$.list[1].n", 2, 12));
        assert_eq!(place(error("{\"list\":[{\"n\":1.5}]}")).path, "$.list[0].n");
        assert_eq!(place(error("{\"list\":[{\"n\":{}}]}")).path, "$.list[0].n");
        assert_eq!(place(error("{\"list\":[{\"n\":[2]}]}")).path, "$.list[0].n[0]");
        assert_eq!(place(error("{\"list\":[{\"n\":1,\"n\":2}]}")).path, "$.list[0].n");
        assert_eq!(error("{\"list\":[{\"n\":1}").code(), "DECODE-003");
        assert_eq!(error("{\"list\":[]} x").code(), "DECODE-003");
    }

    #[test]
    fn numbers_keep_their_digits_and_times_their_zone() {
        fn raw(text: &str) -> Option<Json<'_>> {
            Some(serde_json::from_str(text).unwrap())
        }
        let source = source("{}");
        assert_eq!(source.decimal(raw("0.000000000001")).unwrap(), Some(Usd::from_pico(1)));
        assert_eq!(source.decimal(raw("\"1e-12\"")).unwrap(), Some(Usd::from_pico(1)));
        assert_eq!(source.decimal(raw("\" \"")).unwrap(), None);
        assert!(source.decimal(raw("\"free\"")).is_err() && source.decimal(raw("true")).is_err());
        assert_eq!(source.millis(raw("0.5")).unwrap(), Some(1));
        assert_eq!(source.millis(raw("0.4")).unwrap(), Some(0));
        let instant = Some(Instant::from_micros(1_795_170_000_250_000));
        assert_eq!(source.instant(raw("1795170000.25")).unwrap(), instant);
        assert_eq!(source.instant(raw("\"1795170000.25\"")).unwrap(), instant);
        assert_eq!(source.instant(raw("\"2026-11-20T10:20:00.25Z\"")).unwrap(), instant);
        assert_eq!(source.instant(raw("0")).unwrap(), None);
        assert!(source.instant(raw("\"2026-11-20T10:20:00\"")).is_err());
    }
}
