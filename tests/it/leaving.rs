//! The way out by a clause: delivered and recorded once, rehearsed, reported.

use std::path::Path;

use serde_json::Value;

use crate::{daybook_in, daybook_with};

/// A ledger with one call under one of two contracts, of which one grants an export.
fn company() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let contract = |name: &str, provider: &str| {
        format!(
            "[[contract]]\nname = '{name}'\nvendor = '{provider}'\nproviders = '{provider}'\nstarts_on = 2026-01-01\n\
             ends_on = 2026-12-31\nnotice_days = 30\ntransition_days = 60\nretrieval_days = 45\n"
        )
    };
    let clause = "[[contract.clause]]\nkind = 'data_portability'\ndays = 30\ncost_max_usd = 0\n";
    let contracts = format!("{}{clause}{}", contract("anthropic-2026", "anthropic"), contract("openai-2026", "openai"));
    std::fs::write(dir.path().join("r/contracts.toml"), contracts).unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/litellm-standard/anthropic-cache.json");
    daybook_in(dir.path(), &["import", events]).done();
    dir
}

fn evidence(dir: &Path) -> Vec<Value> {
    let run = daybook_in(dir, &["evidence", "list", "--format", "json"]);
    serde_json::from_str(run.done()).unwrap()
}

#[test]
fn a_clauses_export_is_delivered_and_recorded_once() {
    let dir = company();
    let export = ["export", "--out", "b", "--clause", "anthropic-2026", "--requested", "2026-01-05"];
    let run = daybook_in(dir.path(), &export);
    let said = "clause      asked for on 2026-01-05, due on 2026-02-04, at no cost; delivered on ";
    assert!(run.done().starts_with(said) && run.stdout.contains("too late, recorded as evidence"), "{}", run.stdout);
    let run = daybook_in(dir.path(), &export);
    assert!(run.done().contains("this delivery is recorded already"), "{}", run.stdout);

    let rows = evidence(dir.path());
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["kind"], &rows[0]["contract"]), (&"export".into(), &"anthropic-2026".into()));
    assert_eq!(rows[0]["artifact"], "b/tagmanifest-sha256.txt");
    let manifest = std::fs::read(dir.path().join("b/tagmanifest-sha256.txt")).unwrap();
    assert_eq!(
        rows[0]["artifact_sha256"],
        daybook_ledger::file::hex(&<sha2::Sha256 as sha2::Digest>::digest(manifest))
    );
    assert_eq!(rows[0]["scores"]["days_granted"], "30");
    let gate = daybook_in(dir.path(), &["gate", "--contract", "anthropic-2026", "--format", "csv"]);
    assert!(gate.stdout.contains("\nexport,true,"), "{}", gate.stdout);
    let gate = daybook_in(dir.path(), &["gate", "--contract", "openai-2026", "--format", "csv"]);
    assert!(gate.stdout.contains("\nexport,false,never,"), "{}", gate.stdout);

    // What stands there and is not the delivery asked for is left alone.
    daybook_in(dir.path(), &["export", "--out", "whole"]).done();
    daybook_in(dir.path(), &["export", "--out", "whole", "--clause", "anthropic-2026"])
        .refused(2, "error[EXPORT-001]: whole already holds something");
}

#[test]
fn a_name_no_call_has_is_refused_and_a_person_without_calls_is_told_so() {
    let dir = company();
    let export = |args: &[&str]| {
        daybook_with(dir.path(), &[&["export", "--out", "b"], args].concat(), &[("RUST_LOG", "warn")], "")
    };
    let run = export(&["--provider", "Anthropic"]);
    run.refused(2, "error[QUERIES-038]: no call is of provider `Anthropic`; did you mean `anthropic`?");
    let run = export(&["--team", "nope", "--dry-run"]);
    run.refused(2, "error[QUERIES-038]: no call is of team `nope`");
    assert!(!dir.path().join("b").exists());

    let run = export(&["--subject", "nobody"]);
    assert!(
        run.done().contains("\nusage           0 rows") && run.stderr.contains("no call is in it"),
        "{}",
        run.stderr
    );
    let readme = std::fs::read_to_string(dir.path().join("b/data/README.md")).unwrap();
    assert!(readme.contains("**No call is in this bundle:**"), "{readme}");
    daybook_in(dir.path(), &["verify", "b"]).done();
}

