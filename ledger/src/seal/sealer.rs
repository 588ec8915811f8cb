//! Sealing: what came since the last checkpoint goes into the log, and a new checkpoint is signed.
//!
//! Order of effects, and what a crash between two of them leaves:
//! 1. The segment is claimed: which commits come next, and how many leaves they make. The next sealer takes it up.
//! 2. Tiles and bundles: no checkpoint counts them yet. Whoever writes them again writes the same bytes.
//! 3. `checkpoints/<size>`, if there is none: sealed. 4. `checkpoint`, a copy of the largest: the next seal corrects it.
//!
//! Several sealers do the same: the claim decides what is next, so all of them write the same tree.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use futures::{StreamExt as _, TryStreamExt as _};

use super::leaf::{COMMIT, Secret, leaf, split_leaf};
use super::log::{IN_FLIGHT, Log, SealedCommit, Segment};
use super::note::{Checkpoint, Head, SigningKey, VerifierKey};
use super::row::{RowTexts, commit_text, is_sealed, sealed_columns};
use super::tile::TILE_WIDTH;
use super::tree::{Hash, root_of};
use super::{Error, RESTORED};
use crate::schema;
use crate::table::LogEntry;
use crate::{DataFile, Date, Ledger, Snapshot, Table, TableVersion};

/// Rows and commits of one segment; a single commit may have more rows. What a crash loses, and 32 bytes a row in memory.
const SEGMENT_ROWS_MAX: u64 = 1 << 20;
const SEGMENT_COMMITS_MAX: usize = 10_000;
/// Full tiles and bundles in memory before they are written.
const OBJECTS_MAX: usize = 8 * IN_FLIGHT;
/// Record batches hashed at the same time.
const HASHING: usize = 4;

/// What a sealer brings along.
#[derive(Debug)]
pub struct Request<'a> {
    /// The key that signs.
    pub key: &'a SigningKey,
    /// The key that signed before, after a change of keys.
    pub earlier_key: Option<&'a VerifierKey>,
    /// The last checkpoint this signer signed, from a place that is not the ledger.
    pub last_signed: Option<&'a Checkpoint>,
    /// Random bytes for the ledger's secret, if this is its first seal.
    pub fresh_secret: &'a [u8; 32],
}

/// What a seal did.
#[derive(Debug)]
pub struct Sealed {
    /// The newest checkpoint.
    pub checkpoint: Checkpoint,
    /// Leaves before.
    pub size_before: u64,
    /// Commits sealed.
    pub commits: u64,
    /// Rows sealed.
    pub rows: u64,
}

/// Seals everything committed so far.
///
/// # Errors
/// [`Error::OtherLog`], [`Error::NotSigned`], [`Error::WentBack`], [`Error::Damaged`] if the log is not what this signer may go
/// on with; [`Error::RowsDiffer`] if rows are gone; the store's errors. What was signed by then stands.
pub async fn seal(ledger: &Ledger, request: &Request<'_>) -> Result<Sealed, Error> {
    let log = Log::of(ledger);
    let newest = log.load_newest().await?;
    let mut head = match &newest {
        Some(newest) => check_head(&log, newest, request).await?,
        None => Head { origin: request.key.name().into(), size: 0, root: root_of(&[]) },
    };
    if newest.is_none() && request.last_signed.is_some_and(|last| last.head.size > 0) {
        return Err(went_back(&log, request, "it has no checkpoint"));
    }
    let secret = log.load_or_create_secret(request.fresh_secret).await?;
    let sealer = Sealer { ledger, log: &log, secret };
    let mut sealed = sealer.load_sealed(head.size).await?;
    let (size_before, mut commits, mut rows) = (head.size, 0, 0);
    let mut checkpoint = newest;
    while let Some(segment) = sealer.next_segment(head.size, sealed).await? {
        head = sealer.write(&head, &segment).await?;
        checkpoint = Some(log.keep(&Checkpoint::sign(head.clone(), request.key)).await?);
        // Whoever looks meanwhile finds a published one.
        log.publish().await?;
        commits += segment.commits.len() as u64;
        rows += segment.commits.iter().map(|commit| commit.rows).sum::<u64>();
        sealed = segment.sealed;
    }
    log.publish().await?;
    let checkpoint = checkpoint.ok_or_else(|| Error::NoLog { place: log.place().into() })?;
    Ok(Sealed { checkpoint, size_before, commits, rows })
}

