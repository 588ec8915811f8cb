//! Which entries the ledger already holds: a cache of ids by day, rebuilt from the ledger whenever a day is missing.

use std::collections::HashMap;

use daybook_ledger::{DataFile, EntryId, Error, Finality, Snapshot, Table};

use self::day::Day;

mod day;

/// The ids of the days in use. Exact: a duplicate is an entry with the same id on the same day, however long ago.
#[derive(Debug)]
pub(crate) struct Index {
    days: HashMap<i32, Day>,
    bytes_max: usize,
    uses: u64,
}

/// What rows of a table tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Calls, as `usage` or `corrections` has them.
    Entries,
    /// What was said in calls, as `content` or `content_partial` has it.
    Bodies,
}

/// What the ledger knows of a call, in one byte, since there are many: below, how complete its entry is, with its corrections; above,
/// how final the event is whose body it has. Each is one more than that, 0 if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(u8);

impl Known {
    const ENTRY: u8 = 0x0f;
    const BODY: u8 = 0xf0;

    /// An entry of this completeness. A correction is of an entry, also if the row was not seen yet.
    pub(crate) fn entry(completeness: u8) -> Self {
        Self((completeness + 1).min(Self::ENTRY))
    }

    pub(crate) fn body(finality: Finality) -> Self {
        Self((finality as u8 + 1) << 4)
    }

    /// What both tell.
    fn and(self, other: Self) -> Self {
        let most = |part: u8| (self.0 & part).max(other.0 & part);
        Self(most(Self::ENTRY) | most(Self::BODY))
    }

    pub(crate) fn has_entry(self) -> bool {
        self.0 & Self::ENTRY > 0
    }

    /// Whether the ledger has the entry and tells less of it than an event of `completeness`.
    pub(crate) fn tells_less(self, completeness: u8) -> bool {
        self.has_entry() && self.0 & Self::ENTRY <= completeness
    }

    /// Whether the ledger has no body of an event as final as `finality`.
    pub(crate) fn lacks_body(self, finality: Finality) -> bool {
        self.0 & Self::BODY < Self::body(finality).0
    }
}

/// The tables that tell what is recorded.
pub(crate) type Tables<'t> = [(&'t Table, &'t Snapshot, Held); 4];

impl Index {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { days: HashMap::new(), bytes_max, uses: 0 }
    }

    /// Makes `days` resident, reading the ids of those that are not from all tables.
    pub(crate) async fn load_days(&mut self, days: &[i32], tables: Tables<'_>) -> Result<(), Error> {
        self.uses += 1;
        let missing: Vec<i32> = days.iter().copied().filter(|day| !self.days.contains_key(day)).collect();
        if !missing.is_empty() {
            let files = tables.map(|(table, snapshot, held)| (table, snapshot.files(), held));
            for number in missing {
                let mut day = Day::default();
                for (table, files, held) in &files {
                    for file in files.iter().filter(|file| file.date.days() == number) {
                        day.add(&load(table, *held, file).await?);
                    }
                }
                self.days.insert(number, day);
                self.evict(days);
            }
        }
        for day in days {
            if let Some(day) = self.days.get_mut(day) {
                day.last_use = self.uses;
            }
        }
        self.evict(days);
        Ok(())
    }

    /// Takes in files that other workers committed.
    pub(crate) async fn absorb(&mut self, table: &Table, held: Held, files: &[DataFile]) -> Result<(), Error> {
        for file in files {
            if self.days.contains_key(&file.date.days()) {
                let rows = load(table, held, file).await?;
                if let Some(day) = self.days.get_mut(&file.date.days()) {
                    day.add(&rows);
                }
            }
        }
        Ok(())
    }

    /// What the ledger knows of a call of a day that is resident.
    pub(crate) fn known(&self, day: i32, id: &EntryId) -> Known {
        self.days.get(&day).map_or_else(Known::default, |day| day.known(id))
    }

    /// Takes in what this worker committed.
    pub(crate) fn insert(&mut self, day: i32, id: EntryId, told: Known) {
        if let Some(day) = self.days.get_mut(&day) {
            day.add(&[(id, told)]);
        }
    }

    /// Gives up the days used longest ago while over the limit; those of the batch at hand stay, and are packed.
    fn evict(&mut self, keep: &[i32]) {
        while self.bytes() > self.bytes_max {
            let oldest = self.days.iter().filter(|(day, _)| !keep.contains(day)).min_by_key(|(_, day)| day.last_use);
            let Some(oldest) = oldest.map(|(day, _)| *day) else { break };
            self.days.remove(&oldest);
        }
        if self.bytes() > self.bytes_max {
            self.days.values_mut().for_each(Day::pack);
        }
    }

    fn bytes(&self) -> usize {
        self.days.values().map(Day::bytes).sum()
    }
}

/// What the rows of `file` tell of their calls.
async fn load(table: &Table, held: Held, file: &DataFile) -> Result<Vec<(EntryId, Known)>, Error> {
    Ok(match held {
        Held::Entries => {
            let rows = table.load_completeness(file).await?.into_iter();
            rows.map(|(id, completeness)| (id, Known::entry(completeness))).collect()
        }
        Held::Bodies => {
            let rows = table.load_finality(file).await?.into_iter();
            rows.map(|(id, finality)| (id, Known::body(finality))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_complete_entry_and_the_more_final_body_are_known() {
        let pending = Known::default().and(Known::body(Finality::Pending));
        assert!(!pending.has_entry() && !pending.tells_less(5), "a body is no entry");
        assert!(pending.lacks_body(Finality::CutShort) && !pending.lacks_body(Finality::Pending));
        let counted = pending.and(Known::entry(1));
        assert!(counted.has_entry() && counted.tells_less(2) && !counted.tells_less(1));
        assert!(counted.lacks_body(Finality::Final), "counts are no body");
        let ended = counted.and(Known::body(Finality::Final)).and(Known::entry(5)).and(Known::entry(0));
        assert!(!ended.tells_less(5) && !ended.lacks_body(Finality::Final));
    }
}
