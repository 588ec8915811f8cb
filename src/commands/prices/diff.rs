//! `daybook prices diff`: two sets of prices side by side.

use std::io::Write;
use std::path::Path;

use clap::Args;
use daybook_ledger::price::{Book, BookDiff, Change};
use daybook_ledger::{Clock as _, Date, Kind, SystemClock, Usd};

use super::sheet::{Dates, read_sheet};
use super::{in_force, plain};
use crate::commands::args::{LedgerArg, parse_day};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, Form};

/// Flags of `daybook prices diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A sheet (our CSV or LiteLLM's price file); `ledger` for the prices in force for a ledger, `default` for the sheet
    /// that ships with Daybook.
    #[arg(value_name = "A")]
    a: String,
    /// What to compare it with, likewise.
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    ledger: LedgerArg,
    /// The UTC day whose prices are compared (YYYY-MM-DD) [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    at: Option<Date>,
    /// How differences are written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

pub(super) async fn run(args: DiffArgs, layers: &mut Layers) -> Result<(), Failure> {
    let day = args.at.unwrap_or_else(|| SystemClock.now().date());
    let a = book(&args.a, &args.ledger, layers, day).await?;
    let b = book(&args.b, &args.ledger, layers, day).await?;
    let diff = a.diff(&b, day);
    let mut out = output::data().lock();
    match args.format {
        Form::Text => text(&diff, &args, day, &mut out),
        Form::Json => json(&diff, day, &mut out),
    }
    .map_err(Failure::unprintable)
}

async fn book(name: &str, ledger: &LedgerArg, layers: &mut Layers, day: Date) -> Result<Book, Failure> {
    match name {
        "default" => Ok(Book::default_sheet()?),
        "ledger" => in_force(ledger, layers).await,
        file if Path::new(file).exists() => Ok(read_sheet(Path::new(file), Dates::default(), day)?.book),
        other => {
            let hint = Some("give a file, `ledger` or `default`".into());
            Err(Failure::plain("CLI-006", Kind::Usage, format!("there is no price sheet {other}"), hint))
        }
    }
}

fn text(diff: &BookDiff, args: &DiffArgs, day: Date, out: &mut impl Write) -> std::io::Result<()> {
    for Change { provider, model, unit, a, b } in &diff.changes {
        match (a, b) {
            (Some(a), Some(b)) => writeln!(out, "~ {provider} {model} {unit}: {} -> {}", plain(*a), plain(*b))?,
            (Some(a), None) => writeln!(out, "- {provider} {model} {unit}: {}", plain(*a))?,
            (None, b) => writeln!(out, "+ {provider} {model} {unit}: {}", plain(b.unwrap_or_default()))?,
        }
    }
    for (sign, products) in [("-", &diff.only_a), ("+", &diff.only_b)] {
        for (provider, model) in products {
            writeln!(out, "{sign} {provider} {model}")?;
        }
    }
    let BookDiff { changes, only_a, only_b, same } = diff;
    writeln!(
        out,
        "on {day}: {} rates differ, {same} are the same; {} models only in {}, {} only in {}",
        changes.len(),
        only_a.len(),
        args.a,
        only_b.len(),
        args.b
    )
}

fn json(diff: &BookDiff, day: Date, out: &mut impl Write) -> std::io::Result<()> {
    let rate = |rate: &Option<Usd>| rate.map(plain);
    let changes = diff.changes.iter().map(|Change { provider, model, unit, a, b }| {
        serde_json::json!({
            "provider": provider, "model": model, "unit": unit.to_string(), "a": rate(a), "b": rate(b),
        })
    });
    let products = |products: &[(String, String)]| {
        let product = |(provider, model): &(String, String)| serde_json::json!({"provider": provider, "model": model});
        products.iter().map(product).collect::<Vec<_>>()
    };
    let value = serde_json::json!({
        "day": day.to_string(),
        "changes": changes.collect::<Vec<_>>(),
        "only_a": products(&diff.only_a),
        "only_b": products(&diff.only_b),
        "same": diff.same,
    });
    output::json(&value, out)
}
