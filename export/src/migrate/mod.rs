//! Migration files: what was said, in the shapes other vendors read.
//!
//! Every row of `content` and `content_partial` in the bundle becomes one line or is dropped with a reason. Text and numbers are
//! copied as their source wrote them; what a shape cannot hold is counted. A lane reads one row at a time.

mod anthropic;
mod chat;
mod conversation;
mod converse;
mod gemini;
mod hugging_face;
mod loss;
mod parameters;
mod text;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use arrow::array::{Array as _, AsArray as _, BinaryArray, RecordBatch, StringArray};
use daybook_ledger::file::hex;
use daybook_ledger::words;
use serde::Serialize;

use self::conversation::{Asks, Conversation, Row};
use self::loss::Notes;
pub(crate) use self::loss::{Dropped, Losses};
use crate::format::{Lane, Passed, Shard, Shards, Target};
use crate::{Error, MigrationSummary};

words! {
    /// Where what was said can go.
    Destination {
        /// Conversations with their answer, as OpenAI's Chat Completions has messages.
        ChatMessages = "chat-messages",
        /// Conversations with their answer, as Anthropic's Messages.
        Anthropic = "anthropic",
        /// Conversations with their answer, as Google's contents.
        Gemini = "gemini",
        /// Conversations with their answer, as Bedrock's Converse.
        Bedrock = "bedrock",
        /// Conversations with their answer, as Mistral has messages.
        Mistral = "mistral",
        /// Conversations with their answer, as `datasets` and TRL read them.
        HuggingFace = "huggingface",
        /// Prompts as lines of OpenAI's batches.
        OpenAiBatch = "openai-batch",
        /// Prompts as requests of Anthropic's batches.
        AnthropicBatch = "anthropic-batch",
        /// Prompts as lines of Gemini's batches.
        GeminiBatch = "gemini-batch",
        /// Prompts as records of Bedrock's batches of Converse.
        BedrockBatch = "bedrock-batch",
        /// Prompts as lines of Mistral's batches.
        MistralBatch = "mistral-batch",
    }
}

/// What a file of a destination may hold.
#[derive(Clone, Copy, Debug)]
struct Limits {
    rows: u64,
    bytes: u64,
}

impl Destination {
    /// The destination called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|destination| destination.as_str() == name)
    }

    /// Whether each line names the model that is to answer; elsewhere whoever starts the job names it.
    pub const fn needs_model(self) -> bool {
        matches!(self, Self::OpenAiBatch | Self::AnthropicBatch)
    }

    const fn is_batch(self) -> bool {
        matches!(
            self,
            Self::OpenAiBatch | Self::AnthropicBatch | Self::GeminiBatch | Self::BedrockBatch | Self::MistralBatch
        )
    }

    /// The vendors' own limits, where a file has some.
    const fn limits(self) -> Limits {
        const MB: u64 = 1_000_000;
        match self {
            Self::OpenAiBatch => Limits { rows: 50_000, bytes: 200 * MB },
            Self::AnthropicBatch => Limits { rows: 100_000, bytes: 256 * MB },
            Self::BedrockBatch => Limits { rows: 50_000, bytes: 1_000 * MB },
            Self::Mistral => Limits { rows: u64::MAX, bytes: 512 * MB },
            _ => Limits { rows: u64::MAX, bytes: u64::MAX },
        }
    }

    fn asks(self) -> Asks {
        fn is_of(text: &str, marks: &str) -> bool {
            text.chars().all(|char| char.is_ascii_alphanumeric() || marks.contains(char))
        }
        let takes_id: fn(&str) -> bool = match self {
            Self::Mistral | Self::MistralBatch => |id| id.len() == 9 && is_of(id, ""),
            Self::Anthropic | Self::AnthropicBatch | Self::Bedrock | Self::BedrockBatch => {
                |id| matches!(id.len(), 1..=64) && is_of(id, "_-")
            }
            _ => |id| !id.is_empty(),
        };
        let takes_tool: fn(&str) -> bool = match self {
            Self::HuggingFace => |name| !name.is_empty(),
            Self::Anthropic | Self::AnthropicBatch => |name| matches!(name.len(), 1..=128) && is_of(name, "_-"),
            Self::Gemini | Self::GeminiBatch => |name| {
                let is_begun = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
                is_begun && name.len() <= 128 && is_of(name, "_-.:")
            },
            _ => |name| matches!(name.len(), 1..=64) && is_of(name, "_-"),
        };
        Asks { answer: !self.is_batch(), takes_id, takes_tool }
    }
}

