//! A ledger that is kept healthy and made to forget, by the command line: no number changes, and what was said is gone.

use std::path::{Path, PathBuf};

use crate::daybook_in;

const SECRET: &str = "the-secret-of-bob";

#[test]
fn maintenance_makes_few_files_of_many_and_changes_no_answer() {
    let dir = ledger(8);
    let answer = totals(dir.path());
    let planned = daybook_in(dir.path(), &["maintain", "--dry-run", "--table", "usage"]);
    let line = planned.done().to_owned();
    assert!(line.starts_with("usage: 8 files; 8 of them, ") && line.contains(" would become 1"), "{line}");
    assert_eq!(data_files(dir.path(), "usage").len(), 8);

    let done = daybook_in(dir.path(), &["maintain", "--format", "json"]);
    let done: serde_json::Value = serde_json::from_str(done.done()).unwrap();
    let usage = done["tables"].as_array().unwrap().iter().find(|table| table["table"] == "usage").unwrap();
    assert_eq!((&usage["compacted"]["files_before"], &usage["compacted"]["files_after"]), (&8.into(), &1.into()));
    assert_eq!(totals(dir.path()), answer);
    let again = daybook_in(dir.path(), &["maintain", "--table", "usage"]);
    assert_eq!(again.done(), "usage: 1 file; nothing to do\n");
    let verified = daybook_in(dir.path(), &["verify", "ledger"]);
    assert!(verified.done().contains("nothing differs"), "{}", verified.stdout);
    assert!(
        verified.stdout.contains("wrote its rows anew: it stays for readers of older versions"),
        "{}",
        verified.stdout
    );
    assert_eq!(totals_as_of(dir.path(), "7"), "calls\n7\n", "older versions can still be read");
}

#[test]
fn an_erasure_takes_what_was_said_and_nothing_else() {
    let dir = ledger(4);
    let answer = totals(dir.path());
    assert!(traces(dir.path()) > 0);
    // Of a run that was stopped.
    std::fs::write(dir.path().join("certificate.json.partial"), "{").unwrap();
    let erased = daybook_in(dir.path(), &["erase", "--subject", "bob", "--certificate", "certificate.json"]);
    assert!(erased.done().starts_with("2 entries\ncontent: what was said in 2 rows removed; "), "{}", erased.stdout);
    assert_eq!(traces(dir.path()), 0);
    assert_eq!(totals(dir.path()), answer);
    assert!(daybook_in(dir.path(), &["verify", "ledger"]).done().contains("nothing differs"));
    let bodies = query(dir.path(), &["-c", "SELECT count(*) AS n, count(raw) AS bodies FROM content"]);
    assert_eq!(bodies, "n,bodies\n4,2\n");

    assert!(!dir.path().join("certificate.json.partial").exists());
    let certificate = std::fs::read_to_string(dir.path().join("certificate.json")).unwrap();
    let certificate: serde_json::Value = serde_json::from_str(&certificate).unwrap();
    assert_eq!(certificate["entries"], 2);
    assert_eq!(certificate["request"]["subject"], "bob");
    assert_eq!(certificate["untouched"]["rows"], 4);

    // The same events from another file are known, and bring nothing back.
    std::fs::copy(dir.path().join("0.jsonl"), dir.path().join("copy.jsonl")).unwrap();
    std::fs::write(dir.path().join("again.jsonl"), event(0) + &event(9)).unwrap();
    daybook_in(dir.path(), &["import", "copy.jsonl", "again.jsonl"]).done();
    assert_eq!(traces(dir.path()), 0);

    let before = daybook_in(dir.path(), &["query", "--as-of", "3", "-c", "SELECT count(raw) FROM content"]);
    assert_eq!(before.code, 5, "{}{}", before.stdout, before.stderr);
    assert!(before.stderr.contains("bodies erased"), "{}", before.stderr);
    assert_eq!(totals_as_of(dir.path(), "3"), "calls\n3\n", "numbers of then are still there");
}

