//! Evidence on the command line: recorded once, refused with a reason, listed.

use crate::{daybook_in, daybook_with};

const WORKLOADS: &str = "[[workload]]\nname = 'bot'\n[[workload.rule]]\nteam = 'Support'\n";
const TEST: [&str; 15] = [
    "evidence",
    "add",
    "--workload",
    "bot",
    "--provider",
    "mistral",
    "--model",
    "m",
    "--on",
    "2026-11-20",
    "--runs",
    "100",
    "--passed",
    "95",
    "--score=accuracy=0.93/1",
];

#[test]
fn a_test_is_recorded_once_and_listed_with_its_score() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    std::fs::write(dir.path().join("r/workloads.toml"), WORKLOADS).unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    std::fs::write(dir.path().join("results.json"), "abc").unwrap();

    let with_proof: Vec<_> = TEST.into_iter().chain(["--artifact", "results.json"]).collect();
    assert!(daybook_in(dir.path(), &with_proof).done().ends_with(": 1 recorded\n"));
    assert!(daybook_in(dir.path(), &with_proof).done().ends_with(": 0 recorded, 1 known already\n"));
    let run = daybook_in(dir.path(), &["evidence", "list", "--workload", "bot", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(run.done()).unwrap();
    assert_eq!(rows[0]["scores"]["accuracy"], "0.93");
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((&rows[0]["artifact"], &rows[0]["artifact_sha256"]), (&"results.json".into(), &abc.into()));
    assert_eq!(rows.as_array().unwrap().len(), 1);

    let lines = r#"{"date":"2026-11-21","kind":"rehearsal","id":"1"}
{"date":"2026-11-22","kind":"rehearsal","id":"1"}"#;
    let run = daybook_with(dir.path(), &["evidence", "add", "--file", "-"], &[], lines);
    assert!(run.done().ends_with(": 1 recorded, 1 known already\n"), "{}", run.stdout);
    let run = daybook_in(dir.path(), &["evidence", "list", "--kind", "rehearsal", "--format", "csv"]);
    assert_eq!(run.done().lines().count(), 2, "{}", run.stdout);
}

#[test]
fn what_proves_nothing_or_names_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let run = daybook_in(dir.path(), &TEST);
    run.refused(2, "error[LEDGER-003]: there is no ledger at ./ledger");
    std::fs::write(dir.path().join("r/workloads.toml"), WORKLOADS).unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();

    let changed = |from: &str, to: &'static str| TEST.map(|arg| if arg == from { to } else { arg });
    daybook_in(dir.path(), &changed("bot", "bots"))
        .refused(2, "error[QUERIES-035]: unknown workload `bots`; did you mean `bot`?");
    daybook_in(dir.path(), &changed("95", "101"))
        .refused(3, "error[LEDGER-013]: the evidence given: 101 passed of 100 runs");
    daybook_in(dir.path(), &["evidence", "add"])
        .refused(3, "error[LEDGER-013]: the evidence given: a portability_test needs a workload");
    daybook_in(dir.path(), &["evidence", "add", "--kind", "audit"])
        .refused(3, "error[LEDGER-013]: the evidence given: an audit needs a note or an artifact: what was found");
    let run = daybook_with(dir.path(), &["evidence", "add", "--file", "-"], &[], "{\"date\":\"2026-11-20\",\n");
    run.refused(3, "error[LEDGER-013]: - line 1: it is not JSON, from column 21 on");
    let run = daybook_with(dir.path(), &["evidence", "add", "--file", "-"], &[], "\n{\"date\":\"2026-11-20\"}\n");
    run.refused(3, "error[LEDGER-013]: - line 2: a portability_test needs a workload");
    let run = daybook_in(dir.path(), &["evidence", "add", "--file", "x", "--runs", "1"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let run = daybook_in(dir.path(), &changed("--score=accuracy=0.93/1", "--score=accuracy"));
    assert!(run.stderr.contains("`accuracy` is not NAME=SCORE or NAME=SCORE/BEST"), "{}", run.stderr);
    assert_eq!(daybook_in(dir.path(), &["evidence", "list", "--format", "csv"]).done().lines().count(), 1);
}
