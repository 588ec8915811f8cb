//! `daybook quarantine`: messages that could not become entries.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use daybook_ingest::decode::Format;
use daybook_ingest::driver::Control;
use daybook_ingest::quarantine::{self, Coordinates, Filter, Quarantined, ReplaySettings, Replayed};
use daybook_ledger::price::Book;
use daybook_ledger::{Instant, Kind, SystemClock};
use daybook_queries::{Format as RowFormat, Session, SessionOptions};

use super::ingest::drain_on_signals;
use super::query::{Show, show_result};
use super::window;
use crate::commands::args::{LedgerArg, formats, parse_event_format, parse_instant};
use crate::config::Layers;
use crate::exit;
use crate::failure::Failure;
use crate::output;

/// Messages set aside: what they are, why, and reading them after all.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Count messages by code, topic or day, or list each.
    List(ListArgs),
    /// Show messages whole: bytes, headers, where they were, why they were set aside.
    Show(ShowArgs),
    /// Read messages again, after a decoder was fixed or with the right format: each exactly once.
    Replay(ReplayArgs),
}

/// Which messages.
#[derive(Clone, Debug, Default, Args)]
struct FilterArgs {
    /// Only this error code, such as DECODE-003.
    #[arg(long, value_name = "CODE", value_parser = codes())]
    code: Option<String>,
    /// Only this topic, or file.
    #[arg(short, long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Set aside at this instant or later: RFC 3339, or a UTC day.
    #[arg(long, value_name = "T", value_parser = parse_instant)]
    from: Option<Instant>,
    /// Set aside before this instant: RFC 3339, or a UTC day.
    #[arg(long, value_name = "T", value_parser = parse_instant)]
    to: Option<Instant>,
}

fn codes() -> PossibleValuesParser {
    PossibleValuesParser::new(quarantine::codes())
}

/// Flags of `daybook quarantine list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    filter: FilterArgs,
    /// Count by these, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "code,topic", conflicts_with = "each")]
    by: Vec<By>,
    /// List each message.
    #[arg(long)]
    each: bool,
    /// Those that were read after all, too.
    #[arg(long)]
    all: bool,
    /// How rows are written.
    #[arg(long, default_value = "table", value_parser = formats())]
    format: RowFormat,
}

/// What messages are counted by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// The error code.
    Code,
    /// The topic, or file.
    Topic,
    /// The UTC day they were set aside.
    Day,
}

impl By {
    const fn column(self) -> &'static str {
        match self {
            Self::Code => "error_code",
            Self::Topic => "topic",
            Self::Day => "date_trunc('day', quarantined_at)::date AS day",
        }
    }
}

/// Flags of `daybook quarantine show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The message, as `quarantine list --each` names it: `topic/partition@offset`.
    #[arg(value_name = "PLACE")]
    at: Coordinates,
    #[command(flatten)]
    ledger: LedgerArg,
    /// Only the message's bytes, as they came.
    #[arg(long, conflicts_with = "hex")]
    raw: bool,
    /// The bytes in hexadecimal, even if they are text.
    #[arg(long)]
    hex: bool,
}

/// Flags of `daybook quarantine replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// These messages, `topic/partition@offset`; without any, all that the other flags name.
    #[arg(value_name = "PLACE")]
    at: Vec<Coordinates>,
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    filter: FilterArgs,
    /// Read every message as this format; else by the topic's setting, header and shape.
    #[arg(short, long, value_name = "FORMAT", visible_alias = "as", value_parser = parse_event_format)]
    format: Option<Format>,
    /// What becomes of prompts and answers: full, digest, off [default: full] [env: DAYBOOK_CAPTURE].
    #[arg(long, value_name = "WHAT")]
    capture: Option<String>,
    /// Read and count, write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs the command given.
pub(crate) async fn run(command: QuarantineCommand, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    match command {
        QuarantineCommand::List(args) => list(args, layers, quiet).await,
        QuarantineCommand::Show(args) => show(args, layers).await,
        QuarantineCommand::Replay(args) => replay(args, layers).await,
    }
}

async fn list(args: ListArgs, layers: &mut Layers, quiet: bool) -> Result<ExitCode, Failure> {
    window::check(args.filter.from, args.filter.to)?;
    let ledger = args.ledger.open(layers).await?;
    let session = Session::open(&ledger, SessionOptions::default()).await?;
    let show = Show { format: args.format, rows_max: 10_000, quiet };
    for statement in session.parse(&list_sql(&args))? {
        show_result(&session, statement, show).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Length of the message: bytes have no length of their own in SQL.
const BYTES: &str = "octet_length(encode(value, 'hex')) / 2";

fn list_sql(args: &ListArgs) -> String {
    let table = if args.all { "quarantine" } else { "quarantine_open" };
    let rows = format!("FROM {table} WHERE {}", condition(&args.filter));
    if args.each {
        return format!(
            "SELECT topic || '/' || kafka_partition || '@' || kafka_offset AS place, error_code, quarantined_at, \
             {BYTES} AS bytes, error_message {rows} ORDER BY quarantined_at, topic, kafka_partition, kafka_offset"
        );
    }
    let columns = args.by.iter().map(|by| by.column()).collect::<Vec<_>>().join(", ");
    let groups = (1..=args.by.len()).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, count(*) AS messages, sum({BYTES}) AS bytes, min(quarantined_at) AS first_at, \
         max(quarantined_at) AS last_at {rows} GROUP BY {groups} ORDER BY messages DESC, {groups}"
    )
}

fn condition(filter: &FilterArgs) -> String {
    let text = |column: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("{column} = '{}'", value.replace('\'', "''")))
    };
    let instant = |bound: &str, value: Option<Instant>| value.map(|at| format!("quarantined_at {bound} '{at}'"));
    let conditions = [
        text("error_code", &filter.code),
        text("topic", &filter.topic),
        instant(">=", filter.from),
        instant("<", filter.to),
    ];
    let conditions: Vec<String> = conditions.into_iter().flatten().collect();
    if conditions.is_empty() { "TRUE".into() } else { conditions.join(" AND ") }
}

