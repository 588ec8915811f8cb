use super::*;

/// A log with `members` over the least a log has.
fn log(members: &str) -> String {
    format!(r#"{{"id":"pk","ai_org":"openai","ai_model":"gpt-4o","is_success":true,{members}}}"#)
}

#[test]
fn cents_become_dollars_with_every_digit() {
    let dollars = |cents: &str| entry(&log(&format!(r#""cost":{cents},"cost_currency":"USD""#))).reported_cost;
    for (cents, exact) in [
        ("0.0711", "0.000711000000"),
        ("7.11e-2", "0.000711000000"),
        ("\"12\"", "0.120000000000"),
        ("0.0000000001", "0.000000000001"),
    ] {
        assert_eq!(dollars(cents).unwrap().to_string(), exact, "{cents}");
    }
    assert_eq!(dollars("null"), None);
    assert_eq!(refused_at(&log(r#""cost":"free""#)), "$.cost");
    let euros = entry(&log(r#""cost":7,"cost_currency":"EUR""#));
    assert_eq!((euros.reported_cost, euros.reported_currency), (None, None));
    assert_eq!(euros.extra.as_deref(), Some(r#"{"cost_currency":"EUR","cost":7}"#));
    let sign = entry(&log(r#""cost":7,"cost_currency":"€""#));
    assert_eq!(sign.extra.as_deref(), Some(r#"{"cost_currency":"€","cost":7}"#));
}

#[test]
fn units_are_floats_and_a_fraction_is_no_count() {
    let tokens = entry(&log(r#""req_units":112.0,"res_units":"47","total_units":159.0"#)).tokens;
    assert_eq!((tokens.input, tokens.output, tokens.total), (Some(112), Some(47), Some(159)));
    assert_eq!(entry(&log(r#""req_units":1.5,"res_units":2"#)).tokens.input, None);
}

#[test]
fn an_answer_of_anthropic_keeps_its_cache_inside_and_states_no_lifetime() {
    let log = log(
        r#""req_units":21401,"res_units":210,"response":{"model":"claude-opus-5","choices":[{"message":{"content":"hi"}}],
            "usage":{"prompt_tokens":21401,"completion_tokens":210,"total_tokens":21611,"cache_read_input_tokens":18400,
            "cache_creation_input_tokens":2944}}"#,
    );
    let tokens = entry(&log.replace("\"openai\"", "\"anthropic\"")).tokens;
    assert_eq!((tokens.input, tokens.cache_read, tokens.cache_write), (Some(21_401), Some(18_400), Some(2_944)));
    assert_eq!((tokens.cache_write_5m, tokens.cache_write_30m, tokens.buckets().check), (None, None, None));
}

#[test]
fn counts_that_contradict_the_answer_are_flagged() {
    let log = log(
        r#""req_units":500,"res_units":210,"response":{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":210}}"#,
    );
    let entry = entry(&log);
    assert_eq!((entry.tokens.input, entry.tokens.buckets().check), (Some(100), Some("total_differs")));
}

#[test]
fn providers_have_one_name() {
    for (org, provider) in [
        ("azure-openai", "azure"),
        ("vertex-ai", "vertex_ai"),
        ("google", "gemini"),
        ("mistral-ai", "mistral"),
        ("bedrock", "bedrock"),
        ("together-ai", "together_ai"),
        ("acme-llm", "acme-llm"),
    ] {
        let entry = entry(&log(r#""cost":0"#).replace("\"openai\"", &format!("\"{org}\"")));
        assert_eq!(entry.provider.as_deref(), Some(provider), "{org}");
    }
}

#[test]
fn hits_streams_and_refusals_are_told() {
    let hit = |status: &str| entry(&log(&format!(r#""cache_status":"{status}""#))).gateway_cache_hit;
    assert_eq!([hit("HIT"), hit("SEMANTIC HIT"), hit("MISS")], [Some(true), Some(true), Some(false)]);
    assert_eq!(hit("DISABLED"), Some(false));
    assert_eq!(entry(&log(r#""stream_mode":1"#)).streamed, Some(true));
    let denied = entry(&log(r#""response_status_code":446"#).replace("true", "false"));
    assert_eq!((denied.status, features(&denied)), (Status::Filtered, vec!["guardrails"]));
}

#[test]
fn metadata_is_an_object_text_or_two_lists() {
    for metadata in [
        r#""metadata":{"_user":"u-7","team":"claims","env":"prod","n":3}"#,
        r#""metadata":"{\"_user\":\"u-7\",\"team\":\"claims\",\"env\":\"prod\",\"n\":3}""#,
        r#""metadata.key":["_user","team","env","n"],"metadata.value":["u-7","claims","prod","3"]"#,
    ] {
        let entry = entry(&log(metadata));
        assert_eq!((entry.end_user.as_deref(), entry.team.as_deref()), (Some("u-7"), Some("claims")), "{metadata}");
        assert_eq!(entry.environment.as_deref(), Some("prod"), "{metadata}");
        let tags = entry.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        assert_eq!(tags, ["team=claims", "env=prod", "n=3"], "{metadata}");
    }
}

#[test]
fn an_inserted_log_is_read_through_its_wrapping() {
    let event = r#"{"request":{"url":"https://api.openai.com/v1/chat/completions","provider":"openai","method":"POST",
        "headers":{"authorization":"Bearer secret"},"body":{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}},
        "response":{"status":200,"response_time":123,"body":{"model":"gpt-4o-x","choices":[{"finish_reason":"stop",
        "message":{"content":"yo"}}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}},
        "metadata":{"traceId":"t-1","spanId":"s-1","user":"u-1"}}"#;
    let mut entries = Vec::new();
    decode(&Event::of(event.as_bytes()), Some(Format::Portkey), &BODIES, &mut |entry| entries.push(entry)).unwrap();
    let entry = entries.pop().unwrap();
    assert_eq!((entry.tokens.input, entry.usage_source), (Some(3), UsageSource::Provider));
    assert_eq!((entry.latency_ms, entry.http_status), (Some(123), Some(200)));
    assert_eq!((entry.event_id.as_deref(), entry.trace_id.as_deref()), (Some("s-1"), Some("t-1")));
    assert_eq!((entry.request_model.as_deref(), entry.model()), (Some("gpt-4o"), Some("gpt-4o-x")));
    assert_eq!(said(&entry), (Some("hi".to_owned()), Some("yo".to_owned())));
    assert!(!format!("{:?}", Entry { raw: b"", ..entry }).contains("secret"));
}

#[test]
fn features_come_from_the_kept_request() {
    let entry = entry(&log(
        r#""request":{"model":"gpt-4o","messages":[],"tools":[{"type":"function","function":{"name":"f"}}],
            "response_format":{"type":"json_schema"}}"#,
    ));
    assert_eq!(features(&entry), ["tool_calling", "structured_output"]);
}
