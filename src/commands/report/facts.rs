//! `daybook report lockin`, `portability`, `contracts`, `exit-readiness`, `forecast`, `anomalies`, `savings`, `spend`, `audit` and `brief`:
//! reports made of published queries.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use daybook_ledger::price::Book;
use daybook_ledger::{Clock as _, Date, SystemClock, Usd};
use daybook_queries::registry::ModelRef;
use daybook_queries::report::{
    BriefOptions, Dimension, Grain, Report, Section, SpendOptions, audit, brief, calendar, contracts, exit_readiness,
    lockin, portability, re_embedding, spend, why,
};

use super::show::{OnArgs, ShowArgs, TablesArgs};
use crate::commands::args::{parse_day, parse_model, parse_usd};
use crate::commands::window;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, OutFile};

/// Flags of `daybook report lockin`.
#[derive(Debug, Args)]
pub(crate) struct LockinArgs {
    /// Show what decides the segment of this workload: rules, counts, dollars, sample entries.
    #[arg(long, value_name = "WORKLOAD")]
    why: Option<String>,
    /// Also show what it costs today to embed again, with this model, what was embedded so far.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_model, conflicts_with = "why")]
    re_embed: Option<ModelRef>,
    #[command(flatten)]
    tables: TablesArgs,
}

/// Flags of `daybook report contracts`.
#[derive(Debug, Args)]
pub(crate) struct ContractsArgs {
    #[command(flatten)]
    on: OnArgs,
    /// Write all deadlines to this file as a calendar (iCalendar); `-` is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "format", "out", "sql"])]
    ics: Option<PathBuf>,
    #[command(flatten)]
    tables: TablesArgs,
}

/// Flags of `daybook report exit-readiness`.
#[derive(Debug, Args)]
pub(crate) struct ExitReadinessArgs {
    /// Show this contract.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    #[command(flatten)]
    on: OnArgs,
    #[command(flatten)]
    tables: TablesArgs,
}

/// Flags of `daybook report portability`.
#[derive(Debug, Args)]
pub(crate) struct PortabilityArgs {
    /// Show this workload.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    #[command(flatten)]
    tables: TablesArgs,
}

/// Flags of `daybook report spend`.
#[derive(Debug, Args)]
pub(crate) struct SpendArgs {
    /// One line for each of these
    #[arg(long, value_delimiter = ',', value_parser = dimensions(), default_value = "workload,provider")]
    by: Vec<Dimension>,
    /// And for each of these
    #[arg(long, value_parser = grains())]
    grain: Option<Grain>,
    /// The first day (YYYY-MM-DD), in the zone of --tz [default: that of the first entry].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first day not to count any more [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// The time zone of days and grains (IANA name)
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    tz: String,
    #[command(flatten)]
    show: ShowArgs,
}

/// Flags of `daybook report audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    on: OnArgs,
    #[command(flatten)]
    tables: TablesArgs,
}

/// Flags of `daybook report brief`.
#[derive(Debug, Args)]
pub(crate) struct BriefArgs {
    /// The contract, by its name in the registry.
    #[arg(long, value_name = "NAME")]
    contract: String,
    #[command(flatten)]
    on: OnArgs,
    /// An engineering day in dollars: what moving takes once is not known without it.
    #[arg(long, value_name = "USD", value_parser = parse_usd)]
    day_rate: Option<Usd>,
    #[command(flatten)]
    tables: TablesArgs,
}

fn dimensions() -> impl clap::builder::TypedValueParser<Value = Dimension> {
    let words = Dimension::ALL.iter().map(|dimension| dimension.as_str());
    PossibleValuesParser::new(words).try_map(|text| text.parse::<Dimension>())
}

fn grains() -> impl clap::builder::TypedValueParser<Value = Grain> {
    PossibleValuesParser::new(Grain::ALL.iter().map(|grain| grain.as_str())).try_map(|text| text.parse::<Grain>())
}

pub(super) async fn run_lockin(args: LockinArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let session = args.tables.show.open("UTC", layers).await?;
    let (title, mut sections) = match &args.why {
        Some(workload) => (format!("Lock-in of {workload}"), why(&session, workload)?),
        None => ("Lock-in".into(), lockin()),
    };
    if let Some(model) = &args.re_embed {
        let ledger = args.tables.show.ledger.open(layers).await?;
        sections.push(re_embedding(&Book::load(&ledger).await?, model, SystemClock.now())?);
    }
    args.tables.show(&session, Report::of(title, None, sections), quiet).await
}

pub(super) async fn run_contracts(args: ContractsArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let session = args.tables.show.open("UTC", layers).await?;
    let on = args.on.day();
    if let Some(path) = &args.ics {
        write(path, &calendar(&session, on).await?, quiet)?;
        return Ok(ExitCode::SUCCESS);
    }
    args.tables.show(&session, Report::of("Contracts", Some(on), contracts(on)), quiet).await
}

fn write(path: &Path, text: &str, quiet: bool) -> Result<(), Failure> {
    if path == Path::new("-") {
        return output::data().write_all(text.as_bytes()).map_err(Failure::unprintable);
    }
    let mut file = OutFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|error| output::unwritable(path, error))?;
    file.finish(quiet)
}

pub(super) async fn run_exit_readiness(
    args: ExitReadinessArgs,
    layers: &mut Layers,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let session = args.tables.show.open("UTC", layers).await?;
    let on = args.on.day();
    let sections = exit_readiness(&session, args.contract.as_deref(), on)?;
    args.tables.show(&session, Report::of("Exit readiness", Some(on), sections), quiet).await
}

pub(super) async fn run_portability(
    args: PortabilityArgs,
    layers: &mut Layers,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let session = args.tables.show.open("UTC", layers).await?;
    let sections = portability(&session, args.workload.as_deref())?;
    args.tables.show(&session, Report::of("Portability", None, sections), quiet).await
}

pub(super) async fn run_sections(
    (title, sections): (&str, Vec<Section>),
    args: TablesArgs,
    layers: &mut Layers,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let session = args.show.open("UTC", layers).await?;
    args.show(&session, Report::of(title, None, sections), quiet).await
}

pub(super) async fn run_spend(args: SpendArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    window::check(args.from, args.to)?;
    let session = args.show.open(&args.tz, layers).await?;
    let options = SpendOptions { by: args.by, grain: args.grain, from: args.from, to: args.to };
    args.show.show(&session, &Report::of("Spend", None, vec![spend(&options)]), quiet).await
}

pub(super) async fn run_audit(args: AuditArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let session = args.tables.show.open("UTC", layers).await?;
    let report = audit(session.registry(), args.on.day());
    args.tables.show(&session, report, quiet).await
}

pub(super) async fn run_brief(args: BriefArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let session = args.tables.show.open("UTC", layers).await?;
    let ledger = args.tables.show.ledger.open(layers).await?;
    let book = Arc::new(Book::load(&ledger).await?);
    let options = BriefOptions { contract: args.contract, on: args.on.day(), day_rate_usd: args.day_rate };
    let report = Box::pin(brief(&session, &book, &options)).await?;
    args.tables.show(&session, report, quiet).await
}
