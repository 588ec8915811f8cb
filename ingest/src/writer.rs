//! Writes batches to the ledger: each message once, whatever fails and whoever else writes.
//!
//! Order of effects, and what a crash between two of them leaves:
//! 1. `content` files, then their commit: bodies nobody refers to yet; a replay finds their ids and skips them.
//! 2. `quarantine` files, then their commit with positions: a replay skips offsets below them.
//! 3. `corrections` files, then their commit: of calls that are in the ledger, what this batch tells beyond it. True at
//!    once, whatever becomes of the batch; a replay finds the entry complete and skips it.
//! 4. `usage` files: unreferenced, collected later.
//! 5. `usage` commit with positions: the batch counts. Before it, the batch is read again from Kafka; after it, never.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use daybook_ledger::{Commit, CommitOutcome, Ledger, NextOffset, PositionChange, Snapshot, StoredFile, Table, file};
use futures::TryStreamExt as _;
use rand::Rng as _;

use crate::Error;
use crate::batch::{ClosedBatch, QuarantineMeta, Range};
use crate::core::MISSED;
use crate::index::{Held, Index};
use crate::metrics::Metrics;
use crate::partition::{Mark, Partition, Positions};
use crate::quarantine::Columns;

/// How often positions are asked for: a rebalance waits.
const LOOK_UPS_MAX: u32 = 3;

/// How often and how long a store that does not answer is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts in all, 1 and more.
    pub attempts_max: u32,
    /// The first pause, doubled after each attempt.
    pub pause_ms: u64,
    /// No pause is longer.
    pub pause_ms_max: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts_max: 8, pause_ms: 500, pause_ms_max: 15_000 }
    }
}

impl Backoff {
    /// The pause after `attempt`: longer each time, and not the same for all workers.
    fn pause(self, attempt: u32) -> Duration {
        let longest = self.pause_ms.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.pause_ms_max);
        Duration::from_millis(rand::rng().random_range(longest / 2..=longest))
    }
}

/// The place of a Kafka cluster's name in the positions of files.
pub const FILES: &str = "files";
const DIGEST: &str = "digest";
const READ_AT: &str = "read_at";
/// Bytes of ids kept in memory; what does not fit is read again from the ledger.
const INDEX_BYTES_MAX: usize = 256 << 20;

/// What a batch brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages read.
    pub messages: u64,
    /// Entries appended.
    pub entries: u64,
    /// Events of calls that are in the ledger by another event.
    pub duplicates: u64,
    /// Messages set aside.
    pub quarantined: u64,
    /// Messages without a model call.
    pub empty: u64,
    /// Entries appended without a price.
    pub unpriced: u64,
    /// The version of `usage` that holds them.
    pub version: u64,
}

/// How a write ended.
#[derive(Debug)]
pub enum Written {
    /// The batch is in the ledger.
    Committed(Counts),
    /// Another worker owns some of the partitions: nothing counts, read from these positions.
    Fenced(Vec<(Partition, Positions)>),
}

/// The ledger as one worker sees it.
#[derive(Debug)]
pub struct Writer {
    ledger: Ledger,
    cluster: String,
    usage: Snapshot,
    corrections: Snapshot,
    content: Snapshot,
    quarantine: Snapshot,
    index: Index,
    metrics: Arc<Metrics>,
    backoff: Backoff,
}

