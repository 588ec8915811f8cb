//! Rate cards: what a product costs over a stretch of days, every fallback resolved.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::{Date, Instant};

use super::book::plain;
use super::terms::{Factor, Place, specificity, uplift};
use super::{Hours, Meter, Row, Tier, Unit};

/// The price of one meter, and the row it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// 10⁻⁹ dollars per million.
    pub(super) nano: i64,
    /// Index of the row in the book. The rate is the row's own or, for a batch write of an hour, half of it.
    pub(super) row: usize,
}

/// The rates of one tier for requests of at least some length.
#[derive(Debug)]
pub(super) struct Band {
    /// The least input tokens of a request in this band.
    pub(super) input_tokens_min: i64,
    /// The same in thousands, as units say it; `None` for the shortest.
    pub(super) above_k: Option<u32>,
    /// By [`Meter`].
    rates: [Option<Rate>; Meter::COUNT],
}

impl Band {
    pub(super) fn rate(&self, meter: Meter) -> Option<Rate> {
        self.rates.get(meter as usize).copied().flatten()
    }
}

/// What processing in a region costs.
#[derive(Debug)]
pub(super) struct Uplift {
    place: Place,
    /// What token rates are multiplied with.
    pub(super) factor: Factor,
    /// The card's id with the uplift named: `...*1.1`.
    pub(super) id: Box<str>,
}

/// What a contract takes off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discount {
    /// What every rate is multiplied with.
    pub(super) factor: Factor,
    /// Index of the row in the book.
    pub(super) row: usize,
}

/// A product over a period in which none of its rows begins or ends.
#[derive(Debug)]
pub(super) struct Version {
    /// First day.
    pub(super) from: Date,
    /// First day after.
    pub(super) to: Option<Date>,
    /// `provider/model@from#hash`.
    pub(super) id: Box<str>,
    /// What token rates are multiplied with, by region.
    uplifts: Vec<Uplift>,
    /// What is taken off every rate.
    discount: Option<Discount>,
    /// When the off-peak rates hold.
    off_peak: Vec<Hours>,
    /// By [`Tier`]; bands from short to long. Empty for a tier the product is not sold in.
    bands: [Vec<Band>; Tier::ALL.len()],
}

impl Version {
    /// Cuts the time axis of one product at every day on which one of its rows (`indexes` into `rows`), or one of the
    /// discounts that may be on it, begins or ends.
    pub(super) fn split(rows: &[Row], indexes: &[usize], discounts: &[usize]) -> Vec<Self> {
        let at = |indexes: &[usize]| -> Vec<(usize, &Row)> {
            indexes.iter().filter_map(|index| Some((*index, rows.get(*index)?))).collect()
        };
        let (own, discounts) = (at(indexes), at(discounts));
        let bounds = |(_, row): &(usize, &Row)| [Some(row.effective_from), row.effective_to];
        let days: BTreeSet<Date> = own.iter().chain(&discounts).flat_map(bounds).flatten().collect();
        let ends = days.iter().skip(1).copied().map(Some).chain([None]);
        let periods = days.iter().copied().zip(ends);
        periods
            .filter_map(|(from, to)| {
                let in_force: Vec<_> = own.iter().copied().filter(|(_, row)| row.is_in_force(from)).collect();
                let discount = discounts.iter().copied().filter(|(_, row)| row.is_in_force(from));
                let discount = discount.max_by_key(|(_, row)| (specificity(&row.model), std::cmp::Reverse(&row.model)));
                (!in_force.is_empty()).then(|| Self::new(from, to, &in_force, discount))
            })
            .collect()
    }

    fn new(from: Date, to: Option<Date>, rows: &[(usize, &Row)], discount: Option<(usize, &Row)>) -> Self {
        let (provider, model) = rows.first().map_or(("", ""), |(_, row)| (&row.provider, &row.model));
        let id = format!("{provider}/{model}@{from}#{}", digest(provider, model, rows));
        let suffix = discount.map(|(_, row)| format!("-{}%", plain(row.usd_per_million))).unwrap_or_default();
        let table = Table::new(provider, model, rows);
        // xAI alone bills the long rate already for a request that reaches the threshold.
        let beyond = i64::from(provider != "xai");
        let bands = |tier: Tier| {
            if !table.has_tier(tier) {
                return Vec::new();
            }
            let all = [None].into_iter().chain(table.thresholds.iter().copied().map(Some));
            all.map(|above_k| Band {
                input_tokens_min: above_k.map_or(0, |above_k| i64::from(above_k) * 1_000 + beyond),
                above_k,
                rates: std::array::from_fn(|at| {
                    Meter::ALL.get(at).and_then(|meter| table.resolve(Unit { tier, above_k, ..Unit::standard(*meter) }))
                }),
            })
            .collect()
        };
        Self {
            from,
            to,
            uplifts: uplifts(provider, model, rows)
                .into_iter()
                .map(|(place, multiplier, factor)| Uplift {
                    place,
                    factor,
                    id: format!("{id}*{multiplier}{suffix}").into(),
                })
                .collect(),
            discount: discount.map(|(row, by)| Discount { factor: Factor::less_percent(by.usd_per_million), row }),
            off_peak: rows.iter().filter_map(|(_, row)| row.unit.hours).collect(),
            id: format!("{id}{suffix}").into(),
            bands: std::array::from_fn(|at| Tier::ALL.get(at).map_or_else(Vec::new, |tier| bands(*tier))),
        }
    }

