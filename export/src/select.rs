//! Which rows go into a bundle.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use daybook_ledger::{Date, EntryId, Finality, Instant, Operation, Status};

use crate::migrate::{Dropped, Offer, Whole};
use crate::totals::words;
use crate::{Error, Part, Scope};

const DAY_MICROS: i64 = 86_400_000_000;
/// Operations that are turns of a conversation.
const TURNS: [Operation; 2] = [Operation::Chat, Operation::Responses];

/// Half-open: `from` is in, `to` is not. `None` has no end on that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Option<Instant>,
    pub(crate) to: Option<Instant>,
}

impl Window {
    pub(crate) fn contains(&self, micros: i64) -> bool {
        self.from.is_none_or(|from| from.micros() <= micros) && self.to.is_none_or(|to| micros < to.micros())
    }

    /// Whether an instant of `day` is in it.
    pub(crate) fn touches(&self, day: Date) -> bool {
        let (first, last) = bounds(day);
        self.from.is_none_or(|from| from.micros() <= last) && self.to.is_none_or(|to| first < to.micros())
    }

    fn holds_all_of(&self, day: Date) -> bool {
        let (first, last) = bounds(day);
        self.contains(first) && self.contains(last)
    }

    /// The rows of `batch`, all of `day`, whose instant is in the window.
    ///
    /// A row's instant is the first of `columns` that lies on its day, or else the day's start: so each row is in
    /// exactly one of two windows that meet.
    pub(crate) fn select(&self, batch: &RecordBatch, day: Date, columns: &[&str]) -> Result<RecordBatch, Error> {
        if self.holds_all_of(day) {
            return Ok(batch.clone());
        }
        let (first, last) = bounds(day);
        let instants: Vec<_> = columns
            .iter()
            .filter_map(|name| batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>())
            .collect();
        let of_row = |row: usize| {
            let mut values = instants.iter().filter(|column| column.is_valid(row)).map(|column| column.value(row));
            values.find(|micros| (first..=last).contains(micros)).unwrap_or(first)
        };
        let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(self.contains(of_row(row)))).collect();
        filter_record_batch(batch, &mask).map_err(Error::arrow)
    }
}

fn bounds(day: Date) -> (i64, i64) {
    let first = i64::from(day.days()).saturating_mul(DAY_MICROS);
    (first, first.saturating_add(DAY_MICROS - 1))
}

/// The entries of one day that were selected, so that their bodies follow: 17 bytes each.
#[derive(Debug, Default)]
pub(crate) struct DayEntries {
    /// And whether the event of each had a body.
    entries: Vec<([u8; 16], bool)>,
    is_sorted: bool,
    /// Whether the entry at the same place has a body in the bundle.
    has_body: Vec<bool>,
    /// Entries that are in because a correction of theirs is.
    corrected: HashSet<[u8; 16]>,
    /// Entries of which a correction names another person than the one that is asked for.
    of_another: HashSet<[u8; 16]>,
    /// Entries that are no turns of a conversation.
    other_operations: HashSet<[u8; 16]>,
    /// Whether the entry at the same place was offered to migrations.
    is_offered: Vec<bool>,
    /// Entries that have, of calls cut short, what was said until then.
    cut_short: HashSet<[u8; 16]>,
    /// Entries whose call did not end, or was cut short, by their rows in `usage`.
    unfinished: HashSet<[u8; 16]>,
    /// Entries whose call ended, by a correction.
    ended: HashSet<[u8; 16]>,
}

impl DayEntries {
    /// Takes in the selected rows of `usage`.
    pub(crate) fn add(&mut self, usage: &RecordBatch) -> Result<(), Error> {
        let digests = usage.column_by_name("content_sha256");
        let had_body = (0..usage.num_rows()).map(|row| digests.is_some_and(|digests| digests.is_valid(row)));
        self.entries.extend(ids(usage)?.zip(had_body).filter_map(|(id, had_body)| Some((id?, had_body))));
        self.is_sorted = false;
        Ok(())
    }

