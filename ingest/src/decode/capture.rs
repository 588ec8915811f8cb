//! The envelope around a provider's own request and response, and what all captures have in common.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Instant, Operation, Status, Tokens, UsageSource};
use serde::Deserialize;

use super::extra::Extra;
use super::messages::{elements, shape};
use super::object::object;
use super::openai::usage::drop_placeholders;
use super::provider::{Host, Model, deployment, url_model};
use super::request::Request;
use super::scalar::{HttpStatus, Text, present};
use super::source::{Json, Source};
use super::{DecodeError, Format};

object! {
    /// `{"capture": {...}, "request": {...}, "response": {...} | "stream": [...]}`.
    pub(super) struct Envelope<'a> {
        pub capture: Capture<'a> = "capture",
        pub request: Json<'a> = "request",
        pub response: Json<'a> = "response",
        pub stream: Json<'a> = "stream",
    }
}

object! {
    /// How and when a call was made.
    pub(super) struct Capture<'a> {
        pub api: Text<'a> = "api",
        pub endpoint: Text<'a> = "endpoint",
        pub started_at: Json<'a> = "started_at",
        pub duration_ms: Json<'a> = "duration_ms",
        pub time_to_first_token_ms: Json<'a> = "time_to_first_token_ms",
        pub http_status: HttpStatus = "http_status",
        pub request_id: Text<'a> = "request_id",
    }
}

impl<'a> Capture<'a> {
    /// Whether it says so: the endpoint may be a proxy's.
    pub(super) fn is_of_vertex(&self) -> bool {
        self.api.as_ref().is_some_and(|api| api.0.starts_with("vertex"))
    }

    /// Whether it is one of Google's Interactions API.
    pub(super) fn is_of_interactions(&self) -> bool {
        self.api.as_ref().is_some_and(|api| api.0.ends_with(".interactions"))
    }

    /// Where and when a session was held, of which one call is only a part: how long it took is not known.
    pub(super) fn of_part(&self) -> Self {
        let (api, endpoint) = (self.api.clone(), self.endpoint.clone());
        Self { api, endpoint, started_at: self.started_at, http_status: self.http_status, ..Self::default() }
    }

    /// Where something was asked about a call made at another time.
    pub(super) fn elsewhere(self) -> Self {
        Self { api: self.api, endpoint: self.endpoint, ..Self::default() }
    }
}

impl<'a> Envelope<'a> {
    /// Reads an event of `format`: an envelope, or a bare response of which the object is of type `bare`.
    pub(super) fn read(source: &Source<'a>, format: Format, bare: &str) -> Result<Self, DecodeError> {
        Self::read_if(source, format, |mark| mark == bare)
    }

    /// The same, where `is_bare` tells from what an object says it is that it is a response.
    pub(super) fn read_if(
        source: &Source<'a>,
        format: Format,
        is_bare: impl Fn(&str) -> bool,
    ) -> Result<Self, DecodeError> {
        let mut envelope: Self = source.parse(source.text())?;
        envelope.unwrap_error();
        if envelope.capture.is_some() && (envelope.request.is_some() || envelope.answered() || envelope.failed()) {
            return Ok(envelope);
        }
        let marks: Marks<'a> = source.parse(source.text())?;
        let mark = marks.object.or(marks.kind);
        if envelope.capture.is_none() && is_bare(mark.as_ref().map_or("", |mark| mark.0.as_ref())) {
            let response = Some(source.parse(source.text())?);
            return Ok(Self { response, ..Self::default() });
        }
        let missing = if envelope.capture.is_some() { "`request`, `response` or `stream`" } else { "`capture`" };
        Err(DecodeError::WrongFormat { format, missing, looks_like: super::sniff(source.text()) })
    }