impl Writer {
    /// Loads the tables.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn open(ledger: Ledger, cluster: String) -> Result<Self, Error> {
        // A ledger of an earlier version may not have it yet.
        ledger.corrections().create().await?;
        Ok(Self {
            usage: ledger.usage().load(None).await?,
            corrections: ledger.corrections().load(None).await?,
            content: ledger.content().load(None).await?,
            quarantine: ledger.quarantine().load(None).await?,
            index: Index::new(INDEX_BYTES_MAX),
            metrics: Arc::default(),
            backoff: Backoff::default(),
            cluster,
            ledger,
        })
    }

    /// Counts what it does in `metrics`.
    #[must_use]
    pub fn observed_by(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Asks a store that does not answer again as `backoff` says.
    #[must_use]
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Loads the tables with the positions of every file that was ever imported: there may be many, and asking the log
    /// for each would read it each time.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn open_for_files(ledger: Ledger) -> Result<Self, Error> {
        let mut writer = Self::open(ledger, FILES.into()).await?;
        writer.ledger.usage().load_all_positions(&mut writer.usage).await?;
        writer.ledger.quarantine().load_all_positions(&mut writer.quarantine).await?;
        Ok(writer)
    }

    /// The files known, with what the tables say of them. Of a writer that was opened for files.
    pub fn files(&self) -> Vec<(Partition, Positions)> {
        let known = self.usage.positions().filter_map(|(app_id, _)| Partition::of_app_id(app_id, FILES));
        known.map(|partition| (partition.clone(), self.file_positions(&partition))).collect()
    }

    fn file_positions(&self, partition: &Partition) -> Positions {
        let app_id = partition.app_id(FILES);
        let number = |name: &str| self.usage.position(&format!("{app_id}/{name}")).map(|number| number.0);
        let mark = number(DIGEST).zip(number(READ_AT)).map(|(digest, read_at)| Mark { digest, read_at });
        Positions { usage: self.usage.position(&app_id), quarantine: self.quarantine.position(&app_id), mark }
    }

    /// Where the tables stand in `partitions`, newest state. A store that does not answer is asked again a few times: a
    /// rebalance waits.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn load_positions(&mut self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        for attempt in 1.. {
            match self.try_load_positions(partitions).await {
                Err(error) if attempt < LOOK_UPS_MAX && error.is_transient() => {
                    self.back_off(attempt, "positions", &error).await;
                }
                done => return done,
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Records that reading begins at `starts` in partitions that the ledger does not know; where it stands in them then,
    /// which is elsewhere if another worker was faster.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn begin_at(&mut self, starts: &[(Partition, NextOffset)]) -> Result<Vec<(Partition, Positions)>, Error> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let partitions: Vec<_> = starts.iter().map(|(partition, _)| partition.clone()).collect();
        // Workers number their batches from 1.
        let batch_id = format!("{:016x}-{:08x}", rand::random::<u64>(), 0);
        let mut attempt = 0;
        loop {
            let known = self.load_positions(&partitions).await?;
            let unknown = known.iter().zip(starts).filter(|((_, at), _)| at.usage.is_none());
            let positions: Vec<_> = unknown
                .map(|(_, (partition, to))| PositionChange {
                    app_id: partition.app_id(&self.cluster),
                    from: None,
                    to: *to,
                })
                .collect();
            if positions.is_empty() {
                return Ok(known);
            }
            let commit = Commit { batch_id: batch_id.clone(), files: Vec::new(), positions, counts: Vec::new() };
            attempt += 1;
            match self.ledger.usage().try_commit(&mut self.usage, &commit).await.map_err(Error::from) {
                Err(error) if attempt < LOOK_UPS_MAX && error.is_transient() => {
                    self.back_off(attempt, "positions", &error).await;
                }
                // Whatever came of it, the newest positions tell.
                outcome => drop(outcome?),
            }
        }
    }

    async fn try_load_positions(&mut self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        self.refresh().await?;
        if self.cluster == FILES {
            return Ok(partitions.iter().map(|file| (file.clone(), self.file_positions(file))).collect());
        }
        let app_ids: Vec<String> = partitions.iter().map(|partition| partition.app_id(&self.cluster)).collect();
        let app_ids: Vec<&str> = app_ids.iter().map(String::as_str).collect();
        self.ledger.usage().load_positions(&mut self.usage, &app_ids).await?;
        self.ledger.quarantine().load_positions(&mut self.quarantine, &app_ids).await?;
        let positions = app_ids.iter().map(|app_id| Positions {
            usage: self.usage.position(app_id),
            quarantine: self.quarantine.position(app_id),
            mark: None,
        });
        Ok(partitions.iter().cloned().zip(positions).collect())
    }

    /// Writes `batch`, asking a store that does not answer again with growing, jittered pauses.
    ///
    /// # Errors
    /// [`Error::GaveUp`] once the attempts are used up; nothing of the batch counts then, or all of it.
    pub async fn write(&mut self, batch: &ClosedBatch) -> Result<Written, Error> {
        let began = tokio::time::Instant::now();
        let mut files = FileCounter::default();
        for attempt in 1.. {
            match self.try_write(batch, &mut files).await {
                Ok(written) => {
                    self.metrics.wrote(began.elapsed());
                    if matches!(written, Written::Committed(_)) {
                        self.metrics.quarantined(batch.quarantined_by_code());
                    }
                    return Ok(written);
                }
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) if attempt < self.backoff.attempts_max => self.back_off(attempt, &batch.id, &error).await,
                Err(error) => {
                    let elapsed_s = began.elapsed().as_secs();
                    return Err(Error::GaveUp {
                        batch: batch.id.to_string(),
                        attempts: attempt,
                        elapsed_s,
                        source: error.into(),
                    });
                }
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn back_off(&self, attempt: u32, what: &str, error: &Error) {
        self.metrics.retried();
        let pause = self.backoff.pause(attempt);
        let pause_ms = pause.as_millis();
        tracing::warn!(what, attempt, pause_ms, error = %chain(error), "the store failed, trying again");
        tokio::time::sleep(pause).await;
    }

    async fn try_write(&mut self, batch: &ClosedBatch, files: &mut FileCounter) -> Result<Written, Error> {
        self.refresh().await?;
        if files.0 > 0
            && let Some(entries) = Self::landed(&self.usage, batch)
        {
            // Which of its rows were duplicates is not known any more, so none counts as unpriced.
            return Ok(Written::Committed(self.counts(batch, entries, 0)));
        }
        let mut days: Vec<i32> = batch.rows.iter().map(|row| row.day).collect();
        days.sort_unstable();
        days.dedup();
        let tables = [
            (self.ledger.usage(), &self.usage, Held::Usage),
            (self.ledger.corrections(), &self.corrections, Held::Corrections),
            (self.ledger.content(), &self.content, Held::Content),
        ];
        self.index.load_days(&days, tables).await?;
        self.write_content(batch, files).await?;
        if let Some(fenced) = self.write_quarantine(batch, files).await? {
            return Ok(fenced);
        }
        self.write_usage(batch, files).await
    }

    /// The rows of `batch` in a table, if an earlier attempt landed although it reported an error.
    fn landed(table: &Snapshot, batch: &ClosedBatch) -> Option<u64> {
        let files = table.files();
        let rows: u64 =
            files.iter().filter(|file| file.batch_id.as_deref() == Some(&*batch.id)).map(|file| file.rows).sum();
        (rows > 0).then_some(rows)
    }

    async fn write_content(&mut self, batch: &ClosedBatch, files: &mut FileCounter) -> Result<(), Error> {
        let mut stored = None;
        loop {
            let rows =
                batch.rows.iter().filter(|row| row.alive && !self.index.contains(row.day, &row.id, Held::Content));
            let rows: Vec<_> = rows.filter_map(|row| Some((row, row.content?))).collect();
            if rows.is_empty() {
                return Ok(());
            }
            let keep: Vec<u32> = rows.iter().map(|(_, content)| *content).collect();
            // A lost race without one of our bodies among the winner's leaves the files as they are.
            let adds = match stored.take() {
                Some((count, adds)) if count == keep.len() => adds,
                _ => {
                    store((self.ledger.content(), &self.metrics), &batch.content, keep.clone(), &batch.id, files)
                        .await?
                }
            };
            let counts = vec![("rows", keep.len() as u64)];
            let commit = Commit { batch_id: batch.id.to_string(), files: adds.clone(), positions: Vec::new(), counts };
            match self.ledger.content().try_commit(&mut self.content, &commit).await? {
                CommitOutcome::Committed { .. } => {
                    rows.iter().for_each(|(row, _)| self.index.insert(row.day, (row.id, 0), Held::Content));
                    return Ok(());
                }
                // Bodies have no positions to be fenced by.
                CommitOutcome::Lost | CommitOutcome::Fenced { .. } => {
                    self.metrics.lost_race();
                    self.absorb_news().await?;
                    stored = Some((keep.len(), adds));
                }
            }
        }
    }

    async fn write_quarantine(
        &mut self,
        batch: &ClosedBatch,
        files: &mut FileCounter,
    ) -> Result<Option<Written>, Error> {
        let ranges = batch.ranges.iter().filter(|(_, range)| range.quarantined > 0);
        let moves = ranges.filter(|(_, range)| range.from.quarantine < Some(range.to));
        let positions = self.changes(moves, |range| range.from.quarantine);
        if !positions.is_empty() && self.is_quarantined(&positions).await? {
            return Ok(None);
        }
        let range = |at: usize| batch.range_of.get(at).and_then(Option::as_ref);
        let is_beyond = |row: &QuarantineMeta| {
            let from = range(row.partition).map(|range| range.from.quarantine);
            from.is_some_and(|from| from.is_none_or(|position| row.offset >= position.0))
        };
        // Messages may have gone after an earlier attempt moved the position past them: what stands for them is looked for.
        let is_passed = |row: &QuarantineMeta| row.alive && row.missed_of.is_some() && !is_beyond(row);
        let known = match batch.quarantined.iter().any(is_passed) {
            true => self.missed().await?,
            false => HashSet::new(),
        };
        let is_new = |row: &QuarantineMeta| match &row.missed_of {
            Some(partition) if !is_beyond(row) => !known.contains(&(partition.clone(), row.offset)),
            _ => is_beyond(row),
        };
        let rows = (0_u32..).zip(&batch.quarantined);
        let keep: Vec<u32> = rows.filter(|(_, row)| row.alive && is_new(row)).map(|(at, _)| at).collect();
        if positions.is_empty() && (keep.is_empty() || Self::landed(&self.quarantine, batch).is_some()) {
            return Ok(None);
        }
        let count = keep.len() as u64;
        let adds = store((self.ledger.quarantine(), &self.metrics), &batch.quarantine, keep, &batch.id, files).await?;
        let commit = Commit { batch_id: batch.id.to_string(), files: adds, positions, counts: vec![("rows", count)] };
        loop {
            match self.ledger.quarantine().try_commit(&mut self.quarantine, &commit).await? {
                CommitOutcome::Committed { .. } => return Ok(None),
                CommitOutcome::Lost => self.metrics.lost_race(),
                CommitOutcome::Fenced { .. } => return self.fenced(batch).await.map(Some),
            }
        }
    }

    /// The rows of `quarantine` that stand for messages which are gone.
    async fn missed(&self) -> Result<HashSet<(Partition, i64)>, Error> {
        let table = self.ledger.quarantine();
        let mut missed = HashSet::new();
        for file in self.quarantine.files() {
            let columns = ["topic", "kafka_partition", "kafka_offset", "error_code"];
            let mut batches = std::pin::pin!(table.stream_columns(&file, &columns).await?);
            while let Some(batch) = batches.try_next().await? {
                let columns = Columns(&batch);
                let is_missed = |row: &usize| columns.text("error_code", *row).is_some_and(|code| code == MISSED);
                let places = (0..batch.num_rows()).filter(is_missed).filter_map(|row| columns.coordinates(row));
                missed.extend(places.map(|at| (Partition { topic: at.topic.into(), number: at.partition }, at.offset)));
            }
        }
        Ok(missed)
    }

    /// Whether an earlier attempt moved the positions of `quarantine` already and stopped later.
    async fn is_quarantined(&mut self, changes: &[PositionChange]) -> Result<bool, Error> {
        let app_ids: Vec<&str> = changes.iter().map(|change| change.app_id.as_str()).collect();
        self.ledger.quarantine().load_positions(&mut self.quarantine, &app_ids).await?;
        Ok(changes.iter().all(|change| self.quarantine.position(&change.app_id) == Some(change.to)))
    }

    /// Records what the batch tells of calls beyond their rows in the ledger. Corrections have no positions to be fenced by.
    async fn write_corrections(&mut self, batch: &ClosedBatch, files: &mut FileCounter) -> Result<(), Error> {
        loop {
            let rows = (0_u32..).zip(&batch.rows).filter(|(_, row)| row.alive);
            let keep: Vec<u32> = rows
                .filter(|(_, row)| self.index.tells_less(row.day, &row.id, row.completeness))
                .map(|(at, _)| at)
                .collect();
            if keep.is_empty() {
                return Ok(());
            }
            let adds =
                store((self.ledger.corrections(), &self.metrics), &batch.usage, keep.clone(), &batch.id, files).await?;
            let counts = vec![("rows", keep.len() as u64)];
            let commit = Commit { batch_id: batch.id.to_string(), files: adds, positions: Vec::new(), counts };
            match self.ledger.corrections().try_commit(&mut self.corrections, &commit).await? {
                CommitOutcome::Committed { .. } => {
                    let rows = keep.iter().filter_map(|at| batch.rows.get(*at as usize));
                    rows.for_each(|row| {
                        self.index.insert(row.day, (row.id, row.completeness), Held::Corrections);
                    });
                    return Ok(());
                }
                CommitOutcome::Lost | CommitOutcome::Fenced { .. } => {
                    self.metrics.lost_race();
                    self.absorb_news().await?;
                }
            }
        }
    }

    async fn write_usage(&mut self, batch: &ClosedBatch, files: &mut FileCounter) -> Result<Written, Error> {
        let mut positions = self.changes(batch.ranges.iter(), |range| range.from.usage);
        positions.extend(batch.ranges.iter().flat_map(marks));
        let mut stored = None;
        loop {
            // Again after a lost race: the winner may have recorded a call of which this batch tells more.
            self.write_corrections(batch, files).await?;
            let rows = (0_u32..).zip(&batch.rows).filter(|(_, row)| row.alive);
            let keep: Vec<u32> =
                rows.filter(|(_, row)| !self.index.contains(row.day, &row.id, Held::Usage)).map(|(at, _)| at).collect();
            let entries = keep.len() as u64;
            // A lost race without a duplicate among the winner's rows leaves the files as they are.
            let adds = match stored.take() {
                Some((count, adds)) if count == entries => adds,
                _ => store((self.ledger.usage(), &self.metrics), &batch.usage, keep.clone(), &batch.id, files).await?,
            };
            let counts = self.counts(batch, entries, batch.unpriced(&keep));
            let commit = Commit {
                batch_id: batch.id.to_string(),
                files: adds.clone(),
                positions: positions.clone(),
                counts: vec![
                    ("messages", counts.messages),
                    ("entries", counts.entries),
                    ("duplicates", counts.duplicates),
                    ("quarantined", counts.quarantined),
                    ("empty", counts.empty),
                ],
            };
            match self.ledger.usage().try_commit(&mut self.usage, &commit).await? {
                CommitOutcome::Committed { version } => {
                    let rows = keep.iter().filter_map(|at| batch.rows.get(*at as usize));
                    rows.for_each(|row| self.index.insert(row.day, (row.id, row.completeness), Held::Usage));
                    return Ok(Written::Committed(Counts { version: version.0, ..counts }));
                }
                CommitOutcome::Lost => {
                    self.metrics.lost_race();
                    self.absorb_news().await?;
                    stored = Some((entries, adds));
                }
                CommitOutcome::Fenced { .. } => return self.fenced(batch).await,
            }
        }
    }

    async fn fenced(&mut self, batch: &ClosedBatch) -> Result<Written, Error> {
        let partitions: Vec<_> = batch.ranges.iter().map(|(partition, _)| partition.clone()).collect();
        let positions = self.try_load_positions(&partitions).await?;
        self.metrics.fenced();
        tracing::warn!(batch_id = %batch.id, "another worker owns a partition of this batch, reading again from the ledger's positions");
        Ok(Written::Fenced(positions))
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        self.ledger.usage().refresh(&mut self.usage).await?;
        self.ledger.corrections().refresh(&mut self.corrections).await?;
        self.ledger.content().refresh(&mut self.content).await?;
        self.ledger.quarantine().refresh(&mut self.quarantine).await?;
        self.absorb_news().await
    }

    /// Takes in the ids that other workers committed; news are only acknowledged once all of them are in.
    async fn absorb_news(&mut self) -> Result<(), Error> {
        self.index.absorb(self.ledger.usage(), Held::Usage, self.usage.news()).await?;
        self.usage.clear_news();
        self.index.absorb(self.ledger.corrections(), Held::Corrections, self.corrections.news()).await?;
        self.corrections.clear_news();
        self.index.absorb(self.ledger.content(), Held::Content, self.content.news()).await?;
        self.content.clear_news();
        self.quarantine.clear_news();
        Ok(())
    }

    fn changes<'b>(
        &self,
        ranges: impl Iterator<Item = &'b (Partition, Range)>,
        from: impl Fn(&Range) -> Option<NextOffset>,
    ) -> Vec<PositionChange> {
        let change = |(partition, range): &(Partition, Range)| PositionChange {
            app_id: partition.app_id(&self.cluster),
            from: from(range),
            to: range.to,
        };
        ranges.map(change).collect()
    }

    fn counts(&self, batch: &ClosedBatch, entries: u64, unpriced: u64) -> Counts {
        Counts {
            messages: batch.total(|range| range.messages),
            entries,
            duplicates: batch.total(|range| range.decoded).saturating_sub(entries),
            quarantined: batch.total(|range| range.quarantined),
            empty: batch.total(|range| range.empty),
            unpriced,
            version: self.usage.version().0,
        }
    }
}

