//! Writes a bundle.
//!
//! The order of effects, and what a crash after each leaves:
//! 1. `<out>.partial` with `bagit.txt`: a leftover, known as one by that file; the next run takes it over;
//! 2. the rows under `data/`, a line in the journal for each data file that is full: the next run goes on after those;
//! 3. what describes them, then the tag files, the manifests last: the same leftover;
//! 4. everything synced, then renamed to `<out>`: the whole bundle.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use bytes::Bytes;
use daybook_ledger::{Date, Instant, Ledger, TableVersion};
use serde_json::{Map, Value, json};

use crate::describe::{self, Description};
use crate::folder::{BAGIT, DigestWriter, PartialFolder, Written, refuse_if_taken};
use crate::format::{Lane, Shard, Target};
use crate::journal::{Finished, Journal};
use crate::manifest::{self, Algorithm};
use crate::pace::Pace;
use crate::scope::Providers;
use crate::select::{DayEntries, Window};
use crate::source::{Plan, Rows, Step};
use crate::totals::Totals;
use crate::{Error, Format, Part, Progress, Scope};

/// What goes into a bundle, and where it goes.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder to make; it must not exist, or be empty.
    pub out: PathBuf,
    /// First instant of `started_at` that is in; `None`: the earliest entry.
    pub from: Option<Instant>,
    /// First instant that is no longer in; `None`: after the latest entry.
    pub to: Option<Instant>,
    /// Whose entries go in.
    pub scope: Scope,
    /// Version of `usage` to read; `None`: the newest.
    pub as_of: Option<TableVersion>,
    /// At least one; order and repetition do not matter.
    pub formats: Vec<Format>,
    /// A data file that has reached this many bytes is followed by the next.
    pub shard_bytes: u64,
    /// At most so many bytes a second are read from the ledger, and as many written to the bundle.
    pub rate_limit: Option<NonZeroU64>,
}

impl Request {
    /// Length of a data file unless asked otherwise: few files, and each fits a laptop's memory.
    pub const SHARD_BYTES: u64 = 1 << 30;

    /// Everything in the newest version of a ledger, in every format.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        let formats = Format::ALL.into();
        Self {
            out: out.into(),
            from: None,
            to: None,
            scope: Scope::default(),
            as_of: None,
            formats,
            shard_bytes: Self::SHARD_BYTES,
            rate_limit: None,
        }
    }

    fn checked_formats(&self) -> Result<Vec<Format>, Error> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Error::EmptyWindow { from, to });
        }
        let mut formats = self.formats.clone();
        formats.sort_unstable();
        formats.dedup();
        if formats.is_empty() { Err(Error::NoFormat) } else { Ok(formats) }
    }
}

/// What a finished bundle holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where it is.
    pub out: PathBuf,
    /// Every file of it, tag files included, by path.
    pub files: Vec<File>,
    /// Rows by table.
    pub rows: Vec<(Part, u64)>,
    /// Versions read, by table.
    pub versions: Vec<(Part, TableVersion)>,
    /// SHA-256 of `tagmanifest-sha256.txt`, hexadecimal: it stands for every byte of the bundle.
    pub sha256: String,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the bundle.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Rows in it, if it is a data file.
    pub rows: Option<u64>,
}

impl Summary {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Writes the bundle `request` asks for: whole, or nothing under its name.
///
/// The same versions and arguments give the same bytes, whenever and wherever it runs. Every source file is checked
/// against its commit while it is read.
///
/// # Errors
/// [`Error::OutTaken`], [`Error::OutBusy`], [`Error::EmptyWindow`], [`Error::NoFormat`], [`Error::Folder`], and the
/// ledger's: `DamagedFile` for a source file that is not what its commit says.
pub async fn write(ledger: &Ledger, request: &Request, progress: &mut dyn Progress) -> Result<Summary, Error> {
    let order = Order::load(ledger, request).await?;
    order.write(ledger, progress).await
}

/// Goes the whole way of [`write()`] without writing anything: what the bundle would hold, file by file, to the byte.
///
/// # Errors
/// As [`write()`].
pub async fn preview(ledger: &Ledger, request: &Request, progress: &mut dyn Progress) -> Result<Summary, Error> {
    let order = Order::load(ledger, request).await?;
    refuse_if_taken(&request.out)?;
    order.run(ledger, None, Finished::new(), progress).await
}

/// A request with everything that settles its bytes.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) request: Request,
    formats: Vec<Format>,
    window: Window,
    pub(crate) plan: Plan,
}

impl Order {
    pub(crate) async fn load(ledger: &Ledger, request: &Request) -> Result<Self, Error> {
        let formats = request.checked_formats()?;
        let window = Window { from: request.from, to: request.to };
        let plan = Plan::load(ledger, request.as_of, &window, &request.scope).await?;
        Ok(Self { request: request.clone(), formats, window, plan })
    }

