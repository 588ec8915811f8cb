//! The shape of OpenAI's Chat Completions, which many vendors and tools read: messages, and requests for batches.

use std::borrow::Cow;

use daybook_ledger::neutral::{Function, Json, Media, Place, text};
use serde::Serialize;
use serde_json::value::RawValue;

use super::conversation::{Conversation, Given, Piece, Role, Turn, quoted};
use super::loss::{Dropped, Notes};
use super::parameters::{Words, functions, lose_all, schema, schema_of, translate};

/// Who reads the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    OpenAi,
    /// Without names, refusals, sound and inline documents; documents behind a URL.
    Mistral,
}

const OPENAI_WORDS: [(&str, &str); 7] = [
    ("max_tokens", "max_completion_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("seed", "seed"),
    ("choice_count", "n"),
];
const MISTRAL_WORDS: [(&str, &str); 7] = [
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("seed", "random_seed"),
    ("choice_count", "n"),
];
const STOP: (&str, &str) = ("stop_sequences", "stop");

/// A conversation to learn from.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
}

/// A prompt to run.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(flatten)]
    parameters: Words<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
}

#[derive(Debug, Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    json_schema: JsonSchema<'a>,
}

#[derive(Debug, Serialize)]
struct JsonSchema<'a> {
    name: &'static str,
    schema: Json<'a>,
}

#[derive(Debug, Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, RawValue>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, RawValue>),
    Blocks(Vec<Block<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: Cow<'a, RawValue> },
    ImageUrl { image_url: Url },
    InputAudio { input_audio: Sound<'a> },
    File { file: File },
    DocumentUrl { document_url: String },
}

#[derive(Debug, Serialize)]
struct Url {
    url: String,
}

#[derive(Debug, Serialize)]
struct Sound<'a> {
    data: Json<'a>,
    format: &'static str,
}

#[derive(Debug, Serialize)]
struct File {
    filename: String,
    file_data: String,
}

/// A call of a function.
#[derive(Debug, Serialize)]
pub(super) struct Call<'a> {
    id: Cow<'a, RawValue>,
    r#type: &'static str,
    function: Called<'a>,
}

#[derive(Debug, Serialize)]
struct Called<'a> {
    name: Json<'a>,
    arguments: Cow<'a, RawValue>,
}

/// A function offered.
#[derive(Debug, Serialize)]
pub(super) struct Tool<'a> {
    r#type: &'static str,
    function: Offered<'a>,
}

#[derive(Debug, Serialize)]
struct Offered<'a> {
    name: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Cow<'a, RawValue>>,
}

/// `conversation` to learn from.
pub(super) fn line<'a>(
    conversation: &Conversation<'a>,
    reader: Reader,
    notes: &mut Notes,
) -> Result<Line<'a>, Dropped> {
    lose_all(conversation, notes);
    messages(conversation, reader, notes)
}

/// `conversation` to run, by `model` if the request says so.
pub(super) fn request<'c>(
    conversation: &'c Conversation<'_>,
    model: Option<&'c str>,
    reader: Reader,
    notes: &mut Notes,
) -> Result<Request<'c>, Dropped> {
    let words = if reader == Reader::OpenAi { OPENAI_WORDS } else { MISTRAL_WORDS };
    let parameters = translate(conversation, &[&words[..], &[STOP]].concat(), notes);
    let response_format = schema(conversation).map(|schema| {
        notes.filled("name of the answer's schema");
        ResponseFormat { r#type: "json_schema", json_schema: JsonSchema { name: "answer", schema } }
    });
    Ok(Request { model, line: messages(conversation, reader, notes)?, parameters, response_format })
}

fn messages<'a>(conversation: &Conversation<'a>, reader: Reader, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    let mut messages = Vec::new();
    for turn in &conversation.turns {
        match turn.role {
            Role::Tool => results(turn, &mut messages)?,
            _ => messages.push(message(turn, reader, notes)?),
        }
    }
    Ok(Line { messages, tools: tools(conversation, reader, notes) })
}

/// The functions offered. Mistral takes none without a schema.
pub(super) fn tools<'a>(conversation: &Conversation<'a>, reader: Reader, notes: &mut Notes) -> Vec<Tool<'a>> {
    let functions = functions(&conversation.tools, notes).iter();
    let mut schema = |function: &Function<'a>| match reader {
        Reader::OpenAi => function.parameters.map(Cow::Borrowed),
        Reader::Mistral => Some(schema_of(function, notes)),
    };
    functions
        .map(|function| Tool {
            r#type: "function",
            function: Offered { name: function.name, description: function.description, parameters: schema(function) },
        })
        .collect()
}

