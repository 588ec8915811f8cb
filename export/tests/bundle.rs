//! What a bundle promises: whole, the same bytes every time, checkable, and nothing tampered with goes unnamed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::large_futures, reason = "test code")]

mod common;
mod damage;
mod migrations;

use std::fs;
use std::path::{Path, PathBuf};

use daybook_export::verify::{self, Verdict};
use daybook_export::{Bundle, Destination, Error, Format, Migration, Part, Progress, Request, Silent, Summary};
use daybook_ledger::maintenance::{Run, Wanted, erase};
use daybook_ledger::testing::{append, append_partial, call, correct, quarantine};
use daybook_ledger::{
    Body, Date, Entry, Feature, Instant, Ledger, Operation, Report as _, Status, SystemClock, TableVersion, Usd,
};
use serde_json::Value;
use tempfile::TempDir;

use common::{files, rewrite_manifests};

fn usd(text: &str) -> Option<Usd> {
    Some(Usd::parse(text).unwrap())
}

/// A call whose event has a body.
fn said<'a>(id: &'a str, started_at: &str, tokens: (i64, i64)) -> Entry<'a> {
    let mut entry = call(id, "anthropic", "model-l", "search", started_at, tokens);
    entry.body = Some(Body {
        input_messages: Some(r#"[{"role":"user","parts":[{"type":"text","content":"a \"b\",\nc"}]}]"#.into()),
        ..Body::default()
    });
    entry
}

/// Two days, three batches, a body on most calls, one message in quarantine.
async fn ledger(dir: &Path) -> Ledger {
    let ledger = Ledger::open_or_create(dir.to_str().unwrap()).await.unwrap();
    let mut odd = said("odd", "2026-11-20T10:00:00.000001Z", (7, 3));
    odd.raw = b"\xff\xfe";
    odd.tags = vec![("cost,center".into(), "4\"2\"".into())];
    odd.meters = vec![("web_search_requests", Usd::parse("2").unwrap())];
    odd.features.insert(Feature::ToolCalling);
    odd.reported_cost = usd("0.5");
    odd.reported_currency = Some("EUR");
    odd.team = Some("".into());
    let first = [
        (said("a", "2026-11-19T23:59:59.999999Z", (100, 10)), usd("0.000000000001")),
        (said("b", "2026-11-20T00:00:00Z", (200, 20)), usd("1.5")),
        (odd, None),
    ];
    append(&ledger, "batch-1", &first).await;
    quarantine(&ledger, "batch-1", 3, b"not json \xff").await;
    let second = [
        (said("c", "2026-11-20T12:00:00Z", (300, 30)), usd("2.25")),
        (call("d", "openai", "model-s", "chat", "2026-11-20T12:00:00.5Z", (1, 1)), usd("0.1")),
    ];
    append(&ledger, "batch-2", &second).await;
    append(&ledger, "batch-3", &[(said("e", "2026-11-21T08:00:00Z", (5, 5)), usd("0.2"))]).await;
    ledger
}

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn bundle(&self) -> PathBuf {
        let ledger = ledger(&self.path("ledger")).await;
        let out = self.path("bundle");
        write(&ledger, &Request::new(&out)).await.unwrap();
        out
    }
}

async fn write(ledger: &Ledger, request: &Request) -> Result<Summary, Error> {
    daybook_export::write(ledger, request, &mut Silent).await
}

fn verify(path: &Path) -> Verdict {
    verify::bundle(path, &mut Silent).unwrap()
}

fn differences(path: &Path) -> Vec<String> {
    verify(path).differences.iter().map(ToString::to_string).collect()
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::write(to.join(name), bytes).unwrap();
    }
}

