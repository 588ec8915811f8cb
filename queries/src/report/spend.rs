//! Spend by any dimension and any grain of time, in any zone.

use std::str::FromStr;

use daybook_ledger::{Date, words};

use super::Section;
use crate::{Error, names};

words! {
    /// What a line of the report is about: a column of `calls`.
    Dimension {
        /// By the registry.
        Workload = "workload",
        /// Who answers for the workload.
        Owner = "owner",
        /// By the registry.
        Contract = "contract",
        /// Who bills.
        Provider = "provider",
        /// The model that served, else the one asked for.
        Model = "model",
        /// By the registry.
        ModelFamily = "model_family",
        /// The team that pays.
        Team = "team",
        /// The project.
        Project = "project",
        /// The key's alias.
        ApiKeyAlias = "api_key_alias",
        /// Deployment environment.
        Environment = "environment",
        /// The person or customer.
        EndUser = "end_user",
        /// Kind of call.
        Operation = "operation",
        /// The tier that served.
        ServiceTier = "service_tier",
        /// The provider's region.
        Region = "region",
        /// How the call ended.
        Status = "status",
    }
}

words! {
    /// How time is cut, in the session's zone.
    Grain {
        /// Hours.
        Hour = "hour",
        /// Days.
        Day = "day",
        /// Weeks from Monday.
        Week = "week",
        /// Months.
        Month = "month",
        /// Quarters.
        Quarter = "quarter",
        /// Years.
        Year = "year",
    }
}

fn parse<T: Copy>(text: &str, all: &[T], word: fn(T) -> &'static str) -> Result<T, Error> {
    let found = all.iter().copied().find(|candidate| word(*candidate) == text);
    found.ok_or_else(|| {
        let words = || all.iter().map(|candidate| word(*candidate));
        let hint = names::suggestion(names::nearest(text, words()));
        Error::Invalid { message: format!("`{text}` is none of {}{hint}", words().collect::<Vec<_>>().join(", ")) }
    })
}

impl FromStr for Dimension {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, Self::ALL, Self::as_str)
    }
}

impl FromStr for Grain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, Self::ALL, Self::as_str)
    }
}

/// What the report shows.
#[derive(Clone, Debug, Default)]
pub struct SpendOptions {
    /// A line for each of these; one for everything if empty.
    pub by: Vec<Dimension>,
    /// A line for each of these, too; no cut in time if `None`.
    pub grain: Option<Grain>,
    /// The first day, in the session's zone; from the first entry on if `None`.
    pub from: Option<Date>,
    /// The first day not to count any more, in the session's zone; to the last entry if `None`.
    pub to: Option<Date>,
}

/// The report.
pub fn spend(options: &SpendOptions) -> Section {
    let grain = options.grain.map(|grain| {
        let name = grain.as_str();
        let cut = format!("date_trunc('{name}', started_at)");
        // From a day on, a cut is a day of the zone.
        let cut = if grain == Grain::Hour { cut } else { format!("{cut}::date") };
        format!("{cut} AS \"{name}\"")
    });
    let mut dimensions: Vec<&str> = Vec::new();
    for dimension in options.by.iter().map(|dimension| dimension.as_str()) {
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    let keys: Vec<String> = grain.into_iter().chain(dimensions.into_iter().map(String::from)).collect();
    let positions: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
    let (select, group) = match keys.is_empty() {
        true => (String::new(), String::new()),
        false => {
            let time = usize::from(options.grain.is_some());
            let order = positions.iter().take(time).map(String::as_str).chain(["list_cost DESC NULLS LAST"]);
            let order: Vec<_> = order.chain(positions.iter().skip(time).map(String::as_str)).collect();
            (
                format!("{}, ", keys.join(", ")),
                format!(" GROUP BY {} ORDER BY {}", positions.join(", "), order.join(", ")),
            )
        }
    };
    let sql = format!(
        "SELECT {select}count(*) AS calls, count(*) - count(list_cost) AS unpriced_calls, \
         sum(input_tokens::decimal(20, 0)) AS input_tokens, sum(output_tokens::decimal(20, 0)) AS output_tokens, \
         sum(list_cost) AS list_cost, sum(reported_cost) AS reported_cost FROM calls{}{group}",
        window(options)
    );
    Section::new("spend", "Spend", "US dollars. Unpriced calls are in no list cost.", sql)
}

/// Days of a zone reach at most one UTC day to each side: `event_date` leaves out files, the day in the zone decides. A midnight
/// would not do: where clocks change at midnight it is missing, or there are two.
fn window(options: &SpendOptions) -> String {
    let conditions = [
        options.from.map(|day| format!("event_date >= DATE '{}'", Date::from_days(day.days().saturating_sub(1)))),
        options.from.map(|day| format!("started_at::date >= DATE '{day}'")),
        options.to.map(|day| format!("event_date <= DATE '{}'", Date::from_days(day.days().saturating_add(1)))),
        options.to.map(|day| format!("started_at::date < DATE '{day}'")),
    ];
    let conditions: Vec<_> = conditions.into_iter().flatten().collect();
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}
