//! A file that is read in any order, as Parquet is.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

use super::objects::Object;

/// A file of a bundle.
pub(crate) enum Random {
    File(File),
    /// Whole in memory.
    Bytes(Bytes),
    Object(Object),
}

impl Length for Random {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Bytes(bytes) => Length::len(bytes),
            Self::Object(object) => object.bytes(),
        }
    }
}

impl ChunkReader for Random {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Bytes(bytes) => Box::new(bytes.get_read(start)?),
            Self::Object(object) => Box::new(object.read_from(start)),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Bytes(bytes) => bytes.get_bytes(start, length),
            Self::Object(object) => Ok(object.get(start, length as u64)?),
        }
    }
}
