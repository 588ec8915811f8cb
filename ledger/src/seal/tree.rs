//! The Merkle tree of RFC 6962, section 2.1: hashes, which of them prove what, and the check of such proofs.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// The hash of the node above `left` and `right`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root over `nodes`, which are complete subtrees of one height, of which the last may be smaller.
pub fn root_of(nodes: &[Hash]) -> Hash {
    match nodes {
        [] => Sha256::digest([]).into(),
        [node] => *node,
        _ => {
            let (left, right) = nodes.split_at(1 << (nodes.len() - 1).ilog2());
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// A subtree with all of its `2^height` leaves, the `index`-th of that height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subtree {
    /// Levels above the leaves.
    pub height: u32,
    /// How many of that height are before it.
    pub index: u64,
}

/// The complete subtrees that make up `leaves`, left to right; [`fold`] gives their root.
///
/// `leaves` starts where a subtree of its size starts, as every range of a proof does.
pub fn subtrees(leaves: Range<u64>) -> Vec<Subtree> {
    let mut start = leaves.start;
    let mut found = Vec::new();
    while start < leaves.end {
        let height = (leaves.end - start).ilog2();
        found.push(Subtree { height, index: start >> height });
        start += 1 << height;
    }
    found
}

/// The root above the roots of [`subtrees`].
pub fn fold(roots: &[Hash]) -> Hash {
    let folded = roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    folded.unwrap_or_else(|| root_of(&[]))
}

/// Where a tree of `size` leaves, two or more, is split.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The ranges whose roots prove that leaf `index` is in a tree of `size` leaves, from the leaf's sibling up.
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The ranges whose roots prove that the first `old` leaves of a tree of `new` leaves are those of the tree of `old`.
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    let (mut start, mut end) = (0, new);
    let mut ranges = Vec::new();
    if old == 0 {
        return ranges;
    }
    while old < end {
        let middle = start + split(end - start);
        if old <= middle {
            ranges.push(middle..end);
            end = middle;
        } else {
            ranges.push(start..middle);
            start = middle;
        }
    }
    // The old tree itself, if all of it is this subtree, is what the verifier has.
    if start > 0 {
        ranges.push(start..end);
    }
    ranges.reverse();
    ranges
}

/// Whether `proof` shows that the leaf with `hash` is the `index`-th of the tree of `size` leaves with `root` (RFC 9162,
/// section 2.1.3.2).
pub fn includes(root: &Hash, size: u64, hash: Hash, index: u64, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut found) = (index, size - 1, hash);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            found = node_hash(sibling, &found);
            climb(&mut node, &mut last);
        } else {
            found = node_hash(&found, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && found == *root
}

/// Whether `proof` shows that the tree of `old.0` leaves with root `old.1` is the beginning of `new` (RFC 9162, section
/// 2.1.4.2).
pub fn extends(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    if old.0 == 0 || old.0 == new.0 {
        return proof.is_empty() && (old.0 == 0 || old.1 == new.1);
    }
    if old.0 > new.0 {
        return false;
    }
    let mut path = proof.iter();
    let first = if old.0.is_power_of_two() { Some(old.1) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old.0 - 1, new.0 - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_root, mut new_root) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(sibling, &old_root);
            new_root = node_hash(sibling, &new_root);
            climb(&mut node, &mut last);
        } else {
            new_root = node_hash(&new_root, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_root == *old.1 && new_root == *new.1
}

/// Up to where the node is a right child: on the way it has no sibling.
fn climb(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::hex;

    /// The leaves and roots of Certificate Transparency's own tests of RFC 6962.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hashes(size: u64) -> Vec<Hash> {
        (0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect()
    }

    fn root_in(leaves: &[Hash], range: Range<u64>) -> Hash {
        root_of(&leaves[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    }

    fn proof(leaves: &[Hash], ranges: Vec<Range<u64>>) -> Vec<Hash> {
        ranges.into_iter().map(|range| root_in(leaves, range)).collect()
    }

    #[test]
    fn roots_are_those_of_the_published_vectors() {
        let leaves: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect();
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(hex(&root_of(&leaves[..size])), *root, "{size} leaves");
        }
        let sibling = proof(&leaves, inclusion_ranges(0, 8));
        assert_eq!(
            sibling.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        );
    }

    #[test]
    fn subtrees_of_a_range_fold_to_its_root() {
        let leaves = hashes(40);
        for size in 0..=40 {
            let roots: Vec<_> = subtrees(0..size)
                .into_iter()
                .map(|part| root_in(&leaves, part.index << part.height..(part.index + 1) << part.height))
                .collect();
            assert_eq!(fold(&roots), root_in(&leaves, 0..size));
        }
    }

    #[test]
    fn every_leaf_is_proven_and_no_other() {
        let leaves = hashes(20);
        for size in 1..=20 {
            let root = root_in(&leaves, 0..size);
            for index in 0..size {
                let path = proof(&leaves, inclusion_ranges(index, size));
                let hash = |at: u64| leaves[usize::try_from(at).unwrap()];
                assert!(includes(&root, size, hash(index), index, &path));
                assert!(!includes(&root, size, hash((index + 1) % 20), index, &path), "another leaf");
                assert!(!includes(&root, size, hash(index), index + 1, &path), "another place");
                assert!(!includes(&root_of(&leaves), size + 30, hash(index), index, &path), "another tree");
                let longer = [path.clone(), vec![root]].concat();
                assert!(!includes(&root, size, hash(index), index, &longer), "a longer proof");
                for at in 0..path.len() {
                    let mut forged = path.clone();
                    forged[at][0] ^= 1;
                    assert!(!includes(&root, size, hash(index), index, &forged), "hash {at}");
                }
            }
        }
    }

    #[test]
    fn growth_is_proven_and_a_rewritten_beginning_is_not() {
        let leaves = hashes(20);
        for new in 1..=20 {
            let new_root = root_in(&leaves, 0..new);
            for old in 1..=new {
                let old_root = root_in(&leaves, 0..old);
                let path = proof(&leaves, consistency_ranges(old, new));
                assert!(extends((old, &old_root), (new, &new_root), &path), "{old} -> {new}");
                assert!(!extends((old, &leaf_hash(b"x")), (new, &new_root), &path), "{old} -> {new}, another old root");
                assert!(!extends((old, &old_root), (new, &leaf_hash(b"x")), &path), "{old} -> {new}, another new root");
                for at in 0..path.len() {
                    let mut forged = path.clone();
                    forged[at][0] ^= 1;
                    assert!(!extends((old, &old_root), (new, &new_root), &forged), "{old} -> {new}, hash {at}");
                    assert!(!extends((old, &old_root), (new, &new_root), &path[..at]), "{old} -> {new}, cut at {at}");
                }
            }
            assert!(!extends((new + 1, &new_root), (new, &new_root), &[]), "a tree never shrinks");
        }
    }
}
