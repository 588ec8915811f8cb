//! Many small files of a day become few large ones.
//!
//! Order of effects, and what a crash between two of them leaves:
//! 1. the new files are written: no commit names them, they are collected later;
//! 2. one commit takes the old files from view and makes the new ones visible: done;
//! 3. the old files stay for readers of older versions, and are collected later.

use std::collections::BTreeMap;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::json;

use super::digest::RowsDigest;
use super::work::{Order, Tally, Work};
use super::{ATTEMPTS_MAX, Run, pause};
use crate::table::{Maintenance, MaintenanceOutcome, off_the_runtime};
use crate::{DataFile, Date, Error, Snapshot, StoredFile, Table};

/// Files in one commit: what their removal takes in the log stays small.
const GROUP_FILES_MAX: usize = 4_096;

/// What compaction did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Commits.
    pub commits: u64,
    /// Files taken from view.
    pub files_before: u64,
    /// Files in their place; 0 in a dry run.
    pub files_after: u64,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after; 0 in a dry run.
    pub bytes_after: u64,
    /// Rows written anew.
    pub rows: u64,
    /// Rows whose entry another row of the same files is about: they are kept, and counted.
    pub duplicates: u64,
    /// Groups that another maintainer had done first.
    pub lost: u64,
}

/// Files to become one.
#[derive(Clone, Debug)]
pub(super) struct Group {
    date: Date,
    files: Vec<DataFile>,
}

/// Which files are worth writing anew.
///
/// Of each day the small ones, but only as long as the result is at least half as large again as its largest part: so a
/// row is written again a few times in its life, not at every run.
pub(super) fn plan(files: Vec<DataFile>, target_bytes: u64) -> Vec<Group> {
    let mut days: BTreeMap<Date, Vec<DataFile>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.size < target_bytes / 2) {
        days.entry(file.date).or_default().push(file);
    }
    days.into_iter().flat_map(|(date, files)| groups(date, files, target_bytes)).collect()
}

fn groups(date: Date, mut files: Vec<DataFile>, target_bytes: u64) -> Vec<Group> {
    files.sort_unstable_by(|a, b| (a.size, &a.path).cmp(&(b.size, &b.path)));
    let mut total = 0;
    let worth = files.iter().enumerate().filter_map(|(at, file)| {
        total += file.size;
        (at > 0 && 2 * total >= 3 * file.size).then_some(at + 1)
    });
    let worth = worth.max().unwrap_or(0);
    files.truncate(worth);
    // In the order of time, so that row groups are.
    files.sort_by_cached_key(|file| (file.first_started_at(), file.path.clone()));
    let mut groups: Vec<Group> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.size;
        match groups.last_mut() {
            Some(group) if bytes <= target_bytes && group.files.len() < GROUP_FILES_MAX => group.files.push(file),
            _ => {
                bytes = file.size;
                groups.push(Group { date, files: vec![file] });
            }
        }
    }
    groups.retain(|group| group.files.len() > 1);
    groups
}

/// Writes the small files of `table` anew, day by day.
pub(super) async fn compact(
    table: &Table,
    snapshot: &mut Snapshot,
    target_bytes: u64,
    run: &Run<'_>,
) -> Result<Compacted, Error> {
    let mut done = Compacted::default();
    for group in plan(snapshot.files(), target_bytes) {
        if run.dry_run {
            done.count(&group);
            done.commits += 1;
            continue;
        }
        // Another maintainer may have been here since the plan was made.
        table.refresh(snapshot).await?;
        match snapshot.holds(&group.files) {
            true => compact_group(table, snapshot, &group, target_bytes, run, &mut done).await?,
            false => done.lost += 1,
        }
    }
    Ok(done)
}

async fn compact_group(
    table: &Table,
    snapshot: &mut Snapshot,
    group: &Group,
    target_bytes: u64,
    run: &Run<'_>,
    done: &mut Compacted,
) -> Result<(), Error> {
    let order = Order { spec: table.spec(), date: group.date, target_bytes, erase: None };
    let batch_id = run.batch_id(table);
    let Some(written) = write(table, &group.files, order, &batch_id).await? else {
        done.lost += 1;
        return Ok(());
    };
    let change = Maintenance {
        batch_id: &batch_id,
        kind: "compact",
        removes: &group.files,
        adds: written.files,
        info: vec![
            ("rows", json!(written.rows)),
            ("rows_digest", json!(written.digest)),
            ("duplicates", json!(written.duplicates)),
        ],
        now: run.clock.now(),
    };
    if !commit(table, snapshot, &change).await? {
        done.lost += 1;
        return Ok(());
    }
    done.commits += 1;
    done.count(group);
    done.files_after += change.adds.len() as u64;
    done.bytes_after += change.adds.iter().map(StoredFile::size).sum::<u64>();
    done.duplicates += written.duplicates;
    if written.duplicates > 0 {
        let (table, date, duplicates) = (table.spec().name, group.date, written.duplicates);
        tracing::warn!(table, %date, duplicates, "entries are there more than once; compaction kept every row");
    }
    Ok(())
}

impl Compacted {
    fn count(&mut self, group: &Group) {
        self.files_before += group.files.len() as u64;
        self.bytes_before += group.files.iter().map(|file| file.size).sum::<u64>();
        self.rows += group.files.iter().map(|file| file.rows).sum::<u64>();
    }
}

