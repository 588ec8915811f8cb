//! One file, `.tar.zst`: anybody's `tar` reads it.
//!
//! Each member is two zstd frames, its header and its bytes, so that a killed export goes on after the last whole member and a
//! reader finds a member without unpacking those before it. A header has the length of what follows: the bytes of a data
//! file are held in memory, compressed, until it is full; what has a known length goes straight into the archive. Members come in
//! the order they are admitted in, whichever thread finished first.
//!
//! Encrypted, only what age made of it reaches the disk, and the keys of that are gone with a run: a killed one cannot go on.
//! So nothing of it is noted, and the next run starts over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zstd::stream::write::Encoder;

use super::partial::{PartialFolder, refuse_if_there};
use super::{BAGIT, BundleWriter, Finished, Line, Making, Sink};
use crate::describe::BAGIT_TEXT;
use crate::digest::{DigestWriter, Written};
use crate::encryption::Encrypting;
use crate::{Encryption, Error, Progress};

/// The folder all members are in, whatever the archive is called: the same bundle is the same archive.
pub(crate) const FOLDER: &str = "bundle";
const BLOCK_BYTES: usize = 512;
const LEVEL: i32 = 3;
/// The archive in `<out>.partial`.
const ARCHIVE: &str = "archive";

/// Files by name, closed and not yet admitted; nothing of those that are in the archive already.
type Packed = Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>;

/// Writes an archive in `<out>.partial` and renames it.
#[derive(Debug)]
pub(crate) struct Tar {
    folder: PartialFolder,
    archive: Arc<Mutex<Archive>>,
    packed: Packed,
    made_at_seconds: i64,
}

#[derive(Debug)]
struct Archive {
    path: PathBuf,
    file: File,
    /// What encrypts, on the way to `file`.
    encrypting: Option<Encrypting>,
    bytes: u64,
}

impl Tar {
    pub(super) fn claim(out: &Path, making: &Making, progress: &mut dyn Progress) -> Result<(Self, Finished), Error> {
        refuse_if_there(out)?;
        let mut folder = PartialFolder::claim(out)?;
        let path = folder.path().join(ARCHIVE);
        let length = std::fs::symlink_metadata(&path).map_or(0, |archive| archive.len());
        let is_there = |line: &Line| line.archive_bytes.is_some_and(|bytes| bytes <= length);
        let identity = making.encryption.is_none().then_some(making.identity.as_str());
        let lines = identity.map(|identity| folder.lines(identity, is_there)).unwrap_or_default();
        let kept = if lines.is_empty() { [].into() } else { [path.clone()].into() };
        let finished = folder.start(identity, &lines, &kept, progress)?;
        let whole = lines.last().and_then(|line| line.archive_bytes);
        let archive = Archive::open(path, whole, making.encryption.as_ref())?;
        let is_new = archive.bytes == 0;
        let made_at_seconds = making.made_at.micros().div_euclid(1_000_000);
        let tar = Self { folder, archive: Arc::new(Mutex::new(archive)), packed: Packed::default(), made_at_seconds };
        if is_new {
            DigestWriter::write_whole(&tar, BAGIT, BAGIT_TEXT.as_bytes())?;
        }
        Ok((tar, finished))
    }
}

impl Archive {
    /// Opens the archive to go on after its first `whole` bytes, or a new one.
    fn open(path: PathBuf, whole: Option<u64>, encryption: Option<&Encryption>) -> Result<Self, Error> {
        let bytes = whole.unwrap_or(0);
        let open = || {
            let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
            file.set_len(bytes)?;
            file.flush()?;
            let encrypting = encryption.map(|encryption| encryption.begin(file.try_clone()?)).transpose()?;
            Ok((file, encrypting))
        };
        let (file, encrypting) = open().map_err(Error::folder(&path, "open"))?;
        Ok(Self { path, file, encrypting, bytes })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.try_append(bytes).map_err(Error::folder(&self.path, "write"))
    }

    fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.encrypting {
            Some(encrypting) => encrypting.write_all(bytes)?,
            None => self.file.write_all(bytes)?,
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Nothing more comes.
    fn end(&mut self) -> Result<(), Error> {
        self.encrypting.take().map_or(Ok(()), Encrypting::finish).map_err(Error::folder(&self.path, "write"))
    }

    /// Answers how much of it is on the disk.
    fn sync(&self) -> Result<u64, Error> {
        self.file.sync_data().map_err(Error::folder(&self.path, "write"))?;
        Ok(self.bytes)
    }
}

impl BundleWriter for Tar {
    fn place(&self) -> &Path {
        self.folder.out()
    }

    fn create(&self, name: &str, length: Option<u64>) -> Result<Box<dyn Sink>, Error> {
        let failed = || Error::folder(self.folder.out(), "pack a file of");
        let (name, packed) = (name.to_owned(), Arc::clone(&self.packed));
        Ok(match length {
            None => Box::new(Member { name, frame: frame(Vec::new()).map_err(failed())?, bytes: 0, packed }),
            Some(length) => {
                self.append_header(&name, length)?;
                let frame = frame(Appending(Arc::clone(&self.archive))).map_err(failed())?;
                Box::new(Member { name, frame, bytes: 0, packed })
            }
        })
    }

    fn admit(&self, file: &Written) -> Result<(), Error> {
        let body = self.packed.lock().unwrap_or_else(PoisonError::into_inner).remove(&file.path);
        let body = body.ok_or_else(|| Error::Internal {
            invariant: "a file is closed before it is admitted",
            found: file.path.clone(),
        })?;
        match body {
            Some(body) => {
                self.append_header(&file.path, file.bytes)?;
                self.archive.lock().unwrap_or_else(PoisonError::into_inner).append(&body)
            }
            None => Ok(()),
        }
    }