#[test]
fn what_cannot_be_erased_or_maintained_is_said() {
    let dir = ledger(2);
    let nothing = daybook_in(dir.path(), &["erase", "--subject", "nobody", "--dry-run"]);
    assert_eq!((nothing.code, nothing.stdout.lines().next()), (1, Some("no call was made for `nobody`")));
    let id = "00000000000000000000000000000000";
    let unknown = daybook_in(dir.path(), &["erase", "--entries", id]);
    unknown.refused(3, &format!("error[LEDGER-015]: the ledger has no entry {id}"));
    let slip = daybook_in(dir.path(), &["erase", "--entries", "bob"]);
    slip.refused(2, "error[CLI-002]: `bob` is not the id of an entry");
    std::fs::write(dir.path().join("taken"), "precious").unwrap();
    let taken = daybook_in(dir.path(), &["erase", "--subject", "bob", "--certificate", "taken"]);
    assert!(taken.stderr.starts_with("error[CLI-014]: the certificate taken cannot be made; nothing was erased"));
    assert!(traces(dir.path()) > 0);
    daybook_in(dir.path(), &["maintain", "--table", "usages"]).refused(2, "error[CLI-002]: unknown table `usages`");
    let days = daybook_in(dir.path(), &["maintain", "--orphan-days", "0"]);
    days.refused(2, "error[CLI-002]: `maintain.orphan_days` is `0`; it takes a whole number from 1 to 36500");
}

#[test]
fn a_log_that_was_tampered_with_is_named() {
    let dir = ledger(4);
    daybook_in(dir.path(), &["maintain", "--table", "usage"]).done();
    let log = dir.path().join("ledger/usage/_delta_log");
    let maintained = log.join(format!("{:020}.json", 5));
    let text = std::fs::read_to_string(&maintained).unwrap();
    std::fs::write(&maintained, text.replace("\\\"numRecords\\\":4", "\\\"numRecords\\\":3")).unwrap();
    let run = daybook_in(dir.path(), &["verify", "ledger"]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("it puts 3 rows in the place of 4"), "{}", run.stdout);

    std::fs::write(&maintained, text).unwrap();
    std::fs::remove_file(log.join(format!("{:020}.json", 2))).unwrap();
    let run = daybook_in(dir.path(), &["verify", "ledger"]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("usage"), "{}", run.stdout);
}

/// A ledger of so many calls in as many commits, every other one by bob.
fn ledger(calls: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..calls {
        std::fs::write(dir.path().join(format!("{at}.jsonl")), event(at)).unwrap();
        daybook_in(dir.path(), &["import", &format!("{at}.jsonl")]).done();
    }
    dir
}

fn event(at: usize) -> String {
    let (user, said) = if at.is_multiple_of(2) { ("bob", SECRET) } else { ("eve", "nothing") };
    format!(
        r#"{{"id":"call-{at}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o","startTime":1795170000.0,"endTime":1795170001.0,"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"response_cost":0.5,"end_user":"{user}","messages":[{{"role":"user","content":"{said}"}}],"metadata":{{}}}}"#
    ) + "\n"
}

fn query(dir: &Path, args: &[&str]) -> String {
    let all: Vec<&str> = ["query", "--format", "csv"].into_iter().chain(args.iter().copied()).collect();
    daybook_in(dir, &all).done().to_owned()
}

fn totals(dir: &Path) -> String {
    query(dir, &["-c", "SELECT count(*) AS calls, sum(input_tokens) AS tokens, sum(list_cost) AS cost FROM usage"])
}

fn totals_as_of(dir: &Path, version: &str) -> String {
    query(dir, &["--as-of", version, "-c", "SELECT count(*) AS calls FROM usage"])
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

fn data_files(dir: &Path, table: &str) -> Vec<PathBuf> {
    let files = files_below(&dir.join("ledger").join(table)).into_iter();
    files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect()
}

/// Files of the ledger in which the secret is found: as stored, or in the bodies as queries see them.
fn traces(dir: &Path) -> usize {
    let stored = files_below(&dir.join("ledger"))
        .iter()
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        })
        .count();
    let said = format!("SELECT count(*) AS n FROM content WHERE input_messages LIKE '%{SECRET}%'");
    let found = query(dir, &["-c", &said]);
    stored + found.lines().nth(1).unwrap().parse::<usize>().unwrap()
}
