use super::*;

/// A log entry with `ai`.
fn log(ai: &str) -> String {
    format!(
        r#"{{"request":{{"id":"k1","uri":"/ai/chat","headers":{{"authorization":"Bearer secret"}}}},"response":{{"status":200}},
            "latencies":{{"request":9}},"started_at":1795170000123,"consumer":{{"username":"bot"}},"route":{{"name":"chat"}},
            "workspace_name":"sales","ai":{ai}}}"#
    )
}

fn proxy(provider: &str, usage: &str) -> String {
    log(&format!(
        r#"{{"proxy":{{"meta":{{"provider_name":"{provider}","request_model":"m","response_model":"m"}},"usage":{usage}}}}}"#
    ))
}

#[test]
fn thoughts_of_gemini_are_what_the_total_has_more() {
    let usage = r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":150}"#;
    let gemini = entry(&proxy("gemini", usage)).tokens;
    assert_eq!((gemini.output, gemini.reasoning, gemini.buckets().check), (Some(50), Some(30), None));
    let openai = entry(&proxy("openai", usage)).tokens;
    assert_eq!((openai.output, openai.buckets().check), (Some(20), Some("total_differs")));
}

#[test]
fn counts_have_the_names_of_every_version() {
    for usage in [
        r#"{"prompt_tokens":9,"completion_tokens":2}"#,
        r#"{"prompt_token":9,"completion_token":2}"#,
        r#"{"input_tokens":"9","output_tokens":2.0}"#,
    ] {
        let entry = entry(&proxy("openai", usage));
        assert_eq!((entry.tokens.input, entry.tokens.output), (Some(9), Some(2)), "{usage}");
        assert_eq!((entry.usage_source, entry.extra), (UsageSource::Gateway, None), "{usage}");
    }
    let renamed = entry(&proxy("openai", r#"{"prompt":9,"completion":2}"#));
    assert_eq!(renamed.usage_source, UsageSource::Absent);
    assert_eq!(renamed.extra.as_deref(), Some(r#"{"ai.proxy.usage.prompt":9,"ai.proxy.usage.completion":2}"#));
}

#[test]
fn zeros_of_an_answer_are_no_counts() {
    let entry = entry(&proxy("openai", r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0}"#));
    assert_eq!((entry.status, entry.usage_source), (Status::Success, UsageSource::Absent));
    assert_eq!(entry.reported_cost, Some(Usd::from_pico(0)));
}

#[test]
fn each_plugin_that_called_a_model_is_an_entry_and_others_are_not() {
    let two = log(r#"{"payload":{"request":"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
            "ai-request-transformer":{"meta":{"provider_name":"cohere","request_model":"command"},"usage":{"prompt_tokens":28,"completion_tokens":20,"total_tokens":48}},
            "ai-proxy":{"meta":{"provider_name":"azure","request_model":"gpt-35-turbo","azure_deployment_id":"support"},"usage":{"prompt_tokens":89,"completion_tokens":56}},
            "sanitizer":{"pii_identified":2}}"#);
    let entries = entries(&two).unwrap();
    let read = entries.iter().map(|entry| (entry.provider.as_deref().unwrap(), entry.tokens.input.unwrap()));
    assert_eq!(read.collect::<Vec<_>>(), [("cohere", 28), ("azure", 89)]);
    assert_ne!(entries[0].id(), entries[1].id());
    assert_eq!(entries[1].request_model.as_deref(), Some("support"));
    assert_eq!(said(&entries[0]).0.as_deref(), Some("hi"));
    assert!(entries[0].extra.as_deref().unwrap().contains(r#""ai.sanitizer":{"pii_identified":2}"#));
}

#[test]
fn other_traffic_has_no_entry_and_no_credential_is_kept() {
    assert_eq!(entries(&log("{}")).unwrap().len(), 0);
    assert_eq!(entries(&log("null")).unwrap().len(), 0);
    assert_eq!(refused_at(&log(r#"{"proxy":"off"}"#)), "$.ai.proxy");
    let entry = entry(&proxy("openai", "{}"));
    assert!(!format!("{:?}", Entry { raw: b"", ..entry }).contains("secret"));
}

#[test]
fn the_cache_of_anthropic_comes_back_from_a_logged_answer() {
    let ai = r#"{"proxy":{"meta":{"provider_name":"anthropic","request_model":"claude-opus-5"},
        "usage":{"prompt_tokens":57,"completion_tokens":210,"total_tokens":267},
        "payload":{"response":"{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":57,\"cache_read_input_tokens\":18400,\"cache_creation_input_tokens\":2944,\"output_tokens\":210}}"}}}"#;
    let entry = entry(&log(ai));
    assert_eq!((entry.tokens.input, entry.tokens.cache_read), (Some(21_401), Some(18_400)));
    assert_eq!((entry.usage_source, entry.tokens.buckets().check), (UsageSource::Provider, None));
    assert_eq!(said(&entry).1.as_deref(), Some("hi"));
}

#[test]
fn mode_times_and_people_are_told() {
    let ai = r#"{"proxy":{"meta":{"provider_name":"UNSPECIFIED","request_model":"UNSPECIFIED","request_mode":"stream","llm_latency":"1200.6"},
        "usage":{"prompt_tokens":1,"completion_tokens":1,"time_to_first_token":300,"cost":"1.5e-3"},"cache":{"cache_status":"Miss"}}}"#;
    let entry = entry(&log(ai));
    assert_eq!((entry.provider.as_deref(), entry.model(), entry.streamed), (None, None, Some(true)));
    assert_eq!((entry.latency_ms, entry.ttft_ms, entry.gateway_cache_hit), (Some(1_201), Some(300), Some(false)));
    assert_eq!(entry.started_at.unwrap().to_string(), "2026-11-20T10:20:00.123000Z");
    assert_eq!((entry.project.as_deref(), entry.end_user.as_deref()), (Some("sales"), Some("bot")));
    assert_eq!(entry.reported_cost.unwrap().to_string(), "0.001500000000");
}

#[test]
fn one_id_with_other_counts_is_another_call_and_a_resent_entry_is_not() {
    let id = |usage: &str| entry(&proxy("openai", usage)).id();
    assert_eq!(id(r#"{"prompt_tokens":1,"cost":1}"#), id(r#"{"cost":1,"prompt_tokens":1}"#));
    assert_ne!(id(r#"{"prompt_tokens":1}"#), id(r#"{"prompt_tokens":2}"#));
}

#[test]
fn answers_in_a_vendors_own_shape_complete_the_counts() {
    let with = |provider: &str, answer: &str| {
        let answer = serde_json::to_string(answer).unwrap();
        entry(&log(&format!(
            r#"{{"proxy":{{"meta":{{"provider_name":"{provider}"}},"usage":{{"prompt_tokens":57,"completion_tokens":10}},"payload":{{"response":{answer}}}}}}}"#
        )))
    };
    let bedrock = with(
        "bedrock",
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",
            "usage":{"inputTokens":57,"outputTokens":10,"totalTokens":167,"cacheReadInputTokens":100}}"#,
    );
    assert_eq!((bedrock.tokens.input, bedrock.tokens.cache_read), (Some(157), Some(100)));
    assert_eq!((said(&bedrock).1.as_deref(), bedrock.finish_reason.as_deref()), (Some("hi"), Some("end_turn")));
    let gemini = with(
        "gemini",
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],
            "usageMetadata":{"promptTokenCount":57,"candidatesTokenCount":10,"thoughtsTokenCount":30,"totalTokenCount":97}}"#,
    );
    assert_eq!((gemini.tokens.output, gemini.tokens.reasoning), (Some(40), Some(30)));
    assert_eq!((said(&gemini).1.as_deref(), gemini.tokens.buckets().check), (Some("hi"), None));
}

#[test]
fn an_error_under_http_200_is_an_error() {
    let ai = r#"{"proxy":{"meta":{"provider_name":"openai"},"usage":{"prompt_tokens":0,"completion_tokens":0},
        "payload":{"response":"{\"error\":{\"code\":\"server_error\",\"message\":\"oops\"}}"}}}"#;
    let entry = entry(&log(ai));
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("server_error")));
}