    /// The rates of a request; `None` if the product is not sold in `tier`.
    pub(super) fn band(&self, tier: Tier, input_tokens: i64) -> Option<&Band> {
        self.bands.get(tier as usize)?.iter().rfind(|band| band.input_tokens_min <= input_tokens)
    }

    /// What processing in `region` costs, if it costs anything.
    pub(super) fn uplift(&self, region: Option<&str>) -> Option<&Uplift> {
        self.uplifts.iter().find(|uplift| uplift.place.is(region))
    }

    /// Whether costs made of it name it `id`.
    pub(super) fn is_called(&self, id: &str) -> bool {
        *self.id == *id || self.uplifts.iter().any(|uplift| *uplift.id == *id)
    }

    /// What a contract takes off.
    pub(super) fn discount(&self) -> Option<Discount> {
        self.discount
    }

    /// Whether the off-peak rates hold at `at`.
    pub(super) fn is_off_peak(&self, at: Instant) -> bool {
        self.off_peak.iter().any(|hours| hours.contains(at))
    }
}

/// The first 8 hex digits of SHA-256 over what decides an amount: names, units and rates, not `source` or when a row ends.
fn digest(provider: &str, model: &str, rows: &[(usize, &Row)]) -> String {
    // Sorted as text, one spelling per rate: anyone who has the rows can recompute it.
    let lines: BTreeSet<String> =
        rows.iter().map(|(_, row)| format!("{},{}\n", row.unit, row.usd_per_million)).collect();
    let mut hash = Sha256::new().chain_update(format!("{provider}\n{model}\n"));
    lines.iter().for_each(|line| hash.update(line));
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// What the rows say that regions cost, with the factor as people write it; what is known of the provider if they say nothing.
fn uplifts(provider: &str, model: &str, rows: &[(usize, &Row)]) -> Vec<(Place, String, Factor)> {
    let stated = rows.iter().filter_map(|(_, row)| {
        let (place, factor) = uplift(row.unit.meter, row.usd_per_million)?;
        Some((place, plain(row.usd_per_million), factor))
    });
    let mut uplifts: Vec<_> = stated.collect();
    if uplifts.is_empty() {
        let known = uplift_regions(provider, model).iter().map(|region| Place::Region(region));
        uplifts.extend(known.map(|place| (place, "1.1".to_owned(), Factor::TENTH_MORE)));
    }
    // A region of its own before all others.
    uplifts.sort_by_key(|(place, ..)| *place == Place::NotGlobal);
    uplifts
}

/// Regions that cost a tenth more and are not rows of a sheet: OpenAI since gpt-5.4, Anthropic's `inference_geo`.
fn uplift_regions(provider: &str, model: &str) -> &'static [&'static str] {
    match provider {
        "anthropic" => &["us"],
        "openai" if gpt_generation(model).is_some_and(|generation| generation >= (5, 4)) => &["us", "eu"],
        _ => &[],
    }
}

/// Whether Anthropic sells the model in fast mode, at twice its rates: Opus since 4.8.
fn has_fast_mode(provider: &str, model: &str) -> bool {
    let Some(version) = model.strip_prefix("claude-opus-").filter(|_| provider == "anthropic") else { return false };
    // The last part of `claude-opus-4-20250514` is a date.
    let number = |part: &str| part.parse::<u32>().ok().filter(|number| *number < 100);
    let mut parts = version.split('-');
    let major = parts.next().and_then(number);
    major.is_some_and(|major| (major, parts.next().and_then(number).unwrap_or(0)) >= (4, 8))
}

