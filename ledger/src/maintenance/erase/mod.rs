//! Removing what was said, for good: from the current files, from those of older versions, from files no commit names.
//!
//! Rows stay. An entry's row in `content` or `content_partial` keeps its id and digest and loses everything else, so the same
//! event that comes again is known and brings its body back no more. Counts, costs and positions are in other columns and
//! tables.
//!
//! Order of effects, and what a crash between two of them leaves; the same request again finds what is left to do:
//! 1. new files without the bodies are written: no commit names them;
//! 2. one commit each puts them in the place of the files that have them: no query finds the bodies any more;
//! 3. the erasure is written down in `evidence`, while files that still hold the bodies tell the next run that there was one;
//! 4. a commit says that files are about to be deleted (`collect.rs`);
//! 5. every file that is not live and holds one of the bodies is deleted: older versions cannot be read any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::ObjectMeta;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::collect::{self, Dead, Named};
use super::compact::{commit, write};
use super::work::Order;
use super::{ATTEMPTS_MAX, Run};
use crate::file::hex;
use crate::schema::PARTITION;
use crate::table::Maintenance;
use crate::{DataFile, Date, EntryId, Error, Evidence, EvidenceKind, Ledger, Snapshot, Table};

mod selection;
mod subject;

use self::selection::find;
pub(super) use self::selection::{Selection, bodies_in};

/// A file that nobody wrote to for so long has no writer.
const HALF_WRITTEN: Duration = Duration::from_secs(60);

/// Whose bodies are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Of all calls made for this person or customer: `end_user` in `usage`.
    Subject(String),
    /// Of these entries.
    Entries(Vec<EntryId>),
    /// Of all calls of days before this one.
    Before(Date),
}

/// What an erasure did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The entries asked for, if they were asked for one by one or by their subject.
    pub entries: Option<u64>,
    /// SHA-256 over their ids in order, a line each in hexadecimal.
    pub entries_sha256: Option<String>,
    /// By table.
    pub tables: Vec<ErasedTable>,
}

/// What an erasure did to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErasedTable {
    /// The table.
    pub table: &'static str,
    /// The version it was found in.
    pub version_before: u64,
    /// The version it was left in.
    pub version_after: u64,
    /// Rows that lost what was said.
    pub rows_erased: u64,
    /// Files written anew.
    pub files_rewritten: u64,
    /// Objects found that are not live and hold what was said.
    pub objects_found: u64,
    /// Objects deleted: what was found, and half written files.
    pub objects_deleted: u64,
    /// Their bytes, without those of half written files.
    pub bytes_deleted: u64,
}

/// Erases the bodies of `wanted` from `ledger`.
///
/// # Errors
/// [`Error::NoSuchEntry`] if an entry is not in the ledger: nothing is erased then; and the ledger's.
pub async fn erase(ledger: &Ledger, wanted: &Wanted, target_bytes: u64, run: &Run<'_>) -> Result<Erased, Error> {
    let selection = find(ledger, wanted).await?;
    let ids = match &selection {
        Selection::Before(_) | Selection::Aged(_) => None,
        Selection::Found(found) => Some(found.sorted_ids()),
    };
    let selection = Arc::new(selection);
    let asked = match wanted {
        Wanted::Subject(_) => "by subject".to_owned(),
        Wanted::Entries(_) => "by entry".to_owned(),
        Wanted::Before(date) => format!("before {date}"),
    };
    let mut erased = Erased {
        entries: ids.as_ref().map(|ids| ids.len() as u64),
        entries_sha256: ids.map(|ids| {
            let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
            hex(&Sha256::digest(lines))
        }),
        tables: Vec::new(),
    };
    let mut tables = vec![ledger.content(), ledger.quarantine()];
    // A ledger of an earlier version has none.
    if ledger.content_partial().exists().await? {
        tables.insert(1, ledger.content_partial());
    }
    Box::pin(erase_from(ledger, &tables, &selection, &asked, target_bytes, run, &mut erased)).await?;
    Ok(erased)
}

