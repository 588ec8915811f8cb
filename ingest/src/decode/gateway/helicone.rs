//! Helicone's requests: rows of its query API and webhooks, and the messages of its own queue.

use std::borrow::Cow;

use daybook_ledger::{Entry, Operation, Status, Tokens, UsageSource, Usd};

use super::exchange::Exchange;
use super::{add_exchange, completed_at, conclude, model, note_tags, operation_of, provider, tags};
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::openai::usage::sum;
use crate::decode::provider::Host;
use crate::decode::scalar::{Count, Flag, Text, count, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "helicone",
    title: "Helicone",
    what: "Rows of the query API, webhooks, and messages of Helicone's own queue, which have no counts.",
    recognised_by: "a key only Helicone has (`cache_reference_id`, `request_user_id`, `prompt_cache_read_tokens`, `heliconeMeta`, ...).",
    identity: "`request_id`.",
    stream: "Already merged.",
    columns: &[
        (
            "input_tokens",
            "`prompt_tokens` + `prompt_cache_read_tokens` + `prompt_cache_write_tokens`, for they exclude each other; a prompt of exactly the cache's size already holds it",
        ),
        ("output_tokens", "`completion_tokens` + `reasoning_tokens`"),
        ("cache_write_input_tokens", "`prompt_cache_write_tokens`, all lifetimes"),
        (
            "reported_cost",
            "`costUSD`, else `cost`, in dollars; a whole number from 1000 on is billionths of a dollar, as in its own table",
        ),
        ("provider", "`provider`, else the host of `target_url`"),
        ("latency_ms, ttft_ms", "`delay_ms`, `time_to_first_token`"),
        ("gateway_cache_hit", "a `cache_reference_id` that is not all zeros; every count is then 0"),
        ("status", "`response_status`; -2 is pending, -3 cancelled, -4 a threat"),
        ("end_user, team, tags", "`request_user_id`; `properties`"),
    ],
    cannot_say: &["Lifetimes of cache writes.", "What the answer of a cache hit would have counted."],
};

object! {
    struct Row<'a> {
        request_id: Text<'a> = "request_id",
        request_created_at: Json<'a> = "request_created_at",
        response_created_at: Json<'a> = "response_created_at",
        response_status: Count = "response_status",
        request_model: Text<'a> = "request_model",
        response_model: Text<'a> = "response_model",
        model: Text<'a> = "model",
        model_override: Text<'a> = "model_override",
        provider: Text<'a> = "provider",
        request_path: Text<'a> = "request_path",
        target_url: Text<'a> = "target_url",
        request_user_id: Text<'a> = "request_user_id",
        user_id: Text<'a> = "user_id" | "helicone_user",
        request_properties: Json<'a> = "request_properties",
        properties: Json<'a> = "properties",
        delay_ms: Json<'a> = "delay_ms",
        time_to_first_token: Json<'a> = "time_to_first_token",
        prompt_tokens: Count = "prompt_tokens",
        cache_read: Count = "prompt_cache_read_tokens",
        cache_write: Count = "prompt_cache_write_tokens",
        input_audio: Count = "prompt_audio_tokens",
        completion_tokens: Count = "completion_tokens",
        output_audio: Count = "completion_audio_tokens",
        reasoning_tokens: Count = "reasoning_tokens",
        total_tokens: Count = "total_tokens",
        cost: Json<'a> = "cost",
        cost_usd: Json<'a> = "costUSD" | "cost_usd",
        cache_reference_id: Text<'a> = "cache_reference_id",
        is_stream: Flag = "is_stream" | "request_is_stream",
        request_body: Json<'a> = "request_body",
        response_body: Json<'a> = "response_body",
        prompt_id: Text<'a> = "prompt_id",
        /// Of a webhook.
        metadata: Webhook<'a> = "metadata",
        /// Of its own queue.
        meta: Meta<'a> = "heliconeMeta",
        log: Queued<'a> = "log",
    }
    // Links with a signature, credentials, addresses, and what Helicone makes of the bodies.
    ignoring [
        "authorization", "response_id", "signed_body_url", "request_response_url", "storage_location", "country_code",
        "llmSchema", "assets", "asset_ids", "asset_urls", "scores", "feedback_created_at", "feedback_id",
        "feedback_rating", "prompt_version", "cache_enabled", "updated_at", "size_bytes", "request_referrer",
        "ai_gateway_body_mapping", "auth_hash", "organization_id", "request_ip",
    ]
}

