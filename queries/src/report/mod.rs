//! Reports: questions with a fixed answer's shape, over a [`Session`](crate::Session).

mod diff;

pub use diff::{By, Compared, DiffOptions, diff};
