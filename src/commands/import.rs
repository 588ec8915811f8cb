//! `daybook import`: read files into a ledger.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use daybook_export::{Bundle, Progress, refuse_if_taken, restore_verified, verify};
use daybook_ingest::billing::Imported;
use daybook_ingest::decode::Format;
use daybook_ingest::driver::Control;
use daybook_ingest::import::{self, ImportSettings, Preview, Summary, Watch};
use daybook_ingest::source::file::{Found, find};
use daybook_ingest::{Capture, FlushLimits, Totals};
use daybook_ledger::price::Book;
use daybook_ledger::{Kind, Ledger, Report as _, SystemClock};

use super::encryption::UnlockArgs;
use super::ingest::drain_on_signals;
use super::progress::{bytes_text, progress};
use super::signals;
use crate::commands::args::{LedgerArg, parse_event_format};
use crate::config::Layers;
use crate::exit;
use crate::failure::Failure;
use crate::output::{self, counted};

/// Flags of `daybook import`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files, folders, quoted patterns (`'logs/**/*.jsonl.gz'`) or `s3://bucket/prefix`: JSON, JSONL, CSV, Parquet; gzip, zstd.
    /// Or one bundle, a folder, `NAME.tar.zst`, `NAME.tar.zst.age` or `s3://bucket/prefix`, to rebuild the ledger it was made from.
    #[arg(value_name = "PATH|URL", required = true)]
    addresses: Vec<String>,
    #[command(flatten)]
    ledger: LedgerArg,
    /// Format of the events; without it each event is recognised by its shape.
    #[arg(short, long, value_name = "NAME", visible_alias = "as", value_parser = parse_event_format)]
    format: Option<Format>,
    /// What becomes of prompts and answers: full, digest, off [default: full] [env: DAYBOOK_CAPTURE].
    #[arg(long, value_name = "WHAT")]
    capture: Option<String>,
    /// Files read at once.
    #[arg(short, long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Name the account of usage and cost reports that name none: without it those of two organisations are one.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Read every record again, also those imported before: what could not be read then may be now.
    #[arg(long)]
    from_start: bool,
    #[command(flatten)]
    unlock: UnlockArgs,
    /// Read and decode, print what would be imported, and change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) async fn run(args: ImportArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let address = args.ledger.address(layers);
    for given in &args.addresses {
        if Bundle::is_at(given).await? {
            return restore(&args, &address, quiet).await;
        }
    }
    let (limits, capture) = layers.import(args.capture.clone())?;
    let settings = args.settings(limits, capture);
    let control = Control::default();
    drain_on_signals(control.clone())?;
    let watch = Box::new(Bar { progress: progress("import", quiet), bytes: 0, bytes_max: 0 });
    let clock = Arc::new(SystemClock);
    let summary = match args.dry_run {
        true => {
            // A ledger that is not there yet knows no file.
            let ledger = match Ledger::open(&address).await {
                Err(daybook_ledger::Error::NotFound { .. }) => None,
                opened => Some(opened?),
            };
            let (summary, preview) = import::preview(settings, ledger, clock, control, watch).await?;
            if found_any(&summary) {
                print_preview(&summary, &preview, &mut output::data().lock()).map_err(Failure::unprintable)?;
            }
            summary
        }
        false => {
            // A slip in a path makes no ledger.
            if let Err(daybook_ledger::Error::NotFound { .. }) = Ledger::open(&address).await
                && let Found { inputs, faults } = find(&args.addresses).await
                && inputs.is_empty()
            {
                return Ok(exit_code(Summary { faults, ..Summary::default() }));
            }
            let ledger = Ledger::open_or_create(&address).await?;
            let prices = Arc::new(Book::load(&ledger).await?);
            let summary = import::run(settings, ledger, prices, clock, control, watch).await?;
            if found_any(&summary) {
                print(&summary, &mut output::data().lock()).map_err(Failure::unprintable)?;
            }
            summary
        }
    };
    Ok(exit_code(summary))
}

/// Where there was nothing to read, the faults say all there is to say.
fn found_any(summary: &Summary) -> bool {
    summary.files > 0 || summary.faults.is_empty()
}

/// Rebuilds a ledger from a bundle.
async fn restore(args: &ImportArgs, ledger: &str, quiet: bool) -> Result<ExitCode, Failure> {
    let alone = args.format.is_none() && args.capture.is_none() && !args.from_start && !args.dry_run;
    let [bundle] = args.addresses.as_slice() else { return Err(not_alone()) };
    if !alone || args.account.is_some() {
        return Err(not_alone());
    }
    signals::stop_at_once(&signals::STOP, "the tables that are whole stand: the same command goes on with the others")?;
    let bundle = Bundle::open(bundle, &args.unlock.load(bundle)?).await?;
    refuse_if_taken(&bundle, ledger).await?;
    let verdict = verify::opened(&bundle, &[], progress("import", quiet).as_mut()).await?;
    let restored = restore_verified(&bundle, &verdict, ledger).await?;
    let mut out = output::data().lock();
    let mut tell = || -> std::io::Result<()> {
        writeln!(out, "ledger          {ledger}")?;
        for (part, rows) in &restored.rows {
            let already = if restored.already.contains(part) { ", there already" } else { "" };
            writeln!(out, "{:15} {}{already}", part.name(), counted(*rows, "row"))?;
        }
        match restored.artifacts {
            0 => Ok(()),
            files => writeln!(
                out,
                "artifacts       {} in {}/data/artifacts stay there",
                counted(files, "file"),
                bundle.place().display()
            ),
        }
    };
    tell().map_err(Failure::unprintable)?;
    Ok(ExitCode::SUCCESS)
}

