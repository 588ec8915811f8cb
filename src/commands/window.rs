//! The time a command is about, from a first day or instant to the first one left out.

use std::fmt::Display;

use daybook_ledger::Kind;

use crate::failure::Failure;

/// That there is something between `from` and `to`.
///
/// # Errors
/// CLI-016.
pub(super) fn check<T: Display + PartialOrd>(from: Option<T>, to: Option<T>) -> Result<(), Failure> {
    match from.zip(to) {
        Some((from, to)) if from >= to => {
            let message = format!("the window from {from} to before {to} is empty");
            let hint = "the end is the first day left out: from 2026-11-20 to 2026-11-21 is the whole of 2026-11-20";
            Err(Failure::plain("CLI-016", Kind::Usage, message, Some(hint.into())))
        }
        _ => Ok(()),
    }
}
