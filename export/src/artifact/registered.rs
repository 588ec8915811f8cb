//! Artifacts as rows of `evidence` say them.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use daybook_ledger::{ArtifactDetails, Date, EvidenceKind, Ledger};
use serde::{Deserialize, Serialize};

use super::digest;
use crate::source::{Rows, Step};
use crate::totals::words;
use crate::{Error, Part};

/// A registered artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// With whom it was made.
    pub vendor: Option<String>,
    /// The model it is of, or for.
    pub model: Option<String>,
    /// The contract it belongs to.
    pub contract: Option<String>,
    /// The workload it belongs to.
    pub workload: Option<String>,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// What it is.
    #[serde(flatten)]
    pub details: ArtifactDetails,
    /// UTC day.
    pub registered_on: String,
    /// In words.
    pub note: Option<String>,
}

impl Artifact {
    /// What is not as it was registered; `None` if nothing is, or it is not on this machine.
    pub fn fault(&self) -> Option<String> {
        if self.is_elsewhere() {
            return None;
        }
        match digest(Path::new(&self.details.place)) {
            Ok((sha256, _)) if sha256 == self.sha256 => None,
            Ok((sha256, _)) => Some(format!("has the SHA-256 {sha256}, registered is {}", self.sha256)),
            Err(error) => Some(format!("cannot be read: {error}")),
        }
    }

    /// Whether it is kept where only a URL tells.
    pub fn is_elsewhere(&self) -> bool {
        self.details.place.contains("://")
    }
}

/// The newest registration of each artifact, by vendor, kind and name: one that comes later replaces it.
#[derive(Debug, Default)]
pub(crate) struct Registered(BTreeMap<[String; 3], (i64, Artifact)>);

impl Registered {
    /// Takes those among rows of `evidence`.
    pub(crate) fn add(&mut self, evidence: &RecordBatch) -> Result<(), Error> {
        let kinds = words(evidence, "kind")?;
        let is_artifact = |row: &usize| kinds.is_valid(*row) && kinds.value(*row) == EvidenceKind::Artifact.as_str();
        let rows: Vec<usize> = (0..evidence.num_rows()).filter(is_artifact).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let columns = ["artifact", "artifact_sha256", "details", "provider", "model", "contract", "workload", "note"];
        let columns = columns.map(|name| words(evidence, name));
        let at = |name: &str, row: usize| {
            let column = evidence.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
            column.is_valid(row).then(|| column.value(row))
        };
        let days = evidence.column_by_name("event_date").and_then(|days| days.as_primitive_opt::<Date32Type>());
        for row in rows {
            let text = |column: usize| -> Option<String> {
                let column = columns.get(column)?.as_ref().ok()?;
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let details = text(2).and_then(|details| ArtifactDetails::parse(&details).ok());
            // A ledger takes no artifact without them.
            let (Some(name), Some(sha256), Some(details)) = (text(0), text(1), details) else { continue };
            let day = days.filter(|days| days.is_valid(row)).map(|days| Date::from_days(days.value(row)));
            let artifact = Artifact {
                name,
                vendor: text(3),
                model: text(4),
                contract: text(5),
                workload: text(6),
                sha256,
                details,
                registered_on: day.map(|day| day.to_string()).unwrap_or_default(),
                note: text(7),
            };
            self.take(at("recorded_at", row).unwrap_or_default(), artifact);
        }
        Ok(())
    }

    fn take(&mut self, recorded_at: i64, artifact: Artifact) {
        let key = [artifact.vendor.clone().unwrap_or_default(), artifact.details.kind.clone(), artifact.name.clone()];
        match self.0.get(&key) {
            Some((known_at, _)) if *known_at > recorded_at => {}
            _ => drop(self.0.insert(key, (recorded_at, artifact))),
        }
    }

    /// By vendor, kind and name.
    pub(crate) fn into_artifacts(self) -> Vec<Artifact> {
        self.0.into_values().map(|(_, artifact)| artifact).collect()
    }
}

/// The artifacts a ledger knows, each as it was registered last.
///
/// # Errors
/// The ledger's.
pub async fn artifacts(ledger: &Ledger) -> Result<Vec<Artifact>, Error> {
    let (part, mut registered) = (Part::Evidence, Registered::default());
    if !part.table(ledger).exists().await? {
        return Ok(Vec::new());
    }
    for file in part.table(ledger).load(None).await?.files() {
        let bytes = part.table(ledger).load_whole(&file).await?;
        let mut rows = Rows::open(Step { part, file, is_look_ahead: false }, bytes)?;
        while let Some(batch) = rows.next()? {
            registered.add(&batch)?;
        }
    }
    Ok(registered.into_artifacts())
}
