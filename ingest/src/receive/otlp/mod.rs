//! OTLP bodies: checked as far as their frame goes, sent on as they are, or cut at span borders where one would not fit
//! into a Kafka message.

mod json;
mod protobuf;

use axum::body::Bytes;

use super::budget::Held;
use super::message::Message;
use super::refusal::Refusal;
use super::settings::Path;

pub(super) use protobuf::{write_field, write_varint};

/// Levels from the request to its spans: resources, scopes, items.
const LEVELS: usize = 3;
/// Cutting repeats resource and scope; a body that grows past this many times its size is not worth it.
const GROWTH_MAX: usize = 4;
/// What framing one more item, scope or resource adds at most: names, commas, tags and lengths.
const FRAME_BYTES: usize = 32;

/// What a resource, scope or item takes beside its bytes, which can be as few as two.
const CHILD_BYTES: usize = 64;
/// Of resources, scopes and items in a request; collectors send some thousands.
const CHILDREN_MAX: usize = 500_000;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

impl Form {
    /// The form of a media type; none is taken for JSON.
    pub(super) fn of(media_type: &str) -> Result<Self, Refusal> {
        match media_type {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "" | "application/json" => Ok(Self::Json),
            other => Err(Refusal::ContentType { content_type: other.chars().take(60).collect() }),
        }
    }

    /// The media type in answers and in the Kafka header `content-type`.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }
}

/// A signal's names.
#[derive(Clone, Copy, Debug)]
struct Signal {
    /// JSON names of the children, from the top.
    names: [&'static str; LEVELS],
    /// Field of an item's trace id.
    trace_field: u32,
}

const TRACES: Signal = Signal { names: ["resourceSpans", "scopeSpans", "spans"], trace_field: 1 };
const LOGS: Signal = Signal { names: ["resourceLogs", "scopeLogs", "logRecords"], trace_field: 9 };

/// Takes the children of a level, one after the other.
type Take<'t, 'a> = &'t mut dyn FnMut(&'a [u8]) -> Result<(), Refusal>;

/// A body with its spans or log records apart.
#[derive(Debug, Default)]
struct Tree<'a> {
    rest: Vec<u8>,
    resources: Vec<Vec<u8>>,
    /// Index of the resource, and the rest.
    scopes: Vec<(usize, Vec<u8>)>,
    /// Index of the scope, and the item.
    items: Vec<(usize, &'a [u8])>,
    /// What the body and the tree hold together.
    bytes: usize,
}

/// How one encoding opens and closes a level.
trait Codec {
    /// Hands out the children of a level, and returns everything else of it as it came.
    fn open<'a>(&self, level: usize, bytes: &'a [u8], take: Take<'_, 'a>) -> Result<Vec<u8>, Refusal>;
    fn close(&self, level: usize, rest: &[u8], children: &[&[u8]]) -> Vec<u8>;
    /// The trace an item belongs to, in hex; errors if the item cannot be one.
    fn trace(&self, item: &[u8]) -> Result<Option<String>, Refusal>;
}

/// The messages for `body`: itself, or parts of at most `bytes_max`. An item that is larger alone makes one larger part.
/// A request without telemetry makes none. `held` grows by what is held beside the body.
///
/// # Errors
/// [`Refusal::NotJson`], [`Refusal::NotOtlp`], [`Refusal::TooManyEvents`], [`Refusal::Busy`], and
/// [`Refusal::EventTooLarge`] where parts would mostly repeat their resource.
pub(super) fn cut(
    path: Path,
    form: Form,
    body: &Bytes,
    headers: &[(String, String)],
    key: Option<&str>,
    bytes_max: usize,
    held: &mut Held,
) -> Result<Vec<Message>, Refusal> {
    let signal = if path == Path::Logs { LOGS } else { TRACES };
    match form {
        Form::Json => cut_with(&json::Json(signal), body, headers, key, bytes_max, held),
        Form::Protobuf => cut_with(&protobuf::Protobuf(signal), body, headers, key, bytes_max, held),
    }
}

fn cut_with(
    codec: &impl Codec,
    body: &Bytes,
    headers: &[(String, String)],
    key: Option<&str>,
    bytes_max: usize,
    held: &mut Held,
) -> Result<Vec<Message>, Refusal> {
    let tree = grow(codec, body, held)?;
    if tree.rest.is_empty() && tree.resources.is_empty() {
        return Ok(Vec::new());
    }
    let message = |value: Bytes, items: &[(usize, &[u8])]| {
        let trace = only_trace(codec, items)?;
        let key = key.map(str::to_owned).or(trace);
        Ok(Message { key, headers: headers.to_vec(), value, doubt: None, items: items.len() })
    };
    // A key takes at most a trace id's digits.
    let frame: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + FRAME_BYTES;
    let frame = frame + key.map_or(0, str::len);
    if body.len() + frame <= bytes_max || tree.items.len() < 2 {
        return Ok(vec![message(body.clone(), &tree.items)?]);
    }
    let (mut messages, mut written) = (Vec::new(), 0);
    for range in ranges(&tree, bytes_max.saturating_sub(frame)) {
        let items = tree.items.get(range).unwrap_or_default();
        let value = part(codec, &tree, items);
        written += value.len();
        if written > GROWTH_MAX * body.len() {
            return Err(Refusal::EventTooLarge { bytes: value.len(), bytes_max });
        }
        held.grow_to(tree.bytes + written)?;
        messages.push(message(value.into(), items)?);
    }
    Ok(messages)
}

