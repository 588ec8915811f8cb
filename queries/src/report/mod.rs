//! Reports: questions with a fixed answer's shape, over a [`Session`](crate::Session).

mod diff;
mod reconcile;

pub use diff::{By, Compared, DiffOptions, diff};
pub use reconcile::{Cause, ReconcileOptions, Reconciled, Tolerance, reconcile};