async fn show(args: ShowArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let ledger = args.ledger.open(layers).await?;
    let filter = Filter { at: vec![args.at.clone()], ..Filter::default() };
    let found = quarantine::find(&ledger, &filter).await?;
    all_there(&filter, &found)?;
    let mut out = output::data().lock();
    for message in &found {
        let printed = if args.raw { out.write_all(&message.value) } else { print_message(message, args.hex, &mut out) };
        printed.map_err(Failure::unprintable)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every place of `filter` is that of a message `found`.
fn all_there(filter: &Filter, found: &[Quarantined]) -> Result<(), Failure> {
    match filter.at.iter().find(|at| found.iter().all(|message| message.at != **at)) {
        None => Ok(()),
        Some(at) => {
            let message = format!("no message of {at} is in quarantine");
            let hint = "`daybook quarantine list --each --all` names those that are".to_owned();
            Err(Failure::plain("CLI-021", Kind::Usage, message, Some(hint)))
        }
    }
}

fn print_message(message: &Quarantined, hex: bool, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "place        {}", message.at)?;
    writeln!(out, "time         {}", message.timestamp.map_or_else(|| "none".into(), |at| at.to_string()))?;
    writeln!(out, "set aside    {} by batch {}", message.quarantined_at, message.batch_id)?;
    writeln!(out, "error        {}: {}", message.code, message.message)?;
    writeln!(out, "what to do   see {} in docs/errors.md", message.code)?;
    writeln!(out, "read as      {}", message.format.as_deref().unwrap_or("what its header and shape say"))?;
    if let Some(key) = &message.key {
        writeln!(out, "key          {}", text_of(key))?;
    }
    for (name, value) in &message.headers {
        writeln!(out, "header       {name}: {}", text_of(value))?;
    }
    writeln!(out, "value        {} bytes\n", message.value.len())?;
    match std::str::from_utf8(&message.value) {
        Ok(text) if !hex && !text.contains(is_unprintable) => writeln!(out, "{text}"),
        _ => print_hex(&message.value, out),
    }
}

/// What would move a terminal's cursor, or worse.
fn is_unprintable(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\r' | '\t')
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Offset, sixteen bytes, the same as text.
fn print_hex(bytes: &[u8], out: &mut dyn Write) -> std::io::Result<()> {
    for (line, bytes) in bytes.chunks(16).enumerate() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
        let text: String =
            bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        writeln!(out, "{:08x}  {hex:48} {text}", line * 16)?;
    }
    Ok(())
}

async fn replay(args: ReplayArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let (limits, capture, formats) = layers.replay(args.capture.clone())?;
    let ledger = args.ledger.open(layers).await?;
    let prices = Arc::new(Book::load(&ledger).await?);
    let FilterArgs { code, topic, from, to } = args.filter;
    window::check(from, to)?;
    let filter = Filter { at: args.at, code, topic, from, to };
    if !filter.at.is_empty() {
        let named = Filter { at: filter.at.clone(), ..Filter::default() };
        all_there(&named, &quarantine::find(&ledger, &named).await?)?;
    }
    let settings = ReplaySettings { filter, format: args.format, formats, limits, capture, dry_run: args.dry_run };
    let control = Control::default();
    drain_on_signals(control.clone())?;
    let done = Box::pin(quarantine::replay(settings, &ledger, prices, Arc::new(SystemClock), control)).await?;
    print_replayed(&done, args.dry_run, &mut output::data().lock()).map_err(Failure::unprintable)?;
    Ok(match done {
        done if !done.refused.is_empty() => ExitCode::from(exit::code(Kind::Refused)),
        done if done.stopped => ExitCode::from(exit::code(Kind::Unavailable)),
        _ => ExitCode::SUCCESS,
    })
}

fn print_replayed(done: &Replayed, dry_run: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let Replayed { known, messages, calls, entries, refused, stopped } = done;
    writeln!(out, "read now     {messages:>12}")?;
    writeln!(out, "calls        {calls:>12}")?;
    if !dry_run {
        writeln!(out, "entries      {entries:>12}")?;
        writeln!(out, "duplicates   {:>12}", calls.saturating_sub(*entries))?;
    }
    writeln!(out, "read before  {known:>12}")?;
    writeln!(out, "unreadable   {:>12}", refused.values().sum::<u64>())?;
    for (code, messages) in refused {
        writeln!(out, "  {code}  {messages:>11}")?;
    }
    if *stopped {
        writeln!(out, "\nstopped before the end; the same command goes on there")?;
    }
    Ok(())
}
