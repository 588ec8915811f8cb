//! The logs of gateways, a file for each; here what they have in common.

pub(super) mod apisix;
pub(super) mod cloudflare;
pub(super) mod envoy;
pub(super) mod exchange;
pub(super) mod helicone;
pub(super) mod kong;
pub(super) mod portkey;

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Instant, Operation, Status, Tokens, UsageSource};

use self::exchange::{Exchange, own};
use crate::decode::capture::{add_features, is_filtered, is_refusal, note_modalities, note_model};
use crate::decode::litellm::note_embedding;
use crate::decode::messages::{elements, is_string};
use crate::decode::openai::usage::drop_placeholders;
use crate::decode::provider::{Model, known};
use crate::decode::quoted::Quoted;
use crate::decode::request::{members, tag};
use crate::decode::source::Json;

/// A word for an error is not longer than this; what is longer is a sentence that may repeat a prompt.
pub(crate) const WORD_BYTES_MAX: usize = 256;

/// The kind of call behind the path of a URL; `None` where the path tells nothing.
pub(crate) fn operation_of(path: &str) -> Option<Operation> {
    let path = path.split('?').next().unwrap_or_default();
    let kinds = [
        ("embed", Operation::Embeddings),
        ("rerank", Operation::Rerank),
        ("transcriptions", Operation::Transcription),
        ("translations", Operation::Transcription),
        ("audio/speech", Operation::Speech),
        ("images/", Operation::Image),
        ("realtime", Operation::Realtime),
        ("completions", Operation::Chat),
        ("messages", Operation::Chat),
        ("responses", Operation::Responses),
    ];
    kinds.iter().find(|(word, _)| path.contains(word)).map(|(_, operation)| *operation)
}

/// The ledger's name for what a gateway calls a provider (`OPENAI`, `azure-openai`); other names stay, in lower case.
pub(crate) fn provider(name: &str) -> Option<Cow<'static, str>> {
    let name = name.trim().to_ascii_lowercase().replace('-', "_");
    Some(Cow::Borrowed(match name.as_str() {
        "" | "custom" | "unspecified" | "unknown" | "none" => return None,
        // Words of gateways that are no prefix of a model's name anywhere.
        "azureopenai" => "azure",
        "google" => "gemini",
        "vertex" | "google_vertex_ai" | "google_vertex" => "vertex_ai",
        "grok" => "xai",
        "perplexity_ai" => "perplexity",
        "together" => "together_ai",
        "fireworks" => "fireworks_ai",
        _ => return Some(known(&name).map_or_else(|| Cow::Owned(name.replace('_', "-")), Cow::Borrowed)),
    }))
}

/// A model's name without the prefix that routes to `provider`.
pub(crate) fn model<'a>(name: Option<Cow<'a, str>>, provider: Option<&str>) -> Option<Cow<'a, str>> {
    name.map(|name| Model::of(name, provider).name)
}

/// Milliseconds between two instants, rounded; none if the later one is earlier.
pub(crate) fn millis_between(start: Option<Instant>, end: Option<Instant>) -> Option<i64> {
    let micros = end?.micros().checked_sub(start?.micros())?;
    Some(micros.checked_add(500)?.div_euclid(1_000)).filter(|millis| *millis >= 0)
}

/// When a call that took so long was done.
pub(crate) fn completed_at(start: Option<Instant>, millis: Option<i64>) -> Option<Instant> {
    Some(Instant::from_micros(start?.micros().checked_add(millis?.checked_mul(1_000)?)?))
}

/// The members of `json`, an object or text that holds one, as tags.
pub(crate) fn tags<'a>(json: Option<Json<'a>>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    match json.and_then(Quoted::read) {
        Some(Quoted::Bare(json)) => pairs(json),
        Some(Quoted::Unquoted(json)) => pairs(&json).into_iter().map(|(key, value)| (own(key), own(value))).collect(),
        None => Vec::new(),
    }
}

fn pairs(json: Json<'_>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    members(json).into_iter().filter_map(|(key, value)| Some((key, tag(value)?))).collect()
}

/// Longer values are not labels but content.
const TAG_BYTES_MAX: usize = 256;

