//! OTLP's JSON, opened member by member; nothing inside an item is looked at but its trace id.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Codec, Refusal, Signal, Take};
use crate::receive::events::not_json;

pub(super) struct Json(pub(super) Signal);

impl Json {
    fn name(&self, level: usize) -> &'static str {
        self.0.names.get(level).copied().unwrap_or_default()
    }
}

impl Codec for Json {
    fn open<'a>(&self, level: usize, bytes: &'a [u8], take: Take<'_, 'a>) -> Result<Vec<u8>, Refusal> {
        let whole = match level {
            0 => {
                let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
                serde_json::from_slice::<&RawValue>(text).map_err(|error| not_json(&error))?.get()
            }
            // Checked with the whole; only the top level can be something else than JSON.
            _ => std::str::from_utf8(bytes).unwrap_or_default(),
        };
        if !whole.starts_with('{') {
            let reason =
                format!("`{}` holds objects only", if level == 0 { "the request" } else { self.name(level - 1) });
            return Err(Refusal::NotOtlp { reason });
        }
        let (mut rest, mut found) = (Vec::new(), false);
        members(whole, |key, value| {
            let is_child = key == self.name(level);
            found |= is_child;
            match value.get().as_bytes().first() {
                Some(b'[') if is_child => elements(value, take)?,
                Some(b'n') if is_child => {}
                _ if is_child && level == 0 => {
                    return Err(Refusal::NotOtlp { reason: format!("`{key}` is no array") });
                }
                _ => {
                    rest.extend(serde_json::to_vec(&key).unwrap_or_default());
                    rest.push(b':');
                    rest.extend(value.get().bytes());
                    rest.push(b',');
                }
            }
            Ok(())
        })?;
        if level == 0 && !found && !rest.is_empty() {
            return Err(Refusal::NotOtlp { reason: format!("there is no `{}`", self.name(0)) });
        }
        Ok(rest)
    }

    fn close(&self, level: usize, rest: &[u8], children: &[&[u8]]) -> Vec<u8> {
        let children = children.join(&b","[..]);
        [b"{", rest, b"\"", self.name(level).as_bytes(), b"\":[", &children, b"]}"].concat()
    }

    fn trace(&self, item: &[u8]) -> Result<Option<String>, Refusal> {
        // Checked with the whole.
        let item = std::str::from_utf8(item).unwrap_or_default();
        if !item.starts_with('{') {
            return Err(Refusal::NotOtlp { reason: format!("`{}` holds objects only", self.name(2)) });
        }
        let mut trace = None;
        members(item, |key, value| {
            if trace.is_none() && key == "traceId" {
                trace = Some(value);
            }
            Ok(())
        })?;
        let text = trace.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        Ok(text.filter(|text| !text.is_empty()).map(|text| text.to_ascii_lowercase()))
    }
}

/// Hands out the members of an object in order, unread.
fn members<'a>(
    object: &'a str,
    take: impl FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    serde_json::Deserializer::from_str(object).deserialize_map(Members(take)).map_err(|error| not_json(&error))?
}

/// Hands out the elements of an array in order, unread.
fn elements<'a>(array: &'a RawValue, take: Take<'_, 'a>) -> Result<(), Refusal> {
    serde_json::Deserializer::from_str(array.get()).deserialize_seq(Elements(take)).map_err(|error| not_json(&error))?
}

/// After a refusal the rest is passed over: a visitor has to read to the end.
struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue) -> Result<(), Refusal>> Visitor<'de> for Members<F> {
    type Value = Result<(), Refusal>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut taken = Ok(());
        while let Some((key, value)) = map.next_entry()? {
            if taken.is_ok() {
                taken = (self.0)(key, value);
            }
        }
        Ok(taken)
    }
}

struct Elements<'t, 'de>(Take<'t, 'de>);

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = Result<(), Refusal>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut taken = Ok(());
        while let Some(value) = array.next_element::<&'de RawValue>()? {
            if taken.is_ok() {
                taken = self.0(value.get().as_bytes());
            }
        }
        Ok(taken)
    }
}
