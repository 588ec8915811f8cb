//! What the log of a table says, version by version. The log is never cleaned: it is the audit trail.

use std::ops::RangeInclusive;

use deltalake::kernel::Action;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sha2::{Digest as _, Sha256};

use super::snapshot::data_file;
use super::{BATCH_TAG, COLLECTED, DataFile, KIND, ROWS, Table};
use crate::file::hex;
use crate::{Error, Instant, NextOffset, TableVersion};

/// Log entries read at the same time.
pub(super) const READS: usize = 16;

/// What one version of a table's log says.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The version.
    pub version: TableVersion,
    /// SHA-256 of the entry, hexadecimal.
    pub sha256: String,
    /// When it was committed, by its writer's clock.
    pub committed_at: Option<Instant>,
    /// The batch that was committed.
    pub batch_id: Option<String>,
    /// What maintenance did, if it is a commit of that: `compact`, `erase`, `collect`.
    pub maintenance: Option<String>,
    /// Files it made visible.
    pub adds: Vec<DataFile>,
    /// Paths of files it took from view.
    pub removes: Vec<String>,
    /// Whether rows came or went; false if they were only put elsewhere.
    pub changes_data: bool,
    /// Positions it moved, by app id.
    pub positions: Vec<(String, NextOffset)>,
    /// What its writer noted besides, by name.
    pub info: serde_json::Map<String, serde_json::Value>,
}

impl LogEntry {
    /// The files with rows that were not in the table before: a commit that takes files from view only writes them anew.
    pub fn new_files(&self) -> &[DataFile] {
        if self.removes.is_empty() { &self.adds } else { &[] }
    }

    /// How many rows its writer says it added; `None` if it does not say.
    pub fn stated_rows(&self) -> Option<u64> {
        // Commits of `usage` by earlier versions call them entries.
        let count = |name: &str| self.info.get(&format!("daybook.{name}"))?.as_u64();
        count(ROWS).or_else(|| count("entries"))
    }

    /// Whether files that no version needs were about to be deleted.
    pub(super) fn collects(&self) -> bool {
        self.maintenance.as_deref() == Some(COLLECTED)
    }

    fn read(version: TableVersion, entry: &[u8]) -> Result<Self, serde_json::Error> {
        let mut read = Self {
            version,
            sha256: hex(&Sha256::digest(entry)),
            committed_at: None,
            batch_id: None,
            maintenance: None,
            adds: Vec::new(),
            removes: Vec::new(),
            changes_data: false,
            positions: Vec::new(),
            info: serde_json::Map::new(),
        };
        for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Action>(line)? {
                Action::Add(add) => {
                    read.changes_data |= add.data_change;
                    read.adds.push(data_file(&add));
                }
                Action::Remove(remove) => {
                    read.changes_data |= remove.data_change;
                    read.removes.push(remove.path);
                }
                Action::Txn(txn) => read.positions.push((txn.app_id, NextOffset(txn.version))),
                Action::CommitInfo(info) => {
                    read.committed_at = info.timestamp.and_then(Instant::from_millis);
                    let text = |name: &str| info.info.get(name).and_then(|text| text.as_str()).map(String::from);
                    (read.batch_id, read.maintenance) = (text(BATCH_TAG), text(KIND));
                    read.info = info.info.into_iter().collect();
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

impl Table {
    /// What the log says of `version`; `None` if there is no such version yet.
    ///
    /// # Errors
    /// The store's errors, [`Error::DamagedLog`].
    pub async fn load_log_entry(&self, version: TableVersion) -> Result<Option<LogEntry>, Error> {
        let entry = self.log.read_commit_entry(version.0).await;
        let entry = entry.map_err(|source| self.unavailable("read the log", source))?;
        let read = |entry: bytes::Bytes| LogEntry::read(version, &entry);
        entry.map(read).transpose().map_err(|source| self.damaged(version, source))
    }

    /// The log of `versions`, in order, some versions ahead.
    ///
    /// # Errors
    /// Of each version: the store's errors, [`Error::DamagedLog`], also if it is missing.
    pub fn log_entries(&self, versions: RangeInclusive<u64>) -> BoxStream<'_, Result<LogEntry, Error>> {
        let load = move |version| async move {
            let entry = self.load_log_entry(TableVersion(version)).await?;
            let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, "the version is missing");
            entry.ok_or_else(|| self.damaged(TableVersion(version), missing()))
        };
        stream::iter(versions).map(load).buffered(READS).boxed()
    }
}
