//! `daybook prices`: list, check, import, compare and explain prices.

mod check;
mod diff;
mod explain;
mod sheet;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use daybook_ledger::file::hex;
use daybook_ledger::price::{Book, Sheet};
use daybook_ledger::{Clock as _, Date, Kind, Ledger, Report as _, SystemClock, Usd};
use daybook_queries::{Session, SessionOptions};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::commands::args::{LedgerArg, parse_day};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, counted};
pub(crate) use sheet::{Dates, SheetFile, read_sheet};

/// Commands about prices.
#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// Print price rows as CSV: those in force for a ledger, or the default sheet if there is no ledger.
    List(ListArgs),
    /// Check a sheet without importing it, or the prices in force; with --ledger, list what they leave without a price.
    Check(check::CheckArgs),
    /// Import a sheet into a ledger. Entries already there keep the prices they have.
    Import(ImportArgs),
    /// Compare two sets of prices on one day.
    Diff(diff::DiffArgs),
    /// Show how the cost of one entry comes about: each quantity, rate and row.
    Explain(explain::ExplainArgs),
}

/// Flags of `daybook prices list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// Only this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only models that contain this text.
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Only prices in force on this UTC day (YYYY-MM-DD).
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    at: Option<Date>,
}

/// Flags of `daybook prices import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The sheet: our CSV (docs/prices.md), or LiteLLM's model_prices_and_context_window.json.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    ledger: LedgerArg,
    /// First UTC day on which the rates of LiteLLM's file hold, which has no dates [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    effective_from: Option<Date>,
    /// First UTC day on which they no longer hold [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    effective_to: Option<Date>,
    /// Only say what would be imported.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) async fn run(command: PricesCommand, layers: &mut Layers) -> Result<ExitCode, Failure> {
    match command {
        PricesCommand::List(args) => list(args, layers).await?,
        PricesCommand::Check(args) => check::run(args, layers).await?,
        PricesCommand::Import(args) => import(&args, layers).await?,
        PricesCommand::Diff(args) => diff::run(args, layers).await?,
        PricesCommand::Explain(args) => explain::run(args, layers).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The prices in force: of the ledger, or the default sheet when no ledger is named and none is at the default place.
async fn in_force(arg: &LedgerArg, layers: &mut Layers) -> Result<Book, Failure> {
    match Ledger::open(&arg.address(layers)).await {
        Ok(ledger) => Ok(Book::load(&ledger).await?),
        Err(error) if arg.named().is_none() && error.code() == "LEDGER-003" => Ok(Book::default_sheet()?),
        Err(error) => Err(error.into()),
    }
}

async fn list(args: ListArgs, layers: &mut Layers) -> Result<(), Failure> {
    let book = in_force(&args.ledger, layers).await?;
    let rows: Vec<_> = book
        .rows()
        .filter(|row| args.provider.as_ref().is_none_or(|provider| row.provider == *provider))
        .filter(|row| args.model.as_ref().is_none_or(|model| row.model.contains(model.as_str())))
        .filter(|row| args.at.is_none_or(|day| row.is_in_force(day)))
        .cloned()
        .collect();
    if rows.is_empty() {
        let hint = "`daybook prices list` without filters prints every row".to_owned();
        return Err(Failure::plain("CLI-008", Kind::Usage, "no price row matches".into(), Some(hint)));
    }
    let mut csv = Vec::new();
    Book::from_rows(rows)?.write_csv(&mut csv)?;
    output::data().lock().write_all(&csv).map_err(Failure::unprintable)
}

async fn import(args: &ImportArgs, layers: &mut Layers) -> Result<(), Failure> {
    let name = args.file.file_name().map_or_else(|| "sheet".into(), |name| name.to_string_lossy());
    let imported_at = SystemClock.now();
    let dates = Dates { from: args.effective_from, to: args.effective_to };
    let file = read_sheet(&args.file, dates, imported_at.date())?;
    file.litellm.iter().flat_map(|notes| notes.lines()).try_for_each(output::line)?;
    let notices = |in_force: &Book| in_force.overlay(&file.book).notices(&file.book).iter().try_for_each(output::line);
    if args.dry_run {
        notices(&in_force(&args.ledger, layers).await?)?;
        return output::line(format_args!("{} would import {}", args.file.display(), describe(&file.book)));
    }
    let ledger = args.ledger.open_or_create(layers).await?;
    notices(&Book::load(&ledger).await?)?;
    if is_known(&ledger, &file).await? {
        return output::line(format_args!("{} is known already: {}", args.file.display(), describe(&file.book)));
    }
    file.book.store(&ledger, Sheet { name: &name, bytes: &file.bytes, imported_at }).await?;
    output::line(format_args!(
        "imported into {}: {}; workers use it from their next start",
        ledger.root().url,
        describe(&file.book)
    ))
}

/// Whether this file was imported before and all of it is in force: to import it again would say nothing.
async fn is_known(ledger: &Ledger, file: &SheetFile) -> Result<bool, Failure> {
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let digest = hex(&Sha256::digest(&file.bytes));
    let sql = format!("SELECT 1 FROM prices WHERE sheet_sha256 = '{digest}' LIMIT 1");
    let found = session.run(&sql).await?.collect().await?;
    let in_force = Book::load(ledger).await?;
    Ok(found.iter().any(|batch| batch.num_rows() > 0) && in_force.overlay(&file.book).rows().eq(in_force.rows()))
}

/// What a book holds, counted.
#[derive(Debug, Serialize)]
struct Contents {
    rows: usize,
    models: usize,
    first_day: Option<String>,
    last_first_day: Option<String>,
}

impl Contents {
    fn of(book: &Book) -> Self {
        let products: BTreeSet<_> = book.rows().map(|row| (&row.provider, &row.model)).collect();
        let days = || book.rows().map(|row| row.effective_from);
        Self {
            rows: book.rows().count(),
            models: products.len(),
            first_day: days().min().map(|day| day.to_string()),
            last_first_day: days().max().map(|day| day.to_string()),
        }
    }
}

fn describe(book: &Book) -> String {
    let Contents { rows, models, first_day, last_first_day } = Contents::of(book);
    let span = match (first_day, last_first_day) {
        (Some(first), Some(last)) if first < last => format!(", first days {first} to {last}"),
        (Some(first), _) if book.rows().all(|row| row.effective_to.is_none()) => format!(", in effect from {first} on"),
        (Some(first), _) => format!(", in effect from {first}"),
        (None, _) => String::new(),
    };
    format!("{}, {}{span}", counted(rows, "row"), counted(models, "model"))
}

/// A number without the zeros at its end.
fn plain(amount: Usd) -> String {
    amount.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}
