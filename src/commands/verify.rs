//! `daybook verify`: check a bundle or a ledger.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use daybook_export::verify::{self, Verdict};
use daybook_ledger::Ledger;

use super::export::{bytes_text, progress};
use crate::exit;
use crate::report::Failure;

/// Check that a bundle or a ledger is what was written; exit 1 and name every difference if it is not.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The folder of a bundle, or a ledger: a folder or `s3://bucket/prefix`.
    #[arg(value_name = "TARGET")]
    target: String,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// A line for each difference and a last line.
    Text,
    /// One JSON object.
    Json,
}

/// Checks the target; what it is, its content tells.
pub(crate) async fn run(args: VerifyArgs, quiet: bool) -> Result<ExitCode, Failure> {
    let mut progress = progress("verify", quiet);
    let path = Path::new(&args.target);
    let verdict = if verify::looks_like_a_bundle(path) {
        verify::bundle(path, progress.as_mut())?
    } else {
        verify::ledger(&Ledger::open(&args.target).await?, progress.as_mut()).await?
    };
    // The bar goes before the verdict comes.
    drop(progress);
    print(args.format, &verdict, &mut std::io::stdout().lock()).map_err(Failure::unprintable)?;
    Ok(if verdict.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}

fn print(format: Output, verdict: &Verdict, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Output::Text => print_text(verdict, out),
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, verdict)?;
            writeln!(out)
        }
    }
}

fn print_text(verdict: &Verdict, out: &mut dyn Write) -> std::io::Result<()> {
    for difference in &verdict.differences {
        writeln!(out, "{difference}")?;
    }
    let unlisted = verdict.differences_count.saturating_sub(verdict.differences.len() as u64);
    if unlisted > 0 {
        writeln!(out, "and {unlisted} more")?;
    }
    for note in &verdict.notes {
        writeln!(out, "note: {note}")?;
    }
    let rows: Vec<_> = verdict.rows.iter().map(|table| format!("{} {}", table.rows, table.table)).collect();
    let checked = format!("{} files, {}, rows: {}", verdict.files, bytes_text(verdict.bytes), rows.join(", "));
    match verdict.differences_count {
        0 => writeln!(out, "nothing differs: {checked}"),
        1 => writeln!(out, "1 difference: {checked}"),
        count => writeln!(out, "{count} differences: {checked}"),
    }
}