fn not_alone() -> Failure {
    let hint = "name the bundle alone, with `--ledger`: every row comes back as it was".into();
    Failure::plain(
        "CLI-034",
        Kind::Usage,
        "a bundle is imported whole, by itself and without settings".into(),
        Some(hint),
    )
}

impl ImportArgs {
    fn settings(&self, limits: FlushLimits, capture: Capture) -> ImportSettings {
        ImportSettings {
            addresses: self.addresses.clone(),
            format: self.format,
            limits,
            capture,
            jobs: usize::from(self.jobs),
            from_start: self.from_start,
            account: self.account.clone(),
        }
    }
}

/// Reports every file that could not be read; the gravest decides.
fn exit_code(summary: Summary) -> ExitCode {
    let stopped = summary.stopped;
    let kinds: Vec<u8> = summary
        .faults
        .into_iter()
        .map(|fault| {
            let kind = exit::code(fault.kind());
            output::tell_failure(&Failure::from(fault));
            kind
        })
        .collect();
    let bills = summary.bills.into_iter().filter_map(|bill| bill.outcome.err()).map(|error| {
        let kind = exit::code(error.kind());
        output::tell_failure(&Failure::from(error));
        kind
    });
    match kinds.into_iter().chain(bills).max() {
        Some(code) => ExitCode::from(code),
        None if stopped => ExitCode::from(exit::code(Kind::Unavailable)),
        None => ExitCode::SUCCESS,
    }
}

/// The bar of `export`, told how far the import is.
struct Bar {
    progress: Box<dyn Progress>,
    bytes: u64,
    bytes_max: u64,
}

impl Watch for Bar {
    fn start(&mut self, _files: u64, bytes: u64) {
        self.bytes_max = bytes;
        self.progress.start(bytes);
    }

    fn advance(&mut self, bytes: u64, _totals: &Totals) {
        // What is read twice to find out which file it is counts once.
        let bytes = bytes.min(self.bytes_max);
        self.progress.advance(bytes.saturating_sub(self.bytes));
        self.bytes = self.bytes.max(bytes);
    }

    fn notice(&mut self, text: &str) {
        self.progress.notice(text);
    }
}

fn print(summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let Totals { messages, entries, duplicates, quarantined, empty, commits, .. } = &summary.totals;
    print_files(summary, out)?;
    writeln!(out, "records      {messages:>12}")?;
    writeln!(out, "read before  {:>12}", summary.records_known)?;
    writeln!(out, "entries      {entries:>12}")?;
    writeln!(out, "duplicates   {duplicates:>12}")?;
    writeln!(out, "quarantined  {quarantined:>12}")?;
    writeln!(out, "without call {empty:>12}")?;
    writeln!(out, "commits      {commits:>12}")?;
    print_bills(summary, out)?;
    print_time(summary, out)
}

/// One line for each bill or usage report.
fn print_bills(summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    for bill in &summary.bills {
        let Ok((source, counts)) = &bill.outcome else { continue };
        let Imported { lines, others, added, replaced, unchanged, outdated } = counts;
        writeln!(
            out,
            "bill         {lines:>12}  {source} lines of {}: {added} new, {replaced} replace older numbers, {unchanged} known, {outdated} older than what is known, {others} others left out",
            bill.name
        )?;
    }
    Ok(())
}

fn print_files(summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let kinds: Vec<_> = summary.containers.iter().map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
    writeln!(out, "files        {:>12}  {}", summary.files, kinds.join(", "))
}

fn print_time(summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let millis = summary.elapsed.as_millis();
    writeln!(out, "bytes        {:>12}", bytes_text(summary.bytes))?;
    writeln!(out, "time         {:>10}.{} s", millis / 1_000, millis % 1_000 / 100)?;
    if summary.stopped {
        writeln!(out, "\nstopped before the end; the same command goes on there")?;
    }
    Ok(())
}

fn print_preview(summary: &Summary, preview: &Preview, out: &mut dyn Write) -> std::io::Result<()> {
    let Totals { messages, entries, quarantined, empty, .. } = &summary.totals;
    print_files(summary, out)?;
    writeln!(out, "records      {messages:>12}")?;
    writeln!(out, "read before  {:>12}", summary.records_known)?;
    writeln!(out, "calls        {entries:>12}")?;
    writeln!(out, "unreadable   {quarantined:>12}")?;
    writeln!(out, "without call {empty:>12}")?;
    for bill in &summary.bills {
        let Ok((source, Imported { lines, others, .. })) = &bill.outcome else { continue };
        writeln!(out, "bill         {lines:>12}  {source} lines of {}, {others} others left out", bill.name)?;
    }
    print_time(summary, out)?;
    if !preview.formats.is_empty() {
        writeln!(out, "\nformats")?;
    }
    for (format, count) in &preview.formats {
        writeln!(out, "  {format:20} {count:>12}")?;
    }
    if !preview.problems.is_empty() {
        writeln!(out, "\nwould go to quarantine, the first of them")?;
    }
    for problem in &preview.problems {
        writeln!(out, "  {} {}: {}", problem.place, problem.code, problem.message)?;
    }
    Ok(())
}
