//! Workers, importers, maintenance and replays over one ledger, and the schedule that a seed chooses for them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use daybook_ingest::core::{Core, Effect, FileRecord, Input, Message, Opening, Rules};
use daybook_ingest::decode::Format;
use daybook_ingest::driver::Control;
use daybook_ingest::quarantine::{ReplaySettings, replay};
use daybook_ingest::writer::{Backoff, LookUp, Writer, Written};
use daybook_ingest::{Capture, ClosedBatch, Error, FlushLimits, Partition, Positions};
use daybook_ledger::maintenance::{Keep, Run, Settings, maintain};
use daybook_ledger::price::Book;
use daybook_ledger::testing::FaultyStore;
use daybook_ledger::{Instant, Ledger, SystemClock};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::scale::{Scale, Step};
use crate::seen::Seen;
use crate::sent::{FILE, MISREAD, Sent, file};

const NOW: i64 = 1_795_200_000_000_000;
const HOUR_US: i64 = 3_600_000_000;
const WORKERS: usize = 2;
const CLUSTER: &str = "sim";

/// What all schedules share: an empty ledger and the prices.
pub(crate) struct Base {
    pub(crate) memory: InMemory,
    /// It is loaded once: a tenth of a schedule would be that.
    pub(crate) ledger: Ledger,
    pub(crate) book: Arc<Book>,
}

pub(crate) struct World {
    rng: StdRng,
    scale: &'static Scale,
    pub(crate) store: FaultyStore,
    pub(crate) ledger: Ledger,
    book: Arc<Book>,
    pub(crate) sent: Sent,
    pub(crate) seen: Seen,
    /// What Kafka's group was told last.
    pub(crate) offsets: BTreeMap<Partition, i64>,
    /// What workers ask for positions, and imports: whoever asks, they answer what the ledger says then.
    positions: LookUp,
    file_positions: Option<Writer>,
    workers: Vec<Worker>,
    jobs: Vec<Job>,
    /// Of a thousand calls so many fail.
    faults: u64,
    now: i64,
    /// Names processes.
    started: u64,
    trace: bool,
}

/// A worker of the group, or an import.
struct Worker {
    process: u64,
    core: Core,
    /// Absent while it writes.
    writer: Option<Writer>,
    /// The place in the log that is read next.
    cursors: BTreeMap<Partition, usize>,
    is_import: bool,
    paused: bool,
}

/// Something that makes calls on the store, a few at a time.
struct Job {
    /// The process it belongs to, which may have died.
    process: u64,
    work: Pin<Box<dyn Future<Output = Outcome>>>,
    /// Replays wait for a store in real time, so theirs does not fail.
    may_fail: bool,
}

enum Outcome {
    Wrote(Box<Writer>, Result<Written, Error>),
    Maintained(Result<(), daybook_ledger::Error>),
    Replayed(Result<(), Error>),
}

impl World {
    pub(crate) async fn new(base: &Base, seed: u64, trace: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let scale = Scale::of(seed);
        let sent = Sent::by(&mut rng, scale);
        let store = FaultyStore::over(Arc::new(base.memory.fork()) as Arc<dyn ObjectStore>);
        let ledger = base.ledger.on_copy(store.root()).unwrap();
        let faults = [0, 10, 40][rng.random_range(0..3)];
        let book = Arc::clone(&base.book);
        let positions = LookUp::new(ledger.clone(), CLUSTER.into(), Arc::default());
        let mut seen = Seen::default();
        sent.note(&mut seen);
        Self {
            rng,
            scale,
            store,
            ledger,
            book,
            sent,
            seen,
            offsets: BTreeMap::new(),
            positions,
            file_positions: None,
            workers: Vec::new(),
            jobs: Vec::new(),
            faults,
            now: NOW,
            started: seed << 16,
            trace,
        }
    }

    /// Runs the schedule, then lets everything finish on a store that is well.
    pub(crate) async fn run(&mut self) {
        for _ in 0..WORKERS {
            self.start_worker(false).await;
        }
        for _ in 0..self.rng.random_range(self.scale.steps.clone()) {
            self.step().await;
        }
        self.finish_all().await;
        for struck in self.store.struck() {
            let fault = struck.rsplit(": ").next().unwrap_or_default();
            self.seen.note(&format!("fault: {}", fault.split('(').next().unwrap_or_default()));
        }
    }

    pub(crate) fn is_large(&self) -> bool {
        self.scale.is_large
    }