/// A signer signs only what continues what it signed before.
async fn check_head(log: &Log, newest: &Checkpoint, request: &Request<'_>) -> Result<Head, Error> {
    let head = &newest.head;
    let key = request.key.verifier();
    if head.origin != request.key.name() {
        let (origin, key) = (head.origin.clone(), request.key.name().into());
        return Err(Error::OtherLog { place: log.place().into(), origin, key });
    }
    if ![Some(&key), request.earlier_key].into_iter().flatten().any(|key| newest.is_signed_by(key)) {
        let (size, signers) = (head.size, newest.signers());
        return Err(Error::NotSigned { place: log.place().into(), size, key: key.to_string(), signers });
    }
    if let Some(last) = request.last_signed.filter(|last| last.head.origin == head.origin) {
        if last.head.size > head.size {
            return Err(went_back(log, request, &format!("its newest checkpoint has {}", head.size)));
        }
        if !log.extends(&last.head, head).await? {
            return Err(went_back(log, request, "they were rewritten"));
        }
    }
    Ok(head.clone())
}

fn went_back(log: &Log, request: &Request<'_>, reason: &str) -> Error {
    let size = request.last_signed.map_or(0, |last| last.head.size);
    Error::WentBack { place: log.place().into(), size, reason: reason.into() }
}

struct Sealer<'a> {
    ledger: &'a Ledger,
    log: &'a Log,
    secret: Secret,
}

