//! `daybook report`: questions with a fixed form.

mod diff;
pub(crate) mod facts;
mod focus;
mod reconcile;
pub(crate) mod show;

use std::process::ExitCode;

use clap::Subcommand;
use daybook_queries::report::{anomalies, forecast, savings};

use crate::config::Layers;
use crate::failure::Failure;

/// Reports over a ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Compare two valuations of the same calls.
    Diff(diff::DiffArgs),
    /// Compare the ledger with its providers' bills, and name the cause of each difference.
    ///
    /// Bills and usage reports are read by `daybook import` (docs/reconcile.md). Exit code 1 if a line differs by more than the
    /// tolerance.
    Reconcile(reconcile::ReconcileArgs),
    /// Show how firmly each workload is tied to its vendor, by which calls, and what moving takes.
    Lockin(facts::LockinArgs),
    /// Show how portable each workload was month by month, and which change made it less so.
    Portability(facts::PortabilityArgs),
    /// Show what contracts ask for and when, what is used of commitments, which clauses are missing.
    Contracts(facts::ContractsArgs),
    /// Show how ready one is to leave: what data is where, rehearsals and exports, what is missing, which days count.
    ExitReadiness(facts::ExitReadinessArgs),
    /// Show what each month will cost up to the end of the next quarter, with a band.
    Forecast(show::TablesArgs),
    /// Show days that cost other than their weekday does, and what moved them.
    Anomalies(show::TablesArgs),
    /// Show what caches, batches and cheaper models saved and could have saved, and what failures cost.
    Savings(show::TablesArgs),
    /// Show spend by any dimension and grain of time, in any zone.
    Spend(facts::SpendArgs),
    /// Write the ledger as a bill of the FinOps Open Cost and Usage Specification (docs/focus.md).
    Focus(focus::FocusArgs),
    /// Audit portability: what has become entrenched, whether ways out still work, what leaving would take.
    Audit(facts::AuditArgs),
    /// Prepare a negotiation: what can be moved, what cannot, what it takes, what is committed, by when.
    Brief(facts::BriefArgs),
}

/// Runs the report asked for.
pub(crate) async fn run(command: ReportCommand, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    match command {
        ReportCommand::Diff(args) => diff::run(args, layers, quiet).await,
        ReportCommand::Reconcile(args) => reconcile::run(args, layers, quiet).await,
        ReportCommand::Lockin(args) => facts::run_lockin(args, layers, quiet).await,
        ReportCommand::Portability(args) => facts::run_portability(args, layers, quiet).await,
        ReportCommand::Contracts(args) => facts::run_contracts(args, layers, quiet).await,
        ReportCommand::ExitReadiness(args) => facts::run_exit_readiness(args, layers, quiet).await,
        ReportCommand::Forecast(args) => facts::run_sections(("Forecast", forecast()), args, layers, quiet).await,
        ReportCommand::Anomalies(args) => {
            facts::run_sections(("Anomalies", vec![anomalies()]), args, layers, quiet).await
        }
        ReportCommand::Savings(args) => facts::run_sections(("Savings", savings()), args, layers, quiet).await,
        ReportCommand::Spend(args) => facts::run_spend(args, layers, quiet).await,
        ReportCommand::Focus(args) => focus::run(args, layers, quiet).await,
        ReportCommand::Audit(args) => facts::run_audit(args, layers, quiet).await,
        ReportCommand::Brief(args) => facts::run_brief(args, layers, quiet).await,
    }
}
