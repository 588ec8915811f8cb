//! Rows as files: one lane per table and format, each on a thread of its own.

mod cell;
mod parquet;
mod shards;
mod text;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;

pub(crate) use self::cell::{HEX_COLUMNS, TextColumn, text_columns};
pub(crate) use self::shards::{Shard, file_name};
pub(crate) use self::text::json_rows;
use crate::folder::DigestWriter;
use crate::journal::Journal;
use crate::pace::Pace;
use crate::{Error, Part};

/// An open format rows are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One JSON object a line, every column always there.
    Jsonl,
    /// RFC 4180 with a header.
    Csv,
    /// Columns and types as in the ledger.
    Parquet,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Jsonl, Self::Csv, Self::Parquet];

    /// Its name, which is also the extension of its files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// What a lane writes and where.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The bundle; `None` writes nothing and counts.
    pub(crate) root: Option<PathBuf>,
    pub(crate) part: Part,
    pub(crate) format: Format,
    /// A file that has reached this many bytes is followed by the next.
    pub(crate) shard_bytes: u64,
    /// Files that an interrupted run finished: their rows are passed over.
    pub(crate) finished: Vec<Shard>,
    /// Where finished files are noted.
    pub(crate) journal: Journal,
    /// How fast files are written.
    pub(crate) pace: Pace,
}

impl Target {
    /// The file number `index`, empty.
    fn create(&self, index: usize) -> Result<DigestWriter, Error> {
        let file = DigestWriter::create(self.root.as_deref(), &file_name(self.part, self.format, index))?;
        // What is only counted takes no time of a disk.
        Ok(if self.root.is_some() { file.paced(&self.pace) } else { file })
    }

    /// Notes a file that is full. The last one of a table is not: after an error it ends early.
    fn note(&self, full: Option<&Shard>) -> Result<(), Error> {
        full.map_or(Ok(()), |shard| self.journal.note(self.part, self.format, shard))
    }
}

/// How many of the next `rows` rows are in finished files, of which `left` rows are still to come.
fn pass_over(left: &mut u64, rows: usize) -> usize {
    let passed = (*left).min(rows as u64);
    *left -= passed;
    usize::try_from(passed).unwrap_or(rows)
}

/// Writes the rows of one table in one format. At most two batches are in it.
#[derive(Debug)]
pub(crate) struct Lane {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<Vec<Shard>, Error>>>,
}

impl Lane {
    pub(crate) fn start(target: Target) -> Self {
        let (batches, received) = sync_channel::<RecordBatch>(1);
        let thread = std::thread::spawn(move || match target.format {
            Format::Jsonl => text::write(&text::Json, target, received),
            Format::Csv => text::write(&text::Csv, target, received),
            Format::Parquet => parquet::write(target, received),
        });
        Self { batches: Some(batches), thread: Some(thread) }
    }

    pub(crate) fn send(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        match self.batches.as_ref().map(|batches| batches.send(batch.clone())) {
            Some(Ok(())) => Ok(()),
            // The thread ended early: its error is the one to report.
            _ => self.finish().and_then(|_| Err(Error::panicked("a lane ended before its rows did"))),
        }
    }

    /// Every row is on the disk afterwards.
    pub(crate) fn finish(&mut self) -> Result<Vec<Shard>, Error> {
        self.batches = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(Error::panicked("a lane did not end")),
        }
    }
}

impl Drop for Lane {
    /// An export that failed waits for its files, so that its folder can be removed.
    fn drop(&mut self) {
        self.finish().ok();
    }
}
