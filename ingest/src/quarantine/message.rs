//! Rows of `quarantine` as messages.

use std::fmt;
use std::str::FromStr;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMicrosecondType};
use daybook_ledger::schema::{PARTITION, QUARANTINE};
use daybook_ledger::{DataFile, Date, EntryId, Instant, Ledger, Snapshot, Table};
use futures::{Stream, TryStreamExt as _};

use crate::Error;

/// The header of a record of a file that names the file by its content.
pub(crate) const FILE_HEADER: &str = "daybook-file";

/// Where a message was: `topic/partition@offset`; of a file, its name, 0 and the number of the record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    /// The topic, or the name of the file.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

/// Text that names no message.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no place of a message; it takes `topic/partition@offset`, as `quarantine list --each` prints them")]
pub struct NotCoordinates(String);

impl FromStr for Coordinates {
    type Err = NotCoordinates;

    fn from_str(text: &str) -> Result<Self, NotCoordinates> {
        let parse = || {
            let (place, offset) = text.rsplit_once('@')?;
            let (topic, partition) = place.rsplit_once('/')?;
            let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
            (!topic.is_empty()).then(|| Self { topic: topic.into(), partition, offset })
        };
        parse().ok_or_else(|| NotCoordinates(text.into()))
    }
}

/// A message set aside, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it was.
    pub at: Coordinates,
    /// The UTC day it is filed under.
    pub event_date: Date,
    /// The commit that set it aside.
    pub batch_id: String,
    /// When that was.
    pub quarantined_at: Instant,
    /// The message's own time.
    pub timestamp: Option<Instant>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Vec<u8>,
    /// The headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The format it was read as, if one was chosen.
    pub format: Option<String>,
    /// Why it was set aside, stable.
    pub code: String,
    /// Why, in words.
    pub message: String,
}

impl Quarantined {
    /// Tells it from every other message of the ledger: a topic of the same name may be in several clusters.
    pub(crate) fn id(&self) -> EntryId {
        id_of(&self.batch_id, &self.at)
    }
}

pub(crate) fn id_of(batch_id: &str, at: &Coordinates) -> EntryId {
    EntryId::derive(batch_id, at.to_string().as_bytes())
}

/// Which messages are meant; those that agree with everything that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One of these places; any if empty.
    pub at: Vec<Coordinates>,
    /// This error code.
    pub code: Option<String>,
    /// This topic.
    pub topic: Option<String>,
    /// Set aside at this instant or later.
    pub from: Option<Instant>,
    /// Set aside before this instant.
    pub to: Option<Instant>,
}

impl Filter {
    pub(crate) fn takes(&self, message: &Quarantined) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        (self.at.is_empty() || self.at.contains(&message.at))
            && is(&self.code, &message.code)
            && is(&self.topic, &message.at.topic)
            && self.from.is_none_or(|from| message.quarantined_at >= from)
            && self.to.is_none_or(|to| message.quarantined_at < to)
    }
}

/// Every message that `filter` takes, read after all or not, oldest day first.
///
/// # Errors
/// The ledger's.
pub async fn find(ledger: &Ledger, filter: &Filter) -> Result<Vec<Quarantined>, Error> {
    let table = ledger.quarantine();
    let mut found = Vec::new();
    for file in files(&table.load(None).await?) {
        let mut batches = std::pin::pin!(stream(table, &file).await?);
        while let Some(batch) = batches.try_next().await? {
            found.extend(messages(&batch, file.date)?.into_iter().filter(|message| filter.takes(message)));
        }
    }
    Ok(found)
}

/// The data files, oldest day first.
pub(crate) fn files(snapshot: &Snapshot) -> Vec<DataFile> {
    let mut files = snapshot.files();
    files.sort_by(|a, b| (a.date, &a.path).cmp(&(b.date, &b.path)));
    files
}

/// The rows of `file`, batch by batch.
pub(crate) async fn stream(
    table: &Table,
    file: &DataFile,
) -> Result<impl Stream<Item = Result<RecordBatch, daybook_ledger::Error>> + use<>, Error> {
    let names = table.spec().columns.iter().map(|column| column.name).filter(|name| *name != PARTITION);
    Ok(table.stream_columns(file, &names.collect::<Vec<_>>()).await?)
}

