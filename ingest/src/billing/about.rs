//! How each bill is read, for docs/sources.md.

use super::{anthropic, cur, focus, openai};
use crate::decode::About;

/// OpenAI's admin API.
pub(super) const OPENAI: About = About {
    format: openai::SOURCE,
    title: "OpenAI usage and costs (billing)",
    what: "Pages of the organisation usage APIs, every kind of result, and of the costs API. Rows of `billing`, never of `usage`.",
    recognised_by: "`data` whose buckets have `start_time` and `results`.",
    identity: "period, kind of result, every dimension, and how the report was grouped.",
    stream: "",
    columns: &[
        ("input_tokens", "`input_tokens`, cached and written tokens inside"),
        ("cache_read_input_tokens, cache_write_input_tokens", "`input_cached_tokens`, `input_cache_write_tokens`"),
        (
            "input_audio_tokens, input_image_tokens",
            "the same names, which count what was not cached; older reports that do not say `input_uncached_tokens` count cached sound too, and then they stay in `extra`",
        ),
        ("requests", "`num_model_requests`, `num_requests`"),
        (
            "quantity, quantity_unit",
            "`images`, `characters`, `seconds`, `usage_bytes`, `num_sessions`; of costs `quantity` and `quantity_unit`",
        ),
        ("billed_cost, currency", "`amount.value` from its digits, `amount.currency`"),
        ("model, meter", "`model`; of costs the two halves of `line_item`, `gpt-6-sol-2026-09-22, cached input`"),
        ("usage_check", "the parts against `input_uncached_tokens`"),
    ],
    cannot_say: &[
        "Whose organisation it is: `daybook import --account` does.",
        "Lifetimes of cache writes, reasoning tokens.",
        "Tokens of Scale Tier apart: they are inside.",
    ],
};

/// Anthropic's admin API.
pub(super) const ANTHROPIC: About = About {
    format: anthropic::SOURCE,
    title: "Anthropic usage and cost reports (billing)",
    what: "Pages of `usage_report/messages` and of `cost_report`. Rows of `billing`, never of `usage`.",
    recognised_by: "`data` whose buckets have `starting_at` and `results`; a result with `amount` is one of costs.",
    identity: "period, every dimension, and how the report was grouped.",
    stream: "",
    columns: &[
        ("input_tokens", "`uncached_input_tokens` + `cache_read_input_tokens` + all of `cache_creation`"),
        (
            "cache_write_5m_input_tokens, cache_write_1h_input_tokens",
            "`cache_creation.ephemeral_5m_input_tokens`, `..1h..`; another lifetime counts as unstated",
        ),
        ("meters", "`server_tool_use`"),
        ("batch", "true where `service_tier` is `batch`"),
        ("region, project", "`inference_geo`, `workspace_id`; null is the default workspace"),
        ("billed_cost", "`amount`: decimal text in cents, its point moved by two places"),
        ("meter", "`token_type`; else the words of `description`"),
    ],
    cannot_say: &[
        "Whose organisation it is: `daybook import --account` does.",
        "The cost of the priority tier, which never appears.",
        "Requests.",
    ],
};

/// AWS CUR.
pub(super) const CUR: About = About {
    format: cur::SOURCE,
    title: "AWS Cost and Usage Report (billing)",
    what: "CUR 2.0, and the older spelling of its columns, as CSV or Parquet: lines that name Bedrock, those of the marketplace too. Rows of `billing`, never of `usage`.",
    recognised_by: "a column `line_item_line_item_type`.",
    identity: "period, usage type, account, operation, resource, principal, kind and description; equal lines of one file are counted apart.",
    stream: "",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`line_item_usage_amount` times the tokens of `pricing_unit`, in the bucket the usage type names; input lines leave cache out",
        ),
        (
            "reported_model, meter, service_tier",
            "the parts of `line_item_usage_type`, `USE1-NovaPro-cache-read-input-token-count`",
        ),
        ("model", "the published table of names, else the words"),
        ("billed_cost, list_cost", "`line_item_unblended_cost`, `pricing_public_on_demand_cost`"),
        (
            "charge_category",
            "`line_item_line_item_type`: Tax; Credit, Refund and discounts are credit; fees are purchase; negations are adjustment",
        ),
        ("billing_account, region, tags", "`line_item_usage_account_id`, `product_region_code`, `resource_tags`"),
    ],
    cannot_say: &["Requests.", "Model ids: usage types name products.", "Reasoning tokens."],
};

/// FOCUS.
pub(super) const FOCUS: About = About {
    format: focus::SOURCE,
    title: "FOCUS cost and usage data (billing)",
    what: "FOCUS 1.0 to 1.2 as CSV or Parquet, of any biller: rows of service category AI and Machine Learning, and services known by name. Rows of `billing`, never of `usage`.",
    recognised_by: "columns `BilledCost` and `ChargePeriodStart`.",
    identity: "charge period, account, resource, SKU, price, category, class and description; equal rows of one file are counted apart.",
    stream: "",
    columns: &[
        ("provider", "`ServiceName`, else `ProviderName`, by a table"),
        ("quantity, quantity_unit", "`ConsumedQuantity`, `ConsumedUnit`"),
        ("metered_tokens", "the same in tokens; by `PricingQuantity` and `PricingUnit` where the former do not tell"),
        ("billed_cost, effective_cost, contracted_cost, list_cost", "the columns of those names, in `BillingCurrency`"),
        ("model, meter, service_tier", "the words of `SkuMeter`, else of `ChargeDescription`"),
        ("charge_category, correction", "`ChargeCategory`, `ChargeClass`"),
    ],
    cannot_say: &["Model ids, requests, token buckets: meters' names have to do."],
};
