//! From an event's bytes to ledger entries: one decoder per family of formats.
//!
//! A decoder borrows from the event: no tree is built, prompt and answer are read only as far as they tell a feature or
//! are wanted, numbers keep their digits. Every format's counts are converted to the convention of
//! [`Tokens`](daybook_ledger::Tokens): totals with their parts inside.

mod about;
mod anthropic;
mod base64;
mod bedrock;
mod capture;
mod captured;
mod chatgpt;
mod cloudevents;
mod cohere;
mod copilot;
mod dialect;
mod error;
mod extra;
mod gateway;
mod gemini;
mod langfuse;
mod litellm;
mod messages;
mod mistral;
mod object;
mod ollama;
mod openai;
mod openrouter;
mod otel;
mod parts;
mod provider;
mod quoted;
mod request;
mod scalar;
mod sniff;
mod source;
mod text;
mod token_total;
mod writer;

use std::fmt;
use std::str::FromStr;

use daybook_ledger::{Body, Entry, Operation, Status};

pub use about::{About, markdown as sources_markdown};
pub use error::{DecodeError, Place};
pub use sniff::sniff;
pub use text::{output_text, prompt_text};

use crate::event::Event;
use cloudevents::{Inside, Mode};
use sniff::{Look, look};
use source::Source;

