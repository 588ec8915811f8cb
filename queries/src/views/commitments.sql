-- Money promised, and how much of it is used up.
--
-- One row per commitment of `contracts.toml`. What counts against it is the spend of calls under its contract on its days,
-- first and last included. "Today" is the last day of the ledger.
--
-- - `contract`: the contract
-- - `vendor`: with whom
-- - `commitment`: its name within the contract
-- - `committed`: US dollars promised
-- - `starts_on`: first day of the period
-- - `ends_on`: last day of the period
-- - `calls`: calls that count against it
-- - `unpriced_calls`: of these, calls without a `list_cost`: what is used is at least that much more
-- - `list_cost`: US dollars used by our prices; null if none of the calls is priced
-- - `reported_cost`: US dollars used by what gateways and providers report; null if none of the calls has it
-- - `remaining`: `committed` less `list_cost`; negative beyond it; null if there are calls and none is priced, or none in the ledger
-- - `elapsed`: part of the period's days that are over, 0 to 1; null before its start
-- - `used`: part of the commitment that is used, 1 for all of it; null if there are calls and none is priced, or none in the ledger
-- - `shortfall`: what becomes of the rest: `billed`, `forfeited`, `rolls_over`
-- - `notice_on`: last day notice can be given; null if none is asked for
-- - `gate_on`: day the decision is due; null without an end
WITH spent AS (
    SELECT
        contract,
        event_date,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        sum(reported_cost) AS reported_cost
    FROM calls
    WHERE contract IS NOT NULL
    GROUP BY contract, event_date
),
used AS (
    SELECT
        registry_commitments.contract,
        commitment,
        sum(calls) AS calls,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        sum(reported_cost) AS reported_cost
    FROM registry_commitments
    JOIN spent ON spent.contract = registry_commitments.contract
        AND event_date >= registry_commitments.starts_on AND event_date <= registry_commitments.ends_on
    GROUP BY registry_commitments.contract, commitment
),
today AS (
    SELECT max(event_date)::int AS day FROM usage
)
SELECT
    registry_commitments.contract,
    vendor,
    registry_commitments.commitment,
    usd AS committed,
    registry_commitments.starts_on,
    registry_commitments.ends_on,
    coalesce(calls, 0) AS calls,
    coalesce(unpriced_calls, 0) AS unpriced_calls,
    list_cost,
    reported_cost,
    (usd - CASE WHEN day IS NOT NULL AND coalesce(calls, 0) = 0 THEN 0::decimal(38, 12) ELSE list_cost END)::decimal(38, 12) AS remaining,
    CASE WHEN day >= registry_commitments.starts_on::int THEN
        (least(day - registry_commitments.starts_on::int + 1,
               registry_commitments.ends_on::int - registry_commitments.starts_on::int + 1)::decimal(20, 6)
         / (registry_commitments.ends_on::int - registry_commitments.starts_on::int + 1)::decimal(20, 0))::decimal(9, 6)
    END AS elapsed,
    CASE WHEN usd > 0 AND day IS NOT NULL AND coalesce(calls, 0) = 0 THEN 0::decimal(20, 6)
         WHEN usd > 0 THEN (list_cost / usd)::decimal(20, 6)
    END AS used,
    shortfall,
    notice_on,
    gate_on
FROM registry_commitments
JOIN registry_contracts ON registry_contracts.contract = registry_commitments.contract
LEFT JOIN used ON used.contract = registry_commitments.contract AND used.commitment = registry_commitments.commitment
CROSS JOIN today
