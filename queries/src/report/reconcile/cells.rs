//! What a ledger and a bill say of one model on one UTC day, side by side.

use std::collections::{BTreeMap, BTreeSet};

use daybook_ledger::Date;
use daybook_ledger::price::Book;

use super::load::{Billed, Calls};
use super::models::Matching;
use super::rates::{FINE, Priced, Rates};
use super::vector::{Bucket, Vector, to_pico};
use super::{Cause, Finding, Note};

/// One model on one day.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) calls: i64,
    pub(super) unpriced_calls: i64,
    /// All calls' counts.
    pub(super) counted: Vector,
    /// Counts of the calls without a price.
    pub(super) unpriced: Vector,
    /// Reasoning inside the output.
    pub(super) reasoning: i128,
    /// What the priced calls come to at the list rates, by bucket, 10⁻¹⁸ dollars.
    pub(super) listed: Vector,
    /// Costs on the entries, 10⁻¹² dollars.
    pub(super) list_cost: i128,
    /// Counts by tier.
    pub(super) tiers: BTreeMap<String, Vector>,
    /// The rates of the group with most calls, and what they depend on.
    pub(super) rates: Rates,
    pub(super) context: Context,
    pub(super) bill: Bill,
}

/// What rates depend on beside provider, model and day.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    model: Option<String>,
    region: Option<String>,
    tier: Option<String>,
    batch: bool,
    input_max: i64,
    calls: i64,
}

impl Context {
    /// The rates of such calls to `model` on `day`.
    pub(super) fn rates(&self, book: &Book, provider: &str, model: &str, day: Date) -> Rates {
        self.rates_in(book, provider, model, day, (self.tier.as_deref(), self.batch))
    }

    /// As [`Context::rates`], in another tier.
    pub(super) fn rates_in(
        &self,
        book: &Book,
        provider: &str,
        model: &str,
        day: Date,
        tier: (Option<&str>, bool),
    ) -> Rates {
        let model = self.model.as_deref().unwrap_or(model);
        let (tier, batch) = tier;
        let region = self.region.as_deref();
        Rates::of(book, &Priced { provider, model, day, tier, batch, region, input_max: self.input_max.max(1) })
    }
}

/// What bills say of one model on one day.
#[derive(Clone, Debug, Default)]
pub(super) struct Bill {
    pub(super) lines: i64,
    pub(super) requests: Option<i64>,
    /// Counts; `None` if the bill counts nothing.
    pub(super) counted: Option<Vector>,
    pub(super) tiers: BTreeMap<String, Vector>,
    /// Dollars for usage by bucket, 10⁻¹⁸; what is for no bucket only in `cost`.
    pub(super) dollars: Vector,
    /// Dollars for usage, 10⁻¹².
    pub(super) cost: i128,
    /// Whether `cost` is `counted` at list rates, because there is no bill but a usage report.
    pub(super) is_valued: bool,
    /// Whether it is what is left of a bill for all models after their usage at list rates.
    pub(super) is_remainder: bool,
    /// Whether nobody knows which model the lines are about.
    pub(super) is_unmapped: bool,
    /// Lines that are not about usage.
    pub(super) charges: Vec<Finding>,
}

/// The days of one model of one provider.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    pub(super) days: BTreeMap<Date, Cell>,
    /// The ledger's counts by hour since 1970, a day more on both sides.
    pub(super) hours: BTreeMap<i64, Vector>,
}

/// Timelines by provider and model.
pub(super) type Timelines = BTreeMap<(String, String), Timeline>;

/// The name of a group of lines that is no model.
pub(super) const SEARCHES: &str = "(web search)";
/// The name for a whole provider, whose bill does not tell models apart.
pub(super) const ALL_MODELS: &str = "(all models)";

/// Both sides, in cells.
pub(super) struct Compared {
    pub(super) timelines: Timelines,
    /// First and last day that is compared, by provider.
    pub(super) windows: BTreeMap<String, (Date, Date)>,
    pub(super) notes: Vec<Note>,
}

