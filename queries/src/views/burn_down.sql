-- How far each commitment will be used up at its end, and what is then missing or over, with a band.
--
-- One row per commitment of `contracts.toml`. Used is list cost as in `commitments`; discounts and tiers of the contract are
-- not applied. The rest of the period goes on as `forecast` has it for the contract: low and high are the drift stopping or
-- going on, less and plus the noise of those weeks. After the contract's last day no call counts, so a commitment that ends
-- later is projected to that day. A commitment whose contract has no calls yet is not projected.
--
-- - `contract`: the contract
-- - `commitment`: its name within the contract
-- - `committed`: US dollars promised
-- - `starts_on`: first day of the period
-- - `ends_on`: last day of the period
-- - `used`: US dollars used by our prices; null if none of the calls is priced, or the contract has none at all
-- - `unpriced_calls`: calls in the period without a `list_cost`: what is used is at least that much more
-- - `projected_days`: days of the period after the last day of the ledger, up to the contract's end
-- - `low`: US dollars used at the end; null if it cannot be projected
-- - `middle`: US dollars used at the end
-- - `high`: US dollars used at the end
-- - `shortfall_low`: US dollars unused at the end, if it ends high
-- - `shortfall_middle`: US dollars unused at the end
-- - `shortfall_high`: US dollars unused at the end, if it ends low
-- - `overage_low`: US dollars beyond the commitment, if it ends low
-- - `overage_middle`: US dollars beyond the commitment
-- - `overage_high`: US dollars beyond the commitment, if it ends high
-- - `used_up_on`: UTC day on which the middle reaches the commitment; null if it does not in the period, or has before
-- - `shortfall`: what becomes of the rest: `billed`, `forfeited`, `rolls_over`
WITH placed AS (
    SELECT
        commitments.contract,
        commitment,
        committed,
        commitments.starts_on,
        commitments.ends_on,
        CASE WHEN calls > 0 THEN list_cost WHEN weeks IS NOT NULL THEN 0::decimal(38, 12) END AS used,
        commitments.unpriced_calls,
        shortfall,
        last_day,
        weekly,
        drift,
        recent,
        noise,
        greatest(1, commitments.starts_on::int - last_day::int) AS first_ahead,
        greatest(0, least(commitments.ends_on::int, registry_contracts.ends_on::int)
            - greatest(last_day::int, commitments.starts_on::int - 1)) AS projected_days
    FROM commitments
    JOIN registry_contracts ON registry_contracts.contract = commitments.contract
    LEFT JOIN trends ON dimension = 'contract' AND name = commitments.contract
),
-- A line that falls costs nothing from where it meets zero, and never less. It has its level four days before the last day.
lined AS (
    SELECT
        *,
        CASE WHEN drift < 0 THEN
            greatest(0, least(projected_days,
                least(ceil(greatest(weekly, 0) * 7::decimal(1, 0) / abs(drift)), 100000)::int - 4 - first_ahead))
        ELSE projected_days END AS line_days
    FROM placed
),
ways AS (
    SELECT
        *,
        CASE WHEN projected_days = 0 THEN 0::decimal(38, 12) ELSE
            ((weekly * line_days::decimal(6, 0)
                + drift * (line_days * (2 * first_ahead + line_days + 7) / 2)::decimal(12, 0) / 7::decimal(1, 0))
                / 7::decimal(1, 0))::decimal(38, 12)
        END AS drifting,
        CASE WHEN projected_days = 0 THEN 0::decimal(38, 12) ELSE
            (recent * projected_days::decimal(6, 0) / 7::decimal(1, 0))::decimal(38, 12)
        END AS level,
        CASE WHEN projected_days = 0 THEN 0::decimal(38, 12) ELSE
            (noise * projected_days::decimal(6, 0) / 7::decimal(1, 0))::decimal(38, 12)
        END AS off
    FROM lined
),
projected AS (
    SELECT
        *,
        (used + greatest(least(drifting, level) - off, 0::decimal(38, 12)))::decimal(38, 12) AS low,
        (used + greatest((drifting + level) / 2::decimal(1, 0), 0::decimal(38, 12)))::decimal(38, 12) AS middle,
        (used + greatest(greatest(drifting, level) + off, 0::decimal(38, 12)))::decimal(38, 12) AS high
    FROM (SELECT * FROM ways WHERE off IS NOT NULL AND level IS NOT NULL AND used IS NOT NULL)
),
-- Apart, because `greatest` leaves nulls out: without a projection all of these would be 0.
ended AS (
    SELECT
        *,
        greatest(committed - high, 0)::decimal(38, 12) AS shortfall_low,
        greatest(committed - middle, 0)::decimal(38, 12) AS shortfall_middle,
        greatest(committed - low, 0)::decimal(38, 12) AS shortfall_high,
        greatest(low - committed, 0)::decimal(38, 12) AS overage_low,
        greatest(middle - committed, 0)::decimal(38, 12) AS overage_middle,
        greatest(high - committed, 0)::decimal(38, 12) AS overage_high
    FROM projected
)
SELECT
    placed.contract,
    placed.commitment,
    placed.committed,
    placed.starts_on,
    placed.ends_on,
    placed.used,
    placed.unpriced_calls,
    placed.projected_days,
    low,
    middle,
    high,
    shortfall_low,
    shortfall_middle,
    shortfall_high,
    overage_low,
    overage_middle,
    overage_high,
    CASE WHEN placed.used < placed.committed AND middle >= placed.committed THEN
        (ended.last_day::int + ended.first_ahead - 1
            + ceil((placed.committed - placed.used) * placed.projected_days::decimal(6, 0) / (middle - placed.used))::int)::date
    END AS used_up_on,
    placed.shortfall
FROM placed
LEFT JOIN ended ON ended.contract = placed.contract AND ended.commitment = placed.commitment
