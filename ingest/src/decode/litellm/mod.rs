//! LiteLLM: its StandardLoggingPayload, as its queue and callback sinks emit it, and rows of its spend logs.

pub(super) mod response;
pub(super) mod spend_logs;

use std::borrow::Cow;

use daybook_ledger::{Body, Entry, Feature, Operation, Status, Tokens, UsageSource};
use serde::Deserialize;

use self::response::Reply;
use crate::decode::about::About;
use crate::decode::capture::{add_features, is_filtered, note_modalities, note_model};
use crate::decode::extra::Extra;
use crate::decode::messages::{Direction, Messages, shape};
use crate::decode::object::object;
use crate::decode::openai::usage::{Usage, drop_placeholders};
use crate::decode::provider::{Host, Model, canonical};
use crate::decode::request::{Request, every_key, members, tag};
use crate::decode::scalar::{Count, Flag, HttpStatus, Object, Text, count, flag, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "litellm-standard",
    title: "LiteLLM StandardLoggingPayload",
    what: "What LiteLLM's callbacks and queue sinks emit, one object a call, already merged from its stream.",
    recognised_by: "`call_type` or `custom_llm_provider`, beside a key that LiteLLM's spend log does not have (`response_cost`, `status_fields`, ...).",
    identity: "`id`, else `litellm_call_id`.",
    stream: "",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`prompt_tokens`, `completion_tokens`; LiteLLM counts the cache in for every provider",
        ),
        (
            "cache_read_input_tokens, reasoning_tokens",
            "`metadata.usage_object`, where a count spelt twice is taken once",
        ),
        ("reported_cost", "`response_cost`, digit by digit"),
        ("provider", "`custom_llm_provider`, else the prefix of `model`, else the host of `api_base`"),
        ("request_model, response_model", "`model_group`, and `model` of the response, without the gateway's prefixes"),
        (
            "started_at, latency_ms",
            "`startTime`, `endTime`; `response_time` is not used, being the time to the first token of a stream",
        ),
        ("team, project, api_key_alias, end_user", "`metadata.user_api_key_*`, aliases before ids"),
        ("tags", "`request_tags` and `metadata.spend_logs_metadata`"),
        ("gateway_cache_hit", "`cache_hit`"),
    ],
    cannot_say: &["Counts of failed calls: the zeros LiteLLM writes there are placeholders and become NULL."],
};

/// What LiteLLM writes over messages it was told not to log.
pub(crate) const REDACTION: &str = "\"redacted-by-litellm\"";

object! {
    struct Payload<'a> {
        id: Text<'a> = "id",
        litellm_call_id: Text<'a> = "litellm_call_id",
        trace_id: Text<'a> = "trace_id",
        session_id: Text<'a> = "session_id",
        call_type: Text<'a> = "call_type",
        stream: Flag = "stream",
        response_cost: Json<'a> = "response_cost",
        cost_breakdown: Object<CostBreakdown<'a>> = "cost_breakdown",
        status: Text<'a> = "status",
        status_fields: Object<StatusFields<'a>> = "status_fields",
        custom_llm_provider: Text<'a> = "custom_llm_provider",
        total_tokens: Count = "total_tokens",
        prompt_tokens: Count = "prompt_tokens",
        completion_tokens: Count = "completion_tokens",
        start_time: Json<'a> = "startTime",
        end_time: Json<'a> = "endTime",
        completion_start_time: Json<'a> = "completionStartTime",
        model: Text<'a> = "model",
        model_group: Text<'a> = "model_group",
        api_base: Text<'a> = "api_base",
        metadata: Object<Metadata<'a>> = "metadata",
        cache_hit: Flag = "cache_hit",
        request_tags: Vec<Text<'a>> = "request_tags",
        end_user: Text<'a> = "end_user",
        messages: Json<'a> = "messages",
        response: Json<'a> = "response",
        error_information: Object<ErrorInformation<'a>> = "error_information",
        model_parameters: Json<'a> = "model_parameters",
        /// Read only where what is told elsewhere is missing.
        hidden_params: Json<'a> = "hidden_params",
        guardrail_information: Json<'a> = "guardrail_information",
        standard_built_in_tools_params: Json<'a> = "standard_built_in_tools_params",
    }
    // Told elsewhere, or about the proxy and not about the call.
    ignoring ["model_id", "model_map_information", "response_time", "saved_cache_cost", "cache_key", "requester_ip_address", "user_agent"]
}