fn lines(bundle: &Path, part: &str) -> Vec<Value> {
    let text = fs::read_to_string(bundle.join(format!("data/{part}/{part}-00000.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Changes a text file of the bundle.
fn edit(bundle: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(bundle.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(bundle.join(name), text.replacen(from, to, 1)).unwrap();
}

fn ids(bundle: &Path) -> Vec<String> {
    lines(bundle, "usage").iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn csv_keeps_texts_from_being_formulas_where_that_is_asked_for() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let mut formula = said("f", "2026-11-21T09:00:00Z", (1, 1));
    formula.team = Some("=1+1".into());
    formula.reported_cost = usd("1");
    // A currency is among the sums that are compared.
    formula.reported_currency = Some("@SUM");
    append(&ledger, "batch-4", &[(formula, None)]).await;
    for (is_formula_safe, team) in [(true, ",'=1+1,"), (false, ",=1+1,")] {
        let out = place.path(&format!("out-{is_formula_safe}"));
        write(&ledger, &Request { is_formula_safe, ..Request::new(&out) }).await.unwrap();
        assert_eq!(differences(&out), [""; 0]);
        assert!(fs::read_to_string(out.join("data/usage/usage-00000.csv")).unwrap().contains(team));
        assert!(lines(&out, "usage").iter().any(|row| row["team"] == "=1+1"), "JSON has no formulas");
    }
}

#[tokio::test]
async fn after_an_erasure_the_rest_is_exported_though_no_call_came_since() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let before = ledger.usage().load(None).await.unwrap().version();
    let wanted = Wanted::Before(Date::parse("2026-11-21").unwrap());
    erase(&ledger, &wanted, 128 << 20, &Run::new("e", &SystemClock, false)).await.unwrap();
    for (name, as_of) in [("newest", None), ("as-of", Some(before))] {
        let out = place.path(name);
        write(&ledger, &Request { as_of, ..Request::new(&out) }).await.unwrap();
        assert_eq!(differences(&out), [""; 0]);
        let said = |row: &Value| row["input_messages"].is_string();
        assert_eq!(lines(&out, "content").iter().filter(|row| said(row)).count(), 1);
        assert_eq!(ids(&out).len(), 6);
    }
}

#[tokio::test]
async fn a_bundle_has_every_row_and_verifies() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let out = place.path("bundle");
    let summary = write(&ledger, &Request::new(&out)).await.unwrap();
    assert_eq!(
        summary.rows[..4],
        [(Part::Usage, 6), (Part::Content, 5), (Part::Quarantine, 1), (Part::Corrections, 0)]
    );
    let mut listed: Vec<_> = summary.files.iter().map(|file| (file.path.clone(), file.bytes)).collect();
    listed.sort_unstable();
    let found: Vec<_> = files(&out).into_iter().map(|(name, bytes)| (name, bytes.len() as u64)).collect();
    assert_eq!(listed, found);

    let verdict = verify(&out);
    assert_eq!((verdict.differences, verdict.notes), (vec![], vec![]));
    let counts: Vec<_> = verdict.rows.iter().map(|table| (table.table.as_str(), table.rows)).collect();
    assert_eq!(counts[..4], [("usage", 6), ("content", 5), ("quarantine", 1), ("corrections", 0)]);
    assert_eq!(counts.len(), Part::ALL.len());

    let totals: Value = serde_json::from_slice(&fs::read(out.join("data/summary.json")).unwrap()).unwrap();
    assert_eq!(totals["usage"]["list_cost"], serde_json::json!({"sum": "4.050000000001", "nulls": 1}));
    assert_eq!(totals["usage"]["tokens"]["input_tokens"], serde_json::json!({"sum": "613", "nulls": 0}));
    assert_eq!(totals["usage"]["started_at"]["min"], "2026-11-19T23:59:59.999999Z");
    assert_eq!(totals["usage"]["offsets"][0]["last_offset"], 2);
    assert_eq!(totals["tables"]["usage"]["version"], 3);
}

#[tokio::test]
async fn values_are_written_as_the_readme_says() {
    let place = Place::new();
    let out = place.bundle().await;
    let rows = lines(&out, "usage");
    let odd = rows.iter().find(|row| row["event_id"] == "odd").unwrap();
    assert_eq!(odd["started_at"], "2026-11-20T10:00:00.000001Z");
    assert_eq!(odd["event_date"], "2026-11-20");
    assert_eq!(odd["entry_id"].as_str().unwrap().len(), 32);
    assert_eq!((&odd["list_cost"], &odd["reported_cost"]), (&Value::Null, &"0.500000000000".into()));
    assert_eq!(odd["features"], serde_json::json!(["tool_calling"]));
    assert_eq!(odd["tags"], serde_json::json!({"cost,center": "4\"2\""}));
    assert_eq!(odd["meters"], serde_json::json!({"web_search_requests": "2.000000000000"}));
    assert_eq!((&odd["team"], &odd["project"], &odd["complete"]), (&"".into(), &Value::Null, &true.into()));
    assert_eq!(odd.as_object().unwrap().len(), Part::Usage.spec().columns.len(), "every column is always there");

    let bodies = lines(&out, "content");
    let of = |id: &Value| bodies.iter().find(|body| body["entry_id"] == *id).unwrap();
    assert_eq!(
        (&of(&odd["entry_id"])["raw"], &of(&odd["entry_id"])["raw_encoding"]),
        (&"//4=".into(), &"base64".into())
    );
    let plain = rows.iter().find(|row| row["event_id"] == "a").unwrap();
    assert_eq!(
        (&of(&plain["entry_id"])["raw"], &of(&plain["entry_id"])["raw_encoding"]),
        (&"a".into(), &"utf-8".into())
    );

    let csv = fs::read_to_string(out.join("data/usage/usage-00000.csv")).unwrap();
    let header: Vec<_> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(header, Part::Usage.spec().columns.iter().map(|column| column.name).collect::<Vec<_>>());
    assert!(csv.contains(r#","{""cost,center"":""4\""2\""""}","#), "{csv}");
    assert!(csv.ends_with("\r\n"));
}

#[tokio::test]
async fn rows_come_in_order_of_their_day() {
    let place = Place::new();
    let mut ids = ids(&place.bundle().await);
    assert_eq!((ids.first().map(String::as_str), ids.last().map(String::as_str)), (Some("a"), Some("e")));
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "odd"]);
}

#[tokio::test]
async fn the_same_version_gives_the_same_bytes() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let mut request = Request::new(place.path("one"));
    write(&ledger, &request).await.unwrap();

    // Elsewhere, later, after more was appended, formats in another order.
    append(&ledger, "batch-4", &[(said("f", "2026-11-20T09:00:00Z", (1, 1)), usd("9"))]).await;
    quarantine(&ledger, "batch-4", 9, b"x").await;
    let copied = place.path("elsewhere");
    copy(&place.path("ledger"), &copied);
    let ledger = Ledger::open(copied.to_str().unwrap()).await.unwrap();
    request.out = place.path("two");
    request.as_of = Some(TableVersion(3));
    request.formats = vec![Format::Parquet, Format::Csv, Format::Jsonl, Format::Csv];
    write(&ledger, &request).await.unwrap();
    let (one, two) = (files(&place.path("one")), files(&place.path("two")));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in one {
        assert!(bytes == two[&name], "{name} differs");
    }

    request.out = place.path("three");
    request.as_of = None;
    assert_eq!(write(&ledger, &request).await.unwrap().rows[0], (Part::Usage, 7));
}

#[tokio::test]
async fn corrections_are_part_of_the_bundle() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    correct(&ledger, "batch-9", &[(said("a", "2026-11-20T09:00:00Z", (70, 10)), usd("3"))]).await;
    // The batch that brings a correction commits its positions after it.
    append(&ledger, "batch-9", &[]).await;
    let out = place.path("out");
    let summary = write(&ledger, &Request::new(&out)).await.unwrap();
    assert_eq!(summary.rows[3], (Part::Corrections, 1));
    assert_eq!(lines(&out, "corrections")[0]["input_tokens"], 70);
    assert_eq!(differences(&out), Vec::<String>::new());
}

#[tokio::test]
async fn the_window_is_half_open_and_bodies_follow() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let at = |text: &str| Instant::parse(text);
    let windows = [
        (None, at("2026-11-20T00:00:00Z"), vec!["a"]),
        (at("2026-11-20T00:00:00Z"), at("2026-11-20T12:00:00Z"), vec!["b", "odd"]),
        (at("2026-11-20T12:00:00Z"), at("2026-11-21T00:00:00Z"), vec!["c", "d"]),
        (at("2026-11-21T00:00:00Z"), None, vec!["e"]),
    ];
    let mut quarantined = 0;
    for (number, (from, to, expected)) in windows.into_iter().enumerate() {
        let out = place.path(&number.to_string());
        let request = Request { from, to, ..Request::new(&out) };
        let summary = write(&ledger, &request).await.unwrap();
        let mut found = ids(&out);
        found.sort_unstable();
        assert_eq!(found, expected);

        let with_body = lines(&out, "usage").into_iter().filter(|row| !row["content_sha256"].is_null());
        let mut entries: Vec<_> = with_body.map(|row| row["entry_id"].clone().to_string()).collect();
        let mut bodies: Vec<_> =
            lines(&out, "content").into_iter().map(|row| row["entry_id"].clone().to_string()).collect();
        entries.sort_unstable();
        bodies.sort_unstable();
        assert_eq!(entries, bodies);
        assert_eq!(differences(&out), Vec::<String>::new());
        quarantined += summary.rows[2].1;
    }
    assert_eq!(quarantined, 1, "each row is in exactly one of the windows that meet");
}