    /// Notes which of the selected rows of `usage` are no turns of a conversation, or not whole ones.
    pub(crate) fn add_turns(&mut self, usage: &RecordBatch) -> Result<(), Error> {
        let operations = words(usage, "operation")?;
        let is_turn = |operation| TURNS.iter().any(|turn| turn.as_str() == operation);
        let others = ids(usage)?.zip(operations.iter()).filter(|(_, operation)| !operation.is_some_and(is_turn));
        self.other_operations.extend(others.filter_map(|(id, _)| id));
        let unfinished = ids(usage)?.zip(are_final(usage)?).filter(|(_, is_final)| !is_final);
        self.unfinished.extend(unfinished.filter_map(|(id, _)| id));
        Ok(())
    }

    /// Takes in rows of `corrections`, as [`DayEntries::add_partial`] does its.
    pub(crate) fn add_ends(&mut self, corrections: &RecordBatch) -> Result<(), Error> {
        let ended = ids(corrections)?.zip(are_final(corrections)?).filter(|(_, is_final)| *is_final);
        self.ended.extend(ended.filter_map(|(id, _)| id));
        Ok(())
    }

    /// Takes in rows of `content_partial`; bodies are offered after all of a day's.
    pub(crate) fn add_partial(&mut self, bodies: &RecordBatch) -> Result<(), Error> {
        let cut_short = ids(bodies)?.zip(are_pending(bodies)?).filter(|(_, is_pending)| !is_pending);
        self.cut_short.extend(cut_short.filter_map(|(id, _)| id));
        Ok(())
    }

    /// Of each selected row of a table of bodies, why it is not offered to migrations: one body of each turn is, that of its end
    /// if there is one, which `content` has and is read first. What is offered is whole or not: versions before `content_partial`
    /// put all bodies into `content`.
    pub(crate) fn offer(&mut self, bodies: &RecordBatch, part: Part) -> Result<Arc<[Offer]>, Error> {
        self.sort();
        self.is_offered.resize(self.entries.len(), false);
        let offer = |(id, is_pending): (Option<[u8; 16]>, bool)| {
            let id = id.unwrap_or_default();
            if is_pending && self.cut_short.contains(&id) {
                return Err(Dropped::RepeatedBody);
            }
            let place = find(&self.entries, &id).and_then(|at| self.is_offered.get_mut(at));
            match place.map(|is_offered| std::mem::replace(is_offered, true)) {
                Some(true) => Err(Dropped::RepeatedBody),
                _ if self.other_operations.contains(&id) => Err(Dropped::OtherOperation),
                _ if part == Part::ContentPartial => Ok(Whole(false)),
                _ => Ok(Whole(!self.unfinished.contains(&id) || self.ended.contains(&id))),
            }
        };
        Ok(ids(bodies)?.zip(are_pending(bodies)?).map(offer).collect())
    }

    /// Notes the entries of corrections that are in; rows of `usage` come after them.
    pub(crate) fn add_corrected(&mut self, corrections: &RecordBatch, scope: &Scope) -> Result<(), Error> {
        let named = |mask: BooleanArray| {
            let named = ids(corrections)?.zip(&mask).filter(|(_, is_named)| *is_named == Some(true));
            Ok::<_, Error>(named.filter_map(|(id, _)| id).collect::<Vec<_>>())
        };
        self.corrected.extend(named(scope.holds(corrections)?)?);
        self.of_another.extend(named(scope.names_another(corrections)?)?);
        Ok(())
    }

