//! What leaving promises: a scope holds nothing of others, a killed export goes on to the same bytes, a bundle becomes the
//! ledger it was made from, and none that was made to harm is read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::large_futures, reason = "test code")]
#![allow(clippy::duplicate_mod, reason = "the harness of the fuzzer brings what it needs")]

mod any_ledger;
mod common;
#[allow(clippy::expect_used, unreachable_pub, dead_code, reason = "a crate of its own when it fuzzes")]
#[path = "../../tests/fuzz/src/bundle.rs"]
mod fuzz;
mod hostile;
mod wrapping;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use daybook_export::{
    Axis, Delivered, Format, Migration, Part, Progress, Request, Scope, Silent, delivered, diff, preview, rehearse,
    restore, write,
};
use daybook_ledger::price::Book;
use daybook_ledger::testing::{append, append_priced, call, correct, quarantine};
use daybook_ledger::{Body, Entry, Instant, Ledger, Report as _, TableVersion, Usd};
use tempfile::TempDir;

use common::files;

/// Nothing is committed after it.
const LATER: Instant = Instant::from_micros(i64::MAX);

fn said<'a>(id: &'a str, person: &'a str, team: &'a str, at: &str) -> Entry<'a> {
    let mut entry = call(id, "anthropic", "model-l", team, at, (100, 10));
    entry.end_user = Some(person.into());
    let said = format!(r#"[{{"role":"user","parts":[{{"type":"text","content":"marker-of-{person}"}}]}}]"#);
    entry.body = Some(Body { input_messages: Some(said.into()), ..Body::default() });
    entry
}

/// Two people and two teams over two days; the person of one call comes with a correction; one message in quarantine.
async fn ledger(dir: &Path) -> Ledger {
    let ledger = Ledger::open_or_create(dir.to_str().unwrap()).await.unwrap();
    let cost = Usd::parse("0.5").ok();
    let mut pending = said("late", "nobody", "search", "2026-11-20T09:00:00Z");
    pending.end_user = None;
    pending.body = None;
    let first = [
        (said("call-of-ann-1", "ann", "search", "2026-11-19T10:00:00Z"), cost),
        (said("call-of-bob-1", "bob", "chat", "2026-11-19T11:00:00Z"), cost),
    ];
    append(&ledger, "batch-1", &first).await;
    quarantine(&ledger, "batch-1", 7, b"{\"user\":\"bob\", marker-of-bob").await;
    let second = [
        (said("call-of-ann-2", "ann", "chat", "2026-11-20T10:00:00Z"), None),
        (said("call-of-bob-2", "bob", "search", "2026-11-20T11:00:00Z"), cost),
        (pending, None),
    ];
    append(&ledger, "batch-2", &second).await;
    let whole = said("late", "ann", "search", "2026-11-20T09:00:00Z");
    correct(&ledger, "batch-3", &[(whole, cost)]).await;
    append(&ledger, "batch-3", &[]).await;
    ledger
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn address(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_persons_export_has_all_of_theirs_and_nothing_of_another() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    // Given to one, then to the other.
    append(&ledger, "batch-4", &[(said("shared", "bob", "chat", "2026-11-20T12:00:00Z"), None)]).await;
    correct(&ledger, "batch-5", &[(said("shared", "ann", "chat", "2026-11-20T12:00:00Z"), None)]).await;
    append(&ledger, "batch-5", &[]).await;
    let out = place.path("ann");
    let scope = Scope::default().only(Axis::Subject, "ann");
    let summary = write(&ledger, &Request { scope, ..Request::new(&out) }, &mut Silent).await.unwrap();
    let rows: BTreeMap<_, _> = summary.rows.into_iter().collect();
    assert_eq!((rows[&Part::Usage], rows[&Part::Content], rows[&Part::Corrections]), (3, 2, 1), "{rows:?}");
    assert_eq!(rows[&Part::Quarantine], 0);
    assert!(daybook_export::verify::bundle(&out, &mut Silent).unwrap().is_whole());

    let files = files(&out);
    let text = &files["data/content/content-00000.jsonl"];
    assert_eq!(std::str::from_utf8(text).unwrap().matches("marker-of-ann").count(), 2);
    for (name, bytes) in &files {
        assert!(!holds(bytes, "bob"), "{name} names another person");
    }
    // Parquet is compressed: its rows are looked at too.
    for part in ["usage", "content", "corrections"] {
        let file = fs::File::open(out.join(format!("data/{part}/{part}-00000.parquet"))).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in reader.build().unwrap() {
            assert!(!format!("{:?}", batch.unwrap()).contains("bob"), "{part}");
        }
    }
    assert!(holds(&files["data/summary.json"], "messages that could not be read do not say whose they are"));
    assert!(holds(&files["data/README.md"], "subject is \"ann\""));
}

#[tokio::test]
async fn terms_of_a_scope_hold_together() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let count = async |name: &str, scope: Scope| {
        let request = Request { scope, ..Request::new(place.path(name)) };
        write(&ledger, &request, &mut Silent).await.unwrap().rows[0].1
    };
    let team = || Scope::default().only(Axis::Team, "search");
    assert_eq!(count("team", team()).await, 3);
    assert_eq!(count("both", team().only(Axis::Subject, "bob")).await, 1);
    assert_eq!(count("provider", Scope::default().only(Axis::Provider, "anthropic")).await, 5);
    assert_eq!(count("none", Scope::default().only(Axis::Provider, "openai")).await, 0);
}

