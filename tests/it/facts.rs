//! Reports on the command line: honest when there is nothing, and named when something is asked that is not there.

use serde_json::Value;

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
        run.done().starts_with(
            "Made from version 0 of `usage` and version 1 of the registry.\n\nThe ledger holds no call: nothing below is a \
             fact about spend.\n"
        ),
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

/// Seven calls of OpenAI's, of which one calls a tool.
#[test]
fn why_shows_rules_counts_and_calls_and_a_changed_rule_changes_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let workload =
        "[[workload]]\nname = 'bot'\ndeclared_segment = 'portable'\n[[workload.rule]]\nprovider = 'openai'\n";
    let rule = "[[feature]]\nname = 'tool_calling'\nform = 'proprietary_api'\nsegment = 'locked_in'\nshare_min = 0.142857\n\
                effort_days = 9\nreason = 'our tools'\nmoving = 'by hand'\n";
    let folders = [("r", None), ("firmer", Some(rule.to_owned())), ("rarer", Some(rule.replace("142857", "142858")))];
    for (folder, rule) in &folders {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join("workloads.toml"), workload).unwrap();
        let features = dir.path().join(folder).join("features.toml");
        rule.iter().for_each(|rule| std::fs::write(&features, rule).unwrap());
    }
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/openai-chat");
    daybook_in(dir.path(), &["import", events]);
    let why = |args: &[&str]| -> Value {
        let args = [&["report", "lockin", "--why", "bot", "--format", "json"], args].concat();
        serde_json::from_str(daybook_in(dir.path(), &args).done()).unwrap()
    };
    let tools = |report: &Value, table: &str, column: &str| {
        let row = report[table].as_array().unwrap().iter().find(|row| row["feature"] == "tool_calling").unwrap();
        row[column].clone()
    };
    let verdict = |report: &Value| {
        ["segment", "because", "agrees", "calls"].map(|column| report["verdict"][0][column].to_string()).join(" ")
    };

    let shipped = why(&[]);
    assert_eq!(verdict(&shipped), r#""movable" "audio_input, audio_output, tool_calling, vision_input" false 7"#);
    let counted = ["calls", "share", "list_cost", "unpriced_calls"].map(|column| tools(&shipped, "rules", column));
    assert_eq!(Value::from(counted.to_vec()).to_string(), r#"[1,"0.142857","0.000448000000",0]"#);
    let sample = tools(&shipped, "rules", "sample");
    let sql = format!(
        "SELECT event_id, array_has(features, 'tool_calling') AS calls_tools FROM usage WHERE encode(entry_id, 'hex') = '{}'",
        sample.as_str().unwrap()
    );
    let call = daybook_in(dir.path(), &["query", "--format", "csv", "-c", &sql]);
    assert_eq!(call.done(), "event_id,calls_tools\nchatcmpl-E5tool,true\n");
    assert_eq!(shipped["assignment"][0]["conditions"], "provider = openai");

    let firmer = why(&["--registry", "firmer"]);
    assert_eq!(verdict(&firmer), r#""locked_in" "tool_calling" false 7"#);
    assert_eq!((tools(&firmer, "reasons", "reason"), tools(&firmer, "rules", "sample")), ("our tools".into(), sample));
    let rarer = why(&["--registry", "rarer"]);
    assert_eq!(verdict(&rarer), r#""movable" "audio_input, audio_output, vision_input" false 7"#);
    assert_eq!(tools(&rarer, "rules", "binds"), false);
}

/// Ninety calls of a provider no price is known of.
#[test]
fn calls_without_a_price_are_counted_and_are_no_dollars() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let contract = "[[contract]]\nname = 'c'\nvendor = 'Acme'\nproviders = 'acme'\nstarts_on = 2026-01-01\nends_on = 2026-12-31\n\
                    [[contract.commitment]]\nname = 'year'\nusd = 100\nstarts_on = 2026-01-01\nends_on = 2026-12-31\n\
                    shortfall = 'billed'\n";
    std::fs::write(dir.path().join("r/contracts.toml"), contract).unwrap();
    std::fs::write(
        dir.path().join("r/workloads.toml"),
        "[[workload]]\nname = 'bot'\n[[workload.rule]]\nprovider = 'acme'\n",
    )
    .unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    let event = include_str!("../fixtures/events/litellm-standard/anthropic-cache.json");
    let event: Value =
        serde_json::from_str(&event.replace("\"anthropic\"", "\"acme\"").replace("claude-opus-5", "a-1")).unwrap();
    let at = event["startTime"].as_f64().unwrap();
    let lines = (0..90).map(|back| {
        let mut event = event.clone();
        event["id"] = format!("call {back}").into();
        event["startTime"] = (at - 86_400.0 * f64::from(back)).into();
        format!("{event}\n")
    });
    std::fs::write(dir.path().join("calls.jsonl"), lines.collect::<String>()).unwrap();
    daybook_in(dir.path(), &["import", "calls.jsonl"]).done();

    let only = |args: &[&str], table: &str| {
        let run =
            daybook_in(dir.path(), &[args, &["--on", "2026-11-20", "--format", "json", "--only", table]].concat());
        serde_json::from_str::<Value>(run.done()).unwrap()[table][0].clone()
    };
    let position = only(&["report", "brief", "--contract", "c"], "position");
    let known: Vec<_> = position.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()).collect();
    assert_eq!(known.len(), 2, "the day to decide and that it has passed, no dollar and no share: {known:?}");
    let ends = only(&["report", "contracts"], "burn_down");
    assert_eq!((&ends["unpriced_calls"], &ends["used"], &ends["middle"]), (&90.into(), &Value::Null, &Value::Null));
    let base = only(&["simulate", "--to", "openai/gpt-5.4"], "scenarios");
    assert_eq!((&base["left_out_calls"], &base["base"], &base["middle"]), (&90.into(), &Value::Null, &Value::Null));

    let run = daybook_in(dir.path(), &["gate", "--contract", "c", "--on", "2026-01-20", "--format", "csv"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let rows: Vec<_> = run.stdout.lines().collect();
    for row in ["concentration,false,unknown,at most 0.800000", "unpriced,false,1.000000,at most 0.010000"] {
        assert!(rows.contains(&row), "{}", run.stdout);
    }
    assert_eq!(rows.last(), Some(&"commitments,false,year cannot be projected,on course"));
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
    assert_eq!(rows[7..9], ["options,false,unknown,all fresh", "declared,false,unknown,as declared"]);
    let run = daybook_in(dir.path(), &["gate", "--contract", "d"]);
    run.refused(2, "error[QUERIES-037]: unknown contract `d`");
}

#[test]
fn a_focus_file_comes_with_its_metadata_and_nothing_half_written_stays() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    std::fs::write(dir.path().join("r/contracts.toml"), "").unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    let files = || {
        let names = dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.contains("focus")).collect();
        names.sort();
        names
    };
    let run = daybook_in(dir.path(), &["report", "focus", "--out", "focus.xlsx"]);
    run.refused(2, "error[CLI-030]: focus.xlsx is neither a .parquet nor a .csv file");
    let wrong = ["report", "focus", "--out", "focus.csv", "--version", "1.2", "--dataset", "contract-commitment"];
    daybook_in(dir.path(), &wrong).refused(2, "error[CLI-030]: FOCUS 1.2 has no dataset `contract-commitment`");
    let run = daybook_in(dir.path(), &["report", "focus", "--out", "none/focus.csv"]);
    assert_eq!((run.code, run.stderr.lines().next()), (2, Some("error[CLI-031]: none/focus.csv cannot be written")));
    assert!(files().is_empty(), "{:?}", files());

    let run = daybook_in(dir.path(), &["report", "focus", "--out", "focus.csv", "--version", "1.2"]);
    assert_eq!((run.done(), run.stderr.as_str()), ("", "focus.csv: 0 rows of 0 calls\n"));
    assert_eq!(files(), ["focus.csv", "focus.csv.metadata.json"]);
    let header = std::fs::read_to_string(dir.path().join("focus.csv")).unwrap();
    assert!(
        header.starts_with("AvailabilityZone,BilledCost,BillingAccountId,") && header.lines().count() == 1,
        "{header}"
    );
    let metadata = std::fs::read_to_string(dir.path().join("focus.csv.metadata.json")).unwrap();
    assert!(metadata.contains("\"FocusVersion\": \"1.2\""), "{metadata}");
}

#[test]
fn reports_without_facts_are_empty_and_a_calendar_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    let contract = "[[contract]]\nname = 'c'\nvendor = 'Acme'\nproviders = 'acme'\nstarts_on = 2026-01-01\n\
                    ends_on = 2026-12-31\nnotice_days = 30\n";
    std::fs::write(dir.path().join("r/contracts.toml"), contract).unwrap();
    std::fs::write(dir.path().join("r/workloads.toml"), "[[workload]]\nname = 'bot'\n[[workload.rule]]\nteam = 'S'\n")
        .unwrap();
    daybook_in(dir.path(), &["registry", "import", "r"]).done();
    for (report, table) in
        [("portability", "months"), ("forecast", "total"), ("anomalies", "anomalies"), ("savings", "caching")]
    {
        let run = daybook_in(dir.path(), &["report", report, "--only", table, "--format", "csv"]);
        assert_eq!(run.done().lines().count(), 1, "{report}: {}", run.stdout);
    }
    let run = daybook_in(dir.path(), &["report", "portability", "--workload", "bt"]);
    run.refused(2, "error[QUERIES-035]: unknown workload `bt`; did you mean `bot`?");

    let run = daybook_in(dir.path(), &["report", "contracts", "--on", "2026-11-20", "--ics", "c.ics"]);
    assert_eq!(run.done(), "");
    let calendar = std::fs::read_to_string(dir.path().join("c.ics")).unwrap();
    assert_eq!(calendar.matches("BEGIN:VEVENT\r\n").count(), 3, "{calendar}");
    let run = daybook_in(dir.path(), &["report", "contracts", "--on", "2026-11-20", "--ics", "-"]);
    assert_eq!(run.done(), calendar);

    let run = daybook_in(dir.path(), &["export", "--replay-set", "bt", "--out", "set.jsonl"]);
    run.refused(2, "error[QUERIES-035]: unknown workload `bt`; did you mean `bot`?");
    let run = daybook_in(dir.path(), &["export", "--replay-set", "bot", "--out", "set.jsonl", "--for", "gemini"]);
    assert!(run.code == 2 && run.stderr.contains("cannot be used with '--for"), "{}", run.stderr);
    let run = daybook_in(dir.path(), &["export", "--replay-set", "bot", "--out", "set.jsonl"]);
    run.refused(2, "error[QUERIES-042]: no prompt of workload `bot` is kept, of 0 conversation turns that succeeded");
    std::fs::write(dir.path().join("made.jsonl"), "").unwrap();
    let run = daybook_in(dir.path(), &["export", "--replay-set", "bot", "--out", "made.jsonl"]);
    run.refused(2, "error[CLI-032]: made.jsonl is there already");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("set.")), "{left:?}");
}
