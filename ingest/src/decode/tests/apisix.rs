use super::*;

/// A log entry of a call to `uri` with `summary`.
fn log(uri: &str, summary: &str) -> String {
    format!(
        r#"{{"request":{{"uri":"{uri}","headers":{{"authorization":"secret"}}}},"response":{{"status":200}},
            "upstream":"api.openai.com:443","start_time":1795170000000.0,"latency":900.5,"route_id":"r1",
            "consumer":{{"username":"app"}},"llm_summary":{{"model":"m","request_model":"m",{summary}}}}}"#
    )
}

#[test]
fn the_protocol_decides_whether_the_prompt_holds_the_cache() {
    let usage = r#""prompt_tokens":600,"completion_tokens":10,"total_tokens":610,"cache_read_input_tokens":500,"cache_creation_input_tokens":40"#;
    let chat = entry(&log("/v1/chat/completions", usage)).tokens;
    assert_eq!((chat.input, chat.buckets().uncached_input, chat.buckets().check), (Some(600), Some(60), None));
    let messages = entry(&log("/v1/messages?beta=true", usage)).tokens;
    assert_eq!((messages.input, messages.total, messages.buckets().check), (Some(1_140), Some(1_150), None));
}

#[test]
fn numbers_that_only_one_reading_explains_decide_on_any_path() {
    let larger = r#""prompt_tokens":57,"completion_tokens":10,"total_tokens":67,"cache_read_input_tokens":500"#;
    assert_eq!(entry(&log("/ai", larger)).tokens.input, Some(557));
    let in_total = r#""prompt_tokens":600,"completion_tokens":10,"total_tokens":1110,"cache_read_input_tokens":500"#;
    let tokens = entry(&log("/model/x/converse", in_total)).tokens;
    assert_eq!((tokens.input, tokens.buckets().check), (Some(1_100), None));
}

#[test]
fn texts_of_zero_are_no_counts_and_texts_of_numbers_are() {
    let zeros = r#""prompt_tokens":"0","completion_tokens":"0","total_tokens":"0","reasoning_tokens":"""#;
    let zeros = entry(&log("/v1/chat/completions", zeros));
    assert_eq!((zeros.status, zeros.usage_source), (Status::Success, UsageSource::Absent));
    let texts = entry(&log("/v1/chat/completions", r#""prompt_tokens":"12","completion_tokens":"3""#));
    assert_eq!((texts.tokens.input, texts.tokens.output), (Some(12), Some(3)));
    let many = log("/x", r#""prompt_tokens":"many""#);
    assert_eq!(refused_at(&many), "$.llm_summary.prompt_tokens");
}

#[test]
fn a_list_is_recorded_whole_or_not_at_all_and_each_element_is_its_own_call() {
    let one = log("/v1/chat/completions", r#""prompt_tokens":1,"completion_tokens":1"#);
    let other = log("/v1/chat/completions", r#""prompt_tokens":2,"completion_tokens":1"#);
    let read = entries(&format!(" [{one},\n{other}]")).unwrap();
    assert_eq!(read.iter().map(|entry| entry.tokens.input).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_ne!(read[0].id(), read[1].id());
    assert_eq!(read[0].id(), entry(&one).id());
    let broken = log("/x", r#""prompt_tokens":[]"#);
    assert_eq!(refused_at(&format!("[{one},{broken}]")), "$[1].llm_summary.prompt_tokens");
    assert_eq!(entries(&format!("[{one},7]")).unwrap_err().code(), "DECODE-005");
}

#[test]
fn the_variables_of_an_own_log_format_are_read() {
    let entry = entry(
        r#"{"@timestamp":"2026-11-20T10:20:00+00:00","route_id":"r1","request_llm_model":"gpt-4o","llm_model":"gpt-4o-x",
            "llm_prompt_tokens":"9","llm_completion_tokens":"2","llm_time_to_first_token":"120","request_type":"ai_stream",
            "uri":"/v1/chat/completions","status":"200","mine":1}"#,
    );
    assert_eq!((entry.tokens.input, entry.tokens.output, entry.ttft_ms), (Some(9), Some(2), Some(120)));
    assert_eq!((entry.streamed, entry.http_status, entry.model()), (Some(true), Some(200), Some("gpt-4o-x")));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"mine":1}"#));
}

#[test]
fn other_traffic_has_no_entry() {
    let plain = r#"{"request":{"uri":"/"},"response":{"status":200},"start_time":1795170000000,"route_id":"1","apisix_latency":1}"#;
    assert_eq!(entries(plain).unwrap().len(), 0);
}

#[test]
fn people_hosts_and_features_are_told() {
    let usage = r#""prompt_tokens":1,"completion_tokens":1,"has_tool_calls":"true","tool_count":2,"end_user_id":"u-1","content_risk_level":"high","stream":"true""#;
    let log = log("/v1/chat/completions", usage)
        .replace("api.openai.com:443", "10.0.0.1:443, bedrock-runtime.eu-west-1.amazonaws.com:443");
    let entry = entry(&log);
    assert_eq!((entry.end_user.as_deref(), entry.api_key_alias.as_deref()), (Some("u-1"), Some("app")));
    assert_eq!((entry.provider.as_deref(), entry.region.as_deref()), (Some("bedrock"), Some("eu-west-1")));
    assert_eq!(features(&entry), ["tool_calling", "guardrails"]);
    assert_eq!((entry.streamed, entry.latency_ms), (Some(true), Some(901)));
    assert!(!format!("{:?}", Entry { raw: b"", ..entry }).contains("secret"));
}

#[test]
fn bodies_come_from_the_messages_or_from_the_request() {
    let log = log("/v1/chat/completions", r#""prompt_tokens":1,"completion_tokens":1"#).replace(
        r#""route_id":"r1""#,
        r#""llm_request":{"messages":[{"role":"user","content":"jeden"}],"stream":false},"llm_response_text":{"content":"dva"}"#,
    );
    assert_eq!(said(&entry(&log)), (Some("jeden".to_owned()), Some("dva".to_owned())));
    let body = log.replace(
        r#""headers""#,
        r#""body":"{\"messages\":[{\"role\":\"user\",\"content\":\"tri\"}],\"response_format\":{\"type\":\"json_object\"}}","headers""#,
    );
    let entry = entry(&body);
    assert_eq!((said(&entry).0.as_deref(), features(&entry)), (Some("tri"), vec!["structured_output"]));
}
