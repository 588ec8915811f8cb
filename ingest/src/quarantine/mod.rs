//! Messages that could not become entries: finding them again, and reading them after all.
//!
//! A row of `quarantine` is never touched. What became readable is written by the same core and writer as any message, and
//! then recorded in `resolutions`. Order of effects, and what a crash between two of them leaves:
//! 1. entries, in one commit with the position of the replay: they count; their messages still look unread, so the next
//!    replay reads them again, finds every call in the ledger, and goes on to
//! 2. `resolutions`, in one commit with its own position: the messages are done.
//!
//! Two replays at once fence each other at either commit, and the one that loses starts over with what is left.

mod message;
mod record;
mod replay;

use crate::core::{BEYOND_CAP, MISSED};
use crate::decode::DecodeError;
use crate::source::file::BAD_ROW;

pub(crate) use message::{Columns, FILE_HEADER};
pub use message::{Coordinates, Filter, NotCoordinates, Quarantined, find};
pub use replay::{ReplaySettings, Replayed, replay};

/// Every code that a message may be set aside with.
pub fn codes() -> impl Iterator<Item = &'static str> {
    DecodeError::CODES.iter().copied().chain([BEYOND_CAP, MISSED, BAD_ROW])
}
