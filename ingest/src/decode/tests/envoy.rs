use super::*;

/// A line with `members` over what every line has.
fn line(members: &str) -> String {
    format!(
        r#"{{"start_time":"2026-11-20T07:00:00.512Z","response_code":200,"response_flags":"-","duration":12,
            "x-request-id":"x1","x-envoy-origin-path":"/v1/chat/completions",{members}}}"#
    )
}

#[test]
fn keys_are_understood_whatever_the_operator_calls_them() {
    for members in [
        r#""gen_ai.request.model":"m","gen_ai.usage.input_tokens":9,"gen_ai.usage.output_tokens":5,"gen_ai.usage.cached_input_tokens":4,"gen_ai.usage.cache_creation_input_tokens":2,"gen_ai.usage.reasoning_tokens":3,"gen_ai.usage.total_tokens":14"#,
        r#""genai_model_name":"m","genai_tokens_input":"9","genai_tokens_output":5.0,"genai_tokens_cached":4,"genai_tokens_cache_creation":2,"genai_tokens_reasoning":3,"genai_tokens_total":14"#,
        r#""x-ai-eg-model":"m","llm_input_token":9,"llm_output_token":5,"llm_cached_input_token":4,"llm_cache_creation_input_token":2,"llm_reasoning_token":3,"llm_total_token":14"#,
        r#""x-ai-eg-model":"m","ai_gateway":{"llm_input_token":9,"llm_output_token":5,"llm_cached_input_token":4,"llm_cache_creation_input_token":2,"llm_reasoning_token":3,"llm_total_token":14}"#,
    ] {
        let entry = entry(&line(members));
        let tokens = entry.tokens;
        assert_eq!((tokens.input, tokens.output, tokens.total), (Some(9), Some(5), Some(14)), "{members}");
        assert_eq!((tokens.cache_read, tokens.cache_write), (Some(4), Some(2)), "{members}");
        assert_eq!((tokens.reasoning, tokens.buckets().check), (Some(3), None), "{members}");
        assert_eq!((entry.model(), entry.usage_source), (Some("m"), UsageSource::Gateway), "{members}");
    }
}

#[test]
fn costs_of_expressions_and_latencies_between_tokens_are_no_counts() {
    let entry = entry(&line(
        r#""genai_model_name":"m","llm_input_token":9,"llm_cel_cost_token":77,"token_latency_itl":3,"token_latency_ttft":140,"x-api-key":"secret""#,
    ));
    assert_eq!((entry.tokens.input, entry.ttft_ms), (Some(9), Some(140)));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"llm_cel_cost_token":77}"#));
}

#[test]
fn a_dash_says_nothing_and_two_numbers_of_one_meaning_are_not_lost() {
    let entry = entry(&line(
        r#""genai_model_name":"m","gen_ai.response.model":"-","llm_input_token":9,"genai_tokens_input":8,"llm_output_token":"-""#,
    ));
    assert_eq!((entry.tokens.input, entry.tokens.output), (Some(9), None));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"genai_tokens_input":8}"#));
    assert_eq!(refused_at(&line(r#""genai_model_name":"m","llm_input_token":"many""#)), "$.llm_input_token");
}

#[test]
fn the_backends_name_tells_the_provider_if_it_holds_one() {
    for (backend, provider) in [
        ("default/openai/route/r1/rule/0/ref/0", Some("openai")),
        ("prod/azure-openai-eu/route/r1", Some("azure")),
        ("prod/aws-bedrock/route/r1", Some("bedrock")),
        ("prod/my_mistral/route/r1", Some("mistral")),
        ("default/tars/route/aigw-run/rule/0/ref/0", None),
        ("aws.bedrock", Some("bedrock")),
    ] {
        let entry = entry(&line(&format!(r#""genai_model_name":"m","genai_backend_name":"{backend}""#)));
        assert_eq!(entry.provider.as_deref(), provider, "{backend}");
    }
}

#[test]
fn the_override_served_unless_the_answer_names_a_model() {
    let models = |members: &str| {
        let entry = entry(&line(members));
        (entry.request_model.map(String::from), entry.response_model.map(String::from))
    };
    let asked = Some("smart".to_owned());
    let overridden = r#""genai_model_name":"smart","genai_model_name_override":"gpt-4o""#;
    assert_eq!(models(overridden), (asked.clone(), Some("gpt-4o".to_owned())));
    let served =
        r#""genai_model_name":"smart","genai_model_name_override":"gpt-4o","gen_ai.response.model":"gpt-4o-x""#;
    assert_eq!(models(served), (asked, Some("gpt-4o-x".to_owned())));
}

#[test]
fn tools_and_other_traffic_have_no_entry() {
    let none =
        |members: &str, path: &str| entries(&line(members).replace("/v1/chat/completions", path)).unwrap().is_empty();
    assert!(none(r#""genai_model_name":null,"mcp_method":"tools/call","mcp_backend":"c7""#, "/mcp"));
    assert!(none(r#""genai_model_name":null,"genai_tokens_input":null"#, "/healthz"));
    assert!(!none(r#""genai_model_name":null,"genai_tokens_input":null"#, "/v1/messages"));
}

#[test]
fn a_client_that_left_is_incomplete_and_an_unanswered_call_an_error() {
    let left = entry(&line(r#""genai_model_name":"m""#).replace(r#""response_flags":"-""#, r#""response_flags":"DC""#));
    assert_eq!(left.status, Status::Incomplete);
    let line = line(r#""genai_model_name":"m","llm_input_token":0,"llm_output_token":0"#)
        .replace(r#""response_code":200"#, r#""response_code":0"#)
        .replace(r#""response_flags":"-""#, r#""response_flags":"UF""#);
    let failed = entry(&line);
    assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some("UF")));
    assert_eq!((failed.http_status, failed.usage_source), (None, UsageSource::Absent));
}

#[test]
fn calls_that_share_a_request_id_stay_apart() {
    let id = |input: u32| {
        let entry = entry(&line(&format!(r#""genai_model_name":"m","llm_input_token":{input}"#)));
        assert_eq!(entry.event_id.as_deref(), Some("x1"));
        entry.id()
    };
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
}

#[test]
fn the_path_tells_the_operation() {
    for (path, operation) in [
        ("/v1/embeddings", "embeddings"),
        ("/v1/responses", "responses"),
        ("/anthropic/v1/messages", "chat"),
        ("/cohere/v2/rerank", "rerank"),
        ("/v1/images/generations", "image"),
    ] {
        let line = line(r#""genai_model_name":"m","llm_input_token":3"#).replace("/v1/chat/completions", path);
        assert_eq!(entry(&line).operation.map(Operation::as_str), Some(operation), "{path}");
    }
}
