//! `daybook export --rehearse`: how long would it take?

use std::io::Write;

use daybook_export::{Rehearsal, Request, rehearse};
use daybook_ledger::{Clock as _, Evidence, EvidenceKind, Ledger, Score, SystemClock, Usd};
use serde_json::json;

use super::clause::Clock;
use super::progress::{bytes_text, progress};
use super::scope::ScopeArgs;
use crate::failure::Failure;
use crate::output::{self, counted};

/// What evidence recorded by this program says ran it.
pub(super) const HARNESS: &str = concat!("daybook ", env!("CARGO_PKG_VERSION"));

/// Flags of a rehearsal.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RehearseArgs {
    /// Export a part for real to OUT.rehearsal, check it, remove it, and say what the whole would take; recorded as evidence
    /// (docs/evidence.md).
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) rehearse: bool,
    /// Per cent of the bytes to read that a rehearsal takes, in whole days, at least one; 100 for all
    #[arg(long, value_name = "PERCENT", default_value_t = 10, requires = "rehearse",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
}

/// Rehearses `request`, records it if evidence can say what of, and prints both.
pub(super) async fn run(
    ledger: &Ledger,
    request: &Request,
    args: &RehearseArgs,
    scope: &ScopeArgs,
    clock: Option<&Clock>,
    quiet: bool,
) -> Result<(), Failure> {
    let now = SystemClock.now();
    let done = rehearse(ledger, request, args.percent, now, progress("rehearsal", quiet).as_mut()).await?;
    let is_whole = request.from.is_none() && request.to.is_none() && request.as_of.is_none();
    let subject = scope.of_evidence().filter(|_| is_whole);
    let recorded = match subject {
        Some(subject) => {
            let fact = fact(Evidence { date: now.date(), ..subject }, &done, request);
            ledger.record(&[fact], SystemClock.now()).await?;
            true
        }
        None => false,
    };
    print(&done, clock, recorded, &mut output::data().lock()).map_err(Failure::unprintable)
}

fn fact(subject: Evidence, done: &Rehearsal, request: &Request) -> Evidence {
    let formats: Vec<_> = request.formats.iter().map(|format| format.as_str()).collect();
    let versions = done.written.versions.iter().map(|(part, version)| (part.name(), version.0));
    let details = json!({
        "days": done.days.0,
        "days_in_all": done.days.1,
        "formats": formats,
        "rate_limit_bytes_per_s": request.rate_limit,
        "table_versions": versions.collect::<std::collections::BTreeMap<_, _>>(),
    });
    let figures = [
        ("predicted_bytes", whole(done.predicted.bytes)),
        ("predicted_rows", whole(done.predicted.rows)),
        ("predicted_s", seconds(done.predicted.time)),
        ("read_bytes", whole(done.read_bytes.0)),
        ("read_bytes_in_all", whole(done.read_bytes.1)),
        ("rows", whole(done.rows())),
        ("took_s", seconds(done.took)),
        ("written_bytes", whole(done.written.bytes())),
    ];
    Evidence {
        kind: EvidenceKind::Rehearsal,
        harness: Some(HARNESS.into()),
        scores: figures.map(|(name, score)| (name.into(), score)).into(),
        details: Some(details.to_string()),
        ..subject
    }
}

/// A count as a score.
pub(super) fn whole(count: u64) -> Score {
    Score { value: Usd::from_pico(i128::from(count) * 1_000_000_000_000), scale: None }
}

fn seconds(time: std::time::Duration) -> Score {
    let millis = i128::try_from(time.as_millis()).unwrap_or(i128::MAX / 1_000_000_000);
    Score { value: Usd::from_pico(millis * 1_000_000_000), scale: None }
}

fn print(done: &Rehearsal, clock: Option<&Clock>, recorded: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let (days, days_in_all) = done.days;
    let (read, read_in_all) = done.read_bytes;
    writeln!(
        out,
        "rehearsed   {days} of {days_in_all} days, {} of {} to read",
        bytes_text(read),
        bytes_text(read_in_all)
    )?;
    writeln!(
        out,
        "written     {}, {} in {}; checked and removed",
        bytes_text(done.written.bytes()),
        counted(done.rows(), "row"),
        time_text(done.took)
    )?;
    let whole = &done.predicted;
    writeln!(
        out,
        "the whole   {}, {} in about {}",
        bytes_text(whole.bytes),
        counted(whole.rows, "row"),
        time_text(whole.time)
    )?;
    if let Some(clock) = clock {
        let left = clock.days.map(|days| u64::try_from(days).unwrap_or(0) * 86_400);
        let answer = match left {
            Some(left) if whole.time.as_secs() <= left => "that is time enough",
            Some(_) => "that is too little time",
            None => "that is no time to miss",
        };
        writeln!(out, "clause      {clock}: {answer}")?;
    }
    match recorded {
        true => writeln!(out, "recorded    as evidence of kind rehearsal"),
        false => writeln!(
            out,
            "recorded    nothing: evidence is of the whole ledger, or of one contract, provider or workload, in its \
             newest version and without a window"
        ),
    }
}

/// `3 h 25 min`, `12 s`, `0.4 s`: as exact as one needs.
fn time_text(time: std::time::Duration) -> String {
    let (seconds, minutes, hours) = (time.as_secs(), time.as_secs() / 60, time.as_secs() / 3_600);
    match () {
        () if hours >= 48 => format!("{} days {} h", hours / 24, hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () if seconds >= 10 => format!("{seconds} s"),
        () => format!("{seconds}.{} s", time.subsec_millis() / 100),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_print_short() {
        let known = [(430, "0.4 s"), (12_900, "12 s"), (61_000, "1 min 1 s"), (3_661_000, "1 h 1 min")];
        for (millis, text) in known {
            assert_eq!(time_text(Duration::from_millis(millis)), text);
        }
        assert_eq!(time_text(Duration::from_secs(5 * 86_400)), "5 days 0 h");
    }
}
