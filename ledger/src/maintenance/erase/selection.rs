//! Which rows lose their bodies.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::Wanted;
use super::subject::Subject;
use crate::{DataFile, Date, EntryId, Error, Ledger, Table, schema};

/// Rows that lose their bodies.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an erasure has one, which its tasks share")]
pub(in crate::maintenance) enum Selection {
    /// Of days before this one.
    Before(Date),
    /// The same, and of messages in quarantine those that were set aside before it: of what was imported late, nobody has tried
    /// again yet.
    Aged(Date),
    Found(Found),
}

/// Topic, partition, offset.
type Message = (String, i32, i64);

/// Entries, and the messages they were read from.
#[derive(Debug, Default)]
pub(in crate::maintenance) struct Found {
    ids: HashMap<Date, HashSet<EntryId>>,
    /// Bodies whose calls are in no table, by a batch that was lost on its way: they are this person's if they name them.
    unrecorded: HashMap<Date, HashSet<EntryId>>,
    messages: HashSet<Message>,
    /// SHA-256 of events with a body: the same may be in quarantine under another name of its file.
    events: HashSet<[u8; 32]>,
    /// Messages that never became entries are this person's if they name them.
    subject: Option<Subject>,
}

/// The rows of `wanted`, all of which are in `ledger`.
pub(super) async fn find(ledger: &Ledger, wanted: &Wanted) -> Result<Selection, Error> {
    let mut found = Found::default();
    let mut entries: HashSet<EntryId> = HashSet::new();
    match wanted {
        Wanted::Before(date) => return Ok(Selection::Before(*date)),
        Wanted::Subject(name) => found.subject = Some(Subject::new(name)),
        Wanted::Entries(ids) => entries.extend(ids),
    }
    let is_wanted = |id: &EntryId, subject: Option<&str>| match wanted {
        Wanted::Subject(name) => subject == Some(name),
        _ => entries.contains(id),
    };
    // Bodies first: their calls are committed after them.
    let mut bodies = files_by_day([ledger.content(), ledger.content_partial()]).await?;
    let mut days: BTreeMap<Date, Vec<_>> = files_by_day([ledger.usage(), ledger.corrections()]).await?;
    for date in bodies.keys() {
        days.entry(*date).or_default();
    }
    for (date, files) in days {
        let mut recorded = HashSet::new();
        for (table, file) in files {
            let columns = ["entry_id", "end_user", "topic", "kafka_partition", "kafka_offset", "content_sha256"];
            let mut batches = std::pin::pin!(table.stream_columns(&file, &columns).await?);
            while let Some(batch) = batches.try_next().await? {
                found.take(date, &batch, &is_wanted, &mut recorded)?;
            }
        }
        for (table, file) in bodies.remove(&date).unwrap_or_default().iter().filter(|(_, file)| !file.bodyless) {
            let mut ids = table.load_entry_ids(file).await?;
            ids.retain(|id| !recorded.contains(id));
            if !ids.is_empty() {
                found.unrecorded.entry(date).or_default().extend(ids);
            }
        }
    }
    found.claim_unrecorded(&entries);
    entries.retain(|id| !found.ids.values().any(|ids| ids.contains(id)));
    match entries.iter().min() {
        Some(first) => Err(Error::NoSuchEntry { id: first.to_string(), count: entries.len() as u64 }),
        None => Ok(Selection::Found(found)),
    }
}

/// The data files of `tables`, those that a ledger of an earlier version has.
async fn files_by_day(tables: [&Table; 2]) -> Result<BTreeMap<Date, Vec<(&Table, DataFile)>>, Error> {
    let mut days: BTreeMap<Date, Vec<_>> = BTreeMap::new();
    for table in tables {
        let snapshot = match table.load(None).await {
            Err(Error::NotFound { .. }) if !table.spec().is_founding() => continue,
            loaded => loaded?,
        };
        for file in snapshot.files() {
            days.entry(file.date).or_default().push((table, file));
        }
    }
    Ok(days)
}

