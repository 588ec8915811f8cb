use super::*;

fn capture(status: u16, request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"openai.chat.completions","endpoint":"https://api.openai.com/v1/chat/completions",
        "started_at":"2026-11-20T09:00:00Z","duration_ms":10.6,"http_status":{status}}},"request":{request},{answer}}}"#
    )
}

fn answered(response: &str) -> Entry<'static> {
    entry(&capture(200, r#"{"model":"gpt-6"}"#, &format!("\"response\":{response}")))
}

fn streamed(chunks: &str) -> Entry<'static> {
    entry(&capture(200, r#"{"model":"gpt-6","stream":true}"#, &format!("\"stream\":{chunks}")))
}

#[test]
fn times_come_from_the_capture() {
    let entry = answered(r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
    assert_eq!(entry.latency_ms, Some(11));
    assert_eq!(entry.started_at.unwrap().to_string(), "2026-11-20T09:00:00.000000Z");
    assert_eq!(entry.completed_at.unwrap().to_string(), "2026-11-20T09:00:00.011000Z");
    assert_eq!(entry.streamed, Some(false));
}

#[test]
fn a_refusal_is_said() {
    let entry = answered(
        r#"{"id":"c","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null,
            "refusal":"I can't help with that."}}],"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}"#,
    );
    assert_eq!(said(&entry).1.as_deref(), Some("I can't help with that."));
    assert_eq!(entry.status, Status::Success);
    assert!(output(&entry).contains(r#"{"type":"refusal","content":"I can't help with that."}"#));
}

#[test]
fn a_blocked_answer_is_filtered_and_keeps_its_counts() {
    let entry = answered(
        r#"{"choices":[{"finish_reason":"content_filter","message":{"content":null}}],"usage":{"prompt_tokens":5,"completion_tokens":0}}"#,
    );
    assert_eq!((entry.status, entry.tokens.input), (Status::Filtered, Some(5)));
}

#[test]
fn errors_have_their_word_and_prompts_that_were_blocked_are_filtered() {
    let failed = |status, error: &str| entry(&capture(status, r#"{"model":"m"}"#, &format!("\"response\":{error}")));
    let blocked = failed(400, r#"{"error":{"code":"content_filter","type":null}}"#);
    assert_eq!((blocked.status, blocked.error_type.as_deref()), (Status::Filtered, Some("content_filter")));
    let typed = failed(400, r#"{"error":{"code":400,"type":"BadRequestError"}}"#);
    assert_eq!(typed.error_type.as_deref(), Some("BadRequestError"));
    let bare = failed(400, r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#);
    assert_eq!((bare.status, bare.error_type.as_deref()), (Status::Error, Some("BadRequestError")));
    let sentence = failed(403, r#"{"error":"not allowed"}"#);
    assert_eq!((sentence.status, sentence.error_type.as_deref()), (Status::Error, Some("403")));
    let nothing = failed(502, "null");
    assert_eq!((nothing.status, nothing.error_type.as_deref()), (Status::Error, Some("502")));
    let choice = failed(
        200,
        r#"{"id":"g","choices":[{"finish_reason":"error","error":{"code":502},"message":{"content":""}}]}"#,
    );
    assert_eq!((choice.status, choice.error_type.as_deref()), (Status::Error, Some("502")));
    assert_eq!(said(&choice).1, None);
}

#[test]
fn a_call_without_answer_is_pending_until_a_status_is_known() {
    let request = r#""request":{"model":"m","messages":[{"role":"user","content":"x"}]}}"#;
    let pending = entry(&format!(r#"{{"capture":{{"api":"openai.chat.completions","request_id":"r-1"}},{request}"#));
    assert_eq!((pending.status, pending.event_id.as_deref()), (Status::Pending, Some("r-1")));
    let lost = entry(&format!(r#"{{"capture":{{"api":"openai.chat.completions","http_status":200}},{request}"#));
    assert_eq!(lost.status, Status::Incomplete);
}

#[test]
fn details_may_be_null_and_counts_text() {
    let entry = answered(
        r#"{"choices":[{"message":{"content":"x"}}],"service_tier":null,"usage":{"prompt_tokens":"10","completion_tokens":2.0,
            "total_tokens":12,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}}"#,
    );
    assert_eq!((entry.tokens.input, entry.tokens.output, entry.tokens.reasoning), (Some(10), Some(2), None));
    assert_eq!((entry.tokens.cache_write, entry.tokens.cache_write_5m), (None, None));
}

#[test]
fn writes_live_twelve_hours_if_asked_to() {
    let usage = r#""response":{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":0,"prompt_tokens_details":{"cache_write_tokens":64}}}"#;
    let entry = entry(&capture(200, r#"{"prompt_cache_options":{"mode":"explicit","ttl":"12h"}}"#, usage));
    assert_eq!((entry.tokens.cache_write_30m, entry.tokens.cache_write_12h), (Some(0), Some(64)));
    assert_eq!(features(&entry), ["prompt_cache_control"]);
}

#[test]
fn a_stream_without_usage_that_came_to_its_end_is_a_success() {
    let entry = streamed(
        r#"[{"id":"","model":"","choices":[],"prompt_filter_results":[]},
            {"id":"c","model":"gpt-6-1","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]},
            {"id":"c","model":"gpt-6-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]},"[DONE]",null]"#,
    );
    assert_eq!((entry.status, entry.usage_source), (Status::Success, UsageSource::Absent));
    assert_eq!((entry.event_id.as_deref(), entry.model()), (Some("c"), Some("gpt-6-1")));
    assert_eq!(said(&entry).1.as_deref(), Some("hi"));
}

#[test]
fn a_stream_that_ends_in_an_error_is_an_error() {
    let entry = streamed(
        r#"[{"id":"c","choices":[{"index":0,"delta":{"content":"par"}}]},{"error":{"code":"server_error","message":"m"}}]"#,
    );
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("server_error")));
    assert_eq!(said(&entry).1.as_deref(), Some("par"));
}

#[test]
fn running_totals_count_once_and_a_cut_stream_has_a_floor() {
    let chunk = |tokens: u8, more: &str| {
        format!(
            r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"a"}}{more}}}],"usage":{{"prompt_tokens":9,"completion_tokens":{tokens},"total_tokens":{}}}}}"#,
            9 + tokens
        )
    };
    let cut = streamed(&format!("[{},{}]", chunk(1, ""), chunk(2, "")));
    assert_eq!((cut.status, cut.tokens.output), (Status::Incomplete, Some(2)));
    let whole = streamed(&format!("[{},{}]", chunk(1, ""), chunk(2, r#","finish_reason":"stop""#)));
    assert_eq!((whole.status, whole.tokens.output), (Status::Success, Some(2)));
}

#[test]
fn choices_and_tool_calls_of_a_stream_are_put_together() {
    let entry = streamed(
        r#"[{"id":"c","choices":[{"index":1,"delta":{"content":"two"}}]},
            {"id":"c","choices":[{"index":0,"delta":{"content":"on\u00e9"}},{"index":1,"delta":{"content":" \ud83c"}}]},
            {"id":"c","choices":[{"index":1,"delta":{"content":"\udf8f"},"finish_reason":"stop"}]},
            {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]}}]},
            {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]},
            {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]},
            {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}]"#,
    );
    assert_eq!(said(&entry).1.as_deref(), Some("oné\ntwo 🎏"));
    assert_eq!(entry.finish_reason.as_deref(), Some("tool_calls"));
    assert!(output(&entry).contains(r#"{"type":"tool_call","id":"t1","name":"f","arguments":{"a":1}}"#));
    assert_eq!(features(&entry), ["tool_calling", "multiple_choices"]);
}

#[test]
fn sound_of_a_stream_has_its_transcript() {
    let entry = streamed(
        r#"[{"id":"c","choices":[{"index":0,"delta":{"audio":{"id":"a1","transcript":"Hel"}}}]},
            {"id":"c","choices":[{"index":0,"delta":{"audio":{"data":"QUJD","transcript":"lo"}},"finish_reason":"stop"}]}]"#,
    );
    assert_eq!(said(&entry).1.as_deref(), Some("Hello"));
    assert!(output(&entry).contains(r#"{"type":"blob","modality":"audio","content":"QUJD","transcript":"Hello"}"#));
    assert_eq!(features(&entry), ["audio_output"]);
}

#[test]
fn roles_parts_and_tool_results_of_a_prompt() {
    let request = r#"{"model":"ft:gpt-4o:acme::1","user":"u","metadata":{"job":"j"},"messages":[
        {"role":"developer","content":"Be brief."},
        {"role":"user","name":"ann","content":[{"type":"text","text":"Look"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}},
            {"type":"file","file":{"file_id":"file-1"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"t1","content":"22 C"}]}"#;
    let entry = entry(&capture(200, request, r#""response":{"id":"c","choices":[{"message":{"content":"ok"}}]}"#));
    assert_eq!(said(&entry).0.as_deref(), Some("Be brief.\nLook\n22 C"));
    assert_eq!(
        input(&entry),
        concat!(
            r#"[{"role":"developer","parts":[{"type":"text","content":"Be brief."}]},"#,
            r#"{"role":"user","name":"ann","parts":[{"type":"text","content":"Look"},"#,
            r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"iVBO"},"#,
            r#"{"type":"file","modality":"document","file_id":"file-1"}]},"#,
            r#"{"role":"assistant","parts":[{"type":"tool_call","id":"t1","name":"f","arguments":{}}]},"#,
            r#"{"role":"tool","parts":[{"type":"tool_call_response","id":"t1","response":[{"type":"text","content":"22 C"}]}]}]"#
        )
    );
    assert_eq!(
        features(&entry),
        ["tool_calling", "vision_input", "document_input", "hosted_files", "fine_tuned_model"]
    );
    assert_eq!(entry.end_user.as_deref(), Some("u"));
    assert_eq!(entry.tags.len(), 1);
}

#[test]
fn azure_serves_the_deployment_its_url_names() {
    let event = capture(
        200,
        r#"{"model":"ignored","messages":[]}"#,
        r#""response":{"id":"c","model":"gpt-4o-2024-11-20","choices":[{"message":{"content":"x"}}]}"#,
    )
    .replace("https://api.openai.com/v1/", "https://hl.openai.azure.com/openai/deployments/support-prod/")
    .replace("openai.chat", "azure.chat");
    let entry = entry(&event);
    assert_eq!(entry.provider.as_deref(), Some("azure"));
    assert_eq!(entry.request_model.as_deref(), Some("support-prod"));
    assert_eq!(entry.model(), Some("gpt-4o-2024-11-20"));
}

#[test]
fn a_gateways_prefix_names_the_provider_where_the_host_does_not() {
    let event = capture(200, r#"{"model":"mistral/mistral-large"}"#, r#""response":{"choices":[],"usage":{}}"#)
        .replace("api.openai.com", "gateway.example.org");
    let entry = entry(&event);
    assert_eq!((entry.provider.as_deref(), entry.model()), (Some("mistral"), Some("mistral-large")));
}

#[test]
fn a_bare_response_is_read_too() {
    let entry = entry(
        r#"{"id":"c","object":"chat.completion","created":1795170000,"model":"gpt-6","service_tier":"scale",
            "choices":[{"message":{"content":"x"},"finish_reason":"stop","logprobs":{"content":[]}}],
            "usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"completion_tokens_details":{"rejected_prediction_tokens":4}}}"#,
    );
    assert_eq!(entry.started_at.unwrap().to_string(), "2026-11-20T10:20:00.000000Z");
    assert_eq!(entry.streamed, None);
    assert_eq!(features(&entry), ["logprobs", "provisioned_capacity"]);
    assert_eq!(meter(&entry, "rejected_prediction_tokens").as_deref(), Some("4"));
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    let at = |answer: &str| refused_at(&capture(200, "{}", answer));
    assert_eq!(at(r#""response":{"usage":{"prompt_tokens":{}}}"#), "$.response.usage.prompt_tokens");
    assert_eq!(at(r#""response":{"usage":[1,2,3]}"#), "$.response.usage");
    assert_eq!(at(r#""response":{"choices":{}}"#), "$.response.choices");
    assert_eq!(at(r#""response":"text""#), "$.response");
    assert_eq!(at(r#""stream":[{"id":"c"},{"usage":{"total_tokens":"x"}}]"#), "$.stream[1].usage.total_tokens");
    assert_eq!(at(r#""stream":{}"#), "$.stream");
    assert_eq!(refused_at(&capture(200, "[]", "\"response\":{}")), "$.request");
    let event = capture(200, "{}", "\"response\":{}");
    assert_eq!(refused_at(&event.replace("200", "1000")), "$.capture.http_status");
    assert_eq!(refused_at(&event.replace("10.6", "\"soon\"")), "$.capture.duration_ms");
}

#[test]
fn what_nobody_declared_survives_in_extra() {
    let entry = entry(
        r#"{"capture":{"api":"openai.chat.completions","hop":7},"request":{"model":"m"},"response":{"id":"c1",
            "system_fingerprint":"fp_1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,
            "prompt_tokens_details":{"text_tokens":1,"braille_tokens":0},"energy":{"wh":0.30}}}}"#,
    );
    let extra = entry.extra.as_deref().unwrap();
    let expected =
        r#"{"system_fingerprint":"fp_1","usage.energy":{"wh":0.30},"usage.input.braille_tokens":0,"capture.hop":7}"#;
    assert_eq!(extra, expected);
}

#[test]
fn counts_under_names_nobody_knows_are_absent_and_not_zero() {
    let entry = entry(
        r#"{"capture":{"api":"openai.chat.completions"},"request":{"model":"m"},"response":{"id":"c1",
            "choices":[{"index":0,"finish_reason":"stop"}],"usage":{"promptTokens":900,"completionTokens":100}}}"#,
    );
    assert!(entry.tokens.is_absent());
    assert_eq!(entry.usage_source, UsageSource::Absent);
    assert_eq!(entry.extra.as_deref(), Some(r#"{"usage.promptTokens":900,"usage.completionTokens":100}"#));
}
