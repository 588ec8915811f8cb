//! What producers sent: calls, some of them twice or told in parts, poison, tombstones; in partitions with holes, and in a
//! file.

use std::collections::{BTreeMap, BTreeSet};

use daybook_ingest::Partition;
use rand::Rng;
use rand::rngs::StdRng;

use crate::scale::Scale;
use crate::seen::Seen;

/// The topic whose format is set wrongly: all of it goes to quarantine, and a replay reads it.
pub(crate) const MISREAD: &str = "misread";
/// The name that rows of the file carry.
pub(crate) const FILE: &str = "calls.jsonl";
const DAY_S: i64 = 86_400;

/// A partition's log as the broker keeps it; a value that is absent is a tombstone.
pub(crate) type Log = Vec<(i64, Option<Vec<u8>>)>;

/// Everything that was sent.
pub(crate) struct Sent {
    pub(crate) logs: BTreeMap<Partition, Log>,
    /// The records of the file.
    pub(crate) file: Vec<Vec<u8>>,
    /// The input tokens of every call; `None` if no event tells them.
    pub(crate) calls: BTreeMap<String, Option<i64>>,
    /// Topic, partition and offset of what cannot be read, or is misread.
    pub(crate) aside: BTreeSet<(String, i32, i64)>,
}

pub(crate) fn partition(topic: &str, number: i32) -> Partition {
    Partition { topic: topic.into(), number }
}

/// The file as a partition.
pub(crate) fn file() -> Partition {
    partition("0123456789abcdef", 0)
}

impl Sent {
    pub(crate) fn by(rng: &mut StdRng, scale: &Scale) -> Self {
        let mut places: Vec<Partition> =
            (0..rng.random_range(scale.partitions.clone())).map(|number| partition("calls", number)).collect();
        places.extend(rng.random_bool(0.3).then(|| partition(MISREAD, 0)));
        places.extend(rng.random_bool(0.4).then(file));
        let mut values: BTreeMap<Partition, Vec<Option<Vec<u8>>>> =
            places.iter().map(|place| (place.clone(), Vec::new())).collect();
        let mut send = |rng: &mut StdRng, value: Option<Vec<u8>>| {
            let place = &places[rng.random_range(0..places.len())];
            let log = values.get_mut(place).unwrap();
            log.insert(rng.random_range(log.len().saturating_sub(4)..=log.len()), value);
        };
        let mut calls = BTreeMap::new();
        for id in 0..rng.random_range(scale.calls.clone()) {
            let ends = *[0, 1, 1, 1, 2].get(rng.random_range(0..5)).unwrap();
            for _ in 0..ends {
                send(rng, Some(end(id)));
            }
            if ends == 0 || rng.random_bool(0.3) {
                send(rng, Some(start(id)));
            }
            calls.insert(format!("call-{id}"), (ends > 0).then_some(id));
            if rng.random_bool(0.1) {
                send(rng, Some(b"{poison".to_vec()));
            }
            if rng.random_bool(0.05) {
                send(rng, None);
            }
        }
        let file: Vec<Vec<u8>> = values.remove(&file()).unwrap_or_default().into_iter().flatten().collect();
        let logs = values.into_iter().map(|(place, values)| (place, with_holes(rng, values))).collect();
        let aside = aside(&logs, &file);
        Self { logs, file, calls, aside }
    }

    pub(crate) fn note(&self, seen: &mut Seen) {
        let mut events: BTreeMap<&[u8], usize> = BTreeMap::new();
        let values = self.logs.values().flatten().map(|(_, value)| value.as_deref());
        for value in values.chain(self.file.iter().map(|value| Some(value.as_slice()))) {
            match value {
                None => seen.note("sent: a tombstone"),
                Some(value) if is_poison(value) => seen.note("sent: poison"),
                Some(value) => *events.entry(value).or_default() += 1,
            }
        }
        let ids = 0..self.calls.len() as i64;
        let in_parts =
            ids.filter(|id| [start(*id), end(*id)].iter().all(|event| events.contains_key(event.as_slice())));
        seen.note_times("sent: a call in parts", in_parts.count());
        seen.note_times("sent: a call twice", events.values().filter(|times| **times > 1).count());
        seen.note_times("sent: a call without its end", self.calls.values().filter(|tokens| tokens.is_none()).count());
        seen.note_times("sent: a record of a file", self.file.len());
        let holes = self.logs.values().flat_map(|log| log.windows(2)).filter(|pair| pair[1].0 > pair[0].0 + 1);
        seen.note_times("sent: a hole between offsets", holes.count());
        let misread = self.logs.iter().filter(|(place, _)| &*place.topic == MISREAD).map(|(_, log)| log.len());
        seen.note_times("sent: a message that is misread", misread.sum());
    }

