//! Every command and flag.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    artifacts, config, decode, demo, diff, doctor, erase, evidence, export, gate, import, ingest, keys, maintain,
    prices, prove, quarantine, query, receive, registry, report, reprice, seal, simulate, status, verify,
};

/// Where help lists what every command takes.
const GLOBAL: &str = "Global options";

/// The append-only ledger of a company's AI usage.
///
/// Reads usage events from Kafka exactly once into plain Delta Lake tables, answers SQL over them, and exports everything in
/// open formats, provably complete.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, max_term_width = 120)]
pub(crate) struct Cli {
    /// Settings file [default: ./daybook.toml, else $XDG_CONFIG_HOME/daybook/daybook.toml] [env: DAYBOOK_CONFIG].
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
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
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// More on stderr; twice for everything.
    #[arg(short, long, global = true, help_heading = GLOBAL, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Form of log lines on stderr.
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, default_value = "text", env = "DAYBOOK_LOG_FORMAT",
          value_name = "FORMAT")]
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
    ///
    /// Without -c and -f: a prompt if standard input is a terminal, else the SQL that standard input holds. Nothing can be
    /// changed; every statement of one run reads the same state of the ledger.
    Query(query::QueryArgs),
    /// Write everything of a time window into a bundle.
    ///
    /// The bundle holds every entry with its body, in open formats, and can be checked without Daybook. An export that was
    /// interrupted goes on when the same command is given again.
    Export(export::ExportArgs),
    /// Compare two ledgers row by row.
    ///
    /// Name every difference, and exit 1 if there is one.
    /// Every row of every table counts, wherever its file lies and in whatever order. Versions, positions in Kafka and seals belong
    /// to the place of a ledger and are not compared.
    Diff(diff::DiffArgs),
    /// Check a bundle, a ledger or a proof.
    ///
    /// Name every difference from what was written, and exit 1 if there is one.
    /// Of a sealed ledger also that it is what was sealed; of a bundle, with --key, that it is signed. A proof needs nothing but
    /// the proof and the key.
    Verify(verify::VerifyArgs),
    /// Seal a ledger: make it evident if anything in it is altered.
    ///
    /// What is in it by now can no longer be altered, removed or put in unnoticed.
    ///
    /// Print the signed checkpoint. Keep copies of it where nobody who can write the ledger can, and give them to those who are
    /// to believe you: they show later that the ledger only grew (docs/tamper-evidence.md).
    Seal(seal::SealArgs),
    /// Prove that an entry is in a sealed ledger, as it was recorded.
    ///
    /// The proof holds the row of `usage`, the salt of its leaf, and the hashes that lead to a signed checkpoint; `daybook verify
    /// --proof` checks it without the ledger. It reveals nothing of other entries.
    Prove(prove::ProveArgs),
    /// Make and show keys that sign seals.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show how a ledger stands: tables, newest call, what is not known, lag.
    Status(status::StatusArgs),
    /// Check brokers, topics, group, store, clock and ledger, and say what to do.
    ///
    /// Exit 1 if something fails, 4 if something does not answer.
    ///
    /// The check of the store writes, reads and deletes small objects of its own beside the ledger's tables, among them races of conditional puts.
    Doctor(doctor::DoctorArgs),
    /// List and show messages that could not be read, and read them after all.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Keep a ledger fast and small, beside live workers.
    ///
    /// Make few large files of many small ones, write checkpoints, delete what no version needs, and remove bodies that are too
    /// old.
    ///
    /// No count, cost or position changes. Workers may go on, and several maintainers may run at once. The log is never cleaned:
    /// it is the audit trail.
    Maintain(maintain::MaintainArgs),
    /// Remove what was said, for good, and certify it.
    ///
    /// Remove prompts, answers and everything else that was said from the ledger, from its older versions and from files of lost
    /// batches, and write a certificate.
    ///
    /// Rows stay: counts, costs and owners in `usage` are untouched, and an event that comes again does not bring its text back.
    /// Versions of `content` and `quarantine` from before cannot be read any more. A bucket that keeps versions of its objects
    /// keeps them: delete those there.
    Erase(erase::EraseArgs),
    /// List, check and import prices.
    #[command(subcommand)]
    Prices(prices::PricesCommand),
    /// Write what recorded calls cost at other prices.
    ///
    /// Write a valuation: what every entry costs at other prices. What is recorded stays as it is.
    ///
    /// The sheet is laid over the prices in force for the ledger, as `daybook prices import` would. Doing it again adds only
    /// what came since; another sheet needs another name. `daybook report diff recorded NAME` compares.
    Reprice(reprice::RepriceArgs),
    /// Answer a fixed question about a ledger.
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Say what calls are: workloads, contracts, features, models.
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Show what recorded traffic would cost otherwise.
    ///
    /// At other prices, at other models, on machines of one's own.
    ///
    /// Every scenario has a low, a middle and a high case, and names what makes the width. Calls without counterpart are listed
    /// with their dollars and left out. docs/simulation.md has the formulas.
    Simulate(Box<simulate::SimulateArgs>),
    /// Record what was done beside the calls: tests of an alternative, rehearsals, audits.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Register what was made with a vendor beside the calls: training sets, weights, embeddings, prompts.
    #[command(subcommand)]
    Artifacts(artifacts::ArtifactsCommand),
    /// Check what must hold before a contract is renewed.
    ///
    /// Name each reason against it, and exit 1 if there is one.
    Gate(gate::GateArgs),
    /// Show effective settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn each(command: &clap::Command, look: &mut impl FnMut(&clap::Command)) {
        look(command);
        command.get_subcommands().filter(|inner| inner.get_name() != "help").for_each(|inner| each(inner, look));
    }

    #[test]
    fn flags_are_sound_and_mean_the_same_in_every_command() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        each(&cli, &mut |command| {
            let name = command.get_name();
            for arg in command.get_arguments() {
                let short = match arg.get_long() {
                    Some("dry-run") => 'n',
                    Some("ledger") => 'l',
                    _ => continue,
                };
                assert_eq!(arg.get_short(), Some(short), "{name} --{}", arg.get_long().unwrap_or_default());
            }
            for global in ["config", "quiet", "verbose", "log_format"] {
                let found = command.get_arguments().find(|arg| arg.get_id() == global);
                let heading = found.and_then(clap::Arg::get_help_heading);
                assert_eq!(heading, Some(GLOBAL), "{name} {global}");
            }
        });
    }

    #[test]
    fn words_of_before_are_still_taken() {
        for line in [
            "decode --as openai-chat FILE",
            "decode --format openai-chat FILE",
            "status --format table",
            "status --format text",
            "doctor --format table",
            "prices import -n FILE",
            "quarantine replay -n",
        ] {
            let parsed = Cli::try_parse_from(std::iter::once("daybook").chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        }
    }
}
