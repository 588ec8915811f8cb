//! `daybook query`: SQL over a ledger.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use daybook_queries::{Drawing, Error, Format, Rendered, Session, SessionOptions, Statement, parse_bytes, render};
use tokio::signal::unix::SignalKind;

use super::registry::RegistryArgs;
use super::{prompt, signals};
use crate::commands::args::{LedgerArg, formats};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook query`.
#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// Run this SQL; may be given several times
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Vec<String>,
    /// Run the SQL of this file; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How rows are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
    /// The state to read: a version of `usage` or an RFC 3339 instant [default: the newest]
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<String>,
    /// The time zone of instants, days and hours (IANA name)
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    tz: String,
    /// Memory a query may use before it spills to disk, as `512MB` or `2g` [default: 60 % of what there is]
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<String>,
    /// Stop a query after this time [default: none]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Rows a table shows; the others are counted
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    max_rows: u64,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// How results are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) format: Format,
    pub(crate) rows_max: u64,
    pub(crate) quiet: bool,
}

/// Runs `daybook query`.
pub(crate) async fn run(args: QueryArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    // Ctrl-C ends a statement: see `show_result`.
    signals::stop_at_once(&[SignalKind::terminate()], "rows printed before stand; a query never changes the ledger")?;
    let show = Show { format: args.format, rows_max: args.max_rows, quiet };
    let script = script(&args)?;
    let ledger = args.ledger.open(layers).await?;
    let session = Session::open(&ledger, options(&args)?).await?;
    match script {
        Some(scripts) => run_scripts(&session, &scripts, show).await?,
        None => prompt::run(&session, show).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &QueryArgs) -> Result<SessionOptions, Failure> {
    let defaults = SessionOptions::default();
    let memory = args.memory_limit.as_deref().map(parse_bytes).transpose()?;
    Ok(SessionOptions {
        as_of: args.as_of.as_deref().map(str::parse).transpose()?,
        time_zone: args.tz.clone(),
        memory_bytes_max: memory.unwrap_or(defaults.memory_bytes_max),
        timeout: args.timeout.map(Duration::from_secs),
        registry: args.registry.choice()?,
        ..defaults
    })
}

/// The SQL to run; `None` for the prompt.
fn script(args: &QueryArgs) -> Result<Option<Vec<String>>, Error> {
    match &args.file {
        Some(path) if path == Path::new("-") => Ok(Some(vec![standard_input()?])),
        Some(path) => {
            let failed = |source| Error::Script { path: path.display().to_string(), source };
            Ok(Some(vec![std::fs::read_to_string(path).map_err(failed)?]))
        }
        None if !args.command.is_empty() => Ok(Some(args.command.clone())),
        None if std::io::stdin().is_terminal() => Ok(None),
        None => Ok(Some(vec![standard_input()?])),
    }
}

fn standard_input() -> Result<String, Error> {
    let mut sql = String::new();
    let read = std::io::stdin().read_to_string(&mut sql);
    read.map_err(|source| Error::Script { path: "standard input".into(), source })?;
    Ok(sql)
}

/// Runs every statement in order; all are parsed before the first runs, so a slip at the end wastes no time.
async fn run_scripts(session: &Session, scripts: &[String], show: Show) -> Result<(), Error> {
    let parsed: Vec<Vec<Statement>> = scripts.iter().map(|sql| session.parse(sql)).collect::<Result<_, _>>()?;
    let statements: Vec<Statement> = parsed.into_iter().flatten().collect();
    if show.format == Format::Parquet && (statements.len() > 1 || output::data_is_shown()) {
        let message = "a Parquet file holds the rows of one statement and is no text: redirect it to a file".into();
        return Err(Error::NotInFormat { format: show.format.as_str(), message });
    }
    for statement in statements {
        show_result(session, statement, show).await?;
    }
    Ok(())
}

/// Runs `statement` and writes its rows; Ctrl-C stops it.
pub(crate) async fn show_result(session: &Session, statement: Statement, show: Show) -> Result<Rendered, Error> {
    let mut out = output::data();
    let drawing = Drawing { rows_max: show.rows_max, ..output::drawing() };
    let work = async {
        let rows = session.execute(statement).await?;
        render(rows, show.format, drawing, &mut out).await
    };
    let done = tokio::select! {
        // In this order: the signal is listened to before the first row is out.
        biased;
        _ = tokio::signal::ctrl_c() => return Err(Error::Interrupted),
        done = Box::pin(work) => done?,
    };
    // Also with `--quiet`: what was cut is not passed off as whole.
    if done.left_out > 0 {
        let more = output::counted(done.left_out, "more row");
        output::say(format_args!("{more} left out; raise --max-rows or use --format csv"));
    }
    Ok(done)
}
