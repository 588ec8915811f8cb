//! Google's Interactions API: a response of steps or outputs, or the events of its stream.

use std::collections::BTreeMap;

use daybook_ledger::{Feature, Features};

use super::request::model_name;
use super::usage::Usage;
use crate::decode::DecodeError;
use crate::decode::capture::{Asked, Envelope, Failure, Outcome};
use crate::decode::messages::{Messages, elements, shape};
use crate::decode::object::object;
use crate::decode::openai::chat_stream::join;
use crate::decode::request::{Request, members, says_something};
use crate::decode::scalar::{Count, Text, count, present};
use crate::decode::source::{Json, Source};

object! {
    /// An interaction as it is answered, or as events of its stream hold it.
    pub(crate) struct Interaction<'a> {
        id: Text<'a> = "id",
        model: Text<'a> = "model",
        agent: Text<'a> = "agent",
        status: Text<'a> = "status",
        steps: Json<'a> = "steps" | "outputs",
        usage: Usage<'a> = "usage",
        service_tier: Text<'a> = "service_tier",
        error: Json<'a> = "error" | "errors",
        previous: Json<'a> = "previous_interaction_id",
    }
    ignoring ["object", "created", "updated", "role", "input", "output_text"]
}

object! {
    struct Event<'a> {
        kind: Text<'a> = "event_type" | "type",
        interaction: Interaction<'a> = "interaction",
        index: Count = "index",
        delta: Json<'a> = "delta",
        step: Json<'a> = "step" | "content",
        error: Json<'a> = "error",
    }
    ignoring ["event_id"]
}

object! {
    struct Step<'a> {
        kind: Text<'a> = "type",
        text: Json<'a> = "text",
        content: Json<'a> = "content",
        summary: Json<'a> = "summary",
        id: Json<'a> = "id" | "call_id",
        name: Json<'a> = "name",
        arguments: Json<'a> = "arguments",
    }
}

/// The interaction of `envelope`, if it is one.
pub(crate) fn find<'a>(source: &Source<'a>, envelope: &Envelope<'a>) -> Result<Option<Interaction<'a>>, DecodeError> {
    let named = envelope.capture.as_ref().is_some_and(crate::decode::capture::Capture::is_of_interactions);
    if let Some(stream) = envelope.stream {
        let first = elements(stream).first().copied();
        let events = first.is_some_and(|first| first.get().contains("\"event_type\""));
        return if named || events { read_stream(source, stream).map(Some) } else { Ok(None) };
    }
    let Some(response) = envelope.response.filter(|response| response.get().starts_with('{')) else {
        return Ok(named.then(Interaction::default));
    };
    let keys = members(response);
    let has = |name: &str| keys.iter().any(|(key, _)| key == name);
    let is = keys.iter().any(|(key, value)| key == "object" && value.get() == "\"interaction\"");
    if named || is || has("steps") || has("outputs") { source.object(response).map(Some) } else { Ok(None) }
}

/// The last state of the interaction. What it said stands in the events between.
fn read_stream<'a>(source: &Source<'a>, stream: Json<'a>) -> Result<Interaction<'a>, DecodeError> {
    let mut all = Interaction::default();
    for json in source.elements(stream)? {
        let event: Event<'a> = source.object(json)?;
        if event.error.is_some() {
            all.error = event.error;
        }
        if let Some(later) = event.interaction {
            all = Interaction {
                id: later.id.or(all.id),
                model: later.model.or(all.model),
                agent: later.agent.or(all.agent),
                status: later.status.or(all.status),
                steps: later.steps.filter(|steps| steps.get() != "[]").or(all.steps),
                usage: later.usage.or(all.usage),
                service_tier: later.service_tier.or(all.service_tier),
                error: later.error.or(all.error),
                previous: later.previous.or(all.previous),
                unknown: later.unknown,
            };
        }
    }
    Ok(all)
}

/// The request, in the words of which Interactions and Responses share most.
pub(crate) fn request<'a>(source: &Source<'a>, envelope: &Envelope<'a>) -> Result<Request<'a>, DecodeError> {
    envelope.request.map_or_else(|| Ok(Request::default()), |request| source.object(request))
}

/// What the envelope's entry needs of the request.
pub(crate) fn asked<'a>(request: &mut Request<'a>, envelope: &Envelope<'a>) -> Asked<'a> {
    let mut asked = request.asked();
    for (key, value) in envelope.request.map(members).unwrap_or_default() {
        let feature = match key.as_ref() {
            "previous_interaction_id" => Feature::HostedState,
            "agent" => Feature::HostedState,
            "cached_content" => Feature::PromptCacheControl,
            "response_modalities" if value.get().to_ascii_lowercase().contains("\"audio\"") => Feature::AudioOutput,
            "response_modalities" if value.get().to_ascii_lowercase().contains("\"image\"") => Feature::ImageOutput,
            "generation_config" if value.get().contains("\"thinking_") => Feature::ReasoningControl,
            _ => continue,
        };
        asked.features.insert_if(says_something(value), feature);
    }
    asked.model = asked.model.map(model_name);
    asked.streamed =
        if envelope.stream.is_some() { Some(true) } else { asked.streamed.or(envelope.request.map(|_| false)) };
    asked
}

