//! The portability audit, once a year: what has become entrenched, whether the ways out still work, and what leaving would
//! take.

use daybook_ledger::Date;

use super::document::{Report, ReportPart};
use super::{Chart, Section, Tone, contracts};
use crate::registry::{Form, Registry};

/// The report, counted from the day `on`.
pub fn audit(registry: &Registry, on: Date) -> Report {
    Report {
        title: "Portability audit".into(),
        lead: "Which part of the AI workload could run elsewhere, whether it still can, and what holds the rest. Segments and \
               efforts follow the rules of the registry; options are what calls on a second provider have shown."
            .into(),
        on: Some(on),
        parts: vec![
            entrenched(),
            abstraction(),
            fallback(),
            leaving(registry),
            succession(),
            governance(),
            terms(on),
            unknown(),
        ],
    }
}

fn entrenched() -> ReportPart {
    ReportPart {
        title: "Which workloads have become entrenched?",
        lead: "A workload has the segment of the firmest feature that binds it. Options decay without a decision: what binds \
               now and did not at first is listed with its day.",
        sections: vec![segment_figures(), workloads(), drift()],
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
    Section::new(
        "position",
        "Position",
        "Spend at list price, and the parts of it by what calls lean on. Calls of no workload belong to no segment, yet their \
         dollars are in one of the three.",
        format!(
            "SELECT sum(list_cost) AS list_cost, {}, \
             count(*) FILTER (WHERE segment = 'locked_in') AS locked_in_workloads, \
             count(*) FILTER (WHERE segment <> 'locked_in') AS movable_workloads, \
             count(*) FILTER (WHERE segment <> 'locked_in' AND option = 'fresh') AS with_a_fresh_option, \
             count(*) FILTER (WHERE NOT agrees) AS wrongly_declared FROM lockin",
            shares.join(", ")
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

fn drift() -> Section {
    Section::new(
        "drift",
        "What became firmer",
        "Features that bind a workload and that its first calls did not lean on, from the day they appeared. A call that leans \
         on several counts in each.",
        "SELECT workload_features.workload, owner, feature, workload_features.segment AS segment, \
         workload_features.first_day AS since, lockin.first_day AS workload_since, workload_features.calls, \
         workload_features.list_cost FROM workload_features \
         JOIN lockin ON lockin.workload = workload_features.workload \
         WHERE binds AND firmness > 0 AND workload_features.first_day > lockin.first_day \
         ORDER BY workload_features.first_day DESC, workload_features.workload, feature",
    )
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

fn fallback() -> ReportPart {
    let weights = "split_part(fallback, '/', 1), substr(fallback, strpos(fallback, '/') + 1)";
    let sql = format!(
        "SELECT registry_workloads.workload, fallback, has_open_weights({weights}) AS open_weights, \
         coalesce(calls, 0) AS calls, list_cost, last_day, CASE WHEN fallback IS NULL THEN 'none_named' \
         WHEN last_day IS NULL THEN 'never_run' WHEN (SELECT max(event_date)::int FROM usage) - last_day::int \
         <= option_window_days THEN 'current' ELSE 'stale' END AS standing FROM registry_workloads \
         LEFT JOIN model_succession ON model_succession.workload = registry_workloads.workload \
         AND provider || '/' || model = fallback ORDER BY registry_workloads.workload"
    );
    ReportPart {
        title: "Is the fallback current?",
        lead: "A fallback that has not run lately is a plan. Open weights are the one that no vendor can withdraw.",
        sections: vec![Section::new(
            "fallbacks",
            "Fallbacks",
            "The fallback each workload names, and its calls on it. `standing` is `current` within the workload's window for \
             options, else `stale`, `never run` or `none named`.",
            sql,
        )],
    }
}

fn leaving(registry: &Registry) -> ReportPart {
    let leans = |form: Form| {
        let rules = registry.features.iter().filter(|rule| rule.form == form);
        let names: Vec<_> = rules.map(|rule| format!("'{}'", rule.feature.as_str())).collect();
        if names.is_empty() {
            "false".into()
        } else {
            format!("array_has_any(features, make_array({}))", names.join(", "))
        }
    };
    let (embeds, tuned, state) = (leans(Form::Embeddings), leans(Form::FineTunedModel), leans(Form::HostedState));
    let by_month = format!(
        "SELECT month, embedded_tokens, sum(embedded_tokens) OVER (ORDER BY month) AS embedded_so_far, fine_tuned_calls, \
         hosted_state_calls FROM (SELECT date_trunc('month', event_date)::date AS month, \
         sum(input_tokens::decimal(20, 0)) FILTER (WHERE {embeds}) AS embedded_tokens, \
         count(*) FILTER (WHERE {tuned}) AS fine_tuned_calls, count(*) FILTER (WHERE {state}) AS hosted_state_calls \
         FROM calls GROUP BY 1) ORDER BY month"
    );
    ReportPart {
        title: "Has leaving become dearer?",
        lead: "Vectors of different vendors do not mix, tuned weights stay with the vendor, and so does hosted state. Each month \
               of use adds to what would have to be made again.",
        sections: vec![
            Section::new(
                "growth",
                "Growth by month",
                "Tokens embedded with proprietary models, in the month and since the ledger began; calls of tuned models, and \
                 calls that lean on state kept by the vendor. Calls without usage have no tokens.",
                by_month,
            )
            .drawn(Chart::Lines { by: &[], day: "month", lines: &["embedded_so_far"], band: None }),
            Section::new(
                "ties",
                "What would have to be made again",
                "For embeddings, `input tokens` would be embedded again; `list cost` is what that took at the prices of then.",
                "SELECT form, feature, workload, provider, model, calls, input_tokens, list_cost, first_day FROM lockin_forms \
                 WHERE form IN ('embeddings', 'fine_tuned_model', 'hosted_state') \
                 ORDER BY form, list_cost DESC NULLS LAST, feature, workload, provider, model",
            ),
        ],
    }
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

fn governance() -> ReportPart {
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
        ],
    }
}

fn terms(on: Date) -> ReportPart {
    let wanted = ["calendar", "commitments", "clauses"];
    ReportPart {
        title: "What do the contracts allow, and by when?",
        lead: "Where lock-in rose, the next renewal is the time to ask for more: the clauses a contract lacks.",
        sections: contracts(on).into_iter().filter(|section| wanted.contains(&section.name)).collect(),
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
