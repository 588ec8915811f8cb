//! Vendors that speak OpenAI's APIs, and what each does in its own way.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::Format;
use super::capture::Envelope;
use super::messages::shape;
use super::provider::{Host, known, port_of, serves_itself};
use super::scalar::{Text, present};
use super::source::Json;

/// One vendor's dialect. What is not said here it does like OpenAI.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Who serves and bills where the endpoint does not tell, and the `source` of the calls' identity.
    pub(super) provider: &'static str,
    /// The word `capture.api` begins with.
    pub(super) api: &'static str,
    /// The format of its own, if it has one.
    pub(super) format: Format,
    /// An error is one sentence, and that sentence is all there is to call it by.
    pub(super) errors_are_sentences: bool,
    /// `usage.cost` is what was charged, in dollars.
    pub(super) reports_cost: bool,
    /// Reasoning is known to stand beside the output: it is never less than it.
    pub(super) reasoning_beside: bool,
}

const LIKE_OPENAI: Dialect = Dialect {
    provider: "openai",
    api: "openai",
    format: Format::OpenAiChat,
    errors_are_sentences: false,
    reports_cost: false,
    reasoning_beside: false,
};

/// Every dialect; the first is that of who is not listed.
pub(super) static DIALECTS: [Dialect; 10] = [
    LIKE_OPENAI,
    Dialect { provider: "azure", api: "azure", format: Format::AzureOpenAi, ..LIKE_OPENAI },
    Dialect { provider: "mistral", api: "mistral", format: Format::Mistral, ..LIKE_OPENAI },
    Dialect { provider: "deepseek", api: "deepseek", format: Format::DeepSeek, ..LIKE_OPENAI },
    Dialect { provider: "xai", api: "xai", format: Format::Xai, reasoning_beside: true, ..LIKE_OPENAI },
    Dialect { provider: "groq", api: "groq", format: Format::Groq, ..LIKE_OPENAI },
    Dialect {
        provider: "openrouter",
        api: "openrouter",
        format: Format::OpenRouter,
        reports_cost: true,
        ..LIKE_OPENAI
    },
    Dialect { provider: "vllm", api: "vllm", format: Format::Vllm, ..LIKE_OPENAI },
    Dialect { provider: "ollama", api: "ollama", format: Format::Ollama, errors_are_sentences: true, ..LIKE_OPENAI },
    Dialect { provider: "cohere", api: "cohere", format: Format::Cohere, ..LIKE_OPENAI },
];

/// Who answered a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vendor {
    pub(super) dialect: &'static Dialect,
    /// A prefix of a model's name (`openai/gpt-oss-120b`) is part of the name: who serves is known without it.
    pub(super) certain: bool,
}

impl Dialect {
    /// The dialect of `provider`.
    pub(super) fn of_provider(provider: &str) -> Option<&'static Self> {
        DIALECTS.iter().find(|dialect| dialect.provider == provider)
    }

    /// The format of captures whose `api` begins with `word`, unless it is one of OpenAI's own.
    pub(super) fn format_of_api(word: &str) -> Option<Format> {
        DIALECTS.iter().skip(1).find(|dialect| dialect.api == word).map(|dialect| dialect.format)
    }
}

impl Vendor {
    fn listed(provider: &str, certain: bool) -> Self {
        let [first, ..] = &DIALECTS;
        match Dialect::of_provider(provider) {
            Some(dialect) => Self { dialect, certain },
            None => Self { dialect: first, certain: false },
        }
    }

    /// Who answered: the endpoint's host says it, or the format does, or the shape of a server of the caller's own.
    pub(super) fn of(format: Format, envelope: &Envelope<'_>) -> Self {
        let endpoint = envelope.capture.as_ref().and_then(|capture| capture.endpoint.as_ref());
        let endpoint = endpoint.map_or("", |endpoint| endpoint.0.as_ref());
        let own = DIALECTS.iter().skip(1).find(|dialect| dialect.format == format);
        match (Host::of(endpoint).provider, own) {
            (Some(provider), _) => Self::listed(provider, true),
            (None, Some(dialect)) if format != Format::Vllm => Self { dialect, certain: true },
            (None, own) => match own.map(|dialect| dialect.provider).or_else(|| self_hosted(endpoint, envelope)) {
                Some(provider) if !is_proxied(asked_model(envelope).as_deref()) => Self::listed(provider, true),
                _ => Self::listed("openai", false),
            },
        }
    }
}

/// The model the request names.
fn asked_model<'a>(envelope: &Envelope<'a>) -> Option<Cow<'a, str>> {
    #[derive(serde::Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        model: Option<Text<'a>>,
    }
    present(shape::<Asked<'a>>(envelope.request?)?.model)
}

/// Ollama listens here unless told otherwise.
const OLLAMA_PORT: &str = "11434";