#[derive(Debug, Deserialize)]
struct CostBreakdown<'a> {
    #[serde(borrow)]
    service_tier: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct StatusFields<'a> {
    #[serde(borrow)]
    guardrail_status: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_api_key_alias: Option<Text<'a>>,
    user_api_key_team_id: Option<Text<'a>>,
    user_api_key_team_alias: Option<Text<'a>>,
    team_id: Option<Text<'a>>,
    team_alias: Option<Text<'a>>,
    user_api_key_project_id: Option<Text<'a>>,
    user_api_key_project_alias: Option<Text<'a>>,
    user_api_key_end_user_id: Option<Text<'a>>,
    spend_logs_metadata: Option<Json<'a>>,
    applied_guardrails: Option<Json<'a>>,
    vector_store_request_metadata: Option<Json<'a>>,
    usage_object: Option<Object<Usage<'a>>>,
}

#[derive(Debug, Deserialize)]
struct ErrorInformation<'a> {
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    error_class: Option<Text<'a>>,
    llm_provider: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct HiddenParams<'a> {
    #[serde(borrow)]
    litellm_model_name: Option<Text<'a>>,
    usage_object: Option<Json<'a>>,
}

/// Decodes one payload.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut payload: Payload<'a> = source.parse(source.text())?;
    if payload.call_type.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::LiteLlm);
        if looks_like.is_some() || payload.start_time.is_none() || payload.model.is_none() {
            let missing = "`call_type`, nor `startTime` and `model`";
            return Err(DecodeError::WrongFormat { format: Format::LiteLlm, missing, looks_like });
        }
    }
    let call_type = payload.call_type.as_ref().map_or("", |call_type| call_type.0.as_ref());
    let mut entry = Entry::new("litellm", operation(call_type), raw);
    entry.features.insert_if(call_type.ends_with("_batch"), Feature::Batch);
    entry.features.insert_if(entry.operation == Some(Operation::Realtime), Feature::Realtime);
    entry.gateway = Some(Cow::Borrowed("litellm"));
    entry.event_id = present(payload.id.take()).or_else(|| present(payload.litellm_call_id.take()));
    entry.trace_id = present(payload.trace_id.take());
    entry.session_id = present(payload.session_id.take());
    entry.streamed = flag(payload.stream);
    entry.gateway_cache_hit = flag(payload.cache_hit);
    entry.reported_cost = source.decimal(payload.response_cost)?;
    entry.reported_currency = entry.reported_cost.map(|_| "USD");

    let mut reply = payload.response.map(Reply::read).unwrap_or_default();
    time(source, &payload, &mut entry)?;
    name_models(&mut payload, &mut reply, &mut entry);
    let tier = payload.cost_breakdown.take().and_then(|breakdown| present(breakdown.0.service_tier));
    entry.service_tier = reply.service_tier().or(tier);
    entry.finish_reason = reply.finish_reason();
    let mut extra = Extra::default();
    extra.add("", &payload.unknown);
    count_usage(source, &mut payload, &mut entry, &mut extra)?;
    attribute(&mut payload, &mut entry);
    conclude(&mut payload, &mut entry);
    note_features(&payload, &mut entry);
    note_messages(&payload, &reply, options, &mut entry);
    note_model(&mut entry);
    note_modalities(&mut entry);
    entry.extra = extra.into_json();
    Ok(entry)
}

/// The kind of call behind `call_type`; what is not known here is a chat, being billed by tokens.
pub(crate) fn operation(call_type: &str) -> Operation {
    // Nearly every call is one of these; the rest has many names, all of them telling.
    if matches!(call_type, "acompletion" | "completion" | "anthropic_messages") {
        return Operation::Chat;
    }
    let words = [
        ("embedding", Operation::Embeddings),
        ("responses", Operation::Responses),
        ("rerank", Operation::Rerank),
        ("transcription", Operation::Transcription),
        ("speech", Operation::Speech),
        ("image", Operation::Image),
        ("realtime", Operation::Realtime),
    ];
    words.iter().find(|(word, _)| call_type.contains(word)).map_or(Operation::Chat, |(_, operation)| *operation)
}

