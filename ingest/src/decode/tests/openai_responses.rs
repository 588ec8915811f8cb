use super::*;

fn capture(request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"openai.responses","endpoint":"https://api.openai.com/v1/responses","http_status":200}},
        "request":{request},{answer}}}"#
    )
}

fn answered(response: &str) -> Entry<'static> {
    entry(&capture(r#"{"model":"gpt-6"}"#, &format!("\"response\":{response}")))
}

const USAGE: &str = r#""usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":14}"#;

#[test]
fn an_incomplete_response_is_a_success_only_at_its_length_limit() {
    let ended = |details: &str| {
        answered(&format!(r#"{{"id":"r","status":"incomplete","incomplete_details":{details},"output":[],{USAGE}}}"#))
    };
    let limited = ended(r#"{"reason":"max_output_tokens"}"#);
    assert_eq!((limited.status, limited.finish_reason.as_deref()), (Status::Success, Some("max_output_tokens")));
    assert_eq!(limited.tokens.output, Some(5));
    assert_eq!(ended(r#"{"reason":"content_filter"}"#).status, Status::Filtered);
    assert_eq!(ended("null").status, Status::Incomplete);
}

#[test]
fn background_states_are_pending_and_cancelled_is_incomplete() {
    let state = |status: &str| answered(&format!(r#"{{"id":"r","status":"{status}","usage":null,"output":[]}}"#));
    assert_eq!(state("queued").status, Status::Pending);
    assert_eq!(state("in_progress").status, Status::Pending);
    assert_eq!(state("cancelled").status, Status::Incomplete);
    assert_eq!(state("failed").status, Status::Error);
    assert_eq!(state("queued").event_id.as_deref(), Some("r"));
}

#[test]
fn an_error_before_any_response_has_its_code() {
    let event = capture(r#"{"model":"m"}"#, r#""response":{"error":{"code":"invalid_prompt","type":"x"}}"#)
        .replace("200", "400");
    let entry = entry(&event);
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("invalid_prompt")));
}

#[test]
fn the_last_event_of_a_stream_has_the_usage() {
    for (last, status) in [("completed", Status::Success), ("incomplete", Status::Success), ("failed", Status::Error)] {
        let event = capture(
            r#"{"stream":true}"#,
            &format!(
                r#""stream":[{{"type":"response.created","response":{{"id":"r","status":"in_progress","usage":null}}}},
                {{"type":"response.{last}","response":{{"id":"r","status":"{last}","error":null,
                "incomplete_details":{{"reason":"max_output_tokens"}},{USAGE}}}}}]"#
            ),
        );
        let entry = entry(&event);
        assert_eq!((entry.status, entry.tokens.input, entry.streamed), (status, Some(9), Some(true)), "{last}");
    }
}

#[test]
fn a_cut_stream_keeps_what_was_said() {
    let entry = entry(&capture(
        r#"{"stream":true}"#,
        r#""stream":[{"type":"response.created","response":{"id":"r","model":"gpt-6-1","status":"in_progress","output":[]}},
            {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"dropped: the item has it"},
            {"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"one"}]}},
            {"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"tw"},
            {"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"o"}]"#,
    ));
    assert_eq!((entry.status, entry.usage_source), (Status::Incomplete, UsageSource::Absent));
    assert_eq!(said(&entry).1.as_deref(), Some("one\ntwo"));
    assert_eq!((entry.event_id.as_deref(), entry.model()), (Some("r"), Some("gpt-6-1")));
}

#[test]
fn a_stream_that_ends_in_an_error_is_an_error() {
    for error in [
        r#"{"type":"error","code":"server_error","message":"m"}"#,
        r#"{"type":"error","error":{"type":"server_error"}}"#,
    ] {
        let entry = entry(&capture(r#"{"stream":true}"#, &format!(r#""stream":[{error}]"#)));
        assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("server_error")));
    }
}

#[test]
fn items_of_a_conversation_are_messages() {
    let request = r#"{"model":"m","previous_response_id":"resp_0","conversation":{"id":"conv_1"},"instructions":"Sys","input":[
        {"role":"developer","content":"Dev"},
        {"type":"message","role":"user","content":[{"type":"input_text","text":"Look"},{"type":"input_image","image_url":"https://x/y.png"},{"type":"input_file","file_id":"file-1"}]},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
        {"type":"function_call_output","call_id":"c1","output":"22"},
        {"type":"item_reference","id":"msg_1"}]}"#;
    let entry =
        entry(&capture(request, &format!(r#""response":{{"id":"r","status":"completed","output":[],{USAGE}}}"#)));
    assert_eq!(said(&entry).0.as_deref(), Some("Sys\nDev\nLook"));
    assert!(
        input(&entry).contains(
            r#"{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"f","arguments":{"a":1}}]}"#
        )
    );
    assert!(
        input(&entry).contains(r#"{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"22"}]}"#)
    );
    assert_eq!(entry.session_id.as_deref(), Some("conv_1"));
    assert_eq!(features(&entry), ["tool_calling", "vision_input", "document_input", "hosted_files", "hosted_state"]);
}

#[test]
fn hosted_tools_are_features_and_meters() {
    let entry = answered(&format!(
        r#"{{"id":"r","status":"completed","output":[{{"type":"file_search_call","id":"1"}},{{"type":"code_interpreter_call","id":"2"}},
        {{"type":"mcp_call","id":"3"}},{{"type":"computer_call","id":"4","call_id":"c"}},{{"type":"image_generation_call","id":"5","result":"AA=="}},
        {{"type":"reasoning","summary":[{{"type":"summary_text","text":"hm"}}]}},
        {{"type":"message","content":[{{"type":"output_text","text":"x","annotations":[{{"type":"url_citation","url":"u"}}]}},{{"type":"refusal","refusal":"no"}}]}}],{USAGE}}}"#
    ));
    assert_eq!(
        features(&entry),
        ["image_output", "hosted_vector_store", "code_execution", "computer_use", "remote_mcp", "citations"]
    );
    assert_eq!(meter(&entry, "file_search_requests").as_deref(), Some("1"));
    assert_eq!(meter(&entry, "images").as_deref(), Some("1"));
    assert_eq!(said(&entry).1.as_deref(), Some("x\nno"));
    assert!(output(&entry).contains(r#"{"type":"reasoning","content":"hm"}"#));
}

#[test]
fn a_later_background_event_tells_of_its_request_itself() {
    let entry = entry(&format!(
        r#"{{"capture":{{"api":"openai.responses"}},"response":{{"id":"r","status":"completed","created_at":1795170000.5,
        "completed_at":1795170002,"background":true,"store":true,"previous_response_id":null,"reasoning":{{"effort":"medium"}},
        "tools":[{{"type":"web_search"}}],"prompt_cache_options":{{"mode":"implicit","ttl":"12h"}},"user":"u","output":[],{USAGE}}}}}"#
    ));
    assert_eq!(features(&entry), ["web_search", "background"]);
    assert_eq!((entry.latency_ms, entry.end_user.as_deref()), (Some(1_500), Some("u")));
    assert_eq!((entry.tokens.cache_write_12h, entry.tokens.cache_write_30m), (Some(4), Some(0)));
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    let at = |answer: &str| refused_at(&capture("{}", answer));
    assert_eq!(
        at(r#""response":{"usage":{"input_tokens_details":{"cached_tokens":"x"}}}"#),
        "$.response.usage.input_tokens_details.cached_tokens"
    );
    assert_eq!(at(r#""response":{"created_at":"noon"}"#), "$.response.created_at");
    assert_eq!(at(r#""stream":[{"type":"response.completed","response":{"usage":5}}]"#), "$.stream[0].response.usage");
    assert_eq!(at(r#""stream":[{"type":{}}]"#), "$.stream[0].type");
}
