//! Objects of which some members are declared and the rest is kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::scalar::Text;
use super::source::Json;

/// Members that no declaration names, in the order they came. Null says nothing and is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Unknown<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Unknown<'a> {
    /// The members: key and value as written.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Json<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// The value of `key` as written.
    pub(super) fn get(&self, key: &str) -> Option<Json<'a>> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
    }

    /// Takes the value of `key` as unknown.
    pub(super) fn keep<'de: 'a, A: MapAccess<'de>>(&mut self, key: Text<'a>, map: &mut A) -> Result<(), A::Error> {
        if let Some(value) = map.next_value::<Option<Json<'a>>>()? {
            self.0.push((key.0, value));
        }
        Ok(())
    }
}

/// Reads the next value into `member`; a second value is an error, for which of the two counts?
pub(super) fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    member: &mut Option<T>,
    key: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    match member {
        None => *member = map.next_value()?,
        Some(_) => map.next_value_seed(NoSecond { key })?,
    }
    Ok(())
}

/// Takes null alone: anything else is a second value, refused before it is read, so that the error stands where it begins.
struct NoSecond<'k> {
    key: &'k str,
}

impl<'de> DeserializeSeed<'de> for NoSecond<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for NoSecond<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom(format_args!("duplicate field `{}`", self.key)))
    }
}

/// Declares an object by the members that are read, each an `Option`, and reads it without a copy.
///
/// ```text
/// object! {
///     /// What was counted.
///     pub(super) struct Usage<'a> {
///         pub prompt: Count = "promptTokenCount" | "prompt_token_count",
///     }
///     ignoring ["object"]
/// }
/// ```
///
/// Two keys of one member are two spellings of it, of which a sender gives one a value. Members of no declaration end in
/// `unknown`; those of `ignoring` are known and of no use here. An array does not pass for an object.
macro_rules! object {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident<$life:lifetime> {
            $($(#[$member_attribute:meta])* $member_visibility:vis $member:ident: $type:ty = $($key:literal)|+,)*
        }
        $(ignoring [$($ignored:literal),* $(,)?])?
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Default)]
        $visibility struct $name<$life> {
            $($(#[$member_attribute])* $member_visibility $member: Option<$type>,)*
            /// Members nobody declared.
            pub(in crate::decode) unknown: $crate::decode::object::Unknown<$life>,
        }

        impl<'de: $life, $life> serde::Deserialize<'de> for $name<$life> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members<$life>(std::marker::PhantomData<&$life ()>);

                impl<'de: $life, $life> serde::de::Visitor<'de> for Members<$life> {
                    type Value = $name<$life>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key::<$crate::decode::scalar::Text<$life>>()? {
                            match key.0.as_ref() {
                                $($($key)|+ => {
                                    $crate::decode::object::read(&mut object.$member, &key.0, &mut map)?;
                                })*
                                $($($ignored)|* => drop(map.next_value::<serde::de::IgnoredAny>()?),)?
                                _ => object.unknown.keep(key, &mut map)?,
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(Members(std::marker::PhantomData))
            }
        }
    };
}

pub(super) use object;

#[cfg(test)]
mod tests {
    use super::super::scalar::{Count, count};
    use super::*;

    object! {
        struct Usage<'a> {
            prompt: Count = "promptTokenCount" | "prompt_token_count",
            model: Text<'a> = "model",
        }
        ignoring ["object"]
    }

    #[test]
    fn what_is_not_declared_is_kept_as_written() {
        let json = r#"{"object":"x","prompt_token_count":"7","new":{"a":[1.50]},"nothing":null,"model":"m"}"#;
        let usage: Usage<'_> = serde_json::from_str(json).unwrap();
        assert_eq!((count(usage.prompt), usage.model.map(|model| model.0)), (Some(7), Some("m".into())));
        let unknown: Vec<_> = usage.unknown.iter().map(|(key, value)| (key, value.get())).collect();
        assert_eq!(unknown, [("new", r#"{"a":[1.50]}"#)]);
    }

    #[test]
    fn a_member_given_twice_is_refused_unless_one_is_null() {
        let read = |json| serde_json::from_str::<Usage<'_>>(json).map(|usage| count(usage.prompt));
        assert_eq!(read(r#"{"promptTokenCount":null,"promptTokenCount":1}"#).unwrap(), Some(1));
        assert_eq!(read(r#"{"promptTokenCount":1,"prompt_token_count":null}"#).unwrap(), Some(1));
        let error = read(r#"{"promptTokenCount":1,"promptTokenCount":1}"#).unwrap_err();
        assert!(error.to_string().starts_with("duplicate field `promptTokenCount`"), "{error}");
        assert!(read("[1]").is_err());
    }
}
