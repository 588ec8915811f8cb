//! One Delta table: its snapshot, its positions, its commits.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Metadata, Protocol, Transaction};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::table::state::DeltaTableState;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use url::Url;

use crate::file::EncodedFile;
use crate::schema::{self, PARTITION};
use crate::{Date, EntryId, Error, NextOffset, Root, TableVersion};

mod checkpoint;
mod log;
mod positions;
mod read;
mod rewrite;

pub use self::log::LogEntry;
pub(crate) use self::rewrite::{Maintenance, MaintenanceOutcome};

const SHA256_TAG: &str = "daybook.sha256";
const BATCH_TAG: &str = "daybook.batch_id";
/// Of a file in which no row has a body any more.
const BODYLESS_TAG: &str = "daybook.bodyless";
/// What maintenance did, in the commit that did it.
const KIND: &str = "daybook.maintenance";
/// Files of no version are about to be deleted.
pub(crate) const COLLECTED: &str = "collect";
/// Larger files go to a bucket in parts.
const SINGLE_PUT_BYTES_MAX: usize = 64 << 20;

/// A table of a ledger, as a place; [`Snapshot`] is its state.
#[derive(Clone, Debug)]
pub struct Table {
    spec: &'static schema::Table,
    log: LogStoreRef,
    store: Arc<dyn ObjectStore>,
    place: String,
    in_bucket: bool,
    /// The newest state this process knows, from which the next load goes on: a log is long, what came since is not.
    newest: Arc<Mutex<Option<DeltaTableState>>>,
}

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
    state: DeltaTableState,
    /// Positions asked for so far and everything the log brought since.
    positions: HashMap<String, Option<NextOffset>>,
    /// Whether `positions` has every position there is.
    has_all_positions: bool,
    /// Files other writers added that were not taken in yet.
    news: Vec<DataFile>,
    /// Paths that came into view in the same time, with new rows or not, and paths that were taken from it.
    added: HashSet<String>,
    removed: HashSet<String>,
}

impl Snapshot {
    fn new(state: DeltaTableState) -> Self {
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

    fn take_in(&mut self, entry: LogEntry) {
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

    /// The positions known so far: those asked for, or after [`Table::load_all_positions`] every one.
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

fn data_file(add: &Add) -> DataFile {
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

/// A data file in the store that no commit names yet.
#[derive(Clone, Debug)]
pub struct StoredFile(Add);

impl StoredFile {
    pub(crate) fn size(&self) -> u64 {
        self.0.size.try_into().unwrap_or(0)
    }

    /// Notes for the commit that no row in it has a body any more.
    pub(crate) fn mark_bodyless(&mut self) {
        self.0.tags.get_or_insert_default().insert(BODYLESS_TAG.into(), Some("true".into()));
    }
}

/// What a batch moves from where to where: one partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionChange {
    /// `ledger/<cluster>/<topic>/<partition>`.
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
    /// Counts for the log, by name.
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
    /// The table `spec` under `root`; no I/O.
    pub(crate) fn new(root: &Root, spec: &'static schema::Table) -> Result<Self, Error> {
        let url: Url = root
            .url
            .join(&format!("{}/", spec.name))
            .map_err(|error| Error::Address { url: root.url.to_string(), reason: error.to_string() })?;
        let folder = root.prefix.clone().join(spec.name);
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&root.store), folder));
        let log = default_logstore(Arc::clone(&store), Arc::clone(&root.store), &url, &StorageConfig::default());
        let (place, in_bucket) = (root.url.to_string(), root.url.scheme() == "s3");
        Ok(Self { spec, log, store, place, in_bucket, newest: Arc::default() })
    }

