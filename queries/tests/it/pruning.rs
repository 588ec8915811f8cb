//! A query reads the files it needs and no others, and finds the same rows as if it had read all.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect};
use daybook_ledger::testing::{append, call};
use daybook_ledger::{Entry, Ledger, Usd};
use daybook_queries::{FILES_PRUNED_BY_PARTITION, FILES_PRUNED_BY_STATISTICS, Session, SessionOptions};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::Config;

use crate::fixture;

/// What a scan did: files left out by day and by bounds, and bytes read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    pruned_by_partition: usize,
    pruned_by_statistics: usize,
    bytes_scanned: usize,
}

async fn scan(session: &Session, sql: &str) -> Scan {
    let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    collect(Arc::clone(&plan), session.context().task_ctx()).await.unwrap();
    let mut scan = Scan::default();
    add_metrics(plan.as_ref(), &mut scan);
    scan
}

fn add_metrics(plan: &dyn ExecutionPlan, scan: &mut Scan) {
    for metric in plan.metrics().unwrap_or_default().iter() {
        match metric.value() {
            MetricValue::PruningMetrics { name, pruning_metrics } if name == FILES_PRUNED_BY_PARTITION => {
                scan.pruned_by_partition += pruning_metrics.pruned();
            }
            MetricValue::PruningMetrics { name, pruning_metrics } if name == FILES_PRUNED_BY_STATISTICS => {
                scan.pruned_by_statistics += pruning_metrics.pruned();
            }
            value if value.name() == "bytes_scanned" => scan.bytes_scanned += value.as_usize(),
            _ => {}
        }
    }
    plan.children().into_iter().for_each(|child| add_metrics(child.as_ref(), scan));
}

async fn explain(session: &Session, sql: &str) -> String {
    let batches = session.run(&format!("EXPLAIN ANALYZE {sql}")).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn a_day_reads_only_its_own_file() {
    let session = fixture::open(&fixture::company().await).await;
    let sql = "SELECT sum(list_cost) FROM usage WHERE event_date = '2026-11-19'";
    let one_day = scan(&session, sql).await;
    assert_eq!((one_day.pruned_by_partition, one_day.pruned_by_statistics), (2, 0));
    let all_days = scan(&session, "SELECT sum(list_cost) FROM usage").await;
    assert!(one_day.bytes_scanned * 2 < all_days.bytes_scanned, "{one_day:?}, {all_days:?}");

    let text = explain(&session, sql).await;
    assert!(text.contains("files_pruned_by_partition=3 total → 1 matched"), "{text}");
    assert!(text.contains("usage/event_date=2026-11-19/b2-0000.parquet"), "{text}");
    assert!(!text.contains("FilterExec"), "the day is decided by the partition alone: {text}");
}

#[tokio::test]
async fn bounds_of_the_log_leave_files_out() {
    let session = fixture::open(&fixture::company().await).await;
    for (filter, pruned) in [
        ("started_at >= '2026-11-20T00:00:00Z'", 2),
        ("started_at = '2026-11-18T08:00:00.123456Z'", 2),
        ("team = 'nobody'", 3),
        ("team > 'search'", 0),
        ("provider = 'selfhosted'", 2),
        ("provider IN ('selfhosted', 'anthropic')", 0),
        ("provider LIKE 'self%'", 2),
        ("input_tokens > 10000", 2),
        ("input_tokens IS NULL", 2),
        ("event_date = '2026-11-18' OR input_tokens = 700", 1),
        ("request_model = 'gpt-5' AND output_tokens >= 900", 2),
    ] {
        let scan = scan(&session, &format!("SELECT event_id FROM usage WHERE {filter}")).await;
        assert_eq!(scan.pruned_by_statistics, pruned, "{filter}");
    }
    let text = explain(&session, "SELECT event_id FROM usage WHERE input_tokens > 10000").await;
    assert!(text.contains("files_pruned_by_statistics=3 total → 1 matched"), "{text}");
}

#[tokio::test]
async fn local_times_leave_files_out_in_every_zone() {
    let ledger = fixture::company().await;
    for (time_zone, pruned) in [("UTC", 3), ("Europe/Berlin", 2), ("America/New_York", 3)] {
        let options = SessionOptions { time_zone: time_zone.into(), ..fixture::options() };
        let session = Session::open(&ledger, options).await.unwrap();
        let scan = scan(&session, "SELECT event_id FROM usage WHERE started_at >= '2026-11-21 00:00:00'").await;
        assert_eq!(scan.pruned_by_statistics, pruned, "{time_zone}");
    }
}

#[tokio::test]
async fn counts_and_days_are_answered_from_the_log() {
    let session = fixture::open(&fixture::company().await).await;
    for sql in [
        "SELECT count(*) FROM usage",
        "SELECT count(*) FROM usage WHERE event_date >= '2026-11-19'",
        "SELECT min(event_date), max(event_date), max(input_tokens), count(team) FROM usage",
    ] {
        assert_eq!(scan(&session, sql).await.bytes_scanned, 0, "{sql}");
    }
}

#[tokio::test]
async fn one_entry_among_many_files_is_found_by_its_bloom_filter() {
    let session = fixture::open(&fixture::company().await).await;
    let sql = "SELECT event_id FROM usage WHERE entry_id = decode('3db8a1f2aed77c23cb6195708e593a9c', 'hex')";
    let text = explain(&session, sql).await;
    assert!(text.contains("row_groups_pruned_bloom_filter=3 total → 1 matched"), "{text}");
}

#[tokio::test]
async fn a_scan_that_needs_no_file_gives_no_row() {
    let session = fixture::open(&fixture::company().await).await;
    let rows = session.run("SELECT * FROM usage WHERE event_date = '2020-01-01'").await.unwrap();
    assert_eq!(rows.collect().await.unwrap().iter().map(|batch| batch.num_rows()).sum::<usize>(), 0);
    let empty = fixture::open(&fixture::empty().await).await;
    let rows = empty.run("SELECT count(*), sum(list_cost) FROM usage").await.unwrap().collect().await.unwrap();
    assert_eq!(rows[0].num_rows(), 1);
}

/// Five days of calls whose columns take few values, so that predicates hit and miss.
async fn varied() -> Ledger {
    let ledger = fixture::empty().await;
    for day in 0..5_i64 {
        let ids: Vec<String> = (0..7).map(|n| format!("{day}-{n}")).collect();
        let times: Vec<String> = (0..7).map(|n| format!("2026-11-1{day}T{:02}:00:00Z", n * 3)).collect();
        let entry = |n: i64| -> (Entry<'_>, Option<Usd>) {
            let at = usize::try_from(n).unwrap();
            let provider = ["openai", "anthropic", "bedrock"][usize::try_from((n + day) % 3).unwrap()];
            let mut entry = call(&ids[at], provider, "m", "team", &times[at], (day * 100 + n, n * n));
            entry.team = (n % 4 != day % 4).then(|| format!("team-{}", (n + day) % 2).into());
            if n == 3 {
                entry.tokens = Default::default();
            }
            let cost = (n + day) % 3 != 0;
            (entry, cost.then(|| Usd::from_pico(i128::from(n * 1_000 + day * 7_000_000_000_000))))
        };
        append(&ledger, &format!("day{day}"), &(0..7).map(entry).collect::<Vec<_>>()).await;
    }
    ledger
}

fn comparison() -> BoxedStrategy<String> {
    let operator = prop_oneof![Just("="), Just("<>"), Just("<"), Just("<="), Just(">"), Just(">=")];
    let value = prop_oneof![
        (9..16_u8).prop_map(|day| ("event_date", format!("date '2026-11-{day:02}'"))),
        (9..16_u8, 0..24_u8)
            .prop_map(|(day, hour)| ("started_at", format!("timestamptz '2026-11-{day:02}T{hour:02}:00:00Z'"))),
        (-1..600_i64).prop_map(|tokens| ("input_tokens", tokens.to_string())),
        (-1..50_i64).prop_map(|tokens| ("output_tokens", tokens.to_string())),
        (0..3_u8).prop_map(|team| ("team", format!("'team-{team}'"))),
        prop_oneof![Just("openai"), Just("bedrock"), Just("zzz")].prop_map(|name| ("provider", format!("'{name}'"))),
        (0..40_u8, 0..7_u8).prop_map(|(dollars, n)| ("list_cost", format!("{dollars}.00000000{n}"))),
    ];
    let null = prop_oneof![Just("team"), Just("input_tokens"), Just("list_cost"), Just("event_date")];
    prop_oneof![
        8 => (value, operator).prop_map(|((column, value), operator)| format!("{column} {operator} {value}")),
        1 => (null, any::<bool>()).prop_map(|(column, not)| format!("{column} IS {}NULL", if not { "NOT " } else { "" })),
        1 => (0..7_i64).prop_map(|n| format!("event_id LIKE '{n}%'")),
    ]
    .boxed()
}

fn predicate() -> BoxedStrategy<String> {
    comparison()
        .prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
                inner.prop_map(|a| format!("(NOT {a})")),
            ]
        })
        .boxed()
}

