//! `contracts.toml`: what was agreed with whom, until when, and what was promised on both sides.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::prelude::{Expr, lit};
use daybook_ledger::{Date, Usd, words};

use super::fields::Fields;
use super::pattern::{Pattern, first_that_holds, word};

words! {
    /// What happens when a term ends.
    Renewal {
        /// It goes on unless notice is given.
        Automatic = "automatic",
        /// It goes on only if both sides sign.
        Manual = "manual",
        /// It ends.
        None = "none",
    }
}

words! {
    /// What a price cap follows.
    CapIndex {
        /// The consumer price index.
        Cpi = "cpi",
        /// Nothing: a fixed percentage.
        Fixed = "fixed",
    }
}

words! {
    /// What becomes of a commitment that was not used up.
    Shortfall {
        /// It is billed at the end of the period.
        Billed = "billed",
        /// It was paid before and is lost.
        Forfeited = "forfeited",
        /// It goes into the next period.
        RollsOver = "rolls_over",
    }
}

words! {
    /// Clauses worth having, and worth knowing that one has not.
    ClauseKind {
        /// All data back in open formats, within days, at a capped cost.
        DataPortability = "data_portability",
        /// Models in an open format, or at least the sets they were tuned on.
        ModelExport = "model_export",
        /// No training on the customer's data.
        NoTraining = "no_training",
        /// Help with exit and migration.
        ExitHelp = "exit_help",
        /// Termination for convenience.
        TerminationForConvenience = "termination_for_convenience",
        /// Notice before an API or a model changes or ends.
        ApiCompatibility = "api_compatibility",
        /// A review when published rates change.
        PriceReview = "price_review",
        /// The same model version on any cloud.
        MultiCloud = "multi_cloud",
        /// Indemnity for claims about intellectual property.
        IpIndemnity = "ip_indemnity",
        /// Source of custom parts in escrow.
        Escrow = "escrow",
    }
}

/// An agreement with a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Its name, unique.
    pub name: String,
    /// The vendor.
    pub vendor: String,
    /// The parties as the paper names them.
    pub legal_names: Vec<String>,
    /// Providers of calls under it, as `usage` names them.
    pub providers: Vec<Pattern>,
    /// Models of calls under it; any if empty.
    pub models: Vec<Pattern>,
    /// First day of the term.
    pub starts_on: Date,
    /// Last day of the term; `None` if it has no end.
    pub ends_on: Option<Date>,
    /// What happens then.
    pub renewal: Option<Renewal>,
    /// Months it renews for.
    pub renewal_months: Option<i64>,
    /// Days before the end by which notice must be given.
    pub notice_days: Option<i64>,
    /// Days before the notice day at which the decision is due.
    pub gate_days: i64,
    /// Days the vendor helps with a transition.
    pub transition_days: Option<i64>,
    /// Days after the end during which data can be fetched.
    pub retrieval_days: Option<i64>,
    /// How far prices may rise at a renewal.
    pub price_cap: Option<PriceCap>,
    /// Spend promised.
    pub commitments: Vec<Commitment>,
    /// Discounts by spend.
    pub tiers: Vec<Tier>,
    /// Discounts on models.
    pub discounts: Vec<Discount>,
    /// Capacity paid by the hour.
    pub capacity: Vec<Capacity>,
    /// Clauses, held or refused.
    pub clauses: Vec<Clause>,
}

/// How far prices may rise: the index plus `plus_percent`, never more than `max_percent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceCap {
    /// What it follows.
    pub index: CapIndex,
    /// Added to the index; the whole rise if there is no index.
    pub plus_percent: Usd,
    /// The most in a year.
    pub max_percent: Option<Usd>,
}

/// Spend promised for a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Its name within the contract.
    pub name: String,
    /// US dollars.
    pub usd: Usd,
    /// First day of the period.
    pub starts_on: Date,
    /// Last day of the period.
    pub ends_on: Date,
    /// What becomes of the rest.
    pub shortfall: Shortfall,
}

/// A discount on everything once spend in a term reaches an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// US dollars from which it counts.
    pub from_usd: Usd,
    /// Percent off list.
    pub discount_percent: Usd,
}

/// A discount on some models for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount {
    /// The models; any if empty.
    pub models: Vec<Pattern>,
    /// Percent off list.
    pub percent: Usd,
    /// First day; that of the contract if `None`.
    pub starts_on: Option<Date>,
    /// Last day; that of the contract if `None`.
    pub ends_on: Option<Date>,
}

/// Capacity paid whether used or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The model it serves.
    pub model: Pattern,
    /// Units held.
    pub units: i64,
    /// US dollars per unit and hour.
    pub usd_per_unit_hour: Usd,
    /// First day.
    pub starts_on: Date,
    /// Last day.
    pub ends_on: Option<Date>,
}

/// A clause of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Which.
    pub kind: ClauseKind,
    /// Whether the contract has it.
    pub held: bool,
    /// Days of notice or of delivery it grants.
    pub days: Option<i64>,
    /// The most it may cost to use it, in US dollars.
    pub cost_max_usd: Option<Usd>,
    /// The day something of it is due, where the contract names one.
    pub due_on: Option<Date>,
    /// Where in the contract, or why not.
    pub note: Option<String>,
}

