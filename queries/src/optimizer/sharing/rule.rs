//! Finds subplans that a query mentions more than once.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::optimizer::AnalyzerRule;

use super::node::{Shared, Subplan};
use crate::catalog::LedgerTable;

/// Puts [`Shared`] in place of subplans that are mentioned more than once and add up what they read of the ledger.
pub(super) struct ShareSubplans {
    /// What follows this rule: a subplan goes through it once, since nothing that follows sees into it.
    analysis: Vec<Arc<dyn AnalyzerRule + Send + Sync>>,
}

impl ShareSubplans {
    pub(super) fn new(analysis: Vec<Arc<dyn AnalyzerRule + Send + Sync>>) -> Self {
        Self { analysis }
    }
}

impl fmt::Debug for ShareSubplans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AnalyzerRule for ShareSubplans {
    fn name(&self) -> &str {
        "share_subplans"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut survey = Survey::default();
        if !survey.take(&plan).is_steady {
            return Ok(plan);
        }
        survey.count(&plan, "");
        survey.mentions.retain(|_, mentions| mentions.number > 1);
        if survey.mentions.is_empty() {
            return Ok(plan);
        }
        Sharing { rule: self, config, mentions: survey.mentions, shared: HashMap::new() }.rewrite(&plan)
    }
}

/// Whether `plan` gives sums of what it reads of the ledger, the same each time.
pub(super) fn adds_up(plan: &LogicalPlan) -> bool {
    let Facts { is_of_ledger, is_summed, is_steady } = Survey::default().take(plan);
    is_of_ledger && is_summed && is_steady
}

/// A node by its place in memory: mentions of one view or `WITH` lead to the same.
type Place = *const LogicalPlan;

/// What is known of a node and all that is below it.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Whether it reads the ledger.
    is_of_ledger: bool,
    /// Whether everything it reads of the ledger is added up.
    is_summed: bool,
    /// Whether it gives the same each time, wherever it stands.
    is_steady: bool,
}

#[derive(Debug)]
struct Mentions<'a> {
    name: &'a str,
    number: usize,
}

/// What a plan mentions, and how often.
#[derive(Debug, Default)]
struct Survey<'a> {
    facts: HashMap<Place, Facts>,
    /// Nodes through which a condition reaches a scan, and there leaves files out: each mention reads fewer than all need.
    is_narrowed: HashSet<Place>,
    mentions: HashMap<Place, Mentions<'a>>,
}

impl<'a> Survey<'a> {
    /// Takes the facts of `plan`.
    fn take(&mut self, plan: &LogicalPlan) -> Facts {
        if let Some(known) = self.facts.get(&ptr::from_ref(plan)) {
            return *known;
        }
        let own = Facts {
            is_of_ledger: matches!(plan, LogicalPlan::TableScan(scan) if is_of_ledger(scan)),
            is_summed: !matches!(plan, LogicalPlan::TableScan(scan) if is_of_ledger(scan)),
            is_steady: is_steady(plan),
        };
        let inputs = plan.inputs().into_iter().map(|input| self.take(input));
        let mut facts = inputs.fold(own, |all, input| Facts {
            is_of_ledger: all.is_of_ledger | input.is_of_ledger,
            is_summed: all.is_summed & input.is_summed,
            is_steady: all.is_steady & input.is_steady,
        });
        facts.is_summed |= matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_));
        if let LogicalPlan::Filter(filter) = plan {
            for column in split_conjunction(&filter.predicate).into_iter().filter_map(compared_with_constant) {
                self.narrow(&filter.input, column, false);
            }
        }
        self.facts.insert(ptr::from_ref(plan), facts);
        facts
    }

    /// Follows `column` down to a scan of the ledger, below a sum; whether it gets there as it is or cast.
    fn narrow(&mut self, plan: &LogicalPlan, column: &Column, is_below_sum: bool) -> bool {
        let Some(at) = plan.schema().maybe_index_of_column(column) else { return false };
        let reaches = match plan {
            LogicalPlan::TableScan(scan) => is_below_sum && is_of_ledger(scan),
            LogicalPlan::Projection(projection) => {
                let inner = projection.expr.get(at).and_then(as_column);
                inner.is_some_and(|column| self.narrow(&projection.input, column, is_below_sum))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let inner = aggregate.group_expr.get(at).and_then(as_column);
                inner.is_some_and(|column| self.narrow(&aggregate.input, column, true))
            }
            LogicalPlan::SubqueryAlias(alias) => self.narrow(&alias.input, &column_at(&alias.input, at), is_below_sum),
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter();
                inputs.fold(false, |any, input| self.narrow(input, &column_at(input, at), is_below_sum) | any)
            }
            _ => plan.inputs().into_iter().fold(false, |any, input| self.narrow(input, column, is_below_sum) | any),
        };
        if reaches {
            self.is_narrowed.insert(ptr::from_ref(plan));
        }
        reaches
    }

    /// Counts mentions below `plan`, which the query calls `name`. What a shared subplan mentions, it mentions once.
    fn count(&mut self, plan: &'a LogicalPlan, name: &'a str) {
        if self.is_worth_it(plan) {
            let mentions = self.mentions.entry(plan).or_insert(Mentions { name, number: 0 });
            mentions.number += 1;
            if mentions.number > 1 {
                return;
            }
        }
        let name = if let LogicalPlan::SubqueryAlias(alias) = plan { alias.alias.table() } else { name };
        plan.inputs().into_iter().for_each(|input| self.count(input, name));
    }

    fn is_worth_it(&self, plan: &LogicalPlan) -> bool {
        let place = ptr::from_ref(plan);
        let facts = self.facts.get(&place);
        facts.is_some_and(|facts| facts.is_of_ledger && facts.is_summed) && !self.is_narrowed.contains(&place)
    }
}

