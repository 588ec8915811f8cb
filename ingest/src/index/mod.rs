//! Which entries the ledger already holds: a cache of ids by day, rebuilt from the ledger whenever a day is missing.

use std::collections::HashMap;

use daybook_ledger::{DataFile, EntryId, Error, Snapshot, Table};

use self::day::Day;

mod day;

/// The ids of the days in use. Exact: a duplicate is an entry with the same id on the same day, however long ago.
#[derive(Debug)]
pub(crate) struct Index {
    days: HashMap<i32, Day>,
    bytes_max: usize,
    uses: u64,
}

/// Which table rows are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Usage,
    /// A correction makes an entry more complete, and is none by itself.
    Corrections,
    Content,
}

/// The tables that tell what is recorded.
pub(crate) type Tables<'t> = [(&'t Table, &'t Snapshot, Held); 3];

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
                        day.add(&load(table, *held, file).await?, *held);
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
                let ids = load(table, held, file).await?;
                if let Some(day) = self.days.get_mut(&file.date.days()) {
                    day.add(&ids, held);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn contains(&self, day: i32, id: &EntryId, held: Held) -> bool {
        self.days.get(&day).is_some_and(|day| day.contains(id, held))
    }

    /// Whether the ledger has the entry and tells less of it than an event of `completeness`.
    pub(crate) fn tells_less(&self, day: i32, id: &EntryId, completeness: u8) -> bool {
        self.days.get(&day).is_some_and(|day| day.tells_less(id, completeness))
    }

    /// Takes in what this worker committed.
    pub(crate) fn insert(&mut self, day: i32, (id, completeness): (EntryId, u8), held: Held) {
        if let Some(day) = self.days.get_mut(&day) {
            day.add(&[(id, completeness)], held);
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

/// The rows of `file`: their entries and how complete they are; bodies tell nothing of that.
async fn load(table: &Table, held: Held, file: &DataFile) -> Result<Vec<(EntryId, u8)>, Error> {
    match held {
        Held::Usage | Held::Corrections => table.load_completeness(file).await,
        Held::Content => Ok(table.load_entry_ids(file).await?.into_iter().map(|id| (id, 0)).collect()),
    }
}
