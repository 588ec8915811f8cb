//! Daybook's tables: what an entry is, what a call costs, how rows become Parquet files and Delta commits.
//!
//! Knows neither Kafka nor SQL. [`Entry`] is one call, [`schema`] declares every column, [`file`](mod@file) encodes data
//! files, [`Table`] commits them, [`Ledger`] is the tables under one root, [`maintenance`] keeps them healthy, [`seal`] makes
//! what they say provable, [`neutral`] reads what was said in words of no vendor.

mod answer;
mod billing;
mod clock;
mod columns;
pub mod doctor;
mod entry;
mod error;
mod evidence;
pub mod file;
mod identity;
mod ledger;
pub mod maintenance;
mod money;
pub mod neutral;
pub mod price;
mod row;
pub mod schema;
pub mod seal;
mod store;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tokens;
mod version;
mod words;

pub use billing::{BillingLine, BillingOrigin, ChargeCategory, Report as BillingReport};
pub use clock::{Clock, Date, FixedClock, Instant, SystemClock};
pub use columns::Kind as ColumnKind;
pub use entry::{Body, Entry, EntryId, Feature, Features, Finality, Operation, Status, UsageSource};
pub use error::{Error, Kind, Report};
pub use evidence::{ArtifactDetails, ArtifactKind, Evidence, EvidenceKind, Recorded, Score};
pub use ledger::Ledger;
pub use money::{NotAnAmount, PRECISION, SCALE, Usd};
pub use row::{Cost, Origin, Row, content_partial};
pub use store::Root;
pub use table::{Commit, CommitOutcome, DataFile, LogEntry, PositionChange, Snapshot, StoredFile, Table};
pub use tokens::{Buckets, Tokens};
pub use version::{NextOffset, TableVersion};
