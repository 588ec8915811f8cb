//! Which files of an export are finished, so that a killed one goes on with the others.
//!
//! A line for what is being made, then one for each data file that is full, written when the file is where it is to be. A data file
//! holds the same rows whenever it is made, so the rows of finished ones are passed over. Artifacts, which come after the last of
//! the rows, have a line each too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::Written;
use crate::format::Shard;
use crate::series::Series;
use crate::{Error, artifact};

/// Its name; it is gone from a bundle that is whole.
pub(crate) const JOURNAL: &str = "finished.jsonl";

/// What an interrupted run finished.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// Data files, in order.
    pub(crate) shards: BTreeMap<Series, Vec<Shard>>,
    /// Artifacts, by path.
    pub(crate) artifacts: BTreeMap<String, Written>,
}

impl Finished {
    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.shards.values().map(Vec::len).sum::<usize>() + self.artifacts.len()
    }
}

/// A data file that is full, or an artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    pub(super) shard: Shard,
    /// In a tar: how long the archive is with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) archive_bytes: Option<u64>,
}

impl Line {
    pub(crate) fn new(shard: &Shard) -> Self {
        Self { shard: shard.clone(), archive_bytes: None }
    }

    /// Of an artifact, which has no rows.
    pub(crate) fn of_artifact(file: &Written) -> Self {
        Self::new(&Shard { file: file.clone(), rows: 0 })
    }

    pub(super) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self)
            .map_err(|error| Error::Internal { invariant: "a line of the journal is JSON", found: error.to_string() })
    }

    fn series(&self) -> Option<Series> {
        Series::of(&self.shard.file.path)
    }

    fn is_artifact(&self) -> bool {
        self.shard.file.path.starts_with(artifact::FOLDER)
    }
}

/// The lines of a journal `text` whose files, by `is_there`, are there; none if something else than `identity` was being made.
pub(super) fn read(text: &str, identity: &str, is_there: impl Fn(&Line) -> bool) -> Vec<Line> {
    let mut lines = text.lines();
    if lines.next() != Some(identity) {
        return Vec::new();
    }
    // A line that a kill cut off is no JSON: its file is made again, as are those after it.
    let lines = lines.map_while(|line| serde_json::from_str::<Line>(line).ok());
    let mut next: BTreeMap<Series, usize> = BTreeMap::new();
    let is_next = |line: &Line| {
        let Some(series) = line.series() else { return line.is_artifact() && is_there(line) };
        let index = next.entry(series).or_default();
        let is_next = line.shard.file.path == series.file_name(*index);
        *index += 1;
        is_next && is_there(line)
    };
    lines.take_while(is_next).collect()
}

/// The files of `lines`.
pub(super) fn finished(lines: &[Line]) -> Finished {
    let mut finished = Finished::default();
    for line in lines {
        let shard = line.shard.clone();
        match line.series() {
            Some(series) => finished.shards.entry(series).or_default().push(shard),
            None => drop(finished.artifacts.insert(shard.file.path.clone(), shard.file)),
        }
    }
    finished
}

/// A journal in a file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    has_finished: AtomicBool,
}

impl Journal {
    /// Starts it anew below `root`, for what `identity` says, with what is finished already.
    pub(super) fn start(root: &Path, identity: &str, lines: &[Line]) -> Result<Self, Error> {
        let path = root.join(JOURNAL);
        let mut file = File::create(&path).map_err(Error::folder(&path, "create"))?;
        writeln!(file, "{identity}").map_err(Error::folder(&path, "write"))?;
        let journal = Self { path, file: Mutex::new(file), has_finished: AtomicBool::new(false) };
        lines.iter().try_for_each(|line| journal.note(line))?;
        Ok(journal)
    }

    pub(super) fn note(&self, line: &Line) -> Result<(), Error> {
        let line = line.text()?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writeln!(file, "{line}").and_then(|()| file.sync_data());
        self.has_finished.store(true, Ordering::Relaxed);
        written.map_err(Error::folder(&self.path, "write"))
    }

    /// Whether there is something to go on from.
    pub(super) fn has_finished(&self) -> bool {
        self.has_finished.load(Ordering::Relaxed)
    }
}
