//! What was done beside the calls and is to be shown later: tests of an alternative, exports, audits, erasures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::array::RecordBatch;

use crate::identity::Fields;
use crate::schema::EvidenceBuilder;
use crate::words::words;
use crate::{Commit, CommitOutcome, Date, EntryId, Error, Instant, Ledger, Snapshot, Table, Usd, file};

mod artifact;
mod read;

pub use self::artifact::{ArtifactDetails, ArtifactKind};

/// Lost races a recording survives; recordings are rare, so more is a sign of something else.
const ATTEMPTS_MAX: u32 = 10;

words! {
    /// What was done.
    EvidenceKind {
        /// A workload's cases were run on another provider or model.
        PortabilityTest = "portability_test",
        /// Data left in a bundle.
        Export = "export",
        /// An export was made, checked and read back: the way out was walked.
        Rehearsal = "rehearsal",
        /// Someone looked and says what was found.
        Audit = "audit",
        /// Content was erased.
        Erasure = "erasure",
        /// A file made with a vendor is registered: training data, weights, vectors, prompts.
        Artifact = "artifact",
    }
}

/// What a harness says of a run, exact, and the best it could have said if it states that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// The score; [`Usd`] is merely the decimal type.
    pub value: Usd,
    /// The best value there is.
    pub scale: Option<Usd>,
}

/// One thing done. `None`: not stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What its recorder calls it; recorded twice, it is one row. Without a name, all else together is its identity.
    pub id: Option<String>,
    /// What was done.
    pub kind: EvidenceKind,
    /// The UTC day it was done.
    pub date: Date,
    /// The workload it is about.
    pub workload: Option<String>,
    /// The contract it is about.
    pub contract: Option<String>,
    /// Where it ran, or whose calls it is about.
    pub provider: Option<String>,
    /// The model that ran.
    pub model: Option<String>,
    /// What a test was run on.
    pub dataset: Option<String>,
    /// What ran it, with its version.
    pub harness: Option<String>,
    /// Cases run.
    pub runs: Option<i64>,
    /// Cases passed.
    pub passed: Option<i64>,
    /// Scores by name.
    pub scores: BTreeMap<String, Score>,
    /// Name of what is kept as proof.
    pub artifact: Option<String>,
    /// Its SHA-256, lower-case hexadecimal.
    pub artifact_sha256: Option<String>,
    /// In words.
    pub note: Option<String>,
    /// Who says so.
    pub recorded_by: Option<String>,
    /// What no field has (JSON text).
    pub details: Option<String>,
}

/// What a recording added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Rows added.
    pub added: usize,
    /// Facts given that the ledger had, or that were given twice.
    pub already: usize,
}

impl Score {
    /// Reads `0.93` or `0.93/1`.
    ///
    /// # Errors
    /// Why it is no score.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (value, scale) = match text.split_once('/') {
            Some((value, scale)) => (value, Some(scale)),
            None => (text, None),
        };
        let number = |text: &str| Usd::parse(text).map_err(|_| format!("`{text}` is not a decimal number"));
        let score = Self { value: number(value)?, scale: scale.map(number).transpose()? };
        match score.scale {
            Some(scale) if scale <= Usd::ZERO => Err(format!("`{text}`: the best a score can be is more than 0")),
            Some(scale) if score.value > scale => Err(format!("`{text}` is better than the best it can be")),
            _ => Ok(score),
        }
    }
}

impl Evidence {
    /// Something done of which only kind and day are known yet.
    pub const fn new(kind: EvidenceKind, date: Date) -> Self {
        Self {
            id: None,
            kind,
            date,
            workload: None,
            contract: None,
            provider: None,
            model: None,
            dataset: None,
            harness: None,
            runs: None,
            passed: None,
            scores: BTreeMap::new(),
            artifact: None,
            artifact_sha256: None,
            note: None,
            recorded_by: None,
            details: None,
        }
    }

    /// Identity of the row.
    pub fn entry_id(&self) -> EntryId {
        let mut hash = Fields::default();
        hash.text(Some(self.kind.as_str()));
        hash.text(self.id.as_deref());
        if self.id.is_none() {
            hash.number(Some(self.date.days().into()));
            self.texts().into_iter().for_each(|text| hash.text(text));
            hash.number(self.runs.map(i128::from));
            hash.number(self.passed.map(i128::from));
            for (name, score) in &self.scores {
                hash.text(Some(name));
                hash.number(Some(score.value.pico()));
                hash.number(score.scale.map(Usd::pico));
            }
        }
        EntryId::derive("evidence", &hash.finish())
    }

    fn texts(&self) -> [Option<&str>; 11] {
        [
            &self.workload,
            &self.contract,
            &self.provider,
            &self.model,
            &self.dataset,
            &self.harness,
            &self.artifact,
            &self.artifact_sha256,
            &self.note,
            &self.recorded_by,
            &self.details,
        ]
        .map(Option::as_deref)
    }

