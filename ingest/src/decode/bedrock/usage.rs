//! AWS Bedrock's usage, whose `inputTokens` leaves the cache out for most models and holds it for some.

use daybook_ledger::Tokens;

use crate::decode::object::object;
use crate::decode::openai::usage::sum;
use crate::decode::scalar::{Count, Text, count};

object! {
    /// `usage` of Converse. Older endpoints spell the cache with `Count`, some beside the other names.
    pub(crate) struct Usage<'a> {
        input: Count = "inputTokens",
        output: Count = "outputTokens",
        total: Count = "totalTokens",
        cache_read: Count = "cacheReadInputTokens",
        cache_write: Count = "cacheWriteInputTokens",
        cache_read_count: Count = "cacheReadInputTokenCount",
        cache_write_count: Count = "cacheWriteInputTokenCount",
        details: Vec<CacheDetail<'a>> = "cacheDetails",
        server_tools: crate::decode::source::Json<'a> = "serverToolUsage",
    }
}

object! {
    /// Tokens written to the cache for one lifetime.
    struct CacheDetail<'a> {
        ttl: Text<'a> = "ttl",
        tokens: Count = "inputTokens",
    }
}

/// Counts as Bedrock reports them, before it is known what `input` holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub input: Option<i64>,
    pub output: Option<i64>,
    pub total: Option<i64>,
    pub cache_read: Option<i64>,
    pub cache_write: Option<i64>,
    pub cache_write_5m: Option<i64>,
    pub cache_write_1h: Option<i64>,
    pub reasoning: Option<i64>,
    /// The cache is known to be beside `input`.
    pub is_split: bool,
}

impl Usage<'_> {
    /// The counts; one spelt twice is taken once.
    pub(crate) fn counts(&self) -> Counts {
        let details = self.details.as_deref().unwrap_or_default();
        let of = |ttl: &str| {
            let is = |detail: &&CacheDetail<'_>| detail.ttl.as_ref().is_some_and(|found| found.0 == ttl);
            let tokens = details.iter().filter(is).map(|detail| count(detail.tokens));
            sum(&tokens.collect::<Vec<_>>())
        };
        let (short, long) = (of("5m"), of("1h"));
        let cache_write = count(self.cache_write).or(count(self.cache_write_count)).or(sum(&[short, long]));
        // A lifetime that is not there had nothing written, if the others make up all that was.
        let rest = (cache_write.is_some() && cache_write == sum(&[short, long])).then_some(0);
        Counts {
            input: count(self.input),
            output: count(self.output),
            total: count(self.total),
            cache_read: count(self.cache_read).or(count(self.cache_read_count)),
            cache_write,
            cache_write_5m: short.or(rest),
            cache_write_1h: long.or(rest),
            reasoning: None,
            is_split: false,
        }
    }
}