const GATE_DAYS: i64 = 120;
const DAYS: std::ops::RangeInclusive<i64> = 0..=3_650;

impl Contract {
    /// The clauses nobody secured: refused, or not even listed.
    pub fn missing_clauses(&self) -> impl Iterator<Item = ClauseKind> {
        let is_held = |kind: ClauseKind| self.clauses.iter().any(|clause| clause.kind == kind && clause.held);
        ClauseKind::ALL.iter().copied().filter(move |kind| !is_held(*kind))
    }

    /// The last day notice can be given on, if the term has an end and asks for notice.
    pub fn notice_on(&self) -> Option<Date> {
        let days = i32::try_from(self.notice_days?).ok()?;
        Some(Date::from_days(self.ends_on?.days().checked_sub(days)?))
    }

    /// The day the decision is due: some days before notice, or before the end if no notice is asked for.
    pub fn gate_on(&self) -> Option<Date> {
        let days = i32::try_from(self.gate_days).ok()?;
        Some(Date::from_days(self.notice_on().or(self.ends_on)?.days().checked_sub(days)?))
    }

    /// Whether calls to `model` of `provider` fall under it, on its days.
    pub fn covers(&self, provider: &str, model: &str) -> bool {
        let any = |patterns: &[Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.providers, provider) && (self.models.is_empty() || any(&self.models, model))
    }

    /// Whether a call of `day` falls under it, over the arguments of the SQL function `contract`.
    fn to_expr(&self, provider: &Expr, model: &Expr, day: &Expr) -> Option<Expr> {
        let date = |date: Date| lit(ScalarValue::Date32(Some(date.days())));
        let any = |patterns: &[Pattern], fact: &Expr| disjunction(patterns.iter().map(|p| p.to_expr(fact.clone())));
        let conditions = [
            Some(any(&self.providers, provider)?),
            any(&self.models, model),
            Some(day.clone().gt_eq(date(self.starts_on))),
            self.ends_on.map(|last| day.clone().lt_eq(date(last))),
        ];
        conjunction(conditions.into_iter().flatten())
    }
}

/// The name of the first contract a call falls under: its provider, model and day.
pub(super) fn to_expr(contracts: &[Contract], arguments: &[Expr]) -> Option<Expr> {
    let [provider, model, day] = arguments else { return None };
    let cases =
        contracts.iter().filter_map(|contract| Some((contract.to_expr(provider, model, day)?, word(&contract.name))));
    first_that_holds(cases)
}

/// Reads the file.
pub(super) fn read(root: &Fields<'_>) -> Vec<Contract> {
    let mut contracts: Vec<Contract> = Vec::new();
    for fields in root.tables("contract", "[[contract]]") {
        let Some(contract) = read_contract(&fields) else { continue };
        if contracts.iter().any(|earlier| earlier.name == contract.name) {
            fields.fault_at("name", format!("a second contract is called `{}`", contract.name));
        }
        contracts.push(contract);
    }
    contracts
}

fn read_contract(fields: &Fields<'_>) -> Option<Contract> {
    let name = fields.need("name", fields.text("name"));
    let vendor = fields.need("vendor", fields.text("vendor"));
    let providers = fields.patterns("providers");
    if providers.is_empty() && !fields.has("providers") {
        fields.fault("[[contract]] has no `providers`, so no call can fall under it");
    }
    let (starts_on, ends_on) = period(fields);
    let tables = |key, name| fields.tables(key, name);
    let contract = Contract {
        name: name.clone().unwrap_or_default(),
        vendor: vendor.clone().unwrap_or_default(),
        legal_names: fields.texts("legal_names"),
        providers,
        models: fields.patterns("models"),
        starts_on: starts_on.unwrap_or(Date::from_days(0)),
        ends_on,
        renewal: fields.word("renewal", Renewal::ALL, Renewal::as_str),
        renewal_months: fields.whole("renewal_months", 1..=120),
        notice_days: fields.whole("notice_days", DAYS),
        gate_days: fields.whole("gate_days", DAYS).unwrap_or(GATE_DAYS),
        transition_days: fields.whole("transition_days", DAYS),
        retrieval_days: fields.whole("retrieval_days", DAYS),
        price_cap: fields.table("price_cap", "price_cap").as_ref().and_then(price_cap),
        commitments: commitments(&tables("commitment", "[[contract.commitment]]")),
        tiers: tiers(&tables("tier", "[[contract.tier]]")),
        discounts: tables("discount", "[[contract.discount]]").iter().filter_map(discount).collect(),
        capacity: tables("capacity", "[[contract.capacity]]").iter().filter_map(capacity).collect(),
        clauses: clauses(&tables("clause", "[[contract.clause]]")),
    };
    fields.refuse_unknown();
    if contract.notice_days.is_some() && ends_on.is_none() && !fields.has("ends_on") {
        fields.fault_at("notice_days", "`notice_days` counts from the end, but there is no `ends_on`");
    }
    name.and(vendor).and(starts_on).map(|_| contract)
}

