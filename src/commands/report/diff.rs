//! `daybook report diff`: two valuations side by side.

use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use daybook_ledger::{Date, Usd};
use daybook_queries::report::{By, Compared, DiffOptions, diff};
use daybook_queries::{Drawing, Format, Session, SessionOptions, render, rounded};

use crate::commands::args::{LedgerArg, formats, parse_day};
use crate::commands::window;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, counted};

/// Flags of `daybook report diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A valuation; `recorded` is the cost recorded with each call.
    #[arg(value_name = "A")]
    a: String,
    /// The valuation to compare it with.
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    ledger: LedgerArg,
    /// One line for each of these
    #[arg(long, value_delimiter = ',', value_parser = dimensions(), default_value = "provider,model")]
    by: Vec<By>,
    /// The first UTC day (YYYY-MM-DD) [default: that of the first entry].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first UTC day not to compare any more [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// How lines are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
}

pub(super) fn dimensions() -> impl clap::builder::TypedValueParser<Value = By> {
    PossibleValuesParser::new(By::ALL.map(By::as_str)).try_map(|text| text.parse::<By>())
}

pub(super) async fn run(args: DiffArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    window::check(args.from, args.to)?;
    let ledger = args.ledger.open(layers).await?;
    let session = Session::open(&ledger, SessionOptions::default()).await?;
    let options = DiffOptions { a: args.a, b: args.b, by: args.by, from: args.from, to: args.to };
    let (rows, total) = diff(&session, &options).await?;
    render(rows, args.format, Drawing { rounded: true, ..output::drawing() }, &mut output::data()).await?;
    if !quiet {
        output::say(summary(&options, &total));
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(options: &DiffOptions, total: &Compared) -> String {
    let cost = |cost: Option<Usd>| cost.map_or_else(|| "nothing priced".into(), |cost| rounded(cost) + " dollars");
    let DiffOptions { a, b, .. } = options;
    let mut text = format!(
        "{}: {a} {}, {b} {}; {b} less {a}, where both price a call: {}, from {}",
        counted(total.calls, "call"),
        cost(total.a_cost),
        cost(total.b_cost),
        cost(total.difference),
        counted(total.changed_calls, "call"),
    );
    let notes = [
        (total.a_unpriced, format!("not priced in {a}")),
        (total.b_unpriced, format!("not priced in {b}")),
        (total.a_only, format!("only in {a}")),
        (total.b_only, format!("only in {b}")),
    ];
    for (calls, what) in notes.into_iter().filter(|(calls, _)| *calls > 0) {
        text += &format!("; {} {what}", counted(calls, "call"));
    }
    text
}
