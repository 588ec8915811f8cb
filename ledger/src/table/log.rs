//! What the log of a table says, version by version. The log is never cleaned: it is the audit trail.

use std::ops::RangeInclusive;

use deltalake::kernel::Action;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sha2::{Digest as _, Sha256};

use super::{BATCH_TAG, DataFile, Table, data_file};
use crate::file::hex;
use crate::{Error, NextOffset, TableVersion};

/// Log entries read at the same time.
const READS: usize = 16;

/// What one version of a table's log says.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The version.
    pub version: TableVersion,
    /// SHA-256 of the entry, hexadecimal.
    pub sha256: String,
    /// The batch that was committed.
    pub batch_id: Option<String>,
    /// Files it made visible.
    pub adds: Vec<DataFile>,
    /// Paths of files it took from view.
    pub removes: Vec<String>,
    /// Positions it moved, by app id.
    pub positions: Vec<(String, NextOffset)>,
}

impl LogEntry {
    /// The files with rows that were not in the table before: a commit that takes files from view only writes them anew.
    pub fn new_files(&self) -> &[DataFile] {
        if self.removes.is_empty() { &self.adds } else { &[] }
    }

    fn read(version: TableVersion, entry: &[u8]) -> Result<Self, serde_json::Error> {
        let mut read = Self {
            version,
            sha256: hex(&Sha256::digest(entry)),
            batch_id: None,
            adds: Vec::new(),
            removes: Vec::new(),
            positions: Vec::new(),
        };
        for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Action>(line)? {
                Action::Add(add) => read.adds.push(data_file(&add)),
                Action::Remove(remove) => read.removes.push(remove.path),
                Action::Txn(txn) => read.positions.push((txn.app_id, NextOffset(txn.version))),
                Action::CommitInfo(info) => {
                    read.batch_id = info.info.get(BATCH_TAG).and_then(|id| id.as_str()).map(String::from);
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

impl Table {
    /// What the log says of `version`; `None` if there is no such version.
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
