//! From Kafka to the ledger, exactly once.
//!
//! [`decode`] turns a message into entries, [`core`] decides (no I/O), [`driver`] runs its effects, [`writer`] commits.
//! Positions live in the same commit as the rows, so a crash, a rebalance or a retry at any point loses and doubles
//! nothing.

mod batch;
pub mod billing;
pub mod core;
pub mod decode;
pub mod doctor;
pub mod driver;
pub mod embedded;
mod ends;
mod error;
pub mod event;
mod group;
mod http;
pub mod import;
mod index;
pub mod metrics;
mod observe;
mod partition;
pub mod quarantine;
pub mod receive;
mod settings;
pub mod source;
mod stall;
mod totals;
pub mod writer;
mod writing;

pub use batch::{ClosedBatch, Range};
pub use error::Error;
pub use partition::{Mark, Partition, Positions};
pub use settings::{Capture, FlushLimits, OnGap, SILENCE_MAX, Settings, Start};
pub use totals::Totals;
