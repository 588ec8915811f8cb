//! `resolutions`: what is known to be read, and adding to it.

use std::collections::HashSet;

use daybook_ledger::schema::ResolutionsBuilder;
use daybook_ledger::{Commit, CommitOutcome, EntryId, Instant, Ledger, NextOffset, PositionChange, Snapshot, file};
use futures::TryStreamExt as _;

use super::message::{Columns, Coordinates, Quarantined, files, id_of, stream};
use crate::Error;
use crate::decode::Format;

/// The position that every replay moves, so that no two of them record one message.
const APP_ID: &str = "ledger/quarantine/resolutions";

/// A message that was read.
#[derive(Debug)]
pub(crate) struct Resolution {
    pub(crate) message: Resolved,
    pub(crate) format: Option<Format>,
    pub(crate) entries: i64,
}

/// What is kept of a message once it is read: not its bytes.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) at: Coordinates,
    pub(crate) event_date: i32,
    pub(crate) batch_id: String,
}

impl Resolved {
    pub(crate) fn of(message: &Quarantined) -> Self {
        Self { at: message.at.clone(), event_date: message.event_date.days(), batch_id: message.batch_id.clone() }
    }

    fn id(&self) -> EntryId {
        id_of(&self.batch_id, &self.at)
    }
}

/// The table as one replay sees it.
#[derive(Debug)]
pub(crate) struct Record {
    ledger: Ledger,
    /// A ledger of an earlier version may not have the table yet.
    snapshot: Option<Snapshot>,
    known: HashSet<EntryId>,
}

impl Record {
    /// Loads what was read so far.
    ///
    /// # Errors
    /// The ledger's.
    pub(crate) async fn load(ledger: &Ledger) -> Result<Self, Error> {
        let table = ledger.resolutions();
        let snapshot = match table.load(None).await {
            Err(daybook_ledger::Error::NotFound { .. }) => None,
            loaded => Some(loaded?),
        };
        let mut known = HashSet::new();
        for file in snapshot.iter().flat_map(files) {
            let mut batches = std::pin::pin!(stream(table, &file).await?);
            while let Some(batch) = batches.try_next().await? {
                let columns = Columns(&batch);
                let id = |row| Some(id_of(&columns.text("quarantine_batch_id", row)?, &columns.coordinates(row)?));
                known.extend((0..batch.num_rows()).filter_map(id));
            }
        }
        Ok(Self { ledger: ledger.clone(), snapshot, known })
    }

    pub(crate) fn has(&self, message: &Quarantined) -> bool {
        self.known.contains(&message.id())
    }

    /// Adds `resolutions`, leaving out what another replay recorded meanwhile.
    ///
    /// # Errors
    /// The ledger's; the entries are in the ledger then, and the next replay records their messages.
    pub(crate) async fn add(
        &mut self,
        batch_id: &str,
        mut resolutions: Vec<Resolution>,
        now: Instant,
    ) -> Result<(), Error> {
        for attempt in 0_usize.. {
            resolutions.retain(|resolution| !self.known.contains(&resolution.message.id()));
            if resolutions.is_empty() {
                break;
            }
            let batch_id = format!("{batch_id}-{attempt}");
            match self.try_add(&batch_id, &resolutions, now).await? {
                CommitOutcome::Committed { .. } => break,
                CommitOutcome::Lost | CommitOutcome::Fenced { .. } => *self = Self::load(&self.ledger).await?,
            }
        }
        self.known.extend(resolutions.iter().map(|resolution| resolution.message.id()));
        Ok(())
    }

    async fn try_add(
        &mut self,
        batch_id: &str,
        resolutions: &[Resolution],
        now: Instant,
    ) -> Result<CommitOutcome, Error> {
        let table = self.ledger.resolutions();
        let snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => {
                table.create().await?;
                table.load(None).await?
            }
        };
        let snapshot = self.snapshot.insert(snapshot);
        let from = table.load_position(snapshot, APP_ID).await?;
        let mut builder = ResolutionsBuilder::default();
        for Resolution { message, format, entries } in resolutions {
            builder.event_date.append_value(message.event_date);
            builder.batch_id.append_value(batch_id);
            builder.resolved_at.append_value(now.micros());
            builder.quarantine_batch_id.append_value(&message.batch_id);
            builder.topic.append_value(&message.at.topic);
            builder.kafka_partition.append_value(message.at.partition);
            builder.kafka_offset.append_value(message.at.offset);
            builder.format.append_option(format.map(Format::as_str));
            builder.entries.append_value(*entries);
        }
        let rows = u32::try_from(resolutions.len()).unwrap_or(u32::MAX);
        let keep: Vec<u32> = (0..rows).collect();
        let mut files = Vec::new();
        for (index, file) in file::encode(table.spec(), &builder.finish()?, &keep)?.iter().enumerate() {
            files.push(table.store_file(file, batch_id, index).await?);
        }
        let to = NextOffset(from.map_or(0, |position| position.0) + i64::from(rows));
        let positions = vec![PositionChange { app_id: APP_ID.into(), from, to }];
        let commit = Commit { batch_id: batch_id.into(), files, positions, counts: Vec::new() };
        Ok(table.try_commit(snapshot, &commit).await?)
    }
}
