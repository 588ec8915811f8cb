//! Log entries of Kong with its AI plugins, as any of its log plugins sends them.

use std::borrow::Cow;

use daybook_ledger::{Entry, Operation, Tokens};

use super::exchange::Exchange;
use super::{add_exchange, completed_at, conclude, operation_of, provider};
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::openai::usage::{Usage, drop_placeholders};
use crate::decode::provider::Model;
use crate::decode::scalar::{Count, HttpStatus, Text, count, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "kong",
    title: "Kong AI plugins",
    what: "What Kong's log plugins send: one object a request, with an `ai` member for each AI plugin that called a model. Other traffic has no entry.",
    recognised_by: "`latencies` and `started_at`.",
    identity: "`request.id` with the plugin, the time, the status, the model and the counts, for several plugins may call models for one request.",
    stream: "Already merged.",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`ai.proxy.usage`: `prompt_tokens` or `input_tokens`, `completion_tokens` or `output_tokens`; older versions have the plugin's name for `proxy`",
        ),
        (
            "output_tokens, reasoning_tokens",
            "of Gemini: what `total_tokens` has beyond prompt and completion is thinking",
        ),
        ("cache_read_input_tokens", "`prompt_tokens_details.cached_tokens`, else the payload"),
        ("reported_cost", "`usage.cost`, in dollars, from prices configured in Kong: 0 may mean none"),
        ("provider", "`meta.provider_name`"),
        ("request_model, response_model", "`meta.request_model`, on Azure the deployment; `meta.response_model`"),
        ("latency_ms, ttft_ms", "`meta.llm_latency`, `usage.time_to_first_token`"),
        ("started_at", "`started_at`, in milliseconds"),
        ("streamed", "`meta.request_mode`"),
        ("gateway_cache_hit", "`cache.cache_status`"),
        ("end_user, project, workload_hint", "the consumer, the workspace, the route or service"),
    ],
    cannot_say: &[
        "The cache of Anthropic and Bedrock, unless payloads are logged: Kong copies their input without it.",
        "Usage where every count is zero: Kong writes zeros when it saw none.",
        "Latency of an answer from the cache.",
    ],
};

object! {
    struct Log<'a> {
        request: Request<'a> = "request",
        response: Response<'a> = "response",
        upstream_status: HttpStatus = "upstream_status",
        service: Named<'a> = "service",
        route: Named<'a> = "route",
        consumer: Named<'a> = "consumer",
        started_at: Json<'a> = "started_at",
        workspace: Text<'a> = "workspace_name",
        ai: Json<'a> = "ai",
    }
    // Of the proxy, not of the call; addresses are people.
    ignoring [
        "latencies", "client_ip", "source", "workspace", "tries", "upstream_uri", "authenticated_entity",
        "upstream_headers",
    ]
}

object! {
    struct Request<'a> {
        id: Text<'a> = "id",
        uri: Text<'a> = "uri",
        url: Text<'a> = "url",
    }
    // Headers hold keys.
    ignoring ["headers", "method", "querystring", "size", "tls"]
}

object! {
    struct Response<'a> {
        status: HttpStatus = "status",
    }
    ignoring ["headers", "size"]
}

object! {
    /// A consumer, a service, a route.
    struct Named<'a> {
        name: Text<'a> = "name" | "username",
        custom_id: Text<'a> = "custom_id",
    }
    ignoring [
        "id", "created_at", "updated_at", "tags", "connect_timeout", "read_timeout", "write_timeout", "host", "port",
        "protocol", "protocols", "retries", "enabled", "paths", "preserve_host", "strip_path", "regex_priority",
        "https_redirect_status_code", "path_handling", "request_buffering", "response_buffering", "service", "ws_id",
        "methods", "hosts", "headers", "snis", "sources", "destinations",
    ]
}

object! {
    /// What one plugin did: `ai.proxy`, or `ai.<plugin>` of versions before 3.8.
    struct Plugin<'a> {
        meta: Meta<'a> = "meta",
        usage: Json<'a> = "usage",
        payload: Payload<'a> = "payload",
        cache: Cache<'a> = "cache",
    }
}

object! {
    struct Meta<'a> {
        provider_name: Text<'a> = "provider_name",
        request_model: Text<'a> = "request_model",
        response_model: Text<'a> = "response_model",
        llm_latency: Json<'a> = "llm_latency",
        request_mode: Text<'a> = "request_mode",
        azure_deployment: Text<'a> = "azure_deployment_id",
    }
    ignoring ["plugin_id", "azure_instance_id", "azure_api_version"]
}

