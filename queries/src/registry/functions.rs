//! The registry in SQL: functions that become plain conditions over the columns they are given.
//!
//! Each call is replaced by a `CASE` over the registry's rules while a query is planned, so that only the columns the
//! rules speak of are read, and filters on the result still leave out files. Those over the many rules for models stay
//! functions, which go by the rules themselves.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Date32Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue, internal_datafusion_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::utils::disjunction;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{Expr, SessionContext, col, lit};
use daybook_ledger::Date;

use super::pattern::{first_that_holds, word};
use super::{ModelRule, Pattern, Registry, Workload, contract, workload};
use crate::optimizer::answer_once;

/// A function of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// `workload(team, project, api_key_alias, workload_hint, environment, operation, provider, model, tags)`
    Workload,
    /// `contract(provider, model, day)`
    Contract,
    /// `model_family(model)`, `model_family(provider, model)`
    ModelFamily,
    /// `model_ends_on(provider, model)`
    ModelEndsOn,
    /// `has_open_weights(provider, model)`
    HasOpenWeights,
    /// `workload_owner(workload)`
    Owner,
    /// `declared_segment(workload)`
    DeclaredSegment,
    /// `is_approved(workload, provider, model)`
    IsApproved,
}

impl Function {
    const ALL: [Self; 8] = [
        Self::Workload,
        Self::Contract,
        Self::ModelFamily,
        Self::ModelEndsOn,
        Self::HasOpenWeights,
        Self::Owner,
        Self::DeclaredSegment,
        Self::IsApproved,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Contract => "contract",
            Self::ModelFamily => "model_family",
            Self::ModelEndsOn => "model_ends_on",
            Self::HasOpenWeights => "has_open_weights",
            Self::Owner => "workload_owner",
            Self::DeclaredSegment => "declared_segment",
            Self::IsApproved => "is_approved",
        }
    }

    fn parameters(self) -> &'static str {
        match self {
            Self::Workload => {
                "team, project, api_key_alias, workload_hint, environment, operation, provider, model, tags"
            }
            Self::Contract => "provider, model, day",
            Self::ModelFamily | Self::ModelEndsOn | Self::HasOpenWeights => "provider, model",
            Self::Owner | Self::DeclaredSegment => "workload",
            Self::IsApproved => "workload, provider, model",
        }
    }

    /// Whether it goes by the registry's models, of which there are many.
    const fn is_of_models(self) -> bool {
        matches!(self, Self::ModelFamily | Self::ModelEndsOn | Self::HasOpenWeights)
    }

    fn return_type(self) -> DataType {
        match self {
            Self::IsApproved | Self::HasOpenWeights => DataType::Boolean,
            Self::ModelEndsOn => DataType::Date32,
            _ => DataType::Utf8View,
        }
    }

    /// The types the arguments are cast to.
    fn argument_types(self, given: &[DataType]) -> Result<Vec<DataType>> {
        let expected = self.parameters().split(", ").count();
        let short_form = self == Self::ModelFamily && given.len() == 1;
        if given.len() != expected && !short_form {
            return plan_err!(
                "{}({}) takes {expected} arguments, {} were given",
                self.name(),
                self.parameters(),
                given.len()
            );
        }
        let wanted = given.iter().enumerate().map(|(at, given)| match (self, at) {
            (Self::Contract, 2) => DataType::Date32,
            (Self::Workload, 8) => given.clone(),
            _ => DataType::Utf8View,
        });
        Ok(wanted.collect())
    }

    /// The call as an expression without the function; `None` if the registry says nothing about it, and for models.
    fn to_expr(self, registry: &Registry, arguments: &[Expr]) -> Option<Expr> {
        let by_workload = |value: fn(&Workload) -> Option<Expr>| {
            let name = arguments.first()?;
            let cases = registry.workloads.iter();
            first_that_holds(
                cases.filter_map(|workload| Some((name.clone().eq(word(&workload.name)), value(workload)?))),
            )
        };
        match self {
            Self::Workload => workload::to_expr(&registry.workloads, arguments).or_else(|| never(arguments)),
            Self::Contract => contract::to_expr(&registry.contracts, arguments).or_else(|| never(arguments)),
            Self::ModelFamily | Self::ModelEndsOn | Self::HasOpenWeights => None,
            Self::Owner => by_workload(|workload| workload.owner.as_deref().map(word)),
            Self::DeclaredSegment => {
                by_workload(|workload| workload.declared_segment.map(|segment| word(segment.as_str())))
            }
            Self::IsApproved => is_approved(&registry.workloads, arguments),
        }
    }
}

/// Null for a workload that approves everything, and for no workload; false for what a list leaves out or nobody names.
fn is_approved(workloads: &[Workload], arguments: &[Expr]) -> Option<Expr> {
    let [name, provider, model] = arguments else { return None };
    let listed = |patterns: &[Pattern], fact: &Expr| match disjunction(
        patterns.iter().map(|pattern| pattern.to_expr(fact.clone())),
    ) {
        Some(fits) => fits.is_true(),
        None => lit(true),
    };
    first_that_holds(workloads.iter().filter_map(|workload| {
        let (providers, models) = (&workload.approved_providers, &workload.approved_models);
        let approves_all = providers.is_empty() && models.is_empty();
        let approved = || listed(providers, provider).and(listed(models, model));
        (!approves_all).then(|| (name.clone().eq(word(&workload.name)), approved()))
    }))
}

/// Null for every row, but no constant: DataFusion 55 makes plans that it then refuses where a window is partitioned by one.
fn never(arguments: &[Expr]) -> Option<Expr> {
    let no_text = || word("\0");
    first_that_holds([(arguments.first()?.clone().eq(no_text()), no_text())].into_iter())
}

