//! What of a call is priced: model, tier, and everything it used.

use crate::{Buckets, Entry, Feature, Instant, Operation, Tokens, Usd};

use super::{Meter, PriceStatus, Tier};

/// One, as [`Usd`] counts.
pub(super) const ONE: i128 = 1_000_000_000_000;

/// What of a call decides its cost.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Who bills.
    pub provider: Option<&'a str>,
    /// The model that served. If it is given, it alone is looked up.
    pub response_model: Option<&'a str>,
    /// The model asked for; on Azure a deployment's name, which is no key to a price.
    pub request_model: Option<&'a str>,
    /// The service tier that served, as reported.
    pub service_tier: Option<&'a str>,
    /// Where the provider processed the call.
    pub region: Option<&'a str>,
    /// When the call was made.
    pub at: Instant,
    /// What kind of call it was: whether an absent output count can be trusted to mean none.
    pub operation: Operation,
    /// The counts.
    pub tokens: &'a Tokens,
    /// The buckets derived from `tokens`.
    pub buckets: &'a Buckets,
    /// Meters that are not tokens.
    pub meters: &'a [(&'a str, Usd)],
    /// Whether it was part of a batch, which the provider's answer may not say.
    pub batch: bool,
    /// Whether it used capacity that is paid by the hour.
    pub provisioned: bool,
    /// Whether the gateway answered from its own cache.
    pub gateway_cache_hit: bool,
}

impl<'a> Call<'a> {
    /// The call that `entry` records, made `at`; `buckets` are those of its tokens.
    pub fn of(entry: &'a Entry<'_>, buckets: &'a Buckets, at: Instant) -> Self {
        Self {
            provider: entry.provider.as_deref(),
            response_model: entry.response_model.as_deref(),
            request_model: entry.request_model.as_deref(),
            service_tier: entry.service_tier.as_deref(),
            region: entry.region.as_deref(),
            at,
            // What is not known is held to the strictest rule.
            operation: entry.operation.unwrap_or(Operation::Chat),
            tokens: &entry.tokens,
            buckets,
            meters: &entry.meters,
            batch: entry.features.contains(Feature::Batch),
            provisioned: entry.features.contains(Feature::ProvisionedCapacity),
            gateway_cache_hit: entry.gateway_cache_hit == Some(true),
        }
    }

    /// The model to look up.
    pub(super) fn model(&self) -> Option<&'a str> {
        let request_model = self.request_model.filter(|_| self.provider != Some("azure"));
        [self.response_model, request_model].into_iter().flatten().find(|model| !model.is_empty())
    }

    /// The tier whose rates apply; `None` for a word that names none we know.
    pub(super) fn tier(&self) -> Option<Tier> {
        if self.batch {
            return Some(Tier::Batch);
        }
        let word = self.service_tier.unwrap_or_default();
        let known = TIER_WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, tier)| *tier);
        // Anthropic's fast mode is another thing, and has another price.
        let openai_fast = word == "fast" && matches!(self.provider, Some("openai" | "azure"));
        known.or(openai_fast.then_some(Tier::Priority))
    }

    /// Why the counts cannot be priced, if they cannot.
    pub(super) fn usage_problem(&self) -> Option<PriceStatus> {
        let tokens = self.tokens;
        let is_known = match self.operation {
            // Half of the counts is a floor, not a cost.
            Operation::Chat | Operation::Responses | Operation::Realtime => {
                tokens.input.is_some() && tokens.output.is_some()
            }
            Operation::Embeddings => tokens.input.is_some(),
            Operation::Rerank | Operation::Transcription | Operation::Speech | Operation::Image | Operation::Ocr => {
                !tokens.is_absent() || !self.meters.is_empty()
            }
        };
        let contradicts =
            self.buckets.check.is_some() || self.meters.iter().any(|(_, quantity)| quantity.is_negative());
        match (contradicts, is_known) {
            (true, _) => Some(PriceStatus::InconsistentUsage),
            (false, false) => Some(PriceStatus::NoUsage),
            (false, true) => None,
        }
    }

    /// Everything that counts, none of it zero.
    pub(super) fn charges(&self) -> impl Iterator<Item = Charge<'a>> + use<'a> {
        let (tokens, buckets) = (self.tokens, self.buckets);
        let of_tokens = [
            (Meter::Input, buckets.uncached_input),
            (Meter::CacheRead, tokens.cache_read),
            (Meter::CacheWrite5m, tokens.cache_write_5m),
            (Meter::CacheWrite30m, tokens.cache_write_30m),
            (Meter::CacheWrite1h, tokens.cache_write_1h),
            (Meter::CacheWrite12h, tokens.cache_write_12h),
            (Meter::CacheWrite, buckets.cache_write_unstated),
            (Meter::InputAudio, tokens.input_audio),
            (Meter::InputImage, tokens.input_image),
            (Meter::Output, buckets.output_text),
            (Meter::OutputReasoning, tokens.reasoning),
            (Meter::OutputAudio, tokens.output_audio),
            (Meter::OutputImage, tokens.output_image),
        ];
        let of_tokens = of_tokens.into_iter().map(|(meter, count)| Charge {
            counted: meter.as_str(),
            meter: Some(meter),
            quantity: Usd::from_pico(i128::from(count.unwrap_or(0)) * ONE),
        });
        let has_tokens = !tokens.is_absent();
        let of_meters = self.meters.iter().filter_map(move |(name, quantity)| {
            let meter = match meter_rule(name) {
                MeterRule::NotBilled => return None,
                MeterRule::InsteadOfTokens(_) if has_tokens => return None,
                MeterRule::InsteadOfTokens(meter) | MeterRule::Billed(meter) => Some(meter),
                MeterRule::Unknown => None,
            };
            Some(Charge { counted: name, meter, quantity: *quantity })
        });
        of_tokens.chain(of_meters).filter(|charge| charge.quantity != Usd::ZERO)
    }
}

