//! From an error's kind to the exit code; the codes are a promise to scripts.

use std::io::Write as _;
use std::process::ExitCode;

use daybook_ledger::Kind;

use crate::report::Failure;

/// The answer is no: a difference was found, a check failed, or there is nothing of what was asked for.
pub(crate) const NO: u8 = 1;

/// Prints `failure` and returns its exit code.
pub(crate) fn of(failure: &Failure) -> ExitCode {
    if failure.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to do when stderr is closed.
    write!(std::io::stderr().lock(), "{failure}").ok();
    ExitCode::from(code(failure.kind()))
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