    pub(crate) async fn write(self, ledger: &Ledger, progress: &mut dyn Progress) -> Result<Summary, Error> {
        let (folder, finished) = PartialFolder::claim(&self.request.out, &self.identity(), progress)?;
        self.run(ledger, Some(folder), finished, progress).await
    }

    /// One line that is the same for runs that give the same bytes.
    fn identity(&self) -> String {
        let mut identity = self.summary();
        identity.insert("shard_bytes".into(), self.request.shard_bytes.into());
        Value::from(identity).to_string()
    }

    /// `summary.json` without what only reading tells.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        describe::summary(&self.plan, self.window, &self.request.scope, &self.formats)
    }

    async fn run(
        self,
        ledger: &Ledger,
        folder: Option<PartialFolder>,
        finished: Finished,
        progress: &mut dyn Progress,
    ) -> Result<Summary, Error> {
        progress.start(self.plan.bytes());
        let copy = Copy::start(folder.as_ref(), &self, finished)?;
        let pace = Pace::new(self.request.rate_limit);
        let copy = copy_rows(ledger, copy, &self.plan.steps, &pace, progress).await?;
        let finish = move || finish(folder, &self, copy);
        tokio::task::spawn_blocking(finish).await.map_err(Error::panicked)?
    }
}

/// Reads the next file while the rows of the last one are written.
async fn copy_rows(
    ledger: &Ledger,
    mut copy: Copy,
    steps: &[Step],
    pace: &Pace,
    progress: &mut dyn Progress,
) -> Result<Copy, Error> {
    let load = async |step: &Step| {
        pace.wait(step.file.size).await;
        step.part.table(ledger).load_whole(&step.file).await
    };
    let mut ahead = match steps.first() {
        Some(step) => Some((step, load(step).await?)),
        None => None,
    };
    let mut rest = steps.iter().skip(1);
    while let Some((step, bytes)) = ahead {
        let next = rest.next();
        let read = async {
            match next {
                Some(next) => Ok(Some((next, load(next).await?))),
                None => Ok::<_, Error>(None),
            }
        };
        let owned = step.clone();
        let work = tokio::task::spawn_blocking(move || copy.take_file(owned, bytes));
        let (done, read) = tokio::join!(work, read);
        copy = done.map_err(Error::panicked)??;
        ahead = read?;
        progress.advance(step.file.size);
    }
    Ok(copy)
}

/// The rows on their way from the ledger's files to the bundle's.
#[derive(Debug)]
struct Copy {
    window: Window,
    scope: Scope,
    tables: Vec<PartCopy>,
    day: Option<Date>,
    entries: DayEntries,
    providers: Providers,
    without_body: u64,
}

#[derive(Debug)]
struct PartCopy {
    part: Part,
    totals: Totals,
    lanes: Vec<(Format, Lane)>,
}

impl Copy {
    fn start(folder: Option<&PartialFolder>, order: &Order, mut finished: Finished) -> Result<Self, Error> {
        let mut tables = Vec::new();
        let pace = Pace::new(order.request.rate_limit);
        for part in Part::ALL {
            if let Some(folder) = folder {
                folder.make_dir(&format!("data/{}", part.name()))?;
            }
            let lane = |format: &Format| {
                let target = Target {
                    root: folder.map(|folder| folder.path().into()),
                    part,
                    format: *format,
                    shard_bytes: order.request.shard_bytes,
                    finished: finished.remove(&(part, *format)).unwrap_or_default(),
                    journal: folder.map_or_else(Journal::default, |folder| folder.journal().clone()),
                    pace: pace.clone(),
                };
                (*format, Lane::start(target))
            };
            let lanes = order.formats.iter().map(lane).collect();
            tables.push(PartCopy { part, totals: Totals::new(part), lanes });
        }
        Ok(Self {
            window: order.window,
            scope: order.request.scope.clone(),
            tables,
            day: None,
            entries: DayEntries::default(),
            providers: Providers::default(),
            without_body: 0,
        })
    }

    fn take_file(mut self, step: Step, bytes: Bytes) -> Result<Self, Error> {
        let (part, day, is_look_ahead) = (step.part, step.file.date, step.is_look_ahead);
        if self.day.replace(day) != Some(day) {
            self.end_day();
        }
        let mut rows = Rows::open(step, bytes)?;
        while let Some(batch) = rows.next()? {
            if is_look_ahead {
                self.entries.add_corrected(&batch, &self.scope.holds(&batch)?)?;
                continue;
            }
            let batch = self.select(part, day, &batch)?;
            if batch.num_rows() == 0 {
                continue;
            }
            for table in self.tables.iter_mut().filter(|table| table.part == part) {
                table.totals.add(&batch)?;
                table.lanes.iter_mut().try_for_each(|(_, lane)| lane.send(&batch))?;
            }
        }
        Ok(self)
    }