impl Found {
    /// Takes in calls of a day; all of them are in `recorded` then.
    fn take(
        &mut self,
        date: Date,
        batch: &RecordBatch,
        is_wanted: &impl Fn(&EntryId, Option<&str>) -> bool,
        recorded: &mut HashSet<EntryId>,
    ) -> Result<(), Error> {
        let message = messages(batch)?;
        let (ids, subjects) = (named(batch, "entry_id")?, named(batch, "end_user")?);
        let (ids, subjects) = (ids.as_binary::<i32>(), subjects.as_string::<i32>());
        let events = named(batch, "content_sha256")?;
        let events = events.as_binary::<i32>();
        for (row, (id, subject)) in ids.iter().zip(subjects).enumerate() {
            let Some(id) = id.and_then(EntryId::from_slice) else { continue };
            recorded.insert(id);
            if is_wanted(&id, subject) {
                self.ids.entry(date).or_default().insert(id);
                self.messages.insert(message(row));
                let event = events.is_valid(row).then(|| events.value(row));
                self.events.extend(event.and_then(|event| <[u8; 32]>::try_from(event).ok()));
            }
        }
        Ok(())
    }

    /// Bodies of no call of their day: those of entries that are wanted are known by their ids, of the others those that name the
    /// subject are found when they are read.
    fn claim_unrecorded(&mut self, entries: &HashSet<EntryId>) {
        let wanted: HashSet<EntryId> = self.ids.values().flatten().chain(entries).copied().collect();
        for (date, ids) in &self.unrecorded {
            let claimed = ids.intersection(&wanted).copied().collect::<Vec<_>>();
            if !claimed.is_empty() {
                self.ids.entry(*date).or_default().extend(claimed);
            }
        }
        if self.subject.is_none() {
            self.unrecorded.clear();
        }
    }

    /// Whether the body of `id` may be selected.
    pub(super) fn may_take(&self, date: Date, id: &EntryId) -> bool {
        [&self.ids, &self.unrecorded].iter().any(|ids| ids.get(&date).is_some_and(|ids| ids.contains(id)))
    }

    /// Whether it is, as `raw` tells.
    fn takes(&self, date: Date, id: &EntryId, raw: &[u8]) -> bool {
        self.ids.get(&date).is_some_and(|ids| ids.contains(id))
            || self.may_take(date, id) && self.subject.as_ref().is_some_and(|subject| subject.is_in(raw))
    }

    /// Whether a message in quarantine names the subject: in its value, as its key, or as a header.
    fn names_subject<'a>(&'a self, batch: &RecordBatch) -> Result<Box<dyn Fn(usize) -> bool + 'a>, Error> {
        let Some(subject) = &self.subject else { return Ok(Box::new(|_| false)) };
        let (values, keys) = (named(batch, "value")?, named(batch, "key")?);
        let (values, keys) = (values.as_binary::<i32>().clone(), keys.as_binary::<i32>().clone());
        let headers = named(batch, "headers")?.as_map().clone();
        Ok(Box::new(move |row| {
            let is_header = || {
                let headers = headers.value(row);
                let values = headers.columns().get(1).and_then(|values| values.as_binary_opt::<i32>());
                values.is_some_and(|values| values.iter().flatten().any(|value| subject.is(value)))
            };
            let is_key = keys.is_valid(row) && subject.is(keys.value(row));
            is_key || (headers.is_valid(row) && is_header()) || subject.is_in(values.value(row))
        }))
    }

    pub(super) fn sorted_ids(&self) -> Vec<EntryId> {
        let ids: BTreeSet<EntryId> = self.ids.values().flatten().copied().collect();
        ids.into_iter().collect()
    }
}

/// The column of `batch` called `name`, words as plain text.
fn named(batch: &RecordBatch, name: &str) -> Result<ArrayRef, Error> {
    let column = batch.column_by_name(name).ok_or_else(|| Error::Internal {
        invariant: "a data file has the columns of its table",
        found: format!("{name} is missing"),
    })?;
    match column.data_type() {
        DataType::Dictionary(..) => arrow::compute::cast(column, &DataType::Utf8).map_err(Error::arrow),
        _ => Ok(Arc::clone(column)),
    }
}

/// The message each row of `batch` was read from.
fn messages(batch: &RecordBatch) -> Result<impl Fn(usize) -> Message, Error> {
    let topics = named(batch, "topic")?.as_string::<i32>().clone();
    let partitions = named(batch, "kafka_partition")?.as_primitive::<Int32Type>().clone();
    let offsets = named(batch, "kafka_offset")?.as_primitive::<Int64Type>().clone();
    Ok(move |row| (topics.value(row).to_owned(), partitions.value(row), offsets.value(row)))
}

/// The column of a table of bodies that is null only in a row that lost what was said.
fn body_of(spec: &schema::Table) -> Option<&'static str> {
    match spec.name {
        "quarantine" => Some("value"),
        _ => spec.is_of_bodies().then_some("raw"),
    }
}

