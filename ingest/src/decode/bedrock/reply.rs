//! What a model on Bedrock answered, in Converse's dialect or in the model vendor's own.

use std::borrow::Cow;

use daybook_ledger::{Feature, Features, Operation};

use super::usage::{Counts, Usage};
use crate::decode::DecodeError;
use crate::decode::anthropic::read_message;
use crate::decode::anthropic::stream::MessageStream;
use crate::decode::bedrock::{native, stream};
use crate::decode::capture::Failure;
use crate::decode::extra::Extra;
use crate::decode::messages::{Messages, elements, shape};
use crate::decode::object::object;
use crate::decode::request::members;
use crate::decode::scalar::{Count, HttpStatus, Text, count, present};
use crate::decode::source::{Json, Source};

object! {
    /// A response of Converse, or the `metadata` event of its stream.
    pub(crate) struct Converse<'a> {
        output: Output<'a> = "output",
        stop_reason: Text<'a> = "stopReason",
        usage: Usage<'a> = "usage",
        metrics: Metrics<'a> = "metrics",
        trace: Trace<'a> = "trace",
        service_tier: Tier<'a> = "serviceTier",
        performance: Json<'a> = "performanceConfig",
        fields: Json<'a> = "additionalModelResponseFields",
        sdk: SdkMetadata<'a> = "ResponseMetadata",
        guardrail: Text<'a> = "amazon-bedrock-guardrailAction",
        invocation: Json<'a> = "amazon-bedrock-invocationMetrics",
    }
    ignoring ["message"]
}

object! {
    struct Output<'a> {
        message: Message<'a> = "message",
    }
}

object! {
    struct Message<'a> {
        content: Json<'a> = "content",
    }
    ignoring ["role"]
}

object! {
    struct Metrics<'a> {
        latency: Json<'a> = "latencyMs",
    }
}

object! {
    struct Trace<'a> {
        guardrail: Json<'a> = "guardrail",
        router: Router<'a> = "promptRouter",
    }
}

object! {
    struct Router<'a> {
        model: Text<'a> = "invokedModelId",
    }
}

object! {
    /// `{"type": "priority"}`, or the word alone.
    pub(crate) struct Tier<'a> {
        pub kind: Text<'a> = "type",
    }
}

object! {
    /// What the AWS SDKs add to a response.
    struct SdkMetadata<'a> {
        request_id: Text<'a> = "RequestId",
        status: HttpStatus = "HTTPStatusCode",
    }
    ignoring ["HTTPHeaders", "RetryAttempts"]
}

object! {
    struct InvocationMetrics<'a> {
        input: Count = "inputTokenCount",
        output: Count = "outputTokenCount",
        cache_read: Count = "cacheReadInputTokenCount",
        cache_write: Count = "cacheWriteInputTokenCount",
        latency: Json<'a> = "invocationLatency",
        first_byte: Json<'a> = "firstByteLatency",
    }
}

/// An answer of any dialect.
#[derive(Debug, Default)]
pub(crate) struct Reply<'a> {
    pub counts: Counts,
    /// The operation, where the body shows another than a conversation's turn.
    pub operation: Option<Operation>,
    /// The model a body in a vendor's dialect names.
    pub model: Option<Cow<'a, str>>,
    /// The model a prompt router chose.
    pub routed_to: Option<Cow<'a, str>>,
    pub request_id: Option<Cow<'a, str>>,
    pub http_status: Option<u16>,
    pub service_tier: Option<Cow<'a, str>>,
    pub finish_reason: Option<Cow<'a, str>>,
    pub failure: Option<Failure<'a>>,
    pub finished: bool,
    pub latency: Option<Json<'a>>,
    pub first_byte: Option<Json<'a>>,
    pub blocked: bool,
    pub features: Features,
    pub extra: Extra<'a>,
}

