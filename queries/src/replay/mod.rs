//! A workload's prompts as a set that any provider can be asked: sampled, the same for the same seed, in neutral words.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::neutral::{Function, Json, Parameters, Tools};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{Error, Session};

/// The longest custom id that batch interfaces take.
const CUSTOM_ID_CHARS_MAX: usize = 64;
/// Digits of an entry's id.
const ENTRY_ID_CHARS: usize = 32;

/// What to draw.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The workload, by its name in the registry.
    pub workload: String,
    /// The most prompts to draw.
    pub sample: u32,
    /// Draws the same prompts from the same calls.
    pub seed: u64,
}

/// What was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Prompts written.
    pub prompts: u64,
    /// Successful conversation turns of the workload whose prompt the ledger has.
    pub offered: u64,
    /// Those whose prompt it does not have.
    pub without_prompt: u64,
}

/// Writes the set to `out`, one JSON object a line.
///
/// # Errors
/// [`Error::UnknownWorkload`]; [`Error::NothingToReplay`] if no prompt of the workload is kept; those of queries and of writing.
pub async fn replay_set(
    session: &Session,
    options: &ReplayOptions,
    out: &mut (dyn Write + Send),
) -> Result<Replayed, Error> {
    session.registry().need_workload(&options.workload)?;
    let turns = turns(&options.workload);
    let sql = format!("{turns} SELECT count(*) FILTER (WHERE kept), count(*) FILTER (WHERE NOT kept) FROM turns");
    let counted = session.run(&sql).await?.collect().await?;
    let count = |column: usize| counted.first().and_then(|batch| integer(batch.columns().get(column)?, 0)).unwrap_or(0);
    let (offered, without_prompt) = (count(0), count(1));
    if offered == 0 {
        return Err(Error::NothingToReplay { workload: options.workload.clone(), turns: without_prompt });
    }
    let mut rows = session.run(&format!("{turns} {}", drawn(options))).await?;
    let mut prompts = 0;
    while let Some(batch) = rows.next().await? {
        for row in 0..batch.num_rows() {
            let line = Row { batch: &batch, row }.line(&options.workload)?;
            writeln!(out, "{line}").map_err(|source| Error::Output { source })?;
            prompts += 1;
        }
    }
    Ok(Replayed { prompts, offered, without_prompt })
}

/// Conversation turns of `workload` that succeeded, and whether their prompt is kept.
fn turns(workload: &str) -> String {
    format!(
        "WITH turns AS (SELECT calls.entry_id, provider, model, input_tokens, output_tokens, list_cost, \
         prompts.entry_id IS NOT NULL AS kept FROM calls \
         LEFT JOIN (SELECT DISTINCT entry_id FROM content WHERE input_messages IS NOT NULL) AS prompts \
         ON prompts.entry_id = calls.entry_id \
         WHERE workload = '{}' AND status = 'success' AND operation IN ('chat', 'responses'))",
        workload.replace('\'', "''")
    )
}

/// The draw: by a hash of seed and entry, so that it depends on neither the order of files nor the number of threads.
fn drawn(options: &ReplayOptions) -> String {
    format!(
        ", drawn AS (SELECT *, encode(entry_id, 'hex') AS id, sha256('{}:' || encode(entry_id, 'hex')) AS draw \
         FROM turns WHERE kept ORDER BY draw LIMIT {}), \
         bodies AS (SELECT drawn.*, input_messages, output_messages, tool_definitions, request_parameters, \
         row_number() OVER (PARTITION BY drawn.entry_id ORDER BY output_messages IS NULL, batch_id DESC) AS place \
         FROM drawn JOIN content ON content.entry_id = drawn.entry_id WHERE input_messages IS NOT NULL) \
         SELECT id, provider, model, input_tokens, output_tokens, list_cost, input_messages, output_messages, \
         tool_definitions, request_parameters FROM bodies WHERE place = 1 ORDER BY draw",
        options.seed, options.sample
    )
}

struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

