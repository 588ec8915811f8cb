//! Reports over a small company's ledger.

use daybook_ledger::price::{Book, Valuation};
use daybook_ledger::testing::{append, call};
use daybook_ledger::{Instant, Ledger, Report as _, Root, Usd};
use daybook_queries::report::{By, Compared, DiffOptions, diff};
use daybook_queries::{Format, render};

use crate::fixture;

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

async fn value(ledger: &Ledger, name: &str, rates: &[(&str, &str)]) {
    let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";
    let row = |(model, rate): &(&str, &str)| {
        format!("p,{model},2026-01-01,,input,{rate},x\np,{model},2026-01-01,,output,{rate},x\n")
    };
    let csv = header.to_owned() + &rates.iter().map(row).collect::<String>();
    let book = Book::read_csv(csv.as_bytes(), name).unwrap();
    let valuation = Valuation { name, from: None, to: None, created_at: Instant::from_micros(1) };
    book.value(ledger, &valuation).await.unwrap();
}

/// Three calls on two days; `one` and `two` price models m and n, `two` not n on the first.
async fn ledger() -> Ledger {
    Box::pin(two_days()).await
}

async fn two_days() -> Ledger {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let million = (1_000_000, 0);
    let first = [
        (call("a", "p", "m", "t", "2026-11-19T10:00:00Z", million), Some(usd("1.000000000001"))),
        (call("b", "p", "n", "t", "2026-11-19T11:00:00Z", million), None),
    ];
    append(&ledger, "b1", &first).await;
    Box::pin(value(&ledger, "early", &[("m", "2"), ("n", "5")])).await;
    append(&ledger, "b2", &[(call("c", "p", "m", "t", "2026-11-20T10:00:00Z", million), Some(usd("3")))]).await;
    Box::pin(value(&ledger, "july", &[("m", "4")])).await;
    ledger
}

fn options(a: &str, b: &str, by: &[By]) -> DiffOptions {
    DiffOptions { a: a.into(), b: b.into(), by: by.to_vec(), from: None, to: None }
}

async fn csv(ledger: &Ledger, options: &DiffOptions) -> (String, Compared) {
    let session = fixture::open(ledger).await;
    let (rows, total) = diff(&session, options).await.unwrap();
    let mut text = Vec::new();
    render(rows, Format::Csv, Default::default(), &mut text).await.unwrap();
    (String::from_utf8(text).unwrap(), total)
}

#[tokio::test]
async fn valuations_are_compared_exactly_and_what_only_one_prices_is_told_apart() {
    let ledger = ledger().await;
    let (text, total) = csv(&ledger, &options("recorded", "july", &[By::Model, By::Day])).await;
    assert_eq!(
        text,
        "model,day,calls,a_cost,b_cost,difference,changed_calls,a_unpriced,b_unpriced,a_only,b_only\n\
         m,2026-11-19,1,1.000000000001,4.000000000000,2.999999999999,1,0,0,0,0\n\
         m,2026-11-20,1,3.000000000000,4.000000000000,1.000000000000,1,0,0,0,0\n\
         n,2026-11-19,1,,,,0,1,1,0,0\n"
    );
    let expected = Compared {
        calls: 3,
        a_cost: Some(usd("4.000000000001")),
        b_cost: Some(usd("8")),
        difference: Some(usd("3.999999999999")),
        changed_calls: 2,
        a_unpriced: 1,
        b_unpriced: 1,
        ..Compared::default()
    };
    assert_eq!(total, expected);

    let (text, _) = csv(&ledger, &options("july", "early", &[])).await;
    assert_eq!(
        text,
        "calls,a_cost,b_cost,difference,changed_calls,a_unpriced,b_unpriced,a_only,b_only\n\
         2,4.000000000000,7.000000000000,-2.000000000000,1,1,0,1,0\n",
        "early knows neither the call of the 20th nor a reason to compare it; july does not price n"
    );
}

#[tokio::test]
async fn a_period_is_half_open() {
    let ledger = ledger().await;
    let day = |text| daybook_ledger::Date::parse(text);
    let of = |from, to| DiffOptions { from, to, ..options("recorded", "july", &[]) };
    assert_eq!(csv(&ledger, &of(day("2026-11-20"), None)).await.1.calls, 1);
    assert_eq!(csv(&ledger, &of(None, day("2026-11-20"))).await.1.calls, 2);
    assert_eq!(csv(&ledger, &of(day("2026-11-21"), None)).await.1, Compared::default());
}

#[tokio::test]
async fn an_unknown_valuation_is_named_with_the_nearest() {
    let session = fixture::open(&ledger().await).await;
    let error = diff(&session, &options("recorded", "jully", &[])).await.unwrap_err();
    assert_eq!(error.to_string(), "unknown valuation `jully`; did you mean `july`?");
    assert_eq!(error.code(), "QUERIES-020");
    assert!(error.hint().unwrap().starts_with("there are `early`, `july`, `recorded`;"), "{:?}", error.hint());
    assert!(diff(&session, &options("x' OR '1'='1", "july", &[])).await.is_err());
}

#[tokio::test]
async fn a_ledger_from_before_valuations_reads_them_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    let address = dir.path().join("ledger").display().to_string();
    let ledger = Ledger::open_or_create(&address).await.unwrap();
    append(&ledger, "b", &[(call("a", "p", "m", "t", "2026-11-19T10:00:00Z", (1, 1)), None)]).await;
    std::fs::remove_dir_all(dir.path().join("ledger/valuations")).unwrap();

    let ledger = Ledger::open(&address).await.unwrap();
    let session = fixture::open(&ledger).await;
    let rows = session.run("SELECT count(*) FROM valuations").await.unwrap().collect().await.unwrap();
    assert_eq!(rows[0].num_rows(), 1);
    value(&ledger, "v", &[("m", "1")]).await;
    let (_, total) = csv(&ledger, &options("v", "recorded", &[])).await;
    assert_eq!((total.calls, total.b_unpriced), (1, 1));
}