    /// The rows of `usage` that are in `scope`, and those a correction brings in. A call that events give to two persons is in
    /// neither's: whose words its body has, nobody can tell.
    pub(crate) fn in_scope(&self, usage: &RecordBatch, scope: &Scope) -> Result<RecordBatch, Error> {
        let (holds, names_another) = (scope.holds(usage)?, scope.names_another(usage)?);
        let mut mask = Vec::with_capacity(usage.num_rows());
        for ((id, holds), names_another) in ids(usage)?.zip(&holds).zip(&names_another) {
            let among = |entries: &HashSet<[u8; 16]>| id.is_some_and(|id| entries.contains(&id));
            let is_asked_for = holds == Some(true) || among(&self.corrected);
            mask.push(is_asked_for && names_another != Some(true) && !among(&self.of_another));
        }
        filter_record_batch(usage, &BooleanArray::from(mask)).map_err(Error::arrow)
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            self.entries.sort_unstable();
            self.has_body = vec![false; self.entries.len()];
            self.is_sorted = true;
        }
    }

    /// The rows of a table that belong to them, by `entry_id`.
    pub(crate) fn rows_of(&mut self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        self.sort();
        let is_in = |id: Option<[u8; 16]>| Some(id.is_some_and(|id| find(&self.entries, &id).is_some()));
        let mask: BooleanArray = ids(batch)?.map(is_in).collect();
        filter_record_batch(batch, &mask).map_err(Error::arrow)
    }

    /// The rows of a table of bodies that belong to them.
    pub(crate) fn select(&mut self, bodies: &RecordBatch) -> Result<RecordBatch, Error> {
        self.sort();
        let mut mask = Vec::with_capacity(bodies.num_rows());
        for id in ids(bodies)? {
            let found = id.and_then(|id| find(&self.entries, &id));
            if let Some(has_body) = found.and_then(|at| self.has_body.get_mut(at)) {
                *has_body = true;
            }
            mask.push(found.is_some());
        }
        filter_record_batch(bodies, &BooleanArray::from(mask)).map_err(Error::arrow)
    }

    /// Rows of an entry beyond its first: Daybook writes none, another program may have.
    pub(crate) fn repeated(&mut self) -> u64 {
        self.sort();
        self.entries.windows(2).filter(|pair| matches!(pair, [(one, _), (other, _)] if one == other)).count() as u64
    }

    /// Entries whose event had a body that the ledger does not keep.
    pub(crate) fn without_body(&self) -> u64 {
        let pairs = self.has_body.iter().zip(&self.entries);
        pairs.filter(|(has_body, (_, had_body))| *had_body && !**has_body).count() as u64
    }
}

/// Where the entry is among `entries`, which are sorted.
fn find(entries: &[([u8; 16], bool)], id: &[u8; 16]) -> Option<usize> {
    entries.binary_search_by_key(&id, |(id, _)| id).ok()
}

/// Whether each row of `usage` or `corrections` is of an event after the end of its call.
fn are_final(usage: &RecordBatch) -> Result<impl Iterator<Item = bool>, Error> {
    let is_final = |word: Option<&str>| word.and_then(Status::named).map(Status::finality) == Some(Finality::Final);
    Ok(words(usage, "status")?.iter().map(is_final).collect::<Vec<_>>().into_iter())
}

/// Whether each row of a table of bodies is of an event before the end of its call, which went on.
fn are_pending(bodies: &RecordBatch) -> Result<impl Iterator<Item = bool>, Error> {
    let statuses = bodies.column_by_name("status").map(|_| words(bodies, "status")).transpose()?;
    let is_pending = |word: Option<&str>| word == Some(Status::Pending.as_str());
    let pending: Vec<bool> = match statuses {
        Some(statuses) => statuses.iter().map(is_pending).collect(),
        None => vec![false; bodies.num_rows()],
    };
    Ok(pending.into_iter())
}

fn ids(batch: &RecordBatch) -> Result<impl Iterator<Item = Option<[u8; 16]>>, Error> {
    let column = batch.column_by_name("entry_id").and_then(|column| column.as_binary_opt::<i32>());
    let Some(column) = column else {
        return Err(Error::Internal { invariant: "a batch has the columns of its table", found: "entry_id".into() });
    };
    Ok(column.iter().map(|id| id.and_then(EntryId::from_slice).map(|id| id.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    #[test]
    fn a_window_holds_its_first_instant_and_not_its_end() {
        let window = Window { from: Some(at("2026-11-20T10:00:00Z")), to: Some(at("2026-11-20T11:00:00Z")) };
        assert!(window.contains(at("2026-11-20T10:00:00Z").micros()));
        assert!(!window.contains(at("2026-11-20T10:00:00Z").micros() - 1));
        assert!(window.contains(at("2026-11-20T11:00:00Z").micros() - 1));
        assert!(!window.contains(at("2026-11-20T11:00:00Z").micros()));
    }

    #[test]
    fn only_days_with_an_instant_in_the_window_are_read() {
        let window = Window { from: Some(at("2026-11-20T00:00:00Z")), to: Some(at("2026-11-21T00:00:00Z")) };
        let day = |text: &str| Date::parse(text).unwrap();
        assert!(window.touches(day("2026-11-20")) && window.holds_all_of(day("2026-11-20")));
        assert!(!window.touches(day("2026-11-19")));
        assert!(!window.touches(day("2026-11-21")));
        assert!(Window::default().holds_all_of(day("2026-11-21")));
    }
}
