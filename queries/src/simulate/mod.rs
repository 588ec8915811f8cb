//! What recorded traffic would cost otherwise: at other prices, at other models, on machines of one's own.
//!
//! Calls are read once and summed to groups that every price sheet and every limit treats alike ([`Cuts`]); then each group
//! is priced, in each case of each scenario. So a simulation takes the time of one scan, and its sums are those of pricing
//! call by call. What has no counterpart is left out of a scenario and listed with its calls and dollars.
//! `docs/simulation.md` has the formulas.
//!
//! | module | holds |
//! |---|---|
//! | `scenario`, `file` | scenarios, and how a file of them is read |
//! | `replay` | the calls of a window, summed |
//! | `counterpart` | what a call becomes at another model, or why it has no place there |
//! | `play`, `driver` | costs of a scenario; what each assumption contributes to their width |
//! | `project` | months, years, what a change takes once |
//! | `report`, `width`, `detail`, `rows` | the tables of the result |

mod counterpart;
mod detail;
mod driver;
mod file;
mod play;
mod project;
mod replay;
mod report;
mod rows;
mod scenario;
mod width;

use std::sync::Arc;

use daybook_ledger::price::{Book, Cuts, PriceStatus, PricesOf};

pub use counterpart::Reason;
pub use file::{BASE, EXAMPLE};
pub use replay::Window;
pub use scenario::{
    Assumed, Case, Change, Hosting, Kind, Move, Origin, Project, Range, Rise, Scenario, Scenarios, Scope,
};

use crate::registry::{ModelRef, Pattern, Registry};
use crate::report::Section;
use crate::{Error, Session, names};
use play::{Played, Replay};
use project::Projection;
use report::Tables;
use scenario::ONE;

/// A scenario and the prices it is played at.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The scenario.
    pub scenario: Scenario,
    /// The prices in force for the ledger, with the scenario's laid over them.
    pub book: Arc<Book>,
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct SimulateOptions {
    /// Which calls are replayed.
    pub window: Window,
    /// Whose day's prices apply.
    pub prices_of: PricesOf,
    /// What a month's volume is a multiple of.
    pub growth: Range,
}

/// Replays the traffic of a window in every scenario, after a base at the prices of `book`. The result lies in tables of the
/// session, which the sections read.
///
/// # Errors
/// [`Error::UnknownWorkload`] and [`Error::UnknownTarget`] for names nobody knows; those of queries.
pub async fn simulate(
    session: &Session,
    book: &Arc<Book>,
    scenarios: &[Priced],
    options: &SimulateOptions,
) -> Result<Vec<Section>, Error> {
    let registry = session.registry();
    check_names(registry, scenarios, options)?;
    let base = Priced { scenario: Scenario::base(BASE), book: Arc::clone(book) };
    let all: Vec<&Priced> = std::iter::once(&base).chain(scenarios).collect();
    let cuts = cuts(registry, &all, options.prices_of == PricesOf::TheCall);
    let traffic = options.window.replay(session, cuts).await?;
    let replay = Replay::new(registry, &traffic, book, options.prices_of);
    let mut tables = Tables::new();
    tables.add_traffic(&replay)?;
    for Priced { scenario, book } in all {
        let played = Played::new(&replay, scenario, book);
        let projection = Projection::new(&played, traffic.number_of_days())?;
        tables.add(&projection, &replay, options.growth)?;
    }
    for table in tables.all() {
        table.register(session)?;
    }
    Ok(sections())
}

/// The query that reads the calls a simulation replays.
pub fn replay_sql(window: &Window) -> String {
    window.sql()
}

/// Everything by which some scenario tells calls apart.
fn cuts(registry: &Registry, scenarios: &[&Priced], by_day: bool) -> Cuts {
    let books = || scenarios.iter().map(|priced| priced.book.as_ref());
    let mut cuts = Cuts::of(books(), by_day);
    cuts.add_bands(books(), ONE);
    for one in scenarios.iter().flat_map(|priced| priced.scenario.moves()) {
        let ratios = one.tokens_ratio.range;
        [ratios.low, ratios.middle, ratios.high].into_iter().for_each(|ratio| cuts.add_bands(books(), ratio));
        let rule = registry.models.iter().find(|rule| rule.matches(Some(&one.to.provider), &one.to.model));
        let limits = rule.map(|rule| (rule.context_tokens_max, rule.output_tokens_max)).unwrap_or_default();
        limits.0.into_iter().for_each(|max| cuts.add_input_max(max, ratios.high));
        limits.1.into_iter().for_each(|max| cuts.add_output_max(max, one.output_times(Case::High)));
    }
    cuts
}

