//! Google's usage, whose thoughts and tool results stand beside the counts of prompt and answer.

use daybook_ledger::{Tokens, Usd};

use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::openai::usage::{meter, sum};
use crate::decode::scalar::{Count, Text, count};
use crate::decode::token_total::fit_modalities;

object! {
    /// `usageMetadata` of `generateContent` and of the Live API, in the names of REST and of the SDKs, and `usage` of the
    /// Interactions API.
    pub(crate) struct Usage<'a> {
        prompt: Count = "promptTokenCount" | "prompt_token_count" | "total_input_tokens",
        cached: Count = "cachedContentTokenCount" | "cached_content_token_count" | "total_cached_tokens",
        candidates: Count = "candidatesTokenCount" | "candidates_token_count" | "responseTokenCount"
            | "response_token_count" | "total_output_tokens",
        thoughts: Count = "thoughtsTokenCount" | "thoughts_token_count" | "total_thought_tokens"
            | "total_reasoning_tokens",
        tool_use: Count = "toolUsePromptTokenCount" | "tool_use_prompt_token_count" | "total_tool_use_tokens",
        total: Count = "totalTokenCount" | "total_token_count" | "total_tokens",
        prompt_details: Vec<Modality<'a>> = "promptTokensDetails" | "prompt_tokens_details" | "input_tokens_by_modality",
        cache_details: Vec<Modality<'a>> = "cacheTokensDetails" | "cache_tokens_details" | "cached_tokens_by_modality",
        candidates_details: Vec<Modality<'a>> = "candidatesTokensDetails" | "candidates_tokens_details"
            | "responseTokensDetails" | "response_tokens_details" | "output_tokens_by_modality",
        tool_use_details: Vec<Modality<'a>> = "toolUsePromptTokensDetails" | "tool_use_prompt_tokens_details"
            | "tool_use_tokens_by_modality",
        traffic_type: Text<'a> = "trafficType" | "traffic_type",
        service_tier: Text<'a> = "serviceTier" | "service_tier",
        grounding: Vec<Grounding<'a>> = "grounding_tool_count",
    }
}

object! {
    /// Tokens of one kind of content.
    struct Modality<'a> {
        modality: Text<'a> = "modality",
        tokens: Count = "tokenCount" | "token_count" | "tokens",
    }
}

object! {
    struct Grounding<'a> {
        kind: Text<'a> = "type",
        count: Count = "count",
    }
}

/// The tokens of `modality` in `details`.
fn of(details: Option<&Vec<Modality<'_>>>, modality: &str) -> Option<i64> {
    let is =
        |detail: &&Modality<'_>| detail.modality.as_ref().is_some_and(|name| name.0.eq_ignore_ascii_case(modality));
    let tokens = details?.iter().filter(is).map(|detail| count(detail.tokens));
    sum(&tokens.collect::<Vec<_>>())
}

impl<'a> Usage<'a> {
    /// The counts in the ledger's convention. Tool results are input, thoughts are output. Whether the prompt or the
    /// candidates hold them already the total decides; without one they stand beside them, as documented.
    ///
    /// A count that is not there is zero, as protobuf's JSON leaves zeros out, if the total confirms it or nothing else
    /// can be meant; the prompt alone is never taken for zero.
    pub(crate) fn tokens(&self) -> Tokens {
        let (prompt, total) = (count(self.prompt), count(self.total));
        let (thoughts, tool_use) = (count(self.thoughts), count(self.tool_use));
        let known = prompt.is_some() || count(self.candidates).is_some() || thoughts.is_some();
        let candidates = count(self.candidates).or(known.then_some(0));
        let with = |count: Option<i64>, more: Option<i64>| count.map(|count| count.saturating_add(more.unwrap_or(0)));
        // A prompt of nothing but tool results, or of nothing: only a total can say so.
        let empty = total.is_some() && total == sum(&[tool_use, candidates, thoughts]);
        let prompt = prompt.or((known && empty).then_some(0));
        let readings = [
            (with(prompt, tool_use), with(candidates, thoughts)),
            (with(prompt, tool_use), candidates),
            (prompt, with(candidates, thoughts)),
            (prompt, candidates),
        ];
        let holds = |all: Option<i64>, part: Option<i64>| part.unwrap_or(0) <= all.unwrap_or(i64::MAX);
        let adds_up = |(input, output): &&(Option<i64>, Option<i64>)| {
            holds(*input, tool_use) && holds(*output, thoughts) && total.is_some() && total == sum(&[*input, *output])
        };
        let [documented, ..] = readings;
        let (input, output) = readings.iter().find(adds_up).copied().unwrap_or(documented);
        let fresh = |modality| {
            let cached = of(self.cache_details.as_ref(), modality);
            let all = sum(&[of(self.prompt_details.as_ref(), modality), of(self.tool_use_details.as_ref(), modality)]);
            all.map(|all| all.saturating_sub(cached.unwrap_or(0)))
        };
        let mut tokens = Tokens {
            input,
            cache_read: count(self.cached),
            input_audio: fresh("AUDIO"),
            input_image: fresh("IMAGE"),
            output,
            reasoning: thoughts,
            output_audio: of(self.candidates_details.as_ref(), "AUDIO"),
            output_image: of(self.candidates_details.as_ref(), "IMAGE"),
            total,
            ..Tokens::default()
        };
        if self.cache_details.is_none() {
            fit_modalities(&mut tokens);
        }
        tokens
    }

