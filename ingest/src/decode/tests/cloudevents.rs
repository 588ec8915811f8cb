use super::*;

const CALL: &str = r#"{"capture":{"api":"openai.chat.completions","http_status":200},
    "request":{"model":"gpt-4o-mini","messages":[{"role":"user","content":"kde?"}]},
    "response":{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini",
    "choices":[{"message":{"role":"assistant","content":"tady"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}}"#;

const BINARY: [(&str, &str); 7] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "ce-1"),
    ("ce_source", "/gateways/eu-1"),
    ("ce_type", "com.example.llm.call.v1"),
    ("ce_time", "2026-11-20T02:00:01Z"),
    ("ce_traceparent", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"),
    ("content-type", "application/json"),
];

fn message(headers: &[(&'static str, &'static str)], value: &[u8]) -> Result<Vec<Entry<'static>>, DecodeError> {
    let value: &'static [u8] = value.to_vec().leak();
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect::<Vec<_>>();
    let event = Event { value, headers: headers.leak(), timestamp: None };
    let mut entries = Vec::new();
    let format = decode(&event, None, &BODIES, &mut |entry| entries.push(entry))?;
    assert_eq!(format, Format::CloudEvents);
    Ok(entries)
}

fn one(headers: &[(&'static str, &'static str)], value: &str) -> Entry<'static> {
    let mut entries = message(headers, value.as_bytes()).unwrap();
    assert_eq!(entries.len(), 1);
    entries.pop().unwrap()
}

fn structured(data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"ce-1","source":"/gateways/eu-1","type":"com.example.llm.call.v1",
        "time":"2026-11-20T02:00:01Z","subject":"team/claims","partitionkey":"k","traceparent":null,{data}}}"#
    )
}

const STRUCTURED: [(&str, &str); 1] = [("Content-Type", "Application/CloudEvents+JSON; charset=utf-8")];

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    BINARY.into_iter().filter(|(key, _)| *key != name).collect()
}

#[test]
fn structured_and_binary_mode_are_one_event() {
    let binary = one(&BINARY, CALL);
    let text = structured(&format!("\"data\":{CALL}"));
    let structured_entry = one(&STRUCTURED, &text);
    let as_text = structured(&format!("\"data\":{}", serde_json::Value::from(CALL)));
    let packed = structured(&format!("\"data_base64\":\"{}\"", base64::encode(CALL.as_bytes())));
    for entry in [&binary, &structured_entry, &one(&STRUCTURED, &as_text), &one(&STRUCTURED, &packed), &entry(&text)] {
        assert_eq!(entry.id(), binary.id());
        assert_eq!((entry.source.as_ref(), entry.event_id.as_deref()), ("/gateways/eu-1", Some("chatcmpl-1")));
        assert_eq!((entry.tokens.input, entry.tokens.output), (Some(9), Some(2)));
        assert_eq!(entry.started_at, daybook_ledger::Instant::parse("2026-11-20T02:00:01Z"));
        assert_eq!(said(entry), (Some("kde?".into()), Some("tady".into())));
    }
    assert_eq!(binary.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(structured_entry.trace_id, None);
    assert_eq!(structured_entry.raw, text.as_bytes());
    assert_eq!(
        structured_entry.extra.as_deref(),
        Some(
            r#"{"cloudevents":{"id":"ce-1","type":"com.example.llm.call.v1","subject":"team/claims","partitionkey":"k"}}"#
        )
    );
}

#[test]
fn source_and_id_are_the_identity_and_the_response_id_is_not() {
    let id = |source: &'static str, id: &'static str| {
        let headers = BINARY.map(|(name, value)| match name {
            "ce_id" => (name, id),
            "ce_source" => (name, source),
            _ => (name, value),
        });
        one(&headers, CALL).id()
    };
    assert_eq!(id("/a", "1"), id("/a", "1"));
    assert_ne!(id("/a", "1"), id("/a", "2"));
    assert_ne!(id("/a", "1"), id("/b", "1"));
}

#[test]
fn what_every_event_has_must_be_there() {
    for name in ["ce_id", "ce_source", "ce_type"] {
        let error = message(&without(name), CALL.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "DECODE-009", "{name}");
        assert!(error.to_string().contains(&name.replace("ce_", "`")), "{error}");
    }
    let data = structured("\"data\":{}");
    for (from, to) in [("\"id\":\"ce-1\"", "\"id\":null"), ("\"source\"", "\"origin\""), ("\"type\"", "\"kind\"")] {
        assert_eq!(message(&STRUCTURED, data.replace(from, to).as_bytes()).unwrap_err().code(), "DECODE-009", "{to}");
    }
    let code = |event: String| message(&STRUCTURED, event.as_bytes()).unwrap_err().code();
    assert_eq!(code(data.replace("\"specversion\"", "\"version\"")), "DECODE-009");
    assert_eq!(code(data.replace("\"1.0\"", "\"0.3\"")), "DECODE-010");
    assert_eq!(code(structured("\"dat\":{}")), "DECODE-009");
    assert_eq!(code(structured("\"data\":null")), "DECODE-009");
    assert_eq!(code(structured(&format!("\"data\":{CALL},\"data_base64\":\"e30=\""))), "DECODE-010");
    assert_eq!(code(structured("\"data_base64\":\"e30\u{e9}\"")), "DECODE-010");
    assert_eq!(code(structured(&format!("\"data\":{CALL}")).replace("02:00:01Z", "02:00:01")), "DECODE-010");
    assert_eq!(code(structured("\"data\":{\"hello\":1}")), "DECODE-006");
    assert_eq!(message(&BINARY, b"").unwrap_err().code(), "DECODE-001");
}

#[test]
fn an_error_inside_has_its_place_in_the_whole() {
    let event = structured(&format!("\n\"data\":{}", CALL.replace(":9,", ":\"many\",")));
    let error = message(&STRUCTURED, event.as_bytes()).unwrap_err();
    let DecodeError::BadValue { place, .. } = &error else { panic!("{error}") };
    assert_eq!(place.path, "$.data.response.usage.prompt_tokens");
    assert_eq!(event.get(place.offset - 5..=place.offset), Some("\"many\""));
    let line = event.lines().nth(place.line - 1).unwrap();
    assert_eq!(line.get(place.column - 6..place.column), Some("\"many\""));
}

#[test]
fn the_format_inside_is_stated_or_recognised() {
    let bare = r#"{"id":"r","object":"chat.completion","model":"m","usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    let typed = |name: &'static str| {
        let headers = BINARY.map(|(key, value)| if key == "ce_type" { (key, name) } else { (key, value) });
        one(&headers, bare).tokens.input
    };
    // A word of the type that is the name of another format is no more than a hint.
    assert_eq!(typed("com.example.openai-chat.v1"), Some(3));
    assert_eq!(typed("com.example.anthropic.v1"), Some(3));
    let stated = [&BINARY[..], &[("daybook-format", "anthropic")]].concat();
    assert_eq!(message(&stated, bare.as_bytes()).unwrap_err().code(), "DECODE-009");
    let media =
        [&without("content-type")[..], &[("content-type", "application/vnd.daybook.openai-chat+json")]].concat();
    assert_eq!(one(&media, bare).tokens.input, Some(3));
}

