//! Scalars as senders write them: text that may be a number, counts that may be text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Text, borrowed from the event where it holds no escape. A number stands for its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

/// The text, unless it is empty: senders write `""` for "none".
pub(super) fn present(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor(PhantomData))
    }
}

struct TextVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
    type Value = Text<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'a>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'a>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text<'a>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text<'a>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text<'a>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }
}

/// A count: a whole number, also written `12.0` or `"12"`. Null and empty text say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count(pub Option<i64>);

/// The count, if the field is there and says one.
pub(super) fn count(field: Option<Count>) -> Option<i64> {
    field.and_then(|count| count.0)
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
        Ok(Count(Some(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
        let fits = i64::try_from(number).map_err(|_| E::custom(format_args!("{number} is larger than any count")))?;
        Ok(Count(Some(fits)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Count, E> {
        // Every whole number below 2^53 is exact in a float; what is beyond may already have lost digits.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() < EXACT_MAX {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            return Ok(Count(Some(number as i64)));
        }
        Err(E::invalid_value(de::Unexpected::Float(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok(Count(None));
        }
        let whole = trimmed.split_once('.').filter(|(_, rest)| rest.bytes().all(|byte| byte == b'0'));
        let digits = whole.map_or(trimmed, |(whole, _)| whole);
        let number = digits.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(cut(text)), &self))?;
        Ok(Count(Some(number)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Count, E> {
        Ok(Count(None))
    }
}

/// At most 60 bytes of `text`, for a message.
fn cut(text: &str) -> &str {
    let end = (0..=60.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A yes or no: `true`, `"True"`, `1`. Null and empty text say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flag(pub Option<bool>);

/// The flag, if the field is there and says yes or no.
pub(super) fn flag(field: Option<Flag>) -> Option<bool> {
    field.and_then(|flag| flag.0)
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
        Ok(Flag(Some(value)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Flag, E> {
        match number {
            0 | 1 => Ok(Flag(Some(number == 1))),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Flag, E> {
        match text {
            "true" | "True" | "TRUE" | "1" => Ok(Flag(Some(true))),
            "false" | "False" | "FALSE" | "0" => Ok(Flag(Some(false))),
            "" | "None" => Ok(Flag(None)),
            _ => Err(E::invalid_value(de::Unexpected::Str(cut(text)), &self)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Flag, E> {
        Ok(Flag(None))
    }
}

/// An HTTP status. Zero, which senders write when no answer came, says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HttpStatus(pub Option<u16>);

impl HttpStatus {
    /// The status that text such as an error code spells, `"429"`.
    pub(super) fn spelt(text: &str) -> Option<u16> {
        text.parse().ok().filter(|status| (100..600).contains(status))
    }
}

impl<'de> Deserialize<'de> for HttpStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HttpStatusVisitor)
    }
}

struct HttpStatusVisitor;

impl Visitor<'_> for HttpStatusVisitor {
    type Value = HttpStatus;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an HTTP status from 100 to 599")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<HttpStatus, E> {
        match u16::try_from(number) {
            Ok(0) => Ok(HttpStatus(None)),
            Ok(status @ 100..600) => Ok(HttpStatus(Some(status))),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<HttpStatus, E> {
        let count = CountVisitor.visit_f64::<E>(number)?;
        let status = count.0.and_then(|count| u64::try_from(count).ok());
        self.visit_u64(status.ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &"an HTTP status"))?)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<HttpStatus, E> {
        match text.trim() {
            "" => Ok(HttpStatus(None)),
            number => {
                let status = number.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(cut(text)), &self))?;
                self.visit_u64(status)
            }
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<HttpStatus, E> {
        Ok(HttpStatus(None))
    }
}

/// A `T` that must be written as an object. What serde derives would also take an array, field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_however_it_is_written_but_never_guessed() {
        let read = |text: &str| serde_json::from_str::<Count>(text).ok().map(|count| count.0);
        for (text, count) in [
            ("12", Some(12)),
            ("\"12\"", Some(12)),
            ("12.0", Some(12)),
            ("\"12.00\"", Some(12)),
            ("-1", Some(-1)),
            ("null", None),
            ("\"\"", None),
        ] {
            assert_eq!(read(text), Some(count), "{text}");
        }
        for text in ["12.5", "\"many\"", "true", "[]", "{}", "9223372036854775808", "1e300", "\"1.5\""] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn text_is_borrowed_where_it_holds_no_escape() {
        let read = |text| serde_json::from_str::<Text<'_>>(text).map(|text| text.0);
        assert!(matches!(read("\"plain\""), Ok(Cow::Borrowed("plain"))));
        assert!(matches!(read("\"a\\nb\""), Ok(Cow::Owned(text)) if text == "a\nb"));
        assert_eq!(read("42").unwrap(), "42");
        assert!(read("true").is_err());
        assert!(read("\"\\ud800\"").is_err());
    }

    #[test]
    fn flags_and_statuses_accept_text_and_refuse_nonsense() {
        let flag = |text| serde_json::from_str::<Flag>(text).ok().map(|flag| flag.0);
        assert_eq!(flag("\"True\""), Some(Some(true)));
        assert_eq!(flag("0"), Some(Some(false)));
        assert_eq!(flag("null"), Some(None));
        assert_eq!(flag("\"maybe\""), None);
        let status = |text| serde_json::from_str::<HttpStatus>(text).ok().map(|status| status.0);
        assert_eq!(status("\"429\""), Some(Some(429)));
        assert_eq!(status("200.0"), Some(Some(200)));
        assert_eq!(status("0"), Some(None));
        assert_eq!(status("600"), None);
        assert_eq!(status("99"), None);
    }

    #[test]
    fn an_array_does_not_pass_for_an_object() {
        #[derive(Debug, serde::Deserialize)]
        struct One {
            #[serde(rename = "n")]
            _n: Option<Count>,
        }
        assert!(serde_json::from_str::<Object<One>>("{}").is_ok());
        assert!(serde_json::from_str::<Object<One>>("[1]").is_err());
    }
}
