//! Hugging Face's conversational form, as TRL and `datasets` read it: text alone, and in every row the same members.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::chat::{Call, Reader, call, said, tools};
use super::conversation::{Conversation, Piece, Role, Turn};
use super::loss::{Dropped, Notes};
use super::parameters::lose_all;

#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    messages: Vec<Message<'a>>,
    /// JSON as text: schemas of tools differ from row to row, and columns must not.
    tools: Option<String>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<Cow<'a, RawValue>>,
    tool_calls: Option<Vec<Call<'a>>>,
    tool_call_id: Option<Cow<'a, RawValue>>,
    /// The tool that gave the result.
    name: Option<Cow<'a, RawValue>>,
}

/// `conversation` to learn from.
pub(super) fn line<'a>(conversation: &Conversation<'a>, notes: &mut Notes) -> Result<Line<'a>, Dropped> {
    lose_all(conversation, notes);
    let mut messages = Vec::new();
    for turn in &conversation.turns {
        turn.name.iter().for_each(|_| notes.lost("name"));
        match turn.role {
            Role::Tool => results(turn, notes, &mut messages)?,
            _ => messages.push(message(turn, notes)?),
        }
    }
    let tools = tools(conversation, Reader::OpenAi, notes);
    let tools = (!tools.is_empty()).then(|| serde_json::to_string(&tools)).transpose();
    Ok(Line { messages, tools: tools.map_err(|_| Dropped::Unreadable)? })
}

fn results<'a>(turn: &Turn<'a>, notes: &mut Notes, messages: &mut Vec<Message<'a>>) -> Result<(), Dropped> {
    for piece in &turn.pieces {
        let Piece::Result { id, name, content } = piece else { return Err(Dropped::UnknownPart) };
        let texts = content.iter().map(|given| said(*given)).collect::<Result<_, _>>()?;
        messages.push(Message {
            role: "tool",
            content: Some(joined(texts, notes)?),
            tool_calls: None,
            tool_call_id: Some(id.clone()),
            name: Some(Cow::Borrowed(name)),
        });
    }
    Ok(())
}

fn message<'a>(turn: &Turn<'a>, notes: &mut Notes) -> Result<Message<'a>, Dropped> {
    let role = match turn.role {
        Role::Developer => {
            notes.lost("role developer");
            "system"
        }
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    for piece in &turn.pieces {
        match piece {
            Piece::Text(text) => {
                if !calls.is_empty() {
                    notes.lost("order of text and tool calls");
                }
                texts.push(Cow::Borrowed(*text));
            }
            Piece::Refusal(_) => notes.lost("refusal"),
            Piece::Reasoning(..) => notes.lost("reasoning"),
            Piece::Media(_) | Piece::Result { .. } => return Err(Dropped::Media),
            Piece::Call { id, name, arguments } => calls.push(call(id, name, *arguments, notes)?),
        }
    }
    if texts.is_empty() && calls.is_empty() {
        return Err(Dropped::NoAnswer);
    }
    let content = if texts.is_empty() { None } else { Some(joined(texts, notes)?) };
    let tool_calls = (!calls.is_empty()).then_some(calls);
    Ok(Message { role, content, tool_calls, tool_call_id: None, name: None })
}

/// Texts on end as one: every character stays, where one text ended does not.
fn joined<'a>(mut texts: Vec<Cow<'a, RawValue>>, notes: &mut Notes) -> Result<Cow<'a, RawValue>, Dropped> {
    if texts.len() == 1
        && let Some(text) = texts.pop()
    {
        return Ok(text);
    }
    if !texts.is_empty() {
        notes.lost("boundary of texts");
    }
    let inner = |text: &Cow<'_, RawValue>| text.get().strip_prefix('"')?.strip_suffix('"').map(String::from);
    let inner: Option<String> = texts.iter().map(inner).collect();
    // JSON strings without their quotes follow one another as their texts do.
    let text = inner.and_then(|inner| RawValue::from_string(format!("\"{inner}\"")).ok());
    text.map(Cow::Owned).ok_or(Dropped::Unreadable)
}
