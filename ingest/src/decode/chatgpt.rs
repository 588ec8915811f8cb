//! The data export of ChatGPT: `conversations.json`, a list of conversations, each a tree of messages that branches where a
//! prompt was edited or an answer asked for again. What was said, by which model and when; no counts.

use std::borrow::Cow;
use std::collections::HashMap;

use daybook_ledger::{Body, Entry, Feature, Features, Instant, Operation, Status};

use super::about::About;
use super::extra::Extra;
use super::messages::{Direction, Messages, elements, is_string, shape};
use super::object::object;
use super::request::members;
use super::scalar::{Text, present};
use super::source::{Json, Source};
use super::{DecodeError, DecodeOptions, Format};

pub(super) const ABOUT: About = About {
    format: "chatgpt-export",
    title: "ChatGPT's data export",
    what: "One conversation of `conversations.json` (or `conversations-000.json`, ...) from the archive that ChatGPT sends after Settings, Data controls, Export; the file is a list of them. Each turn of the assistant is a call: its messages without one of another in between. The other files of the archive hold no calls: name these files only, `daybook import 'export/conversations*.json'`.",
    recognised_by: "`mapping` beside `current_node`, `conversation_id` or `moderation_results`.",
    identity: "`id` of the turn's first message: an export that was made later adds the turns that came since.",
    stream: "",
    columns: &[
        (
            "started_at",
            "`create_time` of the turn's first message, else of the message before it that has one, else of the conversation",
        ),
        ("completed_at", "`update_time`, else `create_time` of its last message, if that is later"),
        ("provider", "`openai`"),
        ("request_model", "`metadata.requested_model_slug`, else `default_model_slug` of the conversation"),
        ("response_model", "`metadata.model_slug` of the turn's messages"),
        ("session_id", "`conversation_id`, else `id`"),
        ("tags", "`gizmo_id` (a custom GPT or a project)"),
        ("finish_reason", "`metadata.finish_details.type` of its last message"),
        (
            "status",
            "`incomplete` for a turn that was interrupted, `error` for a message of type `system_error`, else `success`",
        ),
        (
            "features",
            "`hosted_state` always; tools by the `recipient` of a message: `python` is `code_execution`, `web` and `browser` are `web_search`, others `tool_calling`; pictures, sound and files by their parts",
        ),
        (
            "input_messages",
            "all messages on the way from the start of the conversation to the turn. Where these are more than 64 MiB for all turns together, those since the turn before, and `extra` says so; the others stand with their own turns",
        ),
        ("request_parameters", "`title` of the conversation"),
        ("raw", "the turn's first message, as it stands in `mapping`"),
    ],
    cannot_say: &[
        "Tokens and cost: `usage_source` is `absent` and no price applies. ChatGPT is paid by the seat.",
        "Who asked: `user.json` of the archive says whose account it is.",
        "What the model was shown of a long conversation. Pictures and files are named by their `asset_pointer`; the archive has them beside.",
    ],
};

/// What the messages before each turn may take for all turns of a conversation together.
const PATHS_BYTES_MAX: usize = 64 << 20;

object! {
    struct Conversation<'a> {
        conversation_id: Text<'a> = "conversation_id",
        id: Text<'a> = "id",
        title: Json<'a> = "title",
        created: Json<'a> = "create_time",
        mapping: Json<'a> = "mapping",
        model: Text<'a> = "default_model_slug",
        gizmo: Text<'a> = "gizmo_id",
    }
    ignoring ["update_time", "current_node", "moderation_results", "safe_urls", "blocked_urls", "plugin_ids"]
}

object! {
    struct Node<'a> {
        message: Json<'a> = "message",
        parent: Text<'a> = "parent",
        children: Vec<Text<'a>> = "children",
    }
    ignoring ["id"]
}

