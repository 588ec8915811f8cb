//! The tables of a simulation.

use daybook_ledger::price::{Exact, PricesOf};
use daybook_ledger::{Date, Usd};

use super::driver::Cases;
use super::play::{Fate, Replay};
use super::project::{Projection, dollars, monthly};
use super::rows::{Cell, Table, Type};
use super::scenario::{Case, ONE, Range};
use crate::Error;

/// Every table, under the name queries know it by.
pub(super) struct Tables {
    pub(super) traffic: Table,
    pub(super) scenarios: Table,
    pub(super) matrix: Table,
    pub(super) drivers: Table,
    pub(super) lines: Table,
    pub(super) left_out: Table,
    pub(super) features: Table,
    pub(super) assumptions: Table,
}

const TRAFFIC: &[(&str, Type)] = &[
    ("first_day", Type::Text),
    ("last_day", Type::Text),
    ("days", Type::Whole),
    ("prices_on", Type::Text),
    ("calls", Type::Whole),
    ("unpriced_calls", Type::Whole),
    ("base", Type::Dollars),
    ("recorded_cost", Type::Dollars),
    ("recorded_unpriced_calls", Type::Whole),
];
const SCENARIOS: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("kind", Type::Text),
    ("calls", Type::Whole),
    ("base", Type::Dollars),
    ("low", Type::Dollars),
    ("middle", Type::Dollars),
    ("high", Type::Dollars),
    ("change", Type::Dollars),
    ("left_out_calls", Type::Whole),
    ("left_out_base", Type::Dollars),
];
const MATRIX: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("volume", Type::Text),
    ("growth", Type::Number),
    ("calls_a_month", Type::Whole),
    ("low", Type::Dollars),
    ("middle", Type::Dollars),
    ("high", Type::Dollars),
    ("once_low", Type::Dollars),
    ("once_middle", Type::Dollars),
    ("once_high", Type::Dollars),
    ("first_year_low", Type::Dollars),
    ("first_year_middle", Type::Dollars),
    ("first_year_high", Type::Dollars),
];
const DRIVERS: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("part", Type::Text),
    ("driver", Type::Text),
    ("about", Type::Text),
    ("at_low", Type::Number),
    ("at_middle", Type::Number),
    ("at_high", Type::Number),
    ("low_change", Type::Dollars),
    ("high_change", Type::Dollars),
];
const LINES: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("workload", Type::Text),
    ("provider", Type::Text),
    ("model", Type::Text),
    ("to", Type::Text),
    ("calls", Type::Whole),
    ("base", Type::Dollars),
    ("low", Type::Dollars),
    ("middle", Type::Dollars),
    ("high", Type::Dollars),
];
const LEFT_OUT: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("reason", Type::Text),
    ("detail", Type::Text),
    ("workload", Type::Text),
    ("provider", Type::Text),
    ("model", Type::Text),
    ("calls", Type::Whole),
    ("base", Type::Dollars),
    ("recorded_cost", Type::Dollars),
    ("sample", Type::Text),
];
const FEATURES: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("to", Type::Text),
    ("feature", Type::Text),
    ("served", Type::Text),
    ("calls", Type::Whole),
    ("base", Type::Dollars),
    ("effort_days", Type::Number),
    ("equivalents", Type::Text),
    ("moving", Type::Text),
];
const ASSUMPTIONS: &[(&str, Type)] = &[
    ("scenario", Type::Text),
    ("assumption", Type::Text),
    ("about", Type::Text),
    ("low", Type::Number),
    ("middle", Type::Number),
    ("high", Type::Number),
    ("origin", Type::Text),
];

impl Tables {
    pub(super) fn new() -> Self {
        Self {
            traffic: Table::new("simulated_traffic", TRAFFIC),
            scenarios: Table::new("simulated_scenarios", SCENARIOS),
            matrix: Table::new("simulated_matrix", MATRIX),
            drivers: Table::new("simulated_drivers", DRIVERS),
            lines: Table::new("simulated_lines", LINES),
            left_out: Table::new("simulated_left_out", LEFT_OUT),
            features: Table::new("simulated_features", FEATURES),
            assumptions: Table::new("simulated_assumptions", ASSUMPTIONS),
        }
    }

    pub(super) fn all(&self) -> [&Table; 8] {
        let Self { traffic, scenarios, matrix, drivers, lines, left_out, features, assumptions } = self;
        [traffic, scenarios, matrix, drivers, lines, left_out, features, assumptions]
    }

