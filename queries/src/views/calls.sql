-- Every call with what the registry says about it.
--
-- One row per call: the columns of `usage` that reports need, and its workload, owner, contract and model family, resolved
-- while the query runs. A change of the registry changes the answer and no entry. A filter on `event_date` reads only the
-- files of those days. Only the columns that a query or a rule of the registry speaks of are read.
--
-- - `entry_id`: identity of the call, as in `usage`
-- - `event_date`: UTC day of the call
-- - `started_at`: when the call started, in the session's zone
-- - `workload`: of the first rule of `workloads.toml` that holds; null if none does
-- - `owner`: who answers for the workload; null if nobody is named
-- - `declared_segment`: what the owner takes the workload to be; null if not said
-- - `contract`: the first contract of `contracts.toml` the call falls under; null if none
-- - `is_approved`: whether the workload may use the provider and the model; null if it has no list, or there is no
--   workload
-- - `provider`: who serves and bills; null if the event does not say
-- - `model`: the model that served, else the model asked for
-- - `model_family`: its family by `models.toml`; null if no entry fits
-- - `operation`: kind of call
-- - `team`: the team that pays; null if the event does not say
-- - `project`: the project it belongs to; null if the event does not say
-- - `api_key_alias`: the key's alias; null if the event does not say
-- - `environment`: deployment environment; null if the event does not say
-- - `end_user`: the person or customer the call was made for; null if the event does not say
-- - `trace_id`: trace the call is part of; null if the event does not say
-- - `service_tier`: the tier that served, as reported
-- - `region`: the provider's region
-- - `streamed`: whether the answer was streamed; null if the event does not say
-- - `features`: what the call leaned on
-- - `status`: how it ended
-- - `error_type`: what went wrong, if something did
-- - `latency_ms`: milliseconds from start to end
-- - `ttft_ms`: milliseconds to the first token
-- - `gateway_cache_hit`: whether the gateway answered from its own cache
-- - `input_tokens`: tokens, every kind of input; null if nobody counted
-- - `uncached_input_tokens`: tokens, the part that is fresh text
-- - `cache_read_input_tokens`: tokens, the part read from a prompt cache
-- - `cache_write_input_tokens`: tokens, the part written to a prompt cache; the sum of the five below
-- - `cache_write_5m_input_tokens`: tokens, written to live 5 minutes
-- - `cache_write_30m_input_tokens`: tokens, written to live 30 minutes
-- - `cache_write_1h_input_tokens`: tokens, written to live 1 hour
-- - `cache_write_12h_input_tokens`: tokens, written to live 12 hours
-- - `cache_write_unstated_input_tokens`: tokens, written, lifetime not stated
-- - `output_tokens`: tokens, every kind of output; null if nobody counted
-- - `reasoning_tokens`: tokens, the part spent on reasoning
-- - `price_status`: `priced`, or why `list_cost` is null
-- - `list_cost`: US dollars by our prices; null if there is none
-- - `reported_cost`: US dollars by what the gateway or provider said; null if it said none, or in another currency
WITH resolved AS (
    SELECT
        *,
        workload(team, project, api_key_alias, workload_hint, environment, operation, provider,
                 coalesce(response_model, request_model), tags) AS workload
    FROM usage
)
SELECT
    entry_id,
    event_date,
    started_at,
    workload,
    workload_owner(workload) AS owner,
    declared_segment(workload) AS declared_segment,
    contract(provider, coalesce(response_model, request_model), event_date) AS contract,
    is_approved(workload, provider, coalesce(response_model, request_model)) AS is_approved,
    provider,
    coalesce(response_model, request_model) AS model,
    model_family(provider, coalesce(response_model, request_model)) AS model_family,
    operation,
    team,
    project,
    api_key_alias,
    environment,
    end_user,
    trace_id,
    service_tier,
    region,
    streamed,
    features,
    status,
    error_type,
    latency_ms,
    ttft_ms,
    gateway_cache_hit,
    input_tokens,
    uncached_input_tokens,
    cache_read_input_tokens,
    cache_write_input_tokens,
    cache_write_5m_input_tokens,
    cache_write_30m_input_tokens,
    cache_write_1h_input_tokens,
    cache_write_12h_input_tokens,
    cache_write_unstated_input_tokens,
    output_tokens,
    reasoning_tokens,
    price_status,
    list_cost,
    CASE WHEN reported_currency = 'USD' THEN reported_cost END AS reported_cost
FROM resolved
