use super::*;

/// A payload with `members` over the least a payload has.
fn payload(members: &str) -> String {
    format!(r#"{{"call_type":"acompletion","status":"success","response_cost":0.5,"model":"gpt-4o",{members}}}"#)
}

#[test]
fn numbers_may_be_text_or_whole_floats() {
    let entry = entry(&payload(
        r#""id":"a","prompt_tokens":"12","completion_tokens":3.0,"total_tokens":15,"startTime":"1795170000.25",
            "endTime":1795170001,"cache_hit":"True","stream":"false""#,
    ));
    assert_eq!((entry.tokens.input, entry.tokens.output), (Some(12), Some(3)));
    assert_eq!(entry.latency_ms, Some(750));
    assert_eq!((entry.gateway_cache_hit, entry.streamed), (Some(true), Some(false)));
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    assert_eq!(refused_at(&payload(r#""prompt_tokens":"many""#)), "$.prompt_tokens");
    assert_eq!(refused_at(&payload(r#""prompt_tokens":1.5"#)), "$.prompt_tokens");
    assert_eq!(refused_at(&payload(r#""prompt_tokens":99999999999999999999"#)), "$.prompt_tokens");
    assert_eq!(refused_at(&payload(r#""metadata":[]"#)), "$.metadata");
    assert_eq!(
        refused_at(&payload(r#""metadata":{"usage_object":{"prompt_tokens_details":{"cached_tokens":"x"}}}"#)),
        "$.metadata.usage_object.prompt_tokens_details.cached_tokens"
    );
    assert_eq!(refused_at(&payload(r#""startTime":"yesterday""#)), "$.startTime");
    assert_eq!(refused_at(&payload(r#""request_tags":["a",{}]"#)), "$.request_tags[1]");
    let free = payload(r#""id":"a""#).replace("0.5", "\"free\"");
    assert_eq!(refused_at(&free), "$.response_cost");
}

#[test]
fn zeros_for_an_answer_without_counts_are_none() {
    const ZEROS: &str = r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0"#;
    let entry = entry(&payload(&format!(r#""id":"a",{ZEROS}"#)).replace("acompletion", "atranscription"));
    assert_eq!((entry.tokens.is_absent(), entry.usage_source), (true, UsageSource::Absent));
    let counted = payload(r#""id":"a","prompt_tokens":7,"completion_tokens":0,"total_tokens":7"#);
    assert_eq!(super::entry(&counted).tokens.output, Some(0));
}

#[test]
fn money_keeps_every_digit() {
    let cost =
        |text: &str| entry(&payload(r#""id":"a""#).replace("0.5", text)).reported_cost.map(|cost| cost.to_string());
    assert_eq!(cost("0.1234567890125").unwrap(), "0.123456789012");
    assert_eq!(cost("1.25e-05").unwrap(), "0.000012500000");
    assert_eq!(cost("\"0.000000000001\"").unwrap(), "0.000000000001");
    assert_eq!(cost("null"), None);
}

#[test]
fn a_payload_without_id_is_known_by_its_call_or_by_its_bytes() {
    assert_eq!(entry(&payload(r#""id":null,"litellm_call_id":"call-1""#)).event_id.as_deref(), Some("call-1"));
    let (one, other) = (entry(&payload(r#""id":"""#)), entry(&payload(r#""id":null"#)));
    assert_eq!((one.event_id.as_deref(), other.event_id.as_deref()), (None, None));
    assert_ne!(one.id(), other.id());
}

#[test]
fn an_object_that_only_looks_like_one_is_refused() {
    for event in [r#"{"id":null}"#, r#"{"id":42,"status":"success"}"#, r#"{"startTime":1}"#] {
        let error = decode(&Event::of(event.as_bytes()), Some(Format::LiteLlm), &BODIES, &mut |_| {}).unwrap_err();
        assert_eq!(error.code(), "DECODE-009", "{event}");
    }
}

#[test]
fn call_types_tell_the_operation() {
    for (call_type, operation) in [
        ("completion", "chat"),
        ("atext_completion", "chat"),
        ("anthropic_messages", "chat"),
        ("agenerate_content_stream", "chat"),
        ("allm_passthrough_route", "chat"),
        ("aembedding", "embeddings"),
        ("arerank", "rerank"),
        ("aresponses", "responses"),
        ("atranscription", "transcription"),
        ("aspeech", "speech"),
        ("aimage_generation", "image"),
        ("_arealtime", "realtime"),
    ] {
        let event = payload(r#""id":"a""#).replace("acompletion", call_type);
        assert_eq!(entry(&event).operation.map(Operation::as_str), Some(operation), "{call_type}");
    }
}

#[test]
fn prefixes_go_and_providers_have_one_name() {
    for (provider, model, expected) in [
        ("\"azure\"", "azure/gpt-4o-eu", ("azure", "gpt-4o-eu", None)),
        ("null", "azure/gpt-4o-eu", ("azure", "gpt-4o-eu", None)),
        (
            "\"bedrock\"",
            "bedrock/us-east-1/anthropic.claude-v1:0",
            ("bedrock", "anthropic.claude-v1:0", Some("us-east-1")),
        ),
        ("\"bedrock_converse\"", "anthropic.claude-v1:0", ("bedrock", "anthropic.claude-v1:0", None)),
        ("\"vertex_ai-anthropic_models\"", "vertex_ai/claude-opus-5", ("vertex_ai", "claude-opus-5", None)),
        ("\"openrouter\"", "openrouter/deepseek/deepseek-v4", ("openrouter", "deepseek/deepseek-v4", None)),
        ("\"groq\"", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b", None)),
        ("\"cohere_chat\"", "command-a", ("cohere", "command-a", None)),
    ] {
        let event = payload(&format!(r#""custom_llm_provider":{provider}"#)).replace("gpt-4o", model);
        let entry = entry(&event);
        let found = (entry.provider.as_deref().unwrap(), entry.model().unwrap(), entry.region.as_deref());
        assert_eq!(found, expected, "{model}");
    }
}

#[test]
fn the_answers_own_model_served_and_the_group_was_asked_for() {
    let entry = entry(&payload(
        r#""model_group":"smart","custom_llm_provider":"azure","response":{"model":"gpt-4o-2024-11-20","service_tier":"default"}"#,
    ));
    assert_eq!(entry.request_model.as_deref(), Some("smart"));
    assert_eq!(entry.response_model.as_deref(), Some("gpt-4o-2024-11-20"));
    assert_eq!(entry.service_tier.as_deref(), Some("default"));
}

#[test]
fn a_failure_has_its_word_its_status_and_no_counts() {
    let failed = |information: &str| {
        let members =
            format!(r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"error_information":{information}"#);
        entry(&payload(&members).replace("\"success\"", "\"failure\""))
    };
    let limited = failed(r#"{"error_code":"429","error_class":"RateLimitError"}"#);
    assert_eq!(
        (limited.status, limited.error_type.as_deref(), limited.http_status),
        (Status::Error, Some("RateLimitError"), Some(429))
    );
    assert_eq!((limited.tokens, limited.usage_source), (daybook_ledger::Tokens::default(), UsageSource::Absent));
    assert_eq!(
        failed(r#"{"error_code":"context_length_exceeded","error_class":"X"}"#).error_type.unwrap(),
        "context_length_exceeded"
    );
    assert_eq!(failed(r#"{"error_code":503}"#).error_type.unwrap(), "503");
    assert_eq!(failed("null").error_type, None);
    let blocked = failed(r#"{"error_code":"400","error_class":"ContentPolicyViolationError"}"#);
    assert_eq!(blocked.status, Status::Filtered);
}

#[test]
fn a_failure_that_counted_keeps_its_counts() {
    let event = payload(r#""prompt_tokens":40,"completion_tokens":7"#).replace("\"success\"", "\"failure\"");
    assert_eq!(entry(&event).tokens.output, Some(7));
}

#[test]
fn writes_by_lifetime_meters_and_modalities_come_from_the_usage_object() {
    let entry = entry(&payload(
        r#""prompt_tokens":100,"completion_tokens":20,"metadata":{"usage_object":{"prompt_tokens_details":{
            "cached_tokens":10,"cache_write_tokens":30,"cache_creation_tokens":30,"audio_tokens":5,"image_tokens":null,
            "cache_creation_token_details":{"ephemeral_30m_input_tokens":10,"ephemeral_12h_input_tokens":20},
            "web_search_requests":2},"completion_tokens_details":{"audio_tokens":4,"reasoning_tokens":1}}}"#,
    ));
    let tokens = entry.tokens;
    assert_eq!((tokens.cache_write, tokens.cache_write_30m, tokens.cache_write_12h), (Some(30), Some(10), Some(20)));
    assert_eq!((tokens.cache_write_5m, tokens.input_audio, tokens.input_image), (None, Some(5), None));
    assert_eq!((tokens.output_audio, tokens.reasoning), (Some(4), Some(1)));
    assert_eq!(tokens.buckets().check, None);
    assert_eq!(meter(&entry, "web_search_requests").as_deref(), Some("2"));
    assert_eq!(features(&entry), ["audio_input", "audio_output", "web_search"]);
}

#[test]
fn what_a_grounded_prompt_found_is_input_though_it_stands_beside_the_prompt() {
    let counts = |total: u32| {
        let entry = entry(&payload(&format!(
            r#""prompt_tokens":10,"completion_tokens":5,"total_tokens":{total},"metadata":{{"usage_object":{{"prompt_tokens":10,
            "completion_tokens":5,"total_tokens":{total},"prompt_tokens_details":{{"tool_use_tokens":400,"web_search_requests":1}}}}}}"#
        )));
        (entry.tokens.input, entry.tokens.buckets().check, meter(&entry, "input_tool_use_tokens"))
    };
    assert_eq!(counts(415), (Some(410), None, Some("400".to_owned())));
    assert_eq!(counts(15), (Some(10), None, Some("400".to_owned())));
    assert_eq!(counts(16), (Some(10), Some("total_differs"), Some("400".to_owned())));
}

#[test]
fn the_usage_object_may_stand_in_hidden_params_or_replace_the_totals() {
    let event =
        r#""hidden_params":{"usage_object":{"prompt_tokens":9,"completion_tokens":1,"cache_read_input_tokens":4}}"#;
    let entry = entry(&payload(event));
    assert_eq!((entry.tokens.input, entry.tokens.output, entry.tokens.cache_read), (Some(9), Some(1), Some(4)));
}

#[test]
fn metadata_tells_whose_call_it_was() {
    let entry = entry(&payload(
        r#""metadata":{"user_api_key_alias":"bot","user_api_key_team_id":"t-1","user_api_key_project_alias":"p",
            "user_api_key_end_user_id":"c-1","spend_logs_metadata":{"env":"prod","feature":"triage","n":3,"no":null}},
            "end_user":"","request_tags":["team:claims","plain"]"#,
    ));
    assert_eq!(entry.team.as_deref(), Some("t-1"));
    assert_eq!(entry.project.as_deref(), Some("p"));
    assert_eq!(entry.api_key_alias.as_deref(), Some("bot"));
    assert_eq!(entry.end_user.as_deref(), Some("c-1"));
    assert_eq!(entry.environment.as_deref(), Some("prod"));
    assert_eq!(entry.workload_hint.as_deref(), Some("triage"));
    let tags = entry.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    assert_eq!(tags, ["env=prod", "feature=triage", "n=3", "team=claims", "plain="]);
}

#[test]
fn redacted_text_is_no_body() {
    let redacted = r#""messages":[{"role":"user","content":"redacted-by-litellm"}],
        "response":{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"redacted-by-litellm"}}]}"#;
    let redacted = entry(&payload(redacted));
    assert!(redacted.body.is_none());
    assert_eq!(redacted.finish_reason.as_deref(), Some("stop"));
    assert!(
        entry(&payload(r#""messages":"redacted-by-litellm","response":{"text":"redacted-by-litellm"}"#)).body.is_none()
    );
    assert!(entry(&payload(r#""messages":{},"response":{}"#)).body.is_none());
    assert!(entry(&payload(r#""messages":[],"response":"""#)).body.is_none());
    let half =
        entry(&payload(r#""messages":[{"role":"user","content":"hi"}],"response":{"text":"redacted-by-litellm"}"#));
    assert_eq!(said(&half), (Some("hi".to_owned()), None));
}

#[test]
fn answers_in_any_dialect_are_read() {
    for response in [
        r#"{"choices":[{"index":1,"message":{"content":"b"}},{"index":0,"message":{"content":"a"}}]}"#,
        r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]}]}"#,
        r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"stop_reason":"end_turn"}"#,
        r#"{"choices":[{"text":"a"},{"text":"b"}]}"#,
    ] {
        let entry = entry(&payload(&format!(r#""response":{response}"#)));
        assert_eq!(said(&entry).1.as_deref(), Some("a\nb"), "{response}");
    }
}

#[test]
fn features_come_from_parameters_guardrails_and_messages() {
    let event = payload(
        r#""custom_llm_provider":"openai","model_parameters":{"tools":[{"type":"function","function":{"name":"f"}}],
            "response_format":{"type":"json_schema"},"n":2,"user":"u-7"},"metadata":{"applied_guardrails":["pii"]},
            "standard_built_in_tools_params":{"web_search_options":null,"file_search":{}},
            "messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]"#,
    );
    let entry = entry(&event);
    assert_eq!(
        features(&entry),
        [
            "tool_calling",
            "structured_output",
            "prompt_cache_control",
            "hosted_vector_store",
            "multiple_choices",
            "guardrails"
        ]
    );
    assert_eq!(entry.end_user.as_deref(), Some("u-7"));
    let body = entry.body.unwrap();
    assert_eq!(body.tool_definitions.as_deref(), Some(r#"[{"type":"function","function":{"name":"f"}}]"#));
}

#[test]
fn vectors_for_tokens_by_their_numbers_have_a_body_without_words() {
    let call =
        payload(r#""response":{"object":"list","data":[{"embedding":[0.1],"index":0}]},"messages":[[9906,1917]]"#)
            .replace("acompletion", "aembedding");
    let body = entry(&call).body.unwrap();
    assert_eq!((body.input_messages, body.output_messages), (None, None));
    assert!(entry(&call.replace("embedding\":[0.1]", "order\":1")).body.is_none(), "nothing is in it");
}

#[test]
fn an_embedding_binds_to_a_vendor_but_not_to_an_open_model() {
    let event = |provider: &str| {
        payload(&format!(r#""prompt_tokens":5,"custom_llm_provider":"{provider}""#))
            .replace("acompletion", "aembedding")
    };
    let vendor = entry(&event("openai"));
    assert_eq!(features(&vendor), ["proprietary_embedding"]);
    assert_eq!(vendor.tokens.output, Some(0));
    assert!(features(&entry(&event("ollama"))).is_empty());
}
