//! OTLP's attribute values in protobuf.

use std::borrow::Cow;

use daybook_ledger::Usd;
use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{Deserialize, IntoDeserializer};

use super::protobuf::{Message, Wire};
use super::value::{AttributeValue, Plain};
use crate::decode::DecodeError;
use crate::decode::scalar::{Count, Flag, Text, count, flag, present};
use crate::decode::writer::push_string;

/// Lists and objects of an attribute may nest this deep.
const LEVELS_MAX: usize = 64;

/// `AnyValue`: which of its fields is set.
#[derive(Clone, Copy, Debug)]
enum Any<'a> {
    Unset,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(&'a [u8]),
    Object(&'a [u8]),
    Bytes(&'a [u8]),
}

/// The value of attribute `key`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProtoValue<'a> {
    pub message: Message<'a>,
    pub key: &'a str,
    pub part: &'a [u8],
}

/// The key and the value of `part`, a `KeyValue`. A value that is not there is one that is not set.
pub(crate) fn attribute<'a>(message: Message<'a>, part: &'a [u8]) -> Result<ProtoValue<'a>, DecodeError> {
    let mut read = ProtoValue { message, key: "", part: &[] };
    for field in message.fields(part) {
        match field? {
            (1, Wire::Bytes(key)) => read.key = message.text(key)?,
            (2, Wire::Bytes(value)) => read.part = value,
            _ => {}
        }
    }
    Ok(read)
}

impl<'a> ProtoValue<'a> {
    /// The fields of the list of attributes inside; none if the value is no object.
    pub(crate) fn members(&self) -> Result<Vec<&'a [u8]>, DecodeError> {
        match self.read(self.part)? {
            Any::Object(list) => self.repeated(list),
            _ => Ok(Vec::new()),
        }
    }

    /// Reads `AnyValue`. Of several fields of a `oneof` the last counts.
    #[expect(clippy::cast_possible_wrap, reason = "how protobuf writes a negative int64")]
    fn read(&self, part: &'a [u8]) -> Result<Any<'a>, DecodeError> {
        let mut any = Any::Unset;
        for field in self.message.fields(part) {
            any = match field? {
                (1, Wire::Bytes(text)) => Any::Text(self.message.text(text)?),
                (2, Wire::Varint(yes)) => Any::Bool(yes != 0),
                (3, Wire::Varint(number)) => Any::Int(number as i64),
                (4, Wire::Fixed64(bits)) => Any::Double(f64::from_bits(bits)),
                (5, Wire::Bytes(list)) => Any::Array(list),
                (6, Wire::Bytes(list)) => Any::Object(list),
                (7, Wire::Bytes(bytes)) => Any::Bytes(bytes),
                (1..=7, _) => return Err(self.refuse("an OTLP value")),
                _ => any,
            };
        }
        Ok(any)
    }

    /// The elements of `ArrayValue` and of `KeyValueList`: their field 1.
    fn repeated(&self, list: &'a [u8]) -> Result<Vec<&'a [u8]>, DecodeError> {
        let fields = self.message.fields(list).filter_map(|field| match field {
            Ok((1, Wire::Bytes(element))) => Some(Ok(element)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        fields.collect()
    }

    fn refuse(&self, expected: &str) -> DecodeError {
        self.message.bad_value(self.key, self.part, format!("expected {expected}"))
    }

    /// The scalar inside as `T`, whichever type it was sent as; a list or an object is not what was meant.
    fn scalar<T: Deserialize<'a>>(&self, expected: &str) -> Result<Option<T>, DecodeError> {
        let read: Result<T, Error> = match self.read(self.part)? {
            Any::Unset | Any::Bytes(_) => return Ok(None),
            Any::Array(_) | Any::Object(_) => return Err(self.refuse(expected)),
            Any::Text(text) => T::deserialize(BorrowedStrDeserializer::new(text)),
            Any::Bool(yes) => T::deserialize(yes.into_deserializer()),
            Any::Double(number) => T::deserialize(number.into_deserializer()),
            Any::Int(number) => match u64::try_from(number) {
                Ok(number) => T::deserialize(number.into_deserializer()),
                Err(_) => T::deserialize(number.into_deserializer()),
            },
        };
        read.map(Some).map_err(|error| self.message.bad_value(self.key, self.part, error.to_string()))
    }

    /// `part` as plain JSON.
    fn write(&self, part: &'a [u8], level: usize, json: &mut String) -> Result<(), DecodeError> {
        if level > LEVELS_MAX {
            return Err(DecodeError::TooDeep { offset: self.message.offset_of(part), levels_max: LEVELS_MAX });
        }
        match self.read(part)? {
            Any::Unset => json.push_str("null"),
            Any::Text(text) => push_string(json, text),
            Any::Bool(yes) => json.push_str(if yes { "true" } else { "false" }),
            Any::Int(number) => json.push_str(&number.to_string()),
            Any::Double(number) if number.is_finite() => json.push_str(&number.to_string()),
            Any::Double(number) => push_string(json, &number.to_string()),
            Any::Bytes(bytes) => push_string(json, &crate::decode::base64::encode(bytes)),
            Any::Array(list) => {
                json.push('[');
                for element in self.repeated(list)? {
                    separate(json);
                    self.write(element, level + 1, json)?;
                }
                json.push(']');
            }
            Any::Object(list) => {
                json.push('{');
                for member in self.repeated(list)? {
                    let member = attribute(self.message, member)?;
                    separate(json);
                    push_string(json, member.key);
                    json.push(':');
                    self.write(member.part, level + 1, json)?;
                }
                json.push('}');
            }
        }
        Ok(())
    }
}

fn separate(json: &mut String) {
    if !json.ends_with(['[', '{']) {
        json.push(',');
    }
}

impl<'a> AttributeValue<'a> for ProtoValue<'a> {
    fn text(&self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(present(self.scalar::<Text<'a>>("text")?))
    }

    fn count(&self) -> Result<Option<i64>, DecodeError> {
        Ok(count(self.scalar::<Count>("a whole number")?))
    }

    fn flag(&self) -> Result<Option<bool>, DecodeError> {
        Ok(flag(self.scalar::<Flag>("true or false")?))
    }

    fn decimal(&self) -> Result<Option<Usd>, DecodeError> {
        let Some(text) = present(self.scalar::<Text<'a>>("a number")?) else { return Ok(None) };
        Usd::parse(&text).map(Some).map_err(|error| self.message.bad_value(self.key, self.part, error.to_string()))
    }

    fn first_text(&self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Any::Array(list) = self.read(self.part)? else { return self.text() };
        let first = self.repeated(list)?.into_iter().next();
        first.map_or(Ok(None), |part| Self { part, ..*self }.text())
    }

    fn plain(&self) -> Result<Plain<'a>, DecodeError> {
        match self.read(self.part)? {
            Any::Text(text) => Ok(Plain::Text(Cow::Borrowed(text))),
            _ => {
                let mut json = String::new();
                self.write(self.part, 0, &mut json)?;
                Ok(Plain::Json(json))
            }
        }
    }
}
