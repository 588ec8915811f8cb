//! Bytes that are no event, and events that are almost one.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn try_all(value: &[u8]) {
    for format in Format::ALL.iter().copied().map(Some).chain([None]) {
        let mut sunk = 0;
        let result = decode(&Event::of(value), format, &BODIES, &mut |entry| {
            sunk += 1;
            // Whatever was read, its text can be read too.
            drop(said(&entry));
            std::hint::black_box(entry.id());
        });
        if let Err(error) = result {
            assert_eq!(sunk, 0, "{error}");
            assert!(!error.to_string().is_empty() && !error.hint().is_empty());
        }
    }
}

fn code(value: &[u8]) -> &'static str {
    decode(&Event::of(value), None, &BODIES, &mut |_| {}).unwrap_err().code()
}

#[test]
fn garbage_is_refused_with_a_code_of_its_own() {
    assert_eq!(code(b""), "DECODE-001");
    assert_eq!(code(b" \n"), "DECODE-001");
    assert_eq!(code(b"\x00\xff\xfegarbage"), "DECODE-002");
    assert_eq!(code(b"hello"), "DECODE-003");
    assert_eq!(code(b"{\"id\":\"l1\",\"call_type\":"), "DECODE-003");
    assert_eq!(code("[".repeat(10_000).as_bytes()), "DECODE-004");
    assert_eq!(code(format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).as_bytes()), "DECODE-004");
    assert_eq!(code(b"[]"), "DECODE-005");
    assert_eq!(code(b"12"), "DECODE-005");
    assert_eq!(code(b"{}"), "DECODE-006");
    assert_eq!(code(b"{\"id\":42,\"prompt_tokens\":\"many\"}"), "DECODE-006");
    assert_eq!(code(b"{\"capture\":{\"api\":\"acme.llm\"},\"request\":{}}"), "DECODE-008");
}

#[test]
fn every_format_is_fuzzed() {
    let families = include_str!("../../../../tests/fuzz/src/event.rs");
    let missing = Format::ALL.iter().filter(|format| !families.contains(&format!("\"{format}\"")));
    assert_eq!(missing.collect::<Vec<_>>(), [&Format::Gemini; 0]);
}

#[test]
fn what_follows_the_event_is_an_error() {
    for format in Format::ALL.iter().copied() {
        for (name, event) in fixtures(format).iter().filter(|(name, _)| name != "expected") {
            let code = code(format!("{event} {{}}").as_bytes());
            assert_eq!(code, "DECODE-003", "{format}/{name}");
        }
    }
}

#[test]
fn an_event_of_another_format_is_named_as_what_it_is() {
    for stated in Format::ALL.iter().copied() {
        for real in Format::ALL.iter().copied().filter(|real| *real != stated) {
            let captured = |format: Format| !format.is_gateway_log() && format != Format::OtelGenAi;
            // Captures share their envelope: which API it is of is the setting's word, if there is one.
            if captured(stated) && captured(real) {
                continue;
            }
            let (name, event) = fixtures(real).into_iter().find(|(name, _)| name != "expected").unwrap();
            let error = decode(&Event::of(event.as_bytes()), Some(stated), &BODIES, &mut |_| {}).unwrap_err();
            let DecodeError::WrongFormat { format, looks_like, .. } = error else { panic!("{name}: {error}") };
            assert_eq!((format, looks_like), (stated, Some(real)), "{name}");
        }
    }
}

#[test]
fn deep_nesting_anywhere_is_refused_or_stays_text() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let event = r#"{"capture":{"api":"openai.chat.completions"},"request":{"messages":DEEP},"response":{}}"#;
    assert_eq!(code(event.replace("DEEP", &deep).as_bytes()), "DECODE-004");
    let event = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[
        {"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
        {"key":"gen_ai.input.messages","value":{"stringValue":"DEEP"}}]}]}]}]}"#;
    let entry = entry(&event.replace("DEEP", &deep));
    assert_eq!(said(&entry).0.as_deref(), Some(deep.as_str()));
}

#[test]
fn a_huge_text_is_read_whole() {
    let huge = "x".repeat(5_000_000);
    let event = r#"{"capture":{"api":"openai.chat.completions","http_status":200},
        "request":{"messages":[{"role":"user","content":"HUGE"}]},"response":{"choices":[{"message":{"content":"HUGE"}}]}}"#;
    let entry = entry(&event.replace("HUGE", &huge));
    assert_eq!(said(&entry), (Some(huge.clone()), Some(huge)));
}

