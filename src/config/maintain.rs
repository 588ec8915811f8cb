//! Settings of `daybook maintain`, and of the maintenance that `daybook ingest` does beside its work.

use std::ops::RangeInclusive;
use std::time::Duration;

use daybook_ledger::maintenance::{Keep, Settings};
use serde::Deserialize;

use super::Layers;
use crate::commands::maintain::MaintainArgs;
use crate::failure::Failure;

const DAY_S: u64 = 24 * 60 * 60;
const DAYS: RangeInclusive<i64> = 1..=36_500;
/// Maintenance takes some four times its target, on top of what a worker takes: both are to stay below 1 GiB.
const TARGET_BYTES_BESIDE: u64 = 32 << 20;

/// `[maintain]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MaintainSection {
    interval_s: Option<i64>,
    target_bytes: Option<i64>,
    orphan_days: Option<i64>,
    superseded_days: Option<i64>,
    content_days: Option<i64>,
    quarantine_days: Option<i64>,
}

impl Layers {
    /// What maintenance aims at.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn maintain(&mut self, args: &MaintainArgs) -> Result<Settings, Failure> {
        self.maintenance(args, Settings::default())
    }

    /// What maintenance beside a worker aims at: smaller files, in less memory.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn maintain_beside(&mut self) -> Result<Settings, Failure> {
        let default = Settings { target_bytes: TARGET_BYTES_BESIDE, ..Settings::default() };
        self.maintenance(&MaintainArgs::default(), default)
    }

    fn maintenance(&mut self, args: &MaintainArgs, default: Settings) -> Result<Settings, Failure> {
        let file = self.file.maintain.clone();
        let Keep { unnamed, superseded } = default.keep;
        let days = |age: Duration| age.as_secs() / DAY_S;
        let age = |days: u64| Duration::from_secs(days * DAY_S);
        let (target, orphan) = (&args.target_bytes, &args.orphan_days);
        let (content, quarantine) = (&args.content_days, &args.quarantine_days);
        let target_bytes =
            self.limit("maintain.target_bytes", target, file.target_bytes, default.target_bytes, 1 << 20..=1 << 30);
        let unnamed = self.limit("maintain.orphan_days", orphan, file.orphan_days, days(unnamed), DAYS);
        let superseded =
            self.limit("maintain.superseded_days", &args.superseded_days, file.superseded_days, days(superseded), DAYS);
        let content_days = self.limit_if_any("maintain.content_days", content, file.content_days, None, DAYS);
        let quarantine_days =
            self.limit_if_any("maintain.quarantine_days", quarantine, file.quarantine_days, None, DAYS);
        self.finish()?;
        let keep = Keep { unnamed: age(unnamed), superseded: age(superseded) };
        Ok(Settings { target_bytes, keep, content_days, quarantine_days })
    }

    /// How often `daybook ingest` maintains the ledger it writes to; `None` if it does not.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn maintain_every(&mut self, flag: Option<String>) -> Result<Option<Duration>, Failure> {
        let file = self.file.maintain.interval_s.map(|seconds| seconds.to_string());
        let picked = self.pick(
            "maintain.interval_s",
            ("--maintain-every", flag),
            "DAYBOOK_MAINTAIN_INTERVAL_S",
            file,
            Some("0"),
        );
        let seconds: Option<u64> = self.number("maintain.interval_s", picked, 0..=2_592_000);
        self.finish()?;
        Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::layers;
    use super::*;

    #[test]
    fn bodies_are_kept_unless_days_are_said() {
        assert_eq!(layers("", |_| None).maintain(&MaintainArgs::default()).unwrap(), Settings::default());
        let beside = Settings { target_bytes: 32 << 20, ..Settings::default() };
        assert_eq!(layers("", |_| None).maintain_beside().unwrap(), beside);
        let file = "[maintain]\ncontent_days = 90\norphan_days = 2\n";
        let settings = layers(file, |_| None).maintain(&MaintainArgs::default()).unwrap();
        assert_eq!((settings.content_days, settings.quarantine_days), (Some(90), None));
        assert_eq!(settings.keep.unnamed, Duration::from_secs(2 * DAY_S));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let file = "[maintain]\ncontent_days = 0\ntarget_bytes = 5\n";
        let failure = layers(file, |_| None).maintain(&MaintainArgs::default()).unwrap_err().to_string();
        assert!(
            failure.contains("`maintain.content_days` is `0`; it takes a whole number from 1 to 36500"),
            "{failure}"
        );
        assert!(failure.contains("`maintain.target_bytes` is `5`"), "{failure}");
    }
}
