//! Values as JSON and as text.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Decimals with places as JSON strings.
#[derive(Debug)]
pub(super) struct ExactDecimals;

impl EncoderFactory for ExactDecimals {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let places =
            matches!(array.data_type(), DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale > 0);
        if !places {
            return Ok(None);
        }
        let quoted = Quoted(ArrayFormatter::try_new(array, &OPTIONS)?);
        Ok(Some(NullableEncoder::new(Box::new(quoted), array.nulls().cloned())))
    }
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new();

struct Quoted<'a>(ArrayFormatter<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) {
        // A decimal is digits, a point and a sign: nothing to escape, and memory takes every write.
        let written = write!(out, "\"{}\"", self.0.value(at));
        debug_assert!(written.is_ok(), "{written:?}");
    }
}

/// The options of every JSON text.
pub(super) fn json_options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(ExactDecimals))
}

/// `batch` with lists, maps and structures as JSON text.
pub(super) fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.schema_ref().fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let columns =
        batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| flat_column(field, column));
    let (fields, columns): (Vec<FieldRef>, Vec<ArrayRef>) = columns.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn flat_column(field: &FieldRef, column: &ArrayRef) -> Result<(FieldRef, ArrayRef), ArrowError> {
    if !field.data_type().is_nested() {
        return Ok((Arc::clone(field), Arc::clone(column)));
    }
    let options = json_options();
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for at in 0..column.len() {
        if encoder.is_null(at) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(at, &mut text);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok((Arc::new(Field::new(field.name(), DataType::Utf8, true)), Arc::new(texts.finish())))
}
