//! How many values the rows of a list or map have, by the repetition levels of its pages.
//!
//! No header tells: all values of a row group may be in one row, and readers take a row whole.

use parquet::basic::Encoding;
use parquet::column::page::Page;

const SHORT: &str = "a page ends before its levels do";

/// Values of rows, each of which may begin in one page and end in another.
#[derive(Debug, Default)]
pub(super) struct RowValues {
    current: u64,
    most: u64,
}

impl RowValues {
    /// Of the row that has most.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Takes the next page of a column whose lists are in no other lists.
    pub(super) fn add(&mut self, page: &Page) -> Result<(), String> {
        let (levels, values) = match page {
            Page::DataPage { buf, num_values, rep_level_encoding: Encoding::RLE, .. } => {
                let (length, rest) = buf.split_first_chunk().ok_or(SHORT)?;
                (rest.get(..usize_of(u32::from_le_bytes(*length))), *num_values)
            }
            Page::DataPage { rep_level_encoding, .. } => {
                return Err(format!("its levels are in the encoding {rep_level_encoding}, which is not read"));
            }
            Page::DataPageV2 { buf, num_values, rep_levels_byte_len, .. } => {
                (buf.get(..usize_of(*rep_levels_byte_len)), *num_values)
            }
            Page::DictionaryPage { .. } => return Ok(()),
        };
        self.add_levels(levels.ok_or(SHORT)?, values.into())
    }

    /// Levels of one bit (Parquet, "RLE/bit-packing hybrid"): 0 begins a row, 1 goes on with it.
    fn add_levels(&mut self, mut levels: &[u8], mut left: u64) -> Result<(), String> {
        while left > 0 {
            let head = varint(&mut levels).ok_or(SHORT)?;
            let length = head >> 1;
            if head & 1 == 0 {
                let (level, rest) = levels.split_first().ok_or(SHORT)?;
                let run = length.min(left);
                self.add_run(level & 1 == 0, run);
                (levels, left) = (rest, left - run);
            } else {
                let bytes = usize::try_from(length).unwrap_or(usize::MAX).min(levels.len());
                let (packed, rest) = levels.split_at(bytes);
                for level in packed.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)) {
                    if left > 0 {
                        self.add_run(level == 0, 1);
                        left -= 1;
                    }
                }
                levels = rest;
            }
        }
        Ok(())
    }

    fn add_run(&mut self, begins: bool, length: u64) {
        if length > 0 {
            self.current = if begins { 1 } else { self.current.saturating_add(length) };
            self.most = self.most.max(self.current);
        }
    }
}

fn usize_of(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(pages: &[(&[u8], u64)]) -> Result<u64, String> {
        let mut values = RowValues::default();
        pages.iter().try_for_each(|(levels, count)| values.add_levels(levels, *count))?;
        Ok(values.most())
    }

    #[test]
    fn a_row_has_the_values_up_to_the_next_that_begins_one() {
        // Eight levels packed, 0 1 1 0 0 1 0 0, of which the last two are filling.
        assert_eq!(most(&[(&[0x03, 0b0010_0110], 6)]), Ok(3));
        // Five rows of one value, then one of 1 + 300.
        assert_eq!(most(&[(&[12, 0, 0xd8, 0x04, 1], 306)]), Ok(301));
        assert_eq!(most(&[(&[4, 0], 2)]), Ok(1));
        assert_eq!(most(&[(&[], 0)]), Ok(0));
    }

    #[test]
    fn a_row_goes_on_in_the_next_page() {
        assert_eq!(most(&[(&[2, 0, 4, 1], 3), (&[6, 1, 2, 0], 4)]), Ok(6));
        // A run of nothing begins no row.
        assert_eq!(most(&[(&[2, 0, 4, 1], 3), (&[0, 0, 6, 1], 3)]), Ok(6));
    }

    #[test]
    fn levels_that_end_early_are_refused() {
        for levels in [&[][..], &[4], &[0x80], &[0x03], &[2, 0], &[0xff; 12]] {
            assert_eq!(most(&[(levels, 9)]), Err(SHORT.into()), "{levels:?}");
        }
    }
}
