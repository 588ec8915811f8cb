//! `daybook maintain`: keep a ledger healthy, beside live workers and other maintainers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use daybook_ledger::maintenance::{Maintained, Run, Settings, maintain};
use daybook_ledger::{Kind, Ledger, Report as _, SystemClock, schema};
use rand::Rng as _;

use super::progress::bytes_text;
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output::{self, Form, counted};

/// Flags of `daybook maintain`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct MaintainArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// Only this table; repeat for more [default: all].
    #[arg(short, long, value_name = "NAME")]
    table: Vec<String>,
    /// Say what would be done, and do nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Size of a compacted file [default: 134217728].
    #[arg(long, value_name = "BYTES")]
    pub(crate) target_bytes: Option<String>,
    /// Days that files of lost batches stay [default: 7].
    #[arg(long, value_name = "DAYS")]
    pub(crate) orphan_days: Option<String>,
    /// Days that files stay whose rows were put elsewhere: so long older versions can be read [default: 30].
    #[arg(long, value_name = "DAYS")]
    pub(crate) superseded_days: Option<String>,
    /// Remove what was said in calls older than this [default: never].
    #[arg(long, value_name = "DAYS")]
    pub(crate) content_days: Option<String>,
    /// Remove the bytes of messages that are older than this and as long in quarantine [default: never].
    #[arg(long, value_name = "DAYS")]
    pub(crate) quarantine_days: Option<String>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

pub(crate) async fn run(args: &MaintainArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let settings = layers.maintain(args)?;
    for name in &args.table {
        known_table(name)?;
    }
    let ledger = args.ledger.open(layers).await?;
    let tables: Vec<&str> = args.table.iter().map(String::as_str).collect();
    let id = run_id();
    let run = Run::new(&id, &SystemClock, args.dry_run);
    let done = maintain(&ledger, &tables, &settings, &run).await?;
    print(args, &done)?;
    Ok(ExitCode::SUCCESS)
}

/// Tells a run apart from every other.
pub(super) fn run_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn known_table(name: &str) -> Result<(), Failure> {
    if schema::Table::named(name).is_some() {
        return Ok(());
    }
    let names: Vec<String> = schema::Table::ALL.iter().map(|table| format!("`{}`", table.name)).collect();
    let hint = format!("there are {}", names.join(", "));
    Err(Failure::plain("CLI-002", Kind::Usage, format!("unknown table `{name}`"), Some(hint)))
}

/// Maintains `ledger` again and again, for as long as the future is polled. What fails is said, and tried again next time.
pub(super) async fn maintain_every(interval: Duration, ledger: Ledger, settings: Settings) {
    loop {
        // Workers that were started together do not do the same work at the same time.
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let pause = rand::rng().random_range(millis / 2..=millis);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let id = run_id();
        let run = Run::new(&id, &SystemClock, false);
        match maintain(&ledger, &[], &settings, &run).await {
            Ok(done) => done.iter().filter(|done| did_something(done)).for_each(|done| {
                let Maintained { table, compacted, files_deleted, retired_rows, .. } = done;
                let (files_before, files_after) = (compacted.files_before, compacted.files_after);
                tracing::info!(table, files_before, files_after, files_deleted, retired_rows, "table maintained");
            }),
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "maintenance stopped, nothing lost; the next run goes on");
            }
        }
    }
}

fn did_something(done: &Maintained) -> bool {
    done.compacted.commits > 0 || done.files_deleted > 0 || done.retired_rows > 0 || done.checkpoint.is_some()
}

fn print(args: &MaintainArgs, done: &[Maintained]) -> Result<(), Failure> {
    match args.format {
        Form::Json => {
            let done = serde_json::json!({"dry_run": args.dry_run, "tables": done});
            output::json(&done, output::data()).map_err(Failure::unprintable)
        }
        Form::Text => done.iter().try_for_each(|done| output::line(describe(done, args.dry_run))),
    }
}

/// `usage: 120 files; 118 became 2, 1.2 GB became 1.0 GB; checkpoint of version 300; 40 files deleted, 1.2 GB`.
fn describe(done: &Maintained, dry_run: bool) -> String {
    let mut parts = vec![counted(done.files, "file")];
    let compacted = &done.compacted;
    let before = bytes_text(compacted.bytes_before);
    match (dry_run, compacted.commits) {
        (_, 0) => {}
        (true, commits) => parts.push(format!("{} of them, {before}, would become {commits}", compacted.files_before)),
        (false, _) => parts.push(format!(
            "{} of them became {}, {before} became {}",
            compacted.files_before,
            compacted.files_after,
            bytes_text(compacted.bytes_after)
        )),
    }
    let would = if dry_run { "would be " } else { "" };
    if compacted.duplicates > 0 {
        parts.push(format!("{} kept that repeat an entry of their day", counted(compacted.duplicates, "row")));
    }
    if compacted.lost > 0 {
        parts.push(format!("groups of files done by another maintainer: {}", compacted.lost));
    }
    if done.retired_rows > 0 {
        parts.push(format!("what was said in {} {would}removed", counted(done.retired_rows, "row")));
    }
    if let Some(version) = done.checkpoint {
        parts.push(format!("checkpoint of version {version} {would}written"));
    }
    let objects = done.files_deleted + done.checkpoints_deleted;
    if objects > 0 {
        parts.push(format!("{} {would}deleted, {}", counted(objects, "object"), bytes_text(done.bytes_deleted)));
    }
    if parts.len() == 1 {
        parts.push("nothing to do".into());
    }
    format!("{}: {}", done.table, parts.join("; "))
}