#[tokio::test]
async fn a_body_without_its_entry_stays_out() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    // As of version 1 only the first batch is visible, although the other bodies of that day are there.
    let request = Request { as_of: Some(TableVersion(1)), ..Request::new(place.path("bundle")) };
    let summary = write(&ledger, &request).await.unwrap();
    assert_eq!(summary.rows[..2], [(Part::Usage, 3), (Part::Content, 3)]);
    assert_eq!(summary.versions[..2], [(Part::Usage, TableVersion(1)), (Part::Content, TableVersion(1))]);
}

#[tokio::test]
async fn small_shards_hold_the_same_rows() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let out = place.path("bundle");
    write(&ledger, &Request { shard_bytes: 1, ..Request::new(&out) }).await.unwrap();
    assert_eq!(differences(&out), Vec::<String>::new());
    let names: Vec<_> = files(&out).into_keys().filter(|name| name.ends_with(".jsonl")).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("data/usage")).count(), 6);
}

#[tokio::test]
async fn a_bundle_of_the_layout_before_is_whole_without_the_table_that_came_since() {
    let place = Place::new();
    let bundle = place.bundle().await;
    assert_eq!(differences(&bundle), Vec::<String>::new());
    fs::remove_dir_all(bundle.join("data/content_partial")).unwrap();
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&fs::read(bundle.join(name)).unwrap()).unwrap();
        change(&mut value);
        fs::write(bundle.join(name), value.to_string()).unwrap();
    };
    change("data/summary.json", &|summary| {
        summary["layout"] = "daybook-bundle/2".into();
        assert!(summary.as_object_mut().unwrap().remove("content_partial").is_some());
    });
    change("data/datapackage.json", &|package| {
        let resources = package["resources"].as_array_mut().unwrap();
        resources.retain(|resource| !resource["path"].as_str().unwrap().starts_with("content_partial/"));
    });
    let payload: Vec<_> = files(&bundle).into_iter().filter(|(name, _)| name.starts_with("data/")).collect();
    let bytes: usize = payload.iter().map(|(_, bytes)| bytes.len()).sum();
    let info = fs::read_to_string(bundle.join("bag-info.txt")).unwrap();
    let lines = info.lines().map(|line| match line.starts_with("Payload-Oxum") {
        true => format!("Payload-Oxum: {bytes}.{}\n", payload.len()),
        false => format!("{line}\n"),
    });
    fs::write(bundle.join("bag-info.txt"), lines.collect::<String>()).unwrap();
    rewrite_manifests(&bundle);
    assert_eq!(differences(&bundle), Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_ledger_gives_a_valid_bundle() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(place.path("ledger").to_str().unwrap()).await.unwrap();
    let out = place.path("bundle");
    let summary = write(&ledger, &Request::new(&out)).await.unwrap();
    assert_eq!(summary.rows, Part::ALL.map(|part| (part, 0)));
    assert_eq!(differences(&out), Vec::<String>::new());
    assert!(out.join("data/usage/usage-00000.parquet").exists());
}

