//! Telling formats apart by their top-level keys, without reading the event.

pub(super) mod openai;

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};

use self::openai::{Bare, by_capture, by_event};
use crate::decode::Format;
use crate::decode::scalar::{Object, Text};
use crate::decode::source::Json;

/// The format `value` looks like; `None` if it looks like none. Reads no further than it must. A list is what its first
/// element is.
pub fn sniff(value: &str) -> Option<Format> {
    let value = value.trim_start();
    match look(value.strip_prefix('[').unwrap_or(value)) {
        Look::Format(format) => Some(format),
        Look::Capture(_) | Look::Nothing => None,
    }
}

/// What the top-level keys show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Format(Format),
    /// A capture of an API that has no decoder.
    Capture(String),
    /// Nothing known.
    Nothing,
}

/// Looks at the top-level keys.
pub(crate) fn look(value: &str) -> Look {
    let mut look = Look::Nothing;
    // Deciding early ends the parse with an error of its own, as does broken JSON: both are of no interest here.
    drop(serde_json::Deserializer::from_str(value).deserialize_map(KeysVisitor { look: &mut look }));
    look
}

struct KeysVisitor<'l> {
    look: &'l mut Look,
}

/// Keys only LiteLLM's payload has, beside the ones it shares with its spend log.
const LITELLM: [&str; 7] = [
    "response_cost",
    "cost_breakdown",
    "status_fields",
    "hidden_params",
    "model_map_information",
    "saved_cache_cost",
    "standard_built_in_tools_params",
];

/// Keys that only one gateway has.
const ONLY: [(&str, Format); 22] = [
    ("ai_org", Format::Portkey),
    ("ai_model", Format::Portkey),
    ("req_units", Format::Portkey),
    ("heliconeMeta", Format::Helicone),
    ("helicone_user", Format::Helicone),
    ("request_user_id", Format::Helicone),
    ("cache_reference_id", Format::Helicone),
    ("prompt_cache_read_tokens", Format::Helicone),
    ("request_response_url", Format::Helicone),
    ("tokens_in", Format::CloudflareAiGateway),
    ("request_head", Format::CloudflareAiGateway),
    ("llm_summary", Format::Apisix),
    ("apisix_latency", Format::Apisix),
    ("request_llm_model", Format::Apisix),
    ("usageDetails", Format::Langfuse),
    ("costDetails", Format::Langfuse),
    ("usage_details", Format::Langfuse),
    ("cost_details", Format::Langfuse),
    ("parentObservationId", Format::Langfuse),
    ("parent_observation_id", Format::Langfuse),
    ("providedModelName", Format::Langfuse),
    ("provided_model_name", Format::Langfuse),
];

/// Keys that tell together what none of them tells alone.
#[derive(Default)]
struct Seen {
    litellm_call: bool,
    litellm_only: bool,
    spend: bool,
    custom_id: bool,
    result: bool,
    latencies: bool,
    started_at: bool,
    access_log: bool,
    ai_metadata: bool,
    mapping: bool,
    conversation: bool,
    bedrock: usize,
}

impl Seen {
    /// Takes one more key; the format if that is enough.
    fn take(&mut self, key: &str) -> Option<Format> {
        self.litellm_call |= key == "call_type" || key == "custom_llm_provider";
        self.litellm_only |= LITELLM.contains(&key);
        self.spend |= key == "spend";
        self.custom_id |= key == "custom_id";
        self.result |= key == "result";
        self.latencies |= key == "latencies";
        self.started_at |= key == "started_at";
        self.access_log |= matches!(key, "response_flags" | "response_code" | "upstream_cluster" | ":authority")
            || key.starts_with("x-envoy-");
        self.ai_metadata |= ["gen_ai.", "genai_", "llm_", "mcp_", "x-ai-eg-"].iter().any(|mark| key.starts_with(mark))
            || key == "gen_ai";
        self.mapping |= key == "mapping";
        self.conversation |= matches!(key, "current_node" | "conversation_id" | "moderation_results");
        self.bedrock += usize::from(matches!(key, "modelId" | "requestId" | "operation" | "accountId"));
        if self.custom_id && self.result {
            Some(Format::AnthropicMessages)
        } else if self.litellm_call && self.litellm_only {
            Some(Format::LiteLlm)
        } else if self.litellm_call && self.spend {
            Some(Format::LiteLlmSpendLogs)
        } else if self.bedrock == 4 {
            Some(Format::BedrockLog)
        } else if self.latencies && self.started_at {
            Some(Format::Kong)
        } else if self.access_log && self.ai_metadata {
            Some(Format::EnvoyAiGateway)
        } else if self.mapping && self.conversation {
            Some(Format::ChatGptExport)
        } else {
            ONLY.iter().find(|(only, _)| *only == key).map(|(_, format)| *format)
        }
    }
}

impl<'de> Visitor<'de> for KeysVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        let mut bare = Bare::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let key = key.0.as_ref();
            let found = match key {
                "capture" => {
                    let Api { api, endpoint } = map.next_value::<Object<Api<'de>>>()?.0;
                    let api = api.unwrap_or(Text(Cow::Borrowed("")));
                    let format = by_api(&api.0).or_else(|| by_capture(&api, endpoint.as_ref()));
                    *self.look = format.map_or_else(|| Look::Capture(api.0.into_owned()), Look::Format);
                    return Err(de::Error::custom("decided"));
                }
                "resourceSpans" | "resourceLogs" | "resourceMetrics" => Some(Format::OtelGenAi),
                "specversion" | "kafka_record" => Some(Format::CloudEvents),
                "usageMetadata" | "usage_metadata" | "promptFeedback" | "candidates" | "modelVersion" => {
                    Some(Format::Gemini)
                }
                "CopilotEventData" | "AuditData" | "auditData" => Some(Format::Copilot),
                "stopReason" => Some(Format::BedrockConverse),
                "type" | "schemaType" => by_mark(map.next_value::<Json<'de>>()?),
                _ if Bare::wants(key) => {
                    bare.value(key, map.next_value()?);
                    seen.take(key)
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    bare.key(key);
                    seen.take(key)
                }
            };
            if let Some(format) = found {
                *self.look = Look::Format(format);
                return Err(de::Error::custom("decided"));
            }
        }
        if let Some(format) = bare.format() {
            *self.look = Look::Format(format);
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Api<'a> {
    #[serde(borrow)]
    api: Option<Text<'a>>,
    endpoint: Option<Text<'a>>,
}

/// What a bare object says it is in `type`.
fn by_mark(mark: Json<'_>) -> Option<Format> {
    match mark.get() {
        "\"message\"" => Some(Format::AnthropicMessages),
        "\"interaction\"" => Some(Format::Gemini),
        "\"ModelInvocationLog\"" => Some(Format::BedrockLog),
        mark => by_event(mark.trim_matches('"')),
    }
}

fn by_api(api: &str) -> Option<Format> {
    match api {
        "anthropic.messages" => Some(Format::AnthropicMessages),
        // Models of other vendors at Google speak their vendor's dialect.
        _ if api.starts_with("vertex.") && (api.contains("anthropic") || api.contains("raw_predict")) => {
            Some(Format::AnthropicMessages)
        }
        "vertex.chat.completions" => Some(Format::OpenAiChat),
        _ if api.starts_with("bedrock.") => Some(Format::BedrockConverse),
        _ if api.starts_with("gemini.") || api.starts_with("vertex.") => Some(Format::Gemini),
        _ => None,
    }
}