    /// Its columns.
    pub fn spec(&self) -> &'static schema::Table {
        self.spec
    }

    /// The store at the table's folder.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The object URL prefix of the table, with a slash at its end.
    pub fn url(&self) -> &Url {
        self.log.config().location()
    }

    /// Whether the table has been created.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn exists(&self) -> Result<bool, Error> {
        match self.store.head(&commit_path(0)).await {
            Ok(_) => Ok(true),
            // A store may answer "not found" for a missing bucket too, so ask for a listing, which tells them apart.
            Err(object_store::Error::NotFound { .. }) => {
                let listing = self.store.list_with_delimiter(Some(&Path::from("_delta_log"))).await;
                let listing = listing.map_err(|source| self.store_error("list the log", source))?;
                Ok(!listing.objects.is_empty())
            }
            Err(source) => Err(self.store_error("read the log", source)),
        }
    }

    /// Creates the table unless another writer did.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn create(&self) -> Result<(), Error> {
        if self.exists().await? {
            return Ok(());
        }
        let (protocol, metadata) = self.creation()?;
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: self.url().clone(),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        let commit = CommitBuilder::from(quiet()).with_actions(actions);
        match commit.build(None, Arc::clone(&self.log), operation).await {
            Ok(_) => Ok(()),
            // Another writer may have been first, or the reply got lost: what counts is that the table is there.
            Err(source) => match self.exists().await? {
                true => Ok(()),
                false => Err(Error::StoreUnavailable {
                    place: self.place.clone(),
                    action: "create a table",
                    source: source.into(),
                }),
            },
        }
    }

    fn creation(&self) -> Result<(Protocol, Metadata), Error> {
        let internal = |error: serde_json::Error| Error::Internal {
            invariant: "the table's metadata is valid Delta",
            found: error.to_string(),
        };
        let protocol = serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2});
        let pruning = [PARTITION].into_iter().chain(self.spec.pruning_columns().filter(|name| *name != PARTITION));
        let metadata = serde_json::json!({
            "id": uuid_of(&self.place, self.spec.name),
            "name": self.spec.name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": self.spec.delta_schema().to_string(),
            "partitionColumns": [PARTITION],
            "configuration": {
                "delta.appendOnly": "true",
                "delta.enableExpiredLogCleanup": "false",
                "delta.logRetentionDuration": "interval 3650 days",
                "delta.deletedFileRetentionDuration": "interval 30 days",
                "delta.dataSkippingStatsColumns": pruning.filter(|name| *name != PARTITION).collect::<Vec<_>>().join(","),
            },
        });
        Ok((serde_json::from_value(protocol).map_err(internal)?, serde_json::from_value(metadata).map_err(internal)?))
    }

    /// Loads the newest version, or version `at`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NoSuchVersion`], [`Error::NotOurs`] if columns are missing, the store's errors.
    pub async fn load(&self, at: Option<TableVersion>) -> Result<Snapshot, Error> {
        if !self.exists().await? {
            return Err(Error::NotFound { url: self.place.clone() });
        }
        if at.is_none()
            && let Some(known) = self.known()
        {
            let mut snapshot = Snapshot::new(known);
            self.catch_up(&mut snapshot).await?;
            snapshot.clear_news();
            return Ok(snapshot);
        }
        let loaded = DeltaTableState::try_new(self.log.as_ref(), at.map(|version| version.0)).await;
        let state = match (loaded, at) {
            (Ok(state), _) => state,
            (Err(source), None) => {
                let checkpoint = self.damaged_checkpoint(None).await;
                return Err(checkpoint.unwrap_or_else(|| self.damaged(TableVersion(0), source)));
            }
            (Err(source), Some(version)) => {
                let newest = DeltaTableState::try_new(self.log.as_ref(), None).await;
                return Err(match newest.map(|state| TableVersion(state.version())) {
                    Ok(last) if last < version => {
                        Error::NoSuchVersion { table: self.spec.name, place: self.place.clone(), version, last }
                    }
                    _ => self.damaged_checkpoint(at).await.unwrap_or_else(|| self.damaged(version, source)),
                });
            }
        };
        let columns: Vec<_> = state.schema().fields().map(|field| field.name().clone()).collect();
        if let Some(missing) = self.spec.columns.iter().find(|column| !columns.iter().any(|name| name == column.name)) {
            let reason = format!("column `{}` is missing", missing.name);
            return Err(Error::NotOurs { table: self.spec.name, place: self.place.clone(), reason });
        }
        if at.is_none() {
            self.remember(&state);
        }
        Ok(Snapshot::new(state))
    }

    fn known(&self) -> Option<DeltaTableState> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, state: &DeltaTableState) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|known| known.version() < state.version()) {
            *newest = Some(state.clone());
        }
    }

    /// Brings `snapshot` up to the newest version; what came is added to [`Snapshot::news`]. Returns the
    /// batches that came, with their versions.
    ///
    /// # Errors
    /// The store's errors; `snapshot` is then unchanged.
    pub async fn refresh(&self, snapshot: &mut Snapshot) -> Result<Vec<(String, TableVersion)>, Error> {
        Ok(self.catch_up(snapshot).await?.batches)
    }

    async fn catch_up(&self, snapshot: &mut Snapshot) -> Result<CaughtUp, Error> {
        let mut entries = Vec::new();
        let mut version = snapshot.version();
        while let Some(entry) = self.load_log_entry(TableVersion(version.0 + 1)).await? {
            version = entry.version;
            entries.push(entry);
        }
        if version > snapshot.version() {
            let updated = snapshot.state.update(self.log.as_ref(), Some(version.0)).await;
            updated.map_err(|source| self.unavailable("read the log", source))?;
            self.remember(&snapshot.state);
        }
        let caught_up = CaughtUp {
            batches: entries.iter().filter_map(|entry| Some((entry.batch_id.clone()?, entry.version))).collect(),
            collects: entries.iter().any(LogEntry::collects),
        };
        entries.into_iter().for_each(|entry| snapshot.take_in(entry));
        Ok(caught_up)
    }

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
                return Err(Error::FileGone { path: format!("{}{name}", self.url()) });
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
        let parts = Parts {
            batch_id: &commit.batch_id,
            actions: commit.files.iter().map(|file| Action::Add(file.0.clone())).collect(),
            positions: &commit.positions,
            info: commit.counts.iter().map(|(name, count)| (format!("daybook.{name}"), (*count).into())).collect(),
            operation: DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec![PARTITION.into()]),
                predicate: None,
            },
        };
        self.commit_once(snapshot, parts).await
    }

    async fn commit_once(&self, snapshot: &mut Snapshot, parts: Parts<'_>) -> Result<CommitOutcome, Error> {
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
            Err(source) => self.settle(snapshot, batch_id, positions, added.first(), source).await,
        }
    }

    /// Reads what became of a commit that reported an error.
    async fn settle(
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
            return Err(Error::FileGone { path: format!("{}{file}", self.url()) });
        }
        if let Some(fenced) = fenced(snapshot, positions) {
            return Ok(fenced);
        }
        if snapshot.version() > before {
            return Ok(CommitOutcome::Lost);
        }
        Err(self.unavailable("commit", source))
    }

    fn store_error(&self, action: &'static str, source: object_store::Error) -> Error {
        Error::store(self.place.clone(), action, source)
    }

    fn unavailable(&self, action: &'static str, source: DeltaTableError) -> Error {
        match source {
            DeltaTableError::ObjectStore { source } => self.store_error(action, source),
            source => Error::of_store(self.place.clone(), action, false, source.into()),
        }
    }

    fn damaged(&self, version: TableVersion, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        match store_cause(&source) {
            None | Some(object_store::Error::NotFound { .. }) => {
                Error::DamagedLog { table: self.spec.name, place: self.place.clone(), version, source: source.into() }
            }
            // It could not be looked at, which says nothing about what it is.
            Some(_) => Error::of_store(self.place.clone(), "read the log", false, source.into()),
        }
    }
}

