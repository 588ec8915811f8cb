//! One event a line.

use super::fault::Fault;
use super::unwrap::{Part, Unwrap};
use super::window::Window;
use super::{Record, Records};

/// A file of lines. Blank lines are skipped; a bad line is a record like any other and costs no other.
#[derive(Debug)]
pub(crate) struct Lines {
    window: Window,
    unwrap: Unwrap,
    /// Parts of the line at the start of the window that are still to be given out.
    parts: std::vec::IntoIter<Part>,
    /// Length of the line given out, with its end.
    given: usize,
}

impl Lines {
    pub(crate) fn new(window: Window) -> Self {
        Self { window, unwrap: Unwrap::default(), parts: Vec::new().into_iter(), given: 0 }
    }

    /// The length of the line at the start of the window, without and with its end; `None` at the end of the file.
    fn find_line(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        match self.window.find_newline()? {
            Some(at) => Ok(Some((at, at + 1))),
            None if self.window.text().is_empty() => Ok(None),
            None => self.last_line(self.window.text().len()).map(Some),
        }
    }

    /// A last line without its end counts if it is whole: a cut-off object never is.
    fn last_line(&self, length: usize) -> Result<(usize, usize), Fault> {
        let line = self.window.text().trim_ascii();
        let is_cut = match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
            Ok(_) => false,
            Err(error) => error.is_eof() && !line.is_empty(),
        };
        match is_cut {
            true => Err(Fault::CutOff { file: self.window.file().to_owned(), spot: self.window.spot() }),
            false => Ok((length, length)),
        }
    }
}

impl Records for Lines {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault> {
        if self.parts.len() == 0 {
            loop {
                self.window.consume(std::mem::take(&mut self.given));
                let Some((length, with_end)) = self.find_line()? else { return Ok(None) };
                self.given = with_end;
                let line = self.window.text().get(..length).unwrap_or_default();
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if !line.trim_ascii().is_empty() {
                    self.parts = self.unwrap.parts(line).into_iter();
                    if self.parts.len() > 0 {
                        break;
                    }
                }
            }
        }
        Ok(self.parts.next().map(|part| part.record(&self.window)))
    }
}
