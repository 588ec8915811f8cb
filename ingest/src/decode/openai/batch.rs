//! Lines of a batch's results: each wraps the ordinary answer of some endpoint, or says why there is none.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature};

use super::read_answer;
use crate::decode::about::About;
use crate::decode::capture::{Capture, Envelope, Failure};
use crate::decode::captured::{Answer, Captured};
use crate::decode::dialect::{Dialect, Endpoint, Vendor, vendor_of_model};
use crate::decode::messages::{Direction, Messages, shape};
use crate::decode::object::object;
use crate::decode::request::Request;
use crate::decode::scalar::{HttpStatus, Text, present};
use crate::decode::source::{Json, Source};
use crate::decode::{DecodeError, DecodeOptions, Format, anthropic};

pub(crate) const ABOUT: About = About {
    format: "openai-batch",
    title: "OpenAI Batch",
    what: "A line of a batch's output or error file, as OpenAI, Azure, Mistral and Groq write it, and Vertex AI for Claude. The batch object, which repeats the sums of its lines, and lines of the input file hold no call.",
    recognised_by: "`custom_id` beside `response` or `error`.",
    identity: "the answer's `id`; without one (embeddings, lines that never ran) the line's `id`, else `custom_id`.",
    stream: "",
    columns: &[
        ("input_tokens, output_tokens, ...", "`response.body`, read as an answer of the endpoint it looks like"),
        ("features", "`batch`, which nothing in the body says; the batch rates apply"),
        ("http_status", "`response.status_code`"),
        ("error_type", "`error.code` of the line (`batch_expired`), else of the body"),
        ("tags", "`custom_id`"),
        (
            "provider",
            "marks of Azure or Groq in the body, names of Mistral's and xAI's models, `vertex_ai` for a message of Claude's; else OpenAI",
        ),
    ],
    cannot_say: &[
        "The prompt, and how long the call took: they are in the input file and nowhere.",
        "What kind of call a line that never ran would have been.",
    ],
};

object! {
    /// One line of an output or error file, or of an input file.
    struct Line<'a> {
        id: Text<'a> = "id",
        custom_id: Text<'a> = "custom_id",
        request: Json<'a> = "request",
        response: Json<'a> = "response",
        error: Json<'a> = "error",
        object: Text<'a> = "object",
        /// What an input file has in place of a response.
        method: Json<'a> = "method",
        url: Json<'a> = "url",
    }
}

object! {
    struct Reply<'a> {
        status_code: HttpStatus = "status_code",
        request_id: Text<'a> = "request_id",
        body: Json<'a> = "body",
        /// Of a message of Anthropic's, which Vertex AI puts here without anything around it.
        kind: Text<'a> = "type",
    }
}

#[derive(serde::Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    object: Option<Text<'a>>,
    custom_id: Option<serde::de::IgnoredAny>,
    capture: Option<serde::de::IgnoredAny>,
}

/// Whether an event is of a batch and comes without an envelope.
pub(crate) fn is_bare(source: &Source<'_>) -> Result<bool, DecodeError> {
    // Most events are captures, which say so first.
    if !source.text().contains("\"custom_id\"") && !source.text().contains("\"batch\"") {
        return Ok(false);
    }
    let marks: Marks<'_> = source.parse(source.text())?;
    let is_batch = marks.object.is_some_and(|object| object.0 == "batch");
    Ok(marks.capture.is_none() && (marks.custom_id.is_some() || is_batch))
}

/// Decodes one line as the file has it. A batch object and a line of the input file hold no call.
pub(crate) fn decode_bare<'a>(
    format: Format,
    (source, raw): (&Source<'a>, &'a [u8]),
    options: &DecodeOptions,
) -> Result<Option<Entry<'a>>, DecodeError> {
    let vendor = Vendor::of(format, &Envelope::default());
    decode_line(source, source.parse(source.text())?, (raw, options.bodies, vendor))
}

/// Decodes a capture of a file of results: one line, or several.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>) -> Result<Vec<Entry<'a>>, DecodeError> {
    let Captured { source, bodies, envelope, vendor, .. } = captured;
    let lines = match (envelope.response, envelope.stream) {
        (_, Some(stream)) => source.elements(stream)?,
        (response, None) => response.into_iter().collect(),
    };
    let entries = lines.into_iter().map(|line| decode_line(source, line, (line.get().as_bytes(), bodies, vendor)));
    entries.filter_map(Result::transpose).collect()
}

