//! A bundle as a ledger again: every row of every table, in columns and types as they were.
//!
//! The order of effects, and what a crash after each leaves:
//! 1. a ledger that is there is looked at, and the bundle verified: nothing;
//! 2. the data files of a table are stored: files that no commit names, written over by the next run;
//! 3. one commit makes them visible, `usage` last of all: the next run passes over the tables that have theirs.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use daybook_ledger::seal::RESTORED;
use daybook_ledger::{Commit, CommitOutcome, Ledger, Table, file};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Sender, channel};

use crate::artifact;
use crate::reader::Bundle;
use crate::series::Series;
use crate::sign::SIGNED;
use crate::verify::{self, Verdict};
use crate::views::pieces;
use crate::{Error, Format, Keys, Part, Progress};

/// What the rows of one data file of the ledger may take in memory before they are written.
const FLUSH_BYTES: usize = 128 << 20;
/// Batches read ahead of those that are written.
const BATCHES_AHEAD: usize = 2;

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Rows by table.
    pub rows: Vec<(Part, u64)>,
    /// Tables an interrupted run had finished.
    pub already: Vec<Part>,
    /// Artifacts that the bundle carries; the ledger has only what is said of them.
    pub artifacts: usize,
}

/// Verifies the bundle at `path`, a folder or a file, and does [`restore_verified`].
///
/// # Errors
/// As [`verify::bundle`] and [`restore_verified`].
pub async fn restore(path: &Path, address: &str, progress: &mut dyn Progress) -> Result<Restored, Error> {
    let bundle = Bundle::open_path(path, &Keys::default())?;
    refuse_if_taken(&bundle, address).await?;
    let verdict = verify::opened(&bundle, &[], progress).await?;
    restore_verified(&bundle, &verdict, address).await
}

/// Fills the ledger at `address`, which must be new or empty, with the rows of a bundle that `verdict` is of.
///
/// # Errors
/// [`Error::Differs`] if the bundle is not what it says, [`Error::WithoutParquet`], [`Error::LedgerTaken`], and the ledger's.
pub async fn restore_verified(bundle: &Bundle, verdict: &Verdict, address: &str) -> Result<Restored, Error> {
    let path = || bundle.place().to_owned();
    if let Some(first) = verdict.differences.first() {
        return Err(Error::Differs { path: path(), differences: verdict.differences_count, first: first.to_string() });
    }
    if shards(bundle, Part::Usage).next().is_none() {
        return Err(Error::WithoutParquet { path: path() });
    }
    let batch_id = batch_id(bundle).await?;
    let ledger = Ledger::open_or_create(address).await?;
    let already = filled(&ledger, address, &batch_id).await?;
    let mut rows = Vec::new();
    // `usage` is the first of the parts, and is committed last, as by every writer.
    for part in Part::ALL.into_iter().rev() {
        let declared = verdict.rows.iter().find(|table| table.table == part.name()).map_or(0, |table| table.rows);
        if declared > 0 && !already.contains(&part) {
            Filling::new(part.table(&ledger), &batch_id).fill(bundle, part, declared).await?;
        }
        rows.push((part, declared));
    }
    rows.reverse();
    let is_artifact = |name: &&String| name.starts_with(artifact::FOLDER) && *name != artifact::INDEX;
    Ok(Restored { rows, already, artifacts: bundle.files().keys().filter(is_artifact).count() })
}

/// Refuses a ledger that has rows of something else, before the time is taken to verify `bundle`.
///
/// # Errors
/// [`Error::LedgerTaken`], [`Error::Unreadable`] if it is no bundle, and the ledger's.
pub async fn refuse_if_taken(bundle: &Bundle, address: &str) -> Result<(), Error> {
    match Ledger::open(address).await {
        Err(daybook_ledger::Error::NotFound { .. }) => Ok(()),
        ledger => filled(&ledger?, address, &batch_id(bundle).await?).await.map(drop),
    }
}

/// The tables that an interrupted run filled; other rows may not be there.
async fn filled(ledger: &Ledger, address: &str, batch_id: &str) -> Result<Vec<Part>, Error> {
    let mut filled = Vec::new();
    for part in Part::ALL {
        // A ledger of an earlier version lacks tables.
        if !part.table(ledger).exists().await? {
            continue;
        }
        let files = part.table(ledger).load(None).await?.files();
        match files.iter().all(|file| file.batch_id.as_deref() == Some(batch_id)) {
            true if files.is_empty() => {}
            true => filled.push(part),
            false => return Err(Error::LedgerTaken { place: address.into(), table: part.name() }),
        }
    }
    Ok(filled)
}

