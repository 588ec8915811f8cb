//! As much of Thrift's compact protocol as it takes to look at a structure before a reader takes it in.

use std::io::{ErrorKind, Read};

/// Structures in structures; Parquet's own go four deep.
const DEPTH_MAX: u32 = 16;
const STOP: u8 = 0;

/// The fields of one structure.
pub(super) struct Thrift<R> {
    reader: R,
    field: i64,
    bytes_read: u64,
}

impl<R: Read> Thrift<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, field: 0, bytes_read: 0 }
    }

    /// Bytes of the structure so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Number and type of the next field; none at the end of the structure.
    pub(super) fn next_field(&mut self) -> Result<Option<(i64, u8)>, String> {
        let head = self.byte()?;
        if head == STOP {
            return Ok(None);
        }
        self.field = match head >> 4 {
            0 => self.number()?,
            step => self.field.saturating_add(step.into()),
        };
        Ok(Some((self.field, head & 0x0f)))
    }

    /// A whole number of any width.
    pub(super) fn number(&mut self) -> Result<i64, String> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// The numbers in the fields `wanted` of the structure that comes next.
    pub(super) fn numbers_in<const N: usize>(&mut self, wanted: [i64; N]) -> Result<[Option<i64>; N], String> {
        let outer = std::mem::take(&mut self.field);
        let mut found = [None; N];
        while let Some((field, kind)) = self.next_field()? {
            match wanted.iter().zip(&mut found).find(|(wanted, _)| **wanted == field) {
                Some((_, number)) => *number = Some(self.number()?),
                None => self.skip(kind)?,
            }
        }
        self.field = outer;
        Ok(found)
    }

    /// How many elements the list has whose elements come next.
    pub(super) fn list_length(&mut self) -> Result<u64, String> {
        self.list_head().map(|(length, _)| length)
    }

    /// Passes over a value of type `kind`.
    pub(super) fn skip(&mut self, kind: u8) -> Result<(), String> {
        self.skip_within(kind, DEPTH_MAX)
    }

    fn skip_within(&mut self, kind: u8, depth: u32) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or("structures are nested too deep")?;
        match kind {
            1 | 2 => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let (length, kind) = self.list_head()?;
                // In a list a truth value takes a byte.
                let kind = if kind <= 2 { 3 } else { kind };
                (0..length).try_for_each(|_| self.skip_within(kind, depth))
            }
            12 => {
                while let Some(kind) = self.next_kind()? {
                    self.skip_within(kind, depth)?;
                }
                Ok(())
            }
            _ => Err(format!("there is no value of type {kind}")),
        }
    }

    /// As [`Self::next_field`], of a structure within this one, whose numbers are its own.
    fn next_kind(&mut self) -> Result<Option<u8>, String> {
        let field = self.field;
        let next = self.next_field();
        self.field = field;
        next.map(|next| next.map(|(_, kind)| kind))
    }

    fn list_head(&mut self) -> Result<(u64, u8), String> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.varint()?,
            length => length.into(),
        };
        Ok((length, head & 0x0f))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number has no end".into())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte).map_err(ended)?;
        self.bytes_read += 1;
        Ok(u8::from_le_bytes(byte))
    }

    fn skip_bytes(&mut self, length: u64) -> Result<(), String> {
        let passed = std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink()).map_err(ended)?;
        self.bytes_read += passed;
        if passed == length { Ok(()) } else { Err(ended(ErrorKind::UnexpectedEof.into())) }
    }
}

fn ended(error: std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "a structure of the file has no end".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_passed_over() {
        // 1: i32 -3, 2: text "ab", 4: {1: true, 2: [1, 2]}, 5: i64 300
        let bytes = [0x15, 0x05, 0x18, 2, b'a', b'b', 0x2c, 0x11, 0x19, 0x25, 2, 4, 0, 0x16, 0xd8, 0x04, 0];
        let mut found = Thrift::new(bytes.as_slice());
        assert_eq!(found.next_field(), Ok(Some((1, 5))));
        assert_eq!(found.number(), Ok(-3));
        for (field, kind) in [(2, 8), (4, 12)] {
            assert_eq!(found.next_field(), Ok(Some((field, kind))));
            found.skip(kind).unwrap();
        }
        assert_eq!(found.next_field(), Ok(Some((5, 6))));
        assert_eq!(found.number(), Ok(300));
        assert_eq!((found.next_field(), found.bytes_read()), (Ok(None), 17));
    }

    #[test]
    fn numbers_of_a_structure_within_are_found() {
        // 5: {1: i32 7, 4: {1: i32 9}}, 6: i32 1
        let bytes = [0x5c, 0x15, 14, 0x3c, 0x15, 18, 0, 0, 0x15, 2, 0];
        let mut found = Thrift::new(bytes.as_slice());
        assert_eq!(found.next_field(), Ok(Some((5, 12))));
        assert_eq!(found.numbers_in([1, 2]), Ok([Some(7), None]));
        assert_eq!(found.next_field(), Ok(Some((6, 5))));
        assert_eq!(found.number(), Ok(1));
    }

    #[test]
    fn what_has_no_end_is_said_to_have_none() {
        let skip = |kind: u8, bytes: &[u8]| Thrift::new(bytes).skip(kind).unwrap_err();
        assert_eq!(skip(8, &[0xff, 0xff, 0xff, 0x7f, 1]), "a structure of the file has no end");
        assert_eq!(skip(9, &[0xf5, 0xff, 0xff, 0xff, 0x7f]), "a structure of the file has no end");
        assert_eq!(skip(12, &[0x1c; 64]), "structures are nested too deep");
        assert_eq!(skip(5, &[0xff; 12]), "a number has no end");
    }
}
