//! Writes a bundle.
//!
//! The order of effects in a folder, and what a crash after each leaves; `writer` has those of the other forms:
//! 1. `<out>.partial` with `bagit.txt`: a leftover, known as one by that file; the next run takes it over;
//! 2. the rows under `data/`, then artifacts, a line in the journal for each file that is whole: the next run goes on after those;
//! 3. what describes them, then the tag files, the manifests last: the same leftover;
//! 4. everything synced, then renamed to `<out>`: the whole bundle.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use daybook_ledger::price::Book;
use daybook_ledger::{Date, Instant, Ledger, TableVersion};
use serde_json::{Map, Value, json};

use crate::artifact::{self, Index, Registered};
use crate::describe::{self, Description};
use crate::digest::{DigestWriter, Written};
use crate::format::{Lane, Shard, Target};
use crate::manifest::{self, Algorithm};
use crate::migrate::{self, Bodies, Losses, Migrated, Migration};
use crate::pace::Pace;
use crate::rates::{self, PriceIds};
use crate::scope::Providers;
use crate::select::{DayEntries, Window};
use crate::series::Series;
use crate::sign::{self, SIGNED, SigningKey};
use crate::source::{Plan, Rows, Step};
use crate::totals::{REPEATED_ROWS, Totals};
use crate::writer::{self, BAGIT, BundleWriter, Finished, Form, List, Making};
use crate::{Encryption, Error, Format, Part, Progress, Scope};

/// What goes into a bundle, and where it goes.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder to make, which must not exist, or be empty; the file to make, `….tar.zst` or `….tar.zst.age`; or `s3://bucket/prefix`.
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
    /// Whether texts in CSV that a spreadsheet would take for a formula have a `'` before them.
    pub is_formula_safe: bool,
    /// Shapes of other vendors that what was said is also written in; order and repetition do not matter.
    pub migrations: Vec<Migration>,
    /// Whether registered artifacts are carried; else the bundle says where they are.
    pub with_artifacts: bool,
    /// A data file that has reached this many bytes is followed by the next.
    pub shard_bytes: u64,
    /// At most so many bytes a second are read from the ledger, and as many written to the bundle.
    pub rate_limit: Option<NonZeroU64>,
    /// Keys that sign it.
    pub signed_by: Vec<SigningKey>,
    /// Who can open it, if it is `….tar.zst.age`.
    pub encryption: Option<Encryption>,
}

impl Request {
    /// Everything in the newest version of a ledger, in every format.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        let (out, formats) = (out.into(), Format::ALL.into());
        Self {
            shard_bytes: Form::of(&out).unwrap_or(Form::Directory).shard_bytes(),
            out,
            from: None,
            to: None,
            scope: Scope::default(),
            as_of: None,
            formats,
            is_formula_safe: false,
            migrations: Vec::new(),
            with_artifacts: false,
            rate_limit: None,
            signed_by: Vec::new(),
            encryption: None,
        }
    }

    /// Its formats, if it can be met.
    fn checked_formats(&self) -> Result<Vec<Format>, Error> {
        let form = Form::of(&self.out)?;
        match (form, &self.encryption) {
            (Form::Encrypted, None) => return Err(Error::WithoutRecipient { out: self.out.clone() }),
            (Form::Directory | Form::Tar | Form::Objects, Some(_)) => {
                return Err(Error::NotEncryptable { out: self.out.clone() });
            }
            _ => {}
        }
        let (asked, max) = (self.shard_bytes, form.shard_bytes_max());
        if asked > max {
            return Err(Error::ShardTooLong { asked, max });
        }
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
    /// What was written in the shapes of other vendors.
    pub migrations: Vec<MigrationSummary>,
    /// Registered artifacts that are in it, and those it says the place of.
    pub artifacts: (usize, usize),
}

/// What one migration wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationSummary {
    /// Where to.
    pub migration: Migration,
    /// Rows of `content` and `content_partial` in the bundle.
    pub rows_in: u64,
    /// Those that are in the files.
    pub rows_out: u64,
    /// Rows left out, by the reason's word.
    pub dropped: Vec<(String, u64)>,
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
/// [`Error::OutTaken`], [`Error::OutBusy`], [`Error::EmptyWindow`], [`Error::NoFormat`], [`Error::UnknownForm`],
/// [`Error::ShardTooLong`], [`Error::WithoutRecipient`], [`Error::NotEncryptable`], [`Error::TwoModels`], [`Error::ArtifactLost`], [`Error::Folder`], and the ledger's: `DamagedFile` for a source file that is not what its commit says.
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
    writer::refuse_if_taken(&request.out).await?;
    // What is only counted takes no time of a disk.
    order.run(ledger, Arc::new(List), Finished::default(), Pace::default(), progress).await
}

