use super::*;

fn capture(path: &str, request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"cohere.api","endpoint":"https://api.cohere.com/{path}","started_at":"2026-11-20T09:00:00Z",
        "duration_ms":300,"http_status":200}},"request":{request},{answer}}}"#
    )
}

#[test]
fn a_stream_ends_with_both_of_its_counts() {
    let stream = r#""stream":[{"type":"message-start","id":"s1","delta":{"message":{"role":"assistant"}}},
        {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hal"}}}},{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"lo"}}}},
        {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"t","type":"function","function":{"name":"f","arguments":""}}}}},
        {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{}"}}}}},
        {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":5.0,"output_tokens":2.5},
        "tokens":{"input_tokens":71.0,"output_tokens":3.0,"hidden_tokens":66.0},"cached_tokens":64.0,"new_units":1}}}]"#;
    let entry = entry(&capture("v2/chat", r#"{"model":"command-a-03-2025","stream":true}"#, stream));
    assert_eq!((entry.status, counts(&entry)), (Status::Success, [Some(71), Some(64), Some(3), None]));
    assert_eq!(
        (meter(&entry, "billed_input_tokens").as_deref(), meter(&entry, "billed_output_tokens").as_deref()),
        (Some("5"), Some("2.5"))
    );
    assert_eq!(
        (entry.event_id.as_deref(), entry.model(), entry.streamed),
        (Some("s1"), Some("command-a-03-2025"), Some(true))
    );
    assert_eq!((said(&entry).1.as_deref(), entry.finish_reason.as_deref()), (Some("Hallo"), Some("COMPLETE")));
    assert_eq!(extra(&entry), r#"{"usage.new_units":1,"usage.tokens.hidden_tokens":66.0}"#);
    assert_eq!(features(&entry), ["tool_calling"]);
}

#[test]
fn a_stream_without_its_end_is_incomplete_and_one_that_failed_an_error() {
    let read =
        |events: &str| entry(&capture("v2/chat", r#"{"model":"c","stream":true}"#, &format!("\"stream\":[{events}]")));
    let cut = read(
        r#"{"type":"message-start","id":"s1"},{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}"#,
    );
    assert_eq!((cut.status, cut.usage_source), (Status::Incomplete, UsageSource::Absent));
    let failed = read(
        r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"boom","usage":{"tokens":{"input_tokens":4.0,"output_tokens":0.0}}}}"#,
    );
    assert_eq!((failed.status, counts(&failed)), (Status::Error, [Some(4), None, Some(0), None]));
}

#[test]
fn version_1_says_the_same_in_other_words() {
    let answer = r#"{"response_id":"r1","generation_id":"g1","text":"Hi","finish_reason":"MAX_TOKENS","chat_history":[],
        "meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":4.0,"output_tokens":1.0},"tokens":{"input_tokens":70.0,"output_tokens":1.0}}}"#;
    let whole = capture("v1/chat", r#"{"model":"command-r","message":"Hello"}"#, &format!("\"response\":{answer}"));
    let stream = capture(
        "v1/chat",
        r#"{"model":"command-r","message":"Hello","stream":true}"#,
        &format!(
            r#""stream":[{{"event_type":"stream-start","generation_id":"g1"}},{{"event_type":"text-generation","text":"Hi"}},
            {{"event_type":"stream-end","finish_reason":"MAX_TOKENS","response":{answer}}}]"#
        ),
    );
    for (event, prompt) in [(answer, None), (&whole, Some("Hello")), (&stream, Some("Hello"))] {
        let entry = entry(event);
        assert_eq!((counts(&entry), entry.event_id.as_deref()), ([Some(70), None, Some(1), None], Some("r1")));
        assert_eq!((said(&entry).0.as_deref(), said(&entry).1.as_deref()), (prompt, Some("Hi")));
        assert_eq!((entry.provider.as_deref(), entry.status), (Some("cohere"), Status::Success));
        assert_eq!(meter(&entry, "billed_input_tokens").as_deref(), Some("4"));
        assert_eq!(entry.operation, Some(Operation::Chat));
    }
}

#[test]
fn what_is_no_conversation_is_told_by_its_answer() {
    let embed = entry(
        r#"{"id":"e","embeddings":{"float":[[0.1]]},"texts":["a"],"response_type":"embeddings_by_type",
            "meta":{"billed_units":{"input_tokens":6.0,"images":1.0,"image_tokens":200.0}}}"#,
    );
    assert_eq!((embed.operation, counts(&embed)), (Some(Operation::Embeddings), [Some(206), None, Some(0), None]));
    assert_eq!(
        (embed.tokens.input_image, meter(&embed, "input_images").as_deref(), check(&embed)),
        (Some(200), Some("1"), None)
    );
    let rerank = entry(
        r#"{"id":"k","results":[{"index":0,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1.0}}}"#,
    );
    assert_eq!((rerank.operation, meter(&rerank, "search_units").as_deref()), (Some(Operation::Rerank), Some("1")));
    assert_eq!((rerank.tokens.is_absent(), rerank.usage_source), (true, UsageSource::Provider));
    let classes = entry(
        r#"{"id":"l","classifications":[{"prediction":"spam"}],"meta":{"billed_units":{"classifications":3.0}}}"#,
    );
    assert_eq!((classes.operation, meter(&classes, "classifications").as_deref()), (None, Some("3")));
}

#[test]
fn an_error_is_a_sentence_with_an_id() {
    let event = capture("v2/chat", r#"{"model":"c"}"#, r#""response":{"message":"invalid api token","id":"err-1"}"#);
    let entry = entry(&event.replace(":200", ":401"));
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("401")));
    assert_eq!(
        (entry.event_id.as_deref(), said(&entry).1, entry.usage_source),
        (Some("err-1"), None, UsageSource::Absent)
    );
}

#[test]
fn the_compatible_api_is_read_like_openais() {
    let event = capture(
        "compatibility/v1/chat/completions",
        r#"{"model":"command-a-03-2025"}"#,
        r#""response":{"id":"c","object":"chat.completion","model":"command-a-03-2025","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#,
    );
    let entry = entry(&event);
    assert_eq!((counts(&entry), entry.provider.as_deref()), ([Some(8), None, Some(2), None], Some("cohere")));
}
