//! What recorded calls cost at other prices: rows of `valuations`, beside `usage`, which nothing touches.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::schema::ValuationsBuilder;
use crate::{
    Commit, CommitOutcome, DataFile, Date, EntryId, Instant, Ledger, NextOffset, PositionChange, Snapshot, StoredFile,
    Table, Usd, file,
};

use super::capacity::{self, Idle};
use super::past::PastCall;
use super::recorded::Recorded;
use super::{Book, Error, PriceStatus, Rated};

/// The name under which reports know the costs recorded in `usage`.
pub const RECORDED: &str = "recorded";

/// Rows are written to a file when so many are waiting.
const FILE_ROWS_MAX: usize = 500_000;
/// The longest name of a valuation.
const NAME_CHARS_MAX: usize = 64;
/// Lost races a valuation survives; each is against another valuation of the same ledger.
const ATTEMPTS_MAX: u32 = 10;

/// A valuation to make.
#[derive(Clone, Debug)]
pub struct Valuation<'a> {
    /// Its name: 1 to 64 lower-case letters, digits, `.`, `_` and `-`.
    pub name: &'a str,
    /// The first day to value; from the first entry on if `None`.
    pub from: Option<Date>,
    /// The first day not to value any more; to the last entry if `None`.
    pub to: Option<Date>,
    /// When it is made.
    pub created_at: Instant,
}

/// What a valuation added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Valued {
    /// Entries valued now.
    pub entries: u64,
    /// Entries of the period that already had a value under this name.
    pub already: u64,
    /// Entries valued now, by status.
    pub by_status: BTreeMap<PriceStatus, u64>,
    /// The sum of what was valued now.
    pub list_cost: Usd,
    /// What the same entries have in `usage`.
    pub recorded_cost: Usd,
    /// Hours of capacity in the period that no call used, by price: paid, and nobody's cost.
    pub idle: BTreeMap<String, Idle>,
}

impl Book {
    /// SHA-256 over all rows, as [`Book::write_csv`] writes them: two books with one digest price everything alike.
    ///
    /// # Errors
    /// [`Error::Unwritable`], which memory never gives.
    pub fn sha256(&self) -> Result<String, Error> {
        let mut csv = Vec::new();
        self.write_csv(&mut csv)?;
        Ok(file::hex(&Sha256::digest(&csv)))
    }

    /// Values every entry of the period at the prices of this book, and adds the values to `valuations` in one commit.
    ///
    /// Entries that have a value under the name are left out, so doing it again adds only what came since. Nothing else
    /// moves. Memory: the ids of the busiest day, a row group, and rows for one file.
    ///
    /// # Errors
    /// [`Error::NotAValuationName`]; [`Error::OtherPrices`] if the name stands for other prices; [`Error::ValuationMoved`] if
    /// the same valuation is made elsewhere at the same time; the ledger's errors. Nothing is added then.
    pub async fn value(&self, ledger: &Ledger, valuation: &Valuation<'_>) -> Result<Valued, Error> {
        let name = valuation.name;
        if !is_valuation_name(name) {
            return Err(Error::NotAValuationName { name: name.chars().take(80).collect() });
        }
        let table = ledger.valuations();
        table.create().await?;
        let mut snapshot = table.load(None).await?;
        let app_id = format!("valuation/{name}");
        let from = table.load_position(&mut snapshot, &app_id).await?;
        let run_number = from.map_or(0, |at| at.0) + 1;
        let mut run = Run::new(self, table, valuation, &snapshot, run_number)?;
        let recorded = Recorded::load(ledger, valuation.from, valuation.to).await?;
        for date in recorded.days() {
            Box::pin(run.day(&recorded, date)).await?;
        }
        run.flush().await?;
        if let Some(period) = period(recorded.days(), valuation) {
            run.valued.idle = capacity::idle(self, period, valuation.created_at, &run.used_hours);
        }
        if run.files.is_empty() {
            return Ok(run.valued);
        }
        let commit = Commit {
            batch_id: run.batch_id.clone(),
            files: std::mem::take(&mut run.files),
            positions: vec![PositionChange { app_id, from, to: NextOffset(run_number) }],
            counts: Vec::new(),
        };
        commit_once(table, &mut snapshot, &commit, name).await?;
        Ok(run.valued)
    }
}

async fn commit_once(table: &Table, snapshot: &mut Snapshot, commit: &Commit, name: &str) -> Result<(), Error> {
    for _ in 0..ATTEMPTS_MAX {
        match table.try_commit(snapshot, commit).await? {
            CommitOutcome::Committed { .. } => return Ok(()),
            CommitOutcome::Fenced { .. } => return Err(Error::ValuationMoved { name: name.into() }),
            CommitOutcome::Lost => {}
        }
    }
    let table = table.spec().name;
    Err(crate::Error::RaceLost { table, version: snapshot.version(), attempts: ATTEMPTS_MAX }.into())
}

/// Whether a valuation may be called so.
pub fn is_valuation_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(allowed) && name != RECORDED
}

/// The days a valuation is about: as asked for, else from the first to the last with entries.
fn period(mut days: impl DoubleEndedIterator<Item = Date>, valuation: &Valuation<'_>) -> Option<(Date, Date)> {
    let first = days.next();
    let last = days.next_back().or(first);
    let after_last = last.map(|last| Date::from_days(last.days().saturating_add(1)));
    Some((valuation.from.or(first)?, valuation.to.or(after_last)?))
}

