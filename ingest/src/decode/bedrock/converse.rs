//! AWS Bedrock: captured calls of Converse and InvokeModel.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Features, Operation, Status};

use super::reply::Reply;
use crate::decode::about::About;
use crate::decode::capture::{Asked, Call, Envelope, Outcome, add_features, note_modalities};
use crate::decode::litellm::note_embedding;
use crate::decode::messages::{elements, shape};
use crate::decode::object::object;
use crate::decode::request::{Request, both_directions, members, note_tool, says_something, tag};
use crate::decode::scalar::Text;
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "bedrock-converse",
    title: "AWS Bedrock Converse and InvokeModel",
    what: "A captured call of Converse, ConverseStream, InvokeModel or InvokeModelWithResponseStream, or a bare response of Converse. Bodies of InvokeModel may be in the dialect of Anthropic, Amazon, Meta, Mistral, Cohere, OpenAI or another vendor.",
    recognised_by: "`capture.api` begins with `bedrock.`; `stopReason`.",
    identity: "the capture's `request_id`, or `ResponseMetadata.RequestId` of an SDK; else the event's bytes.",
    stream: "the `metadata` event behind `messageStop`; of InvokeModel `amazon-bedrock-invocationMetrics` on the last chunk.",
    columns: &[
        (
            "input_tokens",
            "`inputTokens` + cache reads + cache writes. If `totalTokens` is `inputTokens` + `outputTokens`, or without a total for OpenAI's models, the cache is inside already",
        ),
        (
            "cache_read_input_tokens",
            "`cacheReadInputTokens` or `cacheReadInputTokenCount`, which are one count where both are there",
        ),
        (
            "cache_write_5m_input_tokens, cache_write_1h_input_tokens",
            "`cacheDetails` by `ttl`; without it the lifetime is unstated",
        ),
        ("output_tokens", "`outputTokens`"),
        (
            "reasoning_tokens",
            "only if `/usage/output_tokens_details` was asked for as an additional field of the response",
        ),
        ("request_model", "the id or ARN in the URL, else `modelId` of the request"),
        (
            "response_model",
            "`trace.promptRouter.invokedModelId`, or the model an ARN of a foundation model or system profile names. An application profile's ARN names none",
        ),
        ("latency_ms, ttft_ms", "`metrics.latencyMs`, `invocationLatency`, `firstByteLatency`; else the capture's"),
        ("service_tier", "`serviceTier.type`; `reserved` is provisioned capacity"),
        ("tags", "`requestMetadata`"),
        ("error_type", "`__type`, or the exception that ended the stream"),
    ],
    cannot_say: &["The model behind an application inference profile, unless the body names it."],
};

/// Decodes one captured call.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let envelope = read_envelope(source)?;
    let mut request: Request<'a> = match envelope.request {
        Some(request) => source.object(request)?,
        None => Request::default(),
    };
    let (mut input, mut output) = both_directions(options.bodies);
    request.say(&mut input);
    note_texts(envelope.request, &mut input);
    let mut asked = ask(&mut request, envelope.request);
    asked.streamed = if envelope.stream.is_some() { Some(true) } else { envelope.request.map(|_| false) };
    let mut reply = match envelope.stream.or(envelope.response) {
        Some(answer) => Reply::read(source, answer, &mut output)?,
        None => Reply::default(),
    };
    let pending = envelope.is_pending();
    reply.extra.add("", &envelope.unknown);
    let json = envelope.request;
    let mut entry = entry(source, raw, (envelope, asked, reply))?;
    if pending {
        entry.status = Status::Pending;
    }
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    note_modalities(&mut entry);
    if options.bodies {
        entry.body = request.body(json, input, output);
    }
    Ok(entry)
}

