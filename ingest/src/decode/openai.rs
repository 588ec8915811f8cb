//! OpenAI's APIs, whoever serves them: which endpoint of which vendor a captured call went to, and the file that reads it.

use daybook_ledger::Entry;

use super::capture::Envelope;
use super::captured::Captured;
use super::dialect::{Endpoint, Vendor};
use super::source::Source;
use super::{
    DecodeError, DecodeOptions, Format, cohere, mistral, ollama, openai_audio, openai_batch, openai_chat,
    openai_embeddings, openai_images, openai_realtime, openai_responses, openrouter,
};

/// Reads one event of `format` and gives each of its entries to `sink`, all of them or, on error, none.
pub(super) fn decode<'a>(
    format: Format,
    (source, raw): (&Source<'a>, &'a [u8]),
    options: &DecodeOptions,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<(), DecodeError> {
    if openai_batch::is_bare(source)? {
        return openai_batch::decode_bare(format, (source, raw), options)?.into_iter().try_for_each(|entry| {
            sink(entry);
            Ok(())
        });
    }
    let is_bare = |_: &str| super::sniff(source.text()).is_some_and(Format::speaks_openai);
    let envelope = Envelope::read_if(source, format, is_bare)?;
    let endpoint = match &envelope.capture {
        Some(capture) => Endpoint::of_capture(capture.endpoint.as_ref(), capture.api.as_ref()),
        None => None,
    };
    let endpoint = endpoint.or_else(|| envelope.response.and_then(Endpoint::of_answer));
    let endpoint = endpoint.unwrap_or(Endpoint::of_format(format));
    let vendor = Vendor::of(format, &envelope);
    let captured = Captured { source, raw, bodies: options.bodies, envelope, vendor };
    match (endpoint, captured.is_native(format)) {
        (endpoint, true) if format == Format::Ollama => ollama::decode(captured, endpoint)?.into_iter().for_each(sink),
        (endpoint, true) => sink(cohere::decode(captured, endpoint)?),
        (Endpoint::Realtime, _) => openai_realtime::decode(captured)?.into_iter().for_each(sink),
        (Endpoint::Batch, _) => openai_batch::decode(captured)?.into_iter().for_each(sink),
        (endpoint, false) => sink(read_answer(endpoint, captured)?),
    }
    Ok(())
}

/// Reads an event that holds one call: what a gateway kept of request and answer.
pub(super) fn decode_one<'a>(
    format: Format,
    event: (&Source<'a>, &'a [u8]),
    options: &DecodeOptions,
) -> Result<Entry<'a>, DecodeError> {
    let mut only = None;
    decode(format, event, options, &mut |entry| only = Some(entry))?;
    only.ok_or(DecodeError::WrongFormat { format, missing: "a call", looks_like: None })
}

/// Reads a call of which there is one entry.
pub(super) fn read_answer<'a>(endpoint: Endpoint, captured: Captured<'_, 'a>) -> Result<Entry<'a>, DecodeError> {
    match endpoint {
        Endpoint::Responses => openai_responses::decode(captured),
        Endpoint::Embeddings => openai_embeddings::decode(captured),
        Endpoint::Rerank => openai_embeddings::decode_rerank(captured),
        Endpoint::Transcription => openai_audio::decode_transcription(captured),
        Endpoint::Speech => openai_audio::decode_speech(captured),
        Endpoint::Image => openai_images::decode(captured),
        Endpoint::Ocr => mistral::decode_ocr(captured),
        Endpoint::Conversation => mistral::decode_conversation(captured),
        Endpoint::Other => openai_embeddings::decode_as(None, captured),
        Endpoint::Generation => openrouter::decode_generation(captured),
        Endpoint::Chat | Endpoint::Realtime | Endpoint::Batch => openai_chat::decode(captured),
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
