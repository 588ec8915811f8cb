use super::*;

fn capture(request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"anthropic.messages","endpoint":"https://api.anthropic.com/v1/messages","http_status":200,
        "request_id":"req_c"}},"request":{request},{answer}}}"#
    )
}

fn streamed(events: &str) -> Entry<'static> {
    entry(&capture(r#"{"model":"claude-opus-5","stream":true}"#, &format!("\"stream\":[{events}]")))
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"claude-opus-5","content":[],"usage":{"input_tokens":24,"cache_read_input_tokens":100,"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":6},"output_tokens":1,"service_tier":"standard"}}}"#;

#[test]
fn a_cut_stream_has_a_floor() {
    let entry = streamed(&format!(
        r#"{START},{{"type":"content_block_start","index":0,"content_block":{{"type":"text","text":""}}}},
        {{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"Hay"}}}}"#
    ));
    assert_eq!((entry.status, entry.tokens.input, entry.tokens.output), (Status::Incomplete, Some(134), Some(1)));
    assert_eq!(said(&entry).1.as_deref(), Some("Hay"));
}

#[test]
fn a_stream_that_ends_in_an_error_is_an_error_with_what_was_counted() {
    let entry = streamed(&format!(r#"{START},{{"type":"error","error":{{"type":"overloaded_error","message":"m"}}}}"#));
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("overloaded_error")));
    assert_eq!((entry.tokens.input, entry.event_id.as_deref()), (Some(134), Some("msg_1")));
}

#[test]
fn the_delta_replaces_and_nulls_change_nothing() {
    let entry = streamed(&format!(
        r#"{START},{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{{"input_tokens":null,"output_tokens":13,
        "output_tokens_details":{{"thinking_tokens":5}},"server_tool_use":{{"web_search_requests":2}}}}}},{{"type":"message_stop"}}"#
    ));
    let tokens = entry.tokens;
    assert_eq!((tokens.input, tokens.output, tokens.reasoning), (Some(134), Some(13), Some(5)));
    assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (Some(4), Some(6)));
    assert_eq!((entry.status, entry.finish_reason.as_deref()), (Status::Success, Some("end_turn")));
    assert_eq!(meter(&entry, "web_search_requests").as_deref(), Some("2"));
    assert_eq!(features(&entry), ["web_search"]);
}

#[test]
fn blocks_of_a_stream_are_put_together() {
    let entry = streamed(&format!(
        r#"{START},{{"type":"content_block_start","index":0,"content_block":{{"type":"thinking","thinking":"","signature":""}}}},
        {{"type":"content_block_delta","index":0,"delta":{{"type":"thinking_delta","thinking":"hm"}}}},
        {{"type":"content_block_delta","index":0,"delta":{{"type":"signature_delta","signature":"sig"}}}},
        {{"type":"content_block_start","index":1,"content_block":{{"type":"text","text":""}}}},
        {{"type":"content_block_delta","index":1,"delta":{{"type":"text_delta","text":"It is "}}}},
        {{"type":"content_block_delta","index":1,"delta":{{"type":"text_delta","text":"so."}}}},
        {{"type":"content_block_delta","index":1,"delta":{{"type":"citations_delta","citation":{{"type":"char_location"}}}}}},
        {{"type":"content_block_start","index":2,"content_block":{{"type":"tool_use","id":"t1","name":"f","input":{{}}}}}},
        {{"type":"content_block_delta","index":2,"delta":{{"type":"input_json_delta","partial_json":""}}}},
        {{"type":"content_block_delta","index":2,"delta":{{"type":"input_json_delta","partial_json":"{{\"a\":"}}}},
        {{"type":"content_block_delta","index":2,"delta":{{"type":"input_json_delta","partial_json":"1}}"}}}},
        {{"type":"content_block_start","index":3,"content_block":{{"type":"web_search_tool_result","tool_use_id":"s1","content":[]}}}},
        {{"type":"message_delta","delta":{{"stop_reason":"tool_use"}}}}"#
    ));
    assert_eq!(
        output(&entry),
        concat!(
            r#"[{"role":"assistant","parts":[{"type":"reasoning","content":"hm","signature":"sig"},"#,
            r#"{"type":"text","content":"It is so.","annotations":[{"type":"char_location"}]},"#,
            r#"{"type":"tool_call","id":"t1","name":"f","arguments":{"a":1}},"#,
            r#"{"type":"server_tool_call_response","id":"s1","server_tool_call_response":"#,
            r#"{"type":"web_search_tool_result","tool_use_id":"s1","content":[]}}],"finish_reason":"tool_use"}]"#
        )
    );
    assert_eq!(features(&entry), ["tool_calling", "web_search", "citations"]);
}

