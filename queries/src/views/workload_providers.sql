-- Which providers each workload runs on or was tested on: what shows that it could run elsewhere.
--
-- One row per workload and provider, also for a provider where only tests ran. Tests are evidence of the kind
-- `portability_test` ([evidence.md](evidence.md)); one shows that the workload runs there unless it says that no case
-- passed.
--
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `rank`: 1 for the provider with the most calls of the workload
-- - `calls`: calls
-- - `failed_calls`: calls of status `error`
-- - `share`: part of the workload's calls, 0 to 1; null if it has none
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `first_day`: UTC day of the first call
-- - `last_day`: UTC day of the last call
-- - `last_success_day`: UTC day of the last call that succeeded; null if none did
-- - `tests`: tests recorded
-- - `last_test_day`: UTC day of the last test that shows it runs there; null if none does
-- - `last_test_runs`: cases of the last test; null if not said
-- - `last_test_passed`: cases of it that passed; null if not said
WITH places AS (
    SELECT
        workload,
        provider,
        count(*) AS calls,
        count(*) FILTER (WHERE status = 'error') AS failed_calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(event_date) AS first_day,
        max(event_date) AS last_day,
        max(event_date) FILTER (WHERE status = 'success') AS last_success_day,
        0 AS tests,
        NULL::date AS last_test_day,
        NULL AS last_test_runs,
        NULL AS last_test_passed
    FROM calls
    GROUP BY workload, provider
    UNION ALL
    SELECT
        workload,
        provider,
        0,
        0,
        0,
        NULL,
        NULL,
        NULL,
        NULL,
        count(*),
        max(event_date) FILTER (WHERE coalesce(passed > 0, true)),
        first_value(runs ORDER BY event_date DESC, recorded_at DESC, entry_id),
        first_value(passed ORDER BY event_date DESC, recorded_at DESC, entry_id)
    FROM evidence
    WHERE kind = 'portability_test'
    GROUP BY workload, provider
),
counted AS (
    SELECT
        workload,
        provider,
        sum(calls) AS calls,
        sum(failed_calls) AS failed_calls,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost)::decimal(38, 12) AS list_cost,
        min(first_day) AS first_day,
        max(last_day) AS last_day,
        max(last_success_day) AS last_success_day,
        sum(tests) AS tests,
        max(last_test_day) AS last_test_day,
        max(last_test_runs) AS last_test_runs,
        max(last_test_passed) AS last_test_passed
    FROM places
    GROUP BY workload, provider
)
SELECT
    workload,
    provider,
    row_number() OVER (PARTITION BY workload ORDER BY calls DESC, provider) AS rank,
    calls,
    failed_calls,
    (calls::decimal(20, 6) / nullif(sum(calls) OVER (PARTITION BY workload), 0)::decimal(20, 0))::decimal(9, 6) AS share,
    unpriced_calls,
    list_cost,
    first_day,
    last_day,
    last_success_day,
    tests,
    last_test_day,
    last_test_runs,
    last_test_passed
FROM counted
