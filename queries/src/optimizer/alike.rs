//! Rows that are alike are asked about once.
//!
//! Millions of calls differ in few of the columns that the rules of a registry speak of, and there may be dozens of rules. So a `CASE`
//! over many conditions on text is decided once for each distinct row of a batch. Filters stay as they are: what they compare
//! also leaves out files.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    ColumnarValue, EmitTo, Expr, ExprSchemable as _, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::aggregates::group_values::new_group_values;
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use crate::catalog::is_known_later;

/// With fewer conditions telling rows apart takes longer than deciding each.
const CONDITIONS_MIN: usize = 4;

/// Adds the rule to a session.
pub(crate) fn enable(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder.with_optimizer_rule(Arc::new(DecideOnce))
}

/// `answer` for each row of `arguments`, asked for distinct rows alone unless few are alike.
pub(crate) fn answer_once(
    schema: &SchemaRef,
    arguments: &[ArrayRef],
    answer: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let mut distinct = new_group_values(Arc::clone(schema), &GroupOrdering::None)?;
    let mut places = Vec::new();
    distinct.intern(arguments, &mut places)?;
    if distinct.len() > places.len() / 2 {
        return answer(arguments);
    }
    let answers = answer(&distinct.emit(EmitTo::All)?)?;
    let places: UInt64Array = places.into_iter().map(|place| place as u64).collect();
    Ok(take(&answers, &places, None)?)
}

#[derive(Debug)]
struct DecideOnce;

impl OptimizerRule for DecideOnce {
    fn name(&self) -> &'static str {
        "decide_once"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let input = match &plan {
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::Aggregate(aggregate) => &aggregate.input,
            _ => return Ok(Transformed::no(plan)),
        };
        let schema = Arc::clone(input.schema());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            // It cannot have a name.
            if matches!(expr, Expr::GroupingSet(_)) {
                return Ok(Transformed::no(expr));
            }
            let name = names.save(&expr);
            Ok(expr.transform_down(|expr| decided_once(expr, &schema))?.update_data(|expr| name.restore(expr)))
        })
    }
}

/// A `CASE` worth it becomes a [`Decision`].
fn decided_once(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_long = matches!(&expr, Expr::Case(case) if case.when_then_expr.len() >= CONDITIONS_MIN);
    if !is_long || expr.is_volatile() || expr.exists(|expr| Ok(is_known_later(expr)))? {
        return Ok(Transformed::no(expr));
    }
    let mut arguments = Vec::new();
    let over_arguments = expr.clone().transform_down(|expr| Ok(as_argument(expr, &mut arguments)))?.data;
    let types = arguments.iter().map(|argument| argument.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8View | DataType::Utf8);
    let is_cheap_to_tell_apart =
        |data_type: &DataType| is_text(data_type) || matches!(data_type, DataType::Date32 | DataType::Boolean);
    if !types.iter().any(is_text) || !types.iter().all(is_cheap_to_tell_apart) {
        return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
    }
    let decision = Decision::new(over_arguments, &types, expr.get_type(schema)?)?;
    let call = ScalarUDF::new_from_impl(decision).call(arguments);
    Ok(Transformed::new(call, true, TreeNodeRecursion::Jump))
}

/// Whether it is a column or a tag, as it is or cast.
fn is_fact(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => is_fact(&cast.expr),
        Expr::ScalarFunction(function) => function.name() == "get_field",
        _ => false,
    }
}

/// Facts become arguments by number.
fn as_argument(expr: Expr, arguments: &mut Vec<Expr>) -> Transformed<Expr> {
    if !is_fact(&expr) {
        return Transformed::no(expr);
    }
    let place = arguments.iter().position(|argument| *argument == expr).unwrap_or_else(|| {
        arguments.push(expr);
        arguments.len() - 1
    });
    Transformed::new(Expr::Column(argument(place)), true, TreeNodeRecursion::Jump)
}

fn argument(place: usize) -> Column {
    Column::new_unqualified(format!("argument{place}"))
}

/// A `CASE` over columns `argument0`, `argument1` and so on.
#[derive(Debug)]
struct Decision {
    case: Expr,
    schema: SchemaRef,
    return_type: DataType,
    evaluated: Arc<dyn PhysicalExpr>,
    signature: Signature,
}

impl Decision {
    fn new(case: Expr, types: &[DataType], return_type: DataType) -> Result<Self> {
        let field = |(place, data_type): (usize, &DataType)| Field::new(argument(place).name, data_type.clone(), true);
        let schema = Arc::new(Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()));
        let columns = DFSchema::try_from(Arc::clone(&schema))?;
        let evaluated =
            create_physical_expr(&case, &columns, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
        let signature = Signature::exact(types.to_vec(), Volatility::Immutable);
        Ok(Self { case, schema, return_type, evaluated, signature })
    }
}

impl PartialEq for Decision {
    fn eq(&self, other: &Self) -> bool {
        self.case == other.case && self.schema == other.schema
    }
}

impl Eq for Decision {}

impl Hash for Decision {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.case.hash(state);
    }
}

impl ScalarUDFImpl for Decision {
    fn name(&self) -> &'static str {
        "decide_once"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.return_type.clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = call.args.iter().map(|value| value.to_array(call.number_rows)).collect::<Result<Vec<_>>>()?;
        let answers = answer_once(&self.schema, &arguments, |arguments| {
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), arguments.to_vec())?;
            self.evaluated.evaluate(&batch)?.into_array(batch.num_rows())
        });
        answers.map(ColumnarValue::Array)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _, StringViewArray};

    use super::*;

    fn lengths(texts: &[Option<&str>]) -> (Vec<Option<i32>>, usize) {
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8View, true)]));
        let texts: ArrayRef = Arc::new(texts.iter().collect::<StringViewArray>());
        let mut asked = 0;
        let answers = answer_once(&schema, &[texts], |texts| {
            asked = texts[0].len();
            Ok(arrow::compute::kernels::length::length(&texts[0])?)
        });
        (answers.unwrap().as_primitive::<arrow::datatypes::Int32Type>().iter().collect(), asked)
    }

    #[test]
    fn rows_that_are_alike_are_asked_about_once_and_answered_each() {
        let texts = ["a text of more than twelve bytes", "b", "a text of more than twelve bytes", "b", "b"].map(Some);
        let (answers, asked) = lengths(&[&texts[..], &[None, None]].concat());
        assert_eq!(answers, [Some(32), Some(1), Some(32), Some(1), Some(1), None, None]);
        assert_eq!(asked, 3);
    }

    #[test]
    fn rows_that_differ_are_asked_about_as_they_are() {
        assert_eq!(lengths(&["a", "bb", "a"].map(Some)), (vec![Some(1), Some(2), Some(1)], 3));
        assert_eq!(lengths(&[]), (vec![], 0));
    }
}
