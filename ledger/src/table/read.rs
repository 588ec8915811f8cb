//! Reading data files: some of their columns, their rows, or their bytes.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray, RecordBatch};
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
#[expect(
    deprecated,
    reason = "its successor is a trait for each store to implement; this is that for object_store"
)]
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use sha2::{Digest as _, Sha256};

use super::{DataFile, Table, off_the_runtime, store_cause};
use crate::file::hex;
use crate::{EntryId, Error, Finality, Status};

impl Table {
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
                let path = self.file_url(&file.path);
                return Err(Error::DamagedFile { path, reason: "its columns are not those of `usage`".into() });
            };
            let rows = ids.iter().zip(statuses).enumerate();
            entries.extend(rows.filter_map(|(at, (id, word))| {
                let counted = input.is_valid(at) || output.is_valid(at);
                // A word that only a later version knows: the call is here all the same, and any event of it tells more.
                let completeness = word.and_then(Status::named).map_or(0, |status| status.completeness(counted));
                Some((EntryId::from_slice(id?)?, completeness))
            }));
        }
        Ok(entries)
    }

    /// The entry of every row of `file`, a file of `content` or `content_partial`, with how final its event is.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it cannot be read.
    pub async fn load_finality(&self, file: &DataFile) -> Result<Vec<(EntryId, Finality)>, Error> {
        let mut entries = Vec::with_capacity(usize::try_from(file.rows).unwrap_or(0).min(1 << 20));
        for batch in self.read(file, Some(&["entry_id", "status"])).await? {
            let Some(ids) = batch.column_by_name("entry_id").and_then(|ids| ids.as_binary_opt::<i32>()) else {
                let path = self.file_url(&file.path);
                return Err(Error::DamagedFile { path, reason: "it has no `entry_id`".into() });
            };
            let statuses = batch.column_by_name("status").and_then(|words| words.as_string_opt::<i32>());
            let finality = |row| match statuses {
                None => Finality::Final,
                // A word that only a later version knows: any other event of the call tells more.
                Some(words) => Status::named(words.value(row)).map_or(Finality::Pending, Status::finality),
            };
            let rows = ids.iter().enumerate();
            entries.extend(rows.filter_map(|(row, id)| Some((EntryId::from_slice(id?)?, finality(row)))));
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
        Ok(self.open(file, Some(columns)).await?.map_err(self.damaged_file(file)))
    }

    /// As [`Self::stream_columns`], of bytes that are those its commit describes. Memory: the file.
    ///
    /// # Errors
    /// As [`Self::load_whole`]; of each batch [`Error::DamagedFile`].
    pub(crate) async fn stream_whole(
        &self,
        file: &DataFile,
        columns: &[&str],
    ) -> Result<impl Stream<Item = Result<RecordBatch, Error>> + use<>, Error> {
        let damaged = self.damaged_file(file);
        let bytes = self.load_whole(file).await?;
        let stream = project(Cursor::new(bytes), Some(columns)).await.map_err(&damaged)?;
        Ok(stream.map_err(damaged))
    }

    async fn read(&self, file: &DataFile, columns: Option<&[&str]>) -> Result<Vec<RecordBatch>, Error> {
        self.open(file, columns).await?.try_collect().await.map_err(self.damaged_file(file))
    }

    #[expect(deprecated, reason = "see the import")]
    async fn open(
        &self,
        file: &DataFile,
        columns: Option<&[&str]>,
    ) -> Result<ParquetRecordBatchStream<ParquetObjectReader>, Error> {
        let path = Path::from(file.path.as_str());
        let reader = ParquetObjectReader::new(Arc::clone(&self.store), path.clone()).with_file_size(file.size);
        let error = match project(reader, columns).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        // Of a file that was cut the store refuses the end, as it does when it fails: the length tells them apart.
        let stored = match store_cause(&error) {
            Some(_) => self.store.head(&path).await.ok().map(|about| about.size),
            None => None,
        };
        match stored.filter(|stored| *stored != file.size) {
            Some(stored) => Err(self.of_other_length(file, stored)),
            None => Err(self.damaged_file(file)(error)),
        }
    }

    fn of_other_length(&self, file: &DataFile, stored: u64) -> Error {
        let reason = format!("it has {stored} bytes, its commit says {}", file.size);
        Error::DamagedFile { path: self.file_url(&file.path), reason }
    }

    /// Why a live `file` that is not there is missing: it is live no more, or else an error that no other attempt mends.
    ///
    /// # Errors
    /// [`Error::DamagedFile`] if it is live still.
    pub(crate) async fn check_gone(&self, file: &DataFile) -> Result<(), Error> {
        let is_live = self.load(None).await?.files().iter().any(|live| live.path == file.path);
        let reason = "it is missing, and the table still has it".into();
        if is_live { Err(Error::DamagedFile { path: self.file_url(&file.path), reason }) } else { Ok(()) }
    }

    fn damaged_file(&self, file: &DataFile) -> impl Fn(ParquetError) -> Error + use<> {
        let (path, place) = (self.file_url(&file.path), self.place.clone());
        move |error| match store_cause(&error) {
            Some(object_store::Error::NotFound { .. }) => Error::FileGone { path: path.clone() },
            Some(_) => Error::of_store(place.clone(), "read a data file", false, error.into()),
            None => Error::DamagedFile { path: path.clone(), reason: error.to_string() },
        }
    }

    /// The bytes of `file`, which are those its commit describes: length and SHA-256.
    ///
    /// Memory: the file.
    ///
    /// # Errors
    /// [`Error::FileGone`], [`Error::DamagedFile`], the store's errors.
    pub async fn load_whole(&self, file: &DataFile) -> Result<Bytes, Error> {
        let path = self.file_url(&file.path);
        let damaged = |reason: String| Error::DamagedFile { path: path.clone(), reason };
        let found = match self.store.get(&Path::from(file.path.as_str())).await {
            Err(object_store::Error::NotFound { .. }) => return Err(Error::FileGone { path }),
            found => found.map_err(|source| self.store_error("read a data file", source))?,
        };
        if found.meta.size != file.size {
            return Err(self.of_other_length(file, found.meta.size));
        }
        let bytes = found.bytes().await.map_err(|source| self.store_error("read a data file", source))?;
        let Some(committed) = &file.sha256 else { return Ok(bytes) };
        let hashed = bytes.clone();
        let digest = off_the_runtime(move || Ok(hex(&Sha256::digest(&hashed)))).await?;
        match digest == *committed {
            true => Ok(bytes),
            false => Err(damaged(format!("its SHA-256 is {digest}, its commit says {committed}"))),
        }
    }
}

async fn project<R: AsyncFileReader + Unpin + Send + 'static>(
    reader: R,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchStream<R>, ParquetError> {
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let mask = match columns {
        Some(columns) => ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied()),
        None => ProjectionMask::all(),
    };
    builder.with_projection(mask).build()
}
