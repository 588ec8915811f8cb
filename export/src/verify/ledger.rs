//! A ledger against its log: every live data file is there and is what its commit says.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use daybook_ledger::{DataFile, Error as LedgerError, Ledger, Table, TableVersion};
use futures::TryStreamExt as _;

use super::{TableRows, Verdict};
use crate::source::{Fetched, fetch, rows_in};
use crate::{Error, Progress};

/// Checks every live data file of every table: it exists, has the length, the digest and the rows its commit says.
///
/// A data file no commit names is a note: it belongs to a batch that was lost, and no reader sees it. Memory: the two
/// longest data files.
///
/// # Errors
/// The store's errors; a log that cannot be read is a difference.
pub async fn ledger(ledger: &Ledger, progress: &mut dyn Progress) -> Result<Verdict, Error> {
    let mut verdict = Verdict::default();
    let mut tables = Vec::new();
    for table in ledger.tables() {
        match table.load(None).await {
            Ok(snapshot) => tables.push((table, snapshot.files())),
            Err(LedgerError::NotFound { .. }) if !table.spec().is_founding() => {}
            Err(error) if is_damage(&error) => verdict.differs(table.spec().name, chain(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    progress.start(tables.iter().flat_map(|(_, files)| files).map(|file| file.size).sum());
    for (table, files) in tables {
        let rows = check_files(table, &files, &mut verdict, progress).await?;
        verdict.rows.push(TableRows { table: table.spec().name.into(), rows });
        note_unreferenced(table, &files, &mut verdict).await?;
    }
    Ok(verdict)
}

/// The other errors say that nobody could look.
fn is_damage(error: &LedgerError) -> bool {
    matches!(
        error,
        LedgerError::DamagedLog { .. }
            | LedgerError::DamagedFile { .. }
            | LedgerError::NotOurs { .. }
            | LedgerError::NotFound { .. }
    )
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}

async fn check_files(
    table: &Table,
    files: &[DataFile],
    verdict: &mut Verdict,
    progress: &mut dyn Progress,
) -> Result<u64, Error> {
    let name = table.spec().name;
    let mut rows = 0;
    let mut without_digest = 0_u64;
    for file in files {
        let place = format!("{name}/{}", file.path);
        match fetch(table, file).await? {
            Fetched::Damaged(reason) => verdict.differs(place, reason),
            Fetched::Whole(bytes) => {
                without_digest += u64::from(file.sha256.is_none());
                verdict.bytes += bytes.len() as u64;
                match rows_of(bytes).await {
                    Ok(found) if found == file.rows => {}
                    Ok(found) => verdict.differs(place, format!("it has {found} rows, its commit says {}", file.rows)),
                    Err(reason) => verdict.differs(place, format!("it cannot be read as Parquet: {reason}")),
                }
            }
        }
        rows += file.rows;
        verdict.files += 1;
        progress.advance(file.size);
    }
    if without_digest > 0 {
        verdict.note(
            name,
            format!("{without_digest} data files have no digest in their commit: only length and rows were checked"),
        );
    }
    Ok(rows)
}

/// On a thread of its own: a reader that panics on damaged bytes is a difference too.
async fn rows_of(bytes: Bytes) -> Result<u64, String> {
    match tokio::task::spawn_blocking(move || rows_in(bytes)).await {
        Ok(rows) => rows,
        Err(_) => Err("the reader gave up".into()),
    }
}

/// Names the data files no commit made visible, and whether the log knows their batch.
async fn note_unreferenced(table: &Table, files: &[DataFile], verdict: &mut Verdict) -> Result<(), Error> {
    let name = table.spec().name;
    let live: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut unreferenced = BTreeSet::new();
    let mut objects = table.store().list(None);
    let failed = |source| LedgerError::store(table.url().to_string(), "list the data files", source);
    while let Some(object) = objects.try_next().await.map_err(failed)? {
        let path = object.location.to_string();
        if path.ends_with(".parquet") && !path.starts_with("_delta_log/") && !live.contains(path.as_str()) {
            unreferenced.insert(path);
        }
    }
    if unreferenced.is_empty() {
        return Ok(());
    }
    let batches = batches(table).await?;
    for path in unreferenced {
        let batch = batch_of(&path);
        let why = match batches.contains(batch) {
            true => format!("not live, although batch {batch} is in the log"),
            false => format!("no commit names it: batch {batch} was lost before it became visible"),
        };
        verdict.note(format!("{name}/{path}"), why);
    }
    Ok(())
}

/// Ids of all batches in the log.
async fn batches(table: &Table) -> Result<HashSet<String>, Error> {
    let mut snapshot = table.load(Some(TableVersion(0))).await?;
    Ok(table.refresh(&mut snapshot).await?.into_iter().map(|(batch_id, _)| batch_id).collect())
}

/// `event_date=2026-11-20/<batch>-0000.parquet`.
fn batch_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('-').map_or(name, |(batch, _)| batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_in_the_name_of_its_files() {
        assert_eq!(batch_of("event_date=2026-11-20/a-b-0001.parquet"), "a-b");
        assert_eq!(batch_of("x.parquet"), "x.parquet");
    }
}
