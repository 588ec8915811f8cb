//! What a request asks for, in any of the providers' dialects: its scalars, its messages, the features it leans on.

use std::borrow::Cow;

use daybook_ledger::{Body, Feature, Features};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::capture::Asked;
use super::messages::{Direction, Messages, elements, is_string, shape};
use super::parts::hosted;
use super::scalar::{Flag, Text, flag, present};
use super::source::Json;
use super::writer::{Writer, push_string};

/// A request of OpenAI, Anthropic or LiteLLM's `model_parameters`. Only what the ledger needs is read.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    stream: Option<Flag>,
    user: Option<Text<'a>>,
    safety_identifier: Option<Text<'a>>,
    metadata: Option<Json<'a>>,
    // What is said.
    messages: Option<Json<'a>>,
    input: Option<Json<'a>>,
    prompt: Option<Json<'a>>,
    system: Option<Json<'a>>,
    instructions: Option<Json<'a>>,
    system_instruction: Option<Json<'a>>,
    pub(super) tools: Option<Json<'a>>,
    functions: Option<Json<'a>>,
    // What is asked for.
    n: Option<Json<'a>>,
    response_format: Option<Json<'a>>,
    text: Option<Json<'a>>,
    output_format: Option<Json<'a>>,
    output_config: Option<Json<'a>>,
    modalities: Option<Json<'a>>,
    logprobs: Option<Json<'a>>,
    top_logprobs: Option<Json<'a>>,
    include: Option<Json<'a>>,
    prediction: Option<Json<'a>>,
    cache_control: Option<Json<'a>>,
    prompt_cache_key: Option<Json<'a>>,
    prompt_cache_retention: Option<Json<'a>>,
    pub(super) prompt_cache_options: Option<Json<'a>>,
    reasoning: Option<Json<'a>>,
    reasoning_effort: Option<Json<'a>>,
    thinking: Option<Json<'a>>,
    web_search_options: Option<Json<'a>>,
    mcp_servers: Option<Json<'a>>,
    container: Option<Json<'a>>,
    previous_response_id: Option<Json<'a>>,
    conversation: Option<Json<'a>>,
    store: Option<Json<'a>>,
    background: Option<Json<'a>>,
    moderation: Option<Json<'a>>,
    guardrails: Option<Json<'a>>,
    // What vendors add to OpenAI's words, or say in their own.
    inputs: Option<Json<'a>>,
    query: Option<Json<'a>>,
    texts: Option<Json<'a>>,
    message: Option<Json<'a>>,
    preamble: Option<Json<'a>>,
    chat_history: Option<Json<'a>>,
    data_sources: Option<Json<'a>>,
    plugins: Option<Json<'a>>,
    search_parameters: Option<Json<'a>>,
    search_settings: Option<Json<'a>>,
    connectors: Option<Json<'a>>,
    documents: Option<Json<'a>>,
    citation_options: Option<Json<'a>>,
    agent_id: Option<Json<'a>>,
    conversation_id: Option<Text<'a>>,
    deferred: Option<Json<'a>>,
    safe_prompt: Option<Json<'a>>,
    safety_mode: Option<Text<'a>>,
    format: Option<Json<'a>>,
    think: Option<Json<'a>>,
    prompt_logprobs: Option<Json<'a>>,
    guided_json: Option<Json<'a>>,
    guided_regex: Option<Json<'a>>,
    guided_choice: Option<Json<'a>>,
    guided_grammar: Option<Json<'a>>,
    structured_outputs: Option<Json<'a>>,
}

/// Members that are messages or tools, or stand in columns of their own.
const NOT_PARAMETERS: [&str; 16] = [
    "messages",
    "input",
    "inputs",
    "prompt",
    "query",
    "texts",
    "message",
    "preamble",
    "chat_history",
    "system",
    "instructions",
    "system_instruction",
    "tools",
    "functions",
    "metadata",
    "user",
];

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    format: Option<Json<'a>>,
    effort: Option<Json<'a>>,
    summary: Option<Json<'a>>,
    max_tokens: Option<Json<'a>>,
    enabled: Option<Json<'a>>,
    mode: Option<Json<'a>>,
    ttl: Option<Text<'a>>,
    user_id: Option<Text<'a>>,
    id: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    name: Option<Json<'a>>,
    container: Option<Json<'a>>,
    cache_control: Option<Json<'a>>,
    #[serde(rename = "googleSearch")]
    google_search: Option<Json<'a>>,
    #[serde(rename = "codeExecution")]
    code_execution: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Container<'a> {
    #[serde(borrow)]
    file_ids: Option<Json<'a>>,
}

