-- Days on which a workload cost other than its weekday does, and what moved it.
--
-- One row per workload and odd UTC day. A day is compared with the same weekday of the eight weeks before, at least four of
-- which must lie after the workload's first day: expected is their median, and spread their median distance from it (MAD)
-- times 1.4826, but no less than 5 % of the expected and one cent. A day is odd if it lies more than 3.5 spreads off. Both are
-- medians, so that an odd day among the eight moves nothing. A day without calls is 0; a day of which nothing is priced is no
-- day to compare. The last day of the ledger is left out: it may not be over. What moved it is the provider, model and key
-- whose cost differs most, in the same direction, from its own median on the same eight days.
--
-- - `day`: UTC day
-- - `workload`: by the registry; null for calls of none
-- - `list_cost`: US dollars by our prices
-- - `expected`: US dollars, median of the same weekday
-- - `excess`: the first less the second; negative for too little
-- - `spread`: US dollars such a day differs anyway
-- - `score`: excess in spreads
-- - `calls`: calls
-- - `expected_calls`: median of the same weekday
-- - `mover_provider`: provider of what moved it most
-- - `mover_model`: its model
-- - `mover_key`: its key's alias; null if the event does not say
-- - `mover_calls`: its calls
-- - `mover_expected_calls`: median of the same weekday
-- - `mover_list_cost`: its US dollars
-- - `mover_excess`: its US dollars beyond its own median
WITH parts AS (
    SELECT
        workload,
        provider,
        model,
        api_key_alias,
        event_date::int AS day,
        count(*) AS calls,
        count(list_cost) AS priced_calls,
        sum(list_cost) AS list_cost
    FROM calls
    GROUP BY workload, provider, model, api_key_alias, event_date
),
spans AS (
    SELECT workload, min(day) AS first_day, max(max(day)) OVER () AS last_day FROM parts GROUP BY workload
),
known AS (
    SELECT
        workload,
        day,
        sum(calls) AS calls,
        sum(priced_calls) AS priced_calls,
        sum(list_cost) AS list_cost
    FROM parts
    GROUP BY workload, day
),
daily AS (
    SELECT
        listed.workload,
        listed.day,
        coalesce(calls, 0) AS calls,
        CASE WHEN calls IS NULL THEN 0::decimal(38, 12) ELSE list_cost END AS list_cost
    FROM (SELECT workload, unnest(range(first_day, last_day)) AS day FROM spans) AS listed
    LEFT JOIN known ON (known.workload IS NOT DISTINCT FROM listed.workload) AND known.day = listed.day
),
before AS (
    SELECT workload, day + 7 * back AS day, calls, list_cost
    FROM daily
    CROSS JOIN (SELECT unnest(range(1, 9)) AS back)
    WHERE list_cost IS NOT NULL
),
expected AS (
    SELECT workload, day, count(*) AS days, median(list_cost) AS expected, median(calls::decimal(20, 1)) AS expected_calls
    FROM before
    GROUP BY workload, day
),
spreads AS (
    SELECT
        before.workload,
        before.day,
        greatest(
            (median(abs((list_cost - expected)::decimal(38, 12)))::decimal(30, 12) * 1.4826)::decimal(38, 12),
            (max(expected)::decimal(30, 12) * 0.05)::decimal(38, 12),
            0.01::decimal(38, 12)
        ) AS spread
    FROM before
    JOIN expected ON (expected.workload IS NOT DISTINCT FROM before.workload) AND expected.day = before.day
    WHERE days >= 4
    GROUP BY before.workload, before.day
),
odd AS (
    SELECT
        daily.workload,
        daily.day,
        daily.list_cost,
        expected,
        (daily.list_cost - expected)::decimal(38, 12) AS excess,
        spread,
        daily.calls,
        expected_calls
    FROM daily
    JOIN expected ON (expected.workload IS NOT DISTINCT FROM daily.workload) AND expected.day = daily.day
    JOIN spreads ON (spreads.workload IS NOT DISTINCT FROM daily.workload) AND spreads.day = daily.day
    WHERE abs((daily.list_cost - expected)::decimal(30, 12)) > (spread::decimal(30, 12) * 3.5)
),
days AS (
    SELECT workload, day AS odd_day, day AS day FROM odd
    UNION ALL
    SELECT odd.workload, odd.day, daily.day
    FROM odd
    JOIN daily ON (daily.workload IS NOT DISTINCT FROM odd.workload) AND daily.list_cost IS NOT NULL
        AND daily.day < odd.day AND daily.day >= odd.day - 56 AND (odd.day - daily.day) % 7 = 0
),
present AS (
    SELECT days.workload, odd_day, parts.day, provider, model, api_key_alias, calls, list_cost
    FROM days
    JOIN parts ON (parts.workload IS NOT DISTINCT FROM days.workload) AND parts.day = days.day
),
movers AS (
    SELECT
        named.workload,
        named.odd_day,
        named.provider,
        named.model,
        named.api_key_alias,
        coalesce(max(calls) FILTER (WHERE days.day = named.odd_day), 0) AS calls,
        median(coalesce(calls, 0)::decimal(20, 1)) FILTER (WHERE days.day < named.odd_day) AS expected_calls,
        coalesce(max(list_cost) FILTER (WHERE days.day = named.odd_day), 0::decimal(38, 12)) AS list_cost,
        median(coalesce(list_cost, 0::decimal(38, 12))) FILTER (WHERE days.day < named.odd_day) AS expected
    FROM (SELECT DISTINCT workload, odd_day, provider, model, api_key_alias FROM present) AS named
    JOIN days ON (days.workload IS NOT DISTINCT FROM named.workload) AND days.odd_day = named.odd_day
    LEFT JOIN present ON (present.workload IS NOT DISTINCT FROM named.workload) AND present.odd_day = named.odd_day
        AND present.day = days.day AND (present.provider IS NOT DISTINCT FROM named.provider)
        AND (present.model IS NOT DISTINCT FROM named.model)
        AND (present.api_key_alias IS NOT DISTINCT FROM named.api_key_alias)
    GROUP BY named.workload, named.odd_day, named.provider, named.model, named.api_key_alias
),
ranked AS (
    SELECT
        odd.*,
        provider,
        model,
        api_key_alias,
        movers.calls AS mover_calls,
        movers.expected_calls AS mover_expected_calls,
        movers.list_cost AS mover_list_cost,
        (movers.list_cost - movers.expected)::decimal(38, 12) AS mover_excess,
        row_number() OVER (
            PARTITION BY odd.workload, odd.day
            ORDER BY CASE WHEN excess > 0 THEN movers.list_cost - movers.expected ELSE movers.expected - movers.list_cost END DESC,
                     provider, model, api_key_alias
        ) AS place
    FROM odd
    JOIN movers ON (movers.workload IS NOT DISTINCT FROM odd.workload) AND movers.odd_day = odd.day
)
SELECT
    day::int::date AS day,
    workload,
    list_cost,
    expected,
    excess,
    spread,
    (excess::decimal(30, 6) / spread)::decimal(20, 2) AS score,
    calls,
    expected_calls,
    provider AS mover_provider,
    model AS mover_model,
    api_key_alias AS mover_key,
    mover_calls,
    mover_expected_calls,
    mover_list_cost,
    mover_excess
FROM ranked
WHERE place = 1
