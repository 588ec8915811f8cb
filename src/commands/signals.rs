//! What SIGTERM and SIGINT do.

use std::io::IsTerminal as _;

use daybook_ledger::Kind;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::{exit, output};

/// The exit code of a process that was told twice.
const STOPPED_AT_ONCE: u8 = 130;

/// What a process is told to stop with.
pub(crate) const STOP: [SignalKind; 2] = [SignalKind::interrupt(), SignalKind::terminate()];

/// Runs `first` at the first SIGTERM or SIGINT; the second one stops at once, which loses nothing either.
pub(crate) fn on_stop(first: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
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

/// The first of `signals` ends the process, at a moment like any other at which it might be killed; `hint` says what then stands.
pub(crate) fn stop_at_once(signals: &[SignalKind], hint: &'static str) -> Result<(), Failure> {
    for told in signals {
        let mut told = listen(*told)?;
        tokio::spawn(async move {
            told.recv().await;
            // A bar, or the terminal's `^C`, has the line.
            if std::io::stderr().is_terminal() {
                output::say("");
            }
            let message = "stopped before the end, as asked".into();
            output::tell_failure(&Failure::plain("CLI-015", Kind::Unavailable, message, Some(hint.into())));
            #[expect(clippy::exit, reason = "whatever the command is doing, it was to stop")]
            std::process::exit(i32::from(exit::code(Kind::Unavailable)));
        });
    }
    Ok(())
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new("CLI-005", "signals cannot be listened to", error))
}
