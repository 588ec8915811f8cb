//! States, limits and time.

use std::time::Duration;

use daybook_ledger::testing::{append, append_partial, call, correct};
use daybook_ledger::{Clock as _, Instant, Kind, Ledger, Report as _, Root, Status, SystemClock, TableVersion};
use daybook_queries::{AsOf, Error, Session, SessionOptions};

use crate::fixture;

async fn count(session: &Session, table: &str) -> String {
    let rows = session.run(&format!("SELECT count(*) FROM {table}")).await.unwrap().collect().await.unwrap();
    arrow::util::display::array_value_to_string(rows[0].column(0), 0).unwrap()
}

async fn open_as_of(ledger: &Ledger, as_of: AsOf) -> Result<Session, Error> {
    Session::open(ledger, SessionOptions { as_of: Some(as_of), ..fixture::options() }).await
}

#[tokio::test]
async fn a_session_reads_one_state_whatever_is_committed_meanwhile() {
    let ledger = fixture::empty().await;
    let entry = |id| call(id, "openai", "gpt-5", "search", "2026-11-20T09:00:00Z", (1, 1));
    append(&ledger, "b1", &[(entry("a"), None)]).await;
    let session = fixture::open(&ledger).await;
    append(&ledger, "b2", &[(entry("b"), None)]).await;
    assert_eq!(count(&session, "usage").await, "1");
    assert_eq!(count(&fixture::open(&ledger).await, "usage").await, "2");
}

#[tokio::test]
async fn a_version_or_an_instant_brings_back_a_state_of_every_table() {
    let ledger = fixture::empty().await;
    let mut instants = Vec::new();
    for id in ["a", "b", "c"] {
        let mut entry = call(id, "openai", "gpt-5", "search", "2026-11-20T09:00:00Z", (1, 1));
        entry.body = Some(daybook_ledger::Body::default());
        append(&ledger, id, &[(entry, None)]).await;
        // Commits state their time to the millisecond: a pause on both sides lets two be told apart.
        tokio::time::sleep(Duration::from_millis(5)).await;
        instants.push(SystemClock.now());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (at, instant) in instants.into_iter().enumerate() {
        let session = open_as_of(&ledger, AsOf::Instant(instant)).await.unwrap();
        let rows = (at + 1).to_string();
        assert_eq!((count(&session, "usage").await, count(&session, "content").await), (rows.clone(), rows.clone()));

        let version = TableVersion(at as u64 + 1);
        let session = open_as_of(&ledger, AsOf::Version(version)).await.unwrap();
        assert_eq!((count(&session, "usage").await, count(&session, "content").await), (rows.clone(), rows));
        assert_eq!(session.versions().last(), Some(&("usage", version)));
    }
}

#[tokio::test]
async fn a_state_that_never_was_is_refused() {
    let ledger = fixture::company().await;
    let error = open_as_of(&ledger, AsOf::Version(TableVersion(9))).await.unwrap_err();
    assert_eq!(error.to_string(), "table usage of memory:///ledger/ has no version 9; its last is 3");
    let error = open_as_of(&ledger, AsOf::Instant(Instant::from_micros(0))).await.unwrap_err();
    assert!(error.to_string().starts_with("table "), "{error}");
    assert!(error.to_string().contains("has no version at 1970-01-01T00:00:00.000000Z; its first is from "), "{error}");
    assert_eq!(error.code(), "QUERIES-010");
}

#[tokio::test]
async fn an_unknown_time_zone_gets_the_nearest() {
    let options = SessionOptions { time_zone: "Europe/Belrin".into(), ..fixture::options() };
    let error = Session::open(&fixture::empty().await, options).await.unwrap_err();
    assert_eq!(error.to_string(), "unknown time zone `Europe/Belrin`; did you mean `Europe/Berlin`?");
}

#[tokio::test]
async fn a_query_past_its_time_is_stopped() {
    let options = SessionOptions { timeout: Some(Duration::from_millis(50)), ..fixture::options() };
    let session = Session::open(&fixture::empty().await, options).await.unwrap();
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) AS a";
    let started = std::time::Instant::now();
    let error = match session.run(endless).await {
        Ok(rows) => rows.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.to_string(), "the query was stopped after 0.05 s");
    assert_eq!((error.code(), error.kind()), ("QUERIES-011", Kind::Unavailable));
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// This test runs on one thread, which a join of this kind keeps until it ends.
#[tokio::test]
async fn a_query_that_does_not_give_way_is_stopped_all_the_same() {
    let options = SessionOptions { timeout: Some(Duration::from_millis(500)), ..fixture::options() };
    let session = Session::open(&fixture::empty().await, options).await.unwrap();
    let sql =
        "SELECT count(*) FROM generate_series(1, 10000) AS a(x), generate_series(1, 10000) AS b(y) WHERE x + y < 0";
    let error = match session.run(sql).await {
        Ok(rows) => rows.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.code(), "QUERIES-011");
}

#[tokio::test]
async fn a_sort_larger_than_its_memory_spills_and_stays_exact() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SessionOptions { memory_bytes_max: 24 << 20, spill_folder: Some(folder.path().into()), ..fixture::options() };
    let session = Session::open(&fixture::empty().await, options).await.unwrap();
    let sql = "EXPLAIN ANALYZE SELECT * FROM (SELECT value, repeat('x', 100) AS pad FROM generate_series(1, 300000)) \
               ORDER BY value DESC OFFSET 299999";
    let batches = session.run(sql).await.unwrap().collect().await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    assert!(!text.contains("spill_count=0"), "{text}");
    assert!(text.contains("spill_count="), "{text}");
}

