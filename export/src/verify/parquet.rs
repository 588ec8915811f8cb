//! What a Parquet file of a stranger says of itself, held against its length before a reader believes it.
//!
//! Readers take memory by what a footer or a page header says, and a file of some bytes may say anything.

use std::io::{BufReader, Read as _};
use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::column::page::PageReader as _;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use super::levels::RowValues;
use super::thrift::Thrift;
use crate::Part;
use crate::views::viewed;

/// The length of the footer and the mark, at the end of a file.
const TAIL_BYTES: u64 = 8;
/// A footer needs some bytes for each column of each row group, and a row group has some megabytes.
const FOOTER_BYTES_MAX: u64 = 1 << 20;
const FOOTER_PART_MAX: u64 = 64;
/// Columns, and the groups they are in; readers go down into groups by recursion.
const SCHEMA_ELEMENTS_MAX: u64 = 1_024;
/// Every row of a table has something of its own, so this many are never in one byte.
const ROWS_PER_BYTE_MAX: u64 = 16;
/// A call's own is its id, a digest, of which there is one in so many bytes at most.
const CALL_BYTES_MIN: u64 = 8;
/// Values of lists and maps, which may be the same in every row.
const NESTED_VALUES_PER_BYTE_MAX: u64 = 64;
/// A page of a column that is summed; ours have a megabyte.
const PAGE_BYTES_MAX: i64 = 64 << 20;
/// A page of any other column: what was said in one call is in one page.
const BODY_PAGE_BYTES_MAX: i64 = 512 << 20;
const PAGE_HEADER_BYTES_MAX: u64 = 1 << 20;

/// Rows that are read at once, if they are narrow.
const BATCH_ROWS_MAX: u64 = 8_192;
/// What of a column is read at once, beside a page at either end.
const BATCH_BYTES_MAX: u64 = 16 << 20;
/// Values of a list or map that are read at once; all may be in one row.
const NESTED_VALUES_MAX: u64 = 1 << 20;
/// Each value is the one before with another end: a few bytes unpack to any length.
const DELTA_BYTE_ARRAY: i64 = 7;

/// A reader of `file`, whose columns are safe to read; those called `columns` have narrow values.
pub(crate) fn open<R: ChunkReader + 'static>(
    file: R,
    columns: &[&str],
) -> Result<ParquetRecordBatchReaderBuilder<R>, String> {
    open_as(file, None, columns)
}

/// As [`open`], of a file of `part`: text by reference, as it may be in a file once and in many rows.
pub(crate) fn open_table<R: ChunkReader + 'static>(
    file: R,
    part: Part,
    columns: &[&str],
) -> Result<ParquetRecordBatchReaderBuilder<R>, String> {
    open_as(file, Some(part), columns)
}

fn open_as<R: ChunkReader + 'static>(
    file: R,
    part: Option<Part>,
    columns: &[&str],
) -> Result<ParquetRecordBatchReaderBuilder<R>, String> {
    let length = file.len();
    check_footer(&file, length)?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(text)?;
    check_counts(&metadata, length, part)?;
    let file = Arc::new(file);
    let batch_rows = check_columns(&file, &metadata, part, columns)?;
    let file = Arc::into_inner(file).ok_or("it is still being read")?;
    let mut options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    if let Some(part) = part {
        options = options.with_schema(viewed(&part.spec().building_schema()));
    }
    let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options)
        .map_err(|error| format!("its columns are not those of the table: {error}"))?;
    let rows = usize::try_from(batch_rows).map_err(text)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(rows))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The footer is as long as the file allows, and its schema no larger than a table's.
fn check_footer<R: ChunkReader>(file: &R, length: u64) -> Result<(), String> {
    let start = length.checked_sub(TAIL_BYTES).ok_or("it is too short for a Parquet file")?;
    let tail = file.get_bytes(start, 4).map_err(text)?;
    let tail = tail.first_chunk().ok_or("it is too short for a Parquet file")?;
    let footer = u64::from(u32::from_le_bytes(*tail));
    let most = FOOTER_BYTES_MAX + length / FOOTER_PART_MAX;
    let start = start.checked_sub(footer).filter(|_| footer <= most);
    let start = start.ok_or_else(|| format!("its footer has {footer} bytes, in {length} bytes at most {most}"))?;
    let mut metadata = Thrift::new(BufReader::new(file.get_read(start).map_err(text)?.take(footer)));
    // FileMetaData: 1 version, 2 schema, ...
    while let Some((field, kind)) = metadata.next_field()? {
        if field == 2 {
            let elements = metadata.list_length()?;
            return match elements <= SCHEMA_ELEMENTS_MAX {
                true => Ok(()),
                false => Err(format!("its schema has {elements} elements, at most {SCHEMA_ELEMENTS_MAX} are read")),
            };
        }
        metadata.skip(kind)?;
    }
    Err("its footer has no schema".into())
}

