//! Token counts, and the disjoint buckets they fall into.

/// Token counts of one call in the one convention every source is converted to.
///
/// `input` and `output` are totals; everything else is a part of one of them. `None`: the event does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input tokens: fresh, read from and written to a cache, every modality.
    pub input: Option<i64>,
    /// Part of `input` read from a prompt cache.
    pub cache_read: Option<i64>,
    /// Part of `input` written to a prompt cache, any lifetime.
    pub cache_write: Option<i64>,
    /// Part of `cache_write` that lives 5 minutes.
    pub cache_write_5m: Option<i64>,
    /// Part of `cache_write` that lives 30 minutes.
    pub cache_write_30m: Option<i64>,
    /// Part of `cache_write` that lives 1 hour.
    pub cache_write_1h: Option<i64>,
    /// Part of `cache_write` that lives 12 hours.
    pub cache_write_12h: Option<i64>,
    /// Part of `input`, sound that was not read from a cache.
    pub input_audio: Option<i64>,
    /// Part of `input`, pictures that were not read from a cache.
    pub input_image: Option<i64>,
    /// All output tokens: text, reasoning, tool calls, every modality.
    pub output: Option<i64>,
    /// Part of `output` spent on reasoning.
    pub reasoning: Option<i64>,
    /// Part of `output`, sound.
    pub output_audio: Option<i64>,
    /// Part of `output`, pictures.
    pub output_image: Option<i64>,
    /// The source's own total of `input` and `output`, to check against; not stored.
    pub total: Option<i64>,
}

/// The buckets that [`Tokens`] leaves to be derived, and whether they re-sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// `input` less every other input bucket; `None` if unknown or contradictory.
    pub uncached_input: Option<i64>,
    /// `cache_write` less the stated lifetimes.
    pub cache_write_unstated: Option<i64>,
    /// `output` less every other output bucket.
    pub output_text: Option<i64>,
    /// What is wrong with the counts, if something is: a word of the `usage_check` column.
    pub check: Option<&'static str>,
}

impl Tokens {
    /// The most tokens one event may carry in any count; what is beyond is refused.
    pub const EVENT_MAX: i64 = 100_000_000;

    /// What [`Buckets::check`] says when the source's own total is another: the one check that stored counts cannot repeat.
    pub const TOTAL_DIFFERS: &'static str = "total_differs";

    /// Every count, for limits.
    pub fn counts(&self) -> [Option<i64>; 14] {
        [
            self.input,
            self.cache_read,
            self.cache_write,
            self.cache_write_5m,
            self.cache_write_30m,
            self.cache_write_1h,
            self.cache_write_12h,
            self.input_audio,
            self.input_image,
            self.output,
            self.reasoning,
            self.output_audio,
            self.output_image,
            self.total,
        ]
    }

    /// True when the event says nothing about usage.
    pub fn is_absent(&self) -> bool {
        self.input.is_none() && self.output.is_none()
    }

    /// Derives the remaining disjoint buckets and checks that all of them re-sum to the source's totals.
    ///
    /// A total with an unknown part counts that part as nothing: the rest bucket then holds it.
    pub fn buckets(&self) -> Buckets {
        let known = |parts: &[Option<i64>]| parts.iter().flatten().fold(0_i64, |sum, part| sum.saturating_add(*part));
        let lifetimes = known(&[self.cache_write_5m, self.cache_write_30m, self.cache_write_1h, self.cache_write_12h]);
        let cache_write_unstated = self.cache_write.map(|all| all.saturating_sub(lifetimes));
        let parts_in = known(&[self.cache_read, self.cache_write, self.input_audio, self.input_image]);
        let uncached_input = self.input.map(|all| all.saturating_sub(parts_in));
        let parts_out = known(&[self.reasoning, self.output_audio, self.output_image]);
        let output_text = self.output.map(|all| all.saturating_sub(parts_out));

        let negative = |value: Option<i64>| value.is_some_and(|value| value < 0);
        let check = if self.counts().into_iter().any(negative) {
            Some("negative_count")
        } else if negative(cache_write_unstated) || (self.cache_write.is_none() && lifetimes > 0) {
            Some("lifetimes_exceed_cache_write")
        } else if negative(uncached_input) || (self.input.is_none() && parts_in > 0) {
            Some("parts_exceed_input")
        } else if negative(output_text) || (self.output.is_none() && parts_out > 0) {
            Some("parts_exceed_output")
        } else if self.total.is_some_and(|total| {
            self.input.is_some_and(|input| input.saturating_add(self.output.unwrap_or(0)) != total)
        }) {
            Some(Self::TOTAL_DIFFERS)
        } else {
            None
        };
        let sound = |value: Option<i64>| value.filter(|value| *value >= 0);
        Buckets {
            uncached_input: sound(uncached_input),
            cache_write_unstated: sound(cache_write_unstated),
            output_text: sound(output_text),
            check,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_disjoint_and_resum() {
        let tokens = Tokens {
            input: Some(21_401),
            cache_read: Some(18_400),
            cache_write: Some(2_944),
            cache_write_5m: Some(640),
            cache_write_1h: Some(2_304),
            output: Some(210),
            reasoning: Some(150),
            total: Some(21_611),
            ..Tokens::default()
        };
        let expected =
            Buckets { uncached_input: Some(57), cache_write_unstated: Some(0), output_text: Some(60), check: None };
        assert_eq!(tokens.buckets(), expected);
    }

    #[test]
    fn a_contradiction_is_flagged_not_hidden() {
        let check = |tokens: Tokens| tokens.buckets().check;
        let tokens = Tokens { input: Some(10), output: Some(5), ..Tokens::default() };
        assert_eq!(check(tokens), None);
        assert_eq!(check(Tokens { cache_read: Some(11), ..tokens }), Some("parts_exceed_input"));
        assert_eq!(check(Tokens { reasoning: Some(6), ..tokens }), Some("parts_exceed_output"));
        assert_eq!(
            check(Tokens { cache_write: Some(1), cache_write_1h: Some(2), ..tokens }),
            Some("lifetimes_exceed_cache_write")
        );
        assert_eq!(check(Tokens { total: Some(16), ..tokens }), Some("total_differs"));
        assert_eq!(check(Tokens { input: Some(-1), ..tokens }), Some("negative_count"));
    }
}
