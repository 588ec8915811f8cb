//! Reports on the command line: honest when there is nothing, and named when something is asked that is not there.

use crate::daybook_in;

#[test]
fn reports_of_an_empty_ledger_say_nothing_that_looks_like_a_fact() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let workload = "[[workload]]\nname = 'bot'\ndeclared_segment = 'portable'\n[[workload.rule]]\nteam = 'Support'\n";
    std::fs::write(dir.path().join("r/workloads.toml"), workload).unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();

    let run = daybook_in(dir.path(), &["report", "lockin", "--only", "workloads", "--format", "csv"]);
    let rows: Vec<_> = run.done().lines().skip(1).collect();
    assert_eq!(rows, ["bot,,portable,,,,0,0,,,,,"]);
    let run = daybook_in(dir.path(), &["report", "lockin"]);
    assert!(
        run.done().starts_with("Made from version 0 of `usage` and version 1 of the registry.\n"),
        "{}",
        run.stdout
    );
    let run = daybook_in(dir.path(), &["report", "spend", "--format", "csv"]);
    assert_eq!(run.done().lines().count(), 1, "{}", run.stdout);
    let run = daybook_in(dir.path(), &["report", "contracts", "--on", "2026-11-20", "--format", "markdown"]);
    assert!(run.done().contains("## Calendar\n"), "{}", run.stdout);

    let run = daybook_in(dir.path(), &["report", "lockin", "--why", "bott"]);
    run.refused(2, "error[QUERIES-035]: unknown workload `bott`; did you mean `bot`?");
    let run = daybook_in(dir.path(), &["report", "lockin", "--only", "workload"]);
    run.refused(2, "error[CLI-020]: the report has no table `workload`");
    let run = daybook_in(dir.path(), &["report", "lockin", "--format", "csv"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let run = daybook_in(dir.path(), &["report", "spend", "--sql", "--by", "team", "--grain", "month"]);
    let sql = run.done().split_once('\n').unwrap().1;
    daybook_in(dir.path(), &["query", "-c", sql]).done();
}

#[test]
fn the_gate_is_shut_when_nothing_is_known() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let contract = "[[contract]]\nname = 'c'\nvendor = 'Acme'\nproviders = 'acme'\nstarts_on = 2026-01-01\n";
    std::fs::write(dir.path().join("r/contracts.toml"), contract).unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    let run = daybook_in(dir.path(), &["gate", "--contract", "c", "--on", "2026-11-20", "--format", "csv"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let rows: Vec<_> = run.stdout.lines().collect();
    assert_eq!(
        rows[1..4],
        [
            "gate_day,true,no end,after 2026-11-20",
            "calls,false,0,at least 1",
            "concentration,false,unknown,at most 0.800000"
        ]
    );
    let run = daybook_in(dir.path(), &["gate", "--contract", "d"]);
    run.refused(2, "error[QUERIES-037]: unknown contract `d`");
}
