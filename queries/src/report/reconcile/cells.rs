//! What a ledger and a bill say of one model on one UTC day, or in a period that the bill has one line for, side by side.

use std::collections::{BTreeMap, BTreeSet};

use daybook_ledger::price::Book;
use daybook_ledger::{Date, Instant};

use super::listed::{Used, Volume};
use super::load::{Billed, Calls};
use super::models::Matching;
use super::rates::{FINE, Priced, Rates};
use super::vector::{Bucket, Vector, to_pico};
use super::{Cause, Finding, Note};

const HOUR_MICROS: i64 = 3_600_000_000;

/// One model on one day, or on the days of one period.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) calls: i64,
    pub(super) unpriced_calls: i64,
    pub(super) used: Used,
    /// The same by tier.
    pub(super) tiers: BTreeMap<String, Used>,
    /// Reasoning inside the output.
    pub(super) reasoning: i128,
    /// Costs on the entries, 10⁻¹² dollars.
    pub(super) list_cost: i128,
    /// The rates of the group with most calls, and what they depend on.
    pub(super) rates: Rates,
    pub(super) context: Context,
    pub(super) bill: Bill,
    /// The counts beside each other; `None` if the bill counts nothing.
    pub(super) volume: Option<Volume>,
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
        // Nobody says when: off-peak hours are those of the night.
        let at = Instant::from_micros(day.start().micros() + 12 * HOUR_MICROS);
        Rates::of(book, &Priced { provider, model, at, tier, batch, region, input_max: self.input_max.max(1) })
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
    /// Whether these counts differ from the ledger's, and there is no rate to value the difference at.
    pub(super) is_unknown: bool,
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
    /// By day; the days of a period together, by its first.
    pub(super) days: BTreeMap<Date, Cell>,
    /// The first day of each period that the bill has one line for, and the day after it.
    periods: BTreeMap<Date, Date>,
    /// The ledger's counts by hour since 1970, a day more on both sides.
    pub(super) hours: BTreeMap<i64, Vector>,
}

impl Timeline {
    /// Makes days one period, with those of periods it overlaps.
    fn join(&mut self, mut from: Date, mut to: Date) {
        while let Some((first, end)) = self.periods.range(..to).next_back().map(|(first, end)| (*first, *end)) {
            if end <= from {
                break;
            }
            self.periods.remove(&first);
            (from, to) = (from.min(first), to.max(end));
        }
        self.periods.insert(from, to);
    }

    /// The day under which `day` is compared.
    fn place(&self, day: Date) -> Date {
        let period = self.periods.range(..=day).next_back().filter(|(_, end)| day < **end);
        period.map_or(day, |(first, _)| *first)
    }

    /// The day after those compared under `day`.
    pub(super) fn end(&self, day: Date) -> Date {
        self.periods.get(&day).copied().unwrap_or(Date::from_days(day.days() + 1))
    }

