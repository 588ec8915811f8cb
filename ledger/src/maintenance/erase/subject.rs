//! Whether bytes of any format name a person.

use std::borrow::Cow;

use crate::file::unhex;

/// Levels of JSON in a JSON string that are unpacked: without an end, a message made for it would keep us busy for ever.
const NESTED_MAX: usize = 8;
/// Field 1, length-delimited: `string_value` of OpenTelemetry's `AnyValue`.
const STRING_VALUE: u8 = 0x0a;

/// A person's name, and how it looks as a whole string.
#[derive(Debug)]
pub(super) struct Subject {
    name: Vec<u8>,
    in_json: Vec<u8>,
    in_protobuf: Vec<u8>,
}

impl Subject {
    pub(super) fn new(name: &str) -> Self {
        let (mut in_protobuf, mut length) = (vec![STRING_VALUE], name.len());
        while length > 0 {
            let ([low, ..], rest) = (length.to_le_bytes(), length >> 7);
            in_protobuf.push(if rest > 0 { low | 0x80 } else { low });
            length = rest;
        }
        in_protobuf.extend_from_slice(name.as_bytes());
        Self { name: name.into(), in_json: format!("\"{name}\"").into(), in_protobuf }
    }

    /// Whether `bytes` are the name.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        self.name == bytes
    }

    /// Whether `bytes` hold the name as a whole string of JSON, whatever its escapes, or of OTLP in protobuf.
    ///
    /// What somebody quotes within a longer string counts too: rather a message too many than one that stays.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let mut text = Cow::Borrowed(bytes);
        for _ in 0..NESTED_MAX {
            if holds(&text, &self.in_json) {
                return true;
            }
            match unescaped(&text) {
                Some(plainer) => text = Cow::Owned(plainer),
                None => break,
            }
        }
        holds(bytes, &self.in_protobuf)
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// `text` with each escape of JSON as the character it stands for; `None` if it has none.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let (mut plain, mut rest) = (Vec::new(), text);
    let mut has_escapes = false;
    while let Some((before, escape)) = rest.iter().position(|byte| *byte == b'\\').map(|at| rest.split_at(at)) {
        plain.extend_from_slice(before);
        let length = match character(escape) {
            Some((character, length)) => {
                has_escapes = true;
                plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                length
            }
            None => {
                plain.push(b'\\');
                1
            }
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    has_escapes.then_some(plain)
}

/// The character that the escape at the start of `text` stands for, and the bytes it takes.
fn character(text: &[u8]) -> Option<(char, usize)> {
    let short = match text.get(1)? {
        b'u' => {
            let units = [unit(text), text.get(6..).and_then(unit)];
            let character = char::decode_utf16(units.into_iter().map_while(|unit| unit)).next()?.ok()?;
            return Some((character, 6 * character.len_utf16()));
        }
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'"' | b'\\' | b'/' => char::from(*text.get(1)?),
        _ => return None,
    };
    Some((short, 2))
}

/// The UTF-16 unit that `text` begins with as `\uXXXX`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    unhex(std::str::from_utf8(digits).ok()?).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_however_json_spells_it() {
        for (name, text) in [
            ("bob", r#"{"user":"bob""#),
            ("Jürgen", r#"{"user":"Jürgen"}"#),
            ("Jürgen", r#"{"user":"J\u00fcrgen"}"#),
            ("Jürgen", r#"{"user":"J\u00FCrgen"}"#),
            ("Jürgen", r#"{"user":"\u004aürge\u006E"}"#),
            ("a/b", r#"["a\/b"]"#),
            ("a/b", r#"["a/b"]"#),
            ("a\"\\\tb", r#"["a\"\\\u0009b"]"#),
            ("\u{1f600} x", r#"["\uD83D\ude00 x"]"#),
            ("Jürgen", r#"{"metadata":"{\"user\":\"J\\u00fcrgen\"}"}"#),
            ("bob", r#"{"metadata":"{\"of\":\"{\\\"user\\\":\\\"bob\\\"}\"}"#),
        ] {
            assert!(Subject::new(name).is_in(text.as_bytes()), "{name} in {text}");
        }
    }

    #[test]
    fn a_longer_name_or_a_broken_escape_is_another() {
        for (name, text) in [
            ("bob", r#"{"user":"bobby"}"#),
            ("bob", r#"{"user":"a bob"}"#),
            ("Jürgen", r#"{"user":"J\u00f"}"#),
            ("\u{1f600}", r#"{"user":"\ud83d"}"#),
            ("bob", ""),
        ] {
            assert!(!Subject::new(name).is_in(text.as_bytes()), "{name} in {text}");
        }
        assert!(Subject::new("bob").is(b"bob") && !Subject::new("bob").is(b"bobby"));
    }

    #[test]
    fn a_name_is_found_in_otlp_as_protobuf() {
        let name = "n".repeat(300);
        let spelt = [b"\x12\xaf\x02\x0a\xac\x02".as_slice(), name.as_bytes(), b"\x1a"].concat();
        assert!(Subject::new(&name).is_in(&spelt));
        assert!(Subject::new("bob").is_in(b"\x0a\x0benduser.id\x12\x05\x0a\x03bob"));
        assert!(!Subject::new("bob").is_in(b"\x0a\x0benduser.id\x12\x07\x0a\x05bobby"));
    }

    #[test]
    fn a_message_made_of_escapes_of_escapes_comes_to_an_end() {
        let text = format!("\\{}", "u005c".repeat(100_000));
        assert!(!Subject::new("bob").is_in(text.as_bytes()));
    }
}