    /// Google puts an error into a list, and a proxy answers with a page: of neither is there more to read than the status.
    pub(super) fn unwrap_error(&mut self) {
        let failed = self.failed();
        let is_object = |json: &Json<'_>| json.get().starts_with('{');
        if let Some(response) = self.response.filter(|response| failed && !is_object(response)) {
            self.response = elements(response).into_iter().next().filter(is_object);
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.http_status().is_some_and(|status| status >= 400)
    }

    fn http_status(&self) -> Option<u16> {
        self.capture.as_ref().and_then(|capture| capture.http_status?.0)
    }

    /// Nothing came back yet: neither an answer nor a status.
    pub(super) fn is_pending(&self) -> bool {
        !self.answered() && self.http_status().is_none()
    }

    fn answered(&self) -> bool {
        self.response.is_some() || self.stream.is_some()
    }
}

/// What a bare object says it is.
#[derive(Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    object: Option<Text<'a>>,
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
}

/// What became of a call, as its dialect tells it.
#[derive(Debug, Default)]
pub(super) struct Outcome<'a> {
    /// The provider's id of the answer.
    pub id: Option<Cow<'a, str>>,
    pub model: Option<Cow<'a, str>>,
    pub service_tier: Option<Cow<'a, str>>,
    pub finish_reason: Option<Cow<'a, str>>,
    pub failure: Option<Failure<'a>>,
    /// No usage yet: a later event follows.
    pub pending: bool,
    /// The answer came to its end.
    pub finished: bool,
    pub tokens: Tokens,
    /// What no column has.
    pub extra: Extra<'a>,
}

/// A call that failed: the word for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Failure<'a> {
    pub word: Option<Cow<'a, str>>,
    /// The provider's id of the failed request.
    pub request_id: Option<Cow<'a, str>>,
    /// The provider refused what was asked, whatever word it has for it.
    pub refused: bool,
}

/// An error body of OpenAI, of Anthropic, or of a server that imitates one.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    code: Option<Text<'a>>,
    status: Option<Json<'a>>,
    error: Option<Json<'a>>,
    request_id: Option<Text<'a>>,
    /// Azure's own word for what OpenAI's code says.
    innererror: Option<Json<'a>>,
    /// OpenRouter's account of an input that was flagged.
    metadata: Option<Json<'a>>,
}

/// What an inner object of an error tells about why.
#[derive(Debug, Default, Deserialize)]
struct ErrorReason<'a> {
    #[serde(borrow)]
    code: Option<Text<'a>>,
    flagged_input: Option<Json<'a>>,
}

impl<'a> Failure<'a> {
    /// Reads `error`: an object with code and type, or only a sentence. Anthropic nests a second object.
    pub(super) fn read(source: &Source<'a>, error: Json<'a>) -> Result<Self, DecodeError> {
        if !error.get().starts_with('{') {
            return Ok(Self::default());
        }
        let body: ErrorBody<'a> = source.object(error)?;
        let inner = match body.error {
            Some(inner) => Self::read(source, inner)?,
            None => Self::default(),
        };
        let code = present(body.code);
        let (number, text) = match code {
            Some(code) if code.bytes().all(|byte| byte.is_ascii_digit()) => (Some(code), None),
            code => (None, code),
        };
        // An outer `"type": "error"` only says that this is one.
        let kind = present(body.kind).filter(|kind| kind != "error");
        // Google's code is a number, and its word the status: `RESOURCE_EXHAUSTED`.
        let status = body.status.filter(|status| {
            let word = status.get().trim_matches('"');
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        });
        let status = status.map(|status| source.string(status)).transpose()?;
        let word = inner.word.or(text).or(status).or(kind).or(number);
        let reason = |json: Json<'a>| shape::<ErrorReason<'a>>(json).unwrap_or_default();
        let policy = body.innererror.map(reason).and_then(|inner| present(inner.code));
        let refused = policy.as_deref().is_some_and(is_refusal)
            || body.metadata.map(reason).is_some_and(|metadata| metadata.flagged_input.is_some());
        let request_id = present(body.request_id).or(inner.request_id);
        Ok(Self { word, request_id, refused: refused || inner.refused })
    }

    /// Whether the provider refused what was asked, rather than failed.
    fn is_refusal(&self) -> bool {
        self.refused || self.word.as_deref().is_some_and(is_refusal)
    }
}

/// Whether the word for an error says that the provider refused what was asked, rather than failed.
pub(super) fn is_refusal(word: &str) -> bool {
    let refusals = [
        "content_filter",
        "content_policy_violation",
        "image_content_policy_violation",
        "moderation_blocked",
        "ResponsibleAIPolicyViolation",
        "ContentPolicyViolationError",
        "bio_policy",
    ];
    refusals.contains(&word)
}

/// Whether an answer that ended for `reason` was blocked or refused by the provider.
pub(super) fn is_filtered(reason: Option<&str>) -> bool {
    let reasons = [
        "content_filter",
        "content_filtered",
        "refusal",
        "guardrail_intervened",
        "safety",
        "prohibited_content",
        "blocklist",
        "spii",
        "recitation",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
        "model_armor",
    ];
    reason.is_some_and(|reason| reasons.iter().any(|filtered| filtered.eq_ignore_ascii_case(reason)))
}

