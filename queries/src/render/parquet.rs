//! A Parquet file.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{Encode, Format};
use crate::Error;

/// What is held before a row group is written.
const ROW_GROUP_BYTES: usize = 64 << 20;

pub(super) struct Parquet {
    writer: ArrowWriter<Vec<u8>>,
}

impl Parquet {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, Error> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(schema), Some(properties)).map_err(failed)?;
        Ok(Self { writer })
    }
}

impl Encode for Parquet {
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error> {
        self.writer.write(batch).map_err(failed)?;
        out.append(self.writer.inner_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error> {
        self.writer.finish().map_err(failed)?;
        out.append(self.writer.inner_mut());
        Ok(0)
    }
}

fn failed(error: ParquetError) -> Error {
    Error::NotInFormat { format: Format::Parquet.as_str(), message: error.to_string() }
}