object! {
    struct Message<'a> {
        id: Text<'a> = "id",
        author: Author<'a> = "author",
        created: Json<'a> = "create_time",
        updated: Json<'a> = "update_time",
        content: Json<'a> = "content",
        status: Text<'a> = "status",
        recipient: Json<'a> = "recipient",
        metadata: Metadata<'a> = "metadata",
    }
    ignoring ["end_turn", "weight", "channel"]
}

object! {
    struct Author<'a> {
        role: Text<'a> = "role",
        name: Json<'a> = "name",
    }
}

object! {
    struct Metadata<'a> {
        model: Text<'a> = "model_slug",
        requested_model: Text<'a> = "requested_model_slug",
        finish: Finish<'a> = "finish_details",
        citations: Json<'a> = "citations",
        attachments: Json<'a> = "attachments",
    }
}

object! {
    struct Finish<'a> {
        kind: Text<'a> = "type",
    }
}

object! {
    struct Content<'a> {
        kind: Text<'a> = "content_type",
        parts: Json<'a> = "parts",
        text: Json<'a> = "text",
        content: Json<'a> = "content",
        thoughts: Json<'a> = "thoughts",
        pointer: Json<'a> = "asset_pointer",
    }
}

/// A message in its tree.
struct Said<'a> {
    /// As it stands in `mapping`.
    raw: Json<'a>,
    message: Message<'a>,
    key: Cow<'a, str>,
    parent: Option<usize>,
    children: Vec<usize>,
}

impl Said<'_> {
    fn role(&self) -> &str {
        self.message.author.as_ref().and_then(|author| author.role.as_ref()).map_or("", |role| role.0.as_ref())
    }

    fn is_assistant(&self) -> bool {
        self.role() == "assistant"
    }

    fn bytes(&self) -> usize {
        self.message.content.map_or(0, |content| content.get().len())
    }

    fn says_something(&self) -> bool {
        let content = self.message.content.and_then(shape::<Content<'_>>).unwrap_or_default();
        let parts = content.parts.map(elements).unwrap_or_default();
        let has_own = |member: Option<Json<'_>>| member.is_some_and(|json| !matches!(json.get(), "\"\"" | "[]"));
        parts.into_iter().any(|part| part.get() != "\"\"")
            || [content.text, content.content, content.thoughts].into_iter().any(has_own)
    }
}

/// The messages of a conversation; nodes that hold none are passed over.
struct Tree<'a>(Vec<Said<'a>>);

/// Decodes one conversation: an entry for each turn.
pub(super) fn decode<'a>(
    source: &Source<'a>,
    options: &DecodeOptions,
    sink: &mut dyn FnMut(Entry<'a>),
) -> Result<(), DecodeError> {
    let conversation: Conversation<'a> = source.parse(source.text())?;
    let Some(mapping) = conversation.mapping else {
        let looks_like = super::sniff(source.text()).filter(|format| *format != Format::ChatGptExport);
        return Err(DecodeError::WrongFormat { format: Format::ChatGptExport, missing: "`mapping`", looks_like });
    };
    let tree = Tree::read(source, mapping)?;
    let turns = tree.turns();
    let times = turns.iter().map(|turn| tree.times(source, turn, conversation.created));
    // All of it is read before any of it counts.
    let times: Vec<_> = times.collect::<Result<_, _>>()?;
    let whole_paths = turns.iter().filter_map(|turn| turn.first()).map(|head| tree.path_bytes(*head)).sum::<usize>();
    let reach = if whole_paths > PATHS_BYTES_MAX { Reach::LastTurn } else { Reach::Start };
    for (turn, times) in turns.iter().zip(times) {
        if let Some(entry) = tree.entry(turn, times, &conversation, reach, options) {
            sink(entry);
        }
    }
    Ok(())
}

/// How far back the messages before a turn go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Start,
    LastTurn,
}

type Times = (Option<Instant>, Option<Instant>);

