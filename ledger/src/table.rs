//! One Delta table: its snapshot, its positions, its commits.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray, RecordBatch};
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, Metadata, Protocol, Transaction};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::table::state::DeltaTableState;
use futures::{Stream, TryStreamExt as _};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
#[expect(
    deprecated,
    reason = "its successor is a trait for each store to implement; this is that for object_store"
)]
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_reader::ParquetRecordBatchStream;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use url::Url;

use crate::file::EncodedFile;
use crate::schema::{self, PARTITION};
use crate::{Date, EntryId, Error, NextOffset, Root, Status, TableVersion};

mod log;
mod positions;

pub use self::log::LogEntry;

const SHA256_TAG: &str = "daybook.sha256";
const BATCH_TAG: &str = "daybook.batch_id";
/// Larger files go to a bucket in parts.
const SINGLE_PUT_BYTES_MAX: usize = 64 << 20;
/// Log entries between two checkpoints: with more, opening a table slows down.
const CHECKPOINT_EVERY: u64 = 100;

/// A table of a ledger, as a place; [`Snapshot`] is its state.
#[derive(Clone, Debug)]
pub struct Table {
    spec: &'static schema::Table,
    log: LogStoreRef,
    store: Arc<dyn ObjectStore>,
    place: String,
    in_bucket: bool,
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
    /// The batch that brought it.
    pub batch_id: Option<String>,
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
}

impl Snapshot {
    /// Files other writers added since the snapshot was loaded and not yet acknowledged, oldest first.
    pub fn news(&self) -> &[DataFile] {
        &self.news
    }

    /// Acknowledges [`Snapshot::news`].
    pub fn clear_news(&mut self) {
        self.news.clear();
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
        statistics: add.stats.clone(),
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
        Ok(Self { spec, log, store, place: root.url.to_string(), in_bucket: root.url.scheme() == "s3" })
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
        let loaded = DeltaTableState::try_new(self.log.as_ref(), at.map(|version| version.0)).await;
        let state = match (loaded, at) {
            (Ok(state), _) => state,
            (Err(source), None) => return Err(self.damaged(TableVersion(0), source)),
            (Err(source), Some(version)) => {
                let newest = DeltaTableState::try_new(self.log.as_ref(), None).await;
                return Err(match newest.map(|state| TableVersion(state.version())) {
                    Ok(last) if last < version => {
                        Error::NoSuchVersion { table: self.spec.name, place: self.place.clone(), version, last }
                    }
                    _ => self.damaged(version, source),
                });
            }
        };
        let columns: Vec<_> = state.schema().fields().map(|field| field.name().clone()).collect();
        if let Some(missing) = self.spec.columns.iter().find(|column| !columns.iter().any(|name| name == column.name)) {
            let reason = format!("column `{}` is missing", missing.name);
            return Err(Error::NotOurs { table: self.spec.name, place: self.place.clone(), reason });
        }
        Ok(Snapshot { state, positions: HashMap::new(), has_all_positions: false, news: Vec::new() })
    }

    /// The position stored for `app_id`.
    ///
    /// # Errors
    /// [`Error::DamagedLog`] if the log cannot be read.
    pub async fn load_position(&self, snapshot: &mut Snapshot, app_id: &str) -> Result<Option<NextOffset>, Error> {
        if let Some(position) = snapshot.positions.get(app_id) {
            return Ok(*position);
        }
        if snapshot.has_all_positions {
            return Ok(None);
        }
        let version = snapshot.version();
        let found = snapshot.state.transaction_version(self.log.as_ref(), app_id).await;
        let position = found.map_err(|source| self.damaged(version, source))?.map(NextOffset);
        snapshot.positions.insert(app_id.into(), position);
        Ok(position)
    }

