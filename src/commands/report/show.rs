//! What every report of published queries is made from, and where it goes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use daybook_ledger::{Clock as _, Date, Kind, SystemClock};
use daybook_queries::report::{Report, render_report};
use daybook_queries::{Format, Session, SessionOptions};

use crate::commands::args::{LedgerArg, formats, parse_day};
use crate::commands::registry::RegistryArgs;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, OutFile};

/// Flags of every such report.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) ledger: LedgerArg,
    /// The state to read: a version of `usage` or an RFC 3339 instant [default: the newest].
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How tables are written; all but `table`, `markdown`, `json` and `html` hold one [default: as the name of --out ends,
    /// else `table`]
    #[arg(long, value_parser = formats())]
    format: Option<Format>,
    /// Write to this file, which has it whole or not at all.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the queries instead of their answers.
    #[arg(long)]
    pub(crate) sql: bool,
}

/// Flags of a report that has several tables.
#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    /// Show one table, by its name in JSON.
    #[arg(long, value_name = "TABLE")]
    pub(crate) only: Option<String>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// A day to count from.
#[derive(Debug, Args)]
pub(crate) struct OnArgs {
    /// Count days from this UTC day (YYYY-MM-DD) [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
}

impl OnArgs {
    pub(crate) fn day(&self) -> Date {
        self.on.unwrap_or_else(|| SystemClock.now().date())
    }
}

impl ShowArgs {
    /// The ledger at the state asked for.
    pub(crate) async fn open(&self, time_zone: &str, layers: &mut Layers) -> Result<Session, Failure> {
        let options = SessionOptions {
            as_of: self.as_of.as_deref().map(str::parse).transpose()?,
            time_zone: time_zone.into(),
            registry: self.registry.choice()?,
            ..SessionOptions::default()
        };
        let ledger = self.ledger.open(layers).await?;
        Ok(Session::open(&ledger, options).await?)
    }

    /// Writes `report`, or only its queries.
    pub(crate) async fn show(&self, session: &Session, report: &Report, quiet: bool) -> Result<ExitCode, Failure> {
        let Some(path) = &self.out else {
            self.write(session, report, output::drawing().width_max, &mut output::data()).await?;
            return Ok(ExitCode::SUCCESS);
        };
        let mut file = OutFile::create(path)?;
        self.write(session, report, usize::MAX, &mut file).await?;
        file.finish(quiet)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn write(
        &self,
        session: &Session,
        report: &Report,
        width_max: usize,
        out: &mut (dyn Write + Send),
    ) -> Result<(), Failure> {
        match self.sql {
            true => writeln!(out, "{}", queries(report)).map_err(Failure::unprintable),
            false => Ok(render_report(session, report, self.format(), width_max, out).await?),
        }
    }

    fn format(&self) -> Format {
        let named = self.out.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        let named = named.and_then(|ending| match ending {
            "htm" => Some(Format::Html),
            "md" => Some(Format::Markdown),
            ending => ending.parse().ok(),
        });
        self.format.or(named).unwrap_or(Format::Table)
    }
}

impl TablesArgs {
    /// Writes `report`, or the one table asked for.
    pub(crate) async fn show(&self, session: &Session, report: Report, quiet: bool) -> Result<ExitCode, Failure> {
        let report = match &self.only {
            Some(name) => choose(report, name)?,
            None => report,
        };
        self.show.show(session, &report, quiet).await
    }
}

fn queries(report: &Report) -> String {
    let queries = report.sections().map(|section| format!("-- {}\n{};", section.title, section.sql));
    queries.collect::<Vec<_>>().join("\n\n")
}

fn choose(report: Report, name: &str) -> Result<Report, Failure> {
    let names: Vec<_> = report.sections().map(|section| format!("`{}`", section.name)).collect();
    report.only(name).ok_or_else(|| {
        let hint = format!("there are {}", names.join(", "));
        Failure::plain("CLI-020", Kind::Usage, format!("the report has no table `{name}`"), Some(hint))
    })
}
