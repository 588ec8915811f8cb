//! Attributes outside of the conventions: OpenLLMetry, OpenInference, Vercel's AI SDK, Cloudflare.

use super::*;

/// An event of one span of `kind` with these attributes: text, or a number.
fn batch(kind: u8, attributes: &[(&str, &str)]) -> String {
    let attributes = attributes.iter().map(|(key, value)| {
        let value = match value.parse::<f64>() {
            Ok(_) if !value.contains('.') => format!(r#"{{"intValue":"{value}"}}"#),
            Ok(_) => format!(r#"{{"doubleValue":{value}}}"#),
            Err(_) => format!(r#"{{"stringValue":{}}}"#, serde_json::Value::from(*value)),
        };
        format!(r#"{{"key":"{key}","value":{value}}}"#)
    });
    let attributes = attributes.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708",
        "kind":{kind},"startTimeUnixNano":"1795170000000000000","attributes":[{attributes}]}}]}}]}}]}}"#
    )
}

/// The entry of that span, which says the same in protobuf.
fn span(kind: u8, attributes: &[(&str, &str)]) -> Entry<'static> {
    let json = batch(kind, attributes);
    let packed: &'static [u8] = otel_proto::protobuf(&json).leak();
    let mut entries = Vec::new();
    decode(&Event::of(packed), None, &BODIES, &mut |entry| entries.push(entry)).unwrap();
    let read = entry(&json);
    let plain = |entry: Entry<'_>| format!("{:?}", Entry { raw: b"", ..entry });
    assert_eq!(entries.into_iter().map(plain).collect::<Vec<_>>(), [plain(entry(&json))]);
    read
}

