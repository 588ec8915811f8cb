//! From a window to months and years: volumes projected, and what a change takes once.

use std::collections::BTreeMap;

use daybook_ledger::price::Exact;
use daybook_ledger::{Feature, Usd};

use super::counterpart::{Served, times};
use super::driver::{Cases, Driver};
use super::play::{Played, SECONDS_A_DAY, beyond};
use super::scenario::{Assumed, Case, Change, ONE, Origin, Range, parts};
use crate::Error;

/// A month is a twelfth of 365.25 days: 30.4375 days, in ten-thousandths.
const MONTH_DAYS: i128 = 304_375;
/// And 730.5 hours, in tenths.
const MONTH_HOURS: i128 = 7_305;
const MONTHS_A_YEAR: i128 = 12;

/// `amount` of a window of `days`, for a month with `growth` times its volume.
pub(super) fn monthly(amount: Usd, growth: Usd, days: i128) -> Result<Usd, Error> {
    let growth = growth.pico() / parts(1).pico();
    let numerator = growth.checked_mul(MONTH_DAYS).ok_or_else(beyond)?;
    // Of a window without a day nothing can be said of a month; it has no calls either.
    amount.times(numerator, days.max(1).saturating_mul(100_000_000)).ok_or_else(beyond)
}

/// What a scenario comes to.
pub(super) struct Projection<'a> {
    pub(super) played: &'a Played<'a>,
    pub(super) days: i128,
    /// What all calls it is not about cost in the window.
    rest: Usd,
    /// What the calls it is about cost in the window without it.
    pub(super) affected: Usd,
    /// What the part of them that moves costs in the window without it.
    moved: Usd,
    /// Engineering days.
    pub(super) engineering: Assumed,
}

impl<'a> Projection<'a> {
    pub(super) fn new(played: &'a Played<'a>, days: i128) -> Result<Self, Error> {
        let affected = played.affected_base().round().ok_or_else(beyond)?;
        let share = if let Change::Moves { share, .. } = played.scenario.change { share } else { ONE };
        let moved = dollars(played.affected_base().times(share))?;
        let rest = played.rest().round().ok_or_else(beyond)?;
        let stated = played.scenario.project.engineering_days;
        let by_rules = Assumed { range: Range::exactly(engineering_days(played)), origin: Origin::Features };
        Ok(Self { played, days, rest, affected, moved, engineering: by_rules.or(stated) })
    }

    /// What the calls the scenario is about cost in the window.
    pub(super) fn window(&self, cases: Cases) -> Result<Usd, Error> {
        dollars(self.played.costs(cases)?.total)
    }

    /// What all priced calls cost in a month with `growth` times the volume.
    pub(super) fn month(&self, case: Case, growth: Usd) -> Result<Usd, Error> {
        let cases = Cases::all(case);
        let affected = match &self.played.scenario.change {
            // Machines do not grow with every call.
            Change::Hosted(one, hosting) => {
                let gpus = self.played.gpus(one, hosting, cases, self.days * SECONDS_A_DAY, growth)?;
                let rate = hosting.usd_per_gpu_hour.of(case);
                rate.times(gpus.saturating_mul(MONTH_HOURS), 10).ok_or_else(beyond)?
            }
            _ => monthly(self.window(cases)?, growth, self.days)?,
        };
        Ok(affected + monthly(self.rest, growth, self.days)?)
    }

    /// What it takes once; `None` if it takes days that nobody put a price on.
    pub(super) fn once(&self, cases: Cases, growth: Usd) -> Result<Option<Usd>, Error> {
        let project = &self.played.scenario.project;
        let days = self.engineering.range.of(cases.of(Driver::EngineeringDays));
        let engineering = match project.day_rate_usd {
            Some(rate) => Some(times(days, rate.of(cases.of(Driver::DayRate)))),
            None => (days == Usd::ZERO).then_some(Usd::ZERO),
        };
        let months =
            project.dual_running_months.map_or(Usd::ZERO, |range| range.of(cases.of(Driver::DualRunningMonths)));
        let old = monthly(self.moved, growth, self.days)?;
        let twice = old.times(months.pico() / parts(1).pico(), 10_000).ok_or_else(beyond)?;
        Ok(engineering.map(|engineering| engineering + twice))
    }

    /// What a first year costs: twelve such months, and what it takes once.
    pub(super) fn first_year(&self, case: Case, growth: Usd) -> Result<Option<Usd>, Error> {
        let year = self.month(case, growth)?.times(MONTHS_A_YEAR, 1).ok_or_else(beyond)?;
        Ok(self.once(Cases::all(case), growth)?.map(|once| year + once))
    }
}

pub(super) fn dollars(amount: Exact) -> Result<Usd, Error> {
    amount.round().ok_or_else(beyond)
}

/// The days the rules of the registry see, for each workload that moves: those of every feature that binds it, unless the
/// vendor stays. Calls of no workload count as one.
fn engineering_days(played: &Played<'_>) -> Usd {
    let mut workloads: BTreeMap<Option<usize>, (u64, BTreeMap<Feature, u64>)> = BTreeMap::new();
    for (_, at, group) in played.affected() {
        let Some(target) = played.targets.get(at) else { continue };
        let (calls, features) = workloads.entry(group.kind.workload).or_default();
        *calls += group.calls;
        let moved = |feature: &Feature| target.serves(*feature, group.provider.as_deref()) != Served::SameVendor;
        for feature in group.kind.features.iter().filter(moved) {
            *features.entry(feature).or_default() += group.calls;
        }
    }
    let days = workloads.values().flat_map(|(calls, features)| {
        features.iter().filter_map(|(feature, leaning)| {
            let rule = played.rule(*feature)?;
            let share = ONE.times(i128::from(*leaning), i128::from(*calls))?;
            (share >= rule.share_min).then_some(rule.effort_days)
        })
    });
    days.sum()
}
