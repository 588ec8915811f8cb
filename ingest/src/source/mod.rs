//! Where events come from.

pub mod file;
pub(crate) mod kafka;
