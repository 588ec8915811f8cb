//! Messages of a batch that are set aside: in `quarantine` once, whatever an earlier attempt made of them.

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use daybook_ledger::{Commit, CommitOutcome, DataFile, PositionChange, StoredFile, TableVersion, seal};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{FILES, FileCounter, Writer, Written, store};
use crate::Error;
use crate::batch::{ClosedBatch, QuarantineMeta, Range};
use crate::core::MISSED;
use crate::partition::Partition;
use crate::quarantine::{Columns, Coordinates};

/// Rows of a batch by their places.
type Rows = HashMap<Coordinates, Vec<(u32, Told)>>;

/// What tells a row from others of its place, for clusters may have topics of one name.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// Whether it stands for messages that are gone.
    is_missed: bool,
    /// Of the message's bytes, or of the words that say which messages are gone; `None` once they were erased.
    sha256: Option<[u8; 32]>,
}

impl Told {
    fn by(rows: &RecordBatch, row: usize) -> Self {
        let columns = Columns(rows);
        let is_missed = columns.text("error_code", row).is_some_and(|code| code == MISSED);
        let told = match is_missed {
            true => columns.text("error_message", row).map(String::into_bytes),
            false => columns.bytes("value", row),
        };
        Self { is_missed, sha256: told.map(|told| Sha256::digest(told).into()) }
    }

    fn is_of(&self, stored: &Self) -> bool {
        self.is_missed == stored.is_missed && (stored.sha256.is_none() || self.sha256 == stored.sha256)
    }
}

impl Writer {
    /// A bundle is restored into an empty ledger.
    async fn is_quarantine_restored(&self) -> Result<bool, Error> {
        let first = self.ledger.quarantine().load_log_entry(TableVersion(1)).await?;
        Ok(first.and_then(|entry| entry.batch_id).is_some_and(|batch_id| batch_id.starts_with(seal::RESTORED)))
    }

    /// Sets the batch's messages aside that are not yet; an answer if another worker owns some of its partitions. `is_again`: an
    /// attempt failed, and may have come further than this.
    pub(super) async fn write_quarantine(
        &mut self,
        batch: &ClosedBatch,
        is_again: bool,
        files: &mut FileCounter,
    ) -> Result<Option<Written>, Error> {
        if is_again && Self::landed(&self.quarantine, batch).is_some() {
            return Ok(None);
        }
        // Of files the table itself tells: an import knows of a file what `usage` knows.
        let stands = |(partition, range): &(Partition, Range)| match self.cluster == FILES {
            true => self.quarantine.position(&partition.app_id(FILES)),
            false => range.from.quarantine,
        };
        let moves = batch.ranges.iter().filter(|range| range.1.quarantined > 0 && stands(range) < Some(range.1.to));
        let moves = moves.map(|range| PositionChange {
            app_id: range.0.app_id(&self.cluster),
            from: stands(range),
            to: range.1.to,
        });
        let positions: Vec<_> = moves.collect();
        let stood: Vec<_> = batch.range_of.iter().map(|at| Some(stands(batch.ranges.get((*at)?)?))).collect();
        // A bundle brought rows without positions.
        let is_restored = stood.contains(&Some(None)) && self.is_quarantine_restored().await?;
        let is_beyond = |row: &QuarantineMeta| {
            let from = stood.get(row.partition).copied().flatten();
            from.is_some_and(|from| from.map_or(!is_restored, |position| row.offset >= position.0))
        };
        // An earlier attempt moved the position past them, and may have read them otherwise: the topic had another format, or the
        // messages went since. What is there is looked for.
        let is_passed = |row: &QuarantineMeta| row.alive && !is_beyond(row);
        let mut passed = Rows::new();
        for (at, _) in (0_u32..).zip(&batch.quarantined).filter(|(_, row)| is_passed(row)) {
            let (columns, row) = (Columns(&batch.quarantine), at as usize);
            let place = columns.coordinates(row);
            let place = place.ok_or_else(|| Error::Internal { found: format!("row {row} without a place") })?;
            let told = Told::by(&batch.quarantine, row);
            // Rows of earlier versions have a file's name alone.
            for place in self.lineage(columns, row).into_iter().chain([place]) {
                passed.entry(place).or_default().push((at, told));
            }
        }
        let mut lacking: HashSet<u32> = passed.values().flatten().map(|(at, _)| *at).collect();
        if !lacking.is_empty() {
            self.strike_known(&mut lacking, &passed, &self.quarantine.files()).await?;
        }
        let mut stored: Option<(Vec<u32>, Vec<StoredFile>)> = None;
        loop {
            let is_new = |(at, row): &(u32, &QuarantineMeta)| row.alive && (is_beyond(row) || lacking.contains(at));
            let keep: Vec<u32> = (0..).zip(&batch.quarantined).filter(is_new).map(|(at, _)| at).collect();
            if positions.is_empty() && keep.is_empty() {
                return Ok(None);
            }
            let adds = match stored.take() {
                Some((known, adds)) if known == keep => adds,
                _ => {
                    let table = (self.ledger.quarantine(), &*self.metrics);
                    store(table, &batch.quarantine, keep.clone(), &batch.id, files).await?
                }
            };
            let (batch_id, positions) = (batch.id.to_string(), positions.clone());
            let commit = Commit { batch_id, files: adds.clone(), positions, counts: Vec::new() };
            match self.ledger.quarantine().try_commit(&mut self.quarantine, &commit).await? {
                CommitOutcome::Committed { .. } => return Ok(None),
                CommitOutcome::Lost => self.metrics.lost_race(),
                CommitOutcome::Fenced { .. } => return self.fenced(batch).await.map(Some),
            }
            self.strike_known(&mut lacking, &passed, self.quarantine.news()).await?;
            stored = Some((keep, adds));
        }
    }

    /// Where a record of a file was: its name may be another one each time.
    fn lineage(&self, columns: Columns<'_>, row: usize) -> Option<Coordinates> {
        if self.cluster == FILES { columns.lineage(row) } else { None }
    }

    /// Strikes the rows from `lacking`, all of `passed`, that are in `files`.
    async fn strike_known(&self, lacking: &mut HashSet<u32>, passed: &Rows, files: &[DataFile]) -> Result<(), Error> {
        if lacking.is_empty() {
            return Ok(());
        }
        let table = self.ledger.quarantine();
        for file in files {
            let columns =
                ["topic", "kafka_partition", "kafka_offset", "error_code", "error_message", "value", "headers"];
            let mut batches = std::pin::pin!(table.stream_columns(file, &columns).await?);
            while let Some(batch) = batches.try_next().await? {
                let columns = Columns(&batch);
                for row in 0..batch.num_rows() {
                    let place = self.lineage(columns, row).or_else(|| columns.coordinates(row));
                    let Some(rows) = place.and_then(|place| passed.get(&place)) else { continue };
                    let stored = Told::by(&batch, row);
                    for (at, _) in rows.iter().filter(|(_, told)| told.is_of(&stored)) {
                        lacking.remove(at);
                    }
                }
            }
        }
        Ok(())
    }
}
