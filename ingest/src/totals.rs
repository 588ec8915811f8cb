//! What a worker has done.

use daybook_ledger::Instant;

use crate::writer::Counts;

/// Sums over the commits of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Commits made.
    pub commits: u64,
    /// Messages read.
    pub messages: u64,
    /// Entries appended.
    pub entries: u64,
    /// Events of calls the ledger already had, or had in a richer event.
    pub duplicates: u64,
    /// Messages set aside.
    pub quarantined: u64,
    /// Messages without a model call.
    pub empty: u64,
    /// Batches given up to another worker.
    pub fenced_batches: u64,
    /// When the last commit was made.
    pub committed_at: Option<Instant>,
}

impl Totals {
    pub(crate) fn add(&mut self, counts: &Counts, now: Instant) {
        self.commits += 1;
        self.messages += counts.messages;
        self.entries += counts.entries;
        self.duplicates += counts.duplicates;
        self.quarantined += counts.quarantined;
        self.empty += counts.empty;
        self.committed_at = Some(now);
    }
}
