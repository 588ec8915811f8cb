//! Which entries the ledger already holds: a cache of ids by day, rebuilt from the ledger whenever a day is missing.

use std::collections::HashMap;

use daybook_ledger::{DataFile, EntryId, Error, Snapshot, Table};

use crate::batch::IdMap;

/// What is known of an id, in one byte: in `usage`, in `content`, and above them how much the ledger tells of the call.
const IN_USAGE: u8 = 1;
const IN_CONTENT: u8 = 2;
const COMPLETENESS_SHIFT: u8 = 2;
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

/// Which table rows are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Usage,
    /// A correction makes an entry more complete, and is none by itself.
    Corrections,
    Content,
}

impl Held {
    const fn bit(self) -> u8 {
        match self {
            Self::Usage => IN_USAGE,
            Self::Corrections => 0,
            Self::Content => IN_CONTENT,
        }
    }
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
            let mut loaded: HashMap<i32, Day> = missing.iter().map(|day| (*day, Day::default())).collect();
            for (table, snapshot, held) in tables {
                for file in snapshot.files() {
                    if let Some(day) = loaded.get_mut(&file.date.days()) {
                        add(day, &load(table, held, &file).await?, held);
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
                let ids = load(table, held, file).await?;
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

    /// Whether the ledger has the entry and tells less of it than an event of `completeness`.
    pub(crate) fn tells_less(&self, day: i32, id: &EntryId, completeness: u8) -> bool {
        let known = self.days.get(&day).and_then(|day| day.ids.get(id));
        known.is_some_and(|bits| bits & IN_USAGE != 0 && bits >> COMPLETENESS_SHIFT < completeness)
    }

    /// Takes in what this worker committed.
    pub(crate) fn insert(&mut self, day: i32, (id, completeness): (EntryId, u8), held: Held) {
        if let Some(day) = self.days.get_mut(&day) {
            add(day, &[(id, completeness)], held);
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

/// The rows of `file`: their entries and how complete they are; bodies tell nothing of that.
async fn load(table: &Table, held: Held, file: &DataFile) -> Result<Vec<(EntryId, u8)>, Error> {
    match held {
        Held::Usage | Held::Corrections => table.load_completeness(file).await,
        Held::Content => Ok(table.load_entry_ids(file).await?.into_iter().map(|id| (id, 0)).collect()),
    }
}

fn add(day: &mut Day, rows: &[(EntryId, u8)], held: Held) {
    for (id, completeness) in rows {
        let bits = day.ids.entry(*id).or_default();
        let most = (*bits >> COMPLETENESS_SHIFT).max(*completeness);
        *bits = (most << COMPLETENESS_SHIFT) | (*bits & (IN_USAGE | IN_CONTENT)) | held.bit();
    }
}
