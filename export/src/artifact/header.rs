//! A header read step by step: nothing is taken from beyond the file's end, and nothing is allocated that was only claimed.

use std::io::{BufRead, Read as _, Seek};

/// A file from its start.
pub(super) struct Header<R> {
    reader: R,
    at: u64,
    length: u64,
}

impl<R: BufRead + Seek> Header<R> {
    pub(super) fn new(reader: R, length: u64) -> Self {
        Self { reader, at: 0, length }
    }

    pub(super) fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next `count` bytes, of which there may be `most`.
    pub(super) fn take(&mut self, count: u64, most: u64) -> Result<Vec<u8>, String> {
        if count > most {
            return Err(format!("its header claims {count} bytes, at most {most} are read"));
        }
        self.claim(count)?;
        let mut bytes = Vec::new();
        (&mut self.reader).take(count).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 == count { Ok(bytes) } else { Err("it ends early".into()) }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Passes over `count` bytes without reading them.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), String> {
        self.claim(count)?;
        let by = i64::try_from(count).map_err(|_| "it claims more than a file can have")?;
        self.reader.seek_relative(by).map_err(|error| error.to_string())
    }

    fn claim(&mut self, count: u64) -> Result<(), String> {
        let (at, left) = (self.at, self.left());
        if count > left {
            return Err(format!("{count} bytes are said to follow byte {at}, and {left} do"));
        }
        self.at += count;
        Ok(())
    }
}
