//! Cost and Usage: its columns, and the charge that fills them.

use std::borrow::Cow;

use daybook_ledger::Date;

use super::capacity;
use super::column::{BOTH, Column, Fill, NEW, OLD, may, must, unused};
use super::drawdown::Applied;
use super::sum::Place;
use super::vendor::Vendor;

/// A row of the dataset. Costs in 10⁻¹⁸ dollars.
#[derive(Debug)]
pub(super) struct Charge {
    /// When and for whom.
    pub(super) place: Place,
    /// Who sells it.
    pub(super) vendor: Vendor,
    /// `Usage`, or `Adjustment` for what rounding left.
    pub(super) category: &'static str,
    pub(super) frequency: &'static str,
    pub(super) description: String,
    pub(super) list_cost: i128,
    /// At contracted prices.
    pub(super) contracted_cost: i128,
    pub(super) billed_cost: i128,
    pub(super) effective_cost: i128,
    /// What it was used of and at which price; none for an adjustment.
    pub(super) sku: Option<Sku>,
    /// The rate card in the ledger.
    pub(super) price_id: Option<String>,
    /// The commitment it draws down, or the one of which it is the rest.
    pub(super) applied: Option<Applied>,
    pub(super) is_unused: bool,
    /// Calls that used it.
    pub(super) calls: Option<i64>,
}

/// What is metered at which price.
#[derive(Debug)]
pub(super) struct Sku {
    pub(super) id: String,
    pub(super) price_id: String,
    pub(super) meter: &'static str,
    pub(super) details: String,
    pub(super) pricing_category: &'static str,
    /// Six places; none for a rest.
    pub(super) consumed: Option<(i128, &'static str)>,
    /// Six places.
    pub(super) quantity: i128,
    pub(super) unit: String,
    /// Twelve places.
    pub(super) list_unit_price: i128,
    pub(super) contracted_unit_price: i128,
}

type Text<'a> = Option<Cow<'a, str>>;

fn some(text: &str) -> Text<'_> {
    Some(text.into())
}

impl Charge {
    /// The contract if one covers the charge, else the provider: the ledger does not know the vendor's account numbers.
    fn account(&self) -> &str {
        self.place.contract.as_deref().unwrap_or(&self.place.model.provider)
    }

    fn publisher(&self) -> &str {
        self.place.model.developer.as_deref().unwrap_or(&self.vendor.name)
    }

    fn commitment<'a>(&self, text: impl FnOnce(&Applied) -> Cow<'a, str>) -> Text<'a> {
        self.applied.as_ref().map(text)
    }

    /// Where a commitment pays, the price is committed.
    fn pricing_category(&self) -> Option<&'static str> {
        let sku = self.sku.as_ref()?;
        Some(if self.applied.is_some() { "Committed" } else { sku.pricing_category })
    }

    fn contract_applied(&self) -> Option<String> {
        // The other dataset has promises to spend only.
        let applied = self.applied.as_ref().filter(|applied| !self.is_unused && applied.unit_hours.is_none())?;
        let (contract, commitment) =
            (serde_json::Value::from(applied.contract.as_str()), serde_json::Value::from(applied.id()));
        // A number in JSON text, written out so that no reader's float comes in between.
        let cost = attodollars(applied.cost);
        Some(format!(
            "{{\"Elements\":[{{\"ContractId\":{contract},\"ContractCommitmentId\":{commitment},\
             \"ContractCommitmentAppliedCost\":{cost}}}]}}"
        ))
    }
}

/// 10⁻¹⁸ dollars as a decimal number.
pub(super) fn attodollars(cost: i128) -> String {
    const ONE: u128 = 1_000_000_000_000_000_000;
    let (whole, rest) = (cost.unsigned_abs() / ONE, cost.unsigned_abs() % ONE);
    format!("{}{whole}.{rest:018}", if cost < 0 { "-" } else { "" })
}

/// The first instant of a day, and of the month after it.
fn start(day: Date) -> Option<i64> {
    Some(day.start().micros())
}

fn next(day: Date) -> Option<i64> {
    start(Date::from_days(day.days() + 1))
}

