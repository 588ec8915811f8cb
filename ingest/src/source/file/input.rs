//! Where bytes come from: a local file, or an object of a bucket read in ranges.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf as _, Bytes};
use daybook_ledger::Instant;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Bytes of an object fetched at once: a connection is never held open by a slow ledger.
pub(crate) const RANGE_BYTES: u64 = 4 << 20;

/// A file or an object.
#[derive(Clone, Debug)]
pub struct Input {
    /// As the user knows it: a path or a URL.
    pub name: String,
    /// Length in bytes when it was found.
    pub size: u64,
    /// When it was last written.
    pub modified: Option<Instant>,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    Object(Object),
}

/// An object as it was when it was found: one that is replaced meanwhile is not read on.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) e_tag: Option<String>,
    pub(crate) size: u64,
}

impl Object {
    /// The bytes of `range`.
    pub(crate) async fn load(self, range: std::ops::Range<u64>) -> io::Result<Bytes> {
        let options =
            GetOptions { range: Some(GetRange::Bounded(range)), if_match: self.e_tag, ..GetOptions::default() };
        let found = self.store.get_opts(&self.path, options).await.map_err(of_the_store)?;
        found.bytes().await.map_err(of_the_store)
    }
}

impl Input {
    /// Its bytes from the start, as stored; `read` counts them.
    pub(crate) fn bytes(&self, runtime: &Handle, read: &Arc<AtomicU64>) -> io::Result<Box<dyn Read + Send>> {
        let source: Box<dyn Read + Send> = match &self.origin {
            Origin::File(path) => Box::new(File::open(path).map_err(tagged)?),
            Origin::Object(object) => Box::new(Ranges {
                object: object.clone(),
                runtime: runtime.clone(),
                at: 0,
                held: Bytes::new(),
                next: None,
            }),
        };
        Ok(Box::new(Counted { source, read: Arc::clone(read) }))
    }
}

/// An object as a stream; one range is on its way while another is used.
struct Ranges {
    object: Object,
    runtime: Handle,
    /// Where the range that was not used yet begins.
    at: u64,
    held: Bytes,
    next: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Ranges {
    /// The range that begins at `at`.
    fn fetch(&self) -> Option<JoinHandle<io::Result<Bytes>>> {
        let range = self.at..(self.at + RANGE_BYTES).min(self.object.size);
        (!range.is_empty()).then(|| self.runtime.spawn(self.object.clone().load(range)))
    }
}

impl Read for Ranges {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            let Some(coming) = self.next.take().or_else(|| self.fetch()) else { return Ok(0) };
            // Asked again after an error, it is the same range that is tried again.
            self.held = self.runtime.block_on(coming).map_err(io::Error::other)??;
            self.at += self.held.len() as u64;
            self.next = self.fetch();
        }
        let count = out.len().min(self.held.len());
        self.held.split_to(count).copy_to_slice(out.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Counts what is read, for the progress bar, and marks errors as the source's own, so that they are not taken for
/// damaged data.
struct Counted {
    source: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out).map_err(tagged)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// An error of the file system or the bucket; its text names its causes already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OfTheStore(Box<dyn std::error::Error + Send + Sync>);

fn tagged(error: io::Error) -> io::Error {
    match is_of_the_store(&error) {
        true => error,
        false => io::Error::new(error.kind(), OfTheStore(error.into())),
    }
}

pub(crate) fn of_the_store(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, OfTheStore(error.into()))
}

/// Whether reading failed, rather than what was read.
pub(crate) fn is_of_the_store(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<OfTheStore>())
}
