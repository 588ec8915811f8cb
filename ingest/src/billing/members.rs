//! The members of a JSON object, taken out by name with their digits as written.

use std::borrow::Cow;
use std::fmt;

use daybook_ledger::{Instant, Usd};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::Problem;

/// What is left of an object; what nobody takes survives in `extra`.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    // Which of two amounts would be the bill's?
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom(format_args!("`{name}` is stated twice")));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key, borrowed where it holds no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'a> Members<'a> {
    /// The value of `name` as written, unless it is null.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.0.swap_remove(at);
        Some(value.get()).filter(|json| *json != "null")
    }

    /// Whether the object has `name`, null or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The names left.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.to_string()).collect()
    }

    /// Text; a number stands for its digits. Empty text says nothing.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(json) = self.take(name) else { return Ok(None) };
        let text = scalar(json).ok_or_else(|| Problem::new(name, Some(json), "text"))?;
        Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
    }

    /// An exact decimal, written as a number or as text.
    pub(super) fn decimal(&mut self, name: &str) -> Result<Option<Usd>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        decimal(name, &text).map(Some)
    }

    /// A whole number, not negative.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        count(name, &text).map(Some)
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(Problem::new(name, Some(&text), "true or false")),
        }
    }

    /// An object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Problem> {
        let Some(json) = self.take(name) else { return Ok(None) };
        serde_json::from_str(json).map(Some).map_err(|_| Problem::new(name, Some(json), "an object"))
    }

    /// The members of an array.
    pub(super) fn array(&mut self, name: &str) -> Result<Vec<&'a RawValue>, Problem> {
        let json = self.take(name).ok_or_else(|| Problem::new(name, None, "an array"))?;
        serde_json::from_str(json).map_err(|_| Problem::new(name, Some(json), "an array"))
    }

    /// Puts back what was taken out of an object in vain.
    pub(super) fn put_back(&mut self, name: &str, rest: Self) {
        let members = rest.0.into_iter().map(|(inner, value)| (Cow::Owned(format!("{name}.{inner}")), value));
        self.0.extend(members);
    }

    /// What is left and not null, as a JSON object in the order of names.
    pub(super) fn extra(mut self) -> Option<String> {
        self.0.retain(|(_, value)| value.get() != "null");
        self.0.sort_unstable_by(|(name, _), (other, _)| name.cmp(other));
        let member = |(name, value): &(Cow<'_, str>, &RawValue)| format!("{}:{}", json_text(name), value.get());
        let members: Vec<_> = self.0.iter().map(member).collect();
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }
}

/// `text` as a JSON string.
pub(super) fn json_text(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The text of a JSON string, the digits of a number, `true` or `false`.
fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Name<'_>>(json).ok().map(|name| name.0),
        b'{' | b'[' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// An exact decimal.
pub(super) fn decimal(field: &str, text: &str) -> Result<Usd, Problem> {
    Usd::parse(text).map_err(|_| Problem::new(field, Some(text), "a decimal number"))
}

/// A whole number, not negative, also written `12.0`.
pub(super) fn count(field: &str, text: &str) -> Result<i64, Problem> {
    let problem = || Problem::new(field, Some(text), "a whole number that is not negative");
    let exact = Usd::parse(text).map_err(|_| problem())?;
    whole(exact).filter(|count| *count >= 0).ok_or_else(problem)
}

/// `exact` if it is a whole number.
pub(super) fn whole(exact: Usd) -> Option<i64> {
    const ONE: i128 = 1_000_000_000_000;
    (exact.pico() % ONE == 0).then(|| i64::try_from(exact.pico() / ONE).ok()).flatten()
}

/// An instant: RFC 3339, or the same without a zone, which bills mean in UTC, or a day.
pub(super) fn instant(field: &str, text: &str) -> Result<Instant, Problem> {
    let with_t = text.trim().replacen(' ', "T", 1);
    let candidates = [with_t.clone(), format!("{with_t}Z"), format!("{with_t}:00Z"), format!("{with_t}T00:00:00Z")];
    let parsed = candidates.iter().find_map(|candidate| Instant::parse(candidate));
    // A zone name after a space, as in `2026-11-19 00:00:00 UTC`.
    let parsed = parsed.or_else(|| Instant::parse(&format!("{}Z", with_t.strip_suffix(" UTC")?)));
    let sane = parsed.filter(|instant| instant.is_sane());
    sane.ok_or_else(|| Problem::new(field, Some(text), "an instant like 2026-11-19T00:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Members<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn numbers_keep_their_digits() {
        let mut object =
            members(r#"{"a":1.2500000000001,"b":"143.2075","c":12.0,"d":"7","e":null,"f":9007199254740993}"#);
        assert_eq!(object.decimal("a").unwrap(), Usd::parse("1.2500000000001").ok());
        assert_eq!(object.decimal("b").unwrap(), Usd::parse("143.2075").ok());
        assert_eq!((object.count("c"), object.count("d"), object.count("e")), (Ok(Some(12)), Ok(Some(7)), Ok(None)));
        assert_eq!(object.count("f"), Ok(Some(9_007_199_254_740_993)), "a float would have lost the last digit");
    }

    #[test]
    fn what_cannot_be_a_value_is_named() {
        let mut object = members(r#"{"a":{},"b":"many","c":1.5,"d":-1,"e":[]}"#);
        assert_eq!(object.text("a").unwrap_err().to_string(), "`a` is `{}`, not text");
        assert_eq!(object.decimal("b").unwrap_err().to_string(), "`b` is `many`, not a decimal number");
        assert!(object.count("c").is_err() && object.count("d").is_err() && object.object("e").is_err());
        assert_eq!(object.array("f").unwrap_err().to_string(), "`f` is missing; it has to be an array");
        assert!(serde_json::from_str::<Members<'_>>(r#"{"amount":1,"amount":2}"#).is_err());
    }

    #[test]
    fn what_nobody_takes_survives() {
        let mut object = members(r#"{"z":"\u00e9","known":1,"a\"b":{"x":[1]},"n":null}"#);
        object.count("known").unwrap();
        assert_eq!(object.extra().unwrap(), r#"{"a\"b":{"x":[1]},"z":"\u00e9"}"#);
        assert_eq!(members("{}").extra(), None);
    }

    #[test]
    fn instants_without_a_zone_are_utc() {
        let midnight = Instant::parse("2026-11-19T00:00:00Z").unwrap();
        for text in [
            "2026-11-19T00:00:00Z",
            "2026-11-19T00:00:00.000Z",
            "2026-11-19 00:00:00.000",
            "2026-11-19T00:00",
            "2026-11-19",
            "2026-11-19 00:00:00 UTC",
            "2026-11-19T01:00:00+01:00",
        ] {
            assert_eq!(instant("x", text), Ok(midnight), "{text}");
        }
        assert!(instant("x", "11/19/2026").is_err() && instant("x", "1026-11-19").is_err());
    }
}