/// The rows of `batch`, which are of `event_date`.
pub(crate) fn messages(batch: &RecordBatch, event_date: Date) -> Result<Vec<Quarantined>, Error> {
    let columns = Columns(batch);
    (0..batch.num_rows()).map(|row| columns.message(row, event_date)).collect::<Option<_>>().ok_or_else(|| {
        let found = format!("a row of {} whose columns are not those of the table", QUARANTINE.name);
        Error::Internal { found }
    })
}

/// A batch of `quarantine` or `resolutions`, as built or as read from a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'b>(pub(crate) &'b RecordBatch);

impl Columns<'_> {
    pub(crate) fn text(&self, name: &str, row: usize) -> Option<String> {
        let column = self.0.column_by_name(name)?;
        let (words, row) = match column.as_dictionary_opt::<Int32Type>() {
            Some(words) => (words.values(), words.key(row)?),
            None => (column, row),
        };
        let words = words.as_string_opt::<i32>()?;
        words.is_valid(row).then(|| words.value(row).to_owned())
    }

    pub(crate) fn bytes(&self, name: &str, row: usize) -> Option<Vec<u8>> {
        let column = self.0.column_by_name(name)?.as_binary_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_vec())
    }

    fn number<T: ArrowPrimitiveType>(&self, name: &str, row: usize) -> Option<T::Native> {
        let column = self.0.column_by_name(name)?.as_primitive_opt::<T>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn instant(&self, name: &str, row: usize) -> Option<Instant> {
        self.number::<TimestampMicrosecondType>(name, row).map(Instant::from_micros)
    }

    pub(crate) fn coordinates(&self, row: usize) -> Option<Coordinates> {
        Some(Coordinates {
            topic: self.text("topic", row)?,
            partition: self.number::<Int32Type>("kafka_partition", row)?,
            offset: self.number::<Int64Type>("kafka_offset", row)?,
        })
    }

    /// Where the message was; of a file, whatever it was called then.
    pub(crate) fn lineage(&self, row: usize) -> Option<Coordinates> {
        let file = self.headers(row)?.into_iter().find(|(name, _)| name == FILE_HEADER)?.1;
        Some(Coordinates { topic: String::from_utf8(file).ok()?, ..self.coordinates(row)? })
    }

    fn headers(&self, row: usize) -> Option<Vec<(String, Vec<u8>)>> {
        let column = self.0.column_by_name("headers")?.as_map_opt()?;
        if column.is_null(row) {
            return Some(Vec::new());
        }
        let headers = column.value(row);
        let names = headers.column(0).as_string_opt::<i32>()?;
        let values = headers.column(1).as_binary_opt::<i32>()?;
        let header = |(name, value): (Option<&str>, Option<&[u8]>)| Some((name?.to_owned(), value?.to_vec()));
        names.iter().zip(values).map(header).collect()
    }

    fn message(&self, row: usize, event_date: Date) -> Option<Quarantined> {
        Some(Quarantined {
            at: self.coordinates(row)?,
            event_date,
            batch_id: self.text("batch_id", row)?,
            quarantined_at: self.instant("quarantined_at", row)?,
            timestamp: self.instant("kafka_timestamp", row),
            key: self.bytes("key", row),
            // What was said may have been erased; the row stays.
            value: self.bytes("value", row).unwrap_or_default(),
            headers: self.headers(row)?,
            format: self.text("format", row),
            code: self.text("error_code", row)?,
            message: self.text("error_message", row).unwrap_or_else(|| "its bytes were erased".into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_printed() {
        for text in ["calls/0@17", "a/b/c.jsonl/0@3", "mail@host/2@0"] {
            assert_eq!(text.parse::<Coordinates>().unwrap().to_string(), text);
        }
        for text in ["", "calls", "calls/0", "calls@3", "calls/x@3", "calls/0@", "/0@3"] {
            assert!(text.parse::<Coordinates>().is_err(), "{text}");
        }
    }
}
