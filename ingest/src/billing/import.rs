//! Writes the lines of bills to the table `billing`: each statement of a line once, whoever else imports it.
//!
//! A file is read twice: once to see that all of it can be read, once to write it. Rows are committed some thousands at a
//! time. A crash between two commits leaves the first ones; the same import again adds the rest, because a row that is there is
//! known by its `entry_id`.
//!
//! No report says when it was made, so of two statements of a line the one imported last holds. A file that was written before
//! the numbers that stand were imported is an older copy: importing a folder of reports again changes nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use daybook_ledger::schema::BillingBuilder;
use daybook_ledger::{
    BillingLine, BillingOrigin, Commit, CommitOutcome, EntryId, Instant, Kind, Ledger, Report as _, Snapshot,
    StoredFile, file,
};
use futures::TryStreamExt as _;
use rand::Rng as _;

use super::input::{Held, Input, read};
use super::{Error, Source};

/// Lines per commit.
const COMMIT_LINES: usize = 20_000;
/// Ids kept in memory over the days of a bill; beyond, days are read again from the ledger.
const IDS_MAX: usize = 2_000_000;
/// How often and how long a store that does not answer is asked again.
const ATTEMPTS_MAX: u32 = 8;
const BACKOFF_MS: u64 = 250;
const BACKOFF_MS_MAX: u64 = 15_000;

/// What an import brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Lines about AI in the file.
    pub lines: u64,
    /// Lines about other things, left out.
    pub others: u64,
    /// Rows added for lines the ledger did not have.
    pub added: u64,
    /// Rows added for lines the ledger had with other numbers, which they replace.
    pub replaced: u64,
    /// Lines the ledger has with these numbers.
    pub unchanged: u64,
    /// Lines whose numbers the ledger has had and a later import replaced, in a file older than that import: an older copy of a
    /// report. Nothing is added.
    pub outdated: u64,
}

/// Imports bills into one ledger.
#[derive(Debug)]
pub struct Importer {
    ledger: Ledger,
    snapshot: Snapshot,
    days: HashMap<i32, Day>,
    imported_at: Instant,
    account: Option<String>,
    run: u64,
    batches: u32,
}

/// The rows of one day.
#[derive(Debug, Default)]
struct Day {
    entries: HashSet<EntryId>,
    /// By line, the row that nothing replaces.
    current: HashMap<EntryId, Row>,
}

/// A row of the ledger, or one that becomes one.
#[derive(Clone, Copy, Debug)]
struct Row {
    entry: EntryId,
    line: EntryId,
    replaced: Option<EntryId>,
    imported_at: Instant,
}

/// The file lines come from.
struct Origin<'a> {
    file: &'a str,
    sha256: &'a str,
    written_at: Option<Instant>,
}

/// Rows of a batch that are new, by position, and what they replace.
#[derive(Default)]
struct Plan {
    rows: Vec<(usize, Row)>,
    counts: Imported,
}

