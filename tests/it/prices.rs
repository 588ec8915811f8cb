//! Prices as a person meets them: imported, compared, explained, and applied to what was recorded.

use std::path::Path;

use crate::{Run, daybook_in};

const LITELLM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ledger/src/price/litellm/sample.json");
const HEADER: &str = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";

fn run(dir: &Path, args: &[&str]) -> Run {
    daybook_in(dir, args)
}

fn query(dir: &Path, sql: &str) -> String {
    run(dir, &["query", "--ledger", "demo/ledger", "--format", "csv", "-c", sql]).done().to_owned()
}

#[test]
fn what_was_recorded_is_valued_at_other_prices_compared_and_explained() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    run(dir, &["demo", "--dir", "demo", "--events", "400", "--seed", "5"]).done();
    let usage = "SELECT count(*), sum(list_cost), min(price_id), max(price_id) FROM usage";
    let before = query(dir, usage);
    std::fs::write(dir.join("deal.csv"), format!("{HEADER}openai,*,2026-01-01,,discount_percent,25,contract 7\n"))
        .unwrap();

    let reprice = ["reprice", "--as", "deal", "--prices", "deal.csv", "--ledger", "demo/ledger"];
    assert!(run(dir, &reprice).done().starts_with("valuation deal: 400 entries valued\n"));
    let again = run(dir, &reprice);
    assert!(again.done().starts_with("valuation deal: 0 entries valued, 400 had a value already"), "{}", again.stdout);
    assert_eq!(query(dir, usage), before, "what is recorded stays as it is");
    let exact = "SELECT count(*) FROM usage u JOIN valuations v ON v.entry_id = u.entry_id \
                 WHERE (u.provider <> 'openai' AND v.list_cost IS NOT DISTINCT FROM u.list_cost) \
                 OR (u.provider = 'openai' AND v.list_cost IS NULL AND u.list_cost IS NULL) \
                 OR (u.provider = 'openai' AND abs(v.list_cost * 4 - u.list_cost * 3) <= 0.000000000004)";
    assert_eq!(query(dir, exact), "count(*)\n400\n", "a quarter less at OpenAI, the same everywhere else");

    std::fs::write(dir.join("deal.csv"), format!("{HEADER}openai,*,2026-01-01,,discount_percent,30,contract 8\n"))
        .unwrap();
    let refused = run(dir, &reprice);
    assert!(
        refused.stderr.starts_with("error[PRICES-007]: valuation `deal` was made with other prices"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.code, 2);

    let diff = ["report", "diff", "recorded", "deal", "--by", "provider", "--format", "csv", "--ledger", "demo/ledger"];
    let diff = run(dir, &diff);
    assert!(diff.done().starts_with("provider,calls,a_cost,b_cost,difference,changed_calls,"), "{}", diff.stdout);
    assert!(diff.stderr.starts_with("400 calls: recorded "), "{}", diff.stderr);
    let unknown = run(dir, &["report", "diff", "recorded", "deel", "--ledger", "demo/ledger"]);
    unknown.refused(2, "error[QUERIES-020]: unknown valuation `deel`; did you mean `deal`?");

    let id = query(dir, "SELECT encode(entry_id, 'hex') AS id FROM usage WHERE list_cost > 0 LIMIT 1");
    let id = id.lines().nth(1).unwrap();
    let explained = run(dir, &["prices", "explain", id, "--ledger", "demo/ledger"]);
    assert!(explained.done().trim_end().ends_with(", the same"), "{}", explained.stdout);
    assert!(explained.stdout.contains("the name as it is"), "{}", explained.stdout);
    let json = run(dir, &["prices", "explain", id, "--ledger", "demo/ledger", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(json.done()).unwrap();
    assert_eq!(json["equals_recorded"], true);
    let none = run(dir, &["prices", "explain", &"0".repeat(32), "--ledger", "demo/ledger"]);
    assert!(none.stderr.starts_with("error[CLI-013]: there is no entry 0000"), "{}", none.stderr);

    run(dir, &["prices", "import", "deal.csv", "--ledger", "demo/ledger"]).done();
    let other = run(dir, &["prices", "explain", id, "--ledger", "demo/ledger", "--format", "json"]);
    let other: serde_json::Value = serde_json::from_str(other.done()).unwrap();
    let is_openai = other["provider"] == "openai";
    assert_eq!(other["equals_recorded"], !is_openai, "a new price moves nothing that is recorded");

    let check = run(dir, &["prices", "check", "--ledger", "demo/ledger"]);
    assert!(check.done().contains("\n400 calls: "), "{}", check.stdout);
}

#[test]
fn litellm_s_price_file_is_imported_with_dates_and_what_is_left_out_is_said() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    let dry = run(dir, &["prices", "import", LITELLM, "--dry-run"]);
    assert!(dry.done().contains("would import"), "{}", dry.stdout);
    assert!(dry.stdout.contains("model: every price is 0: a placeholder, or free (acme/free)"), "{}", dry.stdout);
    assert!(!dir.join("ledger").exists(), "a dry run writes nothing");

    run(dir, &["prices", "import", LITELLM, "--effective-from", "2026-03-01", "--effective-to", "2026-04-01"]).done();
    let rows = run(dir, &["prices", "list", "--provider", "openai", "--model", "gpt-9", "--at", "2026-03-31"]);
    assert!(rows.done().contains("openai,gpt-9,2026-03-01,2026-04-01,input,1.25,sample.json gpt-9"), "{}", rows.stdout);

    let diff = run(dir, &["prices", "diff", "ledger", LITELLM, "--at", "2026-03-31"]);
    assert!(diff.done().contains("on 2026-03-31: ") && !diff.stdout.contains("~ "), "{}", diff.stdout);
    let json = run(dir, &["prices", "diff", "default", LITELLM, "--format", "json"]);
    assert!(serde_json::from_str::<serde_json::Value>(json.done()).unwrap()["changes"].is_array());

    std::fs::write(dir.join("own.csv"), format!("{HEADER}p,m,2026-01-01,,input,1,x\n")).unwrap();
    let dated = run(dir, &["prices", "import", "own.csv", "--effective-from", "2026-03-01"]);
    dated.refused(2, "error[CLI-012]: own.csv is a sheet with dates of its own");
    let empty =
        run(dir, &["prices", "import", LITELLM, "--effective-from", "2026-03-01", "--effective-to", "2026-03-01"]);
    empty.refused(2, "error[CLI-012]: the period from 2026-03-01 ends before it begins");
    std::fs::write(dir.join("other.json"), "{\"a\": 1}").unwrap();
    let other = run(dir, &["prices", "import", "other.json"]);
    assert!(other.stderr.starts_with("error[PRICES-009]: price sheet other.json is JSON, but not"), "{}", other.stderr);
    let missing = run(dir, &["prices", "diff", "default", "nothing.csv"]);
    missing.refused(2, "error[CLI-006]: there is no price sheet nothing.csv");
}

#[test]
fn a_sheet_is_described_for_people_and_for_programs_and_imported_once() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    std::fs::write(dir.join("open.csv"), format!("{HEADER}p,m,2026-02-25,,input,1,x\np,m,2026-02-25,,output,2,x\n"))
        .unwrap();
    let check = |file: &str| run(dir, &["prices", "check", file]).done().to_owned();
    assert_eq!(check("open.csv"), "open.csv: 2 rows, 1 model, in effect from 2026-02-25 on\n");
    let more = format!("{HEADER}p,m,2026-02-25,2026-10-07,input,1,x\np,m,2026-10-07,,input,2,x\n");
    std::fs::write(dir.join("more.csv"), more).unwrap();
    assert_eq!(check("more.csv"), "more.csv: 2 rows, 1 model, first days 2026-02-25 to 2026-10-07\n");
    let json = |args: &[&str]| {
        let run = run(dir, &[&["prices", "check", "--format", "json"], args].concat());
        serde_json::from_str::<serde_json::Value>(run.done()).unwrap()
    };
    let sheet = json(&["more.csv"]);
    assert_eq!((&sheet["rows"], &sheet["last_first_day"]), (&2.into(), &"2026-10-07".into()));
    assert!(json(&[])["rows"].as_u64() > Some(100), "the prices in force");
    assert!(json(&[LITELLM])["not_imported"][0]["reason"].is_string());

    let import = |file: &str| run(dir, &["prices", "import", file]).done().to_owned();
    let rows = || {
        let sql = "SELECT count(*) AS n FROM prices";
        run(dir, &["query", "--format", "csv", "-c", sql]).done().to_owned()
    };
    assert!(import("open.csv").starts_with("imported into "));
    assert!(import("open.csv").starts_with("open.csv is known already: 2 rows"));
    assert_eq!(rows(), "n\n2\n");
    import("more.csv");
    assert!(import("open.csv").starts_with("imported into "), "it is no longer in force as a whole");
    assert_eq!(rows(), "n\n6\n");
}
