//! OTLP's JSON, opened member by member; nothing inside an item is looked at but its trace id.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Codec, Opened, Refusal, Signal};
use crate::receive::events::not_json;

pub(super) struct Json(pub(super) Signal);

impl Json {
    fn name(&self, level: usize) -> &'static str {
        self.0.names.get(level).copied().unwrap_or_default()
    }
}

impl Codec for Json {
    fn open<'a>(&self, level: usize, bytes: &'a [u8]) -> Result<Opened<'a>, Refusal> {
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
        let mut opened = Opened::default();
        let mut found = false;
        for (key, value) in serde_json::from_str::<Members<'a>>(whole).map_err(|error| not_json(&error))?.0 {
            let is_child = key == self.name(level);
            found |= is_child;
            match value.get().as_bytes().first() {
                Some(b'[') if is_child => opened.children.extend(elements(value)?),
                Some(b'n') if is_child => {}
                _ if is_child && level == 0 => {
                    return Err(Refusal::NotOtlp { reason: format!("`{key}` is no array") });
                }
                _ => {
                    opened.rest.extend(serde_json::to_vec(&key).unwrap_or_default());
                    opened.rest.push(b':');
                    opened.rest.extend(value.get().bytes());
                    opened.rest.push(b',');
                }
            }
        }
        if level == 0 && !found && !opened.rest.is_empty() {
            return Err(Refusal::NotOtlp { reason: format!("there is no `{}`", self.name(0)) });
        }
        Ok(opened)
    }

    fn close(&self, level: usize, rest: &[u8], children: &[&[u8]]) -> Vec<u8> {
        let children = children.join(&b","[..]);
        [b"{", rest, b"\"", self.name(level).as_bytes(), b"\":[", &children, b"]}"].concat()
    }

    fn trace(&self, item: &[u8]) -> Result<Option<String>, Refusal> {
        let Ok(Members(members)) = serde_json::from_slice::<Members<'_>>(item) else {
            return Err(Refusal::NotOtlp { reason: format!("`{}` holds objects only", self.name(2)) });
        };
        let value = members.iter().find(|(key, _)| key == "traceId").map(|(_, value)| value);
        let text = value.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        Ok(text.filter(|text| !text.is_empty()).map(|text| text.to_ascii_lowercase()))
    }
}

fn elements(array: &RawValue) -> Result<Vec<&[u8]>, Refusal> {
    let values: Vec<&RawValue> = serde_json::from_str(array.get()).map_err(|error| not_json(&error))?;
    Ok(values.into_iter().map(|value| value.get().as_bytes()).collect())
}

/// An object's members in order, unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
