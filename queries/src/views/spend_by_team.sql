-- What each team cost, day by day.
--
-- One row per UTC day, team, project and provider; null where the event names no team or project, so that all rows
-- together are all calls. A filter on `day` reads only the files of those days.
--
-- - `day`: UTC day of the call
-- - `team`: the team that pays; null if the event does not say
-- - `project`: the project it belongs to; null if the event does not say
-- - `provider`: who serves and bills; null if the event does not say
-- - `calls`: calls, whatever their outcome
-- - `priced_calls`: calls with a `list_cost`
-- - `unpriced_calls`: calls without one, which `list_cost` leaves out
-- - `input_tokens`: tokens, every kind of input; calls without usage are left out
-- - `output_tokens`: tokens, every kind of output; calls without usage are left out
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
SELECT
    event_date AS day,
    team,
    project,
    provider,
    count(*) AS calls,
    count(list_cost) AS priced_calls,
    count(*) - count(list_cost) AS unpriced_calls,
    sum(input_tokens::decimal(20, 0)) AS input_tokens,
    sum(output_tokens::decimal(20, 0)) AS output_tokens,
    sum(list_cost) AS list_cost
FROM usage
GROUP BY event_date, team, project, provider
