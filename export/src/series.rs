//! The data files of a bundle that follow one another: one table in one format, or one migration.

use crate::migrate::Destination;
use crate::{Format, Part};

/// Which data files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Series {
    Table(Part, Format),
    Migration(Destination),
}

impl Series {
    /// All that a bundle can have.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let tables = Part::ALL.into_iter().flat_map(|part| Format::ALL.map(|format| Self::Table(part, format)));
        tables.chain(Destination::ALL.iter().copied().map(Self::Migration))
    }

    /// The one that a data file at `path` would be of.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/')?;
        let (_, extension) = name.rsplit_once('.')?;
        Self::all().find(|series| series.folder() == folder && series.names().1 == extension)
    }

    /// Whether a bundle with `parts` can have it.
    pub(crate) fn is_of(self, parts: &[Part]) -> bool {
        match self {
            Self::Table(part, _) => parts.contains(&part),
            Self::Migration(_) => true,
        }
    }

    /// The folder they are in.
    pub(crate) fn folder(self) -> String {
        match self {
            Self::Table(part, _) => format!("data/{}", part.name()),
            Self::Migration(destination) => format!("data/migration/{}", destination.as_str()),
        }
    }

    /// `data/usage/usage-00000.jsonl`: names sort in the order of rows.
    pub(crate) fn file_name(self, index: usize) -> String {
        let (name, extension) = self.names();
        format!("{}/{name}-{index:05}.{extension}", self.folder())
    }

    /// What their names begin with and end in.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Table(part, format) => (part.name(), format.as_str()),
            Self::Migration(destination) => (destination.as_str(), Format::Jsonl.as_str()),
        }
    }
}
