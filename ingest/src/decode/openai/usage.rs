//! Usage objects in OpenAI's shape, which most gateways speak too.

use daybook_ledger::{Entry, Tokens, Usd};

use crate::decode::DecodeError;
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::scalar::{Count, count};
use crate::decode::source::{Json, Source};
use crate::decode::token_total::{fit_modalities, fit_to_total};

object! {
    /// `usage` of Chat Completions (`prompt_tokens`), of Responses (`input_tokens`) and of gateways that mix both.
    ///
    /// All counts are inclusive totals; the details are parts of them. They are boxed to keep what holds a usage small: it
    /// is moved several times on its way out of the parser.
    pub(crate) struct Usage<'a> {
        prompt_tokens: Count = "prompt_tokens",
        completion_tokens: Count = "completion_tokens",
        input_tokens: Count = "input_tokens",
        output_tokens: Count = "output_tokens",
        total_tokens: Count = "total_tokens",
        prompt_tokens_details: Box<InputDetails<'a>> = "prompt_tokens_details",
        input_tokens_details: Box<InputDetails<'a>> = "input_tokens_details" | "input_token_details",
        completion_tokens_details: Box<OutputDetails<'a>> = "completion_tokens_details",
        output_tokens_details: Box<OutputDetails<'a>> = "output_tokens_details" | "output_token_details",
        cache_read_input_tokens: Count = "cache_read_input_tokens",
        cache_creation_input_tokens: Count = "cache_creation_input_tokens",
        /// DeepSeek's two halves of the prompt.
        prompt_cache_hit_tokens: Count = "prompt_cache_hit_tokens",
        prompt_cache_miss_tokens: Count = "prompt_cache_miss_tokens",
        /// Mistral's and Moonshot's spellings of cached tokens.
        num_cached_tokens: Count = "num_cached_tokens",
        cached_tokens: Count = "cached_tokens",
        /// What Mistral's tools put before the model, beside `prompt_tokens`.
        connector_tokens: Count = "connector_tokens",
        connectors: Json<'a> = "connectors",
        prompt_audio_seconds: Json<'a> = "prompt_audio_seconds",
        /// What a transcription is billed by when it is not billed by tokens.
        seconds: Json<'a> = "seconds",
        pub(crate) cost: Json<'a> = "cost",
        pub(crate) cost_in_usd_ticks: Json<'a> = "cost_in_usd_ticks",
        num_sources_used: Count = "num_sources_used",
        server_tool_use: Box<ServerToolUse<'a>> = "server_tool_use",
        server_tool_use_details: Box<ServerToolUse<'a>> = "server_tool_use_details",
        server_side_tool_usage_details: Box<ServerSideTools<'a>> = "server_side_tool_usage_details",
    }
    // `tokens` or `duration`: which of the two members of the union stand here.
    ignoring ["type"]
}

object! {
    struct InputDetails<'a> {
        cached_tokens: Count = "cached_tokens",
        cached_tokens_details: Box<Modalities<'a>> = "cached_tokens_details",
        cache_write_tokens: Count = "cache_write_tokens",
        cache_creation_tokens: Count = "cache_creation_tokens",
        cache_creation_token_details: Box<Lifetimes<'a>> = "cache_creation_token_details",
        audio_tokens: Count = "audio_tokens",
        image_tokens: Count = "image_tokens",
        video_tokens: Count = "video_tokens",
        tool_use_tokens: Count = "tool_use_tokens",
        web_search_requests: Count = "web_search_requests",
    }
    ignoring ["text_tokens"]
}

object! {
    struct Modalities<'a> {
        audio_tokens: Count = "audio_tokens",
        image_tokens: Count = "image_tokens",
    }
    ignoring ["text_tokens"]
}

object! {
    struct Lifetimes<'a> {
        ephemeral_5m_input_tokens: Count = "ephemeral_5m_input_tokens",
        ephemeral_30m_input_tokens: Count = "ephemeral_30m_input_tokens",
        ephemeral_1h_input_tokens: Count = "ephemeral_1h_input_tokens",
        ephemeral_12h_input_tokens: Count = "ephemeral_12h_input_tokens",
    }
}

