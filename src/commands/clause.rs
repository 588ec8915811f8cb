//! `daybook export --clause`: the export that a contract's portability clause asks for, and its clock.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use daybook_export::{Delivered, Error, Request, Summary, delivered, write};
use daybook_ledger::{Clock as _, Date, Evidence, EvidenceKind, Kind, Ledger, SystemClock, Usd};
use daybook_queries::registry::{ClauseKind, Registry};
use daybook_queries::rounded;
use serde_json::json;

use super::encryption::identities;
use super::progress::progress;
use super::rehearse::{HARNESS, whole};
use crate::commands::args::parse_day;
use crate::failure::Failure;
use crate::output;

/// Flags of a clause's export.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ClauseArgs {
    /// Export everything under this contract as its clause `data_portability` asks, and record request, deadline, cost cap
    /// and what was delivered as evidence (docs/evidence.md).
    #[arg(long, value_name = "CONTRACT", conflicts_with_all = [
        "contract", "provider", "workload", "team", "subject", "from", "to", "dry_run",
    ])]
    pub(super) clause: Option<String>,
    /// The UTC day the export was asked for (YYYY-MM-DD), from which the clause's days count [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day, requires = "clause")]
    requested: Option<Date>,
    /// A secret key file of `age-keygen` that opens the bundle that stands at --out already, encrypted, so that this delivery can be
    /// recorded; repeatable.
    #[arg(short, long = "identity", value_name = "FILE", requires = "clause")]
    identities: Vec<PathBuf>,
}

/// What a clause grants, counted from the day it was invoked.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    contract: String,
    requested_on: Date,
    /// Days it grants for the delivery, if it names any.
    pub(super) days: Option<i64>,
    cost_max_usd: Option<Usd>,
}

impl ClauseArgs {
    /// The clock of the contract named, by the newest registry.
    pub(super) async fn load(&self, ledger: &Ledger) -> Result<Option<Clock>, Failure> {
        let Some(name) = &self.clause else { return Ok(None) };
        let (registry, _) = Registry::load(ledger, None).await?;
        let contract = registry.need_contract(name)?;
        let clause = contract.clauses.iter().find(|clause| clause.kind == ClauseKind::DataPortability && clause.held);
        let Some(clause) = clause else {
            let message = format!("the contract `{name}` has no clause `data_portability`");
            let hint = "if it has one after all, say so in contracts.toml (docs/registry.md) and import the registry; without a \
                        clause, export with --contract";
            return Err(Failure::plain("CLI-035", Kind::Usage, message, Some(hint.into())));
        };
        let today = SystemClock.now().date();
        let requested_on = self.requested.unwrap_or(today);
        if requested_on > today {
            let message = format!("the export is said to have been asked for on {requested_on}, and today is {today}");
            let hint = "--requested is the UTC day the request was made";
            return Err(Failure::plain("CLI-036", Kind::Usage, message, Some(hint.into())));
        }
        let (days, cost_max_usd) = (clause.days, clause.cost_max_usd);
        Ok(Some(Clock { contract: name.clone(), requested_on, days, cost_max_usd }))
    }
}

impl Clock {
    /// The last day that is in time.
    fn due_on(&self) -> Option<Date> {
        let days = i32::try_from(self.days?).ok()?;
        Some(Date::from_days(self.requested_on.days().checked_add(days)?))
    }

    fn in_time(&self, delivered_on: Date) -> Option<bool> {
        self.due_on().map(|due_on| delivered_on <= due_on)
    }

    fn fact(&self, delivered: &Delivered, delivered_on: Date, out: &Path) -> Evidence {
        let count = |count: i64| whole(u64::try_from(count).unwrap_or(0));
        let taken = i64::from(delivered_on.days()) - i64::from(self.requested_on.days());
        let mut figures = vec![("rows", whole(delivered.rows)), ("bytes", whole(delivered.bytes))];
        figures.push(("days_taken", count(taken)));
        figures.extend(self.days.map(|days| ("days_granted", count(days))));
        let details = json!({
            "clause": ClauseKind::DataPortability.as_str(),
            "requested_on": self.requested_on.to_string(),
            "due_on": self.due_on().map(|day| day.to_string()),
            "delivered_on": delivered_on.to_string(),
            "in_time": self.in_time(delivered_on),
            "cost_max_usd": self.cost_max_usd.map(|cost| cost.to_string()),
        });
        let name = out.file_name().unwrap_or(out.as_os_str()).to_string_lossy();
        Evidence {
            // The same bytes for the same request are one delivery, however often it is recorded.
            id: Some(format!("clause {} {} {}", self.contract, self.requested_on, delivered.sha256)),
            contract: Some(self.contract.clone()),
            harness: Some(HARNESS.into()),
            scores: figures.into_iter().map(|(name, score)| (name.into(), score)).collect(),
            artifact: Some(format!("{name}/tagmanifest-sha256.txt")),
            artifact_sha256: Some(delivered.sha256.clone()),
            note: Some(format!("{self}; {}", self.outcome(delivered_on))),
            details: Some(details.to_string()),
            ..Evidence::new(EvidenceKind::Export, delivered_on)
        }
    }