    async fn step(&mut self) {
        self.now += 20_000;
        let at = self.rng.random_range(0..self.workers.len());
        match self.scale.step(&mut self.rng) {
            Step::Read => {
                let messages = self.rng.random_range(1..=4);
                self.read(at, messages).await;
            }
            Step::Tick => self.feed(at, Input::Tick),
            Step::Flush => self.feed(at, Input::Flush),
            Step::Advance => self.advance().await,
            Step::Rebalance => self.rebalance().await,
            Step::Kill => self.kill(at).await,
            Step::Maintain => self.start_maintenance(),
            Step::Replay => self.start_replay(),
            Step::Import if self.sent.file.is_empty() => {}
            Step::Import => self.start_worker(true).await,
            Step::Jump => self.jump(),
        }
    }

    fn jump(&mut self) {
        let by = self.rng.random_range(-HOUR_US..HOUR_US);
        self.seen.note(if by < 0 { "step: the clock goes back" } else { "step: the clock goes ahead" });
        self.now += by;
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{}", what());
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn next_process(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    async fn start_worker(&mut self, is_import: bool) {
        let process = self.next_process();
        self.say(|| format!("process {process:x} starts, an import: {is_import}"));
        let rules = Rules {
            limits: FlushLimits { rows_max: 64, bytes_max: 1 << 30, interval_ms: 50 },
            capture: Capture::Full,
            formats: BTreeMap::from([(MISREAD.into(), Format::OtelGenAi)]),
            prices: Arc::clone(&self.book),
            worker: process,
        };
        let worker = Worker {
            process,
            core: Core::new(rules),
            writer: Some(open_writer(&self.ledger, is_import).await),
            cursors: BTreeMap::new(),
            is_import,
            paused: false,
        };
        self.workers.push(worker);
        match is_import {
            true => self.open_file(self.workers.len() - 1).await,
            false => self.rebalance().await,
        }
    }

    /// An import begins where the ledger stands, or at the start to see what it can make of it now.
    async fn open_file(&mut self, at: usize) {
        let again = self.rng.random_bool(0.2);
        self.seen.note(if again { "step: an import reads again from the start" } else { "step: an import starts" });
        if self.file_positions.is_none() {
            self.file_positions = Some(open_writer(&self.ledger, true).await);
        }
        let lookup = self.file_positions.as_mut().expect("it was opened just now");
        let positions = lookup.load_positions(&[file()]).await.unwrap().remove(0).1;
        self.open(at, positions, again);
    }

    fn open(&mut self, at: usize, positions: Positions, again: bool) {
        let from = positions.usage.filter(|_| !again).map_or(0, |position| position.0);
        self.workers[at].cursors.insert(file(), usize::try_from(from).unwrap());
        let opening =
            Opening { partition: file(), positions, from, name: FILE.into(), format: None, read_at: self.now() };
        self.feed(at, Input::Opened(opening));
    }

    /// Gives every partition to a worker at random; whoever loses one is told, whoever gains one starts at the ledger.
    async fn rebalance(&mut self) {
        let group: Vec<usize> = (0..self.workers.len()).filter(|at| !self.workers[*at].is_import).collect();
        if group.is_empty() {
            return;
        }
        let partitions: Vec<Partition> = self.sent.logs.keys().cloned().collect();
        let owners: BTreeMap<Partition, usize> =
            partitions.into_iter().map(|p| (p, group[self.rng.random_range(0..group.len())])).collect();
        self.say(|| format!("partitions go to {owners:?}"));
        self.seen.note("step: a rebalance");
        for &at in &group {
            let worker = &mut self.workers[at];
            let lost: Vec<_> = worker.cursors.keys().filter(|p| owners[*p] != at).cloned().collect();
            worker.cursors.retain(|p, _| owners[p] == at);
            self.feed(at, Input::Revoked(lost));
        }
        for &at in &group {
            let worker = &mut self.workers[at];
            let gained = owners.iter().filter(|(p, owner)| **owner == at && !worker.cursors.contains_key(*p));
            let gained: Vec<_> = gained.map(|(p, _)| p.clone()).collect();
            if gained.is_empty() {
                continue;
            }
            let positions = self.positions.load(&gained).await.unwrap();
            worker.start_at(&positions, &self.sent);
            self.feed(at, Input::Assigned(positions));
        }
    }

    fn feed(&mut self, at: usize, input: Input<'_>) {
        let now = self.now();
        let mut effects = Vec::new();
        self.workers[at].core.on(now, input, &mut effects).unwrap();
        for effect in effects {
            let worker = &mut self.workers[at];
            match effect {
                Effect::Write(batch) => self.start_write(at, batch),
                Effect::Restart(positions) if worker.is_import => {
                    positions.into_iter().for_each(|(_, positions)| self.open(at, positions, false));
                }
                Effect::Restart(positions) => worker.start_at(&positions, &self.sent),
                Effect::Pause => worker.paused = true,
                Effect::Resume => worker.paused = false,
                Effect::CommitOffsets(_) if worker.is_import => {}
                Effect::CommitOffsets(offsets) => {
                    let owned = offsets.iter().all(|(partition, _)| worker.cursors.contains_key(partition));
                    assert!(owned, "the group is told of another worker's partitions: {offsets:?}");
                    self.offsets.extend(offsets.into_iter().map(|(partition, offset)| (partition, offset.0)));
                }
                Effect::Stop => {}
            }
        }
    }

    fn start_write(&mut self, at: usize, batch: Box<ClosedBatch>) {
        let worker = &mut self.workers[at];
        let mut writer = worker.writer.take().expect("one batch at a time");
        let work = Box::pin(async move {
            let written = writer.write(&batch).await;
            Outcome::Wrote(Box::new(writer), written)
        });
        self.jobs.push(Job { process: worker.process, work, may_fail: true });
    }

    fn start_maintenance(&mut self) {
        self.seen.note("step: maintenance starts");
        let (process, ledger) = (self.next_process(), self.ledger.clone());
        let keep = Keep { unnamed: Duration::ZERO, superseded: Duration::ZERO };
        let settings = Settings { keep, ..Settings::default() };
        let work = Box::pin(async move {
            let id = format!("{process:x}");
            let run = Run::new(&id, &SystemClock, false);
            let tables = ["usage", "corrections", "content", "content_partial", "quarantine"];
            Outcome::Maintained(maintain(&ledger, &tables, &settings, &run).await.map(drop))
        });
        self.jobs.push(Job { process, work, may_fail: true });
    }

    fn start_replay(&mut self) {
        self.seen.note("step: a replay starts");
        let (process, ledger, book) = (self.next_process(), self.ledger.clone(), Arc::clone(&self.book));
        let settings = ReplaySettings::default();
        let work = Box::pin(async move {
            let replayed = replay(settings, &ledger, book, Arc::new(SystemClock), Control::default()).await;
            Outcome::Replayed(replayed.map(drop))
        });
        self.jobs.push(Job { process, work, may_fail: false });
    }

    /// Delivers so many messages.
    async fn read(&mut self, at: usize, messages: usize) {
        for _ in 0..messages {
            let worker = &self.workers[at];
            let ready = worker.cursors.iter().filter(|(p, next)| **next < self.sent.length(p));
            let ready: Vec<_> = ready.map(|(p, next)| (p.clone(), *next)).collect();
            if worker.paused || ready.is_empty() {
                return;
            }
            let (partition, next) = ready[self.rng.random_range(0..ready.len())].clone();
            self.workers[at].cursors.insert(partition.clone(), next + 1);
            self.deliver(at, &partition, next);
        }
    }

    fn deliver(&mut self, at: usize, partition: &Partition, place: usize) {
        if self.workers[at].is_import {
            let value = self.sent.file[place].clone();
            let offset = i64::try_from(place).unwrap();
            let (digest, headers) = (1_000 + offset, &[]);
            let record =
                FileRecord { partition, offset, digest, value: &value, headers, timestamp: None, refused: None };
            return self.feed(at, Input::Record(record));
        }
        let (offset, value) = self.sent.logs[partition][place].clone();
        let (topic, timestamp) = (&*partition.topic, Some(Instant::from_micros(NOW)));
        let (partition, value) = (partition.number, value.as_deref());
        self.feed(at, Input::Message(Message { topic, partition, offset, timestamp, key: None, value, headers: &[] }));
    }

    /// Lets one job make some calls.
    async fn advance(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.jobs.len());
        let calls = if self.rng.random_bool(0.2) { 1_000 } else { self.rng.random_range(1..12) };
        self.advance_job(at, calls).await;
    }

    async fn advance_job(&mut self, at: usize, calls: u64) {
        let job = &mut self.jobs[at];
        let faults = if job.may_fail { self.faults } else { 0 };
        self.store.fail_by_seed(self.rng.random(), faults);
        let outcome = self.store.advance(&mut job.work, calls).await;
        let process = job.process;
        self.store.fail_by_seed(0, 0);
        self.say(|| format!("process {process:x} made up to {calls} calls, done: {}", outcome.is_some()));
        let Some(outcome) = outcome else { return };
        self.jobs.remove(at);
        match outcome {
            Outcome::Wrote(writer, written) => self.wrote(process, *writer, written).await,
            Outcome::Maintained(Ok(())) | Outcome::Replayed(Ok(())) => {}
            Outcome::Maintained(Err(error)) => {
                assert!(is_expected(&error), "maintenance: {error:?}");
                self.seen.note("end: maintenance gave up");
            }
            Outcome::Replayed(Err(error)) => {
                assert!(matches!(&error, Error::Ledger(source) if is_expected(source)), "replay: {error:?}");
            }
        }
    }

    async fn wrote(&mut self, process: u64, writer: Writer, written: Result<Written, Error>) {
        self.say(|| format!("process {process:x} wrote: {written:?}"));
        let at = self.workers.iter().position(|worker| worker.process == process);
        self.seen.note(match (&written, at) {
            (Ok(Written::Committed(_)), Some(_)) => "end: a batch was committed",
            (Ok(Written::Committed(_)), None) => "end: a batch was committed after its process was gone",
            (Ok(Written::Fenced(_)), _) => "end: a batch was fenced",
            (Err(_), _) => "end: a worker gave up",
        });
        // Nobody waits for the answer if the process died meanwhile.
        let Some(at) = at else { return };
        match written {
            Ok(written) => {
                self.workers[at].writer = Some(writer);
                self.feed(at, Input::Written(written));
            }
            Err(Error::GaveUp { source, .. }) => {
                assert!(matches!(&*source, Error::Ledger(source) if is_expected(source)), "write: {source:?}");
                self.restart(at).await;
            }
            Err(error) => panic!("write: {error:?}"),
        }
    }

    /// SIGKILL. What was on its way goes no further, or arrives at any later time.
    async fn kill(&mut self, at: usize) {
        let process = self.workers[at].process;
        let stays = self.rng.random_bool(0.4);
        self.say(|| format!("process {process:x} is killed; its calls go on: {stays}"));
        let jobs = self.jobs.len();
        self.jobs.retain(|job| stays || job.process != process);
        self.seen.note("step: a process is killed");
        self.seen.note_times("step: a job ends with its process", jobs - self.jobs.len());
        // A job of maintenance or a replay dies as well, now and then.
        if !self.jobs.is_empty() && self.rng.random_bool(0.3) {
            let dead = self.rng.random_range(0..self.jobs.len());
            if !self.workers.iter().any(|worker| worker.process == self.jobs[dead].process) {
                self.jobs.remove(dead);
            }
        }
        self.restart(at).await;
    }

    async fn restart(&mut self, at: usize) {
        let dead = self.workers.remove(at);
        self.start_worker(dead.is_import).await;
    }

    /// Lets every worker finish, whoever is still on the way.
    async fn finish_all(&mut self) {
        self.say(|| "the store is well, everything finishes".into());
        self.faults = 0;
        self.rebalance().await;
        if !self.sent.file.is_empty() {
            self.start_worker(true).await;
        }
        for round in 0.. {
            let mut busy = !self.jobs.is_empty();
            for at in 0..self.workers.len() {
                self.read(at, usize::MAX).await;
                self.feed(at, Input::Flush);
                let worker = &self.workers[at];
                busy |= !worker.core.is_idle() || worker.cursors.iter().any(|(p, next)| *next < self.sent.length(p));
            }
            self.advance().await;
            if !busy {
                break;
            }
            assert!(round < 10_000, "the workers never finish");
        }
        let maintenance = self.rng.random_bool(0.5);
        maintenance.then(|| self.start_maintenance());
        self.start_replay();
        while !self.jobs.is_empty() {
            self.advance_job(0, u64::MAX).await;
        }
    }
}

impl Worker {
    fn start_at(&mut self, positions: &[(Partition, Positions)], sent: &Sent) {
        for (partition, positions) in positions {
            let from = positions.usage.map_or(0, |position| position.0);
            let place = sent.logs[partition].partition_point(|(offset, _)| *offset < from);
            self.cursors.insert(partition.clone(), place);
        }
    }
}

impl Sent {
    fn length(&self, partition: &Partition) -> usize {
        self.logs.get(partition).map_or(self.file.len(), Vec::len)
    }
}

async fn open_writer(ledger: &Ledger, is_import: bool) -> Writer {
    let ledger = ledger.clone();
    let opened = match is_import {
        true => Writer::open_for_files(ledger).await,
        false => Writer::open(ledger, CLUSTER.into()).await,
    };
    opened.unwrap().with_backoff(Backoff { attempts_max: 3, pause_ms: 0, pause_ms_max: 0 })
}

/// What a store that fails, or maintenance that was faster, may end a job with.
fn is_expected(error: &daybook_ledger::Error) -> bool {
    use daybook_ledger::Error::{FileGone, RaceLost, StoreUnavailable};
    matches!(error, StoreUnavailable { .. } | FileGone { .. } | RaceLost { .. })
}
