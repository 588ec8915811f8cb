//! `daybook demo`: the whole job on embedded parts.

mod traffic;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Timer};

use clap::Args;
use daybook_export::{Request, Silent};
use daybook_ingest::driver::{self, Control};
use daybook_ingest::embedded::{EmbeddedKafka, EmbeddedProducer};
use daybook_ingest::{Capture, FlushLimits, OnGap, SILENCE_MAX, Settings, Start, Totals};
use daybook_ledger::price::Book;
use daybook_ledger::{Clock as _, Kind, Ledger, SystemClock};
use daybook_queries::registry::{Imported, Registry};
use daybook_queries::{Drawing, Format, Session, SessionOptions, render};

use crate::failure::Failure;
use crate::output;
use traffic::{Sent, Traffic};

const TOPIC: &str = "ai-usage";
const PARTITIONS: i32 = 4;
/// The embedded cluster keeps 5 MB a partition: this many messages may wait to be read.
const AHEAD_MAX: u64 = 6_000;
/// Marks a folder the demo made, so that only such a folder is ever replaced.
const MARKER: &str = ".daybook-demo";

/// Flags of `daybook demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to put the ledger and the bundle; replaced if an earlier demo made it.
    #[arg(long, value_name = "DIR", default_value = "daybook-demo")]
    dir: PathBuf,
    /// Calls to invent.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=5_000_000))]
    events: u64,
    /// The same seed gives the same calls.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    let began = Timer::now();
    prepare(&args.dir)?;
    let address = args.dir.join("ledger").display().to_string();
    let ledger = Ledger::open_or_create(&address).await?;
    output::line("Daybook demo: an embedded Kafka, seeded traffic, a real ledger")?;

    let (sent, totals) = ingest(&args, ledger.clone()).await?;
    let adds_up = print_counts(sent, &totals)?;
    let registry = args.dir.join("registry");
    import_registry(&registry, &ledger).await?;
    for (title, sql) in REPORTS {
        output::line(format_args!("\n{title}"))?;
        print_query(&ledger, sql).await?;
    }

    let bundle = args.dir.join("bundle");
    let summary = daybook_export::write(&ledger, &Request::new(bundle.clone()), &mut Silent).await?;
    let report = daybook_export::verify::bundle(&bundle, &mut Silent)?;
    let found = match report.is_whole() {
        true => "nothing differs".into(),
        false => report.differences.iter().map(|difference| format!("\n  {difference}")).collect::<String>(),
    };
    output::line(format_args!(
        "\nBundle {}: {} files, {} bytes; verified: {found}",
        bundle.display(),
        summary.files.len(),
        summary.bytes()
    ))?;
    print_next(&args.dir, began.elapsed())?;
    match adds_up && report.is_whole() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::plain("CLI-009", Kind::Bug, "the demo's counts do not add up".into(), None)),
    }
}

const REPORTS: &[(&str, &str)] = &[
    (
        "Spend by provider and model (US dollars at list price)",
        "SELECT provider, model, sum(calls) AS calls, sum(list_cost) AS list_cost, sum(unpriced_calls) AS unpriced \
         FROM spend_by_model GROUP BY provider, model ORDER BY list_cost DESC NULLS LAST",
    ),
    ("What is not known", "SELECT * FROM coverage"),
    (
        "What ties workloads to their vendors",
        "SELECT workload, declared_segment AS declared, segment AS shown, because, provider, calls, list_cost, effort_days \
         FROM lockin ORDER BY list_cost DESC NULLS LAST",
    ),
    ("By when to decide", "SELECT due_on, contract, what, usd FROM deadlines ORDER BY due_on, contract LIMIT 6"),
];

/// What the company says about its calls: the registry's files.
const REGISTRY: [(&str, &str); 2] = [
    ("workloads.toml", include_str!("registry/workloads.toml")),
    ("contracts.toml", include_str!("registry/contracts.toml")),
];

fn failed(folder: &Path, action: &str, error: std::io::Error) -> Failure {
    Failure::new("CLI-010", &format!("{} cannot be {action}", folder.display()), error)
        .with_hint("check its permissions and the space, or name another folder with --dir")
}

