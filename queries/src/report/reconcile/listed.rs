//! What the counts of both sides come to at list rates.
//!
//! A sheet has many rates for what a bill counts in one bucket: by length, hour, region, text or sound. So counts are valued at
//! what the ledger's own calls came to on average, bucket by bucket, and tier by tier where the bill tells tiers. Counts that agree
//! come to the ledger's list cost, whatever rates it is made of.

use std::collections::BTreeSet;

use super::cells::Cell;
use super::vector::{Bucket, Vector};

/// What calls count, and what they come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// All calls' counts.
    pub(super) counted: Vector,
    /// Counts of the calls without a price.
    pub(super) unpriced: Vector,
    /// What the priced calls come to at the list rates, by bucket, 10⁻¹⁸ dollars.
    pub(super) listed: Vector,
}

impl Used {
    pub(super) fn add(&mut self, other: Self) {
        self.counted += other.counted;
        self.unpriced += other.unpriced;
        self.listed += other.listed;
    }

    fn with_writes_in(self, bucket: Bucket) -> Self {
        Self {
            counted: self.counted.with_writes_in(bucket),
            unpriced: self.unpriced.with_writes_in(bucket),
            listed: self.listed.with_writes_in(bucket),
        }
    }

    /// `counts` at the average rates of the priced calls; at `plain` in buckets that no priced call has.
    fn value(&self, counts: Vector, plain: &Vector) -> Vector {
        let priced = self.counted - self.unpriced;
        let mut value = counts.times(plain);
        for bucket in Bucket::ALL {
            let (count, of, listed) = (counts.get(bucket), priced.get(bucket), self.listed.get(bucket));
            if of != 0 {
                // In two steps, so that no product leaves 128 bits.
                value.put(bucket, count * (listed / of) + count * (listed % of) / of);
            }
        }
        value
    }
}

/// Both sides' counts, with the dollars between them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Volume {
    pub(super) called: Vector,
    pub(super) billed: Vector,
    /// What the calls without a price come to, 10⁻¹⁸ dollars.
    pub(super) unpriced: Vector,
    /// What the billed counts come to beyond the called ones, 10⁻¹⁸ dollars.
    pub(super) over: Vector,
    /// Whether the two differ in any tier that is told.
    pub(super) differs: bool,
}

impl Volume {
    /// Of a cell with these billed counts; `plain` are the list rates of a tier.
    pub(super) fn of(cell: &Cell, billed: Vector, plain: impl Fn(&str) -> Vector) -> Self {
        let tiers: BTreeSet<&String> = cell.bill.tiers.keys().chain(cell.tiers.keys()).collect();
        let is_told = cell.bill.tiers.keys().any(|tier| tier != "standard");
        let sides: Vec<(Used, Vector, Vector)> = if is_told {
            let called = |tier| cell.tiers.get(tier).copied().unwrap_or_default();
            let billed = |tier| cell.bill.tiers.get(tier).copied().unwrap_or_default();
            tiers.into_iter().map(|tier| (called(tier), billed(tier), plain(tier))).collect()
        } else {
            vec![(cell.used, billed, cell.rates.plain())]
        };
        let writes = writes_bucket(cell.used.counted, billed);
        let mut volume = Self::default();
        for (used, billed, plain) in sides {
            let (used, billed) =
                writes.map_or((used, billed), |bucket| (used.with_writes_in(bucket), billed.with_writes_in(bucket)));
            volume.called += used.counted;
            volume.billed += billed;
            volume.unpriced += used.value(used.unpriced, &plain);
            volume.over += used.value(billed - used.counted, &plain);
            volume.differs |= billed != used.counted;
        }
        volume
    }
}

/// The bucket to compare all cache writes in, where one side does not tell lifetimes: the one whose rate was paid, which the
/// other side tells.
fn writes_bucket(called: Vector, billed: Vector) -> Option<Bucket> {
    let sides = [called, billed];
    if sides.iter().all(|side| side.get(Bucket::Write) == 0) {
        return None;
    }
    let known = sides.into_iter().flat_map(|side| Bucket::WRITES.map(|bucket| (side.get(bucket), bucket)));
    let told = known.filter(|(count, bucket)| *count != 0 && *bucket != Bucket::Write).max().map(|(_, bucket)| bucket);
    Some(told.unwrap_or(Bucket::Write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_valued_at_the_average_and_exactly_where_they_agree() {
        // Ten tokens of a priced call at two rates, three of a call without a price.
        let used = Used {
            counted: Vector::one(Bucket::Input, 13),
            unpriced: Vector::one(Bucket::Input, 3),
            listed: Vector::one(Bucket::Input, 19),
        };
        let mut plain = Vector::one(Bucket::Input, 5);
        plain.put(Bucket::Output, 7);
        let mut counts = Vector::one(Bucket::Input, 10);
        counts.put(Bucket::Output, 2);
        let value = used.value(counts, &plain);
        assert_eq!((value.get(Bucket::Input), value.get(Bucket::Output)), (19, 14));
        assert_eq!(used.value(Vector::one(Bucket::Input, 20), &plain).sum(), 38);
        let huge = Used { counted: Vector::one(Bucket::Input, 10_i128.pow(13)), ..Used::default() };
        let huge = Used { listed: Vector::one(Bucket::Input, 10_i128.pow(27)), ..huge };
        assert_eq!(huge.value(huge.counted, &plain), huge.listed, "a product of both would leave 128 bits");
    }
}
