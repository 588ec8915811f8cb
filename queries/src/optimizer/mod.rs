//! What a session plans otherwise than DataFusion does.
//!
//! - [`ids`] reads ids as they are printed
//! - [`narrow`] compares a decimal that was cut to fewer digits as it prints
//! - [`one_row`] keeps the row of an aggregate over all rows
//! - [`alike`] decides once about rows that are alike
//! - [`sharing`] computes once what is mentioned more than once

mod alike;
mod ids;
mod narrow;
mod one_row;
mod sharing;

use datafusion::execution::SessionStateBuilder;

pub(crate) use self::alike::answer_once;
pub(crate) use self::sharing::KeptView;

/// `state` with all of it. Sharing comes last, so that its rule is the first.
pub(crate) fn extend(state: SessionStateBuilder) -> SessionStateBuilder {
    sharing::enable(alike::enable(one_row::keep(narrow::enable(ids::enable(state)))))
}
