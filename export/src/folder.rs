//! A folder that appears whole or not at all, and files whose digests are taken while they are written.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use daybook_ledger::file::hex;
use sha2::{Digest, Sha256, Sha512};

use crate::describe::BAGIT_TEXT;
use crate::journal::{self, Finished, JOURNAL, Journal};
use crate::pace::Pace;
use crate::{Error, Progress};

/// The first file written: what marks a leftover as ours.
pub(crate) const BAGIT: &str = "bagit.txt";
/// Bytes handed to the digest thread at a time; it is at most two such chunks behind.
const CHUNK_BYTES: usize = 1 << 20;

/// `<out>.partial`, locked, until [`PartialFolder::publish`] gives it its name; dropped before that, it is removed.
///
/// A crash at any point before leaves `<out>.partial` and nothing under `<out>`; the next run goes on from the data files
/// that are finished. So does the next run after an error, if there are any.
#[derive(Debug)]
pub(crate) struct PartialFolder {
    out: PathBuf,
    path: PathBuf,
    journal: Journal,
    is_published: bool,
    /// Held as long as this is.
    _lock: File,
}

impl PartialFolder {
    /// Makes the folder, or takes over what an interrupted run to the same end left there; answers the files it finished.
    pub(crate) fn claim(out: &Path, identity: &str, progress: &mut dyn Progress) -> Result<(Self, Finished), Error> {
        refuse_if_taken(out)?;
        let Some(name) = out.file_name() else { return Err(Error::OutTaken { path: out.into() }) };
        let mut partial = name.to_owned();
        partial.push(".partial");
        let path = out.with_file_name(partial);
        if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(Error::folder(parent, "make the folder"))?;
        }
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let lock = lock(&path)?;
                let finished = journal::finished(&path, identity);
                clear_leftover(&path, &finished)?;
                let place = path.display();
                progress.notice(&match finished.values().map(Vec::len).sum() {
                    0_usize => format!("removed {place}, left by an interrupted export"),
                    files => format!("going on from {place}: {files} data files of an interrupted export are finished"),
                });
                Ok((Self::start(out, path, lock, identity, &finished)?, finished))
            }
            Err(error) => Err(Error::folder(&path, "make the folder")(error)),
            Ok(()) => {
                let lock = lock(&path)?;
                let finished = Finished::new();
                Ok((Self::start(out, path, lock, identity, &finished)?, finished))
            }
        }
    }

    /// `bagit.txt` first: it marks the folder as ours.
    fn start(out: &Path, path: PathBuf, lock: File, identity: &str, finished: &Finished) -> Result<Self, Error> {
        let mut folder = Self { out: out.into(), path, journal: Journal::default(), is_published: false, _lock: lock };
        let mark = folder.path.join(BAGIT);
        let mut file = File::create(&mark).map_err(Error::folder(&mark, "create"))?;
        let written = file.write_all(BAGIT_TEXT.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(Error::folder(&mark, "write"))?;
        folder.journal = Journal::start(&folder.path, identity, finished)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn make_dir(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(Error::folder(&path, "make the folder"))
    }

    /// Everything is on the disk before the name is, so whoever sees the name sees the whole.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        let journal = self.path.join(JOURNAL);
        fs::remove_file(&journal).map_err(Error::folder(&journal, "remove"))?;
        sync_dirs(&self.path)?;
        refuse_if_taken(&self.out)?;
        fs::rename(&self.path, &self.out).map_err(Error::folder(&self.out, "rename the finished bundle to"))?;
        self.is_published = true;
        let parent = self.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(parent)
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if !self.is_published && !self.journal.has_finished() {
            // Best effort: the next run removes what is left.
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// An empty folder may stand there already; anything else may not.
pub(crate) fn refuse_if_taken(out: &Path) -> Result<(), Error> {
    let taken = || Err(Error::OutTaken { path: out.into() });
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::folder(out, "look at")(error)),
        Ok(found) if !found.is_dir() => taken(),
        Ok(_) => match fs::read_dir(out).map_err(Error::folder(out, "look into"))?.next() {
            None => Ok(()),
            Some(_) => taken(),
        },
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let folder = File::open(path).map_err(Error::folder(path, "open the folder"))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(Error::OutBusy { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(Error::folder(path, "lock")(error)),
    }
}

/// Empties a leftover but for `finished` files, and nothing that is not one: an export's first file is `bagit.txt`.
fn clear_leftover(path: &Path, finished: &Finished) -> Result<(), Error> {
    let failed = || Error::folder(path, "look into");
    let names: Vec<_> =
        fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()).map_err(failed())?;
    if !names.is_empty() && !names.iter().any(|entry| entry.file_name() == BAGIT) {
        return Err(Error::OutTaken { path: path.into() });
    }
    // The mark stays, so that a crash in here leaves a leftover that is still known as one.
    let kept: BTreeSet<PathBuf> = finished.values().flatten().map(|shard| path.join(&shard.file.path)).collect();
    names.iter().filter(|entry| entry.file_name() != BAGIT).try_for_each(|entry| remove(&entry.path(), &kept))
}

/// Removes what is at `path`, but for the files `kept` names and the folders they are in.
fn remove(path: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Error> {
    let failed = || Error::folder(path, "remove");
    if kept.contains(path) {
        return Ok(());
    }
    if !fs::symlink_metadata(path).map_err(failed())?.is_dir() {
        return fs::remove_file(path).map_err(failed());
    }
    for entry in fs::read_dir(path).map_err(failed())? {
        remove(&entry.map_err(failed())?.path(), kept)?;
    }
    match kept.iter().any(|file| file.starts_with(path)) {
        true => Ok(()),
        false => fs::remove_dir(path).map_err(failed()),
    }
}

fn sync_dirs(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(Error::folder(path, "look into"))? {
        let entry = entry.map_err(Error::folder(path, "look into"))?;
        if entry.file_type().map_err(Error::folder(path, "look into"))?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    sync_dir(path)
}

fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::folder(path, "sync"))
}

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
    sha512: Sha512,
    bytes: u64,
}

impl Digests {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(crate) fn finish(self, path: String) -> Written {
        Written { path, bytes: self.bytes, sha256: hex(&self.sha256.finalize()), sha512: hex(&self.sha512.finalize()) }
    }
}

/// A new file; its digests are taken on a thread of its own, from the bytes on their way to the disk.
#[derive(Debug)]
pub(crate) struct DigestWriter {
    path: PathBuf,
    chunk: Vec<u8>,
    chunks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<io::Result<Written>>>,
    pace: Pace,
}

impl DigestWriter {
    /// Creates `name` below `root`; without a root its bytes are counted and go nowhere.
    pub(crate) fn create(root: Option<&Path>, name: &str) -> Result<Self, Error> {
        let path = root.map_or_else(|| name.into(), |root| root.join(name));
        let create = || File::create_new(&path).map_err(Error::folder(&path, "create"));
        let mut file = root.map(|_| create()).transpose()?;
        let (chunks, received) = sync_channel::<Vec<u8>>(1);
        let name = name.to_owned();
        let thread = std::thread::spawn(move || {
            let mut digests = Digests::default();
            for chunk in received {
                digests.update(&chunk);
                if let Some(file) = &mut file {
                    file.write_all(&chunk)?;
                }
            }
            if let Some(file) = file {
                file.sync_all()?;
            }
            Ok(digests.finish(name))
        });
        Ok(Self {
            path,
            chunk: Vec::with_capacity(CHUNK_BYTES),
            chunks: Some(chunks),
            thread: Some(thread),
            pace: Pace::default(),
        })
    }

    /// The same, written no faster than `pace`.
    pub(crate) fn paced(self, pace: &Pace) -> Self {
        Self { pace: pace.clone(), ..self }
    }

    /// Writes `bytes` as the whole file `name`.
    pub(crate) fn write_whole(root: Option<&Path>, name: &str, bytes: &[u8]) -> Result<Written, Error> {
        let mut file = Self::create(root, name)?;
        let path = file.path.clone();
        file.write_all(bytes).map_err(Error::folder(&path, "write"))?;
        file.finish()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.pace.block(self.chunk.len() as u64);
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        match self.chunks.as_ref().map(|chunks| chunks.send(chunk)) {
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

    /// The file is whole and on the disk afterwards.
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
    use super::*;
    use crate::Silent;

    #[test]
    fn digests_are_those_of_the_bytes_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = vec![b'x'; CHUNK_BYTES * 2 + 17];
        let mut file = DigestWriter::create(Some(dir.path()), "a").unwrap();
        for part in bytes.chunks(1_000_003) {
            file.write_all(part).unwrap();
        }
        let written = file.finish().unwrap();
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), bytes);
        assert_eq!(written.bytes, bytes.len() as u64);
        assert_eq!(written.sha256, hex(&Sha256::digest(&bytes)));
        assert_eq!(written.sha512, hex(&Sha512::digest(&bytes)));
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        let claim = |out: &Path| PartialFolder::claim(out, "{}", &mut Silent);
        assert!(matches!(claim(dir.path()), Err(Error::OutTaken { .. })));
        assert!(matches!(claim(&dir.path().join("mine")), Err(Error::OutTaken { .. })));

        fs::create_dir(dir.path().join("out.partial")).unwrap();
        fs::write(dir.path().join("out.partial/thesis"), "x").unwrap();
        assert!(matches!(claim(&dir.path().join("out")), Err(Error::OutTaken { .. })), "not a leftover of ours");
        assert!(dir.path().join("out.partial/thesis").exists());
    }

    #[test]
    fn two_exports_to_one_place_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let (first, _) = PartialFolder::claim(&out, "{}", &mut Silent).unwrap();
        assert!(matches!(PartialFolder::claim(&out, "{}", &mut Silent), Err(Error::OutBusy { .. })));
        first.publish().unwrap();
        assert!(out.is_dir());
    }
}