/// A message for each result.
fn results<'a>(turn: &Turn<'a>, messages: &mut Vec<Message<'a>>) -> Result<(), Dropped> {
    for piece in &turn.pieces {
        let Piece::Result { id, content, .. } = piece else { return Err(Dropped::UnknownPart) };
        let blocks = content.iter().map(|given| Ok(Block::Text { text: said(*given)? })).collect::<Result<_, _>>()?;
        let content = Some(content_of(blocks).unwrap_or(Content::Text(Cow::Owned(quoted("")?))));
        messages.push(Message { role: "tool", content, tool_call_id: Some(id.clone()), ..Message::default() });
    }
    Ok(())
}

/// What a tool gave back as text: JSON is its own text.
pub(super) fn said(given: Given<'_>) -> Result<Cow<'_, RawValue>, Dropped> {
    match given {
        Given::Text(text) => Ok(Cow::Borrowed(text)),
        Given::Json(json) => Ok(Cow::Owned(quoted(json.get())?)),
    }
}

fn message<'a>(turn: &Turn<'a>, reader: Reader, notes: &mut Notes) -> Result<Message<'a>, Dropped> {
    let is_openai = reader == Reader::OpenAi;
    let role = match turn.role {
        Role::System => "system",
        Role::Developer if is_openai => "developer",
        Role::Developer => {
            notes.lost("role developer");
            "system"
        }
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut message = Message { role, ..Message::default() };
    match turn.name {
        Some(name) if is_openai => message.name = Some(name),
        Some(_) => notes.lost("name"),
        None => {}
    }
    let mut blocks = Vec::new();
    for piece in &turn.pieces {
        match piece {
            Piece::Text(text) => {
                if !message.tool_calls.is_empty() {
                    notes.lost("order of text and tool calls");
                }
                blocks.push(Block::Text { text: Cow::Borrowed(text) });
            }
            Piece::Refusal(text) if is_openai => message.refusal = Some(text),
            Piece::Refusal(_) => notes.lost("refusal"),
            Piece::Reasoning(..) => notes.lost("reasoning"),
            Piece::Media(media) if turn.role == Role::User => blocks.push(media_block(media, reader, notes)?),
            Piece::Media(_) | Piece::Result { .. } => return Err(Dropped::Media),
            Piece::Call { id, name, arguments } => message.tool_calls.push(call(id, name, *arguments, notes)?),
        }
    }
    message.content = content_of(blocks);
    match message.content.is_some() || !message.tool_calls.is_empty() || message.refusal.is_some() {
        true => Ok(message),
        false => Err(Dropped::NoAnswer),
    }
}

/// A call with its arguments as text, as the model wrote them.
pub(super) fn call<'a>(
    id: &Cow<'a, RawValue>,
    name: Json<'a>,
    arguments: Option<Json<'a>>,
    notes: &mut Notes,
) -> Result<Call<'a>, Dropped> {
    let arguments = match arguments {
        Some(text) if text.get().starts_with('"') => Cow::Borrowed(text),
        Some(json) => Cow::Owned(quoted(json.get())?),
        None => {
            notes.filled("tool call arguments");
            Cow::Owned(quoted("{}")?)
        }
    };
    Ok(Call { id: id.clone(), r#type: "function", function: Called { name, arguments } })
}

fn content_of(mut blocks: Vec<Block<'_>>) -> Option<Content<'_>> {
    match (blocks.pop()?, blocks.is_empty()) {
        (Block::Text { text }, true) => Some(Content::Text(text)),
        (last, _) => {
            blocks.push(last);
            Some(Content::Blocks(blocks))
        }
    }
}

fn media_block<'a>(media: &Media<'a>, reader: Reader, notes: &mut Notes) -> Result<Block<'a>, Dropped> {
    let mime_type = media.mime_type.as_deref();
    let data = |json| Some(format!("data:{};base64,{}", mime_type?, text(json)?));
    let is_openai = reader == Reader::OpenAi;
    let block = match (media.modality.as_ref(), media.place) {
        ("image", Place::Inline(json)) => data(json).map(|url| Block::ImageUrl { image_url: Url { url } }),
        ("image", Place::Uri(uri)) => {
            let url = text(uri).map(Cow::into_owned);
            url.map(|url| Block::ImageUrl { image_url: Url { url } })
        }
        ("audio", Place::Inline(data)) if is_openai => match mime_type {
            Some("audio/wav" | "audio/x-wav") => Some("wav"),
            Some("audio/mp3" | "audio/mpeg") => Some("mp3"),
            _ => None,
        }
        .map(|format| Block::InputAudio { input_audio: Sound { data, format } }),
        ("document", Place::Inline(json)) if is_openai => data(json).map(|file_data| {
            notes.filled("name of a document");
            Block::File { file: File { filename: "document".into(), file_data } }
        }),
        ("document", Place::Uri(uri)) if !is_openai => {
            text(uri).map(|url| Block::DocumentUrl { document_url: url.into_owned() })
        }
        _ => None,
    };
    block.ok_or(Dropped::Media)
}
