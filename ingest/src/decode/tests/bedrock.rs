use super::*;

const HOST: &str = "https://bedrock-runtime.eu-west-1.amazonaws.com/model";
const USAGE: &str = r#""usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}"#;

fn capture(model: &str, request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"bedrock.converse","endpoint":"{HOST}/{model}/converse","duration_ms":90,"http_status":200}},
        "request":{request},{answer}}}"#
    )
}

fn converse(request: &str, response: &str) -> Entry<'static> {
    entry(&capture("amazon.nova-pro-v1:0", request, &format!("\"response\":{response}")))
}

fn content(blocks: &str) -> Entry<'static> {
    let message = format!(
        r#"{{"output":{{"message":{{"role":"assistant","content":[{blocks}]}}}},"stopReason":"end_turn",{USAGE}}}"#
    );
    converse("{}", &message)
}

fn asked(request: &str) -> Vec<&'static str> {
    features(&converse(request, &format!(r#"{{"stopReason":"end_turn",{USAGE}}}"#)))
}

#[test]
fn blocks_of_an_answer_become_messages() {
    let entry = content(
        r#"{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}},{"text":"Yes."},
        {"toolUse":{"toolUseId":"t1","name":"file_claim","input":{"ref":1}}},
        {"citationsContent":{"content":[{"text":"Cited."}],"citations":[{}]}},
        {"reasoningContent":{"redactedContent":"AA=="}},{"newKind":{"a":1}}"#,
    );
    assert_eq!(said(&entry).1.as_deref(), Some("Yes.\nCited."));
    assert_eq!(features(&entry), ["tool_calling", "citations"]);
    let output = output(&entry);
    for part in [
        r#"{"type":"reasoning","content":"hm","signature":"s"}"#,
        r#"{"type":"tool_call","id":"t1","name":"file_claim","arguments":{"ref":1}}"#,
        r#"{"newKind":{"a":1}}"#,
    ] {
        assert!(output.contains(part), "{output}");
    }
}

#[test]
fn requests_tell_what_they_lean_on() {
    let block = |block: &str| format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#);
    for (request, feature) in [
        (r#"{"toolConfig":{"tools":[{"toolSpec":{"name":"f"}}]}}"#.to_owned(), "tool_calling"),
        (r#"{"toolConfig":{"tools":[{"systemTool":{"name":"nova_grounding"}}]}}"#.to_owned(), "web_search"),
        (r#"{"toolConfig":{"tools":[{"systemTool":{"name":"nova_code_interpreter"}}]}}"#.to_owned(), "code_execution"),
        (r#"{"guardrailConfig":{"guardrailIdentifier":"g"}}"#.to_owned(), "guardrails"),
        (r#"{"outputConfig":{"textFormat":{"type":"json_schema"}}}"#.to_owned(), "structured_output"),
        (r#"{"additionalModelRequestFields":{"thinking":{"type":"enabled"}}}"#.to_owned(), "reasoning_control"),
        (r#"{"promptVariables":{"a":{"text":"b"}}}"#.to_owned(), "hosted_state"),
        (r#"{"system":[{"text":"s"},{"cachePoint":{"type":"default"}}]}"#.to_owned(), "prompt_cache_control"),
        (block(r#"{"image":{"format":"png","source":{"bytes":"AA=="}}}"#), "vision_input"),
        (
            block(r#"{"document":{"format":"pdf","name":"n","source":{"s3Location":{"uri":"s3://b/k"}}}}"#),
            "document_input",
        ),
        (block(r#"{"video":{"format":"mp4","source":{"s3Location":{"uri":"s3://b/k"}}}}"#), "video_input"),
        (block(r#"{"audio":{"format":"wav","source":{"bytes":"AA=="}}}"#), "audio_input"),
        (block(r#"{"guardContent":{"text":{"text":"x"}}}"#), "guardrails"),
        (
            block(r#"{"toolResult":{"toolUseId":"t","content":[{"image":{"format":"png","source":{"bytes":""}}}]}}"#),
            "vision_input",
        ),
    ] {
        assert_eq!(asked(&request), [feature], "{request}");
    }
    assert_eq!(
        asked(r#"{"inferenceConfig":{"maxTokens":5},"additionalModelRequestFields":{"thinking":{"type":"disabled"}}}"#),
        [""; 0]
    );
    let metadata = converse(r#"{"requestMetadata":{"cost_center":"7"}}"#, "{}");
    assert_eq!(metadata.tags, [("cost_center".into(), "7".into())]);
    let said_it = converse(&block(r#"{"text":"a"},{"guardContent":{"text":{"text":"b"}}},{"cachePoint":{}}"#), "{}");
    assert_eq!(said(&said_it).0.as_deref(), Some("a\nb"));
}

#[test]
fn ids_profiles_and_arns_name_models_as_far_as_they_do() {
    let model = |asked: &str, response: &str| {
        let path = asked.replace(':', "%3A").replace('/', "%2F");
        let entry = entry(&capture(&path, "{}", &format!("\"response\":{response}")));
        assert_eq!(entry.request_model.as_deref(), Some(asked));
        (entry.response_model.as_deref().map(str::to_owned), features(&entry))
    };
    let ok = format!(r#"{{"stopReason":"end_turn",{USAGE}}}"#);
    assert_eq!(model("eu.anthropic.claude-opus-5", &ok), (None, vec![]));
    assert_eq!(
        model("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-5", &ok).0.as_deref(),
        Some("eu.anthropic.claude-opus-5")
    );
    assert_eq!(
        model("arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-pro-v1:0", &ok).0.as_deref(),
        Some("amazon.nova-pro-v1:0")
    );
    assert_eq!(model("arn:aws:bedrock:eu-west-1:1:application-inference-profile/a1", &ok), (None, vec![]));
    assert_eq!(model("arn:aws:bedrock:eu-west-1:1:provisioned-model/p1", &ok), (None, vec!["provisioned_capacity"]));
    assert_eq!(model("arn:aws:bedrock:eu-west-1:1:custom-model-deployment/c1", &ok), (None, vec!["fine_tuned_model"]));
    assert_eq!(model("arn:aws:bedrock:eu-west-1:1:imported-model/i1", &ok), (None, vec!["fine_tuned_model"]));
    assert_eq!(model("arn:aws:bedrock:eu-west-1:1:prompt/P1:2", &ok), (None, vec!["hosted_state"]));
    let routed = format!(
        r#"{{"stopReason":"end_turn",{USAGE},"trace":{{"promptRouter":{{"invokedModelId":
        "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.meta.llama3-1-70b-instruct-v1:0"}}}}}}"#
    );
    let router = "arn:aws:bedrock:eu-west-1:1:default-prompt-router/meta.llama:1";
    assert_eq!(model(router, &routed).0.as_deref(), Some("eu.meta.llama3-1-70b-instruct-v1:0"));
}

#[test]
fn what_the_service_adds_is_read() {
    let entry = converse(
        "{}",
        r#"{"output":{"message":{"role":"assistant","content":[{"text":"No."}]}},"stopReason":"guardrail_intervened",
        "usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15,"newTokens":7},"metrics":{"latencyMs":70},
        "trace":{"guardrail":{"inputAssessment":{}}},"serviceTier":{"type":"reserved"},
        "performanceConfig":{"latency":"optimized"},
        "additionalModelResponseFields":{"usage":{"output_tokens_details":{"thinking_tokens":3}}},
        "ResponseMetadata":{"RequestId":"rq-1","HTTPStatusCode":200}}"#,
    );
    assert_eq!((entry.status, entry.latency_ms), (Status::Filtered, Some(70)));
    assert_eq!((entry.tokens.input, entry.tokens.reasoning), (Some(10), Some(3)));
    assert_eq!((entry.service_tier.as_deref(), entry.region.as_deref()), (Some("reserved"), Some("eu-west-1")));
    assert_eq!(entry.event_id.as_deref(), Some("rq-1"));
    assert_eq!(features(&entry), ["provisioned_capacity", "guardrails"]);
    assert_eq!(entry.extra.as_deref(), Some(r#"{"usage.newTokens":7,"performanceConfig":{"latency":"optimized"}}"#));
    assert_eq!(sniff(&format!(r#"{{"stopReason":"end_turn",{USAGE}}}"#)), Some(Format::BedrockConverse));
}

#[test]
fn failures_have_their_word() {
    for (response, word) in [
        (r#"{"message":"m","__type":"ThrottlingException"}"#, "ThrottlingException"),
        (r#"{"message":"m","__type":"com.amazon.coral.service#ValidationException"}"#, "ValidationException"),
        (r#"{"Error":{"Code":"AccessDeniedException","Message":"m"}}"#, "AccessDeniedException"),
        (r#"{"message":"m"}"#, "429"),
        (r#"{"type":"error","error":{"type":"overloaded_error"}}"#, "overloaded_error"),
    ] {
        let event = capture("m", "{}", &format!("\"response\":{response}")).replace(":200", ":429");
        let failed = entry(&event);
        assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some(word)), "{response}");
        assert_eq!(failed.usage_source, UsageSource::Absent);
    }
}

#[test]
fn a_stream_is_put_together_and_may_end_in_an_exception() {
    let events = |more: &str| {
        let stream = format!(
            r#""stream":[{{"messageStart":{{"role":"assistant"}}}},
            {{"contentBlockDelta":{{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"text":"hm"}}}}}}}},
            {{"contentBlockDelta":{{"contentBlockIndex":1,"delta":{{"text":"Te"}}}}}},
            {{"contentBlockDelta":{{"contentBlockIndex":1,"delta":{{"text":"re"}}}}}},
            {{"contentBlockStart":{{"contentBlockIndex":2,"start":{{"toolUse":{{"toolUseId":"t","name":"f"}}}}}}}},
            {{"contentBlockDelta":{{"contentBlockIndex":2,"delta":{{"toolUse":{{"input":"{{\"a\":"}}}}}}}},
            {{"contentBlockDelta":{{"contentBlockIndex":2,"delta":{{"toolUse":{{"input":"1}}"}}}}}}}}{more}]"#
        );
        entry(&capture("anthropic.claude-opus-5", "{}", &stream))
    };
    let whole = events(
        r#",{"messageStop":{"stopReason":"tool_use"}},{"metadata":{"usage":{"inputTokens":9,"outputTokens":4,
        "totalTokens":33,"cacheReadInputTokens":20},"metrics":{"latencyMs":5}}}"#,
    );
    assert_eq!((whole.status, whole.tokens.input, whole.streamed), (Status::Success, Some(29), Some(true)));
    assert_eq!(said(&whole).1.as_deref(), Some("Tere"));
    assert!(output(&whole).contains(r#"{"type":"tool_call","id":"t","name":"f","arguments":{"a":1}}"#));
    let cut = events("");
    assert_eq!((cut.status, cut.usage_source), (Status::Incomplete, UsageSource::Absent));
    let broken = events(r#",{"modelStreamErrorException":{"message":"m"}}"#);
    assert_eq!((broken.status, broken.error_type.as_deref()), (Status::Error, Some("ModelStreamErrorException")));
    let silent = events(r#",{"messageStop":{"stopReason":"end_turn"}}"#);
    assert_eq!((silent.status, silent.tokens.input), (Status::Success, None));
}

/// An invocation log of `model` with these bodies and counts.
fn log(model: &str, operation: &str, request: &str, response: &str, counts: (&str, &str)) -> String {
    format!(
        r#"{{"timestamp":"2026-11-20T12:30:00Z","accountId":"1","identity":{{"arn":"arn:aws:iam::1:user/eng/ada"}},
        "region":"us-east-1","requestId":"rq","operation":"{operation}","modelId":"{model}","input":{{"inputBodyJson":{request}{}}},
        "output":{{"outputBodyJson":{response}{}}},"schemaType":"ModelInvocationLog","schemaVersion":"1.0"}}"#,
        counts.0, counts.1
    )
}

#[test]
fn bodies_in_every_dialect_are_read() {
    for (model, request, response, texts, counts) in [
        (
            "meta.llama3-1-70b-instruct-v1:0",
            r#"{"prompt":"hi","max_gen_len":5}"#,
            r#"{"generation":"Hey.","prompt_token_count":3,"generation_token_count":2,"stop_reason":"stop"}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "amazon.titan-text-express-v1",
            r#"{"inputText":"hi"}"#,
            r#"{"inputTextTokenCount":3,"results":[{"tokenCount":2,"outputText":"Hey.","completionReason":"FINISH"}]}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "mistral.mistral-large-2402-v1:0",
            r#"{"prompt":"hi"}"#,
            r#"{"outputs":[{"text":"Hey.","stop_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "openai.gpt-oss-120b-1:0",
            r#"{"messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"id":"c","object":"chat.completion","model":"openai.gpt-oss-120b","choices":[{"message":{"role":"assistant",
            "content":"Hey."},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "writer.palmyra-x5-v1:0",
            r#"{"messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"id":"c","object":"chat.completion","model":"writer.palmyra-x5-v1:0","choices":[{"message":{"role":"assistant",
            "content":"Hey."},"finish_reason":"stop","stop_reason":106}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "anthropic.claude-opus-5",
            r#"{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"type":"message","content":[{"type":"text","text":"Hey."}],"stop_reason":"end_turn",
            "usage":{"input_tokens":3,"output_tokens":2}}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "amazon.nova-lite-v1:0",
            r#"{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hey."}]}},"stopReason":"end_turn",
            "usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
        (
            "cohere.command-r-v1:0",
            r#"{"message":"hi"}"#,
            r#"{"text":"Hey.","finish_reason":"COMPLETE"}"#,
            ("hi", "Hey."),
            (3, 2),
        ),
    ] {
        // The log's own counts are enough, and so are those of the body where it has some.
        let logged =
            log(model, "InvokeModel", request, response, (",\"inputTokenCount\":3", ",\"outputTokenCount\":2"));
        let entry_of = entry(&logged);
        assert_eq!(said(&entry_of), (Some(texts.0.into()), Some(texts.1.into())), "{model}");
        assert_eq!((entry_of.tokens.input, entry_of.tokens.output), (Some(counts.0), Some(counts.1)), "{model}");
        assert_eq!((entry_of.status, entry_of.streamed), (Status::Success, Some(false)), "{model}");
        assert_eq!((entry_of.model(), entry_of.tokens.buckets().check), (Some(model), None));
        if model.starts_with("cohere") {
            continue;
        }
        let body_only = entry(&log(model, "InvokeModel", request, response, ("", "")));
        assert_eq!((body_only.tokens.input, body_only.tokens.output), (Some(3), Some(2)), "{model}");
        let captured = capture(model, request, &format!("\"response\":{response}"))
            .replace("bedrock.converse", "bedrock.invoke_model");
        assert_eq!(entry(&captured).tokens, body_only.tokens, "{model}");
    }
}

#[test]
fn chunks_in_every_dialect_are_read() {
    let metrics = r#""amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":2,"invocationLatency":50,"firstByteLatency":20}"#;
    for chunks in [
        format!(
            r#"[{{"generation":"He","prompt_token_count":3}},{{"generation":"y.","stop_reason":"stop",{metrics}}}]"#
        ),
        format!(r#"[{{"outputText":"He","index":0}},{{"outputText":"y.","completionReason":"FINISH",{metrics}}}]"#),
        format!(r#"[{{"outputs":[{{"text":"He"}}]}},{{"outputs":[{{"text":"y.","stop_reason":"stop"}}],{metrics}}}]"#),
        format!(
            r#"[{{"choices":[{{"delta":{{"content":"He"}}}}]}},{{"choices":[{{"delta":{{"content":"y."}},"finish_reason":"stop"}}],{metrics}}}]"#
        ),
        format!(
            r#"[{{"contentBlockDelta":{{"delta":{{"text":"He"}}}}}},{{"contentBlockDelta":{{"delta":{{"text":"y."}}}}}},{{"messageStop":{{"stopReason":"end_turn"}},{metrics}}}]"#
        ),
    ] {
        let entry = entry(&log("m", "InvokeModelWithResponseStream", "{}", &chunks, ("", "")));
        assert_eq!(said(&entry).1.as_deref(), Some("Hey."), "{chunks}");
        assert_eq!((entry.tokens.input, entry.tokens.output), (Some(3), Some(2)), "{chunks}");
        assert_eq!((entry.latency_ms, entry.ttft_ms, entry.streamed), (Some(50), Some(20), Some(true)));
    }
}

#[test]
fn written_lifetimes_survive_metrics_that_do_not_tell_them() {
    let chunks = r#"[{"type":"message_start","message":{"id":"m","type":"message","usage":{"input_tokens":8,
        "cache_creation_input_tokens":700,"cache_creation":{"ephemeral_5m_input_tokens":500,"ephemeral_1h_input_tokens":200},
        "output_tokens":1}}},{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6}},
        {"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":8,"outputTokenCount":6,
        "cacheReadInputTokenCount":0,"cacheWriteInputTokenCount":700}}]"#;
    let tokens = entry(&log("anthropic.claude-opus-5", "InvokeModelWithResponseStream", "{}", chunks, ("", ""))).tokens;
    assert_eq!((tokens.input, tokens.cache_write), (Some(708), Some(700)));
    assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (Some(500), Some(200)));
}

#[test]
fn the_logs_counts_hold_the_cache_for_openai_and_leave_it_out_for_others() {
    let counts = (r#","inputTokenCount":30,"cacheReadInputTokenCount":20"#, ",\"outputTokenCount\":5");
    let input = |model: &str| entry(&log(model, "Converse", "{}", "{}", counts)).tokens.input;
    assert_eq!(input("us.anthropic.claude-opus-5"), Some(50));
    assert_eq!(input("amazon.nova-pro-v1:0"), Some(50));
    assert_eq!(input("openai.gpt-5.6-sol"), Some(30));
    // The body's total knows better than the vendor's name.
    let body = r#"{"stopReason":"end_turn","usage":{"inputTokens":30,"outputTokens":5,"totalTokens":35,"cacheReadInputTokens":20}}"#;
    assert_eq!(entry(&log("us.anthropic.claude-opus-5", "Converse", "{}", body, counts)).tokens.input, Some(30));
}

#[test]
fn embeddings_reranks_and_images_are_told_by_id_or_body() {
    let of = |model: &str, request: &str, response: &str, counts| {
        entry(&log(model, "InvokeModel", request, response, counts))
    };
    let titan = of(
        "amazon.titan-embed-text-v2:0",
        r#"{"inputText":"eins"}"#,
        r#"{"embedding":[0.1],"embeddingsByType":{"float":[0.1]},"inputTextTokenCount":4}"#,
        ("", ""),
    );
    assert_eq!(
        (titan.operation.map(Operation::as_str), titan.tokens.input, titan.tokens.output),
        (Some("embeddings"), Some(4), Some(0))
    );
    assert_eq!(features(&titan), ["proprietary_embedding"]);
    assert_eq!(said(&titan).0.as_deref(), Some("eins"));
    let picture = r#"{"inputImage":"AAAA"}"#;
    let titan = of("amazon.titan-embed-image-v1", picture, r#"{"embedding":[0.1],"inputTextTokenCount":0}"#, ("", ""));
    assert!(titan.body.is_some(), "the event has its vector");
    let no_error = r#"{"embedding":[0.1],"inputTextTokenCount":7,"message":null}"#;
    let titan = of("amazon.titan-embed-image-v1", picture, no_error, ("", ""));
    assert_eq!((titan.status, titan.tokens.input), (Status::Success, Some(7)));
    let seen = of("twelvelabs.pegasus-1-2-v1:0", "{}", r#"{"message":"A man walks.","finishReason":"stop"}"#, ("", ""));
    assert_eq!(seen.status, Status::Success);
    let cohere = of("cohere.embed-v4:0", r#"{"texts":["eins","zwei"]}"#, "null", (",\"inputTokenCount\":6", ""));
    assert_eq!((cohere.operation.map(Operation::as_str), cohere.tokens.output), (Some("embeddings"), Some(0)));
    assert_eq!(said(&cohere).0.as_deref(), Some("eins\nzwei"));
    let rerank = of("cohere.rerank-v3-5:0", "{}", r#"{"results":[{"index":0,"relevance_score":0.9}]}"#, ("", ""));
    assert_eq!(rerank.operation.map(Operation::as_str), Some("rerank"));
    assert_eq!(
        of("stability.sd3-5-large-v1:0", "{}", r#"{"images":["AA=="]}"#, ("", "")).operation.map(Operation::as_str),
        Some("image")
    );
}

#[test]
fn a_record_tells_who_called_and_where_bodies_lie() {
    let record = r#"{"schemaType":"ModelInvocationLog","timestamp":"2026-11-20T12:30:00Z","accountId":"111122223333",
        "identity":{"arn":"arn:aws:sts::111122223333:assumed-role/claims-bot/i-0a1"},"region":"us-east-1",
        "inferenceRegion":"us-west-2","requestId":"rq-9","operation":"Converse","serviceTier":{"type":"flex"},
        "modelId":"arn:aws:bedrock:us-east-1:1:application-inference-profile/a1","requestMetadata":{"team":"claims","case":7},
        "input":{"inputBodyS3Path":"s3://logs/in.json.gz","inputTokenCount":12},
        "output":{"outputBodyS3Path":"s3://logs/out.json.gz","outputTokenCount":3}}"#;
    let read = entry(record);
    assert_eq!((read.workload_hint.as_deref(), read.team.as_deref()), (Some("claims-bot"), Some("claims")));
    assert_eq!((read.region.as_deref(), read.service_tier.as_deref()), (Some("us-east-1"), Some("flex")));
    assert_eq!((read.tokens.input, read.tokens.output, read.status), (Some(12), Some(3), Status::Success));
    assert_eq!(read.tags.len(), 3);
    assert!(read.body.is_none());
    assert_eq!(
        read.extra.as_deref(),
        Some(
            r#"{"inferenceRegion":"us-west-2","input.inputBodyS3Path":"s3://logs/in.json.gz","output.outputBodyS3Path":"s3://logs/out.json.gz"}"#
        )
    );
    let user = entry(&log("m", "Converse", "{}", "{}", ("", "")));
    assert_eq!(user.workload_hint.as_deref(), Some("ada"));
    // An opaque profile leaves what the body says of its model.
    let body =
        r#"{"type":"message","model":"claude-opus-5","content":[],"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1";
    assert_eq!(entry(&log(profile, "InvokeModel", "{}", body, ("", ""))).model(), Some("claude-opus-5"));
    let guarded = r#"{"generation":"","amazon-bedrock-guardrailAction":"INTERVENED","stop_reason":"stop"}"#;
    let guarded = entry(&log("meta.llama", "InvokeModel", "{}", guarded, ("", "")));
    assert_eq!((guarded.status, features(&guarded)), (Status::Filtered, vec!["guardrails"]));
}

#[test]
fn a_record_without_its_schema_is_known_by_its_keys_and_a_stranger_is_refused() {
    let record = log("m", "Converse", "{}", "{}", ("", "")).replace("schemaType", "schema");
    assert_eq!(sniff(&record), Some(Format::BedrockLog));
    assert_eq!(entry(&record).event_id.as_deref(), Some("rq"));
    let error = decode(&Event::of(b"{\"a\":1}"), Some(Format::BedrockLog), &BODIES, &mut |_| {}).unwrap_err();
    assert_eq!(error.code(), "DECODE-009");
    assert_eq!(
        refused_at(&log("m", "Converse", "{}", "{}", (",\"inputTokenCount\":\"many\"", ""))),
        "$.input.inputTokenCount"
    );
}

#[test]
fn what_openai_counts_in_is_not_taken_off_twice() {
    let event = format!(
        r#"{{"capture":{{"api":"bedrock.invoke_model","endpoint":"{HOST}/openai.gpt-5.6-sol/invoke","http_status":200}},"request":{{}},
        "response":{{"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"ok"}}}}],
        "usage":{{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050,"prompt_tokens_details":{{"cached_tokens":256}}}}}}}}"#
    );
    assert_eq!(counts(&entry(&event)), [Some(1_000), Some(256), Some(50), None]);
}
