//! Messages of a batch that are set aside: in `quarantine` once, whatever an earlier attempt made of them.

use std::collections::HashSet;

use daybook_ledger::{Commit, CommitOutcome, PositionChange, StoredFile};
use futures::TryStreamExt as _;

use super::{FILES, FileCounter, Writer, Written, store};
use crate::Error;
use crate::batch::{ClosedBatch, QuarantineMeta};
use crate::core::MISSED;
use crate::partition::Partition;
use crate::quarantine::Columns;

/// What a row of `quarantine` is about: a message, or those that are gone from there on.
type Place = (Partition, i64, bool);

fn place(row: &QuarantineMeta) -> Place {
    (row.read_from.clone(), row.offset, row.is_missed)
}

impl Writer {
    /// Sets the batch's messages aside that are not yet; an answer if another worker owns some of its partitions.
    pub(super) async fn write_quarantine(
        &mut self,
        batch: &ClosedBatch,
        files: &mut FileCounter,
    ) -> Result<Option<Written>, Error> {
        let ranges = batch.ranges.iter().filter(|(_, range)| range.quarantined > 0);
        let moves = ranges.filter(|(_, range)| range.from.quarantine < Some(range.to));
        let positions = self.changes(moves, |range| range.from.quarantine);
        if !positions.is_empty() && self.is_quarantined(&positions).await? {
            return Ok(None);
        }
        let range = |at: usize| batch.range_of.get(at).and_then(Option::as_ref);
        let is_beyond = |row: &QuarantineMeta| {
            let from = range(row.partition).map(|range| range.from.quarantine);
            from.is_some_and(|from| from.is_none_or(|position| row.offset >= position.0))
        };
        // An earlier attempt moved the position past them, and may have read them otherwise: the topic had another format, or the
        // messages went since. What is there is looked for. Records of files are always read the same way.
        let is_passed = |row: &&QuarantineMeta| row.alive && self.cluster != FILES && !is_beyond(row);
        let passed: HashSet<_> = batch.quarantined.iter().filter(is_passed).map(place).collect();
        let rows = |known: &HashSet<Place>| {
            let is_new =
                |row: &QuarantineMeta| is_beyond(row) || passed.contains(&place(row)) && !known.contains(&place(row));
            let rows = (0_u32..).zip(&batch.quarantined).filter(|(_, row)| row.alive && is_new(row));
            rows.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let mut stored: Option<(Vec<u32>, Vec<StoredFile>)> = None;
        loop {
            let keep = rows(&self.set_aside(&passed).await?);
            if positions.is_empty() && (keep.is_empty() || Self::landed(&self.quarantine, batch).is_some()) {
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

    /// Which of `wanted` have a row in `quarantine`.
    async fn set_aside(&self, wanted: &HashSet<Place>) -> Result<HashSet<Place>, Error> {
        let mut found = HashSet::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let table = self.ledger.quarantine();
        for file in self.quarantine.files() {
            let columns = ["topic", "kafka_partition", "kafka_offset", "error_code"];
            let mut batches = std::pin::pin!(table.stream_columns(&file, &columns).await?);
            while let Some(batch) = batches.try_next().await? {
                let columns = Columns(&batch);
                let is_missed = |row| columns.text("error_code", row).is_some_and(|code| code == MISSED);
                let place = |row| {
                    let at = columns.coordinates(row)?;
                    Some((Partition { topic: at.topic.into(), number: at.partition }, at.offset, is_missed(row)))
                };
                found.extend((0..batch.num_rows()).filter_map(place).filter(|place| wanted.contains(place)));
            }
        }
        Ok(found)
    }

    /// Whether an earlier attempt moved the positions of `quarantine` already and stopped later.
    async fn is_quarantined(&mut self, changes: &[PositionChange]) -> Result<bool, Error> {
        let app_ids: Vec<&str> = changes.iter().map(|change| change.app_id.as_str()).collect();
        self.ledger.quarantine().load_positions(&mut self.quarantine, &app_ids).await?;
        Ok(changes.iter().all(|change| self.quarantine.position(&change.app_id) == Some(change.to)))
    }
}
