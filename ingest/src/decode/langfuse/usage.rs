//! Langfuse's counts: free keys that exclude each other, and the forms before them.

use daybook_ledger::{Entry, Tokens, UsageSource};

use super::Observation;
use crate::decode::DecodeError;
use crate::decode::extra::Extra;
use crate::decode::object::object;
use crate::decode::openai::usage::{Usage, drop_placeholders, meter, sum};
use crate::decode::quoted::Quoted;
use crate::decode::request::members;
use crate::decode::scalar::{Count, Text, count};
use crate::decode::source::{Json, Source};

object! {
    /// `usage`, which sums up what `usageDetails` has in parts; older clients wrote OpenAI's names.
    pub(crate) struct Legacy<'a> {
        input: Count = "input" | "promptTokens",
        output: Count = "output" | "completionTokens",
        total: Count = "total" | "totalTokens",
        unit: Text<'a> = "unit",
        pub(crate) total_cost: Json<'a> = "totalCost",
    }
    ignoring ["inputCost", "outputCost"]
}

/// The part a key of `usageDetails` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Input,
    InputAudio,
    InputImage,
    CacheRead,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    Output,
    OutputAudio,
    OutputImage,
    Reasoning,
    Total,
}

impl Part {
    /// As Langfuse itself reads keys: what holds "input" is input, what holds "output" is output.
    fn of(key: &str) -> Option<Self> {
        let key = key.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| key.contains(word));
        if matches!(key.as_str(), "total" | "total_tokens" | "totaltokens") {
            Some(Self::Total)
        } else if has(&["input", "prompt"]) {
            Some(match () {
                () if has(&["ephemeral"]) || has(&["cache"]) && has(&["creation", "write"]) => match () {
                    () if has(&["5m"]) => Self::CacheWrite5m,
                    () if has(&["1h"]) => Self::CacheWrite1h,
                    () => Self::CacheWrite,
                },
                () if has(&["cache"]) => Self::CacheRead,
                () if has(&["audio"]) => Self::InputAudio,
                () if has(&["image"]) => Self::InputImage,
                () => Self::Input,
            })
        } else if has(&["output", "completion"]) {
            Some(match () {
                () if has(&["reasoning", "thinking", "thought"]) => Self::Reasoning,
                () if has(&["audio"]) => Self::OutputAudio,
                () if has(&["image"]) => Self::OutputImage,
                () => Self::Output,
            })
        } else {
            None
        }
    }
}

/// Counts by part, as far as keys name one.
#[derive(Clone, Copy, Debug, Default)]
struct Parts([Option<i64>; 12]);

impl Parts {
    const fn get(&self, part: Part) -> Option<i64> {
        #[expect(clippy::indexing_slicing, reason = "a part is one of twelve")]
        self.0[part as usize]
    }

    fn add(&mut self, part: Part, count: i64) {
        if let Some(slot) = self.0.get_mut(part as usize) {
            *slot = Some(slot.unwrap_or(0).saturating_add(count));
        }
    }

    fn sum_of(&self, parts: &[Part]) -> Option<i64> {
        sum(&parts.iter().map(|part| self.get(*part)).collect::<Vec<_>>())
    }

    /// Totals with their parts inside. Parts exclude each other, unless only the other reading gives the source's total:
    /// clients that send a provider's usage as it is have the cache in `input` and the reasoning in `output`.
    fn tokens(&self) -> Tokens {
        let writes = [Part::CacheWrite, Part::CacheWrite5m, Part::CacheWrite1h];
        let rest_in = [Part::CacheRead, Part::InputAudio, Part::InputImage];
        let rest_out = [Part::Reasoning, Part::OutputAudio, Part::OutputImage];
        let split = self.sum_of(&[Part::CacheWrite5m, Part::CacheWrite1h]);
        // Anthropic's usage, flattened, has the writes and, again, their split by lifetime.
        let restated = split.is_some() && split == self.get(Part::CacheWrite);
        let cache_write = if restated { split } else { self.sum_of(&writes) };
        let input = sum(&[self.get(Part::Input), cache_write, self.sum_of(&rest_in)]);
        let output = sum(&[self.get(Part::Output), self.sum_of(&rest_out)]);
        let total = self.get(Part::Total);
        let readings = [
            (input, output),
            (self.get(Part::Input), self.get(Part::Output)),
            (self.get(Part::Input), output),
            (input, self.get(Part::Output)),
        ];
        let fits = |(input, output): &(Option<i64>, Option<i64>)| sum(&[*input, *output]) == total;
        let (input, output) = readings.into_iter().find(fits).unwrap_or((input, output));
        Tokens {
            input,
            cache_read: self.get(Part::CacheRead),
            cache_write,
            cache_write_5m: self.get(Part::CacheWrite5m),
            cache_write_1h: self.get(Part::CacheWrite1h),
            input_audio: self.get(Part::InputAudio),
            input_image: self.get(Part::InputImage),
            output,
            reasoning: self.get(Part::Reasoning),
            output_audio: self.get(Part::OutputAudio),
            output_image: self.get(Part::OutputImage),
            total,
            ..Tokens::default()
        }
    }
}

