//! Parquet: each row becomes an object with the columns' names as keys.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::json::writer::{EncoderOptions, make_encoder};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;

use super::fault::{Fault, Spot};
use super::input::{Input, Object, Origin, RANGE_BYTES};
use super::table::{key, write_text};
use super::{Record, Records};

/// Bytes of a file that one batch of rows may take, by the sizes the file states.
const BATCH_BYTES: i64 = 4 << 20;
const BATCH_ROWS_MAX: i64 = 1_024;

/// Opens a Parquet file; `read` counts its bytes as its rows are read.
pub(crate) fn open(input: &Input, runtime: &Handle, read: &Arc<AtomicU64>) -> Result<Box<dyn Records>, Fault> {
    let source =
        Source::open(input, runtime).map_err(|source| Fault::Unreadable { file: input.name.clone(), source })?;
    let failed = |error: ParquetError| fault(&input.name, error);
    let builder = ParquetRecordBatchReaderBuilder::try_new(source).map_err(failed)?;
    let groups = builder.metadata().row_groups();
    let row_bytes = groups.iter().map(|group| group.total_byte_size() / group.num_rows().max(1)).max().unwrap_or(0);
    let rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS_MAX);
    let total = builder.metadata().file_metadata().num_rows();
    let reader = builder.with_batch_size(usize::try_from(rows).unwrap_or(1)).build().map_err(failed)?;
    Ok(Box::new(Columnar {
        file: input.name.clone(),
        reader,
        text: Vec::new(),
        ends: VecDeque::new(),
        start: 0,
        row: 0,
        bytes_per_row: input.size / u64::try_from(total).unwrap_or(1).max(1),
        read: Arc::clone(read),
    }))
}

fn fault(file: &str, error: ParquetError) -> Fault {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => Fault::Unreadable { file: file.to_owned(), source: *source },
            Err(other) => Fault::Parquet { file: file.to_owned(), reason: other.to_string() },
        },
        other => Fault::Parquet { file: file.to_owned(), reason: other.to_string() },
    }
}

struct Columnar {
    file: String,
    reader: ParquetRecordBatchReader,
    /// The rows of one batch as JSON, and where each ends.
    text: Vec<u8>,
    ends: VecDeque<usize>,
    start: usize,
    row: u64,
    bytes_per_row: u64,
    read: Arc<AtomicU64>,
}

impl Records for Columnar {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault> {
        while self.ends.is_empty() {
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let failed =
                |error: arrow::error::ArrowError| Fault::Parquet { file: self.file.clone(), reason: error.to_string() };
            let batch = batch.map_err(failed)?;
            self.text.clear();
            self.start = 0;
            self.ends = write_rows(&mut self.text, &batch).map_err(failed)?;
            self.read.fetch_add(self.bytes_per_row * batch.num_rows() as u64, Ordering::Relaxed);
        }
        let Some(end) = self.ends.pop_front() else { return Ok(None) };
        let value = self.text.get(self.start..end).unwrap_or_default();
        self.start = end;
        self.row += 1;
        Ok(Some(Record {
            value: Cow::Borrowed(value),
            spot: Spot { line: self.row, byte: None },
            timestamp: None,
            refused: None,
        }))
    }
}

/// Appends each row of `batch` as an object. Text that holds JSON stays JSON, as in CSV; times without a zone are UTC.
fn write_rows(text: &mut Vec<u8>, batch: &RecordBatch) -> Result<VecDeque<usize>, arrow::error::ArrowError> {
    let options = EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_timestamp_format("%Y-%m-%dT%H:%M:%S%.fZ".to_owned())
        .with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.f%:z".to_owned());
    let schema = batch.schema();
    let columns: Vec<_> = batch.columns().iter().map(plain).collect::<Result<_, _>>()?;
    let mut encoders = Vec::with_capacity(columns.len());
    for (field, column) in schema.fields().iter().zip(&columns) {
        let encoder = match column.as_string_opt::<i64>() {
            Some(_) => None,
            None => Some(make_encoder(field, column.as_ref(), &options)?),
        };
        encoders.push((key(field.name()), column, encoder));
    }
    let mut ends = VecDeque::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        for (at, (key, column, encoder)) in encoders.iter_mut().enumerate() {
            text.push(if at == 0 { b'{' } else { b',' });
            text.extend_from_slice(key.as_bytes());
            match (encoder, column.as_string_opt::<i64>()) {
                (Some(encoder), _) if !encoder.is_null(row) => encoder.encode(row, text),
                (None, Some(words)) if words.is_valid(row) => write_text(text, words.value(row)),
                _ => text.extend_from_slice(b"null"),
            }
        }
        text.push(b'}');
        ends.push_back(text.len());
    }
    Ok(ends)
}

