//! A ledger against its logs: every commit and every live data file is there and is what was committed and sealed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use daybook_ledger::maintenance::RowsDigest;
use daybook_ledger::seal::{VerifierKey, is_sealed};
use daybook_ledger::{DataFile, Error as LedgerError, Ledger, LogEntry, Table, file, schema};
use futures::TryStreamExt as _;

use super::rewritings::Rewritings;
use super::seal::Audit;
use super::{TableRows, Verdict, history};
use crate::source::rows_in;
use crate::{Error, Progress};

/// What a ledger is checked against besides itself.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys of which one must have signed each checkpoint; empty: signatures are not checked.
    pub keys: Vec<VerifierKey>,
    /// Random bytes: nobody who alters a ledger knows what this check will sum.
    pub nonce: [u8; 32],
}

/// Checks every table of `ledger`: its log has every commit, checkpoints say what the commits say, every live data file is
/// there with the length, the digest and the rows its commit says. If the ledger is sealed, every row and every commit is
/// what was sealed, and nothing that was sealed is gone.
///
/// A data file that is not live is a note: no reader of the newest version sees it. What maintenance wrote anew has the rows that
/// were there before. Memory: the two
/// longest data files, the paths of live files, 150 bytes for each commit that is sealed.
///
/// # Errors
/// The store's errors; what cannot be read for another reason is a difference.
pub async fn ledger(ledger: &Ledger, trust: &Trust, progress: &mut dyn Progress) -> Result<Verdict, Error> {
    loop {
        if let Some(verdict) = check(ledger, trust, progress).await? {
            return Ok(verdict);
        }
        progress.notice("an erasure ended meanwhile and took files that were to be read; checking from the start");
    }
}

/// `None` if files were erased before they were read.
async fn check(ledger: &Ledger, trust: &Trust, progress: &mut dyn Progress) -> Result<Option<Verdict>, Error> {
    let ledger = &ledger.anew()?;
    let mut verdict = Verdict::default();
    // Before the tables: what is sealed by now is in them.
    let mut audit = Audit::load(ledger, &trust.keys, trust.nonce, &mut verdict).await?;
    let mut tables = Vec::new();
    for table in ledger.tables() {
        let name = table.spec().name;
        let sealed = audit.as_ref().and_then(|audit| audit.version(name));
        let newest = match table.load(None).await {
            Ok(snapshot) => Some(snapshot),
            Err(LedgerError::NotFound { .. }) if !table.spec().is_founding() && sealed.is_none() => continue,
            Err(error) if is_damage(&error) => {
                verdict.differs(name, chain(&error));
                audit.iter_mut().for_each(Audit::add_unread);
                None
            }
            Err(error) => return Err(error.into()),
        };
        let mut rewritings = Rewritings::new(name);
        let take = |entry: &LogEntry| {
            audit.iter_mut().for_each(|audit| audit.add_commit(name, entry));
            rewritings.take(entry);
        };
        history::check(table, newest.as_ref(), sealed, &mut verdict, take).await?;
        rewritings.report(&mut verdict);
        tables.extend(newest.map(|snapshot| (table, snapshot.files(), rewritings)));
    }
    if let Some(audit) = &audit {
        audit.load_parted(&mut verdict).await?;
    }
    progress.start(tables.iter().flat_map(|(_, files, _)| files).map(|file| file.size).sum());
    for (table, files, rewritings) in tables {
        let Some(rows) = check_files(table, &files, &rewritings, audit.as_mut(), &mut verdict, progress).await? else {
            return Ok(None);
        };
        verdict.rows.push(TableRows { table: table.spec().name.into(), rows });
        note_unreferenced(table, &files, &rewritings, &mut verdict).await?;
    }
    if let Some(audit) = audit {
        verdict.seal = Some(audit.finish(ledger, &mut verdict).await?);
    }
    Ok(Some(verdict))
}

/// The other errors say that nobody could look.
pub(super) fn is_damage(error: &LedgerError) -> bool {
    matches!(
        error,
        LedgerError::DamagedLog { .. }
            | LedgerError::DamagedCheckpoint { .. }
            | LedgerError::DamagedFile { .. }
            | LedgerError::NotOurs { .. }
            | LedgerError::NotFound { .. }
    )
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}

/// Why a data file is not what its commit says it is.
pub(super) enum Unfit {
    Missing,
    Damaged(String),
}

/// A data file as its commit says it is, or why not.
pub(super) async fn load(table: &Table, file: &DataFile) -> Result<Result<Bytes, Unfit>, Error> {
    match table.load_whole(file).await {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(LedgerError::FileGone { .. }) => Ok(Err(Unfit::Missing)),
        Err(LedgerError::DamagedFile { reason, .. }) => Ok(Err(Unfit::Damaged(reason))),
        Err(error) => Err(error.into()),
    }
}

