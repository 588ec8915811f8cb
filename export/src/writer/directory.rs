//! A folder: every file of the bundle is a file of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::partial::{PartialFolder, refuse_if_taken};
use super::{BundleWriter, Finished, Line, Sink};
use crate::digest::Written;
use crate::manifest::is_safe;
use crate::{Error, Progress};

/// Writes `<out>.partial` and renames it.
#[derive(Debug)]
pub(crate) struct Directory(PartialFolder);

impl Directory {
    pub(crate) fn claim(out: &Path, identity: &str, progress: &mut dyn Progress) -> Result<(Self, Finished), Error> {
        refuse_if_taken(out)?;
        let mut folder = PartialFolder::claim(out)?;
        let root = folder.path().to_owned();
        let is_there = |line: &Line| {
            let file = fs::symlink_metadata(root.join(&line.shard.file.path));
            file.is_ok_and(|file| file.is_file() && file.len() == line.shard.file.bytes)
        };
        let lines = folder.lines(identity, is_there);
        let kept = lines.iter().map(|line| root.join(&line.shard.file.path)).collect();
        let finished = folder.start(Some(identity), &lines, &kept, progress)?;
        Ok((Self(folder), finished))
    }
}

impl BundleWriter for Directory {
    fn place(&self) -> &Path {
        self.0.path()
    }

    fn create(&self, name: &str, _length: Option<u64>) -> Result<Box<dyn Sink>, Error> {
        let path = self.0.path().join(name);
        if !is_safe(name) {
            return Err(Error::Internal { invariant: "files of a bundle are in its folder", found: name.into() });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::folder(folder, "make the folder"))?;
        }
        Ok(Box::new(SyncedFile::new(File::create_new(&path).map_err(Error::folder(&path, "create"))?)))
    }

    fn admit(&self, _file: &Written) -> Result<(), Error> {
        Ok(())
    }

    fn note(&self, line: Line) -> Result<(), Error> {
        self.0.note(&line)
    }

    fn publish(&self) -> Result<(), Error> {
        refuse_if_taken(self.0.out())?;
        self.0.publish(self.0.path())
    }
}

/// A file that is synced while it is written: at its end the disk has little left to do, and nobody waits for a gigabyte.
#[derive(Debug)]
struct SyncedFile {
    file: Arc<File>,
    /// Bytes written since the last sync was asked for.
    unsynced: usize,
    syncing: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl SyncedFile {
    /// Bytes to a sync.
    const SPAN: usize = 32 << 20;

    fn new(file: File) -> Self {
        Self { file: Arc::new(file), unsynced: 0, syncing: None }
    }

    /// Does not wait; a sync that is still to come covers this one.
    fn ask_for_sync(&mut self) {
        let (asked, _) = self.syncing.get_or_insert_with(|| {
            let (asked, received) = sync_channel(1);
            let file = Arc::clone(&self.file);
            (asked, std::thread::spawn(move || received.into_iter().try_for_each(|()| file.sync_data())))
        });
        asked.try_send(()).ok();
        self.unsynced = 0;
    }
}

impl Write for SyncedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.file).write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= Self::SPAN {
            self.ask_for_sync();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for SyncedFile {
    /// A system tells of a failed sync once, so what the thread met counts.
    fn close(self: Box<Self>) -> io::Result<()> {
        if let Some((asked, thread)) = self.syncing {
            drop(asked);
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        let claim = |out: &Path| Directory::claim(out, "{}", &mut Silent);
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
        let (first, _) = Directory::claim(&out, "{}", &mut Silent).unwrap();
        assert!(matches!(Directory::claim(&out, "{}", &mut Silent), Err(Error::OutBusy { .. })));
        first.publish().unwrap();
        assert!(out.is_dir());
    }
}
