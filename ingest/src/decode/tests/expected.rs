//! Every fixture against its `expected.json`.

use serde_json::Value;

use super::*;

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, Value::from)
}

fn number<T: Into<i64>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, |value| Value::from(value.into()))
}

fn quantity(entry: &Entry<'_>, name: &str) -> Value {
    meter(entry, name).map_or(Value::Null, |quantity| Value::from(quantity.parse::<i64>().unwrap()))
}

/// The answers, one a choice.
fn messages(entry: &Entry<'_>) -> Vec<Value> {
    let messages = entry.body.as_ref().and_then(|body| body.output_messages.as_deref());
    messages.map(|messages| serde_json::from_str(messages).unwrap()).unwrap_or_default()
}

/// Names of client-side tools asked for.
fn tool_calls(entry: &Entry<'_>) -> Vec<Value> {
    let parts = messages(entry).into_iter().flat_map(|message| message["parts"].as_array().unwrap().clone());
    parts.filter(|part| part["type"] == "tool_call").map(|part| part["name"].clone()).collect()
}

/// What the entry has for a key of `expected.json`.
fn actual(entry: &Entry<'_>, key: &str) -> Value {
    let tokens = &entry.tokens;
    match key {
        "provider" => text(entry.provider.as_deref()),
        "model" => text(entry.model()),
        "model_requested" => text(entry.request_model.as_deref()),
        "gateway" => text(entry.gateway.as_deref()),
        "operation" => text(Some(entry.operation.as_str())),
        "status" => text(Some(entry.status.as_str())),
        "error_type" => text(entry.error_type.as_deref()),
        "http_status" => number(entry.http_status),
        "input_tokens" => number(tokens.input),
        "cached_read_tokens" => number(tokens.cache_read),
        "cache_write_tokens" => number(tokens.cache_write),
        "cache_write_5m_tokens" => number(tokens.cache_write_5m),
        "cache_write_1h_tokens" => number(tokens.cache_write_1h),
        "output_tokens" => number(tokens.output),
        "reasoning_tokens" => number(tokens.reasoning),
        "input_audio_tokens" => number(tokens.input_audio),
        "input_image_tokens" => number(tokens.input_image),
        "output_audio_tokens" => number(tokens.output_audio),
        "output_image_tokens" => number(tokens.output_image),
        "input_tool_use_tokens" | "input_video_tokens" => quantity(entry, key),
        "web_search_requests" => quantity(entry, key),
        "latency_ms" => number(entry.latency_ms),
        "ttft_ms" => number(entry.ttft_ms),
        "service_tier" => text(entry.service_tier.as_deref()),
        "stream" => entry.streamed.map_or(Value::Null, Value::from),
        "finish_reason" => text(entry.finish_reason.as_deref()),
        "response_id" => text(entry.event_id.as_deref()),
        "trace_id" => text(entry.trace_id.as_deref()),
        "user" => text(entry.end_user.as_deref()),
        "gateway_cache_hit" => entry.gateway_cache_hit.map_or(Value::Null, Value::from),
        "batch" => Value::from(entry.features.contains(Feature::Batch)),
        "prompt_text" => Value::from(said(entry).0),
        "output_text" => Value::from(said(entry).1),
        "tool_calls" => Value::from(tool_calls(entry)),
        "choices" => Value::from(messages(entry).len()),
        other => panic!("expected.json has a new key `{other}`"),
    }
}

fn check(case: &str, entry: &Entry<'_>, record: &Value) {
    for (key, value) in record.as_object().unwrap() {
        if key == "cost_usd" {
            assert_eq!(entry.reported_cost, Usd::parse(value.as_str().unwrap()).ok(), "{case}: {key}");
            assert_eq!(entry.reported_currency, Some("USD"), "{case}");
        } else if let Some(exact) = value.as_f64().filter(|_| key == "latency_ms") {
            // The column has whole milliseconds.
            assert_eq!(actual(entry, key).as_f64(), Some(exact.round()), "{case}: {key}");
        } else {
            assert_eq!(&actual(entry, key), value, "{case}: {key}");
        }
    }
    assert_eq!(entry.tokens.buckets().check, None, "{case}");
    assert_eq!(entry.usage_source == UsageSource::Absent, record["input_tokens"].is_null(), "{case}");
}

#[test]
fn every_fixture_decodes_to_its_expectation() {
    for format in Format::ALL.iter().copied() {
        let cases = fixtures(format);
        let event = |case: &str| cases.iter().find(|(name, _)| name == case).map(|(_, event)| event).unwrap();
        let expected: Value = serde_json::from_str(event("expected")).unwrap();
        let expected = expected.as_object().unwrap();
        assert_eq!(cases.len() - 1, expected.len(), "{format}: a case without expectation");
        for (name, truth) in expected {
            let case = format!("{format}/{name}");
            assert_eq!(sniff(event(name)), Some(format), "{case}");
            let entries = entries(event(name)).unwrap();
            let records = truth["records"].as_array().unwrap();
            assert_eq!(entries.len(), records.len(), "{case}");
            entries.iter().zip(records).for_each(|(entry, record)| check(&case, entry, record));
        }
    }
}

#[test]
fn without_bodies_everything_but_the_body_is_the_same() {
    for format in Format::ALL.iter().copied() {
        for (name, event) in fixtures(format).iter().filter(|(name, _)| name != "expected") {
            let mut without = Vec::new();
            decode(&Event::of(event.as_bytes()), Some(format), &DecodeOptions { bodies: false }, &mut |entry| {
                without.push(format!("{entry:?}"));
            })
            .unwrap();
            let with = entries(event).unwrap().into_iter().map(|entry| format!("{:?}", Entry { body: None, ..entry }));
            assert_eq!(without, with.collect::<Vec<_>>(), "{format}/{name}");
        }
    }
}
