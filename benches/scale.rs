//! `scale LEDGER [--commits N] [--days D]`: what does a ledger of N commits and N x D files cost to open, query and compact?
//!
//! Makes the ledger if there is none: each commit adds a small file to each of D days, as workers with calls of D days do.
//! Its files are written past the library, without a sync, so that making it takes minutes and not hours; that no reader
//! could tell, `daybook verify LEDGER` shows. Prints one JSON line per step: its name, seconds, the peak of memory so far.
//! Without arguments, as under a plain `cargo bench`, it does nothing.
//!
//! ```sh
//! cargo bench --bench scale -- ./large --commits 10000 --days 10
//! ```
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant as Stopwatch;

use clap::Parser;
use daybook_ledger::maintenance::{Run, Settings, maintain};
use daybook_ledger::schema::{USAGE, UsageBuilder};
use daybook_ledger::{Cost, Entry, Instant, Ledger, Operation, Origin, Row, SystemClock, Usd, file};
use daybook_queries::{Format, Session, SessionOptions, render};
use serde_json::json;

/// As in the program, whose memory is measured here.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Makes a large ledger and times what people do with it.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(required_unless_present = "bench")]
    ledger: Option<PathBuf>,
    #[arg(long, default_value_t = 1_000)]
    commits: u64,
    /// Files of a commit.
    #[arg(long, default_value_t = 10)]
    days: u64,
    /// Rows of a file.
    #[arg(long, default_value_t = 20)]
    rows: u64,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

const FIRST_DAY: &str = "2026-11-01T00:00:00Z";
const DAY_US: i64 = 86_400_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let Some(folder) = arguments.ledger.clone() else { return Ok(()) };
    let address = folder.to_string_lossy().into_owned();
    if !folder.exists() {
        let ledger = Ledger::open_or_create(&address).await?;
        drop(ledger);
        timed("make", async || make(&folder, &arguments)).await?;
    }
    let ledger = Ledger::open(&address).await?;
    for round in ["", " compacted"] {
        let name = |step: &str| format!("{step}{round}");
        let files = timed(&name("open"), async || Ok(ledger.usage().load(None).await?.files().len())).await?;
        println!("{}", json!({"files": files}));
        timed(&name("query one day"), async || query(&ledger).await).await?;
        timed(&name("maintain"), async || {
            let id = format!("scale-{}", SystemNow::micros());
            let run = Run::new(&id, &SystemClock, false);
            for done in maintain(&ledger, &["usage"], &Settings::default(), &run).await? {
                println!("{}", serde_json::to_string(&done)?);
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// A name for a run that the runs before it did not have.
struct SystemNow;

impl SystemNow {
    fn micros() -> i64 {
        daybook_ledger::Clock::now(&SystemClock).micros()
    }
}

async fn timed<T>(step: &str, work: impl AsyncFnOnce() -> Result<T, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    let started = Stopwatch::now();
    let done = work().await?;
    println!("{}", json!({"step": step, "seconds": started.elapsed().as_secs_f64(), "peak_kb": peak_kb()}));
    Ok(done)
}

/// The most memory this process has had, as Linux counts it.
fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

async fn query(ledger: &Ledger) -> Result<(), Box<dyn Error>> {
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let sql = "SELECT team, count(*) AS calls, sum(list_cost) AS cost FROM usage \
               WHERE event_date = '2026-11-03' GROUP BY team ORDER BY team";
    let mut rows = Vec::new();
    render(session.run(sql).await?, Format::Ndjson, Default::default(), &mut rows).await?;
    println!("{}", String::from_utf8(rows)?.trim_end().replace('\n', " "));
    Ok(())
}

/// Writes commits 1 to N of `usage`, and their files.
fn make(folder: &Path, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let table = folder.join("usage");
    for commit in 1..=arguments.commits {
        let batch_id = format!("made-{commit:08}");
        let info = json!({"commitInfo": {
            "timestamp": SystemNow::micros() / 1_000, "operation": "WRITE", "daybook.batch_id": batch_id,
        }});
        let position = json!({"txn": {"appId": "ledger/made/calls/0", "version": commit * arguments.rows}});
        let mut lines = vec![info.to_string(), position.to_string()];
        for day in 0..arguments.days {
            for (number, made) in encode(&batch_id, commit, day, arguments.rows)?.iter().enumerate() {
                let path = format!("event_date={}/{batch_id}-{number:04}.parquet", made.date);
                std::fs::create_dir_all(table.join(format!("event_date={}", made.date)))?;
                std::fs::write(table.join(&path), &made.bytes)?;
                let add = json!({"add": {
                    "path": path, "partitionValues": {"event_date": made.date.to_string()}, "size": made.bytes.len(),
                    "modificationTime": 0, "dataChange": true, "stats": made.statistics,
                    "tags": {"daybook.sha256": made.sha256, "daybook.batch_id": batch_id},
                }});
                lines.push(add.to_string());
            }
        }
        std::fs::write(table.join(format!("_delta_log/{commit:020}.json")), lines.join("\n"))?;
    }
    Ok(())
}

fn encode(batch_id: &str, commit: u64, day: u64, rows: u64) -> Result<Vec<file::EncodedFile>, Box<dyn Error>> {
    let first = Instant::parse(FIRST_DAY).ok_or("no instant")?;
    let mut builder = UsageBuilder::default();
    for at in 0..i64::try_from(rows)? {
        let id = format!("{batch_id}-{day}-{at}");
        let mut entry = Entry::new("made", Operation::Chat, &[]);
        entry.event_id = Some(id.as_str().into());
        entry.provider = Some("openai".into());
        entry.request_model = Some("gpt-4o".into());
        entry.team = Some(format!("team-{}", (i64::try_from(commit)? + at) % 40).into());
        entry.tokens.input = Some(100 + at);
        entry.tokens.output = Some(10);
        let cost = Cost { list_cost: Some(Usd::parse("0.0125")?), price_id: None, price_status: "priced" };
        let within = i64::try_from(commit)? * 1_000_000 + at;
        let started_at = Instant::from_micros(first.micros() + i64::try_from(day)? * DAY_US + within);
        builder.push(&Row {
            entry: &entry,
            id: entry.id(),
            started_at,
            buckets: &entry.tokens.buckets(),
            cost,
            content_sha256: None,
            origin: Origin {
                topic: "calls",
                partition: 0,
                offset: at,
                batch_id,
                batch_index: at,
                ingested_at: started_at,
            },
        });
    }
    let keep: Vec<u32> = (0..u32::try_from(rows)?).collect();
    Ok(file::encode(&USAGE, &builder.finish()?, &keep)?)
}
