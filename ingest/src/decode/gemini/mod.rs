//! Google's Gemini API and Vertex AI: `generateContent` in one piece or as a stream, the Live API, embeddings.

pub(super) mod interaction;
pub(super) mod parts;
pub(super) mod request;
pub(super) mod usage;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use daybook_ledger::{Entry, Feature, Operation, Status};

use self::interaction::Interaction;
use self::parts::{Content, listed};
use self::request::{Request, model_name};
use self::usage::Usage;
use crate::decode::about::About;
use crate::decode::capture::{Call, Capture, Envelope, Failure, Outcome, add_features, is_filtered, note_modalities};
use crate::decode::litellm::note_embedding;
use crate::decode::messages::{Messages, elements, shape};
use crate::decode::object::object;
use crate::decode::openai::usage::{meter, sum};
use crate::decode::request::both_directions;
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format};

pub(crate) const ABOUT: About = About {
    format: "gemini",
    title: "Google Gemini API and Vertex AI",
    what: "A captured call of `generateContent`, of its stream, of the Live API, of the Interactions API or of an embedding; a bare response; a line of Vertex's batch output. Names may be those of REST or of the SDKs.",
    recognised_by: "`capture.api` begins with `gemini.` or `vertex.`; `candidates`, `usageMetadata` or `promptFeedback`, also inside of the `response` of a batch's line; `object` is `interaction`.",
    identity: "`responseId`, or the interaction's `id`.",
    stream: "every chunk repeats `usageMetadata` with running totals: the last counts. In a live session every turn has its own, for the context is billed with each: they are added up.",
    columns: &[
        ("input_tokens", "`promptTokenCount` (cache and media inside) + `toolUsePromptTokenCount`"),
        ("cache_read_input_tokens", "`cachedContentTokenCount`"),
        (
            "output_tokens",
            "`candidatesTokenCount` + `thoughtsTokenCount`. Where `totalTokenCount` shows that thoughts or tool results are inside already, they are not added",
        ),
        ("reasoning_tokens", "`thoughtsTokenCount`"),
        (
            "input_audio_tokens, input_image_tokens",
            "`promptTokensDetails` and `toolUsePromptTokensDetails`, less what `cacheTokensDetails` says was cached",
        ),
        ("output_audio_tokens, output_image_tokens", "`candidatesTokensDetails`, `responseTokensDetails`"),
        ("service_tier", "`trafficType` (Vertex), `serviceTier` (Gemini API)"),
        ("provider", "the endpoint's host; else `gemini`, or `vertex_ai` for a capture of `vertex.*`"),
        ("request_model, response_model", "the name in the URL, `modelVersion`"),
        (
            "meters",
            "`web_search_requests`, `google_maps_requests`: one a grounded prompt up to Gemini 2.5, one a query since, as Google bills it; a query asked twice counts once",
        ),
        ("status", "`filtered` for a `blockReason` and for finish reasons of safety"),
    ],
    cannot_say: &[
        "What cached content costs to store: no response shows it.",
        "Counts that are zero: they are left out. A missing count is read as 0 only beside others.",
    ],
};

object! {
    /// A response, a chunk of a stream, or a message of a live session.
    struct Chunk<'a> {
        candidates: Json<'a> = "candidates",
        feedback: Feedback<'a> = "promptFeedback" | "prompt_feedback",
        usage: Usage<'a> = "usageMetadata" | "usage_metadata",
        model: Text<'a> = "modelVersion" | "model_version",
        id: Text<'a> = "responseId" | "response_id",
        error: Json<'a> = "error",
        // Of a live session.
        server: ServerContent<'a> = "serverContent" | "server_content",
        tool_call: Json<'a> = "toolCall" | "tool_call",
        // Of an embedding.
        predictions: Json<'a> = "predictions",
        embedding: Json<'a> = "embedding",
        embeddings: Json<'a> = "embeddings",
    }
    ignoring [
        "createTime", "create_time", "sdkHttpResponse", "sdk_http_response", "automaticFunctionCallingHistory",
        "automatic_function_calling_history", "parsed", "setupComplete", "setup_complete",
    ]
}

