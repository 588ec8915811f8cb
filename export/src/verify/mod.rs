//! Is it still what was written? Every difference by name.

mod artifacts;
mod bundle;
mod calls;
mod fit;
mod history;
mod ledger;
mod levels;
mod migrations;
pub(crate) mod parquet;
mod rewritings;
mod rows;
mod seal;
mod thrift;

use serde::Serialize;

pub use self::bundle::{bundle, opened};
pub use self::ledger::{Trust, ledger};
pub use self::seal::SealCheck;

/// Differences listed one by one; what is beyond is counted.
pub(crate) const DIFFERENCES_MAX: usize = 1_000;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// File or table.
    pub place: String,
    /// What was found there and what was expected.
    pub found: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.found)
    }
}

/// The outcome of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// What differs, the first thousand.
    pub differences: Vec<Difference>,
    /// How many differ in all.
    pub differences_count: u64,
    /// What is worth knowing and no difference.
    pub notes: Vec<Difference>,
    /// Files checked.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows found, by table.
    pub rows: Vec<TableRows>,
    /// Of a bundle, the keys that were asked for and have signed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// Of a ledger that is sealed, what is checked of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealCheck>,
}

/// Rows found in a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableRows {
    /// Its name.
    pub table: String,
    /// Rows in it.
    pub rows: u64,
}

impl Verdict {
    /// Whether nothing differs.
    pub fn is_whole(&self) -> bool {
        self.differences_count == 0
    }

    pub(crate) fn differs(&mut self, place: impl Into<String>, found: impl Into<String>) {
        self.differences_count += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference { place: place.into(), found: found.into() });
        }
    }

    fn note(&mut self, place: impl Into<String>, found: impl Into<String>) {
        if self.notes.len() < DIFFERENCES_MAX {
            self.notes.push(Difference { place: place.into(), found: found.into() });
        }
    }
}
