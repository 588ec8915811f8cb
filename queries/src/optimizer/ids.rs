//! Ids as they are printed.
//!
//! Ids and digests are bytes, and print as hexadecimal. Text that is compared with one is read as what was printed: the letters
//! themselves are never an id.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan};
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use daybook_ledger::file::unhex;

use super::rewrite_expressions;

/// Adds the rule to a session.
pub(crate) fn enable(builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = Analyzer::new().rules;
    // Before types are made to fit, which takes the letters for the bytes.
    rules.insert(0, Arc::new(ReadIds));
    builder.with_analyzer_rules(rules)
}

#[derive(Debug)]
struct ReadIds;

impl AnalyzerRule for ReadIds {
    fn name(&self) -> &'static str {
        "read_ids"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_expressions(plan, read_in)
    }
}

fn read_in(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.swap().is_some() => {
            let (read_left, read_right) = (read(&left, &right, schema)?, read(&right, &left, schema)?);
            let changed = read_left.is_some() || read_right.is_some();
            let left = read_left.map_or(left, Box::new);
            let right = read_right.map_or(right, Box::new);
            let expr = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let one = |text: Expr| Ok(read(&text, &expr, schema)?.unwrap_or(text));
            let list = list.into_iter().map(one).collect::<Result<Vec<_>>>()?;
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// The bytes that `text` says, if it is text and `id` is an id.
fn read(text: &Expr, id: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (Expr::Literal(value, _), Some(name)) = (text, id_name(id)) else { return Ok(None) };
    let Some(text) = value.try_as_str().flatten() else { return Ok(None) };
    let data_type = id.get_type(schema)?;
    if !data_type.is_binary() {
        return Ok(None);
    }
    let bytes = unhex::<16>(text).map(Vec::from).or_else(|| unhex::<32>(text).map(Vec::from));
    let Some(bytes) = bytes else {
        return plan_err!(
            "`{name}` is compared with `{text}`, which is no id: ids are 32 hexadecimal digits, digests 64; a part of one is \
             found by encode({name}, 'hex') LIKE '..'"
        );
    };
    Ok(Some(Expr::Literal(ScalarValue::Binary(Some(bytes)).cast_to(&data_type)?, None)))
}

/// The name of a column that may hold ids or digests.
fn id_name(expr: &Expr) -> Option<&str> {
    let (Expr::Column(column) | Expr::OuterReferenceColumn(_, column)) = expr else { return None };
    let name = column.name.as_str();
    (name.ends_with("id") || name.ends_with("sha256") || name == "supersedes").then_some(name)
}
