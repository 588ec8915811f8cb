//! What a bundle promises: whole, the same bytes every time, checkable, and nothing tampered with goes unnamed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::large_futures, reason = "test code")]

mod common;

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

fn every_migration() -> Vec<Migration> {
    let of = |destination: &Destination| {
        let model = destination.needs_model().then(|| "model-x".to_owned());
        Migration { destination: *destination, model }
    };
    Destination::ALL.iter().map(of).collect()
}

#[tokio::test]
async fn what_was_said_before_the_end_goes_along_and_is_nothing_to_learn_from() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(place.path("ledger").to_str().unwrap()).await.unwrap();
    let turn = |id: &'static str, status: Status| {
        let mut entry = said(id, "2026-11-20T09:00:00Z", (1, 1));
        let body = entry.body.as_mut().unwrap();
        body.output_messages = Some(r#"[{"role":"assistant","parts":[{"type":"text","content":"so"}]}]"#.into());
        (entry.status, entry.operation) = (status, Some(Operation::Chat));
        (entry, None)
    };
    let (pending, cut, whole) = (Status::Pending, Status::Incomplete, Status::Success);
    append_partial(&ledger, "b1", &[turn("a", pending), turn("b", pending), turn("c", pending)]).await;
    append_partial(&ledger, "b2", &[turn("b", cut)]).await;
    // Versions before put what a pending call said into `content`; of one of them a correction told the end.
    append(&ledger, "b3", &[turn("c", whole), turn("d", pending), turn("e", pending)]).await;
    correct(&ledger, "b3", &[turn("e", whole)]).await;
    let rows = [turn("a", pending), turn("b", cut)].map(|(entry, cost)| (Entry { body: None, ..entry }, cost));
    append(&ledger, "b4", &rows).await;
    let out = place.path("out");
    let request = Request { migrations: every_migration(), ..Request::new(&out) };
    let summary = write(&ledger, &request).await.unwrap();
    let rows: Vec<_> = summary.rows.iter().filter(|(_, rows)| *rows > 0).copied().collect();
    assert_eq!(rows, [(Part::Usage, 5), (Part::Content, 3), (Part::Corrections, 1), (Part::ContentPartial, 4)]);
    for done in &summary.migrations {
        let name = done.migration.destination.as_str();
        let account: Value =
            serde_json::from_slice(&fs::read(out.join(format!("data/migration/{name}/loss.json"))).unwrap()).unwrap();
        let dropped = match name.ends_with("-batch") {
            true => serde_json::json!({"repeated_body": 2}),
            false => serde_json::json!({"repeated_body": 2, "unfinished": 3}),
        };
        assert_eq!((done.rows_in, &account["dropped"]), (7, &dropped), "{name}");
    }
    assert_eq!(differences(&out), Vec::<String>::new());
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

/// Changes a file of a bundle, so that its manifests fit again.
type Forge = fn(&Path);

