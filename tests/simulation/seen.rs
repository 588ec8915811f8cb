//! What the schedules were made of: whoever makes them cheaper is not to make them empty.

use std::collections::BTreeMap;
use std::fmt;

/// Must have been there in every run of [`ENOUGH`] schedules.
const EXPECTED: [&str; 33] = [
    "sent: a call in parts",
    "sent: a call twice",
    "sent: a call without its end",
    "sent: a hole between offsets",
    "sent: a message that is misread",
    "sent: a record of a file",
    "sent: a tombstone",
    "sent: poison",
    "fault: ArriveLate",
    "fault: Delay",
    "fault: FindItself",
    "fault: LoseReply",
    "fault: Refuse",
    "fault: Tear",
    "step: a job ends with its process",
    "step: a process is killed",
    "step: a rebalance",
    "step: a replay starts",
    "step: an import reads again from the start",
    "step: an import starts",
    "step: maintenance starts",
    "step: the clock goes ahead",
    "step: the clock goes back",
    "end: a batch was committed",
    "end: a batch was committed after its process was gone",
    "end: a batch was fenced",
    "end: a worker gave up",
    "end: maintenance gave up",
    "ledger: a collection",
    "ledger: a compaction",
    "ledger: a correction",
    "ledger: a resolution",
    "ledger: quarantine",
];
pub(crate) const ENOUGH: u64 = 2_000;

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<String, u64>);

impl Seen {
    pub(crate) fn note(&mut self, what: &str) {
        self.note_times(what, 1);
    }

    pub(crate) fn note_times(&mut self, what: &str, times: usize) {
        *self.0.entry(what.to_owned()).or_default() += times as u64;
    }

    pub(crate) fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|(what, times)| *self.0.entry(what).or_default() += times);
    }

    pub(crate) fn missing(&self) -> Vec<&'static str> {
        EXPECTED.into_iter().filter(|what| self.0.get(*what).is_none_or(|times| *times == 0)).collect()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, times)| writeln!(f, "{times:>12}  {what}"))
    }
}
