//! `daybook reprice`: what recorded calls cost at other prices.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use daybook_ledger::price::{Book, Idle, Valuation, Valued};
use daybook_ledger::{Clock as _, Date, SystemClock};
use daybook_queries::rounded;

use crate::commands::args::{LedgerArg, parse_day};
use crate::commands::prices::{Dates, read_sheet};
use crate::commands::window;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, counted};

/// Flags of `daybook reprice`.
#[derive(Debug, Args)]
pub(crate) struct RepriceArgs {
    /// The name of the valuation.
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// The sheet, in any form `daybook prices import` takes.
    #[arg(long, value_name = "FILE")]
    prices: PathBuf,
    /// Price by the sheet alone: what is not in it has no price.
    #[arg(long)]
    alone: bool,
    #[command(flatten)]
    ledger: LedgerArg,
    /// The first UTC day to value (YYYY-MM-DD) [default: that of the first entry].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first UTC day not to value any more [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
}

pub(crate) async fn run(args: RepriceArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    window::check(args.from, args.to)?;
    // A file without dates is asked about all days.
    let sheet = read_sheet(&args.prices, Dates::default(), Date::from_days(0))?.book;
    let ledger = args.ledger.open(layers).await?;
    let book = if args.alone { sheet } else { Book::load(&ledger).await?.overlay(&sheet) };
    let valuation = Valuation { name: &args.name, from: args.from, to: args.to, created_at: SystemClock.now() };
    let valued = book.value(&ledger, &valuation).await?;
    output::line(describe(&args.name, &valued))?;
    Ok(ExitCode::SUCCESS)
}

fn describe(name: &str, valued: &Valued) -> String {
    let mut text = format!("valuation {name}: {} valued", counted(valued.entries, "entry"));
    if valued.already > 0 {
        text += &format!(", {} had a value already", valued.already);
    }
    for (status, entries) in &valued.by_status {
        text += &format!("\n  {entries} {}", status.as_str());
    }
    if valued.entries > 0 {
        text +=
            &format!("\n  {} dollars; recorded {} dollars", rounded(valued.list_cost), rounded(valued.recorded_cost));
    }
    for (capacity, Idle { hours, cost }) in &valued.idle {
        text += &format!("\n  {hours} hours of {capacity} unused: {} dollars that no call has", rounded(*cost));
    }
    text
}
