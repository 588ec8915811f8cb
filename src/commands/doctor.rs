//! `daybook doctor`: is everything as a worker needs it?

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use daybook_ingest::Settings;
use daybook_ingest::doctor::check_kafka;
use daybook_ledger::doctor::{Finding, Level, check_store, check_tables};
use daybook_ledger::{Kind, Ledger, Report as _, Root, SystemClock};

use super::ingest::IngestArgs;
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::exit;
use crate::failure::Failure;
use crate::output::{self, Form, counted};

/// Which brokers, topics and group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct KafkaArgs {
    /// Brokers, `host:port`, comma-separated [default: localhost:9092] [env: KAFKA_BROKERS].
    #[arg(short = 'b', long, value_name = "HOSTS", visible_alias = "kafka")]
    brokers: Option<String>,
    /// Topic; repeat for more [env: KAFKA_TOPIC].
    #[arg(short, long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Consumer group [default: daybook] [env: KAFKA_CONSUMER_GROUP].
    #[arg(short, long, value_name = "NAME", visible_alias = "consumer-group")]
    group: Option<String>,
    /// Name of the Kafka cluster in the ledger's positions [default: Kafka's cluster id].
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// A setting of librdkafka, by its own name; put secrets into the settings file instead.
    #[arg(short = 'X', value_name = "KEY=VALUE")]
    librdkafka: Vec<String>,
}

impl KafkaArgs {
    /// The settings a worker would have.
    pub(super) fn settings(&self, layers: &mut Layers) -> Result<Settings, Failure> {
        let Self { brokers, topic, group, cluster, librdkafka } = self.clone();
        layers.ingest(&IngestArgs { brokers, topic, group, cluster, librdkafka, ..IngestArgs::default() })
    }
}

/// Flags of `daybook doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

pub(crate) async fn run(args: DoctorArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let settings = args.kafka.settings(layers)?;
    let address = args.ledger.address(layers);
    let (ledger, mut findings) = check_ledger(&address).await;
    findings.extend(match settings.topics.is_empty() {
        true => vec![
            Finding::of(Level::Warn, "brokers", settings.brokers.as_str(), "not looked at: no topic is named")
                .todo("name the topics that are ingested with --topic (KAFKA_TOPIC)"),
        ],
        false => check_kafka(&settings, ledger.as_ref()).await,
    });
    print(args.format, &findings, &mut output::data().lock()).map_err(Failure::unprintable)?;
    Ok(match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Unavailable) => ExitCode::from(exit::code(Kind::Unavailable)),
        Some(Level::Fail) => ExitCode::from(exit::NO),
        Some(Level::Warn | Level::Ok) | None => ExitCode::SUCCESS,
    })
}

async fn check_ledger(address: &str) -> (Option<Ledger>, Vec<Finding>) {
    let missing = |error: &daybook_ledger::Error| {
        Finding::of(Level::Warn, "ledger", address, error.to_string())
            .todo("`daybook ingest` makes it; nothing to do before that")
    };
    let root = match Root::open(address, false) {
        Ok(root) => root,
        Err(error @ daybook_ledger::Error::NotFound { .. }) => return (None, vec![missing(&error)]),
        Err(error) => return (None, vec![Finding::of_error("store", address, &error)]),
    };
    let mut findings = check_store(&root, &SystemClock).await;
    match Ledger::open(address).await {
        Ok(ledger) => {
            findings.extend(check_tables(&ledger).await);
            (Some(ledger), findings)
        }
        Err(error) => {
            let is_missing = error.code() == "LEDGER-003";
            findings.push(if is_missing { missing(&error) } else { Finding::of_error("ledger", address, &error) });
            (None, findings)
        }
    }
}

fn print(format: Form, findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Form::Text => print_table(findings, out),
        Form::Json => {
            let finding = |finding: &Finding| {
                serde_json::json!({
                    "level": finding.level.as_str(), "area": finding.area, "subject": finding.subject,
                    "found": finding.found, "todo": finding.todo,
                })
            };
            let findings: Vec<_> = findings.iter().map(finding).collect();
            output::json(&serde_json::json!({ "findings": findings }), out)
        }
    }
}

fn print_table(findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
    for Finding { area, subject, level, found, todo } in findings {
        writeln!(out, "{:11} {area:9} {subject:width$} {found}", level.as_str())?;
        if let Some(todo) = todo {
            writeln!(out, "{:11} {:9} {:width$} -> {todo}", "", "", "")?;
        }
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let (warned, failed) = (count(Level::Warn), count(Level::Fail) + count(Level::Unavailable));
    writeln!(
        out,
        "\n{}, {}, {}",
        counted(findings.len(), "check"),
        counted(warned, "warning"),
        counted(failed, "failure")
    )
}