/// What moves with the position of a file, if the range is of one.
fn marks((partition, range): &(Partition, Range)) -> Vec<PositionChange> {
    let Some(to) = range.mark else { return Vec::new() };
    let change = |name: &str, from: Option<i64>, to: i64| PositionChange {
        app_id: format!("{}/{name}", partition.app_id(FILES)),
        from: from.map(NextOffset),
        to: NextOffset(to),
    };
    let from = range.from.mark;
    vec![
        change(DIGEST, from.map(|mark| mark.digest), to.digest),
        change(READ_AT, from.map(|mark| mark.read_at), to.read_at),
    ]
}

/// Numbers the files of a batch over all attempts, so that no name is written twice.
#[derive(Debug, Default)]
struct FileCounter(usize);

/// Encodes off the async threads, then stores the files.
async fn store(
    (table, metrics): (&Table, &Metrics),
    batch: &RecordBatch,
    keep: Vec<u32>,
    batch_id: &str,
    files: &mut FileCounter,
) -> Result<Vec<StoredFile>, Error> {
    let (spec, batch) = (table.spec(), batch.clone());
    let encoded = tokio::task::spawn_blocking(move || file::encode(spec, &batch, &keep));
    let encoded = encoded.await.map_err(|error| Error::Internal { found: error.to_string() })??;
    let first = files.0;
    files.0 += encoded.len();
    let stored = encoded.iter().enumerate().map(|(at, file)| table.store_file(file, batch_id, first + at));
    metrics.stored(encoded.iter().map(|file| file.bytes.len() as u64).sum());
    Ok(futures::future::try_join_all(stored).await?)
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
