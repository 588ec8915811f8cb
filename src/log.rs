//! The log on stderr.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::{LogArgs, LogFormat};

/// Starts the log. `RUST_LOG` decides what is logged if it is set.
pub(crate) fn start(args: &LogArgs) {
    // The libraries' own lines repeat what the errors returned say, in words of their insides.
    const OURS: &str =
        "off,librdkafka=warn,daybook={0},daybook_ledger={0},daybook_ingest={0},daybook_queries={0},daybook_export={0}";
    let default = match (args.quiet, args.verbose) {
        (true, _) => OURS.replace("{0}", "error"),
        (false, 0) => OURS.replace("{0}", "info"),
        (false, 1) => "debug,hyper=info,h2=info".into(),
        (false, _) => "trace".into(),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    match args.log_format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}
