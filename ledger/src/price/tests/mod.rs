//! The promises of `docs/prices.md`, on the default sheet and on small sheets of their own.

mod cost;
mod properties;
mod sheet;
mod terms;

use std::sync::LazyLock;

use super::*;
use crate::{Buckets, Date, Instant, Operation, Report as _, Tokens, Usd};

static DEFAULT: LazyLock<Book> = LazyLock::new(|| Book::default_sheet().unwrap());

/// A call at noon of 2026-11-20, on a book.
#[derive(Clone, Debug)]
struct Case {
    provider: &'static str,
    model: &'static str,
    at: &'static str,
    tokens: Tokens,
    meters: Vec<(&'static str, Usd)>,
    tier: Option<&'static str>,
    region: Option<&'static str>,
    operation: Operation,
    batch: bool,
    provisioned: bool,
    gateway_cache_hit: bool,
}

fn case(provider: &'static str, model: &'static str, input: i64, output: i64) -> Case {
    Case {
        provider,
        model,
        at: "2026-11-20T12:00:00Z",
        tokens: Tokens { input: Some(input), output: Some(output), ..Tokens::default() },
        meters: Vec::new(),
        tier: None,
        region: None,
        operation: Operation::Chat,
        batch: false,
        provisioned: false,
        gateway_cache_hit: false,
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn tokens(mut self, change: impl FnOnce(&mut Tokens)) -> Self {
        change(&mut self.tokens);
        self
    }

    fn on<T>(&self, f: impl FnOnce(&Call<'_>) -> T) -> T {
        let buckets = self.tokens.buckets();
        f(&Call {
            provider: Some(self.provider),
            response_model: Some(self.model),
            request_model: None,
            service_tier: self.tier,
            region: self.region,
            at: Instant::parse(self.at).unwrap(),
            operation: self.operation,
            tokens: &self.tokens,
            buckets: &buckets,
            meters: &self.meters,
            batch: self.batch,
            provisioned: self.provisioned,
            gateway_cache_hit: self.gateway_cache_hit,
        })
    }

    /// The cost, or why there is none; never both, never neither.
    fn outcome_in(&self, book: &Book) -> Result<Usd, PriceStatus> {
        let rated = self.on(|call| book.price(call));
        assert_eq!(rated.price_id.is_some(), rated.status == PriceStatus::Priced, "{rated:?}");
        match rated.status {
            PriceStatus::Priced | PriceStatus::GatewayCache => Ok(rated.list_cost.expect("a priced call has a cost")),
            status => {
                assert_eq!(rated.list_cost, None, "what is not priced has no cost, not even 0");
                Err(status)
            }
        }
    }

    fn outcome(&self) -> Result<Usd, PriceStatus> {
        self.outcome_in(&DEFAULT)
    }

    fn price_id(&self) -> String {
        self.on(|call| DEFAULT.price(call).price_id.unwrap().to_owned())
    }
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

fn costs(text: &str) -> Result<Usd, PriceStatus> {
    Ok(usd(text))
}

/// A sheet of `provider,model,from,to,unit,rate` lines.
fn sheet(lines: &[&str]) -> Book {
    Book::read_csv(csv(lines).as_bytes(), "test").unwrap()
}

fn csv(lines: &[&str]) -> String {
    let rows: String = lines.iter().map(|line| format!("{line},test\n")).collect();
    format!("{}\n{rows}", COLUMNS.join(","))
}

fn refusal(text: &str) -> Error {
    Book::read_csv(text.as_bytes(), "test.csv").unwrap_err()
}
