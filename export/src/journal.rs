//! Which data files of an export are finished, so that a killed one goes on with the others.
//!
//! The journal lies in `<out>.partial`: a line for what is being made, then one for each data file that is full, written after
//! the file is on the disk. A data file holds the same rows whenever it is made, so the rows of finished ones are passed over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::format::{Shard, Target, file_name};
use crate::{Error, Format, Part};

/// Its name; it is gone from a bundle that is whole.
pub(crate) const JOURNAL: &str = "finished.jsonl";

/// Finished data files, in order, by table and format.
pub(crate) type Finished = BTreeMap<(Part, Format), Vec<Shard>>;

#[derive(Serialize, Deserialize)]
struct Line {
    table: String,
    format: String,
    #[serde(flatten)]
    shard: Shard,
}

/// Where finished files are noted; of a dry run nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: Mutex<File>,
    has_finished: AtomicBool,
}

impl Journal {
    /// Starts it anew below `root`, for what `identity` says, with what is finished already.
    pub(crate) fn start(root: &Path, identity: &str, finished: &Finished) -> Result<Self, Error> {
        let path = root.join(JOURNAL);
        let mut file = File::create(&path).map_err(Error::folder(&path, "create"))?;
        writeln!(file, "{identity}").map_err(Error::folder(&path, "write"))?;
        let open = Open { path, file: Mutex::new(file), has_finished: AtomicBool::new(false) };
        let journal = Self(Some(Arc::new(open)));
        for ((part, format), shards) in finished {
            shards.iter().try_for_each(|shard| journal.note(*part, *format, shard))?;
        }
        Ok(journal)
    }

    /// Notes a data file that is full and on the disk.
    pub(crate) fn note(&self, part: Part, format: Format, shard: &Shard) -> Result<(), Error> {
        let Some(open) = &self.0 else { return Ok(()) };
        let line = Line { table: part.name().into(), format: format.as_str().into(), shard: shard.clone() };
        let line = serde_json::to_string(&line).map_err(|error| Error::Internal {
            invariant: "a line of the journal is JSON",
            found: error.to_string(),
        })?;
        let mut file = open.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writeln!(file, "{line}").and_then(|()| file.sync_data());
        open.has_finished.store(true, Ordering::Relaxed);
        written.map_err(Error::folder(&open.path, "write"))
    }

    /// Whether there is something to go on from.
    pub(crate) fn has_finished(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.has_finished.load(Ordering::Relaxed))
    }
}

/// The finished files in the leftover at `root`; none if it was to become something else than `identity` says.
pub(crate) fn finished(root: &Path, identity: &str) -> Finished {
    let mut finished = Finished::new();
    let Ok(file) = File::open(root.join(JOURNAL)) else { return finished };
    let mut lines = BufReader::new(file).lines().map_while(Result::ok);
    if lines.next().as_deref() != Some(identity) {
        return finished;
    }
    // A line that a kill cut off is no JSON: its file is made again, as are those after it.
    for line in lines.map_while(|line| serde_json::from_str::<Line>(&line).ok()) {
        let part = Part::ALL.into_iter().find(|part| part.name() == line.table);
        let Some((part, format)) = part.zip(Format::parse(&line.format)) else { break };
        let known = finished.entry((part, format)).or_default();
        let length = fs::metadata(root.join(&line.shard.file.path)).map(|found| found.len()).ok();
        if line.shard.file.path == file_name(part, format, known.len()) && length == Some(line.shard.file.bytes) {
            known.push(line.shard);
        }
    }
    finished.retain(|_, shards| !shards.is_empty());
    finished
}

impl Target {
    /// Rows in files that are finished.
    pub(crate) fn rows_finished(&self) -> u64 {
        self.finished.iter().map(|shard| shard.rows).sum()
    }
}