/// The same for the same bundle, so that a run after a crash knows its own work.
async fn batch_id(bundle: &Bundle) -> Result<String, Error> {
    let digest = file::hex(&Sha256::digest(bundle.load(SIGNED).await?));
    Ok(format!("{RESTORED}{}", digest.chars().take(32).collect::<String>()))
}

/// The names of a table's Parquet files in order.
fn shards(bundle: &Bundle, part: Part) -> impl Iterator<Item = String> {
    let name = move |index: usize| Series::Table(part, Format::Parquet).file_name(index);
    (0..).map(name).take_while(|name| bundle.files().contains_key(name))
}

/// Hands every batch of a table to `batches`, until nobody takes them any more.
fn read_batches(bundle: &Bundle, part: Part, batches: &Sender<RecordBatch>) -> Result<(), Error> {
    for name in shards(bundle, part) {
        let path = bundle.place().join(&name);
        let failed = |reason: &dyn std::fmt::Display| Error::Differs {
            path: path.clone(),
            differences: 1,
            first: reason.to_string(),
        };
        let file = bundle.open_random(&name).map_err(Error::unreadable(&path, "open"))?;
        let builder = verify::parquet::open_table(file, part, &[]).map_err(|reason| failed(&reason))?;
        for batch in builder.build().map_err(|error| failed(&error))? {
            for piece in pieces(batch.map_err(|error| failed(&error))?, part.spec().building_schema()) {
                if batches.blocking_send(piece.map_err(|error| failed(&error))?).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// One table on its way into the ledger.
struct Filling<'a> {
    table: &'a Table,
    commit: Commit,
    batches: Vec<RecordBatch>,
    bytes: usize,
    rows: u64,
}

impl<'a> Filling<'a> {
    fn new(table: &'a Table, batch_id: &str) -> Self {
        let commit = Commit { batch_id: batch_id.into(), files: Vec::new(), positions: Vec::new(), counts: Vec::new() };
        Self { table, commit, batches: Vec::new(), bytes: 0, rows: 0 }
    }

    /// Commits the rows of `part`, if they are as many as were verified.
    async fn fill(mut self, bundle: &Bundle, part: Part, verified: u64) -> Result<(), Error> {
        // Before anything is stored: the commit then notices if files of no version were deleted meanwhile.
        let mut snapshot = self.table.load(None).await?;
        let (read, mut batches) = channel(BATCHES_AHEAD);
        let own = bundle.clone();
        let reading = tokio::task::spawn_blocking(move || read_batches(&own, part, &read));
        while let Some(batch) = batches.recv().await {
            self.take(batch).await?;
        }
        reading.await.map_err(Error::panicked)??;
        self.flush().await?;
        if self.rows != verified {
            let (path, rows) = (bundle.place().to_owned(), self.rows);
            let first = format!("`{}` has {rows} rows by now, {verified} were verified", part.name());
            return Err(Error::Differs { path, differences: 1, first });
        }
        match self.table.try_commit(&mut snapshot, &self.commit).await? {
            CommitOutcome::Committed { .. } => Ok(()),
            CommitOutcome::Lost | CommitOutcome::Fenced { .. } => {
                Err(Error::LedgerTaken { place: self.table.url().to_string(), table: self.table.spec().name })
            }
        }
    }

    async fn take(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.bytes += batch.get_array_memory_size();
        self.rows += batch.num_rows() as u64;
        self.batches.push(batch);
        if self.bytes >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes the rows at hand: a data file for each of their days.
    async fn flush(&mut self) -> Result<(), Error> {
        let (spec, batches) = (self.table.spec(), std::mem::take(&mut self.batches));
        self.bytes = 0;
        if batches.is_empty() {
            return Ok(());
        }
        let encode = move || {
            let batch = concat_batches(&spec.building_schema(), &batches).map_err(Error::arrow)?;
            let keep: Vec<u32> = (0..).take(batch.num_rows()).collect();
            Ok::<_, Error>(file::encode(spec, &batch, &keep)?)
        };
        for file in tokio::task::spawn_blocking(encode).await.map_err(Error::panicked)?? {
            let index = self.commit.files.len();
            self.commit.files.push(self.table.store_file(&file, &self.commit.batch_id, index).await?);
        }
        Ok(())
    }
}