impl<'a> Request<'a> {
    /// What the response object of Responses repeats of its request. Defaults it fills in are not what was asked for.
    pub(super) fn echoed(self) -> Self {
        Self {
            store: None,
            reasoning: None,
            prompt_cache_options: None,
            prompt_cache_retention: None,
            logprobs: None,
            top_logprobs: None,
            messages: None,
            input: None,
            ..self
        }
    }

    /// What a call's entry needs of it.
    pub(super) fn asked(&mut self) -> Asked<'a> {
        Asked {
            model: self.model(),
            streamed: self.streamed(),
            end_user: self.end_user(),
            tags: self.tags(),
            features: self.features(),
        }
    }

    /// The model asked for.
    pub(super) fn model(&mut self) -> Option<Cow<'a, str>> {
        present(self.model.take())
    }

    /// Whether a stream was asked for.
    pub(super) fn streamed(&self) -> Option<bool> {
        flag(self.stream)
    }

    /// The person the call was made for.
    pub(super) fn end_user(&mut self) -> Option<Cow<'a, str>> {
        let in_metadata = || present(self.metadata.and_then(shape::<Kind<'a>>)?.user_id);
        present(self.user.take()).or_else(|| present(self.safety_identifier.take())).or_else(in_metadata)
    }

    /// The request's own metadata as tags.
    pub(super) fn tags(&self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let members = self.metadata.map(members).unwrap_or_default();
        members
            .into_iter()
            .filter(|(key, _)| key != "user_id")
            .filter_map(|(key, value)| Some((key, tag(value)?)))
            .collect()
    }

    /// The stored conversation the call continues: its id, or an object with it.
    pub(super) fn conversation(&self) -> Option<Cow<'a, str>> {
        let Some(conversation) = self.conversation else { return present(self.conversation_id.clone()) };
        let id = if is_string(conversation) { conversation } else { shape::<Kind<'a>>(conversation)?.id? };
        present(serde_json::from_str(id.get()).ok())
    }

    /// The lifetime asked for cache writes.
    pub(super) fn cache_ttl(&self) -> Option<Cow<'a, str>> {
        present(self.prompt_cache_options.and_then(shape::<Kind<'a>>)?.ttl)
    }

    /// Walks everything said to the model, system text first.
    pub(super) fn say(&self, input: &mut Messages) {
        input.system(self.system);
        input.system(self.system_instruction);
        match self.instructions {
            Some(json) if json.get().starts_with('[') => input.list(self.instructions),
            _ => input.system(self.instructions),
        }
        input.system(self.preamble);
        // The `prompt` of Responses names a stored template; the older Completions API has text there.
        let prompt = self.prompt.filter(|prompt| !prompt.get().starts_with('{'));
        // Documents to be put in order are not said to a model; what they are put in order by is.
        let said = [self.messages, self.input, self.inputs, prompt, self.texts, self.query, self.chat_history];
        for said in said.into_iter().chain([self.message]) {
            input.list(said);
        }
    }

    /// What the request leans on, its messages aside.
    pub(super) fn features(&self) -> Features {
        let mut features = Features::default();
        self.tools.into_iter().flat_map(elements).for_each(|tool| note_tool(tool, &mut features));
        let mut note = |condition, feature| features.insert_if(condition, feature);
        let kind = |json: Json<'a>| shape::<Kind<'a>>(json);
        let format = |json: Json<'a>| kind(json)?.format;
        let effort = self.reasoning.and_then(kind).is_some_and(|ask| {
            let asked = [ask.effort, ask.summary, ask.max_tokens, ask.enabled];
            asked.into_iter().flatten().any(says_something)
        });
        let output_effort = self.output_config.and_then(kind).is_some_and(|ask| ask.effort.is_some());
        let formats = [self.response_format, self.output_format, self.text.and_then(format)];
        let formats = formats.into_iter().chain([self.output_config.and_then(format)]).flatten();
        let holds = |json: Option<Json<'_>>, word: &str| json.is_some_and(|json| json.get().contains(word));

        note(formats.into_iter().any(is_structured), Feature::StructuredOutput);
        note(self.functions.is_some_and(says_something), Feature::ToolCalling);
        note(self.n.is_some_and(|n| n.get().parse::<i64>().is_ok_and(|n| n > 1)), Feature::MultipleChoices);
        note(holds(self.modalities, "\"audio\""), Feature::AudioOutput);
        note(holds(self.modalities, "\"image\""), Feature::ImageOutput);
        let logprobs = [self.logprobs, self.top_logprobs].into_iter().flatten().any(says_something);
        note(logprobs || holds(self.include, "logprobs"), Feature::Logprobs);
        note(self.prediction.is_some(), Feature::PredictedOutput);
        let cache = [self.cache_control, self.prompt_cache_key, self.prompt_cache_retention, self.prompt_cache_options];
        note(cache.into_iter().flatten().any(says_something), Feature::PromptCacheControl);
        let thinks = self.thinking.and_then(kind).is_some_and(|ask| ask.kind.is_none_or(|kind| kind.0 != "disabled"));
        note(effort || output_effort || thinks || self.reasoning_effort.is_some(), Feature::ReasoningControl);
        note(self.web_search_options.is_some(), Feature::WebSearch);
        note(self.mcp_servers.is_some_and(says_something), Feature::RemoteMcp);
        // Skills and files in Anthropic's sandbox.
        note(self.container.is_some_and(says_something), Feature::CodeExecution);
        let template = self.prompt.filter(|prompt| prompt.get().starts_with('{'));
        let state = [self.previous_response_id, self.conversation, self.store, template];
        note(state.into_iter().flatten().any(says_something), Feature::HostedState);
        note(self.background.is_some_and(says_something), Feature::Background);
        note([self.moderation, self.guardrails].into_iter().flatten().any(says_something), Feature::Guardrails);
        self.note_dialects(&mut features);
        features
    }

    /// What vendors other than OpenAI and Anthropic have words of their own for.
    fn note_dialects(&self, features: &mut Features) {
        let mut note = |asked: &[Option<Json<'a>>], feature| {
            features.insert_if(asked.iter().flatten().any(|asked| says_something(asked)), feature);
        };
        note(&[self.guided_json, self.guided_regex, self.guided_choice], Feature::StructuredOutput);
        note(&[self.guided_grammar, self.structured_outputs, self.format], Feature::StructuredOutput);
        note(&[self.prompt_logprobs], Feature::Logprobs);
        note(&[self.think], Feature::ReasoningControl);
        note(&[self.agent_id], Feature::HostedState);
        note(&[self.deferred], Feature::Background);
        note(&[self.safe_prompt], Feature::Guardrails);
        note(&[self.documents.filter(|_| self.query.is_none()), self.citation_options], Feature::Citations);
        note(&[self.data_sources], Feature::HostedVectorStore);
        note(&[self.search_settings], Feature::WebSearch);
        let off = |json: Json<'a>| {
            shape::<Kind<'a>>(json).and_then(|ask| ask.mode).is_some_and(|mode| mode.get() == "\"off\"")
        };
        features.insert_if(self.search_parameters.is_some_and(|asked| !off(asked)), Feature::WebSearch);
        let names = [self.plugins, self.connectors].into_iter().flatten().flat_map(elements);
        let ids = names.filter_map(|plugin| shape::<Kind<'a>>(plugin)?.id).collect::<Vec<_>>();
        let searches = ids.iter().any(|id| matches!(id.get(), "\"web\"" | "\"web-search\""));
        let online = self.model.as_ref().is_some_and(|model| model.0.ends_with(":online"));
        features.insert_if(searches || online, Feature::WebSearch);
        features.insert_if(present(self.conversation_id.clone()).is_some(), Feature::HostedState);
        let safety = self.safety_mode.as_ref().is_some_and(|mode| !matches!(mode.0.as_ref(), "NONE" | "OFF" | ""));
        features.insert_if(safety, Feature::Guardrails);
    }

    /// How many characters there are to be spoken.
    pub(super) fn characters(&self) -> Option<i64> {
        let text = serde_json::from_str::<Text<'_>>(self.input.filter(|input| is_string(input))?.get()).ok()?;
        i64::try_from(text.0.chars().count()).ok()
    }

    /// The body of a call, if something was said. `request` is this request's JSON.
    pub(super) fn body(&self, request: Option<Json<'a>>, input: Messages, output: Messages) -> Option<Body<'a>> {
        let (input_messages, output_messages) = (input.finish(), output.finish());
        if input_messages.is_none() && output_messages.is_none() {
            return None;
        }
        Some(Body {
            input_messages: input_messages.map(Cow::Owned),
            output_messages: output_messages.map(Cow::Owned),
            tool_definitions: self.tools.or(self.functions).map(|tools| Cow::Borrowed(tools.get())),
            request_parameters: request.and_then(parameters).map(Cow::Owned),
        })
    }
}

/// Collects what goes to the model and what comes from it.
pub(super) fn both_directions(write: bool) -> (Messages, Messages) {
    (Messages::new(Direction::Input, write), Messages::new(Direction::Output, write))
}

/// Whether `json` is more than a default: not `null`, `false`, zero or empty.
pub(super) fn says_something(json: Json<'_>) -> bool {
    !matches!(json.get(), "null" | "false" | "0" | "\"\"" | "[]" | "{}")
}

/// Whether an answer's format is JSON: by type, or the name of a class as LiteLLM logs it.
fn is_structured(format: Json<'_>) -> bool {
    if is_string(format) {
        // Names of how sound, transcripts and pictures are to come are none of how an answer is built.
        const PLAIN: [&str; 15] = [
            "",
            "text",
            "json",
            "verbose_json",
            "diarized_json",
            "srt",
            "vtt",
            "mp3",
            "opus",
            "aac",
            "flac",
            "wav",
            "pcm",
            "url",
            "b64_json",
        ];
        return !PLAIN.contains(&format.get().trim_matches('"'));
    }
    let kind = shape::<Kind<'_>>(format).and_then(|format| format.kind);
    kind.is_some_and(|kind| matches!(kind.0.as_ref(), "json_object" | "json_schema" | "grammar"))
}

/// Notes what offering `tool` means: a client's function, or something that runs at the vendor.
pub(super) fn note_tool(tool: Json<'_>, features: &mut Features) {
    let Some(tool) = shape::<Tool<'_>>(tool) else { return };
    features.insert_if(tool.cache_control.is_some(), Feature::PromptCacheControl);
    features.insert_if(tool.google_search.is_some(), Feature::WebSearch);
    features.insert_if(tool.code_execution.is_some(), Feature::CodeExecution);
    let files = tool.container.and_then(shape::<Container<'_>>).and_then(|container| container.file_ids);
    features.insert_if(files.is_some_and(says_something), Feature::HostedFiles);
    match tool.kind.as_ref().map(|kind| kind.0.as_ref()) {
        Some(kind) if kind.starts_with("computer") => features.insert(Feature::ComputerUse),
        Some(kind) if kind.starts_with("tool_search") => {}
        Some(kind) => features.insert(hosted(kind).unwrap_or(Feature::ToolCalling)),
        None => features.insert_if(tool.name.is_some(), Feature::ToolCalling),
    }
}

/// A tag's value as text: scalars as they read, anything else as JSON.
pub(super) fn tag(value: Json<'_>) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0),
        _ => Some(Cow::Borrowed(value.get())),
    }
}

/// The members of the object `json` in order; none if it is no object.
pub(super) fn members(json: Json<'_>) -> Vec<(Cow<'_, str>, Json<'_>)> {
    serde_json::from_str::<Members<'_>>(json.get()).map(|members| members.0).unwrap_or_default()
}

/// Whether `json` is an object of which every key passes `test`.
pub(super) fn every_key(json: Json<'_>, test: impl Fn(&str) -> bool) -> bool {
    let visitor = KeysVisitor { test: &test };
    serde_json::Deserializer::from_str(json.get()).deserialize_map(visitor).unwrap_or(false)
}

struct KeysVisitor<'t> {
    test: &'t dyn Fn(&str) -> bool,
}

impl<'de> Visitor<'de> for KeysVisitor<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut all = true;
        while let Some((key, IgnoredAny)) = map.next_entry::<Text<'de>, IgnoredAny>()? {
            all &= (self.test)(&key.0);
        }
        Ok(all)
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(std::marker::PhantomData))
    }
}

