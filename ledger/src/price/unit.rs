//! What a row counts: service tier, meter, context band.

use std::fmt;

use crate::Instant;
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
        /// Anthropic's fast mode.
        Fast = "fast",
        /// Between flex and the ordinary service.
        Balanced = "balanced",
        /// The ordinary service in the hours that [`Meter::OffPeakHours`] rows name.
        OffPeak = "off_peak",
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
        /// Video in the input, in tokens.
        InputVideo = "input_video",
        /// Seconds of sound or film made.
        OutputSecond = "output_second",
        /// Characters read.
        InputCharacter = "input_character",
        /// Characters written.
        OutputCharacter = "output_character",
        /// Pictures read, by the piece.
        InputImageEach = "input_image_each",
        /// Pages read.
        Page = "page",
        /// Texts classified.
        Classification = "classification",
        /// The call itself, whatever else it used.
        Request = "request",
        /// Searches in the provider's vector store.
        FileSearchCall = "file_search_call",
        /// Containers in which the provider ran code.
        CodeInterpreterSession = "code_interpreter_session",
        /// Lookups in the provider's maps.
        GoogleMapsRequest = "google_maps_request",
        /// A term: when the rates of [`Tier::OffPeak`] hold. The rate is 0, the unit says when.
        OffPeakHours = "off_peak_hours",
        /// A term: what token rates are multiplied with for processing in the US.
        UpliftUs = "uplift_us",
        /// A term: what token rates are multiplied with for processing in the EU.
        UpliftEu = "uplift_eu",
        /// A term: what token rates are multiplied with for processing in any region but `global`.
        UpliftRegional = "uplift_regional",
        /// A term: dollars for an hour of capacity, whatever is done with it. The model may be a pattern.
        CapacityHour = "capacity_hour",
        /// A term: percent off every rate. The model may be a pattern.
        DiscountPercent = "discount_percent",
    }
}

impl Meter {
    /// How many meters there are.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// Whether it counts tokens.
    pub const fn is_tokens(self) -> bool {
        matches!(self, Self::Input | Self::Output) || self.parent().is_some()
    }

    /// Whether it counts tokens of an answer.
    pub const fn is_output_tokens(self) -> bool {
        matches!(self, Self::Output | Self::OutputReasoning | Self::OutputAudio | Self::OutputImage)
    }

    /// Whether it counts what a provider does beside the model, at one price in every tier.
    pub(super) const fn is_tool(self) -> bool {
        matches!(
            self,
            Self::WebSearchLow
                | Self::WebSearchMedium
                | Self::WebSearchHigh
                | Self::FileSearchCall
                | Self::CodeInterpreterSession
                | Self::GoogleMapsRequest
        )
    }

    /// Whether its rows say under which terms the others hold, and count nothing themselves.
    pub const fn is_term(self) -> bool {
        matches!(
            self,
            Self::OffPeakHours
                | Self::UpliftUs
                | Self::UpliftEu
                | Self::UpliftRegional
                | Self::CapacityHour
                | Self::DiscountPercent
        )
    }

    /// Whether its rows may hold for several models, by a pattern.
    pub(super) const fn is_by_pattern(self) -> bool {
        matches!(self, Self::CapacityHour | Self::DiscountPercent)
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
            | Self::InputImage
            | Self::InputVideo => Some(Self::Input),
            Self::OutputReasoning | Self::OutputAudio | Self::OutputImage => Some(Self::Output),
            Self::CacheReadAudio | Self::CacheReadImage => Some(Self::CacheRead),
            Self::CacheWriteAudio => Some(Self::CacheWrite),
            _ => None,
        }
    }
}

/// A stretch of some days of the week, in UTC, written `1-5_16:30-24:00`: days from Monday, 1, to Sunday, 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hours {
    /// First day of the week.
    pub first_weekday: u8,
    /// Last day of the week, not before the first.
    pub last_weekday: u8,
    /// First minute of each day.
    pub from_minute: u16,
    /// First minute after; 1440 is midnight.
    pub to_minute: u16,
}

/// Minutes in a day.
pub(super) const DAY_MINUTES: u16 = 1_440;

impl Hours {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: Instant) -> bool {
        let minute = minute_of_week(at);
        let (weekday, minute) = (minute / i64::from(DAY_MINUTES) + 1, minute % i64::from(DAY_MINUTES));
        (i64::from(self.first_weekday)..=i64::from(self.last_weekday)).contains(&weekday)
            && (i64::from(self.from_minute)..i64::from(self.to_minute)).contains(&minute)
    }

    /// The minutes of the week at which it begins and ends.
    pub(super) fn bounds(&self) -> impl Iterator<Item = i64> {
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        let days = (i64::from(self.first_weekday)..=i64::from(self.last_weekday)).map(|day| day - 1);
        days.flat_map(move |day| [from, to].map(|minute| day * i64::from(DAY_MINUTES) + minute))
    }

    fn parse(text: &str) -> Option<Self> {
        let (days, minutes) = text.split_once('_')?;
        let (first, last) = days.split_once('-')?;
        let (from, to) = minutes.split_once('-')?;
        let hours = Self {
            first_weekday: first.parse().ok()?,
            last_weekday: last.parse().ok()?,
            from_minute: minute_of_day(from)?,
            to_minute: minute_of_day(to)?,
        };
        let is_some = 1 <= hours.first_weekday
            && hours.first_weekday <= hours.last_weekday
            && hours.last_weekday <= 7
            && hours.from_minute < hours.to_minute;
        Some(hours).filter(|hours| is_some && hours.to_string() == text)
    }
}