impl<'a> Outcome<'a> {
    /// How the call ended.
    fn status(&self, http_status: Option<u16>) -> Status {
        let refused = is_filtered(self.finish_reason.as_deref());
        match &self.failure {
            Some(failure) if failure.is_refusal() || refused => Status::Filtered,
            Some(_) => Status::Error,
            None if http_status.is_some_and(|status| status >= 400) => Status::Error,
            None if refused => Status::Filtered,
            None if self.pending => Status::Pending,
            None if self.finished => Status::Success,
            None => Status::Incomplete,
        }
    }

    /// The word for the failure: code, type or, without either, the HTTP status.
    fn error_type(&mut self, status: Status, http_status: Option<u16>) -> Option<Cow<'a, str>> {
        let word = self.failure.as_mut().and_then(|failure| failure.word.take());
        let number = http_status.filter(|status| *status >= 400).map(|status| Cow::Owned(status.to_string()));
        word.or(number).filter(|_| matches!(status, Status::Error | Status::Filtered))
    }
}

/// What a request asks for, as far as every dialect has it.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub model: Option<Cow<'a, str>>,
    pub streamed: Option<bool>,
    pub end_user: Option<Cow<'a, str>>,
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub features: daybook_ledger::Features,
}

/// A call's entry as far as envelope and outcome tell it.
pub(super) struct Call<'s, 'a> {
    pub source: &'s Source<'a>,
    pub raw: &'a [u8],
    /// The `source` of its identity.
    pub family: &'static str,
    pub operation: Option<Operation>,
    /// Who serves where the endpoint does not tell.
    pub provider: &'static str,
    /// Whether that is known, so that a prefix of the model's name is no hint at another.
    pub certain: bool,
}

impl<'a> Call<'_, 'a> {
    /// Puts together envelope, request and outcome.
    pub(super) fn entry(
        &self,
        capture: Option<Capture<'a>>,
        request: &mut Request<'a>,
        outcome: Outcome<'a>,
    ) -> Result<Entry<'a>, DecodeError> {
        self.asked(capture, request.asked(), outcome)
    }

    /// The same of a request in a dialect of its own.
    pub(super) fn asked(
        &self,
        capture: Option<Capture<'a>>,
        asked: Asked<'a>,
        mut outcome: Outcome<'a>,
    ) -> Result<Entry<'a>, DecodeError> {
        let mut entry = Entry::new(self.family, self.operation, self.raw);
        let capture = capture.unwrap_or_default();
        let endpoint = present(capture.endpoint);
        outcome.extra.add("capture", &capture.unknown);
        entry.extra = std::mem::take(&mut outcome.extra).into_json();
        entry.started_at = self.source.instant(capture.started_at)?;
        entry.latency_ms = self.source.millis(capture.duration_ms)?;
        entry.ttft_ms = self.source.millis(capture.time_to_first_token_ms)?;
        entry.completed_at = entry.started_at.zip(entry.latency_ms).and_then(|(start, millis)| after(start, millis));
        entry.http_status = capture.http_status.unwrap_or_default().0;
        entry.status = outcome.status(entry.http_status);
        entry.error_type = outcome.error_type(entry.status, entry.http_status);
        let failed_id = outcome.failure.and_then(|failure| failure.request_id);
        entry.event_id = outcome.id.or_else(|| present(capture.request_id)).or(failed_id);
        entry.service_tier = outcome.service_tier;
        entry.finish_reason = outcome.finish_reason;
        entry.streamed = asked.streamed;
        entry.end_user = asked.end_user;
        entry.tags = asked.tags;
        entry.features = asked.features;
        entry.tokens = outcome.tokens;
        if matches!(entry.status, Status::Error | Status::Filtered) {
            drop_placeholders(&mut entry.tokens);
        }
        entry.usage_source = if entry.tokens.is_absent() { UsageSource::Absent } else { UsageSource::Provider };
        self.name_models(&mut entry, endpoint, asked.model, outcome.model);
        note_modalities(&mut entry);
        Ok(entry)
    }

    /// Provider, region and model names, from the endpoint and from the names themselves.
    fn name_models(
        &self,
        entry: &mut Entry<'a>,
        endpoint: Option<Cow<'a, str>>,
        requested: Option<Cow<'a, str>>,
        served: Option<Cow<'a, str>>,
    ) {
        let host = endpoint.as_deref().map(Host::of).unwrap_or_default();
        let url_name = endpoint.as_deref().and_then(|endpoint| {
            deployment(endpoint).map(|name| Cow::Owned(name.to_owned())).or_else(|| url_model(endpoint).map(Cow::Owned))
        });
        let server = host.provider.or(self.certain.then_some(self.provider));
        // Azure serves the deployment its URL names, Google and AWS the model, whatever the body asks for.
        let requested = url_name.or(requested).map(|name| Model::of(name, server));
        let named = requested.as_ref().and_then(|model| model.provider);
        let provider = server.or(named).unwrap_or(self.provider);
        entry.region = host.region.map(|region| Cow::Owned(region.to_owned()));
        entry.provider = Some(Cow::Borrowed(provider));
        entry.response_model = served.map(|name| Model::of(name, Some(provider)).name);
        entry.request_model = requested.map(|model| model.name);
        note_model(entry);
    }
}

