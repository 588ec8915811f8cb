//! OTLP in protobuf says what the same batch says in JSON.

use serde_json::{Value, json};

use super::*;

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}

fn bytes(field: u64, part: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(part.len() as u64, out);
    out.extend(part);
}

fn fixed(field: u64, value: &Value, out: &mut Vec<u8>) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    varint(field << 3 | 1, out);
    out.extend(text.parse::<u64>().unwrap().to_le_bytes());
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn list<'v>(json: &'v Value, key: &str) -> &'v [Value] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

fn any_value(json: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Some((kind, value)) = json.as_object().and_then(|object| object.iter().next()) else { return out };
    match kind.as_str() {
        "stringValue" => bytes(1, value.as_str().unwrap().as_bytes(), &mut out),
        "boolValue" => number(2, u64::from(value.as_bool().unwrap()), &mut out),
        "intValue" => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            number(3, text.parse::<i64>().unwrap().cast_unsigned(), &mut out);
        }
        "doubleValue" => {
            varint(4 << 3 | 1, &mut out);
            out.extend(value.as_f64().unwrap().to_le_bytes());
        }
        "arrayValue" => {
            let mut inner = Vec::new();
            list(value, "values").iter().for_each(|value| bytes(1, &any_value(value), &mut inner));
            bytes(5, &inner, &mut out);
        }
        "kvlistValue" => {
            let mut inner = Vec::new();
            list(value, "values").iter().for_each(|member| bytes(1, &key_value(member), &mut inner));
            bytes(6, &inner, &mut out);
        }
        other => panic!("{other}"),
    }
    out
}

fn key_value(json: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(1, json["key"].as_str().unwrap().as_bytes(), &mut out);
    bytes(2, &any_value(&json["value"]), &mut out);
    out
}

fn attributes(json: &Value, field: u64, out: &mut Vec<u8>) {
    list(json, "attributes").iter().for_each(|attribute| bytes(field, &key_value(attribute), out));
}

fn span(json: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, field) in [("traceId", 1), ("spanId", 2), ("parentSpanId", 4)] {
        let id = json[key].as_str().map(hex).unwrap_or_default();
        if !id.is_empty() {
            bytes(field, &id, &mut out);
        }
    }
    bytes(5, json["name"].as_str().unwrap_or_default().as_bytes(), &mut out);
    number(6, json["kind"].as_u64().unwrap_or(0), &mut out);
    for (key, field) in [("startTimeUnixNano", 7), ("endTimeUnixNano", 8)] {
        if !json[key].is_null() {
            fixed(field, &json[key], &mut out);
        }
    }
    attributes(json, 9, &mut out);
    for event in list(json, "events") {
        let mut inner = Vec::new();
        fixed(1, &json!(1), &mut inner);
        bytes(2, event["name"].as_str().unwrap().as_bytes(), &mut inner);
        attributes(event, 3, &mut inner);
        bytes(11, &inner, &mut out);
    }
    let mut status = Vec::new();
    if let Some(code) = json["status"]["code"].as_u64() {
        bytes(2, b"a message", &mut status);
        number(3, code, &mut status);
    }
    bytes(15, &status, &mut out);
    // `flags`, a fixed32.
    varint(16 << 3 | 5, &mut out);
    out.extend([0, 1, 0, 0]);
    out
}

fn log_record(json: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    fixed(1, &json["timeUnixNano"], &mut out);
    number(2, 9, &mut out);
    if !json["body"].is_null() {
        bytes(5, &any_value(&json["body"]), &mut out);
    }
    attributes(json, 6, &mut out);
    for (key, field) in [("traceId", 9), ("spanId", 10)] {
        bytes(field, &json[key].as_str().map(hex).unwrap_or_default(), &mut out);
    }
    if let Some(name) = json["eventName"].as_str() {
        bytes(12, name.as_bytes(), &mut out);
    }
    out
}

