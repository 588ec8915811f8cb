//! The files of one table in one format, each of about the same length.

use std::io::Write as _;

use super::Target;
use crate::folder::{DigestWriter, Written};
use crate::{Error, Format, Part};

/// A finished data file of the bundle.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shard {
    pub(crate) file: Written,
    pub(crate) rows: u64,
}

/// Writes whole rows of text; a file ends with the row that fills it.
#[derive(Debug)]
pub(crate) struct Shards {
    target: Target,
    /// What every file starts with.
    prologue: Vec<u8>,
    open: Option<Open>,
    done: Vec<Shard>,
}

#[derive(Debug)]
struct Open {
    file: DigestWriter,
    bytes: u64,
    rows: u64,
}

impl Shards {
    pub(crate) fn new(target: Target, prologue: Vec<u8>) -> Self {
        let done = target.finished.clone();
        Self { target, prologue, open: None, done }
    }

    pub(crate) fn write_row(&mut self, row: &[u8]) -> Result<(), Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_next()?,
        };
        open.write(row)?;
        open.rows += 1;
        match open.bytes >= self.target.shard_bytes {
            true => {
                self.close(open)?;
                self.target.note(self.done.last())?;
            }
            false => self.open = Some(open),
        }
        Ok(())
    }

    /// A table without rows still has a file, so that every reader finds its columns.
    pub(crate) fn finish(mut self) -> Result<Vec<Shard>, Error> {
        let last = match self.open.take() {
            None if self.done.is_empty() => Some(self.open_next()?),
            open => open,
        };
        if let Some(open) = last {
            self.close(open)?;
        }
        Ok(self.done)
    }

    fn open_next(&self) -> Result<Open, Error> {
        let file = self.target.create(self.done.len())?;
        let mut open = Open { file, bytes: 0, rows: 0 };
        open.write(&self.prologue)?;
        Ok(open)
    }

    fn close(&mut self, open: Open) -> Result<(), Error> {
        self.done.push(Shard { file: open.file.finish()?, rows: open.rows });
        Ok(())
    }
}

impl Open {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Err(error) = self.file.write_all(bytes) {
            return Err(Error::folder(self.file.path(), "write")(error));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// `data/usage/usage-00000.jsonl`: names sort in the order of rows.
pub(crate) fn file_name(part: Part, format: Format, index: usize) -> String {
    let name = part.name();
    format!("data/{name}/{name}-{index:05}.{}", format.as_str())
}
