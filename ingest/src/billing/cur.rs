//! AWS Cost and Usage Report 2.0 (and its older spelling): the lines about Amazon Bedrock.

use daybook_ledger::{BillingLine, BillingReport, ChargeCategory, Tokens, Usd};

use super::error::Problem;
use super::members::{decimal, instant};
use super::names;
use super::openai::whole_number;
use super::table::{Row, tags};

/// Its name in the ledger.
pub(super) const SOURCE: &str = "aws-cur";
const PROVIDER: &str = "bedrock";
/// Columns without which a line has no meaning.
pub(super) const REQUIRED: &[&str] = &[TYPE, START, END, PRODUCT, USAGE_TYPE, AMOUNT, COST, CURRENCY];

const TYPE: &str = "line_item_line_item_type";
const START: &str = "line_item_usage_start_date";
const END: &str = "line_item_usage_end_date";
const PRODUCT: &str = "line_item_product_code";
const USAGE_TYPE: &str = "line_item_usage_type";
const AMOUNT: &str = "line_item_usage_amount";
const COST: &str = "line_item_unblended_cost";
const CURRENCY: &str = "line_item_currency_code";
const ACCOUNT: &str = "line_item_usage_account_id";
const DESCRIPTION: &str = "line_item_line_item_description";
const UNIT: &str = "pricing_unit";
const REGION: &str = "product_region_code";
const LIST: &str = "pricing_public_on_demand_cost";
const TAGS: &str = "resource_tags";
/// Columns that tell one line from another and have no column of their own here.
const DIMENSIONS: &[&str] = &[
    TYPE,
    "bill_payer_account_id",
    "line_item_operation",
    "line_item_resource_id",
    "line_item_iam_principal",
    DESCRIPTION,
];
/// Columns that are read into columns.
const KNOWN: &[&str] = &[
    TYPE,
    START,
    END,
    PRODUCT,
    USAGE_TYPE,
    AMOUNT,
    COST,
    CURRENCY,
    ACCOUNT,
    DESCRIPTION,
    UNIT,
    REGION,
    LIST,
    TAGS,
    "bill_payer_account_id",
    "line_item_operation",
    "line_item_resource_id",
    "line_item_iam_principal",
];

/// The line of `row`; `None` if it is not about Bedrock.
pub(super) fn line(row: &Row<'_>) -> Result<Option<BillingLine>, Problem> {
    if !is_bedrock(row) {
        return Ok(None);
    }
    let kind = row.required(TYPE, "a kind of line")?;
    let time = |name: &str| instant(name, row.required(name, "an instant")?);
    let mut line = BillingLine::new(SOURCE, BillingReport::Cost, PROVIDER, (time(START)?, time(END)?));
    line.charge_category = category(kind);
    line.correction = false;
    let usage_type = row.text(USAGE_TYPE).unwrap_or_default();
    let is_usage = line.charge_category == ChargeCategory::Usage;
    line.line_item = Some(if is_usage && !usage_type.is_empty() { usage_type } else { kind }.to_owned());
    line.description = row.owned(DESCRIPTION);
    line.service = row.owned(PRODUCT);
    line.region = row.owned(REGION);
    line.billing_account = row.owned(ACCOUNT);
    line.billed_cost = Some(decimal(COST, row.required(COST, "a decimal number")?)?);
    line.list_cost = row.text(LIST).map(|text| decimal(LIST, text)).transpose()?;
    line.currency = Some(row.required(CURRENCY, "a currency")?.to_uppercase());
    name_model(&mut line, usage_type);
    count(&mut line, row, is_usage)?;
    let dimension = |name: &&str| Some(((*name).to_owned(), row.owned(name)?));
    line.dimensions = DIMENSIONS.iter().filter_map(dimension).collect();
    // Credits have no usage in their words, so what they are a credit for is a dimension.
    line.dimensions.extend((!is_usage && !usage_type.is_empty()).then(|| (USAGE_TYPE.into(), usage_type.into())));
    line.tags = row.text(TAGS).map(|json| tags(TAGS, json)).transpose()?.unwrap_or_default();
    line.extra = row.extra(KNOWN);
    Ok(Some(line))
}

/// Third-party models are sold through the marketplace, under product codes of their own.
fn is_bedrock(row: &Row<'_>) -> bool {
    let names =
        [PRODUCT, USAGE_TYPE, DESCRIPTION, "product_product_name", "product_servicename", "line_item_legal_entity"];
    names.iter().filter_map(|name| row.text(name)).any(|text| text.to_ascii_lowercase().contains("bedrock"))
}

fn category(kind: &str) -> ChargeCategory {
    match kind {
        "Usage" | "DiscountedUsage" | "SavingsPlanCoveredUsage" => ChargeCategory::Usage,
        "Tax" => ChargeCategory::Tax,
        "Credit" | "Refund" => ChargeCategory::Credit,
        "Fee" | "RIFee" | "SavingsPlanRecurringFee" | "SavingsPlanUpfrontFee" => ChargeCategory::Purchase,
        discount if discount.ends_with("Discount") => ChargeCategory::Credit,
        _ => ChargeCategory::Adjustment,
    }
}

fn name_model(line: &mut BillingLine, usage_type: &str) {
    let reading = names::bedrock(usage_type);
    line.meter = reading.meter;
    line.service_tier = reading.tier.map(String::from);
    line.batch = (reading.tier == Some("batch")).then_some(true);
    (line.reported_model, line.model) = (reading.billed_as, reading.model);
    if line.reported_model.is_none()
        && let Some(words) = &line.description
    {
        let reading = names::words(PROVIDER, words);
        (line.reported_model, line.model) = (reading.billed_as, reading.model);
        line.meter = line.meter.or(reading.meter);
    }
}

fn count(line: &mut BillingLine, row: &Row<'_>, is_usage: bool) -> Result<(), Problem> {
    let Some(amount) = row.text(AMOUNT).map(|text| decimal(AMOUNT, text)).transpose()? else { return Ok(()) };
    // A credit's or a tax's amount of 0 counts nothing.
    if !is_usage && amount == Usd::ZERO {
        return Ok(());
    }
    let unit = row.text(UNIT).unwrap_or_default();
    let about = line.description.as_deref().unwrap_or_default();
    line.metered_tokens = names::tokens(amount, unit, about).filter(|_| is_usage);
    match line.metered_tokens {
        Some(tokens) => {
            (line.quantity, line.quantity_unit) = (Some(whole_number(tokens)), Some("tokens".into()));
            line.tokens = in_bucket(line.meter, tokens);
        }
        None => {
            (line.quantity, line.quantity_unit) = (Some(amount), row.owned(UNIT));
        }
    }
    Ok(())
}

/// `tokens` of the kind `meter` says, as totals with their parts inside.
fn in_bucket(meter: Option<&str>, tokens: i64) -> Tokens {
    let none = Tokens::default();
    let some = Some(tokens);
    match meter {
        Some("input") => Tokens { input: some, ..none },
        Some("cache_read") => Tokens { input: some, cache_read: some, ..none },
        Some("cache_write") => Tokens { input: some, cache_write: some, ..none },
        Some("cache_write_5m") => Tokens { input: some, cache_write: some, cache_write_5m: some, ..none },
        Some("cache_write_1h") => Tokens { input: some, cache_write: some, cache_write_1h: some, ..none },
        Some("output") => Tokens { output: some, ..none },
        _ => none,
    }
}
