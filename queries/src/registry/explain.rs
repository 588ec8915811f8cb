//! Why a call belongs to its workload: every rule tried, and what decided it.

use std::fmt;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use daybook_ledger::EntryId;

use super::{Condition, Rule, Subject};
use crate::{Error, Session};

/// What the registry makes of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The call.
    pub entry_id: EntryId,
    /// What rules may speak of, and what the call says about it.
    pub facts: Vec<(Subject, String)>,
    /// The rules in the order in which they are tried, up to the one that holds.
    pub trials: Vec<Trial>,
    /// Rules behind it, which were not tried.
    pub untried: usize,
    /// Its workload, contract and model family, as `calls` has them.
    pub resolved: [(&'static str, Option<String>); 4],
}

/// A rule and why it holds or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its number, from 1.
    pub number: usize,
    /// The workload it is of.
    pub workload: String,
    /// The rule.
    pub rule: Rule,
    /// The first condition that does not hold, and what the call says instead; `None` if the rule holds.
    pub failed: Option<(Condition, Option<String>)>,
}

/// Explains what `session`'s registry makes of an entry.
///
/// # Errors
/// [`Error::UnknownEntry`], those of queries.
pub async fn explain(session: &Session, entry_id: EntryId) -> Result<Explanation, Error> {
    let unknown = || Error::UnknownEntry { id: entry_id.to_string() };
    let columns = Subject::COLUMNS.map(|(subject, name)| match subject {
        Subject::Model => "coalesce(response_model, request_model)",
        _ => name,
    });
    let columns = columns.join(", ");
    let wanted = format!("WHERE entry_id = decode('{entry_id}', 'hex') ORDER BY event_date LIMIT 1");
    let facts = one_row(session, &format!("SELECT {columns}, tags FROM usage {wanted}")).await?.ok_or_else(unknown)?;
    let facts = read_facts(&facts)?;

    let resolved = format!("SELECT workload, owner, contract, model_family FROM calls {wanted}");
    let resolved = one_row(session, &resolved).await?.ok_or_else(unknown)?;
    let value = |at: usize| text(resolved.column(at));
    let resolved =
        [("workload", value(0)?), ("owner", value(1)?), ("contract", value(2)?), ("model family", value(3)?)];

    let rules: Vec<_> = session.registry().rules().collect();
    let mut trials = Vec::new();
    for (number, (workload, rule)) in (1..).zip(&rules) {
        let failed = rule.conditions.iter().find_map(|condition| {
            let fact = facts.iter().find(|(subject, _)| *subject == condition.subject).map(|(_, fact)| fact.clone());
            (!condition.holds(fact.as_deref())).then(|| (condition.clone(), fact))
        });
        let holds = failed.is_none();
        trials.push(Trial { number, workload: workload.name.clone(), rule: (*rule).clone(), failed });
        if holds {
            break;
        }
    }
    let untried = rules.len() - trials.len();
    Ok(Explanation { entry_id, facts, trials, untried, resolved })
}

async fn one_row(session: &Session, sql: &str) -> Result<Option<RecordBatch>, Error> {
    let batches = session.run(sql).await?.collect().await?;
    Ok(batches.into_iter().find(|batch| batch.num_rows() > 0))
}

fn broken(error: arrow::error::ArrowError) -> Error {
    Error::Internal { invariant: "the facts of a call are text", found: error.to_string() }
}

/// The first value of `column`.
fn text(column: &ArrayRef) -> Result<Option<String>, Error> {
    let column = cast(column, &DataType::Utf8).map_err(broken)?;
    Ok(column.is_valid(0).then(|| column.as_string::<i32>().value(0).to_owned()))
}

fn read_facts(row: &RecordBatch) -> Result<Vec<(Subject, String)>, Error> {
    let mut facts = Vec::new();
    for ((subject, _), column) in Subject::COLUMNS.into_iter().zip(row.columns()) {
        facts.extend(text(column)?.map(|fact| (subject, fact)));
    }
    let tags = row.columns().last().and_then(|column| column.as_map_opt()).filter(|tags| tags.is_valid(0));
    if let Some(tags) = tags {
        let pairs = tags.value(0);
        let text = |at: usize| cast(pairs.column(at), &DataType::Utf8).map_err(broken);
        let (names, values) = (text(0)?, text(1)?);
        let pairs = names.as_string::<i32>().iter().zip(values.as_string::<i32>());
        facts.extend(pairs.filter_map(|(name, value)| Some((Subject::Tag(name?.into()), value?.into()))));
    }
    Ok(facts)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "entry {}", self.entry_id)?;
        for (subject, fact) in &self.facts {
            writeln!(f, "  {subject} = {fact}")?;
        }
        writeln!(f, "rules")?;
        for trial in &self.trials {
            let Trial { number, workload, rule, failed } = trial;
            write!(f, "  {number} {workload} (line {}): {rule}: ", rule.line)?;
            match failed {
                None => writeln!(f, "holds")?,
                Some((condition, None)) => writeln!(f, "no, the call says no {}", condition.subject)?,
                Some((condition, Some(fact))) => writeln!(f, "no, {} is {fact}", condition.subject)?,
            }
        }
        match (self.untried, self.trials.is_empty()) {
            (0, true) => writeln!(f, "  none: the registry has no workloads")?,
            (0, false) => {}
            (untried, _) => writeln!(f, "  {untried} more, not tried")?,
        }
        for (name, value) in &self.resolved {
            writeln!(f, "{name}: {}", value.as_deref().unwrap_or("none"))?;
        }
        Ok(())
    }
}
