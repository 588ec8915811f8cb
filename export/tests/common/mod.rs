//! What tests of bundles share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below `path` with its bytes; links are none.
pub(crate) fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_symlink() => {}
                _ => {
                    let name = entry.path().strip_prefix(path).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(entry.path()).unwrap());
                }
            }
        }
    }
    found
}

/// Writes the manifests anew, as somebody who forges a bundle would.
pub(crate) fn rewrite_manifests(bundle: &Path) {
    use sha2::{Digest as _, Sha256, Sha512};
    let hex = |bytes: &[u8]| daybook_ledger::file::hex(bytes);
    let write = |name: &str, is_listed: &dyn Fn(&str) -> bool, digest: &dyn Fn(&[u8]) -> String| {
        let listed = files(bundle).into_iter().filter(|(path, _)| is_listed(path));
        let lines: String = listed.map(|(path, bytes)| format!("{}  {path}\n", digest(&bytes))).collect();
        fs::write(bundle.join(name), lines).unwrap();
    };
    let payload = |path: &str| path.starts_with("data/");
    write("manifest-sha256.txt", &payload, &|bytes| hex(&Sha256::digest(bytes)));
    write("manifest-sha512.txt", &payload, &|bytes| hex(&Sha512::digest(bytes)));
    let tags = |path: &str| !payload(path) && !path.starts_with("tagmanifest");
    write("tagmanifest-sha256.txt", &tags, &|bytes| hex(&Sha256::digest(bytes)));
    write("tagmanifest-sha512.txt", &tags, &|bytes| hex(&Sha512::digest(bytes)));
}
