//! The files of one table in one format, each of about the same length.

use std::io::Write as _;

use super::Target;
use crate::Error;
use crate::digest::{DigestWriter, Written};

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
    /// How many files there are before the open one.
    files: usize,
    full: Vec<Shard>,
}

#[derive(Debug)]
struct Open {
    file: DigestWriter,
    bytes: u64,
    rows: u64,
}

impl Shards {
    /// Goes on after `files` that are finished.
    pub(crate) fn new(target: Target, files: usize, prologue: Vec<u8>) -> Self {
        Self { target, prologue, open: None, files, full: Vec::new() }
    }

    pub(crate) fn write_row(&mut self, row: &[u8]) -> Result<(), Error> {
        let mut open = match self.open.take() {
            Some(open) if open.rows > 0 && open.bytes + row.len() as u64 > self.target.bytes_max => {
                self.close_full(open)?;
                self.open_next()?
            }
            Some(open) => open,
            None => self.open_next()?,
        };
        open.write(row)?;
        open.rows += 1;
        match open.bytes >= self.target.shard_bytes || open.rows >= self.target.rows_max {
            true => self.close_full(open)?,
            false => self.open = Some(open),
        }
        Ok(())
    }

    fn close_full(&mut self, open: Open) -> Result<(), Error> {
        let shard = self.close(open)?;
        self.full.push(shard);
        Ok(())
    }

    /// The files that are full since it was last asked.
    pub(crate) fn take_full(&mut self) -> Vec<Shard> {
        std::mem::take(&mut self.full)
    }

    /// The file that is not full. A table without rows still has a file, so that every reader finds its columns.
    pub(crate) fn finish(mut self) -> Result<Option<Shard>, Error> {
        let last = match self.open.take() {
            None if self.files == 0 => Some(self.open_next()?),
            open => open,
        };
        last.map(|open| self.close(open)).transpose()
    }

    fn open_next(&self) -> Result<Open, Error> {
        let file = self.target.create(self.files)?;
        let mut open = Open { file, bytes: 0, rows: 0 };
        open.write(&self.prologue)?;
        Ok(open)
    }

    fn close(&mut self, open: Open) -> Result<Shard, Error> {
        self.files += 1;
        Ok(Shard { file: open.file.finish()?, rows: open.rows })
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
