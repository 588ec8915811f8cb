//! The tree as files of 256 hashes (C2SP tlog-tiles), made as leaves come, with one tile of each level in memory.

use bytes::Bytes;
use object_store::path::Path;

use super::tree::{Hash, leaf_hash, root_of};

/// Hashes, or leaves, of a full tile.
pub const TILE_WIDTH: usize = 256;
/// Levels of the tree that one level of tiles spans.
pub(super) const TILE_HEIGHT: u32 = 8;

/// Where the hashes of level `level` from `index * 256` on are; `width` of them.
pub(super) fn tile_path(level: u32, index: u64, width: usize) -> Path {
    path(&level.to_string(), index, width)
}

/// Where the leaves from `index * 256` on are; `width` of them.
pub(super) fn bundle_path(index: u64, width: usize) -> Path {
    path("entries", index, width)
}

fn path(level: &str, index: u64, width: usize) -> Path {
    let mut groups = vec![format!("{:03}", index % 1_000)];
    let mut rest = index / 1_000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1_000));
        rest /= 1_000;
    }
    groups.reverse();
    let part = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
    Path::from(format!("tile/{level}/{}{part}", groups.join("/")))
}

/// Hashes in the last tile of `level` in a tree of `size` leaves; 0 if there is no partial one.
pub(super) fn partial_width(level: u32, size: u64) -> usize {
    usize::try_from((size >> (TILE_HEIGHT * level)) % TILE_WIDTH as u64).unwrap_or(0)
}

/// The leaves of a bundle, each with its length before it; `None` if it is not one.
pub(super) fn leaves_of(bundle: &Bytes) -> Option<Vec<Bytes>> {
    let mut leaves = Vec::new();
    let mut at = 0;
    while at < bundle.len() {
        let length: [u8; 2] = bundle.get(at..at + 2)?.try_into().ok()?;
        let end = at + 2 + usize::from(u16::from_be_bytes(length));
        bundle.get(at + 2..end)?;
        leaves.push(bundle.slice(at + 2..end));
        at = end;
    }
    Some(leaves)
}

/// An object of the log: where it goes, what is in it.
pub type Object = (Path, Bytes);

/// The right edge of the tree, and what became full since it was last asked.
#[derive(Debug, Default)]
pub struct Edge {
    size: u64,
    /// The hashes of the last, partial tile of each level.
    levels: Vec<Vec<Hash>>,
    bundle: Vec<u8>,
    full: Vec<Object>,
}

impl Edge {
    /// The edge of a tree of `size` leaves from its partial tiles, lowest first, and its partial bundle.
    pub(super) fn new(size: u64, levels: Vec<Vec<Hash>>, bundle: Vec<u8>) -> Self {
        Self { size, levels, bundle, full: Vec::new() }
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let root = self.levels.iter().fold(None, |below: Option<Hash>, level| {
            let nodes: Vec<Hash> = level.iter().copied().chain(below).collect();
            (!nodes.is_empty()).then(|| root_of(&nodes))
        });
        root.unwrap_or_else(|| root_of(&[]))
    }

    /// Appends a leaf of at most 65,535 bytes.
    pub fn push(&mut self, leaf: &[u8]) {
        self.bundle.extend_from_slice(&u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bundle.extend_from_slice(leaf);
        self.size += 1;
        if self.size.is_multiple_of(TILE_WIDTH as u64) {
            let path = bundle_path(self.size / TILE_WIDTH as u64 - 1, TILE_WIDTH);
            self.full.push((path, std::mem::take(&mut self.bundle).into()));
        }
        let mut hash = leaf_hash(leaf);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH {
                return;
            }
            let full = std::mem::take(hashes);
            hash = root_of(&full);
            let level = u32::try_from(level).unwrap_or(u32::MAX);
            let index = (self.size >> (TILE_HEIGHT * (level + 1))) - 1;
            self.full.push((tile_path(level, index, TILE_WIDTH), full.concat().into()));
        }
    }

    /// How many objects became full since [`Edge::take_full`].
    pub(super) fn full(&self) -> usize {
        self.full.len()
    }

    /// The objects that became full.
    pub fn take_full(&mut self) -> Vec<Object> {
        std::mem::take(&mut self.full)
    }

    /// The partial objects at the end of a tree of this size.
    pub fn partial(&self) -> Vec<Object> {
        let mut objects = Vec::new();
        for (level, hashes) in (0..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty()) {
            let index = self.size >> (TILE_HEIGHT * (level + 1));
            objects.push((tile_path(level, index, hashes.len()), hashes.concat().into()));
        }
        if !self.bundle.is_empty() {
            let path = bundle_path(self.size / TILE_WIDTH as u64, partial_width(0, self.size));
            objects.push((path, self.bundle.clone().into()));
        }
        objects
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn grown(size: u64) -> (Edge, BTreeMap<String, Bytes>) {
        let mut edge = Edge::default();
        (0..size).for_each(|leaf| edge.push(&leaf.to_be_bytes()));
        let objects = edge.take_full().into_iter().chain(edge.partial());
        let objects = objects.map(|(path, bytes)| (path.to_string(), bytes)).collect();
        (edge, objects)
    }

    #[test]
    fn tiles_lie_where_the_specification_says() {
        assert_eq!(tile_path(0, 1_234_067, 256).as_ref(), "tile/0/x001/x234/067");
        assert_eq!(tile_path(2, 0, 1).as_ref(), "tile/2/000.p/1");
        assert_eq!(bundle_path(1_000, 7).as_ref(), "tile/entries/x001/000.p/7");
    }

    #[test]
    fn a_tree_has_the_tiles_the_specification_lists_for_it() {
        let (_, objects) = grown(70_000);
        let of_level = |level: &str| objects.keys().filter(|path| path.starts_with(level)).count();
        assert_eq!((of_level("tile/0/"), of_level("tile/1/"), of_level("tile/2/")), (274, 2, 1));
        for path in ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"] {
            assert!(objects.contains_key(path), "{path}");
        }
        let (_, objects) = grown(256);
        assert_eq!(objects.keys().collect::<Vec<_>>(), ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
    }

    #[test]
    fn the_root_is_that_of_all_leaves_around_every_border() {
        let mut edge = Edge::default();
        let mut hashes = Vec::new();
        for leaf in 0..1_030_u64 {
            if (leaf + 3) % 256 < 6 || leaf < 40 {
                assert_eq!(edge.root(), root_of(&hashes), "{leaf} leaves");
            }
            edge.push(&leaf.to_be_bytes());
            hashes.push(leaf_hash(&leaf.to_be_bytes()));
        }
    }

    #[test]
    fn a_bundle_gives_back_its_leaves_and_a_cut_one_gives_none() {
        let (_, objects) = grown(3);
        let bundle = &objects["tile/entries/000.p/3"];
        let expected: Vec<Bytes> = (0..3_u64).map(|leaf| leaf.to_be_bytes().to_vec().into()).collect();
        assert_eq!(leaves_of(bundle), Some(expected));
        assert_eq!(leaves_of(&bundle.slice(..bundle.len() - 1)), None);
    }
}
