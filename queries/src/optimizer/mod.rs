//! What a session plans otherwise than DataFusion does.
//!
//! - [`ids`] reads ids as they are printed
//! - [`narrow`] compares a decimal that was cut to fewer digits as it prints
//! - [`one_row`] keeps the row of an aggregate over all rows
//! - [`alike`] decides once about rows that are alike
//! - [`sharing`] computes once what is mentioned more than once

mod alike;
mod ids;
mod narrow;
mod one_row;
mod sharing;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

pub(crate) use self::alike::answer_once;
pub(crate) use self::sharing::KeptView;

/// `state` with all of it. Sharing comes last, so that its rule is the first.
pub(crate) fn extend(state: SessionStateBuilder) -> SessionStateBuilder {
    sharing::enable(alike::enable(one_row::keep(narrow::enable(ids::enable(state)))))
}

/// `plan` with every expression rewritten from within, under the names they had.
fn rewrite_expressions(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            // It cannot have a name.
            if matches!(expr, Expr::GroupingSet(_)) {
                return Ok(Transformed::no(expr));
            }
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| rewrite(expr, &schema))?.update_data(|expr| name.restore(expr)))
        })
    });
    Ok(rewritten?.data)
}
