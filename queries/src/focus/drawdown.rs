//! How far commitments are used while charges go by.

use daybook_ledger::{Date, Usd};

use super::atto;
use crate::registry::{Commitment, Contract, Registry, Shortfall};
use crate::{Error, Session};

/// 10⁻¹⁸ in 10⁻⁶.
const ATTO_A_MICRO: i128 = 1_000_000_000_000;

/// A commitment and what is left of it.
struct Open<'r> {
    contract: &'r Contract,
    commitment: &'r Commitment,
    /// In 10⁻¹⁸ dollars; none once it is met.
    left: i128,
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

/// A commitment that ended with a rest.
pub(super) struct Unused<'r> {
    pub(super) contract: &'r Contract,
    pub(super) commitment: &'r Commitment,
    /// In 10⁻¹⁸ dollars.
    pub(super) cost: i128,
    /// Calls under it without a price, which would lessen the rest.
    pub(super) unpriced_calls: i64,
}

/// Every commitment of the registry, drawn down in the order of charges.
pub(super) struct Drawdown<'r> {
    open: Vec<Open<'r>>,
}

impl<'r> Drawdown<'r> {
    /// As it stands at the beginning of `from`.
    pub(super) async fn load(session: &Session, registry: &'r Registry, from: Option<Date>) -> Result<Self, Error> {
        let mut open = Vec::new();
        for contract in &registry.contracts {
            for commitment in &contract.commitments {
                let before = match from.filter(|from| commitment.starts_on < *from) {
                    Some(from) => spent(session, contract, (commitment.starts_on, from)).await?.0,
                    None => Usd::ZERO,
                };
                let left = atto(commitment.usd - before).max(0);
                open.push(Open { contract, commitment, left });
            }
        }
        Ok(Self { open })
    }

    /// Takes `cost` of `day` from the first commitment of `contract` that runs then and has something left.
    pub(super) fn apply(&mut self, contract: Option<&str>, day: Date, cost: i128) -> Option<Applied> {
        let contract = contract?;
        let runs = |open: &&mut Open<'_>| {
            open.contract.name == contract && open.commitment.starts_on <= day && day <= open.commitment.ends_on
        };
        let open = self.open.iter_mut().filter(runs).find(|open| open.left > 0)?;
        let taken = cost.min(open.left);
        open.left -= taken;
        (taken > 0).then(|| Applied {
            contract: open.contract.name.clone(),
            commitment: open.commitment.name.clone(),
            cost: taken,
            unit_hours: None,
        })
    }
}

/// Commitments that ended in the period, by `last_day` of the ledger, and were not met; in the order of their ends.
pub(super) async fn unused<'r>(
    session: &Session,
    registry: &'r Registry,
    (from, to): (Option<Date>, Option<Date>),
    last_day: Date,
) -> Result<Vec<Unused<'r>>, Error> {
    let mut unused = Vec::new();
    for contract in &registry.contracts {
        for commitment in &contract.commitments {
            let end = commitment.ends_on;
            let is_in = end <= last_day && from.is_none_or(|from| from <= end) && to.is_none_or(|to| end < to);
            if !is_in || commitment.shortfall == Shortfall::RollsOver {
                continue;
            }
            let days = (commitment.starts_on, Date::from_days(end.days() + 1));
            let (spent, unpriced_calls) = spent(session, contract, days).await?;
            let cost = atto(commitment.usd - spent);
            if cost > 0 {
                unused.push(Unused { contract, commitment, cost, unpriced_calls });
            }
        }
    }
    unused.sort_by_key(|unused| unused.commitment.ends_on);
    Ok(unused)
}

/// List cost of priced calls under `contract` on the days, the last excluded, and how many calls have no price.
pub(super) async fn spent(session: &Session, contract: &Contract, days: (Date, Date)) -> Result<(Usd, i64), Error> {
    use arrow::array::AsArray as _;
    use arrow::datatypes::{Decimal128Type, Int64Type};
    let sql = format!(
        "SELECT coalesce(sum(list_cost), 0::decimal(38, 12)), count(*) - count(list_cost) FROM calls \
         WHERE contract = '{}' AND event_date >= DATE '{}' AND event_date < DATE '{}'",
        contract.name.replace('\'', "''"),
        days.0,
        days.1
    );
    let batches = session.run(&sql).await?.collect().await?;
    let found = batches.first().and_then(|batch| match batch.columns() {
        [cost, calls] => Some((
            cost.as_primitive_opt::<Decimal128Type>()?.iter().next()??,
            calls.as_primitive_opt::<Int64Type>()?.iter().next()??,
        )),
        _ => None,
    });
    let (cost, calls) = found.ok_or(Error::Internal { invariant: "a sum is one row", found: sql })?;
    Ok((Usd::from_pico(cost), calls))
}
