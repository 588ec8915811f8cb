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

pub use message::{Coordinates, Filter, NotCoordinates, Quarantined, find};
pub use replay::{ReplaySettings, Replayed, replay};