fn check_counts(metadata: &ParquetMetaData, length: u64, part: Option<Part>) -> Result<(), String> {
    let rows = metadata.file_metadata().num_rows();
    let groups = metadata.row_groups().iter().try_fold(0_i64, |sum, group| {
        let rows = group.num_rows();
        sum.checked_add(rows).filter(|_| rows >= 0)
    });
    if groups != Some(rows) {
        return Err(format!("its footer says {rows} rows, its row groups do not"));
    }
    let most = match part {
        Some(Part::Usage | Part::Content | Part::ContentPartial) => length / CALL_BYTES_MIN,
        _ => length.saturating_mul(ROWS_PER_BYTE_MAX),
    };
    match u64::try_from(rows).is_ok_and(|rows| rows <= most) {
        true => Ok(()),
        false => Err(format!("its footer says {rows} rows, {length} bytes hold at most {most}")),
    }
}

/// How many rows can be read at once, if each column holds what its pages say and no more than `file` can.
fn check_columns<R: ChunkReader>(
    file: &Arc<R>,
    metadata: &ParquetMetaData,
    part: Option<Part>,
    columns: &[&str],
) -> Result<u64, String> {
    let length = file.len();
    let (mut batch_rows, mut nested_values) = (BATCH_ROWS_MAX, 0_u64);
    for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let range = byte_range(chunk, length)?;
        let name = chunk.column_path().parts().first().map_or("", String::as_str);
        let most = if columns.contains(&name) { PAGE_BYTES_MAX } else { BODY_PAGE_BYTES_MAX };
        let failed = |reason| format!("column `{name}`: {reason}");
        let pages = check_pages(file.as_ref(), range, most).map_err(failed)?;
        let is_nested = chunk.column_descr().max_rep_level() > 0;
        if part.is_some() {
            pages.check_table(is_nested).map_err(failed)?;
        }
        if part.is_some() && is_nested {
            nested_values = nested_values.saturating_add(pages.values);
            let most = length.saturating_mul(NESTED_VALUES_PER_BYTE_MAX);
            if nested_values > most {
                return Err(failed(format!("lists have {nested_values} values, {length} bytes hold at most {most}")));
            }
            batch_rows = batch_rows.min(NESTED_VALUES_MAX / values_of_a_row(file, chunk).map_err(failed)?.max(1));
        }
        batch_rows = batch_rows.min(BATCH_BYTES_MAX / pages.value_bytes.max(1)).max(1);
    }
    Ok(batch_rows)
}

/// Values of the row that has most, in a column of lists or maps whose pages were checked.
fn values_of_a_row<R: ChunkReader>(file: &Arc<R>, chunk: &ColumnChunkMetaData) -> Result<u64, String> {
    if chunk.column_descr().max_rep_level() > 1 {
        return Err("it has lists in lists, which no table has".into());
    }
    let mut values = RowValues::default();
    let mut pages = SerializedPageReader::new(Arc::clone(file), chunk, 0, None).map_err(text)?;
    while let Some(page) = pages.get_next_page().map_err(text)? {
        values.add(&page)?;
    }
    match values.most() {
        most @ ..=NESTED_VALUES_MAX => Ok(most),
        most => Err(format!("a row has {most} values, at most {NESTED_VALUES_MAX} are read")),
    }
}

/// Where the pages of a column lie; readers take for granted that it is in the file.
fn byte_range(chunk: &ColumnChunkMetaData, length: u64) -> Result<(u64, u64), String> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let range = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
    let is_inside = |&(start, size): &(u64, u64)| {
        let end = start.checked_add(size);
        end.is_some_and(|end| end <= length) && chunk.data_page_offset() >= start.try_into().unwrap_or(i64::MAX)
    };
    let name = chunk.column_path().string();
    range.filter(is_inside).ok_or_else(|| format!("column `{name}` is said to lie outside of the file"))
}

