//! Bills go to a table of their own, and the report names what keeps them from the ledger.

use std::path::Path;

use crate::{daybook_in, daybook_with};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events");

/// An event of 1,000 input and 100 output tokens of gpt-5 at noon of a day: 0.00225 dollars at list.
fn event(id: &str, day: &str) -> String {
    format!(
        r#"{{"capture":{{"api":"openai.chat.completions","endpoint":"https://api.openai.com/v1/chat/completions","started_at":"{day}T12:00:00Z","duration_ms":800,"http_status":200}},"request":{{"model":"gpt-5","messages":[]}},"response":{{"id":"{id}","object":"chat.completion","model":"gpt-5","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"x"}}}}],"usage":{{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}}}}}"#
    )
}

/// A page of costs: for each day, calls of gpt-5 billed at list rates.
fn costs(days: &[(u32, u32)]) -> String {
    let buckets = days.iter().map(|(start, calls)| {
        let result = |meter: &str, micro: u32, tokens: u32| {
            format!(
                r#"{{"object":"organization.costs.result","amount":{{"value":0.{:06},"currency":"usd"}},"line_item":"gpt-5, {meter}","quantity":{},"quantity_unit":"tokens"}}"#,
                micro * calls,
                tokens * calls
            )
        };
        let end = start + 86_400;
        let results = [result("input", 1_250, 1_000), result("output", 1_000, 100)].join(",");
        format!(r#"{{"object":"bucket","start_time":{start},"end_time":{end},"results":[{results}]}}"#)
    });
    let buckets: Vec<_> = buckets.collect();
    format!(r#"{{"object":"page","data":[{}],"has_more":false,"next_page":null}}"#, buckets.join(","))
}

/// 2026-11-18 and the day after it, as Unix time.
const DAYS: [u32; 2] = [1_794_960_000, 1_795_046_400];

fn query(dir: &Path, sql: &str) -> String {
    daybook_in(dir, &["query", "--format", "csv", "-c", sql]).done().to_owned()
}

#[test]
fn a_bill_is_imported_once_and_reconciled() {
    let dir = tempfile::tempdir().unwrap();
    let events = ["2026-11-18", "2026-11-19"].map(|day| event(&format!("call-{day}"), day)).join("\n");
    std::fs::write(dir.path().join("events.jsonl"), events).unwrap();
    std::fs::write(dir.path().join("costs.json"), costs(&[(DAYS[0], 1), (DAYS[1], 3)])).unwrap();
    let run = daybook_in(dir.path(), &["import", "events.jsonl", "costs.json", "--dry-run"]);
    let counted = "bill                    4  openai-admin lines of costs.json, 0 others left out\n";
    assert!(run.done().contains(counted), "{}", run.stdout);
    let run = daybook_in(dir.path(), &["import", "events.jsonl", "costs.json"]);
    assert!(run.done().contains("openai-admin lines of costs.json: 4 new"), "{}", run.stdout);
    let again = daybook_in(dir.path(), &["import", "events.jsonl", "costs.json"]);
    assert!(again.done().contains("0 new, 0 replace older numbers, 4 known"), "{}", again.stdout);
    assert_eq!(query(dir.path(), "SELECT count(*) AS n FROM usage"), "n\n2\n");
    assert_eq!(query(dir.path(), "SELECT sum(billed_cost) AS d FROM billing_current"), "d\n0.009000000000\n");
    assert_eq!(query(dir.path(), "SELECT sum(list_cost) AS d FROM spend_by_day"), "d\n0.004500000000\n");

    let report = ["report", "reconcile", "--format", "csv", "--by", "model,day"];
    let run = daybook_in(dir.path(), &report);
    assert_eq!(run.code, 1, "{}\n{}", run.stdout, run.stderr);
    assert_eq!(
        run.stdout,
        "model,day,calls,list_cost,billed_cost,difference,cause,amount,detail\n\
         gpt-5,2026-11-18,1,0.002250000000,0.002250000000,0.000000000000,,,\n\
         gpt-5,2026-11-19,1,0.002250000000,0.006750000000,0.004500000000,,,\n\
         gpt-5,2026-11-19,,,,,missing_calls,0.004500000000,the bill counts more tokens than the ledger\n"
    );
    let summary = "compared: openai 2026-11-18 to 2026-11-19\n\
                   ledger 0.0045 dollars, billed 0.0090, difference 0.0045, of which unexplained 0.00; \
                   lines beyond the tolerance: 1\n";
    assert_eq!(run.stderr, summary);
    let within = [&report[..], &["--tolerance", "0.0045"]].concat();
    daybook_in(dir.path(), &within).done();
    let day = [&report[..], &["--to", "2026-11-19"]].concat();
    daybook_in(dir.path(), &day).done();
    let run = daybook_in(dir.path(), &[&report[..], &["--tolerance", "some"]].concat());
    assert!(run.code == 2 && run.stderr.contains("'--tolerance <AMOUNT>': `some` is no tolerance"), "{}", run.stderr);

    // The provider counts again: the newer numbers hold, and the ledger agrees with them.
    std::fs::write(dir.path().join("later.json"), costs(&[(DAYS[1], 1)])).unwrap();
    let run = daybook_in(dir.path(), &["import", "later.json"]);
    assert!(run.done().contains("0 new, 2 replace older numbers, 0 known"), "{}", run.stdout);
    daybook_in(dir.path(), &report).done();
    daybook_in(dir.path(), &["verify", "ledger"]).done();
}

#[test]
fn every_kind_of_bill_is_told_from_events() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["openai-admin", "anthropic-admin", "aws-cur", "focus"];
    let mut files = Vec::new();
    for folder in folders {
        for file in std::fs::read_dir(format!("{FIXTURES}/{folder}")).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().is_some_and(|name| name != "expected.json") {
                files.push(path.display().to_string());
            }
        }
    }
    files.sort_unstable();
    let args: Vec<&str> = ["import", "--dry-run"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let run = daybook_in(dir.path(), &args);
    assert_eq!(run.done().lines().filter(|line| line.starts_with("bill ")).count(), files.len(), "{}", run.stdout);
    assert!(!dir.path().join("ledger").exists(), "a dry run makes nothing");

    let args: Vec<&str> = ["import"].into_iter().chain(files.iter().map(String::as_str)).collect();
    daybook_in(dir.path(), &args).done();
    assert_eq!(
        query(dir.path(), "SELECT source, count(*) AS n FROM billing GROUP BY source ORDER BY source"),
        "source,n\nanthropic-admin,4\naws-cur,9\nfocus,5\nopenai-admin,4\n"
    );
    assert_eq!(query(dir.path(), "SELECT count(*) AS n FROM usage"), "n\n0\n", "a bill is no call");
    assert_eq!(query(dir.path(), "SELECT count(*) AS n FROM quarantine"), "n\n0\n");
}

#[test]
fn a_bill_with_a_bad_line_is_refused_with_its_place_and_the_others_go_in() {
    let dir = tempfile::tempdir().unwrap();
    let good = costs(&[(DAYS[0], 1)]);
    std::fs::write(dir.path().join("bad.json"), good.replace("0.001250", "\"free\"")).unwrap();
    std::fs::write(dir.path().join("good.json"), good).unwrap();
    let run = daybook_with(dir.path(), &["import", "bad.json", "good.json"], &[], "");
    run.refused(3, "error[BILLING-004]: bad.json:1: `data[0].results[0].amount.value` is `free`, not a decimal number");
    assert_eq!(query(dir.path(), "SELECT DISTINCT file FROM billing"), "file\ngood.json\n");
}
