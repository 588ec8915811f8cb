//! Spans across, one a row: from low to high, with a mark at the middle and one at what it is compared with.

use super::super::svg::{Across, legend};
use super::Labels;
use super::bars::{BARS_MAX, PITCH, picture, rest, shortened};
use crate::render::html::{Column, Text, heading};

/// What is drawn.
pub(super) struct Ranges<'a> {
    pub(super) low: &'a Column,
    pub(super) middle: &'a Column,
    pub(super) high: &'a Column,
    pub(super) against: &'a Column,
}

impl Ranges<'_> {
    /// A span for each row; nothing if none has values.
    pub(super) fn picture(&self, section: &str, title: &str, labels: &Labels<'_>, rows: usize) -> String {
        let drawn = rows.min(BARS_MAX);
        let ends = (0..drawn).flat_map(|row| [self.high.number(row), self.against.number(row)]).flatten();
        let Some(longest) = ends.max().filter(|longest| *longest > 0) else { return String::new() };
        let body = (0..drawn).map(|row| self.span(row, labels, longest)).collect::<String>() + &rest(rows);
        let description = (0..drawn).map(|row| self.describe(row, labels)).collect::<Vec<_>>().join("; ");
        let description = description + ". The table below has every row.";
        let span = ("<rect class=\"band\" width=\"22\" height=\"10\"/>".to_owned(), "Low to high".to_owned());
        let mark = |class: &str, label: String| {
            (format!("<rect class=\"{class}\" x=\"9\" width=\"4\" height=\"10\"/>"), label)
        };
        let marks = [mark("free", heading(&self.middle.name)), mark("firm", heading(&self.against.name))];
        legend(std::iter::once(span).chain(marks)) + &picture(section, title, &description, drawn, rows, body)
    }

    fn span(&self, row: usize, labels: &Labels<'_>, longest: i128) -> String {
        let (line, top) = (row * PITCH + 13, row * PITCH + 20);
        let shown = if self.low.number(row).is_some() {
            format!("{} to {}", self.low.display(row), self.high.display(row))
        } else {
            "not known".into()
        };
        let mut span = format!(
            "<text y=\"{line}\">{}</text><text class=\"value\" x=\"100%\" y=\"{line}\">{}</text>\n",
            Text(&shortened(&labels.of_row(row))),
            Text(&shown)
        );
        if let (Some(low), Some(high)) = (self.low.number(row), self.high.number(row)) {
            let (from, width) = (Across::of(low, longest), Across::of(high - low, longest));
            span += &format!("<rect class=\"band\" x=\"{from}\" y=\"{top}\" width=\"{width}\" height=\"12\"/>\n");
        }
        for (class, column) in [("free", self.middle), ("firm", self.against)] {
            let Some(value) = column.number(row) else { continue };
            let x = Across::of(value, longest);
            span += &format!(
                "<rect class=\"{class}\" x=\"{x}\" y=\"{top}\" width=\"4\" height=\"12\" transform=\"translate(-2)\"/>\n"
            );
        }
        span
    }

    fn describe(&self, row: usize, labels: &Labels<'_>) -> String {
        let columns = [self.against, self.low, self.middle, self.high];
        let values = columns.map(|column| format!("{} {}", heading(&column.name), column.display(row)));
        format!("{}: {}", labels.of_row(row), values.join(", "))
    }
}