#[tokio::test]
async fn a_dry_run_lists_what_is_then_written_and_writes_nothing() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = Request::new(place.path("out"));
    let told = preview(&ledger, &request, &mut Silent).await.unwrap();
    assert!(!place.path("out").exists() && !place.path("out.partial").exists());
    let written = write(&ledger, &request, &mut Silent).await.unwrap();
    assert_eq!(told.files, written.files);
    assert_eq!(preview(&ledger, &request, &mut Silent).await.unwrap_err().code(), "EXPORT-001");
}

/// Gives up after so many files of the source.
struct Stops(u32);

impl Progress for Stops {
    fn start(&mut self, _: u64) {}
    fn advance(&mut self, _: u64) {
        assert_ne!(self.0, 0, "killed");
        self.0 -= 1;
    }
    fn notice(&mut self, _: &str) {}
}

#[derive(Default)]
struct Notices(Vec<String>);

impl Progress for Notices {
    fn start(&mut self, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn notice(&mut self, text: &str) {
        self.0.push(text.into());
    }
}

#[tokio::test]
async fn an_export_that_was_stopped_anywhere_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let migrations = vec![Migration::parse("gemini-batch").unwrap(), Migration::parse("chat-messages").unwrap()];
    let request =
        |name: &str| Request { shard_bytes: 1, migrations: migrations.clone(), ..Request::new(place.path(name)) };
    write(&ledger, &request("whole"), &mut Silent).await.unwrap();
    let whole = files(&place.path("whole"));
    assert!(whole.contains_key("data/migration/gemini-batch/gemini-batch-00003.jsonl"), "{:?}", whole.keys());
    let mut kept = 0;
    for stop in 0..6 {
        let name = format!("stopped-{stop}");
        let (stopped, request) = (ledger.clone(), request(&name));
        let again = request.clone();
        let run = tokio::spawn(async move { write(&stopped, &request, &mut Stops(stop)).await });
        assert!(run.await.is_err_and(|error| error.is_panic()));
        assert!(!place.path(&name).exists());
        // A kill in the middle of a file and of a line of the journal.
        let partial = place.path(&format!("{name}.partial"));
        if partial.exists() {
            fs::write(partial.join("data/usage/usage-00099.csv"), "half a row").unwrap();
            let journal = partial.join("finished.jsonl");
            let cut = [fs::read(&journal).unwrap(), b"{\"table\":\"usa".to_vec()].concat();
            fs::write(&journal, cut).unwrap();
        }
        let mut notices = Notices::default();
        write(&ledger, &again, &mut notices).await.unwrap();
        kept += notices.0.iter().filter(|text| text.starts_with("going on from")).count();
        assert!(files(&place.path(&name)) == whole, "stopped after {stop}");
    }
    assert!(kept > 0, "no run went on from another");
}

