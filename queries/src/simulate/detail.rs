//! What the amounts are made of: lines by workload and model, calls left out, features leaned on.

use std::collections::BTreeMap;

use daybook_ledger::price::{Exact, Group};
use daybook_ledger::{EntryId, Feature, Usd};

use super::counterpart::{Gap, Served};
use super::driver::Cases;
use super::play::{Fate, Played, Replay};
use super::project::dollars;
use super::replay::CallKind;
use super::report::{Tables, add_known, rounded};
use super::rows::Cell;
use super::scenario::Case;
use crate::Error;

/// Workload, provider and model.
type Product = (Option<String>, Option<String>, Option<String>);

/// Calls of one product that a scenario is about.
#[derive(Default)]
struct Line {
    calls: u64,
    base: Exact,
    cases: [Option<Exact>; 3],
}

/// Calls of one product that are left out for one reason.
struct LeftOut {
    calls: u64,
    base: Option<Exact>,
    recorded: Option<Usd>,
    sample: EntryId,
}

impl Tables {
    pub(super) fn add_lines(&mut self, played: &Played<'_>, replay: &Replay<'_>) -> Result<(), Error> {
        let mut lines: BTreeMap<(Product, Option<String>), Line> = BTreeMap::new();
        let key = |at: usize, group: &Group<CallKind>| {
            (product(replay, group), played.targets.get(at).map(|target| target.to.to.to_string()))
        };
        for (number, at, group) in played.affected() {
            let line = lines.entry(key(at, group)).or_default();
            line.calls += group.calls;
            line.base = line.base + played.base_of(number);
        }
        for (place, case) in Case::ALL.iter().enumerate() {
            let costs: BTreeMap<usize, Exact> = played.costs(Cases::all(*case))?.of_groups.into_iter().collect();
            for (number, at, group) in played.affected() {
                let sums = lines.get_mut(&key(at, group)).and_then(|line| line.cases.get_mut(place));
                if let (Some(sum), Some(cost)) = (sums, costs.get(&number)) {
                    *sum = add_known(*sum, Some(*cost));
                }
            }
        }
        for (((workload, provider, model), to), Line { calls, base, cases }) in lines {
            let row =
                [Cell::text(&played.scenario.name), Cell::Text(workload), Cell::Text(provider), Cell::Text(model)];
            let sums = [Cell::Text(to), Cell::count(calls), Cell::dollars(dollars(base)?)];
            let cases = cases.into_iter().map(rounded).collect::<Result<Vec<_>, _>>()?;
            self.lines.push(row.into_iter().chain(sums).chain(cases));
        }
        Ok(())
    }

    pub(super) fn add_left_out(&mut self, played: &Played<'_>, replay: &Replay<'_>) -> Result<(), Error> {
        let mut sums: BTreeMap<(Gap, Product), LeftOut> = BTreeMap::new();
        for ((group, base), fate) in replay.groups().zip(&played.fates) {
            let Fate::LeftOut(gap) = fate else { continue };
            let first = || LeftOut { calls: 0, base: None, recorded: None, sample: group.sample };
            let sum = sums.entry((gap.clone(), product(replay, group))).or_insert_with(first);
            sum.calls += group.calls;
            sum.base = add_known(sum.base, base.ok());
            if group.recorded_unpriced < group.calls {
                sum.recorded = Some(sum.recorded.unwrap_or_default() + group.list_cost);
            }
            sum.sample = sum.sample.min(group.sample);
        }
        for ((gap, (workload, provider, model)), LeftOut { calls, base, recorded, sample }) in sums {
            self.left_out.push([
                Cell::text(&played.scenario.name),
                Cell::text(gap.reason.as_str()),
                Cell::text(gap.detail),
                Cell::Text(workload),
                Cell::Text(provider),
                Cell::Text(model),
                Cell::count(calls),
                rounded(base)?,
                Cell::Decimal(recorded),
                Cell::text(sample.to_string()),
            ]);
        }
        Ok(())
    }

    /// What the calls that move lean on, and how the model they move to serves it.
    pub(super) fn add_features(&mut self, played: &Played<'_>, replay: &Replay<'_>) -> Result<(), Error> {
        let mut sums: BTreeMap<(String, Feature, Served), (u64, Exact)> = BTreeMap::new();
        for (number, at, group) in played.affected() {
            let Some(target) = played.targets.get(at) else { continue };
            for feature in group.kind.features.iter() {
                let served = target.serves(feature, group.provider.as_deref());
                let (calls, base) = sums.entry((target.to.to.to_string(), feature, served)).or_default();
                *calls += group.calls;
                *base = *base + played.base_of(number);
            }
        }
        for ((to, feature, served), (calls, base)) in sums {
            let rule = replay.registry.features.iter().find(|rule| rule.feature == feature);
            self.features.push([
                Cell::text(&played.scenario.name),
                Cell::text(to),
                Cell::text(feature.as_str()),
                Cell::text(served.as_str()),
                Cell::count(calls),
                Cell::dollars(dollars(base)?),
                Cell::Decimal(rule.map(|rule| rule.effort_days)),
                Cell::Text(rule.map(|rule| rule.equivalents.join("; "))),
                Cell::Text(rule.map(|rule| rule.moving.clone())),
            ]);
        }
        Ok(())
    }
}

fn product(replay: &Replay<'_>, group: &Group<CallKind>) -> Product {
    let name = |name: Option<&str>| name.map(String::from);
    (name(replay.workload(group)), name(group.provider.as_deref()), name(group.model.as_deref()))
}
