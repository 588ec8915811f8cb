//! Why a file, or the rest of one, cannot be read.

use std::fmt;

use daybook_ledger::{Kind, Report};

/// A place in a file, as a person finds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Line of text or row of a table, from 1.
    pub line: u64,
    /// Bytes before it, after decompression, from 0; absent where rows have no place of their own.
    pub byte: Option<u64>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte {
            Some(byte) => write!(f, "line {}, byte {byte}", self.line),
            None => write!(f, "row {}", self.line),
        }
    }
}

/// Errors of one file. Records before the place were read and count; the next import goes on there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Fault {
    /// The file or bucket does not give its bytes.
    #[error("{file} cannot be read")]
    Unreadable { file: String, source: std::io::Error },
    /// The bytes are not what their compression says.
    #[error("{file} is damaged: its {codec} data ends or breaks after {byte} bytes of text")]
    Damaged { file: String, codec: &'static str, byte: u64, source: std::io::Error },
    /// A record larger than any event.
    #[error("{file}: the record at {spot} is longer than {bytes_max} bytes")]
    TooLong { file: String, spot: Spot, bytes_max: usize },
    /// Nothing that holds events.
    #[error("{file} is {found}, not JSON, CSV or Parquet")]
    NotData { file: String, found: String },
    /// The text between two records is not JSON.
    #[error("{file}: {reason} at {spot}")]
    Broken { file: String, spot: Spot, reason: String },
    /// The last record has no end.
    #[error("{file}: the last record, at {spot}, is cut off")]
    CutOff { file: String, spot: Spot },
    /// A Parquet file that cannot be read.
    #[error("{file} is no Parquet file that can be read: {reason}")]
    Parquet { file: String, reason: String },
    /// An address that names nothing.
    #[error("{address}: {reason}")]
    NothingThere { address: String, reason: String },
}

impl Fault {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "IMPORT-001",
        "IMPORT-002",
        "IMPORT-003",
        "IMPORT-004",
        "IMPORT-005",
        "IMPORT-006",
        "IMPORT-007",
        "IMPORT-008",
        super::table::BAD_ROW,
    ];
}

impl Report for Fault {
    fn code(&self) -> &'static str {
        match self {
            Self::NothingThere { .. } => "IMPORT-001",
            Self::Unreadable { .. } => "IMPORT-002",
            Self::Damaged { .. } => "IMPORT-003",
            Self::NotData { .. } => "IMPORT-004",
            Self::TooLong { .. } => "IMPORT-005",
            Self::Broken { .. } => "IMPORT-006",
            Self::CutOff { .. } => "IMPORT-007",
            Self::Parquet { .. } => "IMPORT-008",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NothingThere { .. } => Kind::Usage,
            Self::Unreadable { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => Kind::Usage,
                _ => Kind::Unavailable,
            },
            _ => Kind::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NothingThere { .. } => {
                "name a file, a folder, a pattern (`'logs/*.jsonl.gz'`) or `s3://bucket/prefix`".into()
            }
            Self::Unreadable { .. } => {
                "check the path, the rights and the AWS_* variables, then run the command again; it goes on where it stopped"
                    .into()
            }
            Self::Damaged { .. } => {
                "fetch the file again; what could be read of it is imported, and a whole copy adds the rest".into()
            }
            Self::NotData { .. } => "unpack archives first, and leave files out that hold no events".into(),
            Self::TooLong { .. } => {
                "a JSONL file holds one event a line; a document of many events is an array, or objects one after another"
                    .into()
            }
            Self::Broken { .. } => {
                "correct the file there, or name it .jsonl if it holds one event a line: a bad line is then set aside alone"
                    .into()
            }
            Self::CutOff { .. } => {
                "it was not read; import the file again when its writer has finished, which adds the rest".into()
            }
            Self::Parquet { .. } => "write it anew with snappy, zstd or no compression".into(),
        })
    }
}
