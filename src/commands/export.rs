//! `daybook export`: write a bundle.

use std::io::{IsTerminal as _, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant as Moment};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use daybook_export::{Format, Progress, Request, Silent, Summary};
use daybook_ledger::{Date, Instant, Ledger, TableVersion};
use indicatif::{ProgressBar, ProgressStyle};

use super::clause::{self, ClauseArgs};
use super::rehearse::{self, RehearseArgs};
use super::replay::{self, ReplayArgs};
use super::scope::ScopeArgs;
use crate::config::Layers;
use crate::report::Failure;

/// Write a bundle: every entry of a window with its body, in open formats, checkable without Daybook.
///
/// An export that was interrupted goes on when the same command is given again.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The ledger, a folder or `s3://bucket/prefix` [default: ./ledger] [env: DAYBOOK_LEDGER].
    #[arg(short, long, value_name = "URL")]
    ledger: Option<String>,
    /// The folder to make; it must not exist, or be empty. With --replay-set, the file to make.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// First instant of `started_at` that is in: RFC 3339, or a UTC day.
    #[arg(long, value_name = "T", value_parser = parse_instant)]
    from: Option<Instant>,
    /// First instant that is no longer in: RFC 3339, or a UTC day.
    #[arg(long, value_name = "T", value_parser = parse_instant)]
    to: Option<Instant>,
    /// Version of the `usage` table; the newest if not given.
    #[arg(long, value_name = "VERSION")]
    as_of: Option<u64>,
    /// Formats, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = format_parser(), default_value = "jsonl,csv,parquet")]
    formats: Vec<Format>,
    /// Start a new data file after this many bytes, 1 MiB and more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1 << 20..),
          default_value_t = Request::SHARD_BYTES)]
    shard_bytes: u64,
    /// List every file that would be written, to the byte, and write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    rehearse: RehearseArgs,
    #[command(flatten)]
    clause: ClauseArgs,
    #[command(flatten)]
    replay: ReplayArgs,
    /// At most this many bytes a second are read from the ledger, and as many written [default: no limit].
    #[arg(long, value_name = "BYTES_PER_S")]
    rate_limit: Option<NonZeroU64>,
}

/// RFC 3339, or a UTC day, which is its first instant.
pub(super) fn parse_instant(text: &str) -> Result<Instant, String> {
    let instant = Instant::parse(text).or_else(|| Date::parse(text).map(Date::start));
    instant.ok_or_else(|| "neither a UTC day (2026-11-20) nor an instant with its zone (2026-11-20T09:00:00Z)".into())
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::as_str))
        .try_map(|name| Format::parse(&name).ok_or("unknown format"))
}