fn decode_line<'a>(
    source: &Source<'a>,
    json: Json<'a>,
    (raw, bodies, vendor): (&'a [u8], bool, Vendor),
) -> Result<Option<Entry<'a>>, DecodeError> {
    let line: Line<'a> = source.object(json)?;
    let unanswered = line.response.is_none() && line.error.is_none();
    let is_batch = line.object.as_ref().is_some_and(|object| object.0 == "batch");
    if is_batch || unanswered && (line.method.is_some() || line.url.is_some()) {
        return Ok(None);
    }
    let (id, custom_id) = (present(line.id), present(line.custom_id));
    let reply = line.response.map(|response| source.object::<Reply<'a>>(response)).transpose()?.unwrap_or_default();
    if let Some(message) = line.response.filter(|_| reply.kind.as_ref().is_some_and(|kind| kind.0 == "message")) {
        let entry = anthropic::decode_vertex_line((source, raw), bodies, (line.request, message))?;
        return Ok(Some(of_line(entry, id.or_else(|| custom_id.clone()), custom_id)));
    }
    let body = reply.body.filter(|body| body.get().starts_with('{'));
    let capture = Capture { http_status: reply.status_code, ..Capture::default() };
    let envelope = Envelope { capture: Some(capture), response: body, ..Envelope::default() };
    let vendor = body.and_then(marked).unwrap_or(vendor);
    let captured = Captured { source, raw, bodies, envelope, vendor };
    let endpoint = body.and_then(Endpoint::of_answer);
    let went_well = reply.status_code.and_then(|status| status.0).is_some_and(|status| status < 400);
    let entry = match (endpoint, line.error) {
        (Some(endpoint), None) => read_answer(endpoint, captured)?,
        (None, None) if went_well && body.is_some() => read_answer(Endpoint::Other, captured)?,
        (_, error) => failed(captured, error)?,
    };
    let id = id.or_else(|| custom_id.clone()).or(present(reply.request_id));
    Ok(Some(of_line(entry, id, custom_id)))
}

/// The entry with what its line says of it.
fn of_line<'a>(mut entry: Entry<'a>, id: Option<Cow<'a, str>>, custom_id: Option<Cow<'a, str>>) -> Entry<'a> {
    entry.event_id = entry.event_id.or(id);
    entry.tags.extend(custom_id.map(|id| ("custom_id".into(), id)));
    entry.features.insert(Feature::Batch);
    entry
}

/// A line without an answer. What kind of call it was to be, only the input file tells.
fn failed<'a>(captured: Captured<'_, 'a>, error: Option<Json<'a>>) -> Result<Entry<'a>, DecodeError> {
    #[derive(serde::Deserialize)]
    struct Failed<'a> {
        #[serde(borrow)]
        error: Option<Json<'a>>,
    }
    let of_body = || captured.envelope.response.and_then(|body| shape::<Failed<'a>>(body)?.error);
    let failure = match error.or_else(of_body) {
        Some(error) => captured.failure(error, None)?,
        None => Failure::default(),
    };
    let mut answer = Answer::default();
    answer.outcome.failure = Some(failure);
    let silent = |direction| Messages::new(direction, captured.bodies);
    let asked = (Request::default(), silent(Direction::Input), silent(Direction::Output));
    captured.conclude(None, asked, answer)
}

/// The vendor that marks its answers, or whose models nobody else serves in batches.
fn marked(body: Json<'_>) -> Option<Vendor> {
    const MARKS: [(&str, &str); 3] =
        [("\"prompt_filter_results\"", "azure"), ("\"content_filter_results\"", "azure"), ("\"x_groq\"", "groq")];
    #[derive(serde::Deserialize)]
    struct Served<'a> {
        #[serde(borrow)]
        model: Option<Text<'a>>,
    }
    let by_mark = MARKS.iter().find(|(mark, _)| body.get().contains(mark)).map(|(_, provider)| *provider);
    let of_model = || vendor_of_model(&shape::<Served<'_>>(body)?.model?.0);
    let dialect = by_mark.and_then(Dialect::of_provider).or_else(of_model)?;
    Some(Vendor { dialect, certain: true })
}
