-- What each workload leans on, and whether by the rules of `features.toml` that ties it.
--
-- One row per workload and feature. A call counts in each of its features, so rows do not add up.
--
-- - `workload`: by the registry; null for calls of none
-- - `feature`: what the calls lean on
-- - `form`: form of the tie; null if no rule is for the feature
-- - `segment`: how firmly the rule ties: `portable`, `movable`, `locked_in`
-- - `firmness`: the same as a number, 0 to 2
-- - `calls`: calls that lean on it
-- - `share`: part of the workload's calls, 0 to 1
-- - `share_min`: the part from which the rule counts
-- - `binds`: whether the share reaches it, so that the rule counts
-- - `unpriced_calls`: of these, calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced ones; null if none is priced
-- - `effort_days`: engineering days to move the workload off it, an assumption of the rule
-- - `first_day`: UTC day of the first such call
-- - `last_day`: UTC day of the last such call
-- - `sample_entry_id`: one of these calls
WITH weighed AS (
    SELECT *, sum(calls) OVER (PARTITION BY workload) AS workload_calls
    FROM feature_combinations
),
leaning AS (
    SELECT
        workload,
        workload_calls,
        unnest(features) AS feature,
        calls,
        unpriced_calls,
        list_cost,
        first_day,
        last_day,
        sample_entry_id
    FROM weighed
),
counted AS (
    SELECT
        workload,
        feature,
        sum(calls) AS calls,
        (sum(calls)::decimal(20, 6) / max(workload_calls)::decimal(20, 0))::decimal(9, 6) AS share,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(first_day) AS first_day,
        max(last_day) AS last_day,
        min(sample_entry_id) AS sample_entry_id
    FROM leaning
    GROUP BY workload, feature
)
SELECT
    workload,
    counted.feature,
    form,
    segment,
    firmness,
    calls,
    share,
    share_min,
    coalesce(share >= share_min, false) AS binds,
    unpriced_calls,
    list_cost,
    effort_days,
    first_day,
    last_day,
    sample_entry_id
FROM counted
LEFT JOIN registry_features ON registry_features.feature = counted.feature