/// The server that answers at `endpoint` in OpenAI's words without being OpenAI, if it is one of the caller's own.
pub(super) fn self_hosted(endpoint: &str, envelope: &Envelope<'_>) -> Option<&'static str> {
    if port_of(endpoint) == Some(OLLAMA_PORT) {
        return Some("ollama");
    }
    (serves_itself(endpoint) || is_vllm(envelope)).then_some("vllm")
}

/// Whether something only vLLM asks for or answers with is there.
fn is_vllm(envelope: &Envelope<'_>) -> bool {
    const ASKED: [&str; 4] = ["\"continuous_usage_stats\"", "\"guided_json\"", "\"guided_choice\"", "\"guided_regex\""];
    const ANSWERED: [&str; 3] = ["\"prompt_logprobs\"", "\"kv_transfer_params\"", "\"prompt_token_ids\""];
    let unknown_host = envelope.capture.as_ref().is_some_and(|capture| capture.endpoint.is_some());
    let holds = |json: Option<Json<'_>>, words: &[&str]| {
        json.is_some_and(|json| words.iter().any(|word| json.get().contains(word)))
    };
    // A bare response without an endpoint is told apart by its keys, when its format is sniffed.
    unknown_host && (holds(envelope.request, &ASKED) || holds(envelope.response, &ANSWERED))
}

/// Whether `model` cannot be weights of one's own, so that a private host can only be a proxy.
pub(super) fn is_proxied(model: Option<&str>) -> bool {
    const WEIGHTS: [&str; 8] = [
        "openai/gpt-oss",
        "openai/whisper",
        "openai/clip",
        "mistralai/",
        "databricks/dbrx",
        "cerebras/",
        "gpt-oss",
        "gpt-j",
    ];
    const VENDORS: [&str; 9] =
        ["gpt-", "chatgpt-", "o1", "o3", "o4-", "claude-", "gemini-", "text-embedding-3", "text-embedding-ada"];
    let Some(model) = model else { return false };
    let starts = |words: &[&str]| words.iter().any(|word| model.starts_with(word));
    let prefixed = model.split_once('/').is_some_and(|(head, _)| known(head).is_some());
    !starts(&WEIGHTS) && (prefixed || starts(&VENDORS))
}

/// What was called at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Responses,
    Embeddings,
    Rerank,
    Transcription,
    Speech,
    Image,
    Realtime,
    Ocr,
    /// Mistral's agents with state.
    Conversation,
    /// OpenRouter's account of a call made earlier.
    Generation,
    /// Lines of a batch's results.
    Batch,
    /// What is none of the ledger's kinds: moderations.
    Other,
}

/// The event of a live session that tells what was heard.
pub(super) const HEARD: &str = "conversation.item.input_audio_transcription.completed";

/// Whether an event of this kind holds a whole state of a response, so that it can be read alone.
pub(super) fn is_response_state(kind: &str) -> bool {
    const STATES: [&str; 7] = ["created", "queued", "in_progress", "completed", "incomplete", "failed", "cancelled"];
    kind.strip_prefix("response.").is_some_and(|state| STATES.contains(&state))
}

/// The vendor whose models nobody else serves under these names.
pub(super) fn vendor_of_model(model: &str) -> Option<&'static Dialect> {
    const MISTRAL: [&str; 8] =
        ["mistral-", "ministral-", "open-mi", "codestral-", "pixtral-", "voxtral-", "magistral-", "devstral-"];
    let is_mistral = MISTRAL.iter().any(|name| model.starts_with(name));
    let provider = if is_mistral { "mistral" } else { model.starts_with("grok-").then_some("xai")? };
    Dialect::of_provider(provider)
}

/// Words of URLs and of `capture.api`, in any of their places.
const WORDS: [(&str, Endpoint); 29] = [
    ("completions", Endpoint::Chat),
    ("chat", Endpoint::Chat),
    ("responses", Endpoint::Responses),
    ("embeddings", Endpoint::Embeddings),
    ("embed", Endpoint::Embeddings),
    ("embedding", Endpoint::Embeddings),
    ("rerank", Endpoint::Rerank),
    ("reranking", Endpoint::Rerank),
    ("transcriptions", Endpoint::Transcription),
    ("transcription", Endpoint::Transcription),
    ("translations", Endpoint::Transcription),
    ("speech", Endpoint::Speech),
    ("images", Endpoint::Image),
    ("image", Endpoint::Image),
    ("generations", Endpoint::Image),
    ("edits", Endpoint::Image),
    ("variations", Endpoint::Image),
    ("realtime", Endpoint::Realtime),
    ("ocr", Endpoint::Ocr),
    ("conversations", Endpoint::Conversation),
    ("conversation", Endpoint::Conversation),
    ("generation", Endpoint::Generation),
    ("batch", Endpoint::Batch),
    ("batches", Endpoint::Batch),
    ("chat_stream", Endpoint::Chat),
    ("generate", Endpoint::Chat),
    ("fim", Endpoint::Chat),
    ("messages", Endpoint::Chat),
    ("moderations", Endpoint::Other),
];

