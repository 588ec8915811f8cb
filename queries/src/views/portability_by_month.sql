-- How firmly each workload was tied in each month: the segment of `lockin`, month by month.
--
-- One row per workload of the registry and month with calls. A feature binds in a month if its part of the month's calls
-- reaches `share_min` of its rule; the segment is the firmest that binds, and the option counts back from the month's end.
--
-- - `workload`: by the registry
-- - `month`: first UTC day of the month
-- - `calls`: calls
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `segment`: `portable`, `movable`, `locked_in`
-- - `because`: the features that make it so; null if none does
-- - `change`: against the month with calls before: `firmer`, `looser`, `same`; null in the first
-- - `provider`: the one with the most calls of the month
-- - `provider_share`: its part of the month's calls, 0 to 1
-- - `option`: `fresh`, `stale` or `never`, as in `lockin`, on the last day of the month or of the ledger
-- - `second_provider_day`: UTC day of the last success of a call or test on another provider up to then
WITH monthly AS (
    SELECT
        workload,
        date_trunc('month', event_date)::date AS month,
        array_to_string(features, ' ') AS combination,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost
    FROM calls
    WHERE workload IS NOT NULL
    GROUP BY 1, 2, 3
),
totaled AS (
    SELECT
        *,
        sum(calls) OVER (PARTITION BY workload, month) AS month_calls,
        sum(unpriced_calls) OVER (PARTITION BY workload, month) AS month_unpriced_calls,
        sum(list_cost) OVER (PARTITION BY workload, month) AS month_cost
    FROM monthly
),
leaning AS (
    SELECT
        workload,
        month,
        month_calls,
        month_unpriced_calls,
        month_cost,
        unnest(CASE WHEN combination <> '' THEN string_to_array(combination, ' ') ELSE make_array('') END) AS feature,
        calls
    FROM totaled
),
ruled AS (
    SELECT
        workload,
        month,
        max(month_calls) AS calls,
        max(month_unpriced_calls) AS unpriced_calls,
        max(month_cost) AS list_cost,
        leaning.feature,
        CASE WHEN (sum(calls)::decimal(20, 6) / max(month_calls)::decimal(20, 0))::decimal(9, 6) >= max(share_min) THEN
            max(firmness)
        END AS firmness
    FROM leaning
    LEFT JOIN registry_features ON registry_features.feature = leaning.feature
    GROUP BY workload, month, leaning.feature
),
weighed AS (
    SELECT *, max(firmness) OVER (PARTITION BY workload, month) AS month_firmness FROM ruled
),
verdicts AS (
    SELECT
        workload,
        month,
        max(calls) AS calls,
        max(unpriced_calls) AS unpriced_calls,
        max(list_cost) AS list_cost,
        coalesce(max(month_firmness), 0) AS firmness,
        string_agg(feature, ', ' ORDER BY feature) FILTER (WHERE firmness = month_firmness AND firmness > 0) AS because
    FROM weighed
    GROUP BY workload, month
),
places AS (
    SELECT
        workload,
        provider,
        date_trunc('month', event_date)::date AS month,
        count(*) AS calls,
        max(event_date) FILTER (WHERE status = 'success') AS shown_day
    FROM calls
    WHERE workload IS NOT NULL
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT workload, provider, date_trunc('month', event_date)::date, 0, max(event_date)
    FROM evidence
    WHERE kind = 'portability_test' AND coalesce(passed > 0, true)
    GROUP BY 1, 2, 3
),
running AS (
    SELECT workload, provider, month, sum(calls) AS calls, max(shown_day) AS shown_day FROM places GROUP BY 1, 2, 3
),
ranked AS (
    SELECT
        workload,
        month,
        provider,
        (calls::decimal(20, 6) / (sum(calls) OVER (PARTITION BY workload, month))::decimal(20, 0))::decimal(9, 6) AS share,
        row_number() OVER (PARTITION BY workload, month ORDER BY calls DESC, provider) AS rank,
        row_number() OVER (PARTITION BY workload, month, provider IS NULL ORDER BY calls DESC, provider) AS named_rank
    FROM running
    WHERE calls > 0
),
mains AS (
    SELECT workload, month, provider, share FROM ranked WHERE rank = 1
),
-- Calls that name no provider may have gone to the first one that is named.
named AS (
    SELECT workload, month, provider FROM ranked WHERE named_rank = 1 AND provider IS NOT NULL
),
elsewhere AS (
    SELECT named.workload, named.month, max(shown_day) AS shown_day
    FROM named
    JOIN running ON running.workload = named.workload AND running.month <= named.month
        AND running.provider <> named.provider
    GROUP BY named.workload, named.month
),
today AS (
    SELECT max(event_date) AS day FROM usage
),
joined AS (
    SELECT
        verdicts.*,
        lag(firmness) OVER (PARTITION BY verdicts.workload ORDER BY verdicts.month) AS firmness_before,
        provider,
        share AS provider_share,
        shown_day,
        option_window_days,
        least((verdicts.month + interval '1 month' - interval '1 day')::date, day) AS until
    FROM verdicts
    JOIN mains ON mains.workload = verdicts.workload AND mains.month = verdicts.month
    LEFT JOIN elsewhere ON elsewhere.workload = verdicts.workload AND elsewhere.month = verdicts.month
    LEFT JOIN registry_workloads ON registry_workloads.workload = verdicts.workload
    CROSS JOIN today
)
SELECT
    workload,
    month,
    calls,
    unpriced_calls,
    list_cost,
    CASE firmness WHEN 0 THEN 'portable' WHEN 1 THEN 'movable' ELSE 'locked_in' END AS segment,
    because,
    CASE WHEN firmness > firmness_before THEN 'firmer'
         WHEN firmness < firmness_before THEN 'looser'
         WHEN firmness = firmness_before THEN 'same'
    END AS change,
    provider,
    provider_share,
    CASE WHEN shown_day IS NULL THEN 'never'
         WHEN until::int - shown_day::int <= coalesce(option_window_days, 90) THEN 'fresh'
         ELSE 'stale'
    END AS option,
    shown_day AS second_provider_day
FROM joined
