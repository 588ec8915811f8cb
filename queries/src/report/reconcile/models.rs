//! One name for the model that a ledger and a bill spell differently.

use std::collections::{BTreeMap, BTreeSet};

use super::load::{Billed, Calls};

/// Geographies of Bedrock's inference profiles.
const GEOGRAPHIES: [&str; 9] = ["us.", "eu.", "apac.", "jp.", "au.", "ca.", "sa.", "us-gov.", "global."];
/// Vendors whose names stand before a model's on Bedrock.
const VENDORS: [&str; 10] =
    ["amazon.", "anthropic.", "openai.", "meta.", "mistral.", "cohere.", "ai21.", "deepseek.", "qwen.", "google."];

/// The name both sides' models are compared under, by provider and name.
#[derive(Debug, Default)]
pub(super) struct Matching(BTreeMap<(String, String), String>);

impl Matching {
    /// Names that differ are one model where they agree without address, vendor, version and date, and each side has one the
    /// other lacks. A name both sides have stays itself, so that two dated snapshots are never mixed.
    pub(super) fn new(calls: &[Calls], billed: &[Billed]) -> Self {
        let mut groups: BTreeMap<(String, String), [BTreeSet<String>; 2]> = BTreeMap::new();
        let called = calls.iter().map(|group| (0, &group.provider, &group.model));
        for (side, provider, model) in called.chain(billed.iter().map(|line| (1, &line.provider, &line.model))) {
            let (Some(provider), Some(model)) = (provider, model) else { continue };
            let names = groups.entry((provider.clone(), key(model))).or_default();
            if let Some(names) = names.get_mut(side) {
                names.insert(model.clone());
            }
        }
        let mut matching = BTreeMap::new();
        for ((provider, key), [called, billed]) in groups {
            if called.is_subset(&billed) || billed.is_subset(&called) {
                continue;
            }
            let only = called.first().filter(|_| called.len() == 1).cloned();
            let name = only.unwrap_or(key);
            let all = called.union(&billed).map(|model| ((provider.clone(), model.clone()), name.clone()));
            matching.extend(all);
        }
        Self(matching)
    }

    /// The name to compare `model` of `provider` under.
    pub(super) fn name(&self, provider: &str, model: &str) -> String {
        self.0.get(&(provider.to_owned(), model.to_owned())).cloned().unwrap_or_else(|| model.to_owned())
    }
}

/// A name without path, geography, vendor, version and date; dots and dashes are one.
fn key(model: &str) -> String {
    let lower = model.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let name = GEOGRAPHIES.iter().find_map(|geography| name.strip_prefix(geography)).unwrap_or(name);
    let name = VENDORS.iter().find_map(|vendor| name.strip_prefix(vendor)).unwrap_or(name);
    let name = name.split('@').next().unwrap_or(name);
    without_date(without_version(name)).replace('.', "-")
}

/// Without `-v1:0`, `:0`.
fn without_version(name: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = name.rsplit_once(':').filter(|(_, rest)| digits(rest)).map_or(name, |(name, _)| name);
    let version = name.rsplit_once('-').filter(|(_, rest)| rest.strip_prefix('v').is_some_and(digits));
    version.map_or(name, |(name, _)| name)
}

/// Without `-20251001`, `-2026-09-22`.
fn without_date(name: &str) -> &str {
    let is_digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((short, _)) = name.rsplit_once('-').filter(|(_, rest)| is_digits(rest, 8)) {
        return short;
    }
    let mut parts = name.rsplitn(4, '-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(day), Some(month), Some(year), Some(short))
            if is_digits(day, 2) && is_digits(month, 2) && is_digits(year, 4) =>
        {
            short
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_without_address_version_and_date() {
        for (one, other) in [
            ("anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
            ("us.anthropic.claude-opus-5", "claude-opus-5"),
            ("amazon.nova-pro-v1:0", "nova-pro"),
            ("gpt-6-sol-2026-09-22", "gpt-6-sol"),
            ("gpt-4.1", "gpt-4-1"),
            ("publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ] {
            assert_eq!(key(one), key(other), "{one}");
        }
        assert_ne!(key("gpt-4o"), key("gpt-4o-mini"));
        assert_ne!(key("gpt-4o-2024-08-06"), key("gpt-4-2024-08-06"));
    }
}