/// A request with everything that decides its bytes.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) request: Request,
    formats: Vec<Format>,
    window: Window,
    pub(crate) plan: Plan,
    /// What rates there were; none if no prices go in.
    books: Vec<Book>,
}

impl Order {
    pub(crate) async fn load(ledger: &Ledger, request: &Request) -> Result<Self, Error> {
        let formats = request.checked_formats()?;
        let window = Window { from: request.from, to: request.to };
        let migrations = Migration::each_once(&request.migrations)?;
        let plan = Plan::load(ledger, &window, request).await?;
        let prices = plan.pins.iter().find(|pin| pin.part == Part::Prices);
        let books = match request.scope.exemption(Part::Prices) {
            None => rates::load(ledger, prices.map(|pin| pin.version)).await?,
            Some(_) => Vec::new(),
        };
        let is_formula_safe = request.is_formula_safe && formats.contains(&Format::Csv);
        let request = Request { migrations, is_formula_safe, ..request.clone() };
        Ok(Self { request, formats, window, plan, books })
    }

    pub(crate) async fn write(self, ledger: &Ledger, progress: &mut dyn Progress) -> Result<Summary, Error> {
        let (bundle, finished) = writer::claim(&self.request.out, &self.making(), progress).await?;
        let pace = Pace::new(self.request.rate_limit);
        self.run(ledger, bundle, finished, pace, progress).await
    }

    fn making(&self) -> Making {
        let mut identity = self.summary();
        identity.insert("shard_bytes".into(), self.request.shard_bytes.into());
        let made_at = self.plan.pins.iter().find(|pin| pin.part == Part::Usage).map(|pin| pin.committed_at);
        let made_at = made_at.unwrap_or(Instant::from_micros(0));
        Making { identity: Value::from(identity).to_string(), made_at, encryption: self.request.encryption.clone() }
    }

    /// `summary.json` without what only reading tells.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let mut summary = describe::summary(&self.plan, self.window, &self.request, &self.formats);
        let migrations: Vec<_> = self.request.migrations.iter().map(Migration::to_json).collect();
        summary.insert("migrations".into(), migrations.into());
        summary
    }

    async fn run(
        self,
        ledger: &Ledger,
        bundle: Arc<dyn BundleWriter>,
        finished: Finished,
        written: Pace,
        progress: &mut dyn Progress,
    ) -> Result<Summary, Error> {
        progress.start(self.plan.bytes());
        let copy = RowCopy::start(&bundle, &self, finished, &written);
        let pace = Pace::new(self.request.rate_limit);
        let copy = copy_rows(ledger, copy, &self.plan.steps, &pace, progress).await?;
        let finish = move || finish(bundle.as_ref(), &self, copy, &written);
        tokio::task::spawn_blocking(finish).await.map_err(Error::panicked)?
    }
}