/// A destination that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Where to.
    pub destination: Destination,
    /// The model that is to answer, where a line names it.
    pub model: Option<String>,
}

impl Migration {
    /// Each once, in order.
    pub(crate) fn each_once(asked: &[Self]) -> Result<Vec<Self>, Error> {
        let mut migrations = asked.to_vec();
        migrations.sort_by_key(|migration| migration.destination);
        migrations.dedup();
        let twice = migrations.windows(2).find(|pair| matches!(pair, [a, b] if a.destination == b.destination));
        match twice.and_then(<[_]>::first) {
            Some(Self { destination, .. }) => Err(Error::TwoModels { destination: destination.as_str() }),
            None => Ok(migrations),
        }
    }

    /// Reads `gemini`, or `openai-batch=MODEL`.
    ///
    /// # Errors
    /// Why it is no migration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, model) = match text.split_once('=') {
            Some((name, model)) => (name, Some(model).filter(|model| !model.is_empty()).map(String::from)),
            None => (text, None),
        };
        let Some(destination) = Destination::parse(name) else {
            let names: Vec<_> = Destination::ALL.iter().map(|destination| destination.as_str()).collect();
            return Err(format!("no shape is called `{name}`; there are {}", names.join(", ")));
        };
        match (destination.needs_model(), &model) {
            (true, None) => Err(format!("say which model is to answer: {name}=MODEL")),
            (false, Some(_)) => Err(format!("{name} names no model: whoever starts the job does")),
            _ => Ok(Self { destination, model }),
        }
    }

    /// Writes one row as one line.
    fn line(&self, id: &str, row: &Row<'_>, notes: &mut Notes, out: &mut Vec<u8>) -> Result<(), Dropped> {
        let conversation = &Conversation::read(row, self.destination.asks(), notes)?;
        let model = self.model.as_deref();
        match self.destination {
            Destination::ChatMessages => push(out, &chat::line(conversation, chat::Reader::OpenAi, notes)?),
            Destination::Mistral => push(out, &chat::line(conversation, chat::Reader::Mistral, notes)?),
            Destination::HuggingFace => push(out, &hugging_face::line(conversation, notes)?),
            Destination::Anthropic => push(out, &anthropic::line(conversation, notes)?),
            Destination::Gemini => push(out, &gemini::line(conversation, notes)?),
            Destination::Bedrock => push(out, &converse::line(conversation, notes)?),
            Destination::OpenAiBatch => {
                let body = chat::request(conversation, model, chat::Reader::OpenAi, notes)?;
                push(out, &OpenAiLine { custom_id: id, method: "POST", url: "/v1/chat/completions", body })
            }
            Destination::MistralBatch => {
                let body = chat::request(conversation, None, chat::Reader::Mistral, notes)?;
                push(out, &MistralLine { custom_id: id, body })
            }
            Destination::AnthropicBatch => {
                let params = anthropic::request(conversation, model, notes)?;
                push(out, &AnthropicLine { custom_id: id, params })
            }
            Destination::GeminiBatch => {
                push(out, &GeminiLine { key: id, request: gemini::request(conversation, notes)? })
            }
            Destination::BedrockBatch => {
                push(out, &BedrockLine { record_id: id, model_input: converse::request(conversation, notes)? })
            }
        }
    }
}

#[derive(Serialize)]
struct OpenAiLine<'a> {
    custom_id: &'a str,
    method: &'static str,
    url: &'static str,
    body: chat::Request<'a>,
}

#[derive(Serialize)]
struct MistralLine<'a> {
    custom_id: &'a str,
    body: chat::Request<'a>,
}

#[derive(Serialize)]
struct AnthropicLine<'a> {
    custom_id: &'a str,
    params: anthropic::Request<'a>,
}

#[derive(Serialize)]
struct GeminiLine<'a> {
    key: &'a str,
    request: gemini::Request<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BedrockLine<'a> {
    record_id: &'a str,
    model_input: converse::Request<'a>,
}

