//! Contract Commitment: what was promised to whom, from the registry's contracts.

use std::borrow::Cow;

use arrow::array::AsArray as _;
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use daybook_ledger::{Date, Instant};
use serde_json::{Value, json};

use super::atto;
use super::column::{Column, Fill, NEW, may, must, record_batch};
use super::drawdown::{self, Drawdown};
use super::vendor::Vendor;
use super::{Focus, FocusVersion};
use crate::registry::{Commitment, Contract, Shortfall};
use crate::render::Writer;
use crate::{Error, Session};

/// The end of a contract that has none: the last day there is a date for.
const NO_END: Date = Date::from_days(2_932_896);

/// A row of the dataset.
pub(super) struct Promise {
    contract: Contract,
    commitment: Commitment,
    vendors: Vec<Vendor>,
    status: &'static str,
    /// When the registry that has it was imported.
    stored_at: Instant,
}

type Text<'a> = Option<Cow<'a, str>>;

fn some(text: &str) -> Text<'_> {
    Some(text.into())
}

fn start(day: Date) -> Option<i64> {
    Some(day.start().micros())
}

/// The first instant after a last day.
fn end(day: Date) -> Option<i64> {
    start(Date::from_days(day.days().saturating_add(1)))
}

impl Promise {
    fn id(&self) -> String {
        drawdown::id(&self.contract.name, &self.commitment.name)
    }

    /// What is forfeited was paid before; all else is paid as it is used.
    fn is_prepaid(&self) -> bool {
        self.commitment.shortfall == Shortfall::Forfeited
    }

    fn vendor(&self) -> &str {
        self.vendors.first().map_or(&self.contract.vendor, |vendor| &vendor.name)
    }

    /// `12 Months`, or days if it is no number of whole months.
    fn duration(&self) -> String {
        let (from, to) = (self.commitment.starts_on, Date::from_days(self.commitment.ends_on.days() + 1));
        let parts = |day: Date| {
            let text = day.to_string();
            let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<i32>().ok());
            Some((number(0..4)? * 12 + number(5..7)?, number(8..10)?))
        };
        match (parts(from), parts(to)) {
            (Some((first, day)), Some((last, same_day))) if day == same_day && last > first => {
                format!("{} Month{}", last - first, if last - first == 1 { "" } else { "s" })
            }
            _ => format!("{} Days", to.days() - from.days()),
        }
    }

    /// The calls that count, as far as the specification's rules can say it.
    fn applicability(&self) -> String {
        let has_pattern = self.contract.providers.iter().any(|provider| provider.as_str().contains('*'));
        if has_pattern || !self.contract.models.is_empty() {
            return json!({"IsComplexScope": true}).to_string();
        }
        let names: Vec<_> = self.vendors.iter().map(|vendor| Value::from(vendor.name.as_str())).collect();
        let rule = json!({"Dimension": "ServiceProviderName", "Operator": "In", "Values": names});
        json!({"InclusionOperator": "And", "Inclusions": [rule]}).to_string()
    }

    fn benefit(&self) -> &'static str {
        if self.contract.tiers.is_empty() && self.contract.discounts.is_empty() { "Other" } else { "Discount" }
    }
}

