//! What a worker counts. Names are constants; counters get `_total` and units their name behind it.
//!
//! Counters start at zero with the process: they tell how it works, not what was spent. That is in the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daybook_ledger::{Instant, NextOffset};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::partition::Partition;
use crate::writer::Counts;

/// Gauge by `topic` and `partition`: messages in Kafka that are not in the ledger yet.
pub const LAG: &str = "daybook_ingest_lag";
/// Gauge by `topic` and `partition`: the ledger's position, the next offset to read.
pub const POSITION: &str = "daybook_ingest_position";
/// Gauge: partitions this worker owns.
pub const PARTITIONS: &str = "daybook_ingest_partitions";
/// Counter: times the group gave partitions to this worker or took some away.
pub const REBALANCES: &str = "daybook_ingest_rebalances";
/// Gauge: 1 while fetching is paused because the ledger is slower than Kafka.
pub const PAUSED: &str = "daybook_ingest_paused";
/// Counter: bytes of message values read.
pub const READ: &str = "daybook_ingest_read";
/// Counter: messages committed, whatever became of them.
pub const MESSAGES: &str = "daybook_ingest_messages";
/// Counter: entries appended.
pub const ENTRIES: &str = "daybook_ingest_entries";
/// Counter: events of calls that the ledger has by another event.
pub const DUPLICATES: &str = "daybook_ingest_duplicates";
/// Counter: messages without a model call.
pub const EMPTY: &str = "daybook_ingest_empty";
/// Counter: entries appended without a price.
pub const UNPRICED: &str = "daybook_ingest_unpriced";
/// Counter by `code`: messages set aside.
pub const QUARANTINED: &str = "daybook_ingest_quarantined";
/// Counter: messages that Kafka removed before they were read.
pub const MISSED: &str = "daybook_ingest_missed_messages";
/// Counter: commits made.
pub const COMMITS: &str = "daybook_ingest_commits";
/// Counter: bytes of data files stored for them.
pub const STORED: &str = "daybook_ingest_stored";
/// Histogram: seconds from handing a batch to the writer to its commit.
pub const WRITE: &str = "daybook_ingest_write";
/// Counter: writes tried again because the store did not answer.
pub const RETRIES: &str = "daybook_ingest_retries";
/// Counter: commits tried again on the next version because another writer took it.
pub const LOST_RACES: &str = "daybook_ingest_lost_races";
/// Counter: batches given up because another worker owns a partition of theirs.
pub const FENCED: &str = "daybook_ingest_fenced_batches";
/// Counter: times Kafka's group did not take the offsets it was told.
pub const REFUSED_OFFSETS: &str = "daybook_ingest_refused_offsets";
/// Counter: times the worker joined the group anew, because it was fenced or nothing came of a partition that had more.
pub const JOINED_ANEW: &str = "daybook_ingest_joined_anew";
/// Gauge: when the last commit was made, seconds since 1970; 0 before the first.
pub const COMMITTED: &str = "daybook_ingest_last_commit_timestamp";
/// Gauge: age of the oldest message read and not committed; 0 if there is none.
pub const UNCOMMITTED: &str = "daybook_ingest_uncommitted_age";
/// Gauge: bytes of rows that wait for their commit to begin.
pub const BATCH: &str = "daybook_ingest_batch";
/// Gauge: memory of the process. The name is that of other exporters.
pub const RESIDENT: &str = "process_resident_memory";
/// Gauge: 1 while partitions are assigned, and brokers and store answer.
pub const READY: &str = "daybook_ingest_ready";

/// A worker whose loop has not turned for so long is stuck: the group has given its partitions away long before.
const STUCK_AFTER_MS: i64 = 600_000;
const BUCKETS_S: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Seconds = Gauge<f64, AtomicU64>;

/// The counters of one worker.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    lag: Family<Labels<2>, Gauge>,
    position: Family<Labels<2>, Gauge>,
    partitions: Gauge,
    rebalances: Counter,
    paused: Gauge,
    read: Counter,
    messages: Counter,
    entries: Counter,
    duplicates: Counter,
    empty: Counter,
    unpriced: Counter,
    quarantined: Family<Labels<1>, Counter>,
    missed: Counter,
    commits: Counter,
    stored: Counter,
    write: Histogram,
    retries: Counter,
    lost_races: Counter,
    fenced: Counter,
    refused_offsets: Counter,
    joined_anew: Counter,
    committed: Seconds,
    uncommitted: Seconds,
    batch: Gauge,
    resident: Gauge,
    ready: Gauge,
    standing: Mutex<Standing>,
    turned_at: AtomicI64,
    /// 0 if nothing waits.
    uncommitted_since: AtomicI64,
}

