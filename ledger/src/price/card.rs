//! Rate cards: what a product costs over a stretch of days, every fallback resolved.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::Date;

use super::{Meter, Row, Tier, Unit};

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
    /// By [`Meter`].
    rates: [Option<Rate>; Meter::COUNT],
}

impl Band {
    pub(super) fn rate(&self, meter: Meter) -> Option<Rate> {
        self.rates.get(meter as usize).copied().flatten()
    }
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
    /// Regions in which the provider adds a tenth to all token rates.
    uplift_regions: &'static [&'static str],
    /// The id with the uplift named: `...*1.1`.
    uplifted_id: Box<str>,
    /// By [`Tier`]; bands from short to long. Empty for a tier the product is not sold in.
    bands: [Vec<Band>; Tier::ALL.len()],
}

impl Version {
    /// Cuts the time axis of one product at every day on which one of its rows (`indexes` into `rows`) begins or ends.
    pub(super) fn split(rows: &[Row], indexes: &[usize]) -> Vec<Self> {
        let own: Vec<_> = indexes.iter().filter_map(|index| Some((*index, rows.get(*index)?))).collect();
        let days: BTreeSet<Date> =
            own.iter().flat_map(|(_, row)| [Some(row.effective_from), row.effective_to]).flatten().collect();
        let ends = days.iter().skip(1).copied().map(Some).chain([None]);
        let periods = days.iter().copied().zip(ends);
        periods
            .filter_map(|(from, to)| {
                let in_force: Vec<_> = own.iter().copied().filter(|(_, row)| row.is_in_force(from)).collect();
                (!in_force.is_empty()).then(|| Self::new(from, to, &in_force))
            })
            .collect()
    }

    fn new(from: Date, to: Option<Date>, rows: &[(usize, &Row)]) -> Self {
        let (provider, model) = rows.first().map_or(("", ""), |(_, row)| (&row.provider, &row.model));
        let id = format!("{provider}/{model}@{from}#{}", digest(provider, model, rows));
        let table = Table::new(rows);
        // xAI alone bills the long rate already for a request that reaches the threshold.
        let beyond = i64::from(provider != "xai");
        let bands = |tier: Tier| {
            if !table.has_tier(tier) {
                return Vec::new();
            }
            let all = [None].into_iter().chain(table.thresholds.iter().copied().map(Some));
            all.map(|above_k| Band {
                input_tokens_min: above_k.map_or(0, |above_k| i64::from(above_k) * 1_000 + beyond),
                rates: std::array::from_fn(|at| {
                    Meter::ALL.get(at).and_then(|meter| table.resolve(Unit { tier, meter: *meter, above_k }))
                }),
            })
            .collect()
        };
        Self {
            from,
            to,
            uplifted_id: format!("{id}*1.1").into(),
            id: id.into(),
            uplift_regions: uplift_regions(provider, model),
            bands: std::array::from_fn(|at| Tier::ALL.get(at).map_or_else(Vec::new, |tier| bands(*tier))),
        }
    }

    /// The rates of a request; `None` if the product is not sold in `tier`.
    pub(super) fn band(&self, tier: Tier, input_tokens: i64) -> Option<&Band> {
        self.bands.get(tier as usize)?.iter().rfind(|band| band.input_tokens_min <= input_tokens)
    }

    /// Whether the provider adds a tenth to the token rates for processing in `region`.
    pub(super) fn is_uplifted(&self, region: Option<&str>) -> bool {
        region.is_some_and(|region| self.uplift_regions.iter().any(|uplifted| region.eq_ignore_ascii_case(uplifted)))
    }

    /// The id of the card, which says so if the uplift was added.
    pub(super) fn id(&self, uplifted: bool) -> &str {
        if uplifted { &self.uplifted_id } else { &self.id }
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

/// Regions that cost a tenth more and are not rows of a sheet: OpenAI since gpt-5.4, Anthropic's `inference_geo`.
fn uplift_regions(provider: &str, model: &str) -> &'static [&'static str] {
    match provider {
        "anthropic" => &["us"],
        "openai" if gpt_generation(model).is_some_and(|generation| generation >= (5, 4)) => &["us", "eu"],
        _ => &[],
    }
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
    fn new(rows: &[(usize, &Row)]) -> Self {
        let rate = |index: usize, row: &Row| {
            let nano = i64::try_from(row.usd_per_million.pico() / 1_000).ok()?;
            Some((row.unit, Rate { nano, row: index }))
        };
        Self {
            rates: rows.iter().filter_map(|(index, row)| rate(*index, row)).collect(),
            thresholds: rows.iter().filter_map(|(_, row)| row.unit.above_k).collect(),
        }
    }

    /// The rate of `unit` by the rules of `docs/prices.md`, in their order. `None`: nobody stated it, and nothing implies it.
    fn resolve(&self, unit: Unit) -> Option<Rate> {
        let Unit { tier, meter, .. } = unit;
        if let Some(stated) = self.stated(unit).or_else(|| self.half_of_write(unit)) {
            return Some(stated);
        }
        if self.follows_parent(tier, meter) {
            return self.resolve(Unit { meter: meter.parent()?, ..unit });
        }
        if meter.is_cache_write() {
            return self.other_write(unit).or_else(|| self.shorter(unit));
        }
        if matches!(meter, Meter::WebSearchLow | Meter::WebSearchMedium | Meter::WebSearchHigh) {
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
