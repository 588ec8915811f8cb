-- How firmly each workload is tied to its vendor, by what its calls lean on, beside what its owner declares.
--
-- One row per workload, also for those of the registry without a call, and one of null for calls of none. The segment is
-- the firmest of the rules that bind (`workload_features`); without any it is portable. A workload without a call has no
-- segment: nothing shows what it is. Neither have calls of no workload, which need not belong together; what each of them
-- leans on is counted all the same.
--
-- - `workload`: by the registry; null for calls of none
-- - `owner`: who answers for it; null if nobody is named
-- - `declared_segment`: what the owner takes it to be; null if not said
-- - `segment`: what traffic shows: `portable`, `movable`, `locked_in`; null without a call or a workload
-- - `agrees`: whether both are the same; null if one is not known
-- - `because`: the features that make it so; null if none does
-- - `calls`: calls
-- - `unpriced_calls`: calls without a `list_cost`
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `locked_in_calls`: calls that lean on a feature that locks the workload in
-- - `locked_in_cost`: their US dollars; null if none of them is priced
-- - `movable_calls`: calls that lean on a feature that takes effort to move, and on none that locks in
-- - `movable_cost`: their US dollars; null if none of them is priced
-- - `portable_calls`: all other calls
-- - `portable_cost`: their US dollars; null if none of them is priced
-- - `effort_days`: engineering days to move it, the sum over the features that bind: an assumption of the rules
-- - `provider`: the one with the most calls
-- - `provider_share`: its part of the calls, 0 to 1
-- - `option`: `fresh` if a call or a test succeeded on a second provider within the workload's window, `stale` if that is
--   longer ago, `never` if there was none; null without a segment. Counted back from the last day of the ledger's calls
-- - `second_provider`: where that was; the latest
-- - `second_provider_day`: UTC day of the last success there
-- - `shown_by`: what succeeded there that day: `calls`, or `test` for evidence alone
-- - `fresh_until`: last UTC day the option is fresh unless it is renewed
-- - `first_day`: UTC day of the first call
-- - `last_day`: UTC day of the last call
WITH weighed AS (
    SELECT *, sum(calls) OVER (PARTITION BY workload) AS workload_calls
    FROM feature_combinations
),
leaning AS (
    SELECT
        workload,
        workload_calls,
        row_number() OVER (PARTITION BY workload ORDER BY encode(sample_entry_id, 'hex')) AS combination,
        unnest(CASE WHEN cardinality(features) > 0 THEN features ELSE make_array('') END) AS feature,
        calls,
        unpriced_calls,
        list_cost,
        first_day,
        last_day
    FROM weighed
),
shared AS (
    SELECT
        *,
        ((sum(calls) OVER (PARTITION BY workload, feature))::decimal(20, 6) / workload_calls::decimal(20, 0))
            ::decimal(9, 6) AS share
    FROM leaning
),
ruled AS (
    SELECT
        workload,
        combination,
        shared.feature,
        calls,
        unpriced_calls,
        list_cost,
        first_day,
        last_day,
        CASE WHEN share >= share_min THEN firmness END AS firmness,
        CASE WHEN share >= share_min THEN effort_days END AS effort_days,
        row_number() OVER (PARTITION BY workload, shared.feature ORDER BY combination) AS feature_row
    FROM shared
    LEFT JOIN registry_features ON registry_features.feature = shared.feature
),
weighted AS (
    SELECT
        *,
        max(firmness) OVER (PARTITION BY workload) AS workload_firmness,
        coalesce(max(firmness) OVER (PARTITION BY workload, combination), 0) AS combination_firmness,
        row_number() OVER (PARTITION BY workload, combination ORDER BY feature) AS combination_row
    FROM ruled
),
totals AS (
    SELECT
        workload,
        max(workload_firmness) AS firmness,
        string_agg(feature, ', ' ORDER BY feature)
            FILTER (WHERE feature_row = 1 AND firmness = workload_firmness AND firmness > 0) AS because,
        sum(effort_days) FILTER (WHERE feature_row = 1) AS effort_days,
        sum(calls) FILTER (WHERE combination_row = 1) AS calls,
        sum(unpriced_calls) FILTER (WHERE combination_row = 1) AS unpriced_calls,
        sum(list_cost) FILTER (WHERE combination_row = 1) AS list_cost,
        sum(calls) FILTER (WHERE combination_row = 1 AND combination_firmness = 2) AS locked_in_calls,
        sum(list_cost) FILTER (WHERE combination_row = 1 AND combination_firmness = 2) AS locked_in_cost,
        sum(calls) FILTER (WHERE combination_row = 1 AND combination_firmness = 1) AS movable_calls,
        sum(list_cost) FILTER (WHERE combination_row = 1 AND combination_firmness = 1) AS movable_cost,
        sum(calls) FILTER (WHERE combination_row = 1 AND combination_firmness = 0) AS portable_calls,
        sum(list_cost) FILTER (WHERE combination_row = 1 AND combination_firmness = 0) AS portable_cost,
        min(first_day) AS first_day,
        max(last_day) AS last_day
    FROM weighted
    GROUP BY workload
),
providers AS (
    SELECT
        *,
        CASE WHEN is_other AND shown_day IS NOT NULL THEN
            row_number() OVER (PARTITION BY workload, is_other AND shown_day IS NOT NULL ORDER BY shown_day DESC, provider)
        END AS elsewhere
    FROM (
        SELECT
            *,
            -- Calls that name no provider may have gone to the first one that is named, or to any if none has calls.
            provider IS NOT NULL
                AND row_number() OVER (PARTITION BY workload, provider IS NULL ORDER BY rank) > 1
                AND max(CASE WHEN provider IS NOT NULL THEN calls END) OVER (PARTITION BY workload) > 0 AS is_other,
            greatest(last_success_day, last_test_day) AS shown_day,
            CASE WHEN last_success_day >= coalesce(last_test_day, last_success_day) THEN 'calls' ELSE 'test' END AS shown_by
        FROM workload_providers
    )
),
main AS (
    SELECT
        workload,
        max(provider) FILTER (WHERE rank = 1) AS provider,
        max(share) FILTER (WHERE rank = 1) AS provider_share,
        max(provider) FILTER (WHERE elsewhere = 1) AS second_provider,
        max(shown_day) FILTER (WHERE elsewhere = 1) AS second_provider_day,
        max(shown_by) FILTER (WHERE elsewhere = 1) AS shown_by
    FROM providers
    GROUP BY workload
),
seen AS (
    SELECT totals.*, provider, provider_share, second_provider, second_provider_day, shown_by,
           CASE WHEN totals.workload IS NOT NULL THEN
               CASE coalesce(firmness, 0) WHEN 0 THEN 'portable' WHEN 1 THEN 'movable' ELSE 'locked_in' END
           END AS segment
    FROM totals
    LEFT JOIN main ON main.workload IS NOT DISTINCT FROM totals.workload
),
today AS (
    SELECT max(event_date)::int AS day FROM usage
)
SELECT
    coalesce(registry_workloads.workload, seen.workload) AS workload,
    owner,
    declared_segment,
    segment,
    declared_segment = segment AS agrees,
    CASE WHEN segment IS NOT NULL THEN because END AS because,
    coalesce(calls, 0) AS calls,
    coalesce(unpriced_calls, 0) AS unpriced_calls,
    list_cost,
    coalesce(locked_in_calls, 0) AS locked_in_calls,
    locked_in_cost,
    coalesce(movable_calls, 0) AS movable_calls,
    movable_cost,
    coalesce(portable_calls, 0) AS portable_calls,
    portable_cost,
    CASE WHEN segment IS NOT NULL THEN coalesce(effort_days, 0::decimal(38, 12)) END AS effort_days,
    provider,
    provider_share,
    CASE WHEN segment IS NULL THEN NULL
         WHEN second_provider_day IS NULL THEN 'never'
         WHEN day - second_provider_day::int <= coalesce(option_window_days, 90) THEN 'fresh'
         ELSE 'stale'
    END AS option,
    CASE WHEN segment IS NOT NULL THEN second_provider END AS second_provider,
    CASE WHEN segment IS NOT NULL THEN second_provider_day END AS second_provider_day,
    CASE WHEN segment IS NOT NULL THEN shown_by END AS shown_by,
    CASE WHEN segment IS NOT NULL THEN
        second_provider_day + coalesce(option_window_days, 90)
    END AS fresh_until,
    first_day,
    last_day
FROM seen
FULL JOIN registry_workloads ON registry_workloads.workload = seen.workload
CROSS JOIN today
