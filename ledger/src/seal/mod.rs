//! Tamper evidence: a signed, append-only log of what the tables say, beside them on the same store.
//!
//! Every commit of every table and every row (of `content`: no row, `usage` has the digests of bodies) is a leaf of one
//! Merkle tree (RFC 6962), stored as C2SP tlog-tiles under `log/`. A leaf is a salted digest: erasing a body or compacting
//! files changes none, and without the salt it reveals nothing. `docs/tamper-evidence.md` says what that proves.
//!
//! | module | holds |
//! |---|---|
//! | `tree`, `tile` | hashes and proofs; the tree as files |
//! | `note` | keys, signatures, checkpoints |
//! | `row`, `leaf` | a row's text, its salt, its leaf |
//! | `log` | what is where on the store |
//! | `sealer`, `proof` | what comes next goes in; what is in is proven |

mod error;
mod leaf;
mod log;
mod note;
mod proof;
mod row;
mod sealer;
mod tile;
mod tree;

pub use error::Error;
pub use leaf::{COMMIT, Opening, Secret, leaf, split_leaf};
pub use log::{FOLDERS, Log, SealedCommit, Segment};
pub use note::{Checkpoint, Head, SigningKey, VerifierKey};
pub use proof::{Proof, prove};
pub use row::{RowTexts, commit_text, is_sealed, sealed_columns};
pub use sealer::{Request, Sealed, seal};
pub use tile::{Edge, Object, TILE_WIDTH};
pub use tree::{
    Hash, Subtree, consistency_ranges, extends, fold, includes, inclusion_ranges, leaf_hash, node_hash, root_of,
    subtrees,
};

/// A batch whose id begins so brought the rows of a bundle, which keep the batches that they had in the ledger they are of.
pub const RESTORED: &str = "bundle-";

#[cfg(test)]
mod tests;