#[tokio::test]
async fn migrations_account_for_every_body_and_no_forgery_of_the_account_holds() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let mut vectors = said("vectors", "2026-11-21T09:00:00Z", (1, 0));
    vectors.operation = Some(Operation::Embeddings);
    append(&ledger, "batch-4", &[(vectors, None)]).await;
    let out = place.path("bundle");
    let formats = vec![Format::Parquet];
    let request = Request { formats, migrations: every_migration(), shard_bytes: 1, ..Request::new(&out) };
    let summary = write(&ledger, &request).await.unwrap();
    assert_eq!(differences(&out), Vec::<String>::new());
    for done in &summary.migrations {
        let name = done.migration.destination.as_str();
        // The bodies have prompts and no answers.
        let expected = if name.ends_with("-batch") { 5 } else { 0 };
        assert_eq!((done.rows_in, done.rows_out), (6, expected), "{name}");
        let account: Value =
            serde_json::from_slice(&fs::read(out.join(format!("data/migration/{name}/loss.json"))).unwrap()).unwrap();
        assert_eq!(
            (&account["rows_dropped"], &account["dropped"]["other_operation"]),
            (&Value::from(6 - expected), &Value::from(1))
        );
        let readme = fs::read_to_string(out.join(format!("data/migration/{name}/README.md"))).unwrap();
        assert!(readme.contains(&format!("| rows in these files | {expected} |")), "{readme}");
        assert!(out.join(format!("data/migration/{name}/{name}-00000.jsonl")).exists(), "{name}");
    }
    let forgeries: [(Forge, &str); 4] = [
        (
            |bundle| edit(bundle, "data/migration/gemini/loss.json", "\"no_answer\": 5", "\"no_answer\": 4"),
            "loss.json: rows_in is not rows_out",
        ),
        (
            |bundle| fs::remove_file(bundle.join("data/migration/openai-batch/openai-batch-00002.jsonl")).unwrap(),
            "loss.json: rows_out is 5, data/migration/openai-batch/*.jsonl have 4",
        ),
        (
            |bundle| edit(bundle, "data/summary.json", "\"gemini-batch\"", "\"gemini-patch\""),
            "summary.json: no migration is called",
        ),
        (
            |bundle| fs::write(bundle.join("data/migration/mistral/mistral-00001.jsonl"), "{}\n").unwrap(),
            "mistral-00001.jsonl: data/datapackage.json does not describe it",
        ),
    ];
    for (number, (forge, expected)) in forgeries.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&out, &bundle);
        forge(&bundle);
        rewrite_manifests(&bundle);
        assert!(
            differences(&bundle).iter().any(|text| text.contains(expected)),
            "{expected}: {:?}",
            differences(&bundle)
        );
    }
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