    fn outcome(&self, delivered_on: Date) -> String {
        match self.in_time(delivered_on) {
            Some(true) => format!("delivered on {delivered_on}, in time"),
            Some(false) => format!("delivered on {delivered_on}, too late"),
            None => format!("delivered on {delivered_on}"),
        }
    }
}

/// `asked for on 2026-11-01, due on 2026-12-01, at no cost`.
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for on {}", self.requested_on)?;
        match self.due_on() {
            Some(due_on) => write!(f, ", due on {due_on}")?,
            None => write!(f, ", no deadline named")?,
        }
        match self.cost_max_usd {
            Some(Usd::ZERO) => write!(f, ", at no cost"),
            Some(cost) => write!(f, ", at most {} US dollars", rounded(cost)),
            None => Ok(()),
        }
    }
}

/// Writes the bundle, or takes the one that stands there already if it is the one asked for; `None` if it stood there.
///
/// A run that was killed between the bundle and its record makes up for the record when it is given again.
pub(super) async fn deliver(
    ledger: &Ledger,
    request: &Request,
    clock: &Clock,
    args: &ClauseArgs,
    quiet: bool,
) -> Result<Option<Summary>, Failure> {
    let (delivered, summary) = match write(ledger, request, progress("export", quiet).as_mut()).await {
        Ok(summary) => (Delivered::from(&summary), Some(summary)),
        Err(Error::OutTaken { path }) => {
            let identities = identities(&args.identities)?;
            let since = clock.requested_on.start();
            match delivered(ledger, request, since, &identities, progress("check", quiet).as_mut()).await? {
                Some(delivered) => (delivered, None),
                None => return Err(Error::OutTaken { path }.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let now = SystemClock.now();
    let recorded = ledger.record(&[clock.fact(&delivered, now.date(), &request.out)], now).await?;
    let mut out = output::data().lock();
    let done = match recorded.added {
        0 => writeln!(out, "clause      {clock}; this delivery is recorded already, see daybook evidence list"),
        _ => writeln!(out, "clause      {clock}; {}, recorded as evidence", clock.outcome(now.date())),
    };
    done.map_err(Failure::unprintable)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(days: Option<i64>) -> Clock {
        let requested_on = Date::parse("2026-11-01").unwrap();
        Clock { contract: "acme".into(), requested_on, days, cost_max_usd: Some(Usd::ZERO) }
    }

    #[test]
    fn the_last_day_is_in_time_and_the_next_is_not() {
        let day = |text: &str| Date::parse(text).unwrap();
        assert_eq!(clock(Some(30)).in_time(day("2026-12-01")), Some(true));
        assert_eq!(clock(Some(30)).in_time(day("2026-12-02")), Some(false));
        assert_eq!(clock(None).in_time(day("2026-12-02")), None);
        assert_eq!(clock(Some(30)).to_string(), "asked for on 2026-11-01, due on 2026-12-01, at no cost");
        assert_eq!(clock(None).to_string(), "asked for on 2026-11-01, no deadline named, at no cost");
    }

    #[test]
    fn other_bytes_or_another_request_are_another_delivery() {
        let delivered = |sha256: &str| Delivered { rows: 1, bytes: 2, sha256: sha256.repeat(64) };
        let on = Date::parse("2026-11-20").unwrap();
        let fact = |clock: &Clock, sha256: &str, on| clock.fact(&delivered(sha256), on, Path::new("out"));
        let first = fact(&clock(Some(30)), "a", on).entry_id();
        assert_eq!(first, fact(&clock(Some(30)), "a", Date::parse("2026-11-21").unwrap()).entry_id());
        assert_ne!(first, fact(&clock(Some(30)), "b", on).entry_id());
        let asked_again = Clock { requested_on: on, ..clock(Some(30)) };
        assert_ne!(first, fact(&asked_again, "a", on).entry_id());
    }
}
