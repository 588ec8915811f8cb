-- What is paid against list: the discount that really arrives.
--
-- One row per contract, provider and model, over calls that have both a list cost and a reported cost in US dollars.
-- What gateways report may itself be computed from a list; `daybook report reconcile` compares with invoices.
-- A discount imported with a price sheet (`discount_percent`) is taken off `list_cost` already: `paid` is 1 where exactly it arrives.
--
-- - `contract`: by the registry; null if none covers the call
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `calls`: calls with both costs
-- - `other_calls`: calls that lack one, which nothing here counts
-- - `list_cost`: US dollars by our prices
-- - `reported_cost`: US dollars by what gateways and providers report
-- - `discount`: US dollars the second is below the first; negative above
-- - `paid`: the second by the first, 1 for list; null if list is nothing
SELECT
    contract,
    provider,
    model,
    count(*) FILTER (WHERE list_cost IS NOT NULL AND reported_cost IS NOT NULL) AS calls,
    count(*) FILTER (WHERE list_cost IS NULL OR reported_cost IS NULL) AS other_calls,
    sum(list_cost) FILTER (WHERE reported_cost IS NOT NULL) AS list_cost,
    sum(reported_cost) FILTER (WHERE list_cost IS NOT NULL) AS reported_cost,
    sum(list_cost - reported_cost)::decimal(38, 12) AS discount,
    (sum(reported_cost) FILTER (WHERE list_cost IS NOT NULL)
        / nullif(sum(list_cost) FILTER (WHERE reported_cost IS NOT NULL), 0::decimal(38, 12)))::decimal(20, 6) AS paid
FROM calls
GROUP BY contract, provider, model