#[tokio::test]
async fn one_format_alone_verifies() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    for format in Format::ALL {
        let out = place.path(format.as_str());
        write(&ledger, &Request { formats: vec![format], ..Request::new(&out) }).await.unwrap();
        let verdict = verify(&out);
        assert!(verdict.is_whole(), "{:?}", verdict.differences);
        assert_eq!(verdict.rows[0].rows, 6);
    }
}

#[tokio::test]
async fn more_rows_than_a_reader_takes_at_once_verify() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(place.path("ledger").to_str().unwrap()).await.unwrap();
    let ids: Vec<String> = (0..2 * 8_192 + 1).map(|number| format!("call-{number}")).collect();
    let calls: Vec<_> = ids
        .iter()
        .map(|id| (call(id, "openai", "model-s", "chat", "2026-11-20T12:00:00Z", (1, 2)), usd("0.1")))
        .collect();
    append(&ledger, "batch-1", &calls).await;
    let out = place.path("bundle");
    write(&ledger, &Request::new(&out)).await.unwrap();
    let verdict = verify(&out);
    assert_eq!((verdict.differences, verdict.rows[0].rows), (vec![], 2 * 8_192 + 1));
}

#[tokio::test]
async fn what_is_there_is_not_overwritten() {
    let place = Place::new();
    let out = place.bundle().await;
    let before = files(&out);
    let ledger = Ledger::open(place.path("ledger").to_str().unwrap()).await.unwrap();
    let error = write(&ledger, &Request::new(&out)).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("EXPORT-001", format!("{} already holds something", out.display())));
    assert_eq!(files(&out), before);
}

