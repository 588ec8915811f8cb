//! Files whose digests are taken while they are written.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use daybook_ledger::file::hex;
use sha2::{Digest, Sha256, Sha512};

use crate::Error;
use crate::pace::Pace;
use crate::writer::BundleWriter;

/// Bytes handed to the digest threads at a time; each is at most a few such chunks behind.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// A file of the bundle as its manifests name it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Written {
    /// Path below the bundle, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Hexadecimal.
    pub(crate) sha256: String,
    /// Hexadecimal.
    pub(crate) sha512: String,
}

/// Both digests of a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    sha256: Sha256,
    sha512: Sha512Beside,
    bytes: u64,
}

impl Digests {
    pub(crate) fn update(&mut self, chunk: &Bytes) {
        if self.bytes > 0 {
            self.sha512.start_thread();
        }
        self.sha512.update(chunk);
        self.sha256.update(chunk);
        self.bytes += chunk.len() as u64;
    }

    pub(crate) fn finish(self, path: String) -> Written {
        Written { path, bytes: self.bytes, sha256: hex(&self.sha256.finalize()), sha512: self.sha512.finish() }
    }
}

/// SHA-512 takes several times as long as SHA-256, for which processors have instructions: a file of more than one chunk gets a
/// thread for it.
#[derive(Debug)]
enum Sha512Beside {
    Here(Sha512),
    Thread(SyncSender<Bytes>, JoinHandle<Sha512>),
}

impl Default for Sha512Beside {
    fn default() -> Self {
        Self::Here(Sha512::default())
    }
}

impl Sha512Beside {
    fn start_thread(&mut self) {
        if let Self::Here(digest) = self {
            let mut digest = std::mem::take(digest);
            let (chunks, received) = sync_channel::<Bytes>(2);
            let thread = std::thread::spawn(move || {
                received.into_iter().for_each(|chunk| digest.update(&chunk));
                digest
            });
            *self = Self::Thread(chunks, thread);
        }
    }

    fn update(&mut self, chunk: &Bytes) {
        match self {
            Self::Here(digest) => digest.update(chunk),
            // A thread that is gone has panicked: the end tells.
            Self::Thread(chunks, _) => drop(chunks.send(chunk.clone())),
        }
    }

    /// Hexadecimal.
    fn finish(self) -> String {
        let digest = match self {
            Self::Here(digest) => digest,
            Self::Thread(chunks, thread) => {
                drop(chunks);
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
        };
        hex(&digest.finalize())
    }
}

/// A new file of a bundle; its digests are taken on threads of its own, from the bytes on their way.
#[derive(Debug)]
pub(crate) struct DigestWriter {
    path: PathBuf,
    chunk: Vec<u8>,
    chunks: Option<SyncSender<Bytes>>,
    thread: Option<JoinHandle<io::Result<Written>>>,
    pace: Pace,
}

impl DigestWriter {
    /// Creates `name` in the bundle.
    pub(crate) fn create(bundle: &dyn BundleWriter, name: &str) -> Result<Self, Error> {
        Self::create_of(bundle, name, None)
    }

    /// The same, of a file that is to have `length` bytes, if that is known.
    pub(crate) fn create_of(bundle: &dyn BundleWriter, name: &str, length: Option<u64>) -> Result<Self, Error> {
        let mut sink = bundle.create(name, length)?;
        let path = bundle.place().join(name);
        let (chunks, received) = sync_channel::<Bytes>(1);
        let name = name.to_owned();
        let thread = std::thread::spawn(move || {
            let mut digests = Digests::default();
            for chunk in received {
                digests.update(&chunk);
                sink.write_all(&chunk)?;
            }
            sink.close()?;
            Ok(digests.finish(name))
        });
        let (chunk, chunks, thread) = (Vec::with_capacity(CHUNK_BYTES), Some(chunks), Some(thread));
        Ok(Self { path, chunk, chunks, thread, pace: Pace::default() })
    }

    /// The same, written no faster than `pace`.
    pub(crate) fn paced(self, pace: &Pace) -> Self {
        Self { pace: pace.clone(), ..self }
    }

    /// Writes `bytes` as the whole file `name` and takes it into the bundle.
    pub(crate) fn write_whole(bundle: &dyn BundleWriter, name: &str, bytes: &[u8]) -> Result<Written, Error> {
        let mut file = Self::create(bundle, name)?;
        let path = file.path.clone();
        file.write_all(bytes).map_err(Error::folder(&path, "write"))?;
        let written = file.finish()?;
        bundle.admit(&written)?;
        Ok(written)
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.pace.block(self.chunk.len() as u64);
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        match self.chunks.as_ref().map(|chunks| chunks.send(chunk.into())) {
            Some(Ok(())) => Ok(()),
            // The thread ended early: its error is the one to report.
            _ => self.join().and_then(|_| Err(io::Error::other("the file is already finished"))),
        }
    }

    fn join(&mut self) -> io::Result<Written> {
        self.chunks = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the file is already finished")),
        }
    }

    /// The file is whole and where it is to be afterwards.
    pub(crate) fn finish(mut self) -> Result<Written, Error> {
        let done = match self.chunk.is_empty() {
            true => self.join(),
            false => self.hand_over().and_then(|()| self.join()),
        };
        done.map_err(Error::folder(&self.path, "write"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Write for DigestWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
        let (now, _later) = bytes.split_at(room.min(bytes.len()));
        self.chunk.extend_from_slice(now);
        if self.chunk.len() >= CHUNK_BYTES {
            self.hand_over()?;
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Silent;
    use crate::writer::Directory;

    #[test]
    fn digests_are_those_of_the_bytes_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Directory::claim(&dir.path().join("out"), "{}", &mut Silent).unwrap();
        let bytes = vec![b'x'; CHUNK_BYTES * 2 + 17];
        let mut file = DigestWriter::create(&folder, "a").unwrap();
        for part in bytes.chunks(1_000_003) {
            file.write_all(part).unwrap();
        }
        let written = file.finish().unwrap();
        assert_eq!(fs::read(dir.path().join("out.partial/a")).unwrap(), bytes);
        assert_eq!(written.bytes, bytes.len() as u64);
        assert_eq!(written.sha256, hex(&Sha256::digest(&bytes)));
        assert_eq!(written.sha512, hex(&Sha512::digest(&bytes)));
    }
}
