//! A file of scenarios, read with every fault noted.

use std::ops::RangeInclusive;

use daybook_ledger::price::{Meter, PricesOf};
use daybook_ledger::{Feature, Operation, Usd};

use super::scenario::{
    Assumed, Change, Hosting, Kind, Move, ONE, Project, Range, Rise, Scenario, Scenarios, Scope, parts,
};
use crate::Error;
use crate::registry::ModelRef;
use crate::registry::fields::{Document, Fields};

/// A file to begin with.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The name of what every scenario is compared with.
pub const BASE: &str = "base";

const RATIO: RangeInclusive<Usd> = parts(1)..=parts(1_000_000);
const PART: RangeInclusive<Usd> = Usd::ZERO..=ONE;
const AMOUNT: RangeInclusive<Usd> = Usd::ZERO..=parts(10_000_000_000);

impl Scenarios {
    /// No scenario beside the base.
    pub fn none() -> Self {
        Self { prices_of: None, growth: Range::exactly(ONE), scenarios: Vec::new() }
    }

    /// Reads `text`; messages call it `path`.
    ///
    /// # Errors
    /// [`Error::Scenarios`] with every fault and its place.
    pub fn read(path: &str, text: &str) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let scenarios = Document::read(path, text, &mut faults, |root| Some(read(root)));
        faults.sort();
        match scenarios.filter(|_| faults.is_empty()) {
            Some(scenarios) => Ok(scenarios),
            None => Err(Error::Scenarios { faults }),
        }
    }
}

fn read(root: &Fields<'_>) -> Scenarios {
    let prices_of = match root.is_text("prices_on", "call") {
        true => root.text("prices_on").map(|_| PricesOf::TheCall),
        false => root.day("prices_on").map(PricesOf::Day),
    };
    let growth = range(root, "growth", RATIO).unwrap_or(Range::exactly(ONE));
    let day_rate_usd = range(root, "day_rate_usd", AMOUNT);
    let mut scenarios: Vec<Scenario> = Vec::new();
    for fields in root.tables("scenario", "[[scenario]]") {
        let Some(scenario) = scenario(&fields, day_rate_usd) else { continue };
        if scenario.name == BASE {
            fields.fault_at("name", format!("`{BASE}` is what every scenario is compared with; choose another name"));
        }
        if scenarios.iter().any(|earlier| earlier.name == scenario.name) {
            fields.fault_at("name", format!("a second scenario is called `{}`", scenario.name));
        }
        scenarios.push(scenario);
    }
    if scenarios.is_empty() && !root.has("scenario") {
        root.fault("there is no [[scenario]]; `daybook simulate --example` prints some");
    }
    Scenarios { prices_of, growth, scenarios }
}

fn scenario(fields: &Fields<'_>, day_rate_usd: Option<Range>) -> Option<Scenario> {
    let name = fields.need("name", fields.text("name"));
    let kind = fields.need("kind", fields.word("kind", Kind::ALL, Kind::as_str))?;
    let prices = fields.text("prices");
    let change = match kind {
        Kind::Base => {
            if prices.is_none() {
                fields.fault("a scenario of kind `base` changes nothing without `prices`, the file of a sheet");
            }
            Some(Change::Nothing)
        }
        Kind::Spike => rises(fields),
        Kind::Transfer => one_move(fields).map(|one| Change::Moves { moves: vec![one], vendor: None, share: ONE }),
        Kind::DualVendor => {
            let share = fields.need("share", decimal(fields, "share", PART));
            one_move(fields).zip(share).map(|(one, share)| Change::Moves { moves: vec![one], vendor: None, share })
        }
        Kind::Consolidation => consolidation(fields),
        Kind::SelfHosted => {
            let hosting = hosting(fields);
            one_move(fields).zip(hosting).map(|(one, hosting)| Change::Hosted(one.into(), hosting.into()))
        }
    };
    let project = match kind {
        Kind::Base | Kind::Spike => Project::default(),
        _ => Project {
            engineering_days: range(fields, "engineering_days", AMOUNT),
            day_rate_usd: range(fields, "day_rate_usd", AMOUNT).or(day_rate_usd),
            dual_running_months: range(fields, "dual_running_months", AMOUNT),
        },
    };
    fields.refuse_unknown();
    Some(Scenario { name: name?, kind, prices, change: change?, project })
}

