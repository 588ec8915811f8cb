//! FOCUS cost and usage data, versions 1.0 to 1.2: the rows about AI services, whoever bills them.

use daybook_ledger::{BillingLine, BillingReport, ChargeCategory, Usd};

use super::error::Problem;
use super::members::{decimal, instant};
use super::names;
use super::table::{Row, tags};

/// Its name in the ledger.
pub(super) const SOURCE: &str = "focus";
/// Columns without which a row has no meaning.
pub(super) const REQUIRED: &[&str] =
    &["BilledCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd", "ServiceName"];

/// Columns that tell one row from another and have no column of their own here.
const DIMENSIONS: &[&str] = &[
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "ResourceId",
    "SkuId",
    "SkuPriceId",
    "ChargeDescription",
    "ChargeFrequency",
    "PricingCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "AvailabilityZone",
];
/// Columns that are read into columns.
const KNOWN: &[&str] = &[
    "BilledCost",
    "BillingCurrency",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ServiceName",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "ResourceId",
    "SkuId",
    "SkuPriceId",
    "ChargeDescription",
    "ChargeFrequency",
    "PricingCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "AvailabilityZone",
    "ChargeClass",
    "SkuMeter",
    "ConsumedQuantity",
    "ConsumedUnit",
    "EffectiveCost",
    "ContractedCost",
    "ListCost",
    "RegionId",
    "BillingAccountId",
    "SubAccountId",
    "Tags",
];
/// Words of a cloud's service, and who that is in `usage`. The first that fits holds.
const SERVICES: &[(&str, &str)] = &[
    ("bedrock", "bedrock"),
    ("azure openai", "azure"),
    ("azure ai", "azure"),
    ("foundry", "azure"),
    ("cognitive services", "azure"),
    ("vertex", "vertex_ai"),
    ("gemini", "gemini"),
    ("generative language", "gemini"),
];
/// Vendors of nothing but models, who may file their rows under any category.
const VENDORS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("claude", "anthropic"),
    ("mistral", "mistral"),
    ("cohere", "cohere"),
    ("deepseek", "deepseek"),
    ("grok", "xai"),
    ("groq", "groq"),
    ("openrouter", "openrouter"),
];
/// Clouds, for an AI service that [`SERVICES`] does not know.
const BILLERS: &[(&str, &str)] =
    &[("aws", "aws"), ("amazon", "aws"), ("microsoft", "azure"), ("google", "google"), ("oracle", "oci")];

/// The line of `row`; `None` if it is not about an AI service.
pub(super) fn line(row: &Row<'_>) -> Result<Option<BillingLine>, Problem> {
    let Some(provider) = provider(row) else { return Ok(None) };
    let time = |name: &str| instant(name, row.required(name, "an instant")?);
    let period = (time("ChargePeriodStart")?, time("ChargePeriodEnd")?);
    let mut line = BillingLine::new(SOURCE, BillingReport::Cost, &provider, period);
    let category = row.required("ChargeCategory", CATEGORIES)?;
    line.charge_category = charge_category(category)?;
    line.correction = row.text("ChargeClass").is_some_and(|class| class.eq_ignore_ascii_case("correction"));
    let is_usage = line.charge_category == ChargeCategory::Usage;
    line.description = row.owned("ChargeDescription");
    let named = row.owned("SkuMeter").or_else(|| line.description.clone().filter(|_| is_usage));
    line.line_item = named.or_else(|| row.owned("SkuId").filter(|_| is_usage)).or_else(|| Some(category.into()));
    line.service = row.owned("ServiceName");
    line.region = row.owned("RegionId");
    line.billing_account = row.owned("BillingAccountId");
    line.project = row.owned("SubAccountId");
    let amount = |name: &str| row.text(name).map(|text| decimal(name, text)).transpose();
    line.billed_cost = Some(decimal("BilledCost", row.required("BilledCost", "a decimal number")?)?);
    line.effective_cost = amount("EffectiveCost")?;
    line.contracted_cost = amount("ContractedCost")?;
    line.list_cost = amount("ListCost")?;
    line.currency = Some(row.required("BillingCurrency", "a currency")?.to_uppercase());
    line.quantity = amount("ConsumedQuantity")?;
    line.quantity_unit = row.owned("ConsumedUnit");
    name_model(&mut line, row);
    line.metered_tokens = tokens(&line, row, amount("PricingQuantity")?);
    let dimension = |name: &&str| Some(((*name).to_owned(), row.owned(name)?));
    line.dimensions = DIMENSIONS.iter().filter_map(dimension).collect();
    line.tags = row.text("Tags").map(|json| tags("Tags", json)).transpose()?.unwrap_or_default();
    line.extra = row.extra(KNOWN);
    Ok(Some(line))
}

/// Who serves, as in `usage`; `None` for a service that is not AI.
fn provider(row: &Row<'_>) -> Option<String> {
    let find = |known: &[(&str, &str)], name: &str| {
        known.iter().find(|(words, _)| name.contains(words)).map(|(_, provider)| (*provider).to_owned())
    };
    let service = row.text("ServiceName").unwrap_or_default().to_ascii_lowercase();
    let biller =
        ["ProviderName", "Provider", "PublisherName", "InvoiceIssuerName"].iter().find_map(|name| row.text(name));
    let biller = biller.unwrap_or_default().to_ascii_lowercase();
    let known = find(SERVICES, &service).or_else(|| find(VENDORS, &service)).or_else(|| find(VENDORS, &biller));
    let is_ai = row.text("ServiceCategory").is_some_and(|name| name.eq_ignore_ascii_case("AI and Machine Learning"));
    known.or_else(|| is_ai.then(|| find(BILLERS, &biller).unwrap_or_else(|| biller.replace(' ', "_"))))
}

const CATEGORIES: &str = "one of Usage, Purchase, Tax, Credit, Adjustment";

fn charge_category(text: &str) -> Result<ChargeCategory, Problem> {
    let found = ChargeCategory::ALL.iter().find(|category| text.eq_ignore_ascii_case(category.as_str()));
    found.copied().ok_or_else(|| Problem::new("ChargeCategory", Some(text), CATEGORIES))
}

/// No FOCUS column says "model": the meter's name and the description are read.
fn name_model(line: &mut BillingLine, row: &Row<'_>) {
    let texts = ["SkuMeter", "ChargeDescription", "SkuPriceDetails"];
    for text in texts.iter().filter_map(|name| row.text(name)) {
        let reading = names::words(&line.provider, text);
        line.meter = line.meter.or(reading.meter);
        line.model = line.model.take().or(reading.model);
        line.service_tier = line.service_tier.take().or_else(|| reading.tier.map(String::from));
    }
    line.batch = (line.service_tier.as_deref() == Some("batch")).then_some(true);
}

/// The tokens consumed; by the pricing quantity where the consumed one has no unit to tell.
fn tokens(line: &BillingLine, row: &Row<'_>, priced: Option<Usd>) -> Option<i64> {
    let about = format!("{} {}", line.line_item.as_deref()?, line.description.as_deref().unwrap_or_default());
    let of = |quantity: Option<Usd>, unit: &str| names::tokens(quantity?, row.text(unit)?, &about);
    let is_usage = line.charge_category == ChargeCategory::Usage && !line.correction;
    of(line.quantity, "ConsumedUnit").or_else(|| of(priced, "PricingUnit")).filter(|_| is_usage)
}
