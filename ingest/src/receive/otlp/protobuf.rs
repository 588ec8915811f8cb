//! OTLP's protobuf, on the level of the wire: fields and lengths, no message type.

use super::{Codec, LEVELS, Refusal, Signal, Take};

/// Field of the children of a request, a resource and a scope (opentelemetry-proto, trace and logs alike).
const CHILD_FIELDS: [u32; LEVELS] = [1, 2, 2];
/// Field numbers have 29 bits.
const FIELD_MAX: u64 = (1 << 29) - 1;

pub(super) struct Protobuf(pub(super) Signal);

impl Codec for Protobuf {
    fn open<'a>(&self, level: usize, bytes: &'a [u8], take: Take<'_, 'a>) -> Result<Vec<u8>, Refusal> {
        let child = CHILD_FIELDS.get(level).copied().unwrap_or_default();
        let mut rest = Vec::new();
        for field in Fields::of(bytes) {
            let field = field?;
            match field.content {
                Some(content) if field.number == child => take(content)?,
                None if field.number == child => return Err(broken("a message's length is missing")),
                _ => rest.extend_from_slice(field.whole),
            }
        }
        Ok(rest)
    }

    fn close(&self, level: usize, rest: &[u8], children: &[&[u8]]) -> Vec<u8> {
        let child = CHILD_FIELDS.get(level).copied().unwrap_or_default();
        let mut out = rest.to_vec();
        for content in children {
            write_field(&mut out, child, content);
        }
        out
    }

    fn trace(&self, item: &[u8]) -> Result<Option<String>, Refusal> {
        let mut trace = None;
        for field in Fields::of(item) {
            let field = field?;
            if field.number == self.0.trace_field {
                trace = field.content.filter(|id| !id.is_empty()).map(|id| hex(id.get(..16).unwrap_or(id)));
            }
        }
        Ok(trace)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn broken(reason: &str) -> Refusal {
    Refusal::NotOtlp { reason: format!("broken protobuf, {reason}") }
}

/// One field as it is on the wire.
#[derive(Debug, PartialEq, Eq)]
struct Field<'a> {
    number: u32,
    /// With its tag.
    whole: &'a [u8],
    /// What has a length: text, bytes, messages.
    content: Option<&'a [u8]>,
}

/// The fields of a message; ends with the first error.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Result<Field<'a>, Refusal> {
        let (tag, after_tag) = varint(self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|_| (1..=FIELD_MAX).contains(&(tag >> 3)));
        let number = number.ok_or_else(|| broken("a field has no valid number"))?;
        let (length, start) = match tag & 7 {
            0 => (after_tag.len() - varint(after_tag)?.1.len(), after_tag),
            1 => (8, after_tag),
            2 => {
                let (length, start) = varint(after_tag)?;
                (usize::try_from(length).unwrap_or(usize::MAX), start)
            }
            5 => (4, after_tag),
            _ => return Err(broken("a wire type is unknown")),
        };
        let (content, rest) = start.split_at_checked(length).ok_or_else(|| broken("it ends within a field"))?;
        let whole = self.rest.get(..self.rest.len() - rest.len()).unwrap_or_default();
        self.rest = rest;
        Ok(Field { number, whole, content: (tag & 7 == 2).then_some(content) })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A number in base 128, and what follows it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Refusal> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let shifted = u64::from(byte & 0x7f) << (7 * index);
        if index == 9 && *byte > 1 {
            return Err(broken("a number is too long"));
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            return Ok((number, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(broken(if bytes.len() < 10 { "it ends within a number" } else { "a number is too long" }))
}

/// Adds a field of bytes, text or a message.
pub(in crate::receive) fn write_field(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    // Two is the wire type of bytes with their length before them.
    write_varint(out, u64::from(number) << 3 | 2);
    write_varint(out, u64::try_from(content.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(content);
}

pub(in crate::receive) fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read_as_written() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, number);
            bytes.push(9);
            assert_eq!(varint(&bytes).unwrap(), (number, &[9_u8][..]));
        }
        assert!(varint(&[0xff; 9]).is_err() && varint(&[0xff; 11]).is_err());
        assert!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).is_err());
    }

    #[test]
    fn broken_fields_are_named_and_end_the_walk() {
        let error = |bytes: &[u8]| {
            let found: Vec<_> = Fields::of(bytes).collect();
            found.into_iter().find_map(Result::err).map(|refusal| refusal.to_string())
        };
        assert_eq!(error(&[0x08, 0x01, 0x15, 1, 2, 3, 4, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 0]), None);
        for (bytes, reason) in [
            (&[0x0a, 5, 1][..], "it ends within a field"),
            (&[0x0a][..], "it ends within a number"),
            (&[0x00, 1][..], "a field has no valid number"),
            (&[0x0b, 1][..], "a wire type is unknown"),
            (&[0x0f, 1][..], "a wire type is unknown"),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..], "it ends within a field"),
        ] {
            assert_eq!(error(bytes), Some(format!("not OTLP: broken protobuf, {reason}")), "{bytes:?}");
        }
    }
}
