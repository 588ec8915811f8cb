//! Langfuse's observations, of its APIs and of its exports.

pub(super) mod usage;

use std::borrow::Cow;

use daybook_ledger::{Entry, Operation, Status, Usd};

use self::usage::{Legacy, count_usage};
use crate::decode::about::About;
use crate::decode::capture::add_features;
use crate::decode::extra::Extra;
use crate::decode::gateway::exchange::{own, own_body};
use crate::decode::gateway::{WORD_BYTES_MAX, completed_at, conclude, labels, millis_between, note_tags, tags};
use crate::decode::litellm::response::Reply;
use crate::decode::litellm::split_tag;
use crate::decode::messages::{Messages, is_string, shape};
use crate::decode::object::object;
use crate::decode::provider::canonical;
use crate::decode::quoted::Quoted;
use crate::decode::request::{Request, both_directions, members};
use crate::decode::scalar::{Count, Text, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "langfuse",
    title: "Langfuse observations",
    what: "Observations of Langfuse's APIs (v1, v2) and exports. Generations and embeddings are calls; spans, agents and the like repeat what their calls cost and have no entry.",
    recognised_by: "a key only Langfuse has (`usageDetails`, `costDetails`, `providedModelName`, `parentObservationId`, or the same with underscores).",
    identity: "`id`.",
    stream: "Already merged.",
    columns: &[
        (
            "input_tokens",
            "the sum of the keys of `usageDetails` that hold `input`, for they exclude each other; where only the other reading gives `total`, `input` alone",
        ),
        ("output_tokens", "likewise of those that hold `output`"),
        (
            "cache_read_input_tokens, reasoning_tokens",
            "the input keys that hold `cache`; the output keys that hold `reasoning`",
        ),
        (
            "cache_write_input_tokens",
            "the input keys that hold `cache` and `creation` or `write`, with `5m` and `1h` as lifetimes",
        ),
        (
            "input_tokens, output_tokens",
            "without `usageDetails`: `usage.input`, `usage.output`, or `promptTokens`, `completionTokens`; other units than tokens are meters",
        ),
        ("usage_source", "`estimated` where Langfuse counted with its own tokenizer (`providedUsageDetails` is empty)"),
        ("reported_cost", "`costDetails.total`, else `totalCost`, else the sum of `costDetails`"),
        ("provider", "only what an instrumentation left in `metadata` (`gen_ai.provider.name`, `ls_provider`)"),
        ("latency_ms, ttft_ms", "from start to end, else `latency`, in seconds; from start to `completionStartTime`"),
        ("status", "`level`; without end, output and usage it is pending"),
        ("response_model", "`providedModelName`, else `model`"),
        (
            "end_user, session_id, environment",
            "`userId`, `sessionId`, `environment`; of a trace with its `observations`, the trace's `userId`, `sessionId` and `tags` where an observation has none",
        ),
    ],
    cannot_say: &[
        "The provider, as a rule.",
        "The HTTP status.",
        "Whether a model name was asked for or served.",
        "The user, in exports that keep traces in files of their own; enriched observations have it.",
    ],
};

object! {
    pub(crate) struct Observation<'a> {
        id: Text<'a> = "id",
        trace_id: Text<'a> = "traceId" | "trace_id",
        kind: Text<'a> = "type",
        name: Text<'a> = "name",
        start_time: Json<'a> = "startTime" | "start_time",
        end_time: Json<'a> = "endTime" | "end_time",
        first_token_time: Json<'a> = "completionStartTime" | "completion_start_time",
        /// As it was sent. Exports have `model` beside it, which repeats it.
        provided_model: Text<'a> = "providedModelName" | "provided_model_name",
        model: Text<'a> = "model",
        parameters: Json<'a> = "modelParameters" | "model_parameters",
        input: Json<'a> = "input",
        output: Json<'a> = "output",
        metadata: Json<'a> = "metadata",
        level: Text<'a> = "level",
        status_message: Text<'a> = "statusMessage" | "status_message",
        environment: Text<'a> = "environment",
        user_id: Text<'a> = "userId" | "user_id",
        session_id: Text<'a> = "sessionId" | "session_id",
        tags: Json<'a> = "tags",
        pub(crate) usage_details: Json<'a> = "usageDetails" | "usage_details",
        pub(crate) provided_usage: Json<'a> = "providedUsageDetails" | "provided_usage_details",
        pub(crate) usage: Legacy<'a> = "usage",
        pub(crate) prompt_tokens: Count = "promptTokens" | "prompt_tokens",
        pub(crate) completion_tokens: Count = "completionTokens" | "completion_tokens",
        pub(crate) total_tokens: Count = "totalTokens" | "total_tokens",
        pub(crate) unit: Text<'a> = "unit",
        cost_details: Json<'a> = "costDetails" | "cost_details",
        total_cost: Json<'a> = "totalCost" | "total_cost",
        calculated_cost: Json<'a> = "calculatedTotalCost" | "calculated_total_cost",
        latency: Json<'a> = "latency",
        time_to_first_token: Json<'a> = "timeToFirstToken" | "time_to_first_token",
        prompt_name: Text<'a> = "promptName" | "prompt_name",
    }
    // Keys of its own tables, and prices it looked up.
    ignoring [
        "projectId", "project_id", "parentObservationId", "parent_observation_id", "version", "promptId", "prompt_id",
        "promptVersion", "prompt_version", "modelId", "model_id", "internalModelId", "internal_model_id", "inputPrice",
        "outputPrice", "totalPrice", "input_price", "output_price", "total_price", "calculatedInputCost",
        "calculatedOutputCost", "inputCost", "outputCost", "createdAt", "created_at", "updatedAt", "updated_at",
        "inputUsage", "outputUsage", "totalUsage", "provided_cost_details", "providedCostDetails", "usagePricingTierName",
        "usagePricingTierId", "usage_pricing_tier_name", "usage_pricing_tier_id", "event_ts", "is_deleted", "bookmarked",
    ]
}

