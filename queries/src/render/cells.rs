//! Values as JSON and as text.

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray as _, Decimal128Array, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::html::Unit;
use super::number;

/// Decimals with places as JSON strings, in maps without the zeros at their end: what is counted there is mostly whole.
#[derive(Debug)]
pub(super) struct ExactDecimals {
    in_map: bool,
}

impl ExactDecimals {
    pub(super) const fn new() -> Self {
        Self { in_map: false }
    }
}

static IN_MAP: LazyLock<EncoderOptions> = LazyLock::new(|| options(ExactDecimals { in_map: true }));

fn options(decimals: ExactDecimals) -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(decimals))
}

impl EncoderFactory for ExactDecimals {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        if !self.in_map && matches!(array.data_type(), DataType::Map(..)) {
            return make_encoder(field, array, &IN_MAP).map(Some);
        }
        let places =
            matches!(array.data_type(), DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale > 0);
        if !places {
            return Ok(None);
        }
        let quoted = Quoted { texts: ArrayFormatter::try_new(array, &OPTIONS)?, cut: self.in_map };
        Ok(Some(NullableEncoder::new(Box::new(quoted), array.nulls().cloned())))
    }
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new();

struct Quoted<'a> {
    texts: ArrayFormatter<'a>,
    cut: bool,
}

impl Encoder for Quoted<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) {
        let text = self.texts.value(at).to_string();
        let text = if self.cut { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        // A decimal is digits, a point and a sign: nothing to escape, and memory takes every write.
        let written = write!(out, "\"{text}\"");
        debug_assert!(written.is_ok(), "{written:?}");
    }
}

/// The options of every JSON text.
pub(super) fn json_options() -> EncoderOptions {
    options(ExactDecimals::new())
}

/// The cells of a column as text.
pub(super) struct Texts<'a> {
    exact: ArrayFormatter<'a>,
    /// What is money, and its places, if it is to be rounded.
    money: Option<(&'a Decimal128Array, u32)>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(
        field: &Field,
        column: &'a ArrayRef,
        options: &FormatOptions<'a>,
        rounded: bool,
    ) -> Result<Self, ArrowError> {
        let places = money_places(field).filter(|_| rounded);
        let money = places.and_then(|places| Some((column.as_primitive_opt::<Decimal128Type>()?, places)));
        Ok(Self { exact: ArrayFormatter::try_new(column, options)?, money })
    }

    pub(super) fn text(&self, row: usize) -> String {
        match self.money {
            Some((amounts, places)) if amounts.is_valid(row) => number::money(amounts.value(row), places),
            _ => self.exact.value(row).to_string(),
        }
    }
}

/// The decimal places of a column of amounts; of a rate every digit counts.
pub(super) fn money_places(field: &Field) -> Option<u32> {
    match Unit::of(field) {
        Unit::Usd(places) if !field.name().contains("_per_") => Some(places),
        _ => None,
    }
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
