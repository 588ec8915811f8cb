//! How ready one is to leave each vendor: what there is, whether the way out was walked, what is missing, by when.

use daybook_ledger::Date;

use super::document::ReportPart;
use super::{Section, quoted};
use crate::{Error, Session};

/// The report over every contract, or over `contract` alone, as of the day `on`.
///
/// # Errors
/// [`Error::UnknownContract`].
pub fn exit_readiness(session: &Session, contract: Option<&str>, on: Date) -> Result<Vec<Section>, Error> {
    if let Some(contract) = contract {
        session.registry().need_contract(contract)?;
    }
    Ok(exits(contract, on))
}

/// The same for a contract that is known.
pub(super) fn exits(contract: Option<&str>, on: Date) -> Vec<Section> {
    let only = contract.map(|name| format!(" AND contract = {}", quoted(name))).unwrap_or_default();
    let today = format!("DATE '{on}'");
    vec![
        Section::new(
            "readiness",
            "Readiness",
            "The time the whole export takes by the last rehearsal, against the days the clause grants. Not known: never \
             rehearsed, no clause, or no days in it. The last export counts whether it was by the clause or not.",
            format!(
                "SELECT contract, vendor, has_clause, clause_days, cost_max_usd, rehearsed_on, \
                 {today}::int - rehearsed_on::int AS days_since, predicted_s, predicted_rows, predicted_bytes, fits_clause, \
                 exported_on, exported_rows, exported_bytes, exported_in_time FROM exit_readiness WHERE true{only} \
                 ORDER BY contract"
            ),
        ),
        Section::new(
            "missing",
            "What is missing",
            "If nothing is listed, nothing is known to be missing. A share is of the contract's calls.",
            format!(
                "SELECT contract, gap, number, share, what FROM exit_gaps WHERE true{only} ORDER BY contract, position"
            ),
        ),
        Section::new(
            "data",
            "What there is, and where",
            "Bodies are what was said. Lines of bills count where the contract covers their provider and model.",
            data(&only),
        ),
        Section::new(
            "exits",
            "Exports and rehearsals",
            "What was recorded, the newest first; `daybook gate` goes by the same rows.",
            format!(
                "SELECT contract, day, kind, rows, bytes, took_s, predicted_s, days_taken, days_granted, in_time, note, \
                 artifact_sha256, recorded_by FROM exit_evidence WHERE true{only} \
                 ORDER BY contract, day DESC, recorded_at DESC, kind"
            ),
        ),
        Section::new(
            "dates",
            "Dates",
            "Days left are negative once a day is over.",
            format!(
                "SELECT contract, what, due_on AS day, due_on::int - {today}::int AS days_left FROM deadlines \
                 WHERE (deadline IN ('gate', 'notice', 'renewal', 'transition', 'retrieval') \
                 OR name IN ('data_portability', 'exit_help')){only} ORDER BY contract, due_on, deadline"
            ),
        ),
    ]
}

/// Whether one can leave, and what is missing: of [`exits`] what other reports show.
pub(super) fn ways_out(contract: Option<&str>, on: Date) -> ReportPart {
    let wanted = ["readiness", "missing"];
    ReportPart {
        title: "Was the way out walked?",
        lead: "A right to an export that nobody has tried is a plan.",
        sections: exits(contract, on).into_iter().filter(|section| wanted.contains(&section.name)).collect(),
    }
}

/// One row for each thing there is some of; one scan counts all but the bills.
fn data(only: &str) -> String {
    format!(
        "WITH things(position, data, place) AS (VALUES (1, 'calls', 'usage'), (2, 'bodies', 'content'), \
         (3, 'bodies not kept', 'digests in usage'), (4, 'fine-tuned models', 'with the vendor')), \
         held AS (SELECT contract, position, data, place, CASE data WHEN 'calls' THEN calls WHEN 'bodies' THEN bodies \
         WHEN 'bodies not kept' THEN bodies_missing ELSE fine_tuned_models END AS number, \
         CASE data WHEN 'calls' THEN first_day END AS first_day, CASE data WHEN 'calls' THEN last_day END AS last_day \
         FROM exit_readiness CROSS JOIN things), \
         bills AS (SELECT contract(provider, model, day) AS contract, 5 AS position, 'lines of bills' AS data, \
         'billing' AS place, count(*) AS number, min(day) AS first_day, max(day) AS last_day FROM billing_current \
         GROUP BY 1) \
         SELECT contract, data, place, number, first_day, last_day FROM (SELECT * FROM held UNION ALL SELECT * FROM bills) \
         WHERE number > 0 AND contract IS NOT NULL{only} ORDER BY contract, position"
    )
}
