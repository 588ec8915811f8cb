//! Rows as Parquet: columns and types as readers of the ledger see them.

use std::sync::mpsc::{Receiver, SyncSender};

use arrow::array::RecordBatch;
use daybook_ledger::ColumnKind as Kind;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{HEX_COLUMNS, Passed, Shard, Target, pass_over};
use crate::digest::DigestWriter;
use crate::{Error, Part};

/// What one row group may hold in memory before it is written.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Writes every batch; a file ends with the batch that fills it. Answers the last file, which is not full.
pub(super) fn write(
    part: Part,
    target: Target,
    passed: Passed,
    batches: Receiver<RecordBatch>,
    filled: &SyncSender<Vec<Shard>>,
) -> Result<Option<Shard>, Error> {
    let Passed { mut files, rows: mut left } = passed;
    let mut open: Option<Open> = None;
    for batch in batches {
        let mut full = Vec::new();
        let passed = pass_over(&mut left, batch.num_rows());
        if passed < batch.num_rows() {
            let mut file = match open.take() {
                Some(file) => file,
                None => Open::create(part, &target, files)?,
            };
            file.write(&batch.slice(passed, batch.num_rows() - passed))?;
            match file.bytes() >= target.shard_bytes {
                true => {
                    full.push(file.close()?);
                    files += 1;
                }
                false => open = Some(file),
            }
        }
        // An export that failed elsewhere does not ask any more.
        filled.send(full).ok();
    }
    let last = match open {
        None if files == 0 => Some(Open::create(part, &target, 0)?),
        open => open,
    };
    last.map(Open::close).transpose()
}

struct Open {
    writer: ArrowWriter<DigestWriter>,
    rows: u64,
}

impl Open {
    fn create(part: Part, target: &Target, index: usize) -> Result<Self, Error> {
        let file = target.create(index)?;
        // Without the Arrow schema readers see plain text where a batch has dictionaries.
        let options = ArrowWriterOptions::new().with_properties(properties(part)).with_skip_arrow_metadata(true);
        let schema = part.spec().building_schema();
        let writer = ArrowWriter::try_new_with_options(file, schema, options).map_err(failed)?;
        Ok(Self { writer, rows: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.writer.write(batch).map_err(failed)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.writer.bytes_written().saturating_add(self.writer.in_progress_size()) as u64
    }

    fn close(self) -> Result<Shard, Error> {
        let file = self.writer.into_inner().map_err(failed)?;
        Ok(Shard { file: file.finish()?, rows: self.rows })
    }
}

fn failed(source: ParquetError) -> Error {
    match source {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::folder("the bundle".as_ref(), "write a Parquet file of")(*source),
            Err(source) => Error::Internal { invariant: "rows can be written as Parquet", found: source.to_string() },
        },
        source => Error::Internal { invariant: "rows can be written as Parquet", found: source.to_string() },
    }
}

/// As the ledger's own data files: numbers gain nothing above zstd level 1, bodies do; each id is its own word.
fn properties(part: Part) -> WriterProperties {
    let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default());
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("daybook ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(zstd(if matches!(part, Part::Usage | Part::Corrections) { 1 } else { 3 }))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for column in part.spec().columns {
        let path = ColumnPath::from(column.name);
        if matches!(column.kind, Kind::Bytes | Kind::Text) {
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
            if !HEX_COLUMNS.contains(&column.name) {
                builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
            }
        }
    }
    builder.build()
}
