//! A bundle in one file, as [`crate::writer`] makes it: each member is two zstd frames, its header and its bytes.
//!
//! Opening one reads the headers and passes over the frames between them without unpacking them, so files are found and read in
//! any order, as in a folder, and nothing is ever unpacked to the disk. An archive with other frames is refused, not guessed at:
//! it can be unpacked with `tar` and read as a folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use age::stream::StreamReader;
use bytes::Bytes;
use zstd::stream::read::Decoder;

use super::{BundleReader, Found, Random, open_file};
use crate::encryption::{self, Keys};
use crate::writer::{TAR_FOLDER, padding_of};
use crate::{Error, artifact};

/// Longer members are refused: a file of a bundle in one file ends at [`crate::writer::Form::shard_bytes_max`] and a row. Artifacts
/// are as long as they are.
const MEMBER_BYTES_MAX: u64 = 1 << 30;
/// Parquet is held in memory while it is read.
const RANDOM_BYTES_MAX: u64 = 512 << 20;
/// Unpacked, an archive may be this many times as long as it is; above that, it is made to harm.
const RATIO_MAX: u64 = 10_000;
const HEADER_BYTES: usize = 512;
const END_BYTES: usize = 2 * HEADER_BYTES;
/// Frames that need more memory to unpack are refused: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
const READ_BYTES: usize = 256 << 10;

/// Finds the members of the archive at `path`.
pub(super) fn open(path: &Path) -> Result<(Found, Box<dyn BundleReader>), Error> {
    find(path, Arc::new(open_file(path)?))
}

/// Finds the members of the archive that the file at `path` was encrypted from.
pub(super) fn open_encrypted(path: &Path, keys: &Keys) -> Result<(Found, Box<dyn BundleReader>), Error> {
    let stream = Mutex::new(encryption::open(path, keys)?);
    find(path, Arc::new(Decrypted { stream, bytes: OnceLock::new() }))
}

fn find(path: &Path, source: Arc<dyn Source>) -> Result<(Found, Box<dyn BundleReader>), Error> {
    let mut scan = Scan { found: Found::default(), members: BTreeMap::new(), unpacked: 0, bytes: 0 };
    if let Err(error) = scan.run(&source) {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                // What has no sound end is not read: it may be made to keep a reader busy.
                let before = std::mem::take(&mut scan.found.files).len();
                scan.found.has_no_end = true;
                scan.found.fault(
                    &name,
                    format!(
                        "{error}; reading ended there: {before} files before it were not checked, and none after it"
                    ),
                );
            }
            _ => return Err(Error::unreadable(path, "read")(error)),
        }
    }
    Ok((scan.found, Box::new(Archive { source, members: scan.members })))
}

/// The bytes of an archive.
pub(super) trait Source: std::fmt::Debug + Send + Sync {
    fn bytes(&self) -> io::Result<u64>;

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, at)
    }
}

/// Decrypted as it is read; nothing that was altered comes out of it.
struct Decrypted {
    stream: Mutex<StreamReader<BufReader<File>>>,
    bytes: OnceLock<u64>,
}

impl Decrypted {
    fn stream(&self) -> MutexGuard<'_, StreamReader<BufReader<File>>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decrypted")
    }
}

impl Source for Decrypted {
    /// Believed only if the last bytes are those that were written last.
    fn bytes(&self) -> io::Result<u64> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(*bytes);
        }
        let bytes = self.stream().seek(SeekFrom::End(0)).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => invalid("it is cut off, or its end was altered"),
            _ => error,
        })?;
        Ok(*self.bytes.get_or_init(|| bytes))
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // The stream counts on never being asked beyond its end.
        if at >= self.bytes()? {
            return Ok(0);
        }
        let mut stream = self.stream();
        let read = stream.seek(SeekFrom::Start(at)).and_then(|_| stream.read(buffer));
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                invalid(format!("it was altered within 64 KiB of byte {at} of the archive in it"))
            }
            _ => error,
        })
    }
}

struct Cursor {
    source: Arc<dyn Source>,
    at: u64,
}

impl Cursor {
    fn open(source: &Arc<dyn Source>, at: u64) -> BufReader<Self> {
        BufReader::with_capacity(READ_BYTES, Self { source: Arc::clone(source), at })
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read_at(self.at, buffer)?;
        self.at += length as u64;
        Ok(length)
    }
}

