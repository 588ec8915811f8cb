//! The only code that prints: data to stdout, talk to stderr.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

/// Where data goes.
pub(crate) fn data() -> std::io::Stdout {
    std::io::stdout()
}

/// Whether data goes to a person's screen.
pub(crate) fn data_is_shown() -> bool {
    std::io::stdout().is_terminal()
}

/// Writes one line of data.
///
/// # Errors
/// The reader's.
pub(crate) fn print(line: impl Display) -> std::io::Result<()> {
    writeln!(data().lock(), "{line}")
}

/// Says something beside the data. Nobody to hear it is no reason to stop.
pub(crate) fn say(text: impl Display) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}
