//! What moving would cost: the workloads that can move, simulated at the alternatives their owners name.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Date32Type;
use daybook_ledger::price::{Book, PricesOf};
use daybook_ledger::{Date, Usd};
use serde_json::json;

use super::super::{Chart, Section};
use super::BriefOptions;
use crate::registry::{Contract, ModelRef, Pattern, Registry};
use crate::simulate::{Change, Priced, Project, Range, Scenario, Scope, SimulateOptions, Window, simulate};
use crate::{Error, Session};

/// Days of the latest calls that are replayed: what a month costs now, not what it cost when the contract began.
const WINDOW_DAYS: i32 = 84;

/// The moves of a brief, played. Their results lie in the tables of a simulation.
pub(super) struct Moving {
    /// How to play them again, as a comment of SQL.
    again: String,
}

impl Moving {
    /// Moves the calls of `workloads` under `contract` to each alternative that has a price and falls under another contract.
    pub(super) async fn play(
        session: &Session,
        book: &Arc<Book>,
        contract: &Contract,
        workloads: &[String],
        options: &BriefOptions,
    ) -> Result<Self, Error> {
        let scenarios = scenarios(session.registry(), book, contract, workloads, options);
        let window = window(session, contract).await?;
        let again = again(&scenarios, &window, options);
        let priced = |scenario| Priced { scenario, book: Arc::clone(book) };
        let priced: Vec<_> = scenarios.into_iter().map(priced).collect();
        let growth = Range::exactly(Usd::from_pico(1_000_000_000_000));
        let options = SimulateOptions { window, prices_of: PricesOf::Day(options.on), growth };
        simulate(session, book, &priced, &options).await?;
        Ok(Self { again })
    }

    /// The tables; `under` is the contract's workloads as a `WITH` clause.
    pub(super) fn sections(&self, under: &str) -> Vec<Section> {
        let section = |name, title, note, sql: &str| Section::new(name, title, note, format!("{}{sql}", self.again));
        vec![
            section(
                "moves",
                "The calls of twelve weeks, elsewhere",
                "Each alternative by itself, over the latest twelve weeks under the contract: `today` is what the calls cost at the \
                 prices of this report's day, `low`, `middle` and `high` what they would cost there. What has no counterpart there \
                 is in none of them and listed below.",
                "SELECT scenario, calls, base AS today, low, middle, high, change, left_out_calls, left_out_base \
                 FROM simulated_scenarios WHERE scenario <> 'base' ORDER BY change NULLS LAST, scenario",
            )
            .drawn(Chart::Ranges { label: &["scenario"], low: "low", middle: "middle", high: "high", against: "today" }),
            section(
                "months",
                "A month, and what it takes once",
                "`change` is a month there less a month today, at the volume of these weeks; less than nothing is saved. `once` is \
                 engineering days times their rate: not known without `--day-rate`. `pays back months` is the middle of once over \
                 what the middle saves.",
                "SELECT month.scenario, (month.low - base.middle)::decimal(38, 12) AS change_low, \
                 (month.middle - base.middle)::decimal(38, 12) AS change_middle, \
                 (month.high - base.middle)::decimal(38, 12) AS change_high, \
                 month.once_low, month.once_middle, month.once_high, \
                 CASE WHEN month.middle < base.middle THEN (month.once_middle / (base.middle - month.middle))::decimal(20, 1) END \
                 AS pays_back_months FROM simulated_matrix AS month CROSS JOIN \
                 (SELECT middle FROM simulated_matrix WHERE scenario = 'base' AND volume = 'middle') AS base \
                 WHERE month.scenario <> 'base' AND month.volume = 'middle' ORDER BY change_middle NULLS LAST, month.scenario",
            ),
            section(
                "drivers",
                "What makes the width",
                "What each assumption adds to the middle when it alone is at its lowest or highest, in the window or once. A \
                 `default` is a guess until someone measures: `daybook export --replay-set` draws prompts to measure with.",
                "SELECT simulated_drivers.scenario, driver, part, at_low, at_middle, at_high, low_change, high_change, origin \
                 FROM simulated_drivers LEFT JOIN simulated_assumptions ON driver = assumption \
                 AND simulated_assumptions.scenario = simulated_drivers.scenario \
                 ORDER BY simulated_drivers.scenario, part DESC, high_change - low_change DESC, driver",
            ),
            section(
                "left_out",
                "Calls without counterpart",
                "What would have to stay, or be solved first, and why. `base` is what it costs today.",
                "SELECT scenario, reason, detail, workload, model, calls, base FROM simulated_left_out \
                 WHERE scenario <> 'base' ORDER BY scenario, base DESC NULLS LAST, reason, detail, workload, model",
            ),
            section(
                "alternatives",
                "What owners name",
                "Alternatives, best first, and fallbacks, as the registry names them. One is not played if it has no price on this \
                 day, or falls under the same contract and so is no way out.",
                &format!(
                    "{under} SELECT named.workload, choice, alternative, scenario IS NOT NULL AS played FROM ( \
                     SELECT workload, array_position(alternatives, alternative)::varchar AS choice, alternative \
                     FROM (SELECT workload, alternatives, unnest(alternatives) AS alternative FROM registry_workloads) \
                     UNION ALL SELECT workload, 'fallback', fallback FROM registry_workloads WHERE fallback IS NOT NULL) AS named \
                     JOIN under ON under.workload = named.workload \
                     LEFT JOIN simulated_scenarios ON scenario = 'to ' || alternative WHERE segment <> 'locked_in' \
                     ORDER BY named.workload, choice"
                ),
            ),
        ]
    }
}

