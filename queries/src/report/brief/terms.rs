//! What the contract says: commitments, deadlines, clauses.

use super::super::document::ReportPart;
use super::super::{Chart, Section};
use super::Brief;

impl Brief<'_> {
    pub(super) fn commitments(&self) -> ReportPart {
        let name = self.name();
        ReportPart {
            title: "What we commit",
            lead: "Spend promised, how far it is used up, and where it ends if the last twelve weeks go on.",
            sections: vec![
                Section::new(
                    "commitments",
                    "Commitments",
                    "Used up by the list cost of calls under the contract in the period; unpriced calls come on top. `low`, `middle` \
                     and `high` are the spend at its end, then what is missing and what is beyond. Not known: fewer than four weeks \
                     of calls to go by.",
                    format!(
                        "SELECT commitment, ends_on, committed, used, unpriced_calls, low, middle, high, shortfall_low, \
                         shortfall_middle, shortfall_high, overage_low, overage_middle, overage_high, used_up_on, shortfall \
                         FROM burn_down WHERE contract = {name} ORDER BY ends_on, commitment"
                    ),
                ),
                Section::new(
                    "burn_down",
                    "Burn-down",
                    "What is left of each commitment at the end of a month, beside what would be left at an even pace, and at its end \
                     with a band; less than nothing is beyond it. Months without priced calls are left out.",
                    self.burn_down(),
                )
                .drawn(Chart::Lines {
                    by: &["commitment"],
                    day: "day",
                    lines: &["remaining", "even_pace"],
                    band: Some(("remaining_low", "remaining_high")),
                }),
                Section::new(
                    "paid",
                    "Paid against list",
                    "Over calls that have both costs; `paid` is the reported cost as a part of list cost.",
                    format!(
                        "SELECT provider, model, calls, other_calls, list_cost, reported_cost, discount, paid \
                         FROM effective_price WHERE contract = {name} ORDER BY list_cost DESC NULLS LAST, provider, model"
                    ),
                ),
            ],
        }
    }

    fn burn_down(&self) -> String {
        let name = self.name();
        let days = "(ends_on::int - starts_on::int + 1)::decimal(20, 0)";
        format!(
            "WITH promised AS (SELECT * FROM registry_commitments WHERE contract = {name}), \
             today AS (SELECT max(event_date) AS last_day FROM usage), \
             spent AS (SELECT commitment, usd, starts_on, ends_on, \
             least((date_trunc('month', event_date) + INTERVAL '1 month' - INTERVAL '1 day')::date, ends_on, last_day) AS day, \
             sum(list_cost) AS list_cost FROM calls JOIN promised ON promised.contract = calls.contract \
             AND event_date >= starts_on AND event_date <= ends_on CROSS JOIN today GROUP BY 1, 2, 3, 4, 5), \
             points AS (SELECT commitment, usd, starts_on, ends_on, starts_on AS day, 0 AS number, 0::decimal(38, 12) AS list_cost, \
             NULL::decimal(38, 12) AS low, NULL::decimal(38, 12) AS middle, NULL::decimal(38, 12) AS high FROM promised \
             UNION ALL SELECT commitment, usd, starts_on, ends_on, day, 1, list_cost, NULL, NULL, NULL FROM spent \
             WHERE list_cost IS NOT NULL \
             UNION ALL SELECT commitment, committed, starts_on, ends_on, ends_on AS day, 2, NULL, low, middle, high FROM burn_down \
             WHERE contract = {name} AND projected_days > 0 AND middle IS NOT NULL), \
             placed AS (SELECT *, (usd - sum(list_cost) OVER (PARTITION BY commitment ORDER BY number, day))::decimal(38, 12) AS left_over, \
             max(number) OVER (PARTITION BY commitment) AS last_number, \
             max(CASE WHEN number < 2 THEN day END) OVER (PARTITION BY commitment) AS last_actual_day FROM points), \
             drawn AS (SELECT *, CASE number WHEN 2 THEN usd - middle ELSE left_over END AS remaining, \
             number < 2 AND last_number = 2 AND day = last_actual_day AS joins FROM placed) \
             SELECT commitment, day, number = 2 AS projected, remaining, (usd - usd * (CASE number WHEN 0 THEN 0 ELSE \
             day::int - starts_on::int + 1 END)::decimal(20, 0) / {days})::decimal(38, 12) AS even_pace, \
             CASE WHEN joins THEN remaining WHEN number = 2 THEN usd - high END AS remaining_low, \
             CASE WHEN joins THEN remaining WHEN number = 2 THEN usd - low END AS remaining_high \
             FROM drawn ORDER BY ends_on, commitment, number, day"
        )
    }

    pub(super) fn deadlines(&self) -> ReportPart {
        let (name, today) = (self.name(), format!("DATE '{}'", self.on));
        ReportPart {
            title: "By when",
            lead: "After the notice day the renewal decides itself.",
            sections: vec![Section::new(
                "deadlines",
                "Deadlines",
                "Days are counted from the day of this report and are negative once a day is over.",
                format!(
                    "SELECT what, due_on, due_on::int - {today}::int AS days_left, name, usd FROM deadlines \
                     WHERE contract = {name} ORDER BY due_on, deadline, name"
                ),
            )],
        }
    }

    pub(super) fn clauses(&self) -> ReportPart {
        ReportPart {
            title: "What to ask for",
            lead: "Clauses that keep a way open. What is not held is worth asking for while there is still time to leave.",
            sections: vec![Section::new(
                "clauses",
                "Clauses",
                "Those not held come first.",
                format!(
                    "SELECT clause, held, days, cost_max_usd, note FROM registry_clauses WHERE contract = {} \
                     ORDER BY held, clause",
                    self.name()
                ),
            )],
        }
    }
}