impl<'a> Tree<'a> {
    fn read(source: &Source<'a>, mapping: Json<'a>) -> Result<Self, DecodeError> {
        if !mapping.get().starts_with('{') {
            return Err(source.bad_value(mapping, "expected an object".into()));
        }
        let mut nodes = Vec::new();
        for (key, raw) in members(mapping) {
            nodes.push((key, raw, source.object::<Node<'a>>(raw)?));
        }
        let at: HashMap<String, usize> = nodes.iter().zip(0..).map(|((key, ..), at)| (key.to_string(), at)).collect();
        let mut tree = Vec::with_capacity(nodes.len());
        for (key, raw, node) in nodes {
            let message = match node.message {
                Some(message) => written_by_somebody(source, message)?,
                // The root of the tree.
                None if node.parent.is_none() => Message::default(),
                None => return Err(source.bad_value(raw, "it has a parent and no `message`".into())),
            };
            let parent = node.parent.and_then(|parent| at.get(&*parent.0).copied());
            let children = node.children.iter().flatten().filter_map(|child| at.get(&*child.0).copied());
            tree.push(Said { raw, message, key, parent, children: children.collect() });
        }
        Ok(Self(tree))
    }

    fn get(&self, at: usize) -> Option<&Said<'a>> {
        self.0.get(at)
    }

    /// The message by which the assistant goes on after `at`.
    fn next_of(&self, at: usize) -> Option<usize> {
        let children = self.get(at)?.children.iter().copied();
        children.into_iter().find(|child| self.get(*child).is_some_and(Said::is_assistant))
    }

    /// Turns of the assistant, each by its messages. Where one was continued twice, the second is a turn of its own.
    fn turns(&self) -> Vec<Vec<usize>> {
        let goes_on = |at: usize, said: &Said<'_>| {
            said.parent.is_some_and(|parent| {
                self.get(parent).is_some_and(Said::is_assistant) && self.next_of(parent) == Some(at)
            })
        };
        let heads = (0..).zip(&self.0).filter(|(at, said)| said.is_assistant() && !goes_on(*at, said));
        let mut turns: Vec<Vec<usize>> = Vec::new();
        for (head, _) in heads {
            // A tree that somebody made may be none: no turn is longer than all messages.
            turns.push(std::iter::successors(Some(head), |at| self.next_of(*at)).take(self.0.len()).collect());
        }
        turns
    }

