//! Recorded calls of a window, read once and summed to groups.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::price::{Cuts, Group, Groups, PastCalls};
use daybook_ledger::{Date, Features, Operation};
use tokio::task::JoinSet;

use crate::{Error, Rows, Session};

/// What a group may take of memory: its sums, its names, its place in the index.
const GROUP_BYTES: usize = 1_024;

/// Which calls are replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The first UTC day; that of the first call if `None`.
    pub from: Option<Date>,
    /// The first UTC day no longer in it; the one after that of the last call if `None`.
    pub until: Option<Date>,
    /// Only calls of this workload.
    pub workload: Option<String>,
    /// Only calls under this contract.
    pub contract: Option<String>,
}

/// What calls share beside their price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallKind {
    /// The number of the workload in the registry.
    pub(super) workload: Option<usize>,
    pub(super) operation: Operation,
    pub(super) features: Features,
}

/// The calls of a window.
#[derive(Debug)]
pub(super) struct Traffic {
    /// In an order that does not depend on how they were read.
    pub(super) groups: Vec<Group<CallKind>>,
    /// The first day, and the day after the last.
    pub(super) days: Option<(Date, Date)>,
}

impl Traffic {
    /// Days in the window; 0 if there is neither a call nor a bound.
    pub(super) fn number_of_days(&self) -> i128 {
        self.days.map_or(0, |(from, until)| i128::from(until.days().saturating_sub(from.days()).max(0)))
    }
}

impl Window {
    /// The query that gives every call with what decides its price.
    pub(super) fn sql(&self) -> String {
        let day = |day: &Date, is: &str| format!("event_date {is} DATE '{day}'");
        let quoted = |name: &String| format!("'{}'", name.replace('\'', "''"));
        let under = |name: &String| {
            format!("contract(provider, coalesce(response_model, request_model), event_date) = {}", quoted(name))
        };
        let (from, until) =
            (self.from.as_ref().map(|from| day(from, ">=")), self.until.as_ref().map(|until| day(until, "<")));
        let bounds: Vec<_> = [from, until, self.contract.as_ref().map(under)].into_iter().flatten().collect();
        let bounds = if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
        let calls = format!(
            "SELECT {}, workload(team, project, api_key_alias, workload_hint, environment, operation, provider, \
             coalesce(response_model, request_model), tags) AS workload FROM usage{bounds}",
            PastCalls::columns().join(", ")
        );
        match &self.workload {
            Some(name) => format!("SELECT * FROM ({calls}) WHERE workload = {}", quoted(name)),
            None => calls,
        }
    }

    /// Reads and sums the calls, each partition of the query on a task of its own. Memory: a batch of rows for each, and the
    /// groups.
    pub(super) async fn replay(&self, session: &Session, cuts: Cuts) -> Result<Traffic, Error> {
        let workloads: HashMap<String, usize> =
            session.registry().workloads.iter().enumerate().map(|(at, workload)| (workload.name.clone(), at)).collect();
        let (workloads, cuts) = (Arc::new(workloads), Arc::new(cuts));
        let parts = session.run_in_parts(&self.sql()).await?;
        let groups_max = session.memory_bytes_max() / GROUP_BYTES / parts.len().max(1);
        let mut tasks = JoinSet::new();
        for rows in parts {
            tasks.spawn(Part::new(&cuts, &workloads, groups_max).read(rows));
        }
        let mut whole = Part::new(&cuts, &workloads, groups_max);
        while let Some(part) = tasks.join_next().await {
            let part = part.map_err(|error| Error::Internal {
                invariant: "reading calls does not panic",
                found: error.to_string(),
            })?;
            whole = whole.merge(part?);
        }
        let mut groups = whole.groups.into_groups();
        groups.sort_unstable_by_key(|group| group.sample);
        let last = |last: Date| Date::from_days(last.days().saturating_add(1));
        let from = self.from.or(whole.days.map(|(first, _)| first));
        let until = self.until.or(whole.days.map(|(_, day)| last(day)));
        Ok(Traffic { groups, days: from.zip(until) })
    }
}

/// The calls of one partition.
struct Part {
    groups: Groups<CallKind>,
    workloads: Arc<HashMap<String, usize>>,
    groups_max: usize,
    /// First and last day with a call.
    days: Option<(Date, Date)>,
}

impl Part {
    fn new(cuts: &Arc<Cuts>, workloads: &Arc<HashMap<String, usize>>, groups_max: usize) -> Self {
        Self { groups: Groups::new(Arc::clone(cuts)), workloads: Arc::clone(workloads), groups_max, days: None }
    }

    async fn read(mut self, mut rows: Rows) -> Result<Self, Error> {
        while let Some(batch) = rows.next().await? {
            self.add(&batch)?;
            if self.groups.len() > self.groups_max {
                return Err(Error::MemoryExceeded {
                    bytes_max: self.groups_max.saturating_mul(GROUP_BYTES),
                    reason: Some(format!("the window has more than {} kinds of calls", self.groups_max)),
                });
            }
        }
        Ok(self)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let broken = |error: arrow::error::ArrowError| Error::Internal {
            invariant: "a call names its workload",
            found: error.to_string(),
        };
        let names = batch.columns().last().map(|column| cast(column, &DataType::Utf8)).transpose().map_err(broken)?;
        let names = names.as_ref().and_then(|names| names.as_string_opt::<i32>());
        let calls = PastCalls::new(batch)?;
        for row in 0..calls.len() {
            let Some(past) = calls.get(row) else { continue };
            let name = names.and_then(|names| names.is_valid(row).then(|| names.value(row)));
            let call = past.call();
            let kind = CallKind {
                workload: name.and_then(|name| self.workloads.get(name).copied()),
                operation: call.operation,
                features: past.features,
            };
            self.groups.add(past.entry_id, &call, past.list_cost, kind);
            self.days = merge_days(self.days, Some((past.event_date, past.event_date)));
        }
        Ok(())
    }

    fn merge(self, other: Self) -> Self {
        Self { days: merge_days(self.days, other.days), groups: self.groups.merge(other.groups), ..self }
    }
}

fn merge_days(a: Option<(Date, Date)>, b: Option<(Date, Date)>) -> Option<(Date, Date)> {
    match (a, b) {
        (Some((from, to)), Some((first, last))) => Some((from.min(first), to.max(last))),
        (a, b) => a.or(b),
    }
}
