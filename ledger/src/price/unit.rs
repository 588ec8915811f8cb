//! What a row counts: service tier, meter, context band.

use std::fmt;

use crate::words::words;

words! {
    /// The service tier a rate belongs to: the prefix of a unit.
    Tier {
        /// No prefix: the ordinary service.
        Standard = "",
        /// Done within a day.
        Batch = "batch",
        /// Cheaper and slower.
        Flex = "flex",
        /// Dearer and faster.
        Priority = "priority",
        /// Faster still (OpenAI).
        Ultrafast = "ultrafast",
        /// OpenAI's decisions tier.
        Decisions = "decisions",
    }
}

words! {
    /// What is counted. Tokens unless the word says otherwise.
    Meter {
        /// Input that no other meter counts.
        Input = "input",
        /// Input read from a prompt cache.
        CacheRead = "cache_read",
        /// Input written to a prompt cache for 5 minutes.
        CacheWrite5m = "cache_write_5m",
        /// Input written to a prompt cache for 30 minutes.
        CacheWrite30m = "cache_write_30m",
        /// Input written to a prompt cache for 1 hour.
        CacheWrite1h = "cache_write_1h",
        /// Input written to a prompt cache for 12 hours.
        CacheWrite12h = "cache_write_12h",
        /// Input written to a prompt cache, no lifetime stated.
        CacheWrite = "cache_write",
        /// Sound in the input.
        InputAudio = "input_audio",
        /// Sound read from a prompt cache.
        CacheReadAudio = "cache_read_audio",
        /// Sound written to a prompt cache.
        CacheWriteAudio = "cache_write_audio",
        /// Pictures in the input.
        InputImage = "input_image",
        /// Pictures read from a prompt cache.
        CacheReadImage = "cache_read_image",
        /// Output that no other meter counts.
        Output = "output",
        /// Output spent on reasoning, where it is priced apart.
        OutputReasoning = "output_reasoning",
        /// Sound in the output.
        OutputAudio = "output_audio",
        /// Pictures in the output.
        OutputImage = "output_image",
        /// Seconds of sound.
        AudioSecond = "audio_second",
        /// Rerank or search requests.
        Query = "query",
        /// Pictures made, by the piece.
        OutputImageEach = "output_image_each",
        /// Web searches, little context.
        WebSearchLow = "web_search_query_low",
        /// Web searches, the default context.
        WebSearchMedium = "web_search_query_medium",
        /// Web searches, much context.
        WebSearchHigh = "web_search_query_high",
    }
}

impl Meter {
    /// How many meters there are.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// Whether it counts tokens.
    pub(super) const fn is_tokens(self) -> bool {
        !matches!(
            self,
            Self::AudioSecond
                | Self::Query
                | Self::OutputImageEach
                | Self::WebSearchLow
                | Self::WebSearchMedium
                | Self::WebSearchHigh
        )
    }

    /// Whether it counts writes to a prompt cache, of which a provider sells one or two lifetimes.
    pub(super) const fn is_cache_write(self) -> bool {
        matches!(
            self,
            Self::CacheWrite | Self::CacheWrite5m | Self::CacheWrite30m | Self::CacheWrite1h | Self::CacheWrite12h
        )
    }

    /// The meter whose rate applies to what has none of its own.
    pub(super) const fn parent(self) -> Option<Self> {
        match self {
            Self::CacheRead
            | Self::CacheWrite5m
            | Self::CacheWrite30m
            | Self::CacheWrite1h
            | Self::CacheWrite12h
            | Self::CacheWrite
            | Self::InputAudio
            | Self::InputImage => Some(Self::Input),
            Self::OutputReasoning | Self::OutputAudio | Self::OutputImage => Some(Self::Output),
            Self::CacheReadAudio | Self::CacheReadImage => Some(Self::CacheRead),
            Self::CacheWriteAudio => Some(Self::CacheWrite),
            Self::Input
            | Self::Output
            | Self::AudioSecond
            | Self::Query
            | Self::OutputImageEach
            | Self::WebSearchLow
            | Self::WebSearchMedium
            | Self::WebSearchHigh => None,
        }
    }
}

/// One unit of a sheet, written `[tier_]meter[_above_Nk]`: `batch_cache_read_above_200k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The service tier.
    pub tier: Tier,
    /// What is counted.
    pub meter: Meter,
    /// The rate is for requests whose input exceeds this many thousand tokens, else for all others.
    pub above_k: Option<u32>,
}

/// Text that is no unit of a sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a unit, [tier_]meter[_above_Nk]{}", did_you_mean(.nearest))]
pub struct UnknownUnit {
    /// What was given.
    pub given: String,
    /// The meter it resembles.
    pub nearest: Option<&'static str>,
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}

impl Unit {
    /// The rate of `meter` in the ordinary tier, whatever the length of the request.
    pub const fn standard(meter: Meter) -> Self {
        Self { tier: Tier::Standard, meter, above_k: None }
    }

    /// Reads a word of the `unit` column.
    ///
    /// # Errors
    /// [`UnknownUnit`] for other words.
    pub fn parse(text: &str) -> Result<Self, UnknownUnit> {
        let (tier, rest) = Tier::ALL
            .iter()
            .filter(|tier| **tier != Tier::Standard)
            .find_map(|tier| Some((*tier, text.strip_prefix(tier.as_str())?.strip_prefix('_')?)))
            .unwrap_or((Tier::Standard, text));
        let (word, above) = rest.rsplit_once("_above_").map_or((rest, None), |(word, above)| (word, Some(above)));
        let unknown = || UnknownUnit { given: text.chars().take(60).collect(), nearest: nearest_meter(word) };
        let meter = Meter::ALL.iter().copied().find(|meter| meter.as_str() == word).ok_or_else(unknown)?;
        let above_k = above.map(|above| parse_thousands(above).ok_or_else(unknown)).transpose()?;
        Ok(Self { tier, meter, above_k })
    }
}

/// `200k`, as [`Unit`] prints it: one spelling for one band.
fn parse_thousands(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('k')?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|thousands| canonical && *thousands <= 1_000_000)
}

fn nearest_meter(word: &str) -> Option<&'static str> {
    let distance = |meter: &Meter| strsim::damerau_levenshtein(meter.as_str(), word);
    let nearest = Meter::ALL.iter().min_by_key(|meter| distance(meter))?;
    (1..=3).contains(&distance(nearest)).then(|| nearest.as_str())
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tier != Tier::Standard {
            write!(f, "{}_", self.tier.as_str())?;
        }
        f.write_str(self.meter.as_str())?;
        self.above_k.map_or(Ok(()), |above_k| write!(f, "_above_{above_k}k"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_prints_as_it_is_read() {
        for tier in Tier::ALL {
            for meter in Meter::ALL {
                for above_k in [None, Some(100), Some(272)] {
                    let unit = Unit { tier: *tier, meter: *meter, above_k };
                    assert_eq!(Unit::parse(&unit.to_string()), Ok(unit), "{unit}");
                }
            }
        }
    }

    #[test]
    fn other_words_are_refused_with_the_nearest_meter() {
        let error = Unit::parse("batch_cache_reed").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`batch_cache_reed` is not a unit, [tier_]meter[_above_Nk]; did you mean `cache_read`?"
        );
        for text in ["", "batch_", "_input", "input_above_", "input_above_0k", "input_above_0200k", "input_above_+9k"] {
            assert!(Unit::parse(text).is_err(), "{text}");
        }
        assert_eq!(Unit::parse("storage_gibibyte_hours").unwrap_err().nearest, None);
    }
}
