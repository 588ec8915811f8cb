//! Portkey's logs: lines of an export, log objects of its API, and logs inserted there.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation, Status};

use super::exchange::{Exchange, own};
use super::{add_exchange, completed_at, conclude, model, note_tags, operation_of, provider, tags};
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::messages::{elements, shape};
use crate::decode::object::object;
use crate::decode::provider::Host;
use crate::decode::quoted::Quoted;
use crate::decode::request::tag;
use crate::decode::scalar::{Flag, HttpStatus, Text, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::writer::push_string;
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "portkey",
    title: "Portkey",
    what: "Lines of a log export, log objects of the API, and logs inserted over it.",
    recognised_by: "`ai_org`, `ai_model` or `req_units`; inserted logs only if the format is stated.",
    identity: "`id`, else the span. Each attempt of a retry or fallback is a log of its own.",
    stream: "Already merged.",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`req_units`, `res_units`, with the cache inside for every provider; else the response's usage",
        ),
        ("cache_read_input_tokens, reasoning_tokens", "the response's usage, if bodies are exported"),
        ("reported_cost", "`cost`, which is in cents"),
        ("provider", "`ai_org`, else the host of `request_url`"),
        ("request_model, response_model", "the request's model; the response's, else `ai_model`"),
        ("latency_ms", "`response_time`"),
        ("gateway_cache_hit", "`cache_status`"),
        ("streamed", "`stream_mode`"),
        ("end_user, tags", "`metadata`, an object or parallel lists; `_user` is the end user"),
        ("api_key_alias", "`virtual_key`, else `api_key_id`"),
        ("status", "`is_success`, the HTTP status; 446 is a guardrail's refusal"),
    ],
    cannot_say: &["Lifetimes of cache writes.", "The parts of the counts, where bodies are not exported."],
};

object! {
    struct Log<'a> {
        id: Text<'a> = "id" | "_id",
        trace_id: Text<'a> = "trace_id",
        created_at: Json<'a> = "created_at",
        request: Json<'a> = "request",
        response: Json<'a> = "response",
        is_success: Flag = "is_success",
        ai_org: Text<'a> = "ai_org",
        ai_model: Text<'a> = "ai_model",
        req_units: Json<'a> = "req_units",
        res_units: Json<'a> = "res_units",
        total_units: Json<'a> = "total_units",
        cost: Json<'a> = "cost",
        cost_currency: Text<'a> = "cost_currency",
        response_time: Json<'a> = "response_time",
        response_status_code: HttpStatus = "response_status_code",
        request_url: Text<'a> = "request_url",
        metadata: Json<'a> = "metadata",
        metadata_keys: Json<'a> = "metadata.key",
        metadata_values: Json<'a> = "metadata.value",
        cache_status: Text<'a> = "cache_status",
        stream_mode: Flag = "stream_mode",
        time_to_first_token: Json<'a> = "time_to_first_token",
        api_key_id: Text<'a> = "api_key_id",
        virtual_key: Text<'a> = "virtual_key",
        workspace: Text<'a> = "workspace_slug",
        prompt_slug: Text<'a> = "prompt_slug",
        mode: Text<'a> = "mode",
        config: Text<'a> = "config",
    }
    // Of its own tables; copies of the bodies before and after it rewrote them.
    ignoring [
        "organisation_id", "metrics", "finalUntransformedRequest", "originalResponse", "transformedRequest", "cache_type",
        "request_method", "request_headers", "response_headers", "config_id", "prompt_id", "prompt_version_id",
        "gateway_processing_time", "upstream_response_time", "span_id", "span_name", "parent_span_id", "user_id",
    ]
}

object! {
    /// Request or response of an inserted log: the body among what goes around it.
    struct Wrapped<'a> {
        url: Text<'a> = "url",
        provider: Text<'a> = "provider",
        body: Json<'a> = "body",
        status: HttpStatus = "status",
        response_time: Json<'a> = "response_time" | "time",
        streaming: Flag = "streamingMode",
    }
    ignoring ["headers", "method"]
}

object! {
    /// Tracing in the metadata of an inserted log.
    struct Tracing<'a> {
        trace_id: Text<'a> = "traceId" | "trace_id",
        span_id: Text<'a> = "spanId" | "span_id",
    }
}

