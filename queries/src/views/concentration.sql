-- How much of the spend sits in one place.
--
-- One row per dimension and name. Shares are of the priced spend of the whole ledger, rounded to six places; the index
-- (Herfindahl-Hirschman) is the sum of the squares of a dimension's shares times 10,000: 10,000 is one name for
-- everything, and below 1,500 counts as spread.
--
-- - `dimension`: `provider`, `model_family`, `workload`, `contract`
-- - `name`: the provider, family, workload or contract; null where the event or the registry names none
-- - `rank`: 1 for the largest
-- - `calls`: calls
-- - `unpriced_calls`: calls without a `list_cost`, which no share counts
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `share`: part of the dimension's `list_cost`, 0 to 1; null if nothing is priced or everything costs nothing
-- - `hhi`: the index of the whole dimension, the same in each of its rows
WITH grouped AS (
    SELECT
        provider,
        model_family,
        workload,
        contract,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost
    FROM calls
    GROUP BY provider, model_family, workload, contract
),
named AS (
    SELECT 'provider' AS dimension, provider AS name, calls, unpriced_calls, list_cost FROM grouped
    UNION ALL
    SELECT 'model_family', model_family, calls, unpriced_calls, list_cost FROM grouped
    UNION ALL
    SELECT 'workload', workload, calls, unpriced_calls, list_cost FROM grouped
    UNION ALL
    SELECT 'contract', contract, calls, unpriced_calls, list_cost FROM grouped
),
summed AS (
    SELECT
        dimension,
        name,
        sum(calls) AS calls,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost) AS list_cost
    FROM named
    GROUP BY dimension, name
),
shared AS (
    SELECT
        *,
        (list_cost / nullif(sum(list_cost) OVER (PARTITION BY dimension), 0::decimal(38, 12)))::decimal(9, 6) AS share
    FROM summed
)
SELECT
    dimension,
    name,
    row_number() OVER (PARTITION BY dimension ORDER BY list_cost DESC NULLS LAST, name) AS rank,
    calls,
    unpriced_calls,
    list_cost,
    share,
    (sum(share * share) OVER (PARTITION BY dimension) * 10000::decimal(5, 0))::decimal(9, 2) AS hhi
FROM shared
