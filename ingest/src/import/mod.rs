//! From files to the ledger, exactly once, by the same core and writer as from Kafka.
//!
//! A file is a partition, the number of a record in it an offset, and its position moves in the commit of the rows. Some
//! threads find, decompress and split; one decodes and fills batches; one task writes.

mod dry;
mod entries;
mod lineage;
mod queue;
mod reader;
mod run;
mod sink;

use std::collections::BTreeMap;
use std::time::Duration;

pub use dry::{Preview, Problem};
pub use run::{preview, run};

use crate::billing::BillFile;
use crate::decode::Format;
use crate::source::file::{Container, Fault};
use crate::{Capture, FlushLimits, Totals};

/// Everything an import is told.
#[derive(Clone, Debug)]
pub struct ImportSettings {
    /// Files, folders, patterns, `s3://bucket/prefix`.
    pub addresses: Vec<String>,
    /// The events' format; without it each event is recognised by its shape.
    pub format: Option<Format>,
    /// When to write.
    pub limits: FlushLimits,
    /// What becomes of bodies.
    pub capture: Capture,
    /// Files read at once, 1 to 64.
    pub jobs: usize,
    /// Read every record again, those an earlier import accounted for included.
    pub from_start: bool,
    /// The account that bills are about which name none.
    pub account: Option<String>,
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files found.
    pub files: u64,
    /// Files in which every record was imported before.
    pub files_known: u64,
    /// Files by how they hold records.
    pub containers: BTreeMap<Container, u64>,
    /// Records that an earlier import accounted for.
    pub records_known: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// What was written.
    pub totals: Totals,
    /// Bills and usage reports among the files, which go to a table of their own.
    pub bills: Vec<BillFile>,
    /// Files, or rests of files, that could not be read.
    pub faults: Vec<Fault>,
    /// Told to stop before the end.
    pub stopped: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// Is told how far an import is; every method returns at once.
pub trait Watch: Send {
    /// So many files with so many bytes were found.
    fn start(&mut self, files: u64, bytes: u64);
    /// So many bytes are read, and this is in the ledger.
    fn advance(&mut self, bytes: u64, totals: &Totals);
    /// Something a person should know, which is no error.
    fn notice(&mut self, text: &str);
}