object! {
    /// Members of the metadata that name the provider: instrumentations write them there.
    struct Told<'a> {
        provider: Text<'a> = "gen_ai.provider.name" | "ls_provider",
        system: Text<'a> = "gen_ai.system",
        attributes: Json<'a> = "attributes",
    }
}

/// Decodes one observation. Only generations and embeddings are calls of a model: spans, agents and chains around them
/// repeat what they cost.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Option<Entry<'a>>, DecodeError> {
    let mut seen: Observation<'a> = source.parse(source.text())?;
    if seen.start_time.is_none() || seen.kind.is_none() && seen.usage_details.is_none() && seen.usage.is_none() {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::Langfuse);
        let missing = "`startTime` with `type`, `usageDetails` or `usage`";
        return Err(DecodeError::WrongFormat { format: Format::Langfuse, missing, looks_like });
    }
    let model = present(seen.provided_model.take()).or_else(|| present(seen.model.take()));
    let operation = match seen.kind.as_ref().map(|kind| kind.0.to_ascii_uppercase()).as_deref() {
        Some("SPAN" | "EVENT" | "AGENT" | "TOOL" | "CHAIN" | "RETRIEVER" | "EVALUATOR" | "GUARDRAIL") => {
            return Ok(None);
        }
        Some("EMBEDDING") => Operation::Embeddings,
        // Types yet to come are calls if they name a model.
        Some(kind) if kind != "GENERATION" && model.is_none() => return Ok(None),
        _ => Operation::Chat,
    };
    let mut entry = Entry::new("langfuse", operation, raw);
    let mut extra = Extra::default();
    extra.add("", &seen.unknown);
    entry.gateway = Some(Cow::Borrowed("langfuse"));
    entry.event_id = present(seen.id.take());
    entry.trace_id = present(seen.trace_id.take());
    note_time(source, &seen, &mut entry)?;
    entry.response_model = model;
    entry.provider = seen.metadata.and_then(told_provider);
    count_usage(source, &seen, &mut extra, &mut entry)?;
    entry.reported_cost = cost(source, &seen)?;
    entry.reported_currency = entry.reported_cost.map(|_| "USD");
    attribute(&mut seen, &mut entry);
    let failed = seen.level.as_ref().is_some_and(|level| level.0 == "ERROR");
    if failed {
        entry.error_type = present(seen.status_message.take()).map(word);
    } else if seen.end_time.is_none() && entry.tokens.is_absent() && seen.output.is_none() {
        entry.status = Status::Pending;
    }
    note_bodies(&seen, options, &mut entry);
    conclude(failed, &mut entry);
    entry.extra = extra.into_json();
    Ok(Some(entry))
}

/// From start to end, if both are told: `latency` is rounded, in seconds.
fn note_time<'a>(source: &Source<'a>, seen: &Observation<'a>, entry: &mut Entry<'a>) -> Result<(), DecodeError> {
    entry.started_at = source.epoch(seen.start_time)?;
    let end = source.epoch(seen.end_time)?;
    let spent = source.seconds_as_millis(seen.latency)?;
    entry.latency_ms = millis_between(entry.started_at, end).or(spent);
    entry.completed_at = end.or(completed_at(entry.started_at, entry.latency_ms));
    let first = millis_between(entry.started_at, source.epoch(seen.first_token_time)?);
    entry.ttft_ms = first.or(source.seconds_as_millis(seen.time_to_first_token)?);
    // Only a stream has a first token of its own.
    entry.streamed = entry.ttft_ms.map(|_| true);
    Ok(())
}

