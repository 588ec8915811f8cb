//! Rows as files: one lane per table and format, each on a thread of its own.

mod cell;
mod parquet;
mod shards;
mod text;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;

pub(crate) use self::cell::{HEX_COLUMNS, TextColumn, text_columns};
pub(crate) use self::shards::{Shard, file_name};
pub(crate) use self::text::json_rows;
use crate::digest::DigestWriter;
use crate::pace::Pace;
use crate::writer::{BundleWriter, Line};
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
    pub(crate) bundle: Arc<dyn BundleWriter>,
    pub(crate) part: Part,
    pub(crate) format: Format,
    /// A file that has reached this many bytes is followed by the next.
    pub(crate) shard_bytes: u64,
    /// How fast files are written.
    pub(crate) pace: Pace,
}

impl Target {
    /// The file number `index`, empty.
    fn create(&self, index: usize) -> Result<DigestWriter, Error> {
        let file = DigestWriter::create(self.bundle.as_ref(), &file_name(self.part, self.format, index))?;
        Ok(file.paced(&self.pace))
    }
}

/// What an interrupted run finished of a lane.
#[derive(Clone, Copy, Debug)]
struct Passed {
    files: usize,
    rows: u64,
}

/// How many of the next `rows` rows are in finished files, of which `left` rows are still to come.
fn pass_over(left: &mut u64, rows: usize) -> usize {
    let passed = (*left).min(rows as u64);
    *left -= passed;
    usize::try_from(passed).unwrap_or(rows)
}

/// Writes the rows of one table in one format. At most two batches are in it.
///
/// Files become part of the bundle by the batches that filled them, not by when a thread was done with them, so the bundle
/// has them in the same order in every run.
#[derive(Debug)]
pub(crate) struct Lane {
    target: Target,
    batches: Option<SyncSender<RecordBatch>>,
    /// For each batch the files it filled.
    full: Receiver<Vec<Shard>>,
    thread: Option<JoinHandle<Result<Option<Shard>, Error>>>,
    shards: Vec<Shard>,
    is_behind: bool,
}

impl Lane {
    /// Goes on after the files that are `finished`: their rows are passed over.
    pub(crate) fn start(target: Target, finished: Vec<Shard>) -> Self {
        let (batches, received) = sync_channel::<RecordBatch>(1);
        let (filled, full) = sync_channel(2);
        let passed = Passed { files: finished.len(), rows: finished.iter().map(|shard| shard.rows).sum() };
        let own = target.clone();
        let thread = std::thread::spawn(move || match own.format {
            Format::Jsonl => text::write(&text::Json, own, passed, received, &filled),
            Format::Csv => text::write(&text::Csv, own, passed, received, &filled),
            Format::Parquet => parquet::write(own, passed, received, &filled),
        });
        Self { target, batches: Some(batches), full, thread: Some(thread), shards: finished, is_behind: false }
    }

    /// Hands over a batch, and takes the files that the batch before it filled into the bundle.
    pub(crate) fn send(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if self.batches.as_ref().is_none_or(|batches| batches.send(batch.clone()).is_err()) {
            return self.fail();
        }
        match std::mem::replace(&mut self.is_behind, true) {
            true => self.admit_full(),
            false => Ok(()),
        }
    }

    fn admit_full(&mut self) -> Result<(), Error> {
        let Ok(full) = self.full.recv() else { return self.fail() };
        for shard in full {
            self.target.bundle.admit(&shard.file)?;
            // The last file of a table is not noted: after an error it ends early.
            self.target.bundle.note(Line::new(self.target.part, self.target.format, &shard))?;
            self.shards.push(shard);
        }
        Ok(())
    }

    /// The thread ended early: its error is the one to report.
    fn fail(&mut self) -> Result<(), Error> {
        self.join().and_then(|_| Err(Error::panicked("a lane ended before its rows did")))
    }

    /// Every row is in a file of the bundle afterwards; answers the files.
    pub(crate) fn finish(&mut self) -> Result<Vec<Shard>, Error> {
        self.batches = None;
        if std::mem::take(&mut self.is_behind) {
            self.admit_full()?;
        }
        if let Some(last) = self.join()? {
            self.target.bundle.admit(&last.file)?;
            self.shards.push(last);
        }
        Ok(std::mem::take(&mut self.shards))
    }

    fn join(&mut self) -> Result<Option<Shard>, Error> {
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
        self.join().ok();
    }
}