/// Files written anew, that no commit names yet.
pub(super) struct Written {
    pub(super) files: Vec<StoredFile>,
    pub(super) rows: u64,
    pub(super) digest: String,
    pub(super) duplicates: u64,
    pub(super) erased: u64,
}

/// Writes the rows of `files` into new ones; `None` if one of these is gone, as another maintainer was faster.
pub(super) async fn write(
    table: &Table,
    files: &[DataFile],
    order: Order,
    batch_id: &str,
) -> Result<Option<Written>, Error> {
    let mut stored = Vec::new();
    match write_into(table, files, order, batch_id, &mut stored).await {
        Err(Error::FileGone { .. }) => {
            discard(table, &stored).await;
            Ok(None)
        }
        done => {
            let (digest, tally) = done?;
            if tally.bodies == Some(0) {
                stored.iter_mut().for_each(StoredFile::mark_bodyless);
            }
            let (duplicates, erased) = (tally.duplicates, tally.erased);
            Ok(Some(Written { files: stored, rows: digest.rows(), digest: digest.to_string(), duplicates, erased }))
        }
    }
}

async fn write_into(
    table: &Table,
    files: &[DataFile],
    order: Order,
    batch_id: &str,
    stored: &mut Vec<StoredFile>,
) -> Result<(RowsDigest, Tally), Error> {
    let mut work = Work::new(order, files);
    let mut encoded = Vec::new();
    for file in files {
        let (bytes, owned) = (table.load_whole(file).await?, file.clone());
        (work, encoded) = off_the_runtime(move || {
            let done = work.add(&owned, bytes)?;
            Ok((work, done))
        })
        .await?;
        for file in encoded.drain(..) {
            stored.push(table.store_file(&file, batch_id, stored.len()).await?);
        }
    }
    let (last, digest, tally) = off_the_runtime(move || work.finish()).await?;
    encoded.extend(last);
    for file in &encoded {
        stored.push(table.store_file(file, batch_id, stored.len()).await?);
    }
    Ok((digest, tally))
}

/// Deletes files that no commit will name: an erasure that was faster may have listed what to delete before they were there, and
/// they may hold what it took out. What fails here is collected later.
async fn discard(table: &Table, files: &[StoredFile]) {
    for file in files {
        match table.store().delete(&Path::from(file.path())).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, file = file.path(), "a file that no commit names stays until it is collected");
            }
        }
    }
}

/// Commits `change`; false if another maintainer was faster.
pub(super) async fn commit(table: &Table, snapshot: &mut Snapshot, change: &Maintenance<'_>) -> Result<bool, Error> {
    for attempt in 0.. {
        match table.try_maintain(snapshot, change).await {
            Ok(MaintenanceOutcome::Committed) => return Ok(true),
            // Its inputs were taken from view, or its files may have been collected. Every version that was tried is another's
            // now, unless it was this commit that took one.
            Ok(MaintenanceOutcome::Stale) | Err(Error::FileGone { .. }) => {
                let mut files = change.adds.clone();
                files.retain(|file| !snapshot.came_to_name(file.path()));
                discard(table, &files).await;
                return Ok(false);
            }
            // Writers come first: each of their commits takes seconds to prepare, this one is ready.
            Ok(MaintenanceOutcome::Lost) if attempt < ATTEMPTS_MAX => {}
            Ok(MaintenanceOutcome::Lost) => {
                let (table, version) = (table.spec().name, snapshot.version());
                return Err(Error::RaceLost { table, version, attempts: attempt });
            }
            // The outcome is unknown, and the same commit cannot land twice.
            Err(Error::StoreUnavailable { .. }) if attempt < ATTEMPTS_MAX => {}
            Err(error) => return Err(error),
        }
        pause(attempt).await;
    }
    unreachable!("the loop ends by returning")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(day: i32, name: &str, size: u64) -> DataFile {
        DataFile {
            path: name.into(),
            size,
            rows: 1,
            date: Date::from_days(day),
            sha256: None,
            batch_id: None,
            bodyless: false,
            statistics: None,
        }
    }

    fn planned(files: &[(i32, &str, u64)], target: u64) -> Vec<Vec<String>> {
        let files = files.iter().map(|(day, name, size)| file(*day, name, *size)).collect();
        plan(files, target).into_iter().map(|g| g.files.into_iter().map(|f| f.path).collect()).collect()
    }

    #[test]
    fn small_files_of_a_day_become_one_and_days_stay_apart() {
        let files = [(1, "a", 10), (1, "b", 10), (2, "c", 10), (3, "d", 10), (3, "e", 12), (3, "f", 90)];
        assert_eq!(planned(&files, 100), [["a", "b"], ["d", "e"]]);
    }

    #[test]
    fn a_large_file_is_not_written_again_for_a_small_one() {
        assert!(planned(&[(1, "a", 40), (1, "b", 1)], 100).is_empty());
        assert_eq!(planned(&[(1, "a", 40), (1, "b", 1), (1, "c", 1)], 100), [["b", "c"]]);
        assert_eq!(planned(&[(1, "a", 40), (1, "b", 20), (1, "c", 20)], 100), [["a", "b", "c"]]);
    }

    #[test]
    fn a_group_is_at_most_the_target() {
        let files: Vec<(i32, String, u64)> = (0..10).map(|n| (1, format!("f{n}"), 30)).collect();
        let files: Vec<(i32, &str, u64)> = files.iter().map(|(day, name, size)| (*day, name.as_str(), *size)).collect();
        assert_eq!(planned(&files, 100).iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    }
}
