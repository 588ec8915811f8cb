//! Kinds of columns: how each is stored, and the builder that fills it.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, DictionaryArray,
    Int32Builder, Int64Builder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder, StringDictionaryBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, TimeUnit};

use crate::money::{PRECISION, SCALE};

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Bytes,
    /// Text in which each value is its own (ids, messages).
    Text,
    /// Text with few distinct values, held as a dictionary while in memory.
    Word,
    /// 64-bit count.
    Int,
    /// 32-bit count.
    Short,
    /// True or false.
    Bool,
    /// UTC instant, microseconds.
    Instant,
    /// UTC day.
    Day,
    /// US dollars or an exact quantity, `Decimal128(38, 12)`.
    Decimal,
    /// List of words.
    Words,
    /// Map from text to text.
    TextMap,
    /// Map from text to bytes.
    BytesMap,
    /// Map from text to exact quantities.
    DecimalMap,
}

impl Kind {
    /// The type readers see.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bytes => DataType::Binary,
            Self::Text | Self::Word => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Short => DataType::Int32,
            Self::Bool => DataType::Boolean,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Day => DataType::Date32,
            Self::Decimal => DataType::Decimal128(PRECISION, SCALE),
            Self::Words => DataType::List(Arc::new(Field::new("element", DataType::Utf8, false))),
            Self::TextMap => map_of(DataType::Utf8),
            Self::BytesMap => map_of(DataType::Binary),
            Self::DecimalMap => map_of(Self::Decimal.data_type()),
        }
    }

    /// The type while a batch is being built: as [`Kind::data_type`], words as a dictionary.
    pub fn building_type(self) -> DataType {
        match self {
            Self::Word => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            other => other.data_type(),
        }
    }

    /// The type in a Delta schema string (Delta protocol, "Schema Serialization Format").
    pub fn delta_type(self) -> serde_json::Value {
        let map = |value: &str| serde_json::json!({"type": "map", "keyType": "string", "valueType": value, "valueContainsNull": false});
        match self {
            Self::Bytes => "binary".into(),
            Self::Text | Self::Word => "string".into(),
            Self::Int => "long".into(),
            Self::Short => "integer".into(),
            Self::Bool => "boolean".into(),
            Self::Instant => "timestamp".into(),
            Self::Day => "date".into(),
            Self::Decimal => format!("decimal({PRECISION},{SCALE})").into(),
            Self::Words => serde_json::json!({"type": "array", "elementType": "string", "containsNull": false}),
            Self::TextMap => map("string"),
            Self::BytesMap => map("binary"),
            Self::DecimalMap => map(&format!("decimal({PRECISION},{SCALE})")),
        }
    }
}

fn map_of(value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, false)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false)
}

/// A builder for one kind of column.
pub(crate) trait ColumnBuilder {
    /// An empty builder.
    fn create() -> Self;
    /// The column so far; the builder is empty again.
    fn take(&mut self) -> ArrayRef;
    /// Bytes held so far, roughly.
    fn bytes(&self) -> usize;
}

macro_rules! column_builder {
    ($builder:ty, $create:expr, |$self:ident| $bytes:expr) => {
        impl ColumnBuilder for $builder {
            fn create() -> Self {
                $create
            }
            fn take(&mut self) -> ArrayRef {
                Arc::new(self.finish())
            }
            fn bytes(&self) -> usize {
                let $self = self;
                $bytes
            }
        }
    };
}

/// Builds [`Kind::Word`]: a dictionary that knows how much text it holds, as senders' own words may be long and never the same.
pub struct WordBuilder {
    keys: StringDictionaryBuilder<Int32Type>,
    distinct: i32,
    text_bytes: usize,
}

impl Default for WordBuilder {
    fn default() -> Self {
        // Most of these stay nearly empty, and the builder's own default fills a hash table of 1,024 places.
        Self { keys: StringDictionaryBuilder::with_capacity(0, 0, 0), distinct: 0, text_bytes: 0 }
    }
}

impl std::fmt::Debug for WordBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { distinct, text_bytes, .. } = self;
        f.debug_struct("WordBuilder")
            .field("distinct", distinct)
            .field("text_bytes", text_bytes)
            .finish_non_exhaustive()
    }
}

impl WordBuilder {
    /// Adds a row.
    pub fn append_value(&mut self, word: impl AsRef<str>) {
        let word = word.as_ref();
        // A word that is new has the next key. More than there are keys for would be a row too few, which ends the batch.
        if self.keys.append(word).is_ok_and(|key| key == self.distinct) {
            self.distinct += 1;
            self.text_bytes += word.len();
        }
    }

    /// Adds a row, without a value if there is none.
    pub fn append_option(&mut self, word: Option<impl AsRef<str>>) {
        match word {
            Some(word) => self.append_value(word),
            None => self.append_null(),
        }
    }

    /// Adds a row without a value.
    pub fn append_null(&mut self) {
        self.keys.append_null();
    }

    fn finish(&mut self) -> DictionaryArray<Int32Type> {
        (self.distinct, self.text_bytes) = (0, 0);
        self.keys.finish()
    }
}

