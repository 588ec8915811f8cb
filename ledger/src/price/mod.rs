//! What a call costs: the price book and the rules that apply it.
//!
//! A [`Book`] is built once from rows of a sheet ([`Book::default_sheet`], [`Book::read_csv`], [`Book::from_rows`]) and then
//! only read. For every product (provider and model) it keeps the rate cards in force over time, with every documented
//! fallback already resolved, so that [`Book::price`] is a lookup and one exact sum.
//!
//! - A rate is the rate at the time of the call; the [`Rated::price_id`] names the rate card that was used.
//! - What is not known is never priced: no cost, and a [`PriceStatus`] that says why. Zero is only what costs nothing.
//! - Decimal from sheet to total: the exact sum over all meters, rounded once, half to even, to twelve places.
//!
//! The rules are in `docs/prices.md`.
//!
//! ```
//! use daybook_ledger::price::{Book, Call};
//! use daybook_ledger::{Entry, Instant, Operation, Tokens};
//!
//! let book = Book::default_sheet()?;
//! let mut entry = Entry::new("litellm", Operation::Chat, b"{}");
//! entry.provider = Some("openai".into());
//! entry.response_model = Some("gpt-4o-mini-2024-07-18".into());
//! entry.tokens = Tokens { input: Some(1_000), output: Some(100), ..Tokens::default() };
//! let buckets = entry.tokens.buckets();
//! let at = Instant::parse("2026-11-20T09:00:00Z").ok_or("a time")?;
//!
//! let rated = book.price(&Call::of(&entry, &buckets, at));
//! assert_eq!(rated.list_cost.map(|cost| cost.to_string()).as_deref(), Some("0.000210000000"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `unit` | [`Unit`]: tier, meter and context band of a row |
//! | `book` | [`Row`], [`Book`]: rows checked, sorted into products, overlaid |
//! | `capacity` | hours that are paid, spread over calls |
//! | `terms` | uplifts, discounts, patterns |
//! | `names` | which product a model name means |
//! | `notice` | what a sheet does not do, though it looks so |
//! | `card` | rate cards: versions in time, fallbacks resolved |
//! | `call` | [`Call`]: what of an entry is priced |
//! | `rate` | [`Call`] to [`Rated`] and [`Explanation`] |
//! | `import` | our CSV, in and out |
//! | `litellm`, `litellm_keys` | LiteLLM's price file |
//! | `past` | calls read back from `usage` |
//! | `coverage` | what of a ledger has no price |
//! | `diff` | two books side by side |
//! | `group`, `cuts` | calls summed before they are priced, and what must not be summed |
//! | `exact` | dollars before they are rounded |
//! | `recorded` | the calls of a ledger, corrections applied |
//! | `valuation` | what recorded calls cost at other prices |
//! | `stored` | the book of a ledger: default sheet and imports |
//! | `used` | the rows behind recorded costs |

mod book;
mod call;
mod capacity;
mod card;
mod coverage;
mod cuts;
mod diff;
mod error;
mod exact;
mod group;
mod import;
mod litellm;
mod litellm_keys;
mod names;
mod notice;
mod past;
mod rate;
mod recorded;
mod stored;
mod terms;
#[cfg(test)]
mod tests;
mod unit;
mod used;
mod valuation;

pub use book::{Book, Row};
pub use call::Call;
pub use capacity::Idle;
pub use coverage::{Coverage, Unpriced};
pub use cuts::{Cuts, scaled_tokens};
pub use diff::{BookDiff, Change};
pub use error::{Error, Fault, Place, Problem, UnknownColumn};
pub use exact::Exact;
pub use group::{Group, Groups, PricesOf, Product, Used};
pub use import::COLUMNS;
pub use litellm::{LeftOut, LiteLlm, Period};
pub use names::MatchedBy;
pub use notice::Notice;
pub use past::{PastCall, PastCalls};
pub use rate::{Explanation, Line, PriceStatus, RateOf, Rated};
pub use recorded::{Chunk, DayCalls, Recorded};
pub use stored::{Imports, Sheet};
pub use unit::{Hours, Meter, Tier, Unit, UnknownUnit};
pub use used::write_used;
pub use valuation::{RECORDED, Valuation, Valued, is_valuation_name};
