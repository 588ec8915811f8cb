//! Recorded calls, month by month, with what the registry says of them.
//!
//! A correction that came after the end of the call's month does not change that month: what the month showed stays, and the
//! difference is a charge of class `Correction` in the month it came. So files written month by month add up to one of all months.

use std::collections::BTreeSet;

use arrow::array::AsArray as _;
use arrow::datatypes::Date32Type;
use daybook_ledger::Date;
use daybook_ledger::price::PastCalls;

use super::FocusOptions;
use super::sum::Month;
use crate::session::{USAGE, USAGE_RECORDED};
use crate::{Error, Rows, Session};

/// What of a call makes its charges, beside what makes its price. In the order of `Facts` in `sum`.
pub(super) const FACTS: [&str; 10] = [
    "model",
    "team",
    "project",
    "environment",
    "api_key_alias",
    "workload",
    "contract",
    "model_family",
    "tags",
    "restated_on",
];

/// The months of the calls that are charged in a period. A query a month: one a day would take longer to plan than to run.
pub(super) struct Months {
    /// With calls in the period.
    called: BTreeSet<Month>,
    /// Of whose calls only corrections came in the period.
    restated: BTreeSet<Month>,
    /// Those of which something was corrected, whenever.
    corrected: BTreeSet<Month>,
    /// The last day of the whole ledger.
    pub(super) last: Option<Date>,
    from: Option<Date>,
    to: Option<Date>,
}

impl Months {
    pub(super) async fn load(session: &Session, options: &FocusOptions) -> Result<Self, Error> {
        let (from, to) = (options.from, options.to);
        let within = |day: &&Date| from.is_none_or(|from| from <= **day) && to.is_none_or(|to| **day < to);
        let all = dates(session, USAGE_RECORDED, "true").await?;
        let called: BTreeSet<_> = all.iter().filter(within).copied().map(Month::of).collect();
        let corrected = months(dates(session, "corrections", "true").await?);
        let mut restated = months(dates(session, "corrections", &period("ingested_at", from, to)).await?);
        restated.retain(|month| !called.contains(month));
        Ok(Self { called, restated, corrected, last: all.last().copied(), from, to })
    }

    /// In order.
    pub(super) fn all(&self) -> BTreeSet<Month> {
        self.called.union(&self.restated).copied().collect()
    }

    /// What the calls of `month` charge in the period: rows of [`PastCalls::columns`] and [`FACTS`], and `sign`, -1 for what a
    /// correction takes back.
    pub(super) async fn calls(&self, session: &Session, month: Month) -> Result<Rows, Error> {
        let source = match self.corrected.contains(&month) {
            true => self.corrected(month),
            false => {
                let days = format!("{} AND {}", of_month(month), period("event_date", self.from, self.to));
                format!("SELECT *, NULL::date AS restated_on, 1 AS sign FROM {USAGE} WHERE {days}")
            }
        };
        session.run(&sql(&source)).await
    }

    /// What `month` showed when it ended; and in every later month in which a call became better known, what was shown until then
    /// once more with the opposite sign, and what is known since.
    fn corrected(&self, month: Month) -> String {
        // As in `corrected.sql`.
        const FULLEST_FIRST: &str = "ORDER BY corrects DESC, \
            CASE status WHEN 'pending' THEN 0 WHEN 'incomplete' THEN 1 ELSE 2 END DESC, \
            (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) DESC, ingested_at DESC";
        let first_day = month.first_day();
        let mut calls = of_month(month);
        if self.restated.contains(&month) {
            let restated = format!("{calls} AND {}", period("ingested_at", self.from, self.to));
            calls = format!("{calls} AND entry_id IN (SELECT entry_id FROM corrections WHERE {restated})");
        }
        let period = period("coalesce(restated_on, event_date)", self.from, self.to);
        format!(
            "WITH states AS ( \
                 SELECT *, false AS corrects, DATE '{first_day}' AS known_in FROM {USAGE_RECORDED} WHERE {calls} \
                 UNION ALL SELECT *, true, greatest(date_trunc('month', ingested_at)::date, DATE '{first_day}') \
                 FROM corrections WHERE {calls} \
             ), ranked AS ( \
                 SELECT *, row_number() OVER (PARTITION BY event_date, entry_id {FULLEST_FIRST}) AS place, \
                 row_number() OVER (PARTITION BY event_date, entry_id, known_in {FULLEST_FIRST}) AS place_in_month FROM states \
             ), monthly AS ( \
                 SELECT *, min(place) OVER (PARTITION BY event_date, entry_id ORDER BY known_in \
                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS best_before FROM ranked WHERE place_in_month = 1 \
             ), shown AS ( \
                 SELECT *, CASE WHEN known_in > DATE '{first_day}' THEN ingested_at::date END AS restated_on, \
                 lead(ingested_at::date) OVER (PARTITION BY event_date, entry_id ORDER BY known_in) AS replaced_on \
                 FROM monthly WHERE best_before IS NULL OR place < best_before \
             ) \
             SELECT * FROM ( \
                 SELECT * EXCLUDE (replaced_on), 1 AS sign FROM shown \
                 UNION ALL SELECT * EXCLUDE (restated_on, replaced_on), replaced_on, -1 FROM shown WHERE replaced_on IS NOT NULL \
             ) WHERE {period}"
        )
    }
}

fn months(days: BTreeSet<Date>) -> BTreeSet<Month> {
    days.into_iter().map(Month::of).collect()
}

fn of_month(month: Month) -> String {
    period("event_date", Some(month.first_day()), Some(month.next_month()))
}

/// That `what` lies within the days from `from` to before `to`.
fn period(what: &str, from: Option<Date>, to: Option<Date>) -> String {
    let from = from.map(|from| format!("{what} >= DATE '{from}'"));
    let to = to.map(|to| format!("{what} < DATE '{to}'"));
    match (from, to) {
        (Some(from), Some(to)) => format!("{from} AND {to}"),
        (from, to) => from.or(to).unwrap_or_else(|| "true".into()),
    }
}

async fn dates(session: &Session, table: &str, which: &str) -> Result<BTreeSet<Date>, Error> {
    let sql = format!("SELECT DISTINCT event_date FROM {table} WHERE {which}");
    let batches = session.run(&sql).await?.collect().await?;
    let columns = batches.iter().filter_map(|batch| batch.columns().first()?.as_primitive_opt::<Date32Type>());
    Ok(columns.flat_map(|days| days.iter().flatten()).map(Date::from_days).collect())
}

fn sql(source: &str) -> String {
    let priced = PastCalls::columns().into_iter().filter(|column| *column != "entry_id").collect::<Vec<_>>().join(", ");
    format!(
        "WITH stated AS ({source}) \
         SELECT arrow_cast(entry_id, 'Binary') AS entry_id, {priced}, coalesce(response_model, request_model) AS model, \
         team, project, environment, api_key_alias, \
         workload(team, project, api_key_alias, workload_hint, environment, operation, provider, \
         coalesce(response_model, request_model), tags) AS workload, \
         contract(provider, coalesce(response_model, request_model), event_date) AS contract, \
         model_family(provider, coalesce(response_model, request_model)) AS model_family, tags, restated_on, sign FROM stated"
    )
}
