//! A row of `content` as a conversation: turns in order, tool results tied to their calls, nothing of any vendor.

use std::borrow::Cow;

use daybook_ledger::neutral::{self, Json, Media, Message, Parameters, Part, Place, Tools, text};
use serde_json::value::{RawValue, to_raw_value};

use super::loss::{Dropped, Notes};

/// The columns of one row of `content`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) input_messages: Option<&'a str>,
    pub(super) output_messages: Option<&'a str>,
    pub(super) tool_definitions: Option<&'a str>,
    pub(super) request_parameters: Option<&'a str>,
}

/// What a destination asks of every conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    /// Whether the recorded answer is its last turn.
    pub(super) answer: bool,
    /// Whether an id of a tool call can stand there.
    pub(super) takes_id: fn(&str) -> bool,
    /// Whether a tool can have this name there.
    pub(super) takes_tool: fn(&str) -> bool,
}

impl Asks {
    /// Another name would be another tool to who runs it.
    fn tool(self, name: Json<'_>) -> Result<(), Dropped> {
        text(name).is_some_and(|name| (self.takes_tool)(&name)).then_some(()).ok_or(Dropped::ToolName)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub(super) turns: Vec<Turn<'a>>,
    pub(super) tools: Tools<'a>,
    pub(super) parameters: Parameters<'a>,
    /// Whether the last turn is the recorded answer.
    ends_with_answer: bool,
}

#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) name: Option<Json<'a>>,
    pub(super) pieces: Vec<Piece<'a>>,
}

/// A part of a turn that can move. Text is a JSON string as its source wrote it.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Text(Json<'a>),
    Refusal(Json<'a>),
    Reasoning(Json<'a>, Option<Json<'a>>),
    Media(Media<'a>),
    Call { id: Cow<'a, RawValue>, name: Json<'a>, arguments: Option<Json<'a>> },
    Result { id: Cow<'a, RawValue>, name: Json<'a>, content: Vec<Given<'a>> },
}

/// A piece of what a tool gave back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    Text(Json<'a>),
    Json(Json<'a>),
}

impl<'a> Conversation<'a> {
    pub(super) fn read(row: &Row<'a>, asks: Asks, notes: &mut Notes) -> Result<Self, Dropped> {
        let messages_of = |column: &'a str| match has_lone_surrogate(column) {
            true => Err(Dropped::NotUnicode),
            false => neutral::messages(column).ok_or(Dropped::Unreadable),
        };
        let mut reader = Reader { asks, links: Vec::new(), notes, turns: Vec::new() };
        for message in messages_of(row.input_messages.ok_or(Dropped::NoPrompt)?)? {
            reader.message(&message)?;
        }
        if reader.turns.is_empty() {
            return Err(Dropped::NoPrompt);
        }
        if asks.answer {
            let choices = messages_of(row.output_messages.ok_or(Dropped::NoAnswer)?)?;
            reader.answer(&choices)?;
        }
        let json = |column: Option<&'a str>| column.and_then(|column| serde_json::from_str::<Json<'a>>(column).ok());
        let parameters = json(row.request_parameters);
        let tools = Tools::read(json(row.tool_definitions), parameters);
        tools.functions.iter().try_for_each(|function| asks.tool(function.name))?;
        Ok(Self {
            turns: reader.turns,
            tools,
            parameters: parameters.map(Parameters::read).unwrap_or_default(),
            ends_with_answer: asks.answer,
        })
    }

    /// Whether a tool is called in it.
    pub(super) fn calls_tools(&self) -> bool {
        self.turns.iter().flat_map(|turn| &turn.pieces).any(|piece| matches!(piece, Piece::Call { .. }))
    }
}

/// A tool call that results refer to.
#[derive(Debug)]
struct Link<'a> {
    given: Option<Json<'a>>,
    id: Cow<'a, RawValue>,
    name: Json<'a>,
    is_answered: bool,
}

struct Reader<'a, 'n> {
    asks: Asks,
    links: Vec<Link<'a>>,
    notes: &'n mut Notes,
    turns: Vec<Turn<'a>>,
}

