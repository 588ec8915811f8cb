//! Who calls what, when, how much: drawn by a seed.

use daybook_ledger::{Date, Entry, Feature, Instant, Operation, Status, Tokens, UsageSource, Usd};

/// 2025-09-01, a Monday.
pub(crate) const FIRST_DAY: Date = Date::from_days(20_332);
/// To 2026-11-30.
pub(crate) const DAYS: i32 = 456;
/// The day `contract-review` begins to keep its state with the vendor: 2026-06-15.
const LOCKED_IN_FROM: i32 = 287;
/// The day after which `translations` no longer tries its second vendor: 2026-05-01.
const OPTION_UNTIL: i32 = 243;
/// The days on which somebody uses a key of their own: from 2026-03-10 to 2026-09-20.
const SHADOW: (i32, i32) = (190, 385);

const MICROS_A_DAY: i64 = 86_400_000_000;

/// One stream of calls. Several make a workload, when it runs in two places or changes on a day.
#[derive(Debug)]
pub(crate) struct Workload {
    /// As `workloads.toml` names it; none for the shadow key.
    pub(crate) name: Option<&'static str>,
    team: Option<&'static str>,
    project: Option<&'static str>,
    key: &'static str,
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    operation: Operation,
    region: Option<&'static str>,
    /// First and last day, counted from the first of all.
    days: (i32, i32),
    /// Its weight among those of a day.
    share: u64,
    /// Mean tokens in and out.
    tokens: (i64, i64),
    /// Part of the input that a cache can give, in percent.
    cached: i64,
    features: &'static [Feature],
    /// Whether the gateway reports costs of its own.
    pub(crate) is_reported: bool,
}

const PLAIN: Workload = Workload {
    name: None,
    team: None,
    project: None,
    key: "prod",
    provider: "openai",
    model: "gpt-5.4",
    operation: Operation::Chat,
    region: None,
    days: (0, DAYS - 1),
    share: 0,
    tokens: (1_000, 200),
    cached: 0,
    features: &[],
    is_reported: false,
};

#[rustfmt::skip]
const WORKLOADS: [Workload; 17] = [
    Workload { name: Some("support-bot"), team: Some("Support"), provider: "anthropic", model: "claude-sonnet-5", share: 250, tokens: (3_200, 260), cached: 70, features: &[Feature::PromptCacheControl], is_reported: true, ..PLAIN },
    Workload { name: Some("support-bot"), team: Some("Support"), provider: "bedrock", model: "anthropic.claude-sonnet-5", region: Some("eu-central-1"), share: 10, tokens: (3_200, 260), ..PLAIN },
    Workload { name: Some("claims-triage"), team: Some("Claims"), provider: "bedrock", model: "anthropic.claude-sonnet-5", region: Some("eu-central-1"), share: 90, tokens: (2_100, 420), features: &[Feature::StructuredOutput], ..PLAIN },
    Workload { name: Some("search-index"), team: Some("Search"), model: "text-embedding-3-small", operation: Operation::Embeddings, share: 140, tokens: (900, 0), features: &[Feature::ProprietaryEmbedding], ..PLAIN },
    Workload { name: Some("code-assist"), team: Some("Engineering"), operation: Operation::Responses, share: 90, tokens: (6_400, 900), cached: 40, features: &[Feature::ToolCalling], is_reported: true, ..PLAIN },
    Workload { name: Some("code-assist"), team: Some("Engineering"), operation: Operation::Responses, region: Some("eu"), share: 40, tokens: (6_400, 900), cached: 40, features: &[Feature::ToolCalling], ..PLAIN },
    Workload { name: Some("contract-review"), team: Some("Legal"), provider: "anthropic", model: "claude-opus-5", days: (0, LOCKED_IN_FROM - 1), share: 40, tokens: (14_000, 1_100), cached: 50, ..PLAIN },
    Workload { name: Some("contract-review"), team: Some("Legal"), provider: "anthropic", model: "claude-opus-5", days: (LOCKED_IN_FROM, DAYS - 1), share: 40, tokens: (14_000, 1_100), cached: 50, features: &[Feature::HostedState], ..PLAIN },
    Workload { name: Some("ops-copilot"), team: Some("Operations"), provider: "gemini", model: "gemini-3.5-flash", share: 90, tokens: (1_500, 300), cached: 20, ..PLAIN },
    Workload { name: Some("translations"), team: Some("Marketing"), project: Some("translate-eu"), provider: "mistral", model: "mistral-small-2603", share: 80, tokens: (700, 650), ..PLAIN },
    Workload { name: Some("translations"), team: Some("Marketing"), project: Some("translate-eu"), model: "gpt-5.4-mini", days: (0, OPTION_UNTIL), share: 5, tokens: (700, 650), ..PLAIN },
    Workload { name: Some("summaries"), team: Some("News"), model: "gpt-5.4-mini", share: 60, tokens: (2_400, 180), cached: 30, features: &[Feature::Batch], ..PLAIN },
    Workload { name: Some("fraud-notes"), team: Some("Risk"), provider: "bedrock", model: "amazon.nova-pro-v1:0", region: Some("eu-central-1"), share: 50, tokens: (1_800, 240), ..PLAIN },
    Workload { name: Some("voice-notes"), key: "voice-1", model: "whisper-1", operation: Operation::Transcription, share: 30, tokens: (0, 0), ..PLAIN },
    Workload { name: Some("research"), provider: "gemini", model: "gemini-2.5-pro", share: 20, tokens: (9_000, 1_500), cached: 40, features: &[Feature::WebSearch], ..PLAIN },
    Workload { name: Some("lab"), key: "lab", provider: "mistral", model: "acme-tuned-7", share: 10, tokens: (500, 100), ..PLAIN },
    Workload { name: None, key: "side-project", days: SHADOW, share: 6, tokens: (1_200, 400), ..PLAIN },
];

