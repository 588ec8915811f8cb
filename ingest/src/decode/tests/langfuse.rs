use super::*;

/// An observation with `members` over the least it has.
fn seen(members: &str) -> String {
    format!(
        r#"{{"id":"o1","traceId":"t1","type":"GENERATION","startTime":"2026-11-20T03:00:00.000Z",
            "endTime":"2026-11-20T03:00:02.400Z","parentObservationId":null,"model":"gpt-5.4",{members}}}"#
    )
}

#[test]
fn exclusive_keys_are_summed_by_what_they_hold() {
    let entry = entry(&seen(
        r#""usageDetails":{"input":57,"cache_read_input_tokens":18400,"input_cache_creation_5m":640,"input_cache_creation_1h":2304,
            "input_audio_tokens":5,"output":100,"output_reasoning_tokens":100,"output_audio_tokens":10,"total":21616,"web_search":2}"#,
    ));
    let tokens = entry.tokens;
    assert_eq!((tokens.input, tokens.output, tokens.buckets().check), (Some(21_406), Some(210), None));
    assert_eq!((tokens.cache_read, tokens.cache_write), (Some(18_400), Some(2_944)));
    assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (Some(640), Some(2_304)));
    assert_eq!((tokens.reasoning, tokens.input_audio, tokens.output_audio), (Some(100), Some(5), Some(10)));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"usageDetails.web_search":2}"#));
}

#[test]
fn the_reading_that_gives_the_total_is_the_one_meant() {
    let inclusive = r#""usageDetails":{"input":900,"input_cached_tokens":512,"output":120,"output_reasoning_tokens":64,"total":1020}"#;
    let tokens = entry(&seen(inclusive)).tokens;
    assert_eq!((tokens.input, tokens.output, tokens.buckets().check), (Some(900), Some(120), None));
    let neither = r#""usageDetails":{"input":900,"input_cached_tokens":512,"output":120,"total":5}"#;
    assert_eq!(entry(&seen(neither)).tokens.buckets().check, Some("total_differs"));
}

#[test]
fn older_forms_of_usage_are_read_when_there_are_no_details() {
    for usage in [
        r#""usage":{"input":9,"output":2,"total":11,"unit":"TOKENS"}"#,
        r#""usage":{"promptTokens":9,"completionTokens":2,"totalTokens":11},"usageDetails":{}"#,
        r#""promptTokens":9,"completionTokens":2,"totalTokens":11,"usageDetails":{}"#,
        r#""usage_details":"{\"input\":9,\"output\":2,\"total\":11}""#,
        r#""usageDetails":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}"#,
        r#""usageDetails":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}"#,
    ] {
        let entry = entry(&seen(usage));
        assert_eq!((entry.tokens.input, entry.tokens.output), (Some(9), Some(2)), "{usage}");
        assert_eq!((entry.usage_source, entry.tokens.buckets().check), (UsageSource::Gateway, None), "{usage}");
    }
}

