//! Which entries the ledger already holds: a cache of ids by day, rebuilt from the ledger whenever a day is missing.

use std::collections::HashMap;

use daybook_ledger::{DataFile, EntryId, Error, Snapshot, Table};

use crate::batch::IdMap;

const IN_USAGE: u8 = 1;
const IN_CONTENT: u8 = 2;
/// A hash map holds an id in about this many bytes.
const BYTES_PER_ID: usize = 36;

/// The ids of the days in use. Exact: a duplicate is an entry with the same id on the same day, however long ago.
#[derive(Debug)]
pub(crate) struct Index {
    days: HashMap<i32, Day>,
    bytes_max: usize,
    uses: u64,
}

#[derive(Debug, Default)]
struct Day {
    ids: IdMap<u8>,
    last_use: u64,
}

/// Which table an id is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Usage,
    Content,
}

impl Held {
    const fn bit(self) -> u8 {
        match self {
            Self::Usage => IN_USAGE,
            Self::Content => IN_CONTENT,
        }
    }
}

impl Index {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { days: HashMap::new(), bytes_max, uses: 0 }
    }

    /// Makes `days` resident, reading the ids of those that are not from both tables.
    pub(crate) async fn load_days(
        &mut self,
        days: &[i32],
        usage: (&Table, &Snapshot),
        content: (&Table, &Snapshot),
    ) -> Result<(), Error> {
        self.uses += 1;
        let missing: Vec<i32> = days.iter().copied().filter(|day| !self.days.contains_key(day)).collect();
        if !missing.is_empty() {
            let mut loaded: HashMap<i32, Day> = missing.iter().map(|day| (*day, Day::default())).collect();
            for ((table, snapshot), held) in [(usage, Held::Usage), (content, Held::Content)] {
                for file in snapshot.files() {
                    if let Some(day) = loaded.get_mut(&file.date.days()) {
                        add(day, &table.load_entry_ids(&file).await?, held);
                    }
                }
            }
            self.days.extend(loaded);
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
                let ids = table.load_entry_ids(file).await?;
                if let Some(day) = self.days.get_mut(&file.date.days()) {
                    add(day, &ids, held);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn contains(&self, day: i32, id: &EntryId, held: Held) -> bool {
        self.days.get(&day).and_then(|day| day.ids.get(id)).is_some_and(|bits| bits & held.bit() != 0)
    }

    /// Takes in what this worker committed.
    pub(crate) fn insert(&mut self, day: i32, id: EntryId, held: Held) {
        if let Some(day) = self.days.get_mut(&day) {
            *day.ids.entry(id).or_default() |= held.bit();
        }
    }

    /// Gives up the days used longest ago while over the limit; those of the batch at hand stay.
    fn evict(&mut self, keep: &[i32]) {
        while self.days.values().map(|day| day.ids.len() * BYTES_PER_ID).sum::<usize>() > self.bytes_max {
            let oldest = self.days.iter().filter(|(day, _)| !keep.contains(day)).min_by_key(|(_, day)| day.last_use);
            let Some(oldest) = oldest.map(|(day, _)| *day) else { break };
            self.days.remove(&oldest);
        }
    }
}

fn add(day: &mut Day, ids: &[EntryId], held: Held) {
    for id in ids {
        *day.ids.entry(*id).or_default() |= held.bit();
    }
}
