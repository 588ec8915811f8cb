//! Which product of the book a model name means.
//!
//! Names are compared as they are, then by the few rewritings listed in `docs/prices.md`. Each rewriting is tried on its own;
//! none guesses a different snapshot of a model.

use std::collections::HashMap;

use super::PriceStatus;
use crate::words::words;

/// Snapshots that cost something else than the undated name they would be rewritten to.
const PRICED_APART: [(&str, &str); 1] = [("openai", "gpt-4o-2024-05-13")];

/// Bedrock's geographies: prefixes of inference profiles.
const GEOGRAPHIES: [&str; 7] = ["us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov."];
/// Vendors on Bedrock whose geographic profiles cost more than their models do elsewhere: never rewritten to the bare id.
const GEOGRAPHY_COSTS_MORE: [&str; 2] = ["anthropic.", "openai."];

words! {
    /// How the name of a call led to a product: the rules of `docs/prices.md`, in their order.
    MatchedBy {
        /// The name as it is.
        Exact = "the name as it is",
        /// The name without the path it is addressed by.
        Address = "the name without its address",
        /// The name without a geography that costs nothing.
        Geography = "the name without its geography",
        /// The name without its date.
        Date = "the name without its date",
        /// The one dated snapshot of an undated name.
        Snapshot = "the only snapshot of the name",
    }
}

/// Names to products.
#[derive(Debug, Default)]
pub(super) struct Names {
    providers: HashMap<Box<str>, Models>,
}

#[derive(Debug, Default)]
struct Models {
    exact: HashMap<Box<str>, usize>,
    /// Undated name to its one dated snapshot in the book; `None` if there are several.
    undated: HashMap<Box<str>, Option<usize>>,
}

impl Names {
    /// `products` in the order of their indexes.
    pub(super) fn new<'a>(products: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut names = Self::default();
        for (index, (provider, model)) in products.enumerate() {
            let models = names.providers.entry(provider.into()).or_default();
            models.exact.insert(model.into(), index);
            if let Some(undated) = without_date(model) {
                models.undated.entry(undated.into()).and_modify(|only| *only = None).or_insert(Some(index));
            }
        }
        names
    }

    /// The product `provider` sells as `model`, and the rule that found it.
    pub(super) fn find(&self, provider: &str, model: Option<&str>) -> Result<(usize, MatchedBy), PriceStatus> {
        let models = self.providers.get(provider).ok_or(PriceStatus::UnknownProvider)?;
        let model = model.ok_or(PriceStatus::UnknownModel)?;
        models.find(provider, model).ok_or(PriceStatus::UnknownModel)
    }
}

impl Models {
    fn find(&self, provider: &str, model: &str) -> Option<(usize, MatchedBy)> {
        let by = |rule| move |name: &str| Some((self.exact.get(name).copied()?, rule));
        if let Some(found) = by(MatchedBy::Exact)(model) {
            return Some(found);
        }
        let bare = without_address(provider, model);
        if PRICED_APART.contains(&(provider, bare)) {
            return by(MatchedBy::Address)(bare);
        }
        by(MatchedBy::Address)(bare)
            .or_else(|| without_geography(provider, bare).and_then(by(MatchedBy::Geography)))
            .or_else(|| without_date(bare).and_then(by(MatchedBy::Date)))
            .or_else(|| Some((self.snapshot(provider, bare)?, MatchedBy::Snapshot)))
    }

    /// The dated model that `undated` can only mean.
    fn snapshot(&self, provider: &str, undated: &str) -> Option<usize> {
        // On Azure an undated name may be a deployment's, which anyone can give to any model.
        if provider == "azure" { None } else { self.undated.get(undated).copied().flatten() }
    }
}

/// The id without the path it is addressed by: ARN, `models/`, `publishers/google/models/`, the provider's own name.
pub(super) fn without_address<'a>(provider: &str, model: &'a str) -> &'a str {
    if model.starts_with("arn:") {
        let resource = [":foundation-model/", ":inference-profile/"];
        return resource.iter().find_map(|kind| Some(model.split_once(kind)?.1)).unwrap_or(model);
    }
    let own = model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
    let model = own.unwrap_or(model);
    let google = ["publishers/google/models/", "models/"];
    google.iter().find_map(|path| model.strip_prefix(path)).unwrap_or(model)
}

/// A Bedrock inference profile's model, where the profile costs what the model does.
fn without_geography<'a>(provider: &str, model: &'a str) -> Option<&'a str> {
    if provider != "bedrock" {
        return None;
    }
    let geographic = || GEOGRAPHIES.iter().find_map(|geography| model.strip_prefix(geography));
    let same_price = |id: &&str| !GEOGRAPHY_COSTS_MORE.iter().any(|vendor| id.starts_with(vendor));
    model.strip_prefix("global.").or_else(|| geographic().filter(same_price))
}

