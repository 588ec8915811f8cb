//! Telling apart the vendors that speak OpenAI's APIs: captures by what they say, bare answers by keys of one vendor's.

use serde_json::value::RawValue;

use crate::decode::Format;
use crate::decode::capture::Envelope;
use crate::decode::dialect::{Dialect, Endpoint, HEARD, is_response_state, self_hosted, vendor_of_model};
use crate::decode::scalar::Text;
use crate::decode::source::Json;

/// The format of a capture of `api` at `endpoint`.
pub(crate) fn by_capture(api: &Text<'_>, endpoint: Option<&Text<'_>>) -> Option<Format> {
    let word = api.0.split('.').next().unwrap_or_default();
    if word != "openai" {
        return Dialect::format_of_api(word);
    }
    let format = match Endpoint::of_capture(None, Some(api)).or(Endpoint::of_capture(endpoint, None))? {
        Endpoint::Chat | Endpoint::Other => Format::OpenAiChat,
        Endpoint::Responses => Format::OpenAiResponses,
        Endpoint::Embeddings | Endpoint::Rerank => Format::OpenAiEmbeddings,
        Endpoint::Batch => Format::OpenAiBatch,
        Endpoint::Transcription | Endpoint::Speech | Endpoint::Image | Endpoint::Realtime => Format::OpenAiAudioImage,
        Endpoint::Ocr | Endpoint::Conversation | Endpoint::Generation => return None,
    };
    // A client of OpenAI's also speaks to servers of one's own.
    match self_hosted(endpoint.map_or("", |endpoint| endpoint.0.as_ref()), &Envelope::default()) {
        Some("ollama") => Some(Format::Ollama),
        Some(_) => Some(Format::Vllm),
        None => Some(format),
    }
}

/// What the top-level keys of a bare object show so far.
#[derive(Debug, Default)]
pub(crate) struct Bare<'a> {
    object: Option<Json<'a>>,
    usage: Option<Json<'a>>,
    data: Option<Json<'a>>,
    id: Option<Json<'a>>,
    model: Option<Json<'a>>,
    response: Option<Json<'a>>,
    keys: u32,
}

/// Keys that together, or beside a mark, tell a vendor.
const KEYS: [&str; 22] = [
    "processed_time",
    "x_groq",
    "provider",
    "prompt_filter_results",
    "prompt_logprobs",
    "kv_transfer_params",
    "model",
    "created_at",
    "done",
    "text",
    "pages",
    "usage_info",
    "created",
    "custom_id",
    "response",
    "error",
    "method",
    "result",
    "results",
    "embeddings",
    "total_duration",
    "task",
];

impl<'a> Bare<'a> {
    /// Whether the value of `key` is looked at, and not only that it is there.
    pub(crate) fn wants(key: &str) -> bool {
        matches!(key, "object" | "usage" | "meta" | "data" | "id" | "model" | "response")
    }

    /// Takes in the value of a key that is wanted.
    pub(crate) fn value(&mut self, key: &str, value: Json<'a>) {
        match key {
            "object" => self.object = Some(value),
            "usage" | "meta" => self.usage = Some(value),
            "data" => self.data = Some(value),
            "model" => {
                self.model = Some(value);
                self.key(key);
            }
            "response" => {
                self.response = Some(value);
                self.key(key);
            }
            _ => self.id = Some(value),
        }
    }

    /// Takes in that `key` is there.
    pub(crate) fn key(&mut self, key: &str) {
        if let Some(at) = KEYS.iter().position(|known| *known == key) {
            self.keys |= 1 << at;
        }
    }

    fn has(&self, key: &str) -> bool {
        KEYS.iter().position(|known| *known == key).is_some_and(|at| self.keys & 1 << at != 0)
    }

    fn counts(&self, key: &str) -> bool {
        self.usage.is_some_and(|usage| usage.get().contains(key))
    }