object! {
    struct Payload<'a> {
        request: Json<'a> = "request",
        response: Json<'a> = "response",
    }
}

object! {
    struct Cache<'a> {
        status: Text<'a> = "cache_status",
    }
    ignoring [
        "fetch_latency", "embeddings_provider", "embeddings_model", "embeddings_latency", "embeddings_tokens",
        "cache_key", "vector_db",
    ]
}

/// Decodes one log entry: an entry for each plugin that called a model, none for other traffic.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Vec<Entry<'a>>, DecodeError> {
    let log: Log<'a> = source.parse(source.text())?;
    if log.ai.is_none() && (log.request.is_none() || log.started_at.is_none()) {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::Kong);
        let missing = "`ai`, nor `request` and `started_at`";
        return Err(DecodeError::WrongFormat { format: Format::Kong, missing, looks_like });
    }
    let Some(ai) = log.ai else { return Ok(Vec::new()) };
    let parts: Plugins<'a> = source.object(ai)?;
    let shared = parts.payload.unwrap_or_default();
    let mut extra = Extra::default();
    extra.add("", &log.unknown);
    let mut entries = Vec::new();
    for (name, json) in parts.unknown.iter() {
        // Guardrails, sanitizers, MCP and agents log under names of their own, without a model.
        let is_proxy = name.contains("proxy");
        let is_object = json.get().starts_with('{');
        let plugin = (is_object || is_proxy).then(|| source.object::<Plugin<'a>>(json)).transpose()?;
        match plugin.filter(|plugin| is_proxy || plugin.meta.is_some() || plugin.usage.is_some()) {
            Some(plugin) => entries.push(Call { source, log: &log, name, plugin, shared: &shared }),
            None => extra.member(format!("ai.{name}"), json.get()),
        }
    }
    entries.into_iter().map(|call| call.entry(raw, options, extra.clone())).collect()
}

object! {
    /// `ai`, whose members are plugins.
    struct Plugins<'a> {
        payload: Payload<'a> = "payload",
    }
}

/// One call of a model.
struct Call<'c, 'a> {
    source: &'c Source<'a>,
    log: &'c Log<'a>,
    /// The plugin's name.
    name: &'c str,
    plugin: Plugin<'a>,
    /// What the docs' own example has for all plugins together.
    shared: &'c Payload<'a>,
}

impl<'a> Call<'_, 'a> {
    fn entry(self, raw: &'a [u8], options: &DecodeOptions, mut extra: Extra<'a>) -> Result<Entry<'a>, DecodeError> {
        let Self { source, log, name, plugin, shared } = self;
        let meta = plugin.meta.unwrap_or_default();
        let path = log.request.as_ref().and_then(|request| request.uri.as_ref().or(request.url.as_ref()));
        let path = path.map(|path| path.0.as_ref());
        let mut entry = Entry::new("kong", path.and_then(operation_of).unwrap_or(Operation::Chat), raw);
        entry.gateway = Some(Cow::Borrowed("kong"));
        entry.event_id = log.request.as_ref().and_then(|request| present(request.id.clone()));
        entry.started_at = source.epoch(log.started_at)?;
        entry.latency_ms = source.millis(meta.llm_latency)?;
        entry.completed_at = completed_at(entry.started_at, entry.latency_ms);
        let status = log.response.as_ref().and_then(|response| response.status?.0);
        entry.http_status = status.or(log.upstream_status.and_then(|status| status.0));
        match meta.request_mode.as_ref().map(|mode| mode.0.as_ref()) {
            Some("stream") => entry.streamed = Some(true),
            Some("oneshot") => entry.streamed = Some(false),
            Some("realtime") => entry.operation = Some(Operation::Realtime),
            _ => {}
        }
        let status = plugin.cache.as_ref().and_then(|cache| cache.status.as_ref());
        entry.gateway_cache_hit = status.map(|status| status.0.eq_ignore_ascii_case("hit"));
        extra.add(&format!("ai.{name}"), &plugin.unknown);
        extra.add(&format!("ai.{name}.meta"), &meta.unknown);
        name_models(meta, &mut entry);
        attribute(log, &mut entry);
        if let Some(usage) = plugin.usage {
            let usage: Usage<'a> = source.object(usage)?;
            entry.reported_cost = source.decimal(usage.cost)?;
            entry.reported_currency = entry.reported_cost.map(|_| "USD");
            entry.ttft_ms = source.millis(usage.unknown.get("time_to_first_token"))?;
            count_usage(source, &usage, &mut entry)?;
            let path = format!("ai.{name}.usage");
            usage.note_unknown(&path, &mut extra);
            extra.forget(&path, &MEASURED);
        }
        let payload = plugin.payload.unwrap_or_default();
        let bodies = (payload.request.or(shared.request), payload.response.or(shared.response));
        add_exchange(Exchange::read(bodies, path, options), &mut entry);
        conclude(false, &mut entry);
        entry.dedup_id = entry.event_id.as_ref().map(|id| Cow::Owned(identity(id, name, &entry)));
        entry.extra = extra.into_json();
        Ok(entry)
    }
}