object! {
    struct Feedback<'a> {
        block_reason: Text<'a> = "blockReason" | "block_reason",
    }
    ignoring ["safetyRatings", "safety_ratings", "blockReasonMessage", "block_reason_message"]
}

object! {
    struct Candidate<'a> {
        index: Count = "index",
        content: Json<'a> = "content",
        finish_reason: Text<'a> = "finishReason" | "finish_reason",
        grounding: Json<'a> = "groundingMetadata" | "grounding_metadata",
        citations: Json<'a> = "citationMetadata" | "citation_metadata",
        urls: Json<'a> = "urlContextMetadata" | "url_context_metadata",
    }
}

object! {
    struct Grounding<'a> {
        queries: Vec<Text<'a>> = "webSearchQueries" | "web_search_queries",
        chunks: Json<'a> = "groundingChunks" | "grounding_chunks",
        widget: Text<'a> = "googleMapsWidgetContextToken" | "google_maps_widget_context_token",
    }
}

object! {
    struct ServerContent<'a> {
        turn: Json<'a> = "modelTurn" | "model_turn",
        complete: Json<'a> = "turnComplete" | "turn_complete",
        transcript: Transcript<'a> = "outputTranscription" | "output_transcription",
    }
}

object! {
    struct Transcript<'a> {
        text: Json<'a> = "text",
    }
}

/// One choice as its chunks add up.
#[derive(Debug, Default)]
struct Choice<'a> {
    parts: Vec<Json<'a>>,
    transcript: Vec<Json<'a>>,
    finish_reason: Option<Cow<'a, str>>,
}

/// What came back, however it came.
#[derive(Debug, Default)]
struct Answer<'a> {
    outcome: Outcome<'a>,
    usage: Option<Usage<'a>>,
    choices: BTreeMap<i64, Choice<'a>>,
    features: daybook_ledger::Features,
    block_reason: Option<Cow<'a, str>>,
    searches: Searches<'a>,
    live: bool,
    embedded: Option<Embedded>,
}

/// Tokens of the texts of an embedding, if told.
#[derive(Debug, Default)]
struct Embedded {
    tokens: Option<i64>,
}

/// Decodes one captured call, one bare response, or one line of a batch's output.
pub(crate) fn decode<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let (envelope, batch) = read_envelope(source)?;
    if let Some(interaction) = interaction::find(source, &envelope)? {
        return decode_interaction(source, raw, options, envelope, interaction);
    }
    let request = envelope.request.map(Request::read).unwrap_or_default();
    let (mut input, mut output) = both_directions(options.bodies);
    request.say(&mut input);
    let mut answer = Answer::default();
    let whole = envelope.stream.is_none();
    // Without server-sent events a stream comes as one list.
    let chunks = envelope.stream.or(envelope.response.filter(|response| response.get().starts_with('[')));
    match (chunks, envelope.response) {
        (Some(chunks), _) => {
            for chunk in source.elements(chunks)? {
                answer.take(source, chunk, false)?;
            }
        }
        (None, Some(response)) => answer.take(source, response, true)?,
        (None, None) => {}
    }
    let mut asked = request.asked();
    asked.streamed = envelope.request.or(envelope.capture.as_ref().and(envelope.response)).map(|_| !whole);
    if chunks.is_some() {
        asked.streamed = Some(true);
    }
    answer.outcome.pending = envelope.is_pending();
    answer.outcome.extra.add("", &envelope.unknown);
    // What a line that ran has to say of it is nothing.
    let said = envelope.unknown.get("status").filter(|status| batch && status.get() != "\"\"");
    if said.is_some() && !answer.outcome.finished {
        answer.outcome.failure.get_or_insert_default();
    }
    answer.say(&mut output);
    let mut entry = answer.entry(source, raw, (envelope, asked))?;
    entry.features.insert_if(batch, Feature::Batch);
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    note_tuned(&mut entry);
    if options.bodies {
        entry.body = request.body(input, output);
    }
    Ok(entry)
}

