//! What could be spent less, by caching, in batches, on cheaper models, without failures.

use super::Section;

/// The report.
pub fn savings() -> Vec<Section> {
    vec![
        Section::new(
            "caching",
            "Prompt caches",
            "Saved is exact. Missed assumes that calls which read nothing could have read the part of their input that other calls \
             of the workload and model read (`hit_read_share`); `missed_max` that all of it.",
            "SELECT * FROM cache_savings ORDER BY missed DESC NULLS LAST, missed_max DESC NULLS LAST, workload, provider, model",
        ),
        Section::new(
            "batch",
            "Batches",
            "Eligible is what was not streamed, so that nobody need have waited for it: an upper bound, which the owner of the \
             workload can judge.",
            "SELECT * FROM batch_savings ORDER BY missed_max DESC NULLS LAST, workload, provider, model",
        ),
        Section::new(
            "routing",
            "Routing",
            "Calls that could have gone to a model on which at least 20 calls of the same kind of the same workload succeeded, for \
             less, at the rates of the last day. No test of quality.",
            "SELECT * FROM routing ORDER BY saving DESC NULLS LAST, workload, calls DESC, provider, model",
        ),
        Section::new(
            "failures",
            "Failures and retries",
            "Calls that failed, were refused or cut short, and which were tried again.",
            "SELECT * FROM wasted_spend ORDER BY list_cost DESC NULLS LAST, workload, provider, model, status, error_type",
        ),
    ]
}
