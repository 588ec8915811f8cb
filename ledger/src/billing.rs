//! One line of a provider's bill or usage report, before it becomes a row of `billing`.

use crate::identity::Fields;
use crate::schema::BillingBuilder;
use crate::words::words;
use crate::{EntryId, Instant, Tokens, Usd};

words! {
    /// What a line states.
    Report {
        /// Counts: tokens, requests, seconds.
        Usage = "usage_report",
        /// Money.
        Cost = "cost_report",
    }
}

words! {
    /// What kind of charge a line is (FOCUS ChargeCategory).
    ChargeCategory {
        /// Something was used.
        Usage = "usage",
        /// Something was bought whatever its use: a commitment, provisioned capacity.
        Purchase = "purchase",
        /// Tax.
        Tax = "tax",
        /// A credit, a refund or a discount stated as a line of its own.
        Credit = "credit",
        /// Rounding and other changes that are none of these.
        Adjustment = "adjustment",
    }
}

/// One line of a bill, or one result of a usage report. `None`: the line does not say.
#[derive(Clone, Debug)]
pub struct BillingLine {
    /// The kind of source: `openai-admin`, `anthropic-admin`, `aws-cur`, `focus`.
    pub source: &'static str,
    /// What it states.
    pub report: Report,
    /// How the report was asked for, where it can be asked for in several ways that each add up to the whole.
    pub shape: Option<String>,
    /// Number of the line in its file, from 1.
    pub file_line: i64,
    /// Which of the file's lines with the same identity it is, from 1: bills may repeat a line.
    pub occurrence: u32,
    /// Who serves and bills, as in `usage`.
    pub provider: String,
    /// First instant it is about.
    pub period_start: Instant,
    /// First instant it is no longer about.
    pub period_end: Instant,
    /// The model in the spelling of `usage`.
    pub model: Option<String>,
    /// The model as the line states it.
    pub reported_model: Option<String>,
    /// What is billed, in the biller's words.
    pub line_item: Option<String>,
    /// What `quantity` counts, in words of a price sheet.
    pub meter: Option<&'static str>,
    /// The biller's service or kind of usage.
    pub service: Option<String>,
    /// The provider's region.
    pub region: Option<String>,
    /// The service tier, as stated.
    pub service_tier: Option<String>,
    /// Whether it is batch processing.
    pub batch: Option<bool>,
    /// The account.
    pub billing_account: Option<String>,
    /// Project, workspace or sub-account.
    pub project: Option<String>,
    /// Id of the API key.
    pub api_key: Option<String>,
    /// Requests to the model.
    pub requests: Option<i64>,
    /// Token counts, totals with their parts inside.
    pub tokens: Tokens,
    /// Meters that are not tokens, exact.
    pub meters: Vec<(&'static str, Usd)>,
    /// What was used or billed; [`Usd`] is merely the decimal type.
    pub quantity: Option<Usd>,
    /// Unit of `quantity`.
    pub quantity_unit: Option<String>,
    /// `quantity` in tokens, if that is what it counts.
    pub metered_tokens: Option<i64>,
    /// What the line costs on the bill, in `currency`.
    pub billed_cost: Option<Usd>,
    /// Cost after every discount.
    pub effective_cost: Option<Usd>,
    /// Cost at the contract's prices.
    pub contracted_cost: Option<Usd>,
    /// Cost at list prices, by the biller's own account.
    pub list_cost: Option<Usd>,
    /// Currency of the costs, upper case.
    pub currency: Option<String>,
    /// What kind of charge it is.
    pub charge_category: ChargeCategory,
    /// Whether it corrects an earlier billing period.
    pub correction: bool,
    /// The line in the biller's words.
    pub description: Option<String>,
    /// What else tells it from other lines, by the report's own names.
    pub dimensions: Vec<(String, String)>,
    /// Tags on the resource.
    pub tags: Vec<(String, String)>,
    /// Fields no column has (JSON object).
    pub extra: Option<String>,
}

impl BillingLine {
    /// A line of which only source, report, biller and period are known yet.
    pub fn new(source: &'static str, report: Report, provider: &str, period: (Instant, Instant)) -> Self {
        Self {
            source,
            report,
            shape: None,
            file_line: 0,
            occurrence: 1,
            provider: provider.into(),
            period_start: period.0,
            period_end: period.1,
            model: None,
            reported_model: None,
            line_item: None,
            meter: None,
            service: None,
            region: None,
            service_tier: None,
            batch: None,
            billing_account: None,
            project: None,
            api_key: None,
            requests: None,
            tokens: Tokens::default(),
            meters: Vec::new(),
            quantity: None,
            quantity_unit: None,
            metered_tokens: None,
            billed_cost: None,
            effective_cost: None,
            contracted_cost: None,
            list_cost: None,
            currency: None,
            charge_category: ChargeCategory::Usage,
            correction: false,
            description: None,
            dimensions: Vec::new(),
            tags: Vec::new(),
            extra: None,
        }
    }

