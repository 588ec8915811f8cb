//! Rows as a table of a page.

use super::grid::{Column, Grid, Unit, Value};
use super::{Text, heading};
use crate::render::number;

/// Characters from which text needs room to be read.
const LONG: usize = 48;

/// The headings.
pub(crate) fn head(grid: &Grid) -> String {
    let cells = grid.columns.iter().map(|column| {
        let class = if column.unit.is_number() { " class=\"n\"" } else { "" };
        format!("<th scope=\"col\"{class} title=\"{}\">{}</th>", Text(&column.name), Text(&heading(&column.name)))
    });
    format!("<thead><tr>{}</tr></thead>\n", cells.collect::<String>())
}

/// The rows; the first cell names its row. A dash is what is not known, or is not there.
pub(crate) fn body(grid: &Grid) -> String {
    let cell = |row: usize, at: usize, column: &Column| {
        let (tag, scope) = if at == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
        let shown = match column.value(row) {
            Value::Null if at > 0 => "–".into(),
            _ => value(column, row),
        };
        format!("<{tag}{scope}{}>{shown}</{tag}>", class(column, row))
    };
    let line = |row: usize| {
        let cells = grid.columns.iter().enumerate().map(|(at, column)| cell(row, at, column));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    (0..grid.rows).map(line).collect()
}

/// What the style sheet needs to know of a cell.
fn class(column: &Column, row: usize) -> String {
    let kind = match (column.unit, column.value(row)) {
        (unit, _) if unit.is_number() => "n",
        (Unit::Day, _) => "day",
        (_, Value::Text(text)) if text.chars().count() > LONG => "long",
        _ => "",
    };
    let none = if *column.value(row) == Value::Null { "none" } else { "" };
    let classes: Vec<_> = [kind, none].into_iter().filter(|class| !class.is_empty()).collect();
    if classes.is_empty() { String::new() } else { format!(" class=\"{}\"", classes.join(" ")) }
}

/// One value: what is rounded carries its exact value.
pub(crate) fn value(column: &Column, row: usize) -> String {
    let shown = column.display(row);
    let Some(value) = column.number(row).filter(|_| column.unit.is_number()) else { return Text(&shown).to_string() };
    let exact = number::exact(value, column.places());
    match column.unit {
        Unit::Usd(_) => format!("<data value=\"{exact}\" title=\"{exact} US dollars\">{shown}</data>"),
        Unit::Share(_) => format!("<data value=\"{exact}\" title=\"{exact}\">{}</data>", Text(&shown)),
        _ => format!("<data value=\"{exact}\">{shown}</data>"),
    }
}
