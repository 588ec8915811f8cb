//! Where the ledger stands in the partitions a worker owns, and what of it Kafka's consumer group has taken.
//!
//! The ledger is the record; the group's offsets are what lag monitors and Kafka's own tools read.

use std::collections::BTreeMap;

use daybook_ledger::NextOffset;

use crate::partition::Partition;

#[derive(Debug, Default)]
pub(crate) struct Group {
    stands: BTreeMap<Partition, NextOffset>,
    taken: BTreeMap<Partition, NextOffset>,
}

impl Group {
    /// The ledger stands here in partitions that are owned.
    pub(crate) fn moved(&mut self, positions: Vec<(Partition, NextOffset)>) {
        advance(&mut self.stands, positions);
    }

    /// These partitions are another worker's to tell.
    pub(crate) fn revoked(&mut self, partitions: &[Partition]) {
        self.stands.retain(|partition, _| !partitions.contains(partition));
    }

    /// The group has taken these offsets.
    pub(crate) fn took(&mut self, offsets: Vec<(Partition, NextOffset)>) {
        advance(&mut self.taken, offsets);
    }

    /// What the group is to know.
    pub(crate) fn stands(&self) -> Vec<(Partition, NextOffset)> {
        self.stands.iter().map(|(partition, position)| (partition.clone(), *position)).collect()
    }

    /// Whether the group knows it.
    pub(crate) fn is_told(&self) -> bool {
        self.stands.iter().all(|(partition, position)| self.taken.get(partition) >= Some(position))
    }
}

/// Never backwards: answers and positions may come late.
fn advance(known: &mut BTreeMap<Partition, NextOffset>, offsets: Vec<(Partition, NextOffset)>) {
    for (partition, offset) in offsets {
        let at = known.entry(partition).or_insert(offset);
        *at = offset.max(*at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> Partition {
        Partition { topic: "calls".into(), number }
    }

    fn offsets<const N: usize>(offsets: [(i32, i64); N]) -> Vec<(Partition, NextOffset)> {
        offsets.map(|(number, offset)| (partition(number), NextOffset(offset))).into()
    }

    #[test]
    fn the_group_is_told_when_it_took_the_last_offset_of_every_partition_owned() {
        let mut group = Group::default();
        assert!(group.is_told(), "nothing is owned");
        group.moved(offsets([(0, 10), (1, 5)]));
        group.took(offsets([(0, 10)]));
        assert!(!group.is_told());
        group.took(offsets([(1, 5)]));
        assert!(group.is_told());
        group.moved(offsets([(1, 6)]));
        assert!(!group.is_told());
        group.revoked(&[partition(1)]);
        assert!(group.is_told());
    }

    #[test]
    fn what_comes_late_moves_nothing_back() {
        let mut group = Group::default();
        group.moved(offsets([(0, 10)]));
        group.moved(offsets([(0, 8)]));
        group.took(offsets([(0, 10)]));
        group.took(offsets([(0, 7)]));
        assert_eq!(group.stands(), offsets([(0, 10)]));
        assert!(group.is_told());
    }
}