/// `starts_on`, which must be there, and `ends_on`, which may not lie before it.
fn period(fields: &Fields<'_>) -> (Option<Date>, Option<Date>) {
    let starts_on = fields.need("starts_on", fields.day("starts_on"));
    let ends_on = fields.day("ends_on");
    if let (Some(first), Some(last)) = (starts_on, ends_on)
        && last < first
    {
        fields.fault_at("ends_on", format!("`ends_on` {last} lies before `starts_on` {first}"));
    }
    (starts_on, ends_on)
}

fn amount(fields: &Fields<'_>, key: &'static str) -> Option<Usd> {
    fields.decimal(key, Usd::ZERO..=Usd::from_pico(10_i128.pow(24)))
}

fn percent(fields: &Fields<'_>, key: &'static str) -> Option<Usd> {
    fields.decimal(key, Usd::ZERO..=Usd::from_pico(100 * 10_i128.pow(12)))
}

fn price_cap(fields: &Fields<'_>) -> Option<PriceCap> {
    let index = fields.need("index", fields.word("index", CapIndex::ALL, CapIndex::as_str));
    let plus = percent(fields, "plus_percent");
    let max_percent = percent(fields, "max_percent");
    fields.refuse_unknown();
    Some(PriceCap { index: index?, plus_percent: plus.unwrap_or(Usd::ZERO), max_percent })
}

fn commitments(tables: &[Fields<'_>]) -> Vec<Commitment> {
    let mut all: Vec<Commitment> = Vec::new();
    for fields in tables {
        let Some(commitment) = commitment(fields) else { continue };
        if all.iter().any(|earlier| earlier.name == commitment.name) {
            fields.fault_at("name", format!("a second commitment is called `{}`", commitment.name));
        }
        all.push(commitment);
    }
    all
}

fn commitment(fields: &Fields<'_>) -> Option<Commitment> {
    let name = fields.need("name", fields.text("name"));
    let usd = fields.need("usd", amount(fields, "usd"));
    let (starts_on, ends_on) = period(fields);
    let ends_on = fields.need("ends_on", ends_on);
    let shortfall = fields.need("shortfall", fields.word("shortfall", Shortfall::ALL, Shortfall::as_str));
    fields.refuse_unknown();
    Some(Commitment { name: name?, usd: usd?, starts_on: starts_on?, ends_on: ends_on?, shortfall: shortfall? })
}

fn tiers(tables: &[Fields<'_>]) -> Vec<Tier> {
    let mut tiers: Vec<Tier> = Vec::new();
    for fields in tables {
        let from_usd = fields.need("from_usd", amount(fields, "from_usd"));
        let discount_percent = fields.need("discount_percent", percent(fields, "discount_percent"));
        fields.refuse_unknown();
        let (Some(from_usd), Some(discount_percent)) = (from_usd, discount_percent) else { continue };
        if tiers.last().is_some_and(|below| below.from_usd >= from_usd) {
            fields.fault_at("from_usd", "tiers rise: this one begins no higher than the one before");
        }
        tiers.push(Tier { from_usd, discount_percent });
    }
    tiers
}

fn discount(fields: &Fields<'_>) -> Option<Discount> {
    let models = fields.patterns("models");
    let percent = fields.need("percent", percent(fields, "percent"));
    let (starts_on, ends_on) = (fields.day("starts_on"), fields.day("ends_on"));
    fields.refuse_unknown();
    Some(Discount { models, percent: percent?, starts_on, ends_on })
}

fn capacity(fields: &Fields<'_>) -> Option<Capacity> {
    let model = fields.need("model", fields.text("model"));
    let units = fields.need("units", fields.whole("units", 1..=1_000_000));
    let price = fields.need("usd_per_unit_hour", amount(fields, "usd_per_unit_hour"));
    let (starts_on, ends_on) = period(fields);
    fields.refuse_unknown();
    Some(Capacity {
        model: Pattern::new(&model?),
        units: units?,
        usd_per_unit_hour: price?,
        starts_on: starts_on?,
        ends_on,
    })
}

fn clauses(tables: &[Fields<'_>]) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    for fields in tables {
        let kind = fields.need("kind", fields.word("kind", ClauseKind::ALL, ClauseKind::as_str));
        let clause = Clause {
            kind: kind.unwrap_or(ClauseKind::DataPortability),
            held: fields.flag("held").unwrap_or(true),
            days: fields.whole("days", DAYS),
            cost_max_usd: amount(fields, "cost_max_usd"),
            due_on: fields.day("due_on"),
            note: fields.text("note"),
        };
        fields.refuse_unknown();
        let Some(kind) = kind else { continue };
        if clauses.iter().any(|earlier| earlier.kind == kind) {
            fields.fault_at("kind", format!("a second clause is `{}`", kind.as_str()));
        }
        clauses.push(clause);
    }
    clauses
}
