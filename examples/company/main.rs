//! A company's calls over fifteen months, with facts planted in them, and the truth about them.
//!
//! `cargo run --release --example company -- CALLS SEED PRICES.csv LEDGER TRUTH.json` makes a ledger of CALLS calls:
//! twelve workloads, five vendors, and a key nobody sanctioned. `tests/company` holds the prices and the registry, and
//! compares every planted fact with what reports say of it. The same seed gives the same calls.
//!
//! Entries are priced, encoded and committed as a worker does it. The truth is counted beside it, by a sheet read and
//! multiplied out here, with none of the code that prices entries.

mod traffic;
mod truth;

use std::error::Error;

use daybook_ledger::price::{Book, Call, Sheet};
use daybook_ledger::schema::UsageBuilder;
use daybook_ledger::{Commit, CommitOutcome, Cost, Instant, Ledger, Origin, Row, Snapshot, file};
use traffic::{DAYS, FIRST_DAY, Traffic};
use truth::Truth;

/// Days a commit covers: files are a day's, and a commit for each would be a log no worker writes.
const DAYS_A_COMMIT: i32 = 7;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next =
        |name: &str| args.next().ok_or(format!("{name} is missing: CALLS SEED PRICES.csv LEDGER TRUTH.json"));
    let (calls, seed) = (next("CALLS")?.parse()?, next("SEED")?.parse()?);
    let sheet = std::fs::read(next("PRICES.csv")?)?;
    let ledger = Ledger::open_or_create(&next("LEDGER")?).await?;
    let truth_file = next("TRUTH.json")?;
    let mut truth = Truth::new(std::str::from_utf8(&sheet)?)?;

    let imported_at = FIRST_DAY.start();
    Book::read_csv(sheet.as_slice(), "company")?
        .store(&ledger, Sheet { name: "company", bytes: &sheet, imported_at })
        .await?;
    let mut writer = Writer { book: Book::load(&ledger).await?, snapshot: ledger.usage().load(None).await?, ledger };
    let mut traffic = Traffic::new(seed, calls);
    for first in (0..DAYS).step_by(usize::try_from(DAYS_A_COMMIT)?) {
        writer.append(&mut traffic, &mut truth, first..(first + DAYS_A_COMMIT).min(DAYS)).await?;
    }
    std::fs::write(truth_file, truth.json(seed).to_string())?;
    Ok(())
}

struct Writer {
    book: Book,
    snapshot: Snapshot,
    ledger: Ledger,
}

impl Writer {
    /// Commits the calls of `days`, counted from the first, as one batch.
    async fn append(
        &mut self,
        traffic: &mut Traffic,
        truth: &mut Truth,
        days: std::ops::Range<i32>,
    ) -> Result<(), Box<dyn Error>> {
        let batch_id = format!("company-{:03}", days.start);
        let mut rows = UsageBuilder::default();
        let mut offset = 0;
        for day in days {
            for _ in 0..traffic.calls_of(day) {
                self.push(&mut rows, traffic, truth, day, (&batch_id, offset));
                offset += 1;
            }
        }
        let batch = rows.finish()?;
        let keep: Vec<u32> = (0..u32::try_from(batch.num_rows())?).collect();
        let mut files = Vec::new();
        let table = self.ledger.usage();
        for (number, encoded) in file::encode(table.spec(), &batch, &keep)?.iter().enumerate() {
            files.push(table.store_file(encoded, &batch_id, number).await?);
        }
        let counts = vec![("rows", u64::try_from(keep.len())?)];
        let commit = Commit { batch_id, files, positions: Vec::new(), counts };
        match table.try_commit(&mut self.snapshot, &commit).await? {
            CommitOutcome::Committed { .. } => Ok(()),
            outcome => Err(format!("{outcome:?}: someone else writes to this ledger").into()),
        }
    }

    fn push(&self, rows: &mut UsageBuilder, traffic: &mut Traffic, truth: &mut Truth, day: i32, at: (&str, i64)) {
        let (batch_id, offset) = at;
        let (workload, started_at, mut entry) = traffic.draw(day);
        let buckets = entry.tokens.buckets();
        let rated = self.book.price(&Call::of(&entry, &buckets, started_at));
        truth.count(workload, started_at, &entry);
        if workload.is_reported {
            // What a gateway with a rebate of its own would say.
            entry.reported_cost = rated.list_cost.map(|cost| daybook_ledger::Usd::from_pico(cost.pico() * 95 / 100));
            entry.reported_currency = entry.reported_cost.map(|_| "USD");
        }
        rows.push(&Row {
            entry: &entry,
            id: entry.id(),
            started_at,
            buckets: &buckets,
            cost: Cost { list_cost: rated.list_cost, price_id: rated.price_id, price_status: rated.status.as_str() },
            content_sha256: None,
            origin: Origin {
                topic: "ai-usage",
                partition: 0,
                offset,
                batch_id,
                batch_index: offset,
                ingested_at: Instant::from_micros(started_at.micros() + 30_000_000),
            },
        });
    }
}
