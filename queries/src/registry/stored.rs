//! Where a registry comes from and where it is kept: a folder of files, and the table `registry` of a ledger.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use daybook_ledger::schema::RegistryBuilder;
use daybook_ledger::{Commit, CommitOutcome, Error as LedgerError, Instant, Ledger, Snapshot, Table, file};
use sha2::{Digest as _, Sha256};

use super::{File, Registry};
use crate::Error;

/// Lost races an import survives; imports are rare, so more is a sign of something else.
const ATTEMPTS_MAX: u32 = 10;

/// Number of an import into a ledger, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegistryVersion(pub i64);

impl fmt::Display for RegistryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Imported {
    /// It is a version of its own.
    New(RegistryVersion),
    /// The newest version has the same files; nothing was written.
    Unchanged(RegistryVersion),
}

impl Registry {
    /// Reads and checks the files in `folder`.
    ///
    /// # Errors
    /// [`Error::RegistryFolder`], [`Error::NoRegistry`], [`Error::Registry`] with every fault.
    pub fn read_folder(folder: &Path) -> Result<Self, Error> {
        let path = folder.display().to_string();
        let failed = |source| Error::RegistryFolder { path: path.clone(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A file with a misspelt name would silently count for nothing, so it is read and refused.
            if name.ends_with(".toml") && !name.starts_with('.') {
                let text = std::fs::read_to_string(entry.path());
                let path = format!("{}/{name}", path.trim_end_matches('/'));
                files.push(File { text: text.map_err(|source| Error::RegistryFolder { path, source })?, name });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        match files.is_empty() {
            true => Err(Error::NoRegistry { path }),
            false => Self::read(&format!("{}/", path.trim_end_matches('/')), files),
        }
    }

    /// The registry of `ledger`: `version`, or the newest. The shipped rules if it has none.
    ///
    /// # Errors
    /// [`Error::UnknownRegistryVersion`], the ledger's errors.
    pub async fn load(
        ledger: &Ledger,
        version: Option<RegistryVersion>,
    ) -> Result<(Self, Option<RegistryVersion>), Error> {
        let table = ledger.registry();
        let snapshot = match table.exists().await? {
            true => Some(table.load(None).await?),
            false => None,
        };
        Self::load_at(table, snapshot.as_ref(), version).await
    }

    /// As [`Registry::load`], of `table` at `snapshot`.
    pub(crate) async fn load_at(
        table: &Table,
        snapshot: Option<&Snapshot>,
        version: Option<RegistryVersion>,
    ) -> Result<(Self, Option<RegistryVersion>), Error> {
        let mut versions = match snapshot {
            Some(snapshot) => load_versions(table, snapshot).await?,
            None => BTreeMap::new(),
        };
        let last = versions.keys().next_back().copied();
        let Some(version) = version.or(last) else { return Ok((Self::builtin()?, None)) };
        let files = versions.remove(&version).ok_or(Error::UnknownRegistryVersion { version, last })?;
        Ok((Self::read(&format!("registry version {version}, "), files)?, Some(version)))
    }

    /// Stores the files as the next version of `ledger`'s registry, all in one commit. Earlier versions stay.
    ///
    /// # Errors
    /// The ledger's errors.
    pub async fn store(&self, ledger: &Ledger, imported_at: Instant) -> Result<Imported, Error> {
        let table = ledger.registry();
        table.create().await?;
        for attempt in 0..ATTEMPTS_MAX {
            // Read anew each time: another import may have taken the number.
            let mut snapshot = table.load(None).await?;
            let versions = load_versions(table, &snapshot).await?;
            let last = versions.last_key_value();
            if let Some((version, files)) = last
                && *files == self.files
            {
                return Ok(Imported::Unchanged(*version));
            }
            let version = RegistryVersion(last.map_or(0, |(version, _)| version.0) + 1);
            let commit = self.commit(table, version, imported_at, attempt).await?;
            if let CommitOutcome::Committed { .. } = table.try_commit(&mut snapshot, &commit).await? {
                return Ok(Imported::New(version));
            }
        }
        let version = table.load(None).await?.version();
        Err(LedgerError::RaceLost { table: table.spec().name, version, attempts: ATTEMPTS_MAX }.into())
    }

    /// The data files of one version, stored but not yet visible.
    async fn commit(
        &self,
        table: &Table,
        version: RegistryVersion,
        imported_at: Instant,
        attempt: u32,
    ) -> Result<Commit, Error> {
        let all: String = self.files.iter().map(|file| format!("{}\0{}\0", file.name, file.text)).collect();
        let digest = digest(&all);
        let batch_id = format!(
            "registry-{version}-{:016x}-{attempt}-{}",
            imported_at.micros(),
            digest.get(..8).unwrap_or_default()
        );
        let batch = self.record_batch(version, imported_at, &batch_id)?;
        let keep: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
        let mut files = Vec::new();
        for (index, encoded) in file::encode(table.spec(), &batch, &keep)?.iter().enumerate() {
            files.push(table.store_file(encoded, &batch_id, index).await?);
        }
        Ok(Commit { batch_id, files, positions: Vec::new(), counts: Vec::new() })
    }

    fn record_batch(
        &self,
        version: RegistryVersion,
        imported_at: Instant,
        batch_id: &str,
    ) -> Result<RecordBatch, Error> {
        let mut columns = RegistryBuilder::default();
        for file in &self.files {
            columns.event_date.append_value(imported_at.date().days());
            columns.batch_id.append_value(batch_id);
            columns.registry_version.append_value(version.0);
            columns.imported_at.append_value(imported_at.micros());
            columns.file.append_value(&file.name);
            columns.file_sha256.append_value(digest(&file.text));
            columns.text.append_value(&file.text);
        }
        Ok(columns.finish()?)
    }
}

fn digest(text: &str) -> String {
    file::hex(&Sha256::digest(text))
}

/// The files of every version, sorted by name.
async fn load_versions(table: &Table, snapshot: &Snapshot) -> Result<BTreeMap<RegistryVersion, Vec<File>>, Error> {
    let mut versions: BTreeMap<RegistryVersion, Vec<File>> = BTreeMap::new();
    for data_file in snapshot.files() {
        for batch in table.load_batches(&data_file).await? {
            read_rows(&batch, &mut versions)?;
        }
    }
    for files in versions.values_mut() {
        files.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(versions)
}

fn read_rows(batch: &RecordBatch, versions: &mut BTreeMap<RegistryVersion, Vec<File>>) -> Result<(), Error> {
    let broken = |found: String| Error::Internal { invariant: "a stored registry has its columns", found };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| broken(format!("{name} is missing")));
    let texts = |name: &str| cast(column(name)?, &DataType::Utf8).map_err(|error| broken(error.to_string()));
    let (names, bodies) = (texts("file")?, texts("text")?);
    let numbers = column("registry_version")?.as_primitive::<Int64Type>();
    for at in 0..batch.num_rows() {
        let text = |column: &arrow::array::ArrayRef| column.as_string::<i32>().value(at).to_owned();
        let file = File { name: text(&names), text: text(&bodies) };
        versions.entry(RegistryVersion(numbers.value(at))).or_default().push(file);
    }
    Ok(())
}
