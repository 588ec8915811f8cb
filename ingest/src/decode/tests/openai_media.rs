//! Live sessions, sound, pictures, vectors and documents put in order.

use super::*;

fn capture(path: &str, request: &str, answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"openai.api","endpoint":"https://api.openai.com/v1/{path}","started_at":"2026-11-20T09:00:00Z",
        "duration_ms":700,"http_status":200,"request_id":"req-1"}},"request":{request},{answer}}}"#
    )
}

pub(super) const TURN: &str = r#"{"type":"response.done","event_id":"ev_1","response":{"object":"realtime.response","id":"resp_1","status":"completed",
    "status_details":null,"conversation_id":"conv_1","output":[{"type":"message","role":"assistant","content":[{"type":"output_audio","transcript":"Hello"}]}],
    "usage":{"total_tokens":300,"input_tokens":200,"output_tokens":100,"input_token_details":{"text_tokens":110,"audio_tokens":80,"image_tokens":10,
    "cached_tokens":90,"cached_tokens_details":{"text_tokens":50,"audio_tokens":34,"image_tokens":6}},
    "output_token_details":{"text_tokens":30,"audio_tokens":70,"sign_tokens":1}}}}"#;

#[test]
fn a_live_answer_splits_sound_and_pictures_from_what_was_cached() {
    let entry = entry(TURN);
    let tokens = &entry.tokens;
    assert_eq!((counts(&entry), check(&entry)), ([Some(200), Some(90), Some(100), None], None));
    assert_eq!((tokens.input_audio, tokens.input_image, tokens.output_audio), (Some(46), Some(4), Some(70)));
    assert_eq!((tokens.buckets().uncached_input, tokens.buckets().output_text), (Some(60), Some(30)));
    assert_eq!(meter(&entry, "cache_read_audio_tokens").as_deref(), Some("34"));
    assert_eq!(meter(&entry, "cache_read_image_tokens").as_deref(), Some("6"));
    assert_eq!((entry.operation, entry.event_id.as_deref()), (Some(Operation::Realtime), Some("resp_1")));
    assert_eq!((entry.session_id.as_deref(), entry.status), (Some("conv_1"), Status::Success));
    assert_eq!(features(&entry), ["vision_input", "audio_input", "audio_output", "realtime"]);
    assert_eq!(extra(&entry), r#"{"usage.output.sign_tokens":1}"#);
}

#[test]
fn a_session_has_an_entry_for_each_answer_and_each_transcript() {
    let second = TURN
        .replace("resp_1", "resp_2")
        .replace("\"completed\"", "\"cancelled\"")
        .replace("\"status_details\":null", r#""status_details":{"type":"cancelled","reason":"turn_detected"}"#);
    let failed = r#"{"type":"response.done","response":{"object":"realtime.response","id":"resp_3","status":"failed","usage":null,
        "status_details":{"type":"failed","error":{"type":"server_error","code":"rate_limit_exceeded"}}}}"#;
    let session = r#"{"type":"session.created","session":{"model":"gpt-realtime-2","audio":{"input":{"transcription":{"model":"whisper-1"}}}}}"#;
    let heard = r#"{"type":"conversation.item.input_audio_transcription.completed","event_id":"ev_9","transcript":"Hi",
        "usage":{"type":"duration","seconds":3.5}}"#;
    let stream = format!("\"stream\":[{session},{TURN},{heard},{second},{failed}]");
    let event = capture("realtime?model=gpt-realtime", "null", &stream);
    let calls = entries(&event).unwrap();
    let of = |read: fn(&Entry<'static>) -> String| calls.iter().map(read).collect::<Vec<_>>();
    assert_eq!(of(|call| call.status.as_str().to_owned()), ["success", "success", "incomplete", "error"]);
    assert_eq!(of(|call| call.event_id.as_deref().unwrap().to_owned()), ["resp_1", "ev_9", "resp_2", "resp_3"]);
    assert_eq!(
        of(|call| call.model().unwrap().to_owned()),
        ["gpt-realtime-2", "whisper-1", "gpt-realtime-2", "gpt-realtime-2"]
    );
    assert!(calls.iter().all(|call| call.streamed == Some(true) && call.latency_ms.is_none()));
    assert_eq!(
        (counts(&calls[2]), calls[2].finish_reason.as_deref()),
        ([Some(200), Some(90), Some(100), None], Some("turn_detected"))
    );
    assert_eq!(
        (meter(&calls[1], "audio_seconds").as_deref(), calls[1].operation),
        (Some("3.5"), Some(Operation::Transcription))
    );
    assert_eq!(
        (calls[3].error_type.as_deref(), calls[3].usage_source),
        (Some("rate_limit_exceeded"), UsageSource::Absent)
    );
    let alone = entry(heard);
    assert_eq!(
        (alone.operation, meter(&alone, "audio_seconds").as_deref()),
        (Some(Operation::Transcription), Some("3.5"))
    );
}