fn rises(fields: &Fields<'_>) -> Option<Change> {
    let tables =
        fields.need("rise", Some(fields.tables("rise", "[[scenario.rise]]")).filter(|_| fields.has("rise")))?;
    let rise = |fields: &Fields<'_>| {
        let meters = fields.some_words("meters", &meters(), Meter::as_str);
        let factor = fields.need("factor", range(fields, "factor", Usd::ZERO..=parts(10_000_000)));
        let scope = scope(fields);
        fields.refuse_unknown();
        Some(Rise { scope, meters, factor: factor? })
    };
    Some(Change::Rises(tables.iter().filter_map(rise).collect()))
}

/// The meters that count something: all but terms.
fn meters() -> Vec<Meter> {
    Meter::ALL.iter().copied().filter(|meter| !meter.is_term()).collect()
}

fn consolidation(fields: &Fields<'_>) -> Option<Change> {
    let vendor = fields.need("vendor", fields.text("vendor"));
    let tables = fields.tables("move", "[[scenario.move]]");
    if tables.is_empty() && !fields.has("move") {
        fields.fault("a scenario of kind `consolidation` has no [[scenario.move]], so no call has a place to go");
    }
    let mut moves = Vec::new();
    for fields in &tables {
        let one = one_move(fields);
        fields.refuse_unknown();
        if let (Some(one), Some(vendor)) = (&one, &vendor)
            && one.to.provider != *vendor
        {
            fields.fault_at("to", format!("`to` is {}, which `{vendor}` does not serve", one.to));
        }
        moves.extend(one);
    }
    Some(Change::Moves { moves, vendor: Some(vendor?), share: ONE })
}

fn scope(fields: &Fields<'_>) -> Scope {
    Scope {
        workloads: fields.patterns("workloads"),
        providers: fields.patterns("providers"),
        models: fields.patterns("models"),
    }
}

fn one_move(fields: &Fields<'_>) -> Option<Move> {
    let to = fields.need("to", fields.table("to", "to").as_ref().and_then(ModelRef::read));
    let scope = scope(fields);
    let operations = fields.some_words("operations", Operation::ALL, Operation::as_str);
    let region = fields.text("region");
    let serves = fields.some_words("serves", Feature::ALL, Feature::as_str);
    let lacks = fields.some_words("lacks", Feature::ALL, Feature::as_str);
    if let Some(both) = serves.iter().find(|feature| lacks.contains(feature)) {
        fields.fault_at("lacks", format!("`{}` is in `serves` and in `lacks`", both.as_str()));
    }
    // Without a target everything else is still read, for its faults.
    let default = Move::to(to.clone().unwrap_or(ModelRef { provider: String::new(), model: String::new() }));
    let or = |default: Assumed, key, bounds| default.or(range(fields, key, bounds));
    let one = Move {
        scope,
        operations: if operations.is_empty() { default.operations } else { operations },
        region,
        serves,
        lacks,
        tokens_ratio: or(default.tokens_ratio, "tokens_ratio", RATIO),
        output_ratio: or(default.output_ratio, "output_ratio", RATIO),
        cache_hits_lost: or(default.cache_hits_lost, "cache_hits_lost", PART),
        to: default.to,
    };
    to.map(|_| one)
}

fn hosting(fields: &Fields<'_>) -> Option<Hosting> {
    let speed = parts(1)..=AMOUNT.end().to_owned();
    let usd_per_gpu_hour = fields.need("usd_per_gpu_hour", range(fields, "usd_per_gpu_hour", AMOUNT));
    let needed = |key| fields.need(key, range(fields, key, speed.clone()));
    let input_tokens_per_second = needed("input_tokens_per_second");
    let output_tokens_per_second = needed("output_tokens_per_second");
    let utilisation = fields.need("utilisation", range(fields, "utilisation", parts(1)..=ONE));
    let gpus_min = fields.whole("gpus_min", 1..=1_000_000).unwrap_or(1);
    Some(Hosting {
        usd_per_gpu_hour: usd_per_gpu_hour?,
        input_tokens_per_second: input_tokens_per_second?,
        output_tokens_per_second: output_tokens_per_second?,
        utilisation: utilisation?,
        gpus_min,
    })
}

