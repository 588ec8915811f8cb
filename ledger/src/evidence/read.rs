//! Evidence as a file: one JSON object a line, as harnesses write their results.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{Evidence, EvidenceKind, Score};
use crate::{Date, Error, Instant};

/// A line: the fields of [`Evidence`], of which `date` must be there. `kind` is `portability_test` if it is not said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    date: String,
    kind: Option<String>,
    id: Option<String>,
    workload: Option<String>,
    contract: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    dataset: Option<String>,
    harness: Option<String>,
    runs: Option<i64>,
    passed: Option<i64>,
    /// Numbers or text: a float would not keep their digits.
    #[serde(borrow, default)]
    scores: BTreeMap<String, &'a RawValue>,
    artifact: Option<String>,
    artifact_sha256: Option<String>,
    note: Option<String>,
    recorded_by: Option<String>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

impl EvidenceKind {
    /// Reads the word of the column.
    ///
    /// # Errors
    /// The words there are.
    pub fn parse(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == word);
        let words = || Self::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("`{word}` is none of {}", words()))
    }
}

impl Evidence {
    /// Reads `text`, one JSON object a line, as known at `now`; `name` is what messages call it.
    ///
    /// # Errors
    /// [`Error::NotEvidence`] with the first line that is none.
    pub fn read_lines(text: &str, name: &str, now: Instant) -> Result<Vec<Self>, Error> {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let read = |(number, line): (usize, &str)| {
            Self::read_line(line)
                .and_then(|fact| fact.fault(now).map_or(Ok(fact), Err))
                .map_err(|reason| Error::NotEvidence { place: format!("{name} line {number}"), reason })
        };
        lines.map(read).collect()
    }

    fn read_line(line: &str) -> Result<Self, String> {
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| said(&error))?;
        let kind = line.kind.as_deref().map_or(Ok(EvidenceKind::PortabilityTest), EvidenceKind::parse)?;
        let date = Date::parse(&line.date).ok_or_else(|| format!("`{}` is not a day (YYYY-MM-DD)", line.date))?;
        let scores = line.scores.into_iter().map(|(name, raw)| Ok((name, read_score(raw)?)));
        Ok(Self {
            id: line.id,
            workload: line.workload,
            contract: line.contract,
            provider: line.provider,
            model: line.model,
            dataset: line.dataset,
            harness: line.harness,
            runs: line.runs,
            passed: line.passed,
            scores: scores.collect::<Result<_, String>>()?,
            artifact: line.artifact,
            artifact_sha256: line.artifact_sha256,
            note: line.note,
            recorded_by: line.recorded_by,
            details: line.details.map(|raw| raw.get().to_owned()),
            ..Self::new(kind, date)
        })
    }
}

fn read_score(raw: &RawValue) -> Result<Score, String> {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Score::parse(&text),
        Err(_) => Score::parse(raw.get()),
    }
}

/// The parser counts lines and columns; of one line the column says where.
fn said(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => error.to_string().replace(" at line 1 column ", " at column "),
        _ => format!("it is not JSON, from column {} on", error.column()),
    }
}
