//! Whether a call has a counterpart at another model, and why not.

use daybook_ledger::price::{Book, Group, Meter, PricesOf, Product, Used, scaled_tokens};
use daybook_ledger::{Feature, Usd, words};

use super::replay::CallKind;
use super::scenario::{Case, Move, ONE, parts};
use crate::registry::{Form, Modality, ModelRule, Registry, Segment};

words! {
    /// Why a call is left out of a scenario.
    Reason {
        /// It has no price today, so there is nothing to compare with.
        UnpricedToday = "unpriced_today",
        /// The scenario's prices have none for it.
        UnpricedThere = "unpriced_there",
        /// No move of the scenario is for it.
        NoMove = "no_move",
        /// The model takes no calls of its kind.
        Operation = "operation",
        /// It leans on what the model does not serve.
        Feature = "feature",
        /// Its input is longer than the model takes.
        InputLimit = "input_limit",
        /// Its output is longer than the model gives.
        OutputLimit = "output_limit",
        /// It used what machines of one's own do not count.
        Meter = "meter",
    }
}

/// A reason, and what exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gap {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

pub(super) fn gap<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Gap> {
    Err(Gap { reason, detail: detail.into() })
}

words! {
    /// How a feature of a call is had at another model.
    Served {
        /// The scenario or `models.toml` says the model serves it.
        Stated = "stated",
        /// The same vendor serves it.
        SameVendor = "same_vendor",
        /// `features.toml` names an equivalent; nobody says that this model has it.
        Assumed = "assumed",
        /// It is not.
        Not = "not",
    }
}

/// A model that calls move to, and what is known of it.
pub(super) struct Target<'a> {
    pub(super) to: &'a Move,
    pub(super) rule: Option<&'a ModelRule>,
    registry: &'a Registry,
}

impl<'a> Target<'a> {
    pub(super) fn new(to: &'a Move, registry: &'a Registry) -> Self {
        let rule = registry.models.iter().find(|rule| rule.matches(Some(&to.to.provider), &to.to.model));
        Self { to, rule, registry }
    }

    /// How the model serves a feature of a call to `provider`.
    pub(super) fn serves(&self, feature: Feature, provider: Option<&str>) -> Served {
        let rule = self.registry.features.iter().find(|rule| rule.feature == feature);
        let is_of_model = rule.is_some_and(|rule| matches!(rule.form, Form::FineTunedModel | Form::Embeddings));
        let is_firm = rule.is_none_or(|rule| rule.segment == Segment::LockedIn);
        let is_listed = self.rule.is_some_and(|rule| rule.capabilities.contains(&feature));
        if self.to.lacks.contains(&feature) {
            Served::Not
        } else if self.to.serves.contains(&feature) || is_listed {
            Served::Stated
        } else if is_of_model || self.lacks_modality(feature) {
            Served::Not
        } else if provider == Some(&self.to.to.provider) {
            Served::SameVendor
        } else if is_firm {
            Served::Not
        } else {
            Served::Assumed
        }
    }

    /// Whether `models.toml` states what the model takes in or gives out, and leaves out what the feature needs.
    fn lacks_modality(&self, feature: Feature) -> bool {
        let Some(rule) = self.rule else { return false };
        let (stated, needed) = match feature {
            Feature::VisionInput => (&rule.input_modalities, Modality::Image),
            Feature::AudioInput => (&rule.input_modalities, Modality::Audio),
            Feature::VideoInput => (&rule.input_modalities, Modality::Video),
            Feature::DocumentInput => (&rule.input_modalities, Modality::Document),
            Feature::AudioOutput => (&rule.output_modalities, Modality::Audio),
            Feature::ImageOutput => (&rule.output_modalities, Modality::Image),
            _ => return false,
        };
        !stated.is_empty() && !stated.contains(&needed)
    }

    /// Why calls like these cannot move, whatever they cost there. The dearest case decides for all, so that each case is
    /// about the same calls.
    pub(super) fn check(&self, group: &Group<CallKind>) -> Result<(), Gap> {
        let to = self.to;
        if !to.operations.contains(&group.kind.operation) {
            return gap(Reason::Operation, group.kind.operation.as_str());
        }
        let lacking = |feature: &Feature| self.serves(*feature, group.provider.as_deref()) == Served::Not;
        if let Some(feature) = group.kind.features.iter().find(lacking) {
            return gap(Reason::Feature, feature.as_str());
        }
        let input = scaled_tokens(group.input_tokens, to.tokens_ratio.range.high);
        let output = scaled_tokens(group.output_tokens, to.output_times(Case::High));
        let limit = |limit: fn(&ModelRule) -> Option<i64>| self.rule.and_then(limit);
        match (limit(|rule| rule.context_tokens_max), limit(|rule| rule.output_tokens_max)) {
            (Some(max), _) if input > max => gap(Reason::InputLimit, format!("{max} tokens")),
            (_, Some(max)) if output > max => gap(Reason::OutputLimit, format!("{max} tokens")),
            _ => Ok(()),
        }
    }