impl<'a> Reader<'a, '_> {
    /// One message; the results among the parts of a user's message are turns of the tool.
    fn message(&mut self, message: &Message<'a>) -> Result<(), Dropped> {
        let spoken = role(&message.role)?;
        let turns_before = self.turns.len();
        for json in &message.parts {
            let Some(piece) = self.piece(json)? else { continue };
            let role = match (&piece, spoken) {
                (Piece::Result { .. }, Role::User | Role::Tool) => Role::Tool,
                (Piece::Result { .. }, _) => return Err(Dropped::UnknownPart),
                (Piece::Call { .. } | Piece::Reasoning(..) | Piece::Refusal(_), Role::Assistant) => spoken,
                (Piece::Text(_) | Piece::Media(_), Role::System | Role::Developer | Role::User | Role::Assistant) => {
                    spoken
                }
                _ => return Err(Dropped::UnknownPart),
            };
            let own = self.turns.get_mut(turns_before..).and_then(<[_]>::last_mut);
            match own.filter(|turn| turn.role == role) {
                Some(turn) => turn.pieces.push(piece),
                None => self.turns.push(Turn { role, name: message.name, pieces: vec![piece] }),
            }
        }
        if self.turns.len() == turns_before {
            self.notes.lost("empty message");
        }
        Ok(())
    }

    /// The first choice ends the conversation.
    fn answer(&mut self, choices: &[Message<'a>]) -> Result<(), Dropped> {
        let first = choices.first().ok_or(Dropped::NoAnswer)?;
        let turns_before = self.turns.len();
        self.message(first)?;
        match self.turns.get(turns_before..) {
            Some([answer]) if answer.role == Role::Assistant => {}
            Some([]) | None => return Err(Dropped::NoAnswer),
            Some(_) => return Err(Dropped::UnknownRole),
        }
        choices.iter().skip(1).for_each(|_| self.notes.lost("further choice"));
        if first.finish_reason.is_some() {
            self.notes.lost("finish_reason");
        }
        Ok(())
    }

    /// A part that can move; `None` if it cannot and the rest says enough without it.
    fn piece(&mut self, json: Json<'a>) -> Result<Option<Piece<'a>>, Dropped> {
        Ok(Some(match Part::read(json) {
            Part::Text(text, cites) => {
                if cites.is_some() {
                    self.notes.lost("citations");
                }
                Piece::Text(text)
            }
            Part::Refusal(text) => Piece::Refusal(text),
            Part::Reasoning(text, signature) => Piece::Reasoning(text, signature),
            Part::EncryptedReasoning => {
                self.notes.lost("encrypted reasoning");
                return Ok(None);
            }
            Part::HostedTool => {
                self.notes.lost("hosted tool call");
                return Ok(None);
            }
            Part::Media(Media { place: Place::Hosted(_), .. }) => return Err(Dropped::HostedFile),
            Part::Media(media) => Piece::Media(media),
            Part::ToolCall { id, name, arguments } => {
                let name = name.filter(|name| name.get().starts_with('"')).ok_or(Dropped::ToolUnnamed)?;
                Piece::Call { id: self.call(id, name)?, name, arguments }
            }
            Part::ToolResult { id, response } => {
                let (id, name) = self.result(id)?;
                Piece::Result { id, name, content: given(response)? }
            }
            Part::Other => return Err(Dropped::UnknownPart),
        }))
    }

    fn call(&mut self, given: Option<Json<'a>>, name: Json<'a>) -> Result<Cow<'a, RawValue>, Dropped> {
        self.asks.tool(name)?;
        let fits = given.filter(|id| text(id).is_some_and(|id| (self.asks.takes_id)(&id)));
        let id = match fits {
            Some(id) => Cow::Borrowed(id),
            None => {
                self.notes.filled("tool call id");
                Cow::Owned(quoted(&format!("call{:05}", self.links.len()))?)
            }
        };
        self.links.push(Link { given, id: id.clone(), name, is_answered: false });
        Ok(id)
    }

    /// The call that a result belongs to: by its id or, where the source gives none, the first open one of that name.
    fn result(&mut self, id: Option<Json<'a>>) -> Result<(Cow<'a, RawValue>, Json<'a>), Dropped> {
        let id = id.ok_or(Dropped::ResultUnmatched)?.get();
        let by_id = self.links.iter().rposition(|link| link.given.is_some_and(|given| given.get() == id));
        let by_name = || self.links.iter().position(|link| !link.is_answered && link.name.get() == id);
        let link = by_id.or_else(by_name).and_then(|at| self.links.get_mut(at)).ok_or(Dropped::ResultUnmatched)?;
        link.is_answered = true;
        Ok((link.id.clone(), link.name))
    }
}