    /// The window, and what its calls cost without any scenario.
    pub(super) fn add_traffic(&mut self, replay: &Replay<'_>) -> Result<(), Error> {
        let (mut calls, mut unpriced, mut recorded_unpriced, mut recorded) = (0, 0, 0, Usd::ZERO);
        for (group, base) in replay.groups() {
            calls += group.calls;
            unpriced += if base.is_ok() { 0 } else { group.calls };
            recorded_unpriced += group.recorded_unpriced;
            recorded = recorded + group.list_cost;
        }
        let base = dollars(replay.groups().filter_map(|(_, base)| base.ok()).sum())?;
        let days = replay.traffic.days;
        let last = days.map(|(_, until)| Date::from_days(until.days().saturating_sub(1)).to_string());
        self.traffic.push([
            Cell::Text(days.map(|(first, _)| first.to_string())),
            Cell::Text(last),
            Cell::Whole(Some(replay.traffic.number_of_days())),
            Cell::text(match replay.prices_of {
                PricesOf::Day(day) => day.to_string(),
                PricesOf::TheCall => "the day of each call".into(),
            }),
            Cell::count(calls),
            Cell::count(unpriced),
            Cell::Decimal((unpriced < calls).then_some(base)),
            Cell::Decimal((recorded_unpriced < calls).then_some(recorded)),
            Cell::count(recorded_unpriced),
        ]);
        Ok(())
    }

    /// Everything about one scenario.
    pub(super) fn add(&mut self, projection: &Projection<'_>, replay: &Replay<'_>, growth: Range) -> Result<(), Error> {
        self.add_scenario(projection, replay)?;
        self.add_matrix(projection, replay, growth)?;
        self.add_drivers(projection)?;
        self.add_lines(projection.played, replay)?;
        self.add_left_out(projection.played, replay)?;
        self.add_features(projection.played, replay)?;
        self.add_assumptions(projection)
    }

    fn add_scenario(&mut self, projection: &Projection<'_>, replay: &Replay<'_>) -> Result<(), Error> {
        let played = projection.played;
        let calls: u64 = played.affected().map(|(.., group)| group.calls).sum();
        let known = |amount| Cell::Decimal(Some(amount).filter(|_| calls > 0));
        let costs = Case::ALL.iter().map(|case| projection.window(Cases::all(*case)));
        let costs = costs.collect::<Result<Vec<_>, _>>()?;
        let middle = costs.get(1).copied().unwrap_or_default();
        let (mut left_out, mut left_out_base) = (0, None);
        for ((group, base), fate) in replay.groups().zip(&played.fates) {
            if let Fate::LeftOut(_) = fate {
                left_out += group.calls;
                left_out_base = add_known(left_out_base, base.ok());
            }
        }
        let scenario = played.scenario;
        let row = [Cell::text(&scenario.name), Cell::text(scenario.kind.as_str()), Cell::count(calls)];
        let rest = [known(middle - projection.affected), Cell::count(left_out), rounded(left_out_base)?];
        let row = row.into_iter().chain([known(projection.affected)]).chain(costs.into_iter().map(known)).chain(rest);
        self.scenarios.push(row);
        Ok(())
    }

    fn add_matrix(&mut self, projection: &Projection<'_>, replay: &Replay<'_>, growth: Range) -> Result<(), Error> {
        let priced: u64 = replay.groups().filter(|(_, base)| base.is_ok()).map(|(group, _)| group.calls).sum();
        let calls = Usd::from_pico(i128::from(priced) * ONE.pico());
        for volume in Case::ALL {
            let growth = growth.of(*volume);
            // A scenario about no call says nothing of a month either.
            let known = |amount: Option<Usd>| Cell::Decimal(amount.filter(|_| projection.played.is_about_calls()));
            let mut row = vec![
                Cell::text(&projection.played.scenario.name),
                Cell::text(volume.as_str()),
                Cell::Decimal(Some(growth)),
                Cell::Whole(monthly(calls, growth, projection.days)?.times(1, ONE.pico()).map(Usd::pico)),
            ];
            for case in Case::ALL {
                row.push(known(Some(projection.month(*case, growth)?)));
            }
            for case in Case::ALL {
                row.push(known(projection.once(Cases::all(*case), growth)?));
            }
            for case in Case::ALL {
                row.push(known(projection.first_year(*case, growth)?));
            }
            self.matrix.push(row);
        }
        Ok(())
    }
}

pub(super) fn add_known(sum: Option<Exact>, more: Option<Exact>) -> Option<Exact> {
    more.map_or(sum, |more| Some(sum.unwrap_or_default() + more))
}

pub(super) fn rounded(amount: Option<Exact>) -> Result<Cell, Error> {
    amount.map(dollars).transpose().map(Cell::Decimal)
}
