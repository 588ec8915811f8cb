//! The state of a table at one version, and the files it is made of.

use std::collections::{HashMap, HashSet};

use deltalake::kernel::Add;
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::table::state::DeltaTableState;

use super::{BATCH_TAG, BODYLESS_TAG, LogEntry, SHA256_TAG};
use crate::schema::PARTITION;
use crate::{Date, NextOffset, TableVersion};

/// A data file of a snapshot, as its commit describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Path below the table's folder.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Rows in it.
    pub rows: u64,
    /// The day all its rows belong to.
    pub date: Date,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: Option<String>,
    /// The batch that brought it, or the commit of maintenance that wrote its rows anew.
    pub batch_id: Option<String>,
    /// Whether every row in it lost its body to an erasure or its age.
    pub bodyless: bool,
    /// Delta statistics (JSON).
    pub statistics: Option<String>,
}

/// The state of a table at one version.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) state: DeltaTableState,
    /// Positions asked for so far and everything the log brought since.
    pub(super) positions: HashMap<String, Option<NextOffset>>,
    /// Whether `positions` has every position there is.
    pub(super) has_all_positions: bool,
    /// Files other writers added that were not taken in yet.
    news: Vec<DataFile>,
    /// Paths that came into view in the same time, with new rows or not, and paths that were taken from it.
    pub(super) added: HashSet<String>,
    pub(super) removed: HashSet<String>,
}

impl Snapshot {
    pub(super) fn new(state: DeltaTableState) -> Self {
        Self {
            state,
            positions: HashMap::new(),
            has_all_positions: false,
            news: Vec::new(),
            added: HashSet::new(),
            removed: HashSet::new(),
        }
    }

    /// Files other writers added since the snapshot was loaded and not yet acknowledged, oldest first.
    pub fn news(&self) -> &[DataFile] {
        &self.news
    }

    /// Acknowledges [`Snapshot::news`].
    pub fn clear_news(&mut self) {
        self.news.clear();
        self.added.clear();
        self.removed.clear();
    }

    /// Whether `files`, live when news were last acknowledged or before, are live.
    pub(crate) fn holds(&self, files: &[DataFile]) -> bool {
        files.iter().all(|file| !self.removed.contains(&file.path))
    }

    /// Whether a commit made `path` visible since news were last acknowledged.
    pub(crate) fn came_to_name(&self, path: &str) -> bool {
        self.added.contains(path)
    }

    pub(super) fn take_in(&mut self, entry: LogEntry) {
        self.positions.extend(entry.positions.into_iter().map(|(app_id, position)| (app_id, Some(position))));
        let known = self.news.len();
        self.news.retain(|file| !entry.removes.contains(&file.path));
        self.added.extend(entry.adds.iter().map(|file| file.path.clone()));
        // Rows that were put elsewhere are no news, unless their first place was not looked at yet and may be gone.
        if entry.changes_data || self.news.len() < known {
            self.news.extend(entry.adds);
        }
        self.removed.extend(entry.removes);
    }

    /// The positions known so far: those asked for, or after [`super::Table::load_all_positions`] every one.
    pub fn positions(&self) -> impl Iterator<Item = (&str, NextOffset)> {
        self.positions.iter().filter_map(|(app_id, position)| Some((app_id.as_str(), (*position)?)))
    }

    /// The position of `app_id` among [`Snapshot::positions`].
    pub fn position(&self, app_id: &str) -> Option<NextOffset> {
        self.positions.get(app_id).copied().flatten()
    }

    /// The version.
    pub fn version(&self) -> TableVersion {
        TableVersion(self.state.version())
    }

    /// When the version was committed, milliseconds since 1970, if the log still has it.
    pub fn committed_at_ms(&self) -> Option<i64> {
        self.state.version_timestamp(self.state.version())
    }

    pub(crate) fn properties(&self) -> Properties {
        // Its fields are private to the library, its JSON is the Delta protocol's.
        let protocol = serde_json::to_value(self.state.protocol()).unwrap_or_default();
        let version = |name: &str| protocol.get(name).and_then(serde_json::Value::as_i64).unwrap_or(0);
        let config = self.state.table_config();
        Properties {
            reader: version("minReaderVersion"),
            writer: version("minWriterVersion"),
            append_only: config.append_only(),
            cleans_log: config.enable_expired_log_cleanup(),
        }
    }

    /// Rows in all live data files.
    pub fn rows(&self) -> u64 {
        self.files().iter().map(|file| file.rows).sum()
    }

    /// The live data files.
    #[expect(deprecated, reason = "the only view of a file that has its tags")]
    pub fn files(&self) -> Vec<DataFile> {
        self.state.log_data().iter().map(|view| data_file(&view.add_action())).collect()
    }
}

/// What a table promises to those who read and write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Least version of the protocol a reader needs.
    pub(crate) reader: i64,
    /// Least version of the protocol a writer needs.
    pub(crate) writer: i64,
    /// Whether rows may only be added.
    pub(crate) append_only: bool,
    /// Whether writers delete old log entries.
    pub(crate) cleans_log: bool,
}

pub(super) fn data_file(add: &Add) -> DataFile {
    let tag = |name: &str| add.tags.as_ref().and_then(|tags| tags.get(name)).cloned().flatten();
    let rows = add.stats.as_deref().and_then(|stats| serde_json::from_str::<RowCount>(stats).ok());
    let date = add.partition_values.get(PARTITION).cloned().flatten();
    DataFile {
        path: add.path.clone(),
        size: add.size.try_into().unwrap_or(0),
        rows: rows.map_or(0, |rows| rows.num_records),
        date: date.and_then(|date| Date::parse(&date)).unwrap_or(Date::from_days(0)),
        sha256: tag(SHA256_TAG),
        batch_id: tag(BATCH_TAG),
        bodyless: tag(BODYLESS_TAG).is_some(),
        statistics: add.stats.clone(),
    }
}

impl DataFile {
    /// The earliest start of a call in it, as its statistics write instants: comparable as text.
    pub(crate) fn first_started_at(&self) -> Option<String> {
        let statistics: serde_json::Value = serde_json::from_str(self.statistics.as_deref()?).ok()?;
        statistics.get("minValues")?.get("started_at")?.as_str().map(String::from)
    }
}

#[derive(serde::Deserialize)]
struct RowCount {
    #[serde(rename = "numRecords")]
    num_records: u64,
}
