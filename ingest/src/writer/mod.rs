//! Writes batches to the ledger: each message once, whatever fails and whoever else writes.
//!
//! Order of effects, and what a crash between two of them leaves:
//! 1. `content` files, then their commit, and so `content_partial`: bodies nobody refers to yet; a replay finds their ids and
//!    skips them.
//! 2. `quarantine` files, then their commit with positions: a replay skips offsets below them.
//! 3. `corrections` files, then their commit: of calls that are in the ledger, what this batch tells beyond it. True at
//!    once, whatever becomes of the batch; a replay finds the entry complete and skips it.
//! 4. `usage` files: unreferenced, collected later.
//! 5. `usage` commit with positions: the batch counts. Before it, the batch is read again from Kafka; after it, never.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use daybook_ledger::{Commit, CommitOutcome, Ledger, NextOffset, PositionChange, Snapshot, StoredFile, Table, file};
use rand::Rng as _;

use self::addition::{Addition, Lacking, rows};
use crate::Error;
use crate::batch::{ClosedBatch, Range};
use crate::index::{Held, Index};
use crate::metrics::Metrics;
use crate::partition::{Mark, Partition, Positions};

mod addition;
mod look_up;
mod quarantine;

pub use self::look_up::LookUp;

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

async fn back_off(backoff: Backoff, metrics: &Metrics, attempt: u32, what: &str, error: &Error) {
    metrics.retried();
    let pause = backoff.pause(attempt);
    let pause_ms = pause.as_millis();
    tracing::warn!(what, attempt, pause_ms, error = %chain(error), "the store failed, trying again");
    tokio::time::sleep(pause).await;
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
    content_partial: Snapshot,
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
        // A ledger of an earlier version may not have them yet.
        ledger.corrections().create().await?;
        ledger.content_partial().create().await?;
        Ok(Self {
            usage: ledger.usage().load(None).await?,
            corrections: ledger.corrections().load(None).await?,
            content: ledger.content().load(None).await?,
            content_partial: ledger.content_partial().load(None).await?,
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

    /// Where the tables stand in `partitions`, newest state. A store that does not answer is asked again a few times.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn load_positions(&mut self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        for attempt in 1.. {
            match self.try_load_positions(partitions).await {
                Err(error) if attempt < look_up::ATTEMPTS_MAX && error.is_transient() => {
                    self.back_off(attempt, "positions", &error).await;
                }
                done => return done,
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn try_load_positions(&mut self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        self.refresh().await?;
        if self.cluster == FILES {
            return Ok(partitions.iter().map(|file| (file.clone(), self.file_positions(file))).collect());
        }
        look_up::positions(&self.ledger, &self.cluster, (&mut self.usage, &mut self.quarantine), partitions).await
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
        back_off(self.backoff, &self.metrics, attempt, what, error).await;
    }

    async fn try_write(&mut self, batch: &ClosedBatch, files: &mut FileCounter) -> Result<Written, Error> {
        self.refresh().await?;
        let is_again = files.0 > 0;
        if is_again && let Some(entries) = Self::landed(&self.usage, batch) {
            // Which of its rows were duplicates is not known any more, so none counts as unpriced.
            return Ok(Written::Committed(self.counts(batch, entries, 0)));
        }
        if self.is_overtaken(batch).await? {
            return self.fenced(batch).await;
        }
        let days = batch.rows.iter().map(|row| row.day).chain(batch.bodies.iter().map(|body| body.day));
        let mut days: Vec<i32> = days.collect();
        days.sort_unstable();
        days.dedup();
        let tables = [
            (self.ledger.usage(), &self.usage, Held::Entries),
            (self.ledger.corrections(), &self.corrections, Held::Entries),
            (self.ledger.content(), &self.content, Held::Bodies),
            (self.ledger.content_partial(), &self.content_partial, Held::Bodies),
        ];
        self.index.load_days(&days, tables).await?;
        self.append(Addition::Content, batch, files).await?;
        self.append(Addition::ContentPartial, batch, files).await?;
        if let Some(fenced) = self.write_quarantine(batch, is_again, files).await? {
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

    /// Appends what the ledger lacks of `addition`, again after each lost race.
    async fn append(&mut self, addition: Addition, batch: &ClosedBatch, files: &mut FileCounter) -> Result<(), Error> {
        let mut stored: Option<(Vec<u32>, Vec<StoredFile>)> = None;
        loop {
            let (table, snapshot, rows) = match addition {
                Addition::Content => (self.ledger.content(), &mut self.content, &batch.content),
                Addition::ContentPartial => {
                    (self.ledger.content_partial(), &mut self.content_partial, &batch.content_partial)
                }
                Addition::Corrections => (self.ledger.corrections(), &mut self.corrections, &batch.usage),
            };
            let lacking = addition.lacking(&self.index, batch);
            if lacking.is_empty() {
                return Ok(());
            }
            let keep: Vec<u32> = lacking.iter().map(|row| row.place).collect();
            // A lost race without one of our rows among the winner's leaves the files as they are.
            let adds = match stored.take() {
                Some((known, adds)) if known == keep => adds,
                _ => store((table, &self.metrics), rows, keep.clone(), &batch.id, files).await?,
            };
            let (batch_id, files) = (batch.id.to_string(), adds.clone());
            let commit = Commit { batch_id, files, positions: Vec::new(), counts: Vec::new() };
            match table.try_commit(snapshot, &commit).await? {
                CommitOutcome::Committed { .. } => {
                    self.index_all(&lacking);
                    return Ok(());
                }
                // They have no positions to be fenced by.
                CommitOutcome::Lost | CommitOutcome::Fenced { .. } => {
                    self.metrics.lost_race();
                    self.absorb_news().await?;
                    stored = Some((keep, adds));
                }
            }
        }
    }

    fn index_all(&mut self, rows: &[Lacking]) {
        rows.iter().for_each(|row| self.index.insert(row.day, row.id, row.told));
    }

    async fn write_usage(&mut self, batch: &ClosedBatch, files: &mut FileCounter) -> Result<Written, Error> {
        let mut positions = self.changes(batch.ranges.iter(), |range| range.from.usage);
        positions.extend(batch.ranges.iter().flat_map(marks));
        let mut stored = None;
        loop {
            // Again after a lost race: the winner may have recorded a call of which this batch tells more.
            self.append(Addition::Corrections, batch, files).await?;
            let lacking = rows(batch, |row| !self.index.known(row.day, &row.id).has_entry());
            let keep: Vec<u32> = lacking.iter().map(|row| row.place).collect();
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
                    self.index_all(&lacking);
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

    /// Whether another worker wrote of the batch's partitions already. Their commit would fail, but what comes before it would land.
    async fn is_overtaken(&mut self, batch: &ClosedBatch) -> Result<bool, Error> {
        let positions = self.changes(batch.ranges.iter(), |range| range.from.usage);
        let app_ids: Vec<_> = positions.iter().map(|change| change.app_id.as_str()).collect();
        self.ledger.usage().load_positions(&mut self.usage, &app_ids).await?;
        Ok(positions.iter().any(|change| self.usage.position(&change.app_id) != change.from))
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
        self.ledger.content_partial().refresh(&mut self.content_partial).await?;
        self.ledger.quarantine().refresh(&mut self.quarantine).await?;
        self.absorb_news().await
    }

    /// Takes in the ids that other workers committed; news are only acknowledged once all of them are in.
    async fn absorb_news(&mut self) -> Result<(), Error> {
        self.index.absorb(self.ledger.usage(), Held::Entries, self.usage.news()).await?;
        self.usage.clear_news();
        self.index.absorb(self.ledger.corrections(), Held::Entries, self.corrections.news()).await?;
        self.corrections.clear_news();
        self.index.absorb(self.ledger.content(), Held::Bodies, self.content.news()).await?;
        self.content.clear_news();
        let (table, news) = (self.ledger.content_partial(), self.content_partial.news());
        self.index.absorb(table, Held::Bodies, news).await?;
        self.content_partial.clear_news();
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