    /// Brings `snapshot` up to the newest version; what came is added to [`Snapshot::news`]. Returns the
    /// batches that came, with their versions.
    ///
    /// # Errors
    /// The store's errors; `snapshot` is then unchanged.
    pub async fn refresh(&self, snapshot: &mut Snapshot) -> Result<Vec<(String, TableVersion)>, Error> {
        let mut files = Vec::new();
        let mut batch_ids = Vec::new();
        let mut positions = Vec::new();
        let mut version = snapshot.state.version();
        loop {
            let entry = self.log.read_commit_entry(version + 1).await;
            let entry = entry.map_err(|source| self.unavailable("read the log", source))?;
            let Some(entry) = entry else { break };
            version += 1;
            for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let action = serde_json::from_slice::<Action>(line)
                    .map_err(|source| self.damaged(TableVersion(version), source))?;
                match action {
                    Action::Add(add) => files.push(data_file(&add)),
                    Action::Txn(txn) => positions.push((txn.app_id, NextOffset(txn.version))),
                    Action::CommitInfo(info) => {
                        let batch_id = info.info.get(BATCH_TAG).and_then(|id| id.as_str());
                        batch_ids.extend(batch_id.map(|id| (id.to_owned(), TableVersion(version))));
                    }
                    _ => {}
                }
            }
        }
        if version > snapshot.state.version() {
            let updated = snapshot.state.update(self.log.as_ref(), Some(version)).await;
            updated.map_err(|source| self.unavailable("read the log", source))?;
        }
        snapshot.positions.extend(positions.into_iter().map(|(app_id, position)| (app_id, Some(position))));
        snapshot.news.extend(files);
        Ok(batch_ids)
    }

    /// Stores `file` durably under a name that carries the batch; no reader sees it before a commit names it.
    ///
    /// # Errors
    /// The store's errors.
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
        let stored = self.store.head(&path).await.map_err(failed)?.size;
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

    /// The ids of the entries in `file`: one column, read alone.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it cannot be read.
    pub async fn load_entry_ids(&self, file: &DataFile) -> Result<Vec<EntryId>, Error> {
        let batches = self.read(file, Some(&["entry_id"])).await?;
        let columns = batches.iter().filter_map(|batch| batch.columns().first()?.as_binary_opt::<i32>());
        Ok(columns.flatten().flatten().filter_map(EntryId::from_slice).collect())
    }

    /// The entry of every row of `file`, a file of `usage` or `corrections`, with its
    /// [`completeness`](crate::Entry::completeness).
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it cannot be read.
    pub async fn load_completeness(&self, file: &DataFile) -> Result<Vec<(EntryId, u8)>, Error> {
        const COLUMNS: [&str; 4] = ["entry_id", "status", "input_tokens", "output_tokens"];
        let mut entries = Vec::with_capacity(usize::try_from(file.rows).unwrap_or(0).min(1 << 20));
        for batch in self.read(file, Some(&COLUMNS)).await? {
            let column = |name| batch.column_by_name(name);
            let (Some(ids), Some(statuses), Some(input), Some(output)) = (
                column("entry_id").and_then(|ids| ids.as_binary_opt::<i32>()),
                column("status").and_then(|words| words.as_string_opt::<i32>()),
                column("input_tokens"),
                column("output_tokens"),
            ) else {
                let path = format!("{}{}", self.url(), file.path);
                return Err(Error::DamagedFile { path, reason: "its columns are not those of `usage`".into() });
            };
            let rows = ids.iter().zip(statuses).enumerate();
            entries.extend(rows.filter_map(|(at, (id, word))| {
                let counted = input.is_valid(at) || output.is_valid(at);
                let status = word.and_then(Status::named)?;
                Some((EntryId::from_slice(id?)?, status.completeness(counted)))
            }));
        }
        Ok(entries)
    }

    /// All rows of `file`, which should be a small one.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it cannot be read.
    pub async fn load_batches(&self, file: &DataFile) -> Result<Vec<RecordBatch>, Error> {
        self.read(file, None).await
    }

    /// The rows of `file` with `columns` alone, batch by batch: memory is one row group, whatever the file.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it cannot be read; so does each batch that cannot.
    pub async fn stream_columns(
        &self,
        file: &DataFile,
        columns: &[&str],
    ) -> Result<impl Stream<Item = Result<RecordBatch, Error>> + use<>, Error> {
        let damaged = self.damaged_file(file);
        let stream = self.stream(file, Some(columns)).await.map_err(&damaged)?;
        Ok(stream.map_err(damaged))
    }

    async fn read(&self, file: &DataFile, columns: Option<&[&str]>) -> Result<Vec<RecordBatch>, Error> {
        let damaged = self.damaged_file(file);
        self.stream(file, columns).await.map_err(&damaged)?.try_collect().await.map_err(damaged)
    }

    fn damaged_file(&self, file: &DataFile) -> impl Fn(ParquetError) -> Error + use<> {
        let path = format!("{}{}", self.url(), file.path);
        move |error| Error::DamagedFile { path: path.clone(), reason: error.to_string() }
    }

    #[expect(deprecated, reason = "see the import")]
    async fn stream(
        &self,
        file: &DataFile,
        columns: Option<&[&str]>,
    ) -> Result<ParquetRecordBatchStream<ParquetObjectReader>, ParquetError> {
        let path = Path::from(file.path.as_str());
        let reader = ParquetObjectReader::new(Arc::clone(&self.store), path).with_file_size(file.size);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        let mask = match columns {
            Some(columns) => ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied()),
            None => ProjectionMask::all(),
        };
        builder.with_projection(mask).build()
    }

    /// Tries once to commit on top of `snapshot`, which ends up at the newest version whatever the outcome.
    ///
    /// Any error of the commit itself means "unknown": the log is read again, and the batch id in it decides. Only the
    /// very next version is tried, so the positions compared are those the commit is built on.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] if the outcome stays unknown or the store took nothing; the same commit may be tried
    /// again, it cannot land twice.
    pub async fn try_commit(&self, snapshot: &mut Snapshot, commit: &Commit) -> Result<CommitOutcome, Error> {
        for change in &commit.positions {
            self.load_position(snapshot, &change.app_id).await?;
        }
        if let Some(fenced) = fenced(snapshot, commit) {
            return Ok(fenced);
        }
        let transactions =
            commit.positions.iter().map(|change| Transaction::new(&change.app_id, change.to.0)).collect();
        let mut info = HashMap::from([(BATCH_TAG.to_owned(), commit.batch_id.clone().into())]);
        info.extend(commit.counts.iter().map(|(name, count)| (format!("daybook.{name}"), (*count).into())));
        let properties = quiet().with_application_transactions(transactions).with_metadata(info);
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![PARTITION.into()]),
            predicate: None,
        };
        let actions = commit.files.iter().map(|file| Action::Add(file.0.clone())).collect();
        let pending = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&snapshot.state), Arc::clone(&self.log), operation)
            .await;
        match pending {
            Ok(done) => {
                snapshot.state = done.snapshot;
                let moved = commit.positions.iter().map(|change| (change.app_id.clone(), Some(change.to)));
                snapshot.positions.extend(moved);
                let version = TableVersion(done.version);
                self.checkpoint_if_due(snapshot).await;
                Ok(CommitOutcome::Committed { version })
            }
            Err(source) => self.settle(snapshot, commit, source).await,
        }
    }

    /// Reads what became of a commit that reported an error.
    async fn settle(
        &self,
        snapshot: &mut Snapshot,
        commit: &Commit,
        source: deltalake::DeltaTableError,
    ) -> Result<CommitOutcome, Error> {
        let before = snapshot.version();
        let batch_ids = self.refresh(snapshot).await?;
        if let Some((_, version)) = batch_ids.into_iter().find(|(batch_id, _)| *batch_id == commit.batch_id) {
            return Ok(CommitOutcome::Committed { version });
        }
        if let Some(fenced) = fenced(snapshot, commit) {
            return Ok(fenced);
        }
        if snapshot.version() > before {
            return Ok(CommitOutcome::Lost);
        }
        Err(self.unavailable("commit", source))
    }

    /// A failed checkpoint only makes opening slower, so it is reported and forgotten.
    async fn checkpoint_if_due(&self, snapshot: &Snapshot) {
        let version = snapshot.state.version();
        if version > 0 && version.is_multiple_of(CHECKPOINT_EVERY) {
            let mut table = deltalake::DeltaTable::new(Arc::clone(&self.log));
            let written = match table.load_version(version).await {
                Ok(()) => deltalake::checkpoints::create_checkpoint(&table, None).await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                tracing::warn!(table = self.spec.name, version, %error, "checkpoint failed, nothing lost");
            }
        }
    }

    fn store_error(&self, action: &'static str, source: object_store::Error) -> Error {
        Error::store(self.place.clone(), action, source)
    }

    fn unavailable(&self, action: &'static str, source: deltalake::DeltaTableError) -> Error {
        match source {
            deltalake::DeltaTableError::ObjectStore { source } => self.store_error(action, source),
            source => Error::StoreUnavailable { place: self.place.clone(), action, source: source.into() },
        }
    }

    fn damaged(&self, version: TableVersion, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::DamagedLog { table: self.spec.name, place: self.place.clone(), version, source: source.into() }
    }
}

fn fenced(snapshot: &Snapshot, commit: &Commit) -> Option<CommitOutcome> {
    let moved = |change: &&PositionChange| snapshot.positions.get(&change.app_id).copied().flatten() != change.from;
    let app_ids: Vec<_> = commit.positions.iter().filter(moved).map(|change| change.app_id.clone()).collect();
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