/// Builds [`Kind::Words`].
pub(crate) type WordsBuilder = ListBuilder<StringBuilder>;
/// Builds [`Kind::TextMap`].
pub(crate) type TextMapBuilder = MapBuilder<StringBuilder, StringBuilder>;
/// Builds [`Kind::BytesMap`].
pub(crate) type BytesMapBuilder = MapBuilder<StringBuilder, BinaryBuilder>;
/// Builds [`Kind::DecimalMap`].
pub(crate) type DecimalMapBuilder = MapBuilder<StringBuilder, Decimal128Builder>;

column_builder!(BinaryBuilder, Self::new(), |b| b.values_slice().len() + b.len() * 4);
column_builder!(StringBuilder, Self::new(), |b| b.values_slice().len() + b.len() * 4);
column_builder!(WordBuilder, Self::default(), |b| b.keys.len() * 4 + b.text_bytes);
column_builder!(Int64Builder, Self::new(), |b| b.len() * 8);
column_builder!(Int32Builder, Self::new(), |b| b.len() * 4);
column_builder!(BooleanBuilder, Self::new(), |b| b.len() / 8);
column_builder!(TimestampMicrosecondBuilder, Self::new().with_timezone("UTC"), |b| b.len() * 8);
column_builder!(Date32Builder, Self::new(), |b| b.len() * 4);
column_builder!(Decimal128Builder, Self::new().with_data_type(Kind::Decimal.data_type()), |b| b.len() * 16);
column_builder!(
    WordsBuilder,
    Self::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false)),
    |b| b.len() * 4 + b.values_ref().values_slice().len()
);
column_builder!(TextMapBuilder, map_builder(StringBuilder::new(), DataType::Utf8), |b| b.len() * 64);
column_builder!(BytesMapBuilder, map_builder(BinaryBuilder::new(), DataType::Binary), |b| b.len() * 4);
column_builder!(DecimalMapBuilder, map_builder(Decimal128Builder::create(), Kind::Decimal.data_type()), |b| b.len()
    * 4);

fn map_builder<V: ArrayBuilder>(values: V, value_type: DataType) -> MapBuilder<StringBuilder, V> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), values)
        .with_keys_field(Field::new("key", DataType::Utf8, false))
        .with_values_field(Field::new("value", value_type, false))
}

/// Declares a table: its columns once, and the builder whose fields they are.
///
/// A line is `name: Kind, statistics?, unit, meaning, where the term comes from`; `name: Kind said` if it holds what was said.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $spec:ident = $table:literal, sorted by $sort:expr, builder $builder:ident {
            $($name:ident: $kind:ident $($said:ident)?, $prune:literal, $unit:literal, $meaning:literal, $origin:literal;)+
        }
    ) => {
        $(#[$doc])*
        pub static $spec: $crate::schema::Table = $crate::schema::Table {
            name: $table,
            sorted_by: $sort,
            columns: &[$($crate::schema::Column {
                name: stringify!($name),
                kind: $crate::columns::Kind::$kind,
                prune: $prune,
                said: !<[&str]>::is_empty(&[$(stringify!($said))?]),
                unit: $unit,
                meaning: $meaning,
                origin: $origin,
            }),+],
        };

        /// Builds a batch of the table, column by column; every column gets one value per row.
        #[expect(missing_docs, reason = "each field is a column, documented in the table above")]
        pub struct $builder { $(pub $name: $crate::columns::builder_of!($kind),)+ }

        impl std::fmt::Debug for $builder {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($builder)).field("bytes", &self.bytes()).finish_non_exhaustive()
            }
        }

        impl Default for $builder {
            fn default() -> Self {
                Self { $($name: $crate::columns::ColumnBuilder::create(),)+ }
            }
        }

        impl $builder {
            /// Bytes held so far, roughly.
            pub fn bytes(&self) -> usize {
                0 $(+ $crate::columns::ColumnBuilder::bytes(&self.$name))+
            }

            /// The rows so far, words as dictionaries; the builder is empty again.
            ///
            /// # Errors
            /// [`Error::Internal`](crate::Error::Internal) if the columns differ in length.
            pub fn finish(&mut self) -> Result<arrow::array::RecordBatch, $crate::Error> {
                let columns = vec![$($crate::columns::ColumnBuilder::take(&mut self.$name)),+];
                arrow::array::RecordBatch::try_new($spec.building_schema(), columns).map_err($crate::Error::arrow)
            }
        }
    };
}

macro_rules! builder_of {
    (Bytes) => {
        arrow::array::BinaryBuilder
    };
    (Text) => {
        arrow::array::StringBuilder
    };
    (Word) => {
        $crate::columns::WordBuilder
    };
    (Int) => {
        arrow::array::Int64Builder
    };
    (Short) => {
        arrow::array::Int32Builder
    };
    (Bool) => {
        arrow::array::BooleanBuilder
    };
    (Instant) => {
        arrow::array::TimestampMicrosecondBuilder
    };
    (Day) => {
        arrow::array::Date32Builder
    };
    (Decimal) => {
        arrow::array::Decimal128Builder
    };
    (Words) => {
        $crate::columns::WordsBuilder
    };
    (TextMap) => {
        $crate::columns::TextMapBuilder
    };
    (BytesMap) => {
        $crate::columns::BytesMapBuilder
    };
    (DecimalMap) => {
        $crate::columns::DecimalMapBuilder
    };
}

pub(crate) use {builder_of, table};