/// Puts both sides into cells. Only days that the provider's bills are about, or that were asked for, are compared.
pub(super) fn build(
    calls: Vec<Calls>,
    billed: Vec<Billed>,
    book: &Book,
    asked: (Option<Date>, Option<Date>),
) -> Compared {
    let mut notes = Vec::new();
    let billed = comparable(billed, &mut notes);
    let windows = windows(&billed, asked);
    let matching = Matching::new(&calls, &billed);
    let split = Split::of(&billed);
    let mut timelines = Timelines::new();
    for line in &billed {
        let key = (provider_of(&line.provider), split.name_of(line, &matching));
        add_line(timelines.entry(key).or_default().days.entry(line.day).or_default(), line, &split);
    }
    let mut left_out: BTreeMap<String, (i64, i128)> = BTreeMap::new();
    for group in &calls {
        let provider = provider_of(&group.provider);
        let Some((first, last)) = windows.get(&provider) else {
            let sums = left_out.entry(provider).or_default();
            (sums.0, sums.1) = (sums.0 + group.calls, sums.1 + group.list_cost);
            continue;
        };
        let day = Date::from_days(i32::try_from(group.hour.div_euclid(24)).unwrap_or(0));
        let is_compared = *first <= day && day <= *last;
        if !is_compared && (day.days() < first.days() - 1 || day.days() > last.days() + 1) {
            continue;
        }
        add_calls(&mut timelines, group, day, is_compared, book, (&matching, &split));
    }
    for (provider, (calls, cost)) in left_out {
        notes.push(Note::NoBill { provider, calls, list_cost: cost });
    }
    give_rates(&mut timelines, book);
    value_usage(&mut timelines, &split);
    Compared { timelines, windows, notes }
}

fn provider_of(provider: &Option<String>) -> String {
    provider.clone().unwrap_or_else(|| "(unknown)".into())
}

/// Lines in dollars of one source per provider and day: two bills for the same usage are not added up.
fn comparable(billed: Vec<Billed>, notes: &mut Vec<Note>) -> Vec<Billed> {
    let rank = |source: &str| u8::from(source == "focus");
    let mut best: BTreeMap<(String, Date), String> = BTreeMap::new();
    for line in billed.iter().filter(|line| line.is_cost) {
        let chosen = best.entry((provider_of(&line.provider), line.day)).or_insert_with(|| line.source.clone());
        if (rank(&line.source), &line.source) < (rank(chosen), &*chosen) {
            chosen.clone_from(&line.source);
        }
    }
    let mut left_out: BTreeMap<(String, String, String, bool), i128> = BTreeMap::new();
    let kept = billed.into_iter().filter(|line| {
        let provider = provider_of(&line.provider);
        let currency = line.currency.clone().unwrap_or_else(|| "USD".into());
        let other_source = best.get(&(provider.clone(), line.day)).is_some_and(|chosen| *chosen != line.source);
        let keep = !line.is_cost || (currency == "USD" && !other_source);
        if !keep {
            *left_out.entry((provider, line.source.clone(), currency, other_source)).or_default() += line.cost;
        }
        keep
    });
    let kept = kept.collect();
    for ((provider, source, currency, twice), cost) in left_out {
        notes.push(match twice {
            true => Note::BilledTwice { provider, source, currency, cost },
            false => Note::OtherCurrency { provider, source, currency, cost },
        });
    }
    kept
}

/// First and last day that is compared, by provider.
fn windows(billed: &[Billed], asked: (Option<Date>, Option<Date>)) -> BTreeMap<String, (Date, Date)> {
    let mut windows: BTreeMap<String, (Date, Date)> = BTreeMap::new();
    for line in billed {
        let window = windows.entry(provider_of(&line.provider)).or_insert((line.day, line.day));
        *window = (window.0.min(line.day), window.1.max(line.day));
    }
    for window in windows.values_mut() {
        let last = asked.1.map(|to| Date::from_days(to.days() - 1));
        *window = (asked.0.unwrap_or(window.0), last.unwrap_or(window.1));
    }
    windows
}

/// Which provider-days have costs, costs by model, searches apart from models.
struct Split {
    costs: BTreeSet<(String, Date)>,
    /// Days whose costs name neither model nor line item.
    unsplit: BTreeSet<(String, Date)>,
    /// Days with usage reports that name models.
    usage: BTreeSet<(String, Date)>,
    /// Days on which web searches are billed under no model.
    searches: BTreeSet<(String, Date)>,
}

