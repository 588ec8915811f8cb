//! Every command and flag.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    artifacts, config, decode, demo, diff, doctor, erase, evidence, export, gate, import, ingest, keys, maintain,
    prices, prove, quarantine, query, receive, registry, report, reprice, seal, simulate, status, verify,
};

/// The append-only ledger of a company's AI usage.
///
/// Reads usage events from Kafka exactly once into plain Delta Lake tables, answers SQL over them, and exports everything in
/// open formats, provably complete.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, max_term_width = 120)]
pub(crate) struct Cli {
    /// Settings file [default: ./daybook.toml, else $XDG_CONFIG_HOME/daybook/daybook.toml] [env: DAYBOOK_CONFIG].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes to stderr.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogArgs {
    /// Only errors on stderr, and how many rows a table leaves out.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Form of log lines on stderr.
    #[arg(long, global = true, value_enum, default_value = "text", env = "DAYBOOK_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole job on embedded parts: traffic, ingest, spend, bundle.
    Demo(demo::DemoArgs),
    /// Read topics into a ledger, which is made if absent, exactly once.
    Ingest(ingest::IngestArgs),
    /// Read files into a ledger, which is made if absent, exactly once.
    Import(import::ImportArgs),
    /// Take events over HTTP and put them into Kafka, for senders without a Kafka client.
    Receive(receive::ReceiveArgs),
    /// Print what the ledger would record of a file of events.
    Decode(decode::DecodeArgs),
    /// Run SQL over a ledger.
    Query(query::QueryArgs),
    /// Write everything of a time window into a bundle.
    Export(export::ExportArgs),
    /// Compare two ledgers row by row.
    Diff(diff::DiffArgs),
    /// Check a bundle, a ledger or a proof.
    Verify(verify::VerifyArgs),
    /// Seal a ledger: make it evident if anything in it is altered.
    Seal(seal::SealArgs),
    /// Prove that an entry is in a sealed ledger.
    Prove(prove::ProveArgs),
    /// Make and show keys that sign seals.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show how a ledger stands: tables, newest call, what is not known, lag.
    Status(status::StatusArgs),
    /// Check brokers, topics, group, store, clock and ledger, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// List and show messages that could not be read, and read them after all.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Keep a ledger fast and small, beside live workers.
    Maintain(maintain::MaintainArgs),
    /// Remove what was said, for good, and certify it.
    Erase(erase::EraseArgs),
    /// List, check and import prices.
    #[command(subcommand)]
    Prices(prices::PricesCommand),
    /// Write what recorded calls cost at other prices.
    Reprice(reprice::RepriceArgs),
    /// Answer a fixed question about a ledger.
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Say what calls are: workloads, contracts, features, models.
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Show what recorded traffic would cost otherwise.
    Simulate(Box<simulate::SimulateArgs>),
    /// Record what was done beside the calls: tests of an alternative, rehearsals, audits.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Register what was made with a vendor beside the calls: training sets, weights, embeddings, prompts.
    #[command(subcommand)]
    Artifacts(artifacts::ArtifactsCommand),
    /// Check what must hold before a contract is renewed.
    Gate(gate::GateArgs),
    /// Show effective settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}