    /// The format all of it looks like.
    pub(crate) fn format(&self) -> Option<Format> {
        let object = self.object.map_or("", RawValue::get).trim_matches('"');
        let is_line = self.has("custom_id") && !self.has("result");
        match object {
            "chat.completion" | "chat.completion.chunk" | "text_completion" => Some(self.vendor(Format::OpenAiChat)),
            "response" => Some(self.vendor(Format::OpenAiResponses)),
            "realtime.response" => Some(Format::OpenAiAudioImage),
            "conversation.response" => Some(Format::Mistral),
            "interaction" => Some(Format::Gemini),
            "batch" => Some(Format::OpenAiBatch),
            "list" if self.usage.is_some() && self.data.is_some() => Some(self.vendor(Format::OpenAiEmbeddings)),
            _ if is_line && (self.has("response") || self.has("error") || self.has("method")) => {
                Some(Format::OpenAiBatch)
            }
            // A line of Vertex AI's, which may have failed.
            _ if self.has("processed_time") && self.has("response") => Some(Format::Gemini),
            _ if self.has("done") && self.has("created_at") && self.has("model") => Some(Format::Ollama),
            _ if self.has("embeddings") && self.has("total_duration") => Some(Format::Ollama),
            _ if self.counts("\"billed_units\"") => Some(Format::Cohere),
            // Documents put in order, in the shape OpenAI's APIs have.
            _ if self.has("results") && self.counts("\"total_tokens\"") => Some(self.vendor(Format::OpenAiEmbeddings)),
            _ if self.has("pages") && self.has("usage_info") => Some(Format::Mistral),
            _ if self.data.is_some_and(|data| data.get().contains("\"native_tokens_prompt\"")) => {
                Some(Format::OpenRouter)
            }
            "" if self.has("text") && self.has("x_groq") => Some(Format::Groq),
            "" if self.has("text") && (self.counts("\"type\"") || self.has("task")) => Some(Format::OpenAiAudioImage),
            "" if self.has("created") && self.data.is_some_and(is_pictures) => Some(Format::OpenAiAudioImage),
            // A line of a batch at Google has no mark but the answer in it.
            _ if self.response.is_some_and(is_googles) => Some(Format::Gemini),
            _ => None,
        }
    }

    /// Whose answer it is: a vendor's own, or else that of the `format` it has at OpenAI.
    fn vendor(&self, format: Format) -> Format {
        let routed = self.has("provider") && self.id.is_some_and(|id| id.get().starts_with("\"gen-"));
        if self.has("x_groq") || self.counts("\"queue_time\"") {
            Format::Groq
        } else if routed {
            Format::OpenRouter
        } else if self.has("prompt_filter_results") {
            Format::AzureOpenAi
        } else if self.counts("\"prompt_cache_hit_tokens\"") {
            Format::DeepSeek
        } else if self.counts("\"cost_in_usd_ticks\"") || self.counts("\"num_sources_used\"") {
            Format::Xai
        } else if self.counts("\"prompt_audio_seconds\"") {
            Format::Mistral
        } else if self.has("prompt_logprobs") || self.has("kv_transfer_params") {
            Format::Vllm
        } else {
            let model = self.model.and_then(|model| serde_json::from_str::<Text<'_>>(model.get()).ok());
            model.and_then(|model| vendor_of_model(&model.0)).map_or(format, |dialect| dialect.format)
        }
    }
}

fn is_googles(response: Json<'_>) -> bool {
    response.get().contains("\"usageMetadata\"") || response.get().contains("\"promptFeedback\"")
}

fn is_pictures(data: Json<'_>) -> bool {
    data.get().contains("\"b64_json\"") || data.get().contains("\"url\"")
}

/// What an event of a stream that can be read alone says it is.
pub(crate) fn by_event(kind: &str) -> Option<Format> {
    match kind {
        "response.done"
        | "transcript.text.done"
        | "speech.audio.done"
        | "image_generation.completed"
        | "image_edit.completed"
        | HEARD => Some(Format::OpenAiAudioImage),
        _ => is_response_state(kind).then_some(Format::OpenAiResponses),
    }
}
