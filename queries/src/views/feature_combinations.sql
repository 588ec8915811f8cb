-- Calls counted by what they lean on together: the base of everything about lock-in.
--
-- One row per workload, provider, model and combination of features, so that rows add up to all calls.
--
-- - `workload`: by the registry; null if no rule holds
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `features`: what each of these calls leans on; empty if nothing
-- - `calls`: calls
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `input_tokens`: tokens, every kind of input; calls without usage are left out
-- - `output_tokens`: tokens, every kind of output; calls without usage are left out
-- - `first_day`: UTC day of the first of these calls
-- - `last_day`: UTC day of the last of these calls
-- - `sample_entry_id`: one of these calls, always the same
WITH combined AS (
    SELECT
        workload,
        provider,
        model,
        array_to_string(features, ' ') AS combination,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        sum(input_tokens::decimal(20, 0)) AS input_tokens,
        sum(output_tokens::decimal(20, 0)) AS output_tokens,
        min(event_date) AS first_day,
        max(event_date) AS last_day,
        min(entry_id) AS sample_entry_id
    FROM calls
    GROUP BY workload, provider, model, array_to_string(features, ' ')
)
SELECT
    workload,
    provider,
    model,
    CASE WHEN combination <> '' THEN string_to_array(combination, ' ') ELSE make_array() END AS features,
    calls,
    unpriced_calls,
    list_cost,
    input_tokens,
    output_tokens,
    first_day,
    last_day,
    sample_entry_id
FROM combined