    /// Why calls like these have no price there, in one case or another.
    pub(super) fn check_price(&self, group: &Group<CallKind>, book: &Book, prices_of: PricesOf) -> Result<(), Gap> {
        for case in Case::ALL {
            // Half of the hits lost: both what is read from a cache and what no longer is need a rate.
            let ratios = Ratios { tokens: self.to.tokens_ratio.range.of(*case), output: ONE, lost: parts(5_000) };
            let input_tokens = scaled_tokens(group.input_tokens, ratios.tokens);
            let priced = group.price_as(book, prices_of, self.to.product(), input_tokens, ratios.used(group));
            if let Err(status) = priced {
                return gap(Reason::UnpricedThere, status.as_str());
            }
        }
        Ok(())
    }

    /// Whether machines of one's own can be sized for calls like these: text in, text out.
    pub(super) fn check_text(group: &Group<CallKind>) -> Result<(), Gap> {
        match group.used.iter().find(|used| used.meter.is_none_or(|meter| flow(meter).is_none())) {
            Some(used) => gap(Reason::Meter, used.meter.map_or("unknown", Meter::as_str)),
            None => Ok(()),
        }
    }
}

impl Move {
    pub(super) fn product(&self) -> Product<'_> {
        Product { provider: &self.to.provider, model: &self.to.model, region: self.region.as_deref() }
    }

    /// What output counts there where it counts one here.
    pub(super) fn output_times(&self, case: Case) -> Usd {
        times(self.tokens_ratio.range.of(case), self.output_ratio.range.of(case))
    }
}

/// `a` times `b`; exact while both have at most 4 decimals, or one 8 and the other 4.
pub(super) fn times(a: Usd, b: Usd) -> Usd {
    Usd::from_pico(a.pico().saturating_mul(b.pico()) / ONE.pico())
}

/// Text that machines of one's own read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Read,
    ReadFromCache,
    Written,
}

pub(super) fn flow(meter: Meter) -> Option<Flow> {
    match meter {
        Meter::CacheRead => Some(Flow::ReadFromCache),
        Meter::Input
        | Meter::CacheWrite
        | Meter::CacheWrite5m
        | Meter::CacheWrite30m
        | Meter::CacheWrite1h
        | Meter::CacheWrite12h => Some(Flow::Read),
        Meter::Output | Meter::OutputReasoning => Some(Flow::Written),
        _ => None,
    }
}

/// What tokens become at another model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratios {
    pub(super) tokens: Usd,
    pub(super) output: Usd,
    pub(super) lost: Usd,
}

impl Ratios {
    /// What calls of `group` would use there: tokens by the tokenizer, answers by their length, cache hits as far as they
    /// are kept, cache writes with the lifetime that is usual there; everything else as it was.
    pub(super) fn used(self, group: &Group<CallKind>) -> impl Iterator<Item = Used> {
        group.used.iter().flat_map(move |used| self.become_(used)).filter(|used| used.times != Usd::ZERO)
    }

    fn become_(self, used: &Used) -> [Used; 2] {
        let as_meter = |meter, times| Used { meter, times, ..*used };
        let none = as_meter(used.meter, Usd::ZERO);
        let lost = times(self.tokens, self.lost);
        let kept = self.tokens - lost;
        match used.meter {
            Some(Meter::CacheRead) => [as_meter(used.meter, kept), as_meter(Some(Meter::Input), lost)],
            Some(Meter::CacheReadAudio) => [as_meter(used.meter, kept), as_meter(Some(Meter::InputAudio), lost)],
            Some(Meter::CacheReadImage) => [as_meter(used.meter, kept), as_meter(Some(Meter::InputImage), lost)],
            Some(Meter::CacheWrite5m | Meter::CacheWrite30m | Meter::CacheWrite1h | Meter::CacheWrite12h) => {
                [as_meter(Some(Meter::CacheWrite), self.tokens), none]
            }
            Some(meter) if meter.is_output_tokens() => [as_meter(used.meter, times(self.tokens, self.output)), none],
            Some(meter) if meter.is_tokens() => [as_meter(used.meter, self.tokens), none],
            _ => [*used, none],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{File, ModelRef};

    #[test]
    fn a_feature_is_served_if_somebody_says_so_or_others_have_an_equivalent() {
        let models =
            "[[model]]\nmatch = 'm'\nfamily = 'm'\ncapabilities = ['hosted_state']\ninput_modalities = ['text']\n";
        let files = vec![File { name: "models.toml".into(), text: models.into() }];
        let registry = Registry::read("", files).unwrap();
        let to = Move {
            serves: vec![Feature::Citations],
            lacks: vec![Feature::Logprobs],
            ..Move::to(ModelRef { provider: "p".into(), model: "m".into() })
        };
        let target = Target::new(&to, &registry);
        for (feature, elsewhere, at_the_vendor) in [
            (Feature::HostedState, Served::Stated, Served::Stated),
            (Feature::Citations, Served::Stated, Served::Stated),
            (Feature::Logprobs, Served::Not, Served::Not),
            (Feature::ToolCalling, Served::Assumed, Served::SameVendor),
            (Feature::HostedVectorStore, Served::Not, Served::SameVendor),
            (Feature::FineTunedModel, Served::Not, Served::Not),
            (Feature::VisionInput, Served::Not, Served::Not),
        ] {
            assert_eq!(target.serves(feature, Some("q")), elsewhere, "{}", feature.as_str());
            assert_eq!(target.serves(feature, Some("p")), at_the_vendor, "{}", feature.as_str());
        }
    }
}
