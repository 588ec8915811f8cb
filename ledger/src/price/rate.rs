//! From a call to its cost.

use crate::money::divide_half_even;
use crate::{Date, Instant, Usd};

use super::book::Product;
use super::call::{Charge, ONE};
use super::card::{Band, Rate, Uplift, Version};
use super::exact::Exact;
use super::names::MatchedBy;
use super::terms::{Factor, greatest_common_divisor};
use super::{Book, Call, Meter, Row, Tier, Unit};
use crate::words::words;

words! {
    /// Whether a call has a cost, and if not, why: the column `price_status`.
    PriceStatus {
        /// Everything used has a rate.
        Priced = "priced",
        /// The gateway answered from its own cache: the provider was not asked, the cost is 0.
        GatewayCache = "gateway_cache",
        /// The event does not say what was used, or only half of it.
        NoUsage = "no_usage",
        /// The counts contradict each other.
        InconsistentUsage = "inconsistent_usage",
        /// No row of the book is of this provider, or the event names none.
        UnknownProvider = "unknown_provider",
        /// The provider has rows, this model has none.
        UnknownModel = "unknown_model",
        /// The model has rows, but none in force at the time of the call.
        NotInForce = "not_in_force",
        /// It used capacity that is paid by the hour: its tokens cost nothing more. A valuation can spread the hours.
        Provisioned = "provisioned",
        /// A valuation's share of an hour of capacity.
        CapacityShare = "capacity_share",
        /// The model has rows in force, but something used has no rate among them.
        UnknownMeter = "unknown_meter",
    }
}

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rated<'b> {
    /// The cost at the book's rates; `None` unless priced or answered by the gateway's cache.
    pub list_cost: Option<Usd>,
    /// The rate card used: `provider/model@first day#hash`, and `*1.1` where a region costs a tenth more.
    pub price_id: Option<&'b str>,
    /// Whether there is a cost, and if not, why.
    pub status: PriceStatus,
}

impl Rated<'_> {
    const fn without_card(status: PriceStatus) -> Self {
        let list_cost = if matches!(status, PriceStatus::GatewayCache) { Some(Usd::ZERO) } else { None };
        Self { list_cost, price_id: None, status }
    }
}

/// How a cost came about.
#[derive(Clone, Debug)]
pub struct Explanation<'b> {
    /// The cost, as [`Book::price`] gives it.
    pub rated: Rated<'b>,
    /// First day, and first day after, of the rate card that was in force.
    pub in_force: Option<(Date, Option<Date>)>,
    /// The tier whose rates apply; `None` for a word that names none we know.
    pub tier: Option<Tier>,
    /// Whether token rates were multiplied for the region; by how much, the price id says.
    pub uplifted: bool,
    /// The discount that was taken off.
    pub discount: Option<&'b Row>,
    /// The product's model name, and how the call's name led to it.
    pub product: Option<(&'b str, MatchedBy)>,
    /// One line for everything that was counted.
    pub lines: Vec<Line<'b>>,
}

/// One thing counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// The bucket or meter: a word of the sheet for tokens, the entry's own word otherwise.
    pub counted: String,
    /// How many: a quantity, of which [`Usd`] is merely the decimal type.
    pub quantity: Usd,
    /// The same as a sheet names it, in the tier and band of the call; `None` if nothing prices it.
    pub unit: Option<Unit>,
    /// The rate before a discount, uplift included, to twelve places.
    pub undiscounted_usd_per_million: Option<Usd>,
    /// The rate applied, in dollars per million, uplift and discount included, to twelve places.
    pub usd_per_million: Option<Usd>,
    /// The row it comes from. Its unit says which rate stood in, where the bucket has none of its own.
    pub row: Option<&'b Row>,
    /// `quantity` at that rate. Lines are rounded one by one; only the total counts.
    pub cost: Option<Usd>,
}

/// What decides which rates apply.
pub(super) struct Wanted<'a> {
    pub(super) provider: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) tier: Option<Tier>,
    pub(super) region: Option<&'a str>,
    /// The day whose rates apply.
    pub(super) day: Date,
    /// When the call was made: whether at an off-peak hour.
    pub(super) at: Instant,
    pub(super) input_tokens: i64,
}