#[tokio::test]
async fn a_query_that_cannot_spill_says_how_much_it_may_use() {
    let options = SessionOptions { memory_bytes_max: 1 << 20, ..fixture::options() };
    let session = Session::open(&fixture::empty().await, options).await.unwrap();
    let sql = "SELECT array_agg(repeat('x', 1000)) FROM generate_series(1, 100000)";
    let error = session.run(sql).await.unwrap().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "the query needs more than the 1048576 bytes of memory it may use");
    assert_eq!(error.code(), "QUERIES-012");
}

#[tokio::test]
async fn a_folder_is_read_as_memory_is() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("a ledger").display().to_string();
    let ledger = Ledger::create_at(Root::open(&address, true).unwrap()).await.unwrap();
    append(&ledger, "b1", &[(call("a", "openai", "gpt-5", "search", "2026-11-20T09:00:00Z", (1, 1)), None)]).await;
    let session = fixture::open(&Ledger::open(&address).await.unwrap()).await;
    let rows = session.run("SELECT team FROM usage").await.unwrap().collect().await.unwrap();
    assert_eq!(rows[0].num_rows(), 1);
}

#[tokio::test]
async fn a_missing_data_file_is_damage() {
    let ledger = fixture::company().await;
    let session = fixture::open(&ledger).await;
    let path = format!("ledger/usage/{}", ledger.usage().load(None).await.unwrap().files()[0].path);
    object_store::ObjectStoreExt::delete(ledger.root().store.as_ref(), &path.into()).await.unwrap();
    let error = session.run("SELECT team FROM usage").await.unwrap().collect().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("QUERIES-014", Kind::Conflict));
}

#[tokio::test]
async fn columns_are_described_in_words() {
    let session = fixture::open(&fixture::empty().await).await;
    let all = session.tables().iter().map(|table| session.describe(table));
    for columns in futures::future::try_join_all(all).await.unwrap() {
        assert!(columns.iter().all(|column| !column.meaning.is_empty()), "{columns:?}");
    }
    let columns = session.describe("usage").await.unwrap();
    let column = columns.iter().find(|column| column.name == "meters").unwrap();
    assert_eq!(column.data_type, "map(text, decimal(38, 12))");
    let columns = session.describe("coverage_by_day").await.unwrap();
    assert!(columns[1].meaning.ends_with("(messages that could not become entries yet)"), "{:?}", columns[1]);
    let error = session.describe("usages").await.unwrap_err();
    assert_eq!(error.to_string(), "unknown table `usages`; did you mean `usage`?");
}

#[tokio::test]
async fn the_fullest_correction_of_an_entry_holds_and_the_row_as_recorded_stays() {
    let ledger = fixture::empty().await;
    let at = "2026-11-20T09:00:00Z";
    let mut pending = call("a", "openai", "gpt-5", "search", at, (0, 0));
    pending.status = Status::Pending;
    pending.tokens = daybook_ledger::Tokens::default();
    let mut cut = call("a", "openai", "gpt-5", "search", at, (5, 1));
    cut.status = Status::Incomplete;
    let whole = call("a", "openai", "gpt-5", "search", at, (7, 2));
    append(&ledger, "b1", &[(pending, None), (call("b", "openai", "gpt-5", "search", at, (1, 1)), None)]).await;
    let sum = "SELECT count(*) || ' ' || sum(input_tokens) FROM ";
    let sum = |session: Session, table: &'static str| async move {
        let rows = session.run(&format!("{sum}{table}")).await.unwrap().collect().await.unwrap();
        arrow::util::display::array_value_to_string(rows[0].column(0), 0).unwrap()
    };
    assert_eq!(sum(fixture::open(&ledger).await, "usage").await, "2 1");
    // The fuller one was read first and written last, or the other way round: the order says nothing.
    correct(&ledger, "b2", &[(whole, None)]).await;
    correct(&ledger, "b3", &[(cut, None)]).await;
    assert_eq!(sum(fixture::open(&ledger).await, "usage").await, "2 8");
    assert_eq!(sum(fixture::open(&ledger).await, "usage_recorded").await, "2 1");
    let session = fixture::open(&ledger).await;
    let described = session.describe("usage_recorded").await.unwrap();
    assert_eq!(described, session.describe("usage").await.unwrap());
}

