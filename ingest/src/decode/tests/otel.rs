use super::*;

/// One attribute: `value` is OTLP's, written out.
fn attribute(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{value}}}"#)
}

fn text(key: &str, value: &str) -> String {
    attribute(key, &format!(r#"{{"stringValue":"{value}"}}"#))
}

fn int(key: &str, value: i64) -> String {
    attribute(key, &format!(r#"{{"intValue":"{value}"}}"#))
}

fn span(attributes: &[String]) -> String {
    format!(
        r#"{{"traceId":"ABCDEF00","spanId":"Ab01","kind":3,"startTimeUnixNano":"1795170000000000000",
        "endTimeUnixNano":1795170000640600000,"attributes":[{}],"status":{{}}}}"#,
        attributes.join(",")
    )
}

fn batch(spans: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}],"resource":{{"attributes":[{},{}]}}}}]}}"#,
        text("service.name", "claims-bot"),
        text("deployment.environment", "prod")
    )
}

fn call(attributes: &[String]) -> Entry<'static> {
    let chat = [text("gen_ai.operation.name", "chat"), text("gen_ai.provider.name", "openai")];
    entry(&batch(&span(&[&chat, attributes].concat())))
}

#[test]
fn a_span_has_its_ids_times_and_sender_even_before_its_resource() {
    let entry = call(&[]);
    assert_eq!((entry.trace_id.as_deref(), entry.event_id.as_deref()), (Some("abcdef00"), Some("abcdef00/ab01")));
    assert_eq!(entry.latency_ms, Some(641));
    assert_eq!((entry.workload_hint.as_deref(), entry.environment.as_deref()), (Some("claims-bot"), Some("prod")));
    assert_eq!((entry.status, entry.usage_source), (Status::Success, UsageSource::Absent));
    assert!(entry.raw.starts_with(b"{\"traceId\"") && entry.raw.ends_with(b"}"));
}