impl<'a> Reply<'a> {
    /// Reads a whole response, or the list of a stream's events, and writes the answer to `output`.
    pub(crate) fn read(source: &Source<'a>, json: Json<'a>, output: &mut Messages) -> Result<Self, DecodeError> {
        match json.get().as_bytes().first() {
            Some(b'[') => Self::read_stream(source, json, output),
            Some(b'{') => Self::read_whole(source, json, output),
            _ => Ok(Self::default()),
        }
    }

    fn read_stream(source: &Source<'a>, json: Json<'a>, output: &mut Messages) -> Result<Self, DecodeError> {
        let events: Vec<_> = elements(json).into_iter().filter(|event| event.get().starts_with('{')).collect();
        if events.iter().any(|event| stream::is_event(event)) {
            return stream::read(source, &events, output);
        }
        let anthropic = events.iter().any(|event| event.get().contains("\"message_start\""));
        let mut reply = if anthropic {
            let answer = MessageStream::read(source, json)?.answer(source, output)?;
            Self::of_anthropic(answer)
        } else {
            native::read_stream(source, &events, output)?
        };
        for event in events {
            let metrics = members(event).into_iter().find(|(key, _)| key == "amazon-bedrock-invocationMetrics");
            if let Some((_, metrics)) = metrics {
                reply.take_metrics(source, metrics)?;
            }
        }
        Ok(reply)
    }

    fn read_whole(source: &Source<'a>, json: Json<'a>, output: &mut Messages) -> Result<Self, DecodeError> {
        let keys = members(json);
        let value = |name: &str| {
            keys.iter().find(|(key, _)| key == name).map(|(_, value)| *value).filter(|value| value.get() != "null")
        };
        if let Some(failure) = failure(source, json, &value)? {
            return Ok(Self { failure: Some(failure), ..Self::default() });
        }
        if value("type").is_some_and(|kind| kind.get() == "\"message\"") {
            return Ok(Self::of_anthropic(read_message(source, json, output)?));
        }
        let converse = ["output", "stopReason", "metrics"].iter().any(|name| value(name).is_some());
        if !converse && !value("usage").is_some_and(|usage| usage.get().contains("\"inputTokens\"")) {
            return native::read(source, json, output);
        }
        let mut converse: Converse<'a> = source.object(json)?;
        let mut reply = Self::default();
        let content = converse.output.take().and_then(|output| output.message).and_then(|message| message.content);
        let reason = present(converse.stop_reason.take());
        if let Some(content) = content.filter(|content| content.get() != "[]") {
            output.message("assistant", reason.as_deref(), |output| output.content(content));
        }
        reply.finished = content.is_some() || reason.is_some() || converse.usage.is_some();
        reply.finish_reason = reason;
        if let Some(metrics) = converse.invocation.take() {
            reply.take_metrics(source, metrics)?;
        }
        reply.take(converse);
        Ok(reply)
    }

    fn of_anthropic(answer: crate::decode::anthropic::Answer<'a>) -> Self {
        let (mut outcome, usage) = (answer.outcome, answer.usage.unwrap_or_default());
        usage.note_unknown(&mut outcome.extra);
        Self {
            counts: Counts::of_inclusive(&usage.tokens()),
            model: outcome.model,
            finish_reason: outcome.finish_reason,
            failure: outcome.failure,
            finished: outcome.finished,
            extra: outcome.extra,
            ..Self::default()
        }
    }

    /// Takes in what Converse says beside the answer.
    pub(crate) fn take(&mut self, converse: Converse<'a>) {
        self.note_fields(converse.fields);
        self.extra.add("response", &converse.unknown);
        if let Some(usage) = converse.usage {
            self.counts = usage.counts().or(self.counts);
            self.extra.add("usage", &usage.unknown);
        }
        self.latency = converse.metrics.and_then(|metrics| metrics.latency).or(self.latency);
        self.service_tier = converse.service_tier.and_then(|tier| present(tier.kind)).or(self.service_tier.take());
        if let Some(performance) = converse.performance.filter(|config| !config.get().contains("\"standard\"")) {
            self.extra.member("performanceConfig".to_owned(), performance.get());
        }
        if let Some(trace) = converse.trace {
            self.features.insert_if(trace.guardrail.is_some(), Feature::Guardrails);
            self.routed_to = trace.router.and_then(|router| present(router.model)).or(self.routed_to.take());
        }
        if let Some(sdk) = converse.sdk {
            self.request_id = present(sdk.request_id);
            self.http_status = sdk.status.and_then(|status| status.0);
        }
        let action = present(converse.guardrail);
        self.features.insert_if(action.is_some(), Feature::Guardrails);
        self.blocked |= action.is_some_and(|action| action == "INTERVENED");
    }

