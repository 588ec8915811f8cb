//! The log of seals against the tables: every row and commit has its leaf, every leaf its row or commit.
//!
//! Rows lie in any order in any file, leaves in the order they were sealed, so both are compared as sets in bounded memory:
//! keyed hashes of them are summed in 65,536 buckets. Where sums differ, rows and leaves of the bucket are looked at one by
//! one.

mod log;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use daybook_ledger::schema;
use daybook_ledger::seal::{
    COMMIT, Checkpoint, Edge, Head, Log, RESTORED, Segment, TILE_WIDTH, VerifierKey, commit_text, is_sealed, leaf,
};
use daybook_ledger::{DataFile, Ledger, LogEntry};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::log::{check_objects, differing, load_checkpoints, load_segments};
use self::rows::{Sealed, SealedRow, each_row, label};
use super::Verdict;
use crate::Error;

const BUCKETS: usize = 1 << 16;
/// Buckets whose rows and leaves are looked at one by one.
const SUSPECTS_MAX: usize = 64;
/// Bundles, tiles and segments read at the same time.
const READS: usize = 16;

/// What is checked of a log of seals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealCheck {
    /// The log's name.
    pub origin: String,
    /// Leaves in it.
    pub size: u64,
    /// Checkpoints signed.
    pub checkpoints: u64,
    /// The keys their signatures were checked with; empty if they were not.
    pub keys: Vec<String>,
    /// Rows that came after the last seal.
    pub rows_since: u64,
}

/// A commit's leaves: its own, then those of its rows.
#[derive(Debug)]
struct Place {
    first: u64,
    table: String,
    version: u64,
    batch_id: Option<String>,
}

/// Sums of keyed hashes of leaves.
#[derive(Debug)]
struct Sums {
    buckets: Vec<(u128, i64)>,
    rows_since: u64,
}

impl Sums {
    fn new() -> Self {
        Self { buckets: vec![(0, 0); BUCKETS], rows_since: 0 }
    }

    fn add(&mut self, nonce: &[u8; 32], leaf: &[u8], sign: i64) {
        let digest: [u8; 32] = Sha256::new().chain_update(nonce).chain_update(leaf).finalize().into();
        let (value, _) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let value = u128::from_be_bytes(*value);
        if let Some((sum, count)) = self.buckets.get_mut(bucket_of(leaf)) {
            *sum = if sign < 0 { sum.wrapping_sub(value) } else { sum.wrapping_add(value) };
            *count += sign;
        }
    }
}

/// By the end of the commitment, which is as good as random.
fn bucket_of(leaf: &[u8]) -> usize {
    leaf.last_chunk::<2>().map_or(0, |end| usize::from(u16::from_be_bytes(*end)))
}

/// The check of one ledger's log of seals.
#[derive(Debug)]
pub(super) struct Audit {
    log: Log,
    head: Head,
    sealed: Arc<Sealed>,
    places: Vec<Place>,
    /// The last sealed version of each table.
    versions: BTreeMap<String, u64>,
    checkpoints: Vec<Checkpoint>,
    sums: Arc<Mutex<Sums>>,
    /// Data files that commits brought after the last seal.
    since: HashSet<String>,
    /// Data files and tables whose rows could not be taken in.
    unread: u64,
    check: SealCheck,
}

/// A row or commit in a bucket that differs.
#[derive(Debug)]
struct Suspect {
    brought: Brought,
    label: String,
}

/// The commit that brought a leaf, and whether the leaf is the commit's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Brought {
    table: String,
    version: u64,
    is_commit: bool,
}

impl Brought {
    fn place(&self) -> String {
        format!("{} version {}", self.table, self.version)
    }
}

impl Audit {
    /// Reads checkpoints and segments; `None` if the ledger was never sealed, or what it has of a log is of no use. A key says
    /// that it was: without a log, that is a difference.
    pub(super) async fn load(
        ledger: &Ledger,
        keys: &[VerifierKey],
        nonce: [u8; 32],
        verdict: &mut Verdict,
    ) -> Result<Option<Self>, Error> {
        let log = Log::of(ledger);
        let (checkpoints, signed) = load_checkpoints(&log, keys, verdict).await?;
        let segments = load_segments(&log, verdict).await?;
        let secret = log.load_secret().await;
        let (Some(newest), Some(secret)) = (checkpoints.last(), differing(secret, "seal/secret", verdict)?.flatten())
        else {
            if !checkpoints.is_empty() || !segments.is_empty() {
                verdict.differs("log", "its checkpoints or its secret are missing, so nothing of it can be checked");
            } else if keys.is_empty() {
                verdict
                    .note("log", "the ledger is not sealed, so rows altered together with their digests go unnoticed");
            } else {
                verdict.differs(
                    "log",
                    "it is missing, so nothing can be checked with the key given: removed or never sealed",
                );
            }
            return Ok(None);
        };
        let head = newest.head.clone();
        let mut audit = Self {
            sealed: Arc::new(Sealed {
                secret,
                nonce,
                batches: HashMap::new(),
                restored: HashMap::new(),
                since: RwLock::default(),
                parted: RwLock::default(),
            }),
            places: Vec::new(),
            versions: BTreeMap::new(),
            sums: Arc::new(Mutex::new(Sums::new())),
            since: HashSet::new(),
            unread: 0,
            check: SealCheck {
                origin: head.origin.clone(),
                size: head.size,
                checkpoints: checkpoints.len() as u64,
                keys: keys.iter().map(ToString::to_string).collect(),
                rows_since: 0,
            },
            log,
            head,
            checkpoints,
        };
        audit.take_segments(segments, &signed, verdict);
        Ok(Some(audit))
    }

