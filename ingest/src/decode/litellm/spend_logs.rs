//! Rows of LiteLLM's table `LiteLLM_SpendLogs`, as its API, a database export or a change feed gives them.
//!
//! The same call logged as a StandardLoggingPayload has the same id, so a sender of both is no double.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation, Tokens};
use serde::Deserialize;

use super::{REDACTION, completed, operation, split_tag};
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::gateway::exchange::{Exchange, own};
use crate::decode::gateway::{add_exchange, conclude, labels, millis_between, model, note_tags, tags};
use crate::decode::messages::shape;
use crate::decode::object::object;
use crate::decode::openai::usage::{Usage, drop_placeholders, sum};
use crate::decode::provider::{Host, Model, canonical};
use crate::decode::quoted::Quoted;
use crate::decode::request::members;
use crate::decode::scalar::{Count, Flag, HttpStatus, Object, Text, count, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "litellm-spendlogs",
    title: "LiteLLM spend logs",
    what: "Rows of the table `LiteLLM_SpendLogs`, as its API, a database export or a change feed gives them.",
    recognised_by: "`call_type` or `custom_llm_provider`, beside `spend`.",
    identity: "`request_id`, else `litellm_call_id`; the same as in a StandardLoggingPayload of the call.",
    stream: "",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`prompt_tokens`, `completion_tokens`; LiteLLM counts the cache in for every provider",
        ),
        (
            "cache_read_input_tokens, reasoning_tokens",
            "`metadata.usage_object`; `metadata` may be JSON inside a string",
        ),
        ("reported_cost", "`spend`, in dollars"),
        ("started_at, completed_at", "`startTime`, `endTime`; without a zone they are UTC"),
        ("latency_ms", "`request_duration_ms`, else from start to end"),
        ("ttft_ms", "`completionStartTime`, if it is before the end"),
        ("gateway_cache_hit", "`cache_hit`: `True`, `False`; `None` says nothing"),
        ("end_user", "`end_user`, else the owner of the key, else `user`"),
        ("team, project, api_key_alias", "`metadata.user_api_key_*`, aliases before ids; `team_id`"),
        ("tags", "`request_tags`, `metadata.spend_logs_metadata`, the hash of the key, attempts before this one"),
        ("body", "`messages`, else `proxy_server_request`; `response`"),
    ],
    cannot_say: &[
        "Counts of failed calls: the zeros LiteLLM writes there are placeholders and become NULL.",
        "What was said, unless the proxy stores prompts.",
    ],
};

object! {
    struct Row<'a> {
        request_id: Text<'a> = "request_id",
        litellm_call_id: Text<'a> = "litellm_call_id",
        call_type: Text<'a> = "call_type",
        spend: Json<'a> = "spend",
        total_tokens: Count = "total_tokens",
        prompt_tokens: Count = "prompt_tokens",
        completion_tokens: Count = "completion_tokens",
        start_time: Json<'a> = "startTime" | "start_time",
        end_time: Json<'a> = "endTime" | "end_time",
        first_token_time: Json<'a> = "completionStartTime" | "completion_start_time",
        request_duration_ms: Json<'a> = "request_duration_ms",
        model: Text<'a> = "model",
        model_group: Text<'a> = "model_group",
        custom_llm_provider: Text<'a> = "custom_llm_provider",
        api_base: Text<'a> = "api_base",
        api_key: Text<'a> = "api_key",
        user: Text<'a> = "user",
        end_user: Text<'a> = "end_user",
        team_id: Text<'a> = "team_id",
        organization_id: Text<'a> = "organization_id",
        session_id: Text<'a> = "session_id",
        trace_id: Text<'a> = "trace_id",
        metadata: Json<'a> = "metadata",
        cache_hit: Text<'a> = "cache_hit",
        request_tags: Json<'a> = "request_tags",
        messages: Json<'a> = "messages",
        response: Json<'a> = "response",
        proxy_server_request: Json<'a> = "proxy_server_request",
        status: Text<'a> = "status",
        mcp_tool: Text<'a> = "mcp_namespaced_tool_name",
        agent_id: Text<'a> = "agent_id",
    }
    // Keys of its own tables and caches; addresses are people.
    ignoring [
        "cache_key", "model_id", "requester_ip_address", "user_agent", "created_at", "updated_at", "billing_agent_id",
        "request_tags_hash",
    ]
}

