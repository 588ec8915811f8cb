//! The portability audit, once a year: what has become entrenched, whether the ways out still work, and what leaving would
//! take.

mod leaving;
mod year;

use daybook_ledger::Date;

use super::document::{Report, ReportPart};
use super::exit_readiness::ways_out;
use super::{Chart, Section, Tone};
use crate::registry::Registry;
use leaving::leaving;
use year::Year;

/// The report, about the year that ends on the day `on`.
pub fn audit(registry: &Registry, on: Date) -> Report {
    let year = Year { on };
    Report {
        title: "Portability audit".into(),
        lead: "Which part of the AI workload could run elsewhere, whether it still can, and what holds the rest. Segments and \
               efforts follow the rules of the registry; options are what calls on a second provider have shown."
            .into(),
        on: Some(on),
        parts: vec![
            year.numbers(),
            entrenched(),
            year.changes(),
            abstraction(),
            leaving(registry),
            ways_out(None, on),
            succession(),
            year.governance(),
            year.to_come(),
            unknown(),
        ],
    }
}

fn entrenched() -> ReportPart {
    ReportPart {
        title: "Which workloads have become entrenched?",
        lead: "A workload has the segment of the firmest feature that binds it.",
        sections: vec![segment_figures(), workloads()],
    }
}

/// `cost` of the view `lockin` as a part of all priced spend; no call is no spend.
fn share_of_spend(segment: &str) -> String {
    format!(
        "CASE WHEN sum({segment}_calls) = 0 AND sum(list_cost) IS NOT NULL THEN 0::decimal(9, 6) ELSE \
         (sum({segment}_cost) / nullif(sum(list_cost), 0::decimal(38, 12)))::decimal(9, 6) END AS {segment}_share"
    )
}

fn segment_figures() -> Section {
    let shares: Vec<_> = ["portable", "movable", "locked_in"].map(share_of_spend).into();
    // Without calls a workload has no segment, and none is no number of them.
    let workloads = |condition: &str, name: &str| {
        format!("CASE WHEN count(segment) > 0 THEN count(*) FILTER (WHERE {condition}) END AS {name}")
    };
    Section::new(
        "position",
        "Position",
        "Spend at list price, and the parts of it by what calls lean on. Calls of no workload belong to no segment, yet their \
         dollars are in one of the three.",
        format!(
            "SELECT sum(list_cost) AS list_cost, {}, {}, {}, {}, \
             CASE WHEN count(agrees) > 0 THEN count(*) FILTER (WHERE NOT agrees) END AS wrongly_declared FROM lockin",
            shares.join(", "),
            workloads("segment = 'locked_in'", "locked_in_workloads"),
            workloads("segment <> 'locked_in'", "movable_workloads"),
            workloads("segment <> 'locked_in' AND option = 'fresh'", "with_a_fresh_option"),
        ),
    )
    .drawn(Chart::Figures)
}

fn workloads() -> Section {
    // Without such a call, a segment's dollars are known: there are none.
    let of = |segment: &str| {
        format!(
            "CASE WHEN {segment}_calls = 0 AND list_cost IS NOT NULL THEN 0::decimal(38, 12) ELSE {segment}_cost END \
             AS {segment}_cost"
        )
    };
    Section::new(
        "workloads",
        "Workloads",
        "What traffic shows beside what owners declare. Effort is the sum of the rules' assumptions, in engineering days.",
        format!(
            "SELECT workload, owner, declared_segment, segment, because, list_cost, {}, {}, {}, effort_days FROM lockin \
             ORDER BY list_cost DESC NULLS LAST, workload",
            of("portable"),
            of("movable"),
            of("locked_in"),
        ),
    )
    .drawn(Chart::Stack { label: &["workload"], total: "list_cost", parts: Chart::SEGMENTS })
}

