//! `daybook prices check`: whether a sheet is sound, and what of a ledger it leaves without a price.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use daybook_ledger::price::{Book, Coverage, LeftOut, Notice};
use daybook_ledger::{Clock as _, Ledger, SystemClock};
use serde_json::{Map, Value, json};

use super::sheet::{Dates, LiteLlmNotes, read_sheet};
use super::{Contents, describe, in_force};
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, Form};

/// Flags of `daybook prices check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The sheet (our CSV or LiteLLM's price file); without it the prices in force are checked.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArg,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

/// Checks the sheet. If a ledger is named, every call in it is priced, by the prices in force with the sheet laid over them,
/// and what has no price is listed.
pub(super) async fn run(args: CheckArgs, layers: &mut Layers) -> Result<(), Failure> {
    let read = |file: &PathBuf| read_sheet(file, Dates::default(), SystemClock.now().date());
    let sheet = args.file.as_ref().map(read).transpose()?;
    let ledger = match args.ledger.named() {
        Some(address) => Some(Ledger::open(address).await?),
        None => None,
    };
    let in_force = match (&ledger, &sheet) {
        (Some(ledger), _) => Some(Book::load(ledger).await?),
        (None, None) => Some(in_force(&args.ledger, layers).await?),
        (None, Some(_)) => None,
    };
    let laid_over = match (in_force, &sheet) {
        (Some(book), Some(sheet)) => Some(book.overlay(&sheet.book)),
        (book, _) => book,
    };
    let coverage = match (&ledger, &laid_over) {
        (Some(ledger), Some(book)) => Some(book.coverage(ledger).await?),
        _ => None,
    };
    let notices = match (&laid_over, &sheet) {
        (Some(book), Some(sheet)) => book.notices(&sheet.book),
        _ => BTreeSet::new(),
    };
    let name = args.file.map_or_else(|| "prices in force".into(), |file| file.display().to_string());
    let notes = sheet.as_ref().and_then(|sheet| sheet.litellm.as_ref());
    let Some(book) = sheet.as_ref().map(|sheet| &sheet.book).or(laid_over.as_ref()) else { return Ok(()) };
    let mut out = output::data().lock();
    match args.format {
        Form::Text => {
            output::line(format_args!("{name}: {}", describe(book)))?;
            notes.iter().flat_map(|notes| notes.lines()).try_for_each(output::line)?;
            notices.iter().try_for_each(output::line)?;
            coverage.map_or(Ok(()), |coverage| text(&coverage, &mut out))
        }
        Form::Json => json(book, notes, &notices, coverage.as_ref(), &mut out),
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

fn json(
    book: &Book,
    notes: Option<&LiteLlmNotes>,
    notices: &BTreeSet<Notice>,
    coverage: Option<&Coverage>,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut fields = match json!(Contents::of(book)) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Some(notes) = notes {
        let left_out = notes.left_out.iter().map(|LeftOut { key, reason, count, example }| {
            json!({"key": key, "reason": reason, "count": count, "example": example})
        });
        fields.insert("not_imported".into(), left_out.collect());
    }
    if !notices.is_empty() {
        fields.insert("notices".into(), notices.iter().map(ToString::to_string).collect());
    }
    if let Some(coverage) = coverage {
        let lines = most_first(coverage).into_iter().map(|((provider, model, status), of_model)| {
            json!({
                "provider": provider, "model": model, "price_status": status.as_str(), "calls": of_model.calls,
                "percent_of_calls": percent(of_model.calls, coverage.calls),
                "input_tokens": of_model.input_tokens.to_string(), "output_tokens": of_model.output_tokens.to_string(),
            })
        });
        fields.insert("calls".into(), coverage.calls.into());
        fields.insert("recorded_unpriced".into(), coverage.recorded_unpriced.into());
        fields.insert("unpriced".into(), lines.collect());
    }
    output::json(&fields, out)
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
