//! `daybook export`: write a bundle.

use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant as Moment};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use daybook_export::{Format, Migration, MigrationSummary, Part, Request, Summary};
use daybook_ledger::{Instant, TableVersion};
use daybook_queries::parse_bytes;

use super::clause::{self, ClauseArgs};
use super::encryption::EncryptArgs;
use super::progress::{bytes_text, progress};
use super::rehearse::{self, RehearseArgs};
use super::replay_set::{self, ReplaySetArgs};
use super::scope::ScopeArgs;
use super::signing::SignArgs;
use crate::commands::args::{LedgerArg, parse_instant};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, counted};

/// Flags of `daybook export`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// The bundle to make: a folder, one file `NAME.tar.zst` or, encrypted, `NAME.tar.zst.age`, or `s3://bucket/prefix`; nothing
    /// may be there. With --replay-set, the file to make.
    #[arg(long, value_name = "DIR|FILE|URL")]
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
    /// Put a `'` before texts in CSV that a spreadsheet would take for a formula
    #[arg(long)]
    csv_formula_safe: bool,
    /// Also write what was said in the shapes other vendors read, separated by commas: chat-messages, anthropic, gemini,
    /// bedrock, mistral, huggingface with answers; openai-batch=MODEL, anthropic-batch=MODEL, gemini-batch, bedrock-batch,
    /// mistral-batch to run the prompts there.
    #[arg(long = "for", value_name = "SHAPE[=MODEL]", value_delimiter = ',', value_parser = Migration::parse)]
    migrations: Vec<Migration>,
    /// Take along the files of registered artifacts (`daybook artifacts`), each held against its SHA-256. Without it the bundle
    /// says where they are kept.
    #[arg(long, conflicts_with_all = ["rehearse", "replay_set"])]
    with_artifacts: bool,
    /// Start a new data file after this many bytes (`512MiB`), 1 MiB and more [default: 1 GiB, in a single file 32 MiB].
    #[arg(long, value_name = "BYTES", value_parser = shard_bytes)]
    shard_bytes: Option<u64>,
    /// List every file that would be written, to the byte, and write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    encrypt: EncryptArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    rehearse: RehearseArgs,
    #[command(flatten)]
    clause: ClauseArgs,
    #[command(flatten)]
    replay_set: ReplaySetArgs,
    /// At most this many bytes a second are read from the ledger, and as many written [default: no limit].
    #[arg(long, value_name = "BYTES_PER_S")]
    rate_limit: Option<NonZeroU64>,
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::as_str))
        .try_map(|name| Format::parse(&name).ok_or("unknown format"))
}

fn shard_bytes(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text).ok().and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes >= 1 << 20);
    bytes.ok_or_else(|| "use a number of bytes with a unit, such as `512MiB`, 1 MiB or more".into())
}