/// A valuation under way.
struct Run<'r> {
    book: &'r Book,
    table: &'r Table,
    valuation: &'r Valuation<'r>,
    sha256: String,
    batch_id: String,
    /// The files of `valuations` that hold this valuation, by day.
    existing: BTreeMap<Date, Vec<DataFile>>,
    rows: ValuationsBuilder,
    waiting: usize,
    files: Vec<StoredFile>,
    valued: Valued,
    /// Hours in which each capacity was used.
    used_hours: BTreeMap<String, i64>,
}

impl<'r> Run<'r> {
    fn new(
        book: &'r Book,
        table: &'r Table,
        valuation: &'r Valuation<'r>,
        snapshot: &Snapshot,
        run_number: i64,
    ) -> Result<Self, Error> {
        let sha256 = book.sha256()?;
        let mut existing: BTreeMap<Date, Vec<DataFile>> = BTreeMap::new();
        // A file holds one valuation, so its bounds say which.
        let ours = |file: &DataFile| bound(file, "valuation").as_deref() == Some(valuation.name);
        for file in snapshot.files().into_iter().filter(ours) {
            if let Some(other) = bound(&file, "sheet_sha256").filter(|other| *other != sha256) {
                return Err(Error::OtherPrices { name: valuation.name.into(), recorded: other, given: sha256 });
            }
            existing.entry(file.date).or_default().push(file);
        }
        let hash = file::hex(&Sha256::digest(format!("{}\n{run_number}", valuation.name)));
        let batch_id = format!("reprice-{:016x}-{}", valuation.created_at.micros(), hash.get(..8).unwrap_or_default());
        Ok(Self {
            book,
            table,
            valuation,
            sha256,
            batch_id,
            existing,
            rows: ValuationsBuilder::default(),
            waiting: 0,
            files: Vec::new(),
            valued: Valued::default(),
            used_hours: BTreeMap::new(),
        })
    }

    async fn day(&mut self, recorded: &Recorded, date: Date) -> Result<(), Error> {
        let known = self.known_ids(date).await?;
        let capacity = self.capacity(recorded, date, &known).await?;
        let mut day = recorded.day(date).await?;
        while let Some(chunk) = day.next().await? {
            for call in chunk.iter() {
                if known.contains(&call.entry_id) {
                    self.valued.already += 1;
                } else {
                    self.add(&call, date, &capacity);
                }
            }
            if self.waiting >= FILE_ROWS_MAX {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Who used capacity on a day: read ahead, because a share depends on all calls of its hour.
    async fn capacity(
        &mut self,
        recorded: &Recorded,
        date: Date,
        known: &BTreeSet<EntryId>,
    ) -> Result<capacity::Day, Error> {
        let mut hours = capacity::Day::default();
        if self.book.capacities().next().is_none() {
            return Ok(hours);
        }
        let mut day = recorded.day(date).await?;
        while let Some(chunk) = day.next().await? {
            chunk.iter().for_each(|call| hours.note(self.book, &call, known.contains(&call.entry_id)));
        }
        hours.close();
        for (id, used) in hours.used_hours() {
            *self.used_hours.entry(id.to_owned()).or_default() += used;
        }
        Ok(hours)
    }

    async fn known_ids(&self, date: Date) -> Result<BTreeSet<EntryId>, Error> {
        let mut ids = BTreeSet::new();
        for data_file in self.existing.get(&date).into_iter().flatten() {
            ids.extend(self.table.load_entry_ids(data_file).await?);
        }
        Ok(ids)
    }

    fn add(&mut self, past: &PastCall<'_>, date: Date, capacity: &capacity::Day) {
        let rated = self.book.price(&past.call());
        let share = if rated.status == PriceStatus::Provisioned { capacity.share(self.book, past) } else { None };
        let rated = match &share {
            Some((cost, id)) => {
                Rated { list_cost: Some(*cost), price_id: Some(id), status: PriceStatus::CapacityShare }
            }
            None => rated,
        };
        let rows = &mut self.rows;
        rows.entry_id.append_value(past.entry_id.0);
        rows.event_date.append_value(date.days());
        rows.batch_id.append_value(&self.batch_id);
        rows.valuation.append_value(self.valuation.name);
        rows.list_cost.append_option(rated.list_cost.map(Usd::pico));
        rows.price_id.append_option(rated.price_id);
        rows.price_status.append_value(rated.status.as_str());
        rows.sheet_sha256.append_value(&self.sha256);
        rows.created_at.append_value(self.valuation.created_at.micros());
        self.waiting += 1;
        self.valued.entries += 1;
        *self.valued.by_status.entry(rated.status).or_default() += 1;
        self.valued.list_cost = self.valued.list_cost + rated.list_cost.unwrap_or_default();
        self.valued.recorded_cost = self.valued.recorded_cost + past.list_cost.unwrap_or_default();
    }

    /// Writes what waits to files that no commit names yet.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.waiting == 0 {
            return Ok(());
        }
        let batch = self.rows.finish()?;
        let keep: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
        for encoded in file::encode(self.table.spec(), &batch, &keep)? {
            let number = self.files.len();
            self.files.push(self.table.store_file(&encoded, &self.batch_id, number).await?);
        }
        self.waiting = 0;
        Ok(())
    }
}

/// The smallest value of a column in `file`, as its commit says.
fn bound(file: &DataFile, column: &str) -> Option<String> {
    let statistics: serde_json::Value = serde_json::from_str(file.statistics.as_deref()?).ok()?;
    Some(statistics.get("minValues")?.get(column)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests;
