//! What a person gets of a ledger: all of theirs and nothing of another, in whatever format one looks.

use std::path::Path;

use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::daybook_in;

/// Where a call says something of the person it was made for.
const PLACES: [&str; 6] = ["prompt", "answer", "tag", "key", "session", "unknown"];

/// A call of `person`, with a marker of theirs in every place.
fn call(person: &str, number: u32) -> Value {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/litellm-standard/anthropic-cache.json");
    let mut event: Value = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    let marker = |place: &str| format!("marker-{place}-of-{person}");
    event["id"] = json!(format!("call-{person}-{number}"));
    event["litellm_call_id"] = event["id"].clone();
    event["trace_id"] = event["id"].clone();
    event["end_user"] = json!(person);
    event["messages"] = json!([{"role": "user", "content": marker("prompt")}]);
    event["response"]["choices"][0]["message"]["content"] = json!(marker("answer"));
    event["request_tags"] = json!([marker("tag")]);
    event["metadata"]["user_api_key_alias"] = json!(marker("key"));
    event["session_id"] = json!(marker("session"));
    event["of_no_column"] = json!(marker("unknown"));
    event
}

/// Everything in the file at `path` that text can be looked for in, unpacked.
fn unpacked(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return std::fs::read(path).unwrap();
    }
    let mut found = Vec::new();
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    for batch in reader.build().unwrap().map(Result::unwrap) {
        for column in batch.columns() {
            match column.data_type() {
                DataType::Binary => column.as_binary::<i32>().iter().flatten().for_each(|bytes| found.extend(bytes)),
                _ => {
                    let values = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
                    (0..column.len()).for_each(|row| found.extend(values.value(row).to_string().bytes()));
                }
            }
            found.push(b'\n');
        }
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { walk(&entry, found) } else { found.push(entry) }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_persons_export_holds_every_word_of_theirs_and_none_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let calls =
        [("ann", 1), ("bob", 1), ("ann", 2), ("bob", 2)].map(|(person, number)| call(person, number).to_string());
    let broken = "{\"end_user\": \"bob\", \"messages\": \"marker-prompt-of-bob";
    std::fs::write(dir.path().join("events.jsonl"), format!("{}\n{broken}\n", calls.join("\n"))).unwrap();
    daybook_in(dir.path(), &["import", "events.jsonl"]);
    let export = ["export", "--subject", "ann", "--for", "chat-messages,gemini-batch", "--out"];
    daybook_in(dir.path(), &[&export[..], &["ann"]].concat()).done();
    daybook_in(dir.path(), &["verify", "ann"]).done();

    let bundle = dir.path().join("ann");
    let mut files = Vec::new();
    walk(&bundle, &mut files);
    for file in &files {
        let bytes = unpacked(file);
        assert!(!holds(&bytes, "-of-bob") && !holds(&bytes, "bob"), "{} says something of bob", file.display());
    }
    for format in ["jsonl", "csv", "parquet"] {
        let of_table = |table: &str| unpacked(&bundle.join(format!("data/{table}/{table}-00000.{format}")));
        let both = [of_table("usage"), of_table("content")].concat();
        for place in PLACES {
            assert!(holds(&both, &format!("marker-{place}-of-ann")), "{format}: no {place}");
        }
        for number in [1, 2] {
            assert!(holds(&both, &format!("call-ann-{number}")), "{format}: call {number} is missing");
        }
    }
    let chat = unpacked(&bundle.join("data/migration/chat-messages/chat-messages-00000.jsonl"));
    assert_eq!(String::from_utf8(chat).unwrap().matches("marker-answer-of-ann").count(), 2);
}

/// Of a file that is cut or gone nobody can say whose it was; the store did answer, and no other writer took it.
#[test]
fn a_data_file_that_is_cut_or_missing_is_named_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| daybook_in(dir.path(), args);
    std::fs::write(dir.path().join("a.json"), call("ann", 1).to_string()).unwrap();
    run(&["import", "a.json"]).done();
    let mut files = Vec::new();
    walk(&dir.path().join("ledger/content"), &mut files);
    let file = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "parquet")).unwrap();
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    let cut = run(&["erase", "--subject", "ann", "--certificate", "c1"]);
    assert!(cut.code == 5 && cut.stderr.starts_with("error[LEDGER-011]: "), "{}", cut.stderr);
    assert!(
        cut.stderr.contains(&format!("{} bytes, its commit says {}", bytes.len() / 2, bytes.len())),
        "{}",
        cut.stderr
    );

    std::fs::remove_file(file).unwrap();
    let gone = run(&["erase", "--older-than", "1", "--certificate", "c2"]);
    assert!(gone.code == 5 && gone.stderr.starts_with("error[LEDGER-011]: "), "{}", gone.stderr);
    assert!(gone.stderr.contains("it is missing, and the table still has it"), "{}", gone.stderr);
}
