//! What can go wrong with a query, and how a caller should react.

use std::fmt;
use std::time::Duration;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use daybook_ledger::{Instant, Kind, Report};

use crate::names::{self, Names};
use crate::registry::{FILES, Fault, RegistryVersion, list_faults};

/// A longer list of valid names helps nobody.
const NAMES_LISTED_MAX: usize = 16;

/// A place in the text of a query, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Errors of a query.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "fields are the values named in each message")]
pub enum Error {
    /// The text is not SQL.
    #[error("SQL syntax{}: {message}", at(*.position))]
    Syntax { message: String, position: Option<Position> },
    /// There is no such table or view.
    #[error("unknown table `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownTable { name: String, nearest: Option<String>, valid: Vec<String> },
    /// There is no such column where it is named.
    #[error("unknown column `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownColumn { name: String, nearest: Option<String>, valid: Vec<String> },
    /// There is no such function.
    #[error("unknown function `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownFunction { name: String, nearest: Option<String> },
    /// The statement would change something.
    #[error("a ledger is read-only here: {statement} is not possible")]
    ReadOnly { statement: String },
    /// The query is SQL but does not make sense.
    #[error("invalid query: {message}")]
    Invalid { message: String },
    /// The query failed on a value.
    #[error("the query failed: {message}")]
    Failed { message: String },
    /// There is no such time zone.
    #[error("unknown time zone `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownTimeZone { name: String, nearest: Option<String> },
    /// The text is neither a version nor an instant.
    #[error("`{text}` is neither a version nor an instant")]
    NotAsOf { text: String },
    /// The ledger is younger than the instant.
    #[error("table {table} has no version at {instant}; its first is from {first}")]
    BeforeFirst { table: &'static str, instant: Instant, first: Instant },
    /// The query took longer than allowed.
    #[error("the query was stopped after {} s", .limit.as_secs_f32())]
    Timeout { limit: Duration },
    /// The query needs more memory than allowed, even with spilling.
    #[error("the query needs more than the {bytes_max} bytes of memory it may use{}", because(.reason.as_deref()))]
    MemoryExceeded { bytes_max: usize, reason: Option<String> },
    /// The text is not an amount of memory.
    #[error("`{text}` is not an amount of memory")]
    NotBytes { text: String },
    /// A data file of the ledger could not be read.
    #[error("a data file of the ledger cannot be read")]
    Unreadable { damaged: bool, source: Box<DataFusionError> },
    /// The result could not be written.
    #[error("the result cannot be written")]
    Output { source: std::io::Error },
    /// The result has a type the format cannot hold.
    #[error("the result cannot be written as {format}: {message}")]
    NotInFormat { format: &'static str, message: String },
    /// The format holds one table.
    #[error("a report of several tables cannot be written as {format}, which holds one")]
    SeveralTables { format: &'static str, tables: Vec<String> },
    /// A file of SQL could not be read.
    #[error("the SQL of {path} cannot be read")]
    Script { path: String, source: std::io::Error },
    /// The statement nests too deep to be planned.
    #[error("the statement has {times} times `{operator}` in a row, {max} are possible")]
    TooDeep { operator: String, times: usize, max: usize },
    /// There is no such valuation.
    #[error("unknown valuation `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownValuation { name: String, nearest: Option<String>, valid: Vec<String> },
    /// The files of a registry have faults.
    #[error("the registry has {}", list_faults(.faults))]
    Registry { faults: Vec<Fault> },
    /// The folder of a registry, or a file in it, cannot be read.
    #[error("the registry {path} cannot be read")]
    RegistryFolder { path: String, source: std::io::Error },
    /// The folder has none of the files of a registry.
    #[error("{path} has none of the files of a registry")]
    NoRegistry { path: String },
    /// The ledger has no such version of the registry.
    #[error("the ledger has no registry version {version}")]
    UnknownRegistryVersion { version: RegistryVersion, last: Option<RegistryVersion> },
    /// The ledger has no such entry.
    #[error("the ledger has no entry `{id}`")]
    UnknownEntry { id: String },
    /// The registry has no such workload.
    #[error("unknown workload `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownWorkload { name: String, nearest: Option<String>, valid: Vec<String> },
    /// The registry has no such contract.
    #[error("unknown contract `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownContract { name: String, nearest: Option<String>, valid: Vec<String> },
    /// No row says so.
    #[error("no call is of {column} `{name}`{}", names::suggestion(.nearest.as_deref()))]
    UnknownValue { column: &'static str, name: String, nearest: Option<String>, valid: Vec<String> },
    /// A model has no price.
    #[error("there is no price for `{provider}/{model}`: {status}")]
    NotPriced { provider: String, model: String, status: &'static str },
    /// A file of scenarios has faults.
    #[error("the scenarios have {}", list_faults(.faults))]
    Scenarios { faults: Vec<Fault> },
    /// A scenario names a model that has no price.
    #[error(
        "scenario `{scenario}`: there is no price for `{model}` ({status}){}",
        names::suggestion(.nearest.as_deref())
    )]
    UnknownTarget { scenario: String, model: String, status: &'static str, nearest: Option<String> },
    /// The ledger keeps no prompt of the workload.
    #[error("no prompt of workload `{workload}` is kept, of {turns} conversation turns that succeeded")]
    NothingToReplay { workload: String, turns: u64 },
    /// There is nothing to compare a ledger with.
    #[error("there is no bill{of} to compare the ledger with{notes}")]
    NoBill { of: String, notes: String },
    /// The person asked to stop.
    #[error("the query was stopped as asked")]
    Interrupted,
    /// The ledger could not be opened.
    #[error(transparent)]
    Ledger(#[from] daybook_ledger::Error),
    /// An invariant does not hold.
    #[error("internal: {invariant}: {found}")]
    Internal { invariant: &'static str, found: String },
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn at(position: Option<Position>) -> String {
    position.map(|position| format!(" at {position}")).unwrap_or_default()
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "QUERIES-001",
        "QUERIES-002",
        "QUERIES-003",
        "QUERIES-004",
        "QUERIES-005",
        "QUERIES-006",
        "QUERIES-007",
        "QUERIES-008",
        "QUERIES-009",
        "QUERIES-010",
        "QUERIES-011",
        "QUERIES-012",
        "QUERIES-013",
        "QUERIES-014",
        "QUERIES-015",
        "QUERIES-016",
        "QUERIES-017",
        "QUERIES-018",
        "QUERIES-019",
        "QUERIES-020",
        "QUERIES-030",
        "QUERIES-031",
        "QUERIES-032",
        "QUERIES-033",
        "QUERIES-034",
        "QUERIES-035",
        "QUERIES-036",
        "QUERIES-037",
        "QUERIES-038",
        "QUERIES-040",
        "QUERIES-041",
        "QUERIES-042",
        "QUERIES-043",
        "QUERIES-099",
    ];

    /// Sorts an error of DataFusion; `names` are what a misspelt one could have meant, `bytes_max` the memory limit.
    pub(crate) fn from_datafusion(error: DataFusionError, names: &Names, bytes_max: usize) -> Self {
        match error.find_root() {
            DataFusionError::SQL(error, _) => Self::syntax(&error.to_string()),
            DataFusionError::SchemaError(error, _) => Self::schema(error),
            DataFusionError::Plan(message) => Self::plan(message, names),
            DataFusionError::NotImplemented(message) | DataFusionError::Configuration(message) => {
                Self::Invalid { message: first_line(message) }
            }
            DataFusionError::Execution(message) => Self::Failed { message: first_line(message) },
            DataFusionError::ArrowError(error, _) => Self::Failed { message: first_line(&error.to_string()) },
            // What it says of operators and their reservations helps nobody.
            DataFusionError::ResourcesExhausted(_) => Self::MemoryExceeded { bytes_max, reason: None },
            DataFusionError::ObjectStore(cause) => {
                let damaged = matches!(**cause, object_store::Error::NotFound { .. });
                Self::Unreadable { damaged, source: Box::new(error) }
            }
            DataFusionError::ParquetError(_) | DataFusionError::IoError(_) | DataFusionError::External(_) => {
                Self::Unreadable { damaged: true, source: Box::new(error) }
            }
            other => Self::Internal { invariant: "a query succeeds or says why not", found: other.strip_backtrace() },
        }
    }

    /// The parser says where inside its message: `... at Line: 1, Column: 8`.
    fn syntax(message: &str) -> Self {
        let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
        let (message, place) = message.split_once(" at Line: ").unwrap_or((message, ""));
        let position = place.split_once(", Column: ").and_then(|(line, column)| {
            let column = column.trim_end_matches(|c: char| !c.is_ascii_digit());
            Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
        });
        let message = message.strip_prefix("Expected:").map_or(message.to_owned(), |rest| format!("expected{rest}"));
        Self::Syntax { message, position }
    }

    fn schema(error: &SchemaError) -> Self {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let valid: Vec<String> = valid_fields.iter().map(|column| column.name.clone()).collect();
                Self::unknown_column(&field.flat_name(), &field.name, valid)
            }
            other => Self::Invalid { message: first_line(&other.to_string()) },
        }
    }

    fn unknown_column(shown: &str, name: &str, valid: Vec<String>) -> Self {
        let nearest = names::nearest(name, valid.iter().map(String::as_str)).map(String::from);
        Self::UnknownColumn { name: shown.into(), nearest, valid }
    }

    fn plan(message: &str, names: &Names) -> Self {
        let quoted = |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('\'').next());
        if let Some(name) = quoted("Invalid function '").or_else(|| quoted("table function '")) {
            let nearest = names::nearest(name, names.functions.iter().map(String::as_str)).map(String::from);
            return Self::UnknownFunction { name: name.into(), nearest };
        }
        if let Some(name) = quoted("table '") {
            return Self::unknown_table(name.rsplit('.').next().unwrap_or(name), names);
        }
        Self::Invalid { message: first_line(message) }
    }

    pub(crate) fn unknown_table(name: &str, names: &Names) -> Self {
        let nearest = names::nearest(name, names.tables.iter().map(String::as_str)).map(String::from);
        Self::UnknownTable { name: name.into(), nearest, valid: names.tables.clone() }
    }
}

/// The sentence of a message that speaks to a person: without the candidates tried, without a second line.
fn first_line(message: &str) -> String {
    let message = message.strip_prefix("Internal error: ").unwrap_or(message);
    let message = message.split_once(", errors: ").map_or(message, |(message, _)| message);
    // A function of ours says itself what it takes; DataFusion wraps that in its own search for a match.
    let ours = message.split_once("coercion failed with: Error during planning: ").map(|(_, ours)| ours);
    let message = ours.and_then(|ours| ours.split_once(". No function matches")).map_or(message, |(ours, _)| ours);
    message.lines().next().unwrap_or(message).trim_end_matches('.').into()
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "QUERIES-001",
            Self::UnknownTable { .. } => "QUERIES-002",
            Self::UnknownColumn { .. } => "QUERIES-003",
            Self::UnknownFunction { .. } => "QUERIES-004",
            Self::ReadOnly { .. } => "QUERIES-005",
            Self::Invalid { .. } => "QUERIES-006",
            Self::Failed { .. } => "QUERIES-007",
            Self::UnknownTimeZone { .. } => "QUERIES-008",
            Self::NotAsOf { .. } => "QUERIES-009",
            Self::BeforeFirst { .. } => "QUERIES-010",
            Self::Timeout { .. } => "QUERIES-011",
            Self::MemoryExceeded { .. } => "QUERIES-012",
            Self::NotBytes { .. } => "QUERIES-013",
            Self::Unreadable { .. } => "QUERIES-014",
            Self::Output { .. } => "QUERIES-015",
            Self::NotInFormat { .. } | Self::SeveralTables { .. } => "QUERIES-016",
            Self::Script { .. } => "QUERIES-017",
            Self::Interrupted => "QUERIES-018",
            Self::TooDeep { .. } => "QUERIES-019",
            Self::UnknownValuation { .. } => "QUERIES-020",
            Self::Registry { .. } => "QUERIES-030",
            Self::RegistryFolder { .. } => "QUERIES-031",
            Self::NoRegistry { .. } => "QUERIES-032",
            Self::UnknownRegistryVersion { .. } => "QUERIES-033",
            Self::UnknownEntry { .. } => "QUERIES-034",
            Self::UnknownWorkload { .. } => "QUERIES-035",
            Self::NotPriced { .. } => "QUERIES-036",
            Self::UnknownContract { .. } => "QUERIES-037",
            Self::UnknownValue { .. } => "QUERIES-038",
            Self::Scenarios { .. } => "QUERIES-040",
            Self::UnknownTarget { .. } => "QUERIES-041",
            Self::NothingToReplay { .. } => "QUERIES-042",
            Self::NoBill { .. } => "QUERIES-043",
            Self::Ledger(error) => error.code(),
            Self::Internal { .. } => "QUERIES-099",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Syntax { .. }
            | Self::UnknownTable { .. }
            | Self::UnknownColumn { .. }
            | Self::UnknownFunction { .. }
            | Self::ReadOnly { .. }
            | Self::Invalid { .. }
            | Self::Failed { .. }
            | Self::UnknownTimeZone { .. }
            | Self::NotAsOf { .. }
            | Self::BeforeFirst { .. }
            | Self::MemoryExceeded { .. }
            | Self::NotBytes { .. }
            | Self::NotInFormat { .. }
            | Self::SeveralTables { .. }
            | Self::Script { .. }
            | Self::TooDeep { .. }
            | Self::UnknownValuation { .. }
            | Self::RegistryFolder { .. }
            | Self::NoRegistry { .. }
            | Self::UnknownRegistryVersion { .. }
            | Self::UnknownEntry { .. }
            | Self::UnknownWorkload { .. }
            | Self::NotPriced { .. }
            | Self::UnknownTarget { .. }
            | Self::UnknownContract { .. }
            | Self::UnknownValue { .. }
            | Self::NothingToReplay { .. }
            | Self::NoBill { .. } => Kind::Usage,
            Self::Registry { .. } | Self::Scenarios { .. } => Kind::Refused,
            Self::Timeout { .. }
            | Self::Interrupted
            | Self::Output { .. }
            | Self::Unreadable { damaged: false, .. } => Kind::Unavailable,
            Self::Unreadable { damaged: true, .. } => Kind::Conflict,
            Self::Ledger(error) => error.kind(),
            Self::Internal { .. } => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        let list = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Some(match self {
            Self::Syntax { .. } | Self::Invalid { .. } | Self::Failed { .. } | Self::Interrupted => return None,
            Self::UnknownTable { valid, .. } => format!("there are {}", list(valid)),
            Self::UnknownValuation { valid, .. } => {
                format!("there are {}; `daybook reprice --as NAME --prices FILE` makes one", list(valid))
            }
            Self::Registry { .. } => "docs/registry.md describes every key; nothing was imported".into(),
            Self::RegistryFolder { .. } => "name the folder that holds the registry's files, each a text in UTF-8".into(),
            Self::NoRegistry { .. } => format!("a registry has one or more of {}", list(&FILES.map(String::from))),
            Self::UnknownRegistryVersion { last: Some(last), .. } => format!("use a version from 1 to {last}"),
            Self::UnknownRegistryVersion { last: None, .. } => {
                "it has none yet; `daybook registry import DIR` stores one".into()
            }
            Self::UnknownEntry { .. } => "`SELECT encode(entry_id, 'hex') FROM usage` prints ids".into(),
            Self::UnknownWorkload { valid, .. } if valid.is_empty() => {
                "the registry has no workloads; `daybook registry import DIR` stores one that has".into()
            }
            Self::UnknownWorkload { valid, .. } => format!("there are {}", list(valid)),
            Self::UnknownContract { valid, .. } if valid.is_empty() => {
                "the registry has no contracts; `daybook registry import DIR` stores one that has".into()
            }
            Self::UnknownContract { valid, .. } => format!("there are {}", list(valid)),
            Self::UnknownValue { valid, .. } if valid.is_empty() => "the ledger has no call that says one".into(),
            Self::UnknownValue { column, valid, .. } if valid.len() > NAMES_LISTED_MAX => {
                format!("`daybook query -c 'SELECT DISTINCT {column} FROM usage'` lists those there are")
            }
            Self::UnknownValue { valid, .. } => format!("there are {}", list(valid)),
            Self::NothingToReplay { turns: 0, .. } => {
                "`daybook report lockin --why WORKLOAD` shows which calls are its own".into()
            }
            Self::NothingToReplay { .. } => {
                "prompts are kept by calls whose events have them, with `--capture full`, the default".into()
            }
            Self::NoBill { .. } => "`daybook import FILE` reads bills and usage reports of providers (docs/reconcile.md)".into(),
            Self::Scenarios { .. } => {
                "docs/simulation.md describes every key; `daybook simulate --example` prints a file to begin with"
                    .into()
            }
            Self::NotPriced { .. } | Self::UnknownTarget { .. } => {
                "`daybook prices list` prints what has a price; `daybook prices import FILE` adds prices".into()
            }
            Self::UnknownColumn { valid, .. } if valid.is_empty() => return None,
            Self::UnknownColumn { valid, .. } if valid.len() > NAMES_LISTED_MAX => {
                "`DESCRIBE table` lists the columns of a table".into()
            }
            Self::UnknownColumn { valid, .. } => format!("known here: {}", list(valid)),
            Self::UnknownFunction { .. } => "`SHOW FUNCTIONS` lists every function".into(),
            Self::ReadOnly { .. } => "use SELECT, EXPLAIN, DESCRIBE or SHOW; a query never writes, entries come from `daybook \
                                      ingest` and `import`, and settings from flags such as --tz"
                .into(),
            Self::UnknownTimeZone { .. } => "use a name of the IANA database, such as `UTC` or `Europe/Berlin`".into(),
            Self::NotAsOf { .. } => {
                "use a version such as `42` or an RFC 3339 instant such as `2026-11-20T09:00:00Z`".into()
            }
            Self::BeforeFirst { first, .. } => format!("use an instant from {first} on"),
            Self::Timeout { .. } => "allow more with --timeout, or read fewer days: filter by `event_date`".into(),
            Self::MemoryExceeded { .. } => "allow more with --memory-limit, or read fewer days or columns".into(),
            Self::NotBytes { .. } => "use a number of bytes with a unit, such as `512MB`, `2g` or `1GiB`".into(),
            Self::Unreadable { damaged: true, .. } => {
                "an older version (--as-of) cannot be read once its files were collected or bodies erased; of the newest, \
                 `daybook verify LEDGER` names every difference"
                    .into()
            }
            Self::Unreadable { damaged: false, .. } => {
                "check AWS_ENDPOINT_URL and the network, then run the query again".into()
            }
            Self::Output { .. } => "check the space and the permissions where the result goes".into(),
            Self::Script { .. } => "check the path and its permissions; `-` reads standard input".into(),
            Self::TooDeep { .. } => {
                "list values with `IN (..)` or `VALUES (..), (..)`, or put parts into parentheses or statements of their own"
                    .into()
            }
            Self::NotInFormat { .. } => "cast the column to text, or use another --format".into(),
            Self::SeveralTables { tables, .. } => format!("choose one with --only: there are {}", list(tables)),
            Self::Ledger(error) => return error.hint(),
            Self::Internal { .. } => "this is a bug of Daybook: please report it with this message".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_says_where() {
        let error = Error::syntax("sql parser error: Expected: an expression, found: FROM at Line: 2, Column: 8");
        assert_eq!(error.to_string(), "SQL syntax at line 2, column 8: expected an expression, found: FROM");
        assert_eq!(Error::syntax("Unterminated string").to_string(), "SQL syntax: Unterminated string");
    }
}
