//! Files become the same entries as messages, and the command says what it did.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daybook_ingest::embedded::EmbeddedKafka;
use serde_json::Value;

use crate::daybook_in;

/// What tells one way in from another, and one run from the next.
const OF_THE_WAY: &[&str] = &["topic", "kafka_partition", "kafka_offset", "batch_id", "batch_index", "ingested_at"];

/// Every event of the fixtures that this build can decode, in folders as there, without blanks around it.
fn copy_fixtures(to: &Path) -> Vec<PathBuf> {
    let from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events"));
    let mut copied = Vec::new();
    for folder in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let is_event = file.extension().is_some_and(|kind| kind == "json") && !file.ends_with("expected.json");
            let copy = to.join(file.strip_prefix(from).unwrap());
            if is_event {
                std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
                std::fs::write(&copy, std::fs::read(&file).unwrap().trim_ascii()).unwrap();
                // Bills and reports are no events.
                match daybook_in(to, &["decode", copy.to_str().unwrap()]).code {
                    0 => copied.push(copy),
                    _ => std::fs::remove_file(&copy).unwrap(),
                }
            }
        }
    }
    copied.sort();
    copied
}

/// Entries by id, without what the way in and the clock decide.
fn entries(lines: &str) -> BTreeMap<String, Value> {
    let entry = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        let fields = entry.as_object_mut().unwrap();
        fields.retain(|name, value| !OF_THE_WAY.contains(&name.as_str()) && !value.is_null());
        (fields["entry_id"].to_string(), entry)
    };
    lines.lines().map(entry).collect()
}

fn rows(dir: &Path, ledger: &str, sql: &str) -> String {
    daybook_in(dir, &["query", "--ledger", ledger, "--format", "ndjson", "-c", sql]).done().to_owned()
}

#[test]
fn every_fixture_gives_the_same_entries_by_decode_by_kafka_and_by_import() {
    let dir = tempfile::tempdir().unwrap();
    let files = copy_fixtures(&dir.path().join("in"));
    assert!(files.len() >= 27, "only {} fixtures were decoded", files.len());

    let kafka = EmbeddedKafka::start("events", 1).unwrap();
    let producer = kafka.producer("events").unwrap();
    files.iter().for_each(|file| producer.send("", &std::fs::read(file).unwrap()).unwrap());
    producer.flush().unwrap();
    let brokers = kafka.brokers();
    let ingest = ["ingest", "--brokers", &brokers, "--topic", "events", "--ledger", "kafka", "--until-end"];
    daybook_in(dir.path(), &ingest).done();
    daybook_in(dir.path(), &["import", "--ledger", "files", "--jobs", "1", "in"]).done();

    let sql = "SELECT * FROM usage ORDER BY entry_id";
    let by_kafka = entries(&rows(dir.path(), "kafka", sql));
    let by_import = entries(&rows(dir.path(), "files", sql));
    let decoded =
        files.iter().map(|file| daybook_in(dir.path(), &["decode", file.to_str().unwrap()]).done().to_owned());
    let by_decode = entries(&decoded.collect::<String>());
    assert_eq!(by_import.keys().collect::<Vec<_>>(), by_kafka.keys().collect::<Vec<_>>());
    assert_eq!(by_import.keys().collect::<Vec<_>>(), by_decode.keys().collect::<Vec<_>>());
    for (id, decoded) in by_decode {
        let (mut kafka, mut import) = (by_kafka[&id].clone(), by_import[&id].clone());
        // An event without a time has that of its message or file.
        if decoded.get("started_at").is_none() {
            for entry in [&mut kafka, &mut import] {
                entry.as_object_mut().unwrap().retain(|name, _| name != "started_at" && name != "event_date");
            }
        }
        assert_eq!(import, kafka, "{id}: import and Kafka");
        for (name, value) in import.as_object().unwrap() {
            // The text of an amount or instant depends on who prints it; that the ledgers agree is checked above.
            if value.is_number() || value.is_boolean() {
                assert_eq!(Some(value), decoded.get(name), "{id}: {name} by import and by decode");
            }
        }
    }
    let bodies = "SELECT entry_id, content_sha256, input_messages, output_messages, tool_definitions, request_parameters, raw \
                  FROM content ORDER BY entry_id";
    assert_eq!(rows(dir.path(), "files", bodies), rows(dir.path(), "kafka", bodies));
}

const EVENT: &str = r#"{"id":"ID","call_type":"acompletion","status":"success","prompt_tokens":1,"completion_tokens":2,"startTime":1795170000.0,"custom_llm_provider":"openai","model":"gpt-4o","response_cost":0.1,"metadata":{}}"#;

