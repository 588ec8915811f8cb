//! `daybook report reconcile`: the ledger against its providers' bills.

use std::process::ExitCode;

use clap::Args;
use daybook_ledger::Date;
use daybook_ledger::price::Book;
use daybook_queries::report::{By, ReconcileOptions, Reconciled, Tolerance, reconcile};
use daybook_queries::{Drawing, Format, Session, SessionOptions, render, rounded};

use super::diff::dimensions;
use crate::commands::args::{LedgerArg, formats, parse_day};
use crate::commands::window;
use crate::config::Layers;
use crate::exit;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook report reconcile`.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// The first UTC day (YYYY-MM-DD) [default: that of each provider's first bill].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first UTC day not to compare any more [default: the day after each provider's last bill].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// Only this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// One line for each of these
    #[arg(long, value_delimiter = ',', value_parser = dimensions(), default_value = "provider,model,day")]
    by: Vec<By>,
    /// How much a line may differ, in dollars (`0.01`) or as a share of what is billed (`0.5%`); beyond it the exit code is 1
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = |text: &str| text.parse::<Tolerance>())]
    tolerance: Tolerance,
    /// How lines are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
}

pub(super) async fn run(args: ReconcileArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    window::check(args.from, args.to)?;
    let ledger = args.ledger.open(layers).await?;
    let session = Session::open(&ledger, SessionOptions::default()).await?;
    let book = Book::load(&ledger).await?;
    let options = ReconcileOptions {
        from: args.from,
        to: args.to,
        provider: args.provider,
        by: args.by,
        tolerance: args.tolerance,
    };
    let reconciled = reconcile(&session, &book, &options).await?;
    let talk = summary(&reconciled);
    let is_within = reconciled.is_within;
    render(reconciled.rows, args.format, Drawing { rounded: true, ..output::drawing() }, &mut output::data()).await?;
    if !quiet {
        output::say(talk);
    }
    Ok(if is_within { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}

fn summary(reconciled: &Reconciled) -> String {
    let Reconciled { list_cost, billed_cost, unexplained, beyond, windows, notes, .. } = reconciled;
    let days = windows.iter().map(|(provider, (first, last))| format!("{provider} {first} to {last}"));
    let mut text = format!(
        "compared: {}\nledger {} dollars, billed {}, difference {}, of which unexplained {}; lines beyond the tolerance: {beyond}",
        days.collect::<Vec<_>>().join(", "),
        rounded(*list_cost),
        rounded(*billed_cost),
        rounded(*billed_cost - *list_cost),
        rounded(*unexplained),
    );
    for note in notes {
        text += &format!("\nnote: {note}");
    }
    text
}
