//! How far a long run is, told on stderr.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant as Moment};

use daybook_export::{Progress, Silent};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal, a line now and then elsewhere, nothing if `quiet`.
pub(super) fn progress(action: &'static str, quiet: bool) -> Box<dyn Progress> {
    match (quiet, std::io::stderr().is_terminal()) {
        (true, _) => Box::new(Silent),
        (false, true) => Box::new(Bar { action, bar: ProgressBar::hidden() }),
        (false, false) => Box::new(Lines::new(action)),
    }
}

/// Rate and time left, redrawn in place.
struct Bar {
    action: &'static str,
    bar: ProgressBar,
}

impl Progress for Bar {
    fn start(&mut self, bytes: u64) {
        const TEMPLATE: &str =
            "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left";
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = ProgressBar::new(bytes).with_style(style).with_prefix(self.action);
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn notice(&mut self, text: &str) {
        // The talk of a run may be lost with its stderr; the run goes on.
        self.bar.suspend(|| writeln!(std::io::stderr(), "{}: {text}", self.action)).ok();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Rate and time left, a line every few seconds.
struct Lines {
    action: &'static str,
    started: Moment,
    printed: Moment,
    done: u64,
    total: u64,
}

impl Lines {
    const EVERY: Duration = Duration::from_secs(5);

    fn new(action: &'static str) -> Self {
        let now = Moment::now();
        Self { action, started: now, printed: now, done: 0, total: 0 }
    }

    fn text(&self, elapsed: Duration) -> String {
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let scaled = |part: u64, whole: u64, by: u64| {
            u64::try_from(u128::from(part) * u128::from(by) / u128::from(whole.max(1))).unwrap_or(u64::MAX)
        };
        format!(
            "{} % of {}, {}/s, {} s left",
            scaled(self.done, self.total, 100),
            bytes_text(self.total),
            bytes_text(scaled(self.done, millis, 1_000)),
            scaled(self.total.saturating_sub(self.done), self.done, millis) / 1_000,
        )
    }

    fn print(&self, text: &str) {
        // The talk of a run may be lost with its stderr; the run goes on.
        writeln!(std::io::stderr(), "{}: {text}", self.action).ok();
    }
}

impl Progress for Lines {
    fn start(&mut self, bytes: u64) {
        self.total = bytes;
        self.started = Moment::now();
        self.printed = self.started;
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.printed.elapsed() >= Self::EVERY {
            self.printed = Moment::now();
            self.print(&self.text(self.started.elapsed()));
        }
    }

    fn notice(&mut self, text: &str) {
        self.print(text);
    }
}

/// `1.3 GB`: powers of a thousand, one decimal, rounded down.
pub(super) fn bytes_text(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10)),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_print_short() {
        let known = [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_299_999_999, "1.2 GB")];
        for (bytes, text) in known {
            assert_eq!(bytes_text(bytes), text);
        }
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let mut lines = Lines::new("export");
        lines.start(4_000_000_000);
        lines.advance(1_000_000_000);
        assert_eq!(lines.text(Duration::from_secs(10)), "25 % of 4.0 GB, 100.0 MB/s, 30 s left");
        assert_eq!(Lines::new("export").text(Duration::ZERO), "0 % of 0 B, 0 B/s, 0 s left");
    }
}
