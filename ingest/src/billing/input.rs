//! A file of bills as it lies somewhere: told apart, unpacked, read line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use daybook_ledger::{BillingLine, Instant};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::error::Error;
use super::members::Members;
use super::table::{Failed, Header, Row, csv_rows, parquet_rows};
use super::{Occurrences, Source, cur, focus, page};
use crate::source::file;

/// A file of pages may be this large, unpacked; tables have no limit.
const PAGES_BYTES_MAX: u64 = 256 << 20;

/// Text of a file that is looked at to tell what it is.
const HEAD_BYTES: u64 = 64 << 10;

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub enum Input {
    /// On this machine or in a bucket; read on `Handle`'s runtime.
    Stored(file::Input, Handle),
    /// In memory.
    Bytes(Bytes),
}

/// How a file is laid out.
enum Layout {
    Json(Vec<u8>),
    Csv(Box<dyn Read>),
    Parquet,
}

impl Input {
    fn open(&self) -> std::io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Stored(input, runtime) => input.bytes(runtime, &Arc::default())?,
            Self::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes.clone())),
        })
    }

    /// When the file was written, as far as that is known.
    pub(super) fn written_at(&self) -> Option<Instant> {
        match self {
            Self::Stored(input, _) => input.modified.filter(|at| at.is_sane()),
            Self::Bytes(_) => None,
        }
    }

    /// The names of a Parquet file's columns; `None` if it cannot be read as one.
    fn parquet_columns(&self) -> std::io::Result<Option<Vec<String>>> {
        fn names<R: parquet::file::reader::ChunkReader + 'static>(source: R) -> Option<Vec<String>> {
            let builder = ParquetRecordBatchReaderBuilder::try_new(source).ok()?;
            Some(builder.schema().fields().iter().map(|field| field.name().clone()).collect())
        }
        Ok(match self {
            Self::Stored(input, runtime) => names(file::ParquetSource::open(input, runtime)?),
            Self::Bytes(bytes) => names(bytes.clone()),
        })
    }

    /// SHA-256 of the file as stored, hexadecimal.
    pub(super) fn sha256(&self) -> std::io::Result<String> {
        let mut hash = Sha256::new();
        std::io::copy(&mut self.open()?, &mut hash)?;
        Ok(daybook_ledger::file::hex(&hash.finalize()))
    }

    fn layout(&self) -> std::io::Result<Layout> {
        let mut input = BufReader::with_capacity(1 << 16, self.open()?);
        let magic: Vec<u8> = input.fill_buf()?.iter().take(4).copied().collect();
        let input: Box<dyn Read> = match magic.as_slice() {
            b"PAR1" => return Ok(Layout::Parquet),
            [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
            _ => Box::new(input),
        };
        let mut input = BufReader::with_capacity(1 << 16, input);
        let first = input.fill_buf()?.iter().copied().find(|byte| !byte.is_ascii_whitespace() && *byte < 0x80);
        if !matches!(first, Some(b'{' | b'[')) {
            return Ok(Layout::Csv(Box::new(input)));
        }
        let mut json = Vec::new();
        input.take(PAGES_BYTES_MAX + 1).read_to_end(&mut json)?;
        if json.len() as u64 > PAGES_BYTES_MAX {
            let message = format!("more than {PAGES_BYTES_MAX} bytes of JSON; split it into several files");
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
        }
        Ok(Layout::Json(json))
    }
}

/// Whether a file that begins with these bytes may be a bill: cheap, and wrong only in saying yes.
pub(super) fn may_be_bill(head: &[u8]) -> bool {
    let mut text = Vec::new();
    let read = match head {
        [b'P', b'A', b'R', b'1', ..] => return true,
        [0x1f, 0x8b, ..] => flate2::bufread::MultiGzDecoder::new(head).take(HEAD_BYTES).read_to_end(&mut text),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            zstd::stream::read::Decoder::with_buffer(head).and_then(|zstd| zstd.take(HEAD_BYTES).read_to_end(&mut text))
        }
        plain => std::io::copy(&mut plain.take(HEAD_BYTES), &mut text).map(|_| 0),
    };
    // A head that was cut ends in the middle of its compression: what came out before is enough.
    drop(read);
    let text = String::from_utf8_lossy(&text);
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if start.starts_with(['{', '[']) {
        let has = |word: &str| text.contains(word);
        return has("\"data\"") && (has("\"start_time\"") || has("\"starting_at\"") || has("\"has_more\""));
    }
    source_of_names(text.lines().next().unwrap_or_default().split(',')).is_some()
}

/// The bytes [`may_be_bill`] needs.
pub(super) async fn load_head(input: &file::Input) -> std::io::Result<Bytes> {
    let most = HEAD_BYTES.min(input.size);
    match &input.origin {
        file::Origin::Object(object) => object.clone().load(0..most).await,
        file::Origin::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut head = Vec::new();
                std::fs::File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
                Ok(head.into())
            });
            read.await.map_err(std::io::Error::other)?
        }
    }
}

/// What kind of bill `input` is; `None` if it is none.
///
/// # Errors
/// [`Error::Unreadable`].
pub fn recognise(file: &str, input: &Input) -> Result<Option<Source>, Error> {
    let unreadable = |source| Error::Unreadable { file: file.into(), source };
    Ok(match input.layout().map_err(unreadable)? {
        Layout::Json(json) => source_of_pages(&json),
        Layout::Csv(mut csv) => {
            let mut head = String::new();
            // A file that is no text is no CSV.
            let read = BufReader::new(csv.by_ref().take(1 << 20)).read_line(&mut head);
            read.ok().and_then(|_| source_of_names(head.split(',')))
        }
        Layout::Parquet => {
            let names = input.parquet_columns().map_err(unreadable)?.unwrap_or_default();
            source_of_names(names.iter().map(String::as_str))
        }
    })
}

