//! Access log lines of Envoy AI Gateway, whose keys the operator chooses.
//!
//! Envoy's JSON access log is a flat object, or a nested one, of whatever the operator asked for. Keys are therefore
//! understood by the words in them: `llm_input_token`, `genai_tokens_input` and `gen_ai.usage.input_tokens` are one.

use std::borrow::Cow;

use daybook_ledger::{Entry, Operation, Status};

use super::{completed_at, conclude, operation_of, provider};
use crate::decode::DecodeError;
use crate::decode::Format;
use crate::decode::about::About;
use crate::decode::extra::Extra;
use crate::decode::openai::usage::drop_placeholders;
use crate::decode::provider::{Model, known};
use crate::decode::request::members;
use crate::decode::scalar::{Count, HttpStatus};
use crate::decode::source::{Json, Source};

pub(crate) const ABOUT: About = About {
    format: "envoy-ai-gateway",
    title: "Envoy AI Gateway access log",
    what: "Envoy's JSON access log with metadata of the AI gateway. The operator chooses the keys, so they are understood by the words in them. Lines of other traffic and of MCP have no entry.",
    recognised_by: "a key of an access log (`response_code`, `response_flags`, `upstream_cluster`, `x-envoy-*`), beside one that begins with `gen_ai`, `genai_`, `llm_` or `mcp_`.",
    identity: "`x-request-id` with time, duration, status, model and counts: a request id is shared by all that serves one request of a client.",
    stream: "Already merged.",
    columns: &[
        (
            "input_tokens, output_tokens",
            "keys with `token` and `input` or `prompt`, `output` or `completion`; the cache is folded in",
        ),
        ("cache_read_input_tokens, reasoning_tokens", "keys with `token` and `cache`, or `reasoning`"),
        ("cache_write_input_tokens", "keys with `token` and `creation` or `cache_write`"),
        ("provider", "guessed from the name in the backend's path (`namespace/name/route/...`)"),
        ("request_model, response_model", "keys with `model`; the override before what was asked for"),
        ("latency_ms, ttft_ms", "`duration`; a key with `ttft` or `first_token`"),
        ("session_id", "`session.id`"),
        ("extra", "every other key, such as CEL costs, which are arbitrary numbers"),
    ],
    cannot_say: &["What was said.", "Lifetimes of cache writes.", "A cost."],
};

/// What a key of the log means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Input,
    CacheRead,
    CacheWrite,
    Output,
    Reasoning,
    Total,
    FirstToken,
    RequestModel,
    OverrideModel,
    ResponseModel,
    Backend,
    Path,
    Id,
    Status,
    Flags,
    Details,
    Duration,
    Start,
    Session,
    User,
    Team,
    Tool,
    /// Of the proxy, or a person's address: not kept.
    Ignored,
}

impl Field {
    /// Keys that are what they are, whatever words are in them.
    fn exact(key: &str) -> Option<Self> {
        Some(match key {
            "x-request-id" | "x_request_id" | "request_id" => Self::Id,
            "response_code" => Self::Status,
            "response_flags" => Self::Flags,
            "response_code_details" => Self::Details,
            "duration" => Self::Duration,
            "start_time" => Self::Start,
            "session.id" | "session_id" | "x-session-id" => Self::Session,
            "x-envoy-origin-path" | "x-envoy-original-path" | "request.path" | "path" | ":path" => Self::Path,
            "x-user-id" | "user.id" | "user_id" => Self::User,
            "x-team-id" | "team" | "team_id" => Self::Team,
            "gen_ai.provider.name" => Self::Backend,
            ":authority"
            | "method"
            | ":method"
            | "protocol"
            | "bytes_received"
            | "bytes_sent"
            | "connection_termination_details"
            | "downstream_local_address"
            | "downstream_remote_address"
            | "requested_server_name"
            | "route_name"
            | "upstream_cluster"
            | "upstream_host"
            | "upstream_local_address"
            | "upstream_transport_failure_reason"
            | "user-agent"
            | "x-envoy-upstream-service-time"
            | "x-forwarded-for"
            | "content_length"
            | "mcp_session_id"
            | "authority"
            | "host"
            | "token_latency_itl" => Self::Ignored,
            "mcp_method" | "mcp_request_id" | "mcp_backend" => Self::Tool,
            "x-ai-eg-model" => Self::RequestModel,
            _ => return None,
        })
    }

