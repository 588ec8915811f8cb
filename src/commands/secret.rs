//! Passwords: from a file, from the environment, or asked for.

use std::io;
use std::path::Path;

use super::keys::private_text;
use crate::failure::Failure;

/// The first line of `file`, else what `variable` holds, else what `ask` answers; `None` if there is nobody to ask.
pub(super) fn secret(
    file: Option<&Path>,
    variable: &str,
    ask: impl FnOnce() -> io::Result<String>,
) -> Result<Option<String>, Failure> {
    if let Some(path) = file {
        return Ok(Some(private_text(path)?.lines().next().unwrap_or_default().to_owned()));
    }
    match std::env::var(variable) {
        Ok(secret) => Ok(Some(secret)),
        Err(_) => Ok(ask().ok()),
    }
}
