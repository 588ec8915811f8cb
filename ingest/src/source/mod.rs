//! Where events come from.

pub(crate) mod brokers;
pub mod file;
pub(crate) mod kafka;
