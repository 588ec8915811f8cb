//! What an import would do, without a ledger being touched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::sink::Sink;
use crate::core::{FileRecord, Opening};
use crate::decode::{DecodeOptions, Format, decode};
use crate::event::Event;
use crate::partition::{Partition, Positions};
use crate::{Error, Totals};

/// Problems that are kept; the rest is only counted.
const PROBLEMS_MAX: usize = 10;

/// What would be read.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Records by the format they were read as.
    pub formats: BTreeMap<&'static str, u64>,
    /// The first records that would go to quarantine.
    pub problems: Vec<Problem>,
}

/// A record that would go to quarantine.
#[derive(Clone, Debug)]
pub struct Problem {
    /// File, line and byte.
    pub place: String,
    /// Stable code.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

/// Decodes and counts.
#[derive(Debug, Default)]
pub(crate) struct Dry {
    pub(crate) preview: Arc<Mutex<Preview>>,
    files: BTreeMap<Partition, (Arc<str>, Option<Format>)>,
    totals: Totals,
}

impl Dry {
    fn problem(&mut self, record: &FileRecord<'_>, code: &str, message: &str) {
        self.totals.quarantined += 1;
        let mut preview = self.preview.lock().unwrap_or_else(PoisonError::into_inner);
        if preview.problems.len() < PROBLEMS_MAX {
            let name = self.files.get(record.partition).map(|(name, _)| name.as_ref()).unwrap_or_default();
            let words = record.headers.iter().map(|(_, value)| format!(":{}", String::from_utf8_lossy(value)));
            let place = format!("{name}{}", words.take(1).collect::<String>());
            preview.problems.push(Problem { place, code: code.to_owned(), message: message.to_owned() });
        }
    }
}

impl Sink for Dry {
    fn open(&mut self, opening: Opening) -> Result<(), Error> {
        self.files.insert(opening.partition, (opening.name, opening.format));
        Ok(())
    }

    fn take(&mut self, record: FileRecord<'_>) -> Result<(), Error> {
        self.totals.messages += 1;
        if let Some((code, message)) = record.refused {
            self.problem(&record, code, message);
            return Ok(());
        }
        let format = self.files.get(record.partition).and_then(|(_, format)| *format);
        let event = Event { value: record.value, headers: record.headers, timestamp: record.timestamp };
        let mut entries = 0;
        match decode(&event, format, &DecodeOptions::default(), &mut |_| entries += 1) {
            Ok(format) => {
                self.totals.entries += entries;
                self.totals.empty += u64::from(entries == 0);
                let mut preview = self.preview.lock().unwrap_or_else(PoisonError::into_inner);
                *preview.formats.entry(format.as_str()).or_default() += 1;
            }
            Err(error) => self.problem(&record, error.code(), &error.to_string()),
        }
        Ok(())
    }

    fn close(&mut self, partition: &Partition) -> Result<(), Error> {
        self.files.remove(partition);
        Ok(())
    }

    fn turn(&mut self, _flush: bool) -> Result<Vec<(Partition, Positions)>, Error> {
        Ok(Vec::new())
    }

    fn holds(&self, _partition: &Partition) -> bool {
        false
    }

    fn positions(&self, _partition: &Partition) -> Option<Positions> {
        None
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        true
    }

    fn totals(&self) -> Totals {
        self.totals.clone()
    }
}
