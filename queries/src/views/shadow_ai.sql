-- Use that nobody sanctioned, found from the traffic.
--
-- One row per finding. A call may be in several, so rows of different findings do not add up.
--
-- - `finding`: `unknown_key` (no call of the key belongs to a workload), `not_approved` (a workload uses a provider or a
--   model that its list leaves out), `no_contract` (a provider that no contract covers on that day), `unknown_model` (no
--   entry of the registry fits the model)
-- - `name`: the key's alias, `provider/model`, the provider, `provider/model`
-- - `workload`: the workload, for `not_approved`; else null
-- - `calls`: calls
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `first_day`: UTC day of the first of these calls
-- - `last_day`: UTC day of the last of these calls
WITH grouped AS (
    SELECT
        api_key_alias,
        workload,
        contract,
        is_approved,
        provider,
        model,
        model_family,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(event_date) AS first_day,
        max(event_date) AS last_day
    FROM calls
    GROUP BY api_key_alias, workload, contract, is_approved, provider, model, model_family
),
keys AS (
    SELECT *, count(workload) OVER (PARTITION BY api_key_alias) AS with_workload FROM grouped
    WHERE api_key_alias IS NOT NULL
),
findings AS (
    SELECT 'unknown_key' AS finding, api_key_alias AS name, NULL AS workload, calls, unpriced_calls, list_cost, first_day,
           last_day
    FROM keys
    WHERE with_workload = 0
    UNION ALL
    SELECT 'not_approved', concat(coalesce(provider, '?'), '/', coalesce(model, '?')), workload, calls, unpriced_calls,
           list_cost, first_day, last_day
    FROM grouped
    WHERE NOT is_approved
    UNION ALL
    SELECT 'no_contract', coalesce(provider, '?'), NULL, calls, unpriced_calls, list_cost, first_day, last_day
    FROM grouped
    WHERE contract IS NULL
    UNION ALL
    SELECT 'unknown_model', concat(coalesce(provider, '?'), '/', coalesce(model, '?')), NULL, calls, unpriced_calls,
           list_cost, first_day, last_day
    FROM grouped
    WHERE model_family IS NULL
)
SELECT
    finding,
    name,
    workload,
    sum(calls) AS calls,
    sum(unpriced_calls) AS unpriced_calls,
    sum(list_cost) AS list_cost,
    min(first_day) AS first_day,
    max(last_day) AS last_day
FROM findings
GROUP BY finding, name, workload