#[test]
fn a_tool_without_input_and_one_cut_in_the_middle() {
    let tool = |json: &str| {
        let entry = streamed(&format!(
            r#"{START},{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"t","name":"f","input":{{}}}}}},
            {{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":"{json}"}}}}"#
        ));
        output(&entry)
    };
    assert!(tool("").contains(r#""arguments":{}"#));
    assert!(tool(r#"{\"a\":"#).contains(r#""arguments":"{\"a\":""#));
}

#[test]
fn a_refusal_is_filtered() {
    let event = capture(
        "{}",
        r#""response":{"id":"m","type":"message","content":[],"stop_reason":"refusal","usage":{"input_tokens":5,"output_tokens":0}}"#,
    );
    let entry = entry(&event);
    assert_eq!((entry.status, entry.tokens.input), (Status::Filtered, Some(5)));
    assert!(entry.body.is_none());
}

#[test]
fn an_error_is_known_by_its_request() {
    let event = capture(
        r#"{"model":"m"}"#,
        r#""response":{"type":"error","error":{"type":"rate_limit_error","message":"m"},"request_id":"req_e"}"#,
    )
    .replace("\"http_status\":200", "\"http_status\":429");
    let failed = entry(&event);
    assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some("rate_limit_error")));
    assert_eq!(failed.event_id.as_deref(), Some("req_c"));
    let without = entry(&event.replace(r#""request_id":"req_c""#, r#""request_id":null"#));
    assert_eq!(without.event_id.as_deref(), Some("req_e"));
}

#[test]
fn lines_of_a_batch_end_in_four_ways() {
    let line = |result: &str| entry(&format!(r#"{{"custom_id":"doc-5","result":{result}}}"#));
    let errored =
        line(r#"{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"m"}}}"#);
    assert_eq!((errored.status, errored.error_type.as_deref()), (Status::Error, Some("invalid_request_error")));
    assert_eq!((errored.event_id.as_deref(), features(&errored)), (Some("doc-5"), vec!["batch"]));
    for kind in ["canceled", "expired"] {
        let ended = line(&format!(r#"{{"type":"{kind}"}}"#));
        assert_eq!((ended.status, ended.error_type.as_deref()), (Status::Error, Some(kind)));
        assert_eq!((ended.usage_source, ended.provider.as_deref()), (UsageSource::Absent, Some("anthropic")));
    }
    let succeeded = line(
        r#"{"type":"succeeded","message":{"id":"msg_1","type":"message","content":[{"type":"text","text":"OK"}],"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"batch"}}}"#,
    );
    assert_eq!((succeeded.status, succeeded.event_id.as_deref()), (Status::Success, Some("msg_1")));
    assert_eq!((said(&succeeded).1.as_deref(), succeeded.service_tier.as_deref()), (Some("OK"), Some("batch")));
}

#[test]
fn compaction_passes_are_summed_and_geography_is_the_region() {
    let entry = entry(&capture(
        "{}",
        r#""response":{"id":"m","type":"message","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{
            "input_tokens":10,"output_tokens":2,"inference_geo":"us","speed":"fast","iterations":[
            {"type":"compaction","input_tokens":100,"output_tokens":20,"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":7,"ephemeral_1h_input_tokens":0}},
            {"type":"message","input_tokens":10,"output_tokens":2}]}}"#,
    ));
    assert_eq!((entry.tokens.input, entry.tokens.output, entry.tokens.cache_write_5m), (Some(117), Some(22), Some(7)));
    assert_eq!((entry.region.as_deref(), entry.service_tier.as_deref()), (Some("us"), Some("fast")));
}

#[test]
fn a_prompt_with_every_kind_of_block() {
    let request = r#"{"model":"claude-opus-5","system":"Sys","metadata":{"user_id":"u-1"},"thinking":{"type":"enabled","budget_tokens":99},
        "tools":[{"name":"f","input_schema":{}},{"type":"computer_20250124","name":"computer"}],"messages":[
        {"role":"user","content":[{"type":"text","text":"Look"},
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}},
            {"type":"document","source":{"type":"file","file_id":"file_1"},"citations":{"enabled":true}}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"22"},{"type":"image","source":{"type":"url","url":"https://x"}}]}]}]}"#;
    let entry = entry(&capture(
        request,
        r#""response":{"id":"m","content":[{"type":"text","text":"ok"}],"usage":{"input_tokens":1,"output_tokens":1}}"#,
    ));
    assert_eq!(said(&entry).0.as_deref(), Some("Sys\nLook"));
    assert_eq!(entry.end_user.as_deref(), Some("u-1"));
    assert_eq!(
        features(&entry),
        [
            "tool_calling",
            "vision_input",
            "document_input",
            "hosted_files",
            "computer_use",
            "citations",
            "reasoning_control"
        ]
    );
    let input = input(&entry);
    assert!(
        input.contains(r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"iVBO"}"#),
        "{input}"
    );
    assert!(input.contains(r#"{"type":"file","modality":"document","file_id":"file_1"}"#), "{input}");
    assert!(
        input.contains(r#"{"type":"tool_call_response","id":"t1","response":[{"type":"text","text":"22"}"#),
        "{input}"
    );
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    let at = |answer: &str| refused_at(&capture("{}", answer));
    assert_eq!(at(r#""response":{"usage":{"output_tokens":"many"}}"#), "$.response.usage.output_tokens");
    assert_eq!(
        at(r#""response":{"usage":{"iterations":[{"input_tokens":[]}]}}"#),
        "$.response.usage.iterations[0].input_tokens"
    );
    assert_eq!(at(r#""stream":[{"type":"message_start","message":{"usage":7}}]"#), "$.stream[0].message.usage");
    assert_eq!(refused_at(r#"{"custom_id":"c","result":"succeeded"}"#), "$.result");
    assert_eq!(refused_at(r#"{"custom_id":"c","result":{"type":"succeeded","message":5}}"#), "$.result.message");
}
