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
        Tier::of_service(self.provider, self.service_tier)
    }

    /// Whether it used capacity that is paid by the hour, so that its tokens cost nothing more.
    pub(super) fn is_provisioned(&self) -> bool {
        let word = self.service_tier.unwrap_or_default();
        !self.batch && (self.provisioned || PROVISIONED_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
    }

    /// What the provider calls the model or its deployment.
    pub(super) fn model_asked_for(&self) -> Option<&'a str> {
        [self.response_model, self.request_model].into_iter().flatten().find(|model| !model.is_empty())
    }

    /// Why no rate can price it, if none can.
    pub(super) fn unpriceable(&self) -> Option<PriceStatus> {
        if self.gateway_cache_hit {
            return Some(PriceStatus::GatewayCache);
        }
        if self.is_provisioned() {
            return Some(PriceStatus::Provisioned);
        }
        self.usage_problem()
    }

    /// Why the counts cannot be priced, if they cannot.
    fn usage_problem(&self) -> Option<PriceStatus> {
        let tokens = self.tokens;
        let is_known = BILLED.iter().any(|(_, name)| self.meter(name).is_some())
            || match self.operation {
                // Half of the counts is a floor, not a cost.
                Operation::Chat | Operation::Responses | Operation::Realtime => {
                    tokens.input.is_some() && tokens.output.is_some()
                }
                Operation::Embeddings => tokens.input.is_some(),
                Operation::Rerank
                | Operation::Transcription
                | Operation::Speech
                | Operation::Image
                | Operation::Ocr => !tokens.is_absent() || !self.meters.is_empty(),
            };
        let contradicts =
            self.buckets.check.is_some() || self.meters.iter().any(|(_, quantity)| quantity.is_negative());
        match (contradicts, is_known) {
            (true, _) => Some(PriceStatus::InconsistentUsage),
            (false, false) => Some(PriceStatus::NoUsage),
            (false, true) => None,
        }
    }

    /// How much of the meter `name` was used; `None` if the event does not say.
    fn meter(&self, name: &str) -> Option<Usd> {
        self.meters.iter().find(|(given, _)| *given == name).map(|(_, quantity)| *quantity)
    }

    /// Everything that counts, none of it zero.
    pub(super) fn charges(&self) -> impl Iterator<Item = Charge<'a>> + use<'a> {
        // A provider that bills other counts than it processed says so: those are what is charged.
        let billed = BILLED.map(|(meter, name)| (meter, self.meter(name)));
        let is_billed = billed.iter().any(|(_, quantity)| quantity.is_some());
        let processed = if is_billed { None } else { Some(self.token_charges()) };
        let billed = billed.map(|(meter, quantity)| (meter, quantity.unwrap_or_default()));
        let of_tokens = billed.into_iter().chain(processed.into_iter().flatten());
        let of_tokens = of_tokens.map(|(meter, quantity)| Charge::of(meter.as_str(), Some(meter), quantity));
        let has_tokens =
            is_billed || [self.tokens.input, self.tokens.output].into_iter().flatten().any(|count| count > 0);
        let of_meters = self.meters.iter().filter_map(move |(name, quantity)| {
            let charge = |meter| Some(Charge::of(name, meter, *quantity));
            match meter_rule(name) {
                MeterRule::NotBilled => None,
                MeterRule::InsteadOfTokens(_) if has_tokens => None,
                MeterRule::BesideTokens(meter) => Some(Charge { only_if_stated: has_tokens, ..charge(Some(meter))? }),
                MeterRule::InsteadOfTokens(meter) | MeterRule::Billed(meter) => charge(Some(meter)),
                MeterRule::Unknown => charge(None),
            }
        });
        of_tokens.chain(of_meters).filter(|charge| charge.quantity != Usd::ZERO)
    }

    /// Whether Google looked something up for it: the search is what is billed then, not what it found.
    fn is_grounded(&self) -> bool {
        let searches = ["web_search_requests", "google_maps_requests"];
        matches!(self.provider, Some("gemini" | "vertex_ai")) && searches.iter().any(|name| self.meter(name).is_some())
    }

    /// The token buckets, those that only meters tell apart taken out of the ones they are part of.
    fn token_charges(&self) -> [(Meter, Usd); 16] {
        let (tokens, buckets) = (self.tokens, self.buckets);
        let count = |count: Option<i64>| Usd::from_pico(i128::from(count.unwrap_or(0)) * ONE);
        let part_of = |whole: Usd, name| self.meter(name).filter(|part| *part <= whole).unwrap_or_default();
        let (fresh, read) = (count(buckets.uncached_input), count(tokens.cache_read));
        let fresh = fresh - if self.is_grounded() { part_of(fresh, "input_tool_use_tokens") } else { Usd::ZERO };
        let video = part_of(fresh, "input_video_tokens");
        let read_audio = part_of(read, "cache_read_audio_tokens");
        let read_image = part_of(read - read_audio, "cache_read_image_tokens");
        [
            (Meter::Input, fresh - video),
            (Meter::InputVideo, video),
            (Meter::CacheRead, read - read_audio - read_image),
            (Meter::CacheReadAudio, read_audio),
            (Meter::CacheReadImage, read_image),
            (Meter::CacheWrite5m, count(tokens.cache_write_5m)),
            (Meter::CacheWrite30m, count(tokens.cache_write_30m)),
            (Meter::CacheWrite1h, count(tokens.cache_write_1h)),
            (Meter::CacheWrite12h, count(tokens.cache_write_12h)),
            (Meter::CacheWrite, count(buckets.cache_write_unstated)),
            (Meter::InputAudio, count(tokens.input_audio)),
            (Meter::InputImage, count(tokens.input_image)),
            (Meter::Output, count(buckets.output_text)),
            (Meter::OutputReasoning, count(tokens.reasoning)),
            (Meter::OutputAudio, count(tokens.output_audio)),
            (Meter::OutputImage, count(tokens.output_image)),
        ]
    }
}

