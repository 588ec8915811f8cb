//! OpenAI's admin API: usage of an organisation by bucket of time, and its costs by line item.

use daybook_ledger::{BillingLine, BillingReport, ChargeCategory, Instant, Tokens, Usd};
use serde_json::value::RawValue;

use super::error::Problem;
use super::members::Members;
use super::names;
use super::page::{Bucket, shape};

/// Its name in the ledger.
pub(super) const SOURCE: &str = "openai-admin";
const PROVIDER: &str = "openai";
/// What results can be grouped by, in the order a shape names it.
const GROUPS: &[&str] = &[
    "project_id",
    "user_id",
    "api_key_id",
    "model",
    "batch",
    "service_tier",
    "source",
    "size",
    "context_level",
    "line_item",
];
/// Groups without a column of their own.
const DIMENSIONS: &[&str] = &["user_id", "source", "size", "context_level"];
/// Kinds of usage that are not tokens: their field, what it counts, and its meter.
const QUANTITIES: &[(&str, &str, Option<&str>)] = &[
    ("images", "images", Some("output_image_each")),
    ("characters", "characters", None),
    ("seconds", "seconds", Some("audio_second")),
    ("usage_bytes", "bytes", None),
    ("num_sessions", "sessions", None),
];

/// The bucket's period: `start_time` and `end_time`, seconds since 1970.
pub(super) fn period(bucket: &mut Members<'_>) -> Result<(Instant, Instant), Problem> {
    let mut time = |name: &str| {
        let text = bucket.text(name)?.ok_or_else(|| Problem::new(name, None, "seconds since 1970"))?;
        let instant = Instant::from_seconds_text(&text).filter(|instant| instant.is_sane());
        instant.ok_or_else(|| Problem::new(name, Some(&text), "seconds since 1970"))
    };
    Ok((time("start_time")?, time("end_time")?))
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
    let object = members.text("object")?;
    let kind = object.as_deref().and_then(|object| object.strip_prefix("organization.")?.strip_suffix(".result"));
    let kind = kind.ok_or_else(|| {
        Problem::new("object", object.as_deref(), "the name of a result, `organization.usage.completions.result` say")
    })?;
    let report = if kind == "costs" { BillingReport::Cost } else { BillingReport::Usage };
    let mut line = BillingLine::new(SOURCE, report, PROVIDER, bucket.period);
    line.shape = Some(shape.into());
    line.service = Some(kind.strip_prefix("usage.").unwrap_or(kind).into());
    line.project = members.text("project_id")?;
    line.api_key = members.text("api_key_id")?;
    line.service_tier = members.text("service_tier")?;
    line.batch = members.flag("batch")?;
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
    line.requests = members.count("num_model_requests")?.or(members.count("num_requests")?);
    for (name, unit, meter) in QUANTITIES {
        if let Some(quantity) = members.decimal(name)? {
            (line.quantity, line.quantity_unit, line.meter) = (Some(quantity), Some((*unit).into()), *meter);
        }
    }
    if line.service.as_deref() == Some("web_searches") {
        line.meters.extend(line.requests.map(|count| ("web_search_requests", whole_number(count))));
    }
    let mut tokens = Tokens {
        input: members.count("input_tokens")?,
        cache_read: members.count("input_cached_tokens")?,
        cache_write: members.count("input_cache_write_tokens")?,
        output: members.count("output_tokens")?,
        output_audio: members.count("output_audio_tokens")?,
        output_image: members.count("output_image_tokens")?,
        ..Tokens::default()
    };
    // Reports that state what was not cached count sound and pictures outside of the cache only; older ones did not say.
    let is_uncached = members.has("input_uncached_tokens") || tokens.cache_read.unwrap_or(0) == 0;
    if is_uncached {
        tokens.input_audio = members.count("input_audio_tokens")?;
        tokens.input_image = members.count("input_image_tokens")?;
    }
    let parts = [members.count("input_uncached_tokens")?, tokens.cache_read, tokens.cache_write, tokens.output];
    // Their own parts against their own total.
    tokens.total = parts.first().copied().flatten().map(|_| parts.iter().flatten().sum());
    line.tokens = tokens;
    Ok(())
}

fn cost(line: &mut BillingLine, members: &mut Members<'_>) -> Result<(), Problem> {
    let mut amount = members.object("amount")?.ok_or_else(|| Problem::new("amount", None, "an object"))?;
    let inside = |problem: Problem| problem.inside("amount");
    let value = amount.decimal("value").map_err(inside)?;
    line.billed_cost = Some(value.ok_or_else(|| Problem::new("amount.value", None, "a decimal number"))?);
    let currency = amount.text("currency").map_err(inside)?;
    line.currency = Some(currency.ok_or_else(|| Problem::new("amount.currency", None, "a currency"))?.to_uppercase());
    members.put_back("amount", amount);
    if line.billed_cost.is_some_and(Usd::is_negative) {
        line.charge_category = ChargeCategory::Credit;
    }
    line.line_item = members.text("line_item")?;
    line.quantity = members.decimal("quantity")?;
    line.quantity_unit = members.text("quantity_unit")?;
    if let Some(line_item) = &line.line_item {
        let reading = names::openai(line_item);
        line.model = reading.model;
        line.meter = reading.meter;
        line.batch = line.batch.or((reading.tier == Some("batch")).then_some(true));
        line.service_tier = line.service_tier.take().or_else(|| reading.tier.map(String::from));
    }
    let unit = line.quantity_unit.as_deref().unwrap_or_default();
    line.metered_tokens = line.quantity.and_then(|quantity| names::tokens(quantity, unit, ""));
    Ok(())
}

/// `count` as an exact quantity.
pub(super) fn whole_number(count: i64) -> Usd {
    Usd::from_pico(i128::from(count) * 1_000_000_000_000)
}
