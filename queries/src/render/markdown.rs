//! A table in Markdown (GitHub's form).

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::FormatOptions;

use super::{Encode, Format, cells, not_in, number};
use crate::Error;

pub(super) struct Markdown {
    /// Until the header is written.
    header: Option<SchemaRef>,
    rounded: bool,
}

impl Markdown {
    pub(super) fn new(schema: SchemaRef, rounded: bool) -> Self {
        Self { header: Some(schema), rounded }
    }

    fn write_header(&mut self, out: &mut Vec<u8>) {
        let Some(schema) = self.header.take() else { return };
        write_row(schema.fields().iter().map(|field| field.name().as_str().into()), out);
        let is_number = |data_type: &arrow::datatypes::DataType| data_type.is_numeric();
        let rules = schema.fields().iter().map(|field| if is_number(field.data_type()) { "---:" } else { "---" });
        write_row(rules.map(String::from), out);
    }
}

impl Encode for Markdown {
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error> {
        self.write_header(out);
        let batch = cells::flat(batch).map_err(not_in(Format::Markdown))?;
        let options = FormatOptions::new().with_null("");
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| {
            let is_exact = field.data_type().is_decimal() && cells::money_places(field).is_none();
            Ok((self.rounded && is_exact, cells::Texts::new(field, column, &options, self.rounded)?))
        });
        let columns: Vec<_> = columns.collect::<Result<_, _>>().map_err(not_in(Format::Markdown))?;
        for at in 0..batch.num_rows() {
            let texts = columns.iter().map(|(trims, column)| (*trims, column.text(at)));
            write_row(texts.map(|(trims, text)| cell(if trims { number::trimmed(&text) } else { &text })), out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error> {
        self.write_header(out);
        Ok(0)
    }
}

/// What would end a cell or a row is written otherwise.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

fn write_row(cells: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    let cells: Vec<String> = cells.collect();
    out.extend_from_slice(format!("| {} |\n", cells.join(" | ")).as_bytes());
}