/// A format events come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Captured calls of OpenAI's Chat Completions.
    OpenAiChat,
    /// Captured calls of OpenAI's Responses.
    OpenAiResponses,
    /// Captured calls of OpenAI's Embeddings.
    OpenAiEmbeddings,
    /// Lines of results of OpenAI's Batch.
    OpenAiBatch,
    /// Captured calls of OpenAI's transcription, speech, images and Realtime.
    OpenAiAudioImage,
    /// Captured calls of Azure OpenAI.
    AzureOpenAi,
    /// Captured calls of Mistral.
    Mistral,
    /// Captured calls of Cohere.
    Cohere,
    /// Captured calls of DeepSeek.
    DeepSeek,
    /// Captured calls of xAI.
    Xai,
    /// Captured calls of Groq.
    Groq,
    /// Captured calls of OpenRouter, and its accounts of them.
    OpenRouter,
    /// Captured calls of Ollama.
    Ollama,
    /// Captured calls of vLLM, or of another server of one's own that speaks OpenAI's APIs.
    Vllm,
    /// Captured calls of Anthropic's Messages, and lines of its batch results.
    AnthropicMessages,
    /// LiteLLM's StandardLoggingPayload.
    LiteLlm,
    /// OTLP with OpenTelemetry's GenAI attributes, in JSON or protobuf: traces and logs.
    OtelGenAi,
    /// CloudEvents around events of any other format.
    CloudEvents,
    /// Captured calls of Google's Gemini API and of Vertex AI.
    Gemini,
    /// Rows of LiteLLM's spend logs.
    LiteLlmSpendLogs,
    /// Log entries of Kong with its AI plugins.
    Kong,
    /// Access log lines of Envoy AI Gateway.
    EnvoyAiGateway,
    /// Portkey's logs: exports, objects of its API, logs inserted there.
    Portkey,
    /// Helicone's requests: rows of its query API, webhooks, its own queue.
    Helicone,
    /// Logs of Cloudflare AI Gateway.
    CloudflareAiGateway,
    /// Log entries of Apache APISIX with its AI plugins.
    Apisix,
    /// Langfuse's observations.
    Langfuse,
    /// Captured calls of AWS Bedrock's Converse and InvokeModel.
    BedrockConverse,
    /// AWS Bedrock's model invocation log.
    BedrockLog,
    /// Audit records of Microsoft 365 Copilot.
    Copilot,
    /// Conversations of ChatGPT's data export.
    ChatGptExport,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::OpenAiEmbeddings,
        Self::OpenAiBatch,
        Self::OpenAiAudioImage,
        Self::AzureOpenAi,
        Self::Mistral,
        Self::Cohere,
        Self::DeepSeek,
        Self::Xai,
        Self::Groq,
        Self::OpenRouter,
        Self::Ollama,
        Self::Vllm,
        Self::AnthropicMessages,
        Self::LiteLlm,
        Self::OtelGenAi,
        Self::CloudEvents,
        Self::Gemini,
        Self::LiteLlmSpendLogs,
        Self::Kong,
        Self::EnvoyAiGateway,
        Self::Portkey,
        Self::Helicone,
        Self::CloudflareAiGateway,
        Self::Apisix,
        Self::Langfuse,
        Self::BedrockConverse,
        Self::BedrockLog,
        Self::Copilot,
        Self::ChatGptExport,
    ];

    /// Its name in settings and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::OpenAiEmbeddings => "openai-embeddings",
            Self::OpenAiBatch => "openai-batch",
            Self::OpenAiAudioImage => "openai-audio-image",
            Self::AzureOpenAi => "azure-openai",
            Self::Mistral => "mistral",
            Self::Cohere => "cohere",
            Self::DeepSeek => "deepseek",
            Self::Xai => "xai",
            Self::Groq => "groq",
            Self::OpenRouter => "openrouter",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::AnthropicMessages => "anthropic",
            Self::LiteLlm => "litellm-standard",
            Self::OtelGenAi => "otel-genai",
            Self::CloudEvents => "cloudevents",
            Self::Gemini => "gemini",
            Self::LiteLlmSpendLogs => "litellm-spendlogs",
            Self::Kong => "kong",
            Self::EnvoyAiGateway => "envoy-ai-gateway",
            Self::Portkey => "portkey",
            Self::Helicone => "helicone",
            Self::CloudflareAiGateway => "cloudflare-ai-gateway",
            Self::Apisix => "apisix",
            Self::Langfuse => "langfuse",
            Self::BedrockConverse => "bedrock-converse",
            Self::BedrockLog => "bedrock-invocation-log",
            Self::Copilot => "microsoft-copilot",
            Self::ChatGptExport => "chatgpt-export",
        }
    }

    /// Whether it is one of the formats around OpenAI's APIs.
    const fn speaks_openai(self) -> bool {
        matches!(
            self,
            Self::OpenAiChat
                | Self::OpenAiResponses
                | Self::OpenAiEmbeddings
                | Self::OpenAiBatch
                | Self::OpenAiAudioImage
                | Self::AzureOpenAi
                | Self::Mistral
                | Self::Cohere
                | Self::DeepSeek
                | Self::Xai
                | Self::Groq
                | Self::OpenRouter
                | Self::Ollama
                | Self::Vllm
        )
    }

    /// How each source is read, in the order of docs/sources.md.
    pub const ABOUT: &'static [About] = &[
        openai::chat::ABOUT,
        openai::responses::ABOUT,
        openai::about::EMBEDDINGS,
        openai::batch::ABOUT,
        openai::about::AUDIO_IMAGE,
        openai::about::AZURE,
        mistral::ABOUT,
        cohere::ABOUT,
        openai::about::DEEPSEEK,
        openai::about::XAI,
        openai::about::GROQ,
        openrouter::ABOUT,
        ollama::ABOUT,
        openai::about::VLLM,
        anthropic::ABOUT,
        litellm::ABOUT,
        otel::ABOUT,
        cloudevents::ABOUT,
        gemini::ABOUT,
        litellm::spend_logs::ABOUT,
        gateway::kong::ABOUT,
        gateway::envoy::ABOUT,
        gateway::portkey::ABOUT,
        gateway::helicone::ABOUT,
        gateway::cloudflare::ABOUT,
        gateway::apisix::ABOUT,
        langfuse::ABOUT,
        bedrock::converse::ABOUT,
        bedrock::log::ABOUT,
        copilot::ABOUT,
        chatgpt::ABOUT,
    ];

    /// Whether its events are a log of a call, of a gateway's or a cloud's own making, rather than what a provider said.
    const fn is_gateway_log(self) -> bool {
        matches!(
            self,
            Self::LiteLlm
                | Self::LiteLlmSpendLogs
                | Self::Kong
                | Self::EnvoyAiGateway
                | Self::Portkey
                | Self::Helicone
                | Self::CloudflareAiGateway
                | Self::Apisix
                | Self::Langfuse
                | Self::BedrockLog
                | Self::Copilot
                | Self::ChatGptExport
        )
    }

    /// All names, for a message.
    fn names() -> String {
        Self::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The format of that name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.as_str() == name)
    }

    /// The format `name` is close enough to to be meant.
    fn nearest(name: &str) -> Option<Self> {
        let distance = |format: &Self| strsim::jaro_winkler(name, format.as_str());
        let nearest = Self::ALL.iter().copied().max_by(|one, other| distance(one).total_cmp(&distance(other)))?;
        (distance(&nearest) > 0.7).then_some(nearest)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = DecodeError;

    fn from_str(name: &str) -> Result<Self, DecodeError> {
        Self::named(name).ok_or_else(|| DecodeError::UnknownFormatName {
            given: name.chars().take(60).collect(),
            nearest: Self::nearest(name),
        })
    }
}

/// How much of an event is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Build [`Entry::body`] where the event has a prompt or an answer.
    pub bodies: bool,
}

