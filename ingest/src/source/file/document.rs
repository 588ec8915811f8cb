//! JSON that is not one value a line: a document, documents one after another, or an array of events of any length.

use super::fault::Fault;
use super::unwrap::{Part, Unwrap};
use super::window::Window;
use super::{Record, Records};

/// Values at the top level, and the elements of arrays there, one at a time.
#[derive(Debug)]
pub(crate) struct Documents {
    window: Window,
    unwrap: Unwrap,
    parts: std::vec::IntoIter<Part>,
    given: usize,
    /// Between the brackets of a top-level array.
    in_array: bool,
    /// In an array, whether an element came, so that a comma is due.
    after_element: bool,
}

/// Finds the end of one value. Fed piece by piece; knows strings and brackets, and leaves every other rule of JSON to
/// the decoder.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
    searched: usize,
}

impl Scan {
    /// The length of the value at the start of `text`, if its end is there.
    fn end(&mut self, text: &[u8]) -> Option<usize> {
        for (at, byte) in text.iter().enumerate().skip(self.searched) {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => continue,
                }
                if !self.in_text && self.depth == 0 {
                    return Some(at + 1);
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Some(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => return Some(at),
                _ => {}
            }
        }
        self.searched = text.len();
        None
    }
}

impl Documents {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            unwrap: Unwrap::default(),
            parts: Vec::new().into_iter(),
            given: 0,
            in_array: false,
            after_element: false,
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            let text = self.window.text();
            let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let next = text.get(blank).copied();
            self.window.consume(blank);
            if next.is_some() || !self.window.read_more()? {
                return Ok(next);
            }
        }
    }

    /// Steps to the start of the next value; false at the end of the file.
    fn step(&mut self) -> Result<bool, Fault> {
        loop {
            match self.peek()? {
                None if self.in_array => return Err(self.cut_off()),
                None => return Ok(false),
                Some(b']') if self.in_array => {
                    self.window.consume(1);
                    self.in_array = false;
                }
                Some(b',') if self.in_array && self.after_element => {
                    self.window.consume(1);
                    self.after_element = false;
                    if self.peek()? == Some(b']') {
                        return Err(self.broken("a value was expected"));
                    }
                }
                Some(_) if self.in_array && self.after_element => return Err(self.broken("a comma was expected")),
                Some(b'[') if !self.in_array => {
                    self.window.consume(1);
                    (self.in_array, self.after_element) = (true, false);
                }
                Some(b']' | b'}' | b',' | b':') => return Err(self.broken("a value was expected")),
                Some(_) => return Ok(true),
            }
        }
    }

    /// The length of the value at the start of the window.
    fn find_value(&mut self) -> Result<usize, Fault> {
        let mut scan = Scan::default();
        loop {
            if let Some(length) = scan.end(self.window.text()) {
                return Ok(length);
            }
            if !self.window.read_more()? {
                // A number or a word may stand at the very end; an object, a list or a text then lacks its own.
                return match scan.depth == 0 && !scan.in_text {
                    true => Ok(self.window.text().len()),
                    false => Err(self.cut_off()),
                };
            }
        }
    }

    fn cut_off(&self) -> Fault {
        Fault::CutOff { file: self.window.file().to_owned(), spot: self.window.spot() }
    }

    fn broken(&self, reason: &str) -> Fault {
        Fault::Broken { file: self.window.file().to_owned(), spot: self.window.spot(), reason: reason.to_owned() }
    }
}

impl Records for Documents {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault> {
        while self.parts.len() == 0 {
            self.window.consume(std::mem::take(&mut self.given));
            if !self.step()? {
                return Ok(None);
            }
            self.given = self.find_value()?;
            self.after_element = true;
            let value = self.window.text().get(..self.given).unwrap_or_default();
            self.parts = self.unwrap.parts(value).into_iter();
        }
        Ok(self.parts.next().map(|part| part.record(&self.window)))
    }
}
