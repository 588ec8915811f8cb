//! What a bill's words mean: which model, what is counted, in which tier.
//!
//! Bills name products, not models: `USE1-NovaPro-cache-read-input-token-count`, `gpt 4o 1120 Inp glbl`. A published table
//! says what irregular names mean; the others are read word by word. What is not understood stays as billed.

use daybook_ledger::Usd;

use super::members::whole;

/// What the words of one line say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The model in the spelling of `usage`, or as near as the words come.
    pub model: Option<String>,
    /// The part of the line that names the model.
    pub billed_as: Option<String>,
    /// Where `model` comes from.
    pub rule: Rule,
    /// What is counted, in words of a price sheet.
    pub meter: Option<&'static str>,
    /// Service tier, if the words tell.
    pub tier: Option<&'static str>,
}

/// Where the name of a model comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// The words name none we know.
    #[default]
    Unmapped,
    /// [`TABLE`].
    Table,
    /// The words themselves, spelt as model ids are.
    Words,
}

impl Rule {
    /// A word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unmapped => "unmapped",
            Self::Table => "table",
            Self::Words => "words",
        }
    }
}

/// Biller, name on the bill, model. Names are compared without case, spaces and punctuation.
pub const TABLE: &[(&str, &str, &str)] = &[
    ("bedrock", "NovaMicro", "amazon.nova-micro-v1:0"),
    ("bedrock", "NovaLite", "amazon.nova-lite-v1:0"),
    ("bedrock", "NovaPro", "amazon.nova-pro-v1:0"),
    ("bedrock", "NovaPremier", "amazon.nova-premier-v1:0"),
    ("bedrock", "TitanTextEmbeddings", "amazon.titan-embed-text-v1"),
    ("bedrock", "TitanEmbeddingsG1-Text", "amazon.titan-embed-text-v1"),
    ("bedrock", "TitanTextEmbeddingsV2", "amazon.titan-embed-text-v2:0"),
    ("bedrock", "TitanEmbeddingV2-Text", "amazon.titan-embed-text-v2:0"),
    ("bedrock", "Claude3Haiku", "anthropic.claude-3-haiku-20240307-v1:0"),
    ("bedrock", "Claude3Sonnet", "anthropic.claude-3-sonnet-20240229-v1:0"),
    ("bedrock", "Claude3.5Sonnet", "anthropic.claude-3-5-sonnet-20240620-v1:0"),
    ("bedrock", "Claude3.5SonnetV2", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
    ("bedrock", "Claude3.5Haiku", "anthropic.claude-3-5-haiku-20241022-v1:0"),
    ("bedrock", "Claude3.7Sonnet", "anthropic.claude-3-7-sonnet-20250219-v1:0"),
    ("bedrock", "Claude4.5Sonnet", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("bedrock", "ClaudeSonnet4.5", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("bedrock", "ClaudeHaiku4.5", "anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("azure", "gpt 4o 0513", "gpt-4o-2024-05-13"),
    ("azure", "gpt 4o 0806", "gpt-4o-2024-08-06"),
    ("azure", "gpt 4o 1120", "gpt-4o-2024-11-20"),
    ("azure", "gpt 4o mini 0718", "gpt-4o-mini-2024-07-18"),
    ("azure", "gpt 4.1", "gpt-4.1-2025-04-14"),
    ("azure", "gpt 5", "gpt-5-2025-08-07"),
    ("azure", "text embedding 3 large", "text-embedding-3-large"),
    ("azure", "text embedding 3 small", "text-embedding-3-small"),
];

/// First words of models' names.
const FAMILIES: &[&str] = &[
    "claude",
    "nova",
    "titan",
    "gpt",
    "gemini",
    "llama",
    "mistral",
    "mixtral",
    "magistral",
    "ministral",
    "codestral",
    "pixtral",
    "command",
    "deepseek",
    "grok",
    "qwen",
    "whisper",
    "o1",
    "o3",
    "o4",
    "jamba",
];
/// Words that go on naming the model after its family; numbers do too.
const CONTINUATIONS: &[&str] = &[
    "pro",
    "flash",
    "lite",
    "mini",
    "nano",
    "sonnet",
    "opus",
    "haiku",
    "fable",
    "large",
    "small",
    "medium",
    "micro",
    "premier",
    "maverick",
    "scout",
    "instruct",
    "turbo",
    "sol",
    "luna",
    "astra",
    "oss",
    "chat",
    "reasoner",
    "coder",
    "fast",
    "plus",
    "canvas",
    "reel",
    "sonic",
    "exp",
    "preview",
    "embed",
    "embedding",
    "r",
];
/// How Bedrock spells the end of a usage type: where the model's name stops, and what is counted.
const BEDROCK_METERS: &[(&str, &str)] = &[
    ("cache-read-input-token", "cache_read"),
    ("cache-write-input-token", "cache_write"),
    ("cache-write-5m-input-token", "cache_write_5m"),
    ("cache-write-1h-input-token", "cache_write_1h"),
    ("cachereadinputtoken", "cache_read"),
    ("cachewriteinputtoken", "cache_write"),
    ("cachewrite1hinputtoken", "cache_write_1h"),
    ("mantle-input-token", "input"),
    ("mantle-output-token", "output"),
    ("input-token", "input"),
    ("output-token", "output"),
    ("inputtoken", "input"),
    ("outputtoken", "output"),
];

/// Reads a Bedrock usage type, `[REGION-]Model-meter[-suffix]`. Without a token meter in it only known names are models.
pub fn bedrock(usage_type: &str) -> Reading {
    let lower = usage_type.to_ascii_lowercase();
    let found = BEDROCK_METERS.iter().filter_map(|(spelt, meter)| Some((lower.find(spelt)?, *spelt, *meter)));
    // The earliest is the longest: `cache-read-input-token` begins before the `input-token` inside it.
    let found = found.min_by_key(|(at, spelt, _)| (*at, std::cmp::Reverse(spelt.len())));
    let without_region = |name: &str| {
        let region = name.split_once('-').filter(|(region, _)| is_region_code(region));
        let name = region.map_or(name, |(_, rest)| rest);
        name.trim_matches(['-', '_', ':']).to_owned()
    };
    let (name, suffix, meter) = match found {
        Some((at, spelt, meter)) => {
            let rest = lower.get(at + spelt.len()..).unwrap_or_default();
            let hour = rest.contains("1h") && meter == "cache_write";
            let meter = if hour { "cache_write_1h" } else { meter };
            (usage_type.get(..at).unwrap_or_default(), rest, Some(meter))
        }
        None => (usage_type, lower.as_str(), meter_of(&lower)),
    };
    let name = without_region(name);
    let tier = tier_of(suffix).or_else(|| tier_of(&name.to_ascii_lowercase()));
    let (model, rule) = model_of("bedrock", &name);
    // Without a meter nothing says where the model's name ends.
    let billed_as = (found.is_some() || rule != Rule::Unmapped).then_some(name).filter(|name| !name.is_empty());
    let billed_as = billed_as.filter(|name| !name.starts_with("MP"));
    Reading { model, billed_as, rule, meter, tier }
}

/// Reads a line item of OpenAI's costs, `model[ tier], meter`.
pub fn openai(line_item: &str) -> Reading {
    let (head, tail) = line_item.rsplit_once(", ").unwrap_or((line_item, ""));
    let words: Vec<_> = head.split_whitespace().filter(|word| tier_of(word).is_none()).collect();
    let is_id = |word: &str| word.contains('-') || word.bytes().any(|byte| byte.is_ascii_digit());
    let model = match words.as_slice() {
        [word] if is_id(word) => Some((*word).to_owned()),
        _ => None,
    };
    let rule = if model.is_some() { Rule::Words } else { Rule::Unmapped };
    let meter = meter_of(&tail.to_ascii_lowercase()).or_else(|| meter_of(&head.to_ascii_lowercase()));
    Reading { billed_as: model.clone(), model, rule, meter, tier: tier_of(&line_item.to_ascii_lowercase()) }
}

/// Reads words for people, such as a FOCUS SkuMeter or the description of a line.
pub fn words(provider: &str, text: &str) -> Reading {
    let lower = text.to_ascii_lowercase();
    if provider == "bedrock" && BEDROCK_METERS.iter().any(|(spelt, _)| lower.contains(spelt)) {
        return bedrock(text);
    }
    let billed_as = name_in(text);
    let (model, rule) = billed_as.as_deref().map_or((None, Rule::Unmapped), |name| model_of(provider, name));
    Reading { model, billed_as, rule, meter: meter_of(&lower), tier: tier_of(&lower) }
}

/// The model `name` is billed for.
fn model_of(provider: &str, name: &str) -> (Option<String>, Rule) {
    let squashed = squash(name);
    let row = TABLE.iter().find(|(biller, billed_as, _)| *biller == provider && squash(billed_as) == squashed);
    if let Some((_, _, model)) = row {
        return (Some((*model).into()), Rule::Table);
    }
    match name_in(name) {
        Some(found) => (Some(as_id(&found)), Rule::Words),
        None => (None, Rule::Unmapped),
    }
}

fn squash(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The part of `text` that names a model: a family and the words that go on naming it.
fn name_in(text: &str) -> Option<String> {
    let words = split(text);
    let first = words.iter().position(|word| FAMILIES.contains(&word.to_ascii_lowercase().as_str()))?;
    let named = words.iter().skip(first).enumerate().take_while(|(at, word)| *at == 0 || continues(word));
    let named: Vec<&str> = named.map(|(_, word)| word.as_str()).collect();
    Some(named.join(" "))
}

fn continues(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let numbered = lower.strip_prefix('v').unwrap_or(&lower);
    // `1k` is the unit of the price, `8k` a context length; `70b` a size.
    let is_number = numbered.starts_with(|first: char| first.is_ascii_digit()) && !numbered.ends_with('k');
    is_number || CONTINUATIONS.contains(&lower.as_str())
}

/// `Claude 3.5 Sonnet` as `claude-3-5-sonnet`, `gpt 4.1` as `gpt-4.1`: as their makers write ids.
fn as_id(name: &str) -> String {
    let id = name.to_ascii_lowercase().replace(' ', "-");
    let dotted = ["gpt", "gemini", "grok", "qwen", "deepseek"].iter().any(|family| id.starts_with(family));
    if dotted { id } else { id.replace('.', "-") }
}

/// Words, also those that only capitals or digits set apart: `Claude3.5Sonnet`.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    for piece in text.split(|c: char| !is_part(c)) {
        let chars: Vec<char> = piece.chars().collect();
        let mut word = String::new();
        for (at, &c) in chars.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
            let after = chars.get(at + 1).copied().unwrap_or(' ');
            let letters = word.chars().all(|c| c.is_ascii_alphabetic());
            let starts = (before.is_ascii_lowercase() && c.is_ascii_uppercase())
                || (before.is_ascii_digit() && c.is_ascii_uppercase() && after.is_ascii_lowercase())
                || (word.len() >= 3 && letters && c.is_ascii_digit());
            if starts && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.push(c);
        }
        let word = word.trim_matches('.');
        if !word.is_empty() {
            words.push(word.into());
        }
    }
    words
}

/// `USE1`, `APN1`, `EUC1`, `UGW1`, and `EU` for Ireland.
fn is_region_code(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = word.len() - letters.len();
    word == "EU" || ((2..=4).contains(&letters.len()) && digits == 1 && letters.bytes().all(|b| b.is_ascii_uppercase()))
}

/// What lower-case words say is counted.
fn meter_of(lower: &str) -> Option<&'static str> {
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |any: &[&str]| words.iter().any(|word| any.contains(word));
    if lower.contains("web search") {
        return Some("web_search");
    }
    if has(&["provisioned", "ptu", "ptus"]) || lower.contains("provisionedthroughput") {
        return Some("provisioned");
    }
    let writes = has(&["write", "writes", "written", "wrt", "creation"]);
    let caches = has(&["cache", "cached", "cchd", "caching"]);
    let audio = has(&["audio", "aud"]);
    let output = has(&["output", "outp", "outpt", "opt", "out", "completion", "completions"]);
    let input = has(&["input", "inp", "inpt", "in", "prompt"]);
    let hour = has(&["1h", "1hr"]) || lower.contains("1 hour");
    let five = has(&["5m"]) || lower.contains("5 minute");
    match (caches, writes, output, input) {
        (true, true, ..) if hour => Some("cache_write_1h"),
        (true, true, ..) if five => Some("cache_write_5m"),
        (true, true, ..) => Some("cache_write"),
        (true, false, ..) => Some("cache_read"),
        (false, _, true, _) if audio => Some("output_audio"),
        (false, _, true, _) => Some("output"),
        (false, _, false, true) if audio => Some("input_audio"),
        (false, _, false, true) => Some("input"),
        _ => None,
    }
}

fn tier_of(lower: &str) -> Option<&'static str> {
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    ["batch", "flex", "priority"].into_iter().find(|tier| words.contains(tier))
}