impl Tier {
    /// The tier that a service tier as `provider` reports it means; `None` for a word that names none we know.
    pub fn of_service(provider: Option<&str>, service_tier: Option<&str>) -> Option<Self> {
        let word = service_tier.unwrap_or_default();
        // Fast mode is Anthropic's; OpenAI says so of its priority tier.
        if word == "fast" && matches!(provider, Some("openai" | "azure")) {
            return Some(Self::Priority);
        }
        TIER_WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, tier)| *tier)
    }
}

const BILLED_INPUT: &str = "billed_input_tokens";
const BILLED_OUTPUT: &str = "billed_output_tokens";
const BILLED_IMAGE: &str = "billed_image_tokens";

/// Counts that are charged in place of those processed.
const BILLED: [(Meter, &str); 3] =
    [(Meter::Input, BILLED_INPUT), (Meter::Output, BILLED_OUTPUT), (Meter::InputImage, BILLED_IMAGE)];

/// Tiers in which the hour is paid and not the token.
const PROVISIONED_WORDS: [&str; 4] = ["provisioned", "provisioned_throughput", "scale", "reserved"];

/// What providers and gateways call the tiers. `auto` is a wish, but one that is granted with the ordinary service.
const TIER_WORDS: [(&str, Tier); 15] = [
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
    ("fast", Tier::Fast),
    ("balanced", Tier::Balanced),
];

/// How a meter that is not tokens is billed.
enum MeterRule {
    /// At the rate of its meter.
    Billed(Meter),
    /// At the rate of its meter, when the call reports no tokens; otherwise the tokens are what is billed.
    InsteadOfTokens(Meter),
    /// At the rate of its meter; without one the tokens, if the call reports any, are all that is billed.
    BesideTokens(Meter),
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
        "output_seconds" => MeterRule::InsteadOfTokens(Meter::OutputSecond),
        "input_characters" => MeterRule::InsteadOfTokens(Meter::InputCharacter),
        "output_characters" => MeterRule::InsteadOfTokens(Meter::OutputCharacter),
        "input_images" => MeterRule::BesideTokens(Meter::InputImageEach),
        "pages" => MeterRule::BesideTokens(Meter::Page),
        "classifications" => MeterRule::Billed(Meter::Classification),
        "file_search_requests" => MeterRule::Billed(Meter::FileSearchCall),
        "code_interpreter_sessions" => MeterRule::Billed(Meter::CodeInterpreterSession),
        "google_maps_requests" => MeterRule::Billed(Meter::GoogleMapsRequest),
        // Functions of the caller's own; servers and pages the provider fetches from for the price of the tokens.
        "tool_calls" | "mcp_calls" | "web_fetch_requests" => MeterRule::NotBilled,
        // Parts of the input and output that the buckets already hold, or that stand in for them.
        BILLED_INPUT
        | BILLED_OUTPUT
        | BILLED_IMAGE
        | "input_tool_use_tokens"
        | "input_video_tokens"
        | "cache_read_audio_tokens"
        | "cache_read_image_tokens"
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
    /// What has no rate of its own costs nothing more.
    pub(super) only_if_stated: bool,
}

impl<'a> Charge<'a> {
    pub(super) fn of(counted: &'a str, meter: Option<Meter>, quantity: Usd) -> Self {
        Self { counted, meter, quantity, only_if_stated: false }
    }
}