/// The envelope, or what stands in for it: a bare response, or a line of a batch with its request. Whether it is the
/// latter.
fn read_envelope<'a>(source: &Source<'a>) -> Result<(Envelope<'a>, bool), DecodeError> {
    let mut envelope: Envelope<'a> = source.parse(source.text())?;
    envelope.unwrap_error();
    let answered = envelope.response.is_some() || envelope.stream.is_some();
    if envelope.capture.is_some() && (envelope.request.is_some() || answered || envelope.failed()) {
        return Ok((envelope, false));
    }
    let keys: Vec<_> = envelope.unknown.iter().map(|(key, _)| key.to_owned()).collect();
    let has = |names: &[&str]| keys.iter().any(|key| names.contains(&key.as_str()));
    // A gateway's log may keep request and response too, among much else.
    let of_gateway = || crate::decode::sniff(source.text()).is_some_and(Format::is_gateway_log);
    let is_line = envelope.response.is_some() && (envelope.request.is_some() || has(&["key"]));
    if envelope.capture.is_none() && is_line && !of_gateway() {
        // The Gemini API's own lines say neither when they ran nor how.
        let of_vertex = || Capture { api: Some(Text("vertex.batch".into())), ..Capture::default() };
        envelope.capture = has(&["processed_time"]).then(of_vertex);
        return Ok((envelope, true));
    }
    if has(MARKS) {
        envelope = Envelope { response: Some(source.parse(source.text())?), ..Envelope::default() };
        return Ok((envelope, false));
    }
    let missing = if envelope.capture.is_some() { "`request`, `response` or `stream`" } else { "`capture`" };
    let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::Gemini);
    Err(DecodeError::WrongFormat { format: Format::Gemini, missing, looks_like })
}

/// Keys that only a response of Google has at its top.
const MARKS: &[&str] = &[
    "candidates",
    "usageMetadata",
    "usage_metadata",
    "promptFeedback",
    "prompt_feedback",
    "modelVersion",
    "predictions",
    "steps",
    "outputs",
    "serverContent",
    "embedding",
    "embeddings",
];

