//! Usage objects in OpenAI's shape, which most gateways speak too.

use daybook_ledger::{Entry, Tokens, Usd};
use serde::Deserialize;

use super::scalar::{Count, Object, count};

/// `usage` of Chat Completions (`prompt_tokens`), of Responses (`input_tokens`) and of gateways that mix both.
///
/// All counts are inclusive totals; the details are parts of them. They are boxed to keep what holds a usage small: it is
/// moved several times on its way out of the parser.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Usage {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    input_tokens: Option<Count>,
    output_tokens: Option<Count>,
    total_tokens: Option<Count>,
    prompt_tokens_details: Option<Box<Object<InputDetails>>>,
    input_tokens_details: Option<Box<Object<InputDetails>>>,
    completion_tokens_details: Option<Box<Object<OutputDetails>>>,
    output_tokens_details: Option<Box<Object<OutputDetails>>>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    server_tool_use: Option<Object<ServerToolUse>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct InputDetails {
    cached_tokens: Option<Count>,
    cached_tokens_details: Option<Object<Modalities>>,
    cache_write_tokens: Option<Count>,
    cache_creation_tokens: Option<Count>,
    cache_creation_token_details: Option<Object<Lifetimes>>,
    audio_tokens: Option<Count>,
    image_tokens: Option<Count>,
    video_tokens: Option<Count>,
    tool_use_tokens: Option<Count>,
    web_search_requests: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Modalities {
    audio_tokens: Option<Count>,
    image_tokens: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Lifetimes {
    ephemeral_5m_input_tokens: Option<Count>,
    ephemeral_30m_input_tokens: Option<Count>,
    ephemeral_1h_input_tokens: Option<Count>,
    ephemeral_12h_input_tokens: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<Count>,
    audio_tokens: Option<Count>,
    image_tokens: Option<Count>,
    accepted_prediction_tokens: Option<Count>,
    rejected_prediction_tokens: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<Count>,
    web_fetch_requests: Option<Count>,
}

impl Usage {
    /// The counts in the ledger's convention. A count the source spells twice is taken once.
    pub(super) fn tokens(&self) -> Tokens {
        let input = self.input_details();
        let output = self.output_details();
        let cached = input.cached_tokens_details.unwrap_or_default().0;
        let lifetimes = input.cache_creation_token_details.unwrap_or_default().0;
        let cache_write_5m = count(lifetimes.ephemeral_5m_input_tokens);
        let cache_write_30m = count(lifetimes.ephemeral_30m_input_tokens);
        let cache_write_1h = count(lifetimes.ephemeral_1h_input_tokens);
        let cache_write_12h = count(lifetimes.ephemeral_12h_input_tokens);
        let cache_write = count(input.cache_write_tokens)
            .or(count(input.cache_creation_tokens))
            .or(count(self.cache_creation_input_tokens))
            .or_else(|| sum(&[cache_write_5m, cache_write_30m, cache_write_1h, cache_write_12h]));
        Tokens {
            input: count(self.prompt_tokens).or(count(self.input_tokens)),
            cache_read: count(input.cached_tokens).or(count(self.cache_read_input_tokens)),
            cache_write,
            cache_write_5m,
            cache_write_30m,
            cache_write_1h,
            cache_write_12h,
            input_audio: fresh(count(input.audio_tokens), count(cached.audio_tokens)),
            input_image: fresh(count(input.image_tokens), count(cached.image_tokens)),
            output: count(self.completion_tokens).or(count(self.output_tokens)),
            reasoning: count(output.reasoning_tokens),
            output_audio: count(output.audio_tokens),
            output_image: count(output.image_tokens),
            total: count(self.total_tokens),
        }
    }

    /// Quantities that have no token column; what is zero was not used.
    pub(super) fn meters(&self, meters: &mut Vec<(&'static str, Usd)>) {
        let input = self.input_details();
        let output = self.output_details();
        let server = self.server_tool_use.unwrap_or_default().0;
        let searches = count(input.web_search_requests).or(count(server.web_search_requests));
        meter(meters, "web_search_requests", searches);
        meter(meters, "web_fetch_requests", count(server.web_fetch_requests));
        meter(meters, "input_tool_use_tokens", count(input.tool_use_tokens));
        meter(meters, "input_video_tokens", count(input.video_tokens));
        meter(meters, "accepted_prediction_tokens", count(output.accepted_prediction_tokens));
        meter(meters, "rejected_prediction_tokens", count(output.rejected_prediction_tokens));
    }

    fn input_details(&self) -> InputDetails {
        let details = self.prompt_tokens_details.as_deref().or(self.input_tokens_details.as_deref());
        details.copied().unwrap_or_default().0
    }

    fn output_details(&self) -> OutputDetails {
        let details = self.completion_tokens_details.as_deref().or(self.output_tokens_details.as_deref());
        details.copied().unwrap_or_default().0
    }
}

/// The part of a modality that was not read from a cache, which is what its column holds.
fn fresh(all: Option<i64>, cached: Option<i64>) -> Option<i64> {
    all.map(|all| all.saturating_sub(cached.unwrap_or(0)))
}

/// The sum of what is known; `None` if nothing is.
pub(super) fn sum(counts: &[Option<i64>]) -> Option<i64> {
    counts.iter().flatten().copied().reduce(i64::saturating_add)
}

/// Adds a quantity unless it is zero or unknown.
pub(super) fn meter(meters: &mut Vec<(&'static str, Usd)>, name: &'static str, quantity: Option<i64>) {
    if let Some(quantity) = quantity.filter(|quantity| *quantity != 0) {
        meters.push((name, Usd::from_pico(i128::from(quantity) * 1_000_000_000_000)));
    }
}

/// States the lifetime of OpenAI's cache writes, which `ttl` of the request's `prompt_cache_options` chooses.
///
/// Writes live 30 minutes unless asked otherwise, never 5 minutes or 1 hour. Others speak the same dialect, but their
/// caches live by rules of their own.
pub(super) fn openai_lifetime(entry: &mut Entry<'_>, ttl: Option<&str>) {
    if !matches!(entry.provider.as_deref(), Some("openai" | "azure")) {
        return;
    }
    let tokens = &mut entry.tokens;
    let Some(written) = tokens.cache_write else { return };
    tokens.cache_write_5m = Some(0);
    tokens.cache_write_1h = Some(0);
    match ttl {
        None | Some("30m") => (tokens.cache_write_30m, tokens.cache_write_12h) = (Some(written), Some(0)),
        Some("12h") => (tokens.cache_write_30m, tokens.cache_write_12h) = (Some(0), Some(written)),
        Some(_) => {}
    }
}

/// Takes back the zeros a gateway writes where a failed call has no counts.
pub(super) fn drop_placeholders(tokens: &mut Tokens) {
    if tokens.counts().iter().all(|count| count.unwrap_or(0) == 0) {
        *tokens = Tokens::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(json: &str) -> Tokens {
        serde_json::from_str::<Usage>(json).unwrap().tokens()
    }

    #[test]
    fn a_count_spelt_twice_is_taken_once() {
        let tokens = tokens(
            r#"{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":40,"cache_creation_tokens":20,
                "cache_write_tokens":20},"cache_read_input_tokens":40,"cache_creation_input_tokens":20}"#,
        );
        assert_eq!((tokens.cache_read, tokens.cache_write), (Some(40), Some(20)));
        assert_eq!(tokens.buckets().uncached_input, Some(40));
    }

    #[test]
    fn null_details_say_nothing_and_cached_sound_is_not_fresh_sound() {
        assert_eq!(tokens(r#"{"prompt_tokens":1,"prompt_tokens_details":null}"#).cache_read, None);
        assert_eq!(tokens(r#"{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":null}}"#).cache_read, None);
        let details = r#"{"input_tokens":9,"input_tokens_details":{"audio_tokens":7,"cached_tokens":5,
            "cached_tokens_details":{"audio_tokens":4}}}"#;
        assert_eq!(tokens(details).input_audio, Some(3));
    }

    #[test]
    fn openai_writes_live_as_long_as_the_request_says() {
        let lifetimes = |provider: &'static str, ttl| {
            let mut entry = Entry::new("openai", daybook_ledger::Operation::Chat, b"");
            entry.provider = Some(provider.into());
            entry.tokens.cache_write = Some(7);
            openai_lifetime(&mut entry, ttl);
            let tokens = entry.tokens;
            [tokens.cache_write_5m, tokens.cache_write_30m, tokens.cache_write_1h, tokens.cache_write_12h]
        };
        assert_eq!(lifetimes("openai", None), [Some(0), Some(7), Some(0), Some(0)]);
        assert_eq!(lifetimes("azure", Some("12h")), [Some(0), Some(0), Some(0), Some(7)]);
        assert_eq!(lifetimes("openai", Some("2d")), [Some(0), None, Some(0), None]);
        assert_eq!(lifetimes("openrouter", None), [None; 4]);
    }

    #[test]
    fn only_a_failure_of_nothing_but_zeros_is_a_placeholder() {
        let mut zeros = Tokens { input: Some(0), output: Some(0), total: Some(0), ..Tokens::default() };
        drop_placeholders(&mut zeros);
        assert!(zeros.is_absent());
        let mut partial = Tokens { input: Some(12), output: Some(0), ..Tokens::default() };
        drop_placeholders(&mut partial);
        assert_eq!(partial.input, Some(12));
    }
}