/// What is known of the world around the worker.
#[derive(Debug, Default)]
struct Standing {
    owned: BTreeMap<Partition, Reach>,
    store_fault: Option<String>,
    kafka_fault: Option<String>,
    stopping: bool,
}

/// How far a partition is read, and how far it reaches.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    position: Option<i64>,
    /// The first offset there is and the one after the last.
    log: Option<(i64, i64)>,
}

impl Reach {
    fn lag(self) -> Option<i64> {
        let (low, high) = self.log?;
        Some((high - self.position.map_or(low, |position| position.max(low))).max(0))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        Self {
            lag: plain(r, LAG, "Messages in Kafka that are not in the ledger yet"),
            position: plain(r, POSITION, "The ledger's position, the next offset to read"),
            partitions: plain(r, PARTITIONS, "Partitions this worker owns"),
            rebalances: plain(r, REBALANCES, "Changes of the assignment"),
            paused: plain(r, PAUSED, "1 while fetching is paused because the ledger is slower than Kafka"),
            read: with_unit(r, READ, "Message values read", Unit::Bytes, Counter::default()),
            messages: plain(r, MESSAGES, "Messages committed"),
            entries: plain(r, ENTRIES, "Entries appended"),
            duplicates: plain(r, DUPLICATES, "Events of calls that the ledger has by another event"),
            empty: plain(r, EMPTY, "Messages without a model call"),
            unpriced: plain(r, UNPRICED, "Entries appended without a price"),
            quarantined: plain(r, QUARANTINED, "Messages set aside, by code"),
            missed: plain(r, MISSED, "Messages that Kafka removed before they were read"),
            commits: plain(r, COMMITS, "Commits made"),
            stored: with_unit(r, STORED, "Data files stored for commits", Unit::Bytes, Counter::default()),
            write: with_unit(r, WRITE, "From a full batch to its commit", Unit::Seconds, Histogram::new(BUCKETS_S)),
            retries: plain(r, RETRIES, "Writes tried again because the store did not answer"),
            lost_races: plain(r, LOST_RACES, "Commits tried again because another writer took the version"),
            fenced: plain(r, FENCED, "Batches given up because another worker owns a partition of theirs"),
            refused_offsets: plain(r, REFUSED_OFFSETS, "Times Kafka's group did not take the offsets it was told"),
            joined_anew: plain(r, JOINED_ANEW, "Times the worker joined the group anew"),
            committed: with_unit(r, COMMITTED, "When the last commit was made", Unit::Seconds, Gauge::default()),
            uncommitted: with_unit(
                r,
                UNCOMMITTED,
                "Age of the oldest read, not committed message",
                Unit::Seconds,
                Gauge::default(),
            ),
            batch: with_unit(r, BATCH, "Rows that wait for their commit to begin", Unit::Bytes, Gauge::default()),
            resident: with_unit(r, RESIDENT, "Memory of the process", Unit::Bytes, Gauge::default()),
            ready: plain(r, READY, "1 while partitions are assigned, and brokers and store answer"),
            registry,
            standing: Mutex::default(),
            turned_at: AtomicI64::new(0),
            uncommitted_since: AtomicI64::new(0),
        }
    }
}

impl Metrics {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn assigned(&self, partitions: impl Iterator<Item = (Partition, Option<NextOffset>)>) {
        self.rebalances.inc();
        let reach = |position: Option<NextOffset>| Reach { position: position.map(|offset| offset.0), log: None };
        self.standing().owned.extend(partitions.map(|(partition, position)| (partition, reach(position))));
    }

    pub(crate) fn revoked(&self, partitions: &[Partition]) {
        self.rebalances.inc();
        let mut standing = self.standing();
        for partition in partitions {
            standing.owned.remove(partition);
            self.lag.remove(&labels(partition));
            self.position.remove(&labels(partition));
        }
    }

    pub(crate) fn moved(&self, positions: &[(Partition, NextOffset)]) {
        let mut standing = self.standing();
        for (partition, position) in positions {
            if let Some(reach) = standing.owned.get_mut(partition) {
                reach.position = Some(position.0);
            }
        }
    }

    pub(crate) fn owned(&self) -> Vec<Partition> {
        self.standing().owned.keys().cloned().collect()
    }