/// Whether some of `missing` are live no more: what is erased goes from the store at once.
async fn are_erased(table: &Table, missing: &HashSet<&str>) -> Result<bool, Error> {
    if missing.is_empty() {
        return Ok(false);
    }
    let files = table.load(None).await?.files();
    let live: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    Ok(!missing.is_subset(&live))
}

/// The rows of `files` by their commits; `None` if some were erased meanwhile.
async fn check_files(
    table: &Table,
    files: &[DataFile],
    rewritings: &Rewritings,
    mut audit: Option<&mut Audit>,
    verdict: &mut Verdict,
    progress: &mut dyn Progress,
) -> Result<Option<u64>, Error> {
    let name = table.spec().name;
    let mut rows = 0;
    let mut missing = HashSet::new();
    let mut without_digest = 0_u64;
    let mut digests: BTreeMap<&str, RowsDigest> = BTreeMap::new();
    for file in files {
        let place = format!("{name}/{}", file.path);
        match load(table, file).await? {
            Err(unfit) => {
                let reason = match unfit {
                    Unfit::Damaged(reason) => reason,
                    Unfit::Missing => {
                        missing.insert(file.path.as_str());
                        "it is missing".into()
                    }
                };
                verdict.differs(place, reason);
                audit.iter_mut().for_each(|audit| audit.add_unread());
            }
            Ok(bytes) => {
                without_digest += u64::from(file.sha256.is_none());
                verdict.bytes += bytes.len() as u64;
                match guarded(rows_in, bytes.clone()).await {
                    Ok(found) if found == file.rows => {}
                    Ok(found) => {
                        verdict.differs(&*place, format!("it has {found} rows, its commit says {}", file.rows))
                    }
                    Err(reason) => verdict.differs(&*place, format!("it cannot be read as Parquet: {reason}")),
                }
                let (spec, stated) = (table.spec(), file.statistics.clone().unwrap_or_default());
                let fault =
                    move |bytes| file::statistics_fault(spec, bytes, &stated).map_err(|error| error.to_string());
                // What cannot be read is told above.
                if let Ok(Some(fault)) = guarded(fault, bytes.clone()).await {
                    verdict.differs(&*place, fault);
                }
                if let Some(batch_id) = file.batch_id.as_deref().filter(|batch_id| rewritings.restates(batch_id)) {
                    let spec = table.spec();
                    match guarded(move |bytes| digest_of(spec, bytes), bytes.clone()).await {
                        Ok(digest) => *digests.entry(batch_id).or_default() += digest,
                        Err(reason) => verdict.differs(&*place, format!("its rows cannot be read: {reason}")),
                    }
                }
                if let Some(audit) = audit.as_deref_mut().filter(|_| is_sealed(table.spec()))
                    && let Err(reason) = guarded(audit.hasher(table.spec(), file), bytes).await
                {
                    verdict.differs(place, format!("its rows cannot be read: {reason}"));
                    audit.add_unread();
                }
            }
        }
        rows += file.rows;
        verdict.files += 1;
        progress.advance(file.size);
    }
    if are_erased(table, &missing).await? {
        return Ok(None);
    }
    rewritings.compare(&digests, verdict);
    if without_digest > 0 {
        verdict.note(
            name,
            format!("{without_digest} data files have no digest in their commit: only length and rows were checked"),
        );
    }
    Ok(Some(rows))
}

fn digest_of(spec: &'static schema::Table, bytes: Bytes) -> Result<RowsDigest, String> {
    let mut digest = RowsDigest::default();
    for batch in file::read(spec, bytes).map_err(|error| error.to_string())? {
        digest.add(&batch.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    Ok(digest)
}

/// On a thread of its own: a reader that panics on damaged bytes is a difference too.
async fn guarded<T: Send + 'static>(
    read: impl FnOnce(Bytes) -> Result<T, String> + Send + 'static,
    bytes: Bytes,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(move || read(bytes)).await {
        Ok(read) => read,
        Err(_) => Err("the reader gave up".into()),
    }
}

/// Names the data files that are not live, and why.
async fn note_unreferenced(
    table: &Table,
    files: &[DataFile],
    rewritings: &Rewritings,
    verdict: &mut Verdict,
) -> Result<(), Error> {
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
    for path in unreferenced {
        let why = match rewritings.removed_in(&path) {
            Some(version) => format!("version {version} wrote its rows anew: it stays for readers of older versions"),
            None => format!("no commit names it: batch {} was lost before it became visible", batch_of(&path)),
        };
        verdict.note(format!("{name}/{path}"), why);
    }
    Ok(())
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
