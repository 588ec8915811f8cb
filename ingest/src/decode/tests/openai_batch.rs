use super::*;

/// A line that answers with `body`.
fn line(status: u16, body: &str) -> String {
    format!(
        r#"{{"id":"batch_req_1","custom_id":"row-1","response":{{"status_code":{status},"request_id":"r-1","body":{body}}},"error":null}}"#
    )
}

#[test]
fn every_endpoint_of_a_batch_is_read_as_its_own() {
    let usage = r#""usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4}}"#;
    let chat = format!(
        r#"{{"id":"c","object":"chat.completion","model":"gpt-5.4-2026-03-05","choices":[{{"index":0,"finish_reason":"stop","message":{{"content":"x"}}}}],{usage}}}"#
    );
    let response = r#"{"id":"r","object":"response","status":"completed","model":"gpt-5.4","output":[],"usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10,"output_tokens_details":{"reasoning_tokens":2}}}"#;
    let vectors = r#"{"object":"list","data":[{"embedding":[0.1]}],"model":"text-embedding-3-large","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
    let legacy = r#"{"id":"t","object":"text_completion","model":"gpt-3.5-turbo-instruct","choices":[{"text":"y","finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}"#;
    let picture = r#"{"created":1795170000,"data":[{"b64_json":"AA=="}],"usage":{"input_tokens":6,"output_tokens":50,"total_tokens":56}}"#;
    let moderation =
        r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false,"categories":{}}]}"#;
    for (body, operation, expected, id) in [
        (chat.as_str(), Some(Operation::Chat), [Some(9), Some(4), Some(2), None], "c"),
        (response, Some(Operation::Responses), [Some(7), None, Some(3), Some(2)], "r"),
        (vectors, Some(Operation::Embeddings), [Some(5), None, Some(0), None], "batch_req_1"),
        (legacy, Some(Operation::Chat), [Some(4), None, Some(1), None], "t"),
        (picture, Some(Operation::Image), [Some(6), None, Some(50), None], "batch_req_1"),
        (moderation, None, [None; 4], "modr-1"),
    ] {
        let entry = entry(&line(200, body));
        assert_eq!((entry.operation, counts(&entry), entry.status), (operation, expected, Status::Success), "{body}");
        assert_eq!((entry.event_id.as_deref(), entry.http_status), (Some(id), Some(200)));
        assert_eq!(entry.tags, [("custom_id".into(), "row-1".into())]);
        assert!(entry.features.contains(Feature::Batch) && entry.provider.as_deref() == Some("openai"));
    }
}

#[test]
fn lines_that_failed_say_why() {
    let code = |event: &str| {
        let entry = entry(event);
        assert!(entry.usage_source == UsageSource::Absent && entry.features.contains(Feature::Batch));
        (entry.status, entry.http_status, entry.error_type.map(|word| word.to_string()))
    };
    let expired =
        r#"{"id":"batch_req_2","custom_id":"row-2","response":null,"error":{"code":"batch_expired","message":"m"}}"#;
    assert_eq!(code(expired), (Status::Error, None, Some("batch_expired".into())));
    let refused =
        line(400, r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#);
    assert_eq!(code(&refused), (Status::Error, Some(400), Some("context_length_exceeded".into())));
    let filtered =
        line(400, r#"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#);
    assert_eq!(code(&filtered), (Status::Filtered, Some(400), Some("content_filter".into())));
    assert_eq!(code(&line(500, "null")), (Status::Error, Some(500), Some("500".into())));
    assert_eq!(code(r#"{"id":"b","custom_id":"row-3","response":null,"error":null}"#).0, Status::Error);
}

#[test]
fn the_vendor_of_a_line_is_told_by_its_body() {
    let provider = |body: &str| entry(&line(200, body)).provider.unwrap().to_string();
    let chat = r#"{"id":"c","object":"chat.completion","model":"M","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}X}"#;
    let of = |model: &str, more: &str| provider(&chat.replace('M', model).replace('X', more));
    assert_eq!(of("gpt-5.4", r#","prompt_filter_results":[]"#), "azure");
    assert_eq!(of("llama-4", r#","x_groq":{"id":"r"}"#), "groq");
    assert_eq!(of("mistral-small-2603", ""), "mistral");
    assert_eq!(of("grok-4.5", ""), "xai");
    assert_eq!(of("gpt-5.4", ""), "openai");
}

#[test]
fn neither_a_batch_nor_a_line_of_its_input_is_a_call() {
    for event in [
        r#"{"id":"batch_1","object":"batch","status":"completed","usage":{"input_tokens":90,"output_tokens":9,"total_tokens":99}}"#,
        r#"{"custom_id":"row-1","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-5.4"}}"#,
    ] {
        assert_eq!(entries(event).unwrap().len(), 0, "{event}");
    }
}

#[test]
fn a_message_of_claude_alone_in_a_line_was_answered_by_vertex() {
    let line = |message: &str, status: &str| {
        format!(
            r#"{{"custom_id":"request-1","request":{{"model":"claude-sonnet-5","messages":[{{"role":"user","content":"hi"}}]}},
            "response":{message},"status":"{status}"}}"#
        )
    };
    let answered = entry(&line(
        r#"{"id":"msg_vrtx_1","type":"message","model":"claude-sonnet-5","content":[{"type":"text","text":"yes"}],
        "stop_reason":"end_turn","usage":{"input_tokens":900,"output_tokens":80}}"#,
        "",
    ));
    assert_eq!((answered.event_id.as_deref(), answered.provider.as_deref()), (Some("msg_vrtx_1"), Some("vertex_ai")));
    assert_eq!((answered.status, counts(&answered)), (Status::Success, [Some(900), None, Some(80), None]));
    assert_eq!((features(&answered), said(&answered).1.as_deref()), (vec!["batch"], Some("yes")));
    assert_eq!(answered.tags, [("custom_id".into(), "request-1".into())]);
}
