//! Simulations on the command line: over the demo's traffic, over nothing, and with what cannot be meant.

use crate::daybook_in;

#[test]
fn the_demo_is_simulated_by_file_by_model_and_by_sheet() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    daybook_in(dir, &["demo", "--dir", "demo", "--events", "400", "--seed", "5"]).done();
    let example = daybook_in(dir, &["simulate", "--example"]).done().to_owned();
    std::fs::create_dir(dir.join("plans")).unwrap();
    std::fs::write(dir.join("plans/all.toml"), &example).unwrap();
    let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";
    std::fs::write(dir.join("plans/deal.csv"), format!("{header}openai,*,2026-01-01,,discount_percent,25,c\n"))
        .unwrap();
    let base = ["--ledger", "demo/ledger", "--on", "2026-11-20", "--format", "csv", "--only"];
    let simulate = |args: &[&str], only| {
        let args = [&["simulate"], args, &base, &[only]].concat();
        daybook_in(dir, &args).done().lines().skip(1).map(String::from).collect::<Vec<_>>()
    };

    let rows = simulate(&["--scenario", "plans/all.toml"], "scenarios");
    let names: Vec<_> = rows.iter().map(|row| row.split(',').next().unwrap()).collect();
    let expected =
        ["base", "openai raises output", "anthropic to openai", "everything at openai", "a third at anthropic"];
    assert_eq!(names, [&expected[..], &["our own llama"]].concat());
    let traffic = simulate(&["--scenario", "plans/all.toml", "--from", "2026-11-01"], "traffic");
    let fields: Vec<_> = traffic[0].split(',').collect();
    assert_eq!((fields[0], fields[3], fields[4]), ("2026-11-01", "2026-11-20", "400"));

    // A quarter less at OpenAI alone; the sheet of a scenario lies beside its file.
    let by_flag = simulate(&["--prices", "plans/deal.csv"], "scenarios");
    let fields: Vec<_> = by_flag[1].split(',').collect();
    assert_eq!((fields[0], fields[4]), ("prices", fields[6]));
    assert!(fields[7].starts_with('-'), "{by_flag:?}");
    let scenario = "[[scenario]]\nname = 'deal'\nkind = 'base'\nprices = 'deal.csv'\n";
    std::fs::write(dir.join("plans/deal.toml"), scenario).unwrap();
    let by_file = simulate(&["--scenario", "plans/deal.toml"], "scenarios");
    assert_eq!(by_file[1].replace("deal,", ""), by_flag[1].replace("prices,", ""));

    let moved = simulate(&["--to", "openai/gpt-5.4", "--day-rate", "900"], "drivers");
    assert!(moved.iter().any(|row| row.starts_with("to openai/gpt-5.4,window,cache_hits_lost,")), "{moved:?}");
    let report = daybook_in(dir, &["simulate", "--to", "openai/gpt-5.4", "--ledger", "demo/ledger"]);
    assert!(report.done().contains("\nCalls without counterpart\n"), "{}", report.stdout);
    let sql = daybook_in(
        dir,
        &["simulate", "--to", "openai/gpt-5.4", "--ledger", "demo/ledger", "--sql", "--only", "replay"],
    );
    let sql = sql.done().split_once('\n').unwrap().1;
    assert_eq!(
        daybook_in(dir, &["query", "--ledger", "demo/ledger", "--format", "ndjson", "-c", sql]).done().lines().count(),
        400
    );
}

#[test]
fn what_cannot_be_simulated_is_said_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    std::fs::create_dir(dir.join("r")).unwrap();
    std::fs::write(dir.join("r/models.toml"), "[[model]]\nmatch = 'm'\nfamily = 'm'\n").unwrap();
    daybook_in(dir, &["registry", "import", "r"]).done();
    let simulate = |args: &[&str]| daybook_in(dir, &[&["simulate"], args].concat());

    let empty = simulate(&["--to", "openai/gpt-5.4", "--on", "2026-11-20", "--format", "csv", "--only", "scenarios"]);
    let rows: Vec<_> = empty.done().lines().skip(1).collect();
    assert_eq!(rows, ["base,base,0,,,,,,0,", "to openai/gpt-5.4,transfer,0,,,,,,0,"]);

    assert_eq!(simulate(&[]).code, 2);
    assert_eq!(simulate(&["--to", "gpt-5"]).code, 2);
    assert_eq!(simulate(&["--to", "openai/gpt-5.4", "--on", "yesterday"]).code, 2);
    simulate(&["--to", "openai/gpt-5.44", "--on", "2026-11-20"]).refused(
        2,
        "error[QUERIES-041]: scenario `to openai/gpt-5.44`: there is no price for `openai/gpt-5.44` (unknown_model); did \
         you mean `openai/gpt-5.4`?",
    );
    simulate(&["--to", "openai/gpt-5.4", "--on", "2020-01-01"]).refused(
        2,
        "error[QUERIES-041]: scenario `to openai/gpt-5.4`: there is no price for `openai/gpt-5.4` (not_in_force)",
    );
    for (flag, file) in [("--prices", "nowhere.csv"), ("--scenario", "nowhere.toml")] {
        let run = simulate(&[flag, file]);
        let message = format!("error[CLI-006]: {file} cannot be read");
        assert_eq!((run.code, run.stderr.lines().next()), (2, Some(message.as_str())));
    }
    std::fs::write(dir.join("bad.toml"), "[[scenario]]\nname = 'a'\nkind = 'transfr'\n").unwrap();
    let run = simulate(&["--scenario", "bad.toml"]);
    run.refused(3, "error[QUERIES-040]: the scenarios have 1 fault");
    assert!(run.stderr.contains("\n  bad.toml:3:8: `kind` is `transfr`; did you mean `transfer`?\n"), "{}", run.stderr);
    simulate(&["--workload", "bot", "--to", "openai/gpt-5.4"]).refused(2, "error[QUERIES-035]: unknown workload `bot`");
}