/// Takes the counts from the newest form that has any.
pub(crate) fn count_usage<'a>(
    source: &Source<'a>,
    seen: &Observation<'a>,
    extra: &mut Extra<'a>,
    entry: &mut Entry<'a>,
) -> Result<(), DecodeError> {
    let legacy = seen.usage.as_ref();
    if let Some(legacy) = legacy {
        extra.add("usage", &legacy.unknown);
    }
    let details = seen.usage_details.and_then(Quoted::read);
    let mut tokens = match &details {
        Some(details) => read_details(source, (details.json(), seen.usage_details), extra, entry)?,
        None => Tokens::default(),
    };
    if tokens.is_absent() {
        tokens = Tokens {
            input: legacy.and_then(|usage| count(usage.input)).or(count(seen.prompt_tokens)),
            output: legacy.and_then(|usage| count(usage.output)).or(count(seen.completion_tokens)),
            total: legacy.and_then(|usage| count(usage.total)).or(count(seen.total_tokens)),
            ..Tokens::default()
        };
        // Without usage the API fills in zeros.
        drop_placeholders(&mut tokens);
    }
    let unit =
        legacy.and_then(|usage| usage.unit.as_ref()).or(seen.unit.as_ref()).map(|unit| unit.0.to_ascii_uppercase());
    match unit.as_deref().and_then(meter_of) {
        Some((input, output)) => {
            meter(&mut entry.meters, input, tokens.input.or(tokens.total));
            meter(&mut entry.meters, output, tokens.output);
        }
        None => entry.tokens = tokens,
    }
    // Langfuse keeps what was sent to it apart from what it counted itself, with a tokenizer of its own.
    let sent = seen.provided_usage.and_then(Quoted::read);
    let nothing_sent = sent.is_some_and(|sent| sent.json().get() == "{}");
    if nothing_sent && !entry.tokens.is_absent() {
        entry.usage_source = UsageSource::Estimated;
    }
    Ok(())
}

/// The meters of counts that are not tokens.
fn meter_of(unit: &str) -> Option<(&'static str, &'static str)> {
    Some(match unit {
        "CHARACTERS" => ("input_characters", "output_characters"),
        "SECONDS" => ("input_seconds", "output_seconds"),
        "MILLISECONDS" => ("input_milliseconds", "output_milliseconds"),
        "IMAGES" => ("input_images", "output_images"),
        "REQUESTS" => ("requests", "output_requests"),
        _ => return None,
    })
}

/// `usageDetails`; clients that send OpenAI's usage object as it is have objects inside.
fn read_details<'a>(
    source: &Source<'a>,
    (details, place): (Json<'_>, Option<Json<'a>>),
    extra: &mut Extra<'a>,
    entry: &mut Entry<'a>,
) -> Result<Tokens, DecodeError> {
    let bad = |reason: String| match place {
        Some(place) => source.bad_value(place, reason),
        None => DecodeError::Empty,
    };
    let keys = members(details);
    if keys.iter().any(|(_, json)| json.get().starts_with('{')) {
        let usage = serde_json::from_str::<Usage<'_>>(details.get()).map_err(|error| bad(error.to_string()))?;
        usage.meters(&mut entry.meters);
        let mut unknown = Extra::default();
        usage.note_unknown("usageDetails", &mut unknown);
        extra.absorb(unknown);
        return Ok(usage.tokens());
    }
    let mut parts = Parts::default();
    for (key, json) in &keys {
        let read = serde_json::from_str::<Count>(json.get());
        let number = read.map_err(|error| bad(format!("`{key}`: {error}")))?.0;
        match (Part::of(key), number) {
            (Some(part), Some(number)) if !key.contains("video") => parts.add(part, number),
            (_, None) => {}
            // What is neither input nor output Langfuse does not count either.
            (_, Some(_)) => extra.copy(format!("usageDetails.{key}"), json.get()),
        }
    }
    Ok(parts.tokens())
}
