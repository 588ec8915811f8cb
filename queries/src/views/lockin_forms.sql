-- The calls behind each form of lock-in, one row per feature and where it is used.
--
-- One row per form, feature, workload, provider and model. A call counts in each of its features, so rows do not add up.
-- For embeddings: the events do not say how many vectors a call made, so `calls` is the least number there can be, and
-- `input_tokens` is what would have to be embedded again, at `list_cost` if prices stayed as they were.
--
-- - `form`: `proprietary_api`, `fine_tuned_model`, `embeddings`, `hosted_state`, `commitment`
-- - `feature`: what the calls lean on
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `binds`: whether the feature ties the workload, see `workload_features`
-- - `calls`: calls that lean on it
-- - `input_tokens`: tokens of their input; calls without usage are left out
-- - `unpriced_calls`: of these, calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced ones; null if none is priced
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
        provider,
        model,
        unnest(features) AS feature,
        calls,
        input_tokens,
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
        provider,
        model,
        feature,
        max(workload_calls) AS workload_calls,
        sum(calls) AS calls,
        sum(input_tokens) AS input_tokens,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(first_day) AS first_day,
        max(last_day) AS last_day,
        min(sample_entry_id) AS sample_entry_id
    FROM leaning
    GROUP BY workload, provider, model, feature
),
shared AS (
    SELECT
        *,
        ((sum(calls) OVER (PARTITION BY workload, feature))::decimal(20, 6) / workload_calls::decimal(20, 0))
            ::decimal(9, 6) AS share
    FROM counted
)
SELECT
    form,
    shared.feature,
    workload,
    provider,
    model,
    coalesce(share >= share_min, false) AS binds,
    calls,
    input_tokens,
    unpriced_calls,
    list_cost,
    first_day,
    last_day,
    sample_entry_id
FROM shared
LEFT JOIN registry_features ON registry_features.feature = shared.feature
