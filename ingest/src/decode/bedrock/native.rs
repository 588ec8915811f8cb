//! Bodies of InvokeModel in the dialects of model vendors that have no decoder of their own: Llama, Titan, Mistral,
//! Cohere, DeepSeek, OpenAI and others. What is said and counted has few names among them.

use daybook_ledger::{Operation, Tokens, neutral};

use super::reply::Reply;
use super::usage::Counts;
use crate::decode::DecodeError;
use crate::decode::messages::{Messages, elements, is_string};
use crate::decode::object::object;
use crate::decode::openai::chat_stream::join;
use crate::decode::openai::usage::{Usage, sum};
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::{Json, Source};

object! {
    /// A response, a chunk, or one of several answers in either.
    struct Body<'a> {
        // What is said.
        text: Json<'a> = "generation" | "outputText" | "completion" | "text",
        answers: Json<'a> = "results" | "outputs" | "generations" | "choices",
        message: Json<'a> = "message" | "delta",
        reason: Text<'a> = "completionReason" | "finish_reason" | "stopReason",
        // Beside a finish_reason it says at which text or token, which may be a number.
        stopped_by: Json<'a> = "stop_reason",
        // What is counted.
        prompt_tokens: Count = "prompt_token_count" | "inputTextTokenCount",
        output_tokens: Count = "generation_token_count" | "totalOutputTextTokenCount" | "tokenCount",
        usage: Usage<'a> = "usage",
        // What is neither.
        vector: Json<'a> = "embedding" | "embeddings",
        // Titan gives those of one type beside all.
        vectors_by_type: Json<'a> = "embeddingsByType",
        images: Json<'a> = "images" | "artifacts",
        guardrail: Text<'a> = "amazon-bedrock-guardrailAction",
        model: Text<'a> = "model",
    }
}

object! {
    struct Spoken<'a> {
        content: Json<'a> = "content",
    }
}

/// What the chunks of an answer, or the answers of a body, add up to.
#[derive(Default)]
struct Said<'a> {
    texts: Vec<Json<'a>>,
    messages: Vec<Json<'a>>,
    output_tokens: Vec<Option<i64>>,
}

/// Reads a whole response.
pub(crate) fn read<'a>(source: &Source<'a>, json: Json<'a>, output: &mut Messages) -> Result<Reply<'a>, DecodeError> {
    let mut reply = Reply::default();
    let mut said = Said::default();
    take(source, json, &mut reply, &mut said)?;
    let reason = reply.finish_reason.clone();
    for text in said.texts.iter().filter(|text| is_string(text)) {
        output.message("assistant", reason.as_deref(), |output| output.text(text));
    }
    for message in &said.messages {
        output.item(message, reason.as_deref());
    }
    Ok(reply)
}

/// Reads the chunks of a stream: their texts are one.
pub(crate) fn read_stream<'a>(
    source: &Source<'a>,
    chunks: &[Json<'a>],
    output: &mut Messages,
) -> Result<Reply<'a>, DecodeError> {
    let mut reply = Reply::default();
    let mut said = Said::default();
    for chunk in chunks {
        take(source, chunk, &mut reply, &mut said)?;
    }
    let contents =
        said.messages.iter().filter_map(|message| crate::decode::messages::shape::<Spoken<'_>>(message)?.content);
    let pieces: Vec<_> = said.texts.iter().copied().chain(contents).filter(|piece| is_string(piece)).collect();
    if let Some(text) = join(output.writer.is_on(), &pieces) {
        let reason = reply.finish_reason.clone();
        output.message("assistant", reason.as_deref(), |output| output.typed_json("text", &text));
    }
    // A stream has ended when it says why.
    reply.finished = reply.finish_reason.is_some();
    Ok(reply)
}

fn take<'a>(
    source: &Source<'a>,
    json: Json<'a>,
    reply: &mut Reply<'a>,
    said: &mut Said<'a>,
) -> Result<(), DecodeError> {
    let body: Body<'a> = source.object(json)?;
    said.texts.extend(body.text);
    said.messages.extend(body.message.filter(|message| message.get().starts_with('{')));
    let stopped_by = body.stopped_by.and_then(neutral::text).filter(|reason| !reason.is_empty());
    if let Some(reason) = present(body.reason).or(stopped_by) {
        reply.finish_reason = Some(reason);
    }
    reply.model = present(body.model).or(reply.model.take());
    let answers = body.answers.map(elements).unwrap_or_default();
    for answer in answers.iter().filter(|answer| answer.get().starts_with('{')) {
        if answer.get().contains("\"relevance_score\"") || answer.get().contains("\"relevanceScore\"") {
            reply.operation = Some(Operation::Rerank);
            continue;
        }
        take(source, answer, reply, said)?;
    }
    if body.vector.or(body.vectors_by_type).is_some() {
        reply.operation = Some(Operation::Embeddings);
    }
    if body.images.is_some() {
        reply.operation = Some(Operation::Image);
    }
    let action = present(body.guardrail);
    reply.features.insert_if(action.is_some(), daybook_ledger::Feature::Guardrails);
    reply.blocked |= action.is_some_and(|action| action == "INTERVENED");
    said.output_tokens.push(count(body.output_tokens));
    let usage = body.usage.as_ref().map(Usage::tokens).unwrap_or_default();
    let input = count(body.prompt_tokens).or(usage.input);
    // Titan counts each of its answers.
    let output = usage.output.or_else(|| sum(&said.output_tokens));
    let counts = Counts::of_inclusive(&Tokens { input, output, ..usage });
    reply.counts = counts.or(reply.counts);
    reply.finished = true;
    if let Some(usage) = &body.usage {
        usage.note_unknown("usage", &mut reply.extra);
    }
    Ok(())
}