/// The data files of a table in the ledger at `ledger`.
fn data_files(ledger: &Path, table: &str) -> Vec<PathBuf> {
    let names = files(&ledger.join(table)).into_keys().filter(|name| name.starts_with("event_date="));
    names.map(|name| ledger.join(table).join(name)).collect()
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damaged_source_data_ends_the_export_and_leaves_nothing() {
    for damage in ["flipped", "cut", "missing"] {
        let place = Place::new();
        let ledger = ledger(&place.path("ledger")).await;
        let file = data_files(&place.path("ledger"), "content").remove(1);
        let expected = match damage {
            "flipped" => {
                flip_a_bit(&file);
                "its SHA-256 is"
            }
            "cut" => {
                let bytes = fs::read(&file).unwrap();
                fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
                "bytes, its commit says"
            }
            _ => {
                fs::remove_file(&file).unwrap();
                "is gone"
            }
        };
        let error = write(&ledger, &Request::new(place.path("bundle"))).await.unwrap_err();
        assert_eq!(error.code(), if damage == "missing" { "LEDGER-014" } else { "LEDGER-011" });
        assert!(error.to_string().contains("/content/event_date="), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!place.path("bundle").exists() && !place.path("bundle.partial").exists());
    }
}

/// Changes a text file of the bundle.
fn edit(bundle: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(bundle.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(bundle.join(name), text.replacen(from, to, 1)).unwrap();
}

fn assert_named(bundle: &Path, expected: &[&str]) {
    let found = differences(bundle);
    for expected in expected {
        assert!(found.iter().any(|difference| difference.contains(expected)), "no `{expected}` in {found:#?}");
    }
}

#[tokio::test]
async fn every_tampering_is_named() {
    type Tamper = fn(&Path);
    let cases: [(Tamper, &[&str]); 14] = [
        (
            |bundle| flip_a_bit(&bundle.join("data/usage/usage-00000.parquet")),
            &["data/usage/usage-00000.parquet: its sha256 is", "data/usage/usage-00000.parquet: its sha512 is"],
        ),
        (
            |bundle| fs::remove_file(bundle.join("data/content/content-00000.jsonl")).unwrap(),
            &[
                "data/content/content-00000.jsonl: it is missing, manifest-sha256.txt lists it",
                "data/datapackage.json: it describes `data/content/content-00000.jsonl`, which is not there",
                "bag-info.txt: Payload-Oxum is",
            ],
        ),
        (
            |bundle| fs::write(bundle.join("data/usage/more.csv"), "x").unwrap(),
            &[
                "data/usage/more.csv: manifest-sha256.txt does not list it",
                "data/usage/more.csv: manifest-sha512.txt does not list it",
                "data/usage/more.csv: its rows cannot be read",
            ],
        ),
        (
            |bundle| edit(bundle, "manifest-sha512.txt", "  data/README.md\n", "  data/README.txt\n"),
            &[
                "data/README.md: manifest-sha512.txt does not list it",
                "data/README.txt: it is missing, manifest-sha512.txt lists it",
                "manifest-sha512.txt: its sha256 is",
            ],
        ),
        (
            |bundle| edit(bundle, "data/summary.json", "4.050000000001", "4.050000000002"),
            &[
                "data/summary.json: its sha256 is",
                "data/summary.json: usage.list_cost.sum is \"4.050000000002\", data/usage/*.parquet has \"4.050000000001\"",
                "data/usage/*.jsonl has \"4.050000000001\"",
                "data/usage/*.csv has \"4.050000000001\"",
            ],
        ),
        (
            |bundle| edit(bundle, "data/datapackage.json", "\"rowCount\": 6", "\"rowCount\": 7"),
            &["it has 6 rows, data/datapackage.json says 7"],
        ),
        (
            |bundle| edit(bundle, "bag-info.txt", "Payload-Oxum: ", "Payload-Oxum: 1"),
            &["bag-info.txt: Payload-Oxum is 1", "bag-info.txt: its sha256 is"],
        ),
        (
            |bundle| edit(bundle, "bagit.txt", "1.0", "0.97"),
            &["bagit.txt: it does not declare BagIt 1.0", "bagit.txt: its sha512 is"],
        ),
        (
            |bundle| {
                let line = format!("{}  ../../../../etc/passwd\n", "0".repeat(64));
                let text = fs::read_to_string(bundle.join("manifest-sha256.txt")).unwrap();
                fs::write(bundle.join("manifest-sha256.txt"), text + &line).unwrap();
            },
            &["manifest-sha256.txt: line 40 names `../../../../etc/passwd`, which no bundle may contain"],
        ),
        (
            |bundle| {
                fs::remove_file(bundle.join("data/README.md")).unwrap();
                std::os::unix::fs::symlink("/etc/hostname", bundle.join("data/README.md")).unwrap();
            },
            &["data/README.md: it is a symbolic link", "data/README.md: it is missing, manifest-sha256.txt lists it"],
        ),
        (
            |bundle| std::os::unix::fs::symlink("..", bundle.join("data/loop")).unwrap(),
            &["data/loop: it is a symbolic link"],
        ),
        (
            |bundle| edit(bundle, "data/usage/usage-00000.jsonl", "\"input_tokens\":200", "\"input_tokens\":201"),
            &["usage.tokens.input_tokens.sum is \"613\", data/usage/*.jsonl has \"614\""],
        ),
        (
            |bundle| fs::remove_file(bundle.join("tagmanifest-sha256.txt")).unwrap(),
            &["tagmanifest-sha256.txt: it is missing"],
        ),
        (
            |bundle| fs::write(bundle.join("data/summary.json"), "{\"layout\": \"daybook-bundle/3\"").unwrap(),
            &["data/summary.json: it cannot be read"],
        ),
    ];
    let place = Place::new();
    let original = place.bundle().await;
    for (number, (tamper, expected)) in cases.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&original, &bundle);
        tamper(&bundle);
        assert_named(&bundle, expected);
    }
}

#[tokio::test]
async fn forged_manifests_do_not_hide_a_changed_sum() {
    let place = Place::new();
    let original = place.bundle().await;
    let cases = [
        ("data/usage/usage-00000.csv", "2.250000000000", "2.240000000000"),
        ("data/usage/usage-00000.jsonl", "2.250000000000", "2.240000000000"),
        ("data/summary.json", "\"nulls\": 1", "\"nulls\": 0"),
        ("data/summary.json", "\"last_offset\": 2", "\"last_offset\": 1"),
    ];
    for (number, (name, from, to)) in cases.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&original, &bundle);
        edit(&bundle, name, from, to);
        rewrite_manifests(&bundle);
        assert!(differences(&bundle).iter().any(|text| text.starts_with("data/summary.json: usage.")), "{name}");
    }
}

