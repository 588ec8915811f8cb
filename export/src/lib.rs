//! Bundles: everything under one selection, in open formats, that a stranger can check.
//!
//! [`write()`] reads pinned versions of a ledger's tables day by day and writes a BagIt 1.0 bag (RFC 8493) with a Data Package v2
//! descriptor: whole or not at all, the same bytes for the same versions and arguments. [`verify::bundle`] checks one with
//! nothing but the bundle; [`verify::ledger`] checks that a ledger's files are what its commits say.
//!
//! Memory does not grow with the ledger: two data files of the source, one batch per format, and 16 bytes per selected
//! entry of one day.
//!
//! | module | holds |
//! | --- | --- |
//! | `bundle` | the request, the order of effects |
//! | `source` | which versions and files are read, and in what order |
//! | `select` | which rows of them |
//! | `format` | rows as JSONL, CSV and Parquet |
//! | `folder` | files with their digests, whole or not at all |
//! | `totals` | counts and sums, the same for writing and verifying |
//! | `describe` | `datapackage.json`, `README.md`, `schema.md`, tag files |
//! | [`verify`] | differences, by name |
#![deny(clippy::float_arithmetic)]

mod bundle;
mod describe;
mod error;
mod folder;
mod format;
mod manifest;
mod progress;
mod select;
mod source;
mod totals;
pub mod verify;

pub use bundle::{Request, Summary, write};
pub use error::Error;
pub use format::Format;
pub use progress::{Progress, Silent};
pub use source::Part;
