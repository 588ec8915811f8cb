-- Level, drift and noise of weekly spend: what forecasts rest on.
--
-- One row per dimension and name. Weeks are seven days counted back from the day before the last day of the ledger, which may
-- not be over; the last twelve count, fewer for what began later, and with fewer than four nothing is said. A week without
-- calls is 0; one in which nothing is priced is left out. The drift is the median of the changes per week between any two of
-- the weeks (Theil and Sen), so that one odd week does not move it; the noise is the mean distance of a week from the
-- line.
--
-- - `dimension`: `total`, `provider`, `workload`, `contract`
-- - `name`: the provider, workload or contract; null for the total, and where event or registry names none
-- - `last_day`: last UTC day of the ledger
-- - `weeks`: weeks that count
-- - `weekly`: US dollars of the last week, on the line through all of them; null with fewer than four weeks
-- - `drift`: US dollars a week costs more than the one before
-- - `recent`: US dollars of a week, median of the last four; null if nothing is priced in them
-- - `noise`: US dollars a week lies off the line, on average
-- - `unpriced_calls`: calls of these weeks without a `list_cost`, which nothing above counts
WITH today AS (
    SELECT max(event_date)::int AS day FROM usage
),
spent AS (
    SELECT
        event_date::int AS day,
        provider,
        workload,
        contract,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost
    FROM calls
    GROUP BY event_date, provider, workload, contract
),
named AS (
    SELECT
        dimension,
        CASE dimension WHEN 'provider' THEN provider WHEN 'workload' THEN workload WHEN 'contract' THEN contract END AS name,
        spent.day,
        (today.day - 1 - spent.day) / 7 AS week,
        today.day AS last_day,
        unpriced_calls,
        list_cost
    FROM spent
    CROSS JOIN today
    CROSS JOIN (VALUES ('total'), ('provider'), ('workload'), ('contract')) AS dimensions(dimension)
),
series AS (
    SELECT
        dimension,
        name,
        max(last_day) AS last_day,
        least(12, (max(last_day) - min(day)) / 7) AS weeks
    FROM named
    GROUP BY dimension, name
),
weekly AS (
    SELECT dimension, name, week, true AS seen, sum(unpriced_calls) AS unpriced_calls, sum(list_cost) AS list_cost
    FROM named
    WHERE day < last_day AND week < 12
    GROUP BY dimension, name, week
),
unpriced AS (
    SELECT series.dimension, series.name, sum(unpriced_calls) AS unpriced_calls
    FROM series
    JOIN weekly ON weekly.dimension = series.dimension AND (weekly.name IS NOT DISTINCT FROM series.name) AND week < weeks
    GROUP BY series.dimension, series.name
),
grid AS (
    SELECT
        numbered.dimension,
        numbered.name,
        numbered.week,
        CASE WHEN seen THEN list_cost ELSE 0::decimal(38, 12) END AS list_cost
    FROM (SELECT dimension, name, unnest(range(0, weeks)) AS week FROM series WHERE weeks >= 4) AS numbered
    LEFT JOIN weekly ON weekly.dimension = numbered.dimension AND (weekly.name IS NOT DISTINCT FROM numbered.name)
        AND weekly.week = numbered.week
),
drifts AS (
    SELECT
        newer.dimension,
        newer.name,
        median(((newer.list_cost - older.list_cost) / (older.week - newer.week)::decimal(3, 0))::decimal(38, 12)) AS drift
    FROM grid AS newer
    JOIN grid AS older ON older.dimension = newer.dimension AND (older.name IS NOT DISTINCT FROM newer.name)
        AND older.week > newer.week
    GROUP BY newer.dimension, newer.name
),
levels AS (
    SELECT
        grid.dimension,
        grid.name,
        max(drift) AS drift,
        median((list_cost + drift * week::decimal(3, 0))::decimal(38, 12)) AS weekly,
        median(list_cost) FILTER (WHERE week < 4) AS recent
    FROM grid
    JOIN drifts ON drifts.dimension = grid.dimension AND (drifts.name IS NOT DISTINCT FROM grid.name)
    GROUP BY grid.dimension, grid.name
),
noises AS (
    SELECT
        grid.dimension,
        grid.name,
        avg(abs((list_cost - weekly + drift * week::decimal(3, 0))::decimal(38, 12)))::decimal(38, 12) AS noise
    FROM grid
    JOIN levels ON levels.dimension = grid.dimension AND (levels.name IS NOT DISTINCT FROM grid.name)
    GROUP BY grid.dimension, grid.name
)
SELECT
    series.dimension,
    series.name,
    series.last_day::date AS last_day,
    series.weeks,
    weekly,
    drift,
    recent,
    noise,
    coalesce(unpriced_calls, 0) AS unpriced_calls
FROM series
LEFT JOIN levels ON levels.dimension = series.dimension AND (levels.name IS NOT DISTINCT FROM series.name)
LEFT JOIN noises ON noises.dimension = series.dimension AND (noises.name IS NOT DISTINCT FROM series.name)
LEFT JOIN unpriced ON unpriced.dimension = series.dimension AND (unpriced.name IS NOT DISTINCT FROM series.name)
