//! `daybook receive`: events over HTTP into Kafka.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use daybook_ingest::receive::{Receiver, Totals};

use super::signals;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook receive`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ReceiveArgs {
    /// Where to listen, `address:port` [default: 127.0.0.1:4318] [env: DAYBOOK_RECEIVE_LISTEN].
    #[arg(short, long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Brokers, `host:port`, comma-separated [default: localhost:9092] [env: KAFKA_BROKERS].
    #[arg(short = 'b', long, value_name = "HOSTS", visible_alias = "kafka")]
    pub(crate) brokers: Option<String>,
    /// Topic for events, or `NAME=TOPIC` for those of a path (events, traces, logs) or of a stated format; repeat for more
    /// [env: DAYBOOK_RECEIVE_TOPICS].
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
    /// File of bearer tokens, one per line; any of them is accepted [env: DAYBOOK_RECEIVE_TOKEN_FILE, or the tokens
    /// themselves in DAYBOOK_RECEIVE_TOKENS].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Listen to other machines without a token.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Bytes of one body, as sent and unpacked [default: 33554432].
    #[arg(long, value_name = "BYTES")]
    pub(crate) body_bytes_max: Option<String>,
    /// Events of one request [default: 10000].
    #[arg(long, value_name = "EVENTS")]
    pub(crate) events_max: Option<String>,
    /// Bytes of one Kafka message; the topic has to allow it [default: 1000000].
    #[arg(long, value_name = "BYTES")]
    pub(crate) message_bytes_max: Option<String>,
    /// Bytes of all requests that are not answered yet [default: 268435456].
    #[arg(long, value_name = "BYTES")]
    pub(crate) in_flight_bytes_max: Option<String>,
    /// Connections at a time; further ones wait [default: 1024].
    #[arg(long, value_name = "CONNECTIONS")]
    pub(crate) connections_max: Option<String>,
    /// Milliseconds from a request's first byte to its answer [default: 25000].
    #[arg(long, value_name = "MS")]
    pub(crate) timeout_ms: Option<String>,
    /// Milliseconds without any acknowledgement after which requests are turned away [default: 5000].
    #[arg(long, value_name = "MS")]
    pub(crate) slow_after_ms: Option<String>,
    /// Status that says "not now": 429, or 503 for senders that retry server errors only [default: 429].
    #[arg(long, value_name = "STATUS")]
    pub(crate) busy_status: Option<String>,
    /// A setting of librdkafka, by its own name; put secrets into the settings file instead.
    #[arg(short = 'X', value_name = "KEY=VALUE")]
    pub(crate) librdkafka: Vec<String>,
}

pub(crate) async fn run(args: &ReceiveArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let receiver = Receiver::start(layers.receive(args)?).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    signals::on_stop(move || {
        tracing::info!("stopping: what has arrived is answered; once more to stop at once");
        // The receiver may have ended by itself.
        stop.send(()).ok();
    })?;
    tracing::info!(address = %receiver.local_addr()?, "receiving");
    let totals = receiver.run(async move { stopped.await.unwrap_or_default() }).await?;
    print(totals).map_err(Failure::unprintable)?;
    Ok(ExitCode::SUCCESS)
}

fn print(Totals { requests, messages }: Totals) -> std::io::Result<()> {
    let mut out = output::data().lock();
    writeln!(out, "requests     {requests:>12}")?;
    writeln!(out, "messages     {messages:>12}")
}