    pub(crate) fn reaches(&self, partition: &Partition, log: (i64, i64)) {
        if let Some(reach) = self.standing().owned.get_mut(partition) {
            reach.log = Some(log);
        }
    }

    pub(crate) fn kafka(&self, fault: Option<String>) {
        self.standing().kafka_fault = fault;
    }

    pub(crate) fn store(&self, fault: Option<String>) {
        self.standing().store_fault = fault;
    }

    pub(crate) fn stopping(&self) {
        self.standing().stopping = true;
    }

    /// The worker's loop has turned.
    pub(crate) fn turned(&self, now: Instant, uncommitted_since: Option<Instant>, batch_bytes: usize) {
        self.turned_at.store(now.micros(), Relaxed);
        self.uncommitted_since.store(uncommitted_since.map_or(0, Instant::micros), Relaxed);
        self.batch.set(batch_bytes.try_into().unwrap_or(i64::MAX));
    }

    pub(crate) fn paused(&self, paused: bool) {
        self.paused.set(paused.into());
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.read.inc_by(bytes as u64);
    }

    pub(crate) fn committed(&self, counts: &Counts, now: Instant) {
        self.commits.inc();
        self.messages.inc_by(counts.messages);
        self.entries.inc_by(counts.entries);
        self.duplicates.inc_by(counts.duplicates);
        self.empty.inc_by(counts.empty);
        self.unpriced.inc_by(counts.unpriced);
        self.committed.set(seconds_of(now.micros()));
    }

    pub(crate) fn quarantined(&self, by_code: BTreeMap<String, u64>) {
        for (code, messages) in by_code {
            self.quarantined.get_or_create(&[("code", code)]).inc_by(messages);
        }
    }

    pub(crate) fn missed(&self, messages: u64) {
        self.missed.inc_by(messages);
    }

    pub(crate) fn stored(&self, bytes: u64) {
        self.stored.inc_by(bytes);
    }

    pub(crate) fn wrote(&self, took: Duration) {
        self.write.observe(took.as_secs_f64());
    }

    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    pub(crate) fn lost_race(&self) {
        self.lost_races.inc();
    }

    pub(crate) fn fenced(&self) {
        self.fenced.inc();
    }

    pub(crate) fn refused_offsets(&self) {
        self.refused_offsets.inc();
    }

    pub(crate) fn joined_anew(&self) {
        self.joined_anew.inc();
    }

    /// Why the worker should be started again, if so.
    pub(crate) fn stuck(&self, now: Instant) -> Option<String> {
        let still_ms = now.millis_since(Instant::from_micros(self.turned_at.load(Relaxed)));
        let is_stuck = self.turned_at.load(Relaxed) > 0 && still_ms > STUCK_AFTER_MS;
        is_stuck.then(|| format!("the worker has not turned for {} s", still_ms / 1_000))
    }

    /// Why the worker does not do its work now, if so.
    pub(crate) fn unready(&self) -> Option<String> {
        let standing = self.standing();
        let idle = || standing.owned.is_empty().then(|| "no partition is assigned".to_owned());
        let stopping = standing.stopping.then(|| "stopping".to_owned());
        stopping.or_else(|| standing.store_fault.clone()).or_else(|| standing.kafka_fault.clone()).or_else(idle)
    }

    /// Everything in OpenMetrics' text form.
    pub(crate) fn text(&self, now: Instant) -> String {
        for (partition, reach) in &self.standing().owned {
            let labels = labels(partition);
            reach.position.map(|position| self.position.get_or_create(&labels).set(position));
            reach.lag().map(|lag| self.lag.get_or_create(&labels).set(lag));
        }
        self.partitions.set(self.standing().owned.len().try_into().unwrap_or(i64::MAX));
        self.ready.set(self.unready().is_none().into());
        let since = self.uncommitted_since.load(Relaxed);
        self.uncommitted.set(if since == 0 { 0.0 } else { seconds_of((now.micros() - since).max(0)) });
        self.resident.set(resident_bytes().unwrap_or(0));
        let mut text = String::new();
        // Writing to a string cannot fail.
        encode(&mut text, &self.registry).ok();
        text
    }
}

fn labels(partition: &Partition) -> Labels<2> {
    [("topic", partition.topic.to_string()), ("partition", partition.number.to_string())]
}

#[expect(clippy::cast_precision_loss, reason = "seconds for a monitor, to the microsecond until 2255")]
fn seconds_of(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Memory of this process that is in RAM; `None` where the system does not tell.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()? * 1024)
}

fn plain<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn with_unit<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, unit: Unit, metric: M) -> M {
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}