    /// The messages before `head`, the nearest first.
    fn path(&self, head: usize) -> impl Iterator<Item = &Said<'a>> {
        let parent = |at: &usize| self.get(*at)?.parent;
        std::iter::successors(parent(&head), parent).take(self.0.len()).filter_map(|at| self.get(at))
    }

    fn path_bytes(&self, head: usize) -> usize {
        self.path(head).map(Said::bytes).sum()
    }

    fn times(&self, source: &Source<'a>, turn: &[usize], conversation: Option<Json<'a>>) -> Result<Times, DecodeError> {
        let (Some(head), Some(last)) = (turn.first(), turn.last().and_then(|last| self.get(*last))) else {
            return Ok((None, None));
        };
        let before = std::iter::once(*head).filter_map(|head| self.get(head)).chain(self.path(*head));
        let created =
            before.map(|said| said.message.created).find(|created| created.is_some_and(|at| at.get() != "null"));
        let started = source.instant(created.flatten().or(conversation))?;
        let ended = source.instant(last.message.updated.or(last.message.created))?;
        Ok((started, ended.filter(|ended| started.is_some_and(|started| *ended > started))))
    }

    fn entry(
        &self,
        turn: &[usize],
        (started_at, completed_at): Times,
        conversation: &Conversation<'a>,
        reach: Reach,
        options: &DecodeOptions,
    ) -> Option<Entry<'a>> {
        let said: Vec<&Said<'a>> = turn.iter().filter_map(|at| self.get(*at)).collect();
        let (head, last) = (*said.first()?, *said.last()?);
        let metadata = |read: for<'m> fn(&'m Metadata<'a>) -> Option<&'m Text<'a>>| {
            let found = said.iter().filter_map(|said| read(said.message.metadata.as_ref()?)).next_back();
            present(found.cloned())
        };
        let mut entry = Entry::new("chatgpt-export", Operation::Chat, head.raw.get().as_bytes());
        entry.event_id = present(head.message.id.clone()).or_else(|| Some(head.key.clone()));
        (entry.started_at, entry.completed_at) = (started_at, completed_at);
        entry.provider = Some(Cow::Borrowed("openai"));
        entry.request_model =
            metadata(|metadata| metadata.requested_model.as_ref()).or_else(|| present(conversation.model.clone()));
        entry.response_model = metadata(|metadata| metadata.model.as_ref());
        entry.session_id = present(conversation.conversation_id.clone()).or_else(|| present(conversation.id.clone()));
        let gizmo = present(conversation.gizmo.clone()).map(|gizmo| (Cow::Borrowed("openai.gizmo_id"), gizmo));
        entry.tags.extend(gizmo);
        entry.finish_reason = metadata(|metadata| metadata.finish.as_ref()?.kind.as_ref());
        entry.status = status(last, entry.finish_reason.as_deref());
        let mut extra = Extra::default();
        extra.add("", &conversation.unknown);
        if reach == Reach::LastTurn {
            extra.member("input_messages".to_owned(), "\"since the turn before\"");
        }
        entry.extra = extra.into_json();
        let mut path: Vec<&Said<'a>> = match reach {
            Reach::Start => self.path(*turn.first()?).collect(),
            Reach::LastTurn => self.path(*turn.first()?).take_while(|said| !said.is_assistant()).collect(),
        };
        path.reverse();
        let (input, mut features) = spoken(Direction::Input, &path, options.bodies);
        let (output, more) = spoken(Direction::Output, &said, options.bodies);
        more.iter().for_each(|feature| features.insert(feature));
        features.insert(Feature::HostedState);
        entry.features = features;
        entry.body = options.bodies.then(|| Body {
            input_messages: input.map(Cow::Owned),
            output_messages: output.map(Cow::Owned),
            tool_definitions: None,
            request_parameters: conversation.title.filter(|title| is_string(title)).map(titled),
        });
        Some(entry)
    }
}

/// A message of which it is not known who wrote it might be an answer: it does not pass for something else.
fn written_by_somebody<'a>(source: &Source<'a>, json: Json<'a>) -> Result<Message<'a>, DecodeError> {
    const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];
    let message: Message<'a> = source.object(json)?;
    let role = message.author.as_ref().and_then(|author| author.role.as_ref());
    match role.is_some_and(|role| ROLES.contains(&role.0.as_ref())) {
        true => Ok(message),
        false => Err(source.bad_value(json, format!("its `author.role` is none of {}", ROLES.join(", ")))),
    }
}

fn titled<'a>(title: Json<'_>) -> Cow<'a, str> {
    Cow::Owned(format!("{{\"title\":{}}}", title.get()))
}

