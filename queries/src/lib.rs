//! SQL over a ledger.
//!
//! A [`Session`] pins one state of every table and answers SQL from it: the tables of the ledger, the published
//! [`views`], and nothing outside of the ledger. It only reads. Which files hold a day and which cannot hold a value is
//! known from the Delta log, so a query opens the files it needs; memory beyond a limit goes to disk.
//!
//! ```
//! # use daybook_ledger::{Ledger, Root};
//! # use daybook_queries::{Drawing, Error, Format, Session, SessionOptions, render};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let ledger = Ledger::create_at(Root::memory()).await?;
//! let options = SessionOptions { time_zone: "Europe/Berlin".into(), ..SessionOptions::default() };
//! let session = Session::open(&ledger, options).await?;
//! let rows = session.run("SELECT provider, list_cost, unpriced_calls FROM spend_by_day").await?;
//! let mut text = Vec::new();
//! render(rows, Format::Csv, Drawing::default(), &mut text).await?;
//! assert_eq!(text, b"provider,list_cost,unpriced_calls\n");
//! # Ok(())
//! # }
//! ```
//!
//! `session` opens and runs, `catalog` and `statistics` choose files, `optimizer` plans otherwise than DataFusion does, `statement`
//! keeps out what writes, `as_of` finds states, `limits` bounds memory, `threads` keeps queries apart from who waits for them, `render`
//! writes rows, [`report`] holds questions with a fixed form, [`focus`] writes bills, [`mod@simulate`] replays calls at other prices,
//! `prices` prices in SQL, `membership` tells whose a row is, `replay` draws prompts, `names` and `error` say what was meant.
#![deny(clippy::float_arithmetic)]

mod as_of;
mod catalog;
mod describe;
mod error;
pub mod focus;
mod limits;
mod membership;
mod names;
mod optimizer;
mod prices;
pub mod registry;
mod render;
mod replay;
pub mod report;
mod session;
pub mod simulate;
mod statement;
mod statistics;
mod threads;
pub mod views;

pub use as_of::AsOf;
pub use catalog::{FILES_PRUNED_BY_PARTITION, FILES_PRUNED_BY_STATISTICS};
pub use describe::ColumnDescription;
pub use error::{Error, Position};
pub use limits::parse_bytes;
pub use membership::Membership;
pub use render::{Drawing, Format, NotAFormat, Rendered, counted, printable, render, rounded};
pub use replay::{ReplayOptions, Replayed, replay_set};
pub use session::{RegistryChoice, Rows, Session, SessionOptions};
pub use statement::Statement;
