//! `daybook decode` prints what the ledger would record, and says clearly what it cannot read.

use crate::{daybook_in, daybook_with};

#[test]
fn an_event_becomes_an_object_with_every_column() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events");
    let file = format!("{fixtures}/anthropic/cache-read-and-split-writes.json");
    let dir = tempfile::tempdir().unwrap();
    let run = daybook_in(dir.path(), &["decode", &file]);
    let entry: serde_json::Value = serde_json::from_str(run.done()).unwrap();
    for column in daybook_ledger::schema::USAGE.columns {
        assert!(entry.get(column.name).is_some(), "{} is missing", column.name);
    }
    assert_eq!(entry["provider"], "anthropic");
    assert_eq!(entry["input_tokens"], 21_401);
    assert_eq!(entry["uncached_input_tokens"], 57);
    assert_eq!(entry["cache_write_1h_input_tokens"], 2_304);
    assert_eq!(entry["list_cost"], "0.041775000000");
    assert_eq!(entry["price_status"], "priced");
    assert_eq!(entry["features"], serde_json::json!(["prompt_cache_control"]));
    assert_eq!(entry["prompt_text"], "Policy manual …\nMay I return opened goods?");
    assert_eq!(entry["ttft_ms"], serde_json::Value::Null);
    assert_eq!(entry["kafka_offset"], serde_json::Value::Null);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |input: &str, code: &str| {
        let run = daybook_with(dir.path(), &["decode", "-"], &[], input);
        assert!(run.stderr.starts_with(&format!("error[{code}]: -:")), "{}", run.stderr);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{}", run.stderr);
    };
    refused("", "DECODE-001");
    refused("garbage", "DECODE-003");
    refused("[1]", "DECODE-005");
    refused(&"[".repeat(10_000), "DECODE-004");
    refused(&format!("{{\"usage\":{}", "[".repeat(10_000)), "DECODE-004");
    refused("{\"hello\":\"world\"}", "DECODE-006");
    let long = format!("{{\"choices\":\"{}\"}}", "x".repeat(50_000_000));
    assert_eq!(daybook_with(dir.path(), &["decode", "-"], &[], &long).code, 3);
}

#[test]
fn one_bad_line_does_not_stop_the_others() {
    let good = r#"{"id":"a","call_type":"acompletion","status":"success","prompt_tokens":1,"completion_tokens":2,"startTime":1795170000.0,"custom_llm_provider":"openai","model":"gpt-4o","response_cost":0.1,"metadata":{}}"#;
    let input = format!("{good}\n{{\"hello\":1}}\n{}\n", good.replace("\"a\"", "\"b\""));
    let dir = tempfile::tempdir().unwrap();
    let run = daybook_with(dir.path(), &["decode", "-"], &[], &input);
    assert_eq!(run.stdout.lines().count(), 2);
    assert!(run.stderr.starts_with("error[DECODE-006]: -:2: "), "{}", run.stderr);
    assert_eq!(run.code, 3);
}
