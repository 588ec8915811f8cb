//! One Delta table: where it is, how it comes to be, and which version is the newest.

use std::sync::{Arc, Mutex, PoisonError};

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::CommitBuilder;
use deltalake::kernel::{Action, Metadata, Protocol};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use futures::{StreamExt as _, stream};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use url::Url;

use crate::schema::{self, PARTITION};
use crate::{EntryId, Error, Root, TableVersion};

mod checkpoint;
mod commit;
mod log;
mod positions;
mod read;
mod rewrite;
mod snapshot;

use self::commit::quiet;
pub use self::commit::{Commit, CommitOutcome, PositionChange, StoredFile};
pub use self::log::LogEntry;
pub(crate) use self::rewrite::{Maintenance, MaintenanceOutcome};
pub(crate) use self::snapshot::Properties;
pub use self::snapshot::{DataFile, Snapshot};

const SHA256_TAG: &str = "daybook.sha256";
const BATCH_TAG: &str = "daybook.batch_id";
/// Of a file in which no row has a body any more.
/// The count of rows that a commit added.
const ROWS: &str = "rows";
const BODYLESS_TAG: &str = "daybook.bodyless";
/// What maintenance did, in the commit that did it.
const KIND: &str = "daybook.maintenance";
/// Files of no version are about to be deleted.
pub(crate) const COLLECTED: &str = "collect";

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
        let pruning = self.spec.pruning_columns().filter(|name| *name != PARTITION);
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
                "delta.dataSkippingStatsColumns": pruning.collect::<Vec<_>>().join(","),
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

    /// Takes the newest state that is known of `copied` for this table's own.
    #[cfg(feature = "testing")]
    pub(crate) fn remember_as(&self, copied: &Self) {
        if let Some(state) = copied.known() {
            self.remember(&state);
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
        let mut ahead = 1;
        'newest: loop {
            let versions = version.0 + 1..=version.0 + ahead;
            let mut loaded =
                stream::iter(versions).map(|version| self.load_log_entry(TableVersion(version))).buffered(log::READS);
            while let Some(entry) = loaded.next().await {
                let Some(entry) = entry? else { break 'newest };
                version = entry.version;
                entries.push(entry);
            }
            // Mostly one version came, or none. Where many did, one after another would take hours.
            ahead = if entries.len() < log::READS { 1 } else { 4 * log::READS as u64 };
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

    /// Where a file of the table is, as a person reads it.
    fn file_url(&self, path: &str) -> String {
        format!("{}{path}", self.url())
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
