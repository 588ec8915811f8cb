//! Sound to text and text to sound.

use daybook_ledger::{Entry, Feature, Operation, Status, UsageSource, Usd};
use serde::Deserialize;

use super::chat_stream::join;
use crate::decode::DecodeError;
use crate::decode::capture::Failure;
use crate::decode::captured::{Answer, Captured};
use crate::decode::messages::{Messages, is_string, shape};
use crate::decode::scalar::Text;
use crate::decode::source::Json;

/// An event of a stream of either kind.
#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    delta: Option<Json<'a>>,
}

/// Decodes a transcription or translation. The answer names no model; some models are billed by the second.
pub(crate) fn decode_transcription<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let (request, input, mut output) = captured.asked()?;
    let answer = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => transcript_stream(&captured, stream, &mut output)?,
        // `response_format: text` answers with nothing but the text.
        (Some(text), None) if is_string(text) => {
            say(&mut output, text);
            finished()
        }
        (Some(response), None) => transcript(&captured, response, &mut output)?,
        (None, None) => Answer::default(),
    };
    let mut entry = captured.conclude(Operation::Transcription, (request, input, output), answer)?;
    entry.features.insert(Feature::AudioInput);
    Ok(entry)
}

fn transcript<'a>(
    captured: &Captured<'_, 'a>,
    response: Json<'a>,
    output: &mut Messages,
) -> Result<Answer<'a>, DecodeError> {
    let (mut answer, plain) = captured.plain(response, |plain| plain.text.is_some())?;
    plain.text.into_iter().for_each(|text| say(output, text));
    // Verbose answers tell how long the sound was even where they have no usage.
    let seconds = captured.source.decimal(plain.duration.filter(|_| answer.usage.is_none()))?;
    answer.meters.extend(seconds.filter(|seconds| *seconds != Usd::ZERO).map(|seconds| ("audio_seconds", seconds)));
    Ok(answer)
}

fn transcript_stream<'a>(
    captured: &Captured<'_, 'a>,
    stream: Json<'a>,
    output: &mut Messages,
) -> Result<Answer<'a>, DecodeError> {
    let (mut pieces, mut answer) = (Vec::new(), Answer::default());
    for event in captured.source.elements(stream)? {
        let Some(read) = shape::<StreamEvent<'a>>(event) else { continue };
        match read.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
            "transcript.text.delta" => pieces.extend(read.delta.filter(|delta| is_string(delta))),
            "transcript.text.done" => {
                pieces.clear();
                answer = transcript(captured, event, output)?;
            }
            "error" => answer.outcome.failure = Some(Failure::read(captured.source, event)?),
            _ => {}
        }
    }
    if let Some(text) = join(output.writer.is_on(), &pieces) {
        output.message("assistant", None, |output| output.typed_json("text", &text));
    }
    Ok(answer)
}

/// Decodes speech. Its answer is sound, which no event holds: only a stream tells what was counted.
pub(crate) fn decode_speech<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let asked = captured.asked()?;
    let status = captured.envelope.capture.as_ref().and_then(|capture| capture.http_status?.0);
    let answer = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => speech_stream(&captured, stream)?,
        (Some(response), None) if response.get().starts_with('{') => captured.plain(response, |_| true)?.0,
        (Some(_), None) => finished(),
        (None, None) if status.is_some() => finished(),
        (None, None) => Answer::default(),
    };
    let characters = asked.0.characters();
    let mut entry = captured.conclude(Operation::Speech, asked, answer)?;
    entry.features.insert(Feature::AudioOutput);
    // The counts are not split: all of the output is sound.
    entry.tokens.output_audio = entry.tokens.output_audio.or(entry.tokens.output);
    let is_success = entry.status == Status::Success;
    if let Some(characters) = characters.filter(|_| entry.usage_source == UsageSource::Absent && is_success) {
        // Older models are billed by the characters of the text. Nobody reports them, so they are counted here.
        super::usage::meter(&mut entry.meters, "input_characters", Some(characters));
        entry.usage_source = UsageSource::Estimated;
    }
    Ok(entry)
}

fn speech_stream<'a>(captured: &Captured<'_, 'a>, stream: Json<'a>) -> Result<Answer<'a>, DecodeError> {
    let mut answer = Answer::default();
    for event in captured.source.elements(stream)? {
        let kind = shape::<StreamEvent<'a>>(event).and_then(|read| read.kind);
        match kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
            "speech.audio.done" => answer = captured.plain(event, |_| true)?.0,
            "error" => answer.outcome.failure = Some(Failure::read(captured.source, event)?),
            _ => {}
        }
    }
    Ok(answer)
}

fn finished<'a>() -> Answer<'a> {
    let mut answer = Answer::default();
    answer.outcome.finished = true;
    answer
}

fn say(output: &mut Messages, text: Json<'_>) {
    if is_string(text) {
        output.message("assistant", None, |output| output.text(text));
    }
}
