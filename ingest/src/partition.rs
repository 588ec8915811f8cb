//! Partitions and where reading stands in them.

use std::sync::Arc;

use daybook_ledger::NextOffset;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub number: i32,
}

impl Partition {
    /// The name under which the ledger keeps this partition's position.
    pub fn app_id(&self, cluster: &str) -> String {
        format!("ledger/{cluster}/{}/{}", self.topic, self.number)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// Where the ledger's tables stand in a partition; `None`: nothing was read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Of `usage`: where reading starts.
    pub usage: Option<NextOffset>,
    /// Of `quarantine`, which commits first and so may be ahead.
    pub quarantine: Option<NextOffset>,
}