    /// Identity of the line: what it is about, not what it says. The same line of a report polled again has the same.
    ///
    /// What Daybook derives (`model`, `meter`, `provider`) is no part of it, because a later version may derive more;
    /// neither are tags, which billers fill in afterwards.
    pub fn line_id(&self) -> EntryId {
        let mut hash = Fields::default();
        hash.text(Some(self.report.as_str()));
        hash.text(self.shape.as_deref());
        hash.bytes(&self.period_start.micros().to_be_bytes());
        hash.bytes(&self.period_end.micros().to_be_bytes());
        for field in [
            &self.reported_model,
            &self.line_item,
            &self.service,
            &self.region,
            &self.service_tier,
            &self.billing_account,
            &self.project,
            &self.api_key,
            &self.quantity_unit,
            &self.currency,
        ] {
            hash.text(field.as_deref());
        }
        hash.text(self.batch.map(|batch| if batch { "batch" } else { "" }));
        hash.text(Some(self.charge_category.as_str()));
        hash.text(self.correction.then_some("correction"));
        hash.pairs(&self.dimensions);
        hash.bytes(&self.occurrence.to_be_bytes());
        EntryId::derive(self.source, &hash.finish())
    }

    /// Identity of the row: the line `line_id` with these numbers and tags.
    pub fn entry_id(&self, line_id: EntryId) -> EntryId {
        let mut hash = Fields::default();
        hash.bytes(&line_id.0);
        hash.number(self.requests.map(i128::from));
        self.tokens.counts().into_iter().for_each(|count| hash.number(count.map(i128::from)));
        for (name, quantity) in &self.meters {
            hash.text(Some(name));
            hash.number(Some(quantity.pico()));
        }
        let amounts = [self.quantity, self.billed_cost, self.effective_cost, self.contracted_cost, self.list_cost];
        amounts.into_iter().for_each(|amount| hash.number(amount.map(Usd::pico)));
        hash.pairs(&self.tags);
        EntryId::derive(self.source, &hash.finish())
    }

    /// Identity of a row that says what `entry_id` says, when these numbers come back in the place of `replaced`.
    pub fn entry_id_again(&self, entry_id: EntryId, replaced: EntryId) -> EntryId {
        let mut hash = Fields::default();
        hash.bytes(&entry_id.0);
        hash.bytes(&replaced.0);
        EntryId::derive(self.source, &hash.finish())
    }
}

/// Where a line was read, and what it replaces.
#[derive(Clone, Copy, Debug)]
pub struct BillingOrigin<'a> {
    /// The line's identity.
    pub line_id: EntryId,
    /// The row's identity.
    pub entry_id: EntryId,
    /// The row whose numbers it replaces.
    pub supersedes: Option<EntryId>,
    /// Name of the file.
    pub file: &'a str,
    /// SHA-256 of the file as stored, hexadecimal.
    pub file_sha256: &'a str,
    /// The batch that brings it.
    pub batch_id: &'a str,
    /// When the row is made.
    pub imported_at: Instant,
}

impl BillingBuilder {
    /// Adds one row.
    pub fn push(&mut self, line: &BillingLine, origin: &BillingOrigin<'_>) {
        self.entry_id.append_value(origin.entry_id.0);
        self.line_id.append_value(origin.line_id.0);
        self.supersedes.append_option(origin.supersedes.map(|id| id.0));
        self.event_date.append_value(line.period_start.date().days());
        self.source.append_value(line.source);
        self.report.append_value(line.report.as_str());
        self.shape.append_option(line.shape.as_deref());
        self.file.append_value(origin.file);
        self.file_sha256.append_value(origin.file_sha256);
        self.file_line.append_value(line.file_line);
        self.batch_id.append_value(origin.batch_id);
        self.imported_at.append_value(origin.imported_at.micros());
        self.push_subject(line);
        self.push_counts(line);
        self.push_money(line);
        self.description.append_option(line.description.as_deref());
        for (map, pairs) in [(&mut self.dimensions, &line.dimensions), (&mut self.tags, &line.tags)] {
            for (key, value) in pairs {
                map.keys().append_value(key);
                map.values().append_value(value);
            }
            crate::row::close(map.append(true));
        }
        self.extra.append_option(line.extra.as_deref());
    }

    fn push_subject(&mut self, line: &BillingLine) {
        self.provider.append_value(&line.provider);
        self.period_start.append_value(line.period_start.micros());
        self.period_end.append_value(line.period_end.micros());
        self.model.append_option(line.model.as_deref());
        self.reported_model.append_option(line.reported_model.as_deref());
        self.line_item.append_option(line.line_item.as_deref());
        self.meter.append_option(line.meter);
        self.service.append_option(line.service.as_deref());
        self.region.append_option(line.region.as_deref());
        self.service_tier.append_option(line.service_tier.as_deref());
        self.batch.append_option(line.batch);
        self.billing_account.append_option(line.billing_account.as_deref());
        self.project.append_option(line.project.as_deref());
        self.api_key.append_option(line.api_key.as_deref());
    }