/// An empty folder, or one an earlier demo made.
fn prepare(dir: &Path) -> Result<(), Failure> {
    let failed = |error| failed(dir, "prepared", error);
    if dir.join(MARKER).is_file() {
        std::fs::remove_dir_all(dir).map_err(failed)?;
    }
    let used = dir.is_file() || dir.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if used {
        let message = format!("{} exists and no demo made it", dir.display());
        return Err(Failure::plain("CLI-010", Kind::Usage, message, Some("name another folder with --dir".into())));
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(dir.join(MARKER), "made by `daybook demo`, which may replace this folder\n").map_err(failed)
}

/// Leaves the registry's files in `folder`, to read and to change, and stores them in the ledger.
async fn import_registry(folder: &Path, ledger: &Ledger) -> Result<(), Failure> {
    let failed = |error| failed(folder, "written", error);
    std::fs::create_dir(folder).map_err(failed)?;
    for (name, text) in REGISTRY {
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    let (Imported::New(_) | Imported::Unchanged(_)) =
        Registry::read_folder(folder)?.store(ledger, SystemClock.now()).await?;
    Ok(())
}

/// Produces on one side, ingests on the other, until everything sent is in the ledger.
async fn ingest(args: &DemoArgs, ledger: Ledger) -> Result<(Sent, Totals), Failure> {
    let kafka = EmbeddedKafka::start(TOPIC, PARTITIONS)?;
    let producer = kafka.producer(TOPIC)?;
    let settings = Settings {
        brokers: kafka.brokers(),
        topics: vec![TOPIC.into()],
        formats: [].into(),
        group: "daybook-demo".into(),
        instance_id: None,
        cluster: Some("demo".into()),
        limits: FlushLimits { rows_max: 4_000, bytes_max: 64 << 20, interval_ms: 500 },
        capture: Capture::Full,
        start: Start::Earliest,
        on_gap: OnGap::default(),
        metrics_listen: None,
        silence_max: SILENCE_MAX,
        until_end: false,
        librdkafka: [].into(),
    };
    let prices = Arc::new(Book::load(&ledger).await?);
    let control = Control::default();
    let committed = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&committed);
    let progress = move |totals: &Totals| seen.store(totals.messages, Ordering::Relaxed);
    let worker = tokio::spawn(driver::run(settings, ledger, prices, Arc::new(SystemClock), control.clone(), progress));

    let traffic = Traffic::new(args.seed, args.events);
    let is_over = worker.abort_handle();
    let sent = tokio::task::spawn_blocking(move || produce(&producer, traffic, &committed, || is_over.is_finished()));
    let sent = sent
        .await
        .map_err(|error| Failure::new("CLI-011", "the demo's producer stopped", error).of_kind(Kind::Bug))??;
    control.drain();
    let totals = worker
        .await
        .map_err(|error| Failure::new("CLI-011", "the demo's worker stopped", error).of_kind(Kind::Bug))??;
    drop(kafka);
    Ok((sent, totals))
}

/// Sends everything, never further ahead of the ledger than the embedded cluster can hold, and waits for the last commit.
fn produce(
    producer: &EmbeddedProducer,
    mut traffic: Traffic,
    committed: &AtomicU64,
    worker_is_over: impl Fn() -> bool,
) -> Result<Sent, Failure> {
    let behind = |sent: u64| sent - committed.load(Ordering::Relaxed).min(sent);
    while let Some(message) = traffic.next() {
        producer.send(message.key, &message.value)?;
        if traffic.sent().messages().is_multiple_of(500) {
            producer.flush()?;
            while behind(traffic.sent().messages()) > AHEAD_MAX && !worker_is_over() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    producer.flush()?;
    while behind(traffic.sent().messages()) > 0 && !worker_is_over() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(traffic.sent())
}

fn print_counts(sent: Sent, totals: &Totals) -> Result<bool, Failure> {
    let Totals { entries, duplicates, quarantined, commits, .. } = totals;
    let adds_up = sent.messages() == entries + duplicates + quarantined
        && (sent.calls, sent.duplicates, sent.poison) == (*entries, *duplicates, *quarantined);
    output::line(format_args!(
        "sent {} messages: {} calls, {} sent twice, {} that cannot be read\n\
         ledger: {entries} entries + {duplicates} duplicates + {quarantined} quarantined = {} in {commits} commits: {}",
        sent.messages(),
        sent.calls,
        sent.duplicates,
        sent.poison,
        entries + duplicates + quarantined,
        if adds_up { "adds up" } else { "DOES NOT ADD UP" },
    ))?;
    Ok(adds_up)
}

async fn print_query(ledger: &Ledger, sql: &str) -> Result<(), Failure> {
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let rows = session.run(sql).await?;
    render(rows, Format::Table, Drawing { rounded: true, ..output::drawing() }, &mut output::data()).await?;
    Ok(())
}

fn print_next(dir: &Path, took: Duration) -> Result<(), Failure> {
    let dir = dir.display();
    output::line(format_args!(
        "\nDone in {:.1} s. Try next:\n\
         \n  export DAYBOOK_LEDGER={dir}/ledger\
         \n  daybook status\
         \n  daybook query -c 'SELECT * FROM spend_by_day ORDER BY day'      # or without -c, for a prompt\
         \n  daybook report lockin --why support-bot                       # rules are in {dir}/registry\
         \n  daybook report brief --contract anthropic-2027 --out brief.html  # to lay on the table\
         \n  daybook simulate --to mistral/mistral-large-2512\
         \n  daybook export --from 2026-11-18 --to 2026-11-19 --out one-day\
         \n  daybook verify {dir}/ledger\
         \n  (cd {dir}/bundle && sha256sum -c --quiet manifest-sha256.txt)\
         \n  duckdb -c \"SELECT count(*), sum(list_cost) FROM '{dir}/bundle/data/usage/*.parquet'\"\n\
         \n(`daybook` is target/release/daybook, or `cargo run --release --`.)",
        took.as_secs_f64()
    ))
}