/// One JSON object as one line.
fn push(out: &mut Vec<u8>, line: &impl Serialize) -> Result<(), Dropped> {
    serde_json::to_writer(&mut *out, line).map_err(|_| Dropped::Unreadable)?;
    // A source may have written JSON over several lines; a line feed inside of a text is always escaped.
    out.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    out.push(b'\n');
    Ok(())
}

/// Whether a body has the whole answer of its call, as far as anything tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole(pub(crate) bool);

/// A body that is offered to every migration, or why it is to none.
pub(crate) type Offer = Result<Whole, Dropped>;

/// Rows of a table of bodies, and which of them are offered.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    pub(crate) batch: RecordBatch,
    pub(crate) offered: Arc<[Offer]>,
}

/// What a migration wrote.
#[derive(Debug)]
pub(crate) struct Migrated {
    pub(crate) shards: Vec<Shard>,
    pub(crate) losses: Losses,
}

impl Migrated {
    pub(crate) fn summary(self, migration: Migration) -> MigrationSummary {
        let Losses { rows_in, rows_out, dropped, .. } = self.losses;
        MigrationSummary { migration, rows_in, rows_out, dropped: dropped.into_iter().collect() }
    }
}

/// The account of a migration, in its folder.
pub(crate) const ACCOUNT: &str = "loss.json";
/// The same for people.
pub(crate) const README: &str = "README.md";

impl Migration {
    /// A lane that writes every row of every batch. Rows of finished files are read again for the account, and not written again.
    pub(crate) fn lane(&self, target: Target, finished: Vec<Shard>) -> Lane<Bodies, Losses> {
        let Limits { rows, bytes } = self.destination.limits();
        let target = Target { rows_max: rows, bytes_max: bytes, ..target };
        let own = self.clone();
        Lane::start(target, finished, move |target, passed, batches, filled| own.write(target, passed, batches, filled))
    }

    fn write(
        &self,
        target: Target,
        passed: Passed,
        batches: Receiver<Bodies>,
        filled: &SyncSender<Vec<Shard>>,
    ) -> Result<(Option<Shard>, Losses), Error> {
        let mut left = passed.rows;
        let mut shards = Shards::new(target, passed.files, Vec::new());
        let mut losses = Losses::default();
        let mut line = Vec::new();
        for bodies in batches {
            let columns = Columns::of(&bodies.batch)?;
            let takes = |Whole(is_whole)| match is_whole || !self.destination.asks().answer {
                true => Ok(()),
                false => Err(Dropped::Unfinished),
            };
            for (row, offered) in bodies.offered.iter().enumerate() {
                line.clear();
                let mut notes = Notes::default();
                let id = hex(columns.id.value(row));
                match offered.and_then(takes).and_then(|()| self.line(&id, &columns.row(row), &mut notes, &mut line)) {
                    Err(reason) => losses.drop(reason),
                    Ok(()) => {
                        losses.keep(notes);
                        match left {
                            0 => shards.write_row(&line)?,
                            _ => left -= 1,
                        }
                    }
                }
            }
            // An export that failed elsewhere does not ask any more.
            filled.send(shards.take_full()).ok();
        }
        Ok((shards.finish()?, losses))
    }
}

struct Columns<'a> {
    id: &'a BinaryArray,
    /// As in [`Row`].
    texts: [&'a StringArray; 4],
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Error> {
        let missing =
            |name: &str| Error::Internal { invariant: "a batch has the columns of its table", found: name.into() };
        let text = |name: &str| {
            batch.column_by_name(name).and_then(|column| column.as_string_opt()).ok_or_else(|| missing(name))
        };
        let id = batch.column_by_name("entry_id").and_then(|column| column.as_binary_opt());
        let id = id.ok_or_else(|| missing("entry_id"))?;
        let texts =
            [text("input_messages")?, text("output_messages")?, text("tool_definitions")?, text("request_parameters")?];
        Ok(Self { id, texts })
    }

    fn row(&self, row: usize) -> Row<'a> {
        let [input_messages, output_messages, tool_definitions, request_parameters] =
            self.texts.map(|column| column.is_valid(row).then(|| column.value(row)));
        Row { input_messages, output_messages, tool_definitions, request_parameters }
    }
}

#[cfg(test)]
mod tests;
