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
    -- Added up: what adds up is computed once, and this is read twice.
    SELECT
        workload,
        provider,
        model,
        status,
        error_type,
        operation,
        trace_id,
        started_at,
        count(*) AS calls,
        count(list_cost) AS priced_calls,
        sum(list_cost) AS list_cost,
        sum(reported_cost) AS reported_cost,
        min(event_date) AS first_day,
        max(event_date) AS last_day
    FROM calls
    WHERE status IN ('error', 'filtered', 'incomplete')
    GROUP BY workload, provider, model, status, error_type, operation, trace_id, started_at
),
succeeded AS (
    SELECT traces.trace_id, usage.operation, max(usage.started_at) AS last_success_at
    FROM (SELECT DISTINCT trace_id FROM failed) AS traces
    JOIN usage ON usage.trace_id = traces.trace_id
    WHERE usage.status = 'success'
    GROUP BY traces.trace_id, usage.operation
)
SELECT
    workload,
    provider,
    model,
    status,
    error_type,
    sum(calls) AS calls,
    coalesce(sum(calls) FILTER (WHERE last_success_at > started_at), 0) AS retried_calls,
    sum(calls) - sum(priced_calls) AS unpriced_calls,
    sum(list_cost) AS list_cost,
    sum(reported_cost) AS reported_cost,
    min(first_day) AS first_day,
    max(last_day) AS last_day
FROM failed
LEFT JOIN succeeded
    ON succeeded.trace_id = failed.trace_id AND (succeeded.operation IS NOT DISTINCT FROM failed.operation)
GROUP BY workload, provider, model, status, error_type
