//! The model invocation log of AWS Bedrock: one object a call, in a file of S3 or an event of CloudWatch.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation, Status};

use super::converse::{ask, complete, note_texts};
use super::reply::{Reply, Tier};
use super::usage::Counts;
use crate::decode::about::About;
use crate::decode::capture::{add_features, is_filtered, note_modalities, note_model};
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::request::{Request, both_directions, members, tag};
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "bedrock-invocation-log",
    title: "AWS Bedrock model invocation log",
    what: "One object a call, as Bedrock writes it to S3 or CloudWatch. Bodies are in the dialect of Converse or of the model's vendor; of a stream they are a list of its chunks.",
    recognised_by: "`schemaType` is `ModelInvocationLog`; or `modelId`, `requestId` and `operation` together.",
    identity: "`requestId`.",
    stream: "`outputBodyJson` is the list of chunks; the log's own counts are those of the whole call.",
    columns: &[
        (
            "input_tokens",
            "`input.inputTokenCount` + cache reads + cache writes, as for Converse; for OpenAI's models the cache is inside",
        ),
        (
            "cache_read_input_tokens, cache_write_input_tokens",
            "`input.cacheReadInputTokenCount`, `.cacheWriteInputTokenCount`, else those of the body",
        ),
        ("cache_write_5m_input_tokens, cache_write_1h_input_tokens", "only in the body's own usage"),
        ("output_tokens", "`output.outputTokenCount`, else the body's"),
        ("request_model", "`modelId`: an id or an ARN"),
        ("region", "`region`, where the call was made and is billed; `inferenceRegion` goes to `extra`"),
        ("latency_ms, ttft_ms", "only in bodies: `metrics.latencyMs`, `amazon-bedrock-invocationMetrics`"),
        ("workload_hint", "the role or user of `identity.arn`"),
        ("team, tags", "`requestMetadata`; its `team` is the team. `accountId` is a tag"),
        ("error_type", "`errorCode`; the zeros of a failed call are placeholders and become NULL"),
    ],
    cannot_say: &[
        "Latency, where bodies are not delivered or lie in S3: their paths are in `extra`.",
        "The model behind an application inference profile, unless the body names it.",
    ],
};

object! {
    struct Log<'a> {
        timestamp: Json<'a> = "timestamp",
        account: Text<'a> = "accountId",
        identity: Identity<'a> = "identity",
        region: Text<'a> = "region",
        request_id: Text<'a> = "requestId",
        operation: Text<'a> = "operation",
        model: Text<'a> = "modelId",
        error_code: Text<'a> = "errorCode",
        metadata: Json<'a> = "requestMetadata",
        service_tier: Tier<'a> = "serviceTier",
        input: Input<'a> = "input",
        output: Output<'a> = "output",
        schema_type: Text<'a> = "schemaType",
    }
    ignoring ["schemaVersion"]
}

object! {
    struct Identity<'a> {
        arn: Text<'a> = "arn",
    }
}

object! {
    struct Input<'a> {
        body: Json<'a> = "inputBodyJson",
        tokens: Count = "inputTokenCount",
        cache_read: Count = "cacheReadInputTokenCount",
        cache_write: Count = "cacheWriteInputTokenCount",
    }
    ignoring ["inputContentType"]
}

object! {
    struct Output<'a> {
        body: Json<'a> = "outputBodyJson",
        tokens: Count = "outputTokenCount",
    }
    ignoring ["outputContentType"]
}

