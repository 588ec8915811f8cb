//! From Kafka to ledger to SQL to bundle, on embedded parts.

use std::path::Path;

use crate::daybook_in;

fn query(dir: &Path, sql: &str) -> String {
    daybook_in(dir, &["query", "--ledger", "demo/ledger", "--format", "csv", "-c", sql]).done().to_owned()
}

#[test]
fn the_demo_does_the_whole_job_and_its_counts_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let run = daybook_in(dir.path(), &["demo", "--dir", "demo", "--events", "1500", "--seed", "3"]);
    assert!(run.done().contains("adds up") && run.stdout.contains("nothing differs"), "{}", run.stdout);

    assert_eq!(
        query(dir.path(), "SELECT count(*) AS n, count(DISTINCT entry_id) AS ids FROM usage"),
        "n,ids\n1500,1500\n"
    );
    let priced = "SELECT count(*) AS n FROM usage WHERE status = 'success' AND list_cost IS NULL";
    assert_eq!(query(dir.path(), priced), "n\n0\n", "every successful call of the demo has a price");
    let missing = "SELECT count(*) AS n FROM usage u LEFT JOIN content c ON u.entry_id = c.entry_id \
                   AND u.content_sha256 = c.content_sha256 WHERE u.content_sha256 IS NOT NULL AND c.entry_id IS NULL";
    assert_eq!(query(dir.path(), missing), "n\n0\n", "every entry that says it has a body has it");
    let bodies = "SELECT count(*) > 1400 AS many FROM content";
    assert_eq!(query(dir.path(), bodies), "many\ntrue\n");

    let segments = "SELECT workload, segment FROM lockin WHERE segment = 'locked_in' ORDER BY workload";
    assert_eq!(query(dir.path(), segments), "workload,segment\ncode-assist,locked_in\nsearch-index,locked_in\n");
    daybook_in(dir.path(), &["registry", "check", "demo/registry"]).done();

    daybook_in(dir.path(), &["verify", "demo/ledger"]).done();
    let window = ["export", "--ledger", "demo/ledger", "--out", "day", "--from", "2026-11-18", "--to", "2026-11-19"];
    daybook_in(dir.path(), &window).done();
    daybook_in(dir.path(), &["verify", "day"]).done();
    let lines: usize = std::fs::read_dir(dir.path().join("day/data/usage"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| std::fs::read_to_string(path).unwrap().lines().count())
        .sum();
    let expected = "SELECT count(*) AS n FROM usage WHERE started_at >= '2026-11-18T00:00:00Z' AND started_at < '2026-11-19T00:00:00Z'";
    assert_eq!(query(dir.path(), expected), format!("n\n{lines}\n"));

    leave_and_come_back(dir.path());
    let again = daybook_in(dir.path(), &window);
    assert_eq!(again.code, 2, "an existing bundle is never overwritten: {}", again.stderr);
    assert_damage_is_found(dir.path());
}

/// The bundle becomes an equal ledger; a workload leaves alone; what would be written is told beforehand.
fn leave_and_come_back(dir: &Path) {
    daybook_in(dir, &["import", "demo/bundle", "--ledger", "rebuilt"]).done();
    let diff = daybook_in(dir, &["diff", "demo/ledger", "rebuilt"]);
    assert!(diff.done().contains("nothing differs") && diff.stdout.contains("1500 usage"), "{}", diff.stdout);
    daybook_in(dir, &["import", "demo/bundle", "--ledger", "demo/ledger"])
        .refused(2, "error[EXPORT-009]: `usage` of the ledger demo/ledger has rows already");

    let of_workload = ["export", "--ledger", "demo/ledger", "--out", "claims", "--workload", "claims-triage"];
    let told = daybook_in(dir, &[of_workload.as_slice(), &["--dry-run"]].concat());
    assert!(told.done().contains("manifest-sha512.txt") && !dir.join("claims").exists(), "{}", told.stdout);
    daybook_in(dir, &of_workload).done();
    let expected = query(dir, "SELECT count(*) AS n FROM calls WHERE workload = 'claims-triage'");
    let rows = std::fs::read_to_string(dir.join("claims/data/usage/usage-00000.jsonl")).unwrap().lines().count();
    assert!(rows > 0);
    assert_eq!(expected, format!("n\n{rows}\n"));
    daybook_in(dir, &["import", "claims", "--ledger", "claims-ledger"]).done();
    let diff = daybook_in(dir, &["diff", "demo/ledger", "claims-ledger"]);
    assert_eq!(diff.code, 1, "{}", diff.stderr);
    assert!(diff.stdout.contains("only in the first"), "{}", diff.stdout);

    let of_contract = ["export", "--ledger", "demo/ledger", "--out", "openai", "--contract", "openai-2026"];
    daybook_in(dir, &of_contract).done();
    let unknown = ["export", "--ledger", "demo/ledger", "--out", "x", "--contract", "openai-2025"];
    assert_eq!(daybook_in(dir, &unknown).code, 2);
    assert!(!dir.join("x").exists());
}

fn assert_damage_is_found(dir: &Path) {
    let file = std::fs::read_dir(dir.join("demo/ledger/usage"))
        .unwrap()
        .flat_map(|day| std::fs::read_dir(day.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let run = daybook_in(dir, &["verify", "demo/ledger"]);
    assert_eq!(run.code, 1, "{}\n{}", run.stdout, run.stderr);
    assert!(run.stdout.contains(file.file_name().unwrap().to_str().unwrap()), "{}", run.stdout);
}

#[test]
fn the_demo_replaces_only_what_it_made() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    std::fs::write(dir.path().join("mine/precious"), "x").unwrap();
    let run = daybook_in(dir.path(), &["demo", "--dir", "mine"]);
    run.refused(2, "error[CLI-010]: mine exists and no demo made it");
    assert!(dir.path().join("mine/precious").exists());
}
