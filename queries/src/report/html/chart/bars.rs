//! Bars across, one a row: what it is called and its value stand above it, so that both have room on any screen.

use super::super::super::chart::{Part, Tone};
use super::super::svg::{Across, Picture, legend};
use super::Labels;
use crate::render::html::{Column, Text};

/// More bars than these are left to the table.
pub(super) const BARS_MAX: usize = 12;
/// Pixels from bar to bar.
pub(super) const PITCH: usize = 42;
/// Characters of a name; the table has all of it.
const LABEL_MAX: usize = 34;

/// A bar a row, as long as `value`.
pub(super) fn bars(section: &str, title: &str, labels: &Labels<'_>, value: &Column, tone: Tone, rows: usize) -> String {
    let drawn = rows.min(BARS_MAX);
    let Some(longest) = (0..drawn).filter_map(|row| value.number(row)).max() else { return String::new() };
    let bar = |row: usize| {
        let across = Across::of(value.number(row).unwrap_or(0), longest);
        line(row, labels, value) + &rect(tone.class(), Across::of(0, 1), across, row)
    };
    let body = (0..drawn).map(bar).collect::<String>() + &rest(rows);
    picture(section, title, &describe(labels, value, drawn), drawn, rows, body)
}

/// A bar a row, of `parts` from left to right.
pub(super) fn stack(
    section: &str,
    title: &str,
    labels: &Labels<'_>,
    total: &Column,
    parts: &[(&Part, &Column)],
    rows: usize,
) -> String {
    let drawn = rows.min(BARS_MAX);
    let part = |column: &Column, row: usize| column.number(row).unwrap_or(0).max(0);
    let sum = |row: usize| parts.iter().map(|(_, column)| part(column, row)).fold(0, i128::saturating_add);
    let longest = (0..drawn).map(sum).max().unwrap_or(0);
    if longest == 0 {
        return String::new();
    }
    let bar = |row: usize| {
        let mut from = 0_i128;
        let rects = parts.iter().map(|(kind, column)| {
            let (start, value) = (from, part(column, row));
            from = from.saturating_add(value);
            rect(kind.tone.class(), Across::of(start, longest), Across::of(value, longest), row)
        });
        let rects: String = rects.collect();
        line(row, labels, total) + &rects
    };
    let body = (0..drawn).map(bar).collect::<String>() + &rest(rows);
    let samples = parts.iter().map(|(kind, _)| {
        (format!("<rect class=\"{}\" width=\"22\" height=\"10\"/>", kind.tone.class()), kind.label.to_owned())
    });
    legend(samples) + &picture(section, title, &describe_parts(labels, parts, drawn), drawn, rows, body)
}

pub(super) fn picture(
    section: &str,
    title: &str,
    description: &str,
    drawn: usize,
    rows: usize,
    body: String,
) -> String {
    let height = drawn * PITCH + if rows > BARS_MAX { PITCH / 2 } else { 0 };
    let (id, title) = (format!("picture-{section}"), format!("{title}, as bars"));
    let picture = Picture { id, title, description: description.into(), height, body };
    format!("<div class=\"picture\">\n{picture}</div>\n")
}

fn line(row: usize, labels: &Labels<'_>, value: &Column) -> String {
    let y = row * PITCH + 13;
    let (label, shown) = (shortened(&labels.of_row(row)), value.display(row));
    format!(
        "<text y=\"{y}\">{}</text><text class=\"value\" x=\"100%\" y=\"{y}\">{}</text>\n",
        Text(&label),
        Text(&shown)
    )
}

fn rect(class: &str, from: Across, width: Across, row: usize) -> String {
    if width == Across::of(0, 1) {
        return String::new();
    }
    format!("<rect class=\"{class}\" x=\"{from}\" y=\"{}\" width=\"{width}\" height=\"12\"/>\n", row * PITCH + 20)
}

pub(super) fn rest(rows: usize) -> String {
    match rows.saturating_sub(BARS_MAX) {
        0 => String::new(),
        more => format!("<text class=\"quiet\" y=\"{}\">and {more} more in the table</text>\n", BARS_MAX * PITCH + 13),
    }
}

fn describe(labels: &Labels<'_>, value: &Column, rows: usize) -> String {
    let texts: Vec<_> = (0..rows).map(|row| format!("{}: {}", labels.of_row(row), value.display(row))).collect();
    texts.join("; ") + ". The table below has every row."
}

fn describe_parts(labels: &Labels<'_>, parts: &[(&Part, &Column)], rows: usize) -> String {
    let of_row = |row: usize| {
        let texts: Vec<_> =
            parts.iter().map(|(part, column)| format!("{} {}", part.label, column.display(row))).collect();
        format!("{}: {}", labels.of_row(row), texts.join(", "))
    };
    (0..rows).map(of_row).collect::<Vec<_>>().join("; ") + ". The table below has every row."
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= LABEL_MAX {
        return text.into();
    }
    text.chars().take(LABEL_MAX - 1).chain(['…']).collect()
}