#[test]
fn a_batch_of_spans_inside_has_an_identity_each() {
    let (_, spans) = fixtures(Format::OtelGenAi).into_iter().find(|(name, _)| name.starts_with("agent-span")).unwrap();
    let binary = [&without("content-type")[..], &[("content-type", "application/x-protobuf")]].concat();
    let packed = otel_proto::protobuf(&spans);
    let from_protobuf = message(&binary, &packed).unwrap();
    let from_json = message(&STRUCTURED, structured(&format!("\"data\":{spans}")).as_bytes()).unwrap();
    let base64 = structured(&format!("\"data_base64\":\"{}\"", base64::encode(&packed)));
    let from_base64 = message(&STRUCTURED, base64.as_bytes()).unwrap();
    let ids = |entries: &[Entry<'_>]| entries.iter().map(|entry| (entry.id(), entry.tokens)).collect::<Vec<_>>();
    assert_eq!(from_protobuf.len(), 2);
    assert_ne!(from_protobuf[0].id(), from_protobuf[1].id());
    assert_eq!(ids(&from_protobuf), ids(&from_json));
    assert_eq!(ids(&from_protobuf), ids(&from_base64));
    assert_eq!(from_base64[0].trace_id.as_deref(), Some("7c1d0e5f9a2b4c3d8e6f0a1b2c3d4e5f"));
}

#[test]
fn a_batch_of_events_is_read_one_by_one() {
    let other = structured(&format!("\"data\":{CALL}")).replace("ce-1", "ce-2");
    let batch = format!("[{},\n{other}]", structured(&format!("\"data\":{CALL}")));
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let entries = message(&headers, batch.as_bytes()).unwrap();
    assert_eq!(entries.len(), 2);
    assert_ne!(entries[0].id(), entries[1].id());
    let broken = batch.replace("\"ce-2\"", "null");
    assert_eq!(message(&headers, broken.as_bytes()).unwrap_err().code(), "DECODE-009");
    assert!(message(&headers, b"[]").unwrap().is_empty());
    assert_eq!(message(&headers, b"{}").unwrap_err().code(), "DECODE-010");
}

#[test]
fn an_envelope_in_an_envelope_is_refused() {
    let inner = structured(&format!("\"data\":{CALL}"));
    let nested = structured(&format!("\"data\":{inner}"));
    assert_eq!(message(&STRUCTURED, nested.as_bytes()).unwrap_err().code(), "DECODE-006");
    let packed = structured(&format!("\"data_base64\":\"{}\"", base64::encode(inner.as_bytes())));
    assert_eq!(message(&STRUCTURED, packed.as_bytes()).unwrap_err().code(), "DECODE-006");
}

#[test]
fn a_whole_record_is_its_headers_and_its_value() {
    let record = |headers: &str, value: &str| format!(r#"{{"kafka_record":{{"headers":{headers},"value":{value}}}}}"#);
    assert_eq!(entry(&record("{}", CALL)).tokens.input, Some(9));
    assert_eq!(entry(&record("null", &structured(&format!("\"data\":{CALL}")))).source, "/gateways/eu-1");
    let text = serde_json::Value::from(CALL).to_string();
    assert_eq!(entry(&record("{}", &text)).tokens.input, Some(9));
    let binary = r#"{"ce_specversion":"1.0","ce_id":"1","ce_source":"/s","ce_type":"t"}"#;
    assert_eq!(entry(&record(binary, &text)).id(), entry(&record(binary, CALL)).id());
    // A tombstone says nothing, a value that is not there at all is a broken record.
    assert!(entries(&record(binary, "null")).unwrap().is_empty());
    assert_eq!(entries(r#"{"kafka_record":{"headers":{}}}"#).unwrap_err().code(), "DECODE-009");
    assert_eq!(entries(r#"{"kafka_record":[]}"#).unwrap_err().code(), "DECODE-010");
}
