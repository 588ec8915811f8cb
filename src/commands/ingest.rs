//! `daybook ingest`: read topics into a ledger.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use daybook_ingest::driver::{self, Control};
use daybook_ingest::{Settings, Totals};
use daybook_ledger::price::Book;
use daybook_ledger::{Kind, Ledger, SystemClock};

use super::maintain::maintain_every;
use super::signals;
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook ingest`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct IngestArgs {
    /// Brokers, `host:port`, comma-separated [default: localhost:9092] [env: KAFKA_BROKERS].
    #[arg(short = 'b', long, value_name = "HOSTS", visible_alias = "kafka")]
    pub(crate) brokers: Option<String>,
    /// Topic to read; repeat for more. `^` starts a pattern [env: KAFKA_TOPIC].
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// Consumer group; its workers share the partitions [default: daybook] [env: KAFKA_CONSUMER_GROUP].
    #[arg(short, long, value_name = "NAME", visible_alias = "consumer-group")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) ledger: LedgerArg,
    /// Format of the topics, or `TOPIC=FORMAT`; without it each message is recognised by its shape.
    #[arg(short, long, value_name = "FORMAT", visible_alias = "as")]
    pub(crate) format: Vec<String>,
    /// Where to start in partitions the ledger does not know: earliest, latest [default: earliest].
    #[arg(long, value_name = "WHERE", visible_alias = "auto-offset-reset")]
    pub(crate) start: Option<String>,
    /// What becomes of prompts and answers: full, digest, off [default: full] [env: DAYBOOK_CAPTURE].
    #[arg(long, value_name = "WHAT")]
    pub(crate) capture: Option<String>,
    /// Commit after this many rows [default: 1000000].
    #[arg(long, value_name = "ROWS", visible_alias = "flush-rows-max")]
    pub(crate) flush_rows: Option<String>,
    /// Commit after this many bytes in memory [default: 134217728].
    #[arg(long, value_name = "BYTES", visible_alias = "flush-bytes-max")]
    pub(crate) flush_bytes: Option<String>,
    /// Commit at the latest this many milliseconds after a batch's first message [default: 10000].
    #[arg(long, value_name = "MS")]
    pub(crate) flush_interval_ms: Option<String>,
    /// Name of the Kafka cluster in the ledger's positions [default: Kafka's cluster id].
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// This worker's name in the group, kept over restarts: others wait for it to come back instead of taking its
    /// partitions at once [env: KAFKA_GROUP_INSTANCE_ID].
    #[arg(long, value_name = "NAME")]
    pub(crate) instance_id: Option<String>,
    /// Where Kafka removed messages before they were read: stop, continue [default: stop] [env: DAYBOOK_ON_GAP].
    #[arg(long, value_name = "WHAT")]
    pub(crate) on_gap: Option<String>,
    /// Serve /metrics, /healthz/live and /healthz/ready here, `address:port` [env: DAYBOOK_METRICS_LISTEN].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<String>,
    /// Stop at the end offsets seen at the start.
    #[arg(short = 'e', long, visible_alias = "ends-at-latest-offsets")]
    pub(crate) until_end: bool,
    /// Maintain the ledger beside the work, about every so many seconds; 0 does not [default: 0].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) maintain_every: Option<String>,
    /// A setting of librdkafka, by its own name; put secrets into the settings file instead.
    #[arg(short = 'X', value_name = "KEY=VALUE")]
    pub(crate) librdkafka: Vec<String>,
}

pub(crate) async fn run(args: &IngestArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let settings = layers.ingest(args)?;
    if settings.topics.is_empty() {
        let hint = "use --topic, KAFKA_TOPIC, or `topics` under [kafka] in daybook.toml".to_owned();
        return Err(Failure::plain("CLI-002", Kind::Usage, "no topic is named".into(), Some(hint)));
    }
    let every = layers.maintain_every(args.maintain_every.clone())?;
    let maintenance = layers.maintain_beside()?;
    let address = args.ledger.address(layers);
    // A slip in a topic or a setting makes no ledger.
    if let Err(daybook_ledger::Error::NotFound { .. }) = Ledger::open(&address).await {
        driver::check(&settings).await?;
    }
    let ledger = Ledger::open_or_create(&address).await?;
    let prices = Arc::new(Book::load(&ledger).await?);
    let control = Control::default();
    drain_on_signals(control.clone())?;
    let beside = every.map(|every| tokio::spawn(maintain_every(every, ledger.clone(), maintenance)));
    let totals = ingest(settings, ledger, prices, control).await;
    // Maintenance may stop anywhere: what it did stands, and the next run goes on.
    if let Some(beside) = beside {
        beside.abort();
    }
    let totals = totals?;
    print(&totals).map_err(Failure::unprintable)?;
    Ok(ExitCode::SUCCESS)
}

async fn ingest(settings: Settings, ledger: Ledger, prices: Arc<Book>, control: Control) -> Result<Totals, Failure> {
    Ok(driver::run(settings, ledger, prices, Arc::new(SystemClock), control, |_| {}).await?)
}

/// The first SIGTERM or SIGINT finishes the work.
pub(super) fn drain_on_signals(control: Control) -> Result<(), Failure> {
    signals::on_stop(move || {
        tracing::info!("finishing: what was read is committed, then the worker stops; once more to stop at once");
        control.drain();
    })
}

fn print(totals: &Totals) -> std::io::Result<()> {
    let Totals { messages, entries, duplicates, quarantined, empty, commits, .. } = totals;
    let mut out = output::data().lock();
    writeln!(out, "messages     {messages:>12}")?;
    writeln!(out, "entries      {entries:>12}")?;
    writeln!(out, "duplicates   {duplicates:>12}")?;
    writeln!(out, "quarantined  {quarantined:>12}")?;
    writeln!(out, "without call {empty:>12}")?;
    writeln!(out, "commits      {commits:>12}")
}
