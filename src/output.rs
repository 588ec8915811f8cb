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

/// Says something beside the data. Nobody to hear it is no reason to stop.
pub(crate) fn say(text: impl Display) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}