    /// The last sealed version of `table`.
    pub(super) fn version(&self, table: &str) -> Option<u64> {
        self.versions.get(table).copied()
    }

    /// `signed` are the sizes that there are checkpoints of.
    fn take_segments(&mut self, segments: Vec<Segment>, signed: &BTreeSet<u64>, verdict: &mut Verdict) {
        let mut batches: HashMap<String, HashMap<String, u64>> = HashMap::new();
        let mut restored = HashMap::new();
        let mut next = 0;
        for segment in segments {
            if segment.from >= self.head.size {
                // Claimed by a seal that has not ended yet.
                break;
            }
            let place = format!("seal/segments/{:020}.json", segment.from);
            let leaves: u64 = segment.commits.iter().map(|commit| 1 + commit.rows).sum();
            if segment.from != next || segment.from + leaves != segment.to {
                verdict.differs(&*place, format!("its leaves are not those from {next} on"));
            }
            if segment.sealed_after(&self.versions).as_ref() != Some(&segment.sealed) {
                verdict
                    .differs(place, "the versions it says are sealed are not those of its commits and of those before");
            }
            if !signed.contains(&segment.to) {
                verdict.differs(
                    format!("log/checkpoints/{}", segment.to),
                    "it is missing, and was signed after its segment",
                );
            }
            next = segment.from;
            for commit in segment.commits {
                if let Some(batch_id) = &commit.batch_id {
                    let of_table = batches.entry(commit.table.clone()).or_default();
                    of_table.entry(batch_id.clone()).or_insert(commit.version);
                    if batch_id.starts_with(RESTORED) {
                        restored.insert(commit.table.clone(), commit.version);
                    }
                }
                self.versions.insert(commit.table.clone(), commit.version);
                let (version, batch_id) = (commit.version, commit.batch_id);
                self.places.push(Place { first: next, table: commit.table, version, batch_id });
                next += 1 + commit.rows;
            }
        }
        if next != self.head.size {
            verdict
                .differs("seal/segments", format!("they have {next} leaves, the newest checkpoint {}", self.head.size));
        }
        let (secret, nonce) = (self.sealed.secret.clone(), self.sealed.nonce);
        self.sealed =
            Arc::new(Sealed { secret, nonce, batches, restored, since: RwLock::default(), parted: RwLock::default() });
    }

    /// Takes in a commit of `table`; rows of one that is not sealed yet are told by their file, for a batch may come in several
    /// commits.
    pub(super) fn add_commit(&mut self, table: &str, entry: &LogEntry) {
        if Some(entry.version.0) <= self.version(table) {
            let leaf = self.commit_leaf(table, entry);
            self.sums().add(&self.sealed.nonce, &leaf, 1);
        } else {
            if self.sealed.restored.contains_key(table) {
                let mut since = self.sealed.since.write().unwrap_or_else(PoisonError::into_inner);
                since.entry(table.to_owned()).or_default().extend(entry.batch_id.clone());
            }
            let batches = self.sealed.batches.get(table);
            if let Some(batch_id) =
                entry.batch_id.as_ref().filter(|id| batches.is_some_and(|ids| ids.contains_key(*id)))
            {
                let mut parted = self.sealed.parted.write().unwrap_or_else(PoisonError::into_inner);
                parted.entry(table.to_owned()).or_default().entry(batch_id.clone()).or_default();
            }
            self.since.extend(entry.new_files().iter().map(|file| format!("{table}/{}", file.path)));
        }
    }

