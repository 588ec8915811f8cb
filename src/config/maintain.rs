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
const TARGET_BYTES: &str = "134217728";
/// Maintenance takes some four times its target, on top of what a worker takes: both are to stay below 1 GiB.
const TARGET_BYTES_BESIDE: &str = "33554432";

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
        self.maintenance(args, TARGET_BYTES)
    }

    /// What maintenance beside a worker aims at: smaller files, in less memory.
    ///
    /// # Errors
    /// One failure that names every fault.
    pub(crate) fn maintain_beside(&mut self) -> Result<Settings, Failure> {
        self.maintenance(&MaintainArgs::default(), TARGET_BYTES_BESIDE)
    }

    fn maintenance(&mut self, args: &MaintainArgs, target_bytes: &str) -> Result<Settings, Failure> {
        let file = self.file.maintain.clone();
        let target = self.pick(
            "maintain.target_bytes",
            ("--target-bytes", args.target_bytes.clone()),
            "DAYBOOK_MAINTAIN_TARGET_BYTES",
            file.target_bytes.map(|bytes| bytes.to_string()),
            Some(target_bytes),
        );
        let target_bytes = self.number("maintain.target_bytes", target, 1 << 20..=1 << 30);
        let unnamed = self.days(
            "maintain.orphan_days",
            ("--orphan-days", args.orphan_days.clone()),
            "DAYBOOK_MAINTAIN_ORPHAN_DAYS",
            file.orphan_days,
            Some("7"),
        );
        let superseded = self.days(
            "maintain.superseded_days",
            ("--superseded-days", args.superseded_days.clone()),
            "DAYBOOK_MAINTAIN_SUPERSEDED_DAYS",
            file.superseded_days,
            Some("30"),
        );
        let content_days = self.days(
            "maintain.content_days",
            ("--content-days", args.content_days.clone()),
            "DAYBOOK_MAINTAIN_CONTENT_DAYS",
            file.content_days,
            None,
        );
        let quarantine_days = self.days(
            "maintain.quarantine_days",
            ("--quarantine-days", args.quarantine_days.clone()),
            "DAYBOOK_MAINTAIN_QUARANTINE_DAYS",
            file.quarantine_days,
            None,
        );
        self.finish()?;
        let default = Settings::default();
        let age =
            |days: Option<u32>, default| days.map_or(default, |days| Duration::from_secs(u64::from(days) * DAY_S));
        Ok(Settings {
            target_bytes: target_bytes.unwrap_or(default.target_bytes),
            keep: Keep {
                unnamed: age(unnamed, default.keep.unnamed),
                superseded: age(superseded, default.keep.superseded),
            },
            content_days,
            quarantine_days,
        })
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

    fn days(
        &mut self,
        key: &'static str,
        flag: (&'static str, Option<String>),
        env: &'static str,
        file: Option<i64>,
        default: Option<&str>,
    ) -> Option<u32> {
        let picked = self.pick(key, flag, env, file.map(|days| days.to_string()), default);
        self.number(key, picked, DAYS)
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
