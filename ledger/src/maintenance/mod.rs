//! Keeping a ledger healthy for years, beside live writers and other maintainers: small files become large ones, opening
//! stays fast, what no version needs is deleted, bodies go when they are too old or when somebody asks.
//!
//! Nothing here changes a count, a cost or a position. Every change is one commit of ours on the very next version, built
//! on a snapshot in which its inputs are live; a lost race is an outcome. The log itself is never cleaned.

mod collect;
mod compact;
mod digest;
mod erase;
mod work;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde::Serialize;

pub use self::collect::Keep;
pub use self::compact::Compacted;
pub use self::digest::RowsDigest;
pub use self::erase::{Erased, ErasedTable, Wanted, erase};
use crate::{Clock, Date, Error, Ledger, Snapshot, Table};

/// How often a version is tried that other writers keep taking.
const ATTEMPTS_MAX: u32 = 30;
/// Versions after the last checkpoint that are worth another one.
const CHECKPOINT_AFTER: u64 = 10;
/// Tables that every batch adds files to. The others grow by what people import.
const GROWING: [&str; 5] = ["usage", "corrections", "content", "content_partial", "quarantine"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What maintenance aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of a compacted file in bytes.
    pub target_bytes: u64,
    /// How long files stay that no current version needs.
    pub keep: Keep,
    /// Days after which bodies lose what was said; `None` keeps them.
    pub content_days: Option<u32>,
    /// Days after which messages that are as long in quarantine lose their bytes; `None` keeps them.
    pub quarantine_days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        let keep = Keep { unnamed: DAY * 7, superseded: DAY * 30 };
        Self { target_bytes: 128 << 20, keep, content_days: None, quarantine_days: None }
    }
}

/// One run of maintenance.
#[derive(Debug)]
pub struct Run<'r> {
    id: &'r str,
    clock: &'r dyn Clock,
    dry_run: bool,
    commits: AtomicU64,
}

impl<'r> Run<'r> {
    /// A run told apart from every other by `id`; one that is `dry_run` changes nothing.
    pub fn new(id: &'r str, clock: &'r dyn Clock, dry_run: bool) -> Self {
        Self { id, clock, dry_run, commits: AtomicU64::new(0) }
    }

    /// A name for a commit and its files that no other has.
    fn batch_id(&self, table: &Table) -> String {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        format!("maintain-{}-{}-{number:04}", self.id, table.spec().name)
    }
}

/// What maintenance did to a table, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Maintained {
    /// The table.
    pub table: &'static str,
    /// Live files at the start.
    pub files: u64,
    /// What compaction did.
    pub compacted: Compacted,
    /// Rows that lost what was said because of their age.
    pub retired_rows: u64,
    /// The version of which a checkpoint was written.
    pub checkpoint: Option<u64>,
    /// Old checkpoints deleted.
    pub checkpoints_deleted: u64,
    /// Data files deleted.
    pub files_deleted: u64,
    /// Bytes deleted, checkpoints included.
    pub bytes_deleted: u64,
}

/// Does everything that is due in `tables` of `ledger` (all if empty), one after another.
///
/// # Errors
/// The ledger's. Whatever was done stands; what was not is found by the next run.
pub async fn maintain(
    ledger: &Ledger,
    tables: &[&str],
    settings: &Settings,
    run: &Run<'_>,
) -> Result<Vec<Maintained>, Error> {
    let mut all = Vec::new();
    for table in ledger.tables() {
        if !tables.is_empty() && !tables.contains(&table.spec().name) {
            continue;
        }
        match table.load(None).await {
            Ok(snapshot) => all.push(Box::pin(maintain_table(ledger, table, snapshot, settings, run)).await?),
            Err(Error::NotFound { .. }) if !table.spec().is_founding() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn maintain_table(
    ledger: &Ledger,
    table: &Table,
    mut snapshot: Snapshot,
    settings: &Settings,
    run: &Run<'_>,
) -> Result<Maintained, Error> {
    let mut done = Maintained {
        table: table.spec().name,
        files: snapshot.files().len() as u64,
        compacted: Compacted::default(),
        retired_rows: 0,
        checkpoint: None,
        checkpoints_deleted: 0,
        files_deleted: 0,
        bytes_deleted: 0,
    };
    if let Some(before) = retired_before(table, settings, run) {
        let retired = Box::pin(erase::retire(ledger, table, before, settings.target_bytes, run)).await?;
        done.retired_rows = retired.rows_erased;
        done.files_deleted += if run.dry_run { retired.objects_found } else { retired.objects_deleted };
        done.bytes_deleted += retired.bytes_deleted;
        snapshot = table.load(None).await?;
    }
    if GROWING.contains(&table.spec().name) {
        done.compacted = compact::compact(table, &mut snapshot, settings.target_bytes, run).await?;
    }
    checkpoint(table, &snapshot, run, &mut done).await;
    let dead = collect::find(table, &snapshot, settings.keep, run).await?;
    let dead = match run.dry_run {
        true => dead,
        false => collect::delete(table, &mut snapshot, dead, run).await?,
    };
    done.files_deleted += dead.len() as u64;
    done.bytes_deleted += dead.iter().map(|file| file.bytes).sum::<u64>();
    Ok(done)
}

/// The day before which the bodies of `table` are too old.
fn retired_before(table: &Table, settings: &Settings, run: &Run<'_>) -> Option<Date> {
    let days = match table.spec() {
        spec if spec.is_of_bodies() => settings.content_days,
        spec if spec.name == "quarantine" => settings.quarantine_days,
        _ => None,
    }?;
    Some(Date::from_days(run.clock.now().date().days().saturating_sub_unsigned(days)))
}

/// A checkpoint that fails makes opening slower, no more: it is reported and forgotten.
async fn checkpoint(table: &Table, snapshot: &Snapshot, run: &Run<'_>, done: &mut Maintained) {
    if let Err(error) = try_checkpoint(table, snapshot, run, done).await {
        let (table, version) = (table.spec().name, snapshot.version());
        tracing::warn!(table, %version, %error, "checkpoint failed, nothing lost");
    }
}

async fn try_checkpoint(table: &Table, snapshot: &Snapshot, run: &Run<'_>, done: &mut Maintained) -> Result<(), Error> {
    let last = table.last_checkpoint().await?.map_or(0, |version| version.0);
    let version = snapshot.version();
    if version.0 >= last + CHECKPOINT_AFTER {
        done.checkpoint = Some(version.0);
        if !run.dry_run {
            table.write_checkpoint(version).await?;
        }
    }
    let spent = table.spent_checkpoints().await?;
    done.checkpoints_deleted = spent.len() as u64;
    done.bytes_deleted += spent.iter().map(|(_, bytes)| bytes).sum::<u64>();
    if !run.dry_run {
        let paths = stream::iter(spent.into_iter().map(|(path, _)| Ok(path)).collect::<Vec<_>>()).boxed();
        let mut deleted = table.store().delete_stream(paths);
        while let Some(path) = deleted.next().await {
            path.map_err(|source| Error::store(table.url().to_string(), "delete a checkpoint", source))?;
        }
    }
    Ok(())
}

/// Lets writers go first, a little longer each time.
async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 20)).await;
}
