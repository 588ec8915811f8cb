//! Files and objects: found, opened, decompressed, split into records.
//!
//! A record is what one Kafka message would hold. Reading is synchronous, for a thread of its own, and holds one record
//! and a read-ahead, whatever the size of the file.

mod codec;
mod columnar;
mod document;
mod fault;
mod input;
mod kind;
mod lines;
mod place;
mod table;
mod unwrap;
mod window;

use std::borrow::Cow;

use daybook_ledger::Instant;

pub(crate) use columnar::Source as ParquetSource;
pub use fault::{Fault, Spot};
pub use input::Input;
pub(crate) use input::Origin;
pub use kind::{Container, Opened, open};
pub use place::{Found, find};
pub(crate) use table::BAD_ROW;

/// A record may take this many bytes; Kafka's default limit for a message is 1 MiB.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

/// One record of a file.
#[derive(Debug)]
pub struct Record<'a> {
    /// The event.
    pub value: Cow<'a, [u8]>,
    /// Where it stands.
    pub spot: Spot,
    /// The time its container gives it, if the container gives one.
    pub timestamp: Option<Instant>,
    /// Why it cannot be an event, if that shows without decoding it.
    pub refused: Option<Refusal>,
}

/// A record that its container already shows to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

/// The records of one file, in order.
pub trait Records: Send {
    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// [`Fault`]: the file cannot be read further. Asking again is not allowed.
    fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault>;
}

#[cfg(test)]
mod tests;