#[test]
fn only_model_calls_count() {
    for (operation, count) in [
        ("chat", 1),
        ("generate_content", 1),
        ("text_completion", 1),
        ("embeddings", 1),
        ("invoke_agent", 0),
        ("create_agent", 0),
        ("execute_tool", 0),
        ("invoke_workflow", 0),
        ("retrieval", 0),
        ("plan", 0),
    ] {
        let attributes = [text("gen_ai.operation.name", operation), int("gen_ai.usage.input_tokens", 5)];
        assert_eq!(entries(&batch(&span(&attributes))).unwrap().len(), count, "{operation}");
    }
    assert!(entries(r#"{"resourceSpans":[]}"#).unwrap().is_empty());
    assert!(entries(r#"{"resourceMetrics":[{"scopeMetrics":[]}]}"#).unwrap().is_empty());
    assert!(
        entries(r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":{},"spans":null}]}]}"#)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_span_without_operation_counts_if_it_left_the_process() {
    let attributes = [
        text("gen_ai.system", "vertex_ai"),
        text("gen_ai.request.model", "gemini-3"),
        int("gen_ai.usage.prompt_tokens", 5),
    ];
    let client = entry(&batch(&span(&attributes)));
    assert_eq!((client.provider.as_deref(), client.tokens.input), (Some("vertex_ai"), Some(5)));
    for kind in ["\"kind\":1", "\"kind\":\"SPAN_KIND_INTERNAL\""] {
        assert!(entries(&batch(&span(&attributes)).replace("\"kind\":3", kind)).unwrap().is_empty());
    }
}

#[test]
fn other_spans_may_hold_anything() {
    let odd = [attribute("user.id", r#"{"arrayValue":{}}"#), attribute("http.status_code", r#"{"stringValue":"OK"}"#)];
    assert!(entries(&batch(&span(&odd))).unwrap().is_empty());
}

#[test]
fn the_present_name_wins_over_the_former() {
    let entry = call(&[
        int("gen_ai.usage.prompt_tokens", 1),
        int("gen_ai.usage.input_tokens", 100),
        int("gen_ai.usage.output_tokens", 20),
        int("gen_ai.usage.completion_tokens", 2),
        int("gen_ai.usage.cache_creation.input_tokens", 3),
        int("gen_ai.usage.cache_write.input_tokens", 30),
        attribute("gen_ai.usage.cache_read.input_tokens", r#"{"doubleValue":40.0}"#),
        int("gen_ai.usage.audio.input_tokens", 9),
        int("gen_ai.usage.audio.cache_read.input_tokens", 4),
        int("gen_ai.usage.total_tokens", 120),
    ]);
    let tokens = entry.tokens;
    assert_eq!(
        (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write),
        (Some(100), Some(20), Some(40), Some(30))
    );
    assert_eq!((tokens.input_audio, tokens.cache_write_5m), (Some(5), None));
    assert_eq!(tokens.buckets().check, None);
}

#[test]
fn counts_beside_their_total_are_taken_in() {
    let tokens = |input, output, reasoning, total: Option<i64>| {
        let mut attributes = vec![
            int("gen_ai.usage.input_tokens", input),
            int("gen_ai.usage.output_tokens", output),
            int("gen_ai.usage.cache_read.input_tokens", 18_400),
            int("gen_ai.usage.reasoning.output_tokens", reasoning),
        ];
        attributes.extend(total.map(|total| int("gen_ai.usage.total_tokens", total)));
        let tokens = call(&attributes).tokens;
        (tokens.input.unwrap(), tokens.output.unwrap(), tokens.buckets().check)
    };
    // Inclusive, as the convention has it.
    assert_eq!(tokens(18_457, 210, 150, None), (18_457, 210, None));
    assert_eq!(tokens(18_457, 210, 150, Some(18_667)), (18_457, 210, None));
    // The cache beside the input: it cannot be a part of it.
    assert_eq!(tokens(57, 210, 150, None), (18_457, 210, None));
    assert_eq!(tokens(57, 210, 150, Some(267)), (18_457, 210, None));
    // The total decides where both readings fit.
    assert_eq!(tokens(20_000, 210, 150, Some(38_610)), (38_400, 210, None));
    assert_eq!(tokens(20_000, 210, 150, Some(20_360)), (20_000, 360, None));
    // Reasoning beside the output.
    assert_eq!(tokens(20_000, 52, 305, None), (20_000, 357, None));
    // A total no reading explains is kept and flagged.
    assert_eq!(tokens(20_000, 210, 150, Some(1)), (20_000, 210, Some("total_differs")));
}

#[test]
fn failures_have_their_word_and_no_placeholder_counts() {
    let zeros = [int("gen_ai.usage.input_tokens", 0), int("gen_ai.usage.output_tokens", 0)];
    let failed = |more: &[String]| {
        let chat = [text("gen_ai.operation.name", "chat")];
        batch(&span(&[&chat, &zeros[..], more].concat())).replace(r#""status":{}"#, r#""status":{"code":2}"#)
    };
    let named = entry(&failed(&[text("error.type", "RateLimitError"), int("http.response.status_code", 429)]));
    assert_eq!(
        (named.status, named.error_type.as_deref(), named.http_status),
        (Status::Error, Some("RateLimitError"), Some(429))
    );
    assert_eq!((named.tokens.input, named.usage_source), (None, UsageSource::Absent));
    let bare = entry(&failed(&[]));
    assert_eq!((bare.status, bare.error_type), (Status::Error, None));
    let event = failed(&[]).replace(
        r#""status":"#,
        &format!(
            r#""events":[{{"name":"exception","attributes":[{}]}}],"status":"#,
            text("exception.type", "TimeoutError")
        ),
    );
    assert_eq!(entry(&event).error_type.as_deref(), Some("TimeoutError"));
    assert_eq!(call(&[text("error.type", "timeout")]).status, Status::Error);
    assert_eq!(
        call(&[attribute(
            "gen_ai.response.finish_reasons",
            r#"{"arrayValue":{"values":[{"stringValue":"content_filter"}]}}"#
        )])
        .status,
        Status::Filtered
    );
}

#[test]
fn providers_have_one_name_and_a_known_host_knows_better() {
    let served = |provider: &str, host: &str| {
        let attributes = [
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", provider),
            text("server.address", host),
        ];
        let entry = entry(&batch(&span(&attributes)));
        (entry.provider.unwrap().into_owned(), entry.region.map(std::borrow::Cow::into_owned))
    };
    assert_eq!(served("azure.ai.inference", ""), ("azure".to_owned(), None));
    assert_eq!(served("gcp.vertex_ai", ""), ("vertex_ai".to_owned(), None));
    assert_eq!(served("openai", "hl.openai.azure.com"), ("azure".to_owned(), None));
    assert_eq!(
        served("anthropic", "bedrock-runtime.eu-west-1.amazonaws.com"),
        ("bedrock".to_owned(), Some("eu-west-1".to_owned()))
    );
    assert_eq!(served("acme", "llm.acme.example"), ("acme".to_owned(), None));
}

#[test]
fn the_rest_of_the_attributes() {
    let entry = call(&[
        text("gen_ai.request.model", "ft:gpt-4o:acme::1"),
        text("gen_ai.response.id", "chatcmpl-1"),
        text("gen_ai.conversation.id", "conv-1"),
        text("session.id", "s-1"),
        text("user.id", "u-1"),
        text("gen_ai.agent.name", "Claims"),
        text("gen_ai.openai.response.service_tier", "scale"),
        text("gen_ai.output.type", "json"),
        int("gen_ai.request.choice.count", 2),
        attribute("gen_ai.request.stream", r#"{"boolValue":true}"#),
        attribute("gen_ai.response.time_to_first_chunk", r#"{"doubleValue":0.6104}"#),
        attribute("gen_ai.usage.cost", r#"{"doubleValue":0.000123}"#),
        attribute("gen_ai.tool.definitions", r#"{"stringValue":"[{\"type\":\"function\",\"name\":\"f\"}]"}"#),
    ]);
    assert_eq!(entry.event_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!((entry.session_id.as_deref(), entry.end_user.as_deref()), (Some("conv-1"), Some("u-1")));
    assert_eq!((entry.streamed, entry.ttft_ms), (Some(true), Some(610)));
    assert_eq!(entry.reported_cost.unwrap().to_string(), "0.000123000000");
    assert_eq!(
        features(&entry),
        ["tool_calling", "structured_output", "multiple_choices", "fine_tuned_model", "provisioned_capacity"]
    );
    assert_eq!(entry.tags, [("gen_ai.agent.name".into(), "Claims".into())]);
}

#[test]
fn structured_messages_are_the_same_as_messages_in_a_string() {
    let structured = r#"{"arrayValue":{"values":[{"kvlistValue":{"values":[
        {"key":"role","value":{"stringValue":"user"}},
        {"key":"parts","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[
            {"key":"type","value":{"stringValue":"text"}},{"key":"content","value":{"stringValue":"O\u00f9 ?"}}]}}]}}}]}}]}}"#;
    let string =
        r#"{"stringValue":"[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"O\\u00f9 ?\"}]}]"}"#;
    for value in [structured, string] {
        let entry = call(&[attribute("gen_ai.input.messages", value)]);
        assert_eq!(said(&entry).0.as_deref(), Some("Où ?"));
    }
}

#[test]
fn content_that_was_cut_or_is_plain_stays_text() {
    let entry = call(&[
        attribute("gen_ai.system_instructions", r#"{"stringValue":"Be kind."}"#),
        attribute("gen_ai.input.messages", r#"{"stringValue":"[{\"role\":\"us"}"#),
        attribute("gen_ai.completion", r#"{"stringValue":"hello"}"#),
    ]);
    assert_eq!(said(&entry), (Some("Be kind.\n[{\"role\":\"us".to_owned()), Some("hello".to_owned())));
}

#[test]
fn parts_of_messages_show_features() {
    let messages = r#"{"stringValue":"[{\"role\":\"user\",\"parts\":[{\"type\":\"blob\",\"modality\":\"image\",\"mime_type\":\"image/png\",\"content\":\"iVBO\"},{\"type\":\"file\",\"modality\":\"audio\",\"file_id\":\"f\"},{\"type\":\"tool_call_response\",\"id\":\"1\",\"response\":\"r\"}]}]"}"#;
    let entry = call(&[attribute("gen_ai.input.messages", messages)]);
    assert_eq!(features(&entry), ["tool_calling", "vision_input", "audio_input", "hosted_files"]);
    assert!(input(&entry).contains(r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"iVBO"}"#));
}

#[test]
fn the_log_event_of_a_call_is_a_call_and_others_are_not() {
    let record = |name: &str, more: &str| {
        format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}]}},"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"1795170000000000000",
            "traceId":"0af7","spanId":"b7ad",{name}"attributes":[{},{},{}{more}]}}]}}]}}]}}"#,
            text("service.name", "claims-bot"),
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "anthropic"),
            int("gen_ai.usage.input_tokens", 7),
        )
    };
    let messages = r#",{"key":"gen_ai.input.messages","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"role","value":{"stringValue":"user"}},{"key":"parts","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"type","value":{"stringValue":"text"}},{"key":"content","value":{"stringValue":"hi"}}]}}]}}}]}}]}}}"#;
    let call = entry(&record(r#""eventName":"gen_ai.client.inference.operation.details","#, messages));
    assert_eq!((call.event_id.as_deref(), call.tokens.input), (Some("0af7/b7ad"), Some(7)));
    assert_eq!((said(&call).0.as_deref(), call.workload_hint.as_deref()), (Some("hi"), Some("claims-bot")));
    assert_eq!((call.latency_ms, call.started_at.is_some()), (None, true));
    let former = format!(",{}", text("event.name", "gen_ai.client.inference.operation.details"));
    assert_eq!(entry(&record("", &former)).tokens.input, Some(7));
    assert!(entries(&record(r#""eventName":"gen_ai.choice","#, "")).unwrap().is_empty());
    assert!(entries(&record("", "")).unwrap().is_empty());
}

#[test]
fn embeddings_have_no_output() {
    let attributes = [
        text("gen_ai.operation.name", "embeddings"),
        text("gen_ai.provider.name", "cohere"),
        int("gen_ai.usage.input_tokens", 23),
    ];
    let entry = entry(&batch(&span(&attributes)));
    assert_eq!((entry.tokens.output, features(&entry)), (Some(0), vec!["proprietary_embedding"]));
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    let attributes = "$.resourceSpans[0].scopeSpans[0].spans[0].attributes";
    let at = |attribute: String| refused_at(&batch(&span(&[text("gen_ai.operation.name", "chat"), attribute])));
    assert_eq!(at(text("gen_ai.usage.input_tokens", "many")), format!("{attributes}[1].value.stringValue"));
    assert_eq!(
        at(attribute("gen_ai.usage.input_tokens", r#"{"arrayValue":{"values":[]}}"#)),
        format!("{attributes}[1].value")
    );
    assert_eq!(at(attribute("gen_ai.request.model", "5")), format!("{attributes}[1].value"));
    assert_eq!(refused_at(r#"{"resourceSpans":{}}"#), "$.resourceSpans");
    assert_eq!(
        refused_at(r#"{"resourceSpans":[{"scopeSpans":[{"spans":["x"]}]}]}"#),
        "$.resourceSpans[0].scopeSpans[0].spans[0]"
    );
}
