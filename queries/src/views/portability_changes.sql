-- What began to tie each workload, when, and who began it.
--
-- One row per workload of the registry and feature that takes effort to move or locks in and binds in at least one month
-- (`portability_by_month`). `raised` marks those that made the workload firmer than everything before them did: the
-- changes that cost it its portability. A feature that was there on the workload's first day is no change.
--
-- - `workload`: by the registry
-- - `owner`: who answers for it; null if nobody is named
-- - `feature`: what calls began to lean on
-- - `segment`: how firmly it ties: `movable`, `locked_in`
-- - `segment_before`: what the workload was on the day before, by the features that bind and began earlier; null if the feature
--   was there on the workload's first day
-- - `raised`: whether it made the workload firmer
-- - `first_day`: UTC day of the first call that leans on it
-- - `binds_from`: first UTC day of the first month in which it binds
-- - `first_team`: team with the most such calls on the first day; null if the event does not say
-- - `first_key`: the key's alias of these calls; null if the event does not say
-- - `first_model`: the model of these calls
-- - `first_entry_id`: one of these calls
-- - `last_day`: UTC day of the last call that leans on it
-- - `calls`: calls that lean on it
-- - `unpriced_calls`: of these, calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced ones; null if none is priced
-- - `effort_days`: engineering days to move off it, an assumption of the rule
WITH daily AS (
    SELECT
        workload,
        event_date,
        team,
        api_key_alias,
        model,
        array_to_string(features, ' ') AS combination,
        count(*) AS calls,
        count(*) - count(list_cost) AS unpriced_calls,
        sum(list_cost) AS list_cost,
        min(entry_id) AS entry_id
    FROM calls
    WHERE workload IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
),
dated AS (
    SELECT
        *,
        min(event_date) OVER (PARTITION BY workload) AS workload_first_day,
        sum(calls) OVER (PARTITION BY workload, date_trunc('month', event_date)) AS month_calls
    FROM daily
),
leaning AS (
    SELECT
        workload,
        workload_first_day,
        month_calls,
        event_date,
        team,
        api_key_alias,
        model,
        unnest(string_to_array(combination, ' ')) AS feature,
        calls,
        unpriced_calls,
        list_cost,
        entry_id
    FROM dated
),
parted AS (
    SELECT
        leaning.*,
        firmness,
        effort_days,
        segment,
        (sum(calls) OVER (PARTITION BY workload, leaning.feature, date_trunc('month', event_date)))::decimal(20, 6)
            / month_calls::decimal(20, 0) >= share_min AS binds
    FROM leaning
    JOIN registry_features ON registry_features.feature = leaning.feature
    WHERE firmness > 0
),
ties AS (
    SELECT
        workload,
        feature,
        max(firmness) AS firmness,
        max(segment) AS segment,
        max(effort_days) AS effort_days,
        max(workload_first_day) AS workload_first_day,
        min(event_date) AS first_day,
        date_trunc('month', min(event_date) FILTER (WHERE binds))::date AS binds_from,
        first_value(team ORDER BY event_date, calls DESC, team, api_key_alias, model, entry_id) AS first_team,
        first_value(api_key_alias ORDER BY event_date, calls DESC, team, api_key_alias, model, entry_id) AS first_key,
        first_value(model ORDER BY event_date, calls DESC, team, api_key_alias, model, entry_id) AS first_model,
        first_value(entry_id ORDER BY event_date, calls DESC, team, api_key_alias, model, entry_id) AS first_entry_id,
        max(event_date) AS last_day,
        sum(calls) AS calls,
        sum(unpriced_calls) AS unpriced_calls,
        sum(list_cost)::decimal(38, 12) AS list_cost
    FROM parted
    GROUP BY workload, feature
    HAVING bool_or(binds)
),
earlier AS (
    SELECT later.workload, later.feature, max(before.firmness) AS firmness
    FROM ties AS later
    JOIN ties AS before ON before.workload = later.workload AND before.first_day < later.first_day
    GROUP BY later.workload, later.feature
)
SELECT
    ties.workload,
    workload_owner(ties.workload) AS owner,
    ties.feature,
    segment,
    CASE WHEN first_day > workload_first_day THEN
        CASE coalesce(earlier.firmness, 0) WHEN 0 THEN 'portable' WHEN 1 THEN 'movable' ELSE 'locked_in' END
    END AS segment_before,
    first_day > workload_first_day AND ties.firmness > coalesce(earlier.firmness, 0) AS raised,
    first_day,
    binds_from,
    first_team,
    first_key,
    first_model,
    first_entry_id,
    last_day,
    calls,
    unpriced_calls,
    list_cost,
    effort_days
FROM ties
LEFT JOIN earlier ON earlier.workload = ties.workload AND earlier.feature = ties.feature