/// A rate that is asked for without a call.
#[derive(Clone, Copy, Debug)]
pub struct RateOf<'a> {
    /// Who bills.
    pub provider: &'a str,
    /// The model that serves.
    pub model: &'a str,
    /// Tier and meter; of bands, `input_tokens` chooses.
    pub unit: Unit,
    /// When.
    pub at: Instant,
    /// Where the provider processes the call.
    pub region: Option<&'a str>,
    /// How long the request is.
    pub input_tokens: i64,
}

/// The rates that apply to one call.
pub(super) struct Card<'b> {
    version: &'b Version,
    tier: Option<Tier>,
    band: Option<&'b Band>,
    uplift: Option<&'b Uplift>,
}

impl<'b> Card<'b> {
    fn rate(&self, charge: &Charge<'_>) -> Option<Rate> {
        self.band?.rate(charge.meter?)
    }

    /// What `call` is charged for at this card: what it counts, and the call itself where that has a price.
    fn charges<'a>(&self, call: &Call<'a>) -> impl Iterator<Item = Charge<'a>> + use<'a, 'b> {
        let band = self.band;
        let request = band.and_then(|band| band.rate(Meter::Request));
        let request = request.map(|_| Charge::of("request", Some(Meter::Request), Usd::from_pico(ONE)));
        call.charges().filter(move |charge| is_charged(band, charge)).chain(request)
    }

    /// What `charges`, sums over `calls` calls at this card, come to, each times what stands beside it.
    pub(super) fn exact_total<'a>(
        &self,
        charges: impl Iterator<Item = (Charge<'a>, Usd)>,
        calls: (Charge<'a>, Usd),
    ) -> Result<Exact, PriceStatus> {
        let per_call = self.rate(&calls.0).map(|_| calls);
        let charged = charges.filter(|(charge, _)| is_charged(self.band, charge)).chain(per_call);
        charged
            .map(|(charge, times)| {
                let rate = self.rate(&charge).ok_or(PriceStatus::UnknownMeter)?;
                Ok(Exact::product(charge.quantity, rate.nano, times, self.factor(&charge)))
            })
            .sum()
    }

    /// What `charge` is in a sheet: tools have one price in every tier.
    fn unit(&self, charge: &Charge<'_>) -> Option<Unit> {
        let meter = charge.meter?;
        if meter.is_tool() {
            return Some(Unit::standard(meter));
        }
        Some(Unit { tier: self.tier?, above_k: self.band?.above_k, ..Unit::standard(meter) })
    }

    fn discount(&self) -> Factor {
        self.version.discount().map_or(Factor::ONE, |discount| discount.factor)
    }

    /// What the rate of `charge` is multiplied with before a discount: the uplift is on tokens, not on searches.
    fn uplift(&self, charge: &Charge<'_>) -> Factor {
        let uplift = self.uplift.map_or(Factor::ONE, |uplift| uplift.factor);
        let is_uplifted = charge.meter.is_some_and(Meter::is_tokens);
        Factor {
            numerator: if is_uplifted { uplift.numerator } else { uplift.denominator },
            denominator: uplift.denominator,
        }
    }

    /// What the rate of `charge` is multiplied with: the uplift, and a discount on everything.
    ///
    /// All factors of a card have one denominator.
    fn factor(&self, charge: &Charge<'_>) -> Factor {
        let (uplift, discount) = (self.uplift(charge), self.discount());
        // Both are at most 10^6 in lowest terms: no product of two wraps.
        Factor {
            numerator: uplift.numerator * discount.numerator,
            denominator: uplift.denominator * discount.denominator,
        }
    }

    /// `charge` at its rate, in units of [`TERM`] over `grain` times the denominator of the factor; `None` when it leaves 128
    /// bits, which capped events cannot reach at rates in force anywhere.
    fn term(&self, charge: &Charge<'_>, rate: Rate, grain: i128) -> Option<i128> {
        let factor = self.factor(charge).numerator;
        (charge.quantity.pico() / grain).checked_mul(i128::from(rate.nano))?.checked_mul(factor)
    }

    /// `sum` of terms in dollars, rounded once.
    fn dollars(&self, sum: i128, grain: i128, denominator: i128) -> Usd {
        Usd::from_pico(divide_half_even(sum, TERM / grain * denominator))
    }

    fn total(&self, call: &Call<'_>) -> Result<Usd, PriceStatus> {
        // Quantities are mostly whole: counted in their own grain, exact products of all factors stay within 128 bits.
        let grain = self.charges(call).fold(ONE, |grain, charge| grain_of(&charge, grain));
        let (mut sum, mut denominator) = (0_i128, 1);
        for charge in self.charges(call) {
            let rate = self.rate(&charge).ok_or(PriceStatus::UnknownMeter)?;
            let term = self.term(&charge, rate, grain);
            sum = term.and_then(|term| sum.checked_add(term)).ok_or(PriceStatus::InconsistentUsage)?;
            denominator = self.factor(&charge).denominator;
        }
        Ok(self.dollars(sum, grain, denominator))
    }

    fn line(&self, book: &'b Book, charge: &Charge<'_>) -> Line<'b> {
        let (rate, factor) = (self.rate(charge), self.factor(charge));
        let grain = grain_of(charge, ONE);
        Line {
            counted: charge.counted.to_owned(),
            quantity: charge.quantity,
            unit: self.unit(charge).filter(|_| rate.is_some()),
            undiscounted_usd_per_million: self.rate_times(charge, self.uplift(charge)),
            usd_per_million: self.rate_times(charge, factor),
            row: rate.and_then(|rate| book.row(rate.row)),
            cost: rate
                .and_then(|rate| self.term(charge, rate, grain))
                .map(|sum| self.dollars(sum, grain, factor.denominator)),
        }
    }

    /// The rate of `charge` times `factor`, rounded to twelve places.
    fn rate_times(&self, charge: &Charge<'_>, factor: Factor) -> Option<Usd> {
        let nano = i128::from(self.rate(charge)?.nano);
        Some(Usd::from_pico(divide_half_even(nano * 1_000 * factor.numerator, factor.denominator)))
    }

    fn id(&self) -> &'b str {
        self.uplift.map_or(&self.version.id, |uplift| &uplift.id)
    }
}

