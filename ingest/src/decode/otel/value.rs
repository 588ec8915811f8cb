//! What an attribute can be asked for, and OTLP's attribute values in JSON.

use std::borrow::Cow;
use std::fmt;

use daybook_ledger::Usd;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::DecodeError;
use crate::decode::scalar::{Count, Flag, Object, Text, count, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::writer::push_string;

/// One attribute; its value is read only if its key is of interest.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Attribute<'a> {
    #[serde(borrow)]
    pub key: Option<Text<'a>>,
    pub value: Option<Json<'a>>,
}

/// A list of attributes.
pub(crate) type Attributes<'a> = Vec<Object<Attribute<'a>>>;

/// A value by type. OTLP writes exactly one of the members.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<Json<'a>>,
    int_value: Option<Json<'a>>,
    double_value: Option<Json<'a>>,
    bool_value: Option<Json<'a>>,
    array_value: Option<Json<'a>>,
    kvlist_value: Option<Json<'a>>,
}

#[derive(serde::Deserialize)]
struct Array<'a> {
    #[serde(borrow)]
    values: Option<Vec<Json<'a>>>,
}

/// An attribute's value, read as what its name promises; a value of another type is an error at its place.
pub(crate) trait AttributeValue<'a>: Copy {
    /// Text; empty text says nothing.
    fn text(&self) -> Result<Option<Cow<'a, str>>, DecodeError>;

    /// A whole number.
    fn count(&self) -> Result<Option<i64>, DecodeError>;

    /// Yes or no.
    fn flag(&self) -> Result<Option<bool>, DecodeError>;

    /// An exact number.
    fn decimal(&self) -> Result<Option<Usd>, DecodeError>;

    /// The first text of a list of them; a single text is a list of one.
    fn first_text(&self) -> Result<Option<Cow<'a, str>>, DecodeError>;

    /// The value as plain JSON: a structured value loses OTLP's wrapping, a string is what it holds.
    fn plain(&self) -> Result<Plain<'a>, DecodeError>;
}

/// A value in OTLP's JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonValue<'s, 'a> {
    source: &'s Source<'a>,
    json: Json<'a>,
}

impl<'s, 'a> JsonValue<'s, 'a> {
    pub(crate) const fn new(source: &'s Source<'a>, json: Json<'a>) -> Self {
        Self { source, json }
    }

    fn read(&self) -> Result<AnyValue<'a>, DecodeError> {
        self.source.object(self.json)
    }

    /// The scalar inside, whichever type it was sent as; a list or an object is not what was meant.
    fn scalar(&self, expected: &str) -> Result<Option<Json<'a>>, DecodeError> {
        let value = self.read()?;
        if value.array_value.is_some() || value.kvlist_value.is_some() {
            return Err(self.source.bad_value(self.json, format!("expected {expected}")));
        }
        Ok(value.string_value.or(value.int_value).or(value.double_value).or(value.bool_value))
    }
}

impl<'a> AttributeValue<'a> for JsonValue<'_, 'a> {
    fn text(&self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let text = self.scalar("text")?.map(|json| self.source.string(json)).transpose()?;
        Ok(present(text.map(Text)))
    }

    fn count(&self) -> Result<Option<i64>, DecodeError> {
        let scalar = self.scalar("a whole number")?;
        Ok(count(scalar.map(|json| self.source.parse::<Count>(json.get())).transpose()?))
    }

    fn flag(&self) -> Result<Option<bool>, DecodeError> {
        let scalar = self.scalar("true or false")?;
        Ok(flag(scalar.map(|json| self.source.parse::<Flag>(json.get())).transpose()?))
    }

    fn decimal(&self) -> Result<Option<Usd>, DecodeError> {
        self.source.decimal(self.scalar("a number")?)
    }

    fn first_text(&self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(array) = self.read()?.array_value else { return self.text() };
        let array: Array<'a> = self.source.object(array)?;
        let first = array.values.into_iter().flatten().next();
        first.map_or(Ok(None), |first| Self::new(self.source, first).text())
    }

    fn plain(&self) -> Result<Plain<'a>, DecodeError> {
        match self.read()?.string_value {
            Some(text) => Ok(Plain::Text(self.source.string(text)?)),
            None => self.source.parse::<Unwrapped>(self.json.get()).map(|json| Plain::Json(json.0)),
        }
    }
}

/// An attribute's value without OTLP's wrapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plain<'a> {
    /// A string, which may itself hold JSON.
    Text(Cow<'a, str>),
    /// JSON of a structured value.
    Json(String),
}

/// Plain JSON of an `AnyValue`.
struct Unwrapped(String);

impl<'de> Deserialize<'de> for Unwrapped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UnwrappedVisitor)
    }
}