fn position(reader: &BufReader<Cursor>) -> u64 {
    reader.get_ref().at - reader.buffer().len() as u64
}

/// Bytes that no archive of a bundle has.
fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

struct Scan {
    found: Found,
    members: BTreeMap<String, Member>,
    unpacked: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// Where the frame of its bytes begins.
    at: u64,
    bytes: u64,
}

impl Scan {
    fn run(&mut self, source: &Arc<dyn Source>) -> io::Result<()> {
        self.bytes = source.bytes()?;
        let mut reader = Cursor::open(source, 0);
        loop {
            if reader.fill_buf()?.is_empty() {
                return Err(invalid("the archive ends before its end mark"));
            }
            let at = position(&reader);
            let block = header_frame(&mut reader)?;
            if block.len() == END_BYTES && block.iter().all(|byte| *byte == 0) {
                return match reader.fill_buf()?.is_empty() {
                    true => Ok(()),
                    false => {
                        Err(invalid(format!("something follows the end of the archive, at byte {}", position(&reader))))
                    }
                };
            }
            let header = Header::parse(&block).map_err(|reason| invalid(format!("at byte {at}: {reason}")))?;
            let at = position(&reader);
            skip_frame(&mut reader)?;
            self.add(header, at)?;
        }
    }

    fn add(&mut self, header: Header, at: u64) -> io::Result<()> {
        let Header { name, bytes, kind } = header;
        self.unpacked = self.unpacked.saturating_add(bytes);
        let is_artifact = name.strip_prefix(TAR_FOLDER.as_bytes()).is_some_and(|name| {
            name.strip_prefix(b"/").is_some_and(|name| name.starts_with(artifact::FOLDER.as_bytes()))
        });
        if bytes > MEMBER_BYTES_MAX && !is_artifact {
            return Err(invalid(format!(
                "a member says that it has {bytes} bytes, at most {MEMBER_BYTES_MAX} are read"
            )));
        }
        if self.unpacked > MEMBER_BYTES_MAX.saturating_add(self.bytes.saturating_mul(RATIO_MAX)) {
            return Err(invalid(format!("it would unpack to more than {RATIO_MAX} times its length")));
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        let below = name.strip_prefix(TAR_FOLDER).and_then(|name| name.strip_prefix('/'));
        match (kind, below) {
            (b'0' | 0, Some(below)) => {
                if self.found.add(below, bytes) {
                    self.members.insert(below.into(), Member { at, bytes });
                }
            }
            (b'0' | 0, None) => self.found.fault(&name, format!("it is not in the folder `{TAR_FOLDER}`")),
            (b'1', _) => self.found.fault(&name, "it is a hard link"),
            (b'2', _) => self.found.fault(&name, "it is a symbolic link"),
            _ => self.found.fault(&name, "it is not a regular file"),
        }
        Ok(())
    }
}

/// What a frame unpacks to, which has to be a header or the end.
fn header_frame(reader: &mut BufReader<Cursor>) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    let mut frame = decoder(reader)?.take(END_BYTES as u64 + 1);
    frame.read_to_end(&mut block).map_err(unpacking)?;
    match block.len() <= END_BYTES {
        true => Ok(block),
        false => Err(invalid(
            "its members are not each in frames of their own: unpack it with `tar --zstd -xf` and name the folder",
        )),
    }
}

fn decoder<R: BufRead>(reader: R) -> io::Result<Decoder<'static, R>> {
    let mut decoder = Decoder::with_buffer(reader)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// The library has one kind for all that is wrong with a frame.
fn unpacking(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Other if error.to_string() == "Unknown frame descriptor" => {
            invalid("it is not compressed with zstd")
        }
        io::ErrorKind::Other => invalid(error.to_string()),
        _ => error,
    }
}

