//! A scenario played over the traffic: which calls it is about, and what they cost in each case.

use daybook_ledger::price::{Book, Exact, Group, Meter, PriceStatus, PricesOf, scaled_tokens};
use daybook_ledger::{Feature, Usd};

use super::counterpart::{Flow, Gap, Ratios, Reason, Target, flow, gap, times};
use super::driver::{Cases, Driver};
use super::replay::{CallKind, Traffic};
use super::scenario::{Change, Hosting, Move, ONE, Rise, Scenario, parts};
use crate::Error;
use crate::registry::{FeatureRule, Registry};

/// The traffic at the prices it has without any scenario.
pub(super) struct Replay<'a> {
    pub(super) registry: &'a Registry,
    pub(super) traffic: &'a Traffic,
    pub(super) prices_of: PricesOf,
    /// What each group costs, or why it has no price.
    pub(super) base: Vec<Result<Exact, PriceStatus>>,
}

/// What a scenario makes of a group of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not about them.
    Untouched,
    /// It would be, but they have no counterpart.
    LeftOut(Gap),
    /// It is; for a move, which one.
    Affected(usize),
}

/// A scenario over the traffic.
pub(super) struct Played<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) targets: Vec<Target<'a>>,
    /// For each group, in their order.
    pub(super) fates: Vec<Fate>,
    book: &'a Book,
    replay: &'a Replay<'a>,
}

/// What the calls a scenario is about cost in it.
pub(super) struct Costs {
    pub(super) total: Exact,
    /// For each group it is about; empty where only the whole has a cost.
    pub(super) of_groups: Vec<(usize, Exact)>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(registry: &'a Registry, traffic: &'a Traffic, book: &'a Book, prices_of: PricesOf) -> Self {
        let base = traffic.groups.iter().map(|group| group.price(book, prices_of)).collect();
        Self { registry, traffic, prices_of, base }
    }

    /// Each group with its price.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&'a Group<CallKind>, &Result<Exact, PriceStatus>)> {
        self.traffic.groups.iter().zip(&self.base)
    }

    pub(super) fn workload(&self, group: &Group<CallKind>) -> Option<&'a str> {
        self.registry.workloads.get(group.kind.workload?).map(|workload| workload.name.as_str())
    }
}

impl<'a> Played<'a> {
    pub(super) fn new(replay: &'a Replay<'a>, scenario: &'a Scenario, book: &'a Book) -> Self {
        let targets = scenario.moves().iter().map(|to| Target::new(to, replay.registry)).collect();
        let mut played = Self { scenario, targets, fates: Vec::new(), book, replay };
        played.fates = replay.groups().map(|(group, base)| played.fate(group, base)).collect();
        played
    }

    fn fate(&self, group: &Group<CallKind>, base: &Result<Exact, PriceStatus>) -> Fate {
        // What the gateway answers itself costs nothing anywhere.
        let is_answered_before = group.unpriceable == Some(PriceStatus::GatewayCache);
        let concerned = match &self.scenario.change {
            Change::Nothing => Ok(Some(0)),
            _ if is_answered_before => Ok(None),
            Change::Rises(rises) => Ok(self.is_raised(rises, group).then_some(0)),
            Change::Moves { moves, vendor, .. } => self.moving(moves, vendor.as_deref(), group),
            Change::Hosted(one, _) => self.moving(std::slice::from_ref(one.as_ref()), None, group),
        };
        let counterpart = |at: usize| match base {
            Err(status) => gap(Reason::UnpricedToday, status.as_str()),
            Ok(_) => self.counterpart(at, group),
        };
        match concerned {
            Ok(None) => Fate::Untouched,
            Ok(Some(at)) => counterpart(at).map_or_else(Fate::LeftOut, |()| Fate::Affected(at)),
            Err(gap) => Fate::LeftOut(gap),
        }
    }

