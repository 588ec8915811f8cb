use super::*;

/// A row with `members` over the least a row has.
fn row(members: &str) -> String {
    format!(
        r#"{{"request_id":"h1","provider":"OPENAI","request_path":"/v1/chat/completions","response_status":200,
            "cache_reference_id":"00000000-0000-0000-0000-000000000000",{members}}}"#
    )
}

#[test]
fn parts_that_exclude_each_other_become_totals() {
    let tokens = entry(&row(
        r#""prompt_tokens":388,"prompt_cache_read_tokens":512,"prompt_cache_write_tokens":10,"completion_tokens":56,
            "reasoning_tokens":64,"total_tokens":508"#,
    ))
    .tokens;
    assert_eq!((tokens.input, tokens.output, tokens.buckets().check), (Some(910), Some(120), None));
    assert_eq!(tokens.buckets().uncached_input, Some(388));
}

#[test]
fn a_prompt_of_the_caches_size_already_holds_it() {
    let usage = |prompt: u32| {
        let row = row(&format!(
            r#""prompt_tokens":{prompt},"prompt_cache_read_tokens":512,"completion_tokens":5,"total_tokens":{}"#,
            prompt + 5
        ));
        entry(&row).tokens
    };
    assert_eq!((usage(512).input, usage(512).buckets().check), (Some(512), None));
    assert_eq!((usage(511).input, usage(511).buckets().check), (Some(1_023), None));
}

#[test]
fn a_total_that_no_reading_explains_is_flagged() {
    let row = row(r#""prompt_tokens":10,"completion_tokens":5,"total_tokens":99"#);
    assert_eq!(entry(&row).tokens.buckets().check, Some("total_differs"));
}

#[test]
fn the_kept_answer_decides_what_the_prompt_count_meant() {
    let row = row(r#""prompt_tokens":900,"prompt_cache_read_tokens":512,"completion_tokens":20,"total_tokens":920,
            "response_body":{"choices":[],"usage":{"prompt_tokens":900,"completion_tokens":20,"total_tokens":920,
            "prompt_tokens_details":{"cached_tokens":512}}}"#);
    let entry = entry(&row);
    assert_eq!((entry.tokens.input, entry.tokens.cache_read), (Some(900), Some(512)));
    assert_eq!(entry.usage_source, UsageSource::Provider);
}

#[test]
fn a_hit_keeps_its_zeros_whatever_the_cached_answer_counted() {
    let row = row(r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0,
            "response_body":{"choices":[],"usage":{"prompt_tokens":900,"completion_tokens":20}}"#)
    .replace("00000000-0000", "7b0c1d8e-0000");
    let entry = entry(&row);
    assert_eq!((entry.gateway_cache_hit, entry.tokens.input), (Some(true), Some(0)));
    assert_eq!(entry.usage_source, UsageSource::Gateway);
}

#[test]
fn statuses_below_zero_are_helicones_own() {
    let status = |code: i32| {
        let row = row(r#""prompt_tokens":0,"completion_tokens":0"#).replace("200", &code.to_string());
        let entry = entry(&row);
        (entry.status, entry.http_status, entry.usage_source)
    };
    assert_eq!(status(-2), (Status::Pending, None, UsageSource::Absent));
    assert_eq!(status(-3), (Status::Incomplete, None, UsageSource::Absent));
    assert_eq!(status(-4), (Status::Filtered, None, UsageSource::Absent));
    assert_eq!(status(500), (Status::Error, Some(500), UsageSource::Absent));
}

#[test]
fn providers_in_capitals_and_behind_a_host() {
    for (provider, host, expected) in [
        ("ANTHROPIC", "https://api.openai.com/v1", Some("anthropic")),
        ("GOOGLE", "https://europe-west4-aiplatform.googleapis.com", Some("vertex_ai")),
        ("GOOGLE", "https://generativelanguage.googleapis.com", Some("gemini")),
        ("AZURE", "https://x.openai.azure.com", Some("azure")),
        ("CUSTOM", "https://api.groq.com/openai", Some("groq")),
        ("CUSTOM", "https://llm.example.com", None),
    ] {
        let row = row(&format!(r#""target_url":"{host}""#)).replace("OPENAI", provider);
        assert_eq!(entry(&row).provider.as_deref(), expected, "{provider} {host}");
    }
}

#[test]
fn properties_tell_team_session_and_user() {
    let entry = entry(&row(
        r#""request_user_id":"u-3","properties":{"team":"ops","Environment":"prod","Helicone-Session-Id":"s-1","plan":"gold"},
            "costUSD":0.25,"cost":250000000"#,
    ));
    assert_eq!((entry.team.as_deref(), entry.environment.as_deref()), (Some("ops"), Some("prod")));
    assert_eq!((entry.session_id.as_deref(), entry.end_user.as_deref()), (Some("s-1"), Some("u-3")));
    // The row's own column is an integer of a billionth of a dollar; the API's is dollars.
    assert_eq!(entry.reported_cost.unwrap().to_string(), "0.250000000000");
}

#[test]
fn a_webhook_and_a_message_of_the_queue_are_read() {
    let webhook = entry(
        r#"{"request_id":"w1","user_id":"u-1","request_response_url":"https://s3/signed?secret",
            "metadata":{"model":"gpt-4o","provider":"OPENAI","promptTokens":9,"completionTokens":2,"totalTokens":11,
            "cost":0.5,"latencyMs":700}}"#,
    );
    assert_eq!((webhook.tokens.input, webhook.tokens.output, webhook.latency_ms), (Some(9), Some(2), Some(700)));
    assert_eq!((webhook.model(), webhook.provider.as_deref()), (Some("gpt-4o"), Some("openai")));
    let queued = entry(
        r#"{"authorization":"Bearer secret","heliconeMeta":{"posthogApiKey":"secret","gatewayModel":"gpt-4o"},
            "log":{"request":{"id":"q1","userId":"u-1","provider":"OPENAI","path":"/v1/chat/completions","isStream":true,
            "requestCreatedAt":"2026-11-20T05:00:00.000Z"},"response":{"id":"x","status":200,"delayMs":900,"timeToFirstToken":90}}}"#,
    );
    assert_eq!((queued.event_id.as_deref(), queued.usage_source), (Some("q1"), UsageSource::Absent));
    assert_eq!((queued.streamed, queued.latency_ms, queued.ttft_ms), (Some(true), Some(900), Some(90)));
    for entry in [webhook, queued] {
        assert!(!format!("{:?}", Entry { raw: b"", ..entry }).contains("secret"));
    }
}

#[test]
fn a_streams_events_are_put_together() {
    let row = row(r#""prompt_tokens":9,"completion_tokens":2,"response_body":{"streamed_data":[
            {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"He"}}]},
            {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":"stop"}]}]}"#);
    let entry = entry(&row);
    assert_eq!((said(&entry).1.as_deref(), entry.finish_reason.as_deref()), (Some("Hello"), Some("stop")));
}

#[test]
fn billionths_of_a_dollar_are_told_by_their_size() {
    let cost = |cost: &str| entry(&row(&format!(r#""cost":{cost}"#))).reported_cost.unwrap().to_string();
    assert_eq!(cost("869400"), "0.000869400000");
    assert_eq!(cost("999"), "999.000000000000");
    assert_eq!(cost("0.0008694"), "0.000869400000");
}
