//! Is everything as a ledger needs it? What can be found out by asking, with what to do about it.

mod store;
mod tables;

pub use store::check_store;
pub use tables::check_tables;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and may surprise.
    Warn,
    /// It does not work, or is not safe.
    Fail,
    /// Nothing answered.
    Unavailable,
}

impl Level {
    /// The word in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: `brokers`, `topic`, `group`, `store`, `clock`, `ledger`.
    pub area: &'static str,
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub level: Level,
    /// What was found, in words.
    pub found: String,
    /// What to do about it; nothing if all is well.
    pub todo: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(area: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { area, subject: subject.into(), level: Level::Ok, found: found.into(), todo: None }
    }

    /// Something to look at.
    pub fn of(level: Level, area: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level, ..Self::ok(area, subject, found) }
    }

    /// With what to do.
    #[must_use]
    pub fn todo(self, todo: impl Into<String>) -> Self {
        Self { todo: Some(todo.into()), ..self }
    }

    /// `error` in place of an answer.
    pub fn of_error(area: &'static str, subject: impl Into<String>, error: &dyn crate::Report) -> Self {
        let level = if error.kind() == crate::Kind::Unavailable { Level::Unavailable } else { Level::Fail };
        let causes = std::iter::successors(error.source(), |error| error.source()).map(|cause| format!(": {cause}"));
        let found =
            causes.fold(error.to_string(), |text, cause| if text.ends_with(&cause) { text } else { text + &cause });
        Self { todo: error.hint(), ..Self::of(level, area, subject, found) }
    }
}
