//! Every fixture with every field dropped, renamed, retyped and doubled: what a source may do to us on its next release.
//!
//! The promise: an entry, a flagged entry or a refusal with its code; never a panic, never a count that turns into zero.

use serde_json::{Map, Value, json};

use super::*;

/// What becomes of one field.
#[derive(Clone, Copy, Debug)]
enum Change {
    Drop,
    Rename,
    Double,
    Retype(fn(&Value) -> Value),
}

const CHANGES: [(&str, Change); 12] = [
    ("dropped", Change::Drop),
    ("renamed", Change::Rename),
    ("doubled", Change::Double),
    ("null", Change::Retype(|_| Value::Null)),
    ("as text", Change::Retype(|value| value.as_str().map_or_else(|| json!(value.to_string()), |text| json!([text])))),
    ("an object", Change::Retype(|value| json!({ "value": value }))),
    ("an empty object", Change::Retype(|_| json!({}))),
    ("an array", Change::Retype(|value| json!([value]))),
    ("an empty array", Change::Retype(|_| json!([]))),
    ("a yes", Change::Retype(|_| json!(true))),
    ("negative", Change::Retype(|_| json!(-3))),
    ("huge", Change::Retype(|_| json!(1e19))),
];

/// A key no source has, to be replaced in the text: a JSON object cannot hold a key twice.
const SECOND: &str = "daybook-second-key";

/// The steps to every member of every object.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for (step, child) in children {
        all.push(vec![step.clone()]);
        all.extend(paths(child).into_iter().map(|path| [vec![step.clone()], path].concat()));
    }
    all
}

/// The parent of what `path` leads to.
fn parent<'v>(value: &'v mut Value, path: &[String]) -> &'v mut Value {
    let (_, way) = path.split_last().unwrap();
    way.iter().fold(value, |value, step| match value {
        Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        other => &mut other[step.as_str()],
    })
}

/// `event` with the field at `path` changed; `None` where the change makes no sense.
fn changed(event: &Value, path: &[String], change: Change) -> Option<String> {
    let mut event = event.clone();
    let key = path.last()?.clone();
    match parent(&mut event, path) {
        Value::Array(items) => {
            let at: usize = key.parse().ok()?;
            match change {
                Change::Drop => drop(items.remove(at)),
                Change::Rename => return None,
                Change::Double => items.insert(at, items[at].clone()),
                Change::Retype(retype) => items[at] = retype(&items[at]),
            }
            Some(event.to_string())
        }
        Value::Object(members) => {
            let value = members.get(&key)?.clone();
            match change {
                Change::Drop => drop(members.remove(&key)),
                Change::Rename => *members = renamed(members, &key),
                Change::Double => drop(members.insert(SECOND.to_owned(), value)),
                Change::Retype(retype) => drop(members.insert(key.clone(), retype(&value))),
            }
            Some(event.to_string().replace(SECOND, &key))
        }
        _ => None,
    }
}

fn renamed(members: &Map<String, Value>, key: &str) -> Map<String, Value> {
    let rename = |name: &String| if name == key { format!("{name}_v2") } else { name.clone() };
    members.iter().map(|(name, value)| (rename(name), value.clone())).collect()
}

/// The counts and the cost that must not turn into zero.
fn quantities(entry: &Entry<'_>) -> Vec<Option<i128>> {
    let counts = entry.tokens.counts().map(|count| count.map(i128::from));
    counts.into_iter().chain([entry.reported_cost.map(Usd::pico)]).collect()
}

/// Decodes `text` as `format`: its entries, or the code it is refused with.
fn outcome(format: Format, text: &str) -> Result<Vec<Entry<'_>>, &'static str> {
    let mut entries = Vec::new();
    decode(&Event::of(text.as_bytes()), Some(format), &BODIES, &mut |entry| entries.push(entry))
        .map_err(|error| error.code())?;
    Ok(entries)
}

/// Whether the field holds whole calls, so that without it there are fewer: an element of a list, a level of OTLP, a
/// node of a conversation, the value of a message (without one it is a tombstone), what tells an OTLP span that is a call from others, what tells a
/// gateway's log of a call from its log of other traffic.
fn holds_calls(path: &[String]) -> bool {
    const LEVELS: [&str; 8] =
        ["resourceSpans", "scopeSpans", "spans", "resourceLogs", "scopeLogs", "logRecords", "attributes", "mapping"];
    let is = |step: &String| step.parse::<usize>().is_ok() || LEVELS.contains(&step.as_str());
    path.last().is_some_and(is)
        || path.iter().nth_back(1).is_some_and(|step| step == "mapping")
        || path == ["kafka_record", "value"]
        || path == ["ai"]
        || path == ["ai", "proxy"]
        || path.last().is_some_and(|step| step == "llm_summary")
}

/// What is wrong with what became of an event that was changed.
fn wrong(before: &[Entry<'_>], after: &[Entry<'_>], may_be_fewer: bool) -> Option<String> {
    if after.len() < before.len() && !may_be_fewer {
        return Some(format!("{} of {} entries are gone", before.len() - after.len(), before.len()));
    }
    if after.len() != before.len() {
        return None;
    }
    before.iter().zip(after).find_map(|(before, after)| {
        let zeroed = quantities(before)
            .into_iter()
            .zip(quantities(after))
            .any(|(before, after)| before.is_some_and(|before| before > 0) && after == Some(0));
        let told = after.tokens.buckets().check.is_some();
        (zeroed && !told).then(|| format!("a count turned into zero: {:?} became {:?}", before.tokens, after.tokens))
    })
}

#[test]
fn a_changed_field_is_an_entry_or_a_refusal_and_never_a_silent_zero() {
    let mut faults = Vec::new();
    for format in Format::ALL.iter().copied() {
        for (case, event) in fixtures(format).iter().filter(|(name, _)| name != "expected") {
            let Ok(before) = outcome(format, event) else { continue };
            let event: Value = serde_json::from_str(event).unwrap();
            for path in paths(&event) {
                for (name, change) in CHANGES {
                    let Some(text) = changed(&event, &path, change) else { continue };
                    let fault =
                        outcome(format, &text).ok().and_then(|after| wrong(&before, &after, holds_calls(&path)));
                    faults.extend(fault.map(|fault| format!("{format}/{case}: {} {name}: {fault}", path.join("."))));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
