//! `daybook report focus`: the ledger as a bill in FOCUS, to a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use daybook_ledger::price::Book;
use daybook_ledger::{Date, Kind};
use daybook_queries::focus::{Dataset, Focus, FocusOptions, FocusVersion, focus};
use daybook_queries::{Format, Session, SessionOptions};

use crate::commands::args::{LedgerArg, parse_day};
use crate::commands::registry::RegistryArgs;
use crate::commands::window;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, OutFile, counted};

/// Flags of `daybook report focus`.
#[derive(Debug, Args)]
pub(crate) struct FocusArgs {
    /// The file, `.parquet` or `.csv`; FILE.metadata.json beside it says what the columns are and what is left out.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The version of the specification
    #[arg(long, default_value = "1.4", value_parser = word(FocusVersion::ALL, FocusVersion::as_str))]
    version: FocusVersion,
    /// The dataset; 1.2 has only the first
    #[arg(long, default_value = "cost-and-usage", value_parser = word(Dataset::ALL, Dataset::as_str))]
    dataset: Dataset,
    /// The first UTC day (YYYY-MM-DD) of calls, and of late corrections of earlier ones [default: that of the first entry].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first UTC day not to write any more [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    #[command(flatten)]
    ledger: LedgerArg,
    /// The state to read: a version of `usage` or an RFC 3339 instant [default: the newest].
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

fn word<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl clap::builder::TypedValueParser<Value = T> {
    let words = all.iter().map(move |value| word(*value));
    PossibleValuesParser::new(words).try_map(move |text| {
        let found = all.iter().copied().find(|value| word(*value) == text);
        found.ok_or_else(|| format!("`{text}` is none of the values"))
    })
}

pub(super) async fn run(args: FocusArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let format = format_of(&args.out)?;
    window::check(args.from, args.to)?;
    if !args.dataset.is_in(args.version) {
        let message = format!("FOCUS {} has no dataset `{}`", args.version.as_str(), args.dataset.as_str());
        return Err(Failure::plain("CLI-030", Kind::Usage, message, Some("use --version 1.4".into())));
    }
    let ledger = args.ledger.open(layers).await?;
    let session_options = SessionOptions {
        as_of: args.as_of.as_deref().map(str::parse).transpose()?,
        registry: args.registry.choice()?,
        // One reader: the same rows in the same order, so the same bytes.
        target_partitions: 1,
        ..SessionOptions::default()
    };
    let session = Session::open(&ledger, session_options).await?;
    let options = FocusOptions { version: args.version, dataset: args.dataset, from: args.from, to: args.to };
    let books = Book::load_history(&ledger).await?;

    let mut out = OutFile::create(&args.out)?;
    let written = Box::pin(focus(&session, &books, &options, format, &mut out)).await?;
    let metadata = beside(&args.out, ".metadata.json");
    let text = format!("{:#}\n", options.metadata(&session, &written));
    std::fs::write(&metadata, text).map_err(|error| output::unwritable(&metadata, error))?;
    out.finish(true)?;
    if !quiet {
        say(&args.out, &written);
    }
    Ok(ExitCode::SUCCESS)
}

fn format_of(out: &Path) -> Result<Format, Failure> {
    match out.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => Ok(Format::Parquet),
        Some("csv") => Ok(Format::Csv),
        _ => {
            let message = format!("{} is neither a .parquet nor a .csv file", out.display());
            Err(Failure::plain(
                "CLI-030",
                Kind::Usage,
                message,
                Some("name the file so that it ends in one of them".into()),
            ))
        }
    }
}

/// `focus.parquet` with something behind it.
fn beside(out: &Path, suffix: &str) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn say(out: &Path, written: &Focus) {
    output::say(format_args!(
        "{}: {} of {}",
        out.display(),
        counted(written.rows, "row"),
        counted(written.calls, "call")
    ));
    let unpriced: i64 = written.unpriced.values().filter(|calls| **calls > 0).sum();
    let priced_since: i64 = written.unpriced.values().filter(|calls| **calls < 0).sum();
    let lines = [
        (unpriced, "calls have no price and are in no row"),
        (-priced_since, "calls that earlier months counted as without a price are corrected since"),
        (
            written.unexplained,
            "calls were recorded at prices that are in no sheet of the ledger: their rows have no unit price",
        ),
        (written.gateway_cache, "calls were answered by the gateway's cache and cost nothing"),
    ];
    for (calls, what) in lines.into_iter().filter(|(calls, _)| *calls != 0) {
        output::say(format_args!("{calls} {what}"));
    }
    if (unpriced, priced_since) != (0, 0) {
        output::say(format_args!("which: {}", beside(out, ".metadata.json").display()));
    }
}
