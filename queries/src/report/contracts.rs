//! Contracts: what is due when, what was promised, which clauses are missing.

use daybook_ledger::Date;

use super::{Chart, Section, Tone};

/// The report, as of the day `on`.
pub fn contracts(on: Date) -> Vec<Section> {
    let today = format!("DATE '{on}'");
    vec![
        Section::new(
            "calendar",
            "Calendar",
            "`due` is what the day asks for: `decide` between gate and notice, `notice passed` behind it, `ended` behind the \
             end, else `open`. Days left are negative once a day is over.",
            format!(
                "SELECT contract, vendor, starts_on, ends_on, renewal, gate_on, \
                 gate_on::int - {today}::int AS days_to_gate, notice_on, notice_on::int - {today}::int AS days_to_notice, \
                 CASE WHEN ends_on < {today} THEN 'ended' WHEN notice_on < {today} THEN 'notice passed' \
                 WHEN gate_on <= {today} THEN 'decide' ELSE 'open' END AS due \
                 FROM registry_contracts ORDER BY gate_on NULLS LAST, contract"
            ),
        ),
        Section::new(
            "deadlines",
            "Deadlines",
            "Every day on which something is due, from the day asked on; `--ics FILE` writes all as a calendar.",
            format!(
                "SELECT due_on, due_on::int - {today}::int AS days_left, contract, vendor, deadline, name, usd, what \
                 FROM deadlines WHERE due_on >= {today} ORDER BY due_on, contract, deadline, name"
            ),
        ),
        Section::new(
            "commitments",
            "Commitments",
            "Spend promised, and spend of calls under the contract in the period, up to the last day of the ledger. Elapsed \
             and used are parts of 1; unpriced calls come on top of what is used.",
            "SELECT contract, commitment, committed, list_cost, reported_cost, unpriced_calls, remaining, used, elapsed, \
             starts_on, ends_on, shortfall FROM commitments ORDER BY ends_on, contract, commitment",
        ),
        Section::new(
            "burn_down",
            "Burn-down",
            "Spend at the end of each period if the last twelve weeks go on: low and high are the drift stopping or going on, \
             less and plus the noise of those weeks. Missing is what is then unused, over what is beyond; no projection: fewer \
             than four weeks of calls.",
            "SELECT contract, commitment, committed, used, unpriced_calls, projected_days, low, middle, high, shortfall_low, \
             shortfall_middle, shortfall_high, overage_low, overage_middle, overage_high, used_up_on, ends_on, shortfall \
             FROM burn_down ORDER BY ends_on, contract, commitment",
        ),
        Section::new(
            "spend",
            "Spend",
            "Calls by the contract that covers them; no name: calls that none covers.",
            "SELECT contract, provider, count(*) AS calls, count(*) - count(list_cost) AS unpriced_calls, \
             sum(list_cost) AS list_cost, sum(reported_cost) AS reported_cost, min(event_date) AS first_day, \
             max(event_date) AS last_day FROM calls GROUP BY contract, provider \
             ORDER BY list_cost DESC NULLS LAST, contract, provider",
        )
        .drawn(Chart::Bars { label: &["contract", "provider"], value: "list_cost", tone: Tone::Free }),
        Section::new(
            "clauses",
            "Clauses",
            "Missing is what was refused or is not listed.",
            "SELECT contract, string_agg(clause, ', ' ORDER BY clause) FILTER (WHERE held) AS held, \
             string_agg(clause, ', ' ORDER BY clause) FILTER (WHERE NOT held) AS missing \
             FROM registry_clauses GROUP BY contract ORDER BY contract",
        ),
    ]
}