struct UnwrappedVisitor;

impl<'de> Visitor<'de> for UnwrappedVisitor {
    type Value = Unwrapped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an OTLP value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unwrapped, A::Error> {
        let mut json = "null".to_owned();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0.as_ref() {
                "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => {
                    json = map.next_value::<Json<'de>>()?.get().to_owned();
                }
                // 64-bit integers travel as text.
                "intValue" => json = map.next_value::<Json<'de>>()?.get().trim_matches('"').to_owned(),
                "arrayValue" => json = list(map.next_value::<Option<Object<Wrapped>>>()?),
                "kvlistValue" => json = object(map.next_value::<Option<Object<Members<'de>>>>()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Unwrapped(json))
    }
}

#[derive(serde::Deserialize)]
struct Wrapped {
    values: Option<List>,
}

/// The elements of an array, unwrapped and joined.
struct List(String);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of OTLP values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List, A::Error> {
        let mut json = String::new();
        while let Some(element) = list.next_element::<Unwrapped>()? {
            if !json.is_empty() {
                json.push(',');
            }
            json.push_str(&element.0);
        }
        Ok(List(json))
    }
}

#[derive(serde::Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    values: Option<Vec<Object<Member<'a>>>>,
}

#[derive(serde::Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    value: Option<Unwrapped>,
}

fn list(values: Option<Object<Wrapped>>) -> String {
    format!("[{}]", values.and_then(|values| values.0.values).map(|list| list.0).unwrap_or_default())
}

fn object(members: Option<Object<Members<'_>>>) -> String {
    let mut json = "{".to_owned();
    for Object(member) in members.and_then(|members| members.0.values).into_iter().flatten() {
        if json.len() > 1 {
            json.push(',');
        }
        push_string(&mut json, &member.key.map(|key| key.0).unwrap_or_default());
        json.push(':');
        json.push_str(member.value.as_ref().map_or("null", |value| &value.0));
    }
    json.push('}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(value: &str, read: impl for<'s, 'a> FnOnce(JsonValue<'s, 'a>) -> T) -> T {
        let event = format!("{{\"value\":{value}}}");
        let source = Source::new(event.as_bytes()).unwrap();
        let json = crate::decode::request::members(source.parse(source.text()).unwrap())[0].1;
        read(JsonValue::new(&source, json))
    }

    #[test]
    fn scalars_are_read_from_any_type_that_can_hold_them() {
        for value in
            [r#"{"intValue":"12"}"#, r#"{"intValue":12}"#, r#"{"doubleValue":12.0}"#, r#"{"stringValue":"12"}"#]
        {
            assert_eq!(with(value, |value| value.count().unwrap()), Some(12), "{value}");
        }
        assert_eq!(with(r#"{}"#, |value| value.count().unwrap()), None);
        assert_eq!(with(r#"{"stringValue":""}"#, |value| value.text().unwrap().map(Cow::into_owned)), None);
        assert_eq!(with(r#"{"boolValue":true}"#, |value| value.flag().unwrap()), Some(true));
        assert!(with(r#"{"intValue":"many"}"#, |value| value.count().is_err()));
        assert!(with(r#"{"arrayValue":{"values":[]}}"#, |value| value.count().is_err()));
        assert!(with(r#"{"kvlistValue":{"values":[]}}"#, |value| value.text().is_err()));
        assert!(with(r#"12"#, |value| value.count().is_err()));
    }

    #[test]
    fn the_first_of_a_list_or_a_single_text() {
        let first = |value: &str| with(value, |value| value.first_text().unwrap().map(Cow::into_owned));
        assert_eq!(
            first(r#"{"arrayValue":{"values":[{"stringValue":"stop"},{"stringValue":"length"}]}}"#).unwrap(),
            "stop"
        );
        assert_eq!(first(r#"{"stringValue":"stop"}"#).unwrap(), "stop");
        assert_eq!(first(r#"{"arrayValue":{}}"#), None);
    }

    #[test]
    fn structured_values_become_plain_json() {
        let value = r#"{"arrayValue":{"values":[{"kvlistValue":{"values":[
            {"key":"role","value":{"stringValue":"us\"er"}},{"key":"n","value":{"intValue":"7"}},
            {"key":"none","value":{}},{"key":"f","value":{"doubleValue":0.5}}]}},{"boolValue":false},{"arrayValue":{}}]}}"#;
        let plain = with(value, |value| match value.plain().unwrap() {
            Plain::Json(json) => json,
            Plain::Text(text) => panic!("{text}"),
        });
        assert_eq!(plain, r#"[{"role":"us\"er","n":7,"none":null,"f":0.5},false,[]]"#);
    }
}
