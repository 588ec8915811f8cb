//! Reports: questions with a fixed answer's shape, over a [`Session`](crate::Session).

mod contracts;
mod diff;
mod gate;
mod lockin;
mod reconcile;
mod section;
mod spend;

pub use contracts::contracts;
pub use diff::{By, Compared, DiffOptions, diff};
pub use gate::{GateOptions, gate, gate_is_open};
pub use lockin::{lockin, re_embedding, why};
pub use reconcile::{Cause, ReconcileOptions, Reconciled, Tolerance, reconcile};
pub use section::{Section, render_sections};
pub use spend::{Dimension, Grain, SpendOptions, spend};

/// `text` as a literal of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
