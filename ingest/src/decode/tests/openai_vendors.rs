//! Vendors that speak Chat Completions: Azure, DeepSeek, xAI, Groq, OpenRouter, vLLM.

use super::*;

/// A call of `api` at `url`: HTTP status, request and what was answered.
fn capture(api: &str, url: &str, (status, request): (u16, &str), answer: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"{api}","endpoint":"{url}","started_at":"2026-11-20T09:00:00Z","duration_ms":640,
        "time_to_first_token_ms":81.5,"http_status":{status},"request_id":"req-7"}},"request":{request},{answer}}}"#
    )
}

fn answered(api: &str, url: &str, model: &str, usage: &str) -> Entry<'static> {
    let answer = format!(
        r#""response":{{"id":"c","object":"chat.completion","created":1795170000,"model":"{model}","choices":[
        {{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"ok"}}}}],"usage":{usage}}}"#
    );
    entry(&capture(api, url, (200, &format!(r#"{{"model":"{model}"}}"#)), &answer))
}

const AZURE: &str =
    "https://acme.openai.azure.com/openai/deployments/chat-prod/chat/completions?api-version=2026-06-01";

#[test]
fn azure_counts_through_explicit_nulls() {
    let usage = r#"{"prompt_tokens":40,"completion_tokens":7,"total_tokens":47,"prompt_tokens_details":{"audio_tokens":null,
        "cached_tokens":32,"cache_write_tokens":null},"completion_tokens_details":{"audio_tokens":null,"reasoning_tokens":null,
        "accepted_prediction_tokens":null},"latency_checkpoint":{"engine_ttft_ms":55}}"#;
    let entry = answered("azure.chat.completions", AZURE, "gpt-5.4-2026-03-05", usage);
    assert_eq!(counts(&entry), [Some(40), Some(32), Some(7), None]);
    assert_eq!((entry.tokens.cache_write, entry.tokens.input_audio, check(&entry)), (None, None, None));
    assert_eq!((entry.provider.as_deref(), entry.request_model.as_deref()), (Some("azure"), Some("chat-prod")));
    assert_eq!((entry.response_model.as_deref(), entry.status), (Some("gpt-5.4-2026-03-05"), Status::Success));
    assert_eq!((entry.latency_ms, entry.ttft_ms, entry.streamed), (Some(640), Some(82), Some(false)));
    assert_eq!(extra(&entry), r#"{"usage.latency_checkpoint":{"engine_ttft_ms":55}}"#);
}

#[test]
fn azure_blocks_prompts_without_counts_and_answers_with_them() {
    let refused = |error: &str| {
        let event =
            capture("azure.chat", AZURE, (400, r#"{"messages":[]}"#), &format!(r#""response":{{"error":{error}}}"#));
        entry(&event)
    };
    let blocked = refused(
        r#"{"message":"m","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{
            "code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}"#,
    );
    assert_eq!((blocked.status, blocked.error_type.as_deref()), (Status::Filtered, Some("content_filter")));
    assert_eq!((blocked.usage_source, blocked.event_id.as_deref()), (UsageSource::Absent, Some("req-7")));
    let inner = refused(r#"{"code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation"}}"#);
    assert_eq!((inner.status, inner.error_type.as_deref()), (Status::Filtered, Some("BadRequest")));
    let broken = refused(r#"{"code":"DeploymentNotFound","innererror":null}"#);
    assert_eq!((broken.status, broken.error_type.as_deref()), (Status::Error, Some("DeploymentNotFound")));

    let cut = entry(&capture(
        "azure.chat",
        AZURE,
        (200, r#"{"stream":true}"#),
        r#""stream":[{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0,
            "content_filter_results":{"jailbreak":{"detected":false,"filtered":false}}}]},
            {"id":"c1","created":1795170000,"model":"gpt-5.4-2026-03-05","choices":[{"index":0,"delta":{"content":"Ab"},"finish_reason":null}],"usage":null},
            {"id":"c1","model":"gpt-5.4-2026-03-05","choices":[{"index":0,"delta":{},"finish_reason":"content_filter",
            "content_filter_results":{"violence":{"filtered":true,"severity":"medium"}}}],"usage":null},
            {"id":"c1","model":"gpt-5.4-2026-03-05","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":3,"total_tokens":23}}]"#,
    ));
    assert_eq!((cut.status, counts(&cut)), (Status::Filtered, [Some(20), None, Some(3), None]));
    assert_eq!((cut.event_id.as_deref(), cut.streamed), (Some("c1"), Some(true)));
    assert_eq!((features(&cut), said(&cut).1.as_deref()), (vec!["guardrails"], Some("Ab")));
}

#[test]
fn azures_version_1_route_names_the_deployment_in_the_request() {
    let event = capture(
        "openai.chat.completions",
        "https://acme.openai.azure.com/openai/v1/chat/completions",
        (200, r#"{"model":"chat-prod"}"#),
        r#""response":{"id":"c","model":"gpt-5.4-2026-03-05","service_tier":null,"choices":[{"message":{"content":"x"}}]}"#,
    );
    let entry = entry(&event);
    assert_eq!((entry.provider.as_deref(), entry.service_tier.as_deref()), (Some("azure"), None));
    assert_eq!((entry.request_model.as_deref(), entry.model()), (Some("chat-prod"), Some("gpt-5.4-2026-03-05")));
}

#[test]
fn deepseek_hits_and_misses_are_halves_of_the_prompt() {
    let read =
        |usage: &str| answered("deepseek.chat", "https://api.deepseek.com/chat/completions", "deepseek-chat", usage);
    let both = read(
        r#"{"prompt_tokens":96,"completion_tokens":30,"total_tokens":126,"prompt_tokens_details":{"cached_tokens":64},
            "prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":32,"completion_tokens_details":{"reasoning_tokens":21}}"#,
    );
    assert_eq!(counts(&both), [Some(96), Some(64), Some(30), Some(21)]);
    assert_eq!((both.tokens.cache_write, both.tokens.buckets().uncached_input, check(&both)), (None, Some(32), None));
    assert_eq!(both.provider.as_deref(), Some("deepseek"));
    let halves = read(r#"{"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":32,"completion_tokens":30}"#);
    assert_eq!(counts(&halves), [Some(96), Some(64), Some(30), None]);
}

#[test]
fn deepseek_out_of_resources_is_incomplete_and_keeps_its_counts() {
    let url = "https://api.deepseek.com/chat/completions";
    let usage = r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_cache_hit_tokens":0,"prompt_cache_miss_tokens":9}"#;
    let whole = format!(
        r#""response":{{"id":"d","choices":[{{"finish_reason":"insufficient_system_resource","message":{{"content":"par","reasoning_content":"hm"}}}}],"usage":{usage}}}"#
    );
    let stream = format!(
        r#""stream":[{{"id":"d","choices":[{{"index":0,"delta":{{"reasoning_content":"hm"}}}}]}},
        {{"id":"d","choices":[{{"index":0,"delta":{{"content":"par"}},"finish_reason":"insufficient_system_resource"}}],"usage":{usage}}},"[DONE]"]"#
    );
    for answer in [whole, stream] {
        let entry = entry(&capture("deepseek.chat", url, (200, r#"{"model":"deepseek-reasoner"}"#), &answer));
        assert_eq!((entry.status, counts(&entry)), (Status::Incomplete, [Some(9), Some(0), Some(4), None]));
        assert_eq!(entry.finish_reason.as_deref(), Some("insufficient_system_resource"));
        assert!(output(&entry).contains(r#"{"type":"reasoning","content":"hm"}"#));
    }
}

#[test]
fn xai_reasoning_stands_where_the_total_says() {
    let read = |usage: &str| answered("xai.chat", "https://api.x.ai/v1/chat/completions", "grok-4.5", usage);
    let beside = read(
        r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":170,"prompt_tokens_details":{"text_tokens":90,"audio_tokens":0,
            "image_tokens":10,"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":50,"audio_tokens":0},
            "num_sources_used":3,"server_side_tool_usage_details":{"web_search_calls":2,"x_search_calls":1,"code_interpreter_calls":4,
            "view_image_calls":5},"cost_in_usd_ticks":12345678901,"cost_in_nano_usd":7}"#,
    );
    assert_eq!((counts(&beside), beside.tokens.input_image), ([Some(100), Some(64), Some(70), Some(50)], Some(10)));
    assert_eq!((cost(&beside).as_deref(), check(&beside)), (Some("1.2345678901"), None));
    assert_eq!(
        ["search_sources", "web_search_requests", "x_search_requests", "code_interpreter_calls"]
            .map(|name| meter(&beside, name).unwrap()),
        ["3", "2", "1", "4"]
    );
    assert_eq!(features(&beside), ["vision_input", "web_search", "code_execution"]);
    assert_eq!(
        extra(&beside),
        r#"{"usage.cost_in_nano_usd":7,"usage.server_side_tool_usage_details.view_image_calls":5}"#
    );

    let inside = read(
        r#"{"prompt_tokens":100,"completion_tokens":70,"total_tokens":170,"completion_tokens_details":{"reasoning_tokens":50}}"#,
    );
    assert_eq!((counts(&inside), check(&inside)), ([Some(100), None, Some(70), Some(50)], None));
    let unsure =
        read(r#"{"prompt_tokens":100,"completion_tokens":20,"completion_tokens_details":{"reasoning_tokens":50}}"#);
    assert_eq!((counts(&unsure), cost(&unsure)), ([Some(100), None, Some(70), Some(50)], None));
    let neither = read(
        r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":121,"completion_tokens_details":{"reasoning_tokens":5}}"#,
    );
    assert_eq!((counts(&neither), check(&neither).is_some()), ([Some(100), None, Some(20), Some(5)], true));
    let smallest = read(r#"{"prompt_tokens":1,"completion_tokens":1,"cost_in_usd_ticks":1}"#);
    assert_eq!(cost(&smallest).as_deref(), Some("0.0000000001"));
}

#[test]
fn xai_errors_are_a_code_beside_a_sentence_and_its_responses_are_read() {
    let error = r#""response":{"code":"Client specified an invalid argument","error":"Incorrect API key provided"}"#;
    let failed = entry(&capture("xai.chat", "https://api.x.ai/v1/chat/completions", (400, "{}"), error));
    assert_eq!(
        (failed.status, failed.error_type.as_deref()),
        (Status::Error, Some("Client specified an invalid argument"))
    );
    let response = r#""response":{"id":"r","object":"response","status":"completed","model":"grok-4.5","output":[{"type":"web_search_call"}],
        "usage":{"input_tokens":50,"input_tokens_details":{"cached_tokens":10},"output_tokens":30,"output_tokens_details":{"reasoning_tokens":20},
        "total_tokens":80,"num_sources_used":1,"cost_in_usd_ticks":5000000000}}"#;
    let entry =
        entry(&capture("xai.responses", "https://api.x.ai/v1/responses", (200, r#"{"model":"grok-4.5"}"#), response));
    assert_eq!(
        (entry.operation, counts(&entry)),
        (Some(Operation::Responses), [Some(50), Some(10), Some(30), Some(20)])
    );
    assert_eq!((cost(&entry).as_deref(), meter(&entry, "web_search_requests").as_deref()), (Some("0.5"), Some("1")));
    assert_eq!(entry.provider.as_deref(), Some("xai"));
}

#[test]
fn groq_usage_counts_once_wherever_it_stands() {
    let usage = r#"{"queue_time":0.018,"prompt_tokens":24,"prompt_time":0.001,"completion_tokens":6,"completion_time":0.01,
        "total_tokens":30,"total_time":0.011,"prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":4}}"#;
    for (last, closing) in [
        (format!(r#","x_groq":{{"id":"req_1","usage":{usage}}}"#), String::new()),
        (
            format!(r#","x_groq":{{"id":"req_1","usage":{usage}}}"#),
            format!(r#",{{"id":"c","choices":[],"usage":{usage}}}"#),
        ),
        (String::new(), format!(r#",{{"id":"c","choices":[],"x_groq":{{"id":"req_1"}},"usage":{usage}}}"#)),
    ] {
        let stream = format!(
            r#""stream":[{{"id":"c","model":"llama-4","choices":[{{"index":0,"delta":{{"role":"assistant","content":""}}}}],"x_groq":{{"id":"req_1","seed":7}}}},
            {{"id":"c","service_tier":"flex","choices":[{{"index":0,"delta":{{"content":"Hi"}},"finish_reason":"stop"}}]{last}}}{closing}]"#
        );
        let entry = entry(&capture(
            "groq.chat",
            "https://api.groq.com/openai/v1/chat/completions",
            (200, r#"{"stream":true}"#),
            &stream,
        ));
        assert_eq!((entry.status, counts(&entry)), (Status::Success, [Some(24), Some(16), Some(6), Some(4)]));
        assert_eq!((entry.provider.as_deref(), entry.service_tier.as_deref()), (Some("groq"), Some("flex")));
        assert!(extra(&entry).contains(r#""usage.queue_time":0.018"#) && extra(&entry).contains(r#""x_groq.seed":7"#));
    }
}

#[test]
fn groq_fails_in_its_last_chunk_and_lists_the_tools_it_ran() {
    let url = "https://api.groq.com/openai/v1/chat/completions";
    let cut = r#""stream":[{"id":"c","choices":[{"index":0,"delta":{"content":"H"}}],"x_groq":{"id":"req_1"}},
        {"id":"c","choices":[{"index":0,"delta":{}}],"x_groq":{"id":"req_1","error":"over capacity"}}]"#;
    let failed = entry(&capture("groq.chat", url, (200, r#"{"stream":true}"#), cut));
    assert_eq!(
        (failed.status, failed.usage_source, said(&failed).1.as_deref()),
        (Status::Error, UsageSource::Absent, Some("H"))
    );
    let compound = r#""response":{"id":"c","object":"chat.completion","model":"groq/compound","choices":[{"finish_reason":"stop","message":{"content":"x",
        "executed_tools":[{"index":0,"type":"search","arguments":"{}"},{"index":1,"type":"python","arguments":"{}"}]}}],
        "usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6},"usage_breakdown":{"models":[{"model":"llama-4","usage":{"prompt_tokens":4}}]},
        "x_groq":{"id":"req_2"}}"#;
    let compound = entry(&capture("groq.chat", url, (200, r#"{"model":"groq/compound"}"#), compound));
    assert_eq!(
        (counts(&compound), features(&compound)),
        ([Some(4), None, Some(2), None], vec!["web_search", "code_execution"])
    );
    assert!(extra(&compound).contains(r#""usage_breakdown":{"models":["#));
    assert!(compound.model().unwrap().ends_with("compound"));
}

const OPENROUTER: &str = "https://openrouter.ai/api/v1/chat/completions";

#[test]
fn openrouter_reports_what_it_charged_which_is_the_fee_with_a_key_of_ones_own() {
    let usage = r#"{"prompt_tokens":90,"completion_tokens":20,"total_tokens":110,"cost":0.00000475,"is_byok":true,
        "prompt_tokens_details":{"cached_tokens":50,"cache_write_tokens":30,"audio_tokens":0,"video_tokens":4},
        "completion_tokens_details":{"reasoning_tokens":16,"image_tokens":0},"server_tool_use_details":{"web_search_requests":2,"pdf_pages":3},
        "cost_details":{"upstream_inference_cost":0.000095,"upstream_inference_prompt_cost":0.00001}}"#;
    let entry = answered("openrouter.chat", OPENROUTER, "anthropic/claude-sonnet-5", usage);
    assert_eq!((counts(&entry), entry.tokens.cache_write), ([Some(90), Some(50), Some(20), Some(16)], Some(30)));
    assert_eq!((entry.tokens.cache_write_5m, entry.tokens.cache_write_30m, check(&entry)), (None, None, None));
    assert_eq!((cost(&entry).as_deref(), entry.model()), (Some("0.00000475"), Some("anthropic/claude-sonnet-5")));
    assert_eq!(
        (meter(&entry, "web_search_requests").as_deref(), meter(&entry, "input_video_tokens").as_deref()),
        (Some("2"), Some("4"))
    );
    for kept in
        [r#""usage.is_byok":true"#, r#""usage.server_tool_use.pdf_pages":3"#, r#""upstream_inference_cost":0.000095"#]
    {
        assert!(extra(&entry).contains(kept), "{kept}");
    }
}

#[test]
fn openrouter_streams_may_end_in_an_error() {
    let stream = r#""stream":[{"id":"gen-1","provider":"DeepInfra","model":"qwen/qwen3","choices":[{"index":0,"delta":{"content":"a"}}]},
        {"id":"gen-1","provider":"DeepInfra","error":{"code":"server_error","message":"gone"},"choices":[{"index":0,"delta":{"content":""},
        "finish_reason":"error","native_finish_reason":null}]}]"#;
    let entry = entry(&capture("openrouter.chat", OPENROUTER, (200, r#"{"stream":true}"#), stream));
    assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("server_error")));
    assert_eq!((entry.event_id.as_deref(), extra(&entry)), (Some("gen-1"), r#"{"provider":"DeepInfra"}"#));
}

pub(super) const GENERATION: &str = r#"{"data":{"id":"gen-9","model":"openai/gpt-5.4-mini","created_at":"2026-11-20T08:00:00.000Z","tokens_prompt":90,
    "tokens_completion":8,"native_tokens_prompt":100,"native_tokens_completion":12,"native_tokens_reasoning":5,"native_tokens_cached":64,
    "native_tokens_completion_images":0,"total_cost":0.00123,"usage":0.00123,"upstream_inference_cost":0,"cache_discount":-0.0001,
    "latency":1200,"generation_time":900,"streamed":true,"cancelled":false,"finish_reason":"stop","api_type":"completions",
    "response_cache_source_id":null,"provider_name":"Azure"}}"#;

#[test]
fn a_look_up_tells_of_the_call_it_looked_up() {
    let url = "https://openrouter.ai/api/v1/generation?id=gen-9";
    let captured = capture("openrouter.generation", url, (200, "null"), &format!("\"response\":{GENERATION}"));
    for event in [GENERATION, &captured] {
        let entry = entry(event);
        assert_eq!(counts(&entry), [Some(100), Some(64), Some(12), Some(5)]);
        assert_eq!((entry.event_id.as_deref(), entry.provider.as_deref()), (Some("gen-9"), Some("openrouter")));
        assert_eq!((entry.latency_ms, entry.streamed, entry.status), (Some(1_200), Some(true), Status::Success));
        assert_eq!(entry.started_at.unwrap().to_string(), "2026-11-20T08:00:00.000000Z");
        assert_eq!((cost(&entry).as_deref(), entry.gateway_cache_hit), (Some("0.00123"), None));
        assert!(
            extra(&entry).contains(r#""data.tokens_prompt":90"#)
                && extra(&entry).contains(r#""data.generation_time":900"#)
        );
    }
    let state = |from: &str, to: &str| entry(&GENERATION.replace(from, to)).status;
    assert_eq!(state(r#""cancelled":false"#, r#""cancelled":true"#), Status::Incomplete);
    assert_eq!(state(r#""finish_reason":"stop""#, r#""finish_reason":"error""#), Status::Error);
    let cached =
        entry(&GENERATION.replace(r#""response_cache_source_id":null"#, r#""response_cache_source_id":"gen-1""#));
    assert_eq!(cached.gateway_cache_hit, Some(true));
}

#[test]
fn a_server_on_a_private_host_is_ones_own_and_a_proxy_there_is_not() {
    let usage = r#"{"prompt_tokens":30,"total_tokens":37,"completion_tokens":null,"prompt_tokens_details":null}"#;
    for url in ["http://10.2.0.9:8000/v1/chat/completions", "http://vllm.ml.svc.cluster.local/v1/chat/completions"] {
        let entry = answered("openai.chat.completions", url, "meta-llama/Llama-4", usage);
        assert_eq!((entry.provider.as_deref(), entry.model()), (Some("vllm"), Some("meta-llama/Llama-4")));
        assert_eq!((counts(&entry), check(&entry)), ([Some(30), None, Some(7), None], None));
    }
    let proxied = answered("openai.chat.completions", "http://10.2.0.9:4000/v1/chat/completions", "gpt-5.4", usage);
    assert_eq!(proxied.provider.as_deref(), Some("openai"));
}

#[test]
fn running_totals_of_vllm_are_never_added_up() {
    let chunk = |text: &str, output: u8, more: &str| {
        format!(
            r#"{{"id":"v","model":"qwen3","choices":[{{"index":0,"delta":{{"content":"{text}"}}{more}}}],"usage":{{"prompt_tokens":11,"total_tokens":{},"completion_tokens":{output}}}}}"#,
            11 + output
        )
    };
    let cut = [chunk("", 0, ""), chunk("a", 1, ""), chunk("b", 2, "")].join(",");
    let whole = format!("{cut},{}", chunk("c", 3, r#","finish_reason":"stop""#));
    let request = r#"{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}"#;
    let read = |chunks: &str| {
        entry(&capture(
            "vllm.chat",
            "http://10.0.0.4:8000/v1/chat/completions",
            (200, request),
            &format!("\"stream\":[{chunks}]"),
        ))
    };
    assert_eq!((read(&whole).status, counts(&read(&whole))), (Status::Success, [Some(11), None, Some(3), None]));
    assert_eq!((read(&cut).status, counts(&read(&cut))), (Status::Incomplete, [Some(11), None, Some(2), None]));
}

#[test]
fn old_and_new_errors_of_vllm_have_their_word() {
    for error in [
        r#"{"error":{"message":"m","type":"NotFoundError","param":null,"code":404}}"#,
        r#"{"object":"error","message":"m","type":"NotFoundError","param":null,"code":404}"#,
    ] {
        let event = capture(
            "vllm.chat",
            "http://10.0.0.4:8000/v1/chat/completions",
            (404, "{}"),
            &format!("\"response\":{error}"),
        );
        let entry = entry(&event);
        assert_eq!((entry.status, entry.error_type.as_deref()), (Status::Error, Some("NotFoundError")));
        assert_eq!(entry.usage_source, UsageSource::Absent);
    }
}

#[test]
fn every_vendor_keeps_counts_it_has_no_name_for() {
    let usage = r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"novel_tokens":9,"prompt_tokens_details":{"odd_tokens":8},
        "completion_tokens_details":{"rare_tokens":7}}"#;
    for api in [
        "openai.chat",
        "azure.chat",
        "mistral.chat",
        "deepseek.chat",
        "xai.chat",
        "groq.chat",
        "openrouter.chat",
        "vllm.chat",
    ] {
        let entry = answered(api, "https://gateway.example.org/v1/chat/completions", "m", usage);
        for kept in [r#""usage.novel_tokens":9"#, r#""usage.input.odd_tokens":8"#, r#""usage.output.rare_tokens":7"#] {
            assert!(extra(&entry).contains(kept), "{api}: {kept}");
        }
    }
}

#[test]
fn details_under_either_spelling_are_read_and_counted_once() {
    let usage = r#"{"prompt_tokens":100,"input_tokens":100,"completion_tokens":20,"output_tokens":20,"total_tokens":120,
        "prompt_tokens_details":{},"input_tokens_details":{"cached_tokens":40,"odd_tokens":3},
        "completion_tokens_details":null,"output_tokens_details":{"reasoning_tokens":5}}"#;
    let entry = answered("openai.chat", "https://api.openai.com/v1/chat/completions", "gpt-5.4", usage);
    assert_eq!((counts(&entry), check(&entry)), ([Some(100), Some(40), Some(20), Some(5)], None));
    assert_eq!(extra(&entry), r#"{"usage.input.odd_tokens":3}"#);
}

#[test]
fn a_live_stream_that_is_cut_keeps_the_last_counts_it_had() {
    for last in [r#","usage":null"#, r#","usage":{}"#, ""] {
        let stream = format!(
            r#""stream":[{{"id":"c","choices":[{{"index":0,"delta":{{"content":"a"}}}}],"usage":{{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}}},
            {{"id":"c","choices":[{{"index":0,"delta":{{"content":"b"}}}}]{last}}}]"#
        );
        let url = "https://api.x.ai/v1/chat/completions";
        let entry = entry(&capture("xai.chat", url, (200, r#"{"stream":true}"#), &stream));
        assert_eq!((entry.status, counts(&entry)), (Status::Incomplete, [Some(4), None, Some(1), None]), "{last}");
    }
}

#[test]
fn a_vendor_of_many_models_may_be_called_in_anthropics_words() {
    let url = "https://acme.services.ai.azure.com/anthropic/v1/messages";
    let request = r#"{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hi"}]}"#;
    let whole = r#""response":{"id":"msg_1","type":"message","model":"claude-sonnet-5","content":[{"type":"text","text":"yes"}],
        "stop_reason":"end_turn","usage":{"input_tokens":500,"cache_read_input_tokens":300,"cache_creation_input_tokens":100,"output_tokens":20}}"#;
    let stream = r#""stream":[{"type":"message_start","message":{"id":"msg_1","type":"message","model":"claude-sonnet-5","content":[],
        "usage":{"input_tokens":500,"cache_read_input_tokens":300,"cache_creation_input_tokens":100,"output_tokens":1}}},
        {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"yes"}},
        {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":20}},{"type":"message_stop"}]"#;
    for (api, provider, url, answer) in [
        ("azure.anthropic.messages", "azure", url, whole),
        ("azure.messages", "azure", url, stream),
        ("openrouter.messages", "openrouter", "https://openrouter.ai/api/v1/messages", whole),
        ("vllm.anthropic.messages", "vllm", "http://10.0.0.7:8000/v1/messages", stream),
    ] {
        let (request, answer) = match provider {
            // Weights of one's own.
            "vllm" => (request.replace("claude-sonnet-5", "qwen3"), answer.replace("claude-sonnet-5", "qwen3")),
            _ => (request.to_owned(), answer.to_owned()),
        };
        let entry = entry(&capture(api, url, (200, &request), &answer));
        assert_eq!(
            (entry.provider.as_deref(), counts(&entry)),
            (Some(provider), [Some(900), Some(300), Some(20), None]),
            "{api}"
        );
        assert_eq!(
            (entry.finish_reason.as_deref(), said(&entry).1.as_deref()),
            (Some("end_turn"), Some("yes")),
            "{api}"
        );
        assert_eq!((entry.tokens.cache_write, entry.tokens.cache_write_30m), (Some(100), None), "{api}");
    }
}

const GOOGLE: &str = "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions";

#[test]
fn google_counts_thoughts_in_the_total_alone() {
    let usage = r#"{"completion_tokens":1,"prompt_tokens":9,"total_tokens":103}"#;
    let google = answered("openai.chat.completions", GOOGLE, "gemini-3.5-flash", usage);
    assert_eq!((google.provider.as_deref(), check(&google)), (Some("gemini"), None));
    assert_eq!(counts(&google), [Some(9), None, Some(94), Some(93)]);
    let other = answered("openai.chat.completions", "https://api.openai.com/v1/chat/completions", "gpt-6", usage);
    assert_eq!((counts(&other), check(&other)), ([Some(9), None, Some(1), None], Some("total_differs")));
}

#[test]
fn an_error_in_a_list_is_read_and_a_page_is_an_error_by_its_status() {
    let in_list = r#""response":[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#;
    let page = r#""response":"<html>502 Bad Gateway</html>""#;
    for (api, url) in [
        ("openai.chat.completions", GOOGLE),
        ("openai.responses", "https://api.openai.com/v1/responses"),
        ("openai.embeddings", "https://api.openai.com/v1/embeddings"),
        ("anthropic.messages", "https://api.anthropic.com/v1/messages"),
        (
            "gemini.generate_content",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash:generateContent",
        ),
    ] {
        let limited = entry(&capture(api, url, (429, r#"{"model":"m"}"#), in_list));
        assert_eq!(
            (limited.status, limited.error_type.as_deref()),
            (Status::Error, Some("RESOURCE_EXHAUSTED")),
            "{api}"
        );
        let down = entry(&capture(api, url, (502, r#"{"model":"m"}"#), page));
        assert_eq!((down.status, down.error_type.as_deref()), (Status::Error, Some("502")), "{api}");
    }
}
