//! The shape of Bedrock's Converse: blocks of which one member says what they are, system text apart.

use std::borrow::Cow;

use daybook_ledger::neutral::{Json, Media, Place, text};
use serde::Serialize;
use serde_json::value::RawValue;

use super::conversation::{Conversation, Given, Piece, Side, object_of, quoted};
use super::loss::{Dropped, Notes};
use super::parameters::{Words, functions, lose_all, schema, schema_of, translate};

const WORDS: [(&str, &str); 4] = [
    ("max_tokens", "maxTokens"),
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("stop_sequences", "stopSequences"),
];
const SCHEMA_VERSION: &str = "bedrock-conversation-2024";
const IMAGES: [&str; 4] = ["png", "jpeg", "gif", "webp"];
const SOUNDS: [&str; 7] = ["mp3", "opus", "wav", "aac", "flac", "mp4", "ogg"];
const VIDEOS: [&str; 7] = ["mkv", "mov", "mp4", "webm", "flv", "mpeg", "wmv"];
/// Formats of documents by what a media type ends in.
const DOCUMENTS: [(&str, &str); 14] = [
    ("pdf", "pdf"),
    ("csv", "csv"),
    ("doc", "doc"),
    ("msword", "doc"),
    ("docx", "docx"),
    ("vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("xls", "xls"),
    ("vnd.ms-excel", "xls"),
    ("vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("html", "html"),
    ("plain", "txt"),
    ("txt", "txt"),
    ("md", "md"),
    ("markdown", "md"),
];

/// A conversation to learn from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    schema_version: &'static str,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
}

/// A prompt to run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(flatten)]
    content: Content<'a>,
    #[serde(skip_serializing_if = "Words::is_empty")]
    inference_config: Words<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputConfig {
    text_format: TextFormat,
}

#[derive(Debug, Serialize)]
struct TextFormat {
    r#type: &'static str,
    structure: Structure,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure {
    json_schema: JsonSchema,
}

#[derive(Debug, Serialize)]
struct JsonSchema {
    /// JSON as text.
    schema: Box<RawValue>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Block<'a> {
    Text(Json<'a>),
    Json(Json<'a>),
    ReasoningContent(Reasoning<'a>),
    Image(File),
    Audio(File),
    Video(File),
    Document(File),
    ToolUse(ToolUse<'a>),
    ToolResult(ToolResult<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    reasoning_text: ReasoningText<'a>,
}

#[derive(Debug, Serialize)]
struct ReasoningText<'a> {
    text: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Json<'a>>,
}

#[derive(Debug, Serialize)]
struct File {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    source: Source,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Source {
    Bytes(String),
    S3Location(Location),
}

#[derive(Debug, Serialize)]
struct Location {
    uri: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    tool_use_id: Cow<'a, RawValue>,
    name: Json<'a>,
    input: Cow<'a, RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    tool_use_id: Cow<'a, RawValue>,
    content: Vec<Block<'a>>,
}

#[derive(Debug, Serialize)]
struct ToolConfig<'a> {
    tools: Vec<Tool<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    tool_spec: ToolSpec<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Json<'a>>,
    input_schema: InputSchema<'a>,
}

#[derive(Debug, Serialize)]
struct InputSchema<'a> {
    json: Cow<'a, RawValue>,
}

/// `conversation` to learn from.
pub(super) fn line<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    lose_all(conversation, notes);
    Ok(Line { schema_version: SCHEMA_VERSION, content: content(conversation, notes)? })
}

/// `conversation` to run.
pub(super) fn request<'c>(conversation: &'c Conversation<'_>, notes: &mut Notes) -> Result<Request<'c>, Dropped> {
    let schema = schema(conversation).map(|schema| quoted(schema.get())).transpose()?;
    let output_config = schema.map(|schema| {
        let structure = Structure { json_schema: JsonSchema { schema } };
        OutputConfig { text_format: TextFormat { r#type: "json_schema", structure } }
    });
    let inference_config = translate(conversation, &WORDS, notes);
    Ok(Request { content: content(conversation, notes)?, inference_config, output_config })
}

fn content<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Content<'a>, Dropped> {
    let exchange = conversation.exchange(notes)?;
    let messages = exchange.turns.iter().map(|side| message(side, notes)).collect::<Result<_, _>>()?;
    let tools: Vec<_> = functions(&conversation.tools, notes)
        .iter()
        .map(|function| {
            let input_schema = InputSchema { json: schema_of(function, notes) };
            let (name, description) = (function.name, function.description.filter(|text| text.get() != "\"\""));
            Tool { tool_spec: ToolSpec { name, description, input_schema } }
        })
        .collect();
    // Converse refuses calls of tools when it does not know the tools.
    if tools.is_empty() && conversation.calls_tools() {
        return Err(Dropped::ToolsUnknown);
    }
    Ok(Content {
        system: exchange.system.into_iter().map(Block::Text).collect(),
        messages,
        tool_config: (!tools.is_empty()).then_some(ToolConfig { tools }),
    })
}

fn message<'a>(side: &Side<'_, 'a>, notes: &mut Notes) -> Result<Message<'a>, Dropped> {
    let mut content = Vec::new();
    for piece in &side.pieces {
        match piece {
            Piece::Text(text) => content.push(Block::Text(text)),
            Piece::Reasoning(text, signature) => {
                let reasoning_text = ReasoningText { text, signature: *signature };
                content.push(Block::ReasoningContent(Reasoning { reasoning_text }));
            }
            Piece::Refusal(_) => notes.lost("refusal"),
            Piece::Media(_) if side.is_model => return Err(Dropped::Media),
            Piece::Media(media) => content.push(media_block(media, notes)?),
            Piece::Call { id, name, arguments } => {
                let input = object_of(*arguments, notes)?;
                content.push(Block::ToolUse(ToolUse { tool_use_id: id.clone(), name, input }));
            }
            Piece::Result { id, content: given, .. } => {
                let given = given.iter().map(|given| match *given {
                    Given::Text(text) => Block::Text(text),
                    Given::Json(json) => Block::Json(json),
                });
                content.push(Block::ToolResult(ToolResult { tool_use_id: id.clone(), content: given.collect() }));
            }
        }
    }
    match content.is_empty() {
        true => Err(Dropped::NoAnswer),
        false => Ok(Message { role: if side.is_model { "assistant" } else { "user" }, content }),
    }
}

fn media_block<'a>(media: &Media<'a>, notes: &mut Notes) -> Result<Block<'a>, Dropped> {
    let source = match media.place {
        Place::Inline(data) => text(data).map(|data| Source::Bytes(data.into_owned())),
        Place::Uri(uri) => text(uri)
            .filter(|uri| uri.starts_with("s3://"))
            .map(|uri| Source::S3Location(Location { uri: uri.into_owned() })),
        Place::Hosted(_) => None,
    };
    let subtype =
        media.mime_type.as_deref().and_then(|mime_type| mime_type.split_once('/')).map(|(_, subtype)| subtype);
    let (source, subtype) = source.zip(subtype).ok_or(Dropped::Media)?;
    let one_of = |formats: &[&'static str]| {
        let subtype = if subtype == "jpg" { "jpeg" } else { subtype };
        formats.iter().copied().find(|format| *format == subtype).ok_or(Dropped::Media)
    };
    let file = |format, source| File { format, name: None, source };
    Ok(match media.modality.as_ref() {
        "image" => Block::Image(file(one_of(&IMAGES)?, source)),
        "audio" => Block::Audio(file(one_of(&SOUNDS)?, source)),
        "video" => Block::Video(file(one_of(&VIDEOS)?, source)),
        "document" => {
            let format = DOCUMENTS.iter().find(|(ending, _)| *ending == subtype).ok_or(Dropped::Media)?.1;
            notes.filled("name of a document");
            Block::Document(File { format, name: Some("document"), source })
        }
        _ => return Err(Dropped::Media),
    })
}
