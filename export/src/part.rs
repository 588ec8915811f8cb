//! The tables of a ledger as parts of a bundle.

use daybook_ledger::schema::{
    self, BILLING, CONTENT, CONTENT_PARTIAL, CORRECTIONS, EVIDENCE, PRICES, QUARANTINE, REGISTRY, RESOLUTIONS, USAGE,
    VALUATIONS,
};
use daybook_ledger::{Ledger, Table};

/// A table that goes into a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// One row per call.
    Usage,
    /// What was said in the calls of [`Part::Usage`].
    Content,
    /// Messages that could not become entries.
    Quarantine,
    /// What later events of a call tell beyond its row in [`Part::Usage`].
    Corrections,
    /// What was said in calls of [`Part::Usage`] before their end.
    ContentPartial,
    /// Which messages of [`Part::Quarantine`] were read after all.
    Resolutions,
    /// What calls of [`Part::Usage`] cost at other prices.
    Valuations,
    /// What providers bill and report.
    Billing,
    /// Tests of alternatives, exports, audits, erasures.
    Evidence,
    /// Imported price rows.
    Prices,
    /// Versions of the registry.
    Registry,
}

impl Part {
    /// Every part, in the order they are read within a day: bodies after the entries they belong to.
    pub const ALL: [Self; 11] = [
        Self::Usage,
        Self::Content,
        Self::Quarantine,
        Self::Corrections,
        Self::ContentPartial,
        Self::Resolutions,
        Self::Valuations,
        Self::Billing,
        Self::Evidence,
        Self::Prices,
        Self::Registry,
    ];

    /// The name of the table, and of its folder in a bundle.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Its columns.
    pub const fn spec(self) -> &'static schema::Table {
        match self {
            Self::Usage => &USAGE,
            Self::Corrections => &CORRECTIONS,
            Self::Content => &CONTENT,
            Self::ContentPartial => &CONTENT_PARTIAL,
            Self::Quarantine => &QUARANTINE,
            Self::Resolutions => &RESOLUTIONS,
            Self::Valuations => &VALUATIONS,
            Self::Billing => &BILLING,
            Self::Evidence => &EVIDENCE,
            Self::Prices => &PRICES,
            Self::Registry => &REGISTRY,
        }
    }

    pub(crate) fn table(self, ledger: &Ledger) -> &Table {
        match self {
            Self::Usage => ledger.usage(),
            Self::Corrections => ledger.corrections(),
            Self::Content => ledger.content(),
            Self::ContentPartial => ledger.content_partial(),
            Self::Quarantine => ledger.quarantine(),
            Self::Resolutions => ledger.resolutions(),
            Self::Valuations => ledger.valuations(),
            Self::Billing => ledger.billing(),
            Self::Evidence => ledger.evidence(),
            Self::Prices => ledger.prices(),
            Self::Registry => ledger.registry(),
        }
    }

    /// Whether a row of it is in force for calls of any day, so that no window takes rows from it.
    pub(crate) const fn is_timeless(self) -> bool {
        matches!(self, Self::Prices | Self::Registry)
    }

    /// Whether it is committed with the batches of `usage`; the others are written by commands of their own, also later.
    pub(crate) const fn comes_with_usage(self) -> bool {
        self.is_of_bodies() || matches!(self, Self::Usage | Self::Quarantine | Self::Corrections)
    }

    /// Whether a row of it is what was said in one call.
    pub(crate) const fn is_of_bodies(self) -> bool {
        matches!(self, Self::Content | Self::ContentPartial)
    }

    /// What a row of it is, for somebody who has never heard of Daybook.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Usage => "one AI call: who, which model, tokens, cost, outcome; never a word of what was said",
            Self::Content => {
                "what was said in one call of `usage`, by `entry_id`, whole, as the first event after its end told it"
            }
            Self::Quarantine => "one message that could not become an entry, whole, with the reason",
            Self::Corrections => {
                "what a later, fuller event of a call tells of it, but for what was said: it holds in place of the row of \
                 `usage` with its `entry_id`"
            }
            Self::ContentPartial => {
                "what was said in one call of `usage`, by `entry_id`, as far as an event before its end told it: it holds if \
                 `content` has no row of the call, and incomplete before pending"
            }
            Self::Resolutions => "one message of `quarantine` that was read after all",
            Self::Valuations => "what a call of `usage` costs at other prices, by `entry_id`",
            Self::Billing => "one line of a provider's bill, or one result of its usage report",
            Self::Evidence => {
                "one thing done beside the calls: a test of an alternative, an export, an audit, an erasure"
            }
            Self::Prices => "one imported price",
            Self::Registry => "one file of one version of the registry: workloads, owners, contracts, features, models",
        }
    }
}
