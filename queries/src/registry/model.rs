//! `models.toml`: what is known about models beside their price.

use daybook_ledger::{Date, Feature, words};

use super::fields::Fields;
use super::pattern::Pattern;

words! {
    /// What a model takes in or gives out.
    Modality {
        /// Text.
        Text = "text",
        /// Pictures.
        Image = "image",
        /// Sound.
        Audio = "audio",
        /// Moving pictures.
        Video = "video",
        /// Documents (PDF and the like).
        Document = "document",
        /// Vectors.
        Embedding = "embedding",
    }
}

/// Facts about the models that fit. What is not stated is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRule {
    /// Ids it speaks of.
    pub models: Vec<Pattern>,
    /// Providers it speaks of; any if empty.
    pub providers: Vec<Pattern>,
    /// The family: models that follow one another or differ in size only.
    pub family: String,
    /// Who made it.
    pub developer: Option<String>,
    /// Whether the weights can be had, to run elsewhere.
    pub open_weights: Option<bool>,
    /// The most tokens of input.
    pub context_tokens_max: Option<i64>,
    /// The most tokens of output.
    pub output_tokens_max: Option<i64>,
    /// What it takes in.
    pub input_modalities: Vec<Modality>,
    /// What it gives out.
    pub output_modalities: Vec<Modality>,
    /// Features of calls it serves.
    pub capabilities: Vec<Feature>,
    /// The day the provider ends it, as announced.
    pub ends_on: Option<Date>,
    /// Where the facts were read.
    pub origin: Option<String>,
}

impl ModelRule {
    /// Whether it speaks of `model` at `provider`.
    pub fn matches(&self, provider: Option<&str>, model: &str) -> bool {
        let fits = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
        let provider_fits = || provider.is_some_and(|provider| fits(&self.providers, provider));
        fits(&self.models, model) && (self.providers.is_empty() || provider_fits())
    }
}

/// Reads the file. Its entries come before `defaults`, and the first that fits decides.
pub(super) fn read(root: &Fields<'_>, defaults: &[ModelRule]) -> Vec<ModelRule> {
    let own = root.tables("model", "[[model]]");
    own.iter().filter_map(read_model).chain(defaults.iter().cloned()).collect()
}

fn read_model(fields: &Fields<'_>) -> Option<ModelRule> {
    let models = fields.patterns("match");
    if models.is_empty() && !fields.has("match") {
        fields.fault("[[model]] has no `match`");
    }
    let family = fields.need("family", fields.text("family"));
    let rule = ModelRule {
        models,
        providers: fields.patterns("providers"),
        family: family.clone().unwrap_or_default(),
        developer: fields.text("developer"),
        open_weights: fields.flag("open_weights"),
        context_tokens_max: fields.whole("context_tokens_max", 1..=1_000_000_000),
        output_tokens_max: fields.whole("output_tokens_max", 1..=1_000_000_000),
        input_modalities: fields.some_words("input_modalities", Modality::ALL, Modality::as_str),
        output_modalities: fields.some_words("output_modalities", Modality::ALL, Modality::as_str),
        capabilities: fields.some_words("capabilities", Feature::ALL, Feature::as_str),
        ends_on: fields.day("ends_on"),
        origin: fields.text("origin"),
    };
    fields.refuse_unknown();
    (!rule.models.is_empty()).then_some(rule).filter(|_| family.is_some())
}