/// One scenario for each alternative, over all workloads that name it.
fn scenarios(
    registry: &Registry,
    book: &Book,
    contract: &Contract,
    workloads: &[String],
    options: &BriefOptions,
) -> Vec<Scenario> {
    let mut moves: BTreeMap<(&str, &str), Vec<Pattern>> = BTreeMap::new();
    for workload in registry.workloads.iter().filter(|workload| workloads.contains(&workload.name)) {
        for to in workload.alternatives.iter().chain(&workload.fallback) {
            let named = moves.entry((&to.provider, &to.model)).or_default();
            let name = Pattern::new(&workload.name);
            if !named.contains(&name) {
                named.push(name);
            }
        }
    }
    let is_priced = |provider, model| book.has_rates(provider, model, Some(options.on)).is_ok();
    let day_rate_usd = options.day_rate_usd.map(Range::exactly);
    let moves = moves
        .into_iter()
        .filter(|((provider, model), _)| is_priced(provider, model) && !contract.covers(provider, model));
    let scenario = |((provider, model), workloads): ((&str, &str), _)| {
        let to = ModelRef { provider: provider.into(), model: model.into() };
        let mut scenario = Scenario::transfer(to, Project { day_rate_usd, ..Project::default() });
        let scope = Scope { workloads, ..Scope::default() };
        if let Change::Moves { moves, .. } = &mut scenario.change {
            moves.iter_mut().for_each(|one| one.scope = scope.clone());
        }
        scenario
    };
    moves.map(scenario).collect()
}

/// The last weeks of the ledger within the contract's term.
async fn window(session: &Session, contract: &Contract) -> Result<Window, Error> {
    let batches = session.run("SELECT min(event_date), max(event_date) FROM usage").await?.collect().await?;
    let day = |column: usize| {
        let days = batches.first()?.columns().get(column)?.as_primitive_opt::<Date32Type>()?;
        days.iter().next()?.map(Date::from_days)
    };
    let (first, last) = (day(0), day(1));
    let last = [last, contract.ends_on].into_iter().flatten().min().unwrap_or(contract.starts_on);
    let until = Date::from_days(last.days().saturating_add(1)).max(contract.starts_on);
    let from = Date::from_days(until.days().saturating_sub(WINDOW_DAYS)).max(contract.starts_on);
    Ok(Window {
        from: Some(first.map_or(from, |first| from.max(first.min(until)))),
        until: Some(until),
        workload: None,
        contract: Some(contract.name.clone()),
    })
}

/// `name` as a word of a shell, on one line.
fn quoted(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    match name.chars().all(is_plain) {
        true => name.into(),
        false => format!("'{}'", name.replace('\'', r"'\''").replace(char::is_control, " ")),
    }
}

/// The command that plays the same, and its file. Strings of JSON are strings of TOML.
fn again(scenarios: &[Scenario], window: &Window, options: &BriefOptions) -> String {
    let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let mut text = format!(
        "-- Over the tables that this leaves, with the file below:\n\
         -- daybook simulate --scenario FILE --contract {} --from {} --until {} --on {}\n",
        quoted(window.contract.as_deref().unwrap_or_default()),
        day(window.from),
        day(window.until),
        options.on
    );
    for scenario in scenarios {
        text += &format!("-- [[scenario]]\n-- name = {}\n-- kind = \"transfer\"\n", json!(scenario.name));
        for one in scenario.moves() {
            let workloads: Vec<_> = one.scope.workloads.iter().map(Pattern::as_str).collect();
            text += &format!("-- workloads = {}\n", json!(workloads));
            text += &format!("-- to = {{ provider = {}, model = {} }}\n", json!(one.to.provider), json!(one.to.model));
        }
        if let Some(rate) = options.day_rate_usd {
            text += &format!("-- day_rate_usd = {rate}\n");
        }
    }
    text
}
