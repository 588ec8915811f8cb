//! Contents and parts in Gemini's words, in the spelling of REST or of the SDKs.

use daybook_ledger::Feature;

use crate::decode::messages::{Messages, elements, is_string, shape};
use crate::decode::object::object;
use crate::decode::openai::chat_stream::join;
use crate::decode::scalar::{Flag, Text, flag};
use crate::decode::source::Json;

object! {
    /// A turn: who spoke, and what.
    pub(crate) struct Content<'a> {
        pub role: Text<'a> = "role",
        pub parts: Json<'a> = "parts",
        // Of one text to be embedded, or one prompt of a batch.
        text: Json<'a> = "content" | "prompt",
    }
}

object! {
    /// A part, of which one member says what it is.
    #[derive(Clone)]
    pub(crate) struct Part<'a> {
        text: Json<'a> = "text",
        thought: Flag = "thought",
        inline: Json<'a> = "inlineData" | "inline_data",
        file: Json<'a> = "fileData" | "file_data",
        call: Json<'a> = "functionCall" | "function_call",
        result: Json<'a> = "functionResponse" | "function_response",
        code: Json<'a> = "executableCode" | "executable_code",
        output: Json<'a> = "codeExecutionResult" | "code_execution_result",
    }
}

object! {
    struct Media<'a> {
        mime_type: Json<'a> = "mimeType" | "mime_type",
        data: Json<'a> = "data",
        uri: Json<'a> = "fileUri" | "file_uri",
    }
}

object! {
    struct Function<'a> {
        id: Json<'a> = "id",
        name: Json<'a> = "name",
        args: Json<'a> = "args",
        response: Json<'a> = "response",
    }
}

/// What kind of content a media type is.
fn modality(mime_type: Option<Json<'_>>) -> &'static str {
    let kind = mime_type.map_or("", |kind| kind.get().trim_start_matches('"'));
    ["image", "audio", "video"].into_iter().find(|modality| kind.starts_with(modality)).unwrap_or("document")
}

impl Messages {
    /// Everything a request says: text, one content, or a list of contents or of parts.
    pub(crate) fn gemini_contents(&mut self, json: Json<'_>) {
        match json.get().as_bytes().first() {
            Some(b'"') => self.message("user", None, |messages| messages.text(json)),
            Some(b'[') => elements(json).into_iter().for_each(|content| self.gemini_contents(content)),
            Some(b'{') => self.gemini_content(json, None),
            _ => {}
        }
    }

    /// One turn. What has no parts is a part itself.
    pub(crate) fn gemini_content(&mut self, json: Json<'_>, role: Option<&str>) {
        let content = shape::<Content<'_>>(json).unwrap_or_default();
        let stated = content.role.as_ref().map_or("user", |role| role.0.as_ref());
        let role = role.unwrap_or(match stated {
            "model" => "assistant",
            "function" => "tool",
            other => other,
        });
        match content.parts {
            Some(parts) => self.message(role, None, |messages| messages.gemini_parts(&listed(parts))),
            None if is_string(json) => self.message(role, None, |messages| messages.text(json)),
            None => match content.text {
                Some(text) => self.gemini_contents(text),
                None => self.message(role, None, |messages| messages.gemini_parts(&[json])),
            },
        }
    }

    /// Parts in order. The pieces of one text, as they come in a stream, are one part.
    pub(crate) fn gemini_parts(&mut self, parts: &[Json<'_>]) {
        let mut pieces: Vec<Json<'_>> = Vec::new();
        let mut thought = false;
        for json in parts {
            let part = shape::<Part<'_>>(json);
            let text = part.as_ref().and_then(|part| Some((part.text?, flag(part.thought) == Some(true))));
            if text.is_none_or(|(_, of_thought)| of_thought != thought) {
                self.gemini_text(&pieces, thought);
                pieces.clear();
            }
            match (text, part) {
                (Some((text, of_thought)), _) => {
                    thought = of_thought;
                    pieces.push(text);
                }
                (None, Some(part)) => self.gemini_part(json, &part),
                (None, None) if is_string(json) => self.text(json),
                (None, None) => self.copy(json),
            }
        }
        self.gemini_text(&pieces, thought);
    }

    /// The pieces of one text. Thoughts are summaries of what the model thought: no visible text.
    fn gemini_text(&mut self, pieces: &[Json<'_>], thought: bool) {
        let kind = if thought { "reasoning" } else { "text" };
        if let Some(text) = join(self.writer.is_on(), pieces).filter(|text| text != "\"\"") {
            self.typed_json(kind, &text);
        }
    }

    fn gemini_part(&mut self, json: Json<'_>, part: &Part<'_>) {
        if let Some(media) = part.inline.or(part.file).and_then(shape::<Media<'_>>) {
            self.gemini_media(json, &media);
        } else if let Some(call) = part.call.and_then(shape::<Function<'_>>) {
            self.features.insert(Feature::ToolCalling);
            self.tool_call(call.id, call.name, call.args.map(|args| args.get()));
        } else if let Some(result) = part.result.and_then(shape::<Function<'_>>) {
            self.features.insert(Feature::ToolCalling);
            self.begin("tool_call_response");
            self.member("id", result.id.or(result.name));
            self.member("response", result.response);
            self.end();
        } else if let Some(code) = part.code {
            self.gemini_code("server_tool_call", code);
        } else if let Some(output) = part.output {
            self.gemini_code("server_tool_call_response", output);
        } else {
            self.copy(json);
        }
    }

    fn gemini_media(&mut self, json: Json<'_>, media: &Media<'_>) {
        let modality = modality(media.mime_type);
        self.note_modality(modality);
        match (media.data, media.uri) {
            (Some(data), _) => self.media("blob", modality, media.mime_type, "content", data),
            (None, Some(uri)) => {
                // Files uploaded to Google's own store, as opposed to a bucket or the web.
                let stored =
                    uri.get().contains("generativelanguage.googleapis.com") || uri.get().starts_with("\"files/");
                self.features.insert_if(stored, Feature::HostedFiles);
                self.media("uri", modality, media.mime_type, "uri", uri);
            }
            (None, None) => self.copy(json),
        }
    }

    fn gemini_code(&mut self, kind: &str, code: Json<'_>) {
        self.features.insert(Feature::CodeExecution);
        self.begin(kind);
        self.member_text("name", "code_execution");
        self.member(kind, Some(code));
        self.end();
    }
}

/// The parts of a content: a list, or one of them.
pub(crate) fn listed(parts: Json<'_>) -> Vec<Json<'_>> {
    if parts.get().starts_with('[') { elements(parts) } else { vec![parts] }
}
