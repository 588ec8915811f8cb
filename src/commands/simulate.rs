//! `daybook simulate`: what recorded traffic would cost otherwise.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use daybook_ledger::price::{Book, PricesOf};
use daybook_ledger::{Clock as _, Date, SystemClock, Usd};
use daybook_queries::registry::ModelRef;
use daybook_queries::report::{Report, Section};
use daybook_queries::simulate::{
    EXAMPLE, Priced, Project, Range, Scenario, Scenarios, SimulateOptions, Window, replay_sql, sections, simulate,
};

use super::prices::{Dates, read_sheet};
use super::report::show::TablesArgs;
use super::window;
use crate::commands::args::{parse_day, parse_model, parse_usd};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    what: WhatArgs,
    /// An engineering day in dollars, for --to.
    #[arg(long, value_name = "USD", requires = "to", value_parser = parse_usd)]
    day_rate: Option<Usd>,
    /// Whose prices apply: a UTC day (YYYY-MM-DD), or `call` for the day of each call [default: as the file says, else today].
    #[arg(long, value_name = "DAY|call", value_parser = parse_prices_of)]
    on: Option<PricesOf>,
    /// The first UTC day to replay (YYYY-MM-DD) [default: that of the first call].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first UTC day not to replay any more [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    until: Option<Date>,
    /// Replay the calls of this workload only.
    #[arg(long, value_name = "WORKLOAD")]
    workload: Option<String>,
    /// Replay the calls under this contract only.
    #[arg(long, value_name = "CONTRACT")]
    contract: Option<String>,
    #[command(flatten)]
    tables: TablesArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct WhatArgs {
    /// Play the scenarios of a file.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Move everything that talks to one model, under default assumptions.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_model)]
    to: Option<ModelRef>,
    /// Lay a sheet over the prices of every scenario; alone, show what it changes.
    #[arg(long, value_name = "SHEET")]
    prices: Option<PathBuf>,
    /// Print a file of scenarios to begin with.
    #[arg(long, exclusive = true)]
    example: bool,
}

fn parse_prices_of(text: &str) -> Result<PricesOf, String> {
    match text {
        "call" => Ok(PricesOf::TheCall),
        day => parse_day(day).map(PricesOf::Day).map_err(|error| format!("{error}, and not `call`")),
    }
}

pub(crate) async fn run(args: SimulateArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    if args.what.example {
        output::line(EXAMPLE.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    window::check(args.from, args.until)?;
    let window =
        Window { from: args.from, until: args.until, workload: args.workload.clone(), contract: args.contract.clone() };
    let session = args.tables.show.open("UTC", layers).await?;
    let report = |sections| Report::of("Simulation", None, sections);
    if args.tables.show.sql {
        let title = "Every call of the window, to be summed and priced";
        let replay = Section::new("replay", title, "", replay_sql(&window));
        let all = std::iter::once(replay).chain(sections()).collect();
        return args.tables.show(&session, report(all), quiet).await;
    }
    let ledger = args.tables.show.ledger.open(layers).await?;
    let book = Arc::new(Book::load(&ledger).await?);
    let file = args.what.scenario.as_deref().map(read_scenarios).transpose()?.unwrap_or_else(Scenarios::none);
    let today = PricesOf::Day(SystemClock.now().date());
    let options =
        SimulateOptions { window, prices_of: args.on.or(file.prices_of).unwrap_or(today), growth: file.growth };
    let scenarios = priced(&args, file.scenarios, &book)?;
    let sections = simulate(&session, &book, &scenarios, &options).await?;
    args.tables.show(&session, report(sections), quiet).await
}

fn read_scenarios(file: &Path) -> Result<Scenarios, Failure> {
    let path = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file(&path, "read", error))?;
    Ok(Scenarios::read(&path, &text)?)
}

/// The scenarios asked for, each with the prices it is played at.
fn priced(args: &SimulateArgs, mut scenarios: Vec<Scenario>, ledger: &Arc<Book>) -> Result<Vec<Priced>, Failure> {
    let day_rate_usd = args.day_rate.map(Range::exactly);
    let project = Project { day_rate_usd, ..Project::default() };
    scenarios.extend(args.what.to.clone().map(|to| Scenario::transfer(to, project)));
    let sheet = |file: &Path| Ok::<_, Failure>(read_sheet(file, Dates::default(), Date::from_days(0))?.book);
    let book = match &args.what.prices {
        Some(file) => Arc::new(ledger.overlay(&sheet(file)?)),
        None => Arc::clone(ledger),
    };
    if scenarios.is_empty() {
        scenarios.push(Scenario::base("prices"));
    }
    // A sheet a scenario names lies beside the file that names it.
    let folder = args.what.scenario.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let by_flag = args.what.prices.as_ref().map(|file| file.display().to_string());
    let with_book = |scenario: Scenario| {
        let book = match &scenario.prices {
            Some(file) => Arc::new(book.overlay(&sheet(&folder.join(file))?)),
            None => Arc::clone(&book),
        };
        let prices = scenario.prices.clone().or_else(|| by_flag.clone());
        Ok(Priced { scenario: Scenario { prices, ..scenario }, book })
    };
    scenarios.into_iter().map(with_book).collect()
}
