//! The negotiation brief for one contract: what can be moved, what cannot, what moving costs, what was committed, by when.
//!
//! Leverage counts whole workloads: of one that is locked in nothing counts, also not its portable calls, because a claim
//! that falls at the first question takes the others with it.

mod moving;
mod terms;

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::price::Book;
use daybook_ledger::{Date, Usd};

use super::document::{Report, ReportPart};
use super::exit_readiness::ways_out;
use super::{Chart, GateOptions, Section, Tone, gate, quoted};
use crate::{Error, Session};
use moving::Moving;

/// What a brief is about.
#[derive(Clone, Debug)]
pub struct BriefOptions {
    /// The contract.
    pub contract: String,
    /// The UTC day days are counted from, and whose prices apply to moves.
    pub on: Date,
    /// An engineering day in dollars, if someone says.
    pub day_rate_usd: Option<Usd>,
}

/// The report about a contract. Moves to the alternatives of the registry are simulated at the prices of `book`.
///
/// # Errors
/// [`Error::UnknownContract`]; those of queries.
pub async fn brief(session: &Session, book: &Arc<Book>, options: &BriefOptions) -> Result<Report, Error> {
    let BriefOptions { contract, on, .. } = options;
    let known = session.registry().need_contract(contract)?;
    let brief = Brief { contract, on: *on };
    let movable = brief.movable_workloads(session).await?;
    let moving = Moving::play(session, book, known, &movable, options).await?;
    let ends = known.ends_on.map_or_else(|| "without an end".into(), |day| format!("to {day}"));
    Ok(Report {
        title: format!("Negotiation brief: {contract}"),
        lead: format!(
            "The contract with {} runs from {} {ends}. Spend is that of recorded calls under it, at list price.",
            known.vendor, known.starts_on
        ),
        on: Some(*on),
        parts: vec![
            brief.position(),
            brief.movable(),
            brief.cost_of_moving(&moving),
            brief.locked_in(),
            brief.commitments(),
            brief.deadlines(),
            ways_out(Some(contract), *on),
            brief.clauses(),
            brief.certainty(session)?,
        ],
    })
}

struct Brief<'a> {
    contract: &'a str,
    on: Date,
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

    /// Those that leverage counts.
    async fn movable_workloads(&self, session: &Session) -> Result<Vec<String>, Error> {
        let sql = format!("{} SELECT workload FROM under WHERE segment <> 'locked_in'", self.under());
        let mut names = Vec::new();
        for batch in session.run(&sql).await?.collect().await? {
            let column = batch.columns().first().map(|column| cast(column, &DataType::Utf8)).transpose();
            let column = column.map_err(|error| Error::Internal {
                invariant: "a workload's name is text",
                found: error.to_string(),
            })?;
            let texts = column.as_ref().and_then(|column| column.as_string_opt::<i32>());
            names.extend(texts.into_iter().flatten().flatten().map(String::from));
        }
        Ok(names)
    }

    fn position(&self) -> ReportPart {
        let part = |name: &str, condition: &str| {
            format!(
                "CASE WHEN count(*) FILTER (WHERE {condition}) = 0 AND sum(list_cost) IS NOT NULL THEN 0::decimal(38, 12) \
                 ELSE sum(list_cost) FILTER (WHERE {condition}) END AS {name}, \
                 CASE WHEN count(*) FILTER (WHERE {condition}) = 0 AND sum(list_cost) IS NOT NULL THEN 0::decimal(9, 6) \
                 ELSE (sum(list_cost) FILTER (WHERE {condition}) / nullif(sum(list_cost), 0::decimal(38, 12)))::decimal(9, 6) \
                 END AS {name}_share"
            )
        };
        let (name, on) = (self.name(), format!("DATE '{}'", self.on));
        // Of a commitment that cannot be projected nothing is known, so neither of their sum.
        let sum = |what: &str| {
            format!(
                "CASE WHEN count(*) = count({what}_middle) THEN coalesce(sum({what}_middle), 0::decimal(38, 12)) END AS {what}"
            )
        };
        let sql = format!(
            "{under}, ends AS (SELECT {}, {} FROM burn_down WHERE contract = {name} AND starts_on <= {on} AND ends_on >= {on}) \
             SELECT sum(list_cost) AS spend, (sum(list_cost) / nullif((SELECT sum(list_cost) FROM usage), \
             0::decimal(38, 12)))::decimal(9, 6) AS share_of_all_spend, {}, {}, {}, {}, \
             max(shortfall) AS projected_shortfall, max(overage) AS projected_overage, \
             (SELECT gate_on FROM registry_contracts WHERE contract = {name}) AS decide_by, \
             (SELECT notice_on FROM registry_contracts WHERE contract = {name}) AS notice_by, \
             (SELECT CASE WHEN notice_on < {on} THEN 'the day to decide and the day of notice' \
             WHEN gate_on < {on} THEN 'the day to decide' END FROM registry_contracts WHERE contract = {name}) AS passed \
             FROM ends LEFT JOIN under ON true",
            sum("shortfall"),
            sum("overage"),
            part("can_move", "segment <> 'locked_in'"),
            part("proven", "segment <> 'locked_in' AND option = 'fresh'"),
            part("cannot_move", "segment = 'locked_in'"),
            part("of_no_workload", "workload IS NULL"),
            under = self.under(),
        );
        ReportPart {
            title: "The answer",
            lead: "",
            sections: vec![
                Section::new(
                    "position",
                    "Where we stand",
                    "`can move` is the spend of workloads that are portable or movable, `proven` the part of it whose option is \
                     fresh: its calls have run elsewhere lately. `cannot move` is that of workloads that are locked in; calls of no \
                     workload are in neither. Shortfall and overage are what the commitments in force end with if the last weeks \
                     go on.",
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
            ],
        }
    }

    fn cost_of_moving(&self, moving: &Moving) -> ReportPart {
        let mut sections = moving.sections(&self.under());
        sections.push(Section::new(
            "effort",
            "Effort by feature",
            "Engineering days the rules of the registry assume, to be replaced by one's own. A feature binds from its least share \
             of the workload's calls on.",
            format!(
                "{} SELECT workload_features.workload, workload_features.feature, workload_features.share, \
                 workload_features.effort_days, moving FROM workload_features \
                 JOIN under ON under.workload = workload_features.workload \
                 JOIN registry_features ON registry_features.feature = workload_features.feature \
                 WHERE binds AND under.segment <> 'locked_in' \
                 ORDER BY workload_features.effort_days DESC, workload_features.workload, workload_features.feature",
                self.under()
            ),
        ));
        ReportPart {
            title: "What moving would cost",
            lead: "The recorded calls of the workloads that can move, replayed at the alternatives their owners name. A range is \
                   what the assumptions leave open, not a probability.",
            sections,
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

    fn certainty(&self, session: &Session) -> Result<ReportPart, Error> {
        let options = GateOptions::usual(self.contract, self.on);
        Ok(ReportPart {
            title: "How sure this is",
            lead: "What the other side could question. A check that is false is a reason to prepare before one speaks.",
            sections: vec![gate(session, &options)?],
        })
    }
}
