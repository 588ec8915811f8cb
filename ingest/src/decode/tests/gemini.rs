use super::*;

const USAGE: &str = r#""usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15}"#;

fn capture(api: &str, url: &str, request: &str, response: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"{api}","endpoint":"{url}","http_status":200}},"request":{request},"response":{response}}}"#
    )
}

fn gemini(request: &str, response: &str) -> Entry<'static> {
    let url = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash:generateContent";
    entry(&capture("gemini.generate_content", url, request, response))
}

fn asked(request: &str) -> Vec<&'static str> {
    features(&gemini(request, &format!("{{{USAGE}}}")))
}

fn answered(candidate: &str) -> Entry<'static> {
    gemini("{}", &format!(r#"{{"candidates":[{candidate}],{USAGE}}}"#))
}

#[test]
fn requests_tell_what_they_lean_on_in_either_spelling() {
    for (request, feature) in [
        (r#"{"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#, "tool_calling"),
        (r#"{"config":{"tools":[{"function_declarations":[{"name":"f"}]}]}}"#, "tool_calling"),
        (r#"{"tools":[{"googleSearch":{}}]}"#, "web_search"),
        (r#"{"tools":[{"google_search_retrieval":{}}]}"#, "web_search"),
        (r#"{"tools":[{"urlContext":{}}]}"#, "web_search"),
        (r#"{"tools":[{"googleMaps":{}}]}"#, "web_search"),
        (r#"{"tools":[{"codeExecution":{}}]}"#, "code_execution"),
        (r#"{"tools":[{"retrieval":{"vertexAiSearch":{}}}]}"#, "hosted_vector_store"),
        (r#"{"tools":[{"fileSearch":{}}]}"#, "hosted_vector_store"),
        (r#"{"tools":[{"computerUse":{}}]}"#, "computer_use"),
        (r#"{"generationConfig":{"responseMimeType":"application/json"}}"#, "structured_output"),
        (r#"{"generation_config":{"response_schema":{"type":"OBJECT"}}}"#, "structured_output"),
        (r#"{"generationConfig":{"responseModalities":["TEXT","IMAGE"]}}"#, "image_output"),
        (r#"{"generationConfig":{"responseModalities":["AUDIO"]}}"#, "audio_output"),
        (r#"{"generationConfig":{"candidateCount":2}}"#, "multiple_choices"),
        (r#"{"generationConfig":{"thinkingConfig":{"thinkingBudget":512}}}"#, "reasoning_control"),
        (r#"{"generationConfig":{"responseLogprobs":true}}"#, "logprobs"),
        (r#"{"cachedContent":"cachedContents/1"}"#, "prompt_cache_control"),
        (r#"{"modelArmorConfig":{"promptTemplateName":"t"}}"#, "guardrails"),
        (r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"AA=="}}]}]}"#, "vision_input"),
        (r#"{"contents":[{"parts":[{"fileData":{"mimeType":"audio/mp3","fileUri":"gs://b/a"}}]}]}"#, "audio_input"),
        (r#"{"contents":[{"parts":[{"fileData":{"mimeType":"video/mp4","fileUri":"gs://b/a"}}]}]}"#, "video_input"),
        (r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"application/pdf","data":""}}]}]}"#, "document_input"),
    ] {
        assert_eq!(asked(request), [feature], "{request}");
    }
    let stored = "https://generativelanguage.googleapis.com/v1beta/files/f1";
    let request =
        format!(r#"{{"contents":[{{"parts":[{{"fileData":{{"mimeType":"image/png","fileUri":"{stored}"}}}}]}}]}}"#);
    assert_eq!(asked(&request), ["vision_input", "hosted_files"]);
    let plain = r#"{"contents":"hi","tools":[],"generationConfig":{"responseMimeType":"text/plain","candidateCount":1,
        "temperature":0.1,"responseModalities":["TEXT"],"responseLogprobs":false}}"#;
    assert_eq!(asked(plain), [""; 0]);
}

#[test]
fn what_was_said_is_read_in_every_form_of_contents() {
    for contents in [
        r#""hi""#,
        r#"["hi"]"#,
        r#"{"role":"user","parts":[{"text":"hi"}]}"#,
        r#"[{"role":"user","parts":[{"text":"hi"}]}]"#,
        r#"[{"parts":{"text":"hi"}}]"#,
        r#"[{"text":"hi"}]"#,
    ] {
        for system in [r#""Be brief.""#, r#"{"parts":[{"text":"Be brief."}]}"#, r#"{"parts":{"text":"Be brief."}}"#] {
            let request =
                format!(r#"{{"model":"models/m","contents":{contents},"config":{{"system_instruction":{system}}}}}"#);
            let entry = gemini(&request, &format!("{{{USAGE}}}"));
            assert_eq!(said(&entry).0.as_deref(), Some("Be brief.\nhi"), "{request}");
            assert!(input(&entry).starts_with(r#"[{"role":"system""#));
        }
    }
}

#[test]
fn parts_of_an_answer_become_messages() {
    let entry = answered(
        r#"{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"One, "},{"text":"two."},
        {"functionCall":{"id":"c1","name":"get_weather","args":{"city":"Riga"}},"thoughtSignature":"s"},
        {"executableCode":{"language":"PYTHON","code":"1+1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK"}},
        {"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"finishReason":"STOP","index":0}"#,
    );
    assert_eq!(said(&entry).1.as_deref(), Some("One, two."));
    assert_eq!(features(&entry), ["tool_calling", "image_output", "code_execution"]);
    let output = output(&entry);
    for part in [
        r#"{"type":"reasoning","content":"hm"}"#,
        r#"{"type":"text","content":"One, two."}"#,
        r#"{"type":"tool_call","id":"c1","name":"get_weather","arguments":{"city":"Riga"}}"#,
        r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"AA=="}"#,
    ] {
        assert!(output.contains(part), "{output}");
    }
    let results = gemini(
        r#"{"contents":[{"role":"function","parts":[{"functionResponse":{"name":"get_weather","response":{"t":22}}}]}]}"#,
        &format!("{{{USAGE}}}"),
    );
    assert!(input(&results).contains(r#"{"type":"tool_call_response","id":"get_weather","response":{"t":22}}"#));
}

#[test]
fn a_grounded_prompt_counts_once_or_by_query_as_it_is_billed() {
    let grounded = r#"{"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["a","b"],
        "groundingChunks":[{"web":{"uri":"u"}}]}}"#;
    let entry = answered(grounded);
    assert_eq!(features(&entry), ["web_search", "citations"]);
    assert_eq!(meter(&entry, "web_search_requests").as_deref(), Some("2"));
    let older = gemini("{}", &format!(r#"{{"candidates":[{grounded}],{USAGE},"modelVersion":"gemini-2.5-pro"}}"#));
    assert_eq!(meter(&older, "web_search_requests").as_deref(), Some("1"));
    let own = answered(r#"{"finishReason":"STOP","groundingMetadata":{"groundingChunks":[{"retrievedContext":{}}]}}"#);
    assert_eq!(features(&own), ["hosted_vector_store", "citations"]);
    assert_eq!(meter(&own, "web_search_requests"), None);
    let repeated = answered(
        r#"{"index":0,"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["a","","b","a"]}},
            {"index":1,"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["b","c"]}}"#,
    );
    assert_eq!(meter(&repeated, "web_search_requests").as_deref(), Some("3"));
    assert_eq!(features(&repeated), ["web_search", "multiple_choices"]);
}

#[test]
fn places_that_were_looked_up_are_counted_apart_from_searches() {
    let places = |grounding: &str| {
        let entry = answered(&format!(r#"{{"finishReason":"STOP","groundingMetadata":{{{grounding}}}}}"#));
        assert!(features(&entry).contains(&"web_search"), "{grounding}");
        [meter(&entry, "web_search_requests"), meter(&entry, "google_maps_requests")]
    };
    let one = Some("1".to_owned());
    assert_eq!(places(r#""groundingChunks":[{"maps":{"uri":"u"}}]"#), [None, one.clone()]);
    assert_eq!(places(r#""googleMapsWidgetContextToken":"w""#), [None, one.clone()]);
    let two = Some("2".to_owned());
    assert_eq!(places(r#""webSearchQueries":["a","b"],"groundingChunks":[{"maps":{"uri":"u"}}]"#), [None, two.clone()]);
    let both = r#""webSearchQueries":["a","b"],"groundingChunks":[{"maps":{"uri":"u"}},{"web":{"uri":"u"}}]"#;
    assert_eq!(places(both), [two, one]);
}

#[test]
fn endings_are_told_apart() {
    for (reason, status) in [
        ("STOP", Status::Success),
        ("MAX_TOKENS", Status::Success),
        ("MALFORMED_FUNCTION_CALL", Status::Success),
        ("SAFETY", Status::Filtered),
        ("RECITATION", Status::Filtered),
        ("PROHIBITED_CONTENT", Status::Filtered),
        ("SPII", Status::Filtered),
        ("BLOCKLIST", Status::Filtered),
        ("IMAGE_SAFETY", Status::Filtered),
    ] {
        let entry = answered(&format!(r#"{{"finishReason":"{reason}","index":0}}"#));
        assert_eq!((entry.status, entry.finish_reason.as_deref()), (status, Some(reason)));
        assert_eq!(entry.tokens.input, Some(10), "what was blocked on its way out was counted");
    }
    let error = r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}"#;
    let url = "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent";
    let failed = entry(&capture("gemini.generate_content", url, "{}", error).replace(":200", ":429"));
    assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some("RESOURCE_EXHAUSTED")));
    assert_eq!((failed.tokens.input, failed.usage_source), (None, UsageSource::Absent));
    let listed = entry(&capture("gemini.generate_content", url, "{}", &format!("[{error}]")).replace(":200", ":429"));
    assert_eq!(listed.error_type.as_deref(), Some("RESOURCE_EXHAUSTED"));
}

#[test]
fn a_stream_may_come_as_a_list_and_one_without_an_end_is_incomplete() {
    let chunk = |text: &str, end: &str, output: i64| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}{end}}}],
            "usageMetadata":{{"promptTokenCount":3,"candidatesTokenCount":{output},"totalTokenCount":{}}}}}"#,
            3 + output
        )
    };
    let (first, last) = (chunk("a", "", 1), chunk("b", r#","finishReason":"STOP""#, 2));
    let whole = gemini("{}", &format!("[{first},{last}]"));
    assert_eq!((whole.status, whole.streamed, whole.tokens.output), (Status::Success, Some(true), Some(2)));
    assert_eq!(said(&whole).1.as_deref(), Some("ab"));
    let cut = gemini("{}", &format!("[{first}]"));
    assert_eq!((cut.status, cut.tokens.output), (Status::Incomplete, Some(1)));
    let choices = gemini(
        "{}",
        r#"[{"candidates":[{"index":1,"content":{"parts":[{"text":"y"}]}},{"index":0,"content":{"parts":[{"text":"x"}]}}]}]"#,
    );
    assert_eq!(said(&choices).1.as_deref(), Some("x\ny"));
}

#[test]
fn tiers_providers_and_models_come_from_what_says_them() {
    let vertex = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1";
    let response = |traffic: &str| format!(r#"{{{},"trafficType":"{traffic}"}}}}"#, &USAGE.trim_end_matches('}'));
    let url = format!("{vertex}/publishers/google/models/gemini-3.5-flash:generateContent");
    let call = |traffic: &str| entry(&capture("vertex.generate_content", &url, "{}", &response(traffic)));
    let provisioned = call("PROVISIONED_THROUGHPUT");
    assert_eq!(features(&provisioned), ["provisioned_capacity"]);
    assert_eq!(call("ON_DEMAND_PRIORITY").service_tier.as_deref(), Some("ON_DEMAND_PRIORITY"));
    assert_eq!(
        (provisioned.provider.as_deref(), provisioned.region.as_deref()),
        (Some("vertex_ai"), Some("us-central1"))
    );
    let tuned =
        entry(&capture("vertex.generate_content", &format!("{vertex}/endpoints/77:generateContent"), "{}", "{}"));
    assert_eq!((tuned.request_model.as_deref(), features(&tuned)), (Some("endpoints/77"), vec!["fine_tuned_model"]));
    let proxied = entry(&capture(
        "vertex.generate_content",
        "https://proxy.example.com",
        r#"{"model":"publishers/google/models/g"}"#,
        "{}",
    ));
    assert_eq!((proxied.provider.as_deref(), proxied.request_model.as_deref()), (Some("vertex_ai"), Some("g")));
    let labelled = gemini(r#"{"labels":{"team":"claims"}}"#, "{}");
    assert_eq!(labelled.tags, [("team".into(), "claims".into())]);
}

#[test]
fn claude_on_vertex_is_claude() {
    let url = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-5:rawPredict";
    let response = r#"{"id":"msg_1","type":"message","model":"claude-opus-5","content":[{"type":"text","text":"ok"}],
        "stop_reason":"end_turn","usage":{"input_tokens":5,"cache_read_input_tokens":20,"output_tokens":1}}"#;
    let entry = entry(&capture("vertex.raw_predict", url, r#"{"messages":[]}"#, response));
    assert_eq!((entry.provider.as_deref(), entry.request_model.as_deref()), (Some("vertex_ai"), Some("claude-opus-5")));
    assert_eq!(entry.tokens.input, Some(25));
}

#[test]
fn embeddings_count_every_text_or_nothing() {
    let url = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/gemini-embedding-001:predict";
    let request = r#"{"instances":[{"content":"eins"},{"content":"zwei"}]}"#;
    let prediction = |statistics: &str| format!(r#"{{"embeddings":{{"values":[0.1],"statistics":{statistics}}}}}"#);
    let call = |one: &str, two: &str| {
        let response = format!(
            r#"{{"predictions":[{},{}],"metadata":{{"billableCharacterCount":8}}}}"#,
            prediction(one),
            prediction(two)
        );
        entry(&capture("vertex.predict", url, request, &response))
    };
    let counted = call(r#"{"token_count":3,"truncated":false}"#, r#"{"token_count":4.0}"#);
    assert_eq!(counted.operation, Some(Operation::Embeddings));
    assert_eq!((counted.tokens.input, counted.tokens.output), (Some(7), Some(0)));
    assert_eq!(features(&counted), ["proprietary_embedding"]);
    assert_eq!(said(&counted).0.as_deref(), Some("eins\nzwei"));
    assert!(counted.extra.as_deref().unwrap().contains("billableCharacterCount"));
    let unknown = call(r#"{"token_count":3}"#, r#"{"tokens":4}"#);
    assert_eq!((unknown.tokens.input, unknown.usage_source), (None, UsageSource::Absent));
    let silent = gemini("{}", r#"{"embedding":{"values":[0.1]}}"#);
    assert_eq!(
        (silent.operation, silent.tokens.input, silent.status),
        (Some(Operation::Embeddings), None, Status::Success)
    );
}

#[test]
fn a_live_turn_is_realtime() {
    let event = r#"{"capture":{"api":"gemini.live","http_status":101},
        "request":{"setup":{"model":"models/gemini-live","generationConfig":{"responseModalities":["AUDIO"]}}},
        "stream":[{"setupComplete":{}},
        {"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm","data":"AA=="}}]}}},
        {"serverContent":{"outputTranscription":{"text":"Guten "}}},{"serverContent":{"outputTranscription":{"text":"Tag"}}},
        {"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":30,"responseTokenCount":12,
        "totalTokenCount":42,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":30}],
        "responseTokensDetails":[{"modality":"AUDIO","tokenCount":12}]}}]}"#;
    let entry = entry(event);
    assert_eq!((entry.operation, entry.status), (Some(Operation::Realtime), Status::Success));
    assert_eq!(
        (entry.tokens.input, entry.tokens.input_audio, entry.tokens.output_audio),
        (Some(30), Some(30), Some(12))
    );
    assert_eq!(features(&entry), ["audio_input", "audio_output", "realtime"]);
    assert_eq!(said(&entry).1.as_deref(), Some("Guten Tag"));
    assert_eq!(entry.request_model.as_deref(), Some("gemini-live"));
}

#[test]
fn every_turn_of_a_live_session_is_billed_with_all_before_it() {
    let turn = |prompt, answer, total| {
        format!(
            r#"{{"serverContent":{{"turnComplete":true}},"usageMetadata":{{"promptTokenCount":{prompt},"responseTokenCount":{answer},
            "totalTokenCount":{total},"promptTokensDetails":[{{"modality":"AUDIO","tokenCount":{prompt}}}]}}}}"#
        )
    };
    let entry = entry(&format!(
        r#"{{"capture":{{"api":"gemini.live"}},"request":{{"setup":{{"model":"models/gemini-live"}}}},"stream":[{},{}]}}"#,
        turn(30, 12, 42),
        turn(60, 20, 80)
    ));
    assert_eq!((counts(&entry), check(&entry)), ([Some(90), None, Some(32), None], None));
    assert_eq!(entry.tokens.input_audio, Some(90));
}

const INTERACTION_USAGE: &str = r#""usage":{"total_input_tokens":50,"total_output_tokens":7,"total_thought_tokens":3,
    "total_cached_tokens":20,"total_tool_use_tokens":10,"total_tokens":70,"grounding_tool_count":[{"type":"google_search","count":2}]}"#;

#[test]
fn an_interaction_has_steps_and_names_of_its_own() {
    let request = r#"{"model":"gemini-3.5-flash","input":"Wer gewann?","system_instruction":"Kurz.",
        "previous_interaction_id":"int-0","tools":[{"type":"google_search"}],"generation_config":{"thinking_level":"low"}}"#;
    let response = format!(
        r#"{{"id":"int-1","object":"interaction","model":"gemini-3.5-flash","status":"completed","service_tier":"flex","steps":[
        {{"type":"thought","summary":[{{"type":"text","text":"hm"}}]}},
        {{"type":"google_search_call","id":"g","arguments":{{}}}},
        {{"type":"function_call","id":"f","name":"file_claim","arguments":{{"ref":1}}}},
        {{"type":"model_output","content":[{{"type":"text","text":"Team B."}}]}}],{INTERACTION_USAGE}}}"#
    );
    let entry = entry(&capture(
        "gemini.interactions",
        "https://generativelanguage.googleapis.com/v1beta/interactions",
        request,
        &response,
    ));
    assert_eq!((entry.event_id.as_deref(), entry.status), (Some("int-1"), Status::Success));
    assert_eq!((entry.tokens.input, entry.tokens.output, entry.tokens.cache_read), (Some(60), Some(10), Some(20)));
    assert_eq!((entry.service_tier.as_deref(), entry.provider.as_deref()), (Some("flex"), Some("gemini")));
    assert_eq!(meter(&entry, "web_search_requests").as_deref(), Some("2"));
    assert_eq!(features(&entry), ["tool_calling", "hosted_state", "web_search", "reasoning_control"]);
    assert_eq!(said(&entry), (Some("Kurz.\nWer gewann?".into()), Some("Team B.".into())));
    assert_eq!(sniff(&response), Some(Format::Gemini));
}

#[test]
fn an_interactions_stream_ends_with_its_usage() {
    let event = format!(
        r#"{{"capture":{{"api":"gemini.interactions","http_status":200}},"request":{{"input":"x"}},"stream":[
        {{"event_type":"interaction.created","interaction":{{"id":"int-2","status":"in_progress","model":"g"}}}},
        {{"event_type":"step.start","index":0,"step":{{"type":"model_output"}}}},
        {{"event_type":"step.delta","index":0,"delta":{{"type":"text","text":"Te"}}}},
        {{"event_type":"step.delta","index":0,"delta":{{"type":"text","text":"re"}}}},
        {{"event_type":"step.stop","index":0}},
        {{"event_type":"interaction.completed","interaction":{{"id":"int-2","status":"completed",{INTERACTION_USAGE}}}}}]}}"#
    );
    let whole = entry(&event);
    assert_eq!((whole.status, whole.streamed, whole.tokens.input), (Status::Success, Some(true), Some(60)));
    assert_eq!(said(&whole).1.as_deref(), Some("Tere"));
    let pending = entry(
        r#"{"capture":{"api":"gemini.interactions","http_status":200},"response":{"id":"int-3","status":"queued"}}"#,
    );
    assert_eq!((pending.status, pending.usage_source), (Status::Pending, UsageSource::Absent));
    let failed = entry(
        r#"{"capture":{"api":"gemini.interactions","http_status":200},
        "response":{"id":"int-3","status":"failed","error":{"code":"internal","message":"m"}}}"#,
    );
    assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some("internal")));
}

#[test]
fn bare_responses_and_lines_of_a_batch_are_read_too() {
    let bare = entry(&format!(r#"{{"responseId":"r","candidates":[{{"finishReason":"STOP"}}],{USAGE}}}"#));
    assert_eq!((bare.event_id.as_deref(), bare.tokens.input), (Some("r"), Some(10)));
    let sdk = r#"{"response_id":"r","model_version":"gemini-2.5-pro","candidates":[{"finish_reason":"STOP",
        "content":{"role":"model","parts":[{"text":"ja","thought":null}]}}],
        "usage_metadata":{"prompt_token_count":10,"candidates_token_count":5,"cached_content_token_count":null}}"#;
    let sdk = entry(sdk);
    assert_eq!((sdk.tokens.output, sdk.response_model.as_deref()), (Some(5), Some("gemini-2.5-pro")));
    let line = format!(
        r#"{{"status":"","processed_time":"2026-11-20T12:00:00Z","request":{{"contents":"hi"}},"response":{{{USAGE}}}}}"#
    );
    for line in [&line, &format!(r#"{{"key":"request-1","response":{{{USAGE}}}}}"#)] {
        let entry = entry(line);
        assert_eq!((entry.tokens.input, features(&entry)), (Some(10), vec!["batch"]), "{line}");
    }
    assert_eq!(entry(&line).provider.as_deref(), Some("vertex_ai"));
    let failed = r#"{"status":"Bad Request: no such model","processed_time":"2026-11-20T12:00:00Z","request":{"contents":"hi"},"response":{}}"#;
    assert_eq!(entry(failed).status, Status::Error);
}

#[test]
fn usage_under_unknown_names_is_not_zero() {
    let renamed =
        gemini("{}", r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"tokensIn":10,"tokensOut":5}}"#);
    assert_eq!((renamed.tokens.input, renamed.tokens.output), (None, None));
    assert_eq!(renamed.usage_source, UsageSource::Absent);
    assert_eq!(renamed.extra.as_deref(), Some(r#"{"usageMetadata.tokensIn":10,"usageMetadata.tokensOut":5}"#));
    let event = |usage: &str| capture("gemini.generate_content", "u", "{}", &format!(r#"{{"usageMetadata":{usage}}}"#));
    assert_eq!(refused_at(&event(r#"{"promptTokenCount":"many"}"#)), "$.response.usageMetadata.promptTokenCount");
    assert_eq!(refused_at(&event("[]")), "$.response.usageMetadata");
    assert_eq!(entry(&event(r#"{"promptTokenCount":"12","totalTokenCount":"12"}"#)).tokens.input, Some(12));
}
