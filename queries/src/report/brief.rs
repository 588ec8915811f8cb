//! The negotiation brief for one contract: what can be moved, what cannot, what moving costs, what was committed, by when.
//!
//! Leverage counts whole workloads: of one that is locked in nothing counts, also not its portable calls, because a claim
//! that falls at the first question takes the others with it.

use daybook_ledger::Date;

use super::document::{Report, ReportPart};
use super::{Chart, GateOptions, Section, Tone, gate, quoted};
use crate::{Error, Session};

/// What a brief is about.
struct Brief<'a> {
    contract: &'a str,
    on: Date,
}

/// The report about `contract`, counted from the day `on`.
///
/// # Errors
/// [`Error::UnknownContract`].
pub fn brief(session: &Session, contract: &str, on: Date) -> Result<Report, Error> {
    let known = session.registry().need_contract(contract)?;
    let brief = Brief { contract, on };
    let ends = known.ends_on.map_or_else(|| "without an end".into(), |day| format!("to {day}"));
    Ok(Report {
        title: format!("Negotiation brief: {contract}"),
        lead: format!(
            "The contract with {} runs from {} {ends}. Everything here is a fact about recorded calls under it, at list price \
             unless it says otherwise: what can be moved, what cannot, what moving takes, what was committed, and by when.",
            known.vendor, known.starts_on
        ),
        on: Some(on),
        parts: vec![
            brief.position(),
            brief.movable(),
            brief.cost_of_moving(),
            brief.locked_in(),
            brief.commitments(),
            brief.calendar(),
            brief.clauses(),
            brief.certainty(session)?,
        ],
    })
}