object! {
    struct Webhook<'a> {
        model: Text<'a> = "model",
        provider: Text<'a> = "provider",
        prompt_tokens: Count = "promptTokens",
        completion_tokens: Count = "completionTokens",
        total_tokens: Count = "totalTokens",
        cost: Json<'a> = "cost",
        latency: Json<'a> = "latencyMs",
    }
}

object! {
    struct Meta<'a> {
        model: Text<'a> = "gatewayModel",
        provider: Text<'a> = "gatewayProvider",
        provider_model: Text<'a> = "providerModelId",
        model_override: Text<'a> = "modelOverride",
    }
    // Settings of Helicone, credentials among them.
    ignoring [
        "omitRequestLog", "omitResponseLog", "webhookEnabled", "posthogApiKey", "posthogHost", "lytixKey", "lytixHost",
        "promptId", "promptEnvironment", "promptVersionId", "promptInputs", "heliconeManualAccessKey",
        "stripeCustomerId", "gatewayRouterId", "gatewayDeploymentTarget", "isPassthroughBilling", "aiGatewayBodyMapping",
    ]
}

object! {
    struct Queued<'a> {
        request: QueuedRequest<'a> = "request",
        response: QueuedResponse<'a> = "response",
    }
}

object! {
    struct QueuedRequest<'a> {
        id: Text<'a> = "id",
        user_id: Text<'a> = "userId",
        provider: Text<'a> = "provider",
        path: Text<'a> = "path",
        target_url: Text<'a> = "targetUrl",
        is_stream: Flag = "isStream",
        created_at: Json<'a> = "requestCreatedAt",
        properties: Json<'a> = "properties",
        cache_reference_id: Text<'a> = "cacheReferenceId",
    }
    ignoring [
        "promptId", "promptVersion", "heliconeApiKeyId", "heliconeProxyKeyId", "bodySize", "threat", "countryCode",
        "heliconeTemplate", "experimentColumnId", "experimentRowIndex", "cacheEnabled", "cacheSeed",
        "cacheBucketMaxSize", "cacheControl", "requestReferrer",
    ]
}

object! {
    struct QueuedResponse<'a> {
        status: Count = "status",
        time_to_first_token: Json<'a> = "timeToFirstToken",
        created_at: Json<'a> = "responseCreatedAt",
        delay: Json<'a> = "delayMs",
        cost: Json<'a> = "cost",
    }
    ignoring ["id", "bodySize", "cachedLatency"]
}

/// Decodes one request.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut row: Row<'a> = source.parse(source.text())?;
    let mut extra = Extra::default();
    extra.add("", &row.unknown);
    flatten(&mut row, &mut extra);
    if row.request_id.is_none() || row.request_path.is_none() && row.provider.is_none() && row.model.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::Helicone);
        let missing = "`request_id` with `provider`, `model` or `request_path`, nor a `log`";
        return Err(DecodeError::WrongFormat { format: Format::Helicone, missing, looks_like });
    }
    let path = present(row.request_path.take());
    let mut entry = Entry::new("helicone", path.as_deref().and_then(operation_of).unwrap_or(Operation::Chat), raw);
    entry.gateway = Some(Cow::Borrowed("helicone"));
    entry.event_id = present(row.request_id.take());
    entry.started_at = source.epoch(row.request_created_at)?;
    entry.latency_ms = source.millis(row.delay_ms)?;
    let reported = source.epoch(row.response_created_at)?;
    entry.completed_at = reported.or(completed_at(entry.started_at, entry.latency_ms));
    entry.ttft_ms = source.millis(row.time_to_first_token)?;
    entry.streamed = flag(row.is_stream);
    entry.gateway_cache_hit = row.cache_reference_id.as_ref().map(|id| is_reference(&id.0));
    entry.reported_cost = match source.decimal(row.cost_usd)? {
        Some(cost) => Some(cost),
        None => source.decimal(row.cost)?.map(dollars),
    };
    entry.reported_currency = entry.reported_cost.map(|_| "USD");
    name_models(&mut row, &mut entry);
    entry.tokens = tokens(&row);
    attribute(&mut row, &mut entry);
    let failed = note_status(row.response_status, &mut entry);
    let exchange = Exchange::read((row.request_body, row.response_body), path.as_deref(), options);
    note_bodies(exchange, &mut entry);
    conclude(failed, &mut entry);
    entry.extra = extra.into_json();
    Ok(entry)
}