    /// Reads the leaves of batches of which a part was sealed and another came since, once all commits are taken in.
    pub(super) async fn load_parted(&self, verdict: &mut Verdict) -> Result<(), Error> {
        let mut parted = std::mem::take(&mut *self.sealed.parted.write().unwrap_or_else(PoisonError::into_inner));
        if parted.is_empty() {
            return Ok(());
        }
        let ends = self.places.iter().skip(1).map(|place| place.first).chain([self.head.size]);
        for (place, end) in self.places.iter().zip(ends) {
            let batch = place.batch_id.as_ref().and_then(|id| parted.get_mut(&place.table)?.get_mut(id));
            let Some(found) = batch else { continue };
            for bundle in place.first / TILE_WIDTH as u64..end.div_ceil(TILE_WIDTH as u64) {
                let leaves = self.log.load_leaves(bundle, self.head.size).await;
                let Some(leaves) = differing(leaves, "log", verdict)? else { continue };
                let numbered = (bundle * TILE_WIDTH as u64..).zip(leaves);
                let of_place = numbered.filter(|(index, _)| (place.first + 1..end).contains(index));
                found.extend(of_place.map(|(_, leaf)| leaf.to_vec()));
            }
        }
        *self.sealed.parted.write().unwrap_or_else(PoisonError::into_inner) = parted;
        Ok(())
    }

    fn commit_leaf(&self, table: &str, entry: &LogEntry) -> Vec<u8> {
        leaf(COMMIT, &self.sealed.secret.commitment(&commit_text(table, entry.version.0, &entry.sha256)))
    }

