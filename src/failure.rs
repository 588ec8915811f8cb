//! Errors as a person reads them: code, what and where, causes, what to do.

use std::any::Any;
use std::error::Error;
use std::{fmt, io};

use daybook_ledger::{Kind, Report};
use daybook_queries::printable;

/// An error on its way to the terminal.
#[derive(Debug)]
pub(crate) struct Failure {
    code: &'static str,
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A failure of this crate's own, of kind [`Kind::Usage`].
    pub(crate) fn new(code: &'static str, message: &str, source: impl Error + 'static) -> Self {
        let mut causes = vec![source.to_string()];
        causes.extend(causes_of(&source));
        Self { causes, ..Self::plain(code, Kind::Usage, message.into(), None) }
    }

    /// A file named on the command line that cannot be read or written.
    pub(crate) fn file(name: impl fmt::Display, action: &str, source: io::Error) -> Self {
        Self::new("CLI-006", &format!("{name} cannot be {action}"), source)
            .with_hint("check the path and its permissions")
    }

    /// Output that could not be written.
    pub(crate) fn unprintable(source: io::Error) -> Self {
        let broken_pipe = source.kind() == io::ErrorKind::BrokenPipe;
        Self { broken_pipe, ..Self::new("CLI-004", "the result cannot be printed", source).of_kind(Kind::Unavailable) }
    }

    /// The same failure, to be reacted to as `kind` says.
    pub(crate) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same failure, with what to do about it.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A failure with nothing behind it.
    pub(crate) fn plain(code: &'static str, kind: Kind, message: String, hint: Option<String>) -> Self {
        Self { code, kind, message, causes: Vec::new(), hint, broken_pipe: false }
    }

    /// How a caller should react.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the reader of our output went away, which is no failure (`daybook query | head`).
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl<E: Report + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            code: error.code(),
            kind: error.kind(),
            message: error.to_string(),
            causes: causes_of(&error),
            hint: error.hint(),
            broken_pipe: is_broken_pipe(&error),
        }
    }
}

fn causes_of(error: &dyn Error) -> Vec<String> {
    let chain = std::iter::successors(error.source(), |cause| (*cause).source());
    let mut causes: Vec<String> = Vec::new();
    for cause in chain.map(ToString::to_string) {
        // Many a wrapper says all that is below it.
        if causes.last().is_none_or(|above| !above.contains(&cause)) {
            causes.push(cause);
        }
    }
    causes
}

/// Of our own output alone: a store closes connections too.
fn is_broken_pipe(error: &dyn Any) -> bool {
    matches!(
        error.downcast_ref(),
        Some(daybook_queries::Error::Output { source }) if source.kind() == io::ErrorKind::BrokenPipe
    )
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages quote what is in ledgers and bundles.
        writeln!(f, "error[{}]: {}", self.code, printable(&self.message))?;
        for cause in &self.causes {
            writeln!(f, "  caused by: {}", printable(cause))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "\nhint: {}", printable(hint)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn what_a_ledger_holds_does_not_move_the_cursor() {
        let failure = Failure::plain("CLI-000", Kind::Usage, "\u{1b}[2J\u{202e}gpj".into(), Some("a\u{7}\nb".into()));
        assert_eq!(failure.to_string(), "error[CLI-000]: \\u{1b}[2J\\u{202e}gpj\n\nhint: a\\u{7}\nb\n");
    }

    #[test]
    fn only_our_own_output_may_lose_its_reader() {
        let gone = || Error::from(ErrorKind::BrokenPipe);
        assert!(Failure::unprintable(gone()).is_broken_pipe());
        assert!(Failure::from(daybook_queries::Error::Output { source: gone() }).is_broken_pipe());

        let source = Box::new(gone());
        let store = daybook_ledger::Error::StoreUnavailable { place: "s3://b/l/".into(), action: "commit", source };
        assert!(!Failure::from(store).is_broken_pipe(), "a store that hangs up is a failure");
        assert!(!Failure::unprintable(Error::from(ErrorKind::StorageFull)).is_broken_pipe());
    }
}
