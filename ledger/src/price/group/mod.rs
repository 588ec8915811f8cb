//! Calls summed before they are priced: as many prices as there are kinds of calls, not as there are calls.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::{Date, EntryId, Instant, Usd};

use super::call::{Charge, ONE};
use super::cuts::{Cuts, Place};
use super::exact::Exact;
use super::rate::Wanted;
use super::{Book, Call, Meter, PriceStatus, Tier};

/// The day whose prices apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PricesOf {
    /// This one, for every call.
    Day(Date),
    /// That of each call.
    TheCall,
}

/// Calls that are priced alike: what decides their rates, and what they used together. `K` is what else they share.
#[derive(Clone, Debug)]
pub struct Group<K> {
    /// What else they share.
    pub kind: K,
    /// Who bills.
    pub provider: Option<Arc<str>>,
    /// The model that served, else the one asked for.
    pub model: Option<Arc<str>>,
    /// Which rates they asked for; none that can be had under `None`.
    pub tier: Option<Tier>,
    /// Where they were processed.
    pub region: Option<Arc<str>>,
    /// Input tokens of one of them: between the same cuts as those of all.
    pub input_tokens: i64,
    /// Output tokens of the same one.
    pub output_tokens: i64,
    /// Why no rate can price them, if none can.
    pub unpriceable: Option<PriceStatus>,
    /// Calls.
    pub calls: u64,
    /// What they used, none of it zero.
    pub used: Vec<Used>,
    /// What was recorded as their cost, where there is one.
    pub list_cost: Usd,
    /// How many were recorded without a cost.
    pub recorded_unpriced: u64,
    /// The one with the smallest id.
    pub sample: EntryId,
    names_model: bool,
    at: Instant,
}

/// How much of one meter some calls used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What was counted; `None`: nobody told how it is billed.
    pub meter: Option<Meter>,
    /// How much: a quantity, of which [`Usd`] is merely the decimal type.
    pub quantity: Usd,
    /// What it counts times: 1, unless it is simulated.
    pub times: Usd,
    /// What has no rate of its own costs nothing more.
    pub only_if_stated: bool,
}

/// Whose rates are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// Who bills.
    pub provider: &'a str,
    /// The model.
    pub model: &'a str,
    /// Where calls are processed.
    pub region: Option<&'a str>,
}

impl<K> Group<K> {
    /// What the group costs in `book`, exactly what its calls cost one by one, before rounding.
    ///
    /// # Errors
    /// Why it has no price; [`PriceStatus::GatewayCache`] is no cost.
    pub fn price(&self, book: &Book, prices_of: PricesOf) -> Result<Exact, PriceStatus> {
        self.price_with(book, prices_of, |_| Usd::from_pico(ONE))
    }

    /// The same with each rate multiplied by what `times` says of its meter.
    ///
    /// # Errors
    /// As [`Group::price`].
    pub fn price_with(
        &self,
        book: &Book,
        prices_of: PricesOf,
        times: impl Fn(Meter) -> Usd,
    ) -> Result<Exact, PriceStatus> {
        if let Some(status) = self.unpriceable {
            return if status == PriceStatus::GatewayCache { Ok(Exact::ZERO) } else { Err(status) };
        }
        let used = self.used.iter().map(|used| Used { times: used.meter.map_or(used.times, &times), ..*used });
        let (provider, model) = (self.provider.as_deref(), self.model.as_deref().filter(|_| self.names_model));
        let wanted = self.wanted(provider, model, self.region.as_deref(), prices_of, self.input_tokens);
        self.total(book, &wanted, used, times(Meter::Request))
    }

    /// What `used` costs as calls of `product`, with `input_tokens` in each, in the tier and at the hours of these calls.
    ///
    /// # Errors
    /// Why it has no price.
    pub fn price_as(
        &self,
        book: &Book,
        prices_of: PricesOf,
        product: Product<'_>,
        input_tokens: i64,
        used: impl Iterator<Item = Used>,
    ) -> Result<Exact, PriceStatus> {
        let wanted = self.wanted(Some(product.provider), Some(product.model), product.region, prices_of, input_tokens);
        self.total(book, &wanted, used, Usd::from_pico(ONE))
    }

    fn wanted<'a>(
        &self,
        provider: Option<&'a str>,
        model: Option<&'a str>,
        region: Option<&'a str>,
        prices_of: PricesOf,
        input_tokens: i64,
    ) -> Wanted<'a> {
        let day = match prices_of {
            PricesOf::Day(day) => day,
            PricesOf::TheCall => self.at.date(),
        };
        Wanted { provider, model, tier: self.tier, region, day, at: self.at, input_tokens }
    }

    fn total(
        &self,
        book: &Book,
        wanted: &Wanted<'_>,
        used: impl Iterator<Item = Used>,
        per_call: Usd,
    ) -> Result<Exact, PriceStatus> {
        let charge = |used: Used| {
            let charge = Charge { only_if_stated: used.only_if_stated, ..Charge::of("", used.meter, used.quantity) };
            (charge, used.times)
        };
        let calls = Usd::from_pico(i128::from(self.calls) * ONE);
        let calls = (Charge::of("request", Some(Meter::Request), calls), per_call);
        book.card_of(wanted)?.exact_total(used.map(charge), calls)
    }
}

