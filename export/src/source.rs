//! What is read: pinned versions of the tables, their data files in order, each checked against its commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use arrow::datatypes::Field;
use bytes::Bytes;
use daybook_ledger::file;
use daybook_ledger::schema::PARTITION;
use daybook_ledger::{DataFile, Date, Error as LedgerError, Instant, Ledger, Snapshot, Table, TableVersion};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::select::Window;
use crate::{Error, Part, Request};

/// Log entries read at the same time.
const LOG_READS: usize = 16;
/// Clocks of writers differ: a version is as late as the latest of this many before it.
const SKEWED_VERSIONS: u64 = 64;

/// A version of a table that a bundle is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) part: Part,
    pub(crate) version: TableVersion,
    /// As its writer's clock had it.
    pub(crate) committed_at: Instant,
}

/// A data file to read.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) part: Part,
    pub(crate) file: DataFile,
    /// Read ahead of the entries of its day, only to see which of them a correction brings into the scope, or which bodies do not
    /// hold.
    pub(crate) is_look_ahead: bool,
}

/// Everything to read, in the order it goes into a bundle.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The `usage` table's id, which a copied ledger keeps.
    pub(crate) ledger_id: String,
    /// One per [`Part`] the ledger has.
    pub(crate) pins: Vec<Pin>,
    pub(crate) steps: Vec<Step>,
    /// Set if not all of it is read.
    pub(crate) sample: Option<Sample>,
}

/// What makes a plan a rehearsal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Of the bytes to read.
    pub(crate) percent: u8,
    /// When it was asked for: no two rehearsals are one, so none goes on from what another left.
    pub(crate) at: Instant,
}

/// What data files hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holding {
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

impl Plan {
    /// Pins `usage` at the version that is asked for or its newest, and the other tables at the last version committed no later; without
    /// `as_of`, tables that other commands write at their newest.
    ///
    /// `content` commits before `usage`, so every visible entry has its body; and all depend on the log alone, so the
    /// same `as_of` gives the same plan whenever it is asked for, until files of it are deleted: what an erasure leaves is read
    /// then.
    pub(crate) async fn load(ledger: &Ledger, window: &Window, request: &Request) -> Result<Self, Error> {
        let (as_of, scope, migrates) = (request.as_of, &request.scope, !request.migrations.is_empty());
        let usage = ledger.usage().load(as_of).await?;
        let version = usage.version();
        let commits = committed_at(ledger.usage(), version.0.saturating_sub(SKEWED_VERSIONS)..=version.0).await?;
        let own = commits.last().map_or(0, |(_, at)| *at);
        let latest = commits.iter().map(|(_, at)| *at).max().unwrap_or(own);
        let mut pins = Vec::new();
        let mut steps = Vec::new();
        for part in Part::ALL {
            let (snapshot, at) = match part {
                Part::Usage => (usage.clone(), own),
                // A ledger of an earlier version has none.
                _ if !part.table(ledger).exists().await? => continue,
                _ if as_of.is_none() && !part.comes_with_usage() => load_as_of(part.table(ledger), i64::MAX).await?,
                Part::Content | Part::ContentPartial | Part::Quarantine => {
                    load_left(part.table(ledger), latest).await?
                }
                _ => load_as_of(part.table(ledger), latest).await?,
            };
            let committed_at = Instant::from_millis(at).unwrap_or(Instant::from_micros(0));
            pins.push(Pin { part, version: snapshot.version(), committed_at });
            if scope.exemption(part).is_some() {
                continue;
            }
            let looks_ahead = match part {
                Part::Corrections => migrates || !scope.is_everything(),
                Part::ContentPartial => migrates,
                _ => false,
            };
            let files = snapshot.files().into_iter().filter(|file| part.is_timeless() || window.touches(file.date));
            for file in files {
                if looks_ahead {
                    steps.push(Step { part, file: file.clone(), is_look_ahead: true });
                }
                steps.push(Step { part, file, is_look_ahead: false });
            }
        }
        let order = |step: &Step| {
            (step.part.is_timeless(), step.file.date, !step.is_look_ahead, step.part, step.file.path.clone())
        };
        steps.sort_by_cached_key(order);
        Ok(Self { ledger_id: table_id(ledger.usage()).await?, pins, steps, sample: None })
    }