    /// Why it would prove nothing, recorded at `recorded_at`.
    fn fault(&self, recorded_at: Instant) -> Option<String> {
        let needed = [("workload", &self.workload), ("provider", &self.provider), ("model", &self.model)];
        if let Some((name, _)) = needed.iter().find(|(_, value)| value.is_none())
            && self.kind == EvidenceKind::PortabilityTest
        {
            return Some(format!("a portability_test needs a {name}"));
        }
        if self.kind == EvidenceKind::Artifact
            && let Some(reason) = artifact::fault(self)
        {
            return Some(reason);
        }
        if self.kind == EvidenceKind::Audit && self.note.is_none() && self.artifact.is_none() {
            return Some("an audit needs a note or an artifact: what was found".into());
        }
        // A day ahead is one of another time zone.
        if self.date.days() > recorded_at.date().days().saturating_add(1) {
            return Some(format!("{} is yet to come", self.date));
        }
        match (self.passed, self.runs) {
            (_, Some(runs)) if runs < 1 => return Some(format!("{runs} runs are none")),
            (Some(passed), _) if passed < 0 => return Some(format!("{passed} cases cannot have passed")),
            (Some(_), None) => return Some("`passed` needs `runs`: passed of how many?".into()),
            (Some(passed), Some(runs)) if passed > runs => return Some(format!("{passed} passed of {runs} runs")),
            _ => {}
        }
        let digest = self.artifact_sha256.as_deref();
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digest.filter(|text| !is_digest(text)).map(|text| format!("`{text}` is not 64 lower-case hexadecimal digits"))
    }
}

impl EvidenceBuilder {
    fn push(&mut self, fact: &Evidence, batch_id: &str, recorded_at: Instant) {
        self.entry_id.append_value(fact.entry_id().0);
        self.event_date.append_value(fact.date.days());
        self.batch_id.append_value(batch_id);
        self.recorded_at.append_value(recorded_at.micros());
        self.kind.append_value(fact.kind.as_str());
        self.workload.append_option(fact.workload.as_deref());
        self.contract.append_option(fact.contract.as_deref());
        self.provider.append_option(fact.provider.as_deref());
        self.model.append_option(fact.model.as_deref());
        self.dataset.append_option(fact.dataset.as_deref());
        self.harness.append_option(fact.harness.as_deref());
        self.runs.append_option(fact.runs);
        self.passed.append_option(fact.passed);
        for (name, score) in &fact.scores {
            self.scores.keys().append_value(name);
            self.scores.values().append_value(score.value.pico());
            if let Some(scale) = score.scale {
                self.score_scales.keys().append_value(name);
                self.score_scales.values().append_value(scale.pico());
            }
        }
        crate::row::close(self.scores.append(true));
        crate::row::close(self.score_scales.append(true));
        self.artifact.append_option(fact.artifact.as_deref());
        self.artifact_sha256.append_option(fact.artifact_sha256.as_deref());
        self.note.append_option(fact.note.as_deref());
        self.recorded_by.append_option(fact.recorded_by.as_deref());
        self.details.append_option(fact.details.as_deref());
    }
}

impl Ledger {
    /// Adds `facts` to `evidence`, those it has not yet: all in one commit, or none.
    ///
    /// # Errors
    /// [`Error::NotEvidence`] for the first that proves nothing, nothing is added then; the store's errors.
    pub async fn record(&self, facts: &[Evidence], recorded_at: Instant) -> Result<Recorded, Error> {
        for (number, fact) in (1..).zip(facts) {
            if let Some(reason) = fact.fault(recorded_at) {
                let place = if facts.len() == 1 { "the evidence given".into() } else { format!("fact {number}") };
                return Err(Error::NotEvidence { place, reason });
            }
        }
        let table = self.evidence();
        table.create().await?;
        for attempt in 0..ATTEMPTS_MAX {
            // Read anew each time: whoever won the race may have recorded the same.
            let mut snapshot = table.load(None).await?;
            let mut known = known_ids(table, &snapshot).await?;
            let new: Vec<_> = facts.iter().filter(|fact| known.insert(fact.entry_id())).collect();
            let recorded = Recorded { added: new.len(), already: facts.len() - new.len() };
            if new.is_empty() {
                return Ok(recorded);
            }
            let commit = store(table, &new, recorded_at, attempt).await?;
            if let CommitOutcome::Committed { .. } = table.try_commit(&mut snapshot, &commit).await? {
                return Ok(recorded);
            }
        }
        let version = table.load(None).await?.version();
        Err(Error::RaceLost { table: table.spec().name, version, attempts: ATTEMPTS_MAX })
    }
}

async fn known_ids(table: &Table, snapshot: &Snapshot) -> Result<BTreeSet<EntryId>, Error> {
    let mut ids = BTreeSet::new();
    for data_file in snapshot.files() {
        ids.extend(table.load_entry_ids(&data_file).await?);
    }
    Ok(ids)
}

/// The data files of one recording, stored but not yet visible.
async fn store(table: &Table, facts: &[&Evidence], recorded_at: Instant, attempt: u32) -> Result<Commit, Error> {
    let mut hash = Fields::default();
    facts.iter().for_each(|fact| hash.bytes(&fact.entry_id().0));
    let digest = file::hex(&hash.finish());
    let batch_id = format!("evidence-{:016x}-{attempt}-{}", recorded_at.micros(), digest.get(..8).unwrap_or_default());
    let batch = record_batch(facts, &batch_id, recorded_at)?;
    let keep: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
    let mut files = Vec::new();
    for (index, encoded) in file::encode(table.spec(), &batch, &keep)?.iter().enumerate() {
        files.push(table.store_file(encoded, &batch_id, index).await?);
    }
    Ok(Commit { batch_id, files, positions: Vec::new(), counts: Vec::new() })
}

fn record_batch(facts: &[&Evidence], batch_id: &str, recorded_at: Instant) -> Result<RecordBatch, Error> {
    let mut rows = EvidenceBuilder::default();
    facts.iter().for_each(|fact| rows.push(fact, batch_id, recorded_at));
    rows.finish()
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} recorded", self.added)?;
        match self.already {
            0 => Ok(()),
            already => write!(f, ", {already} known already"),
        }
    }
}

#[cfg(test)]
mod tests;