/// Several plugins may call models for one request, and a replayed log may reuse an id for another call.
fn identity(id: &str, plugin: &str, entry: &Entry<'_>) -> String {
    let Tokens { input, output, .. } = entry.tokens;
    let start = entry.started_at.map_or(0, daybook_ledger::Instant::micros);
    let (model, status) = (entry.model().unwrap_or_default(), entry.http_status.unwrap_or(0));
    format!("{id}/{plugin}/{start}/{status}/{model}/{}/{}", input.unwrap_or(-1), output.unwrap_or(-1))
}

fn name_models<'a>(meta: Meta<'a>, entry: &mut Entry<'a>) {
    entry.provider = present(meta.provider_name).and_then(|name| provider(&name));
    let known = |name: Option<Text<'a>>, provider: Option<&str>| {
        let name = present(name).filter(|name| name != "UNSPECIFIED")?;
        Some(Model::of(name, provider).name)
    };
    let provider = entry.provider.clone();
    let asked = known(meta.request_model, provider.as_deref());
    entry.request_model = present(meta.azure_deployment).or(asked);
    entry.response_model = known(meta.response_model, provider.as_deref());
}

/// Kong knows who called as a consumer, and where as workspace, service and route.
fn attribute<'a>(log: &Log<'a>, entry: &mut Entry<'a>) {
    let name = |named: &Option<Named<'a>>| named.as_ref().and_then(|named| present(named.name.clone()));
    let custom = log.consumer.as_ref().and_then(|consumer| present(consumer.custom_id.clone()));
    entry.end_user = name(&log.consumer).or(custom);
    entry.project = present(log.workspace.clone()).filter(|workspace| workspace != "default");
    let (route, service) = (name(&log.route), name(&log.service));
    entry.workload_hint = route.clone().or_else(|| service.clone());
    let tags = [("route", route), ("service", service)];
    entry.tags.extend(tags.into_iter().filter_map(|(key, value)| Some((Cow::Borrowed(key), value?))));
}

/// Members of `usage` that only Kong writes; two of them are the names of the counts in its docs.
const MEASURED: [&str; 4] = ["prompt_token", "completion_token", "time_to_first_token", "time_per_token"];

/// Counts as Kong copies them: of Gemini without thoughts, which only the total holds; of Anthropic and Bedrock without
/// the cache, which is lost. Where Kong saw no usage it writes zeros.
fn count_usage<'a>(source: &Source<'a>, usage: &Usage<'a>, entry: &mut Entry<'_>) -> Result<(), DecodeError> {
    let counts = usage.tokens();
    let documented = |name| usage.unknown.get(name).map(|json| source.parse::<Count>(json.get())).transpose();
    let mut tokens = Tokens {
        input: counts.input.or(count(documented("prompt_token")?)),
        output: counts.output.or(count(documented("completion_token")?)),
        ..counts
    };
    if let (Some("gemini" | "vertex_ai"), Some(input), Some(output), Some(total)) =
        (entry.provider.as_deref(), tokens.input, tokens.output, tokens.total)
    {
        let thoughts = total.saturating_sub(input).saturating_sub(output);
        if thoughts > 0 {
            tokens.output = Some(output.saturating_add(thoughts));
            tokens.reasoning = tokens.reasoning.or(Some(thoughts));
        }
    }
    drop_placeholders(&mut tokens);
    entry.tokens = tokens;
    usage.meters(&mut entry.meters);
    Ok(())
}
