//! `daybook report`: questions with a fixed form.

mod diff;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Layers;
use crate::report::Failure;

/// Reports over a ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Compare two valuations of the same calls.
    Diff(diff::DiffArgs),
}

/// Runs the report asked for.
pub(crate) async fn run(command: ReportCommand, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    match command {
        ReportCommand::Diff(args) => diff::run(args, layers, quiet).await,
    }
}