struct MembersVisitor<'a>(std::marker::PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for MembersVisitor<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
        let mut members = Vec::with_capacity(map.size_hint().unwrap_or(4));
        while let Some((key, value)) = map.next_entry::<Text<'a>, Json<'a>>()? {
            members.push((key.0, value));
        }
        Ok(Members(members))
    }
}

/// A request without its messages and tools.
fn parameters(request: Json<'_>) -> Option<String> {
    let members = members(request).into_iter().filter(|(key, _)| !NOT_PARAMETERS.contains(&key.as_ref()));
    let mut writer = Writer::new(true);
    writer.open('{');
    for (key, value) in members {
        let mut quoted = String::with_capacity(key.len() + 2);
        push_string(&mut quoted, &key);
        writer.member(&quoted, value.get());
    }
    writer.close('}');
    Some(writer.into_text()).filter(|text| text.len() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(request: &str) -> Vec<&'static str> {
        let request = serde_json::from_str::<Request<'_>>(request).unwrap();
        let mut input = Messages::new(Direction::Input, false);
        request.say(&mut input);
        let mut all = input.features;
        request.features().iter().for_each(|feature| all.insert(feature));
        all.iter().map(Feature::as_str).collect()
    }

    #[test]
    fn a_plain_request_leans_on_nothing() {
        let plain = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.2,"n":1,"tools":[],
            "response_format":{"type":"text"},"logprobs":false,"top_logprobs":0,"store":false,"background":false,
            "reasoning":{"effort":null},"thinking":{"type":"disabled"},"text":{"format":{"type":"text"}},
            "previous_response_id":null,"prompt_cache_key":"","mcp_servers":[]}"#;
        assert_eq!(features(plain), Vec::<&str>::new());
    }

    #[test]
    fn parameters_tell_the_features_they_ask_for() {
        for (parameter, feature) in [
            (r#""tools":[{"type":"function","function":{"name":"f"}}]"#, "tool_calling"),
            (r#""tools":[{"name":"f","input_schema":{}}]"#, "tool_calling"),
            (r#""functions":[{"name":"f"}]"#, "tool_calling"),
            (r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#, "web_search"),
            (r#""tools":[{"googleSearch":{}}]"#, "web_search"),
            (r#""tools":[{"type":"file_search","vector_store_ids":["vs"]}]"#, "hosted_vector_store"),
            (r#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#, "code_execution"),
            (r#""tools":[{"type":"computer_use_preview"}]"#, "computer_use"),
            (r#""tools":[{"type":"mcp","server_url":"u"}]"#, "remote_mcp"),
            (r#""mcp_servers":[{"url":"u"}]"#, "remote_mcp"),
            (r#""container":{"skills":[{"type":"anthropic","skill_id":"pptx"}]}"#, "code_execution"),
            (r#""response_format":{"type":"json_schema","json_schema":{}}"#, "structured_output"),
            (r#""text":{"format":{"type":"json_object"}}"#, "structured_output"),
            (r#""output_config":{"format":{"type":"json_schema"}}"#, "structured_output"),
            (r#""modalities":["text","audio"]"#, "audio_output"),
            (r#""logprobs":true"#, "logprobs"),
            (r#""include":["message.output_text.logprobs"]"#, "logprobs"),
            (r#""prediction":{"type":"content","content":"x"}"#, "predicted_output"),
            (r#""prompt_cache_key":"k""#, "prompt_cache_control"),
            (r#""prompt_cache_options":{"ttl":"12h"}"#, "prompt_cache_control"),
            (r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]"#, "prompt_cache_control"),
            (r#""reasoning":{"effort":"high"}"#, "reasoning_control"),
            (r#""reasoning_effort":"low""#, "reasoning_control"),
            (r#""thinking":{"type":"enabled","budget_tokens":1024}"#, "reasoning_control"),
            (r#""web_search_options":{}"#, "web_search"),
            (r#""previous_response_id":"resp_1""#, "hosted_state"),
            (r#""store":true"#, "hosted_state"),
            (r#""prompt":{"id":"pmpt_1"}"#, "hosted_state"),
            (r#""background":true"#, "background"),
            (r#""n":3"#, "multiple_choices"),
            (
                r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]"#,
                "vision_input",
            ),
            (r#""messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"d"}}]}]"#, "document_input"),
            (r#""messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]"#, "audio_input"),
            (r#""messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"u"}}]}]"#, "video_input"),
        ] {
            assert_eq!(features(&format!("{{{parameter}}}")), [feature], "{parameter}");
        }
        assert_eq!(
            features(r#"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]}"#),
            ["document_input", "hosted_files"]
        );
    }

    #[test]
    fn metadata_becomes_tags_and_the_user_in_it_the_end_user() {
        let mut request = serde_json::from_str::<Request<'_>>(
            r#"{"metadata":{"user_id":"u-1","team":"claims","n":3,"none":null,"list":[1]}}"#,
        )
        .unwrap();
        assert_eq!(request.end_user().as_deref(), Some("u-1"));
        let tags = request.tags();
        let tags = tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect::<Vec<_>>();
        assert_eq!(tags, [("team", "claims"), ("n", "3"), ("list", "[1]")]);
    }

    #[test]
    fn parameters_leave_out_what_was_said() {
        let request =
            serde_json::from_str::<Json<'_>>(r#"{"model":"m","messages":[1],"top_p":1.0,"a\"b":{}}"#).unwrap();
        assert_eq!(parameters(request).as_deref(), Some(r#"{"model":"m","top_p":1.0,"a\"b":{}}"#));
        let silent = serde_json::from_str::<Json<'_>>(r#"{"messages":[]}"#).unwrap();
        assert_eq!(parameters(silent), None);
    }
}