    /// Bytes of all files to read.
    pub(crate) fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.file.size).sum()
    }

    /// Days with files to read.
    pub(crate) fn days(&self) -> BTreeSet<Date> {
        self.steps.iter().filter(|step| !step.part.is_timeless()).map(|step| step.file.date).collect()
    }

    /// What there is of each table.
    pub(crate) fn holdings(&self) -> BTreeMap<Part, Holding> {
        let mut holdings = BTreeMap::new();
        for step in self.steps.iter().filter(|step| !step.is_look_ahead) {
            let holding: &mut Holding = holdings.entry(step.part).or_default();
            holding.bytes += step.file.size;
            holding.rows += step.file.rows;
        }
        holdings
    }

    /// The same plan with as many days, spread evenly, as hold the part of the bytes `sample` asks for, at least one.
    ///
    /// Days stay whole, because bodies follow the entries of their day; what is in force on every day stays too.
    pub(crate) fn sampled(mut self, sample: Sample) -> Self {
        let mut bytes_by_day: BTreeMap<Date, u64> = BTreeMap::new();
        for step in self.steps.iter().filter(|step| !step.part.is_timeless()) {
            *bytes_by_day.entry(step.file.date).or_default() += step.file.size;
        }
        let (mut passed, mut taken) = (0_u128, 0_u128);
        bytes_by_day.retain(|_, bytes| {
            passed += u128::from(*bytes);
            let is_behind = taken * 100 < passed * u128::from(sample.percent);
            taken += if is_behind { u128::from(*bytes) } else { 0 };
            is_behind
        });
        self.steps.retain(|step| step.part.is_timeless() || bytes_by_day.contains_key(&step.file.date));
        Self { sample: Some(sample), ..self }
    }
}

/// As [`load_as_of`], of a table with what was said; the newest version if files of that one were deleted since, as an erasure
/// does.
async fn load_left(table: &Table, millis: i64) -> Result<(Snapshot, i64), Error> {
    let (snapshot, at) = load_as_of(table, millis).await?;
    let is_newest = snapshot.version() == table.load(None).await?.version();
    match is_newest || has_all_files(table, &snapshot).await? {
        true => Ok((snapshot, at)),
        false => load_as_of(table, i64::MAX).await,
    }
}

/// The last version of `table` committed at `millis` or before; its first if none was.
pub(crate) async fn load_as_of(table: &Table, millis: i64) -> Result<(Snapshot, i64), Error> {
    let mut chunk = LOG_READS as u64;
    let mut last = table.load(None).await?.version().0;
    loop {
        let first = last.saturating_sub(chunk - 1);
        let commits = committed_at(table, first..=last).await?;
        let found = commits.iter().rev().find(|(version, at)| *at <= millis || *version == 0);
        if let Some((version, at)) = found {
            return Ok((table.load(Some(TableVersion(*version))).await?, *at));
        }
        last = first.saturating_sub(1);
        chunk = 512;
    }
}

/// Whether every data file is still there: an erasure deletes those of older versions, maintenance in time too.
async fn has_all_files(table: &Table, snapshot: &Snapshot) -> Result<bool, Error> {
    let objects = table.store().list(None).map_ok(|object| object.location.to_string());
    let objects: HashSet<String> =
        objects.try_collect().await.map_err(|source| store_error(table, "list data files", source))?;
    Ok(snapshot.files().iter().all(|file| objects.contains(&file.path)))
}

