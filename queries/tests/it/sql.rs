//! The `.slt` files under `tests/sql`: SQL and its rows. `DAYBOOK_WRITE_SQL=1` rewrites the rows, to be read in review.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use daybook_ledger::testing::{append, call};
use daybook_ledger::{Ledger, Report as _};
use daybook_queries::{Error, RegistryChoice, Session, SessionOptions};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::{fixture, outlook, portfolio, registry};

struct Database(Session);

/// An error with its code, as the command line prints it.
#[derive(Debug)]
struct Coded(Error);

impl std::fmt::Display for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.0.code(), self.0)
    }
}

impl std::error::Error for Coded {}

#[async_trait]
impl AsyncDB for Database {
    type Error = Coded;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Coded> {
        let rows = self.0.run(sql).await.map_err(Coded)?;
        let types = rows.schema().fields().iter().map(|field| column_type(field.data_type())).collect();
        let mut text = Vec::new();
        for batch in rows.collect().await.map_err(Coded)? {
            let options = FormatOptions::new().with_null("NULL");
            let columns: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
            for row in 0..batch.num_rows() {
                text.push(columns.iter().map(|column| column.value(row).to_string()).collect());
            }
        }
        Ok(DBOutput::Rows { types, rows: text })
    }

    async fn shutdown(&mut self) {}
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        DataType::Decimal128(..) => DefaultColumnType::FloatingPoint,
        other if other.is_integer() => DefaultColumnType::Integer,
        _ => DefaultColumnType::Text,
    }
}

async fn check(file: &str, ledger: &Ledger, time_zone: &str) {
    check_with(file, ledger, SessionOptions { time_zone: time_zone.into(), ..fixture::options() }).await;
}

async fn check_with(file: &str, ledger: &Ledger, options: SessionOptions) {
    let session = Session::open(ledger, options).await.unwrap();
    let mut runner = Runner::new(|| async { Ok(Database(session.clone())) });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql").join(file);
    if std::env::var_os("DAYBOOK_WRITE_SQL").is_some() {
        let validator = sqllogictest::default_validator;
        let columns = sqllogictest::default_column_validator;
        let normalizer = sqllogictest::default_normalizer;
        runner.update_test_file(&path, " ", validator, normalizer, columns).await.unwrap();
    }
    runner.run_file_async(&path).await.unwrap();
}

#[tokio::test]
async fn views_answer_as_published() {
    check("views.slt", &fixture::company().await, "UTC").await;
}

#[tokio::test]
async fn the_registry_answers_in_sql() {
    let registry = RegistryChoice::Given(Arc::new(registry::company()));
    check_with("registry.slt", &fixture::company().await, SessionOptions { registry, ..fixture::options() }).await;
}

#[tokio::test]
async fn the_way_out_is_known_as_far_as_it_was_walked() {
    let registry = RegistryChoice::Given(Arc::new(registry::company()));
    let options = SessionOptions { registry, ..fixture::options() };
    check_with("exit.slt", &fixture::rehearsed_company().await, options).await;
}

#[tokio::test]
async fn bills_stand_beside_spend() {
    check("billing.slt", &Box::pin(fixture::billed_company()).await, "UTC").await;
}

#[tokio::test]
async fn every_planted_fact_is_in_its_view() {
    let registry = RegistryChoice::Given(Arc::new(portfolio::registry()));
    let options = SessionOptions { registry, ..fixture::options() };
    check_with("portfolio.slt", &portfolio::ledger().await, options.clone()).await;
    check_with("nothing.slt", &fixture::empty().await, options.clone()).await;
    let unpriced = fixture::empty().await;
    let calls = ["a", "b"].map(|id| (call(id, "openai", "gpt-5", "chat", "2026-11-20T09:00:00Z", (10, 1)), None));
    append(&unpriced, "b", &calls).await;
    check_with("unpriced.slt", &unpriced, options).await;
}

#[tokio::test]
async fn what_is_to_come_and_what_could_be_saved_is_exact() {
    check_with("outlook.slt", &outlook::ledger().await, outlook::options()).await;
}

#[tokio::test]
async fn only_reading_is_possible() {
    check("read_only.slt", &fixture::company().await, "UTC").await;
}

#[tokio::test]
async fn an_id_is_found_by_what_is_printed_of_it() {
    check("ids.slt", &fixture::company().await, "UTC").await;
}

#[tokio::test]
async fn misspelt_names_get_the_nearest() {
    check("names.slt", &fixture::company().await, "UTC").await;
}

#[tokio::test]
async fn numbers_stay_exact() {
    check("exact.slt", &fixture::company().await, "UTC").await;
}

#[tokio::test]
async fn days_and_hours_follow_the_zone_and_its_summer_time() {
    let ledger = fixture::clock_changes().await;
    check("berlin.slt", &ledger, "Europe/Berlin").await;
    check("new_york.slt", &ledger, "America/New_York").await;
}
