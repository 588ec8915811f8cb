//! Plans each shared subplan once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::internal_datafusion_err;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::exec::{Computation, SharedExec};
use super::node::{Shared, Subplan};

/// DataFusion's planner, which also knows [`Shared`].
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let steps = optimize(plan, session)?;
        let mut computed = Computed::default();
        for step in steps.into_iter().rev() {
            let plan = computed.plan(&step.plan, session).await?;
            let computation = Arc::new(Computation::new(step.subplan.to_string(), plan));
            computed.0.insert(step.subplan.number, (step.columns, computation));
        }
        computed.plan(plan, session).await
    }
}

/// A shared subplan, optimised, with the columns that any of its mentions needs.
struct Step {
    subplan: Arc<Subplan>,
    columns: BTreeSet<usize>,
    plan: LogicalPlan,
}

/// The shared subplans of `plan`, each before those it reads itself: only then all its mentions are known.
fn optimize(plan: &LogicalPlan, session: &dyn Session) -> Result<Vec<Step>> {
    let mut needed = BTreeMap::new();
    note_needs(plan, &mut needed);
    let mut steps = Vec::new();
    while let Some((_, (subplan, columns))) = needed.pop_last() {
        let state = session.as_any().downcast_ref::<SessionState>();
        let state = state.ok_or_else(|| internal_datafusion_err!("a session without an optimiser"))?;
        let plan = state.optimizer().optimize(only(&subplan.plan, &columns)?, state, |_, _| {})?;
        note_needs(&plan, &mut needed);
        steps.push(Step { subplan, columns, plan });
    }
    Ok(steps)
}

type Needs = BTreeMap<usize, (Arc<Subplan>, BTreeSet<usize>)>;

/// Adds the columns that mentions in an optimised `plan` need: those a projection right above takes, otherwise all.
fn note_needs(plan: &LogicalPlan, needs: &mut Needs) {
    let mut note = |mention: &Shared, columns: &mut dyn Iterator<Item = usize>| {
        let entry = needs.entry(mention.subplan.number);
        let (_, needed) = entry.or_insert_with(|| (Arc::clone(&mention.subplan), BTreeSet::new()));
        needed.extend(columns);
        // Rows without any column would not say how many they are.
        if needed.is_empty() {
            needed.insert(0);
        }
    };
    let schema = plan.schema();
    match plan {
        LogicalPlan::Projection(projection) if let Some(mention) = Shared::at(&projection.input) => {
            let columns = projection.expr.iter().flat_map(Expr::column_refs);
            let schema = projection.input.schema();
            note(mention, &mut columns.filter_map(|column| schema.maybe_index_of_column(column)));
        }
        other => match Shared::at(other) {
            Some(mention) => note(mention, &mut (0..schema.fields().len())),
            None => other.inputs().into_iter().for_each(|input| note_needs(input, needs)),
        },
    }
}

/// `plan` with some of its columns.
fn only(plan: &LogicalPlan, columns: &BTreeSet<usize>) -> Result<LogicalPlan> {
    let schema = plan.schema();
    if columns.len() == schema.fields().len() {
        return Ok(plan.clone());
    }
    let columns = columns.iter().map(|at| Expr::from(schema.qualified_field(*at)));
    LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()
}

/// What is planned already, by number, with the columns it has.
#[derive(Clone, Default)]
struct Computed(BTreeMap<usize, (BTreeSet<usize>, Arc<Computation>)>);

impl Computed {
    async fn plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let narrow = |node: LogicalPlan| match Shared::at(&node) {
            Some(mention) => match self.0.get(&mention.subplan.number) {
                Some((columns, _)) => Ok(Transformed::yes(mention.narrowed(columns.iter().copied())?.into_plan())),
                None => Ok(Transformed::no(node)),
            },
            None => Ok(Transformed::no(node)),
        };
        let plan = plan.clone().transform_up(narrow)?.data;
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(self.clone())]);
        planner.create_physical_plan(&plan, session).await
    }
}

#[async_trait]
impl ExtensionPlanner for Computed {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        _: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mention = node.as_any().downcast_ref::<Shared>();
        let computed = mention.and_then(|mention| self.0.get(&mention.subplan.number));
        Ok(computed.map(|(_, computation)| Arc::new(SharedExec::new(Arc::clone(computation))) as _))
    }
}
