//! Evidence in views: what renews an option, and what does not.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::{Date, Evidence, EvidenceKind, Instant};
use daybook_queries::{RegistryChoice, Session, SessionOptions};

use crate::{fixture, portfolio};

/// A test of `chat`, whose last success elsewhere is older than its window of 90 days; the ledger ends on 2026-11-20.
fn tested(provider: &str, day: &str, counts: Option<(i64, i64)>) -> Evidence {
    Evidence {
        workload: Some("chat".into()),
        provider: Some(provider.into()),
        model: Some("m".into()),
        runs: counts.map(|(_, runs)| runs),
        passed: counts.map(|(passed, _)| passed),
        ..Evidence::new(EvidenceKind::PortabilityTest, Date::parse(day).unwrap())
    }
}

/// `option`, `second_provider`, its day, `shown_by` and `fresh_until` of `chat` once `facts` are recorded.
async fn option(facts: &[Evidence]) -> String {
    let ledger = portfolio::ledger().await;
    ledger.record(facts, Instant::parse("2026-11-21T09:00:00Z").unwrap()).await.unwrap();
    let registry = RegistryChoice::Given(Arc::new(portfolio::registry()));
    let session = Session::open(&ledger, SessionOptions { registry, ..fixture::options() }).await.unwrap();
    let sql = "SELECT concat_ws(' ', option, second_provider, second_provider_day, shown_by, fresh_until) FROM lockin \
               WHERE workload = 'chat'";
    let rows = session.run(sql).await.unwrap().collect().await.unwrap();
    cast(rows[0].column(0), &DataType::Utf8).unwrap().as_string::<i32>().value(0).to_owned()
}

#[tokio::test]
async fn a_test_that_passed_elsewhere_renews_the_option_for_its_window() {
    let stale = "stale mistral 2026-07-01 calls 2026-09-29";
    assert_eq!(option(&[]).await, stale);
    for (counts, renews) in [(None, true), (Some((1, 100)), true), (Some((0, 100)), false)] {
        let expected = if renews { "fresh cohere 2026-11-15 test 2027-02-13" } else { stale };
        assert_eq!(option(&[tested("cohere", "2026-11-15", counts)]).await, expected, "{counts:?}");
    }
    // Ninety days before the last day of the ledger, and ninety-one.
    assert_eq!(option(&[tested("cohere", "2026-08-22", None)]).await, "fresh cohere 2026-08-22 test 2026-11-20");
    assert_eq!(option(&[tested("cohere", "2026-08-21", None)]).await, "stale cohere 2026-08-21 test 2026-11-19");
}

#[tokio::test]
async fn a_test_on_the_main_provider_or_of_another_kind_renews_nothing() {
    let stale = "stale mistral 2026-07-01 calls 2026-09-29";
    assert_eq!(option(&[tested("openai", "2026-11-15", None)]).await, stale);
    let note = Some("found".into());
    let audit = Evidence { kind: EvidenceKind::Audit, note, ..tested("cohere", "2026-11-15", None) };
    assert_eq!(option(&[audit]).await, stale);
    let other = Evidence { workload: Some("tools".into()), ..tested("cohere", "2026-11-15", None) };
    assert_eq!(option(&[other]).await, stale);
}

#[tokio::test]
async fn a_failed_test_after_a_good_one_is_shown_and_takes_nothing_back() {
    let facts = [tested("cohere", "2026-11-10", Some((9, 10))), tested("cohere", "2026-11-15", Some((0, 10)))];
    assert_eq!(option(&facts).await, "fresh cohere 2026-11-10 test 2027-02-08");
}