/// Passes over a frame of zstd (RFC 8878, section 3.1.1) by the lengths of its blocks.
fn skip_frame(reader: &mut impl BufRead) -> io::Result<()> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const BLOCK_BYTES_MAX: u32 = 128 << 10;
    let [a, b, c, d, descriptor] = take(reader)?;
    if [a, b, c, d] != MAGIC {
        return Err(invalid("a header is not followed by a frame of zstd"));
    }
    let is_single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
    let length = [u64::from(is_single), 2, 4, 8].get(usize::from(descriptor >> 6)).copied().unwrap_or(0);
    skip(reader, u64::from(!is_single) + dictionary + length)?;
    loop {
        let [low, middle, high] = take(reader)?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let size = header >> 3;
        match header >> 1 & 3 {
            // One byte, repeated.
            1 => skip(reader, 1)?,
            0 | 2 if size <= BLOCK_BYTES_MAX => skip(reader, size.into())?,
            _ => return Err(invalid("a frame of zstd has a block that none has")),
        }
        if header & 1 == 1 {
            break;
        }
    }
    skip(reader, if descriptor & 4 != 0 { 4 } else { 0 })
}

fn take<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    match io::copy(&mut reader.take(bytes), &mut io::sink())? == bytes {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The header of a member (POSIX.1-1988 `ustar`).
struct Header {
    name: Vec<u8>,
    bytes: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8]) -> Result<Self, String> {
        let field = |at: usize, length: usize| block.get(at..at + length).unwrap_or_default();
        let text = |at, length| field(at, length).split(|byte| *byte == 0).next().unwrap_or_default();
        if block.len() != HEADER_BYTES || !text(257, 6).starts_with(b"ustar") {
            return Err("no header of a tar member is there".into());
        }
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = field(148, 8).iter().map(|byte| u64::from(*byte)).sum();
        if octal(field(148, 8)) != Some(sum - own + 8 * 0x20) {
            return Err("the sum of a header is not what it says".into());
        }
        let bytes = octal(field(124, 12)).ok_or("the length of a member is no octal number")?;
        let name = match text(345, 155) {
            [] => text(0, 100).to_vec(),
            prefix => [prefix, b"/", text(0, 100)].concat(),
        };
        Ok(Self { name, bytes, kind: field(156, 1).first().copied().unwrap_or_default() })
    }
}

/// Octal digits, ended by a space or zero byte.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.split(|byte| matches!(byte, 0 | b' ')).next()?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[derive(Debug)]
struct Archive {
    source: Arc<dyn Source>,
    members: BTreeMap<String, Member>,
}

impl Archive {
    fn member(&self, name: &str) -> io::Result<(Member, MemberReader)> {
        let member = *self.members.get(name).ok_or(io::ErrorKind::NotFound)?;
        let frame = decoder(Cursor::open(&self.source, member.at))?;
        Ok((member, MemberReader { frame, left: member.bytes, padding: Some(padding_of(member.bytes)) }))
    }
}

impl BundleReader for Archive {
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.member(name)?.1))
    }

    fn open_random(&self, name: &str) -> io::Result<Random> {
        let (member, mut reader) = self.member(name)?;
        if member.bytes > RANDOM_BYTES_MAX {
            return Err(invalid(format!("it has {} bytes, at most {RANDOM_BYTES_MAX} are read", member.bytes)));
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(Random::Bytes(Bytes::from(bytes)))
    }
}

/// The bytes of a member. Its frame has them, zeros to a whole block, and nothing else: `tar` would read what follows as members.
struct MemberReader {
    frame: Decoder<'static, BufReader<Cursor>>,
    left: u64,
    padding: Option<usize>,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left > 0 && !buffer.is_empty() {
            let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
            let (room, _) = buffer.split_at_mut(room);
            let length = self.frame.read(room).map_err(unpacking)?;
            self.left -= length as u64;
            if length == 0 {
                return Err(invalid("it is shorter than its header says"));
            }
            self.check_end()?;
            return Ok(length);
        }
        self.check_end()?;
        Ok(0)
    }
}

impl MemberReader {
    /// With the last byte, not after it: who knows the length asks for no more, and the sum of the frame would go unread.
    fn check_end(&mut self) -> io::Result<()> {
        if self.left == 0
            && let Some(padding) = self.padding.take()
        {
            let mut rest = Vec::new();
            (&mut self.frame).take(HEADER_BYTES as u64).read_to_end(&mut rest).map_err(unpacking)?;
            if rest.len() != padding || rest.iter().any(|byte| *byte != 0) {
                return Err(invalid("it is longer than its header says"));
            }
        }
        Ok(())
    }
}