fn source_of_names<'n>(names: impl Iterator<Item = &'n str>) -> Option<Source> {
    let keys: Vec<String> = names
        .map(|name| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase())
        .collect();
    let has = |key: &str| keys.iter().any(|known| known == key);
    if has("lineitemlineitemtype") {
        Some(Source::AwsCur)
    } else if has("billedcost") && has("chargeperiodstart") {
        Some(Source::Focus)
    } else {
        None
    }
}

/// By the first page: its first bucket's time, or what a page without buckets looks like.
fn source_of_pages(json: &[u8]) -> Option<Source> {
    let json = std::str::from_utf8(json).ok()?;
    let first = serde_json::Deserializer::from_str(json).into_iter::<&serde_json::value::RawValue>().next()?.ok()?;
    let first = match first.get().starts_with('[') {
        true => *serde_json::from_str::<Vec<&serde_json::value::RawValue>>(first.get()).ok()?.first()?,
        false => first,
    };
    let mut page: Members<'_> = serde_json::from_str(first.get()).ok()?;
    let is_page = page.has("has_more");
    let is_openai = page.text("object").ok()?.as_deref() == Some("page");
    match page.array("data").ok()?.first() {
        Some(bucket) => {
            let bucket: Members<'_> = serde_json::from_str(bucket.get()).ok()?;
            if bucket.has("start_time") && (bucket.has("results") || bucket.has("result")) {
                Some(Source::OpenAiAdmin)
            } else {
                (bucket.has("starting_at") && bucket.has("results")).then_some(Source::AnthropicAdmin)
            }
        }
        None if is_page && is_openai => Some(Source::OpenAiAdmin),
        None => is_page.then_some(Source::AnthropicAdmin),
    }
}

/// What a file held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its kind.
    pub source: Source,
    /// Lines given.
    pub lines: u64,
    /// Lines about other things than AI.
    pub others: u64,
}

/// Gives each line of `input` to `sink`, in order. CPU and disk bound: call it off the async threads.
///
/// # Errors
/// [`Error`] when the file is no bill, or a line of it cannot be read; lines before that one were given.
pub fn read(file: &str, input: &Input, sink: &mut dyn FnMut(BillingLine) -> Result<(), Error>) -> Result<Held, Error> {
    let unreadable = |source| Error::Unreadable { file: file.into(), source };
    let Some(source) = recognise(file, input)? else {
        return Err(Error::NotRecognised { file: file.into(), found: head(input).map_err(unreadable)? });
    };
    let mut lines =
        Lines { source, file, sink, occurrences: Occurrences::default(), held: Held { source, lines: 0, others: 0 } };
    let rows = match input.layout().map_err(unreadable)? {
        Layout::Json(json) => {
            let mut sink = |line| lines.give(line);
            page::decode(source, file, &json, &mut sink)?;
            return Ok(lines.held);
        }
        Layout::Csv(csv) => csv_rows(csv, |header| check(source, file, header), |row| lines.row(row)),
        Layout::Parquet => match input {
            Input::Stored(stored, runtime) => {
                let opened = file::ParquetSource::open(stored, runtime).map_err(unreadable)?;
                parquet_rows(opened, |header| check(source, file, header), |row| lines.row(row))
            }
            Input::Bytes(bytes) => {
                parquet_rows(bytes.clone(), |header| check(source, file, header), |row| lines.row(row))
            }
        },
    };
    rows.map_err(|failed| match failed {
        Failed::Row(error) => error,
        Failed::Table(reason) => Error::Malformed { file: file.into(), expected: source.title(), reason },
    })?;
    Ok(lines.held)
}

/// The first characters, for a message.
fn head(input: &Input) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    input.open()?.take(60).read_to_end(&mut bytes)?;
    Ok(if bytes.is_empty() { "nothing".into() } else { format!("{:?}", String::from_utf8_lossy(&bytes)) })
}

fn check(source: Source, file: &str, header: &Header) -> Result<(), Error> {
    let required = if source == Source::AwsCur { cur::REQUIRED } else { focus::REQUIRED };
    match required.iter().find(|name| header.position(name).is_none()) {
        Some(column) => Err(Error::MissingColumn { file: file.into(), column, source_kind: source }),
        None => Ok(()),
    }
}

struct Lines<'a> {
    source: Source,
    file: &'a str,
    sink: &'a mut dyn FnMut(BillingLine) -> Result<(), Error>,
    occurrences: Occurrences,
    held: Held,
}

impl Lines<'_> {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let line = if self.source == Source::AwsCur { cur::line(row) } else { focus::line(row) };
        let problem = |problem| Error::Field { file: self.file.into(), line: row.number, problem };
        match line.map_err(problem)? {
            Some(line) => {
                let line = self.occurrences.number(BillingLine { file_line: row.number, ..line });
                self.give(line)
            }
            None => {
                self.held.others += 1;
                Ok(())
            }
        }
    }

    fn give(&mut self, line: BillingLine) -> Result<(), Error> {
        self.held.lines += 1;
        (self.sink)(line)
    }
}
