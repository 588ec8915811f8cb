//! `query_set LEDGER QUERIES.sql [--reps N]`: how long do the queries of a file take inside one process?
//!
//! A query starts with a line `-- name`; its table `t` stands for `usage`. Each is run N times and its rows are rendered,
//! as `daybook query` would print them. Prints one JSON line per query: its name, the seconds of every run, its rows.
//! `run.py` compares both with the peer's. Without arguments, as under a plain `cargo bench`, it does nothing.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use daybook_ledger::Ledger;
use daybook_queries::{Format, Session, SessionOptions, render};
use serde_json::json;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Times the queries of a file over a ledger.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(required_unless_present = "bench")]
    ledger: Option<String>,
    #[arg(required_unless_present = "bench")]
    queries: Option<PathBuf>,
    /// Runs of each query.
    #[arg(long, default_value_t = 5)]
    reps: u32,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (Some(ledger), Some(queries)) = (arguments.ledger, arguments.queries) else { return Ok(()) };
    let session = Session::open(&Ledger::open(&ledger).await?, SessionOptions::default()).await?;
    for (name, sql) in named_queries(&std::fs::read_to_string(queries)?) {
        let mut seconds = Vec::new();
        let mut rows = Vec::new();
        for _ in 0..arguments.reps {
            rows.clear();
            let started = Instant::now();
            render(session.run(&sql).await?, Format::Ndjson, Default::default(), &mut rows).await?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        println!("{}", json!({ "query": name, "seconds": seconds, "rows": String::from_utf8(rows)? }));
    }
    Ok(())
}

/// The queries of `text` by name; what stands before the first name is talk.
fn named_queries(text: &str) -> Vec<(String, String)> {
    let mut queries: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("-- ") {
            queries.push((name.trim().into(), String::new()));
        } else if let Some((_, sql)) = queries.last_mut() {
            sql.push_str(line.trim_end().trim_end_matches(';'));
            sql.push(' ');
        }
    }
    queries.into_iter().map(|(name, sql)| (name, sql.replace(" FROM t ", " FROM usage "))).collect()
}