/// The provider, if an instrumentation told it; Langfuse itself has no field for it.
fn told_provider(metadata: Json<'_>) -> Option<Cow<'static, str>> {
    let quoted = Quoted::read(metadata)?;
    let told = shape::<Told<'_>>(quoted.json())?;
    let nested = told.attributes.and_then(Quoted::read);
    let inner = nested.as_ref().and_then(|nested| shape::<Told<'_>>(nested.json())).unwrap_or_default();
    let name = [told.provider, told.system, inner.provider, inner.system].into_iter().find_map(present)?;
    Some(own(canonical(name)))
}

/// The total, or the sum of the parts if there is none.
fn cost<'a>(source: &Source<'a>, seen: &Observation<'a>) -> Result<Option<Usd>, DecodeError> {
    let quoted = seen.cost_details.and_then(Quoted::read);
    let parts = quoted.as_ref().map(|quoted| members(quoted.json())).unwrap_or_default();
    let amount = |json: Json<'_>| Usd::parse(json.get().trim_matches('"')).ok();
    let total = parts.iter().find(|(key, _)| key == "total").and_then(|(_, json)| amount(json));
    if let Some(total) = total {
        return Ok(Some(total));
    }
    let legacy = seen.usage.as_ref().and_then(|usage| usage.total_cost);
    let stated = source.decimal(seen.total_cost.or(legacy).or(seen.calculated_cost))?;
    let sum = parts.iter().filter_map(|(_, json)| amount(json)).map(Usd::pico).reduce(i128::saturating_add);
    Ok(stated.or(sum.map(Usd::from_pico)))
}

fn attribute<'a>(seen: &mut Observation<'a>, entry: &mut Entry<'a>) {
    entry.end_user = present(seen.user_id.take());
    entry.session_id = present(seen.session_id.take());
    entry.environment = present(seen.environment.take());
    entry.workload_hint = present(seen.name.take());
    note_tags(tags(seen.metadata), entry);
    entry.tags.extend(labels(seen.tags).into_iter().map(split_tag));
    if let Some(name) = present(seen.prompt_name.take()) {
        entry.tags.push((Cow::Borrowed("prompt_name"), name));
    }
}

/// The message of an error, or its first line if it is long: more may repeat a prompt.
fn word(message: Cow<'_, str>) -> Cow<'_, str> {
    if message.len() <= WORD_BYTES_MAX {
        return message;
    }
    let line = message.lines().next().unwrap_or_default();
    let kind = line.split(':').next().unwrap_or_default();
    let word = if line.len() <= WORD_BYTES_MAX { line } else { kind };
    Cow::Owned(word.chars().take(WORD_BYTES_MAX / 4).collect())
}

/// What was said, in whatever shape the instrumented code had it: a provider's request and answer, messages, or text.
fn note_bodies<'a>(seen: &Observation<'a>, options: &DecodeOptions, entry: &mut Entry<'a>) {
    let (mut input, mut output) = both_directions(options.bodies);
    let asked = seen.input.and_then(Quoted::read);
    let is_request = |json: &Json<'_>| members(json).iter().any(|(key, _)| key == "messages" || key == "tools");
    let request = asked.as_ref().map(Quoted::json).filter(is_request).and_then(shape::<Request<'_>>);
    match &request {
        Some(request) => request.say(&mut input),
        None => say(asked.as_ref(), seen.input, &mut input),
    }
    let answered = seen.output.and_then(Quoted::read);
    let is_answer = |json: &Json<'_>| {
        let marks = ["choices", "stop_reason", "output"];
        members(json).iter().any(|(key, _)| marks.contains(&key.as_ref()))
    };
    match answered.as_ref().map(Quoted::json).filter(is_answer) {
        Some(answer) => {
            let mut reply = Reply::read(answer);
            reply.say(&mut output);
            entry.finish_reason = reply.finish_reason().map(own);
        }
        None => say(answered.as_ref(), seen.output, &mut output),
    }
    let parameters = seen.parameters.and_then(Quoted::read);
    let parameters = parameters.as_ref().map(Quoted::json).filter(|json| !matches!(json.get(), "{}" | "null"));
    let asked_for = parameters.and_then(shape::<Request<'_>>).unwrap_or_default();
    let request = request.unwrap_or_default();
    for features in [input.features, output.features, request.features(), asked_for.features()] {
        add_features(entry, features);
    }
    if options.bodies {
        entry.body = request.body(parameters, input, output).map(own_body);
    }
}

/// Messages, one message, or text; text may be JSON of a string.
fn say(quoted: Option<&Quoted<'_>>, json: Option<Json<'_>>, messages: &mut Messages) {
    let json = quoted.map(Quoted::json).or(json);
    let text = json.filter(|json| is_string(json)).and_then(|json| serde_json::from_str::<Text<'_>>(json.get()).ok());
    // Exports that keep bodies as raw text have a plain answer as `"\"text\""`.
    let inner = text.as_ref().and_then(|text| serde_json::from_str::<Json<'_>>(text.0.trim()).ok());
    messages.list(inner.filter(|inner| is_string(inner)).or(json).filter(|json| json.get() != "null"));
}
