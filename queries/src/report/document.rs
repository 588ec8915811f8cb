//! A report: sections in parts, written in one format.

use std::io::Write;

use daybook_ledger::Date;

use super::{Section, html};
use crate::render::html::Grid;
use crate::views::{self, View};
use crate::{Drawing, Error, Format, Session, render};

/// A report of several tables.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its title.
    pub title: String,
    /// What it is about, in a sentence or two; empty if the title says it.
    pub lead: String,
    /// The UTC day it counts from, if it counts days.
    pub on: Option<Date>,
    /// What it consists of.
    pub parts: Vec<ReportPart>,
}

/// What answers one question of a report.
#[derive(Clone, Debug, Default)]
pub struct ReportPart {
    /// The question; empty if the report has only one.
    pub title: &'static str,
    /// How to read the answer.
    pub lead: &'static str,
    /// The answer.
    pub sections: Vec<Section>,
}

impl Report {
    /// A report without parts.
    pub fn of(title: impl Into<String>, on: Option<Date>, sections: Vec<Section>) -> Self {
        let parts = vec![ReportPart { sections, ..ReportPart::default() }];
        Self { title: title.into(), lead: String::new(), on, parts }
    }

    /// Every table, in order.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.parts.iter().flat_map(|part| &part.sections)
    }

    /// Views that more than one table reads.
    fn views_read_often(&self) -> impl Iterator<Item = &'static View> {
        let readers = |view: &View| {
            self.sections().filter(|section| views::named_in(&section.sql).any(|named| named.name == view.name)).count()
        };
        views::ALL.iter().filter(move |view| readers(view) > 1)
    }

    /// The same report with nothing but the table `name`, if it has one.
    pub fn only(self, name: &str) -> Option<Self> {
        let section = self.sections().find(|section| section.name == name)?.clone();
        Some(Self::of(self.title, self.on, vec![section]))
    }
}

/// Writes `report` to `out`, with a line that says what it was made from. Lines of tables have at most `width_max` characters.
///
/// Tables, Markdown, JSON and HTML hold all sections; any other format holds one table, so it takes one section.
///
/// # Errors
/// [`Error::SeveralTables`] for several sections in a format of one table; those of the queries and of writing.
pub async fn render_report(
    session: &Session,
    report: &Report,
    format: Format,
    width_max: usize,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    session.keep(report.views_read_often()).await?;
    let mut sections = report.sections();
    match (format, sections.next(), sections.next()) {
        (Format::Html, ..) => html::render(session, report, out).await,
        (Format::Json, ..) => render_json(session, report, out).await,
        (Format::Table | Format::Markdown, ..) => render_text(session, report, format, width_max, out).await,
        (_, Some(section), None) => {
            render(session.run(&section.sql).await?, format, Drawing::default(), out).await.map(drop)
        }
        _ => {
            let tables = report.sections().map(|section| section.name.to_owned()).collect();
            Err(Error::SeveralTables { format: format.as_str(), tables })
        }
    }
}

/// As [`render_report`], of `sections` that make no report.
///
/// # Errors
/// As [`render_report`].
pub async fn render_sections(
    session: &Session,
    sections: &[Section],
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let report = Report::of("Report", None, sections.to_vec());
    render_report(session, &report, format, usize::MAX, out).await
}

async fn render_text(
    session: &Session,
    report: &Report,
    format: Format,
    width_max: usize,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let drawing = Drawing { width_max, rounded: true, ..Drawing::default() };
    let failed = |source| Error::Output { source };
    let mark = |level| if format == Format::Markdown { level } else { "" };
    writeln!(out, "Made from {}.", origin(session)).map_err(failed)?;
    for warning in warnings(session).await? {
        writeln!(out, "\n{warning}").map_err(failed)?;
    }
    for ReportPart { title: question, lead, sections } in &report.parts {
        if !question.is_empty() {
            writeln!(out, "\n{}{question}", mark("## ")).map_err(failed)?;
        }
        if !lead.is_empty() {
            writeln!(out, "\n{lead}").map_err(failed)?;
        }
        for Section { title, note, sql, .. } in sections {
            let mark = if question.is_empty() { mark("## ") } else { mark("### ") };
            writeln!(out, "\n{mark}{title}\n\n{note}\n").map_err(failed)?;
            render(session.run(sql).await?, format, drawing, out).await?;
        }
    }
    Ok(())
}

async fn render_json(session: &Session, report: &Report, out: &mut (dyn Write + Send)) -> Result<(), Error> {
    let failed = |source| Error::Output { source };
    let usage = session.versions().iter().find(|(table, _)| *table == "usage").map(|(_, version)| version.0);
    let registry = session.registry_version().map(|version| version.0);
    let made_from = serde_json::json!({"usage_version": usage, "registry_version": registry});
    write!(out, "{{\"made_from\":{made_from}").map_err(failed)?;
    for section in report.sections() {
        let mut rows = Vec::new();
        render(session.run(&section.sql).await?, Format::Json, Drawing::default(), &mut rows).await?;
        let rows = String::from_utf8_lossy(&rows);
        write!(out, ",\n\"{}\":{}", section.name, rows.trim_end()).map_err(failed)?;
    }
    writeln!(out, "}}").map_err(failed)
}

/// The state that every number comes from, so that the report can be made again.
pub(super) fn origin(session: &Session) -> String {
    let usage = session.versions().iter().find(|(table, _)| *table == "usage");
    let usage = usage.map_or_else(String::new, |(_, version)| format!("version {version} of `usage`"));
    match session.registry_version() {
        Some(version) => format!("{usage} and version {version} of the registry"),
        None if session.registry().files().is_empty() => format!("{usage} and the shipped rules; there is no registry"),
        None => format!("{usage} and a registry that is not in the ledger"),
    }
}

/// What a reader has to know before the first number.
pub(super) async fn warnings(session: &Session) -> Result<Vec<&'static str>, Error> {
    let extent = Grid::load(session, "SELECT count(*) AS calls, count(list_cost) AS priced_calls FROM usage").await?;
    let has_none = |name: &str| extent.column(name).and_then(|column| column.number(0)).unwrap_or_default() == 0;
    let warnings = [
        (has_none("calls"), "The ledger holds no call: nothing below is a fact about spend."),
        (!has_none("calls") && has_none("priced_calls"), "No call is priced: no amount of dollars is known."),
        (session.registry().files().is_empty(), "There is no registry: no call belongs to a workload or a contract."),
    ];
    Ok(warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning)).collect())
}
