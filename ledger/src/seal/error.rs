//! What can go wrong with a seal.

use crate::{Kind, Report, TableVersion};

/// Errors of sealing, proving and reading the log of seals. A difference found by a verification is not one of them.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// What should be a checkpoint is none.
    #[error("{place} is not a checkpoint: {reason}")]
    NotACheckpoint { place: String, reason: &'static str },
    /// The newest checkpoint has no signature of the sealer's key.
    #[error("the newest checkpoint of {place}, of size {size}, is not signed by {key} but by {signers}")]
    NotSigned { place: String, size: u64, key: String, signers: String },
    /// The log belongs to a key of another name.
    #[error("the log of {place} is called `{origin}`, the key `{key}`")]
    OtherLog { place: String, origin: String, key: String },
    /// The log does not agree with itself.
    #[error("the log of {place} is damaged: {reason}")]
    Damaged { place: String, reason: String },
    /// Rows that should be sealed are not there.
    #[error("batch {batch_id} of {table}, version {version}, has {found} rows, its commit says {rows}")]
    RowsDiffer { table: String, version: TableVersion, batch_id: String, found: u64, rows: u64 },
    /// The log does not begin with what this signer signed before.
    #[error("the log of {place} does not begin with the {size} leaves that this key signed before: {reason}")]
    WentBack { place: String, size: u64, reason: String },
    /// Nothing was ever sealed.
    #[error("{place} has never been sealed")]
    NoLog { place: String },
    /// No table has the entry.
    #[error("the ledger at {place} has no entry {entry}")]
    NoEntry { place: String, entry: String },
    /// The entry came after the last seal.
    #[error("entry {entry} is not sealed yet: it came with batch {batch_id}, after the last seal")]
    NotSealedYet { entry: String, batch_id: String },
    /// The entry is not what was sealed.
    #[error("entry {entry} of batch {batch_id} is not the row that was sealed")]
    NotInLog { entry: String, batch_id: String },
    /// What should be a proof is none.
    #[error("{place} is not a proof: {reason}")]
    NotAProof { place: String, reason: &'static str },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] crate::Error),
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "SEAL-001", "SEAL-002", "SEAL-003", "SEAL-004", "SEAL-005", "SEAL-006", "SEAL-007", "SEAL-008", "SEAL-009",
        "SEAL-010", "SEAL-011",
    ];
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NotACheckpoint { .. } => "SEAL-001",
            Self::NotSigned { .. } => "SEAL-002",
            Self::OtherLog { .. } => "SEAL-003",
            Self::Damaged { .. } => "SEAL-004",
            Self::RowsDiffer { .. } => "SEAL-005",
            Self::WentBack { .. } => "SEAL-006",
            Self::NoLog { .. } => "SEAL-007",
            Self::NoEntry { .. } => "SEAL-008",
            Self::NotSealedYet { .. } => "SEAL-009",
            Self::NotInLog { .. } => "SEAL-010",
            Self::NotAProof { .. } => "SEAL-011",
            Self::Ledger(error) => error.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotSigned { .. }
            | Self::OtherLog { .. }
            | Self::NoLog { .. }
            | Self::NoEntry { .. }
            | Self::NotSealedYet { .. } => Kind::Usage,
            Self::NotACheckpoint { .. } | Self::NotAProof { .. } => Kind::Refused,
            Self::Damaged { .. } | Self::RowsDiffer { .. } | Self::WentBack { .. } | Self::NotInLog { .. } => {
                Kind::Conflict
            }
            Self::Ledger(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotACheckpoint { .. } => "name the file `log/checkpoint` of a ledger, or a copy of one".into(),
            Self::NotSigned { .. } => {
                "seal with the key that signed before; after a change of keys name the earlier one with `--earlier-key`; \
                 if neither signed it, keep everything and find out who did"
                    .into()
            }
            Self::OtherLog { origin, .. } => format!("use the key of `{origin}`: the name of a log never changes"),
            Self::Damaged { .. } | Self::RowsDiffer { .. } | Self::NotInLog { .. } => {
                "nothing was signed; run `daybook verify LEDGER` for every difference".into()
            }
            Self::WentBack { .. } => {
                "nothing was signed: the log was replaced or cut, so restore it from a copy and run `daybook verify LEDGER`; or \
                 this key seals another ledger, so make one for this: each has its own"
                    .into()
            }
            Self::NoLog { .. } => "make a key with `daybook keys generate`, then run `daybook seal`".into(),
            Self::NoEntry { .. } => "an entry is named by the 32 hexadecimal digits of `entry_id` in `usage`".into(),
            Self::NotSealedYet { .. } => "run `daybook seal`, then ask again".into(),
            Self::NotAProof { .. } => "name a file that `daybook prove` wrote".into(),
            Self::Ledger(error) => return error.hint(),
        })
    }
}
