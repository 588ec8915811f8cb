//! Workers, imports, maintenance and replays over one ledger under schedules chosen by a seed: deliveries, rebalances, a
//! store that fails in every way it can, processes that die or fall asleep between any two of their calls, clocks that
//! jump. Events come twice, in parts, late, or cannot be read; partitions have holes. Whatever the schedule, `check` holds.
//!
//! `SCHEDULES=n` runs so many, `FIRST=n` begins elsewhere, `SEED=n` runs one and prints its steps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::cast_possible_wrap,
    reason = "test code outside test functions"
)]

mod check;
mod sent;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use daybook_ledger::price::Book;
use daybook_ledger::{Ledger, Root};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::check::check;
use crate::world::{Base, World};

/// What a run of all tests has time for.
const SCHEDULES: u64 = 24;

/// With the feature `canary` a worker takes a fenced batch for written: a schedule has to find that.
#[test]
#[cfg_attr(feature = "canary", should_panic(expected = "seed="))]
fn every_call_is_in_the_ledger_once_whatever_the_schedule() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let base = block_on(base());
    if let Some(seed) = number("SEED") {
        return run(&base, seed, true);
    }
    let first = number("FIRST").unwrap_or(0);
    let (next, end) = (AtomicU64::new(first), first + number("SCHEDULES").unwrap_or(SCHEDULES));
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&base, seed, false))) {
                failed.store(true, Ordering::Relaxed);
                let text = panic.downcast_ref::<String>().cloned();
                panic!("seed={seed}: {}", text.unwrap_or_default());
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

fn run(base: &Base, seed: u64, trace: bool) {
    block_on(async {
        let mut world = World::new(base, seed, trace).await;
        world.run().await;
        check(&world.ledger, &world.sent).await;
    });
}

/// A runtime of one thread: the order of everything is the schedule's.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn base() -> Base {
    let memory = Arc::new(InMemory::new());
    let root = Root { store: Arc::clone(&memory) as Arc<dyn ObjectStore>, ..Root::memory() };
    Ledger::create_at(root).await.unwrap();
    Base { memory: memory.fork(), book: Arc::new(Book::default_sheet().unwrap()) }
}