/// A prompt as the file has it.
#[derive(Serialize)]
struct Prompt<'a> {
    custom_id: String,
    workload: &'a str,
    input_messages: Option<Json<'a>>,
    tool_definitions: Vec<Tool<'a>>,
    request_parameters: BTreeMap<&'static str, Cow<'a, RawValue>>,
    left_out: Vec<String>,
    recorded: Recorded<'a>,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    function: Function<'a>,
}

/// The call as it was, to compare with.
#[derive(Serialize)]
struct Recorded<'a> {
    entry_id: &'a str,
    provider: Option<String>,
    model: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    list_cost: Option<String>,
    output_messages: Option<Json<'a>>,
}

impl Row<'_> {
    fn line(&self, workload: &str) -> Result<String, Error> {
        let id = self.text("id")?.unwrap_or_default();
        let [input, output, tools, asked] =
            ["input_messages", "output_messages", "tool_definitions", "request_parameters"].map(|name| self.json(name));
        let (input, output, tools, asked) = (input?, output?, tools?, asked?);
        let parameters = asked.as_deref().map(Parameters::read).unwrap_or_default();
        let tools = Tools::read(tools.as_deref(), asked.as_deref());
        let prompt = Prompt {
            custom_id: custom_id(workload, &id),
            workload,
            input_messages: input.as_deref(),
            tool_definitions: tools
                .functions
                .into_iter()
                .map(|function| Tool { r#type: "function", function })
                .collect(),
            request_parameters: parameters.known,
            left_out: [parameters.others, tools.others].concat(),
            recorded: Recorded {
                entry_id: &id,
                provider: self.text("provider")?,
                model: self.text("model")?,
                input_tokens: self.count("input_tokens"),
                output_tokens: self.count("output_tokens"),
                list_cost: self.text("list_cost")?,
                output_messages: output.as_deref(),
            },
        };
        // A source may have written JSON over several lines; a line feed inside of a text is always escaped.
        let line = serde_json::to_string(&prompt).map_err(|error| not_json(&error))?;
        Ok(line.replace(['\n', '\r'], ""))
    }

    fn column(&self, name: &str) -> Result<&ArrayRef, Error> {
        self.batch.column_by_name(name).ok_or_else(|| Error::Internal {
            invariant: "a replay set has its columns",
            found: format!("{name} is missing"),
        })
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let column = self.column(name)?.slice(self.row, 1);
        let text = cast(&column, &DataType::Utf8)
            .map_err(|error| Error::Internal { invariant: "a replay set is text", found: error.to_string() })?;
        Ok(text.is_valid(0).then(|| text.as_string::<i32>().value(0).to_owned()))
    }

    fn count(&self, name: &str) -> Option<u64> {
        integer(self.batch.column_by_name(name)?, self.row)
    }

    /// JSON that a source wrote. What is no JSON is text.
    fn json(&self, name: &str) -> Result<Option<Box<RawValue>>, Error> {
        let json = |text: String| match RawValue::from_string(text.clone()) {
            Ok(json) => Ok(json),
            Err(_) => to_raw_value(&text).map_err(|error| not_json(&error)),
        };
        self.text(name)?.map(json).transpose()
    }
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::Internal { invariant: "a replay set is JSON", found: error.to_string() }
}

fn integer(column: &ArrayRef, row: usize) -> Option<u64> {
    let numbers = column.as_primitive_opt::<arrow::datatypes::Int64Type>()?;
    numbers.is_valid(row).then(|| u64::try_from(numbers.value(row)).ok())?
}

/// The workload, as far as batch interfaces allow its characters and length, and the entry's id.
fn custom_id(workload: &str, id: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let name: String = workload.chars().map(allowed).take(CUSTOM_ID_CHARS_MAX - ENTRY_ID_CHARS - 1).collect();
    format!("{name}-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_id_fits_batch_interfaces_and_ends_in_the_entry() {
        let id = "0".repeat(32);
        assert_eq!(custom_id("support bot", &id), format!("support-bot-{id}"));
        let long = custom_id(&"\u{e4}".repeat(90), &id);
        assert_eq!(long.len(), CUSTOM_ID_CHARS_MAX);
        assert!(long.ends_with(&format!("-{id}")), "{long}");
    }
}