    /// Reasoning is counted only where the request asked for that field of the model's own response.
    pub(crate) fn note_fields(&mut self, fields: Option<Json<'a>>) {
        #[derive(serde::Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            usage: Option<Json<'a>>,
            output_tokens_details: Option<Json<'a>>,
            thinking_tokens: Option<Count>,
        }
        let read = |json: Json<'a>| shape::<Fields<'a>>(json);
        let usage = fields.and_then(read).and_then(|fields| fields.usage).and_then(read);
        let details = usage.and_then(|usage| usage.output_tokens_details).and_then(read);
        let thinking = details.and_then(|details| count(details.thinking_tokens));
        self.counts.reasoning = thinking.or(self.counts.reasoning);
    }

    /// The counts Bedrock itself puts on the last chunk. They tell no lifetimes: those of the model's own usage stay where
    /// something was written.
    pub(crate) fn take_metrics(&mut self, source: &Source<'a>, json: Json<'a>) -> Result<(), DecodeError> {
        let metrics: InvocationMetrics<'a> = source.object(json)?;
        let counted = Counts {
            input: count(metrics.input),
            output: count(metrics.output),
            cache_read: count(metrics.cache_read),
            cache_write: count(metrics.cache_write),
            ..Counts::default()
        };
        self.counts = counted.or(self.counts);
        if self.counts.cache_write == Some(0) {
            (self.counts.cache_write_5m, self.counts.cache_write_1h) = (None, None);
        }
        self.latency = metrics.latency.or(self.latency);
        self.first_byte = metrics.first_byte.or(self.first_byte);
        self.finished = true;
        self.extra.add("amazon-bedrock-invocationMetrics", &metrics.unknown);
        Ok(())
    }
}

/// `{"message": ..., "__type": ...}` of the service, `{"Error": {"Code": ...}}` of an SDK, or an error in the dialect of the
/// model's vendor.
fn failure<'a>(
    source: &Source<'a>,
    json: Json<'a>,
    value: &dyn Fn(&str) -> Option<Json<'a>>,
) -> Result<Option<Failure<'a>>, DecodeError> {
    #[derive(serde::Deserialize)]
    struct SdkError<'a> {
        #[serde(rename = "Code", borrow)]
        code: Option<Text<'a>>,
    }
    let sdk = value("Error").and_then(shape::<SdkError<'a>>).and_then(|error| present(error.code));
    let typed = match value("__type").or(value("code").filter(|_| value("message").is_some())) {
        // `com.amazon.coral.service#ThrottlingException`
        Some(kind) => Some(match source.string(kind)? {
            Cow::Borrowed(kind) => Cow::Borrowed(kind.rsplit('#').next().unwrap_or(kind)),
            Cow::Owned(kind) => Cow::Owned(kind.rsplit('#').next().unwrap_or(&kind).to_owned()),
        }),
        None => None,
    };
    if let Some(word) = sdk.or(typed) {
        return Ok(Some(Failure { word: Some(word), ..Failure::default() }));
    }
    if value("error").is_some() || value("type").is_some_and(|kind| kind.get() == "\"error\"") {
        return Failure::read(source, json).map(Some);
    }
    let only_message = value("message").or(value("Message")).is_some() && value("usage").is_none();
    let answers = [
        "output",
        "stopReason",
        "generation",
        "results",
        "choices",
        "text",
        "content",
        "embedding",
        "embeddings",
        "images",
        "finishReason",
    ];
    Ok((only_message && answers.iter().all(|name| value(name).is_none())).then(Failure::default))
}
