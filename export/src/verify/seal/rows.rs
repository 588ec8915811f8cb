//! Rows of data files as they were sealed: which commit brought each, and its leaf.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use daybook_ledger::file::hex;
use daybook_ledger::seal::{RowTexts, Secret, leaf, sealed_columns};
use daybook_ledger::{Date, schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Leaves = HashSet<Vec<u8>>;

/// What was sealed, as far as rows are placed by it; shared by the threads that hash.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) secret: Secret,
    /// Makes the sums of this check unlike those of any other.
    pub(super) nonce: [u8; 32],
    /// The version of each batch of each table.
    pub(super) batches: HashMap<String, HashMap<String, u64>>,
    /// That of a bundle which a table was restored from: its rows are of batches that no commit of the table has.
    pub(super) restored: HashMap<String, u64>,
    /// Batches of such tables that came after the last seal.
    pub(super) since: RwLock<HashMap<String, HashSet<String>>>,
    /// The leaves of batches that came in several commits, of which not all are sealed: compaction puts their rows together.
    pub(super) parted: RwLock<HashMap<String, HashMap<String, Leaves>>>,
}

/// A row of a data file as it is sealed.
pub(super) struct SealedRow<'a> {
    pub(super) leaf: Vec<u8>,
    /// The version that brought its batch; `None` if that is not sealed.
    pub(super) version: Option<u64>,
    pub(super) batch: &'a RecordBatch,
    pub(super) row: usize,
}

/// Hands every row of a data file to `take`.
pub(super) fn each_row(
    sealed: &Sealed,
    spec: &'static schema::Table,
    date: Date,
    bytes: Bytes,
    mut take: impl FnMut(SealedRow<'_>),
) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let columns = sealed_columns(spec).into_iter().map(|column| column.name);
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let reader = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
    let batches = sealed.batches.get(spec.name);
    let restored = sealed.restored.get(spec.name).copied();
    let since = sealed.since.read().unwrap_or_else(PoisonError::into_inner);
    let since = since.get(spec.name);
    let parted = sealed.parted.read().unwrap_or_else(PoisonError::into_inner);
    let parted = parted.get(spec.name);
    let mut text = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let texts = RowTexts::new(spec, date, &batch);
        let batch_ids = batch.column_by_name("batch_id").and_then(|ids| ids.as_string_opt::<i32>());
        for row in 0..batch.num_rows() {
            let batch_id = batch_ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
            let is_since = || batch_id.is_some_and(|id| since.is_some_and(|since| since.contains(id)));
            let version =
                batch_id.and_then(|id| batches?.get(id)).copied().or_else(|| restored.filter(|_| !is_since()));
            texts.write(row, &mut text).map_err(|error| error.to_string())?;
            let leaf = leaf(spec.name, &sealed.secret.commitment(&text));
            let known = batch_id.and_then(|id| parted?.get(id));
            let version = version.filter(|_| known.is_none_or(|known| known.contains(&leaf)));
            take(SealedRow { leaf, version, batch: &batch, row });
        }
    }
    Ok(())
}

/// How a row is called in a message.
pub(super) fn label(batch: &RecordBatch, row: usize) -> String {
    let column = |name| batch.column_by_name(name).filter(|column| column.is_valid(row));
    if let Some(ids) = column("entry_id").and_then(|ids| ids.as_binary_opt::<i32>()) {
        return format!("entry {}", hex(ids.value(row)));
    }
    let topic = column("topic").and_then(|topics| topics.as_string_opt::<i32>()).map(|topics| topics.value(row));
    let partition = column("kafka_partition").and_then(|numbers| numbers.as_primitive_opt::<Int32Type>());
    let offset = column("kafka_offset").and_then(|numbers| numbers.as_primitive_opt::<Int64Type>());
    match (topic, partition, offset) {
        (Some(topic), Some(partition), Some(offset)) => {
            format!("message {topic}/{}@{}", partition.value(row), offset.value(row))
        }
        _ => "a row".into(),
    }
}
