//! One AI call as the ledger records it, before it becomes a row.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::file::unhex;
use crate::words::words;
use crate::{Instant, Tokens, Usd};

/// Identity of a call: the same call from the same source has the same id wherever and whenever it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(pub [u8; 16]);

impl std::hash::Hash for EntryId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl EntryId {
    /// The first 16 bytes of SHA-256 over `source`, a zero byte and the call's own `id` in that source.
    pub fn derive(source: &str, id: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::new().chain_update(source).chain_update([0]).chain_update(id).finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        Self(bytes)
    }

    /// From the 16 bytes of the `entry_id` column.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// From 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

words! {
    /// What kind of call it was.
    Operation {
        /// A conversation turn.
        Chat = "chat",
        /// A turn over OpenAI's Responses API.
        Responses = "responses",
        /// Vectors for texts.
        Embeddings = "embeddings",
        /// Documents put in order.
        Rerank = "rerank",
        /// Speech to text.
        Transcription = "transcription",
        /// Text to speech.
        Speech = "speech",
        /// Pictures made or edited.
        Image = "image",
        /// A live session's turn.
        Realtime = "realtime",
        /// Text read off pages.
        Ocr = "ocr",
    }
}

words! {
    /// How the call ended. A length limit is still a success.
    Status {
        /// Answered.
        Success = "success",
        /// Failed; nothing usable came back.
        Error = "error",
        /// Refused or blocked by the provider.
        Filtered = "filtered",
        /// Cut short: counts are a floor or unknown.
        Incomplete = "incomplete",
        /// No usage yet; a later event of the same call follows.
        Pending = "pending",
    }
}

words! {
    /// Who counted the tokens.
    UsageSource {
        /// The provider, in its response.
        Provider = "provider",
        /// The gateway.
        Gateway = "gateway",
        /// An estimate, not a count.
        Estimated = "estimated",
        /// Nobody: the event has no usage.
        Absent = "absent",
    }
}

words! {
    /// What a call leaned on that another vendor may not have.
    Feature {
        /// Client-side functions offered or called.
        ToolCalling = "tool_calling",
        /// A JSON schema or JSON mode for the answer.
        StructuredOutput = "structured_output",
        /// Explicit cache marks, keys or lifetimes.
        PromptCacheControl = "prompt_cache_control",
        /// Pictures in the input.
        VisionInput = "vision_input",
        /// Sound in the input.
        AudioInput = "audio_input",
        /// Video in the input.
        VideoInput = "video_input",
        /// Documents (PDF and the like) in the input.
        DocumentInput = "document_input",
        /// Sound in the output.
        AudioOutput = "audio_output",
        /// Pictures in the output.
        ImageOutput = "image_output",
        /// Files stored with the vendor.
        HostedFiles = "hosted_files",
        /// A vector store run by the vendor.
        HostedVectorStore = "hosted_vector_store",
        /// Conversation, thread or response state kept by the vendor.
        HostedState = "hosted_state",
        /// The vendor's web search or grounding.
        WebSearch = "web_search",
        /// Code run by the vendor.
        CodeExecution = "code_execution",
        /// Computer or browser control.
        ComputerUse = "computer_use",
        /// Tools the vendor calls over MCP.
        RemoteMcp = "remote_mcp",
        /// Citations made by the vendor.
        Citations = "citations",
        /// Explicit reasoning effort or thinking budget.
        ReasoningControl = "reasoning_control",
        /// Log probabilities.
        Logprobs = "logprobs",
        /// Predicted outputs.
        PredictedOutput = "predicted_output",
        /// Several answers to one prompt.
        MultipleChoices = "multiple_choices",
        /// Batch processing.
        Batch = "batch",
        /// Background processing.
        Background = "background",
        /// Live sessions.
        Realtime = "realtime",
        /// A model tuned at the vendor.
        FineTunedModel = "fine_tuned_model",
        /// Vectors only this vendor's model can make.
        ProprietaryEmbedding = "proprietary_embedding",
        /// Capacity paid by the hour.
        ProvisionedCapacity = "provisioned_capacity",
        /// The vendor's guardrails or moderation.
        Guardrails = "guardrails",
    }
}

/// The features of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(u64);

impl Features {
    /// Adds `feature`.
    pub fn insert(&mut self, feature: Feature) {
        self.0 |= 1 << feature as u64;
    }

    /// Adds `feature` if `condition` holds.
    pub fn insert_if(&mut self, condition: bool, feature: Feature) {
        self.0 |= u64::from(condition) << feature as u64;
    }

    /// Whether `feature` is among them.
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u64) != 0
    }

    /// The features in declared order.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |feature| self.contains(*feature))
    }
}

