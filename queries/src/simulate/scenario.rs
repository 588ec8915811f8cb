//! Scenarios: what would be otherwise, and what is assumed for it.

use std::fmt;

use daybook_ledger::price::{Meter, PricesOf};
use daybook_ledger::{Feature, Operation, Usd, words};

use crate::registry::{ModelRef, Pattern};

words! {
    /// What a scenario changes.
    Kind {
        /// Nothing, or the price sheet.
        Base = "base",
        /// Prices.
        Spike = "spike",
        /// The model.
        Transfer = "transfer",
        /// The model, until one vendor has everything.
        Consolidation = "consolidation",
        /// The model, for a part of the calls.
        DualVendor = "dual_vendor",
        /// Who runs the model.
        SelfHosted = "self_hosted",
    }
}

words! {
    /// A case of what is assumed, from cheap to dear.
    Case {
        /// Every assumption at its cheapest.
        Low = "low",
        /// What is most likely.
        Middle = "middle",
        /// Every assumption at its dearest.
        High = "high",
    }
}

words! {
    /// Where an assumption comes from.
    Origin {
        /// The scenario says so.
        Stated = "stated",
        /// Nobody says otherwise.
        Default = "default",
        /// The rules of `features.toml`.
        Features = "features.toml",
        /// It follows from the traffic and other assumptions.
        Computed = "computed",
    }
}

/// A decimal for each case, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub low: Usd,
    /// The most likely.
    pub middle: Usd,
    /// The most.
    pub high: Usd,
}

pub(super) const ONE: Usd = Usd::from_pico(1_000_000_000_000);

/// In ten-thousandths, the finest any assumption is.
pub(super) const fn parts(number: i128) -> Usd {
    Usd::from_pico(number * 100_000_000)
}

impl Range {
    /// The same in every case.
    pub const fn exactly(value: Usd) -> Self {
        Self { low: value, middle: value, high: value }
    }

    pub(super) const fn of(&self, case: Case) -> Usd {
        match case {
            Case::Low => self.low,
            Case::Middle => self.middle,
            Case::High => self.high,
        }
    }

    /// The value of a case for what makes things cheaper the more there is of it.
    pub(super) const fn inverse_of(&self, case: Case) -> Usd {
        match case {
            Case::Low => self.high,
            Case::Middle => self.middle,
            Case::High => self.low,
        }
    }
}

/// A range, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// The values.
    pub range: Range,
    /// Where they come from.
    pub origin: Origin,
}

impl Assumed {
    const fn default(low: i128, middle: i128, high: i128) -> Self {
        Self { range: Range { low: parts(low), middle: parts(middle), high: parts(high) }, origin: Origin::Default }
    }

    /// The range that was stated, else this.
    pub(super) fn or(self, stated: Option<Range>) -> Self {
        stated.map_or(self, |range| Self { range, origin: Origin::Stated })
    }
}

/// A file of scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenarios {
    /// Whose day's prices apply, if the file says.
    pub prices_of: Option<PricesOf>,
    /// What a month's volume is a multiple of.
    pub growth: Range,
    /// The scenarios, beside the base.
    pub scenarios: Vec<Scenario>,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, unique.
    pub name: String,
    /// What it is called.
    pub kind: Kind,
    /// The file whose prices are laid over those of the ledger, as it was named.
    pub prices: Option<String>,
    /// What it changes.
    pub change: Change,
    /// What it takes once.
    pub project: Project,
}

/// What a scenario changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing but the prices.
    Nothing,
    /// Rates rise: the first that fits a call's meter decides.
    Rises(Vec<Rise>),
    /// Calls move: the first that fits a call decides.
    Moves {
        /// Where they move.
        moves: Vec<Move>,
        /// The vendor that is to have every call, if one is.
        vendor: Option<String>,
        /// Part of the calls that moves.
        share: Usd,
    },
    /// Calls move to machines that are paid by the hour.
    Hosted(Box<Move>, Box<Hosting>),
}

/// A rise of some rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rise {
    /// Whose.
    pub scope: Scope,
    /// Of which meters; of all if empty.
    pub meters: Vec<Meter>,
    /// What they are multiplied with.
    pub factor: Range,
}

/// Calls that move to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which calls.
    pub scope: Scope,
    /// Kinds of calls the model can take.
    pub operations: Vec<Operation>,
    /// The model.
    pub to: ModelRef,
    /// The region they are processed in there, if that has a price.
    pub region: Option<String>,
    /// Features it serves, whatever the registry knows.
    pub serves: Vec<Feature>,
    /// Features it lacks, whatever the registry knows.
    pub lacks: Vec<Feature>,
    /// Tokens it counts where the other model counts one.
    pub tokens_ratio: Assumed,
    /// How long its answers are, in the same tokenizer.
    pub output_ratio: Assumed,
    /// Part of the tokens read from a cache that are then plain input.
    pub cache_hits_lost: Assumed,
}