/// What providers and gateways call the tiers. `auto` is a wish, but one that is granted with the ordinary service.
const TIER_WORDS: [(&str, Tier); 13] = [
    ("", Tier::Standard),
    ("default", Tier::Standard),
    ("standard", Tier::Standard),
    ("on_demand", Tier::Standard),
    ("auto", Tier::Standard),
    ("unspecified", Tier::Standard),
    ("batch", Tier::Batch),
    ("flex", Tier::Flex),
    ("on_demand_flex", Tier::Flex),
    ("priority", Tier::Priority),
    ("on_demand_priority", Tier::Priority),
    ("ultrafast", Tier::Ultrafast),
    ("decisions", Tier::Decisions),
];

/// How a meter that is not tokens is billed.
enum MeterRule {
    /// At the rate of its meter.
    Billed(Meter),
    /// At the rate of its meter, when the call reports no tokens; otherwise the tokens are what is billed.
    InsteadOfTokens(Meter),
    /// It costs nothing, or nothing more than the tokens it is part of.
    NotBilled,
    /// Nobody told us: the call stays unpriced.
    Unknown,
}

fn meter_rule(name: &str) -> MeterRule {
    match name {
        "web_search_requests" => MeterRule::Billed(Meter::WebSearchMedium),
        "search_units" | "queries" => MeterRule::Billed(Meter::Query),
        "input_seconds" | "audio_seconds" => MeterRule::InsteadOfTokens(Meter::AudioSecond),
        "output_images" => MeterRule::InsteadOfTokens(Meter::OutputImageEach),
        // Functions of the caller's own; pages that Anthropic fetches for the price of their tokens.
        "tool_calls" | "web_fetch_requests" => MeterRule::NotBilled,
        // Parts of the input and output that the buckets already hold.
        "input_tool_use_tokens"
        | "input_video_tokens"
        | "accepted_prediction_tokens"
        | "rejected_prediction_tokens" => MeterRule::NotBilled,
        _ => MeterRule::Unknown,
    }
}

/// Something counted, to be multiplied with a rate.
pub(super) struct Charge<'a> {
    /// The bucket's or the meter's own word.
    pub(super) counted: &'a str,
    /// `None`: nobody told us how it is billed.
    pub(super) meter: Option<Meter>,
    /// A quantity, not an amount; [`Usd`] is the decimal at hand.
    pub(super) quantity: Usd,
}
