//! Logs of Cloudflare AI Gateway, as its API lists and details them.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation, Status};

use super::exchange::Exchange;
use super::{add_exchange, completed_at, conclude, model, note_tags, operation_of, provider, tags};
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::scalar::{Count, Flag, HttpStatus, Text, count, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "cloudflare-ai-gateway",
    title: "Cloudflare AI Gateway",
    what: "Logs as the API lists and details them.",
    recognised_by: "`tokens_in` or `request_head`.",
    identity: "`id`.",
    stream: "Already merged; a complete body of server-sent events is read.",
    columns: &[
        ("input_tokens, output_tokens", "`tokens_in`, `tokens_out`, else the response's usage"),
        ("cache_read_input_tokens, reasoning_tokens", "the response's usage, if `response_head` is complete"),
        ("reported_cost", "`cost`, in dollars"),
        ("provider", "`provider`"),
        ("request_model, response_model", "`model`; the response's own name"),
        ("latency_ms", "`duration`, in milliseconds"),
        ("gateway_cache_hit", "`cached`, which is the gateway's cache, not a prompt cache"),
        ("end_user, tags", "`metadata`, JSON inside a string"),
    ],
    cannot_say: &[
        "Cache and reasoning, where the body is missing or was cut.",
        "Anything of Logpush's encrypted fields.",
    ],
};

object! {
    struct Log<'a> {
        id: Text<'a> = "id",
        created_at: Json<'a> = "created_at",
        provider: Text<'a> = "provider",
        model: Text<'a> = "model",
        model_type: Text<'a> = "model_type",
        path: Text<'a> = "path",
        duration: Json<'a> = "duration",
        request_type: Text<'a> = "request_type",
        response_content_type: Text<'a> = "response_content_type",
        status_code: HttpStatus = "status_code",
        success: Flag = "success",
        cached: Flag = "cached",
        tokens_in: Count = "tokens_in",
        tokens_out: Count = "tokens_out",
        cost: Json<'a> = "cost",
        metadata: Json<'a> = "metadata",
        request_head: Json<'a> = "request_head",
        request_head_complete: Flag = "request_head_complete",
        response_head: Json<'a> = "response_head",
        response_head_complete: Flag = "response_head_complete",
        // Whoever fetches the bodies adds them under the names of the API.
        request: Json<'a> = "request",
        response: Json<'a> = "response",
    }
    ignoring ["custom_cost", "request_content_type", "request_size", "response_size", "gateway_id"]
}

/// Decodes one log.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut log: Log<'a> = source.parse(source.text())?;
    let is_one =
        log.tokens_in.is_some() || log.cached.is_some() || log.request_head.is_some() || log.duration.is_some();
    if !is_one || log.provider.is_none() && log.model.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::CloudflareAiGateway);
        let missing = "`provider` or `model`, with `tokens_in`, `cached`, `duration` or `request_head`";
        return Err(DecodeError::WrongFormat { format: Format::CloudflareAiGateway, missing, looks_like });
    }
    let path = present(log.path.take());
    let kinds = [path.as_deref(), log.request_type.as_ref().map(|kind| kind.0.as_ref())];
    let operation = kinds.into_iter().flatten().find_map(operation_of);
    let mut entry = Entry::new("cloudflare", operation.unwrap_or(Operation::Chat), raw);
    let mut extra = Extra::default();
    extra.add("", &log.unknown);
    entry.gateway = Some(Cow::Borrowed("cloudflare"));
    entry.event_id = present(log.id.take());
    entry.started_at = source.epoch(log.created_at)?;
    entry.latency_ms = source.millis(log.duration)?;
    entry.completed_at = completed_at(entry.started_at, entry.latency_ms);
    entry.http_status = log.status_code.and_then(|status| status.0);
    // The gateway's own cache; a provider's prompt cache shows only in the body.
    entry.gateway_cache_hit = flag(log.cached);
    entry.reported_cost = source.decimal(log.cost)?;
    entry.reported_currency = entry.reported_cost.map(|_| "USD");
    let event_stream = log.response_content_type.as_ref().is_some_and(|kind| kind.0.contains("event-stream"));
    entry.streamed = event_stream.then_some(true);
    entry.provider = present(log.provider.take()).and_then(|name| provider(&name));
    entry.request_model = model(present(log.model.take()), entry.provider.as_deref());
    entry.tokens.input = count(log.tokens_in);
    entry.tokens.output = count(log.tokens_out);
    note_tags(tags(log.metadata), &mut entry);
    // A head that was cut is no JSON any more; one that merely looks whole may lack its end.
    let request = log.request.or(log.request_head.filter(|_| flag(log.request_head_complete) != Some(false)));
    let response = log.response.or(log.response_head.filter(|_| flag(log.response_head_complete) != Some(false)));
    let mut exchange = Exchange::read((request, response), path.as_deref(), options);
    // The log names the model that was asked for.
    let asked = exchange.request_model.take();
    entry.request_model = entry.request_model.take().or_else(|| model(asked, entry.provider.as_deref()));
    add_exchange(exchange, &mut entry);
    // What its guardrails answer in place of a prompt or of an answer they blocked.
    if matches!(entry.error_type.as_deref(), Some("2016" | "2017")) {
        entry.status = Status::Filtered;
        entry.features.insert(Feature::Guardrails);
    }
    conclude(flag(log.success) == Some(false), &mut entry);
    entry.extra = extra.into_json();
    Ok(entry)
}