/// The calls to come.
pub(crate) struct Traffic {
    chance: Chance,
    calls: u64,
    number: u64,
    /// Weights of the days before each day, and of all.
    weights: Vec<u64>,
}

impl Traffic {
    pub(crate) fn new(seed: u64, calls: u64) -> Self {
        let mut weights = vec![0];
        for day in 0..DAYS {
            // It grows by half, and weekends are quiet. The first day is a Monday.
            let weight = (1_000 + u64::from(day.unsigned_abs())) * if day % 7 < 5 { 10 } else { 3 };
            weights.push(weights.last().copied().unwrap_or(0) + weight);
        }
        Self { chance: Chance(seed), calls, number: 0, weights }
    }

    /// How many calls `day` has; all days together have all calls.
    pub(crate) fn calls_of(&self, day: i32) -> u64 {
        let at = usize::try_from(day).unwrap_or(0);
        let weight = |at: usize| u128::from(self.weights.get(at).copied().unwrap_or(0));
        let before = |at: usize| u128::from(self.calls) * weight(at) / weight(self.weights.len() - 1);
        u64::try_from(before(at + 1) - before(at)).unwrap_or(0)
    }

    /// The next call of `day`.
    pub(crate) fn draw(&mut self, day: i32) -> (&'static Workload, Instant, Entry<'static>) {
        self.number += 1;
        let chance = &mut self.chance;
        let workload = choose(day, chance);
        let start = Date::from_days(FIRST_DAY.days() + day).start();
        let started_at = Instant::from_micros(start.micros() + chance.below(MICROS_A_DAY));
        let latency_ms = 200 + chance.below(8_800);
        let mut entry = Entry::new("litellm", workload.operation, b"{}");
        entry.event_id = Some(format!("call-{:09}", self.number).into());
        entry.started_at = Some(started_at);
        entry.completed_at = Some(Instant::from_micros(started_at.micros() + latency_ms * 1_000));
        entry.gateway = Some("litellm".into());
        entry.provider = Some(workload.provider.into());
        entry.request_model = Some(workload.model.into());
        entry.response_model = Some(workload.model.into());
        entry.region = workload.region.map(Into::into);
        entry.team = workload.team.map(Into::into);
        entry.project = workload.project.map(Into::into);
        entry.api_key_alias = Some(workload.key.into());
        entry.environment = Some(if chance.below(7) == 0 { "staging" } else { "prod" }.into());
        entry.trace_id = Some(format!("trace-{:09}", self.number / 3).into());
        entry.streamed = Some(chance.below(5) < 3);
        entry.latency_ms = Some(latency_ms);
        entry.ttft_ms = entry.streamed.filter(|streamed| *streamed).map(|_| latency_ms / 4);
        entry.http_status = Some(200);
        entry.finish_reason = Some("stop".into());
        match workload.name {
            Some("support-bot") => {
                entry.end_user = Some(format!("user-{}", chance.below(400)).into());
                entry.tags = vec![("cost centre".into(), if chance.below(2) == 0 { "4712" } else { "4711" }.into())];
            }
            Some("research") => entry.tags = vec![("app".into(), "research-eu".into())],
            _ => {}
        }
        use_it(workload, chance, &mut entry);
        if chance.below(80) == 0 {
            fail(&mut entry);
        }
        (workload, started_at, entry)
    }
}

