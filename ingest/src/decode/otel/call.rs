//! The `gen_ai.*` attributes of one call, under their present and their former names.

use std::borrow::Cow;

use daybook_ledger::{Body, Entry, Feature, Features, Operation, Status, Tokens, UsageSource, Usd};
use serde_json::value::RawValue;

use super::indexed::Spelt;
use super::value::{AttributeValue, Plain};
use crate::decode::capture::{add_features, is_filtered, note_modalities, note_model};
use crate::decode::litellm::note_embedding;
use crate::decode::messages::{Direction, Messages, elements};
use crate::decode::openai::usage::{drop_placeholders, sum};
use crate::decode::provider::{Host, Model, canonical};
use crate::decode::request::note_tool;
use crate::decode::scalar::HttpStatus;
use crate::decode::source::nests_too_deep;
use crate::decode::{DecodeError, DecodeOptions};

type Word<'a> = Option<Cow<'a, str>>;

/// What the attributes say. Where an attribute has several names, `fields[0]` is the present one and wins.
#[derive(Debug, Default)]
pub(crate) struct Attributed<'a> {
    operation: Word<'a>,
    request_type: Word<'a>,
    event_name: Word<'a>,
    provider: [Word<'a>; 2],
    request_model: Word<'a>,
    response_model: Word<'a>,
    response_id: Word<'a>,
    finish_reason: Word<'a>,
    service_tier: [Word<'a>; 2],
    error_type: Word<'a>,
    http_status: Option<i64>,
    server_address: Word<'a>,
    conversation: Word<'a>,
    session: Word<'a>,
    end_user: Word<'a>,
    agent: Word<'a>,
    region: Word<'a>,
    environment: Word<'a>,
    streamed: Option<bool>,
    first_chunk_seconds: Option<Usd>,
    cost: Option<Usd>,
    usage: Usage,
    features: Features,
    system: Option<Plain<'a>>,
    input: [Option<Plain<'a>>; 3],
    output: [Option<Plain<'a>>; 3],
    tools: Option<Plain<'a>>,
    spelt: Spelt<'a>,
    /// What OpenInference and the AI SDK of Vercel say in words of their own.
    span_kind: Word<'a>,
    sdk_operation: Word<'a>,
    named_model: Word<'a>,
    named_provider: Word<'a>,
    /// Counts of usage under names nobody knows here.
    unknown: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Usage {
    input: [Option<i64>; 2],
    output: [Option<i64>; 2],
    total: Option<i64>,
    cache_read: [Option<i64>; 2],
    cache_write: [Option<i64>; 2],
    reasoning: [Option<i64>; 2],
    input_audio: Option<i64>,
    input_image: Option<i64>,
    cached_audio: Option<i64>,
    cached_image: Option<i64>,
    output_audio: Option<i64>,
    output_image: Option<i64>,
}

impl<'a> Attributed<'a> {
    /// Reads the attributes of interest. Where nothing is about a model, nothing is: other spans may hold anything.
    pub(crate) fn read<'k, V: AttributeValue<'a>>(
        attributes: impl Iterator<Item = (&'k str, V)> + Clone,
    ) -> Result<Self, DecodeError> {
        let mut read = Self::default();
        const MARKS: [&str; 4] = ["gen_ai.", "llm.", "openinference.", "ai.operationId"];
        if attributes.clone().any(|(key, _)| MARKS.iter().any(|mark| key.starts_with(mark))) {
            for (key, value) in attributes {
                read.take(key, value)?;
            }
        }
        Ok(read)
    }

    fn take(&mut self, key: &str, value: impl AttributeValue<'a>) -> Result<(), DecodeError> {
        if let Some(usage) = key.strip_prefix("gen_ai.usage.").or_else(|| key.strip_prefix("llm.usage.")) {
            return self.take_usage(key, usage, value);
        }
        if let Some(count) = key.strip_prefix("llm.token_count.") {
            return self.take_count(count, value);
        }
        if self.spelt.take(key, &value)? {
            return Ok(());
        }
        match key {
            "gen_ai.operation.name" => self.operation = value.text()?,
            "llm.request.type" => self.request_type = value.text()?,
            "openinference.span.kind" => self.span_kind = value.text()?,
            "ai.operationId" => self.sdk_operation = value.text()?,
            "llm.model_name" | "embedding.model_name" | "ai.model.id" => self.named_model = value.text()?,
            "llm.provider" | "llm.system" | "ai.model.provider" => {
                let named = value.text()?;
                self.named_provider = self.named_provider.take().or(named);
            }
            "llm.cost.total" => self.cost = self.cost.or(value.decimal()?),
            "input.value" => self.input[2] = Some(value.plain()?),
            "output.value" => self.output[2] = Some(value.plain()?),
            "ai.usage.cachedInputTokens" => self.usage.cache_read[1] = value.count()?,
            "ai.usage.reasoningTokens" => self.usage.reasoning[1] = value.count()?,
            "ai.usage.tokens" => self.usage.input[1] = value.count()?,
            "event.name" => self.event_name = value.text()?,
            "gen_ai.provider.name" => self.provider[0] = value.text()?,
            "gen_ai.system" | "gen_ai.model.provider" => self.provider[1] = value.text()?,
            "gen_ai.request.model" => self.request_model = value.text()?,
            "gen_ai.response.model" => self.response_model = value.text()?,
            "gen_ai.response.id" => self.response_id = value.text()?,
            "gen_ai.response.finish_reasons" | "gen_ai.response.finish_reason" => {
                self.finish_reason = value.first_text()?;
            }
            "openai.response.service_tier" => self.service_tier[0] = value.text()?,
            "gen_ai.openai.response.service_tier" => self.service_tier[1] = value.text()?,
            "error.type" => self.error_type = value.text()?,
            "http.response.status_code" | "http.status_code" => self.http_status = value.count()?,
            "server.address" => self.server_address = value.text()?,
            "gen_ai.conversation.id" => self.conversation = value.text()?,
            "session.id" => self.session = value.text()?,
            "user.id" | "enduser.id" => self.end_user = value.text()?,
            "gen_ai.agent.name" => self.agent = value.text()?,
            "aws.region" => self.region = value.text()?,
            "deployment.environment.name" | "deployment.environment" => self.environment = value.text()?,
            "gen_ai.request.stream" | "llm.is_streaming" | "gen_ai.is_streaming" => self.streamed = value.flag()?,
            "gen_ai.response.time_to_first_chunk" => self.first_chunk_seconds = value.decimal()?,
            "gen_ai.system_instructions" => self.system = Some(value.plain()?),
            "gen_ai.input.messages" => self.input[0] = Some(value.plain()?),
            "gen_ai.prompt" | "gen_ai.prompt_json" => self.input[1] = Some(value.plain()?),
            "gen_ai.output.messages" => self.output[0] = Some(value.plain()?),
            "gen_ai.completion" | "gen_ai.completion_json" => self.output[1] = Some(value.plain()?),
            "gen_ai.tool.definitions" => self.tools = Some(value.plain()?),
            _ => self.take_feature(key, value)?,
        }
        Ok(())
    }

    /// OpenInference's counts, inclusive as the convention's.
    fn take_count(&mut self, name: &str, value: impl AttributeValue<'a>) -> Result<(), DecodeError> {
        let usage = &mut self.usage;
        let field = match name {
            "prompt" => &mut usage.input[1],
            "completion" => &mut usage.output[1],
            "total" => &mut usage.total,
            "prompt_details.cache_read" => &mut usage.cache_read[1],
            "prompt_details.cache_write" => &mut usage.cache_write[1],
            "prompt_details.audio" => &mut usage.input_audio,
            "completion_details.reasoning" => &mut usage.reasoning[1],
            "completion_details.audio" => &mut usage.output_audio,
            _ => return self.keep_unknown(&format!("llm.token_count.{name}"), value),
        };
        *field = value.count()?;
        Ok(())
    }

    /// Keeps a count under a name nobody knows here, as it is written.
    fn keep_unknown(&mut self, key: &str, value: impl AttributeValue<'a>) -> Result<(), DecodeError> {
        const MEMBERS_MAX: usize = 32;
        let json = match value.plain()? {
            Plain::Json(json) => json,
            Plain::Text(text) => {
                let mut json = String::new();
                crate::decode::writer::push_string(&mut json, &text);
                json
            }
        };
        if self.unknown.len() < MEMBERS_MAX && json.len() <= 256 && json != "null" {
            self.unknown.push((key.to_owned(), json));
        }
        Ok(())
    }

    fn take_usage(&mut self, key: &str, name: &str, value: impl AttributeValue<'a>) -> Result<(), DecodeError> {
        let usage = &mut self.usage;
        let field = match name {
            "input_tokens" => &mut usage.input[0],
            "prompt_tokens" => &mut usage.input[1],
            "output_tokens" => &mut usage.output[0],
            "completion_tokens" => &mut usage.output[1],
            "total_tokens" => &mut usage.total,
            "cache_read.input_tokens" => &mut usage.cache_read[0],
            "cache_read_input_tokens" => &mut usage.cache_read[1],
            "cache_write.input_tokens" => &mut usage.cache_write[0],
            "cache_creation.input_tokens" | "cache_creation_input_tokens" => &mut usage.cache_write[1],
            "reasoning.output_tokens" => &mut usage.reasoning[0],
            "reasoning_tokens" => &mut usage.reasoning[1],
            "audio.input_tokens" => &mut usage.input_audio,
            "image.input_tokens" => &mut usage.input_image,
            "audio.cache_read.input_tokens" => &mut usage.cached_audio,
            "image.cache_read.input_tokens" => &mut usage.cached_image,
            "audio.output_tokens" => &mut usage.output_audio,
            "image.output_tokens" => &mut usage.output_image,
            "details.cache_read_tokens" | "details.cache_read_input_tokens" => &mut usage.cache_read[1],
            "details.cache_write_tokens" | "details.cache_creation_input_tokens" => &mut usage.cache_write[1],
            "details.reasoning_tokens" => &mut usage.reasoning[1],
            "cost" => {
                self.cost = value.decimal()?;
                return Ok(());
            }
            // Parts that are the rest of others.
            "text.input_tokens" | "text.output_tokens" | "text.cache_read.input_tokens" => return Ok(()),
            _ => return self.keep_unknown(key, value),
        };
        *field = value.count()?;
        Ok(())
    }

    fn take_feature(&mut self, key: &str, value: impl AttributeValue<'a>) -> Result<(), DecodeError> {
        let mut note = |condition, feature| self.features.insert_if(condition, feature);
        match key {
            "gen_ai.request.choice.count" => note(value.count()?.is_some_and(|n| n > 1), Feature::MultipleChoices),
            "gen_ai.output.type" => match value.text()?.as_deref() {
                Some("json") => note(true, Feature::StructuredOutput),
                Some("speech") => note(true, Feature::AudioOutput),
                Some("image") => note(true, Feature::ImageOutput),
                _ => {}
            },
            "gen_ai.openai.request.response_format" => {
                let format = value.text()?;
                note(format.is_some_and(|format| format.starts_with("json")), Feature::StructuredOutput);
            }
            "aws.bedrock.guardrail.id" => note(value.text()?.is_some(), Feature::Guardrails),
            "aws.bedrock.knowledge_base.id" => note(value.text()?.is_some(), Feature::HostedVectorStore),
            _ => {
                note(key.starts_with("gen_ai.request.reasoning"), Feature::ReasoningControl);
                note(key.starts_with("llm.request.functions.") || key.starts_with("llm.tools."), Feature::ToolCalling);
            }
        }
        Ok(())
    }

    /// The name an event had before it had a field for it.
    pub(crate) fn event_name(&self) -> Option<&str> {
        self.event_name.as_deref()
    }

    /// The kind of model call this is, `None` if it is none: an agent, a tool, a workflow, anything else.
    pub(crate) fn operation(&self, internal: bool) -> Option<Operation> {
        match self.operation.as_deref().or(self.request_type.as_deref()) {
            Some("chat" | "generate_content" | "text_completion" | "completion" | "live") => Some(Operation::Chat),
            Some("embeddings" | "embedding") => Some(Operation::Embeddings),
            Some("rerank") => Some(Operation::Rerank),
            // What holds calls, or surrounds them.
            Some("invoke_agent" | "create_agent" | "invoke_workflow" | "execute_tool" | "retrieval" | "plan") => None,
            Some(memory) if memory.ends_with("_memory") => None,
            Some(sdk) if sdk.starts_with("ai.") => sdk_operation(sdk),
            // Later conventions may name one more operation: it is not to be lost.
            Some(_) => self.leaves_the_process(internal).then_some(Operation::Chat),
            None => self.operation_in_other_words(internal),
        }
    }

    /// The same where the conventions' own word is missing.
    fn operation_in_other_words(&self, internal: bool) -> Option<Operation> {
        match (self.span_kind.as_deref(), self.sdk_operation.as_deref()) {
            (Some("LLM"), _) => Some(Operation::Chat),
            (Some("EMBEDDING"), _) => Some(Operation::Embeddings),
            (Some("RERANKER"), _) => Some(Operation::Rerank),
            (Some(_), _) => None,
            (None, Some(sdk)) => sdk_operation(sdk),
            // Former instrumentations name no operation.
            (None, None) => self.leaves_the_process(internal).then_some(Operation::Chat),
        }
    }

    /// A call goes to a provider's model; a span inside of the process is a wrapper around one.
    fn leaves_the_process(&self, internal: bool) -> bool {
        let provider = self.provider.iter().any(Option::is_some);
        let model = self.request_model.is_some() || self.response_model.is_some();
        provider && model && !internal
    }

    /// Writes what the attributes say into `entry`.
    pub(crate) fn fill(
        mut self,
        entry: &mut Entry<'a>,
        failed: bool,
        exception: Word<'a>,
        options: &DecodeOptions,
    ) -> Result<(), DecodeError> {
        let messages = self.messages(options);
        add_features(entry, self.features);
        entry.event_id = self.response_id.take().or(entry.event_id.take());
        entry.session_id = self.conversation.take().or(self.session.take());
        entry.end_user = self.end_user.take();
        entry.environment = self.environment.take().or(entry.environment.take());
        entry.streamed = self.streamed;
        entry.ttft_ms = self.first_chunk_seconds.and_then(millis);
        entry.reported_cost = self.cost;
        entry.reported_currency = self.cost.map(|_| "USD");
        entry.service_tier = first(&mut self.service_tier);
        entry.finish_reason = self.finish_reason.take().or_else(|| self.spelt.output.finish_reason());
        entry.extra = self.extra();
        entry.tags.extend(self.agent.take().map(|agent| (Cow::Borrowed("gen_ai.agent.name"), agent)));
        self.conclude(entry, failed, exception);
        self.name_models(entry);
        entry.body = messages;
        note_model(entry);
        note_modalities(entry);
        note_embedding(entry);
        Ok(())
    }

    /// The counts nobody knows here, under their names.
    fn extra(&self) -> Option<Cow<'a, str>> {
        if self.unknown.is_empty() {
            return None;
        }
        let mut writer = crate::decode::writer::Writer::new(true);
        writer.open('{');
        for (key, json) in &self.unknown {
            let mut quoted = String::with_capacity(key.len() + 2);
            crate::decode::writer::push_string(&mut quoted, key);
            writer.member(&quoted, json);
        }
        writer.close('}');
        Some(Cow::Owned(writer.into_text()))
    }

    /// How it ended, and the counts.
    fn conclude(&mut self, entry: &mut Entry<'a>, failed: bool, exception: Word<'a>) {
        let stated = self.http_status.and_then(|status| u16::try_from(status).ok());
        let spelt = self.error_type.as_deref().and_then(HttpStatus::spelt);
        entry.http_status = stated.filter(|status| (100..600).contains(status)).or(spelt);
        entry.error_type = self.error_type.take().or(exception);
        let filtered = is_filtered(entry.finish_reason.as_deref()) || is_filtered(entry.error_type.as_deref());
        entry.status = if filtered {
            Status::Filtered
        } else if failed || entry.error_type.is_some() {
            Status::Error
        } else {
            Status::Success
        };
        entry.tokens = self.usage.tokens();
        if matches!(entry.status, Status::Error | Status::Filtered) {
            drop_placeholders(&mut entry.tokens);
        }
        if entry.operation == Some(Operation::Embeddings) && entry.tokens.input.is_some() {
            entry.tokens.output = entry.tokens.output.or(Some(0));
        }
        entry.usage_source = if entry.tokens.is_absent() { UsageSource::Absent } else { UsageSource::Provider };
    }

    /// Who serves. Instrumentations name the client library's vendor; a known host knows better who bills.
    fn name_models(&mut self, entry: &mut Entry<'a>) {
        let host = self.server_address.as_deref().map(Host::of).unwrap_or_default();
        let named = first(&mut self.provider).or_else(|| self.named_provider.take()).map(vendor).map(canonical);
        let region = host.region.map(|region| Cow::Owned(region.to_owned()));
        entry.provider = host.provider.map(Cow::Borrowed).or(named);
        let strip = |model: Cow<'a, str>, provider: Option<&str>| Model::of(model, provider);
        let asked = self.request_model.take().or_else(|| self.named_model.take());
        let requested = asked.map(|model| strip(model, entry.provider.as_deref()));
        if entry.provider.is_none() {
            entry.provider = requested.as_ref().and_then(|model| model.provider).map(Cow::Borrowed);
        }
        let served = self.response_model.take().map(|model| strip(model, entry.provider.as_deref()));
        entry.region = self.region.take().or(region);
        entry.request_model = requested.map(|model| model.name);
        entry.response_model = served.map(|model| model.name);
    }

    /// What was said: its features are noted, and it becomes the body if bodies are wanted.
    fn messages(&mut self, options: &DecodeOptions) -> Option<Body<'a>> {
        let mut input = Messages::new(Direction::Input, options.bodies);
        let mut output = Messages::new(Direction::Output, options.bodies);
        let tools = self.tools.take().and_then(json_of);
        if let Some(tools) = tools.as_deref().and_then(raw) {
            elements(tools).into_iter().for_each(|tool| note_tool(tool, &mut self.features));
        }
        if let Some(system) = self.system.take() {
            as_json(system, |json| input.system(Some(json)));
        }
        for (messages, said, spelt) in [
            (&mut input, std::mem::take(&mut self.input), self.spelt.input.json()),
            (&mut output, std::mem::take(&mut self.output), self.spelt.output.json()),
        ] {
            let [present, former, whole] = said;
            // A whole value may hold anything; messages that are spelt out hold what was said.
            let said = present.or(former).or(spelt.map(Plain::Json)).or(whole);
            said.into_iter().for_each(|said| as_json(said, |json| messages.list(Some(json))));
        }
        for features in [input.features, output.features] {
            features.iter().for_each(|feature| self.features.insert(feature));
        }
        let (input_messages, output_messages) = (input.finish(), output.finish());
        let said_nothing = input_messages.is_none() && output_messages.is_none();
        (!said_nothing).then(|| Body {
            input_messages: input_messages.map(Cow::Owned),
            output_messages: output_messages.map(Cow::Owned),
            tool_definitions: tools.map(Cow::Owned),
            request_parameters: None,
        })
    }
}

impl Usage {
    /// The counts, inclusive. Some instrumentations count the cache beside the input, or reasoning beside the output: of
    /// the four readings the first counts in which the parts fit into their totals and these into the sum.
    fn tokens(&self) -> Tokens {
        let either = |[present, former]: [Option<i64>; 2]| present.or(former);
        let (cache_read, cache_write) = (either(self.cache_read), either(self.cache_write));
        let reasoning = either(self.reasoning);
        let (cached, thought) = (sum(&[cache_read, cache_write]).unwrap_or(0), reasoning.unwrap_or(0));
        let (input, output) = (either(self.input), either(self.output));
        let with = |count: Option<i64>, more: i64| count.map(|count| count.saturating_add(more));
        let readings = [
            (input, output),
            (with(input, cached), output),
            (input, with(output, thought)),
            (with(input, cached), with(output, thought)),
        ];
        let fits = |(input, output): &(Option<i64>, Option<i64>)| {
            input.is_none_or(|input| cached <= input) && output.is_none_or(|output| thought <= output)
        };
        let adds_up = |(input, output): &(Option<i64>, Option<i64>)| {
            self.total.is_none_or(|total| sum(&[*input, *output]).is_none_or(|sum| sum == total))
        };
        let exact = readings.iter().find(|reading| fits(reading) && adds_up(reading));
        let (read_input, read_output) =
            *exact.or_else(|| readings.iter().find(|it| fits(it))).unwrap_or(&(input, output));
        let fresh = |all: Option<i64>, cached: Option<i64>| all.map(|all| all.saturating_sub(cached.unwrap_or(0)));
        Tokens {
            input: read_input,
            cache_read,
            cache_write,
            input_audio: fresh(self.input_audio, self.cached_audio),
            input_image: fresh(self.input_image, self.cached_image),
            output: read_output,
            reasoning,
            output_audio: self.output_audio,
            output_image: self.output_image,
            // A total of the counts as sent leaves out what stood beside them: it is no check of what they became.
            total: self.total.filter(|total| exact.is_some() || sum(&[input, output]) != Some(*total)),
            ..Tokens::default()
        }
    }
}

/// Operations of Vercel's AI SDK. Its outer spans repeat what the inner ones, whose names begin with `do`, count.
fn sdk_operation(name: &str) -> Option<Operation> {
    let inner = name.split(' ').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    match inner {
        "doGenerate" | "doStream" => Some(Operation::Chat),
        "doEmbed" => Some(Operation::Embeddings),
        _ => None,
    }
}

/// `openai.chat` and `anthropic.messages` name a vendor and its API; names with dots that are vendors' stay.
fn vendor(name: Cow<'_, str>) -> Cow<'_, str> {
    match name.split_once('.') {
        Some((vendor, _))
            if crate::decode::provider::known(&name).is_none() && crate::decode::provider::known(vendor).is_some() =>
        {
            Cow::Owned(vendor.to_owned())
        }
        _ => name,
    }
}

fn first<'a>(words: &mut [Word<'a>; 2]) -> Word<'a> {
    words[0].take().or_else(|| words[1].take())
}

/// Seconds to whole milliseconds, rounded.
fn millis(seconds: Usd) -> Option<i64> {
    i64::try_from(seconds.pico().saturating_add(500_000_000).div_euclid(1_000_000_000)).ok()
}

/// JSON that was sent as text; what nests too deep stays text.
pub(crate) fn raw(json: &str) -> Option<&RawValue> {
    if nests_too_deep(json) { None } else { serde_json::from_str(json).ok() }
}

/// The JSON an attribute holds; text that is none holds nothing.
fn json_of(plain: Plain<'_>) -> Option<String> {
    match plain {
        Plain::Json(json) => Some(json),
        Plain::Text(text) => raw(&text).is_some().then(|| text.into_owned()),
    }
}

/// Gives the attribute's JSON to `read`. Text that is no list or object of JSON, or was cut in the middle, is plain text.
fn as_json(plain: Plain<'_>, read: impl FnOnce(&RawValue)) {
    let text = match &plain {
        Plain::Json(json) => Cow::Borrowed(json.as_str()),
        Plain::Text(text) if text.trim_start().starts_with(['[', '{']) && raw(text).is_some() => {
            Cow::Borrowed(text.as_ref())
        }
        Plain::Text(text) => {
            let mut quoted = String::with_capacity(text.len() + 2);
            crate::decode::writer::push_string(&mut quoted, text);
            Cow::Owned(quoted)
        }
    };
    if let Some(json) = raw(&text) {
        read(json);
    }
}
