//! Each call of `usage` is there once, on the day it began, and days come one after another.

use std::collections::HashSet;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use daybook_ledger::{EntryId, Instant};

use super::Verdict;
use crate::describe::SUMMARY;
use crate::totals::REPEATED_ROWS;

/// Ids of one day that are held, in some 140 MiB.
const IDS_MAX: usize = 4 << 20;

/// The calls so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    day: Option<i32>,
    /// Of that day.
    ids: HashSet<EntryId>,
    misplaced: u64,
    doubled: u64,
    first_doubled: Option<EntryId>,
    has_gone_back: bool,
    /// Calls that did not fit beside those of their day.
    unseen: u64,
}

impl Calls {
    /// Takes in rows that say who they are, and when they began.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let [ids, days, starts] = ["entry_id", "event_date", "started_at"].map(|name| batch.column_by_name(name));
        let ids = ids.and_then(|column| column.as_binary_view_opt()).ok_or("it has no ids")?;
        let days = days.and_then(|column| column.as_primitive_opt::<Date32Type>()).ok_or("it has no days")?;
        let starts = starts.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let starts = starts.ok_or("it does not say when calls began")?;
        for ((id, day), start) in ids.iter().zip(days.iter()).zip(starts.iter()) {
            let id = id.and_then(EntryId::from_slice).ok_or("a call has no id of 16 bytes")?;
            let began = start.map(|start| Instant::from_micros(start).date().days());
            self.misplaced += u64::from(day.is_none() || day != began);
            self.take(id, day);
        }
        Ok(())
    }

    fn take(&mut self, id: EntryId, day: Option<i32>) {
        if self.day != day {
            self.has_gone_back |= day < self.day;
            self.day = day;
            self.ids.clear();
        }
        if self.ids.len() >= IDS_MAX {
            self.unseen += 1;
        } else if !self.ids.insert(id) {
            self.doubled += 1;
            self.first_doubled.get_or_insert(id);
        }
    }

    /// Tells what is wrong with the calls of the table `place`, of whose rows `summary.json` says that `repeated` repeat a call.
    pub(super) fn report(&self, place: &str, repeated: u64, verdict: &mut Verdict) {
        let doubled = self.doubled;
        match self.first_doubled {
            Some(first) if doubled > repeated => {
                verdict.differs(place, format!("{doubled} calls are there twice, the first is {first}"));
            }
            Some(_) => verdict.note(place, format!("{doubled} calls are there twice, as in its ledger")),
            None => {}
        }
        // Only Parquet files are looked at call by call.
        if doubled < repeated && self.day.is_some() && self.unseen == 0 {
            verdict.differs(SUMMARY, format!("{REPEATED_ROWS} is {repeated}, {place} has {doubled}"));
        }
        if self.misplaced > 0 {
            verdict.differs(place, format!("{} calls are on another day than they began on", self.misplaced));
        }
        if self.has_gone_back {
            verdict.differs(place, "a day comes before an earlier one");
        }
        if self.unseen > 0 {
            let unseen = self.unseen;
            verdict.note(
                place,
                format!("{unseen} calls, those beyond {IDS_MAX} of a day, may be there twice: nobody looked"),
            );
        }
    }
}
