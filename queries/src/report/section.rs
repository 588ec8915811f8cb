//! A report of several tables, each the answer of one published query.

use std::io::Write;

use crate::{Error, Format, Session, render};

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
}

/// Writes `sections` to `out`, one after the other, under a line that says what they were made from.
///
/// Tables, Markdown and JSON hold all sections; any other format holds one table, so it takes one section.
///
/// # Errors
/// [`Error::NotInFormat`] for several sections in a format of one table; those of the queries and of writing.
pub async fn render_sections(
    session: &Session,
    sections: &[Section],
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    match (format, sections) {
        (Format::Json, _) => render_json(session, sections, out).await,
        (Format::Table | Format::Markdown, _) => render_text(session, sections, format, out).await,
        (_, [section]) => render(session.run(&section.sql).await?, format, u64::MAX, out).await.map(drop),
        _ => {
            let message = "it holds one table and the report has several: choose one with --only".into();
            Err(Error::NotInFormat { format: format.as_str(), message })
        }
    }
}

async fn render_text(
    session: &Session,
    sections: &[Section],
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let failed = |source| Error::Output { source };
    writeln!(out, "Made from {}.", origin(session)).map_err(failed)?;
    for section in sections {
        let mark = if format == Format::Markdown { "## " } else { "" };
        let Section { title, note, .. } = section;
        writeln!(out, "\n{mark}{title}\n\n{note}\n").map_err(failed)?;
        render(session.run(&section.sql).await?, format, u64::MAX, out).await?;
    }
    Ok(())
}

async fn render_json(session: &Session, sections: &[Section], out: &mut (dyn Write + Send)) -> Result<(), Error> {
    let failed = |source| Error::Output { source };
    let usage = session.versions().iter().find(|(table, _)| *table == "usage").map(|(_, version)| version.0);
    let registry = session.registry_version().map(|version| version.0);
    let made_from = serde_json::json!({"usage_version": usage, "registry_version": registry});
    write!(out, "{{\"made_from\":{made_from}").map_err(failed)?;
    for section in sections {
        let mut rows = Vec::new();
        render(session.run(&section.sql).await?, Format::Json, u64::MAX, &mut rows).await?;
        let rows = String::from_utf8_lossy(&rows);
        write!(out, ",\n\"{}\":{}", section.name, rows.trim_end()).map_err(failed)?;
    }
    writeln!(out, "}}").map_err(failed)
}

/// The state that every number comes from, so that the report can be made again.
fn origin(session: &Session) -> String {
    let usage = session.versions().iter().find(|(table, _)| *table == "usage");
    let usage = usage.map_or_else(String::new, |(_, version)| format!("version {version} of `usage`"));
    match session.registry_version() {
        Some(version) => format!("{usage} and version {version} of the registry"),
        None if session.registry().files().is_empty() => format!("{usage} and the shipped rules; there is no registry"),
        None => format!("{usage} and a registry that is not in the ledger"),
    }
}
