//! Formats of artifacts whose header is read: a file that is not of the format its name ends in is found today, not by the
//! vendor it is handed to.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use super::header::Header;
use super::{gguf, npy, onnx, safetensors};
use crate::verify;

const READ_BYTES: usize = 1 << 20;
/// The longest line of a set of examples.
const LINE_BYTES_MAX: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    Gguf,
    Onnx,
    Npy,
    Parquet,
    JsonLines,
}

impl Format {
    /// What the name of a file ends in.
    pub(super) fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "safetensors" => Self::Safetensors,
            "gguf" => Self::Gguf,
            "onnx" => Self::Onnx,
            "npy" => Self::Npy,
            "parquet" => Self::Parquet,
            "jsonl" | "ndjson" => Self::JsonLines,
            _ => return None,
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
            Self::Onnx => "onnx",
            Self::Npy => "npy",
            Self::Parquet => "parquet",
            Self::JsonLines => "jsonl",
        }
    }

    /// What the header of a file of `length` bytes says it holds, or why it is not of this format.
    ///
    /// What a header claims is held against the length of the file.
    pub(super) fn read(self, file: File, length: u64) -> Result<String, String> {
        let header = |file| Header::new(BufReader::with_capacity(READ_BYTES, file), length);
        match self {
            Self::Safetensors => safetensors::read(&mut header(file)),
            Self::Gguf => gguf::read(&mut header(file)),
            Self::Onnx => onnx::read(&mut header(file)),
            Self::Npy => npy::read(&mut header(file)),
            Self::Parquet => {
                let builder = verify::parquet::open(file, &[])?;
                let (metadata, columns) = (builder.metadata().file_metadata(), builder.schema().fields().len());
                Ok(format!("{} rows, {columns} columns", metadata.num_rows()))
            }
            Self::JsonLines => count_objects(BufReader::with_capacity(READ_BYTES, file)),
        }
    }
}

/// Counts lines, each of which must be a JSON object.
fn count_objects(mut reader: impl BufRead) -> Result<String, String> {
    let (mut rows, mut line) = (0_u64, Vec::new());
    loop {
        line.clear();
        (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if line.is_empty() {
            return Ok(format!("{rows} lines"));
        }
        rows += 1;
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(format!("line {rows} is longer than {LINE_BYTES_MAX} bytes"));
        }
        let is_object = line.trim_ascii_start().starts_with(b"{");
        match serde_json::from_slice::<serde::de::IgnoredAny>(&line) {
            Ok(_) if is_object => {}
            Ok(_) => return Err(format!("line {rows} is no JSON object")),
            Err(error) => return Err(format!("line {rows} is not JSON, from column {} on", error.column())),
        }
    }
}
