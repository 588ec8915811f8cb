//! Log entries of Apache APISIX with `ai-proxy` or `ai-proxy-multi`, as its Kafka and HTTP loggers send them.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation, Tokens};
use serde_json::value::RawValue;

use super::exchange::Exchange;
use super::{add_exchange, completed_at, conclude, model, operation_of};
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::openai::usage::{drop_placeholders, sum};
use crate::decode::provider::Host;
use crate::decode::scalar::{Count, Flag, HttpStatus, Text, count, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::writer::Writer;
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "apisix",
    title: "Apache APISIX ai-proxy",
    what: "What APISIX's loggers send, one object or a list of them, with the summary of `ai-proxy`; an operator's own log format with the `llm_*` variables too. Other traffic has no entry.",
    recognised_by: "`llm_summary`, `apisix_latency` or `request_llm_model`.",
    identity: "the bytes of the log entry: it has no id.",
    stream: "Already merged.",
    columns: &[
        (
            "input_tokens",
            "`prompt_tokens`; on `/v1/messages`, and where only that explains the numbers, plus the cache, which it leaves out there",
        ),
        ("output_tokens, reasoning_tokens", "`completion_tokens`, `reasoning_tokens`"),
        ("cache_read_input_tokens", "`cache_read_input_tokens`"),
        ("cache_write_input_tokens", "`cache_creation_input_tokens`"),
        ("provider, region", "the host of `upstream`, the last one after retries"),
        ("latency_ms, ttft_ms", "`latency`; `llm_summary.duration`, which is the time to the first token"),
        ("streamed", "`stream`, text"),
        ("end_user, api_key_alias", "`end_user_id`, else the consumer; the consumer"),
    ],
    cannot_say: &[
        "Usage where every count is zero or `\"0\"`: that is what is written when none was seen.",
        "Cache writes of OpenAI, which it does not read; the cache of Bedrock before a fix of October 2026.",
        "The provider, where the upstream is an address.",
    ],
};

object! {
    struct Log<'a> {
        request: Request<'a> = "request",
        response: Response<'a> = "response",
        upstream: Text<'a> = "upstream",
        service_id: Text<'a> = "service_id",
        route_id: Text<'a> = "route_id",
        consumer: Consumer<'a> = "consumer",
        start_time: Json<'a> = "start_time" | "@timestamp" | "timestamp",
        latency: Json<'a> = "latency",
        summary: Summary<'a> = "llm_summary",
        said: Said<'a> = "llm_request",
        answered: Answered<'a> = "llm_response_text",
        // A log format of the operator's own has the variables one by one.
        request_model: Text<'a> = "request_llm_model",
        model: Text<'a> = "llm_model",
        prompt_tokens: Count = "llm_prompt_tokens",
        completion_tokens: Count = "llm_completion_tokens",
        total_tokens: Count = "llm_total_tokens",
        cache_read: Count = "llm_cache_read_input_tokens",
        cache_write: Count = "llm_cache_creation_input_tokens",
        reasoning_tokens: Count = "llm_reasoning_tokens",
        first_token: Json<'a> = "llm_time_to_first_token",
        request_type: Text<'a> = "request_type",
        uri: Text<'a> = "uri" | "request_uri",
        status: HttpStatus = "status",
    }
    // Of the proxy, not of the call; addresses are people.
    ignoring ["server", "client_ip", "upstream_latency", "apisix_latency", "host"]
}

object! {
    struct Request<'a> {
        uri: Text<'a> = "uri",
        url: Text<'a> = "url",
        body: Json<'a> = "body",
    }
    // Headers hold keys.
    ignoring ["headers", "method", "querystring", "size", "body_file"]
}

object! {
    struct Response<'a> {
        status: HttpStatus = "status",
        body: Json<'a> = "body",
    }
    ignoring ["headers", "size"]
}

object! {
    struct Consumer<'a> {
        username: Text<'a> = "username",
    }
}

