//! Anthropic's usage, whose `input_tokens` leaves the cache out.

use std::borrow::Cow;

use daybook_ledger::{Tokens, Usd};

use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::openai::usage::{meter, sum};
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::Json;

object! {
    /// `usage` of a message, of `message_start` and of `message_delta`.
    pub(crate) struct Usage<'a> {
        input_tokens: Count = "input_tokens",
        cache_creation_input_tokens: Count = "cache_creation_input_tokens",
        cache_read_input_tokens: Count = "cache_read_input_tokens",
        cache_creation: CacheCreation<'a> = "cache_creation",
        output_tokens: Count = "output_tokens",
        output_tokens_details: OutputDetails<'a> = "output_tokens_details",
        server_tool_use: ServerToolUse<'a> = "server_tool_use",
        service_tier: Text<'a> = "service_tier",
        inference_geo: Text<'a> = "inference_geo",
        speed: Json<'a> = "speed",
        /// Passes of one call, compaction among them. The counts above then leave all but the messages out.
        iterations: Vec<Iteration<'a>> = "iterations",
    }
}

object! {
    #[derive(Clone)]
    struct CacheCreation<'a> {
        short: Count = "ephemeral_5m_input_tokens",
        long: Count = "ephemeral_1h_input_tokens",
    }
}

object! {
    #[derive(Clone)]
    struct OutputDetails<'a> {
        thinking_tokens: Count = "thinking_tokens",
    }
}

object! {
    struct ServerToolUse<'a> {
        web_search_requests: Count = "web_search_requests",
        web_fetch_requests: Count = "web_fetch_requests",
        code_execution_requests: Count = "code_execution_requests",
    }
}

object! {
    /// The counts of one pass, or of the whole call.
    struct Iteration<'a> {
        model: Text<'a> = "model",
        input_tokens: Count = "input_tokens",
        cache_creation_input_tokens: Count = "cache_creation_input_tokens",
        cache_read_input_tokens: Count = "cache_read_input_tokens",
        cache_creation: CacheCreation<'a> = "cache_creation",
        output_tokens: Count = "output_tokens",
        output_tokens_details: OutputDetails<'a> = "output_tokens_details",
    }
    ignoring ["type"]
}

impl Iteration<'_> {
    fn tokens(&self) -> Tokens {
        let split = self.cache_creation.as_ref();
        let short = split.and_then(|split| count(split.short));
        let long = split.and_then(|split| count(split.long));
        let cache_read = count(self.cache_read_input_tokens);
        let cache_write = count(self.cache_creation_input_tokens).or_else(|| sum(&[short, long]));
        Tokens {
            input: count(self.input_tokens).and_then(|fresh| sum(&[Some(fresh), cache_read, cache_write])),
            cache_read,
            cache_write,
            cache_write_5m: short,
            cache_write_1h: long,
            output: count(self.output_tokens),
            reasoning: self.output_tokens_details.as_ref().and_then(|details| count(details.thinking_tokens)),
            ..Tokens::default()
        }
    }
}

impl<'a> Usage<'a> {
    /// The counts in the ledger's convention: cache reads and writes are part of the input, every pass counts.
    pub(crate) fn tokens(&self) -> Tokens {
        let whole = Iteration {
            input_tokens: self.input_tokens,
            cache_creation_input_tokens: self.cache_creation_input_tokens,
            cache_read_input_tokens: self.cache_read_input_tokens,
            cache_creation: self.cache_creation.clone(),
            output_tokens: self.output_tokens,
            output_tokens_details: self.output_tokens_details.clone(),
            ..Iteration::default()
        };
        let whole = whole.tokens();
        let passes = self.iterations.as_deref().unwrap_or_default();
        let Some(all) = passes.iter().map(Iteration::tokens).reduce(|all, pass| add(&all, &pass)) else {
            return whole;
        };
        Tokens { reasoning: all.reasoning.or(whole.reasoning), ..all }
    }