/// Takes what senders say about a call: who, where, what for, and the rest as tags.
pub(crate) fn note_tags<'a>(tags: Vec<(Cow<'a, str>, Cow<'a, str>)>, entry: &mut Entry<'a>) {
    for (key, value) in tags.into_iter().filter(|(_, value)| !value.is_empty() && value.len() <= TAG_BYTES_MAX) {
        let column = match key.to_ascii_lowercase().trim_start_matches('_').replace('-', "_").as_str() {
            "user" | "user_id" | "userid" | "end_user" | "end_user_id" | "enduser" => &mut entry.end_user,
            "team" | "team_id" | "team_name" | "teamid" => &mut entry.team,
            "project" | "project_id" | "project_name" => &mut entry.project,
            "env" | "environment" => &mut entry.environment,
            "workload" | "feature" | "service" | "app" | "application" => &mut entry.workload_hint,
            "session" | "session_id" | "sessionid" | "helicone_session_id" => &mut entry.session_id,
            "trace_id" | "traceid" => &mut entry.trace_id,
            _ => {
                push_tag(entry, key, value);
                continue;
            }
        };
        if column.is_none() {
            *column = Some(value.clone());
        }
        // Who somebody is stands in one place only: erasing a person must not miss a copy.
        if !key.to_ascii_lowercase().contains("user") {
            push_tag(entry, key, value);
        }
    }
}

fn push_tag<'a>(entry: &mut Entry<'a>, key: Cow<'a, str>, value: Cow<'a, str>) {
    if !entry.tags.iter().any(|(known, _)| *known == key) {
        entry.tags.push((key, value));
    }
}

/// A list of labels, or text that holds one; `key:value` is split.
pub(crate) fn labels(json: Option<Json<'_>>) -> Vec<Cow<'static, str>> {
    let Some(quoted) = json.and_then(Quoted::read) else { return Vec::new() };
    let strings = elements(quoted.json()).into_iter().filter(|element| is_string(element));
    strings.filter_map(tag).map(own).collect()
}

/// Takes over what the bodies tell and the gateway does not.
pub(crate) fn add_exchange<'a>(exchange: Exchange, entry: &mut Entry<'a>) {
    let provider = entry.provider.clone();
    let (asked, served) = (exchange.request_model, exchange.response_model);
    entry.request_model = entry.request_model.take().or_else(|| model(asked, provider.as_deref()));
    // The answer's own name is the most exact one, such as a dated version.
    entry.response_model = model(served, provider.as_deref()).or(entry.response_model.take());
    entry.service_tier = entry.service_tier.take().or(exchange.service_tier);
    entry.finish_reason = entry.finish_reason.take().or(exchange.finish_reason);
    entry.end_user = entry.end_user.take().or(exchange.end_user);
    entry.session_id = entry.session_id.take().or(exchange.session_id);
    entry.error_type = entry.error_type.take().or(exchange.error_type);
    entry.streamed = entry.streamed.or(exchange.streamed);
    entry.body = exchange.body;
    add_features(entry, exchange.features);
    match exchange.status {
        // A gateway that has counts saw the end of the stream, whatever it kept of it.
        Some(Status::Incomplete) if entry.status == Status::Success && entry.tokens.is_absent() => {
            entry.status = Status::Incomplete;
        }
        // An error under HTTP 200.
        Some(Status::Error) if entry.status == Status::Success => entry.status = Status::Error,
        _ => {}
    }
    // The answer of a hit was counted when it was first given.
    if entry.gateway_cache_hit != Some(true) {
        let new = |(name, _): &(&str, _)| !entry.meters.iter().any(|(known, _)| known == name);
        let meters = exchange.meters.into_iter().filter(new).collect::<Vec<_>>();
        entry.meters.extend(meters);
        add_counts(exchange.tokens, entry);
    }
}

