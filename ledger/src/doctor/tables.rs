//! The tables: their protocol, the properties an audit rests on, their size.

use super::{Finding, Level};
use crate::table::Properties;
use crate::{Ledger, Snapshot, Table};

const LEDGER: &str = "ledger";
/// With more files than this, plans and merges of small ones slow queries down.
const FILES_MAX: usize = 10_000;
/// Where a table has many files, they should be at least this large on average.
const FILE_BYTES_MIN: u64 = 1 << 20;
const FILES_MANY: usize = 500;

/// Looks at every table of `ledger`; reads logs, no data file.
pub async fn check_tables(ledger: &Ledger) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in ledger.tables().into_iter().rev() {
        let name = table.spec().name;
        match table.exists().await {
            Ok(false) if table.spec().is_founding() => findings.push(
                Finding::of(Level::Fail, LEDGER, name, "the table is missing")
                    .todo("restore the ledger from a copy: every ledger has this table from its first day"),
            ),
            // An older ledger gets it when something is first written to it.
            Ok(false) => {}
            Ok(true) => match table.load(None).await {
                Ok(snapshot) => findings.push(check_table(table, &snapshot)),
                Err(error) => findings.push(Finding::of_error(LEDGER, name, &error)),
            },
            Err(error) => findings.push(Finding::of_error(LEDGER, name, &error)),
        }
    }
    findings
}

fn check_table(table: &Table, snapshot: &Snapshot) -> Finding {
    let name = table.spec().name;
    if let Some((found, todo)) = fault(&snapshot.properties()) {
        return Finding::of(Level::Fail, LEDGER, name, found).todo(todo);
    }
    let files = snapshot.files();
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let found = format!("version {}, {} files, {} rows", snapshot.version(), files.len(), snapshot.rows());
    let is_small = files.len() > FILES_MANY && bytes / (files.len() as u64) < FILE_BYTES_MIN;
    match is_small || files.len() > FILES_MAX {
        true => Finding::of(Level::Warn, LEDGER, name, format!("{found}: many small files"))
            .todo("run `daybook maintain`, and raise flush_interval_ms if they keep coming"),
        false => Finding::ok(LEDGER, name, found),
    }
}

/// What of the properties is not as [`Table::create`] sets it, and what to do.
fn fault(properties: &Properties) -> Option<(String, &'static str)> {
    let Properties { reader, writer, append_only, cleans_log } = properties;
    if (*reader, *writer) != (1, 2) {
        let found = format!("reader {reader} and writer {writer}, not 1 and 2: another program upgraded the table");
        return Some((found, "some readers can no longer open it: restore the log, and keep other writers away"));
    }
    if !append_only {
        return Some((
            "delta.appendOnly is off".into(),
            "another program changed the table: run `daybook verify`, and set it again",
        ));
    }
    cleans_log.then(|| {
        let todo = "set delta.enableExpiredLogCleanup to false: the log is the audit trail, and holds every position";
        ("expired log entries are deleted".into(), todo)
    })
}
