-- What one of something costs, by workload.
--
-- One row per workload and model family. Quotients are rounded to twelve places; costs leave out unpriced calls, and so
-- do the counts they are divided by.
--
-- - `workload`: by the registry; null for calls of none
-- - `model_family`: by the registry; null if no entry fits the model
-- - `calls`: calls, whatever their outcome
-- - `unpriced_calls`: calls without a `list_cost`
-- - `users`: people or customers named by calls that have a `list_cost`; 0 if no call names any
-- - `input_tokens_per_call`: tokens, over calls with usage; null if there are none
-- - `output_tokens_per_call`: tokens, over calls with usage; null if there are none
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `cost_per_call`: US dollars per priced call
-- - `cost_per_success`: US dollars of all priced calls, by those that succeeded; null if none did
-- - `cost_per_million_tokens`: US dollars per million tokens in and out, over priced calls with usage
-- - `cost_per_user`: US dollars of priced calls that name a user, by user; null if none names one
SELECT
    workload,
    model_family,
    count(*) AS calls,
    count(*) - count(list_cost) AS unpriced_calls,
    count(DISTINCT end_user) FILTER (WHERE list_cost IS NOT NULL) AS users,
    (sum(input_tokens::decimal(20, 0)) / nullif(count(input_tokens), 0)::decimal(20, 0))::decimal(38, 3)
        AS input_tokens_per_call,
    (sum(output_tokens::decimal(20, 0)) / nullif(count(output_tokens), 0)::decimal(20, 0))::decimal(38, 3)
        AS output_tokens_per_call,
    sum(list_cost) AS list_cost,
    (sum(list_cost) / nullif(count(list_cost), 0)::decimal(20, 0))::decimal(38, 12) AS cost_per_call,
    (sum(list_cost) / nullif(count(list_cost) FILTER (WHERE status = 'success'), 0)::decimal(20, 0))::decimal(38, 12)
        AS cost_per_success,
    (sum(list_cost) FILTER (WHERE input_tokens IS NOT NULL OR output_tokens IS NOT NULL)
        / nullif(sum((coalesce(input_tokens, 0) + coalesce(output_tokens, 0))::decimal(20, 0))
            FILTER (WHERE list_cost IS NOT NULL), 0::decimal(20, 0))
        * 1000000::decimal(7, 0))::decimal(38, 6) AS cost_per_million_tokens,
    (sum(list_cost) FILTER (WHERE end_user IS NOT NULL)
        / nullif(count(DISTINCT end_user) FILTER (WHERE list_cost IS NOT NULL), 0)::decimal(20, 0))::decimal(38, 12)
        AS cost_per_user
FROM calls
GROUP BY workload, model_family