/// Reads `event` and gives each of its entries to `sink`, all of them or, on error, none.
///
/// An OTLP message without model calls has no entry. The format is `format` if given, else the message's
/// `daybook-format` header, else its `content-type` (`application/vnd.daybook.<format>+json`; `application/x-protobuf` is
/// OTLP), else what the keys look like. Headers or a content type of CloudEvents are an envelope: the format is then that
/// of what is inside. Returns the format read.
///
/// # Errors
/// [`DecodeError`] when the event is not text, not JSON, of no known format, or has a field that cannot be what it has
/// to be; the error names the place.
pub fn decode<'a>(
    event: &Event<'a>,
    format: Option<Format>,
    options: &DecodeOptions,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<Format, DecodeError> {
    let sink = &mut |mut entry: Entry<'a>| {
        if options.bodies {
            keep_vectors(&mut entry);
        }
        sink(entry);
    };
    let format = match format {
        Some(format) => Some(format),
        None => event.header("daybook-format").map(|name| name.trim().parse()).transpose()?,
    };
    if let Some(mode) = Mode::of(|name| event.header(name)) {
        let format = format.filter(|format| *format != Format::CloudEvents);
        let inside = Inside { format, enveloped: false, options };
        cloudevents::decode_message(event, mode, inside)?.into_iter().for_each(sink);
        return Ok(Format::CloudEvents);
    }
    let content_type = event.header("content-type").unwrap_or_default();
    decode_value(event.value, content_type, Inside { format, enveloped: false, options }, sink)
}

/// What an embedding call gives is numbers, and what it is given may be: its event is kept though nothing in it is said in words.
fn keep_vectors(entry: &mut Entry<'_>) {
    let is_wordless = entry.body.is_none() && entry.status == Status::Success;
    if is_wordless && entry.operation == Some(Operation::Embeddings) && holds_vectors(entry.raw) {
        entry.body = Some(Body::default());
    }
}

/// Whether a member of an event, or of JSON that is text in it, has a name of vectors.
fn holds_vectors(event: &[u8]) -> bool {
    str::from_utf8(event).is_ok_and(|event| {
        event.split("embedding").skip(1).any(|rest| {
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            rest.strip_prefix("ByType").unwrap_or(rest).trim_start_matches('\\').starts_with("\":")
        })
    })
}

/// Reads `value`, whose media type is `content_type` if that is known.
fn decode_value<'a>(
    value: &'a [u8],
    content_type: &str,
    inside: Inside<'_>,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<Format, DecodeError> {
    let stated = match inside.format {
        Some(format) => Some(format),
        None => format_of(content_type)?,
    };
    let options = inside.options;
    if stated.is_none_or(|format| format == Format::OtelGenAi)
        && (is_protobuf(content_type) || otel::proto::looks_like(value))
    {
        otel::proto::decode(value, options)?.into_iter().for_each(sink);
        return Ok(Format::OtelGenAi);
    }
    let events = Source::events(value)?;
    let format = stated.map_or_else(|| recognise(events.first()), Ok)?;
    if let [source] = events.as_slice() {
        read(source, format, inside, sink)?;
        return Ok(format);
    }
    // Senders that batch write a list. All of it is read before any of it counts.
    let mut entries = Vec::new();
    for source in &events {
        read(source, format, inside, &mut |entry| entries.push(entry))?;
    }
    entries.into_iter().for_each(sink);
    Ok(format)
}

/// Reads one event of `format`.
///
/// A field that cannot be what it has to be is explained best by the event being another gateway's. What is no log of a
/// gateway may be a page of them.
fn read<'a>(
    source: &Source<'a>,
    format: Format,
    inside: Inside<'_>,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<(), DecodeError> {
    let Err(error) = read_as(source, format, inside, sink) else { return Ok(()) };
    if !format.is_gateway_log() {
        return Err(error);
    }
    match (&error, sniff(source.text())) {
        (DecodeError::BadValue { .. }, Some(real)) if real != format => {
            let missing = "fields of the types it needs";
            Err(DecodeError::WrongFormat { format, missing, looks_like: Some(real) })
        }
        (DecodeError::WrongFormat { .. }, None) => {
            let Some(rows) = source.page() else { return Err(error) };
            let mut entries = Vec::new();
            for row in &rows {
                read_as(row, format, inside, &mut |entry| entries.push(entry))?;
            }
            entries.into_iter().for_each(sink);
            Ok(())
        }
        _ => Err(error),
    }
}

