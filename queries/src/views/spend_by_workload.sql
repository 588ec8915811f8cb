-- What each workload cost, day by day.
--
-- One row per UTC day, workload, contract and provider; null where the registry names none, so that all rows together are
-- all calls. A filter on `day` reads only the files of those days. Other groups and days of a time zone:
-- `daybook report spend --by team,model --grain month --tz Europe/Berlin`.
--
-- - `day`: UTC day of the call
-- - `workload`: by the registry; null if no rule holds
-- - `owner`: who answers for it; null if nobody is named
-- - `contract`: by the registry; null if none covers the call
-- - `provider`: who serves and bills; null if the event does not say
-- - `calls`: calls, whatever their outcome
-- - `priced_calls`: calls with a `list_cost`
-- - `unpriced_calls`: calls without one, which `list_cost` leaves out
-- - `input_tokens`: tokens, every kind of input; calls without usage are left out
-- - `output_tokens`: tokens, every kind of output; calls without usage are left out
-- - `list_cost`: US dollars by our prices, of the priced calls; null if none is priced
-- - `reported_calls`: calls with a `reported_cost` in US dollars
-- - `reported_cost`: US dollars by what gateways and providers report, of those calls; null if there are none
SELECT
    event_date AS day,
    workload,
    workload_owner(workload) AS owner,
    contract,
    provider,
    count(*) AS calls,
    count(list_cost) AS priced_calls,
    count(*) - count(list_cost) AS unpriced_calls,
    sum(input_tokens::decimal(20, 0)) AS input_tokens,
    sum(output_tokens::decimal(20, 0)) AS output_tokens,
    sum(list_cost) AS list_cost,
    count(reported_cost) AS reported_calls,
    sum(reported_cost) AS reported_cost
FROM calls
GROUP BY event_date, workload, contract, provider