/// Brings together what the gateway and what the provider counted.
///
/// Where they agree, the provider's parts complete the gateway's totals. Where the gateway has no count, or only left
/// the cache or the reasoning out, the provider's counts are the entry's. Otherwise they contradict each other: the
/// provider's count and the gateway's total stay, so that `usage_check` says so.
fn add_counts(provider: Tokens, entry: &mut Entry<'_>) {
    let provider = without_openai_lifetimes(provider, entry.provider.as_deref());
    let gateway = entry.tokens;
    if provider.is_absent() {
        return;
    }
    let equal = |one: Option<i64>, other: Option<i64>| one.is_none() || other.is_none() || one == other;
    if gateway.is_absent() {
        entry.tokens = provider;
        entry.usage_source = UsageSource::Provider;
    } else if equal(gateway.input, provider.input) && equal(gateway.output, provider.output) {
        entry.tokens = complete(gateway, provider);
    } else {
        let cache = provider.cache_read.unwrap_or(0).saturating_add(provider.cache_write.unwrap_or(0));
        let left_out = |all: Option<i64>, part: i64| all.map(|all| all.saturating_sub(part));
        let no_cache = equal(gateway.input, provider.input) || equal(gateway.input, left_out(provider.input, cache));
        let thought = provider.reasoning.unwrap_or(0);
        let no_thought =
            equal(gateway.output, provider.output) || equal(gateway.output, left_out(provider.output, thought));
        let total = gateway.input.unwrap_or(0).saturating_add(gateway.output.unwrap_or(0));
        let total = if no_cache && no_thought { provider.total } else { Some(total) };
        entry.tokens = Tokens { total, ..provider };
        entry.usage_source = UsageSource::Provider;
    }
}

/// The gateway's totals with every part that only the provider tells.
fn complete(gateway: Tokens, provider: Tokens) -> Tokens {
    // Lifetimes go together with the writes they are parts of.
    let writes =
        if gateway.cache_write.is_some() && gateway.cache_write != provider.cache_write { gateway } else { provider };
    Tokens {
        input: gateway.input.or(provider.input),
        cache_read: gateway.cache_read.or(provider.cache_read),
        cache_write: writes.cache_write.or(gateway.cache_write),
        cache_write_5m: writes.cache_write_5m,
        cache_write_30m: writes.cache_write_30m,
        cache_write_1h: writes.cache_write_1h,
        cache_write_12h: writes.cache_write_12h,
        input_audio: gateway.input_audio.or(provider.input_audio),
        input_image: gateway.input_image.or(provider.input_image),
        output: gateway.output.or(provider.output),
        reasoning: gateway.reasoning.or(provider.reasoning),
        output_audio: gateway.output_audio.or(provider.output_audio),
        output_image: gateway.output_image.or(provider.output_image),
        total: gateway.total.or(provider.total),
    }
}

/// A gateway answers in OpenAI's dialect for every vendor, but only OpenAI's caches live as OpenAI's.
fn without_openai_lifetimes(tokens: Tokens, provider: Option<&str>) -> Tokens {
    let openai = matches!(provider, Some("openai" | "azure"));
    let assumed = tokens.cache_write_5m == Some(0) && tokens.cache_write_1h == Some(0);
    if openai || !assumed || tokens.cache_write.unwrap_or(0) == 0 {
        return tokens;
    }
    Tokens { cache_write_5m: None, cache_write_30m: None, cache_write_1h: None, cache_write_12h: None, ..tokens }
}

/// How the call ended, and what follows from it. Zeros of a failure are placeholders, not counts.
///
/// `failed` is what the gateway says beside the HTTP status. To be called last.
pub(crate) fn conclude(failed: bool, entry: &mut Entry<'_>) {
    let failed = failed || entry.status == Status::Error || entry.http_status.is_some_and(|status| status >= 400);
    let refused = is_filtered(entry.finish_reason.as_deref()) || entry.error_type.as_deref().is_some_and(is_refusal);
    match (failed, refused) {
        (true, true) | (false, true) => entry.status = Status::Filtered,
        (true, false) if !matches!(entry.status, Status::Incomplete | Status::Filtered) => entry.status = Status::Error,
        _ => {}
    }
    if failed {
        let number = entry.http_status.filter(|status| *status >= 400).map(|status| Cow::Owned(status.to_string()));
        entry.error_type = entry.error_type.take().or(number);
        drop_placeholders(&mut entry.tokens);
    } else if !refused {
        entry.error_type = None;
    }
    if entry.operation == Some(Operation::Embeddings) && entry.tokens.input.is_some() {
        entry.tokens.output = entry.tokens.output.or(Some(0));
    }
    if entry.tokens.is_absent() {
        entry.usage_source = UsageSource::Absent;
    } else if entry.usage_source == UsageSource::Absent {
        entry.usage_source = UsageSource::Gateway;
    }
    entry.features.insert_if(entry.operation == Some(Operation::Realtime), Feature::Realtime);
    note_embedding(entry);
    note_model(entry);
    note_modalities(entry);
}
