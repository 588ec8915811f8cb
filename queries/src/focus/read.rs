//! Recorded calls, month by month, with what the registry says of them.
//!
//! A correction that came after the end of the call's month does not change that month: what the month showed stays, and the
//! difference is a charge of class `Correction` in the month it came.

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
    "restated_at",
];

/// The months with calls, in order, and those of which something was corrected. A query a month: one a day would take longer to
/// plan than to run.
pub(super) struct Months {
    pub(super) months: Vec<Month>,
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
        let all = dates(session, USAGE_RECORDED).await?;
        let months: BTreeSet<_> = all.iter().filter(within).copied().map(Month::of).collect();
        let corrected = dates(session, "corrections").await?.into_iter().map(Month::of).collect();
        Ok(Self { months: months.into_iter().collect(), corrected, last: all.last().copied(), from, to })
    }

    /// The calls of `month`: rows of [`PastCalls::columns`] and [`FACTS`], and `sign`, -1 for what a correction takes back.
    pub(super) async fn calls(&self, session: &Session, month: Month) -> Result<Rows, Error> {
        let from = self.from.map_or(month.first_day(), |from| from.max(month.first_day()));
        let to = self.to.map_or(month.next_month(), |to| to.min(month.next_month()));
        let days = format!("event_date >= DATE '{from}' AND event_date < DATE '{to}'");
        let source = match self.corrected.contains(&month) {
            true => corrected(&days, month),
            false => format!("SELECT *, NULL::timestamp AS restated_at, 1 AS sign FROM {USAGE} WHERE {days}"),
        };
        session.run(&sql(&source)).await
    }
}

async fn dates(session: &Session, table: &str) -> Result<BTreeSet<Date>, Error> {
    let batches = session.run(&format!("SELECT DISTINCT event_date FROM {table}")).await?.collect().await?;
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
         model_family(provider, coalesce(response_model, request_model)) AS model_family, tags, restated_at, sign FROM stated"
    )
}

/// What `month` showed when it ended; and of each call that is known better since, that once more with the opposite sign, and
/// what is known now.
fn corrected(days: &str, month: Month) -> String {
    // As in `corrected.sql`.
    const FULLEST_FIRST: &str = "ORDER BY corrects DESC, \
        CASE status WHEN 'pending' THEN 0 WHEN 'incomplete' THEN 1 ELSE 2 END DESC, \
        (input_tokens IS NOT NULL OR output_tokens IS NOT NULL) DESC, ingested_at DESC";
    let ends = month.next_month();
    format!(
        "WITH states AS ( \
             SELECT *, false AS corrects FROM {USAGE_RECORDED} WHERE {days} \
             UNION ALL SELECT *, true FROM corrections WHERE {days} \
         ), timed AS ( \
             SELECT *, NOT corrects OR ingested_at < TIMESTAMP '{ends}' AS in_time FROM states \
         ), ranked AS ( \
             SELECT *, row_number() OVER (PARTITION BY entry_id {FULLEST_FIRST}) AS place, \
             row_number() OVER (PARTITION BY entry_id, in_time {FULLEST_FIRST}) AS place_in_time FROM timed \
         ), flagged AS ( \
             SELECT * EXCLUDE (corrects), max(CASE WHEN place = 1 AND NOT in_time THEN ingested_at END) \
             OVER (PARTITION BY entry_id) AS restated_at FROM ranked \
         ) \
         SELECT * EXCLUDE (restated_at), NULL::timestamp AS restated_at, 1 AS sign FROM flagged \
         WHERE in_time AND place_in_time = 1 \
         UNION ALL SELECT * EXCLUDE (restated_at), restated_at::timestamp, -1 FROM flagged \
         WHERE in_time AND place_in_time = 1 AND restated_at IS NOT NULL \
         UNION ALL SELECT * EXCLUDE (restated_at), restated_at::timestamp, 1 FROM flagged \
         WHERE place = 1 AND restated_at IS NOT NULL"
    )
}
