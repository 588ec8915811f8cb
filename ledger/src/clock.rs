//! Time as an argument, so that the same input gives the same bytes.

use chrono::{DateTime, NaiveDate, Utc};

/// Where "now" comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Instant {
        Instant(Utc::now().timestamp_micros())
    }
}

/// A clock that stands still, for tests and seeded runs.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub Instant);

impl Clock for FixedClock {
    fn now(&self) -> Instant {
        self.0
    }
}

/// An instant in UTC, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// Calls before 2015 or after 2100 do not exist; such a time is a unit mistake (seconds read as milliseconds).
    const SANE: std::ops::Range<i64> = 1_420_070_400_000_000..4_102_444_800_000_000;

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since 1970; `None` past the range of microseconds.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000).map(Self)
    }

    /// From decimal text of seconds since 1970 (`1795170000.25`), to the microsecond and never through a float.
    pub fn from_seconds_text(text: &str) -> Option<Self> {
        let pico = crate::Usd::parse(text).ok()?.pico();
        i64::try_from(pico.div_euclid(1_000_000)).ok().map(Self)
    }

    /// From RFC 3339 text; a time without a zone is refused.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to this instant, rounded down.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).div_euclid(1_000)
    }

    /// A time a call can have had (2015 to 2100).
    pub fn is_sane(self) -> bool {
        Self::SANE.contains(&self.0)
    }

    /// The UTC day.
    pub fn date(self) -> Date {
        Date(i32::try_from(self.0.div_euclid(86_400_000_000)).unwrap_or(i32::MAX))
    }
}

impl std::fmt::Display for Instant {
    /// RFC 3339 with microseconds, `Z`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
            None => write!(f, "{} us since 1970", self.0),
        }
    }
}

/// A UTC day, in days since 1970: the value of a Parquet `DATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// From days since 1970.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Days since 1970.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// From `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok().map(Self)
    }

    /// The day's first instant.
    pub fn start(self) -> Instant {
        Instant(i64::from(self.0) * 86_400_000_000)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(self.0.into())) {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_text_keeps_its_microseconds() {
        assert_eq!(Instant::from_seconds_text("1795170000.123456"), Some(Instant(1_795_170_000_123_456)));
        assert_eq!(Instant::from_seconds_text("1795170004.4"), Some(Instant(1_795_170_004_400_000)));
        assert_eq!(Instant::from_seconds_text("soon"), None);
    }

    #[test]
    fn days_and_instants_print_as_they_are_read() {
        let instant = Instant::parse("2026-11-20T09:00:00+02:00").unwrap();
        assert_eq!(instant.to_string(), "2026-11-20T07:00:00.000000Z");
        assert_eq!(Date::parse("2026-11-20"), Some(instant.date()));
        assert_eq!(instant.date().to_string(), "2026-11-20");
        assert_eq!(Instant::from_micros(-1).date().to_string(), "1969-12-31");
    }
}
