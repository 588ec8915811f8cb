//! What a request to Google asks for, in the spelling of REST or of the SDKs.

use std::borrow::Cow;

use daybook_ledger::{Body, Feature, Features};

use crate::decode::capture::Asked;
use crate::decode::messages::{Messages, elements};
use crate::decode::request::{members, note_tool, says_something, tag};
use crate::decode::scalar::Text;
use crate::decode::source::Json;
use crate::decode::writer::{Writer, push_string};

/// A request of `generateContent`, of an embedding, of the Live API's `setup`; SDKs put all but the contents in `config`.
#[derive(Debug, Default)]
pub(crate) struct Request<'a> {
    model: Option<Json<'a>>,
    contents: Vec<Json<'a>>,
    system: Option<Json<'a>>,
    tools: Option<Json<'a>>,
    labels: Option<Json<'a>>,
    parameters: Vec<(Cow<'a, str>, Json<'a>)>,
    features: Features,
}

/// `prompt_token_count` and `promptTokenCount` are one word.
fn plain(key: &str) -> String {
    key.chars().filter(|character| *character != '_').map(|character| character.to_ascii_lowercase()).collect()
}

/// The string `json`.
pub(crate) fn text(json: Json<'_>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(json.get()).ok().map(|text| text.0).filter(|text| !text.is_empty())
}

/// A model's name without the path Google addresses it by.
pub(crate) fn model_name(name: Cow<'_, str>) -> Cow<'_, str> {
    match name.rsplit_once("/models/").map(|(_, name)| name).or_else(|| name.strip_prefix("models/")) {
        Some(short) => Cow::Owned(short.to_owned()),
        None => name,
    }
}

impl<'a> Request<'a> {
    pub(crate) fn read(request: Json<'a>) -> Self {
        let mut read = Self::default();
        read.take_all(request, 0);
        read
    }

    fn take_all(&mut self, json: Json<'a>, level: usize) {
        for (key, value) in members(json) {
            self.take(key, value, level);
        }
    }

    fn take(&mut self, key: Cow<'a, str>, value: Json<'a>, level: usize) {
        match plain(&key).as_str() {
            "model" => self.model = Some(value),
            "contents" | "content" | "instances" | "requests" => self.contents.push(value),
            "systeminstruction" => self.system = Some(value),
            "tools" => self.tools = Some(value),
            "labels" => self.labels = Some(value),
            "config" | "setup" | "generationconfig" if level < 2 => self.take_all(value, level + 1),
            other => {
                self.note(other, value);
                self.parameters.push((key, value));
            }
        }
    }

    fn note(&mut self, key: &str, value: Json<'a>) {
        if !says_something(value) {
            return;
        }
        let features = &mut self.features;
        match key {
            "responsemimetype" => features.insert_if(value.get() != "\"text/plain\"", Feature::StructuredOutput),
            "responseschema" | "responsejsonschema" | "responseformat" => features.insert(Feature::StructuredOutput),
            "responsemodalities" => {
                let asked = value.get().to_ascii_uppercase();
                features.insert_if(asked.contains("\"AUDIO\""), Feature::AudioOutput);
                features.insert_if(asked.contains("\"IMAGE\""), Feature::ImageOutput);
            }
            "speechconfig" => features.insert(Feature::AudioOutput),
            "candidatecount" => features.insert_if(value.get() != "1", Feature::MultipleChoices),
            "thinkingconfig" => features.insert(Feature::ReasoningControl),
            "responselogprobs" | "logprobs" => features.insert(Feature::Logprobs),
            "cachedcontent" => features.insert(Feature::PromptCacheControl),
            "modelarmorconfig" => features.insert(Feature::Guardrails),
            "sessionresumption" => features.insert(Feature::HostedState),
            _ => {}
        }
    }

    /// What the envelope's entry needs of it.
    pub(crate) fn asked(&self) -> Asked<'a> {
        let mut features = self.features;
        for tool in self.tools.into_iter().flat_map(elements) {
            note_gemini_tool(tool, &mut features);
        }
        let labels = self.labels.map(members).unwrap_or_default();
        Asked {
            model: self.model.and_then(text).map(model_name),
            tags: labels.into_iter().filter_map(|(key, value)| Some((key, tag(value)?))).collect(),
            features,
            ..Asked::default()
        }
    }

    /// Walks everything said to the model, system text first.
    pub(crate) fn say(&self, input: &mut Messages) {
        if let Some(system) = self.system {
            input.gemini_content(system, Some("system"));
        }
        for contents in &self.contents {
            input.gemini_contents(contents);
        }
    }

    /// The body of a call, if something was said.
    pub(crate) fn body(&self, input: Messages, output: Messages) -> Option<Body<'a>> {
        let (input_messages, output_messages) = (input.finish(), output.finish());
        if input_messages.is_none() && output_messages.is_none() {
            return None;
        }
        Some(Body {
            input_messages: input_messages.map(Cow::Owned),
            output_messages: output_messages.map(Cow::Owned),
            tool_definitions: self.tools.map(|tools| Cow::Borrowed(tools.get())),
            request_parameters: self.written_parameters().map(Cow::Owned),
        })
    }

    fn written_parameters(&self) -> Option<String> {
        let mut writer = Writer::new(true);
        writer.open('{');
        for (key, value) in &self.parameters {
            let mut quoted = String::with_capacity(key.len() + 2);
            push_string(&mut quoted, key);
            writer.member(&quoted, value.get());
        }
        writer.close('}');
        Some(writer.into_text()).filter(|text| text.len() > 2)
    }
}

/// Notes what offering `tool` means. Google's tools are told apart by their one key.
fn note_gemini_tool(tool: Json<'_>, features: &mut Features) {
    for (key, value) in members(tool) {
        let feature = match plain(&key).as_str() {
            "functiondeclarations" => Feature::ToolCalling,
            "googlesearch" | "googlesearchretrieval" | "enterprisewebsearch" | "googlemaps" | "urlcontext" => {
                Feature::WebSearch
            }
            "codeexecution" => Feature::CodeExecution,
            "retrieval" | "filesearch" => Feature::HostedVectorStore,
            "computeruse" => Feature::ComputerUse,
            "mcpservers" => Feature::RemoteMcp,
            // The Interactions API names its tools by `type`.
            "type" => return note_tool(tool, features),
            _ => continue,
        };
        features.insert_if(value.get() != "null" && value.get() != "[]", feature);
    }
}