/// Reads the next file while the rows of the last one are written.
async fn copy_rows(
    ledger: &Ledger,
    mut copy: RowCopy,
    steps: &[Step],
    pace: &Pace,
    progress: &mut dyn Progress,
) -> Result<RowCopy, Error> {
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
struct RowCopy {
    window: Window,
    scope: Scope,
    tables: Vec<PartCopy>,
    registered: Registered,
    /// Artifacts that an interrupted run copied.
    copied: BTreeMap<String, Written>,
    migrations: Vec<(Migration, Lane<Bodies, Losses>)>,
    day: Option<Date>,
    entries: DayEntries,
    providers: Providers,
    price_ids: PriceIds,
    without_body: u64,
    repeated: u64,
}

#[derive(Debug)]
struct PartCopy {
    part: Part,
    totals: Totals,
    lanes: Vec<(Format, Lane)>,
}

impl RowCopy {
    fn start(bundle: &Arc<dyn BundleWriter>, order: &Order, mut finished: Finished, pace: &Pace) -> Self {
        let mut target = |series: Series| {
            let target = Target {
                bundle: Arc::clone(bundle),
                series,
                shard_bytes: order.request.shard_bytes,
                rows_max: u64::MAX,
                bytes_max: u64::MAX,
                is_formula_safe: order.request.is_formula_safe,
                pace: pace.clone(),
            };
            (target, finished.shards.remove(&series).unwrap_or_default())
        };
        let mut tables = Vec::new();
        for part in Part::ALL {
            let lane = |format: &Format| {
                let (target, finished) = target(Series::Table(part, *format));
                (*format, Lane::of_table(part, *format, target, finished))
            };
            let lanes = order.formats.iter().map(lane).collect();
            tables.push(PartCopy { part, totals: Totals::new(part), lanes });
        }
        let mut migrations = Vec::new();
        for migration in &order.request.migrations {
            let (target, finished) = target(Series::Migration(migration.destination));
            migrations.push((migration.clone(), migration.lane(target, finished)));
        }
        Self {
            window: order.window,
            scope: order.request.scope.clone(),
            tables,
            registered: Registered::default(),
            copied: finished.artifacts,
            migrations,
            day: None,
            entries: DayEntries::default(),
            providers: Providers::default(),
            price_ids: PriceIds::default(),
            without_body: 0,
            repeated: 0,
        }
    }

    fn take_file(mut self, step: Step, bytes: Bytes) -> Result<Self, Error> {
        let (part, day, is_look_ahead) = (step.part, step.file.date, step.is_look_ahead);
        if self.day.replace(day) != Some(day) {
            self.end_day();
        }
        let mut rows = Rows::open(step, bytes)?;
        while let Some(batch) = rows.next()? {
            if is_look_ahead {
                self.look_ahead(part, &batch)?;
                continue;
            }
            let batch = self.select(part, day, &batch)?;
            if batch.num_rows() == 0 {
                continue;
            }
            for table in self.tables.iter_mut().filter(|table| table.part == part) {
                table.totals.add(&batch)?;
                table.lanes.iter_mut().try_for_each(|(_, lane)| lane.send(batch.clone()))?;
            }
            self.price_ids.add(part, &batch)?;
            if part == Part::Evidence {
                self.registered.add(&batch)?;
            }
            if part.is_of_bodies() && !self.migrations.is_empty() {
                let bodies = Bodies { offered: self.entries.offer(&batch, part)?, batch };
                self.migrations.iter_mut().try_for_each(|(_, lane)| lane.send(bodies.clone()))?;
            }
        }
        Ok(self)
    }

    fn look_ahead(&mut self, part: Part, batch: &RecordBatch) -> Result<(), Error> {
        if part == Part::ContentPartial {
            return self.entries.add_partial(batch);
        }
        if !self.migrations.is_empty() {
            self.entries.add_ends(batch)?;
        }
        self.entries.add_corrected(batch, &self.scope)
    }

    /// The rows of a batch, all of one day, that go in.
    fn select(&mut self, part: Part, day: Date, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let is_scoped = !self.scope.is_everything();
        match part {
            Part::Usage => {
                let mut batch = self.window.select(batch, day, &["started_at"])?;
                if is_scoped {
                    batch = self.entries.in_scope(&batch, &self.scope)?;
                    self.providers.add(&batch)?;
                }
                self.entries.add(&batch)?;
                if !self.migrations.is_empty() {
                    self.entries.add_turns(&batch)?;
                }
                Ok(batch)
            }
            Part::Content | Part::ContentPartial => self.entries.select(batch),
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
        let mut entries = std::mem::take(&mut self.entries);
        self.repeated += entries.repeated();
        self.without_body += entries.without_body();
    }
}

/// Ends every file, describes them, writes the manifests and gives the bundle its name.
fn finish(bundle: &dyn BundleWriter, order: &Order, mut copy: RowCopy, pace: &Pace) -> Result<Summary, Error> {
    let Order { request, formats, window, plan, books } = order;
    copy.end_day();
    let index = Index::new(std::mem::take(&mut copy.registered).into_artifacts(), request.with_artifacts);
    let has_carried = !index.carried().is_empty();
    let mut shards: Vec<(Part, Format, Shard)> = Vec::new();
    for table in &mut copy.tables {
        for (format, lane) in &mut table.lanes {
            shards.extend(lane.finish(has_carried)?.0.into_iter().map(|shard| (table.part, *format, shard)));
        }
    }
    let mut migrated = Vec::new();
    for (migration, lane) in &mut copy.migrations {
        let (shards, losses) = lane.finish(has_carried)?;
        migrated.push((migration.clone(), Migrated { shards, losses }));
    }
    // Right after the rows: all that comes before them in one file is noted, and what is written after them is short.
    let artifacts = artifact::carry(bundle, &index, &copy.copied, Form::of(&request.out)?.artifact_bytes_max(), pace)?;
    let rows: Vec<_> = copy.tables.iter().map(|table| (table.part, table.totals.rows())).collect();
    let mut summary = order.summary();
    for table in &copy.tables {
        let mut totals = table.totals.to_json();
        let also = match table.part {
            Part::Content => Some(("entries_without_body", copy.without_body)),
            Part::Usage if copy.repeated > 0 => Some((REPEATED_ROWS, copy.repeated)),
            _ => None,
        };
        if let (Some((name, count)), Some(totals)) = (also, totals.as_object_mut()) {
            totals.insert(name.into(), json!(count));
        }
        summary.insert(table.part.name().into(), totals);
    }
    let rates = match request.scope.exemption(Part::Prices) {
        None => Some(copy.price_ids.write(bundle, books)?),
        Some(_) => None,
    };
    let description = Description {
        plan,
        window: *window,
        scope: &request.scope,
        shards: &shards,
        migrated: &migrated,
        rates: rates.as_ref(),
        rows: &rows,
    };
    let data: Vec<&Shard> = shards
        .iter()
        .map(|(_, _, shard)| shard)
        .chain(migrated.iter().flat_map(|(_, migrated)| &migrated.shards))
        .chain(&rates)
        .collect();
    let data_rows = data.iter().map(|shard| (shard.file.path.clone(), shard.rows)).collect();
    let mut payload: Vec<Written> = data.iter().map(|shard| shard.file.clone()).collect();
    for (migration, migrated) in &migrated {
        payload.extend(account_for(bundle, migration, migrated)?);
    }
    payload.extend(artifacts);
    if !index.artifacts.is_empty() {
        payload.push(DigestWriter::write_whole(bundle, artifact::INDEX, index.text()?.as_bytes())?);
    }
    let artifacts_carried = index.artifacts.iter().filter(|indexed| indexed.path.is_some()).count();
    for (name, text) in [
        (describe::SUMMARY, describe::pretty(&summary.into())),
        (describe::SCHEMA, describe::schema()),
        (describe::README, description.readme(formats, request.is_formula_safe)),
        (describe::DESCRIPTOR, describe::pretty(&description.data_package())),
        (describe::CROISSANT, describe::pretty(&description.croissant())),
    ] {
        payload.push(DigestWriter::write_whole(bundle, name, text.as_bytes())?);
    }
    let mut tags = Vec::new();
    if formats.contains(&Format::Parquet) {
        for (name, text) in describe::PROGRAMS {
            tags.push(DigestWriter::write_whole(bundle, name, text.as_bytes())?);
        }
    }
    let tags = write_manifests(bundle, tags, &description.bag_info(&payload), &payload, &request.signed_by)?;
    bundle.publish()?;
    let sha256 = tags.iter().find(|tag| tag.path == SIGNED);
    let sha256 = sha256.map(|tag| tag.sha256.clone()).unwrap_or_default();
    payload.extend(tags);
    Ok(Summary {
        out: request.out.clone(),
        files: payload.into_iter().map(|file| listed(file, &data_rows)).collect(),
        rows,
        migrations: migrated.into_iter().map(|(migration, migrated)| migrated.summary(migration)).collect(),
        versions: plan.pins.iter().map(|pin| (pin.part, pin.version)).collect(),
        sha256,
        artifacts: (artifacts_carried, index.artifacts.len() - artifacts_carried),
    })
}

fn listed(file: Written, data_rows: &BTreeMap<String, u64>) -> File {
    let rows = data_rows.get(&file.path).copied();
    File { path: file.path, bytes: file.bytes, rows }
}

/// The account of a migration, for programs and for people.
fn account_for(bundle: &dyn BundleWriter, migration: &Migration, migrated: &Migrated) -> Result<[Written; 2], Error> {
    let folder = Series::Migration(migration.destination).folder();
    let write =
        |name: &str, text: &str| DigestWriter::write_whole(bundle, &format!("{folder}/{name}"), text.as_bytes());
    let account = describe::pretty(&migration.account(&migrated.losses));
    Ok([write(migrate::ACCOUNT, &account)?, write(migrate::README, &migration.readme(&migrated.losses))?])
}

/// Writes `bag-info.txt`, the manifests and what signs them, last of all; answers all tag files, those before it first.
fn write_manifests(
    bundle: &dyn BundleWriter,
    mut tags: Vec<Written>,
    info: &str,
    payload: &[Written],
    keys: &[SigningKey],
) -> Result<Vec<Written>, Error> {
    let write = |name: &str, text: &str| DigestWriter::write_whole(bundle, name, text.as_bytes());
    // It is there since the bundle was begun.
    let bagit = DigestWriter::write_whole(&List, BAGIT, describe::BAGIT_TEXT.as_bytes())?;
    tags.extend([bagit, write(describe::BAG_INFO, info)?]);
    for algorithm in Algorithm::ALL {
        tags.push(write(algorithm.payload_manifest(), &manifest::text(algorithm, payload))?);
    }
    let listed = tags.clone();
    let signed = manifest::text(Algorithm::Sha256, &listed);
    for algorithm in Algorithm::ALL {
        tags.push(write(algorithm.tag_manifest(), &manifest::text(algorithm, &listed))?);
    }
    for (name, signature) in sign::sign(keys, signed.as_bytes())? {
        tags.push(write(&name, &signature)?);
    }
    Ok(tags)
}
