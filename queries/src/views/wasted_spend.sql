-- Calls that cost money and gave nothing usable: failed, refused, cut short; and which of them were tried again.
--
-- One row per workload, provider, model, status and error. A call was tried again if the same trace has a later call of
-- the same operation that succeeded.
--
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `status`: `error`, `filtered` or `incomplete`
-- - `error_type`: what went wrong; null if the event does not say
-- - `calls`: calls
-- - `retried_calls`: of these, calls that were tried again
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced. A provider may bill less: see
--   `reported_cost`
-- - `reported_cost`: US dollars by what gateways and providers report; null if none of the calls has it
-- - `first_day`: UTC day of the first of these calls
-- - `last_day`: UTC day of the last of these calls
WITH failed AS (
    SELECT * FROM calls WHERE status IN ('error', 'filtered', 'incomplete')
),
succeeded AS (
    SELECT trace_id, operation, max(started_at) AS last_success_at
    FROM usage
    WHERE status = 'success' AND trace_id IN (SELECT trace_id FROM failed WHERE trace_id IS NOT NULL)
    GROUP BY trace_id, operation
)
SELECT
    workload,
    provider,
    model,
    status,
    error_type,
    count(*) AS calls,
    count(*) FILTER (WHERE last_success_at > started_at) AS retried_calls,
    count(*) - count(list_cost) AS unpriced_calls,
    sum(list_cost) AS list_cost,
    sum(reported_cost) AS reported_cost,
    min(event_date) AS first_day,
    max(event_date) AS last_day
FROM failed
LEFT JOIN succeeded
    ON succeeded.trace_id = failed.trace_id AND (succeeded.operation IS NOT DISTINCT FROM failed.operation)
GROUP BY workload, provider, model, status, error_type