fn read_envelope<'a>(source: &Source<'a>) -> Result<Envelope<'a>, DecodeError> {
    let envelope: Envelope<'a> = source.parse(source.text())?;
    let answered = envelope.response.is_some() || envelope.stream.is_some();
    if envelope.capture.is_some() && (envelope.request.is_some() || answered) {
        return Ok(envelope);
    }
    if envelope.unknown.iter().any(|(key, _)| key == "stopReason") {
        return Ok(Envelope { response: Some(source.parse(source.text())?), ..Envelope::default() });
    }
    let missing = if envelope.capture.is_some() { "`request`, `response` or `stream`" } else { "`capture`" };
    let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::BedrockConverse);
    Err(DecodeError::WrongFormat { format: Format::BedrockConverse, missing, looks_like })
}

fn entry<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    (envelope, asked, mut reply): (Envelope<'a>, Asked<'a>, Reply<'a>),
) -> Result<Entry<'a>, DecodeError> {
    let operation = reply.operation.unwrap_or(Operation::Chat);
    let call = Call { source, raw, family: "bedrock", operation: Some(operation), provider: "bedrock", certain: false };
    let outcome = Outcome {
        id: reply.request_id.take(),
        service_tier: reply.service_tier.take(),
        finish_reason: reply.finish_reason.take(),
        failure: reply.failure.take(),
        finished: reply.finished,
        extra: std::mem::take(&mut reply.extra),
        ..Outcome::default()
    };
    let has_status = envelope.capture.is_some();
    let mut entry = call.asked(envelope.capture, asked, outcome)?;
    if !has_status {
        entry.http_status = reply.http_status;
    }
    complete(source, &mut entry, reply)?;
    Ok(entry)
}

/// Writes what a reply says into an entry that has its model, shared with the invocation log.
pub(crate) fn complete<'a>(source: &Source<'a>, entry: &mut Entry<'a>, reply: Reply<'a>) -> Result<(), DecodeError> {
    // Bedrock's own measure, where there is one, leaves out the way to the caller.
    entry.latency_ms = source.millis(reply.latency)?.or(entry.latency_ms);
    entry.ttft_ms = source.millis(reply.first_byte)?.or(entry.ttft_ms);
    name_model(entry, reply.routed_to, reply.model);
    entry.tokens = reply.counts.tokens(entry.model());
    if matches!(entry.status, Status::Error | Status::Filtered) {
        crate::decode::openai::usage::drop_placeholders(&mut entry.tokens);
    }
    if entry.operation == Some(Operation::Embeddings) && entry.tokens.input.is_some() {
        entry.tokens.output = entry.tokens.output.or(Some(0));
    }
    entry.usage_source = if entry.tokens.is_absent() {
        daybook_ledger::UsageSource::Absent
    } else {
        daybook_ledger::UsageSource::Provider
    };
    if reply.blocked && entry.status == Status::Success {
        entry.status = Status::Filtered;
    }
    add_features(entry, reply.features);
    let reserved = entry.service_tier.as_deref() == Some("reserved");
    entry.features.insert_if(reserved, Feature::ProvisionedCapacity);
    let blocked = entry.finish_reason.as_deref() == Some("guardrail_intervened");
    entry.features.insert_if(blocked, Feature::Guardrails);
    note_embedding(entry);
    Ok(())
}

/// The model that served: the one a router chose, else the one an ARN names. An id that names none leaves the body's own
/// word for it.
fn name_model<'a>(entry: &mut Entry<'a>, routed_to: Option<Cow<'a, str>>, replied: Option<Cow<'a, str>>) {
    let asked = entry.request_model.clone().unwrap_or_default();
    let opaque = asked.is_empty() || asked.starts_with("arn:");
    entry.response_model = match routed_to {
        Some(model) => Some(named_by(&model).unwrap_or(model)),
        None => named_by(&asked).or(replied.filter(|_| opaque)),
    };
    let of = |kind: &str| asked.contains(&format!(":{kind}/"));
    let tuned = of("custom-model") || of("custom-model-deployment") || of("imported-model");
    entry.features.insert_if(tuned, Feature::FineTunedModel);
    entry.features.insert_if(of("provisioned-model"), Feature::ProvisionedCapacity);
    // A prompt that AWS keeps is addressed like a model.
    entry.features.insert_if(of("prompt"), Feature::HostedState);
}

