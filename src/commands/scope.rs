//! Whose entries an export takes.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use daybook_export::{Axis, Condition, Scope};
use daybook_ledger::{Date, Evidence, EvidenceKind, Ledger, TableVersion};
use daybook_queries::{AsOf, Membership, Session, SessionOptions};

use crate::failure::Failure;

/// Flags that leave out what belongs to others; every one given must hold.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ScopeArgs {
    /// Only calls that this contract of the registry covers.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// Only calls served by this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only calls of this workload of the registry.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Only calls this team pays.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Only calls made for this person or customer, `end_user` in `usage`.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
}

impl ScopeArgs {
    /// Only calls that `contract` covers.
    pub(super) fn of_contract(contract: &str) -> Self {
        Self { contract: Some(contract.into()), ..Self::default() }
    }

    /// What evidence about this scope names; `None` if it has no word for it. Its kind and day are not set.
    pub(super) fn of_evidence(&self) -> Option<Evidence> {
        let Self { contract, provider, workload, team, subject } = self.clone();
        let terms = [&contract, &provider, &workload].into_iter().flatten().count();
        let is_told = terms <= 1 && team.is_none() && subject.is_none();
        let day = Date::from_days(0);
        is_told.then(|| Evidence { contract, provider, workload, ..Evidence::new(EvidenceKind::Export, day) })
    }

    /// The scope the flags name. The registry is that of the exported version.
    pub(super) async fn load(&self, ledger: &Ledger, as_of: Option<TableVersion>) -> Result<Scope, Failure> {
        let mut scope = Scope::default();
        let columns = [(Axis::Provider, &self.provider), (Axis::Team, &self.team), (Axis::Subject, &self.subject)];
        for (axis, value) in columns {
            if let Some(value) = value {
                scope = scope.only(axis, value);
            }
        }
        let named = [&self.provider, &self.team, &self.workload, &self.contract];
        if named.iter().all(|name| name.is_none()) {
            return Ok(scope);
        }
        let options = SessionOptions { as_of: as_of.map(AsOf::Version), ..SessionOptions::default() };
        let session = Session::open(ledger, options).await?;
        // Nothing of a subject is an answer that is lawfully asked for; of these it is a slip.
        for (column, value) in [("provider", &self.provider), ("team", &self.team)] {
            if let Some(value) = value {
                session.need_value(column, value).await?;
            }
        }
        if let Some(name) = &self.workload {
            scope = scope.only_where(Axis::Workload, name, Arc::new(Members(session.members_of_workload(name)?)));
        }
        if let Some(name) = &self.contract {
            scope = scope.only_where(Axis::Contract, name, Arc::new(Members(session.members_of_contract(name)?)));
        }
        Ok(scope)
    }
}

/// What the registry says, as a condition of a scope.
#[derive(Debug)]
struct Members(Membership);

impl Condition for Members {
    fn holds(&self, usage: &RecordBatch) -> Result<BooleanArray, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.holds(usage)?)
    }
}
