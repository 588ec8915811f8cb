use super::*;

/// A log with `members` over the least a log has.
fn log(members: &str) -> String {
    format!(
        r#"{{"id":"c1","created_at":"2026-11-20T04:00:00Z","provider":"openai","model":"gpt-4.1-mini","duration":812,
            "path":"chat/completions","status_code":200,"success":true,"cached":false,{members}}}"#
    )
}

#[test]
fn the_gateways_cache_is_not_a_prompt_cache() {
    let entry =
        entry(&log(r#""tokens_in":41,"tokens_out":9,"cost":0"#).replace(r#""cached":false"#, r#""cached":true"#));
    assert_eq!((entry.gateway_cache_hit, entry.tokens.cache_read), (Some(true), None));
    assert_eq!((entry.tokens.input, entry.usage_source), (Some(41), UsageSource::Gateway));
}

#[test]
fn counts_come_from_a_complete_answer_if_the_log_has_none() {
    let answer = r#""response_head":"{\"choices\":[],\"usage\":{\"prompt_tokens\":41,\"completion_tokens\":9,\"prompt_tokens_details\":{\"cached_tokens\":7}}}""#;
    let complete =
        entry(&log(&format!(r#""tokens_in":null,"tokens_out":null,{answer},"response_head_complete":true"#)));
    assert_eq!((complete.tokens.input, complete.tokens.cache_read), (Some(41), Some(7)));
    assert_eq!(complete.usage_source, UsageSource::Provider);
    let cut = entry(&log(&format!(r#""tokens_in":null,"tokens_out":null,{answer},"response_head_complete":false"#)));
    assert_eq!(cut.usage_source, UsageSource::Absent);
}

#[test]
fn the_exclusive_input_of_anthropic_is_completed_by_its_answer() {
    let log = log(
        r#""tokens_in":57,"tokens_out":210,"response_head_complete":true,"response_head":"{\"type\":\"message\",\"content\":[],\"usage\":{\"input_tokens\":57,\"cache_read_input_tokens\":18400,\"output_tokens\":210}}""#,
    );
    let entry = entry(&log.replace("\"openai\"", "\"anthropic\"").replace("chat/completions", "v1/messages"));
    assert_eq!((entry.tokens.input, entry.tokens.buckets().check), (Some(18_457), None));
}

#[test]
fn an_answer_of_server_sent_events_is_read_if_whole() {
    let events = |end: &str| {
        let sse = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"Ho\"}}}}]}}\n\ndata: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"la\"}},\"finish_reason\":\"stop\"}}]{end}\n\ndata: [DONE]\n"
        );
        let head = serde_json::to_string(&sse).unwrap();
        entry(&log(&format!(
            r#""tokens_in":4,"tokens_out":2,"response_content_type":"text/event-stream","response_head":{head},"response_head_complete":true"#
        )))
    };
    let whole = events("}");
    assert_eq!((said(&whole).1.as_deref(), whole.streamed), (Some("Hola"), Some(true)));
    assert_eq!(said(&events("")).1, None);
}

#[test]
fn errors_have_a_code_or_a_sentence() {
    let word = |body: &str| {
        let head = serde_json::to_string(body).unwrap();
        let log = log(&format!(r#""tokens_in":0,"tokens_out":0,"response_head":{head}"#));
        let entry =
            entry(&log.replace("\"status_code\":200,\"success\":true", "\"status_code\":429,\"success\":false"));
        assert_eq!((entry.status, entry.usage_source), (Status::Error, UsageSource::Absent));
        entry.error_type.map(String::from)
    };
    assert_eq!(word(r#"{"error":"rate limited"}"#).as_deref(), Some("rate limited"));
    assert_eq!(word(r#"{"success":false,"error":[{"code":2003,"message":"Rate limited"}]}"#).as_deref(), Some("2003"));
    assert_eq!(
        word(r#"{"error":{"code":"rate_limit_exceeded","type":"tokens"}}"#).as_deref(),
        Some("rate_limit_exceeded")
    );
    assert_eq!(word("<html>").as_deref(), Some("429"));
    assert_eq!(word(&format!(r#"{{"error":"{}"}}"#, "x".repeat(300))).as_deref(), Some("429"));
}

#[test]
fn metadata_is_text_or_an_object() {
    for metadata in [r#""{\"user_id\":\"u-8\",\"team\":\"t\"}""#, r#"{"user_id":"u-8","team":"t"}"#] {
        let entry = entry(&log(&format!(r#""tokens_in":1,"tokens_out":1,"metadata":{metadata}"#)));
        assert_eq!((entry.end_user.as_deref(), entry.team.as_deref()), (Some("u-8"), Some("t")));
    }
}

#[test]
fn providers_have_one_name_and_models_lose_the_routes_prefix() {
    for (provider, model, expected) in [
        ("workers-ai", "@cf/meta/llama-3.1-8b-instruct", ("workers-ai", "@cf/meta/llama-3.1-8b-instruct")),
        ("google-ai-studio", "gemini-2.5-pro", ("gemini", "gemini-2.5-pro")),
        ("google-vertex-ai", "gemini-2.5-pro", ("vertex_ai", "gemini-2.5-pro")),
        ("azure-openai", "gpt-4o", ("azure", "gpt-4o")),
        ("aws-bedrock", "anthropic.claude", ("bedrock", "anthropic.claude")),
        ("grok", "grok-4", ("xai", "grok-4")),
        ("openai", "openai/gpt-4.1", ("openai", "gpt-4.1")),
    ] {
        let log =
            log(r#""tokens_in":1"#).replace("\"openai\"", &format!("\"{provider}\"")).replace("gpt-4.1-mini", model);
        let entry = entry(&log);
        assert_eq!((entry.provider.as_deref().unwrap(), entry.request_model.as_deref().unwrap()), expected);
    }
}

#[test]
fn unknown_and_retyped_fields_are_kept_or_refused() {
    let renamed = entry(&log(r#""tokens_input":41,"request_head":"""#));
    assert_eq!(renamed.usage_source, UsageSource::Absent);
    assert_eq!(renamed.extra.as_deref(), Some(r#"{"tokens_input":41}"#));
    assert_eq!(refused_at(&log(r#""tokens_in":{}"#)), "$.tokens_in");
    assert_eq!(entry(&log(r#""tokens_in":"41","tokens_out":9.0"#)).tokens.input, Some(41));
}

#[test]
fn what_the_gateways_guardrails_blocked_is_filtered() {
    let log = log(
        r#""tokens_in":0,"tokens_out":0,"response_head":"{\"success\":false,\"error\":[{\"code\":2016,\"message\":\"Prompt blocked\"}]}""#,
    );
    let entry = entry(&log.replace("\"status_code\":200,\"success\":true", "\"status_code\":424,\"success\":false"));
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Filtered, Some("2016")));
    assert_eq!((features(&entry), entry.usage_source), (vec!["guardrails"], UsageSource::Absent));
}

#[test]
fn a_page_of_the_api_is_its_logs() {
    let row = log(r#""tokens_in":1,"tokens_out":2"#);
    let page = format!(r#"{{"result":[{row}],"result_info":{{"count":1}},"success":true,"errors":[]}}"#);
    assert_eq!(entry(&page).tokens.output, Some(2));
}