    /// Quantities that have no token column.
    pub(crate) fn meters(&self, meters: &mut Vec<(&'static str, Usd)>) {
        meter(meters, "input_tool_use_tokens", count(self.tool_use));
        let video = [of(self.prompt_details.as_ref(), "VIDEO"), of(self.tool_use_details.as_ref(), "VIDEO")];
        meter(meters, "input_video_tokens", sum(&video));
        for grounding in self.grounding.iter().flatten() {
            let name = match grounding.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
                "google_search" => "web_search_requests",
                "google_maps" => "google_maps_requests",
                _ => "retrieval_requests",
            };
            meter(meters, name, count(grounding.count));
        }
    }

    /// Whether documents were part of the prompt.
    pub(crate) fn has_documents(&self) -> bool {
        of(self.prompt_details.as_ref(), "DOCUMENT").is_some_and(|tokens| tokens > 0)
    }

    /// The tier that served: Vertex calls it the type of traffic.
    pub(crate) fn service_tier(&mut self) -> Option<Text<'a>> {
        self.traffic_type.take().or(self.service_tier.take())
    }

    /// Takes over what a later chunk says. Counts are running totals: they replace, they never add.
    pub(crate) fn merge(&mut self, later: Self) {
        fn take<T>(mine: &mut Option<T>, later: Option<T>) {
            if later.is_some() {
                *mine = later;
            }
        }
        take(&mut self.prompt, later.prompt.filter(|count| count.0.is_some()));
        take(&mut self.cached, later.cached.filter(|count| count.0.is_some()));
        take(&mut self.candidates, later.candidates.filter(|count| count.0.is_some()));
        take(&mut self.thoughts, later.thoughts.filter(|count| count.0.is_some()));
        take(&mut self.tool_use, later.tool_use.filter(|count| count.0.is_some()));
        take(&mut self.total, later.total.filter(|count| count.0.is_some()));
        take(&mut self.prompt_details, later.prompt_details);
        take(&mut self.cache_details, later.cache_details);
        take(&mut self.candidates_details, later.candidates_details);
        take(&mut self.tool_use_details, later.tool_use_details);
        take(&mut self.traffic_type, later.traffic_type);
        take(&mut self.service_tier, later.service_tier);
        take(&mut self.grounding, later.grounding);
        self.unknown = later.unknown;
    }

    /// Adds the next turn of a live session.
    pub(crate) fn add(&mut self, next: Self) {
        fn both<T>(mine: &mut Option<Vec<T>>, next: Option<Vec<T>>) {
            if let Some(next) = next {
                mine.get_or_insert_default().extend(next);
            }
        }
        let plus = |mine: &mut Option<Count>, next: Option<Count>| {
            *mine = sum(&[count(*mine), count(next)]).map(|sum| Count(Some(sum)));
        };
        plus(&mut self.prompt, next.prompt);
        plus(&mut self.cached, next.cached);
        plus(&mut self.candidates, next.candidates);
        plus(&mut self.thoughts, next.thoughts);
        plus(&mut self.tool_use, next.tool_use);
        plus(&mut self.total, next.total);
        both(&mut self.prompt_details, next.prompt_details);
        both(&mut self.cache_details, next.cache_details);
        both(&mut self.candidates_details, next.candidates_details);
        both(&mut self.tool_use_details, next.tool_use_details);
        self.traffic_type = next.traffic_type.or(self.traffic_type.take());
        self.service_tier = next.service_tier.or(self.service_tier.take());
        self.grounding = next.grounding.or(self.grounding.take());
        self.unknown = next.unknown;
    }

    /// What it counts that nobody declared.
    pub(crate) fn note_unknown(&self, path: &str, extra: &mut Extra<'a>) {
        extra.add(path, &self.unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage<'_> {
        serde_json::from_str(json).unwrap()
    }

    /// Input, output and what is wrong with them.
    fn counts(json: &str) -> (Option<i64>, Option<i64>, Option<&'static str>) {
        let tokens = usage(json).tokens();
        (tokens.input, tokens.output, tokens.buckets().check)
    }

    #[test]
    fn the_total_decides_what_stands_beside_and_what_inside() {
        let outside = r#"{"promptTokenCount":12,"candidatesTokenCount":9,"thoughtsTokenCount":88,
            "toolUsePromptTokenCount":412,"totalTokenCount":521}"#;
        assert_eq!(counts(outside), (Some(424), Some(97), None));
        assert_eq!(counts(&outside.replace("521", "null")), (Some(424), Some(97), None));
        let thoughts_inside = r#"{"promptTokenCount":12,"candidatesTokenCount":97,"thoughtsTokenCount":88,
            "toolUsePromptTokenCount":412,"totalTokenCount":521}"#;
        assert_eq!(counts(thoughts_inside), (Some(424), Some(97), None));
        let tools_inside = r#"{"promptTokenCount":424,"candidatesTokenCount":9,"thoughtsTokenCount":88,
            "toolUsePromptTokenCount":412,"totalTokenCount":521}"#;
        assert_eq!(counts(tools_inside), (Some(424), Some(97), None));
        let both_inside = r#"{"promptTokenCount":424,"candidatesTokenCount":97,"thoughtsTokenCount":88,
            "toolUsePromptTokenCount":412,"totalTokenCount":521}"#;
        assert_eq!(counts(both_inside), (Some(424), Some(97), None));
        assert_eq!(counts(&outside.replace("521", "1")), (Some(424), Some(97), Some("total_differs")));
    }

    #[test]
    fn absent_counts_are_zero_only_where_the_rest_says_so() {
        // All was thought: nothing is left for an answer.
        assert_eq!(
            counts(r#"{"promptTokenCount":5,"thoughtsTokenCount":21,"totalTokenCount":26}"#),
            (Some(5), Some(21), None)
        );
        assert_eq!(counts(r#"{"promptTokenCount":4,"totalTokenCount":4}"#), (Some(4), Some(0), None));
        // A count under a new name is missed, and the total shows it.
        assert_eq!(
            counts(r#"{"promptTokenCount":5,"candidateTokens":6,"totalTokenCount":11}"#),
            (Some(5), Some(0), Some("total_differs"))
        );
        assert_eq!(counts(r#"{"candidatesTokenCount":6,"totalTokenCount":11}"#), (None, Some(6), None));
        assert_eq!(counts(r#"{"candidatesTokenCount":6,"totalTokenCount":6}"#), (Some(0), Some(6), None));
        assert_eq!(counts(r#"{"tokens":6,"totalTokenCount":6}"#), (None, None, None));
        assert_eq!(counts("{}"), (None, None, None));
    }

    #[test]
    fn the_names_of_every_api_are_one() {
        let live = r#"{"promptTokenCount":"5","responseTokenCount":7,"totalTokenCount":12,
            "responseTokensDetails":[{"modality":"AUDIO","tokenCount":6},{"modality":"TEXT","tokenCount":1}]}"#;
        assert_eq!(counts(live), (Some(5), Some(7), None));
        assert_eq!(usage(live).tokens().output_audio, Some(6));
        let sdk = r#"{"prompt_token_count":5,"candidates_token_count":7,"thoughts_token_count":2,
            "cached_content_token_count":null,"total_token_count":14}"#;
        assert_eq!(counts(sdk), (Some(5), Some(9), None));
        let interaction = r#"{"total_input_tokens":50,"total_output_tokens":7,"total_thought_tokens":3,
            "total_cached_tokens":20,"total_tool_use_tokens":10,"total_tokens":70,
            "input_tokens_by_modality":[{"modality":"image","tokens":30}],
            "cached_tokens_by_modality":[{"modality":"image","tokens":12}],
            "grounding_tool_count":[{"type":"google_search","count":2},{"type":"google_maps","count":1}]}"#;
        let read = usage(interaction);
        assert_eq!(counts(interaction), (Some(60), Some(10), None));
        assert_eq!((read.tokens().cache_read, read.tokens().input_image), (Some(20), Some(18)));
        let mut meters = Vec::new();
        read.meters(&mut meters);
        let names = meters.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names, ["input_tool_use_tokens", "web_search_requests", "google_maps_requests"]);
    }

    #[test]
    fn sound_read_from_a_cache_is_not_fresh_sound() {
        let tokens = usage(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":1,"totalTokenCount":101,
            "promptTokensDetails":[{"modality":"AUDIO","tokenCount":70},{"modality":"TEXT","tokenCount":30}],
            "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":50},{"modality":"TEXT","tokenCount":10}]}"#,
        )
        .tokens();
        assert_eq!((tokens.input_audio, tokens.buckets().uncached_input), (Some(20), Some(20)));
        assert_eq!(tokens.buckets().check, None);
        // Nobody says what was cached: text first, and sound as far as the cache is larger.
        let tokens = usage(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":1,"totalTokenCount":101,
            "promptTokensDetails":[{"modality":"AUDIO","tokenCount":70},{"modality":"TEXT","tokenCount":30}]}"#,
        )
        .tokens();
        assert_eq!((tokens.input_audio, tokens.buckets().uncached_input), (Some(40), Some(0)));
        assert_eq!(tokens.buckets().check, None);
    }

    #[test]
    fn running_totals_replace() {
        let mut all = usage(r#"{"promptTokenCount":5,"thoughtsTokenCount":21,"totalTokenCount":26}"#);
        all.merge(usage(r#"{"promptTokenCount":5,"candidatesTokenCount":6,"totalTokenCount":32}"#));
        assert_eq!((all.tokens().input, all.tokens().output), (Some(5), Some(27)));
    }
}