object! {
    struct OutputDetails<'a> {
        reasoning_tokens: Count = "reasoning_tokens",
        audio_tokens: Count = "audio_tokens",
        image_tokens: Count = "image_tokens",
        accepted_prediction_tokens: Count = "accepted_prediction_tokens",
        rejected_prediction_tokens: Count = "rejected_prediction_tokens",
    }
    ignoring ["text_tokens"]
}

object! {
    struct ServerToolUse<'a> {
        web_search_requests: Count = "web_search_requests",
        web_fetch_requests: Count = "web_fetch_requests",
    }
}

object! {
    /// Calls of xAI's own tools.
    struct ServerSideTools<'a> {
        web_search_calls: Count = "web_search_calls",
        x_search_calls: Count = "x_search_calls",
        code_interpreter_calls: Count = "code_interpreter_calls" | "code_execution_calls",
        file_search_calls: Count = "file_search_calls" | "collections_search_calls",
        document_search_calls: Count = "document_search_calls",
        mcp_calls: Count = "mcp_calls",
    }
}

impl<'a> Usage<'a> {
    /// The counts in the ledger's convention. A count the source spells twice is taken once.
    pub(crate) fn tokens(&self) -> Tokens {
        let (no_input, no_output) = Default::default();
        let input = self.input_details().unwrap_or(&no_input);
        let output = self.output_details().unwrap_or(&no_output);
        let lifetimes = input.cache_creation_token_details.as_deref();
        let written = |read: fn(&Lifetimes<'a>) -> Option<Count>| lifetimes.and_then(|written| count(read(written)));
        let cache_write_5m = written(|lifetimes| lifetimes.ephemeral_5m_input_tokens);
        let cache_write_30m = written(|lifetimes| lifetimes.ephemeral_30m_input_tokens);
        let cache_write_1h = written(|lifetimes| lifetimes.ephemeral_1h_input_tokens);
        let cache_write_12h = written(|lifetimes| lifetimes.ephemeral_12h_input_tokens);
        let cache_write = count(input.cache_write_tokens)
            .or(count(input.cache_creation_tokens))
            .or(count(self.cache_creation_input_tokens))
            .or_else(|| sum(&[cache_write_5m, cache_write_30m, cache_write_1h, cache_write_12h]));
        let halves = count(self.prompt_cache_hit_tokens).zip(count(self.prompt_cache_miss_tokens));
        let mut tokens = Tokens {
            input: self.totals().0.or(halves.map(|(hit, miss)| hit.saturating_add(miss))),
            cache_read: count(input.cached_tokens)
                .or(count(self.cache_read_input_tokens))
                .or(count(self.prompt_cache_hit_tokens))
                .or(count(self.num_cached_tokens))
                .or(count(self.cached_tokens)),
            cache_write,
            cache_write_5m,
            cache_write_30m,
            cache_write_1h,
            cache_write_12h,
            input_audio: fresh(count(input.audio_tokens), self.cached(|cached| cached.audio_tokens)),
            input_image: fresh(count(input.image_tokens), self.cached(|cached| cached.image_tokens)),
            output: self.totals().1,
            reasoning: count(output.reasoning_tokens),
            output_audio: count(output.audio_tokens),
            output_image: count(output.image_tokens),
            total: count(self.total_tokens),
        };
        self.add_tool_use(&mut tokens);
        fit_to_total(&mut tokens);
        if input.cached_tokens_details.is_none() {
            fit_modalities(&mut tokens);
        }
        tokens
    }

    /// Input and output as they are written, whatever else stands beside them.
    pub(crate) fn totals(&self) -> (Option<i64>, Option<i64>) {
        (
            count(self.prompt_tokens).or(count(self.input_tokens)),
            count(self.completion_tokens).or(count(self.output_tokens)),
        )
    }

    /// What tools put before the model is input too. Mistral counts it beside the prompt, and so does LiteLLM what Google
    /// found for a grounded one: the total tells.
    fn add_tool_use(&self, tokens: &mut Tokens) {
        let (Some(input), Some(output), Some(total), Some(found)) =
            (tokens.input, tokens.output, tokens.total, self.tool_use())
        else {
            return;
        };
        if found > 0 && input.saturating_add(output).saturating_add(found) == total {
            tokens.input = Some(input.saturating_add(found));
        }
    }

    fn tool_use(&self) -> Option<i64> {
        count(self.connector_tokens).or_else(|| count(self.input_details()?.tool_use_tokens))
    }

    /// Quantities that have no token column; what is zero was not used.
    pub(crate) fn meters(&self, meters: &mut Vec<(&'static str, Usd)>) {
        let (no_input, no_output) = Default::default();
        let input = self.input_details().unwrap_or(&no_input);
        let output = self.output_details().unwrap_or(&no_output);
        let server = self.server_tool_use.as_deref().or(self.server_tool_use_details.as_deref());
        let own = self.server_side_tool_usage_details.as_deref();
        let of_server = |read: fn(&ServerToolUse<'a>) -> Option<Count>| server.and_then(|tools| count(read(tools)));
        let of_own = |read: fn(&ServerSideTools<'a>) -> Option<Count>| own.and_then(|tools| count(read(tools)));
        let searches = count(input.web_search_requests)
            .or(of_server(|tools| tools.web_search_requests))
            .or(of_own(|tools| tools.web_search_calls));
        for (name, quantity) in [
            ("web_search_requests", searches),
            ("web_fetch_requests", of_server(|tools| tools.web_fetch_requests)),
            ("x_search_requests", of_own(|tools| tools.x_search_calls)),
            ("search_sources", count(self.num_sources_used)),
            ("file_search_requests", of_own(|tools| tools.file_search_calls)),
            ("document_search_requests", of_own(|tools| tools.document_search_calls)),
            ("code_interpreter_calls", of_own(|tools| tools.code_interpreter_calls)),
            ("mcp_calls", of_own(|tools| tools.mcp_calls)),
            ("input_tool_use_tokens", self.tool_use()),
            ("input_video_tokens", count(input.video_tokens)),
            ("cache_read_audio_tokens", self.cached(|cached| cached.audio_tokens)),
            ("cache_read_image_tokens", self.cached(|cached| cached.image_tokens)),
            ("accepted_prediction_tokens", count(output.accepted_prediction_tokens)),
            ("rejected_prediction_tokens", count(output.rejected_prediction_tokens)),
        ] {
            meter(meters, name, quantity);
        }
    }

    /// Seconds of sound, which some models are billed by.
    pub(crate) fn audio_seconds(&self, source: &Source<'a>) -> Result<Option<Usd>, DecodeError> {
        source.decimal(self.seconds.or(self.prompt_audio_seconds))
    }

    /// What tools of the vendor's were called, and how often.
    pub(crate) const fn connectors(&self) -> Option<Json<'a>> {
        self.connectors
    }

    /// The part of the cached tokens that was of one modality.
    fn cached(&self, modality: fn(&Modalities<'a>) -> Option<Count>) -> Option<i64> {
        count(modality(self.input_details()?.cached_tokens_details.as_deref()?))
    }

    /// What it counts that nobody declared.
    pub(crate) fn note_unknown(&self, path: &str, extra: &mut Extra<'a>) {
        extra.add(path, &self.unknown);
        for input in [&self.prompt_tokens_details, &self.input_tokens_details].into_iter().flatten() {
            extra.add(&format!("{path}.input"), &input.unknown);
            if let Some(cached) = &input.cached_tokens_details {
                extra.add(&format!("{path}.input.cached"), &cached.unknown);
            }
            if let Some(written) = &input.cache_creation_token_details {
                extra.add(&format!("{path}.input.cache_creation"), &written.unknown);
            }
        }
        for output in [&self.completion_tokens_details, &self.output_tokens_details].into_iter().flatten() {
            extra.add(&format!("{path}.output"), &output.unknown);
        }
        for server in [&self.server_tool_use, &self.server_tool_use_details].into_iter().flatten() {
            extra.add(&format!("{path}.server_tool_use"), &server.unknown);
        }
        if let Some(own) = &self.server_side_tool_usage_details {
            extra.add(&format!("{path}.server_side_tool_usage_details"), &own.unknown);
        }
    }

    fn input_details(&self) -> Option<&InputDetails<'a>> {
        let spellings = [&self.prompt_tokens_details, &self.input_tokens_details];
        spellings.into_iter().filter_map(Option::as_deref).find(|details| details.says_something())
    }

    fn output_details(&self) -> Option<&OutputDetails<'a>> {
        let spellings = [&self.completion_tokens_details, &self.output_tokens_details];
        spellings.into_iter().filter_map(Option::as_deref).find(|details| details.says_something())
    }

    /// Whether it counts anything: some chunks of a stream have an empty one.
    pub(crate) fn says_something(&self) -> bool {
        let counts = [self.prompt_tokens, self.input_tokens, self.completion_tokens, self.output_tokens];
        let others = [self.total_tokens, self.prompt_cache_hit_tokens, self.prompt_cache_miss_tokens];
        sum(&counts.map(count)).or(sum(&others.map(count))).is_some()
    }
}

impl InputDetails<'_> {
    fn says_something(&self) -> bool {
        let cached = [self.cached_tokens, self.cache_write_tokens, self.cache_creation_tokens];
        let others = [self.audio_tokens, self.image_tokens, self.video_tokens];
        let tools = [self.tool_use_tokens, self.web_search_requests];
        let nested = self.cached_tokens_details.is_some() || self.cache_creation_token_details.is_some();
        nested || cached.into_iter().chain(others).chain(tools).any(|field| count(field).is_some())
    }
}

impl OutputDetails<'_> {
    fn says_something(&self) -> bool {
        let counts = [self.reasoning_tokens, self.audio_tokens, self.image_tokens];
        let predicted = [self.accepted_prediction_tokens, self.rejected_prediction_tokens];
        counts.into_iter().chain(predicted).any(|field| count(field).is_some())
    }
}

