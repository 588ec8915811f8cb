//! What a query mentions more than once is computed once, and changes nothing else.

use std::time::Duration;

use daybook_ledger::Kind;
use daybook_ledger::Report as _;
use daybook_queries::report::{Report, Section, render_report};
use daybook_queries::{Format, Session, SessionOptions};

use crate::fixture;

/// Days and teams with what they cost.
const DAILY: &str = "WITH daily AS (
    SELECT event_date, team, count(*) AS calls, sum(list_cost) AS list_cost, sum(input_tokens) AS input_tokens,
           max(latency_ms) AS latency_ms
    FROM usage GROUP BY event_date, team)";

async fn explain(session: &Session, kind: &str, sql: &str) -> String {
    let batches = session.run(&format!("{kind} {sql}")).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

async fn text(session: &Session, sql: &str) -> String {
    let batches = session.run(sql).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

/// How often a plan reads files of the ledger.
fn scans(plan: &str) -> usize {
    plan.matches("DataSourceExec: file_groups").count()
}

#[tokio::test]
async fn a_deep_view_reads_the_calls_once() {
    let session = fixture::open(&fixture::company().await).await;
    for (view, most) in
        [("anomalies", 1), ("trends", 2), ("concentration", 1), ("shadow_ai", 1), ("forecast", 4), ("burn_down", 4)]
    {
        let plan = explain(&session, "EXPLAIN", &format!("SELECT * FROM {view}")).await;
        assert!(scans(&plan) <= most, "{view}: {plan}");
        assert!(plan.contains("computed once:"), "{view}: {plan}");
    }
}

#[tokio::test]
async fn a_view_that_two_views_use_is_computed_once() {
    let session = fixture::open(&fixture::company().await).await;
    let sql = "SELECT a.calls FROM spend_by_day AS a JOIN spend_by_day AS b ON b.day = a.day";
    let plan = explain(&session, "EXPLAIN", sql).await;
    assert_eq!((scans(&plan), plan.matches("SharedExec: 1 `spend_by_day`").count()), (1, 2), "{plan}");
}

#[tokio::test]
async fn a_view_that_several_tables_of_a_report_read_is_computed_once_for_all() {
    let ledger = fixture::company().await;
    let section = |name, sql: &str| Section { name, title: name, note: "", sql: sql.into(), chart: None };
    let sections = vec![
        section("all", "SELECT * FROM spend_by_workload ORDER BY day, workload, provider"),
        section("some", "SELECT provider, day FROM spend_by_workload WHERE calls > 1 ORDER BY provider, day LIMIT 5"),
        section("calls", "SELECT count(*) AS calls FROM calls"),
        section("priced", "SELECT count(list_cost) AS calls FROM calls"),
    ];
    let session = fixture::open(&ledger).await;
    let report = Report::of("Report", None, sections);
    let together = json(&session, &report).await;
    for section in report.sections() {
        let alone = json(&fixture::open(&ledger).await, &report.clone().only(section.name).unwrap()).await;
        assert_eq!(together[section.name], alone[section.name], "{}", section.name);
        assert!(!together[section.name].as_array().unwrap().is_empty());
    }
    let plan = explain(&session, "EXPLAIN", "SELECT * FROM spend_by_workload").await;
    assert_eq!((plan.matches("SharedExec: spend_by_workload").count(), scans(&plan)), (1, 0), "{plan}");
    let plan = explain(&session, "EXPLAIN", "SELECT team FROM calls").await;
    assert_eq!((plan.matches("SharedExec").count(), scans(&plan)), (0, 1), "one row a call is not kept: {plan}");
}

async fn json(session: &Session, report: &Report) -> serde_json::Value {
    let mut text = Vec::new();
    render_report(session, report, Format::Json, usize::MAX, &mut text).await.unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[tokio::test]
async fn each_mention_reads_the_same_rows() {
    let session = fixture::open(&fixture::company().await).await;
    let shared = format!(
        "{DAILY} SELECT a.event_date, a.team, a.calls, b.list_cost FROM daily AS a JOIN daily AS b
         ON b.event_date = a.event_date AND b.team IS NOT DISTINCT FROM a.team WHERE a.calls > 1 ORDER BY 1, 2"
    );
    assert!(explain(&session, "EXPLAIN", &shared).await.contains("SharedExec"));
    let once = format!("{DAILY} SELECT event_date, team, calls, list_cost FROM daily WHERE calls > 1 ORDER BY 1, 2");
    assert_eq!(text(&session, &shared).await, text(&session, &once).await);
    let counted = format!(
        "{DAILY} SELECT (SELECT 1) AS one, a.n, b.n FROM (SELECT count(*) AS n FROM daily) AS a
                           CROSS JOIN (SELECT count(*) AS n FROM daily) AS b"
    );
    assert!(text(&session, &counted).await.contains("| 1   | 6 | 6 |"), "{}", text(&session, &counted).await);
}

#[tokio::test]
async fn columns_that_no_mention_needs_are_not_read() {
    let session = fixture::open(&fixture::company().await).await;
    let sql = format!(
        "{DAILY} SELECT a.list_cost, b.input_tokens FROM daily AS a JOIN daily AS b ON b.event_date = a.event_date"
    );
    let plan = explain(&session, "EXPLAIN", &sql).await;
    assert!(plan.contains("computed once:"), "{plan}");
    assert!(plan.contains("projection=[event_date, team, input_tokens, list_cost]"), "{plan}");
}

#[tokio::test]
async fn mentions_that_need_different_days_read_those_days() {
    let session = fixture::open(&fixture::company().await).await;
    let days = format!(
        "{DAILY} SELECT * FROM daily WHERE event_date = '2026-11-18'
         UNION ALL SELECT * FROM daily WHERE event_date >= '2026-11-20'"
    );
    let plan = explain(&session, "EXPLAIN ANALYZE", &days).await;
    assert!(!plan.contains("SharedExec"), "{plan}");
    assert_eq!(plan.matches("files_pruned_by_partition=3 total → 1 matched").count(), 2, "{plan}");

    let bounds = format!(
        "{DAILY} SELECT * FROM daily WHERE team = 'nobody' UNION ALL SELECT * FROM daily WHERE team = 'search'"
    );
    let plan = explain(&session, "EXPLAIN ANALYZE", &bounds).await;
    assert!(plan.contains("files_pruned_by_statistics=3 total → 0 matched"), "{plan}");

    // The day is inside of what is shared.
    let inside = DAILY.replace("GROUP BY", "WHERE event_date = '2026-11-19' GROUP BY");
    let sql = format!("{inside} SELECT * FROM daily UNION ALL SELECT * FROM daily");
    let plan = explain(&session, "EXPLAIN ANALYZE", &sql).await;
    assert_eq!(plan.matches("files_pruned_by_partition=3 total → 1 matched").count(), 1, "{plan}");
}

#[tokio::test]
async fn what_differs_each_time_is_never_shared() {
    let session = fixture::open(&fixture::company().await).await;
    for sql in [
        "WITH d AS (SELECT team, random() AS r, count(*) FROM usage GROUP BY team) SELECT * FROM d UNION ALL SELECT * FROM d",
        "WITH d AS (SELECT team, count(*) FROM usage WHERE list_cost > (SELECT random()) GROUP BY team)
         SELECT * FROM d UNION ALL SELECT * FROM d",
        "WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 3),
         d AS (SELECT n, count(*) FROM s CROSS JOIN usage GROUP BY n) SELECT * FROM d UNION ALL SELECT * FROM d",
        // Not added up: rows of calls would have to be kept.
        "WITH d AS (SELECT entry_id, team FROM usage) SELECT * FROM d UNION ALL SELECT * FROM d",
    ] {
        let plan = explain(&session, "EXPLAIN", sql).await;
        assert!(!plan.contains("SharedExec"), "{sql}: {plan}");
        assert!(scans(&plan) >= 2, "{sql}: {plan}");
    }
}

/// Many rows of the few calls there are.
const MANY: &str = "WITH many AS (
    SELECT value, repeat('x', 200) AS pad, count(*) AS calls FROM usage CROSS JOIN generate_series(1, 20000) GROUP BY value)";

#[tokio::test]
async fn a_mention_that_stops_early_stops_no_other() {
    let session = fixture::open(&fixture::company().await).await;
    let early = format!(
        "{MANY} SELECT count(*) AS n FROM (SELECT value FROM many LIMIT 1) AS a CROSS JOIN (SELECT value FROM many) AS b
         UNION ALL (SELECT calls FROM many LIMIT 1) ORDER BY n"
    );
    assert!(explain(&session, "EXPLAIN", &early).await.contains("computed once:"));
    assert_eq!(text(&session, &early).await, "+-------+\n| n     |\n+-------+\n| 9     |\n| 20000 |\n+-------+");
    // A hash join reads one side whole before it asks the other for a row.
    let join = format!("{MANY} SELECT count(*) AS n FROM many AS a JOIN many AS b ON b.value = a.value + 1");
    assert_eq!(text(&session, &join).await, "+-------+\n| n     |\n+-------+\n| 19999 |\n+-------+");
}

#[tokio::test]
async fn a_query_that_is_dropped_leaves_no_task() {
    let session = fixture::open(&fixture::company().await).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let sql = format!("{MANY} SELECT a.pad, b.pad FROM many AS a JOIN many AS b ON b.value = a.value + 1");
    let mut rows = session.run(&sql).await.unwrap();
    assert!(rows.next().await.unwrap().is_some());
    drop(rows);
    let rows = session.run(&sql).await.unwrap();
    tokio::task::yield_now().await;
    drop(rows);
    while tasks() > before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn rows_beyond_the_memory_limit_are_kept_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SessionOptions { memory_bytes_max: 32 << 20, spill_folder: Some(folder.path().into()), ..fixture::options() };
    let session = Session::open(&fixture::company().await, options).await.unwrap();
    let many = MANY.replace("20000", "100000");
    let sql = format!(
        "{many} SELECT count(*), sum(calls), max(pad) = repeat('x', 200) FROM (SELECT * FROM many UNION ALL SELECT * FROM many)"
    );
    let plan = explain(&session, "EXPLAIN ANALYZE", &sql).await;
    let shared = plan.lines().find(|line| line.contains("= 1 `many`")).unwrap_or_default();
    assert!(shared.contains("spill_count=1"), "{plan}");
    assert!(text(&session, &sql).await.contains("| 200000   | 1800000"), "{}", text(&session, &sql).await);
}

#[tokio::test]
async fn an_error_of_what_is_shared_is_reported_as_its_own() {
    let ledger = fixture::company().await;
    let session = fixture::open(&ledger).await;
    let zero = DAILY.replace("max(latency_ms)", "1 / (max(latency_ms) - max(latency_ms))");
    let both = "SELECT * FROM daily AS a JOIN daily AS b ON b.event_date = a.event_date";
    let error = session.run(&format!("{zero} {both}")).await.unwrap().collect().await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("QUERIES-007", "the query failed: Divide by zero error"));

    let path = format!("ledger/usage/{}", ledger.usage().load(None).await.unwrap().files()[0].path);
    object_store::ObjectStoreExt::delete(ledger.root().store.as_ref(), &path.into()).await.unwrap();
    let error = session.run(&format!("{DAILY} {both}")).await.unwrap().collect().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("QUERIES-014", Kind::Conflict));
}
