//! What SIGTERM and SIGINT do to a process that serves.

use tokio::signal::unix::{SignalKind, signal};

use crate::report::Failure;

/// The exit code of a process that was told twice.
const STOPPED_AT_ONCE: u8 = 130;

/// Runs `first` at the first SIGTERM or SIGINT; the second one stops at once, which loses nothing either.
pub(crate) fn on_stop(first: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new("CLI-005", "signals cannot be listened to", error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            match first.take() {
                Some(first) => first(),
                #[expect(clippy::exit, reason = "the user asked twice; nothing that was promised is lost")]
                None => std::process::exit(i32::from(STOPPED_AT_ONCE)),
            }
        }
    });
    Ok(())
}
