//! A company's AI traffic, invented: five providers through three routes, with what really happens to it on the way.

use std::collections::VecDeque;

use daybook_ledger::Instant;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

/// First instant of the traffic: a Monday. It does not depend on the day of the run, so that a seed gives the same rows.
const START: &str = "2026-11-16T06:00:00Z";
const DAYS: i64 = 5;

/// How a call reaches Kafka.
#[derive(Clone, Copy)]
enum Route {
    /// The LiteLLM gateway's log, and what it reckons a token costs, in 10⁻¹² dollars: input, input from the cache, output.
    LiteLlm([i64; 3]),
    /// A proxy that captures requests and responses.
    Capture,
    /// OpenTelemetry spans through a collector.
    OpenTelemetry,
}

struct Workload {
    name: &'static str,
    team: &'static str,
    route: Route,
    provider: &'static str,
    model: &'static str,
    /// Calls out of a hundred.
    share: u32,
    /// Mean tokens in and out.
    tokens: (i64, i64),
    /// Part of the input read from a prompt cache, in percent.
    cached: i64,
}

#[rustfmt::skip]
const WORKLOADS: &[Workload] = &[
    Workload { name: "support-bot", team: "Support", route: Route::LiteLlm([1_800_000, 180_000, 9_000_000]), provider: "anthropic", model: "claude-sonnet-5", share: 26, tokens: (3_200, 260), cached: 70 },
    Workload { name: "claims-triage", team: "Claims", route: Route::LiteLlm([2_000_000, 200_000, 10_000_000]), provider: "bedrock", model: "anthropic.claude-sonnet-5", share: 12, tokens: (2_100, 420), cached: 0 },
    Workload { name: "search-index", team: "Search", route: Route::LiteLlm([20_000, 20_000, 0]), provider: "openai", model: "text-embedding-3-small", share: 16, tokens: (900, 0), cached: 0 },
    Workload { name: "code-assist", team: "Engineering", route: Route::Capture, provider: "openai", model: "gpt-5.4", share: 14, tokens: (6_400, 900), cached: 40 },
    Workload { name: "contract-review", team: "Legal", route: Route::Capture, provider: "anthropic", model: "claude-opus-5", share: 6, tokens: (14_000, 1_100), cached: 50 },
    Workload { name: "ops-copilot", team: "Operations", route: Route::OpenTelemetry, provider: "azure", model: "gpt-4o-2024-11-20", share: 14, tokens: (1_500, 300), cached: 20 },
    Workload { name: "translations", team: "Marketing", route: Route::OpenTelemetry, provider: "mistral", model: "mistral-small-2603", share: 12, tokens: (700, 650), cached: 0 },
];

const WORDS: &[&str] = &[
    "pallet",
    "customs",
    "invoice",
    "depot",
    "driver",
    "refund",
    "claim",
    "policy",
    "vessel",
    "berth",
    "tariff",
    "weight",
    "Grüße",
    "livraison",
    "entrepôt",
    "荷物",
    "please",
    "summarise",
    "compare",
    "the",
    "of",
    "and",
    "for",
    "with",
    "late",
];

/// One message for Kafka.
pub(super) struct Message {
    /// Calls of one team keep their order.
    pub(super) key: &'static str,
    pub(super) value: Vec<u8>,
}

/// What was sent, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) calls: u64,
    pub(super) duplicates: u64,
    pub(super) poison: u64,
}

impl Sent {
    pub(super) fn messages(&self) -> u64 {
        self.calls + self.duplicates + self.poison
    }
}

/// Seeded traffic: the same seed gives the same messages.
pub(super) struct Traffic {
    rng: StdRng,
    events: u64,
    sent: Sent,
    recent: VecDeque<(&'static str, Vec<u8>)>,
    start: i64,
}

impl Traffic {
    pub(super) fn new(seed: u64, events: u64) -> Self {
        let start = Instant::parse(START).map_or(0, Instant::micros);
        Self { rng: StdRng::seed_from_u64(seed), events, sent: Sent::default(), recent: VecDeque::new(), start }
    }

    pub(super) fn sent(&self) -> Sent {
        self.sent
    }

    fn call(&mut self) -> Message {
        let mut point = self.rng.random_range(0..WORKLOADS.iter().map(|workload| workload.share).sum());
        let workload = WORKLOADS.iter().find(|workload| match point.checked_sub(workload.share) {
            Some(rest) => {
                point = rest;
                false
            }
            None => true,
        });
        let Some(workload) = workload.or(WORKLOADS.first()) else { unreachable!("there are workloads") };
        let call = self.draw(workload);
        let value = match workload.route {
            Route::LiteLlm(rates) => litellm(workload, &call, rates),
            Route::Capture if workload.provider == "openai" => openai_responses(workload, &call),
            Route::Capture => anthropic(workload, &call),
            Route::OpenTelemetry => otel(workload, &call),
        };
        self.sent.calls += 1;
        Message { key: workload.team, value: value.to_string().into_bytes() }
    }

