//! Text by reference. A dictionary has a text once that a thousand rows mean: rows of references take what the file has, and
//! whoever needs the text itself takes as many rows at a time as fit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// Text and bytes of a piece.
const PIECE_BYTES_MAX: u64 = 64 << 20;
/// A row with more is refused: arrays count to 2 GiB.
const ROW_BYTES_MAX: u64 = 1 << 30;

/// `schema` with references where it has text and bytes.
pub(crate) fn viewed(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(viewed_field).collect::<Vec<_>>()))
}

fn viewed_field(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(viewed_type(field.data_type())))
}

fn viewed_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::Dictionary(_, words) => viewed_type(words),
        DataType::List(element) => DataType::List(viewed_field(element)),
        DataType::Map(entry, is_sorted) => DataType::Map(viewed_field(entry), *is_sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(viewed_field).collect()),
        other => other.clone(),
    }
}

/// The rows of `batch`, whose columns are [`viewed`], in the columns of `schema`: as many at a time as have
/// [`PIECE_BYTES_MAX`] of text.
pub(crate) fn pieces(batch: RecordBatch, schema: SchemaRef) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
    let mut left = vec![batch];
    std::iter::from_fn(move || {
        loop {
            let batch = left.pop()?;
            let (rows, bytes) =
                (batch.num_rows(), batch.columns().iter().map(|column| text_bytes(column)).sum::<u64>());
            return Some(match () {
                () if rows > 1 && bytes > PIECE_BYTES_MAX => {
                    match rows_of(&batch, rows / 2, rows).and_then(|later| Ok([later, rows_of(&batch, 0, rows / 2)?])) {
                        Ok(halves) => {
                            left.extend(halves);
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                () if bytes > ROW_BYTES_MAX => {
                    Err(ArrowError::MemoryError(format!("a row has {bytes} bytes, at most {ROW_BYTES_MAX} are read")))
                }
                () => owned(&batch, &schema),
            });
        }
    })
}

/// References are copied, with nothing of the rows that are left out.
fn rows_of(batch: &RecordBatch, from: usize, to: usize) -> Result<RecordBatch, ArrowError> {
    let number = |row| u32::try_from(row).map_err(|_| ArrowError::OffsetOverflowError(row));
    take_record_batch(batch, &UInt32Array::from_iter_values(number(from)?..number(to)?))
}

fn owned(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<ArrayRef>, _> = columns.map(|(column, field)| cast(column, field.data_type())).collect();
    RecordBatch::try_new(Arc::clone(schema), columns?)
}

/// What the text and bytes in `array` would take.
fn text_bytes(array: &dyn Array) -> u64 {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().map(u64::from).sum(),
        DataType::BinaryView => array.as_binary_view().lengths().map(u64::from).sum(),
        DataType::List(_) => text_bytes(array.as_list::<i32>().values()),
        DataType::Map(..) => array.as_map().entries().columns().iter().map(|column| text_bytes(column)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListBuilder, StringViewArray, StringViewBuilder};
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn what_is_referred_to_often_comes_in_pieces() {
        let long = "x".repeat(1 << 20);
        let words: StringViewArray = (0..200).map(|_| Some(long.as_str())).collect();
        let mut lists =
            ListBuilder::new(StringViewBuilder::new()).with_field(Field::new("element", DataType::Utf8View, false));
        (0..200).for_each(|_| lists.append_value([Some("y")]));
        let lists = lists.finish();
        let columns: [(&str, ArrayRef); 2] = [("word", Arc::new(words)), ("list", Arc::new(lists))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let list = DataType::List(Arc::new(Field::new("element", DataType::Utf8, false)));
        let schema = Arc::new(Schema::new(vec![Field::new("word", words, true), Field::new("list", list, true)]));
        let types = |schema: &Schema| schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>();
        assert_eq!(types(&viewed(&schema)), types(&batch.schema()));
        let rows: Vec<usize> = pieces(batch, schema).map(|piece| piece.unwrap().num_rows()).collect();
        assert_eq!(rows, [50, 50, 50, 50]);
    }
}
