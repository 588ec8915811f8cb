//! What leaving would take, by the five forms of lock-in.

use super::super::document::ReportPart;
use super::super::{Chart, Section, Tone};
use crate::registry::{Form, Registry};

pub(super) fn leaving(registry: &Registry) -> ReportPart {
    let leans = |form| leans(registry, form);
    let (embeds, tuned, state) = (leans(Form::Embeddings), leans(Form::FineTunedModel), leans(Form::HostedState));
    let by_month = format!(
        "SELECT month, embedded_tokens, sum(embedded_tokens) OVER (ORDER BY month) AS embedded_so_far, fine_tuned_calls, \
         hosted_state_calls FROM (SELECT date_trunc('month', event_date)::date AS month, \
         sum(input_tokens::decimal(20, 0)) FILTER (WHERE {embeds}) AS embedded_tokens, \
         count(*) FILTER (WHERE {tuned}) AS fine_tuned_calls, count(*) FILTER (WHERE {state}) AS hosted_state_calls \
         FROM calls GROUP BY 1) ORDER BY month"
    );
    ReportPart {
        title: "What would leaving take?",
        lead: "Vectors of different vendors do not mix, tuned weights stay with the vendor, and so does hosted state. Each month \
               of use adds to what would have to be made again.",
        sections: vec![
            forms(registry),
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

/// The condition of a call that leans on a feature of the form.
fn leans(registry: &Registry, form: Form) -> String {
    let rules = registry.features.iter().filter(|rule| rule.form == form);
    let names: Vec<_> = rules.map(|rule| format!("'{}'", rule.feature.as_str())).collect();
    if names.is_empty() { "false".into() } else { format!("array_has_any(features, make_array({}))", names.join(", ")) }
}

/// Calls behind each of the five forms, in one scan.
fn forms(registry: &Registry) -> Section {
    let form = |form: &Form| format!("CASE WHEN {} THEN '{}' END", leans(registry, *form), form.as_str());
    let named = |(at, form): (usize, &Form)| format!("({at}, '{}', '{}')", form.as_str(), leaving_takes(*form));
    let sql = format!(
        "WITH whole AS (SELECT sum(list_cost) AS list_cost FROM usage), \
         leaning AS (SELECT unnest(make_array({})) AS form, workload, list_cost FROM calls), \
         summed AS (SELECT form, count(*) AS calls, count(DISTINCT workload) AS workloads, sum(list_cost) AS list_cost \
         FROM leaning WHERE form IS NOT NULL GROUP BY form), \
         named(number, form, leaving_takes) AS (VALUES {}) \
         SELECT named.form, coalesce(workloads, 0) AS workloads, coalesce(calls, 0) AS calls, \
         CASE WHEN calls IS NULL AND whole.list_cost IS NOT NULL THEN 0::decimal(38, 12) ELSE summed.list_cost END AS list_cost, \
         (CASE WHEN calls IS NULL AND whole.list_cost IS NOT NULL THEN 0::decimal(38, 12) ELSE summed.list_cost END \
         / nullif(whole.list_cost, 0::decimal(38, 12)))::decimal(9, 6) AS share, leaving_takes \
         FROM named LEFT JOIN summed ON summed.form = named.form CROSS JOIN whole ORDER BY number",
        Form::ALL.iter().map(form).collect::<Vec<_>>().join(", "),
        (1..).zip(Form::ALL).map(named).collect::<Vec<_>>().join(", "),
    );
    Section::new(
        "forms",
        "The five forms of lock-in",
        "Calls that lean on each form, and their part of all spend. A call may lean on several. The commitments that bind whatever \
         the calls do are under the contracts below.",
        sql,
    )
    .drawn(Chart::Bars { label: &["form"], value: "share", tone: Tone::Firm })
}

fn leaving_takes(form: Form) -> &'static str {
    match form {
        Form::ProprietaryApi => "calls written again in the shape of another vendor",
        Form::FineTunedModel => "training again elsewhere",
        Form::Embeddings => "every text embedded again",
        Form::HostedState => "files, vectors and conversations fetched and kept elsewhere",
        Form::Commitment => "capacity that is paid whether used or not",
    }
}