object! {
    /// `metadata`, mostly JSON inside a string.
    struct Metadata<'a> {
        usage_object: Usage<'a> = "usage_object",
        status: Text<'a> = "status",
        error_information: ErrorInformation<'a> = "error_information",
        cost_breakdown: CostBreakdown<'a> = "cost_breakdown",
        key_alias: Text<'a> = "user_api_key_alias",
        team_alias: Text<'a> = "user_api_key_team_alias",
        team_id: Text<'a> = "user_api_key_team_id",
        project_alias: Text<'a> = "user_api_key_project_alias",
        project_id: Text<'a> = "user_api_key_project_id",
        user_id: Text<'a> = "user_api_key_user_id",
        spend_logs_metadata: Json<'a> = "spend_logs_metadata",
        applied_guardrails: Json<'a> = "applied_guardrails",
        guardrail_information: Json<'a> = "guardrail_information",
        vector_stores: Json<'a> = "vector_store_request_metadata",
        attempted_retries: Json<'a> = "attempted_retries",
        attempted_fallbacks: Json<'a> = "attempted_fallbacks",
        original_model_group: Text<'a> = "original_model_group",
        batch_models: Json<'a> = "batch_models",
    }
    // Of the key, its owner and its budget; addresses are people.
    ignoring [
        "user_api_key", "user_api_key_hash", "user_api_key_org_id", "user_api_key_org_alias", "user_api_key_user_email",
        "user_api_key_spend", "user_api_key_max_budget", "user_api_key_team_spend", "user_api_key_auth_metadata",
        "requester_ip_address", "additional_usage_values", "model_map_information", "mcp_tool_call_metadata",
    ]
}

object! {
    struct ErrorInformation<'a> {
        error_code: Text<'a> = "error_code",
        error_class: Text<'a> = "error_class",
        llm_provider: Text<'a> = "llm_provider",
    }
    // Messages repeat prompts.
    ignoring ["error_message", "traceback"]
}

object! {
    struct CostBreakdown<'a> {
        service_tier: Text<'a> = "service_tier",
    }
    ignoring ["input_cost", "output_cost", "total_cost", "tool_usage_cost", "original_cost"]
}

#[derive(Default, Deserialize)]
struct ProxyRequest<'a> {
    #[serde(borrow)]
    body: Option<Json<'a>>,
    stream: Option<Flag>,
}

/// Decodes one row. A call of an MCP tool is no call of a model and has no entry, unless it cost something.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Option<Entry<'a>>, DecodeError> {
    let mut row: Row<'a> = source.parse(source.text())?;
    if row.call_type.is_none() && row.spend.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::LiteLlmSpendLogs);
        let missing = "`call_type` and no `spend`";
        return Err(DecodeError::WrongFormat { format: Format::LiteLlmSpendLogs, missing, looks_like });
    }
    let call_type = present(row.call_type.take()).unwrap_or_default();
    let mut entry = Entry::new("litellm", operation(&call_type), raw);
    entry.features.insert_if(call_type.ends_with("_batch"), Feature::Batch);
    entry.gateway = Some(Cow::Borrowed("litellm"));
    entry.event_id = present(row.request_id.take()).or_else(|| present(row.litellm_call_id.take()));
    entry.session_id = present(row.session_id.take());
    entry.trace_id = present(row.trace_id.take());
    entry.gateway_cache_hit = cache_hit(row.cache_hit.as_ref());
    entry.reported_cost = source.decimal(row.spend)?;
    entry.reported_currency = entry.reported_cost.map(|_| "USD");
    let free = entry.reported_cost.is_none_or(|cost| cost.pico() == 0);
    let of_tool = call_type.contains("mcp") || row.model.as_ref().is_some_and(|model| model.0.starts_with("MCP:"));
    if free && of_tool && count(row.total_tokens).unwrap_or(0) == 0 {
        return Ok(None);
    }
    if let Some(tool) = present(row.mcp_tool.take()) {
        entry.tags.push((Cow::Borrowed("mcp_tool"), tool));
    }
    let mut extra = Extra::default();
    extra.add("", &row.unknown);
    if let Some(agent) = present(row.agent_id.take()) {
        entry.tags.push((Cow::Borrowed("agent_id"), agent));
    }
    note_time(source, &row, &mut entry)?;
    name_models(&mut row, &mut entry);
    entry.tokens.input = count(row.prompt_tokens);
    entry.tokens.output = count(row.completion_tokens);
    entry.tokens.total = count(row.total_tokens);
    attribute(&mut row, &mut entry);
    let failed = note_metadata(source, &mut row, &mut extra, &mut entry)?;
    // LiteLLM's zeros for an answer in which it found no counts; there may be other ones.
    drop_placeholders(&mut entry.tokens);
    entry.tags.extend(labels(row.request_tags).into_iter().map(split_tag));
    entry.end_user = entry.end_user.take().or_else(|| present(row.user.take()));
    note_bodies(&row, options, &mut entry);
    conclude(failed, &mut entry);
    entry.extra = extra.into_json();
    Ok(Some(entry))
}