    /// The move that is for calls like these, if any is.
    fn moving(&self, moves: &[Move], vendor: Option<&str>, group: &Group<CallKind>) -> Result<Option<usize>, Gap> {
        let (provider, model) = (group.provider.as_deref(), group.model.as_deref());
        if vendor.is_some() && vendor == provider {
            return Ok(None);
        }
        let workload = self.replay.workload(group);
        let Some(at) = moves.iter().position(|one| one.scope.fits(workload, provider, model)) else {
            let nowhere = || gap(Reason::NoMove, format!("to {}", vendor.unwrap_or_default()));
            return if vendor.is_some() { nowhere() } else { Ok(None) };
        };
        let is_there = |one: &Move| {
            provider == Some(&one.to.provider)
                && model.is_some_and(|model| self.book.is_same_product(&one.to.provider, model, &one.to.model))
        };
        Ok(Some(at).filter(|at| !moves.get(*at).is_some_and(is_there)))
    }

    fn counterpart(&self, at: usize, group: &Group<CallKind>) -> Result<(), Gap> {
        let prices_of = self.replay.prices_of;
        match (&self.scenario.change, self.targets.get(at)) {
            (Change::Hosted(..), Some(target)) => target.check(group).and_then(|()| Target::check_text(group)),
            (Change::Moves { .. }, Some(target)) => {
                target.check(group).and_then(|()| target.check_price(group, self.book, prices_of))
            }
            _ => match group.price(self.book, prices_of) {
                Ok(_) => Ok(()),
                Err(status) => gap(Reason::UnpricedThere, status.as_str()),
            },
        }
    }

    fn is_raised(&self, rises: &[Rise], group: &Group<CallKind>) -> bool {
        let meters = group.used.iter().filter_map(|used| used.meter).chain([Meter::Request]);
        meters.into_iter().any(|meter| self.rise(rises, group, meter).is_some())
    }

    /// The rise of a meter's rate for calls like these.
    fn rise(&self, rises: &[Rise], group: &Group<CallKind>, meter: Meter) -> Option<usize> {
        let (provider, model) = (group.provider.as_deref(), group.model.as_deref());
        let workload = self.replay.workload(group);
        rises.iter().position(|rise| {
            let names_meter = rise.meters.is_empty() || rise.meters.contains(&meter);
            names_meter && rise.scope.fits(workload, provider, model)
        })
    }

    /// The groups it is about, with their numbers.
    pub(super) fn affected(&self) -> impl Iterator<Item = (usize, usize, &'a Group<CallKind>)> {
        self.fates.iter().zip(&self.replay.traffic.groups).enumerate().filter_map(
            |(number, (fate, group))| match fate {
                Fate::Affected(at) => Some((number, *at, group)),
                _ => None,
            },
        )
    }

    pub(super) fn is_about_calls(&self) -> bool {
        self.affected().next().is_some()
    }