#[tokio::test]
async fn hostile_content_is_a_difference_and_not_a_crash() {
    type Tamper = fn(&Path);
    let cases: [Tamper; 7] = [
        |bundle| fs::write(bundle.join("data/usage/usage-00000.parquet"), b"PAR1\xff\xff\xff\x7fPAR1").unwrap(),
        |bundle| fs::write(bundle.join("data/usage/usage-00000.jsonl"), "[".repeat(200_000) + "\n").unwrap(),
        |bundle| fs::write(bundle.join("data/summary.json"), "[".repeat(1_000_000)).unwrap(),
        |bundle| {
            fs::write(
                bundle.join("data/datapackage.json"),
                "{\"resources\":[{\"path\":\"../../x\",\"bytes\":1,\"hash\":\"\",\"rowCount\":18446744073709551615}]}",
            )
            .unwrap()
        },
        |bundle| fs::write(bundle.join("manifest-sha256.txt"), [0xff; 4096]).unwrap(),
        |bundle| fs::write(bundle.join("data/usage/usage-00000.csv"), "\"".repeat(100_001)).unwrap(),
        |bundle| fs::write(bundle.join("data/\u{202e}name"), "x").unwrap(),
    ];
    let place = Place::new();
    let original = place.bundle().await;
    for (number, tamper) in cases.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&original, &bundle);
        tamper(&bundle);
        assert!(!verify(&bundle).is_whole(), "case {number}");
    }
}

#[tokio::test]
async fn what_is_no_bundle_is_said_to_be_none() {
    let place = Place::new();
    let error = verify::bundle(&place.path("nothing"), &mut Silent).unwrap_err();
    assert_eq!(error.code(), "EXPORT-006");
    assert!(!Bundle::is_at(place.dir.path().to_str().unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_whole_ledger_verifies() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!((verdict.differences, verdict.notes.len()), (vec![], 1), "it is not sealed");
    assert_eq!(verdict.rows.iter().map(|table| table.rows).sum::<u64>(), 6 + 5 + 1);
    assert_eq!(verdict.files, 4 + 4 + 1);
}

#[tokio::test]
async fn every_damage_of_a_ledger_is_named() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let usage = data_files(&place.path("ledger"), "usage");
    let content = data_files(&place.path("ledger"), "content");
    flip_a_bit(&usage[0]);
    fs::remove_file(&usage[1]).unwrap();
    fs::write(&content[0], "short").unwrap();
    fs::write(place.path("ledger/usage/event_date=2026-11-20/lost-1-0000.parquet"), "x").unwrap();
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!(verdict.differences_count, 3);
    for expected in ["its SHA-256 is", "it is missing", "it has 5 bytes, its commit says"] {
        assert!(verdict.differences.iter().any(|difference| difference.found.contains(expected)), "{expected}");
    }
    let note = verdict.notes.last().unwrap().to_string();
    assert_eq!(
        note,
        "usage/event_date=2026-11-20/lost-1-0000.parquet: no commit names it: batch lost-1 was lost before it became visible"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_a_difference() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    fs::write(place.path("ledger/usage/_delta_log/00000000000000000002.json"), "{\"add\":").unwrap();
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!(verdict.differences[0].place, "usage");
    assert_eq!(verdict.rows.len(), ledger.tables().len() - 1, "the other tables are still checked");
}

#[tokio::test]
async fn digests_survive_a_checkpoint_of_the_log() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(place.path("ledger").to_str().unwrap()).await.unwrap();
    for offset in 0..101 {
        quarantine(&ledger, &format!("batch-{offset}"), offset, b"x").await;
    }
    let log = files(&place.path("ledger/quarantine/_delta_log"));
    assert!(log.keys().any(|name| name.ends_with(".checkpoint.parquet")), "{:?}", log.keys());
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!((verdict.differences, verdict.notes.len()), (vec![], 1), "no file is without its digest");
    assert_eq!(verdict.files, 101);
}