object! {
    /// Numbers after an answer was read, texts of them (NGINX's defaults) otherwise.
    struct Summary<'a> {
        request_model: Text<'a> = "request_model",
        model: Text<'a> = "model",
        /// To the first token.
        duration: Json<'a> = "duration",
        prompt_tokens: Count = "prompt_tokens",
        completion_tokens: Count = "completion_tokens",
        total_tokens: Count = "total_tokens",
        stream: Flag = "stream",
        tool_count: Count = "tool_count",
        has_tool_calls: Flag = "has_tool_calls",
        end_user_id: Text<'a> = "end_user_id",
        cache_read: Count = "cache_read_input_tokens",
        cache_write: Count = "cache_creation_input_tokens",
        reasoning_tokens: Count = "reasoning_tokens",
        content_risk_level: Text<'a> = "content_risk_level",
    }
    ignoring ["upstream_response_time"]
}

object! {
    struct Said<'a> {
        messages: Json<'a> = "messages",
        stream: Flag = "stream",
    }
}

object! {
    struct Answered<'a> {
        content: Json<'a> = "content",
    }
}

/// Decodes one log entry; other traffic of the gateway has no entry.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Option<Entry<'a>>, DecodeError> {
    let mut log: Log<'a> = source.parse(source.text())?;
    let is_call = log.summary.is_some() || log.model.is_some() || log.request_model.is_some();
    if !is_call && log.prompt_tokens.is_none() {
        let is_log = log.request.is_some() && log.start_time.is_some() || log.route_id.is_some();
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::Apisix);
        let missing = "`llm_summary`, nor `request` and `start_time`";
        let wrong = DecodeError::WrongFormat { format: Format::Apisix, missing, looks_like };
        return if is_log { Ok(None) } else { Err(wrong) };
    }
    let mut extra = Extra::default();
    extra.add("", &log.unknown);
    let summary = merge(&mut log);
    extra.add("llm_summary", &summary.unknown);
    let request = log.request.take().unwrap_or_default();
    let response = log.response.take().unwrap_or_default();
    let uri = present(request.uri).or_else(|| present(request.url)).or_else(|| present(log.uri.take()));
    let path = uri.as_deref().map(|uri| uri.split('?').next().unwrap_or_default());
    let mut entry = Entry::new("apisix", path.and_then(operation_of).unwrap_or(Operation::Chat), raw);
    entry.gateway = Some(Cow::Borrowed("apisix"));
    entry.started_at = source.epoch(log.start_time)?;
    entry.latency_ms = source.millis(log.latency)?;
    entry.completed_at = completed_at(entry.started_at, entry.latency_ms);
    entry.ttft_ms = source.millis(summary.duration)?;
    entry.http_status = response.status.or(log.status).and_then(|status| status.0);
    entry.streamed = flag(summary.stream).or(flag(log.said.as_ref().and_then(|said| said.stream)));
    // After retries the upstream is a list; the last one answered.
    let upstream = log.upstream.as_ref().and_then(|upstream| upstream.0.rsplit(',').next());
    let host = upstream.map(|upstream| Host::of(upstream.trim())).unwrap_or_default();
    entry.provider = host.provider.map(Cow::Borrowed);
    entry.region = host.region.map(|region| Cow::Owned(region.to_owned()));
    entry.tokens = tokens(&summary, path.unwrap_or_default());
    entry.features.insert_if(flag(summary.has_tool_calls) == Some(true), Feature::ToolCalling);
    entry.features.insert_if(count(summary.tool_count) > Some(0), Feature::ToolCalling);
    let judged = summary.content_risk_level.as_ref().is_some_and(|level| !level.0.is_empty() && level.0 != "none");
    entry.features.insert_if(judged, Feature::Guardrails);
    entry.request_model = model(present(summary.request_model), entry.provider.as_deref());
    entry.response_model = model(present(summary.model), entry.provider.as_deref());
    attribute(&mut log.consumer, present(summary.end_user_id), &mut entry);
    let places = [("route_id", present(log.route_id.take())), ("service_id", present(log.service_id.take()))];
    entry.tags.extend(places.into_iter().filter_map(|(key, value)| Some((Cow::Borrowed(key), value?))));
    let (said, answered) = (said(log.said.as_ref()), answered(log.answered.as_ref()));
    let bodies = (request.body.or(said.as_deref()), response.body.or(answered.as_deref()));
    add_exchange(Exchange::read(bodies, path, options), &mut entry);
    conclude(false, &mut entry);
    entry.extra = extra.into_json();
    Ok(Some(entry))
}