/// Rows of `batch` that have a body; `None` if rows of the table never have one.
pub(in crate::maintenance) fn bodies_in(spec: &schema::Table, batch: &RecordBatch) -> Option<u64> {
    let column = batch.column_by_name(body_of(spec)?)?;
    Some((column.len() - column.null_count()) as u64)
}

impl Selection {
    /// Whether rows of `date` may be among those selected.
    pub(super) fn may_select(&self, spec: &schema::Table, date: Date) -> bool {
        match self {
            Self::Before(before) | Self::Aged(before) => date < *before,
            Self::Found(found) if spec.is_of_bodies() => {
                found.ids.contains_key(&date) || found.unrecorded.contains_key(&date)
            }
            Self::Found(found) => !found.messages.is_empty() || found.subject.is_some(),
        }
    }

    /// The columns that tell which rows are selected, and whether they still have a body.
    pub(super) fn columns(&self, spec: &schema::Table) -> Vec<&'static str> {
        let mut columns = match self {
            Self::Aged(_) if !spec.is_of_bodies() => vec!["quarantined_at"],
            Self::Before(_) | Self::Aged(_) => Vec::new(),
            Self::Found(_) if spec.is_of_bodies() => vec!["entry_id"],
            Self::Found(_) => vec!["topic", "kafka_partition", "kafka_offset"],
        };
        match self {
            Self::Found(Found { subject: Some(_), .. }) if !spec.is_of_bodies() => columns.extend(spec.said()),
            _ => columns.extend(body_of(spec)),
        }
        columns
    }

    /// The rows of `batch` that are to lose a body they have.
    pub(super) fn rows(&self, spec: &schema::Table, date: Date, batch: &RecordBatch) -> Result<HashSet<u32>, Error> {
        let body = named(batch, body_of(spec).unwrap_or_default())?;
        let selected: Box<dyn Fn(usize) -> bool> = match self {
            Self::Aged(before) if !spec.is_of_bodies() => {
                let set_aside = named(batch, "quarantined_at")?.as_primitive::<TimestampMicrosecondType>().clone();
                let before_us = before.start().micros();
                Box::new(move |row| date < *before && set_aside.value(row) < before_us)
            }
            Self::Before(before) | Self::Aged(before) => Box::new(move |_| date < *before),
            Self::Found(found) if spec.is_of_bodies() => {
                let (ids, raw) = (named(batch, "entry_id")?, named(batch, "raw")?);
                let (ids, raw) = (ids.as_binary::<i32>().clone(), raw.as_binary::<i32>().clone());
                let id = move |row| EntryId::from_slice(ids.value(row));
                Box::new(move |row| id(row).is_some_and(|id| found.takes(date, &id, raw.value(row))))
            }
            Self::Found(found) => {
                let (message, names) = (messages(batch)?, found.names_subject(batch)?);
                let values = body.as_binary::<i32>().clone();
                let is_event = move |row| found.events.contains::<[u8; 32]>(&Sha256::digest(values.value(row)).into());
                Box::new(move |row| found.messages.contains(&message(row)) || is_event(row) || names(row))
            }
        };
        let rows = (0_u32..).zip(0..batch.num_rows()).filter(|(_, row)| body.is_valid(*row) && selected(*row));
        Ok(rows.map(|(at, _)| at).collect())
    }

    /// `batch` without the bodies selected, and how many those are.
    pub(in crate::maintenance) fn blank(
        &self,
        spec: &schema::Table,
        date: Date,
        batch: &RecordBatch,
    ) -> Result<(RecordBatch, u64), Error> {
        let rows = self.rows(spec, date, batch)?;
        if rows.is_empty() {
            return Ok((batch.clone(), 0));
        }
        // Taken, not masked: what was said is not in memory behind a null either.
        let kept =
            (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).map(|row| (!rows.contains(&row)).then_some(row));
        let kept = UInt32Array::from_iter(kept);
        let blanked = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
            match spec.said().any(|name| name == field.name()) {
                true => take(column, &kept, None),
                false => Ok(Arc::clone(column)),
            }
        });
        let columns = blanked.collect::<Result<Vec<_>, _>>().map_err(Error::arrow)?;
        let blanked = RecordBatch::try_new(batch.schema(), columns).map_err(Error::arrow)?;
        Ok((blanked, rows.len() as u64))
    }
}