#[test]
fn other_units_than_tokens_are_meters() {
    let entry = entry(&seen(r#""usage":{"input":1200,"output":0,"unit":"CHARACTERS"}"#));
    assert_eq!(entry.usage_source, UsageSource::Absent);
    assert_eq!(meter(&entry, "input_characters").as_deref(), Some("1200"));
}

#[test]
fn renamed_and_retyped_counts_are_kept_or_refused_and_never_zero() {
    let renamed = entry(&seen(r#""usageDetails":{"tokens_fresh":5}"#));
    assert_eq!(renamed.usage_source, UsageSource::Absent);
    assert_eq!(renamed.extra.as_deref(), Some(r#"{"usageDetails.tokens_fresh":5}"#));
    assert_eq!(refused_at(&seen(r#""usageDetails":{"input":"many"}"#)), "$.usageDetails");
    assert_eq!(entry(&seen(r#""usageDetails":{"input":"9","output":null}"#)).tokens.input, Some(9));
}

#[test]
fn langfuses_own_count_is_an_estimate() {
    let source = |sent: &str| {
        entry(&seen(&format!(r#""usageDetails":{{"input":9,"output":2}},"providedUsageDetails":{sent}"#))).usage_source
    };
    assert_eq!(source("{}"), UsageSource::Estimated);
    assert_eq!(source(r#"{"input":9}"#), UsageSource::Gateway);
}

#[test]
fn only_generations_and_embeddings_are_calls() {
    for (kind, calls) in [
        ("GENERATION", 1),
        ("generation", 1),
        ("EMBEDDING", 1),
        ("SPAN", 0),
        ("AGENT", 0),
        ("TOOL", 0),
        ("CHAIN", 0),
        ("RETRIEVER", 0),
        ("EVALUATOR", 0),
        ("GUARDRAIL", 0),
        ("EVENT", 0),
    ] {
        let event = seen(r#""usageDetails":{"input":9}"#).replace("GENERATION", kind);
        assert_eq!(entries(&event).unwrap().len(), calls, "{kind}");
    }
    let embedding = entry(&seen(r#""usageDetails":{"input":9}"#).replace("GENERATION", "EMBEDDING"));
    assert_eq!((embedding.operation.map(Operation::as_str), embedding.tokens.output), (Some("embeddings"), Some(0)));
}

#[test]
fn costs_come_from_the_newest_form() {
    let cost = |members: &str| entry(&seen(members)).reported_cost.map(|cost| cost.to_string());
    assert_eq!(cost(r#""costDetails":{"input":0.1,"total":0.3},"totalCost":0.9"#).unwrap(), "0.300000000000");
    assert_eq!(cost(r#""costDetails":{},"totalCost":"0.041775""#).unwrap(), "0.041775000000");
    assert_eq!(cost(r#""costDetails":{"input":0.1,"output":0.2}"#).unwrap(), "0.300000000000");
    assert_eq!(cost(r#""calculatedTotalCost":0.5"#).unwrap(), "0.500000000000");
    assert_eq!(cost(r#""costDetails":{}"#), None);
}

#[test]
fn a_start_is_pending_and_its_end_is_richer() {
    let start = seen(r#""usageDetails":{},"output":null"#).replace(r#""2026-11-20T03:00:02.400Z""#, "null");
    let (start, end) = (entry(&start), entry(&seen(r#""usageDetails":{"input":9}"#)));
    assert_eq!((start.status, start.id()), (Status::Pending, end.id()));
    assert!(end.richness() > start.richness());
}

#[test]
fn times_are_of_the_instants_and_else_of_seconds() {
    let both = entry(&seen(r#""latency":9,"completionStartTime":"2026-11-20T03:00:00.500Z","timeToFirstToken":9"#));
    assert_eq!((both.latency_ms, both.ttft_ms, both.streamed), (Some(2_400), Some(500), Some(true)));
    let seconds =
        seen(r#""latency":2.4,"timeToFirstToken":0.5"#).replace(r#""endTime":"2026-11-20T03:00:02.400Z","#, "");
    let seconds = entry(&seconds);
    assert_eq!((seconds.latency_ms, seconds.ttft_ms), (Some(2_400), Some(500)));
    let export = r#"{"id":"o1","type":"GENERATION","start_time":"2026-11-20 03:00:00.000","end_time":"2026-11-20 03:00:01.000",
        "provided_model_name":"m","usage_details":{"input":1}}"#;
    assert_eq!(entry(export).latency_ms, Some(1_000));
}

#[test]
fn the_provider_is_what_an_instrumentation_told_and_else_unknown() {
    let provider = |metadata: &str| entry(&seen(&format!(r#""metadata":{metadata}"#))).provider.map(String::from);
    assert_eq!(provider("{}"), None);
    assert_eq!(provider(r#"{"ls_provider":"anthropic"}"#).as_deref(), Some("anthropic"));
    assert_eq!(provider(r#"{"attributes":{"gen_ai.system":"az.ai.openai"}}"#).as_deref(), Some("azure"));
    assert_eq!(
        provider(r#""{\"attributes\":\"{\\\"gen_ai.provider.name\\\":\\\"aws.bedrock\\\"}\"}""#).as_deref(),
        Some("bedrock")
    );
}

#[test]
fn the_model_is_the_one_that_was_sent() {
    let model = |members: &str| {
        let event = seen(r#""usageDetails":{"input":9}"#).replace(r#""model":"gpt-5.4""#, members);
        entry(&event).response_model.map(String::from)
    };
    for (members, name) in [
        (r#""model":"gpt-5.4","providedModelName":"gpt-5.4-2026-03""#, "gpt-5.4-2026-03"),
        (r#""providedModelName":null,"model":"gpt-5.4""#, "gpt-5.4"),
        (r#""provided_model_name":"","model":"gpt-5.4""#, "gpt-5.4"),
    ] {
        assert_eq!(model(members).as_deref(), Some(name), "{members}");
    }
}

#[test]
fn bodies_are_requests_messages_or_text_raw_or_not() {
    for (input, output) in [
        (r#"[{"role":"user","content":"quoi ?"}]"#, r#"{"role":"assistant","content":"rien"}"#),
        (
            r#"{"messages":[{"role":"user","content":"quoi ?"}],"tools":[]}"#,
            r#"{"choices":[{"message":{"content":"rien"}}]}"#,
        ),
        (r#""[{\"role\":\"user\",\"content\":\"quoi ?\"}]""#, r#""\"rien\"""#),
        (r#""quoi ?""#, r#""rien""#),
        (
            r#"[{"role":"user","content":"quoi ?"}]"#,
            r#"{"type":"message","content":[{"type":"text","text":"rien"}],"stop_reason":"end_turn"}"#,
        ),
    ] {
        let entry = entry(&seen(&format!(r#""input":{input},"output":{output}"#)));
        assert_eq!(said(&entry), (Some("quoi ?".to_owned()), Some("rien".to_owned())), "{input} {output}");
    }
    assert!(entry(&seen(r#""input":null,"output":null"#)).body.is_none());
}

#[test]
fn features_come_from_the_request_and_its_parameters() {
    let entry = entry(&seen(
        r#""modelParameters":{"temperature":0,"response_format":"{'type': 'json_schema'}"},
            "input":{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}],
            "tools":[{"type":"function","function":{"name":"f"}}]}"#,
    ));
    assert_eq!(features(&entry), ["tool_calling", "structured_output", "vision_input"]);
    assert!(entry.body.unwrap().tool_definitions.is_some());
}

#[test]
fn a_long_error_keeps_its_first_words_alone() {
    let failed = |message: &str| entry(&seen(&format!(r#""level":"ERROR","statusMessage":"{message}""#)));
    assert_eq!(failed("RateLimitError: 429").error_type.as_deref(), Some("RateLimitError: 429"));
    let long = failed(&format!("BadRequestError: {}", "prompt ".repeat(100)));
    assert_eq!((long.status, long.error_type.as_deref()), (Status::Error, Some("BadRequestError")));
}

#[test]
fn writes_told_whole_and_split_are_counted_once() {
    let tokens = entry(&seen(
        r#""usageDetails":{"input":57,"cache_creation_input_tokens":2944,"ephemeral_5m_input_tokens":640,
            "ephemeral_1h_input_tokens":2304,"output":10,"total":3011}"#,
    ))
    .tokens;
    assert_eq!((tokens.input, tokens.cache_write, tokens.buckets().check), (Some(3_001), Some(2_944), None));
    assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (Some(640), Some(2_304)));
}

#[test]
fn a_page_of_an_api_is_its_rows() {
    let row = seen(r#""usageDetails":{"input":9}"#);
    let other = row.replace("o1", "o2");
    let page = format!(r#"{{"data":[{row},{other}],"meta":{{"page":1,"totalItems":2}}}}"#);
    assert_eq!(entries(&page).unwrap().len(), 2);
    let mut stated = 0;
    let event = Event::of(page.as_bytes());
    decode(&event, Some(Format::Langfuse), &BODIES, &mut |_| stated += 1).unwrap();
    assert_eq!(stated, 2);
    let broken = other.replace(r#""input":9"#, r#""input":"many""#);
    let mut sunk = 0;
    let page = format!(r#"{{"data":[{row},{broken}]}}"#);
    let error = decode(&Event::of(page.as_bytes()), None, &BODIES, &mut |_| sunk += 1).unwrap_err();
    assert!(matches!(error, DecodeError::BadValue { place, .. } if place.path == "$.data[1].usageDetails"));
    assert_eq!(sunk, 0);
    assert_eq!(entries(r#"{"data":[{"object":"model"}]}"#).unwrap_err().code(), "DECODE-006");
}
