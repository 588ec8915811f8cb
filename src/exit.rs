//! From an error's kind to the exit code; the codes are a promise to scripts.

use std::process::ExitCode;

use daybook_ledger::Kind;

use crate::failure::Failure;

/// The answer is no: a difference was found, a check failed, or there is nothing of what was asked for.
pub(crate) const NO: u8 = 1;

/// The exit code of `failure`.
pub(crate) fn of(failure: &Failure) -> ExitCode {
    match failure.is_broken_pipe() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(code(failure.kind())),
    }
}

/// The exit code of `kind`.
pub(crate) const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Usage => 2,
        Kind::Refused => 3,
        Kind::Unavailable => 4,
        Kind::Conflict => 5,
        Kind::Bug => 70,
    }
}
