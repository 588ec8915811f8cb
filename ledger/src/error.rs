//! What can go wrong with a ledger, and how a caller should react.

use crate::TableVersion;
use crate::answer::Answer;

/// How the caller should react to an error; the command line's exit code comes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command or a setting is wrong: change it.
    Usage,
    /// The input is refused: look at it.
    Refused,
    /// Something did not answer: try later.
    Unavailable,
    /// Another writer won, or stored data is damaged.
    Conflict,
    /// A broken invariant: report it.
    Bug,
}

/// An error that a person can act on.
pub trait Report: std::error::Error {
    /// Stable for ever; a section of `docs/errors.md`.
    fn code(&self) -> &'static str;
    /// How to react.
    fn kind(&self) -> Kind;
    /// What to do, as a sentence.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Errors of the ledger.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// The ledger's address cannot be one.
    #[error("`{url}` is not a ledger address: {reason}")]
    Address { url: String, reason: String },
    /// A local path that should be a folder is something else.
    #[error("the ledger path {path} is a file, not a folder")]
    NotAFolder { path: String },
    /// There is no ledger at the address.
    #[error("there is no ledger at {url}")]
    NotFound { url: String },
    /// The store did not answer.
    #[error("{place} did not answer while trying to {action}")]
    StoreUnavailable { place: String, action: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    /// The store answered no.
    #[error("{place} refused to {action}")]
    StoreRefused { place: String, action: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    /// The store lets two writers create one object, or none.
    #[error("{place} let {winners} of {racers} writers create the same object")]
    NotAtomic { place: String, winners: usize, racers: usize },
    /// A setting of the environment would make commits unsafe.
    #[error("{name} is set; with it two writers can overwrite each other's commits")]
    UnsafeSetting { name: &'static str },
    /// The table is not one this version reads and writes.
    #[error("table {table} of {place} is not a Daybook table: {reason}")]
    NotOurs { table: &'static str, place: String, reason: String },
    /// The log of a table cannot be read.
    #[error("the log of table {table} of {place} cannot be read at version {version}")]
    DamagedLog {
        table: &'static str,
        place: String,
        version: TableVersion,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A checkpoint of a table's log cannot be read; its commits say the same.
    #[error("checkpoint {path} of {place} is damaged or gone")]
    DamagedCheckpoint {
        table: &'static str,
        place: String,
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A table has no such version.
    #[error("table {table} of {place} has no version {version}; its last is {last}")]
    NoSuchVersion { table: &'static str, place: String, version: TableVersion, last: TableVersion },
    /// A data file is not what its commit says.
    #[error("data file {path} is damaged: {reason}")]
    DamagedFile { path: String, reason: String },
    /// A data file was written anew or erased after the version that names it, or collected before one did.
    #[error("data file {path} is gone, or about to go")]
    FileGone { path: String },
    /// Entries that were named are not in the ledger.
    #[error("the ledger has no entry {id}{}", and_more(*.count))]
    NoSuchEntry { id: String, count: u64 },
    /// Other writers took every version tried.
    #[error("other writers took every version of table {table} up to {version}, {attempts} attempts")]
    RaceLost { table: &'static str, version: TableVersion, attempts: u32 },
    /// What is to be recorded as evidence proves nothing.
    #[error("{place}: {reason}")]
    NotEvidence { place: String, reason: String },
    /// An invariant does not hold.
    #[error("internal: {invariant}: {found}")]
    Internal { invariant: &'static str, found: String },
}

fn and_more(count: u64) -> String {
    if count > 1 { format!(", nor {} others of those named", count - 1) } else { String::new() }
}

/// Whether the client asked the machine for credentials, as it does if it is given none: where every machine of a cloud has them.
fn is_about_the_machine(error: &(dyn std::error::Error + 'static)) -> bool {
    let asks = |text: String| ["/latest/api/token", "/latest/meta-data/iam"].iter().any(|path| text.contains(path));
    std::iter::successors(Some(error), |error| error.source()).any(|error| asks(error.to_string()))
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "LEDGER-001",
        "LEDGER-002",
        "LEDGER-003",
        "LEDGER-004",
        "LEDGER-005",
        "LEDGER-006",
        "LEDGER-007",
        "LEDGER-008",
        "LEDGER-009",
        "LEDGER-010",
        "LEDGER-011",
        "LEDGER-012",
        "LEDGER-013",
        "LEDGER-014",
        "LEDGER-015",
        "LEDGER-016",
        "LEDGER-099",
    ];

    pub(crate) fn arrow(source: arrow::error::ArrowError) -> Self {
        Self::Internal { invariant: "a batch has the columns of its table", found: source.to_string() }
    }

    pub(crate) fn parquet(source: parquet::errors::ParquetError) -> Self {
        Self::Internal { invariant: "a batch can be written as Parquet", found: source.to_string() }
    }

    /// Sorts a store's error into refused (it answered) and unavailable (it did not).
    pub fn store(place: impl Into<String>, action: &'static str, source: object_store::Error) -> Self {
        use object_store::Error as E;
        let is_refusal = matches!(
            source,
            E::NotFound { .. }
                | E::PermissionDenied { .. }
                | E::Unauthenticated { .. }
                | E::InvalidPath { .. }
                | E::NotSupported { .. }
                | E::NotImplemented { .. }
                | E::UnknownConfigurationKey { .. }
        );
        Self::of_store(place.into(), action, is_refusal, source.into())
    }

    /// The same for an error that a store is behind: what it answered is told in its own words, and decides.
    pub(crate) fn of_store(
        place: String,
        action: &'static str,
        is_refusal: bool,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        let answer = Answer::behind(source.as_ref());
        let is_refusal = is_refusal || answer.as_ref().is_some_and(Answer::is_refusal);
        let source = answer.map_or(source, Into::into);
        match is_refusal {
            true => Self::StoreRefused { place, action, source },
            false => Self::StoreUnavailable { place, action, source },
        }
    }
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "LEDGER-001",
            Self::NotAFolder { .. } => "LEDGER-002",
            Self::NotFound { .. } => "LEDGER-003",
            Self::StoreUnavailable { .. } => "LEDGER-004",
            Self::StoreRefused { .. } => "LEDGER-005",
            Self::NotAtomic { .. } => "LEDGER-006",
            Self::UnsafeSetting { .. } => "LEDGER-007",
            Self::NotOurs { .. } => "LEDGER-008",
            Self::DamagedLog { .. } => "LEDGER-009",
            Self::NoSuchVersion { .. } => "LEDGER-010",
            Self::DamagedFile { .. } => "LEDGER-011",
            Self::RaceLost { .. } => "LEDGER-012",
            Self::NotEvidence { .. } => "LEDGER-013",
            Self::FileGone { .. } => "LEDGER-014",
            Self::NoSuchEntry { .. } => "LEDGER-015",
            Self::DamagedCheckpoint { .. } => "LEDGER-016",
            Self::Internal { .. } => "LEDGER-099",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Address { .. }
            | Self::NotAFolder { .. }
            | Self::NotFound { .. }
            | Self::StoreRefused { .. }
            | Self::NotAtomic { .. }
            | Self::UnsafeSetting { .. }
            | Self::NoSuchVersion { .. }
            | Self::NotOurs { .. } => Kind::Usage,
            Self::NotEvidence { .. } | Self::NoSuchEntry { .. } => Kind::Refused,
            Self::StoreUnavailable { .. } => Kind::Unavailable,
            Self::DamagedLog { .. }
            | Self::DamagedCheckpoint { .. }
            | Self::DamagedFile { .. }
            | Self::FileGone { .. }
            | Self::RaceLost { .. } => Kind::Conflict,
            Self::Internal { .. } => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address { .. } => "use a folder (`./ledger`) or a bucket and prefix (`s3://bucket/prefix`)".into(),
            Self::NotAFolder { .. } => "name the folder of a ledger; `ingest` and `import` make it if there is none".into(),
            Self::NotFound { .. } => "check the address, or let `daybook ingest` make the ledger there".into(),
            Self::StoreUnavailable { source, .. } if is_about_the_machine(source.as_ref()) => {
                "no credentials are given, and this machine has none of its own: set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or run where a role is attached; `~/.aws` is not read"
                    .into()
            }
            Self::StoreUnavailable { .. } => {
                "nothing was committed halfway; check AWS_ENDPOINT_URL, the network and the room there is, then run the command again"
                    .into()
            }
            Self::StoreRefused { .. } => {
                "check that the bucket or folder exists and that the credentials may list, read and write there".into()
            }
            Self::NotAtomic { .. } => {
                "this store cannot keep a ledger safe from two writers; use one whose conditional put is atomic".into()
            }
            Self::UnsafeSetting { name } => format!("unset {name}"),
            Self::NotOurs { .. } => "point at another folder; tables of other writers are never changed".into(),
            Self::DamagedLog { .. } | Self::DamagedFile { .. } => {
                "run `daybook verify LEDGER` for every difference, and restore the named file from a copy".into()
            }
            Self::DamagedCheckpoint { table, .. } => format!(
                "nothing is lost, the commits say all of it: delete the checkpoint, if it is there, and \
                 `{table}/_delta_log/_last_checkpoint`; `daybook maintain` writes another"
            ),
            Self::FileGone { .. } => {
                "an older version of the table named it, before maintenance wrote its rows elsewhere or erased bodies: read \
                 the newest version; if that names it, run `daybook verify LEDGER`"
                    .into()
            }
            Self::NoSuchEntry { .. } => "nothing was changed; `SELECT encode(entry_id, 'hex') FROM usage` prints ids".into(),
            Self::NoSuchVersion { last, .. } => format!("use a version from 0 to {last}"),
            Self::RaceLost { .. } => {
                "nothing of this batch was written; run the command again, or use fewer writers".into()
            }
            Self::NotEvidence { .. } => "nothing was recorded; docs/evidence.md says what each kind needs".into(),
            Self::Internal { .. } => "this is a bug of Daybook: please report it with this message".into(),
        })
    }
}
