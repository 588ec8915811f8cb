//! Dollars before they are rounded.

use std::cmp::Ordering;
use std::iter::Sum;
use std::ops::Add;

use arrow::datatypes::i256;

use crate::Usd;

use super::call::ONE;
use super::terms::{Factor, greatest_common_divisor};

/// An amount of dollars, not below zero, of which nothing is rounded yet; in units of 10⁻⁵⁴ dollars.
///
/// Quantities, rates, terms and factors are decimals, and so is a sum of their products: it is kept whole, and rounded once,
/// when it is shown. What leaves 256 bits stays at the bound, and [`Exact::round`] then gives nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exact(i256);

/// How many units make 10⁻¹² dollars, the last digit of [`Usd`].
const LAST_DIGIT: u32 = 42;
/// Units in a product of a quantity, a rate and a multiplier, each counted as finely as it can be: 10⁻³⁹ dollars.
const PRODUCT: i128 = 1_000_000_000_000_000;
/// 10²² dollars.
const PICO_MAX: i128 = 10_i128.pow(34);

impl Exact {
    /// Nothing.
    pub const ZERO: Self = Self(i256::ZERO);

    /// `quantity` at `nano` 10⁻⁹ dollars per million, times `multiplier`, times `factor`, whose denominator divides 10¹⁰.
    pub(super) fn product(quantity: Usd, nano: i64, multiplier: Usd, factor: Factor) -> Self {
        let terms = [quantity.pico(), multiplier.pico(), factor.numerator, PRODUCT / factor.denominator];
        let product = terms
            .into_iter()
            .try_fold(i256::from_i128(i128::from(nano)), |product, term| product.checked_mul(i256::from_i128(term)));
        Self(product.unwrap_or(i256::MAX))
    }

    /// This amount times `part`, which has at most 4 decimals, as every share has.
    #[must_use]
    pub fn times(self, part: Usd) -> Self {
        let divisor = greatest_common_divisor(part.pico(), ONE);
        let product = self.0.checked_mul(i256::from_i128(part.pico() / divisor));
        Self(product.map_or(i256::MAX, |product| product.wrapping_div(i256::from_i128(ONE / divisor))))
    }

    /// The amount in dollars, rounded half to even; `None` from 10²² dollars on, where sums may have met their bound.
    pub fn round(self) -> Option<Usd> {
        let unit = i256::from_i128(10).wrapping_pow(LAST_DIGIT);
        let (whole, rest) = (self.0.wrapping_div(unit).to_i128()?, self.0.wrapping_rem(unit));
        let up = match rest.wrapping_add(rest).cmp(&unit) {
            Ordering::Less => 0,
            Ordering::Equal => whole & 1,
            Ordering::Greater => 1,
        };
        let pico = whole + up;
        (pico < PICO_MAX).then_some(Usd::from_pico(pico))
    }
}

impl From<Usd> for Exact {
    fn from(amount: Usd) -> Self {
        let unit = i256::from_i128(10).wrapping_pow(LAST_DIGIT);
        Self(i256::from_i128(amount.pico()).checked_mul(unit).unwrap_or(i256::MAX))
    }
}

impl Add for Exact {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).unwrap_or(i256::MAX))
    }
}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        Usd::parse(text).unwrap()
    }

    #[test]
    fn what_is_not_rounded_is_rounded_once_half_to_even() {
        // One token at 0.0000005 dollars per million is half of the last digit.
        let half = Exact::product(usd("1"), 500, usd("1"), Factor::ONE);
        let rounded = |halves: usize| std::iter::repeat_n(half, halves).sum::<Exact>().round().unwrap().pico();
        assert_eq!([0, 1, 2, 3, 4, 5].map(rounded), [0, 0, 1, 2, 2, 2]);
    }

    #[test]
    fn the_finest_terms_stay_exact() {
        let factor = Factor { numerator: 7, denominator: 10_000_000_000 };
        let finest = Exact::product(usd("0.000000000001"), 1, usd("0.000000000001"), factor);
        assert_eq!(finest, Exact(i256::from_i128(7 * 100_000)));
        assert_eq!(finest.times(usd("0.0001")), Exact(i256::from_i128(70)));
        assert_eq!(Exact::product(usd("1000000"), 2_500_000_000, usd("1"), Factor::ONE).round(), Some(usd("2.5")));
    }

    #[test]
    fn an_amount_beyond_all_money_is_none() {
        let large = Exact::product(usd("1e25"), i64::MAX, usd("1e25"), Factor::ONE);
        assert_eq!(large.round(), None);
        assert_eq!((large + large).round(), None);
        assert_eq!(Exact::product(usd("1e18"), 1_000_000_000_000, usd("1"), Factor::ONE).round(), Some(usd("1e15")));
    }
}
