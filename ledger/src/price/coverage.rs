//! What of a ledger's calls a book prices, and what not.

use std::collections::BTreeMap;

use crate::{Error, Ledger};

use super::{Book, PriceStatus, Recorded};

/// Calls of one model that have no cost, for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpriced {
    /// Calls.
    pub calls: u64,
    /// Their input tokens, as far as they are known.
    pub input_tokens: i128,
    /// Their output tokens, as far as they are known.
    pub output_tokens: i128,
}

/// Which calls of a ledger a book leaves without a cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// All calls.
    pub calls: u64,
    /// Calls that were recorded without a cost.
    pub recorded_unpriced: u64,
    /// By provider, model and reason, those the book does not price.
    pub unpriced: BTreeMap<(Option<String>, Option<String>, PriceStatus), Unpriced>,
}

impl Book {
    /// Prices every call of `ledger` and counts those without a cost. Memory: a row group, and a line for each model.
    ///
    /// # Errors
    /// The ledger's errors.
    pub async fn coverage(&self, ledger: &Ledger) -> Result<Coverage, Error> {
        let recorded = Recorded::load(ledger, None, None).await?;
        let mut coverage = Coverage::default();
        for date in recorded.days() {
            let mut day = recorded.day(date).await?;
            while let Some(chunk) = day.next().await? {
                for past in chunk.iter() {
                    coverage.calls += 1;
                    coverage.recorded_unpriced += u64::from(past.list_cost.is_none());
                    let call = past.call();
                    let rated = self.price(&call);
                    if rated.list_cost.is_some() {
                        continue;
                    }
                    let name = |name: Option<&str>| name.map(String::from);
                    let key = (name(call.provider), name(call.response_model.or(call.request_model)), rated.status);
                    let unpriced = coverage.unpriced.entry(key).or_default();
                    unpriced.calls += 1;
                    unpriced.input_tokens += i128::from(call.tokens.input.unwrap_or(0));
                    unpriced.output_tokens += i128::from(call.tokens.output.unwrap_or(0));
                }
            }
        }
        Ok(coverage)
    }
}