    fn push_counts(&mut self, line: &BillingLine) {
        let (tokens, buckets) = (&line.tokens, line.tokens.buckets());
        self.requests.append_option(line.requests);
        self.input_tokens.append_option(tokens.input);
        self.uncached_input_tokens.append_option(buckets.uncached_input);
        self.cache_read_input_tokens.append_option(tokens.cache_read);
        self.cache_write_input_tokens.append_option(tokens.cache_write);
        self.cache_write_5m_input_tokens.append_option(tokens.cache_write_5m);
        self.cache_write_1h_input_tokens.append_option(tokens.cache_write_1h);
        self.cache_write_unstated_input_tokens.append_option(buckets.cache_write_unstated);
        self.input_audio_tokens.append_option(tokens.input_audio);
        self.input_image_tokens.append_option(tokens.input_image);
        self.output_tokens.append_option(tokens.output);
        self.output_text_tokens.append_option(buckets.output_text);
        self.output_audio_tokens.append_option(tokens.output_audio);
        self.output_image_tokens.append_option(tokens.output_image);
        self.usage_check.append_option(buckets.check);
        for (name, quantity) in &line.meters {
            self.meters.keys().append_value(name);
            self.meters.values().append_value(quantity.pico());
        }
        crate::row::close(self.meters.append(true));
        self.quantity.append_option(line.quantity.map(Usd::pico));
        self.quantity_unit.append_option(line.quantity_unit.as_deref());
        self.metered_tokens.append_option(line.metered_tokens);
    }

    fn push_money(&mut self, line: &BillingLine) {
        self.billed_cost.append_option(line.billed_cost.map(Usd::pico));
        self.effective_cost.append_option(line.effective_cost.map(Usd::pico));
        self.contracted_cost.append_option(line.contracted_cost.map(Usd::pico));
        self.list_cost.append_option(line.list_cost.map(Usd::pico));
        self.currency.append_option(line.currency.as_deref());
        self.charge_category.append_value(line.charge_category.as_str());
        self.correction.append_value(line.correction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> BillingLine {
        let day = |text: &str| Instant::parse(text).unwrap();
        let period = (day("2026-11-19T00:00:00Z"), day("2026-11-20T00:00:00Z"));
        BillingLine {
            reported_model: Some("m".into()),
            tokens: Tokens { input: Some(10), output: Some(2), ..Tokens::default() },
            ..BillingLine::new("openai-admin", Report::Usage, "openai", period)
        }
    }

    #[test]
    fn a_line_keeps_its_identity_when_its_numbers_or_what_we_derive_change() {
        let first = line();
        let id = first.line_id();
        let mut again = BillingLine { model: Some("mapped".into()), meter: Some("input"), ..line() };
        again.tags = vec![("team".into(), "a".into())];
        again.tokens.input = Some(11);
        assert_eq!(again.line_id(), id);
        assert_ne!(again.entry_id(id), first.entry_id(id));
        assert_eq!(line().entry_id(id), first.entry_id(id));
    }

    #[test]
    fn every_dimension_is_part_of_the_identity() {
        let with = |change: &dyn Fn(&mut BillingLine)| {
            let mut changed = line();
            change(&mut changed);
            changed.line_id()
        };
        let ids = [
            line().line_id(),
            with(&|line| line.report = Report::Cost),
            with(&|line| line.shape = Some("1d by model".into())),
            with(&|line| line.period_end = Instant::from_micros(1)),
            with(&|line| line.reported_model = None),
            with(&|line| line.reported_model = Some(String::new())),
            with(&|line| line.line_item = Some("m".into())),
            with(&|line| line.batch = Some(false)),
            with(&|line| line.batch = Some(true)),
            with(&|line| line.project = Some("p".into())),
            with(&|line| line.api_key = Some("p".into())),
            with(&|line| line.currency = Some("EUR".into())),
            with(&|line| line.correction = true),
            with(&|line| line.dimensions = vec![("user_id".into(), "u".into())]),
            with(&|line| line.occurrence = 2),
        ];
        let mut distinct = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn a_row_holds_what_the_line_says() {
        let line = line();
        let id = line.line_id();
        let origin = BillingOrigin {
            line_id: id,
            entry_id: line.entry_id(id),
            supersedes: None,
            file: "usage.json",
            file_sha256: "00",
            batch_id: "b",
            imported_at: Instant::from_micros(1),
        };
        let mut builder = BillingBuilder::default();
        builder.push(&line, &origin);
        let batch = builder.finish().unwrap();
        assert_eq!(batch.schema(), crate::schema::BILLING.building_schema());
        assert_eq!(batch.num_rows(), 1);
    }
}