/// What was said, in open form. Present only when the event carries a prompt or an answer; that of an embedding call may have no
/// words.
#[derive(Clone, Debug, Default)]
pub struct Body<'a> {
    /// Input messages as OpenTelemetry GenAI message JSON, system text first.
    pub input_messages: Option<Cow<'a, str>>,
    /// Output messages as OpenTelemetry GenAI message JSON, one per choice.
    pub output_messages: Option<Cow<'a, str>>,
    /// The tools offered, as the source wrote them (JSON).
    pub tool_definitions: Option<Cow<'a, str>>,
    /// The other request parameters (JSON object).
    pub request_parameters: Option<Cow<'a, str>>,
}

/// One AI call, borrowed from the event it was read from.
///
/// Text is as the source wrote it, without gateway prefixes in model names. `None`: the event does not say.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The kind of source, or its CloudEvents `source`; with `event_id` it makes the [`EntryId`].
    pub source: Cow<'a, str>,
    /// The call's own id in that source. Without one the event's bytes are its identity.
    pub event_id: Option<Cow<'a, str>>,
    /// What tells the event apart where that is not `event_id`: the id of the envelope it came in. Not stored.
    pub dedup_id: Option<Cow<'a, str>>,
    /// When the call started; without it the message's own time stands in.
    pub started_at: Option<Instant>,
    /// When the last byte of the answer came.
    pub completed_at: Option<Instant>,
    /// The gateway whose log this is.
    pub gateway: Option<Cow<'a, str>>,
    /// Who serves and bills.
    pub provider: Option<Cow<'a, str>>,
    /// The model asked for.
    pub request_model: Option<Cow<'a, str>>,
    /// The model that served.
    pub response_model: Option<Cow<'a, str>>,
    /// The kind of call. A line of a batch that never ran does not tell.
    pub operation: Option<Operation>,
    /// The service tier that served, as reported.
    pub service_tier: Option<Cow<'a, str>>,
    /// The provider's region.
    pub region: Option<Cow<'a, str>>,
    /// Whether the answer was streamed.
    pub streamed: Option<bool>,
    /// The team that pays.
    pub team: Option<Cow<'a, str>>,
    /// The project it belongs to.
    pub project: Option<Cow<'a, str>>,
    /// What the sender calls the workload (service name, feature tag).
    pub workload_hint: Option<Cow<'a, str>>,
    /// Deployment environment.
    pub environment: Option<Cow<'a, str>>,
    /// The key's alias, never the key.
    pub api_key_alias: Option<Cow<'a, str>>,
    /// The person or customer the call was made for.
    pub end_user: Option<Cow<'a, str>>,
    /// Free tags.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Trace the call is part of.
    pub trace_id: Option<Cow<'a, str>>,
    /// Conversation or session.
    pub session_id: Option<Cow<'a, str>>,
    /// Token counts.
    pub tokens: Tokens,
    /// Who counted them.
    pub usage_source: UsageSource,
    /// Meters that are not tokens (`web_search_requests`, `input_seconds`, ...), exact.
    pub meters: Vec<(&'static str, Usd)>,
    /// What the source says it cost, in `reported_currency`.
    pub reported_cost: Option<Usd>,
    /// Currency of `reported_cost`.
    pub reported_currency: Option<&'static str>,
    /// What the call leaned on.
    pub features: Features,
    /// How it ended.
    pub status: Status,
    /// The textual error code if there is one, else the type, else the number.
    pub error_type: Option<Cow<'a, str>>,
    /// HTTP status of the answer.
    pub http_status: Option<u16>,
    /// Milliseconds from start to end.
    pub latency_ms: Option<i64>,
    /// Milliseconds to the first token.
    pub ttft_ms: Option<i64>,
    /// Why the first choice ended, untranslated.
    pub finish_reason: Option<Cow<'a, str>>,
    /// Whether the gateway answered from its own cache.
    pub gateway_cache_hit: Option<bool>,
    /// What was said, when bodies were asked for and the event has one.
    pub body: Option<Body<'a>>,
    /// The bytes of this event as received; one span of an OTLP batch, not the batch.
    pub raw: &'a [u8],
    /// Fields no column has (JSON object).
    pub extra: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    /// An entry of which only the source, its bytes and the operation are known yet.
    pub fn new(source: impl Into<Cow<'a, str>>, operation: impl Into<Option<Operation>>, raw: &'a [u8]) -> Self {
        Self {
            source: source.into(),
            event_id: None,
            dedup_id: None,
            started_at: None,
            completed_at: None,
            gateway: None,
            provider: None,
            request_model: None,
            response_model: None,
            operation: operation.into(),
            service_tier: None,
            region: None,
            streamed: None,
            team: None,
            project: None,
            workload_hint: None,
            environment: None,
            api_key_alias: None,
            end_user: None,
            tags: Vec::new(),
            trace_id: None,
            session_id: None,
            tokens: Tokens::default(),
            usage_source: UsageSource::Absent,
            meters: Vec::new(),
            reported_cost: None,
            reported_currency: None,
            features: Features::default(),
            status: Status::Success,
            error_type: None,
            http_status: None,
            latency_ms: None,
            ttft_ms: None,
            finish_reason: None,
            gateway_cache_hit: None,
            body: None,
            raw,
            extra: None,
        }
    }

    /// The same entry with all it says its own, `raw` being the bytes it came in.
    pub fn into_owned<'b>(self, raw: &'b [u8]) -> Entry<'b> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let may = |text: Option<Cow<'a, str>>| text.map(own);
        Entry {
            source: own(self.source),
            event_id: may(self.event_id),
            dedup_id: may(self.dedup_id),
            gateway: may(self.gateway),
            provider: may(self.provider),
            request_model: may(self.request_model),
            response_model: may(self.response_model),
            service_tier: may(self.service_tier),
            region: may(self.region),
            team: may(self.team),
            project: may(self.project),
            workload_hint: may(self.workload_hint),
            environment: may(self.environment),
            api_key_alias: may(self.api_key_alias),
            end_user: may(self.end_user),
            tags: self.tags.into_iter().map(|(key, value)| (own(key), own(value))).collect(),
            trace_id: may(self.trace_id),
            session_id: may(self.session_id),
            error_type: may(self.error_type),
            finish_reason: may(self.finish_reason),
            body: self.body.map(|body| Body {
                input_messages: may(body.input_messages),
                output_messages: may(body.output_messages),
                tool_definitions: may(body.tool_definitions),
                request_parameters: may(body.request_parameters),
            }),
            raw,
            extra: may(self.extra),
            started_at: self.started_at,
            completed_at: self.completed_at,
            operation: self.operation,
            streamed: self.streamed,
            tokens: self.tokens,
            usage_source: self.usage_source,
            meters: self.meters,
            reported_cost: self.reported_cost,
            reported_currency: self.reported_currency,
            features: self.features,
            status: self.status,
            http_status: self.http_status,
            latency_ms: self.latency_ms,
            ttft_ms: self.ttft_ms,
            gateway_cache_hit: self.gateway_cache_hit,
        }
    }

    /// The call's identity.
    pub fn id(&self) -> EntryId {
        match self.dedup_id.as_ref().or(self.event_id.as_ref()) {
            Some(id) => EntryId::derive(&self.source, id.as_bytes()),
            None => EntryId::derive(&self.source, self.raw),
        }
    }

    /// The model as served, else as asked for. What is asked of Azure is a deployment, whose name is no model.
    pub fn model(&self) -> Option<&str> {
        let asked_for = self.request_model.as_deref().filter(|_| self.provider.as_deref() != Some("azure"));
        self.response_model.as_deref().or(asked_for)
    }

    /// Whether the whole answer is accounted for.
    pub fn is_complete(&self) -> bool {
        !matches!(self.status, Status::Incomplete | Status::Pending)
    }

    /// How much the event tells: of several events of one call, the richest is the entry.
    pub fn richness(&self) -> u8 {
        self.completeness() * 2 + u8::from(self.body.is_some())
    }

    /// How much of the call's outcome and usage the event tells.
    pub fn completeness(&self) -> u8 {
        self.status.completeness(!self.tokens.is_absent())
    }
}