impl Importer {
    /// Opens the table, making it in a ledger of before there was one.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn open(ledger: Ledger, imported_at: Instant) -> Result<Self, Error> {
        ledger.billing().create().await?;
        let snapshot = ledger.billing().load(None).await?;
        Ok(Self {
            ledger,
            snapshot,
            days: HashMap::new(),
            imported_at,
            account: None,
            run: rand::rng().random(),
            batches: 0,
        })
    }

    /// Names the account of lines that state none. Two organisations' reports are the same lines without it.
    #[must_use]
    pub fn for_account(self, account: Option<String>) -> Self {
        Self { account, ..self }
    }

    /// Imports one file: all of it or, if any line cannot be read, nothing.
    ///
    /// # Errors
    /// [`Error`]; what was committed stands and is not imported again.
    pub async fn import(&mut self, name: &str, input: &Input) -> Result<(Source, Imported), Error> {
        let unreadable = |source| Error::Unreadable { file: name.into(), source };
        let (owned, given) = (name.to_owned(), input.clone());
        let checked = blocking(name, move || {
            let held = read(&owned, &given, &mut |_| Ok(()))?;
            Ok::<_, Error>((held, given.sha256()))
        });
        let (held, sha256) = checked.await?;
        let sha256 = sha256.map_err(unreadable)?;
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let (owned, given) = (name.to_owned(), input.clone());
        let reading = tokio::task::spawn_blocking(move || send(&owned, &given, &sender));
        let origin = Origin { file: name, sha256: &sha256, written_at: input.written_at() };
        let mut total = Imported { others: held.others, ..Imported::default() };
        while let Some(mut lines) = receiver.recv().await {
            if let Some(account) = &self.account {
                lines.iter_mut().for_each(|line| _ = line.billing_account.get_or_insert_with(|| account.clone()));
            }
            let counts = self.write(&lines, &origin).await?;
            total.lines += lines.len() as u64;
            total.added += counts.added;
            total.replaced += counts.replaced;
            total.unchanged += counts.unchanged;
            total.outdated += counts.outdated;
        }
        let again = reading.await.map_err(|error| internal(&error))??;
        match again == held {
            true => Ok((held.source, total)),
            false => Err(Error::Changed { file: name.into() }),
        }
    }

    /// Writes lines in one commit, asking a store that does not answer again with growing, jittered pauses.
    async fn write(&mut self, lines: &[BillingLine], origin: &Origin<'_>) -> Result<Imported, Error> {
        self.batches += 1;
        let batch_id = format!("billing-{:016x}-{:04}", self.run, self.batches);
        let mut files = 0;
        let mut planned = Imported::default();
        for attempt in 1.. {
            match self.try_write(lines, origin, &batch_id, &mut files, &mut planned).await {
                Ok(()) => return Ok(planned),
                Err(error) if attempt < ATTEMPTS_MAX && error.kind() == Kind::Unavailable => {
                    let pause = BACKOFF_MS.saturating_mul(1 << attempt).min(BACKOFF_MS_MAX);
                    let pause = rand::rng().random_range(pause / 2..=pause);
                    tracing::warn!(batch_id, attempt, pause_ms = pause, %error, "write failed, trying again");
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn try_write(
        &mut self,
        lines: &[BillingLine],
        origin: &Origin<'_>,
        batch_id: &str,
        files: &mut usize,
        planned: &mut Imported,
    ) -> Result<(), Error> {
        let table = self.ledger.billing().clone();
        loop {
            table.refresh(&mut self.snapshot).await?;
            let landed = self.snapshot.files().iter().any(|file| file.batch_id.as_deref() == Some(batch_id));
            self.absorb_news(lines).await?;
            if landed {
                return Ok(());
            }
            let plan = self.plan(lines, origin);
            *planned = plan.counts;
            if plan.rows.is_empty() {
                return Ok(());
            }
            let stored = self.store(lines, origin, &plan, batch_id, files).await?;
            let counts = vec![("replaced", plan.counts.replaced)];
            let commit = Commit { batch_id: batch_id.into(), files: stored, positions: Vec::new(), counts };
            match table.try_commit(&mut self.snapshot, &commit).await? {
                CommitOutcome::Committed { .. } => {
                    self.take_in(lines, &plan);
                    return Ok(());
                }
                // Another import was first; it may have brought the same lines.
                CommitOutcome::Lost | CommitOutcome::Fenced { .. } => {}
            }
        }
    }

    /// Makes the days of `lines` resident and forgets those that others changed.
    async fn absorb_news(&mut self, lines: &[BillingLine]) -> Result<(), Error> {
        for file in self.snapshot.news() {
            self.days.remove(&file.date.days());
        }
        self.snapshot.clear_news();
        if self.days.values().map(|day| day.entries.len()).sum::<usize>() > IDS_MAX {
            self.days.clear();
        }
        let wanted: HashSet<i32> = lines.iter().map(|line| line.period_start.date().days()).collect();
        let missing: HashSet<i32> = wanted.into_iter().filter(|day| !self.days.contains_key(day)).collect();
        let mut rows: HashMap<i32, Vec<Row>> = missing.iter().map(|day| (*day, Vec::new())).collect();
        for file in self.snapshot.files() {
            let Some(rows) = rows.get_mut(&file.date.days()) else { continue };
            let columns = ["entry_id", "line_id", "supersedes", "imported_at"];
            let mut batches = std::pin::pin!(self.ledger.billing().stream_columns(&file, &columns).await?);
            while let Some(batch) = batches.try_next().await? {
                rows.extend(Row::read(&batch).unwrap_or_default());
            }
        }
        self.days.extend(rows.into_iter().map(|(day, rows)| (day, Day::new(&rows))));
        Ok(())
    }

    /// Which lines are news. Lines of the batch itself count in their order: a line that comes twice with other numbers
    /// is replaced at once.
    fn plan(&self, lines: &[BillingLine], origin: &Origin<'_>) -> Plan {
        let mut plan = Plan::default();
        let mut staged: HashSet<EntryId> = HashSet::new();
        let mut current: HashMap<EntryId, Row> = HashMap::new();
        for (at, line) in lines.iter().enumerate() {
            let line_id = line.line_id();
            let entry_id = line.entry_id(line_id);
            let day = self.days.get(&line.period_start.date().days());
            let known = staged.contains(&entry_id) || day.is_some_and(|day| day.entries.contains(&entry_id));
            let stands = current.get(&line_id).or_else(|| day?.current.get(&line_id));
            match (known, stands) {
                (true, None) => plan.counts.unchanged += 1,
                (true, Some(row)) if row.says(line, entry_id) => plan.counts.unchanged += 1,
                (true, Some(row)) if self.is_older(origin, row) => plan.counts.outdated += 1,
                (_, stands) => {
                    *(if stands.is_some() { &mut plan.counts.replaced } else { &mut plan.counts.added }) += 1;
                    let replaced = stands.map(|row| row.entry);
                    let again = replaced.filter(|_| known).map(|replaced| line.entry_id_again(entry_id, replaced));
                    let entry = again.unwrap_or(entry_id);
                    let row = Row { entry, line: line_id, replaced, imported_at: self.imported_at };
                    plan.rows.push((at, row));
                    staged.insert(entry_id);
                    current.insert(line_id, row);
                }
            }
        }
        plan
    }

    /// Whether a file is older than `row`. Of the files of one import the later ones are newer.
    fn is_older(&self, file: &Origin<'_>, row: &Row) -> bool {
        row.imported_at != self.imported_at && file.written_at.is_some_and(|written_at| written_at <= row.imported_at)
    }

    async fn store(
        &self,
        lines: &[BillingLine],
        origin: &Origin<'_>,
        plan: &Plan,
        batch_id: &str,
        files: &mut usize,
    ) -> Result<Vec<StoredFile>, Error> {
        let mut builder = BillingBuilder::default();
        for (at, row) in &plan.rows {
            let Some(line) = lines.get(*at) else { continue };
            builder.push(
                line,
                &BillingOrigin {
                    line_id: row.line,
                    entry_id: row.entry,
                    supersedes: row.replaced,
                    file: origin.file,
                    file_sha256: origin.sha256,
                    batch_id,
                    imported_at: row.imported_at,
                },
            );
        }
        let batch = builder.finish()?;
        let keep: Vec<u32> = (0..).take(batch.num_rows()).collect();
        let table = self.ledger.billing();
        let spec = table.spec();
        let encoded = blocking(origin.file, move || Ok::<_, Error>(file::encode(spec, &batch, &keep)?)).await?;
        let mut stored = Vec::with_capacity(encoded.len());
        for file in &encoded {
            // Over all attempts no name is written twice.
            stored.push(table.store_file(file, batch_id, *files).await?);
            *files += 1;
        }
        Ok(stored)
    }

    /// Takes in what was just committed.
    fn take_in(&mut self, lines: &[BillingLine], plan: &Plan) {
        for (at, row) in &plan.rows {
            let day = lines.get(*at).and_then(|line| self.days.get_mut(&line.period_start.date().days()));
            if let Some(day) = day {
                day.entries.insert(row.entry);
                day.current.insert(row.line, *row);
            }
        }
    }
}

impl Day {
    /// From rows in any order.
    fn new(rows: &[Row]) -> Self {
        let replaced: HashSet<EntryId> = rows.iter().filter_map(|row| row.replaced).collect();
        let standing = rows.iter().filter(|row| !replaced.contains(&row.entry));
        let current = standing.map(|row| (row.line, *row)).collect();
        Self { entries: rows.iter().map(|row| row.entry).collect(), current }
    }
}

impl Row {
    fn read(batch: &RecordBatch) -> Option<Vec<Self>> {
        let ids = |name: &str| batch.column_by_name(name)?.as_binary_opt::<i32>();
        let (entries, lines, replaced) = (ids("entry_id")?, ids("line_id")?, ids("supersedes")?);
        let instants = batch.column_by_name("imported_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let id = |bytes: Option<&[u8]>| bytes.and_then(EntryId::from_slice);
        let rows = entries.iter().zip(lines).zip(replaced).zip(instants);
        let row = |(((entry, line), replaced), micros): (((_, _), _), Option<i64>)| {
            let imported_at = Instant::from_micros(micros.unwrap_or(i64::MIN));
            Some(Self { entry: id(entry)?, line: id(line)?, replaced: id(replaced), imported_at })
        };
        Some(rows.filter_map(row).collect())
    }

    /// Whether it says what `line` says, by whose numbers a row is called `entry_id`.
    fn says(&self, line: &BillingLine, entry_id: EntryId) -> bool {
        let again = || self.replaced.map(|replaced| line.entry_id_again(entry_id, replaced));
        self.entry == entry_id || again() == Some(self.entry)
    }
}

/// Reads the file again and hands its lines on, some thousands at a time.
fn send(name: &str, input: &Input, sender: &tokio::sync::mpsc::Sender<Vec<BillingLine>>) -> Result<Held, Error> {
    let mut lines = Vec::new();
    // A receiver that has gone has an error of its own to report.
    let gone = |_| internal(&"the import stopped");
    let held = read(name, input, &mut |line| {
        lines.push(line);
        match lines.len() < COMMIT_LINES {
            true => Ok(()),
            false => sender.blocking_send(std::mem::take(&mut lines)).map_err(gone),
        }
    })?;
    if !lines.is_empty() {
        sender.blocking_send(lines).map_err(gone)?;
    }
    Ok(held)
}

async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| internal(&format!("{name}: {error}")))?
}

fn internal(found: &dyn std::fmt::Display) -> Error {
    Error::Ledger(daybook_ledger::Error::Internal { invariant: "a bill is read to its end", found: found.to_string() })
}
