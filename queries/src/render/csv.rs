//! Comma- and tab-separated values.

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;

use super::{Encode, Format, cells, not_in};
use crate::Error;

pub(super) struct Csv {
    /// Until the header is written.
    header: Option<SchemaRef>,
    separator: u8,
}

impl Csv {
    pub(super) fn new(schema: SchemaRef, separator: u8) -> Self {
        Self { header: Some(schema), separator }
    }
}

impl Encode for Csv {
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error> {
        let header = self.header.take().is_some();
        let mut writer = WriterBuilder::new().with_header(header).with_delimiter(self.separator).build(out);
        cells::flat(batch).and_then(|batch| writer.write(&batch)).map_err(not_in(Format::Csv))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error> {
        if let Some(schema) = self.header.clone() {
            self.encode(&RecordBatch::new_empty(schema), out)?;
        }
        Ok(0)
    }
}