pub(crate) async fn run(args: ExportArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let ledger = Ledger::open(&layers.ledger(args.ledger.clone())).await?;
    if let Some(workload) = &args.replay.replay_set {
        return replay::run(&ledger, workload, &args.replay, &args.out).await;
    }
    let as_of = args.as_of.map(TableVersion);
    let clock = args.clause.load(&ledger).await?;
    let scope = args.clause.clause.as_deref().map_or_else(|| args.scope.clone(), ScopeArgs::of_contract);
    let request = Request {
        out: args.out.clone(),
        from: args.from,
        to: args.to,
        scope: scope.load(&ledger, as_of).await?,
        as_of,
        formats: args.formats.clone(),
        shard_bytes: args.shard_bytes,
        rate_limit: args.rate_limit,
    };
    if args.dry_run {
        let began = Moment::now();
        let summary = daybook_export::preview(&ledger, &request, progress("export", quiet).as_mut()).await?;
        print_preview(&summary, began.elapsed(), &mut std::io::stdout().lock()).map_err(Failure::unprintable)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.rehearse.rehearse {
        rehearse::run(&ledger, &request, &args.rehearse, &scope, clock.as_ref(), quiet).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let summary = match &clock {
        Some(clock) => match clause::deliver(&ledger, &request, clock, quiet).await? {
            Some(summary) => summary,
            None => return Ok(ExitCode::SUCCESS),
        },
        None => daybook_export::write(&ledger, &request, progress("export", quiet).as_mut()).await?,
    };
    print(&args, &summary, &mut std::io::stdout().lock()).map_err(Failure::unprintable)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what was written and how others check it.
fn print(args: &ExportArgs, summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let place = summary.out.display();
    writeln!(out, "bundle      {place}")?;
    writeln!(out, "files       {}, {}", summary.files.len(), bytes_text(summary.bytes()))?;
    for (part, rows) in &summary.rows {
        match summary.versions.iter().find(|(read, _)| read == part) {
            Some((_, version)) => writeln!(out, "{:11} {rows} rows, table version {version}", part.name())?,
            None => writeln!(out, "{:11} {rows} rows, the ledger has no such table", part.name())?,
        }
    }
    let scan = match Format::ALL.iter().rev().find(|format| args.formats.contains(format)) {
        Some(Format::Csv) => format!("read_csv('{place}/data/usage/*.csv')"),
        Some(Format::Jsonl) => format!("read_json('{place}/data/usage/*.jsonl', format='newline_delimited')"),
        Some(Format::Parquet) | None => format!("'{place}/data/usage/*.parquet'"),
    };
    writeln!(out, "\nCheck it, with Daybook or without:\n")?;
    writeln!(out, "    daybook verify {place}")?;
    writeln!(out, "    (cd {place} && sha256sum -c --quiet tagmanifest-sha256.txt manifest-sha256.txt)")?;
    writeln!(out, "    bagit.py --validate {place}")?;
    writeln!(out, "    frictionless validate {place}/data/datapackage.json")?;
    let sql = format!("select count(*), sum(input_tokens), sum(list_cost::decimal(38,12)) from {scan}");
    writeln!(out, "    python3 -c \"import duckdb; duckdb.sql(\\\"{sql}\\\").show()\"")
}

/// A line for each file, then the sums; `took` is what reading and encoding took, all of a run but for its writes.
fn print_preview(summary: &Summary, took: Duration, out: &mut dyn Write) -> std::io::Result<()> {
    for file in &summary.files {
        let rows = file.rows.map(|rows| format!("  {rows} rows")).unwrap_or_default();
        writeln!(out, "{:>14}  {}{rows}", file.bytes, file.path)?;
    }
    let (files, bytes) = (summary.files.len(), summary.bytes());
    writeln!(out, "{files} files, {bytes} bytes; reading and encoding took {} s", took.as_secs())?;
    writeln!(out, "nothing was written; an export takes as long, and what the disk needs for {}", bytes_text(bytes))
}

/// A bar on a terminal, a line now and then elsewhere, nothing if `quiet`.
pub(super) fn progress(action: &'static str, quiet: bool) -> Box<dyn Progress> {
    match (quiet, std::io::stderr().is_terminal()) {
        (true, _) => Box::new(Silent),
        (false, true) => Box::new(Bar { action, bar: ProgressBar::hidden() }),
        (false, false) => Box::new(Lines::new(action)),
    }
}

/// Rate and time left, redrawn in place.
struct Bar {
    action: &'static str,
    bar: ProgressBar,
}

impl Progress for Bar {
    fn start(&mut self, bytes: u64) {
        const TEMPLATE: &str = "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = ProgressBar::new(bytes).with_style(style).with_prefix(self.action);
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn notice(&mut self, text: &str) {
        // The talk of a run may be lost with its stderr; the run goes on.
        self.bar.suspend(|| writeln!(std::io::stderr(), "{}: {text}", self.action)).ok();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Rate and time left, a line every few seconds.
struct Lines {
    action: &'static str,
    started: Moment,
    printed: Moment,
    done: u64,
    total: u64,
}

impl Lines {
    const EVERY: Duration = Duration::from_secs(5);

    fn new(action: &'static str) -> Self {
        let now = Moment::now();
        Self { action, started: now, printed: now, done: 0, total: 0 }
    }

    fn text(&self, elapsed: Duration) -> String {
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let scaled = |part: u64, whole: u64, by: u64| {
            u64::try_from(u128::from(part) * u128::from(by) / u128::from(whole.max(1))).unwrap_or(u64::MAX)
        };
        format!(
            "{} % of {}, {}/s, {} s left",
            scaled(self.done, self.total, 100),
            bytes_text(self.total),
            bytes_text(scaled(self.done, millis, 1_000)),
            scaled(self.total.saturating_sub(self.done), self.done, millis) / 1_000,
        )
    }

    fn print(&self, text: &str) {
        // The talk of a run may be lost with its stderr; the run goes on.
        writeln!(std::io::stderr(), "{}: {text}", self.action).ok();
    }
}

impl Progress for Lines {
    fn start(&mut self, bytes: u64) {
        self.total = bytes;
        self.started = Moment::now();
        self.printed = self.started;
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.printed.elapsed() >= Self::EVERY {
            self.printed = Moment::now();
            self.print(&self.text(self.started.elapsed()));
        }
    }

    fn notice(&mut self, text: &str) {
        self.print(text);
    }
}

/// `1.3 GB`: powers of a thousand, one decimal, rounded down.
pub(super) fn bytes_text(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_instant_or_a_day() {
        let day = parse_instant("2026-11-20").unwrap();
        assert_eq!(Ok(day), parse_instant("2026-11-20T01:00:00+01:00"));
        for text in ["2026-11-20T09:00:00", "2026-11", "yesterday", ""] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_print_short() {
        let known = [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_299_999_999, "1.2 GB")];
        for (bytes, text) in known {
            assert_eq!(bytes_text(bytes), text);
        }
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let mut lines = Lines::new("export");
        lines.start(4_000_000_000);
        lines.advance(1_000_000_000);
        assert_eq!(lines.text(Duration::from_secs(10)), "25 % of 4.0 GB, 100.0 MB/s, 30 s left");
        assert_eq!(Lines::new("export").text(Duration::ZERO), "0 % of 0 B, 0 B/s, 0 s left");
    }
}
