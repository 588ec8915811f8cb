//! `daybook prices check`: whether a sheet is sound, and what of a ledger it leaves without a price.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use daybook_ledger::price::{Book, Coverage};
use daybook_ledger::{Clock as _, Ledger, SystemClock};

use super::diff::Output;
use super::sheet::{Dates, read_sheet};
use super::{LedgerArg, describe, in_force, say};
use crate::config::Layers;
use crate::output;
use crate::report::Failure;

/// Flags of `daybook prices check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The sheet (our CSV or LiteLLM's price file); without it the prices in force are checked.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArg,
    /// How what has no price is written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Output,
}

/// Checks the sheet. If a ledger is named, every call in it is priced, by the prices in force with the sheet laid over them,
/// and what has no price is listed.
pub(super) async fn run(args: CheckArgs, layers: &mut Layers) -> Result<(), Failure> {
    let sheet = match &args.file {
        Some(file) => Some(read_sheet(file, Dates::default(), SystemClock.now().date())?),
        None => None,
    };
    let is_text = matches!(args.format, Output::Text);
    if let (Some(file), Some(sheet), true) = (&args.file, &sheet, is_text) {
        say(&format!("{}: {}", file.display(), describe(&sheet.book)))?;
        sheet.litellm.iter().flat_map(|notes| notes.lines()).try_for_each(|line| say(&line))?;
    }
    let Some(address) = args.ledger.ledger.clone() else {
        return match sheet {
            Some(_) => Ok(()),
            None => say(&format!("prices in force: {}", describe(&in_force(args.ledger, layers).await?))),
        };
    };
    let ledger = Ledger::open(&address).await?;
    let mut book = Book::load(&ledger).await?;
    if let Some(sheet) = &sheet {
        book = book.overlay(&sheet.book);
    } else if is_text {
        say(&format!("prices in force: {}", describe(&book)))?;
    }
    let coverage = book.coverage(&ledger).await?;
    let mut out = output::data().lock();
    match args.format {
        Output::Text => text(&coverage, &mut out),
        Output::Json => json(&coverage, &mut out),
    }
    .map_err(Failure::unprintable)
}

fn text(coverage: &Coverage, out: &mut impl Write) -> std::io::Result<()> {
    let unpriced: u64 = coverage.unpriced.values().map(|unpriced| unpriced.calls).sum();
    for ((provider, model, status), of_model) in most_first(coverage) {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".into());
        writeln!(
            out,
            "{} {}: {}: {} calls ({} %), {} input and {} output tokens",
            name(provider),
            name(model),
            status.as_str(),
            of_model.calls,
            percent(of_model.calls, coverage.calls),
            of_model.input_tokens,
            of_model.output_tokens
        )?;
    }
    writeln!(
        out,
        "{} calls: {unpriced} ({} %) have no price by these prices, {} were recorded without one",
        coverage.calls,
        percent(unpriced, coverage.calls),
        coverage.recorded_unpriced
    )
}

fn json(coverage: &Coverage, out: &mut impl Write) -> std::io::Result<()> {
    let lines = most_first(coverage).into_iter().map(|((provider, model, status), of_model)| {
        serde_json::json!({
            "provider": provider, "model": model, "price_status": status.as_str(), "calls": of_model.calls,
            "percent_of_calls": percent(of_model.calls, coverage.calls),
            "input_tokens": of_model.input_tokens.to_string(), "output_tokens": of_model.output_tokens.to_string(),
        })
    });
    let value = serde_json::json!({
        "calls": coverage.calls,
        "recorded_unpriced": coverage.recorded_unpriced,
        "unpriced": lines.collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)
}

type Line<'c> =
    (&'c (Option<String>, Option<String>, daybook_ledger::price::PriceStatus), &'c daybook_ledger::price::Unpriced);

fn most_first(coverage: &Coverage) -> Vec<Line<'_>> {
    let mut lines: Vec<_> = coverage.unpriced.iter().collect();
    lines.sort_by_key(|(_, unpriced)| std::cmp::Reverse(unpriced.calls));
    lines
}

/// With two decimals, cut off.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_two_decimals() {
        assert_eq!(percent(1, 3), "33.33");
        assert_eq!(percent(3, 3), "100.00");
        assert_eq!(percent(0, 0), "0.00");
        assert_eq!(percent(1, 20_000), "0.00");
    }
}