#[tokio::test]
async fn requests_for_nothing_are_refused() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let noon = Instant::parse("2026-11-20T12:00:00Z");
    let request = Request::new(place.path("bundle"));
    let empty = Request { from: noon, to: noon, ..request.clone() };
    assert_eq!(write(&ledger, &empty).await.unwrap_err().code(), "EXPORT-003");
    let formatless = Request { formats: Vec::new(), ..request.clone() };
    assert_eq!(write(&ledger, &formatless).await.unwrap_err().code(), "EXPORT-004");
    let unborn = Request { as_of: Some(TableVersion(99)), ..request };
    assert_eq!(write(&ledger, &unborn).await.unwrap_err().code(), "LEDGER-010");
    assert!(!place.path("bundle").exists() && !place.path("bundle.partial").exists());
}

/// Remembers what it was told.
#[derive(Default)]
struct Told {
    total: u64,
    done: u64,
    notices: Vec<String>,
}

impl Progress for Told {
    fn start(&mut self, bytes: u64) {
        self.total = bytes;
    }
    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
    }
    fn notice(&mut self, text: &str) {
        self.notices.push(text.into());
    }
}

#[tokio::test]
async fn a_leftover_of_a_crash_is_removed_with_a_notice() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let leftover = place.path("bundle.partial");
    fs::create_dir_all(leftover.join("data/usage")).unwrap();
    fs::write(leftover.join("bagit.txt"), "x").unwrap();
    fs::write(leftover.join("data/usage/usage-00009.csv"), "half a row").unwrap();
    let mut told = Told::default();
    daybook_export::write(&ledger, &Request::new(place.path("bundle")), &mut told).await.unwrap();
    assert_eq!(told.notices, [format!("removed {}, left by an interrupted export", leftover.display())]);
    assert!(told.total > 0 && told.done == told.total, "{} of {}", told.done, told.total);
    assert!(!leftover.exists());
    assert_eq!(differences(&place.path("bundle")), Vec::<String>::new());
}