/// Decodes one log.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut log: Log<'a> = source.parse(source.text())?;
    let asked = log.request.and_then(wrapped);
    let answered = log.response.and_then(wrapped).filter(|_| asked.is_some());
    if log.ai_org.is_none() && log.ai_model.is_none() && log.req_units.is_none() && asked.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::Portkey);
        let missing = "`ai_org`, `ai_model` or `req_units`, nor a `request` with `url` and `body`";
        return Err(DecodeError::WrongFormat { format: Format::Portkey, missing, looks_like });
    }
    let (asked, answered) = (asked.unwrap_or_default(), answered.unwrap_or_default());
    let url = present(log.request_url.take()).or_else(|| present(asked.url.clone()));
    let path = url.as_deref().map(path_of);
    let mut entry = Entry::new("portkey", path.and_then(operation_of).unwrap_or(Operation::Chat), raw);
    let mut extra = Extra::default();
    extra.add("", &log.unknown);
    entry.gateway = Some(Cow::Borrowed("portkey"));
    entry.event_id = present(log.id.take());
    entry.trace_id = present(log.trace_id.take());
    entry.started_at = source.epoch(log.created_at)?;
    entry.latency_ms = source.millis(log.response_time.or(answered.response_time))?;
    entry.completed_at = completed_at(entry.started_at, entry.latency_ms);
    entry.ttft_ms = source.millis(log.time_to_first_token)?;
    entry.http_status = log.response_status_code.or(answered.status).and_then(|status| status.0);
    entry.streamed = flag(log.stream_mode).or(flag(answered.streaming));
    note_cache(log.cache_status.as_ref(), &mut entry);
    note_cost(source, &log, &mut extra, &mut entry)?;
    let stated = log.ai_org.take().or(asked.provider).and_then(|name| provider(&name.0));
    let host = url.as_deref().map(Host::of).unwrap_or_default();
    entry.region = host.region.map(|region| Cow::Owned(region.to_owned()));
    entry.provider = stated.or(host.provider.map(Cow::Borrowed));
    entry.response_model = model(present(log.ai_model.take()), entry.provider.as_deref());
    entry.tokens.input = source.units(log.req_units)?;
    entry.tokens.output = source.units(log.res_units)?;
    entry.tokens.total = source.units(log.total_units)?;
    attribute(&mut log, &mut entry);
    let bodies = (asked.body.or(log.request), answered.body.or(log.response));
    add_exchange(Exchange::read(bodies, path, options), &mut entry);
    // A guardrail's own statuses: 446 denied the request, 246 let it pass with a note.
    let guarded = matches!(entry.http_status, Some(246 | 446));
    entry.features.insert_if(guarded, Feature::Guardrails);
    let failed = flag(log.is_success) == Some(false);
    if entry.http_status == Some(446) {
        entry.status = Status::Filtered;
    }
    conclude(failed, &mut entry);
    entry.extra = extra.into_json();
    Ok(entry)
}

/// What stands around a body, if the log was inserted from outside: exports have the body itself.
fn wrapped(json: Json<'_>) -> Option<Wrapped<'_>> {
    shape::<Wrapped<'_>>(json)
        .filter(|wrapped| wrapped.body.is_some() && (wrapped.url.is_some() || wrapped.status.is_some()))
}

/// The path of a URL.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
}

/// `HIT`, `SEMANTIC HIT`, `MISS`; `DISABLED` and other words are no answer of a cache.
fn note_cache(status: Option<&Text<'_>>, entry: &mut Entry<'_>) {
    let word = status.map(|status| status.0.to_ascii_uppercase()).unwrap_or_default();
    entry.gateway_cache_hit = match word.as_str() {
        word if word.ends_with("HIT") => Some(true),
        "MISS" | "SEMANTIC MISS" | "REFRESH" | "DISABLED" => Some(false),
        _ => None,
    };
}

/// The cost is in cents. Another currency than dollars has no column.
fn note_cost<'a>(
    source: &Source<'a>,
    log: &Log<'a>,
    extra: &mut Extra<'a>,
    entry: &mut Entry<'a>,
) -> Result<(), DecodeError> {
    let cost = source.cents(log.cost)?;
    match log.cost_currency.as_ref().filter(|currency| !currency.0.is_empty() && currency.0 != "USD") {
        Some(currency) => {
            let mut text = String::new();
            push_string(&mut text, &currency.0);
            extra.copy("cost_currency".to_owned(), &text);
            log.cost.into_iter().for_each(|cost| extra.member("cost".to_owned(), cost.get()));
        }
        None => entry.reported_cost = cost,
    }
    entry.reported_currency = entry.reported_cost.map(|_| "USD");
    Ok(())
}

/// Whose call it was: metadata as an object, as text, or as parallel lists of keys and values.
fn attribute<'a>(log: &mut Log<'a>, entry: &mut Entry<'a>) {
    note_tags(tags(log.metadata), entry);
    if let Some(quoted) = log.metadata.and_then(Quoted::read) {
        let tracing = shape::<Tracing<'_>>(quoted.json()).unwrap_or_default();
        entry.trace_id = entry.trace_id.take().or_else(|| present(tracing.trace_id).map(own));
        // An inserted log has no id of its own: its span has.
        entry.event_id = entry.event_id.take().or_else(|| present(tracing.span_id).map(own));
    }
    let list = |json: Option<Json<'a>>| json.map(elements).unwrap_or_default().into_iter().map(tag);
    let pairs = list(log.metadata_keys).zip(list(log.metadata_values));
    note_tags(pairs.filter_map(|(key, value)| Some((key?, value?))).collect(), entry);
    // Portkey's virtual keys and key ids name a key; neither is one.
    entry.api_key_alias = present(log.virtual_key.take()).or_else(|| present(log.api_key_id.take()));
    entry.project = entry.project.take().or_else(|| present(log.workspace.take()));
    let more = [("prompt_slug", log.prompt_slug.take()), ("mode", log.mode.take()), ("config", log.config.take())];
    let more = more.into_iter().filter_map(|(key, value)| Some((Cow::Borrowed(key), present(value)?)));
    note_tags(more.collect(), entry);
}