    /// Takes over what `later` says. Counts of a stream are running totals: they replace, they never add.
    pub(crate) fn merge(&mut self, later: Self) {
        self.input_tokens = said(later.input_tokens).or(self.input_tokens);
        self.cache_creation_input_tokens = said(later.cache_creation_input_tokens).or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = said(later.cache_read_input_tokens).or(self.cache_read_input_tokens);
        self.cache_creation = later.cache_creation.or(self.cache_creation.take());
        self.output_tokens = said(later.output_tokens).or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details.take());
        self.server_tool_use = later.server_tool_use.or(self.server_tool_use.take());
        self.service_tier = later.service_tier.or(self.service_tier.take());
        self.inference_geo = later.inference_geo.or(self.inference_geo.take());
        self.speed = later.speed.or(self.speed);
        self.iterations = later.iterations.or(self.iterations.take());
        self.unknown = later.unknown;
    }

    /// Quantities billed apart from tokens. Passes of other models than `served`, an advisor's or a fallback's, are tokens
    /// of other prices: they are counted, so that a price of `served` alone does not pass for the call's.
    pub(crate) fn meters(&self, served: Option<&str>, meters: &mut Vec<(&'static str, Usd)>) {
        if let Some(used) = &self.server_tool_use {
            meter(meters, "web_search_requests", count(used.web_search_requests));
            meter(meters, "web_fetch_requests", count(used.web_fetch_requests));
            meter(meters, "code_execution_requests", count(used.code_execution_requests));
        }
        let of_others = self.iterations.iter().flatten().filter(|pass| {
            let model = pass.model.as_ref().map(|model| model.0.as_ref()).filter(|model| !model.is_empty());
            model.is_some_and(|model| served.is_some_and(|served| served != model))
        });
        let tokens = of_others.map(Iteration::tokens).map(|tokens| sum(&[tokens.input, tokens.output]));
        meter(meters, "other_model_tokens", sum(&tokens.collect::<Vec<_>>()));
    }

    /// The tier that served. Fast mode is a tier of its own, with its own price.
    pub(crate) fn service_tier(&mut self) -> Option<Cow<'a, str>> {
        let fast = self.speed.is_some_and(|speed| speed.get() == "\"fast\"");
        let tier = present(self.service_tier.take());
        match tier.as_deref() {
            None | Some("standard") if fast => Some(Cow::Borrowed("fast")),
            _ => tier,
        }
    }

    /// Where inference ran; `not_available` says nothing.
    pub(crate) fn inference_geo(&mut self) -> Option<Cow<'a, str>> {
        present(self.inference_geo.take()).filter(|geo| geo != "not_available")
    }

    /// What it says that no column has.
    pub(crate) fn note_unknown(&self, extra: &mut Extra<'a>) {
        extra.add("usage", &self.unknown);
        if let Some(speed) = self.speed.filter(|speed| !matches!(speed.get(), "\"standard\"" | "\"fast\"")) {
            extra.member("usage.speed".to_owned(), speed.get());
        }
        if let Some(split) = &self.cache_creation {
            extra.add("usage.cache_creation", &split.unknown);
        }
        if let Some(details) = &self.output_tokens_details {
            extra.add("usage.output_tokens_details", &details.unknown);
        }
        if let Some(used) = &self.server_tool_use {
            extra.add("usage.server_tool_use", &used.unknown);
        }
        for (at, pass) in self.iterations.iter().flatten().enumerate() {
            extra.add(&format!("usage.iterations.{at}"), &pass.unknown);
        }
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
    fn fast_mode_is_a_tier_unless_another_served() {
        let tier = |json: &str| usage(json).service_tier().map(Cow::into_owned);
        assert_eq!(tier(r#"{"speed":"fast"}"#).as_deref(), Some("fast"));
        assert_eq!(tier(r#"{"speed":"fast","service_tier":"standard"}"#).as_deref(), Some("fast"));
        assert_eq!(tier(r#"{"speed":"fast","service_tier":"batch"}"#).as_deref(), Some("batch"));
        assert_eq!(tier(r#"{"speed":"standard","service_tier":"standard"}"#).as_deref(), Some("standard"));
        assert_eq!(tier(r#"{"speed":null}"#), None);
    }

    #[test]
    fn passes_of_other_models_are_counted_apart_and_new_members_kept() {
        let usage = usage(
            r#"{"input_tokens":10,"output_tokens":2,"new_tokens":7,"iterations":[
                {"type":"message","input_tokens":10,"output_tokens":2},
                {"type":"advisor_message","model":"claude-fable-5-1","input_tokens":30,"output_tokens":5,"why":"hard"}]}"#,
        );
        let mut meters = Vec::new();
        usage.meters(Some("claude-sonnet-5"), &mut meters);
        assert_eq!(meters.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["other_model_tokens"]);
        assert_eq!(meters[0].1.to_string(), "35.000000000000");
        meters.clear();
        usage.meters(Some("claude-fable-5-1"), &mut meters);
        assert!(meters.is_empty());
        let mut extra = Extra::default();
        usage.note_unknown(&mut extra);
        assert_eq!(extra.into_json().as_deref(), Some(r#"{"usage.new_tokens":7,"usage.iterations.1.why":"hard"}"#));
    }
}
