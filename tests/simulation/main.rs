//! Workers, imports, maintenance and replays over one ledger under schedules chosen by a seed: deliveries, rebalances, a
//! store that fails in every way it can, processes that die or fall asleep between any two of their calls, clocks that
//! jump. Events come twice, in parts, late, or cannot be read; partitions have holes. Whatever the schedule, `check` holds.
//!
//! `SCHEDULES=n` runs so many, `FIRST=n` begins elsewhere, `SEED=n` runs one and prints its steps. With `--nocapture` the
//! end tells how long it took and how often what happened.
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
mod scale;
mod seen;
mod sent;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use daybook_ledger::price::Book;
use daybook_ledger::{Ledger, Root};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::Runtime;

use crate::check::{check, check_group, check_snapshot};
use crate::seen::Seen;
use crate::world::{Base, World};

/// As in the program: a quarter of a schedule is allocations.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a run of all tests has time for.
const SCHEDULES: u64 = 120;
/// A schedule waits now and then, as maintenance lets writers go first; another one goes on meanwhile.
const THREADS_PER_CORE: usize = 2;

/// With the feature `canary` a worker takes a fenced batch for written: a schedule has to find that.
#[test]
#[cfg_attr(feature = "canary", should_panic(expected = "seed="))]
fn every_call_is_in_the_ledger_once_whatever_the_schedule() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let base = runtime().block_on(base());
    if let Some(seed) = number("SEED") {
        run(&runtime(), &base, seed, true);
        return;
    }
    let (first, schedules) = (number("FIRST").unwrap_or(0), number("SCHEDULES").unwrap_or(SCHEDULES));
    let began = Instant::now();
    let seen = run_all(&base, first, schedules);
    let seconds = began.elapsed().as_secs_f64();
    let per_minute = schedules as f64 * 60.0 / seconds;
    eprintln!("{schedules} schedules from seed {first} in {seconds:.0} s, {per_minute:.0} a minute\n{seen}");
    let missing = seen.missing();
    assert!(schedules < seen::ENOUGH || missing.is_empty(), "the schedules have become too small for {missing:?}");
}

/// Runs `schedules` on all cores; panics with the seed of the first that fails.
fn run_all(base: &Base, first: u64, schedules: u64) -> Seen {
    let (next, failed, seen) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Seen::default()));
    let work = || {
        let runtime = runtime();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + schedules {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(&runtime, base, seed, false))) {
                Ok(found) => seen.lock().unwrap().add(found),
                Err(panic) => {
                    failed.store(true, Ordering::Relaxed);
                    let text = panic.downcast_ref::<String>().cloned();
                    panic!("seed={seed}: {}", text.unwrap_or_default());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from) * THREADS_PER_CORE;
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    seen.into_inner().unwrap()
}

fn run(runtime: &Runtime, base: &Base, seed: u64, trace: bool) -> Seen {
    runtime.block_on(async {
        let mut world = World::new(base, seed, trace).await;
        world.run().await;
        check(&world.ledger, &world.sent, &mut world.seen).await;
        check_group(&world.offsets, &world.sent);
        if world.is_large() {
            check_snapshot(&world.ledger, &world.sent).await;
        }
        world.seen
    })
}

/// The schedule runs on the thread that asks, so the order of everything is its. The other thread serves the Delta kernel,
/// which would start one for each of its calls if there were none.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn base() -> Base {
    let memory = Arc::new(InMemory::new());
    let root = Root { store: Arc::clone(&memory) as Arc<dyn ObjectStore>, ..Root::memory() };
    let ledger = Ledger::create_at(root).await.unwrap();
    for table in ledger.tables() {
        table.load(None).await.unwrap();
    }
    Base { memory: memory.fork(), ledger, book: Arc::new(Book::default_sheet().unwrap()) }
}