/// Start, end and the first token. `response_time` is not used: of a stream it is the time to the first token.
fn time<'a>(source: &Source<'a>, payload: &Payload<'a>, entry: &mut Entry<'a>) -> Result<(), DecodeError> {
    entry.started_at = source.instant(payload.start_time)?;
    entry.completed_at = source.instant(payload.end_time)?;
    let first = source.instant(payload.completion_start_time)?;
    if let Some(started) = entry.started_at {
        let since =
            |instant: daybook_ledger::Instant| rounded_millis(instant.micros().saturating_sub(started.micros()));
        entry.latency_ms = entry.completed_at.map(since).filter(|millis| *millis >= 0);
        let streamed = entry.streamed == Some(true);
        entry.ttft_ms = first.filter(|_| streamed).map(since).filter(|millis| *millis >= 0);
    }
    Ok(())
}

/// Microseconds to milliseconds: floats of seconds end on .0999999 as easily as on .1.
const fn rounded_millis(micros: i64) -> i64 {
    micros.saturating_add(500).div_euclid(1_000)
}

/// Who serves, and the model names without the gateway's prefixes.
fn name_models<'a>(payload: &mut Payload<'a>, reply: &mut Reply<'a>, entry: &mut Entry<'a>) {
    let stated = present(payload.custom_llm_provider.take()).or_else(|| {
        let error = payload.error_information.as_mut()?;
        present(error.0.llm_provider.take())
    });
    let stated = stated.map(canonical);
    let api_base = present(payload.api_base.take());
    let model = present(payload.model.take())
        .or_else(|| present(payload.hidden_params.and_then(shape::<HiddenParams<'a>>)?.litellm_model_name))
        .map(|model| Model::of(model, stated.as_deref()));
    let named = model.as_ref().and_then(|model| model.provider).map(Cow::Borrowed);
    entry.provider = stated.or(named);
    let (called, region) = model.map_or((None, None), |model| (Some(model.name), model.region));
    entry.region = region;
    if let Some(api_base) = api_base.filter(|_| tells_more(entry.provider.as_deref())) {
        let host = Host::of(&api_base);
        let region = host.region.map(|region| Cow::Owned(region.to_owned()));
        entry.provider = entry.provider.take().or(host.provider.map(Cow::Borrowed));
        entry.region = entry.region.take().or(region);
    }
    let served = reply.model().map(|model| Model::of(model, entry.provider.as_deref()).name);
    let group = present(payload.model_group.take());
    // The group is the name the caller used; it may carry a prefix like any other name.
    let asked = group.map(|group| Model::of(group, entry.provider.as_deref()).name);
    entry.request_model = asked.or_else(|| called.clone());
    entry.response_model = served.or(called);
}

/// Whether the host of the call can add to what is known: the provider itself, or the region of one that has regions.
fn tells_more(provider: Option<&str>) -> bool {
    matches!(provider, None | Some("bedrock" | "vertex_ai" | "openai"))
}

/// Token counts: LiteLLM's totals hold the cache for every provider; the parts are in the usage object.
fn count_usage<'a>(
    source: &Source<'a>,
    payload: &mut Payload<'a>,
    entry: &mut Entry<'a>,
    extra: &mut Extra<'a>,
) -> Result<(), DecodeError> {
    let in_metadata = payload.metadata.as_mut().and_then(|metadata| metadata.0.usage_object.take());
    let hidden = || payload.hidden_params.and_then(shape::<HiddenParams<'a>>).and_then(|hidden| hidden.usage_object);
    let usage = match in_metadata {
        Some(usage) => usage.0,
        None => hidden().map_or(Ok(Usage::default()), |hidden| source.object(hidden))?,
    };
    entry.tokens = completed(
        Tokens {
            input: count(payload.prompt_tokens),
            output: count(payload.completion_tokens),
            total: count(payload.total_tokens),
            ..Tokens::default()
        },
        &usage,
    );
    // So it writes of a call that failed, and of one whose answer has no counts: sound, pictures, rankings.
    drop_placeholders(&mut entry.tokens);
    usage.meters(&mut entry.meters);
    usage.note_unknown("metadata.usage_object", extra);
    Ok(())
}

/// The totals of LiteLLM's own columns, with the parts of its usage object.
///
/// A column that repeats what the object says means what it means there: of a grounded prompt both leave out what was found.
pub(crate) fn completed(columns: Tokens, usage: &Usage<'_>) -> Tokens {
    let (detailed, (input, output)) = (usage.tokens(), usage.totals());
    let own = |column: Option<i64>, repeated: Option<i64>| column.filter(|_| column != repeated);
    Tokens {
        input: own(columns.input, input).or(detailed.input),
        output: own(columns.output, output).or(detailed.output),
        total: columns.total.or(detailed.total),
        ..detailed
    }
}

/// Whose call it was.
fn attribute<'a>(payload: &mut Payload<'a>, entry: &mut Entry<'a>) {
    let metadata = payload.metadata.as_mut().map(|metadata| &mut metadata.0);
    if let Some(metadata) = metadata {
        entry.team = first([&mut metadata.user_api_key_team_alias, &mut metadata.team_alias])
            .or_else(|| first([&mut metadata.user_api_key_team_id, &mut metadata.team_id]));
        entry.project = first([&mut metadata.user_api_key_project_alias, &mut metadata.user_api_key_project_id]);
        entry.api_key_alias = present(metadata.user_api_key_alias.take());
        entry.end_user = present(metadata.user_api_key_end_user_id.take());
        note_spend_metadata(metadata.spend_logs_metadata, entry);
    }
    if let Some(end_user) = present(payload.end_user.take()) {
        entry.end_user = Some(end_user);
    }
    entry.tags.extend(payload.request_tags.take().into_iter().flatten().map(|text| split_tag(text.0)));
}

/// What senders add to spend logs: every member is a tag, and some name the workload and its environment.
fn note_spend_metadata<'a>(metadata: Option<Json<'a>>, entry: &mut Entry<'a>) {
    for (key, value) in metadata.map(members).unwrap_or_default() {
        let Some(value) = tag(value) else { continue };
        match key.as_ref() {
            "env" | "environment" => entry.environment = Some(value.clone()),
            "workload" | "feature" | "service" | "app" => entry.workload_hint = Some(value.clone()),
            _ => {}
        }
        entry.tags.push((key, value));
    }
}

fn first<'a>(fields: [&mut Option<Text<'a>>; 2]) -> Option<Cow<'a, str>> {
    fields.into_iter().find_map(|field| present(field.take()))
}