/// Brings a webhook's metadata and a message of the queue into the row's own members.
fn flatten<'a>(row: &mut Row<'a>, extra: &mut Extra<'a>) {
    if let Some(webhook) = row.metadata.take() {
        extra.add("metadata", &webhook.unknown);
        row.model = row.model.take().or(webhook.model);
        row.provider = row.provider.take().or(webhook.provider);
        row.prompt_tokens = row.prompt_tokens.or(webhook.prompt_tokens);
        row.completion_tokens = row.completion_tokens.or(webhook.completion_tokens);
        row.total_tokens = row.total_tokens.or(webhook.total_tokens);
        row.cost = row.cost.or(webhook.cost);
        row.delay_ms = row.delay_ms.or(webhook.latency);
    }
    if let Some(meta) = row.meta.take() {
        extra.add("heliconeMeta", &meta.unknown);
        row.model = row.model.take().or(meta.model).or(meta.provider_model);
        row.provider = row.provider.take().or(meta.provider);
        row.model_override = row.model_override.take().or(meta.model_override);
    }
    let Some(log) = row.log.take() else { return };
    if let Some(request) = log.request {
        extra.add("log.request", &request.unknown);
        row.request_id = row.request_id.take().or(request.id);
        row.user_id = row.user_id.take().or(request.user_id);
        row.provider = row.provider.take().or(request.provider);
        row.request_path = row.request_path.take().or(request.path);
        row.target_url = row.target_url.take().or(request.target_url);
        row.is_stream = row.is_stream.or(request.is_stream);
        row.request_created_at = row.request_created_at.or(request.created_at);
        row.properties = row.properties.or(request.properties);
        row.cache_reference_id = row.cache_reference_id.take().or(request.cache_reference_id);
    }
    if let Some(response) = log.response {
        extra.add("log.response", &response.unknown);
        row.response_status = row.response_status.or(response.status);
        row.time_to_first_token = row.time_to_first_token.or(response.time_to_first_token);
        row.response_created_at = row.response_created_at.or(response.created_at);
        row.delay_ms = row.delay_ms.or(response.delay);
        row.cost = row.cost.or(response.cost);
    }
}

/// The cost as dollars. Helicone's own table has billionths of a dollar as a whole number, its API has dollars; no call
/// costs a thousand of those.
fn dollars(cost: Usd) -> Usd {
    const ONE: i128 = 1_000_000_000_000;
    let is_whole = cost.pico() % ONE == 0;
    if is_whole && cost.pico() >= 1_000 * ONE { Usd::from_pico(cost.pico() / 1_000_000_000) } else { cost }
}

/// Whether the id of a cached answer is one: without a hit it is missing or all zeros.
fn is_reference(id: &str) -> bool {
    id.bytes().any(|byte| byte != b'0' && byte != b'-')
}

