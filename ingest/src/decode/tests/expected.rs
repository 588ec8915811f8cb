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
        "operation" => text(entry.operation.map(Operation::as_str)),
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
        "output_image_tokens" => number(tokens.output_image),
        "output_audio_tokens" => number(tokens.output_audio),
        "input_tool_use_tokens" | "input_video_tokens" => quantity(entry, key),
        "web_search_requests" | "audio_seconds" | "search_units" => quantity(entry, key),
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

/// Every key of the record in which the entry differs.
fn differences(entry: &Entry<'_>, record: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |key: &str, actual: Value, expected: &Value| {
        if actual != *expected {
            differences.push(format!("{key}: {actual}, expected {expected}"));
        }
    };
    for (key, expected) in record.as_object().unwrap() {
        if key == "cost_usd" {
            let cost = entry.reported_cost.map_or(Value::Null, |cost| Value::from(cost.to_string()));
            let expected = Usd::parse(expected.as_str().unwrap()).unwrap().to_string();
            compare(key, cost, &Value::from(expected));
            compare("currency", text(entry.reported_currency), &Value::from("USD"));
        } else if let Some(exact) = expected.as_f64().filter(|_| key == "latency_ms") {
            // The column has whole milliseconds.
            compare(key, Value::from(actual(entry, key).as_f64()), &Value::from(exact.round()));
        } else {
            compare(key, actual(entry, key), expected);
        }
    }
    compare("usage_check", text(entry.tokens.buckets().check), &Value::Null);
    // Some calls are billed by something other than tokens, which is usage too.
    let billed = ["input_tokens", "audio_seconds", "search_units"];
    let absent = billed.iter().all(|key| record.get(key).is_none_or(Value::is_null));
    compare("usage absent", Value::from(entry.usage_source == UsageSource::Absent), &Value::from(absent));
    differences
}

#[test]
fn every_fixture_decodes_to_its_expectation() {
    let mut wrong = Vec::new();
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
            for (entry, record) in entries.iter().zip(records) {
                wrong.extend(differences(entry, record).into_iter().map(|difference| format!("{case}: {difference}")));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
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
