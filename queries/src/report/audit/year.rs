//! What an audit says of its year: numbers, changes, what was out of the ordinary, what is to come.

use daybook_ledger::Date;

use super::super::document::ReportPart;
use super::super::{Chart, Section, Tone, contracts};

/// The twelve months that end with the month of a day, and the 365 days that end on it.
pub(super) struct Year {
    pub(super) on: Date,
}

impl Year {
    /// The first day of the first month.
    fn first_month(&self) -> String {
        format!("(date_trunc('month', DATE '{}') - INTERVAL '11 months')::date", self.on)
    }

    /// Whether `day` lies in the 365 days.
    fn has(&self, day: &str) -> String {
        format!("{day} <= DATE '{0}' AND {day}::int > DATE '{0}'::int - 365", self.on)
    }

    pub(super) fn numbers(&self) -> ReportPart {
        let on = self.on;
        let is_year = self.has("event_date");
        let is_before =
            format!("event_date::int > DATE '{on}'::int - 730 AND event_date::int <= DATE '{on}'::int - 365");
        let numbers = format!(
            "SELECT count(*) FILTER (WHERE {is_year}) AS calls, count(*) FILTER (WHERE {is_year} AND list_cost IS NULL) \
             AS unpriced_calls, sum(list_cost) FILTER (WHERE {is_year}) AS list_cost, \
             CASE WHEN min(event_date)::int <= DATE '{on}'::int - 729 THEN sum(list_cost) FILTER (WHERE {is_before}) END \
             AS list_cost_the_year_before, count(DISTINCT provider) FILTER (WHERE {is_year}) AS providers, \
             count(DISTINCT coalesce(response_model, request_model)) FILTER (WHERE {is_year}) AS models, \
             count(DISTINCT team) FILTER (WHERE {is_year}) AS teams FROM usage"
        );
        let months = format!(
            "WITH spent AS (SELECT date_trunc('month', event_date)::date AS month, count(*) AS calls, \
             count(*) - count(list_cost) AS unpriced_calls, sum(list_cost) AS list_cost FROM usage \
             WHERE event_date >= {first} AND event_date <= DATE '{on}' GROUP BY 1), \
             ahead AS (SELECT month, low, middle, high FROM forecast WHERE dimension = 'total' \
             AND (SELECT max(event_date) FROM usage) <= DATE '{on}'), \
             placed AS (SELECT coalesce(spent.month, ahead.month) AS month, calls, unpriced_calls, list_cost, \
             ahead.month IS NULL AND (spent.month + INTERVAL '1 month')::date::int <= DATE '{on}'::int + 1 AS is_over, \
             low, middle, high FROM spent FULL JOIN ahead ON ahead.month = spent.month) \
             SELECT month, calls, unpriced_calls, list_cost AS spent, CASE WHEN is_over THEN list_cost ELSE middle END AS whole_month, \
             CASE WHEN month = last_over THEN list_cost ELSE low END AS low, \
             CASE WHEN month = last_over THEN list_cost ELSE high END AS high \
             FROM placed CROSS JOIN (SELECT max(month) FILTER (WHERE is_over) AS last_over FROM placed) \
             WHERE calls > 0 OR middle IS NOT NULL ORDER BY month",
            first = self.first_month(),
        );
        ReportPart {
            title: "The year in numbers",
            lead: "",
            sections: vec![
                Section::new(
                    "year",
                    "The year",
                    "The 365 days up to the day of this report, at list price. The year before is not known unless the ledger has \
                     all of it.",
                    numbers,
                )
                .drawn(Chart::Figures),
                Section::new(
                    "months",
                    "Spend by month, and the forecast",
                    "`whole month` is what was spent, and from the ledger's last month on what it comes to if the last twelve weeks go \
                     on; `low` and `high` are the drift stopping or going on, less and plus the noise of those weeks. No \
                     probability, and no knowledge of plans. Without four weeks to go by there is no forecast, and for a day before \
                     the ledger's last there is none either.",
                    months,
                )
                .drawn(Chart::Lines { by: &[], day: "month", lines: &["whole_month"], band: Some(("low", "high")) }),
            ],
        }
    }

