//! Parts of messages: text, media, files, tool calls, reasoning, in OpenAI's, Anthropic's and OpenTelemetry's words.

use daybook_ledger::Feature;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::messages::{Direction, Messages, elements, is_string, shape};
use super::scalar::Text;
use super::source::{Json, nests_too_deep};

/// A part in any dialect.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    text: Option<Json<'a>>,
    content: Option<Json<'a>>,
    refusal: Option<Json<'a>>,
    modality: Option<Text<'a>>,
    image_url: Option<Json<'a>>,
    video_url: Option<Json<'a>>,
    document_url: Option<Json<'a>>,
    input_audio: Option<Json<'a>>,
    audio: Option<Json<'a>>,
    file: Option<Json<'a>>,
    file_id: Option<Json<'a>>,
    file_data: Option<Json<'a>>,
    file_url: Option<Json<'a>>,
    source: Option<Json<'a>>,
    id: Option<Json<'a>>,
    call_id: Option<Json<'a>>,
    tool_use_id: Option<Json<'a>>,
    name: Option<Json<'a>>,
    input: Option<Json<'a>>,
    arguments: Option<Json<'a>>,
    output: Option<Json<'a>>,
    action: Option<Json<'a>>,
    thinking: Option<Json<'a>>,
    signature: Option<Json<'a>>,
    summary: Option<Json<'a>>,
    encrypted_content: Option<Json<'a>>,
    annotations: Option<Json<'a>>,
    citations: Option<Json<'a>>,
    cache_control: Option<Json<'a>>,
}

/// What a part is, across dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Text,
    Refusal,
    Reasoning,
    Thinking,
    /// OpenRouter's words for a piece of reasoning.
    ReasoningDetail,
    Image,
    /// Mistral's document behind a URL.
    Linked,
    Video,
    Audio,
    File,
    Sourced,
    ToolCall,
    ToolResult,
    Hosted(Option<Feature>),
    HostedResult(Option<Feature>),
    Native,
}

/// Tools that run at the vendor, by the word their calls begin with.
const HOSTED: [(&str, Feature); 19] = [
    ("openrouter:web", Feature::WebSearch),
    ("x_search", Feature::WebSearch),
    ("live_search", Feature::WebSearch),
    ("browser_search", Feature::WebSearch),
    ("document_library", Feature::HostedVectorStore),
    ("collections_search", Feature::HostedVectorStore),
    ("connector", Feature::RemoteMcp),
    ("web_search", Feature::WebSearch),
    ("web_fetch", Feature::WebSearch),
    ("google_search", Feature::WebSearch),
    ("google_maps", Feature::WebSearch),
    ("url_context", Feature::WebSearch),
    ("file_search", Feature::HostedVectorStore),
    ("code_interpreter", Feature::CodeExecution),
    ("code_execution", Feature::CodeExecution),
    ("bash_code_execution", Feature::CodeExecution),
    ("text_editor_code_execution", Feature::CodeExecution),
    ("image_generation", Feature::ImageOutput),
    ("mcp", Feature::RemoteMcp),
];

/// The feature behind a vendor's tool, by the tool's type or name.
pub(super) fn hosted(tool: &str) -> Option<Feature> {
    HOSTED.iter().find(|(word, _)| tool.starts_with(word)).map(|(_, feature)| *feature)
}

impl PartKind {
    /// The kind of `part`, by its type and, where dialects share a word, by what it holds.
    pub(super) fn of(part: &Part<'_>) -> Self {
        let Some(kind) = part.kind.as_ref().map(|kind| kind.0.as_ref()) else {
            return if part.text.is_some() { Self::Text } else { Self::Native };
        };
        match kind {
            "text" | "input_text" | "output_text" if part.text.is_some() => Self::Text,
            "refusal" if part.refusal.is_some() => Self::Refusal,
            "reasoning" if part.content.is_none_or(|content| !is_string(content)) => Self::Reasoning,
            "thinking" => Self::Thinking,
            "image_url" | "input_image" => Self::Image,
            "video_url" | "input_video" => Self::Video,
            "input_audio" | "audio" | "output_audio" => Self::Audio,
            "file" | "input_file" if part.modality.is_none() => Self::File,
            "reasoning.text" | "reasoning.summary" => Self::ReasoningDetail,
            "document_url" => Self::Linked,
            "image" | "document" | "container_upload" => Self::Sourced,
            "tool_use" | "function_call" | "custom_tool_call" | "computer_call" | "local_shell_call" | "shell_call"
            | "apply_patch_call" => Self::ToolCall,
            "tool_result" => Self::ToolResult,
            "server_tool_use" => Self::Hosted(part.name.and_then(|name| hosted(name.get().trim_matches('"')))),
            _ if kind.starts_with("mcp_") && !kind.ends_with("_result") => Self::Hosted(Some(Feature::RemoteMcp)),
            _ if kind.ends_with("_tool_result") => Self::HostedResult(hosted(kind)),
            _ if kind.ends_with("_call_output") => Self::ToolResult,
            _ if kind.ends_with("_call") && hosted(kind).is_some() => Self::Hosted(hosted(kind)),
            _ => Self::Native,
        }
    }
}

