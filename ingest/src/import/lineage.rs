//! Which file is which: by what its records are, never by its name.
//!
//! A file's records are chained by SHA-256. Its partition is named after the first record; the ledger keeps, with the
//! position, the digest of the records before it. A file whose first N records give that digest is the same file,
//! whatever it is called and whatever was appended to it. One that begins alike and goes on differently gets a partition
//! of its own, with the next number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::partition::{Partition, Positions};

/// The digest over records so far: each one is hashed with the digest of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain([u8; 32]);

impl Chain {
    /// After one more record.
    pub(crate) fn then(self, record: &[u8]) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(record).finalize().into())
    }

    /// As the ledger keeps it.
    pub(crate) fn number(self) -> i64 {
        let head = self.0.first_chunk::<8>().copied().unwrap_or_default();
        i64::from_be_bytes(head) & i64::MAX
    }

    /// The name of files that begin with this one record.
    pub(crate) fn name(self) -> Arc<str> {
        self.0.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }
}

/// What is known of every file that begins with one record.
#[derive(Clone, Debug, Default)]
struct Family {
    /// By the partition's number.
    positions: BTreeMap<i32, Positions>,
    epochs: Epochs,
}

/// How often what was known of a file turned out to be overtaken by another import, by the partition's number; never if it
/// is not there.
pub(crate) type Epochs = BTreeMap<i32, u64>;

impl Family {
    fn epoch(&self, number: i32) -> u64 {
        self.epochs.get(&number).copied().unwrap_or_default()
    }
}

/// What is known of files, shared by the threads that read them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    families: Mutex<BTreeMap<Arc<str>, Family>>,
    /// Names of families of which a file is being read.
    leased: Mutex<BTreeSet<Arc<str>>>,
    released: Condvar,
}

/// The right to read files of one family; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease<'k> {
    known: &'k Known,
    pub(crate) name: Arc<str>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.known.leased.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.known.released.notify_all();
    }
}

impl Known {
    /// Starts with what the ledger says.
    pub(crate) fn new(files: impl IntoIterator<Item = (Partition, Positions)>) -> Self {
        let mut families: BTreeMap<Arc<str>, Family> = BTreeMap::new();
        for (partition, positions) in files {
            families.entry(partition.topic).or_default().positions.insert(partition.number, positions);
        }
        Self { families: Mutex::new(families), ..Self::default() }
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other file of the family is being read: two copies at once would both start at its beginning.
    pub(crate) fn lease(&self, name: Arc<str>) -> Lease<'_> {
        let mut leased = self.leased.lock().unwrap_or_else(PoisonError::into_inner);
        while !leased.insert(Arc::clone(&name)) {
            leased = self.released.wait(leased).unwrap_or_else(PoisonError::into_inner);
        }
        Lease { known: self, name }
    }

    /// The files of a family, and their epochs.
    pub(crate) fn family(&self, name: &str) -> (BTreeMap<i32, Positions>, Epochs) {
        let Family { positions, epochs } = self.families().get(name).cloned().unwrap_or_default();
        (positions, epochs)
    }

    /// The epoch of one file.
    pub(crate) fn epoch(&self, partition: &Partition) -> u64 {
        self.families().get(&partition.topic).map_or(0, |family| family.epoch(partition.number))
    }

    /// What reading `partition` has come to, unless another import overtook that since `epoch`; the ledger follows.
    pub(crate) fn advance(&self, partition: &Partition, positions: Positions, epoch: u64) {
        let mut families = self.families();
        let family = families.entry(Arc::clone(&partition.topic)).or_default();
        if family.epoch(partition.number) == epoch {
            let known = family.positions.entry(partition.number).or_insert(positions);
            // What landed may be less than what a copy that goes on has come to.
            if known.usage <= positions.usage {
                *known = positions;
            }
        }
    }

    /// What the ledger says of `partition` after another import moved it.
    pub(crate) fn overtaken(&self, partition: &Partition, positions: Positions) {
        let mut families = self.families();
        let family = families.entry(Arc::clone(&partition.topic)).or_default();
        *family.epochs.entry(partition.number).or_default() += 1;
        match positions.usage {
            Some(_) => family.positions.insert(partition.number, positions),
            None => family.positions.remove(&partition.number),
        };
    }
}

#[cfg(test)]
mod tests {
    use daybook_ledger::NextOffset;

    use super::*;

    fn chain(records: &[&str]) -> Chain {
        records.iter().fold(Chain::default(), |chain, record| chain.then(record.as_bytes()))
    }

    #[test]
    fn where_records_end_is_part_of_the_digest() {
        assert_ne!(chain(&["ab", "c"]), chain(&["a", "bc"]));
        assert_ne!(chain(&["a", "b"]), chain(&["b", "a"]));
        assert_eq!(chain(&["a", "b"]), chain(&["a", "b"]));
        assert!(chain(&["a"]).number() >= 0);
        assert_eq!(chain(&["a"]).name().len(), 32);
    }

    #[test]
    fn what_landed_takes_nothing_back_of_a_longer_copy_unless_another_import_was_faster() {
        let (known, file) = (Known::default(), Partition { topic: "k".into(), number: 0 });
        let at = |usage| Positions { usage: Some(NextOffset(usage)), ..Positions::default() };
        let usage = || known.family("k").0.get(&0).and_then(|positions| positions.usage);
        known.advance(&file, at(150), 0);
        known.advance(&file, at(100), 0);
        assert_eq!(usage(), Some(NextOffset(150)));
        known.overtaken(&file, at(120));
        assert_eq!(usage(), Some(NextOffset(120)));
        known.advance(&file, at(200), 0);
        assert_eq!(usage(), Some(NextOffset(120)), "of another epoch");
    }

    #[test]
    fn a_file_that_is_overtaken_leaves_others_of_its_family_as_they_are() {
        let known = Known::default();
        let [overtaken, other] = [0, 1].map(|number| Partition { topic: "k".into(), number });
        known.overtaken(&overtaken, Positions::default());
        assert_eq!((known.epoch(&overtaken), known.epoch(&other)), (1, 0));
        known.advance(&other, Positions { usage: Some(NextOffset(7)), ..Positions::default() }, 0);
        assert_eq!(known.family("k").0.keys().copied().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn files_of_one_family_are_read_one_after_another() {
        let known = Known::default();
        let lease = known.lease("k".into());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| drop(known.lease("k".into())));
            drop(known.lease("other".into()));
            assert!(!other.is_finished());
            drop(lease);
        });
    }
}