/// Every column, in the order of the specification.
pub(super) const COLUMNS: &[Column<Promise>] = &[
    may("BillingCurrency", NEW, Fill::Text(|_| some("USD"))),
    must("ContractCommitmentApplicability", NEW, Fill::Json(|p| Some(p.applicability().into()))),
    must("ContractCommitmentBenefitCategory", NEW, Fill::Text(|p| some(p.benefit()))),
    must("ContractCommitmentCategory", NEW, Fill::Text(|_| some("Spend"))),
    may("ContractCommitmentCost", NEW, Fill::Cost(|p| Some(atto(p.commitment.usd)))),
    must("ContractCommitmentCreated", NEW, Fill::Instant(|p| Some(p.stored_at.micros()))),
    may(
        "ContractCommitmentDescription",
        NEW,
        Fill::Text(|p| Some(format!("{} of {}", p.commitment.name, p.contract.name).into())),
    ),
    may("ContractCommitmentDiscountPercentage", NEW, Fill::Price(|_| None)),
    must("ContractCommitmentDurationType", NEW, Fill::Text(|p| Some(p.duration().into()))),
    must("ContractCommitmentFulfillmentInterval", NEW, Fill::Text(|_| some("Full Period"))),
    must("ContractCommitmentId", NEW, Fill::Text(|p| Some(p.id().into()))),
    must("ContractCommitmentLastUpdated", NEW, Fill::Instant(|p| Some(p.stored_at.micros()))),
    must("ContractCommitmentLifecycleStatus", NEW, Fill::Text(|p| some(p.status))),
    must("ContractCommitmentModel", NEW, Fill::Text(|_| some("Continuous"))),
    must("ContractCommitmentOfferCategory", NEW, Fill::Text(|_| some("Negotiated"))),
    must(
        "ContractCommitmentPaymentInterval",
        NEW,
        Fill::Text(|p| some(if p.is_prepaid() { "One-Time" } else { "Monthly" })),
    ),
    must(
        "ContractCommitmentPaymentModel",
        NEW,
        Fill::Text(|p| some(if p.is_prepaid() { "All Upfront" } else { "No Upfront" })),
    ),
    must(
        "ContractCommitmentPaymentUpfrontPercentage",
        NEW,
        Fill::Price(|p| Some(if p.is_prepaid() { 1_000_000_000_000 } else { 0 })),
    ),
    must("ContractCommitmentPeriodEnd", NEW, Fill::Instant(|p| end(p.commitment.ends_on))),
    must("ContractCommitmentPeriodStart", NEW, Fill::Instant(|p| start(p.commitment.starts_on))),
    may("ContractCommitmentQuantity", NEW, Fill::Quantity(|_| None)),
    must("ContractCommitmentType", NEW, Fill::Text(|_| some("Committed Spend"))),
    may("ContractCommitmentUnit", NEW, Fill::Text(|_| None)),
    must("ContractId", NEW, Fill::Text(|p| some(&p.contract.name))),
    must("ContractPeriodEnd", NEW, Fill::Instant(|p| p.contract.ends_on.map_or(start(NO_END), end))),
    must("ContractPeriodStart", NEW, Fill::Instant(|p| start(p.contract.starts_on))),
    must("InvoiceIssuerName", NEW, Fill::Text(|p| some(p.vendor()))),
    must("PricingCurrency", NEW, Fill::Text(|_| some("USD"))),
    may("PricingCurrencyContractCommitmentCost", NEW, Fill::Cost(|p| Some(atto(p.commitment.usd)))),
    must("ServiceProviderName", NEW, Fill::Text(|p| some(p.vendor()))),
];

/// Writes every commitment of the registry.
pub(super) async fn write(session: &Session, writer: &mut Writer<'_>) -> Result<Focus, Error> {
    let registry = session.registry();
    let today = last_day(session).await?;
    let stored_at = stored_at(session).await?;
    let drawdown = Drawdown::load(session, registry, None).await?;
    let promises = drawdown.open.iter().map(|open| Promise {
        status: status(open.commitment, open.left == 0, today),
        stored_at: stored_at.unwrap_or(open.contract.starts_on.start()),
        vendors: open.contract.providers.iter().map(|provider| Vendor::of(provider.as_str())).collect(),
        commitment: open.commitment.clone(),
        contract: open.contract.clone(),
    });
    let promises: Vec<_> = promises.collect();
    writer.push(&record_batch(COLUMNS, FocusVersion::V1_4, &promises)?)?;
    Ok(Focus::default())
}

/// Where it stands on the last day of the ledger.
fn status(commitment: &Commitment, is_met: bool, today: Option<Date>) -> &'static str {
    match today {
        Some(today) if today > commitment.ends_on => "Expired",
        Some(today) if today >= commitment.starts_on && is_met => "Exhausted",
        Some(today) if today >= commitment.starts_on => "Active",
        _ => "Pending",
    }
}

async fn last_day(session: &Session) -> Result<Option<Date>, Error> {
    let batches = session.run("SELECT max(event_date) FROM usage").await?.collect().await?;
    let days =
        batches.first().and_then(|batch| batch.columns().first()?.as_primitive_opt::<Date32Type>()?.iter().next()?);
    Ok(days.map(Date::from_days))
}

/// When the registry's version was imported; none for one that is not in the ledger.
async fn stored_at(session: &Session) -> Result<Option<Instant>, Error> {
    let Some(version) = session.registry_version() else { return Ok(None) };
    let sql = format!("SELECT min(imported_at) FROM registry WHERE registry_version = {}", version.0);
    let batches = session.run(&sql).await?.collect().await?;
    let instants =
        batches.first().and_then(|batch| batch.columns().first()?.as_primitive_opt::<TimestampMicrosecondType>());
    Ok(instants.and_then(|instants| instants.iter().next()?).map(Instant::from_micros))
}
