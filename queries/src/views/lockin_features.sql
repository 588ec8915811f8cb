-- What calls lean on that another vendor may not have.
--
-- One row per provider, model and feature. A call counts in each of its features, so rows do not add up; calls that lean
-- on nothing are left out here and counted in the share.
--
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `feature`: what the calls lean on
-- - `calls`: calls that lean on it
-- - `share_of_provider`: part of all the provider's calls, 0 to 1
-- - `unpriced_calls`: of these, calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced ones; null if none is priced
-- - `first_day`: UTC day of the first such call
-- - `last_day`: UTC day of the last such call
WITH leaning AS (
    SELECT provider, coalesce(response_model, request_model) AS model, unnest(features) AS feature, list_cost, event_date
    FROM usage
),
providers AS (
    SELECT provider, count(*) AS calls FROM usage GROUP BY provider
)
SELECT
    leaning.provider,
    model,
    feature,
    count(*) AS calls,
    (count(*)::decimal(20, 6) / max(providers.calls)::decimal(20, 0))::decimal(9, 6) AS share_of_provider,
    count(*) - count(list_cost) AS unpriced_calls,
    sum(list_cost) AS list_cost,
    min(event_date) AS first_day,
    max(event_date) AS last_day
FROM leaning
JOIN providers ON leaning.provider IS NOT DISTINCT FROM providers.provider
GROUP BY leaning.provider, model, feature