/// Writes `erased` down as evidence. Who the subject was is not said: the ledger may have no other trace of the name.
async fn record(ledger: &Ledger, erased: &Erased, asked: &str, run: &Run<'_>) -> Result<(), Error> {
    if run.dry_run || erased.is_nothing() {
        return Ok(());
    }
    let now = run.clock.now();
    let sum = |count: fn(&ErasedTable) -> u64| erased.tables.iter().map(count).sum::<u64>();
    // Written before the first file is deleted: what is still to come is not said to be done.
    let note = match (sum(|table| table.rows_erased), sum(|table| table.objects_found)) {
        (0, 0) => format!("nothing was left to remove, {asked}"),
        (0, found) => format!("older files that an erasure left are to be deleted, {asked}: {found}"),
        (rows, 0) => format!("what was said in {rows} rows was removed, {asked}"),
        (rows, found) => format!(
            "what was said in {rows} rows was removed from the live files, {asked}; older files to be deleted: {found}"
        ),
    };
    let fact = Evidence {
        id: Some(format!("{}-{}", run.id, run.commits.fetch_add(1, Ordering::Relaxed))),
        note: Some(note),
        details: Some(json!(erased).to_string()),
        ..Evidence::new(EvidenceKind::Erasure, now.date())
    };
    ledger.record(&[fact], now).await.map(drop)
}

impl Erased {
    /// Whether nothing was found to erase.
    pub fn is_nothing(&self) -> bool {
        self.entries.is_none_or(|count| count == 0)
            && self.tables.iter().all(|table| table.rows_erased == 0 && table.objects_found == 0)
    }
}

/// Erases the bodies of `table` that are older than `before`.
pub(super) async fn retire(
    ledger: &Ledger,
    table: &Table,
    before: Date,
    target_bytes: u64,
    run: &Run<'_>,
) -> Result<ErasedTable, Error> {
    let selection = Arc::new(Selection::Aged(before));
    let mut erased = Erased { entries: None, entries_sha256: None, tables: Vec::new() };
    let asked = format!("before {before}");
    Box::pin(erase_from(ledger, &[table], &selection, &asked, target_bytes, run, &mut erased)).await?;
    Ok(erased.tables.pop().unwrap_or_default())
}

/// Erases what `selection` names from `tables`, and writes that down; `erased` tells what was done, or would be.
async fn erase_from(
    ledger: &Ledger,
    tables: &[&Table],
    selection: &Arc<Selection>,
    asked: &str,
    target_bytes: u64,
    run: &Run<'_>,
    erased: &mut Erased,
) -> Result<(), Error> {
    let mut dead = Vec::new();
    let mut lost = None;
    for table in tables {
        let Blanked { done, all_done, snapshot, dead: found } = blank_live(table, selection, target_bytes, run).await?;
        if !all_done {
            let (table, version) = (table.spec().name, snapshot.version());
            lost.get_or_insert(Error::RaceLost { table, version, attempts: ATTEMPTS_MAX });
        }
        erased.tables.push(done);
        dead.push((table, snapshot, found));
    }
    if run.dry_run {
        return Ok(());
    }
    record(ledger, erased, asked, run).await?;
    for (done, (table, mut snapshot, found)) in erased.tables.iter_mut().zip(dead) {
        let deleted = collect::delete(table, &mut snapshot, found, run).await?;
        done.objects_deleted = deleted.len() as u64;
        done.bytes_deleted = deleted.iter().map(|object| object.bytes).sum();
        done.objects_deleted += ledger.root().remove_leftovers(table.spec().name, HALF_WRITTEN)?;
        done.version_after = snapshot.version().0;
    }
    // What was done is done and recorded; the same request again does the rest.
    lost.map_or(Ok(()), Err)
}

/// A table whose live files have no body that is selected.
struct Blanked {
    done: ErasedTable,
    /// False if a file was taken from view again and again before it could be rewritten.
    all_done: bool,
    snapshot: Snapshot,
    /// Objects that still hold some.
    dead: Vec<Dead>,
}

/// Takes the bodies out of every live file of `table`. What writers add without an end is left to the next erasure.
async fn blank_live(
    table: &Table,
    selection: &Arc<Selection>,
    target_bytes: u64,
    run: &Run<'_>,
) -> Result<Blanked, Error> {
    let mut snapshot = table.load(None).await?;
    let version_before = snapshot.version().0;
    let mut done = ErasedTable { table: table.spec().name, version_before, ..ErasedTable::default() };
    let mut all_done = false;
    for _ in 0..ATTEMPTS_MAX {
        all_done = rewrite_live(table, &mut snapshot, selection, target_bytes, run, &mut done).await?;
        if run.dry_run {
            break;
        }
        // What others added or wrote anew in the meantime is looked at too.
        table.refresh(&mut snapshot).await?;
        if all_done && snapshot.news().is_empty() {
            break;
        }
        snapshot = table.load(None).await?;
    }
    let dead = find_dead(table, &snapshot, selection).await?;
    // Those that would be written anew would be old ones then.
    done.objects_found = dead.len() as u64 + if run.dry_run { done.files_rewritten } else { 0 };
    done.version_after = snapshot.version().0;
    Ok(Blanked { done, all_done, snapshot, dead })
}