/// `gpt-5.4-mini` is of generation (5, 4), `gpt-6-sol` of (6, 0), `gpt-image-2` of none.
fn gpt_generation(model: &str) -> Option<(u32, u32)> {
    let number = model.strip_prefix("gpt-")?.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The rows in force, by unit.
struct Table {
    rates: BTreeMap<Unit, Rate>,
    /// Thousands of input tokens at which a rate changes.
    thresholds: BTreeSet<u32>,
}

impl Table {
    fn new(provider: &str, model: &str, rows: &[(usize, &Row)]) -> Self {
        let rate = |index: usize, row: &Row| {
            let nano = i64::try_from(row.usd_per_million.pico() / 1_000).ok()?;
            Some((row.unit, Rate { nano, row: index }))
        };
        let rows: Vec<_> = rows.iter().filter(|(_, row)| !row.unit.meter.is_term()).collect();
        let mut rates: BTreeMap<Unit, Rate> = rows.iter().filter_map(|(index, row)| rate(*index, row)).collect();
        if has_fast_mode(provider, model) && !rates.keys().any(|unit| unit.tier == Tier::Fast) {
            let ordinary = rates.iter().filter(|(unit, _)| unit.tier == Tier::Standard && unit.meter.is_tokens());
            let double = |(unit, rate): (&Unit, &Rate)| {
                (Unit { tier: Tier::Fast, ..*unit }, Rate { nano: rate.nano.saturating_mul(2), ..*rate })
            };
            let fast: Vec<_> = ordinary.map(double).collect();
            rates.extend(fast);
        }
        Self { rates, thresholds: rows.iter().filter_map(|(_, row)| row.unit.above_k).collect() }
    }

    /// The rate of `unit` by the rules of `docs/prices.md`, in their order. `None`: nobody stated it, and nothing implies it.
    fn resolve(&self, unit: Unit) -> Option<Rate> {
        let Unit { tier, meter, .. } = unit;
        if let Some(stated) = self.stated(unit).or_else(|| self.half_of_write(unit)) {
            return Some(stated);
        }
        // What costs the same at all hours has no off-peak row.
        let at_all_hours = Unit { tier: Tier::Standard, ..unit };
        if tier == Tier::OffPeak && (self.stated(at_all_hours).is_some() || meter.parent().is_none()) {
            return self.resolve(at_all_hours);
        }
        if self.follows_parent(tier, meter) {
            return self.resolve(Unit { meter: meter.parent()?, ..unit });
        }
        if meter.is_cache_write() {
            return self.other_write(unit).or_else(|| self.shorter(unit));
        }
        if meter.is_tool() {
            return self.stated(Unit::standard(meter));
        }
        self.shorter(unit)
    }

    fn stated(&self, unit: Unit) -> Option<Rate> {
        self.rates.get(&unit).copied()
    }

    /// Batch halves a write of an hour like everything else, but no sheet lists it.
    fn half_of_write(&self, unit: Unit) -> Option<Rate> {
        let is_batch_hour = unit.tier == Tier::Batch && unit.meter == Meter::CacheWrite1h && self.has_tier(Tier::Batch);
        let whole = is_batch_hour.then(|| self.stated(Unit { tier: Tier::Standard, ..unit }))??;
        Some(Rate { nano: whole.nano / 2, ..whole })
    }

    /// Whether what `meter` counts bills at its parent's rate in `tier`.
    ///
    /// A rate known to differ from the parent's is never replaced by it, except that a tier without a rate for cache reads
    /// gives no discount on them.
    fn follows_parent(&self, tier: Tier, meter: Meter) -> bool {
        let Some(parent) = meter.parent() else { return false };
        let has_rows = |has: &dyn Fn(Unit) -> bool| self.rates.keys().any(|unit| has(*unit));
        if meter.is_cache_write() {
            return !has_rows(&|unit| unit.meter.is_cache_write());
        }
        if meter == Meter::CacheRead {
            return !has_rows(&|unit| unit.meter == meter && unit.tier == tier);
        }
        let base = |meter| self.stated(Unit::standard(meter)).map(|rate| rate.nano);
        !has_rows(&|unit| unit.meter == meter) || (base(meter).is_some() && base(meter) == base(parent))
    }

    /// A write of a stated lifetime at the rate for writes of any; a write of no stated lifetime at the rate of the default one.
    fn other_write(&self, unit: Unit) -> Option<Rate> {
        let meters: &[Meter] = match unit.meter {
            Meter::CacheWrite => &[Meter::CacheWrite5m, Meter::CacheWrite30m],
            _ => &[Meter::CacheWrite],
        };
        meters.iter().find_map(|meter| self.stated(Unit { meter: *meter, ..unit }))
    }

    /// The rate of the next shorter band, for a meter that costs the same in both.
    fn shorter(&self, unit: Unit) -> Option<Rate> {
        let above_k = unit.above_k?;
        let is_banded = self.rates.keys().any(|other| other.meter == unit.meter && other.above_k == Some(above_k));
        let below = self.thresholds.range(..above_k).next_back().copied();
        if is_banded { None } else { self.resolve(Unit { above_k: below, ..unit }) }
    }

    fn has_tier(&self, tier: Tier) -> bool {
        self.rates.keys().any(|unit| unit.tier == tier)
    }
}
