//! What can be wrong with a bill or a usage report.

use std::fmt;

use daybook_ledger::{Kind, Report};

use super::Source;

/// Errors of reading bills. A file is imported whole or, on any of these, not at all.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// The file is of no known kind.
    #[error("{file} is no bill or usage report Daybook knows; it begins with {found}")]
    NotRecognised { file: String, found: String },
    /// The file is not what its kind has to be.
    #[error("{file} is not {expected}: {reason}")]
    Malformed { file: String, expected: &'static str, reason: String },
    /// A column is missing.
    #[error("{file} has no column `{column}`, without which a line of {source_kind} has no meaning")]
    MissingColumn { file: String, column: &'static str, source_kind: Source },
    /// A field cannot be what it has to be.
    #[error("{file}:{line}: {problem}")]
    Field { file: String, line: i64, problem: Problem },
    /// The file cannot be read.
    #[error("{file} cannot be read")]
    Unreadable { file: String, source: std::io::Error },
    /// The file does not lie where one command can read it.
    #[error("{file} changed while it was imported")]
    Changed { file: String },
    /// Writing to the ledger failed.
    #[error(transparent)]
    Ledger(#[from] daybook_ledger::Error),
}

/// A field that cannot be what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name, with the names of the objects it is in.
    pub field: String,
    /// What was given, cut to 60 characters; `None` if it is missing.
    pub given: Option<String>,
    /// What it has to be.
    pub expected: &'static str,
}

impl Problem {
    pub(super) fn new(field: &str, given: Option<&str>, expected: &'static str) -> Self {
        Self { field: field.into(), given: given.map(|text| text.chars().take(60).collect()), expected }
    }

    /// The same problem, of a field inside the object `parent`.
    pub(super) fn inside(self, parent: &str) -> Self {
        Self { field: format!("{parent}.{}", self.field), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, given, expected } = self;
        match given {
            Some(given) => write!(f, "`{field}` is `{given}`, not {expected}"),
            None => write!(f, "`{field}` is missing; it has to be {expected}"),
        }
    }
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] =
        &["BILLING-001", "BILLING-002", "BILLING-003", "BILLING-004", "BILLING-005", "BILLING-006"];
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NotRecognised { .. } => "BILLING-001",
            Self::Malformed { .. } => "BILLING-002",
            Self::MissingColumn { .. } => "BILLING-003",
            Self::Field { .. } => "BILLING-004",
            Self::Unreadable { .. } => "BILLING-005",
            Self::Changed { .. } => "BILLING-006",
            Self::Ledger(error) => error.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotRecognised { .. } | Self::Malformed { .. } | Self::MissingColumn { .. } | Self::Field { .. } => {
                Kind::Refused
            }
            Self::Unreadable { .. } => Kind::Usage,
            Self::Changed { .. } => Kind::Conflict,
            Self::Ledger(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotRecognised { .. } => {
                let kinds: Vec<_> = Source::ALL.iter().map(|source| source.title()).collect();
                format!("known are: {}", kinds.join("; "))
            }
            Self::Malformed { .. } => "nothing of the file was imported; get it again from its provider".into(),
            Self::MissingColumn { .. } => "nothing of the file was imported; export it with that column".into(),
            Self::Field { .. } => "nothing of the file was imported; correct the line or get the file again".into(),
            Self::Unreadable { .. } => "check the path and its permissions".into(),
            Self::Changed { .. } => "run the command again: what was imported already is not imported twice".into(),
            Self::Ledger(error) => return error.hint(),
        })
    }
}
