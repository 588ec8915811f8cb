//! The log on the store: what is where, and reading it.
//!
//! `log/` holds nothing but what may be shown to anyone; `seal/` has the secret of the salts and what each leaf is of.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use serde::{Deserialize, Serialize};

use super::leaf::Secret;
use super::note::{Checkpoint, Head};
use super::tile::{Edge, Object, TILE_HEIGHT, TILE_WIDTH, bundle_path, leaves_of, partial_width, tile_path};
use super::tree::{Hash, Subtree, fold, leaf_hash, root_of, subtrees};
use super::{Error, tree};
use crate::Ledger;
use crate::file::{hex, unhex};

/// Objects written or read at the same time.
pub(super) const IN_FLIGHT: usize = 16;
const CHECKPOINT: &str = "checkpoint";
const CHECKPOINTS: &str = "checkpoints";
const SECRET: &str = "secret";
const SEGMENTS: &str = "segments";

/// What the leaves from `from` on are of: claimed by one sealer before any of them is written, and the same for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its first leaf.
    pub from: u64,
    /// The leaf after its last.
    pub to: u64,
    /// The commits in it: each one leaf, followed by a leaf for each row it brought.
    pub commits: Vec<SealedCommit>,
    /// The last sealed version of each table, this segment included.
    pub sealed: BTreeMap<String, u64>,
}

impl Segment {
    /// The last sealed version of each table by its commits, which continue those of `before`; `None` if they do not.
    pub fn sealed_after(&self, before: &BTreeMap<String, u64>) -> Option<BTreeMap<String, u64>> {
        let mut sealed = before.clone();
        for commit in &self.commits {
            let last = sealed.insert(commit.table.clone(), commit.version);
            if commit.version != last.map_or(0, |last| last + 1) {
                return None;
            }
        }
        Some(sealed)
    }

    /// The first leaf and the number of leaves of the rows of each commit of the batches that `is_it` tells.
    pub(super) fn rows_of(&self, table: &str, is_it: impl Fn(&str) -> bool) -> Vec<(u64, u64)> {
        let mut next = self.from;
        let mut found = Vec::new();
        for commit in &self.commits {
            if commit.table == table && commit.batch_id.as_deref().is_some_and(&is_it) {
                found.push((next + 1, commit.rows));
            }
            next += 1 + commit.rows;
        }
        found
    }
}

/// A commit of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCommit {
    /// Its table.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// The batch its rows belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Rows of the batch that are leaves after the commit's own.
    pub rows: u64,
}

/// What a ledger keeps beside its tables: the log, and what only the ledger itself may read of it.
pub const FOLDERS: [&str; 2] = ["log", "seal"];

/// The log of a ledger, as a place.
#[derive(Clone, Debug)]
pub struct Log {
    log: Arc<dyn ObjectStore>,
    seal: Arc<dyn ObjectStore>,
    place: String,
}

impl Log {
    /// The log of `ledger`; no I/O.
    pub fn of(ledger: &Ledger) -> Self {
        let root = ledger.root();
        let folder = |name| -> Arc<dyn ObjectStore> {
            Arc::new(PrefixStore::new(Arc::clone(&root.store), root.prefix.clone().join(name)))
        };
        let [log, seal] = FOLDERS.map(folder);
        Self { log, seal, place: root.url.to_string() }
    }

    /// The ledger's address.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The secret of the salts, if the ledger has one.
    ///
    /// # Errors
    /// The store's errors; [`Error::Damaged`] if it is none.
    pub async fn load_secret(&self) -> Result<Option<Secret>, Error> {
        let Some(text) = self.load(&self.seal, &Path::from(SECRET)).await? else { return Ok(None) };
        let bytes = std::str::from_utf8(&text).ok().and_then(|text| unhex(text.trim_end()));
        match bytes {
            Some(bytes) => Ok(Some(Secret::new(&bytes))),
            None => Err(self.damaged("seal/secret is not 64 hexadecimal digits")),
        }
    }

    /// The secret of the salts, made of `fresh` if there is none yet.
    pub(super) async fn load_or_create_secret(&self, fresh: &[u8; 32]) -> Result<Secret, Error> {
        if let Some(secret) = self.load_secret().await? {
            return Ok(secret);
        }
        self.create(&self.seal, &Path::from(SECRET), format!("{}\n", hex(fresh)).into()).await?;
        self.load_secret().await?.ok_or_else(|| self.damaged("seal/secret is missing"))
    }