impl<'a> Answer<'a> {
    fn take(&mut self, source: &Source<'a>, json: Json<'a>, whole: bool) -> Result<(), DecodeError> {
        if json.get() == "null" {
            return Ok(());
        }
        let chunk: Chunk<'a> = source.object(json)?;
        let outcome = &mut self.outcome;
        outcome.extra.add("response", &chunk.unknown);
        outcome.id = present(chunk.id).or(outcome.id.take());
        outcome.model = present(chunk.model).map(model_name).or(outcome.model.take());
        if chunk.error.is_some() {
            outcome.failure = Some(Failure::read(source, json)?);
        }
        if let Some(reason) = chunk.feedback.and_then(|feedback| present(feedback.block_reason)) {
            self.block_reason = Some(reason).filter(|reason| reason != "BLOCK_REASON_UNSPECIFIED");
        }
        for candidate in chunk.candidates.map(elements).unwrap_or_default() {
            self.candidate(source.object(candidate)?);
            self.outcome.finished |= whole;
        }
        if let Some(server) = chunk.server {
            self.server(server);
        }
        if let Some(calls) = chunk.tool_call {
            self.live = true;
            // `toolCall` of a live session holds the calls that a part would.
            self.choices.entry(0).or_default().parts.push(calls);
        }
        let embedded = chunk.predictions.or(chunk.embeddings).or(chunk.embedding);
        if let Some(embedded) = embedded {
            self.embedded = Some(embedded_tokens(embedded));
            self.outcome.finished = true;
        }
        if let Some(usage) = chunk.usage {
            self.outcome.finished |= whole;
            match &mut self.usage {
                Some(all) if self.live => all.add(usage),
                Some(all) => all.merge(usage),
                None => self.usage = Some(usage),
            }
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate<'a>) {
        let choice = self.choices.entry(count(candidate.index).unwrap_or(0)).or_default();
        let parts = candidate.content.and_then(shape::<Content<'a>>).and_then(|content| content.parts);
        choice.parts.extend(parts.map(listed).unwrap_or_default());
        if let Some(reason) = present(candidate.finish_reason) {
            choice.finish_reason = Some(reason);
            self.outcome.finished = true;
        }
        let says = |json: Option<Json<'_>>| json.is_some_and(|json| !matches!(json.get(), "{}" | "[]"));
        self.features.insert_if(says(candidate.citations), Feature::Citations);
        self.features.insert_if(says(candidate.urls), Feature::WebSearch);
        if let Some(grounding) = candidate.grounding.and_then(shape::<Grounding<'a>>) {
            let chunks = grounding.chunks.map_or("", |chunks| chunks.get());
            let stored = chunks.contains("\"retrievedContext\"") || chunks.contains("\"retrieved_context\"");
            let web = chunks.contains("\"web\"");
            self.features.insert_if(stored, Feature::HostedVectorStore);
            self.features.insert_if(chunks.len() > 2, Feature::Citations);
            let maps = chunks.contains("\"maps\"") || present(grounding.widget).is_some();
            let queries =
                grounding.queries.into_iter().flatten().map(|query| query.0).filter(|query| !query.is_empty());
            let asked = if maps && !web { &mut self.searches.maps } else { &mut self.searches.web };
            asked.extend(queries);
            self.searches.on_maps |= maps;
            let searched = web || maps || !self.searches.web.is_empty();
            self.features.insert_if(searched, Feature::WebSearch);
        }
    }

    fn server(&mut self, server: ServerContent<'a>) {
        self.live = true;
        let choice = self.choices.entry(0).or_default();
        let parts = server.turn.and_then(shape::<Content<'a>>).and_then(|turn| turn.parts);
        choice.parts.extend(parts.map(listed).unwrap_or_default());
        choice.transcript.extend(server.transcript.and_then(|transcript| transcript.text));
        self.outcome.finished |= server.complete.is_some_and(|complete| complete.get() == "true");
    }

    fn say(&mut self, output: &mut Messages) {
        for choice in self.choices.values() {
            let reason = choice.finish_reason.as_deref();
            if choice.parts.is_empty() && choice.transcript.is_empty() && reason.is_none() {
                continue;
            }
            output.message("assistant", reason, |output| {
                output.gemini_parts(&choice.parts);
                if let Some(text) = crate::decode::openai::chat_stream::join(output.writer.is_on(), &choice.transcript)
                {
                    output.typed_json("text", &text);
                }
            });
        }
        self.outcome.finish_reason = self.choices.values_mut().find_map(|choice| choice.finish_reason.take());
    }

    fn entry(
        self,
        source: &Source<'a>,
        raw: &'a [u8],
        (envelope, asked): (Envelope<'a>, crate::decode::capture::Asked<'a>),
    ) -> Result<Entry<'a>, DecodeError> {
        let mut outcome = self.outcome;
        let mut usage = self.usage.unwrap_or_default();
        usage.note_unknown("usageMetadata", &mut outcome.extra);
        outcome.tokens = usage.tokens();
        outcome.service_tier = present(usage.service_tier());
        let mut operation = if self.live { Operation::Realtime } else { Operation::Chat };
        if let Some(embedded) = &self.embedded {
            operation = Operation::Embeddings;
            outcome.tokens.input = outcome.tokens.input.or(embedded.tokens);
            outcome.tokens.output = outcome.tokens.input.and(Some(0));
        }
        let blocked = self.block_reason.filter(|_| self.choices.is_empty());
        if let Some(reason) = &blocked {
            outcome.failure = Some(Failure { word: Some(reason.clone()), ..Failure::default() });
        }
        let vertex = envelope.capture.as_ref().is_some_and(Capture::is_of_vertex);
        let provider = if vertex { "vertex_ai" } else { "gemini" };
        let call = Call { source, raw, family: "gemini", operation: Some(operation), provider, certain: false };
        let mut entry = call.asked(envelope.capture, asked, outcome)?;
        if blocked.is_some() {
            entry.status = Status::Filtered;
        }
        usage.meters(&mut entry.meters);
        self.searches.note(&mut entry);
        add_features(&mut entry, self.features);
        entry.features.insert_if(self.choices.len() > 1, Feature::MultipleChoices);
        entry.features.insert_if(self.live, Feature::Realtime);
        entry.features.insert_if(usage.has_documents(), Feature::DocumentInput);
        note_modalities(&mut entry);
        note_embedding(&mut entry);
        Ok(entry)
    }
}

/// What was looked up for an answer; a query asked twice is one.
#[derive(Debug, Default)]
struct Searches<'a> {
    web: BTreeSet<Cow<'a, str>>,
    maps: BTreeSet<Cow<'a, str>>,
    /// Places were looked up, with or without a query that is told.
    on_maps: bool,
}

impl Searches<'_> {
    /// Counts them: up to Gemini 2.5 a grounded prompt is billed once, since then every query.
    fn note(&self, entry: &mut Entry<'_>) {
        let by_prompt =
            entry.model().is_some_and(|model| model.starts_with("gemini-1") || model.starts_with("gemini-2"));
        let billed = |queries: usize| if by_prompt { queries.min(1) } else { queries };
        let maps = if self.on_maps { self.maps.len().max(1) } else { 0 };
        for (name, queries) in [("web_search_requests", self.web.len()), ("google_maps_requests", maps)] {
            if !entry.meters.iter().any(|(known, _)| *known == name) {
                meter(&mut entry.meters, name, i64::try_from(billed(queries)).ok());
            }
        }
    }
}

