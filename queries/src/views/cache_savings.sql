-- What prompt caches saved, and what they could have saved.
--
-- One row per workload, provider and model, over priced calls with usage, embeddings left out. What was saved is exact: tokens
-- read from a cache at the difference between the rate for fresh input and the rate for cached input of that call, less what
-- writing cost above fresh input. It is negative where caches are written and not read. What was missed rests on an
-- assumption, shown beside it: that calls of 1,024 input tokens and more that read nothing could have read the part of their
-- input that calls of the same workload and model do read. `missed_max` assumes all of it. Neither counts writing.
--
-- - `workload`: by the registry; null for calls of none
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `calls`: priced calls with usage
-- - `cache_read_input_tokens`: tokens read from a cache
-- - `cache_write_input_tokens`: tokens written to one
-- - `read_saved`: US dollars that reading saved
-- - `write_premium`: US dollars that writing cost above fresh input
-- - `saved`: the first less the second
-- - `hit_calls`: calls that read from a cache
-- - `hit_read_share`: the assumption: part of their input they read, 0 to 1; null if none did
-- - `missed_calls`: calls of 1,024 input tokens and more that read nothing
-- - `missed_input_tokens`: tokens of their input
-- - `missed`: US dollars they could have saved by the assumption; null if no call of the kind reads from a cache
-- - `missed_max`: US dollars they could have saved if all of their input had been read
-- - `unrated_calls`: calls for which no rate could be looked up again; nothing above counts them
WITH tiered AS (
    SELECT
        workload,
        provider,
        model,
        region,
        started_at,
        CASE WHEN array_has(features, 'batch') THEN 'batch' ELSE service_tier END AS tier,
        input_tokens,
        coalesce(cache_read_input_tokens, 0) AS reads,
        coalesce(cache_write_input_tokens, 0) AS writes,
        coalesce(cache_write_5m_input_tokens, 0) AS writes_5m,
        coalesce(cache_write_30m_input_tokens, 0) AS writes_30m,
        coalesce(cache_write_1h_input_tokens, 0) AS writes_1h,
        coalesce(cache_write_12h_input_tokens, 0) AS writes_12h,
        coalesce(cache_write_unstated_input_tokens, 0) AS writes_unstated
    FROM calls
    WHERE price_status = 'priced' AND input_tokens IS NOT NULL AND operation IS DISTINCT FROM 'embeddings'
),
rated AS (
    SELECT
        *,
        usd_per_million(provider, model, 'input', started_at, tier, region, input_tokens) AS fresh,
        usd_per_million(provider, model, 'cache_read', started_at, tier, region, input_tokens) AS cached,
        CASE WHEN writes_5m > 0 THEN
            writes_5m::decimal(10, 0) * usd_per_million(provider, model, 'cache_write_5m', started_at, tier, region, input_tokens)
            ELSE 0 END
        + CASE WHEN writes_30m > 0 THEN
            writes_30m::decimal(10, 0) * usd_per_million(provider, model, 'cache_write_30m', started_at, tier, region, input_tokens)
            ELSE 0 END
        + CASE WHEN writes_1h > 0 THEN
            writes_1h::decimal(10, 0) * usd_per_million(provider, model, 'cache_write_1h', started_at, tier, region, input_tokens)
            ELSE 0 END
        + CASE WHEN writes_12h > 0 THEN
            writes_12h::decimal(10, 0) * usd_per_million(provider, model, 'cache_write_12h', started_at, tier, region, input_tokens)
            ELSE 0 END
        + CASE WHEN writes_unstated > 0 THEN
            writes_unstated::decimal(10, 0) * usd_per_million(provider, model, 'cache_write', started_at, tier, region, input_tokens)
            ELSE 0 END AS written
    FROM tiered
),
summed AS (
    SELECT
        workload,
        provider,
        model,
        count(*) AS calls,
        sum(reads::decimal(20, 0)) AS cache_read_input_tokens,
        sum(writes::decimal(20, 0)) AS cache_write_input_tokens,
        sum((reads::decimal(10, 0) * (fresh - cached))::decimal(38, 12)) AS read_saved,
        sum((written - writes::decimal(10, 0) * fresh)::decimal(38, 12)) AS write_premium,
        count(*) FILTER (WHERE reads > 0) AS hit_calls,
        (sum(reads::decimal(20, 0)) FILTER (WHERE reads > 0)::decimal(30, 6)
            / sum(input_tokens::decimal(20, 0)) FILTER (WHERE reads > 0))::decimal(9, 6) AS hit_read_share,
        count(*) FILTER (WHERE input_tokens >= 1024 AND reads = 0) AS missed_calls,
        coalesce(sum(input_tokens::decimal(20, 0)) FILTER (WHERE input_tokens >= 1024 AND reads = 0), 0::decimal(30, 0))
            AS missed_input_tokens,
        coalesce(sum((input_tokens::decimal(10, 0) * (fresh - cached))::decimal(38, 12))
            FILTER (WHERE input_tokens >= 1024 AND reads = 0), 0::decimal(38, 12)) AS missed_max,
        count(*) - count(fresh - cached + written) AS unrated_calls
    FROM rated
    GROUP BY workload, provider, model
)
SELECT
    workload,
    provider,
    model,
    calls,
    cache_read_input_tokens,
    cache_write_input_tokens,
    (read_saved * 0.000001)::decimal(38, 12) AS read_saved,
    (write_premium * 0.000001)::decimal(38, 12) AS write_premium,
    ((read_saved - write_premium)::decimal(38, 12) * 0.000001)::decimal(38, 12) AS saved,
    hit_calls,
    hit_read_share,
    missed_calls,
    missed_input_tokens,
    (missed_max * 0.000001 * hit_read_share)::decimal(38, 12) AS missed,
    (missed_max * 0.000001)::decimal(38, 12) AS missed_max,
    unrated_calls
FROM summed
