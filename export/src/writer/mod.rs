//! Where a bundle's files go: a folder, one file, a bucket, or nowhere.
//!
//! The bytes of each file are the same in all of them. A bundle appears whole or not at all, and a writer that was killed goes on
//! from the files that are finished.

mod directory;
mod journal;
mod list;
mod object;
mod partial;
mod tar;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use daybook_ledger::{Instant, Root};

pub(crate) use self::directory::Directory;
pub(crate) use self::journal::{Finished, JOURNAL, Line};
pub(crate) use self::list::List;
use self::object::Objects;
use self::tar::Tar;
pub(crate) use self::tar::{FOLDER as TAR_FOLDER, padding_of};
use crate::digest::Written;
use crate::{Encryption, Error, Progress};

/// The first file written.
pub(crate) const BAGIT: &str = "bagit.txt";

/// Takes the files of a bundle.
pub(crate) trait BundleWriter: std::fmt::Debug + Send + Sync {
    /// Where the bundle is made, as a person reads it.
    fn place(&self) -> &Path;

    /// A new file; many may be open at the same time. One whose `length` is known before is never held in memory, and is the only
    /// one that is open.
    fn create(&self, name: &str, length: Option<u64>) -> Result<Box<dyn Sink>, Error>;

    /// Takes a closed file into the bundle. Every run admits the same files in the same order.
    fn admit(&self, file: &Written) -> Result<(), Error>;

    /// Notes that an admitted file is whole: the next run does not write it again.
    fn note(&self, line: Line) -> Result<(), Error>;

    /// Ends the bundle and gives it its name; nothing can be written afterwards.
    fn publish(&self) -> Result<(), Error>;
}

/// The bytes of one file on their way.
pub(crate) trait Sink: Write + Send {
    /// Nothing more comes.
    fn close(self: Box<Self>) -> io::Result<()>;
}

/// The form a bundle has at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Directory,
    /// One file, `.tar.zst`.
    Tar,
    /// The same, encrypted: `.tar.zst.age`.
    Encrypted,
    /// Objects below `s3://bucket/prefix`.
    Objects,
}

impl Form {
    /// What the name of `out` asks for.
    pub(crate) fn of(out: &Path) -> Result<Self, Error> {
        const OTHERS: [&str; 9] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".zst", ".7z", ".age"];
        let name = out.to_string_lossy();
        match () {
            () if name.contains("://") => Ok(Self::Objects),
            () if name.ends_with(".tar.zst") => Ok(Self::Tar),
            () if name.ends_with(".tar.zst.age") => Ok(Self::Encrypted),
            () if OTHERS.iter().any(|end| name.ends_with(end)) => Err(Error::UnknownForm { out: out.into() }),
            () => Ok(Self::Directory),
        }
    }

    /// Length of a data file unless asked otherwise: few files, and each fits a laptop's memory.
    ///
    /// In a tar the length of a file stands before it, so each is held in memory, compressed, until it is full.
    pub(crate) const fn shard_bytes(self) -> u64 {
        match self {
            Self::Directory | Self::Objects => 1 << 30,
            Self::Tar | Self::Encrypted => 32 << 20,
        }
    }

    /// Length of an artifact: what the header of a member in a tar can say.
    pub(crate) const fn artifact_bytes_max(self) -> u64 {
        match self {
            Self::Directory | Self::Objects => u64::MAX,
            Self::Tar | Self::Encrypted => (1 << 33) - 1,
        }
    }

    pub(crate) const fn shard_bytes_max(self) -> u64 {
        match self {
            Self::Directory | Self::Objects => u64::MAX,
            Self::Tar | Self::Encrypted => 256 << 20,
        }
    }
}

/// What a bundle is made from and when, so that the next run knows its own.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    /// One line that is the same for runs that give the same bytes.
    pub(crate) identity: String,
    /// The time files of a tar have.
    pub(crate) made_at: Instant,
    /// Who can open it.
    pub(crate) encryption: Option<Encryption>,
}

/// Claims `out` for one run; answers the files that an interrupted run to the same end finished there.
pub(crate) async fn claim(
    out: &Path,
    making: &Making,
    progress: &mut dyn Progress,
) -> Result<(Arc<dyn BundleWriter>, Finished), Error> {
    Ok(match Form::of(out)? {
        Form::Directory => {
            let (directory, finished) = Directory::claim(out, &making.identity, progress)?;
            (Arc::new(directory), finished)
        }
        Form::Tar | Form::Encrypted => {
            let (tar, finished) = Tar::claim(out, making, progress)?;
            (Arc::new(tar), finished)
        }
        Form::Objects => {
            let root = Root::open(&out.to_string_lossy(), false)?;
            let (objects, finished) = Objects::claim(root, &making.identity, progress).await?;
            (Arc::new(objects), finished)
        }
    })
}

/// Refuses an `out` at which something is already.
pub(crate) async fn refuse_if_taken(out: &Path) -> Result<(), Error> {
    match Form::of(out)? {
        Form::Directory => partial::refuse_if_taken(out),
        Form::Tar | Form::Encrypted => partial::refuse_if_there(out),
        Form::Objects => Objects::refuse_if_taken(&Root::open(&out.to_string_lossy(), false)?).await,
    }
}

/// Removes the bundle at `out`.
pub(crate) async fn remove(out: &Path) -> Result<(), Error> {
    match Form::of(out)? {
        Form::Directory => std::fs::remove_dir_all(out).map_err(Error::folder(out, "remove")),
        Form::Tar | Form::Encrypted => std::fs::remove_file(out).map_err(Error::folder(out, "remove")),
        Form::Objects => Objects::remove(&Root::open(&out.to_string_lossy(), false)?).await,
    }
}

/// What a run that goes on from another, or removes what it left, tells.
fn tell_leftover(place: &Path, finished: &Finished, progress: &mut dyn Progress) {
    let place = place.display();
    progress.notice(&match finished.len() {
        0 => format!("removed {place}, left by an interrupted export"),
        files => format!("going on from {place}: {files} files of an interrupted export are finished"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_form() {
        let form = |out: &str| Form::of(Path::new(out)).ok();
        assert_eq!(form("out"), Some(Form::Directory));
        assert_eq!(form("a.b/out.2026"), Some(Form::Directory));
        assert_eq!(form("out.tar.zst"), Some(Form::Tar));
        assert_eq!(form("out.tar.zst.age"), Some(Form::Encrypted));
        assert_eq!(form("s3://bucket/prefix"), Some(Form::Objects));
        for other in ["out.tar", "out.tar.gz", "out.tgz", "out.zip", "out.zst", "out.tar.age", "out.age"] {
            assert_eq!(form(other), None, "{other}");
        }
    }
}