fn read_as<'a>(
    source: &Source<'a>,
    format: Format,
    inside: Inside<'_>,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<(), DecodeError> {
    let (raw, options) = (source.text().as_bytes(), inside.options);
    match format {
        Format::OpenAiChat
        | Format::OpenAiResponses
        | Format::OpenAiEmbeddings
        | Format::OpenAiBatch
        | Format::OpenAiAudioImage
        | Format::AzureOpenAi
        | Format::Mistral
        | Format::Cohere
        | Format::DeepSeek
        | Format::Xai
        | Format::Groq
        | Format::OpenRouter
        | Format::Ollama
        | Format::Vllm => {
            openai::decode(format, (source, raw), options, sink)?;
        }
        Format::AnthropicMessages => sink(anthropic::decode(source, raw, options)?),
        Format::LiteLlm => sink(litellm::decode(source, raw, options)?),
        Format::BedrockConverse => sink(bedrock::converse::decode(source, raw, options)?),
        Format::BedrockLog => sink(bedrock::log::decode(source, raw, options)?),
        Format::Copilot => copilot::decode(source, raw)?.into_iter().for_each(sink),
        Format::ChatGptExport => chatgpt::decode(source, options, sink)?,
        Format::Gemini => sink(gemini::decode(source, raw, options)?),
        Format::OtelGenAi => otel::decode(source, options)?.into_iter().for_each(sink),
        Format::CloudEvents if inside.enveloped => {
            return Err(DecodeError::UnknownFormat { keys: "`specversion`".to_owned() });
        }
        Format::CloudEvents => {
            // What was stated is the envelope; what is in it has to be recognised.
            let inside = Inside { format: None, ..inside };
            cloudevents::decode(source, raw, inside)?.into_iter().for_each(sink);
        }
        Format::LiteLlmSpendLogs => litellm::spend_logs::decode(source, raw, options)?.into_iter().for_each(sink),
        Format::Kong => gateway::kong::decode(source, raw, options)?.into_iter().for_each(sink),
        Format::EnvoyAiGateway => gateway::envoy::decode(source, raw)?.into_iter().for_each(sink),
        Format::Portkey => sink(gateway::portkey::decode(source, raw, options)?),
        Format::Helicone => sink(gateway::helicone::decode(source, raw, options)?),
        Format::CloudflareAiGateway => sink(gateway::cloudflare::decode(source, raw, options)?),
        Format::Apisix => gateway::apisix::decode(source, raw, options)?.into_iter().for_each(sink),
        Format::Langfuse => langfuse::decode(source, raw, options)?.into_iter().for_each(sink),
    }
    Ok(())
}

/// The type without its parameters, in lower case.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The format a media type of our own names.
fn format_of(content_type: &str) -> Result<Option<Format>, DecodeError> {
    if content_type.is_empty() {
        return Ok(None);
    }
    let media_type = media_type(content_type);
    let name = media_type.strip_prefix("application/vnd.daybook.").and_then(|rest| rest.strip_suffix("+json"));
    name.map(str::parse).transpose()
}

/// Whether a media type is one OTLP in protobuf travels under.
fn is_protobuf(content_type: &str) -> bool {
    content_type.contains("protobuf")
        && matches!(
            media_type(content_type).as_str(),
            "application/x-protobuf" | "application/protobuf" | "application/vnd.google.protobuf"
        )
}

/// The format the event looks like.
fn recognise(source: Option<&Source<'_>>) -> Result<Format, DecodeError> {
    let Some(source) = source else { return Err(DecodeError::NotAnObject { found: "an empty array" }) };
    let api = match look(source.text()) {
        Look::Format(format) => return Ok(format),
        Look::Capture(api) => Some(api),
        Look::Nothing => match page_of(source) {
            Some(format) => return Ok(format),
            None => None,
        },
    };
    // What is not JSON at all is the better explanation for not being recognised.
    let event = source.parse(source.text())?;
    Err(match api {
        Some(api) => DecodeError::UnsupportedApi { api: api.chars().take(60).collect() },
        None => DecodeError::UnknownFormat { keys: first_keys(event) },
    })
}

/// The gateway whose logs the event is a page of.
fn page_of(source: &Source<'_>) -> Option<Format> {
    let first = source.page()?.into_iter().next()?;
    sniff(first.text()).filter(|format| format.is_gateway_log())
}

/// The first keys of an event, for a message.
fn first_keys(event: source::Json<'_>) -> String {
    let keys = request::members(event).into_iter().take(8);
    let quoted = keys.map(|(key, _)| format!("`{}`", key.chars().take(40).collect::<String>())).collect::<Vec<_>>();
    if quoted.is_empty() { "(none)".to_owned() } else { quoted.join(", ") }
}

#[cfg(test)]
mod tests;