    /// The rule of the registry for `feature`.
    pub(super) fn rule(&self, feature: Feature) -> Option<&'a FeatureRule> {
        self.replay.registry.features.iter().find(|rule| rule.feature == feature)
    }

    pub(super) fn base_of(&self, number: usize) -> Exact {
        self.replay.base.get(number).and_then(|base| base.ok()).unwrap_or_default()
    }

    /// What the calls it is about cost without it.
    pub(super) fn affected_base(&self) -> Exact {
        self.affected().map(|(number, ..)| self.base_of(number)).sum()
    }

    /// What all other priced calls cost.
    pub(super) fn rest(&self) -> Exact {
        let others = self.fates.iter().enumerate().filter(|(_, fate)| !matches!(fate, Fate::Affected(_)));
        others.map(|(number, _)| self.base_of(number)).sum()
    }

    /// What the calls it is about cost in it.
    pub(super) fn costs(&self, cases: Cases) -> Result<Costs, Error> {
        if let Change::Hosted(one, hosting) = &self.scenario.change {
            let days = self.replay.traffic.number_of_days();
            let gpus = self.gpus(one, hosting, cases, days * SECONDS_A_DAY, ONE)?;
            let rate = hosting.usd_per_gpu_hour.of(cases.of(Driver::UsdPerGpuHour));
            let total = rate.times(gpus.saturating_mul(days * 24), 1).ok_or_else(beyond)?;
            return Ok(Costs { total: total.into(), of_groups: Vec::new() });
        }
        let of_groups = self.affected().map(|(number, at, group)| {
            let cost = self.cost(cases, number, at, group).map_err(|status| Error::Internal {
                invariant: "what has a price in one case has one in all",
                found: format!("{} in scenario {}", status.as_str(), self.scenario.name),
            });
            Ok((number, cost?))
        });
        let of_groups = of_groups.collect::<Result<Vec<_>, Error>>()?;
        Ok(Costs { total: of_groups.iter().map(|(_, cost)| *cost).sum(), of_groups })
    }

    fn cost(&self, cases: Cases, number: usize, at: usize, group: &Group<CallKind>) -> Result<Exact, PriceStatus> {
        let prices_of = self.replay.prices_of;
        match (&self.scenario.change, self.targets.get(at)) {
            (Change::Rises(rises), _) => group.price_with(self.book, prices_of, |meter| {
                let at = self.rise(rises, group, meter);
                let rise = at.and_then(|at| Some((at, rises.get(at)?)));
                rise.map_or(ONE, |(at, rise)| rise.factor.of(cases.of(Driver::Rise(at))))
            }),
            (Change::Moves { share, .. }, Some(Target { to, .. })) => {
                let ratios = cases.ratios(to);
                let input_tokens = scaled_tokens(group.input_tokens, ratios.tokens);
                let there = group.price_as(self.book, prices_of, to.product(), input_tokens, ratios.used(group))?;
                Ok(there.times(*share) + self.base_of(number).times(ONE - *share))
            }
            _ => group.price(self.book, prices_of),
        }
    }

    /// How many GPUs calls like those of the window keep busy for so many seconds, at `growth` times their volume; none where
    /// there is no call to run.
    pub(super) fn gpus(
        &self,
        one: &Move,
        hosting: &Hosting,
        cases: Cases,
        seconds: i128,
        growth: Usd,
    ) -> Result<i128, Error> {
        if !self.is_about_calls() {
            return Ok(0);
        }
        let (read, written) = self.tokens(cases.ratios(one))?;
        let in_parts = |value: Usd| value.pico() / parts(1).pico();
        let speed = |range: &super::Range, driver| in_parts(range.inverse_of(cases.of(driver)));
        let reading = speed(&hosting.input_tokens_per_second, Driver::InputSpeed);
        let writing = speed(&hosting.output_tokens_per_second, Driver::OutputSpeed);
        let utilisation = speed(&hosting.utilisation, Driver::Utilisation);
        let product = |factors: [i128; 3]| factors.into_iter().try_fold(1_i128, i128::checked_mul);
        let work = product([in_parts(read), writing, in_parts(growth)])
            .zip(product([in_parts(written), reading, in_parts(growth)]))
            .and_then(|(read, written)| read.checked_add(written));
        let one_gpu = product([reading, writing, utilisation]).and_then(|one| one.checked_mul(seconds.max(1)));
        let (work, one_gpu) = work.zip(one_gpu).ok_or_else(beyond)?;
        // Of a GPU there is no half.
        Ok((work / one_gpu + i128::from(work % one_gpu > 0)).max(i128::from(hosting.gpus_min)))
    }

    /// Tokens read and written there by the calls it is about.
    fn tokens(&self, ratios: Ratios) -> Result<(Usd, Usd), Error> {
        let (mut read, mut written) = (Usd::ZERO, Usd::ZERO);
        for used in self.affected().flat_map(|(.., group)| &group.used) {
            let Some(flow) = used.meter.and_then(flow) else { continue };
            let counts = match flow {
                Flow::Read => ratios.tokens,
                Flow::ReadFromCache => times(ratios.tokens, ratios.lost),
                Flow::Written => times(ratios.tokens, ratios.output),
            };
            // No product of two ratios has more than 8 decimals.
            let tokens = used.quantity.times(counts.pico() / 10_000, 100_000_000).ok_or_else(beyond)?;
            let sum = if flow == Flow::Written { &mut written } else { &mut read };
            *sum = *sum + tokens;
        }
        Ok((read, written))
    }
}

pub(super) const SECONDS_A_DAY: i128 = 86_400;

pub(super) fn beyond() -> Error {
    Error::Failed { message: "an amount is beyond 10^22 dollars or as many tokens".into() }
}
