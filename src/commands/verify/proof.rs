//! Proofs: that an entry is in a log, and that a log only grew.

use std::io::Write;
use std::path::Path;

use daybook_ledger::Ledger;
use daybook_ledger::seal::{Checkpoint, Log, Proof, VerifierKey};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Form};

/// What came of checking a proof.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Whether all of it holds.
    pub(super) holds: bool,
    /// What does not.
    differences: Vec<String>,
    /// What was proven.
    claim: String,
    /// The log's name.
    origin: String,
    /// Leaves of the log whose checkpoint was used.
    size: u64,
    /// The keys signatures were checked with; empty if they were not.
    keys: Vec<String>,
    /// The row that was proven, as it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<serde_json::Value>,
}

impl Outcome {
    pub(super) fn print(&self, format: Form, out: &mut dyn Write) -> std::io::Result<()> {
        if matches!(format, Form::Json) {
            return output::json(self, out);
        }
        for difference in &self.differences {
            writeln!(out, "{difference}")?;
        }
        if self.keys.is_empty() {
            writeln!(out, "note: no signature was checked; give the verifier key with --key")?;
        }
        if let Some(row) = &self.row {
            writeln!(out, "{row}")?;
        }
        match (self.holds, self.keys.is_empty()) {
            (false, _) => writeln!(out, "not proven: {}", self.claim),
            (true, false) => writeln!(out, "proven: {}", self.claim),
            // Anyone can write a log in which it is.
            (true, true) => writeln!(out, "consistent, and not proven by a signature: {}", self.claim),
        }
    }
}

/// Checks a proof of `daybook prove` with nothing but the proof.
pub(super) fn check(path: &Path, keys: &[VerifierKey]) -> Result<Outcome, Failure> {
    let proof = Proof::parse(&path.display().to_string(), &read(path)?)?;
    let mut differences = Vec::new();
    if !proof.is_included() {
        differences.push(format!("{}: the row is not in the log that the checkpoint is of", path.display()));
    }
    check_signature(&proof.checkpoint, keys, path, &mut differences);
    let (head, row) = (&proof.checkpoint.head, serde_json::from_slice::<serde_json::Value>(&proof.opening.row).ok());
    let entry = row.as_ref().and_then(|row| row.get("entry_id")?.as_str()).unwrap_or("without id");
    let claim = format!(
        "entry {entry} of {} is leaf {} of `{}`, which has {} leaves",
        proof.opening.table, proof.index, head.origin, head.size
    );
    Ok(outcome(claim, &proof.checkpoint, differences, keys, row))
}

/// Checks that the log of `ledger` begins with that of the checkpoint in `old`.
pub(super) async fn check_growth(old: &Path, ledger: &Ledger, keys: &[VerifierKey]) -> Result<Outcome, Failure> {
    let place = old.display().to_string();
    let old_checkpoint = Checkpoint::parse(&place, read(old)?.as_bytes())?;
    let log = Log::of(ledger);
    let mut differences = Vec::new();
    check_signature(&old_checkpoint, keys, old, &mut differences);
    let before = &old_checkpoint.head;
    let Some(newest) = log.load_newest().await? else {
        differences.push(format!("log: it is gone, of which {place} has {} leaves", before.size));
        let claim = format!("`{}` begins with the {} leaves of {place}", before.origin, before.size);
        return Ok(outcome(claim, &old_checkpoint, differences, keys, None));
    };
    let now = &newest.head;
    check_signature(&newest, keys, Path::new("log/checkpoint"), &mut differences);
    if before.origin != now.origin {
        differences.push(format!("{place}: it is of `{}`, the ledger's log is `{}`", before.origin, now.origin));
    } else if before.size > now.size {
        differences.push(format!("{place}: it has {} leaves, the ledger's log only {}", before.size, now.size));
    } else if !log.extends(before, now).await? {
        differences.push(format!("{place}: the ledger's log does not begin with its leaves: history was rewritten"));
    }
    let claim = format!("`{}` of {} leaves begins with the {} leaves of {place}", now.origin, now.size, before.size);
    Ok(outcome(claim, &newest, differences, keys, None))
}

fn outcome(
    claim: String,
    checkpoint: &Checkpoint,
    differences: Vec<String>,
    keys: &[VerifierKey],
    row: Option<serde_json::Value>,
) -> Outcome {
    Outcome {
        holds: differences.is_empty(),
        differences,
        claim,
        origin: checkpoint.head.origin.clone(),
        size: checkpoint.head.size,
        keys: keys.iter().map(ToString::to_string).collect(),
        row,
    }
}

fn check_signature(checkpoint: &Checkpoint, keys: &[VerifierKey], place: &Path, differences: &mut Vec<String>) {
    if !keys.is_empty() && !keys.iter().any(|key| checkpoint.is_signed_by(key)) {
        let signers = checkpoint.signers();
        differences.push(format!("{}: it is not signed by the key given, but names {signers}", place.display()));
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path.display(), "read", error))
}
