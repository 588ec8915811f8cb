//! Pages of the admin APIs: buckets of time with results. A file holds one page, an array of pages, or one page a line.

use daybook_ledger::{BillingLine, Instant};
use serde_json::value::RawValue;

use super::error::{Error, Problem};
use super::members::Members;
use super::{Occurrences, Source, anthropic, openai};

/// One bucket of a page.
#[derive(Debug)]
pub(super) struct Bucket<'a> {
    /// Start, and end, which is no longer in it.
    pub(super) period: (Instant, Instant),
    /// Its results, each of which becomes a line.
    pub(super) results: Vec<&'a RawValue>,
}

/// Gives each line of the pages in `json` to `sink`.
pub(super) fn decode(
    source: Source,
    file: &str,
    json: &[u8],
    sink: &mut dyn FnMut(BillingLine) -> Result<(), Error>,
) -> Result<(), Error> {
    let malformed = |reason: String| Error::Malformed { file: file.into(), expected: source.title(), reason };
    let json = std::str::from_utf8(json).map_err(|error| malformed(error.to_string()))?;
    let mut file_line = 0;
    for page in serde_json::Deserializer::from_str(json).into_iter::<&RawValue>() {
        let page = page.map_err(|error| malformed(error.to_string()))?;
        for line in value_lines(source, page).map_err(|problem| Error::Field {
            file: file.into(),
            line: file_line + 1,
            problem,
        })? {
            file_line += 1;
            sink(BillingLine { file_line, ..line })?;
        }
    }
    Ok(())
}

/// The lines of a page, or of each page of an array.
fn value_lines(source: Source, value: &RawValue) -> Result<Vec<BillingLine>, Problem> {
    if value.get().starts_with('[') {
        let pages: Vec<&RawValue> =
            serde_json::from_str(value.get()).map_err(|_| Problem::new("page", Some(value.get()), "a page"))?;
        let lines: Result<Vec<_>, _> = pages.into_iter().map(|page| page_lines(source, page)).collect();
        return Ok(lines?.into_iter().flatten().collect());
    }
    page_lines(source, value)
}

fn page_lines(source: Source, page: &RawValue) -> Result<Vec<BillingLine>, Problem> {
    let mut page = members(page)?;
    let mut lines = Vec::new();
    for (at, bucket) in page.array("data")?.into_iter().enumerate() {
        let inside = |problem: Problem| problem.inside(&format!("data[{at}]"));
        lines.extend(bucket_lines(source, bucket).map_err(inside)?);
    }
    Ok(lines)
}

fn bucket_lines(source: Source, bucket: &RawValue) -> Result<Vec<BillingLine>, Problem> {
    let mut members = members(bucket)?;
    let period = match source {
        Source::OpenAiAdmin => openai::period(&mut members)?,
        _ => anthropic::period(&mut members)?,
    };
    if period.0 >= period.1 {
        return Err(Problem::new(
            "bucket",
            Some(&format!("{} to {}", period.0, period.1)),
            "a period that ends after it starts",
        ));
    }
    // OpenAI's specification once called them `result`.
    let name = if members.has("results") { "results" } else { "result" };
    let bucket = Bucket { period, results: members.array(name)? };
    let lines = match source {
        Source::OpenAiAdmin => openai::lines(&bucket)?,
        _ => anthropic::lines(&bucket)?,
    };
    // Numbered within a bucket: a bucket that comes again, in this file or another, is the same one polled again.
    let mut occurrences = Occurrences::default();
    Ok(lines.into_iter().map(|line| occurrences.number(line)).collect())
}

/// The members of the object `json`.
pub(super) fn members(json: &RawValue) -> Result<Members<'_>, Problem> {
    serde_json::from_str(json.get()).map_err(|error| match error.is_data() {
        true if json.get().starts_with('{') => {
            Problem { field: error.to_string(), given: None, expected: "stated once" }
        }
        _ => Problem::new("value", Some(json.get()), "an object"),
    })
}

/// How the report was asked for: the bucket's width, and what any of its results is grouped by.
///
/// The same usage asked for by model and asked for by project adds up twice; the shape keeps the two apart.
pub(super) fn shape(bucket: &Bucket<'_>, groups: &[&str]) -> Result<String, Problem> {
    let mut grouped = vec![false; groups.len()];
    for result in &bucket.results {
        let mut members = members(result)?;
        for (group, by) in groups.iter().zip(&mut grouped) {
            *by |= members.take(group).is_some();
        }
    }
    let names: Vec<&str> = groups.iter().zip(&grouped).filter(|(_, by)| **by).map(|(group, _)| *group).collect();
    let seconds = (bucket.period.1.micros() - bucket.period.0.micros()) / 1_000_000;
    let width = match seconds {
        60 => "1m".to_owned(),
        3_600 => "1h".to_owned(),
        86_400 => "1d".to_owned(),
        other => format!("{other}s"),
    };
    Ok(if names.is_empty() { width } else { format!("{width} by {}", names.join(",")) })
}