/// How many tokens `quantity` of `unit` is; `about` are the line's other words, which may be what says "tokens".
pub(super) fn tokens(quantity: Usd, unit: &str, about: &str) -> Option<i64> {
    let (unit, about) = (unit.to_ascii_lowercase(), about.to_ascii_lowercase());
    let bare = ["", "1k", "1m", "k", "m", "1000", "1000000", "units", "unit", "count", "quantity"];
    let says_tokens = unit.contains("token");
    let may_mean_tokens = bare.contains(&unit.trim()) && about.contains("token");
    if !(says_tokens || may_mean_tokens) {
        return None;
    }
    let factor = factor(&unit).or_else(|| if says_tokens { Some(1) } else { factor(&about) })?;
    whole(Usd::from_pico(quantity.pico().checked_mul(factor)?)).filter(|tokens| *tokens >= 0)
}

fn factor(text: &str) -> Option<i128> {
    let digits = text.replace([',', '_'], "");
    let words: Vec<&str> = digits.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let has = |any: &[&str]| words.iter().any(|word| any.contains(word));
    // `1000_tokens` loses its underscore above.
    if has(&["1m", "m", "million", "millions", "1000000", "1000000tokens", "1mtokens", "mtokens"]) {
        return Some(1_000_000);
    }
    has(&["1k", "k", "thousand", "thousands", "1000", "1000tokens", "1ktokens", "ktokens"]).then_some(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bedrock_parts(usage_type: &str) -> (Option<String>, Option<String>, Option<&'static str>, Option<&'static str>) {
        let Reading { billed_as, model, meter, tier, .. } = bedrock(usage_type);
        (billed_as, model, meter, tier)
    }

    #[test]
    fn a_bedrock_usage_type_says_model_meter_and_tier() {
        let some = |text: &str| Some(text.to_owned());
        let nova = some("amazon.nova-pro-v1:0");
        for (usage_type, billed_as, model, meter, tier) in [
            ("USE1-NovaPro-input-tokens", "NovaPro", nova.clone(), "input", None),
            ("NovaPro-output-tokens", "NovaPro", nova.clone(), "output", None),
            ("USE1-NovaPro-cache-read-input-token-count", "NovaPro", nova.clone(), "cache_read", None),
            ("EUC1-NovaPro-cache-write-input-token-count", "NovaPro", nova.clone(), "cache_write", None),
            ("EU-NovaPro-cache-write-1h-input-token-count", "NovaPro", nova.clone(), "cache_write_1h", None),
            ("USE1-NovaPro-output-tokens-flex", "NovaPro", nova.clone(), "output", Some("flex")),
            ("USE1-NovaPro-input-tokens-batch", "NovaPro", nova, "input", Some("batch")),
            ("USW2-gpt-oss-120b-mantle-input-tokens-standard", "gpt-oss-120b", some("gpt-oss-120b"), "input", None),
            (
                "USE1-Claude3.5Sonnet-output-tokens",
                "Claude3.5Sonnet",
                some("anthropic.claude-3-5-sonnet-20240620-v1:0"),
                "output",
                None,
            ),
            ("USE1-ClaudeOpus5-input-tokens-cross-region-global", "ClaudeOpus5", some("claude-opus-5"), "input", None),
            ("USE1-Llama3.3-70B-input-tokens", "Llama3.3-70B", some("llama-3-3-70b"), "input", None),
            ("USE1-Unheard-input-tokens", "Unheard", None, "input", None),
        ] {
            assert_eq!(bedrock_parts(usage_type), (some(billed_as), model, Some(meter), tier), "{usage_type}");
        }
        assert_eq!(bedrock_parts(""), (None, None, None, None));
        assert_eq!(bedrock_parts("USE1-MP:USE1_InputTokenCount-Units"), (None, None, Some("input"), None));
    }

    #[test]
    fn an_openai_line_item_says_model_and_meter() {
        for (line_item, model, meter, tier) in [
            ("gpt-6-sol-2026-09-22, input", Some("gpt-6-sol-2026-09-22"), Some("input"), None),
            ("gpt-6-sol-2026-09-22, cached input", Some("gpt-6-sol-2026-09-22"), Some("cache_read"), None),
            ("gpt-6-sol-2026-09-22, cache write", Some("gpt-6-sol-2026-09-22"), Some("cache_write"), None),
            ("gpt-5-2025-08-07 batch, output", Some("gpt-5-2025-08-07"), Some("output"), Some("batch")),
            ("gpt-realtime, audio input", Some("gpt-realtime"), Some("input_audio"), None),
            ("web search tool calls", None, Some("web_search"), None),
            ("assistants api | file search", None, None, None),
        ] {
            let reading = openai(line_item);
            assert_eq!((reading.model.as_deref(), reading.meter, reading.tier), (model, meter, tier), "{line_item}");
        }
    }

    #[test]
    fn words_for_people_are_read_as_far_as_they_go() {
        for (provider, text, model, meter) in [
            ("azure", "gpt 4o 1120 Inp glbl 1K Tokens", Some("gpt-4o-2024-11-20"), Some("input")),
            ("azure", "gpt 4o 1120 cached Inp glbl Tokens", Some("gpt-4o-2024-11-20"), Some("cache_read")),
            ("azure", "gpt-4o-mini-0718-Outp-regnl Tokens", Some("gpt-4o-mini-2024-07-18"), Some("output")),
            ("azure", "gpt 5.4 Inp glbl 1M Tokens", Some("gpt-5.4"), Some("input")),
            ("bedrock", "NovaPro-output-tokens", Some("amazon.nova-pro-v1:0"), Some("output")),
            ("bedrock", "Nova Pro input tokens", Some("amazon.nova-pro-v1:0"), Some("input")),
            ("vertex_ai", "Gemini 2.5 Flash GA Text Input - Predictions", Some("gemini-2.5-flash"), Some("input")),
            (
                "anthropic",
                "Claude Haiku 4.5 Usage - Input Tokens, Cache Write 1 hour",
                Some("claude-haiku-4-5"),
                Some("cache_write_1h"),
            ),
            ("azure", "Some GPU hours", None, None),
        ] {
            let reading = words(provider, text);
            assert_eq!((reading.model.as_deref(), reading.meter), (model, meter), "{text}");
        }
    }

    #[test]
    fn quantities_come_to_tokens_by_their_unit() {
        let of = |quantity: &str, unit: &str, about: &str| tokens(Usd::parse(quantity).unwrap(), unit, about);
        assert_eq!(of("1200.5", "1K tokens", ""), Some(1_200_500));
        assert_eq!(of("1200500", "tokens", ""), Some(1_200_500));
        assert_eq!(of("50", "1000_tokens", ""), Some(50_000));
        assert_eq!(of("2.5", "1M Tokens", ""), Some(2_500_000));
        assert_eq!(of("800", "1K", "gpt 4o 1120 Inp glbl 1K Tokens"), Some(800_000));
        assert_eq!(of("3", "Units", "software usage|us-east-1|Million Input Tokens"), Some(3_000_000));
        assert_eq!(of("1.2345", "1K tokens", ""), None, "a fraction of a token is no count");
        assert_eq!(of("3", "Hrs", "tokens"), None);
        assert_eq!(of("3", "Units", "tokens"), None, "nobody says how many tokens a unit is");
    }
}