fn check_names(registry: &Registry, scenarios: &[Priced], options: &SimulateOptions) -> Result<(), Error> {
    options.window.contract.as_deref().map(|name| registry.need_contract(name)).transpose()?;
    options.window.workload.as_deref().map(|name| registry.need_workload(name)).transpose()?;
    let known = |name: &str| registry.workloads.iter().any(|workload| Pattern::new(name).matches(&workload.name));
    let mut named = scenarios.iter().flat_map(|priced| priced.scenario.scopes()).flat_map(|scope| &scope.workloads);
    if let Some(name) = named.find(|name| !known(name.as_str())).map(Pattern::as_str) {
        let all = || registry.workloads.iter().map(|workload| workload.name.as_str());
        return Err(Error::UnknownWorkload {
            name: name.into(),
            nearest: names::nearest(name, all()).map(String::from),
            valid: all().map(String::from).collect(),
        });
    }
    let day = match options.prices_of {
        PricesOf::Day(day) => Some(day),
        PricesOf::TheCall => None,
    };
    for Priced { scenario, book } in scenarios {
        let Change::Moves { moves, .. } = &scenario.change else { continue };
        for to in moves.iter().map(|one| &one.to) {
            if let Err(status) = book.has_rates(&to.provider, &to.model, day) {
                return Err(unknown_target(scenario, book, to, status));
            }
        }
    }
    Ok(())
}

fn unknown_target(scenario: &Scenario, book: &Book, to: &ModelRef, status: PriceStatus) -> Error {
    let providers = || book.rows().map(|row| row.provider.as_str());
    let models = || book.rows().filter(|row| row.provider == to.provider).map(|row| row.model.as_str());
    let nearest = match status {
        PriceStatus::UnknownProvider => names::nearest(&to.provider, providers()).map(String::from),
        PriceStatus::UnknownModel => {
            names::nearest(&to.model, models()).map(|model| format!("{}/{model}", to.provider))
        }
        _ => None,
    };
    Error::UnknownTarget { scenario: scenario.name.clone(), model: to.to_string(), status: status.as_str(), nearest }
}

/// The tables of a simulation, as queries over what [`simulate`] left in the session.
pub fn sections() -> Vec<Section> {
    vec![
        Section::new(
            "traffic",
            "Traffic",
            "What was replayed. `base` is what it costs at the prices of the day named, `recorded_cost` what was recorded as \
             list cost when it came. Calls without a price are in neither.",
            "SELECT * FROM simulated_traffic",
        ),
        Section::new(
            "scenarios",
            "Scenarios",
            "US dollars of the window, over the calls each scenario is about: `base` today, `low`, `middle` and `high` in the \
             scenario; `change` is middle less base. Calls left out are in neither; `left_out` says why.",
            "SELECT * FROM simulated_scenarios",
        ),
        Section::new(
            "matrix",
            "Scenario matrix",
            "US dollars a month over all priced calls, also those a scenario is not about, at a multiple of the window's \
             volume; what the change takes once; and a first year: twelve months and once. NULL: it takes engineering days, \
             and nobody said what one costs.",
            "SELECT * FROM simulated_matrix",
        ),
        Section::new(
            "drivers",
            "What makes the width",
            "What each assumption adds to the middle when it alone is at its cheapest or dearest. `together` is what they do \
             beyond that, so that each part adds up to low and high.",
            "SELECT * FROM simulated_drivers",
        ),
        Section::new(
            "lines",
            "Calls by workload and model",
            "Lines are rounded one by one; only the totals above count. Machines of one's own have no cost by line.",
            "SELECT * FROM simulated_lines",
        ),
        Section::new(
            "left_out",
            "Calls without counterpart",
            "In no amount of the scenario. `base` is what they cost today, where they have a price.",
            "SELECT * FROM simulated_left_out",
        ),
        Section::new(
            "features",
            "What the moved calls lean on",
            "`stated`: the scenario or models.toml says the model serves it. `assumed`: features.toml names equivalents, but \
             nobody says that this model has one. A call counts in each of its features.",
            "SELECT * FROM simulated_features",
        ),
        Section::new(
            "assumptions",
            "Assumptions",
            "What was assumed and who says so. A default is a guess to be replaced by a measurement.",
            "SELECT * FROM simulated_assumptions",
        ),
    ]
}