    /// Takes in the rows of a data file, on a thread of its own.
    pub(super) fn hasher(
        &self,
        spec: &'static schema::Table,
        file: &DataFile,
    ) -> impl FnOnce(Bytes) -> Result<(), String> + Send + use<> {
        let (sealed, date, sums) = (Arc::clone(&self.sealed), file.date, Arc::clone(&self.sums));
        let rows_since = self.is_since(spec, file).then_some(file.rows);
        move |bytes| {
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(rows) = rows_since {
                sums.rows_since += rows;
                return Ok(());
            }
            each_row(&sealed, spec, date, bytes, |row| match row.version {
                Some(_) => sums.add(&sealed.nonce, &row.leaf, 1),
                None => sums.rows_since += 1,
            })
        }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_since(&self, spec: &schema::Table, file: &DataFile) -> bool {
        self.since.contains(&format!("{}/{}", spec.name, file.path))
    }

    /// A data file or table cannot be read, which is named already: its rows are not missed one by one.
    pub(super) fn add_unread(&mut self) {
        self.unread += 1;
    }

    /// Reads every leaf and every tile, and compares with what was taken in.
    pub(super) async fn finish(self, ledger: &Ledger, verdict: &mut Verdict) -> Result<SealCheck, Error> {
        self.read_log(verdict).await?;
        let suspects: BTreeSet<usize> =
            (0..).zip(&self.sums().buckets).filter(|(_, sum)| **sum != (0, 0)).map(|(at, _)| at).collect();
        if self.unread > 0 {
            let reason = format!(
                "{} data files or tables cannot be read, so nobody can tell whether rows are gone",
                self.unread
            );
            verdict.note("log", reason);
        }
        if !suspects.is_empty() {
            self.name(ledger, &suspects, verdict).await?;
        }
        Ok(SealCheck { rows_since: self.sums().rows_since, ..self.check.clone() })
    }

    /// Rebuilds the tree from its leaves: roots are those of every checkpoint, tiles those on the store.
    async fn read_log(&self, verdict: &mut Verdict) -> Result<(), Error> {
        let size = self.head.size;
        let log = self.log.clone();
        let bundles = 0..size.div_ceil(TILE_WIDTH as u64);
        let mut bundles = std::pin::pin!(stream::iter(bundles).map(|at| log.load_leaves(at, size)).buffered(READS));
        let mut edge = Edge::default();
        let mut heads = self.checkpoints.iter().map(|checkpoint| &checkpoint.head).peekable();
        while let Some(leaves) = bundles.next().await {
            let Some(leaves) = differing(leaves, "log", verdict)? else {
                verdict.differs("log", format!("it cannot be read beyond leaf {}", edge.size()));
                return Ok(());
            };
            for leaf in leaves {
                edge.push(&leaf);
                self.sums().add(&self.sealed.nonce, &leaf, -1);
                if let Some(head) = heads.next_if(|head| head.size == edge.size()) {
                    if head.root != edge.root() {
                        let place = format!("log/checkpoints/{}", head.size);
                        verdict.differs(
                            place,
                            "its root is not that of the leaves: history was rewritten after it was signed",
                        );
                    }
                    check_objects(&log, edge.partial(), verdict).await?;
                }
            }
            check_objects(&log, edge.take_full(), verdict).await?;
        }
        Ok(())
    }

    /// Names the rows, commits and leaves in buckets that differ.
    async fn name(&self, ledger: &Ledger, buckets: &BTreeSet<usize>, verdict: &mut Verdict) -> Result<(), Error> {
        let wanted: BTreeSet<usize> = buckets.iter().copied().take(SUSPECTS_MAX).collect();
        let mut found: BTreeMap<Vec<u8>, (Vec<Suspect>, Vec<u64>)> = BTreeMap::new();
        for table in ledger.tables() {
            let spec = table.spec();
            let Ok(snapshot) = table.load(None).await else { continue };
            let Some(last) = self.version(spec.name) else { continue };
            let mut entries = table.log_entries(0..=last.min(snapshot.version().0));
            while let Some(entry) = entries.next().await {
                // One that cannot be read is named already.
                let Ok(entry) = entry else { continue };
                let leaf = self.commit_leaf(spec.name, &entry);
                if wanted.contains(&bucket_of(&leaf)) {
                    let brought = Brought { table: spec.name.into(), version: entry.version.0, is_commit: true };
                    found.entry(leaf).or_default().0.push(Suspect { brought, label: "its log entry".into() });
                }
            }
            if !is_sealed(spec) {
                continue;
            }
            for file in snapshot.files().into_iter().filter(|file| !self.is_since(spec, file)) {
                let Ok(bytes) = super::ledger::load(table, &file).await? else { continue };
                let rows = self.suspects(spec, &file, bytes, &wanted).await?;
                rows.into_iter().for_each(|(leaf, row)| found.entry(leaf).or_default().0.push(row));
            }
        }
        for bundle in 0..self.head.size.div_ceil(TILE_WIDTH as u64) {
            let Ok(leaves) = self.log.load_leaves(bundle, self.head.size).await else { continue };
            for (index, leaf) in (bundle * TILE_WIDTH as u64..).zip(leaves) {
                if wanted.contains(&bucket_of(&leaf)) {
                    found.entry(leaf.to_vec()).or_default().1.push(index);
                }
            }
        }
        self.report(found, verdict);
        if buckets.len() > wanted.len() && self.unread == 0 {
            let more = buckets.len() - wanted.len();
            verdict.differs("log", format!("there are more rows or leaves that differ, {more} at least"));
        }
        Ok(())
    }

    async fn suspects(
        &self,
        spec: &'static schema::Table,
        file: &DataFile,
        bytes: Bytes,
        wanted: &BTreeSet<usize>,
    ) -> Result<Vec<(Vec<u8>, Suspect)>, Error> {
        let (sealed, date, wanted) = (Arc::clone(&self.sealed), file.date, wanted.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            let collect = |row: SealedRow<'_>| {
                if let Some(version) = row.version.filter(|_| wanted.contains(&bucket_of(&row.leaf))) {
                    let brought = Brought { table: spec.name.into(), version, is_commit: false };
                    found.push((row.leaf, Suspect { brought, label: label(row.batch, row.row) }));
                }
            };
            // A file that cannot be read is named already.
            each_row(&sealed, spec, date, bytes, collect).ok();
            found
        });
        read.await.map_err(Error::panicked)
    }

    /// A row without a leaf and a leaf without a row in one commit are one difference: the row was altered.
    fn report(&self, found: BTreeMap<Vec<u8>, (Vec<Suspect>, Vec<u64>)>, verdict: &mut Verdict) {
        let mut gone: BTreeMap<Brought, Vec<u64>> = BTreeMap::new();
        let mut strange = Vec::new();
        for (suspects, indices) in found.into_values() {
            for index in indices.iter().skip(suspects.len()) {
                gone.entry(self.brought(*index)).or_default().push(*index);
            }
            strange.extend(suspects.into_iter().skip(indices.len()).map(|suspect| (suspect, !indices.is_empty())));
        }
        strange.sort_by(|(a, _), (b, _)| (&a.brought, &a.label).cmp(&(&b.brought, &b.label)));
        for (Suspect { brought, label }, is_copy) in strange {
            let leaf = gone.get_mut(&brought).and_then(Vec::pop);
            let reason = match (is_copy, leaf) {
                (true, _) => format!("{label} is there more than once"),
                (false, Some(leaf)) => format!("{label} is not what was sealed as leaf {leaf}"),
                (false, None) => format!("{label} is not among what was sealed"),
            };
            verdict.differs(brought.place(), reason);
        }
        // Rows in files that cannot be read are not missed one by one.
        let is_missed = |brought: &Brought| brought.is_commit || self.unread == 0;
        for (brought, leaves) in gone.into_iter().filter(|(brought, _)| is_missed(brought)) {
            let what = if brought.is_commit { "the log entry" } else { "a row" };
            for index in leaves {
                verdict.differs(brought.place(), format!("{what} that was sealed as leaf {index} is gone"));
            }
        }
    }

    /// What brought a leaf.
    fn brought(&self, index: u64) -> Brought {
        let after = self.places.partition_point(|place| place.first <= index);
        match after.checked_sub(1).and_then(|at| self.places.get(at)) {
            Some(place) => {
                Brought { table: place.table.clone(), version: place.version, is_commit: place.first == index }
            }
            None => Brought { table: "log".into(), version: 0, is_commit: false },
        }
    }
}