impl Sealer<'_> {
    /// The last version of each table in the first `size` leaves.
    async fn load_sealed(&self, size: u64) -> Result<BTreeMap<String, u64>, Error> {
        let mut starts = self.log.list_segments().await?.into_iter().rev().filter(|from| *from < size);
        let Some(last) = starts.next() else { return Ok(BTreeMap::new()) };
        let Some(segment) = self.log.load_segment(last).await?.filter(|segment| segment.to == size) else {
            return Err(self.log.damaged(format!("no segment ends at its newest checkpoint, of size {size}")));
        };
        let before = match starts.next() {
            Some(from) => self.log.load_segment(from).await?.map(|segment| segment.sealed),
            None => Some(BTreeMap::new()),
        };
        // What is signed on top of a wrong one can never be put right.
        match before.and_then(|before| segment.sealed_after(&before)) {
            Some(sealed) if sealed == segment.sealed => Ok(sealed),
            _ => Err(self
                .log
                .damaged(format!("the segment from {last} says other versions are sealed than its commits"))),
        }
    }

    /// The segment from `from` on: one that was claimed before, or a new one if something came since.
    async fn next_segment(&self, from: u64, sealed: BTreeMap<String, u64>) -> Result<Option<Segment>, Error> {
        if let Some(claimed) = self.log.load_segment(from).await? {
            return Ok(Some(claimed));
        }
        let mut segment = Segment { from, to: from, commits: Vec::new(), sealed };
        for table in self.ledger.tables() {
            if table.exists().await? && !self.plan(table, &mut segment).await? {
                break;
            }
        }
        if segment.commits.is_empty() {
            return Ok(None);
        }
        segment.to += segment.commits.iter().map(|commit| 1 + commit.rows).sum::<u64>();
        Ok(Some(self.log.claim(segment).await?))
    }

    /// Adds the commits of `table` that are not sealed; whether there was room for all.
    ///
    /// Commits say how many rows they brought; those of one batch, which may come in several, go with its first.
    async fn plan(&self, table: &Table, segment: &mut Segment) -> Result<bool, Error> {
        let name = table.spec().name;
        let newest = table.load(None).await?.version().0;
        let next = segment.sealed.get(name).map_or(0, |version| version + 1);
        let mut rows: u64 = segment.commits.iter().map(|commit| commit.rows).sum();
        let mut first_of_batch = HashMap::new();
        let mut log = table.log_entries(next..=newest);
        while let Some(entry) = log.try_next().await? {
            let brought = rows_of(table, &entry);
            rows += brought;
            let count = segment.commits.len();
            if count > 0 && (rows > SEGMENT_ROWS_MAX || count >= SEGMENT_COMMITS_MAX) {
                return Ok(false);
            }
            let (version, batch_id) = (entry.version.0, entry.batch_id);
            let first = batch_id.as_ref().map_or(count, |id| *first_of_batch.entry(id.clone()).or_insert(count));
            segment.commits.push(SealedCommit { table: name.into(), version, batch_id, rows: 0 });
            segment.sealed.insert(name.into(), version);
            if let Some(first) = segment.commits.get_mut(first) {
                first.rows += brought;
            }
        }
        Ok(true)
    }

    /// Writes the tree with the leaves of `segment` after those of `head`.
    async fn write(&self, head: &Head, segment: &Segment) -> Result<Head, Error> {
        let mut edge = self.log.load_edge(head).await?;
        let published = edge.partial();
        for run in segment.commits.chunk_by(|a, b| a.table == b.table) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let tables = self.ledger.tables();
            let table = tables.into_iter().find(|table| table.spec().name == first.table);
            let table = table.ok_or_else(|| self.log.damaged(format!("a segment names the table {}", first.table)))?;
            let entries: Vec<LogEntry> = table.log_entries(first.version..=last.version).try_collect().await?;
            let leaves = match is_sealed(table.spec()) {
                true => self.collect(table, &table.load(None).await?, &entries).await?,
                false => vec![Vec::new(); entries.len()],
            };
            if !run.iter().map(|commit| commit.version).eq(entries.iter().map(|entry| entry.version.0)) {
                return Err(self.log.damaged(format!("the segment from {} leaves out commits", segment.from)));
            }
            for ((commit, entry), mut leaves) in run.iter().zip(&entries).zip(leaves) {
                if leaves.len() as u64 > commit.rows {
                    let sealed = batch_leaves(self.log, commit, head.size).await?;
                    leaves.retain(|commitment| !sealed.contains(commitment));
                }
                let found = leaves.len() as u64;
                if found != commit.rows {
                    return Err(Error::RowsDiffer {
                        table: commit.table.clone(),
                        version: TableVersion(commit.version),
                        batch_id: commit.batch_id.clone().unwrap_or_default(),
                        found,
                        rows: commit.rows,
                    });
                }
                let text = commit_text(&commit.table, commit.version, &entry.sha256);
                edge.push(&leaf(COMMIT, &self.secret.commitment(&text)));
                for commitment in leaves {
                    edge.push(&leaf(&commit.table, &commitment));
                    if edge.full() >= OBJECTS_MAX {
                        self.log.store(edge.take_full()).await?;
                    }
                }
            }
        }
        self.log.store(edge.take_full()).await?;
        // What a checkpoint rests on is never written again: a write that breaks off would damage it.
        let partial = edge.partial().into_iter().filter(|object| !published.contains(object));
        self.log.store(partial.collect()).await?;
        match edge.size() == segment.to {
            true => Ok(Head { origin: head.origin.clone(), size: segment.to, root: edge.root() }),
            false => {
                Err(self.log.damaged(format!("the segment from {} does not have the leaves it claims", segment.from)))
            }
        }
    }

    /// The commitments of the rows each of `entries` brought, sorted, those of one batch with its first.
    ///
    /// Rows are read from live files alone: those the commit added, or, where one was compacted, the other files of its day,
    /// by the rows' own batch.
    async fn collect(&self, table: &Table, snapshot: &Snapshot, entries: &[LogEntry]) -> Result<Vec<Vec<Hash>>, Error> {
        let mut found = vec![Vec::new(); entries.len()];
        let files = snapshot.files();
        let live: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut of_path = HashMap::new();
        let mut of_batch = HashMap::new();
        let mut days = BTreeSet::new();
        for (entry, first) in entries.iter().zip(first_of_batch(entries)) {
            let Some(batch_id) = &entry.batch_id else { continue };
            for file in entry.new_files() {
                if live.contains(file.path.as_str()) {
                    of_path.insert(file.path.as_str(), first);
                } else {
                    days.insert(file.date);
                    of_batch.insert(batch_id.clone(), first);
                }
            }
        }
        let restored = of_batch.iter().find(|(batch_id, _)| batch_id.starts_with(RESTORED)).map(|(_, first)| *first);
        let known = if restored.is_some() { batch_ids(table, snapshot).await? } else { HashSet::new() };
        let placing = Arc::new(Placing { of_batch, restored, known });
        for file in &files {
            let whole = of_path.get(file.path.as_str()).copied();
            let is_original = || file.batch_id.as_ref().is_some_and(|batch_id| placing.of_batch.contains_key(batch_id));
            if whole.is_some() || days.contains(&file.date) && !is_original() {
                self.read(table, file, whole, &placing, &mut found).await?;
            }
        }
        found.iter_mut().for_each(|leaves| leaves.sort_unstable());
        Ok(found)
    }

    /// Adds the commitments of the rows of `file` to `found`: all of them at `whole`, or else each where its batch is.
    async fn read(
        &self,
        table: &Table,
        file: &DataFile,
        whole: Option<usize>,
        placing: &Arc<Placing>,
        found: &mut [Vec<Hash>],
    ) -> Result<(), Error> {
        let (spec, date) = (table.spec(), file.date);
        let columns: Vec<&str> = sealed_columns(spec).into_iter().map(|column| column.name).collect();
        // What is sealed stays, so a row of a damaged file would for ever.
        let batches = table.stream_whole(file, &columns).await?;
        let hashed = batches.map(|batch| {
            let (secret, placing) = (self.secret.clone(), Arc::clone(placing));
            async move {
                let batch = batch?;
                let target = move |batch_id: Option<&str>| whole.or_else(|| placing.of(batch_id?));
                let hash = tokio::task::spawn_blocking(move || hash_rows(spec, date, &batch, &secret, target));
                let hashed = hash.await;
                let panicked = |error: tokio::task::JoinError| crate::Error::Internal {
                    invariant: "hashing rows does not panic",
                    found: error.to_string(),
                };
                hashed.map_err(panicked)?
            }
        });
        let mut hashed = std::pin::pin!(hashed.buffered(HASHING));
        while let Some(rows) = hashed.try_next().await? {
            for (target, commitment) in rows {
                if let Some(leaves) = found.get_mut(target) {
                    leaves.push(commitment);
                }
            }
        }
        Ok(())
    }
}

