use super::*;

/// A row with `members` over the least a row has.
fn row(members: &str) -> String {
    format!(
        r#"{{"request_id":"r1","call_type":"acompletion","spend":0.5,"model":"gpt-4o","custom_llm_provider":"openai",{members}}}"#
    )
}

/// The same with `metadata` as the text of a string.
fn with_metadata(metadata: &str, members: &str) -> Entry<'static> {
    let quoted = serde_json::to_string(metadata).unwrap();
    entry(&row(&format!(r#""metadata":{quoted},{members}"#)))
}

const COUNTS: &str = r#""prompt_tokens":100,"completion_tokens":20,"total_tokens":120"#;

#[test]
fn times_without_a_zone_are_utc_and_with_a_space_too() {
    for (start, end) in [
        ("2026-11-20T08:00:00.250", "2026-11-20T08:00:02.250"),
        ("2026-11-20 08:00:00.250000", "2026-11-20 08:00:02.25"),
        ("2026-11-20T09:00:00.250+01:00", "2026-11-20T08:00:02.250Z"),
        // As change feeds write a column of milliseconds.
        ("1795161600250", "1795161602250"),
    ] {
        let entry = entry(&row(&format!(r#""startTime":"{start}","endTime":"{end}""#)));
        assert_eq!(entry.started_at.unwrap().to_string(), "2026-11-20T08:00:00.250000Z", "{start}");
        assert_eq!(entry.latency_ms, Some(2_000), "{start}");
    }
    assert_eq!(refused_at(&row(r#""startTime":"yesterday""#)), "$.startTime");
}

#[test]
fn zeros_give_way_to_the_counts_of_the_answer_or_to_none() {
    const ZEROS: &str = r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0"#;
    let response = r#"{"id":"c","object":"chat.completion","model":"gpt-4o","choices":[],
        "usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;
    assert_eq!(entry(&row(&format!(r#"{ZEROS},"response":{response}"#))).tokens.input, Some(9));
    let silent = entry(&row(ZEROS));
    assert_eq!((silent.tokens.is_absent(), silent.usage_source), (true, UsageSource::Absent));
}

#[test]
fn the_first_token_is_one_only_before_the_end() {
    let times = r#""startTime":"2026-11-20T08:00:00Z","endTime":"2026-11-20T08:00:02Z","completionStartTime""#;
    let ttft = |first: &str| entry(&row(&format!(r#"{times}:"{first}""#))).ttft_ms;
    assert_eq!(ttft("2026-11-20T08:00:00.3Z"), Some(300));
    assert_eq!(ttft("2026-11-20T08:00:02Z"), None);
}

#[test]
fn metadata_is_read_inside_and_outside_of_a_string() {
    let metadata = r#"{"usage_object":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{
        "cached_tokens":40,"cache_creation_tokens":10,"cache_creation_token_details":{"ephemeral_1h_input_tokens":10}},
        "completion_tokens_details":{"reasoning_tokens":5},"new_tokens":7},"user_api_key_alias":"bot",
        "user_api_key_team_alias":"claims","user_api_key_project_id":"p-1","spend_logs_metadata":{"env":"prod","n":3},
        "applied_guardrails":["pii"],"attempted_retries":2,"cost_breakdown":{"service_tier":"flex"},"novel":1}"#;
    let inside = with_metadata(metadata, COUNTS);
    let outside = entry(&row(&format!(r#""metadata":{metadata},{COUNTS}"#)));
    for entry in [&inside, &outside] {
        let tokens = entry.tokens;
        assert_eq!((tokens.input, tokens.cache_read, tokens.cache_write), (Some(100), Some(40), Some(10)));
        assert_eq!((tokens.cache_write_1h, tokens.reasoning, tokens.buckets().check), (Some(10), Some(5), None));
        assert_eq!(entry.api_key_alias.as_deref(), Some("bot"));
        assert_eq!(entry.team.as_deref(), Some("claims"));
        assert_eq!(entry.project.as_deref(), Some("p-1"));
        assert_eq!(entry.environment.as_deref(), Some("prod"));
        assert_eq!(entry.service_tier.as_deref(), Some("flex"));
        assert_eq!(features(entry), ["guardrails"]);
        let tags = entry.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        assert_eq!(tags, ["env=prod", "n=3", "attempted_retries=2"]);
        let extra = entry.extra.as_deref().unwrap();
        assert!(extra.contains(r#""metadata.novel":1"#) && extra.contains(r#"new_tokens":7"#), "{extra}");
    }
}

#[test]
fn a_count_that_is_none_inside_of_the_metadata_is_refused_at_the_metadata() {
    let metadata = r#""metadata":"{\"usage_object\":{\"prompt_tokens_details\":{\"cached_tokens\":\"x\"}}}""#;
    assert_eq!(refused_at(&row(metadata)), "$.metadata");
}

#[test]
fn metadata_that_is_no_json_is_kept_and_stops_nothing() {
    let entry = entry(&row(&format!(r#""metadata":"cut {{",{COUNTS}"#)));
    assert_eq!(entry.tokens.input, Some(100));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"metadata":"cut {"}"#));
}

#[test]
fn a_usage_object_without_known_counts_is_no_zero() {
    let entry = with_metadata(r#"{"usage_object":{"tokens_in":5}}"#, r#""status":"success""#);
    assert!(entry.tokens.is_absent());
    assert_eq!(entry.usage_source, UsageSource::Absent);
    assert_eq!(entry.extra.as_deref(), Some(r#"{"metadata.usage_object.tokens_in":5}"#));
}

#[test]
fn cache_hit_is_text_of_python() {
    let hit = |text: &str| entry(&row(&format!(r#""cache_hit":"{text}""#))).gateway_cache_hit;
    assert_eq!([hit("True"), hit("False"), hit("None"), hit("")], [Some(true), Some(false), None, None]);
}

#[test]
fn the_hash_of_a_key_is_a_tag_and_a_key_is_nowhere() {
    let hashed = entry(&row(r#""api_key":"5d07aa31c9e2""#));
    assert_eq!(hashed.tags, [("api_key_hash".into(), "5d07aa31c9e2".into())]);
    let plain = entry(&row(r#""api_key":"sk-secret-1""#));
    assert!(!format!("{:?}", Entry { raw: b"", ..plain }).contains("secret"));
}

#[test]
fn the_person_is_the_end_user_then_the_owner_then_the_user() {
    let user = |members: &str| entry(&row(members)).end_user;
    assert_eq!(user(r#""end_user":"c-1","user":"u-1""#).as_deref(), Some("c-1"));
    assert_eq!(user(r#""end_user":"","user":"u-1""#).as_deref(), Some("u-1"));
    assert_eq!(user(r#""metadata":{"user_api_key_user_id":"o-1"},"user":"u-1""#).as_deref(), Some("o-1"));
}

#[test]
fn a_failure_has_its_word_from_the_metadata_and_no_counts() {
    let zeros = r#""prompt_tokens":0,"completion_tokens":0,"total_tokens":0"#;
    let metadata = r#"{"status":"failure","error_information":{"error_code":"429","error_class":"RateLimitError"}}"#;
    let failed = with_metadata(metadata, zeros);
    assert_eq!((failed.status, failed.error_type.as_deref()), (Status::Error, Some("RateLimitError")));
    assert_eq!((failed.http_status, failed.usage_source), (Some(429), UsageSource::Absent));
    let word = with_metadata(r#"{"error_information":{"error_code":"content_filter","error_class":"X"}}"#, zeros);
    assert_eq!((word.status, word.error_type.as_deref()), (Status::Filtered, Some("content_filter")));
}

#[test]
fn bodies_may_be_text_and_the_prompt_may_stand_in_the_proxied_request() {
    let stored = row(r#""messages":"[{\"role\":\"user\",\"content\":\"hi\"}]",
            "response":"{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"yo\"}}]}""#);
    assert_eq!(said(&entry(&stored)), (Some("hi".to_owned()), Some("yo".to_owned())));
    let proxied = row(r#""messages":{},"response":{},"proxy_server_request":
            "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"stream\":true}""#);
    let proxied = entry(&proxied);
    assert_eq!(said(&proxied).0.as_deref(), Some("hi"));
    assert_eq!((features(&proxied), proxied.streamed), (vec!["tool_calling"], Some(true)));
    assert_eq!(proxied.request_model.as_deref(), Some("gpt-4o"));
    assert!(entry(&row(r#""messages":[{"role":"user","content":"redacted-by-litellm"}]"#)).body.is_none());
}

#[test]
fn a_tools_call_is_no_call_of_a_model_unless_it_cost_something() {
    let tool = |spend: &str| {
        let row = row(r#""mcp_namespaced_tool_name":"s/t""#).replace("acompletion", "call_mcp_tool");
        entries(&row.replace("0.5", spend)).unwrap().len()
    };
    assert_eq!((tool("0"), tool("0.01")), (0, 1));
}

#[test]
fn the_row_and_the_payload_of_a_call_are_one_call() {
    let payload = r#"{"id":"r1","call_type":"acompletion","response_cost":0.5,"model":"gpt-4o"}"#;
    assert_eq!(entry(&row(r#""user":"u""#)).id(), entry(payload).id());
}

#[test]
fn request_tags_are_a_list_or_text_of_one() {
    for tags in [r#"["team:claims","plain"]"#, r#""[\"team:claims\",\"plain\"]""#] {
        let tags = entry(&row(&format!(r#""request_tags":{tags}"#))).tags;
        assert_eq!(tags, [("team".into(), "claims".into()), ("plain".into(), "".into())]);
    }
}

#[test]
fn what_usage_and_answer_both_tell_is_counted_once() {
    let usage = r#"{"prompt_tokens":100,"completion_tokens":20,"server_tool_use":{"web_search_requests":2}}"#;
    let entry = entry(&row(&format!(
        r#""metadata":{{"usage_object":{usage}}},"response":{{"choices":[],"usage":{usage}}},{COUNTS}"#
    )));
    assert_eq!(entry.meters.len(), 1);
    assert_eq!(meter(&entry, "web_search_requests").as_deref(), Some("2"));
    assert_eq!(entry.usage_source, UsageSource::Gateway);
}

#[test]
fn a_hit_carries_the_stored_counts_at_no_cost() {
    let hit = row(&format!(r#"{COUNTS},"cache_hit":"True""#)).replace("0.5", "0.0");
    let hit = entry(&hit);
    assert_eq!((hit.gateway_cache_hit, hit.tokens.input), (Some(true), Some(100)));
    assert_eq!(hit.reported_cost, Some(Usd::from_pico(0)));
}