/// What the store said, if it is behind `error`.
fn store_cause<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e object_store::Error> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| match error.downcast_ref() {
        // The kernel does not tell of this cause as the error's `source`.
        Some(delta_kernel::Error::ObjectStore(said)) => Some(said),
        _ => error.downcast_ref(),
    })
}

/// Runs `work`, which keeps a core busy, beside the threads that serve others.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let gave_up = |error: tokio::task::JoinError| Error::Internal {
        invariant: "work on a data file ends",
        found: error.to_string(),
    };
    tokio::task::spawn_blocking(work).await.map_err(gave_up)?
}

/// What the log brought since a snapshot.
struct CaughtUp {
    batches: Vec<(String, TableVersion)>,
    /// Whether files that no commit named were about to be deleted.
    collects: bool,
}

/// What every commit is made of.
struct Parts<'c> {
    batch_id: &'c str,
    actions: Vec<Action>,
    positions: &'c [PositionChange],
    info: HashMap<String, serde_json::Value>,
    operation: DeltaOperation,
}

fn fenced(snapshot: &Snapshot, positions: &[PositionChange]) -> Option<CommitOutcome> {
    let moved = |change: &&PositionChange| snapshot.positions.get(&change.app_id).copied().flatten() != change.from;
    let app_ids: Vec<_> = positions.iter().filter(moved).map(|change| change.app_id.clone()).collect();
    (!app_ids.is_empty()).then_some(CommitOutcome::Fenced { app_ids })
}

/// No retries (the snapshot must not move under the comparison of positions) and no hooks (they can fail a commit that
/// landed, and they delete the log an auditor needs).
fn quiet() -> CommitProperties {
    CommitProperties::default().with_max_retries(0).with_create_checkpoint(false).with_cleanup_expired_logs(Some(false))
}

fn commit_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

/// A table id that depends on the place alone, so that the same run gives the same bytes.
fn uuid_of(place: &str, table: &str) -> String {
    let id = EntryId::derive(place, table.as_bytes()).to_string();
    let part = |range: std::ops::Range<usize>| id.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

#[cfg(test)]
mod tests;
