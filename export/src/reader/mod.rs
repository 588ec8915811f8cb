//! The files of a bundle that is read: in a folder, one file or a bucket.
//!
//! A bundle may come from anybody: what is not a regular file with the name of one is a fault and is never touched, links are
//! not followed, and nothing is written.

mod archive;
mod folder;
mod objects;
mod random;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybook_ledger::Root;

pub(crate) use self::random::Random;
use crate::Error;
use crate::encryption::{self, Keys};
use crate::manifest::{Algorithm, is_safe, shown};
use crate::verify::Difference;
use crate::writer::{BAGIT, Form, JOURNAL};

/// More files than a bundle has.
const FILES_MAX: usize = 1_000_000;
/// What describes a bundle is read whole up to here.
pub(crate) const TEXT_BYTES_MAX: u64 = 256 << 20;

/// A bundle to read.
#[derive(Clone, Debug)]
pub struct Bundle(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    place: PathBuf,
    found: Found,
    reader: Box<dyn BundleReader>,
}

/// Reads the files that were found.
trait BundleReader: std::fmt::Debug + Send + Sync {
    /// A file from its start. Bytes that cannot be those of the file are [`io::ErrorKind::InvalidData`].
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;

    /// A file to be read in any order.
    fn open_random(&self, name: &str) -> io::Result<Random>;
}

/// What is in a bundle.
#[derive(Debug, Default)]
struct Found {
    /// Lengths of all regular files, by path with `/`.
    files: BTreeMap<String, u64>,
    /// What else there is.
    faults: Vec<Difference>,
    /// Whether reading ended before the end: which files there are is not known then, and none is read.
    has_no_end: bool,
}

impl Found {
    fn fault(&mut self, place: &str, found: impl Into<String>) {
        if self.faults.len() < crate::verify::DIFFERENCES_MAX {
            self.faults.push(Difference { place: shown(place), found: found.into() });
        }
    }

    /// Of an export that was killed nothing else is to be said: what it is to have last, it does not have.
    fn note_unfinished(&mut self, place: &Path) {
        let is_leftover = self.files.contains_key(JOURNAL) || place.extension().is_some_and(|end| end == "partial");
        if is_leftover && !self.files.contains_key(Algorithm::Sha256.payload_manifest()) {
            self.has_no_end = true;
            self.faults.clear();
            let name = place.file_name().unwrap_or(place.as_os_str()).to_string_lossy().into_owned();
            self.fault(&name, "an export that did not finish: its command, given again, goes on with it");
        }
    }

    /// Takes a file that no name, number of files or other file speaks against; answers whether it did.
    fn add(&mut self, name: &str, bytes: u64) -> bool {
        match () {
            () if !is_safe(name) => self.fault(name, "no file of a bundle has such a name"),
            () if self.files.len() >= FILES_MAX => self.fault(name, "there are too many files"),
            () if self.files.contains_key(name) => self.fault(name, "it is there twice"),
            () => {
                self.files.insert(name.into(), bytes);
                return true;
            }
        }
        false
    }
}

/// Opens a bundle in one file.
pub(crate) fn open_file(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotABundle { path: path.into(), reason: "there is no such file".into() },
        _ => Error::unreadable(path, "open")(error),
    })
}

impl Bundle {
    /// Whether `address` is meant to be a bundle: named `….tar.zst` or `….tar.zst.age`, or a folder or prefix with a file that only
    /// bundles have.
    ///
    /// # Errors
    /// The ledger's, if a bucket cannot be asked.
    pub async fn is_at(address: &str) -> Result<bool, Error> {
        let path = Path::new(address);
        Ok(match Form::of(path) {
            Ok(Form::Objects) if address.starts_with("s3") => objects::is_bundle(&Root::open(address, false)?).await?,
            Ok(Form::Tar | Form::Encrypted) => true,
            _ => folder::is_bundle(path),
        })
    }

    /// Whether the bundle at `address` opens with a passphrase.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn asks_for_passphrase(address: &str) -> Result<bool, Error> {
        let path = Path::new(address);
        match Form::of(path) {
            Ok(Form::Encrypted) => encryption::asks_for_passphrase(path),
            _ => Ok(false),
        }
    }

    /// Finds the files of the bundle at `address`: a folder, a file `….tar.zst`, or `….tar.zst.age` if one of `keys` opens it, or
    /// `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`Error::NotABundle`] if it is none of them, [`Error::Locked`], [`Error::Unreadable`] if it cannot be read, and the ledger's for a
    /// bucket.
    pub async fn open(address: &str, keys: &Keys) -> Result<Self, Error> {
        match Form::of(Path::new(address)) {
            Ok(Form::Objects) => {
                let root = Root::open(address, false)?;
                let (found, reader) = objects::open(root).await?;
                Ok(Self::of(Path::new(address), found, reader))
            }
            _ => Self::open_path(Path::new(address), keys),
        }
    }

    /// As [`Bundle::open`], on the local disk.
    pub(crate) fn open_path(path: &Path, keys: &Keys) -> Result<Self, Error> {
        let (found, reader): (_, Box<dyn BundleReader>) = match Form::of(path) {
            Ok(Form::Tar) => archive::open(path)?,
            Ok(Form::Encrypted) => archive::open_encrypted(path, keys)?,
            _ => folder::open(path)?,
        };
        Ok(Self::of(path, found, reader))
    }

    fn of(place: &Path, mut found: Found, reader: Box<dyn BundleReader>) -> Self {
        found.note_unfinished(place);
        Self(Arc::new(Opened { place: place.into(), found, reader }))
    }

    /// Where it is, as it was named.
    pub fn place(&self) -> &Path {
        &self.0.place
    }

    pub(crate) fn files(&self) -> &BTreeMap<String, u64> {
        &self.0.found.files
    }

    pub(crate) fn faults(&self) -> &[Difference] {
        &self.0.found.faults
    }

    pub(crate) fn has_no_end(&self) -> bool {
        self.0.found.has_no_end
    }

    pub(crate) fn open_file(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        self.0.reader.open(name)
    }

    /// All of a file, off the threads of the runtime.
    pub(crate) async fn load(&self, name: &'static str) -> Result<Vec<u8>, Error> {
        let (bundle, path) = (self.clone(), self.place().join(name));
        let read = move || {
            let mut bytes = Vec::new();
            bundle.open_file(name)?.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(Error::panicked)?;
        read.map_err(Error::unreadable(&path, "read"))
    }

    pub(crate) fn open_random(&self, name: &str) -> io::Result<Random> {
        self.0.reader.open_random(name)
    }
}
