//! Whose rows are, outside of a query: a workload's or a contract's of the registry, a provider's, a team's.

use std::sync::Arc;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::lit;
use daybook_ledger::schema::USAGE;

use crate::session::USAGE_RECORDED;
use crate::{Error, Session, names};

/// The workload of a row of `usage`, as the view `calls` has it. Without `coalesce`, which runs only after an optimizer.
const WORKLOAD: &str = "workload(team, project, api_key_alias, workload_hint, environment, operation, provider, \
                        CASE WHEN response_model IS NULL THEN request_model ELSE response_model END, tags)";
/// Its contract, likewise.
const CONTRACT: &str =
    "contract(provider, CASE WHEN response_model IS NULL THEN request_model ELSE response_model END, event_date)";
/// Tables whose rows say whose they are.
const OWNED: [&str; 4] = [USAGE_RECORDED, "corrections", "billing", "evidence"];

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

    /// Fails unless a call, a bill or evidence says `name` in `column`.
    ///
    /// # Errors
    /// [`Error::UnknownValue`] with the nearest that one says; those of queries.
    pub async fn need_value(&self, column: &'static str, name: &str) -> Result<(), Error> {
        let mut selects = Vec::new();
        for table in OWNED {
            if self.schema_of(table).await?.column_with_name(column).is_some() {
                selects.push(format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL"));
            }
        }
        let mut valid = Vec::new();
        for batch in self.run(&format!("{} ORDER BY 1", selects.join(" UNION "))).await?.collect().await? {
            let values = cast(batch.column(0), &DataType::Utf8).map_err(|error| failed(error.into()))?;
            valid.extend(values.as_string::<i32>().iter().flatten().map(String::from));
        }
        if valid.iter().any(|value| value == name) {
            return Ok(());
        }
        let nearest = names::nearest(name, valid.iter().map(String::as_str)).map(String::from);
        Err(Error::UnknownValue { column, name: name.into(), nearest, valid })
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
