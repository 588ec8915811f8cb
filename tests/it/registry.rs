//! The registry on the command line: faults with their places, versions, and what a query makes of them.

use crate::daybook_in;

const WORKLOADS: &str = "[[workload]]\nname = 'bot'\nowner = 'jane'\n[[workload.rule]]\nteam = 'Support'\n";

#[test]
fn a_registry_is_checked_whole_and_imported_by_version() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("r");
    std::fs::create_dir(&folder).unwrap();
    let run = daybook_in(dir.path(), &["registry", "check", "r"]);
    run.refused(2, "error[QUERIES-032]: r has none of the files of a registry");
    daybook_in(dir.path(), &["registry", "check", "none"])
        .refused(2, "error[QUERIES-031]: the registry none cannot be read");

    std::fs::write(folder.join("contracts.toml"), [0xff]).unwrap();
    daybook_in(dir.path(), &["registry", "check", "r"])
        .refused(2, "error[QUERIES-031]: the registry r/contracts.toml cannot be read");
    std::fs::remove_file(folder.join("contracts.toml")).unwrap();

    std::fs::write(folder.join("workloads.toml"), WORKLOADS.replace("team", "taem").replace("owner", "owners"))
        .unwrap();
    let run = daybook_in(dir.path(), &["registry", "import", "r"]);
    run.refused(3, "error[QUERIES-030]: the registry has 3 faults");
    let faults: Vec<_> = run.stderr.lines().skip(1).take(3).collect();
    assert_eq!(
        faults,
        [
            "  r/workloads.toml:3:1: unknown key `owners`; did you mean `owner`?",
            "  r/workloads.toml:4:1: [[workload.rule]] has no condition; for every call that is left write `provider = \"*\"`",
            "  r/workloads.toml:5:1: unknown key `taem`; did you mean `team`?",
        ]
    );
    assert!(!dir.path().join("ledger").exists(), "a bad registry makes no ledger");

    std::fs::write(folder.join("workloads.toml"), WORKLOADS).unwrap();
    let run = daybook_in(dir.path(), &["registry", "check", "r"]);
    assert!(
        run.done().starts_with("r: 1 workload, 1 rule, 0 contracts, 0 commitments, 28 features, "),
        "{}",
        run.stdout
    );
    let run = daybook_in(dir.path(), &["registry", "import", "r"]);
    assert!(run.done().contains(" as registry version 1: 1 workload"), "{}", run.stdout);
    let run = daybook_in(dir.path(), &["registry", "import", "r"]);
    assert!(run.done().contains(" has the same files as registry version 1; nothing was written"), "{}", run.stdout);
    let run = daybook_in(dir.path(), &["registry", "show", "--format", "csv"]);
    assert_eq!(run.done(), "rule,workload,line,conditions\n1,bot,4,team = Support\n");
    let run = daybook_in(dir.path(), &["query", "--registry-version", "2", "-c", "SELECT 1"]);
    run.refused(2, "error[QUERIES-033]: the ledger has no registry version 2");
    let run = daybook_in(dir.path(), &["registry", "explain", "00000000000000000000000000000000"]);
    run.refused(2, "error[QUERIES-034]: the ledger has no entry `00000000000000000000000000000000`");
    let run = daybook_in(dir.path(), &["registry", "explain", "beef"]);
    assert!(
        run.code == 2 && run.stderr.contains("`beef` is not an entry id of 32 hexadecimal digits"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_registry_that_is_not_imported_can_be_tried() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    std::fs::write(dir.path().join("r/workloads.toml"), WORKLOADS).unwrap();
    let run = daybook_in(dir.path(), &["registry", "show", "workloads", "--registry", "r", "--format", "csv"]);
    assert!(run.done().lines().nth(1).unwrap().starts_with("bot,jane,,"), "{}", run.stdout);
    assert!(!dir.path().join("ledger").exists());
}

#[test]
fn a_fault_in_any_file_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let files = [
        ("contracts.toml", "[[contract]]\nname = 'c'\nvendor = 'V'\nproviders = 'v'\nstarts_on = 2026-13-01\n"),
        (
            "features.toml",
            "[[feature]]\nname = 'tool_callin'\nform = 'proprietary_api'\nsegment = 'movable'\nshare_min = 1.5\n",
        ),
        ("models.toml", "[[model]]\nmatch = 'm'\nfamily = 'm'\ncontext = 5\n"),
        ("workload.toml", ""),
    ];
    for (name, text) in files {
        std::fs::write(dir.path().join("r").join(name), text).unwrap();
    }
    let run = daybook_in(dir.path(), &["registry", "check", "r"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    for fault in [
        "  r/contracts.toml:5:13: invalid date, expected month between 01 and 12\n",
        "  r/features.toml:2:8: `name` is `tool_callin`; did you mean `tool_calling`?\n",
        "  r/features.toml:5:13: `share_min` is `1.5`; it takes a decimal from 0 to 1\n",
        "  r/models.toml:4:1: unknown key `context`; ",
        "  r/workload.toml:1:1: `workload.toml` is no file of a registry; did you mean `workloads.toml`?\n",
    ] {
        assert!(run.stderr.contains(fault), "{fault}: {}", run.stderr);
    }
}
