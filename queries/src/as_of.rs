//! Which state of the ledger a session reads.

use std::str::FromStr;

use daybook_ledger::{Error as LedgerError, Instant, Ledger, Snapshot, Table, TableVersion};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::Error;

/// A state of the whole ledger.
///
/// Each table has its own versions, so a state is an instant: of each table, the newest version committed at or before
/// it. A version is one of `usage` and means the instant of its commit; bodies commit before their entries, so they are
/// there. Instants are those the commits themselves state, to the millisecond, and survive copying a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// A version of `usage`.
    Version(TableVersion),
    /// An instant.
    Instant(Instant),
}

impl FromStr for AsOf {
    type Err = Error;

    /// Reads `42` or `2026-11-20T09:00:00Z`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let version = text.parse().ok().map(|version| Self::Version(TableVersion(version)));
        let instant = || Instant::parse(text).map(Self::Instant);
        version.or_else(instant).ok_or_else(|| Error::NotAsOf { text: text.into() })
    }
}

/// Loads `tables` as they were, in their order. `None`: a table that later versions of Daybook brought and that the
/// ledger did not have then.
pub(crate) async fn load(
    ledger: &Ledger,
    tables: &[&Table],
    as_of: Option<AsOf>,
) -> Result<Vec<Option<Snapshot>>, Error> {
    let usage = ledger.usage();
    let (instant, usage_version) = match as_of {
        None => (None, None),
        Some(AsOf::Instant(instant)) => (Some(instant), None),
        Some(AsOf::Version(version)) => {
            // Loading first tells a version that never was from a log that cannot be read.
            let snapshot = usage.load(Some(version)).await?;
            (Some(committed_at(usage, version).await?), Some(snapshot))
        }
    };
    let load = |table: &'_ Table| {
        let known = usage_version.clone().filter(|_| table.spec().name == usage.spec().name);
        let table = table.clone();
        async move {
            match known {
                Some(snapshot) => Ok(Some(snapshot)),
                None => load_if_there(&table, instant).await,
            }
        }
    };
    // All are awaited even if one fails: a log reader of delta-rs left behind panics when the runtime ends.
    let mut loaded = futures::future::join_all(tables.iter().map(|table| load(table))).await;
    // Of several tables that are younger the youngest is named: an instant it has a version at does for all of them.
    let first = |loaded: &Result<_, Error>| match loaded {
        Err(Error::BeforeFirst { first, .. }) => Some(*first),
        _ => None,
    };
    let youngest = loaded.iter().enumerate().filter_map(|(at, loaded)| Some((first(loaded)?, at))).max();
    if let Some((_, at)) = youngest {
        loaded.swap(0, at);
    }
    loaded.into_iter().collect()
}

async fn load_if_there(table: &Table, instant: Option<Instant>) -> Result<Option<Snapshot>, Error> {
    match load_one(table, instant).await {
        Err(Error::Ledger(LedgerError::NotFound { .. }) | Error::BeforeFirst { .. }) if !table.spec().is_founding() => {
            Ok(None)
        }
        loaded => loaded.map(Some),
    }
}

async fn load_one(table: &Table, instant: Option<Instant>) -> Result<Snapshot, Error> {
    let newest = table.load(None).await?;
    let Some(instant) = instant else { return Ok(newest) };
    let last = newest.version();
    match version_at(table, last, instant).await? {
        version if version == last => Ok(newest),
        version => Ok(table.load(Some(version)).await?),
    }
}

/// The newest version up to `last` committed at or before `instant`, found by halving.
///
/// Writers' clocks may differ by a little; where commit times step back, this is one of the versions around the step.
async fn version_at(table: &Table, last: TableVersion, instant: Instant) -> Result<TableVersion, Error> {
    if committed_at(table, last).await? <= instant {
        return Ok(last);
    }
    let first = committed_at(table, TableVersion(0)).await?;
    if first > instant {
        return Err(Error::BeforeFirst { table: table.spec().name, instant, first });
    }
    let (mut before, mut after) = (0, last.0);
    while after - before > 1 {
        let middle = before.midpoint(after);
        match committed_at(table, TableVersion(middle)).await? <= instant {
            true => before = middle,
            false => after = middle,
        }
    }
    Ok(TableVersion(before))
}

/// When `version` was committed, as its own log entry says; when its object was written if the entry does not say.
async fn committed_at(table: &Table, version: TableVersion) -> Result<Instant, Error> {
    let path = Path::from(format!("_delta_log/{:020}.json", version.0));
    let failed = |source| daybook_ledger::Error::store(table.url().as_str(), "read the log", source);
    let entry = table.store().get(&path).await.map_err(failed)?;
    let written = Instant::from_micros(entry.meta.last_modified.timestamp_micros());
    let bytes = entry.bytes().await.map_err(failed)?;
    Ok(bytes.split(|byte| *byte == b'\n').find_map(stated_instant).unwrap_or(written))
}

#[derive(serde::Deserialize)]
struct LogLine {
    #[serde(rename = "commitInfo")]
    commit_info: Option<CommitInfo>,
}

#[derive(serde::Deserialize)]
struct CommitInfo {
    timestamp: Option<i64>,
}

fn stated_instant(line: &[u8]) -> Option<Instant> {
    let line: LogLine = serde_json::from_slice(line).ok()?;
    Instant::from_millis(line.commit_info?.timestamp?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_version_or_an_instant() {
        assert_eq!("42".parse::<AsOf>().unwrap(), AsOf::Version(TableVersion(42)));
        let instant = Instant::parse("2026-11-20T09:00:00Z").unwrap();
        assert_eq!("2026-11-20T10:00:00+01:00".parse::<AsOf>().unwrap(), AsOf::Instant(instant));
        for text in ["", "-1", "yesterday", "2026-11-20", "2026-11-20T09:00:00"] {
            let error = text.parse::<AsOf>().unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}` is neither a version nor an instant"));
        }
    }
}