/// The name before a final `-YYYY-MM-DD`, `-YYYYMMDD` or `@YYYYMMDD`.
pub(super) fn without_date(model: &str) -> Option<&str> {
    const PATTERNS: [&[u8]; 3] = [b"-dddd-dd-dd", b"-dddddddd", b"@dddddddd"];
    let fits = |byte: u8, pattern: u8| if pattern == b'd' { byte.is_ascii_digit() } else { byte == pattern };
    PATTERNS.iter().find_map(|pattern| {
        let (name, date) = model.split_at_checked(model.len().checked_sub(pattern.len())?)?;
        let is_date = date.bytes().zip(*pattern).all(|(byte, pattern)| fits(byte, *pattern));
        (is_date && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(models: &[(&str, &str)]) -> Names {
        Names::new(models.iter().copied())
    }

    fn found(names: &Names, provider: &str, model: &str) -> Option<usize> {
        names.find(provider, Some(model)).ok().map(|(index, _)| index)
    }

    #[test]
    fn an_exact_name_wins_over_every_rewriting() {
        let names = names(&[("openai", "gpt-4o"), ("openai", "gpt-4o-2024-11-20"), ("groq", "openai/gpt-oss-20b")]);
        assert_eq!(found(&names, "openai", "gpt-4o-2024-11-20"), Some(1));
        assert_eq!(found(&names, "openai", "gpt-4o"), Some(0));
        assert_eq!(found(&names, "groq", "openai/gpt-oss-20b"), Some(2));
    }

    #[test]
    fn a_dated_snapshot_falls_back_to_its_undated_name_unless_it_is_known_to_cost_something_else() {
        let names = names(&[("openai", "gpt-4o"), ("vertex_ai", "claude-opus-5")]);
        assert_eq!(found(&names, "openai", "gpt-4o-2024-08-06"), Some(0));
        assert_eq!(found(&names, "openai", "gpt-4o-20240806"), Some(0));
        assert_eq!(found(&names, "vertex_ai", "claude-opus-5@20260724"), Some(1));
        assert_eq!(found(&names, "openai", "gpt-4o-2024-05-13"), None);
        for other in
            ["gpt-4o-0806", "gpt-4o-latest", "gpt-4o-mini-2024-07-18", "ft:gpt-4o-2024-08-06:acme::1", "GPT-4o"]
        {
            assert_eq!(found(&names, "openai", other), None, "{other}");
        }
    }

    #[test]
    fn an_undated_name_means_the_only_snapshot_but_never_one_of_two() {
        let names = names(&[
            ("anthropic", "claude-haiku-4-5-20251001"),
            ("anthropic", "claude-x-20260101"),
            ("anthropic", "claude-x-20260202"),
            ("azure", "gpt-5-2025-08-07"),
        ]);
        assert_eq!(found(&names, "anthropic", "claude-haiku-4-5"), Some(0));
        assert_eq!(found(&names, "anthropic", "claude-x"), None);
        assert_eq!(found(&names, "azure", "gpt-5"), None, "may be a deployment");
        assert_eq!(found(&names, "anthropic", "claude-haiku-4-5-20260303"), None, "another snapshot");
    }

    #[test]
    fn addresses_are_taken_off() {
        let names = names(&[
            ("gemini", "gemini-2.5-flash"),
            ("vertex_ai", "gemini-2.5-pro"),
            ("bedrock", "us.anthropic.claude-opus-5"),
            ("openai", "gpt-4o"),
        ]);
        assert_eq!(found(&names, "gemini", "models/gemini-2.5-flash"), Some(0));
        assert_eq!(found(&names, "vertex_ai", "publishers/google/models/gemini-2.5-pro"), Some(1));
        let profile = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude-opus-5";
        assert_eq!(found(&names, "bedrock", profile), Some(2));
        let own_profile = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/ab12";
        assert_eq!(found(&names, "bedrock", own_profile), None);
        assert_eq!(found(&names, "openai", "openai/gpt-4o"), Some(3));
        assert_eq!(found(&names, "openai", "azure/gpt-4o"), None);
    }

    #[test]
    fn a_bedrock_geography_is_taken_off_only_where_it_costs_nothing() {
        let names = names(&[
            ("bedrock", "amazon.nova-pro-v1:0"),
            ("bedrock", "anthropic.claude-sonnet-5"),
            ("bedrock", "us.anthropic.claude-opus-5"),
        ]);
        assert_eq!(found(&names, "bedrock", "us.amazon.nova-pro-v1:0"), Some(0));
        assert_eq!(found(&names, "bedrock", "apac.amazon.nova-pro-v1:0"), Some(0));
        assert_eq!(found(&names, "bedrock", "global.anthropic.claude-sonnet-5"), Some(1));
        assert_eq!(found(&names, "bedrock", "us.anthropic.claude-sonnet-5"), None);
        assert_eq!(found(&names, "bedrock", "eu.anthropic.claude-opus-5"), None);
        assert_eq!(found(&names, "bedrock", "anthropic.claude-opus-5"), None);
    }

    #[test]
    fn the_rule_that_found_a_product_is_told() {
        let names = names(&[("openai", "gpt-4o"), ("bedrock", "amazon.nova-pro-v1:0"), ("anthropic", "c-20260101")]);
        let rule = |provider, model| names.find(provider, Some(model)).unwrap().1;
        assert_eq!(rule("openai", "gpt-4o"), MatchedBy::Exact);
        assert_eq!(rule("openai", "openai/gpt-4o"), MatchedBy::Address);
        assert_eq!(rule("bedrock", "eu.amazon.nova-pro-v1:0"), MatchedBy::Geography);
        assert_eq!(rule("openai", "gpt-4o-2024-08-06"), MatchedBy::Date);
        assert_eq!(rule("anthropic", "c"), MatchedBy::Snapshot);
    }

    #[test]
    fn odd_text_is_unknown_not_a_crash() {
        let names = names(&[("openai", "gpt-4o")]);
        for text in ["", "/", "é-2024-08-06", "-2024-08-06", "arn:", "openai/", "ééééééééééé"] {
            assert_eq!(names.find("openai", Some(text)), Err(PriceStatus::UnknownModel), "{text}");
        }
        assert_eq!(names.find("openai", None), Err(PriceStatus::UnknownModel));
        assert_eq!(names.find("ollama", Some("gpt-4o")), Err(PriceStatus::UnknownProvider));
    }
}
