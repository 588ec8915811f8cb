//! Messages of a batch that are set aside: in `quarantine` once, whatever an earlier attempt made of them.

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use daybook_ledger::{Commit, CommitOutcome, StoredFile};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{FILES, FileCounter, Writer, Written, store};
use crate::Error;
use crate::batch::{ClosedBatch, QuarantineMeta};
use crate::core::MISSED;
use crate::quarantine::{Columns, Coordinates};

/// Rows of a batch by their places.
type Rows = HashMap<Coordinates, Vec<(u32, Told)>>;

/// What tells a row from others of its place, for clusters may have topics of one name.
#[derive(Debug, PartialEq, Eq)]
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
        let ranges = batch.ranges.iter().filter(|(_, range)| range.quarantined > 0);
        let moves = ranges.filter(|(_, range)| range.from.quarantine < Some(range.to));
        let positions = self.changes(moves, |range| range.from.quarantine);
        let range = |at: usize| batch.range_of.get(at).and_then(Option::as_ref);
        let is_beyond = |row: &QuarantineMeta| {
            let from = range(row.partition).map(|range| range.from.quarantine);
            from.is_some_and(|from| from.is_none_or(|position| row.offset >= position.0))
        };
        // An earlier attempt moved the position past them, and may have read them otherwise: the topic had another format, or the
        // messages went since. What is there is looked for. Records of files are always read the same way.
        let is_passed = |row: &QuarantineMeta| row.alive && self.cluster != FILES && !is_beyond(row);
        let mut passed = Rows::new();
        for (at, _) in (0_u32..).zip(&batch.quarantined).filter(|(_, row)| is_passed(row)) {
            let row = at as usize;
            let place = Columns(&batch.quarantine).coordinates(row);
            let place = place.ok_or_else(|| Error::Internal { found: format!("row {row} without a place") })?;
            passed.entry(place).or_default().push((at, Told::by(&batch.quarantine, row)));
        }
        let rows = |lacking: &HashSet<u32>| {
            let is_new = |at: &u32, row: &QuarantineMeta| row.alive && (is_beyond(row) || lacking.contains(at));
            let rows = (0_u32..).zip(&batch.quarantined).filter(|(at, row)| is_new(at, row));
            rows.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let mut stored: Option<(Vec<u32>, Vec<StoredFile>)> = None;
        loop {
            let keep = rows(&self.lacking(&passed).await?);
            if positions.is_empty() && keep.is_empty() {
                return Ok(None);
            }
            let counts = vec![("rows", keep.len() as u64)];
            let adds = match stored.take() {
                Some((known, adds)) if known == keep => adds,
                _ => {
                    let table = (self.ledger.quarantine(), &*self.metrics);
                    store(table, &batch.quarantine, keep.clone(), &batch.id, files).await?
                }
            };
            let (batch_id, positions) = (batch.id.to_string(), positions.clone());
            let commit = Commit { batch_id, files: adds.clone(), positions, counts };
            match self.ledger.quarantine().try_commit(&mut self.quarantine, &commit).await? {
                CommitOutcome::Committed { .. } => return Ok(None),
                CommitOutcome::Lost => self.metrics.lost_race(),
                CommitOutcome::Fenced { .. } => return self.fenced(batch).await.map(Some),
            }
            stored = Some((keep, adds));
        }
    }

    /// Which rows of `passed` are not in `quarantine`.
    async fn lacking(&self, passed: &Rows) -> Result<HashSet<u32>, Error> {
        let mut lacking: HashSet<u32> = passed.values().flatten().map(|(at, _)| *at).collect();
        if lacking.is_empty() {
            return Ok(lacking);
        }
        let table = self.ledger.quarantine();
        for file in self.quarantine.files() {
            let columns = ["topic", "kafka_partition", "kafka_offset", "error_code", "error_message", "value"];
            let mut batches = std::pin::pin!(table.stream_columns(&file, &columns).await?);
            while let Some(batch) = batches.try_next().await? {
                for row in 0..batch.num_rows() {
                    let Some(rows) = Columns(&batch).coordinates(row).and_then(|at| passed.get(&at)) else { continue };
                    let stored = Told::by(&batch, row);
                    for (at, _) in rows.iter().filter(|(_, told)| told.is_of(&stored)) {
                        lacking.remove(at);
                    }
                }
            }
        }
        Ok(lacking)
    }
}
