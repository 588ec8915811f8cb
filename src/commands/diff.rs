//! `daybook diff`: compare two ledgers row by row.

use std::process::ExitCode;

use daybook_ledger::Ledger;

use super::progress::progress;
use super::verify;
use crate::exit;
use crate::failure::Failure;
use crate::output::{self, Form};

/// Flags of `daybook diff`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// A ledger, a folder or `s3://bucket/prefix`.
    #[arg(value_name = "LEDGER_A")]
    first: String,
    /// The other.
    #[arg(value_name = "LEDGER_B")]
    second: String,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

pub(crate) async fn run(args: DiffArgs, quiet: bool) -> Result<ExitCode, Failure> {
    let (first, second) = (Ledger::open(&args.first).await?, Ledger::open(&args.second).await?);
    let verdict = {
        // The bar goes before the verdict comes.
        let mut progress = progress("diff", quiet);
        daybook_export::diff(&first, &second, progress.as_mut()).await?
    };
    verify::print(args.format, &verdict, &mut output::data().lock()).map_err(Failure::unprintable)?;
    Ok(if verdict.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}