/// The one trace of all items, if there is one.
fn only_trace(codec: &impl Codec, items: &[(usize, &[u8])]) -> Result<Option<String>, Refusal> {
    let mut traces = items.iter().map(|(_, item)| codec.trace(item));
    let Some(first) = traces.next().transpose()? else { return Ok(None) };
    let mut is_only = true;
    for trace in traces {
        is_only &= trace? == first;
    }
    Ok(first.filter(|_| is_only))
}

fn grow<'a>(codec: &impl Codec, body: &'a [u8], held: &mut Held) -> Result<Tree<'a>, Refusal> {
    let mut tree = Tree { bytes: body.len(), ..Tree::default() };
    let mut children = 0;
    let mut one_more = |bytes: &mut usize| {
        children += 1;
        if children > CHILDREN_MAX {
            return Err(Refusal::TooManyEvents { events_max: CHILDREN_MAX });
        }
        *bytes += CHILD_BYTES;
        held.grow_to(*bytes)
    };
    tree.rest = codec.open(0, body, &mut |resource| {
        one_more(&mut tree.bytes)?;
        let rest = codec.open(1, resource, &mut |scope| {
            one_more(&mut tree.bytes)?;
            let rest = codec.open(2, scope, &mut |item| {
                one_more(&mut tree.bytes)?;
                tree.items.push((tree.scopes.len(), item));
                Ok(())
            })?;
            tree.bytes += rest.len();
            tree.scopes.push((tree.resources.len(), rest));
            Ok(())
        })?;
        tree.bytes += rest.len();
        tree.resources.push(rest);
        Ok(())
    })?;
    Ok(tree)
}

/// Runs of items that fit into `bytes_max` together with what is around them; at least one item each.
fn ranges(tree: &Tree<'_>, bytes_max: usize) -> Vec<std::ops::Range<usize>> {
    let scope_bytes = |scope: usize| tree.scopes.get(scope).map_or(0, |(_, rest)| rest.len() + FRAME_BYTES);
    let resource_of = |scope: usize| tree.scopes.get(scope).map(|(resource, _)| *resource);
    let resource_bytes = |scope: usize| {
        let rest = resource_of(scope).and_then(|resource| tree.resources.get(resource));
        rest.map_or(0, |rest| rest.len() + FRAME_BYTES)
    };
    let (mut ranges, mut start, mut bytes, mut last) = (Vec::new(), 0, 0, None);
    for (index, (scope, item)) in tree.items.iter().enumerate() {
        let item = item.len() + FRAME_BYTES;
        let around = match last {
            Some(last) if last == *scope => 0,
            Some(last) if resource_of(last) == resource_of(*scope) => scope_bytes(*scope),
            _ => scope_bytes(*scope) + resource_bytes(*scope),
        };
        if index > start && bytes + around + item > bytes_max {
            ranges.push(start..index);
            start = index;
            bytes = tree.rest.len() + FRAME_BYTES + scope_bytes(*scope) + resource_bytes(*scope) + item;
        } else {
            bytes += around + item + if last.is_none() { tree.rest.len() + FRAME_BYTES } else { 0 };
        }
        last = Some(*scope);
    }
    ranges.push(start..tree.items.len());
    ranges
}

/// `items` with their scopes and resources around them again.
fn part(codec: &impl Codec, tree: &Tree<'_>, items: &[(usize, &[u8])]) -> Vec<u8> {
    let mut resources: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
    for run in items.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((scope, _)) = run.first() else { continue };
        let Some((resource, rest)) = tree.scopes.get(*scope) else { continue };
        let children: Vec<&[u8]> = run.iter().map(|(_, item)| *item).collect();
        let closed = codec.close(2, rest, &children);
        match resources.last_mut().filter(|(last, _)| last == resource) {
            Some((_, scopes)) => scopes.push(closed),
            None => resources.push((*resource, vec![closed])),
        }
    }
    let closed: Vec<Vec<u8>> = resources
        .iter()
        .map(|(resource, scopes)| {
            let scopes: Vec<&[u8]> = scopes.iter().map(Vec::as_slice).collect();
            codec.close(1, tree.resources.get(*resource).map_or(&[], Vec::as_slice), &scopes)
        })
        .collect();
    codec.close(0, &tree.rest, &closed.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