#[test]
fn an_import_says_what_it_did_and_a_second_one_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..5).map(|id| EVENT.replace("ID", &id.to_string())).collect();
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    std::fs::write(dir.path().join("logs/a.jsonl"), lines.join("\n") + "\n{poison\n").unwrap();
    std::fs::write(dir.path().join("logs/b.txt"), "notes\n").unwrap();
    let counts = |run: &crate::Run| -> BTreeMap<String, String> {
        let pair = |line: &str| {
            let (name, rest) = line.split_at_checked(13)?;
            Some((name.trim().to_owned(), rest.split_whitespace().next()?.to_owned()))
        };
        run.stdout.lines().filter_map(pair).collect()
    };

    let dry = daybook_in(dir.path(), &["import", "--dry-run", "logs"]);
    assert!(!dir.path().join("ledger").exists(), "a dry run makes no ledger");
    assert!(dry.stdout.contains("logs/a.jsonl:6 DECODE-003: not JSON"), "{}", dry.stdout);
    let blind = daybook_in(dir.path(), &["import", "--dry-run", "logs", "--ledger", "logs/b.txt"]);
    blind.refused(2, "error[LEDGER-002]: the ledger path logs/b.txt is a file, not a folder");

    let run = daybook_in(dir.path(), &["import", "logs"]);
    let text = "error[IMPORT-004]: logs/b.txt is text, not JSON, CSV or Parquet";
    run.refused(3, text);
    let found = counts(&run);
    let expected = [("files", "2"), ("records", "6"), ("entries", "5"), ("duplicates", "0"), ("quarantined", "1")];
    for (name, count) in expected {
        assert_eq!(found[name], count, "{name} in\n{}", run.stdout);
    }
    let again = daybook_in(dir.path(), &["import", "logs/*.jsonl"]);
    again.done();
    let found = counts(&again);
    assert_eq!((found["records"].as_str(), found["read before"].as_str()), ("0", "6"), "{}", again.stdout);
    let place = "SELECT topic, kafka_offset, arrow_cast(map_extract(headers, 'daybook-line')[1], 'Utf8') AS line FROM quarantine";
    assert_eq!(rows(dir.path(), "ledger", place), "{\"topic\":\"logs/a.jsonl\",\"kafka_offset\":5,\"line\":\"6\"}\n");
    daybook_in(dir.path(), &["verify", "ledger"]).done();

    let cut = daybook_in(dir.path(), &["query", "--quiet", "--max-rows", "2", "-c", "SELECT event_id FROM usage"]);
    cut.done();
    assert_eq!(cut.stderr, "3 more rows left out; raise --max-rows or use --format csv\n");
}

/// The seal holds a secret, and its files look like events.
#[test]
fn what_a_ledger_wrote_is_not_imported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jsonl"), EVENT).unwrap();
    daybook_in(dir.path(), &["import", "--ledger", "in/ledger", "a.jsonl"]).done();
    daybook_in(dir.path(), &["keys", "generate", "seal.key", "--name", "example.com/usage"]).done();
    daybook_in(dir.path(), &["seal", "--ledger", "in/ledger", "--key", "seal.key"]).done();
    for address in ["in/ledger", "in/ledger/usage", "in/ledger/seal", "in/*/log"] {
        let run = daybook_in(dir.path(), &["import", address]);
        let reason = match address.contains('*') {
            true => "no file matches",
            false => "it is of a ledger, and what a ledger wrote is left out",
        };
        run.refused(2, &format!("error[IMPORT-001]: {address}: {reason}"));
    }
    let patterns = daybook_in(dir.path(), &["import", "in/**/*"]);
    patterns.refused(2, "error[IMPORT-001]: in/**/*: no file matches");

    std::fs::create_dir(dir.path().join("_old")).unwrap();
    std::fs::write(dir.path().join("_old/_c.jsonl"), EVENT.replace("ID", "c")).unwrap();
    daybook_in(dir.path(), &["import", "./_old/*"]).refused(2, "error[IMPORT-001]: ./_old/*: no file matches");
    for pattern in ["./_old/_*", "_*/_*.jsonl"] {
        daybook_in(dir.path(), &["import", "--dry-run", pattern]).done();
    }
    std::fs::write(dir.path().join("in/b.jsonl"), EVENT.replace("ID", "b")).unwrap();
    let run = daybook_in(dir.path(), &["import", "in"]);
    assert!(run.done().starts_with("files                   1 "), "{}", run.stdout);
}

/// Rows of a bundle have no position that would tell what was read before.
#[test]
fn what_a_bundle_brought_into_quarantine_is_not_set_aside_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.jsonl"), EVENT.to_owned() + "\n{poison\n").unwrap();
    daybook_in(dir.path(), &["import", "--ledger", "first", "a.jsonl"]).done();
    daybook_in(dir.path(), &["export", "--ledger", "first", "--out", "bundle"]).done();
    daybook_in(dir.path(), &["import", "--ledger", "second", "bundle"]).done();
    std::fs::write(dir.path().join("a.jsonl"), EVENT.to_owned() + "\n{poison\n{other\n").unwrap();
    for _ in 0..2 {
        daybook_in(dir.path(), &["import", "--ledger", "second", "--from-start", "a.jsonl"]).done();
        let sql = "SELECT kafka_offset FROM quarantine ORDER BY 1";
        assert_eq!(rows(dir.path(), "second", sql), "{\"kafka_offset\":1}\n{\"kafka_offset\":2}\n");
    }
}

#[test]
fn an_address_that_names_nothing_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let run = daybook_in(dir.path(), &["import", "none.jsonl"]);
    run.refused(2, "error[IMPORT-001]: none.jsonl: there is no such file or folder");
    let run = daybook_in(dir.path(), &["import", "https://example.com/x"]);
    run.refused(2, "error[IMPORT-001]: https://example.com/x: `https` is not supported");
    assert_eq!(daybook_in(dir.path(), &["import"]).code, 2);
}