fn name_models<'a>(row: &mut Row<'a>, entry: &mut Entry<'a>) {
    let host = row.target_url.as_ref().map(|url| Host::of(&url.0)).unwrap_or_default();
    let stated = present(row.provider.take()).and_then(|name| provider(&name));
    entry.region = host.region.map(|region| Cow::Owned(region.to_owned()));
    // `GOOGLE` is AI Studio as well as Vertex: only the host tells.
    let google = stated.as_deref() == Some("gemini") && host.provider == Some("vertex_ai");
    let named = host.provider.map(Cow::Borrowed);
    entry.provider = if google { named } else { stated.or(named) };
    let provider = entry.provider.clone();
    let name = |member: &mut Option<Text<'a>>| model(present(member.take()), provider.as_deref());
    entry.request_model = name(&mut row.request_model);
    let overridden = name(&mut row.model_override);
    entry.response_model = name(&mut row.response_model).or(overridden).or_else(|| name(&mut row.model));
}

/// Parts that exclude each other become totals with parts inside.
///
/// When Helicone finds no fresh input it writes the provider's own prompt count instead, which holds the cache: a prompt
/// of exactly as many tokens as the cache gave is that.
fn tokens(row: &Row<'_>) -> Tokens {
    let (cache_read, cache_write) = (count(row.cache_read), count(row.cache_write));
    let (prompt, completion) = (count(row.prompt_tokens), count(row.completion_tokens));
    let reasoning = count(row.reasoning_tokens);
    let cached = sum(&[cache_read, cache_write]).unwrap_or(0);
    let holds_cache = cached > 0 && prompt == Some(cached);
    let input =
        if holds_cache { prompt } else { prompt.and_then(|prompt| sum(&[Some(prompt), cache_read, cache_write])) };
    let output = sum(&[completion, completion.and(reasoning)]);
    // Its own total leaves the cache out, and in older rows the reasoning.
    let own = sum(&[prompt, completion, reasoning]);
    let total = match count(row.total_tokens) {
        total if total == own || total == sum(&[prompt, completion]) => sum(&[input, output]),
        Some(total) if holds_cache => Some(total),
        Some(total) => Some(total.saturating_add(cached)).filter(|_| Some(total) != sum(&[own, Some(cached)])),
        None => None,
    };
    Tokens {
        input,
        cache_read,
        cache_write,
        input_audio: count(row.input_audio),
        output,
        reasoning,
        output_audio: count(row.output_audio),
        total,
        ..Tokens::default()
    }
}

fn attribute<'a>(row: &mut Row<'a>, entry: &mut Entry<'a>) {
    entry.end_user = present(row.request_user_id.take()).or_else(|| present(row.user_id.take()));
    // Both hold the same.
    note_tags(tags(row.request_properties.or(row.properties)), entry);
    if let Some(prompt) = present(row.prompt_id.take()) {
        note_tags(vec![(Cow::Borrowed("prompt_id"), prompt)], entry);
    }
}

/// Statuses below zero are Helicone's own. Gives whether the call failed.
fn note_status(status: Option<Count>, entry: &mut Entry<'_>) -> bool {
    match count(status) {
        Some(-2) => entry.status = Status::Pending,
        Some(-3) => entry.status = Status::Incomplete,
        Some(-4) => {
            entry.status = Status::Filtered;
            entry.error_type = Some(Cow::Borrowed("threat"));
            return true;
        }
        Some(status) if status < 0 => return true,
        status => {
            entry.http_status = status.and_then(|status| u16::try_from(status).ok()).filter(|status| *status >= 100)
        }
    }
    false
}

/// On a hit of its cache Helicone forces every count to zero, and the body is that of the call which filled the cache.
fn note_bodies<'a>(exchange: Exchange, entry: &mut Entry<'a>) {
    let hit = entry.gateway_cache_hit == Some(true);
    // Cancelled and pending calls have zeros for what is not known yet.
    let unfinished = matches!(entry.status, Status::Pending | Status::Incomplete);
    if !hit && (unfinished || exchange.status == Some(Status::Incomplete)) {
        crate::decode::openai::usage::drop_placeholders(&mut entry.tokens);
    }
    add_exchange(exchange, entry);
    if hit && !entry.tokens.is_absent() {
        entry.usage_source = UsageSource::Gateway;
    }
}
