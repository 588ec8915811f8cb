//! Rows of files of one day, written into other files: streamed, within bounds, and read back.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::concat_batches;
use bytes::Bytes;

use super::digest::RowsDigest;
use super::erase::{Selection, bodies_in};
use crate::file::{self, EncodedFile, Encoder, Expected};
use crate::schema::Table;
use crate::{DataFile, Date, EntryId, Error};

/// A sorted row group is sorted in memory: so many rows, or so many bytes of them, at most, and half a file's.
const CHUNK_ROWS: usize = 256 << 10;
const CHUNK_BYTES: usize = 48 << 20;
/// Rows of a table that is not sorted only wait until there are enough to be worth a call.
const UNSORTED_CHUNK_BYTES: usize = 8 << 20;

/// What [`Work`] is to do.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) spec: &'static Table,
    pub(super) date: Date,
    /// Bytes of a file at which the next one begins.
    pub(super) target_bytes: u64,
    /// Rows that lose their bodies.
    pub(super) erase: Option<Arc<Selection>>,
}

/// Rows on their way. Memory: a chunk and its sorted copy, the file that is read and the one that is written.
pub(super) struct Work {
    order: Order,
    chunk: Vec<RecordBatch>,
    chunk_rows: usize,
    chunk_bytes: usize,
    encoder: Option<Encoder>,
    expected: Expected,
    put_in: RowsDigest,
    came_out: RowsDigest,
    ids: Option<HashSet<EntryId>>,
    tally: Tally,
}

/// What was seen on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Rows whose entry an earlier row of the same files is about.
    pub(super) duplicates: u64,
    /// Rows that lost their body.
    pub(super) erased: u64,
    /// Rows that have one, in a table of bodies.
    pub(super) bodies: Option<u64>,
}

impl Work {
    /// Rows of `files` are to come.
    pub(super) fn new(order: Order, files: &[DataFile]) -> Self {
        let sum = |of: fn(&DataFile) -> u64| usize::try_from(files.iter().map(of).sum::<u64>()).unwrap_or(usize::MAX);
        let file_bytes_max = usize::try_from(order.target_bytes).unwrap_or(usize::MAX);
        // A file is full once it is beyond its target, by a row group at most.
        let bytes = sum(|file| file.size).min(file_bytes_max).saturating_add(file::ROW_GROUP_BYTES);
        let expected = Expected { rows: sum(|file| file.rows), bytes, plain: Vec::new() };
        // In these an entry has one row; in the others it may have more.
        let is_unique = ["usage", "content"].contains(&order.spec.name);
        Self {
            chunk: Vec::new(),
            chunk_rows: 0,
            chunk_bytes: 0,
            encoder: None,
            expected,
            put_in: RowsDigest::default(),
            came_out: RowsDigest::default(),
            ids: is_unique.then(HashSet::new),
            tally: Tally::default(),
            order,
        }
    }

    /// Takes in the rows of `file`, whose bytes were checked; answers with the files that became full.
    pub(super) fn add(&mut self, file: &DataFile, bytes: Bytes) -> Result<Vec<EncodedFile>, Error> {
        let damaged = |reason: String| Error::DamagedFile { path: file.path.clone(), reason };
        let mut done = Vec::new();
        let mut rows = 0;
        for batch in file::read(self.order.spec, bytes).map_err(|error| damaged(error.to_string()))? {
            let batch = batch.map_err(|error| damaged(error.to_string()))?;
            rows += batch.num_rows() as u64;
            self.note_ids(&batch);
            done.extend(self.take(batch)?);
        }
        match rows == file.rows {
            true => Ok(done),
            false => Err(damaged(format!("it has {rows} rows, its commit says {}", file.rows))),
        }
    }

    fn note_ids(&mut self, batch: &RecordBatch) {
        let ids = batch.column_by_name("entry_id").and_then(|ids| ids.as_binary_opt::<i32>());
        let (Some(seen), Some(ids)) = (&mut self.ids, ids) else { return };
        let known = ids.iter().flatten().filter_map(EntryId::from_slice).filter(|id| !seen.insert(*id)).count();
        self.tally.duplicates += known as u64;
    }

    fn take(&mut self, batch: RecordBatch) -> Result<Option<EncodedFile>, Error> {
        let batch = match &self.order.erase {
            Some(selection) => {
                let (batch, erased) = selection.blank(self.order.spec, self.order.date, &batch)?;
                self.tally.erased += erased;
                batch
            }
            None => batch,
        };
        if let Some(bodies) = bodies_in(self.order.spec, &batch) {
            *self.tally.bodies.get_or_insert_default() += bodies;
        }
        self.put_in.add(&batch)?;
        self.chunk_rows += batch.num_rows();
        self.chunk_bytes += batch.get_array_memory_size();
        self.chunk.push(batch);
        match self.chunk_rows >= CHUNK_ROWS || self.chunk_bytes >= self.chunk_bytes_max() {
            true => self.encode(),
            false => Ok(None),
        }
    }

    fn chunk_bytes_max(&self) -> usize {
        if self.order.spec.sorted_by.is_empty() {
            return UNSORTED_CHUNK_BYTES;
        }
        usize::try_from(self.order.target_bytes / 2).unwrap_or(usize::MAX).min(CHUNK_BYTES)
    }

    /// Moves the chunk into the file; answers with it if that filled it.
    fn encode(&mut self) -> Result<Option<EncodedFile>, Error> {
        let schema = file::stored_schema(self.order.spec);
        let chunk = concat_batches(&schema, &self.chunk).map_err(Error::arrow)?;
        self.chunk.clear();
        (self.chunk_rows, self.chunk_bytes) = (0, 0);
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                // Of the first chunk of many nobody knows yet what its columns come to.
                if chunk.num_rows() == self.expected.rows {
                    self.expected.plain = file::plain(&chunk);
                }
                Encoder::new(self.order.spec, self.order.date, &schema, &self.expected)?
            }
        };
        encoder.push(&chunk)?;
        drop(chunk);
        match encoder.bytes() as u64 >= self.order.target_bytes {
            true => self.read_back(encoder).map(Some),
            false => {
                self.encoder = Some(encoder);
                Ok(None)
            }
        }
    }

    /// What is in the file now, by a reader that knows nothing of what was put in.
    fn read_back(&mut self, encoder: Encoder) -> Result<EncodedFile, Error> {
        let encoded = encoder.finish()?;
        for batch in file::read(self.order.spec, encoded.bytes.clone()).map_err(Error::parquet)? {
            self.came_out.add(&batch.map_err(Error::arrow)?)?;
        }
        Ok(encoded)
    }

    /// The last file, and what was done: the rows that came out are those that were put in, or it fails.
    pub(super) fn finish(mut self) -> Result<(Option<EncodedFile>, RowsDigest, Tally), Error> {
        let mut last = if self.chunk.is_empty() { None } else { self.encode()? };
        if let Some(encoder) = self.encoder.take() {
            last = Some(self.read_back(encoder)?);
        }
        if self.came_out != self.put_in {
            return Err(Error::Internal {
                invariant: "a file that is written anew holds the rows it was given",
                found: format!(
                    "{} rows {} became {} rows {}",
                    self.put_in.rows(),
                    self.put_in,
                    self.came_out.rows(),
                    self.came_out
                ),
            });
        }
        Ok((last, self.put_in, self.tally))
    }
}
