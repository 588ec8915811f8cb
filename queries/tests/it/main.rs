//! What the crate promises, tested through its public API.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod alike;
mod evidence;
mod facts;
mod fixture;
mod focus;
mod memory;
mod outlook;
mod page;
mod portfolio;
mod pruning;
mod registry;
mod render;
mod report;
mod session;
mod sharing;
mod simulate;
mod sql;
