//! A view that several queries read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use tokio::sync::OnceCell;

use super::exec::{Computation, SharedExec};
use super::rule::adds_up;

/// A view whose rows are computed when a query first reads them, and kept for those that follow. They stay right, since a
/// session reads one state of the ledger.
#[derive(Debug)]
pub(crate) struct KeptView {
    name: &'static str,
    plan: LogicalPlan,
    computation: OnceCell<Arc<Computation>>,
}

impl KeptView {
    /// `None` if there may be as many rows as calls, or others each time: those are better read anew.
    pub(crate) fn new(name: &'static str, plan: LogicalPlan) -> Option<Self> {
        adds_up(&plan).then(|| Self { name, plan, computation: OnceCell::new() })
    }

    async fn planned(&self, session: &dyn Session) -> Result<Arc<Computation>> {
        let plan = session.create_physical_plan(&self.plan).await?;
        Ok(Arc::new(Computation::new(self.name.into(), plan)))
    }
}

#[async_trait]
impl TableProvider for KeptView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let computation = self.computation.get_or_try_init(async || self.planned(session).await).await?;
        let rows = Arc::new(SharedExec::new(Arc::clone(computation)));
        let Some(columns) = projection else { return Ok(rows) };
        let schema = self.schema();
        let column = |at: &usize| {
            let name = schema.field(*at).name();
            (Arc::new(Column::new(name, *at)) as _, name.clone())
        };
        Ok(Arc::new(ProjectionExec::try_new(columns.iter().map(column).collect::<Vec<_>>(), rows)?))
    }
}