#[test]
fn a_clock_that_cannot_run_is_refused() {
    let dir = company();
    let clause = |args: &[&str]| daybook_in(dir.path(), &[&["export", "--out", "b", "--clause"], args].concat());
    clause(&["anthropic-2025"])
        .refused(2, "error[QUERIES-037]: unknown contract `anthropic-2025`; did you mean `anthropic-2026`?");
    clause(&["openai-2026"]).refused(2, "error[CLI-035]: the contract `openai-2026` has no clause `data_portability`");
    let run = clause(&["anthropic-2026", "--requested", "2999-01-01"]);
    assert!(run.code == 2 && run.stderr.starts_with("error[CLI-036]"), "{}", run.stderr);
    assert!(!dir.path().join("b").exists());
}

#[test]
fn a_rehearsal_predicts_is_recorded_and_leaves_nothing() {
    let dir = company();
    let rehearse = ["export", "--out", "b", "--contract", "anthropic-2026", "--rehearse"];
    let run = daybook_in(dir.path(), &rehearse);
    assert!(run.done().contains("recorded    as evidence of kind rehearsal"), "{}", run.stdout);
    let run = daybook_in(dir.path(), &["export", "--out", "b", "--clause", "anthropic-2026", "--rehearse"]);
    assert!(run.done().contains("at no cost: that is time enough\n"), "{}", run.stdout);
    let rows = evidence(dir.path());
    assert_eq!(rows.len(), 2, "each rehearsal is one: {rows:?}");
    assert!(rows[0]["scores"]["predicted_s"].is_string() && rows[0]["contract"] == "anthropic-2026");

    let run = daybook_in(dir.path(), &["export", "--out", "b", "--team", "Claims", "--rehearse"]);
    assert!(run.done().contains("recorded    nothing"), "{}", run.stdout);
    assert_eq!(evidence(dir.path()).len(), 2, "a team's way out is not the company's");
    let mut left: Vec<_> = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["ledger", "r"]);
}

#[test]
fn readiness_says_what_is_missing_and_agrees_with_the_gate() {
    let dir = company();
    let table = |name: &str| {
        let report = ["report", "exit-readiness", "--contract", "anthropic-2026", "--on", "2026-11-20", "--only", name];
        daybook_in(dir.path(), &[&report[..], &["--format", "csv"]].concat()).done().to_owned()
    };
    let gaps = |text: &str| -> Vec<String> {
        text.lines().skip(1).filter_map(|line| line.split(',').nth(1).map(String::from)).collect()
    };
    assert_eq!(gaps(&table("missing"))[..2], ["never_rehearsed", "never_exported"], "{}", table("missing"));
    assert_eq!(table("exits").lines().count(), 1, "{}", table("exits"));
    assert!(table("dates").contains("anthropic-2026,Last day to fetch data,2027-02-14,86\n"), "{}", table("dates"));
    assert!(table("data").contains("anthropic-2026,calls,usage,1,"), "{}", table("data"));

    daybook_in(dir.path(), &["export", "--out", "b", "--clause", "anthropic-2026", "--rehearse"]).done();
    daybook_in(dir.path(), &["export", "--out", "b", "--clause", "anthropic-2026"]).done();
    let missing = gaps(&table("missing"));
    assert!(!missing.iter().any(|gap| gap.starts_with("never") || gap == "too_slow"), "{missing:?}");
    assert!(table("readiness").lines().last().unwrap().ends_with(",true"), "{}", table("readiness"));
    let gate = daybook_in(dir.path(), &["gate", "--contract", "anthropic-2026", "--format", "csv"]);
    assert!(gate.stdout.contains("\nexport,true,"), "{}", gate.stdout);

    let unknown = daybook_in(dir.path(), &["report", "exit-readiness", "--contract", "anthropic"]);
    unknown.refused(2, "error[QUERIES-037]: unknown contract `anthropic`");
    let page = daybook_in(dir.path(), &["report", "exit-readiness", "--format", "html"]);
    assert!(page.done().contains("<h1>Exit readiness"), "{}", page.stdout);
}
