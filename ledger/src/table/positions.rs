//! Every position of a table at once.

use std::collections::HashMap;
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
    /// Loads every position of the table at once, for a writer of thousands of partitions: asking for each reads the log
    /// each time.
    ///
    /// # Errors
    /// The store's errors, [`Error::DamagedLog`].
    pub async fn load_all_positions(&self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let version = snapshot.state.version();
        let mut positions = HashMap::new();
        let checkpoint = self.load_checkpoint_positions(version, &mut positions).await?;
        for version in checkpoint.map_or(0, |checkpoint| checkpoint + 1)..=version {
            let entry = self.load_log_entry(TableVersion(version)).await?;
            let missing = || self.damaged(TableVersion(version), std::io::Error::from(std::io::ErrorKind::NotFound));
            let moved = entry.ok_or_else(missing)?.positions;
            positions.extend(moved.into_iter().map(|(app_id, position)| (app_id, Some(position))));
        }
        snapshot.positions = positions;
        snapshot.has_all_positions = true;
        Ok(())
    }

    /// Reads the positions of the newest checkpoint up to `version`; without one the log alone tells, as it is never cleaned.
    #[expect(deprecated, reason = "see the import")]
    async fn load_checkpoint_positions(
        &self,
        version: u64,
        positions: &mut HashMap<String, Option<NextOffset>>,
    ) -> Result<Option<u64>, Error> {
        let newest = match self.last_checkpoint().await? {
            Some(last) if last.0 <= version => last,
            _ => return Ok(None),
        };
        let path = Self::checkpoint_path(newest);
        let size = match self.store.head(&path).await {
            Ok(found) => found.size,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.store_error("read the log", source)),
        };
        let damaged = |source| self.damaged(newest, source);
        let reader = ParquetObjectReader::new(Arc::clone(&self.store), path).with_file_size(size);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(damaged)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
        let mut batches = builder.with_projection(mask).build().map_err(damaged)?;
        while let Some(batch) = batches.try_next().await.map_err(damaged)? {
            let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { continue };
            let ids = txn.column_by_name("appId").map(|ids| arrow::compute::cast(ids, &DataType::Utf8));
            let versions = txn.column_by_name("version").and_then(|column| column.as_primitive_opt::<Int64Type>());
            if let (Some(Ok(ids)), Some(versions)) = (ids, versions) {
                let rows =
                    ids.as_string::<i32>().iter().zip(versions).filter_map(|(id, version)| Some((id?, version?)));
                positions.extend(rows.map(|(id, version)| (id.to_owned(), Some(NextOffset(version)))));
            }
        }
        Ok(Some(newest.0))
    }
}