fn status(last: &Said<'_>, finish_reason: Option<&str>) -> Status {
    let is_error = || last.message.content.and_then(shape::<Content<'_>>)?.kind.map(|kind| kind.0 == "system_error");
    match last.message.status.as_ref().map(|status| status.0.as_ref()) {
        _ if is_error() == Some(true) => Status::Error,
        _ if finish_reason == Some("interrupted") => Status::Incomplete,
        Some("finished_partial_completion" | "in_progress") => Status::Incomplete,
        _ => Status::Success,
    }
}

/// The messages of one direction, and what they show. The messages of a turn are one message.
fn spoken(direction: Direction, said: &[&Said<'_>], write: bool) -> (Option<String>, Features) {
    let mut messages = Messages::new(direction, write);
    let said = said.iter().filter(|said| said.says_something());
    match direction {
        Direction::Input => said.for_each(|said| messages.message(said.role(), None, |messages| speak(messages, said))),
        Direction::Output => {
            messages.message("assistant", None, |messages| said.for_each(|said| speak(messages, said)));
        }
    }
    let features = messages.features;
    (messages.finish(), features)
}

/// The parts of one message.
fn speak(messages: &mut Messages, said: &Said<'_>) {
    let Some(json) = said.message.content else { return };
    let metadata = said.message.metadata.as_ref();
    let has = |list: Option<Json<'_>>| list.is_some_and(|list| !matches!(list.get(), "[]" | "null"));
    messages.features.insert_if(metadata.is_some_and(|metadata| has(metadata.attachments)), Feature::HostedFiles);
    messages.features.insert_if(metadata.is_some_and(|metadata| has(metadata.citations)), Feature::Citations);
    let Some(content) = shape::<Content<'_>>(json) else { return messages.copy(json) };
    let tool = said.message.recipient.filter(|recipient| said.is_assistant() && recipient.get() != "\"all\"");
    match (tool, said.role()) {
        (Some(tool), _) => call(messages, tool, &content, json),
        (None, "tool") => {
            messages.begin("tool_call_response");
            messages.member("name", said.message.author.as_ref().and_then(|author| author.name));
            messages.writer.key("response");
            messages.writer.open('[');
            parts(messages, &content, json);
            messages.writer.close(']');
            messages.end();
        }
        _ => parts(messages, &content, json),
    }
}

/// What the assistant asked of a tool.
fn call(messages: &mut Messages, tool: Json<'_>, content: &Content<'_>, json: Json<'_>) {
    messages.features.insert(match tool.get().trim_matches('"') {
        "python" => Feature::CodeExecution,
        "web" | "web.run" | "web.search" | "browser" => Feature::WebSearch,
        _ => Feature::ToolCalling,
    });
    let first = content.parts.map(elements).unwrap_or_default().into_iter().next();
    messages.tool_call(None, Some(tool), content.text.or(first).or(Some(json)).map(|asked| asked.get()));
}

fn parts(messages: &mut Messages, content: &Content<'_>, json: Json<'_>) {
    let kind = content.kind.as_ref().map_or("", |kind| kind.0.as_ref());
    match (kind, content.parts, content.text) {
        ("thoughts", ..) => {
            for thought in content.thoughts.into_iter().flat_map(elements) {
                match shape::<Content<'_>>(thought).and_then(|thought| thought.content) {
                    Some(text) if is_string(text) => messages.typed("reasoning", text),
                    _ => messages.copy(thought),
                }
            }
        }
        (_, Some(parts), _) => {
            for part in elements(parts).into_iter().filter(|part| part.get() != "\"\"") {
                if is_string(part) { messages.text(part) } else { asset(messages, part) }
            }
        }
        ("text" | "code" | "execution_output", None, Some(text)) if is_string(text) => messages.text(text),
        _ => messages.copy(json),
    }
}

/// A picture, a file, or sound and what was heard in it.
fn asset(messages: &mut Messages, json: Json<'_>) {
    let Some(part) = shape::<Content<'_>>(json) else { return messages.copy(json) };
    let kind = part.kind.as_ref().map_or("", |kind| kind.0.as_ref());
    let is_input = messages.direction == Direction::Input;
    let (modality, feature) = match kind {
        "image_asset_pointer" if is_input => ("image", Feature::VisionInput),
        "image_asset_pointer" => ("image", Feature::ImageOutput),
        "audio_asset_pointer" if is_input => ("audio", Feature::AudioInput),
        "audio_asset_pointer" => ("audio", Feature::AudioOutput),
        _ => {
            return match part.text.filter(|text| kind == "audio_transcription" && is_string(text)) {
                Some(text) => messages.text(text),
                None => messages.copy(json),
            };
        }
    };
    messages.features.insert(feature);
    messages.begin("file");
    messages.member_text("modality", modality);
    messages.member("file_id", part.pointer);
    messages.end();
}