#[derive(Deserialize)]
struct Url<'a> {
    #[serde(borrow)]
    url: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    id: Option<Json<'a>>,
    data: Option<Json<'a>>,
    format: Option<Text<'a>>,
    transcript: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    file_id: Option<Json<'a>>,
    file_data: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    media_type: Option<Json<'a>>,
    data: Option<Json<'a>>,
    url: Option<Json<'a>>,
    file_id: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Json<'a>>,
    function: Option<Json<'a>>,
    custom: Option<Json<'a>>,
    name: Option<Json<'a>>,
    arguments: Option<Json<'a>>,
    input: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Enabled {
    enabled: Option<bool>,
}

impl Messages {
    /// Writes `part`, whose JSON is `json`, as the part `kind` says it is.
    pub(super) fn read_part(&mut self, json: Json<'_>, part: &Part<'_>, kind: PartKind) {
        self.features.insert_if(part.cache_control.is_some(), Feature::PromptCacheControl);
        match kind {
            PartKind::Text => self.text_part(part),
            PartKind::Refusal => part.refusal.into_iter().for_each(|text| self.typed("refusal", text)),
            PartKind::Reasoning => self.reasoning_part(json, part),
            PartKind::Thinking => self.thinking(json, part),
            PartKind::ReasoningDetail => {
                let text = part.text.or(part.summary).filter(|text| is_string(text));
                text.into_iter().for_each(|text| self.typed("reasoning", text));
            }
            PartKind::Linked => self.linked(json, part, "document", part.document_url),
            PartKind::Image => self.linked(json, part, "image", part.image_url),
            PartKind::Video => self.linked(json, part, "video", part.video_url),
            PartKind::Audio => match part.input_audio.or(part.audio) {
                Some(audio) => self.audio(audio, Some(json)),
                None => self.audio(json, None),
            },
            PartKind::File => self.file(json, part),
            PartKind::Sourced => self.sourced(json, part),
            PartKind::ToolCall => self.tool_use(part),
            PartKind::ToolResult => self.result(part),
            PartKind::Hosted(feature) => self.hosted_part("server_tool_call", json, part, feature),
            PartKind::HostedResult(feature) => self.hosted_part("server_tool_call_response", json, part, feature),
            PartKind::Native => self.native(json, part),
        }
    }

    fn text_part(&mut self, part: &Part<'_>) {
        let Some(text) = part.text else { return };
        let cited = part.annotations.or(part.citations).filter(|list| list.get().len() > 2);
        match cited {
            Some(annotations) => {
                self.features.insert_if(self.direction == Direction::Output, Feature::Citations);
                self.begin("text");
                self.member("content", Some(text));
                self.member("annotations", Some(annotations));
                self.end();
            }
            None => self.text(text),
        }
    }

