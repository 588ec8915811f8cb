-- Which providers each workload runs on: the evidence that it could run elsewhere.
--
-- One row per workload and provider.
--
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `rank`: 1 for the provider with the most calls of the workload
-- - `calls`: calls
-- - `failed_calls`: calls of status `error`
-- - `share`: part of the workload's calls, 0 to 1
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `first_day`: UTC day of the first call
-- - `last_day`: UTC day of the last call
-- - `last_success_day`: UTC day of the last call that succeeded; null if none did
WITH counted AS (
    SELECT
        workload,
        provider,
        count(*) AS calls,
        count(*) FILTER (WHERE status = 'error') AS failed_calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(event_date) AS first_day,
        max(event_date) AS last_day,
        max(event_date) FILTER (WHERE status = 'success') AS last_success_day
    FROM calls
    GROUP BY workload, provider
)
SELECT
    workload,
    provider,
    row_number() OVER (PARTITION BY workload ORDER BY calls DESC, provider) AS rank,
    calls,
    failed_calls,
    (calls::decimal(20, 6) / (sum(calls) OVER (PARTITION BY workload))::decimal(20, 0))::decimal(9, 6) AS share,
    unpriced_calls,
    list_cost,
    first_day,
    last_day,
    last_success_day
FROM counted