#[tokio::test]
async fn what_another_request_left_is_not_gone_on_from() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = Request { shard_bytes: 1, ..Request::new(place.path("out")) };
    let stopped = (ledger.clone(), request.clone());
    let run = tokio::spawn(async move { write(&stopped.0, &stopped.1, &mut Stops(4)).await });
    assert!(run.await.is_err());
    assert!(place.path("out.partial/finished.jsonl").exists());
    let other = Request { as_of: Some(TableVersion(1)), ..request };
    let mut notices = Notices::default();
    write(&ledger, &other, &mut notices).await.unwrap();
    assert!(notices.0[0].starts_with("removed "), "{:?}", notices.0);
    assert!(daybook_export::verify::bundle(&place.path("out"), &mut Silent).unwrap().is_whole());
}

#[tokio::test]
async fn a_rehearsal_of_all_predicts_the_export_and_leaves_nothing() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = Request { shard_bytes: 1, ..Request::new(place.path("out")) };
    let at = Instant::parse("2026-11-21T00:00:00Z").unwrap();
    let whole = rehearse(&ledger, &request, 100, at, &mut Silent).await.unwrap();
    assert_eq!((whole.days.0, whole.read_bytes.0), (whole.days.1, whole.read_bytes.1));
    let part = rehearse(&ledger, &request, 1, at, &mut Silent).await.unwrap();
    assert_eq!((part.days.0, whole.days.1), (1, 2), "whole days only");
    assert!(part.rows() < whole.rows() && part.predicted.time >= part.took);
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1, "only the ledger");

    let written = write(&ledger, &request, &mut Silent).await.unwrap();
    assert_eq!(whole.predicted.rows, Delivered::from(&written).rows);
    assert_eq!(part.predicted.rows, whole.predicted.rows, "a commit says how many rows its files have");
    assert!(whole.predicted.bytes.abs_diff(written.bytes()) < 1_000, "only what tells of the rehearsal is more");
}

#[tokio::test]
async fn what_a_killed_rehearsal_left_is_removed_and_nothing_else_is() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = Request { shard_bytes: 1, ..Request::new(place.path("out")) };
    let at = Instant::parse("2026-11-21T00:00:00Z").unwrap();
    let stopped = (ledger.clone(), request.clone());
    let run = tokio::spawn(async move { rehearse(&stopped.0, &stopped.1, 100, at, &mut Stops(4)).await });
    assert!(run.await.is_err());
    assert!(place.path("out.rehearsal.partial").exists());
    let later = Instant::parse("2026-11-22T00:00:00Z").unwrap();
    let again = rehearse(&ledger, &request, 100, later, &mut Silent).await.unwrap();
    assert!(again.rows() > 0);

    write(&ledger, &Request::new(place.path("out.rehearsal")), &mut Silent).await.unwrap();
    let refused = rehearse(&ledger, &request, 100, later, &mut Silent).await.unwrap_err();
    assert_eq!(refused.code(), "EXPORT-001", "a bundle of that name that is no rehearsal");
}

#[tokio::test]
async fn an_export_is_no_faster_than_its_limit() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let free = write(&ledger, &Request::new(place.path("free")), &mut Silent).await.unwrap();
    let rows_bytes: u64 = free.files.iter().filter(|file| file.rows.is_some()).map(|file| file.bytes).sum();
    let rate_limit = std::num::NonZeroU64::new(rows_bytes * 2);
    let began = std::time::Instant::now();
    write(&ledger, &Request { rate_limit, ..Request::new(place.path("slow")) }, &mut Silent).await.unwrap();
    // Half a second, but for what each lot is rounded down by.
    assert!(began.elapsed().as_millis() >= 499, "{:?}", began.elapsed());
    assert_eq!(files(&place.path("free")), files(&place.path("slow")));
}