#[test]
fn a_transcript_is_counted_in_tokens_or_in_seconds() {
    let tokens = r#"{"type":"transcript.text.done","text":"Hallo","usage":{"type":"tokens","total_tokens":45,"input_tokens":40,
        "input_token_details":{"text_tokens":8,"audio_tokens":32},"output_tokens":5}}"#;
    let stream = format!(r#""stream":[{{"type":"transcript.text.delta","delta":"Ha"}},{tokens}]"#);
    for event in [tokens, &capture("audio/transcriptions", r#"{"model":"gpt-4o-transcribe","stream":true}"#, &stream)] {
        let entry = entry(event);
        assert_eq!((counts(&entry), entry.tokens.input_audio), ([Some(40), None, Some(5), None], Some(32)));
        assert_eq!((entry.operation, entry.status), (Some(Operation::Transcription), Status::Success));
        assert_eq!((said(&entry).1.as_deref(), meter(&entry, "audio_seconds")), (Some("Hallo"), None));
    }
    for (answer, seconds) in [
        (r#"{"text":"x","usage":{"type":"duration","seconds":9}}"#, "9"),
        (r#"{"task":"transcribe","language":"german","duration":8.47,"text":"x","segments":[]}"#, "8.47"),
        (r#"{"task":"transcribe","duration":"8.470000","text":"x","usage":{"type":"duration","seconds":9}}"#, "9"),
    ] {
        for event in
            [answer, &capture("audio/translations", r#"{"model":"whisper-1"}"#, &format!("\"response\":{answer}"))]
        {
            let entry = entry(event);
            assert_eq!(
                (meter(&entry, "audio_seconds").as_deref(), entry.usage_source),
                (Some(seconds), UsageSource::Provider)
            );
            assert!(entry.tokens.is_absent() && entry.operation == Some(Operation::Transcription));
        }
    }
    let cut =
        entry(&capture("audio/transcriptions", "{}", r#""stream":[{"type":"transcript.text.delta","delta":"Ha"}]"#));
    assert_eq!(
        (cut.status, cut.usage_source, said(&cut).1.as_deref()),
        (Status::Incomplete, UsageSource::Absent, Some("Ha"))
    );
}

#[test]
fn speech_counts_its_sound_or_is_estimated_by_its_characters() {
    let done = r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#;
    let stream = format!(r#""stream":[{{"type":"speech.audio.delta","audio":"AA=="}},{done}]"#);
    for event in [done, &capture("audio/speech", r#"{"model":"gpt-4o-mini-tts","input":"Hé!"}"#, &stream)] {
        let entry = entry(event);
        assert_eq!((counts(&entry), entry.tokens.output_audio), ([Some(14), None, Some(101), None], Some(101)));
        assert_eq!(
            (entry.operation, entry.usage_source, meter(&entry, "input_characters")),
            (Some(Operation::Speech), UsageSource::Provider, None)
        );
    }
    let sound = entry(&capture("audio/speech", r#"{"model":"tts-1","input":"Hé!"}"#, "\"response\":null"));
    assert_eq!((sound.usage_source, meter(&sound, "input_characters").as_deref()), (UsageSource::Estimated, Some("3")));
    assert_eq!((sound.tokens.is_absent(), sound.status), (true, Status::Success));
}

#[test]
fn pictures_are_counted_in_tokens_or_by_the_piece() {
    let done = r#"{"type":"image_generation.completed","b64_json":"AA==","created_at":1795170000,"output_format":"webp","usage":{"total_tokens":100,
        "input_tokens":50,"output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
    let stream = format!(r#""stream":[{{"type":"image_generation.partial_image","b64_json":"BB=="}},{done}]"#);
    for event in
        [done, &capture("images/generations", r#"{"model":"gpt-image-2","prompt":"a","stream":true}"#, &stream)]
    {
        let entry = entry(event);
        assert_eq!((counts(&entry), entry.status), ([Some(50), None, Some(50), None], Status::Success));
        assert_eq!((entry.tokens.input_image, entry.tokens.output_image, check(&entry)), (Some(40), Some(50), None));
        assert_eq!((meter(&entry, "output_images").as_deref(), entry.operation), (Some("1"), Some(Operation::Image)));
        assert!(output(&entry).contains("image/webp") && !output(&entry).contains("BB=="));
    }
    let dalle = r#"{"created":1795170000,"data":[{"url":"https://x/1.png"},{"url":"https://x/2.png"}]}"#;
    for event in
        [dalle, &capture("images/generations", r#"{"model":"dall-e-3","n":2}"#, &format!("\"response\":{dalle}"))]
    {
        let entry = entry(event);
        assert_eq!((entry.tokens.is_absent(), meter(&entry, "output_images").as_deref()), (true, Some("2")));
        assert_eq!((entry.usage_source, entry.status), (UsageSource::Provider, Status::Success));
    }
    let mixed = r#""response":{"created":1,"data":[{"b64_json":"AA=="}],"usage":{"input_tokens":5,"output_tokens":60,"total_tokens":65,
        "output_tokens_details":{"image_tokens":50,"text_tokens":10}}}"#;
    let mixed = entry(&capture("images/generations", "{}", mixed));
    assert_eq!((mixed.tokens.output_image, mixed.tokens.buckets().output_text), (Some(50), Some(10)));
    let blocked = r#""response":{"error":{"code":"moderation_blocked","type":"image_generation_user_error"}}"#;
    let blocked = entry(&capture("images/generations", "{}", blocked).replace(":200", ":400"));
    assert_eq!((blocked.status, meter(&blocked, "output_images")), (Status::Filtered, None));
}

#[test]
fn documents_put_in_order_are_input_alone() {
    for usage in [r#"{"total_tokens":56}"#, r#"{"prompt_tokens":56,"total_tokens":56,"odd_tokens":1}"#] {
        let answer = format!(
            r#"{{"id":"rr-1","model":"bge-reranker","usage":{usage},"results":[{{"index":0,"relevance_score":0.9}}]}}"#
        );
        let private = capture(
            "rerank",
            r#"{"model":"bge-reranker","query":"q","documents":["a"]}"#,
            &format!("\"response\":{answer}"),
        );
        let private = private.replace("https://api.openai.com", "http://10.0.0.4:8000");
        for event in [&answer, &private] {
            let entry = entry(event);
            assert_eq!((entry.operation, counts(&entry)), (Some(Operation::Rerank), [Some(56), None, Some(0), None]));
            assert_eq!((entry.usage_source, entry.event_id.as_deref()), (UsageSource::Provider, Some("rr-1")));
            assert_eq!(extra(&entry).contains("usage.odd_tokens"), usage.contains("odd"));
        }
    }
}

#[test]
fn vectors_are_input_alone() {
    for usage in [
        r#"{"prompt_tokens":9,"total_tokens":9}"#,
        r#"{"total_tokens":9}"#,
        r#"{"prompt_tokens":9,"total_tokens":9,"completion_tokens":0}"#,
    ] {
        let answer = format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.1]}}],"model":"text-embedding-3-small","usage":{usage}}}"#
        );
        for event in [
            &answer,
            &capture(
                "embeddings",
                r#"{"model":"text-embedding-3-small","input":[[1,2]]}"#,
                &format!("\"response\":{answer}"),
            ),
        ] {
            let entry = entry(event);
            assert_eq!(
                (entry.operation, counts(&entry), check(&entry)),
                (Some(Operation::Embeddings), [Some(9), None, Some(0), None], None)
            );
            assert_eq!(features(&entry), ["proprietary_embedding"]);
            assert!(entry.body.is_some(), "the event has what was said, though not in words");
        }
    }
}

#[test]
fn a_live_answer_that_was_filtered_says_so_and_a_silent_session_is_no_success() {
    let filtered = TURN
        .replace("\"completed\"", "\"incomplete\"")
        .replace("\"status_details\":null", r#""status_details":{"type":"incomplete","reason":"content_filter"}"#);
    assert_eq!(entry(&filtered).status, Status::Filtered);
    let limited = filtered.replace("content_filter", "max_output_tokens");
    assert_eq!(entry(&limited).status, Status::Success);
    let refused = r#""stream":[{"type":"error","error":{"type":"invalid_request_error","code":"session_expired"}}]"#;
    let refused = entry(&capture("realtime?model=gpt-realtime", "null", refused).replace(":200", ":101"));
    assert_eq!((refused.status, refused.error_type.as_deref()), (Status::Error, Some("session_expired")));
    assert_eq!((refused.operation, refused.usage_source), (Some(Operation::Realtime), UsageSource::Absent));
}

#[test]
fn streams_of_sound_and_pictures_end_in_errors_too() {
    let error = r#""stream":[{"type":"error","error":{"type":"server_error","code":"overloaded","message":"m"}}]"#;
    for (path, operation) in [
        ("audio/transcriptions", Operation::Transcription),
        ("audio/speech", Operation::Speech),
        ("images/edits", Operation::Image),
    ] {
        let entry = entry(&capture(path, r#"{"model":"m","input":"abc","stream":true}"#, error));
        assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("overloaded")), "{path}");
        assert_eq!(
            (entry.operation, entry.usage_source, entry.meters.len()),
            (Some(operation), UsageSource::Absent, 0)
        );
    }
}

#[test]
fn moderations_are_calls_of_no_kind() {
    let answer =
        r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":true,"categories":{"hate":true}}]}"#;
    let event =
        capture("moderations", r#"{"model":"omni-moderation-latest","input":"x"}"#, &format!("\"response\":{answer}"));
    for (event, provider) in [(event.clone(), "openai"), (event.replace("api.openai.com", "api.mistral.ai"), "mistral")]
    {
        let entry = entry(&event);
        assert_eq!((entry.operation, entry.status), (None, Status::Success));
        assert_eq!((entry.provider.as_deref(), entry.model()), (Some(provider), Some("omni-moderation-latest")));
        assert_eq!((entry.usage_source, entry.latency_ms), (UsageSource::Absent, Some(700)));
    }
}