#[test]
fn openllmetry_spells_messages_out() {
    let entry = span(
        3,
        &[
            ("llm.request.type", "chat"),
            ("gen_ai.system", "Anthropic"),
            ("gen_ai.request.model", "claude-opus-5"),
            ("gen_ai.prompt.10.role", "user"),
            ("gen_ai.prompt.10.content", "and then?"),
            ("gen_ai.prompt.0.role", "system"),
            ("gen_ai.prompt.0.content", "Be brief."),
            ("gen_ai.prompt.2.role", "user"),
            (
                "gen_ai.prompt.2.content",
                r#"[{"type":"text","text":"parts"},{"type":"image_url","image_url":{"url":"u"}}]"#,
            ),
            ("gen_ai.completion.0.role", "assistant"),
            ("gen_ai.completion.0.content", "Done."),
            ("gen_ai.completion.0.finish_reason", "tool_use"),
            ("gen_ai.completion.0.tool_calls.0.id", "t1"),
            ("gen_ai.completion.0.tool_calls.0.name", "file_claim"),
            ("gen_ai.completion.0.tool_calls.0.arguments", r#"{"ref":1}"#),
            ("llm.request.functions.0.name", "file_claim"),
            ("gen_ai.usage.input_tokens", "57"),
            ("gen_ai.usage.cache_read_input_tokens", "18400"),
            ("gen_ai.usage.cache_creation_input_tokens", "2944"),
            ("gen_ai.usage.output_tokens", "210"),
            ("llm.usage.total_tokens", "267"),
        ],
    );
    assert_eq!(said(&entry), (Some("Be brief.\nparts\nand then?".into()), Some("Done.".into())));
    assert!(output(&entry).contains(r#"{"type":"tool_call","id":"t1","name":"file_claim","arguments":{"ref":1}}"#));
    assert_eq!((entry.finish_reason.as_deref(), entry.provider.as_deref()), (Some("tool_use"), Some("anthropic")));
    assert_eq!(features(&entry), ["tool_calling", "vision_input"]);
    // The cache stands beside the input: it cannot be a part of it.
    assert_eq!((entry.tokens.input, entry.tokens.buckets().check), (Some(21_401), None));
}

#[test]
fn openinference_has_words_of_its_own() {
    let entry = span(
        1,
        &[
            ("openinference.span.kind", "LLM"),
            ("llm.model_name", "gpt-6-sol"),
            ("llm.provider", "azure"),
            ("llm.system", "openai"),
            ("llm.token_count.prompt", "100"),
            ("llm.token_count.completion", "20"),
            ("llm.token_count.total", "120"),
            ("llm.token_count.prompt_details.cache_read", "40"),
            ("llm.token_count.completion_details.reasoning", "8"),
            ("llm.token_count.prompt_details.new", "3"),
            ("llm.cost.total", "0.0125"),
            ("llm.input_messages.0.message.role", "user"),
            ("llm.input_messages.0.message.contents.0.message_content.type", "text"),
            ("llm.input_messages.0.message.contents.0.message_content.text", "Tere"),
            ("llm.output_messages.0.message.role", "assistant"),
            ("llm.output_messages.0.message.content", "Tere!"),
            ("llm.output_messages.0.message.tool_calls.0.tool_call.function.name", "f"),
            ("input.value", "whatever"),
            ("session.id", "s1"),
        ],
    );
    assert_eq!((entry.provider.as_deref(), entry.request_model.as_deref()), (Some("azure"), Some("gpt-6-sol")));
    let tokens = entry.tokens;
    assert_eq!(
        (tokens.input, tokens.output, tokens.cache_read, tokens.reasoning),
        (Some(100), Some(20), Some(40), Some(8))
    );
    assert_eq!(entry.reported_cost, Usd::parse("0.0125").ok());
    assert_eq!(said(&entry), (Some("Tere".into()), Some("Tere!".into())));
    assert_eq!((entry.session_id.as_deref(), features(&entry)), (Some("s1"), vec!["tool_calling"]));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"llm.token_count.prompt_details.new":3}"#));
    let whole = span(1, &[("openinference.span.kind", "LLM"), ("input.value", "hi"), ("output.value", "ho")]);
    assert_eq!(said(&whole), (Some("hi".into()), Some("ho".into())));
    let embedding =
        [("openinference.span.kind", "EMBEDDING"), ("embedding.model_name", "m"), ("llm.token_count.prompt", "5")];
    let embedding = span(1, &embedding);
    assert_eq!((embedding.operation.map(Operation::as_str), embedding.tokens.output), (Some("embeddings"), Some(0)));
    for kind in ["AGENT", "CHAIN", "TOOL", "RETRIEVER", "GUARDRAIL"] {
        let event = batch(1, &[("openinference.span.kind", kind), ("llm.token_count.prompt", "5")]);
        assert!(entries(&event).unwrap().is_empty(), "{kind}");
    }
}

#[test]
fn of_the_ai_sdks_spans_only_the_inner_ones_count() {
    let inner = span(
        1,
        &[
            ("ai.operationId", "ai.streamText.doStream"),
            ("ai.model.id", "gpt-6-sol"),
            ("ai.model.provider", "openai.responses"),
            ("gen_ai.system", "openai.responses"),
            ("gen_ai.request.model", "gpt-6-sol"),
            ("gen_ai.usage.input_tokens", "9"),
            ("gen_ai.usage.output_tokens", "4"),
            ("ai.usage.cachedInputTokens", "2"),
            ("ai.usage.reasoningTokens", "1"),
        ],
    );
    assert_eq!((inner.provider.as_deref(), inner.tokens.cache_read), (Some("openai"), Some(2)));
    assert_eq!((inner.tokens.input, inner.tokens.reasoning), (Some(9), Some(1)));
    let embed = [("ai.operationId", "ai.embed.doEmbed"), ("ai.model.id", "m"), ("ai.usage.tokens", "7")];
    assert_eq!(span(1, &embed).tokens.input, Some(7));
    for outer in ["ai.streamText", "ai.generateText", "ai.embedMany", "ai.toolCall"] {
        let event = batch(1, &[("ai.operationId", outer), ("gen_ai.usage.input_tokens", "9")]);
        assert!(entries(&event).unwrap().is_empty(), "{outer}");
    }
}

#[test]
fn other_senders_words_are_understood_and_unknown_counts_kept() {
    let entry = span(
        3,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.model.provider", "workers-ai"),
            ("gen_ai.request.model", "m"),
            ("gen_ai.prompt_json", r#"[{"role":"user","content":"hi"}]"#),
            ("gen_ai.completion_json", r#"[{"role":"assistant","content":"ho"}]"#),
            ("gen_ai.usage.details.cache_read_tokens", "3"),
            ("gen_ai.usage.tokens_in", "10"),
            ("gen_ai.usage.note", "new"),
            ("gen_ai.usage.text.input_tokens", "7"),
            ("aws.bedrock.guardrail.id", "g"),
        ],
    );
    assert_eq!(said(&entry), (Some("hi".into()), Some("ho".into())));
    assert_eq!((entry.tokens.input, entry.usage_source), (None, UsageSource::Absent));
    assert_eq!(entry.extra.as_deref(), Some(r#"{"gen_ai.usage.tokens_in":10,"gen_ai.usage.note":"new"}"#));
    assert_eq!(features(&entry), ["guardrails"]);
}
