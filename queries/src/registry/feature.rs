//! `features.toml`: what each feature of a call binds to, what others have instead, and what moving it takes.

use daybook_ledger::{Feature, Usd, words};

use super::fields::Fields;
use super::workload::Segment;

words! {
    /// The five forms a tie to a vendor takes.
    Form {
        /// An interface others shape differently or lack.
        ProprietaryApi = "proprietary_api",
        /// A model tuned at the vendor, whose weights stay there.
        FineTunedModel = "fine_tuned_model",
        /// Vectors that only this vendor's model can make.
        Embeddings = "embeddings",
        /// Data and workflow kept by the vendor.
        HostedState = "hosted_state",
        /// Money promised.
        Commitment = "commitment",
    }
}

/// The rule for one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRule {
    /// The feature.
    pub feature: Feature,
    /// The form of the tie.
    pub form: Form,
    /// How firmly it ties a workload that leans on it.
    pub segment: Segment,
    /// Part of a workload's calls from which it counts as leaning on the feature, 0 to 1; any call if 0.
    pub share_min: Usd,
    /// Engineering days to move one workload off it, an assumption.
    pub effort_days: Usd,
    /// What others have instead.
    pub equivalents: Vec<String>,
    /// Why it ties.
    pub reason: String,
    /// What moving takes.
    pub moving: String,
}

/// Reads the file over `defaults`: a rule replaces the default of its feature, whole.
pub(super) fn read(root: &Fields<'_>, defaults: &[FeatureRule]) -> Vec<FeatureRule> {
    let mut rules: Vec<FeatureRule> = Vec::new();
    for fields in root.tables("feature", "[[feature]]") {
        let Some(rule) = read_rule(&fields) else { continue };
        if rules.iter().any(|earlier| earlier.feature == rule.feature) {
            fields.fault_at("name", format!("a second rule is for `{}`", rule.feature.as_str()));
        }
        rules.push(rule);
    }
    let stated = |feature: Feature| rules.iter().any(|rule| rule.feature == feature);
    let kept: Vec<_> = defaults.iter().filter(|rule| !stated(rule.feature)).cloned().collect();
    rules.extend(kept);
    rules.sort_by_key(|rule| rule.feature);
    rules
}

fn read_rule(fields: &Fields<'_>) -> Option<FeatureRule> {
    let one = Usd::from_pico(10_i128.pow(12));
    let days_max = Usd::from_pico(10_000 * 10_i128.pow(12));
    let feature = fields.need("name", fields.word("name", Feature::ALL, Feature::as_str));
    let form = fields.need("form", fields.word("form", Form::ALL, Form::as_str));
    let segment = fields.need("segment", fields.word("segment", Segment::ALL, Segment::as_str));
    let share_min = fields.need("share_min", fields.decimal("share_min", Usd::ZERO..=one));
    let effort_days = fields.need("effort_days", fields.decimal("effort_days", Usd::ZERO..=days_max));
    let equivalents = fields.texts("equivalents");
    let reason = fields.need("reason", fields.text("reason"));
    let moving = fields.need("moving", fields.text("moving"));
    fields.refuse_unknown();
    Some(FeatureRule {
        feature: feature?,
        form: form?,
        segment: segment?,
        share_min: share_min?,
        effort_days: effort_days?,
        equivalents,
        reason: reason?,
        moving: moving?,
    })
}
