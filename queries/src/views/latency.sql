-- How long calls take, by model.
--
-- One row per provider, model and operation, over successful calls that say how long they took. Percentiles are exact,
-- interpolated between the two calls nearest to them, to a tenth of a millisecond. Answers from the gateway's own cache
-- are left out.
--
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `operation`: kind of call
-- - `calls`: successful calls with a `latency_ms`
-- - `latency_p50_ms`: milliseconds half of them stay within
-- - `latency_p90_ms`: milliseconds nine of ten stay within
-- - `latency_p99_ms`: milliseconds 99 of 100 stay within
-- - `latency_max_ms`: milliseconds of the slowest
-- - `ttft_calls`: of these, calls that say when the first token came
-- - `ttft_p50_ms`: milliseconds to the first token that half of them stay within; null if none says
-- - `ttft_p99_ms`: milliseconds 99 of 100 stay within; null if none says
SELECT
    provider,
    model,
    operation,
    count(latency_ms) AS calls,
    (percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms))::decimal(20, 1) AS latency_p50_ms,
    (percentile_cont(0.9) WITHIN GROUP (ORDER BY latency_ms))::decimal(20, 1) AS latency_p90_ms,
    (percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms))::decimal(20, 1) AS latency_p99_ms,
    max(latency_ms) AS latency_max_ms,
    count(ttft_ms) AS ttft_calls,
    (percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms))::decimal(20, 1) AS ttft_p50_ms,
    (percentile_cont(0.99) WITHIN GROUP (ORDER BY ttft_ms))::decimal(20, 1) AS ttft_p99_ms
FROM calls
WHERE status = 'success' AND latency_ms IS NOT NULL AND gateway_cache_hit IS DISTINCT FROM true
GROUP BY provider, model, operation
