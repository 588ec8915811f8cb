//! Rows as files: one lane per table and format, or migration, each on a thread of its own.

mod cell;
mod parquet;
mod shards;
mod text;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;

pub(crate) use self::cell::{HEX_COLUMNS, TextColumn, text_columns};
pub(crate) use self::shards::{Shard, Shards};
pub(crate) use self::text::{SHIELD, json_rows};
use crate::digest::DigestWriter;
use crate::pace::Pace;
use crate::series::Series;
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
    pub(crate) series: Series,
    /// A file that has reached this many bytes is followed by the next.
    pub(crate) shard_bytes: u64,
    /// No file of lines has more of them, or, unless one line is longer, more bytes.
    pub(crate) rows_max: u64,
    pub(crate) bytes_max: u64,
    /// Whether texts in CSV are kept from being formulas.
    pub(crate) is_formula_safe: bool,
    /// How fast files are written.
    pub(crate) pace: Pace,
}

impl Target {
    /// The file number `index`, empty.
    fn create(&self, index: usize) -> Result<DigestWriter, Error> {
        let file = DigestWriter::create(self.bundle.as_ref(), &self.series.file_name(index))?;
        Ok(file.paced(&self.pace))
    }
}

/// What an interrupted run finished of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) files: usize,
    pub(crate) rows: u64,
}

/// How many of the next `rows` rows are in finished files, of which `left` rows are still to come.
fn pass_over(left: &mut u64, rows: usize) -> usize {
    let passed = (*left).min(rows as u64);
    *left -= passed;
    usize::try_from(passed).unwrap_or(rows)
}

/// How a lane's writer ends: the last file, which is not full, and what it has to say besides.
type Ended<R> = Result<(Option<Shard>, R), Error>;

/// Writes the rows of one series; what its writer has to say besides is an `R`. At most two batches are in it.
///
/// Files become part of the bundle by the batches that filled them, not by when a thread was done with them, so the bundle
/// has them in the same order in every run.
#[derive(Debug)]
pub(crate) struct Lane<B = RecordBatch, R = ()> {
    bundle: Arc<dyn BundleWriter>,
    batches: Option<SyncSender<B>>,
    /// For each batch the files it filled.
    full: Receiver<Vec<Shard>>,
    thread: Option<JoinHandle<Ended<R>>>,
    shards: Vec<Shard>,
    is_behind: bool,
}

impl Lane {
    /// A lane of one table in one format.
    pub(crate) fn of_table(part: Part, format: Format, target: Target, finished: Vec<Shard>) -> Self {
        Self::start(target, finished, move |target, passed, batches, filled| {
            let csv = text::Csv { is_formula_safe: target.is_formula_safe };
            let last = match format {
                Format::Jsonl => text::write(&text::Json, part, target, passed, batches, filled),
                Format::Csv => text::write(&csv, part, target, passed, batches, filled),
                Format::Parquet => parquet::write(part, target, passed, batches, filled),
            };
            Ok((last?, ()))
        })
    }
}

impl<B: Send + 'static, R: Send + 'static> Lane<B, R> {
    /// Goes on after the files that are `finished`: `write` passes over their rows, tells after each batch which files it
    /// filled, and answers the last file, which is not full.
    pub(crate) fn start(
        target: Target,
        finished: Vec<Shard>,
        write: impl FnOnce(Target, Passed, Receiver<B>, &SyncSender<Vec<Shard>>) -> Ended<R> + Send + 'static,
    ) -> Self {
        let (batches, received) = sync_channel::<B>(1);
        let (filled, full) = sync_channel(2);
        let passed = Passed { files: finished.len(), rows: finished.iter().map(|shard| shard.rows).sum() };
        let bundle = Arc::clone(&target.bundle);
        let thread = std::thread::spawn(move || write(target, passed, received, &filled));
        Self { bundle, batches: Some(batches), full, thread: Some(thread), shards: finished, is_behind: false }
    }
}

impl<B, R> Lane<B, R> {
    /// Hands over a batch, and takes the files that the batch before it filled into the bundle.
    pub(crate) fn send(&mut self, batch: B) -> Result<(), Error> {
        if self.batches.as_ref().is_none_or(|batches| batches.send(batch).is_err()) {
            return self.fail();
        }
        match std::mem::replace(&mut self.is_behind, true) {
            true => self.admit_full(),
            false => Ok(()),
        }
    }

    fn admit_full(&mut self) -> Result<(), Error> {
        let Ok(full) = self.full.recv() else { return self.fail() };
        full.into_iter().try_for_each(|shard| self.admit(shard, true))
    }

    fn admit(&mut self, shard: Shard, is_noted: bool) -> Result<(), Error> {
        self.bundle.admit(&shard.file)?;
        if is_noted {
            self.bundle.note(Line::new(&shard))?;
        }
        self.shards.push(shard);
        Ok(())
    }

    /// The thread ended early: its error is the one to report.
    fn fail(&mut self) -> Result<(), Error> {
        self.join().and_then(|_| Err(Error::panicked("a lane ended before its rows did")))
    }

    /// Every row is in a file of the bundle afterwards; answers the files and what their writer has to say. The last file is
    /// noted only if `is_noted`: what comes after it has to take long to be worth going on with.
    pub(crate) fn finish(&mut self, is_noted: bool) -> Result<(Vec<Shard>, R), Error> {
        self.batches = None;
        if std::mem::take(&mut self.is_behind) {
            self.admit_full()?;
        }
        let (last, said) = self.join()?;
        if let Some(last) = last {
            self.admit(last, is_noted)?;
        }
        Ok((std::mem::take(&mut self.shards), said))
    }

    fn join(&mut self) -> Ended<R> {
        self.batches = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(Error::panicked("a lane did not end")),
        }
    }
}

impl<B, R> Drop for Lane<B, R> {
    /// An export that failed waits for its files, so that its folder can be removed.
    fn drop(&mut self) {
        self.join().ok();
    }
}