/// Models tuned at Google are addressed as such, or by the endpoint they were deployed to; capacity may be provisioned.
pub(crate) fn note_tuned(entry: &mut Entry<'_>) {
    let names = [entry.request_model.as_deref(), entry.response_model.as_deref()];
    let tuned = |name: &&str| name.starts_with("tunedModels/") || name.starts_with("endpoints/");
    let tuned = names.iter().flatten().any(tuned);
    entry.features.insert_if(tuned, Feature::FineTunedModel);
    let provisioned = entry.service_tier.as_deref() == Some("PROVISIONED_THROUGHPUT");
    entry.features.insert_if(provisioned, Feature::ProvisionedCapacity);
}

/// `statistics.token_count` of every text: of Vertex's `predictions[].embeddings`, of the SDK's `embeddings[]`.
fn embedded_tokens(json: Json<'_>) -> Embedded {
    #[derive(serde::Deserialize)]
    struct Vector<'a> {
        #[serde(borrow)]
        embeddings: Option<Json<'a>>,
        statistics: Option<Json<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Statistics {
        #[serde(alias = "tokenCount")]
        token_count: Option<Count>,
    }
    let tokens = |vector: Json<'_>| {
        let vector = shape::<Vector<'_>>(vector)?;
        let inner = vector.embeddings.and_then(shape::<Vector<'_>>);
        let statistics = vector.statistics.or(inner.and_then(|inner| inner.statistics))?;
        count(shape::<Statistics>(statistics)?.token_count)
    };
    let counts: Vec<_> = listed(json).into_iter().map(tokens).collect();
    // One text without a count leaves the sum unknown.
    Embedded { tokens: if counts.iter().all(Option::is_some) { sum(&counts) } else { None } }
}

fn decode_interaction<'a>(
    source: &Source<'a>,
    raw: &'a [u8],
    options: &DecodeOptions,
    envelope: Envelope<'a>,
    interaction: Interaction<'a>,
) -> Result<Entry<'a>, DecodeError> {
    let (mut input, mut output) = both_directions(options.bodies);
    let mut request = interaction::request(source, &envelope)?;
    request.say(&mut input);
    let asked = interaction::asked(&mut request, &envelope);
    let (mut outcome, mut usage, features) = interaction.outcome(source, envelope.stream, &mut output)?;
    outcome.pending |= envelope.is_pending();
    outcome.extra.add("", &envelope.unknown);
    usage.note_unknown("usage", &mut outcome.extra);
    outcome.tokens = usage.tokens();
    outcome.service_tier = outcome.service_tier.or(present(usage.service_tier()));
    let json = envelope.request;
    let call =
        Call { source, raw, family: "gemini", operation: Some(Operation::Chat), provider: "gemini", certain: false };
    let mut entry = call.asked(envelope.capture, asked, outcome)?;
    usage.meters(&mut entry.meters);
    add_features(&mut entry, features);
    add_features(&mut entry, input.features);
    add_features(&mut entry, output.features);
    note_modalities(&mut entry);
    note_tuned(&mut entry);
    if options.bodies {
        entry.body = request.body(json, input, output);
    }
    if is_filtered(entry.finish_reason.as_deref()) {
        entry.status = Status::Filtered;
    }
    Ok(entry)
}