fn role(role: &str) -> Result<Role, Dropped> {
    Ok(match role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" | "model" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => return Err(Dropped::UnknownRole),
    })
}

/// What a tool gave back, in order: text stays text, everything else is JSON.
fn given(response: Option<Json<'_>>) -> Result<Vec<Given<'_>>, Dropped> {
    #[derive(serde::Deserialize)]
    struct Block<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        text: Option<Json<'a>>,
        #[serde(borrow)]
        content: Option<Json<'a>>,
        #[serde(borrow)]
        json: Option<Json<'a>>,
    }
    let Some(response) = response else { return Ok(Vec::new()) };
    let blocks: Option<Vec<Block<'_>>> = serde_json::from_str(response.get()).ok();
    let is_content = |block: &Block<'_>| block.kind.is_some() || block.text.is_some() || block.json.is_some();
    // An empty list is what a tool found: nothing.
    match blocks.filter(|blocks| !blocks.is_empty() && blocks.iter().all(is_content)) {
        None if response.get().starts_with('"') => Ok(vec![Given::Text(response)]),
        None => Ok(vec![Given::Json(response)]),
        Some(blocks) => blocks
            .into_iter()
            .map(|block| {
                let text = block.text.or(block.content).filter(|text| text.get().starts_with('"'));
                match (block.kind.as_deref(), text, block.json) {
                    (Some("text" | "input_text" | "output_text") | None, Some(text), None) => Ok(Given::Text(text)),
                    (None, None, Some(json)) => Ok(Given::Json(json)),
                    _ => Err(Dropped::Media),
                }
            })
            .collect(),
    }
}

/// Whether an escape in JSON text stands for half a character, which no reader in Unicode takes.
fn has_lone_surrogate(json: &str) -> bool {
    let mut open = false;
    let mut rest = json;
    while let Some((before, escape)) = rest.split_once('\\') {
        let code = escape.strip_prefix('u').and_then(|digits| u32::from_str_radix(digits.get(..4)?, 16).ok());
        let is_low = matches!(code, Some(0xdc00..=0xdfff));
        // A high half needs its low half right behind it, and no low half stands alone.
        if open != is_low || open && !before.is_empty() {
            return true;
        }
        open = matches!(code, Some(0xd800..=0xdbff));
        rest = escape.get(if code.is_some() { 5 } else { 1 }..).unwrap_or_default();
    }
    open
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> Result<Box<RawValue>, Dropped> {
    to_raw_value(text).map_err(|_| Dropped::Unreadable)
}

/// The arguments of a call as an object; a call without any has an empty one.
pub(super) fn object_of<'a>(arguments: Option<Json<'a>>, notes: &mut Notes) -> Result<Cow<'a, RawValue>, Dropped> {
    let owned = |text: String| RawValue::from_string(text).map(Cow::Owned).map_err(|_| Dropped::ToolArguments);
    match arguments {
        None => {
            notes.filled("tool call arguments");
            owned("{}".into())
        }
        Some(json) => match neutral::object(json).ok_or(Dropped::ToolArguments)? {
            Cow::Borrowed(_) if json.get().starts_with('{') => Ok(Cow::Borrowed(json)),
            object => owned(object.trim().to_owned()),
        },
    }
}

/// A conversation whose system text stands apart and whose two sides take turns.
#[derive(Debug)]
pub(super) struct Exchange<'c, 'a> {
    pub(super) system: Vec<Json<'a>>,
    pub(super) turns: Vec<Side<'c, 'a>>,
}