/// The pages of a column, by their headers.
#[derive(Debug, Default, PartialEq)]
struct Pages {
    values: u64,
    /// Of all pages, unpacked.
    bytes: u64,
    /// Of a value, on the average of the page in which that is most.
    value_bytes: u64,
    has_delta_text: bool,
}

impl Pages {
    /// A column of lists may have all bytes of a row group in one row.
    fn check_table(&self, is_nested: bool) -> Result<(), String> {
        let most = BODY_PAGE_BYTES_MAX.unsigned_abs();
        match () {
            () if self.has_delta_text => Err("it is in the encoding DELTA_BYTE_ARRAY, which is not read".into()),
            () if !is_nested => Ok(()),
            () if self.bytes > most => Err(format!("a row group has {} bytes, at most {most} are read", self.bytes)),
            () => Ok(()),
        }
    }
}

/// Looks at the headers of a column's pages, one after the other.
fn check_pages<R: ChunkReader>(file: &R, (mut at, size): (u64, u64), most: i64) -> Result<Pages, String> {
    let end = at + size;
    let mut pages = Pages::default();
    while at < end {
        let page = file.get_read(at).map_err(text)?.take(PAGE_HEADER_BYTES_MAX.min(end - at));
        let mut header = Thrift::new(BufReader::with_capacity(256, page));
        let (mut bytes, mut stored, mut data) = (None, None, [None; 2]);
        // PageHeader: 2 uncompressed_page_size, 3 compressed_page_size, 5 data_page_header, 8 data_page_header_v2.
        while let Some((field, kind)) = header.next_field()? {
            match field {
                2 => bytes = Some(header.number()?),
                3 => stored = Some(header.number()?),
                // Both: 1 num_values; the encoding is 2 or 4.
                5 => data = header.numbers_in([1, 2])?,
                8 => data = header.numbers_in([1, 4])?,
                _ => header.skip(kind)?,
            }
        }
        let stored = stored.and_then(|stored| u64::try_from(stored).ok());
        let (Some(bytes), Some(stored)) = (bytes, stored) else { return Err("a page does not say its length".into()) };
        let length = u64::try_from(bytes).ok().filter(|_| bytes <= most);
        let length = length.ok_or_else(|| format!("a page has {bytes} bytes, at most {most} are read"))?;
        let [values, encoding] = data;
        pages.has_delta_text |= encoding == Some(DELTA_BYTE_ARRAY);
        let values = values.and_then(|values| u64::try_from(values).ok()).unwrap_or_default();
        pages.values = pages.values.saturating_add(values);
        pages.bytes = pages.bytes.saturating_add(length);
        // A dictionary is no data: text of its goes by reference, whatever it has.
        if values > 0 {
            pages.value_bytes = pages.value_bytes.max(length.div_ceil(values));
        }
        at = at.saturating_add(header.bytes_read()).saturating_add(stored);
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Array as _, ArrayRef, DictionaryArray, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
        StringBuilder, new_null_array,
    };
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, Encoding};
    use parquet::file::metadata::{FileMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData};
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn file_of(words: &[&str]) -> Vec<u8> {
        let numbers = Int64Array::from_iter_values((0..).take(words.len()));
        let columns: [(&str, ArrayRef); 2] =
            [("number", Arc::new(numbers)), ("word", Arc::new(StringArray::from(words.to_vec())))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(Default::default()));
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn check(bytes: &[u8]) -> Result<(), String> {
        open(bytes::Bytes::copy_from_slice(bytes), &["number", "word"]).map(drop)
    }

    /// The same file with another footer.
    fn with_footer(bytes: &[u8], change: impl Fn(RowGroupMetaData) -> RowGroupMetaData) -> Vec<u8> {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        let mut reader = ParquetMetaDataReader::new();
        reader.try_parse(&bytes).unwrap();
        let footer = reader.metadata_size().unwrap();
        let metadata = reader.finish().unwrap();
        let old = metadata.file_metadata();
        let file = FileMetaData::new(old.version(), old.num_rows(), None, None, old.schema_descr_ptr(), None);
        let groups = metadata.row_groups().iter().cloned().map(change).collect();
        let data = bytes.len() - footer - usize::try_from(TAIL_BYTES).unwrap();
        let mut changed = bytes[..data].to_vec();
        ParquetMetaDataWriter::new(&mut changed, &ParquetMetaData::new(file, groups)).finish().unwrap();
        changed
    }

    #[test]
    fn a_file_as_it_was_written_is_read() {
        check(&file_of(&["a", "b"])).unwrap();
        check(&file_of(&[])).unwrap();
        let bytes = file_of(&["a", "b"]);
        check(&with_footer(&bytes, |group| group)).unwrap();
    }

    #[test]
    fn a_page_that_swells_is_refused_before_it_is_unpacked() {
        let bomb = file_of(&[&"0".repeat(80 << 20)]);
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        let reason = check(&bomb).unwrap_err();
        assert!(reason.starts_with("column `word`: a page has 8") && reason.contains("67108864"), "{reason}");
    }

    #[test]
    fn a_page_of_what_was_said_is_held_against_a_bound_of_its_own() {
        let bomb = bytes::Bytes::from(file_of(&[&"0".repeat(80 << 20)]));
        open(bomb, &["number"]).unwrap();
        // PageHeader: type 0, 2^31 - 1 bytes of which 4 are stored.
        let lie = [0x15, 0, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 8, 0];
        let reason = check_pages(&bytes::Bytes::copy_from_slice(&lie), (0, 11), BODY_PAGE_BYTES_MAX).unwrap_err();
        assert_eq!(reason, "a page has 2147483647 bytes, at most 536870912 are read");
    }

    /// A file of `part` whose rows have one text of 64 KiB in `column` and nothing else.
    fn file_of_one_text(part: Part, column: &str, rows: usize) -> bytes::Bytes {
        let text = StringArray::from(vec!["x".repeat(1 << 16)]);
        file_with(part, column, Arc::new(DictionaryArray::new(Int32Array::from(vec![0; rows]), Arc::new(text))))
    }

    /// A file of `part` whose rows have `values` in `column` and nothing else.
    fn file_with(part: Part, column: &str, values: ArrayRef) -> bytes::Bytes {
        let columns = part.spec().building_schema().fields().clone();
        let columns = columns.iter().map(|field| match field.name() == column {
            true => (field.name().clone(), Arc::clone(&values)),
            false => (field.name().clone(), new_null_array(field.data_type(), values.len())),
        });
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
        let properties = WriterProperties::builder().set_dictionary_page_size_limit(4 << 20).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    #[test]
    fn a_text_that_a_file_has_once_is_in_memory_once() {
        for (part, column) in [(Part::Usage, "topic"), (Part::Content, "input_messages")] {
            let file = file_of_one_text(part, column, 1_024);
            assert!(file.len() < 1 << 20, "{}", file.len());
            let mut rows = 0;
            for batch in open_table(file, part, &["topic"]).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                assert!(batch.get_array_memory_size() < 4 << 20, "{}", batch.get_array_memory_size());
                for piece in crate::views::pieces(batch, part.spec().building_schema()) {
                    let piece = piece.unwrap();
                    assert!(piece.get_array_memory_size() < 80 << 20, "{}", piece.get_array_memory_size());
                    rows += piece.num_rows();
                }
            }
            assert_eq!(rows, 1_024);
        }
    }

    /// A file of `usage` whose rows have so many features each, and the first a text that nothing makes shorter.
    fn file_of_features(rows: &[usize], text_bytes: usize) -> bytes::Bytes {
        let mut noise = 1_u32;
        let text = (0..text_bytes).map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + u8::try_from(noise >> 26).unwrap())
        });
        let text: String = text.collect();
        let mut features = ListBuilder::new(StringBuilder::new()).with_field(arrow::datatypes::Field::new(
            "element",
            arrow::datatypes::DataType::Utf8,
            false,
        ));
        for (at, count) in rows.iter().enumerate() {
            (0..*count).for_each(|word| features.values().append_value(if (at, word) == (0, 0) { &text } else { "x" }));
            features.append(true);
        }
        file_with(Part::Usage, "features", Arc::new(features.finish()))
    }

    #[test]
    fn lists_of_more_values_than_a_file_can_hold_are_refused() {
        let open = |file: bytes::Bytes| open_table(file, Part::Usage, &["topic"]).map(drop);
        open(file_of_features(&[100_000], 1)).unwrap();
        let bomb = file_of_features(&[3_000_000], 1);
        // The other lists of the row have one each, which is null.
        let said = format!("column `features`: lists have 3000004 values, {} bytes hold at most", bomb.len());
        assert!(open(bomb).unwrap_err().starts_with(&said));
        let reason = open(file_of_features(&[3, 1_048_577, 3], 64 << 10)).unwrap_err();
        assert_eq!(reason, "column `features`: a row has 1048577 values, at most 1048576 are read");
    }

    #[test]
    fn long_lists_are_read_a_few_at_a_time() {
        let file = file_of_features(&[300_000; 8], 64 << 10);
        let batches = open_table(file, Part::Usage, &[]).unwrap().build().unwrap();
        assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>(), [3, 3, 2]);
    }

    #[test]
    fn calls_are_no_more_than_their_ids_have_room_for() {
        let rows = 200_000;
        let file = file_with(Part::Usage, "team", new_null_array(&arrow::datatypes::DataType::Utf8, rows));
        assert!(file.len() < rows);
        let said = format!("its footer says 200000 rows, {} bytes hold at most {}", file.len(), file.len() / 8);
        assert_eq!(open_table(file, Part::Usage, &[]).map(drop).unwrap_err(), said);
    }

    #[test]
    fn long_texts_are_read_a_few_at_a_time() {
        let texts: Vec<String> = (0..64).map(|at| format!("{at}{}", "x".repeat(1 << 20))).collect();
        let file = bytes::Bytes::from(file_of(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
        for batch in open(file, &[]).unwrap().build().unwrap() {
            assert!(batch.unwrap().num_rows() <= 16);
        }
    }

    #[test]
    fn texts_that_are_made_of_those_before_are_refused() {
        let words: Vec<String> = (0..100).map(|at| format!("{}{at}", "x".repeat(1 << 10))).collect();
        let words: ArrayRef = Arc::new(StringArray::from(words));
        let batch = RecordBatch::try_from_iter([("word", words)]).unwrap();
        let properties =
            WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY);
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        let file = bytes::Bytes::from(writer.into_inner().unwrap());
        let reason = open_table(file, Part::Usage, &[]).map(drop).unwrap_err();
        assert_eq!(reason, "column `word`: it is in the encoding DELTA_BYTE_ARRAY, which is not read");
    }

    #[test]
    fn a_footer_that_says_more_than_the_file_can_hold_is_refused() {
        let bytes = file_of(&["a"]);
        let mut long = bytes.clone();
        let at = long.len() - 8;
        long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(check(&long).unwrap_err().starts_with("its footer has 4294967295 bytes"));

        let rows = |rows: i64| with_footer(&bytes, |group| group.into_builder().set_num_rows(rows).build().unwrap());
        assert!(check(&rows(1 << 40)).unwrap_err().contains("its footer says 1099511627776 rows"));
        assert!(check(b"PAR1").is_err() && check(b"").is_err());
    }

    #[test]
    fn a_column_outside_of_the_file_is_refused() {
        let with_size = |size: i64| {
            with_footer(&file_of(&["a"]), |group| {
                let columns = group.columns().iter().cloned();
                let columns = columns.map(|c| c.into_builder().set_total_compressed_size(size).build().unwrap());
                let columns = columns.collect();
                group.into_builder().set_column_metadata(columns).build().unwrap()
            })
        };
        for size in [-1, i64::MAX / 4, 1 << 20] {
            assert!(check(&with_size(size)).unwrap_err().contains("outside of the file"), "{size}");
        }
    }

    #[test]
    fn a_schema_that_goes_down_without_end_is_refused() {
        // FileMetaData with version 1, and a list of a million structs as its schema.
        let mut footer = vec![0x15, 0x02, 0x19, 0xfc, 0xc0, 0x84, 0x3d];
        footer.extend([0_u8; 64]);
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        let bytes = [b"PAR1".as_slice(), &footer, &length, b"PAR1"].concat();
        assert!(check(&bytes).unwrap_err().starts_with("its schema has 1000000 elements"));
    }
}
