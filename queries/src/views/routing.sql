-- Where each workload sends its calls, and how many of them a cheaper model could have taken.
--
-- One row per workload, provider and model. A call could have gone lower if the workload itself shows it: if at least 20 of its
-- calls of the same kind, that is with the same operation, tier and features and an input of the same size (up to 1,000
-- tokens, 4,000, 16,000, 64,000, 256,000, more), succeeded on a model that takes less for these calls. Of several such models
-- the cheapest counts. Both costs are of text tokens at the rates of the ledger's last day, so that a change of price is no
-- saving. Whether the answers were as good, no ledger knows: test it, and record the test (`daybook evidence add`).
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
    SELECT max(event_date) AS last_day FROM usage
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
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        count(*) FILTER (WHERE status = 'success') AS successes,
        count(*) FILTER (WHERE status = 'success' AND price_status = 'priced') AS priced,
        max(input_tokens) AS longest,
        sum(uncached_input_tokens) FILTER (WHERE status = 'success' AND price_status = 'priced') AS fresh,
        sum(coalesce(cache_read_input_tokens, 0)) FILTER (WHERE status = 'success' AND price_status = 'priced') AS reads,
        sum(coalesce(cache_write_input_tokens, 0)) FILTER (WHERE status = 'success' AND price_status = 'priced') AS writes,
        sum(coalesce(output_tokens, 0)) FILTER (WHERE status = 'success' AND price_status = 'priced') AS outputs
    FROM calls
    GROUP BY 1, 2, 3, 4, 5, 6
),
choices AS (
    SELECT
        here.workload,
        here.provider,
        here.model,
        here.kind,
        here.tier,
        here.priced,
        there.provider AS lower_provider,
        there.model AS lower_model,
        last_day,
        here.longest,
        fresh,
        reads,
        writes,
        outputs
    FROM kinds AS here
    JOIN (SELECT workload, kind, provider, model FROM kinds WHERE successes >= 20 AND workload IS NOT NULL) AS there
        ON there.workload = here.workload AND there.kind = here.kind
        AND (there.provider <> here.provider OR there.model <> here.model)
    CROSS JOIN today
    WHERE here.priced > 0
),
costed AS (
    SELECT
        *,
        (fresh::decimal(16, 0) * usd_per_million(provider, model, 'input', last_day, tier, NULL, longest)
            + reads::decimal(16, 0) * usd_per_million(provider, model, 'cache_read', last_day, tier, NULL, longest)
            + CASE WHEN writes > 0 THEN
                writes::decimal(16, 0) * usd_per_million(provider, model, 'cache_write', last_day, tier, NULL, longest)
                ELSE 0 END
            + CASE WHEN outputs > 0 THEN
                outputs::decimal(16, 0) * usd_per_million(provider, model, 'output', last_day, tier, NULL, longest)
                ELSE 0 END)::decimal(38, 12) AS here,
        (fresh::decimal(16, 0) * usd_per_million(lower_provider, lower_model, 'input', last_day, tier, NULL, longest)
            + reads::decimal(16, 0) * usd_per_million(lower_provider, lower_model, 'cache_read', last_day, tier, NULL, longest)
            + CASE WHEN writes > 0 THEN
                writes::decimal(16, 0)
                    * usd_per_million(lower_provider, lower_model, 'cache_write', last_day, tier, NULL, longest)
                ELSE 0 END
            + CASE WHEN outputs > 0 THEN
                outputs::decimal(16, 0) * usd_per_million(lower_provider, lower_model, 'output', last_day, tier, NULL, longest)
                ELSE 0 END)::decimal(38, 12) AS there
    FROM choices
),
lowest AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY workload, provider, model, kind, tier ORDER BY there, lower_provider, lower_model) AS place
    FROM costed
    WHERE there < here
),
moved AS (
    SELECT
        workload,
        provider,
        model,
        sum(priced) AS lower_calls,
        first_value(lower_provider ORDER BY priced DESC, lower_provider, lower_model) AS lower_provider,
        first_value(lower_model ORDER BY priced DESC, lower_provider, lower_model) AS lower_model,
        (sum(here) * 0.000001)::decimal(38, 12) AS cost_here,
        (sum(there) * 0.000001)::decimal(38, 12) AS cost_there
    FROM lowest
    WHERE place = 1
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
