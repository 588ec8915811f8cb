//! `daybook gate`: may one decide about a contract? Exit 0 or 1, with reasons, for use in CI.

use std::process::ExitCode;

use clap::Args;
use daybook_ledger::{Clock as _, Date, SystemClock, Usd};
use daybook_queries::registry::ClauseKind;
use daybook_queries::report::{GateOptions, gate, gate_is_open};
use daybook_queries::{Format, Session, SessionOptions, render};

use super::registry::RegistryArgs;
use crate::commands::args::{LedgerArg, formats, parse_day};
use crate::config::Layers;
use crate::exit;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook gate`.
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// The contract, by its name in the registry.
    #[arg(long, value_name = "NAME")]
    contract: String,
    /// The UTC day it is asked on (YYYY-MM-DD) [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
    /// The largest part of all spend that may fall under the contract, 0 to 1
    #[arg(long, value_name = "PART", default_value = "0.8", value_parser = parse_part)]
    concentration_max: Usd,
    /// The largest part of its calls that may have no price
    #[arg(long, value_name = "PART", default_value = "0.01", value_parser = parse_part)]
    unpriced_max: Usd,
    /// The largest part of its calls that may belong to no workload
    #[arg(long, value_name = "PART", default_value = "0.05", value_parser = parse_part)]
    unassigned_max: Usd,
    /// The largest part of its calls that may name no team
    #[arg(long, value_name = "PART", default_value = "0.05", value_parser = parse_part)]
    unattributed_max: Usd,
    /// Days for which an export or a rehearsal of one counts, by `daybook evidence`
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    export_days_max: u32,
    /// Clauses it must have, separated by commas
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_value = "data_portability", value_parser = parse_clause)]
    clauses: Vec<ClauseKind>,
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How the checks are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
}

fn parse_part(text: &str) -> Result<Usd, String> {
    let one = Usd::from_pico(1_000_000_000_000);
    let part = Usd::parse(text).ok().filter(|part| (Usd::ZERO..=one).contains(part));
    part.ok_or_else(|| format!("`{text}` is not a decimal from 0 to 1"))
}

fn parse_clause(text: &str) -> Result<ClauseKind, String> {
    let found = ClauseKind::ALL.iter().copied().find(|kind| kind.as_str() == text);
    let known = || ClauseKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("`{text}` is none of {}", known()))
}

/// Runs `daybook gate`.
pub(crate) async fn run(args: GateArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let ledger = args.ledger.open(layers).await?;
    let options = SessionOptions { registry: args.registry.choice()?, ..SessionOptions::default() };
    let session = Session::open(&ledger, options).await?;
    let checks = gate(
        &session,
        &GateOptions {
            contract: args.contract,
            on: args.on.unwrap_or_else(|| SystemClock.now().date()),
            concentration_max: args.concentration_max,
            unpriced_max: args.unpriced_max,
            unassigned_max: args.unassigned_max,
            unattributed_max: args.unattributed_max,
            export_days_max: args.export_days_max,
            clauses: args.clauses,
        },
    )?;
    render(session.run(&checks.sql).await?, args.format, output::drawing(), &mut output::data()).await?;
    match gate_is_open(&session, &checks).await? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(exit::NO)),
    }
}