fn null(data_type: &DataType) -> Expr {
    lit(ScalarValue::try_new_null(data_type).unwrap_or(ScalarValue::Null))
}

/// A function over one registry.
#[derive(Debug)]
struct RegistryFunction {
    function: Function,
    registry: Arc<Registry>,
    signature: Signature,
    /// What is evaluated for arguments of these types.
    planned: Mutex<HashMap<Vec<DataType>, Planned>>,
}

/// An expression over columns `argument0`, `argument1` and so on.
#[derive(Clone, Debug)]
struct Planned {
    schema: SchemaRef,
    expression: Arc<dyn PhysicalExpr>,
}

impl RegistryFunction {
    fn new(function: Function, registry: &Arc<Registry>) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { function, registry: Arc::clone(registry), signature, planned: Mutex::default() }
    }

    fn expression(&self, arguments: &[Expr]) -> Expr {
        let expression = self.function.to_expr(&self.registry, arguments);
        expression.unwrap_or_else(|| null(&self.function.return_type()))
    }

    fn planned(&self, types: Vec<DataType>) -> Result<Planned> {
        let mut known = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(planned) = known.get(&types) {
            return Ok(planned.clone());
        }
        let name = |at: usize| format!("argument{at}");
        let fields = types.iter().enumerate().map(|(at, data_type)| Field::new(name(at), data_type.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arguments: Vec<_> = (0..types.len()).map(|at| col(name(at))).collect();
        let expression = SessionContext::new()
            .create_physical_expr(self.expression(&arguments), &DFSchema::try_from(Arc::clone(&schema))?)?;
        let planned = Planned { schema, expression };
        known.insert(types, planned.clone());
        Ok(planned)
    }
}

impl Planned {
    fn evaluate(&self, arguments: Vec<ArrayRef>) -> Result<ArrayRef> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arguments)?;
        self.expression.evaluate(&batch)?.into_array(batch.num_rows())
    }
}

/// What `function` says about models, by the first of `rules` that speaks of each.
fn of_models(function: Function, rules: &[ModelRule], arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let text = |array: &ArrayRef| {
        let texts = array.as_string_view_opt().cloned();
        texts.ok_or_else(|| internal_datafusion_err!("{} is no text", array.data_type()))
    };
    let (providers, models) = match arguments {
        [model] => (None, text(model)?),
        [provider, model] => (Some(text(provider)?), text(model)?),
        _ => return internal_err!("{} arguments of {}", arguments.len(), function.name()),
    };
    let rules = models.iter().enumerate().map(|(row, model)| {
        let provider = providers.as_ref().filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row));
        model.and_then(|model| rules.iter().find(|rule| rule.matches(provider, model)))
    });
    Ok(match function {
        Function::ModelEndsOn => Arc::new(rules.map(|rule| rule?.ends_on.map(Date::days)).collect::<Date32Array>()),
        Function::HasOpenWeights => Arc::new(rules.map(|rule| rule?.open_weights).collect::<BooleanArray>()),
        _ => Arc::new(rules.map(|rule| Some(rule?.family.as_str())).collect::<StringViewArray>()),
    })
}

impl PartialEq for RegistryFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && Arc::ptr_eq(&self.registry, &other.registry)
    }
}

impl Eq for RegistryFunction {}

impl Hash for RegistryFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.hash(state);
    }
}

impl ScalarUDFImpl for RegistryFunction {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.return_type())
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.function.argument_types(given)
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.function.is_of_models() {
            true => ExprSimplifyResult::Original(arguments),
            false => ExprSimplifyResult::Simplified(self.expression(&arguments)),
        })
    }

    /// For functions of models; for others only where a plan was never optimised.
    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = call.args.iter().map(|value| value.to_array(call.number_rows)).collect::<Result<Vec<_>>>()?;
        let types = arguments.iter().map(|argument| argument.data_type().clone());
        let answers = match self.function.is_of_models() {
            true => {
                let field = |data_type| Field::new("argument", data_type, true);
                let schema = Arc::new(Schema::new(types.map(field).collect::<Vec<_>>()));
                answer_once(&schema, &arguments, |arguments| of_models(self.function, &self.registry.models, arguments))
            }
            false => self.planned(types.collect())?.evaluate(arguments),
        };
        answers.map(ColumnarValue::Array)
    }
}

/// Registers every function over `registry`.
pub(crate) fn register(context: &SessionContext, registry: &Arc<Registry>) {
    for function in Function::ALL {
        context.register_udf(ScalarUDF::new_from_impl(RegistryFunction::new(function, registry)));
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Date32Type;

    use super::super::Subject;
    use super::*;

    #[test]
    fn models_are_what_their_first_rule_says() {
        let rules = &Registry::builtin().unwrap().models;
        let models = ["gpt-5", "no-such-model", "gpt-5", "us.anthropic.claude-opus-4-1"].map(Some);
        let models: ArrayRef = Arc::new(models.into_iter().chain([None]).collect::<StringViewArray>());
        let alone = of_models(Function::ModelFamily, rules, &[Arc::clone(&models)]).unwrap();
        let expected = [Some("gpt-5"), None, Some("gpt-5"), Some("claude-opus"), None];
        assert_eq!(alone.as_string_view().iter().collect::<Vec<_>>(), expected);
        let providers: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("openai"), None, None, None, Some("openai")]));
        let ends_on = of_models(Function::ModelEndsOn, rules, &[providers, models]).unwrap();
        let expected = [Date::parse("2026-12-11").map(Date::days), None, None, None, None];
        assert_eq!(ends_on.as_primitive::<Date32Type>().iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_function_takes_the_columns_rules_speak_of_in_their_order() {
        let columns = Subject::COLUMNS.map(|(_, name)| name).join(", ");
        assert_eq!(Function::Workload.parameters(), format!("{columns}, tags"));
    }
}
