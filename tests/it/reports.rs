//! Reports as files and pages: where they go, in which format, and what is said when they cannot be made.

use std::path::Path;

use crate::{Run, daybook_in};

/// A ledger with one call, and a registry with one workload and one contract.
fn company() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let workload = "[[workload]]\nname = 'bot'\n[[workload.rule]]\nprovider = 'anthropic'\n";
    std::fs::write(dir.path().join("r/workloads.toml"), workload).unwrap();
    let contract = "[[contract]]\nname = 'anthropic-2026'\nvendor = 'Anthropic'\nproviders = 'anthropic'\n\
                    starts_on = 2026-01-01\nends_on = 2026-12-31\nnotice_days = 30\n";
    std::fs::write(dir.path().join("r/contracts.toml"), contract).unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/litellm-standard/anthropic-cache.json");
    daybook_in(dir.path(), &["import", events]).done();
    dir
}

fn report(dir: &Path, args: &[&str]) -> Run {
    daybook_in(dir, &[&["report"], args].concat())
}

#[test]
fn the_name_of_the_file_decides_the_format() {
    let dir = company();
    for (name, begins) in [
        ("a.html", "<!doctype html>\n"),
        ("a.md", "Made from version "),
        ("a.json", "{\"made_from\":"),
        ("a.txt", "Made from "),
    ] {
        let run = report(dir.path(), &["contracts", "--on", "2026-11-25", "--out", name]);
        assert_eq!(run.done(), "", "{name}");
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.starts_with(begins), "{name}: {text}");
        assert_eq!(run.stderr, format!("{name}: {} bytes\n", text.len()));
    }
    let run = report(dir.path(), &["contracts", "--on", "2026-11-25", "--format", "html"]);
    assert_eq!(run.done(), std::fs::read_to_string(dir.path().join("a.html")).unwrap());
    let left: Vec<_> = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
}

#[test]
fn one_table_of_a_brief_comes_in_any_format_and_as_its_query() {
    let dir = company();
    let calendar = ["brief", "--contract", "anthropic-2026", "--only", "deadlines", "--on", "2026-11-25"];
    let run = report(dir.path(), &[&calendar[..], &["--sql", "--out", "a.sql"]].concat());
    assert_eq!(run.done(), "");
    daybook_in(dir.path(), &["query", "-f", "a.sql"]).done();
    let run = report(dir.path(), &[&calendar[..], &["--format", "csv"]].concat());
    assert_eq!(
        run.done(),
        "what,due_on,days_left,name,usd\n\"Decide: renew, renegotiate or leave\",2026-08-03,-114,,\n\
         Last day to give notice,2026-12-01,6,,\nLast day of the term,2026-12-31,36,,\n"
    );
}

#[test]
fn days_given_the_wrong_way_round_are_refused_wherever_days_are_asked_for() {
    let dir = company();
    let sheet = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n\
                 acme,m,2026-01-01,,input,1,contract\n";
    std::fs::write(dir.path().join("sheet.csv"), sheet).unwrap();
    for command in [
        &["report", "spend"][..],
        &["report", "reconcile"],
        &["report", "focus", "--out", "focus.csv"],
        &["report", "diff", "recorded", "recorded"],
        &["reprice", "--as", "x", "--prices", "sheet.csv"],
        &["simulate", "--prices", "sheet.csv"],
        &["quarantine", "list"],
        &["quarantine", "replay"],
    ] {
        let end = if command[0] == "simulate" { "--until" } else { "--to" };
        for day in ["2026-11-01", "2026-12-01"] {
            let run = daybook_in(dir.path(), &[command, &["--from", "2026-12-01", end, day]].concat());
            let instant = if command[0] == "quarantine" { "T00:00:00.000000Z" } else { "" };
            run.refused(
                2,
                &format!("error[CLI-016]: the window from 2026-12-01{instant} to before {day}{instant} is empty"),
            );
        }
    }
}

#[test]
fn nothing_is_reconciled_without_a_bill() {
    let dir = company();
    let run = report(dir.path(), &["reconcile"]);
    run.refused(2, "error[QUERIES-043]: there is no bill to compare the ledger with");
    let run = report(dir.path(), &["reconcile", "--provider", "openai", "--from", "2026-11-01"]);
    run.refused(2, "error[QUERIES-043]: there is no bill of openai from 2026-11-01 to compare the ledger with");
}

#[test]
fn what_cannot_be_reported_is_named() {
    let dir = company();
    let run = report(dir.path(), &["brief", "--contract", "anthropic-2027"]);
    run.refused(2, "error[QUERIES-037]: unknown contract `anthropic-2027`; did you mean `anthropic-2026`?");
    let run = report(dir.path(), &["audit", "--only", "workload"]);
    run.refused(2, "error[CLI-020]: the report has no table `workload`");
    let run = report(dir.path(), &["audit", "--out", "nowhere/a.html"]);
    run.refused(2, "error[CLI-031]: nowhere/a.html cannot be written");
    // A report that fails leaves what stood there.
    std::fs::write(dir.path().join("a.csv"), "kept").unwrap();
    let run = report(dir.path(), &["audit", "--out", "a.csv"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(dir.path().join("a.csv")).unwrap(), "kept");
    assert!(!dir.path().join("a.csv.partial").exists());

    let empty = tempfile::tempdir().unwrap();
    let run = report(empty.path(), &["audit", "--out", "a.html"]);
    assert_ne!(run.code, 0, "there is no ledger: {}", run.stdout);
    assert!(!empty.path().join("a.html").exists());
}