impl<'a> Interaction<'a> {
    /// What became of it, its answer written to `output`: of its steps or, without any, of the events of `stream`.
    pub(crate) fn outcome(
        self,
        source: &Source<'a>,
        stream: Option<Json<'a>>,
        output: &mut Messages,
    ) -> Result<(Outcome<'a>, Usage<'a>, Features), DecodeError> {
        let mut features = Features::default();
        features.insert_if(self.previous.is_some_and(says_something), Feature::HostedState);
        let steps = self.steps.map(elements).unwrap_or_default();
        output.message("assistant", None, |output| match (steps.is_empty(), stream) {
            (true, Some(stream)) => write_deltas(stream, output, &mut features),
            _ => steps.iter().for_each(|step| write_step(step, output, &mut features)),
        });
        let status = present(self.status);
        let word = status.as_deref().unwrap_or_default();
        let failure = match self.error.filter(|error| !matches!(error.get(), "[]" | "{}")) {
            Some(error) if error.get().starts_with('[') => {
                elements(error).first().map(|error| Failure::read(source, error)).transpose()?
            }
            Some(error) => Some(Failure::read(source, error)?),
            None if word == "failed" => Some(Failure::default()),
            None => None,
        };
        let mut outcome = Outcome {
            id: present(self.id),
            model: present(self.model).or(present(self.agent)).map(model_name),
            service_tier: present(self.service_tier),
            failure,
            pending: matches!(word, "queued" | "in_progress"),
            finished: matches!(word, "completed" | "requires_action" | "continuation_required" | "")
                && (self.usage.is_some() || self.steps.is_some()),
            ..Outcome::default()
        };
        outcome.finish_reason = status;
        outcome.extra.add("response", &self.unknown);
        Ok((outcome, self.usage.unwrap_or_default(), features))
    }
}

/// The texts of a stream by step, in order; other steps as they began.
fn write_deltas(stream: Json<'_>, output: &mut Messages, features: &mut Features) {
    #[derive(Default)]
    struct Pieces<'a> {
        start: Option<Json<'a>>,
        text: Vec<Json<'a>>,
    }
    let mut pieces: BTreeMap<i64, Pieces<'_>> = BTreeMap::new();
    for event in elements(stream).into_iter().filter_map(shape::<Event<'_>>) {
        let step = pieces.entry(count(event.index).unwrap_or(0)).or_default();
        step.start = event.step.or(step.start);
        let delta = event.delta.and_then(shape::<Step<'_>>);
        let visible = |delta: &Step<'_>| delta.kind.as_ref().is_none_or(|kind| kind.0 == "text");
        step.text.extend(delta.filter(visible).and_then(|delta| delta.text));
    }
    for step in pieces.values() {
        match join(output.writer.is_on(), &step.text) {
            Some(text) => output.typed_json("text", &text),
            None => step.start.into_iter().for_each(|start| write_step(start, output, features)),
        }
    }
}

fn write_step(json: Json<'_>, output: &mut Messages, features: &mut Features) {
    let Some(step) = shape::<Step<'_>>(json) else { return output.copy(json) };
    let kind = step.kind.as_ref().map_or("", |kind| kind.0.as_ref());
    let hosted = match kind.split('_').next().unwrap_or_default() {
        "google" | "url" => Some(Feature::WebSearch),
        "code" => Some(Feature::CodeExecution),
        "mcp" => Some(Feature::RemoteMcp),
        "file" | "retrieval" if kind.ends_with("_call") || kind.ends_with("_result") => {
            Some(Feature::HostedVectorStore)
        }
        _ => None,
    };
    hosted.into_iter().for_each(|feature| features.insert(feature));
    match kind {
        // What was said before is part of the input.
        "user_input" | "function_result" => {}
        "text" => step.text.into_iter().for_each(|text| output.text(text)),
        "model_output" => step.content.into_iter().for_each(|content| output.content(content)),
        "thought" => {
            let parts = step.summary.map(elements).unwrap_or_default();
            let texts = parts.iter().filter_map(|part| shape::<Step<'_>>(part)?.text);
            texts.for_each(|text| output.typed("reasoning", text));
        }
        "function_call" => {
            output.features.insert(Feature::ToolCalling);
            output.tool_call(step.id, step.name, step.arguments.map(|arguments| arguments.get()));
        }
        _ => output.copy(json),
    }
}
