//! Rows, and the book made of them.

use std::collections::BTreeMap;

use crate::{Date, Usd};

use super::Unit;
use super::card::Version;
use super::error::{Error, Fault, Place, Problem};
use super::names::Names;

/// The longest provider or model name.
pub(super) const NAME_CHARS_MAX: usize = 200;
/// The dearest rate, in dollars per million: a hundred dollars apiece.
pub(super) const RATE_MAX_USD: u32 = 100_000_000;
/// The finest rate. Half of it is a whole number of 10⁻⁹ dollars, so that every derived rate is exact too.
pub(super) const RATE_PLACES_MAX: usize = 8;

/// One rate of one product over one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who bills, in our spelling (`openai`, `vertex_ai`, ...).
    pub provider: String,
    /// The id the provider serves the model under.
    pub model: String,
    /// What is counted, in which tier and context band.
    pub unit: Unit,
    /// Dollars per million of the unit, also where the unit is not tokens.
    pub usd_per_million: Usd,
    /// First day (UTC) on which the rate holds.
    pub effective_from: Date,
    /// First day on which it no longer holds; `None`: still in force.
    pub effective_to: Option<Date>,
    /// Where the rate was read.
    pub source: String,
}

impl Row {
    /// Whether the rate holds on `day`.
    pub fn is_in_force(&self, day: Date) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|to| day < to)
    }

    fn problems(&self) -> impl Iterator<Item = Problem> {
        let name = |column, given: &str, is_name: bool| {
            (!is_name).then(|| Problem::NotAName { column, given: given.chars().take(60).collect() })
        };
        let lower_case = !self.provider.chars().any(char::is_uppercase);
        let period = self.effective_to.filter(|to| *to <= self.effective_from);
        [
            name("provider", &self.provider, is_name(&self.provider) && lower_case),
            name("model", &self.model, is_name(&self.model)),
            (!is_rate(self.usd_per_million)).then(|| Problem::NotARate { given: plain(self.usd_per_million) }),
            period.map(|to| Problem::EmptyPeriod { from: self.effective_from, to }),
        ]
        .into_iter()
        .flatten()
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_rate(rate: Usd) -> bool {
    const FINEST_PICO: i128 = 10_000;
    (0..=i128::from(RATE_MAX_USD) * 10_i128.pow(12)).contains(&rate.pico()) && rate.pico() % FINEST_PICO == 0
}

/// `2.500000000000` as people write it.
pub(super) fn plain(rate: Usd) -> String {
    rate.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The price book: immutable, to be shared behind an `Arc`.
#[derive(Debug)]
pub struct Book {
    /// Sorted by provider, model, unit and first day.
    rows: Vec<Row>,
    products: Vec<Product>,
    names: Names,
}

/// What one provider sells under one name.
#[derive(Debug)]
pub(super) struct Product {
    /// In order of time, without overlap.
    versions: Vec<Version>,
}

impl Product {
    /// The rate card of `day`.
    pub(super) fn version(&self, day: Date) -> Option<&Version> {
        let after = self.versions.partition_point(|version| version.from <= day);
        self.versions.get(after.checked_sub(1)?).filter(|version| version.to.is_none_or(|to| day < to))
    }
}

impl Book {
    /// A book of these rows, for instance those of the ledger's `prices` table. No rows make a book that prices nothing.
    ///
    /// # Errors
    /// [`Error::Faulty`] with all faults: names, rates or periods that cannot be, two rates for one unit on one day.
    pub fn from_rows(rows: Vec<Row>) -> Result<Self, Error> {
        let placed = rows.into_iter().zip(1..).map(|(row, number)| (Place::Row(number), row)).collect();
        Self::from_placed_rows(placed, Vec::new(), "rows")
    }

    /// A book of `rows`, unless `faults` were found before or are found now.
    pub(super) fn from_placed_rows(
        mut rows: Vec<(Place, Row)>,
        mut faults: Vec<Fault>,
        sheet: &str,
    ) -> Result<Self, Error> {
        for (place, row) in &rows {
            faults.extend(row.problems().map(|problem| Fault { place: *place, problem }));
        }
        rows.sort_by(|(place, row), (other_place, other)| order(row).cmp(&order(other)).then(place.cmp(other_place)));
        faults.extend(overlaps(&rows));
        if faults.is_empty() {
            return Ok(Self::build(rows.into_iter().map(|(_, row)| row).collect()));
        }
        faults.sort_by_key(|fault| fault.place);
        Err(Error::faulty(sheet, faults))
    }

    /// A book of rows that are sorted and sound.
    fn build(rows: Vec<Row>) -> Self {
        let mut by_product: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_product.entry((&row.provider, &row.model)).or_default().push(index);
        }
        let names = Names::new(by_product.keys().copied());
        let products =
            by_product.values().map(|indexes| Product { versions: Version::split(&rows, indexes) }).collect();
        Self { rows, products, names }
    }

    /// This book with `newer` laid over it.
    ///
    /// For each product of `newer`, on the days any of its rows cover, its rows alone hold: they are the whole rate card, and
    /// what is missing from it is not filled from here. Other products and other days stay as they are.
    pub fn overlay(&self, newer: &Self) -> Self {
        let mut periods: BTreeMap<(&str, &str), Vec<Period>> = BTreeMap::new();
        for row in &newer.rows {
            periods.entry((&row.provider, &row.model)).or_default().push((row.effective_from, row.effective_to));
        }
        let kept = self.rows.iter().flat_map(|row| {
            let covered = periods.get(&(row.provider.as_str(), row.model.as_str())).map_or(&[][..], Vec::as_slice);
            let whole = (row.effective_from, row.effective_to);
            subtract(whole, covered).into_iter().map(|(from, to)| Row {
                effective_from: from,
                effective_to: to,
                ..row.clone()
            })
        });
        let mut rows: Vec<_> = kept.chain(newer.rows.iter().cloned()).collect();
        rows.sort_by(|row, other| order(row).cmp(&order(other)));
        Self::build(rows)
    }

    /// The rows, sorted by provider, model, unit and first day.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    pub(super) fn row(&self, index: usize) -> Option<&Row> {
        self.rows.get(index)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn product(&self, index: usize) -> Option<&Product> {
        self.products.get(index)
    }
}

fn order(row: &Row) -> (&str, &str, Unit, Date) {
    (&row.provider, &row.model, row.unit, row.effective_from)
}

/// The sorted rows that begin while an earlier row of the same unit holds.
fn overlaps(rows: &[(Place, Row)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    // Not merely the neighbour: the row that ends last overlaps everything up to its end.
    let mut latest: Option<&(Place, Row)> = None;
    for placed in rows {
        let (place, row) = placed;
        let earlier = latest.filter(|(_, earlier)| has_same_unit(earlier, row));
        if let Some((other, _)) = earlier.filter(|(_, earlier)| earlier.is_in_force(row.effective_from)) {
            let problem = Problem::Overlap {
                provider: row.provider.clone(),
                model: row.model.clone(),
                unit: row.unit,
                day: row.effective_from,
                other: *other,
            };
            faults.push(Fault { place: *place, problem });
        }
        if earlier.is_none_or(|(_, earlier)| end(row.effective_to) > end(earlier.effective_to)) {
            latest = Some(placed);
        }
    }
    faults
}

fn has_same_unit(row: &Row, other: &Row) -> bool {
    row.unit == other.unit && row.model == other.model && row.provider == other.provider
}

/// First day, and first day after; `None` is never.
type Period = (Date, Option<Date>);

fn end(to: Option<Date>) -> Date {
    to.unwrap_or(Date::from_days(i32::MAX))
}

/// The parts of `period` that none of `covered` covers, in order.
fn subtract(period: Period, covered: &[Period]) -> Vec<Period> {
    let mut parts = vec![period];
    for (from, to) in covered {
        parts = parts
            .into_iter()
            .flat_map(|(part_from, part_to)| {
                let before = (part_from, Some(end(part_to).min(*from)));
                let after = to.map(|to| (part_from.max(to), part_to));
                [Some(before), after]
            })
            .flatten()
            .filter(|(part_from, part_to)| *part_from < end(*part_to))
            .collect();
    }
    parts
}
