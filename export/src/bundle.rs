//! Writes a bundle.
//!
//! The order of effects, and what a crash after each leaves:
//! 1. `<out>.partial` with `bagit.txt`: a leftover, known as one by that file; the next run removes it;
//! 2. the rows under `data/`, then what describes them, then the tag files, the manifests last: the same leftover;
//! 3. everything synced, then renamed to `<out>`: the whole bundle.

use std::path::PathBuf;

use bytes::Bytes;
use daybook_ledger::{Date, Instant, Ledger, TableVersion};
use serde_json::json;

use crate::describe::{self, Description};
use crate::folder::{BAGIT, DigestWriter, PartialFolder, Written};
use crate::format::{Lane, Shard, Target};
use crate::manifest::{self, Algorithm};
use crate::select::{DayEntries, Window};
use crate::source::{Plan, Rows, Step};
use crate::totals::Totals;
use crate::{Error, Format, Part, Progress};

/// What goes into a bundle, and where it goes.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder to make; it must not exist, or be empty.
    pub out: PathBuf,
    /// First instant of `started_at` that is in; `None`: the earliest entry.
    pub from: Option<Instant>,
    /// First instant that is no longer in; `None`: after the latest entry.
    pub to: Option<Instant>,
    /// Version of `usage` to read; `None`: the newest.
    pub as_of: Option<TableVersion>,
    /// At least one; order and repetition do not matter.
    pub formats: Vec<Format>,
    /// A data file that has reached this many bytes is followed by the next.
    pub shard_bytes: u64,
}

impl Request {
    /// Length of a data file unless asked otherwise: few files, and each fits a laptop's memory.
    pub const SHARD_BYTES: u64 = 1 << 30;

    /// Everything in the newest version of a ledger, in every format.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        let formats = Format::ALL.into();
        Self { out: out.into(), from: None, to: None, as_of: None, formats, shard_bytes: Self::SHARD_BYTES }
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
    /// Files in it, tag files included.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Rows by table.
    pub rows: Vec<(Part, u64)>,
    /// Versions read, by table.
    pub versions: Vec<(Part, TableVersion)>,
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
    let formats = request.checked_formats()?;
    let window = Window { from: request.from, to: request.to };
    let plan = Plan::load(ledger, request.as_of, &window).await?;
    let folder = PartialFolder::claim(&request.out, progress)?;
    let bagit = DigestWriter::write_whole(folder.path(), BAGIT, describe::BAGIT_TEXT.as_bytes())?;
    progress.start(plan.bytes());
    let copy = Copy::start(&folder, window, &formats, request.shard_bytes)?;
    let copy = copy_rows(ledger, copy, &plan.steps, progress).await?;
    let finish = move || finish(folder, &plan, window, formats, copy, bagit);
    let (files, rows, plan) = tokio::task::spawn_blocking(finish).await.map_err(Error::panicked)??;
    Ok(Summary {
        out: request.out.clone(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.bytes).sum(),
        rows,
        versions: plan,
    })
}

/// Reads the next file while the rows of the last one are written.
async fn copy_rows(
    ledger: &Ledger,
    mut copy: Copy,
    steps: &[Step],
    progress: &mut dyn Progress,
) -> Result<Copy, Error> {
    let load = async |step: &Step| step.part.table(ledger).load_whole(&step.file).await;
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
    tables: Vec<PartCopy>,
    day: Option<Date>,
    entries: DayEntries,
    without_body: u64,
}

#[derive(Debug)]
struct PartCopy {
    part: Part,
    totals: Totals,
    lanes: Vec<(Format, Lane)>,
}

impl Copy {
    fn start(folder: &PartialFolder, window: Window, formats: &[Format], shard_bytes: u64) -> Result<Self, Error> {
        let mut tables = Vec::new();
        for part in Part::ALL {
            folder.make_dir(&format!("data/{}", part.name()))?;
            let lane = |format: &Format| {
                let target = Target { root: folder.path().into(), part, format: *format, shard_bytes };
                (*format, Lane::start(target))
            };
            tables.push(PartCopy { part, totals: Totals::new(part), lanes: formats.iter().map(lane).collect() });
        }
        Ok(Self { window, tables, day: None, entries: DayEntries::default(), without_body: 0 })
    }

    fn take_file(mut self, step: Step, bytes: Bytes) -> Result<Self, Error> {
        let (part, day) = (step.part, step.file.date);
        if self.day.replace(day) != Some(day) {
            self.end_day();
        }
        let mut rows = Rows::open(step, bytes)?;
        while let Some(batch) = rows.next()? {
            let batch = match part {
                Part::Usage => {
                    let batch = self.window.select(&batch, day, &["started_at"])?;
                    self.entries.add(&batch)?;
                    batch
                }
                Part::Corrections => self.window.select(&batch, day, &["started_at"])?,
                Part::Content => self.entries.select(&batch)?,
                Part::Quarantine => self.window.select(&batch, day, &["kafka_timestamp", "quarantined_at"])?,
            };
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

    fn end_day(&mut self) {
        self.without_body += std::mem::take(&mut self.entries).without_body();
    }
}

/// What is counted when a bundle is whole.
type Finished = (Vec<Written>, Vec<(Part, u64)>, Vec<(Part, TableVersion)>);

/// Ends every file, describes them, seals the bag and gives it its name.
fn finish(
    folder: PartialFolder,
    plan: &Plan,
    window: Window,
    formats: Vec<Format>,
    mut copy: Copy,
    bagit: Written,
) -> Result<Finished, Error> {
    copy.end_day();
    let mut shards: Vec<(Part, Format, Shard)> = Vec::new();
    for table in &mut copy.tables {
        for (format, lane) in &mut table.lanes {
            shards.extend(lane.finish()?.into_iter().map(|shard| (table.part, *format, shard)));
        }
    }
    let totals: Vec<_> = copy.tables.iter().map(|table| (table.part, &table.totals)).collect();
    let rows: Vec<_> = totals.iter().map(|(part, totals)| (*part, totals.rows())).collect();
    let summary = {
        let mut summary = describe::summary(plan, window, &formats);
        for (part, totals) in &totals {
            let mut totals = totals.to_json();
            if *part == Part::Content
                && let Some(totals) = totals.as_object_mut()
            {
                totals.insert("entries_without_body".into(), json!(copy.without_body));
            }
            summary.insert(part.name().into(), totals);
        }
        summary
    };
    let description = Description { plan, window, shards: &shards, rows: &rows };
    let mut payload: Vec<Written> = shards.iter().map(|(_, _, shard)| shard.file.clone()).collect();
    for (name, text) in [
        (describe::SUMMARY, describe::pretty(&summary.into())),
        (describe::SCHEMA, describe::schema()),
        (describe::README, description.readme(&formats)),
        (describe::DESCRIPTOR, describe::pretty(&description.data_package())),
    ] {
        payload.push(DigestWriter::write_whole(folder.path(), name, text.as_bytes())?);
    }
    let tags = seal(&folder, &description.bag_info(&payload), &payload, bagit)?;
    folder.publish()?;
    payload.extend(tags);
    let versions = plan.pins.iter().map(|pin| (pin.part, pin.version)).collect();
    Ok((payload, rows, versions))
}

/// Writes `bag-info.txt` and the manifests, last of all; answers the tag files.
fn seal(folder: &PartialFolder, info: &str, payload: &[Written], bagit: Written) -> Result<Vec<Written>, Error> {
    let write = |name: &str, text: &str| DigestWriter::write_whole(folder.path(), name, text.as_bytes());
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
