use super::*;

fn capture(path: &str, request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"mistral.api","endpoint":"https://api.mistral.ai/v1/{path}","started_at":"2026-11-20T09:00:00Z",
        "duration_ms":900,"http_status":200}},"request":{request},{answer}}}"#
    )
}

pub(super) const CONVERSATION: &str = r#"{"object":"conversation.response","conversation_id":"conv_1","outputs":[
    {"type":"tool.execution","id":"exec_1","name":"web_search"},{"type":"message.output","id":"msg_1","model":"mistral-medium-2508","role":"assistant",
    "content":[{"type":"text","text":"Berne"},{"type":"tool_reference","tool":"web_search","title":"t"}]}],"usage":{"prompt_tokens":190,
    "completion_tokens":40,"total_tokens":1230,"connector_tokens":1000,"connectors":{"web_search":2,"code_interpreter":1},"audit_tokens":4}}"#;

#[test]
fn connectors_of_a_conversation_are_input_and_are_counted() {
    let captured =
        capture("conversations", r#"{"agent_id":"ag_1","inputs":"Where?"}"#, &format!("\"response\":{CONVERSATION}"));
    for event in [CONVERSATION, &captured] {
        let entry = entry(event);
        assert_eq!((counts(&entry), check(&entry)), ([Some(1_190), None, Some(40), None], None));
        assert_eq!((entry.provider.as_deref(), entry.model()), (Some("mistral"), Some("mistral-medium-2508")));
        assert_eq!((entry.status, entry.session_id.as_deref()), (Status::Success, Some("conv_1")));
        assert_eq!(entry.event_id.as_deref(), Some("msg_1"), "the next answer has the same conversation");
        assert_eq!(
            ["web_search_requests", "code_interpreter_calls", "input_tool_use_tokens"]
                .map(|name| meter(&entry, name).unwrap()),
            ["2", "1", "1000"]
        );
        assert!(extra(&entry).contains(r#""usage.audit_tokens":4"#) && said(&entry).1.as_deref() == Some("Berne"));
        let leans = features(&entry);
        assert!(
            ["web_search", "code_execution", "hosted_state", "citations"].iter().all(|feature| leans.contains(feature)),
            "{leans:?}"
        );
    }
    let inside = entry(&CONVERSATION.replace("190,", "1190,"));
    assert_eq!((counts(&inside), check(&inside)), ([Some(1_190), None, Some(40), None], None));
}

#[test]
fn a_streamed_conversation_ends_with_its_counts_or_its_error() {
    let read = |last: &str| {
        entry(&capture(
            "conversations/conv_2#stream",
            r#"{"inputs":"x","stream":true}"#,
            &format!(
                r#""stream":[{{"type":"conversation.response.started","conversation_id":"conv_2"}},
            {{"type":"message.output.delta","id":"msg_2","output_index":0,"model":"mistral-small-2603","content":"a"}},
            {{"type":"message.output.delta","output_index":0,"content":{{"type":"text","text":"b"}}}},{last}]"#
            ),
        ))
    };
    let done = read(
        r#"{"type":"conversation.response.done","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
    );
    assert_eq!((done.status, counts(&done)), (Status::Success, [Some(5), None, Some(2), None]));
    assert_eq!((done.event_id.as_deref(), done.session_id.as_deref()), (Some("msg_2"), Some("conv_2")));
    assert_eq!(
        (done.streamed, said(&done).1.as_deref(), done.model()),
        (Some(true), Some("ab"), Some("mistral-small-2603"))
    );
    let failed = read(r#"{"type":"conversation.response.error","message":"m","code":500}"#);
    assert_eq!((failed.status, failed.usage_source), (Status::Error, UsageSource::Absent));
}

#[test]
fn ocr_is_counted_in_pages() {
    let answer = r#"{"pages":[{"index":0,"markdown":"one"},{"index":1,"markdown":"two"}],"model":"mistral-ocr-2512","document_annotation":"secret",
        "usage_info":{"pages_processed":2,"doc_size_bytes":5120}}"#;
    let captured = capture("ocr", r#"{"model":"mistral-ocr-latest"}"#, &format!("\"response\":{answer}"));
    for event in [answer, &captured] {
        let entry = entry(event);
        assert_eq!((entry.operation, entry.status), (Some(Operation::Ocr), Status::Success));
        assert_eq!((meter(&entry, "pages").as_deref(), entry.usage_source), (Some("2"), UsageSource::Provider));
        assert_eq!((entry.provider.as_deref(), entry.model()), (Some("mistral"), Some("mistral-ocr-2512")));
        assert!(
            entry.tokens.is_absent()
                && extra(&entry).contains(r#""doc_size_bytes":5120"#)
                && !extra(&entry).contains("secret")
        );
        assert_eq!(features(&entry), ["document_input"]);
    }
}

#[test]
fn thinking_is_said_but_not_counted_and_sound_is_in_seconds() {
    let answer = r#"{"id":"m","object":"chat.completion","model":"magistral-medium-2509","choices":[{"index":0,"finish_reason":"model_length",
        "message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"yes"}]}}],
        "usage":{"prompt_tokens":64,"completion_tokens":9,"total_tokens":73,"prompt_audio_seconds":12,"prompt_tokens_details":{"cached_tokens":16,"audio_tokens":40}}}"#;
    let captured =
        capture("chat/completions", r#"{"model":"magistral-medium-latest"}"#, &format!("\"response\":{answer}"));
    for event in [answer, &captured] {
        let entry = entry(event);
        assert_eq!((counts(&entry), entry.tokens.input_audio), ([Some(64), Some(16), Some(9), None], Some(40)));
        assert_eq!(
            (entry.provider.as_deref(), meter(&entry, "audio_seconds").as_deref()),
            (Some("mistral"), Some("12"))
        );
        assert_eq!((said(&entry).1.as_deref(), entry.finish_reason.as_deref()), (Some("yes"), Some("model_length")));
        assert_eq!((entry.status, features(&entry)), (Status::Success, vec!["audio_input"]));
    }
    let null = entry(&answer.replace("\"prompt_audio_seconds\":12", "\"prompt_audio_seconds\":null"));
    assert_eq!((meter(&null, "audio_seconds"), null.provider.as_deref()), (None, Some("mistral")));
}

#[test]
fn the_last_chunk_has_both_choice_and_usage_and_errors_are_flat() {
    let stream = r#""stream":[{"id":"m","model":"mistral-small-2603","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]},
        {"id":"m","model":"mistral-small-2603","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"num_cached_tokens":4}}]"#;
    let streamed = entry(&capture("chat/completions", r#"{"stream":true}"#, stream));
    assert_eq!((streamed.status, counts(&streamed)), (Status::Success, [Some(5), Some(4), Some(1), None]));
    let flat =
        r#""response":{"object":"error","message":"Rate limit","type":"rate_limited","param":null,"code":"1300"}"#;
    let failed = entry(&capture("chat/completions", "{}", flat).replace(":200", ":429"));
    assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some("rate_limited")));
}
