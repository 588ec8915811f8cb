//! Positions: where a table stands in what was read, by app id.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int64Type};
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
#[expect(deprecated, reason = "as in the module above")]
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};

use super::{Snapshot, Table};
use crate::{Error, NextOffset, TableVersion};

impl Table {
    /// The position stored for `app_id`.
    ///
    /// # Errors
    /// As [`Table::load_positions`].
    pub async fn load_position(&self, snapshot: &mut Snapshot, app_id: &str) -> Result<Option<NextOffset>, Error> {
        self.load_positions(snapshot, &[app_id]).await?;
        Ok(snapshot.position(app_id))
    }

    /// Makes the positions of `app_ids` known to `snapshot`: those it does not know yet in one reading of the log, however
    /// many they are.
    ///
    /// # Errors
    /// The store's errors, [`Error::DamagedLog`].
    pub async fn load_positions(&self, snapshot: &mut Snapshot, app_ids: &[&str]) -> Result<(), Error> {
        if snapshot.has_all_positions {
            return Ok(());
        }
        let is_unknown = |app_id: &&str| !snapshot.positions.contains_key(*app_id);
        let wanted: HashSet<&str> = app_ids.iter().copied().filter(is_unknown).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = self.read_positions(snapshot.version(), |app_id| wanted.contains(app_id)).await?;
        let absent =
            wanted.into_iter().filter(|app_id| !found.contains_key(*app_id)).map(|app_id| (app_id.to_owned(), None));
        snapshot.positions.extend(absent.collect::<Vec<_>>());
        snapshot.positions.extend(found.into_iter().map(|(app_id, position)| (app_id, Some(position))));
        Ok(())
    }

    /// Loads every position of the table at once, for a writer of thousands of partitions.
    ///
    /// # Errors
    /// As [`Table::load_positions`].
    pub async fn load_all_positions(&self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let found = self.read_positions(snapshot.version(), |_| true).await?;
        snapshot.positions = found.into_iter().map(|(app_id, position)| (app_id, Some(position))).collect();
        snapshot.has_all_positions = true;
        Ok(())
    }

    /// What the newest checkpoint up to `version` and the log after it say of the app ids that are wanted; without a
    /// checkpoint the log alone tells, as it is never cleaned.
    async fn read_positions(
        &self,
        version: TableVersion,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<HashMap<String, NextOffset>, Error> {
        let mut positions = HashMap::new();
        let checkpoint = self.checkpoint_before(version).await?;
        if let Some(checkpoint) = checkpoint {
            self.read_checkpoint_positions(checkpoint, &is_wanted, &mut positions).await?;
        }
        let mut entries = self.log_entries(checkpoint.map_or(0, |checkpoint| checkpoint.0 + 1)..=version.0);
        while let Some(entry) = entries.try_next().await? {
            positions.extend(entry.positions.into_iter().filter(|(app_id, _)| is_wanted(app_id)));
        }
        Ok(positions)
    }

    #[expect(deprecated, reason = "see the import")]
    async fn read_checkpoint_positions(
        &self,
        checkpoint: TableVersion,
        is_wanted: &impl Fn(&str) -> bool,
        positions: &mut HashMap<String, NextOffset>,
    ) -> Result<(), Error> {
        let path = Self::checkpoint_path(checkpoint);
        let size = self.store.head(&path).await.map_err(|source| self.store_error("read the log", source))?.size;
        let damaged = |source| self.damaged(checkpoint, source);
        let reader = ParquetObjectReader::new(Arc::clone(&self.store), path).with_file_size(size);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(damaged)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
        let mut batches = builder.with_projection(mask).build().map_err(damaged)?;
        while let Some(batch) = batches.try_next().await.map_err(damaged)? {
            let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { continue };
            let ids = txn.column_by_name("appId").map(|ids| arrow::compute::cast(ids, &DataType::Utf8));
            let versions = txn.column_by_name("version").and_then(|column| column.as_primitive_opt::<Int64Type>());
            if let (Some(Ok(ids)), Some(versions)) = (ids, versions) {
                let rows = ids.as_string::<i32>().iter().zip(versions);
                let rows = rows.filter_map(|(id, version)| Some((id?, version?))).filter(|(id, _)| is_wanted(id));
                positions.extend(rows.map(|(id, version)| (id.to_owned(), NextOffset(version))));
            }
        }
        Ok(())
    }
}