/// One or more turns of one side on end.
#[derive(Debug)]
pub(super) struct Side<'c, 'a> {
    pub(super) is_model: bool,
    pub(super) pieces: Vec<&'c Piece<'a>>,
}

impl<'a> Conversation<'a> {
    /// Takes the sides apart. Messages on end by one side become one, in order.
    pub(super) fn exchange<'c>(&'c self, notes: &mut Notes) -> Result<Exchange<'c, 'a>, Dropped> {
        let mut exchange = Exchange { system: Vec::new(), turns: Vec::<Side<'c, 'a>>::new() };
        for turn in &self.turns {
            turn.name.iter().for_each(|_| notes.lost("name"));
            let pieces: Vec<_> = turn.pieces.iter().filter(|piece| is_said(piece, notes)).collect();
            if matches!(turn.role, Role::System | Role::Developer) {
                if !exchange.turns.is_empty() {
                    return Err(Dropped::LateSystem);
                }
                for piece in pieces {
                    let Piece::Text(text) = piece else { return Err(Dropped::Media) };
                    exchange.system.push(text);
                }
                continue;
            }
            if pieces.is_empty() {
                continue;
            }
            let is_model = turn.role == Role::Assistant;
            match exchange.turns.last_mut().filter(|last| last.is_model == is_model) {
                Some(last) => {
                    notes.lost("message boundary");
                    last.pieces.extend(pieces);
                }
                None => exchange.turns.push(Side { is_model, pieces }),
            }
        }
        match (exchange.turns.first(), exchange.turns.last()) {
            (Some(first), _) if first.is_model => Err(Dropped::AnswerFirst),
            (Some(_), Some(last)) if self.ends_with_answer && !last.is_model => Err(Dropped::NoAnswer),
            (Some(_), Some(_)) => Ok(exchange),
            _ => Err(Dropped::NoPrompt),
        }
    }
}

/// Whether a piece says something: interfaces of this kind refuse text of nothing but blanks.
fn is_said(piece: &Piece<'_>, notes: &mut Notes) -> bool {
    const SHORT: usize = 256;
    let is_blank = matches!(piece, Piece::Text(json)
        if json.get().len() <= SHORT && text(json).is_some_and(|text| text.trim().is_empty()));
    if is_blank {
        notes.lost("blank text");
    }
    !is_blank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_characters_are_found_and_whole_ones_are_not() {
        for whole in
            ["plain", r"\u00e4", r"\ud83d\ude00", r"\\ud83d", r"a\n\ud83d\ude00\ud83d\ude00", "\u{e4}\\u00e4\u{e4}"]
        {
            assert!(!has_lone_surrogate(whole), "{whole}");
        }
        for half in
            [r"\ud83d", r"\ude00", r"\ud83d \ude00", r"\ud83dx", r"\ud83d\n\ude00", r"\\\ud83d", r"\ud83d\ud83d\ude00"]
        {
            assert!(has_lone_surrogate(half), "{half}");
        }
    }

    #[test]
    fn what_tools_give_back_is_text_or_json_in_order() {
        let read = |json: &str| {
            let json = RawValue::from_string(json.into()).unwrap();
            format!("{:?}", given(Some(&json)))
        };
        assert_eq!(read(r#""18 C""#), r#"Ok([Text(RawValue("18 C"))])"#);
        assert_eq!(read(r#"{"t":1.0}"#), r#"Ok([Json(RawValue({"t":1.0}))])"#);
        assert_eq!(read("[1,2]"), "Ok([Json(RawValue([1,2]))])");
        assert_eq!(read(r#"[{"a":1}]"#), r#"Ok([Json(RawValue([{"a":1}]))])"#);
        assert_eq!(
            read(r#"[{"type":"text","text":"a"},{"json":{}},{"text":"b"},{"type":"text","content":"c"}]"#),
            r#"Ok([Text(RawValue("a")), Json(RawValue({})), Text(RawValue("b")), Text(RawValue("c"))])"#
        );
        assert_eq!(read(r#"[{"type":"image","source":{}}]"#), "Err(Media)");
    }
}
