//! One call at a vendor that speaks OpenAI's APIs: what its endpoints have in common, from envelope to entry.

use std::borrow::Cow;

use daybook_ledger::{Entry, Operation, Tokens, UsageSource, Usd};

use super::DecodeError;
use super::capture::{Call, Envelope, Failure, Outcome, add_features, note_modalities};
use super::dialect::Vendor;
use super::extra::Extra;
use super::messages::Messages;
use super::object::object;
use super::openai::usage::{Usage, openai_lifetime};
use super::provider::Host;
use super::request::{Request, both_directions};
use super::scalar::{Text, present};
use super::source::{Json, Source};

/// A captured call, and who answered it.
pub(super) struct Captured<'s, 'a> {
    pub(super) source: &'s Source<'a>,
    pub(super) raw: &'a [u8],
    /// Whether messages are to be written.
    pub(super) bodies: bool,
    pub(super) envelope: Envelope<'a>,
    pub(super) vendor: Vendor,
}

/// What an answer says, however it came.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) outcome: Outcome<'a>,
    pub(super) usage: Option<Usage<'a>>,
    pub(super) created: Option<Json<'a>>,
    /// The lifetime of cache writes, where the answer states it.
    pub(super) cache_ttl: Option<Cow<'a, str>>,
    /// Quantities counted outside of `usage`.
    pub(super) meters: Vec<(&'static str, Usd)>,
    /// It is a piece of a stream, which came alone.
    pub(super) streamed: bool,
}

impl<'a> Captured<'_, 'a> {
    /// The request; an empty one where the event has none.
    pub(super) fn request(&self) -> Result<Request<'a>, DecodeError> {
        self.envelope.request.map_or_else(|| Ok(Request::default()), |request| self.source.object(request))
    }

    /// The request, what it says, and room for what is answered.
    pub(super) fn asked(&self) -> Result<(Request<'a>, Messages, Messages), DecodeError> {
        let request = self.request()?;
        let (mut input, output) = both_directions(self.bodies);
        request.say(&mut input);
        Ok((request, input, output))
    }

    /// An error of this vendor. `code` stands beside it where the error is only a sentence.
    pub(super) fn failure(&self, error: Json<'a>, code: Option<Cow<'a, str>>) -> Result<Failure<'a>, DecodeError> {
        let mut failure = Failure::read(self.source, error)?;
        if failure.word.is_none() && error.get().starts_with('"') {
            let sentence = || self.source.string(error).map(|text| Some(text).filter(|text| !text.is_empty()));
            let word = if self.vendor.dialect.errors_are_sentences { sentence()? } else { None };
            failure.word = code.filter(|code| !code.bytes().all(|byte| byte.is_ascii_digit())).or(word);
        }
        Ok(failure)
    }

    fn host(&self) -> Host<'_> {
        let endpoint = self.envelope.capture.as_ref().and_then(|capture| capture.endpoint.as_ref());
        endpoint.map(|endpoint| Host::of(&endpoint.0)).unwrap_or_default()
    }

    /// The counts of `usage`, in the ledger's convention.
    fn tokens(&self, usage: &Usage<'a>) -> Tokens {
        let mut tokens = usage.tokens();
        if let (Some(input), Some(output), Some(total), None) =
            (tokens.input, tokens.output, tokens.total, tokens.reasoning)
        {
            // In OpenAI's words, Google counts thoughts in the total alone.
            let thoughts = total.saturating_sub(input).saturating_sub(output);
            if thoughts > 0 && matches!(self.host().provider, Some("gemini" | "vertex_ai")) {
                (tokens.output, tokens.reasoning) = (Some(output.saturating_add(thoughts)), Some(thoughts));
            }
        }
        if let (Some(output), Some(reasoning), None) = (tokens.output, tokens.reasoning, tokens.total) {
            // Without a total this is the only reading of which the parts are not more than the whole.
            if self.vendor.dialect.reasoning_beside && reasoning > output && output >= 0 {
                tokens.output = Some(output.saturating_add(reasoning));
            }
        }
        tokens
    }

    /// The entry of a call of kind `operation`.
    pub(super) fn conclude(
        mut self,
        operation: impl Into<Option<Operation>>,
        (mut request, input, output): (Request<'a>, Messages, Messages),
        answer: Answer<'a>,
    ) -> Result<Entry<'a>, DecodeError> {
        let operation = operation.into();
        let Answer { mut outcome, usage, created, cache_ttl, meters, streamed } = answer;
        outcome.pending |= self.envelope.is_pending();
        outcome.extra.add("", &self.envelope.unknown);
        if let Some(usage) = &usage {
            outcome.tokens = self.tokens(usage);
            usage.note_unknown("usage", &mut outcome.extra);
            if let (None, None, Some(total)) = (outcome.tokens.input, outcome.tokens.output, outcome.tokens.total) {
                // A sum of which nothing says what it is of has no column.
                outcome.extra.copy("usage.total_tokens".to_owned(), &total.to_string());
            }
        }
        let reported = match &usage {
            Some(usage) => self.reported_cost(usage, &mut outcome)?,
            None => None,
        };
        if matches!(operation, Some(Operation::Embeddings | Operation::Rerank)) {
            // Vectors and orders are no tokens: an answer without a count for them counted none, and its total is input.
            let tokens = &mut outcome.tokens;
            tokens.input = tokens.input.or(tokens.total.filter(|_| tokens.output.unwrap_or(0) == 0));
            tokens.output = tokens.output.or(tokens.input.map(|_| 0));
        }
        let Vendor { dialect, certain } = self.vendor;
        let provider = dialect.provider;
        let call = Call { source: self.source, raw: self.raw, family: provider, operation, provider, certain };
        let mut entry = call.entry(self.envelope.capture.take(), &mut request, outcome)?;
        openai_lifetime(&mut entry, cache_ttl.or_else(|| request.cache_ttl()).as_deref());
        entry.streamed = match (self.envelope.stream, self.envelope.request) {
            (Some(_), _) => Some(true),
            (None, Some(_)) => entry.streamed.or(Some(false)),
            (None, None) => entry.streamed.or(streamed.then_some(true)),
        };
        if entry.started_at.is_none() {
            entry.started_at = self.source.instant(created)?;
        }
        self.add_meters(&mut entry, usage.as_ref(), meters)?;
        if let Some(cost) = reported {
            (entry.reported_cost, entry.reported_currency) = (Some(cost), Some("USD"));
        }
        entry.session_id = request.conversation();
        note_modalities(&mut entry);
        super::litellm::note_embedding(&mut entry);
        add_features(&mut entry, input.features);
        add_features(&mut entry, output.features);
        if self.bodies {
            entry.body = request.body(self.envelope.request, input, output);
        }
        Ok(entry)
    }

    /// Quantities that are not tokens. A call billed by them alone has usage too.
    fn add_meters(
        &self,
        entry: &mut Entry<'a>,
        usage: Option<&Usage<'a>>,
        meters: Vec<(&'static str, Usd)>,
    ) -> Result<(), DecodeError> {
        let billed = !meters.is_empty();
        entry.meters.extend(meters);
        if let Some(usage) = usage {
            let seconds = usage.audio_seconds(self.source)?.filter(|seconds| *seconds != Usd::ZERO);
            if seconds.is_some() || entry.tokens != Tokens::default() {
                usage.meters(&mut entry.meters);
            }
            if let Some(seconds) = seconds.filter(|_| !entry.meters.iter().any(|(name, _)| *name == "audio_seconds")) {
                entry.meters.push(("audio_seconds", seconds));
            }
            if seconds.is_some() {
                entry.usage_source = UsageSource::Provider;
            }
        }
        if billed {
            entry.usage_source = UsageSource::Provider;
        }
        Ok(())
    }

    /// What the vendor says it charged, in dollars.
    fn reported_cost(&self, usage: &Usage<'a>, outcome: &mut Outcome<'a>) -> Result<Option<Usd>, DecodeError> {
        if let Some(ticks) = self.source.decimal(usage.cost_in_usd_ticks)? {
            // A tick is 1e-10 dollars.
            return Ok(Some(Usd::from_pico(ticks.pico() / 10_000_000_000)));
        }
        match usage.cost {
            Some(cost) if !self.vendor.dialect.reports_cost => {
                outcome.extra.member("usage.cost".to_owned(), cost.get());
                Ok(None)
            }
            cost => self.source.decimal(cost),
        }
    }
}

