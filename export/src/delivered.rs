//! A bundle that stands already: is it what a request asks for?

use daybook_ledger::file::hex;
use daybook_ledger::{Instant, Ledger};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::bundle::Order;
use crate::describe::{FORMULA_SAFE, SUMMARY};
use crate::reader::Bundle;
use crate::sign::SIGNED;
use crate::source::load_as_of;
use crate::{Encryption, Error, Identity, Progress, Request, Summary, verify};

/// What was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// SHA-256 of `tagmanifest-sha256.txt`, hexadecimal: it stands for every byte.
    pub sha256: String,
}

impl From<&Summary> for Delivered {
    fn from(summary: &Summary) -> Self {
        let rows = summary.rows.iter().map(|(_, rows)| rows).sum();
        Self { rows, bytes: summary.bytes(), sha256: summary.sha256.clone() }
    }
}

/// What stands at the place of `request`, if it is a whole bundle of this ledger, its scope, window and formats, and has every call
/// that was in the ledger at `since`. One that is encrypted is opened with its passphrase, or with one of `identities`.
///
/// # Errors
/// As [`crate::preview()`]; [`Error::Locked`] if none of these opens it; [`Error::Differs`] if it is such a bundle and does not verify.
pub async fn delivered(
    ledger: &Ledger,
    request: &Request,
    since: Instant,
    identities: &[Identity],
    progress: &mut dyn Progress,
) -> Result<Option<Delivered>, Error> {
    let mut keys = request.encryption.as_ref().map(Encryption::keys).unwrap_or_default();
    keys.identities.extend_from_slice(identities);
    let asked = Order::load(ledger, request).await?.summary();
    let bundle = match Bundle::open(&request.out.to_string_lossy(), &keys).await {
        Ok(bundle) => bundle,
        Err(error @ Error::Locked { .. }) => return Err(error),
        Err(_) => return Ok(None),
    };
    let found = bundle.load(SUMMARY).await.ok();
    let Some(found) = found.and_then(|text| serde_json::from_slice::<Value>(&text).ok()) else { return Ok(None) };
    let same = ["ledger_id", "scope", "window", "formats", FORMULA_SAFE, "rehearsal", "migrations", "artifacts"]
        .iter()
        .all(|key| asked.get(*key) == found.get(key));
    let version = found.pointer("/tables/usage/version").and_then(Value::as_u64);
    let (wanted, _) = load_as_of(ledger.usage(), since.micros().div_euclid(1_000)).await?;
    if !same || version < Some(wanted.version().0) {
        return Ok(None);
    }
    let verdict = verify::opened(&bundle, &[], progress).await?;
    if let Some(first) = verdict.differences.first() {
        let (path, differences) = (request.out.clone(), verdict.differences_count);
        return Err(Error::Differs { path, differences, first: first.to_string() });
    }
    let sha256 = hex(&Sha256::digest(bundle.load(SIGNED).await?));
    let rows = verdict.rows.iter().map(|table| table.rows).sum();
    Ok(Some(Delivered { rows, bytes: verdict.bytes, sha256 }))
}
