//! How far commitments are used while charges go by.

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type};
use daybook_ledger::{Date, Usd};

use super::atto;
use crate::registry::{Commitment, Contract, Registry, Shortfall};
use crate::{Error, Session};

/// 10⁻¹⁸ in 10⁻⁶.
const ATTO_A_MICRO: i128 = 1_000_000_000_000;

/// A commitment and what is left of it.
pub(super) struct Open<'r> {
    pub(super) contract: &'r Contract,
    pub(super) commitment: &'r Commitment,
    /// In 10⁻¹⁸ dollars; none once it is met.
    pub(super) left: i128,
    /// Calls on its days without a price, which would lessen the rest.
    pub(super) unpriced_calls: i64,
}

impl Open<'_> {
    fn runs(&self, contract: &str, day: Date) -> bool {
        self.contract.name == contract && self.commitment.starts_on <= day && day <= self.commitment.ends_on
    }
}

/// What a charge takes from a commitment.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) contract: String,
    pub(super) commitment: String,
    /// In 10⁻¹⁸ dollars.
    pub(super) cost: i128,
    /// Hours of one unit, six places, if it is capacity by the hour and not spend that was promised.
    pub(super) unit_hours: Option<i128>,
}

impl Applied {
    /// `contract/commitment`: names are unique within a contract only.
    pub(super) fn id(&self) -> String {
        id(&self.contract, &self.commitment)
    }

    /// Dollars or hours, 18 places.
    pub(super) fn quantity(&self) -> i128 {
        self.unit_hours.map_or(self.cost, |hours| hours * ATTO_A_MICRO)
    }
}

pub(super) fn id(contract: &str, commitment: &str) -> String {
    format!("{contract}/{commitment}")
}

/// Every commitment of the registry, drawn down in the order of charges: of those of a contract that run at once, the first
/// until it is met, then the next.
pub(super) struct Drawdown<'r> {
    pub(super) open: Vec<Open<'r>>,
}

impl<'r> Drawdown<'r> {
    fn new(registry: &'r Registry) -> Self {
        let open = registry.contracts.iter().flat_map(|contract| {
            let open = |commitment: &'r Commitment| Open {
                contract,
                commitment,
                left: atto(commitment.usd).max(0),
                unpriced_calls: 0,
            };
            contract.commitments.iter().map(open)
        });
        Self { open: open.collect() }
    }

    /// As it stands at the beginning of `from`, by what the calls before cost when their months ended; by all calls if `None`.
    pub(super) async fn load(session: &Session, registry: &'r Registry, from: Option<Date>) -> Result<Self, Error> {
        let mut drawdown = Self::new(registry);
        if drawdown.open.is_empty() {
            return Ok(drawdown);
        }
        for spent in spent(session, from).await? {
            drawdown.apply(Some(&spent.contract), spent.day, spent.cost);
            for open in drawdown.open.iter_mut().filter(|open| open.runs(&spent.contract, spent.day)) {
                open.unpriced_calls += spent.unpriced_calls;
            }
        }
        Ok(drawdown)
    }

    /// As it stands before the first charge of `from`; of the first one if `None`.
    pub(super) async fn before(session: &Session, registry: &'r Registry, from: Option<Date>) -> Result<Self, Error> {
        match from {
            Some(_) => Self::load(session, registry, from).await,
            None => Ok(Self::new(registry)),
        }
    }

    /// Takes `cost` of `day` from the commitments of `contract` that run then and have something left.
    pub(super) fn apply(&mut self, contract: Option<&str>, day: Date, cost: i128) -> Vec<Applied> {
        let Some(contract) = contract else { return Vec::new() };
        let mut rest = cost.max(0);
        let mut applied = Vec::new();
        for open in self.open.iter_mut().filter(|open| open.runs(contract, day)) {
            let taken = rest.min(open.left);
            open.left -= taken;
            rest -= taken;
            if taken > 0 {
                let (contract, commitment) = (open.contract.name.clone(), open.commitment.name.clone());
                applied.push(Applied { contract, commitment, cost: taken, unit_hours: None });
            }
        }
        applied
    }

    /// The commitments that ended in the period, by `last_day` of the ledger, and were not met; in the order of their ends.
    pub(super) fn unused(&self, (from, to): (Option<Date>, Option<Date>), last_day: Date) -> Vec<&Open<'r>> {
        let is_unused = |open: &&Open<'_>| {
            let end = open.commitment.ends_on;
            let is_in = end <= last_day && from.is_none_or(|from| from <= end) && to.is_none_or(|to| end < to);
            is_in && open.commitment.shortfall != Shortfall::RollsOver && open.left > 0
        };
        let mut unused: Vec<_> = self.open.iter().filter(is_unused).collect();
        unused.sort_by_key(|open| open.commitment.ends_on);
        unused
    }
}

/// A day's calls under a contract.
struct Spent {
    contract: String,
    day: Date,
    /// In 10⁻¹⁸ dollars.
    cost: i128,
    unpriced_calls: i64,
}

/// What each contract's calls cost, by day, in order; those before `until` only. What was corrected after the end of a call's
/// month draws nothing down.
async fn spent(session: &Session, until: Option<Date>) -> Result<Vec<Spent>, Error> {
    let until = until.map(|until| format!("WHERE event_date < DATE '{until}'")).unwrap_or_default();
    let shown = include_str!("../corrected.sql");
    let sql = format!(
        "WITH corrections AS ( \
             SELECT * FROM corrections WHERE date_trunc('month', ingested_at)::date <= event_date \
         ), shown AS ({shown}), placed AS ( \
             SELECT contract(provider, coalesce(response_model, request_model), event_date) AS contract, event_date, list_cost \
             FROM shown {until} \
         ) \
         SELECT contract, event_date, coalesce(sum(list_cost), 0::decimal(38, 12)), count(*) - count(list_cost) FROM placed \
         WHERE contract IS NOT NULL GROUP BY 1, 2 ORDER BY 2, 1"
    );
    let mut spent = Vec::new();
    for batch in session.run(&sql).await?.collect().await? {
        let broken = || Error::Internal { invariant: "a sum has the columns it names", found: sql.clone() };
        let [contracts, days, costs, calls] = batch.columns() else { return Err(broken()) };
        let contracts = cast(contracts, &DataType::Utf8).map_err(|_| broken())?;
        let columns = (
            contracts.as_string_opt::<i32>(),
            days.as_primitive_opt::<Date32Type>(),
            costs.as_primitive_opt::<Decimal128Type>(),
            calls.as_primitive_opt::<Int64Type>(),
        );
        let (Some(contracts), Some(days), Some(costs), Some(calls)) = columns else { return Err(broken()) };
        spent.extend((0..batch.num_rows()).map(|row| Spent {
            contract: contracts.value(row).to_owned(),
            day: Date::from_days(days.value(row)),
            cost: atto(Usd::from_pico(costs.value(row))),
            unpriced_calls: calls.value(row),
        }));
    }
    Ok(spent)
}
