//! Anthropic's usage, whose `input_tokens` leaves the cache out.

use std::borrow::Cow;

use daybook_ledger::{Tokens, Usd};
use serde::Deserialize;

use super::scalar::{Count, Object, Text, count, present};
use super::source::Json;
use super::usage::{meter, sum};
use super::writer::Writer;

/// `usage` of a message, of `message_start` and of `message_delta`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Usage<'a> {
    input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation: Option<Object<CacheCreation>>,
    output_tokens: Option<Count>,
    output_tokens_details: Option<Object<OutputDetails>>,
    server_tool_use: Option<Object<ServerToolUse>>,
    #[serde(borrow)]
    service_tier: Option<Text<'a>>,
    inference_geo: Option<Text<'a>>,
    speed: Option<Json<'a>>,
    /// Passes of one call, compaction among them. The counts above then leave all but the messages out.
    iterations: Option<Vec<Object<Iteration>>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<Count>,
    ephemeral_1h_input_tokens: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<Count>,
    web_fetch_requests: Option<Count>,
    code_execution_requests: Option<Count>,
}

/// The counts of one pass, or of the whole call.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Iteration {
    input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation: Option<Object<CacheCreation>>,
    output_tokens: Option<Count>,
    output_tokens_details: Option<Object<OutputDetails>>,
}

impl Iteration {
    fn tokens(&self) -> Tokens {
        let split = self.cache_creation.unwrap_or_default().0;
        let (short, long) = (count(split.ephemeral_5m_input_tokens), count(split.ephemeral_1h_input_tokens));
        let cache_read = count(self.cache_read_input_tokens);
        let cache_write = count(self.cache_creation_input_tokens).or_else(|| sum(&[short, long]));
        Tokens {
            input: count(self.input_tokens).and_then(|fresh| sum(&[Some(fresh), cache_read, cache_write])),
            cache_read,
            cache_write,
            cache_write_5m: short,
            cache_write_1h: long,
            output: count(self.output_tokens),
            reasoning: count(self.output_tokens_details.unwrap_or_default().0.thinking_tokens),
            ..Tokens::default()
        }
    }
}

impl<'a> Usage<'a> {
    /// The counts in the ledger's convention: cache reads and writes are part of the input, every pass counts.
    pub(super) fn tokens(&self) -> Tokens {
        let whole = Iteration {
            input_tokens: self.input_tokens,
            cache_creation_input_tokens: self.cache_creation_input_tokens,
            cache_read_input_tokens: self.cache_read_input_tokens,
            cache_creation: self.cache_creation,
            output_tokens: self.output_tokens,
            output_tokens_details: self.output_tokens_details,
        };
        let whole = whole.tokens();
        let passes = self.iterations.as_deref().unwrap_or_default();
        let Some(all) = passes.iter().map(|pass| pass.0.tokens()).reduce(|all, pass| add(&all, &pass)) else {
            return whole;
        };
        Tokens { reasoning: all.reasoning.or(whole.reasoning), ..all }
    }

    /// Takes over what `later` says. Counts of a stream are running totals: they replace, they never add.
    pub(super) fn merge(&mut self, later: Self) {
        self.input_tokens = said(later.input_tokens).or(self.input_tokens);
        self.cache_creation_input_tokens = said(later.cache_creation_input_tokens).or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = said(later.cache_read_input_tokens).or(self.cache_read_input_tokens);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.output_tokens = said(later.output_tokens).or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
        self.server_tool_use = later.server_tool_use.or(self.server_tool_use);
        self.service_tier = later.service_tier.or(self.service_tier.take());
        self.inference_geo = later.inference_geo.or(self.inference_geo.take());
        self.speed = later.speed.or(self.speed);
        self.iterations = later.iterations.or(self.iterations.take());
    }

