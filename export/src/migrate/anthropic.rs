//! The shape of Anthropic's Messages: system text apart, blocks of content, two sides that take turns.

use std::borrow::Cow;

use daybook_ledger::neutral::{Json, Media, Place, text};
use serde::Serialize;
use serde_json::value::RawValue;

use super::chat::said;
use super::conversation::{Conversation, Piece, Side, object_of};
use super::loss::{Dropped, Notes};
use super::parameters::{Words, functions, lose_all, schema, schema_of, translate};

const WORDS: [(&str, &str); 5] = [
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("stop_sequences", "stop_sequences"),
];
/// Requests must say a limit; for calls that recorded none.
const MAX_TOKENS: &str = "4096";
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// A conversation to learn from, or the part of a request that is one.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
}

/// A prompt to run.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    model: Option<&'a str>,
    #[serde(flatten)]
    parameters: Words<'a>,
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Debug, Serialize)]
struct OutputConfig<'a> {
    format: OutputFormat<'a>,
}

#[derive(Debug, Serialize)]
struct OutputFormat<'a> {
    r#type: &'static str,
    schema: Json<'a>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: Cow<'a, RawValue> },
    Thinking { thinking: Json<'a>, signature: Json<'a> },
    Image { source: Source<'a> },
    Document { source: Source<'a> },
    ToolUse { id: Cow<'a, RawValue>, name: Json<'a>, input: Cow<'a, RawValue> },
    ToolResult { tool_use_id: Cow<'a, RawValue>, content: Vec<Self> },
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: String, data: Json<'a> },
    Url { url: Json<'a> },
}

#[derive(Debug, Serialize)]
struct Tool<'a> {
    name: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Json<'a>>,
    input_schema: Cow<'a, RawValue>,
}

/// `conversation` to learn from.
pub(super) fn line<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    lose_all(conversation, notes);
    content(conversation, notes)
}

/// `conversation` to run by `model`.
pub(super) fn request<'c>(
    conversation: &'c Conversation<'_>,
    model: Option<&'c str>,
    notes: &mut Notes,
) -> Result<Request<'c>, Dropped> {
    let mut parameters = translate(conversation, &WORDS, notes);
    if !parameters.contains_key("max_tokens")
        && let Ok(limit) = RawValue::from_string(MAX_TOKENS.into())
    {
        notes.filled("parameter max_tokens (4096)");
        parameters.insert("max_tokens", Cow::Owned(limit));
    }
    let format = schema(conversation).map(|schema| OutputFormat { r#type: "json_schema", schema });
    let output_config = format.map(|format| OutputConfig { format });
    Ok(Request { model, parameters, line: content(conversation, notes)?, output_config })
}

fn content<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    let exchange = conversation.exchange(notes)?;
    let system = exchange.system.iter().map(|text| Block::Text { text: Cow::Borrowed(*text) }).collect();
    let messages = exchange.turns.iter().map(|side| message(side, notes)).collect::<Result<_, _>>()?;
    let tools = functions(&conversation.tools, notes).iter();
    let tools = tools
        .map(|function| Tool {
            name: function.name,
            description: function.description,
            input_schema: schema_of(function, notes),
        })
        .collect::<Vec<_>>();
    Ok(Line { system, messages, tools })
}

fn message<'a>(side: &Side<'_, 'a>, notes: &mut Notes) -> Result<Message<'a>, Dropped> {
    let mut content = Vec::new();
    for piece in &side.pieces {
        match piece {
            Piece::Text(text) => content.push(Block::Text { text: Cow::Borrowed(text) }),
            Piece::Reasoning(thinking, Some(signature)) => content.push(Block::Thinking { thinking, signature }),
            Piece::Reasoning(_, None) => notes.lost("reasoning"),
            Piece::Refusal(_) => notes.lost("refusal"),
            Piece::Media(_) if side.is_model => return Err(Dropped::Media),
            Piece::Media(media) => content.push(media_block(media)?),
            Piece::Call { id, name, arguments } => {
                content.push(Block::ToolUse { id: id.clone(), name, input: object_of(*arguments, notes)? });
            }
            Piece::Result { id, content: given, .. } => {
                let texts = given.iter().map(|given| Ok(Block::Text { text: said(*given)? }));
                content.push(Block::ToolResult {
                    tool_use_id: id.clone(),
                    content: texts.collect::<Result<_, Dropped>>()?,
                });
            }
        }
    }
    match content.is_empty() {
        true => Err(Dropped::NoAnswer),
        false => Ok(Message { role: if side.is_model { "assistant" } else { "user" }, content }),
    }
}

fn media_block<'a>(media: &Media<'a>) -> Result<Block<'a>, Dropped> {
    let mime_type = match media.mime_type.as_deref() {
        Some("image/jpg") => Some("image/jpeg"),
        other => other,
    };
    let base64 = |data, takes: &[&str]| {
        let media_type = mime_type.filter(|mime_type| takes.contains(mime_type))?.to_owned();
        Some(Source::Base64 { media_type, data })
    };
    let web = |url: Json<'a>| text(url).is_some_and(|url| url.starts_with("http")).then_some(Source::Url { url });
    let block = match (media.modality.as_ref(), media.place) {
        ("image", Place::Inline(data)) => base64(data, &IMAGES).map(|source| Block::Image { source }),
        ("image", Place::Uri(url)) => web(url).map(|source| Block::Image { source }),
        ("document", Place::Inline(data)) => {
            base64(data, &["application/pdf"]).map(|source| Block::Document { source })
        }
        ("document", Place::Uri(url)) => web(url).map(|source| Block::Document { source }),
        _ => None,
    };
    block.ok_or(Dropped::Media)
}
