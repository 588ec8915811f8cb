-- How much of the input came out of a prompt cache, and how much could have.
--
-- One row per workload, provider and model, over calls with usage that the gateway did not answer itself, those left out that
-- are said to have read more from a cache than their whole input. What could have
-- come out of a cache is an upper bound: tokens of calls long enough for a cache (1,024 and more) that read nothing from
-- one; whether their prefixes repeat, numbers do not say.
--
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `calls`: calls with usage
-- - `hit_calls`: of these, calls that read from a cache
-- - `input_tokens`: tokens, every kind of input
-- - `cache_read_input_tokens`: tokens read from a cache
-- - `cache_write_input_tokens`: tokens written to one
-- - `read_share`: part of the input read from a cache, 0 to 1; null without input
-- - `missed_calls`: calls of 1,024 input tokens and more that read nothing from a cache
-- - `missed_input_tokens`: tokens of their input: the most a cache could have given
-- - `missed_list_cost`: US dollars of these calls by our prices, input and output; null if none is priced
SELECT
    workload,
    provider,
    model,
    count(*) AS calls,
    count(*) FILTER (WHERE cache_read_input_tokens > 0) AS hit_calls,
    sum(input_tokens::decimal(20, 0)) AS input_tokens,
    sum(coalesce(cache_read_input_tokens, 0)::decimal(20, 0)) AS cache_read_input_tokens,
    sum(coalesce(cache_write_input_tokens, 0)::decimal(20, 0)) AS cache_write_input_tokens,
    (sum(coalesce(cache_read_input_tokens, 0)::decimal(20, 0))::decimal(30, 6)
        / nullif(sum(input_tokens::decimal(20, 0)), 0::decimal(20, 0)))::decimal(9, 6) AS read_share,
    count(*) FILTER (WHERE input_tokens >= 1024 AND coalesce(cache_read_input_tokens, 0) = 0) AS missed_calls,
    coalesce(sum(input_tokens::decimal(20, 0))
        FILTER (WHERE input_tokens >= 1024 AND coalesce(cache_read_input_tokens, 0) = 0), 0::decimal(20, 0))
        AS missed_input_tokens,
    sum(list_cost) FILTER (WHERE input_tokens >= 1024 AND coalesce(cache_read_input_tokens, 0) = 0) AS missed_list_cost
FROM calls
WHERE coalesce(cache_read_input_tokens, 0) <= input_tokens AND (gateway_cache_hit IS DISTINCT FROM true) AND (operation IS DISTINCT FROM 'embeddings')
GROUP BY workload, provider, model
