-- What each model cost.
--
-- One row per provider and model. For part of the time, take the query from the catalog (`SELECT definition FROM
-- information_schema.views`) and add `WHERE event_date >= ..`.
--
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `calls`: calls, whatever their outcome
-- - `failed_calls`: calls of status `error`; a provider may bill them all the same
-- - `priced_calls`: calls with a `list_cost`
-- - `unpriced_calls`: calls without one, which `list_cost` leaves out
-- - `input_tokens`: tokens, every kind of input; calls without usage are left out
-- - `cache_read_input_tokens`: tokens, the part of the input read from a prompt cache
-- - `output_tokens`: tokens, every kind of output; calls without usage are left out
-- - `reasoning_tokens`: tokens, the part of the output spent on reasoning
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `reported_calls`: calls with a `reported_cost` in US dollars
-- - `reported_cost`: US dollars by what gateways and providers report, of those calls; null if there are none
-- - `first_day`: UTC day of the first call
-- - `last_day`: UTC day of the last call
SELECT
    provider,
    coalesce(response_model, request_model) AS model,
    count(*) AS calls,
    count(*) FILTER (WHERE status = 'error') AS failed_calls,
    count(list_cost) AS priced_calls,
    count(*) - count(list_cost) AS unpriced_calls,
    sum(input_tokens::decimal(20, 0)) AS input_tokens,
    sum(cache_read_input_tokens::decimal(20, 0)) AS cache_read_input_tokens,
    sum(output_tokens::decimal(20, 0)) AS output_tokens,
    sum(reasoning_tokens::decimal(20, 0)) AS reasoning_tokens,
    sum(list_cost) AS list_cost,
    count(reported_cost) FILTER (WHERE reported_currency = 'USD') AS reported_calls,
    sum(reported_cost) FILTER (WHERE reported_currency = 'USD') AS reported_cost,
    min(event_date) AS first_day,
    max(event_date) AS last_day
FROM usage
GROUP BY provider, coalesce(response_model, request_model)
