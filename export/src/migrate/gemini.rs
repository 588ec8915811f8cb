//! The shape of Google's `generateContent`: contents of parts, the model as a role, system text apart.

use std::borrow::Cow;

use daybook_ledger::neutral::{Json, Media, Place};
use serde::Serialize;
use serde_json::value::RawValue;

use super::conversation::{Conversation, Given, Piece, Side, object_of};
use super::loss::{Dropped, Notes};
use super::parameters::{Words, functions, lose_all, schema, translate};

const WORDS: [(&str, &str); 9] = [
    ("max_tokens", "maxOutputTokens"),
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("seed", "seed"),
    ("stop_sequences", "stopSequences"),
    ("choice_count", "candidateCount"),
];

/// A conversation to learn from, or the part of a request that is one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
}

/// A prompt to run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(skip_serializing_if = "Config::is_empty")]
    generation_config: Config<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    #[serde(flatten)]
    parameters: Words<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Json<'a>>,
}

impl Config<'_> {
    fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.response_json_schema.is_none()
    }
}

#[derive(Debug, Serialize)]
struct Instruction<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
struct Content<'a> {
    role: &'static str,
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Text {
        text: Json<'a>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        thought: bool,
    },
    #[serde(rename_all = "camelCase")]
    Inline { inline_data: Inline<'a> },
    #[serde(rename_all = "camelCase")]
    File { file_data: File<'a> },
    #[serde(rename_all = "camelCase")]
    Call { function_call: Call<'a> },
    #[serde(rename_all = "camelCase")]
    Result { function_response: Answered<'a> },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    mime_type: String,
    data: Json<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    file_uri: Json<'a>,
}

#[derive(Debug, Serialize)]
struct Call<'a> {
    id: Cow<'a, RawValue>,
    name: Json<'a>,
    args: Cow<'a, RawValue>,
}

#[derive(Debug, Serialize)]
struct Answered<'a> {
    id: Cow<'a, RawValue>,
    name: Json<'a>,
    response: Response<'a>,
}

/// An object as the tool gave it; anything else under `output`, the word Google has for it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Response<'a> {
    Object(Json<'a>),
    Output { output: Output<'a> },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Output<'a> {
    One(Json<'a>),
    Several(Vec<Json<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Json<'a>>,
}

/// `conversation` to learn from.
pub(super) fn line<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    lose_all(conversation, notes);
    contents(conversation, notes)
}

/// `conversation` to run.
pub(super) fn request<'c>(conversation: &'c Conversation<'_>, notes: &mut Notes) -> Result<Request<'c>, Dropped> {
    let parameters = translate(conversation, &WORDS, notes);
    let response_json_schema = schema(conversation);
    let response_mime_type = response_json_schema.map(|_| "application/json");
    let generation_config = Config { parameters, response_mime_type, response_json_schema };
    Ok(Request { line: contents(conversation, notes)?, generation_config })
}

fn contents<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    let exchange = conversation.exchange(notes)?;
    let parts: Vec<_> = exchange.system.iter().map(|text| Part::Text { text, thought: false }).collect();
    let contents = exchange.turns.iter().map(|side| content(side, notes)).collect::<Result<_, _>>()?;
    let functions = functions(&conversation.tools, notes).iter();
    let function_declarations: Vec<_> = functions
        .map(|function| Declaration {
            name: function.name,
            description: function.description,
            parameters_json_schema: function.parameters,
        })
        .collect();
    Ok(Line {
        system_instruction: (!parts.is_empty()).then_some(Instruction { parts }),
        contents,
        tools: match function_declarations.is_empty() {
            true => Vec::new(),
            false => vec![Tool { function_declarations }],
        },
    })
}

fn content<'a>(side: &Side<'_, 'a>, notes: &mut Notes) -> Result<Content<'a>, Dropped> {
    let mut parts = Vec::new();
    for piece in &side.pieces {
        match piece {
            Piece::Text(text) => parts.push(Part::Text { text, thought: false }),
            Piece::Reasoning(text, signature) => {
                signature.iter().for_each(|_| notes.lost("signature of reasoning"));
                parts.push(Part::Text { text, thought: true });
            }
            Piece::Refusal(_) => notes.lost("refusal"),
            Piece::Media(media) => parts.push(media_part(media)?),
            Piece::Call { id, name, arguments } => {
                let args = object_of(*arguments, notes)?;
                parts.push(Part::Call { function_call: Call { id: id.clone(), name, args } });
            }
            Piece::Result { id, name, content } => {
                let response = response(content);
                parts.push(Part::Result { function_response: Answered { id: id.clone(), name, response } });
            }
        }
    }
    match parts.is_empty() {
        true => Err(Dropped::NoAnswer),
        false => Ok(Content { role: if side.is_model { "model" } else { "user" }, parts }),
    }
}

fn response<'a>(content: &[Given<'a>]) -> Response<'a> {
    let json = |given: &Given<'a>| match *given {
        Given::Text(json) | Given::Json(json) => json,
    };
    match content {
        [Given::Json(json)] if json.get().starts_with('{') => Response::Object(json),
        [one] => Response::Output { output: Output::One(json(one)) },
        several => Response::Output { output: Output::Several(several.iter().map(json).collect()) },
    }
}

fn media_part<'a>(media: &Media<'a>) -> Result<Part<'a>, Dropped> {
    let mime_type = media.mime_type.as_deref().map(String::from);
    match (media.place, mime_type) {
        (Place::Inline(data), Some(mime_type)) => Ok(Part::Inline { inline_data: Inline { mime_type, data } }),
        (Place::Uri(file_uri), mime_type) => Ok(Part::File { file_data: File { mime_type, file_uri } }),
        _ => Err(Dropped::Media),
    }
}
