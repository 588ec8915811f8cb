//! Several workers over one ledger under schedules chosen by a seed: deliveries, rebalances, crashes between any two
//! effects, writers that wake up after their partitions were given away, duplicates across partitions, poison. Whatever
//! the schedule, every call is in the ledger once, with its body, and every poison message is in quarantine once. What an
//! event tells beyond an earlier one of its call is in the ledger too, once, whichever of them came first.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::cast_possible_wrap,
    reason = "test code outside test functions"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use daybook_ingest::core::{Core, Effect, Input, Message, Rules};
use daybook_ingest::writer::{Writer, Written};
use daybook_ingest::{Capture, FlushLimits, Partition, Positions, SealedBatch};
use daybook_ledger::price::Book;
use daybook_ledger::{Instant, Ledger, Root, Table};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const PARTITIONS: i32 = 3;
const MESSAGES: usize = 40;
const SCHEDULES: u64 = 25;

/// A partition's log as the broker keeps it.
type Log = Vec<Vec<u8>>;

struct Worker {
    core: Core,
    writer: Writer,
    /// A batch handed over and not written yet.
    pending: Option<Box<SealedBatch>>,
    /// Where the consumer reads next.
    cursors: BTreeMap<Partition, usize>,
    paused: bool,
}

struct World {
    rng: StdRng,
    ledger: Ledger,
    book: Arc<Book>,
    logs: BTreeMap<Partition, Log>,
    workers: Vec<Worker>,
    /// Batches of workers that lost their partitions or died, still on their way: they may be written at any time.
    zombies: Vec<(Writer, Box<SealedBatch>)>,
    now: i64,
    started: u64,
}

fn partition(number: i32) -> Partition {
    Partition { topic: "calls".into(), number }
}

