//! `daybook status`: how a ledger stands, on one screen.

use std::io::Write;
use std::process::ExitCode;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use clap::Args;
use daybook_ingest::doctor::{Progress, load_progress};
use daybook_ledger::{Clock as _, Date, Instant, Ledger, SystemClock};
use daybook_queries::{Session, SessionOptions};
use serde::Serialize;

use super::doctor::KafkaArgs;
use super::progress::bytes_text;
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, Form};

/// Days of events that coverage looks back on.
const COVERAGE_DAYS: i32 = 30;

/// Flags of `daybook status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Status {
    ledger: String,
    tables: Vec<TableStatus>,
    /// RFC 3339.
    newest_call_at: Option<String>,
    last_commit_age_s: Option<i64>,
    coverage: Coverage,
    /// Only of topics that were named.
    lag: Vec<Lag>,
}

#[derive(Debug, Serialize)]
struct TableStatus {
    table: &'static str,
    version: u64,
    files: usize,
    bytes: u64,
    rows: u64,
    /// RFC 3339.
    committed_at: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Coverage {
    days: i32,
    calls: i64,
    /// Calls, or messages for `quarantined`, by what is not known of them.
    gaps: Vec<(String, i64)>,
}

#[derive(Debug, Serialize)]
struct Lag {
    topic: String,
    partition: i32,
    position: Option<i64>,
    end: i64,
    lag: i64,
}

pub(crate) async fn run(args: StatusArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let settings = args.kafka.settings(layers)?;
    let ledger = args.ledger.open(layers).await?;
    let progress = match settings.topics.is_empty() {
        true => Vec::new(),
        false => load_progress(&settings, &ledger).await?,
    };
    let status = load(&ledger, progress, SystemClock.now()).await?;
    print(args.format, &status, &mut output::data().lock()).map_err(Failure::unprintable)?;
    Ok(ExitCode::SUCCESS)
}

async fn load(ledger: &Ledger, progress: Vec<Progress>, now: Instant) -> Result<Status, Failure> {
    let mut tables = Vec::new();
    let mut newest_day = None;
    let mut committed_ms = None;
    for table in ledger.tables().into_iter().rev() {
        let name = table.spec().name;
        // An older ledger gets it when something is first written to it.
        if !table.spec().is_founding() && !table.exists().await? {
            continue;
        }
        let snapshot = table.load(None).await?;
        let files = snapshot.files();
        if name == "usage" {
            newest_day = files.iter().map(|file| file.date).max();
            committed_ms = snapshot.committed_at_ms();
        }
        tables.push(TableStatus {
            table: name,
            version: snapshot.version().0,
            files: files.len(),
            bytes: files.iter().map(|file| file.size).sum(),
            rows: files.iter().map(|file| file.rows).sum(),
            committed_at: snapshot.committed_at_ms().and_then(Instant::from_millis).map(|at| at.to_string()),
        });
    }
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let newest_call = match newest_day {
        Some(day) => newest_call(&session, day).await?,
        None => None,
    };
    let committed_at = committed_ms.and_then(Instant::from_millis);
    Ok(Status {
        ledger: ledger.root().url.to_string(),
        tables,
        newest_call_at: newest_call.map(|at| at.to_string()),
        last_commit_age_s: committed_at.map(|at| now.millis_since(at) / 1_000),
        coverage: coverage(&session, newest_day).await?,
        lag: progress.iter().map(lag).collect(),
    })
}

fn lag(progress: &Progress) -> Lag {
    Lag {
        topic: progress.partition.topic.to_string(),
        partition: progress.partition.number,
        position: progress.position.map(|position| position.0),
        end: progress.high,
        lag: progress.lag(),
    }
}

async fn newest_call(session: &Session, day: Date) -> Result<Option<Instant>, Failure> {
    let sql = format!("SELECT max(started_at) FROM usage_recorded WHERE event_date = DATE '{day}'");
    let rows = session.run(&sql).await?.collect().await?;
    let newest = rows.first().and_then(|batch| batch.column(0).as_primitive_opt::<TimestampMicrosecondType>());
    Ok(newest.filter(|column| column.is_valid(0)).map(|column| Instant::from_micros(column.value(0))))
}

async fn coverage(session: &Session, newest_day: Option<Date>) -> Result<Coverage, Failure> {
    let Some(newest) = newest_day else { return Ok(Coverage::default()) };
    let first = Date::from_days(newest.days() - COVERAGE_DAYS + 1);
    let sql = format!(
        "SELECT 'calls', count(*) FROM usage WHERE event_date >= DATE '{first}' UNION ALL \
         SELECT gap, sum(calls)::bigint FROM coverage_by_day WHERE day >= DATE '{first}' GROUP BY gap ORDER BY 1"
    );
    let rows = session.run(&sql).await?.collect().await?;
    let mut gaps: Vec<(String, i64)> = rows.iter().flat_map(counts).collect();
    let calls = gaps.iter().position(|(gap, _)| gap == "calls").map_or(0, |at| gaps.remove(at).1);
    Ok(Coverage { days: COVERAGE_DAYS, calls, gaps })
}

fn counts(batch: &RecordBatch) -> Vec<(String, i64)> {
    // Text comes as a view or in dictionaries, as the engine likes.
    let names = arrow::compute::cast(batch.column(0), &DataType::Utf8).ok();
    let names = names.as_ref().and_then(|names| names.as_string_opt::<i32>());
    let (Some(names), Some(counts)) = (names, batch.column(1).as_primitive_opt::<Int64Type>()) else {
        return Vec::new();
    };
    names.iter().zip(counts).filter_map(|(name, count)| Some((name?.to_owned(), count?))).collect()
}

fn print(format: Form, status: &Status, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Form::Text => print_table(status, out),
        Form::Json => output::json(status, out),
    }
}

fn print_table(status: &Status, out: &mut dyn Write) -> std::io::Result<()> {
    let none = || "none".to_owned();
    writeln!(out, "ledger       {}", status.ledger)?;
    writeln!(out, "newest call  {}", status.newest_call_at.clone().unwrap_or_else(none))?;
    let age = status.last_commit_age_s.map(|age| format!("{age} s ago"));
    writeln!(out, "last commit  {}", age.unwrap_or_else(none))?;
    writeln!(out, "\n{:15} {:>8} {:>7} {:>10} {:>12}  committed", "table", "version", "files", "size", "rows")?;
    for TableStatus { table, version, files, bytes, rows, committed_at } in &status.tables {
        let committed = committed_at.as_deref().unwrap_or("unknown");
        writeln!(out, "{table:15} {version:>8} {files:>7} {:>10} {rows:>12}  {committed}", bytes_text(*bytes))?;
    }
    let Coverage { days, calls, gaps } = &status.coverage;
    writeln!(out, "\nnot known, of {calls} calls in the newest {days} days")?;
    for (gap, count) in gaps {
        writeln!(out, "  {gap:16} {count:>12}")?;
    }
    if gaps.is_empty() {
        writeln!(out, "  nothing")?;
    }
    if !status.lag.is_empty() {
        writeln!(out, "\n{:24} {:>12} {:>12} {:>12}", "partition", "position", "end", "lag")?;
    }
    for Lag { topic, partition, position, end, lag } in &status.lag {
        let position = position.map_or_else(none, |position| position.to_string());
        writeln!(out, "{:24} {position:>12} {end:>12} {lag:>12}", format!("{topic}/{partition}"))?;
    }
    Ok(())
}
