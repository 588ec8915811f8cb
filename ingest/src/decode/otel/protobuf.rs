//! Protobuf messages field by field, borrowing from the event.

use quick_protobuf::BytesReader;

use crate::decode::DecodeError;
use crate::decode::error::Place;

/// A field's value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire<'a> {
    /// Integers, enums and booleans.
    Varint(u64),
    /// `fixed64` and `double`.
    Fixed64(u64),
    /// Text, bytes and messages.
    Bytes(&'a [u8]),
    /// `fixed32` and `float`.
    Fixed32,
}

/// The whole event. Every part that is read is a slice of it, so an error in a part has a place in the whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The fields of `part` in order, by number.
    pub(crate) fn fields(&self, part: &'a [u8]) -> Fields<'a> {
        Fields { message: *self, part, reader: BytesReader::from_bytes(part), failed: false }
    }

    /// The text `part`.
    pub(crate) fn text(&self, part: &'a [u8]) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(part)
            .map_err(|error| DecodeError::NotUtf8 { offset: self.offset_of(part) + error.valid_up_to() })
    }

    /// A value of attribute `key` that cannot be right.
    pub(crate) fn bad_value(&self, key: &str, part: &[u8], reason: String) -> DecodeError {
        let offset = self.offset_of(part);
        DecodeError::BadValue { place: Place { path: format!("$.{key}"), line: 1, column: offset + 1, offset }, reason }
    }

    /// Where `part` starts in the event; 0 if it is no slice of it.
    pub(crate) fn offset_of(&self, part: &[u8]) -> usize {
        let offset = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        if offset <= self.bytes.len() { offset } else { 0 }
    }
}

/// The fields of one message.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    message: Message<'a>,
    part: &'a [u8],
    reader: BytesReader,
    failed: bool,
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> quick_protobuf::Result<(u32, Wire<'a>)> {
        let tag = self.reader.next_tag(self.part)?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.reader.read_varint64(self.part)?),
            1 => Wire::Fixed64(self.reader.read_fixed64(self.part)?),
            2 => Wire::Bytes(self.reader.read_bytes(self.part)?),
            5 => self.reader.read_fixed32(self.part).map(|_| Wire::Fixed32)?,
            // Groups, which no message of ours has.
            other => return Err(quick_protobuf::Error::UnknownWireType(u8::try_from(other).unwrap_or(u8::MAX))),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.reader.is_eof() {
            return None;
        }
        let left = self.reader.len();
        Some(self.read().map_err(|error| {
            self.failed = true;
            let offset = self.message.offset_of(self.part) + self.part.len().saturating_sub(left);
            DecodeError::NotProtobuf { offset, reason: error.to_string() }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, DecodeError> {
        Message::new(bytes).fields(bytes).collect()
    }

    #[test]
    fn every_wire_type_is_read_and_told_apart() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 1, 2, 3, 4];
        let expected = [(1, Wire::Varint(150)), (2, Wire::Fixed64(1)), (3, Wire::Bytes(b"hi")), (4, Wire::Fixed32)];
        assert_eq!(fields(&bytes).unwrap(), expected);
        assert_eq!(fields(&[]).unwrap(), []);
    }

    #[test]
    fn what_is_cut_short_or_unknown_names_the_byte_its_field_starts_at() {
        let offset = |bytes: &[u8]| match fields(bytes).unwrap_err() {
            DecodeError::NotProtobuf { offset, .. } => offset,
            error => panic!("{error}"),
        };
        assert_eq!(offset(&[0x08, 0x01, 0x1a, 5, b'h']), 2);
        assert_eq!(offset(&[0x08]), 0);
        assert_eq!(offset(&[0x08, 0x01, 0x0b]), 2);
        assert_eq!(offset(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), 0);
        assert_eq!(offset(&[0x11, 1, 2, 3]), 0);
        assert_eq!(offset(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), 0);
    }
}