    fn draw(&mut self, workload: &Workload) -> Call {
        let around = |rng: &mut StdRng, mean: i64| mean * rng.random_range(30..200) / 100;
        let at = self.sent.calls.cast_signed() * DAYS * 86_400_000_000 / self.events.max(1).cast_signed();
        // Some gateways were offline for a while and send what they kept.
        let late = if self.rng.random_bool(0.03) { self.rng.random_range(3_600..200_000) * 1_000_000 } else { 0 };
        let input = around(&mut self.rng, workload.tokens.0).max(1);
        Call {
            number: self.sent.calls,
            id: self.rng.random(),
            start: self.start + at - late + self.rng.random_range(0..1_000_000),
            latency_ms: self.rng.random_range(200..9_000),
            input,
            cached: input * workload.cached * self.rng.random_range(0..=1) / 100,
            output: around(&mut self.rng, workload.tokens.1),
            failed: self.rng.random_bool(0.012),
            streamed: self.rng.random_bool(0.6),
            prompt: text(&mut self.rng, 40),
            answer: text(&mut self.rng, 20),
            user: self.rng.random_range(0..400),
        }
    }

    fn poison(&mut self) -> Message {
        self.sent.poison += 1;
        let kinds: [&[u8]; 3] =
            [b"\xff\xfe not JSON at all", b"{\"id\":\"cut off\",\"usage\":{", b"{\"hello\":\"world\"}"];
        Message { key: "unknown", value: kinds.choose(&mut self.rng).copied().unwrap_or_default().to_vec() }
    }
}

impl Iterator for Traffic {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        const POISON_EVERY: u64 = 4_000;
        const RECENT: usize = 600;
        if self.sent.calls == self.events && self.sent.poison > self.events / POISON_EVERY {
            return None;
        }
        if self.sent.calls == self.events || self.sent.calls / POISON_EVERY > self.sent.poison {
            return Some(self.poison());
        }
        if self.rng.random_bool(0.02) && !self.recent.is_empty() {
            let again = self.recent.remove(self.rng.random_range(0..self.recent.len()));
            if let Some((key, value)) = again {
                self.sent.duplicates += 1;
                return Some(Message { key, value });
            }
        }
        let message = self.call();
        self.recent.push_back((message.key, message.value.clone()));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        Some(message)
    }
}

struct Call {
    number: u64,
    id: u64,
    /// Microseconds since 1970.
    start: i64,
    latency_ms: i64,
    input: i64,
    cached: i64,
    output: i64,
    failed: bool,
    streamed: bool,
    prompt: String,
    answer: String,
    user: u32,
}

impl Call {
    fn started_at(&self) -> String {
        Instant::from_micros(self.start).to_string()
    }

    fn capture(&self, api: &str, endpoint: &str) -> Value {
        let status = if self.failed { 429 } else { 200 };
        json!({"api": api, "endpoint": endpoint, "started_at": self.started_at(), "duration_ms": self.latency_ms,
            "http_status": status, "request_id": format!("req_{:016x}", self.id)})
    }
}

fn text(rng: &mut StdRng, words: usize) -> String {
    let words: Vec<_> = (0..words).filter_map(|_| WORDS.choose(rng).copied()).collect();
    words.join(" ")
}

/// Seconds since 1970 as LiteLLM writes them.
fn seconds(micros: i64) -> Value {
    decimal(micros, 6)
}

