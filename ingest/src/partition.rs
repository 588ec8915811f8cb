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

    /// The partition whose position of `cluster` is kept under `app_id`.
    pub fn of_app_id(app_id: &str, cluster: &str) -> Option<Self> {
        let (topic, number) =
            app_id.strip_prefix("ledger/")?.strip_prefix(cluster)?.strip_prefix('/')?.rsplit_once('/')?;
        Some(Self { topic: topic.into(), number: number.parse().ok()? })
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
    /// Of a file: what its records up to `usage` were.
    pub mark: Option<Mark>,
}

/// What the ledger remembers of a file besides its position, so that another file with the same beginning is not taken
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// 63 bits of the digest over all records before the position.
    pub digest: i64,
    /// The time of events that have none, in microseconds since 1970: the same whenever the file is read.
    pub read_at: i64,
}