/// Decodes one record of the log.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut log: Log<'a> = source.parse(source.text())?;
    let model = present(log.model.take());
    let named = log.schema_type.take().is_some_and(|kind| kind.0 == "ModelInvocationLog");
    if !named && (model.is_none() || log.request_id.is_none()) {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::BedrockLog);
        return Err(DecodeError::WrongFormat { format: Format::BedrockLog, missing: "`schemaType`", looks_like });
    }
    let (sent, received) = (log.input.take().unwrap_or_default(), log.output.take().unwrap_or_default());
    let (mut input, mut output) = both_directions(options.bodies);
    let mut request: Request<'a> = match sent.body.filter(|body| body.get().starts_with('{')) {
        Some(body) => source.object(body)?,
        None => Request::default(),
    };
    request.say(&mut input);
    note_texts(sent.body, &mut input);
    let asked = ask(&mut request, sent.body);
    let mut reply = match received.body {
        Some(body) => Reply::read(source, body, &mut output)?,
        None => Reply { finished: true, ..Reply::default() },
    };
    let counted = Counts {
        input: count(sent.tokens),
        output: count(received.tokens),
        cache_read: count(sent.cache_read),
        cache_write: count(sent.cache_write),
        ..Counts::default()
    };
    reply.counts = counted.or(reply.counts);
    let extra = extra(&log, (&sent, &received), std::mem::take(&mut reply.extra));

    let streamed = log.operation.as_ref().is_some_and(|operation| operation.0.ends_with("Stream"));
    let mut entry = Entry::new("bedrock", reply.operation.unwrap_or(operation(model.as_deref())), raw);
    entry.streamed = log.operation.take().map(|_| streamed);
    entry.event_id = present(log.request_id.take());
    entry.started_at = source.instant(log.timestamp)?;
    entry.provider = Some(Cow::Borrowed("bedrock"));
    entry.region = present(log.region.take());
    entry.request_model = model;
    entry.service_tier = log.service_tier.take().and_then(|tier| present(tier.kind)).or(reply.service_tier.take());
    entry.features = asked.features;
    entry.end_user = asked.end_user;
    entry.extra = extra.into_json();
    identify(&mut entry, &mut log);
    conclude(&mut entry, present(log.error_code.take()), &mut reply);
    note_model(&mut entry);
    complete(source, &mut entry, reply)?;
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    note_modalities(&mut entry);
    if options.bodies {
        entry.body = request.body(sent.body, input, output);
    }
    Ok(entry)
}

/// What the id shows of the kind of call, where the body does not.
fn operation(model: Option<&str>) -> Operation {
    let model = model.unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| model.contains(word));
    if has(&["embed"]) {
        Operation::Embeddings
    } else if has(&["rerank"]) {
        Operation::Rerank
    } else if has(&["stability.", "titan-image", "nova-canvas"]) {
        Operation::Image
    } else {
        Operation::Chat
    }
}

/// Who called: the role or user, the account, and what the request says of itself.
fn identify<'a>(entry: &mut Entry<'a>, log: &mut Log<'a>) {
    let arn = log.identity.take().and_then(|identity| present(identity.arn));
    // `arn:aws:sts::1:assumed-role/<role>/<session>`, `arn:aws:iam::1:user/<path>/<name>`
    entry.workload_hint = arn.and_then(|arn| {
        let (kind, rest) = arn.split_once('/')?;
        let name = if kind.ends_with(":assumed-role") { rest.split('/').next() } else { rest.rsplit('/').next() };
        name.filter(|name| !name.is_empty()).map(|name| Cow::Owned(name.to_owned()))
    });
    for (key, value) in log.metadata.map(members).unwrap_or_default() {
        let Some(value) = tag(value) else { continue };
        if key == "team" {
            entry.team = Some(value.clone());
        }
        entry.tags.push((key, value));
    }
    let account = present(log.account.take());
    entry.tags.extend(account.map(|account| (Cow::Borrowed("aws.account_id"), account)));
}

/// How it ended.
fn conclude<'a>(entry: &mut Entry<'a>, error: Option<Cow<'a, str>>, reply: &mut Reply<'a>) {
    entry.finish_reason = reply.finish_reason.take();
    let word = reply.failure.take().map(|failure| failure.word);
    let failed = error.is_some() || word.is_some();
    let filtered = is_filtered(entry.finish_reason.as_deref());
    entry.error_type = error.or(word.flatten());
    entry.status = if failed {
        Status::Error
    } else if filtered {
        Status::Filtered
    } else if reply.finished {
        Status::Success
    } else {
        Status::Incomplete
    };
    entry.features.insert_if(reply.blocked, Feature::Guardrails);
}

/// What no column has: paths of bodies in S3, the region that served, members of newer versions.
fn extra<'a>(log: &Log<'a>, (sent, received): (&Input<'a>, &Output<'a>), mut extra: Extra<'a>) -> Extra<'a> {
    extra.add("", &log.unknown);
    extra.add("input", &sent.unknown);
    extra.add("output", &received.unknown);
    extra
}
