//! What every event must come to, whatever its bytes: entries that hold together, or an error with its code.

use daybook_ingest::decode::{DecodeOptions, Format, decode};
use daybook_ingest::event::Event;

/// The formats of each target. That none is missing, `ingest/src/decode/tests/hostile.rs` checks.
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "openai",
        &["openai-chat", "openai-responses", "openai-embeddings", "openai-batch", "openai-audio-image", "azure-openai"],
    ),
    ("compatible", &["mistral", "cohere", "deepseek", "xai", "groq", "openrouter", "ollama", "vllm"]),
    ("anthropic", &["anthropic"]),
    ("google", &["gemini"]),
    ("bedrock", &["bedrock-converse", "bedrock-invocation-log"]),
    (
        "gateways",
        &[
            "litellm-standard",
            "litellm-spendlogs",
            "kong",
            "envoy-ai-gateway",
            "portkey",
            "helicone",
            "cloudflare-ai-gateway",
            "apisix",
            "langfuse",
        ],
    ),
    ("standards", &["otel-genai", "cloudevents", "microsoft-copilot", "chatgpt-export"]),
];

/// Decodes `data` as each format of `family`, and as what it looks like.
pub fn check_family(family: &str, data: &[u8]) {
    let formats = FAMILIES.iter().filter(|(name, _)| *name == family).flat_map(|(_, formats)| *formats);
    for name in formats {
        check(name.parse().expect("a format"), data);
    }
    check_unstated(data);
}

/// Decodes `data` as `format`, with bodies and without, and checks what comes out.
fn check(format: Format, data: &[u8]) {
    let numbers = outcome(format, data, false);
    let whole = outcome(format, data, true);
    // Whether bodies are kept changes nothing about the numbers.
    assert_eq!(numbers, whole);
}

/// Decodes `data` as whatever it looks like.
fn check_unstated(data: &[u8]) {
    drop(decode(&Event::of(data), None, &DecodeOptions { bodies: true }, &mut |_| {}));
}

/// The error's code, or each entry's counts and cost.
fn outcome(format: Format, data: &[u8], bodies: bool) -> Result<Vec<String>, &'static str> {
    let mut entries = Vec::new();
    let decoded = decode(&Event::of(data), Some(format), &DecodeOptions { bodies }, &mut |entry| {
        let buckets = entry.tokens.buckets();
        let parts = [buckets.uncached_input, buckets.cache_write_unstated, buckets.output_text];
        assert!(parts.into_iter().flatten().all(|part| part >= 0), "a negative bucket: {buckets:?}");
        let body = entry.body.as_ref();
        let texts = body.map(|body| {
            [&body.input_messages, &body.output_messages, &body.tool_definitions, &body.request_parameters]
        });
        for json in texts.into_iter().flatten().flatten().chain(&entry.extra) {
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "not JSON: {json}");
        }
        entries.push(format!("{:?} {:?} {:?} {:?}", entry.event_id, entry.tokens, entry.meters, entry.reported_cost));
    });
    match decoded {
        Ok(_) => Ok(entries),
        Err(error) => {
            assert!(entries.is_empty(), "an entry was given although the event is refused: {error}");
            assert!(!error.to_string().is_empty());
            Err(error.code())
        }
    }
}
