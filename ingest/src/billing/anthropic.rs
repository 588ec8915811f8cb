//! Anthropic's admin API: usage of an organisation's messages by bucket of time, and its costs by day.

use daybook_ledger::{BillingLine, BillingReport, ChargeCategory, Instant, Tokens, Usd};
use serde_json::value::RawValue;

use super::error::Problem;
use super::members::{Members, decimal, instant};
use super::names;
use super::openai::whole_number;
use super::page::{Bucket, shape};

/// Its name in the ledger.
pub(super) const SOURCE: &str = "anthropic-admin";
const PROVIDER: &str = "anthropic";
/// What results can be grouped by, in the order a shape names it.
const GROUPS: &[&str] = &[
    "workspace_id",
    "api_key_id",
    "account_id",
    "service_account_id",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
    "speed",
    "description",
    "cost_type",
    "token_type",
];
/// Groups without a column of their own.
const DIMENSIONS: &[&str] = &["account_id", "service_account_id", "context_window", "speed", "token_type"];
/// The cost report's token types, in words of a price sheet.
const METERS: &[(&str, &str)] = &[
    ("uncached_input_tokens", "input"),
    ("output_tokens", "output"),
    ("cache_read_input_tokens", "cache_read"),
    ("cache_creation.ephemeral_5m_input_tokens", "cache_write_5m"),
    ("cache_creation.ephemeral_1h_input_tokens", "cache_write_1h"),
];
/// Tools that run at Anthropic and are counted apart from tokens.
const TOOLS: &[&str] = &["web_search_requests", "web_fetch_requests", "code_execution_requests"];
/// Currencies whose smallest unit is the whole one.
const WITHOUT_CENTS: &[&str] = &["JPY", "KRW", "VND", "CLP", "ISK"];

/// The bucket's period: `starting_at` and `ending_at`.
pub(super) fn period(bucket: &mut Members<'_>) -> Result<(Instant, Instant), Problem> {
    let mut time = |name: &str| {
        let text = bucket.text(name)?.ok_or_else(|| Problem::new(name, None, "an RFC 3339 instant"))?;
        instant(name, &text)
    };
    Ok((time("starting_at")?, time("ending_at")?))
}

/// The lines of one bucket.
pub(super) fn lines(bucket: &Bucket<'_>) -> Result<Vec<BillingLine>, Problem> {
    let shape = shape(bucket, GROUPS)?;
    let line = |(at, result): (usize, &&RawValue)| {
        let inside = |problem: Problem| problem.inside(&format!("results[{at}]"));
        result_line(result, bucket, &shape).map_err(inside)
    };
    bucket.results.iter().enumerate().map(line).collect()
}

fn result_line(result: &RawValue, bucket: &Bucket<'_>, shape: &str) -> Result<BillingLine, Problem> {
    let mut members: Members<'_> = super::page::members(result)?;
    let report = if members.has("amount") { BillingReport::Cost } else { BillingReport::Usage };
    let mut line = BillingLine::new(SOURCE, report, PROVIDER, bucket.period);
    line.shape = Some(shape.into());
    line.project = members.text("workspace_id")?;
    line.api_key = members.text("api_key_id")?;
    line.region = members.text("inference_geo")?;
    line.service_tier = members.text("service_tier")?;
    line.batch = (line.service_tier.as_deref() == Some("batch")).then_some(true);
    line.reported_model = members.text("model")?;
    line.model = line.reported_model.clone();
    for name in DIMENSIONS {
        line.dimensions.extend(members.text(name)?.map(|value| ((*name).into(), value)));
    }
    match report {
        BillingReport::Cost => cost(&mut line, &mut members)?,
        BillingReport::Usage => usage(&mut line, &mut members)?,
    }
    line.extra = members.extra();
    Ok(line)
}

fn usage(line: &mut BillingLine, members: &mut Members<'_>) -> Result<(), Problem> {
    line.service = Some("messages".into());
    let fresh = members.count("uncached_input_tokens")?;
    let mut tokens = Tokens {
        cache_read: members.count("cache_read_input_tokens")?,
        output: members.count("output_tokens")?,
        ..Tokens::default()
    };
    if let Some(mut writes) = members.object("cache_creation")? {
        let inside = |problem: Problem| problem.inside("cache_creation");
        tokens.cache_write_5m = writes.count("ephemeral_5m_input_tokens").map_err(inside)?;
        tokens.cache_write_1h = writes.count("ephemeral_1h_input_tokens").map_err(inside)?;
        let mut written = [tokens.cache_write_5m, tokens.cache_write_1h].into_iter().flatten().collect::<Vec<_>>();
        // A lifetime that came after this was written is still tokens written.
        for name in writes.names() {
            written.extend(writes.count(&name).map_err(inside)?);
        }
        tokens.cache_write = (!written.is_empty()).then(|| written.iter().sum());
    }
    tokens.input = fresh.map(|fresh| fresh + tokens.cache_read.unwrap_or(0) + tokens.cache_write.unwrap_or(0));
    line.tokens = tokens;
    if let Some(mut tools) = members.object("server_tool_use")? {
        let inside = |problem: Problem| problem.inside("server_tool_use");
        for name in TOOLS {
            line.meters.extend(tools.count(name).map_err(inside)?.map(|count| (*name, whole_number(count))));
        }
        members.put_back("server_tool_use", tools);
    }
    Ok(())
}

fn cost(line: &mut BillingLine, members: &mut Members<'_>) -> Result<(), Problem> {
    let amount = members.text("amount")?.ok_or_else(|| Problem::new("amount", None, "a decimal number of cents"))?;
    let currency = members.text("currency")?.ok_or_else(|| Problem::new("currency", None, "a currency"))?;
    let currency = currency.to_uppercase();
    let cents = !WITHOUT_CENTS.contains(&currency.as_str());
    line.billed_cost = Some(if cents { hundredth("amount", &amount)? } else { decimal("amount", &amount)? });
    line.currency = Some(currency);
    if line.billed_cost.is_some_and(Usd::is_negative) {
        line.charge_category = ChargeCategory::Credit;
    }
    line.service = members.text("cost_type")?;
    line.line_item = members.text("description")?;
    line.description = line.line_item.clone();
    let token_type = line.dimensions.iter().find(|(name, _)| name == "token_type").map(|(_, value)| value.as_str());
    line.meter = token_type.and_then(|name| METERS.iter().find(|(known, _)| *known == name)).map(|(_, meter)| *meter);
    if let (None, Some(words)) = (&line.model, &line.line_item) {
        let reading = names::words(PROVIDER, words);
        line.model = reading.model;
        line.meter = line.meter.or(reading.meter);
    }
    if line.service.as_deref() == Some("web_search") {
        line.meter = Some("web_search");
    }
    Ok(())
}

/// Cents as dollars, without a digit lost: the point moves in the text.
fn hundredth(field: &str, text: &str) -> Result<Usd, Problem> {
    match text.contains(['e', 'E']) {
        // An exponent in money is unheard of; then the twelve places of an amount of cents have to do.
        true => decimal(field, text).map(|amount| Usd::from_pico(amount.pico() / 100)),
        false => decimal(field, &format!("{}e-2", text.trim())),
    }
}
