//! Live sessions: every answer of one is a call of its own, billed with all that was said before it.

use std::borrow::Cow;

use daybook_ledger::{Entry, Feature, Operation};
use serde::Deserialize;

use super::usage::Usage;
use crate::decode::DecodeError;
use crate::decode::capture::{Capture, Envelope, Failure, Outcome};
use crate::decode::captured::{Answer, Captured};
use crate::decode::dialect::HEARD;
use crate::decode::extra::Extra;
use crate::decode::messages::{elements, shape};
use crate::decode::object::object;
use crate::decode::request::{Request, both_directions};
use crate::decode::scalar::{Text, present};
use crate::decode::source::Json;

/// An event of a session.
#[derive(Deserialize)]
struct SessionEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    object: Option<Text<'a>>,
    event_id: Option<Text<'a>>,
    item_id: Option<Text<'a>>,
    response: Option<Json<'a>>,
    item: Option<Json<'a>>,
    session: Option<Json<'a>>,
    transcript: Option<Json<'a>>,
    usage: Option<Json<'a>>,
}

#[derive(Default, Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    input_audio_transcription: Option<Json<'a>>,
    audio: Option<Json<'a>>,
    input: Option<Json<'a>>,
    transcription: Option<Json<'a>>,
}

object! {
    /// One answer of the model's in a session.
    struct Turn<'a> {
        id: Text<'a> = "id",
        model: Text<'a> = "model",
        status: Text<'a> = "status",
        status_details: Json<'a> = "status_details",
        output: Json<'a> = "output",
        usage: Usage<'a> = "usage",
        conversation_id: Text<'a> = "conversation_id",
    }
    ignoring ["object", "type", "modalities", "output_modalities", "voice", "audio", "temperature", "max_output_tokens",
        "output_audio_format", "metadata", "event_id"]
}

#[derive(Default, Deserialize)]
struct StatusDetails<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    error: Option<Json<'a>>,
}

/// Something in a session that was billed.
enum Billed<'a> {
    /// An answer, and the items the user said since the last.
    Turn(Json<'a>, Vec<Json<'a>>),
    /// What the user said, put down by another model.
    Transcript(Box<SessionEvent<'a>>),
}

/// Decodes a session, or one event of it: an entry for each answer and for each transcript that was paid for.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>) -> Result<Vec<Entry<'a>>, DecodeError> {
    let events = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => captured.source.elements(stream)?,
        (Some(response), None) => vec![response],
        (None, None) => Vec::new(),
    };
    let (billed, model, ear) = billed(&captured, events)?;
    if billed.is_empty() {
        // The session failed, or nothing came of it yet.
        return Ok(vec![ended(captured)?]);
    }
    let alone = billed.len() == 1;
    let mut captured = captured;
    let mut entries = Vec::with_capacity(billed.len());
    for billed in billed {
        let capture = match &captured.envelope.capture {
            Some(_) if alone => captured.envelope.capture.take(),
            capture => capture.as_ref().map(Capture::of_part),
        };
        let part = part_of(&captured, capture);
        entries.push(match billed {
            Billed::Turn(turn, said) => answered(part, (turn, said), model.clone())?,
            Billed::Transcript(event) => heard(part, *event, ear.clone())?,
        });
    }
    Ok(entries)
}

/// The captured as one call of the session sees it.
fn part_of<'s, 'a>(captured: &Captured<'s, 'a>, capture: Option<Capture<'a>>) -> Captured<'s, 'a> {
    let Captured { source, raw, bodies, vendor, ref envelope } = *captured;
    let &Envelope { request, response, stream, .. } = envelope;
    let envelope = Envelope { capture, request, response, stream, ..Envelope::default() };
    Captured { source, raw, bodies, envelope, vendor }
}

type Names<'a> = Option<Cow<'a, str>>;

/// What was billed, in order, and the models the session was set up with: the one that speaks, and the one that hears.
fn billed<'a>(
    captured: &Captured<'_, 'a>,
    events: Vec<Json<'a>>,
) -> Result<(Vec<Billed<'a>>, Names<'a>, Names<'a>), DecodeError> {
    let (mut billed, mut said) = (Vec::new(), Vec::new());
    let (mut model, mut ear) = (None, None);
    for json in events {
        if !json.get().starts_with('{') {
            continue;
        }
        let event: SessionEvent<'a> = captured.source.object(json)?;
        let is_turn = event.object.as_ref().is_some_and(|object| object.0 == "realtime.response");
        match event.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
            "response.done" => billed.extend(event.response.map(|turn| Billed::Turn(turn, std::mem::take(&mut said)))),
            "" if is_turn || event.usage.is_some() => billed.push(Billed::Turn(json, std::mem::take(&mut said))),
            "conversation.item.created" | "conversation.item.added" | "conversation.item.create" => {
                said.extend(event.item.filter(is_users));
            }
            "session.created" | "session.updated" | "session.update" => {
                let session = event.session.and_then(shape::<Session<'a>>).unwrap_or_default();
                ear = hearing(&session).or(ear);
                model = present(session.model).or(model);
            }
            HEARD if event.usage.is_some() => {
                billed.push(Billed::Transcript(Box::new(event)));
            }
            _ => {}
        }
    }
    Ok((billed, model, ear))
}

