//! Commits: files stored, then one log entry that names them and moves positions, or nothing.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload, WriteMultipart};

use super::snapshot::data_file;
use super::{BATCH_TAG, BODYLESS_TAG, ROWS, SHA256_TAG, Snapshot, Table};
use crate::file::EncodedFile;
use crate::schema::PARTITION;
use crate::{Error, NextOffset, TableVersion};

/// Larger files go to a bucket in parts.
const SINGLE_PUT_BYTES_MAX: usize = 64 << 20;

/// A data file in the store that no commit names yet.
#[derive(Clone, Debug)]
pub struct StoredFile(pub(super) Add);

impl StoredFile {
    pub(crate) fn size(&self) -> u64 {
        self.0.size.try_into().unwrap_or(0)
    }

    /// Below the table.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    /// Notes for the commit that no row in it has a body any more.
    pub(crate) fn mark_bodyless(&mut self) {
        self.0.tags.get_or_insert_default().insert(BODYLESS_TAG.into(), Some("true".into()));
    }
}

/// What a batch moves from where to where: the position in a partition, what is remembered of a file, or the count of maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionChange {
    /// `ledger/<cluster>/<topic>/<partition>`, with `/digest` or `/read_at` after it, or `maintenance`.
    pub app_id: String,
    /// The position the batch starts from; `None` if the table has none.
    pub from: Option<NextOffset>,
    /// The position after it.
    pub to: NextOffset,
}

/// One batch for one table.
#[derive(Debug)]
pub struct Commit {
    /// Identifies the batch in the log, whatever the commit's outcome was reported as.
    pub batch_id: String,
    /// Files already stored by [`Table::store_file`].
    pub files: Vec<StoredFile>,
    /// Positions that move with the rows.
    pub positions: Vec<PositionChange>,
    /// Counts for the log besides that of rows, by name.
    pub counts: Vec<(&'static str, u64)>,
}

impl Commit {
    fn app_ids(&self) -> Vec<&str> {
        self.positions.iter().map(|change| change.app_id.as_str()).collect()
    }
}

/// How a commit ended. A lost race is an outcome, not an error.
#[derive(Debug)]
#[must_use]
pub enum CommitOutcome {
    /// The batch is in the table.
    Committed {
        /// The version that holds it.
        version: TableVersion,
    },
    /// Another writer took the version; the positions are still ours. Look at [`Snapshot::news`] and try again.
    Lost,
    /// Some positions are no longer where the batch starts: another worker owns those partitions.
    Fenced {
        /// Their app ids.
        app_ids: Vec<String>,
    },
}

impl Table {
    /// Stores `file` durably under a name that carries the batch; no reader sees it before a commit names it.
    ///
    /// # Errors
    /// The store's errors; [`Error::FileGone`] if it was collected before it could be looked at: store it anew.
    pub async fn store_file(&self, file: &EncodedFile, batch_id: &str, index: usize) -> Result<StoredFile, Error> {
        let name = format!("{PARTITION}={}/{batch_id}-{index:04}.parquet", file.date);
        let path = Path::from(name.as_str());
        let failed = |source| self.store_error("write a data file", source);
        if self.in_bucket && file.bytes.len() > SINGLE_PUT_BYTES_MAX {
            let upload = self.store.put_multipart(&path).await.map_err(failed)?;
            let mut parts = WriteMultipart::new(upload);
            parts.put(file.bytes.clone());
            parts.finish().await.map_err(failed)?;
        } else {
            self.store.put(&path, PutPayload::from_bytes(file.bytes.clone())).await.map_err(failed)?;
        }
        let stored = match self.store.head(&path).await {
            // Its writer slept for so long that it was collected.
            Err(object_store::Error::NotFound { .. }) => {
                return Err(Error::FileGone { path: self.file_url(&name) });
            }
            found => found.map_err(failed)?.size,
        };
        if stored != file.bytes.len() as u64 {
            let reason = format!("{} bytes were sent, {stored} arrived", file.bytes.len());
            return Err(Error::DamagedFile { path: name, reason });
        }
        Ok(StoredFile(Add {
            path: name,
            partition_values: HashMap::from([(PARTITION.into(), Some(file.date.to_string()))]),
            size: i64::try_from(stored).unwrap_or(i64::MAX),
            modification_time: 0,
            data_change: true,
            stats: Some(file.statistics.clone()),
            tags: Some(HashMap::from([
                (SHA256_TAG.into(), Some(file.sha256.clone())),
                (BATCH_TAG.into(), Some(batch_id.into())),
            ])),
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }))
    }