/// `"True"`, `"False"`, `"None"`; other texts name a state of the cache and say nothing about a hit.
fn cache_hit(text: Option<&Text<'_>>) -> Option<bool> {
    match text?.0.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn note_time<'a>(source: &Source<'a>, row: &Row<'a>, entry: &mut Entry<'a>) -> Result<(), DecodeError> {
    entry.started_at = source.epoch(row.start_time)?;
    entry.completed_at = source.epoch(row.end_time)?;
    let spent = millis_between(entry.started_at, entry.completed_at);
    entry.latency_ms = source.millis(row.request_duration_ms)?.or(spent);
    // A call that was not streamed has its end there.
    let first = source.epoch(row.first_token_time)?.filter(|first| Some(*first) < entry.completed_at);
    entry.ttft_ms = millis_between(entry.started_at, first);
    Ok(())
}

fn name_models<'a>(row: &mut Row<'a>, entry: &mut Entry<'a>) {
    let stated = present(row.custom_llm_provider.take()).map(canonical);
    let called = present(row.model.take()).map(|name| Model::of(name, stated.as_deref()));
    let named = called.as_ref().and_then(|model| model.provider).map(Cow::Borrowed);
    let host = row.api_base.as_ref().map(|base| Host::of(&base.0)).unwrap_or_default();
    let region = host.region.map(|region| Cow::Owned(region.to_owned()));
    entry.provider = stated.or(named).or(host.provider.map(Cow::Borrowed));
    let (called, in_name) = called.map_or((None, None), |model| (Some(model.name), model.region));
    entry.region = in_name.or(region);
    let group = model(present(row.model_group.take()), entry.provider.as_deref());
    entry.request_model = group.or_else(|| called.clone());
    entry.response_model = called;
}

fn attribute<'a>(row: &mut Row<'a>, entry: &mut Entry<'a>) {
    entry.end_user = present(row.end_user.take());
    entry.team = present(row.team_id.take());
    if let Some(organization) = present(row.organization_id.take()) {
        entry.tags.push((Cow::Borrowed("organization_id"), organization));
    }
    // The column holds the hash of the key, but rows of old versions and of the master key hold other words.
    let hash = present(row.api_key.take()).filter(|key| key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if let Some(hash) = hash {
        entry.tags.push((Cow::Borrowed("api_key_hash"), hash));
    }
}

/// Reads the metadata: the parts of the counts, whose call it was, what failed. Gives whether it failed.
fn note_metadata<'a>(
    source: &Source<'a>,
    row: &mut Row<'a>,
    extra: &mut Extra<'a>,
    entry: &mut Entry<'a>,
) -> Result<bool, DecodeError> {
    let status = present(row.status.take());
    let Some(json) = row.metadata else { return Ok(status.as_deref() == Some("failure")) };
    let Some(quoted) = Quoted::read(json) else {
        extra.member("metadata".to_owned(), json.get());
        return Ok(status.as_deref() == Some("failure"));
    };
    let mut metadata: Metadata<'_> = match &quoted {
        Quoted::Bare(json) => source.object(json)?,
        // Inside of a string there is no place to point at but the string.
        Quoted::Unquoted(text) => serde_json::from_str::<Object<Metadata<'_>>>(text.get())
            .map(|metadata| metadata.0)
            .map_err(|error| source.bad_value(json, error.to_string()))?,
    };
    for (key, value) in metadata.unknown.iter() {
        extra.copy(format!("metadata.{key}"), value.get());
    }
    if let Some(usage) = metadata.usage_object.take() {
        add_usage(&usage, extra, entry);
    }
    let alias = present(metadata.team_alias.take()).or_else(|| present(metadata.team_id.take())).map(own);
    entry.team = alias.or(entry.team.take());
    let project = present(metadata.project_alias.take()).or_else(|| present(metadata.project_id.take()));
    entry.project = project.map(own);
    entry.api_key_alias = present(metadata.key_alias.take()).map(own);
    entry.end_user = entry.end_user.take().or_else(|| present(metadata.user_id.take()).map(own));
    let tier = metadata.cost_breakdown.take().and_then(|breakdown| present(breakdown.service_tier));
    entry.service_tier = tier.map(own);
    let spend_tags = tags(metadata.spend_logs_metadata).into_iter();
    note_tags(spend_tags.map(|(key, value)| (own(key), own(value))).collect(), entry);
    note_attempts(&mut metadata, entry);
    let holds = |json: Option<Json<'_>>| json.is_some_and(|json| !matches!(json.get(), "[]" | "{}"));
    let guarded = holds(metadata.applied_guardrails) || holds(metadata.guardrail_information);
    entry.features.insert_if(guarded, Feature::Guardrails);
    entry.features.insert_if(holds(metadata.vector_stores), Feature::HostedVectorStore);
    entry.features.insert_if(holds(metadata.batch_models), Feature::Batch);
    let error = metadata.error_information.take().unwrap_or_default();
    let status = status.or_else(|| present(metadata.status.take()).map(own));
    let failed = status.map_or(error.error_class.is_some(), |status| status == "failure");
    if failed {
        note_error(error, entry);
    }
    Ok(failed)
}

