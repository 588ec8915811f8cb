-- Where each workload sends its calls, and how many of them a cheaper model could have taken.
--
-- One row per workload, provider and model. A call could have gone lower if the workload itself shows it: if at least 20 of its
-- calls of the same kind, that is with the same operation, tier and features and an input of the same size (up to 1,000
-- tokens, 4,000, 16,000, 64,000, 256,000, more), succeeded on a model that takes less for these calls. Of several such models
-- the cheapest counts. Both costs are of text tokens, each call's in the band of its own length and in its own region, at the
-- rates of noon (UTC) of the ledger's last day, so that a change of price is no saving. Whether the answers were as good, no ledger knows:
-- test it, and record the test (`daybook evidence add`).
--
-- - `workload`: by the registry; null for calls of none, which go nowhere by this rule
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `model_family`: its family by `models.toml`; null if no entry fits
-- - `calls`: calls
-- - `share`: part of the workload's calls, 0 to 1
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `cost_share`: part of the workload's `list_cost`, 0 to 1; null if nothing is priced
-- - `lower_calls`: calls that could have gone lower
-- - `lower_provider`: provider of the model that most of them could have gone to
-- - `lower_model`: that model
-- - `cost_here`: US dollars of these calls on the model they went to
-- - `cost_there`: US dollars of these calls on the cheaper ones
-- - `saving`: the first less the second
WITH today AS (
    SELECT max(event_date)::timestamp + interval '12 hours' AS noon FROM usage
),
kinds AS (
    SELECT
        workload,
        provider,
        model,
        model_family,
        concat_ws(' ', coalesce(operation, '-'), coalesce(service_tier, '-'), CASE
            WHEN input_tokens <= 1000 THEN '1k'
            WHEN input_tokens <= 4000 THEN '4k'
            WHEN input_tokens <= 16000 THEN '16k'
            WHEN input_tokens <= 64000 THEN '64k'
            WHEN input_tokens <= 256000 THEN '256k'
            ELSE 'more'
        END, array_to_string(features, ' ')) AS kind,
        CASE WHEN array_has(features, 'batch') THEN 'batch' ELSE service_tier END AS tier,
        region,
        -- Bands of price begin at whole thousands of tokens, above or with them: each side of each is a group of its own.
        input_tokens / 1000 + (input_tokens + 999) / 1000 AS band,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        count(*) FILTER (WHERE status = 'success') AS successes,
        count(*) FILTER (WHERE status = 'success' AND price_status = 'priced') AS priced,
        max(input_tokens) AS longest,
        sum(uncached_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS fresh,
        sum(cache_read_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS reads,
        sum(cache_write_5m_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS writes_5m,
        sum(cache_write_30m_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS writes_30m,
        sum(cache_write_1h_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS writes_1h,
        sum(cache_write_12h_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS writes_12h,
        sum(cache_write_unstated_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS writes,
        sum(output_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS outputs
    FROM calls
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
),
used AS (
    SELECT
        *,
        CASE unit
            WHEN 'input' THEN fresh
            WHEN 'cache_read' THEN reads
            WHEN 'cache_write_5m' THEN writes_5m
            WHEN 'cache_write_30m' THEN writes_30m
            WHEN 'cache_write_1h' THEN writes_1h
            WHEN 'cache_write_12h' THEN writes_12h
            WHEN 'cache_write' THEN writes
            WHEN 'output' THEN outputs
        END AS tokens
    FROM kinds
    CROSS JOIN (VALUES ('input'), ('cache_read'), ('cache_write_5m'), ('cache_write_30m'), ('cache_write_1h'), ('cache_write_12h'),
                ('cache_write'), ('output')) AS units(unit)
    CROSS JOIN today
),
offers AS (
    SELECT workload, kind, provider, model, sum(successes) AS successes, sum(priced) AS priced
    FROM kinds
    WHERE workload IS NOT NULL
    GROUP BY workload, kind, provider, model
),
rated AS (
    SELECT
        here.workload,
        here.kind,
        here.provider,
        here.model,
        there.provider AS lower_provider,
        there.model AS lower_model,
        (tokens::decimal(16, 0) * usd_per_million(here.provider, here.model, unit, noon, tier, region, longest))
            ::decimal(38, 12) AS here,
        (tokens::decimal(16, 0) * usd_per_million(there.provider, there.model, unit, noon, tier, region, longest))
            ::decimal(38, 12) AS there
    FROM used AS here
    JOIN offers AS there ON there.workload = here.workload AND there.kind = here.kind
        AND (there.provider <> here.provider OR there.model <> here.model)
    WHERE tokens > 0 AND there.successes >= 20
),
costed AS (
    SELECT workload, kind, provider, model, lower_provider, lower_model, sum(here) AS cost_here, sum(there) AS cost_there
    FROM rated
    GROUP BY workload, kind, provider, model, lower_provider, lower_model
    -- A part that has no rate is not free.
    HAVING count(here) = count(*) AND count(there) = count(*)
),
lowest AS (
    SELECT
        costed.*,
        priced,
        row_number() OVER (
            PARTITION BY costed.workload, costed.provider, costed.model, costed.kind ORDER BY cost_there, lower_provider, lower_model
        ) AS place
    FROM costed
    JOIN offers ON offers.workload = costed.workload AND offers.kind = costed.kind
        AND offers.provider = costed.provider AND offers.model = costed.model
    WHERE cost_there < cost_here
),
ways AS (
    SELECT
        workload,
        provider,
        model,
        lower_provider,
        lower_model,
        sum(priced) AS priced,
        sum(cost_here) AS cost_here,
        sum(cost_there) AS cost_there
    FROM lowest
    WHERE place = 1
    GROUP BY workload, provider, model, lower_provider, lower_model
),
moved AS (
    SELECT
        workload,
        provider,
        model,
        sum(priced) AS lower_calls,
        first_value(lower_provider ORDER BY priced DESC, lower_provider, lower_model) AS lower_provider,
        first_value(lower_model ORDER BY priced DESC, lower_provider, lower_model) AS lower_model,
        (sum(cost_here) * 0.000001)::decimal(38, 12) AS cost_here,
        (sum(cost_there) * 0.000001)::decimal(38, 12) AS cost_there
    FROM ways
    GROUP BY workload, provider, model
),
routes AS (
    SELECT
        workload,
        provider,
        model,
        model_family,
        sum(calls) AS calls,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost)::decimal(38, 12) AS list_cost
    FROM kinds
    GROUP BY workload, provider, model, model_family
)
SELECT
    routes.workload,
    routes.provider,
    routes.model,
    model_family,
    calls,
    (calls::decimal(20, 6) / (sum(calls) OVER (PARTITION BY routes.workload))::decimal(20, 0))::decimal(9, 6) AS share,
    unpriced_calls,
    list_cost,
    (list_cost / nullif(sum(list_cost) OVER (PARTITION BY routes.workload), 0::decimal(38, 12)))::decimal(9, 6) AS cost_share,
    coalesce(lower_calls, 0) AS lower_calls,
    lower_provider,
    lower_model,
    cost_here,
    cost_there,
    (cost_here - cost_there)::decimal(38, 12) AS saving
FROM routes
LEFT JOIN moved ON moved.workload = routes.workload AND moved.provider = routes.provider AND moved.model = routes.model
