//! Whose data a bundle holds: everything, or what belongs to a provider, a team, a person, a workload, a contract.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch};
use serde_json::{Map, Value, json};

use crate::totals::words;
use crate::{Error, Part};

/// What entries are chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// Who serves and bills: `provider`.
    Provider,
    /// The team that pays: `team`.
    Team,
    /// The person or customer the call was made for: `end_user`.
    Subject,
    /// A workload of the registry.
    Workload,
    /// A contract of the registry.
    Contract,
}

impl Axis {
    /// Its name in a bundle and of its flag.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Team => "team",
            Self::Subject => "subject",
            Self::Workload => "workload",
            Self::Contract => "contract",
        }
    }

    const fn usage_column(self) -> &'static str {
        match self {
            Self::Subject => "end_user",
            other => other.name(),
        }
    }
}

/// A condition on rows of `usage` that no single column answers.
pub trait Condition: Debug + Send + Sync {
    /// Which rows of `usage` it holds for; null is no.
    ///
    /// # Errors
    /// What the evaluation reports.
    fn holds(&self, usage: &RecordBatch) -> Result<BooleanArray, Box<dyn std::error::Error + Send + Sync>>;
}

/// Entries that every term holds for. Without a term: everything there is.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    axis: Axis,
    value: String,
    condition: Option<Arc<dyn Condition>>,
}

impl Scope {
    /// Only entries whose column for `axis` is `value`.
    #[must_use]
    pub fn only(self, axis: Axis, value: &str) -> Self {
        self.with(axis, value, None)
    }

    /// Only entries `condition` holds for, which is that `axis` is `value`.
    #[must_use]
    pub fn only_where(self, axis: Axis, value: &str, condition: Arc<dyn Condition>) -> Self {
        self.with(axis, value, Some(condition))
    }

    fn with(mut self, axis: Axis, value: &str, condition: Option<Arc<dyn Condition>>) -> Self {
        self.terms.push(Term { axis, value: value.into(), condition });
        self.terms.sort_by_key(|term| term.axis);
        self
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    fn has(&self, axis: Axis) -> bool {
        self.terms.iter().any(|term| term.axis == axis)
    }

    /// Why no row of `part` goes in; `None` if rows do.
    ///
    /// What cannot be told apart by the scope stays out: it would carry what belongs to others.
    pub(crate) fn exemption(&self, part: Part) -> Option<&'static str> {
        if self.is_everything() {
            return None;
        }
        let has_columns =
            || self.terms.iter().all(|term| part.spec().columns.iter().any(|column| column.name == term.axis.name()));
        match part {
            Part::Usage | Part::Corrections | Part::Content | Part::ContentPartial | Part::Valuations => None,
            Part::Quarantine | Part::Resolutions => Some("messages that could not be read do not say whose they are"),
            Part::Registry => Some("it speaks of all owners, vendors and terms at once"),
            Part::Prices if self.has(Axis::Subject) => Some("prices are not about a person"),
            Part::Prices => None,
            Part::Billing | Part::Evidence if has_columns() => None,
            Part::Billing => Some("a line of a bill is about the account as a whole"),
            Part::Evidence => Some("what was done is not recorded by this scope"),
        }
    }

    /// Which rows of `usage` or `corrections` every term holds for; null is no.
    pub(crate) fn holds(&self, usage: &RecordBatch) -> Result<BooleanArray, Error> {
        let mut all = BooleanArray::from(vec![true; usage.num_rows()]);
        for term in &self.terms {
            let holds = match &term.condition {
                None => equals(usage, term.axis.usage_column(), &term.value)?,
                Some(condition) => condition.holds(usage).map_err(|source| Error::Internal {
                    invariant: "the scope is a condition on `usage`",
                    found: source.to_string(),
                })?,
            };
            all = and(&all, &holds).map_err(Error::arrow)?;
        }
        Ok(all)
    }

    /// Which rows of `usage` or `corrections` name another person than the one that is asked for.
    pub(crate) fn names_another(&self, usage: &RecordBatch) -> Result<BooleanArray, Error> {
        let subject = self.terms.iter().find(|term| term.axis == Axis::Subject);
        let is_another = |word: Option<&str>| subject.is_some_and(|term| word.is_some_and(|word| word != term.value));
        Ok(words(usage, Axis::Subject.usage_column())?.iter().map(|word| Some(is_another(word))).collect())
    }

    /// The rows of a table that has a column for every term.
    pub(crate) fn rows_by_name(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let mut batch = batch.clone();
        for term in &self.terms {
            let mask = equals(&batch, term.axis.name(), &term.value)?;
            batch = filter_record_batch(&batch, &mask).map_err(Error::arrow)?;
        }
        Ok(batch)
    }

    /// By axis, for `summary.json`.
    pub(crate) fn to_json(&self) -> Value {
        self.terms.iter().map(|term| (term.axis.name().to_owned(), json!(term.value))).collect::<Map<_, _>>().into()
    }
}

/// `team is "search" and provider is "openai"`.
impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            let and = if at > 0 { " and " } else { "" };
            write!(f, "{and}{} is {:?}", term.axis.name(), term.value)?;
        }
        Ok(())
    }
}

fn equals(batch: &RecordBatch, column: &str, value: &str) -> Result<BooleanArray, Error> {
    Ok(words(batch, column)?.iter().map(|word| Some(word == Some(value))).collect())
}

/// Who served the chosen calls, and with it whose prices were used.
#[derive(Debug, Default)]
pub(crate) struct Providers(BTreeSet<String>);

impl Providers {
    pub(crate) fn add(&mut self, usage: &RecordBatch) -> Result<(), Error> {
        for name in words(usage, "provider")?.iter().flatten() {
            if !self.0.contains(name) {
                self.0.insert(name.into());
            }
        }
        Ok(())
    }

    pub(crate) fn rows_of(&self, prices: &RecordBatch) -> Result<RecordBatch, Error> {
        let providers = words(prices, "provider")?;
        let mask: BooleanArray =
            providers.iter().map(|name| Some(name.is_some_and(|name| self.0.contains(name)))).collect();
        filter_record_batch(prices, &mask).map_err(Error::arrow)
    }
}
