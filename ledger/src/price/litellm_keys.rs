//! The cost keys of LiteLLM's price file: what each becomes.
//!
//! A key is a base, then a cache lifetime, a context band and a tier: `input_cost_per_token_above_200k_tokens_priority`.

use super::{Meter, Tier, Unit};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Dollars for one of the unit.
    One(Unit),
    /// Dollars for a thousand of the unit.
    Thousand(Unit),
    /// Writes to a prompt cache of the provider's default lifetime, in this tier and band.
    DefaultWrite(Tier, Option<u32>),
    /// Seconds in: of sound, or of capacity, as the kind of model tells.
    Seconds(Tier),
    /// Nothing: why not.
    Nothing(&'static str),
    /// Nothing, and the rate of this meter is not the whole truth either.
    Refines(Meter, &'static str),
    /// A rate of something calls use, in a form that cannot be kept: the model cannot be priced.
    Unkept,
    /// No price at all.
    NotAPrice,
}

/// Bases whose unit is one token, second or piece.
const BASES: [(&str, Meter); 24] = [
    ("input_cost_per_token", Meter::Input),
    ("output_cost_per_token", Meter::Output),
    ("cache_read_input_token_cost", Meter::CacheRead),
    ("output_cost_per_reasoning_token", Meter::OutputReasoning),
    ("input_cost_per_audio_token", Meter::InputAudio),
    ("output_cost_per_audio_token", Meter::OutputAudio),
    ("cache_read_input_audio_token_cost", Meter::CacheReadAudio),
    ("cache_creation_input_audio_token_cost", Meter::CacheWriteAudio),
    ("input_cost_per_image_token", Meter::InputImage),
    ("output_cost_per_image_token", Meter::OutputImage),
    ("cache_read_input_image_token_cost", Meter::CacheReadImage),
    ("input_cost_per_video_token", Meter::InputVideo),
    ("output_cost_per_second", Meter::OutputSecond),
    ("input_cost_per_image", Meter::InputImageEach),
    ("output_cost_per_image", Meter::OutputImageEach),
    ("input_cost_per_character", Meter::InputCharacter),
    ("output_cost_per_character", Meter::OutputCharacter),
    ("input_cost_per_query", Meter::Query),
    ("input_cost_per_request", Meter::Request),
    ("ocr_cost_per_page", Meter::Page),
    ("google_maps_grounding_cost_per_query", Meter::GoogleMapsRequest),
    ("code_interpreter_cost_per_session", Meter::CodeInterpreterSession),
    ("regional_processing_uplift_multiplier_us", Meter::UpliftUs),
    ("regional_processing_uplift_multiplier_eu", Meter::UpliftEu),
];

const TIERS: [(&str, Tier); 6] = [
    ("_batches", Tier::Batch),
    ("_flex", Tier::Flex),
    ("_priority", Tier::Priority),
    ("_ultrafast", Tier::Ultrafast),
    ("_balanced", Tier::Balanced),
    ("_decisions", Tier::Decisions),
];

const SIZES: &str = "the price depends on the size, which no source reports";
const COUNTS: &str = "no source reports the quantity";

/// Bases without a row, by how they begin.
const NOTHING: [(&str, &str); 19] = [
    ("explicit_cache_read_input_token_cost", "no source tells explicit from implicit cache reads"),
    ("citation_cost_per_token", COUNTS),
    ("output_cost_per_video_token", COUNTS),
    ("input_cost_per_audio_per_second", "sources report tokens of sound, not seconds, for these models"),
    ("input_cost_per_video_per_second", COUNTS),
    ("output_cost_per_video_per_second", COUNTS),
    ("input_cost_per_pixel", SIZES),
    ("output_cost_per_pixel", SIZES),
    ("input_cost_per_text_message", COUNTS),
    ("annotation_cost_per_page", COUNTS),
    ("ocr_cost_per_credit", COUNTS),
    ("guardrail_cost_per_unit", COUNTS),
    ("cost_per_second", CAPACITY),
    ("input_dbu_cost_per_token", "in Databricks units, not dollars"),
    ("output_dbu_cost_per_token", "in Databricks units, not dollars"),
    ("computer_use_", COUNTS),
    ("vector_store_cost_", "storage belongs to no call"),
    ("file_search_cost_per_gb", "storage belongs to no call"),
    ("search_free_requests", "a free allowance is of the account, not of a call"),
];

pub(super) const CAPACITY: &str = "capacity by the second: give it as a `capacity_hour` row";

/// What `key` becomes. Structures (objects and lists) are not looked at here.
pub(super) fn target(key: &str) -> Target {
    if key == "regional_endpoint_uplift_multiplier" {
        return Target::One(Unit::standard(Meter::UpliftRegional));
    }
    if key == "file_search_cost_per_1k_calls" {
        return Target::Thousand(Unit::standard(Meter::FileSearchCall));
    }
    if key == "web_search_billing_unit" {
        return Target::Nothing("what counts as one search is read from the call");
    }
    if let Some((_, why)) = NOTHING.iter().find(|(start, _)| key.starts_with(start)) {
        return Target::Nothing(why);
    }
    let (rest, tier) = tier(key);
    let (rest, above_k) = match band(rest) {
        Some(found) => found,
        None => return Target::Unkept,
    };
    let unit = |meter| Unit { tier, above_k, ..Unit::standard(meter) };
    match rest {
        "cache_creation_input_token_cost" => Target::DefaultWrite(tier, above_k),
        "cache_creation_input_token_cost_above_1hr" => Target::One(unit(Meter::CacheWrite1h)),
        "cache_creation_input_token_cost_above_12hr" => Target::One(unit(Meter::CacheWrite12h)),
        "input_cost_per_token_cache_hit" => Target::One(unit(Meter::CacheRead)),
        "input_cost_per_second" => Target::Seconds(tier),
        _ => match BASES.iter().find(|(base, _)| *base == rest) {
            Some((_, meter)) => Target::One(unit(*meter)),
            None => unknown(rest),
        },
    }
}

/// Keys that refine a base by the size of a picture, keys that look like prices, and all others.
fn unknown(key: &str) -> Target {
    for (start, meter) in
        [("output_cost_per_image_", Meter::OutputImageEach), ("output_cost_per_second_", Meter::OutputSecond)]
    {
        if key.starts_with(start) {
            return Target::Refines(meter, SIZES);
        }
    }
    if BASES.iter().any(|(base, _)| key.starts_with(base)) || key.starts_with("cache_creation_input_token_cost") {
        return Target::Unkept;
    }
    match ["cost", "pric", "multiplier"].iter().any(|word| key.contains(word)) {
        true => Target::Nothing("an unknown key"),
        false => Target::NotAPrice,
    }
}

fn tier(key: &str) -> (&str, Tier) {
    let found = TIERS.iter().find_map(|(suffix, tier)| Some((key.strip_suffix(suffix)?, *tier)));
    found.unwrap_or((key, Tier::Standard))
}

/// The key before `_above_200k_tokens`, and the thousands; `None` for a band we cannot keep.
fn band(key: &str) -> Option<(&str, Option<u32>)> {
    let Some(rest) = key.strip_suffix("_tokens") else { return Some((key, None)) };
    let Some((base, above)) = rest.rsplit_once("_above_") else { return Some((key, None)) };
    let thousands = above.strip_suffix('k')?.parse().ok().filter(|thousands| *thousands > 0)?;
    Some((base, Some(thousands)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_base_a_lifetime_a_band_and_a_tier() {
        for (key, unit) in [
            ("input_cost_per_token", "input"),
            ("output_cost_per_token_above_272k_tokens_flex", "flex_output_above_272k"),
            ("cache_read_input_token_cost_batches", "batch_cache_read"),
            ("input_cost_per_token_cache_hit", "cache_read"),
            ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
            (
                "cache_creation_input_token_cost_above_12hr_above_272k_tokens_ultrafast",
                "ultrafast_cache_write_12h_above_272k",
            ),
            ("input_cost_per_audio_token_priority", "priority_input_audio"),
            ("ocr_cost_per_page_batches", "batch_page"),
            ("regional_endpoint_uplift_multiplier", "uplift_regional"),
        ] {
            assert_eq!(target(key), Target::One(Unit::parse(unit).unwrap()), "{key}");
        }
        let write = Target::DefaultWrite(Tier::Decisions, Some(272));
        assert_eq!(target("cache_creation_input_token_cost_above_272k_tokens_decisions"), write);
        assert_eq!(target("input_cost_per_second"), Target::Seconds(Tier::Standard));
    }

    #[test]
    fn a_key_that_would_change_a_rate_unseen_is_never_passed_over() {
        for key in [
            "input_cost_per_token_above_1m_tokens",
            "input_cost_per_token_above_128_tokens",
            "input_cost_per_token_at_night",
            "cache_creation_input_token_cost_above_24hr",
            "output_cost_per_token_gold",
        ] {
            assert_eq!(target(key), Target::Unkept, "{key}");
        }
        assert_eq!(target("output_cost_per_image_4K"), Target::Refines(Meter::OutputImageEach, SIZES));
        assert_eq!(target("output_cost_per_second_1080p"), Target::Refines(Meter::OutputSecond, SIZES));
        assert_eq!(target("tea_cost_per_cup"), Target::Nothing("an unknown key"));
        assert_eq!(target("max_output_tokens"), Target::NotAPrice);
        assert_eq!(target("supports_vision"), Target::NotAPrice);
    }
}