/// A request tag, `key:value` or a bare word.
pub(crate) fn split_tag(tag: Cow<'_, str>) -> (Cow<'_, str>, Cow<'_, str>) {
    match tag {
        Cow::Borrowed(tag) => match tag.split_once(':') {
            Some((key, value)) if !key.is_empty() => (Cow::Borrowed(key.trim()), Cow::Borrowed(value.trim())),
            _ => (Cow::Borrowed(tag), Cow::Borrowed("")),
        },
        Cow::Owned(tag) => match tag.split_once(':') {
            Some((key, value)) if !key.is_empty() => {
                (Cow::Owned(key.trim().to_owned()), Cow::Owned(value.trim().to_owned()))
            }
            _ => (Cow::Owned(tag), Cow::Borrowed("")),
        },
    }
}

/// How it ended.
fn conclude<'a>(payload: &mut Payload<'a>, entry: &mut Entry<'a>) {
    let failed = match &payload.status {
        Some(status) => status.0 == "failure",
        None => payload.error_information.as_ref().is_some_and(|error| error.0.error_class.is_some()),
    };
    if failed {
        let (code, class) = payload
            .error_information
            .as_mut()
            .map_or((None, None), |error| (present(error.0.error_code.take()), present(error.0.error_class.take())));
        entry.http_status = code.as_deref().and_then(HttpStatus::spelt);
        let (number, text) = match code {
            Some(code) if code.bytes().all(|byte| byte.is_ascii_digit()) => (Some(code), None),
            code => (None, code),
        };
        entry.error_type = text.or(class).or(number);
        let guardrail = payload.status_fields.as_ref().and_then(|fields| fields.0.guardrail_status.as_ref());
        let stopped = guardrail.is_some_and(|status| status.0 == "guardrail_intervened");
        let refusals = ["ContentPolicyViolationError", "content_filter", "content_policy_violation"];
        let refused = entry.error_type.as_deref().is_some_and(|word| refusals.contains(&word));
        entry.status = if stopped || refused { Status::Filtered } else { Status::Error };
    } else if is_filtered(entry.finish_reason.as_deref()) {
        entry.status = Status::Filtered;
    }
    if entry.operation == Some(Operation::Embeddings) && entry.tokens.input.is_some() {
        entry.tokens.output = entry.tokens.output.or(Some(0));
    }
    entry.usage_source = if entry.tokens.is_absent() { UsageSource::Absent } else { UsageSource::Gateway };
}

