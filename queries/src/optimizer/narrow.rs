//! A decimal that was cut to fewer digits is compared as it prints.
//!
//! DataFusion takes a cast away that is compared with a constant, and compares what was cast: a share that prints `0.94` is not
//! `0.94` then. And the type of `round(x, 2)` is not the one that comparisons with it were planned for. Both become a function
//! that the planner does not look into.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::rewrite_expressions;

/// The digits of the widest decimal of 128 bits.
const DIGITS_MAX: i64 = 38;

/// Adds the rule to a session, before types are made to fit.
pub(crate) fn enable(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = builder.analyzer().take().unwrap_or_default().rules;
    rules.insert(0, Arc::new(KeepNarrow));
    builder.with_analyzer_rules(rules)
}

#[derive(Debug)]
struct KeepNarrow;

impl AnalyzerRule for KeepNarrow {
    fn name(&self) -> &'static str {
        "keep_narrow"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_expressions(plan, |expr, schema| Ok(narrow(expr, schema)))
    }
}

fn narrow(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match narrowed(&expr, schema) {
        Some((value, to)) => {
            let function = ScalarUDF::new_from_impl(Narrow { signature: Signature::any(1, Volatility::Immutable), to });
            Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![value])))
        }
        None => Transformed::no(expr),
    }
}

/// What is made narrower, and the type it gets, if digits of a decimal may go.
fn narrowed(expr: &Expr, schema: &DFSchema) -> Option<(Expr, DataType)> {
    let decimal = |value: &Expr| match value.get_type(schema) {
        Ok(DataType::Decimal128(precision, scale)) => Some((precision, scale)),
        _ => None,
    };
    match expr {
        Expr::Cast(Cast { expr: value, field }) => {
            let (_, scale) = decimal(value)?;
            let loses = match field.data_type() {
                DataType::Decimal128(_, to) => *to < scale,
                to => to.is_integer() && scale > 0,
            };
            loses.then(|| (value.as_ref().clone(), field.data_type().clone()))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "round" => {
            let [value, Expr::Literal(places, _)] = args.as_slice() else { return None };
            let (precision, scale) = decimal(value)?;
            let ScalarValue::Int64(Some(places)) = places.cast_to(&DataType::Int64).ok()? else { return None };
            let places = i8::try_from(places).ok().filter(|places| (0..=scale).contains(places))?;
            // Rounding up may take a digit more.
            let digits = i64::from(precision) - i64::from(scale - places) + 1;
            let digits = u8::try_from(digits.clamp(1, DIGITS_MAX)).ok()?;
            Some((value.clone(), DataType::Decimal128(digits, places)))
        }
        _ => None,
    }
}

/// A cast under another name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrow {
    signature: Signature,
    to: DataType,
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = datafusion::common::utils::take_function_args(self.name(), call.args)?;
        value.cast_to(&self.to, None)
    }
}
