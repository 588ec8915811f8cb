//! Artifacts in a bundle: an index of all, and the files of those it carries.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Artifact, open};
use crate::Error;
use crate::digest::{CHUNK_BYTES, DigestWriter, Written};
use crate::pace::Pace;
use crate::writer::{BundleWriter, Line};

pub(crate) const FOLDER: &str = "data/artifacts/";
/// What is registered, and where each is: in the bundle, or where it is kept.
pub(crate) const INDEX: &str = "data/artifacts/index.json";
/// As much of a file's own name as fits a tar header.
const NAME_BYTES_MAX: usize = 60;

/// The text of [`INDEX`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) artifacts: Vec<Indexed>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Indexed {
    #[serde(flatten)]
    pub(crate) artifact: Artifact,
    /// Its file in the bundle; none if it stays where it is.
    pub(crate) path: Option<String>,
}

impl Index {
    pub(crate) fn new(artifacts: Vec<Artifact>, is_carried: bool) -> Self {
        let indexed = |artifact: Artifact| {
            let path = (is_carried && !artifact.is_elsewhere()).then(|| path(&artifact));
            Indexed { artifact, path }
        };
        Self { artifacts: artifacts.into_iter().map(indexed).collect() }
    }

    /// What goes into the bundle.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is no JSON.
    pub(crate) fn text(&self) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(self);
        let broken = |error: serde_json::Error| Error::Internal {
            invariant: "an index of artifacts is JSON",
            found: error.to_string(),
        };
        Ok(format!("{}\n", text.map_err(broken)?))
    }

    /// The artifacts that have a file in the bundle, by its path: bytes that are there twice are one file.
    pub(crate) fn carried(&self) -> BTreeMap<&str, &Artifact> {
        let carried = self.artifacts.iter().filter_map(|indexed| Some((indexed.path.as_deref()?, &indexed.artifact)));
        carried.collect()
    }
}

/// Its own name after the first digits of its SHA-256, in characters that files of a bundle have.
fn path(artifact: &Artifact) -> String {
    let own = Path::new(&artifact.details.place).file_name().unwrap_or_default().to_string_lossy();
    let is_kept = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let letters: Vec<char> = own.chars().map(|letter| if is_kept(letter) { letter } else { '_' }).collect();
    // The end of a name tells what it is.
    let own: String = letters.iter().skip(letters.len().saturating_sub(NAME_BYTES_MAX)).collect();
    // The row may come from a bundle that anybody made.
    let digest: String = artifact.sha256.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("{FOLDER}{digest}-{own}")
}

/// Writes the files that `index` names and that are not `finished`, each as it was registered, or none of what follows is written.
///
/// # Errors
/// [`Error::ArtifactLost`] for the first that is gone, is another by now, or is longer than `bytes_max`.
pub(crate) fn carry(
    bundle: &dyn BundleWriter,
    index: &Index,
    finished: &BTreeMap<String, Written>,
    bytes_max: u64,
    pace: &Pace,
) -> Result<Vec<Written>, Error> {
    let carry = |(path, artifact): (&str, &Artifact)| match finished.get(path) {
        Some(file) if file.sha256 == artifact.sha256 => Ok(file.clone()),
        _ => copy(bundle, path, artifact, bytes_max, pace),
    };
    index.carried().into_iter().map(carry).collect()
}

fn copy(
    bundle: &dyn BundleWriter,
    path: &str,
    artifact: &Artifact,
    bytes_max: u64,
    pace: &Pace,
) -> Result<Written, Error> {
    let lost = |reason: String| {
        let (name, place) = (artifact.name.clone(), artifact.details.place.clone());
        Error::ArtifactLost { name, place, reason }
    };
    if artifact.details.bytes > bytes_max {
        let (bytes, most) = (artifact.details.bytes, bytes_max);
        return Err(lost(format!("it has {bytes} bytes, into a single file at most {most} go")));
    }
    // One byte more than registered is enough to know that it changed.
    let source = open(Path::new(&artifact.details.place)).map_err(|error| lost(error.to_string()))?;
    let mut source = source.take(artifact.details.bytes.saturating_add(1));
    let mut file = DigestWriter::create_of(bundle, path, Some(artifact.details.bytes))?.paced(pace);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = source.read(&mut buffer).map_err(|error| lost(error.to_string()))?;
        let (read, _) = buffer.split_at(length);
        if read.is_empty() {
            break;
        }
        file.write_all(read).map_err(Error::folder(&bundle.place().join(path), "write"))?;
    }
    let written = file.finish()?;
    if written.sha256 != artifact.sha256 {
        return Err(lost(format!("it has changed since it was registered with the SHA-256 {}", artifact.sha256)));
    }
    bundle.admit(&written)?;
    bundle.note(Line::of_artifact(&written))?;
    Ok(written)
}
