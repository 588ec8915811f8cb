//! `daybook prices`: list, check and import price sheets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use daybook_ledger::price::{Book, Sheet};
use daybook_ledger::{Clock as _, Date, Kind, Ledger, Report as _, SystemClock};

use crate::config::Layers;
use crate::report::Failure;

/// Commands about prices.
#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// Print price rows as CSV: those in force for a ledger, or the default sheet if there is no ledger.
    List(ListArgs),
    /// Check a sheet without importing it, or the prices in force for a ledger.
    Check(CheckArgs),
    /// Import a sheet into a ledger. Entries already there keep the prices they have.
    Import(ImportArgs),
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

/// Flags of `daybook prices check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The sheet (CSV, docs/prices.md); without it the prices in force are checked.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArg,
}

/// Flags of `daybook prices import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The sheet (CSV, docs/prices.md).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    ledger: LedgerArg,
}

#[derive(Debug, Args)]
struct LedgerArg {
    /// The ledger [default: ./ledger] [env: DAYBOOK_LEDGER].
    #[arg(short, long, value_name = "URL")]
    ledger: Option<String>,
}

pub(crate) fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| format!("`{text}` is not a day like 2026-11-20"))
}

pub(crate) async fn run(command: PricesCommand, layers: &mut Layers) -> Result<ExitCode, Failure> {
    match command {
        PricesCommand::List(args) => list(args, layers).await?,
        PricesCommand::Check(args) => check(args, layers).await?,
        PricesCommand::Import(args) => import(&args, layers).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The prices in force: of the ledger, or the default sheet when no ledger is named and none is at the default place.
async fn in_force(arg: LedgerArg, layers: &mut Layers) -> Result<Book, Failure> {
    let named = arg.ledger.is_some();
    match Ledger::open(&layers.ledger(arg.ledger)).await {
        Ok(ledger) => Ok(Book::load(&ledger).await?),
        Err(error) if !named && error.code() == "LEDGER-003" => Ok(Book::default_sheet()?),
        Err(error) => Err(error.into()),
    }
}

async fn list(args: ListArgs, layers: &mut Layers) -> Result<(), Failure> {
    let book = in_force(args.ledger, layers).await?;
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
    std::io::stdout().lock().write_all(&csv).map_err(Failure::unprintable)
}

async fn check(args: CheckArgs, layers: &mut Layers) -> Result<(), Failure> {
    let (book, what) = match args.file {
        Some(file) => (read_book(&file)?, file.display().to_string()),
        None => (in_force(args.ledger, layers).await?, "prices in force".into()),
    };
    say(&format!("{what}: {}", describe(&book)))
}

async fn import(args: &ImportArgs, layers: &mut Layers) -> Result<(), Failure> {
    let name = args.file.file_name().map_or_else(|| "sheet".into(), |name| name.to_string_lossy());
    let bytes = read(&args.file)?;
    let book = Book::read_csv(bytes.as_slice(), &args.file.display().to_string())?;
    let ledger = Ledger::open_or_create(&layers.ledger(args.ledger.ledger.clone())).await?;
    let sheet = Sheet { name: &name, bytes: &bytes, imported_at: SystemClock.now() };
    book.store(&ledger, sheet).await?;
    say(&format!("imported into {}: {}; workers use it from their next start", ledger.root().url, describe(&book)))
}

fn describe(book: &Book) -> String {
    let mut products: Vec<_> = book.rows().map(|row| (&row.provider, &row.model)).collect();
    let rows = products.len();
    products.sort_unstable();
    products.dedup();
    let first = book.rows().map(|row| row.effective_from).min();
    let last = book.rows().map(|row| row.effective_from).max();
    let span = first.zip(last).map(|(first, last)| format!(", effective from {first} to {last}")).unwrap_or_default();
    format!("{rows} rows, {} models{span}", products.len())
}

/// Reads a sheet.
pub(crate) fn read_book(file: &Path) -> Result<Book, Failure> {
    Ok(Book::read_csv(read(file)?.as_slice(), &file.display().to_string())?)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::new("CLI-006", &format!("{} cannot be read", file.display()), error))
}

fn say(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(Failure::unprintable)
}
