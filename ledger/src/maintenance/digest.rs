//! A digest of rows that does not depend on their order: what a rewriting must leave as it was.

use std::fmt;
use std::ops::AddAssign;

use arrow::array::RecordBatch;
use arrow::row::{RowConverter, SortField};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// How the bytes of a row are made: Arrow's row format, columns in the order of the table. A test holds it still.
const SCHEME: &str = "arrow-row-1";

/// The sum of the SHA-256 of each row, modulo 2^256. Against accidents: whoever may choose rows can make sums collide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsDigest {
    rows: u64,
    /// Least significant first.
    sum: [u64; 4],
}

impl RowsDigest {
    /// Adds the rows of `batch`.
    ///
    /// # Errors
    /// [`Error::Internal`] if a column has a type no table has.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let fields = batch.schema_ref().fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(Error::arrow)?;
        let rows = converter.convert_columns(batch.columns()).map_err(Error::arrow)?;
        rows.iter().for_each(|row| self.add_row(row.data()));
        Ok(())
    }

    fn add_row(&mut self, row: &[u8]) {
        let digest = Sha256::digest(row);
        let limb = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |limb, byte| (limb << 8) | u64::from(*byte));
        let mut sum = [0; 4];
        sum.iter_mut().zip(digest.chunks_exact(8)).for_each(|(to, bytes)| *to = limb(bytes));
        *self += Self { rows: 1, sum };
    }

    /// Whether `text` states a digest that this version of Daybook can make.
    pub fn can_restate(text: &str) -> bool {
        text.split_once(':').is_some_and(|(scheme, _)| scheme == SCHEME)
    }

    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl AddAssign for RowsDigest {
    fn add_assign(&mut self, other: Self) {
        let mut carry = false;
        for (limb, part) in self.sum.iter_mut().zip(other.sum) {
            let (sum, over) = limb.overflowing_add(part);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || over_by_carry;
        }
        self.rows += other.rows;
    }
}

impl fmt::Display for RowsDigest {
    /// `<scheme>:<64 hexadecimal digits>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:")?;
        self.sum.iter().rev().try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: &[(i64, &str)]) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
        let words = StringArray::from_iter_values(rows.iter().map(|row| row.1));
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("w", Arc::new(words) as _)]).unwrap()
    }

    fn digest(batches: &[RecordBatch]) -> RowsDigest {
        let mut digest = RowsDigest::default();
        batches.iter().for_each(|batch| digest.add(batch).unwrap());
        digest
    }

    #[test]
    fn the_scheme_of_a_digest_stays_what_it_is() {
        // If this changes, Arrow's row format has: give the new one another name in `SCHEME`.
        let text = digest(&[batch(&[(1, "a"), (2, "b")])]).to_string();
        assert_eq!(text, "arrow-row-1:e990c79d30e0d42be09d3cb5e513b30bba65200bb55cbdd0d96000976bf933e9");
    }

    #[test]
    fn words_count_by_their_text() {
        let words: DictionaryArray<Int32Type> = ["b", "a", "b"].into_iter().collect();
        let by_key = RecordBatch::try_from_iter([("w", Arc::new(words) as _)]).unwrap();
        let plain = StringArray::from_iter_values(["a", "b", "b"]);
        let plain = RecordBatch::try_from_iter([("w", Arc::new(plain) as _)]).unwrap();
        assert_eq!(digest(&[by_key]), digest(&[plain]));
    }

    proptest! {
        #[test]
        fn order_and_batches_do_not_matter_and_a_value_does(
            mut rows in proptest::collection::vec((0_i64..5, "[ab]{0,2}"), 1..20), cut in 0_usize..20, at in 0_usize..20
        ) {
            let view = |rows: &[(i64, String)]| batch(&rows.iter().map(|(n, w)| (*n, w.as_str())).collect::<Vec<_>>());
            let whole = digest(&[view(&rows)]);
            rows.reverse();
            let (left, right) = rows.split_at(cut.min(rows.len()));
            prop_assert_eq!(digest(&[view(left), view(right)]), whole);
            let at = at % rows.len();
            rows[at].0 += 1;
            prop_assert_ne!(digest(&[view(&rows)]), whole);
        }
    }
}