/// The model that puts down what the user says: where sessions had it, and where they have it now.
fn hearing<'a>(session: &Session<'a>) -> Names<'a> {
    let inner = |json: Json<'a>| shape::<Session<'a>>(json);
    let now = || inner(inner(session.audio?)?.input?)?.transcription;
    present(inner(session.input_audio_transcription.or_else(now)?)?.model)
}

fn is_users(item: &Json<'_>) -> bool {
    #[derive(Deserialize)]
    struct Role<'a> {
        #[serde(borrow)]
        role: Option<Text<'a>>,
    }
    shape::<Role<'_>>(item).and_then(|item| item.role).is_some_and(|role| role.0 != "assistant")
}

/// The entry of one answer.
fn answered<'a>(
    captured: Captured<'_, 'a>,
    (turn, said): (Json<'a>, Vec<Json<'a>>),
    model: Names<'a>,
) -> Result<Entry<'a>, DecodeError> {
    let turn: Turn<'a> = captured.source.object(turn)?;
    let (request, mut input, mut output) = captured.asked()?;
    said.into_iter().for_each(|item| input.item(item, None));
    let details = turn.status_details.and_then(shape::<StatusDetails<'a>>).unwrap_or_default();
    let reason = present(details.reason);
    let items = turn.output.map(elements).unwrap_or_default();
    if !items.is_empty() {
        output.message("assistant", reason.as_deref(), |output| {
            items.into_iter().for_each(|item| output.answer_item(item));
        });
    }
    let status = turn.status.as_ref().map_or("completed", |status| status.0.as_ref());
    let failure = match (status, details.error) {
        (_, Some(error)) => Some(Failure::read(captured.source, error)?),
        ("failed", None) => Some(Failure::default()),
        _ => None,
    };
    let mut extra = Extra::default();
    extra.add("", &turn.unknown);
    let outcome = Outcome {
        id: present(turn.id),
        model: present(turn.model).or(model).or_else(|| named_in_url(&captured)),
        finished: status == "completed" || reason.as_deref() == Some("max_output_tokens"),
        pending: status == "in_progress",
        finish_reason: reason,
        failure,
        extra,
        ..Outcome::default()
    };
    let answer = Answer { outcome, usage: turn.usage, ..Answer::default() };
    let mut entry = captured.conclude(Operation::Realtime, (request, input, output), answer)?;
    entry.session_id = entry.session_id.or(present(turn.conversation_id));
    entry.features.insert(Feature::Realtime);
    Ok(entry)
}

/// The entry of one transcript of what the user said.
fn heard<'a>(captured: Captured<'_, 'a>, event: SessionEvent<'a>, model: Names<'a>) -> Result<Entry<'a>, DecodeError> {
    // The session's own model and instructions are not what this model was given.
    let (input, mut output) = both_directions(captured.bodies);
    if let Some(text) = event.transcript {
        output.message("assistant", None, |output| output.text(text));
    }
    let outcome =
        Outcome { id: present(event.event_id).or(present(event.item_id)), model, finished: true, ..Outcome::default() };
    let usage = event.usage.map(|usage| captured.source.object(usage)).transpose()?;
    let answer = Answer { outcome, usage, ..Answer::default() };
    let mut entry = captured.conclude(Operation::Transcription, (Request::default(), input, output), answer)?;
    entry.features.insert(Feature::Realtime);
    entry.features.insert(Feature::AudioInput);
    Ok(entry)
}

/// The entry of a session that came to no answer.
fn ended<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        error: Option<Json<'a>>,
    }
    let asked = captured.asked()?;
    let events = match captured.envelope.stream {
        Some(stream) => captured.source.elements(stream)?,
        None => captured.envelope.response.into_iter().collect(),
    };
    let mut answer = Answer::default();
    if let Some(error) = events.into_iter().filter_map(|event| shape::<Event<'a>>(event)?.error).next_back() {
        answer.outcome.failure = Some(Failure::read(captured.source, error)?);
    }
    let mut entry = captured.conclude(Operation::Realtime, asked, answer)?;
    entry.features.insert(Feature::Realtime);
    Ok(entry)
}

/// The model a session was opened for: `wss://api.openai.com/v1/realtime?model=gpt-realtime`.
fn named_in_url<'a>(captured: &Captured<'_, 'a>) -> Names<'a> {
    let url = captured.envelope.capture.as_ref()?.endpoint.as_ref()?;
    let (_, query) = url.0.split_once('?')?;
    let model = query.split('&').find_map(|member| member.strip_prefix("model="))?;
    Some(Cow::Owned(model.to_owned()))
}