fn choose(day: i32, chance: &mut Chance) -> &'static Workload {
    let runs = |workload: &&Workload| workload.days.0 <= day && day <= workload.days.1;
    let total: u64 = WORKLOADS.iter().filter(runs).map(|workload| workload.share).sum();
    let mut point = chance.next() % total;
    let mut chosen = WORKLOADS.iter().filter(runs).skip_while(|workload| {
        let is_past = point >= workload.share;
        point = point.saturating_sub(workload.share);
        is_past
    });
    chosen.next().or(WORKLOADS.first()).unwrap_or(&PLAIN)
}

/// What the call used and leaned on.
fn use_it(workload: &Workload, chance: &mut Chance, entry: &mut Entry<'_>) {
    entry.usage_source = UsageSource::Provider;
    for feature in workload.features {
        // Searches and hosted state are not in every call.
        let sometimes = matches!(feature, Feature::WebSearch | Feature::HostedState);
        entry.features.insert_if(!sometimes || chance.below(2) == 0, *feature);
    }
    if entry.features.contains(Feature::WebSearch) {
        entry.meters =
            vec![("web_search_requests", Usd::from_pico(i128::from(1 + chance.below(3)) * 1_000_000_000_000))];
    }
    if workload.operation == Operation::Transcription {
        // Seconds of sound, to the millisecond.
        entry.meters = vec![("input_seconds", Usd::from_pico(i128::from(500 + chance.below(90_000)) * 1_000_000_000))];
        return;
    }
    let around = |mean: i64, chance: &mut Chance| mean * (30 + chance.below(170)) / 100;
    let mut input = around(workload.tokens.0, chance).max(1);
    if workload.model == "gemini-2.5-pro" && chance.below(50) == 0 {
        input += 200_000;
    }
    let hit = workload.cached > 0 && chance.below(2) == 0;
    let is_anthropic_cache = workload.features.contains(&Feature::PromptCacheControl);
    let output = around(workload.tokens.1, chance);
    entry.tokens = Tokens { input: Some(input), output: Some(output), ..Tokens::default() };
    if hit {
        entry.tokens.cache_read = Some(input * workload.cached / 100);
    } else if is_anthropic_cache {
        entry.tokens.cache_write = Some(input / 4);
        entry.tokens.cache_write_5m = Some(input / 4);
    }
    if workload.model == "gpt-5.4" {
        entry.tokens.reasoning = Some(output / 3);
    }
}

/// Nothing came back, not even counts.
fn fail(entry: &mut Entry<'_>) {
    entry.status = Status::Error;
    entry.error_type = Some("overloaded".into());
    entry.http_status = Some(529);
    entry.finish_reason = None;
    entry.tokens = Tokens::default();
    entry.meters = Vec::new();
    entry.usage_source = UsageSource::Absent;
}

/// SplitMix64: small, seeded, the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it.
    fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs().max(1)).unwrap_or(0)
    }
}
