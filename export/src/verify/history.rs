//! The log of a table against itself: no commit is missing, and checkpoints say what the commits say.

use std::collections::{BTreeMap, BTreeSet};

use daybook_ledger::{DataFile, Error as LedgerError, LogEntry, NextOffset, Snapshot, Table, TableVersion};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;

use super::Verdict;
use super::ledger::{chain, is_damage};
use crate::Error;

/// Log entries read at the same time.
const LOG_READS: usize = 16;
/// Paths named of one checkpoint that differs.
const PATHS_MAX: usize = 3;

/// What the log's folder holds, by version.
#[derive(Debug, Default)]
struct Listing {
    commits: BTreeSet<u64>,
    checkpoints: BTreeSet<u64>,
}

/// The state of a table by its commits alone.
#[derive(Debug, Default)]
struct Replay {
    files: BTreeMap<String, DataFile>,
    positions: BTreeMap<String, NextOffset>,
}

impl Replay {
    fn apply(&mut self, entry: &LogEntry) {
        for path in &entry.removes {
            self.files.remove(path);
        }
        self.files.extend(entry.adds.iter().map(|file| (file.path.clone(), file.clone())));
        self.positions.extend(entry.positions.iter().cloned());
    }
}

/// Reads every commit of `table` up to the last there is, or `sealed` if that is later, and hands each to `take`.
///
/// A commit that is missing or cannot be read is a difference, and so is a checkpoint that does not say what the commits
/// before it say. `newest` is the state readers get.
pub(super) async fn check(
    table: &Table,
    newest: Option<&Snapshot>,
    sealed: Option<u64>,
    verdict: &mut Verdict,
    mut take: impl FnMut(&LogEntry),
) -> Result<(), Error> {
    let listing = list(table).await?;
    let newest = newest.map(|snapshot| (snapshot.version().0, snapshot));
    let last = listing.commits.last().copied().max(newest.map(|(version, _)| version)).max(sealed).unwrap_or(0);
    let mut replay = Replay::default();
    let mut is_whole = true;
    let mut entries =
        stream::iter(0..=last).map(|version| table.load_log_entry(TableVersion(version))).buffered(LOG_READS);
    for version in 0..=last {
        match entries.next().await.transpose() {
            Ok(Some(Some(entry))) => {
                replay.apply(&entry);
                take(&entry);
            }
            Ok(_) => {
                is_whole = false;
                let was_sealed = if sealed >= Some(version) { ", which was sealed" } else { "" };
                verdict.differs(log_place(table, version, "json"), format!("the commit is missing{was_sealed}"));
            }
            Err(error) if is_damage(&error) => {
                is_whole = false;
                verdict.differs(log_place(table, version, "json"), chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        if is_whole && listing.checkpoints.contains(&version) {
            check_checkpoint(table, version, &replay, verdict).await?;
        }
        if let Some((_, newest)) = newest.filter(|(newest, _)| is_whole && version == *newest) {
            compare(&format!("{}/_delta_log", table.spec().name), &newest.files(), &replay, verdict);
        }
    }
    Ok(())
}

/// A checkpoint put in place of another is found by what it changes.
async fn check_checkpoint(table: &Table, version: u64, replay: &Replay, verdict: &mut Verdict) -> Result<(), Error> {
    let place = log_place(table, version, "checkpoint.parquet");
    let loaded = async {
        let mut snapshot = table.load(Some(TableVersion(version))).await?;
        table.load_all_positions(&mut snapshot).await?;
        Ok::<_, LedgerError>(snapshot)
    };
    match loaded.await {
        Ok(snapshot) => {
            compare(&place, &snapshot.files(), replay, verdict);
            let found: BTreeMap<String, NextOffset> =
                snapshot.positions().map(|(app_id, position)| (app_id.to_owned(), position)).collect();
            let differing = |(app_id, position): &(&String, &NextOffset)| found.get(*app_id) != Some(position);
            for (app_id, position) in replay.positions.iter().filter(differing).take(PATHS_MAX) {
                verdict.differs(&*place, format!("it does not have {app_id} at {}, the commits do", position.0));
            }
        }
        Err(error) if is_damage(&error) => verdict.differs(place, chain(&error)),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn compare(place: &str, files: &[DataFile], replay: &Replay, verdict: &mut Verdict) {
    let found: BTreeMap<&str, &DataFile> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    // Readers leave out files by their statistics, and erasure those without bodies.
    let told =
        |file: &DataFile| (file.size, file.rows, file.date, file.sha256.clone(), file.batch_id.clone(), file.bodyless);
    let same = |a: &DataFile, b: &DataFile| told(a) == told(b) && same_statistics(a, b);
    let unknown = found.keys().filter(|path| !replay.files.contains_key(**path));
    for path in unknown.take(PATHS_MAX) {
        verdict.differs(place, format!("it has {path}, which no commit made live"));
    }
    let differing = replay.files.iter().filter_map(|(path, file)| match found.get(path.as_str()) {
        None => Some(format!("it does not have {path}")),
        Some(found) => (!same(found, file)).then(|| format!("what it says of {path} is not what its commit says")),
    });
    for reason in differing.take(PATHS_MAX) {
        verdict.differs(place, reason);
    }
}

fn same_statistics(a: &DataFile, b: &DataFile) -> bool {
    let parsed = |file: &DataFile| {
        file.statistics.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok())
    };
    a.statistics == b.statistics || parsed(a) == parsed(b)
}

fn log_place(table: &Table, version: u64, extension: &str) -> String {
    format!("{}/_delta_log/{version:020}.{extension}", table.spec().name)
}

async fn list(table: &Table) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let mut objects = table.store().list(Some(&Path::from("_delta_log")));
    let failed = |source| LedgerError::store(table.url().to_string(), "list the log", source);
    while let Some(object) = objects.try_next().await.map_err(failed)? {
        let Some((version, extension)) = object.location.filename().and_then(|name| name.split_once('.')) else {
            continue;
        };
        match (version.parse(), extension) {
            (Ok(version), "json") => listing.commits.insert(version),
            (Ok(version), "checkpoint.parquet") => listing.checkpoints.insert(version),
            _ => continue,
        };
    }
    Ok(listing)
}