fn event(id: usize, retry: bool) -> Vec<u8> {
    let usage = format!(r#""prompt_tokens":{id},"completion_tokens":1,"total_tokens":{},"#, id + 1);
    call(id, if retry { 2 } else { 1 }, &usage)
}

/// An event of the call that does not know its usage yet.
fn early_event(id: usize) -> Vec<u8> {
    call(id, 1, "")
}

fn call(id: usize, end: u8, usage: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"call-{id}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o",
        "startTime":1795170000.0,"endTime":179517000{end}.0,{usage}
        "response_cost":0.5,"messages":[{{"role":"user","content":"call {id}"}}],"metadata":{{}}}}"#
    )
    .into_bytes()
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut logs: BTreeMap<_, Log> = (0..PARTITIONS).map(|number| (partition(number), Log::new())).collect();
        for id in 0..MESSAGES {
            // Every call lands somewhere; some land twice, in any partition; some messages are poison.
            for copy in 0..=usize::from(rng.random_bool(0.3)) {
                let log = logs.get_mut(&partition(rng.random_range(0..PARTITIONS))).unwrap();
                log.push(event(id, copy > 0 && rng.random_bool(0.5)));
            }
            if rng.random_bool(0.3) {
                let log = logs.get_mut(&partition(rng.random_range(0..PARTITIONS))).unwrap();
                log.insert(rng.random_range(0..=log.len()), early_event(id));
            }
            if rng.random_bool(0.1) {
                logs.get_mut(&partition(rng.random_range(0..PARTITIONS))).unwrap().push(b"{poison".to_vec());
            }
        }
        let ledger = Ledger::create_at(Root::memory()).await.unwrap();
        let book = Arc::new(Book::default_sheet().unwrap());
        let mut world = Self {
            rng,
            ledger,
            book,
            logs,
            workers: Vec::new(),
            zombies: Vec::new(),
            now: 1_795_200_000_000_000,
            started: seed << 16,
        };
        world.start_worker().await;
        world.start_worker().await;
        world
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    async fn start_worker(&mut self) {
        self.started += 1;
        let rules = Rules {
            limits: FlushLimits { rows_max: 64, bytes_max: 1 << 30, interval_ms: 50 },
            capture: Capture::Full,
            formats: BTreeMap::new(),
            prices: Arc::clone(&self.book),
            worker: self.started,
        };
        self.workers.push(Worker {
            core: Core::new(rules),
            writer: Writer::open(self.ledger.clone(), "sim".into()).await.unwrap(),
            pending: None,
            cursors: BTreeMap::new(),
            paused: false,
        });
        self.rebalance().await;
    }

    /// Gives every partition to a worker at random; whoever loses one is told, whoever gains one starts at the ledger.
    async fn rebalance(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let now = self.now();
        let owners: BTreeMap<Partition, usize> =
            self.logs.keys().map(|p| (p.clone(), self.rng.random_range(0..self.workers.len()))).collect();
        for at in 0..self.workers.len() {
            let lost: Vec<_> = self.workers[at].cursors.keys().filter(|p| owners[*p] != at).cloned().collect();
            self.workers[at].cursors.retain(|p, _| owners[p] == at);
            self.feed(at, now, Input::Revoked(lost)).await;
        }
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            let gained: Vec<_> = owners
                .iter()
                .filter(|(p, owner)| **owner == at && !worker.cursors.contains_key(*p))
                .map(|(p, _)| p.clone())
                .collect();
            let positions = worker.writer.load_positions(&gained).await.unwrap();
            start(worker, &positions);
            self.feed(at, now, Input::Assigned(positions)).await;
        }
    }

    async fn feed(&mut self, at: usize, now: Instant, input: Input<'_>) {
        let mut effects = Vec::new();
        let worker = &mut self.workers[at];
        worker.core.on(now, input, &mut effects).unwrap();
        for effect in effects {
            match effect {
                Effect::Write(batch) => assert!(worker.pending.replace(batch).is_none(), "one batch at a time"),
                Effect::Restart(positions) => start(worker, &positions),
                Effect::Pause => worker.paused = true,
                Effect::Resume => worker.paused = false,
                Effect::CommitOffsets(_) | Effect::Stop => {}
            }
        }
    }

    async fn deliver(&mut self, at: usize) {
        let worker = &mut self.workers[at];
        let ready: Vec<_> = worker
            .cursors
            .iter()
            .filter(|(p, next)| **next < self.logs[*p].len())
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        if worker.paused || ready.is_empty() {
            return;
        }
        let (partition, offset) = ready[self.rng.random_range(0..ready.len())].clone();
        worker.cursors.insert(partition.clone(), offset + 1);
        let value = self.logs[&partition][offset].clone();
        let message = Message {
            topic: &partition.topic,
            partition: partition.number,
            offset: offset as i64,
            timestamp: Some(self.now()),
            key: None,
            value: Some(&value),
            headers: &[],
        };
        self.feed(at, self.now(), Input::Message(message)).await;
    }

    async fn write(&mut self, at: usize) {
        if let Some(batch) = self.workers[at].pending.take() {
            let written = self.workers[at].writer.write(&batch).await.unwrap();
            self.feed(at, self.now(), Input::Written(written)).await;
        }
    }

    async fn step(&mut self) {
        self.now += 20_000;
        let at = self.rng.random_range(0..self.workers.len());
        match self.rng.random_range(0..100) {
            0..60 => self.deliver(at).await,
            60..75 => self.feed(at, self.now(), Input::Tick).await,
            75..88 => self.write(at).await,
            88..92 => self.rebalance().await,
            92..95 => {
                // SIGKILL. What was on its way may still arrive at the store, later.
                let dead = self.workers.remove(at);
                self.zombies.extend(dead.pending.map(|batch| (dead.writer, batch)));
                self.start_worker().await;
            }
            _ => {
                if let Some((mut writer, batch)) = self.zombies.pop() {
                    let _: Written = writer.write(&batch).await.unwrap();
                }
            }
        }
    }

    /// Lets every worker finish, and every zombie wake up.
    async fn settle(&mut self) {
        for (mut writer, batch) in std::mem::take(&mut self.zombies) {
            let _: Written = writer.write(&batch).await.unwrap();
        }
        self.rebalance().await;
        for round in 0.. {
            let mut busy = false;
            for at in 0..self.workers.len() {
                self.deliver(at).await;
                self.feed(at, self.now(), Input::Flush).await;
                self.write(at).await;
                let worker = &self.workers[at];
                busy |= !worker.core.is_idle() || worker.cursors.iter().any(|(p, next)| *next < self.logs[p].len());
            }
            if !busy {
                break;
            }
            assert!(round < 500, "the workers never finish");
        }
    }
}

