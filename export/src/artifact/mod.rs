//! Artifacts: what a company made with a vendor beside its calls. Registered with what they are and where they are kept; a
//! bundle carries them, or says where they are.

mod carry;
mod format;
mod gguf;
mod header;
mod npy;
mod onnx;
mod registered;
mod safetensors;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use daybook_ledger::file::hex;
use daybook_ledger::{ArtifactDetails, ArtifactKind};
use sha2::{Digest as _, Sha256};

pub(crate) use self::carry::{FOLDER, INDEX, Index, carry};
use self::format::Format;
pub(crate) use self::registered::Registered;
pub use self::registered::{Artifact, artifacts};
use crate::Error;
use crate::digest::CHUNK_BYTES;

/// A file that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Hexadecimal.
    pub sha256: String,
    /// What it is.
    pub details: ArtifactDetails,
}

/// Reads the file at `path` whole, and its header as the format its name ends in: Safetensors, GGUF, ONNX, npy, Parquet, JSON
/// Lines. It is kept at `place`.
///
/// # Errors
/// [`Error::NotAnArtifact`] if it cannot be read, or is not of its format.
pub fn inspect(path: &Path, kind: ArtifactKind, place: String) -> Result<Inspected, Error> {
    let refused = |reason| Error::NotAnArtifact { path: path.into(), reason };
    let unreadable = |error: std::io::Error| refused(error.to_string());
    let (sha256, bytes) = digest(path).map_err(unreadable)?;
    let format = Format::of(path);
    let holds = match format {
        Some(format) => {
            let read = format.read(File::open(path).map_err(unreadable)?, bytes);
            Some(read.map_err(|reason| refused(format!("it is no whole {} file: {reason}", format.as_str())))?)
        }
        None => None,
    };
    let format = format.map(|format| format.as_str().into());
    Ok(Inspected { sha256, details: ArtifactDetails { kind: kind.as_str().into(), bytes, place, format, holds } })
}

/// Opens a regular file: a device or a pipe may never end.
fn open(path: &Path) -> std::io::Result<File> {
    match std::fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// SHA-256 and length of the file at `path`.
fn digest(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = file.read(&mut buffer)?;
        let (read, _) = buffer.split_at(length);
        if read.is_empty() {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(read);
        bytes += length as u64;
    }
}