/// The batch of OTLP JSON as OTLP protobuf.
pub(super) fn protobuf(json: &str) -> Vec<u8> {
    let json: Value = serde_json::from_str(json).unwrap();
    let mut out = Vec::new();
    for (resources, scopes, records, record) in [
        ("resourceSpans", "scopeSpans", "spans", span as fn(&Value) -> Vec<u8>),
        ("resourceLogs", "scopeLogs", "logRecords", log_record),
    ] {
        for resource in list(&json, resources) {
            let mut description = Vec::new();
            attributes(&resource["resource"], 1, &mut description);
            let mut inner = Vec::new();
            bytes(1, &description, &mut inner);
            for scope in list(resource, scopes) {
                let mut batch = Vec::new();
                bytes(1, b"\x0a\x05scope", &mut batch);
                list(scope, records).iter().for_each(|json| bytes(2, &record(json), &mut batch));
                bytes(2, &batch, &mut inner);
            }
            bytes(3, b"https://opentelemetry.io/schemas/1.41.0", &mut inner);
            bytes(1, &inner, &mut out);
        }
    }
    out
}

fn read(value: &[u8], headers: &[(&str, &[u8])]) -> Result<Vec<String>, DecodeError> {
    let mut entries = Vec::new();
    let event = Event { value, headers, timestamp: None };
    decode(&event, None, &BODIES, &mut |entry| entries.push(format!("{:?}", Entry { raw: b"", ..entry })))?;
    Ok(entries)
}

#[test]
fn every_fixture_says_the_same_in_protobuf() {
    for (name, event) in fixtures(Format::OtelGenAi).iter().filter(|(name, _)| name != "expected") {
        let json = read(event.as_bytes(), &[]).unwrap();
        assert!(!json.is_empty());
        let bytes = protobuf(event);
        assert_eq!(read(&bytes, &[]).unwrap(), json, "{name}");
        assert_eq!(read(&bytes, &[("Content-Type", b"application/x-protobuf")]).unwrap(), json, "{name}");
        assert_eq!(read(&bytes, &[("daybook-format", b"otel-genai")]).unwrap(), json, "{name}");
    }
}

#[test]
fn every_type_of_value_says_the_same_in_protobuf() {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let messages = json!({"arrayValue": {"values": [{"kvlistValue": {"values": [
        text("role", "us\"er"),
        {"key": "parts", "value": {"arrayValue": {"values": [{"kvlistValue": {"values": [
            text("type", "text"), text("content", "Où ?"), {"key": "n", "value": {"intValue": "-7"}},
            {"key": "f", "value": {"doubleValue": 0.5}}, {"key": "none", "value": {}},
            {"key": "yes", "value": {"boolValue": true}}]}}]}}}]}}]}});
    let attributes = json!([
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.system", "openai"),
        {"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": 40.0}},
        text("gen_ai.usage.output_tokens", "12"),
        {"key": "gen_ai.usage.cost", "value": {"doubleValue": 0.000031}},
        {"key": "gen_ai.request.stream", "value": {"intValue": 1}},
        {"key": "gen_ai.response.time_to_first_chunk", "value": {"doubleValue": 0.61}},
        {"key": "gen_ai.response.finish_reasons", "value": {"arrayValue": {"values": [{"stringValue": "stop"}]}}},
        {"key": "gen_ai.input.messages", "value": messages},
    ]);
    let span = json!({"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "kind": 3,
        "startTimeUnixNano": "1795170000000000000", "endTimeUnixNano": "1795170000640600000",
        "attributes": attributes, "status": {"code": 2},
        "events": [{"name": "exception", "attributes": [text("exception.type", "TimeoutError")]}]});
    let batch = json!({"resourceSpans": [{"resource": {"attributes": [text("service.name", "claims-bot")]},
        "scopeSpans": [{"spans": [span]}]}]});
    let json = read(batch.to_string().as_bytes(), &[]).unwrap();
    assert_eq!(read(&protobuf(&batch.to_string()), &[]).unwrap(), json);
    let entry = entry(&batch.to_string());
    assert_eq!((entry.tokens.input, entry.tokens.output, entry.streamed), (Some(40), Some(12), Some(true)));
    assert_eq!((entry.error_type.as_deref(), entry.ttft_ms), (Some("TimeoutError"), Some(610)));
    assert_eq!(said(&entry).0.as_deref(), Some("Où ?"));
}

