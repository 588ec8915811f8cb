//! JSON: one array, or one object a line.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, LineDelimited, Writer};

use super::cells::ExactDecimals;
use super::{Encode, Format, not_in};
use crate::Error;

pub(super) struct Json {
    writer: Writer<Vec<u8>, JsonArray>,
}

impl Json {
    pub(super) fn new() -> Self {
        Self { writer: options().build(Vec::new()) }
    }
}

fn options() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(ExactDecimals::new()))
}

impl Encode for Json {
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error> {
        self.writer.write(batch).map_err(not_in(Format::Json))?;
        out.append(self.writer.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error> {
        self.writer.finish().map_err(not_in(Format::Json))?;
        out.append(self.writer.get_mut());
        out.push(b'\n');
        Ok(0)
    }
}

pub(super) struct Ndjson;

impl Encode for Ndjson {
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut writer: Writer<_, LineDelimited> = options().build(out);
        writer.write(batch).and_then(|()| writer.finish()).map_err(not_in(Format::Ndjson))
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<u64, Error> {
        Ok(0)
    }
}