/// Writes the live files anew that hold a body selected; false if some of them were no longer live.
async fn rewrite_live(
    table: &Table,
    snapshot: &mut Snapshot,
    selection: &Arc<Selection>,
    target_bytes: u64,
    run: &Run<'_>,
    done: &mut ErasedTable,
) -> Result<bool, Error> {
    let spec = table.spec();
    let mut all_done = true;
    for file in snapshot.files() {
        if file.bodyless || !selection.may_select(spec, file.date) {
            continue;
        }
        let rows = match selected(table, &file, selection).await {
            Err(Error::FileGone { .. }) => {
                table.check_gone(&file).await?;
                all_done = false;
                continue;
            }
            rows => rows?,
        };
        if rows == 0 || run.dry_run {
            done.rows_erased += rows;
            done.files_rewritten += u64::from(rows > 0);
            continue;
        }
        let order = Order { spec, date: file.date, target_bytes, erase: Some(Arc::clone(selection)) };
        let batch_id = run.batch_id(table);
        let files = std::slice::from_ref(&file);
        let Some(written) = write(table, files, order, &batch_id).await? else {
            table.check_gone(&file).await?;
            all_done = false;
            continue;
        };
        let change = Maintenance {
            batch_id: &batch_id,
            kind: "erase",
            removes: files,
            adds: written.files,
            info: vec![
                ("rows", json!(written.rows)),
                ("rows_digest", json!(written.digest)),
                ("erased", json!(written.erased)),
            ],
            now: run.clock.now(),
        };
        match commit(table, snapshot, &change).await? {
            true => {
                done.rows_erased += written.erased;
                done.files_rewritten += 1;
            }
            false => all_done = false,
        }
    }
    Ok(all_done)
}

/// Rows of `file` that have a body and are selected.
async fn selected(table: &Table, file: &DataFile, selection: &Selection) -> Result<u64, Error> {
    let spec = table.spec();
    if let Selection::Found(found) = selection
        && spec.is_of_bodies()
    {
        // Ids alone tell of most files that they hold none.
        let here = table.load_entry_ids(file).await?;
        if !here.iter().any(|id| found.may_take(file.date, id)) {
            return Ok(0);
        }
    }
    let mut rows = 0;
    let mut batches = std::pin::pin!(table.stream_columns(file, &selection.columns(spec)).await?);
    while let Some(batch) = batches.try_next().await? {
        rows += selection.rows(spec, file.date, &batch)?.len() as u64;
    }
    Ok(rows)
}

/// The objects that are not live and may hold a body selected.
async fn find_dead(table: &Table, snapshot: &Snapshot, selection: &Selection) -> Result<Vec<Dead>, Error> {
    let mut dead = Vec::new();
    let objects = collect::list_not_live(table, snapshot).await?;
    let named = match selection {
        Selection::Found(_) if !objects.is_empty() => collect::names(table, snapshot, &objects).await?,
        _ => HashMap::new(),
    };
    for object in objects {
        let file = unnamed(&object);
        // Of a batch that was lost: its calls may be in no table, so nothing tells whose they are.
        let is_lost = named.get(&file.path).is_none_or(|name| *name == Named::Never);
        let holds = match selection {
            Selection::Found(_) if is_lost => true,
            _ if !selection.may_select(table.spec(), file.date) => false,
            _ => match selected(table, &file, selection).await {
                Ok(rows) => rows > 0,
                Err(Error::FileGone { .. }) => false,
                // No reader can use it, and nobody can say what is in it.
                Err(Error::DamagedFile { .. }) => true,
                Err(error) => return Err(error),
            },
        };
        if holds {
            dead.push(Dead { path: object.location, bytes: object.size });
        }
    }
    Ok(dead)
}

/// An object as a data file no commit describes.
fn unnamed(object: &ObjectMeta) -> DataFile {
    let path = object.location.to_string();
    let folder = path.split('/').next().and_then(|folder| folder.strip_prefix(PARTITION)?.strip_prefix('='));
    let date = folder.and_then(Date::parse).unwrap_or(Date::from_days(i32::MAX));
    DataFile { path, size: object.size, rows: 0, date, sha256: None, batch_id: None, bodyless: false, statistics: None }
}
