//! Deleting files that no version needs: those of lost batches, and those whose rows were put elsewhere long ago.
//!
//! Order of effects, and what a crash between two of them leaves:
//! 1. the objects are listed and compared with the newest version and with the whole log: nothing happened;
//! 2. a commit says that files are about to be deleted: no reader notices;
//! 3. the files are deleted one after another: the others are found the next time.
//!
//! The commit of step 2 stands between a writer that is slow beyond measure and its files. A commit lands only on the very
//! next version. So a batch whose files are not named yet either lands before step 2, whose version then has them live,
//! or its writer reads of step 2 before it may try again, and stores its files anew under other names.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutPayload};

use super::{ATTEMPTS_MAX, Run, pause};
use crate::table::{COLLECTED, Maintenance, MaintenanceOutcome};
use crate::{Error, Instant, Snapshot, Table};

/// How the objects begin by which a store is asked for its time. A run that dies leaves one.
const PROBE: &str = "_time-";

/// How long files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Files no commit names: of batches that were lost, or are on their way.
    pub unnamed: Duration,
    /// Files whose rows were put elsewhere: of versions that a query or an export may still read.
    pub superseded: Duration,
}

/// An object that may be deleted.
#[derive(Clone, Debug)]
pub(super) struct Dead {
    pub(super) path: Path,
    pub(super) bytes: u64,
}

/// What the log knows of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Never,
    Live,
    RemovedAt(Option<Instant>),
}

/// The data files in the store that `snapshot` does not name, and what earlier runs left.
pub(super) async fn list_not_live(table: &Table, snapshot: &Snapshot) -> Result<Vec<ObjectMeta>, Error> {
    let live: HashSet<String> = snapshot.files().into_iter().map(|file| file.path).collect();
    let failed = |source| Error::store(table.url().to_string(), "list the data files", source);
    let objects = table.store().list(None).map_err(failed);
    let is_dead = |object: &ObjectMeta| {
        let path = object.location.as_ref();
        let is_data = path.ends_with(".parquet") && !path.starts_with("_delta_log/");
        (is_data || path.starts_with(PROBE)) && !live.contains(path)
    };
    objects.try_filter(|object| std::future::ready(is_dead(object))).try_collect().await
}

/// The files that were not needed for as long as `keep` says.
pub(super) async fn find(table: &Table, snapshot: &Snapshot, keep: Keep, run: &Run<'_>) -> Result<Vec<Dead>, Error> {
    let objects = list_not_live(table, snapshot).await?;
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let now = earlier_of_clocks(table, run).await?;
    let named = names(table, snapshot, &objects).await?;
    let is_old = |since: Instant, age: Duration| {
        u128::try_from(now.micros().saturating_sub(since.micros())).is_ok_and(|micros| micros >= age.as_micros())
    };
    let is_spent = |object: &ObjectMeta| match named.get(object.location.as_ref()).copied() {
        Some(Named::Never) | None => {
            is_old(Instant::from_micros(object.last_modified.timestamp_micros()), keep.unnamed)
        }
        Some(Named::RemovedAt(Some(at))) => is_old(at, keep.superseded),
        Some(Named::RemovedAt(None) | Named::Live) => false,
    };
    let spent = objects.into_iter().filter(is_spent);
    Ok(spent.map(|object| Dead { path: object.location, bytes: object.size }).collect())
}

/// What the whole log says of `objects`.
pub(super) async fn names(
    table: &Table,
    snapshot: &Snapshot,
    objects: &[ObjectMeta],
) -> Result<HashMap<String, Named>, Error> {
    let mut named: HashMap<String, Named> =
        objects.iter().map(|object| (object.location.to_string(), Named::Never)).collect();
    let mut entries = table.log_entries(0..=snapshot.version().0);
    while let Some(entry) = entries.try_next().await? {
        for added in &entry.adds {
            named.entry(added.path.clone()).and_modify(|name| *name = Named::Live);
        }
        for removed in &entry.removes {
            named.entry(removed.clone()).and_modify(|name| *name = Named::RemovedAt(entry.committed_at));
        }
    }
    Ok(named)
}

/// Now, by this machine or by the store, whichever is earlier: a clock that runs ahead must not make files look old.
async fn earlier_of_clocks(table: &Table, run: &Run<'_>) -> Result<Instant, Error> {
    let now = run.clock.now();
    if run.dry_run {
        return Ok(now);
    }
    let failed = |source| Error::store(table.url().to_string(), "ask the store for the time", source);
    let probe = Path::from(format!("{PROBE}{}", run.id));
    let mut attempts = 0..ATTEMPTS_MAX;
    let stored = loop {
        table.store().put(&probe, PutPayload::new()).await.map_err(failed)?;
        match table.store().head(&probe).await {
            // A run whose clock is ahead took it for one that was left behind.
            Err(object_store::Error::NotFound { .. }) if attempts.next().is_some() => {}
            found => break found.map_err(failed)?,
        }
    };
    match table.store().delete(&probe).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(source) => return Err(failed(source)),
    }
    Ok(now.min(Instant::from_micros(stored.last_modified.timestamp_micros())))
}

/// Deletes `dead`, except what became live in the meantime; answers with what was deleted.
pub(super) async fn delete(
    table: &Table,
    snapshot: &mut Snapshot,
    dead: Vec<Dead>,
    run: &Run<'_>,
) -> Result<Vec<Dead>, Error> {
    let dead = announce(table, snapshot, dead, run).await?;
    let failed = |source| Error::store(table.url().to_string(), "delete a data file", source);
    let paths = stream::iter(dead.iter().map(|file| Ok(file.path.clone())).collect::<Vec<_>>()).boxed();
    let mut deleted = table.store().delete_stream(paths);
    while let Some(path) = deleted.next().await {
        match path {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(failed(source)),
        }
    }
    Ok(dead)
}

/// Commits that `dead` is about to be deleted, on a version that names none of it.
async fn announce(
    table: &Table,
    snapshot: &mut Snapshot,
    mut dead: Vec<Dead>,
    run: &Run<'_>,
) -> Result<Vec<Dead>, Error> {
    let batch_id = run.batch_id(table);
    for attempt in 0..ATTEMPTS_MAX {
        dead.retain(|file| !snapshot.came_to_name(file.path.as_ref()));
        if dead.is_empty() {
            return Ok(dead);
        }
        let bytes: u64 = dead.iter().map(|file| file.bytes).sum();
        let change = Maintenance {
            batch_id: &batch_id,
            kind: COLLECTED,
            removes: &[],
            adds: Vec::new(),
            info: vec![("files", dead.len().into()), ("bytes", bytes.into())],
            now: run.clock.now(),
        };
        if let MaintenanceOutcome::Committed = table.try_maintain(snapshot, &change).await? {
            return Ok(dead);
        }
        pause(attempt).await;
    }
    Err(Error::RaceLost { table: table.spec().name, version: snapshot.version(), attempts: ATTEMPTS_MAX })
}