/// Every column, in the order of the specification: the spec's own, then ours.
pub(super) const COLUMNS: &[Column<Charge>] = &[
    unused("AllocatedMethodDetails", NEW),
    unused("AllocatedMethodId", NEW),
    unused("AllocatedResourceId", NEW),
    unused("AllocatedResourceName", NEW),
    unused("AllocatedTags", NEW),
    unused("AvailabilityZone", BOTH),
    must("BilledCost", BOTH, Fill::Cost(|c| Some(c.billed_cost))),
    must("BillingAccountId", BOTH, Fill::Text(|c| some(c.account()))),
    may("BillingAccountName", BOTH, Fill::Text(|c| some(c.account()))),
    must(
        "BillingAccountType",
        BOTH,
        Fill::Text(|c| some(if c.place.contract.is_some() { "Contract" } else { "Provider" })),
    ),
    must("BillingCurrency", BOTH, Fill::Text(|_| some("USD"))),
    must("BillingPeriodEnd", BOTH, Fill::Instant(|c| start(c.place.billed.next_month()))),
    must("BillingPeriodStart", BOTH, Fill::Instant(|c| start(c.place.billed.first_day()))),
    unused("CapacityReservationId", BOTH),
    unused("CapacityReservationStatus", BOTH),
    must("ChargeCategory", BOTH, Fill::Text(|c| some(c.category))),
    may("ChargeClass", BOTH, Fill::Text(|c| c.place.is_correction.then(|| "Correction".into()))),
    may("ChargeDescription", BOTH, Fill::Text(|c| some(&c.description))),
    must("ChargeFrequency", BOTH, Fill::Text(|c| some(c.frequency))),
    must("ChargePeriodEnd", BOTH, Fill::Instant(|c| next(c.place.day))),
    must("ChargePeriodStart", BOTH, Fill::Instant(|c| start(c.place.day))),
    may(
        "CommitmentDiscountCategory",
        BOTH,
        Fill::Text(|c| c.commitment(|applied| if applied.unit_hours.is_some() { "Usage" } else { "Spend" }.into())),
    ),
    may("CommitmentDiscountId", BOTH, Fill::Text(|c| c.commitment(|applied| applied.id().into()))),
    may("CommitmentDiscountName", BOTH, Fill::Text(|c| c.commitment(|applied| applied.commitment.clone().into()))),
    may("CommitmentDiscountQuantity", BOTH, Fill::Cost(|c| c.applied.as_ref().map(Applied::quantity))),
    may(
        "CommitmentDiscountStatus",
        BOTH,
        Fill::Text(|c| c.commitment(|_| if c.is_unused { "Unused" } else { "Used" }.into())),
    ),
    may(
        "CommitmentDiscountType",
        BOTH,
        Fill::Text(|c| {
            c.commitment(|applied| {
                if applied.unit_hours.is_some() { capacity::METER } else { "Committed Spend" }.into()
            })
        }),
    ),
    may(
        "CommitmentDiscountUnit",
        BOTH,
        Fill::Text(|c| {
            c.commitment(|applied| if applied.unit_hours.is_some() { capacity::UNIT } else { "USD" }.into())
        }),
    ),
    unused("CommitmentProgramEligibilityDetails", NEW),
    may("ConsumedQuantity", BOTH, Fill::Quantity(|c| Some(c.sku.as_ref()?.consumed?.0))),
    may("ConsumedUnit", BOTH, Fill::Text(|c| some(c.sku.as_ref()?.consumed?.1))),
    may("ContractApplied", NEW, Fill::Json(|c| c.contract_applied().map(Cow::Owned))),
    must("ContractedCost", BOTH, Fill::Cost(|c| Some(c.contracted_cost))),
    may("ContractedUnitPrice", BOTH, Fill::Price(|c| Some(c.sku.as_ref()?.contracted_unit_price))),
    must("EffectiveCost", BOTH, Fill::Cost(|c| Some(c.effective_cost))),
    may("HostProviderName", NEW, Fill::Text(|c| some(&c.vendor.name))),
    unused("InvoiceDetailId", NEW),
    unused("InvoiceId", BOTH),
    must("InvoiceIssuerName", BOTH, Fill::Text(|c| some(&c.vendor.name))),
    must("ListCost", BOTH, Fill::Cost(|c| Some(c.list_cost))),
    may("ListUnitPrice", BOTH, Fill::Price(|c| Some(c.sku.as_ref()?.list_unit_price))),
    may("PricingCategory", BOTH, Fill::Text(|c| some(c.pricing_category()?))),
    must("PricingCurrency", BOTH, Fill::Text(|_| some("USD"))),
    may("PricingCurrencyContractedUnitPrice", BOTH, Fill::Price(|c| Some(c.sku.as_ref()?.contracted_unit_price))),
    must("PricingCurrencyEffectiveCost", BOTH, Fill::Cost(|c| Some(c.effective_cost))),
    may("PricingCurrencyListUnitPrice", BOTH, Fill::Price(|c| Some(c.sku.as_ref()?.list_unit_price))),
    may("PricingQuantity", BOTH, Fill::Quantity(|c| Some(c.sku.as_ref()?.quantity))),
    may("PricingUnit", BOTH, Fill::Text(|c| some(&c.sku.as_ref()?.unit))),
    must("ProviderName", OLD, Fill::Text(|c| some(&c.vendor.name))),
    must("PublisherName", OLD, Fill::Text(|c| some(c.publisher()))),
    may("RegionId", BOTH, Fill::Text(|c| some(c.place.region.as_deref()?))),
    may("RegionName", BOTH, Fill::Text(|c| some(c.place.region.as_deref()?))),
    unused("ResourceId", BOTH),
    unused("ResourceName", BOTH),
    unused("ResourceType", BOTH),
    must("ServiceCategory", BOTH, Fill::Text(|_| some("AI and Machine Learning"))),
    must("ServiceName", BOTH, Fill::Text(|c| some(&c.vendor.service))),
    must("ServiceProviderName", NEW, Fill::Text(|c| some(&c.vendor.name))),
    must("ServiceSubcategory", BOTH, Fill::Text(|_| some("Generative AI"))),
    may("SkuId", BOTH, Fill::Text(|c| some(&c.sku.as_ref()?.id))),
    may("SkuMeter", BOTH, Fill::Text(|c| some(c.sku.as_ref()?.meter))),
    may("SkuPriceDetails", BOTH, Fill::Json(|c| some(&c.sku.as_ref()?.details))),
    may("SkuPriceId", BOTH, Fill::Text(|c| some(&c.sku.as_ref()?.price_id))),
    may("SubAccountId", BOTH, Fill::Text(|c| some(c.place.project.as_deref()?))),
    may("SubAccountName", BOTH, Fill::Text(|c| some(c.place.project.as_deref()?))),
    may("SubAccountType", BOTH, Fill::Text(|c| c.place.project.as_deref().map(|_| "Project".into()))),
    may("Tags", BOTH, Fill::Json(|c| some(&c.place.tags))),
    may("x_Calls", BOTH, Fill::Count(|c| c.calls)),
    may("x_CredentialId", BOTH, Fill::Text(|c| some(c.place.api_key_alias.as_deref()?))),
    may("x_Environment", BOTH, Fill::Text(|c| some(c.place.environment.as_deref()?))),
    may("x_ModelDeveloper", BOTH, Fill::Text(|c| some(c.place.model.developer.as_deref()?))),
    may("x_ModelFamily", BOTH, Fill::Text(|c| some(c.place.model.family.as_deref()?))),
    may("x_ModelId", BOTH, Fill::Text(|c| some(&c.place.model.id))),
    may("x_PriceId", BOTH, Fill::Text(|c| some(c.price_id.as_deref()?))),
    may("x_ProviderId", BOTH, Fill::Text(|c| some(&c.place.model.provider))),
    may("x_Team", BOTH, Fill::Text(|c| some(c.place.team.as_deref()?))),
    may("x_Workload", BOTH, Fill::Text(|c| some(c.place.workload.as_deref()?))),
];