/// A decimal for all cases, or a table with one for each, rising.
fn range(fields: &Fields<'_>, key: &'static str, bounds: RangeInclusive<Usd>) -> Option<Range> {
    if !fields.is_table(key) {
        return decimal(fields, key, bounds).map(Range::exactly);
    }
    let cases = fields.table(key, key)?;
    let value = |case| cases.need(case, decimal(&cases, case, bounds.clone()));
    let (low, middle, high) = (value("low"), value("middle"), value("high"));
    cases.refuse_unknown();
    let range = Range { low: low?, middle: middle?, high: high? };
    if range.low > range.middle || range.middle > range.high {
        cases.fault(format!("`{key}` does not rise from low over middle to high"));
    }
    Some(range)
}

/// A decimal with at most 4 decimals: products of several stay exact.
fn decimal(fields: &Fields<'_>, key: &'static str, bounds: RangeInclusive<Usd>) -> Option<Usd> {
    let value = fields.decimal(key, bounds)?;
    if value.pico() % parts(1).pico() != 0 {
        fields.fault_at(key, format!("`{key}` has more than 4 decimals"));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        match Scenarios::read("s.toml", text).unwrap_err() {
            Error::Scenarios { faults } => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_example_has_every_kind_beside_the_base() {
        let example = Scenarios::read("example.toml", EXAMPLE).unwrap();
        let kinds: Vec<_> = example.scenarios.iter().map(|scenario| scenario.kind).collect();
        assert_eq!(kinds, [Kind::Spike, Kind::Transfer, Kind::Consolidation, Kind::DualVendor, Kind::SelfHosted]);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let text = "growth = { low = 2, middle = 1, high = 3 }\n\
                    [[scenario]]\nname = 'a'\nkind = 'transfer'\nshare = 0.5\ntokens_ratio = 1.00001\n\
                    [[scenario]]\nname = 'a'\nkind = 'base'\nprices = 'x.csv'\n\
                    [[scenario]]\nname = 'b'\nkind = 'self_hosted'\nto = { provider = 'p', modell = 'm' }\n\
                    usd_per_gpu_hour = { low = 1, high = 2 }\ninput_tokens_per_second = 1\n\
                    output_tokens_per_second = 1\nutilisation = 1.5\n";
        assert_eq!(
            faults(text),
            [
                "s.toml:1:10: `growth` does not rise from low over middle to high",
                "s.toml:2:1: [[scenario]] has no `to`",
                "s.toml:5:1: unknown key `share`; known here: `name`, `kind`, `prices`, `to`, `workloads`, `providers`, \
                 `models`, `operations`, `region`, `serves`, `lacks`, `tokens_ratio`, `output_ratio`, `cache_hits_lost`, \
                 `engineering_days`, `day_rate_usd`, `dual_running_months`",
                "s.toml:6:16: `tokens_ratio` has more than 4 decimals",
                "s.toml:14:6: to has no `model`",
                "s.toml:14:24: unknown key `modell`; did you mean `model`?",
                "s.toml:15:20: usd_per_gpu_hour has no `middle`",
                "s.toml:18:15: `utilisation` is `1.5`; it takes a decimal from 0.0001 to 1",
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, fault) in [
            ("", "s.toml:1:1: there is no [[scenario]]; `daybook simulate --example` prints some"),
            (
                "[[scenario]]\nname = 'base'\nkind = 'base'\nprices = 'x'\n",
                "s.toml:2:8: `base` is what every scenario is compared with; choose another name",
            ),
            (
                "[[scenario]]\nname = 'x'\nkind = 'base'\n",
                "s.toml:1:1: a scenario of kind `base` changes nothing without `prices`, the file of a sheet",
            ),
            (
                "[[scenario]]\nname = 'x'\nkind = 'consolidation'\nvendor = 'p'\n[[scenario.move]]\n\
                 to = { provider = 'q', model = 'm' }\n",
                "s.toml:6:6: `to` is q/m, which `p` does not serve",
            ),
            (
                "[[scenario]]\nname = 'x'\nkind = 'spike'\n[[scenario.rise]]\nmeters = 'inptu'\nfactor = 2\n",
                "s.toml:5:10: `meters` is `inptu`; did you mean `input`?",
            ),
        ] {
            assert_eq!(faults(text), [fault], "{text}");
        }
    }
}