/// Minutes since the beginning of Monday, UTC.
pub(super) fn minute_of_week(at: Instant) -> i64 {
    const MICROS_A_MINUTE: i64 = 60_000_000;
    const WEEK_MINUTES: i64 = 7 * DAY_MINUTES as i64;
    // 1970-01-01 was a Thursday.
    (at.micros().div_euclid(MICROS_A_MINUTE) + 3 * i64::from(DAY_MINUTES)).rem_euclid(WEEK_MINUTES)
}

/// `16:30`, up to `24:00`.
pub(super) fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (hour, minute) = Some((hour, minute)).filter(|(hour, minute)| two_digits(hour) && two_digits(minute))?;
    let minute = hour.parse::<u16>().ok()? * 60 + minute.parse::<u16>().ok().filter(|minute| *minute < 60)?;
    Some(minute).filter(|minute| *minute <= DAY_MINUTES)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first_weekday, last_weekday, from_minute: from, to_minute: to } = self;
        write!(f, "{first_weekday}-{last_weekday}_{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// One unit of a sheet, written `[tier_]meter[_above_Nk]`: `batch_cache_read_above_200k`; or a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The service tier.
    pub tier: Tier,
    /// What is counted.
    pub meter: Meter,
    /// The rate is for requests whose input exceeds this many thousand tokens, else for all others.
    pub above_k: Option<u32>,
    /// For [`Meter::OffPeakHours`], when; otherwise `None`.
    pub hours: Option<Hours>,
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
        Self { tier: Tier::Standard, meter, above_k: None, hours: None }
    }

    /// Reads a word of the `unit` column.
    ///
    /// # Errors
    /// [`UnknownUnit`] for other words.
    pub fn parse(text: &str) -> Result<Self, UnknownUnit> {
        if let Some(hours) = text.strip_prefix("off_peak_hours_").and_then(Hours::parse) {
            return Ok(Self { hours: Some(hours), ..Self::standard(Meter::OffPeakHours) });
        }
        let (tier, rest) = Tier::ALL
            .iter()
            .filter(|tier| **tier != Tier::Standard)
            .find_map(|tier| Some((*tier, text.strip_prefix(tier.as_str())?.strip_prefix('_')?)))
            .unwrap_or((Tier::Standard, text));
        let (word, above) = rest.rsplit_once("_above_").map_or((rest, None), |(word, above)| (word, Some(above)));
        let unknown = || UnknownUnit { given: text.chars().take(60).collect(), nearest: nearest_meter(word) };
        let meter = Meter::ALL.iter().copied().find(|meter| meter.as_str() == word).ok_or_else(unknown)?;
        let above_k = above.map(|above| parse_thousands(above).ok_or_else(unknown)).transpose()?;
        let is_plain = tier == Tier::Standard && above_k.is_none() && meter != Meter::OffPeakHours;
        if meter.is_term() && !is_plain {
            return Err(unknown());
        }
        Ok(Self { tier, meter, above_k, hours: None })
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
        self.above_k.map_or(Ok(()), |above_k| write!(f, "_above_{above_k}k"))?;
        self.hours.map_or(Ok(()), |hours| write!(f, "_{hours}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_prints_as_it_is_read() {
        for tier in Tier::ALL {
            for meter in Meter::ALL.iter().filter(|meter| !meter.is_term()) {
                for above_k in [None, Some(100), Some(272)] {
                    let unit = Unit { tier: *tier, above_k, ..Unit::standard(*meter) };
                    assert_eq!(Unit::parse(&unit.to_string()), Ok(unit), "{unit}");
                }
            }
        }
    }

    #[test]
    fn terms_have_no_tier_and_no_band() {
        for text in ["uplift_us", "capacity_hour", "discount_percent", "off_peak_hours_1-5_16:30-24:00"] {
            assert_eq!(Unit::parse(text).map(|unit| unit.to_string()).as_deref(), Ok(text));
            assert!(Unit::parse(&format!("batch_{text}")).is_err(), "{text}");
            assert!(Unit::parse(&format!("{text}_above_200k")).is_err(), "{text}");
        }
        let bad = ["", "_1-5", "_1-5_16:30-16:30", "_5-1_00:00-01:00", "_0-5_00:00-01:00", "_1-8_00:00-01:00"];
        for hours in bad.into_iter().chain(["_1-5_0:00-01:00", "_1-5_00:60-02:00", "_1-5_00:00-24:01"]) {
            assert!(Unit::parse(&format!("off_peak_hours{hours}")).is_err(), "{hours}");
        }
    }

    #[test]
    fn hours_hold_on_their_days_from_their_first_minute_to_the_one_before_their_last() {
        let hours = Hours::parse("1-5_16:30-24:00").unwrap();
        let holds = |at: &str| hours.contains(Instant::parse(at).unwrap());
        assert!(holds("2026-11-20T16:30:00Z"), "a Friday");
        assert!(!holds("2026-11-20T16:29:59.999999Z"));
        assert!(holds("2026-11-20T23:59:59.999999Z"));
        assert!(!holds("2026-11-21T16:30:00Z"), "a Saturday");
        assert!(!holds("2026-11-22T23:00:00Z"), "a Sunday");
        assert!(holds("2026-11-23T23:00:00Z"), "a Monday");
        assert!(holds("1969-12-31T23:00:00Z"), "a Wednesday");
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
