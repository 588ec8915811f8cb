//! OpenAI's APIs, whoever serves them: which endpoint of which vendor a captured call went to, and the file that reads it.

pub(super) mod about;
pub(super) mod audio;
pub(super) mod batch;
pub(super) mod chat;
pub(super) mod chat_stream;
pub(super) mod embeddings;
pub(super) mod images;
pub(super) mod realtime;
pub(super) mod responses;
pub(super) mod responses_stream;
pub(super) mod usage;

use daybook_ledger::Entry;

use crate::decode::capture::Envelope;
use crate::decode::captured::Captured;
use crate::decode::dialect::{Endpoint, Vendor};
use crate::decode::messages::shape;
use crate::decode::scalar::Text;
use crate::decode::source::Source;
use crate::decode::{DecodeError, DecodeOptions, Format, anthropic, cohere, mistral, ollama, openrouter};

/// Reads one event of `format` and gives each of its entries to `sink`, all of them or, on error, none.
pub(crate) fn decode<'a>(
    format: Format,
    (source, raw): (&Source<'a>, &'a [u8]),
    options: &DecodeOptions,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<(), DecodeError> {
    if batch::is_bare(source)? {
        return batch::decode_bare(format, (source, raw), options)?.into_iter().try_for_each(|entry| {
            sink(entry);
            Ok(())
        });
    }
    let is_bare = |_: &str| crate::decode::sniff(source.text()).is_some_and(Format::speaks_openai);
    let envelope = Envelope::read_if(source, format, is_bare)?;
    let endpoint = match &envelope.capture {
        Some(capture) => Endpoint::of_capture(capture.endpoint.as_ref(), capture.api.as_ref()),
        None => None,
    };
    let endpoint = endpoint.or_else(|| envelope.response.and_then(Endpoint::of_answer));
    let endpoint = endpoint.unwrap_or(Endpoint::of_format(format));
    let vendor = Vendor::of(format, &envelope);
    if is_messages(&envelope) {
        let provider = if vendor.certain { vendor.dialect.provider } else { "anthropic" };
        sink(anthropic::decode_of(provider, source, raw, options)?);
        return Ok(());
    }
    let captured = Captured { source, raw, bodies: options.bodies, envelope, vendor };
    match (endpoint, captured.is_native(format)) {
        (endpoint, true) if format == Format::Ollama => ollama::decode(captured, endpoint)?.into_iter().for_each(sink),
        (endpoint, true) => sink(cohere::decode(captured, endpoint)?),
        (Endpoint::Realtime, _) => realtime::decode(captured)?.into_iter().for_each(sink),
        (Endpoint::Batch, _) => batch::decode(captured)?.into_iter().for_each(sink),
        (endpoint, false) => sink(read_answer(endpoint, captured)?),
    }
    Ok(())
}

/// Whether a vendor of many models was called in Anthropic's words: URL or `api` say so, and the answer does not belie them.
fn is_messages(envelope: &Envelope<'_>) -> bool {
    #[derive(serde::Deserialize)]
    struct Mark<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Text<'a>>,
    }
    const START: &[u8] = b"\"message_start\"";
    let Some(capture) = &envelope.capture else { return false };
    let url = capture.endpoint.as_ref().map_or("", |url| url.0.as_ref());
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let is_named = path.ends_with("/messages") && !path.contains("/threads/")
        || capture.api.as_ref().is_some_and(|api| api.0.split('.').any(|word| word == "anthropic"));
    is_named
        && match (envelope.response, envelope.stream) {
            (_, Some(stream)) => stream.get().as_bytes().windows(START.len()).take(200).any(|part| part == START),
            (Some(response), None) => {
                let mark = shape::<Mark<'_>>(response).and_then(|mark| mark.kind);
                mark.is_some_and(|kind| matches!(kind.0.as_ref(), "message" | "error"))
            }
            (None, None) => true,
        }
}

/// Reads an event that holds one call: what a gateway kept of request and answer.
pub(crate) fn decode_one<'a>(
    format: Format,
    event: (&Source<'a>, &'a [u8]),
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut only = None;
    decode(format, event, options, &mut |entry| only = Some(entry))?;
    only.ok_or(DecodeError::WrongFormat { format, missing: "a call", looks_like: None })
}

/// Reads a call of which there is one entry.
pub(crate) fn read_answer<'a>(endpoint: Endpoint, captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    match endpoint {
        Endpoint::Responses => responses::decode(captured),
        Endpoint::Embeddings => embeddings::decode(captured),
        Endpoint::Rerank => embeddings::decode_rerank(captured),
        Endpoint::Transcription => audio::decode_transcription(captured),
        Endpoint::Speech => audio::decode_speech(captured),
        Endpoint::Image => images::decode(captured),
        Endpoint::Ocr => mistral::decode_ocr(captured),
        Endpoint::Conversation => mistral::decode_conversation(captured),
        Endpoint::Other => embeddings::decode_as(None, captured),
        Endpoint::Generation => openrouter::decode_generation(captured),
        Endpoint::Chat | Endpoint::Realtime | Endpoint::Batch => chat::decode(captured),
    }
}

impl Captured<'_, '_> {
    /// Whether the vendor was spoken to in its own words: Ollama and Cohere have both theirs and OpenAI's.
    fn is_native(&self, format: Format) -> bool {
        let capture = self.envelope.capture.as_ref();
        let url = capture.and_then(|capture| capture.endpoint.as_ref()).map_or("", |url| url.0.as_ref());
        match format {
            Format::Ollama => !url.contains("/v1/"),
            Format::Cohere => !url.contains("/compatibility/"),
            _ => false,
        }
    }
}
