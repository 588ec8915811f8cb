//! Aggregates over all rows make one row, whatever they read.
//!
//! DataFusion 55 moves a filter that names no column below such an aggregate, where it takes away what is counted but not the row:
//! `SELECT * FROM (SELECT 'a' AS x, count(*) FROM usage) WHERE x = 'b'` would answer `a, 0`. No filter moves below a limit, and a limit
//! of one row changes nothing here.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{Limit, LogicalPlan, lit};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// `state`, in which the row of an aggregate over all rows is safe.
pub(crate) fn keep(state: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = Optimizer::new().rules;
    let before = rules.iter().position(|rule| rule.name() == "push_down_filter").unwrap_or_default();
    rules.insert(before, Arc::new(OneRow));
    state.with_optimizer_rules(rules)
}

#[derive(Debug)]
struct OneRow;

impl OptimizerRule for OneRow {
    fn name(&self) -> &'static str {
        "one_row"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>, DataFusionError> {
        if matches!(plan, LogicalPlan::Limit(_)) || !plan.inputs().into_iter().any(makes_one_row) {
            return Ok(Transformed::no(plan));
        }
        plan.map_children(|input| {
            if !makes_one_row(&input) {
                return Ok(Transformed::no(input));
            }
            let one = Limit { skip: None, fetch: Some(Box::new(lit(1_i64))), input: Arc::new(input) };
            Ok(Transformed::yes(LogicalPlan::Limit(one)))
        })
    }
}

fn makes_one_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty())
}
