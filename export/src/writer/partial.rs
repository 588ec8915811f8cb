//! `<out>.partial`: a folder on its way to becoming a bundle, known by its `bagit.txt`.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::journal::{self, JOURNAL, Journal};
use super::{BAGIT, Finished, Line};
use crate::describe::BAGIT_TEXT;
use crate::{Error, Progress};

/// `<out>.partial`, locked, until [`PartialFolder::publish`] moves something of it to `<out>`; dropped before that, it is removed.
///
/// A crash at any point before leaves `<out>.partial` and nothing under `<out>`; the next run goes on from the data files
/// that are finished. So does the next run after an error, if there are any.
#[derive(Debug)]
pub(crate) struct PartialFolder {
    out: PathBuf,
    path: PathBuf,
    journal: Option<Journal>,
    is_leftover: bool,
    is_started: bool,
    is_published: AtomicBool,
    /// Held as long as this is.
    _lock: File,
}

impl PartialFolder {
    /// Makes the folder, or takes over what an interrupted run left there.
    pub(super) fn claim(out: &Path) -> Result<Self, Error> {
        let Some(name) = out.file_name() else { return Err(Error::OutTaken { path: out.into() }) };
        let mut partial = name.to_owned();
        partial.push(".partial");
        let path = out.with_file_name(partial);
        if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(Error::folder(parent, "make the folder"))?;
        }
        let is_leftover = match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
            made => made.map(|()| false).map_err(Error::folder(&path, "make the folder"))?,
        };
        let lock = lock(&path)?;
        if is_leftover {
            refuse_if_not_ours(&path)?;
        }
        let (out, is_published) = (out.into(), AtomicBool::new(false));
        Ok(Self { out, path, journal: None, is_leftover, is_started: false, is_published, _lock: lock })
    }

    /// The files that an interrupted run for `identity` finished, as far as they are there.
    pub(super) fn lines(&self, identity: &str, is_there: impl Fn(&Line) -> bool) -> Vec<Line> {
        match fs::read_to_string(self.path.join(JOURNAL)) {
            Ok(text) => journal::read(&text, identity, is_there),
            Err(_) => Vec::new(),
        }
    }

    /// Removes what a leftover has beside `kept`, and starts the journal with `lines`; without an `identity` there is none.
    pub(super) fn start(
        &mut self,
        identity: Option<&str>,
        lines: &[Line],
        kept: &BTreeSet<PathBuf>,
        progress: &mut dyn Progress,
    ) -> Result<Finished, Error> {
        let finished = journal::finished(lines);
        if self.is_leftover {
            clear(&self.path, kept)?;
            super::tell_leftover(&self.path, &finished, progress);
            if identity.is_none() {
                progress.notice("an encrypted bundle starts over: what was written of it cannot be gone on with");
            }
        }
        self.is_started = true;
        // First, as it marks the folder as ours.
        let mark = self.path.join(BAGIT);
        let mut file = File::create(&mark).map_err(Error::folder(&mark, "create"))?;
        let written = file.write_all(BAGIT_TEXT.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(Error::folder(&mark, "write"))?;
        self.journal = identity.map(|identity| Journal::start(&self.path, identity, lines)).transpose()?;
        Ok(finished)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn note(&self, line: &Line) -> Result<(), Error> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.note(line))
    }

    /// Moves `bundle`, which is on the disk, to `<out>`, so whoever sees the name sees the whole.
    pub(super) fn publish(&self, bundle: &Path) -> Result<(), Error> {
        if self.journal.is_some() {
            let journal = self.path.join(JOURNAL);
            fs::remove_file(&journal).map_err(Error::folder(&journal, "remove"))?;
        }
        sync_dirs(&self.path)?;
        fs::rename(bundle, &self.out).map_err(Error::folder(&self.out, "rename the finished bundle to"))?;
        self.is_published.store(true, Ordering::Relaxed);
        let parent = self.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(parent)
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        let has_finished = self.journal.as_ref().is_some_and(Journal::has_finished);
        if self.is_started && !has_finished && !self.is_published.load(Ordering::Relaxed) {
            // Best effort: the next run removes what is left.
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// An empty folder may stand there already; anything else may not.
pub(super) fn refuse_if_taken(out: &Path) -> Result<(), Error> {
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

/// Nothing at all may stand there.
pub(super) fn refuse_if_there(out: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::folder(out, "look at")(error)),
        Ok(_) => Err(Error::OutTaken { path: out.into() }),
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

/// A folder with something in it is a leftover of an export only if it has an export's first file.
fn refuse_if_not_ours(path: &Path) -> Result<(), Error> {
    match names(path)? {
        names if names.is_empty() || names.iter().any(|name| name.ends_with(BAGIT)) => Ok(()),
        _ => Err(Error::OutTaken { path: path.into() }),
    }
}

fn names(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(path).map_err(Error::folder(path, "look into"))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::folder(path, "look into"))).collect()
}

/// Empties a leftover but for its mark and `kept`: a crash in here leaves a leftover that is still known as one.
fn clear(path: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Error> {
    names(path)?.iter().filter(|name| !name.ends_with(BAGIT)).try_for_each(|name| remove(name, kept))
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
    names(path)?.iter().try_for_each(|name| remove(name, kept))?;
    match kept.iter().any(|file| file.starts_with(path)) {
        true => Ok(()),
        false => fs::remove_dir(path).map_err(failed()),
    }
}

fn sync_dirs(path: &Path) -> Result<(), Error> {
    for name in names(path)? {
        if fs::symlink_metadata(&name).map_err(Error::folder(&name, "look at"))?.is_dir() {
            sync_dirs(&name)?;
        }
    }
    sync_dir(path)
}

fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::folder(path, "sync"))
}
