-- What each month will cost, from the month of the ledger's last day to the end of the next quarter, with a band.
--
-- One row per dimension, name and month. A month's rest is its days after the last day of the ledger. Low and high are the
-- two ways the last twelve weeks (`trends`) can go on, that the drift stops (`recent`) and that it goes on (`weekly`, `drift`),
-- less and plus the noise of those weeks, never below 0; middle is the mean of the two ways. A contract goes on to its last day
-- and no further. A band says what the last weeks have seen. It is no probability, and it knows nothing of what is planned.
--
-- - `dimension`: `total`, `provider`, `workload`, `contract`; the parts' middles need not add up to that of the total
-- - `name`: the provider, workload or contract; null for the total, and where event or registry names none
-- - `month`: first day of the month
-- - `actual`: US dollars by our prices so far; null if nothing is priced
-- - `projected_days`: days of the month after the last day of the ledger, of a contract up to its end
-- - `low`: US dollars of the whole month; null with fewer than four weeks to go by, or nothing priced in the last four
-- - `middle`: US dollars of the whole month
-- - `high`: US dollars of the whole month
-- - `weeks`: weeks the projection goes by
WITH horizon AS (
    SELECT
        max(event_date) AS today,
        date_trunc('month', max(event_date))::date AS first_day,
        (date_trunc('quarter', max(event_date)) + interval '6 months')::date AS end_day
    FROM usage
),
numbered AS (
    SELECT unnest(range(first_day::int, end_day::int)) AS day FROM horizon WHERE today IS NOT NULL
),
months AS (
    SELECT date_trunc('month', day::int::date)::date AS month, min(day) AS first_day, max(day) AS end_day
    FROM numbered
    GROUP BY date_trunc('month', day::int::date)::date
),
ahead AS (
    SELECT
        trends.*,
        month,
        greatest(first_day, last_day::int + 1) AS first_ahead,
        least(end_day, ends_on::int) AS last_ahead
    FROM trends
    CROSS JOIN months
    LEFT JOIN registry_contracts ON dimension = 'contract' AND contract = name
),
-- A line that falls costs nothing from where it meets zero, and never less. It has its level in the middle of the last week,
-- four days before the last day.
lined AS (
    SELECT
        *,
        CASE WHEN drift < 0 THEN
            greatest(0, least(projected_days,
                least(ceil(greatest(weekly, 0) * 7::decimal(1, 0) / abs(drift)), 100000)::int - 4 - days_ahead))
        ELSE projected_days END AS line_days
    FROM (
        SELECT *, greatest(0, last_ahead - first_ahead + 1) AS projected_days, first_ahead - last_day::int AS days_ahead
        FROM ahead
    )
),
reached AS (
    SELECT *, line_days * (2 * days_ahead + line_days + 7) / 2 AS reach FROM lined
),
spent AS (
    SELECT provider, workload, contract, date_trunc('month', event_date)::date AS month, sum(list_cost) AS list_cost
    FROM calls
    GROUP BY provider, workload, contract, date_trunc('month', event_date)::date
),
actuals AS (
    SELECT
        dimension,
        CASE dimension WHEN 'provider' THEN provider WHEN 'workload' THEN workload WHEN 'contract' THEN contract END AS name,
        month,
        sum(list_cost) AS actual
    FROM spent
    CROSS JOIN (VALUES ('total'), ('provider'), ('workload'), ('contract')) AS dimensions(dimension)
    GROUP BY 1, 2, 3
),
ways AS (
    SELECT
        reached.dimension,
        reached.name,
        reached.month,
        actual,
        projected_days,
        weeks,
        ((weekly * line_days::decimal(5, 0) + drift * reach::decimal(9, 0) / 7::decimal(1, 0)) / 7::decimal(1, 0))
            ::decimal(38, 12) AS drifting,
        (recent * projected_days::decimal(5, 0) / 7::decimal(1, 0))::decimal(38, 12) AS level,
        (noise * projected_days::decimal(5, 0) / 7::decimal(1, 0))::decimal(38, 12) AS noise
    FROM reached
    LEFT JOIN actuals ON actuals.dimension = reached.dimension AND (actuals.name IS NOT DISTINCT FROM reached.name)
        AND actuals.month = reached.month
)
SELECT
    dimension,
    name,
    month,
    actual,
    projected_days,
    CASE WHEN noise IS NOT NULL AND level IS NOT NULL THEN
        (coalesce(actual, 0::decimal(38, 12)) + greatest(least(drifting, level) - noise, 0::decimal(38, 12)))::decimal(38, 12)
    END AS low,
    CASE WHEN noise IS NOT NULL AND level IS NOT NULL THEN
        (coalesce(actual, 0::decimal(38, 12)) + greatest((drifting + level) / 2::decimal(1, 0), 0::decimal(38, 12)))
            ::decimal(38, 12)
    END AS middle,
    CASE WHEN noise IS NOT NULL AND level IS NOT NULL THEN
        (coalesce(actual, 0::decimal(38, 12)) + greatest(greatest(drifting, level) + noise, 0::decimal(38, 12)))
            ::decimal(38, 12)
    END AS high,
    weeks
FROM ways
