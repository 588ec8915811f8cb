//! What the log of a table puts in place of what: rows that are written anew are all there again.

use std::collections::{BTreeMap, HashMap};

use daybook_ledger::maintenance::RowsDigest;
use daybook_ledger::{LogEntry, NextOffset, TableVersion};

use super::{Difference, Verdict};

/// The app id that counts the commits of maintenance.
const MAINTENANCE: &str = "maintenance";

/// What was learnt from a log so far.
#[derive(Debug, Default)]
pub(super) struct Rewritings {
    table: &'static str,
    live: HashMap<String, Live>,
    positions: HashMap<String, NextOffset>,
    /// Files that were taken from view, and when.
    removed: HashMap<String, TableVersion>,
    /// What commits of maintenance say of the rows they wrote, by batch.
    stated: HashMap<String, Stated>,
    found: Vec<Difference>,
}

#[derive(Debug)]
struct Live {
    rows: u64,
    batch_id: Option<String>,
}

#[derive(Debug)]
struct Stated {
    version: TableVersion,
    digest: String,
    /// Whether all files it wrote are still live.
    is_live: bool,
}

impl Rewritings {
    pub(super) fn new(table: &'static str) -> Self {
        Self { table, ..Self::default() }
    }

    /// Takes in the next version.
    pub(super) fn take(&mut self, entry: &LogEntry) {
        let rows_removed: u64 = entry.removes.iter().map(|path| self.remove(path, entry.version)).sum();
        let rows_added: u64 = entry.adds.iter().map(|file| file.rows).sum();
        if !entry.removes.is_empty() && rows_removed != rows_added {
            self.differs(entry.version, format!("it puts {rows_added} rows in the place of {rows_removed}"));
        }
        if entry.committed_at.is_none() {
            self.differs(entry.version, "it does not say when it was committed: it is empty, or was cut".into());
        }
        if let Some(stated) = entry.stated_rows().filter(|stated| *stated != rows_added) {
            self.differs(entry.version, format!("it adds {rows_added} rows and says {stated}"));
        }
        if entry.maintenance.is_none() && !entry.removes.is_empty() {
            self.differs(entry.version, "it takes files from view and is no commit of Daybook's maintenance".into());
        }
        for (app_id, to) in &entry.positions {
            self.move_position(entry.version, app_id, *to);
        }
        let digest = entry.info.get("daybook.rows_digest").and_then(|digest| digest.as_str());
        if let (Some(batch_id), Some(digest)) = (&entry.batch_id, digest) {
            let stated = Stated { version: entry.version, digest: digest.into(), is_live: true };
            self.stated.insert(batch_id.clone(), stated);
        }
        for file in &entry.adds {
            let live = Live { rows: file.rows, batch_id: file.batch_id.clone() };
            if self.live.insert(file.path.clone(), live).is_some() {
                self.differs(entry.version, format!("it adds {}, which is in it already", file.path));
            }
        }
    }

    /// Takes a file from view; answers with its rows.
    fn remove(&mut self, path: &str, version: TableVersion) -> u64 {
        self.removed.insert(path.into(), version);
        let Some(Live { rows, batch_id }) = self.live.remove(path) else {
            self.differs(version, format!("it takes {path} from view, which is not in it"));
            return 0;
        };
        if let Some(stated) = batch_id.and_then(|batch_id| self.stated.get_mut(&batch_id)) {
            stated.is_live = false;
        }
        rows
    }

    fn move_position(&mut self, version: TableVersion, app_id: &str, to: NextOffset) {
        let Some(before) = self.positions.insert(app_id.into(), to) else { return };
        if app_id == MAINTENANCE && to.0 != before.0 + 1 {
            self.differs(version, format!("a commit of maintenance is missing between {before} and {to}"));
        }
        // Beside the position of a file stand its digest and its time, which are no positions.
        let is_position = app_id.rsplit('/').next().is_some_and(|last| last.parse::<i32>().is_ok());
        if is_position && to < before {
            self.differs(version, format!("the position of {app_id} goes back from {before} to {to}"));
        }
    }

    fn differs(&mut self, version: TableVersion, found: String) {
        let place = format!("{}/_delta_log/{:020}.json", self.table, version.0);
        self.found.push(Difference { place, found });
    }

    /// Hands over what was found so far.
    pub(super) fn report(&mut self, verdict: &mut Verdict) {
        self.found.drain(..).for_each(|Difference { place, found }| verdict.differs(place, found));
    }

    /// The version that took the file at `path` from view.
    pub(super) fn removed_in(&self, path: &str) -> Option<TableVersion> {
        self.removed.get(path).copied()
    }

    /// Whether the digest of the rows that `batch_id` wrote is stated, and all of them are still where it wrote them.
    pub(super) fn restates(&self, batch_id: &str) -> bool {
        let stated = self.stated.get(batch_id);
        stated.is_some_and(|stated| stated.is_live && RowsDigest::can_restate(&stated.digest))
    }

    /// Compares digests taken again with those stated.
    pub(super) fn compare(&self, digests: &BTreeMap<&str, RowsDigest>, verdict: &mut Verdict) {
        for (batch_id, digest) in digests {
            let Some(stated) = self.stated.get(*batch_id).filter(|stated| stated.digest != digest.to_string()) else {
                continue;
            };
            let place = format!("{}/_delta_log/{:020}.json", self.table, stated.version.0);
            verdict.differs(place, format!("the rows it wrote have the digest {digest}, it says {}", stated.digest));
        }
    }
}
