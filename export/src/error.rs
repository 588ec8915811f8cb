//! What can go wrong with a bundle.

use std::path::{Path, PathBuf};

use daybook_ledger::{Instant, Kind, Report};

/// Errors of exports and verifications. A difference found by a verification is not one of them.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// Something is already at the place of the bundle.
    #[error("{} already holds something", path.display())]
    OutTaken { path: PathBuf },
    /// Another export writes there.
    #[error("another export is writing {}", path.display())]
    OutBusy { path: PathBuf },
    /// No instant is in the window.
    #[error("the window from {from} to before {to} is empty")]
    EmptyWindow { from: Instant, to: Instant },
    /// Nothing to write rows as.
    #[error("no format is asked for")]
    NoFormat,
    /// The name asks for a form that no bundle has.
    #[error("a bundle cannot be written as {}", out.display())]
    UnknownForm { out: PathBuf },
    /// In one file each data file is held in memory.
    #[error("data files of {asked} bytes do not go into a single file, at most {max} do")]
    ShardTooLong { asked: u64, max: u64 },
    /// The name says that it is encrypted.
    #[error("{} would not be encrypted: nothing says who can open it", out.display())]
    WithoutRecipient { out: PathBuf },
    /// Only one form can be encrypted.
    #[error("{} cannot be encrypted", out.display())]
    NotEncryptable { out: PathBuf },
    /// The keys given do not open it.
    #[error("{} cannot be opened: {reason}", path.display())]
    Locked { path: PathBuf, reason: String },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Folder { path: PathBuf, action: &'static str, source: std::io::Error },
    /// The file system refused to show a bundle.
    #[error("cannot {action} {}", path.display())]
    Unreadable { path: PathBuf, action: &'static str, source: std::io::Error },
    /// The folder to verify is no bundle.
    #[error("{} is not a bundle: {reason}", path.display())]
    NotABundle { path: PathBuf, reason: String },
    /// The bundle to restore is not what it says.
    #[error("{} is not what it says, {differences} differences; the first: {first}", path.display())]
    Differs { path: PathBuf, differences: u64, first: String },
    /// Only Parquet has every value in the ledger's own types.
    #[error("{} has no Parquet files", path.display())]
    WithoutParquet { path: PathBuf },
    /// A bundle is restored into an empty ledger only.
    #[error("`{table}` of the ledger {place} has rows already")]
    LedgerTaken { place: String, table: &'static str },
    /// A file of prompts names one model.
    #[error("two models are to answer {destination}")]
    TwoModels { destination: &'static str },
    /// A file that is to be registered is not what its name says.
    #[error("{} cannot be registered: {reason}", path.display())]
    NotAnArtifact { path: PathBuf, reason: String },
    /// A registered artifact is not there to be carried.
    #[error("the artifact `{name}` at {place} cannot be carried: {reason}")]
    ArtifactLost { name: String, place: String, reason: String },
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] daybook_ledger::Error),
    /// The log of seals could not be read.
    #[error(transparent)]
    Seal(#[from] daybook_ledger::seal::Error),
    /// An invariant does not hold.
    #[error("internal: {invariant}: {found}")]
    Internal { invariant: &'static str, found: String },
}

impl Error {
    /// Every code of this crate, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "EXPORT-001",
        "EXPORT-002",
        "EXPORT-003",
        "EXPORT-004",
        "EXPORT-005",
        "EXPORT-006",
        "EXPORT-007",
        "EXPORT-008",
        "EXPORT-009",
        "EXPORT-010",
        "EXPORT-011",
        "EXPORT-012",
        "EXPORT-020",
        "EXPORT-021",
        "EXPORT-022",
        "EXPORT-023",
        "EXPORT-030",
        "EXPORT-031",
        "EXPORT-099",
    ];

    pub(crate) fn folder(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match of_a_bucket(path, action, source) {
            Ok(error) => error,
            Err(source) => Self::Folder { path: path.into(), action, source },
        }
    }

    pub(crate) fn unreadable(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match of_a_bucket(path, action, source) {
            Ok(error) => error,
            Err(source) => Self::Unreadable { path: path.into(), action, source },
        }
    }

    pub(crate) fn arrow(source: arrow::error::ArrowError) -> Self {
        Self::Internal { invariant: "a batch has the columns of its table", found: source.to_string() }
    }

    pub(crate) fn panicked(source: impl std::fmt::Display) -> Self {
        Self::Internal { invariant: "no thread of an export panics", found: source.to_string() }
    }
}

/// What a bucket answered, as the ledger tells it: whether it refused or did not answer decides what to do.
fn of_a_bucket(path: &Path, action: &'static str, source: std::io::Error) -> Result<Error, std::io::Error> {
    let answer = source.downcast::<object_store::Error>()?;
    Ok(Error::Ledger(daybook_ledger::Error::store(path.display().to_string(), action, answer)))
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::OutTaken { .. } => "EXPORT-001",
            Self::OutBusy { .. } => "EXPORT-002",
            Self::EmptyWindow { .. } => "EXPORT-003",
            Self::NoFormat => "EXPORT-004",
            Self::Folder { .. } => "EXPORT-005",
            Self::NotABundle { .. } => "EXPORT-006",
            Self::Differs { .. } => "EXPORT-007",
            Self::WithoutParquet { .. } => "EXPORT-008",
            Self::LedgerTaken { .. } => "EXPORT-009",
            Self::UnknownForm { .. } => "EXPORT-010",
            Self::ShardTooLong { .. } => "EXPORT-011",
            Self::TwoModels { .. } => "EXPORT-012",
            Self::WithoutRecipient { .. } => "EXPORT-020",
            Self::NotEncryptable { .. } => "EXPORT-021",
            Self::Locked { .. } => "EXPORT-022",
            Self::Unreadable { .. } => "EXPORT-023",
            Self::NotAnArtifact { .. } => "EXPORT-030",
            Self::ArtifactLost { .. } => "EXPORT-031",
            Self::Ledger(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::Internal { .. } => "EXPORT-099",
        }
    }

    fn kind(&self) -> Kind {
        use std::io::ErrorKind as Io;
        match self {
            Self::OutTaken { .. }
            | Self::EmptyWindow { .. }
            | Self::NoFormat
            | Self::UnknownForm { .. }
            | Self::ShardTooLong { .. }
            | Self::NotABundle { .. }
            | Self::WithoutParquet { .. }
            | Self::LedgerTaken { .. }
            | Self::WithoutRecipient { .. }
            | Self::NotEncryptable { .. }
            | Self::Locked { .. }
            | Self::TwoModels { .. } => Kind::Usage,
            Self::NotAnArtifact { .. } => Kind::Refused,
            Self::OutBusy { .. } | Self::Differs { .. } | Self::ArtifactLost { .. } => Kind::Conflict,
            Self::Folder { source, .. } | Self::Unreadable { source, .. } => match source.kind() {
                Io::NotFound | Io::PermissionDenied | Io::NotADirectory | Io::ReadOnlyFilesystem => Kind::Usage,
                _ => Kind::Unavailable,
            },
            Self::Ledger(error) => error.kind(),
            Self::Seal(error) => error.kind(),
            Self::Internal { .. } => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OutTaken { .. } => "name a place where nothing is yet; a bundle never overwrites anything".into(),
            Self::OutBusy { .. } => "wait for it, or name another place".into(),
            Self::EmptyWindow { .. } => "the window is half-open: `--to` is the first instant left out".into(),
            Self::NoFormat => "name at least one of jsonl, csv, parquet".into(),
            Self::UnknownForm { .. } => "name a folder, a file that ends in .tar.zst or .tar.zst.age, or s3://bucket/prefix".into(),
            Self::ShardTooLong { .. } => "each is held in memory until it is full: lower `--shard-bytes`".into(),
            Self::WithoutRecipient { .. } => {
                "say who: `--encrypt-to age1…`, `--recipients-file` or `--passphrase`; or name a file that ends in .tar.zst".into()
            }
            Self::NotEncryptable { .. } => "only one file is encrypted, and its name says so: end it in .tar.zst.age".into(),
            Self::Locked { .. } => {
                "give the file of an identity (`AGE-SECRET-KEY-1…`) with `--identity`, or the passphrase with \
                 `--passphrase-file` or DAYBOOK_PASSPHRASE"
                    .into()
            }
            Self::Folder { .. } => {
                "check the path, its permissions and the free space; no bundle was left under its name, and the same command goes on \
                 from the data files that are finished, or starts over if it encrypts"
                    .into()
            }
            Self::Unreadable { .. } => "check the permissions and the disk; nothing was changed".into(),
            Self::NotABundle { .. } => "name what `daybook export` wrote, or a ledger; check the path".into(),
            Self::Differs { .. } => {
                "`daybook verify` lists what it finds; a bundle that it finds nothing in and that cannot be read was not made by Daybook. \
                 Get it again; a ledger that was begun from it lacks its calls, so remove that one".into()
            }
            Self::WithoutParquet { .. } => "export with `--formats parquet`, alone or among others".into(),
            Self::LedgerTaken { .. } => "name a ledger that does not exist yet; a bundle is never mixed with other rows".into(),
            Self::TwoModels { .. } => "name one; for a second model make a second bundle".into(),
            Self::NotAnArtifact { .. } => {
                "check the path, and give the file as the tool that made it wrote it; a name that ends otherwise is registered \
                 without a look at its header"
                    .into()
            }
            Self::ArtifactLost { .. } => {
                "register it where it is now with `daybook artifacts add`, or leave out `--with-artifacts`: the bundle then says \
                 where each is kept"
                    .into()
            }
            Self::Ledger(error) => return error.hint(),
            Self::Seal(error) => return error.hint(),
            Self::Internal { .. } => "this is a bug of Daybook: please report it with this message".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_refuses_is_told_from_one_that_does_not_answer() {
        let of = |source: object_store::Error| Error::folder("s3://b/p/x".as_ref(), "write")(source.into());
        let text = "403 Forbidden: <Error><Code>AccessDenied</Code><Message>No.</Message></Error>";
        let refused = of(object_store::Error::PermissionDenied { path: "p/x".into(), source: text.into() });
        assert_eq!((refused.code(), refused.kind()), ("LEDGER-005", Kind::Usage));
        assert_eq!(refused.to_string(), "s3://b/p/x refused to write");
        let silent = of(object_store::Error::Generic { store: "S3", source: "timed out".into() });
        assert_eq!((silent.code(), silent.kind()), ("LEDGER-004", Kind::Unavailable));
        let disk = Error::folder("x".as_ref(), "write")(std::io::ErrorKind::StorageFull.into());
        assert_eq!(disk.code(), "EXPORT-005");
    }
}