impl Brief<'_> {
    fn name(&self) -> String {
        quoted(self.contract)
    }

    /// The calls under the contract by workload, each workload with its verdict.
    fn under(&self) -> String {
        format!(
            "WITH spent AS (SELECT workload, count(*) AS calls, count(*) - count(list_cost) AS unpriced_calls, \
             sum(list_cost) AS list_cost FROM calls WHERE contract = {} GROUP BY workload), \
             under AS (SELECT spent.workload, owner, segment, because, option, second_provider, shown_by, fresh_until, \
             effort_days, spent.calls, spent.unpriced_calls, spent.list_cost FROM spent \
             LEFT JOIN lockin ON lockin.workload = spent.workload)",
            self.name()
        )
    }

    fn position(&self) -> ReportPart {
        let part = |name: &str, condition: &str| {
            format!(
                "sum(list_cost) FILTER (WHERE {condition}) AS {name}, CASE WHEN count(*) FILTER (WHERE {condition}) = 0 \
                 THEN 0::decimal(9, 6) ELSE (sum(list_cost) FILTER (WHERE {condition}) \
                 / nullif(sum(list_cost), 0::decimal(38, 12)))::decimal(9, 6) END AS {name}_share"
            )
        };
        let sql = format!(
            "{under} SELECT sum(list_cost) AS spend, (sum(list_cost) / nullif((SELECT sum(list_cost) FROM usage), \
             0::decimal(38, 12)))::decimal(9, 6) AS share_of_all_spend, {}, {}, {} FROM under",
            part("can_move", "segment <> 'locked_in'"),
            part("cannot_move", "segment = 'locked_in'"),
            part("of_no_workload", "workload IS NULL"),
            under = self.under(),
        );
        ReportPart {
            title: "Where we stand",
            lead: "",
            sections: vec![
                Section::new(
                    "position",
                    "Spend under the contract",
                    "`can move` is the spend of workloads that are portable or movable, `cannot move` that of workloads that \
                     are locked in; calls of no workload are in neither. Shares are parts of the spend under the contract.",
                    sql,
                )
                .drawn(Chart::Figures),
            ],
        }
    }

    fn movable(&self) -> ReportPart {
        let in_leverage = "workload IN (SELECT workload FROM under WHERE segment <> 'locked_in')";
        ReportPart {
            title: "What we can move",
            lead: "The leverage: workloads that could run elsewhere. Workloads that are locked in are kept out of this part, with \
                   all of their calls; they have a part of their own below.",
            sections: vec![
                Section::new(
                    "movable",
                    "Workloads that can move",
                    "An option is `fresh` if a call succeeded on a second provider within the workload's window: then moving is \
                     a fact and no plan. Dollars are those of calls under this contract.",
                    format!(
                        "{} SELECT workload, segment, option, second_provider, shown_by, fresh_until, calls, unpriced_calls, \
                         list_cost, effort_days FROM under WHERE segment <> 'locked_in' \
                         ORDER BY list_cost DESC NULLS LAST, workload",
                        self.under()
                    ),
                )
                .drawn(Chart::Bars { label: &["workload", "segment"], value: "list_cost", tone: Tone::Free }),
                Section::new(
                    "elsewhere",
                    "Where they run already",
                    "The same workloads by provider and model, over all contracts: successful calls, and what a million tokens \
                     has cost there on average.",
                    format!(
                        "{} SELECT workload, provider, model, count(*) AS calls, \
                         count(*) FILTER (WHERE status = 'success') AS successful_calls, max(event_date) AS last_day, \
                         sum(list_cost) AS list_cost, (sum(list_cost) FILTER (WHERE input_tokens + output_tokens > 0) \
                         / nullif(sum((input_tokens + output_tokens)::decimal(20, 0)) FILTER (WHERE list_cost IS NOT NULL), \
                         0::decimal(20, 0)) * 1000000::decimal(7, 0))::decimal(38, 6) AS cost_per_million_tokens \
                         FROM calls WHERE {in_leverage} GROUP BY workload, provider, model \
                         ORDER BY workload, calls DESC, provider, model",
                        self.under()
                    ),
                ),
                Section::new(
                    "tests",
                    "Tests of alternatives",
                    "Runs of these workloads elsewhere that were recorded as evidence, the newest first.",
                    format!(
                        "{} SELECT workload, provider, model, event_date AS day, runs, passed, dataset, harness, recorded_by \
                         FROM evidence WHERE kind = 'portability_test' AND {in_leverage} \
                         ORDER BY event_date DESC, recorded_at DESC, entry_id",
                        self.under()
                    ),
                ),
                Section::new(
                    "alternatives",
                    "What owners have chosen instead",
                    "Alternatives, best first, and the fallback, as the registry names them.",
                    format!(
                        "{} SELECT workload, owner, array_to_string(alternatives, ', ') AS alternatives, fallback \
                         FROM registry_workloads WHERE {in_leverage} ORDER BY workload",
                        self.under()
                    ),
                ),
            ],
        }
    }

    fn cost_of_moving(&self) -> ReportPart {
        ReportPart {
            title: "What moving would cost",
            lead: "Engineering days are assumptions of the registry's rules, one for each feature that binds a workload, and are \
                   to be replaced by one's own. What other prices would make of the traffic is a question for a simulation.",
            sections: vec![Section::new(
                "effort",
                "Effort by feature",
                "Only workloads that can move. A feature binds from its least share of the workload's calls on.",
                format!(
                    "{} SELECT workload_features.workload, workload_features.feature, workload_features.share, \
                         workload_features.effort_days, moving FROM workload_features \
                         JOIN under ON under.workload = workload_features.workload \
                         JOIN registry_features ON registry_features.feature = workload_features.feature \
                         WHERE binds AND under.segment <> 'locked_in' \
                         ORDER BY workload_features.effort_days DESC, workload_features.workload, workload_features.feature",
                    self.under()
                ),
            )],
        }
    }

    fn locked_in(&self) -> ReportPart {
        ReportPart {
            title: "What we cannot move",
            lead: "Not an argument in the negotiation: what holds these workloads is known to both sides. It is listed so that no \
                   one claims it by mistake, and so that the tie can be loosened in time.",
            sections: vec![
                Section::new(
                    "locked_in",
                    "Workloads that are locked in",
                    "`because` names the features that hold them.",
                    format!(
                        "{} SELECT workload, owner, because, calls, unpriced_calls, list_cost, effort_days FROM under \
                         WHERE segment = 'locked_in' ORDER BY list_cost DESC NULLS LAST, workload",
                        self.under()
                    ),
                )
                .drawn(Chart::Bars { label: &["workload"], value: "list_cost", tone: Tone::Firm }),
                Section::new(
                    "holds",
                    "What holds them",
                    "The firmest features, since when, and what leaving them takes.",
                    format!(
                        "{} SELECT workload_features.workload, workload_features.feature, workload_features.share, \
                         workload_features.first_day AS since, workload_features.list_cost, moving FROM workload_features \
                         JOIN under ON under.workload = workload_features.workload \
                         JOIN registry_features ON registry_features.feature = workload_features.feature \
                         WHERE binds AND workload_features.segment = 'locked_in' \
                         ORDER BY workload_features.list_cost DESC NULLS LAST, workload_features.workload, \
                         workload_features.feature",
                        self.under()
                    ),
                ),
            ],
        }
    }

    fn commitments(&self) -> ReportPart {
        let name = self.name();
        ReportPart {
            title: "What we commit",
            lead: "Spend promised and what has been used of it, and what is paid against list.",
            sections: vec![
                Section::new(
                    "commitments",
                    "Commitments",
                    "Used up by the list cost of calls under the contract in the period, up to the last day of the ledger; \
                     unpriced calls come on top. `elapsed` is the part of the period's days that is over.",
                    format!(
                        "SELECT commitment, committed, list_cost, unpriced_calls, remaining, used, elapsed, starts_on, ends_on, \
                         shortfall FROM commitments WHERE contract = {name} ORDER BY ends_on, commitment"
                    ),
                ),
                Section::new(
                    "burn_down",
                    "Burn-down",
                    "What is left of each commitment at the end of a month, beside what would be left at an even pace. Months \
                     without priced calls are left out.",
                    self.burn_down(),
                )
                .drawn(Chart::Lines { by: &["commitment"], day: "day", lines: &["remaining", "even_pace"], band: None }),
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
             points AS (SELECT commitment, usd, starts_on, ends_on, starts_on AS day, 0::decimal(38, 12) AS list_cost, 0 AS number \
             FROM promised UNION ALL SELECT *, 1 FROM spent WHERE list_cost IS NOT NULL) \
             SELECT commitment, day, list_cost, (usd - sum(list_cost) OVER (PARTITION BY commitment ORDER BY number, day)) \
             ::decimal(38, 12) AS remaining, (usd - usd * (CASE number WHEN 0 THEN 0 ELSE day::int - starts_on::int + 1 END) \
             ::decimal(20, 0) / {days})::decimal(38, 12) AS even_pace FROM points ORDER BY ends_on, commitment, number, day"
        )
    }

    fn calendar(&self) -> ReportPart {
        let (name, today) = (self.name(), format!("DATE '{}'", self.on));
        ReportPart {
            title: "By when",
            lead: "After the notice day the renewal decides itself.",
            sections: vec![Section::new(
                "calendar",
                "Dates",
                "Days are counted from the day of this report and are negative once a day is over.",
                format!(
                    "WITH dates AS (SELECT 1 AS number, 'Decision due' AS what, gate_on AS day FROM registry_contracts \
                     WHERE contract = {name} UNION ALL SELECT 2, 'Last day for notice', notice_on FROM registry_contracts \
                     WHERE contract = {name} UNION ALL SELECT 3, 'End of the term', ends_on FROM registry_contracts \
                     WHERE contract = {name} UNION ALL SELECT 4, 'End of commitment ' || commitment, ends_on \
                     FROM registry_commitments WHERE contract = {name}) \
                     SELECT what, day, day::int - {today}::int AS days_left FROM dates WHERE day IS NOT NULL \
                     ORDER BY day, number, what"
                ),
            )],
        }
    }

    fn clauses(&self) -> ReportPart {
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

    fn certainty(&self, session: &Session) -> Result<ReportPart, Error> {
        let options = GateOptions::usual(self.contract, self.on);
        Ok(ReportPart {
            title: "How sure this is",
            lead: "What the other side could question. A check that is false is a reason to prepare before one speaks.",
            sections: vec![gate(session, &options)?],
        })
    }
}
