//! The entries of one day: in a hash map, or packed where memory is short.

use daybook_ledger::EntryId;

use super::Known;
use crate::batch::IdMap;

/// A hash map holds an id in 20 to 41 bytes, as it grows by doubling.
const BYTES_PER_SLOT: usize = 41;
/// Packing moves every id of the day, so it waits until one in so many is new.
const PACK_SHARE: usize = 16;

/// Which entries of a day are in which table.
#[derive(Debug, Default)]
pub(super) struct Day {
    recent: IdMap<Known>,
    /// Sorted, 17 bytes each; none of them is in `recent`.
    packed: Vec<(EntryId, Known)>,
    pub(super) last_use: u64,
}

impl Day {
    pub(super) fn add(&mut self, rows: &[(EntryId, Known)]) {
        for (id, told) in rows {
            let packed = self.find(id).and_then(|at| self.packed.get_mut(at));
            let known = match packed {
                Some((_, known)) => known,
                None => self.recent.entry(*id).or_default(),
            };
            *known = known.and(*told);
        }
    }

    pub(super) fn known(&self, id: &EntryId) -> Known {
        let packed = || Some(self.packed.get(self.find(id)?)?.1);
        self.recent.get(id).copied().or_else(packed).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.recent.len() * BYTES_PER_SLOT + self.packed.capacity() * size_of::<(EntryId, Known)>()
    }

    /// Takes half the memory from now on; an id is then found by a search.
    pub(super) fn pack(&mut self) {
        if self.recent.len() * PACK_SHARE <= self.packed.len() {
            return;
        }
        self.packed.reserve_exact(self.recent.len());
        self.packed.extend(std::mem::take(&mut self.recent));
        self.packed.sort_unstable_by_key(|(id, _)| *id);
    }

    fn find(&self, id: &EntryId) -> Option<usize> {
        self.packed.binary_search_by_key(id, |(id, _)| *id).ok()
    }
}

#[cfg(test)]
mod tests {
    use daybook_ledger::Finality;

    use super::*;

    /// Ids as random as digests are, and made faster.
    fn ids(day: u32, count: u32) -> impl Iterator<Item = EntryId> {
        let mixed = |number: u128| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).rotate_left(61);
        (0..count).map(move |number| EntryId(mixed(mixed(u128::from(day) << 64 | u128::from(number))).to_le_bytes()))
    }

    #[test]
    fn a_packed_day_knows_what_it_knew_and_what_comes_after() {
        let (mut day, mut plain) = (Day::default(), Day::default());
        let bodies = [Finality::Final, Finality::Pending, Finality::CutShort, Finality::Final];
        for (round, finality) in (0_u8..).zip(bodies) {
            for told in [Known::entry(round % 3), Known::body(finality)] {
                let rows: Vec<_> = ids(0, 2_000 * (u32::from(round) + 1)).map(|id| (id, told)).collect();
                day.add(&rows);
                plain.add(&rows);
                day.pack();
            }
        }
        assert!(!day.packed.is_empty() && day.packed.is_sorted_by_key(|(id, _)| *id));
        for id in ids(0, 10_000) {
            assert_eq!(day.known(&id), plain.known(&id));
        }
        assert_eq!(day.recent.len() + day.packed.len(), 8_000, "each id once");
    }

    /// What an index of 30 days takes at most: a batch that has calls of every one of them keeps all in memory.
    #[test]
    #[ignore = "takes 2 GiB and minutes"]
    fn a_hundred_million_calls_of_thirty_days_fit_in_two_gib() {
        const DAYS: u32 = 30;
        const CALLS: u32 = 100_000_000;
        let mut days = Vec::new();
        for number in 0..DAYS {
            let mut day = Day::default();
            let mut rows: Vec<_> = ids(number, CALLS.div_ceil(DAYS)).map(|id| (id, Known::entry(3))).collect();
            let (most, last) = rows.split_at(rows.len() - rows.len() / (PACK_SHARE + 1));
            day.add(most);
            day.pack();
            // As many as stay beside it at most.
            day.add(last);
            day.pack();
            rows.iter_mut().for_each(|(_, told)| *told = Known::body(Finality::Final));
            day.add(&rows);
            days.push(day);
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        let peak_bytes = peak.parse::<usize>().unwrap() << 10;
        let bytes: usize = days.iter().map(Day::bytes).sum();
        println!("{CALLS} ids: {bytes} bytes by its own count, {peak_bytes} at the peak of the process");
        assert!(ids(29, 1_000).all(|id| days[29].known(&id).has_entry() && days[0].known(&id) == Known::default()));
        assert!(bytes < 2 << 30 && peak_bytes < 2 << 30, "{bytes} {peak_bytes}");
    }
}