#[tokio::test]
async fn the_first_rows_in_any_order_are_those_of_the_whole_order() {
    let session = fixture::open(&varied().await).await;
    for column in ["started_at", "event_date", "input_tokens", "list_cost", "team", "provider"] {
        for order in ["ASC NULLS FIRST", "ASC NULLS LAST", "DESC NULLS FIRST", "DESC NULLS LAST"] {
            // The first five are kept in a heap whose worst row prunes files while the query runs.
            let sql = format!("SELECT event_id FROM usage ORDER BY {column} {order}, event_id");
            let first = in_order(&session, &format!("{sql} LIMIT 5")).await;
            assert_eq!(first, in_order(&session, &sql).await[..5], "{column} {order}");
        }
    }
}

async fn ids(session: &Session, sql: &str) -> Vec<String> {
    let mut ids = in_order(session, sql).await;
    ids.sort_unstable();
    ids
}

async fn in_order(session: &Session, sql: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for batch in session.run(sql).await.unwrap().collect().await.unwrap() {
        let column = ArrayFormatter::try_new(batch.column(0), &FormatOptions::new()).unwrap();
        ids.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
    }
    ids
}

#[test]
fn pruning_never_changes_the_rows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = runtime.block_on(async { fixture::open(&varied().await).await });
    // The predicate as a value is true, false or null for every row: nothing can be left out.
    let unpruned = "SELECT event_id FROM (SELECT event_id, CASE WHEN {} THEN 1 ELSE 0 END AS hit FROM usage) WHERE hit + random() >= 1";
    proptest!(Config { cases: 150, ..Config::default() }, |(predicate in predicate())| {
        runtime.block_on(async {
            let pruned = ids(&session, &format!("SELECT event_id FROM usage WHERE {predicate}")).await;
            assert_eq!(pruned, ids(&session, &unpruned.replace("{}", &predicate)).await, "{predicate}");
        });
    });
}
