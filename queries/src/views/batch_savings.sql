-- What batch processing saved, and what it could have saved.
--
-- One row per workload, provider and model, over priced calls of chat, responses and embeddings. Both are the difference
-- between what the call's text tokens cost in the ordinary tier and in the batch tier of its model, at the rates of its own
-- time. A call could have waited for a batch if it is known not to have been streamed: an upper bound, since somebody may
-- have waited for the answer; the owner of the workload knows.
--
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `calls`: priced calls
-- - `batch_calls`: of these, calls in a batch
-- - `saved`: US dollars that saved; null if there are none, or their rates are not known
-- - `eligible_calls`: calls in the ordinary tier, not streamed, of a model that has a batch rate
-- - `eligible_list_cost`: their US dollars by our prices
-- - `missed_max`: US dollars they would have saved in batches
-- - `unknown_calls`: calls in the ordinary tier of which the event does not say whether they were streamed
WITH tiered AS (
    SELECT
        *,
        array_has(features, 'batch') OR lower(service_tier) = 'batch' AS batched,
        coalesce(lower(service_tier) IN ('', 'default', 'standard', 'on_demand', 'auto', 'unspecified'), true) AS ordinary
    FROM calls
    WHERE price_status = 'priced' AND operation IN ('chat', 'responses', 'embeddings')
),
differing AS (
    SELECT
        *,
        CASE WHEN batched OR ordinary THEN
            price(provider, model, started_at, uncached_input_tokens, cache_read_input_tokens, cache_write_5m_input_tokens,
                  cache_write_30m_input_tokens, cache_write_1h_input_tokens, cache_write_12h_input_tokens,
                  cache_write_unstated_input_tokens, coalesce(output_tokens, 0), NULL, region)
            - price(provider, model, started_at, uncached_input_tokens, cache_read_input_tokens, cache_write_5m_input_tokens,
                    cache_write_30m_input_tokens, cache_write_1h_input_tokens, cache_write_12h_input_tokens,
                    cache_write_unstated_input_tokens, coalesce(output_tokens, 0), 'batch', region)
        END AS difference
    FROM (SELECT *, coalesce(batched, false) AS in_batch FROM tiered)
)
SELECT
    workload,
    provider,
    model,
    count(*) AS calls,
    count(*) FILTER (WHERE in_batch) AS batch_calls,
    sum(difference::decimal(38, 12)) FILTER (WHERE in_batch) AS saved,
    count(*) FILTER (WHERE NOT in_batch AND ordinary AND NOT streamed AND difference IS NOT NULL) AS eligible_calls,
    sum(list_cost) FILTER (WHERE NOT in_batch AND ordinary AND NOT streamed AND difference IS NOT NULL)
        AS eligible_list_cost,
    sum(difference::decimal(38, 12)) FILTER (WHERE NOT in_batch AND ordinary AND NOT streamed) AS missed_max,
    count(*) FILTER (WHERE NOT in_batch AND ordinary AND streamed IS NULL) AS unknown_calls
FROM differing
GROUP BY workload, provider, model