#[tokio::test]
async fn a_bundle_that_stands_is_known_by_ledger_scope_and_window() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = Request::new(place.path("out"));
    assert_eq!(delivered(&ledger, &request, LATER, &[], &mut Silent).await.unwrap(), None, "nothing there");
    let written = write(&ledger, &request, &mut Silent).await.unwrap();
    let found = delivered(&ledger, &request, LATER, &[], &mut Silent).await.unwrap();
    assert_eq!(found, Some(Delivered::from(&written)));

    let scope = Scope::default().only(Axis::Subject, "ann");
    let other = Request { scope, ..request.clone() };
    assert_eq!(delivered(&ledger, &other, LATER, &[], &mut Silent).await.unwrap(), None, "of another scope");
    let stranger = Ledger::open_or_create(&place.address("other")).await.unwrap();
    assert_eq!(delivered(&stranger, &request, LATER, &[], &mut Silent).await.unwrap(), None, "of another ledger");
    let csv = Request { formats: vec![Format::Csv], ..request.clone() };
    assert_eq!(delivered(&ledger, &csv, LATER, &[], &mut Silent).await.unwrap(), None, "in other formats");
    append(&ledger, "later", &[(said("later", "ann", "red", "2026-11-22T10:00:00Z"), None)]).await;
    assert_eq!(delivered(&ledger, &request, LATER, &[], &mut Silent).await.unwrap(), None, "without the newest call");
    let before = Instant::from_micros(0);
    assert_eq!(delivered(&ledger, &request, before, &[], &mut Silent).await.unwrap(), found, "asked for before that");
    fs::write(place.path("out/data/README.md"), "changed").unwrap();
    assert_eq!(delivered(&ledger, &request, before, &[], &mut Silent).await.unwrap_err().code(), "EXPORT-007");
}

#[tokio::test]
async fn the_rates_behind_every_cost_of_a_scope_go_with_it() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(&place.address("ledger")).await.unwrap();
    let book = Book::default_sheet().unwrap();
    let at = "2026-11-20T10:00:00Z";
    let calls = [
        call("a", "anthropic", "claude-opus-5", "search", at, (100, 10)),
        call("o", "openai", "gpt-4o", "search", at, (100, 10)),
    ];
    append_priced(&ledger, "batch-1", &book, &calls).await;
    append(&ledger, "batch-2", &[(said("own", "ann", "search", at), Usd::parse("0.5").ok())]).await;
    let out = place.path("out");
    let scope = Scope::default().only(Axis::Provider, "anthropic");
    write(&ledger, &Request { scope, ..Request::new(&out) }, &mut Silent).await.unwrap();
    let rates = fs::read_to_string(out.join("data/rates.csv")).unwrap();
    let (known, alone): (Vec<&str>, Vec<&str>) =
        rates.lines().skip(1).partition(|line| line.starts_with("anthropic/claude-opus-5@"));
    let of = |unit: &str| known.iter().filter(|line| line.contains(&format!(",{unit},"))).count();
    assert_eq!((of("input"), of("output")), (1, 1), "{rates}");
    assert_eq!(alone, ["sheet/test@2026-01-01,,,,,,,"], "prices the ledger does not have");

    fs::write(out.join("data/rates.csv"), rates.lines().next().unwrap()).unwrap();
    common::rewrite_manifests(&out);
    let found = daybook_export::verify::bundle(&out, &mut Silent).unwrap().differences;
    assert!(found.iter().any(|found| found.place == "data/rates.csv"), "{found:?}");

    let scope = Scope::default().only(Axis::Subject, "ann");
    write(&ledger, &Request { scope, ..Request::new(place.path("ann")) }, &mut Silent).await.unwrap();
    assert!(!place.path("ann/data/rates.csv").exists(), "prices are not about a person");
}