/// Calls on their way into groups.
#[derive(Debug)]
pub struct Groups<K> {
    cuts: Arc<Cuts>,
    names: Names,
    index: HashMap<Key<K>, usize>,
    groups: Vec<Group<K>>,
}

/// Names to numbers, so that a call is looked up without a copy of its texts.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: Option<&str>) -> Option<u32> {
        let name = name?;
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push(name);
        Some(number)
    }

    fn name(&self, number: Option<u32>) -> Option<Arc<str>> {
        self.names.get(usize::try_from(number?).ok()?).cloned()
    }
}

/// Everything that decides what a call costs, but how much it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key<K> {
    kind: K,
    provider: Option<u32>,
    model: Option<u32>,
    names_model: bool,
    tier: Option<Tier>,
    region: Option<u32>,
    unpriceable: Option<PriceStatus>,
    place: Place,
    meters: Meters,
}

/// What a call used, without how much: a bit for each meter. A call with a meter that has no rate has no price, so calls
/// that used others must not be summed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Meters {
    billed: u64,
    only_if_stated: u64,
    unknown: bool,
}

const _: () = assert!(Meter::COUNT <= 64, "a bit for each meter");

impl Meters {
    fn of<'a>(charges: impl Iterator<Item = Charge<'a>>) -> Self {
        charges.fold(Self::default(), |mut meters, charge| {
            match charge.meter {
                None => meters.unknown = true,
                Some(meter) if charge.only_if_stated => meters.only_if_stated |= 1 << meter as u64,
                Some(meter) => meters.billed |= 1 << meter as u64,
            }
            meters
        })
    }
}

impl<K: Copy + Eq + Hash> Groups<K> {
    /// None yet; calls are told apart by `cuts`.
    pub fn new(cuts: Arc<Cuts>) -> Self {
        Self { cuts, names: Names::default(), index: HashMap::new(), groups: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds a call, and what was recorded as its cost, to the group it is priced with.
    pub fn add(&mut self, entry_id: EntryId, call: &Call<'_>, list_cost: Option<Usd>, kind: K) {
        let key = self.key(call, kind);
        let at = self.at(key, call, entry_id);
        let Some(group) = self.groups.get_mut(at) else { return };
        group.calls += 1;
        group.recorded_unpriced += u64::from(list_cost.is_none());
        group.list_cost = group.list_cost + list_cost.unwrap_or_default();
        group.sample = group.sample.min(entry_id);
        call.charges()
            .for_each(|charge| add_used(&mut group.used, charge.meter, charge.only_if_stated, charge.quantity));
    }

    /// The groups of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (key, at) in other.index {
            let Some(group) = other.groups.get(at) else { continue };
            let mut renumbered = |number| self.names.number(other.names.name(number).as_deref());
            let (provider, model, region) = (renumbered(key.provider), renumbered(key.model), renumbered(key.region));
            let key = Key { provider, model, region, ..key };
            match self.index.get(&key).and_then(|at| self.groups.get_mut(*at)) {
                None => {
                    self.index.insert(key, self.groups.len());
                    self.groups.push(group.clone());
                }
                Some(same) => {
                    same.calls += group.calls;
                    same.recorded_unpriced += group.recorded_unpriced;
                    same.list_cost = same.list_cost + group.list_cost;
                    same.sample = same.sample.min(group.sample);
                    let used = group.used.iter();
                    used.for_each(|used| add_used(&mut same.used, used.meter, used.only_if_stated, used.quantity));
                }
            }
        }
        self
    }

    /// The groups, in no order that counts.
    pub fn into_groups(self) -> Vec<Group<K>> {
        self.groups
    }

    fn key(&mut self, call: &Call<'_>, kind: K) -> Key<K> {
        Key {
            kind,
            provider: self.names.number(call.provider),
            model: self.names.number(call.model_asked_for()),
            names_model: call.model().is_some(),
            tier: call.tier(),
            region: self.names.number(call.region),
            unpriceable: call.unpriceable(),
            place: self.cuts.place(call.tokens.input.unwrap_or(0), call.tokens.output.unwrap_or(0), call.at),
            meters: Meters::of(call.charges()),
        }
    }

    fn at(&mut self, key: Key<K>, call: &Call<'_>, sample: EntryId) -> usize {
        if let Some(at) = self.index.get(&key) {
            return *at;
        }
        let at = self.groups.len();
        self.index.insert(key, at);
        self.groups.push(Group {
            kind: key.kind,
            provider: self.names.name(key.provider),
            model: self.names.name(key.model),
            tier: key.tier,
            region: self.names.name(key.region),
            input_tokens: call.tokens.input.unwrap_or(0),
            output_tokens: call.tokens.output.unwrap_or(0),
            unpriceable: key.unpriceable,
            calls: 0,
            used: Vec::new(),
            list_cost: Usd::ZERO,
            recorded_unpriced: 0,
            sample,
            names_model: key.names_model,
            at: call.at,
        });
        at
    }
}

fn add_used(used: &mut Vec<Used>, meter: Option<Meter>, only_if_stated: bool, quantity: Usd) {
    let is_same = |used: &&mut Used| used.meter == meter && used.only_if_stated == only_if_stated;
    match used.iter_mut().find(is_same) {
        Some(used) => used.quantity = used.quantity + quantity,
        None => used.push(Used { meter, quantity, times: Usd::from_pico(ONE), only_if_stated }),
    }
}

#[cfg(test)]
mod tests;
