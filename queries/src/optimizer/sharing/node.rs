//! A shared subplan in a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// What is computed once.
#[derive(Debug)]
pub(super) struct Subplan {
    /// Higher than those of the subplans it reads.
    pub(super) number: usize,
    /// What the query calls it.
    pub(super) name: String,
    pub(super) plan: LogicalPlan,
}

impl fmt::Display for Subplan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "{}", self.number),
            name => write!(f, "{} `{name}`", self.number),
        }
    }
}

/// One mention of a shared subplan. Without inputs as far as the optimiser sees: the subplan is optimised apart, once for
/// all mentions.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) subplan: Arc<Subplan>,
    schema: DFSchemaRef,
}

impl Shared {
    /// A mention of `subplan`, to be cloned for the others.
    pub(super) fn new(subplan: Subplan) -> Self {
        let schema = Arc::clone(subplan.plan.schema());
        Self { subplan: Arc::new(subplan), schema }
    }

    /// The mention at `plan`, if it is one.
    pub(super) fn at(plan: &LogicalPlan) -> Option<&Self> {
        let LogicalPlan::Extension(Extension { node }) = plan else { return None };
        node.as_any().downcast_ref()
    }

    /// The same mention with `columns` of its subplan alone.
    pub(super) fn narrowed(&self, columns: impl Iterator<Item = usize>) -> Result<Self> {
        let whole = self.subplan.plan.schema();
        let fields =
            columns.map(|at| whole.qualified_field(at)).map(|(table, field)| (table.cloned(), Arc::clone(field)));
        let schema = DFSchema::new_with_metadata(fields.collect(), whole.metadata().clone())?;
        Ok(Self { subplan: Arc::clone(&self.subplan), schema: Arc::new(schema) })
    }

    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.subplan, &other.subplan) && self.schema == other.schema
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.subplan).hash(state);
    }
}

impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Shared {
    fn name(&self) -> &str {
        "Shared"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared: {}", self.subplan)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}