/// The summary, or what an operator's own format has of it.
fn merge<'a>(log: &mut Log<'a>) -> Summary<'a> {
    let mut summary = log.summary.take().unwrap_or_default();
    summary.request_model = summary.request_model.take().or(log.request_model.take());
    summary.model = summary.model.take().or(log.model.take());
    summary.prompt_tokens = summary.prompt_tokens.or(log.prompt_tokens);
    summary.completion_tokens = summary.completion_tokens.or(log.completion_tokens);
    summary.total_tokens = summary.total_tokens.or(log.total_tokens);
    summary.cache_read = summary.cache_read.or(log.cache_read);
    summary.cache_write = summary.cache_write.or(log.cache_write);
    summary.reasoning_tokens = summary.reasoning_tokens.or(log.reasoning_tokens);
    summary.duration = summary.duration.or(log.first_token);
    let kind = log.request_type.as_ref().map(|kind| kind.0.as_ref());
    let streamed = kind.filter(|kind| kind.starts_with("ai_")).map(|kind| Flag(Some(kind == "ai_stream")));
    summary.stream = summary.stream.or(streamed);
    summary
}

/// On Anthropic's protocol the prompt count leaves the cache out; on OpenAI's it holds it. Numbers that only one reading
/// explains decide where the path does not.
fn tokens(summary: &Summary<'_>, path: &str) -> Tokens {
    let (prompt, output) = (count(summary.prompt_tokens), count(summary.completion_tokens));
    let (cache_read, cache_write) = (count(summary.cache_read), count(summary.cache_write));
    let own_total = count(summary.total_tokens);
    let cached = sum(&[cache_read, cache_write]).unwrap_or(0);
    let whole = sum(&[prompt, output]);
    let with_cache = sum(&[whole, Some(cached)]);
    let total_has_cache = own_total.is_some() && own_total == with_cache && own_total != whole;
    let apart = cached > 0 && (path.ends_with("/v1/messages") || Some(cached) > prompt || total_has_cache);
    let input = if apart { prompt.and_then(|prompt| prompt.checked_add(cached)) } else { prompt };
    let total = if apart && own_total == whole { with_cache } else { own_total };
    let reasoning = count(summary.reasoning_tokens);
    let mut tokens = Tokens { input, cache_read, cache_write, output, reasoning, total, ..Tokens::default() };
    // `"0"` everywhere: no usage was seen.
    drop_placeholders(&mut tokens);
    tokens
}

/// The consumer is who holds the key; the end user, if the request names one, is more exact.
fn attribute<'a>(consumer: &mut Option<Consumer<'a>>, end_user: Option<Cow<'a, str>>, entry: &mut Entry<'a>) {
    let name = consumer.as_mut().and_then(|consumer| present(consumer.username.take()));
    entry.api_key_alias = name.clone();
    entry.end_user = end_user.or(name);
}

/// The messages as a request of their own.
fn said(said: Option<&Said<'_>>) -> Option<Box<RawValue>> {
    let messages = said?.messages?;
    let mut writer = Writer::new(true);
    writer.open('{');
    writer.key("messages");
    writer.json(messages.get());
    writer.close('}');
    RawValue::from_string(writer.into_text()).ok()
}

/// The text of the answer as an answer of one choice.
fn answered(answered: Option<&Answered<'_>>) -> Option<Box<RawValue>> {
    let content = answered?.content?;
    let mut writer = Writer::new(true);
    writer.open('{');
    writer.key("choices");
    writer.open('[');
    writer.open('{');
    writer.key("message");
    writer.open('{');
    writer.key("role");
    writer.string("assistant");
    writer.key("content");
    writer.json(content.get());
    for bracket in ['}', '}', ']', '}'] {
        writer.close(bracket);
    }
    RawValue::from_string(writer.into_text()).ok()
}
