//! The part of a file in memory: it grows to one record, never to the file.

use std::io::Read;

use memchr::{memchr, memchr_iter};

use super::fault::{Fault, Spot};

/// Bytes asked for at once.
const READ_BYTES: usize = 256 << 10;

/// Text on its way through: what was read and not consumed yet.
pub(crate) struct Window {
    source: Box<dyn Read + Send>,
    file: String,
    codec: Option<&'static str>,
    data: Vec<u8>,
    start: usize,
    line: u64,
    byte: u64,
    at_end: bool,
    /// What ended the last reading.
    error: Option<std::io::Error>,
    bytes_max: usize,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("file", &self.file).field("byte", &self.byte).finish_non_exhaustive()
    }
}

impl Window {
    /// Over `source`, decompressed from `codec` if there is one; a record may take `bytes_max`.
    pub(crate) fn new(source: Box<dyn Read + Send>, file: &str, codec: Option<&'static str>, bytes_max: usize) -> Self {
        let file = file.to_owned();
        Self {
            source,
            file,
            codec,
            data: Vec::new(),
            start: 0,
            line: 1,
            byte: 0,
            at_end: false,
            error: None,
            bytes_max,
        }
    }

    /// What was read and not consumed.
    pub(crate) fn text(&self) -> &[u8] {
        self.data.get(self.start..).unwrap_or_default()
    }

    /// Where [`Window::text`] starts.
    pub(crate) fn spot(&self) -> Spot {
        Spot { line: self.line, byte: Some(self.byte) }
    }

    /// The spot `skip` bytes into [`Window::text`].
    pub(crate) fn spot_at(&self, skip: usize) -> Spot {
        let passed = self.text().get(..skip).unwrap_or_default();
        Spot { line: self.line + newlines(passed), byte: Some(self.byte + skip as u64) }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Reads on; false at the end of the file.
    ///
    /// # Errors
    /// [`Fault::TooLong`] when a record fills the window, the source's errors.
    pub(crate) fn read_more(&mut self) -> Result<bool, Fault> {
        if self.at_end {
            return Ok(false);
        }
        if let Some(error) = self.error.take() {
            return Err(self.failed(error));
        }
        if self.text().len() >= self.bytes_max {
            return Err(Fault::TooLong { file: self.file.clone(), spot: self.spot(), bytes_max: self.bytes_max });
        }
        self.make_room();
        let held = self.data.len();
        let room = READ_BYTES.min(self.bytes_max - self.text().len());
        let read = self.source.by_ref().take(room as u64).read_to_end(&mut self.data);
        match read {
            Ok(_) => {
                self.at_end = self.data.len() == held;
                Ok(!self.at_end)
            }
            // What came before the error is read first.
            Err(error) if self.data.len() > held => {
                self.error = Some(error);
                Ok(true)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Where the first line of [`Window::text`] ends, reading on as far as it must; `None` if the file ends before it does.
    ///
    /// # Errors
    /// As [`Window::read_more`].
    pub(crate) fn find_newline(&mut self) -> Result<Option<usize>, Fault> {
        let mut searched = 0;
        loop {
            let text = self.text();
            if let Some(at) = memchr(b'\n', text.get(searched..).unwrap_or_default()) {
                return Ok(Some(searched + at));
            }
            searched = text.len();
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// Forgets the first `count` bytes of [`Window::text`].
    pub(crate) fn consume(&mut self, count: usize) {
        self.line += newlines(self.text().get(..count).unwrap_or_default());
        self.byte += count as u64;
        self.start += count;
    }

    /// Moves what is left to the front once that is little, and gives back what one long record needed.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.data.drain(..self.start);
            self.start = 0;
        }
        if self.data.capacity() > 16 * READ_BYTES && self.data.len() < READ_BYTES {
            self.data.shrink_to(2 * READ_BYTES);
        }
        self.data.reserve(READ_BYTES);
    }

    fn failed(&self, source: std::io::Error) -> Fault {
        let file = self.file.clone();
        match self.codec {
            Some(codec) if !super::input::is_of_the_store(&source) => {
                Fault::Damaged { file, codec, byte: self.byte + self.text().len() as u64, source }
            }
            _ => Fault::Unreadable { file, source },
        }
    }
}

fn newlines(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bytes_are_counted_as_text_is_consumed() {
        let mut window = Window::new(Box::new(&b"a\nbc\nd"[..]), "x", None, 100);
        assert!(window.read_more().unwrap());
        window.consume(2);
        assert_eq!(window.spot(), Spot { line: 2, byte: Some(2) });
        assert_eq!(window.spot_at(3), Spot { line: 3, byte: Some(5) });
        assert_eq!(window.text(), b"bc\nd");
        assert!(!window.read_more().unwrap());
    }

    #[test]
    fn an_error_in_the_midst_of_a_reading_is_told_after_what_came_before_it() {
        /// Some bytes, an error, and more: as from a place further on.
        struct Hole(u8);
        impl Read for Hole {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                self.0 += 1;
                match (self.0, out.first_mut()) {
                    (2, _) => Err(std::io::Error::other("lost")),
                    (at, Some(first)) => {
                        *first = b'0' + at;
                        Ok(1)
                    }
                    _ => Ok(0),
                }
            }
        }
        let mut window = Window::new(Box::new(Hole(0)), "x", None, 100);
        assert!(window.read_more().unwrap());
        assert_eq!(window.text(), b"1");
        assert!(window.read_more().is_err());
        assert_eq!(window.text(), b"1");
    }

    #[test]
    fn a_record_may_fill_the_limit_and_not_a_byte_more() {
        let mut window = Window::new(Box::new(std::io::repeat(b'x')), "x", None, 10);
        assert!(window.read_more().unwrap());
        assert_eq!(window.text().len(), 10);
        let fault = window.read_more().unwrap_err();
        assert_eq!(fault.to_string(), "x: the record at line 1, byte 0 is longer than 10 bytes");
    }
}