/// A plan on its way to one with shared subplans.
struct Sharing<'a> {
    rule: &'a ShareSubplans,
    config: &'a ConfigOptions,
    mentions: HashMap<Place, Mentions<'a>>,
    shared: HashMap<Place, Shared>,
}

impl Sharing<'_> {
    /// `plan` with mentions in place of what is shared below it.
    fn rewrite(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let inputs = plan.inputs();
        if inputs.is_empty() {
            return Ok(plan.clone());
        }
        let inputs = inputs.into_iter().map(|input| self.mention(input)).collect::<Result<_>>()?;
        plan.with_new_exprs(plan.expressions(), inputs)
    }

    fn mention(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let place = ptr::from_ref(plan);
        if let Some(known) = self.shared.get(&place) {
            return Ok(known.clone().into_plan());
        }
        let rewritten = self.rewrite(plan)?;
        let Some(mentions) = self.mentions.get(&place) else { return Ok(rewritten) };
        let mut analysis = self.rule.analysis.iter();
        let plan = analysis.try_fold(rewritten, |plan, rule| rule.analyze(plan, self.config))?;
        let node = Shared::new(Subplan { number: self.shared.len() + 1, name: mentions.name.into(), plan });
        self.shared.insert(place, node.clone());
        Ok(node.into_plan())
    }
}

/// Whether the node alone gives the same each time, wherever it stands: what a recursive query reads changes with each round, what
/// is correlated with each row.
fn is_steady(plan: &LogicalPlan) -> bool {
    let visit_subquery =
        |subquery: &LogicalPlan| subquery.apply_with_subqueries(|node| stop_unless(has_none(node, Expr::is_volatile)));
    !matches!(plan, LogicalPlan::RecursiveQuery(_))
        && has_none(plan, |expr| expr.is_volatile() || expr.contains_outer())
        && is_whole(plan.apply_subqueries(visit_subquery))
}

/// Whether `is_bad` holds of no expression of the node.
fn has_none(plan: &LogicalPlan, is_bad: impl Fn(&Expr) -> bool) -> bool {
    is_whole(plan.apply_expressions(|expr| stop_unless(!is_bad(expr))))
}

/// Whether a visit was not stopped.
fn is_whole(visit: Result<TreeNodeRecursion>) -> bool {
    !matches!(visit, Ok(TreeNodeRecursion::Stop) | Err(_))
}

fn stop_unless(holds: bool) -> Result<TreeNodeRecursion> {
    Ok(if holds { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
}

fn is_of_ledger(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|table| (table.as_ref() as &dyn Any).is::<LedgerTable>())
}

/// The one column of a condition that has a constant too: a literal, or a function of nothing such as `now()`.
fn compared_with_constant(condition: &Expr) -> Option<&Column> {
    let mut columns = condition.column_refs().into_iter();
    let column = columns.next().filter(|_| columns.next().is_none())?;
    let is_constant = |expr: &Expr| match expr {
        Expr::Literal(..) => true,
        Expr::ScalarFunction(function) => function.args.is_empty(),
        _ => false,
    };
    condition.exists(|expr| Ok(is_constant(expr))).unwrap_or(true).then_some(column)
}

fn column_at(plan: &LogicalPlan, at: usize) -> Column {
    Column::from(plan.schema().qualified_field(at))
}

fn as_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => as_column(&alias.expr),
        Expr::Cast(cast) => as_column(&cast.expr),
        Expr::TryCast(cast) => as_column(&cast.expr),
        _ => None,
    }
}
