//! The migrations of a bundle against their accounts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bundle::{Check, Resource};
use super::rows::count_rows;
use crate::Format;
use crate::describe::SUMMARY;
use crate::digest::Written;
use crate::manifest::shown;
use crate::migrate::{ACCOUNT, Destination, Losses, README};
use crate::series::Series;

/// The folder they are in.
pub(super) const MIGRATIONS: &str = "data/migration/";

/// Whether `name` is that of the account of a migration, for programs or for people.
pub(super) fn is_account(name: &str) -> bool {
    let of_migration = |folder: &str| Destination::ALL.iter().any(|known| Series::Migration(*known).folder() == folder);
    name.rsplit_once('/').is_some_and(|(folder, name)| [ACCOUNT, README].contains(&name) && of_migration(folder))
}

impl Check<'_> {
    /// The migrations there are, are those that `summary.json` lists; each has the lines its account says, and
    /// accounts for every one of the `bodies`.
    pub(super) fn migrations(
        &mut self,
        summary: Option<&Value>,
        bodies: u64,
        resources: &BTreeMap<String, Resource>,
        digests: &BTreeMap<String, Written>,
    ) {
        let Some(summary) = summary else { return };
        let listed = summary.get("migrations").and_then(Value::as_array).into_iter().flatten();
        let listed: BTreeSet<String> =
            listed.map(|migration| migration.get("for").and_then(Value::as_str).unwrap_or_default().into()).collect();
        let folder = |name: &String| Some(name.strip_prefix(MIGRATIONS)?.split_once('/')?.0.to_owned());
        let found: BTreeSet<String> = self.files.keys().filter_map(folder).collect();
        for name in found.difference(&listed) {
            self.verdict.differs(format!("{MIGRATIONS}{name}"), format!("{SUMMARY} does not list it"));
        }
        for name in listed {
            match Destination::parse(&name) {
                Some(destination) => self.migration(destination, bodies, resources, digests),
                None => self.verdict.differs(SUMMARY, format!("no migration is called `{}`", shown(&name))),
            }
        }
    }

    fn migration(
        &mut self,
        destination: Destination,
        bodies: u64,
        resources: &BTreeMap<String, Resource>,
        digests: &BTreeMap<String, Written>,
    ) {
        let folder = format!("{}/", Series::Migration(destination).folder());
        let is_data = |name: &&String| name.starts_with(&folder) && name.ends_with(".jsonl");
        let names: Vec<String> = self.files.keys().filter(is_data).cloned().collect();
        let mut lines = 0;
        for name in names {
            match count_rows(self.bundle, &name, Format::Jsonl) {
                Ok(rows) => {
                    lines += rows;
                    self.described(&name, rows, resources.get(&name), digests);
                }
                Err(reason) => self.verdict.differs(&name, format!("its rows cannot be read: {}", shown(&reason))),
            }
        }
        let place = format!("{folder}{ACCOUNT}");
        let Some(account) = self.json::<Losses>(&place) else { return };
        if !account.adds_up() {
            self.verdict.differs(&place, "rows_in is not rows_out and the rows dropped for each reason");
        }
        if account.rows_out != lines {
            let declared = account.rows_out;
            self.verdict.differs(&place, format!("rows_out is {declared}, {folder}*.jsonl have {lines}"));
        }
        if account.rows_in != bodies {
            let declared = account.rows_in;
            self.verdict
                .differs(&place, format!("rows_in is {declared}, `content` and `content_partial` have {bodies} rows"));
        }
    }
}