fn abstraction() -> ReportPart {
    ReportPart {
        title: "Does the abstraction layer still hold?",
        lead: "Behind a neutral gateway the model is configuration. Calls that go around it, and workloads that have only ever \
               seen one provider, are where it has worn thin.",
        sections: vec![
            Section::new(
                "gateways",
                "Calls by gateway",
                "By the gateway whose log reported the call; none: the call was reported by something else, so it is not shown \
                 to have gone through a gateway.",
                "SELECT gateway, count(DISTINCT provider) AS providers, count(DISTINCT model) AS models, count(*) AS calls, \
                 (count(*)::decimal(20, 6) / nullif(sum(count(*)) OVER (), 0)::decimal(20, 0))::decimal(9, 6) AS share, \
                 sum(list_cost) AS list_cost FROM (SELECT gateway, provider, coalesce(response_model, request_model) AS model, \
                 list_cost FROM usage) GROUP BY gateway ORDER BY calls DESC, gateway",
            )
            .drawn(Chart::Bars { label: &["gateway"], value: "share", tone: Tone::Free }),
            Section::new(
                "options",
                "Options",
                "An option is fresh if a call succeeded on a second provider within the workload's window, counted back from the \
                 last day of the ledger.",
                "SELECT lockin.workload, segment, option, provider, provider_share, second_provider, shown_by, fresh_until, \
                 option_window_days, array_to_string(alternatives, ', ') AS alternatives FROM lockin \
                 LEFT JOIN registry_workloads ON registry_workloads.workload = lockin.workload \
                 WHERE lockin.workload IS NOT NULL ORDER BY list_cost DESC NULLS LAST, lockin.workload",
            ),
            fallbacks(),
            Section::new(
                "evidence",
                "Tests and rehearsals",
                "What was done beside the calls and recorded: tests of an alternative, exports, rehearsals of the way out, earlier \
                 audits.",
                "SELECT kind, event_date AS day, workload, contract, provider, model, runs, passed, note, recorded_by FROM evidence \
                 WHERE kind <> 'erasure' ORDER BY event_date DESC, recorded_at DESC, entry_id",
            ),
            Section::new(
                "concentration",
                "Concentration by provider",
                "Shares of priced spend. The index `hhi` is 10,000 for one provider; below 1,500 counts as spread.",
                "SELECT name AS provider, calls, list_cost, share, hhi FROM concentration WHERE dimension = 'provider' ORDER BY rank",
            )
            .drawn(Chart::Bars { label: &["provider"], value: "share", tone: Tone::Free }),
        ],
    }
}

fn fallbacks() -> Section {
    let weights = "split_part(fallback, '/', 1), substr(fallback, strpos(fallback, '/') + 1)";
    // A call of an undated name is answered under a dated one.
    let undated = r"regexp_replace(model, '(-\d{4}-\d{2}-\d{2}|[-@]\d{8})$', '')";
    let sql = format!(
        "WITH ran AS (SELECT registry_workloads.workload, sum(calls) AS calls, sum(list_cost) AS list_cost, max(last_day) AS last_day \
         FROM registry_workloads JOIN model_succession ON model_succession.workload = registry_workloads.workload \
         AND fallback IN (provider || '/' || model, provider || '/' || {undated}) GROUP BY registry_workloads.workload) \
         SELECT registry_workloads.workload, fallback, has_open_weights({weights}) AS open_weights, \
         coalesce(calls, 0) AS calls, list_cost, last_day, CASE WHEN fallback IS NULL THEN 'none_named' \
         WHEN last_day IS NULL THEN 'never_run' WHEN (SELECT max(event_date)::int FROM usage) - last_day::int \
         <= option_window_days THEN 'current' ELSE 'stale' END AS standing FROM registry_workloads \
         LEFT JOIN ran ON ran.workload = registry_workloads.workload ORDER BY registry_workloads.workload"
    );
    Section::new(
        "fallbacks",
        "Fallbacks",
        "The fallback each workload names, and its calls on it: one that has not run lately is a plan. `standing` is `current` \
         within the workload's window for options, else `stale`, `never run` or `none named`. Open weights are what no vendor can \
         withdraw.",
        sql,
    )
}

fn succession() -> ReportPart {
    ReportPart {
        title: "Which models carry which work, and for how long?",
        lead: "An end that nobody announced is no promise of a model that stays.",
        sections: vec![Section::new(
            "succession",
            "Models by workload",
            "`days left` runs from the last day of the ledger to the announced end. Sorted by the nearest end.",
            "SELECT workload, provider, model, has_open_weights AS open_weights, share, list_cost, used_days, ends_on, days_left \
             FROM model_succession WHERE workload IS NOT NULL \
             ORDER BY ends_on NULLS LAST, list_cost DESC NULLS LAST, workload, provider, model",
        )],
    }
}

fn unknown() -> ReportPart {
    ReportPart {
        title: "What is not known?",
        lead: "Every share above leaves these calls out.",
        sections: vec![Section::new(
            "coverage",
            "Coverage",
            "Gaps in calls and in dollars as far as they are known; a call may be in several.",
            "SELECT gap, detail, calls, share, list_cost, reported_cost, first_day, last_day FROM coverage \
             ORDER BY calls DESC, gap, detail",
        )],
    }
}
