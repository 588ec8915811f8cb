//! What becomes of each count when its sender renames, retypes or leaves it out: never a silent zero.

use serde_json::Value;

use super::*;

/// One rich event a family, and the objects its counts stand in.
fn events() -> Vec<(Value, &'static str)> {
    let chat = |model: &str, usage: &str, more: &str| {
        format!(
            r#"{{"id":"gen-1","object":"chat.completion","model":"{model}","choices":[{{"index":0,"finish_reason":"stop","message":{{"content":"x"}}}}],
            "usage":{{"prompt_tokens":90,"completion_tokens":20,"total_tokens":110{usage}}}{more}}}"#
        )
    };
    let details = r#","prompt_tokens_details":{"cached_tokens":40,"cache_write_tokens":20,"audio_tokens":5,"image_tokens":6},
        "completion_tokens_details":{"reasoning_tokens":7,"audio_tokens":3,"accepted_prediction_tokens":2,"rejected_prediction_tokens":1}"#;
    let groq = r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r",
        "usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4}}}}"#;
    [
        (chat("gpt-5.4", details, ""), "/usage"),
        (chat("gpt-5.4", details, r#","prompt_filter_results":[]"#), "/usage"),
        (chat("voxtral-small", r#","prompt_audio_seconds":3,"num_cached_tokens":8"#, ""), "/usage"),
        (chat("deepseek-chat", r#","prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":26"#, ""), "/usage"),
        (
            chat("grok-4.5", r#","num_sources_used":3,"cost_in_usd_ticks":77,"server_side_tool_usage_details":{"web_search_calls":2}"#, ""),
            "/usage",
        ),
        (chat("x-ai/grok-4.5", r#","cost":0.5,"server_tool_use_details":{"web_search_requests":2}"#, r#","provider":"xAI""#), "/usage"),
        (chat("qwen3", details, r#","kv_transfer_params":null"#), "/usage"),
        (groq.to_owned(), "/x_groq/usage"),
        (openai_vendors::GENERATION.to_owned(), "/data"),
        (mistral::CONVERSATION.to_owned(), "/usage"),
        (openai_media::TURN.to_owned(), "/response/usage"),
        (ollama::LAST.to_owned(), ""),
        (
            r#"{"id":"k","text":"a","meta":{"billed_units":{"input_tokens":5,"output_tokens":2},"tokens":{"input_tokens":71,"output_tokens":3},"cached_tokens":64}}"#
                .to_owned(),
            "/meta",
        ),
        (
            r#"{"type":"image_generation.completed","b64_json":"","usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{"image_tokens":40}}}"#
                .to_owned(),
            "/usage",
        ),
        (
            r#"{"custom_id":"a","response":{"status_code":200,"body":{"object":"list","data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}}}"#
                .to_owned(),
            "/response/body/usage",
        ),
        (r#"{"pages":[],"model":"mistral-ocr","usage_info":{"pages_processed":2,"doc_size_bytes":9}}"#.to_owned(), "/usage_info"),
    ]
    .into_iter()
    .map(|(event, usage)| (serde_json::from_str(&event).unwrap(), usage))
    .collect()
}

/// The paths of all numbers below `path`.
fn numbers(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(key, value)| numbers(value, &format!("{path}/{key}"))).collect()
        }
        Value::Number(_) => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

/// Every quantity of an entry by name.
fn quantities(entry: &Entry<'_>) -> Vec<(&'static str, String)> {
    let tokens = &entry.tokens;
    let columns = [
        ("input", tokens.input),
        ("cache_read", tokens.cache_read),
        ("cache_write", tokens.cache_write),
        ("input_audio", tokens.input_audio),
        ("input_image", tokens.input_image),
        ("output", tokens.output),
        ("reasoning", tokens.reasoning),
        ("output_audio", tokens.output_audio),
        ("output_image", tokens.output_image),
    ];
    let counts = columns.into_iter().filter_map(|(name, count)| Some((name, count?.to_string())));
    let meters = entry.meters.iter().map(|(name, quantity)| (*name, quantity.to_string()));
    counts.chain(meters).chain(cost(entry).map(|cost| ("cost", cost))).collect()
}

/// The format's own entries, whatever the event now looks like.
fn read(format: Format, event: &Value) -> Result<Vec<Entry<'static>>, DecodeError> {
    let text: &'static str = event.to_string().leak();
    let mut entries = Vec::new();
    decode(&Event::of(text.as_bytes()), Some(format), &BODIES, &mut |entry| entries.push(entry))?;
    Ok(entries)
}

fn each(mut test: impl FnMut(Format, &Value, &str, &Entry<'static>)) {
    for (event, usage) in events() {
        let format = sniff(&event.to_string()).unwrap();
        let whole = read(format, &event).unwrap().pop().unwrap();
        let paths = numbers(event.pointer(usage).unwrap(), usage);
        assert!(!paths.is_empty() && check(&whole).is_none(), "{event}");
        paths.iter().for_each(|path| test(format, &event, path, &whole));
    }
}

/// No column that said something says zero now.
fn assert_no_silent_zero(before: &Entry<'_>, after: &Entry<'_>, path: &str) {
    let before = quantities(before);
    for (name, quantity) in quantities(after) {
        let was_zero = before.contains(&(name, "0".to_owned()));
        assert!(quantity != "0" || was_zero, "{path}: {name} became zero");
    }
}

#[test]
fn a_renamed_count_survives_in_extra_and_is_no_zero() {
    each(|format, event, path, whole| {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut event = event.clone();
        let members = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let value = members.remove(key).unwrap();
        members.insert(format!("{key}_renamed"), value);
        let entry = match read(format, &event) {
            Ok(mut entries) => entries.pop().unwrap(),
            // What is known by that key alone is refused without it.
            Err(error) => return assert!(matches!(error, DecodeError::WrongFormat { .. }), "{path}: {error}"),
        };
        assert_no_silent_zero(whole, &entry, path);
        let is_connector = path.contains("/connectors/");
        assert!(is_connector || extra(&entry).contains(&format!("{key}_renamed")), "{path}: {:?}", entry.extra);
    });
}

#[test]
fn a_count_written_as_text_is_the_same_count() {
    each(|format, event, path, whole| {
        let mut event = event.clone();
        let value = event.pointer_mut(path).unwrap();
        *value = Value::from(value.to_string());
        let entry = read(format, &event).unwrap().pop().unwrap();
        assert_eq!(quantities(&entry), quantities(whole), "{path}");
    });
}

#[test]
fn a_count_that_is_null_is_not_known() {
    each(|format, event, path, whole| {
        let mut event = event.clone();
        *event.pointer_mut(path).unwrap() = Value::Null;
        let entry = read(format, &event).unwrap().pop().unwrap();
        assert_no_silent_zero(whole, &entry, path);
    });
}

#[test]
fn a_count_that_is_an_object_is_refused_or_kept() {
    each(|format, event, path, _| {
        let mut event = event.clone();
        *event.pointer_mut(path).unwrap() = serde_json::json!({"retyped": 1});
        match read(format, &event) {
            Err(error) => assert!(matches!(error, DecodeError::BadValue { .. }), "{path}: {error}"),
            // The rest that is neither sound nor pictures is not read.
            Ok(_) if path.ends_with("/text_tokens") => {}
            Ok(mut entries) => assert!(extra(&entries.pop().unwrap()).contains("retyped"), "{path}"),
        }
    });
}

#[test]
fn a_sum_alone_is_kept_where_nothing_says_of_what() {
    let event =
        r#"{"id":"c","object":"chat.completion","choices":[{"message":{"content":"x"}}],"usage":{"total_tokens":30}}"#;
    let entry = entry(event);
    assert!(entry.tokens.is_absent() && entry.usage_source == UsageSource::Absent);
    assert_eq!(extra(&entry), r#"{"usage.total_tokens":30}"#);
}