    /// A reasoning item: its summary and content are lists of texts. Without any it is copied, being needed to go on.
    fn reasoning_part(&mut self, json: Json<'_>, part: &Part<'_>) {
        let lists = [part.summary, part.content];
        let items = lists.into_iter().flatten().flat_map(elements).collect::<Vec<_>>();
        let texts = items.iter().filter_map(|item| shape::<Part<'_>>(item)?.text).collect::<Vec<_>>();
        if texts.is_empty() && part.encrypted_content.is_some() {
            self.copy(json);
        }
        texts.into_iter().for_each(|text| self.typed("reasoning", text));
    }

    fn thinking(&mut self, json: Json<'_>, part: &Part<'_>) {
        let Some(thinking) = part.thinking else { return self.copy(json) };
        if thinking.get().starts_with('[') {
            // Mistral thinks in parts.
            let texts = elements(thinking).into_iter().filter_map(|inner| shape::<Part<'_>>(inner)?.text);
            return texts.for_each(|text| self.typed("reasoning", text));
        }
        self.begin("reasoning");
        self.member("content", Some(thinking));
        self.member("signature", part.signature);
        self.end();
    }

    /// An image or video behind a URL, which may hold the bytes themselves.
    fn linked(&mut self, json: Json<'_>, part: &Part<'_>, modality: &str, link: Option<Json<'_>>) {
        self.note_modality(modality);
        let url = link.and_then(|link| if is_string(link) { Some(link) } else { shape::<Url<'_>>(link)?.url });
        match (url, part.file_id) {
            (Some(url), _) => self.url(modality, url),
            (None, Some(id)) => self.stored(modality, id),
            (None, None) => self.copy(json),
        }
    }

    /// A picture that is nothing but its bytes, as Ollama takes them.
    pub(super) fn bare_image(&mut self, bytes: Json<'_>) {
        self.note_modality("image");
        self.media("blob", "image", None, "content", bytes);
    }

    /// A URL; a `data:` URL is the bytes it holds.
    fn url(&mut self, modality: &str, url: Json<'_>) {
        let inner = url.get().strip_prefix("\"data:").and_then(|rest| rest.strip_suffix('"'));
        match inner.and_then(|inner| inner.split_once(";base64,")) {
            Some((mime_type, bytes)) => {
                self.begin("blob");
                self.member_text("modality", modality);
                self.member_json("mime_type", &format!("\"{mime_type}\""));
                self.member_json("content", &format!("\"{bytes}\""));
                self.end();
            }
            None => self.media("uri", modality, None, "uri", url),
        }
    }

    fn stored(&mut self, modality: &str, id: Json<'_>) {
        self.features.insert(Feature::HostedFiles);
        self.media("file", modality, None, "file_id", id);
    }

    pub(super) fn media(
        &mut self,
        kind: &str,
        modality: &str,
        mime_type: Option<Json<'_>>,
        key: &str,
        value: Json<'_>,
    ) {
        self.begin(kind);
        self.member_text("modality", modality);
        self.member("mime_type", mime_type);
        self.member(key, Some(value));
        self.end();
    }

    /// Sound: OpenAI's `audio` of a message or its `input_audio` part. What was said goes along as `transcript`.
    pub(super) fn audio(&mut self, audio: Json<'_>, whole: Option<Json<'_>>) {
        self.note_modality("audio");
        let Some(sound) = shape::<Audio<'_>>(audio) else { return self.copy(whole.unwrap_or(audio)) };
        let (kind, key, value) = match (sound.data, sound.id) {
            (Some(data), _) => ("blob", "content", Some(data)),
            (None, id) => ("file", "file_id", id),
        };
        self.begin(kind);
        self.member_text("modality", "audio");
        if let Some(format) = sound.format {
            self.member_text("mime_type", &format!("audio/{}", format.0));
        }
        self.member(key, value);
        self.member("transcript", sound.transcript);
        self.end();
    }

    fn file(&mut self, json: Json<'_>, part: &Part<'_>) {
        self.note_modality("document");
        let nested = part.file.and_then(shape::<File<'_>>);
        let id = part.file_id.or(nested.as_ref().and_then(|file| file.file_id));
        let data = part.file_data.or(nested.as_ref().and_then(|file| file.file_data)).or(part.file_url);
        match (id, data) {
            (Some(id), _) => self.stored("document", id),
            (None, Some(data)) => self.url("document", data),
            (None, None) => self.copy(json),
        }
    }

    /// Anthropic's media: `source` says where the bytes are. Documents of plain text stay as they are.
    fn sourced(&mut self, json: Json<'_>, part: &Part<'_>) {
        let modality = if part.kind.as_ref().is_some_and(|kind| kind.0 == "image") { "image" } else { "document" };
        self.note_modality(modality);
        let cites = part.citations.and_then(shape::<Enabled>).is_some_and(|citations| citations.enabled == Some(true));
        self.features.insert_if(cites, Feature::Citations);
        let source = part.source.and_then(shape::<Media<'_>>);
        match source {
            Some(Media { file_id: Some(id), .. }) => self.stored(modality, id),
            Some(Media { url: Some(url), .. }) => self.url(modality, url),
            Some(Media { kind: Some(kind), data: Some(data), media_type, .. }) if kind.0 == "base64" => {
                self.media("blob", modality, media_type, "content", data);
            }
            _ => match part.file_id {
                Some(id) => self.stored(modality, id),
                None => self.copy(json),
            },
        }
    }

    /// OpenAI's `tool_calls[]` element, or its older `function_call`.
    pub(super) fn function_call(&mut self, json: Json<'_>) {
        self.features.insert(Feature::ToolCalling);
        let Some(call) = shape::<Call<'_>>(json) else { return self.copy(json) };
        let inner = call.function.or(call.custom).and_then(shape::<Call<'_>>);
        let name = call.name.or(inner.as_ref().and_then(|inner| inner.name));
        let own = call.arguments.or(call.input);
        let arguments = own.or(inner.as_ref().and_then(|inner| inner.arguments.or(inner.input)));
        self.tool_call(call.id, name, arguments.map(RawValue::get));
    }

    fn tool_use(&mut self, part: &Part<'_>) {
        let computer = part.kind.as_ref().is_some_and(|kind| kind.0 == "computer_call");
        self.features.insert(if computer { Feature::ComputerUse } else { Feature::ToolCalling });
        let arguments = part.input.or(part.arguments).or(part.action);
        self.tool_call(part.call_id.or(part.id), part.name, arguments.map(RawValue::get));
    }

    /// A call of a client's tool. Arguments that are JSON inside a string are taken out of it.
    pub(super) fn tool_call(&mut self, id: Option<Json<'_>>, name: Option<Json<'_>>, arguments: Option<&str>) {
        self.begin("tool_call");
        self.member("id", id);
        self.member("name", name);
        if let Some(arguments) = arguments.filter(|_| self.writer.is_on()) {
            let unquoted =
                arguments.starts_with('"').then(|| serde_json::from_str::<Text<'_>>(arguments).ok()).flatten();
            let object = unquoted.as_ref().map(|text| text.0.trim()).filter(|text| is_object(text));
            self.writer.key("arguments");
            self.writer.json(object.unwrap_or(arguments));
        }
        self.end();
    }

    fn result(&mut self, part: &Part<'_>) {
        self.begin("tool_call_response");
        self.member("id", part.tool_use_id.or(part.call_id));
        self.member("response", part.content.or(part.output));
        self.end();
        self.note_result(part.content);
    }

    /// Pictures and documents a tool gave back are input too: noted here, held by its response.
    pub(super) fn note_result(&mut self, content: Option<Json<'_>>) {
        let (was_on, parts) = (self.writer.pause(), self.parts);
        content.into_iter().flat_map(elements).for_each(|inner| self.part(inner));
        self.parts = parts;
        self.writer.resume(was_on);
    }

    /// What a vendor's tool was asked or gave back.
    fn hosted_part(&mut self, kind: &str, json: Json<'_>, part: &Part<'_>, feature: Option<Feature>) {
        if let Some(feature) = feature {
            self.features.insert(feature);
        }
        self.begin(kind);
        self.member("id", part.tool_use_id.or(part.id));
        self.member("name", part.name);
        self.member(kind, Some(json));
        self.end();
    }

    /// A part that is OpenTelemetry's already, or of a kind not known here.
    fn native(&mut self, json: Json<'_>, part: &Part<'_>) {
        if part.kind.is_none() && self.converse_block(json) {
            return;
        }
        match part.kind.as_ref().map(|kind| kind.0.as_ref()) {
            Some("text") => return part.content.into_iter().for_each(|text| self.text(text)),
            Some("tool_call" | "tool_call_response") => self.features.insert(Feature::ToolCalling),
            Some("server_tool_call" | "server_tool_call_response") => {
                let feature = part.name.and_then(|name| hosted(name.get().trim_matches('"')));
                feature.into_iter().for_each(|feature| self.features.insert(feature));
            }
            Some("file") => self.features.insert(Feature::HostedFiles),
            // Mistral's marks of what an answer leans on.
            Some("reference" | "tool_reference") => {
                self.features.insert_if(self.direction == Direction::Output, Feature::Citations);
            }
            _ => {}
        }
        if let Some(modality) = &part.modality {
            self.note_modality(&modality.0);
        }
        self.copy(json);
    }

    pub(super) fn note_modality(&mut self, modality: &str) {
        let feature = match (modality, self.direction) {
            ("image", Direction::Input) => Feature::VisionInput,
            ("image", Direction::Output) => Feature::ImageOutput,
            ("audio", Direction::Input) => Feature::AudioInput,
            ("audio", Direction::Output) => Feature::AudioOutput,
            ("video", Direction::Input) => Feature::VideoInput,
            ("document", Direction::Input) => Feature::DocumentInput,
            _ => return,
        };
        self.features.insert(feature);
    }
}

/// Whether `text` is one JSON object that can stand inside of another.
fn is_object(text: &str) -> bool {
    text.starts_with('{') && !nests_too_deep(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