#[tokio::test]
async fn ids_that_start_again_each_day_are_calls_of_their_own() {
    let ledger = fixture::empty().await;
    let of = |day: &str, model, tokens| call("1", "openai", model, "search", &format!("{day}T09:00:00Z"), tokens);
    let mut pending = of("2026-11-20", "gpt-5", (0, 0));
    pending.status = Status::Pending;
    pending.tokens = daybook_ledger::Tokens::default();
    append(&ledger, "b1", &[(of("2026-11-19", "gpt-4o", (5, 1)), None), (pending, None)]).await;
    correct(&ledger, "b2", &[(of("2026-11-20", "gpt-5", (7, 1)), None)]).await;
    let session = fixture::open(&ledger).await;
    for sql in [
        "SELECT count(*) || ' ' || sum(input_tokens) FROM usage",
        "SELECT sum(calls) || ' ' || sum(input_tokens) FROM spend_by_day",
        "SELECT sum(calls) || ' 12' FROM lockin",
    ] {
        let rows = session.run(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(arrow::util::display::array_value_to_string(rows[0].column(0), 0).unwrap(), "2 12", "{sql}");
    }
}

#[tokio::test]
async fn what_was_said_before_the_end_of_a_call_holds_while_nothing_else_is_known() {
    let ledger = fixture::empty().await;
    let said = |id: &'static str, status, raw: &'static str| {
        let mut entry = call(id, "openai", "gpt-5", "search", "2026-11-20T09:00:00Z", (1, 1));
        (entry.status, entry.raw) = (status, raw.as_bytes());
        entry.body = Some(daybook_ledger::Body { input_messages: Some(raw.into()), ..Default::default() });
        (entry, None)
    };
    let (pending, cut, whole) = (Status::Pending, Status::Incomplete, Status::Success);
    append_partial(&ledger, "b1", &[said("a", pending, "a1"), said("b", pending, "b1"), said("c", pending, "c1")])
        .await;
    append_partial(&ledger, "b2", &[said("b", cut, "b2"), said("c", cut, "c2")]).await;
    let content = async |session: Session, table: &str| {
        let sql = format!("SELECT string_agg(input_messages, ' ' ORDER BY input_messages) FROM {table}");
        let rows = session.run(&sql).await.unwrap().collect().await.unwrap();
        arrow::util::display::array_value_to_string(rows[0].column(0), 0).unwrap()
    };
    assert_eq!(content(fixture::open(&ledger).await, "content").await, "a1 b2 c2");
    append(&ledger, "b3", &[said("c", whole, "c3"), said("d", whole, "d3")]).await;
    assert_eq!(content(fixture::open(&ledger).await, "content").await, "a1 b2 c3 d3");
    assert_eq!(content(fixture::open(&ledger).await, "content_recorded").await, "c3 d3");
    let session = fixture::open(&ledger).await;
    assert_eq!(session.describe("content_recorded").await.unwrap(), session.describe("content").await.unwrap());
}

#[tokio::test]
async fn every_table_and_view_answers_without_a_registry_on_any_number_of_threads() {
    let ledger = fixture::company().await;
    for target_partitions in [1, 4] {
        let options = SessionOptions { target_partitions, ..fixture::options() };
        let session = Session::open(&ledger, options).await.unwrap();
        for table in session.tables() {
            let rows = session.run(&format!("SELECT * FROM {table}")).await.unwrap().collect().await;
            assert!(rows.is_ok(), "{table}: {}", rows.unwrap_err());
        }
    }
}

#[tokio::test]
async fn a_statement_too_deep_to_be_planned_is_refused() {
    let session = fixture::open(&fixture::company().await).await;
    // So many would run out of stack while they are parsed.
    let sql = vec!["SELECT count(*) FROM usage"; 100_000].join(" UNION ALL ");
    let error = session.run(&sql).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("QUERIES-019", Kind::Usage));
    assert_eq!(error.to_string(), "the statement has 99999 times `UNION` in a row, 1000 are possible");
    assert!(error.hint().unwrap().contains("IN (..)"));
}