    pub(super) fn changes(&self) -> ReportPart {
        let months = format!(
            "SELECT month, count(*) AS workloads, count(*) FILTER (WHERE segment = 'locked_in') AS locked_in_workloads, \
             count(*) FILTER (WHERE change = 'firmer') AS firmer, count(*) FILTER (WHERE change = 'looser') AS looser, \
             count(*) FILTER (WHERE segment <> 'locked_in' AND option <> 'fresh') AS without_a_fresh_option, \
             sum(list_cost) AS list_cost, {} FROM portability_by_month WHERE month >= {} AND month <= DATE '{}' \
             GROUP BY month ORDER BY month",
            ["portable", "movable", "locked_in"].map(cost_of_workloads).join(", "),
            self.first_month(),
            self.on,
        );
        let drift = format!(
            "SELECT workload, owner, feature, segment_before, segment, first_day AS since, first_team, first_key, first_model, \
             calls, list_cost, effort_days FROM portability_changes WHERE raised AND {} \
             ORDER BY first_day DESC, workload, feature",
            self.has("first_day")
        );
        ReportPart {
            title: "What changed, and when?",
            lead: "Options decay without a decision.",
            sections: vec![
                Section::new(
                    "portability",
                    "Portability by month",
                    "Workloads with calls in the month, by the features that bind in it, and their spend. Firmer and looser are against \
                     the month with calls before.",
                    months,
                )
                .drawn(Chart::Stack { label: &["month"], total: "list_cost", parts: Chart::SEGMENTS }),
                Section::new(
                    "drift",
                    "What made workloads firmer",
                    "Features that calls began to lean on within the year and that made the workload firmer than all before them: \
                     since when, who began it, and the calls since.",
                    drift,
                ),
            ],
        }
    }

    pub(super) fn governance(&self) -> ReportPart {
        let anomalies = format!(
            "SELECT workload, day, list_cost, expected, excess, mover_model, mover_key, mover_calls, mover_expected_calls \
             FROM anomalies WHERE {} ORDER BY abs(excess) DESC, day DESC, workload LIMIT 20",
            self.has("day")
        );
        ReportPart {
            title: "What runs outside of the rules?",
            lead: "Found from the traffic, not from a survey.",
            sections: vec![
                Section::new(
                    "shadow",
                    "Not sanctioned",
                    "Keys without a workload, models and providers that a workload's list leaves out, providers without a contract, \
                     models the registry does not know. A call may be in several findings, so rows do not add up.",
                    "SELECT finding, name, workload, calls, unpriced_calls, list_cost, first_day, last_day FROM shadow_ai \
                     ORDER BY list_cost DESC NULLS LAST, finding, name, workload",
                ),
                Section::new(
                    "unassigned",
                    "Calls of no workload",
                    "What no rule of `workloads.toml` claims, by what names it.",
                    "SELECT team, api_key_alias, provider, model, calls, share, list_cost, last_day FROM unassigned \
                     ORDER BY list_cost DESC NULLS LAST, calls DESC, team, project, api_key_alias, workload_hint, provider, model",
                ),
                Section::new(
                    "anomalies",
                    "Days out of the ordinary",
                    "The twenty days of the year that differ most from their weekday's median over eight weeks, by workload. The \
                     mover is the model and key that differ most from their own.",
                    anomalies,
                ),
            ],
        }
    }

    pub(super) fn to_come(&self) -> ReportPart {
        let wanted = ["calendar", "burn_down", "clauses"];
        let terms = contracts(self.on).into_iter().filter(|section| wanted.contains(&section.name));
        let savings = Section::new(
            "savings",
            "What could be spent less",
            "Over the whole ledger, each by itself: they overlap. All but failures are upper bounds that rest on the assumption \
             named; `daybook report savings` has the lines.",
            "SELECT means, assumption, could_save_usd FROM ( \
             SELECT 'Prompt caches' AS means, 'calls that read nothing read what others of their kind do' AS assumption, \
             (SELECT sum(missed) FROM cache_savings) AS could_save_usd \
             UNION ALL SELECT 'Batches', 'nobody waited for calls that were not streamed', (SELECT sum(missed_max) FROM batch_savings) \
             UNION ALL SELECT 'Cheaper models', 'answers of the cheaper model the workload uses are as good', \
             (SELECT sum(saving) FROM routing) \
             UNION ALL SELECT 'Failures', 'calls that failed, were refused or cut short', (SELECT sum(list_cost) FROM wasted_spend)) \
             ORDER BY could_save_usd DESC NULLS LAST, means",
        );
        ReportPart {
            title: "What do the contracts allow, and by when?",
            lead: "Where lock-in rose, the next renewal is the time to ask for more: the clauses a contract lacks.",
            sections: terms
                .chain([savings.drawn(Chart::Bars { label: &["means"], value: "could_save_usd", tone: Tone::Free })])
                .collect(),
        }
    }
}

/// Spend of the workloads of a month that have the segment; none of them is no spend.
fn cost_of_workloads(segment: &str) -> String {
    format!(
        "CASE WHEN count(*) FILTER (WHERE segment = '{segment}') = 0 AND sum(list_cost) IS NOT NULL THEN 0::decimal(38, 12) \
         ELSE sum(list_cost) FILTER (WHERE segment = '{segment}') END AS {segment}_cost"
    )
}