    /// Sizes for which a checkpoint was signed, in order.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn list_checkpoints(&self) -> Result<Vec<u64>, Error> {
        self.list(&self.log, CHECKPOINTS, "").await
    }

    /// First leaves of all segments, in order.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn list_segments(&self) -> Result<Vec<u64>, Error> {
        self.list(&self.seal, SEGMENTS, ".json").await
    }

    /// The checkpoint signed at `size`.
    ///
    /// # Errors
    /// The store's errors; [`Error::NotACheckpoint`].
    pub async fn load_checkpoint(&self, size: u64) -> Result<Option<Checkpoint>, Error> {
        self.load_note(&checkpoint_path(size)).await
    }

    /// The object `checkpoint`, which readers start from.
    ///
    /// # Errors
    /// The store's errors; [`Error::NotACheckpoint`].
    pub async fn load_published(&self) -> Result<Option<Checkpoint>, Error> {
        self.load_note(&Path::from(CHECKPOINT)).await
    }

    /// The largest checkpoint ever signed.
    ///
    /// # Errors
    /// The store's errors; [`Error::NotACheckpoint`].
    pub async fn load_newest(&self) -> Result<Option<Checkpoint>, Error> {
        match self.list_checkpoints().await?.last() {
            Some(size) => self.load_checkpoint(*size).await,
            None => Ok(None),
        }
    }

    async fn load_note(&self, path: &Path) -> Result<Option<Checkpoint>, Error> {
        let note = self.load(&self.log, path).await?;
        note.map(|note| Checkpoint::parse(&format!("{}log/{path}", self.place), &note)).transpose()
    }

    /// The segment that starts with leaf `from`.
    ///
    /// # Errors
    /// The store's errors; [`Error::Damaged`] if it cannot be read.
    pub async fn load_segment(&self, from: u64) -> Result<Option<Segment>, Error> {
        let path = segment_path(from);
        let Some(text) = self.load(&self.seal, &path).await? else { return Ok(None) };
        let segment = serde_json::from_slice(&text);
        segment.map(Some).map_err(|error| self.damaged(format!("seal/{path} cannot be read: {error}")))
    }

    /// Stores `segment` unless there is one from the same leaf on; answers the one that counts.
    pub(super) async fn claim(&self, segment: Segment) -> Result<Segment, Error> {
        let path = segment_path(segment.from);
        let text = serde_json::to_vec(&segment).map_err(|error| self.damaged(error.to_string()))?;
        self.create(&self.seal, &path, text.into()).await?;
        self.load_segment(segment.from).await?.ok_or_else(|| self.damaged(format!("seal/{path} is missing")))
    }

    /// Stores objects of the tree. Objects of one name are always the same bytes, so it does not matter who is first.
    pub(super) async fn store(&self, objects: Vec<Object>) -> Result<(), Error> {
        let puts = objects.into_iter().map(|(path, bytes)| async move {
            self.log.put(&path, bytes.into()).await.map_err(|source| self.store_error("write the log", source))
        });
        stream::iter(puts).buffer_unordered(IN_FLIGHT).try_for_each(|_| async { Ok(()) }).await
    }

    /// Keeps `checkpoint`, unless one of its size was signed before; answers the one that counts.
    pub(super) async fn keep(&self, checkpoint: &Checkpoint) -> Result<Checkpoint, Error> {
        let size = checkpoint.head.size;
        self.create(&self.log, &checkpoint_path(size), checkpoint.to_string().into()).await?;
        let kept = self.load_checkpoint(size).await?;
        match kept.filter(|kept| kept.head == checkpoint.head) {
            Some(kept) => Ok(kept),
            None => Err(self.damaged(format!("log/checkpoints/{size} has another root"))),
        }
    }

    /// Puts the largest checkpoint where readers start.
    ///
    /// A slow sealer may put an older one over a newer. Whoever writes last has looked once more after writing, so the
    /// largest stays.
    pub(super) async fn publish(&self) -> Result<(), Error> {
        while let Some(newest) = self.load_newest().await? {
            let published = self.load(&self.log, &Path::from(CHECKPOINT)).await?;
            let text = newest.to_string();
            if published.is_some_and(|published| published == text) {
                break;
            }
            let put = self.log.put(&Path::from(CHECKPOINT), text.into()).await;
            put.map_err(|source| self.store_error("write the log", source))?;
        }
        Ok(())
    }

    /// The right edge of the tree of `head`, checked against its root.
    pub(super) async fn load_edge(&self, head: &Head) -> Result<Edge, Error> {
        let size = head.size;
        let mut levels = Vec::new();
        for level in (0..).take_while(|level| size >> (TILE_HEIGHT * level) > 0) {
            let index = size >> (TILE_HEIGHT * (level + 1));
            levels.push(match partial_width(level, size) {
                0 => Vec::new(),
                _ => self.load_tile(level, index, size).await?,
            });
        }
        let mut bundle = Vec::new();
        if partial_width(0, size) > 0 {
            let leaves = self.load_leaves(size / TILE_WIDTH as u64, size).await?;
            for leaf in &leaves {
                bundle.extend_from_slice(&u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes());
                bundle.extend_from_slice(leaf);
            }
            let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
            if levels.first() != Some(&hashes) {
                return Err(self.damaged("the last leaves are not those of the last tile"));
            }
        }
        let edge = Edge::new(size, levels, bundle);
        match edge.root() == head.root {
            true => Ok(edge),
            false => Err(self.damaged(format!("its tiles do not have the root of the checkpoint of size {size}"))),
        }
    }

    /// The leaves of a bundle in the tree of `size` leaves.
    ///
    /// # Errors
    /// The store's errors; [`Error::Damaged`] if it is missing or is none.
    pub async fn load_leaves(&self, index: u64, size: u64) -> Result<Vec<Bytes>, Error> {
        let width = width_of(size, index);
        let (path, bytes) = self.load_wide(|width| bundle_path(index, width), width).await?;
        let leaves = leaves_of(&bytes).filter(|leaves| leaves.len() >= width);
        let mut leaves = leaves.ok_or_else(|| self.damaged(format!("log/{path} does not have {width} leaves")))?;
        leaves.truncate(width);
        Ok(leaves)
    }

    async fn load_tile(&self, level: u32, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        let width = width_of(size >> (TILE_HEIGHT * level), index);
        let (path, bytes) = self.load_wide(|width| tile_path(level, index, width), width).await?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        match hashes.get(..width) {
            Some(hashes) if rest.is_empty() => Ok(hashes.to_vec()),
            _ => Err(self.damaged(format!("log/{path} does not have {width} hashes"))),
        }
    }

    /// A partial object, or the full one that took its place.
    async fn load_wide(&self, path: impl Fn(usize) -> Path, width: usize) -> Result<(Path, Bytes), Error> {
        for path in [path(width), path(TILE_WIDTH)] {
            if let Some(bytes) = self.load(&self.log, &path).await? {
                return Ok((path, bytes));
            }
        }
        Err(self.damaged(format!("log/{} is missing", path(width))))
    }

    /// The roots over `ranges` of leaves in the tree of `size` leaves, from its tiles.
    ///
    /// # Errors
    /// The store's errors; [`Error::Damaged`] if a tile is missing.
    pub async fn load_roots(&self, ranges: &[Range<u64>], size: u64) -> Result<Vec<Hash>, Error> {
        let mut tiles = HashMap::new();
        let mut roots = Vec::new();
        for range in ranges {
            let mut parts = Vec::new();
            for Subtree { height, index } in subtrees(range.clone()) {
                let (level, above) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
                let first = index << above;
                let tile = first / TILE_WIDTH as u64;
                if let std::collections::hash_map::Entry::Vacant(free) = tiles.entry((level, tile)) {
                    free.insert(self.load_tile(level, tile, size).await?);
                }
                let at = usize::try_from(first % TILE_WIDTH as u64).unwrap_or(0);
                let hashes = tiles.get(&(level, tile)).and_then(|tile: &Vec<Hash>| tile.get(at..at + (1 << above)));
                parts.push(root_of(
                    hashes.ok_or_else(|| self.damaged(format!("tile {tile} of level {level} is too short")))?,
                ));
            }
            roots.push(fold(&parts));
        }
        Ok(roots)
    }

    /// Whether the log of `new` begins with that of `old`, by a proof from its tiles.
    ///
    /// # Errors
    /// The store's errors; [`Error::Damaged`] if a tile is missing.
    pub async fn extends(&self, old: &Head, new: &Head) -> Result<bool, Error> {
        if old.size > new.size {
            return Ok(false);
        }
        let proof = self.load_roots(&tree::consistency_ranges(old.size, new.size), new.size).await?;
        Ok(tree::extends((old.size, &old.root), (new.size, &new.root), &proof))
    }

    /// An object of the tree, or the full one that took the place of a partial one; `None` if neither is there.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn load_object(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        match self.load(&self.log, path).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => match path.as_ref().split_once(".p/") {
                Some((full, _)) => self.load(&self.log, &Path::from(full)).await,
                None => Ok(None),
            },
        }
    }

    async fn load(&self, store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Option<Bytes>, Error> {
        let failed = |source| self.store_error("read the log", source);
        match store.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// Stores an object unless there is one of that name, which is no error.
    async fn create(&self, store: &Arc<dyn ObjectStore>, path: &Path, bytes: Bytes) -> Result<(), Error> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(path, bytes.into(), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(()),
            Err(source) => Err(self.store_error("write the log", source)),
        }
    }

    async fn list(&self, store: &Arc<dyn ObjectStore>, folder: &str, suffix: &str) -> Result<Vec<u64>, Error> {
        let names = store.list(Some(&Path::from(folder))).try_filter_map(|object| {
            let name = object.location.filename().and_then(|name| name.strip_suffix(suffix)?.parse::<u64>().ok());
            async move { Ok(name) }
        });
        let mut found: Vec<u64> =
            names.try_collect().await.map_err(|source| self.store_error("list the log", source))?;
        found.sort_unstable();
        Ok(found)
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged { place: self.place.clone(), reason: reason.into() }
    }

    fn store_error(&self, action: &'static str, source: object_store::Error) -> Error {
        crate::Error::store(self.place.clone(), action, source).into()
    }
}

fn checkpoint_path(size: u64) -> Path {
    Path::from(format!("{CHECKPOINTS}/{size}"))
}

fn segment_path(from: u64) -> Path {
    Path::from(format!("{SEGMENTS}/{from:020}.json"))
}

/// How many of `count` are in the `index`-th group of 256.
fn width_of(count: u64, index: u64) -> usize {
    let width = count.saturating_sub(index * TILE_WIDTH as u64).min(TILE_WIDTH as u64);
    usize::try_from(width).unwrap_or(TILE_WIDTH)
}