fn start(worker: &mut Worker, positions: &[(Partition, Positions)]) {
    for (partition, positions) in positions {
        let next = positions.usage.map_or(0, |position| usize::try_from(position.0).unwrap());
        worker.cursors.insert(partition.clone(), next);
    }
}

async fn rows(table: &Table) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in table.load(None).await.unwrap().files() {
        batches.extend(table.load_batches(&file).await.unwrap());
    }
    batches
}

fn binary(batches: &[RecordBatch], name: &str) -> Vec<Vec<u8>> {
    let column = |batch: &RecordBatch| {
        let column =
            arrow::compute::cast(batch.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Binary).unwrap();
        column.as_binary::<i32>().iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

/// The input tokens of the rows that know them.
fn counted(batches: &[RecordBatch]) -> BTreeMap<Vec<u8>, i64> {
    let tokens = batches
        .iter()
        .flat_map(|batch| batch.column_by_name("input_tokens").unwrap().as_primitive::<Int64Type>().iter());
    binary(batches, "entry_id").into_iter().zip(tokens).filter_map(|(id, tokens)| Some((id, tokens?))).collect()
}

/// With the feature `canary` a worker takes a fenced batch for written: a schedule has to find that.
#[tokio::test]
#[cfg_attr(feature = "canary", should_panic(expected = "seed="))]
async fn every_call_is_in_the_ledger_once_whatever_the_schedule() {
    let count = std::env::var("SCHEDULES").map_or(SCHEDULES, |count| count.parse().unwrap());
    let only: Option<u64> = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in only.map_or(0..count, |seed| seed..seed + 1) {
        let mut world = World::new(seed).await;
        for _ in 0..400 {
            world.step().await;
        }
        world.settle().await;
        check(&world, seed).await;
    }
}

async fn check(world: &World, seed: u64) {
    let usage = rows(world.ledger.usage()).await;
    let ids: Vec<String> = binary(&usage, "event_id").into_iter().map(|id| String::from_utf8(id).unwrap()).collect();
    let expected: BTreeSet<String> = (0..MESSAGES).map(|id| format!("call-{id}")).collect();
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), expected, "seed={seed}: a call is lost");
    assert_eq!(ids.len(), expected.len(), "seed={seed}: a call is doubled");
    let corrections = rows(world.ledger.corrections()).await;
    let known = counted(&usage);
    let corrected = counted(&corrections);
    let corrections: usize = corrections.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(corrected.len(), corrections, "seed={seed}: a correction is doubled or tells nothing");
    assert!(corrected.keys().all(|id| !known.contains_key(id)), "seed={seed}: a complete entry was corrected");
    let tokens: i64 = known.values().chain(corrected.values()).sum();
    assert_eq!(tokens, (0..MESSAGES as i64).sum::<i64>(), "seed={seed}: tokens");

    let content = binary(&rows(world.ledger.content()).await, "entry_id");
    let entries: BTreeSet<Vec<u8>> = binary(&usage, "entry_id").into_iter().collect();
    assert_eq!(content.iter().cloned().collect::<BTreeSet<_>>(), entries, "seed={seed}: a body is lost");
    assert_eq!(content.len(), entries.len(), "seed={seed}: a body is doubled");

    let mut poison: Vec<(i32, i64)> = Vec::new();
    for batch in rows(world.ledger.quarantine()).await {
        let partitions = batch.column_by_name("kafka_partition").unwrap().as_primitive::<Int32Type>().clone();
        let offsets = batch.column_by_name("kafka_offset").unwrap().as_primitive::<Int64Type>().clone();
        poison.extend((0..batch.num_rows()).map(|row| (partitions.value(row), offsets.value(row))));
    }
    poison.sort_unstable();
    let mut sent: Vec<(i32, i64)> = Vec::new();
    for (partition, log) in &world.logs {
        let bad = log.iter().enumerate().filter(|(_, value)| value.starts_with(b"{poison"));
        sent.extend(bad.map(|(offset, _)| (partition.number, offset as i64)));
    }
    assert_eq!(poison, sent, "seed={seed}: quarantine");
}
