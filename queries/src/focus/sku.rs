//! What is metered and priced, in the words of the specification.

use daybook_ledger::Usd;
use daybook_ledger::price::{Meter, Tier, Unit};
use serde_json::{Map, Value};

use super::sum::Model;

/// 10⁻¹² of a piece make 10⁻⁶ of one.
const PICO_A_MICRO: i128 = 1_000_000;
const MILLION: i128 = 1_000_000;

/// How a meter is called, what it counts, and whether its price is for a million of them.
struct Words {
    meter: &'static str,
    unit: &'static str,
    by_million: bool,
}

fn words(meter: Meter) -> Words {
    let (name, unit, by_million) = match meter {
        _ if meter.is_tokens() && is_output(meter) => ("Output Tokens", "Tokens", true),
        _ if meter.is_tokens() => ("Input Tokens", "Tokens", true),
        Meter::InputCharacter => ("Input Characters", "Characters", true),
        Meter::OutputCharacter => ("Output Characters", "Characters", true),
        Meter::AudioSecond => ("Audio Seconds", "Seconds", false),
        Meter::OutputSecond => ("Output Seconds", "Seconds", false),
        Meter::OutputImageEach => ("Output Images", "Images", false),
        Meter::InputImageEach => ("Input Images", "Images", false),
        Meter::Page => ("Pages", "Pages", false),
        Meter::CodeInterpreterSession => ("Code Sessions", "Sessions", false),
        Meter::WebSearchLow | Meter::WebSearchMedium | Meter::WebSearchHigh => ("Web Searches", "Requests", false),
        Meter::FileSearchCall => ("File Searches", "Requests", false),
        Meter::GoogleMapsRequest => ("Map Lookups", "Requests", false),
        Meter::Query => ("Queries", "Requests", false),
        Meter::Classification => ("Classifications", "Requests", false),
        _ => ("Requests", "Requests", false),
    };
    Words { meter: name, unit, by_million }
}

fn is_output(meter: Meter) -> bool {
    meter.as_str().starts_with("output")
}

/// The rates of one meter, as they apply to a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate {
    pub(super) unit: Unit,
    /// Before a discount, in dollars per million.
    pub(super) list: Usd,
    /// As applied, in dollars per million.
    pub(super) contracted: Usd,
}

/// A quantity at a rate, in the units prices are quoted in.
pub(super) struct Priced {
    pub(super) sku_meter: &'static str,
    /// What was used, six places.
    pub(super) consumed: i128,
    pub(super) consumed_unit: &'static str,
    /// What is priced, six places.
    pub(super) quantity: i128,
    pub(super) pricing_unit: String,
    /// Twelve places.
    pub(super) list_unit_price: i128,
    pub(super) contracted_unit_price: i128,
    /// What one of the last place of `quantity` is in 10⁻¹² of what was used.
    grain: i128,
}

impl Priced {
    /// `quantity` in 10⁻¹². What six places cannot hold is cut off, and stays for the adjustment.
    pub(super) fn new(rate: &Rate, quantity: i128) -> Self {
        let Words { meter, unit, by_million } = words(rate.unit.meter);
        let (list, contracted) = (rate.list.pico(), rate.contracted.pico());
        // A price of one piece that twelve places cannot hold is quoted for a million, like the sheet.
        let by_million = by_million || list % MILLION != 0 || contracted % MILLION != 0;
        let consumed = quantity / PICO_A_MICRO;
        let divisor = if by_million { 1 } else { MILLION };
        Self {
            sku_meter: meter,
            consumed,
            consumed_unit: unit,
            quantity: if by_million { consumed / MILLION } else { consumed },
            pricing_unit: if by_million { format!("1000000 {unit}") } else { unit.into() },
            list_unit_price: list / divisor,
            contracted_unit_price: contracted / divisor,
            grain: if by_million { PICO_A_MICRO * MILLION } else { PICO_A_MICRO },
        }
    }

    /// In 10⁻¹⁸ dollars.
    pub(super) fn list_cost(&self) -> i128 {
        self.list_unit_price * self.quantity
    }

    /// In 10⁻¹⁸ dollars.
    pub(super) fn contracted_cost(&self) -> i128 {
        self.contracted_unit_price * self.quantity
    }

    /// The least quantity in 10⁻¹², of as many places as are priced, that costs `cost` 10⁻¹⁸ dollars.
    pub(super) fn quantity_for(&self, cost: i128) -> i128 {
        let price = self.contracted_unit_price.max(1);
        (cost + price - 1) / price * self.grain
    }
}

/// What does not change while a price has this identity: keys of the specification's draft 1.5, and our own.
pub(super) fn details(unit: Unit, model: &Model, region: Option<&str>) -> String {
    let meter = unit.meter;
    let word = |word: &str| Value::from(word);
    let is_input = meter.is_tokens() && !is_output(meter);
    let cache = match meter.as_str() {
        name if name.starts_with("cache_read") => "Read",
        name if name.starts_with("cache_write") => "Write",
        _ => "Uncached",
    };
    let facts = [
        ("x_ModelId", Some(word(&model.id))),
        ("x_ModelFamily", model.family.as_deref().map(word)),
        ("x_ModelDeveloper", model.developer.as_deref().map(word)),
        ("x_Meter", Some(word(meter.as_str()))),
        ("x_TokenDirection", meter.is_tokens().then(|| word(if is_input { "Input" } else { "Output" }))),
        ("x_TokenCacheAction", is_input.then(|| word(cache))),
        ("x_ServiceTier", Some(word(tier(unit.tier)))),
        ("x_InputTokensAbove", unit.above_k.map(|above_k| Value::from(u64::from(above_k) * 1_000))),
        ("x_Region", region.map(word)),
    ];
    let facts: Map<_, _> = facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    Value::Object(facts).to_string()
}

/// The tier as people say it.
pub(super) fn tier(tier: Tier) -> &'static str {
    if tier == Tier::Standard { "standard" } else { tier.as_str() }
}

/// The specification's kind of price.
pub(super) fn pricing_category(of: Tier) -> &'static str {
    match of {
        Tier::Standard => "Standard",
        Tier::OffPeak => "Dynamic",
        _ => "Other",
    }
}
