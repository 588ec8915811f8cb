//! Commits of maintenance: rows put into other files, and the word before files are deleted.

use std::collections::HashMap;

use deltalake::kernel::{Action, Remove};
use deltalake::protocol::DeltaOperation;
use serde_json::Value;

use super::commit::Parts;
use super::{COLLECTED, CommitOutcome, DataFile, KIND, PositionChange, Snapshot, StoredFile, Table};
use crate::schema::PARTITION;
use crate::{Error, Instant, NextOffset};

/// The app id whose version counts the commits of maintenance: a second guard beside the inputs, for other programs.
const MAINTENANCE: &str = "maintenance";

/// A commit of maintenance: none of them changes a count, a cost or a position.
#[derive(Debug)]
pub(crate) struct Maintenance<'m> {
    /// Identifies the commit in the log.
    pub(crate) batch_id: &'m str,
    /// What is done.
    pub(crate) kind: &'static str,
    /// Files taken from view; each must be live.
    pub(crate) removes: &'m [DataFile],
    /// Files with the same rows, or with the same rows without their bodies.
    pub(crate) adds: Vec<StoredFile>,
    /// What the log is to say of it, by name.
    pub(crate) info: Vec<(&'static str, Value)>,
    /// When.
    pub(crate) now: Instant,
}

/// How one attempt ended. A lost race is an outcome, not an error.
#[derive(Debug)]
#[must_use]
pub(crate) enum MaintenanceOutcome {
    /// It is in the table.
    Committed,
    /// Another commit took the version; the inputs may still be live.
    Lost,
    /// Another maintainer took an input from view: nothing is left to do for it here.
    Stale,
}

impl Table {
    /// Tries once to commit on top of `snapshot`, which ends up at the newest version whatever the outcome.
    ///
    /// The inputs are live in the very version the commit is built on, or it does not land.
    ///
    /// # Errors
    /// As [`Table::try_commit`].
    pub(crate) async fn try_maintain(
        &self,
        snapshot: &mut Snapshot,
        change: &Maintenance<'_>,
    ) -> Result<MaintenanceOutcome, Error> {
        if !snapshot.holds(change.removes) {
            return Ok(MaintenanceOutcome::Stale);
        }
        let from = self.load_position(snapshot, MAINTENANCE).await?;
        let to = NextOffset(from.map_or(1, |count| count.0 + 1));
        let removes = change.removes.iter().map(|file| Action::Remove(removal(file, change.now)));
        let adds = change.adds.iter().map(|file| {
            let mut add = file.0.clone();
            // The rows were there before: readers of changes do not get them again.
            add.data_change = false;
            Action::Add(add)
        });
        let mut info: HashMap<_, _> =
            change.info.iter().map(|(name, value)| (format!("daybook.{name}"), value.clone())).collect();
        info.insert(KIND.into(), change.kind.into());
        let parts = Parts {
            batch_id: change.batch_id,
            actions: removes.chain(adds).collect(),
            positions: &[PositionChange { app_id: MAINTENANCE.into(), from, to }],
            info,
            operation: match change.kind {
                COLLECTED => DeltaOperation::VacuumStart {
                    retention_check_enabled: true,
                    specified_retention_millis: None,
                    default_retention_millis: 0,
                },
                _ => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            },
        };
        Ok(match self.commit_once(snapshot, parts).await? {
            CommitOutcome::Committed { .. } => MaintenanceOutcome::Committed,
            CommitOutcome::Lost | CommitOutcome::Fenced { .. } => MaintenanceOutcome::Lost,
        })
    }
}

fn removal(file: &DataFile, now: Instant) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change: false,
        deletion_timestamp: Some(now.micros().div_euclid(1_000)),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::from([(PARTITION.into(), Some(file.date.to_string()))])),
        size: i64::try_from(file.size).ok(),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}
