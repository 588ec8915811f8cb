//! Terms: rows that say under which conditions rates hold, and by how much they differ then.

use crate::Usd;

use super::Meter;
use super::call::ONE;

/// An exact fraction, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factor {
    pub(super) numerator: i128,
    pub(super) denominator: i128,
}

impl Factor {
    pub(super) const ONE: Self = Self { numerator: 1, denominator: 1 };
    /// What processing in a region costs where no row says otherwise: a tenth more.
    pub(super) const TENTH_MORE: Self = Self { numerator: 11, denominator: 10 };

    /// `amount` to one.
    fn of(amount: Usd) -> Self {
        let divisor = greatest_common_divisor(amount.pico(), ONE);
        Self { numerator: amount.pico() / divisor, denominator: ONE / divisor }
    }

    /// What is left when `percent` are taken off.
    pub(super) fn less_percent(percent: Usd) -> Self {
        Self::of(Usd::from_pico((100 * ONE - percent.pico()) / 100))
    }
}

/// At least 1.
pub(super) fn greatest_common_divisor(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.checked_abs().unwrap_or(1).max(1)
}

/// Where a call must be processed for an uplift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This one.
    Region(&'static str),
    /// Any but `global`.
    NotGlobal,
}

impl Place {
    pub(super) fn is(self, region: Option<&str>) -> bool {
        let Some(region) = region.filter(|region| !region.is_empty()) else { return false };
        match self {
            Self::Region(name) => region.eq_ignore_ascii_case(name),
            Self::NotGlobal => !region.eq_ignore_ascii_case("global"),
        }
    }
}

/// What a term that multiplies multiplies with, and where.
pub(super) fn uplift(meter: Meter, multiplier: Usd) -> Option<(Place, Factor)> {
    let place = match meter {
        Meter::UpliftUs => Place::Region("us"),
        Meter::UpliftEu => Place::Region("eu"),
        Meter::UpliftRegional => Place::NotGlobal,
        _ => return None,
    };
    Some((place, Factor::of(multiplier)))
}

/// Whether `name` is what `pattern` says, in which `*` stands for any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    true
}

/// How much of a name a pattern fixes: of several that match, the one that fixes most holds.
pub(super) fn specificity(pattern: &str) -> usize {
    pattern.chars().filter(|c| *c != '*').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fixes_all_but_its_stars() {
        for (pattern, name, expected) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5.4", false),
            ("*", "", true),
            ("gpt-*", "gpt-5.4-mini", true),
            ("gpt-*-mini", "gpt-5.4-mini", true),
            ("gpt-*-mini", "gpt-5.4-mini-high", false),
            ("*claude*", "us.anthropic.claude-opus-5", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn factors_are_exact_and_in_lowest_terms() {
        let of = |text| Factor::of(Usd::parse(text).unwrap());
        assert_eq!(of("1.1"), Factor::TENTH_MORE);
        assert_eq!(of("2"), Factor { numerator: 2, denominator: 1 });
        let less = |text| Factor::less_percent(Usd::parse(text).unwrap());
        assert_eq!(less("12.5"), Factor { numerator: 7, denominator: 8 });
        assert_eq!(less("0"), Factor::ONE);
        assert_eq!(less("100"), Factor { numerator: 0, denominator: 1 });
        assert_eq!(less("33.3333"), Factor { numerator: 666_667, denominator: 1_000_000 });
    }
}
