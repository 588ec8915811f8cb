//! The artifacts of a bundle against their index.

use std::collections::BTreeMap;

use super::bundle::Check;
use crate::artifact::{FOLDER, INDEX, Index};
use crate::digest::Written;
use crate::manifest::shown;

impl Check<'_> {
    /// Each artifact that is said to be in the bundle is, as it was registered, and no other is.
    pub(super) fn artifacts(&mut self, digests: &BTreeMap<String, Written>) {
        let files: Vec<&String> = digests.keys().filter(|name| name.starts_with(FOLDER)).collect();
        if files.is_empty() {
            return;
        }
        let Some(index) = self.json::<Index>(INDEX) else { return };
        let carried = index.carried();
        for (path, artifact) in &carried {
            let Some(file) = digests.get(*path).filter(|_| path.starts_with(FOLDER)) else {
                let found =
                    format!("it says that `{}` is in `{}`, which is not there", shown(&artifact.name), shown(path));
                self.verdict.differs(INDEX, found);
                continue;
            };
            if file.sha256 != artifact.sha256 || file.bytes != artifact.details.bytes {
                let (bytes, sha256) = (artifact.details.bytes, shown(&artifact.sha256));
                self.verdict.differs(*path, format!("{INDEX} says {bytes} bytes with the sha256 {sha256}"));
            }
        }
        for name in files.into_iter().filter(|name| *name != INDEX && !carried.contains_key(name.as_str())) {
            self.verdict.differs(name, format!("{INDEX} does not name it"));
        }
    }
}
