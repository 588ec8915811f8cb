//! What a file is, from its first bytes; its name decides only where they leave a choice.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::runtime::Handle;

use super::codec::decompressed;
use super::columnar;
use super::document::Documents;
use super::fault::Fault;
use super::input::Input;
use super::lines::Lines;
use super::table::Table;
use super::window::Window;
use super::{RECORD_BYTES_MAX, Records};

/// How a file holds its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Container {
    /// One event a line.
    Lines,
    /// A JSON document, several, or an array.
    Documents,
    /// Rows of text.
    Csv,
    /// Rows in columns.
    Parquet,
    /// Nothing: there is no byte in it.
    Empty,
}

impl Container {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "jsonl",
            Self::Documents => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Empty => "empty",
        }
    }
}

/// A file that is open.
pub struct Opened {
    /// How it holds its records.
    pub container: Container,
    /// Its records.
    pub records: Box<dyn Records>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("container", &self.container).finish_non_exhaustive()
    }
}

/// Opens `input`; `read` counts its bytes as they are read.
///
/// # Errors
/// [`Fault::Unreadable`], [`Fault::NotData`], and what reading the first record can bring.
pub fn open(input: &Input, runtime: &Handle, read: &Arc<AtomicU64>) -> Result<Opened, Fault> {
    open_with(input, runtime, read, RECORD_BYTES_MAX)
}

/// As [`open`], with another limit for one record.
pub(crate) fn open_with(
    input: &Input,
    runtime: &Handle,
    read: &Arc<AtomicU64>,
    bytes_max: usize,
) -> Result<Opened, Fault> {
    let unreadable = |source| Fault::Unreadable { file: input.name.clone(), source };
    let raw = input.bytes(runtime, read).map_err(unreadable)?;
    let (text, codec) = decompressed(raw).map_err(unreadable)?;
    let mut window = Window::new(text, &input.name, codec, bytes_max);
    window.read_more()?;
    if window.text().starts_with(b"PAR1") && codec.is_none() {
        return Ok(Opened { container: Container::Parquet, records: columnar::open(input, runtime, read)? });
    }
    if window.text().starts_with(b"\xef\xbb\xbf") {
        window.consume(3);
    }
    let container = tell(&mut window, &input.name)?;
    let records: Box<dyn Records> = match container {
        Container::Csv => Box::new(Table::open(window)?),
        Container::Documents => Box::new(Documents::new(window)),
        _ => Box::new(Lines::new(window)),
    };
    Ok(Opened { container, records })
}

/// Tells how the text in `window` holds records, reading on as far as it must.
fn tell(window: &mut Window, name: &str) -> Result<Container, Fault> {
    let extension = extension(name);
    let is_lines = matches!(extension.as_deref(), Some("jsonl" | "ndjson" | "jsonlines"));
    loop {
        match window.text().trim_ascii_start().first().copied() {
            None if window.read_more()? => {}
            None => return Ok(Container::Empty),
            Some(_) if is_lines => return Ok(Container::Lines),
            Some(b'[') => return Ok(Container::Documents),
            Some(b'{') => return tell_objects(window),
            Some(_) => break,
        }
    }
    let text = String::from_utf8_lossy(window.text());
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    if matches!(extension.as_deref(), Some("csv" | "tsv")) || super::table::is_header(first) {
        return Ok(Container::Csv);
    }
    if !has_nul(window.text()) && lines.take(100).any(|line| line.starts_with('{')) {
        return Ok(Container::Lines);
    }
    Err(Fault::NotData { file: name.to_owned(), found: describe(window.text(), first) })
}

/// Objects: one a line if the first line is one, else a document.
fn tell_objects(window: &mut Window) -> Result<Container, Fault> {
    let blank = window.text().len() - window.text().trim_ascii_start().len();
    window.consume(blank);
    window.find_newline()?;
    let line = window.text().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<serde::de::IgnoredAny>();
    let first = values.next();
    let rest = line.get(values.byte_offset()..).unwrap_or_default().trim_ascii_start();
    Ok(match first {
        Some(Err(error)) if error.is_eof() => Container::Documents,
        Some(Ok(_)) if rest.starts_with(b"{") => Container::Documents,
        _ => Container::Lines,
    })
}

/// The extension below that of the compression, in small letters.
fn extension(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let (_, extension) = name.rsplit_once('.')?;
    (!extension.contains('/')).then(|| extension.to_owned())
}

fn has_nul(text: &[u8]) -> bool {
    text.contains(&0)
}

/// What a file seems to be, for a message.
fn describe(text: &[u8], first_line: &str) -> String {
    let known: &[(&[u8], &str)] = &[
        (b"PK\x03\x04", "a zip archive"),
        (b"PAR1", "compressed Parquet"),
        (b"BZh", "bzip2 data"),
        (b"\xfd7zXZ", "xz data"),
        (b"\xff\xfe", "UTF-16 text"),
        (b"\xfe\xff", "UTF-16 text"),
        (b"Obj\x01", "an Avro file"),
        (b"ORC", "an ORC file"),
    ];
    if let Some((_, found)) = known.iter().find(|(mark, _)| text.starts_with(mark)) {
        return (*found).to_owned();
    }
    if text.get(257..262) == Some(b"ustar") {
        return "a tar archive".to_owned();
    }
    // The text itself is not told: of a file named by mistake it can be a secret.
    let seems = match first_line.trim_start().starts_with('<') {
        _ if has_nul(text) || first_line.contains('\u{fffd}') => "binary data",
        true => "HTML or XML",
        false => "text",
    };
    seems.to_owned()
}
