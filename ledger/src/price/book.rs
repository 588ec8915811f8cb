//! Rows, and the book made of them.

use std::collections::BTreeMap;

use crate::{Date, Usd};

use super::call::ONE;
use super::card::Version;
use super::error::{Error, Fault, Place, Problem};
use super::names::{Names, without_address};
use super::terms::{matches, specificity};
use super::{Call, Meter, Unit};

/// The longest provider or model name.
pub(super) const NAME_CHARS_MAX: usize = 200;
/// The dearest rate, in dollars per million: a hundred dollars apiece.
pub(super) const RATE_MAX_USD: u32 = 100_000_000;
/// The finest rate. Half of it is a whole number of 10⁻⁹ dollars, so that every derived rate is exact too.
pub(super) const RATE_PLACES_MAX: usize = 8;

/// The finest factor and percentage.
const TERM_FINEST_PICO: i128 = 100_000_000;

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
            (self.model.contains('*') && !self.unit.meter.is_by_pattern())
                .then_some(Problem::NotForAPattern { unit: self.unit }),
            self.rate_problem(),
            period.map(|to| Problem::EmptyPeriod { from: self.effective_from, to }),
        ]
        .into_iter()
        .flatten()
    }

    /// What is wrong with the number, which for a term is not dollars per million.
    fn rate_problem(&self) -> Option<Problem> {
        let (number, given) = (self.usd_per_million.pico(), || plain(self.usd_per_million));
        let term = |valid: bool, range| (!valid).then(|| Problem::NotATerm { unit: self.unit, given: given(), range });
        let is_coarse = number % TERM_FINEST_PICO == 0;
        match self.unit.meter {
            Meter::OffPeakHours => term(number == 0, "0: the unit says it all"),
            Meter::UpliftUs | Meter::UpliftEu | Meter::UpliftRegional => {
                let valid = (ONE..=10 * ONE).contains(&number) && is_coarse;
                term(valid, "a factor from 1 to 10 with at most 4 decimals")
            }
            Meter::DiscountPercent => {
                let valid = (0..=100 * ONE).contains(&number) && is_coarse;
                term(valid, "percent from 0 to 100 with at most 4 decimals")
            }
            _ => (!is_rate(self.usd_per_million)).then(|| Problem::NotARate { given: given() }),
        }
    }

    /// Whether it belongs to the rate card of a product, not to many of them.
    pub(super) fn is_of_product(&self) -> bool {
        !self.unit.meter.is_by_pattern()
    }

    /// What a later sheet replaces as a whole: a product, or the same term for the same pattern.
    fn replaced_with(&self) -> (&str, &str, Option<Unit>) {
        (&self.provider, &self.model, (!self.is_of_product()).then_some(self.unit))
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
    /// Indexes of the rows that price capacity by the hour.
    capacities: Vec<usize>,
}

/// What one provider sells under one name.
#[derive(Debug)]
pub(super) struct Product {
    /// The name it is sold under.
    pub(super) model: Box<str>,
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
        let of_meter = |meter| {
            let rows = rows.iter().enumerate().filter(move |(_, row)| row.unit.meter == meter);
            rows.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let (discounts, capacities) = (of_meter(Meter::DiscountPercent), of_meter(Meter::CapacityHour));
        for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.is_of_product()) {
            by_product.entry((&row.provider, &row.model)).or_default().push(index);
        }
        let names = Names::new(by_product.keys().copied());
        let product = |(product, indexes): (&(&str, &str), &Vec<usize>)| {
            let is_meant = |row: &Row| row.provider == product.0 && matches(&row.model, product.1);
            let discounts = discounts.iter().copied().filter(|index| rows.get(*index).is_some_and(is_meant));
            Product {
                model: product.1.into(),
                versions: Version::split(&rows, indexes, &discounts.collect::<Vec<_>>()),
            }
        };
        let products = by_product.iter().map(product).collect();
        Self { rows, products, names, capacities }
    }

    /// This book with `newer` laid over it.
    ///
    /// For each product of `newer`, on the days any of its rows cover, its rows alone hold: they are the whole rate card, and
    /// what is missing from it is not filled from here. Other products and other days stay as they are. Discounts and prices
    /// of capacity are replaced pattern by pattern.
    pub fn overlay(&self, newer: &Self) -> Self {
        let mut periods: BTreeMap<(&str, &str, Option<Unit>), Vec<Period>> = BTreeMap::new();
        for row in &newer.rows {
            periods.entry(row.replaced_with()).or_default().push((row.effective_from, row.effective_to));
        }
        let kept = self.rows.iter().flat_map(|row| {
            let covered = periods.get(&row.replaced_with()).map_or(&[][..], Vec::as_slice);
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

    /// The hourly price of the capacity that `call` used, if it used such and a row prices it.
    pub(super) fn capacity(&self, call: &Call<'_>) -> Option<&Row> {
        let (provider, day) = (call.provider?, call.at.date());
        // A deployment is what was asked for, and the answer may name the model that it is of.
        let is_meant = |row: &Row| {
            let names = [call.response_model, call.request_model].into_iter().flatten().filter(|name| !name.is_empty());
            names.flat_map(|name| [name, without_address(provider, name)]).any(|name| matches(&row.model, name))
        };
        let rows = self.capacities.iter().filter_map(|index| self.rows.get(*index));
        rows.filter(|row| row.provider == provider && row.is_in_force(day) && is_meant(row))
            .max_by_key(|row| (specificity(&row.model), std::cmp::Reverse(&row.model)))
    }

    /// The rows that take per cents off.
    pub(super) fn discounts(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.unit.meter == Meter::DiscountPercent)
    }

    /// The rows that price capacity by the hour.
    pub(super) fn capacities(&self) -> impl Iterator<Item = &Row> {
        self.capacities.iter().filter_map(|index| self.rows.get(*index))
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn product(&self, index: usize) -> Option<&Product> {
        self.products.get(index)
    }

    /// The rate card that is called `id`.
    pub(super) fn version_called(&self, id: &str) -> Option<&Version> {
        self.products.iter().flat_map(|product| &product.versions).find(|version| version.is_called(id))
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
