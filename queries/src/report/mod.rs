//! Reports: questions with a fixed answer's shape, over a [`Session`](crate::Session).

mod audit;
mod brief;
mod calendar;
mod chart;
mod contracts;
mod diff;
mod document;
mod exit_readiness;
mod gate;
mod html;
mod lockin;
mod outlook;
mod portability;
mod reconcile;
mod savings;
mod section;
mod spend;

pub use audit::audit;
pub use brief::{BriefOptions, brief};
pub use calendar::calendar;
pub use chart::{Chart, Part, Tone};
pub use contracts::contracts;
pub use diff::{By, Compared, DiffOptions, diff};
pub use document::{Report, ReportPart, render_report, render_sections};
pub use exit_readiness::exit_readiness;
pub use gate::{GateOptions, gate, gate_is_open};
pub use lockin::{lockin, re_embedding, why};
pub use outlook::{anomalies, forecast};
pub use portability::portability;
pub use reconcile::{Cause, ReconcileOptions, Reconciled, Tolerance, reconcile};
pub use savings::savings;
pub use section::Section;
pub use spend::{Dimension, Grain, SpendOptions, spend};

/// `text` as a literal of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
