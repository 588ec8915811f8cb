//! Where a set of books tells calls apart by how much they used and when they were made.

use std::collections::BTreeSet;

use crate::{Date, Usd};

use super::Book;
use super::call::ONE;
use super::unit::minute_of_week;
use crate::Instant;

/// The counts, days and hours at which some book, or some limit, begins to treat a call otherwise.
///
/// Calls between the same cuts are treated alike by all of them, so that their quantities may be summed before they are
/// priced.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    input_tokens: Vec<i64>,
    output_tokens: Vec<i64>,
    days: Vec<Date>,
    week_minutes: Vec<i64>,
}

/// Between which cuts a call lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    input_tokens: usize,
    output_tokens: usize,
    day: usize,
    week_minute: usize,
}

impl Cuts {
    /// Those of `books`: the hours of their off-peak rates and, if every call keeps the prices of its own day (`by_day`),
    /// the days on which rates begin and end. Context bands come by [`Cuts::add_bands`].
    pub fn of<'b>(books: impl IntoIterator<Item = &'b Book>, by_day: bool) -> Self {
        let (mut days, mut week_minutes) = (BTreeSet::new(), BTreeSet::new());
        for row in books.into_iter().flat_map(Book::rows) {
            days.extend([Some(row.effective_from), row.effective_to].into_iter().flatten().filter(|_| by_day));
            week_minutes.extend(row.unit.hours.iter().flat_map(|hours| hours.bounds()));
        }
        Self { days: days.into_iter().collect(), week_minutes: week_minutes.into_iter().collect(), ..Self::default() }
    }

    /// The context bands of `books`, for calls whose input counts `ratio` times what was recorded.
    pub fn add_bands<'b>(&mut self, books: impl IntoIterator<Item = &'b Book>, ratio: Usd) {
        let thousands: BTreeSet<u32> =
            books.into_iter().flat_map(Book::rows).filter_map(|row| row.unit.above_k).collect();
        // Providers differ in whether a request of just that length is already beyond.
        let firsts = thousands.into_iter().flat_map(|thousands| [0, 1].map(|more| i64::from(thousands) * 1_000 + more));
        firsts.for_each(|first| add(&mut self.input_tokens, first_reaching(first, ratio)));
    }

    /// The most input tokens of a model, for calls whose input counts `ratio` times what was recorded.
    pub fn add_input_max(&mut self, tokens_max: i64, ratio: Usd) {
        add(&mut self.input_tokens, first_reaching(tokens_max.saturating_add(1), ratio));
    }

    /// The most output tokens of a model, for calls whose output counts `ratio` times what was recorded.
    pub fn add_output_max(&mut self, tokens_max: i64, ratio: Usd) {
        add(&mut self.output_tokens, first_reaching(tokens_max.saturating_add(1), ratio));
    }

    pub(super) fn place(&self, input_tokens: i64, output_tokens: i64, at: Instant) -> Place {
        let minute = if self.week_minutes.is_empty() { 0 } else { minute_of_week(at) };
        Place {
            input_tokens: self.input_tokens.partition_point(|first| *first <= input_tokens),
            output_tokens: self.output_tokens.partition_point(|first| *first <= output_tokens),
            day: self.days.partition_point(|first| *first <= at.date()),
            week_minute: self.week_minutes.partition_point(|first| *first <= minute),
        }
    }
}

fn add(cuts: &mut Vec<i64>, cut: i64) {
    if let Err(at) = cuts.binary_search(&cut) {
        cuts.insert(at, cut);
    }
}

/// `tokens` times `ratio`, in whole tokens: what bands and limits are compared with.
pub fn scaled_tokens(tokens: i64, ratio: Usd) -> i64 {
    let scaled = i128::from(tokens).saturating_mul(ratio.pico()) / ONE;
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// The least count whose [`scaled_tokens`] reach `scaled`.
fn first_reaching(scaled: i64, ratio: Usd) -> i64 {
    let wanted = i128::from(scaled).saturating_mul(ONE);
    let ratio = ratio.pico().max(1);
    i64::try_from((wanted + ratio - 1) / ratio).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_the_first_count_that_reaches_a_threshold() {
        for (ratio, threshold, first) in
            [("1", 200_001, 200_001), ("1.15", 200_001, 173_914), ("0.9", 9, 10), ("2", 3, 2)]
        {
            let ratio = Usd::parse(ratio).unwrap();
            assert_eq!(first_reaching(threshold, ratio), first, "{ratio}");
            assert!(scaled_tokens(first, ratio) >= threshold && scaled_tokens(first - 1, ratio) < threshold, "{ratio}");
        }
    }
}
