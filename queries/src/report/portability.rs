//! How portable each workload was month by month, and which change made it less so.

use super::{Section, quoted};
use crate::{Error, Session};

/// The report over every workload, or over `workload` alone.
///
/// # Errors
/// [`Error::UnknownWorkload`].
pub fn portability(session: &Session, workload: Option<&str>) -> Result<Vec<Section>, Error> {
    if let Some(workload) = workload {
        session.registry().need_workload(workload)?;
    }
    let only = workload.map(|name| format!(" AND workload = {}", quoted(name))).unwrap_or_default();
    Ok(vec![
        Section::new(
            "raised",
            "What made workloads less portable",
            "Features that calls began to lean on after the workload's first day and that made it firmer than all before \
                   them: when, how many calls, who. The sample is one of the first day's calls.",
            format!(
                "SELECT workload, owner, first_day, feature, segment_before, segment, first_team, first_key, first_model, calls, \
                 unpriced_calls, list_cost, last_day, effort_days, encode(first_entry_id, 'hex') AS sample \
                 FROM portability_changes WHERE raised{only} ORDER BY first_day DESC, workload, feature"
            ),
        ),
        Section::new(
            "months",
            "Month by month",
            "The segment by the features that bind in the month, and the option on its last day. Change is against the \
                   month with calls before.",
            format!(
                "SELECT workload, month, segment, change, because, option, second_provider_day, provider, provider_share, \
                 calls, unpriced_calls, list_cost FROM portability_by_month WHERE true{only} ORDER BY workload, month"
            ),
        ),
        Section::new(
            "ties",
            "Every tie",
            "All features that bind in a month and take effort to move or lock in, also those that were there from the \
                   first day or changed nothing.",
            format!(
                "SELECT workload, feature, segment, raised, first_day, binds_from, first_team, first_key, first_model, calls, \
                 list_cost, last_day, effort_days FROM portability_changes WHERE true{only} \
                 ORDER BY workload, first_day, feature"
            ),
        ),
    ])
}
