//! Identity of a row that no source names: a hash of what it states.

use sha2::{Digest, Sha256};

/// Hashes fields so that no two lists of fields give the same bytes: each with its length, absence apart from emptiness.
#[derive(Default)]
pub(crate) struct Fields(Sha256);

impl Fields {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.bytes(text.as_bytes()),
            None => self.0.update([0xff; 8]),
        }
    }

    pub(crate) fn number(&mut self, number: Option<i128>) {
        match number {
            Some(number) => self.bytes(&number.to_be_bytes()),
            None => self.text(None),
        }
    }

    pub(crate) fn pairs(&mut self, pairs: &[(String, String)]) {
        let mut sorted: Vec<_> = pairs.iter().collect();
        sorted.sort_unstable();
        self.0.update((sorted.len() as u64).to_be_bytes());
        for (key, value) in sorted {
            self.text(Some(key));
            self.text(Some(value));
        }
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
