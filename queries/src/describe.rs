//! What the columns of a table or view are, in words.

use arrow::datatypes::{DataType, SchemaRef};
use daybook_ledger::schema;

use crate::registry::RegistryTable;
use crate::session::recorded_name;
use crate::views;

/// A column in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDescription {
    /// Its name.
    pub name: String,
    /// Its type as SQL calls it.
    pub data_type: String,
    /// Its unit and meaning.
    pub meaning: String,
}

/// The columns of `table`, whose schema is `schema`.
pub(crate) fn describe(table: &str, schema: &SchemaRef) -> Vec<ColumnDescription> {
    let described = schema.fields().iter().map(|field| ColumnDescription {
        name: field.name().clone(),
        data_type: sql_type(field.data_type()),
        meaning: meaning(table, field.name()).unwrap_or_default(),
    });
    described.collect()
}

fn meaning(table: &str, column: &str) -> Option<String> {
    let is_meant = |spec: &&&schema::Table| spec.name == table || recorded_name(spec.name) == Some(table);
    if let Some(table) = schema::Table::ALL.iter().find(is_meant) {
        let column = table.columns.iter().find(|candidate| candidate.name == column)?;
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        return Some(format!("{}{unit}", column.meaning));
    }
    if let Some(table) = RegistryTable::named(table) {
        return table.columns.iter().find(|(name, _)| *name == column).map(|(_, meaning)| (*meaning).to_owned());
    }
    let header = views::ALL.iter().find(|view| view.name == table)?.header();
    let start = format!("- `{column}`: ");
    let mut lines = header.lines().skip_while(|line| !line.starts_with(&start));
    let first = lines.next()?.strip_prefix(&start)?.to_owned();
    let rest = lines.take_while(|line| line.starts_with("  "));
    Some(rest.fold(first, |text, line| format!("{text} {}", line.trim())))
}

fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::List(item) => format!("{}[]", sql_type(item.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types: Vec<_> = fields.iter().map(|field| sql_type(field.data_type())).collect();
                format!("map({})", types.join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