/// When each version was committed, by the clock of its writer: milliseconds since 1970.
///
/// From the log entry, not from the time of its file: a copied ledger has other files.
async fn committed_at(table: &Table, versions: std::ops::RangeInclusive<u64>) -> Result<Vec<(u64, i64)>, Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        commit_info: Option<CommitInfo>,
    }
    #[derive(serde::Deserialize)]
    struct CommitInfo {
        timestamp: Option<i64>,
    }
    let read = |version| async move {
        let info = find_in_commit(table, version, |line: Line| line.commit_info).await?;
        let at = info.and_then(|info| info.timestamp);
        at.map(|at| (version, at)).ok_or_else(|| damaged_log(table, version, "the commit says no time"))
    };
    stream::iter(versions).map(read).buffered(LOG_READS).try_collect().await
}

async fn table_id(table: &Table) -> Result<String, Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        meta_data: Option<Metadata>,
    }
    #[derive(serde::Deserialize)]
    struct Metadata {
        id: String,
    }
    let metadata = find_in_commit(table, 0, |line: Line| line.meta_data).await?;
    metadata.map(|metadata| metadata.id).ok_or_else(|| damaged_log(table, 0, "the first commit has no table id"))
}

/// The first action of a commit that `pick` takes.
async fn find_in_commit<L: serde::de::DeserializeOwned, T>(
    table: &Table,
    version: u64,
    pick: impl Fn(L) -> Option<T>,
) -> Result<Option<T>, Error> {
    let path = Path::from(format!("_delta_log/{version:020}.json"));
    let failed = |source| store_error(table, "read the log", source);
    let commit = table.store().get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    for line in commit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line = serde_json::from_slice(line).map_err(|source| damaged_log(table, version, source))?;
        if let Some(found) = pick(line) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn damaged_log(table: &Table, version: u64, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let (place, version) = (table.url().to_string(), TableVersion(version));
    Error::Ledger(LedgerError::DamagedLog { table: table.spec().name, place, version, source: source.into() })
}

fn store_error(table: &Table, action: &'static str, source: object_store::Error) -> Error {
    Error::Ledger(LedgerError::store(table.url().to_string(), action, source))
}

/// Rows a data file has by its own footer.
pub(crate) fn rows_in(bytes: Bytes) -> Result<u64, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let rows = builder.metadata().file_metadata().num_rows();
    rows.try_into().map_err(|_| format!("its footer says {rows} rows"))
}

/// The rows of a data file in order, in the columns of its table, words as dictionaries.
#[derive(Debug)]
pub(crate) struct Rows {
    step: Step,
    reader: ParquetRecordBatchReader,
    rows: u64,
}

impl Rows {
    pub(crate) fn open(step: Step, bytes: Bytes) -> Result<Self, Error> {
        let reader = file::read(step.part.spec(), bytes);
        let reader = reader.map_err(|error| damaged_file(&step, &error.to_string()))?;
        Ok(Self { step, reader, rows: 0 })
    }

    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        match self.reader.next() {
            Some(Ok(batch)) => {
                self.rows += batch.num_rows() as u64;
                self.with_day(&batch).map(Some)
            }
            Some(Err(error)) => Err(damaged_file(&self.step, &error.to_string())),
            None if self.rows == self.step.file.rows => Ok(None),
            None => {
                let reason = format!("it has {} rows, its commit says {}", self.rows, self.step.file.rows);
                Err(damaged_file(&self.step, &reason))
            }
        }
    }

    /// Delta keeps the partition column in the log; readers of a bundle have only its files.
    fn with_day(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let days = || -> ArrayRef { Arc::new(Date32Array::from_value(self.step.file.date.days(), batch.num_rows())) };
        let schema = self.step.part.spec().building_schema();
        let column = |field: &Arc<Field>| match field.name() == PARTITION {
            true => Some(days()),
            false => batch.column_by_name(field.name()).cloned(),
        };
        let columns: Option<Vec<_>> = schema.fields().iter().map(column).collect();
        let columns = columns.ok_or_else(|| damaged_file(&self.step, "a column is missing"))?;
        RecordBatch::try_new(schema, columns).map_err(Error::arrow)
    }
}

pub(crate) fn damaged_file(step: &Step, reason: &str) -> Error {
    let path = format!("{}/{}", step.part.name(), step.file.path);
    Error::Ledger(LedgerError::DamagedFile { path, reason: reason.into() })
}