    /// What `key` means; `None` for an operator's own key.
    fn of(key: &str) -> Option<Self> {
        if let Some(field) = Self::exact(key) {
            return Some(field);
        }
        let key = key.to_ascii_lowercase();
        if let Some(field) = Self::exact(&key) {
            return Some(field);
        }
        let has = |word: &str| key.contains(word);
        if has("ttft") || has("time_to_first_token") || has("first_token") {
            Some(Self::FirstToken)
        } else if has("latency") || has("cost") || has("rate") {
            // Latencies between tokens, and the arbitrary numbers of CEL costs, are no counts.
            None
        } else if has("token") {
            Self::count(&key)
        } else if has("model") {
            Some(match () {
                () if has("override") => Self::OverrideModel,
                () if has("response") => Self::ResponseModel,
                () => Self::RequestModel,
            })
        } else if has("backend") {
            Some(Self::Backend)
        } else {
            None
        }
    }

    /// A key that speaks of tokens. The parts are asked for first: their names hold the names of the totals.
    fn count(key: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| key.contains(word));
        if has(&["creation", "cache_write", "cached_write"]) {
            Some(Self::CacheWrite)
        } else if has(&["cache"]) {
            Some(Self::CacheRead)
        } else if has(&["reasoning", "thinking", "thought"]) {
            Some(Self::Reasoning)
        } else if has(&["total"]) {
            Some(Self::Total)
        } else if has(&["input", "prompt"]) {
            Some(Self::Input)
        } else if has(&["output", "completion"]) {
            Some(Self::Output)
        } else {
            None
        }
    }
}

/// Decodes one line. Lines of other traffic, and of MCP, which shares the log, have no entry.
pub(crate) fn decode<'a>(source: &Source<'a>, raw: &'a [u8]) -> Result<Option<Entry<'a>>, DecodeError> {
    let mut entry = Entry::new("envoy-ai-gateway", Operation::Chat, raw);
    entry.gateway = Some(Cow::Borrowed("envoy-ai-gateway"));
    let mut line = Line { source, entry, extra: Extra::default(), seen: Seen::default() };
    line.take_all("", source.parse(source.text())?, 0)?;
    if !line.seen.has_status {
        let looks_like = crate::decode::sniff(source.text()).filter(|format| *format != Format::EnvoyAiGateway);
        if looks_like.is_some() || !line.seen.has_time {
            let missing = "`response_code`, nor `start_time` or `duration`";
            return Err(DecodeError::WrongFormat { format: Format::EnvoyAiGateway, missing, looks_like });
        }
    }
    Ok(line.finish())
}

/// What is known of a line so far.
struct Line<'s, 'a> {
    source: &'s Source<'a>,
    entry: Entry<'a>,
    extra: Extra<'a>,
    seen: Seen<'a>,
}

/// What several keys decide together.
#[derive(Default)]
struct Seen<'a> {
    has_status: bool,
    has_time: bool,
    is_tool: bool,
    override_model: Option<Cow<'a, str>>,
    backend: Option<Cow<'a, str>>,
    path: Option<Cow<'a, str>>,
    flags: Option<Cow<'a, str>>,
    details: Option<Cow<'a, str>>,
}