/// Every kind of text column as one kind.
fn plain(column: &arrow::array::ArrayRef) -> Result<arrow::array::ArrayRef, arrow::error::ArrowError> {
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match column.data_type() {
        DataType::Dictionary(_, value) if is_text(value) => cast(column, &DataType::LargeUtf8),
        kind if is_text(kind) => cast(column, &DataType::LargeUtf8),
        _ => Ok(Arc::clone(column)),
    }
}

/// The bytes of a Parquet file, read where they are asked for.
pub(crate) enum Source {
    File(File),
    Object(Arc<Blocks>),
}

impl Source {
    pub(crate) fn open(input: &Input, runtime: &Handle) -> io::Result<Self> {
        Ok(match &input.origin {
            Origin::File(path) => Self::File(File::open(path)?),
            Origin::Object(object) => Self::Object(Arc::new(Blocks::new(object.clone(), runtime.clone()))),
        })
    }

    fn length(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Object(blocks) => blocks.object.size,
        }
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.length()
    }
}

impl ChunkReader for Source {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Object(blocks) => {
                Box::new(BlockRead { blocks: Arc::clone(blocks), at: start, held: Cursor::default() })
            }
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Object(blocks) => blocks.load(start, length).map_err(|error| ParquetError::External(error.into())),
        }
    }
}

/// An object in blocks, the last few of which are kept: Parquet asks for a page's header and its data apart.
pub(crate) struct Blocks {
    object: Object,
    runtime: Handle,
    kept: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Blocks {
    const KEPT_MAX: usize = 16;

    fn new(object: Object, runtime: Handle) -> Self {
        Self { object, runtime, kept: Mutex::default() }
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = kept.iter().find(|(known, _)| *known == number) {
            return Ok(block.clone());
        }
        let start = number * RANGE_BYTES;
        let range = start..(start + RANGE_BYTES).min(self.object.size);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let block = self.runtime.block_on(self.object.clone().load(range))?;
        if kept.len() == Self::KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((number, block.clone()));
        Ok(block)
    }

    /// What the block at `start` holds from there on.
    fn rest_of_block(&self, start: u64) -> io::Result<Bytes> {
        let block = self.block(start / RANGE_BYTES)?;
        let skip = usize::try_from(start % RANGE_BYTES).unwrap_or(usize::MAX).min(block.len());
        Ok(block.slice(skip..))
    }

    fn load(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let first = self.rest_of_block(start)?;
        if first.len() >= length {
            return Ok(first.slice(..length));
        }
        let mut whole = first.to_vec();
        while whole.len() < length {
            let more = self.rest_of_block(start + whole.len() as u64)?;
            if more.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            whole.extend_from_slice(more.get(..more.len().min(length - whole.len())).unwrap_or_default());
        }
        Ok(whole.into())
    }
}

struct BlockRead {
    blocks: Arc<Blocks>,
    at: u64,
    held: Cursor<Bytes>,
}

impl Read for BlockRead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.held.read(out)?;
        if count > 0 || out.is_empty() {
            self.at += count as u64;
            return Ok(count);
        }
        self.held = Cursor::new(self.blocks.rest_of_block(self.at)?);
        let count = self.held.read(out)?;
        self.at += count as u64;
        Ok(count)
    }
}