impl Book {
    /// What `call` costs at the rates in force when it was made.
    ///
    /// No allocation, no I/O. The exact sum over all buckets and meters is rounded once, half to even, to twelve places.
    pub fn price(&self, call: &Call<'_>) -> Rated<'_> {
        let priced = self.card(call).and_then(|card| Ok((card.total(call)?, card)));
        match priced {
            Ok((cost, card)) => Rated { list_cost: Some(cost), price_id: Some(card.id()), status: PriceStatus::Priced },
            Err(status) => Rated::without_card(status),
        }
    }

    /// [`Book::price`], and what it multiplied with what.
    pub fn explain(&self, call: &Call<'_>) -> Explanation<'_> {
        let card = self.card(call).ok();
        let unknown = |charge: Charge<'_>| Line {
            counted: charge.counted.to_owned(),
            quantity: charge.quantity,
            unit: None,
            undiscounted_usd_per_million: None,
            usd_per_million: None,
            row: None,
            cost: None,
        };
        let lines = match &card {
            Some(card) => card.charges(call).map(|charge| card.line(self, &charge)).collect(),
            None => call.charges().map(unknown).collect(),
        };
        let version = card.as_ref().map(|card| card.version);
        Explanation {
            rated: self.price(call),
            in_force: version.map(|version| (version.from, version.to)),
            tier: call.tier().map(|tier| version.map_or(tier, |version| in_hours(tier, version, call.at))),
            uplifted: card.as_ref().is_some_and(|card| card.uplift.is_some()),
            discount: version.and_then(Version::discount).and_then(|discount| self.row(discount.row)),
            product: self.product_name(call),
            lines,
        }
    }

    /// What a million of `rate.unit` costs; `None` where nobody states it and nothing implies it.
    pub fn usd_per_million(&self, rate: &RateOf<'_>) -> Option<Usd> {
        let card = self.card_of(&Wanted {
            provider: Some(rate.provider),
            model: Some(rate.model),
            tier: Some(rate.unit.tier),
            region: rate.region,
            day: rate.at.date(),
            at: rate.at,
            input_tokens: rate.input_tokens,
        });
        let (card, charge) = (card.ok()?, Charge::of("", Some(rate.unit.meter), Usd::ZERO));
        card.rate_times(&charge, card.factor(&charge))
    }

    /// The product that `call` is priced as, and the rule that found it.
    fn product_name(&self, call: &Call<'_>) -> Option<(&str, MatchedBy)> {
        let (index, rule) = self.names().find(call.provider?, call.model()).ok()?;
        Some((self.product(index)?.model.as_ref(), rule))
    }

    /// The rates for `call`, or why none apply.
    fn card(&self, call: &Call<'_>) -> Result<Card<'_>, PriceStatus> {
        if let Some(status) = call.unpriceable() {
            return Err(status);
        }
        self.card_of(&Wanted {
            provider: call.provider,
            model: call.model(),
            tier: call.tier(),
            region: call.region,
            day: call.at.date(),
            at: call.at,
            input_tokens: call.tokens.input.unwrap_or(0),
        })
    }

    pub(super) fn card_of(&self, wanted: &Wanted<'_>) -> Result<Card<'_>, PriceStatus> {
        let provider = wanted.provider.ok_or(PriceStatus::UnknownProvider)?;
        let version = self.sold_as(provider, wanted.model)?.version(wanted.day).ok_or(PriceStatus::NotInForce)?;
        let tier = wanted.tier.map(|tier| in_hours(tier, version, wanted.at));
        let band = tier.and_then(|tier| version.band(tier, wanted.input_tokens));
        Ok(Card { version, tier, band, uplift: version.uplift(wanted.region) })
    }

    fn sold_as(&self, provider: &str, model: Option<&str>) -> Result<&Product, PriceStatus> {
        let (index, _) = self.names().find(provider, model)?;
        self.product(index).ok_or(PriceStatus::UnknownModel)
    }

    /// Whether `model` of `provider` has rates, on `day` if one is given.
    ///
    /// # Errors
    /// [`PriceStatus::UnknownProvider`], [`PriceStatus::UnknownModel`], [`PriceStatus::NotInForce`].
    pub fn has_rates(&self, provider: &str, model: &str, day: Option<Date>) -> Result<(), PriceStatus> {
        let product = self.sold_as(provider, Some(model))?;
        let is_in_force = day.is_none_or(|day| product.version(day).is_some());
        if is_in_force { Ok(()) } else { Err(PriceStatus::NotInForce) }
    }

    /// Whether two names mean one product of `provider`.
    pub fn is_same_product(&self, provider: &str, model: &str, other: &str) -> bool {
        let named = |model| self.names().find(provider, Some(model)).ok().map(|(index, _)| index);
        model == other || named(model).is_some_and(|product| named(other) == Some(product))
    }
}

/// What costs something only where it has a rate of its own is not charged elsewhere.
fn is_charged(band: Option<&Band>, charge: &Charge<'_>) -> bool {
    !charge.only_if_stated || charge.meter.and_then(|meter| band?.rate(meter)).is_some()
}

/// The largest unit, up to `grain`, of which the quantity is a whole number.
fn grain_of(charge: &Charge<'_>, grain: i128) -> i128 {
    if charge.quantity.pico() % grain == 0 { grain } else { greatest_common_divisor(charge.quantity.pico(), grain) }
}

/// The ordinary service has other rates at some hours.
fn in_hours(tier: Tier, version: &Version, at: Instant) -> Tier {
    if tier == Tier::Standard && version.is_off_peak(at) { Tier::OffPeak } else { tier }
}

/// How many of what [`Card::term`] returns make 10⁻¹² dollars, before the factor: quantities come in 10⁻¹², rates in 10⁻⁹
/// dollars per million.
const TERM: i128 = ONE * 1_000;