async fn assert_round_trip(place: &Place, ledger: &Ledger) {
    write(ledger, &Request { shard_bytes: 1 << 12, ..Request::new(place.path("bundle")) }, &mut Silent).await.unwrap();
    restore(&place.path("bundle"), &place.address("new"), &mut Silent).await.unwrap();
    let rebuilt = Ledger::open(&place.address("new")).await.unwrap();
    let verdict = diff(ledger, &rebuilt, &mut Silent).await.unwrap();
    assert_eq!(verdict.differences, []);
    let trust = daybook_export::verify::Trust::default();
    assert!(daybook_export::verify::ledger(&rebuilt, &trust, &mut Silent).await.unwrap().is_whole());
}

#[tokio::test]
async fn a_bundle_becomes_the_ledger_it_was_made_from() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    assert_round_trip(&place, &ledger).await;

    // A second run finds its own work, and no ledger is mixed with a bundle.
    let again = restore(&place.path("bundle"), &place.address("new"), &mut Silent).await.unwrap();
    assert_eq!(again.already, [Part::Usage, Part::Content, Part::Quarantine, Part::Corrections]);
    let taken = restore(&place.path("bundle"), &place.address("ledger"), &mut Silent).await.unwrap_err();
    assert_eq!(taken.code(), "EXPORT-009");
}

#[tokio::test]
async fn calls_that_another_program_wrote_twice_are_said_and_come_back() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    append(&ledger, "other", &[(said("call-of-ann-1", "ann", "search", "2026-11-19T10:00:00Z"), None)]).await;
    assert_round_trip(&place, &ledger).await;
    let verdict = daybook_export::verify::bundle(&place.path("bundle"), &mut Silent).unwrap();
    let notes: Vec<_> = verdict.notes.iter().map(ToString::to_string).collect();
    assert!(notes.contains(&"data/usage/*.parquet: 1 calls are there twice, as in its ledger".to_owned()), "{notes:?}");
}

#[tokio::test]
async fn every_difference_of_two_ledgers_is_named() {
    let place = Place::new();
    let one = ledger(&place.path("one")).await;
    let two = ledger(&place.path("two")).await;
    assert!(diff(&one, &two, &mut Silent).await.unwrap().is_whole());

    append(&one, "batch-9", &[(said("same", "ann", "search", "2026-11-21T10:00:00Z"), None)]).await;
    append(&two, "batch-9", &[(said("same", "ann", "chat", "2026-11-21T10:00:00Z"), None)]).await;
    append(&two, "batch-10", &[(said("more", "ann", "chat", "2026-11-21T10:00:00Z"), None)]).await;
    let verdict = diff(&one, &two, &mut Silent).await.unwrap();
    let found: Vec<String> = verdict.differences.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    let changed = "team is \"search\" in the first, \"chat\" in the second";
    assert!(
        found.iter().any(|text| text.starts_with("usage 2026-11-21: entry ") && text.ends_with(changed)),
        "{found:?}"
    );
    assert_eq!(found.iter().filter(|text| text.ends_with(": only in the second")).count(), 2, "{found:?}");
    assert_eq!(diff(&two, &one, &mut Silent).await.unwrap().differences_count, 3);
}

#[tokio::test]
async fn a_bundle_without_parquet_is_refused_with_a_reason() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let request = Request { formats: vec![Format::Csv], ..Request::new(place.path("out")) };
    write(&ledger, &request, &mut Silent).await.unwrap();
    let error = restore(&place.path("out"), &place.address("new"), &mut Silent).await.unwrap_err();
    assert_eq!(error.code(), "EXPORT-008");
    assert!(!place.path("new").exists());
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named_and_left_as_it_was() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    fs::write(place.path("file"), "mine").unwrap();
    let error = write(&ledger, &Request::new(place.path("file/out")), &mut Silent).await.unwrap_err();
    assert_eq!(error.code(), "EXPORT-005", "{error}");
    assert_eq!(fs::read(place.path("file")).unwrap(), b"mine");
}
