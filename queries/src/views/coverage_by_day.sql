-- What is not known, day by day.
--
-- One row per UTC day, gap and detail. A call may fall into several gaps, so rows of different gaps do not add up.
-- A filter on `day` reads only the files of those days.
--
-- - `day`: UTC day of the call; for quarantined messages the day of the message
-- - `gap`: `unassigned` (no rule of the registry gives the call to a workload; only if the registry has workloads),
--   `unpriced` (no `list_cost`), `usage_absent` (nobody counted tokens), `usage_estimated` (an estimate, not a
--   count), `incomplete` (cut short, or its end is not known yet), `unattributed` (no team), `usage_check` (the counts
--   contradict one another), `quarantined` (messages that could not become entries yet)
-- - `detail`: the `price_status`, the `status`, the `usage_check`, the `error_code`; for `unattributed`, what else names
--   an owner; for `unassigned`, the provider
-- - `calls`: calls; for quarantined, messages
-- - `input_tokens`: tokens of these calls, as far as they are known
-- - `output_tokens`: tokens of these calls, as far as they are known
-- - `list_cost`: US dollars at stake by our prices; null if none of these calls is priced
-- - `reported_cost`: US dollars at stake by what gateways and providers report; null if none of these calls has it
WITH gaps AS (
    SELECT event_date, 'unassigned' AS gap, provider AS detail, input_tokens, output_tokens, list_cost, reported_cost,
           CASE WHEN reported_cost IS NOT NULL THEN 'USD' END AS reported_currency
    FROM calls
    WHERE workload IS NULL AND EXISTS (SELECT 1 FROM registry_workloads)
    UNION ALL
    SELECT event_date, 'unpriced', price_status, input_tokens, output_tokens, list_cost, reported_cost,
           reported_currency
    FROM usage
    WHERE list_cost IS NULL
    UNION ALL
    SELECT event_date, 'usage_' || usage_source, NULL, input_tokens, output_tokens, list_cost, reported_cost,
           reported_currency
    FROM usage
    WHERE usage_source IN ('absent', 'estimated')
    UNION ALL
    SELECT event_date, 'incomplete', status, input_tokens, output_tokens, list_cost, reported_cost, reported_currency
    FROM usage
    WHERE NOT complete
    UNION ALL
    SELECT event_date, 'unattributed',
           CASE WHEN project IS NOT NULL THEN 'project only'
                WHEN api_key_alias IS NOT NULL THEN 'key only'
                ELSE 'no team, project or key' END,
           input_tokens, output_tokens, list_cost, reported_cost, reported_currency
    FROM usage
    WHERE team IS NULL
    UNION ALL
    SELECT event_date, 'usage_check', usage_check, input_tokens, output_tokens, list_cost, reported_cost,
           reported_currency
    FROM usage
    WHERE usage_check IS NOT NULL
    UNION ALL
    SELECT event_date, 'quarantined', error_code, NULL, NULL, NULL, NULL, NULL
    FROM quarantine_open
)
SELECT
    event_date AS day,
    gap,
    detail,
    count(*) AS calls,
    sum(input_tokens::decimal(20, 0)) AS input_tokens,
    sum(output_tokens::decimal(20, 0)) AS output_tokens,
    sum(list_cost) AS list_cost,
    sum(reported_cost) FILTER (WHERE reported_currency = 'USD') AS reported_cost
FROM gaps
GROUP BY event_date, gap, detail