#[test]
fn a_failing_span_keeps_the_whole_batch_from_the_sink() {
    let event = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]},
        {"attributes":[{"key":"gen_ai.usage.input_tokens","value":{"stringValue":"many"}}]}]}]}]}"#;
    let mut sunk = 0;
    let error = decode(&Event::of(event.as_bytes()), None, &BODIES, &mut |_| sunk += 1).unwrap_err();
    assert_eq!((error.code(), sunk), ("DECODE-010", 0));
}

#[test]
fn headers_state_the_format_and_a_wrong_name_offers_the_nearest() {
    let (_, event) = fixtures(Format::LiteLlm).swap_remove(0);
    let with = |name, value: &'static str| {
        let headers = [(name, value.as_bytes())];
        let event = Event { value: event.as_bytes(), headers: &headers, timestamp: None };
        decode(&event, None, &BODIES, &mut |_| {}).map_err(|error| (error.to_string(), error.hint()))
    };
    assert_eq!(with("Daybook-Format", "litellm-standard"), Ok(Format::LiteLlm));
    assert_eq!(with("content-type", "application/vnd.daybook.litellm-standard+json; v=1"), Ok(Format::LiteLlm));
    assert_eq!(with("content-type", "application/json"), Ok(Format::LiteLlm));
    let (error, hint) = with("daybook-format", "litelm").unwrap_err();
    assert_eq!(error, "unknown format `litelm`");
    assert!(hint.starts_with("did you mean `litellm-standard`?"), "{hint}");
    let (error, hint) = with("daybook-format", "csv").unwrap_err();
    assert_eq!(error, "unknown format `csv`");
    assert!(hint.starts_with("known formats are openai-chat, "), "{hint}");
}

#[test]
fn a_key_given_twice_is_refused_with_its_path() {
    let event =
        r#"{"capture":{"api":"openai.chat.completions"},"response":{"usage":{"prompt_tokens":1,"prompt_tokens":2}}}"#;
    let error = entries(event).unwrap_err();
    assert_eq!(error.code(), "DECODE-011");
    assert!(error.to_string().starts_with("key repeated at $.response.usage.prompt_tokens (line 1, "), "{error}");
}

/// Every event of the fixtures, read once.
static EVENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let cases = Format::ALL.iter().flat_map(|format| fixtures(*format));
    cases.filter(|(name, _)| name != "expected").map(|(_, event)| event).collect()
});

/// The batches among them, in protobuf.
static BATCHES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cases = fixtures(Format::OtelGenAi).into_iter().filter(|(name, _)| name != "expected");
    cases.map(|(_, event)| otel_proto::protobuf(&event)).collect()
});

/// Decodes `value` as protobuf, bare and in an envelope.
fn try_protobuf(value: &[u8]) {
    let plain: [(&str, &[u8]); 1] = [("content-type", b"application/x-protobuf")];
    let envelope: [(&str, &[u8]); 5] =
        [plain[0], ("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"t")];
    for headers in [&plain[..], &envelope] {
        let event = Event { value, headers, timestamp: None };
        drop(decode(&event, None, &BODIES, &mut |entry| drop(said(&entry))));
    }
}

/// Values a field may wrongly have.
const ODD: [&str; 9] = ["null", "true", "-1", "1e400", "12.5", "\"text\"", "[]", "{}", "[{\"a\":[null]}]"];

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        try_all(&value);
    }

    #[test]
    fn truncated_events_never_panic(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let event = pick.get(&EVENTS).as_bytes();
        try_all(&event[..at.index(event.len())]);
    }

    #[test]
    fn events_with_changed_bytes_never_panic(
        pick in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut event = pick.get(&EVENTS).clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(event.len());
            event[at] = byte;
        }
        try_all(&event);
    }

    #[test]
    fn batches_in_protobuf_with_changed_bytes_never_panic(
        pick in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        garbage in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut batch = pick.get(&BATCHES).clone();
        for (at, byte) in changes {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        try_protobuf(&batch);
        try_protobuf(&garbage);
    }

    #[test]
    fn events_with_odd_values_never_panic(
        pick in any::<prop::sample::Index>(),
        line in any::<prop::sample::Index>(),
        odd in any::<prop::sample::Index>(),
    ) {
        let mut lines = pick.get(&EVENTS).lines().map(str::to_owned).collect::<Vec<_>>();
        let line = line.get(&(0..lines.len()).collect::<Vec<_>>()).to_owned();
        if let Some((key, value)) = lines[line].clone().split_once(": ") {
            let comma = if value.ends_with(',') { "," } else { "" };
            lines[line] = format!("{key}: {}{comma}", odd.get(&ODD));
        }
        try_all(lines.join("\n").as_bytes());
    }
}
