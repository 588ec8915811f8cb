//! The provider's own request and response inside of a gateway's log, read by the provider's own decoder.

use std::borrow::Cow;

use daybook_ledger::{Body, Entry, Features, Status, Tokens, Usd};
use serde::Deserialize;

use crate::decode::messages::{elements, is_string, shape};
use crate::decode::quoted::Quoted;
use crate::decode::scalar::{Text, present};
use crate::decode::source::{Json, Source};
use crate::decode::writer::Writer;
use crate::decode::{DecodeError, DecodeOptions, Format, anthropic, bedrock, gemini, openai};

/// What request and response tell. Gateways may have cut, masked or rewritten them, so what cannot be read tells nothing
/// and is no error: the gateway's own fields are what an entry stands on.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub request_model: Option<Cow<'static, str>>,
    pub response_model: Option<Cow<'static, str>>,
    pub service_tier: Option<Cow<'static, str>>,
    pub finish_reason: Option<Cow<'static, str>>,
    pub end_user: Option<Cow<'static, str>>,
    pub session_id: Option<Cow<'static, str>>,
    /// The word for what failed.
    pub error_type: Option<Cow<'static, str>>,
    pub streamed: Option<bool>,
    pub status: Option<Status>,
    /// What the provider counted.
    pub tokens: Tokens,
    pub meters: Vec<(&'static str, Usd)>,
    pub features: Features,
    pub body: Option<Body<'static>>,
}

/// How a provider writes requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Chat,
    Responses,
    Anthropic,
    Gemini,
    Bedrock,
}

/// The marks of a request, an answer, or an event of a stream.
#[derive(Debug, Default, Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    object: Option<Text<'a>>,
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    choices: Option<Json<'a>>,
    output: Option<Json<'a>>,
    stop_reason: Option<Json<'a>>,
    #[serde(rename = "stopReason")]
    bedrock_stop_reason: Option<Json<'a>>,
    content: Option<Json<'a>>,
    error: Option<Json<'a>>,
    input: Option<Json<'a>>,
    messages: Option<Json<'a>>,
    anthropic_version: Option<Json<'a>>,
    contents: Option<Json<'a>>,
    candidates: Option<Json<'a>>,
    #[serde(rename = "usageMetadata")]
    usage_metadata: Option<Json<'a>>,
    system: Option<Json<'a>>,
    /// Helicone's wrapping of a stream.
    streamed_data: Option<Json<'a>>,
}

impl Exchange {
    /// Reads what a gateway kept, as JSON or as text that holds it; `path` is the call's, if the log has it.
    pub(crate) fn read(
        (request, response): (Option<Json<'_>>, Option<Json<'_>>),
        path: Option<&str>,
        options: &DecodeOptions,
    ) -> Self {
        let request = request.and_then(Quoted::read).filter(says_something);
        let response = response.and_then(Answer::read);
        if request.is_none() && response.is_none() {
            return Self::default();
        }
        let request = request.as_ref().map(Quoted::json);
        let asked = request.and_then(shape::<Marks<'_>>).unwrap_or_default();
        let answered = response.as_ref().map(Answer::marks).unwrap_or_default();
        let mut read = match Dialect::of(&asked, &answered, path) {
            Some(dialect) => {
                let envelope = envelope(request, response.as_ref());
                dialect.decode(&envelope, options).map(Self::of).unwrap_or_default()
            }
            None => Self::default(),
        };
        let said = answered.error.filter(|error| is_string(error));
        read.error_type =
            read.error_type.or_else(|| said.and_then(sentence)).or_else(|| answered.error.and_then(listed));
        read.request_model = present(asked.model).map(own);
        read.response_model = present(answered.model).map(own);
        read
    }

    fn of(entry: Entry<'_>) -> Self {
        Self {
            service_tier: entry.service_tier.map(own),
            finish_reason: entry.finish_reason.map(own),
            end_user: entry.end_user.map(own),
            session_id: entry.session_id.map(own),
            error_type: entry.error_type.map(own),
            streamed: entry.streamed,
            status: Some(entry.status),
            tokens: entry.tokens,
            meters: entry.meters,
            features: entry.features,
            body: entry.body.map(own_body),
            ..Self::default()
        }
    }
}

impl Dialect {
    /// By the answer, which is sure, else by the request and its path.
    fn of(asked: &Marks<'_>, answered: &Marks<'_>, path: Option<&str>) -> Option<Self> {
        let kind = |marks: &Marks<'_>| marks.object.as_ref().or(marks.kind.as_ref()).map(|kind| kind.0.to_string());
        let path = path.unwrap_or_default();
        match kind(answered).as_deref().unwrap_or_default() {
            "response" => return Some(Self::Responses),
            kind if kind.starts_with("response.") => return Some(Self::Responses),
            "message" | "message_start" => return Some(Self::Anthropic),
            kind if kind.starts_with("chat.completion") => return Some(Self::Chat),
            _ => {}
        }
        if answered.candidates.is_some() || answered.usage_metadata.is_some() {
            Some(Self::Gemini)
        } else if answered.bedrock_stop_reason.is_some() {
            Some(Self::Bedrock)
        } else if answered.choices.is_some() {
            Some(Self::Chat)
        } else if answered.stop_reason.is_some() && answered.content.is_some() || path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else if answered.output.is_some_and(|output| output.get().starts_with('[')) || path.ends_with("/responses") {
            Some(Self::Responses)
        } else if asked.contents.is_some() {
            Some(Self::Gemini)
        } else if asked.anthropic_version.is_some() || asked.system.is_some() && asked.messages.is_some() {
            Some(Self::Anthropic)
        } else if asked.messages.is_some() || asked.input.is_some() || answered.error.is_some() {
            Some(Self::Chat)
        } else {
            None
        }
    }

