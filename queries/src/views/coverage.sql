-- What is not known, and what it may be worth.
--
-- One row per gap and detail over the whole ledger, as in `coverage_by_day`. No row means nothing is missing there.
--
-- - `gap`: as in `coverage_by_day`
-- - `detail`: as in `coverage_by_day`
-- - `calls`: calls; for quarantined, messages
-- - `share`: part of all calls and quarantined messages, 0 to 1
-- - `input_tokens`: tokens of these calls, as far as they are known
-- - `output_tokens`: tokens of these calls, as far as they are known
-- - `list_cost`: US dollars at stake by our prices; null if none of these calls is priced
-- - `reported_cost`: US dollars at stake by what gateways and providers report; null if none of these calls has it
-- - `first_day`: UTC day of the first of these calls
-- - `last_day`: UTC day of the last of these calls
WITH received AS (
    SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM quarantine_open) AS messages
)
SELECT
    gap,
    detail,
    sum(calls) AS calls,
    (sum(calls)::decimal(20, 6) / max(messages)::decimal(20, 0))::decimal(9, 6) AS share,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(list_cost) AS list_cost,
    sum(reported_cost) AS reported_cost,
    min(day) AS first_day,
    max(day) AS last_day
FROM coverage_by_day CROSS JOIN received
GROUP BY gap, detail