/// The row's totals stand; the usage object has the parts, and the totals where the row has none.
fn add_usage<'a>(usage: &Usage<'_>, extra: &mut Extra<'a>, entry: &mut Entry<'a>) {
    let detailed = usage.tokens();
    let totals = entry.tokens;
    entry.tokens = completed(totals, usage);
    // A call without any token that has a usage object with tokens: the row was written before the usage came.
    if sum(&[totals.input, totals.output]) == Some(0) && sum(&[detailed.input, detailed.output]) > Some(0) {
        entry.tokens = detailed;
    }
    usage.meters(&mut entry.meters);
    let mut unknown = Extra::default();
    usage.note_unknown("metadata.usage_object", &mut unknown);
    extra.absorb(unknown);
}

/// Retries and fallbacks before this answer; each failed attempt is a row of its own.
fn note_attempts<'a>(metadata: &mut Metadata<'_>, entry: &mut Entry<'a>) {
    let counts =
        [("attempted_retries", metadata.attempted_retries), ("attempted_fallbacks", metadata.attempted_fallbacks)];
    for (key, value) in counts.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        if value.get() != "0" {
            entry.tags.push((Cow::Borrowed(key), Cow::Owned(value.get().to_owned())));
        }
    }
    if let Some(group) = present(metadata.original_model_group.take()) {
        entry.tags.push((Cow::Borrowed("original_model_group"), own(group)));
    }
}

fn note_error(error: ErrorInformation<'_>, entry: &mut Entry<'_>) {
    let code = present(error.error_code);
    entry.http_status = code.as_deref().and_then(HttpStatus::spelt);
    let text = code.filter(|code| !code.bytes().all(|byte| byte.is_ascii_digit()));
    entry.error_type = text.or_else(|| present(error.error_class)).map(own);
    let provider = present(error.llm_provider).map(canonical).map(own);
    entry.provider = entry.provider.take().or(provider);
}

/// Prompt and answer, if the proxy stores them: prompts in `messages` or, since it keeps the request whole, in
/// `proxy_server_request`.
fn note_bodies<'a>(row: &Row<'a>, options: &DecodeOptions, entry: &mut Entry<'a>) {
    let request = row.proxy_server_request.and_then(Quoted::read);
    let request = request.as_ref().map(Quoted::json).filter(|json| json.get().starts_with('{'));
    let proxied = request.and_then(shape::<ProxyRequest<'_>>).unwrap_or_default();
    let request = proxied.body.or(request);
    entry.streamed = flag(proxied.stream);
    let told = |json: &Json<'_>| !json.get().contains(REDACTION);
    let said = row.messages.filter(told).and_then(Quoted::read);
    let said = said.as_ref().map(Quoted::json).filter(|json| !matches!(json.get(), "{}" | "[]" | "null" | "\"\""));
    let request = with_messages(request, said);
    let request: Option<Json<'_>> = request.as_deref().and_then(|request| serde_json::from_str(request).ok());
    let path = match entry.operation {
        Some(Operation::Responses) => Some("/responses"),
        _ => None,
    };
    let mut exchange = Exchange::read((request, row.response.filter(told)), path, options);
    if !entry.tokens.is_absent() {
        // LiteLLM counted from the same answer, by rules that cover more vendors than the answer shows.
        (exchange.tokens, exchange.meters) = (Tokens::default(), Vec::new());
    }
    // The row names the models; those of the request are the caller's words before routing.
    let (asked, served) = (entry.request_model.take(), entry.response_model.take());
    add_exchange(exchange, entry);
    entry.request_model = asked.or(entry.request_model.take());
    entry.response_model = entry.response_model.take().or(served);
}

/// The request with `messages`, unless it has its own.
fn with_messages(request: Option<Json<'_>>, messages: Option<Json<'_>>) -> Option<String> {
    let own = request.map(members).unwrap_or_default();
    let Some(messages) = messages.filter(|_| !own.iter().any(|(key, _)| key == "messages" || key == "input")) else {
        return request.map(|request| request.get().to_owned()).filter(|request| request != "{}");
    };
    let mut writer = crate::decode::writer::Writer::new(true);
    writer.open('{');
    for (key, value) in &own {
        let mut quoted = String::new();
        crate::decode::writer::push_string(&mut quoted, key);
        writer.member(&quoted, value.get());
    }
    writer.key("messages");
    writer.json(messages.get());
    writer.close('}');
    Some(writer.into_text())
}