    /// Whether a message or a record is `value`.
    pub(crate) fn has(&self, value: &[u8]) -> bool {
        let messages = self.logs.values().flatten().filter_map(|(_, value)| value.as_ref());
        messages.chain(&self.file).any(|known| known == value)
    }

    /// The message or record at a place of [`Sent::aside`].
    pub(crate) fn value(&self, (topic, number, offset): &(String, i32, i64)) -> &[u8] {
        match self.logs.get(&partition(topic, *number)) {
            Some(log) => log.iter().find(|(at, _)| at == offset).and_then(|(_, value)| value.as_deref()).unwrap(),
            None => &self.file[usize::try_from(*offset).unwrap()],
        }
    }
}

/// Transactions and compaction leave offsets without a message.
fn with_holes(rng: &mut StdRng, values: Vec<Option<Vec<u8>>>) -> Log {
    let mut next = rng.random_range(0..3);
    let place = |value| {
        let offset = next;
        next += if rng.random_bool(0.1) { rng.random_range(2..5) } else { 1 };
        (offset, value)
    };
    values.into_iter().map(place).collect()
}

fn aside(logs: &BTreeMap<Partition, Log>, file: &[Vec<u8>]) -> BTreeSet<(String, i32, i64)> {
    let mut aside = BTreeSet::new();
    for (place, log) in logs {
        let is_aside =
            |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|v| is_poison(v) || &*place.topic == MISREAD);
        let found = log.iter().filter(|(_, value)| is_aside(value));
        aside.extend(found.map(|(offset, _)| (place.topic.to_string(), place.number, *offset)));
    }
    let poison = (0..).zip(file).filter(|(_, value)| is_poison(value));
    aside.extend(poison.map(|(offset, _)| (FILE.to_owned(), 0, offset)));
    aside
}

pub(crate) fn is_poison(value: &[u8]) -> bool {
    value.starts_with(b"{poison")
}

/// An event of a call that does not know its usage yet, nor, if the call is a pending one, its answer.
pub(crate) fn start(id: i64) -> Vec<u8> {
    match is_pending_first(id) {
        true => observation(id, "null", &format!(r#","input":"call {id}","usageDetails":{{}}"#)),
        false => call(id, ""),
    }
}

pub(crate) fn end(id: i64) -> Vec<u8> {
    match is_pending_first(id) {
        true => {
            let said = if is_silent(id) { String::new() } else { format!(r#","input":"call {id}","output":"answer""#) };
            let told = format!(r#"{said},"usageDetails":{{"input":{id},"output":1,"total":{}}}"#, id + 1);
            observation(id, &format!("\"{}\"", instant(id, 5)), &told)
        }
        false => call(id, &format!(r#""prompt_tokens":{id},"completion_tokens":1,"total_tokens":{},"#, id + 1)),
    }
}

/// Whether the start of a call comes before its answer; that of the others is a report of its end without counts.
pub(crate) fn is_pending_first(id: i64) -> bool {
    id % 3 == 0
}

/// Whether the end of a pending call has no body.
pub(crate) fn is_silent(id: i64) -> bool {
    id % 6 == 0
}

fn instant(id: i64, tenths: u8) -> String {
    format!("2026-11-{}T09:00:00.{tenths}00Z", 20 + id % 2)
}

fn observation(id: i64, end_time: &str, told: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"call-{id}","traceId":"trace","type":"GENERATION","startTime":"{}","endTime":{end_time},
        "model":"gpt-4o"{told}}}"#,
        instant(id, 0)
    )
    .into_bytes()
}

fn call(id: i64, usage: &str) -> Vec<u8> {
    let started = 1_795_170_000 + id % 2 * DAY_S;
    format!(
        r#"{{"id":"call-{id}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o",
        "startTime":{started}.0,"endTime":{started}.5,{usage}
        "response_cost":0.5,"messages":[{{"role":"user","content":"call {id}"}}],"metadata":{{}}}}"#
    )
    .into_bytes()
}
