//! Answers without an envelope: whose they are is told by their keys.

use super::*;

fn chat(model: &str, more: &str, usage: &str) -> String {
    format!(
        r#"{{"id":"gen-1","object":"chat.completion","created":1795170000,"model":"{model}","choices":[{{"index":0,"finish_reason":"stop",
        "message":{{"role":"assistant","content":"x"}}}}],"usage":{{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10{usage}}}{more}}}"#
    )
}

#[test]
fn a_vendors_mark_tells_whose_a_bare_answer_is() {
    for (event, format, provider) in [
        (chat("gpt-5.4", "", ""), Format::OpenAiChat, "openai"),
        (chat("gpt-5.4", r#","prompt_filter_results":[]"#, ""), Format::AzureOpenAi, "azure"),
        (
            chat("deepseek-chat", "", r#","prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":8"#),
            Format::DeepSeek,
            "deepseek",
        ),
        (chat("grok-4.5", "", r#","num_sources_used":0"#), Format::Xai, "xai"),
        (chat("grok-4.5", "", ""), Format::Xai, "xai"),
        (chat("llama-4", r#","x_groq":{"id":"req_1"}"#, ""), Format::Groq, "groq"),
        (chat("llama-4", "", r#","queue_time":0.1"#), Format::Groq, "groq"),
        (chat("x-ai/grok-4.5", r#","provider":"xAI""#, r#","cost":0.5"#), Format::OpenRouter, "openrouter"),
        (chat("mistral-large-2512", "", ""), Format::Mistral, "mistral"),
        (chat("voxtral-small", "", r#","prompt_audio_seconds":3"#), Format::Mistral, "mistral"),
        (chat("qwen3", r#","prompt_logprobs":null,"kv_transfer_params":null"#, ""), Format::Vllm, "vllm"),
    ] {
        assert_eq!(sniff(&event), Some(format), "{event}");
        let entry = entry(&event);
        assert_eq!((counts(&entry)[0], counts(&entry)[2], entry.status), (Some(8), Some(2), Status::Success));
        assert_eq!((entry.provider.as_deref(), entry.event_id.as_deref()), (Some(provider), Some("gen-1")), "{event}");
        assert_eq!(entry.started_at.unwrap().to_string(), "2026-11-20T10:20:00.000000Z");
    }
}

#[test]
fn a_vendors_responses_vectors_and_transcripts_are_its_own_too() {
    for (event, provider, operation) in [
        (
            r#"{"id":"r","object":"response","status":"completed","model":"grok-4.5","output":[],"usage":{"input_tokens":3,"output_tokens":1,"cost_in_usd_ticks":10}}"#,
            "xai",
            Operation::Responses,
        ),
        (
            r#"{"id":"e","object":"list","data":[{"embedding":[]}],"model":"mistral-embed","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
            "mistral",
            Operation::Embeddings,
        ),
        (r#"{"text":"Hi","x_groq":{"id":"req_1"}}"#, "groq", Operation::Transcription),
    ] {
        let entry = entry(event);
        assert_eq!((entry.provider.as_deref(), entry.operation), (Some(provider), Some(operation)), "{event}");
        assert_eq!(counts(&entry)[0], event.contains("usage").then_some(3));
    }
}

#[test]
fn a_chunk_that_comes_alone_was_streamed() {
    let event = r#"{"id":"c","object":"chat.completion.chunk","model":"gpt-5.4","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
    let entry = entry(event);
    assert_eq!(
        (entry.streamed, entry.status, counts(&entry)),
        (Some(true), Status::Success, [Some(3), None, Some(1), None])
    );
}

#[test]
fn an_event_of_a_responses_stream_is_the_response_as_it_then_was() {
    let event = |state: &str, status: &str, usage: &str| {
        let event = format!(
            r#"{{"type":"response.{state}","sequence_number":9,"response":{{"id":"r","object":"response","status":"{status}","model":"gpt-5.4","output":[],"usage":{usage}}}}}"#
        );
        assert_eq!(sniff(&event), Some(Format::OpenAiResponses));
        entry(&event)
    };
    let usage = r#"{"input_tokens":9,"output_tokens":5,"total_tokens":14}"#;
    let done = event("completed", "completed", usage);
    assert_eq!(
        (done.status, counts(&done), done.streamed),
        (Status::Success, [Some(9), None, Some(5), None], Some(true))
    );
    assert_eq!(
        (event("failed", "failed", "null").status, event("incomplete", "incomplete", usage).status),
        (Status::Error, Status::Incomplete)
    );
    let queued = event("queued", "queued", "null");
    assert_eq!((queued.status, queued.usage_source, queued.id()), (Status::Pending, UsageSource::Absent, done.id()));
}

#[test]
fn a_live_answer_that_has_only_begun_is_the_one_that_is_done_later() {
    let begun = r#"{"type":"response.created","response":{"object":"realtime.response","id":"resp_1","status":"in_progress","usage":null}}"#;
    let (begun, done) = (entry(begun), entry(openai_media::TURN));
    assert_eq!((begun.status, begun.operation), (Status::Pending, Some(Operation::Realtime)));
    assert_eq!((begun.id(), features(&begun)), (done.id(), vec!["realtime"]));
    assert!(begun.richness() < done.richness());
}
