-- Traffic that no rule of the registry gives to a workload: the gap, by what names it.
--
-- One row per team, project, key, hint, provider and model. With no row, every call has a workload.
--
-- - `team`: the team that pays; null if the event does not say
-- - `project`: the project it belongs to; null if the event does not say
-- - `api_key_alias`: the key's alias; null if the event does not say
-- - `workload_hint`: what the sender calls the workload; null if it does not
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `calls`: calls
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `share`: part of all calls, 0 to 1
-- - `first_day`: UTC day of the first call
-- - `last_day`: UTC day of the last call
WITH total AS (
    SELECT count(*) AS calls FROM usage
),
resolved AS (
    SELECT
        *,
        coalesce(response_model, request_model) AS model,
        workload(team, project, api_key_alias, workload_hint, environment, operation, provider,
                 coalesce(response_model, request_model), tags) AS workload
    FROM usage
)
SELECT
    team,
    project,
    api_key_alias,
    workload_hint,
    provider,
    model,
    count(*) AS calls,
    count(*) - count(list_cost) AS unpriced_calls,
    sum(list_cost) AS list_cost,
    (count(*)::decimal(20, 6) / max(total.calls)::decimal(20, 0))::decimal(9, 6) AS share,
    min(event_date) AS first_day,
    max(event_date) AS last_day
FROM resolved
CROSS JOIN total
WHERE workload IS NULL
GROUP BY team, project, api_key_alias, workload_hint, provider, model