fn note_features<'a>(payload: &Payload<'a>, entry: &mut Entry<'a>) {
    let parameters = payload.model_parameters.filter(|parameters| !is_plain(parameters));
    if let Some(mut parameters) = parameters.and_then(shape::<Request<'a>>) {
        add_features(entry, parameters.features());
        entry.end_user = entry.end_user.take().or_else(|| parameters.end_user());
    }
    let holds = |json: Option<Json<'_>>| json.is_some_and(|json| !matches!(json.get(), "[]" | "{}"));
    let applied = payload.metadata.as_ref().and_then(|metadata| metadata.0.applied_guardrails);
    entry.features.insert_if(holds(applied) || holds(payload.guardrail_information), Feature::Guardrails);
    let stores = payload.metadata.as_ref().and_then(|metadata| metadata.0.vector_store_request_metadata);
    let tools = payload.standard_built_in_tools_params.and_then(shape::<BuiltInTools<'_>>);
    let (search, files) = tools.map_or((None, None), |tools| (tools.web_search_options, tools.file_search));
    entry.features.insert_if(search.is_some(), Feature::WebSearch);
    entry.features.insert_if(files.is_some() || holds(stores), Feature::HostedVectorStore);
    note_embedding(entry);
}

/// Whether parameters are only those every vendor has. Most are, and telling so is much cheaper than reading them.
fn is_plain(parameters: Json<'_>) -> bool {
    const PLAIN: [&str; 8] =
        ["temperature", "max_tokens", "stream", "top_p", "seed", "stop", "max_completion_tokens", "stream_options"];
    every_key(parameters, |key| PLAIN.contains(&key))
}

#[derive(Deserialize)]
struct BuiltInTools<'a> {
    #[serde(borrow)]
    web_search_options: Option<Json<'a>>,
    file_search: Option<Json<'a>>,
}

/// Vectors of a vendor's model are worth nothing elsewhere; those of open models served by oneself are.
pub(crate) fn note_embedding(entry: &mut Entry<'_>) {
    let own = ["ollama", "vllm", "huggingface"];
    let vendor = entry.provider.as_deref().is_some_and(|provider| !own.contains(&provider));
    entry.features.insert_if(vendor && entry.operation == Some(Operation::Embeddings), Feature::ProprietaryEmbedding);
}

/// What was said, and what that shows. Redacted text is no body.
fn note_messages<'a>(payload: &Payload<'a>, reply: &Reply<'a>, options: &DecodeOptions, entry: &mut Entry<'a>) {
    if payload.messages.is_none() && payload.response.is_none() {
        return;
    }
    let mut input = Messages::new(Direction::Input, options.bodies).redacted_as(REDACTION);
    let mut output = Messages::new(Direction::Output, options.bodies).redacted_as(REDACTION);
    input.list(payload.messages);
    reply.say(&mut output);
    add_features(entry, input.features);
    add_features(entry, output.features);
    if !options.bodies {
        return;
    }
    let (input_messages, output_messages) = (input.finish(), output.finish());
    if input_messages.is_some() || output_messages.is_some() {
        let parameters = payload.model_parameters.filter(|parameters| parameters.get() != "{}");
        let tools = parameters.and_then(shape::<Request<'a>>).and_then(|parameters| parameters.tools);
        entry.body = Some(Body {
            input_messages: input_messages.map(Cow::Owned),
            output_messages: output_messages.map(Cow::Owned),
            tool_definitions: tools.map(|tools| Cow::Borrowed(tools.get())),
            request_parameters: parameters.map(|parameters| Cow::Borrowed(parameters.get())),
        });
    }
}