/// A JSON number with so many decimal places.
fn decimal(units: i64, places: usize) -> Value {
    let one = 10_i64.pow(u32::try_from(places).unwrap_or_default());
    let text = format!("{}.{:0places$}", units.div_euclid(one), units.rem_euclid(one));
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn litellm(workload: &Workload, call: &Call, [fresh, from_cache, out]: [i64; 3]) -> Value {
    let embedding = workload.tokens.1 == 0;
    let (input, output, cached) = if call.failed { (0, 0, 0) } else { (call.input, call.output, call.cached) };
    let end = call.start + call.latency_ms * 1_000;
    json!({
        "id": format!("litellm-{:016x}", call.id), "trace_id": format!("{:032x}", u128::from(call.id)),
        "call_type": if embedding { "aembedding" } else { "acompletion" },
        "stream": call.streamed && !embedding, "status": if call.failed { "failure" } else { "success" },
        "custom_llm_provider": workload.provider, "model": workload.model, "model_group": workload.name,
        "startTime": seconds(call.start), "endTime": seconds(end), "completionStartTime": seconds(call.start + call.latency_ms * 300),
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "response_cost": decimal((input - cached) * fresh + cached * from_cache + output * out, 12),
        "metadata": {
            "user_api_key_alias": workload.name, "user_api_key_team_alias": workload.team, "user_api_key_team_id": workload.team,
            "usage_object": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": cached}},
        },
        "cache_hit": false, "request_tags": [workload.name], "end_user": format!("customer-{}", call.user),
        "messages": [{"role": "user", "content": call.prompt}],
        "response": if call.failed || embedding { Value::Null } else { json!({"id": format!("chatcmpl-{:016x}", call.id),
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": call.answer}}]}) },
        "error_str": if call.failed { json!("rate limited") } else { Value::Null },
        "error_information": if call.failed { json!({"error_code": "429", "error_class": "RateLimitError"}) } else { Value::Null },
        "model_parameters": if embedding { json!({}) } else { json!({"temperature": 0.2,
            "tools": [{"type": "function", "function": {"name": "look_up_shipment", "parameters": {"type": "object"}}}]}) },
    })
}

fn openai_responses(workload: &Workload, call: &Call) -> Value {
    let request = json!({"model": workload.model, "input": call.prompt, "instructions": "Answer as a reviewer.",
        "previous_response_id": format!("resp_{:016x}", call.id.wrapping_sub(1)), "reasoning": {"effort": "medium"},
        "user": format!("engineer-{}", call.user)});
    let response = if call.failed {
        json!({"error": {"message": "Rate limit reached.", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}})
    } else {
        json!({"id": format!("resp_{:016x}", call.id), "object": "response", "created_at": call.start / 1_000_000,
            "status": "completed", "error": null, "model": workload.model, "service_tier": "default",
            "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": call.answer, "annotations": []}]}],
            "usage": {"input_tokens": call.input, "input_tokens_details": {"cached_tokens": call.cached, "cache_write_tokens": 0},
                "output_tokens": call.output, "output_tokens_details": {"reasoning_tokens": call.output / 2},
                "total_tokens": call.input + call.output}})
    };
    json!({"capture": call.capture("openai.responses", "https://api.openai.com/v1/responses"), "request": request, "response": response})
}

fn anthropic(workload: &Workload, call: &Call) -> Value {
    let request = json!({"model": workload.model, "max_tokens": 4096,
        "system": [{"type": "text", "text": "Contract library.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": call.prompt}], "metadata": {"user_id": format!("counsel-{}", call.user % 9)}});
    let response = if call.failed {
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": format!("req_{:016x}", call.id)})
    } else {
        let written = call.cached / 10;
        json!({"id": format!("msg_{:016x}", call.id), "type": "message", "role": "assistant", "model": workload.model,
            "content": [{"type": "text", "text": call.answer}], "stop_reason": "end_turn",
            "usage": {"input_tokens": call.input - call.cached - written, "cache_read_input_tokens": call.cached,
                "cache_creation_input_tokens": written,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": written},
                "output_tokens": call.output, "service_tier": "standard"}})
    };
    json!({"capture": call.capture("anthropic.messages", "https://api.anthropic.com/v1/messages"), "request": request, "response": response})
}

fn otel(workload: &Workload, call: &Call) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let count = |key: &str, value: i64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let provider = if workload.provider == "azure" { "azure.ai.openai" } else { "mistral_ai" };
    let mut attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", workload.model),
    ];
    if call.failed {
        attributes.push(text("error.type", "429"));
    } else {
        attributes.extend([
            text("gen_ai.response.model", workload.model),
            text("gen_ai.response.id", &format!("chatcmpl-{:016x}", call.id)),
            count("gen_ai.usage.input_tokens", call.input),
            count("gen_ai.usage.cache_read.input_tokens", call.cached),
            count("gen_ai.usage.output_tokens", call.output),
            text("gen_ai.input.messages", &json!([{"role": "user", "parts": [{"type": "text", "content": call.prompt}]}]).to_string()),
            text("gen_ai.output.messages",
                &json!([{"role": "assistant", "parts": [{"type": "text", "content": call.answer}], "finish_reason": "stop"}]).to_string()),
        ]);
    }
    let nanos = |micros: i64| (micros * 1_000).to_string();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", workload.name), text("deployment.environment.name", "prod")]},
        "scopeSpans": [{"scope": {"name": "demo"}, "spans": [{
            "traceId": format!("{:032x}", u128::from(call.id)), "spanId": format!("{:016x}", call.number),
            "name": format!("chat {}", workload.model), "kind": 3, "startTimeUnixNano": nanos(call.start),
            "endTimeUnixNano": nanos(call.start + call.latency_ms * 1_000), "attributes": attributes,
            "status": if call.failed { json!({"code": 2}) } else { json!({}) },
        }]}],
    }]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_traffic_and_the_counts_add_up() {
        let run = |seed| {
            let mut traffic = Traffic::new(seed, 5_000);
            let messages: Vec<_> = traffic.by_ref().map(|message| message.value).collect();
            (messages, traffic.sent())
        };
        let (messages, sent) = run(7);
        assert_eq!(messages.len() as u64, sent.messages());
        assert_eq!(sent.calls, 5_000);
        assert!(sent.poison >= 2 && sent.duplicates > 50, "{sent:?}");
        assert_eq!(messages, run(7).0);
        assert_ne!(messages, run(8).0);
    }
}