#[test]
fn log_events_say_the_same_in_protobuf_and_other_records_say_nothing() {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = |name: &str, body: Value| {
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1795170000000000000",
            "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "eventName": name,
            "body": body, "attributes": [text("gen_ai.operation.name", "chat")]}]}]}]})
        .to_string()
    };
    let call = "gen_ai.client.inference.operation.details";
    let body = json!({"kvlistValue": {"values": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "9"}}]}});
    let json = record(call, body);
    assert_eq!(entry(&json).tokens.input, Some(9));
    assert_eq!(read(&protobuf(&json), &[]).unwrap(), read(json.as_bytes(), &[]).unwrap());
    assert_eq!(read(&protobuf(&record("gen_ai.choice", json!(null))), &[]).unwrap(), [""; 0]);
    // A metric: a name, a description, a unit and a sum.
    let mut metric = Vec::new();
    bytes(1, b"gen_ai.client.token.usage", &mut metric);
    bytes(2, b"tokens of", &mut metric);
    bytes(7, b"\x0a\x02\x21\x00", &mut metric);
    let [mut scope, mut resource, mut batch] = [const { Vec::new() }; 3];
    bytes(2, &metric, &mut scope);
    bytes(2, &scope, &mut resource);
    bytes(1, &resource, &mut batch);
    assert_eq!(read(&batch, &[]).unwrap(), [""; 0]);
}

#[test]
fn a_batch_cut_short_or_with_a_wrong_value_is_refused_at_its_byte() {
    let event = &fixtures(Format::OtelGenAi).into_iter().find(|(name, _)| name == "deprecated-names").unwrap().1;
    let whole = protobuf(event);
    let protobuf_header: [(&str, &[u8]); 1] = [("content-type", b"application/x-protobuf")];
    for length in 1..whole.len() {
        let error = read(&whole[..length], &protobuf_header).unwrap_err();
        assert_eq!(error.code(), "DECODE-012", "{length}: {error}");
    }
    let many = event.replace(r#""intValue": "50""#, r#""stringValue": "many""#);
    assert_ne!(&many, event);
    let bytes = protobuf(&many);
    let error = read(&bytes, &[]).unwrap_err();
    let DecodeError::BadValue { place, .. } = &error else { panic!("{error}") };
    assert_eq!(place.path, "$.gen_ai.usage.prompt_tokens");
    assert_eq!(&bytes[place.offset..place.offset + 6], b"\x0a\x04many");
    assert!(read(b"", &protobuf_header).unwrap().is_empty());
}

#[test]
fn values_that_nest_without_end_are_refused() {
    let mut value = Vec::new();
    for _ in 0..100 {
        let (mut list, mut outer) = (Vec::new(), Vec::new());
        bytes(1, &value, &mut list);
        bytes(5, &list, &mut outer);
        value = outer;
    }
    let mut messages = Vec::new();
    bytes(1, b"gen_ai.input.messages", &mut messages);
    bytes(2, &value, &mut messages);
    let mut span = Vec::new();
    fixed(7, &json!("1795170000000000000"), &mut span);
    bytes(9, &messages, &mut span);
    let [mut scope, mut resource, mut batch] = [const { Vec::new() }; 3];
    bytes(2, &span, &mut scope);
    bytes(2, &scope, &mut resource);
    bytes(1, &resource, &mut batch);
    assert_eq!(read(&batch, &[]).unwrap_err().code(), "DECODE-004");
}
