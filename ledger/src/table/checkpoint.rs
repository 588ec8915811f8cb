//! Checkpoints: the state at a version in one object, so that opening does not read the log from its start.
//!
//! They hold nothing the log does not, so writing one may fail, and old ones may go.

use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
#[expect(deprecated, reason = "as in the module above")]
use parquet::arrow::async_reader::ParquetObjectReader;

use super::{Snapshot, Table, store_cause};
use crate::{Error, TableVersion};

/// Versions between two checkpoints: with more, opening a table slows down.
const CHECKPOINT_EVERY: u64 = 100;
/// The newest are kept for readers that just opened the table, and one of each thousand versions for states long past.
const NEWEST_KEPT: usize = 3;
const KEPT_EVERY: u64 = 1_000;
const SUFFIX: &str = ".checkpoint.parquet";

impl Table {
    /// A failed checkpoint only makes opening slower, so it is reported and forgotten.
    pub(super) async fn checkpoint_if_due(&self, snapshot: &Snapshot) {
        let version = snapshot.version();
        if version.0 > 0
            && version.0.is_multiple_of(CHECKPOINT_EVERY)
            && let Err(error) = self.write_checkpoint(version).await
        {
            tracing::warn!(table = self.spec.name, %version, %error, "checkpoint failed, nothing lost");
        }
    }

    /// Writes the checkpoint of `version`.
    ///
    /// # Errors
    /// The store's errors; nothing depends on the checkpoint then.
    pub async fn write_checkpoint(&self, version: TableVersion) -> Result<(), Error> {
        let failed = |source| self.unavailable("write a checkpoint", source);
        let mut table = deltalake::DeltaTable::new(Arc::clone(&self.log));
        table.load_version(version.0).await.map_err(failed)?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(failed)
    }

    /// The version of the newest checkpoint, as the table's own hint says.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn last_checkpoint(&self) -> Result<Option<TableVersion>, Error> {
        #[derive(serde::Deserialize)]
        struct Hint {
            version: u64,
        }
        let failed = |source| self.store_error("read the log", source);
        let hint = match self.store.get(&Path::from("_delta_log/_last_checkpoint")).await {
            Ok(found) => found.bytes().await.map_err(failed)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        // A hint that cannot be read is none.
        Ok(serde_json::from_slice(&hint).ok().map(|hint: Hint| TableVersion(hint.version)))
    }

    /// The path of the checkpoint of `version`.
    pub(super) fn checkpoint_path(version: TableVersion) -> Path {
        Path::from(format!("_delta_log/{:020}{SUFFIX}", version.0))
    }

    /// The newest checkpoint up to `version`.
    ///
    /// # Errors
    /// The store's errors.
    pub(super) async fn checkpoint_before(&self, version: TableVersion) -> Result<Option<TableVersion>, Error> {
        let Some(last) = self.last_checkpoint().await? else { return Ok(None) };
        if last <= version {
            match self.store.head(&Self::checkpoint_path(last)).await {
                Ok(_) => return Ok(Some(last)),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(self.store_error("read the log", source)),
            }
        }
        // Others went on since `version`, or wrote theirs in parts.
        let found = self.checkpoints().await?.into_iter().map(|(found, ..)| TableVersion(found));
        Ok(found.filter(|found| *found <= version).max())
    }

    /// Checkpoints that no reader needs any more, with their sizes.
    ///
    /// # Errors
    /// The store's errors.
    pub(crate) async fn spent_checkpoints(&self) -> Result<Vec<(Path, u64)>, Error> {
        let Some(last) = self.last_checkpoint().await? else { return Ok(Vec::new()) };
        // Never one after the hint: it may be in the making.
        let mut found = self.checkpoints().await?;
        found.retain(|(version, ..)| *version <= last.0);
        found.sort_unstable_by_key(|(version, ..)| std::cmp::Reverse(*version));
        let spent = found.into_iter().skip(NEWEST_KEPT).filter(|(version, ..)| !version.is_multiple_of(KEPT_EVERY));
        Ok(spent.map(|(_, path, size)| (path, size)).collect())
    }

    /// Why the table cannot be loaded although its commits are there: the newest checkpoint up to `at`, or the one that the
    /// table's own hint names, is cut short or gone.
    pub(super) async fn damaged_checkpoint(&self, at: Option<TableVersion>) -> Option<Error> {
        let newest = self.checkpoint_before(at.unwrap_or(TableVersion(u64::MAX))).await.ok()?;
        let version = newest.or(self.last_checkpoint().await.ok()?)?;
        let path = Self::checkpoint_path(version);
        let source = self.open_checkpoint(&path).await.err()?;
        let is_absent = matches!(store_cause(&*source), Some(object_store::Error::NotFound { .. }));
        if store_cause(&*source).is_some() && !is_absent {
            return None;
        }
        let (table, place) = (self.spec.name, self.place.clone());
        Some(Error::DamagedCheckpoint { table, place, path: format!("{table}/{path}"), source })
    }

    #[expect(deprecated, reason = "see the import")]
    async fn open_checkpoint(&self, path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let size = self.store.head(path).await?.size;
        let reader = ParquetObjectReader::new(Arc::clone(&self.store), path.clone()).with_file_size(size);
        ParquetRecordBatchStreamBuilder::new(reader).await?;
        Ok(())
    }

    /// Every checkpoint: version, path, size.
    async fn checkpoints(&self) -> Result<Vec<(u64, Path, u64)>, Error> {
        let objects = self.store.list(Some(&Path::from("_delta_log")));
        let checkpoint = |object: ObjectMeta| {
            let version = object.location.filename()?.strip_suffix(SUFFIX)?.parse().ok()?;
            Some((version, object.location, object.size))
        };
        let found = objects.try_filter_map(|object| std::future::ready(Ok(checkpoint(object))));
        found.try_collect().await.map_err(|source| self.store_error("list the log", source))
    }
}