/// The model that `arn` names: that of a foundation model or of a profile of AWS's own.
fn named_by(arn: &str) -> Option<Cow<'static, str>> {
    let (kind, name) = arn.strip_prefix("arn:")?.split_once('/')?;
    let names = kind.ends_with(":foundation-model") || kind.ends_with(":inference-profile");
    names.then(|| Cow::Owned(name.to_owned()))
}

object! {
    struct Config<'a> {
        model: Text<'a> = "modelId",
        tools: ToolConfig<'a> = "toolConfig",
        guardrail: Json<'a> = "guardrailConfig",
        fields: Json<'a> = "additionalModelRequestFields",
        output: Json<'a> = "outputConfig",
        metadata: Json<'a> = "requestMetadata",
        variables: Json<'a> = "promptVariables",
    }
}

object! {
    struct ToolConfig<'a> {
        tools: Json<'a> = "tools",
    }
}

object! {
    struct Tool<'a> {
        spec: Json<'a> = "toolSpec",
        system: SystemTool<'a> = "systemTool",
        cache_point: Json<'a> = "cachePoint",
    }
}

object! {
    struct SystemTool<'a> {
        name: Text<'a> = "name",
    }
}

/// What the envelope's entry needs of a request, Converse's own members among them.
pub(crate) fn ask<'a>(request: &mut Request<'a>, json: Option<Json<'a>>) -> Asked<'a> {
    let config = json.and_then(shape::<Config<'a>>).unwrap_or_default();
    let mut asked = request.asked();
    let features = &mut asked.features;
    for tool in config.tools.and_then(|tools| tools.tools).map(elements).unwrap_or_default() {
        note_converse_tool(tool, features);
    }
    let says = |json: Option<Json<'_>>| json.is_some_and(says_something);
    features.insert_if(says(config.guardrail), Feature::Guardrails);
    features.insert_if(says(config.output), Feature::StructuredOutput);
    features.insert_if(says(config.variables), Feature::HostedState);
    for (key, value) in config.fields.map(members).unwrap_or_default() {
        let disabled = value.get().contains("\"disabled\"");
        let thinks = matches!(key.as_ref(), "thinking" | "reasoning_config" | "reasoningConfig" | "reasoning_effort");
        features.insert_if(thinks && !disabled, Feature::ReasoningControl);
        if key == "tools" {
            elements(value).into_iter().for_each(|tool| note_tool(tool, features));
        }
    }
    let metadata = config.metadata.map(members).unwrap_or_default();
    asked.tags.extend(metadata.into_iter().filter_map(|(key, value)| Some((key, tag(value)?))));
    asked.model = asked.model.or(config.model.map(|model| model.0));
    asked
}

fn note_converse_tool(tool: Json<'_>, features: &mut Features) {
    let Some(tool) = shape::<Tool<'_>>(tool) else { return };
    features.insert_if(tool.spec.is_some(), Feature::ToolCalling);
    features.insert_if(tool.cache_point.is_some(), Feature::PromptCacheControl);
    if let Some(name) = tool.system.and_then(|system| system.name) {
        // Amazon's own: `nova_grounding`, `nova_code_interpreter`.
        let short = name.0.strip_prefix("nova_").unwrap_or(&name.0);
        let grounding =
            if short == "grounding" { Some(Feature::WebSearch) } else { crate::decode::parts::hosted(short) };
        features.insert(grounding.unwrap_or(Feature::ToolCalling));
    }
}

/// What requests of single texts say in words of AWS's own: Titan's `inputText`.
pub(crate) fn note_texts(request: Option<Json<'_>>, input: &mut crate::decode::messages::Messages) {
    for (key, value) in request.map(members).unwrap_or_default() {
        if key == "inputText" {
            input.list(Some(value));
        }
    }
}