impl<'a> Line<'_, 'a> {
    /// Every member; nested objects, as of the whole dynamic metadata, by their path.
    fn take_all(&mut self, path: &str, object: Json<'a>, level: u8) -> Result<(), DecodeError> {
        for (key, json) in members(object) {
            if matches!(json.get(), "null" | "\"-\"" | "\"\"") {
                continue;
            }
            let key = if path.is_empty() { key } else { Cow::Owned(format!("{path}.{key}")) };
            if json.get().starts_with('{') && level < 4 {
                self.take_all(&key, json, level + 1)?;
            } else {
                self.take(&key, json)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &str, json: Json<'a>) -> Result<(), DecodeError> {
        // Under a path, the last word is the operator's or the gateway's own key.
        let last = key.rsplit_once('.').map_or(key, |(_, last)| last);
        let Some(field) = Field::of(key).or_else(|| Field::of(last)) else {
            let lower = key.to_ascii_lowercase();
            // An operator who logs a credential by mistake should find it in one place less.
            if !["authorization", "api-key", "api_key", "cookie", "secret"].iter().any(|word| lower.contains(word)) {
                self.extra.member(key.to_owned(), json.get());
            }
            return Ok(());
        };
        let (source, entry, seen) = (self.source, &mut self.entry, &mut self.seen);
        seen.has_status |= field == Field::Status && key == last;
        seen.has_time |= matches!(field, Field::Start | Field::Duration) && key == last;
        let count = || source.parse::<Count>(json.get()).map(|count| count.0);
        let text = || source.string(json).map(Some);
        let tokens = &mut entry.tokens;
        let slot = match field {
            Field::Input => &mut tokens.input,
            Field::CacheRead => &mut tokens.cache_read,
            Field::CacheWrite => &mut tokens.cache_write,
            Field::Output => &mut tokens.output,
            Field::Reasoning => &mut tokens.reasoning,
            Field::Total => &mut tokens.total,
            Field::FirstToken => return source.millis(Some(json)).map(|millis| entry.ttft_ms = millis),
            Field::RequestModel => return text().map(|text| entry.request_model = text),
            Field::OverrideModel => return text().map(|text| seen.override_model = text),
            Field::ResponseModel => return text().map(|text| entry.response_model = text),
            Field::Backend => return text().map(|text| seen.backend = text),
            Field::Path => return text().map(|text| seen.path = text),
            Field::Id => return text().map(|text| entry.event_id = text),
            Field::Status => {
                return source.parse::<HttpStatus>(json.get()).map(|status| entry.http_status = status.0);
            }
            Field::Flags => return text().map(|text| seen.flags = text),
            Field::Details => return text().map(|text| seen.details = text),
            Field::Duration => return source.millis(Some(json)).map(|millis| entry.latency_ms = millis),
            Field::Start => return source.epoch(Some(json)).map(|start| entry.started_at = start),
            Field::Session => return text().map(|text| entry.session_id = text),
            Field::User => return text().map(|text| entry.end_user = text),
            Field::Team => return text().map(|text| entry.team = text),
            Field::Tool => {
                seen.is_tool = true;
                return Ok(());
            }
            Field::Ignored => return Ok(()),
        };
        let count = count()?;
        if slot.is_none() || *slot == count {
            *slot = count;
        } else {
            // Two keys of one meaning and two numbers: the first one counts, the other is not lost.
            self.extra.member(key.to_owned(), json.get());
        }
        Ok(())
    }

    fn finish(self) -> Option<Entry<'a>> {
        let Self { mut entry, extra, seen, .. } = self;
        let path = seen.path.as_deref().unwrap_or_default();
        let is_tool = seen.is_tool || path.starts_with("/mcp");
        if entry.model().is_none() && entry.tokens.is_absent() && (is_tool || operation_of(path).is_none()) {
            return None;
        }
        if let Some(operation) = operation_of(path) {
            entry.operation = Some(operation);
        }
        entry.provider = seen.backend.as_deref().and_then(serves);
        let named = |name: Cow<'a, str>| Model::of(name, entry.provider.as_deref()).name;
        let (asked, served) = (entry.request_model.take().map(named), entry.response_model.take().map(named));
        entry.response_model = served.or(seen.override_model);
        entry.request_model = asked;
        entry.completed_at = completed_at(entry.started_at, entry.latency_ms);
        let flags = seen.flags.as_deref().unwrap_or_default();
        // No status: the connection ended before an answer began.
        let failed = entry.http_status.is_none() && !flags.is_empty();
        let cut = flags.split(',').any(|flag| matches!(flag, "DC" | "DownstreamConnectionTermination"));
        if cut {
            entry.status = Status::Incomplete;
        }
        if failed {
            entry.error_type = seen.details.or(seen.flags);
        }
        drop_placeholders(&mut entry.tokens);
        conclude(failed, &mut entry);
        entry.dedup_id = entry.event_id.as_ref().map(|id| Cow::Owned(identity(id, &entry)));
        entry.extra = extra.into_json();
        Some(entry)
    }
}

/// A request id goes along with everything that serves one request of a client, so several calls may share it.
fn identity(id: &str, entry: &Entry<'_>) -> String {
    let start = entry.started_at.map_or(0, daybook_ledger::Instant::micros);
    let (tokens, model) = (entry.tokens, entry.model().unwrap_or_default());
    let [millis, input, output] = [entry.latency_ms, tokens.input, tokens.output].map(|count| count.unwrap_or(-1));
    format!("{id}/{start}/{millis}/{}/{model}/{input}/{output}", entry.http_status.unwrap_or(0))
}

/// Who serves behind a backend: `namespace/name/route/...`, of which only the name can tell, or a plain name.
fn serves(backend: &str) -> Option<Cow<'static, str>> {
    let name = match backend.split('/').collect::<Vec<_>>().as_slice() {
        [_, name, ..] => *name,
        _ => backend,
    };
    let whole = provider(name).filter(|found| matches!(found, Cow::Borrowed(_)));
    whole.or_else(|| {
        let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
        let all = words.collect::<Vec<_>>();
        // `azure-openai` is Azure: the host's word weighs more than that of the models' maker.
        let hosts = ["azure", "bedrock", "aws", "vertex", "vertexai", "gcp"];
        let host = hosts.iter().find(|host| all.iter().any(|word| word == *host)).map(|host| match *host {
            "aws" => "bedrock",
            "vertex" | "vertexai" | "gcp" => "vertex_ai",
            host => host,
        });
        host.or_else(|| all.iter().find_map(|word| known(word))).map(Cow::Borrowed)
    })
}