    /// Quantities billed apart from tokens.
    pub(super) fn meters(&self, meters: &mut Vec<(&'static str, Usd)>) {
        let used = self.server_tool_use.unwrap_or_default().0;
        meter(meters, "web_search_requests", count(used.web_search_requests));
        meter(meters, "web_fetch_requests", count(used.web_fetch_requests));
        meter(meters, "code_execution_requests", count(used.code_execution_requests));
    }

    /// The tier that served.
    pub(super) fn service_tier(&mut self) -> Option<Cow<'a, str>> {
        present(self.service_tier.take())
    }

    /// Where inference ran; `not_available` says nothing.
    pub(super) fn inference_geo(&mut self) -> Option<Cow<'a, str>> {
        present(self.inference_geo.take()).filter(|geo| geo != "not_available")
    }

    /// What decides prices but has no column.
    pub(super) fn extra(&self) -> Option<Cow<'a, str>> {
        let speed = self.speed.filter(|speed| speed.get() != "\"standard\"")?;
        let mut writer = Writer::new(true);
        writer.open('{');
        writer.key("speed");
        writer.json(speed.get());
        writer.close('}');
        Some(Cow::Owned(writer.into_text()))
    }
}

fn said(field: Option<Count>) -> Option<Count> {
    field.filter(|count| count.0.is_some())
}

/// Counts of two passes together; what only one of them tells is kept.
fn add(one: &Tokens, other: &Tokens) -> Tokens {
    Tokens {
        input: sum(&[one.input, other.input]),
        cache_read: sum(&[one.cache_read, other.cache_read]),
        cache_write: sum(&[one.cache_write, other.cache_write]),
        cache_write_5m: sum(&[one.cache_write_5m, other.cache_write_5m]),
        cache_write_1h: sum(&[one.cache_write_1h, other.cache_write_1h]),
        output: sum(&[one.output, other.output]),
        reasoning: sum(&[one.reasoning, other.reasoning]),
        ..Tokens::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn input_holds_the_cache() {
        let tokens = usage(
            r#"{"input_tokens":57,"cache_creation_input_tokens":2944,"cache_read_input_tokens":18400,"output_tokens":210}"#,
        )
        .tokens();
        assert_eq!((tokens.input, tokens.cache_write, tokens.cache_write_5m), (Some(21_401), Some(2_944), None));
        let null = usage(r#"{"input_tokens":5,"cache_creation_input_tokens":null,"cache_creation":null}"#).tokens();
        assert_eq!((null.input, null.cache_write, null.cache_read), (Some(5), None, None));
        let only_split = usage(
            r#"{"input_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":3}}"#,
        );
        assert_eq!((only_split.tokens().cache_write, only_split.tokens().input), (Some(5), Some(6)));
    }

    #[test]
    fn every_pass_of_a_compacted_call_counts() {
        let tokens = usage(
            r#"{"input_tokens":100,"output_tokens":10,"cache_read_input_tokens":0,"iterations":[
                {"type":"compaction","input_tokens":9000,"output_tokens":500,"cache_read_input_tokens":50},
                {"type":"message","input_tokens":100,"output_tokens":10,"cache_read_input_tokens":0}]}"#,
        )
        .tokens();
        assert_eq!((tokens.input, tokens.output, tokens.cache_read), (Some(9_150), Some(510), Some(50)));
        assert_eq!(usage(r#"{"input_tokens":3,"iterations":[]}"#).tokens().input, Some(3));
        assert_eq!(usage(r#"{"input_tokens":3,"iterations":null}"#).tokens().input, Some(3));
    }

    #[test]
    fn running_totals_replace_and_null_says_nothing() {
        let mut all =
            usage(r#"{"input_tokens":24,"output_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":7}}"#);
        all.merge(usage(r#"{"input_tokens":null,"output_tokens":13}"#));
        let tokens = all.tokens();
        assert_eq!((tokens.input, tokens.output, tokens.cache_write_1h), (Some(31), Some(13), Some(7)));
    }

    #[test]
    fn a_fast_answer_is_told_in_extra() {
        assert_eq!(usage(r#"{"speed":"fast"}"#).extra().as_deref(), Some(r#"{"speed":"fast"}"#));
        assert_eq!(usage(r#"{"speed":"standard"}"#).extra(), None);
    }
}
