//! US dollars, exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

/// Decimal places of every amount: `Decimal128(38, 12)`.
pub const SCALE: i8 = 12;
/// Decimal digits of every amount.
pub const PRECISION: u8 = 38;
const ONE_DOLLAR: i128 = 1_000_000_000_000;

/// An amount of US dollars, counted in 10⁻¹² dollars.
///
/// Twelve places hold a price per million tokens with six decimals without loss. What is finer is rounded once, half to
/// even, when an amount is made ([`Usd::parse`], [`Usd::rate`]); sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i128);

/// Text that is not a decimal number of dollars that 38 digits can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a decimal amount with at most 26 digits before the point")]
pub struct NotAnAmount {
    /// What was given, cut to 40 characters.
    pub text: String,
}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount one event may carry; what is beyond is refused, so that no sum can wrap.
    pub const EVENT_MAX: Self = Self(1_000_000 * ONE_DOLLAR);

    /// From a count of 10⁻¹² dollars, the raw value of a `Decimal128(38, 12)`.
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// The count of 10⁻¹² dollars.
    pub const fn pico(self) -> i128 {
        self.0
    }

    /// Reads decimal text as JSON writes numbers: sign, digits, fraction, exponent (`1.25e-05`). Never through a float.
    ///
    /// # Errors
    /// [`NotAnAmount`] for other text and for amounts of 10²⁶ dollars and more.
    pub fn parse(text: &str) -> Result<Self, NotAnAmount> {
        parse_decimal(text.trim()).map(Self).ok_or_else(|| NotAnAmount { text: text.chars().take(40).collect() })
    }

    /// The cost of `terms`, pairs of a quantity and its price in dollars per million: the exact sum, then rounded once.
    ///
    /// `None` when the sum leaves 128 bits, which capped events cannot reach.
    pub fn rate(terms: impl IntoIterator<Item = (i64, Self)>) -> Option<Self> {
        let exact = terms
            .into_iter()
            .try_fold(0_i128, |sum, (quantity, price)| sum.checked_add(i128::from(quantity).checked_mul(price.0)?))?;
        Some(Self(divide_half_even(exact, 1_000_000)))
    }

    /// This amount times a fraction, rounded half to even; `None` when it leaves 128 bits, or there is nothing to divide by.
    pub fn times(self, numerator: i128, denominator: i128) -> Option<Self> {
        (denominator > 0).then_some(())?;
        Some(Self(divide_half_even(self.0.checked_mul(numerator)?, denominator)))
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// `value / divisor`, ties to the even neighbour: the rounding that does not drift over many rows.
pub(crate) fn divide_half_even(value: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (value.div_euclid(divisor), value.rem_euclid(divisor));
    match remainder.cmp(&(divisor - remainder)) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

fn parse_decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value = 0_i128;
    let mut places = 0_i32;
    let mut seen_point = false;
    let mut seen_digit = false;
    // Digits past 38 significant ones cannot change the twelfth decimal of an amount that fits, but a tie needs to know
    // that something followed.
    let mut lost = false;
    for &byte in digits {
        match byte {
            b'.' if !seen_point => seen_point = true,
            b'0'..=b'9' => {
                seen_digit = true;
                if value < 10_i128.pow(37) {
                    value = value * 10 + i128::from(byte - b'0');
                    places += i32::from(seen_point);
                } else if seen_point {
                    lost |= byte != b'0';
                } else {
                    return None;
                }
            }
            _ => return None,
        }
    }
    if !seen_digit {
        return None;
    }
    let shift = i32::from(SCALE).checked_add(exponent)?.checked_sub(places)?;
    let value = if shift >= 0 {
        10_i128
            .checked_pow(u32::try_from(shift).ok()?)
            .and_then(|power| value.checked_mul(power))
            .or((value == 0).then_some(0))?
    } else {
        match u32::try_from(-shift).ok().and_then(|power| 10_i128.checked_pow(power)) {
            Some(power) => {
                let rounded = divide_half_even(value, power);
                let remainder = value.rem_euclid(power);
                let was_tie = remainder == power - remainder;
                if was_tie && lost { value.div_euclid(power) + 1 } else { rounded }
            }
            None => 0,
        }
    };
    (value < 10_i128.pow(38)).then_some(if negative { -value } else { value })
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    /// All twelve decimals, as a `Decimal128(38, 12)` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let value = self.0.unsigned_abs();
        let one = ONE_DOLLAR.unsigned_abs();
        write!(f, "{sign}{}.{:012}", value / one, value % one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_is_read_to_the_last_digit() {
        for (text, pico) in [
            ("0.039265", 39_265_000_000),
            ("1.25e-05", 12_500_000),
            ("5E-6", 5_000_000),
            ("-3", -3_000_000_000_000),
            ("+.5", 500_000_000_000),
            ("1.", 1_000_000_000_000),
            ("0e400", 0),
            ("1e-400", 0),
            ("99999999999999999999999999.999999999999", 99_999_999_999_999_999_999_999_999_999_999_999_999),
        ] {
            assert_eq!(Usd::parse(text).map(Usd::pico), Ok(pico), "{text}");
        }
    }

    #[test]
    fn what_is_finer_than_twelve_places_rounds_half_to_even() {
        for (text, pico) in [
            ("0.0000000000005", 0),
            ("0.0000000000015", 2),
            ("0.0000000000025", 2),
            ("0.00000000000250000000000000000000000000000001", 3),
            ("-0.0000000000015", -2),
        ] {
            assert_eq!(Usd::parse(text).map(Usd::pico), Ok(pico), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", ".", "-", "e5", "1,5", "0x1", "NaN", "1e", "1e1e1", "100000000000000000000000000", "1e26", "1 2"]
        {
            assert!(Usd::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_summed_exactly_then_rounded_once() {
        let price = Usd::parse("0.000000250000").unwrap();
        // Each term alone is 0.25 or 0.75 of the last place; together they are exactly one.
        assert_eq!(Usd::rate([(1, price), (3, price)]), Some(Usd::from_pico(1)));
        assert_eq!(Usd::rate([(1_000_000, Usd::parse("2.5").unwrap())]), Usd::parse("2.5").ok());
        assert_eq!(Usd::rate([(i64::MAX, Usd::from_pico(i128::MAX))]), None);
    }

    #[test]
    fn amounts_print_all_their_places() {
        assert_eq!(Usd::parse("-0.05").unwrap().to_string(), "-0.050000000000");
        assert_eq!(Usd::parse("21.5").unwrap().to_string(), "21.500000000000");
    }
}
