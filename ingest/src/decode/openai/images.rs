//! Pictures made or edited.

use daybook_ledger::{Entry, Feature, Operation};
use serde::Deserialize;

use super::usage::meter;
use crate::decode::DecodeError;
use crate::decode::capture::Failure;
use crate::decode::captured::{Answer, Captured};
use crate::decode::messages::{Messages, elements, shape};
use crate::decode::scalar::Text;
use crate::decode::source::Json;

/// One picture: its bytes or where they are. An event of a stream is one too.
#[derive(Deserialize)]
struct Picture<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    b64_json: Option<Json<'a>>,
    url: Option<Json<'a>>,
}

/// What a request for pictures gives along.
#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    image: Option<Json<'a>>,
    images: Option<Json<'a>>,
    mask: Option<Json<'a>>,
}

/// Decodes one captured call. Models that count no tokens are billed by the picture.
pub(crate) fn decode<'a>(captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    let (request, mut input, mut output) = captured.asked()?;
    let given = captured.envelope.request.and_then(shape::<Given<'a>>);
    let has_picture = given.is_some_and(|given| given.image.or(given.images).or(given.mask).is_some());
    let url = captured.envelope.capture.as_ref().and_then(|capture| capture.endpoint.as_ref());
    let edits = url.is_some_and(|url| url.0.contains("/images/edits") || url.0.contains("/images/variations"));
    input.features.insert_if(has_picture || edits, Feature::VisionInput);
    let answer = match (captured.envelope.response, captured.envelope.stream) {
        (_, Some(stream)) => picture_stream(&captured, captured.source.elements(stream)?, &mut output)?,
        (Some(event), None) if is_event(event) => picture_stream(&captured, vec![event], &mut output)?,
        (Some(response), None) => pictures(&captured, response, &mut output)?,
        (None, None) => Answer::default(),
    };
    let mut entry = captured.conclude(Operation::Image, (request, input, output), answer)?;
    entry.features.insert(Feature::ImageOutput);
    // Where the output is not split, all of it is the picture: this API answers with nothing else.
    entry.tokens.output_image = entry.tokens.output_image.or(entry.tokens.output);
    Ok(entry)
}

fn pictures<'a>(
    captured: &Captured<'_, 'a>,
    response: Json<'a>,
    output: &mut Messages,
) -> Result<Answer<'a>, DecodeError> {
    let (mut answer, plain) = captured.plain(response, |plain| plain.data.is_some())?;
    let format = plain.output_format.as_ref().map_or("png", |format| format.0.as_ref());
    let made = plain.data.map(elements).unwrap_or_default();
    made.iter().filter_map(|picture| shape::<Picture<'a>>(picture)).for_each(|picture| show(output, &picture, format));
    output.features.insert_if(made.len() > 1, Feature::MultipleChoices);
    meter(&mut answer.meters, "output_images", i64::try_from(made.len()).ok());
    Ok(answer)
}

/// Whether it is the last event of a stream rather than an answer in one piece.
fn is_event(json: Json<'_>) -> bool {
    let kind = shape::<Picture<'_>>(json).and_then(|picture| picture.kind);
    kind.is_some_and(|kind| kind.0.starts_with("image_generation.") || kind.0.starts_with("image_edit."))
}

fn picture_stream<'a>(
    captured: &Captured<'_, 'a>,
    events: Vec<Json<'a>>,
    output: &mut Messages,
) -> Result<Answer<'a>, DecodeError> {
    let (mut answer, mut made) = (Answer::default(), 0);
    for event in events {
        let Some(picture) = shape::<Picture<'a>>(event) else { continue };
        match picture.kind.as_ref().map_or("", |kind| kind.0.as_ref()) {
            "image_generation.completed" | "image_edit.completed" => {
                made += 1;
                let (last, plain) = captured.plain(event, |_| true)?;
                answer = last;
                show(output, &picture, plain.output_format.as_ref().map_or("png", |format| format.0.as_ref()));
            }
            "error" => answer.outcome.failure = Some(Failure::read(captured.source, event)?),
            _ => {}
        }
    }
    meter(&mut answer.meters, "output_images", Some(made));
    Ok(answer)
}

/// Writes one picture as a message of its own: each is an answer to choose from.
fn show(output: &mut Messages, picture: &Picture<'_>, format: &str) {
    let (kind, key, value) = match (picture.b64_json, picture.url) {
        (Some(bytes), _) => ("blob", "content", Some(bytes)),
        (None, url) => ("uri", "uri", url),
    };
    output.message("assistant", None, |output| {
        output.begin(kind);
        output.member_text("modality", "image");
        output.member_text("mime_type", &format!("image/{format}"));
        output.member(key, value);
        output.end();
    });
}