object! {
    /// An answer that is not a conversation: vectors, sound as text, pictures, pages, or the error that came instead.
    pub(super) struct Plain<'a> {
        pub id: Text<'a> = "id",
        pub object: Text<'a> = "object",
        pub model: Text<'a> = "model",
        pub created: Json<'a> = "created" | "created_at",
        pub usage: Usage<'a> = "usage",
        pub service_tier: Text<'a> = "service_tier",
        pub error: Json<'a> = "error",
        pub code: Text<'a> = "code",
        pub text: Json<'a> = "text",
        pub data: Json<'a> = "data",
        /// Seconds of sound, in verbose transcriptions.
        pub duration: Json<'a> = "duration",
        pub output_format: Text<'a> = "output_format",
        pub pages: Json<'a> = "pages",
        pub usage_info: Json<'a> = "usage_info",
    }
    // The type of a stream's event; what was found, heard, read or seen in detail.
    ignoring ["type", "results", "segments", "words", "logprobs", "task", "b64_json", "document_annotation"]
}

impl<'a> Captured<'_, 'a> {
    /// Reads an answer that is an object; `done` tells from it whether it is whole.
    pub(super) fn plain(
        &self,
        response: Json<'a>,
        done: impl FnOnce(&Plain<'a>) -> bool,
    ) -> Result<(Answer<'a>, Plain<'a>), DecodeError> {
        let mut plain: Plain<'a> = self.source.object(response)?;
        if plain.object.as_ref().is_some_and(|object| object.0 == "error") {
            plain.error = Some(response);
        }
        let failure = match plain.error {
            Some(error) => Some(self.failure(error, present(plain.code.take()))?),
            None => None,
        };
        let mut extra = Extra::default();
        extra.add("", &plain.unknown);
        let outcome = Outcome {
            id: present(plain.id.take()),
            model: present(plain.model.take()),
            service_tier: present(plain.service_tier.take()),
            finished: failure.is_none() && done(&plain),
            failure,
            extra,
            ..Outcome::default()
        };
        let usage = plain.usage.take();
        Ok((Answer { outcome, usage, created: plain.created, ..Answer::default() }, plain))
    }
}
