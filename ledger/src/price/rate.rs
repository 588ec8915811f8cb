//! From a call to its cost.

use crate::money::divide_half_even;
use crate::{Date, Usd};

use super::call::{Charge, ONE};
use super::card::{Band, Rate, Version};
use super::{Book, Call, Meter, Row, Tier};
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
    /// Whether a tenth was added for the region.
    pub uplifted: bool,
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
    /// The rate applied, in dollars per million, uplift included.
    pub usd_per_million: Option<Usd>,
    /// The row it comes from. Its unit says which rate stood in, where the bucket has none of its own.
    pub row: Option<&'b Row>,
    /// `quantity` at that rate. Lines are rounded one by one; only the total counts.
    pub cost: Option<Usd>,
}

/// The rates that apply to one call.
struct Card<'b> {
    version: &'b Version,
    band: Option<&'b Band>,
    uplifted: bool,
}

impl<'b> Card<'b> {
    fn rate(&self, charge: &Charge<'_>) -> Option<Rate> {
        self.band?.rate(charge.meter?)
    }

    /// Tenths of the rate that apply: the uplift is on tokens, not on searches.
    fn tenths(&self, charge: &Charge<'_>) -> i128 {
        if self.uplifted && charge.meter.is_some_and(Meter::is_tokens) { 11 } else { 10 }
    }

    /// `charge` at its rate, in units of [`TERM`]; `None` when it leaves 128 bits, which capped events cannot reach.
    fn term(&self, charge: &Charge<'_>, rate: Rate) -> Option<i128> {
        charge.quantity.pico().checked_mul(i128::from(rate.nano))?.checked_mul(self.tenths(charge))
    }

    fn total(&self, call: &Call<'_>) -> Result<Usd, PriceStatus> {
        let mut sum = 0_i128;
        for charge in call.charges() {
            let rate = self.rate(&charge).ok_or(PriceStatus::UnknownMeter)?;
            let term = self.term(&charge, rate);
            sum = term.and_then(|term| sum.checked_add(term)).ok_or(PriceStatus::InconsistentUsage)?;
        }
        Ok(Usd::from_pico(divide_half_even(sum, TERM)))
    }

    fn line(&self, book: &'b Book, charge: &Charge<'_>) -> Line<'b> {
        let rate = self.rate(charge);
        Line {
            counted: charge.counted.to_owned(),
            quantity: charge.quantity,
            // 10⁻⁹ dollars times tenths is 10⁻¹⁰ dollars.
            usd_per_million: rate.map(|rate| Usd::from_pico(i128::from(rate.nano) * self.tenths(charge) * 100)),
            row: rate.and_then(|rate| book.row(rate.row)),
            cost: rate.and_then(|rate| self.term(charge, rate)).map(|sum| Usd::from_pico(divide_half_even(sum, TERM))),
        }
    }
}

impl Book {
    /// What `call` costs at the rates in force when it was made.
    ///
    /// No allocation, no I/O. The exact sum over all buckets and meters is rounded once, half to even, to twelve places.
    pub fn price(&self, call: &Call<'_>) -> Rated<'_> {
        let priced = self.card(call).and_then(|card| Ok((card.total(call)?, card)));
        match priced {
            Ok((cost, card)) => Rated {
                list_cost: Some(cost),
                price_id: Some(card.version.id(card.uplifted)),
                status: PriceStatus::Priced,
            },
            Err(status) => Rated::without_card(status),
        }
    }

    /// [`Book::price`], and what it multiplied with what.
    pub fn explain(&self, call: &Call<'_>) -> Explanation<'_> {
        let card = self.card(call).ok();
        let line = |charge: Charge<'_>| match &card {
            Some(card) => card.line(self, &charge),
            None => {
                let Charge { counted, quantity, .. } = charge;
                Line { counted: counted.to_owned(), quantity, usd_per_million: None, row: None, cost: None }
            }
        };
        Explanation {
            rated: self.price(call),
            in_force: card.as_ref().map(|card| (card.version.from, card.version.to)),
            tier: call.tier(),
            uplifted: card.as_ref().is_some_and(|card| card.uplifted),
            lines: call.charges().map(line).collect(),
        }
    }

    /// The rates for `call`, or why none apply.
    fn card(&self, call: &Call<'_>) -> Result<Card<'_>, PriceStatus> {
        if call.gateway_cache_hit {
            return Err(PriceStatus::GatewayCache);
        }
        if let Some(problem) = call.usage_problem() {
            return Err(problem);
        }
        let provider = call.provider.ok_or(PriceStatus::UnknownProvider)?;
        let index = self.names().find(provider, call.model())?;
        let product = self.product(index).ok_or(PriceStatus::UnknownModel)?;
        let version = product.version(call.at.date()).ok_or(PriceStatus::NotInForce)?;
        let input_tokens = call.tokens.input.unwrap_or(0);
        let band = call.tier().and_then(|tier| version.band(tier, input_tokens));
        Ok(Card { version, band, uplifted: version.is_uplifted(call.region) })
    }
}

/// How many of what [`Card::term`] returns make 10⁻¹² dollars: quantities come in 10⁻¹², rates in tenths of 10⁻⁹ dollars per
/// million.
const TERM: i128 = ONE * 10_000;