    /// The rows of a batch, all of one day, that go in.
    fn select(&mut self, part: Part, day: Date, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let is_scoped = !self.scope.is_everything();
        match part {
            Part::Usage => {
                let mut batch = self.window.select(batch, day, &["started_at"])?;
                if is_scoped {
                    batch = self.entries.with_corrected(&batch, &self.scope.holds(&batch)?)?;
                    self.providers.add(&batch)?;
                }
                self.entries.add(&batch)?;
                Ok(batch)
            }
            Part::Content => self.entries.select(batch),
            Part::Valuations => self.entries.rows_of(batch),
            Part::Corrections if is_scoped => self.entries.rows_of(batch),
            Part::Corrections => self.window.select(batch, day, &["started_at"]),
            Part::Quarantine => self.window.select(batch, day, &["kafka_timestamp", "quarantined_at"]),
            Part::Resolutions => self.window.select(batch, day, &[]),
            Part::Billing => self.scope.rows_by_name(&self.window.select(batch, day, &["period_start"])?),
            Part::Evidence => self.scope.rows_by_name(&self.window.select(batch, day, &[])?),
            Part::Prices if is_scoped => self.providers.rows_of(batch),
            Part::Prices | Part::Registry => Ok(batch.clone()),
        }
    }

    fn end_day(&mut self) {
        self.without_body += std::mem::take(&mut self.entries).without_body();
    }
}

/// Ends every file, describes them, seals the bag and gives it its name.
fn finish(folder: Option<PartialFolder>, order: &Order, mut copy: Copy) -> Result<Summary, Error> {
    let Order { request, formats, window, plan } = order;
    let root = folder.as_ref().map(PartialFolder::path);
    copy.end_day();
    let mut shards: Vec<(Part, Format, Shard)> = Vec::new();
    for table in &mut copy.tables {
        for (format, lane) in &mut table.lanes {
            shards.extend(lane.finish()?.into_iter().map(|shard| (table.part, *format, shard)));
        }
    }
    let rows: Vec<_> = copy.tables.iter().map(|table| (table.part, table.totals.rows())).collect();
    let mut summary = order.summary();
    for table in &copy.tables {
        let mut totals = table.totals.to_json();
        if table.part == Part::Content
            && let Some(totals) = totals.as_object_mut()
        {
            totals.insert("entries_without_body".into(), json!(copy.without_body));
        }
        summary.insert(table.part.name().into(), totals);
    }
    let description = Description { plan, window: *window, scope: &request.scope, shards: &shards, rows: &rows };
    let mut payload: Vec<Written> = shards.iter().map(|(_, _, shard)| shard.file.clone()).collect();
    for (name, text) in [
        (describe::SUMMARY, describe::pretty(&summary.into())),
        (describe::SCHEMA, describe::schema()),
        (describe::README, description.readme(formats)),
        (describe::DESCRIPTOR, describe::pretty(&description.data_package())),
    ] {
        payload.push(DigestWriter::write_whole(root, name, text.as_bytes())?);
    }
    let tags = seal(root, &description.bag_info(&payload), &payload)?;
    folder.map_or(Ok(()), PartialFolder::publish)?;
    let sha256 = tags.iter().find(|tag| tag.path == Algorithm::Sha256.tag_manifest());
    let sha256 = sha256.map(|tag| tag.sha256.clone()).unwrap_or_default();
    payload.extend(tags);
    Ok(Summary {
        out: request.out.clone(),
        files: payload.into_iter().map(|file| listed(file, &shards)).collect(),
        rows,
        versions: plan.pins.iter().map(|pin| (pin.part, pin.version)).collect(),
        sha256,
    })
}

fn listed(file: Written, shards: &[(Part, Format, Shard)]) -> File {
    let shard = shards.iter().find(|(_, _, shard)| shard.file.path == file.path);
    File { path: file.path, bytes: file.bytes, rows: shard.map(|(_, _, shard)| shard.rows) }
}

/// Writes `bag-info.txt` and the manifests, last of all; answers the tag files.
fn seal(root: Option<&Path>, info: &str, payload: &[Written]) -> Result<Vec<Written>, Error> {
    let write = |name: &str, text: &str| DigestWriter::write_whole(root, name, text.as_bytes());
    // It is there since the folder is, to mark it.
    let bagit = DigestWriter::write_whole(None, BAGIT, describe::BAGIT_TEXT.as_bytes())?;
    let mut tags = vec![bagit, write(describe::BAG_INFO, info)?];
    for algorithm in Algorithm::ALL {
        tags.push(write(algorithm.payload_manifest(), &manifest::text(algorithm, payload))?);
    }
    let listed = tags.clone();
    for algorithm in Algorithm::ALL {
        tags.push(write(algorithm.tag_manifest(), &manifest::text(algorithm, &listed))?);
    }
    Ok(tags)
}