    fn decode<'e>(self, envelope: &'e str, options: &DecodeOptions) -> Result<Entry<'e>, DecodeError> {
        let source = Source::new(envelope.as_bytes())?;
        let raw = envelope.as_bytes();
        match self {
            Self::Chat => openai::decode_one(Format::OpenAiChat, (&source, raw), options),
            Self::Responses => openai::decode_one(Format::OpenAiResponses, (&source, raw), options),
            Self::Anthropic => anthropic::decode(&source, raw, options),
            Self::Gemini => gemini::decode(&source, raw, options),
            Self::Bedrock => bedrock::converse::decode(&source, raw, options),
        }
    }
}

/// An answer in one piece, or the events of a stream.
enum Answer<'a> {
    Whole(Quoted<'a>),
    /// A JSON array of what the events hold.
    Stream(Box<serde_json::value::RawValue>),
}

impl<'a> Answer<'a> {
    fn read(json: Json<'a>) -> Option<Self> {
        match Quoted::read(json) {
            Some(Quoted::Bare(list)) if list.get().starts_with('[') => Some(Self::Stream(list.to_owned())),
            Some(Quoted::Unquoted(list)) if list.get().starts_with('[') => Some(Self::Stream(list)),
            Some(whole) if says_something(&whole) => {
                let wrapped = shape::<Marks<'_>>(whole.json()).and_then(|marks| marks.streamed_data);
                let stream = wrapped.map(serde_json::value::RawValue::to_owned);
                Some(stream.map_or(Self::Whole(whole), Self::Stream))
            }
            Some(_) => None,
            None => {
                let text = serde_json::from_str::<Text<'_>>(json.get()).ok()?;
                serde_json::value::RawValue::from_string(server_sent(&text.0)?).ok().map(Self::Stream)
            }
        }
    }

    /// The marks of the answer; of a stream those of its first event that has some.
    fn marks(&self) -> Marks<'_> {
        match self {
            Self::Whole(whole) => shape(whole.json()).unwrap_or_default(),
            Self::Stream(list) => {
                let mut events = elements(list).into_iter().filter_map(shape::<Marks<'_>>);
                let telling = |marks: &Marks<'_>| {
                    marks.kind.is_some()
                        || marks.choices.is_some()
                        || marks.candidates.is_some()
                        || marks.error.is_some()
                };
                events.find(telling).unwrap_or_default()
            }
        }
    }
}

/// The `data:` of server-sent events as one JSON array; `None` if `text` is none, or was cut inside of an event.
fn server_sent(text: &str) -> Option<String> {
    let is_stream = ["data:", "event:", "id:", ":"].iter().any(|word| text.trim_start().starts_with(word));
    if !is_stream {
        return None;
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let events = data.filter(|data| data.starts_with('{')).collect::<Vec<_>>();
    let sound = |event: &&str| serde_json::from_str::<serde::de::IgnoredAny>(event).is_ok();
    (!events.is_empty() && events.iter().all(sound)).then(|| format!("[{}]", events.join(",")))
}

/// Request and answer as a capture, which is what the provider's decoder reads.
fn envelope(request: Option<Json<'_>>, answer: Option<&Answer<'_>>) -> String {
    let mut writer = Writer::new(true);
    writer.open('{');
    writer.key("capture");
    writer.json("{}");
    if let Some(request) = request {
        writer.key("request");
        writer.json(request.get());
    }
    match answer {
        Some(Answer::Whole(whole)) => {
            writer.key("response");
            writer.json(whole.json().get());
        }
        Some(Answer::Stream(stream)) => {
            writer.key("stream");
            writer.json(stream.get());
        }
        None => {}
    }
    writer.close('}');
    writer.into_text()
}

/// Not `null`, `{}` or `[]`, which gateways write for a body they did not keep.
fn says_something(quoted: &Quoted<'_>) -> bool {
    !matches!(quoted.json().get(), "null" | "{}" | "[]" | "\"\"")
}

/// Errors that are a sentence of their own, if it is short: long ones repeat prompts.
fn sentence(error: Json<'_>) -> Option<Cow<'static, str>> {
    let text = present(serde_json::from_str(error.get()).ok())?;
    (text.len() <= super::WORD_BYTES_MAX).then(|| own(text))
}

/// The code of the first error of a list, as Cloudflare and others answer.
fn listed(error: Json<'_>) -> Option<Cow<'static, str>> {
    #[derive(Deserialize)]
    struct Listed<'a> {
        #[serde(borrow)]
        code: Option<Text<'a>>,
    }
    present(shape::<Listed<'_>>(elements(error).first()?)?.code).map(own)
}

/// The text for itself.
pub(crate) fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// The body for itself.
pub(crate) fn own_body(body: Body<'_>) -> Body<'static> {
    Body {
        input_messages: body.input_messages.map(own),
        output_messages: body.output_messages.map(own),
        tool_definitions: body.tool_definitions.map(own),
        request_parameters: body.request_parameters.map(own),
    }
}