/// The part of a modality that was not read from a cache, which is what its column holds.
fn fresh(all: Option<i64>, cached: Option<i64>) -> Option<i64> {
    all.map(|all| all.saturating_sub(cached.unwrap_or(0)))
}

/// The sum of what is known; `None` if nothing is.
pub(crate) fn sum(counts: &[Option<i64>]) -> Option<i64> {
    counts.iter().flatten().copied().reduce(i64::saturating_add)
}

/// Adds a quantity unless it is zero or unknown.
pub(crate) fn meter(meters: &mut Vec<(&'static str, Usd)>, name: &'static str, quantity: Option<i64>) {
    if let Some(quantity) = quantity.filter(|quantity| *quantity != 0) {
        meters.push((name, Usd::from_pico(i128::from(quantity) * 1_000_000_000_000)));
    }
}

/// States the lifetime of OpenAI's cache writes, which `ttl` of the request's `prompt_cache_options` chooses.
///
/// Writes live 30 minutes unless asked otherwise, never 5 minutes or 1 hour. Others speak the same dialect, but their
/// caches live by rules of their own.
pub(crate) fn openai_lifetime(entry: &mut Entry<'_>, ttl: Option<&str>) {
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

/// Takes back the zeros a gateway writes where a call has no counts.
pub(crate) fn drop_placeholders(tokens: &mut Tokens) {
    if tokens.counts().iter().all(|count| count.unwrap_or(0) == 0) {
        *tokens = Tokens::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(json: &str) -> Tokens {
        serde_json::from_str::<Usage<'_>>(json).unwrap().tokens()
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