/// To which entry of a run rows belong whose file was compacted.
#[derive(Debug)]
struct Placing {
    of_batch: HashMap<String, usize>,
    /// That of a restored bundle.
    restored: Option<usize>,
    /// Every batch that the log knows, if a bundle was restored: its rows are of none of them.
    known: HashSet<String>,
}

impl Placing {
    fn of(&self, batch_id: &str) -> Option<usize> {
        let restored = || self.restored.filter(|_| !self.known.contains(batch_id));
        self.of_batch.get(batch_id).copied().or_else(restored)
    }
}

async fn batch_ids(table: &Table, snapshot: &Snapshot) -> Result<HashSet<String>, Error> {
    let mut entries = table.log_entries(0..=snapshot.version().0);
    let mut found = HashSet::new();
    while let Some(entry) = entries.try_next().await? {
        found.extend(entry.batch_id);
    }
    Ok(found)
}

/// The commitments of the batch of `commit` among the first `size` leaves: where its own data file was compacted, its rows cannot
/// be told from those of an earlier commit of its batch.
async fn batch_leaves(log: &Log, commit: &SealedCommit, size: u64) -> Result<HashSet<Hash>, Error> {
    let mut found = HashSet::new();
    for from in log.list_segments().await?.into_iter().filter(|from| *from < size) {
        let segment = log.load_segment(from).await?;
        let batch_id = commit.batch_id.as_deref().unwrap_or_default();
        for (first, rows) in segment.iter().flat_map(|segment| segment.rows_of(&commit.table, |id| id == batch_id)) {
            for index in first / TILE_WIDTH as u64..(first + rows).div_ceil(TILE_WIDTH as u64) {
                let leaves = log.load_leaves(index, size).await?;
                let of_table =
                    leaves.iter().filter_map(|leaf| split_leaf(leaf)).filter(|(table, _)| *table == commit.table);
                found.extend(of_table.map(|(_, commitment)| *commitment));
            }
        }
    }
    Ok(found)
}

/// The commitments of the rows of `batch` that `target` places, by the rows' own batch.
fn hash_rows(
    spec: &'static schema::Table,
    date: Date,
    batch: &RecordBatch,
    secret: &Secret,
    target: impl Fn(Option<&str>) -> Option<usize>,
) -> Result<Vec<(usize, Hash)>, crate::Error> {
    let texts = RowTexts::new(spec, date, batch);
    let batch_ids = batch.column_by_name("batch_id").and_then(|ids| ids.as_string_opt::<i32>());
    let mut text = Vec::new();
    let mut found = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let batch_id = batch_ids.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
        if let Some(target) = target(batch_id) {
            texts.write(row, &mut text)?;
            found.push((target, secret.commitment(&text)));
        }
    }
    Ok(found)
}

/// Rows that go into the log with a commit.
fn rows_of(table: &Table, entry: &LogEntry) -> u64 {
    match is_sealed(table.spec()) && entry.batch_id.is_some() {
        true => entry.new_files().iter().map(|file| file.rows).sum(),
        false => 0,
    }
}

/// For each entry the first of its batch.
fn first_of_batch(entries: &[LogEntry]) -> Vec<usize> {
    let mut first = HashMap::new();
    let place = |(at, entry): (usize, &LogEntry)| match &entry.batch_id {
        Some(batch_id) => *first.entry(batch_id.clone()).or_insert(at),
        None => at,
    };
    entries.iter().enumerate().map(place).collect()
}
