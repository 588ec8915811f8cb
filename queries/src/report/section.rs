//! One table of a report, the answer of one published query.

use super::Chart;

/// One table of a report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name in JSON and on the command line.
    pub name: &'static str,
    /// What people read above it.
    pub title: &'static str,
    /// What to know to read it right.
    pub note: &'static str,
    /// The query that makes it.
    pub sql: String,
    /// What a page draws beside it.
    pub chart: Option<Chart>,
}

impl Section {
    /// A table without a drawing.
    pub fn new(name: &'static str, title: &'static str, note: &'static str, sql: impl Into<String>) -> Self {
        Self { name, title, note, sql: sql.into(), chart: None }
    }

    /// The same, drawn as `chart` on a page.
    #[must_use]
    pub fn drawn(self, chart: Chart) -> Self {
        Self { chart: Some(chart), ..self }
    }
}
