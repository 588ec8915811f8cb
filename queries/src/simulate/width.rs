//! What is assumed, and what each assumption adds to the width of a result.

use daybook_ledger::Usd;

use super::driver::{Cases, Driver};
use super::play::SECONDS_A_DAY;
use super::project::Projection;
use super::report::Tables;
use super::rows::Cell;
use super::scenario::{Case, Change, Move, ONE, Origin, Range, Scenario};
use crate::Error;

impl Tables {
    /// What each driver contributes by itself, and what they do together beyond that.
    pub(super) fn add_drivers(&mut self, projection: &Projection<'_>) -> Result<(), Error> {
        if !projection.played.is_about_calls() {
            return Ok(());
        }
        let running = Driver::running(projection.played.scenario);
        self.add_part("window", projection, &running, |cases| projection.window(cases).map(Some))?;
        let once = [Driver::EngineeringDays, Driver::DayRate, Driver::DualRunningMonths];
        self.add_part("once", projection, &once, |cases| projection.once(cases, ONE))
    }

    fn add_part(
        &mut self,
        part: &str,
        projection: &Projection<'_>,
        drivers: &[Driver],
        amount: impl Fn(Cases) -> Result<Option<Usd>, Error>,
    ) -> Result<(), Error> {
        let scenario = projection.played.scenario;
        let has_width = |range: &Range| range.low != range.high;
        let wide = drivers.iter().filter(|driver| driver.ranges(scenario).iter().any(has_width));
        let wide: Vec<Driver> = wide.copied().collect();
        let Some(middle) = amount(Cases::all(Case::Middle))?.filter(|_| !wide.is_empty()) else { return Ok(()) };
        let change = |cases| Ok::<_, Error>(amount(cases)?.map_or(Usd::ZERO, |amount| amount - middle));
        let (mut low_left, mut high_left) = (change(Cases::all(Case::Low))?, change(Cases::all(Case::High))?);
        for driver in &wide {
            let low = change(Cases::one(*driver, Case::Low))?;
            let high = change(Cases::one(*driver, Case::High))?;
            (low_left, high_left) = (low_left - low, high_left - high);
            // Several moves have ranges of their own: `assumptions` lists them.
            let ranges = driver.ranges(scenario);
            let one = ranges.first().filter(|first| ranges.iter().all(|range| range == *first));
            let at = |case| one.map(|range| if driver.is_inverse() { range.inverse_of(case) } else { range.of(case) });
            let row =
                [Cell::text(&scenario.name), Cell::text(part), Cell::text(driver.key()), about(*driver, scenario)];
            let values = Case::ALL.iter().map(|case| Cell::Decimal(at(*case)));
            self.drivers.push(row.into_iter().chain(values).chain([Cell::dollars(low), Cell::dollars(high)]));
        }
        if wide.len() > 1 {
            let row = [Cell::text(&scenario.name), Cell::text(part), Cell::text("together"), Cell::Text(None)];
            let values = [Cell::Decimal(None), Cell::Decimal(None), Cell::Decimal(None)];
            self.drivers.push(row.into_iter().chain(values).chain([Cell::dollars(low_left), Cell::dollars(high_left)]));
        }
        Ok(())
    }

    pub(super) fn add_assumptions(&mut self, projection: &Projection<'_>) -> Result<(), Error> {
        let scenario = projection.played.scenario;
        if let Some(sheet) = &scenario.prices {
            let row = [Cell::text(&scenario.name), Cell::text("prices"), Cell::text(sheet)];
            let none = [Cell::Decimal(None), Cell::Decimal(None), Cell::Decimal(None)];
            self.assumptions.push(row.into_iter().chain(none).chain([Cell::text(Origin::Stated.as_str())]));
        }
        let mut add = |assumption: &str, about: Cell, range: Range, origin: Origin| {
            let values = Case::ALL.iter().map(|case| Cell::Decimal(Some(range.of(*case))));
            let row = [Cell::text(&scenario.name), Cell::text(assumption), about];
            self.assumptions.push(row.into_iter().chain(values).chain([Cell::text(origin.as_str())]));
        };
        for one in scenario.moves() {
            for (key, assumed) in [
                ("tokens_ratio", one.tokens_ratio),
                ("output_ratio", one.output_ratio),
                ("cache_hits_lost", one.cache_hits_lost),
            ] {
                add(key, Cell::text(describe(one)), assumed.range, assumed.origin);
            }
        }
        let others =
            Driver::running(scenario).into_iter().filter(|driver| scenario.moves().is_empty() || driver.is_hosting());
        for driver in others.chain([Driver::DayRate, Driver::DualRunningMonths]) {
            driver
                .ranges(scenario)
                .into_iter()
                .for_each(|range| add(driver.key(), about(driver, scenario), range, Origin::Stated));
        }
        match &scenario.change {
            Change::Moves { share, .. } if *share != ONE => {
                add("share", Cell::Text(None), Range::exactly(*share), Origin::Stated);
            }
            Change::Hosted(one, hosting) => {
                let whole = |number: i128| Usd::from_pico(number.saturating_mul(ONE.pico()));
                add("gpus_min", Cell::Text(None), Range::exactly(whole(hosting.gpus_min.into())), Origin::Stated);
                if !projection.played.is_about_calls() {
                    return Ok(());
                }
                let seconds = projection.days * SECONDS_A_DAY;
                let gpus = |case| projection.played.gpus(one, hosting, Cases::all(case), seconds, ONE).map(whole);
                let range = Range { low: gpus(Case::Low)?, middle: gpus(Case::Middle)?, high: gpus(Case::High)? };
                add("gpus", Cell::text("in the window"), range, Origin::Computed);
            }
            _ => {}
        }
        if !scenario.moves().is_empty() && projection.played.is_about_calls() {
            add("engineering_days", Cell::Text(None), projection.engineering.range, projection.engineering.origin);
        }
        Ok(())
    }
}

/// Which calls a driver is about.
fn about(driver: Driver, scenario: &Scenario) -> Cell {
    match (driver, &scenario.change) {
        (Driver::Rise(at), Change::Rises(rises)) => Cell::Text(rises.get(at).map(ToString::to_string)),
        _ => Cell::Text(None),
    }
}

/// A move in words: `gpt-5* to mistral/mistral-large-2512`.
fn describe(one: &Move) -> String {
    format!("{} to {}", one.scope, one.to)
}
