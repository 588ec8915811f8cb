-- The lines of bills and usage reports that hold now: no row that a later one replaced.
--
-- Bills are no spend: no other view reads them, and `daybook report reconcile` compares them with the ledger. A report can be
-- asked for with several groupings, each of which adds up to the whole; of those, per UTC day, the one with the widest
-- buckets holds, then the one imported last. Different sources may bill the same usage (`aws-cur` and `focus`): filter by
-- `source` before adding up, and never add different currencies.
--
-- - `day`: UTC day of `period_start`
-- - `source`: openai-admin, anthropic-admin, aws-cur, focus
-- - `report`: usage_report (counts) or cost_report (money)
-- - `provider`: who serves and bills, as in `usage`
-- - `period_start`: first instant the line is about
-- - `period_end`: first instant it is no longer about
-- - `model`: the model in the spelling of `usage`; null if unknown
-- - `reported_model`: the model as the line states it
-- - `line_item`: what is billed, in the biller's words
-- - `meter`: what `quantity` counts, in words of a price sheet; null if unknown
-- - `service`: the biller's service or kind of usage
-- - `region`: the provider's region
-- - `service_tier`: the service tier, as stated
-- - `batch`: whether it is batch processing
-- - `billing_account`: the account the line is about
-- - `project`: project, workspace or sub-account
-- - `api_key`: id of the API key
-- - `requests`: requests to the model
-- - `input_tokens`: tokens, every kind of input
-- - `uncached_input_tokens`: tokens, input in none of the other buckets
-- - `cache_read_input_tokens`: tokens, input read from a prompt cache
-- - `cache_write_input_tokens`: tokens, input written to a prompt cache, any lifetime
-- - `cache_write_5m_input_tokens`: tokens, written to live 5 minutes
-- - `cache_write_1h_input_tokens`: tokens, written to live 1 hour
-- - `input_audio_tokens`: tokens, sound in the input outside of a cache
-- - `input_image_tokens`: tokens, pictures in the input outside of a cache
-- - `output_tokens`: tokens, every kind of output
-- - `usage_check`: what is wrong with the counts; null when they re-sum
-- - `meters`: meters that are not tokens, by name
-- - `quantity`: what was used or billed, in `quantity_unit`
-- - `quantity_unit`: unit of `quantity`
-- - `metered_tokens`: `quantity` in tokens, of the kind `meter` says
-- - `billed_cost`: what the line costs on the bill, in `currency`; negative for credits
-- - `effective_cost`: cost after every discount, in `currency`
-- - `contracted_cost`: cost at the contract's prices, in `currency`
-- - `list_cost`: cost at list prices by the biller's own account, in `currency`
-- - `currency`: currency of the costs
-- - `charge_category`: usage, purchase, tax, credit, adjustment
-- - `correction`: whether the line corrects an earlier billing period
-- - `description`: the line in the biller's words
-- - `tags`: tags on the resource
-- - `imported_at`: when the row was made
WITH standing AS (
    -- Each kind of usage has a report of its own; costs have one.
    SELECT *, CASE WHEN report = 'usage_report' THEN service END AS kind
    FROM billing
    WHERE NOT EXISTS (SELECT 1 FROM billing AS newer WHERE newer.supersedes = billing.entry_id)
),
shaped AS (
    SELECT
        *,
        max(period_end::bigint - period_start::bigint)
            OVER (PARTITION BY source, report, kind, event_date, billing_account, shape) AS width,
        max(imported_at) OVER (PARTITION BY source, report, kind, event_date, billing_account, shape) AS last_imported_at
    FROM standing
),
chosen AS (
    SELECT
        *,
        first_value(shape) OVER (
            PARTITION BY source, report, kind, event_date, billing_account
            ORDER BY width DESC, last_imported_at DESC, shape
        ) AS first_shape
    FROM shaped
)
SELECT
    event_date AS day,
    source,
    report,
    provider,
    period_start,
    period_end,
    model,
    reported_model,
    line_item,
    meter,
    service,
    region,
    service_tier,
    batch,
    billing_account,
    project,
    api_key,
    requests,
    input_tokens,
    uncached_input_tokens,
    cache_read_input_tokens,
    cache_write_input_tokens,
    cache_write_5m_input_tokens,
    cache_write_1h_input_tokens,
    input_audio_tokens,
    input_image_tokens,
    output_tokens,
    usage_check,
    meters,
    quantity,
    quantity_unit,
    metered_tokens,
    billed_cost,
    effective_cost,
    contracted_cost,
    list_cost,
    currency,
    charge_category,
    correction,
    description,
    tags,
    imported_at
FROM chosen
WHERE shape IS NULL OR shape = first_shape
