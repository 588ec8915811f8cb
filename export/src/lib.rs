//! Bundles: everything under one selection, in open formats, that a stranger can check.
//!
//! [`write()`] reads pinned versions of a ledger's tables day by day and writes a BagIt 1.0 bag (RFC 8493) with a Data Package v2
//! descriptor: whole or not at all, the same bytes for the same versions and arguments. [`verify::bundle`] checks one with
//! nothing but the bundle; [`verify::ledger`] checks that a ledger's files are what its commits say.
//!
//! Memory does not grow with the ledger: two data files of the source, per table three batches and an open Parquet row group,
//! and 17 bytes per selected entry of one day.
//!
//! | module | holds |
//! | --- | --- |
//! | `bundle` | the request, the order of effects |
//! | `delivered` | a bundle that stands already |
//! | `rehearse`, `pace` | a part of an export, to know how long the whole takes; how fast bytes may move |
//! | `part`, `series`, `source` | the tables; their data files; which versions and files are read, and in what order |
//! | `scope`, `select` | which rows of them |
//! | `rates` | the rates that their costs were made of |
//! | `format` | rows as JSONL, CSV and Parquet |
//! | `artifact` | what was made with a vendor beside the calls: looked at, listed, carried |
//! | `migrate` | what was said in the shapes of other vendors, and what that loses |
//! | `digest` | files whose digests are taken while they are written |
//! | `writer` | where they go: a folder, one file, a bucket, nowhere; whole or not at all |
//! | `totals` | counts and sums, the same for writing and verifying |
//! | `describe` | `datapackage.json`, `README.md`, `schema.md`, tag files |
//! | `encryption` | a file that only some can open, as `age` makes and opens it |
//! | `sign` | signatures, as `minisign` and `ssh-keygen` make and check them |
//! | `reader` | the files of a bundle, wherever it lies |
//! | [`verify`] | differences, by name |
//! | `views` | text by reference, where a file has once what many rows mean |
//! | `restore`, `diff` | a bundle as a ledger again; two ledgers row by row |
#![deny(clippy::float_arithmetic)]

mod artifact;
mod bundle;
mod delivered;
mod describe;
mod diff;
mod digest;
mod encryption;
mod error;
mod format;
mod manifest;
mod migrate;
mod pace;
mod part;
mod progress;
mod rates;
mod reader;
mod rehearse;
mod restore;
mod scope;
mod select;
mod series;
mod sign;
mod source;
mod totals;
pub mod verify;
mod views;
mod writer;

pub use artifact::{Artifact, Inspected, artifacts, inspect};
pub use bundle::{File, MigrationSummary, Request, Summary, preview, write};
pub use delivered::{Delivered, delivered};
pub use diff::diff;
pub use encryption::{Encryption, Identity, Keys, Passphrase, Recipient};
pub use error::Error;
pub use format::Format;
pub use migrate::{Destination, Migration};
pub use part::Part;
pub use progress::{Progress, Silent};
pub use reader::Bundle;
pub use rehearse::{Prediction, Rehearsal, rehearse};
pub use restore::{Restored, refuse_if_taken, restore, restore_verified};
pub use scope::{Axis, Condition, Scope};
pub use sign::{NAMESPACE, SigningKey, VerifyingKey};