pub(crate) async fn run(args: ExportArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    let ledger = args.ledger.open(layers).await?;
    if let Some(workload) = &args.replay_set.workload {
        return replay_set::run(&ledger, workload, &args.replay_set, &args.out).await;
    }
    let as_of = args.as_of.map(TableVersion);
    let clock = args.clause.load(&ledger).await?;
    let scope = args.clause.clause.as_deref().map_or_else(|| args.scope.clone(), ScopeArgs::of_contract);
    let mut request = Request {
        from: args.from,
        to: args.to,
        scope: scope.load(&ledger, as_of).await?,
        as_of,
        formats: args.formats.clone(),
        is_formula_safe: args.csv_formula_safe,
        migrations: args.migrations.clone(),
        with_artifacts: args.with_artifacts,
        rate_limit: args.rate_limit,
        signed_by: args.sign.load()?,
        encryption: args.encrypt.load()?,
        ..Request::new(args.out.clone())
    };
    request.shard_bytes = args.shard_bytes.unwrap_or(request.shard_bytes);
    if args.dry_run {
        let began = Moment::now();
        let summary = daybook_export::preview(&ledger, &request, progress("export", quiet).as_mut()).await?;
        print_preview(&summary, began.elapsed(), &mut output::data().lock()).map_err(Failure::unprintable)?;
        warn_of_nothing(&summary);
        return Ok(ExitCode::SUCCESS);
    }
    if args.rehearse.rehearse {
        rehearse::run(&ledger, &request, &args.rehearse, &scope, clock.as_ref(), quiet).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let summary = match &clock {
        Some(clock) => match clause::deliver(&ledger, &request, clock, &args.clause, quiet).await? {
            Some(summary) => summary,
            None => return Ok(ExitCode::SUCCESS),
        },
        None => daybook_export::write(&ledger, &request, progress("export", quiet).as_mut()).await?,
    };
    print(&args, &summary, &mut output::data().lock()).map_err(Failure::unprintable)?;
    warn_of_nothing(&summary);
    Ok(ExitCode::SUCCESS)
}

/// A bundle without a call answers a question of law or follows a slip: only who asked can tell.
fn warn_of_nothing(summary: &Summary) {
    if summary.rows.contains(&(Part::Usage, 0)) {
        tracing::warn!("no call is in it: the ledger has none of this selection; check its names and its window");
    }
}

/// Prints what was written and how others check it.
fn print(args: &ExportArgs, summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    let place = summary.out.display();
    writeln!(out, "bundle          {place}")?;
    writeln!(out, "files           {}, {}", summary.files.len(), bytes_text(summary.bytes()))?;
    for (part, rows) in &summary.rows {
        match summary.versions.iter().find(|(read, _)| read == part) {
            Some((_, version)) => {
                writeln!(out, "{:15} {}, table version {version}", part.name(), counted(*rows, "row"))?
            }
            None => writeln!(out, "{:15} {}, the ledger has no such table", part.name(), counted(*rows, "row"))?,
        }
    }
    if let (carried, elsewhere) = summary.artifacts
        && carried + elsewhere > 0
    {
        writeln!(out, "artifacts       {carried} carried, {elsewhere} by their place and SHA-256")?;
    }
    summary.migrations.iter().try_for_each(|migration| print_migration(migration, out))?;
    writeln!(out, "\nCheck it, with Daybook or without:\n")?;
    let place = place.to_string();
    if place.ends_with(".age") {
        return args.encrypt.print_checks(&place, out);
    }
    writeln!(out, "    daybook verify {place}")?;
    if place.contains("://") {
        return writeln!(
            out,
            "\nA copy of it on a disk can be checked and read with the tools of others: its README.md has the commands."
        );
    }
    let folder = match place.ends_with(".tar.zst") {
        true => {
            writeln!(out, "    tar --zstd -xf {place}")?;
            "bundle"
        }
        false => &place,
    };
    print_checks(args, folder, out)
}

/// What checks and sums up the files in `folder` without Daybook.
fn print_checks(args: &ExportArgs, folder: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let scan = match Format::ALL.iter().rev().find(|format| args.formats.contains(format)) {
        Some(Format::Csv) => format!("read_csv('{folder}/data/usage/*.csv')"),
        Some(Format::Jsonl) => format!("read_json('{folder}/data/usage/*.jsonl', format='newline_delimited')"),
        Some(Format::Parquet) | None => format!("'{folder}/data/usage/*.parquet'"),
    };
    writeln!(out, "    (cd {folder} && sha256sum -c --quiet tagmanifest-sha256.txt manifest-sha256.txt)")?;
    writeln!(out, "    bagit.py --validate {folder}")?;
    writeln!(out, "    frictionless validate {folder}/data/datapackage.json")?;
    let sql = format!("select count(*), sum(input_tokens), sum(list_cost::decimal(38,12)) from {scan}");
    writeln!(out, "    python3 -c \"import duckdb; duckdb.sql(\\\"{sql}\\\").show()\"")
}

/// `for gemini: 59 of 88 bodies; dropped: 1 media, 19 no_answer`.
fn print_migration(summary: &MigrationSummary, out: &mut dyn Write) -> std::io::Result<()> {
    let MigrationSummary { migration, rows_in, rows_out, dropped } = summary;
    write!(out, "for {}: {rows_out} of {rows_in} bodies", migration.destination.as_str())?;
    for (at, (reason, rows)) in dropped.iter().enumerate() {
        write!(out, "{}{rows} {reason}", if at == 0 { "; dropped: " } else { ", " })?;
    }
    writeln!(out)
}

/// A line for each file, then the sums; `took` is what reading and encoding took, all of a run but for its writes.
fn print_preview(summary: &Summary, took: Duration, out: &mut dyn Write) -> std::io::Result<()> {
    for file in &summary.files {
        let rows = file.rows.map(|rows| format!("  {}", counted(rows, "row"))).unwrap_or_default();
        writeln!(out, "{:>14}  {}{rows}", file.bytes, file.path)?;
    }
    let (files, bytes) = (summary.files.len(), summary.bytes());
    summary.migrations.iter().try_for_each(|migration| print_migration(migration, out))?;
    writeln!(out, "{}, {bytes} bytes; reading and encoding took {} s", counted(files, "file"), took.as_secs())?;
    writeln!(out, "nothing was written; an export takes as long, and what the disk needs for {}", bytes_text(bytes))
}