impl Endpoint {
    /// What a capture's URL, or else its `api`, says was called.
    pub(super) fn of_capture(endpoint: Option<&Text<'_>>, api: Option<&Text<'_>>) -> Option<Self> {
        let url = endpoint.map_or("", |url| url.0.split(['?', '#']).next().unwrap_or_default());
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, path)| path);
        // A deployment may be called anything, also `chat`: only what comes after its name counts.
        let path =
            path.split_once("deployments/").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, rest)| rest));
        last_word(path.split('/')).or_else(|| last_word(api.map_or("", |api| api.0.as_ref()).split('.')))
    }

    /// What an answer looks like, by its mark or by its keys.
    pub(super) fn of_answer(answer: Json<'_>) -> Option<Self> {
        let keys = shape::<Keys<'_>>(answer)?;
        let mark = present(keys.object).or(present(keys.kind)).unwrap_or_default();
        Some(match mark.as_ref() {
            "chat.completion" | "chat.completion.chunk" | "text_completion" => Self::Chat,
            "response" => Self::Responses,
            "realtime.response" | "response.done" | HEARD => Self::Realtime,
            state if is_response_state(state) => Self::Responses,
            "conversation.response" => Self::Conversation,
            "transcript.text.done" => Self::Transcription,
            "speech.audio.done" => Self::Speech,
            "image_generation.completed" | "image_edit.completed" => Self::Image,
            _ if keys.choices.is_some() => Self::Chat,
            _ if keys.pages.is_some() => Self::Ocr,
            _ if keys.outputs.is_some() => Self::Conversation,
            _ if keys.results.is_some_and(|results| results.get().contains("\"categories\"")) => Self::Other,
            _ if keys.results.is_some() => Self::Rerank,
            _ if keys.embeddings.is_some() => Self::Embeddings,
            _ if keys.data.is_some_and(|data| data.get().starts_with('{')) => Self::Generation,
            "list" => Self::Embeddings,
            _ if keys.data.is_some() => Self::Image,
            _ if keys.text.is_some() => Self::Transcription,
            _ => return None,
        })
    }

    /// What an answer of a format is read as when nothing tells its endpoint.
    pub(super) const fn of_format(format: Format) -> Self {
        match format {
            Format::OpenAiResponses => Self::Responses,
            Format::OpenAiEmbeddings => Self::Embeddings,
            Format::OpenAiBatch => Self::Batch,
            Format::OpenAiAudioImage => Self::Image,
            _ => Self::Chat,
        }
    }
}

/// Keys that tell one endpoint's answer from another's.
#[derive(serde::Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    object: Option<Text<'a>>,
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    choices: Option<IgnoredAny>,
    pages: Option<IgnoredAny>,
    outputs: Option<IgnoredAny>,
    results: Option<Json<'a>>,
    embeddings: Option<IgnoredAny>,
    data: Option<Json<'a>>,
    text: Option<IgnoredAny>,
}

/// The last word that names an endpoint.
fn last_word<'w>(words: impl DoubleEndedIterator<Item = &'w str>) -> Option<Endpoint> {
    words.rev().find_map(|word| WORDS.iter().find(|(known, _)| *known == word).map(|(_, endpoint)| *endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_tells_the_endpoint_and_a_deployments_name_does_not() {
        let of = |url: &str, api: &str| Endpoint::of_capture(Some(&Text(url.into())), Some(&Text(api.into())));
        for (url, api, endpoint) in [
            ("https://api.openai.com/v1/chat/completions", "openai.chat.completions", Some(Endpoint::Chat)),
            ("https://api.openai.com/v1/images/generations", "openai.images", Some(Endpoint::Image)),
            ("https://openrouter.ai/api/v1/generation?id=gen-1", "openrouter.chat", Some(Endpoint::Generation)),
            (
                "https://x.openai.azure.com/openai/deployments/chat/audio/transcriptions?v=1",
                "azure",
                Some(Endpoint::Transcription),
            ),
            ("https://x.openai.azure.com/openai/deployments/embeddings", "azure.chat", Some(Endpoint::Chat)),
            ("https://api.mistral.ai/v1/conversations/conv_1", "mistral.agents", Some(Endpoint::Conversation)),
            ("https://api.mistral.ai/v1/agents/completions", "mistral.agents", Some(Endpoint::Chat)),
            ("https://gateway.example.org/llm", "openai.responses", Some(Endpoint::Responses)),
            ("wss://api.openai.com/v1/realtime?model=gpt-realtime", "openai", Some(Endpoint::Realtime)),
            ("", "cohere.v2.rerank", Some(Endpoint::Rerank)),
            ("", "openai", None),
        ] {
            assert_eq!(of(url, api), endpoint, "{url} {api}");
        }
    }

    #[test]
    fn a_vendors_own_model_on_a_private_host_is_proxied() {
        for (model, proxied) in [
            ("gpt-5.4-mini", true),
            ("claude-sonnet-5", true),
            ("azure/gpt-4o", true),
            ("openai/gpt-5", true),
            ("openai/gpt-oss-120b", false),
            ("gpt-oss:20b", false),
            ("mistralai/Mistral-7B", false),
            ("meta-llama/Llama-3.3-70B-Instruct", false),
            ("qwen3", false),
        ] {
            assert_eq!(is_proxied(Some(model)), proxied, "{model}");
        }
        assert!(!is_proxied(None));
    }
}
