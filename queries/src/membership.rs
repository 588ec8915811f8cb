//! Which rows of `usage` belong to a workload or a contract of the registry, outside of a query.

use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::lit;
use daybook_ledger::schema::USAGE;

use crate::{Error, Session};

/// The workload of a row of `usage`, as the view `calls` has it. Without `coalesce`, which runs only after an optimizer.
const WORKLOAD: &str = "workload(team, project, api_key_alias, workload_hint, environment, operation, provider, \
                        CASE WHEN response_model IS NULL THEN request_model ELSE response_model END, tags)";
/// Its contract, likewise.
const CONTRACT: &str =
    "contract(provider, CASE WHEN response_model IS NULL THEN request_model ELSE response_model END, event_date)";

/// Tells rows of `usage` that belong to one workload or contract.
#[derive(Clone, Debug)]
pub struct Membership(Arc<dyn PhysicalExpr>);

impl Membership {
    /// Whether each row of `usage`, in the columns it is built in, belongs to it; null is no.
    ///
    /// # Errors
    /// [`Error::Internal`] for rows of other columns.
    pub fn holds(&self, usage: &RecordBatch) -> Result<BooleanArray, Error> {
        let evaluate = || {
            let held = self.0.evaluate(usage)?.into_array(usage.num_rows())?;
            let not_boolean = || DataFusionError::Internal(format!("{} is no boolean", held.data_type()));
            held.as_boolean_opt().cloned().ok_or_else(not_boolean)
        };
        evaluate().map_err(failed)
    }
}

impl Session {
    /// Rows of the workload called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownWorkload`] with the nearest name.
    pub fn members_of_workload(&self, name: &str) -> Result<Membership, Error> {
        self.registry().need_workload(name)?;
        self.members(WORKLOAD, name)
    }

    /// Rows of calls that the contract called `name` covers.
    ///
    /// # Errors
    /// [`Error::UnknownContract`] with the nearest name.
    pub fn members_of_contract(&self, name: &str) -> Result<Membership, Error> {
        self.registry().need_contract(name)?;
        self.members(CONTRACT, name)
    }

    fn members(&self, sql: &str, name: &str) -> Result<Membership, Error> {
        let plan = || {
            let schema = DFSchema::try_from(USAGE.building_schema())?;
            let is_of = self.context().parse_sql_expr(sql, &schema)?.eq(lit(name));
            self.context().create_physical_expr(is_of, &schema)
        };
        plan().map(Membership).map_err(failed)
    }
}

fn failed(error: DataFusionError) -> Error {
    Error::Internal { invariant: "the registry answers for rows of `usage`", found: error.to_string() }
}