impl Split {
    fn of(billed: &[Billed]) -> Self {
        let days = |fits: &dyn Fn(&&Billed) -> bool| -> BTreeSet<_> {
            billed.iter().filter(fits).map(|line| (provider_of(&line.provider), line.day)).collect()
        };
        let is_usage = |line: &Billed| line.category == "usage" && !line.correction;
        let costs = days(&|line| line.is_cost && is_usage(line));
        let split = days(&|line| line.is_cost && is_usage(line) && (line.model.is_some() || line.line_item.is_some()));
        let unsplit = costs.difference(&split).cloned().collect();
        let usage = days(&|line| !line.is_cost && line.model.is_some());
        let searches = days(&|line| {
            line.is_cost && is_usage(line) && line.model.is_none() && line.meter.as_deref() == Some("web_search")
        });
        Self { costs, unsplit, usage, searches }
    }

    /// Whether models of that day can only be compared together.
    fn is_lumped(&self, day: &(String, Date)) -> bool {
        self.unsplit.contains(day) && !self.usage.contains(day)
    }

    fn name_of(&self, line: &Billed, matching: &Matching) -> String {
        let provider = provider_of(&line.provider);
        let day = (provider.clone(), line.day);
        match &line.model {
            _ if self.is_lumped(&day) => ALL_MODELS.into(),
            Some(model) => matching.name(&provider, model),
            None if line.is_cost && line.category == "usage" && line.meter.as_deref() == Some("web_search") => {
                SEARCHES.into()
            }
            None if line.is_cost && line.category == "usage" && !line.correction && line.line_item.is_some() => {
                format!("({})", line.line_item.as_deref().unwrap_or_default())
            }
            None => ALL_MODELS.into(),
        }
    }
}

fn tier_of(tier: Option<&str>, batch: bool) -> String {
    match tier {
        _ if batch => "batch".into(),
        Some("default" | "standard" | "auto" | "on_demand" | "") | None => "standard".into(),
        Some(other) => other.into(),
    }
}

fn add_line(cell: &mut Cell, line: &Billed, split: &Split) {
    let bill = &mut cell.bill;
    let day = (provider_of(&line.provider), line.day);
    if !line.is_cost {
        let [input, read, write_5m, write_1h, writes, output, searches] = line.counts;
        bill.requests = bill.requests.map_or(line.requests, |sum| Some(sum + line.requests.unwrap_or(0)));
        if input.is_none() && output.is_none() {
            return;
        }
        let or_none = |count: Option<i128>| count.unwrap_or(0);
        let mut counted = Vector::one(Bucket::Input, or_none(input) - or_none(read) - or_none(writes));
        counted.put(Bucket::CacheRead, or_none(read));
        counted.put(Bucket::Write5m, or_none(write_5m));
        counted.put(Bucket::Write1h, or_none(write_1h));
        counted.put(Bucket::Write, or_none(writes) - or_none(write_5m) - or_none(write_1h));
        counted.put(Bucket::Output, or_none(output));
        counted.put(Bucket::Search, or_none(searches));
        if split.searches.contains(&day) {
            counted.put(Bucket::Search, 0);
        }
        bill.count(counted, tier_of(line.tier.as_deref(), line.batch == Some(true)));
        return;
    }
    bill.lines += line.lines;
    if let Some(cause) = Cause::of_charge(&line.category, line.correction, line.meter.as_deref()) {
        let detail = line.line_item.clone().unwrap_or_default();
        bill.charges.push(Finding { cause, amount: line.cost, detail });
        return;
    }
    bill.cost += line.cost;
    bill.is_unmapped |= line.model.is_none() && line.line_item.is_some() && line.meter.as_deref() != Some("web_search");
    let Some(bucket) = line.meter.as_deref().and_then(Bucket::named) else { return };
    bill.dollars += Vector::one(bucket, line.cost * super::vector::ATTO_PER_PICO);
    // What a usage report counts is not counted again.
    if let Some(tokens) = line.metered_tokens.filter(|_| !split.usage.contains(&day)) {
        bill.count(Vector::one(bucket, tokens), tier_of(line.tier.as_deref(), line.batch == Some(true)));
    }
}

impl Bill {
    fn count(&mut self, counted: Vector, tier: String) {
        *self.counted.get_or_insert_default() += counted;
        *self.tiers.entry(tier).or_default() += counted;
    }
}

