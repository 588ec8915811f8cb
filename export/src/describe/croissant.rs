//! `croissant.json`: the data files and their columns for machine learning tools (MLCommons Croissant 1.0).

use daybook_ledger::ColumnKind as Kind;
use daybook_ledger::schema::Column;
use serde_json::{Map, Value, json};

use super::{Description, meaning};
use crate::format::Shard;
use crate::{Format, Part};

const ML_COMMONS: &str = "http://mlcommons.org/croissant/";
/// The words of Croissant that its own vocabulary defines, as its context names them.
const WORDS: [&str; 25] = [
    "citeAs",
    "column",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
];

/// Every data file, and the columns of the Parquet files as record sets. Readers take them as they lie beside this file.
pub(super) fn croissant(description: &Description<'_>) -> Value {
    let shards = description.shards;
    let parts = Part::ALL
        .into_iter()
        .filter(|part| shards.iter().any(|(shard_part, format, _)| (shard_part, *format) == (part, Format::Parquet)));
    let (sets, records): (Vec<_>, Vec<_>) = parts.map(|part| (file_set(part), record_set(part))).unzip();
    let files = shards.iter().map(|(_, format, shard)| file_object(*format, shard));
    let pin = description.usage_pin();
    json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": format!("{ML_COMMONS}1.0"),
        "name": "daybook-bundle",
        "description": "AI usage from a Daybook ledger: entries of AI calls, what was said in them, and what explains them.",
        "identifier": description.identifier(),
        "version": format!("{}.0.0", pin.map_or(0, |pin| pin.version.0)),
        "datePublished": pin.map(|pin| pin.committed_at.date().to_string()),
        "distribution": files.chain(sets).collect::<Vec<_>>(),
        "recordSet": records,
    })
}

fn context() -> Value {
    let mut context: Map<String, Value> =
        WORDS.iter().map(|word| ((*word).into(), json!(format!("cr:{word}")))).collect();
    let others = [
        ("@language", json!("en")),
        ("@vocab", json!("https://schema.org/")),
        ("conformsTo", json!("dct:conformsTo")),
        ("cr", json!(ML_COMMONS)),
        ("data", json!({"@id": "cr:data", "@type": "@json"})),
        ("dataType", json!({"@id": "cr:dataType", "@type": "@vocab"})),
        ("dct", json!("http://purl.org/dc/terms/")),
        ("examples", json!({"@id": "cr:examples", "@type": "@json"})),
        ("rai", json!(format!("{ML_COMMONS}RAI/"))),
        ("sc", json!("https://schema.org/")),
    ];
    context.extend(others.map(|(word, meaning)| (word.to_owned(), meaning)));
    context.into()
}

fn file_object(format: Format, shard: &Shard) -> Value {
    let path = shard.file.path.strip_prefix("data/").unwrap_or(&shard.file.path);
    let encoding = match format {
        Format::Jsonl => "application/jsonlines",
        Format::Csv => "text/csv",
        Format::Parquet => "application/x-parquet",
    };
    json!({
        "@type": "cr:FileObject",
        "@id": path,
        "name": path.rsplit('/').next(),
        "contentUrl": path,
        "contentSize": format!("{} B", shard.file.bytes),
        "encodingFormat": encoding,
        "sha256": shard.file.sha256,
    })
}

/// All Parquet files of a table, however many there are.
fn file_set(part: Part) -> Value {
    json!({
        "@type": "cr:FileSet",
        "@id": format!("{}-files", part.name()),
        "name": format!("{}-files", part.name()),
        "encodingFormat": "application/x-parquet",
        "includes": format!("{}/*.parquet", part.name()),
    })
}

fn record_set(part: Part) -> Value {
    let fields: Vec<Value> = part.spec().columns.iter().filter_map(|column| field(part, column)).collect();
    json!({
        "@type": "cr:RecordSet",
        "@id": part.name(),
        "name": part.name(),
        "description": part.meaning(),
        "field": fields,
    })
}

/// Croissant has neither maps nor decimals: maps are left out, and money, exact in the files, is a float to its readers.
fn field(part: Part, column: &Column) -> Option<Value> {
    let kind = match column.kind {
        Kind::TextMap | Kind::BytesMap | Kind::DecimalMap => return None,
        Kind::Bytes | Kind::Text | Kind::Word | Kind::Words => "sc:Text",
        Kind::Int | Kind::Short => "sc:Integer",
        Kind::Bool => "sc:Boolean",
        Kind::Instant => "sc:DateTime",
        Kind::Day => "sc:Date",
        Kind::Decimal => "sc:Float",
    };
    Some(json!({
        "@type": "cr:Field",
        "@id": format!("{}/{}", part.name(), column.name),
        "name": column.name,
        "description": meaning(column),
        "dataType": kind,
        "repeated": column.kind == Kind::Words,
        "source": {"fileSet": {"@id": format!("{}-files", part.name())}, "extract": {"column": column.name}},
    }))
}