    fn cell(&mut self, day: Date) -> &mut Cell {
        let day = self.place(day);
        self.days.entry(day).or_default()
    }
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
    let key = |line: &Billed| (provider_of(&line.provider), split.name_of(line, &matching));
    for line in billed.iter().filter(|line| line.is_usage() && line.days > 1) {
        timelines.entry(key(line)).or_default().join(line.day, line.end());
    }
    for line in &billed {
        add_line(timelines.entry(key(line)).or_default().cell(line.day), line, &split);
    }
    let mut left_out: BTreeMap<String, (i64, i128)> = BTreeMap::new();
    for group in &calls {
        let provider = provider_of(&group.provider);
        let Some((first, last)) = windows.get(&provider) else {
            let sums = left_out.entry(provider).or_default();
            (sums.0, sums.1) = (sums.0 + group.calls, sums.1 + group.list_cost);
            continue;
        };
        let day = group.at.date();
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
    give_volumes(&mut timelines, book);
    value_usage(&mut timelines, &split);
    Compared { timelines, windows, notes }
}

fn provider_of(provider: &Option<String>) -> String {
    provider.clone().unwrap_or_else(|| "(unknown)".into())
}

/// Lines in US dollars of one source per provider and day: two bills for the same usage are not added up.
fn comparable(billed: Vec<Billed>, notes: &mut Vec<Note>) -> Vec<Billed> {
    let rank = |source: &str| u8::from(source == "focus");
    let is_dollars = |line: &Billed| line.currency.as_deref().unwrap_or("USD") == "USD";
    let mut best: BTreeMap<(String, Date), String> = BTreeMap::new();
    for line in billed.iter().filter(|line| line.is_cost && is_dollars(line)) {
        for day in days(line) {
            let chosen = best.entry((provider_of(&line.provider), day)).or_insert_with(|| line.source.clone());
            if (rank(&line.source), &line.source) < (rank(chosen), &*chosen) {
                chosen.clone_from(&line.source);
            }
        }
    }
    let mut left_out: BTreeMap<(String, String, String, bool), i128> = BTreeMap::new();
    let kept = billed.into_iter().filter(|line| {
        let provider = provider_of(&line.provider);
        let currency = line.currency.clone().unwrap_or_else(|| "USD".into());
        // A line about several days is kept whole or not at all.
        let is_others = |day| best.get(&(provider.clone(), day)).is_some_and(|chosen| *chosen != line.source);
        let other_source = is_dollars(line) && days(line).any(is_others);
        let keep = !line.is_cost || (is_dollars(line) && !other_source);
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

/// The days a line is about: of what is not usage, the first.
fn days(line: &Billed) -> impl Iterator<Item = Date> + use<> {
    let end = if line.is_usage() { line.end().days() } else { line.day.days() + 1 };
    (line.day.days()..end).map(Date::from_days)
}

/// First and last day that is compared, by provider.
fn windows(billed: &[Billed], asked: (Option<Date>, Option<Date>)) -> BTreeMap<String, (Date, Date)> {
    let mut windows: BTreeMap<String, (Date, Date)> = BTreeMap::new();
    for line in billed {
        let window = windows.entry(provider_of(&line.provider)).or_insert((line.day, line.day));
        // What is billed beside models, such as storage by the month, does not say how far calls are billed.
        let is_of_calls = line.model.is_some() || line.line_item.is_none();
        let last = days(line).last().filter(|_| is_of_calls).unwrap_or(line.day);
        *window = (window.0.min(line.day), window.1.max(last));
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
            let of_line = |line: &Billed| {
                let provider = provider_of(&line.provider);
                days(line).map(move |day| (provider.clone(), day))
            };
            billed.iter().filter(fits).flat_map(of_line).collect()
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

impl Cell {
    /// What the bill counts; nothing where it has no line; `None` where it has lines that count nothing.
    pub(super) fn billed_counts(&self) -> Option<Vector> {
        self.bill.counted.or((self.bill.lines == 0).then(Vector::default))
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
        at: group.at,
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
    let hour = group.at.micros().div_euclid(HOUR_MICROS);
    if split.searches.contains(&provider_day) && counted.get(Bucket::Search) > 0 && group.priced {
        let used = Used {
            counted: Vector::one(Bucket::Search, counted.get(Bucket::Search)),
            listed: Vector::one(Bucket::Search, listed.get(Bucket::Search)),
            ..Used::default()
        };
        counted.put(Bucket::Search, 0);
        listed.put(Bucket::Search, 0);
        let searches = timelines.entry((provider.clone(), SEARCHES.into())).or_default();
        *searches.hours.entry(hour).or_default() += used.counted;
        if is_compared {
            let cost = to_pico(used.listed.sum());
            let cell = searches.cell(day);
            cell.used.add(used);
            cell.list_cost += cost;
            timelines.entry((provider.clone(), name.clone())).or_default().cell(day).list_cost -= cost;
        }
    }
    let timeline = timelines.entry((provider, name)).or_default();
    *timeline.hours.entry(hour).or_default() += counted;
    if !is_compared {
        return;
    }
    let cell = timeline.cell(day);
    cell.calls += group.calls;
    cell.list_cost += group.list_cost;
    cell.reasoning += FINE
        .iter()
        .zip(group.counts)
        .filter(|((word, _), _)| *word == "output_reasoning")
        .map(|(_, count)| count)
        .sum::<i128>();
    let used = match group.priced {
        true => Used { counted, listed, ..Used::default() },
        false => Used { counted, unpriced: counted, ..Used::default() },
    };
    cell.used.add(used);
    cell.tiers.entry(tier_of(group.tier.as_deref(), group.batch)).or_default().add(used);
    cell.unpriced_calls += if group.priced { 0 } else { group.calls };
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

/// Puts the counts of both sides beside each other.
fn give_volumes(timelines: &mut Timelines, book: &Book) {
    for ((provider, model), timeline) in timelines {
        for (day, cell) in &mut timeline.days {
            let plain =
                |tier: &str| cell.context.rates_in(book, provider, model, *day, (Some(tier), tier == "batch")).plain();
            cell.volume = cell.billed_counts().map(|billed| Volume::of(cell, billed, plain));
        }
    }
}

/// What only a usage report counts is valued at list rates; a bill that names no model is compared with the sum of that.
fn value_usage(timelines: &mut Timelines, split: &Split) {
    let mut valued: BTreeMap<(String, Date), i128> = BTreeMap::new();
    for ((provider, _), timeline) in timelines.iter_mut() {
        for (day, cell) in &mut timeline.days {
            let provider_day = (provider.clone(), *day);
            let Some(volume) = cell.volume.filter(|_| cell.bill.counted.is_some()) else { continue };
            if cell.bill.lines == 0 && (!split.costs.contains(&provider_day) || split.unsplit.contains(&provider_day)) {
                cell.bill.is_valued = true;
                // What no bucket counts, no usage report speaks of either. Counts that differ have no value without rates.
                cell.bill.is_unknown = volume.differs && cell.rates.is_empty();
                let same = if cell.bill.is_unknown { 0 } else { cell.list_cost };
                cell.bill.cost = same + to_pico((volume.unpriced + volume.over).sum());
                *valued.entry(provider_day).or_default() += cell.bill.cost;
            }
        }
    }
    for provider_day in split.unsplit.iter().filter(|day| split.usage.contains(*day)) {
        let key = (provider_day.0.clone(), ALL_MODELS.to_owned());
        if let Some(timeline) = timelines.get_mut(&key) {
            let cell = timeline.cell(provider_day.1);
            cell.bill.cost -= valued.get(provider_day).copied().unwrap_or(0);
            cell.bill.is_remainder = true;
        }
    }
}
