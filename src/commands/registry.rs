//! `daybook registry`: check, show, import and explain what a company knows about its calls.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use daybook_ledger::{Clock as _, EntryId, Ledger, SystemClock};
use daybook_queries::registry::{Imported, Registry, RegistryVersion, explain};
use daybook_queries::{RegistryChoice, Session, SessionOptions};

use crate::commands::args::{LedgerArg, formats, parse_entry_id};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Commands about the registry (docs/registry.md).
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Check the files of a folder and name every fault.
    Check(CheckArgs),
    /// Print the rules in force: workloads, contracts, features, models.
    Show(ShowArgs),
    /// Store the files of a folder in a ledger as the next version of its registry.
    Import(ImportArgs),
    /// Say which rule makes a call part of its workload, and why the rules before it do not.
    Explain(ExplainArgs),
}

/// Which registry a command uses.
#[derive(Debug, Args)]
pub(crate) struct RegistryArgs {
    /// Use the files of this folder instead of the ledger's registry
    #[arg(long, value_name = "DIR", conflicts_with = "registry_version")]
    registry: Option<PathBuf>,
    /// Use this version of the ledger's registry [default: the newest].
    #[arg(long, value_name = "N")]
    registry_version: Option<i64>,
}

impl RegistryArgs {
    /// Reads the folder, if one was named.
    pub(crate) fn choice(&self) -> Result<RegistryChoice, Failure> {
        Ok(match (&self.registry, self.registry_version) {
            (Some(folder), _) => RegistryChoice::Given(Arc::new(Registry::read_folder(folder)?)),
            (None, Some(version)) => RegistryChoice::Version(RegistryVersion(version)),
            (None, None) => RegistryChoice::Newest,
        })
    }
}

/// Flags of `daybook registry check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The folder with workloads.toml, contracts.toml, features.toml, models.toml; each may be missing.
    #[arg(value_name = "DIR", default_value = "registry")]
    folder: PathBuf,
}

/// Flags of `daybook registry show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Show one of these.
    #[arg(value_name = "WHAT", value_parser = ["workloads", "rules", "contracts", "commitments", "clauses", "features", "models"], default_value = "rules")]
    what: String,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    ledger: LedgerArg,
    /// How rows are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: daybook_queries::Format,
}

/// Flags of `daybook registry import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The folder with the registry's files.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    ledger: LedgerArg,
}

/// Flags of `daybook registry explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The entry, as `entry_id` in hexadecimal.
    #[arg(value_name = "ENTRY_ID", value_parser = parse_entry_id)]
    entry: EntryId,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    ledger: LedgerArg,
}

pub(crate) async fn run(command: RegistryCommand, layers: &mut Layers) -> Result<ExitCode, Failure> {
    match command {
        RegistryCommand::Check(args) => check(&args.folder)?,
        RegistryCommand::Show(args) => show(args, layers).await?,
        RegistryCommand::Import(args) => import(args, layers).await?,
        RegistryCommand::Explain(args) => explain_entry(args, layers).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(folder: &Path) -> Result<(), Failure> {
    let registry = Registry::read_folder(folder)?;
    output::line(format_args!("{}: {}", folder.display(), describe(&registry)))
}

async fn show(args: ShowArgs, layers: &mut Layers) -> Result<(), Failure> {
    let choice = args.registry.choice()?;
    let session = match &choice {
        // Files are shown without a ledger to read.
        RegistryChoice::Given(_) => open_empty(choice).await?,
        _ => open(&args.ledger, choice, layers).await?,
    };
    let rows = session.run(&format!("SELECT * FROM registry_{}", args.what)).await?;
    daybook_queries::render(rows, args.format, output::drawing(), &mut output::data()).await?;
    Ok(())
}

async fn open_empty(registry: RegistryChoice) -> Result<Session, Failure> {
    let ledger = Ledger::create_at(daybook_ledger::Root::memory()).await?;
    Ok(Session::open(&ledger, SessionOptions { registry, ..SessionOptions::default() }).await?)
}

async fn open(ledger: &LedgerArg, registry: RegistryChoice, layers: &mut Layers) -> Result<Session, Failure> {
    let ledger = ledger.open(layers).await?;
    Ok(Session::open(&ledger, SessionOptions { registry, ..SessionOptions::default() }).await?)
}

async fn import(args: ImportArgs, layers: &mut Layers) -> Result<(), Failure> {
    let registry = Registry::read_folder(&args.folder)?;
    let ledger = args.ledger.open_or_create(layers).await?;
    let place = &ledger.root().url;
    match registry.store(&ledger, SystemClock.now()).await? {
        Imported::New(version) => {
            output::line(format_args!("imported into {place} as registry version {version}: {}", describe(&registry)))
        }
        Imported::Unchanged(version) => {
            output::line(format_args!("{place} has the same files as registry version {version}; nothing was written"))
        }
    }
}

async fn explain_entry(args: ExplainArgs, layers: &mut Layers) -> Result<(), Failure> {
    let session = open(&args.ledger, args.registry.choice()?, layers).await?;
    let explanation = explain(&session, args.entry).await?;
    output::line(explanation.to_string().trim_end())
}

fn describe(registry: &Registry) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let commitments = registry.contracts.iter().map(|contract| contract.commitments.len()).sum();
    [
        count(registry.workloads.len(), "workload"),
        count(registry.rules().count(), "rule"),
        count(registry.contracts.len(), "contract"),
        count(commitments, "commitment"),
        count(registry.features.len(), "feature"),
        count(registry.models.len(), "model entry"),
    ]
    .join(", ")
    .replace("model entrys", "model entries")
}