fn add_calls(
    timelines: &mut Timelines,
    group: &Calls,
    day: Date,
    is_compared: bool,
    book: &Book,
    (matching, split): (&Matching, &Split),
) {
    let provider = provider_of(&group.provider);
    let provider_day = (provider.clone(), day);
    let stated = group.model.as_deref().unwrap_or("(unknown)");
    let name = match split.is_lumped(&provider_day) {
        true => ALL_MODELS.into(),
        false => matching.name(&provider, stated),
    };
    let priced = Priced {
        provider: &provider,
        model: stated,
        day,
        tier: group.tier.as_deref(),
        batch: group.batch,
        region: group.region.as_deref(),
        input_max: group.input_max,
    };
    let rates = Rates::of(book, &priced);
    let (mut counted, mut listed) = (Vector::default(), Vector::default());
    for ((word, bucket), count) in FINE.iter().zip(group.counts) {
        counted += Vector::one(*bucket, count);
        listed += Vector::one(*bucket, count * rates.fine(word).unwrap_or(0));
    }
    if split.searches.contains(&provider_day) && counted.get(Bucket::Search) > 0 && group.priced {
        let searches = (counted.get(Bucket::Search), listed.get(Bucket::Search));
        counted.put(Bucket::Search, 0);
        listed.put(Bucket::Search, 0);
        if is_compared {
            let cell = timelines.entry((provider.clone(), SEARCHES.into())).or_default().days.entry(day).or_default();
            cell.counted += Vector::one(Bucket::Search, searches.0);
            cell.listed += Vector::one(Bucket::Search, searches.1);
            cell.list_cost += to_pico(searches.1);
            let own = timelines.entry((provider.clone(), name.clone())).or_default().days.entry(day).or_default();
            own.list_cost -= to_pico(searches.1);
        }
    }
    let timeline = timelines.entry((provider, name)).or_default();
    *timeline.hours.entry(group.hour).or_default() += counted;
    if !is_compared {
        return;
    }
    let cell = timeline.days.entry(day).or_default();
    cell.calls += group.calls;
    cell.counted += counted;
    cell.list_cost += group.list_cost;
    cell.reasoning += FINE
        .iter()
        .zip(group.counts)
        .filter(|((word, _), _)| *word == "output_reasoning")
        .map(|(_, count)| count)
        .sum::<i128>();
    *cell.tiers.entry(tier_of(group.tier.as_deref(), group.batch)).or_default() += counted;
    if group.priced {
        cell.listed += listed;
    } else {
        cell.unpriced += counted;
        cell.unpriced_calls += group.calls;
    }
    if group.calls > cell.context.calls && !rates.is_empty() {
        cell.rates = rates;
        cell.context = Context {
            model: group.model.clone(),
            region: group.region.clone(),
            tier: group.tier.clone(),
            batch: group.batch,
            input_max: group.input_max,
            calls: group.calls,
        };
    }
}

/// Gives rates to days without priced calls.
fn give_rates(timelines: &mut Timelines, book: &Book) {
    for ((provider, model), timeline) in timelines {
        for (day, cell) in &mut timeline.days {
            if cell.rates.is_empty() {
                cell.rates = cell.context.rates(book, provider, model, *day);
            }
        }
    }
}

/// What only a usage report counts is valued at list rates; a bill that names no model is compared with the sum of that.
fn value_usage(timelines: &mut Timelines, split: &Split) {
    let mut valued: BTreeMap<(String, Date), i128> = BTreeMap::new();
    for ((provider, _), timeline) in timelines.iter_mut() {
        for (day, cell) in &mut timeline.days {
            let provider_day = (provider.clone(), *day);
            let Some(counted) = cell.bill.counted else { continue };
            if cell.bill.lines == 0 && (!split.costs.contains(&provider_day) || split.unsplit.contains(&provider_day)) {
                cell.bill.is_valued = true;
                cell.bill.dollars = counted.times(&cell.rates.plain());
                cell.bill.cost = to_pico(cell.bill.dollars.sum());
                *valued.entry(provider_day).or_default() += cell.bill.cost;
            }
        }
    }
    for provider_day in split.unsplit.iter().filter(|day| split.usage.contains(*day)) {
        let key = (provider_day.0.clone(), ALL_MODELS.to_owned());
        let cell = timelines.get_mut(&key).and_then(|timeline| timeline.days.get_mut(&provider_day.1));
        if let Some(cell) = cell {
            cell.bill.cost -= valued.get(provider_day).copied().unwrap_or(0);
            cell.bill.is_remainder = true;
        }
    }
}