    fn note(&self, line: Line) -> Result<(), Error> {
        let archive_bytes = self.archive.lock().unwrap_or_else(PoisonError::into_inner).sync()?;
        self.folder.note(&Line { archive_bytes: Some(archive_bytes), ..line })
    }

    fn publish(&self) -> Result<(), Error> {
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let end = pack(&[0; 2 * BLOCK_BYTES]).map_err(Error::folder(&archive.path, "write"))?;
        archive.append(&end)?;
        archive.end()?;
        archive.sync()?;
        refuse_if_there(self.folder.out())?;
        self.folder.publish(&archive.path)?;
        // Best effort: nothing but the mark is left in it.
        std::fs::remove_dir_all(self.folder.path()).ok();
        Ok(())
    }
}

impl Tar {
    fn append_header(&self, name: &str, bytes: u64) -> Result<(), Error> {
        let name = format!("{FOLDER}/{name}");
        let header = header(&name, bytes, self.made_at_seconds).and_then(|header| pack(&header));
        let header = header.map_err(Error::folder(Path::new(&name), "name a member of the archive"))?;
        self.archive.lock().unwrap_or_else(PoisonError::into_inner).append(&header)
    }
}

/// A member on its way: into memory, or into the archive if its header is there.
struct Member<W: Packs> {
    name: String,
    frame: Encoder<'static, W>,
    bytes: u64,
    packed: Packed,
}

/// Where the frame of a member goes.
trait Packs: Write + Send {
    /// What is left to be admitted.
    fn rest(self) -> Option<Vec<u8>>;
}

impl Packs for Vec<u8> {
    fn rest(self) -> Option<Vec<u8>> {
        Some(self)
    }
}

/// The end of the archive.
struct Appending(Arc<Mutex<Archive>>);

impl Packs for Appending {
    fn rest(self) -> Option<Vec<u8>> {
        None
    }
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Packs> Write for Member<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.frame.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Packs> Sink for Member<W> {
    fn close(mut self: Box<Self>) -> io::Result<()> {
        let padding = [0; BLOCK_BYTES];
        let (padding, _) = padding.split_at(padding_of(self.bytes));
        self.frame.write_all(padding)?;
        let rest = self.frame.finish()?.rest();
        self.packed.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name, rest);
        Ok(())
    }
}

/// The zeros after a member of `bytes`, to a whole block.
pub(crate) fn padding_of(bytes: u64) -> usize {
    let over = usize::try_from(bytes % BLOCK_BYTES as u64).unwrap_or_default();
    (BLOCK_BYTES - over) % BLOCK_BYTES
}

fn frame<W: Write>(to: W) -> io::Result<Encoder<'static, W>> {
    let mut frame = Encoder::new(to, LEVEL)?;
    frame.include_checksum(true)?;
    Ok(frame)
}

fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = frame(Vec::new())?;
    frame.write_all(bytes)?;
    frame.finish()
}

/// A header of POSIX.1-1988 (`ustar`): a regular file of `bytes`, readable by all, of nobody in particular.
fn header(name: &str, bytes: u64, seconds: i64) -> io::Result<[u8; BLOCK_BYTES]> {
    let too_long = || io::Error::other(format!("the name `{name}` or the length {bytes} does not fit a tar header"));
    let is_split = |at: &usize| *at <= 155 && name.len() - at - 1 <= 100;
    let (prefix, name) = match name.len() {
        ..=100 => ("", name),
        _ => name
            .match_indices('/')
            .map(|(at, _)| at)
            .find(is_split)
            .and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?)))
            .ok_or_else(too_long)?,
    };
    let seconds = seconds.max(0).unsigned_abs();
    if bytes >= 1 << 33 || seconds >= 1 << 33 {
        return Err(too_long());
    }
    let (size, time) = (format!("{bytes:011o}"), format!("{seconds:011o}"));
    let mut header = [0; BLOCK_BYTES];
    let fields: [(usize, &[u8]); 10] = [
        (0, name.as_bytes()),
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, size.as_bytes()),
        (136, time.as_bytes()),
        // The sum is taken with spaces in its own place.
        (148, b"        "),
        (156, b"0"),
        (257, b"ustar\x0000"),
        (345, prefix.as_bytes()),
    ];
    for (at, field) in fields {
        put(&mut header, at, field);
    }
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

fn put(header: &mut [u8; BLOCK_BYTES], at: usize, field: &[u8]) {
    header.iter_mut().skip(at).zip(field).for_each(|(place, byte)| *place = *byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_that_fits_are_split_at_a_slash() {
        let field = |header: &[u8], at: usize, length: usize| {
            let text = &header[at..at + length];
            String::from_utf8(text.iter().copied().take_while(|byte| *byte != 0).collect()).unwrap()
        };
        let whole = |name: &str| {
            let header = header(name, 7, 1).unwrap();
            (field(&header, 345, 155), field(&header, 0, 100))
        };
        assert_eq!(whole("bundle/data/a"), (String::new(), "bundle/data/a".into()));
        let (folder, file) = ("f".repeat(60), "n".repeat(90));
        assert_eq!(whole(&format!("bundle/{folder}/{file}")), (format!("bundle/{folder}"), file.clone()));
        assert!(header(&"n".repeat(101), 7, 1).is_err());
        assert!(header("a", 1 << 33, 1).is_err());
    }

    #[test]
    fn members_fill_whole_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding_of), [0, 511, 1, 0, 511]);
    }
}