    /// Tries once to commit on top of `snapshot`, which ends up at the newest version whatever the outcome.
    ///
    /// Any error of the commit itself means "unknown": the log is read again, and the batch id in it decides. Only the
    /// very next version is tried, so the positions compared are those the commit is built on.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] if the outcome stays unknown or the store took nothing; the same commit may be tried
    /// again, it cannot land twice. [`Error::FileGone`] if its files may have been collected: nothing landed, store them anew.
    pub async fn try_commit(&self, snapshot: &mut Snapshot, commit: &Commit) -> Result<CommitOutcome, Error> {
        self.load_positions(snapshot, &commit.app_ids()).await?;
        if let Some(fenced) = fenced(snapshot, &commit.positions) {
            return Ok(fenced);
        }
        let rows: u64 = commit.files.iter().map(|file| data_file(&file.0).rows).sum();
        let counts = commit.counts.iter().copied().chain([(ROWS, rows)]);
        let parts = Parts {
            batch_id: &commit.batch_id,
            actions: commit.files.iter().map(|file| Action::Add(file.0.clone())).collect(),
            positions: &commit.positions,
            info: counts.map(|(name, count)| (format!("daybook.{name}"), count.into())).collect(),
            operation: DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec![PARTITION.into()]),
                predicate: None,
            },
        };
        self.commit_once(snapshot, parts).await
    }

    pub(super) async fn commit_once(&self, snapshot: &mut Snapshot, parts: Parts<'_>) -> Result<CommitOutcome, Error> {
        let Parts { batch_id, actions, positions, mut info, operation } = parts;
        info.insert(BATCH_TAG.into(), batch_id.into());
        let transactions = positions.iter().map(|change| Transaction::new(&change.app_id, change.to.0)).collect();
        let properties = quiet().with_application_transactions(transactions).with_metadata(info);
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for action in &actions {
            match action {
                Action::Add(add) => added.push(add.path.clone()),
                Action::Remove(remove) => removed.push(remove.path.clone()),
                _ => {}
            }
        }
        let pending = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&snapshot.state), Arc::clone(&self.log), operation)
            .await;
        match pending {
            Ok(done) => {
                snapshot.state = done.snapshot;
                self.remember(&snapshot.state);
                let moved = positions.iter().map(|change| (change.app_id.clone(), Some(change.to)));
                snapshot.positions.extend(moved);
                snapshot.added.extend(added.iter().cloned());
                snapshot.removed.extend(removed);
                let version = TableVersion(done.version);
                self.checkpoint_if_due(snapshot).await;
                Ok(CommitOutcome::Committed { version })
            }
            Err(source) => self.resolve_outcome(snapshot, batch_id, positions, added.first(), source).await,
        }
    }

    /// Reads what became of a commit that reported an error.
    async fn resolve_outcome(
        &self,
        snapshot: &mut Snapshot,
        batch_id: &str,
        positions: &[PositionChange],
        file: Option<&String>,
        source: DeltaTableError,
    ) -> Result<CommitOutcome, Error> {
        let before = snapshot.version();
        let caught_up = self.catch_up(snapshot).await?;
        if let Some((_, version)) = caught_up.batches.into_iter().find(|(found, _)| found == batch_id) {
            return Ok(CommitOutcome::Committed { version });
        }
        // Its files were stored before that commit, which may be about to delete them as files no commit names.
        if let (true, Some(file)) = (caught_up.collects, file) {
            return Err(Error::FileGone { path: self.file_url(file) });
        }
        if let Some(fenced) = fenced(snapshot, positions) {
            return Ok(fenced);
        }
        if snapshot.version() > before {
            return Ok(CommitOutcome::Lost);
        }
        Err(self.unavailable("commit", source))
    }
}

/// What every commit is made of.
pub(super) struct Parts<'c> {
    pub(super) batch_id: &'c str,
    pub(super) actions: Vec<Action>,
    pub(super) positions: &'c [PositionChange],
    pub(super) info: HashMap<String, serde_json::Value>,
    pub(super) operation: DeltaOperation,
}

fn fenced(snapshot: &Snapshot, positions: &[PositionChange]) -> Option<CommitOutcome> {
    let moved = |change: &&PositionChange| snapshot.positions.get(&change.app_id).copied().flatten() != change.from;
    let app_ids: Vec<_> = positions.iter().filter(moved).map(|change| change.app_id.clone()).collect();
    (!app_ids.is_empty()).then_some(CommitOutcome::Fenced { app_ids })
}

/// No retries (the snapshot must not move under the comparison of positions) and no hooks (they can fail a commit that
/// landed, and they delete the log an auditor needs).
pub(super) fn quiet() -> CommitProperties {
    CommitProperties::default().with_max_retries(0).with_create_checkpoint(false).with_cleanup_expired_logs(Some(false))
}
