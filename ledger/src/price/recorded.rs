//! The calls of a ledger as it knows them now: rows of `usage`, with the fullest correction in place of a row.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use futures::{Stream, TryStreamExt as _};

use crate::{DataFile, Date, EntryId, Error, Ledger, Snapshot, Status, Table};

use super::past::{PastCall, PastCalls};

/// The calls of a ledger at one state, day by day.
#[derive(Debug)]
pub struct Recorded {
    usage: Table,
    corrections: Table,
    days: BTreeMap<Date, Files>,
}

#[derive(Debug, Default)]
struct Files {
    usage: Vec<DataFile>,
    corrections: Vec<DataFile>,
}

impl Recorded {
    /// The days from `from` to before `to`. Reads the logs, no data file.
    ///
    /// # Errors
    /// The ledger's errors.
    pub async fn load(ledger: &Ledger, from: Option<Date>, to: Option<Date>) -> Result<Self, Error> {
        let (usage, corrections) = (ledger.usage().clone(), ledger.corrections().clone());
        // Corrections first: a row of `usage` that comes in between is then merely not corrected yet.
        let corrected = match corrections.load(None).await {
            Err(Error::NotFound { .. }) => Vec::new(),
            loaded => loaded.map(|snapshot| snapshot.files())?,
        };
        let mut days: BTreeMap<Date, Files> = BTreeMap::new();
        let is_in = |file: &DataFile| from.is_none_or(|from| from <= file.date) && to.is_none_or(|to| file.date < to);
        for file in usage.load(None).await.map(|snapshot: Snapshot| snapshot.files())?.into_iter().filter(is_in) {
            days.entry(file.date).or_default().usage.push(file);
        }
        for file in corrected {
            if let Some(files) = days.get_mut(&file.date) {
                files.corrections.push(file);
            }
        }
        Ok(Self { usage, corrections, days })
    }

    /// The days with calls, in order.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = Date> {
        self.days.keys().copied()
    }

    /// The calls of `date`. Memory: a row group, and the corrections of the day.
    ///
    /// # Errors
    /// The ledger's errors.
    pub async fn day(&self, date: Date) -> Result<DayCalls, Error> {
        let mut day = DayCalls {
            table: self.usage.clone(),
            files: self.days.get(&date).map(|files| files.usage.clone()).unwrap_or_default(),
            stream: None,
            corrections: Vec::new(),
            fullest: HashMap::new(),
        };
        for file in self.days.get(&date).map(|files| &files.corrections).into_iter().flatten() {
            let columns = [PastCalls::columns(), vec!["status", "ingested_at"]].concat();
            let mut batches = self.corrections.stream_columns(file, &columns).await?;
            while let Some(batch) = batches.try_next().await? {
                day.correct(&batch)?;
            }
        }
        Ok(day)
    }
}

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, Error>> + Send>>;

/// The calls of one day, batch by batch.
pub struct DayCalls {
    table: Table,
    files: Vec<DataFile>,
    stream: Option<Batches>,
    corrections: Vec<PastCalls>,
    /// By entry: how full its fullest correction is, and which batch and row that is.
    fullest: HashMap<EntryId, (Fullness, usize, usize)>,
}

/// Completeness, then the time it came: the order in which corrections hold.
type Fullness = (u8, i64);

impl std::fmt::Debug for DayCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayCalls").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl DayCalls {
    fn correct(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let missing = |name: &str| Error::Internal {
            invariant: "`corrections` has the columns of `usage`",
            found: format!("column {name} is missing or of another type"),
        };
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let status = cast(column("status")?, &DataType::Utf8).map_err(Error::arrow)?;
        let status = status.as_string_opt::<i32>().ok_or_else(|| missing("status"))?;
        let came = column("ingested_at")?;
        let came = came.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| missing("ingested_at"))?;
        let calls = PastCalls::new(batch)?;
        for row in 0..calls.len() {
            let Some(call) = calls.get(row) else { continue };
            let counted = !call.call().tokens.is_absent();
            let completeness = Status::named(status.value(row)).map_or(0, |status| status.completeness(counted));
            let fullness = (completeness, came.value(row));
            let here = (fullness, self.corrections.len(), row);
            let held = self.fullest.entry(call.entry_id).or_insert(here);
            if held.0 < fullness {
                *held = here;
            }
        }
        self.corrections.push(calls);
        Ok(())
    }

    /// The next calls; `None` after the last. Each call of the day comes once.
    ///
    /// # Errors
    /// [`Error::DamagedFile`].
    pub async fn next(&mut self) -> Result<Option<Chunk<'_>>, Error> {
        loop {
            if let Some(stream) = &mut self.stream {
                match stream.try_next().await? {
                    Some(batch) => {
                        let calls = PastCalls::new(&batch)?;
                        return Ok(Some(Chunk { calls, fullest: &self.fullest, correction: None }));
                    }
                    None => self.stream = None,
                }
            }
            if let Some(file) = self.files.pop() {
                self.stream = Some(Box::pin(self.table.stream_columns(&file, &PastCalls::columns()).await?));
                continue;
            }
            // The corrections come last, from the last to the first.
            return Ok(self.corrections.pop().map(|calls| {
                let correction = Some(self.corrections.len());
                Chunk { calls, fullest: &self.fullest, correction }
            }));
        }
    }
}

/// Some calls of a day.
#[derive(Debug)]
pub struct Chunk<'d> {
    calls: PastCalls,
    fullest: &'d HashMap<EntryId, (Fullness, usize, usize)>,
    /// The number of the batch, if it is one of corrections.
    correction: Option<usize>,
}

impl Chunk<'_> {
    /// The calls that hold.
    pub fn iter(&self) -> impl Iterator<Item = PastCall<'_>> {
        let holds = |(row, call): &(usize, PastCall<'_>)| match (self.fullest.get(&call.entry_id), self.correction) {
            (None, correction) => correction.is_none(),
            (Some((_, batch, held)), Some(correction)) => (*batch, *held) == (correction, *row),
            (Some(_), None) => false,
        };
        (0..self.calls.len()).filter_map(|row| Some((row, self.calls.get(row)?))).filter(holds).map(|(_, call)| call)
    }
}
