//! OpenRouter's account of a call made earlier, looked up by its id.

use daybook_ledger::{Entry, Feature, Operation, Tokens};

use super::DecodeError;
use super::about::About;
use super::capture::{Failure, Outcome, after};
use super::captured::{Answer, Captured};
use super::extra::Extra;
use super::object::object;
use super::openai::chat::is_failure;
use super::openai::usage::meter;
use super::scalar::{Count, Flag, Text, count, flag, present};
use super::source::Json;

pub(super) const ABOUT: About = About {
    format: "openrouter",
    title: "OpenRouter",
    what: "A captured call, or a captured or bare look-up of one at `/generation`.",
    recognised_by: "`capture.api` begins with `openrouter`, an answer has `provider` and an `id` that begins with `gen-`, or `data` has `native_tokens_prompt`.",
    identity: "the answer's `id` (`gen-...`), which the look-up has too: both are one call.",
    stream: "`usage` of the last chunk, which always comes.",
    columns: &[
        (
            "input_tokens, output_tokens",
            "`usage`, whatever vendor served; of a look-up `native_tokens_prompt` and `native_tokens_completion`, which are what was billed, not `tokens_*`",
        ),
        (
            "cache_read_input_tokens, cache_write_input_tokens",
            "`prompt_tokens_details`; the lifetime of writes is not known",
        ),
        (
            "reported_cost",
            "`usage.cost`, `total_cost` of a look-up. With a key of one's own (`is_byok`) it is only the fee: what the vendor bills is `cost_details` in `extra`",
        ),
        ("request_model, response_model", "`vendor/model`, as it is"),
        ("extra", "`provider`, the vendor that served; `cost_details`, `is_byok`, `native_finish_reason`"),
        ("status", "an error in a choice is one, though HTTP said 200; a cancelled generation is incomplete"),
        ("gateway_cache_hit", "true when a look-up has `response_cache_source_id`"),
    ],
    cannot_say: &["The lifetime of cache writes, and the region that served."],
};

object! {
    /// What OpenRouter keeps of a call.
    struct Generation<'a> {
        id: Text<'a> = "id",
        model: Text<'a> = "model",
        created_at: Json<'a> = "created_at",
        native_tokens_prompt: Count = "native_tokens_prompt",
        native_tokens_completion: Count = "native_tokens_completion",
        native_tokens_reasoning: Count = "native_tokens_reasoning",
        native_tokens_cached: Count = "native_tokens_cached",
        native_tokens_completion_images: Count = "native_tokens_completion_images",
        total_cost: Json<'a> = "total_cost",
        latency: Json<'a> = "latency",
        streamed: Flag = "streamed",
        cancelled: Flag = "cancelled",
        finish_reason: Text<'a> = "finish_reason",
        service_tier: Text<'a> = "service_tier",
        api_type: Text<'a> = "api_type",
        num_search_results: Count = "num_search_results",
        external_user: Text<'a> = "external_user",
        session_id: Text<'a> = "session_id",
        response_cache_source_id: Text<'a> = "response_cache_source_id",
    }
}

#[derive(Default, serde::Deserialize)]
struct LookedUp<'a> {
    #[serde(borrow)]
    data: Option<Json<'a>>,
    error: Option<Json<'a>>,
}

/// Decodes a look-up. It tells of the call it looked up, not of itself.
pub(super) fn decode_generation<'a>(mut captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let looked_up = match captured.envelope.response {
        Some(response) => captured.source.object::<LookedUp<'a>>(response)?,
        None => LookedUp::default(),
    };
    let asked = captured.asked()?;
    let Some(data) = looked_up.data else {
        let mut answer = Answer::default();
        answer.outcome.failure = looked_up.error.map(|error| captured.failure(error, None)).transpose()?;
        return captured.conclude(None, asked, answer);
    };
    let mut generation: Generation<'a> = captured.source.object(data)?;
    let operation = match generation.api_type.as_ref().map_or("", |kind| kind.0.as_ref()) {
        "embeddings" => Operation::Embeddings,
        "rerank" => Operation::Rerank,
        "tts" => Operation::Speech,
        "stt" => Operation::Transcription,
        "image" | "images" => Operation::Image,
        _ => Operation::Chat,
    };
    // When and how long the look-up was, and how HTTP answered it, is nothing of the call's.
    captured.envelope.capture = captured.envelope.capture.take().map(|capture| capture.elsewhere());
    let (created, latency) = (generation.created_at, captured.source.millis(generation.latency)?);
    let cost = captured.source.decimal(generation.total_cost)?;
    let outcome = outcome(&mut generation);
    let mut answer = Answer { outcome, created, ..Answer::default() };
    answer.outcome.tokens = tokens(&generation);
    meter(&mut answer.meters, "search_sources", count(generation.num_search_results));
    let mut entry = captured.conclude(operation, asked, answer)?;
    entry.latency_ms = latency;
    entry.completed_at = entry.started_at.zip(latency).and_then(|(start, millis)| after(start, millis));
    entry.streamed = flag(generation.streamed).or(entry.streamed);
    (entry.reported_cost, entry.reported_currency) = (cost, cost.map(|_| "USD"));
    entry.end_user = entry.end_user.or(present(generation.external_user));
    entry.session_id = entry.session_id.or(present(generation.session_id));
    entry.gateway_cache_hit = present(generation.response_cache_source_id).map(|_| true);
    entry.features.insert_if(count(generation.num_search_results).is_some_and(|found| found > 0), Feature::WebSearch);
    Ok(entry)
}

fn outcome<'a>(generation: &mut Generation<'a>) -> Outcome<'a> {
    let mut extra = Extra::default();
    extra.add("data", &generation.unknown);
    let failed = is_failure(generation.finish_reason.as_ref().map(|reason| reason.0.as_ref()));
    Outcome {
        id: present(generation.id.take()),
        model: present(generation.model.take()),
        service_tier: present(generation.service_tier.take()),
        finish_reason: present(generation.finish_reason.take()),
        finished: flag(generation.cancelled) != Some(true),
        failure: failed.then(Failure::default),
        extra,
        ..Outcome::default()
    }
}

/// The counts of the model's own tokenizer, which are billed.
fn tokens(generation: &Generation<'_>) -> Tokens {
    Tokens {
        input: count(generation.native_tokens_prompt),
        cache_read: count(generation.native_tokens_cached),
        output: count(generation.native_tokens_completion),
        reasoning: count(generation.native_tokens_reasoning),
        output_image: count(generation.native_tokens_completion_images),
        ..Tokens::default()
    }
}
