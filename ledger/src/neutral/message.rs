//! Messages as `content` has them: OpenTelemetry's GenAI message JSON, and what sources add to it.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Json, text};

/// A message.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// Who speaks, as the source says: system, developer, user, assistant, tool or another word.
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    /// The speaker's name.
    #[serde(borrow)]
    pub name: Option<Json<'a>>,
    /// What is said; [`Part::read`] reads one.
    #[serde(borrow, default)]
    pub parts: Vec<Json<'a>>,
    /// Why the model stopped.
    #[serde(borrow)]
    pub finish_reason: Option<Json<'a>>,
}

/// The messages of a column; `None` if it has another shape.
pub fn messages(column: &str) -> Option<Vec<Message<'_>>> {
    serde_json::from_str(column).ok()
}

/// A part of a message. JSON where the source's own writing is kept.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// Text, a JSON string, and what it cites.
    Text(Json<'a>, Option<Json<'a>>),
    /// Text with which the model declined.
    Refusal(Json<'a>),
    /// What the model thought, a JSON string, and the vendor's signature over it.
    Reasoning(Json<'a>, Option<Json<'a>>),
    /// Thought that only its vendor can read.
    EncryptedReasoning,
    /// A call of a client's tool.
    ToolCall {
        /// Ties the result to it.
        id: Option<Json<'a>>,
        /// The tool.
        name: Option<Json<'a>>,
        /// An object, or text where the model wrote something else.
        arguments: Option<Json<'a>>,
    },
    /// What a client's tool gave back.
    ToolResult {
        /// The call's id; where a source has none, the tool's name.
        id: Option<Json<'a>>,
        /// Text, a list of parts, or any other JSON.
        response: Option<Json<'a>>,
    },
    /// A call of a tool that runs at the vendor, or its result.
    HostedTool,
    /// A picture, sound, video or document.
    Media(Media<'a>),
    /// Anything else.
    Other,
}

/// A picture, sound, video or document.
#[derive(Clone, Debug)]
pub struct Media<'a> {
    /// image, audio, video, document, or another word of the source.
    pub modality: Cow<'a, str>,
    /// Media type, where the source says it.
    pub mime_type: Option<Cow<'a, str>>,
    /// Where the bytes are.
    pub place: Place<'a>,
}

/// Where the bytes of media are; JSON strings.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// Here, in base64.
    Inline(Json<'a>),
    /// Behind a URI.
    Uri(Json<'a>),
    /// With the vendor, under an id.
    Hosted(Json<'a>),
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Json<'a>>,
    #[serde(borrow)]
    content: Option<Json<'a>>,
    #[serde(borrow)]
    annotations: Option<Json<'a>>,
    #[serde(borrow)]
    signature: Option<Json<'a>>,
    #[serde(borrow)]
    id: Option<Json<'a>>,
    #[serde(borrow)]
    name: Option<Json<'a>>,
    #[serde(borrow)]
    arguments: Option<Json<'a>>,
    #[serde(borrow, alias = "result")]
    response: Option<Json<'a>>,
    #[serde(borrow)]
    modality: Option<Json<'a>>,
    #[serde(borrow)]
    mime_type: Option<Json<'a>>,
    #[serde(borrow)]
    uri: Option<Json<'a>>,
    #[serde(borrow)]
    file_id: Option<Json<'a>>,
    // Members of parts that sources keep as their vendor wrote them.
    #[serde(borrow, rename = "reasoningContent")]
    converse_reasoning: Option<Json<'a>>,
}

impl<'a> Part<'a> {
    /// Reads a part.
    pub fn read(json: Json<'a>) -> Self {
        match serde_json::from_str::<Fields<'a>>(json.get()) {
            Ok(fields) => fields.part().unwrap_or(Self::Other),
            Err(_) => Self::Other,
        }
    }
}

impl<'a> Fields<'a> {
    fn part(self) -> Option<Part<'a>> {
        if self.converse_reasoning.is_some() {
            return Some(Part::EncryptedReasoning);
        }
        let content = self.content.filter(|content| content.get().starts_with('"'));
        Some(match text(self.kind?)?.as_ref() {
            "text" => Part::Text(content?, self.annotations),
            "refusal" => Part::Refusal(content?),
            "reasoning" | "thinking" => match content {
                Some(content) => Part::Reasoning(content, self.signature),
                None => Part::EncryptedReasoning,
            },
            "redacted_thinking" | "reasoning.encrypted" => Part::EncryptedReasoning,
            "tool_call" => Part::ToolCall { id: self.id, name: self.name, arguments: self.arguments },
            "tool_call_response" => Part::ToolResult { id: self.id, response: self.response },
            "server_tool_call" | "server_tool_call_response" => Part::HostedTool,
            "blob" => self.media(Place::Inline(content?))?,
            "uri" => self.media(Place::Uri(self.uri?))?,
            "file" => self.media(Place::Hosted(self.file_id?))?,
            _ => return None,
        })
    }

    fn media(&self, place: Place<'a>) -> Option<Part<'a>> {
        let mime_type = self.mime_type.and_then(text);
        Some(Part::Media(Media { modality: text(self.modality?)?, mime_type, place }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn parts_are_what_their_type_says_and_text_stays_as_it_was_written() {
        let of = |json: &str| format!("{:?}", Part::read(&RawValue::from_string(json.into()).unwrap()));
        for (json, part) in [
            (r#"{"type":"text","content":"a\u00e4"}"#, r#"Text(RawValue("a\u00e4"), None)"#),
            (r#"{"type":"text","content":7}"#, "Other"),
            (r#"{"type":"reasoning","encrypted_content":"x"}"#, "EncryptedReasoning"),
            (r#"{"reasoningContent":{"redactedContent":"x"}}"#, "EncryptedReasoning"),
            (r#"{"type":"server_tool_call","id":"1"}"#, "HostedTool"),
            (r#"{"type":"blob","content":"AA"}"#, "Other"),
            (r#"{"type":"reference","ids":[1]}"#, "Other"),
            (r#""text""#, "Other"),
        ] {
            assert_eq!(of(json), part, "{json}");
        }
        assert!(matches!(
            Part::read(&RawValue::from_string(r#"{"type":"uri","modality":"image","uri":"s3://a"}"#.into()).unwrap()),
            Part::Media(Media { mime_type: None, place: Place::Uri(_), .. })
        ));
    }

    #[test]
    fn messages_of_another_shape_are_none() {
        assert!(messages(r#"{"role":"user"}"#).is_none());
        assert!(messages(r#"[{"parts":[]}]"#).is_none());
        assert_eq!(messages(r#"[{"role":"user","parts":[1,2]}]"#).unwrap()[0].parts.len(), 2);
    }
}