impl Counts {
    /// What `self` does not say, as `other` says it.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            total: self.total.or(other.total),
            cache_read: self.cache_read.or(other.cache_read),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_5m: self.cache_write_5m.or(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
            reasoning: self.reasoning.or(other.reasoning),
            is_split: if self.input.is_some() { self.is_split } else { other.is_split },
        }
    }

    /// Counts whose input holds the cache already, as those of a body in a vendor's own dialect after it was read.
    pub(crate) fn of_inclusive(tokens: &Tokens) -> Self {
        let cached = sum(&[tokens.cache_read, tokens.cache_write]).unwrap_or(0);
        Self {
            input: tokens.input.map(|input| input.saturating_sub(cached)),
            output: tokens.output,
            total: None,
            cache_read: tokens.cache_read,
            cache_write: tokens.cache_write,
            cache_write_5m: tokens.cache_write_5m,
            cache_write_1h: tokens.cache_write_1h,
            reasoning: tokens.reasoning,
            is_split: true,
        }
    }

    /// The counts in the ledger's convention. Whether the input holds the cache the total decides; without one that
    /// decides, `model`: OpenAI's count it in, Claude, Nova and all others beside it.
    pub(crate) fn tokens(&self, model: Option<&str>) -> Tokens {
        let cached = sum(&[self.cache_read, self.cache_write]).unwrap_or(0);
        let beside = self.input.map(|input| input.saturating_add(cached));
        let adds_up = |input: Option<i64>| self.total.is_some() && sum(&[input, self.output]) == self.total;
        let of_openai = model.is_some_and(|model| model.split(['.', '/', ':']).any(|part| part == "openai"));
        let inside = !self.is_split && (of_openai || adds_up(self.input)) && !adds_up(beside);
        let fits = self.input.is_some_and(|input| cached <= input);
        Tokens {
            input: if inside && fits { self.input } else { beside },
            cache_read: self.cache_read,
            cache_write: self.cache_write,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
            output: self.output,
            reasoning: self.reasoning,
            total: self.total,
            ..Tokens::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(json: &str, model: &str) -> Tokens {
        serde_json::from_str::<Usage<'_>>(json).unwrap().counts().tokens(Some(model))
    }

    const CLAUDE: &str = "us.anthropic.claude-opus-5";

    #[test]
    fn the_total_decides_whether_the_cache_is_inside() {
        let usage = |total: &str| {
            format!(r#"{{"inputTokens":402,"outputTokens":27,"totalTokens":{total},"cacheReadInputTokens":300}}"#)
        };
        let read = |total: &str, model: &str| {
            let tokens = tokens(&usage(total), model);
            (tokens.input.unwrap(), tokens.buckets().check)
        };
        assert_eq!(read("729", CLAUDE), (702, None));
        assert_eq!(read("429", CLAUDE), (402, None));
        assert_eq!(read("729", "openai.gpt-5.6-sol"), (702, None));
        // No total, or one that explains nothing: the model's vendor decides.
        assert_eq!(read("null", CLAUDE), (702, None));
        assert_eq!(read("null", "openai.gpt-5.6-sol"), (402, None));
        assert_eq!(read("null", "us.openai.gpt-5.6-sol"), (402, None));
        assert_eq!(read("null", "arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-5.6-sol"), (402, None));
        assert_eq!(read("1", CLAUDE), (702, Some("total_differs")));
        // A cache that is larger than the input is not inside of it.
        let tokens = tokens(r#"{"inputTokens":5,"outputTokens":1,"cacheReadInputTokens":9}"#, "openai.gpt-5.6");
        assert_eq!(tokens.input, Some(14));
    }

    #[test]
    fn two_spellings_are_one_count_and_lifetimes_come_apart() {
        let both = r#"{"inputTokens":10,"outputTokens":1,"totalTokens":31,"cacheReadInputTokens":20,
            "cacheReadInputTokenCount":20,"cacheWriteInputTokens":0,"cacheWriteInputTokenCount":0}"#;
        assert_eq!((tokens(both, CLAUDE).input, tokens(both, CLAUDE).cache_read), (Some(30), Some(20)));
        let older =
            r#"{"inputTokens":10,"outputTokens":1,"cacheReadInputTokenCount":20,"cacheWriteInputTokenCount":5}"#;
        assert_eq!((tokens(older, CLAUDE).input, tokens(older, CLAUDE).cache_write), (Some(35), Some(5)));
        let split = r#"{"inputTokens":10,"outputTokens":1,"cacheDetails":[{"ttl":"1h","inputTokens":7},
            {"ttl":"1h","inputTokens":"2"}]}"#;
        let split = tokens(split, CLAUDE);
        assert_eq!((split.cache_write, split.cache_write_1h, split.cache_write_5m), (Some(9), Some(9), Some(0)));
        let unsplit = tokens(r#"{"inputTokens":10,"cacheWriteInputTokens":3,"cacheDetails":[]}"#, CLAUDE);
        assert_eq!((unsplit.cache_write, unsplit.cache_write_5m), (Some(3), None));
    }

    #[test]
    fn what_is_not_counted_stays_unknown() {
        let renamed = tokens(r#"{"tokensIn":10,"totalTokens":11,"outputTokens":1}"#, CLAUDE);
        assert_eq!((renamed.input, renamed.output), (None, Some(1)));
        assert!(tokens("{}", CLAUDE).is_absent());
    }
}
