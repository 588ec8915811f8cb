//! Numbers and names as people read them. Whatever is rounded here stands beside its exact value.

/// Columns whose values are words of the ledger, read with spaces.
pub(super) const WORDS: &[&str] = &[
    "because",
    "check",
    "clause",
    "declared_segment",
    "detail",
    "dimension",
    "due",
    "feature",
    "finding",
    "form",
    "gap",
    "held",
    "kind",
    "missing",
    "option",
    "renewal",
    "segment",
    "shortfall",
    "standing",
];

/// A column's name as a heading: `list_cost` is "List cost".
pub(crate) fn heading(name: &str) -> String {
    let mut text = name.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Dollars as [`money`], thousands apart.
pub(super) fn usd(value: i128, places: u32) -> String {
    let rounded = rounded(value, places, places_of_money(value, places));
    let (sign, number) = rounded.strip_prefix('−').map_or(("", rounded.as_str()), |number| ("−", number));
    format!("{sign}${number}")
}

/// An amount of money: cents from one dollar on, below it two digits that count, so that a small price is not nothing.
pub(super) fn money(value: i128, places: u32) -> String {
    joined(parts(value, places, places_of_money(value, places)))
}

fn places_of_money(value: i128, places: u32) -> u32 {
    let digits = value.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
    let shown = if value == 0 || digits > places { 2 } else { (places - digits + 2).max(2) };
    shown.min(places)
}

/// A part of 1 in per cent.
pub(super) fn share(value: i128, places: u32) -> String {
    let percent = rounded(value.saturating_mul(100), places, 1);
    match percent.as_str() {
        "0.0" | "−0.0" if value != 0 => "<0.1%".into(),
        _ => percent + "%",
    }
}

/// All places that are not zero.
pub(super) fn plain(value: i128, places: u32) -> String {
    trimmed(&rounded(value, places, places)).into()
}

/// The exact decimal, in plain digits.
pub(super) fn exact(value: i128, places: u32) -> String {
    joined(parts(value, places, places))
}

/// In plain digits.
fn joined((sign, whole, fraction): (&str, String, String)) -> String {
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }.replace('−', "-")
}

/// Without the zeros at the end that say nothing.
pub(super) fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// With `shown` of the `places`, thousands apart.
fn rounded(value: i128, places: u32, shown: u32) -> String {
    let (sign, whole, fraction) = parts(value, places, shown);
    let first = match whole.len() % 3 {
        0 => 3,
        rest => rest,
    };
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at >= first && (at - first) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

/// Sign, digits before and digits behind the point; ties go to the even neighbour.
fn parts(value: i128, places: u32, shown: u32) -> (&'static str, String, String) {
    let unit = 10_u128.saturating_pow(places.saturating_sub(shown));
    let (quotient, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let up = match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => quotient % 2,
        std::cmp::Ordering::Greater => 1,
    };
    let digits = format!("{:0width$}", quotient + if unit > 1 { up } else { 0 }, width = shown as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - shown as usize);
    (if value < 0 { "−" } else { "" }, whole.into(), fraction.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOLLAR: i128 = 1_000_000_000_000;

    #[test]
    fn dollars_are_read_easily_and_a_small_price_is_not_nothing() {
        for (value, text) in [
            (0, "$0.00"),
            (1_234 * DOLLAR + DOLLAR / 2 + 60_000_000_000, "$1,234.56"),
            (-4 * DOLLAR - 5_000_000, "−$4.00"),
            (999_999 * DOLLAR + 999_000_000_000, "$1,000,000.00"),
            (DOLLAR / 2, "$0.50"),
            (12_345_000_000, "$0.012"),
            (617_285_000, "$0.00062"),
            (1, "$0.000000000001"),
            (995_000_000_000, "$1.00"),
            (i128::MIN, "−$170,141,183,460,469,231,731,687,303.72"),
        ] {
            assert_eq!(usd(value, 12), text, "{value}");
        }
        assert_eq!(usd(3_500_000, 6), "$3.50");
        assert_eq!(money(-1_234 * DOLLAR - 5_000_000_000, 12), "-1234.00");
        assert_eq!(money(-12_345_000_000, 12), "-0.012");
    }

    #[test]
    fn shares_counts_and_exact_values() {
        assert_eq!(share(778_643, 6), "77.9%");
        assert_eq!(share(1_000_000, 6), "100.0%");
        assert_eq!(share(400, 6), "<0.1%");
        assert_eq!(share(0, 6), "0.0%");
        assert_eq!(plain(1_234_567, 0), "1,234,567");
        assert_eq!(plain(-12, 0), "−12");
        assert_eq!(plain(3_500_000_000_000, 12), "3.5");
        assert_eq!(plain(20_000, 3), "20");
        assert_eq!(exact(-4_000_005_000_000, 12), "-4.000005000000");
        assert_eq!(exact(1_234_567, 0), "1234567");
        assert_eq!(heading("list_cost"), "List cost");
    }
}
