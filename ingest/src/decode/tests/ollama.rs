use super::*;

fn capture(path: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"ollama.chat","endpoint":"http://gpu-1:11434/{path}","started_at":"2026-11-20T09:00:00Z","duration_ms":9000,
        "http_status":200,"request_id":"o-1"}},"request":{{"model":"qwen3:8b"}},{answer}}}"#
    )
}

pub(super) const LAST: &str = r#"{"model":"qwen3:8b","created_at":"2026-11-20T09:00:02.5Z","message":{"role":"assistant","content":""},"done":true,
    "done_reason":"stop","total_duration":2499600000,"load_duration":1000,"prompt_eval_count":26,"eval_count":290,"eval_duration":99,"novel_count":3}"#;

#[test]
fn lines_are_one_answer_and_durations_are_nanoseconds() {
    let stream = format!(
        r#""stream":[{{"model":"qwen3:8b","created_at":"2026-11-20T09:00:01Z","message":{{"role":"assistant","thinking":"hm"}},"done":false}},
        {{"model":"qwen3:8b","message":{{"role":"assistant","content":"Hi"}},"done":false}},{LAST}]"#
    );
    let entry = entry(&capture("api/chat", &stream));
    assert_eq!((counts(&entry), entry.status), ([Some(26), None, Some(290), None], Status::Success));
    assert_eq!(
        (entry.latency_ms, entry.streamed, entry.provider.as_deref()),
        (Some(2_500), Some(true), Some("ollama"))
    );
    assert_eq!(
        (said(&entry).1.as_deref(), entry.model(), entry.event_id.as_deref()),
        (Some("Hi"), Some("qwen3:8b"), Some("o-1"))
    );
    assert!(extra(&entry).contains(r#""load_duration":1000"#) && extra(&entry).contains(r#""novel_count":3"#));
}

#[test]
fn a_bare_last_line_is_a_call_and_a_bare_piece_is_none() {
    let last = entry(LAST);
    assert_eq!((counts(&last), last.latency_ms), ([Some(26), None, Some(290), None], Some(2_500)));
    assert_eq!(last.completed_at.unwrap().to_string(), "2026-11-20T09:00:02.500000Z");
    let piece = r#"{"model":"qwen3:8b","created_at":"2026-11-20T09:00:01Z","response":"H","done":false}"#;
    assert_eq!(entries(piece).unwrap().len(), 0);
}

#[test]
fn a_count_that_was_left_out_is_not_zero() {
    let entry = entry(&capture(
        "api/generate",
        r#""response":{"model":"qwen3:8b","created_at":"2026-11-20T09:00:01Z","response":"Hi","done":true,"done_reason":"stop","eval_count":4}"#,
    ));
    assert_eq!((counts(&entry), entry.usage_source), ([None, None, Some(4), None], UsageSource::Provider));
    assert_eq!((entry.status, entry.latency_ms), (Status::Success, Some(9_000)));
}

#[test]
fn an_error_in_the_stream_is_one_though_http_said_200() {
    let entry = entry(&capture(
        "api/chat",
        r#""stream":[{"model":"qwen3:8b","message":{"content":"H"},"done":false},{"error":"out of memory"}]"#,
    ));
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("out of memory")));
    assert_eq!(
        (entry.usage_source, entry.model(), said(&entry).1.as_deref()),
        (UsageSource::Absent, Some("qwen3:8b"), Some("H"))
    );
}

#[test]
fn embeddings_have_no_output_and_are_known_by_their_keys() {
    let bare = r#"{"model":"nomic-embed-text","embeddings":[[0.1]],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}"#;
    let captured = capture("api/embed", &format!("\"response\":{bare}"));
    for event in [bare, &captured] {
        let entry = entry(event);
        assert_eq!((entry.operation, counts(&entry)), (Some(Operation::Embeddings), [Some(8), None, Some(0), None]));
        assert_eq!(
            (entry.latency_ms, entry.provider.as_deref(), entry.status),
            (Some(14), Some("ollama"), Status::Success)
        );
    }
}

#[test]
fn its_openai_api_is_read_like_openais() {
    let answer = r#""response":{"id":"chatcmpl-1","object":"chat.completion","model":"qwen3:8b","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#;
    for event in [
        capture("v1/chat/completions", answer),
        capture("v1/chat/completions", answer).replace("ollama.chat", "openai.chat.completions"),
    ] {
        let entry = entry(&event);
        assert_eq!((counts(&entry), entry.provider.as_deref()), ([Some(8), None, Some(2), None], Some("ollama")));
    }
}