/// The instant `millis` after `start`.
pub(super) fn after(start: Instant, millis: i64) -> Option<Instant> {
    Some(Instant::from_micros(start.micros().checked_add(millis.checked_mul(1_000)?)?))
}

/// What a model's name shows: `ft:` models were tuned at the vendor.
pub(super) fn note_model(entry: &mut Entry<'_>) {
    let names = [entry.request_model.as_deref(), entry.response_model.as_deref()];
    // All these marks hold a colon, which most names do not.
    let is = |test: fn(&str) -> bool| names.into_iter().flatten().any(|name| name.contains(':') && test(name));
    let tuned = is(|name| name.starts_with("ft:") || name.contains(":ft-") || name.contains(":custom-model/"));
    entry.features.insert_if(tuned, Feature::FineTunedModel);
    let provisioned = is(|name| name.contains(":provisioned-model/"));
    let tier = entry.service_tier.as_deref();
    entry.features.insert_if(provisioned || tier == Some("scale"), Feature::ProvisionedCapacity);
    entry.features.insert_if(tier == Some("batch"), Feature::Batch);
}

/// What the counts show of the modalities used.
pub(super) fn note_modalities(entry: &mut Entry<'_>) {
    let some = |count: Option<i64>| count.is_some_and(|count| count > 0);
    entry.features.insert_if(some(entry.tokens.input_audio), Feature::AudioInput);
    entry.features.insert_if(some(entry.tokens.input_image), Feature::VisionInput);
    entry.features.insert_if(some(entry.tokens.output_audio), Feature::AudioOutput);
    entry.features.insert_if(some(entry.tokens.output_image), Feature::ImageOutput);
    for (meter, feature) in METERED {
        entry.features.insert_if(entry.meters.iter().any(|(name, _)| name == meter), *feature);
    }
}

/// Quantities that show what was used.
const METERED: &[(&str, Feature)] = &[
    ("web_search_requests", Feature::WebSearch),
    ("x_search_requests", Feature::WebSearch),
    ("search_sources", Feature::WebSearch),
    ("file_search_requests", Feature::HostedVectorStore),
    ("document_search_requests", Feature::HostedVectorStore),
    ("code_interpreter_calls", Feature::CodeExecution),
    ("mcp_calls", Feature::RemoteMcp),
    ("input_video_tokens", Feature::VideoInput),
    ("cache_read_audio_tokens", Feature::AudioInput),
    ("cache_read_image_tokens", Feature::VisionInput),
    ("audio_seconds", Feature::AudioInput),
];

/// Adds `more` to the entry's features.
pub(super) fn add_features(entry: &mut Entry<'_>, more: daybook_ledger::Features) {
    more.iter().for_each(|feature| entry.features.insert(feature));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_word_is_the_code_then_the_type_then_the_number() {
        for (error, word) in [
            (r#"{"code":"rate_limit_exceeded","type":"tokens"}"#, Some("rate_limit_exceeded")),
            (r#"{"code":null,"type":"invalid_request_error"}"#, Some("invalid_request_error")),
            (r#"{"code":400,"type":"BadRequestError"}"#, Some("BadRequestError")),
            (r#"{"code":"502","message":"m"}"#, Some("502")),
            (r#"{"type":"error","error":{"type":"overloaded_error"},"request_id":"req_1"}"#, Some("overloaded_error")),
            (r#""just a sentence""#, None),
        ] {
            let event = format!("{{\"e\":{error}}}");
            let source = Source::new(event.as_bytes()).unwrap();
            let json = super::super::request::members(source.parse(source.text()).unwrap())[0].1;
            assert_eq!(Failure::read(&source, json).unwrap().word.as_deref(), word, "{error}");
        }
    }
}
