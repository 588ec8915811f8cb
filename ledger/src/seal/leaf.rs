//! What of a row goes into the log: a salted digest that reveals nothing without the salt.

use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::tree::Hash;

/// The name under which commits of tables are in the log, beside the names of tables.
pub const COMMIT: &str = "commit";

/// The secret that the salts of a ledger come from. Whoever has it and a row can find the row's leaf.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    /// The secret made of random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Opens the leaf of `row`, the text of a row of `table`.
    pub fn opening(&self, table: &str, row: &[u8]) -> Opening {
        let digest = Sha256::digest(row);
        Opening { table: table.into(), salt: tag(&self.0, &digest), row: row.into() }
    }

    /// The commitment of [`Opening::commitment`], without the rest.
    pub fn commitment(&self, row: &[u8]) -> Hash {
        let digest = Sha256::digest(row);
        commitment(&tag(&self.0, &digest), &digest)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// What shows that a leaf is a row: the row and the salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The table.
    pub table: String,
    /// HMAC-SHA-256 of the row's SHA-256 under the ledger's secret.
    pub salt: Hash,
    /// The row's text.
    pub row: Vec<u8>,
}

impl Opening {
    /// HMAC-SHA-256 of the row's SHA-256 under the salt.
    pub fn commitment(&self) -> Hash {
        commitment(&self.salt, &Sha256::digest(&self.row))
    }

    /// The leaf.
    pub fn leaf(&self) -> Vec<u8> {
        leaf(&self.table, &self.commitment())
    }
}

/// A leaf: the name of the table, a zero byte, the commitment.
pub fn leaf(table: &str, commitment: &Hash) -> Vec<u8> {
    [table.as_bytes(), &[0], commitment].concat()
}

/// The table and the commitment of a leaf; `None` if it is none of ours.
pub fn split_leaf(leaf: &[u8]) -> Option<(&str, &Hash)> {
    let (table, commitment) = leaf.split_last_chunk()?;
    let (zero, table) = table.split_last()?;
    (*zero == 0).then_some(std::str::from_utf8(table).ok()?).zip(Some(commitment))
}

fn commitment(salt: &Hash, digest: &[u8]) -> Hash {
    tag(&hmac::Key::new(hmac::HMAC_SHA256, salt), digest)
}

fn tag(key: &hmac::Key, message: &[u8]) -> Hash {
    // A tag of HMAC-SHA-256 has 32 bytes.
    hmac::sign(key, message).as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_depends_on_row_table_and_secret() {
        let secret = Secret::new(&[1; 32]);
        let opening = secret.opening("usage", b"{}");
        assert_eq!(opening.commitment(), secret.commitment(b"{}"));
        assert_eq!(split_leaf(&opening.leaf()), Some(("usage", &opening.commitment())));
        assert_ne!(opening.leaf(), secret.opening("billing", b"{}").leaf());
        assert_ne!(opening.leaf(), secret.opening("usage", b"{ }").leaf());
        assert_ne!(opening.leaf(), Secret::new(&[2; 32]).opening("usage", b"{}").leaf());
        assert_eq!(split_leaf(b"short"), None);
    }
}