impl Status {
    /// The status of a word of the `status` column.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.as_str() == word)
    }

    /// How much an event of this status tells, by whether it has counts; 0 to 5.
    pub const fn completeness(self, counted: bool) -> u8 {
        self.finality() as u8 * 2 + counted as u8
    }

    /// How final an event of this status is.
    pub const fn finality(self) -> Finality {
        match self {
            Self::Pending => Finality::Pending,
            Self::Incomplete => Finality::CutShort,
            Self::Error | Self::Filtered | Self::Success => Finality::Final,
        }
    }
}

/// How final an event is: a call may send several, and of what they tell the most final holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finality {
    /// The call goes on.
    Pending,
    /// The call ended, and not all of its answer came.
    CutShort,
    /// The call ended.
    Final,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_source_and_id_and_their_border() {
        let id = EntryId::derive("litellm", b"a");
        assert_eq!(id, EntryId::derive("litellm", b"a"));
        assert_ne!(id, EntryId::derive("litell", b"ma"));
        assert_eq!(EntryId::from_slice(&id.0), Some(id));
        assert_eq!(EntryId::from_slice(b"short"), None);
    }

    #[test]
    fn features_keep_their_declared_order() {
        let mut features = Features::default();
        features.insert(Feature::Batch);
        features.insert_if(true, Feature::ToolCalling);
        features.insert_if(false, Feature::Realtime);
        assert_eq!(features.iter().map(Feature::as_str).collect::<Vec<_>>(), ["tool_calling", "batch"]);
    }
}