/// Patterns that a call must fit, each of them; no pattern fits anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Of its workload.
    pub workloads: Vec<Pattern>,
    /// Of its provider.
    pub providers: Vec<Pattern>,
    /// Of its model.
    pub models: Vec<Pattern>,
}

impl Scope {
    pub(super) fn fits(&self, workload: Option<&str>, provider: Option<&str>, model: Option<&str>) -> bool {
        let fits = |patterns: &[Pattern], fact: Option<&str>| {
            patterns.is_empty() || fact.is_some_and(|fact| patterns.iter().any(|pattern| pattern.matches(fact)))
        };
        fits(&self.workloads, workload) && fits(&self.providers, provider) && fits(&self.models, model)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("workloads", &self.workloads), ("providers", &self.providers), ("models", &self.models)];
        let words = named.iter().filter(|(_, patterns)| !patterns.is_empty()).map(|(key, patterns)| {
            let patterns: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
            format!("{key} {}", patterns.join(" or "))
        });
        let words: Vec<_> = words.collect();
        f.write_str(if words.is_empty() { "every call" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for Rise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meters: Vec<_> = self.meters.iter().map(|meter| meter.as_str()).collect();
        write!(f, "{}{}{}", self.scope, if meters.is_empty() { "" } else { ", meters " }, meters.join(" or "))
    }
}

/// Machines of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosting {
    /// Dollars for an hour of one GPU.
    pub usd_per_gpu_hour: Range,
    /// Input tokens one GPU reads in a second.
    pub input_tokens_per_second: Range,
    /// Output tokens one GPU writes in a second.
    pub output_tokens_per_second: Range,
    /// Part of its time a GPU is at work.
    pub utilisation: Range,
    /// The fewest GPUs that run.
    pub gpus_min: i64,
}

/// What a scenario takes once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Engineering days; what the rules of the registry say if `None`.
    pub engineering_days: Option<Range>,
    /// Dollars for one of them.
    pub day_rate_usd: Option<Range>,
    /// Months in which both vendors are paid.
    pub dual_running_months: Option<Range>,
}

/// Text that counts as the same text elsewhere, until somebody measures.
const TOKENS_RATIO: Assumed = Assumed::default(9_000, 10_000, 12_000);
/// Answers are as long, until somebody measures.
const OUTPUT_RATIO: Assumed = Assumed::default(9_000, 10_000, 12_000);
/// Caches start empty and work otherwise.
const CACHE_HITS_LOST: Assumed = Assumed::default(0, 5_000, 10_000);
/// What talks; a model for vectors or sound is another market.
const OPERATIONS: [Operation; 2] = [Operation::Chat, Operation::Responses];

impl Move {
    /// Every call that talks, under the default assumptions.
    pub fn to(to: ModelRef) -> Self {
        Self {
            scope: Scope::default(),
            operations: OPERATIONS.to_vec(),
            to,
            region: None,
            serves: Vec::new(),
            lacks: Vec::new(),
            tokens_ratio: TOKENS_RATIO,
            output_ratio: OUTPUT_RATIO,
            cache_hits_lost: CACHE_HITS_LOST,
        }
    }
}

impl Scenario {
    /// Nothing changes but, perhaps, the prices.
    pub fn base(name: &str) -> Self {
        let (kind, change) = (Kind::Base, Change::Nothing);
        Self { name: name.into(), kind, prices: None, change, project: Project::default() }
    }

    /// Everything that talks moves to one model.
    pub fn transfer(to: ModelRef, project: Project) -> Self {
        let name = format!("to {to}");
        let change = Change::Moves { moves: vec![Move::to(to)], vendor: None, share: ONE };
        Self { name, kind: Kind::Transfer, prices: None, change, project }
    }

    /// The calls it names.
    pub(super) fn scopes(&self) -> Vec<&Scope> {
        match &self.change {
            Change::Rises(rises) => rises.iter().map(|rise| &rise.scope).collect(),
            _ => self.moves().iter().map(|one| &one.scope).collect(),
        }
    }

    /// Every move, also that to machines of one's own.
    pub fn moves(&self) -> &[Move] {
        match &self.change {
            Change::Nothing | Change::Rises(_) => &[],
            Change::Moves { moves, .. } => moves,
            Change::Hosted(one, _) => std::slice::from_ref(one.as_ref()),
        }
    }
}
