//! Computes once what a query reads more than once.
//!
//! DataFusion puts a view, and what `WITH` names, in place of each mention of it, so a query of several steps would read the
//! calls once for every path through them. Here what several mentions add up of the calls becomes one subplan: it is planned
//! and run once, and each mention reads its rows. Nothing outlives the query, except what a report asks for: views that several
//! of its queries read.
//!
//! - [`rule`]: which subplans are mentioned more than once and worth it
//! - [`node`]: a mention in a logical plan
//! - [`planner`]: plans each subplan once, with the columns that any mention needs
//! - [`exec`]: its rows, kept within the memory limit and beyond it on disk
//! - [`kept`]: a view whose rows outlive a query

mod exec;
mod kept;
mod node;
mod planner;
mod rule;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;

pub(crate) use self::kept::KeptView;

/// Adds sharing to a session, before its other rules.
pub(crate) fn enable(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = builder.analyzer().take().unwrap_or_default().rules;
    // First: the others copy a plan, and mentions of one subplan are known by its place in memory.
    rules.insert(0, Arc::new(rule::ShareSubplans::new(rules.clone())));
    builder.with_analyzer_rules(rules).with_query_planner(Arc::new(planner::Planner))
}
