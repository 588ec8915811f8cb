-- Which model underpins which workload, and how long it will be there.
--
-- One row per workload, provider and model. An end that nobody announced is no promise of a model that stays.
--
-- - `workload`: by the registry; null for calls of none
-- - `owner`: who answers for it; null if nobody is named
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `model_family`: its family by `models.toml`; null if no entry fits
-- - `has_open_weights`: whether the weights can be had; null if not known
-- - `calls`: calls
-- - `share`: part of the workload's calls, 0 to 1
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `first_day`: UTC day of the first call
-- - `last_day`: UTC day of the last call
-- - `used_days`: days from the first to the last of them, both included
-- - `ends_on`: the day the provider ends it, as announced; null if none is known
-- - `days_left`: days from the last day of the ledger to that; negative once it is over
WITH counted AS (
    SELECT
        workload,
        provider,
        model,
        model_family,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(event_date) AS first_day,
        max(event_date) AS last_day
    FROM calls
    GROUP BY workload, provider, model, model_family
),
today AS (
    SELECT max(event_date)::int AS day FROM usage
)
SELECT
    workload,
    workload_owner(workload) AS owner,
    provider,
    model,
    model_family,
    has_open_weights(provider, model) AS has_open_weights,
    calls,
    (calls::decimal(20, 6) / (sum(calls) OVER (PARTITION BY workload))::decimal(20, 0))::decimal(9, 6) AS share,
    unpriced_calls,
    list_cost,
    first_day,
    last_day,
    last_day::int - first_day::int + 1 AS used_days,
    model_ends_on(provider, model) AS ends_on,
    model_ends_on(provider, model)::int - day AS days_left
FROM counted
CROSS JOIN today
